//! The threads that move bytes. They take jobs, borrow sessions, try again where that can help, and report.
//!
//! They decide nothing and know no metadata; listings go first, because everything else waits for them.

use super::job::{CopyJob, DateJob, Done, Doomed, Job, Make, View};
use super::keep::{Keep, Keeping, Made, Replacement};
use super::lock::Keeper;
use super::queue::{LARGE, Next, Queue, Work};
use super::segments::{SPLIT, Segments};
use super::transfer::{Transfer, is_same, transfer};
use super::{Choice, Clock};
use crate::error::{Error, Kind, Result, Retry};
use crate::model::meta::{MAX_LOCAL_META_SIZE, MAX_META_SIZE};
use crate::model::{DirMeta, Entry, EntryKind, LOCK_FILE_NAME, META_FILE_NAME, Name, RelPath, Side, Sides};
use crate::plan::filter::is_temporary;
use crate::target::layer::{retry, shadow_mtime};
use crate::target::pool::{Loan, Pool};
use crate::target::{Expect, Put, Session, Settled, Written, next_unique};
use std::collections::HashMap;
use std::io::Read;
use std::ops::RangeInclusive;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::Scope;
use std::time::Duration;

/// A round trip of this length makes it worth while to have more connections.
const FAR: Duration = Duration::from_millis(2);

/// What the threads of a run share.
pub struct Crew<'a> {
    pools: &'a Sides<Pool>,
    clock: &'a dyn Clock,
    keeping: &'a Keeping,
    /// Folders that are not synchronised.
    hidden: Vec<RelPath>,
    /// Folders that were made for what is kept.
    made: Mutex<Made>,
    /// Set once the run is over for whatever reason: blocked work ends, waiting work is dropped.
    cancelled: AtomicBool,
    queue: Queue,
    /// Copies whose transfer is done, and which their session finishes later.
    lagging: Mutex<HashMap<(Side, RelPath), Lagging>>,
    /// The error of a side that has no room left: nothing more is sent there.
    full: Mutex<Sides<Option<Error>>>,
    /// Those of them of which more is known, to be reported.
    settled: Mutex<Vec<Done>>,
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
    ) -> Self {
        Crew {
            pools,
            clock,
            keeping,
            hidden: keeping.hidden(),
            made: Mutex::default(),
            cancelled: AtomicBool::new(false),
            queue: Queue::new(*threads.start(), *threads.end()),
            lagging: Mutex::default(),
            full: Mutex::default(),
            settled: Mutex::default(),
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
            scope.spawn(move || {
                if self.queue.admits(thread) {
                    self.work(&sender);
                }
            });
        }
        (sender, receiver)
    }

    /// How many threads there may be.
    pub(super) fn most(&self) -> usize {
        self.queue.most()
    }

    /// Carries out jobs that wait until one is done; if there are none, finishes what was left for later.
    pub(super) fn work_once(&self, choose: &mut Choice<'_>, report: &Sender<Done>) {
        loop {
            let (done, goes_on) = match self.queue.pick(choose) {
                Some(work) => (self.do_work(work), true),
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
        self.queue.add(job, || Side::BOTH.into_iter().any(|side| self.is_far(side)));
    }

    /// Whether a side answers so slowly that waiting for it, and not the bytes, takes the time.
    fn is_far(&self, side: Side) -> bool {
        self.pools[side].target().round_trip().is_some_and(|time| time >= FAR)
    }

    /// Drops all waiting jobs and interrupts those under way; the threads end.
    pub fn abandon(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
        self.close();
        for side in Side::BOTH {
            self.pools[side].close(false);
        }
    }

    /// Lets the threads end once the queue is empty.
    pub fn close(&self) {
        self.queue.close(self.cancelled.load(Ordering::Relaxed));
    }

    /// Waits for some time; tells whether the run goes on.
    pub(super) fn lasts(&self, time: Duration) -> bool {
        self.queue.lasts(time)
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
            let done = self.do_work(work);
            self.report_settled(report);
            if done.is_some_and(|done| report.send(done).is_err()) {
                return;
            }
        }
    }

    fn do_work(&self, work: Work) -> Option<Done> {
        match work {
            Work::Job(job) => self.carry_out(job),
            Work::Part(segments) => {
                self.help(&segments);
                None
            }
        }
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

    /// Takes what became of copies that were left for later.
    fn take_settled(&self, side: Side, settled: Vec<Settled>) {
        if settled.is_empty() {
            return;
        }
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
                let result = self.persist([side], |sessions| match make {
                    Make::Nothing => self.view(borrowed(sessions, side)?, side, &dir),
                    Make::Folder => borrowed(sessions, side)?
                        .mkdir(&dir)
                        .map(|()| Box::new(View { complete: true, ..View::default() })),
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
            Job::Compare { name, paths } => Done::Compared { name, result: self.compare(&paths) },
            Job::Date(job) => {
                let result = self.persist([job.side], |sessions| date(borrowed(sessions, job.side)?, &job));
                Done::Dated { job, result }
            }
            Job::RemoveFiles { side, files } => {
                Done::Removed { side, results: self.remove_files(side, files) }
            }
            Job::RemoveDirs { side, dirs } => Done::Removed { side, results: self.remove_dirs(side, dirs) },
            Job::WriteMeta { ticket, side, dir, opposite, text } => {
                let result = self.secure(side.other(), &opposite).and_then(|()| {
                    self.persist([side], |sessions| {
                        write_meta(borrowed(sessions, side)?, &dir, text.as_deref())
                    })
                });
                Done::MetaWritten { ticket, side, dir, result }
            }
        })
    }

    /// Reads two files at the same time, one on each side.
    fn compare(&self, paths: &Sides<RelPath>) -> Result<bool> {
        self.persist(Side::BOTH, |sessions| {
            let Sides { local: Some(local), remote: Some(remote) } = sessions else {
                return Err(no_session());
            };
            let (local, remote) = ((local.session(), &paths.local), (remote.session(), &paths.remote));
            is_same(local, remote, &self.cancelled)
        })
    }

    /// A large file comes over several connections if that helps.
    fn copy_large(&self, job: Box<CopyJob>) -> Option<Done> {
        let begun = self.clock.elapsed();
        match self.copy_in_segments(&job) {
            None => self.copy(job),
            Some((bytes, result)) => {
                let seconds = self.clock.elapsed() - begun;
                Some(Done::Copied { job, bytes, was_opened: bytes > 0, seconds, result })
            }
        }
    }

    /// `None` if the file is to be copied as others are.
    fn copy_in_segments(&self, job: &CopyJob) -> Option<(u64, Result<Written>)> {
        let from = job.to.other();
        // What is replaced is kept while the new content waits under a temporary name: one file, one session.
        let size = job.put.size.filter(|&size| size >= SPLIT && job.keep.is_none())?;
        if !self.is_far(from) || locked(&self.full)[job.to].is_some() {
            return None;
        }
        let source = [(job.source.clone(), Expect::File(Some(size), job.put.mtime))];
        let is_the_same = || {
            self.persist([from], |sessions| {
                let session = borrowed(sessions, from)?;
                if !session.can_read_from() {
                    return Ok(false);
                }
                Ok(session.still(&source).pop().unwrap_or(Ok(None))? == Some(true))
            })
        };
        // Ranges of different contents must not become one file: no ranges from a server that cannot tell.
        if !is_the_same().unwrap_or(false) {
            return None;
        }
        let parts = self.persist([job.to], |sessions| {
            let session = borrowed(sessions, job.to)?;
            if job.needs_folders {
                make_folders(session, &job.target)?;
            }
            session.write_parts(&job.target, &job.put)
        });
        let segments = match parts {
            Ok(None) => return None,
            Ok(Some(parts)) => Arc::new(Segments::new(from, job, size, parts)),
            Err(error) => return Some((0, Err(error))),
        };
        self.queue.add_readers(&segments);
        let written = self.read_all(&segments).and_then(|()| match is_the_same()? {
            true => segments.finish(),
            false => {
                let error = Error::new(Kind::Changed, "the file changed while it was being read");
                Err(error.during("read").at(&job.source))
            }
        });
        segments.give_up();
        match written {
            // The server has announced what it does not do.
            Err(error) if error.kind() == Kind::Unsupported => None,
            written => Some((segments.arrived(), written)),
        }
    }

    /// Reads until all ranges have arrived, also those that others have begun and could not finish.
    fn read_all(&self, segments: &Segments) -> Result<()> {
        let from = segments.from();
        loop {
            let read =
                self.persist([from], |sessions| segments.read(borrowed(sessions, from)?, &self.cancelled));
            if read.is_err() || segments.is_complete(&self.cancelled)? {
                return read;
            }
            if segments.is_hopeless() {
                return Err(Error::new(Kind::Disconnected, "too many connections failed").during("read"));
            }
        }
    }

    /// Reads ranges of a file that another thread copies. If that fails, the others read them.
    fn help(&self, segments: &Segments) {
        let from = segments.from();
        drop(self.attempt([from], &mut |sessions| segments.read(borrowed(sessions, from)?, &self.cancelled)));
    }

    fn copy(&self, job: Box<CopyJob>) -> Option<Done> {
        if let Some(error) = &locked(&self.full)[job.to] {
            let result = Err(error.duplicate().told());
            return Some(Done::Copied { job, bytes: 0, was_opened: true, seconds: 0.0, result });
        }
        let to = job.to;
        let (mut bytes, mut was_opened) = (0, false);
        let begun = self.clock.elapsed();
        // Taken out once the session has left the rest for later; until then every attempt needs it.
        let mut waiting = Some(job);
        let result = self.persist(Side::BOTH, |sessions| {
            let (Sides { local: Some(local), remote: Some(remote) }, Some(job)) = (sessions, &mut waiting)
            else {
                return Err(no_session());
            };
            let (from, to) = match job.to {
                Side::Remote => (local, remote),
                Side::Local => (remote, local),
            };
            if job.needs_folders {
                make_folders(to.session(), &job.target)?;
            }
            let moved = self.move_file(job, from.session(), to.session())?;
            bytes += moved.bytes;
            was_opened |= moved.was_opened;
            let written = moved.result.inspect_err(|error| {
                job.put.is_repeated = true;
                if error.has_damaged() {
                    // What is there now is nobody's work.
                    job.put.expect = Expect::Anything;
                }
            })?;
            if written.is_none()
                && let Some(job) = waiting.take()
            {
                let seconds = self.clock.elapsed() - begun;
                let key = (job.to, job.target.clone());
                locked(&self.lagging).insert(key, Lagging { job, bytes, seconds });
            }
            Ok(written)
        });
        let seconds = self.clock.elapsed() - begun;
        if let Err(error) = &result
            && matches!(error.reply(), Some((452 | 552, _)))
        {
            locked(&self.full)[to] = Some(error.duplicate());
        }
        let result = result.and_then(|written| written.ok_or_else(no_session));
        waiting.map(|job| Done::Copied { job, bytes, was_opened, seconds, result })
    }

    /// Brings the content of a file to the other side; what it replaces is kept first, if that is wanted.
    fn move_file(&self, job: &CopyJob, from: &mut dyn Session, to: &mut dyn Session) -> Result<Transfer> {
        match &job.keep {
            Some(keep) if keep.on == job.to => {
                locked(&self.made).above(keep.on, to, &keep.to)?;
                let replacement = Replacement {
                    from: (from, &job.source),
                    to: (to, &job.target),
                    kept: &keep.to,
                    put: &job.put,
                    unique: next_unique(),
                };
                return Ok(replacement.carry_out(&self.cancelled));
            }
            Some(keep) => {
                locked(&self.made).above(keep.on, from, &keep.to)?;
                self.fetch_old(job, keep, to, from)?;
            }
            None => {}
        }
        let (source, target) = ((from, &job.source), (to, &job.target));
        Ok(transfer(source, target, &job.put, job.may_lag, &self.cancelled))
    }

    /// Copies the file that is to be replaced to where it is kept, on the other side.
    fn fetch_old(
        &self,
        job: &CopyJob,
        keep: &Keep,
        holder: &mut dyn Session,
        keeper: &mut dyn Session,
    ) -> Result<()> {
        let put = match job.put.expect {
            Expect::File(size, mtime) => Put { size, mtime, ..Put::default() },
            Expect::Anything | Expect::Absent => Put::default(),
        };
        let (source, target) = ((holder, &job.target), (keeper, &keep.to));
        transfer(source, target, &put, false, &self.cancelled).result.map(drop)
    }

    /// Deletes files, after a last look at both sides: the other one must really not have them (a listing may hide names),
    /// and nobody may have worked on them since they were listed.
    fn remove_files(&self, side: Side, files: Vec<Doomed>) -> Vec<(RelPath, Result<()>)> {
        let gone: Vec<(usize, (RelPath, Expect))> = files
            .iter()
            .enumerate()
            .filter_map(|(index, doomed)| Some((index, (doomed.gone_from.clone()?, Expect::Absent))))
            .collect();
        let still: Vec<(usize, (RelPath, Expect))> = files
            .iter()
            .enumerate()
            .map(|(index, doomed)| (index, (doomed.path.clone(), doomed.expect)))
            .collect();
        let mut refusals: HashMap<usize, Error> =
            self.doubts(side.other(), &gone, "the other side has it after all");
        refusals.extend(self.doubts(side, &still, "it was changed since it was listed"));
        let (mut sure, mut results) = (Vec::new(), Vec::new());
        for (index, doomed) in files.into_iter().enumerate() {
            match refusals.remove(&index) {
                Some(error) => results.push((doomed.path, Err(error))),
                None => sure.push(doomed.path),
            }
        }
        let remove = |session: &mut dyn Session, files: &[RelPath]| match &self.keeping.backup {
            None => session.remove_files(files),
            Some(_) => files.iter().map(|file| self.put_away(session, side, file)).collect(),
        };
        results.extend(self.remove_all(side, sure, remove));
        results
    }

    /// Moves a file to the backup folder instead of removing it. What an interrupted run has left behind is nobody's content.
    fn put_away(&self, session: &mut dyn Session, side: Side, file: &RelPath) -> Result<()> {
        let backup = self.keeping.backup_of(file).filter(|_| !is_temporary(file.file_name()));
        let Some(backup) = backup else {
            return session.remove_file(file);
        };
        locked(&self.made).above(side, session, &backup)?;
        session.rename(file, &backup)
    }

    /// Which names are not as they should be; what a side cannot tell is taken for granted.
    fn doubts(&self, side: Side, names: &[(usize, (RelPath, Expect))], why: &str) -> HashMap<usize, Error> {
        let questions: Vec<(RelPath, Expect)> = names.iter().map(|(_, name)| name.clone()).collect();
        if questions.is_empty() {
            return HashMap::new();
        }
        let answers = self.persist([side], |sessions| {
            borrowed(sessions, side)?.still(&questions).into_iter().collect::<Result<Vec<_>>>()
        });
        let doubt = |path: &RelPath, why: &str| Error::new(Kind::Changed, why).during("delete").at(path);
        match answers {
            Ok(answers) => names
                .iter()
                .zip(answers)
                .filter(|(_, answer)| *answer == Some(false))
                .map(|((index, (path, _)), _)| (*index, doubt(path, why)))
                .collect(),
            Err(error) => names.iter().map(|(index, _)| (*index, error.duplicate())).collect(),
        }
    }

    /// What the memory of one side claims of a disk on the other must outlast a power cut there as well.
    fn secure(&self, side: Side, dir: &RelPath) -> Result<()> {
        if self.pools[side].target().caps().is_networked {
            return Ok(());
        }
        self.persist([side], |sessions| borrowed(sessions, side)?.secure(dir))
    }

    fn remove_dirs(&self, side: Side, dirs: Vec<(RelPath, bool)>) -> Vec<(RelPath, Result<()>)> {
        let own = |dir: &RelPath| Name::new(META_FILE_NAME).map(|name| dir.join(&name)).ok();
        let metas: Vec<RelPath> =
            dirs.iter().filter(|(_, has_meta)| *has_meta).filter_map(|(dir, _)| own(dir)).collect();
        // A metadata file that will not go shows in the result for its folder.
        drop(self.remove_all(side, metas, |session, files| session.remove_files(files)));
        let dirs = dirs.into_iter().map(|(dir, _)| dir).collect();
        self.remove_all(side, dirs, |session, dirs| session.remove_dirs(dirs))
    }

    /// Removes everything listed; after a lost conversation it goes on with what has no answer yet.
    fn remove_all(
        &self,
        side: Side,
        paths: Vec<RelPath>,
        remove: impl Fn(&mut dyn Session, &[RelPath]) -> Vec<Result<()>>,
    ) -> Vec<(RelPath, Result<()>)> {
        let mut answers: Vec<Result<()>> = Vec::with_capacity(paths.len());
        while answers.len() < paths.len() {
            let before = answers.len();
            let went_on = self.persist([side], |sessions| {
                let session = borrowed(sessions, side)?;
                for result in remove(session, &paths[answers.len()..]) {
                    match result {
                        Err(error) if error.retry() != Retry::No => return Err(error),
                        // What is gone already is as it should be.
                        Err(error) if error.kind() == Kind::NotFound => answers.push(Ok(())),
                        result => answers.push(result),
                    }
                }
                Ok(())
            });
            match went_on {
                Ok(()) if answers.len() > before => {}
                Ok(()) => answers.push(Err(Error::new(Kind::Protocol, "no answer").during("delete"))),
                Err(error) => answers.push(Err(error)),
            }
        }
        paths.into_iter().zip(answers).collect()
    }

    /// Borrows sessions, does the work, and tries again with fresh ones where that can help.
    pub(super) fn persist<T, const N: usize>(
        &self,
        sides: [Side; N],
        mut work: impl FnMut(&mut Sides<Option<Loan<'_>>>) -> Result<T>,
    ) -> Result<T> {
        let mut attempt = 1;
        loop {
            let outcome =
                catch_unwind(AssertUnwindSafe(|| self.attempt(sides, &mut work))).unwrap_or_else(|_| {
                    self.start_all_over();
                    Err(Error::new(Kind::Io, "internal error, please report it"))
                });
            let error = match outcome {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            if self.cancelled.load(Ordering::Relaxed) {
                return Err(Error::cancelled());
            }
            let Some(pause) = retry::pause(&error, attempt, self.clock.elapsed().fract()) else {
                return Err(error);
            };
            self.queue.rest(self.clock.pause(pause));
            attempt += 1;
        }
    }

    fn attempt<T, const N: usize>(
        &self,
        sides: [Side; N],
        work: &mut impl FnMut(&mut Sides<Option<Loan<'_>>>) -> Result<T>,
    ) -> Result<T> {
        // Always local before remote, so that two threads never wait for each other.
        let mut loans: Sides<Option<Loan<'_>>> = Sides::default();
        for side in Side::BOTH.into_iter().filter(|side| sides.contains(side)) {
            loans[side] = Some(self.pools[side].take().map_err(Error::outage)?);
        }
        let outcome = work(&mut loans);
        let is_doubtful = matches!(&outcome, Err(error) if error.retry() == Retry::NewSession);
        for side in Side::BOTH {
            let Some(mut loan) = loans[side].take() else { continue };
            self.take_settled(side, loan.session().settled(false).unwrap_or_default());
            if is_doubtful && self.pools[side].target().caps().is_networked {
                self.lose(side, loan);
            } else {
                loan.keep();
            }
        }
        outcome
    }
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

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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

/// Sets the time of a file that is as it was listed; false if the side cannot keep it.
fn date(session: &mut dyn Session, job: &DateJob) -> Result<bool> {
    let answer = session.still(&[(job.path.clone(), job.expect)]).pop().transpose()?.flatten();
    if answer == Some(false) {
        let why = "it was changed since it was listed; the next run decides anew";
        return Err(Error::new(Kind::Changed, why).during("set the time of").at(&job.path));
    }
    match session.set_mtime(&job.path, job.at) {
        Err(error) if error.kind() == Kind::Unsupported => Ok(false),
        result => result.map(|()| true),
    }
}

/// Makes every folder above a file; those that are there are fine.
fn make_folders(session: &mut dyn Session, file: &RelPath) -> Result<()> {
    let mut missing = Vec::new();
    let mut folder = file.parent();
    while let Some(path) = folder.filter(|path| !path.is_root()) {
        folder = path.parent();
        missing.push(path);
    }
    missing.iter().rev().try_for_each(|path| session.mkdir(path))
}

/// Whether the times that metadata remembers count on a side. On a disk the file's own time is always the true one.
fn keeps_shadows(pool: &Pool) -> bool {
    let caps = pool.target().caps();
    caps.is_networked || !caps.sets_mtime
}

impl Crew<'_> {
    /// Lists a folder and reads its metadata.
    fn view(&self, session: &mut dyn Session, side: Side, dir: &RelPath) -> Result<Box<View>> {
        let mut listing = session.list(dir)?;
        for name in
            self.hidden.iter().filter(|path| path.parent().as_ref() == Some(dir)).map(RelPath::file_name)
        {
            let is_hidden = |entry: &Entry| entry.name.as_str() == name;
            listing
                .present_but_skipped
                .extend(listing.entries.extract_if(.., |entry| is_hidden(entry)).map(|entry| entry.name));
        }
        let (mut meta_size, mut meta_time, mut lock_time, mut leftovers) = (None, None, None, Vec::new());
        listing.entries.retain(|entry| {
            let name = entry.name.as_str();
            if name == META_FILE_NAME && entry.kind == EntryKind::File {
                meta_size = Some(entry.size.unwrap_or(0));
                meta_time = entry.mtime_org.map(|at| at.as_secs_f64());
            }
            let is_lock = name == LOCK_FILE_NAME && dir.is_root();
            if is_lock {
                lock_time = entry.mtime_org;
            }
            if is_temporary(name) && entry.is_file() {
                leftovers.push(entry.clone());
            }
            name != META_FILE_NAME && !is_lock && !is_temporary(name)
        });
        let mut view = View { leftovers, lock_time, meta_time, ..View::default() };
        if let Some(size) = meta_size {
            read_meta(session, side, dir, size, &mut view)?;
        }
        if keeps_shadows(&self.pools[side]) {
            shadow_mtime::apply(&mut listing, &mut view.meta);
        }
        view.entries = listing.entries;
        view.complete = listing.complete;
        view.notes = listing.notes;
        view.present_but_skipped = listing.present_but_skipped;
        view.guessed = listing.guessed;
        Ok(Box::new(view))
    }
}

fn read_meta(session: &mut dyn Session, side: Side, dir: &RelPath, size: u64, view: &mut View) -> Result<()> {
    use crate::model::meta::MetaError;
    let Ok(name) = Name::new(META_FILE_NAME) else {
        return Ok(());
    };
    let most = if side == Side::Local { MAX_LOCAL_META_SIZE } else { MAX_META_SIZE };
    let mut bytes = Vec::new();
    let read = if size > most {
        Err(Error::new(Kind::Size, "too large"))
    } else {
        session.read(&dir.join(&name), &mut |body| {
            bytes.clear();
            body.take(most + 1).read_to_end(&mut bytes).map_err(Error::from)?;
            Ok(())
        })
    };
    let parsed = match read {
        Err(error) if error.retry() == Retry::NewSession => return Err(error),
        // A memory that is there and may not be read says what was deleted, only not to us.
        Err(error) if side == Side::Local && error.kind() != Kind::Size => return Err(error),
        Err(error) => Err(MetaError::Invalid(error.to_string())),
        Ok(()) => DirMeta::parse(&bytes),
    };
    view.meta_chars = String::from_utf8_lossy(&bytes).chars().count() as u64;
    match parsed {
        Ok(meta) => view.meta = meta,
        Err(problem) => {
            view.meta = DirMeta::replacing(matches!(problem, MetaError::Version(_)));
            view.meta_problem = Some(problem);
        }
    }
    Ok(())
}

/// Writes the metadata file of a folder, or removes it if there is no text.
pub fn write_meta(session: &mut dyn Session, dir: &RelPath, text: Option<&str>) -> Result<()> {
    let Ok(name) = Name::new(META_FILE_NAME) else {
        return Ok(());
    };
    let path = dir.join(&name);
    match text {
        Some(text) => {
            let put = Put { size: Some(text.len() as u64), ..Put::default() };
            session.write(&path, &mut text.as_bytes(), &put).map(drop)
        }
        None => match session.remove_file(&path) {
            Err(error) if error.kind() == Kind::NotFound => Ok(()),
            result => result,
        },
    }
}
