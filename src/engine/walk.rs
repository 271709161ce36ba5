//! The whole story of a run, on the calling thread.
//!
//! Folders are visited depth first: both sides are listed, put together, judged; what is to be copied is handed to the
//! crew, what is to be deleted is collected. Listings run ahead of the visits, copies run behind them. A folder is
//! remembered once nothing in it is under way any more, so that the metadata never claims what has not happened.

mod conflicts;
mod contents;
mod copies;
mod folders;
mod foresight;
mod leftovers;
mod locks;
mod memory;
mod pairs;
mod removal;
mod shifts;
mod telling;
mod times;
mod twins;
mod under_way;
mod views;

use super::executor::Executor;
use super::folder::{Folder, Removal, Scope, Visit};
use super::hooks::{Deed, Hooks, Leaf, Notice, Rules, Said, Verdict};
use super::job::{CopyJob, DateJob, Done, Doomed, Job, Landing, Make, Ticket, View};
use super::journal::{Going, Journal, Noted, is_journal};
use super::keep::Keep;
use super::lock::locked_sides;
use super::observer::{Event, Finished, Line, Observer};
use super::removal::{Removals, Trace};
use super::stats::Stats;
use super::{POLL, Run, crew};
use crate::error::{Error, Kind, Result};
use crate::model::copies::Copies;
use crate::model::lock::Lock;
use crate::model::meta::{Archive, Fact, PeerKey, Shadow};
use crate::model::stamp::{EPS_TIME, compare_times};
use crate::model::{DirMeta, Entry, EntryKind, Name, Note, RelPath, Side, Sides, Stamp};
use crate::plan::guard::{Tally, judge};
use crate::plan::{
    self, Change, Effect, Filter, Mode, Pair, Past, Policy, Resolution, Skip, Step, Strategy, compare,
    pair_up, resolve,
};
use crate::quoted::Quoted;
use crate::target::{Expect, Put, version};
use contents::Comparisons;
use foresight::Foresight;
use locks::Locks;
use memory::Memory;
use removal::Outcomes;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use telling::Told;
use twins::Twins;
use under_way::UnderWay;

/// Copies that may wait before no further folder is visited.
const COPIES_AHEAD: usize = 2_000;
/// Folders deleted in one burst.
const BURST: usize = 100;
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
        resolve_all: run.resolve_all,
        peer,
        executor,
        done,
        hooks,
        observer,
        stats,
        journal,
        folders: HashMap::new(),
        next_ticket: 0,
        agenda: Vec::new(),
        locks: Locks::awaiting(locked_sides(run).len()),
        ahead: Foresight::default(),
        under_way: UnderWay::default(),
        twins: Twins::default(),
        compared: Comparisons::new(),
        outcomes: Outcomes::default(),
        removals: Removals::default(),
        tally: Tally::default(),
        memory: Memory::default(),
        shifts: Sides::default(),
        told: Told::default(),
    };
    match walk.tree() {
        Ok(()) => Ok(walk.told.failure),
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
    /// How all conflicts are settled from now on.
    resolve_all: Option<Strategy>,
    peer: Arc<PeerKey>,
    executor: &'a mut dyn Executor,
    done: &'a Receiver<Done>,
    hooks: &'a dyn Hooks,
    observer: &'a mut dyn Observer,
    stats: &'a mut Stats,
    journal: &'a mut Journal,
    /// Folders that are to be visited, or in which something is under way.
    folders: HashMap<Ticket, Folder>,
    next_ticket: usize,
    /// Folders still to visit; the next one is the last.
    agenda: Vec<Ticket>,
    locks: Locks,
    ahead: Foresight,
    under_way: UnderWay,
    /// The names that copies go to, and copies that wait because their names may be the same.
    twins: Twins,
    /// Contents that were compared.
    compared: Comparisons,
    outcomes: Outcomes,
    removals: Removals,
    tally: Tally,
    memory: Memory,
    /// By how many seconds the times of each side have moved without any edit.
    shifts: Sides<Option<i64>>,
    told: Told,
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
        self.wait_for_all()?;
        self.tell_stuck()
    }

    /// Visits folders until no more than `floor` are left on the agenda.
    fn visit_down_to(&mut self, floor: usize) -> Result<()> {
        while let Some(&ticket) = self.agenda.last().filter(|_| self.agenda.len() > floor) {
            self.list_ahead()?;
            let is_ready = self.folders.get(&ticket).is_some_and(Folder::is_ready);
            if is_ready && self.under_way.copies < COPIES_AHEAD {
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
        while self.under_way.copies > 0 {
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
        self.ahead.look_again();
    }

    fn new_ticket(&mut self) -> Ticket {
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        ticket
    }

    fn submit(&mut self, job: Job) -> Result<()> {
        self.under_way.begun(&job);
        match self.executor.submit(job) {
            Some(done) => self.take(done),
            None => Ok(()),
        }
    }

    fn wait(&mut self) -> Result<()> {
        self.observer.poll()?;
        self.executor.work();
        let passed = self.executor.passed();
        self.event(Event::Flow { passed, promised: self.under_way.promised })?;
        match crew::receive(self.done, POLL)? {
            Some(done) => self.take(done),
            None => Ok(()),
        }
    }

    fn wait_for_all(&mut self) -> Result<()> {
        while self.under_way.jobs > 0 {
            self.wait()?;
        }
        Ok(())
    }

    fn take(&mut self, done: Done) -> Result<()> {
        self.tell_news()?;
        if let Done::Locked { side, news } = done {
            return self.locked(side, news);
        }
        self.under_way.answered(&done);
        if let Some(outage) = done.outage() {
            return Err(outage.duplicate());
        }
        match done {
            Done::Listed { ticket, side, result } => self.take_listing(ticket, side, result),
            Done::Times { ticket, side, result } => self.take_times(ticket, side, result),
            Done::Copied { job, bytes, was_opened, seconds, result } => {
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
            Visit::Remove(removal) => self.remove_folder(ticket, removal, views)?,
        };
        self.schedule(children);
        self.forget_guesses(ticket);
        if let Some(folder) = self.folders.get_mut(&ticket) {
            folder.is_planned = true;
        }
        self.settle(ticket)
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
                self.outcomes.failed[*to].insert(None);
                self.release(parent)?;
            }
            Visit::Remove(Removal { on, doomed, scope }) => {
                self.removals.keep(*doomed);
                // The guard must not count less because less could be seen.
                let unseen = self.memory.contents.count_files(dir.as_str());
                if *scope != Scope::Wished {
                    self.tally.doomed[*on] += unseen;
                }
                self.tally.known += unseen;
            }
        }
        self.problem(dir, error)
    }
}

fn dir_join(dir: &RelPath, name: &str) -> String {
    if dir.is_root() { name.to_owned() } else { format!("{dir}/{name}") }
}
