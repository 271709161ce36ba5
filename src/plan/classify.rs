//! How each side changed since the last synchronisation.

use super::pair::Pair;
use crate::model::meta::Archive;
use crate::model::stamp::{EPS_TIME, compare_times};
use crate::model::{Entry, EntryKind, Seen, Side, Sides, Stamp};
use std::cmp::Ordering;

/// What the last synchronisation of this folder with this peer remembers of a name.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Past {
    /// This folder was never synchronised with this peer.
    NoArchive,
    /// It was, but the name was not there.
    Unlisted,
    /// It was there.
    Listed(Seen),
}

impl Past {
    /// Looks up a name.
    pub fn of(archive: &Archive, name: &str) -> Self {
        match &archive.seen {
            None => Past::NoArchive,
            Some(_) if archive.unfinished.contains(name) => Past::NoArchive,
            Some(entries) => entries.get(name).map_or(Past::Unlisted, |seen| Past::Listed(*seen)),
        }
    }

    /// The same past for an entry of this kind: what is remembered of a file says nothing about a folder, nor the other way.
    ///
    /// Otherwise a folder that took the name of a deleted file would be deleted for it, with content never synchronised.
    #[must_use]
    pub fn of_kind(self, kind: EntryKind) -> Self {
        match self {
            Past::Listed(seen) if seen.size.is_some() != (kind == EntryKind::File) => Past::Unlisted,
            Past::Listed(_) | Past::Unlisted | Past::NoArchive => self,
        }
    }

    /// Whether a name that is missing now was certainly deleted since the last synchronisation with this very peer.
    pub fn proves_deletion(&self) -> bool {
        matches!(self, Past::Listed(seen) if seen.is_own)
    }
}

/// How one side of a pair changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Change {
    /// Not there, and not remembered.
    Missing,
    /// Not there, but remembered.
    Deleted,
    /// There, in a folder that remembers other names but not this one.
    New,
    /// There, in a folder without a memory.
    Existing,
    /// As remembered.
    Unmodified,
    /// Size or time differ from what is remembered.
    Modified,
}

impl Change {
    /// Every variant.
    pub const ALL: [Change; 6] = [
        Change::Missing,
        Change::Deleted,
        Change::New,
        Change::Existing,
        Change::Unmodified,
        Change::Modified,
    ];

    /// The word of the documented API.
    pub fn as_str(self) -> &'static str {
        match self {
            Change::Missing => "missing",
            Change::Deleted => "deleted",
            Change::New => "new",
            Change::Existing => "existing",
            Change::Unmodified => "unmodified",
            Change::Modified => "modified",
        }
    }
}

/// Judges both sides of a pair against the one memory they share.
pub fn classify(pair: &Pair) -> Sides<Change> {
    Sides::from_fn(|side: Side| match pair.get(side) {
        Some(entry) => classify_present(entry, side, &pair.past),
        None => match pair.past {
            Past::Listed(_) => Change::Deleted,
            Past::NoArchive | Past::Unlisted => Change::Missing,
        },
    })
}

fn classify_present(entry: &Entry, side: Side, past: &Past) -> Change {
    match (entry.kind, past) {
        (EntryKind::Folder, Past::NoArchive | Past::Listed(_)) => Change::Unmodified,
        (EntryKind::File, Past::NoArchive) => Change::Existing,
        (EntryKind::File | EntryKind::Folder, Past::Unlisted) => Change::New,
        (EntryKind::File, Past::Listed(seen)) if is_as_seen(entry, side, seen) => Change::Unmodified,
        (EntryKind::File, Past::Listed(_)) => Change::Modified,
    }
}

/// Whether a file still has the remembered size and time. What a server does not tell, now or then, cannot differ.
pub fn is_as_seen(entry: &Entry, side: Side, seen: &Seen) -> bool {
    let Some(size) = seen.size else { return false };
    let is_at =
        |now: Stamp, then: f64| compare_times(now.as_secs_f64(), then, now.grain()) == Ordering::Equal;
    let same_time = match (entry.mtime, seen.mtime) {
        (Some(now), Some(_)) if side == Side::Local && seen.exact.is_some() => is_exactly(now, seen.exact),
        // On a disk, the other side has the time that was set there, or shows another one that was remembered with it.
        (Some(now), Some(then)) if entry.changed.is_some() && seen.exact.is_some() => {
            is_exactly(now, Some(then)) || is_exactly(now, seen.dated)
        }
        (Some(now), Some(then)) => is_at(now, then) || seen.dated.is_some_and(|dated| is_at(now, dated)),
        (Some(_) | None, None) | (None, Some(_)) => true,
    };
    entry.size.is_none_or(|now| now == size) && same_time && !is_put_back(entry, seen)
}

/// Whether the own time of a file, whose right one is only remembered, lies before that at which it was put there: then it is
/// another file, as from a backup. Where one command tells the time of another zone than the other, the distance is a multiple
/// of a quarter of an hour.
fn is_put_back(entry: &Entry, seen: &Seen) -> bool {
    const QUARTER: f64 = 900.0;
    let (Some(own), Some(dated)) = (entry.mtime_org.filter(|own| entry.mtime != Some(*own)), seen.dated)
    else {
        return false;
    };
    let (earlier, slack) = (dated - own.as_secs_f64(), EPS_TIME.max(f64::from(own.grain())));
    let to_zone = (earlier / QUARTER - (earlier / QUARTER).round()).abs() * QUARTER;
    earlier > slack && to_zone > slack
}

/// The steps, in nanoseconds, in which archives and other disks keep times: FAT and ZIP two seconds, exFAT ten milliseconds.
const STEPS: [i64; 4] = [1_000_000, 10_000_000, 1_000_000_000, 2_000_000_000];
/// The last digit, in seconds, that a number in metadata holds.
const DIGIT: f64 = 1e-5;

/// Whether a file on a disk has this time, to the last digit. A whole number of steps is enough if the other time rounds to it: the
/// file has been on a disk or in an archive that keeps no others. Some round up; an edit does that as well on a disk that
/// keeps no fine times itself.
fn is_exactly(now: Stamp, then: Option<f64>) -> bool {
    let Some(then) = then else { return false };
    let (later, cents) = (now.as_secs_f64() - then, then * 100.0);
    let is_fine = (cents - cents.round()).abs() > DIGIT * 100.0;
    let nanos = i128::from(now.seconds()) * 1_000_000_000 + i128::from(now.nanos());
    let is_rounded = |step: i64| {
        let is_near = later.abs() < step as f64 * 1e-9 - DIGIT;
        (later < 0.0 || is_fine) && is_near && nanos % i128::from(step) == 0
    };
    later.abs() < DIGIT || STEPS.into_iter().any(is_rounded)
}

/// Compares the times of two files; `None` when a server does not tell one of them.
pub fn compare_mtimes(entries: Sides<&Entry>) -> Option<Ordering> {
    let (local, remote) = (entries.local.mtime?, entries.remote.mtime?);
    let grain = local.grain().max(remote.grain());
    Some(compare_times(local.as_secs_f64(), remote.as_secs_f64(), grain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_that_another_disk_has_rounded_is_the_same_and_that_of_an_edit_is_not() {
        let is = |seconds: i64, millis: u32, then: f64| {
            is_exactly(Stamp::new(1_600_000_000 + seconds, millis * 1_000_000), Some(1.6e9 + then))
        };
        let fine = 1.372_456_7;
        // FAT and ZIP down and up, whole seconds down and up, exFAT, milliseconds.
        for (seconds, millis) in [(0, 0), (2, 0), (1, 0), (1, 370), (1, 380), (1, 372), (1, 373)] {
            assert!(is(seconds, millis, fine), "{seconds} {millis}");
        }
        assert!(is_exactly(Stamp::new(1_600_000_001, 372_456_700), Some(1.6e9 + fine)));
        for (seconds, millis) in [(1, 371), (1, 374), (1, 390), (1, 872), (3, 0), (4, 0), (-1, 0), (-2, 0)] {
            assert!(!is(seconds, millis, fine), "{seconds} {millis}");
        }
        // An odd second on FAT; but where only seconds are kept, or hundredths of them, each edit is seen.
        assert!(is(0, 0, 1.0));
        for (seconds, millis, then) in
            [(2, 0, 1.0), (1, 0, 0.0), (4, 0, 2.0), (0, 0, 2.0), (1, 380, 1.37), (2, 0, 1.37)]
        {
            assert!(!is(seconds, millis, then), "{seconds} {millis} {then}");
        }
        let early = |seconds| is_exactly(Stamp::new(seconds, 0), Some(-0.5));
        assert!(early(-2) && early(-1) && !early(-3) && !early(1), "before 1970, too");
    }
}
