//! Settles conflicts.

use super::classify::{Past, compare_mtimes};
use super::pair::Pair;
use super::policy::Mode;
use super::times::is_as_listed;
use crate::model::{Entry, Seen, Side, Sides, Stamp};
use std::cmp::Ordering;

/// What daylight saving moves times by, in seconds, and how exactly coarse listings show that.
const HOUR: f64 = 3600.0;
const MINUTE: f64 = 60.0;

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
    /// The strategy goes by time, and the times are equal, or a clock makes them doubtful.
    SameTime,
    /// Ask the user.
    Ask,
}

/// Applies a strategy to a conflict. `ahead` is by how many seconds the clock of each side is wrong; 0 if it is right enough.
///
/// The older or newer of a file and its absence cannot be told: such a conflict is skipped.
pub fn resolve(pair: &Pair, strategy: Strategy, ahead: Sides<f64>) -> Resolution {
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
            Some(entries) if order(pair, entries, ahead) == Some(Ordering::Less) => {
                Resolution::Both { loser: Side::Local }
            }
            Some(_) => Resolution::Both { loser: Side::Remote },
        },
        Strategy::Old | Strategy::New => {
            let Some(entries) = pair.both() else {
                return Resolution::Skip;
            };
            let newer = match order(pair, entries, ahead) {
                Some(Ordering::Greater) => Side::Local,
                Some(Ordering::Less) => Side::Remote,
                Some(Ordering::Equal) | None => return Resolution::SameTime,
            };
            prefer(if strategy == Strategy::New { newer } else { newer.other() })
        }
    }
}

/// Which of two files is older. A time that a side with a wrong clock lists may be by that clock, or may have been set there and is
/// right: what both readings agree in is certain, and otherwise the times count as equal.
fn order(pair: &Pair, entries: Sides<&Entry>, ahead: Sides<f64>) -> Option<Ordering> {
    let as_listed = compare_mtimes(entries);
    let allowed_for = Sides::from_fn(|side| by_our_clock(entries[side], ahead[side]));
    let by_clock = compare_mtimes(Sides::new(&allowed_for.local, &allowed_for.remote));
    if as_listed == by_clock || could_not_be_dated(pair) { by_clock } else { Some(Ordering::Equal) }
}

/// A file with its time as our clock would have told it. One that is only remembered is right.
fn by_our_clock(entry: &Entry, ahead: f64) -> Entry {
    let right = |at: Stamp| {
        Stamp::from_secs_f64(at.as_secs_f64() - ahead).map_or(at, |right| right.with_grain(at.grain()))
    };
    let mtime = if is_as_listed(entry) { entry.mtime.map(right) } else { entry.mtime };
    Entry { mtime, ..entry.clone() }
}

/// Whether the time of a file could not be set when it was synchronised: then nobody has set another one since. What the summer has
/// moved is remembered like that, too, and tells nothing.
fn could_not_be_dated(pair: &Pair) -> bool {
    let Past::Listed(Seen { mtime: Some(set), dated: Some(dated), .. }) = pair.past else { return false };
    ((dated - set).abs() - HOUR).abs() > MINUTE
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Name;

    const NINE_HOURS: f64 = 9.0 * HOUR;
    const AGREED: i64 = 1_700_000_000;

    /// What becomes of two edits that the two sides date so many hours after they were in step.
    fn new_of(hours: (i64, i64), dated: Option<f64>, is_remembered: bool) -> Resolution {
        let at = |hours: i64| Some(Stamp::new(AGREED + hours * 3600, 0));
        let file = |hours: i64| Entry::file(Name::new("a").unwrap(), Some(1), at(hours));
        let remote =
            if is_remembered { Entry { mtime_org: at(hours.1 + 9), ..file(hours.1) } } else { file(hours.1) };
        let (mtime, dated) = (Some(AGREED as f64), dated.map(|hours| AGREED as f64 + hours * HOUR));
        let seen = Seen { mtime, size: Some(1), dated, exact: None, synced: None, is_own: true };
        let sides = Sides::new(Some(file(hours.0)), Some(remote));
        let pair = Pair::new(sides, Past::Listed(seen)).unwrap();
        let ahead = Sides::new(0.0, NINE_HOURS);
        let resolution = resolve(&pair, Strategy::New, ahead);
        let swapped = resolve(&pair.swap(), Strategy::New, ahead.swap());
        let mirrored = match swapped {
            Resolution::Copy { to } => Resolution::Copy { to: to.other() },
            other => other,
        };
        assert_eq!(resolution, mirrored);
        resolution
    }

    #[test]
    fn a_wrong_clock_never_makes_the_older_file_the_newer_one() {
        let (up, down) = (Resolution::Copy { to: Side::Remote }, Resolution::Copy { to: Side::Local });
        // The clock of the remote side is nine hours ahead; whether its times are by that clock is not known.
        for (hours, outcome) in
            [((1, 0), up), ((1, 2), Resolution::SameTime), ((1, 9), Resolution::SameTime), ((1, 11), down)]
        {
            assert_eq!(new_of(hours, None, false), outcome, "{hours:?}");
            assert_eq!(new_of(hours, Some(1.0), false), outcome, "{hours:?}, moved by the summer");
        }
        // A server that could not set the time before: all its times are by its clock.
        for (hours, outcome) in [((1, 2), up), ((1, 9), up), ((1, 10), Resolution::SameTime), ((1, 11), down)]
        {
            assert_eq!(new_of(hours, Some(30.0), false), outcome, "{hours:?}");
        }
        // What the metadata tells is right.
        assert_eq!(new_of((1, 2), None, true), down);
        assert_eq!(new_of((2, 1), None, true), up);
    }
}
