//! Places that hold a tree of files, behind one narrow pair of traits.
//!
//! A new kind of place is one file: the required verbs of [`Session`], a [`Target`] that opens sessions, and one line in
//! the registry. Retrying, pooling, dry-run, progress and metadata are not its business.

pub mod checkup;
pub mod digest;
pub mod fill;
pub mod ftp;
pub mod layer;
mod litter;
pub mod local;
pub mod memory;
mod names;
pub mod on_disk;
mod pace;
pub mod pool;
pub mod registry;
#[cfg(feature = "s3")]
pub mod s3;
#[cfg(feature = "sftp")]
pub mod sftp;
pub mod url;
mod windows;

use crate::error::{Error, Kind, Result, Retry};
use crate::model::{Entry, Listing, RelPath, Stamp};
use on_disk::OnDisk;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::io::Read;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

/// What a target can do. Claiming a capability is asking the contract suite to test it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caps {
    /// Modification times can be set, and come back in listings.
    pub sets_mtime: bool,
    /// [`Session::rename`] works, also onto an existing file.
    pub renames: bool,
    /// How many sessions may be open at once; at least 1.
    pub sessions: usize,
    /// Talking to it costs round trips on a network: worth several sessions and bursts.
    pub is_networked: bool,
    /// What is written where nothing is expected never replaces what somebody else has put there at the same instant.
    pub excludes_others: bool,
    /// Small files come faster if those that will be read next are [announced](Session::announce).
    pub reads_ahead: bool,
}

/// A place that holds a tree of files. Cheap to share; conversations with it are [`Session`]s.
pub trait Target: Send + Sync {
    /// The key under which peers remember this target: scheme, user, host, port and root; for a local folder its absolute path.
    fn id(&self) -> &str;

    /// The key that pyftpsync 3.1 and 4.1 use for the same target: host and root only.
    fn legacy_id(&self) -> &str {
        self.id()
    }

    /// How the target is shown: a URL or path, never with a password.
    fn base_name(&self) -> &str;

    /// What it can do, as far as known now.
    fn caps(&self) -> Caps;

    /// Whether a folder of which nothing stays is to be deleted by [`Session::remove_tree`].
    fn removes_trees(&self) -> bool {
        false
    }

    /// Starts a conversation, at the root of the target.
    ///
    /// # Errors
    /// Connection, TLS and login failures; [`Kind::NotFound`] when the root folder does not exist.
    fn open(&self) -> Result<Box<dyn Session>>;

    /// How long the way to it and back takes at the least, as far as known.
    fn round_trip(&self) -> Option<Duration> {
        None
    }

    /// Whether files may carry a time of their own that listings do not show, see [`Session::own_times`].
    fn hides_times(&self) -> bool {
        false
    }

    /// Whether what listings tell as `unique` is another for each content of a file.
    fn names_versions(&self) -> bool {
        false
    }

    /// The server did not want more conversations at the same time than so many.
    fn makes_do_with(&self, _conversations: usize, _refusal: &Error) {}

    /// Ends every conversation at once, from any thread: blocked reads and writes fail within moments.
    fn interrupt(&self) {}

    /// Begins a file of this name in the root, for notes that outlast the death of the process. It stays locked while the notes
    /// live. `None` where there is no place for it.
    fn begin_notes(&self, _name: &str) -> Option<Box<dyn Notes>> {
        None
    }

    /// Has somebody hear of uploads that stay on this side until they are ended, whoever has begun them: `None` for nobody any more.
    fn watch_uploads(&self, _watch: Option<UploadWatch>) {}

    /// The notes of this name that somebody has left. `None` if he still writes them, or if they cannot be had.
    fn left_notes(&self, _name: &str) -> Option<Box<dyn Notes>> {
        None
    }

    /// What was found out about the target since the last call, for the user's eyes: one line each, with the verbosity from
    /// which it is shown.
    fn news(&self) -> Vec<(u8, String)> {
        Vec::new()
    }

    /// What only this kind of target can tell about itself, for a [check-up](checkup::check_up): what was learned so far, and
    /// what conversations of its own show.
    fn particulars(&self) -> checkup::Findings {
        checkup::Findings::new()
    }
}

/// Hears of such an upload: the file, the name that the side has given to the upload, and whether it has ended.
pub type UploadWatch = Arc<dyn Fn(&RelPath, &str, bool) + Send + Sync>;

/// Notes that outlast the process.
pub trait Notes: Send {
    /// Adds something; whether it worked.
    fn add(&mut self, text: &str) -> bool;

    /// All that they say, as far as it can be read.
    fn text(&mut self) -> String;

    /// Removes them.
    fn remove(self: Box<Self>);
}

/// What should be at a name at this moment, as the plan knows it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Expect {
    /// Nobody knows, and nobody cares.
    #[default]
    Anything,
    /// Nothing.
    Absent,
    /// A file of this size (bytes) and with this time, as far as each is known.
    File(Option<u64>, Option<Stamp>),
}

/// How a file is to be put in place.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Put {
    /// What the new content replaces. Where something else is found instead, and the side can tell without another round
    /// trip, that is [`Kind::Changed`](crate::error::Kind::Changed): somebody has worked on it since it was listed.
    pub expect: Expect,
    /// The size that the body should have, in bytes, if known beforehand.
    pub size: Option<u64>,
    /// The modification time that the file should carry.
    pub mtime: Option<Stamp>,
    /// The permission bits of the file that it replaces, where the side lists them.
    pub mode: Option<u16>,
    /// Overwrite in place instead of by temporary name and rename.
    pub inplace: bool,
    /// A few bytes, written in place, whose folder is listed soon after: what that shows is not asked for beside it.
    pub is_hasty: bool,
    /// The body begins with this byte of the content; what comes before is here already, see [`Session::held`].
    pub from: u64,
    /// An earlier attempt has ended without an answer: what it was to put there may be there already.
    pub is_repeated: bool,
    /// Tells this content of the source from others of the same size and time, see [`version`]; 0 where nothing does.
    pub version: u64,
}

/// From this size on (bytes), an interrupted transfer is continued.
pub const RESUMED: u64 = 8 * 1024 * 1024;

impl Put {
    /// Whether what an interrupted transfer leaves behind can be recognised later, and is worth it: by the name, size and time
    /// of the source.
    pub fn is_resumable(&self) -> bool {
        !self.inplace && self.mtime.is_some() && self.size.is_some_and(|size| size >= RESUMED)
    }

    /// Whether what has the name by now cannot be what this is to replace, nor this itself.
    pub fn must_be_new(&self) -> bool {
        self.expect == Expect::Absent && !self.is_repeated
    }

    /// The temporary name of such a file, the same for each attempt.
    pub(crate) fn part_name(&self, file_name: &str) -> String {
        temp_name(file_name, self.part_number(file_name))
    }

    /// The number in it.
    pub(crate) fn part_number(&self, file_name: &str) -> u64 {
        let at = self.mtime.map(|at| (at.seconds(), at.nanos()));
        let mut text = format!("{:?} {at:?} {file_name}", self.size);
        if self.version != 0 {
            text.push_str(&format!(" {:x}", self.version));
        }
        number_of(&text)
    }
}

/// The number of the version that an entry of this side is, for [`Put::version`].
pub(crate) fn version(side: &dyn Target, entry: &Entry) -> u64 {
    match entry.unique.as_deref() {
        Some(name) if side.names_versions() => number_of(name),
        Some(identity) => entry.changed.map_or(0, |changed| version_of(identity, changed)),
        None => 0,
    }
}

/// The number of the version of a file that a file system knows by this identity, and that was last changed then.
pub(crate) fn version_of(identity: &str, changed: Stamp) -> u64 {
    number_of(&format!("{identity} {} {}", changed.seconds(), changed.nanos()))
}

/// A number that another text hardly has.
fn number_of(text: &str) -> u64 {
    let digest = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
    digest.as_ref().iter().take(8).fold(0, |number, byte| (number << 8) | u64::from(*byte))
}

/// What became of a file that was put in place.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Written {
    /// Bytes now at the name, checked on the side that holds them where it can tell.
    pub size: u64,
    /// Whether the modification time of [`Put`] was set. When not, the caller has to remember it.
    pub mtime_kept: bool,
    /// The time that the side gave the file by its own clock, where the wanted one could not be set and it tells.
    pub dated: Option<Stamp>,
    /// The time that the side shows for the file now, to the last digit, where it was looked at.
    pub shown: Option<Stamp>,
}

/// A file that was written behind, and what became of it.
pub type Settled = (RelPath, Result<Written>);

/// One conversation, used by one thread at a time. Paths start at the target's root.
///
/// After an error with [`Retry::NewSession`](crate::error::Retry::NewSession) the session must be dropped; after any other
/// error it is as good as before. No verb retries on its own.
pub trait Session: Send {
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

    /// Tells which files will be read next, in this order, each with the size that was listed (bytes): a side with round trips may
    /// ask for them together. What was announced before and not read since is forgotten.
    ///
    /// Never fails: what goes wrong shows when the file is read.
    fn announce(&mut self, _files: &[(&RelPath, u64)]) {}

    /// Whether [`Session::read_from`] works, as far as known.
    fn can_read_from(&self) -> bool {
        false
    }

    /// Whether an upload may begin in the middle, by [`Put::from`], behind a part of the name [`Put::part_name`]. It may be refused.
    fn can_write_from(&self) -> bool {
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

    /// Begins a file that is written in parts, in any order, by several threads, after the first [`Put::from`] bytes that are
    /// here already. `None`: this side does not do that.
    ///
    /// # Errors
    /// As [`Session::write`].
    fn write_parts(&mut self, _file: &RelPath, _put: &Put) -> Result<Option<Box<dyn Parts>>> {
        Ok(None)
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

    /// Puts a whole file at its name, or leaves what was there.
    ///
    /// Unless `put.inplace`: after `Ok` the complete new content is at the name, after `Err` the old content (or nothing)
    /// is, at every instant one of the two. An error from `body` aborts and is returned as it is. If `put.size` is given
    /// and the body has another length, that is [`Kind::Size`].
    ///
    /// # Errors
    /// As above, and whatever the side refuses.
    fn write(&mut self, file: &RelPath, body: &mut dyn Read, put: &Put) -> Result<Written>;

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

    /// Makes a folder; its parent exists. A folder that is there already is fine.
    ///
    /// # Errors
    /// [`Kind::Exists`] if a file has the name, or whatever the side refuses.
    fn mkdir(&mut self, dir: &RelPath) -> Result<()>;

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

/// A name for a temporary file: recognisable, never synchronised, unlikely to meet another.
///
/// `unique` comes from the caller (a counter, a clock, a process id); the final name is kept visible where it fits into
/// 255 bytes.
pub fn temp_name(file_name: &str, unique: u64) -> String {
    let mut kept = file_name.len().min(200);
    while !file_name.is_char_boundary(kept) {
        kept -= 1;
    }
    format!("{}{unique:016x}-{}", crate::model::TEMP_PREFIX, &file_name[..kept])
}

/// Bits of a temporary name's number that count; the others are the same for all names of a process.
const COUNTING: u32 = 24;

/// A number for a temporary name: two clients of one server do not meet, nor two targets of one process.
pub(crate) fn next_unique() -> u64 {
    numbered(COUNT.fetch_add(1, Ordering::Relaxed))
}

/// How many numbers this process has given away.
static COUNT: AtomicU64 = AtomicU64::new(0);

/// How many numbers this process has given away so far.
pub(crate) fn numbers_given() -> u64 {
    COUNT.load(Ordering::Relaxed)
}

/// Whether hexadecimal digits begin with a number of this process that is one of the first `given`. When the numbers have begun
/// anew, nobody can tell.
pub(crate) fn is_of_first(digits: &str, given: u64) -> bool {
    let number = digits.get(..16).and_then(|digits| u64::from_str_radix(digits, 16).ok());
    let mask = (1 << COUNTING) - 1;
    given <= mask && number.is_some_and(|number| number == numbered(number) && number & mask < given)
}

/// The number that this process makes of another one.
pub(crate) fn numbered(number: u64) -> u64 {
    (process_number() << COUNTING) | (number & ((1 << COUNTING) - 1))
}

/// The digits with which the numbers of this process begin.
pub(crate) fn process_tag() -> String {
    format!("{:010x}", process_number())
}

/// Different for each process; also for one that was split off another.
fn process_number() -> u64 {
    static RANDOM: LazyLock<RandomState> = LazyLock::new(RandomState::new);
    RANDOM.hash_one(std::process::id()) >> COUNTING
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn temporary_names_fit_and_keep_whole_characters() {
        let long = "ä".repeat(127);
        let name = temp_name(&long, 7);
        assert!(name.len() <= 255 && name.starts_with(crate::model::TEMP_PREFIX));
    }

    #[test]
    fn temporary_names_of_a_process_begin_alike_and_differ() {
        let names = [temp_name("file", next_unique()), temp_name("file", next_unique())];
        let beginning = format!("{}{}", crate::model::TEMP_PREFIX, process_tag());
        assert!(names.iter().all(|name| name.starts_with(&beginning)) && names[0] != names[1], "{names:?}");
    }
}
