//! SFTP: folders of a server that is reached over SSH, with `russh` below and an SFTP layer of our own.
//!
//! - [`SftpTarget`] knows the server: the way there, and what was learned about it.
//! - `link` is the one connection that all sessions share (`route` says where to, `proxied` how through a proxy, `algorithms` by which means, `known_hosts` whom
//!   to trust, `auth` how to log in); `conversation` one channel of it, with many requests under way.
//! - `session` has the verbs; `listing`, `read`, `write`, `behind` and `still` those that take more than a page.
//! - The SSH library is asynchronous; `runtime` hides that: it is made when the first SFTP target opens, and nothing above
//!   this folder knows of it.
//! - What the bytes mean is decided in [`crate::wire::sftp`].

mod ahead;
mod algorithms;
mod auth;
mod behind;
mod by_hand;
#[cfg(unix)]
mod command;
mod config;
mod conversation;
mod errors;
mod keys;
mod known_hosts;
mod link;
mod listing;
mod names;
mod proxied;
mod read;
mod resume;
mod route;
mod runtime;
mod session;
mod short_key;
mod ssh_config;
mod still;
mod wildcard;
mod write;

pub use by_hand::{ByHand, Printed};
pub use config::{HostKeys, SftpConfig};

use self::behind::Left;
use self::conversation::Conversation;
use self::link::Link;
use self::names::Names;
use self::route::Hop;
use self::runtime::{Interruptions, runtime};
use self::session::SftpSession;
use crate::error::{Error, Kind, Result};
use crate::locked::locked;
use crate::target::checkup::Findings;
use crate::target::{Caps, Session, Target};
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::Duration;

/// A folder on an SFTP server.
pub struct SftpTarget {
    server: Arc<Server>,
    id: String,
    legacy_id: String,
    base_name: String,
}

/// What all sessions of a target share.
struct Server {
    config: SftpConfig,
    hops: Vec<Hop>,
    /// Absolute, without slash at the end except for `/`.
    root: String,
    names: Names,
    /// The connection, as long as a session uses it. Locked while it is made: others wait for it. With a server that mixes
    /// channels it is that of the first session.
    link: Arc<Mutex<Weak<Link>>>,
    interruptions: Arc<Interruptions>,
    learned: Mutex<Learned>,
    /// Files that are open in all sessions together, and will be read later.
    ahead: Arc<AtomicUsize>,
    /// Temporary files of sessions that are gone.
    left: Left,
}

/// What was learned about the server; all sessions share it, so that each trial is made once.
#[derive(Debug, Clone, Copy, Default)]
struct Learned {
    /// Times that are set do not come back.
    forgets_times: bool,
    /// It did not open as many files at a time as it was asked for.
    opens_few: bool,
    /// The shortest time that an answer took.
    round_trip: Option<Duration>,
}

impl Learned {
    /// An answer took this long.
    fn took(&mut self, time: Duration) {
        self.round_trip = Some(self.round_trip.map_or(time, |known| known.min(time)));
    }
}

impl SftpTarget {
    /// Prepares a target; nothing is sent yet.
    ///
    /// # Errors
    /// [`Kind::Usage`] for an unknown encoding, and for an ssh configuration that cannot be followed.
    pub fn new(config: SftpConfig) -> Result<Self> {
        let given = config.host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let root = format!("/{}", config.root.trim_matches('/'));
        let hops = route::hops(&config)?;
        let last = hops.last().ok_or_else(|| Error::new(Kind::Usage, "no host is given"))?;
        let shown_host = if given.contains(':') { format!("[{given}]") } else { given.clone() };
        Ok(SftpTarget {
            id: format!("sftp://{}@{shown_host}:{}{root}", last.user, last.port),
            legacy_id: format!("{given}{root}"),
            base_name: format!("sftp://{shown_host}{root}"),
            server: Arc::new(Server {
                names: Names::new(config.encoding.as_deref())?,
                hops,
                root,
                link: Arc::default(),
                interruptions: Arc::default(),
                learned: Mutex::default(),
                ahead: Arc::default(),
                left: Left::default(),
                config,
            }),
        })
    }

    /// Opens a session that may go anywhere on the server, on the connection that the others use.
    ///
    /// # Errors
    /// As [`Target::open`].
    pub fn by_hand(&self) -> Result<ByHand> {
        let (conversation, greeting) = self.server.converse()?;
        Ok(ByHand::new(SftpSession::open(self.server.at_the_top(), conversation, greeting)?))
    }

    /// The names of the host to which the connection is made, as it is called and as it is; `None` if a program makes it.
    pub fn first_host(&self) -> Option<(&str, &str)> {
        self.server.hops.first().filter(|hop| hop.command.is_none()).map(Hop::names)
    }

    /// The user name that is logged in with.
    pub fn user(&self) -> &str {
        self.server.hops.last().map_or("", |hop| &hop.user)
    }
}

impl Target for SftpTarget {
    fn id(&self) -> &str {
        &self.id
    }

    fn legacy_id(&self) -> &str {
        &self.legacy_id
    }

    fn base_name(&self) -> &str {
        &self.base_name
    }

    fn caps(&self) -> Caps {
        Caps {
            sets_mtime: !self.server.learned().forgets_times,
            renames: true,
            sessions: self.server.config.connections.max(1),
            is_networked: true,
            excludes_others: false,
            reads_ahead: true,
        }
    }

    fn open(&self) -> Result<Box<dyn Session>> {
        let (conversation, greeting) = self.server.converse()?;
        Ok(Box::new(SftpSession::open(Arc::clone(&self.server), conversation, greeting)?))
    }

    fn interrupt(&self) {
        self.server.interruptions.interrupt();
    }

    fn round_trip(&self) -> Option<Duration> {
        self.server.learned().round_trip
    }

    fn particulars(&self) -> Findings {
        let mut found = Findings::new();
        let Ok((conversation, greeting)) = self.server.converse() else { return found };
        let extensions = conversation.extensions();
        found.insert("rename_replaces", extensions.replaces.into());
        found.insert("flushes", extensions.flushes.into());
        for (name, beginning) in [("host_key", "Host key: "), ("login", "Login as ")] {
            let told = greeting.iter().find_map(|(_, line)| line.strip_prefix(beginning));
            found.insert(name, told.map(|told| told.trim_end_matches('.')).into());
        }
        found
    }
}

impl Server {
    /// Opens a channel on the connection, which is made if there is none.
    fn converse(&self) -> Result<(Conversation, Vec<(u8, String)>)> {
        let runtime = runtime()?;
        let mut patience = self.interruptions.watch();
        let timeout = self.config.timeout;
        let host = self.hops.last().map_or("", |hop| hop.host.as_str());
        let named = |error: Error| match error.kind() {
            Kind::Ssh => error.during("start SFTP on").at(host),
            _ => error,
        };
        let mut connect = || {
            let connecting = Link::open(&self.hops, self.config.connect_timeout, &mut patience);
            runtime.block_on(connecting).map(Arc::new)
        };
        // An interruption ends whoever holds this lock, so nobody waits for it for long.
        let mut shared = locked(&self.link);
        let link = match shared.upgrade().filter(|link| link.is_open()) {
            Some(link) if link.mixes_channels => {
                drop(shared);
                connect().map_err(one_too_many)?
            }
            Some(link) => {
                drop(shared);
                link
            }
            None => {
                let link = connect()?;
                *shared = Arc::downgrade(&link);
                drop(shared);
                link
            }
        };
        let conversation = Conversation::open(&runtime, &link, patience, timeout).map_err(named)?;
        Ok((conversation, link.greeting.clone()))
    }

    fn learned(&self) -> MutexGuard<'_, Learned> {
        locked(&self.learned)
    }
}

/// Who is let in once and not once more is one too many.
fn one_too_many(error: Error) -> Error {
    match error.kind() {
        Kind::Ssh | Kind::SshLogin => error.understood_as(Kind::Busy).with_os(libc::EBUSY),
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::ftp::Secret;

    #[test]
    fn ids_are_normal_and_never_show_the_password() {
        let mut config = SftpConfig::new("Web.example.com", "/dir/");
        config.user = Some("joe".into());
        config.password = Some(Secret::new("geheim"));
        config.passphrase = Some(Secret::new("geheim"));
        assert!(!format!("{config:?}").contains("geheim"));
        let target = SftpTarget::new(config).unwrap();
        assert_eq!(target.id(), "sftp://joe@Web.example.com:22/dir");
        assert_eq!(target.legacy_id(), "Web.example.com/dir");
        assert_eq!(target.base_name(), "sftp://Web.example.com/dir");
    }

    #[test]
    fn nobody_listening_is_told_in_one_line() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut config = SftpConfig::new("127.0.0.1", "/");
        config.port = free;
        let Err(error) = SftpTarget::new(config).unwrap().open() else { panic!("somebody listens") };
        assert_eq!(error.kind(), Kind::Connect);
        assert_eq!(
            error.to_string(),
            format!(
                "could not connect to \"127.0.0.1:{free}\": connection refused; check host, port and network"
            )
        );
    }
}
