//! Giving a file another name, so that neither the old content nor the new one is ever lost.
//!
//! Some servers do not replace files, others say that they did: as long as it was not seen, each rename is looked after.

use super::errors::refusal;
use super::session::{FtpSession, Presence, no_answer};
use super::still::changed;
use crate::error::{Error, Kind, Result};
use crate::model::{RelPath, Stamp};
use crate::target::layer::retry::Attempts;
use crate::wire::ftp::{Command, Reply};

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
    /// What has the new name by now is somebody else's, and stays.
    pub must_be_free: bool,
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

/// What is asked about a rename that the server confirmed.
struct After {
    packet: Vec<Command>,
    asks_size: bool,
    asks_time: bool,
    /// Nothing else comes of asking.
    is_harmless: bool,
}

impl FtpSession {
    /// See [`Session::rename`](crate::target::Session::rename).
    pub(super) fn rename_file(&mut self, from: &RelPath, to: &RelPath) -> Result<()> {
        let (from_path, to_path) = (self.path(from)?, self.path(to)?);
        let rnfr = self.control.ask(&Command::path("RNFR", &from_path)?)?;
        if !rnfr.is_intermediate() {
            if rnfr.is_unsupported() {
                self.cannot_rename();
            }
            return Err(self.refused(&from_path, &rnfr));
        }
        let (from, to_path) = (from_path.as_slice(), to_path.as_slice());
        let (is_taken, size, mtime, must_be_free) = (None, None, None, false);
        self.rename_onto(&Move { from, to: to_path, file: to, is_taken, size, mtime, must_be_free })
    }

    /// A file was refused under its own name as well: perhaps nothing is wrong with renaming.
    pub(super) fn may_rename_after_all(&self) {
        let mut learned = self.server.learned();
        if std::mem::take(&mut learned.rename_was_refused) && learned.renames == Some(false) {
            learned.renames = None;
        }
    }

    /// Notes that files are written in place from now on.
    pub(super) fn cannot_rename(&self) {
        let before = self.server.learned().renames.replace(false);
        if before != Some(false) {
            self.server.tell_in_place("cannot rename");
        }
    }

    /// The error for a refused rename. A server that does not know renaming, or does not allow it, is written in place from the
    /// next attempt on (the body is gone). As long as no rename was seen to work, a refusal `is_about_renaming` if the file is
    /// certainly there and its new name free; any other is about this file.
    pub(super) fn rename_refused(&mut self, reply: &Reply, is_about_renaming: bool) -> Error {
        let error = refusal(reply);
        if self.server.learned().renames == Some(true) {
            return error;
        }
        let is_forbidden = is_about_renaming && matches!(reply.code(), 530 | 532 | 550 | 553);
        if !reply.is_unsupported() && !is_forbidden {
            return error.advise("if the server does not allow renaming at all, try --inplace");
        }
        self.server.learned().rename_was_refused |= is_forbidden;
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
        let rnto = Command::path("RNTO", moving.to)?;
        let is_proven = {
            let learned = self.server.learned();
            if moving.is_taken == Some(false) { learned.renames == Some(true) } else { learned.replaces }
        };
        let after = if is_proven { None } else { Some(self.questions_after(moving)?) };
        // A question by RNFR would begin another rename, should this one be refused.
        let asks_along = after.as_ref().is_some_and(|after| after.is_harmless);
        let mut packet = vec![rnto];
        packet.extend(after.iter().filter(|_| asks_along).flat_map(|after| after.packet.iter().cloned()));
        let mut replies = self.control.burst(&packet)?.into_iter();
        let reply = replies.next().ok_or_else(no_answer)?;
        if !reply.is_success() {
            let held = self.presence(moving.to)?;
            if held != Presence::File {
                return Err(self.rename_refused(&reply, held == Presence::Nothing));
            }
            if moving.must_be_free {
                return Err(changed());
            }
            return self.rename_around(moving, true);
        }
        let Some(after) = after else {
            return Ok(());
        };
        let moved =
            if asks_along { self.judge_after(moving, &after, replies)? } else { self.look_after(moving)? };
        match moved {
            Moved::No if self.presence(moving.to)? == Presence::File => {
                if moving.must_be_free {
                    Err(changed())
                } else {
                    self.rename_around(moving, false)
                }
            }
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
            return Err(self.rename_refused(&reply, true));
        }
        let refused = self.rename_plainly(moving.from, moving.to);
        if let Some(reply) = refused.map_err(|error| error.advise(kept_at(&backup)))? {
            return Err(self.step_back(&backup, moving.to, refusal(&reply)));
        }
        // A server that refuses what it cannot do may be believed.
        let is_proven = was_refused && self.server.learned().renames == Some(true);
        let moved = if is_proven {
            Moved::Yes
        } else {
            self.look_after(moving).map_err(|error| error.advise(kept_at(&backup)))?
        };
        if moved == Moved::Yes || (moved == Moved::Unsaid && was_refused) {
            self.server.learned().renames = Some(true);
            self.discard(&backup);
            return Ok(());
        }
        let error = self.not_carried_out();
        Err(self.step_back(&backup, moving.to, error))
    }

    /// Gives the old content its name back, by several attempts where a refusal may pass; where that fails, the error says where
    /// it is.
    fn step_back(&mut self, backup: &[u8], to: &[u8], error: Error) -> Error {
        let (mut attempts, interruptions) = (Attempts::default(), self.server.sockets.interruptions());
        loop {
            let Err(refused) = self.restore(backup, to) else { return error };
            let pause = attempts.pause_after(&refused, 0.0);
            let Some(pause) = pause.filter(|_| self.server.sockets.interruptions() == interruptions) else {
                return error.advise(kept_at(backup));
            };
            std::thread::sleep(pause);
            if self.control.check().is_err() && !self.start_afresh() {
                return error.advise(kept_at(backup));
            }
        }
    }

    fn restore(&mut self, backup: &[u8], to: &[u8]) -> Result<()> {
        let question = self.existence(backup)?;
        let answer = self.control.ask(&question)?;
        self.stay(backup, &answer)?;
        if is_there(&answer) == Some(false) {
            // It never left its place.
            return Ok(());
        }
        if self.presence(to)? == Presence::File {
            return Err(Error::new(Kind::Exists, "something else has the name"));
        }
        self.rename_plainly(backup, to)?.map_or(Ok(()), |reply| Err(refusal(&reply)))
    }

    /// Looks what a confirmed rename has done: some servers confirm RNTO onto an existing file and do nothing.
    fn look_after(&mut self, moving: &Move<'_>) -> Result<Moved> {
        let after = self.questions_after(moving)?;
        let replies = self.control.burst(&after.packet)?;
        self.judge_after(moving, &after, replies.into_iter())
    }

    fn questions_after(&self, moving: &Move<'_>) -> Result<After> {
        let ask = |verb: &str, wanted: bool| {
            (wanted && self.knows(verb)).then(|| Command::path(verb, moving.to)).transpose()
        };
        let size = ask("SIZE", moving.size.is_some())?;
        let time = ask("MDTM", moving.mtime.is_some())?;
        let (asks_size, asks_time) = (size.is_some(), time.is_some());
        let left = self.existence(moving.from)?;
        let packet = size.into_iter().chain(time).chain([left]).collect();
        Ok(After { packet, asks_size, asks_time, is_harmless: self.knows("SIZE") })
    }

    fn judge_after(
        &mut self,
        moving: &Move<'_>,
        after: &After,
        mut replies: impl Iterator<Item = Reply>,
    ) -> Result<Moved> {
        let size = if after.asks_size { replies.next().and_then(|reply| reply.size()) } else { None };
        let time = if after.asks_time { replies.next().and_then(|reply| reply.mtime()) } else { None };
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
            (Some(false), None, _) if !after.asks_size => Moved::Yes,
            (Some(false) | None, ..) => Moved::Unsaid,
        })
    }

    /// A command that tells whether a file is there, see [`is_there`]. RNFR is known to work: it began the rename.
    pub(super) fn existence(&self, path: &[u8]) -> Result<Command> {
        Command::path(if self.knows("SIZE") { "SIZE" } else { "RNFR" }, path)
    }

    /// Ends a rename that was begun and is not to be, if the reply is one to RNFR. ProFTPD refuses all that comes in the place
    /// of RNTO, until that comes; so the file gets its own name.
    pub(super) fn stay(&mut self, path: &[u8], answer: &Reply) -> Result<()> {
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
