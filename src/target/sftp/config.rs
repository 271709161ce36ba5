//! What the user says about an SFTP server.

use crate::target::ftp::Secret;
use crate::target::local::Links;
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// What becomes of the key by which a server proves who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HostKeys {
    /// It must be known, unless the ssh configuration accepts that of a new host.
    #[default]
    Known,
    /// The key of a host that was never seen is written down; a changed one is refused.
    AcceptNew,
    /// Any key is good.
    Unchecked,
}

/// Everything about one SFTP server that has to be known before it is called.
#[derive(Clone)]
pub struct SftpConfig {
    /// Name, address, or an alias of the ssh configuration; an IPv6 address may stand in brackets.
    pub host: String,
    /// 0 means what the ssh configuration says, else 22.
    pub port: u16,
    /// User name; `None` is what the ssh configuration says, else [`SftpConfig::login_name`].
    pub user: Option<String>,
    /// Password, tried after agent and keys.
    pub password: Option<Secret>,
    /// For encrypted key files.
    pub passphrase: Option<Secret>,
    /// The folder to work in, as an absolute path of the server.
    pub root: String,
    /// The URL of a proxy, which may hold a password: `socks5://`, `socks5h://` or `http://`. The first connection goes through
    /// it, to the server or to the first jump host, and not by a `ProxyCommand`.
    pub proxy: Option<Secret>,
    /// Longest time until the connection stands and the login is done.
    pub connect_timeout: Duration,
    /// Longest time without a sign of life.
    pub timeout: Duration,
    /// Encoding of names: `None` is UTF-8, with other bytes kept as they are.
    pub encoding: Option<String>,
    /// How many sessions may be open at once. All share one connection.
    pub connections: usize,
    /// Make the root folder, with every missing level above it, if it is not there.
    pub create_root: bool,
    /// Read each file back after it was written, and compare.
    pub verify: bool,
    /// What becomes of symbolic links.
    pub links: Links,
    /// What becomes of the key of the server.
    pub host_keys: HostKeys,
    /// Key files of the user's choice, tried before all others.
    pub key_files: Vec<PathBuf>,
    /// The home folder of the user, for the ssh configuration, known hosts and default key files.
    pub home: Option<PathBuf>,
    /// The name of the user on this machine.
    pub login_name: String,
    /// Variables that may stand in paths of the ssh configuration.
    pub variables: BTreeMap<String, String>,
    /// The socket of the ssh agent.
    pub agent: Option<PathBuf>,
    /// Files of ssh configuration, the most important first.
    pub ssh_config: Vec<PathBuf>,
    /// Files of known hosts; empty for what the ssh configuration says, else the usual ones.
    pub known_hosts: Vec<PathBuf>,
}

impl SftpConfig {
    /// The configuration for a host and a root, everything else at its default: no keys, no agent, no configuration files.
    pub fn new(host: impl Into<String>, root: impl Into<String>) -> Self {
        SftpConfig {
            host: host.into(),
            port: 0,
            user: None,
            password: None,
            passphrase: None,
            root: root.into(),
            proxy: None,
            connect_timeout: Duration::from_secs(30),
            timeout: Duration::from_secs(60),
            encoding: None,
            connections: 4,
            create_root: false,
            verify: false,
            links: Links::Inside,
            host_keys: HostKeys::Known,
            key_files: Vec::new(),
            home: None,
            login_name: String::new(),
            variables: BTreeMap::new(),
            agent: None,
            ssh_config: Vec::new(),
            known_hosts: Vec::new(),
        }
    }
}

impl fmt::Debug for SftpConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SftpConfig")
            .field("host", &self.host)
            .field("port", &self.port)
            .field("user", &self.user)
            .field("password", &self.password)
            .field("root", &self.root)
            .field("host_keys", &self.host_keys)
            .field("key_files", &self.key_files)
            .field("connections", &self.connections)
            .finish_non_exhaustive()
    }
}
