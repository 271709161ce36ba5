//! Uploads that go on where an interrupted one has ended.
//!
//! A large file has a temporary name that each attempt finds again, made from its name, size and time. What lies there is a
//! part of the same content. Should the server still be writing what it has received before the interruption, those are the
//! same bytes at the same place.

use super::conversation::pieces_ahead;
use super::session::{SftpSession, found};
use crate::error::{Error, Result};
use crate::model::RelPath;
use crate::target::{Put, is_good_so_far};
use crate::wire::sftp::{FileType, Request};

impl SftpSession {
    /// Whether an upload may go on later, should it be interrupted. What is compared in the end is sent as a whole.
    pub(super) fn can_go_on(&self, put: &Put) -> bool {
        put.is_resumable() && !self.server.config.verify
    }

    /// See [`Session::held`](crate::target::Session::held).
    pub(super) fn held_of(&mut self, file: &RelPath, put: &Put) -> Result<u64> {
        if !self.can_go_on(put) {
            return Ok(0);
        }
        let target = self.path(file)?;
        let path = self.numbered_path(file, &target, put.part_number(file.file_name()));
        let Ok(Some(part)) = found(self.talk.ask(&Request::LinkStat { path: &path })?) else { return Ok(0) };
        let is_file = matches!(part.file_type(), FileType::File | FileType::Unknown);
        let held = part.size.filter(|held| is_file && Some(*held) <= put.size).unwrap_or(0);
        // Some servers write what is under way together in any order: before these bytes nothing is missing.
        let chunk = self.talk.write_chunk;
        let under_way = u64::from(chunk) * pieces_ahead(chunk) as u64;
        Ok(held.saturating_sub(under_way))
    }

    /// Whether what has arrived of an interrupted upload is left for the next attempt, because of which the error has come.
    pub(super) fn leaves_part(&self, put: &Put, error: &Error) -> bool {
        self.can_go_on(put) && is_good_so_far(error)
    }
}
