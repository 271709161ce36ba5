//! The whole story of a run, on the calling thread.
//!
//! Folders are visited depth first: both sides are listed, put together, judged; what is to be copied is handed to the
//! crew, what is to be deleted is collected. Listings run ahead of the visits, copies run behind them. A folder is
//! remembered once nothing in it is under way any more, so that the metadata never claims what has not happened.

use super::executor::Executor;
use super::folder::{Folder, Visit};
use super::hooks::{Hooks, Verdict};
use super::job::{CopyJob, Done, Job, Make, Ticket, View};
use super::observer::{Event, Line, Observer};
use super::removal::{DoomedDir, Removals, Trace};
use super::stats::Stats;
use super::{Run, crew};
use crate::error::{Error, Kind, Result};
use crate::model::meta::{FILE_VERSION, MetaError, PeerKey, Shadow};
use crate::model::stamp::EPS_TIME;
use crate::model::{DirMeta, Entry, EntryKind, Name, RelPath, Side, Sides};
use crate::plan::guard::{Tally, judge};
use crate::plan::{
    self, Change, Effect, Mode, Pair, Past, Policy, Resolution, Skip, Step, Strategy, compare, pair_up,
    resolve,
};
use crate::target::Put;
use std::collections::HashMap;
use std::sync::mpsc::Receiver;
use std::time::Duration;

/// Listings asked for before their turn, for each thread.
const LISTINGS_AHEAD: usize = 4;
/// Copies that may wait before no further folder is visited.
const COPIES_AHEAD: usize = 2_000;
/// Files deleted in one burst.
const BURST: usize = 100;
/// Folders within folders, at most: a server may show a tree without an end.
const MAX_DEPTH: usize = 256;
/// How often the observer is asked whether to go on.
const POLL: Duration = Duration::from_millis(100);

/// A run that was cut short.
pub struct Broken {
    /// Why.
    pub error: Error,
    /// The metadata of folders in which something had been done.
    pub unsaved: Vec<Job>,
}

/// Walks both trees. Returns the first problem with a single entry, if there was one.
pub fn walk(
    run: &Run<'_>,
    executor: &mut dyn Executor,
    done: &Receiver<Done>,
    hooks: &mut dyn Hooks,
    observer: &mut dyn Observer,
    stats: &mut Stats,
) -> Result<Option<Error>, Broken> {
    let remote = run.pools.remote.target();
    let peer = PeerKey { id: remote.id().to_owned(), legacy: remote.legacy_id().to_owned() };
    let mut walk = Walk {
        run,
        peer,
        executor,
        done,
        hooks,
        observer,
        stats,
        folders: HashMap::new(),
        next_ticket: 0,
        agenda: Vec::new(),
        removals: Removals::default(),
        tally: Tally::default(),
        resolve_all: run.resolve_all,
        under_way: 0,
        copies: 0,
        failure: None,
    };
    match walk.tree() {
        Ok(()) => Ok(walk.failure),
        Err(error) => Err(Broken { error, unsaved: walk.unsaved() }),
    }
}

struct Walk<'a> {
    run: &'a Run<'a>,
    peer: PeerKey,
    executor: &'a mut dyn Executor,
    done: &'a Receiver<Done>,
    hooks: &'a mut dyn Hooks,
    observer: &'a mut dyn Observer,
    stats: &'a mut Stats,
    folders: HashMap<Ticket, Folder>,
    next_ticket: usize,
    /// Folders still to visit; the next one is the last.
    agenda: Vec<Ticket>,
    removals: Removals,
    tally: Tally,
    resolve_all: Option<Strategy>,
    /// Jobs that have not been answered.
    under_way: usize,
    /// Copies among them.
    copies: usize,
    failure: Option<Error>,
}

/// What one folder still has to do once its pairs are decided.
struct Plan {
    ticket: Ticket,
    dir: RelPath,
    paths: Sides<RelPath>,
    /// Whether the names of each side are certainly all.
    complete: Sides<bool>,
    /// Folders inside that are to be visited.
    children: Vec<Folder>,
}

impl Walk<'_> {
    fn tree(&mut self) -> Result<()> {
        self.schedule(vec![Folder::new(Sides::default(), Visit::Compare, None)]);
        while let Some(&ticket) = self.agenda.last() {
            self.list_ahead()?;
            let is_ready = self.folders.get(&ticket).is_some_and(Folder::is_ready);
            if is_ready && self.copies < COPIES_AHEAD {
                self.agenda.pop();
                self.visit(ticket)?;
            } else {
                self.wait()?;
            }
        }
        self.wait_for_all()?;
        self.delete()
    }

    // ---- the agenda ----

    /// Adds folders so that the first of them is visited next.
    fn schedule(&mut self, folders: Vec<Folder>) {
        for folder in folders.into_iter().rev() {
            let ticket = Ticket(self.next_ticket);
            self.next_ticket += 1;
            self.folders.insert(ticket, folder);
            self.agenda.push(ticket);
        }
    }

    /// Asks for the listings of the folders that come next.
    fn list_ahead(&mut self) -> Result<()> {
        let ahead = LISTINGS_AHEAD * self.run.threads.max(1);
        let next: Vec<Ticket> = self.agenda.iter().rev().take(ahead).copied().collect();
        for ticket in next {
            let Some(folder) = self.folders.get_mut(&ticket).filter(|folder| !folder.is_submitted) else {
                continue;
            };
            folder.is_submitted = true;
            let mut jobs = Vec::with_capacity(2);
            for side in Side::BOTH {
                let make = match folder.visit {
                    Visit::Copy { to, .. } if to == side => Make::Folder,
                    _ if folder.visit.lists(side) => Make::Nothing,
                    _ => continue,
                };
                jobs.push(Job::List { ticket, side, dir: folder.paths[side].clone(), make });
            }
            for job in jobs {
                self.submit(job)?;
            }
        }
        Ok(())
    }

    fn submit(&mut self, job: Job) -> Result<()> {
        self.under_way += 1;
        self.copies += usize::from(matches!(job, Job::Copy(_)));
        match self.executor.submit(job) {
            Some(done) => self.take(done),
            None => Ok(()),
        }
    }

    fn wait(&mut self) -> Result<()> {
        self.observer.poll()?;
        match crew::receive(self.done, POLL)? {
            Some(done) => self.take(done),
            None => Ok(()),
        }
    }

    fn wait_for_all(&mut self) -> Result<()> {
        while self.under_way > 0 {
            self.wait()?;
        }
        Ok(())
    }

    fn take(&mut self, done: Done) -> Result<()> {
        self.under_way -= 1;
        if let Some(outage) = done.outage() {
            return Err(copy_of(outage));
        }
        match done {
            Done::Listed { ticket, side, result } => {
                if let Some(folder) = self.folders.get_mut(&ticket) {
                    folder.views[side] = Some(result);
                }
                Ok(())
            }
            Done::Copied { job, bytes, was_opened, seconds, result } => {
                self.copies -= 1;
                self.stats.bytes_written[job.to] += bytes;
                if self.executor.is_live() {
                    self.stats.add_write_time(job.to, seconds);
                }
                self.copied(job, was_opened, result)
            }
            Done::Removed { side, results } => {
                results.into_iter().try_for_each(|(path, result)| self.removed(side, &path, result))
            }
            Done::MetaWritten { result: Ok(()), .. } => Ok(()),
            Done::MetaWritten { dir, result: Err(error), .. } => {
                self.problem(&dir, error.during("write the metadata of"))
            }
        }
    }

    // ---- one folder ----

    fn visit(&mut self, ticket: Ticket) -> Result<()> {
        let Some(folder) = self.folders.get_mut(&ticket) else {
            return Ok(());
        };
        let views = Sides::from_fn(|side| folder.views[side].take());
        let (visit, dir) = (folder.visit.clone(), folder.shown().clone());
        let views = match self.usable(&dir, &visit, views)? {
            Ok(views) => views,
            Err(error) => return self.give_up(ticket, &visit, &dir, error),
        };
        let children = match visit {
            Visit::Compare => self.compare_folder(ticket, views)?,
            Visit::Copy { to, name } => self.copy_folder(ticket, to, &name, views)?,
            Visit::Remove { on, doomed, synced } => self.remove_folder(ticket, on, doomed, synced, views)?,
        };
        self.schedule(children);
        if let Some(folder) = self.folders.get_mut(&ticket) {
            folder.is_planned = true;
        }
        self.settle(ticket)
    }

    /// Both views, or why the folder cannot be dealt with. Metadata of another layout ends the run.
    fn usable(
        &mut self,
        dir: &RelPath,
        visit: &Visit,
        views: Sides<Option<Result<Box<View>>>>,
    ) -> Result<Result<Sides<View>, Error>> {
        let mut usable = Sides::<View>::default();
        for (side, view) in [(Side::Local, views.local), (Side::Remote, views.remote)] {
            usable[side] = match view {
                Some(Ok(view)) => *view,
                Some(Err(error)) => return Ok(Err(error)),
                None => View { complete: true, ..View::default() },
            };
            let view = &mut usable[side];
            self.stats.meta_bytes_read += view.meta_chars;
            self.report_metadata(dir, side, view)?;
            if dir.depth() >= MAX_DEPTH {
                let error =
                    Error::new(Kind::Refused, format!("more than {MAX_DEPTH} folders within folders"));
                return Ok(Err(error.during("visit").at(dir)));
            }
            for note in &view.notes {
                let text = format!("{side}: left out {:?}: {}", dir_join(dir, &note.what), note.why);
                self.note(4, &text)?;
            }
            if !view.complete && visit.lists(side) {
                let shown = if dir.is_root() { "the root" } else { dir.as_str() };
                self.warn(&format!(
                    "The {side} listing of {shown} is incomplete: nothing is deleted there."
                ))?;
            }
        }
        Ok(Ok(usable))
    }

    fn report_metadata(&mut self, dir: &RelPath, side: Side, view: &View) -> Result<()> {
        let target = self.run.pools[side].target().base_name().to_owned();
        match &view.meta_problem {
            None => Ok(()),
            Some(MetaError::Version(found)) if self.run.migrate => self.note(
                0,
                &format!("Migrating meta data version from {found} to {FILE_VERSION}: {target}/{dir}"),
            ),
            Some(MetaError::Version(found)) => Err(Error::new(
                Kind::Metadata,
                format!("Invalid meta data version: {found} (expected {FILE_VERSION}) in {target}/{dir}"),
            )
            .advise("use --migrate to discard the old data")),
            Some(MetaError::Invalid(why)) => {
                let text = format!("Could not read meta info {target}/{dir}: {why}; it is treated as empty.");
                self.event(Event::Failure(&text))
            }
        }
    }

    /// A folder that could not be listed or made: the rest goes on, and nothing is concluded from its absence.
    fn give_up(&mut self, ticket: Ticket, visit: &Visit, dir: &RelPath, error: Error) -> Result<()> {
        if dir.is_root() {
            return Err(error);
        }
        let parent = self.folders.remove(&ticket).and_then(|folder| folder.parent);
        match visit {
            Visit::Compare => {}
            Visit::Copy { .. } => self.release(parent)?,
            Visit::Remove { doomed, .. } => self.removals.keep(*doomed),
        }
        self.problem(dir, error)
    }

    /// Both sides have the folder.
    fn compare_folder(&mut self, ticket: Ticket, views: Sides<View>) -> Result<Vec<Folder>> {
        let Some(folder) = self.folders.get_mut(&ticket) else {
            return Ok(Vec::new());
        };
        let (dir, paths) = (folder.shown().clone(), folder.paths.clone());
        let archive = views.local.meta.archive(&self.peer);
        let complete = Sides::new(views.local.complete, views.remote.complete);
        let hidden = Sides::new(&views.local, &views.remote).map(|view| view.present_but_skipped.clone());
        folder.metas = Sides::new(views.local.meta, views.remote.meta);
        let entries = Sides {
            local: self.listed(Side::Local, &dir, views.local.entries)?,
            remote: self.listed(Side::Remote, &dir, views.remote.entries)?,
        };
        if dir.is_root() {
            self.tally.root_known = archive.as_ref().map_or(0, |archive| archive.len() as u64);
            self.tally.root_present = entries.as_ref().map(|entries| entries.len() as u64);
        }
        let local_folders: Vec<Entry> =
            entries.local.iter().filter(|entry| entry.is_folder()).cloned().collect();
        let pairs = match pair_up(entries, &archive, self.run.policy.case) {
            Ok(pairs) => pairs,
            Err(ambiguous) => {
                self.problem(&dir, Error::new(Kind::Clash, ambiguous.to_string()))?;
                return Ok(Vec::new());
            }
        };
        if complete.local && complete.remote {
            self.forget_vanished(
                ticket,
                archive.iter().flatten().map(|(name, _)| name.as_str()),
                &pairs,
                &hidden,
            );
        }
        let mut plan = Plan { ticket, dir, paths, complete, children: Vec::new() };
        for pair in pairs {
            let is_hidden = |side: Side| pair.get(side).is_none() && hidden[side].contains(&pair.name);
            if is_hidden(Side::Local) || is_hidden(Side::Remote) {
                // It is there, as a link or a device that is not synchronised: neither missing nor to be replaced.
                continue;
            }
            self.judge_pair(&mut plan, pair)?;
        }
        // Every local folder is looked at once more before it is descended into.
        for entry in &local_folders {
            self.stats.entries_seen += 1;
            self.hooks.before_sync(Side::Local, &plan.dir, entry)?;
        }
        if let Some(folder) = self.folders.get_mut(&ticket) {
            folder.metas.local.adopt(&self.peer);
        }
        Ok(plan.children)
    }

    /// Counts the entries of a side and asks the hook about each.
    fn listed(&mut self, side: Side, dir: &RelPath, entries: Vec<Entry>) -> Result<Vec<Entry>> {
        let mut kept = Vec::with_capacity(entries.len());
        for entry in entries {
            match entry.kind {
                EntryKind::File => self.stats.files[side] += 1,
                EntryKind::Folder => self.stats.dirs[side] += 1,
            }
            self.stats.entries_seen += 1;
            self.event(Event::Tick)?;
            if self.hooks.before_sync(side, dir, &entry)? == Verdict::Proceed {
                kept.push(entry);
            }
        }
        Ok(kept)
    }

    /// Names that both sides lost are no longer remembered: should one come back, it is new, not a deletion to repeat.
    fn forget_vanished<'n>(
        &mut self,
        ticket: Ticket,
        remembered: impl Iterator<Item = &'n str>,
        pairs: &[Pair],
        hidden: &Sides<Vec<Name>>,
    ) {
        let present: std::collections::HashSet<&str> = pairs
            .iter()
            .map(|pair| pair.name.as_str())
            .chain(hidden.local.iter().chain(&hidden.remote).map(Name::as_str))
            .collect();
        let Some(folder) = self.folders.get_mut(&ticket) else {
            return;
        };
        for name in remembered.filter(|name| !present.contains(name)) {
            folder.metas.local.forget(&self.peer, name);
        }
    }

    fn judge_pair(&mut self, plan: &mut Plan, pair: Pair) -> Result<()> {
        let path = plan.dir.join(&pair.name);
        self.event(Event::Tick)?;
        if let Past::Listed(seen) = pair.past
            && seen.size.is_some()
        {
            self.tally.known += 1;
        }
        if pair.is_clash() {
            let error = Error::new(Kind::Clash, "a file on one side, a folder on the other");
            return self.problem(
                &path,
                error.during("synchronise").at(&path).advise("rename or remove one of them"),
            );
        }
        let mut step = Step::new(pair);
        step.reclassify(&self.run.policy);
        if self.hooks.reclassify(&plan.dir, &mut step)? == Verdict::Leave {
            return Ok(());
        }
        let entry = step.pair.any();
        let is_match = self.run.filter.matches(entry.name.as_str(), entry.kind);
        if self.hooks.operate(&plan.dir, &mut step, is_match)? == Verdict::Proceed {
            self.carry_out(plan, &mut step, &path, is_match)?;
        }
        if step.operation == plan::Operation::Conflict {
            self.stats.conflict_files += 1;
        }
        Ok(())
    }

    // ---- one pair ----

    fn carry_out(&mut self, plan: &mut Plan, step: &mut Step, path: &RelPath, is_match: bool) -> Result<()> {
        if !is_match {
            let effect = self.run.policy.effect_on_mismatch(&step.pair);
            return self.apply(plan, step, path, effect);
        }
        let mut effect = self.run.policy.effect(&step.pair, step.operation);
        if effect == Effect::Compare {
            let is_first_visit = step.pair.is_folder();
            (step.changes, step.operation) = compare(&step.pair, step.changes);
            if is_first_visit {
                self.action(Line::VISIT, path, true)?;
                return self.descend(plan, step);
            }
            effect = self.run.policy.effect(&step.pair, step.operation);
        }
        self.apply(plan, step, path, effect)
    }

    fn apply(&mut self, plan: &mut Plan, step: &Step, path: &RelPath, effect: Effect) -> Result<()> {
        let is_folder = step.pair.is_folder();
        match effect {
            Effect::Copy { to } => {
                let line = Line::copy(to, step.changes[to.other()]);
                self.copy(plan, step, path, to, line)
            }
            Effect::Delete { on } | Effect::DeleteUnmatched { on } if !plan.complete[on.other()] => {
                // The other side may well have it: its listing is not to be trusted.
                self.action_of(Effect::Skip(Skip::Deletion { on }), path, is_folder)
            }
            Effect::Delete { on } | Effect::DeleteUnmatched { on } => {
                self.action_of(effect, path, is_folder)?;
                self.remove(plan, step, on, matches!(effect, Effect::DeleteUnmatched { .. }))
            }
            Effect::Conflict => self.settle_conflict(plan, step, path),
            Effect::Skip(_) => self.action_of(effect, path, is_folder),
            Effect::Equal | Effect::Compare => {
                self.action(Line::EQUAL, path, is_folder)?;
                self.remember_alike(plan, step);
                self.descend(plan, step)
            }
        }
    }

    /// A folder that both sides have is visited.
    fn descend(&mut self, plan: &mut Plan, step: &Step) -> Result<()> {
        if let Some(entries) = step.pair.both()
            && entries.local.is_folder()
        {
            let paths = Sides {
                local: plan.paths.local.join(&entries.local.name),
                remote: plan.paths.remote.join(&entries.remote.name),
            };
            plan.children.push(Folder::new(paths, Visit::Compare, Some(plan.ticket)));
        }
        Ok(())
    }

    /// Two files that both changed and came out alike: from now on that is what both agreed on.
    fn remember_alike(&mut self, plan: &Plan, step: &Step) {
        if step.changes != Sides::new(Change::Modified, Change::Modified) || step.pair.is_folder() {
            return;
        }
        let (Some(entry), Some(folder)) = (step.pair.get(Side::Local), self.folders.get_mut(&plan.ticket))
        else {
            return;
        };
        let mtime = entry.mtime.map(crate::model::Stamp::as_secs_f64);
        folder.metas.local.record(
            &self.peer,
            step.pair.name.as_str(),
            mtime,
            entry.size,
            self.run.clock.now(),
        );
    }

    fn copy(&mut self, plan: &mut Plan, step: &Step, path: &RelPath, to: Side, line: Line) -> Result<()> {
        let Some(entry) = step.pair.get(to.other()) else {
            return Ok(());
        };
        self.action(line, path, entry.is_folder())?;
        let paths = paths_of(&plan.paths, &step.pair, to);
        match entry.kind {
            EntryKind::File => self.copy_file(plan.ticket, step.pair.name.as_str(), entry, to, &paths, false),
            EntryKind::Folder => {
                self.stats.dirs_created += 1;
                self.stats.entries_touched += 1;
                if self.executor.is_live() {
                    let visit = Visit::Copy { to, name: step.pair.name.to_string() };
                    plan.children.push(Folder::new(paths, visit, Some(plan.ticket)));
                    self.hold(plan.ticket);
                }
                Ok(())
            }
        }
    }

    fn copy_file(
        &mut self,
        ticket: Ticket,
        name: &str,
        entry: &Entry,
        to: Side,
        paths: &Sides<RelPath>,
        needs_folders: bool,
    ) -> Result<()> {
        self.stats.files_written[to] += 1;
        self.stats.entries_touched += 1;
        self.hold(ticket);
        let put = Put { size: entry.size, mtime: entry.mtime, inplace: self.run.inplace };
        self.submit(Job::Copy(CopyJob {
            ticket,
            name: name.to_owned(),
            to,
            source: paths[to.other()].clone(),
            target: paths[to].clone(),
            put,
            needs_folders,
        }))
    }

    fn copied(
        &mut self,
        job: CopyJob,
        was_opened: bool,
        result: Result<crate::target::Written>,
    ) -> Result<()> {
        match result {
            Ok(written) => {
                let now = self.run.clock.now();
                if let Some(folder) = self.folders.get_mut(&job.ticket) {
                    let mtime = job.put.mtime.map(crate::model::Stamp::as_secs_f64);
                    folder.metas.local.record(&self.peer, &job.name, mtime, Some(written.size), now);
                    let meta = &mut folder.metas[job.to];
                    // A target that cannot keep the time gets it remembered; an old memory is kept true.
                    if let Some(mtime) =
                        mtime.filter(|_| !written.mtime_kept || meta.shadow(&job.name).is_some())
                    {
                        meta.set_shadow(&job.name, Shadow { mtime, size: Some(written.size), written: now });
                    }
                }
            }
            Err(error) => {
                let path = if job.to == Side::Remote { &job.source } else { &job.target };
                let text = format!("Could not copy {path}: {error}");
                self.stats.errors += 1;
                self.stats.copy_errors += 1;
                self.event(Event::Failure(&text))?;
                if was_opened || error.kind() == Kind::Hook {
                    self.failure.get_or_insert(error);
                }
            }
        }
        self.release(Some(job.ticket))
    }

    // ---- conflicts ----

    fn settle_conflict(&mut self, plan: &mut Plan, step: &Step, path: &RelPath) -> Result<()> {
        match self.decide(&plan.dir, step)? {
            Resolution::Copy { to } => {
                let line = Line::conflict_copy(to, step.pair.both().is_some());
                self.copy(plan, step, path, to, line)
            }
            Resolution::Delete { on } => {
                self.action(Line::conflict_delete(on), path, step.pair.is_folder())?;
                self.remove(plan, step, on, true)
            }
            Resolution::Skip | Resolution::SameTime | Resolution::Ask => {
                self.stats.conflict_files_skipped += 1;
                self.action(Line::SKIP_CONFLICT, path, step.pair.is_folder())
            }
        }
    }

    /// How a conflict is settled, by the strategy or by the user.
    fn decide(&mut self, dir: &RelPath, step: &Step) -> Result<Resolution> {
        let Some(strategy) = self.resolve_all.or(self.run.policy.strategy) else {
            let error = Error::new(Kind::Usage, "this mode cannot resolve conflicts that way");
            return Err(error.during("resolve the conflict of").at(dir.join(&step.pair.name)));
        };
        self.event(Event::Conflict { dir, step, is_asked: strategy == Strategy::Ask })?;
        let resolution = resolve(&step.pair, strategy);
        let asks = match resolution {
            Resolution::Ask => true,
            Resolution::SameTime => {
                self.event(Event::SameTime { dir, step, strategy })?;
                self.run.asks_at_same_time
            }
            Resolution::Copy { .. } | Resolution::Delete { .. } | Resolution::Skip => false,
        };
        if !asks {
            return Ok(resolution);
        }
        self.stats.interactive_ask += 1;
        let answer = self.hooks.resolve(dir, step)?;
        if answer.for_all {
            self.resolve_all = Some(answer.strategy);
        }
        Ok(resolve(&step.pair, answer.strategy))
    }

    // ---- new folders ----

    /// One side gets the folder; it has been made.
    fn copy_folder(
        &mut self,
        ticket: Ticket,
        to: Side,
        name: &str,
        views: Sides<View>,
    ) -> Result<Vec<Folder>> {
        let now = self.run.clock.now();
        let Some(folder) = self.folders.get_mut(&ticket) else {
            return Ok(Vec::new());
        };
        let (paths, parent) = (folder.paths.clone(), folder.parent);
        let from = to.other();
        let source = match from {
            Side::Local => views.local,
            Side::Remote => views.remote,
        };
        folder.metas[from] = source.meta;
        if let Some(parent) = parent.and_then(|ticket| self.folders.get_mut(&ticket)) {
            parent.metas.local.record(&self.peer, name, None, None, now);
        }
        let mut children = Vec::new();
        for entry in source.entries {
            if !self.run.filter.matches(entry.name.as_str(), entry.kind) {
                continue;
            }
            self.stats.entries_seen += 1;
            self.event(Event::Tick)?;
            let inner = Sides::from_fn(|side| {
                paths[side].join(&if side == from { entry.name.clone() } else { entry.name.without_raw() })
            });
            match entry.kind {
                EntryKind::File => self.copy_file(ticket, entry.name.as_str(), &entry, to, &inner, false)?,
                EntryKind::Folder => {
                    self.stats.dirs_created += 1;
                    self.stats.entries_touched += 1;
                    let visit = Visit::Copy { to, name: entry.name.to_string() };
                    children.push(Folder::new(inner, visit, Some(ticket)));
                    self.hold(ticket);
                }
            }
        }
        self.release(parent)?;
        Ok(children)
    }

    // ---- deletions ----

    /// Plans the deletion of an entry; a folder is looked into first, unless all in it may go.
    fn remove(&mut self, plan: &mut Plan, step: &Step, on: Side, unconditionally: bool) -> Result<()> {
        let Some(entry) = step.pair.get(on) else {
            return Ok(());
        };
        let path = plan.paths[on].join(&entry.name);
        let trace = Trace { ticket: plan.ticket, name: step.pair.name.to_string(), is_counted: true };
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
                let doomed = self.removals.add_dir(on, path, None, Some(trace));
                let paths = paths_of(&plan.paths, &step.pair, on.other());
                let visit = Visit::Remove { on, doomed, synced };
                plan.children.push(Folder::new(paths, visit, Some(plan.ticket)));
            }
        }
        Ok(())
    }

    /// The other side lost the folder: what is unchanged in it goes, what is excluded or changed stays.
    fn remove_folder(
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
                let inner_doomed = self.removals.add_dir(on, inner[on].clone(), Some(doomed), None);
                let visit = Visit::Remove { on, doomed: inner_doomed, synced };
                children.push(Folder::new(inner, visit, Some(ticket)));
                continue;
            }
            self.tally.known += 1;
            let is_changed = synced.is_some_and(|synced| match &archive {
                Some(_) => is_changed_since(&entry, &Past::of(&archive, name.as_str())),
                // The memory of a folder lies on the local side, and went with it: only the time can tell.
                None => is_touched_after(&entry, synced),
            });
            if is_match && is_changed {
                let past = Past::of(&archive, name.as_str());
                self.settle_survivor(ticket, on, doomed, entry, past, &inner, &path)?;
            } else {
                self.doom_file(ticket, on, &name, inner[on].clone());
            }
        }
        Ok(children)
    }

    fn doom_file(&mut self, ticket: Ticket, on: Side, name: &Name, path: RelPath) {
        self.tally.doomed[on] += 1;
        self.hold(ticket);
        self.removals.add_file(on, path, Trace { ticket, name: name.to_string(), is_counted: false });
    }

    /// A file that was edited in a folder that the other side lost: a conflict of its own.
    #[expect(clippy::too_many_arguments, reason = "one call, whose arguments are all distinct in type")]
    fn settle_survivor(
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
                self.copy_file(ticket, name.as_str(), &entry, to, paths, true)
            }
            Resolution::Delete { on: side } if side == on => {
                self.action(Line::conflict_delete(on), path, false)?;
                self.doom_file(ticket, on, &name, paths[on].clone());
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
    fn delete(&mut self) -> Result<()> {
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

    fn removed(&mut self, side: Side, path: &RelPath, result: Result<()>) -> Result<()> {
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
        if trace.is_counted {
            self.stats.entries_touched += 1;
            if self.removals.is_folder(side, path) {
                self.stats.dirs_deleted += 1;
            } else {
                self.stats.files_deleted += 1;
            }
        }
        self.release(Some(trace.ticket))
    }

    // ---- remembering ----

    fn hold(&mut self, ticket: Ticket) {
        if let Some(folder) = self.folders.get_mut(&ticket) {
            folder.open += 1;
        }
    }

    fn release(&mut self, ticket: Option<Ticket>) -> Result<()> {
        let Some(ticket) = ticket else { return Ok(()) };
        if let Some(folder) = self.folders.get_mut(&ticket) {
            folder.open = folder.open.saturating_sub(1);
        }
        self.settle(ticket)
    }

    /// Writes the metadata of a folder in which nothing is under way any more.
    fn settle(&mut self, ticket: Ticket) -> Result<()> {
        if !self.folders.get(&ticket).is_some_and(Folder::is_settled) {
            return Ok(());
        }
        let Some(folder) = self.folders.remove(&ticket) else {
            return Ok(());
        };
        if !self.executor.is_live() {
            return Ok(());
        }
        for job in self.metadata_jobs(ticket, &folder) {
            if let Job::WriteMeta { side, dir, text, .. } = &job {
                match text {
                    Some(text) => self.stats.meta_bytes_written += text.chars().count() as u64,
                    None => {
                        let target = self.run.pools[*side].target().base_name();
                        self.note(0, &format!("Remove empty meta data file: {target}/{dir}"))?;
                    }
                }
            }
            self.submit(job)?;
        }
        Ok(())
    }

    /// The metadata of a folder that has to be written: never on a remote side that is only read, nor in a folder that goes.
    fn metadata_jobs(&self, ticket: Ticket, folder: &Folder) -> Vec<Job> {
        if let Visit::Remove { doomed, .. } = folder.visit
            && !self.removals.is_kept(doomed)
        {
            return Vec::new();
        }
        let writes = |side: Side| side == Side::Local || self.run.policy.mode != Mode::Download;
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
                    text,
                })
            })
            .collect()
    }

    fn metadata_text(&self, meta: &DirMeta) -> Option<String> {
        let clock = self.run.clock;
        (!meta.is_empty()).then(|| {
            meta.print(
                self.run.version,
                clock.now(),
                &|seconds| clock.readable(seconds),
                self.run.pretty_meta,
            )
        })
    }

    /// The metadata of folders whose work was cut short.
    fn unsaved(&mut self) -> Vec<Job> {
        while let Ok(done) = self.done.try_recv() {
            if let Done::Copied { job, was_opened, result, .. } = done
                && result.is_ok()
            {
                drop(self.copied(job, was_opened, result));
            }
        }
        let folders = std::mem::take(&mut self.folders);
        folders.iter().flat_map(|(ticket, folder)| self.metadata_jobs(*ticket, folder)).collect()
    }

    // ---- telling ----

    fn event(&mut self, event: Event<'_>) -> Result<()> {
        self.observer.event(event, self.stats)
    }

    fn action(&mut self, line: Line, path: &RelPath, is_folder: bool) -> Result<()> {
        if !self.observer.wants(line.level) {
            return Ok(());
        }
        self.event(Event::Action { line, path, is_folder })
    }

    fn action_of(&mut self, effect: Effect, path: &RelPath, is_folder: bool) -> Result<()> {
        match Line::of(effect) {
            Some(line) => self.action(line, path, is_folder),
            None => Ok(()),
        }
    }

    fn note(&mut self, level: u8, text: &str) -> Result<()> {
        if !self.observer.wants(level) {
            return Ok(());
        }
        self.event(Event::Note { level, text })
    }

    fn warn(&mut self, text: &str) -> Result<()> {
        self.event(Event::Warning(text))
    }

    /// Reports a problem with one entry; the run goes on, and the first problem is what it ends with.
    fn problem(&mut self, path: &RelPath, error: Error) -> Result<()> {
        self.stats.errors += 1;
        if self.hooks.failed(path, &error)? == Verdict::Leave {
            return Ok(());
        }
        let text = error.to_string();
        self.event(Event::Failure(&text))?;
        self.failure.get_or_insert(error);
        Ok(())
    }
}

/// The paths of a pair on both sides; the side that does not have it uses the other's name, in its own bytes.
fn paths_of(folder: &Sides<RelPath>, pair: &Pair, absent: Side) -> Sides<RelPath> {
    Sides::from_fn(|side| match pair.get(side) {
        Some(entry) => folder[side].join(&entry.name),
        None => {
            debug_assert_eq!(side, absent);
            folder[side].join(&pair.name.without_raw())
        }
    })
}

fn dir_join(dir: &RelPath, name: &str) -> String {
    if dir.is_root() { name.to_owned() } else { format!("{dir}/{name}") }
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

/// An error like `error`, for the end of the run; the original stays with the job that failed.
fn copy_of(error: &Error) -> Error {
    error.duplicate()
}
