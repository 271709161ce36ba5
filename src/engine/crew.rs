//! The threads that move bytes. They take jobs, borrow sessions, try again where that can help, and report.
//!
//! They decide nothing; listings go first, because everything else waits for them. This file holds the threads and their sessions,
//! the modules below what is done with them.

use super::flow::Flow;
use super::job::{CopyJob, Done, Job, Make, Ticket, View};
use super::keep::{Keeping, Made};
use super::lock::{Keeper, OwnLock};
use super::queue::{LARGE, Next, Queue, Work};
use super::{Choice, Clock};
use crate::error::{Error, Kind, Result, Retry};
use crate::locked::locked;
use crate::model::{META_FILE_NAME, RelPath, Side, Sides};
use crate::target::layer::retry::Attempts;
use crate::target::pool::{Loan, Pool};
use crate::target::{Session, Settled};
use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{Builder, Scope};
use std::time::Duration;

/// A round trip of this length makes it worth while to have more connections.
const FAR: Duration = Duration::from_millis(2);

mod copying;
mod removal;
mod view;

pub use view::write_meta;

/// What the threads of a run share.
pub struct Crew<'a> {
    pools: &'a Sides<Pool>,
    /// See [`Run::foresees`](super::Run::foresees).
    foresees: bool,
    clock: &'a dyn Clock,
    keeping: &'a Keeping,
    /// Folders that are not synchronised.
    hidden: Vec<RelPath>,
    /// Folders that were made for what is kept.
    made: Mutex<Made>,
    /// Stopped once the run is over for whatever reason: blocked work ends, waiting work is dropped.
    flow: Flow,
    queue: Queue,
    /// Copies whose transfer is done, and which their session finishes later.
    lagging: Mutex<HashMap<(Side, RelPath), Lagging>>,
    /// The locks that this run has written.
    locks: Mutex<Sides<Option<OwnLock>>>,
    /// Sides whose lock was found to be that of another run.
    lost_locks: Mutex<Sides<bool>>,
    /// Sides on which not all of the lock has arrived, although that was said.
    stumps: Mutex<Sides<bool>>,
    /// The sides that had no room for a file: nothing as large is sent there any more.
    full: Mutex<Sides<Option<NoRoom>>>,
    /// Those of them of which more is known, to be reported.
    settled: Mutex<Vec<Done>>,
    /// Held while a folder is made whose name a side may take for that of another one: so the other one is there, or not.
    twin_folders: Mutex<()>,
}

/// A file that was refused because there was no room for it.
struct NoRoom {
    /// The smallest one (bytes). Servers refuse single files that are too large for them in the same words.
    size: u64,
    error: Error,
}

/// A copy that its session finishes later.
struct Lagging {
    job: Box<CopyJob>,
    bytes: u64,
    seconds: f64,
}

impl<'a> Crew<'a> {
    /// A crew without threads yet: there will be the first number of `threads`, and more, up to the last, if that helps.
    pub fn new(
        pools: &'a Sides<Pool>,
        clock: &'a dyn Clock,
        keeping: &'a Keeping,
        threads: &RangeInclusive<usize>,
        foresees: bool,
    ) -> Self {
        Crew {
            pools,
            foresees,
            clock,
            keeping,
            hidden: keeping.hidden(),
            made: Mutex::default(),
            flow: Flow::default(),
            queue: Queue::new(*threads.start(), *threads.end()),
            lagging: Mutex::default(),
            locks: Mutex::default(),
            lost_locks: Mutex::default(),
            stumps: Mutex::default(),
            full: Mutex::default(),
            settled: Mutex::default(),
            twin_folders: Mutex::default(),
        }
    }

    /// Starts the keepers, and `count` threads. What they report arrives at the receiver, also what is reported by the sender.
    pub fn start<'scope>(
        &'scope self,
        scope: &'scope Scope<'scope, '_>,
        count: usize,
        keepers: &'scope [Keeper<'_>],
    ) -> (Sender<Done>, Receiver<Done>) {
        let (sender, receiver) = channel();
        for keeper in keepers {
            let sender = sender.clone();
            scope.spawn(move || keeper.work(&sender));
        }
        for thread in 0..count {
            let sender = sender.clone();
            let work = move || {
                if self.queue.admits(thread) {
                    if thread == 0 {
                        self.ask_for_sessions();
                    }
                    self.work(&sender);
                }
            };
            match thread {
                0 => drop(scope.spawn(work)),
                // One is enough, where there can be no more.
                _ => drop(Builder::new().spawn_scoped(scope, work)),
            }
        }
        (sender, receiver)
    }

    /// Has the sessions that a far server will be listed with opened while the first one takes the lock or lists the root: one
    /// for each folder in the root of the disk on the other side, as far as sessions are used from the beginning. In a root that
    /// remembers nothing, files count as well: they will be sent.
    fn ask_for_sessions(&self) {
        let most_more = self.queue.active().saturating_sub(2);
        if most_more == 0 || !self.foresees {
            return;
        }
        for side in Side::BOTH.into_iter().filter(|side| self.is_far(*side)) {
            let here = side.other();
            if self.is_networked(here) {
                continue;
            }
            let listing = self.attempt([here], &mut |s| borrowed(s, here)?.list(&RelPath::root()));
            let wanted = listing.map_or(0, |listing| {
                let is_new = listing.entries.iter().all(|entry| entry.name.as_str() != META_FILE_NAME);
                listing.entries.iter().filter(|entry| is_new || entry.is_folder()).take(most_more).count()
            });
            self.queue.add_sessions(side, wanted);
        }
    }

    /// How many threads there may be.
    pub(super) fn most(&self) -> usize {
        self.queue.most()
    }

    /// Carries out jobs that wait until one is done; if there are none, finishes what was left for later.
    pub(super) fn work_once(&self, choose: &mut Choice<'_>, report: &Sender<Done>) {
        loop {
            let (done, goes_on) = match self.queue.pick(choose) {
                Some(work) => (self.do_work(work, report), true),
                None => (None, self.settle_one()),
            };
            let has_told = self.report_settled(report) || done.is_some();
            if let Some(done) = done {
                // Whoever does not listen any more has ended the run.
                drop(report.send(done));
            }
            if has_told || !goes_on {
                return;
            }
        }
    }

    /// Adds a job.
    pub fn submit(&self, job: Job) {
        match job {
            Job::List { ticket, side, dir, make: Make::Folder } if self.is_networked(side) => {
                self.queue.add_make(side, ticket, dir);
            }
            job => self.queue.add(job, || Side::BOTH.into_iter().any(|side| self.is_far(side))),
        }
    }

    fn is_networked(&self, side: Side) -> bool {
        self.pools[side].target().caps().is_networked
    }

    /// Whether a side answers so slowly that waiting for it, and not the bytes, takes the time.
    fn is_far(&self, side: Side) -> bool {
        self.pools[side].target().round_trip().is_some_and(|time| time >= FAR)
    }

    /// Drops all waiting jobs and interrupts those under way; the threads end.
    pub fn abandon(&self) {
        if self.flow.is_stopped() {
            return;
        }
        self.flow.stop();
        self.close();
        for side in Side::BOTH {
            self.pools[side].close(false);
        }
    }

    /// Lets the threads end once the queue is empty.
    pub fn close(&self) {
        self.queue.close(self.flow.is_stopped());
    }

    /// Waits for some time; tells whether the run goes on.
    pub(super) fn lasts(&self, time: Duration) -> bool {
        self.queue.lasts(time)
    }

    /// Bytes that have been copied so far.
    pub(super) fn passed(&self) -> u64 {
        self.flow.passed()
    }

    /// Takes what was written as the lock of a side.
    pub(super) fn knows_lock(&self, side: Side, own: OwnLock) {
        locked(&self.locks)[side] = Some(own);
    }

    /// Whether the lock of a side was found to be that of another run.
    pub(super) fn has_lost_lock(&self, side: Side) -> bool {
        locked(&self.lost_locks)[side]
    }

    /// Whether what is there of the lock of a side is no lock.
    pub(super) fn has_stump(&self, side: Side) -> bool {
        locked(&self.stumps)[side]
    }

    /// The sessions with a side.
    pub(super) fn pool(&self, side: Side) -> &'a Pool {
        &self.pools[side]
    }

    /// The next work. Before it is waited for, what was left for later is finished.
    fn next(&self, report: &Sender<Done>) -> Option<Work> {
        loop {
            match self.queue.take() {
                Next::Work(work) => return Some(work),
                Next::End => return None,
                Next::Nothing => {}
            }
            let may_go_on = self.settle_one();
            self.report_settled(report);
            if !may_go_on {
                self.queue.wait();
            }
        }
    }

    fn work(&self, report: &Sender<Done>) {
        // A thread that ended in a panic would leave the walk waiting for its answer for ever.
        let _alarm = Alarm(self);
        while let Some(work) = self.next(report) {
            let done = self.do_work(work, report);
            self.report_settled(report);
            if done.is_some_and(|done| report.send(done).is_err()) {
                return;
            }
        }
    }

    /// What is left to report of a piece of work.
    fn do_work(&self, work: Work, report: &Sender<Done>) -> Option<Done> {
        match work {
            Work::Job(Job::Copy(job)) if self.reads_ahead(&job) => self.copy_row(job, report),
            Work::Makes(side, row) => self.make_row(side, row, report),
            Work::Job(job) => self.carry_out(job),
            Work::Part(segments) => {
                self.help(&segments);
                self.queue.left(&segments);
                None
            }
            Work::Session(side) => {
                self.pools[side].prepare(|| self.queue.is_open());
                None
            }
        }
    }

    /// Makes folders in one go; those that may go well another time, one by one. What is left to report of them.
    fn make_row(&self, side: Side, row: Vec<(Ticket, RelPath)>, report: &Sender<Done>) -> Option<Done> {
        let (tickets, dirs): (Vec<Ticket>, Vec<RelPath>) = row.into_iter().unzip();
        let mut made = Vec::new();
        let attempt = self.attempt_safely([side], &mut |sessions| {
            made = borrowed(sessions, side)?.mkdirs(&dirs);
            let lost = made
                .iter()
                .filter_map(|made| made.as_ref().err())
                .find(|error| error.retry() == Retry::NewSession);
            lost.map_or(Ok(()), |error| Err(error.duplicate()))
        });
        // Those that are left are tried one by one, and tell what is wrong.
        drop(attempt);
        let mut made = made.into_iter();
        let mut telling = Telling::new(report);
        let mut later = Vec::new();
        for (ticket, dir) in tickets.into_iter().zip(dirs) {
            match made.next() {
                None => later.push((ticket, dir)),
                Some(Err(error)) if error.retry() != Retry::No => later.push((ticket, dir)),
                Some(result) => telling.tell(made_folder(ticket, side, result)),
            }
        }
        for (ticket, dir) in later {
            let result = self.persist([side], |sessions| borrowed(sessions, side)?.mkdir(&dir));
            telling.tell(made_folder(ticket, side, result));
        }
        telling.last
    }

    /// Reports what became of copies that were left for later; false if nothing is known.
    fn report_settled(&self, report: &Sender<Done>) -> bool {
        let settled = std::mem::take(&mut *locked(&self.settled));
        let is_any = !settled.is_empty();
        for done in settled {
            // Whoever does not listen any more has ended the run.
            drop(report.send(done));
        }
        is_any
    }

    /// Finishes what idle sessions have left for later, and reports it. To be called by whoever has borrowed a session and is no
    /// thread of the crew: those may have looked for it meanwhile, and not look again.
    pub(super) fn settle_all(&self, report: &Sender<Done>) {
        // Others may leave more all the time, and look after it themselves.
        for _ in 0..self.queue.most() {
            if !self.settle_one() {
                break;
            }
        }
        self.report_settled(report);
    }

    /// Finishes what one idle session has left for later. False if there is none.
    fn settle_one(&self) -> bool {
        for side in Side::BOTH {
            let Some(mut loan) = self.pools[side].take_unsettled() else { continue };
            let outcome = loan.session().settled(true);
            let is_lost = outcome.is_err();
            self.take_settled(side, outcome.unwrap_or_default());
            if is_lost {
                self.lose(side, loan);
            } else {
                loan.keep();
            }
            return true;
        }
        false
    }

    /// Takes what became of copies that were left for later. What has failed and may go well another time is begun anew, one by
    /// one.
    fn take_settled(&self, side: Side, settled: Vec<Settled>) {
        if settled.is_empty() {
            return;
        }
        let may_go_well = |result: &Result<_>| result.as_ref().is_err_and(|error| error.retry() != Retry::No);
        let (again, settled): (Vec<_>, Vec<_>) =
            settled.into_iter().partition(|(_, result)| may_go_well(result));
        self.start_over(side, again.into_iter().map(|(file, _)| file).collect());
        let mut lagging = locked(&self.lagging);
        let done = settled.into_iter().filter_map(|(file, result)| {
            let Lagging { job, bytes, seconds } = lagging.remove(&(side, file))?;
            Some(Done::Copied { job, bytes, was_opened: true, seconds, result })
        });
        locked(&self.settled).extend(done);
    }

    /// Ends a session that is of no use any more.
    pub(super) fn lose(&self, side: Side, mut loan: Loan<'_>) {
        self.start_over(side, loan.session().unsettled());
    }

    /// Copies files again whose session has ended before it finished them, this time one by one.
    fn start_over(&self, side: Side, files: Vec<RelPath>) {
        for file in files {
            let Some(Lagging { mut job, .. }) = locked(&self.lagging).remove(&(side, file)) else { continue };
            job.may_lag = false;
            job.put.is_repeated = true;
            self.queue.add_first(Job::Copy(job));
        }
    }

    /// A session was lost without a word, and nobody knows which files it had left for later.
    fn start_all_over(&self) {
        for side in Side::BOTH {
            let files =
                locked(&self.lagging).keys().filter(|key| key.0 == side).map(|key| key.1.clone()).collect();
            self.start_over(side, files);
        }
    }

    /// What came of a job; `None` for a copy that is finished later.
    fn carry_out(&self, job: Job) -> Option<Done> {
        Some(match job {
            Job::List { ticket, side, dir, make } => {
                let result = self.persist([side], |sessions| {
                    let session = borrowed(sessions, side)?;
                    match make {
                        Make::Nothing => self.view(session, side, &dir),
                        Make::Folder => session.mkdir(&dir).map(|()| Box::new(View::empty())),
                        Make::Twin => self.make_twin(session, &dir).map(|()| Box::new(View::empty())),
                    }
                });
                Done::Listed { ticket, side, result: result.map_err(|error| error.during("list").at(&dir)) }
            }
            Job::AskTimes { ticket, side, files } => {
                let told = self.persist([side], |sessions| borrowed(sessions, side)?.own_times(&files));
                let result = told.map(|times| files.into_iter().zip(times).collect());
                Done::Times { ticket, side, result }
            }
            Job::Copy(job) if job.put.size.is_some_and(|size| size >= LARGE) => {
                let done = self.copy_large(job);
                self.queue.finished_large();
                return done;
            }
            Job::Copy(job) => return self.copy(job),
            Job::Compare { name, paths, question } => {
                Done::Compared { name, question, result: self.compare(&paths, question) }
            }
            Job::Date(job) => {
                let result =
                    self.persist([job.side], |sessions| copying::date(borrowed(sessions, job.side)?, &job));
                Done::Dated { job, result }
            }
            Job::RemoveFiles { side, files } => {
                Done::Removed { side, results: self.remove_files(side, files) }
            }
            Job::RemoveDirs { side, dirs } => Done::Removed { side, results: self.remove_dirs(side, dirs) },
            Job::RemoveTree { side, tree } => {
                let result = self.remove_tree(side, &tree);
                Done::TreeRemoved { side, root: tree.root, result }
            }
            Job::WriteMeta { ticket, side, dir, opposite, text, since } => {
                let result = self.remember(side, &dir, &opposite, text.as_deref(), &since);
                Done::MetaWritten { ticket, side, dir, result }
            }
        })
    }

    /// Borrows sessions, does the work, and tries again with fresh ones where that can help.
    pub(super) fn persist<T, const N: usize>(
        &self,
        sides: [Side; N],
        mut work: impl FnMut(&mut Sides<Option<Loan<'_>>>) -> Result<T>,
    ) -> Result<T> {
        let mut attempts = Attempts::default();
        loop {
            // Once the run is over nobody waits for it.
            self.flow.check()?;
            let outcome = self.attempt_safely(sides, &mut work);
            let error = match outcome {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            self.flow.check()?;
            let Some(pause) = attempts.pause_after(&error, self.clock.chance()) else {
                return Err(error);
            };
            self.queue.rest(self.clock.pause(pause));
        }
    }

    /// As [`Crew::attempt`]. A panic is an error: what is not said of these files would be waited for.
    fn attempt_safely<T, const N: usize>(
        &self,
        sides: [Side; N],
        work: &mut impl FnMut(&mut Sides<Option<Loan<'_>>>) -> Result<T>,
    ) -> Result<T> {
        catch_unwind(AssertUnwindSafe(|| self.attempt(sides, work))).unwrap_or_else(|_| {
            self.start_all_over();
            Err(Error::new(Kind::Io, "internal error, please report it"))
        })
    }

    fn attempt<T, const N: usize>(
        &self,
        sides: [Side; N],
        work: &mut impl FnMut(&mut Sides<Option<Loan<'_>>>) -> Result<T>,
    ) -> Result<T> {
        // Always local before remote, so that two threads never wait for each other.
        let mut loans: Sides<Option<Loan<'_>>> = Sides::default();
        for side in Side::BOTH.into_iter().filter(|side| sides.contains(side)) {
            match self.pools[side].take() {
                Ok(loan) => loans[side] = Some(loan),
                Err(error) => {
                    // It may have files to finish, of which somebody waits for word.
                    Side::BOTH.into_iter().filter_map(|side| loans[side].take()).for_each(Loan::keep);
                    return Err(error.outage());
                }
            }
        }
        let outcome = work(&mut loans);
        let is_doubtful = matches!(&outcome, Err(error) if error.retry() == Retry::NewSession);
        for side in Side::BOTH {
            let Some(mut loan) = loans[side].take() else { continue };
            self.take_settled(side, loan.session().settled(false).unwrap_or_default());
            if is_doubtful && self.is_networked(side) {
                self.lose(side, loan);
            } else {
                loan.keep();
            }
        }
        outcome
    }
}

/// Tells what was done of several jobs, and keeps the last of it for whoever has asked for one.
struct Telling<'r> {
    report: &'r Sender<Done>,
    last: Option<Done>,
}

impl<'r> Telling<'r> {
    fn new(report: &'r Sender<Done>) -> Self {
        Telling { report, last: None }
    }

    fn tell(&mut self, done: Done) {
        // Where nothing else will go well the run ends, the sooner the better.
        let earlier = if done.outage().is_some() { Some(done) } else { self.last.replace(done) };
        // Whoever does not listen any more has ended the run.
        drop(earlier.map(|done| self.report.send(done)));
    }
}

/// What is told of a folder that was to be made.
fn made_folder(ticket: Ticket, side: Side, result: Result<()>) -> Done {
    Done::Listed { ticket, side, result: result.map(|()| Box::new(View::empty())) }
}

/// Ends the run when its thread panics.
pub struct Alarm<'c, 'a>(pub &'c Crew<'a>);

impl Drop for Alarm<'_, '_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.abandon();
        }
    }
}

/// Waits up to `timeout` for something to be done. `None` when nothing was.
pub fn receive(done: &Receiver<Done>, timeout: Duration) -> Result<Option<Done>> {
    match done.recv_timeout(timeout) {
        Ok(done) => Ok(Some(done)),
        Err(RecvTimeoutError::Timeout) => Ok(None),
        Err(RecvTimeoutError::Disconnected) => Err(Error::cancelled()),
    }
}

fn no_session() -> Error {
    Error::new(Kind::Io, "no session was borrowed")
}

/// The session with a side among those that were borrowed.
pub(super) fn borrowed<'s>(
    loans: &'s mut Sides<Option<Loan<'_>>>,
    side: Side,
) -> Result<&'s mut dyn Session> {
    loans[side].as_mut().map(Loan::session).ok_or_else(no_session)
}
