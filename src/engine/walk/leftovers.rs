//! What runs that were cut short have left behind among the files.

use super::*;

/// How old a temporary file must be to be taken for a left-over, in seconds.
const LEFTOVER_AGE: f64 = 24.0 * 3600.0;

impl Walk<'_> {
    /// Removes temporary files that a run has left behind, from a side that this mode changes. Young ones may belong to a
    /// run that goes on elsewhere, unless the journal of a dead one names them.
    pub(super) fn clear_leftovers(&mut self, paths: &Sides<RelPath>, views: &Sides<View>) -> Result<()> {
        if !self.executor.is_live() {
            return Ok(());
        }
        let source = self.policy.mode.source();
        for side in Side::BOTH.into_iter().filter(|side| source != Some(*side)) {
            if views[side].leftovers.is_empty() {
                continue;
            }
            let parts = self.part_names(side.other(), views);
            for leftover in &views[side].leftovers {
                let is_old = leftover
                    .mtime_org
                    .is_some_and(|at| at.as_secs_f64() + LEFTOVER_AGE < self.run.clock.now());
                let path = paths[side].join(&leftover.name);
                let is_of_dead = self.journal.is_left(side, &path);
                if (is_old || is_of_dead) && !parts.contains(leftover.name.as_str()) {
                    self.note(4, &format!("{side}: removed what an interrupted run left behind: {path}"))?;
                    self.removals.add_file(
                        side,
                        Doomed { path, gone_from: None, is_wished: false, expect: Expect::Anything },
                        None,
                    );
                }
            }
        }
        Ok(())
    }

    /// The temporary names under which copies of the files of a side may lie unfinished on the other one, for this run to continue.
    /// What has arrived there since then needs none.
    fn part_names(&self, source: Side, views: &Sides<View>) -> HashSet<String> {
        let (side, there) = (self.run.pools[source].target().as_ref(), &views[source.other()].entries);
        let put = |entry: &Entry| Put {
            size: entry.size,
            mtime: entry.mtime,
            version: version(side, entry),
            ..Put::default()
        };
        let large: Vec<&Entry> =
            views[source].entries.iter().filter(|entry| put(entry).is_resumable()).collect();
        if large.is_empty() {
            return HashSet::new();
        }
        let there: HashMap<&Name, &Entry> = there.iter().map(|entry| (&entry.name, entry)).collect();
        let has_arrived = |entry: &Entry| there.get(&entry.name).is_some_and(|copy| is_alike(entry, copy));
        large
            .into_iter()
            .filter(|entry| !has_arrived(entry))
            .map(|entry| put(entry).part_name(entry.name.as_str()))
            .collect()
    }
}

fn is_alike(one: &Entry, other: &Entry) -> bool {
    let (Some(at), Some(then)) = (one.mtime, other.mtime) else { return false };
    let grain = at.grain().max(then.grain());
    one.size == other.size && compare_times(at.as_secs_f64(), then.as_secs_f64(), grain).is_eq()
}
