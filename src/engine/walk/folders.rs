//! One folder: both sides of it are put together, or one side gets it.

use super::*;

impl Walk<'_> {
    /// Lets a hook deal with a folder that both sides have, or compares it; returns the folders to visit next.
    pub(super) fn offer_folder(
        &mut self,
        ticket: Ticket,
        dir: &RelPath,
        views: Sides<View>,
    ) -> Result<Vec<Folder>> {
        let (hooks, mut views) = (self.hooks, Some(views));
        let verdict = hooks.folder(dir, &mut || {
            let Some(views) = views.take() else { return Ok(()) };
            let children = self.compare_folder(ticket, views)?;
            self.finish_at_once(children)
        })?;
        match views {
            Some(views) if verdict == Verdict::Proceed => self.compare_folder(ticket, views),
            Some(_) => {
                // It was dealt with without us, and its metadata with it.
                drop(hooks.notices());
                Ok(Vec::new())
            }
            None => {
                self.heed_notices();
                Ok(Vec::new())
            }
        }
    }

    /// Both sides have the folder.
    fn compare_folder(&mut self, ticket: Ticket, mut views: Sides<View>) -> Result<Vec<Folder>> {
        let Some(folder) = self.folders.get(&ticket) else { return Ok(Vec::new()) };
        let (dir, paths) = (folder.shown().clone(), folder.paths.clone());
        let (archive, is_damaged) = self.read_archive(&dir, &mut views)?;
        let complete = Sides::from_fn(|side| views[side].complete && !is_damaged);
        self.clear_leftovers(&paths, &views)?;
        if dir.is_root() {
            self.measure_root(&views, &archive);
        }
        // Taken before the hooks have their say: an entry that a hook leaves alone has not vanished.
        let present = present_names(&views);
        let first_contacts = first_contacts(&views, &archive);
        let Sides { local, remote } = views;
        let hidden = Sides::new(local.present_but_skipped, remote.present_but_skipped);
        let local_folders: Vec<Entry> =
            local.entries.iter().filter(|entry| entry.is_folder()).cloned().collect();
        if let Some(folder) = self.folders.get_mut(&ticket) {
            folder.metas = Sides::new(local.meta, remote.meta);
            folder.meta_file = local.meta_file;
            folder.unfinished = archive.unfinished.iter().cloned().collect();
        }
        let mut entries = self.listed(&dir, Sides::new(local.entries, remote.entries))?;
        for side in Side::BOTH {
            self.undo_shift(ticket, side, &mut entries, &archive)?;
        }
        let pairs = match pair_up(entries, &archive, self.policy.case) {
            Ok(pairs) => pairs,
            Err(ambiguous) => {
                self.problem(&dir, Error::new(Kind::Clash, ambiguous.to_string()))?;
                return Ok(Vec::new());
            }
        };
        if complete.local && complete.remote {
            let remembered = archive.seen.iter().flatten().map(|(name, _)| name.as_str());
            self.forget_vanished(ticket, remembered, &present);
        }
        if let Some(folder) = self.folders.get_mut(&ticket) {
            // Until a pair is judged it is not dealt with: the run may end in the middle of this folder, and a hook may leave
            // a name alone.
            let pairs = pairs.iter().filter(|pair| pair.past == Past::NoArchive && pair.both().is_some());
            folder.unfinished = pairs.map(|pair| pair.name.to_string()).chain(first_contacts).collect();
        }
        let names = self.note_twins(ticket, present.iter());
        let comparisons = self.compare_contents(&dir, &paths, &pairs)?;
        let mut plan =
            Plan { ticket, dir, paths, complete, is_damaged, names, comparisons, children: Vec::new() };
        self.judge_pairs(&mut plan, pairs, &hidden)?;
        self.look_once_more(&mut plan, local_folders)?;
        if let Some(folder) = self.folders.get_mut(&ticket) {
            folder.metas.local.adopt(&self.peer);
        }
        Ok(plan.children)
    }

    /// What the folder remembers of the last synchronisation, with what dead runs have noted since; and whether it could not
    /// be read.
    fn read_archive(&mut self, dir: &RelPath, views: &mut Sides<View>) -> Result<(Archive, bool)> {
        if dir.is_root() {
            self.read_journals(&mut views.local)?;
        }
        self.disown(dir, &mut views.local.meta);
        let unfinished = self.recall(dir, views);
        let is_damaged = views.local.meta.is_damaged();
        let archive = match views.local.meta.archive(&self.peer) {
            // What was remembered is unknown: no name is met for the first time, so that no time decides between two files.
            _ if is_damaged && self.policy.mode == Mode::Sync => Archive::forgotten(),
            mut archive => {
                archive.unfinished.extend(unfinished);
                archive
            }
        };
        Ok((archive, is_damaged))
    }

    /// Takes from the root what the whole run has to know.
    fn measure_root(&mut self, root: &Sides<View>, archive: &Archive) {
        let is_ours = root.local.meta.writer() == Some(self.run.version);
        self.memory.copied_at = root.local.meta_time.filter(|_| is_ours);
        // What the filter leaves out says nothing about the rest: `lost+found` is on each new disk.
        let takes_part = |entry: &&Entry| self.filter.matches(entry.name.as_str(), entry.kind);
        self.tally.root_known = archive.seen.as_ref().map_or(0, |seen| seen.len() as u64);
        self.tally.root_present =
            Sides::from_fn(|side| root[side].entries.iter().filter(takes_part).count() as u64);
    }

    /// Judges the pairs of a folder. A name that a side has and does not show is neither missing nor to be replaced: a link or
    /// a device that is not synchronised.
    fn judge_pairs(&mut self, plan: &mut Plan, pairs: Vec<Pair>, hidden: &Sides<Vec<Name>>) -> Result<()> {
        let case = self.policy.case;
        let hidden: Sides<HashSet<String>> = Sides::from_fn(|side| {
            hidden[side].iter().map(|name| case.joined(name.as_str()).into_owned()).collect()
        });
        for pair in pairs {
            let is_hidden = |side: Side| {
                pair.get(side).is_none() && hidden[side].contains(&*case.joined(pair.name.as_str()))
            };
            let Some(side) = Side::BOTH.into_iter().find(|side| is_hidden(*side)) else {
                self.judge_pair(plan, pair)?;
                continue;
            };
            if self.policy.mode.source() != Some(side) && pair.get(side.other()).is_some() {
                let path = dir_join(&plan.dir, pair.name.as_str());
                self.warn(&format!(
                    "The {} {} is not copied: what has this name on the {side} side is left out, as links are (-v tells \
                     why).",
                    side.other(),
                    Quoted(&path)
                ))?;
            }
        }
        Ok(())
    }

    /// Every local folder is looked at once more before it is descended into.
    fn look_once_more(&mut self, plan: &mut Plan, local_folders: Vec<Entry>) -> Result<()> {
        for mut entry in local_folders {
            let path = plan.paths.local.join(&entry.name);
            if !self.is_wanted(Side::Local, &plan.dir, &mut entry)? {
                plan.children.retain(|child| child.visit != Visit::Compare || child.paths.local != path);
            }
        }
        Ok(())
    }

    /// One side gets the folder; it has been made.
    pub(super) fn copy_folder(
        &mut self,
        ticket: Ticket,
        to: Side,
        name: &str,
        views: Sides<View>,
    ) -> Result<Vec<Folder>> {
        let now = self.run.clock.now();
        let Some(folder) = self.folders.get(&ticket) else {
            return Ok(Vec::new());
        };
        let (paths, parent) = (folder.paths.clone(), folder.parent);
        let made = Finished { deed: "mkdir", path: &paths[to], side: to, bytes: 0, error: None };
        self.event(Event::Finished(made))?;
        let Some(folder) = self.folders.get_mut(&ticket) else {
            return Ok(Vec::new());
        };
        let from = to.other();
        let source = match from {
            Side::Local => views.local,
            Side::Remote => views.remote,
        };
        folder.metas[from] = source.meta;
        folder.meta_file = if from == Side::Local { source.meta_file } else { Expect::Absent };
        if let Some(parent) = parent.and_then(|ticket| self.folders.get_mut(&ticket)) {
            parent.metas.local.record(&self.peer, name, &Fact::default(), now);
            let above = parent.paths.local.clone();
            let made = Noted { name: name.to_owned(), to, fact: Fact::default(), written: None, at: now };
            self.journal.finished(self.run, &above, &made);
        }
        if self.policy.case != plan::CaseMode::Strict
            && let Err(twins) = plan::pair::refuse_twins(&source.entries, from)
        {
            self.problem(&paths.local, Error::new(Kind::Clash, twins.to_string()))?;
            self.release(parent)?;
            return Ok(Vec::new());
        }
        self.note_twins(ticket, source.entries.iter().map(|entry| &entry.name));
        let mut children = Vec::new();
        for entry in source.entries {
            if !self.filter.matches(entry.name.as_str(), entry.kind) {
                continue;
            }
            self.stats.entries_seen += 1;
            self.event(Event::Tick)?;
            let inner = Sides::from_fn(|side| {
                paths[side].join(&if side == from { entry.name.clone() } else { entry.name.without_raw() })
            });
            match entry.kind {
                EntryKind::File => self.copy_file(
                    ticket,
                    entry.name.as_str(),
                    &entry,
                    to,
                    &inner,
                    Landing::At(Expect::Absent, None),
                )?,
                EntryKind::Folder => {
                    let name = entry.name.as_str();
                    self.copy_subfolder(ticket, name, &entry, to, &inner, &mut children)?;
                }
            }
        }
        self.heed_notices();
        self.release(parent)?;
        Ok(children)
    }
}

/// Every name that is there, on either side, whether it takes part or not.
fn present_names(views: &Sides<View>) -> HashSet<Name> {
    let of = |view: &'_ View| {
        let entries = view.entries.iter().map(|entry| &entry.name);
        entries.chain(&view.present_but_skipped).cloned().collect::<Vec<Name>>()
    };
    of(&views.local).into_iter().chain(of(&views.remote)).collect()
}

/// Names that both sides have, and that were never dealt with.
fn first_contacts(views: &Sides<View>, archive: &Archive) -> Vec<String> {
    let there: HashSet<&str> = views.remote.entries.iter().map(|entry| entry.name.as_str()).collect();
    let is_first = |name: &&str| there.contains(name) && Past::of(archive, name) == Past::NoArchive;
    let names = views.local.entries.iter().map(|entry| entry.name.as_str());
    names.filter(is_first).map(str::to_owned).collect()
}
