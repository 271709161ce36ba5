//! Times that a side keeps with its files but does not list: buckets list when an object was put there.
//!
//! Asking takes a question for each file, so only those are asked for of which the time decides, and which are not remembered.

use super::classify::Past;
use crate::model::meta::Archive;
use crate::model::stamp::compare_times;
use crate::model::{Entry, Seen, Stamp};
use std::cmp::Ordering;
use std::collections::HashMap;

/// Whether a time is the one that was listed: nobody has said another.
pub fn is_as_listed(entry: &Entry) -> bool {
    entry.is_file() && entry.mtime.is_some() && entry.mtime == entry.mtime_org
}

/// Gives files that are dated as remembered the time that is remembered with it.
pub fn recall(entries: &mut [Entry], archive: &Archive) {
    for entry in entries.iter_mut().filter(|entry| is_as_listed(entry)) {
        if let Past::Listed(Seen { mtime: Some(mtime), size, dated: Some(dated), .. }) =
            Past::of(archive, entry.name.as_str()).of_kind(entry.kind)
            && size == entry.size
            && entry.mtime_org.is_some_and(|listed| is_same(listed, dated))
        {
            entry.mtime = Stamp::from_secs_f64(mtime).or(entry.mtime);
        }
    }
}

/// The files whose time decides although they are alike otherwise: same name and size on the other side, another time.
pub fn doubtful<'e>(entries: &'e [Entry], others: &[Entry]) -> Vec<&'e Entry> {
    let others: HashMap<&str, &Entry> =
        others.iter().filter(|other| other.is_file()).map(|other| (other.name.as_str(), other)).collect();
    let is_doubtful = |entry: &&Entry| {
        others.get(entry.name.as_str()).is_some_and(|other| {
            let same_size = entry.size.is_some() && entry.size == other.size;
            let differs = |(one, two): (Stamp, Stamp)| !is_same(one, two.as_secs_f64());
            same_size && entry.mtime.zip(other.mtime).is_some_and(differs)
        })
    };
    entries.iter().filter(|entry| is_as_listed(entry)).filter(is_doubtful).collect()
}

fn is_same(one: Stamp, other: f64) -> bool {
    compare_times(one.as_secs_f64(), other, one.grain()) == Ordering::Equal
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Name;

    fn file(name: &str, size: u64, at: i64) -> Entry {
        Entry::file(Name::new(name).unwrap(), Some(size), Some(Stamp::new(at, 0)))
    }

    #[test]
    fn only_files_that_are_alike_but_for_their_time_are_asked_for() {
        let bucket = [
            file("same", 1, 100),
            file("moved", 1, 900),
            file("larger", 2, 900),
            file("alone", 1, 900),
            Entry { mtime: Some(Stamp::new(5, 0)), ..file("known", 1, 900) },
        ];
        let disk =
            [file("same", 1, 101), file("moved", 1, 100), file("larger", 1, 100), file("known", 1, 100)];
        let names: Vec<_> = doubtful(&bucket, &disk).iter().map(|entry| entry.name.as_str()).collect();
        assert_eq!(names, ["moved"]);
    }

    #[test]
    fn what_is_dated_as_remembered_has_the_time_that_is_remembered() {
        let seen = |dated| Seen {
            mtime: Some(100.0),
            size: Some(1),
            dated,
            exact: None,
            synced: None,
            is_own: true,
        };
        let archive =
            |dated| Archive { seen: Some([("a".to_owned(), seen(dated))].into()), ..Archive::default() };
        let recalled = |entry: Entry, dated| {
            let mut entries = [entry];
            recall(&mut entries, &archive(dated));
            entries[0].mtime.map(|at| at.seconds())
        };
        assert_eq!(recalled(file("a", 1, 900), Some(900.0)), Some(100));
        assert_eq!(recalled(file("a", 1, 905), Some(900.0)), Some(905));
        assert_eq!(recalled(file("a", 2, 900), Some(900.0)), Some(900));
        assert_eq!(recalled(file("b", 1, 900), Some(900.0)), Some(900));
        assert_eq!(recalled(file("a", 1, 900), None), Some(900));
    }
}
