//! Stops a run before it deletes more than anyone would have meant.

use super::policy::Mode;
use crate::model::{Side, Sides};
use std::fmt;

/// How many deletions a run may carry out at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// So many entries.
    Count(u64),
    /// So many of a hundred known entries.
    Percent(u8),
}

impl Limit {
    /// Reads `N` or `N%`.
    ///
    /// # Errors
    /// The text, if it is neither.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let limit = match text.strip_suffix('%') {
            Some(percent) => {
                percent.trim().parse().ok().filter(|percent| *percent <= 100).map(Limit::Percent)
            }
            None => text.parse().ok().map(Limit::Count),
        };
        limit.ok_or_else(|| format!("expected a number or a percentage, not {text:?}"))
    }
}

/// What the guard watches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct GuardRules {
    /// The limit that the user set, for every mode.
    pub limit: Option<Limit>,
    /// The user said that a mass deletion is meant.
    pub is_off: bool,
}

/// What was counted while planning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Files that the memory of both sides lists, or that the target side of a one-way run holds.
    pub known: u64,
    /// Files among them that would be deleted on a side, because the other one lost them.
    pub doomed: Sides<u64>,
    /// Files that user code wants to be deleted. They count where the user has set a limit.
    pub wished: u64,
    /// Entries of the root that are remembered.
    pub root_known: u64,
    /// Entries of the root that each side lists.
    pub root_present: Sides<u64>,
}

/// Why the guard stopped the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// One side lost its whole root.
    EmptyRoot {
        /// The side that is empty.
        side: Side,
    },
    /// The source of a one-way run is empty.
    EmptySource {
        /// The source.
        side: Side,
        /// Files that would be deleted.
        doomed: u64,
    },
    /// One side lost more than half of the known files.
    MostLost {
        /// The side that lost them.
        side: Side,
        /// How many.
        lost: u64,
        /// Of how many.
        known: u64,
    },
    /// More deletions than the user allows.
    OverLimit {
        /// How many.
        doomed: u64,
        /// Of how many.
        known: u64,
    },
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Stop::EmptyRoot { side } => {
                write!(
                    f,
                    "the {side} side is empty, but was not at the last synchronisation; nothing was deleted"
                )
            }
            Stop::EmptySource { side, doomed } => write!(
                f,
                "the {side} side is empty, and deleting what it does not have would remove {doomed} files; \
                 nothing was deleted"
            ),
            Stop::MostLost { side, lost, known } => write!(
                f,
                "the {side} side lost {lost} of {known} known files since the last synchronisation; nothing was deleted"
            ),
            Stop::OverLimit { doomed, known } => {
                write!(
                    f,
                    "{doomed} of {known} files would be deleted, more than --max-delete allows; nothing was deleted"
                )
            }
        }
    }
}

/// Judges the deletions of a whole run, before the first is carried out.
pub fn judge(mode: Mode, rules: GuardRules, tally: &Tally) -> Option<Stop> {
    if rules.is_off {
        return None;
    }
    let doomed = tally.doomed.local + tally.doomed.remote;
    let in_all = doomed + tally.wished;
    let limit_stop = match rules.limit {
        Some(Limit::Count(limit)) => in_all > limit,
        Some(Limit::Percent(limit)) => in_all * 100 > tally.known * u64::from(limit),
        None => false,
    };
    if limit_stop {
        return Some(Stop::OverLimit { doomed: in_all, known: tally.known });
    }
    match mode.source() {
        Some(source) => {
            let empty = tally.root_present[source] == 0;
            (empty && doomed > 0).then_some(Stop::EmptySource { side: source, doomed })
        }
        None => Side::BOTH.into_iter().find_map(|side| {
            let lost = tally.doomed[side.other()];
            if tally.root_known >= 2 && tally.root_present[side] == 0 && lost > 0 {
                return Some(Stop::EmptyRoot { side });
            }
            let most = rules.limit.is_none() && lost >= 3 && lost * 2 > tally.known;
            most.then_some(Stop::MostLost { side, lost, known: tally.known })
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(known: u64, doomed_remote: u64) -> Tally {
        Tally {
            known,
            doomed: Sides::new(0, doomed_remote),
            wished: 0,
            root_known: known,
            root_present: Sides::new(1, 1),
        }
    }

    #[test]
    fn sync_stops_when_one_side_lost_most_of_the_known_files() {
        let judge = |tally| judge(Mode::Sync, GuardRules::default(), &tally);
        assert_eq!(judge(tally(5, 3)), Some(Stop::MostLost { side: Side::Local, lost: 3, known: 5 }));
        assert_eq!(judge(tally(6, 3)), None);
        assert_eq!(judge(tally(2, 2)), None, "two files are no mass");
    }

    #[test]
    fn sync_stops_when_a_root_is_suddenly_empty() {
        let mut empty = tally(2, 2);
        empty.root_present.local = 0;
        assert_eq!(
            judge(Mode::Sync, GuardRules::default(), &empty),
            Some(Stop::EmptyRoot { side: Side::Local })
        );
    }

    #[test]
    fn upload_stops_when_the_source_is_empty() {
        let mut empty = tally(0, 1);
        empty.root_present.local = 0;
        let stop = judge(Mode::Upload, GuardRules::default(), &empty);
        assert_eq!(stop, Some(Stop::EmptySource { side: Side::Local, doomed: 1 }));
        assert_eq!(judge(Mode::Upload, GuardRules { is_off: true, limit: None }, &empty), None);
    }

    #[test]
    fn a_limit_of_the_user_holds_in_every_mode() {
        let rules = |text| GuardRules { limit: Some(Limit::parse(text).unwrap()), is_off: false };
        assert_eq!(
            judge(Mode::Upload, rules("2"), &tally(10, 3)),
            Some(Stop::OverLimit { doomed: 3, known: 10 })
        );
        assert_eq!(judge(Mode::Sync, rules("60%"), &tally(5, 3)), None);
        assert!(Limit::parse("101%").is_err() && Limit::parse("x").is_err());
    }
}
