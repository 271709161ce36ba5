//! Putting one file on the server so that its name shows the old content or the complete new one.
//!
//! The bytes go to a temporary name in the same folder. One file takes three round trips: opening (and a look at what has the
//! final name); the bytes, flush, close, time and a look at both names, all under way together; the rename and a look at it.
//! See [`super::behind`] for many small files in a row.

use super::conversation::{Asked, pieces_ahead};
use super::errors::{expected, is_unexplained, no_room, nonsense, success};
use super::session::{SftpSession, attributes, found, stamp, times};
use super::still::{changed, is_replaceable};
use crate::error::{Error, Kind, Result, Retry};
use crate::model::{RelPath, Stamp};
use crate::target::digest::{Algorithm, Digest, Digesting};
use crate::target::fill::fill;
use crate::target::{Put, Written};
use crate::wire::sftp::reply::parse_space;
use crate::wire::sftp::{Attributes, FileType, Open, Reply, Request};
use std::collections::VecDeque;
use std::io::Read;

/// A disk with less room than this (bytes) is full: what there is, is not for everybody or not for content.
const SPARE: u64 = 64 * 1024;

/// The owner of a file may write it.
const OWNER_WRITES: u32 = 0o200;

/// A file on its way.
pub(super) struct Upload {
    pub file: RelPath,
    /// Its path on the server.
    pub target: Vec<u8>,
    /// Where the bytes go: the same, if it is written in place.
    pub place: Vec<u8>,
    pub put: Put,
}

/// The first requests.
pub(super) struct Opening {
    old: Asked,
    pub open: Asked,
}

/// An open file.
pub(super) struct Opened {
    handle: Vec<u8>,
    /// What has the final name.
    old: Option<Attributes>,
    /// Permissions that it gets before it is closed.
    mode: Option<u32>,
}

/// The requests after the last byte.
pub(super) struct Finishing {
    flush: Option<Asked>,
    close: Asked,
    set: Option<Asked>,
    new: Asked,
    /// What has the final name now.
    pub old: Asked,
}

/// The requests that give a file its name.
pub(super) struct Renaming {
    done: Asked,
    /// What has the new name.
    pub look: Asked,
}

/// Why an upload failed: the body, whose error is passed on as it is, or we.
enum Failure {
    Body(Error),
    Ours(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::Ours(error)
    }
}

impl SftpSession {
    /// See [`Session::write`](crate::target::Session::write).
    pub(super) fn upload(&mut self, file: &RelPath, body: &mut dyn Read, put: &Put) -> Result<Written> {
        let context = |error: Error| error.during("write").at(file);
        let upload = self.prepare(file, put).map_err(context)?;
        self.try_upload(&upload, body).map_err(|failure| match failure {
            Failure::Body(error) => error,
            Failure::Ours(error) => context(error),
        })
    }

    pub(super) fn prepare(&self, file: &RelPath, put: &Put) -> Result<Upload> {
        let target = self.path(file)?;
        let place = match (put.inplace, self.can_go_on(put)) {
            (true, _) => target.clone(),
            (false, true) => self.numbered_path(file, &target, put.part_number(file.file_name())),
            (false, false) => self.temp_path(file, &target),
        };
        Ok(Upload { file: file.clone(), target, place, put: *put })
    }

    fn try_upload(&mut self, upload: &Upload, body: &mut dyn Read) -> Result<Written, Failure> {
        let is_inplace = upload.put.inplace;
        if is_inplace {
            let old = found(self.talk.ask(&Request::Stat { path: &upload.target })?)?;
            if !is_replaceable(&upload.put, old.as_ref()) {
                return Err(changed().into());
            }
        }
        let opening = self.begin(upload)?;
        let opened = self.opened(upload, &opening).map_err(|error| {
            // Whether it was emptied on the way, nobody can tell.
            if is_inplace && error.retry() == Retry::NewSession { error.damaged() } else { error }
        })?;
        let outcome = self.fill(upload, &opened, body);
        let outcome = outcome.and_then(|written| {
            if !is_inplace {
                let size = Some(written.size);
                self.put_in_place(
                    &upload.place,
                    &upload.target,
                    &upload.file,
                    size,
                    upload.put.must_be_new(),
                )?;
            }
            Ok(written)
        });
        outcome.map_err(|failure| {
            let failure = match failure {
                Failure::Ours(error) => Failure::Ours(self.or_no_room(error, upload)),
                failure => failure,
            };
            let (Failure::Body(error) | Failure::Ours(error)) = &failure;
            if self.leaves_part(&upload.put, error) {
                return failure;
            }
            self.discard(upload);
            // Under the final name, the failure has destroyed the old content.
            match failure {
                Failure::Body(error) if is_inplace => Failure::Body(error.damaged()),
                Failure::Ours(error) if is_inplace => Failure::Ours(error.damaged()),
                failure => failure,
            }
        })
    }

    /// Sends the bytes, and finishes the file under its temporary name.
    fn fill(&mut self, upload: &Upload, opened: &Opened, body: &mut dyn Read) -> Result<Written, Failure> {
        let digest = self.server.config.verify.then(|| Digest::new(Algorithm::Sha256));
        let mut body = Digesting { body, digest };
        let sent = match self.send_body(opened, &mut body, &upload.put) {
            Ok(sent) => sent,
            Err(failure) => {
                let closed = self.talk.send(&Request::Close { handle: &opened.handle })?;
                self.talk.forget(closed);
                return Err(failure);
            }
        };
        let finishing = self.finish(upload, opened)?;
        let written = self.finished(upload, sent, &finishing)?;
        if let Some(passed) = body.digest {
            self.compare(&upload.place, passed)?;
        }
        Ok(written)
    }

    /// Puts the opening of a file under way, with a look at what has its name.
    pub(super) fn begin(&mut self, upload: &Upload) -> Result<Opening> {
        let how = match &upload.put {
            put if put.from > 0 => Open::GoOn,
            put if put.inplace || self.can_go_on(put) => Open::Replace,
            _ => Open::New,
        };
        self.clear_left()?;
        let old = self.talk.send(&Request::Stat { path: &upload.target })?;
        let open = self.talk.send(&Request::Open { path: &upload.place, how })?;
        Ok(Opening { old, open })
    }

    /// Waits for the opening. A file that is replaced hands its permissions on, before there is a byte to protect.
    pub(super) fn opened(&mut self, upload: &Upload, opening: &Opening) -> Result<Opened> {
        let old = found(self.talk.answer(opening.old)?);
        let opened = self.talk.answer(opening.open)?;
        let handle = expected(opened, |reply| match reply {
            Reply::Handle(handle) => Some(handle),
            _ => None,
        })
        .map_err(|error| match upload.put.from {
            // A part that may only be read is of no use to anybody.
            _ if error.kind() == Kind::Denied
                && self.can_go_on(&upload.put)
                && self.has_removed(&upload.place) =>
            {
                error.retrying(Retry::Later)
            }
            // In a folder that is closed, the file itself may be open.
            0 if error.kind() == Kind::Denied && matches!(old, Ok(Some(_))) && !upload.put.inplace => {
                error.advise("if only the folder is closed, and not the file, try --inplace")
            }
            0 => error,
            // The part is not there any more: the next attempt looks again.
            _ => error.retrying(Retry::Later),
        })?;
        let mut opened = Opened { handle, old: old.ok().flatten(), mode: None };
        if opened.old.is_some_and(|old| old.file_type() == FileType::Folder) {
            self.abandon(upload, &opened)?;
            return Err(Error::new(Kind::Clash, "a folder has this name"));
        }
        let mode = opened.old.and_then(|old| old.permissions()).or(upload.put.mode.map(u32::from));
        if let Some(mode) = mode.filter(|_| !upload.put.inplace) {
            // A part must be open to the next attempt.
            let first = if self.can_go_on(&upload.put) { mode | OWNER_WRITES } else { mode };
            opened.mode = Some(mode).filter(|mode| *mode != first);
            self.set_mode(&opened, first)?;
        }
        Ok(opened)
    }

    fn set_mode(&mut self, opened: &Opened, mode: u32) -> Result<()> {
        let to = Attributes { mode: Some(mode), ..Attributes::default() };
        let set = self.talk.send(&Request::SetHandleStat { handle: &opened.handle, to })?;
        // A server that has no permissions has nothing to hand on.
        self.talk.forget(set);
        Ok(())
    }

    /// Closes and removes a file that is not to be finished.
    fn abandon(&mut self, upload: &Upload, opened: &Opened) -> Result<()> {
        let closed = self.talk.send(&Request::Close { handle: &opened.handle })?;
        self.talk.forget(closed);
        self.discard(upload);
        Ok(())
    }

    /// A refusal without a reason, or that there is no room if that is so: version 3 of the draft has no number for it. Where
    /// nobody can tell, that is the most likely reason.
    pub(super) fn or_no_room(&mut self, error: Error, upload: &Upload) -> Error {
        if !is_unexplained(&error) {
            return error;
        }
        if !self.talk.extensions().tells_space {
            return error.advise("perhaps its disk is full or a quota is used up");
        }
        let end = upload.target.iter().rposition(|byte| *byte == b'/').map_or(0, |at| at + 1);
        let room = match self.talk.ask(&Request::Space { path: &upload.target[..end] }) {
            Ok(Reply::Extended(body)) => parse_space(&body),
            _ => None,
        };
        match room {
            Some(room) if room < SPARE => no_room(),
            _ => error,
        }
    }

    /// Puts one piece of the bytes under way.
    pub(super) fn send_piece(&mut self, opened: &Opened, offset: u64, data: &[u8]) -> Result<Asked> {
        self.talk.send(&Request::Write { handle: &opened.handle, offset, data })
    }

    /// Sends what is not there yet; returns how long the file is then.
    fn send_body(&mut self, opened: &Opened, body: &mut dyn Read, put: &Put) -> Result<u64, Failure> {
        let mut buffer = vec![0; self.talk.write_chunk as usize];
        let most = pieces_ahead(self.talk.write_chunk);
        let mut under_way: VecDeque<Asked> = VecDeque::new();
        let size = put.size;
        let mut sent = put.from;
        let outcome = loop {
            let count = match fill(body, &mut buffer) {
                Ok(count) => count,
                Err(error) => break Err(Failure::Body(Error::from(error))),
            };
            if count == 0 || size.is_some_and(|size| sent + count as u64 > size) {
                sent += count as u64;
                break Ok(());
            }
            if under_way.len() == most
                && let Some(first) = under_way.pop_front()
                && let Err(error) = success(self.talk.answer(first)?)
            {
                break Err(Failure::Ours(error));
            }
            under_way.push_back(self.send_piece(opened, sent, buffer.get(..count).unwrap_or_default())?);
            sent += count as u64;
        };
        let mut first_refusal = Ok(());
        for asked in under_way {
            let answer = success(self.talk.answer(asked)?);
            first_refusal = first_refusal.and(answer);
        }
        outcome?;
        first_refusal?;
        check_length(sent, size)?;
        Ok(sent)
    }

    /// Puts everything under way that follows the last byte.
    pub(super) fn finish(&mut self, upload: &Upload, opened: &Opened) -> Result<Finishing> {
        let path = upload.place.as_slice();
        let flush = if self.talk.extensions().flushes {
            Some(self.talk.send(&Request::Flush { handle: &opened.handle })?)
        } else {
            None
        };
        if let Some(mode) = opened.mode {
            self.set_mode(opened, mode)?;
        }
        let close = self.talk.send(&Request::Close { handle: &opened.handle })?;
        // After the close, because some servers date the file then.
        let wanted = upload.put.mtime.and_then(times).filter(|_| !self.server.learned().forgets_times);
        let set = match wanted {
            Some(times) => {
                let to = Attributes { times: Some(times), ..Attributes::default() };
                Some(self.talk.send(&Request::SetStat { path, to })?)
            }
            None => None,
        };
        let new = self.talk.send(&Request::Stat { path })?;
        let old = self.talk.send(&Request::Stat { path: &upload.target })?;
        Ok(Finishing { flush, close, set, new, old })
    }

    /// Waits for all that, and checks it: size, time, and that nobody has worked on the old file.
    pub(super) fn finished(&mut self, upload: &Upload, sent: u64, finishing: &Finishing) -> Result<Written> {
        let flushed = finishing.flush.map(|asked| self.talk.answer(asked)).transpose()?;
        let closed = self.talk.answer(finishing.close)?;
        let set = finishing.set.map(|asked| self.talk.answer(asked)).transpose()?;
        let new = self.talk.answer(finishing.new)?;
        let old = found(self.talk.answer(finishing.old)?);
        if let Some(Err(error)) = flushed.map(success)
            && error.kind() != Kind::Unsupported
        {
            return Err(error);
        }
        success(closed)?;
        let new = attributes(new)?;
        if let Some(size) = new.size.filter(|size| *size != sent) {
            return Err(Error::new(Kind::Size, format!("the server holds {size} of {sent} bytes")));
        }
        // What cannot be looked at is left to the rename.
        if !upload.put.inplace && old.is_ok_and(|old| !is_replaceable(&upload.put, old.as_ref())) {
            return Err(changed());
        }
        let is_told = set.map(success);
        let wanted = upload.put.mtime.map(|mtime| mtime.seconds());
        let mtime_kept = matches!(is_told, Some(Ok(()))) && stamp(&new).map(Stamp::seconds) == wanted;
        if matches!(is_told, Some(Ok(()))) && !mtime_kept {
            self.server.learned().forgets_times = true;
        }
        let dated = if mtime_kept || wanted.is_none() { None } else { stamp(&new) };
        Ok(Written { size: sent, mtime_kept, dated, ..Written::default() })
    }

    /// Puts a rename under way, with a look at what has the new name then: some servers confirm what they have not done.
    pub(super) fn begin_rename(&mut self, request: &Request<'_>, to: &[u8]) -> Result<Renaming> {
        let done = self.talk.send(request)?;
        Ok(Renaming { done, look: self.talk.send(&Request::Stat { path: to })? })
    }

    /// Waits for both. Nothing is compared with a size that is not known, and what has neither name was moved on by the server,
    /// as out of the inbox of a program.
    pub(super) fn renamed(
        &mut self,
        renaming: &Renaming,
        (from, to): (&[u8], &[u8]),
        size: Option<u64>,
    ) -> Result<()> {
        let done = self.talk.answer(renaming.done)?;
        let look = self.talk.answer(renaming.look)?;
        success(done).map_err(without_renames)?;
        let Some(size) = size else { return Ok(()) };
        let is_other = |found: Attributes| found.size.is_some_and(|held| held != size);
        // What cannot be looked at was renamed, as far as is known.
        if !found(look).is_ok_and(|found| found.is_none_or(is_other)) {
            return Ok(());
        }
        // A server that does several things at a time may have looked before it renamed.
        let looks = self.talk.ask_all([Request::Stat { path: to }, Request::Stat { path: from }])?;
        let [new, old] = looks.try_into().map_err(|_| nonsense())?;
        let why = match (found(new), found(old)) {
            (Ok(None), Ok(None)) => return Ok(()),
            (Ok(None), _) => {
                "the server says that it has renamed the file, but nothing has the new name".to_owned()
            }
            (Ok(Some(Attributes { size: Some(held), .. })), _) if held != size => {
                format!(
                    "the server says that it has renamed the file, but the new name has {held} of {size} bytes"
                )
            }
            (Ok(Some(_)) | Err(_), _) => return Ok(()),
        };
        Err(Error::new(Kind::Size, why).retrying(Retry::NewSession))
    }

    fn rename_checked(
        &mut self,
        request: &Request<'_>,
        (from, to): (&[u8], &[u8]),
        size: Option<u64>,
    ) -> Result<()> {
        let renaming = self.begin_rename(request, to)?;
        self.renamed(&renaming, (from, to), size)
    }

    /// Gives a file its final name, replacing what has it. If that must be free, what has it by now is somebody else's; it stays
    /// where the server does not replace files by itself.
    pub(super) fn put_in_place(
        &mut self,
        from: &[u8],
        to: &[u8],
        file: &RelPath,
        size: Option<u64>,
        must_be_free: bool,
    ) -> Result<()> {
        let replaces = self.talk.extensions().replaces;
        if replaces && !must_be_free {
            return self.rename_checked(&Request::Replace { from, to }, (from, to), size);
        }
        // By the draft (version 3, section 6.5) this fails where there is something; OpenSSH makes a link, which does so in one step.
        let Err(error) = self.rename_checked(&Request::Rename { from, to }, (from, to), size) else {
            return Ok(());
        };
        self.talk.check()?;
        let Some(old) = found(self.talk.ask(&Request::LinkStat { path: to })?)? else {
            // A disk without links, perhaps.
            return if replaces {
                self.rename_checked(&Request::Replace { from, to }, (from, to), size)
            } else {
                Err(error)
            };
        };
        match old.file_type() {
            FileType::File | FileType::Link | FileType::Unknown if must_be_free => Err(changed()),
            FileType::File | FileType::Link | FileType::Unknown => self.swap(from, to, file, size),
            FileType::Folder | FileType::Special => Err(error),
        }
    }

    /// Where a rename does not replace: puts the old file aside, the new one in place, and removes the old one only when that
    /// has succeeded.
    fn swap(&mut self, from: &[u8], to: &[u8], file: &RelPath, size: Option<u64>) -> Result<()> {
        let backup = self.temp_path(file, to);
        success(self.talk.ask(&Request::Rename { from: to, to: &backup })?).map_err(without_renames)?;
        let kept = || format!("the old content is kept as {:?}", String::from_utf8_lossy(&backup));
        let renamed = self.rename_checked(&Request::Rename { from, to }, (from, to), size);
        self.talk.check().map_err(|error| error.advise(kept()))?;
        let Err(error) = renamed else {
            self.discard_path(&backup);
            return Ok(());
        };
        let restored = self.talk.ask(&Request::Rename { from: &backup, to }).map(success);
        Err(if matches!(restored, Ok(Ok(()))) { error } else { error.advise(kept()) })
    }

    fn has_removed(&mut self, path: &[u8]) -> bool {
        self.talk.ask(&Request::Remove { path }).and_then(success).is_ok()
    }

    /// Removes what an upload has written; if the conversation does not allow it any more, another one does.
    pub(super) fn discard(&mut self, upload: &Upload) {
        if upload.put.inplace || self.can_go_on(&upload.put) {
            // The name is not ours alone: the next attempt uses it.
            drop(self.talk.ask(&Request::Remove { path: &upload.place }));
        } else {
            self.discard_path(&upload.place);
        }
    }

    /// The same for a name that nothing else will ever have.
    fn discard_path(&mut self, path: &[u8]) {
        // The failure that led here is the one to report.
        if self.talk.ask(&Request::Remove { path }).is_err() {
            self.server.left.add(path);
        }
    }
}

/// The error for a refused rename, with what to do about a server that allows none: the file itself may have been written.
fn without_renames(error: Error) -> Error {
    match error.kind() {
        Kind::Denied | Kind::Unsupported => {
            error.advise("if the server does not allow renaming at all, try --inplace")
        }
        _ => error,
    }
}

/// # Errors
/// [`Kind::Size`] if the body has another length than it should have.
pub(super) fn check_length(sent: u64, expected: Option<u64>) -> Result<()> {
    match expected {
        Some(expected) if expected < sent => {
            let detail =
                format!("it has grown since it was listed, beyond {expected} bytes; the next run copies it");
            Err(Error::new(Kind::Size, detail))
        }
        Some(expected) if expected > sent => {
            Err(Error::new(Kind::Size, format!("{sent} bytes arrived instead of {expected}")))
        }
        Some(_) | None => Ok(()),
    }
}
