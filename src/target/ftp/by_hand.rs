//! The conversation in the user's own words: he sends command lines, reads replies, and moves the bytes of transfers.
//!
//! It is the same control connection that the verbs of the session use. What the user's commands change about it (the type
//! of transfers, say) is put back before the next verb, and replies that nobody has read are read then.

use super::Server;
use super::active;
use super::control::lost;
use super::data;
use super::errors::refusal;
use super::learned::Mode;
use super::proxy::Host;
use super::session::{FtpSession, catch_up};
use super::stream::Stream;
use crate::error::{Error, Kind, Result};
use crate::wire::ftp::{Command, Reply};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use std::collections::{BTreeSet, VecDeque};
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

/// How long to wait for a reply that nobody has read.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long to wait for the end of a file that nobody wants to read.
const SHORT_PATIENCE: Duration = Duration::from_secs(1);

/// What the verbs of the session rely on: commands and the argument that must be in force.
const PREMISES: [(&str, &str); 5] =
    [("TYPE", "I"), ("MODE", "S"), ("STRU", "F"), ("PROT", "P"), ("REST", "0")];

/// What the user's own commands have left behind.
#[derive(Default)]
pub struct Aftermath {
    /// Commands whose final reply was not read yet.
    unanswered: VecDeque<Command>,
    /// Premises that do not hold, by their place in [`PREMISES`].
    broken: BTreeSet<usize>,
    /// What became of the last data connection.
    transfer: Arc<Progress>,
}

/// How far a transfer has come. The data connection and the session both know it.
#[derive(Default)]
struct Progress(AtomicU8);

impl Progress {
    const OPEN: u8 = 1;
    const ENDED: u8 = 2;
    const GIVEN_UP: u8 = 3;

    fn is(&self, state: u8) -> bool {
        self.0.load(Ordering::Relaxed) == state
    }

    fn set(&self, state: u8) {
        self.0.store(state, Ordering::Relaxed);
    }
}

impl Aftermath {
    fn is_in_transfer(&self) -> bool {
        self.transfer.is(Progress::OPEN)
    }

    /// Takes the reply to the oldest command that has none.
    fn take(&mut self, reply: &Reply) {
        if reply.is_preliminary() {
            return;
        }
        let Some(command) = self.unanswered.pop_front() else {
            return;
        };
        let (verb, argument) = command.words();
        let premise = PREMISES.iter().position(|(known, _)| *known == verb);
        if let Some(index) = premise.filter(|_| reply.code() < 400) {
            if argument == PREMISES[index].1 {
                self.broken.remove(&index);
            } else {
                self.broken.insert(index);
            }
        }
    }

    /// Whether the user has asked for data connections in clear text.
    fn is_unprotected(&self) -> bool {
        self.broken.iter().any(|&index| PREMISES[index].0 == "PROT")
    }
}

/// A session, lent to the user's own commands.
pub struct ByHand<'a> {
    session: &'a mut FtpSession,
}

impl<'a> ByHand<'a> {
    /// Lends a session.
    pub(super) fn new(session: &'a mut FtpSession) -> Self {
        ByHand { session }
    }

    /// Sends one command line, given without its end.
    ///
    /// # Errors
    /// [`Kind::Name`] for a line that holds CR, LF or NUL; else what ends the conversation.
    pub fn send(&mut self, line: &[u8]) -> Result<()> {
        let command = Command::by_hand(line)?;
        self.session.finish_all()?;
        if !self.session.by_hand.is_in_transfer() {
            // The final reply of a transfer that was given up would be taken for the answer to this command.
            self.read_leftovers()?;
        }
        self.session.has_strayed = true;
        self.session.control.send_untold(std::slice::from_ref(&command))?;
        self.session.by_hand.unanswered.push_back(command);
        Ok(())
    }

    /// Reads the next reply, whatever it is.
    ///
    /// # Errors
    /// What ends the conversation.
    pub fn reply(&mut self) -> Result<Reply> {
        let reply = self.session.control.reply_untold()?;
        if !reply.is_preliminary() {
            self.session.control.judge_resumption(&reply);
        }
        self.session.by_hand.take(&reply);
        Ok(reply)
    }

    /// Asks for the current folder.
    ///
    /// # Errors
    /// A refusal, or what ends the conversation.
    pub fn folder(&mut self) -> Result<String> {
        self.in_order()?;
        let reply = self.session.control.ask(&Command::bare("PWD"))?;
        let path = reply.quoted_path().filter(|_| reply.is_success()).ok_or_else(|| refusal(&reply))?;
        Ok(self.session.server.names.decode_text(&path))
    }

    /// Goes to a folder, given by its absolute path.
    ///
    /// # Errors
    /// A refusal, or what ends the conversation.
    pub fn enter(&mut self, folder: &str) -> Result<()> {
        let mut path = self.session.server.names.encode_text(folder)?;
        if self.session.home.is_some() {
            self.in_order()?;
            self.session.go_home()?;
            let root = self.session.server.root.trim_end_matches('/');
            match folder.strip_prefix(root) {
                Some("" | "/") => return Ok(()),
                Some(below) if below.starts_with('/') => {
                    path = self.session.server.names.encode_text(&below[1..])?;
                }
                _ => {}
            }
        }
        self.session.has_strayed = true;
        let reply = self.session.control.ask(&Command::path("CWD", &path)?)?;
        if reply.is_success() {
            Ok(())
        } else {
            Err(refusal(&reply).during("change to the folder").at(folder))
        }
    }

    /// Connects to a port for a transfer: of the server, or of another host that it named and the user trusts.
    ///
    /// # Errors
    /// [`Kind::Busy`] or [`Kind::Timeout`].
    pub fn dial(&mut self, port: u16, elsewhere: Option<IpAddr>) -> Result<Hands> {
        let host = elsewhere.map_or_else(|| self.session.control.host().clone(), Host::Ip);
        let stream = data::connect_to(&self.session.server, &host, port)?;
        let door = self.door();
        Ok(door.opened(stream))
    }

    /// Prepares for a connection by the server.
    ///
    /// # Errors
    /// What the system says.
    pub fn listen(&mut self) -> Result<Listener> {
        let listener = TcpListener::bind(self.session.control.local_end())?;
        let from = self.session.control.host().clone();
        Ok(Listener { listener, from, door: self.door() })
    }

    /// How the next data connection is to be used.
    fn door(&mut self) -> Door {
        let progress = Arc::new(Progress(AtomicU8::new(Progress::OPEN)));
        self.session.by_hand.transfer = Arc::clone(&progress);
        let is_protected = !self.session.by_hand.is_unprotected();
        if is_protected {
            self.session.control.begins_data_tls();
        }
        let tls = self.session.control.tls().filter(|_| is_protected);
        let name = self.session.server.trust.as_ref().map(|trust| trust.name());
        Door { server: Arc::clone(&self.session.server), tls: tls.cloned().zip(name), progress }
    }

    /// Makes the conversation fit for the verbs of the session.
    ///
    /// # Errors
    /// [`Kind::Busy`] while a data connection is open; else what ends the conversation.
    pub fn settle(&mut self) -> Result<()> {
        self.in_order()?;
        // Where paths are absolute it does not matter where the conversation stands.
        if self.session.home.is_some() && self.session.has_strayed {
            self.session.go_home()?;
        }
        Ok(())
    }

    fn in_order(&mut self) -> Result<()> {
        if self.session.by_hand.is_in_transfer() {
            return Err(Error::new(
                Kind::Busy,
                "a transfer that was begun with a command of your own is still open; close it first",
            ));
        }
        self.read_leftovers()?;
        let broken = std::mem::take(&mut self.session.by_hand.broken);
        if broken.is_empty() {
            return Ok(());
        }
        let commands: Result<Vec<_>> =
            broken.iter().map(|&index| Command::text(PREMISES[index].0, PREMISES[index].1)).collect();
        let replies = self.session.control.burst(&commands?)?;
        match replies.iter().find(|reply| reply.code() >= 400) {
            Some(refused) => {
                self.session.control.doubt();
                Err(refusal(refused).during("go on after a command of your own"))
            }
            None => Ok(()),
        }
    }

    /// Reads the final replies that nobody has read.
    fn read_leftovers(&mut self) -> Result<()> {
        if self.session.by_hand.unanswered.is_empty() {
            return Ok(());
        }
        let patience = PATIENCE.min(self.session.server.config.timeout);
        let FtpSession { control, by_hand, .. } = &mut *self.session;
        let outcome = control.with_patience(patience, |control| {
            if by_hand.transfer.is(Progress::GIVEN_UP) {
                by_hand.unanswered.clear();
                control.send(&[Command::bare("ABOR")])?;
                return catch_up(control);
            }
            while !by_hand.unanswered.is_empty() {
                by_hand.take(&control.reply()?);
            }
            Ok(())
        });
        outcome.inspect_err(|_| control.doubt())
    }

    /// What the server said first.
    pub fn banner(&self) -> Option<&str> {
        self.session.control.banner()
    }

    /// What the server said when it let the user in.
    pub fn login_reply(&self) -> Option<&str> {
        self.session.control.login_reply()
    }

    /// A text without the password.
    pub fn masked(&self, text: &str) -> String {
        self.session.server.masked(text)
    }

    /// Both ends of the control connection: this one, and that of the server.
    ///
    /// # Errors
    /// If the connection is gone.
    pub fn ends(&self) -> Result<(SocketAddr, SocketAddr)> {
        Ok((self.socket().local_addr()?, self.socket().peer_addr()?))
    }

    /// Lets the server open the data connections of this target from now on, or not.
    pub fn set_active(&mut self, is_active: bool) {
        let mut learned = self.session.server.learned();
        learned.mode = Some(if is_active { Mode::Active } else { Mode::Passive });
        // The word of the user counts, also where the other mode would do better.
        learned.mode_works = true;
    }

    /// The socket of the control connection, for settings of the user's own.
    pub fn socket(&self) -> &TcpStream {
        self.session.control.socket()
    }
}

/// What a data connection needs to know.
struct Door {
    server: Arc<Server>,
    tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
    progress: Arc<Progress>,
}

impl Drop for Door {
    fn drop(&mut self) {
        if self.progress.is(Progress::OPEN) {
            self.progress.set(Progress::GIVEN_UP);
        }
    }
}

impl Door {
    fn opened(self, stream: Stream) -> Hands {
        Hands { stream: Some(stream), door: self, way: None, is_at_end: false }
    }
}

/// Waits for a data connection that the server opens.
pub struct Listener {
    listener: TcpListener,
    from: Host,
    door: Door,
}

impl Listener {
    /// Where the server has to connect to.
    ///
    /// # Errors
    /// What the system says.
    pub fn address(&self) -> Result<SocketAddr> {
        Ok(self.listener.local_addr()?)
    }

    /// Waits for the connection.
    ///
    /// # Errors
    /// [`Kind::Timeout`], or what the system says.
    pub fn accept(self) -> Result<Hands> {
        let server = &self.door.server;
        let socket = active::accept(server, &self.listener, &self.from)?;
        let stream = Stream::new(socket, server.config.timeout, &server.sockets)?;
        Ok(self.door.opened(stream))
    }
}

/// The direction of a transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// From the server.
    Here,
    /// To the server.
    There,
}

/// A data connection in the hands of the user. Dropping it gives the transfer up.
pub struct Hands {
    stream: Option<Stream>,
    door: Door,
    /// `None` until the server has agreed to the transfer.
    way: Option<Way>,
    is_at_end: bool,
}

impl Hands {
    /// Begins the transfer that the server has agreed to: encrypts the connection where the control connection is.
    ///
    /// # Errors
    /// [`Kind::Tls`](crate::error::Kind::Tls) and the like.
    pub fn begin(&mut self, way: Way) -> Result<()> {
        self.way = Some(way);
        let Some((config, name)) = &self.door.tls else {
            return Ok(());
        };
        let stream = self.stream.take().ok_or_else(closed)?;
        let secured = stream.begin_tls(config, name.clone()).and_then(|mut stream| {
            stream.complete_tls()?;
            Ok(stream)
        });
        self.stream = Some(secured.map_err(|error| lost(error, &self.door.server))?);
        Ok(())
    }

    /// Reads what has arrived; nothing at the end.
    ///
    /// # Errors
    /// What the connection says.
    pub fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let stream = self.stream.as_mut().ok_or_else(closed)?;
        let count = match stream.read(buffer) {
            // TLS without a goodbye: the final reply tells whether that was all.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => 0,
            read => read.map_err(|error| lost(error, &self.door.server))?,
        };
        self.is_at_end = count == 0 && !buffer.is_empty();
        Ok(count)
    }

    /// Sends all of the bytes.
    ///
    /// # Errors
    /// What the connection says.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let stream = self.stream.as_mut().ok_or_else(closed)?;
        stream.write_all(bytes).and_then(|()| stream.flush()).map_err(|error| lost(error, &self.door.server))
    }

    /// Whether it is encrypted.
    pub fn is_encrypted(&self) -> bool {
        self.door.tls.is_some() && self.way.is_some()
    }

    /// Ends the connection: what was sent is complete, what was not read is not wanted any more.
    ///
    /// # Errors
    /// If the last bytes cannot be sent.
    pub fn close(mut self) -> Result<()> {
        if self.way == Some(Way::Here) && !self.is_at_end {
            self.look_for_the_end();
        }
        let Some(stream) = self.stream.take() else {
            return Ok(());
        };
        match self.way {
            Some(Way::There) => {
                stream.finish_sending().map_err(|error| lost(error, &self.door.server))?;
                self.door.progress.set(Progress::ENDED);
            }
            Some(Way::Here) if self.is_at_end => {
                stream.close_after_reading();
                self.door.progress.set(Progress::ENDED);
            }
            Some(Way::Here) | None => stream.reset(),
        }
        Ok(())
    }
}

impl Hands {
    /// Reads what is left if it is little, as when somebody knows the size and stops without looking for the end.
    fn look_for_the_end(&mut self) {
        let Some(stream) = &self.stream else {
            return;
        };
        // If that fails, so does the reading.
        let _ = stream.socket().set_read_timeout(Some(SHORT_PATIENCE));
        let mut rest = [0; 4096];
        for _ in 0..16 {
            if !matches!(self.read(&mut rest), Ok(1..)) {
                break;
            }
        }
    }
}

impl Drop for Hands {
    fn drop(&mut self) {
        if let Some(stream) = self.stream.take() {
            // Given up: the server shall not take what was sent for complete.
            stream.reset();
        }
    }
}

fn closed() -> Error {
    Error::new(Kind::Disconnected, "the data connection is closed")
}
