//! Copies: set off, and what became of them.

use super::*;
use crate::error::Retry;
use crate::target::Written;

impl Walk<'_> {
    pub(super) fn copy(
        &mut self,
        plan: &mut Plan,
        step: &Step,
        path: &RelPath,
        to: Side,
        line: Line,
    ) -> Result<()> {
        if step.pair.get(to.other()).is_none() {
            return Ok(());
        }
        self.action(line, path, step.pair.is_folder())?;
        self.copy_entry(plan, step, to)
    }

    pub(super) fn copy_entry(&mut self, plan: &mut Plan, step: &Step, to: Side) -> Result<()> {
        let Some(entry) = step.pair.get(to.other()) else {
            return Ok(());
        };
        let paths = paths_of(&plan.paths, &step.pair, to);
        self.note_judged(plan, step);
        match entry.kind {
            EntryKind::File => {
                if step.pair.past == Past::NoArchive
                    && let Some(folder) = self.folders.get_mut(&plan.ticket)
                {
                    folder.unfinished.insert(step.pair.name.to_string());
                }
                let has_twin = self.has_twin(plan.ticket, step.pair.name.as_str());
                // Whatever is at a name that is not listed may be its twin, which nobody has asked to overwrite.
                let is_itself = !has_twin || step.pair.get(to).is_some();
                let expect = if self.policy.overwrites(to) && is_itself {
                    Expect::Anything
                } else {
                    expected(step.pair.get(to))
                };
                let mode = step.pair.get(to).and_then(|old| old.mode);
                let landing = match self.keep_for(step, to, &paths) {
                    Some(keep) => Landing::Over(expect, mode, keep),
                    None => Landing::At(expect, mode),
                };
                self.copy_file(plan.ticket, step.pair.name.as_str(), entry, to, &paths, landing)
            }
            EntryKind::Folder => {
                let name = step.pair.name.as_str();
                self.copy_subfolder(plan.ticket, name, entry, to, &paths, &mut plan.children)
            }
        }
    }

    /// Where the file of a side is kept before it is replaced, if it is.
    fn keep_for(&self, step: &Step, to: Side, paths: &Sides<RelPath>) -> Option<Keep> {
        step.pair.get(to)?;
        let keeping = &self.run.keeping;
        if let Some(kept) = keeping.backup_of(&paths[to]) {
            return Some(Keep { on: to, to: kept, entry: None, is_trashed: false });
        }
        let is_first_contact = self.policy.mode == Mode::Sync && step.pair.past == Past::NoArchive;
        // A side that cannot rename cannot put its own file aside; what it gets is no reason to refuse the copy.
        let can_keep = to == Side::Remote || self.run.pools.local.target().caps().renames;
        let kept = keeping.trash_of(&paths.local).filter(|_| is_first_contact && can_keep)?;
        Some(Keep { on: Side::Local, to: kept, entry: None, is_trashed: true })
    }

    /// Copies a folder of a folder; what is still to be visited for that is added to `children`.
    pub(super) fn copy_subfolder(
        &mut self,
        ticket: Ticket,
        name: &str,
        entry: &Entry,
        to: Side,
        paths: &Sides<RelPath>,
        children: &mut Vec<Folder>,
    ) -> Result<()> {
        let (hooks, dir) = (self.hooks, paths.local.parent().unwrap_or_default());
        let verdict = hooks.leaf(Leaf::CopyFolder, to, &dir, entry, &mut || {
            let begun = self.begin_subfolder(ticket, name, to, paths)?;
            self.finish_at_once(begun.into_iter().collect())
        });
        if self.settled(&paths.local, verdict)? == Verdict::Proceed {
            children.extend(self.begin_subfolder(ticket, name, to, paths)?);
        }
        Ok(())
    }

    pub(super) fn begin_subfolder(
        &mut self,
        ticket: Ticket,
        name: &str,
        to: Side,
        paths: &Sides<RelPath>,
    ) -> Result<Option<Folder>> {
        self.note_copy(to, paths);
        self.stats.dirs_created += 1;
        self.stats.entries_touched += 1;
        // What is in a new folder is shown by a dry run only where nobody relies on the old counters.
        if !self.executor.is_live() && !self.policy.follows {
            let made = Finished { deed: "mkdir", path: &paths[to], side: to, bytes: 0, error: None };
            return self.event(Event::Finished(made)).map(|()| None);
        }
        self.hold(ticket);
        let above = paths.local.parent().unwrap_or_default();
        self.journal.begun(self.run, &above, name, to);
        let has_twin = self.has_twin(ticket, name);
        let visit = Visit::Copy { to, name: name.to_owned(), has_twin };
        Ok(Some(Folder::new(paths.clone(), visit, Some(ticket))))
    }

    pub(super) fn copy_file(
        &mut self,
        ticket: Ticket,
        name: &str,
        entry: &Entry,
        to: Side,
        paths: &Sides<RelPath>,
        landing: Landing,
    ) -> Result<()> {
        let (hooks, dir) = (self.hooks, paths.local.parent().unwrap_or_default());
        let verdict = hooks.leaf(Leaf::CopyFile, to, &dir, entry, &mut || {
            self.begin_file(ticket, name, entry, to, paths, landing.clone())?;
            self.wait_for_copies()
        });
        match self.settled(&paths.local, verdict)? {
            Verdict::Proceed => self.begin_file(ticket, name, entry, to, paths, landing),
            Verdict::Leave | Verdict::Gone => Ok(()),
        }
    }

    /// Notes that a copy is ahead, where user code may have wishes that depend on it.
    fn note_copy(&mut self, to: Side, paths: &Sides<RelPath>) {
        if self.hooks.is_any() {
            self.outcomes.made.insert((to.other(), paths[to.other()].clone()), false);
        }
    }

    fn begin_file(
        &mut self,
        ticket: Ticket,
        name: &str,
        entry: &Entry,
        to: Side,
        paths: &Sides<RelPath>,
        landing: Landing,
    ) -> Result<()> {
        self.note_copy(to, paths);
        self.stats.files_written[to] += 1;
        self.stats.entries_touched += 1;
        self.under_way.unanswered[to] += 1;
        self.hold(ticket);
        let (expect, mode, keep, needs_folders) = match landing {
            Landing::At(expect, mode) => (expect, mode, None, false),
            Landing::Over(expect, mode, keep) => (expect, mode, Some(keep), false),
            Landing::NewFolder => (Expect::Absent, None, None, true),
        };
        let put = Put {
            expect,
            destroyed: None,
            size: entry.size,
            mtime: entry.mtime,
            mode,
            inplace: self.run.inplace,
            is_hasty: false,
            from: 0,
            is_repeated: false,
            version: version(self.run.pools[to.other()].target().as_ref(), entry),
        };
        if self.executor.is_live() {
            self.note_departure(ticket, name, to, &paths[to], &put);
        }
        let job = Box::new(CopyJob {
            ticket,
            name: name.to_owned(),
            to,
            source: paths[to.other()].clone(),
            listed: expected(Some(entry)),
            target: paths[to].clone(),
            put,
            keep,
            needs_folders,
            may_lag: true,
            has_twin: self.has_twin(ticket, name),
        });
        self.twins.admit(job).map_or(Ok(()), |job| self.submit(Job::Copy(job)))
    }

    /// Notes in the journal that a copy is under way.
    fn note_departure(&mut self, ticket: Ticket, name: &str, to: Side, target: &RelPath, put: &Put) {
        // Its metadata lies in the folder of the ticket, also where the file lands below it.
        let dir = self.folders.get(&ticket).map(|folder| folder.paths.local.clone()).unwrap_or_default();
        self.journal.begun(self.run, &dir, name, to);
        self.journal.sets_off(self.run, to, target);
        if put.is_resumable()
            && let Ok(part) = Name::new(put.part_name(target.file_name()))
        {
            self.journal.part(self.run, to, &target.parent().unwrap_or_default().join(&part));
        }
    }

    /// Takes what became of a copy.
    pub(super) fn copied(
        &mut self,
        job: Box<CopyJob>,
        was_opened: bool,
        result: Result<Written>,
    ) -> Result<()> {
        let may_leave_something = result.as_ref().is_err_and(|error| error.retry() == Retry::NewSession);
        if !may_leave_something {
            self.journal.arrives(job.to, &job.target);
        }
        self.under_way.unanswered[job.to] = self.under_way.unanswered[job.to].saturating_sub(1);
        match result {
            Ok(written) => self.copy_arrived(&job, written)?,
            Err(error) => self.copy_failed(&job, was_opened, error)?,
        }
        self.release(Some(job.ticket))
    }

    fn copy_arrived(&mut self, job: &CopyJob, written: Written) -> Result<()> {
        let now = self.run.clock.now();
        self.told.judged.remove(job.shown());
        if !self.outcomes.made.is_empty() {
            self.outcomes.made.insert((job.to.other(), job.source.clone()), true);
        }
        self.copy_second(job)?;
        if let Some(Keep { to, is_trashed: true, .. }) = &job.keep {
            self.event(Event::Trashed(to))?;
        }
        let Some(folder) = self.folders.get_mut(&job.ticket) else { return Ok(()) };
        if let Visit::Remove(Removal { doomed, .. }) = folder.visit {
            self.removals.comes_back(doomed);
        }
        folder.unfinished.remove(&job.name);
        let shown = if job.to == Side::Local { written.shown } else { job.put.mtime };
        // A disk may keep a coarser time than it was given.
        let is_disk = !self.run.pools[job.to].target().caps().is_networked;
        let is_coarser = |at: &Stamp| job.to == Side::Remote && is_disk && Some(*at) != job.put.mtime;
        let dated = written.dated.or(written.shown.filter(is_coarser));
        let mtime = job.put.mtime.map(Stamp::as_secs_f64);
        let fact = Fact {
            mtime,
            size: Some(written.size),
            dated: dated.map(Stamp::as_secs_f64),
            exact: self.run.exact_time(shown),
        };
        folder.metas.local.record(&self.peer, &job.name, &fact, now);
        let meta = &mut folder.metas[job.to];
        // A target that cannot keep the time gets it remembered; an old memory is kept true.
        let needs_shadow = !written.mtime_kept || meta.shadow(&job.name).is_some();
        let shadow = mtime.filter(|_| needs_shadow).map(|mtime| Shadow {
            mtime,
            size: Some(written.size),
            written: written.dated.map_or(now, Stamp::as_secs_f64),
        });
        if let Some(shadow) = shadow {
            meta.set_shadow(&job.name, shadow);
        }
        let written = shadow.map(|shadow| shadow.written);
        let finished = Noted { name: job.name.clone(), to: job.to, fact, written, at: now };
        self.journal.finished(self.run, &folder.paths.local, &finished);
        Ok(())
    }

    fn copy_failed(&mut self, job: &CopyJob, was_opened: bool, error: Error) -> Result<()> {
        self.outcomes.failed[job.to].insert(job.put.size);
        if error.has_damaged() {
            self.journal.must_stay();
            if let Some(folder) = self.folders.get_mut(&job.ticket) {
                // What is there now is no version of the file that could win over the other side.
                folder.unfinished.remove(&job.name);
                folder.metas.local.forget(&self.peer, &job.name);
            }
        }
        let path = job.shown();
        // What a dead run has left of it is still to be seen to.
        self.journal.passes_over(path);
        self.stats.errors += 1;
        self.stats.copy_errors += 1;
        // After the first one that found no room, the others were not even tried.
        if !error.was_told() {
            let text = format!("Could not copy {path}: {}", error.reason());
            self.event(Event::Failure(&text))?;
            if matches!(error.reply(), Some((452 | 552, _))) {
                self.warn(&no_room(job))?;
            }
        }
        // A file that cannot even be opened is counted, as it always was; what fails later is an error of the run. So is what an
        // FTP server says when it is to send a file to the disk: it opens none before.
        let is_to_disk = !self.run.pools[job.to].target().caps().is_networked;
        let was_begun = was_opened || (is_to_disk && error.reply().is_some());
        let is_failure = was_begun || !self.run.ignore_copy_errors;
        if is_failure && !self.is_forgiven(path, &error)? {
            self.told.failure.get_or_insert(error.told());
        }
        Ok(())
    }

    /// A file that has given way to another one is a file of its own now: the other side gets it, too.
    fn copy_second(&mut self, job: &CopyJob) -> Result<()> {
        let Some(Keep { on, to: kept, entry: Some(entry), .. }) = &job.keep else { return Ok(()) };
        let mut paths = Sides::new(kept.clone(), kept.clone());
        paths[on.other()] = job.source.parent().unwrap_or_default().join(&entry.name);
        let to = on.other();
        self.action(Line::copy(to, Change::New), &paths.local, false)?;
        self.begin_file(job.ticket, entry.name.as_str(), entry, to, &paths, Landing::At(Expect::Absent, None))
    }
}

/// What is told where a side has no room left for a file.
fn no_room(job: &CopyJob) -> String {
    match job.put.size {
        None | Some(0) => format!("Nothing more is copied to the {} side: it has no room left.", job.to),
        Some(size) => format!(
            "No file of {size} bytes or more is copied to the {} side any more: it has no room for that.",
            job.to
        ),
    }
}

/// The paths of a pair on both sides; the side that does not have it uses the other's name, in its own bytes.
pub(super) fn paths_of(folder: &Sides<RelPath>, pair: &Pair, absent: Side) -> Sides<RelPath> {
    Sides::from_fn(|side| match pair.get(side) {
        Some(entry) => folder[side].join(&entry.name),
        None => {
            debug_assert_eq!(side, absent);
            folder[side].join(&pair.name.without_raw())
        }
    })
}

/// What the plan knows to be at a name.
pub(super) fn expected(entry: Option<&Entry>) -> Expect {
    entry.map_or(Expect::Absent, |entry| Expect::File(entry.size, entry.mtime_org))
}
