//! Times that a side keeps but does not list, see [`crate::plan::times`].

use super::*;
use crate::plan::times;

impl Walk<'_> {
    /// Looks after the times of a folder that is about to be visited. True if that has to wait for answers.
    pub(super) fn asks_times(&mut self, ticket: Ticket) -> Result<bool> {
        let hides = Sides::from_fn(|side| self.run.pools[side].target().hides_times());
        let Some(folder) = self.folders.get_mut(&ticket) else { return Ok(false) };
        let is_done = std::mem::replace(&mut folder.has_true_times, true);
        if is_done || folder.visit != Visit::Compare || !(hides.local || hides.remote) {
            return Ok(false);
        }
        let Sides { local: Some(Ok(local)), remote: Some(Ok(remote)) } = &mut folder.views else {
            return Ok(false);
        };
        let archive = local.meta.archive(&self.peer);
        let mut entries = Sides::new(&mut local.entries, &mut remote.entries);
        for side in Side::BOTH.into_iter().filter(|side| hides[*side]) {
            times::recall(entries[side], &archive);
        }
        let mut jobs = Vec::new();
        for side in Side::BOTH.into_iter().filter(|side| hides[*side]) {
            let doubtful = times::doubtful(entries[side], entries[side.other()]).into_iter();
            let wanted = doubtful.filter(|entry| self.filter.matches(entry.name.as_str(), entry.kind));
            let files: Vec<RelPath> = wanted.map(|entry| folder.paths[side].join(&entry.name)).collect();
            if !files.is_empty() {
                folder.times_awaited += 1;
                jobs.push(Job::AskTimes { ticket, side, files });
            }
        }
        let is_waiting = !jobs.is_empty();
        jobs.into_iter().try_for_each(|job| self.submit(job))?;
        Ok(is_waiting)
    }

    /// Takes the times that files carry with them.
    pub(super) fn take_times(
        &mut self,
        ticket: Ticket,
        side: Side,
        result: Result<Vec<(RelPath, Option<Stamp>)>>,
    ) -> Result<()> {
        let Some(folder) = self.folders.get_mut(&ticket) else { return Ok(()) };
        folder.times_awaited = folder.times_awaited.saturating_sub(1);
        match result {
            Ok(told) => {
                let told: HashMap<&str, Stamp> =
                    told.iter().filter_map(|(file, at)| Some((file.file_name(), (*at)?))).collect();
                if let Some(Ok(view)) = &mut folder.views[side] {
                    for entry in &mut view.entries {
                        if let Some(at) = told.get(entry.name.as_str()) {
                            entry.mtime = Some(*at);
                        }
                    }
                }
                Ok(())
            }
            // What was listed counts then, as it does for files that carry no time.
            Err(error) => {
                let text = format!("{side}: the times that files carry with them are not known: {error}");
                self.note(3, &text)
            }
        }
    }

    /// When a file was put on a side that then told another time for it, if that is not remembered yet.
    pub(super) fn told_time(&self, ticket: Ticket, pair: &Pair) -> Option<Stamp> {
        let entries = pair.both()?;
        let side = Side::BOTH.into_iter().find(|side| self.run.pools[*side].target().hides_times())?;
        let entry = entries[side];
        let dated = entry.mtime_org.filter(|_| entry.mtime != entry.mtime_org)?;
        let meta = &self.folders.get(&ticket)?.metas[side];
        if meta.shadow(entry.name.as_str()).is_some() {
            return None;
        }
        let is_known = matches!(pair.past, Past::Listed(seen)
            if seen.dated.is_some_and(|known| (known - dated.as_secs_f64()).abs() <= EPS_TIME));
        (!is_known).then_some(dated)
    }
}
