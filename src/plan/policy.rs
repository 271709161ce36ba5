//! What a mode and its flags make of an operation.

use super::Step;
use super::classify::Change;
use super::filter::is_always_omitted;
use super::operation::Operation;
use super::pair::{CaseMode, Pair};
use super::resolve::Strategy;
use crate::model::Side;

/// The direction of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Both sides learn from each other.
    Sync,
    /// The local side is the source; it is never changed.
    Upload,
    /// The remote side is the source; it is never changed.
    Download,
}

impl Mode {
    /// The side that is only read, if there is one.
    pub fn source(self) -> Option<Side> {
        match self {
            Mode::Sync => None,
            Mode::Upload => Some(Side::Local),
            Mode::Download => Some(Side::Remote),
        }
    }

    /// The same mode with the sides exchanged.
    #[must_use]
    pub fn swap(self) -> Self {
        match self {
            Mode::Sync => Mode::Sync,
            Mode::Upload => Mode::Download,
            Mode::Download => Mode::Upload,
        }
    }
}

/// The rules of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// The direction.
    pub mode: Mode,
    /// One-way modes overwrite what changed on the target side.
    pub force: bool,
    /// One-way modes delete what the source side does not have.
    pub delete: bool,
    /// One-way modes delete what the filter excludes, on the target side.
    pub delete_unmatched: bool,
    /// How conflicts are settled; `None` if the option names something that this mode does not know.
    pub strategy: Option<Strategy>,
    /// What to do with names that differ in case only.
    pub case: CaseMode,
    /// A folder that one side removed is judged file by file, so that files edited inside survive.
    pub deep_conflicts: bool,
    /// Entries without memory on the target side of a one-way run are kept (pyftpsync 3.1 does so).
    pub keeps_orphans: bool,
    /// A one-way run goes by what both sides are now: it neither asks a memory nor leaves one.
    pub follows: bool,
}

impl Policy {
    /// The defaults of a mode.
    pub fn new(mode: Mode) -> Self {
        Policy {
            mode,
            force: false,
            delete: false,
            delete_unmatched: false,
            strategy: Some(Strategy::Skip),
            case: CaseMode::Refuse,
            deep_conflicts: true,
            keeps_orphans: false,
            follows: false,
        }
    }

    /// The same rules with the sides exchanged.
    #[must_use]
    pub fn swap(self) -> Self {
        let case = match self.case {
            CaseMode::As(side) => CaseMode::As(side.other()),
            CaseMode::Refuse | CaseMode::Strict => self.case,
        };
        Policy { mode: self.mode.swap(), strategy: self.strategy.map(Strategy::swap), case, ..self }
    }

    /// What a one-way mode makes of a situation: the target follows the source.
    pub fn reclassify(&self, step: &Step) -> Option<(Operation, &'static str)> {
        use Change::{Deleted, Existing, Missing, Modified, New, Unmodified};
        let source = self.mode.source().filter(|_| !self.follows)?;
        let target = source.other();
        let copy = Operation::copy_from(source);
        let is_file = !step.pair.is_folder();
        match (step.changes[source], step.changes[target]) {
            (Missing, New) => Some((Operation::delete_on(target), "restore")),
            (Missing, Existing) if !self.keeps_orphans => Some((Operation::delete_on(target), "restore")),
            (New, New) | (Modified, Modified) | (Existing, Existing) if self.force && is_file => {
                Some((copy, "force"))
            }
            (Unmodified, Modified) if self.force && is_file => Some((copy, "restore")),
            (Unmodified, Deleted) if self.force => Some((copy, "restore")),
            _ => None,
        }
    }

    /// Whether whatever is on a side is overwritten, by the wish of the user.
    pub fn overwrites(&self, side: Side) -> bool {
        self.force && self.mode.source() == Some(side.other())
    }

    /// What is to be done about a pair that takes part.
    pub fn effect(&self, pair: &Pair, operation: Operation) -> Effect {
        match operation {
            Operation::Equal => Effect::Equal,
            Operation::NeedCompare => Effect::Compare,
            Operation::Conflict => Effect::Conflict,
            Operation::CopyLocal => self.copy_to(Side::Remote),
            Operation::CopyRemote => self.copy_to(Side::Local),
            Operation::DeleteLocal => self.delete_on(Side::Local, pair),
            Operation::DeleteRemote => self.delete_on(Side::Remote, pair),
        }
    }

    /// What is to be done about a pair that the filter leaves out.
    pub fn effect_on_mismatch(&self, pair: &Pair) -> Effect {
        let Some(source) = self.mode.source() else {
            return Effect::Skip(Skip::Mismatch);
        };
        let target = source.other();
        if self.delete_unmatched && pair.get(target).is_some() && !is_always_omitted(pair.name.as_str()) {
            Effect::DeleteUnmatched { on: target }
        } else {
            Effect::Skip(Skip::Unmatched)
        }
    }

    fn copy_to(&self, to: Side) -> Effect {
        if self.mode.source() == Some(to) { Effect::Skip(Skip::Copy { to }) } else { Effect::Copy { to } }
    }

    fn delete_on(&self, on: Side, pair: &Pair) -> Effect {
        let allowed = match self.mode.source() {
            // Both ways a deletion is proved by the memory of this very peer, or it has to wait for the next run.
            None => pair.past.proves_deletion(),
            Some(source) => on != source && self.delete,
        };
        if allowed { Effect::Delete { on } } else { Effect::Skip(Skip::Deletion { on }) }
    }
}

/// What is to be done about a pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Copy the entry to a side.
    Copy {
        /// The side that gets it.
        to: Side,
    },
    /// Delete the entry on a side, because the other does not have it.
    Delete {
        /// The side that loses it.
        on: Side,
    },
    /// Delete the entry on a side, because the filter excludes it.
    DeleteUnmatched {
        /// The side that loses it.
        on: Side,
    },
    /// Nothing to do.
    Equal,
    /// Look closer: see [`super::compare`].
    Compare,
    /// Settle it: see [`super::resolve`].
    Conflict,
    /// Leave it, with a line.
    Skip(Skip),
}

impl Effect {
    /// The same effect with the sides exchanged.
    #[must_use]
    pub fn swap(self) -> Self {
        match self {
            Effect::Copy { to } => Effect::Copy { to: to.other() },
            Effect::Delete { on } => Effect::Delete { on: on.other() },
            Effect::DeleteUnmatched { on } => Effect::DeleteUnmatched { on: on.other() },
            Effect::Skip(Skip::Copy { to }) => Effect::Skip(Skip::Copy { to: to.other() }),
            Effect::Skip(Skip::Deletion { on }) => Effect::Skip(Skip::Deletion { on: on.other() }),
            Effect::Skip(Skip::Mismatch | Skip::Unmatched)
            | Effect::Equal
            | Effect::Compare
            | Effect::Conflict => self,
        }
    }

    /// The side that this effect changes, if it changes one.
    pub fn changes(self) -> Option<Side> {
        match self {
            Effect::Copy { to } => Some(to),
            Effect::Delete { on } | Effect::DeleteUnmatched { on } => Some(on),
            Effect::Equal | Effect::Compare | Effect::Conflict | Effect::Skip(_) => None,
        }
    }
}

/// Why something is left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Skip {
    /// The mode does not copy to this side.
    Copy {
        /// The side that would get it.
        to: Side,
    },
    /// The mode, the flags or a missing proof keep it.
    Deletion {
        /// The side that would lose it.
        on: Side,
    },
    /// The filter leaves it out (both ways).
    Mismatch,
    /// The filter leaves it out (one way).
    Unmatched,
}
