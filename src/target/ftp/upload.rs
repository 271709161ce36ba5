//! Putting one file on the server so that its name shows the old content or the complete new one.
//!
//! The bytes go to a temporary name in the same folder. Then, in one packet, the size is asked for, the time set and the
//! rename prepared; only when the size is right the rename is carried out. One file alone takes six round trips: passive
//! request with STOR, the data connection, the reply to STOR, the final reply, the finishing packet, RNTO. See
//! [`super::behind`] for many files in a row.

use super::control::lost;
use super::data::{self, Begin, Channel};
use super::errors::refusal;
use super::learned::MtimeBy;
use super::session::{CHUNK, Ending, FtpSession, Presence, is_lost};
use crate::error::{Error, Kind, Result, Retry};
use crate::model::{RelPath, Stamp};
use crate::target::digest::Digesting;
use crate::target::{Expect, Put, Written, next_unique, temp_name};
use crate::wire::ftp::{Command, Reply};
use std::io::{self, Read, Write};
use std::time::Duration;

/// Where the bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// To a temporary name, renamed afterwards.
    Aside,
    /// To the final name.
    Final,
}

impl Place {
    /// A failure after the transfer has begun: under the final name, it has destroyed the old content.
    fn marked(self, error: Error) -> Error {
        match self {
            Place::Aside => error,
            Place::Final => error.damaged(),
        }
    }
}

/// Why sending the body ended early.
pub(super) enum Cut {
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
    /// Whether a file had the final name just before, and how large it was.
    is_taken: Option<bool>,
    old_size: Option<u64>,
    rnfr: Reply,
}

/// A rename that RNFR has begun.
pub(super) struct Move<'a> {
    pub from: &'a [u8],
    pub to: &'a [u8],
    /// The same as `to`.
    pub file: &'a RelPath,
    /// Whether a file has the new name already, if known.
    pub is_taken: Option<bool>,
    /// What the new name should show afterwards, as far as known.
    pub size: Option<u64>,
    pub mtime: Option<Stamp>,
}

/// What became of a rename that the server confirmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moved {
    Yes,
    /// The server does not tell.
    Unsaid,
    /// The file still has its old name.
    No,
    /// The old name is free, and the new one shows something else.
    Astray,
}

impl FtpSession {
    /// See [`Session::write`](crate::target::Session::write).
    pub(super) fn upload(&mut self, file: &RelPath, body: &mut dyn Read, put: &Put) -> Result<Written> {
        let mut body_error = None;
        self.try_upload(file, body, put, &mut body_error).map_err(|error| in_words(error, body_error, file))
    }

    fn try_upload(
        &mut self,
        file: &RelPath,
        body: &mut dyn Read,
        put: &Put,
        body_error: &mut Option<Error>,
    ) -> Result<Written> {
        self.control.check()?;
        self.check_new_name(file)?;
        let target = self.path(file)?;
        let (channel, path, place) = self.open_upload(file, &target, put)?;
        let mut body = Digesting { body, digest: self.new_digest() };
        let rest = put.size.map(|size| size.saturating_sub(put.from));
        let sent = match self.send_body(channel, &mut body, rest, place) {
            Ok(sent) => put.from + sent,
            Err((cut, told)) => {
                let (error, is_of_body) = match cut {
                    Cut::Body(error) => (error, true),
                    Cut::Length(error) => (error, false),
                    Cut::Wire(error) => (told.unwrap_or_else(|| lost(error, &self.server)), false),
                };
                match place {
                    Place::Aside if self.leaves_part(put, &error) => {}
                    // Perhaps the command was refused: then what is there is not ours.
                    Place::Final if put.is_hasty && error.kind() != Kind::Full => {}
                    Place::Aside => self.discard(&path),
                    Place::Final => self.remove_stump(&path, put),
                }
                let error = place.marked(error);
                if is_of_body {
                    *body_error = Some(error);
                    return Err(Error::cancelled());
                }
                return Err(error);
            }
        };
        if let Some(passed) = body.digest {
            self.verify(&path, passed).map_err(|error| self.undone(&path, put, place, error))?;
        }
        match place {
            Place::Final => self.finish_in_place(&path, sent, put).map_err(Error::damaged),
            Place::Aside => self.put_in_place(file, &path, &target, sent, put),
        }
    }

    /// Removes what must not stay after a failure, and marks the error.
    fn undone(&mut self, path: &[u8], put: &Put, place: Place, error: Error) -> Error {
        match place {
            Place::Aside => self.discard(path),
            Place::Final if error.kind() == Kind::Corrupt => self.discard(path),
            Place::Final => self.remove_stump(path, put),
        }
        place.marked(error)
    }

    /// Starts STOR, at a temporary name if that is wanted and possible.
    fn open_upload(&mut self, file: &RelPath, target: &[u8], put: &Put) -> Result<(Channel, Vec<u8>, Place)> {
        let in_place = put.inplace || !self.can_rename()? || self.server.learned().refuses_temp_names;
        if in_place && put.from > 0 {
            return Err(Error::new(Kind::Busy, "a file that is written in place cannot be continued")
                .retrying(Retry::NewSession));
        }
        if in_place {
            self.look_before(file, target, put)?;
            let how = if put.is_hasty { Begin::AtOnce } else { Begin::WhenAgreed };
            let channel = self.start_stor(target, how)?.map_err(|reply| self.refused(target, &reply))?;
            return Ok((channel, target.to_vec(), Place::Final));
        }
        if put.from > 0 {
            let part = self.part_path(file, target, put);
            let stor = Command::path("STOR", &part)?;
            let started = data::start_at(put.from, &self.server, &mut self.control, &[], &stor)?;
            let channel = started.outcome.map_err(|reply| self.no_rest(&reply))?;
            return Ok((channel, part, Place::Aside));
        }
        let temp = match self.can_go_on(put) {
            true => self.part_path(file, target, put),
            false => self.temp_path(file, target),
        };
        let refused = match self.start_stor(&temp, Begin::WhenAgreed)? {
            Ok(channel) => return Ok((channel, temp, Place::Aside)),
            Err(refused) => refused,
        };
        if self.server.learned().renames == Some(true) || !matches!(refused.code(), 501 | 550 | 553) {
            return Err(self.refused(&temp, &refused));
        }
        // No temporary file was ever accepted here: perhaps it is only the name that the server does not like.
        self.look_before(file, target, put)?;
        match self.start_stor(target, Begin::WhenAgreed)? {
            Ok(channel) => {
                let was_known = std::mem::replace(&mut self.server.learned().refuses_temp_names, true);
                if !was_known {
                    self.server.tell_in_place("refuses temporary names");
                }
                Ok((channel, target.to_vec(), Place::Final))
            }
            Err(_) => Err(self.refused(target, &refused)),
        }
    }

    /// The last look before a file is overwritten in place.
    fn look_before(&mut self, file: &RelPath, target: &[u8], put: &Put) -> Result<()> {
        let questions = self.questions(target, put.expect)?;
        let packet: Vec<Command> = questions.commands().collect();
        let mut replies = self.control.burst(&packet)?.into_iter();
        let answers = questions.take(&mut replies).unwrap_or_default();
        self.refuse_changed(file, put, &answers)
    }

    fn start_stor(&mut self, path: &[u8], how: Begin) -> Result<std::result::Result<Channel, Reply>> {
        let stor = Command::path("STOR", path)?;
        Ok(data::start(&self.server, &mut self.control, &[], &stor, how)?.outcome)
    }

    /// Whether the server knows RNFR, found out before any byte is sent, because a body can be read only once.
    fn can_rename(&mut self) -> Result<bool> {
        if let Some(known) = self.server.learned().renames {
            return Ok(known);
        }
        let nobody = format!("{}{:016x}", crate::model::TEMP_PREFIX, next_unique());
        let path =
            self.path(&RelPath::parse(&nobody).map_err(|bad| Error::new(Kind::Name, bad.to_string()))?)?;
        let reply = self.control.ask(&Command::path("RNFR", &path)?)?;
        if reply.is_unsupported() {
            self.cannot_rename();
        }
        Ok(!reply.is_unsupported())
    }

    /// Notes that files are written in place from now on.
    pub(super) fn cannot_rename(&self) {
        let before = self.server.learned().renames.replace(false);
        if before != Some(false) {
            self.server.tell_in_place("cannot rename");
        }
    }

    /// A path beside `target`. A name that the encoding of the server cannot hold is left out of it.
    pub(super) fn temp_path(&self, file: &RelPath, target: &[u8]) -> Vec<u8> {
        self.numbered_path(file, target, next_unique())
    }

    /// The same for each attempt to write this content.
    pub(super) fn part_path(&self, file: &RelPath, target: &[u8], put: &Put) -> Vec<u8> {
        self.numbered_path(file, target, put.part_number(file.file_name()))
    }

    fn numbered_path(&self, file: &RelPath, target: &[u8], unique: u64) -> Vec<u8> {
        let folder = target.iter().rposition(|&byte| byte == b'/').map_or(0, |slash| slash + 1);
        let name = self
            .server
            .names
            .encode_text(&temp_name(file.file_name(), unique))
            .unwrap_or_else(|_| temp_name("", unique).into_bytes());
        [&target[..folder], name.as_slice()].concat()
    }

    /// Sends the body and reads the final reply. After a failure the conversation is in step again, or has ended.
    pub(super) fn send_body(
        &mut self,
        mut channel: Channel,
        body: &mut dyn Read,
        size: Option<u64>,
        place: Place,
    ) -> std::result::Result<u64, (Cut, Option<Error>)> {
        let interruptions = self.server.sockets.interruptions();
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
        let patience = patience_for(sent, self.server.config.timeout);
        let ended = self.control.with_patience(patience, |control| data::final_reply(control, early));
        match ended {
            Ok(reply) if reply.is_success() => Ok(sent),
            Ok(reply) => Err((Cut::Wire(io::ErrorKind::Other.into()), Some(refusal(&reply)))),
            // Everything was sent, and only the confirmation was lost: routers forget connections that are silent for long.
            // The size, which is asked for next, tells whether all has arrived.
            Err(error)
                if is_lost(&error)
                    && place == Place::Aside
                    && self.knows("SIZE")
                    && self.server.sockets.interruptions() == interruptions
                    && self.start_afresh() =>
            {
                Ok(sent)
            }
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
    pub(super) fn discard(&mut self, path: &[u8]) {
        if let Ok(dele) = Command::path("DELE", path) {
            // The failure that led here is the one to report.
            let _ = self.control.ask(&dele);
        }
    }

    /// Removes what a failed write in place has left, so that nobody takes it for a whole file. Where the old size still
    /// stands, the server has probably refused before it touched the old file; that is left alone.
    fn remove_stump(&mut self, path: &[u8], put: &Put) {
        let held = self.size_of(path);
        let is_old =
            matches!((held, put.expect), (Ok(Some(held)), Expect::File(Some(old), _)) if held == old);
        if !is_old {
            self.discard(path);
        }
    }

    /// Checks size and sets the time of a file that was written under its own name.
    fn finish_in_place(&mut self, path: &[u8], sent: u64, put: &Put) -> Result<Written> {
        if put.is_hasty {
            return Ok(Written { size: sent, ..Written::default() });
        }
        let size = self.size_of(path)?;
        check_size(size, sent).inspect_err(|_| self.remove_stump(path, put))?;
        let mtime_kept = match put.mtime {
            Some(at) => self.set_time(path, at)?.is_some_and(|reply| reply.is_success()),
            None => false,
        };
        let dated = if mtime_kept || put.mtime.is_none() { None } else { self.time_of(path)? };
        Ok(Written { size: sent, mtime_kept, dated, ..Written::default() })
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
        let finished = match self.finish_aside(file, temp, target, sent, put) {
            Ok(finished) => finished,
            Err(error) => {
                // A transfer that was cut may have been called complete; what has arrived is still good.
                if !(error.kind() == Kind::Size && self.leaves_part(put, &error)) {
                    self.discard(temp);
                }
                return Err(error);
            }
        };
        if !finished.rnfr.is_intermediate() {
            self.discard(temp);
            return Err(self.rename_refused(&finished.rnfr));
        }
        let moving = Move {
            from: temp,
            to: target,
            file,
            is_taken: finished.is_taken,
            size: Some(sent),
            // Only where the size cannot tell old and new apart.
            mtime: put.mtime.filter(|_| finished.mtime_kept && finished.old_size == Some(sent)),
        };
        self.rename_onto(&moving).inspect_err(|_| self.discard(temp))?;
        Ok(Written {
            size: sent,
            mtime_kept: finished.mtime_kept,
            dated: finished.dated,
            ..Written::default()
        })
    }

    /// The finishing packet: SIZE, the time (set, or asked for where it cannot be set), a last look at what has the final
    /// name, RNFR.
    fn finish_aside(
        &mut self,
        file: &RelPath,
        temp: &[u8],
        target: &[u8],
        sent: u64,
        put: &Put,
    ) -> Result<Finished> {
        let known = self.server.learned().mtime;
        let (mut mtime_kept, mut dated) = (false, None);
        if let (Some(at), None) = (put.mtime, known) {
            mtime_kept = self.set_time(temp, at)?.is_some_and(|reply| reply.is_success());
            dated = if mtime_kept { None } else { self.time_of(temp)? };
        }
        let has_size = self.knows("SIZE");
        let size = has_size.then(|| Command::path("SIZE", temp)).transpose()?;
        // As long as the server was not seen to replace a file, it matters whether there is one.
        let asks_anyway = put.expect == Expect::Anything && !self.server.learned().replaces;
        let look = self.questions(target, if asks_anyway { Expect::Absent } else { put.expect })?;
        let (set, ask) = match (put.mtime, known) {
            (Some(_), Some(MtimeBy::Nothing)) => {
                (None, self.knows("MDTM").then(|| Command::path("MDTM", temp)).transpose()?)
            }
            (Some(at), Some(by)) => (by.command(temp, at)?, None),
            (_, None) | (None, Some(_)) => (None, None),
        };
        let rnfr = Command::path("RNFR", temp)?;
        let (is_set, is_asked) = (set.is_some(), ask.is_some());
        let packet: Vec<Command> =
            size.into_iter().chain(set).chain(ask).chain(look.commands()).chain([rnfr]).collect();
        let mut replies = self.control.burst(&packet)?.into_iter();
        let size = if has_size { replies.next() } else { None };
        if is_set {
            mtime_kept = replies.next().is_some_and(|reply| reply.is_success());
        }
        if is_asked {
            dated = replies.next().and_then(|reply| reply.mtime());
        }
        let missing = || Error::new(Kind::Protocol, "a reply is missing");
        let old = look.take(&mut replies).ok_or_else(missing)?;
        let mut rnfr = replies.next().ok_or_else(missing)?;
        let wrong_size = size.and_then(|reply| reply.size()).filter(|told| *told != sent);
        let is_doubtful = old.object_to(put, self.server.learned().sets_mtime());
        if wrong_size.is_some() || is_doubtful {
            self.stay(temp, &rnfr)?;
        }
        if let Some(told) = wrong_size {
            self.find_right_size(temp, sent, told)?;
        }
        if is_doubtful {
            self.refuse_changed(file, put, &old)?;
        }
        if wrong_size.is_some() || is_doubtful {
            // Nothing may come between RNFR and RNTO.
            rnfr = self.control.ask(&Command::path("RNFR", temp)?)?;
        }
        let old_size = old.bytes();
        let is_taken = old.has_file().or(match put.expect {
            Expect::Absent => Some(false),
            Expect::File(..) => Some(true),
            Expect::Anything => None,
        });
        Ok(Finished { mtime_kept, dated, is_taken, old_size, rnfr })
    }

    /// The error for a refused RNFR. A server that does not know renaming is written in place from the next attempt on (the
    /// body is gone); any other refusal is about this file.
    fn rename_refused(&mut self, reply: &Reply) -> Error {
        let error = refusal(reply);
        if self.server.learned().renames == Some(true) {
            return error;
        }
        if !reply.is_unsupported() {
            return error.advise("if the server does not allow renaming at all, try --inplace");
        }
        self.cannot_rename();
        Error::new(
            Kind::Busy,
            format!("the server cannot rename ({}); the next attempt writes in place", error.detail()),
        )
        .with_reply(reply.code(), reply.text())
    }

    /// Carries out the rename after RNFR was accepted, also where the server does not replace files (IIS), or says that it
    /// does and leaves the old one: then that steps aside first.
    pub(super) fn rename_onto(&mut self, moving: &Move<'_>) -> Result<()> {
        let reply = self.control.ask(&Command::path("RNTO", moving.to)?)?;
        if !reply.is_success() {
            if self.presence(moving.to)? != Presence::File {
                return Err(refusal(&reply));
            }
            return self.rename_around(moving, true);
        }
        let is_proven = {
            let learned = self.server.learned();
            if moving.is_taken == Some(false) { learned.renames == Some(true) } else { learned.replaces }
        };
        if is_proven {
            return Ok(());
        }
        match self.look_after(moving)? {
            Moved::No if self.presence(moving.to)? == Presence::File => self.rename_around(moving, false),
            Moved::No | Moved::Astray => Err(self.not_carried_out()),
            moved @ (Moved::Yes | Moved::Unsaid) => {
                let mut learned = self.server.learned();
                learned.renames = Some(true);
                learned.replaces |= moved == Moved::Yes && moving.is_taken == Some(true);
                Ok(())
            }
        }
    }

    /// Puts the old file aside, the new one in place, and removes the old one only when that has succeeded.
    fn rename_around(&mut self, moving: &Move<'_>, was_refused: bool) -> Result<()> {
        let backup = self.temp_path(moving.file, moving.to);
        if let Some(reply) = self.rename_plainly(moving.to, &backup)? {
            return Err(self.rename_refused(&reply));
        }
        let refused = self.rename_plainly(moving.from, moving.to);
        if let Some(reply) = refused.map_err(|error| error.advise(kept_at(&backup)))? {
            return Err(self.step_back(&backup, moving.to, refusal(&reply)));
        }
        // A server that refuses what it cannot do may be believed.
        let is_proven = was_refused && self.server.learned().renames == Some(true);
        let moved = match is_proven {
            true => Moved::Yes,
            false => self.look_after(moving).map_err(|error| error.advise(kept_at(&backup)))?,
        };
        if moved == Moved::Yes || (moved == Moved::Unsaid && was_refused) {
            self.server.learned().renames = Some(true);
            self.discard(&backup);
            return Ok(());
        }
        let error = self.not_carried_out();
        Err(self.step_back(&backup, moving.to, error))
    }

    /// Gives the old content its name back; where that fails, the error says where it is.
    fn step_back(&mut self, backup: &[u8], to: &[u8], error: Error) -> Error {
        let restored = self.restore(backup, to);
        if matches!(restored, Ok(true)) { error } else { error.advise(kept_at(backup)) }
    }

    fn restore(&mut self, backup: &[u8], to: &[u8]) -> Result<bool> {
        let question = self.existence(backup)?;
        let answer = self.control.ask(&question)?;
        self.stay(backup, &answer)?;
        if is_there(&answer) == Some(false) {
            // It never left its place.
            return Ok(true);
        }
        Ok(self.presence(to)? != Presence::File && self.rename_plainly(backup, to)?.is_none())
    }

    /// Looks what a confirmed rename has done: some servers confirm RNTO onto an existing file and do nothing.
    fn look_after(&mut self, moving: &Move<'_>) -> Result<Moved> {
        let ask = |verb: &str, wanted: bool| {
            (wanted && self.knows(verb)).then(|| Command::path(verb, moving.to)).transpose()
        };
        let size = ask("SIZE", moving.size.is_some())?;
        let time = ask("MDTM", moving.mtime.is_some())?;
        let (asks_size, asks_time) = (size.is_some(), time.is_some());
        let left = self.existence(moving.from)?;
        let packet: Vec<Command> = size.into_iter().chain(time).chain([left]).collect();
        let mut replies = self.control.burst(&packet)?.into_iter();
        let size = if asks_size { replies.next().and_then(|reply| reply.size()) } else { None };
        let time = if asks_time { replies.next().and_then(|reply| reply.mtime()) } else { None };
        let left = replies.next();
        if let Some(answer) = &left {
            self.stay(moving.from, answer)?;
        }
        let is_left = left.as_ref().and_then(is_there);
        let fits_size = size.zip(moving.size).map(|(held, sent)| held == sent);
        let fits_time = time.zip(moving.mtime).map(|(held, set)| held.seconds().abs_diff(set.seconds()) <= 2);
        Ok(match (is_left, fits_size, fits_time) {
            (Some(true), ..) => Moved::No,
            (_, Some(false), _) | (_, _, Some(false)) => Moved::Astray,
            (Some(false), Some(true), _) => Moved::Yes,
            (Some(false), None, _) if !asks_size => Moved::Yes,
            (Some(false) | None, ..) => Moved::Unsaid,
        })
    }

    /// A command that tells whether a file is there, see [`is_there`]. RNFR is known to work: it began the rename.
    fn existence(&self, path: &[u8]) -> Result<Command> {
        Command::path(if self.knows("SIZE") { "SIZE" } else { "RNFR" }, path)
    }

    /// Ends a rename that was begun and is not to be, if the reply is one to RNFR. ProFTPD refuses all that comes in the place
    /// of RNTO, until that comes; so the file gets its own name.
    fn stay(&mut self, path: &[u8], answer: &Reply) -> Result<()> {
        if answer.is_intermediate() {
            self.control.ask(&Command::path("RNTO", path)?)?;
        }
        Ok(())
    }

    fn not_carried_out(&mut self) -> Error {
        self.server.learned().renames = Some(false);
        Error::new(
            Kind::Busy,
            "the server confirmed a rename without carrying it out; the next attempt writes in place",
        )
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

/// The error of an upload. That of the body is passed on as it is.
pub(super) fn in_words(error: Error, of_body: Option<Error>, file: &RelPath) -> Error {
    of_body.unwrap_or_else(|| error.during("write").at(file))
}

/// What an answer to SIZE or RNFR says about whether the file is there.
pub(super) fn is_there(reply: &Reply) -> Option<bool> {
    match reply.code() {
        213 | 350 => Some(true),
        550 => Some(false),
        _ => None,
    }
}

fn kept_at(backup: &[u8]) -> String {
    format!("the old content is now at {:?}", String::from_utf8_lossy(backup))
}

/// How long a server may take to confirm an upload: some look for viruses first, or pass it on to where it is kept. A second for
/// each MiB is added to the usual limit, up to three times of it.
fn patience_for(sent: u64, timeout: Duration) -> Duration {
    (timeout + Duration::from_secs(sent / (1024 * 1024))).min(timeout * 3)
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

pub(super) fn check_size(held: Option<u64>, sent: u64) -> Result<()> {
    match held {
        Some(held) if held != sent => {
            Err(Error::new(Kind::Size, format!("the server holds {held} bytes of the {sent} that were sent"))
                .retrying(Retry::NewSession))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_files_may_take_their_time_to_be_confirmed() {
        let (second, minute) = (Duration::from_secs(1), Duration::from_secs(60));
        assert_eq!(patience_for(10_000, minute), minute);
        assert_eq!(patience_for(50 << 20, minute), minute + 50 * second);
        assert_eq!(patience_for(9 << 30, minute), 3 * minute);
    }
}
