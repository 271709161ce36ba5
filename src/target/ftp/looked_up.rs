//! What SIZE, or MLST, or only a listing tells about a file that was just written.

use super::listing::now;
use super::session::FtpSession;
use crate::error::{Error, Kind, Result, Retry};
use crate::model::{Entry, RelPath, Stamp};
use crate::target::Put;
use crate::wire::ftp::{Command, Line, Reply, mlsd};

/// What shows that all bytes of a file have arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(super) enum Arrival {
    /// Its size was seen.
    Seen,
    /// Only the word of the server: it tells no size of this name.
    Unsaid,
}

impl FtpSession {
    /// The entry of a file in the listing of its folder, and whether the listing would show it if it were there.
    pub(super) fn listed(&mut self, path: &[u8]) -> Result<(Option<Entry>, bool)> {
        let (folder, name) = match path.iter().rposition(|&byte| byte == b'/') {
            None => (&b"."[..], path),
            Some(slash) => (&path[..slash.max(1)], &path[slash + 1..]),
        };
        let names = self.server.names;
        let listing = self.list_at(folder)?;
        let is_it =
            |entry: &Entry| names.encode(&RelPath::root().join(&entry.name)).is_ok_and(|bytes| bytes == name);
        // Names that begin with a dot are often left out, and those of this program always are.
        let is_shown = listing.complete && !name.starts_with(b".");
        Ok((listing.entries.into_iter().find(is_it), is_shown))
    }

    /// Makes sure that all bytes of a file have arrived. `told` is the answer to SIZE, where that was asked. Some servers tell
    /// nonsense by it, and the truth in listings, some confirm transfers that were cut short.
    ///
    /// # Errors
    /// [`Kind::Size`](crate::error::Kind::Size) if the size is another one, as far as anything tells.
    pub(super) fn check_arrived(&mut self, path: &[u8], sent: u64, told: Option<&Reply>) -> Result<Arrival> {
        if told.is_some_and(|told| told.size() == Some(sent)) {
            // Some say 0 of every file.
            self.server.learned().sizes_are_right |= sent > 0;
            return Ok(Arrival::Seen);
        }
        if let Some(told) = told {
            self.check_is_about_size(told)?;
        }
        let by_size = told.and_then(Reply::size);
        let arrival = if self.size_by_mlst(path)? == Some(sent) {
            Arrival::Seen
        } else {
            self.check_listed(path, sent, by_size)?
        };
        if by_size.is_some() {
            let address = self.server.address();
            self.server
                .tell(3, format!("{address} tells wrong sizes by SIZE; its listings are believed instead"));
        }
        // One odd answer does not end the checks of other files where others were right.
        let is_of_no_use = by_size.is_some() || told.is_some_and(Reply::is_unsupported);
        let was_right = self.server.learned().sizes_are_right;
        if is_of_no_use && !was_right {
            self.lacks("SIZE");
        }
        Ok(arrival)
    }

    /// As [`FtpSession::check_arrived`], by the listing of the folder; `by_size` is what SIZE says.
    fn check_listed(&mut self, path: &[u8], sent: u64, by_size: Option<u64>) -> Result<Arrival> {
        let (entry, is_shown) = self.listed(path)?;
        let (is_there, listed) = (entry.is_some(), entry.and_then(|entry| entry.size));
        if listed != Some(sent) {
            super::upload::check_size(listed.or(by_size), sent)?;
        }
        if !is_there && is_shown {
            let detail = "the server has confirmed the transfer, and does not list the file";
            return Err(Error::new(Kind::Size, detail).retrying(Retry::NewSession));
        }
        Ok(if listed.is_some() { Arrival::Seen } else { Arrival::Unsaid })
    }

    /// The size that a server tells of a single file by MLST (RFC 3659, section 7), if it has that.
    fn size_by_mlst(&mut self, path: &[u8]) -> Result<Option<u64>> {
        if !self.knows("MLST") {
            return Ok(None);
        }
        let reply = self.control.ask(&Command::path("MLST", path)?)?;
        if reply.is_unsupported() {
            self.lacks("MLST");
        }
        let mut facts = reply.lines().iter().filter_map(|line| match mlsd::parse(line.trim_ascii_start()) {
            Line::Item(item) => item.size,
            Line::Nothing | Line::Bad => None,
        });
        Ok(if reply.code() == 250 { facts.next_back() } else { None })
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
        let (found, _) = self.listed(path).ok()?;
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
