//! What a situation calls for, before the mode and the flags have their say.

use super::classify::{Change, compare_mtimes};
use super::pair::Pair;
use crate::model::{Side, Sides};
use std::cmp::Ordering;

/// The seven words of the documented API; each is also the name of a hook (`on_` + word).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Copy the local entry to the remote side.
    CopyLocal,
    /// Copy the remote entry to the local side.
    CopyRemote,
    /// Delete the local entry.
    DeleteLocal,
    /// Delete the remote entry.
    DeleteRemote,
    /// Nothing to do.
    Equal,
    /// Both sides have it, and no memory says which one is right.
    NeedCompare,
    /// Both sides changed it.
    Conflict,
}

impl Operation {
    /// Every variant.
    pub const ALL: [Operation; 7] = [
        Operation::CopyLocal,
        Operation::CopyRemote,
        Operation::DeleteLocal,
        Operation::DeleteRemote,
        Operation::Equal,
        Operation::NeedCompare,
        Operation::Conflict,
    ];

    /// The word of the documented API.
    pub fn as_str(self) -> &'static str {
        match self {
            Operation::CopyLocal => "copy_local",
            Operation::CopyRemote => "copy_remote",
            Operation::DeleteLocal => "delete_local",
            Operation::DeleteRemote => "delete_remote",
            Operation::Equal => "equal",
            Operation::NeedCompare => "need_compare",
            Operation::Conflict => "conflict",
        }
    }

    /// The operation that a word of the documented API names.
    pub fn parse(word: &str) -> Option<Self> {
        Operation::ALL.into_iter().find(|operation| operation.as_str() == word)
    }

    /// Copies the entry of a side to the other.
    pub fn copy_from(side: Side) -> Self {
        match side {
            Side::Local => Operation::CopyLocal,
            Side::Remote => Operation::CopyRemote,
        }
    }

    /// Deletes the entry of a side.
    pub fn delete_on(side: Side) -> Self {
        match side {
            Side::Local => Operation::DeleteLocal,
            Side::Remote => Operation::DeleteRemote,
        }
    }
}

/// Looks up what two changes call for.
///
/// Both sides are judged against one memory, so that of the documented 28 rows only these can occur; a row that cannot
/// (both sides absent; one side `existing`, the other judged against a memory) is answered with the careful operation.
pub fn operation(changes: Sides<Change>) -> Operation {
    use Change::{Deleted, Existing, Missing, Modified, New, Unmodified};
    match (changes.local, changes.remote) {
        (Missing, New | Unmodified | Modified | Existing) => Operation::CopyRemote,
        (New | Unmodified | Modified | Existing, Missing) => Operation::CopyLocal,
        (Unmodified, Unmodified) => Operation::Equal,
        (Unmodified, Modified) => Operation::CopyRemote,
        (Modified, Unmodified) => Operation::CopyLocal,
        (Unmodified, Deleted) => Operation::DeleteLocal,
        (Deleted, Unmodified) => Operation::DeleteRemote,
        (Modified, Modified) => Operation::Conflict,
        (New | Modified | Existing, Deleted) | (Deleted, New | Modified | Existing) => Operation::Conflict,
        (New, New | Unmodified | Modified | Existing) | (Unmodified | Modified | Existing, New) => {
            Operation::NeedCompare
        }
        (Existing, Existing | Unmodified | Modified) | (Unmodified | Modified, Existing) => {
            Operation::NeedCompare
        }
        (Missing | Deleted, Missing | Deleted) => Operation::Equal,
    }
}

/// Whether two files that both changed came out alike, in size and time: there is nothing to fight about.
///
/// It is also how a run that was killed between a copy and the metadata looks to the next one.
pub fn changed_alike(pair: &Pair) -> bool {
    pair.both().is_some_and(|entries| {
        entries.local.is_file()
            && entries.local.size.is_some()
            && entries.local.size == entries.remote.size
            && compare_mtimes(entries) == Some(Ordering::Equal)
    })
}

/// Settles [`Operation::NeedCompare`] by looking at the two entries.
///
/// Returns the changes as they count from now on, and the operation for them. Folders are equal: what matters is inside.
pub fn compare(pair: &Pair, changes: Sides<Change>) -> (Sides<Change>, Operation) {
    let Some(entries) = pair.both() else {
        return (changes, operation(changes));
    };
    if pair.is_folder() {
        return (Sides::new(Change::Existing, Change::Existing), Operation::Equal);
    }
    let same_size = match (entries.local.size, entries.remote.size) {
        (Some(local), Some(remote)) => local == remote,
        (Some(_) | None, None) | (None, Some(_)) => true,
    };
    // What a server does not tell cannot differ: equal sizes without a time are taken for equal.
    let times = compare_mtimes(entries).unwrap_or(Ordering::Equal);
    let first_contact = changes == Sides::new(Change::Existing, Change::Existing);
    let settled = match (times, same_size) {
        (Ordering::Equal, true) => Sides::new(Change::Unmodified, Change::Unmodified),
        (Ordering::Greater, _) if first_contact => Sides::new(Change::Modified, Change::Unmodified),
        (Ordering::Less, _) if first_contact => Sides::new(Change::Unmodified, Change::Modified),
        (Ordering::Equal | Ordering::Greater | Ordering::Less, _) => {
            Sides::new(Change::Modified, Change::Modified)
        }
    };
    (settled, operation(settled))
}
