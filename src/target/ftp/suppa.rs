//! The second engine: the conversation is led by the library `suppaftp`, one command at a time.
//!
//! It takes the place of what [`super::control`] and [`super::data`] do on sockets: commands, replies, and the opening of data
//! connections. Everything above is the same for both engines: the verbs, the parsers, what is checked before a file gets
//! its name. So this file is mostly about what the library does differently from what is needed:
//!
//! - It gives the text of a reply only for replies that it did not expect. So none is expected.
//! - It writes passwords to the log at level trace. Builds leave that level out, see `Cargo.toml`.
//! - Its own TLS throws away tickets of TLS 1.3 that arrive at the end of an upload. The one here reads to the end.
//! - A transfer that is dropped is confirmed as if all were well. What is given up is reset here, and the conversation ends.
//!
//! What it cannot do: read a greeting with a line that begins with another number, send several commands at once, tell the
//! words with which a transfer was confirmed, and let somebody else send commands in between.

use super::Server;
use super::learned::Mode;
use super::learned::Passive;
use super::proxy::Host;
use super::secured::{shake_hands, tls_words};
use super::stream::{Stream, prepare};
use super::suppa_data::Lent;
use crate::error::{Error, Kind};
use crate::locked::locked;
use crate::wire::ftp::{Command, Reply, ReplyParser};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, ProtocolVersion, StreamOwned};
use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use suppaftp::types::Response;
use suppaftp::{Encoding, FtpError, FtpResult, ImplFtpStream, Status, TlsConnector, TlsStream};

/// How long to wait for the peer to end an encrypted connection.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Replies that were heard before anybody has asked for them: the greeting, and the ends of transfers.
pub type Heard = Arc<Mutex<VecDeque<FtpResult<Reply>>>>;

/// A conversation.
pub struct Suppa {
    ftp: ImplFtpStream<Secured>,
    /// Commands that were sent, as far as the caller knows.
    queue: VecDeque<Vec<u8>>,
    heard: Heard,
    user: String,
    seen: Arc<Mutex<Seen>>,
    /// Why the data connection could not be made.
    no_data: Arc<Mutex<Option<Error>>>,
    /// The transfer under way had a data connection in passive mode.
    has_connected: Arc<AtomicBool>,
}

/// What is known about TLS on the control connection.
#[derive(Debug, Default)]
struct Seen {
    words: Option<String>,
    is_tls13: bool,
    failure: Option<io::Error>,
}

/// Why a transfer could not be started.
pub enum NoTransfer {
    /// The server refused it, or the connection for it.
    Refused(Reply),
    /// The data connection could not be made.
    NoConnection(Error),
    /// The transfer has begun on a connection that is of no use.
    Unusable(Error),
    /// The conversation is lost.
    Lost(FtpError),
}

impl Suppa {
    /// Reads the greeting on a socket that was prepared.
    pub fn greet(server: &Arc<Server>, host: &Host, socket: TcpStream) -> FtpResult<Self> {
        Ok(Suppa::new(server, host, ImplFtpStream::connect_with_stream(socket)?))
    }

    /// Connects once more, with TLS from the first byte. The library insists on connecting itself.
    pub fn implicit(
        server: &Arc<Server>,
        host: &Host,
        address: SocketAddr,
        connector: Connector,
    ) -> std::result::Result<(Self, Option<TcpStream>), NotSecured> {
        let seen = Arc::clone(&connector.seen);
        match ImplFtpStream::connect_secure_implicit(address, connector, &server.host) {
            Ok(ftp) => {
                let handle = ftp.get_ref().try_clone().map_err(NotSecured::Failed)?;
                Ok((Suppa { seen, ..Suppa::new(server, host, ftp) }, Some(handle)))
            }
            Err(error) => Err(not_secured(error, &seen)),
        }
    }

    fn new(server: &Arc<Server>, host: &Host, ftp: ImplFtpStream<Secured>) -> Self {
        let greeting = ftp.get_welcome_msg().unwrap_or_default().to_owned();
        let no_data = Arc::new(Mutex::new(None));
        let has_connected = Arc::new(AtomicBool::new(false));
        let dialer = Dialer {
            server: Arc::clone(server),
            host: host.clone(),
            failure: Arc::clone(&no_data),
            has_connected: Arc::clone(&has_connected),
        };
        let mut ftp = ftp.passive_stream_builder(move |address| dialer.connect(address));
        if server.mode() == Mode::Active {
            ftp = ftp.active_mode(server.config.timeout);
        }
        ftp.set_passive_nat_workaround(!server.config.trust_pasv_host);
        ftp.set_encoding(Bytes);
        let heard = Heard::default();
        locked(&heard).push_back(parsed(greeting.as_bytes()));
        Suppa {
            ftp,
            queue: VecDeque::new(),
            heard,
            user: String::new(),
            seen: Arc::default(),
            no_data,
            has_connected,
        }
    }

    /// Says AUTH TLS and puts TLS on the connection.
    ///
    /// # Errors
    /// What the server says, or the `io::Error` of the handshake.
    pub fn secure(
        self,
        connector: Connector,
        name: &str,
    ) -> std::result::Result<(Self, Option<TcpStream>), NotSecured> {
        let seen = Arc::clone(&connector.seen);
        match self.ftp.into_secure(connector, name) {
            Ok(ftp) => Ok((Suppa { ftp, seen, ..self }, None)),
            Err(error) => Err(not_secured(error, &seen)),
        }
    }

    /// Version and cipher of TLS.
    pub fn tls_words(&self) -> Option<String> {
        locked(&self.seen).words.clone()
    }

    /// Whether TLS 1.3 is spoken.
    pub fn is_tls13(&self) -> bool {
        locked(&self.seen).is_tls13
    }

    /// Notes commands, to be sent one by one when their replies are asked for.
    pub fn send(&mut self, commands: &[Command]) {
        self.queue.extend(commands.iter().map(|command| command.line().to_vec()));
    }

    /// The next reply.
    pub fn reply(&mut self) -> FtpResult<Reply> {
        let heard = locked(&self.heard).pop_front();
        match (heard, self.queue.pop_front()) {
            (Some(heard), line) => {
                line.into_iter().for_each(|line| self.queue.push_front(line));
                heard
            }
            (None, Some(line)) => self.carry_out(&line),
            (None, None) => Err(FtpError::ConnectionError(io::ErrorKind::UnexpectedEof.into())),
        }
    }

    fn carry_out(&mut self, line: &[u8]) -> FtpResult<Reply> {
        let text = Bytes.decode(line.strip_suffix(b"\r\n").unwrap_or(line));
        let (verb, argument) = text.split_once(' ').unwrap_or((&text, ""));
        match verb {
            // Both are said by the library, which does not show a password that it sends itself.
            "USER" => {
                argument.clone_into(&mut self.user);
                parsed(b"331 the password goes with it")
            }
            "PASS" => match self.ftp.login(self.user.as_str(), argument) {
                Ok(()) => parsed(b"230 logged in"),
                Err(error) => reply_in(error),
            },
            "AUTH" => parsed(b"234 said with the handshake"),
            _ => match self.ftp.custom_command(&text, &[]) {
                Ok(response) => parsed(&response.body),
                Err(error) => reply_in(error),
            },
        }
    }

    /// Whether the last transfer had a data connection in passive mode. Only then its command is sent.
    pub fn has_connected(&self) -> bool {
        self.has_connected.load(Ordering::SeqCst)
    }

    /// Opens a data connection and sends the command of a transfer.
    pub fn transfer(
        &mut self,
        server: &Arc<Server>,
        verb: &Command,
        passive: Option<Passive>,
        offset: u64,
    ) -> std::result::Result<Stream, NoTransfer> {
        self.has_connected.store(false, Ordering::SeqCst);
        self.ftp.set_mode(match passive {
            None => suppaftp::Mode::Active,
            Some(Passive::Extended) => suppaftp::Mode::ExtendedPassive,
            Some(Passive::Classic) => suppaftp::Mode::Passive,
        });
        let offset = usize::try_from(offset).map_err(|_| NoTransfer::Lost(FtpError::BadResponse))?;
        self.ftp.resume_transfer(offset).map_err(NoTransfer::Lost)?;
        let text = Bytes.decode(verb.line().strip_suffix(b"\r\n").unwrap_or_default());
        let begun = self.ftp.custom_data_command(text, &[Status::AboutToSend, Status::AlreadyOpen]);
        match begun {
            Ok((_, transfer)) => {
                let lent = Lent::new(transfer, Arc::clone(&self.heard)).map_err(Error::from);
                let stream = lent.and_then(|lent| Stream::lent(lent, server.config.timeout, &server.sockets));
                stream.map_err(NoTransfer::Unusable)
            }
            Err(error) => {
                if let Some(failure) = locked(&self.no_data).take() {
                    return Err(NoTransfer::NoConnection(failure));
                }
                match reply_in(error) {
                    Ok(reply) => Err(NoTransfer::Refused(reply)),
                    Err(error) => Err(NoTransfer::Lost(error)),
                }
            }
        }
    }
}

/// Why there is no TLS.
pub enum NotSecured {
    /// The server does not want it.
    Refused(Reply),
    /// The handshake failed.
    Failed(io::Error),
}

fn not_secured(error: FtpError, seen: &Mutex<Seen>) -> NotSecured {
    match error {
        FtpError::UnexpectedResponse(response) => match parsed(&response.body) {
            Ok(reply) => NotSecured::Refused(reply),
            Err(error) => NotSecured::Failed(io::Error::other(error.to_string())),
        },
        FtpError::ConnectionError(error) => NotSecured::Failed(error),
        error => {
            let failure = locked(seen).failure.take();
            NotSecured::Failed(failure.unwrap_or_else(|| io::Error::other(error.to_string())))
        }
    }
}

/// The reply inside what the library calls an error.
///
/// # Errors
/// Any other error.
pub fn reply_in(error: FtpError) -> FtpResult<Reply> {
    match error {
        FtpError::UnexpectedResponse(Response { body, .. }) => parsed(&body),
        other => Err(other),
    }
}

/// A reply by our own parser. The library ends a reply of several lines at each line with a number; if that was another one, what
/// follows would be taken for the next reply, and the conversation has to end.
fn parsed(body: &[u8]) -> FtpResult<Reply> {
    let mut parser = ReplyParser::default();
    parser.push(body);
    parser.push(b"\r\n");
    match parser.take() {
        Ok(Some(reply)) => Ok(reply),
        Ok(None) | Err(_) => Err(FtpError::BadResponse),
    }
}

/// The end of a transfer as a reply.
pub fn end_of(outcome: FtpResult<()>) -> FtpResult<Reply> {
    match outcome {
        Ok(()) => parsed(b"226 confirmed"),
        Err(error) => reply_in(error),
    }
}

/// What an error of the library means; that of a reply is another matter.
pub fn in_words(error: FtpError, server: &Server) -> Error {
    match error {
        FtpError::ConnectionError(error) => super::control::lost(error, server),
        FtpError::SecureError(why) => {
            let address = server.address();
            Error::new(Kind::Tls, format!("TLS with {address} failed: {why}"))
                .retrying(crate::error::Retry::NewSession)
        }
        other => Error::new(Kind::Protocol, format!("the server was not understood: {other}"))
            .advise("try it without --ftp-engine suppaftp"),
    }
}

/// Makes the data connections of passive mode, as every other connection: with timeouts, by the proxy, to be interrupted.
struct Dialer {
    server: Arc<Server>,
    host: Host,
    failure: Arc<Mutex<Option<Error>>>,
    has_connected: Arc<AtomicBool>,
}

impl Dialer {
    fn connect(&self, address: SocketAddr) -> FtpResult<TcpStream> {
        let host =
            if self.server.config.trust_pasv_host { Host::Ip(address.ip()) } else { self.host.clone() };
        let dialled = super::data::dial_for_data(&self.server, &host, address.port()).map_err(|error| {
            *locked(&self.failure) = Some(error);
            FtpError::ConnectionError(io::ErrorKind::NotConnected.into())
        });
        self.has_connected.store(dialled.is_ok(), Ordering::SeqCst);
        dialled
    }
}

/// Text in which each character stands for the byte of its number, so that names keep theirs.
#[derive(Debug, Clone, Copy)]
struct Bytes;

impl Encoding for Bytes {
    fn decode(&self, bytes: &[u8]) -> String {
        bytes.iter().map(|byte| char::from(*byte)).collect()
    }

    fn encode(&self, text: &str) -> io::Result<Vec<u8>> {
        let byte = |c: char| u8::try_from(u32::from(c)).map_err(|_| io::ErrorKind::InvalidInput.into());
        text.chars().map(byte).collect()
    }
}

/// Puts TLS on the control connection and its data connections, which share one store of sessions.
#[derive(Debug)]
pub struct Connector {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
    timeout: Duration,
    seen: Arc<Mutex<Seen>>,
}

impl Connector {
    /// For one control connection.
    pub fn new(config: &Arc<ClientConfig>, name: ServerName<'static>, timeout: Duration) -> Self {
        Connector { config: Arc::clone(config), name, timeout, seen: Arc::default() }
    }

    fn shake_hands(&self, socket: TcpStream, is_control: bool) -> io::Result<Secured> {
        prepare(&socket, self.timeout)?;
        let connection = ClientConnection::new(Arc::clone(&self.config), self.name.clone());
        let connection = connection.map_err(io::Error::other)?;
        let mut stream = StreamOwned::new(connection, socket);
        shake_hands(&mut stream.conn, &mut stream.sock, Some(self.timeout))?;
        Ok(Secured { stream, is_control, is_given_up: false })
    }
}

impl TlsConnector for Connector {
    type Stream = Secured;

    fn connect(&self, _: &str, socket: TcpStream) -> FtpResult<Secured> {
        let mut seen = locked(&self.seen);
        // The first one is the control connection.
        match self.shake_hands(socket, seen.words.is_none()) {
            Ok(secured) => {
                seen.words.get_or_insert_with(|| tls_words(&secured.stream.conn).unwrap_or_default());
                seen.is_tls13 = secured.stream.conn.protocol_version() == Some(ProtocolVersion::TLSv1_3);
                Ok(secured)
            }
            Err(error) => {
                let told = FtpError::SecureError(error.to_string());
                seen.failure = Some(error);
                Err(told)
            }
        }
    }
}

/// A connection with TLS, closed as it should be: all is said, and read to the end, since new tickets come last.
#[derive(Debug)]
pub struct Secured {
    stream: StreamOwned<ClientConnection, TcpStream>,
    is_control: bool,
    is_given_up: bool,
}

impl Secured {
    /// TLS itself.
    pub fn connection(&self) -> &ClientConnection {
        &self.stream.conn
    }

    /// It ends without a goodbye.
    pub fn give_up(&mut self) {
        self.is_given_up = true;
    }
}

impl TlsStream for Secured {
    type InnerStream = StreamOwned<ClientConnection, TcpStream>;

    fn tcp_stream(self) -> FtpResult<TcpStream> {
        self.stream.sock.try_clone().map_err(FtpError::ConnectionError)
    }

    fn get_ref(&self) -> &TcpStream {
        &self.stream.sock
    }

    fn mut_ref(&mut self) -> &mut Self::InnerStream {
        &mut self.stream
    }
}

impl Drop for Secured {
    fn drop(&mut self) {
        if self.is_given_up {
            return;
        }
        self.stream.conn.send_close_notify();
        let _ = self.stream.flush();
        if self.is_control {
            return;
        }
        let _ = self.stream.sock.shutdown(Shutdown::Write);
        let _ = self.stream.sock.set_read_timeout(Some(LAST_WORDS));
        let mut rest = [0; 4096];
        while matches!(self.stream.read(&mut rest), Ok(count) if count > 0) {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_their_bytes() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(Bytes.encode(&Bytes.decode(&all)).unwrap(), all);
        assert!(Bytes.encode("\u{100}").is_err());
    }

    #[test]
    fn replies_that_may_not_be_whole_are_refused() {
        assert_eq!(parsed(b"211-Features\r\n SIZE\r\n211 end\r\n").unwrap().lines().len(), 3);
        assert!(parsed(b"211-Features\r\n SIZE\r\n200 more may follow\r\n").is_err());
        assert_eq!(parsed(b"220 ready").unwrap().code(), 220);
        assert!(parsed(b"what?").is_err());
    }

    #[test]
    fn no_log_can_show_a_password() {
        assert!(log::STATIC_MAX_LEVEL <= log::LevelFilter::Debug);
    }
}
