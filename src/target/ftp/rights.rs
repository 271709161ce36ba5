//! The permissions of a file that is replaced: by way of a temporary name it would lose them.

use super::session::FtpSession;
use crate::error::Result;
use crate::model::RelPath;
use crate::quoted::Quoted;
use crate::target::Put;
use crate::wire::ftp::{Command, Reply};

/// What most servers give a new file. That it may have lost other permissions than these is worth a line.
const USUAL: [u16; 3] = [0o644, 0o664, 0o666];

impl FtpSession {
    /// Gives a file, under its temporary name, the permissions of what it is to replace, where those were listed.
    pub(super) fn hand_on_rights(&self, file: &RelPath, temp: &[u8], put: &Put) -> Result<Option<Command>> {
        let Some(mode) = put.mode else { return Ok(None) };
        if self.server.learned().refuses_chmod {
            self.tell_of_lost_rights(file, mode);
            return Ok(None);
        }
        // No standard has it (RFC 959 leaves SITE to the servers), but those that list permissions know it.
        Command::path("SITE", &[format!("CHMOD {mode:03o} ").as_bytes(), temp].concat()).map(Some)
    }

    /// Takes the reply to that.
    pub(super) fn judge_rights(&self, file: &RelPath, put: &Put, reply: &Reply) {
        let Some(mode) = put.mode else { return };
        let mut learned = self.server.learned();
        if reply.is_success() {
            learned.sets_rights = true;
            return;
        }
        // One file that is refused says nothing about the others, where it has worked before.
        learned.refuses_chmod |= !learned.sets_rights;
        drop(learned);
        self.tell_of_lost_rights(file, mode);
    }

    fn tell_of_lost_rights(&self, file: &RelPath, mode: u16) {
        if USUAL.contains(&mode) || std::mem::replace(&mut self.server.learned().told_of_lost_rights, true) {
            return;
        }
        let (address, file) = (self.server.address(), Quoted(file.as_str()));
        let line = format!(
            "{address} sets no permissions: {file} had {mode:03o}, and has those of a new file now (--inplace keeps permissions)"
        );
        self.server.tell(3, line);
    }
}
