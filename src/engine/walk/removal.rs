//! Deletions: looked into while walking, carried out at the end.

use super::pairs::paths_of;
use super::*;

impl Walk<'_> {
    /// Plans the deletion of an entry; a folder is looked into first, unless all in it may go.
    pub(super) fn remove(
        &mut self,
        plan: &mut Plan,
        step: &Step,
        on: Side,
        unconditionally: bool,
    ) -> Result<()> {
        let Some(entry) = step.pair.get(on) else {
            return Ok(());
        };
        let path = plan.paths[on].join(&entry.name);
        let trace = Trace { ticket: plan.ticket, name: step.pair.name.to_string(), within: None };
        self.hold(plan.ticket);
        match entry.kind {
            EntryKind::File => {
                self.tally.doomed[on] += 1;
                if self.run.policy.mode != Mode::Sync && !matches!(step.pair.past, Past::Listed(_)) {
                    self.tally.known += 1;
                }
                self.removals.add_file(on, path, trace);
            }
            EntryKind::Folder => {
                let synced = match step.pair.past {
                    Past::Listed(seen) if self.run.policy.deep_conflicts && !unconditionally => seen.synced,
                    Past::Listed(_) | Past::Unlisted | Past::NoArchive => None,
                };
                let doomed = self.removals.add_dir(on, path, trace);
                let paths = paths_of(&plan.paths, &step.pair, on.other());
                let visit = Visit::Remove { on, doomed, synced };
                plan.children.push(Folder::new(paths, visit, Some(plan.ticket)));
            }
        }
        Ok(())
    }

    /// The other side lost the folder: what is unchanged in it goes, what is excluded or changed stays.
    pub(super) fn remove_folder(
        &mut self,
        ticket: Ticket,
        on: Side,
        doomed: DoomedDir,
        synced: Option<f64>,
        views: Sides<View>,
    ) -> Result<Vec<Folder>> {
        let Some(folder) = self.folders.get_mut(&ticket) else {
            return Ok(Vec::new());
        };
        let (dir, paths) = (folder.shown().clone(), folder.paths.clone());
        let view = match on {
            Side::Local => views.local,
            Side::Remote => views.remote,
        };
        let archive = view.meta.archive(&self.peer);
        if view.meta.was_read() {
            self.removals.has_meta(doomed);
        }
        if !view.complete || !view.present_but_skipped.is_empty() {
            self.removals.keep(doomed);
        }
        folder.metas[on] = view.meta;
        let mut children = Vec::new();
        for entry in view.entries {
            let name = entry.name.clone();
            let path = dir.join(&name);
            let is_match = self.run.filter.matches(name.as_str(), entry.kind);
            if !is_match && !self.run.policy.delete_unmatched {
                self.removals.keep(doomed);
                self.note(4, &format!("kept, because the filter leaves it out: {path}"))?;
                continue;
            }
            let inner = Sides::from_fn(|side| {
                paths[side].join(&if side == on { name.clone() } else { name.without_raw() })
            });
            if entry.is_folder() {
                let trace = Trace { ticket, name: name.to_string(), within: Some(doomed) };
                self.hold(ticket);
                let inner_doomed = self.removals.add_dir(on, inner[on].clone(), trace);
                let visit = Visit::Remove { on, doomed: inner_doomed, synced };
                children.push(Folder::new(inner, visit, Some(ticket)));
                continue;
            }
            self.tally.known += 1;
            let is_changed = synced.is_some_and(|synced| match &archive.seen {
                Some(_) => is_changed_since(&entry, &Past::of(&archive, name.as_str())),
                // The memory of a folder lies on the local side. When that is gone, only the time can tell.
                None => on == Side::Local || is_touched_after(&entry, synced),
            });
            if is_match && is_changed {
                let past = Past::of(&archive, name.as_str());
                self.settle_survivor(ticket, on, doomed, entry, past, &inner, &path)?;
            } else {
                self.doom_file(ticket, on, doomed, &name, inner[on].clone());
            }
        }
        Ok(children)
    }

    pub(super) fn doom_file(
        &mut self,
        ticket: Ticket,
        on: Side,
        doomed: DoomedDir,
        name: &Name,
        path: RelPath,
    ) {
        self.tally.doomed[on] += 1;
        self.hold(ticket);
        self.removals.add_file(on, path, Trace { ticket, name: name.to_string(), within: Some(doomed) });
    }

    /// A file that was edited in a folder that the other side lost: a conflict of its own.
    #[expect(clippy::too_many_arguments, reason = "one call, whose arguments are all distinct in type")]
    pub(super) fn settle_survivor(
        &mut self,
        ticket: Ticket,
        on: Side,
        doomed: DoomedDir,
        entry: Entry,
        past: Past,
        paths: &Sides<RelPath>,
        path: &RelPath,
    ) -> Result<()> {
        let name = entry.name.clone();
        let mut sides = Sides::<Option<Entry>>::default();
        sides[on] = Some(entry.clone());
        let Some(pair) = Pair::new(sides, past) else {
            return Ok(());
        };
        let mut changes = Sides::new(Change::Deleted, Change::Deleted);
        changes[on] = Change::Modified;
        let step = Step { pair, changes, operation: plan::Operation::Conflict, reason: None };
        self.stats.conflict_files += 1;
        let dir = path.parent().unwrap_or_default();
        match self.decide(&dir, &step)? {
            Resolution::Copy { to } if allows_copy(&self.run.policy, to) => {
                self.removals.keep(doomed);
                self.action(Line::conflict_copy(to, false), path, false)?;
                self.copy_file(ticket, name.as_str(), &entry, to, paths, Landing::NewFolder)
            }
            Resolution::Delete { on: side } if side == on => {
                self.action(Line::conflict_delete(on), path, false)?;
                self.doom_file(ticket, on, doomed, &name, paths[on].clone());
                Ok(())
            }
            Resolution::Copy { .. }
            | Resolution::Delete { .. }
            | Resolution::Skip
            | Resolution::SameTime
            | Resolution::Ask => {
                self.removals.keep(doomed);
                self.stats.conflict_files_skipped += 1;
                self.action(Line::SKIP_CONFLICT, path, false)
            }
        }
    }

    /// Carries out all deletions, unless the guard has seen too many.
    pub(super) fn delete(&mut self) -> Result<()> {
        if let Some(stop) = judge(self.run.policy.mode, self.run.guard, &self.tally) {
            let advice = "check both sides, then use --allow-mass-delete if it is meant";
            let error = Error::new(Kind::Guard, stop.to_string()).advise(advice);
            for trace in self.removals.take_traces() {
                self.release(Some(trace.ticket))?;
            }
            return self.problem(&RelPath::root(), error);
        }
        for side in Side::BOTH {
            for files in self.removals.file_bursts(side, BURST) {
                self.submit(Job::RemoveFiles { side, files })?;
            }
        }
        self.wait_for_all()?;
        for side in Side::BOTH {
            for level in self.removals.dir_levels(side) {
                for dirs in level.chunks(BURST) {
                    self.submit(Job::RemoveDirs { side, dirs: dirs.to_vec() })?;
                }
                self.wait_for_all()?;
            }
        }
        for trace in self.removals.take_traces() {
            self.release(Some(trace.ticket))?;
        }
        self.wait_for_all()
    }

    pub(super) fn removed(&mut self, side: Side, path: &RelPath, result: Result<()>) -> Result<()> {
        let trace = self.removals.take_trace(side, path);
        if let Err(error) = result {
            // What holds it cannot go either, and saying so once is enough.
            self.problem(path, error)?;
            return self.release(trace.map(|trace| trace.ticket));
        }
        let Some(trace) = trace else { return Ok(()) };
        if let Some(folder) = self.folders.get_mut(&trace.ticket) {
            folder.metas.local.forget(&self.peer, &trace.name);
            folder.metas.remote.forget_shadow(&trace.name);
        }
        if self.removals.is_counted(&trace) {
            self.stats.entries_touched += 1;
            if self.removals.is_folder(side, path) {
                self.stats.dirs_deleted += 1;
            } else {
                self.stats.files_deleted += 1;
            }
        }
        self.release(Some(trace.ticket))
    }
}

fn allows_copy(policy: &Policy, to: Side) -> bool {
    policy.mode.source() != Some(to)
}

/// Whether a file differs from what its folder remembers, or was never remembered.
fn is_changed_since(entry: &Entry, past: &Past) -> bool {
    let sides = Sides::new(Some(entry.clone()), None);
    Pair::new(sides, *past).is_some_and(|pair| plan::classify(&pair).local != Change::Unmodified)
}

/// Whether a file was changed after a time; one whose time is unknown counts as changed.
fn is_touched_after(entry: &Entry, seconds: f64) -> bool {
    entry.mtime.is_none_or(|mtime| mtime.as_secs_f64() > seconds + EPS_TIME.max(f64::from(mtime.grain())))
}
