//! A TCP connection, with or without TLS.

use super::control::SLOWEST;
use super::sockets::{Lease, Sockets};
#[cfg(feature = "suppaftp")]
use super::suppa_data::Lent;
use crate::error::Result;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, HandshakeKind, StreamOwned};
use socket2::{SockRef, TcpKeepalive};
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// So much may a peer say for TLS itself at a time, in pieces of some KiB, and still count as quiet.
const MOST_OF_TLS: usize = 64;

/// How long a peer may take to end what it sends, all in all, after we have ended what we send.
const LAST_BYTES: Duration = Duration::from_secs(5);

/// One connection, listed among the open sockets of its target.
pub struct Stream {
    inner: Inner,
    lease: Lease,
    is_ended_early: bool,
}

enum Inner {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
    /// A data connection of the other engine.
    #[cfg(feature = "suppaftp")]
    Lent(Box<Lent>),
}

/// Prepares a fresh connection: no delay for small writes, keepalive, and `timeout` for each read and write.
///
/// # Errors
/// If the system refuses one of the settings.
pub fn prepare(socket: &TcpStream, timeout: Duration) -> io::Result<()> {
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(timeout))?;
    socket.set_write_timeout(Some(timeout))?;
    // Routers forget a control connection that is silent during a long transfer; keepalive is their reminder.
    let keepalive =
        TcpKeepalive::new().with_time(Duration::from_secs(30)).with_interval(Duration::from_secs(15));
    SockRef::from(socket).set_tcp_keepalive(&keepalive)
}

/// Carries out a TLS handshake. What comes in drops, for ever, is as good as silence.
///
/// # Errors
/// What the peer or the check of its certificate says; a `rustls::Error` inside the `io::Error` where there is one.
pub fn shake_hands(connection: &mut ClientConnection, socket: &mut TcpStream) -> io::Result<()> {
    let limit = socket.read_timeout()?.map(|timeout| timeout * SLOWEST);
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

/// Reads what comes next. A peer may not take longer than `limit` for one record, however small the pieces are that it sends;
/// if none is given, not longer than [`SLOWEST`] times what it may take for one piece.
fn read_decrypted(
    stream: &mut StreamOwned<ClientConnection, TcpStream>,
    buffer: &mut [u8],
    limit: Option<Duration>,
) -> io::Result<usize> {
    let mut begun = None;
    loop {
        match stream.conn.reader().read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            read => return read,
        }
        match begun {
            // For the first piece the timeout of the socket is enough.
            None => begun = Some(Instant::now()),
            Some(begun) => {
                let usual =
                    || stream.sock.read_timeout().map(|timeout| timeout.map(|timeout| timeout * SLOWEST));
                let limit = limit.map_or_else(usual, |limit| Ok(Some(limit)))?;
                if limit.is_some_and(|limit| begun.elapsed() > limit) {
                    return Err(io::ErrorKind::TimedOut.into());
                }
            }
        }
        take_in(&mut stream.conn, &mut stream.sock)?;
        say_all(&mut stream.conn, &mut stream.sock)?;
    }
}

/// Reads once from the socket, and decrypts what is complete. The number of bytes that came.
fn take_in(connection: &mut ClientConnection, socket: &mut TcpStream) -> io::Result<usize> {
    let count = loop {
        match connection.read_tls(socket) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => break read?,
        }
    };
    if let Err(error) = connection.process_new_packets() {
        // The peer is told why; the error is what counts here.
        let _ = say_all(connection, socket);
        return Err(io::Error::new(io::ErrorKind::InvalidData, error));
    }
    Ok(count)
}

fn say_all(connection: &mut ClientConnection, socket: &mut TcpStream) -> io::Result<()> {
    while connection.wants_write() {
        connection.write_tls(socket)?;
    }
    Ok(())
}

/// Version and cipher, once the handshake is done, and whether an earlier session was resumed: `TLSv1.2, TLS_ECDHE_...,
/// session resumed`.
pub fn tls_words(connection: &ClientConnection) -> Option<String> {
    let version = match connection.protocol_version()? {
        rustls::ProtocolVersion::TLSv1_2 => "TLSv1.2".to_owned(),
        rustls::ProtocolVersion::TLSv1_3 => "TLSv1.3".to_owned(),
        other => format!("{other:?}"),
    };
    let cipher = connection.negotiated_cipher_suite()?.suite();
    let cipher = cipher.as_str().unwrap_or("unknown cipher");
    let is_resumed = connection.handshake_kind() == Some(HandshakeKind::Resumed);
    Some(format!("{version}, {cipher}{}", if is_resumed { ", session resumed" } else { "" }))
}

impl Stream {
    /// Prepares a fresh connection: no delay for small writes, keepalive, and `timeout` for each read and write.
    ///
    /// # Errors
    /// If the system refuses one of the settings.
    pub fn new(socket: TcpStream, timeout: Duration, sockets: &Arc<Sockets>) -> Result<Self> {
        prepare(&socket, timeout)?;
        let lease = sockets.register(&socket)?;
        Ok(Stream { inner: Inner::Plain(socket), lease, is_ended_early: false })
    }

    /// A data connection of the other engine.
    ///
    /// # Errors
    /// If the system refuses a setting.
    #[cfg(feature = "suppaftp")]
    pub fn lent(lent: Lent, timeout: Duration, sockets: &Arc<Sockets>) -> Result<Self> {
        prepare(lent.socket(), timeout)?;
        let lease = sockets.register(lent.socket())?;
        Ok(Stream { inner: Inner::Lent(Box::new(lent)), lease, is_ended_early: false })
    }

    /// Puts TLS on top and sends the first message of the handshake, without waiting for the answer.
    ///
    /// # Errors
    /// If the message cannot be made or sent.
    pub fn begin_tls(self, config: &Arc<ClientConfig>, name: ServerName<'static>) -> io::Result<Self> {
        let Inner::Plain(mut socket) = self.inner else {
            return Ok(self);
        };
        let mut connection = ClientConnection::new(Arc::clone(config), name).map_err(io::Error::other)?;
        say_all(&mut connection, &mut socket)?;
        let inner = Inner::Tls(Box::new(StreamOwned::new(connection, socket)));
        Ok(Stream { inner, ..self })
    }

    /// Finishes a handshake; does nothing without TLS.
    ///
    /// # Errors
    /// As [`shake_hands`].
    pub fn complete_tls(&mut self) -> io::Result<()> {
        match &mut self.inner {
            Inner::Tls(stream) => shake_hands(&mut stream.conn, &mut stream.sock),
            _ => Ok(()),
        }
    }

    /// See [`tls_words`].
    pub fn tls_words(&self) -> Option<String> {
        match &self.inner {
            Inner::Plain(_) => None,
            Inner::Tls(stream) => tls_words(&stream.conn),
            #[cfg(feature = "suppaftp")]
            Inner::Lent(lent) => lent.tls_words(),
        }
    }

    /// Whether the connection is encrypted by TLS 1.3.
    pub fn is_tls13(&self) -> bool {
        match &self.inner {
            Inner::Plain(_) => false,
            #[cfg(feature = "suppaftp")]
            Inner::Lent(_) => false,
            Inner::Tls(stream) => stream.conn.protocol_version() == Some(rustls::ProtocolVersion::TLSv1_3),
        }
    }

    /// The socket below.
    pub fn socket(&self) -> &TcpStream {
        match &self.inner {
            Inner::Plain(socket) => socket,
            Inner::Tls(stream) => &stream.sock,
            #[cfg(feature = "suppaftp")]
            Inner::Lent(lent) => lent.socket(),
        }
    }

    /// Whether nothing has arrived and the peer has not ended the connection. Never blocks, and takes nothing away that the next
    /// read would miss. What TLS says for itself, such as new session tickets, does not count.
    pub fn is_quiet(&mut self) -> bool {
        if self.socket().set_nonblocking(true).is_err() {
            return false;
        }
        let is_quiet = match &mut self.inner {
            Inner::Plain(socket) => would_block(&socket.peek(&mut [0])),
            #[cfg(feature = "suppaftp")]
            Inner::Lent(lent) => would_block(&lent.socket().peek(&mut [0])),
            Inner::Tls(stream) => {
                let mut pieces = 0..MOST_OF_TLS;
                loop {
                    let state = stream.conn.process_new_packets();
                    let is_nothing = matches!(state, Ok(state) if state.plaintext_bytes_to_read() == 0 && !state.peer_has_closed());
                    if !is_nothing || pieces.next().is_none() {
                        break false;
                    }
                    match stream.conn.read_tls(&mut stream.sock) {
                        Ok(1..) => {}
                        other => break would_block(&other),
                    }
                }
            }
        };
        self.socket().set_nonblocking(false).is_ok() && is_quiet
    }

    /// Ends the sending direction so that the peer knows that nothing is missing, and reads until the peer has ended too.
    ///
    /// With TLS that is `close_notify` and a drain *through* TLS: new session tickets may still arrive, and a socket that is
    /// closed with unread bytes would reset the connection under the peer's feet.
    ///
    /// # Errors
    /// If the last bytes cannot be sent. How the peer closes does not matter.
    pub fn finish_sending(mut self) -> io::Result<()> {
        #[cfg(feature = "suppaftp")]
        if let Inner::Lent(lent) = self.inner {
            // It knows how to end.
            drop(lent);
            return Ok(());
        }
        if let Inner::Tls(stream) = &mut self.inner {
            stream.conn.send_close_notify();
            stream.flush()?;
        }
        self.socket().shutdown(Shutdown::Write)?;
        if let Inner::Tls(stream) = &mut self.inner {
            stream.sock.set_read_timeout(Some(LAST_BYTES))?;
            let (mut rest, begun) = ([0; 4096], Instant::now());
            while let Some(left) = LAST_BYTES.checked_sub(begun.elapsed())
                && matches!(read_decrypted(stream, &mut rest, Some(left)), Ok(1..))
            {}
        }
        Ok(())
    }

    /// Answers the goodbye of a peer that has sent everything, and closes. Some (vsftpd with `strict_ssl_write_shutdown`) call a
    /// transfer broken without it.
    pub fn close_after_reading(mut self) {
        if let Inner::Tls(stream) = &mut self.inner {
            stream.conn.send_close_notify();
            // A peer that is gone already does not wait for it.
            let _ = say_all(&mut stream.conn, &mut stream.sock);
        }
    }

    /// Tells the peer of a connection in clear that nothing will be sent to it.
    pub fn end_early(&mut self) {
        if let Inner::Plain(socket) = &self.inner {
            self.is_ended_early = socket.shutdown(Shutdown::Write).is_ok();
        }
    }

    /// Whether the peer was told so.
    pub fn is_ended_early(&self) -> bool {
        self.is_ended_early
    }

    /// Ends the connection with a reset, so that the peer cannot take it for a complete transfer.
    pub fn reset(self) {
        #[cfg(feature = "suppaftp")]
        if let Inner::Lent(lent) = self.inner {
            drop(self.lease);
            lent.reset();
            return;
        }
        // Both calls fail only on a connection that is gone already.
        let _ = SockRef::from(self.socket()).set_linger(Some(Duration::ZERO));
    }
}

/// Whether there was nothing to read.
fn would_block(outcome: &io::Result<usize>) -> bool {
    matches!(outcome, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.inner {
            Inner::Plain(socket) => socket.read(buffer),
            Inner::Tls(stream) => read_decrypted(stream, buffer, None),
            #[cfg(feature = "suppaftp")]
            Inner::Lent(lent) => lent.open()?.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.inner {
            Inner::Plain(socket) => socket.write(bytes),
            Inner::Tls(stream) => stream.write(bytes),
            #[cfg(feature = "suppaftp")]
            Inner::Lent(lent) => lent.open()?.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.inner {
            Inner::Plain(socket) => socket.flush(),
            Inner::Tls(stream) => stream.flush(),
            #[cfg(feature = "suppaftp")]
            Inner::Lent(lent) => lent.open()?.flush(),
        }
    }
}
