//! One SSH connection: the way there, the key of the server, the login. All sessions of a target are channels of one.

use super::algorithms::{Algorithms, advice};
use super::auth::{self, Login};
use super::config::HostKeys;
use super::known_hosts::{self, KnownHost, Place, Verdict};
use super::proxied;
use super::route::Hop;
use super::runtime::Patience;
use crate::error::{Error, Kind, Result};
use crate::locked::locked;
use crate::target::link_local;
use russh::client::{self, DisconnectReason, Handle};
use russh::keys::{Algorithm, HashAlg, PublicKey, PublicKeyOrCertificate};
use russh::{Channel, ChannelOpenFailure, Disconnect, Names, Preferred, SshId};
use std::borrow::Cow;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::watch;

/// Bytes that the server may send on one channel before it has to wait.
const WINDOW: u32 = 8 * 1024 * 1024;
/// Messages that may wait on one channel. More than the requests in flight can bring, so that a channel whose session is
/// busy with a slow disk never holds up the others.
const MESSAGES: usize = 1 << 16;

/// How the words begin where the server has said why; another attempt would end the same way.
const ENDED_BY_SERVER: &str = "the server ended it";

/// What to do about a line of known hosts that is in the way.
const REMOVE_LINE: &str = "if the administrator of the server confirms it, remove that line (--no-verify-host-keys goes on without checking)";

/// What is shown from this verbosity on is told of jump hosts, too.
const IMPORTANT: u8 = 3;

/// How servers introduce themselves that put bytes of one channel before those of another: ProFTPD keeps the beginning of a
/// request that has not come as a whole in one place for all.
const MIXES_CHANNELS: &[u8] = b"SSH-2.0-mod_sftp";

/// A connection that is logged in.
pub struct Link {
    handle: Handle<Client>,
    /// It is good for one session only.
    pub mixes_channels: bool,
    /// The connections that this one goes through, the last one first.
    _through: Vec<Step>,
    /// The program that makes the connection.
    _program: Option<Program>,
    /// Why it has ended. The other half goes with the connection.
    end: watch::Receiver<Option<String>>,
    /// What to tell about it, with the verbosity from which it is shown.
    pub greeting: Vec<(u8, String)>,
}

impl Link {
    /// Connects to the last of `hops` through the others, and logs in everywhere.
    ///
    /// # Errors
    /// Whatever is in the way, in one line.
    pub async fn open(hops: &[Hop], timeout: Duration, patience: &mut Patience) -> Result<Self> {
        let mut through: Vec<Step> = Vec::new();
        let (Some(last), before) = (hops.last(), &hops[..hops.len().saturating_sub(1)]) else {
            return Err(Error::new(Kind::Usage, "no host is given"));
        };
        for hop in before {
            let step = step(hop, through.last(), timeout, patience).await?;
            through.push(step);
        }
        let last = step(last, through.last(), timeout, patience).await?;
        let Step { handle, mixes_channels, end, mut greeting, program } = last;
        let of_jumps = through.iter().flat_map(|step| &step.greeting);
        greeting.splice(..0, of_jumps.filter(|(level, _)| *level <= IMPORTANT).cloned());
        through.reverse();
        Ok(Link { handle, mixes_channels, _through: through, _program: program, end, greeting })
    }

    /// Opens a channel for one session.
    ///
    /// # Errors
    /// [`Kind::Busy`] when the server grants no more of them.
    pub async fn channel(&self) -> Result<Channel<client::Msg>> {
        self.handle.channel_open_session().await.map_err(|error| match error {
            russh::Error::ChannelOpenFailure(
                ChannelOpenFailure::AdministrativelyProhibited
                | ChannelOpenFailure::ConnectFailed
                | ChannelOpenFailure::ResourceShortage,
            ) => Error::new(Kind::Busy, "the server opens no more sessions").with_os(libc::EBUSY),
            error => self.lost(&error),
        })
    }

    /// Whether the connection still stands.
    pub fn is_open(&self) -> bool {
        !self.handle.is_closed()
    }

    /// Why the connection has ended, if the server or the system said so.
    pub fn end(&self) -> Option<String> {
        self.end.borrow().clone()
    }

    /// Waits until the connection has ended.
    pub async fn ended(&self) {
        // An error means that even its other half is gone.
        let _ = self.end.clone().wait_for(Option::is_some).await;
    }

    /// Ends the connection politely.
    pub async fn close(&self) {
        // If it cannot be said any more, it has ended already.
        let _ = self.handle.disconnect(Disconnect::ByApplication, "", "").await;
    }

    fn lost(&self, error: &russh::Error) -> Error {
        let words = self.end().unwrap_or_else(|| words(error));
        Error::new(Kind::Disconnected, words)
    }
}

/// A connection on the way, logged in.
struct Step {
    handle: Handle<Client>,
    mixes_channels: bool,
    end: watch::Receiver<Option<String>>,
    greeting: Vec<(u8, String)>,
    program: Option<Program>,
}

#[cfg(unix)]
type Program = super::command::Running;
#[cfg(not(unix))]
type Program = std::convert::Infallible;

/// Connects to one host, directly or through another one, and logs in.
async fn step(hop: &Hop, through: Option<&Step>, timeout: Duration, patience: &mut Patience) -> Result<Step> {
    let at = hop.address();
    let mut known = KnownHost::read(&hop.known_hosts, &hop.known_as, hop.known_port)?;
    if let Some(file) = &hop.revoked {
        known.revoke(file)?;
    }
    let config = Arc::new(config(&known, &hop.algorithms, timeout));
    let (ending, end) = watch::channel(None);
    let banner = Arc::new(Mutex::new(Vec::new()));
    let mixes_channels = Arc::new(AtomicBool::new(false));
    let client = Client {
        hop: hop.clone(),
        known,
        mixes_channels: Arc::clone(&mixes_channels),
        end: ending,
        greeting: Arc::clone(&banner),
    };
    let mut program = None;
    let mut reached = match (through, &hop.proxy) {
        // The proxy has time of its own: who is silent shall be named.
        (None, Some(proxy)) => Some(proxied::connect(proxy, hop, timeout, patience).await?),
        _ => None,
    };
    let connecting = async {
        match (through, &hop.command) {
            #[cfg(unix)]
            (None, Some(command)) => {
                let (running, socket) = super::command::Running::start(command)?;
                program = Some(running);
                client::connect_stream(config, socket, client)
                    .await
                    .map_err(|failure| super::command::explained(failure.into_error(hop), command))
            }
            #[cfg(not(unix))]
            (None, Some(_)) => {
                Err(Error::new(Kind::Usage, "ProxyCommand works on Unix only").advise("use ProxyJump"))
            }
            (None, None) => {
                let socket = match reached.take() {
                    Some(socket) => socket,
                    None => dial(&hop.host, hop.port, timeout).await?,
                };
                socket.set_nodelay(true).map_err(Error::from)?;
                let socket = Wary { socket, has_heard: false };
                client::connect_stream(config, socket, client)
                    .await
                    .map_err(|failure| failure.into_error(hop))
            }
            (Some(through), _) => {
                let channel = through
                    .handle
                    .channel_open_direct_tcpip(hop.host.clone(), u32::from(hop.port), "127.0.0.1", 0)
                    .await
                    .map_err(|error| {
                        Error::new(
                            Kind::Connect,
                            format!("the jump host does not get there: {}", words(&error)),
                        )
                        .during("connect to")
                        .at(&at)
                    })?;
                client::connect_stream(config, channel.into_stream(), client)
                    .await
                    .map_err(|failure| failure.into_error(hop))
            }
        }
    };
    let connected = patience.within(timeout, connecting).await;
    let connected =
        connected.map_err(|error| error.during("connect to").at(&at)).and_then(|connected| connected);
    let mut handle = connected.map_err(|error| match (&hop.proxy, error.kind()) {
        (Some(proxy), Kind::Disconnected | Kind::Timeout) => {
            error.advise(format!("it goes through the proxy {proxy}: perhaps that does not let SSH through"))
        }
        _ => error,
    })?;
    let login = Login { hop, timeout, password_was_tried: AtomicBool::new(false) };
    let how = auth::log_in(&mut handle, &login, patience).await;
    let is_cut = matches!(&how, Err(error) if error.kind() == Kind::Disconnected);
    if let Some(hop) = hop.with_password_alone()
        && is_cut
        && !login.password_was_tried.load(Ordering::Relaxed)
    {
        // There were too many keys for its taste. On another connection the password comes first.
        return Box::pin(step(&hop, through, timeout, patience)).await;
    }
    let how = how.map_err(|error| match end.borrow().clone() {
        // "Too many authentication failures" is a better reason than a connection that has ended.
        Some(end) if is_cut && end.starts_with(ENDED_BY_SERVER) => {
            Error::new(Kind::Ssh, end).during("log in to").at(&at).advise(
                "if it was offered too many keys, name the right one by --identity-file, and set IdentitiesOnly yes for it in \
                 ~/.ssh/config",
            )
        }
        Some(_) | None => error,
    })?;
    let mut greeting = hop.news.clone();
    greeting.extend(
        hop.unheeded.iter().map(|name| (4, format!("{name} of the ssh configuration is not followed here."))),
    );
    greeting.extend(locked(&banner).iter().cloned());
    greeting.push((4, format!("Login as '{}' ({how}).", hop.user)));
    let mixes_channels = mixes_channels.load(Ordering::Relaxed);
    Ok(Step { handle, mixes_channels, end, greeting, program })
}

/// A TCP connection to the first address of a host that answers. The caller limits the whole.
pub(super) async fn dial(host: &str, port: u16, timeout: Duration) -> Result<TcpStream> {
    let at = || if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
    let addresses: Vec<SocketAddr> = match tokio::net::lookup_host((host, port)).await {
        Ok(addresses) => addresses.collect(),
        Err(error) => {
            let error = Error::from(error);
            return Err(Error::new(Kind::UnknownHost, error.detail())
                .during("find the host")
                .at(host)
                .advise("check the name"));
        }
    };
    let socket = connect_to_any(&addresses, timeout).await;
    socket.map_err(|error| {
        let error = error.during("connect to").at(at());
        if error.hint().is_none() { error.advise("check host, port and network") } else { error }
    })
}

/// Tries one address after the other. One that swallows everything leaves time for the next.
async fn connect_to_any(addresses: &[SocketAddr], timeout: Duration) -> Result<TcpStream> {
    let mut failure = Error::new(Kind::UnknownHost, "the name has no address");
    let begun = Instant::now();
    for (address, left) in addresses.iter().zip((1..=addresses.len()).rev()) {
        let share = timeout.saturating_sub(begun.elapsed()) / u32::try_from(left).unwrap_or(u32::MAX);
        match tokio::time::timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(socket)) => return Ok(socket),
            Err(_) => {
                let seconds = timeout.as_secs_f64();
                failure = Error::new(Kind::Timeout, format!("no answer for {seconds} seconds"));
            }
            Ok(Err(error)) => {
                let error = Error::from(error);
                // Whatever the system says, nobody was reached.
                let kind = if error.kind() == Kind::Timeout { Kind::Timeout } else { Kind::Connect };
                failure = link_local::advised(error.understood_as(kind), address);
            }
        }
    }
    Err(failure)
}

/// A socket that looks at the first bytes. An FTP server speaks first, too, and then waits, as we would: SSH allows lines of
/// any kind before its own.
struct Wary {
    socket: TcpStream,
    has_heard: bool,
}

impl AsyncRead for Wary {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let read = ready!(Pin::new(&mut this.socket).poll_read(context, buffer));
        let heard = buffer.filled().get(before..).unwrap_or_default();
        if !std::mem::replace(&mut this.has_heard, true) && heard.starts_with(b"220") {
            let error = Error::new(Kind::Ssh, "an FTP server answers there, and no SSH server");
            return Poll::Ready(Err(error
                .advise("write ftp:// or ftps://, or give the port of SSH")
                .into_io()));
        }
        Poll::Ready(read)
    }
}

impl AsyncWrite for Wary {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().socket).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_shutdown(context)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().socket).poll_write_vectored(context, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }
}

fn config(known: &KnownHost, algorithms: &Algorithms, timeout: Duration) -> client::Config {
    // The server is asked for the key that is known first; another one would look like a changed key.
    let mut keys: Vec<Algorithm> = Preferred::default().key.into_owned();
    keys.sort_by_key(|kind| !known.has_kind(kind));
    client::Config {
        client_id: SshId::Standard(Cow::Borrowed(concat!("SSH-2.0-pyftpsync_", env!("CARGO_PKG_VERSION")))),
        window_size: WINDOW,
        maximum_packet_size: 65_535,
        channel_buffer_size: MESSAGES,
        preferred: Preferred {
            // Only who knows an authority can judge a certificate.
            host_key_certificates: Cow::Owned(if known.has_authority() { keys.clone() } else { Vec::new() }),
            key: Cow::Owned(keys),
            kex: Cow::Owned(algorithms.kex.clone()),
            cipher: Cow::Owned(algorithms.ciphers.clone()),
            mac: Cow::Owned(algorithms.macs.clone()),
            ..Preferred::default()
        },
        // Routers forget connections that are silent, and a dead one shall be noticed.
        keepalive_interval: Some((timeout / 3).max(Duration::from_secs(1))),
        keepalive_max: 3,
        nodelay: true,
        ..client::Config::default()
    }
}

/// What the SSH library tells us, and asks us.
pub struct Client {
    hop: Hop,
    known: KnownHost,
    mixes_channels: Arc<AtomicBool>,
    end: watch::Sender<Option<String>>,
    greeting: Arc<Mutex<Vec<(u8, String)>>>,
}

/// Why a connection failed: our judgement, or a failure of the protocol.
#[derive(Debug)]
pub enum Failure {
    Ours(Error),
    Protocol(russh::Error),
}

impl From<russh::Error> for Failure {
    fn from(error: russh::Error) -> Self {
        Failure::Protocol(error)
    }
}

impl Failure {
    fn into_error(self, hop: &Hop) -> Error {
        match self {
            Failure::Ours(error) => error,
            Failure::Protocol(russh::Error::IO(error)) => Error::from(error),
            Failure::Protocol(error @ (russh::Error::HUP | russh::Error::Disconnect)) => {
                Error::new(Kind::Disconnected, words(&error))
            }
            Failure::Protocol(russh::Error::NoCommonAlgo { kind, ours, theirs }) => {
                let advice = advice(&kind, &theirs);
                let error = russh::Error::NoCommonAlgo { kind, ours, theirs };
                Error::new(Kind::Ssh, words(&error)).advise(advice)
            }
            Failure::Protocol(error) => Error::new(Kind::Ssh, words(&error)),
        }
        .during("connect to")
        .at(hop.address())
    }
}

impl client::Handler for Client {
    type Error = Failure;

    async fn auth_banner(&mut self, banner: &str, _: &mut client::Session) -> Result<(), Failure> {
        let mut greeting = locked(&self.greeting);
        greeting.extend(banner.lines().take(100).map(|line| (4, line.trim_end().to_owned())));
        Ok(())
    }

    async fn check_server_key(&mut self, shown: &PublicKeyOrCertificate) -> Result<bool, Failure> {
        let key = shown.public_key();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        if let Some(Place { file, line }) = shown.certificate().and_then(|shown| self.known.revoked(shown))
            && self.hop.host_keys != HostKeys::Unchecked
        {
            let host = self.hop.address();
            let file = file.display();
            let why = format!(
                "the certificate of the host {host} is not accepted: it is revoked in {file}, line {line}"
            );
            return Err(Failure::Ours(Error::new(Kind::Ssh, why).advise(REMOVE_LINE)));
        }
        let by = match shown.certificate().map(|shown| self.known.judge_certificate(shown, now)) {
            Some(Ok(())) => " (by its certificate)",
            judged => {
                // As ssh does: without a good certificate the key itself has to be known.
                let but = judged
                    .and_then(Result::err)
                    .map_or_else(String::new, |why| format!(" (its certificate is not accepted: {why})"));
                let learned = self.hop.check(&self.known, &key, &but).map_err(Failure::Ours)?;
                locked(&self.greeting).extend(learned.map(|learned| (IMPORTANT, learned)));
                ""
            }
        };
        locked(&self.greeting).push((5, format!("Host key: {}{by}.", fingerprint(&key))));
        Ok(true)
    }

    async fn kex_done(
        &mut self,
        _: Option<&[u8]>,
        _: &Names,
        session: &mut client::Session,
    ) -> Result<(), Failure> {
        self.mixes_channels.store(session.remote_sshid().starts_with(MIXES_CHANNELS), Ordering::Relaxed);
        Ok(())
    }

    async fn disconnected(&mut self, reason: DisconnectReason<Failure>) -> Result<(), Failure> {
        let words = match reason {
            DisconnectReason::ReceivedDisconnect(info) => {
                format!("{ENDED_BY_SERVER}: {}", info.message.trim())
            }
            DisconnectReason::Error(Failure::Ours(error)) => error.to_string(),
            DisconnectReason::Error(Failure::Protocol(error)) => words(&error),
        };
        self.end.send_replace(Some(words));
        Ok(())
    }
}

impl Hop {
    /// Whether the key of the server is to be trusted. Returns what to tell of one that was not known.
    fn check(&self, known: &KnownHost, key: &PublicKey, but: &str) -> Result<Option<String>> {
        let print = fingerprint(key);
        let host = self.address();
        let verdict = known.judge(key);
        let is_unchecked = self.host_keys == HostKeys::Unchecked;
        let why = match verdict {
            Verdict::Known => return Ok(None),
            _ if is_unchecked => return Ok(None),
            Verdict::Unknown if self.host_keys == HostKeys::AcceptNew => {
                let so = match &self.learns_in {
                    Some(file) => {
                        let name = (self.known_as.as_str(), self.known_port);
                        known_hosts::learn(file, name, self.hashes_names, key)?;
                        format!("was added to {}", file.display())
                    }
                    None => "is trusted, and kept nowhere".to_owned(),
                };
                return Ok(Some(format!("The key of the host {host} was not known: {print}. It {so}.")));
            }
            Verdict::Unknown => {
                let unheeded = match self.unheeded.as_slice() {
                    [] => String::new(),
                    names => format!(" ({} of the ssh configuration is not followed here)", names.join(", ")),
                };
                return Err(Error::new(
                    Kind::Ssh,
                    format!("the key of the host {host} is not known: {print}{but}{unheeded}"),
                )
                .advise(
                    "if it is the right one, pass --accept-new-host-key once, or connect with ssh first \
                     (--no-verify-host-keys goes on without checking)",
                ));
            }
            Verdict::Changed(place) => {
                let Place { file, line } = place;
                format!(
                    "the key of the host {host} has changed: it is now {print}, and another one than in {}, line {line}. \
                     Somebody may be listening in",
                    file.display()
                )
            }
            Verdict::Revoked(Place { file, line }) => {
                format!("the key of the host {host} ({print}) is revoked in {}, line {line}", file.display())
            }
        };
        let but = if self.is_careless {
            "StrictHostKeyChecking no of the ssh configuration goes for new hosts only here; "
        } else {
            ""
        };
        Err(Error::new(Kind::Ssh, why).advise(format!("{but}{REMOVE_LINE}")))
    }
}

/// The kind of a key and its fingerprint, as `ssh-keygen -l` shows it.
fn fingerprint(key: &PublicKey) -> String {
    format!("{} {}", key.algorithm(), key.fingerprint(HashAlg::Sha256))
}

/// The words of the library for people.
pub fn words(error: &russh::Error) -> String {
    match error {
        russh::Error::NoCommonAlgo { kind, ours, theirs } => format!(
            "no {kind:?} algorithm in common: the server offers {}, we {}",
            theirs.join(", "),
            ours.join(", ")
        ),
        russh::Error::Version => "what answers there does not speak SSH".to_owned(),
        russh::Error::KeepaliveTimeout
        | russh::Error::InactivityTimeout
        | russh::Error::ConnectionTimeout => "the server does not answer any more".to_owned(),
        russh::Error::HUP | russh::Error::Disconnect | russh::Error::SendError | russh::Error::RecvError => {
            "the connection was closed".to_owned()
        }
        russh::Error::IO(error) => Error::from(std::io::Error::from(error.kind())).detail().to_owned(),
        error => {
            let text = error.to_string();
            let mut chars = text.chars();
            chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::{TcpListener, TcpSocket};

    #[tokio::test]
    async fn an_address_that_swallows_everything_leaves_time_for_the_next() {
        let good = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let full = TcpSocket::new_v4().unwrap();
        full.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let full = full.listen(0).unwrap();
        let silent = full.local_addr().unwrap();
        // Nobody takes these: there is no room for more.
        let connect = || tokio::time::timeout(Duration::from_millis(100), TcpStream::connect(silent));
        let mut waiting = Vec::new();
        while let Ok(socket) = connect().await {
            waiting.push(socket.unwrap());
        }
        let addresses = [silent, good.local_addr().unwrap()];
        let begun = Instant::now();
        let socket = connect_to_any(&addresses, Duration::from_secs(2)).await.unwrap();
        assert_eq!(socket.peer_addr().unwrap(), addresses[1]);
        assert!(begun.elapsed() < Duration::from_millis(1900), "{:?}", begun.elapsed());
        let error = connect_to_any(&addresses[..1], Duration::from_millis(200)).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Timeout);
    }
}
