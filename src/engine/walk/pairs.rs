//! One pair: judged, and what follows from it is set in motion.

use super::copies::paths_of;
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
                self.memory.contents.forget_tree(folder.paths.local.join(&name).as_str());
            }
        }
    }

    pub(super) fn judge_pair(&mut self, plan: &mut Plan, pair: Pair) -> Result<()> {
        let path = plan.dir.join(&pair.name);
        if self.hooks.hears_lines() {
            self.told.subjects.insert(path.clone(), pair.clone());
        }
        let judged = self.judge(plan, pair, &path);
        self.told.subjects.remove(&path);
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
                let (undated, is_source) = (step.undated(side), self.policy.mode.source() == Some(side));
                if undated.is_some() {
                    step.weigh(&self.policy, true);
                    // A source stays as it is.
                    self.set_time(plan, &step, path, undated.filter(|_| !is_source))?;
                } else if is_source {
                    return self.problem(path, stump_error(side).at(path));
                } else {
                    let text = format!(
                        "{path}: a run that was interrupted has written only the beginning of it to the {side} side"
                    );
                    self.note(3, &text)?;
                    step.complete(side);
                }
            }
            Some((Question::AreSame, Ok(is_same))) => {
                step.weigh(&self.policy, is_same);
                if is_same {
                    self.set_time(plan, &step, path, step.wrong_time(self.policy.mode))?;
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
                self.action_of(Effect::Skip(Skip::Copy { to }), path, is_folder)?;
                self.failed(path, Error::new(Kind::Refused, format!("Not copied to the {to} side: {path}.")))
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
                    && !std::mem::replace(&mut self.told.of_others_memory, true)
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
        is_doubtful && self.memory.contents.leads_to(paths_of(&plan.paths, &step.pair, side).local.as_str())
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
        let shown = told.or_else(|| shown_by_disk(step.pair.get(Side::Remote), entry.mtime));
        let fact = Fact { mtime, size: entry.size, exact, dated: shown.map(Stamp::as_secs_f64) };
        folder.metas.local.record(&self.peer, step.pair.name.as_str(), &fact, self.run.clock.now());
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

/// The time of a file of a disk, if it is not this one.
fn shown_by_disk(entry: Option<&Entry>, at: Option<Stamp>) -> Option<Stamp> {
    entry
        .filter(|entry| entry.changed.is_some())
        .and_then(|entry| entry.mtime)
        .filter(|shown| Some(*shown) != at)
}
