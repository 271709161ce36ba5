//! Bringing the content of one file to the other side, by one session on each or by several.

use super::{Crew, Lagging, NoRoom, Telling, borrowed, no_session};
use crate::engine::job::{CopyJob, DateJob, Done};
use crate::engine::keep::{Keep, Replacement, aside, is_certainly, sibling, take_name};
use crate::engine::queue::SMALL;
use crate::engine::segments::{SPLIT, Segments};
use crate::engine::transfer::{Origin, Transfer, held_by_any, is_beginning, is_same, transfer};
use crate::error::{Error, Kind, Result, Retry};
use crate::locked::locked;
use crate::model::{RelPath, Side, Sides};
use crate::plan::contents::Question;
use crate::target::pool::Loan;
use crate::target::{Expect, Put, Session, Written, is_good_so_far, next_unique};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::Sender;

impl Crew<'_> {
    /// Reads two files at the same time, one on each side.
    pub(super) fn compare(&self, paths: &Sides<RelPath>, question: Question) -> Result<bool> {
        self.persist(Side::BOTH, |sessions| {
            let Sides { local: Some(local), remote: Some(remote) } = sessions else {
                return Err(no_session());
            };
            let (local, remote) = ((local.session(), &paths.local), (remote.session(), &paths.remote));
            match question {
                Question::AreSame => is_same(local, remote, &self.flow),
                Question::IsStump(Side::Local) => is_beginning(local, remote, &self.flow),
                Question::IsStump(Side::Remote) => is_beginning(remote, local, &self.flow),
            }
        })
    }

    /// A large file comes over several connections if that helps.
    pub(super) fn copy_large(&self, job: Box<CopyJob>) -> Option<Done> {
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
        let size = job.put.size.filter(|&size| size >= SPLIT)?;
        if !self.is_far(from) || self.no_room_for(job).is_some() {
            return None;
        }
        // What is replaced and kept has its name until all of the new content is there.
        let (landing, put) = match &job.keep {
            None => (job.target.clone(), job.put),
            Some(keep) if keep.on == job.to => (sibling(&job.target, next_unique()).ok()?, aside(&job.put)),
            Some(_) => return None,
        };
        let source = [(job.source.clone(), job.listed)];
        let is_the_same = |session: &mut dyn Session| {
            session.still(&source).pop().unwrap_or(Ok(None)).map(|answer| answer == Some(true))
        };
        // Ranges of different contents must not become one file: no ranges from a server that cannot tell.
        let is_fit = self.persist([from], |sessions| {
            let session = borrowed(sessions, from)?;
            Ok(session.gains_by_parts() && is_the_same(session)?)
        });
        if !is_fit.unwrap_or(false) {
            return None;
        }
        let held = match &job.keep {
            None => self.held_by_any(job)?,
            Some(_) => 0,
        };
        let put = Put { from: held, ..put };
        let parts = self.persist([job.to], |sessions| {
            let session = borrowed(sessions, job.to)?;
            if job.needs_folders {
                make_folders(session, &job.target)?;
            }
            session.write_parts(&landing, &put)
        });
        let segments = match parts {
            Ok(Some(parts)) => Arc::new(Segments::new(job, held, size, parts)),
            Err(error) if held == 0 => return Some((0, Err(error))),
            Ok(None) | Err(_) => return None,
        };
        self.queue.share(&segments);
        let written = self.read_all(&segments).and_then(|()| {
            // That other files do not come in ranges any more says nothing about this one.
            if self.persist([from], |sessions| is_the_same(borrowed(sessions, from)?))? {
                self.finish(job, &segments, &landing)
            } else {
                let error = Error::new(Kind::Changed, "the file changed while it was being read");
                Err(error.during("read").at(&job.source))
            }
        });
        let is_good = matches!(&written, Err(error) if is_good_so_far(error));
        segments.give_up(is_good && job.keep.is_none());
        self.queue.unshare(&segments);
        match written {
            // The server has announced what it does not do.
            Err(error) if error.kind() == Kind::Unsupported => None,
            written => Some((segments.arrived(), written)),
        }
    }

    /// How much of a file is here already, for readers of which each has a range of the rest. `None` if only one reader can tell.
    fn held_by_any(&self, job: &CopyJob) -> Option<u64> {
        let from = job.to.other();
        let asked = self.persist(Side::BOTH, |sessions| {
            let Sides { local: Some(local), remote: Some(remote) } = sessions else {
                return Err(no_session());
            };
            let (source, to) = match from {
                Side::Local => (local, remote),
                Side::Remote => (remote, local),
            };
            let source = Origin { session: source.session(), path: &job.source, listed: job.listed };
            held_by_any(source, (to.session(), &job.target), &job.put)
        });
        asked.ok().flatten()
    }

    /// Puts what has arrived in ranges at its name. What it replaces is kept, if that is wanted.
    fn finish(&self, job: &CopyJob, segments: &Segments, landing: &RelPath) -> Result<Written> {
        let written = segments.finish()?;
        let Some(keep) = &job.keep else { return Ok(written) };
        self.persist([job.to], |sessions| {
            let session = borrowed(sessions, job.to)?;
            locked(&self.made).above(keep.on, session, &keep.to)?;
            take_name(session, landing, &job.target, &keep.to, &job.put)
        })?;
        Ok(written)
    }

    /// Reads until all ranges have arrived, also those that others have begun and could not finish.
    fn read_all(&self, segments: &Segments) -> Result<()> {
        let from = segments.from();
        loop {
            let read = self.persist([from], |sessions| segments.read(borrowed(sessions, from)?, &self.flow));
            if read.is_err() || segments.is_complete(&self.flow)? {
                return read;
            }
            if segments.is_hopeless() {
                return Err(Error::new(Kind::Disconnected, "too many connections failed").during("read"));
            }
        }
    }

    /// Reads ranges of a file that another thread copies. If that fails, the others read them.
    pub(super) fn help(&self, segments: &Segments) {
        let from = segments.from();
        drop(self.attempt([from], &mut |sessions| segments.read(borrowed(sessions, from)?, &self.flow)));
    }

    /// Makes a folder that a side may take for another one, unless that is there.
    pub(super) fn make_twin(&self, session: &mut dyn Session, dir: &RelPath) -> Result<()> {
        let _one_at_a_time = locked(&self.twin_folders);
        match session.list(dir) {
            Ok(_) => Err(taken_for_another().during("make the folder").at(dir)),
            Err(error) if error.retry() == Retry::NewSession => Err(error),
            Err(_) => session.mkdir(dir),
        }
    }

    pub(super) fn copy(&self, job: Box<CopyJob>) -> Option<Done> {
        if let Some(error) = self.no_room_for(&job) {
            let result = Err(error.told());
            return Some(Done::Copied { job, bytes: 0, was_opened: true, seconds: 0.0, result });
        }
        self.copy_patiently(Copying::new(job, self.clock.elapsed()))
    }

    fn copy_patiently(&self, mut copy: Copying) -> Option<Done> {
        let result = self.persist(Side::BOTH, |sessions| self.try_to_copy(&mut copy, sessions));
        self.copied(copy, result)
    }

    /// Whether a file is copied in a row with others, because it is small and its source wants to know the next ones.
    pub(super) fn reads_ahead(&self, job: &CopyJob) -> bool {
        let is_small = job.put.size.is_some_and(|size| size <= SMALL);
        is_small && self.pools[job.to.other()].target().caps().reads_ahead
    }

    /// Copies a file, and in the same sessions the small ones that wait behind it. What is left to report of them.
    pub(super) fn copy_row(&self, first: Box<CopyJob>, report: &Sender<Done>) -> Option<Done> {
        let mut row = self.queue.take_row(first);
        let mut telling = Telling::new(report);
        let mut under_way: Option<Copying> = None;
        if row.len() > 1 {
            let attempt = self.attempt_safely(Side::BOTH, &mut |sessions| {
                let Some(from) = row.front().map(|job| job.to.other()) else { return Ok(()) };
                announce(borrowed(sessions, from)?, &row);
                while row.front().is_some_and(|job| self.no_room_for(job).is_none())
                    && let Some(job) = row.pop_front()
                {
                    let copy = under_way.insert(Copying::new(job, self.clock.elapsed()));
                    let result = self.try_to_copy(copy, sessions);
                    if let Err(error) = &result
                        && error.retry() != Retry::No
                    {
                        announce(borrowed(sessions, from)?, &VecDeque::new());
                        return result.map(drop);
                    }
                    if let Some(done) = under_way.take().and_then(|copy| self.copied(copy, result)) {
                        telling.tell(done);
                    }
                }
                // What was announced and is not read now stays open no longer.
                announce(borrowed(sessions, from)?, &VecDeque::new());
                Ok(())
            });
            // The files that are left are tried one by one, and tell what is wrong.
            drop(attempt);
        }
        let copies = under_way.into_iter().filter_map(|copy| self.copy_patiently(copy));
        copies.for_each(|done| telling.tell(done));
        row.into_iter().filter_map(|job| self.copy(job)).for_each(|done| telling.tell(done));
        telling.last
    }

    /// The error of an earlier file, if this one is as large.
    fn no_room_for(&self, job: &CopyJob) -> Option<Error> {
        let full = locked(&self.full);
        let met = full[job.to].as_ref()?;
        (job.put.size.unwrap_or(u64::MAX) >= met.size).then(|| met.error.duplicate())
    }

    fn met_no_room(&self, job: &CopyJob, error: &Error) {
        let size = job.put.size.unwrap_or(0);
        let mut full = locked(&self.full);
        if full[job.to].as_ref().is_none_or(|met| size < met.size) {
            full[job.to] = Some(NoRoom { size, error: error.duplicate() });
        }
    }

    /// One attempt to copy a file. `None`: the session has left the rest for later.
    fn try_to_copy(
        &self,
        copy: &mut Copying,
        sessions: &mut Sides<Option<Loan<'_>>>,
    ) -> Result<Option<Written>> {
        let (Sides { local: Some(local), remote: Some(remote) }, Some(job)) = (sessions, &mut copy.job)
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
        if job.has_twin && job.put.expect == Expect::Absent && !job.put.is_repeated {
            refuse_twin(to.session(), &job.target)?;
        }
        let moved = self.move_file(job, from.session(), to.session())?;
        copy.bytes += moved.bytes;
        copy.was_opened |= moved.was_opened;
        let written = moved.result.inspect_err(|error| {
            job.put.is_repeated = true;
            if error.has_damaged() {
                job.put.has_destroyed();
            } else if error.is_intact() {
                job.put.has_spared();
            }
        })?;
        let written = written.map(|written| date_as_carried(job, from.session(), to.session(), written));
        if written.is_none()
            && let Some(job) = copy.job.take()
        {
            let seconds = self.clock.elapsed() - copy.begun;
            let key = (job.to, job.target.clone());
            locked(&self.lagging).insert(key, Lagging { job, bytes: copy.bytes, seconds });
        }
        Ok(written)
    }

    /// What is to be reported of a copy; `None` if its session has left the rest for later.
    fn copied(&self, copy: Copying, result: Result<Option<Written>>) -> Option<Done> {
        let Copying { job, bytes, was_opened, begun } = copy;
        let job = job?;
        if let Err(error) = &result
            && matches!(error.reply(), Some((452 | 552, _)))
        {
            self.met_no_room(&job, error);
        }
        let seconds = self.clock.elapsed() - begun;
        // The last attempt may have failed in a harmless way.
        let with_harm = |error: Error| if job.put.destroyed.is_some() { error.damaged() } else { error };
        let result = result.and_then(|written| written.ok_or_else(no_session)).map_err(with_harm);
        Some(Done::Copied { job, bytes, was_opened, seconds, result })
    }

    /// Brings the content of a file to the other side; what it replaces is kept first, if that is wanted.
    fn move_file(&self, job: &CopyJob, from: &mut dyn Session, to: &mut dyn Session) -> Result<Transfer> {
        match &job.keep {
            Some(keep) if keep.on == job.to => {
                locked(&self.made).above(keep.on, to, &keep.to)?;
                let replacement = Replacement {
                    from: Origin { session: from, path: &job.source, listed: job.listed },
                    to: (to, &job.target),
                    kept: &keep.to,
                    put: &job.put,
                    unique: next_unique(),
                };
                return Ok(replacement.carry_out(&self.flow));
            }
            Some(keep) => {
                locked(&self.made).above(keep.on, from, &keep.to)?;
                self.fetch_old(job, keep, to, from)?;
            }
            None => {}
        }
        let source = Origin { session: from, path: &job.source, listed: job.listed };
        Ok(transfer(source, (to, &job.target), &job.put, job.may_lag, &self.flow))
    }

    /// Copies the file that is to be replaced to where it is kept, on the other side.
    fn fetch_old(
        &self,
        job: &CopyJob,
        keep: &Keep,
        holder: &mut dyn Session,
        keeper: &mut dyn Session,
    ) -> Result<()> {
        if job.put.is_repeated && is_certainly(keeper, &keep.to, Expect::Absent, false)? {
            // An attempt whose answer was lost has kept it; at its name there may be the new content by now.
            return Ok(());
        }
        let put = match job.put.expect {
            Expect::File(size, mtime) => Put { size, mtime, ..Put::default() },
            Expect::Anything | Expect::Absent => Put::default(),
        };
        let source = Origin { session: holder, path: &job.target, listed: job.put.expect };
        transfer(source, (keeper, &keep.to), &put, false, &self.flow).result.map(drop)
    }
}

/// A copy under way.
struct Copying {
    /// Taken out once the session has left the rest for later; until then every attempt needs it.
    job: Option<Box<CopyJob>>,
    /// Bytes read, by all attempts.
    bytes: u64,
    was_opened: bool,
    /// When the first attempt began, by [`Clock::elapsed`](crate::engine::Clock::elapsed).
    begun: f64,
}

impl Copying {
    fn new(job: Box<CopyJob>, begun: f64) -> Self {
        Copying { job: Some(job), bytes: 0, was_opened: false, begun }
    }
}

/// Tells a session which files will be read next.
fn announce(session: &mut dyn Session, row: &VecDeque<Box<CopyJob>>) {
    let files: Vec<_> = row.iter().map(|job| (&job.source, job.put.size.unwrap_or(0))).collect();
    session.announce(&files);
}

/// Sets the time of a file that is as it was listed; false if the side cannot keep it.
pub(super) fn date(session: &mut dyn Session, job: &DateJob) -> Result<bool> {
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

/// Refuses a name that a side takes for that of a file which has just been put there. A side that cannot be asked is tried.
fn refuse_twin(session: &mut dyn Session, file: &RelPath) -> Result<()> {
    let is_free = match session.still(&[(file.clone(), Expect::Absent)]).pop().transpose()?.flatten() {
        Some(is_free) => is_free,
        None => match session.read(file, &mut |_| Ok(())) {
            Err(error) if error.retry() == Retry::NewSession => return Err(error),
            read => read.is_err(),
        },
    };
    if is_free { Ok(()) } else { Err(taken_for_another().during("write").at(file)) }
}

fn taken_for_another() -> Error {
    let why = "this side takes it for the same name as another one, which differs only in case or in its form of Unicode";
    Error::new(Kind::Clash, why)
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

/// Gives a copy the time that its source carries with it but does not list, if only the reader has learned it.
fn date_as_carried(
    job: &mut CopyJob,
    from: &mut dyn Session,
    to: &mut dyn Session,
    written: Written,
) -> Written {
    let Expect::File(_, listed) = job.listed else { return written };
    let Some(at) = from.carried_time(&job.source).filter(|_| listed.is_some() && job.put.mtime == listed)
    else {
        return written;
    };
    match to.set_mtime(&job.target, at) {
        Ok(()) => {
            job.put.mtime = Some(at);
            Written { mtime_kept: true, shown: Some(at), dated: listed, ..written }
        }
        // It is remembered then.
        Err(error) if error.kind() == Kind::Unsupported => {
            job.put.mtime = Some(at);
            Written { mtime_kept: false, ..written }
        }
        // The file is there, as it is listed.
        Err(_) => written,
    }
}
