//! The calling thread as a stage: where all Python of a run is performed.
//!
//! A run with hooks or with targets written in Python works on a thread of its own. Whenever one of its threads needs
//! Python it sends a cue and waits; the calling thread performs one cue after the other. While something is being performed
//! it may in turn ask the thread that waits for it: for a deed, or for the next bytes of a file. Until the answer is there
//! the calling thread goes on performing cues, since the answer may need Python too. Plain runs never come here.
//!
//! A target written in Python stands in one folder. While a verb of it waits for bytes, nothing is performed that would lead it
//! elsewhere: hooks wait until the verb has returned.

use super::errors::{carried, exception};
use crate::error::{Error, Kind, Result};
use crate::locked::locked;
use pyo3::prelude::*;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::ThreadId;
use std::time::Duration;

/// How often pending signals (Ctrl+C) are looked for.
const SIGNALS: Duration = Duration::from_millis(50);

/// How long somebody who waits for the run performs what it needs, before he looks again.
const LOOK: Duration = Duration::from_millis(20);

type Performance = Box<dyn FnOnce(Python<'_>) + Send>;

/// Something that is done when nobody needs it; whether it could be.
type Duty = Box<dyn Fn() -> bool + Send>;

/// When something may be performed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// Also while a verb of a target waits for bytes: it is a part of that verb, or needs no folder.
    Anytime,
    /// Only between verbs, because it leads the targets to another folder, or may ask for verbs of its own.
    BetweenVerbs,
}

enum Cue {
    /// Perform this.
    Perform(When, Performance),
    /// Somebody who asked has an answer.
    Answered,
    /// The run is over.
    End,
}

/// The calling thread of a run.
pub struct Stage {
    cues: Mutex<Receiver<Cue>>,
    /// What has to wait for the end of a verb.
    put_off: Mutex<VecDeque<Performance>>,
    /// Verbs that wait for bytes.
    verbs: AtomicUsize,
    sender: Sender<Cue>,
    interrupted: AtomicBool,
    interruption: Mutex<Option<PyErr>>,
    is_over: AtomicBool,
    /// The thread that performs.
    home: ThreadId,
    /// What is done once user code has returned, or waits for the run.
    duties: Mutex<Vec<Duty>>,
    /// Done before anything is performed, and before an answer is passed on.
    first: Box<dyn Fn(Python<'_>) + Send + Sync>,
}

/// What a performance says to the thread that waits for it.
enum Said<Q> {
    Asks(Q),
    Returned,
}

/// With this a performance asks the thread that waits for it.
pub struct Asker<Q, A> {
    stage: Arc<Stage>,
    when: When,
    said: Mutex<Sender<Said<Q>>>,
    answer: Arc<Mutex<Option<A>>>,
}

impl Stage {
    /// An empty stage on this thread. `first` is done before Python goes on, each time.
    pub fn new(first: impl Fn(Python<'_>) + Send + Sync + 'static) -> Self {
        let (sender, cues) = channel();
        Stage {
            cues: Mutex::new(cues),
            put_off: Mutex::new(VecDeque::new()),
            verbs: AtomicUsize::new(0),
            sender,
            interrupted: AtomicBool::new(false),
            interruption: Mutex::default(),
            is_over: AtomicBool::new(false),
            home: std::thread::current().id(),
            duties: Mutex::default(),
            first: Box::new(first),
        }
    }

    /// Whether Ctrl+C was pressed, or the handler of another signal has raised something.
    pub fn is_interrupted(&self) -> bool {
        self.interrupted.load(Ordering::Relaxed)
    }

    /// What was raised then, once.
    pub fn take_interruption(&self) -> Option<PyErr> {
        locked(&self.interruption).take()
    }

    /// Has something performed, and waits for what it returns. Called by the threads of the run.
    ///
    /// # Errors
    /// The exception, carried.
    pub fn perform<T: Send + 'static>(
        &self,
        when: When,
        work: impl FnOnce(Python<'_>) -> PyResult<T> + Send + 'static,
    ) -> Result<T> {
        let (sender, receiver) = channel();
        self.cue(Cue::Perform(when, Box::new(move |py| drop(sender.send(work(py))))))?;
        receiver.recv().map_err(|_| closed())?.map_err(carried)
    }

    /// Has something performed, and meanwhile answers what it asks. Called by the threads of the run.
    ///
    /// What may be performed at any time is a verb here: while it waits for an answer no hook is performed.
    ///
    /// # Errors
    /// The exception, carried.
    pub fn perform_asking<T, Q, A>(
        self: &Arc<Self>,
        when: When,
        work: impl FnOnce(Python<'_>, Asker<Q, A>) -> PyResult<T> + Send + 'static,
        mut answer: impl FnMut(Q) -> A,
    ) -> Result<T>
    where
        T: Send + 'static,
        Q: Send + 'static,
        A: Send + 'static,
    {
        let (said, listening) = channel();
        let (returned, result) = channel();
        let answers = Arc::new(Mutex::new(None));
        let asker = Asker {
            stage: Arc::clone(self),
            when,
            said: Mutex::new(said.clone()),
            answer: Arc::clone(&answers),
        };
        let performance = Box::new(move |py: Python<'_>| {
            drop(returned.send(work(py, asker)));
            drop(said.send(Said::Returned));
        });
        self.cue(Cue::Perform(when, performance))?;
        while let Said::Asks(question) = listening.recv().map_err(|_| closed())? {
            let given = answer(question);
            *locked(&answers) = Some(given);
            self.cue(Cue::Answered)?;
        }
        result.recv().map_err(|_| closed())?.map_err(carried)
    }

    /// Tells the calling thread that the run is over.
    pub fn end(&self) {
        self.is_over.store(true, Ordering::Relaxed);
        // Nobody listens any more only if the calling thread is gone, and the run with it.
        drop(self.sender.send(Cue::End));
    }

    /// Performs cues until the run is over. Called by the calling thread.
    pub fn perform_all(&self, py: Python<'_>) {
        while self.perform_next(py) {}
    }

    /// Performs the next cue. False once the run is over.
    fn perform_next(&self, py: Python<'_>) -> bool {
        self.next(py).is_some_and(|cue| self.do_cue(py, cue))
    }

    /// Performs a cue. False for the end.
    fn do_cue(&self, py: Python<'_>, cue: Cue) -> bool {
        match cue {
            Cue::Perform(When::BetweenVerbs, work) if self.is_in_verb() => {
                locked(&self.put_off).push_back(work);
            }
            Cue::Perform(_, work) => {
                (self.first)(py);
                work(py);
                self.tidy(py);
            }
            Cue::Answered => (self.first)(py),
            Cue::End => return false,
        }
        true
    }

    /// Whether this thread is the one that performs.
    pub fn is_here(&self) -> bool {
        std::thread::current().id() == self.home
    }

    /// Has something done as soon as user code has returned, or waits for the run; again later if it says that it is not done.
    pub fn afterwards(&self, duty: impl Fn() -> bool + Send + 'static) {
        locked(&self.duties).push(Box::new(duty));
    }

    /// Does what was to be done afterwards.
    pub fn tidy(&self, py: Python<'_>) {
        let duties = std::mem::take(&mut *locked(&self.duties));
        if duties.is_empty() {
            return;
        }
        let left: Vec<Duty> = py.detach(|| duties.into_iter().filter(|duty| !duty()).collect());
        locked(&self.duties).extend(left);
    }

    /// Performs the next cue, if it comes soon: whoever waits for the run may be what it waits for. Called by the calling thread,
    /// within a performance.
    ///
    /// # Errors
    /// What the handler of a signal raises.
    pub fn lend_a_hand(&self, py: Python<'_>) -> PyResult<()> {
        // The one that waits is not to be led elsewhere by hooks.
        let _within = Verb::begin(&self.verbs);
        let received = py.detach(|| locked(&self.cues).recv_timeout(LOOK));
        py.check_signals()?;
        if let Ok(cue) = received {
            self.do_cue(py, cue);
        }
        Ok(())
    }

    fn cue(&self, cue: Cue) -> Result<()> {
        if self.is_over.load(Ordering::Relaxed) {
            return Err(closed());
        }
        self.sender.send(cue).map_err(|_| closed())
    }

    /// Whether a verb of a target waits for bytes.
    fn is_in_verb(&self) -> bool {
        self.verbs.load(Ordering::Relaxed) > 0
    }

    /// The next of those performances that have waited for the end of a verb.
    fn next_put_off(&self) -> Option<Cue> {
        let work = if self.is_in_verb() { None } else { locked(&self.put_off).pop_front() };
        work.map(|work| Cue::Perform(When::BetweenVerbs, work))
    }

    /// The next cue. Signals that arrive meanwhile are noted for the run, which ends soon after.
    fn next(&self, py: Python<'_>) -> Option<Cue> {
        if let Some(cue) = self.next_put_off() {
            return Some(cue);
        }
        loop {
            let received = py.detach(|| locked(&self.cues).recv_timeout(SIGNALS));
            if let Err(raised) = py.check_signals() {
                locked(&self.interruption).get_or_insert(raised);
                self.interrupted.store(true, Ordering::Relaxed);
            }
            if self.is_interrupted() && self.is_in_verb() {
                // The run waits for these, and could not end before the verb does. Unperformed, they end it.
                drop(std::mem::take(&mut *locked(&self.put_off)));
            }
            match received {
                Ok(cue) => return Some(cue),
                Err(RecvTimeoutError::Timeout) if self.is_over.load(Ordering::Relaxed) => return None,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return None,
            }
        }
    }
}

impl<Q, A> Asker<Q, A> {
    /// Asks, and performs cues until the answer is there. Called by the calling thread, within a performance.
    ///
    /// # Errors
    /// `KeyboardInterrupt` when nobody answers any more, because the performance or the run is over.
    pub fn ask(&self, py: Python<'_>, question: Q) -> PyResult<A> {
        self.stage.tidy(py);
        let asked = locked(&self.said).send(Said::Asks(question));
        asked.map_err(|_| exception(py, closed()))?;
        let _within = (self.when == When::Anytime).then(|| Verb::begin(&self.stage.verbs));
        loop {
            let answer = locked(&self.answer).take();
            match answer {
                Some(answer) => return Ok(answer),
                None if self.stage.perform_next(py) => {}
                None => return Err(exception(py, closed())),
            }
        }
    }
}

/// A verb that waits for bytes, as long as this lives.
struct Verb<'a>(&'a AtomicUsize);

impl<'a> Verb<'a> {
    fn begin(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Verb(count)
    }
}

impl Drop for Verb<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn closed() -> Error {
    Error::new(Kind::Cancelled, "the run is over")
}
