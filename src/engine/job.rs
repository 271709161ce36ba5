//! The pieces of work that threads carry out, and what comes back.

use super::keep::Keep;
use super::lock::LockNews;
use super::removal::DoomedTree;
use crate::error::{Error, Kind, Result};
use crate::model::meta::{Fact, MetaError, PeerKey};
use crate::model::{DirMeta, Entry, Name, Note, RelPath, Side, Sides, Stamp};
use crate::plan::contents::Question;
use crate::target::{Expect, Put, Written};
use std::sync::Arc;

/// The folder that a piece of work belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket(pub usize);

/// A piece of work.
#[derive(Debug)]
pub enum Job {
    /// List one side of a folder, with its metadata; make the folder first if `make`.
    List {
        /// The folder.
        ticket: Ticket,
        /// The side to list.
        side: Side,
        /// Its path there.
        dir: RelPath,
        /// What is to be done before.
        make: Make,
    },
    /// Ask for the times that files carry with them.
    AskTimes {
        /// The folder.
        ticket: Ticket,
        /// The side.
        side: Side,
        /// The files.
        files: Vec<RelPath>,
    },
    /// Copy one file.
    Copy(Box<CopyJob>),
    /// Compare the contents of two files.
    Compare {
        /// The name under which they are remembered.
        name: String,
        /// Where they are.
        paths: Sides<RelPath>,
        /// What is asked about them.
        question: Question,
    },
    /// Set the time of a file.
    Date(Box<DateJob>),
    /// Delete files of one side.
    RemoveFiles {
        /// The side that loses them.
        side: Side,
        /// The files.
        files: Vec<Doomed>,
    },
    /// Delete folders of one side, which hold nothing but our own metadata.
    RemoveDirs {
        /// The side that loses them.
        side: Side,
        /// The folders, each with whether it holds a metadata file.
        dirs: Vec<(RelPath, bool)>,
    },
    /// Delete a folder with everything in it, if that is what was found there.
    RemoveTree {
        /// The side that loses it.
        side: Side,
        /// The folder.
        tree: Box<DoomedTree>,
    },
    /// Write the metadata of one side of a folder, or remove the file if there is no text.
    WriteMeta {
        /// The folder.
        ticket: Ticket,
        /// The side.
        side: Side,
        /// Its path there.
        dir: RelPath,
        /// Its path on the other side.
        opposite: RelPath,
        /// The text.
        text: Option<Arc<str>>,
        /// What it must not take back.
        since: Since,
    },
}

/// The file that metadata was read from, where others may write it meanwhile: runs of the same folder with other peers.
#[derive(Debug, Clone, PartialEq)]
pub struct Since {
    /// The file, as it was listed. Anything, if that does not matter.
    pub file: Expect,
    /// The peer whose memory is ours to write.
    pub peer: Arc<PeerKey>,
}

/// What a listing does beforehand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Make {
    /// Nothing: the folder is there.
    Nothing,
    /// The folder is made, and is empty: there is nothing to list.
    Folder,
    /// The same, on a side that may take its name for another one.
    Twin,
}

impl Make {
    /// How to make a folder whose name may be taken for another one, or may not.
    pub fn new(has_twin: bool) -> Self {
        if has_twin { Make::Twin } else { Make::Folder }
    }
}

/// A file to delete, and what must be true for that at the last moment.
#[derive(Debug, Clone)]
pub struct Doomed {
    /// Its path.
    pub path: RelPath,
    /// The path on the other side at which there must really be nothing, if its absence there is the reason.
    pub gone_from: Option<RelPath>,
    /// User code wants it to go. If it was to be copied before, that must have been done.
    pub is_wished: bool,
    /// What it was when the deletion was planned.
    pub expect: Expect,
}

/// Where a copy lands.
#[derive(Debug, Clone, PartialEq)]
pub enum Landing {
    /// In a folder that is there, at a name where this is expected, with these permission bits.
    At(Expect, Option<u16>),
    /// The same, and what is there is kept.
    Over(Expect, Option<u16>, Keep),
    /// In a folder that may have to be made first.
    NewFolder,
}

/// A file to copy.
#[derive(Debug)]
pub struct CopyJob {
    /// The folder it is in.
    pub ticket: Ticket,
    /// The name under which it is remembered.
    pub name: String,
    /// The side that gets it.
    pub to: Side,
    /// Its path on the other side.
    pub source: RelPath,
    /// What it was there when it was listed.
    pub listed: Expect,
    /// Its path on this side.
    pub target: RelPath,
    /// Size and time it should have.
    pub put: Put,
    /// Where what it replaces is kept.
    pub keep: Option<Keep>,
    /// Whether folders above the target may have to be made.
    pub needs_folders: bool,
    /// Whether what follows the transfer may be left for later.
    pub may_lag: bool,
    /// The side may take its name for that of another file, which is there or was copied just before.
    pub has_twin: bool,
}

impl CopyJob {
    /// The path under which it is shown: that of the local side.
    pub fn shown(&self) -> &RelPath {
        if self.to == Side::Remote { &self.source } else { &self.target }
    }
}

/// A file whose time is to be set.
#[derive(Debug)]
pub struct DateJob {
    /// The folder it is in.
    pub ticket: Ticket,
    /// The side it is on.
    pub side: Side,
    /// The name under which it is remembered.
    pub name: String,
    /// Its path.
    pub path: RelPath,
    /// What was listed there.
    pub expect: Expect,
    /// The time.
    pub at: Stamp,
    /// The time that was listed there, by the clock of the side (seconds UTC).
    pub listed: Option<f64>,
    /// What is to be remembered then.
    pub fact: Fact,
}

/// What a folder holds on one side, our own files set apart.
#[derive(Debug, Default)]
pub struct View {
    /// Files and folders.
    pub entries: Vec<Entry>,
    /// Whether these are certainly all.
    pub complete: bool,
    /// What was left out, and why.
    pub notes: Vec<Note>,
    /// Names that are there but are no entries.
    pub present_but_skipped: Vec<Name>,
    /// Names whose encoding was guessed.
    pub guessed: Vec<Name>,
    /// Temporary files that an earlier run left behind.
    pub leftovers: Vec<Entry>,
    /// The metadata.
    pub meta: DirMeta,
    /// When it was written, as listed, in seconds since 1970-01-01 UTC.
    pub meta_time: Option<f64>,
    /// Its file, as listed.
    pub meta_file: Expect,
    /// Its length, in characters.
    pub meta_chars: u64,
    /// Why the metadata could not be used.
    pub meta_problem: Option<MetaError>,
    /// Size and time of the lock file, as listed in the root.
    pub lock: Option<(Option<u64>, Option<Stamp>)>,
}

impl View {
    /// What a folder holds that was just made, or is not there: certainly nothing.
    pub fn empty() -> Self {
        View { complete: true, ..View::default() }
    }
}

/// What came of a piece of work.
#[derive(Debug)]
pub enum Done {
    /// A listing.
    Listed {
        /// The folder.
        ticket: Ticket,
        /// The side.
        side: Side,
        /// What it holds.
        result: Result<Box<View>>,
    },
    /// The times that files carry with them, in the order in which they were asked for.
    Times {
        /// The folder.
        ticket: Ticket,
        /// The side.
        side: Side,
        /// The files and their times.
        result: Result<Vec<(RelPath, Option<Stamp>)>>,
    },
    /// A copy.
    Copied {
        /// What was to be copied.
        job: Box<CopyJob>,
        /// Bytes read from the source.
        bytes: u64,
        /// Whether the source could be opened at all.
        was_opened: bool,
        /// Seconds it took.
        seconds: f64,
        /// The outcome.
        result: Result<Written>,
    },
    /// Two files whose contents were compared.
    Compared {
        /// The name under which they are remembered.
        name: String,
        /// What was asked about them.
        question: Question,
        /// Whether it is so.
        result: Result<bool>,
    },
    /// A time that was set, if the side can keep it.
    Dated {
        /// What was to be done.
        job: Box<DateJob>,
        /// Whether the side keeps it.
        result: Result<bool>,
    },
    /// Deleted files or folders, with the outcome of each.
    Removed {
        /// The side that lost them.
        side: Side,
        /// What became of each.
        results: Vec<(RelPath, Result<()>)>,
    },
    /// A folder that was to go with everything in it.
    TreeRemoved {
        /// The side that lost it.
        side: Side,
        /// The folder.
        root: RelPath,
        /// Whether it is gone; false if nothing was done.
        result: Result<bool>,
    },
    /// Metadata.
    MetaWritten {
        /// The folder.
        ticket: Ticket,
        /// The side.
        side: Side,
        /// The folder's path.
        dir: RelPath,
        /// The outcome.
        result: Result<()>,
    },
    /// News of a lock, no answer to a job. An error ends the run.
    Locked {
        /// The side.
        side: Side,
        /// The news.
        news: Result<LockNews>,
    },
}

impl Done {
    /// The error, if the whole target failed rather than one item: nothing else can succeed either.
    pub fn outage(&self) -> Option<&Error> {
        let is_outage = |error: &&Error| error.is_outage() || error.kind() == Kind::Cancelled;
        match self {
            Done::Listed { result: Err(error), .. }
            | Done::Times { result: Err(error), .. }
            | Done::Copied { result: Err(error), .. }
            | Done::Compared { result: Err(error), .. }
            | Done::Dated { result: Err(error), .. }
            | Done::TreeRemoved { result: Err(error), .. }
            | Done::MetaWritten { result: Err(error), .. } => Some(error).filter(is_outage),
            Done::Removed { results, .. } => {
                results.iter().filter_map(|(_, result)| result.as_ref().err()).find(is_outage)
            }
            Done::Listed { .. }
            | Done::Times { .. }
            | Done::Copied { .. }
            | Done::Compared { .. }
            | Done::Dated { .. }
            | Done::TreeRemoved { .. }
            | Done::MetaWritten { .. }
            | Done::Locked { .. } => None,
        }
    }
}
