//! What the user says about an FTP server.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

/// The variable of the environment that holds a password. Programs that are started do not get it.
pub const PASSWORD_VARIABLE: &str = "PYFTPSYNC_PASSWORD";

/// A password. It can be used, but not shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a password.
    pub fn new(secret: impl Into<String>) -> Self {
        Secret(secret.into())
    }

    /// The password itself, for the one place that sends it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// How the connection is encrypted, and how both sides prove who they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsConfig {
    /// TLS begins with the first byte, as on port 990, and not after AUTH TLS (RFC 4217).
    pub implicit: bool,
    /// Check chain, dates and host name. When off, any certificate is accepted.
    pub verify: bool,
    /// Certificates to trust beside those of the system: a file in PEM format.
    pub ca_file: Option<PathBuf>,
    /// Trust exactly the certificate with this fingerprint, `sha256:` and 64 hexadecimal digits, and nothing else.
    pub pin: Option<String>,
    /// The certificate that this side shows.
    pub identity: Option<Identity>,
    /// The newest version of TLS to speak; `None` tries 1.2 first, whose sessions can be resumed any number of times, and 1.3
    /// where the server insists on it.
    pub max: Option<TlsVersion>,
}

impl Default for TlsConfig {
    fn default() -> Self {
        TlsConfig { implicit: false, verify: true, ca_file: None, pin: None, identity: None, max: None }
    }
}

/// A certificate of the user's own, with its key: files in PEM format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The certificate, followed by those that lead to its issuer.
    pub certificate: PathBuf,
    /// The key; `None` if it is in the same file.
    pub key: Option<PathBuf>,
}

/// A version of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsVersion {
    /// 1.2
    V12,
    /// 1.3
    V13,
}

/// Who said something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaker {
    /// This side: a command.
    Client,
    /// The server: a reply.
    Server,
    /// Nobody: a remark about the conversation.
    Nobody,
}

/// Gets each command and each reply as text, passwords masked, lines separated by `\n`.
type Hearing = Box<dyn Fn(Speaker, &str) + Send + Sync>;

/// Listens to conversations, while its level is not 0.
pub struct Trace {
    level: AtomicU8,
    listener: Hearing,
}

impl Trace {
    /// A trace that is switched off.
    pub fn new(listener: impl Fn(Speaker, &str) + Send + Sync + 'static) -> Self {
        Trace { level: AtomicU8::new(0), listener: Box::new(listener) }
    }

    /// How much the user wants to see; 0 is nothing.
    pub fn level(&self) -> u8 {
        self.level.load(Ordering::Relaxed)
    }

    /// Sets how much the user wants to see.
    pub fn set_level(&self, level: u8) {
        self.level.store(level, Ordering::Relaxed);
    }

    /// Passes on what was said, if anybody wants to know.
    pub fn tell(&self, speaker: Speaker, text: impl FnOnce() -> String) {
        if self.level() > 0 {
            (self.listener)(speaker, &text());
        }
    }
}

/// What leads the conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Engine {
    /// Our own: several commands in one packet, every odd reply.
    #[default]
    Own,
    /// The library `suppaftp`, one command at a time. A feature of the build.
    Suppaftp,
}

/// Everything about one FTP server that has to be known before it is called.
#[derive(Clone)]
pub struct FtpConfig {
    /// Name or address; an IPv6 address may stand in brackets.
    pub host: String,
    /// Port of the control connection; 0 means the usual one: 21, or 990 for implicit TLS.
    pub port: u16,
    /// User name; `None` logs in as `anonymous`.
    pub user: Option<String>,
    /// Password; `None` sends an empty one, or `anonymous@` for the anonymous user.
    pub password: Option<Secret>,
    /// The folder to work in, as an absolute path of the server.
    pub root: String,
    /// TLS on both connections; `None` is plain FTP. On port 990 it is implicit.
    pub tls: Option<TlsConfig>,
    /// Longest time to wait for a TCP connection.
    pub connect_timeout: Duration,
    /// Longest time without a sign of life, on either connection.
    pub timeout: Duration,
    /// After this time a session is replaced by a new one, before it is used again.
    pub session_time: Option<Duration>,
    /// The URL of a proxy, which may hold a password: `socks5://`, `socks5h://` or `http://`.
    pub proxy: Option<Secret>,
    /// Connect to the host that a reply to PASV names, and not to that of the control connection.
    pub trust_pasv_host: bool,
    /// Never ask for machine listings (MLSD).
    pub no_mlsd: bool,
    /// Let the server open the data connections (PORT, EPRT) instead of the client (EPSV, PASV).
    pub active: bool,
    /// Compare the content after each transfer, by a checksum of the server or by reading the file once more.
    pub verify: bool,
    /// Encoding of names: `None` is UTF-8, else any label that browsers know, such as `cp1252` or `shift_jis`.
    pub encoding: Option<String>,
    /// How many sessions may be open at once.
    pub connections: usize,
    /// Make the root folder, with every missing level above it, if it is not there.
    pub create_root: bool,
    /// What leads the conversation.
    pub engine: Engine,
    /// Listens to the conversation.
    pub trace: Option<Arc<Trace>>,
}

impl FtpConfig {
    /// The configuration for a host and a root, everything else at its default: anonymous, no TLS, passive, UTF-8.
    pub fn new(host: impl Into<String>, root: impl Into<String>) -> Self {
        FtpConfig {
            host: host.into(),
            port: 0,
            user: None,
            password: None,
            root: root.into(),
            tls: None,
            connect_timeout: Duration::from_secs(30),
            timeout: Duration::from_secs(60),
            session_time: None,
            proxy: None,
            trust_pasv_host: false,
            no_mlsd: false,
            active: false,
            verify: false,
            encoding: None,
            connections: 8,
            create_root: false,
            engine: Engine::Own,
            trace: None,
        }
    }
}

impl fmt::Debug for FtpConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FtpConfig")
            .field("host", &self.host)
            .field("port", &self.port)
            .field("user", &self.user)
            .field("password", &self.password)
            .field("root", &self.root)
            .field("tls", &self.tls)
            .field("active", &self.active)
            .field("encoding", &self.encoding)
            .field("connections", &self.connections)
            .finish_non_exhaustive()
    }
}
