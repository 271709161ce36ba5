//! Work that waits for the network is done beside the calling thread, which meanwhile looks for signals and performs what
//! needs Python: callbacks see the thread that they expect.

use super::errors::{carried, raise};
use crate::error::{Error, Kind, Result};
use crate::locked::locked;
use crate::target::Target;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use std::io::Read;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How often pending signals (Ctrl+C) are looked for.
pub const SIGNALS: Duration = Duration::from_millis(50);

type Performance = Box<dyn FnOnce(Python<'_>) + Send>;

/// The calling thread, as the work sees it.
pub struct Caller {
    cues: Sender<Performance>,
}

impl Caller {
    /// Has something performed on the calling thread, and waits for what it returns.
    ///
    /// # Errors
    /// The exception, carried; a cancellation when the calling thread does not wait any more.
    pub fn perform<T: Send + 'static>(
        &self,
        work: impl FnOnce(Python<'_>) -> PyResult<T> + Send + 'static,
    ) -> Result<T> {
        let (sender, receiver) = channel();
        let cue: Performance = Box::new(move |py| drop(sender.send(work(py))));
        self.cues.send(cue).map_err(|_| Error::cancelled())?;
        receiver.recv().map_err(|_| Error::cancelled())?.map_err(carried)
    }

    /// Whether anybody still waits for the work: nobody does after a signal.
    pub fn is_waiting(&self) -> bool {
        self.cues.send(Box::new(|_| ())).is_ok()
    }

    /// Passes a body in blocks (`bytes`) to a callable; returns how many bytes it had.
    ///
    /// # Errors
    /// What the body says, and as [`Caller::perform`].
    pub fn pass_on(&self, body: &mut dyn Read, write: &Arc<Py<PyAny>>) -> Result<u64> {
        let mut buffer = vec![0; 256 * 1024];
        let mut total = 0;
        loop {
            let count = body.read(&mut buffer)?;
            if count == 0 {
                return Ok(total);
            }
            total += count as u64;
            let (write, block) = (Arc::clone(write), buffer[..count].to_vec());
            self.perform(move |py| write.call1(py, (PyBytes::new(py, &block),)).map(drop))?;
        }
    }
}

/// Does the work, and ends the conversations of the target when a signal (Ctrl+C) arrives meanwhile.
///
/// A server that is silent would otherwise hold the signal back until the timeout.
pub fn work<T: Send + 'static>(
    py: Python<'_>,
    target: &Arc<dyn Target>,
    work: impl FnOnce(&Caller) -> Result<T> + Send + 'static,
) -> PyResult<T> {
    let (cues, pending) = channel();
    let (sender, outcome) = channel();
    let (pending, outcome) = (Mutex::new(pending), Mutex::new(outcome));
    // Not joined: after a signal nobody waits for its outcome any more.
    std::thread::spawn(move || drop(sender.send(work(&Caller { cues }))));
    loop {
        let cue = py.detach(|| locked(&pending).recv_timeout(SIGNALS));
        match cue {
            Ok(perform) => perform(py),
            Err(RecvTimeoutError::Timeout) => {
                if let Err(signal) = py.check_signals() {
                    // First: whoever is interrupted asks whether somebody still waits, before he tries again.
                    drop(pending);
                    target.interrupt();
                    return Err(signal);
                }
            }
            // The work is done, and its outcome was sent before.
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    let outcome = locked(&outcome).recv();
    raise(py, outcome.unwrap_or_else(|_| Err(Error::new(Kind::Io, "internal error, please report it"))))
}
