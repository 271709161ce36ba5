//! Times that moved by exactly one hour although nothing was edited.
//!
//! Servers that show local time show all times an hour later in summer. Without a remedy, twice a year every file would look
//! modified. But a file of a fixed size that somebody writes anew each hour looks just the same, so all files that are remembered
//! have to agree.

use super::classify::Past;
use crate::model::meta::Archive;
use crate::model::stamp::EPS_TIME;
use crate::model::{Entry, Seen};

/// Seconds in an hour.
const HOUR: i64 = 3600;
/// One file may have been edited an hour later by chance, without changing its size.
const ENOUGH: usize = 2;

/// What the files of a side of a folder say about its clock, in seconds: 0 if one of them stands still, and an hour if several of
/// them are that much later, or all that much earlier, than remembered. `known` is what other folders of the same side have shown:
/// then one file is enough, but none moves where others stand still.
pub fn of_folder(entries: &[Entry], archive: &Archive, known: Option<i64>) -> Option<i64> {
    let shifts: Vec<i64> = entries.iter().filter_map(|entry| of_file(entry, archive)).collect();
    let shift = *shifts.first()?;
    if known == Some(0) || shifts.contains(&0) {
        return Some(0);
    }
    let agrees = shifts.iter().all(|other| *other == shift);
    (agrees && (shifts.len() >= ENOUGH || known == Some(shift))).then_some(shift)
}

/// The shift of one file, if its size is the remembered one, and its time is the remembered one or off by an hour.
pub fn of_file(entry: &Entry, archive: &Archive) -> Option<i64> {
    let seen = seen(entry, archive)?;
    let now = entry.mtime.filter(|_| entry.size == seen.size)?;
    let slack = EPS_TIME.max(f64::from(now.grain()));
    [0, HOUR, -HOUR].into_iter().find(|hour| {
        let off = |then: f64| (now.as_secs_f64() - then - *hour as f64).abs() <= slack;
        seen.mtime.is_some_and(off) || seen.dated.is_some_and(off)
    })
}

/// What is remembered of a file.
pub fn seen(entry: &Entry, archive: &Archive) -> Option<Seen> {
    match Past::of(archive, entry.name.as_str()).of_kind(entry.kind) {
        Past::Listed(seen) if seen.size.is_some() => Some(seen),
        Past::Listed(_) | Past::Unlisted | Past::NoArchive => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{EntryKind, Name, Stamp};

    fn entry(name: &str, size: u64, at: i64) -> Entry {
        let mtime = Some(Stamp::new(at, 0));
        Entry {
            name: Name::new(name).unwrap(),
            kind: EntryKind::File,
            size: Some(size),
            mtime,
            mtime_org: mtime,
            unique: None,
            changed: None,
            mode: None,
            is_link: false,
        }
    }

    fn archive(names: &[&str]) -> Archive {
        let seen = Seen {
            mtime: Some(10_000.0),
            size: Some(5),
            dated: None,
            exact: None,
            synced: None,
            is_own: true,
        };
        let entries = names.iter().map(|name| ((*name).to_owned(), seen)).collect();
        Archive { seen: Some(entries), ..Archive::default() }
    }

    #[test]
    fn several_files_that_are_an_hour_off_have_not_changed() {
        let past = archive(&["a", "b", "c", "d"]);
        let moved =
            |by: i64| vec![entry("a", 5, 10_000 + by), entry("b", 5, 10_001 + by), entry("new", 5, 1)];
        assert_eq!(of_folder(&moved(3600), &past, None), Some(3600));
        assert_eq!(of_folder(&moved(-3600), &past, None), Some(-3600));
        assert_eq!(of_folder(&moved(7200), &past, None), None);
        let edited = [entry("d", 5, 90_000), entry("c", 6, 10_000)];
        assert_eq!(of_folder(&[moved(3600), edited.to_vec()].concat(), &past, None), Some(3600));
    }

    #[test]
    fn where_one_file_stands_still_none_has_moved() {
        let past = archive(&["a", "b", "c"]);
        let moved = vec![entry("a", 5, 13_600), entry("b", 5, 13_600)];
        let still = vec![entry("c", 5, 10_000)];
        assert_eq!(of_folder(&[moved.clone(), still.clone()].concat(), &past, None), Some(0));
        assert_eq!(of_folder(&[still.clone(), moved.clone()].concat(), &past, Some(3600)), Some(0));
        assert_eq!(of_folder(&still, &past, None), Some(0));
        assert_eq!(of_folder(&moved, &past, Some(0)), Some(0), "as in another folder");
    }

    #[test]
    fn one_file_counts_only_where_others_have_shown_the_shift() {
        let (past, one) = (archive(&["a"]), [entry("a", 5, 13_600)]);
        assert_eq!(of_folder(&one, &past, None), None);
        assert_eq!(of_folder(&one, &past, Some(3600)), Some(3600));
        assert_eq!(of_folder(&one, &past, Some(-3600)), None);
    }

    #[test]
    fn another_size_or_the_other_direction_is_a_change() {
        let past = archive(&["a", "b", "c"]);
        let sizes = [entry("a", 6, 13_600), entry("b", 6, 13_600)];
        assert_eq!(of_folder(&sizes, &past, None), None);
        let both = [entry("a", 5, 13_600), entry("b", 5, 13_600), entry("c", 5, 6_400)];
        assert_eq!(of_folder(&both, &past, None), None);
    }
}
