//! FTP and FTPS: a thin conversation on `std::net` and `rustls`.
//!
//! - [`FtpTarget`] knows the server: its address, who may be trusted, and what was learned about it so far.
//! - `session` has the verbs; `listing`, `upload`, `rename` and `still` those that take more than a page.
//! - `by_hand` lends the conversation to the user's own commands.
//! - `control` sends commands and reads replies; `data` opens the second connection of a transfer.
//! - What the bytes mean is decided in [`crate::wire::ftp`].

mod active;
mod behind;
mod by_hand;
mod checkup;
mod config;
mod control;
mod data;
mod dial;
mod download;
mod early_end;
mod errors;
mod handshake;
mod learned;
mod listing;
mod login;
mod looked_up;
mod new_name;
pub(super) mod proxy;
mod removal;
mod rename;
mod resume;
mod rights;
mod secrets;
mod secured;
mod session;
pub(super) mod sockets;
mod still;
pub(super) mod stream;
mod stump;
#[cfg(feature = "suppaftp")]
mod suppa;
#[cfg(feature = "suppaftp")]
mod suppa_data;
pub(super) mod tickets;
pub(super) mod tls;
mod upload;
mod verify;

pub use by_hand::{ByHand, Hands, Listener, Way};
pub use config::{
    Engine, FtpConfig, Identity, PASSWORD_VARIABLE, Secret, Speaker, TlsConfig, TlsVersion, Trace,
};

use self::learned::{Learned, Mode};
use self::proxy::Proxy;
use self::secrets::Secrets;
use self::sockets::Sockets;
use self::tls::Trust;
use crate::error::{Error, Kind, Result};
use crate::locked::locked;
use crate::target::checkup::Findings;
use crate::target::names::Names;
use crate::target::{Caps, Session, Target};
use crate::wire::ftp::Reply;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

const FTP_PORT: u16 = 21;
const IMPLICIT_TLS_PORT: u16 = 990;

/// A folder on an FTP server.
pub struct FtpTarget {
    server: Arc<Server>,
    id: String,
    legacy_id: String,
    base_name: String,
}

/// What all sessions of a target share.
struct Server {
    config: FtpConfig,
    /// Without brackets.
    host: String,
    port: u16,
    /// Absolute, without slash at the end except for `/`.
    root: String,
    names: Names,
    trust: Option<Trust>,
    proxy: Option<Proxy>,
    /// TLS begins with the first byte.
    is_implicit: bool,
    /// What must not be shown, see [`secrets`].
    secrets: Secrets,
    learned: Mutex<Learned>,
    /// What the user is to be told about it.
    news: Mutex<Vec<(u8, String)>>,
    sockets: Arc<Sockets>,
}

impl FtpTarget {
    /// Prepares a target; nothing is sent yet.
    ///
    /// # Errors
    /// [`Kind::Usage`] for an unknown encoding, for a line end in what has to be sent, and for a file of certificates or keys, a
    /// pin, a proxy or a host name that cannot be read.
    pub fn new(config: FtpConfig) -> Result<Self> {
        check_line_ends(&config)?;
        let host = config.host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let wants_implicit = config.tls.as_ref().is_some_and(|tls| tls.implicit);
        let port = match config.port {
            0 if wants_implicit => IMPLICIT_TLS_PORT,
            0 => FTP_PORT,
            port => port,
        };
        let root = format!("/{}", config.root.trim_matches('/'));
        let scheme = if config.tls.is_some() { "ftps" } else { "ftp" };
        let user = config.user.as_deref().unwrap_or("anonymous");
        let shown_host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
        let names = Names::new(config.encoding.as_deref())?;
        let proxy = config.proxy.as_ref().map(|url| Proxy::parse(url.reveal())).transpose()?;
        if proxy.is_some() && config.active {
            return Err(Error::new(Kind::Usage, "a server cannot open data connections through a proxy")
                .advise("leave out --ftp-active, or connect without the proxy (--proxy none)"));
        }
        let trust = config.tls.as_ref().map(|tls| Trust::new(tls, &host)).transpose()?;
        let is_implicit = wants_implicit || (config.tls.is_some() && port == IMPLICIT_TLS_PORT);
        if config.engine == Engine::Suppaftp {
            check_engine(is_implicit && proxy.is_some())?;
        }
        // The other engine sends one command at a time.
        let learned = Learned { one_by_one: config.engine == Engine::Suppaftp, ..Learned::default() };
        Ok(FtpTarget {
            id: format!("{scheme}://{user}@{shown_host}:{port}{root}"),
            legacy_id: format!("{host}{root}"),
            base_name: format!("{scheme}://{shown_host}{root}"),
            server: Arc::new(Server {
                secrets: secrets(&config, names, proxy.as_ref()),
                is_implicit,
                names,
                trust,
                proxy,
                host,
                port,
                root,
                learned: Mutex::new(learned),
                news: Mutex::default(),
                sockets: Arc::default(),
                config,
            }),
        })
    }
}

impl Target for FtpTarget {
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
        let learned = locked(&self.server.learned);
        Caps {
            sets_mtime: learned.sets_mtime(),
            renames: learned.renames != Some(false),
            sessions: self.server.config.connections.max(1),
            is_networked: true,
            excludes_others: false,
            reads_ahead: false,
        }
    }

    fn open(&self) -> Result<Box<dyn Session>> {
        Ok(Box::new(login::open(&self.server)?))
    }

    fn interrupt(&self) {
        self.server.sockets.shut_all();
    }

    fn round_trip(&self) -> Option<Duration> {
        self.server.learned().round_trip
    }

    fn makes_do_with(&self, conversations: usize, refusal: &Error) {
        // Others may be the reason for a connection that was not made; a reply is about the number.
        let Some((_, reply)) = refusal.reply() else { return };
        let was_told = std::mem::replace(&mut self.server.learned().limit_was_told, true);
        if !was_told {
            let (address, reply) = (self.server.address(), reply.replace('\n', " / "));
            self.server.tell(
                3,
                format!(
                    "{address} lets in no more than {conversations} at a time (--connections {conversations}): {reply}"
                ),
            );
        }
    }

    fn news(&self) -> Vec<(u8, String)> {
        std::mem::take(&mut *locked(&self.server.news))
    }

    fn particulars(&self) -> Findings {
        self.examine()
    }
}

impl Server {
    /// `host:port`, for messages.
    fn address(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    fn learned(&self) -> MutexGuard<'_, Learned> {
        locked(&self.learned)
    }

    /// Who opens data connections.
    fn mode(&self) -> Mode {
        self.learned().mode.unwrap_or(self.configured_mode())
    }

    /// Who opens them if the user is to decide.
    fn configured_mode(&self) -> Mode {
        if self.config.active { Mode::Active } else { Mode::Passive }
    }

    /// A text without the password, should the server repeat it.
    fn masked(&self, text: &str) -> String {
        self.secrets.masked(text)
    }

    /// A reply whose text may be shown.
    fn without_secrets(&self, reply: Reply) -> Reply {
        reply.masked(|text| self.masked(text))
    }

    /// Tells what it means that files are written under their own names.
    fn tell_in_place(&self, why: &str) {
        let address = self.address();
        let meaning = "files are written under their own names, and what is cut off leaves half a file there";
        self.tell(3, format!("{address} {why}: {meaning}"));
    }

    /// Tells once that data connections break off at their end, and what that means.
    fn tell_of_rude_ends(&self) {
        let was_told = std::mem::replace(&mut self.learned().ends_rudely, true);
        if !was_told {
            let address = self.address();
            self.tell(
                4,
                format!("{address} breaks data connections off at their end; sizes tell what is whole"),
            );
        }
    }

    /// Leaves a line for the user, shown from verbosity `level`.
    fn tell(&self, level: u8, line: impl Into<String>) {
        locked(&self.news).push((level, line.into()));
    }
}

/// Refuses what would be another command, before anybody is called.
fn check_line_ends(config: &FtpConfig) -> Result<()> {
    let password = config.password.as_ref().map(Secret::reveal);
    let sent =
        [("user name", config.user.as_deref()), ("password", password), ("folder", Some(&*config.root))];
    match sent.into_iter().find(|(_, text)| text.is_some_and(|text| text.contains(['\r', '\n', '\0']))) {
        Some((what, _)) => {
            let why = format!("the {what} holds a line end or a NUL, which cannot be sent over FTP");
            Err(Error::new(Kind::Usage, why))
        }
        None => Ok(()),
    }
}

/// Refuses what the second engine cannot do, or that it is missing.
fn check_engine(is_implicit_by_proxy: bool) -> Result<()> {
    let wrong = match (cfg!(feature = "suppaftp"), is_implicit_by_proxy) {
        (false, _) => "this build does not have the engine suppaftp",
        (true, true) => "the engine suppaftp cannot begin with TLS through a proxy",
        (true, false) => return Ok(()),
    };
    Err(Error::new(Kind::Usage, wrong).advise("leave out --ftp-engine"))
}

/// The passwords, also as their bytes on the wire look when they are shown.
fn secrets(config: &FtpConfig, names: Names, proxy: Option<&Proxy>) -> Secrets {
    let mut secrets = Secrets::default();
    if let Some(password) = config.password.as_ref().map(Secret::reveal) {
        secrets.add_login(config.user.as_deref().unwrap_or_default(), password);
        if let Ok(sent) = names.encode_text(password) {
            secrets.add(String::from_utf8_lossy(&sent).into_owned());
        }
    }
    if let Some(proxy) = proxy {
        proxy.add_secrets(&mut secrets);
    }
    secrets
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_repeats_of_the_passwords_is_hidden_in_any_form() {
        let mut config = FtpConfig::new("h", "");
        config.encoding = Some("cp1252".into());
        config.password = Some(Secret::new("gehäim"));
        config.proxy = Some(Secret::new("http://joe:pr%40xy@p"));
        let target = FtpTarget::new(config).unwrap();
        let told = "geh\u{fffd}im gehäim geh%C3%A4im geh%c3%a4im pr@xy pr%40xy am9lOnByQHh5";
        assert_eq!(target.server.masked(told), "*** *** *** *** *** *** ***");
    }

    #[test]
    fn ids_are_normal_and_never_show_the_password() {
        let mut config = FtpConfig::new("ftp.example.com", "/dir/");
        config.user = Some("joe".into());
        config.password = Some(Secret::new("geheim"));
        config.tls = Some(TlsConfig { verify: false, ..TlsConfig::default() });
        assert!(!format!("{config:?}").contains("geheim"));
        let target = FtpTarget::new(config).unwrap();
        assert_eq!(target.id(), "ftps://joe@ftp.example.com:21/dir");
        assert_eq!(target.legacy_id(), "ftp.example.com/dir");
        assert_eq!(target.base_name(), "ftps://ftp.example.com/dir");
        let root = FtpTarget::new(FtpConfig::new("[::1]", "")).unwrap();
        assert_eq!(
            (root.id(), root.legacy_id(), root.base_name()),
            ("ftp://anonymous@[::1]:21/", "::1/", "ftp://[::1]/")
        );
    }
}
