//! Putting one file on the server so that its name shows the old content or the complete new one.
//!
//! The bytes go to a temporary name in the same folder. Then, in one packet, the size is asked for, the time set and the
//! rename prepared; only when the size is right the rename is carried out. In the steady state that is: passive request with
//! STOR, the data connection, the final reply, the finishing packet, RNTO: five round trips.

use super::control::lost;
use super::data::{self, Channel};
use super::errors::refusal;
use super::learned::MtimeBy;
use super::session::{CHUNK, Ending, FtpSession, Presence};
use crate::error::{Error, Kind, Result, Retry};
use crate::model::{RelPath, Stamp};
use crate::target::{Put, Written, temp_name};
use crate::wire::ftp::{Command, Reply};
use std::io::{self, Read, Write};

/// Where the bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// To a temporary name, renamed afterwards.
    Aside,
    /// To the final name.
    Final,
}

/// Why sending the body ended early.
enum Cut {
    /// The body failed: its error is passed on as it is.
    Body(Error),
    /// The body is not as long as announced.
    Length(Error),
    /// The data connection broke.
    Wire(io::Error),
}

/// What the finishing packet brought.
struct Finished {
    mtime_kept: bool,
    /// The time that the server gave the file, where it could not be set.
    dated: Option<Stamp>,
    rnfr: Reply,
}

impl FtpSession {
    /// See [`Session::write`](crate::target::Session::write).
    pub(super) fn upload(&mut self, file: &RelPath, body: &mut dyn Read, put: &Put) -> Result<Written> {
        let mut body_error = None;
        self.try_upload(file, body, put, &mut body_error).map_err(|error| match body_error {
            Some(error) => error,
            None => error.during("write").at(file),
        })
    }

    fn try_upload(
        &mut self,
        file: &RelPath,
        body: &mut dyn Read,
        put: &Put,
        body_error: &mut Option<Error>,
    ) -> Result<Written> {
        self.control.check()?;
        let target = self.path(file)?;
        let (channel, path, place) = self.open_upload(file, &target, put)?;
        let sent = match self.send_body(channel, body, put.size, place) {
            Ok(sent) => sent,
            Err((cut, told)) => {
                if place == Place::Aside {
                    self.discard(&path);
                }
                return Err(match cut {
                    Cut::Body(error) => {
                        *body_error = Some(error);
                        Error::cancelled()
                    }
                    Cut::Length(error) => error,
                    Cut::Wire(error) => told.unwrap_or_else(|| lost(error, &self.server)),
                });
            }
        };
        match place {
            Place::Final => self.finish_in_place(&path, sent, put),
            Place::Aside => self.put_in_place(file, &path, &target, sent, put),
        }
    }

    /// Starts STOR, at a temporary name if that is wanted and possible.
    fn open_upload(&mut self, file: &RelPath, target: &[u8], put: &Put) -> Result<(Channel, Vec<u8>, Place)> {
        let in_place = put.inplace || !self.can_rename()? || self.server.learned().refuses_temp_names;
        if in_place {
            let channel = self.start_stor(target)?.map_err(|reply| self.refused(target, &reply))?;
            return Ok((channel, target.to_vec(), Place::Final));
        }
        let temp = self.temp_path(file, target);
        let refused = match self.start_stor(&temp)? {
            Ok(channel) => return Ok((channel, temp, Place::Aside)),
            Err(refused) => refused,
        };
        if self.server.learned().renames == Some(true) || !matches!(refused.code(), 501 | 550 | 553) {
            return Err(self.refused(&temp, &refused));
        }
        // No temporary file was ever accepted here: perhaps it is only the name that the server does not like.
        match self.start_stor(target)? {
            Ok(channel) => {
                self.server.learned().refuses_temp_names = true;
                Ok((channel, target.to_vec(), Place::Final))
            }
            Err(_) => Err(self.refused(target, &refused)),
        }
    }

    fn start_stor(&mut self, path: &[u8]) -> Result<std::result::Result<Channel, Reply>> {
        let stor = Command::path("STOR", path)?;
        Ok(data::start(&self.server, &mut self.control, &[], &stor)?.outcome)
    }

    /// Whether the server knows RNFR, found out before any byte is sent, because a body can be read only once.
    fn can_rename(&mut self) -> Result<bool> {
        if let Some(known) = self.server.learned().renames {
            return Ok(known);
        }
        let nobody = format!("{}{:016x}", crate::model::TEMP_PREFIX, self.server.next_unique());
        let path =
            self.path(&RelPath::parse(&nobody).map_err(|bad| Error::new(Kind::Name, bad.to_string()))?)?;
        let reply = self.control.ask(&Command::path("RNFR", &path)?)?;
        if reply.is_unsupported() {
            self.server.learned().renames = Some(false);
        }
        Ok(!reply.is_unsupported())
    }

    /// A path beside `target`. A name that the encoding of the server cannot hold is left out of it.
    fn temp_path(&self, file: &RelPath, target: &[u8]) -> Vec<u8> {
        let folder = target.iter().rposition(|&byte| byte == b'/').map_or(0, |slash| slash + 1);
        let unique = self.server.next_unique();
        let name = self
            .server
            .names
            .encode_text(&temp_name(file.file_name(), unique))
            .unwrap_or_else(|_| temp_name("", unique).into_bytes());
        [&target[..folder], name.as_slice()].concat()
    }

    /// Sends the body and reads the final reply. After a failure the conversation is in step again, or has ended.
    fn send_body(
        &mut self,
        mut channel: Channel,
        body: &mut dyn Read,
        size: Option<u64>,
        place: Place,
    ) -> std::result::Result<u64, (Cut, Option<Error>)> {
        let outcome = pump(&mut channel, body, size);
        let (stream, early) = channel.into_parts();
        let sent = match outcome {
            Ok(sent) => sent,
            Err(Cut::Wire(error)) => {
                stream.reset();
                let told = self.told_after_break(early);
                return Err((Cut::Wire(error), told));
            }
            Err(cut) => {
                let ending = match place {
                    Place::Aside => Ending::Plain,
                    Place::Final => Ending::Reset,
                };
                self.abandon(stream, early, ending);
                return Err((cut, None));
            }
        };
        if let Err(error) = stream.finish_sending() {
            let told = self.told_after_break(early);
            return Err((Cut::Wire(error), told));
        }
        match data::final_reply(&mut self.control, early) {
            Ok(reply) if reply.is_success() => Ok(sent),
            Ok(reply) => Err((Cut::Wire(io::ErrorKind::Other.into()), Some(refusal(&reply)))),
            Err(error) => Err((Cut::Wire(io::ErrorKind::Other.into()), Some(error))),
        }
    }

    /// What the server says about a transfer that broke: its own reason is better than "connection reset".
    fn told_after_break(&mut self, early: Option<Reply>) -> Option<Error> {
        match data::final_reply(&mut self.control, early) {
            Ok(reply) if !reply.is_success() => Some(refusal(&reply)),
            Ok(_) => {
                self.control.doubt();
                None
            }
            Err(error) => Some(error),
        }
    }

    /// Removes a temporary file, as far as the conversation still allows it.
    fn discard(&mut self, path: &[u8]) {
        if let Ok(dele) = Command::path("DELE", path) {
            // The failure that led here is the one to report.
            let _ = self.control.ask(&dele);
        }
    }

    /// Checks size and sets the time of a file that was written under its own name.
    fn finish_in_place(&mut self, path: &[u8], sent: u64, put: &Put) -> Result<Written> {
        let size = self.size_of(path)?;
        check_size(size, sent)?;
        let mtime_kept = match put.mtime {
            Some(at) => self.set_time(path, at)?.is_some_and(|reply| reply.is_success()),
            None => false,
        };
        let dated = if mtime_kept || put.mtime.is_none() { None } else { self.time_of(path)? };
        Ok(Written { size: sent, mtime_kept, dated })
    }

    /// Checks size, sets the time and renames.
    fn put_in_place(
        &mut self,
        file: &RelPath,
        temp: &[u8],
        target: &[u8],
        sent: u64,
        put: &Put,
    ) -> Result<Written> {
        let finished = self.finish_aside(temp, sent, put).inspect_err(|_| self.discard(temp))?;
        if !finished.rnfr.is_intermediate() {
            self.discard(temp);
            return Err(self.rename_refused(&finished.rnfr));
        }
        let is_proven = self.server.learned().renames == Some(true);
        self.rename_onto(temp, file, target).inspect_err(|_| self.discard(temp))?;
        if !is_proven {
            self.prove_rename(target, sent).inspect_err(|_| self.discard(temp))?;
        }
        Ok(Written { size: sent, mtime_kept: finished.mtime_kept, dated: finished.dated })
    }

    /// Some servers confirm RNTO onto an existing file and do nothing; so the first one is not believed.
    fn prove_rename(&mut self, target: &[u8], sent: u64) -> Result<()> {
        match self.size_of(target)? {
            Some(held) if held != sent => {
                self.server.learned().renames = Some(false);
                Err(Error::new(
                    Kind::Busy,
                    "the server confirmed a rename without carrying it out; the next attempt writes in place",
                ))
            }
            _ => Ok(()),
        }
    }

    /// The finishing packet: SIZE, the time (set, or asked for where it cannot be set), RNFR.
    fn finish_aside(&mut self, temp: &[u8], sent: u64, put: &Put) -> Result<Finished> {
        let known = self.server.learned().mtime;
        let (mut mtime_kept, mut dated) = (false, None);
        if let (Some(at), None) = (put.mtime, known) {
            mtime_kept = self.set_time(temp, at)?.is_some_and(|reply| reply.is_success());
            dated = if mtime_kept { None } else { self.time_of(temp)? };
        }
        let size = self.features.has("SIZE").then(|| Command::path("SIZE", temp)).transpose()?;
        let (set, ask) = match (put.mtime, known) {
            (Some(_), Some(MtimeBy::Nothing)) => {
                (None, self.features.has("MDTM").then(|| Command::path("MDTM", temp)).transpose()?)
            }
            (Some(at), Some(by)) => (by.command(temp, at)?, None),
            (_, None) | (None, Some(_)) => (None, None),
        };
        let rnfr = Command::path("RNFR", temp)?;
        let (has_size, is_set, is_asked) = (size.is_some(), set.is_some(), ask.is_some());
        let packet: Vec<Command> = size.into_iter().chain(set).chain(ask).chain([rnfr]).collect();
        let mut replies = self.control.burst(&packet)?.into_iter();
        let size = if has_size { replies.next() } else { None };
        if is_set {
            mtime_kept = replies.next().is_some_and(|reply| reply.is_success());
        }
        if is_asked {
            dated = replies.next().and_then(|reply| reply.mtime());
        }
        let rnfr = replies.next().ok_or_else(|| Error::new(Kind::Protocol, "a reply is missing"))?;
        check_size(size.and_then(|reply| reply.size()), sent)?;
        Ok(Finished { mtime_kept, dated, rnfr })
    }

    /// The server takes files but does not rename them. The body is gone, so the next attempt has to write in place.
    fn rename_refused(&mut self, reply: &Reply) -> Error {
        let error = refusal(reply);
        let mut learned = self.server.learned();
        if learned.renames == Some(true) {
            return error;
        }
        learned.renames = Some(false);
        Error::new(
            Kind::Busy,
            format!("the server cannot rename ({}); the next attempt writes in place", error.detail()),
        )
        .with_reply(reply.code(), reply.text())
    }

    /// Carries out the rename after RNFR was accepted, also where the server does not replace files (IIS): then the old file
    /// steps aside first, and comes back if the new one cannot take its place.
    pub(super) fn rename_onto(&mut self, from: &[u8], to: &RelPath, to_path: &[u8]) -> Result<()> {
        let rnto = Command::path("RNTO", to_path)?;
        let refused = self.control.ask(&rnto)?;
        if refused.is_success() {
            self.server.learned().renames = Some(true);
            return Ok(());
        }
        if self.presence(to_path)? != Presence::File {
            return Err(refusal(&refused));
        }
        let backup = self.temp_path(to, to_path);
        if let Some(reply) = self.rename_plainly(to_path, &backup)? {
            return Err(self.rename_refused(&reply));
        }
        if let Some(reply) = self.rename_plainly(from, to_path)? {
            // Whatever happens now, the old content must get its name back.
            let restored = self.rename_plainly(&backup, to_path)?;
            let kept = String::from_utf8_lossy(&backup).into_owned();
            return Err(match restored {
                None => refusal(&reply),
                Some(_) => refusal(&reply).advise(format!("the old content is now at {kept:?}")),
            });
        }
        self.server.learned().renames = Some(true);
        self.discard(&backup);
        Ok(())
    }

    /// RNFR and RNTO; the refusing reply, if any.
    fn rename_plainly(&mut self, from: &[u8], to: &[u8]) -> Result<Option<Reply>> {
        let rnfr = self.control.ask(&Command::path("RNFR", from)?)?;
        if !rnfr.is_intermediate() {
            return Ok(Some(rnfr));
        }
        let rnto = self.control.ask(&Command::path("RNTO", to)?)?;
        Ok((!rnto.is_success()).then_some(rnto))
    }
}

/// Copies the body to the data connection, in bounded writes so that the timeout of the socket can fire.
fn pump(channel: &mut Channel, body: &mut dyn Read, size: Option<u64>) -> std::result::Result<u64, Cut> {
    let mut buffer = vec![0; CHUNK];
    let mut sent = 0_u64;
    loop {
        let count = fill(body, &mut buffer).map_err(|error| Cut::Body(Error::from(error)))?;
        sent += count as u64;
        let is_end = count < buffer.len();
        if size.is_some_and(|size| sent > size || (is_end && sent < size)) {
            return Err(Cut::Length(wrong_length(sent, size.unwrap_or(0))));
        }
        channel.stream.write_all(&buffer[..count]).map_err(Cut::Wire)?;
        if is_end {
            channel.stream.flush().map_err(Cut::Wire)?;
            return Ok(sent);
        }
    }
}

/// Reads until the buffer is full or the body has ended.
fn fill(body: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match body.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

fn wrong_length(sent: u64, size: u64) -> Error {
    let detail = if sent > size {
        format!("there are more than the {size} bytes that should be")
    } else {
        format!("there are {sent} bytes instead of {size}")
    };
    Error::new(Kind::Size, detail)
}

fn check_size(held: Option<u64>, sent: u64) -> Result<()> {
    match held {
        Some(held) if held != sent => {
            Err(Error::new(Kind::Size, format!("the server holds {held} bytes of the {sent} that were sent"))
                .retrying(Retry::NewSession))
        }
        _ => Ok(()),
    }
}
