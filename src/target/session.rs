//! One conversation with a place: the verbs that each kind of target has, and those that only some have.

use super::ftp;
use super::on_disk::OnDisk;
#[cfg(feature = "sftp")]
use super::sftp;
use super::{Expect, Put, Written};
use crate::error::{Error, Kind, Result, Retry};
use crate::model::{Listing, RelPath, Stamp};
use std::io::Read;

/// A file that was written behind, and what became of it.
pub type Settled = (RelPath, Result<Written>);

/// One conversation, used by one thread at a time. Paths start at the target's root.
///
/// After an error with [`Retry::NewSession`](crate::error::Retry::NewSession) the session must be dropped; after any other
/// error it is as good as before. No verb retries on its own.
pub trait Session: Send {
    // What each kind has.

    /// Lists one folder: files and folders in the order of the side, metadata and temporary files included.
    ///
    /// # Errors
    /// Any failure that makes the listing unusable. A listing that is usable but may lack names comes back `Ok` with
    /// `complete == false`.
    fn list(&mut self, dir: &RelPath) -> Result<Listing>;

    /// Lends a reader over the whole file to `lend`.
    ///
    /// The reader reports end of file only when the side has confirmed that all was sent; a cut transfer is an `Err` of
    /// the reader (an [`Error`] inside the `io::Error`), so a consumer that sees `Ok(0)` has everything.
    ///
    /// # Errors
    /// [`Kind::NotFound`], [`Kind::Denied`] and the like before `lend` is called, if the file cannot be opened; else what
    /// `lend` returns.
    fn read(&mut self, file: &RelPath, lend: &mut dyn FnMut(&mut dyn Read) -> Result<()>) -> Result<()>;

    /// Puts a whole file at its name, or leaves what was there.
    ///
    /// Unless `put.inplace`: after `Ok` the complete new content is at the name, after `Err` the old content (or nothing)
    /// is, at every instant one of the two. An error from `body` aborts and is returned as it is. If `put.size` is given
    /// and the body has another length, that is [`Kind::Size`].
    ///
    /// # Errors
    /// As above, and whatever the side refuses.
    fn write(&mut self, file: &RelPath, body: &mut dyn Read, put: &Put) -> Result<Written>;

    /// Makes a folder; its parent exists. A folder that is there already is fine.
    ///
    /// # Errors
    /// [`Kind::Exists`] if a file has the name, or whatever the side refuses.
    fn mkdir(&mut self, dir: &RelPath) -> Result<()>;

    /// Removes one file (or a link, never what it leads to).
    ///
    /// # Errors
    /// [`Kind::NotFound`] if it is not there.
    fn remove_file(&mut self, file: &RelPath) -> Result<()>;

    /// Removes an empty folder.
    ///
    /// # Errors
    /// [`Kind::NotFound`] if it is not there; a refusal if it is not empty.
    fn remove_dir(&mut self, dir: &RelPath) -> Result<()>;

    // Reading: ahead, in parts, and what is known of a content without it.

    /// Tells which files will be read next, in this order, each with the size that was listed (bytes): a side with round trips may
    /// ask for them together. What was announced before and not read since is forgotten.
    ///
    /// Never fails: what goes wrong shows when the file is read.
    fn announce(&mut self, _files: &[(&RelPath, u64)]) {}

    /// Whether [`Session::read_from`] works, as far as known.
    fn can_read_from(&self) -> bool {
        false
    }

    /// Whether a large file comes faster when several sessions [read parts](Session::read_from) of it.
    fn gains_by_parts(&self) -> bool {
        false
    }

    /// Lends a reader over the file from byte `start` on. A consumer may stop before the end.
    ///
    /// # Errors
    /// As [`Session::read`]; [`Kind::Unsupported`] where that cannot be.
    fn read_from(
        &mut self,
        file: &RelPath,
        _start: u64,
        _lend: &mut dyn FnMut(&mut dyn Read) -> Result<()>,
    ) -> Result<()> {
        Err(Error::new(Kind::Unsupported, "this target sends whole files only").during("read").at(file))
    }

    /// What this side says that the content of a file adds up to, without sending it. `None` where it says nothing.
    ///
    /// # Errors
    /// What ends the conversation.
    fn claim(&mut self, _file: &RelPath) -> Result<Option<Box<dyn Claim>>> {
        Ok(None)
    }

    /// The number of the version that a file is now, as [`Put::version`] has it. `None` where that takes a question.
    fn version(&mut self, _file: &RelPath) -> Option<u64> {
        None
    }

    /// Whether a reader over a whole file compares what it has read with what the side says.
    fn checks_wholes(&self) -> bool {
        false
    }

    // Writing: in parts, where another transfer has ended, from disk to disk, and together with the next file.

    /// Begins a file that is written in parts, in any order, by several threads, after the first [`Put::from`] bytes that are
    /// here already. `None`: this side does not do that.
    ///
    /// # Errors
    /// As [`Session::write`].
    fn write_parts(&mut self, _file: &RelPath, _put: &Put) -> Result<Option<Box<dyn Parts>>> {
        Ok(None)
    }

    /// Whether an upload may begin in the middle, by [`Put::from`], behind a part of the name [`Put::part_name`]. It may be refused.
    fn can_write_from(&self) -> bool {
        false
    }

    /// How much of a file an interrupted transfer has left here, in bytes. [`Session::write`] goes on there with
    /// [`Put::from`].
    ///
    /// # Errors
    /// What ends the conversation.
    fn held(&mut self, _file: &RelPath, _put: &Put) -> Result<u64> {
        Ok(0)
    }

    /// Lends a reader over what [held](Session::held) tells of, from byte `start` on.
    ///
    /// # Errors
    /// [`Kind::Unsupported`] where that would mean to fetch it again; else as [`Session::read`].
    fn read_held(
        &mut self,
        file: &RelPath,
        _put: &Put,
        _start: u64,
        _lend: &mut dyn FnMut(&mut dyn Read) -> Result<()>,
    ) -> Result<()> {
        Err(Error::new(Kind::Unsupported, "parts are not read here").during("read").at(file))
    }

    /// Ends an upload of which [somebody has heard](Target::watch_uploads), and which nobody goes on with. One that has ended is
    /// fine.
    ///
    /// # Errors
    /// What the side says.
    fn end_upload(&mut self, _file: &RelPath, _upload: &str) -> Result<()> {
        Ok(())
    }

    /// Whether this side is a disk of this computer, onto which the system can copy files of another one.
    fn copies_on_disk(&self) -> bool {
        false
    }

    /// Whether this side opens the file before it reads anything for it: as long as nothing was read, it may be that it
    /// could not be opened.
    fn opens_first(&self) -> bool {
        self.copies_on_disk()
    }

    /// A file, open, if it is on a disk of this computer and need not pass through a reader. It is copied by
    /// [`Session::write_on_disk`].
    ///
    /// # Errors
    /// As [`Session::read`] before it lends.
    fn open_on_disk<'p>(&mut self, _file: &'p RelPath) -> Result<Option<OnDisk<'p>>> {
        Ok(None)
    }

    /// As [`Session::write`], where both sides are disks of this computer. Each piece is told to `pass`, which may end it.
    ///
    /// # Errors
    /// As [`Session::write`]; [`Kind::Unsupported`] where this side [is no disk](Session::copies_on_disk).
    fn write_on_disk(
        &mut self,
        file: &RelPath,
        _source: &mut OnDisk<'_>,
        _pass: &mut dyn FnMut(u64) -> Result<()>,
        _put: &Put,
    ) -> Result<Written> {
        Err(Error::new(Kind::Unsupported, "this side is no disk").during("write").at(file))
    }

    /// As [`Session::write`], but what has to follow the transfer may be left for later: `Ok(None)`, and what became of the file
    /// comes with [`Session::settled`]. Sides with round trips do it together with the next file.
    ///
    /// Until then the old content is in place. After an error with
    /// [`Retry::NewSession`](crate::error::Retry::NewSession) nobody knows what became of the files that were left for later.
    ///
    /// # Errors
    /// As [`Session::write`], about this file only.
    fn write_behind(&mut self, file: &RelPath, body: &mut dyn Read, put: &Put) -> Result<Option<Written>> {
        self.write(file, body, put).map(Some)
    }

    /// What became of files that [`Session::write_behind`] has left for later, as far as it is known; of `all` of them, if so
    /// wanted.
    ///
    /// # Errors
    /// What ends the conversation; then nobody knows about those that are missing.
    fn settled(&mut self, _all: bool) -> Result<Vec<Settled>> {
        Ok(Vec::new())
    }

    /// The files that [`Session::write_behind`] has left for later, and of which nothing is known yet. Also after an error.
    fn unsettled(&self) -> Vec<RelPath> {
        Vec::new()
    }

    /// Returns when the names in a folder, and the way to it, would outlast a power cut, as far as this side can tell.
    ///
    /// # Errors
    /// What the disk says.
    fn secure(&mut self, _dir: &RelPath) -> Result<()> {
        Ok(())
    }

    // Folders, deletions and names: many at once, and with care.

    /// As [`Session::mkdir`] for somebody who wants to know whether he was the first: a folder that is there already is an error,
    /// where a side has folders of their own.
    ///
    /// # Errors
    /// As [`Session::mkdir`].
    fn make_new(&mut self, dir: &RelPath) -> Result<()> {
        self.mkdir(dir)
    }

    /// Makes many folders in one go, in order; one result for each. Sides with round trips send them in bursts.
    fn mkdirs(&mut self, dirs: &[RelPath]) -> Vec<Result<()>> {
        dirs.iter().map(|dir| self.mkdir(dir)).collect()
    }

    /// Removes many files in one go, in order; one result for each. Sides with round trips send them in bursts.
    fn remove_files(&mut self, files: &[RelPath]) -> Vec<Result<()>> {
        files.iter().map(|file| self.remove_file(file)).collect()
    }

    /// As [`Session::remove_files`], each file only if it is still as it was listed ([`Session::still`]): else that is
    /// [`Kind::Changed`](crate::error::Kind::Changed). Where an earlier attempt has ended without an answer (`is_repeated`), a
    /// file that is not there was removed by that.
    fn remove_if_still(&mut self, files: &[(RelPath, Expect)], is_repeated: bool) -> Vec<Result<()>> {
        let is_gone = |session: &mut Self, file: &RelPath| {
            let answer = session.still(&[(file.clone(), Expect::Absent)]).pop();
            is_repeated && matches!(answer, Some(Ok(Some(true))))
        };
        let looks = self.still(files);
        let mut results: Vec<Option<Result<()>>> = Vec::with_capacity(files.len());
        for ((file, _), look) in files.iter().zip(looks) {
            results.push(match look {
                Ok(Some(true) | None) => None,
                Ok(Some(false)) if is_gone(self, file) => Some(Ok(())),
                Ok(Some(false)) => Some(Err(changed_since_listed().during("delete").at(file))),
                Err(error) => Some(Err(error)),
            });
        }
        let sure: Vec<RelPath> = files
            .iter()
            .zip(&results)
            .filter(|(_, result)| result.is_none())
            .map(|((file, _), _)| file.clone())
            .collect();
        let mut removed = self.remove_files(&sure).into_iter();
        let unanswered = || Err(Error::new(Kind::Protocol, "no answer").during("delete"));
        results
            .into_iter()
            .map(|result| result.or_else(|| removed.next()).unwrap_or_else(unanswered))
            .collect()
    }

    /// Removes many empty folders in one go, in order; one result for each.
    fn remove_dirs(&mut self, dirs: &[RelPath]) -> Vec<Result<()>> {
        dirs.iter().map(|dir| self.remove_dir(dir)).collect()
    }

    /// Removes a folder with everything in it, if that is no more than these files, as they were listed, and these folders, itself
    /// among them. False, and nothing done, if there is anything else.
    ///
    /// # Errors
    /// A refusal; what is left then is not known.
    fn remove_tree(
        &mut self,
        _root: &RelPath,
        _files: &[(RelPath, Expect)],
        _folders: &[RelPath],
    ) -> Result<bool> {
        Ok(false)
    }

    /// Renames a file, replacing what has the new name.
    ///
    /// # Errors
    /// [`Kind::Unsupported`] where [`Caps::renames`] is false.
    fn rename(&mut self, from: &RelPath, _to: &RelPath) -> Result<()> {
        Err(Error::new(Kind::Unsupported, "this target cannot rename").during("rename").at(from))
    }

    /// The time that the side gave a file when it was renamed, by its own clock, where that dates it anew.
    fn redated(&self, _file: &RelPath) -> Option<Stamp> {
        None
    }

    /// Gives a file that is about to be replaced a second name, which nothing has; its folder exists. Where a file can have
    /// two names it keeps the first one meanwhile.
    ///
    /// # Errors
    /// As [`Session::rename`].
    fn keep(&mut self, file: &RelPath, second: &RelPath) -> Result<()> {
        self.rename(file, second)
    }

    // Times, and whether things are as they were listed.

    /// Sets the modification time of a file.
    ///
    /// # Errors
    /// [`Kind::Unsupported`] where [`Caps::sets_mtime`] is false.
    fn set_mtime(&mut self, file: &RelPath, _to: Stamp) -> Result<()> {
        Err(Error::new(Kind::Unsupported, "this target cannot set times").during("set the time of").at(file))
    }

    /// The times that these files carry with them, where listings show when they were put there: one answer for each, in order.
    /// `None` for a file that carries none, or that is another one than was listed. It takes a question for each file.
    ///
    /// # Errors
    /// What ends the conversation.
    fn own_times(&mut self, files: &[RelPath]) -> Result<Vec<Option<Stamp>>> {
        Ok(vec![None; files.len()])
    }

    /// The time that a file carries with it, if its last reader has learned that on the way: without a question.
    fn carried_time(&self, _file: &RelPath) -> Option<Stamp> {
        None
    }

    /// Looks whether what should be at these names is there: one answer for each, in order. `Ok(None)`: cannot tell.
    ///
    /// Asked before deletions. For [`Expect::Absent`] it is whether there is really nothing (a listing may hide names), for
    /// [`Expect::File`] whether the file is still as it was listed.
    fn still(&mut self, names: &[(RelPath, Expect)]) -> Vec<Result<Option<bool>>> {
        names.iter().map(|_| Ok(None)).collect()
    }

    /// As [`Session::still`], of names of which one is written right after if nothing is there. Sides with round trips prepare
    /// that in the same one.
    fn still_before_write(&mut self, names: &[(RelPath, Expect)]) -> Vec<Result<Option<bool>>> {
        self.still(names)
    }

    // The conversation itself.

    /// The conversation for commands of the user's own, if it is one over FTP.
    fn as_ftp(&mut self) -> Option<ftp::ByHand<'_>> {
        None
    }

    /// The conversation for verbs of the user's own, if it is one over SFTP.
    #[cfg(feature = "sftp")]
    fn into_sftp(self: Box<Self>) -> Option<sftp::ByHand> {
        None
    }

    /// Forgets what was seen of the side before: others may have worked on it. Asked before verbs by hand; in a run the sessions
    /// share what they have seen.
    fn look_afresh(&mut self) {}

    /// Whether the conversation can go on, as far as can be told without a round trip. Asked of one that lay idle.
    fn is_alive(&mut self) -> bool {
        true
    }

    /// What the conversation began with, for the user's eyes: one line each, with the verbosity from which it is shown.
    fn greeting(&self) -> &[(u8, String)] {
        &[]
    }

    /// Ends the conversation politely. Dropping a session ends it without ceremony.
    fn close(self: Box<Self>) {}

    /// Removes one file as the last thing that the conversation does, and ends it politely.
    ///
    /// # Errors
    /// As [`Session::remove_file`].
    fn close_removing(mut self: Box<Self>, file: &RelPath) -> Result<()> {
        let removed = self.remove_file(file);
        self.close();
        removed
    }
}

/// A file that is written in parts. What was there before stays until it is finished; dropped or discarded, it leaves
/// nothing.
pub trait Parts: Send + Sync {
    /// Writes bytes at an offset.
    ///
    /// # Errors
    /// What the side says.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<()>;

    /// Puts the file at its name, under the rules of [`Session::write`].
    ///
    /// # Errors
    /// As [`Session::write`].
    fn finish(&self) -> Result<Written>;

    /// Removes what was written; harmless when it is finished.
    fn discard(&self);

    /// As [`Parts::discard`], but leaves the first bytes for another attempt, where that can be. Nobody writes any more.
    fn keep(&self, _length: u64) {
        self.discard();
    }
}

/// The error for a file that is not deleted because it is another one than was listed.
pub(crate) fn changed_since_listed() -> Error {
    Error::new(Kind::Changed, "it was changed since it was listed")
}

/// What a side says that a content adds up to.
pub trait Claim: Send {
    /// Takes the next bytes of a content.
    fn add(&mut self, bytes: &[u8]);

    /// Whether what was taken is the content that the side means.
    fn is_met(self: Box<Self>) -> bool;
}

/// Whether the bytes that came before an error are good, so that another attempt may go on behind them. Some errors are final
/// only because enough was tried. A side that cannot begin where it should may have begun elsewhere.
pub(crate) fn is_good_so_far(error: &Error) -> bool {
    let is_of_the_line = matches!(
        error.kind(),
        Kind::Cancelled | Kind::Connect | Kind::Disconnected | Kind::Timeout | Kind::Busy | Kind::UnknownHost
    );
    let is_of_the_bytes = matches!(error.kind(), Kind::Corrupt | Kind::Unsupported);
    (is_of_the_line || error.retry() != Retry::No) && !is_of_the_bytes
}
