//! What a run reports while it goes on. The core says what happened; how it looks is the face's business.

use super::stats::Stats;
use crate::error::{Error, Result};
use crate::model::lock::Lock;
use crate::model::{RelPath, Side};
use crate::plan::{Change, Effect, Pair, Skip, Step, Strategy};

/// One line about one entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line {
    /// What is done: `copy`, `delete`, `restore`, `skip`; empty when nothing is.
    pub action: &'static str,
    /// In which situation: `new`, `modified`, `missing`, `conflict`, ...
    pub status: &'static str,
    /// The direction as a picture.
    pub symbol: &'static str,
    /// The verbosity from which the line is shown.
    pub level: u8,
}

impl Line {
    const fn new(action: &'static str, status: &'static str, symbol: &'static str, level: u8) -> Self {
        Line { action, status, symbol, level }
    }

    /// Nothing to do.
    pub const EQUAL: Line = Line::new("", "equal", "=", 4);
    /// Two folders without a common past: what matters is inside.
    pub const VISIT: Line = Line::new("", "visit", "?", 4);
    /// A conflict that is left alone.
    pub const SKIP_CONFLICT: Line = Line::new("skip", "conflict", "*?*", 3);

    /// Contents are the same, so a file gets the time of the other.
    pub fn set_time(on: Side) -> Self {
        Line::new("set", "time", arrow(on), 3)
    }

    /// An entry is copied; `change` is that of the side it comes from.
    pub fn copy(to: Side, change: Change) -> Self {
        Line::new("copy", change.as_str(), arrow(to), 3)
    }

    /// The line of an effect that needs no more than its own words.
    pub fn of(effect: Effect) -> Option<Self> {
        match effect {
            Effect::Delete { on } => Some(Line::new("delete", "missing", cross(on), 3)),
            Effect::DeleteUnmatched { on } => Some(Line::new("delete", "unmatched", arrow(on), 3)),
            Effect::Skip(Skip::Copy { to: Side::Remote }) => Some(Line::new("skip", "upload", ">", 3)),
            Effect::Skip(Skip::Copy { to: Side::Local }) => Some(Line::new("skip", "download", "<", 3)),
            Effect::Skip(Skip::Deletion { on: Side::Local }) => {
                Some(Line::new("skip", "local del.", "X< ", 3))
            }
            Effect::Skip(Skip::Deletion { on: Side::Remote }) => {
                Some(Line::new("skip", "remote del.", " >X", 3))
            }
            Effect::Skip(Skip::Mismatch) => Some(Line::new("skip", "mismatch", "?", 4)),
            Effect::Skip(Skip::Unmatched) => Some(Line::new("skip", "unmatched", "-", 4)),
            Effect::Equal | Effect::Compare | Effect::Conflict | Effect::Copy { .. } => None,
        }
    }

    /// A conflict is settled by a copy: over the other file, or back to where it was deleted.
    pub fn conflict_copy(to: Side, over_existing: bool) -> Self {
        match (to, over_existing) {
            (Side::Remote, true) => Line::new("copy", "conflict", "*>*", 3),
            (Side::Local, true) => Line::new("copy", "conflict", "*<*", 3),
            (Side::Remote, false) => Line::new("restore", "conflict", "*>x", 3),
            (Side::Local, false) => Line::new("restore", "conflict", "x<*", 3),
        }
    }

    /// A conflict is settled by deleting the surviving entry.
    pub fn conflict_delete(on: Side) -> Self {
        match on {
            Side::Local => Line::new("delete", "conflict", "*<x", 3),
            Side::Remote => Line::new("delete", "conflict", "x>*", 3),
        }
    }
}

fn arrow(to: Side) -> &'static str {
    match to {
        Side::Remote => ">",
        Side::Local => "<",
    }
}

fn cross(on: Side) -> &'static str {
    match on {
        Side::Local => "X< ",
        Side::Remote => " >X",
    }
}

/// Something worth telling.
#[derive(Debug)]
pub enum Event<'a> {
    /// A line about an entry.
    Action {
        /// What is done.
        line: Line,
        /// The entry, relative to the root.
        path: &'a RelPath,
        /// Whether it is a folder.
        is_folder: bool,
        /// What both sides have of it, where somebody wants to know.
        pair: Option<&'a Pair>,
    },
    /// Anything else, shown from a verbosity on.
    Note {
        /// The verbosity from which it is shown.
        level: u8,
        /// The text.
        text: &'a str,
    },
    /// Something that the user should look at, although the run goes on.
    Warning(&'a str),
    /// Something failed; the run goes on with the rest.
    Failure(&'a str),
    /// A conflict is about to be settled.
    Conflict {
        /// The folder it is in, relative to the root.
        dir: &'a RelPath,
        /// What is known about it.
        step: &'a Step,
        /// Whether the user will be asked.
        is_asked: bool,
    },
    /// A strategy goes by time, and both files have the same.
    SameTime {
        /// The folder of the conflict, relative to the root.
        dir: &'a RelPath,
        /// What is known about it.
        step: &'a Step,
        /// The strategy.
        strategy: Strategy,
    },
    /// A conflict is left alone.
    ConflictLeft(&'a RelPath),
    /// A file lost when the two sides first met. Its content lies here, in the trash of the local side.
    Trashed(&'a RelPath),
    /// What has become of the lock file of a side.
    Lock {
        /// The side.
        side: Side,
        /// What.
        state: LockState<'a>,
    },
    /// Something was done, or could not be; in a dry run, would be.
    Finished(Finished<'a>),
    /// An entry was looked at or dealt with.
    Tick,
    /// Bytes may have been copied, or wait to be.
    Flow {
        /// Those that have.
        passed: u64,
        /// All that are known of so far.
        promised: u64,
    },
}

/// What was done to one entry of a side.
#[derive(Debug, Clone, Copy)]
pub struct Finished<'a> {
    /// `copy`, `mkdir`, `delete`, `time`; `error` if it did not come so far.
    pub deed: &'static str,
    /// The entry, relative to the root of the side.
    pub path: &'a RelPath,
    /// The side that was to be changed.
    pub side: Side,
    /// Bytes that were copied.
    pub bytes: u64,
    /// Why it failed.
    pub error: Option<&'a Error>,
}

/// What has become of a lock file.
#[derive(Debug, Clone, Copy)]
pub enum LockState<'a> {
    /// It was written.
    Held(&'a Lock),
    /// It could not be written.
    Unwritable,
    /// The clock of the side is so many seconds ahead of ours.
    Offset(f64),
    /// The run does not hold it any more.
    Released,
}

/// Who listens to a run. All calls come from the thread that called [`super::sync`].
pub trait Observer {
    /// Takes an event.
    ///
    /// # Errors
    /// An exception of user code; it ends the run.
    fn event(&mut self, event: Event<'_>, stats: &Stats) -> Result<()>;

    /// Whether lines of this verbosity are shown at all. Events below are not even made.
    fn wants(&self, level: u8) -> bool;

    /// Asked ten times a second: is the run to go on?
    ///
    /// # Errors
    /// [`crate::error::Kind::Cancelled`], or an exception of user code; it ends the run.
    fn poll(&mut self) -> Result<()>;
}
