//! What only a listing tells about a file that was just written.

use super::listing::now;
use super::session::FtpSession;
use crate::error::{Error, Kind, Result, Retry};
use crate::model::{Entry, RelPath, Stamp};
use crate::target::Put;
use crate::wire::ftp::{Command, Reply};

impl FtpSession {
    /// The entry of a file in the listing of its folder.
    fn listed(&mut self, path: &[u8]) -> Result<Option<Entry>> {
        let (folder, name) = match path.iter().rposition(|&byte| byte == b'/') {
            None => (&b"."[..], path),
            Some(slash) => (&path[..slash.max(1)], &path[slash + 1..]),
        };
        let names = self.server.names;
        let listing = self.list_at(folder)?;
        let is_it =
            |entry: &Entry| names.encode(&RelPath::root().join(&entry.name)).is_ok_and(|bytes| bytes == name);
        Ok(listing.entries.into_iter().find(is_it))
    }

    /// Makes sure that a file has the size that was sent, although SIZE says otherwise, or nothing: some servers tell nonsense by
    /// it, and the truth in listings. Where neither tells, the server has confirmed the transfer, and that is all.
    ///
    /// # Errors
    /// [`Kind::Size`](crate::error::Kind::Size) if the size is another one, as far as anything tells.
    pub(super) fn find_right_size(&mut self, path: &[u8], sent: u64, told: &Reply) -> Result<()> {
        self.check_is_about_size(told)?;
        let listed = self.listed(path)?.and_then(|entry| entry.size);
        if listed != Some(sent) {
            super::upload::check_size(listed.or(told.size()), sent)?;
        }
        if told.size().is_some() {
            let address = self.server.address();
            self.server
                .tell(3, format!("{address} tells wrong sizes by SIZE; its listings are believed instead"));
        }
        // One refusal alone does not end the checks of other files.
        if told.size().is_some() || told.is_unsupported() {
            self.lacks("SIZE");
        }
        Ok(())
    }

    /// Makes sure that an answer to SIZE is one: 213, or a refusal. Any other success was meant for another command, and the
    /// conversation is out of step. Only from a server that says the same again in another conversation, and answers the next
    /// question by what belongs to it, it means nothing. No rename may be under way.
    ///
    /// # Errors
    /// [`Kind::Protocol`]; the conversation has ended.
    pub(super) fn check_is_about_size(&mut self, told: &Reply) -> Result<()> {
        if told.code() == 213 || !told.is_success() || told.is_unsupported() {
            return Ok(());
        }
        let before = self.server.learned().odd_size.replace(told.code());
        // No other command is answered by 257.
        if before == Some(told.code()) && self.control.ask(&Command::bare("PWD"))?.code() == 257 {
            self.lacks("SIZE");
            return Ok(());
        }
        self.control.doubt();
        let detail = format!("{:?} is no answer to SIZE", told.text());
        Err(Error::new(Kind::Protocol, detail).retrying(Retry::NewSession))
    }

    /// Whether only a listing could tell which time the server gives a file that is written.
    pub(super) fn is_dated_by_listings(&self, put: &Put, mtime_kept: bool) -> bool {
        put.mtime.is_some() && !mtime_kept && !self.knows("MDTM")
    }

    /// The time that the server gave the file it got just now, as its listings tell it. They may be in any time zone, so without
    /// this the next run would take the file for one that was edited there. The first file is looked up; for the others the
    /// distance of the two clocks is known then.
    pub(super) fn date_by_listing(&mut self, path: &[u8]) -> Option<Stamp> {
        if self.server.learned().listings_ahead.is_some() {
            return self.date_by_clock();
        }
        // Should the conversation end with this, the next verb meets it.
        let found = self.listed(path).ok()?;
        let is_hidden = found.is_none() && path.rsplit(|&byte| byte == b'/').next()?.starts_with(b".");
        let shown = found.and_then(|entry| entry.mtime);
        if !is_hidden {
            self.server.learned().listings_ahead = Some(shown.map(|at| at.seconds() - now()));
        }
        shown
    }

    /// What listings will show for a file that the server got just now, as far as the first file has told.
    pub(super) fn date_by_clock(&self) -> Option<Stamp> {
        let ahead = self.server.learned().listings_ahead.flatten()?;
        Some(Stamp::new(now() + ahead, 0))
    }
}
