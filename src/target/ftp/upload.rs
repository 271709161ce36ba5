//! Putting one file on the server so that its name shows the old content or the complete new one.
//!
//! The bytes go to a temporary name in the same folder. Then, in one packet, the size is asked for, the time set and the
//! rename prepared; only when the size is right the rename is carried out. One file alone takes six round trips: passive
//! request with STOR, the data connection, the reply to STOR, the final reply, the finishing packet, RNTO. What the first file
//! has to find out about the server travels in the same packets. See [`super::behind`] for many files in a row.

use super::behind::LARGE;
use super::control::{Progress, lost};
use super::data::{self, Begin, Channel};
use super::errors::refusal;
use super::learned::MtimeBy;
use super::looked_up::Arrival;
use super::rename::Move;
use super::session::{CHUNK, Ending, FtpSession, is_lost};
use crate::error::{Error, Kind, Result, Retry};
use crate::model::{RelPath, Stamp};
use crate::target::digest::Digesting;
use crate::target::fill::fill;
use crate::target::{Expect, Put, Written, next_unique, temp_name};
use crate::wire::ftp::{Command, Reply};
use std::io::{self, Read, Write};

/// Where the bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// To a temporary name, renamed afterwards.
    Aside,
    /// To the final name.
    Final,
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
    arrival: Arrival,
    rnfr: Reply,
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
        if put.size.is_none_or(|size| size >= LARGE) {
            self.finish_all()?;
        }
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
                let error = match place {
                    Place::Aside if self.leaves_part(put, &error) => error,
                    Place::Aside => {
                        self.discard(&path);
                        error
                    }
                    // Perhaps the command was refused: then what is there is not ours.
                    Place::Final if put.is_hasty && error.kind() != Kind::Full => error.damaged(),
                    Place::Final => self.without_stump(&path, put, error),
                };
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
            Place::Final => self.finish_in_place(&path, sent, put),
            Place::Aside => self.put_in_place(file, &path, &target, sent, put),
        }
    }

    /// Removes what must not stay after a failure, and marks the error.
    fn undone(&mut self, path: &[u8], put: &Put, place: Place, error: Error) -> Error {
        match place {
            Place::Final if error.kind() != Kind::Corrupt => self.without_stump(path, put, error),
            Place::Final => {
                self.discard(path);
                error.damaged()
            }
            Place::Aside => {
                self.discard(path);
                error
            }
        }
    }

    /// Starts STOR, at a temporary name if that is wanted and possible.
    fn open_upload(&mut self, file: &RelPath, target: &[u8], put: &Put) -> Result<(Channel, Vec<u8>, Place)> {
        let in_place =
            put.inplace || (put.from > 0 && !self.can_rename()?) || self.is_known_to_need_final_names();
        if in_place && put.from > 0 {
            return Err(Error::new(Kind::Busy, "a file that is written in place cannot be continued")
                .retrying(Retry::NewSession));
        }
        if in_place {
            return self.open_in_place(file, target, put);
        }
        if put.from > 0 {
            let part = self.part_path(file, target, put);
            let stor = Command::path("STOR", &part)?;
            let started = data::start_at(put.from, &self.server, &mut self.control, &[], &stor)
                .inspect_err(|error| self.leave_held_part(file, put, error))?;
            let channel = started.outcome.map_err(|reply| self.not_begun(&reply, started.about))?;
            return Ok((channel, part, Place::Aside));
        }
        // Also where this server does not go on: what lies there would stay.
        let mut temp =
            if put.is_resumable() { self.part_path(file, target, put) } else { self.temp_path(file, target) };
        let mut started = self.start_aside(&temp)?;
        if put.is_resumable() && matches!(&started, Some(Err(refused)) if is_about_name(refused)) {
            // What an attempt before has left may be in the way: ProFTPD has another name for it until it is complete (HiddenStores).
            self.leave_part(file, put);
            temp = self.part_path(file, target, put);
            started = self.start_aside(&temp)?;
        }
        let refused = match started {
            Some(Ok(channel)) => return Ok((channel, temp, Place::Aside)),
            Some(Err(refused)) => refused,
            None => return self.open_in_place(file, target, put),
        };
        if self.server.learned().renames == Some(true) || !is_about_name(&refused) {
            return Err(self.not_stored(&temp, &refused));
        }
        // No temporary file was ever accepted here: perhaps it is only the name that the server does not like.
        self.look_before(file, target, put)?;
        match self.start_in_place(target, put)? {
            Ok(channel) => {
                // A file that exists can be written also where its folder takes no new one: that tells nothing of names.
                let is_about_names = put.replaced() == Expect::Absent;
                if is_about_names && !std::mem::replace(&mut self.server.learned().refuses_temp_names, true) {
                    self.server.tell_in_place("refuses temporary names");
                }
                Ok((channel, target.to_vec(), Place::Final))
            }
            Err(error) if error.has_damaged() => Err(error),
            Err(_) => Err(self.refused(target, &refused)),
        }
    }

    /// The error for a temporary file that was refused.
    pub(super) fn not_stored(&mut self, temp: &[u8], refused: &Reply) -> Error {
        let error = self.refused(temp, refused);
        if error.kind() == Kind::Full {
            // Pure-FTPd refuses it when it has made an empty one.
            self.discard(temp);
        }
        error
    }

    /// Starts STOR at the final name.
    fn open_in_place(
        &mut self,
        file: &RelPath,
        target: &[u8],
        put: &Put,
    ) -> Result<(Channel, Vec<u8>, Place)> {
        self.look_before(file, target, put)?;
        let channel = self.start_in_place(target, put)?.inspect_err(|_| self.may_rename_after_all())?;
        Ok((channel, target.to_vec(), Place::Final))
    }

    /// Starts STOR at the final name. The inner error is what the server refuses.
    fn start_in_place(&mut self, target: &[u8], put: &Put) -> Result<Result<Channel>> {
        let how = if put.is_hasty { Begin::AtOnce } else { Begin::WhenConnected };
        match self.start_stor(target, how) {
            Ok(started) => Ok(started.map_err(|reply| self.refused_in_place(target, put, &reply))),
            Err(error) if put.is_hasty || self.control.writes() == 0 => Err(error),
            Err(error) => Err(self.without_empty_file(target, put, error)),
        }
    }

    fn is_known_to_need_final_names(&self) -> bool {
        let learned = self.server.learned();
        learned.renames == Some(false) || learned.refuses_temp_names
    }

    /// Starts STOR at a temporary name. The first time, the same packet finds out whether the server knows RNFR at all, because a
    /// body can be read only once; `None` if it does not.
    fn start_aside(&mut self, temp: &[u8]) -> Result<Option<std::result::Result<Channel, Reply>>> {
        if self.server.learned().renames.is_some() {
            return self.start_stor(temp, Begin::WhenAgreed).map(Some);
        }
        let (nobody, stor) = (self.nobody()?, Command::path("STOR", temp)?);
        let rnfr = Command::path("RNFR", &nobody)?;
        let started = data::start(&self.server, &mut self.control, &[rnfr], &stor, Begin::WhenAgreed)?;
        let answer = started.before.into_iter().next();
        if answer.as_ref().is_some_and(Reply::is_unsupported) {
            self.cannot_rename();
            if let Ok(channel) = started.outcome {
                let (stream, early) = channel.into_parts();
                self.abandon(stream, early, Ending::Plain);
                self.discard(temp);
            }
            return Ok(None);
        }
        match (started.outcome, answer) {
            (Err(_), Some(answer)) if answer.is_intermediate() => {
                self.stay(&nobody, &answer)?;
                self.start_stor(temp, Begin::WhenAgreed).map(Some)
            }
            (outcome, _) => Ok(Some(outcome)),
        }
    }

    /// The last look before a file is overwritten in place.
    fn look_before(&mut self, file: &RelPath, target: &[u8], put: &Put) -> Result<()> {
        let questions = self.questions(target, put.expect)?;
        let packet: Vec<Command> = questions.commands().collect();
        // What is hasty has asked before, and has its connection already.
        let replies = if packet.is_empty() {
            Vec::new()
        } else {
            data::ask_ahead(&self.server, &mut self.control, &packet)?
        };
        let mut replies = replies.into_iter();
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
        let reply = self.control.ask(&Command::path("RNFR", &self.nobody()?)?)?;
        if reply.is_unsupported() {
            self.cannot_rename();
        }
        Ok(!reply.is_unsupported())
    }

    /// A path that nothing has.
    fn nobody(&self) -> Result<Vec<u8>> {
        let name = format!("{}{:016x}", crate::model::TEMP_PREFIX, next_unique());
        self.path(&RelPath::parse(&name).map_err(|bad| Error::new(Kind::Name, bad.to_string()))?)
    }

    /// A path beside `target`. A name that the encoding of the server cannot hold is left out of it.
    pub(super) fn temp_path(&self, file: &RelPath, target: &[u8]) -> Vec<u8> {
        self.numbered_path(file, target, next_unique())
    }

    /// The same for each attempt to write this content.
    pub(super) fn part_path(&self, file: &RelPath, target: &[u8], put: &Put) -> Vec<u8> {
        let number = put.part_number(file.file_name());
        let instead = self.server.learned().held_parts.get(&number).copied();
        self.numbered_path(file, target, instead.unwrap_or(number))
    }

    pub(super) fn numbered_path(&self, file: &RelPath, target: &[u8], unique: u64) -> Vec<u8> {
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
        let patience = data::patience_for(sent, self.server.config.timeout);
        let ended = self.control.with_patience(patience, |control| data::final_reply(control, early));
        match ended {
            Ok(reply) if reply.is_success() => Ok(sent),
            Ok(reply) => Err((Cut::Wire(io::ErrorKind::Other.into()), Some(refusal(&reply)))),
            // Everything was sent, and only the confirmation was lost: routers forget connections that are silent for long.
            // The size, which is asked for next, tells whether all has arrived.
            Err(error)
                if is_lost(&error)
                    && place == Place::Aside
                    && self.control.progress() == Progress::Agreed
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

    /// Checks size and sets the time of a file that was written under its own name.
    fn finish_in_place(&mut self, path: &[u8], sent: u64, put: &Put) -> Result<Written> {
        if put.is_hasty {
            return Ok(Written { size: sent, ..Written::default() });
        }
        self.check_in_place(path, sent, put)?;
        let (mtime_kept, dated) = self.date_in_place(path, put).map_err(Error::damaged)?;
        Ok(Written { size: sent, mtime_kept, dated, ..Written::default() })
    }

    /// Sets the time of a file, or finds out which one it has.
    fn date_in_place(&mut self, path: &[u8], put: &Put) -> Result<(bool, Option<Stamp>)> {
        let mtime_kept = match put.mtime {
            Some(at) => self.set_time(path, at)?.is_some_and(|reply| reply.is_success()),
            None => false,
        };
        let dated = if self.is_dated_by_listings(put, mtime_kept) {
            self.date_by_listing(path)
        } else if mtime_kept || put.mtime.is_none() {
            None
        } else {
            self.time_of(path)?
        };
        Ok((mtime_kept, dated))
    }

    /// Makes sure that the final name shows all that was sent. If it does not, nobody is to take that for a whole file.
    pub(super) fn check_in_place(&mut self, path: &[u8], sent: u64, put: &Put) -> Result<()> {
        let told = self.knows("SIZE").then(|| Command::path("SIZE", path)).transpose()?;
        let told = told.map(|size| self.control.ask(&size)).transpose().map_err(Error::damaged)?;
        match self.check_arrived(path, sent, told.as_ref()) {
            Ok(Arrival::Seen | Arrival::Unsaid) => Ok(()),
            Err(error) if error.kind() == Kind::Size => Err(self.without_stump(path, put, error)),
            // What could not be looked at may well be whole.
            Err(error) => Err(error.damaged()),
        }
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
                let is_cut = error.kind() == Kind::Size && self.leaves_part(put, &error);
                if !is_cut || self.has_ignored_rest(temp, sent, put) {
                    self.discard(temp);
                }
                return Err(error);
            }
        };
        if !finished.rnfr.is_intermediate() {
            self.discard(temp);
            let error = self.rename_refused(&finished.rnfr, finished.arrival == Arrival::Seen);
            // Perhaps nothing has arrived.
            let is_missing = finished.arrival == Arrival::Unsaid && finished.rnfr.code() == 550;
            return Err(if is_missing { error.retrying(Retry::NewSession) } else { error });
        }
        let moving = Move {
            from: temp,
            to: target,
            file,
            is_taken: finished.is_taken,
            size: Some(sent),
            // Only where the size cannot tell old and new apart.
            mtime: put.mtime.filter(|_| finished.mtime_kept && finished.old_size == Some(sent)),
            must_be_free: put.must_be_new(),
        };
        self.rename_onto(&moving).inspect_err(|_| self.discard(temp))?;
        self.remove_held_part(file, target, put);
        if finished.arrival == Arrival::Unsaid {
            self.check_in_place(target, sent, put)?;
        }
        let mtime_kept = finished.mtime_kept;
        let dated = if self.is_dated_by_listings(put, mtime_kept) {
            self.date_by_listing(target)
        } else {
            finished.dated
        };
        Ok(Written { size: sent, mtime_kept, dated, ..Written::default() })
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
        // Which way to set times works is still to be found out: the first one is tried on the way.
        let trial = match (put.mtime, known) {
            (Some(_), None) => MtimeBy::candidates(&self.features).into_iter().next(),
            (Some(_) | None, _) => None,
        };
        let has_size = self.knows("SIZE");
        let mut arrival = if has_size { Arrival::Seen } else { self.check_arrived(temp, sent, None)? };
        let size = has_size.then(|| Command::path("SIZE", temp)).transpose()?;
        // As long as the server was not seen to replace a file, it matters whether there is one.
        let asks_anyway = put.expect == Expect::Anything && !self.server.learned().replaces;
        let look = self.questions(target, if asks_anyway { Expect::Absent } else { put.expect })?;
        let set = match (put.mtime, trial.or(known)) {
            (Some(at), Some(by)) => by.command(temp, at)?,
            (_, None) | (None, Some(_)) => None,
        };
        let asks_time = put.mtime.is_some() && (trial.is_some() || known == Some(MtimeBy::Nothing));
        let ask = (asks_time && self.knows("MDTM")).then(|| Command::path("MDTM", temp)).transpose()?;
        let chmod = self.hand_on_rights(file, temp, put)?;
        let rnfr = Command::path("RNFR", temp)?;
        let (is_set, is_asked, is_handed_on) = (set.is_some(), ask.is_some(), chmod.is_some());
        let own = size.into_iter().chain(set).chain(ask).chain(chmod);
        let packet: Vec<Command> = own.chain(look.commands()).chain([rnfr]).collect();
        let mut replies = self.control.burst(&packet)?.into_iter();
        let size = if has_size { replies.next() } else { None };
        let set = if is_set { replies.next() } else { None };
        let told = if is_asked { replies.next().and_then(|reply| reply.mtime()) } else { None };
        let missing = || Error::new(Kind::Protocol, "a reply is missing");
        if is_handed_on {
            self.judge_rights(file, put, &replies.next().ok_or_else(missing)?);
        }
        let old = look.take(&mut replies).ok_or_else(missing)?;
        let mut rnfr = replies.next().ok_or_else(missing)?;
        match (put.mtime, trial, set) {
            (Some(at), Some(by), Some(set)) => mtime_kept = self.judge_time(by, &set, told, at),
            (_, None, Some(set)) => mtime_kept = set.is_success(),
            (_, _, None) => dated = told,
            (None, Some(_), Some(_)) => {}
        }
        let wrong_size = size.filter(|told| told.size() != Some(sent));
        self.server.learned().sizes_are_right |= has_size && sent > 0 && wrong_size.is_none();
        let is_doubtful = old.object_to(put, self.server.learned().sets_mtime());
        let is_undated = put.mtime.is_some() && known.is_none() && !mtime_kept;
        let has_more_to_say = wrong_size.is_some() || is_doubtful || is_undated;
        if has_more_to_say {
            self.stay(temp, &rnfr)?;
        }
        if let Some(told) = wrong_size {
            arrival = self.check_arrived(temp, sent, Some(&told))?;
        }
        if is_doubtful {
            self.refuse_changed(file, put, &old)?;
        }
        if let Some(at) = put.mtime.filter(|_| is_undated) {
            mtime_kept = self.set_time(temp, at)?.is_some_and(|reply| reply.is_success());
            dated = if mtime_kept { None } else { self.time_of(temp)? };
        }
        if has_more_to_say {
            // Nothing may come between RNFR and RNTO.
            rnfr = self.control.ask(&Command::path("RNFR", temp)?)?;
        }
        let old_size = old.bytes();
        let is_taken = old.has_file().or(match put.expect {
            Expect::Absent => Some(false),
            Expect::File(..) => Some(true),
            Expect::Anything => None,
        });
        Ok(Finished { mtime_kept, dated, is_taken, old_size, arrival, rnfr })
    }
}

/// Whether a refusal may be about nothing but the name.
fn is_about_name(refused: &Reply) -> bool {
    matches!(refused.code(), 501 | 550 | 553)
}

/// The error of an upload. That of the body is passed on as it is.
pub(super) fn in_words(error: Error, of_body: Option<Error>, file: &RelPath) -> Error {
    of_body.unwrap_or_else(|| error.during("write").at(file))
}

/// Copies the body to the data connection, in bounded writes so that the timeout of the socket can fire.
fn pump(channel: &mut Channel, body: &mut dyn Read, size: Option<u64>) -> std::result::Result<u64, Cut> {
    // One byte more than there should be shows a file that has grown.
    let room = size
        .and_then(|size| usize::try_from(size).ok())
        .map_or(CHUNK, |size| CHUNK.min(size.saturating_add(1)));
    let mut buffer = vec![0; room];
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

fn wrong_length(sent: u64, size: u64) -> Error {
    let detail = if sent > size {
        format!("it has grown since it was listed, beyond {size} bytes; the next run copies it")
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
