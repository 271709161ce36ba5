//! A few conversations with one target, shared by the threads of a run.
//!
//! It opens sessions when they are needed, never more than allowed, and fewer once the server says that it has enough.
//! It does not retry: whoever takes a session judges its errors.

use super::{Session, Target};
use crate::error::{Error, Kind, Result};
use crate::locked::locked;
use std::sync::mpsc::{RecvTimeoutError, SendError, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::Builder;
use std::time::Duration;

/// How often somebody who waits for a session looks whether it is still wanted.
const LOOK: Duration = Duration::from_millis(20);

/// Sessions with one target. Clones share them.
#[derive(Clone)]
pub struct Pool {
    target: Arc<dyn Target>,
    state: Arc<Mutex<State>>,
    returned: Arc<Condvar>,
}

struct State {
    idle: Vec<Box<dyn Session>>,
    /// Sessions that exist, idle or lent.
    open: usize,
    /// Those of them that are not there yet.
    opening: usize,
    most: usize,
    /// The server did not want as many as this pool.
    is_limited: bool,
    /// In which words, until the target is told.
    refusal: Option<Error>,
    /// The server has let somebody in.
    has_opened: bool,
    is_closed: bool,
}

impl State {
    /// An idle session that can go on. One with unfinished files is lent even when it is dead: the borrower finds out, and
    /// knows what to do about them.
    fn usable(&mut self) -> Option<Box<dyn Session>> {
        while let Some(mut session) = self.idle.pop() {
            if session.is_alive() || !session.unsettled().is_empty() {
                return Some(session);
            }
            // The server has ended it while it lay idle; that is no failure of anything.
            self.open -= 1;
        }
        None
    }

    /// Makes do with the sessions that there are, for good.
    ///
    /// # Errors
    /// The error, if it does not say that there are enough, or if there are none.
    fn makes_do(&mut self, error: Error) -> Result<()> {
        if self.open == 0 || !means_too_many(&error) {
            return Err(error);
        }
        self.most = self.open;
        // Without a reply it may have been the network.
        self.is_limited |= error.reply().is_some();
        self.refusal.get_or_insert(error);
        Ok(())
    }
}

/// A session on loan. Give it back with [`Loan::keep`]; dropping the loan ends the session.
pub struct Loan<'a> {
    pool: &'a Pool,
    session: Option<Box<dyn Session>>,
}

impl Pool {
    /// A pool of at most `most` sessions, and never more than the target can have.
    pub fn new(target: Arc<dyn Target>, most: usize) -> Self {
        let most = most.min(target.caps().sessions).max(1);
        let state = State {
            idle: Vec::new(),
            open: 0,
            opening: 0,
            most,
            is_limited: false,
            refusal: None,
            has_opened: false,
            is_closed: false,
        };
        Pool { target, state: Arc::new(Mutex::new(state)), returned: Arc::default() }
    }

    /// The target.
    pub fn target(&self) -> &Arc<dyn Target> {
        &self.target
    }

    /// Adds a session that somebody else opened.
    pub fn add(&self, session: Box<dyn Session>) {
        let mut state = self.state();
        state.open += 1;
        state.has_opened = true;
        state.idle.push(session);
        self.returned.notify_one();
    }

    /// Takes a session: an idle one, a new one, or the next that is given back.
    ///
    /// When the server refuses one more (FTP replies 421 and 530) while others are open, the pool makes do with those.
    ///
    /// # Errors
    /// What opening the first session fails with; [`Kind::Cancelled`] once the pool is closed.
    pub fn take(&self) -> Result<Loan<'_>> {
        let mut state = self.state();
        loop {
            if state.is_closed {
                return Err(Error::cancelled());
            }
            if let Some(session) = state.usable() {
                return Ok(Loan { pool: self, session: Some(session) });
            }
            if state.open < state.most {
                state.open += 1;
                state.opening += 1;
                drop(state);
                let opened = self.target.open();
                state = self.state();
                state.opening -= 1;
                let outcome = match opened {
                    Ok(session) => {
                        state.has_opened = true;
                        Ok(Some(session))
                    }
                    Err(error) => {
                        state.open -= 1;
                        state.makes_do(error).map(|()| None)
                    }
                };
                self.tell_limit(&mut state);
                match outcome {
                    Ok(Some(session)) => return Ok(Loan { pool: self, session: Some(session) }),
                    Ok(None) => continue,
                    Err(error) => {
                        self.returned.notify_one();
                        return Err(error);
                    }
                }
            }
            state = self.returned.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Opens one more session, for those who will need it soon. Waits for it as long as the run goes on.
    ///
    /// Only beside one that works: no wrong password is tried twice. That another one cannot be had is no error.
    pub fn prepare(&self, goes_on: impl Fn() -> bool) {
        {
            let mut state = self.state();
            if state.is_closed || !state.has_opened || state.open >= state.most {
                return;
            }
            state.open += 1;
            state.opening += 1;
        }
        let (sender, receiver) = channel();
        let target = Arc::clone(&self.target);
        // Not joined: a server that does not answer holds nobody up in the end. Where there can be no more threads, there is no
        // such session.
        drop(Builder::new().spawn(move || {
            if let Err(SendError(Ok(late))) = sender.send(target.open()) {
                late.close();
            }
        }));
        let opened = loop {
            match receiver.recv_timeout(LOOK) {
                Ok(opened) => break Some(opened),
                Err(RecvTimeoutError::Timeout) if goes_on() => {}
                Err(_) => break None,
            }
        };
        let mut state = self.state();
        state.opening -= 1;
        match opened {
            Some(Ok(session)) if !state.is_closed => state.idle.push(session),
            Some(Ok(late)) => {
                state.open -= 1;
                drop(state);
                late.close();
            }
            Some(Err(error)) => {
                state.open -= 1;
                drop(state.makes_do(error));
                self.tell_limit(&mut state);
            }
            None => state.open -= 1,
        }
        self.returned.notify_one();
    }

    /// Whether the server has refused one more session: it is not asked again.
    pub fn is_limited(&self) -> bool {
        self.state().is_limited
    }

    /// Whether there are sessions, idle or lent.
    pub fn has_any(&self) -> bool {
        let state = self.state();
        state.open > 0 && !state.is_closed
    }

    /// Makes do with the sessions that there are, because the server has refused somebody else one more.
    ///
    /// # Errors
    /// The error, if it does not say that there are enough, or if there are none.
    pub fn makes_do(&self, error: Error) -> Result<()> {
        let mut state = self.state();
        state.makes_do(error)?;
        self.tell_limit(&mut state);
        Ok(())
    }

    /// Takes a session that lies idle and has left no files for later, if there is one, for somebody else. The pool counts it
    /// until it is [taken back](Pool::take_back).
    pub fn spare(&self) -> Option<Box<dyn Session>> {
        let mut state = self.state();
        while let Some(index) = state.idle.iter().rposition(|session| session.unsettled().is_empty()) {
            let mut session = state.idle.remove(index);
            if session.is_alive() {
                return Some(session);
            }
            state.open -= 1;
        }
        None
    }

    /// Takes back what was [spared](Pool::spare); `None` if it has ended.
    pub fn take_back(&self, session: Option<Box<dyn Session>>) {
        let mut state = self.state();
        match session {
            Some(session) => state.idle.push(session),
            None => state.open -= 1,
        }
        self.returned.notify_one();
    }

    /// Tells the target how many sessions there are instead of those that were wanted, once that is sure.
    fn tell_limit(&self, state: &mut State) {
        if state.opening == 0
            && let Some(refusal) = state.refusal.take()
        {
            self.target.makes_do_with(state.most, &refusal);
        }
    }

    /// Takes a session that lies idle, if there is one.
    pub fn take_idle(&self) -> Option<Loan<'_>> {
        let session = self.state().usable()?;
        Some(Loan { pool: self, session: Some(session) })
    }

    /// Takes an idle session that has left files for later, if there is one. They are to be finished now.
    pub fn take_unsettled(&self) -> Option<Loan<'_>> {
        let mut state = self.state();
        let index = state.idle.iter().position(|session| !session.unsettled().is_empty())?;
        let session = state.idle.remove(index);
        Some(Loan { pool: self, session: Some(session) })
    }

    /// Refuses every further loan, wakes up who waits, and ends the idle sessions: politely, or at once.
    pub fn close(&self, politely: bool) {
        let idle = {
            let mut state = self.state();
            state.is_closed = true;
            self.returned.notify_all();
            std::mem::take(&mut state.idle)
        };
        if politely {
            // All at the same time: a goodbye takes a round trip.
            std::thread::scope(|scope| {
                for session in idle {
                    // Where there can be no more threads, this one is just dropped.
                    drop(Builder::new().spawn_scoped(scope, || session.close()));
                }
            });
        } else {
            self.target.interrupt();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        locked(&self.state)
    }
}

/// Whether a server may have refused a session because there are too many, in whichever way, or whether the network did; then
/// those that there are go on.
fn means_too_many(error: &Error) -> bool {
    matches!(
        error.kind(),
        Kind::Disconnected
            | Kind::Login
            | Kind::Busy
            | Kind::Connect
            | Kind::Timeout
            | Kind::Tls
            | Kind::UnknownHost
    )
}

impl Loan<'_> {
    /// The session.
    pub fn session(&mut self) -> &mut dyn Session {
        match &mut self.session {
            Some(session) => session.as_mut(),
            None => unreachable!("a loan holds its session until it is given back, which consumes the loan"),
        }
    }

    /// Takes the session out of the pool for good, unless it is [added](Pool::add) again.
    pub fn detach(mut self) -> Option<Box<dyn Session>> {
        let session = self.session.take()?;
        self.pool.state().open -= 1;
        self.pool.returned.notify_one();
        Some(session)
    }

    /// Gives the session back for further use.
    pub fn keep(mut self) {
        if let Some(session) = self.session.take() {
            let mut state = self.pool.state();
            state.idle.push(session);
            self.pool.returned.notify_one();
        }
    }
}

impl Drop for Loan<'_> {
    fn drop(&mut self) {
        if self.session.take().is_some() {
            self.pool.state().open -= 1;
            self.pool.returned.notify_one();
        }
    }
}
