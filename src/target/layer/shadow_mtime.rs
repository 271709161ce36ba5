//! Times for targets that cannot set them: a listing corrected by what the folder's metadata remembers.

use crate::model::stamp::EPS_TIME;
use crate::model::{DirMeta, Listing, Stamp};
use std::collections::HashSet;

/// Gives every file of the listing the time it should have, and drops what is remembered but no longer true.
///
/// A memory is true while the file has the size it was written with, and has not been touched after it was written.
pub fn apply(listing: &mut Listing, meta: &mut DirMeta) {
    if listing.complete {
        let files = listing.entries.iter().filter(|entry| entry.is_file());
        let there: HashSet<&str> = files.map(|entry| entry.name.as_str()).collect();
        let remembered = meta.shadows().map(|(name, _)| name);
        let stale: Vec<String> = remembered.filter(|name| !there.contains(name)).map(str::to_owned).collect();
        stale.iter().for_each(|name| meta.forget_shadow(name));
    }
    for entry in listing.entries.iter_mut().filter(|entry| entry.is_file()) {
        let Some(shadow) = meta.shadow(entry.name.as_str()) else {
            continue;
        };
        let same_size = entry.size.is_none() || entry.size == shadow.size;
        let touched = entry.mtime_org.is_some_and(|listed| {
            listed.as_secs_f64() > shadow.written + EPS_TIME.max(f64::from(listed.grain()))
        });
        if same_size && !touched {
            entry.mtime = Stamp::from_secs_f64(shadow.mtime);
        } else {
            meta.forget_shadow(entry.name.as_str());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::meta::Shadow;
    use crate::model::{Entry, Name};

    fn listing(size: u64, listed: i64) -> Listing {
        let entry = Entry::file(Name::new("a").unwrap(), Some(size), Some(Stamp::new(listed, 0)));
        Listing { entries: vec![entry], ..Listing::default() }
    }

    fn meta() -> DirMeta {
        let mut meta = DirMeta::default();
        meta.set_shadow("a", Shadow { mtime: 5.0, size: Some(1), written: 100.0 });
        meta
    }

    #[test]
    fn a_file_gets_the_time_it_should_have() {
        let (mut listing, mut meta) = (listing(1, 102), meta());
        apply(&mut listing, &mut meta);
        assert_eq!(listing.entries[0].mtime, Some(Stamp::new(5, 0)));
        assert_eq!(listing.entries[0].mtime_org, Some(Stamp::new(102, 0)));
    }

    #[test]
    fn a_touched_resized_or_removed_file_loses_its_memory() {
        for mut listing in [listing(2, 100), listing(1, 103), Listing::default()] {
            let mut meta = meta();
            apply(&mut listing, &mut meta);
            assert!(meta.shadow("a").is_none());
        }
    }
}
