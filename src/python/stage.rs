//! The calling thread as a stage: where all Python of a run is performed.
//!
//! A run with hooks works on a thread of its own. Whenever it needs Python it sends a cue and waits; the calling thread
//! performs one cue after the other. While a hook is being performed it may in turn ask the run for a deed: then the
//! calling thread goes on performing cues until the run says that the deed is done. Plain runs never come here.

use super::errors::{carried, exception};
use crate::error::{Error, Kind, Result};
use pyo3::prelude::*;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How often pending signals (Ctrl+C) are looked for.
const SIGNALS: Duration = Duration::from_millis(50);

type Performance = Box<dyn FnOnce(Python<'_>) + Send>;

enum Cue {
    /// Perform this.
    Perform(Performance),
    /// The deed that a hook asked for is done.
    Done(Result<()>),
    /// The run is over.
    End,
}

/// The calling thread of a run.
pub struct Stage {
    cues: Mutex<Receiver<Cue>>,
    sender: Sender<Cue>,
    interrupted: AtomicBool,
}

impl Stage {
    /// An empty stage.
    pub fn new() -> Self {
        let (sender, cues) = channel();
        Stage { cues: Mutex::new(cues), sender, interrupted: AtomicBool::new(false) }
    }

    /// Whether Ctrl+C was pressed.
    pub fn is_interrupted(&self) -> bool {
        self.interrupted.load(Ordering::Relaxed)
    }

    /// Has something performed, and waits for what it returns. Called by the thread of the run.
    ///
    /// # Errors
    /// The exception, carried.
    pub fn perform<T: Send + 'static>(
        &self,
        work: impl FnOnce(Python<'_>) -> PyResult<T> + Send + 'static,
    ) -> Result<T> {
        let (sender, receiver) = channel();
        self.cue(Cue::Perform(Box::new(move |py| drop(sender.send(work(py))))))?;
        receiver.recv().map_err(|_| closed())?.map_err(carried)
    }

    /// Has a hook performed, and meanwhile does the deeds that it asks for. Called by the thread of the run.
    ///
    /// # Errors
    /// The exception of the hook, carried.
    pub fn perform_hook<T: Send + 'static>(
        &self,
        work: impl FnOnce(Python<'_>, Sender<Wish<T>>) -> PyResult<T> + Send + 'static,
        mut grant: impl FnMut(String, bool) -> Result<()>,
    ) -> Result<T> {
        let (sender, receiver) = channel();
        let wishes = sender.clone();
        self.cue(Cue::Perform(Box::new(move |py| {
            let returned = work(py, wishes);
            drop(sender.send(Wish::Returned(returned)));
        })))?;
        loop {
            match receiver.recv().map_err(|_| closed())? {
                Wish::Returned(returned) => return returned.map_err(carried),
                Wish::Deed { operation, is_mismatch } => {
                    self.cue(Cue::Done(grant(operation, is_mismatch)))?
                }
            }
        }
    }

    /// Tells the calling thread that the run is over.
    pub fn end(&self) {
        // Nobody listens any more only if the calling thread is gone, and the run with it.
        drop(self.sender.send(Cue::End));
    }

    /// Performs cues until the run is over. Called by the calling thread.
    pub fn perform_all(&self, py: Python<'_>) {
        while let Some(cue) = self.next(py) {
            match cue {
                Cue::Perform(work) => work(py),
                Cue::Done(_) => {}
                Cue::End => return,
            }
        }
    }

    /// Asks the run for a deed, and performs cues until it is done. Called by the calling thread, within a hook.
    ///
    /// # Errors
    /// What the deed fails with, as an exception; `KeyboardInterrupt`.
    pub fn ask<T>(
        &self,
        py: Python<'_>,
        wishes: &Sender<Wish<T>>,
        operation: String,
        is_mismatch: bool,
    ) -> PyResult<()> {
        let asked = wishes.send(Wish::Deed { operation, is_mismatch });
        asked.map_err(|_| exception(py, closed()))?;
        while let Some(cue) = self.next(py) {
            match cue {
                Cue::Perform(work) => work(py),
                Cue::Done(result) => return result.map_err(|error| exception(py, error)),
                Cue::End => break,
            }
        }
        Err(exception(py, closed()))
    }

    fn cue(&self, cue: Cue) -> Result<()> {
        self.sender.send(cue).map_err(|_| closed())
    }

    /// The next cue. Signals that arrive meanwhile are noted for the run, which ends soon after.
    fn next(&self, py: Python<'_>) -> Option<Cue> {
        loop {
            let received =
                py.detach(|| self.cues.lock().unwrap_or_else(PoisonError::into_inner).recv_timeout(SIGNALS));
            if py.check_signals().is_err() {
                self.interrupted.store(true, Ordering::Relaxed);
            }
            match received {
                Ok(cue) => return Some(cue),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return None,
            }
        }
    }
}

/// What a hook sends to the run that waits for it.
pub enum Wish<T> {
    /// It wants a deed done.
    Deed {
        /// The word of the operation.
        operation: String,
        /// What is done about names that the filter leaves out, instead.
        is_mismatch: bool,
    },
    /// It has returned.
    Returned(PyResult<T>),
}

fn closed() -> Error {
    Error::new(Kind::Cancelled, "the run is over")
}
