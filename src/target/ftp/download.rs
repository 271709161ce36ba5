//! Reading one file: the reader that the verb lends.
//!
//! It reports the end only when the server has confirmed that all was sent, and the size is right.

use super::control::lost;
use super::data::{self, Channel};
use super::early_end;
use super::errors::refusal;
use super::handshake;
use super::session::{CHUNK, Ending, FtpSession, is_lost};
use crate::error::{Error, Kind, Result, Retry};
use crate::model::RelPath;
use crate::target::digest::Digest;
use crate::target::pace::Pace;
use crate::wire::ftp::{Command, Reply};
use std::io::{self, BufReader, Read};
use std::time::Duration;

/// How long a server may take to say why a transfer broke.
const LAST_WORDS: Duration = Duration::from_secs(5);
/// So many bytes more than twice the size that was told is what no file has got while it was read: the server pours.
const GROWTH: u64 = 64 * 1024 * 1024;

impl FtpSession {
    /// See [`Session::read`](crate::target::Session::read).
    ///
    /// The reader begins at byte `start` (REST, RFC 3659 section 5).
    pub(super) fn download(
        &mut self,
        file: &RelPath,
        start: u64,
        lend: &mut dyn FnMut(&mut dyn Read) -> Result<()>,
    ) -> Result<()> {
        let context = |error: Error| error.during("read").at(file);
        let opened = self.open_download(file, start).map_err(context)?;
        // For consumers that read little by little; larger reads pass it by.
        let mut body = BufReader::with_capacity(CHUNK / 8, opened);
        let mut outcome = lend(&mut body);
        let mut body = body.into_inner();
        if outcome.is_ok() && body.is_open() {
            outcome = body.drain();
        }
        if let Some(channel) = body.channel.take() {
            let (stream, early) = channel.into_parts();
            self.abandon(stream, early, Ending::Reset);
        }
        outcome
    }

    fn open_download(&mut self, file: &RelPath, start: u64) -> Result<Download<'_>> {
        let path = self.path(file)?;
        let before = if self.knows("SIZE") { vec![Command::path("SIZE", &path)?] } else { Vec::new() };
        let retr = Command::path("RETR", &path)?;
        let started = data::start_at(start, &self.server, &mut self.control, &before, &retr)?;
        let size = started.before.first().and_then(Reply::size);
        // What begins in the middle has no checksum of the whole.
        let passed = self.new_digest().filter(|_| start == 0);
        let pace = Pace::new(self.server.config.timeout);
        match started.outcome {
            Ok(channel) => Ok(Download {
                session: self,
                channel: Some(channel),
                name: file.to_string(),
                size,
                start,
                count: start,
                is_complete: false,
                passed,
                pace,
                path,
            }),
            Err(reply) if start > 0 => Err(self.not_begun(&reply, started.about)),
            Err(reply) => Err(self.refused(&path, &reply)),
        }
    }
}

/// The body of a file on its way here.
struct Download<'a> {
    session: &'a mut FtpSession,
    /// `None` once the transfer has ended, well or not.
    channel: Option<Channel>,
    name: String,
    /// What the server said beforehand.
    size: Option<u64>,
    /// Where the reader begins, and how far it has come, in bytes of the file.
    start: u64,
    count: u64,
    /// The server confirmed that all was sent.
    is_complete: bool,
    /// The checksum of what was read, if it is to be compared.
    passed: Option<Digest>,
    pace: Pace,
    path: Vec<u8>,
}

impl Download<'_> {
    /// Whether the server may still be sending.
    fn is_open(&self) -> bool {
        self.channel.is_some()
    }

    /// Reads what is left if it is little, as when a consumer knows the size and stops without looking for the end.
    fn drain(&mut self) -> Result<()> {
        let mut rest = [0; 4096];
        for _ in 0..16 {
            if self.read(&mut rest)? == 0 {
                break;
            }
        }
        Ok(())
    }

    fn end(&mut self, channel: Channel, is_cut: bool) -> io::Result<usize> {
        let confirmed = self.confirm(channel, is_cut).and_then(|()| match self.passed.take() {
            Some(passed) => self.session.verify(&self.path, passed),
            None => Ok(()),
        });
        match confirmed {
            Ok(()) => {
                self.is_complete = true;
                Ok(0)
            }
            Err(error) => Err(error.during("read").at(&self.name).into_io()),
        }
    }

    /// The data connection ended: only the server knows whether that was all.
    fn confirm(&mut self, channel: Channel, is_cut: bool) -> Result<()> {
        let (stream, early) = channel.into_parts();
        let was_asked_anew = stream.was_asked_anew();
        // What is cut short will not be confirmed, however long one waits.
        let is_short = self.size.is_some_and(|size| self.count < size);
        let timeout = self.session.server.config.timeout;
        let patience = if is_short {
            timeout.min(LAST_WORDS)
        } else {
            data::patience_for(self.count - self.start, timeout)
        };
        let control = &mut self.session.control;
        let ended = control.with_patience(patience, |control| data::confirmation(control, stream, early));
        let reply = match ended {
            // Everything is here, and only the confirmation was lost: routers forget connections that are silent for long.
            Err(error) if is_lost(&error) && !is_cut && self.size == Some(self.count) => return Ok(()),
            reply => reply?,
        };
        if !reply.is_success() {
            return Err(refused(&reply, was_asked_anew));
        }
        if is_cut && self.size.is_none() {
            return Err(Error::new(
                Kind::Disconnected,
                "the encrypted data connection was cut, and the server tells no size to compare with",
            ));
        }
        if is_cut {
            self.session.server.tell_of_rude_ends();
        }
        match self.size {
            Some(size) if self.count < size => Err(Error::new(
                Kind::Size,
                format!("the server sent {} of {size} bytes and called it complete", self.count),
            )
            .retrying(Retry::NewSession)),
            _ => Ok(()),
        }
    }

    /// Whether more has come than the rest of the file: the server has agreed to begin in the middle, and has not.
    fn has_ignored_rest(&self, more: usize) -> bool {
        self.start > 0 && self.size.is_some_and(|size| self.count + more as u64 > size)
    }

    fn has_no_end(&self, more: usize) -> bool {
        let most = self.size.map(|size| size.saturating_mul(2).saturating_add(GROWTH));
        most.is_some_and(|most| self.count + more as u64 > most)
    }

    /// Ends a transfer that the server does not end.
    fn given_up(&mut self, channel: Channel, error: Error) -> io::Error {
        self.session.control.doubt();
        channel.into_parts().0.reset();
        error.during("read").at(&self.name).into_io()
    }

    /// The data connection broke. The server's own words are better than those of the system.
    fn broken(&mut self, channel: Channel, error: io::Error) -> Error {
        let (stream, early) = channel.into_parts();
        if stream.is_ended_early() {
            early_end::learn(&self.session.server, true, false, Duration::ZERO);
        }
        let was_asked_anew = stream.was_asked_anew();
        stream.reset();
        // Some never say anything.
        let patience = self.session.server.config.timeout.min(LAST_WORDS);
        let told = self.session.control.with_patience(patience, |control| data::final_reply(control, early));
        match told {
            Ok(reply) if !reply.is_success() => refused(&reply, was_asked_anew).retrying(Retry::NewSession),
            Ok(_) | Err(_) => {
                self.session.control.doubt();
                lost(error, &self.session.server)
            }
        }
    }
}

impl Read for Download<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let Some(mut channel) = self.channel.take() else {
            return if self.is_complete { Ok(0) } else { Err(io::ErrorKind::NotConnected.into()) };
        };
        match self.pace.read(&mut channel.stream, buffer) {
            Ok(count) if self.has_ignored_rest(count) => {
                let error = self.session.rest_is_of_no_use("it sends more than the rest of a file");
                Err(self.given_up(channel, error))
            }
            Ok(count) if self.has_no_end(count) => {
                let words = "far more bytes come than the server told, as if there were no end";
                Err(self.given_up(channel, Error::new(Kind::Size, words)))
            }
            Err(_) if self.pace.is_too_slow() => {
                let error = self.pace.error("this file");
                Err(self.given_up(channel, error))
            }
            Ok(0) => self.end(channel, false),
            Ok(count) => {
                self.count += count as u64;
                if let Some(passed) = &mut self.passed {
                    passed.update(&buffer[..count]);
                }
                self.channel = Some(channel);
                Ok(count)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                self.channel = Some(channel);
                Err(error)
            }
            // TLS without a goodbye: the size decides.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => self.end(channel, true),
            // Some reset a connection on which all has been sent (IIS).
            Err(error) if is_reset(&error) && self.size == Some(self.count) => self.end(channel, true),
            Err(error) => Err(self.broken(channel, error).during("read").at(&self.name).into_io()),
        }
    }
}

/// The error for a transfer that the server calls broken.
fn refused(reply: &Reply, was_asked_anew: bool) -> Error {
    let error = refusal(reply);
    if was_asked_anew { error.advise(handshake::RENEGOTIATES) } else { error }
}

fn is_reset(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted)
}
