//! What a failed write under the final name has left: told from what was there before, and removed.
//!
//! Many servers make a file empty at STOR, before they know whether it will ever be filled. Others keep what arrives aside, or
//! refuse before they touch anything. Only what certainly is not the old content is removed, and what certainly is spares the
//! run the care for a destroyed file.

use super::session::FtpSession;
use crate::error::{Error, Result};
use crate::target::{Expect, Put};
use crate::wire::ftp::{Command, Reply};

/// What has the name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Left {
    /// What had it before, as far as the server tells; `is_proven` where size alone would not do.
    Old { is_proven: bool },
    /// Something else, of this size (bytes) if that is known.
    Other(Option<u64>),
    /// Nothing.
    Nothing,
    /// Nobody tells.
    Unknown,
}

impl FtpSession {
    /// Removes what the transfer of a body has left, so that nobody takes it for a whole file, and marks the error.
    pub(super) fn without_stump(&mut self, path: &[u8], put: &Put, error: Error) -> Error {
        match self.left_at(path, put.replaced()) {
            Ok(Left::Old { is_proven }) => of_old(error, is_proven),
            Ok(Left::Other(_) | Left::Nothing | Left::Unknown) | Err(_) => {
                self.discard(path);
                error.damaged()
            }
        }
    }

    /// As [`FtpSession::without_stump`], where not a byte was sent: what is not empty was not touched.
    pub(super) fn without_empty_file(&mut self, path: &[u8], put: &Put, error: Error) -> Error {
        let left = self.left_at(path, put.replaced()).unwrap_or(Left::Unknown);
        match left {
            Left::Old { is_proven } => of_old(error, is_proven),
            Left::Other(Some(0)) => {
                self.discard(path);
                error.damaged()
            }
            Left::Other(Some(_)) => error,
            Left::Other(None) | Left::Nothing | Left::Unknown => error.damaged(),
        }
    }

    /// The error of a STOR in place that was refused.
    pub(super) fn refused_in_place(&mut self, path: &[u8], put: &Put, refused: &Reply) -> Error {
        let error = self.refused(path, refused);
        let may_be_open = match self.control.writes() {
            0 => false,
            1 => comes_after_opening(refused),
            // In another mode an earlier one was sent, and agreed to perhaps.
            _ => true,
        };
        if may_be_open && !put.is_hasty { self.without_empty_file(path, put, error) } else { error }
    }

    fn left_at(&mut self, path: &[u8], before: Expect) -> Result<Left> {
        let asked = if before == Expect::Anything { Expect::Absent } else { before };
        let questions = self.questions(path, asked)?;
        let packet: Vec<Command> = questions.commands().collect();
        let answers = questions.take(&mut self.control.burst(&packet)?.into_iter()).unwrap_or_default();
        let fit = answers.fit(before);
        if fit == Some(true) {
            return Ok(Left::Old { is_proven: before == Expect::Absent || answers.has_time() });
        }
        let are_sizes_right = self.server.learned().sizes_are_right;
        let size = answers.bytes().filter(|_| are_sizes_right);
        let has_other_size = size.is_some_and(|size| match before {
            Expect::Anything | Expect::Absent => true,
            Expect::File(bytes, _) => bytes.is_some_and(|bytes| bytes != size),
        });
        if has_other_size {
            return Ok(Left::Other(size));
        }
        let (entry, is_shown) = self.listed(path)?;
        let Some(entry) = entry else {
            return Ok(match before {
                _ if !is_shown => Left::Unknown,
                Expect::Absent => Left::Old { is_proven: true },
                Expect::Anything | Expect::File(..) => Left::Nothing,
            });
        };
        Ok(match before {
            Expect::File(bytes, at)
                if bytes.is_none_or(|bytes| entry.size == Some(bytes))
                    && at.is_none_or(|at| entry.mtime_org == Some(at))
                    && (bytes.is_some() || at.is_some()) =>
            {
                Left::Old { is_proven: at.is_some() }
            }
            _ => Left::Other(entry.size),
        })
    }
}

fn of_old(error: Error, is_proven: bool) -> Error {
    if is_proven { error.intact() } else { error }
}

/// Whether a server may have opened the file before it refused: what it says then is about the connection, or about room.
fn comes_after_opening(refused: &Reply) -> bool {
    matches!(refused.code(), 421 | 425 | 426 | 451 | 452 | 522 | 551 | 552)
}
