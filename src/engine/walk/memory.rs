//! What is remembered: a folder's metadata, once nothing in it is under way any more.

use super::*;
use crate::engine::job::Since;
use crate::model::Seen;
use crate::model::copies::{Copied, Held};
use crate::plan::classify::is_as_seen;
use std::sync::Arc;

/// What this run knows of what was, and what it has to write down.
#[derive(Default)]
pub(super) struct Memory {
    /// What every folder below the root held when it was last synchronised.
    pub(super) contents: Copies,
    /// When that was written (seconds since 1970-01-01 UTC), if by this version.
    pub(super) copied_at: Option<f64>,
    /// Something in a folder below the root is remembered differently than before.
    has_news: bool,
    /// Metadata that is being written, or waits for it.
    unwritten: HashMap<(Side, RelPath), Unwritten>,
}

/// Metadata of a folder that is complete, on its way to the disk.
struct Unwritten {
    ticket: Ticket,
    opposite: RelPath,
    text: Option<Arc<str>>,
    since: Since,
}

impl Walk<'_> {
    pub(super) fn hold(&mut self, ticket: Ticket) {
        if let Some(folder) = self.folders.get_mut(&ticket) {
            folder.open += 1;
        }
    }

    pub(super) fn release(&mut self, ticket: Option<Ticket>) -> Result<()> {
        let Some(ticket) = ticket else { return Ok(()) };
        if let Some(folder) = self.folders.get_mut(&ticket) {
            folder.open = folder.open.saturating_sub(1);
        }
        self.settle(ticket)
    }

    /// Writes the metadata of a folder in which nothing is under way any more.
    pub(super) fn settle(&mut self, ticket: Ticket) -> Result<()> {
        if !self.folders.get(&ticket).is_some_and(Folder::is_settled) {
            return Ok(());
        }
        let Some(mut folder) = self.folders.remove(&ticket) else {
            return Ok(());
        };
        if !self.executor.is_live() {
            return Ok(());
        }
        self.forget_gone(&folder);
        self.remember_what_stays(&mut folder);
        self.remember_contents(&folder);
        if ticket == ROOT {
            self.keep_copies(&mut folder);
        }
        for job in self.metadata_jobs(ticket, &mut folder) {
            if let Job::WriteMeta { side, dir, opposite, text, since, .. } = &job {
                let (opposite, since) = (opposite.clone(), since.clone());
                let unwritten = Unwritten { ticket, opposite, text: text.clone(), since };
                self.memory.unwritten.insert((*side, dir.clone()), unwritten);
                match text {
                    Some(text) => self.stats.meta_bytes_written += text.chars().count() as u64,
                    None => {
                        let target = self.run.pools[*side].target();
                        let kind = if target.caps().is_networked { "" } else { "FS:" };
                        let folder = if dir.is_root() { "." } else { dir.as_str() };
                        let place = format!("<{kind}{} + {folder}>", target.base_name());
                        self.note(0, &format!("Remove empty meta data file: {place}"))?;
                    }
                }
            }
            self.submit(job)?;
        }
        Ok(())
    }

    /// Puts the copy of what all folders held into the metadata of the root.
    fn keep_copies(&self, root: &mut Folder) {
        let meta = &mut root.metas.local;
        // Metadata that pyftpsync 3.1 or 4.1 has written is not written anew for the copies alone.
        let is_theirs = meta.was_read() && meta.copies(&self.peer).is_empty();
        if self.memory.has_news || meta.is_changed() || !is_theirs {
            meta.set_copies(&self.peer, &self.memory.contents);
        }
    }

    /// Takes what became of metadata that was written; `None` if it was that of a folder which is made now.
    pub(super) fn wrote_meta(
        &mut self,
        ticket: Ticket,
        place: (Side, RelPath),
        result: Result<()>,
    ) -> Result<Option<Result<()>>> {
        self.has_written(ticket, &place);
        self.forgot(ticket, result)
    }

    fn has_written(&mut self, ticket: Ticket, place: &(Side, RelPath)) {
        // A folder that was removed and made again may have two under way.
        if self.memory.unwritten.get(place).is_some_and(|unwritten| unwritten.ticket == ticket) {
            self.memory.unwritten.remove(place);
        }
    }

    /// The metadata of a folder that has to be written: never on a remote side that is only read, nor in a folder that goes.
    pub(super) fn metadata_jobs(&self, ticket: Ticket, folder: &mut Folder) -> Vec<Job> {
        if let Visit::Remove(Removal { doomed, .. }) = folder.visit
            && !self.removals.is_kept(doomed)
        {
            return Vec::new();
        }
        let meta = &mut folder.metas.local;
        if meta.is_damaged() && meta.is_changed() && self.policy.mode == Mode::Sync {
            // What takes the place of the damaged file still says that this is no first contact.
            meta.record_meeting(&self.peer, self.run.clock.now());
        }
        meta.set_unfinished(&self.peer, &folder.unfinished);
        if self.policy.follows {
            Side::BOTH.into_iter().for_each(|side| folder.metas[side].put_back());
        }
        // Behind a link the file is that of another folder. What this one holds is remembered in the root.
        let is_behind_link = self.ahead.is_behind_link(&folder.paths.local);
        let writes = |side: Side| match side {
            Side::Local => !is_behind_link,
            Side::Remote => self.policy.mode != Mode::Download,
        };
        Side::BOTH
            .into_iter()
            .filter(|side| writes(*side) && folder.metas[*side].is_changed())
            .filter_map(|side| {
                let text = self.metadata_text(&folder.metas[side]);
                // An empty document without a file behind it needs none.
                (text.is_some() || folder.metas[side].was_read()).then(|| Job::WriteMeta {
                    ticket,
                    side,
                    dir: folder.paths[side].clone(),
                    opposite: folder.paths[side.other()].clone(),
                    text,
                    since: self.since(side, folder.meta_file),
                })
            })
            .collect()
    }

    /// What metadata must not take back that is written now. A remote side remembers no peers.
    pub(super) fn since(&self, side: Side, file: Expect) -> Since {
        let file = if side == Side::Local { file } else { Expect::Anything };
        Since { file, peer: Arc::clone(&self.peer) }
    }

    /// A source that may only be read can be copied all the same: files are then told apart by size and time alone.
    pub(super) fn cannot_remember(&mut self, error: &Error) -> Result<()> {
        if std::mem::replace(&mut self.told.of_sealed_source, true) {
            return Ok(());
        }
        let text = format!("Nothing is remembered on the side that is only read: {}", error.reason());
        self.note(3, &text)
    }

    pub(super) fn metadata_text(&self, meta: &DirMeta) -> Option<Arc<str>> {
        let clock = self.run.clock;
        (!meta.is_empty()).then(|| {
            meta.print(
                self.run.version,
                clock.now(),
                clock.zone(),
                &|seconds| clock.readable(seconds),
                self.run.pretty_meta,
            )
            .into()
        })
    }

    /// The metadata of folders whose work was cut short, or that were complete and could not be remembered any more.
    pub(super) fn unsaved(&mut self) -> Vec<Job> {
        // What the threads finish in their last moments counts as well.
        let tells_to_the_end = self.executor.stop();
        let next = || if tells_to_the_end { self.done.recv().ok() } else { self.done.try_recv().ok() };
        let told: Vec<Done> = std::iter::from_fn(next).collect();
        for done in told {
            match done {
                Done::Copied { job, bytes, was_opened, seconds, result: Ok(written) } => {
                    self.stats.bytes_written[job.to] += bytes;
                    self.stats.add_write_time(job.to, seconds);
                    drop(self.copied(job, was_opened, Ok(written)));
                }
                Done::MetaWritten { ticket, side, dir, result: Ok(()) } => {
                    self.has_written(ticket, &(side, dir));
                }
                Done::Removed { side, results } => {
                    let gone = results.into_iter().filter(|(_, result)| result.is_ok());
                    gone.for_each(|(path, _)| self.was_removed(side, &path));
                }
                Done::TreeRemoved { side, root, result: Ok(true) } => {
                    let gone = self.removals.take_tree(side, &root);
                    gone.iter().for_each(|path| self.was_removed(side, path));
                }
                _ => {}
            }
        }
        // What did not come to its end was not done, also if its turn had not even come.
        for side in Side::BOTH {
            let undone = std::mem::take(&mut self.under_way.unanswered[side]);
            self.stats.files_written[side] -= undone;
            self.stats.entries_touched -= undone;
        }
        let mut folders = std::mem::take(&mut self.folders);
        for folder in folders.values() {
            self.forget_gone(folder);
            self.remember_contents(folder);
        }
        // A root that was not looked into yet has its metadata still on the disk.
        if let Some(root) =
            folders.get_mut(&ROOT).filter(|root| root.is_planned || root.metas.local.was_read())
        {
            self.keep_copies(root);
        }
        let complete = std::mem::take(&mut self.memory.unwritten).into_iter();
        let complete = complete.map(|((side, dir), Unwritten { ticket, opposite, text, since })| {
            Job::WriteMeta { ticket, side, dir, opposite, text, since }
        });
        let cut_short = folders.iter_mut().flat_map(|(ticket, folder)| self.metadata_jobs(*ticket, folder));
        let mut jobs: Vec<Job> = complete.chain(cut_short).collect();
        // The root comes last: its copy confirms what folders hold, and must not be newer than they are.
        jobs.sort_by_cached_key(|job| match job {
            Job::WriteMeta { side, dir, .. } => (dir.is_root(), Some((dir.clone(), *side))),
            _ => (true, None),
        });
        jobs
    }

    /// What was deleted is no longer among what the folder held. A folder that stays although the local side has lost it is
    /// remembered only there.
    fn forget_gone(&mut self, folder: &Folder) {
        self.memory.contents.forget(folder.paths.local.as_str(), &folder.gone);
    }

    /// Strikes from the memory of a folder what is not its own. The file goes where its folder goes: to another name, into a
    /// backup and back again; and behind a link it is that of another folder. The copy in the root tells what this path held.
    pub(super) fn disown(&self, dir: &RelPath, meta: &mut DirMeta) {
        if dir.is_root() || self.memory.contents.is_empty() || meta.is_damaged() {
            return;
        }
        let held = self.memory.contents.get(dir.as_str());
        if self.ahead.is_behind_link(dir) {
            // A run that was killed may have begun to make it anew.
            let held = held.filter(|_| !self.journal.has_left());
            meta.replace_memory(&self.peer, held.as_ref(), self.run.clock.now());
            return;
        }
        let (Some(seen), Some(written)) = (meta.archive(&self.peer).seen, self.memory.copied_at) else {
            return;
        };
        let held = held.unwrap_or_default();
        for (name, seen) in seen {
            // A run that was killed has not come to the root.
            let is_known_there = seen.is_own && seen.synced.is_some_and(|at| at <= written);
            let is_held = held.get(&name).is_some_and(|Copied { mtime, size, .. }| {
                *size == seen.size && mtime.unwrap_or_default() == seen.mtime.unwrap_or_default()
            });
            if is_known_there && !is_held {
                meta.forget(&self.peer, &name);
            }
        }
    }

    /// Whether pyftpsync 3.1 or 4.1 may have remembered a folder, which do not tell what is in it.
    pub(super) fn may_be_of_others(&self, seen: &Seen) -> bool {
        let is_told_apart = self.peer.id != self.peer.legacy;
        !(seen.is_own && (is_told_apart || self.journal.has_left()))
    }

    fn was_removed(&mut self, side: Side, path: &RelPath) {
        if let Some(trace) = self.removals.take_trace(side, path) {
            self.forget_removed(side, path, &trace);
        }
    }

    /// In a folder that was to go and is on both sides again, what could not go is to go still, and is no news to the next run.
    fn remember_what_stays(&self, folder: &mut Folder) {
        if !matches!(folder.visit, Visit::Remove(Removal { doomed, .. }) if self.removals.is_back(doomed)) {
            return;
        }
        let held = self.memory.contents.get(folder.paths.local.as_str()).unwrap_or_default();
        let known = folder.metas.local.archive(&self.peer).seen.unwrap_or_default();
        for (name, Copied { mtime, size, exact }) in
            held.iter().filter(|(name, _)| !known.contains_key(name.as_str()))
        {
            let fact = Fact { mtime: *mtime, size: *size, exact: *exact, dated: None };
            folder.metas.local.record(&self.peer, name, &fact, self.run.clock.now());
        }
    }

    /// Keeps a copy of what a folder remembers, for the day when the folder is lost together with its memory.
    fn remember_contents(&mut self, folder: &Folder) {
        let path = folder.paths.local.as_str();
        let goes =
            matches!(folder.visit, Visit::Remove(Removal { doomed, .. }) if !self.removals.is_kept(doomed));
        let is_made = matches!(folder.visit, Visit::Copy { .. });
        let is_news = is_made || folder.metas.local.is_changed();
        // The copy may be missing, as after a run that did not come to the root, or may have been lost.
        let is_missing = folder.visit == Visit::Compare && !self.memory.contents.contains(path);
        if folder.paths.local.is_root() || goes || !(is_news || is_missing) {
            return;
        }
        // Elsewhere the folder's own memory tells it.
        let is_behind_link = self.ahead.is_behind_link(&folder.paths.local);
        let copied = |Seen { mtime, size, exact, dated, .. }: Seen| Copied {
            mtime,
            size,
            exact: exact.filter(|_| is_behind_link && dated.is_none()),
        };
        let names = match folder.metas.local.archive(&self.peer).seen {
            Some(seen) if is_news || seen.values().all(|seen| seen.is_own) => {
                seen.into_iter().map(|(name, seen)| (name, copied(seen))).collect()
            }
            // Also of a folder that held nothing it is known that it held nothing: what is in it later is new.
            None if is_made || (is_news && self.memory.contents.contains(path)) => Held::default(),
            Some(_) | None => return,
        };
        self.memory.has_news |= is_news;
        self.memory.contents.insert(path, &names);
    }

    /// Has the folders remember what user code has said. One that is not under way is the business of that code.
    pub(super) fn heed_notices(&mut self) {
        for Notice { side, dir, name, said } in self.hooks.notices() {
            let is_meant = |folder: &&mut Folder| {
                folder.paths[side] == dir && matches!(folder.visit, Visit::Compare | Visit::Copy { .. })
            };
            let Some(folder) = self.folders.values_mut().find(is_meant) else { continue };
            // A copy that this run makes is remembered once it is made: user code hears of it before.
            let is_ahead = |side: Side| {
                let path = Name::new(name.as_str()).map(|name| folder.paths[side].join(&name)).ok();
                path.is_some_and(|path| self.outcomes.made.get(&(side, path)) == Some(&false))
            };
            match said {
                Said::Agreed(..) if Side::BOTH.into_iter().any(is_ahead) => {}
                Said::Agreed(mtime, size) => {
                    folder.unfinished.remove(&name);
                    let fact = Fact { mtime, size, ..Fact::default() };
                    folder.metas.local.record(&self.peer, &name, &fact, self.run.clock.now());
                }
                Said::Dated(shadow) => folder.metas[side].set_shadow(&name, shadow),
                Said::Forgotten if side == Side::Local => folder.metas.local.forget(&self.peer, &name),
                Said::Forgotten => folder.metas[side].forget_shadow(&name),
            }
        }
    }

    /// What a folder that is gone from the local side held, if it is known.
    pub(super) fn remembered_of(&self, folder: &RelPath) -> Option<HashMap<String, Seen>> {
        let names = self.memory.contents.get(folder.as_str())?;
        let seen = |Copied { mtime, size, exact }| Seen {
            mtime,
            size,
            dated: None,
            exact,
            synced: None,
            is_own: true,
        };
        Some(names.into_iter().map(|(name, copied)| (name, seen(copied))).collect())
    }

    /// Forgets what a folder held, and all below it.
    pub(super) fn forget_tree(&mut self, folder: &RelPath) {
        self.memory.contents.forget_tree(folder.as_str());
    }

    /// Takes in what dead runs have told in the root, and sets the journals of others apart.
    pub(super) fn read_journals(&mut self, view: &mut View) -> Result<()> {
        if self.policy.follows {
            // A run without memory neither asks a journal nor writes one.
            view.leftovers.retain(|entry| !is_journal(entry.name.as_str()));
            return Ok(());
        }
        let names: Vec<String> = view.leftovers.iter().map(|entry| entry.name.to_string()).collect();
        let names: Vec<String> = names.into_iter().filter(|name| is_journal(name)).collect();
        let left = self.journal.read(self.run, names);
        view.leftovers.retain(|entry| !left.contains(entry.name.as_str()));
        if self.journal.has_left() {
            let count = self.journal.count();
            self.note(4, &format!("an interrupted run goes on: {count} of its copies were finished"))?;
            self.end_uploads()?;
        }
        Ok(())
    }

    /// Ends what dead runs have begun to upload to a side that this mode changes: it would stay there unseen, and cost room.
    fn end_uploads(&mut self) -> Result<()> {
        if !self.executor.is_live() {
            return Ok(());
        }
        let source = self.policy.mode.source();
        for side in Side::BOTH.into_iter().filter(|side| source != Some(*side)) {
            for (upload, path) in self.journal.uploads_left(side) {
                let run = self.run;
                let Ok(mut loan) = run.pools[side].take() else { return Ok(()) };
                // Where that fails, the journal stays for the next run.
                let ended = loan.session().end_upload(&path, &upload);
                loan.keep();
                if ended.is_ok() {
                    self.journal.upload_ended(side, &upload);
                    self.note(
                        4,
                        &format!("{side}: removed what an interrupted run left behind: a part of {path}"),
                    )?;
                }
            }
        }
        Ok(())
    }

    /// Adds to the metadata of a folder what a run has finished there before it was killed. Returns the names that this run
    /// had not come to when the two sides first met.
    pub(super) fn recall(&mut self, dir: &RelPath, views: &mut Sides<View>) -> Vec<String> {
        self.recall_removed(dir, views);
        let mut news = self.journal.finished_in(dir, views.local.meta_time);
        if news.is_empty() || views.local.meta.is_damaged() {
            return Vec::new();
        }
        let is_first_contact = views.local.meta.archive(&self.peer).seen.is_none();
        let now = self.run.clock.now();
        // Of several copies of a file only the last one may be there.
        let last: HashMap<String, usize> =
            news.iter().enumerate().map(|(index, noted)| (noted.name.clone(), index)).collect();
        let there = Sides::new(&views.local, &views.remote).map(|view| {
            view.entries.iter().map(|entry| (entry.name.as_str(), entry)).collect::<HashMap<_, _>>()
        });
        let mut index = 0..;
        news.retain(|noted| {
            index.next() == last.get(&noted.name).copied()
                && has_survived(noted, now, there[noted.to].get(noted.name.as_str()).copied())
        });
        for Noted { name, to, fact, written, at } in &news {
            views.local.meta.record(&self.peer, name, fact, *at);
            if let (Some(written), Some(mtime)) = (*written, fact.mtime) {
                views[*to].meta.set_shadow(name, Shadow { mtime, size: fact.size, written });
            }
        }
        if !is_first_contact {
            return Vec::new();
        }
        let entries = [&views.local.entries, &views.remote.entries].into_iter().flatten();
        let dealt_with: HashSet<&str> = news.iter().map(|finished| finished.name.as_str()).collect();
        entries
            .map(|entry| entry.name.to_string())
            .filter(|name| !dealt_with.contains(name.as_str()))
            .collect()
    }

    /// Strikes from the memory of a folder what a run has deleted there before it was killed or stopped: whatever has the name
    /// now was put back by somebody.
    pub(super) fn recall_removed(&mut self, dir: &RelPath, views: &mut Sides<View>) {
        if !self.journal.has_left() {
            return;
        }
        let since = views.local.meta_time.or(self.memory.copied_at);
        let mut gone: HashSet<String> = self.journal.removed_from(dir, since).into_iter().collect();
        let fold = |name: &str| self.run.policy.case.fold(name);
        let names = Sides::new(&views.local, &views.remote).map(|view| {
            let entries = view.entries.iter().map(|entry| &entry.name);
            entries.chain(&view.present_but_skipped).map(|name| fold(name.as_str())).collect::<HashSet<_>>()
        });
        let seen = views.local.meta.archive(&self.peer).seen.unwrap_or_default();
        let versions = Sides::from_fn(|side| {
            let (target, entries) = (self.run.pools[side].target().as_ref(), &views[side].entries);
            entries
                .iter()
                .map(|entry| (entry.name.as_str(), version(target, entry)))
                .collect::<HashMap<_, _>>()
        });
        for Going { name, from, at, version } in self.journal.going_from(dir) {
            // What was remembered since knows better.
            let is_older = seen.get(name).and_then(|seen| seen.synced).is_none_or(|synced| synced <= *at);
            // Another file than the one that was to go.
            let is_another = versions[*from]
                .get(name.as_str())
                .is_some_and(|now| *version != 0 && *now != 0 && now != version);
            if is_older && (is_another || !names[*from].contains(&fold(name))) {
                gone.insert(name.clone());
            }
        }
        gone.iter().for_each(|name| views.local.meta.forget(&self.peer, name));
        self.forget_inside(dir, &gone);
    }

    /// Forgets what a folder held under these names, and below them.
    pub(super) fn forget_inside(&mut self, dir: &RelPath, names: &HashSet<String>) {
        self.memory.contents.forget(dir.as_str(), names);
        for name in names.iter().filter_map(|name| Name::new(name.as_str()).ok()) {
            self.forget_tree(&dir.join(&name));
        }
    }
}

/// Whether a copy that a dead run has noted is still there, or was and somebody has worked on it since. A power cut, here or on the
/// server, may have spared the note and not the file: then there is what the copy was to replace, or nothing. That need not be what
/// both sides agreed on before: it may be an edit that lost a conflict, or what an earlier run had copied.
fn has_survived(noted: &Noted, now: f64, there: Option<&Entry>) -> bool {
    let Some(entry) = there else { return false };
    let Fact { mtime, size, dated, exact } = noted.fact;
    let dated = dated.or(noted.written);
    let new = Seen { mtime, size, dated, exact, synced: None, is_own: true };
    // Only on our own side the clock is that of the note.
    let is_between = |at: Stamp| at.as_secs_f64() > noted.at && at.as_secs_f64() <= now;
    let is_later = noted.to == Side::Local && entry.mtime.is_some_and(is_between);
    is_as_seen(entry, noted.to, &new) || is_later
}
