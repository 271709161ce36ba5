//! Renaming: a copy on the server, and the removal of the old object. Neither may cost a version of somebody else.

use super::client::Ask;
use super::known::Seen;
use super::refusal::{Refused, Trouble};
use super::session::S3Session;
use super::write::{Condition, Taken, changed, conditional};
use crate::error::{Error, Kind, Result};
use crate::model::{RelPath, Stamp, TEMP_PREFIX};
use crate::wire::s3::answer::{self, Object};
use crate::wire::s3::encoded;

/// Larger objects are not copied by AWS in one step, in bytes.
const LARGEST_COPY: u64 = 5 << 30;

impl S3Session {
    /// Gives an object another name. What waits under a temporary name takes its own only if nothing has it.
    pub(super) fn move_object(&self, from: &RelPath, to: &RelPath) -> Result<(), Trouble> {
        let is_staged = from.file_name().starts_with(TEMP_PREFIX);
        self.move_if(from, to, if is_staged { Condition::Absent } else { Condition::None })
    }

    /// Gives an object another name, if at that holds what must.
    pub(super) fn move_if(&self, from: &RelPath, to: &RelPath, condition: Condition) -> Result<(), Trouble> {
        let (old, new) = (self.key(from)?, self.key(to)?);
        self.look_for_folder_of(to)?;
        let found = self.head(&old)?;
        let found = found.ok_or_else(|| Error::new(Kind::NotFound, "no such file or folder"))?;
        let seen = self.server.known().seen(&old).map(|seen| seen.etag.clone()).unwrap_or_default();
        if !seen.is_empty() && seen != found.etag {
            return Err(changed().into());
        }
        let Taken { etag, date, .. } = self.copy(&found, &new, &condition)?;
        // Not every server says when that was.
        let date = match date {
            None => self.head(&new)?.and_then(|copy| copy.modified),
            date => date,
        };
        let mut known = self.server.known();
        for key in [&old, &new] {
            known.unsee(key);
            known.change(key);
        }
        known.see(&new, Seen { size: found.size, modified: date, etag });
        drop(known);
        match self.head(&old)? {
            // What somebody has put there meanwhile is not ours to remove.
            Some(now) if now.etag != found.etag => Err(changed().into()),
            Some(_) => self.bytes(&Ask::key("DELETE", &old)).map(drop),
            None => Ok(()),
        }
    }

    /// Copies this version of an object on the server.
    fn copy(&self, source: &Object, key: &str, condition: &Condition) -> Result<Taken, Trouble> {
        let place = encoded(&format!("{}/{}", self.server.client.bucket, source.key), "/");
        let copied = self.under(condition, key, true, |condition| {
            let mut ask = Ask::key("PUT", key).header("x-amz-copy-source", place.as_str());
            if !source.etag.is_empty() {
                ask = ask.header("x-amz-copy-source-if-match", format!("\"{}\"", source.etag));
            }
            match answer::made(&self.bytes(&conditional(ask, condition))?, "CopyObjectResult")? {
                Ok(made) => Ok(Taken { etag: made.etag, date: made.modified, is_locked: false }),
                Err(refusal) => Err(Trouble::Refused(Box::new(Refused::in_a_success(refusal)))),
            }
        });
        self.unless_ours(key, &source.etag, copied).map_err(|trouble| match trouble {
            Trouble::Refused(refused) if source.size > LARGEST_COPY => refused
                .error()
                .advise("objects above 5 GiB cannot be renamed, nor kept by --backup-dir, on this server")
                .into(),
            trouble => trouble,
        })
    }

    /// The time of an object that was just renamed: that of the copy.
    pub(super) fn time_of_copy(&self, file: &RelPath) -> Option<Stamp> {
        self.server.known().seen(&self.key(file).ok()?)?.modified
    }
}
