//! Uploads that go on where an interrupted one has ended.
//!
//! A large file has a temporary name that each attempt finds again, made from its name, size and time. What lies there is a
//! part of the same content, and REST with STOR goes on behind it. Should the server still be writing what it has received
//! before the interruption, those are the same bytes at the same place; APPE would add them a second time.

use super::control::Progress;
use super::data::{self, About};
use super::errors::refusal;
use super::session::FtpSession;
use crate::error::{Error, Kind, Result, Retry};
use crate::model::RelPath;
use crate::target::{Put, Session, is_good_so_far, next_unique};
use crate::wire::ftp::{Command, Reply};

impl FtpSession {
    /// Whether an upload may go on later, should it be interrupted.
    pub(super) fn can_go_on(&self, put: &Put) -> bool {
        put.is_resumable() && self.has_parts()
    }

    /// Whether a part of a file may have a name of its own, and be continued, as far as known.
    pub(super) fn has_parts(&self) -> bool {
        let (renames, refuses) = {
            let learned = self.server.learned();
            (learned.renames != Some(false), learned.refuses_temp_names)
        };
        self.can_read_from() && renames && !refuses
    }

    /// See [`Session::held`].
    pub(super) fn held_of(&mut self, file: &RelPath, put: &Put) -> Result<u64> {
        if !self.can_go_on(put) {
            return Ok(0);
        }
        let target = self.path(file)?;
        let part = self.part_path(file, &target, put);
        if !self.knows("SIZE") {
            return Ok(0);
        }
        // The upload that follows may take long.
        self.finish_all()?;
        // Most often nothing is there, and the file is sent next.
        let size = Command::path("SIZE", &part)?;
        let told = data::ask_ahead(&self.server, &mut self.control, &[size])?;
        let held = told.first().and_then(Reply::size).filter(|held| Some(*held) <= put.size).unwrap_or(0);
        if held > 0 {
            self.server.tell(4, format!("{file}: continued at byte {held}"));
        }
        Ok(held)
    }

    /// Takes another name for a part that the server does not begin to write: vsftpd keeps it locked for a session of which it has
    /// not noticed yet that it is lost, for minutes.
    pub(super) fn leave_held_part(&self, file: &RelPath, put: &Put, error: &Error) {
        if error.kind() == Kind::Timeout && self.control.progress() == Progress::Connected {
            self.leave_part(file, put);
        }
    }

    /// Takes another name for a part.
    pub(super) fn leave_part(&self, file: &RelPath, put: &Put) {
        self.server.learned().held_parts.insert(put.part_number(file.file_name()), next_unique());
    }

    /// Removes such a part, once the file has arrived under the other name.
    pub(super) fn remove_held_part(&mut self, file: &RelPath, target: &[u8], put: &Put) {
        if !put.is_resumable() {
            return;
        }
        let number = put.part_number(file.file_name());
        let was_held = self.server.learned().held_parts.remove(&number).is_some();
        if was_held {
            self.discard(&self.numbered_path(file, target, number));
        }
    }

    /// Whether what has arrived of an interrupted upload is left for the next attempt, because of which the error has come.
    pub(super) fn leaves_part(&self, put: &Put, error: &Error) -> bool {
        self.can_go_on(put) && is_good_so_far(error)
    }

    /// The error for a refused transfer that was to begin in the middle. If it is refused because of that, the next attempt begins
    /// anew. A refusal that may pass is about something else, unless it comes again.
    pub(super) fn not_begun(&mut self, reply: &Reply, about: About) -> Error {
        let error = refusal(reply);
        let passes = error.retry() != Retry::No && !is_about_restart(&reply.text());
        let is_about_else = match about {
            About::Connection => true,
            About::Offset => false,
            About::Transfer if error.kind() == Kind::Full || error.retry() == Retry::NewSession => true,
            About::Transfer => passes && !std::mem::replace(&mut self.server.learned().doubts_rest, true),
        };
        if is_about_else {
            return error;
        }
        self.rest_is_of_no_use(&reply.text()).with_reply(reply.code(), reply.text())
    }

    /// The error where the server does not begin in the middle. The next attempt begins anew.
    pub(super) fn rest_is_of_no_use(&mut self, why: &str) -> Error {
        self.lacks("REST");
        let detail = format!("the server sends and takes files from their beginning only: {why}");
        Error::new(Kind::Unsupported, detail).retrying(Retry::NewSession)
    }

    /// Whether the server has agreed to write an upload from the middle on, and has begun a new file: then it holds less than
    /// before, or the rest alone. It is not believed a second time.
    pub(super) fn has_ignored_rest(&mut self, part: &[u8], sent: u64, put: &Put) -> bool {
        let Ok(Some(held)) = self.size_of(part) else { return false };
        let is_ignored = put.from > 0 && (held < put.from || held == sent - put.from);
        if is_ignored {
            self.lacks("REST");
        }
        is_ignored
    }
}

/// Whether a refusal speaks of where the transfer begins: ProFTPD says that appending and restarting are not permitted, as it is
/// configured at first.
fn is_about_restart(text: &str) -> bool {
    let text = text.to_lowercase();
    text.contains("restart") || text.contains("append")
}
