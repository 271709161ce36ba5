//! One pair: judged, and what follows from it is set in motion.

use super::removal::Reason;
use super::*;
use crate::plan::contents::Question;

impl Walk<'_> {
    /// Counts the entries of both sides, asks the hook about each, and returns those that are to be looked at.
    ///
    /// What the hook says of a local entry holds for the name. What it says of a remote one counts only where the local side
    /// has no such name: so it always was, and hooks that are about one side rely on it.
    pub(super) fn listed(&mut self, dir: &RelPath, entries: Sides<Vec<Entry>>) -> Result<Sides<Vec<Entry>>> {
        let case = self.policy.case;
        let local = self.asked(Side::Local, dir, entries.local)?;
        let remote = self.asked(Side::Remote, dir, entries.remote)?;
        if local.iter().chain(&remote).all(|(_, is_wanted)| *is_wanted) {
            return Ok(
                Sides::new(local, remote).map(|asked| asked.into_iter().map(|(entry, _)| entry).collect())
            );
        }
        let names: HashMap<String, bool> =
            local.iter().map(|(entry, is_wanted)| (case.fold(entry.name.as_str()), *is_wanted)).collect();
        let by_name = |(entry, is_wanted): (Entry, bool)| {
            let is_wanted = names.get(&case.fold(entry.name.as_str())).copied().unwrap_or(is_wanted);
            is_wanted.then_some(entry)
        };
        Ok(Sides::new(local, remote).map(|asked| asked.into_iter().filter_map(by_name).collect()))
    }

    /// The entries of a side, each with whether it is to be looked at.
    fn asked(&mut self, side: Side, dir: &RelPath, entries: Vec<Entry>) -> Result<Vec<(Entry, bool)>> {
        let mut asked = Vec::with_capacity(entries.len());
        for mut entry in entries {
            match entry.kind {
                EntryKind::File => self.stats.files[side] += 1,
                EntryKind::Folder => self.stats.dirs[side] += 1,
            }
            self.event(Event::Tick)?;
            let is_wanted = self.is_wanted(side, dir, &mut entry)?;
            if !is_wanted {
                self.journal.passes_over(&dir.join(&entry.name));
            }
            asked.push((entry, is_wanted));
        }
        Ok(asked)
    }

    /// Asks the hook about an entry. Where nobody is interested, it is counted as seen.
    pub(super) fn is_wanted(&mut self, side: Side, dir: &RelPath, entry: &mut Entry) -> Result<bool> {
        match self.hooks.before_sync(side, dir, entry)? {
            Some(verdict) => Ok(verdict == Verdict::Proceed),
            None => {
                self.stats.entries_seen += 1;
                Ok(true)
            }
        }
    }

    /// Names that both sides lost are no longer remembered: should one come back, it is new, not a deletion to repeat.
    pub(super) fn forget_vanished<'n>(
        &mut self,
        ticket: Ticket,
        remembered: impl Iterator<Item = &'n str>,
        present: &HashSet<Name>,
    ) {
        let Some(folder) = self.folders.get_mut(&ticket) else {
            return;
        };
        let present: HashSet<&str> = present.iter().map(Name::as_str).collect();
        for name in remembered.filter(|name| !present.contains(name)) {
            folder.metas.local.forget(&self.peer, name);
            // It may have been a folder.
            if let Ok(name) = Name::new(name) {
                self.contents.forget_tree(folder.paths.local.join(&name).as_str());
            }
        }
    }

    pub(super) fn judge_pair(&mut self, plan: &mut Plan, pair: Pair) -> Result<()> {
        let path = plan.dir.join(&pair.name);
        if self.hooks.hears_lines() {
            self.subjects.insert(path.clone(), pair.clone());
        }
        let judged = self.judge(plan, pair, &path);
        self.subjects.remove(&path);
        judged
    }

    fn judge(&mut self, plan: &mut Plan, mut pair: Pair, path: &RelPath) -> Result<()> {
        self.event(Event::Tick)?;
        if let Some(folder) = self.folders.get_mut(&plan.ticket) {
            folder.unfinished.remove(pair.name.as_str());
        }
        if let Past::Listed(seen) = pair.past
            && seen.size.is_some()
        {
            self.tally.known += 1;
        }
        if pair.both().is_none() && !pair.is_folder() && self.journal.was_cut_off(&plan.dir, &pair) {
            // The name was free for a moment when the run was killed. That is no deletion.
            pair.past = Past::Unlisted;
        }
        self.heed_rules();
        let entry = pair.any();
        let mut is_match = self.filter.matches(entry.name.as_str(), entry.kind);
        if pair.is_clash() {
            return self.judge_clash(plan, pair, path, is_match);
        }
        let (mut step, mut is_gone) = (Step::new(pair), false);
        if let Some(source) = self.policy.mode.source().filter(|_| self.policy.follows) {
            step.follow(source);
        }
        match plan.comparisons.remove(step.pair.name.as_str()) {
            // Nobody knows whether they are the same: both stay as they are.
            Some((_, Err(error))) => return self.problem(path, error),
            Some((Question::IsStump(_), Ok(false))) => {}
            Some((Question::IsStump(side), Ok(true))) => {
                if self.policy.mode.source() == Some(side) {
                    return self.problem(path, stump_error(side).at(path));
                }
                let text = format!(
                    "{path}: a run that was interrupted has written only the beginning of it to the {side} side"
                );
                self.note(3, &text)?;
                step.complete(side);
            }
            Some((Question::AreSame, Ok(is_same))) => {
                step.weigh(&self.policy, is_same);
                if is_same {
                    self.set_time(plan, &step, path)?;
                }
            }
            None => {}
        }
        let verdict = self.hooks.reclassify(&plan.dir, &mut step, &self.policy)?;
        if self.heed_rules() {
            let entry = step.pair.any();
            is_match = self.filter.matches(entry.name.as_str(), entry.kind);
        }
        is_match = self.hooks.matches(&plan.dir, &step)?.unwrap_or(is_match);
        if !is_match {
            self.journal.passes_over(path);
        }
        // What does not take part is told, whatever else was said about it.
        if verdict == Verdict::Proceed || !is_match {
            let deed = if is_match { Deed::Operation } else { Deed::Mismatch };
            is_gone = self.offer(plan, &mut step, path, deed)? == Verdict::Gone;
        }
        if step.operation == plan::Operation::Conflict {
            self.stats.conflict_files += 1;
        }
        self.heed_notices();
        if is_match && !is_gone {
            self.descend(plan, &step);
        }
        Ok(())
    }

    /// A file on one side, a folder on the other. Hooks know no such pair, so none is asked.
    fn judge_clash(&mut self, plan: &mut Plan, pair: Pair, path: &RelPath, is_match: bool) -> Result<()> {
        if is_match {
            let error = Error::new(Kind::Clash, "a file on one side, a folder on the other");
            return self
                .problem(path, error.during("synchronise").at(path).advise("rename or remove one of them"));
        }
        let mut step = Step::new(pair);
        step.reclassify(&self.policy);
        self.carry_out(plan, &mut step, path, Deed::Mismatch)?;
        if step.operation == plan::Operation::Conflict {
            self.stats.conflict_files += 1;
        }
        Ok(())
    }

    /// Takes the rules that user code has changed; whether it has.
    pub(super) fn heed_rules(&mut self) -> bool {
        let Some(Rules { policy, filter }) = self.hooks.changed_rules() else { return false };
        (self.policy, self.filter) = (policy, filter);
        // User code knows of the answers that were for all conflicts, and had its say since.
        self.resolve_all = None;
        true
    }

    /// Lets a hook deal with the pair, or does what is to be done about it.
    fn offer(&mut self, plan: &mut Plan, step: &mut Step, path: &RelPath, deed: Deed) -> Result<Verdict> {
        let (hooks, dir) = (self.hooks, plan.dir.clone());
        let verdict = hooks.operate(&dir, step, deed, &mut |step, deed| {
            let later = plan.children.len();
            self.carry_out(plan, step, path, deed)?;
            let begun = plan.children.split_off(later);
            self.finish_at_once(begun)
        })?;
        match verdict {
            Verdict::Proceed => self.carry_out(plan, step, path, deed),
            Verdict::Leave | Verdict::Gone => Ok(verdict),
        }
    }

    fn carry_out(&mut self, plan: &mut Plan, step: &mut Step, path: &RelPath, deed: Deed) -> Result<Verdict> {
        self.heed_rules();
        let effect = match deed {
            Deed::Mismatch => self.policy.effect_on_mismatch(&step.pair),
            Deed::Operation => self.policy.effect(&step.pair, step.operation),
            Deed::CopyTo(to) => return self.copy_entry(plan, step, to).map(|()| Verdict::Proceed),
            Deed::RemoveFrom(on) => {
                return self.remove(plan, step, on, Reason::Wished).map(|()| Verdict::Proceed);
            }
        };
        if let Some(on) = self.wished_deletion(step, deed, effect) {
            self.action_of(Effect::Delete { on }, path, step.pair.is_folder())?;
            return self.remove(plan, step, on, Reason::Wished).map(|()| Verdict::Proceed);
        }
        if effect != Effect::Compare {
            return self.apply(plan, step, path, effect).map(|()| Verdict::Proceed);
        }
        (step.changes, step.operation) = compare(&step.pair, step.changes);
        if step.pair.is_folder() {
            return self.action(Line::VISIT, path, true).map(|()| Verdict::Proceed);
        }
        // It has another operation now, and another hook may want to deal with it.
        self.offer(plan, step, path, Deed::Operation)
    }

    /// The side on which user code wants a deletion, if there is anything to delete. Both ways a wish is as good as a proof; in
    /// one-way modes the options decide, as they always did.
    fn wished_deletion(&self, step: &Step, deed: Deed, effect: Effect) -> Option<Side> {
        let on = match effect {
            Effect::Delete { on } => on,
            Effect::Skip(Skip::Deletion { on }) if self.policy.mode == Mode::Sync => on,
            _ => return None,
        };
        (deed == Deed::Operation && step.is_wished && step.pair.get(on).is_some()).then_some(on)
    }

    pub(super) fn apply(
        &mut self,
        plan: &mut Plan,
        step: &Step,
        path: &RelPath,
        effect: Effect,
    ) -> Result<()> {
        let is_folder = step.pair.is_folder();
        match effect {
            Effect::Copy { to } if is_folder && self.may_be_hidden(plan, step, to) => {
                let text = format!(
                    "Left alone: {path}: it was on both sides, and may be missing only from the {to} listing."
                );
                self.warn(&text)?;
                self.action_of(Effect::Skip(Skip::Copy { to }), path, is_folder)
            }
            Effect::Copy { to } => {
                let line = Line::copy(to, step.changes[to.other()]);
                self.copy(plan, step, path, to, line)
            }
            Effect::Delete { on } | Effect::DeleteUnmatched { on } if !plan.complete[on.other()] => {
                // The other side may well have it: its listing is not to be trusted, or nobody knows what we remembered.
                if plan.is_damaged
                    && let Some(folder) = self.folders.get_mut(&plan.ticket)
                {
                    folder.metas.local.discard_damaged();
                }
                self.action_of(Effect::Skip(Skip::Deletion { on }), path, is_folder)
            }
            Effect::Delete { on } | Effect::DeleteUnmatched { on } => {
                self.action_of(effect, path, is_folder)?;
                let why = match effect {
                    Effect::DeleteUnmatched { .. } => Reason::Decided,
                    _ => Reason::Lost,
                };
                self.remove(plan, step, on, why)
            }
            Effect::Conflict => self.settle_conflict(plan, step, path),
            Effect::Skip(skip) => {
                self.action_of(effect, path, is_folder)?;
                let is_remembered = matches!(step.pair.past, Past::Listed(_));
                if matches!(skip, Skip::Deletion { .. })
                    && self.policy.mode == Mode::Sync
                    && is_remembered
                    && !std::mem::replace(&mut self.told_of_others_memory, true)
                {
                    self.note(
                        3,
                        "Not deleted in this run: it was pyftpsync 4.1 or older that synchronised this last, which does not say \
                         with which user and port. The next run can tell.",
                    )?;
                }
                Ok(())
            }
            Effect::Equal | Effect::Compare => {
                self.remember_alike(plan, step);
                self.action(Line::EQUAL, path, is_folder)
            }
        }
    }

    /// Whether a folder, or one below it, was synchronised before, and a side may only not have listed it. Then it is not put
    /// back: what is in it would have to be forgotten first, and an edit on that side would come out as a conflict.
    fn may_be_hidden(&self, plan: &Plan, step: &Step, side: Side) -> bool {
        let is_doubtful = !plan.complete[side] && !plan.is_damaged;
        is_doubtful && self.contents.leads_to(paths_of(&plan.paths, &step.pair, side).local.as_str())
    }

    /// A folder that both sides have is visited.
    fn descend(&mut self, plan: &mut Plan, step: &Step) {
        if let Some(entries) = step.pair.both()
            && entries.local.is_folder()
        {
            let paths = Sides {
                local: plan.paths.local.join(&entries.local.name),
                remote: plan.paths.remote.join(&entries.remote.name),
            };
            plan.children.push(Folder::new(paths, Visit::Compare, Some(plan.ticket)));
            let (name, now) = (step.pair.name.as_str(), self.run.clock.now());
            if self.journal.was_begun(&plan.dir, name)
                && let Some(folder) = self.folders.get_mut(&plan.ticket)
            {
                // A run that was killed has made it, and could not say so any more.
                folder.metas.local.record(&self.peer, name, &Fact::default(), now);
            }
        }
    }

    /// Two files that both changed and came out alike: from now on that is what both agreed on. So are files that are alike
    /// where the memory was damaged, or that a run was copying when it was killed.
    pub(super) fn remember_alike(&mut self, plan: &Plan, step: &Step) {
        let told = self.told_time(plan.ticket, &step.pair);
        let (Some(entry), Some(folder)) = (step.pair.get(Side::Local), self.folders.get_mut(&plan.ticket))
        else {
            return;
        };
        let is_news = told.is_some()
            || step.changes == Sides::new(Change::Modified, Change::Modified)
            || (plan.is_damaged && self.policy.mode == Mode::Sync && step.pair.both().is_some())
            || (step.pair.both().is_some() && self.journal.was_begun(&plan.dir, step.pair.name.as_str()));
        if !is_news || step.pair.is_folder() {
            return;
        }
        let mtime = entry.mtime.map(Stamp::as_secs_f64);
        let exact = self.run.exact_time(entry.mtime_org);
        let fact = Fact { mtime, size: entry.size, exact, dated: told.map(Stamp::as_secs_f64) };
        folder.metas.local.record(&self.peer, step.pair.name.as_str(), &fact, self.run.clock.now());
    }

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

    fn copy_entry(&mut self, plan: &mut Plan, step: &Step, to: Side) -> Result<()> {
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
                let expect = match self.policy.overwrites(to) {
                    // Whatever is at a name that is not listed may be its twin, which nobody has asked to overwrite.
                    true if !has_twin || step.pair.get(to).is_some() => Expect::Anything,
                    _ => expected(step.pair.get(to)),
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
        })?;
        if verdict == Verdict::Proceed {
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
        })?;
        match verdict {
            Verdict::Proceed => self.begin_file(ticket, name, entry, to, paths, landing),
            Verdict::Leave | Verdict::Gone => Ok(()),
        }
    }

    /// Notes that a copy is ahead, where user code may have wishes that depend on it.
    fn note_copy(&mut self, to: Side, paths: &Sides<RelPath>) {
        if self.hooks.is_any() {
            self.copies_made.insert((to.other(), paths[to.other()].clone()), false);
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
        self.unanswered[to] += 1;
        self.hold(ticket);
        let needs_folders = matches!(landing, Landing::NewFolder);
        let (expect, mode, keep) = match landing {
            Landing::At(expect, mode) => (expect, mode, None),
            Landing::Over(expect, mode, keep) => (expect, mode, Some(keep)),
            Landing::NewFolder => (Expect::Absent, None, None),
        };
        let put = Put {
            expect,
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
            // Its metadata lies in the folder of the ticket, also where the file lands below it.
            let dir = self.folders.get(&ticket).map(|folder| folder.paths.local.clone()).unwrap_or_default();
            self.journal.begun(self.run, &dir, name, to);
            self.journal.sets_off(self.run, to, &paths[to]);
            if put.is_resumable() {
                let part = put.part_name(paths[to].file_name());
                let above = paths[to].parent().unwrap_or_default();
                if let Ok(part) = Name::new(part) {
                    self.journal.part(self.run, to, &above.join(&part));
                }
            }
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

    pub(super) fn copied(
        &mut self,
        job: Box<CopyJob>,
        was_opened: bool,
        result: Result<crate::target::Written>,
    ) -> Result<()> {
        let may_leave_something =
            result.as_ref().is_err_and(|error| error.retry() == crate::error::Retry::NewSession);
        if !may_leave_something {
            self.journal.arrives(job.to, &job.target);
        }
        self.unanswered[job.to] = self.unanswered[job.to].saturating_sub(1);
        match result {
            Ok(written) => {
                let now = self.run.clock.now();
                self.judged.remove(job.shown());
                if !self.copies_made.is_empty() {
                    self.copies_made.insert((job.to.other(), job.source.clone()), true);
                }
                self.copy_second(&job)?;
                if let Some(Keep { to, is_trashed: true, .. }) = &job.keep {
                    self.event(Event::Trashed(to))?;
                }
                if let Some(folder) = self.folders.get_mut(&job.ticket) {
                    if let Visit::Remove { doomed, .. } = folder.visit {
                        self.removals.comes_back(doomed);
                    }
                    folder.unfinished.remove(&job.name);
                    let mtime = job.put.mtime.map(Stamp::as_secs_f64);
                    let shown = if job.to == Side::Local { written.shown } else { job.put.mtime };
                    let fact = Fact {
                        mtime,
                        size: Some(written.size),
                        dated: written.dated.map(Stamp::as_secs_f64),
                        exact: self.run.exact_time(shown),
                    };
                    folder.metas.local.record(&self.peer, &job.name, &fact, now);
                    let dir = folder.paths.local.clone();
                    let meta = &mut folder.metas[job.to];
                    let mut written_there = None;
                    // A target that cannot keep the time gets it remembered; an old memory is kept true.
                    if let Some(mtime) =
                        mtime.filter(|_| !written.mtime_kept || meta.shadow(&job.name).is_some())
                    {
                        let written_at = written.dated.map_or(now, Stamp::as_secs_f64);
                        written_there = Some(written_at);
                        meta.set_shadow(
                            &job.name,
                            Shadow { mtime, size: Some(written.size), written: written_at },
                        );
                    }
                    let name = job.name.clone();
                    let finished = Noted { name, to: job.to, fact, written: written_there, at: now };
                    self.journal.finished(self.run, &dir, &finished);
                }
            }
            Err(error) => {
                self.failed_copies[job.to].insert(job.put.size);
                if error.has_damaged() {
                    self.journal.must_stay();
                }
                if error.has_damaged()
                    && let Some(folder) = self.folders.get_mut(&job.ticket)
                {
                    // What is there now is no version of the file that could win over the other side.
                    folder.unfinished.remove(&job.name);
                    folder.metas.local.forget(&self.peer, &job.name);
                }
                let path = &job.shown().clone();
                let text = format!("Could not copy {path}: {}", error.reason());
                self.stats.errors += 1;
                self.stats.copy_errors += 1;
                // After the first one that found no room, the others were not even tried.
                if !error.was_told() {
                    self.event(Event::Failure(&text))?;
                    if matches!(error.reply(), Some((452 | 552, _))) {
                        self.warn(&match job.put.size {
                            None | Some(0) => {
                                format!("Nothing more is copied to the {} side: it has no room left.", job.to)
                            }
                            Some(size) => format!(
                                "No file of {size} bytes or more is copied to the {} side any more: it has no room for that.",
                                job.to
                            ),
                        })?;
                    }
                }
                // A file that cannot even be opened is counted, as it always was; what fails later is an error of the run. So
                // is what an FTP server says when it is to send a file to the disk: it opens none before.
                let is_to_disk = !self.run.pools[job.to].target().caps().is_networked;
                let was_begun = was_opened || (is_to_disk && error.reply().is_some());
                let is_failure = was_begun || !self.run.ignore_copy_errors;
                if is_failure && !self.is_forgiven(path, &error)? {
                    self.failure.get_or_insert(error.told());
                }
            }
        }
        self.release(Some(job.ticket))
    }
}

impl Walk<'_> {
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

/// Why a file of this side is no source: nobody is to get the beginning in the place of the whole.
fn stump_error(side: Side) -> Error {
    let advice = match side {
        Side::Local => "the server has all of it: run `download` or `sync`",
        Side::Remote => "the local side has all of it: run `upload` or `sync`",
    };
    let detail =
        format!("a run that was interrupted has written only the beginning of it to the {side} side");
    Error::new(Kind::Size, detail).during("copy").advise(advice)
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
