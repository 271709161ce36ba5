//! TLS over a TCP connection.

use super::control::SLOWEST;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, HandshakeKind, ProtocolVersion};
use std::io::{self, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// So much is read from the socket at a time: several records. `rustls` by itself asks for a quarter of one.
const AT_A_TIME: usize = 64 << 10;

/// So much may a peer say for TLS itself at a time, in pieces of some KiB, and still count as quiet.
const MOST_OF_TLS: usize = 64;

/// How long a peer may take to end what it sends, all in all, after we have ended what we send.
const LAST_BYTES: Duration = Duration::from_secs(5);

/// A TCP connection with TLS on top.
pub struct Secured {
    connection: ClientConnection,
    socket: Buffered,
    was_asked_anew: bool,
}

/// A socket from which much is read at a time.
struct Buffered(BufReader<TcpStream>);

impl Read for Buffered {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Buffered {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.get_mut().write(bytes)
    }

    fn write_vectored(&mut self, pieces: &[io::IoSlice<'_>]) -> io::Result<usize> {
        self.0.get_mut().write_vectored(pieces)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.get_mut().flush()
    }
}

/// Carries out a TLS handshake, for which each read may take `timeout`. What comes in drops, for ever, is as good as silence.
///
/// # Errors
/// What the peer or the check of its certificate says; a `rustls::Error` inside the `io::Error` where there is one.
pub fn shake_hands(
    connection: &mut ClientConnection,
    socket: &mut (impl Read + Write),
    timeout: Option<Duration>,
) -> io::Result<()> {
    let limit = timeout.map(|timeout| timeout * SLOWEST);
    let begun = Instant::now();
    while connection.is_handshaking() {
        say_all(connection, socket)?;
        if limit.is_some_and(|limit| begun.elapsed() > limit) {
            return Err(io::ErrorKind::TimedOut.into());
        }
        if take_in(connection, socket)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    say_all(connection, socket)
}

/// Reads once from the socket, and decrypts what is complete. The number of bytes that came.
fn take_in(connection: &mut ClientConnection, socket: &mut (impl Read + Write)) -> io::Result<usize> {
    let count = loop {
        match connection.read_tls(socket) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => break read?,
        }
    };
    if let Err(error) = connection.process_new_packets() {
        // The peer is told why; the error is what counts here.
        let _ = say_all(connection, socket);
        return Err(unreadable(error));
    }
    Ok(count)
}

fn unreadable(error: rustls::Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

fn say_all(connection: &mut ClientConnection, socket: &mut impl Write) -> io::Result<()> {
    while connection.wants_write() {
        match connection.write_tls(socket) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            written => {
                written?;
            }
        }
    }
    Ok(())
}

/// Version and cipher, once the handshake is done, and whether an earlier session was resumed: `TLSv1.2, TLS_ECDHE_...,
/// session resumed`.
pub fn tls_words(connection: &ClientConnection) -> Option<String> {
    let version = match connection.protocol_version()? {
        ProtocolVersion::TLSv1_2 => "TLSv1.2".to_owned(),
        ProtocolVersion::TLSv1_3 => "TLSv1.3".to_owned(),
        other => format!("{other:?}"),
    };
    let cipher = connection.negotiated_cipher_suite()?.suite();
    let cipher = cipher.as_str().unwrap_or("unknown cipher");
    let is_resumed = connection.handshake_kind() == Some(HandshakeKind::Resumed);
    Some(format!("{version}, {cipher}{}", if is_resumed { ", session resumed" } else { "" }))
}

impl Secured {
    /// Sends the first message of the handshake, without waiting for the answer.
    ///
    /// # Errors
    /// If the message cannot be made or sent.
    pub fn begin(
        socket: TcpStream,
        config: &Arc<ClientConfig>,
        name: ServerName<'static>,
    ) -> io::Result<Self> {
        let mut connection = ClientConnection::new(Arc::clone(config), name).map_err(io::Error::other)?;
        let mut socket = Buffered(BufReader::with_capacity(AT_A_TIME, socket));
        say_all(&mut connection, &mut socket)?;
        Ok(Secured { connection, socket, was_asked_anew: false })
    }

    /// Finishes the handshake; does nothing where that was done.
    ///
    /// # Errors
    /// As [`shake_hands`].
    pub fn complete(&mut self) -> io::Result<()> {
        let timeout = self.socket().read_timeout()?;
        shake_hands(&mut self.connection, &mut self.socket, timeout)
    }

    /// The socket below. Some of what it has received may have been taken from it already.
    pub fn socket(&self) -> &TcpStream {
        self.socket.0.get_ref()
    }

    /// What was agreed on with the peer.
    pub fn connection(&self) -> &ClientConnection {
        &self.connection
    }

    /// Whether the peer has asked to negotiate anew in the middle of a connection of TLS 1.2, which is refused.
    pub fn was_asked_anew(&self) -> bool {
        self.was_asked_anew
    }

    fn take_in(&mut self) -> io::Result<usize> {
        let taken = take_in(&mut self.connection, &mut self.socket);
        // While this side reads it has nothing else to say.
        let has_refused = taken.is_ok() && self.connection.wants_write();
        self.was_asked_anew |=
            has_refused && self.connection.protocol_version() == Some(ProtocolVersion::TLSv1_2);
        taken
    }

    /// Reads what comes next, and what has come with it. A peer may not take longer than `limit` for one record, however small
    /// the pieces are that it sends; if none is given, not longer than [`SLOWEST`] times what it may take for one piece.
    fn read_within(&mut self, buffer: &mut [u8], limit: Option<Duration>) -> io::Result<usize> {
        let mut count = self.read_record(buffer, limit)?;
        // No part of this waits for anything. What is wrong with the next record is told to who asks for it.
        while (1..buffer.len()).contains(&count)
            && !self.socket.0.buffer().is_empty()
            && self.take_in().is_ok()
            && let Some(rest) = buffer.get_mut(count..)
        {
            count += self.connection.reader().read(rest).unwrap_or(0);
        }
        Ok(count)
    }

    fn read_record(&mut self, buffer: &mut [u8], limit: Option<Duration>) -> io::Result<usize> {
        if let Some(read) = self.decrypted(buffer) {
            return read;
        }
        // It may be known already that nothing good will come.
        self.connection.process_new_packets().map_err(unreadable)?;
        let limit = match limit {
            Some(limit) => Some(limit),
            None => self.socket().read_timeout()?.map(|timeout| timeout * SLOWEST),
        };
        let begun = Instant::now();
        loop {
            // For the first piece the timeout of the socket is enough.
            self.take_in()?;
            say_all(&mut self.connection, &mut self.socket)?;
            if let Some(read) = self.decrypted(buffer) {
                return read;
            }
            if limit.is_some_and(|limit| begun.elapsed() > limit) {
                return Err(io::ErrorKind::TimedOut.into());
            }
        }
    }

    /// What is there of a record, or how the connection has ended.
    fn decrypted(&mut self, buffer: &mut [u8]) -> Option<io::Result<usize>> {
        match self.connection.reader().read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
            read => Some(read),
        }
    }

    /// Whether nothing has arrived but what TLS says for itself, such as new session tickets, and the peer has not ended the
    /// connection. The socket does not block; what is taken from it is there for the next read.
    pub fn is_quiet(&mut self) -> bool {
        let mut pieces = 0..MOST_OF_TLS;
        loop {
            let state = self.connection.process_new_packets();
            let is_nothing = matches!(state, Ok(state) if state.plaintext_bytes_to_read() == 0 && !state.peer_has_closed());
            if !is_nothing || pieces.next().is_none() {
                return false;
            }
            match self.connection.read_tls(&mut self.socket) {
                Ok(1..) => {}
                Err(error) => return error.kind() == io::ErrorKind::WouldBlock,
                Ok(_) => return false,
            }
        }
    }

    /// Says `close_notify`, ends the sending direction, and drains *through* TLS: new session tickets may still arrive, and a
    /// socket that is closed with unread bytes would reset the connection under the peer's feet.
    ///
    /// # Errors
    /// If the last bytes cannot be sent. How the peer closes does not matter.
    pub fn finish_sending(mut self) -> io::Result<()> {
        self.connection.send_close_notify();
        self.flush()?;
        self.socket().shutdown(Shutdown::Write)?;
        self.socket().set_read_timeout(Some(LAST_BYTES))?;
        let (mut rest, begun) = ([0; 4096], Instant::now());
        while let Some(left) = LAST_BYTES.checked_sub(begun.elapsed())
            && matches!(self.read_within(&mut rest, Some(left)), Ok(1..))
        {}
        Ok(())
    }

    /// Answers the goodbye of a peer that has sent everything.
    pub fn answer_goodbye(&mut self) {
        self.connection.send_close_notify();
        // A peer that is gone already does not wait for it.
        let _ = self.flush();
    }
}

impl Read for Secured {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.read_within(buffer, None)
    }
}

impl Write for Secured {
    /// An error is the end of the connection: how much of `bytes` has arrived is unknown then.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.complete()?;
        let count = self.connection.writer().write(bytes)?;
        self.flush()?;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        say_all(&mut self.connection, &mut self.socket)
    }
}

#[cfg(test)]
mod tests {
    use super::super::config::TlsConfig;
    use super::super::tls::{Trust, Versions};
    use super::*;
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    use rustls::{ServerConfig, ServerConnection};
    use std::net::TcpListener;
    use std::thread;

    const PEM: &[u8] = include_bytes!("../../../tests/core/ftp_server.pem");
    /// As a record of data that cannot be decrypted.
    const NONSENSE: &[u8] = b"\x17\x03\x03\x00\x20no key in the world fits to that";

    /// What follows the bytes that a server sends, in one piece with them.
    #[derive(Clone, Copy, PartialEq)]
    enum End {
        Goodbye,
        NoGoodbye,
        /// And then silence.
        Nonsense,
    }

    fn server(mut socket: TcpStream, content: &[u8], end: End) {
        let chain = vec![CertificateDer::from_pem_slice(PEM).unwrap()];
        let key = PrivateKeyDer::from_pem_slice(PEM).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = config.unwrap().with_no_client_auth().with_single_cert(chain, key).unwrap();
        let mut connection = ServerConnection::new(Arc::new(config)).unwrap();
        while connection.is_handshaking() || connection.wants_write() {
            connection.complete_io(&mut socket).unwrap();
        }
        connection.set_buffer_limit(None);
        connection.writer().write_all(content).unwrap();
        if end == End::Goodbye {
            connection.send_close_notify();
        }
        let mut sent = Vec::new();
        while connection.wants_write() {
            connection.write_tls(&mut sent).unwrap();
        }
        match end {
            End::Nonsense => {
                sent.extend_from_slice(NONSENSE);
                socket.write_all(&sent).unwrap();
            }
            End::Goodbye | End::NoGoodbye => {
                socket.write_all(&sent).unwrap();
                socket.shutdown(Shutdown::Write).unwrap();
            }
        }
        // Until the other side has enough.
        while matches!(socket.read(&mut [0; 4096]), Ok(1..)) {}
    }

    /// A connection to it, with the handshake done.
    fn client(content: &'static [u8], end: End) -> Secured {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let socket = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let accepted = listener.accept().unwrap().0;
        thread::spawn(move || server(accepted, content, end));
        let trust = Trust::new(&TlsConfig { verify: false, ..TlsConfig::default() }, "localhost").unwrap();
        let config = trust.client_config(Versions::Any, &Arc::default()).unwrap();
        let mut secured = Secured::begin(socket, &config, trust.name()).unwrap();
        secured.complete().unwrap();
        secured
    }

    fn content() -> &'static [u8] {
        (0..200_000_u32).map(|number| number.to_le_bytes()[1]).collect::<Vec<u8>>().leak()
    }

    fn all_of(secured: &mut Secured, size: usize) -> (Vec<u8>, io::Result<usize>) {
        let (mut all, mut piece) = (Vec::new(), vec![0; size]);
        loop {
            match secured.read(&mut piece) {
                Ok(count @ 1..) => all.extend_from_slice(&piece[..count]),
                end => return (all, end),
            }
        }
    }

    #[test]
    fn bytes_arrive_whole_and_in_order_however_much_is_asked_for() {
        for size in [1000, 16_384, 50_000, 1 << 20] {
            let mut secured = client(content(), End::Goodbye);
            let (all, end) = all_of(&mut secured, size);
            assert!(all == content(), "{} bytes in pieces of {size}", all.len());
            assert_eq!(end.unwrap(), 0);
            assert_eq!(secured.read(&mut [0; 10]).unwrap(), 0, "the end stays the end");
        }
    }

    #[test]
    fn an_end_without_a_goodbye_is_told_behind_all_that_came() {
        for size in [1000, 1 << 20] {
            let mut secured = client(content(), End::NoGoodbye);
            let (all, end) = all_of(&mut secured, size);
            assert!(all == content(), "{} bytes in pieces of {size}", all.len());
            assert_eq!(end.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        }
    }

    #[test]
    fn nonsense_is_told_behind_the_good_bytes_and_without_waiting_for_more() {
        for size in [1000, 1 << 20] {
            let mut secured = client(content(), End::Nonsense);
            let (all, end) = all_of(&mut secured, size);
            assert!(all == content(), "{} bytes in pieces of {size}", all.len());
            assert_eq!(end.unwrap_err().kind(), io::ErrorKind::InvalidData);
            assert_eq!(secured.read(&mut [0; 10]).unwrap_err().kind(), io::ErrorKind::InvalidData);
        }
    }

    #[test]
    fn what_came_is_no_silence_and_is_not_lost_by_looking() {
        let mut secured = client(b"x", End::Goodbye);
        let is_quiet = |secured: &mut Secured| {
            secured.socket().set_nonblocking(true).unwrap();
            let is_quiet = secured.is_quiet();
            secured.socket().set_nonblocking(false).unwrap();
            is_quiet
        };
        let begun = Instant::now();
        while is_quiet(&mut secured) {
            assert!(begun.elapsed() < Duration::from_secs(20), "it never came");
        }
        assert!(!is_quiet(&mut secured));
        let (all, end) = all_of(&mut secured, 10);
        assert_eq!((all.as_slice(), end.unwrap()), (&b"x"[..], 0));
    }
}
