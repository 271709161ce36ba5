//! The whole story of a run, on the calling thread.
//!
//! Folders are visited depth first: both sides are listed, put together, judged; what is to be copied is handed to the
//! crew, what is to be deleted is collected. Listings run ahead of the visits, copies run behind them. A folder is
//! remembered once nothing in it is under way any more, so that the metadata never claims what has not happened.

mod conflicts;
mod contents;
mod foresight;
mod locks;
mod memory;
mod pairs;
mod removal;
mod shifts;
mod telling;
mod times;
mod twins;

use super::executor::Executor;
use super::folder::{Folder, Scope, Visit};
use super::hooks::{Deed, Hooks, Leaf, Notice, Rules, Said, Verdict};
use super::job::{CopyJob, DateJob, Done, Doomed, Job, Landing, Make, Ticket, View};
use super::journal::{Journal, Noted, is_journal};
use super::keep::Keep;
use super::lock::locked_sides;
use super::observer::{Event, Finished, Line, Observer};
use super::removal::{DoomedDir, Removals, Trace};
use super::stats::Stats;
use super::{POLL, Run, crew};
use crate::error::{Error, Kind, Result};
use crate::model::copies::Copies;
use crate::model::entry::GUESSED;
use crate::model::lock::Lock;
use crate::model::meta::{Archive, FILE_VERSION, Fact, MetaError, PeerKey, Shadow};
use crate::model::stamp::{EPS_TIME, compare_times};
use crate::model::{DirMeta, Entry, EntryKind, Name, Note, RelPath, Side, Sides, Stamp};
use crate::plan::guard::{Tally, judge};
use crate::plan::{
    self, Change, Effect, Filter, Mode, Pair, Past, Policy, Resolution, Skip, Step, Strategy, compare,
    pair_up, resolve,
};
use crate::quoted::Quoted;
use crate::target::{Expect, Put, Target, version};
use contents::Comparisons;
use foresight::Foreseen;
use memory::Unwritten;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use twins::Twins;

/// Copies that may wait before no further folder is visited.
const COPIES_AHEAD: usize = 2_000;
/// Folders deleted in one burst.
const BURST: usize = 100;
/// What is wrong with a listing is told so many times.
const DOUBTS_TOLD: usize = 3;
/// The root is the first folder that is scheduled.
const ROOT: Ticket = Ticket(0);

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
    hooks: &dyn Hooks,
    observer: &mut dyn Observer,
    stats: &mut Stats,
    journal: &mut Journal,
) -> Result<Option<Error>, Broken> {
    let remote = run.pools.remote.target();
    let peer = Arc::new(PeerKey { id: remote.id().to_owned(), legacy: remote.legacy_id().to_owned() });
    let mut walk = Walk {
        run,
        policy: run.policy,
        filter: run.filter.clone(),
        peer,
        executor,
        done,
        hooks,
        observer,
        stats,
        journal,
        folders: HashMap::new(),
        told_of_others_memory: false,
        next_ticket: 0,
        agenda: Vec::new(),
        foreseen: HashMap::new(),
        unwritten: HashMap::new(),
        guesses: HashMap::new(),
        links: Sides::default(),
        island: None,
        listings: 0,
        may_look_ahead: true,
        removals: Removals::default(),
        contents: Copies::default(),
        copied_at: None,
        has_news: false,
        tally: Tally::default(),
        resolve_all: run.resolve_all,
        under_way: 0,
        locks_awaited: locked_sides(run).len(),
        lock_refused: None,
        written_locks: Sides::default(),
        shifts: Sides::default(),
        judged: HashMap::new(),
        copies_made: HashMap::new(),
        failed_copies: Sides::default(),
        subjects: HashMap::new(),
        copies: 0,
        unanswered: Sides::default(),
        twins: Twins::default(),
        promised: 0,
        comparing: 0,
        compared: Comparisons::new(),
        source_is_sealed: false,
        failure: None,
    };
    match walk.tree() {
        Ok(()) => Ok(walk.failure),
        Err(error) => {
            walk.heed_notices();
            Err(Broken { error, unsaved: walk.unsaved() })
        }
    }
}

struct Walk<'a> {
    run: &'a Run<'a>,
    /// The rules in force: user code may change those of the run.
    policy: Policy,
    filter: Filter,
    peer: Arc<PeerKey>,
    executor: &'a mut dyn Executor,
    done: &'a Receiver<Done>,
    hooks: &'a dyn Hooks,
    observer: &'a mut dyn Observer,
    stats: &'a mut Stats,
    journal: &'a mut Journal,
    folders: HashMap<Ticket, Folder>,
    /// The user was told why the memory of an older release deletes nothing.
    told_of_others_memory: bool,
    next_ticket: usize,
    /// Folders still to visit; the next one is the last.
    agenda: Vec<Ticket>,
    /// Folders that will probably be visited, listed before anybody knows.
    foreseen: HashMap<Ticket, Foreseen>,
    /// Where they are.
    guesses: HashMap<RelPath, Ticket>,
    /// Metadata that is being written, or waits for it.
    unwritten: HashMap<(Side, RelPath), Unwritten>,
    /// Folders that are links.
    links: Sides<HashSet<RelPath>>,
    /// The link whose folders are being visited.
    island: Option<Sides<RelPath>>,
    /// Listings under way.
    listings: usize,
    /// There may be something to list ahead.
    may_look_ahead: bool,
    removals: Removals,
    /// What every folder below the root held when it was last synchronised.
    contents: Copies,
    /// When that was written (seconds since 1970-01-01 UTC), if by this version.
    copied_at: Option<f64>,
    /// Something in a folder below the root is remembered differently than before.
    has_news: bool,
    tally: Tally,
    resolve_all: Option<Strategy>,
    /// Pairs that may still fail, by the path they are shown under; only where somebody wants to hear of errors.
    judged: HashMap<RelPath, (RelPath, Step)>,
    /// What is to be copied, by its source, and whether that was done: only where user code may have wishes that depend on it.
    copies_made: HashMap<(Side, RelPath), bool>,
    /// The sizes of files whose copy to a side has failed; `None` stands for a folder.
    failed_copies: Sides<HashSet<Option<u64>>>,
    /// Pairs that are being judged, by the path they are shown under; only where somebody wants to see them in lines.
    subjects: HashMap<RelPath, Pair>,
    /// Jobs that have not been answered.
    under_way: usize,
    /// Copies among them.
    copies: usize,
    /// Copies to each side that were counted and of which it is not known what became of them.
    unanswered: Sides<u64>,
    /// The names that they go to, and copies that wait because their names may be the same.
    twins: Twins,
    /// Bytes of all copies so far, whether done or not.
    promised: u64,
    /// Comparisons of contents among them.
    comparing: usize,
    /// What came of those that are done.
    compared: Comparisons,
    /// Locks that are not decided yet.
    locks_awaited: usize,
    /// Why a side could not be locked.
    lock_refused: Option<Error>,
    /// Each lock as it was written, until it was compared with what the side lists.
    written_locks: Sides<Option<Lock>>,
    /// By how many seconds the times of each side have moved without any edit.
    shifts: Sides<Option<i64>>,
    /// It was told that the source takes no metadata.
    source_is_sealed: bool,
    failure: Option<Error>,
}

/// What one folder still has to do once its pairs are decided.
struct Plan {
    ticket: Ticket,
    dir: RelPath,
    paths: Sides<RelPath>,
    /// Whether the names of each side are certainly all.
    complete: Sides<bool>,
    /// What the folder remembered cannot be read.
    is_damaged: bool,
    /// Every name that is there, on either side, [folded](Name::folded).
    names: HashSet<String>,
    /// What contents that were compared have shown.
    comparisons: Comparisons,
    /// Folders inside that are to be visited.
    children: Vec<Folder>,
}

impl Walk<'_> {
    fn tree(&mut self) -> Result<()> {
        self.await_locks()?;
        self.schedule(vec![Folder::new(Sides::default(), Visit::Compare, None)]);
        // The root stays open to the end: its metadata tells what all folders held.
        self.hold(ROOT);
        self.visit_down_to(0)?;
        self.wait_for_all()?;
        self.delete()?;
        self.release(Some(ROOT))?;
        self.wait_for_all()
    }

    /// Visits folders until no more than `floor` are left on the agenda.
    fn visit_down_to(&mut self, floor: usize) -> Result<()> {
        while let Some(&ticket) = self.agenda.last().filter(|_| self.agenda.len() > floor) {
            self.list_ahead()?;
            let is_ready = self.folders.get(&ticket).is_some_and(Folder::is_ready);
            if is_ready && self.copies < COPIES_AHEAD {
                if self.asks_times(ticket)? {
                    continue;
                }
                self.agenda.pop();
                self.visit(ticket)?;
            } else {
                self.wait()?;
            }
        }
        Ok(())
    }

    /// Visits these folders now, and waits for every copy: a hook that asked for a deed finds it done.
    fn finish_at_once(&mut self, folders: Vec<Folder>) -> Result<()> {
        let floor = self.agenda.len();
        self.schedule(folders);
        self.visit_down_to(floor)?;
        self.wait_for_copies()
    }

    fn wait_for_copies(&mut self) -> Result<()> {
        while self.copies > 0 {
            self.wait()?;
        }
        Ok(())
    }

    /// Adds folders so that the first of them is visited next.
    fn schedule(&mut self, folders: Vec<Folder>) {
        for folder in folders.into_iter().rev() {
            let ticket = self.schedule_one(folder);
            self.agenda.push(ticket);
        }
        self.may_look_ahead = true;
    }

    fn new_ticket(&mut self) -> Ticket {
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        ticket
    }

    fn submit(&mut self, job: Job) -> Result<()> {
        self.under_way += 1;
        if let Job::Copy(job) = &job {
            self.copies += 1;
            self.promised += job.put.size.unwrap_or(0);
        }
        match self.executor.submit(job) {
            Some(done) => self.take(done),
            None => Ok(()),
        }
    }

    fn wait(&mut self) -> Result<()> {
        self.observer.poll()?;
        self.executor.work();
        let passed = self.executor.passed();
        self.event(Event::Flow { passed, promised: self.promised })?;
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
        self.tell_news()?;
        if let Done::Locked { side, news } = done {
            return self.locked(side, news);
        }
        self.under_way -= 1;
        if let Some(outage) = done.outage() {
            return Err(outage.duplicate());
        }
        match done {
            Done::Listed { ticket, side, result } => self.take_listing(ticket, side, result),
            Done::Times { ticket, side, result } => self.take_times(ticket, side, result),
            Done::Copied { job, bytes, was_opened, seconds, result } => {
                self.copies -= 1;
                self.stats.bytes_written[job.to] += bytes;
                if self.executor.is_live() {
                    self.stats.add_write_time(job.to, seconds);
                }
                self.tell_copied(&job, bytes, result.as_ref().err())?;
                let next = self.twins.after(&job);
                self.copied(job, was_opened, result)?;
                next.map_or(Ok(()), |next| self.submit(Job::Copy(next)))
            }
            Done::Removed { side, results } => {
                results.into_iter().try_for_each(|(path, result)| self.removed(side, &path, result))
            }
            Done::TreeRemoved { side, root, result } => self.tree_removed(side, &root, result),
            Done::Compared { name, question, result } => {
                self.comparing -= 1;
                self.compared.insert(name, (question, result));
                Ok(())
            }
            Done::Dated { job, result } => self.dated(&job, result),
            Done::Locked { .. } => Ok(()),
            Done::MetaWritten { ticket, side, dir, result } => {
                match self.wrote_meta(ticket, (side, dir.clone()), result)? {
                    Some(Err(error)) if self.policy.mode.source() == Some(side) => {
                        self.cannot_remember(&error)
                    }
                    Some(Err(error)) => self.problem(&dir, error.during("write the metadata of")),
                    Some(Ok(())) | None => Ok(()),
                }
            }
        }
    }

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
            Visit::Compare => self.offer_folder(ticket, &dir, views)?,
            Visit::Copy { to, name, .. } => self.copy_folder(ticket, to, &name, views)?,
            Visit::Remove { on, doomed, scope } => self.remove_folder(ticket, on, doomed, scope, views)?,
        };
        self.schedule(children);
        self.forget_guesses(ticket);
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
                None => View::empty(),
            };
            let view = &mut usable[side];
            self.stats.meta_bytes_read += view.meta_chars;
            let lock = view.lock;
            self.report_metadata(dir, side, view)?;
            self.check_lock(side, lock)?;
            if dir.depth() > self.run.max_depth {
                let limit = self.run.max_depth;
                let error = Error::new(
                    Kind::Refused,
                    format!("more than {limit} folders within folders (--max-depth)"),
                );
                return Ok(Err(error.during("visit").at(dir)));
            }
            for note in &view.notes {
                let text = format!("{side}: left out {}: {}", Quoted(&dir_join(dir, &note.what)), note.why);
                self.note(4, &text)?;
            }
            for name in &view.guessed {
                self.note(4, &format!("{side}: {}: {GUESSED}", Quoted(&dir_join(dir, name.as_str()))))?;
            }
            if !view.complete && visit.lists(side) {
                let shown = if dir.is_root() { "the root" } else { dir.as_str() };
                let is_there = |what: &str| view.present_but_skipped.iter().any(|name| name.as_str() == what);
                let is_doubt = |note: &&Note| note.is_error || !is_there(&note.what);
                let mut doubts: Vec<String> =
                    view.notes.iter().filter(is_doubt).map(Note::to_string).collect();
                let others = doubts.len().saturating_sub(DOUBTS_TOLD);
                doubts.truncate(DOUBTS_TOLD);
                if others > 0 {
                    doubts.push(format!("and {others} more"));
                }
                let why = if doubts.is_empty() { String::new() } else { format!(" ({})", doubts.join("; ")) };
                let text =
                    format!("The {side} listing of {shown} is incomplete{why}: nothing is deleted there.");
                match view.notes.iter().any(|note| note.is_error) {
                    true => self.failed(dir, Error::new(Kind::Refused, text))?,
                    false => self.warn(&text)?,
                }
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
                let memory_is_lost = side == Side::Local && self.policy.mode == Mode::Sync;
                let so = match memory_is_lost {
                    true => "nothing is deleted there, and files that differ are conflicts",
                    false => "it is treated as empty",
                };
                let text = format!("Could not read meta info {target}/{dir}: {why}; {so}.");
                self.event(Event::Failure(&text))
            }
        }
    }

    /// A folder that could not be listed or made: the rest goes on, and nothing is concluded from its absence.
    fn give_up(&mut self, ticket: Ticket, visit: &Visit, dir: &RelPath, error: Error) -> Result<()> {
        if dir.is_root() || error.kind() == Kind::Metadata {
            return Err(error);
        }
        self.forget_guesses(ticket);
        self.journal.passes_over(dir);
        let parent = self.folders.remove(&ticket).and_then(|folder| folder.parent);
        match visit {
            Visit::Compare => {}
            Visit::Copy { to, .. } => {
                self.failed_copies[*to].insert(None);
                self.release(parent)?;
            }
            Visit::Remove { on, doomed, scope } => {
                self.removals.keep(*doomed);
                // The guard must not count less because less could be seen.
                let unseen = self.contents.count_files(dir.as_str());
                if *scope != Scope::Wished {
                    self.tally.doomed[*on] += unseen;
                }
                self.tally.known += unseen;
            }
        }
        self.problem(dir, error)
    }

    /// Lets a hook deal with a folder that both sides have, or compares it; returns the folders to visit next.
    fn offer_folder(&mut self, ticket: Ticket, dir: &RelPath, views: Sides<View>) -> Result<Vec<Folder>> {
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
        let Some(dir) = self.folders.get(&ticket).map(|folder| folder.shown().clone()) else {
            return Ok(Vec::new());
        };
        if dir.is_root() {
            self.read_journals(&mut views.local)?;
        }
        self.disown(&dir, &mut views.local.meta);
        let unfinished = self.recall(&dir, &mut views);
        let Some(folder) = self.folders.get_mut(&ticket) else {
            return Ok(Vec::new());
        };
        let paths = folder.paths.clone();
        let is_damaged = views.local.meta.is_damaged();
        let archive = match views.local.meta.archive(&self.peer) {
            // What was remembered is unknown: no name is met for the first time, so that no time decides between two files.
            _ if is_damaged && self.policy.mode == Mode::Sync => Archive::forgotten(),
            mut archive => {
                archive.unfinished.extend(unfinished);
                archive
            }
        };
        let complete = Sides::new(views.local.complete, views.remote.complete).map(|it| it && !is_damaged);
        let hidden = Sides::new(&views.local, &views.remote).map(|view| view.present_but_skipped.clone());
        let copies = if dir.is_root() { views.local.meta.copies(&self.peer) } else { Copies::default() };
        let is_ours = views.local.meta.writer() == Some(self.run.version);
        let copied_at = views.local.meta_time.filter(|_| is_ours);
        let leftovers = Sides::new(views.local.leftovers, views.remote.leftovers);
        folder.metas = Sides::new(views.local.meta, views.remote.meta);
        folder.meta_file = views.local.meta_file;
        // What this run may continue stays.
        let side = |side: Side| self.run.pools[side].target().as_ref();
        let parts = Sides::new(
            part_names(side(Side::Remote), &views.remote.entries, &views.local.entries),
            part_names(side(Side::Local), &views.local.entries, &views.remote.entries),
        );
        self.clear_leftovers(&paths, &leftovers, &parts)?;
        // Taken before the hooks have their say: an entry that a hook leaves alone has not vanished.
        let present: HashSet<Name> = [&views.local.entries, &views.remote.entries]
            .into_iter()
            .flatten()
            .map(|entry| entry.name.clone())
            .chain(hidden.local.iter().chain(&hidden.remote).cloned())
            .collect();
        // What the filter leaves out says nothing about the rest: `lost+found` is on each new disk.
        let takes_part = |entry: &&Entry| self.filter.matches(entry.name.as_str(), entry.kind);
        let listed = Sides::new(&views.local.entries, &views.remote.entries)
            .map(|entries| entries.iter().filter(takes_part).count());
        let local_folders: Vec<Entry> =
            views.local.entries.iter().filter(|entry| entry.is_folder()).cloned().collect();
        let first_contacts =
            first_contacts(Sides::new(&views.local.entries, &views.remote.entries), &archive);
        let mut entries = self.listed(&dir, Sides::new(views.local.entries, views.remote.entries))?;
        for side in Side::BOTH {
            self.undo_shift(ticket, side, &mut entries, &archive)?;
        }
        if dir.is_root() {
            self.contents = copies;
            self.copied_at = copied_at;
            self.tally.root_known = archive.seen.as_ref().map_or(0, |seen| seen.len() as u64);
            self.tally.root_present = listed.map(|count| count as u64);
        }
        if let Some(folder) = self.folders.get_mut(&ticket) {
            folder.unfinished = archive.unfinished.iter().cloned().collect();
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
        for pair in pairs {
            let is_hidden = |side: Side| pair.get(side).is_none() && hidden[side].contains(&pair.name);
            if let Some(side) = Side::BOTH.into_iter().find(|side| is_hidden(*side)) {
                // It is there, as a link or a device that is not synchronised: neither missing nor to be replaced.
                if self.policy.mode.source() != Some(side) && pair.get(side.other()).is_some() {
                    let path = dir_join(&plan.dir, pair.name.as_str());
                    self.warn(&format!(
                        "The {} {} is not copied: what has this name on the {side} side is left out, as links are (-v tells \
                         why).",
                        side.other(),
                        Quoted(&path)
                    ))?;
                }
                continue;
            }
            self.judge_pair(&mut plan, pair)?;
        }
        // Every local folder is looked at once more before it is descended into.
        for entry in &local_folders {
            if !self.is_wanted(Side::Local, &plan.dir, &mut entry.clone())? {
                let path = plan.paths.local.join(&entry.name);
                plan.children.retain(|child| child.visit != Visit::Compare || child.paths.local != path);
            }
        }
        if let Some(folder) = self.folders.get_mut(&ticket) {
            folder.metas.local.adopt(&self.peer);
        }
        Ok(plan.children)
    }

    /// One side gets the folder; it has been made.
    fn copy_folder(
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

fn dir_join(dir: &RelPath, name: &str) -> String {
    if dir.is_root() { name.to_owned() } else { format!("{dir}/{name}") }
}

/// Names that both sides have, and that were never dealt with.
fn first_contacts(entries: Sides<&Vec<Entry>>, archive: &Archive) -> Vec<String> {
    let there: HashSet<&str> = entries.remote.iter().map(|entry| entry.name.as_str()).collect();
    let is_first = |name: &&str| there.contains(name) && Past::of(archive, name) == Past::NoArchive;
    entries.local.iter().map(|entry| entry.name.as_str()).filter(is_first).map(str::to_owned).collect()
}

/// The temporary names under which copies of these files of a side may lie unfinished on the other one. What has arrived there since
/// then needs none.
fn part_names(side: &dyn Target, sources: &[Entry], there: &[Entry]) -> HashSet<String> {
    let put = |entry: &Entry| Put {
        size: entry.size,
        mtime: entry.mtime,
        version: version(side, entry),
        ..Put::default()
    };
    let large: Vec<&Entry> = sources.iter().filter(|entry| put(entry).is_resumable()).collect();
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

fn is_alike(one: &Entry, other: &Entry) -> bool {
    let (Some(at), Some(then)) = (one.mtime, other.mtime) else { return false };
    let grain = at.grain().max(then.grain());
    one.size == other.size && compare_times(at.as_secs_f64(), then.as_secs_f64(), grain).is_eq()
}
