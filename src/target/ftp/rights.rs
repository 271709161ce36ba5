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
    pub(super) fn hand_on_rights(&self, temp: &[u8], put: &Put) -> Result<Option<Command>> {
        let mode = put.mode.filter(|_| !self.server.learned().refuses_chmod);
        // No standard has it (RFC 959 leaves SITE to the servers), but those that list permissions know it.
        mode.map(|mode| Command::path("SITE", &[format!("CHMOD {mode:03o} ").as_bytes(), temp].concat()))
            .transpose()
    }

    /// Takes the reply to that.
    pub(super) fn judge_rights(&self, file: &RelPath, put: &Put, reply: &Reply) {
        let Some(mode) = put.mode.filter(|_| !reply.is_success()) else { return };
        let was_known = std::mem::replace(&mut self.server.learned().refuses_chmod, true);
        if !was_known && !USUAL.contains(&mode) {
            let (address, file) = (self.server.address(), Quoted(file.as_str()));
            self.server.tell(
                3,
                format!(
                    "{address} sets no permissions: {file} had {mode:03o}, and has those of a new file now (--inplace keeps \
                     permissions)"
                ),
            );
        }
    }
}
