//! Looking again, before something is deleted or replaced, whether the plan still fits.

use super::session::{SftpSession, found, stamp};
use crate::error::{Error, Kind, Result};
use crate::model::RelPath;
use crate::target::{Expect, Put};
use crate::wire::sftp::{Attributes, FileType, Request};

impl SftpSession {
    /// See [`Session::still`](crate::target::Session::still).
    pub(super) fn look_again(&mut self, names: &[(RelPath, Expect)]) -> Vec<Result<Option<bool>>> {
        self.try_look_again(names).unwrap_or_else(|error| {
            names.iter().map(|(name, _)| Err(error.duplicate().during("look again at").at(name))).collect()
        })
    }

    fn try_look_again(&mut self, names: &[(RelPath, Expect)]) -> Result<Vec<Result<Option<bool>>>> {
        let paths: Vec<Result<Vec<u8>>> = names.iter().map(|(name, _)| self.path(name)).collect();
        let asked =
            names.iter().zip(&paths).filter_map(|((_, expect), path)| question(*expect, path.as_ref().ok()?));
        let mut replies = self.talk.ask_all(asked)?.into_iter();
        let answers = names.iter().zip(paths).map(|((name, expect), path)| {
            let path = path.map_err(|error| error.during("look again at").at(name))?;
            if question(*expect, &path).is_none() {
                return Ok(None);
            }
            let reply = replies.next().ok_or_else(super::errors::nonsense)?;
            // What cannot be looked at is neither there nor gone.
            Ok(found(reply).ok().map(|found| is_as_expected(*expect, found.as_ref())))
        });
        Ok(answers.collect())
    }
}

/// What to ask about a name. A link that leads nowhere is something, too.
fn question(expect: Expect, path: &[u8]) -> Option<Request<'_>> {
    match expect {
        Expect::Anything => None,
        Expect::Absent => Some(Request::LinkStat { path }),
        Expect::File(..) => Some(Request::Stat { path }),
    }
}

/// Whether what was found at a name is what the plan knows of it.
pub(super) fn is_as_expected(expect: Expect, found: Option<&Attributes>) -> bool {
    match (expect, found) {
        (Expect::Anything, _) | (Expect::Absent, None) => true,
        (Expect::Absent, Some(_)) | (Expect::File(..), None) => false,
        (Expect::File(size, mtime), Some(found)) => {
            let is_file = matches!(found.file_type(), FileType::File | FileType::Unknown);
            let same_size = size.is_none() || found.size.is_none() || found.size == size;
            let same_time = match (mtime, stamp(found)) {
                (Some(expected), Some(found)) => expected.seconds() == found.seconds(),
                (None, _) | (_, None) => true,
            };
            is_file && same_size && same_time
        }
    }
}

/// Whether what was found may be replaced: it is what the plan knows, or what an earlier attempt has put there, whose answer
/// was lost. That may also have put the old file aside, so that nothing is there.
pub(super) fn is_replaceable(put: &Put, found: Option<&Attributes>) -> bool {
    is_as_expected(put.expect, found)
        || (put.is_repeated && found.is_none())
        || (put.is_repeated && put.size.is_some() && is_as_expected(Expect::File(put.size, put.mtime), found))
}

/// The error for a name that holds something else than the plan knows.
pub(super) fn changed() -> Error {
    Error::new(Kind::Changed, "it was changed since it was listed; the next run decides anew")
}
