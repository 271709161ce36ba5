//! Settles conflicts.

use super::classify::compare_mtimes;
use super::pair::Pair;
use super::policy::Mode;
use crate::model::Side;
use std::cmp::Ordering;

/// How a conflict is to be settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Strategy {
    /// This side is right.
    Prefer(Side),
    /// The older file is right.
    Old,
    /// The newer file is right.
    New,
    /// Both stay: the newer file keeps the name, the older one gets a second name, on both sides.
    Both,
    /// Leave both as they are.
    Skip,
    /// Ask the user.
    Ask,
}

impl Strategy {
    /// Reads the option `resolve`. Both ways, an unknown word asks (as documented); one way, it is `None`.
    pub fn parse(mode: Mode, word: &str) -> Option<Self> {
        match (word, mode) {
            ("skip", _) => Some(Strategy::Skip),
            ("ask", _) => Some(Strategy::Ask),
            ("local", Mode::Sync | Mode::Upload) => Some(Strategy::Prefer(Side::Local)),
            ("remote", Mode::Sync | Mode::Download) => Some(Strategy::Prefer(Side::Remote)),
            ("old", Mode::Sync) => Some(Strategy::Old),
            ("keep-both", Mode::Sync) => Some(Strategy::Both),
            ("new", Mode::Sync) => Some(Strategy::New),
            (_, Mode::Sync) => Some(Strategy::Ask),
            (_, Mode::Upload | Mode::Download) => None,
        }
    }

    /// The same strategy with the sides exchanged.
    #[must_use]
    pub fn swap(self) -> Self {
        match self {
            Strategy::Prefer(side) => Strategy::Prefer(side.other()),
            Strategy::Old | Strategy::New | Strategy::Both | Strategy::Skip | Strategy::Ask => self,
        }
    }
}

/// What is to be done about a conflict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolution {
    /// Copy the entry to a side: over the other one, or back to where it was deleted.
    Copy {
        /// The side that gets it.
        to: Side,
    },
    /// Delete the surviving entry.
    Delete {
        /// The side that loses it.
        on: Side,
    },
    /// Keep both: the file of this side gets a second name, and the other one its place.
    Both {
        /// The side whose file gives way.
        loser: Side,
    },
    /// Leave both as they are.
    Skip,
    /// The strategy goes by time, and the times are equal.
    SameTime,
    /// Ask the user.
    Ask,
}

/// Applies a strategy to a conflict.
///
/// The older or newer of a file and its absence cannot be told: such a conflict is skipped.
pub fn resolve(pair: &Pair, strategy: Strategy) -> Resolution {
    let prefer = |side: Side| match pair.get(side) {
        Some(_) => Resolution::Copy { to: side.other() },
        None => Resolution::Delete { on: side.other() },
    };
    match strategy {
        Strategy::Ask => Resolution::Ask,
        Strategy::Skip => Resolution::Skip,
        Strategy::Prefer(side) => prefer(side),
        Strategy::Both => match pair.both() {
            None => Resolution::Copy {
                to: if pair.get(Side::Local).is_some() { Side::Remote } else { Side::Local },
            },
            Some(entries) if compare_mtimes(entries) == Some(Ordering::Less) => {
                Resolution::Both { loser: Side::Local }
            }
            Some(_) => Resolution::Both { loser: Side::Remote },
        },
        Strategy::Old | Strategy::New => {
            let Some(entries) = pair.both() else {
                return Resolution::Skip;
            };
            let newer = match compare_mtimes(entries) {
                Some(Ordering::Greater) => Side::Local,
                Some(Ordering::Less) => Side::Remote,
                Some(Ordering::Equal) | None => return Resolution::SameTime,
            };
            prefer(if strategy == Strategy::New { newer } else { newer.other() })
        }
    }
}
