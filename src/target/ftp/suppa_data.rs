//! A data connection of the second engine.
//!
//! How the transfer ended is heard with its end, and kept for whoever asks the control connection.

use super::secured::tls_words;
use super::suppa::{Heard, Secured, end_of};
use crate::locked::locked;
use socket2::SockRef;
use std::io;
use std::net::{Shutdown, TcpStream};
use std::time::Duration;
use suppaftp::{DataStream, TransferStream};

/// An open data connection.
pub struct Lent {
    /// `None` once it has ended.
    transfer: Option<TransferStream<Secured>>,
    heard: Heard,
    socket: TcpStream,
}

impl Lent {
    /// An open data connection; its end goes to `heard`.
    ///
    /// # Errors
    /// If the system has no handle left.
    pub fn new(transfer: TransferStream<Secured>, heard: Heard) -> io::Result<Self> {
        let socket = transfer.get_ref().get_ref().try_clone()?;
        Ok(Lent { transfer: Some(transfer), heard, socket })
    }

    /// The socket below.
    pub fn socket(&self) -> &TcpStream {
        &self.socket
    }

    /// For reading and writing.
    ///
    /// # Errors
    /// If it has ended.
    pub fn open(&mut self) -> io::Result<&mut TransferStream<Secured>> {
        self.transfer.as_mut().ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    /// See [`tls_words`].
    pub fn tls_words(&self) -> Option<String> {
        match self.transfer.as_ref()?.get_ref() {
            DataStream::Ssl(secured) => tls_words(secured.connection()),
            DataStream::Tcp(_) => None,
        }
    }

    /// Ends the connection with a reset, so that the server cannot take it for a complete transfer. Nobody else may hold a
    /// handle of the socket then.
    pub fn reset(mut self) {
        let Some(mut transfer) = self.transfer.take() else { return };
        let heard = self.heard.clone();
        drop(self);
        // It fails only on a connection that is gone already.
        let _ = SockRef::from(transfer.get_ref().get_ref()).set_linger(Some(Duration::ZERO));
        if let DataStream::Ssl(secured) = transfer.get_mut() {
            secured.give_up();
        }
        let end = end_of(transfer.finish());
        locked(&heard).push_back(end);
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(mut transfer) = self.transfer.take() {
            if let DataStream::Tcp(socket) = transfer.get_mut() {
                // There are other handles of it, so closing this one would not end it.
                let _ = socket.shutdown(Shutdown::Write);
            }
            let end = end_of(transfer.finish());
            locked(&self.heard).push_back(end);
        }
    }
}
