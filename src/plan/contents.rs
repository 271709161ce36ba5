//! What contents say beyond size and time, and runs that remember nothing.

use super::Past;
use super::classify::{Change, classify, compare_mtimes};
use super::operation::Operation;
use super::pair::Pair;
use super::policy::Mode;
use super::{Policy, Step};
use crate::model::{Entry, Side, Sides, Stamp};
use std::cmp::Ordering;

/// What is asked about the contents of two files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    /// Whether they are the same.
    AreSame,
    /// Whether the file of this side is what a run that was killed has written of the other one: its first bytes, or all of
    /// them, without the time.
    IsStump(Side),
}

/// Whether it takes a look at the contents to tell two files apart: they are of one size.
pub fn needs_look(pair: &Pair) -> bool {
    pair.both().is_some_and(|entries| {
        entries.local.is_file()
            && entries.remote.is_file()
            && entries.local.size.is_some()
            && entries.local.size == entries.remote.size
    })
}

/// Whether the file of a side may be only the beginning of the other's, or all of it with a wrong time: it is shorter, or as
/// long and of another time, and not the one that is remembered.
pub fn may_be_stump(pair: &Pair, side: Side) -> bool {
    let is_possible = pair.both().is_some_and(|entries| {
        let sizes = entries[side].size.zip(entries[side.other()].size);
        let is_undated = compare_mtimes(entries).is_some_and(|order| order != Ordering::Equal);
        entries.local.is_file()
            && entries.remote.is_file()
            && sizes.is_some_and(|(stump, whole)| stump < whole || (stump == whole && is_undated))
    });
    is_possible && classify(pair)[side] != Change::Unmodified
}

impl Step {
    /// Judges the pair as a run does that remembers nothing: the target is to look like the source, as both are now.
    pub fn follow(&mut self, source: Side) {
        let target = source.other();
        let (here, there, operation) = match (self.pair.get(source), self.pair.get(target)) {
            (Some(_), None) => (Change::New, Change::Missing, Operation::copy_from(source)),
            (None, _) => (Change::Missing, Change::Existing, Operation::delete_on(target)),
            (Some(_), Some(_)) if self.pair.is_folder() || self.pair.both().is_some_and(looks_alike) => {
                (Change::Unmodified, Change::Unmodified, Operation::Equal)
            }
            (Some(_), Some(_)) => (Change::Modified, Change::Unmodified, Operation::copy_from(source)),
        };
        self.changes[source] = here;
        self.changes[target] = there;
        self.operation = operation;
    }

    /// The file of a side is only the beginning of the other's. Nobody has edited it: what it is to become is known.
    pub fn complete(&mut self, stump: Side) {
        self.changes[stump] = Change::Unmodified;
        self.changes[stump.other()] = Change::Modified;
        self.operation = Operation::copy_from(stump.other());
        // So the two do not meet for the first time, and there is nothing to be kept.
        self.pair.past = Past::Unlisted;
    }

    /// A side that has all of the other's content, as a run that was killed has left it, and the time that it should have. `None`
    /// if it has only the beginning.
    pub fn undated(&self, stump: Side) -> Option<(Side, Stamp)> {
        let entries = self.pair.both()?;
        let is_whole = entries.local.size == entries.remote.size;
        Some((stump, entries[stump.other()].mtime?)).filter(|_| is_whole)
    }

    /// Takes into account whether the contents of two files of one size are the same.
    pub fn weigh(&mut self, policy: &Policy, is_same: bool) {
        if is_same {
            self.changes = Sides::new(Change::Unmodified, Change::Unmodified);
            self.operation = Operation::Equal;
        } else if self.pair.both().is_some_and(looks_alike) {
            // Size and time say nothing about who has changed it.
            self.changes = Sides::new(Change::Modified, Change::Modified);
            self.operation = policy.mode.source().map_or(Operation::Conflict, Operation::copy_from);
        }
    }

    /// Of two files with the same content: the side whose time is wrong, and the right time. Both ways the later one is right.
    pub fn wrong_time(&self, mode: Mode) -> Option<(Side, Stamp)> {
        let entries = self.pair.both()?;
        let wrong = match (compare_mtimes(entries), mode.source()) {
            (Some(Ordering::Equal) | None, _) => return None,
            (Some(_), Some(source)) => source.other(),
            (Some(Ordering::Less), None) => Side::Local,
            (Some(Ordering::Greater), None) => Side::Remote,
        };
        Some((wrong, entries[wrong.other()].mtime?))
    }
}

/// Whether size and time are the same. What a side does not tell cannot differ.
fn looks_alike(entries: Sides<&Entry>) -> bool {
    let is_unknown = entries.local.size.is_none() || entries.remote.size.is_none();
    let is_one_size = is_unknown || entries.local.size == entries.remote.size;
    is_one_size && compare_mtimes(entries).is_none_or(|order| order == Ordering::Equal)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Name;

    fn entry(size: u64, seconds: i64) -> Entry {
        let at = Some(Stamp::new(1_600_000_000 + seconds, 0));
        Entry::file(Name::new("a").unwrap(), Some(size), at)
    }

    fn step(local: Option<Entry>, remote: Option<Entry>) -> Step {
        Step::new(Pair::new(Sides::new(local, remote), Past::NoArchive).unwrap())
    }

    fn followed(local: Option<Entry>, remote: Option<Entry>) -> Operation {
        let mut step = step(local, remote);
        step.follow(Side::Local);
        step.operation
    }

    #[test]
    fn without_memory_the_target_is_to_look_like_the_source() {
        assert_eq!(followed(Some(entry(1, 0)), None), Operation::CopyLocal);
        assert_eq!(followed(None, Some(entry(1, 0))), Operation::DeleteRemote);
        assert_eq!(followed(Some(entry(1, 0)), Some(entry(1, 1))), Operation::Equal);
        assert_eq!(
            followed(Some(entry(1, 0)), Some(entry(1, 60))),
            Operation::CopyLocal,
            "also over a newer one"
        );
        assert_eq!(followed(Some(entry(1, 0)), Some(entry(2, 0))), Operation::CopyLocal);
    }

    #[test]
    fn contents_count_more_than_times() {
        let weighed = |mode: Mode, seconds: i64, is_same: bool| {
            let mut step = step(Some(entry(1, 0)), Some(entry(1, seconds)));
            step.operation = Operation::NeedCompare;
            step.weigh(&Policy::new(mode), is_same);
            (step.operation, step.wrong_time(mode).map(|(side, _)| side))
        };
        assert_eq!(weighed(Mode::Upload, 0, true), (Operation::Equal, None));
        assert_eq!(weighed(Mode::Upload, 60, true), (Operation::Equal, Some(Side::Remote)));
        assert_eq!(weighed(Mode::Download, -60, true), (Operation::Equal, Some(Side::Local)));
        assert_eq!(weighed(Mode::Sync, 60, true), (Operation::Equal, Some(Side::Local)));
        assert_eq!(weighed(Mode::Upload, 0, false).0, Operation::CopyLocal);
        assert_eq!(weighed(Mode::Download, 0, false).0, Operation::CopyRemote);
        assert_eq!(weighed(Mode::Sync, 0, false).0, Operation::Conflict);
        assert_eq!(weighed(Mode::Sync, 60, false).0, Operation::NeedCompare, "the times tell");
    }

    #[test]
    fn what_a_killed_run_has_written_is_the_beginning_or_lacks_its_time() {
        let found = |size: u64, seconds: i64| {
            let step = step(Some(entry(2, 0)), Some(entry(size, seconds)));
            (may_be_stump(&step.pair, Side::Remote), step.undated(Side::Remote))
        };
        assert_eq!(found(1, 60), (true, None));
        assert_eq!(found(2, 60), (true, Some((Side::Remote, Stamp::new(1_600_000_000, 0)))));
        assert!(!found(2, 0).0, "it is what it should be");
        assert!(!found(3, 60).0, "it is longer");
    }
}
