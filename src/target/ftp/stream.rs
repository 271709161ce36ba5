//! A TCP connection, with or without TLS.

use super::secured::{Secured, tls_words};
use super::sockets::{Lease, Sockets};
#[cfg(feature = "suppaftp")]
use super::suppa_data::Lent;
use crate::error::Result;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ProtocolVersion};
use socket2::{SockRef, TcpKeepalive};
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::Duration;

/// One connection, listed among the open sockets of its target.
pub struct Stream {
    inner: Inner,
    #[cfg_attr(not(feature = "suppaftp"), expect(dead_code, reason = "it counts as long as it lives"))]
    lease: Lease,
    is_ended_early: bool,
}

enum Inner {
    Plain(TcpStream),
    Tls(Box<Secured>),
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
        let Inner::Plain(socket) = self.inner else {
            return Ok(self);
        };
        let inner = Inner::Tls(Box::new(Secured::begin(socket, config, name)?));
        Ok(Stream { inner, ..self })
    }

    /// Finishes a handshake; does nothing without TLS.
    ///
    /// # Errors
    /// As [`Secured::complete`].
    pub fn complete_tls(&mut self) -> io::Result<()> {
        match &mut self.inner {
            Inner::Tls(stream) => stream.complete(),
            _ => Ok(()),
        }
    }

    /// See [`tls_words`].
    pub fn tls_words(&self) -> Option<String> {
        match &self.inner {
            Inner::Plain(_) => None,
            Inner::Tls(stream) => tls_words(stream.connection()),
            #[cfg(feature = "suppaftp")]
            Inner::Lent(lent) => lent.tls_words(),
        }
    }

    /// See [`Secured::was_asked_anew`].
    pub fn was_asked_anew(&self) -> bool {
        matches!(&self.inner, Inner::Tls(stream) if stream.was_asked_anew())
    }

    /// Whether the connection is encrypted by TLS 1.3.
    pub fn is_tls13(&self) -> bool {
        match &self.inner {
            Inner::Plain(_) => false,
            #[cfg(feature = "suppaftp")]
            Inner::Lent(_) => false,
            Inner::Tls(stream) => stream.connection().protocol_version() == Some(ProtocolVersion::TLSv1_3),
        }
    }

    /// The socket below.
    pub fn socket(&self) -> &TcpStream {
        match &self.inner {
            Inner::Plain(socket) => socket,
            Inner::Tls(stream) => stream.socket(),
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
            Inner::Tls(stream) => stream.is_quiet(),
        };
        self.socket().set_nonblocking(false).is_ok() && is_quiet
    }

    /// Ends the sending direction so that the peer knows that nothing is missing, and with TLS reads until the peer has ended too.
    ///
    /// # Errors
    /// If the last bytes cannot be sent. How the peer closes does not matter.
    pub fn finish_sending(self) -> io::Result<()> {
        match self.inner {
            Inner::Plain(socket) => socket.shutdown(Shutdown::Write),
            Inner::Tls(stream) => stream.finish_sending(),
            #[cfg(feature = "suppaftp")]
            Inner::Lent(lent) => {
                // It knows how to end.
                drop(lent);
                Ok(())
            }
        }
    }

    /// Answers the goodbye of a peer that has sent everything, and closes. Some (vsftpd with `strict_ssl_write_shutdown`) call a
    /// transfer broken without it.
    pub fn close_after_reading(mut self) {
        if let Inner::Tls(stream) = &mut self.inner {
            stream.answer_goodbye();
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
            Inner::Tls(stream) => stream.read(buffer),
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
