//! The lock file: taken when a run begins, renewed while it lasts, removed when it ends.
//!
//! One keeper for each side that is changed over a network, on a thread of its own: neither long transfers nor a question
//! to the user keep it from renewing. Whether a lock of somebody else counts is decided in [`crate::plan::lock`].

use super::crew::{Alarm, Crew, borrowed};
use super::job::Done;
use super::{Clock, Run};
use crate::error::{Error, Kind, Result, Retry};
use crate::locked::locked;
use crate::model::lock::{Holder, Lock, MAX_LOCK_SIZE};
use crate::model::{Entry, LOCK_FILE_NAME, Name, RelPath, Side, Stamp};
use crate::plan::lock::{Claim, Found, Leftover, LockRules, duration, judge};
use crate::target::pool::Loan;
use crate::target::{Expect, Put, Session, Target, next_unique, temp_name};
use std::collections::BTreeSet;
use std::io::{self, Read};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::Builder;
use std::time::Duration;

/// Other programs may take a lock for left over after this time (seconds), whatever this run was told.
pub const USUAL_AGE: f64 = 900.0;
/// A lock is renewed so many times before it would count as left over.
const RENEWALS: f64 = 5.0;
/// How often a keeper looks at the clock.
const LOOK: Duration = Duration::from_millis(100);
/// So many seconds after it was taken it is looked at again: somebody whose connection is slow may have found none before ours was
/// there, and have written his own over it since.
const SECOND_LOOKS: [f64; 3] = [1.0, 3.0, 10.0];
/// How often a lock that is no whole one is looked at again, each time after [`LOOK`]. Writing it takes three round trips.
const WRITING: u32 = 30;
/// How long the removal may take at the end of a run that went well.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long it may take after an interruption or an outage.
const HASTE: Duration = Duration::from_secs(4);

/// The tokens of runs of this process that have ended, and whose locks are perhaps still there: this process still exists.
static UNREMOVED: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

fn is_unremoved(found: &Found) -> bool {
    let Found::Lock(Lock { holder: Some(Holder { token: Some(token), .. }), .. }) = found else {
        return false;
    };
    locked(&UNREMOVED).contains(token)
}

/// What a run needs for its locks.
#[derive(Clone, Copy)]
pub struct Locking<'a> {
    /// Who we are, and which locks are honoured.
    pub rules: &'a LockRules,
    /// Whether a process of this computer exists.
    pub is_running: &'a (dyn Fn(u32) -> bool + Sync),
}

/// What a keeper reports.
#[derive(Debug)]
pub enum LockNews {
    /// The lock is there. First report.
    Taken {
        /// It.
        lock: Lock,
        /// What was taken over from whom, in words.
        instead_of: Option<String>,
    },
    /// There is no way to write it here. First report, and the last one.
    Unwritable(Error),
    /// It was written anew.
    Renewed {
        /// It.
        lock: Lock,
        /// The file was gone.
        was_gone: bool,
    },
    /// It could not be renewed; the next attempt follows.
    Stuck(Error),
}

/// The sides of a run that are locked: those that it changes over a network.
pub fn locked_sides(run: &Run<'_>) -> Vec<Side> {
    let is_locked = |side: &Side| {
        run.lock.is_some()
            && !run.is_rehearsal
            && run.policy.mode.source() != Some(*side)
            && run.pools[*side].target().caps().is_networked
    };
    Side::BOTH.into_iter().filter(is_locked).collect()
}

/// Keeps the lock of one side.
pub struct Keeper<'a> {
    crew: &'a Crew<'a>,
    clock: &'a dyn Clock,
    locking: Locking<'a>,
    side: Side,
    path: RelPath,
    held: Mutex<Option<Held>>,
}

/// What is known about a lock of ours.
#[derive(Debug, Clone, Copy)]
struct Held {
    /// Its bytes.
    length: u64,
    /// Whether it was written to the end.
    is_whole: bool,
}

/// What a second look has found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    There,
    Gone,
}

/// The keepers that a run needs.
pub fn keepers<'a>(run: &Run<'a>, crew: &'a Crew<'a>) -> Vec<Keeper<'a>> {
    let (Some(locking), Ok(name)) = (run.lock, Name::new(LOCK_FILE_NAME)) else {
        return Vec::new();
    };
    let keeper = |side| Keeper {
        crew,
        clock: run.clock,
        locking,
        side,
        path: RelPath::root().join(&name),
        held: Mutex::default(),
    };
    locked_sides(run).into_iter().map(keeper).collect()
}

impl Keeper<'_> {
    /// The side that it locks.
    pub fn side(&self) -> Side {
        self.side
    }

    /// Takes the lock, and renews it until the crew is closed.
    pub fn work(&self, report: &Sender<Done>) {
        let _alarm = Alarm(self.crew);
        let tell = |news| report.send(Done::Locked { side: self.side, news }).is_ok();
        let taken = self.take();
        let is_held = matches!(taken, Ok(LockNews::Taken { .. }));
        // From the moment on at which it was written, not from that at which somebody has heard of it.
        let mut tried = (self.clock.elapsed(), self.clock.now());
        if !tell(taken) || !is_held {
            return;
        }
        let interval = self.locking.rules.age.min(USUAL_AGE) / RENEWALS;
        let begun = tried.0;
        let mut looks = SECOND_LOOKS.into_iter().peekable();
        while self.crew.lasts(LOOK.min(Duration::from_secs_f64(interval))) {
            let (elapsed, now) = (self.clock.elapsed(), self.clock.now());
            let mut is_gone = false;
            if looks.peek().is_some_and(|after| elapsed - begun >= *after) {
                match self.look_again() {
                    // Nobody is idle; soon.
                    Ok(None) => {}
                    Ok(Some(seen)) => {
                        looks.next();
                        self.crew.settle_all(report);
                        is_gone = seen == Seen::Gone;
                    }
                    Err(error) => {
                        tell(Err(error));
                        return self.crew.abandon();
                    }
                }
            }
            // Some clocks stand still while the computer sleeps.
            if !is_gone && elapsed - tried.0 < interval && (now - tried.1).abs() < interval {
                continue;
            }
            tried = (elapsed, now);
            let renewed = self.renew();
            self.crew.settle_all(report);
            let is_lost = matches!(&renewed, Err(error) if ends_the_run(error));
            let goes_on =
                tell(renewed.or_else(|error| if is_lost { Err(error) } else { Ok(LockNews::Stuck(error)) }));
            if is_lost {
                // At once: the walk may be waiting for an answer of the user, and would hand out one more job.
                self.crew.abandon();
            }
            if is_lost || !goes_on {
                return;
            }
        }
    }

    /// Removes the lock if there is one of ours. `was_cut`: the conversations of the run were interrupted.
    ///
    /// Never takes long, also when the side does not answer any more. `poll` is asked whether to go on waiting.
    ///
    /// # Errors
    /// Why the lock is still there; what `poll` fails with.
    pub fn release(&self, was_cut: bool, poll: &mut dyn FnMut() -> Result<()>) -> Result<Released> {
        let released = self.try_to_release(was_cut, poll);
        if released.is_err() {
            locked(&UNREMOVED).extend(self.locking.rules.owner.token.clone());
        }
        released
    }

    fn try_to_release(&self, was_cut: bool, poll: &mut dyn FnMut() -> Result<()>) -> Result<Released> {
        let Some(held) = self.held().take().filter(|_| !self.crew.has_lost_lock(self.side)) else {
            return Ok(Released::NotHeld);
        };
        let pool = self.crew.pool(self.side);
        let target = Arc::clone(pool.target());
        let idle = if was_cut { None } else { pool.take_idle().and_then(Loan::detach) };
        let is_whole = held.is_whole && !self.crew.has_stump(self.side);
        let held = Held { is_whole, ..held };
        let removal = Removal { path: self.path.clone(), owner: self.locking.rules.owner.clone(), held };
        let (sender, receiver) = channel();
        // Not joined: looking up a host name cannot be interrupted.
        let asked = Arc::clone(&target);
        let removing =
            Builder::new().spawn(move || drop(sender.send(removal.carry_out(asked.as_ref(), idle))));
        removing.map_err(|error| Error::from(error).during("start a thread"))?;
        let answer = std::thread::scope(|scope| {
            if !was_cut {
                // Nothing else is left to do: the other sessions say goodbye meanwhile.
                scope.spawn(|| pool.close(true));
            }
            answer_within(if was_cut { HASTE } else { PATIENCE }, &receiver, poll)
        });
        match answer {
            Ok((session, outcome)) => {
                if let Some(session) = session {
                    session.close();
                }
                outcome.map(|()| Released::Yes)
            }
            Err(error) => {
                target.interrupt();
                Err(error)
            }
        }
    }

    fn take(&self) -> Result<LockNews> {
        let mut is_writing = false;
        let taken = self.crew.persist([self.side], |sessions| {
            is_writing = false;
            let session = borrowed(sessions, self.side)?;
            let mut seen = Found::Nothing;
            if !is_free(session, &self.path)? {
                seen = look(session, &self.path)?;
            }
            let mut found = prove_age(session, seen.clone())?;
            if matches!(found, Found::Stump(_)) && self.held().is_some_and(|held| !held.is_whole) {
                // An attempt of this run was interrupted.
                found = Found::Nothing;
            }
            let now = self.clock.now();
            let is_over = found.is_of_another(&self.locking.rules.owner) && is_unremoved(&found);
            let mut claim = if is_over {
                Claim::Over(Leftover::Unremoved)
            } else {
                judge(&found, self.locking.rules, now, self.locking.is_running)
            };
            if let (Found::Lock(_), Claim::Over(Leftover::Old(_) | Leftover::Future), false) =
                (&found, claim, self.locking.rules.breaks)
                && let Some(age) = age_there(session)?.filter(|age| *age <= self.locking.rules.age)
            {
                // By the clock of the side it was written just now: one of the two others is wrong.
                claim = Claim::Taken { age: Some(age) };
            }
            let instead_of = match claim {
                Claim::Free => None,
                Claim::Over(why) => Some(format!("{}: {why}", found.holder())),
                Claim::Taken { age } => {
                    // Whatever an earlier attempt has written, this is not it.
                    *self.held() = None;
                    return Err(in_use(&found, age));
                }
            };
            let is_absent = seen == Found::Nothing || self.make_way(session, &seen)?;
            is_writing = true;
            let expect = match (is_absent, self.crew.pool(self.side).target().caps().excludes_others) {
                (true, true) => Expect::Absent,
                (false, _) | (true, false) => Expect::Anything,
            };
            match self.write(session, expect, true) {
                // Another run was quicker: the next look finds its lock.
                Err(error) if error.kind() == Kind::Changed || self.was_late(session, &error, &seen)? => {
                    is_writing = false;
                    Err(error.retrying(Retry::Later))
                }
                written => Ok(LockNews::Taken { lock: written?, instead_of }),
            }
        });
        match taken {
            Err(error) if is_writing && !ends_the_run(&error) => Ok(LockNews::Unwritable(error)),
            Err(error) => Err(self.named(error)),
            taken => taken,
        }
    }

    /// Removes a lock that is left over, or an old one of ours: some servers let nobody overwrite a file, or give the new one
    /// another name. Whether it is gone; where it stays, it is overwritten.
    ///
    /// # Errors
    /// [`Kind::Changed`] if it is not the one any more that was seen; what ends the conversation.
    fn make_way(&self, session: &mut dyn Session, seen: &Found) -> Result<bool> {
        match look(session, &self.path)? {
            Found::Nothing => return Ok(true),
            found if found == *seen => {}
            _ => return Err(Error::new(Kind::Changed, "the lock has changed").retrying(Retry::Later)),
        }
        match gone(session.remove_file(&self.path)) {
            Err(error) if error.retry() == Retry::NewSession => Err(error),
            removed => Ok(removed.is_ok()),
        }
    }

    /// Whether ours was refused because somebody else was quicker to take the same one over, where nobody may overwrite a file.
    fn was_late(&self, session: &mut dyn Session, error: &Error, seen: &Found) -> Result<bool> {
        if !is_refusal(error) || *seen == Found::Nothing {
            return Ok(false);
        }
        let found = look(session, &self.path)?;
        Ok(found != *seen && found.is_of_another(&self.locking.rules.owner))
    }

    /// Writes the lock. The first time straight under its name: nobody mistakes a part of it for a lock, and the listing of the root
    /// follows, which shows its size. Later in the way of other files, which replaces it also where nothing is overwritten, or where
    /// the new one would get another name.
    fn write(&self, session: &mut dyn Session, expect: Expect, is_first: bool) -> Result<Lock> {
        let lock = Lock { time: self.clock.now(), holder: Some(self.locking.rules.owner.clone()) };
        let text = lock.print();
        let put = Put {
            expect,
            size: Some(text.len() as u64),
            inplace: is_first,
            is_hasty: is_first,
            ..Put::default()
        };
        // Noted before: whatever interrupts the write, what it leaves is ours to remove.
        let length = text.len() as u64;
        let was_held = self.held().replace(Held { length, is_whole: false });
        let written = session.write(&self.path, &mut text.as_bytes(), &put);
        let mut held = self.held();
        match &written {
            Ok(_) => {
                *held = held.map(|held| Held { is_whole: true, ..held });
                let own = OwnLock { length, owner: self.locking.rules.owner.clone() };
                self.crew.knows_lock(self.side, own);
            }
            Err(error) if error.retry() == Retry::No && was_held.is_none() => *held = None,
            Err(_) => {}
        }
        drop(held);
        written.map(|_| lock)
    }

    /// Looks whether the lock is still ours, or gone. `None` if no session is idle.
    ///
    /// # Errors
    /// [`Kind::Locked`] if it is that of somebody else. Nothing else counts: it is renewed later.
    fn look_again(&self) -> Result<Option<Seen>> {
        let Some(mut loan) = self.crew.pool(self.side).take_idle() else { return Ok(None) };
        let found = look(loan.session(), &self.path);
        match &found {
            Err(error) if error.retry() == Retry::NewSession => self.crew.lose(self.side, loan),
            Ok(_) | Err(_) => loan.keep(),
        }
        match found {
            Ok(found @ Found::Lock(_)) if found.is_of_another(&self.locking.rules.owner) => {
                *self.held() = None;
                Err(self.named(taken_over(&found)))
            }
            // Somebody who had written his own over it has removed it.
            Ok(Found::Nothing) => Ok(Some(Seen::Gone)),
            Ok(_) | Err(_) => Ok(Some(Seen::There)),
        }
    }

    fn renew(&self) -> Result<LockNews> {
        let pool = self.crew.pool(self.side);
        if let Some(mut loan) = pool.take_idle() {
            match self.renew_by(loan.session()) {
                Err(error) if error.retry() == Retry::NewSession => self.crew.lose(self.side, loan),
                renewed => {
                    loan.keep();
                    return renewed.map_err(|error| self.named(error));
                }
            }
        }
        // Transfers may keep all sessions busy for longer than the lock lasts: one more, for a moment.
        if !pool.is_limited()
            && let Ok(mut session) = pool.target().open()
        {
            match self.renew_by(session.as_mut()) {
                Err(error) if error.retry() == Retry::NewSession => {}
                renewed => {
                    session.close();
                    return renewed.map_err(|error| self.named(error));
                }
            }
        }
        // The side may not want one more; then this waits for one of the others.
        self.crew
            .persist([self.side], |sessions| self.renew_by(borrowed(sessions, self.side)?))
            .map_err(|error| self.named(error))
    }

    fn renew_by(&self, session: &mut dyn Session) -> Result<LockNews> {
        let found = look(session, &self.path)?;
        let is_stump = self.held().is_some_and(|held| !held.is_whole);
        let is_ours = match &found {
            Found::Nothing => true,
            Found::Lock(lock) => lock.is_of(&self.locking.rules.owner),
            Found::Unreadable(_) | Found::Stump(_) => is_stump,
        };
        if !is_ours {
            *self.held() = None;
            return Err(taken_over(&found));
        }
        let lock = match self.write(session, Expect::Anything, false) {
            // Perhaps only because there is one already.
            Err(error) if is_refusal(&error) && found != Found::Nothing => {
                if self.make_way(session, &found)? {
                    self.write(session, Expect::Anything, false)?
                } else {
                    return Err(error);
                }
            }
            written => written?,
        };
        Ok(LockNews::Renewed { lock, was_gone: found == Found::Nothing })
    }

    fn named(&self, error: Error) -> Error {
        error.during("lock").at(self.crew.pool(self.side).target().base_name())
    }

    fn held(&self) -> MutexGuard<'_, Option<Held>> {
        locked(&self.held)
    }
}

/// Whether a lock was removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Released {
    /// It is gone.
    Yes,
    /// There was none of ours.
    NotHeld,
}

/// The removal of a lock, on a thread of its own.
struct Removal {
    path: RelPath,
    owner: Holder,
    held: Held,
}

/// What came of it, and the session if that is still to be closed.
type Removed = (Option<Box<dyn Session>>, Result<()>);

impl Removal {
    /// In the session that lies idle it is the last thing; where that fails, in a fresh one.
    fn carry_out(&self, target: &dyn Target, idle: Option<Box<dyn Session>>) -> Removed {
        if let Some(mut session) = idle {
            let removed = match self.is_ours(session.as_mut()) {
                Ok(true) => session.close_removing(&self.path),
                Ok(false) => return (Some(session), Ok(())),
                Err(error) => Err(error),
            };
            match removed {
                Err(error) if error.retry() == Retry::NewSession => {}
                outcome => return (None, gone(outcome)),
            }
        }
        match target.open() {
            Ok(mut session) => {
                let outcome = self.remove(session.as_mut());
                (Some(session), outcome)
            }
            Err(error) => (None, Err(error)),
        }
    }

    fn remove(&self, session: &mut dyn Session) -> Result<()> {
        if self.is_ours(session)? { gone(session.remove_file(&self.path)) } else { Ok(()) }
    }

    /// Somebody whose connection is slow, or who was told to break ours, may have written his own over it at any time.
    fn is_ours(&self, session: &mut dyn Session) -> Result<bool> {
        let Held { length, is_whole } = self.held;
        if is_whole {
            // Two of them hardly ever have the same length.
            let ours = (self.path.clone(), Expect::File(Some(length), None));
            if session.still(&[ours]).pop().transpose()?.flatten() == Some(true) {
                return Ok(true);
            }
        }
        Ok(match look(session, &self.path)? {
            Found::Lock(lock) => lock.is_of(&self.owner),
            Found::Unreadable(_) | Found::Stump(_) => !is_whole,
            Found::Nothing => false,
        })
    }
}

/// What is not there any more is removed.
fn gone(removed: Result<()>) -> Result<()> {
    match removed {
        Err(error) if error.kind() == Kind::NotFound => Ok(()),
        outcome => outcome,
    }
}

fn answer_within(
    patience: Duration,
    receiver: &Receiver<Removed>,
    poll: &mut dyn FnMut() -> Result<()>,
) -> Result<Removed> {
    for _ in 0..patience.as_millis() / LOOK.as_millis() {
        match receiver.recv_timeout(LOOK) {
            Ok(answer) => return Ok(answer),
            Err(RecvTimeoutError::Timeout) => poll()?,
            Err(RecvTimeoutError::Disconnected) => {
                return Err(Error::new(Kind::Io, "internal error, please report it"));
            }
        }
    }
    Err(Error::new(Kind::Timeout, "no answer"))
}

/// Whether there is certainly no lock file; asking costs less than trying to read it.
fn is_free(session: &mut dyn Session, path: &RelPath) -> Result<bool> {
    match session.still_before_write(&[(path.clone(), Expect::Absent)]).pop() {
        Some(Ok(answer)) => Ok(answer == Some(true)),
        Some(Err(error)) => Err(error),
        None => Ok(false),
    }
}

/// Reads the lock file. What cannot be read as a lock is looked up in the listing, for its time.
fn look(session: &mut dyn Session, path: &RelPath) -> Result<Found> {
    let mut bytes = Vec::new();
    let read = session.read(path, &mut |body| {
        bytes.clear();
        body.take(MAX_LOCK_SIZE + 1).read_to_end(&mut bytes).map(drop).map_err(Error::from)
    });
    let was_read = match read {
        Ok(()) => true,
        Err(error) if error.kind() == Kind::NotFound => return Ok(Found::Nothing),
        // Busy counts as there: somebody may be writing it.
        Err(error) if error.retry() == Retry::NewSession => return Err(error),
        Err(_) => false,
    };
    if let Some(lock) = Lock::parse(&bytes).filter(|_| was_read) {
        return Ok(Found::Lock(lock));
    }
    let listing = session.list(&RelPath::root())?;
    let is_lock = |entry: &&Entry| entry.name.as_str() == LOCK_FILE_NAME && entry.is_file();
    Ok(match listing.entries.iter().find(is_lock) {
        Some(entry) => Found::Unreadable(entry.mtime_org.map(Stamp::as_secs_f64)),
        None if was_read => Found::Unreadable(None),
        // A folder of that name, say. Writing will tell.
        None => Found::Nothing,
    })
}

/// A lock as this run has written it.
#[derive(Debug, Clone)]
pub struct OwnLock {
    /// Its bytes.
    length: u64,
    owner: Holder,
}

/// Looks closer at a lock file that is listed with another size than ours has: of two runs that began at the same time, the one
/// that wrote first finds the lock of the other here, before it has changed anything.
///
/// True if what is there is no lock, and stays so: not all of ours has arrived.
///
/// # Errors
/// [`Kind::Locked`] if it is the lock of somebody else; what ends the conversation.
pub fn refuse_another(
    session: &mut dyn Session,
    own: &OwnLock,
    listed: Option<u64>,
    place: &str,
) -> Result<bool> {
    if listed.is_none_or(|size| size == own.length) {
        return Ok(false);
    }
    let Ok(name) = Name::new(LOCK_FILE_NAME) else { return Ok(false) };
    let path = RelPath::root().join(&name);
    for _ in 0..WRITING {
        match look(session, &path) {
            Ok(found) if found.is_of_another(&own.owner) => {
                let what = format!("{} has begun at the same moment; nothing was changed", found.holder());
                let advice = "wait for its end, and run this again";
                return Err(Error::new(Kind::Locked, what).advise(advice).during("lock").at(place));
            }
            // Somebody may just be writing it.
            Ok(Found::Unreadable(_) | Found::Stump(_)) => std::thread::sleep(LOOK),
            Err(error) if error.retry() == Retry::NewSession => return Err(error),
            Ok(_) | Err(_) => return Ok(false),
        }
    }
    Ok(true)
}

fn taken_over(found: &Found) -> Error {
    Error::new(Kind::Locked, format!("{} has taken the lock over; nothing more is changed", found.holder()))
}

/// Asks how old a file is that is no lock, by the clock of the side that dated it.
fn prove_age(session: &mut dyn Session, found: Found) -> Result<Found> {
    if !matches!(found, Found::Unreadable(Some(_))) {
        return Ok(found);
    }
    Ok(age_there(session)?.map_or(found, Found::Stump))
}

/// How many seconds ago the lock file was written, by the clock of the side that dates it: another file is put beside it for a
/// moment. `None` where that cannot be told.
///
/// # Errors
/// What ends the conversation.
fn age_there(session: &mut dyn Session) -> Result<Option<f64>> {
    let Ok(name) = Name::new(temp_name("", next_unique())) else { return Ok(None) };
    let probe = RelPath::root().join(&name);
    let put = Put { size: Some(0), inplace: true, ..Put::default() };
    let listed = session.write(&probe, &mut io::empty(), &put).and_then(|_| session.list(&RelPath::root()));
    // What stays is removed by a later run.
    drop(session.remove_file(&probe));
    let listing = match listed {
        Ok(listing) => listing,
        Err(error) if error.retry() == Retry::NewSession => return Err(error),
        Err(_) => return Ok(None),
    };
    let time = |name: &str| {
        let entry = listing.entries.iter().find(|entry| entry.name.as_str() == name)?;
        entry.mtime_org.map(|at| (at.as_secs_f64(), f64::from(at.grain())))
    };
    Ok(match (time(LOCK_FILE_NAME), time(name.as_str())) {
        (Some((written, _)), Some((now, grain))) => Some((now - written - grain).max(0.0)),
        _ => None,
    })
}

fn in_use(found: &Found, age: Option<f64>) -> Error {
    let written = match age {
        Some(age) => format!("{} ago", duration(age)),
        None => "just now".to_owned(),
    };
    let what = format!("{} is at work there (its lock file was written {written})", found.holder());
    Error::new(Kind::Locked, what)
        .advise("wait for its end, or pass --break-lock if it cannot be running any more")
}

/// Whether a file may not be written, perhaps because there is one already.
fn is_refusal(error: &Error) -> bool {
    matches!(error.kind(), Kind::Refused | Kind::Denied)
}

/// Whether a failure with the lock is one of the run: somebody else is at work, nothing works at all, or it is over.
fn ends_the_run(error: &Error) -> bool {
    error.is_outage() || matches!(error.kind(), Kind::Locked | Kind::Cancelled)
}
