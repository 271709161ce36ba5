//! Deletions: looked into while walking, carried out at the end.

use super::copies::{expected, paths_of};
use super::*;
use crate::error::Retry;
use std::collections::BTreeMap;

/// Why something is to be deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    /// The other side does not have it.
    Lost,
    /// The filter leaves it out, or it has lost a conflict.
    Decided,
    /// User code wants it, whatever the other side has.
    Wished,
}

/// What became of copies, as far as deletions depend on it.
#[derive(Default)]
pub(super) struct Outcomes {
    /// What is to be copied, by its source, and whether that was done: only where user code may have wishes that depend on it.
    pub(super) made: HashMap<(Side, RelPath), bool>,
    /// The sizes of files whose copy to a side has failed; `None` stands for a folder.
    pub(super) failed: Sides<HashSet<Option<u64>>>,
}

/// Files deleted by one job at least, unless there are fewer.
const LITTLE: usize = 25;
/// And at the most: in between it is looked whether the run goes on.
const MUCH: usize = 500;

impl Walk<'_> {
    /// Plans the deletion of an entry; a folder is looked into first, unless all in it may go.
    pub(super) fn remove(&mut self, plan: &mut Plan, step: &Step, on: Side, why: Reason) -> Result<()> {
        let Some(entry) = step.pair.get(on) else {
            return Ok(());
        };
        self.note_judged(plan, step);
        let leaf = if entry.is_folder() { Leaf::RemoveFolder } else { Leaf::RemoveFile };
        let (hooks, dir) = (self.hooks, plan.dir.clone());
        let verdict = hooks.leaf(leaf, on, &dir, entry, &mut || {
            self.doom(plan, step, entry, on, why);
            Ok(())
        });
        if self.settled(&plan.dir.join(&step.pair.name), verdict)? == Verdict::Proceed {
            self.doom(plan, step, entry, on, why);
        }
        Ok(())
    }

    fn doom(&mut self, plan: &mut Plan, step: &Step, entry: &Entry, on: Side, why: Reason) {
        let path = plan.paths[on].join(&entry.name);
        // What the filter excludes goes whether or not the other side has it, and what user code wants to go: it may have been
        // copied there just before.
        let other = paths_of(&plan.paths, &step.pair, on.other())[on.other()].clone();
        let is_lost = why != Reason::Wished && step.pair.get(on.other()).is_none();
        let gone_from = is_lost.then_some(other);
        let version = version(self.run.pools[on].target().as_ref(), entry);
        let trace = Trace { ticket: plan.ticket, name: step.pair.name.to_string(), within: None, version };
        self.hold(plan.ticket);
        match entry.kind {
            EntryKind::Folder if entry.is_link => {
                // The link goes, never what it leads to.
                let is_wished = why == Reason::Wished;
                let doomed = Doomed { path, gone_from, is_wished, expect: Expect::Anything };
                self.removals.add_file(on, doomed, Some(trace));
            }
            EntryKind::File => {
                match why {
                    Reason::Wished => self.tally.wished += 1,
                    Reason::Lost | Reason::Decided => self.tally.doomed[on] += 1,
                }
                if self.policy.mode != Mode::Sync && !matches!(step.pair.past, Past::Listed(_)) {
                    self.tally.known += 1;
                }
                let is_wished = why == Reason::Wished;
                let doomed = Doomed { path, gone_from, is_wished, expect: expected(Some(entry)) };
                self.removals.add_file(on, doomed, Some(trace));
            }
            EntryKind::Folder => {
                let scope = match step.pair.past {
                    _ if why == Reason::Wished => Scope::Wished,
                    _ if gone_from.is_none() => Scope::Excluded,
                    Past::Listed(seen) if self.policy.deep_conflicts && why == Reason::Lost => {
                        Scope::Unchanged(seen.synced.filter(|_| self.may_be_of_others(&seen)))
                    }
                    Past::Listed(_) | Past::Unlisted | Past::NoArchive => Scope::Everything,
                };
                let doomed = self.removals.add_dir(on, path, trace);
                let paths = paths_of(&plan.paths, &step.pair, on.other());
                let visit = Visit::Remove(Removal { on, doomed, scope });
                plan.children.push(Folder::new(paths, visit, Some(plan.ticket)));
            }
        }
    }

    /// The other side lost the folder: what is unchanged in it goes, what is excluded or changed stays.
    pub(super) fn remove_folder(
        &mut self,
        ticket: Ticket,
        within: Removal,
        mut views: Sides<View>,
    ) -> Result<Vec<Folder>> {
        let Some(folder) = self.folders.get(&ticket) else { return Ok(Vec::new()) };
        let (dir, paths, on) = (folder.shown().clone(), folder.paths.clone(), within.on);
        self.disown(&paths.local, &mut views[on].meta);
        self.recall_removed(&paths.local, &mut views);
        let mut view = std::mem::take(&mut views[on]);
        let mut archive = view.meta.archive(&self.peer);
        if archive.seen.is_none() {
            archive.seen = self.remembered_of(&paths.local);
        }
        if view.meta.was_read() {
            self.removals.has_meta(within.doomed);
        }
        if !view.complete || !view.present_but_skipped.is_empty() {
            self.removals.keep(within.doomed);
        }
        if view.complete {
            self.forget_lost(&paths.local, &mut view, &archive);
        }
        if let Some(folder) = self.folders.get_mut(&ticket) {
            folder.metas[on] = view.meta;
            folder.meta_file = if on == Side::Local { view.meta_file } else { Expect::Anything };
        }
        for leftover in &view.leftovers {
            let path = paths[on].join(&leftover.name);
            let doomed = Doomed { path, gone_from: None, is_wished: false, expect: Expect::Anything };
            self.removals.add_file(on, doomed, None);
        }
        let (mut children, mut tells_why) = (Vec::new(), true);
        for entry in view.entries {
            let path = dir.join(&entry.name);
            let is_match = self.filter.matches(entry.name.as_str(), entry.kind);
            if !is_match && !self.policy.delete_unmatched {
                self.removals.keep(within.doomed);
                if std::mem::take(&mut tells_why) {
                    // There was a line which said that it would go.
                    self.note(3, &format!("[{dir}] stays: the filter leaves out what is in it."))?;
                }
                self.note(4, &format!("kept, because the filter leaves it out: {path}"))?;
                continue;
            }
            let inner = Sides::from_fn(|side| {
                paths[side].join(&if side == on { entry.name.clone() } else { entry.name.without_raw() })
            });
            if entry.is_folder() && !entry.is_link {
                children.push(self.doom_subfolder(ticket, within, &entry, inner, &archive));
                continue;
            }
            self.tally.known += 1;
            if is_match && self.is_survivor(within, &entry, &archive) {
                let past = Past::of(&archive, entry.name.as_str());
                self.settle_survivor(ticket, within, entry, past, &inner, &path)?;
            } else {
                self.doom_file(ticket, within, &entry, &inner);
            }
        }
        Ok(children)
    }

    /// Both sides have lost these: one that comes back is new.
    fn forget_lost(&mut self, dir: &RelPath, view: &mut View, archive: &Archive) {
        let names = view.entries.iter().map(|entry| &entry.name).chain(&view.present_but_skipped);
        let present: HashSet<&str> = names.map(Name::as_str).collect();
        let remembered = archive.seen.iter().flatten().map(|(name, _)| name);
        let lost: HashSet<String> =
            remembered.filter(|name| !present.contains(name.as_str())).cloned().collect();
        lost.iter().for_each(|name| view.meta.forget(&self.peer, name));
        self.forget_inside(dir, &lost);
    }

    /// A folder in a folder that goes: it is looked into as well.
    fn doom_subfolder(
        &mut self,
        ticket: Ticket,
        within: Removal,
        entry: &Entry,
        paths: Sides<RelPath>,
        archive: &Archive,
    ) -> Folder {
        let (on, name) = (within.on, entry.name.as_str());
        let trace = Trace { ticket, name: name.to_owned(), within: Some(within.doomed), version: 0 };
        self.hold(ticket);
        let doomed = self.removals.add_dir(on, paths[on].clone(), trace);
        let is_new =
            archive.seen.is_some() && !matches!(Past::of(archive, name).of_kind(entry.kind), Past::Listed(_));
        let scope = match within.scope {
            // It came after the last synchronisation, so no time says anything about what is in it.
            Scope::Unchanged(_) if is_new => Scope::Unchanged(None),
            scope => scope,
        };
        Folder::new(paths, Visit::Remove(Removal { on, doomed, scope }), Some(ticket))
    }

    /// Whether a file of a folder that goes was changed since the last synchronisation.
    fn is_survivor(&self, within: Removal, entry: &Entry, archive: &Archive) -> bool {
        match (within.scope, &archive.seen) {
            (Scope::Everything | Scope::Excluded | Scope::Wished, _) => false,
            (Scope::Unchanged(_), Some(_)) => {
                is_changed_since(entry, within.on, &Past::of(archive, entry.name.as_str()))
            }
            // Nothing remembers the inside of the folder. After runs of pyftpsync 4.1 alone the time can tell; one of ours ended
            // before it could say what was in it.
            (Scope::Unchanged(Some(synced)), None) => {
                within.on == Side::Local
                    || !self.memory.contents.is_empty()
                    || is_touched_after(entry, synced)
            }
            (Scope::Unchanged(None), None) => true,
        }
    }

    fn doom_file(&mut self, ticket: Ticket, within: Removal, entry: &Entry, paths: &Sides<RelPath>) {
        let Removal { on, doomed: folder, scope } = within;
        match scope {
            Scope::Wished => self.tally.wished += 1,
            Scope::Everything | Scope::Unchanged(_) | Scope::Excluded => self.tally.doomed[on] += 1,
        }
        self.hold(ticket);
        let expect = if entry.is_link { Expect::Anything } else { expected(Some(entry)) };
        let gone_from = scope.needs_absence().then(|| paths[on.other()].clone());
        let is_wished = scope == Scope::Wished;
        let doomed = Doomed { path: paths[on].clone(), gone_from, is_wished, expect };
        let version = version(self.run.pools[on].target().as_ref(), entry);
        let trace = Trace { ticket, name: entry.name.to_string(), within: Some(folder), version };
        self.removals.add_file(on, doomed, Some(trace));
    }

    /// A file that was edited in a folder that the other side lost: a conflict of its own.
    fn settle_survivor(
        &mut self,
        ticket: Ticket,
        within: Removal,
        entry: Entry,
        past: Past,
        paths: &Sides<RelPath>,
        path: &RelPath,
    ) -> Result<()> {
        let Removal { on, doomed, .. } = within;
        let name = entry.name.clone();
        let mut sides = Sides::<Option<Entry>>::default();
        sides[on] = Some(entry.clone());
        let Some(pair) = Pair::new(sides, past) else {
            return Ok(());
        };
        let mut changes = Sides::new(Change::Deleted, Change::Deleted);
        changes[on] = Change::Modified;
        let step =
            Step { pair, changes, operation: plan::Operation::Conflict, reason: None, is_wished: false };
        self.stats.conflict_files += 1;
        let dir = path.parent().unwrap_or_default();
        if self.hooks.hears_lines() {
            self.told.subjects.insert(path.clone(), step.pair.clone());
        }
        match self.decide(&dir, &step)? {
            Resolution::Copy { to } if allows_copy(&self.policy, to) => {
                self.removals.keep(doomed);
                self.action(Line::conflict_copy(to, false), path, false)?;
                self.copy_file(ticket, name.as_str(), &entry, to, paths, Landing::NewFolder)
            }
            Resolution::Delete { on: side } if side == on => {
                self.action(Line::conflict_delete(on), path, false)?;
                self.doom_file(ticket, Removal { scope: Scope::Everything, ..within }, &entry, paths);
                Ok(())
            }
            Resolution::Copy { .. }
            | Resolution::Delete { .. }
            | Resolution::Both { .. }
            | Resolution::Skip
            | Resolution::SameTime
            | Resolution::Ask => {
                self.removals.keep(doomed);
                self.stats.conflict_files_skipped += 1;
                self.event(Event::ConflictLeft(path))?;
                self.action(Line::SKIP_CONFLICT, path, false)
            }
        }
    }

    /// Carries out all deletions, unless the guard has seen too many.
    pub(super) fn delete(&mut self) -> Result<()> {
        if let Some(stop) = judge(self.policy.mode, self.run.guard, &self.tally) {
            let advice = "check both sides, then use --allow-mass-delete if it is meant";
            let error = Error::new(Kind::Guard, stop.to_string()).advise(advice);
            for trace in self.removals.take_traces() {
                self.release(Some(trace.ticket))?;
            }
            // The lines were written when nobody could know how many there would be.
            self.note(3, "The DELETE lines above were not carried out: all that they name is still there.")?;
            return self.problem(&RelPath::root(), error);
        }
        self.spare_uncopied()?;
        self.spare_renamed()?;
        self.remove_trees()?;
        for side in Side::BOTH {
            for files in self.removals.file_bursts(side, self.burst(side)) {
                let traces = self.removals.traces_of(side, files.iter().map(|file| &file.path));
                self.note_removals(side, traces);
                self.submit(Job::RemoveFiles { side, files })?;
            }
        }
        self.wait_for_all()?;
        for side in Side::BOTH {
            for depth in (1..=self.removals.depth(side)).rev() {
                for dirs in self.removals.dirs_at(side, depth).chunks(BURST) {
                    let traces = self.removals.traces_of(side, dirs.iter().map(|(dir, _)| dir));
                    self.note_removals(side, traces);
                    self.submit(Job::RemoveDirs { side, dirs: dirs.to_vec() })?;
                }
                self.wait_for_all()?;
            }
        }
        self.make_what_is_left_behind()?;
        for trace in self.removals.take_traces() {
            self.release(Some(trace.ticket))?;
        }
        self.wait_for_all()
    }

    /// Notes in the journal what is about to be deleted.
    fn note_removals(&mut self, side: Side, traces: Vec<(RelPath, Trace)>) {
        let mut by_folder: BTreeMap<Ticket, Vec<(RelPath, Trace)>> = BTreeMap::new();
        for (path, trace) in traces {
            by_folder.entry(trace.ticket).or_default().push((path, trace));
        }
        for (ticket, going) in by_folder {
            if let Some(folder) = self.folders.get(&ticket) {
                self.journal.removes(self.run, &folder.paths.local, side, going);
            }
        }
    }

    /// What user code wants to go after it was copied, as when things are fetched, stays where the copy was not made.
    fn spare_uncopied(&mut self) -> Result<()> {
        let copies = std::mem::take(&mut self.outcomes.made);
        let was_asked = |side: Side, path: &RelPath| {
            let above = std::iter::successors(Some(path.clone()), RelPath::parent);
            above.into_iter().any(|path| copies.contains_key(&(side, path)))
        };
        let is_uncopied = |side: Side, file: &Doomed| {
            let is_made = copies.get(&(side, file.path.clone())).is_some_and(|is_made| *is_made);
            file.is_wished && !is_made && was_asked(side, &file.path)
        };
        for (side, file) in self.removals.take_files(is_uncopied) {
            let error = Error::new(Kind::Changed, "it could not be copied");
            self.removed(side, &file.path, Err(error.during("delete").at(&file.path)))?;
        }
        Ok(())
    }

    /// A file that was given another name looks deleted under the old one. If it could not be copied under the new one, the old
    /// one stays: it may be the only one there.
    fn spare_renamed(&mut self) -> Result<()> {
        let failed = std::mem::take(&mut self.outcomes.failed);
        let may_be_one = |side: Side, file: &Doomed| {
            let size = match file.expect {
                Expect::File(size, _) => size,
                Expect::Anything | Expect::Absent => None,
            };
            let is_alike = failed[side].contains(&None) || failed[side].contains(&size);
            file.gone_from.is_some() && is_alike
        };
        for (side, file) in self.removals.take_files(may_be_one) {
            let why = "it may have another name now, under which it could not be copied";
            let error = Error::new(Kind::Changed, why).during("delete").at(&file.path);
            self.removed(side, &file.path, Err(error))?;
        }
        Ok(())
    }

    /// Folders of which nothing stays go with one verb, on a side that wants it so.
    fn remove_trees(&mut self) -> Result<()> {
        if self.run.keeping.backup.is_some() {
            return Ok(());
        }
        for side in Side::BOTH.into_iter().filter(|side| self.run.pools[*side].target().removes_trees()) {
            for tree in self.removals.whole_trees(side) {
                let traces = self.removals.traces_in(side, &tree);
                self.note_removals(side, traces);
                self.submit(Job::RemoveTree { side, tree: Box::new(tree) })?;
            }
        }
        self.wait_for_all()
    }

    /// Takes what became of a folder that was to go with one verb: gone, or left for deletions one by one.
    pub(super) fn tree_removed(&mut self, side: Side, root: &RelPath, result: Result<bool>) -> Result<()> {
        let error = match result {
            Ok(false) => return Ok(()),
            Ok(true) => None,
            Err(error) => Some(error),
        };
        let paths = self.removals.take_tree(side, root);
        let Some(error) = error else {
            return paths.iter().try_for_each(|path| self.removed(side, path, Ok(())));
        };
        let done = Finished { deed: "delete", path: root, side, bytes: 0, error: Some(&error) };
        self.event(Event::Finished(done))?;
        self.failed(root, error)?;
        // What is left of it is not known: all of it stays remembered.
        for path in paths {
            let trace = self.removals.take_trace(side, &path);
            self.release(trace.map(|trace| trace.ticket))?;
        }
        Ok(())
    }

    /// A new folder that stays only because it holds what the filter leaves out is made on the other side as well, if the one
    /// that it is in came back there. Otherwise the next run would have to do it.
    fn make_what_is_left_behind(&mut self) -> Result<()> {
        let mut last = None;
        while let Some((doomed, on, path, trace)) = self.removals.left_behind(last) {
            last = Some(doomed);
            let (Some(above), Ok(name)) = (self.folders.get(&trace.ticket), Name::new(trace.name)) else {
                continue;
            };
            let held = self.memory.contents.get(above.paths.local.as_str()).unwrap_or_default();
            let archive = above.metas.local.archive(&self.peer);
            if held.contains_key(name.as_str())
                || matches!(Past::of(&archive, name.as_str()), Past::Listed(_))
            {
                continue;
            }
            let paths =
                Sides::from_fn(|side| if side == on { path.clone() } else { above.paths[side].join(&name) });
            let to = on.other();
            self.removals.comes_back(doomed);
            self.action(Line::copy(to, Change::New), &paths.local, true)?;
            if let Some(mut made) = self.begin_subfolder(trace.ticket, name.as_str(), to, &paths)? {
                // What is in it has been dealt with.
                made.views[on] = Some(Ok(Box::new(View::empty())));
                self.finish_at_once(vec![made])?;
            }
        }
        Ok(())
    }

    /// How many files are deleted by one job: as many for each session, so that none of them is left alone in the end.
    fn burst(&self, side: Side) -> usize {
        let sessions = (*self.run.threads.start()).saturating_sub(1).max(1);
        self.removals.count_files(side).div_ceil(sessions).clamp(LITTLE, MUCH)
    }

    pub(super) fn removed(&mut self, side: Side, path: &RelPath, result: Result<()>) -> Result<()> {
        let trace = self.removals.take_trace(side, path);
        let is_counted = trace.as_ref().is_some_and(|trace| self.removals.is_counted(trace));
        if is_counted || result.is_err() {
            let done = Finished { deed: "delete", path, side, bytes: 0, error: result.as_ref().err() };
            self.event(Event::Finished(done))?;
        }
        if let Err(error) = result {
            if error.retry() == Retry::No {
                self.journal.decided(side, path);
            }
            if let Some(within) = trace.as_ref().and_then(|trace| trace.within) {
                self.removals.keep(within);
            }
            if error.kind() == Kind::Changed {
                self.warn(&format!("Not deleted: {path}: {}.", error.reason()))?;
            } else {
                self.failed(path, error)?;
            }
            return self.release(trace.map(|trace| trace.ticket));
        }
        let Some(trace) = trace else { return Ok(()) };
        self.forget_removed(side, path, &trace);
        self.release(Some(trace.ticket))
    }

    /// Forgets what was deleted, and counts it.
    pub(super) fn forget_removed(&mut self, side: Side, path: &RelPath, trace: &Trace) {
        self.journal.decided(side, path);
        if let Some(folder) = self.folders.get_mut(&trace.ticket) {
            folder.metas.local.forget(&self.peer, &trace.name);
            folder.metas.remote.forget_shadow(&trace.name);
            folder.gone.insert(trace.name.clone());
            self.journal.removed(self.run, &folder.paths.local, &trace.name);
        }
        if !self.removals.is_counted(trace) {
            return;
        }
        self.stats.entries_touched += 1;
        if self.removals.is_folder(side, path) {
            self.forget_tree(path);
            self.stats.dirs_deleted += 1;
        } else {
            self.stats.files_deleted += 1;
        }
    }
}

fn allows_copy(policy: &Policy, to: Side) -> bool {
    policy.mode.source() != Some(to)
}

/// Whether a file differs from what its folder remembers, or was never remembered.
fn is_changed_since(entry: &Entry, on: Side, past: &Past) -> bool {
    let sides = Sides::from_fn(|side| (side == on).then(|| entry.clone()));
    Pair::new(sides, *past).is_some_and(|pair| plan::classify(&pair)[on] != Change::Unmodified)
}

/// Whether a file was changed after a time; one whose time is unknown counts as changed.
fn is_touched_after(entry: &Entry, seconds: f64) -> bool {
    entry.mtime.is_none_or(|mtime| mtime.as_secs_f64() > seconds + EPS_TIME.max(f64::from(mtime.grain())))
}
