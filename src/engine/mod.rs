//! The one loop: list both sides, plan, carry out, remember, descend.
//!
//! [`walk`] tells the whole story on the calling thread; [`crew`] moves the bytes on others. [`executor`] decides whether
//! anything is really changed, [`lock`] keeps others out meanwhile, [`hooks`] and [`observer`] are where the outside world
//! listens in.

pub mod crew;
pub mod executor;
pub mod flow;
pub mod folder;
pub mod hooks;
pub mod job;
pub mod journal;
pub mod keep;
pub mod limit;
pub mod lock;
pub mod observer;
pub mod queue;
pub mod removal;
pub mod segments;
pub mod stats;
pub mod transfer;
pub mod walk;

pub use hooks::{Deed, Hooks, Leaf, NoHooks, Notice, Said, Verdict};
pub use keep::Keeping;
pub use lock::Locking;
pub use observer::{Event, Finished, Line, LockState, Observer};
pub use stats::Stats;

use crate::error::Result;
use crate::model::{Side, Sides, Stamp};
use crate::plan::guard::GuardRules;
use crate::plan::{Filter, Policy, Strategy};
use crate::target::pool::Pool;
use executor::{Executor, InTurn, Live, Rehearsal};
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::ops::RangeInclusive;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

/// How often the observer is asked whether to go on.
const POLL: Duration = Duration::from_millis(100);

/// The time, from outside.
pub trait Clock: Sync {
    /// Seconds since 1970-01-01 UTC.
    fn now(&self) -> f64;
    /// Seconds since some fixed instant, never running backwards.
    fn elapsed(&self) -> f64;
    /// A time (seconds since 1970-01-01 UTC) as local time for people: `2022-09-12 18:29:08`.
    fn readable(&self, seconds: f64) -> String;
    /// Seconds that local time, without daylight saving, is behind UTC.
    fn zone(&self) -> f64 {
        0.0
    }
    /// How long a pause of this length really takes; nothing, where time is only imagined.
    fn pause(&self, length: Duration) -> Duration {
        length
    }
    /// A number from 0 to 1 that differs for those who ask at the same time.
    fn chance(&self) -> f64 {
        let number = RandomState::new().build_hasher().finish();
        f64::from((number >> 32) as u32) / f64::from(u32::MAX)
    }
}

/// Picks the next job among so many that wait.
pub type Choice<'a> = dyn FnMut(usize) -> usize + 'a;

/// Everything a run has to know beforehand.
pub struct Run<'a> {
    /// Sessions with both sides.
    pub pools: &'a Sides<Pool>,
    /// The rules.
    pub policy: Policy,
    /// Which names take part.
    pub filter: Filter,
    /// When too much would be deleted.
    pub guard: GuardRules,
    /// Files of one size are told apart by their contents, not by their times.
    pub compares_contents: bool,
    /// Only say what would be done.
    pub is_rehearsal: bool,
    /// Replace metadata of another layout instead of stopping.
    pub migrate: bool,
    /// A file that cannot be opened is counted, and the run is a success nevertheless.
    pub ignore_copy_errors: bool,
    /// Overwrite files in place instead of by temporary name and rename.
    pub inplace: bool,
    /// What becomes of content that is replaced or removed.
    pub keeping: Keeping,
    /// How sides that are changed over a network are locked; `None`: not at all.
    pub lock: Option<Locking<'a>>,
    /// Write metadata for human eyes.
    pub pretty_meta: bool,
    /// The version to write into metadata.
    pub version: &'a str,
    /// An answer that the user already gave for all conflicts.
    pub resolve_all: Option<Strategy>,
    /// Ask when a strategy goes by time and the times are equal; else such a conflict is skipped.
    pub asks_at_same_time: bool,
    /// Whether folders are listed on the guess that they will be visited. Not where somebody watches the order.
    pub foresees: bool,
    /// How long the run may take in all, in seconds.
    pub time_limit: Option<f64>,
    /// Folders within folders, at most: a server may show a tree without an end. What lies deeper is left alone.
    pub max_depth: usize,
    /// How many threads move bytes: in the beginning, and at the most, if the round trips of a far server are what takes the
    /// time.
    pub threads: RangeInclusive<usize>,
    /// The time.
    pub clock: &'a dyn Clock,
}

impl Run<'_> {
    /// A time of the local side as it is remembered to the last digit. Only a disk keeps it so.
    fn exact_time(&self, shown: Option<Stamp>) -> Option<f64> {
        let is_disk = !self.pools.local.target().caps().is_networked;
        shown.filter(|_| is_disk).map(Stamp::as_secs_f64)
    }
}

/// Synchronises two targets.
///
/// Problems with single entries are reported as they come and do not stop the rest; the first one that the caller has to
/// know about is returned in the end. Counters are complete in either case.
///
/// # Errors
/// The first failed transfer, listing or deletion; an outage of a side, a guard, metadata of another layout or a
/// cancelled run at once.
pub fn sync(run: &Run<'_>, hooks: &dyn Hooks, observer: &mut dyn Observer, stats: &mut Stats) -> Result<()> {
    conduct(run, hooks, observer, stats, None)
}

/// As [`sync`], but on the calling thread alone: one job after another, in an order that `choose` picks.
///
/// What can be repeated exactly can be searched for mistakes.
///
/// # Errors
/// As [`sync`].
pub fn sync_in_turn(
    run: &Run<'_>,
    hooks: &dyn Hooks,
    observer: &mut dyn Observer,
    stats: &mut Stats,
    choose: &mut Choice<'_>,
) -> Result<()> {
    conduct(run, hooks, observer, stats, Some(choose))
}

fn conduct(
    run: &Run<'_>,
    hooks: &dyn Hooks,
    observer: &mut dyn Observer,
    stats: &mut Stats,
    choose: Option<&mut Choice<'_>>,
) -> Result<()> {
    let mut limited = limit::Limited::new(observer, run.clock, run.time_limit);
    let crew = crew::Crew::new(run.pools, run.clock, &run.keeping, &run.threads, run.foresees);
    let keepers = lock::keepers(run, &crew);
    let mut journal = journal::Journal::new(run);
    for side in Side::BOTH {
        run.pools[side].target().watch_uploads(journal.watch(side));
    }
    let outcome = std::thread::scope(|scope| {
        let threads = if choose.is_some() { 0 } else { crew.most() };
        let (report, done) = crew.start(scope, threads, &keepers);
        let _alarm = crew::Alarm(&crew);
        let mut live = Live(&crew);
        let mut rehearsal = Rehearsal(&crew);
        let executor: &mut dyn Executor = if run.is_rehearsal { &mut rehearsal } else { &mut live };
        let outcome = match choose {
            Some(choose) => {
                let mut in_turn = InTurn { inner: executor, crew: &crew, report, choose };
                walk::walk(run, &mut in_turn, &done, hooks, &mut limited, stats, &mut journal)
            }
            None => {
                // The threads report by channels of their own; the end of all of them is the end of the run.
                drop(report);
                walk::walk(run, executor, &done, hooks, &mut limited, stats, &mut journal)
            }
        };
        if outcome.is_ok() {
            crew.close();
        } else {
            crew.abandon();
        }
        outcome.and_then(|failure| {
            let ended = wait_for_end(&done, &mut limited).inspect_err(|_| crew.abandon());
            ended.map(|()| failure).map_err(|error| walk::Broken { error, unsaved: Vec::new() })
        })
    });
    // What was copied before the end came is remembered, with a session that the interruption did not reach.
    let (failure, was_cut, unsaved) = match outcome {
        Ok(failure) => (failure, false, Vec::new()),
        Err(walk::Broken { error, unsaved }) => (Some(error), true, unsaved),
    };
    if !save_local(run, unsaved) {
        // Then the journal has to tell the next run.
        journal.must_stay();
    }
    journal.close(run, !was_cut);
    for side in Side::BOTH {
        run.pools[side].target().watch_uploads(None);
    }
    let released = release(&keepers, was_cut, observer, stats);
    failure.map_or(released, Err)
}

/// Waits for the threads: one of them may be renewing a lock, on a side that does not answer.
fn wait_for_end(done: &Receiver<job::Done>, observer: &mut dyn Observer) -> Result<()> {
    loop {
        match done.recv_timeout(POLL) {
            Ok(_) => {}
            Err(RecvTimeoutError::Timeout) => observer.poll()?,
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        }
    }
}

/// Removes the locks. A lock that stays is told, and is no error of the run; only the observer can make one of it.
fn release(
    keepers: &[lock::Keeper<'_>],
    was_cut: bool,
    observer: &mut dyn Observer,
    stats: &Stats,
) -> Result<()> {
    let mut outcome = Ok(());
    for keeper in keepers {
        let mut objection = None;
        let mut poll = || match observer.poll() {
            // The user who has already stopped the run waits for the removal, which does not take long.
            Err(error) if !was_cut => Err(objection.insert(error).duplicate()),
            Ok(()) | Err(_) => Ok(()),
        };
        let released = keeper.release(was_cut, &mut poll);
        let (side, state) = (keeper.side(), LockState::Released);
        let told = match released {
            Ok(lock::Released::NotHeld) => Ok(()),
            Ok(lock::Released::Yes) => observer.event(Event::Lock { side, state }, stats),
            Err(error) => {
                let text = format!("Could not remove lock file: {}", error.reason());
                let told = observer.event(Event::Failure(&text), stats);
                told.and_then(|()| observer.event(Event::Lock { side, state }, stats))
            }
        };
        outcome = outcome.and(objection.map_or(told, Err));
    }
    outcome
}

/// Writes local metadata of folders whose work was cut short; returns whether all of it was. Failures are not worth another error:
/// the next run compares.
fn save_local(run: &Run<'_>, unsaved: Vec<job::Job>) -> bool {
    let target = run.pools[Side::Local].target();
    if run.is_rehearsal || unsaved.is_empty() || target.caps().is_networked {
        return true;
    }
    let opposite = run.pools[Side::Remote].target();
    let disk = if opposite.caps().is_networked { Ok(None) } else { opposite.open().map(Some) };
    let (Ok(mut session), Ok(mut disk)) = (target.open(), disk) else { return false };
    let mut is_saved = true;
    for job in unsaved {
        if let job::Job::WriteMeta { side: Side::Local, dir, opposite, text, since, .. } = job {
            let is_secure = disk.as_mut().is_none_or(|disk| disk.secure(&opposite).is_ok());
            let written =
                is_secure && crew::write_meta(session.as_mut(), &dir, text.as_deref(), &since).is_ok();
            is_saved &= written;
        }
    }
    is_saved
}
