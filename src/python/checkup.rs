//! The check-up of a target, for `pyftpsync doctor`.

use super::aside::{self, SIGNALS};
use super::target::Target;
use crate::locked::locked;
use crate::target::checkup::{Finding, look_around, try_out};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// How long a check-up that was interrupted may take to remove what it has written.
const CLEARING: Duration = Duration::from_secs(10);

/// Finds out what a target can do; with ``writes``, by a small temporary file that is removed again.
///
/// Returns findings by name; None for what could not be found out.
#[pyfunction]
pub fn check_up<'py>(py: Python<'py>, target: &Target, writes: bool) -> PyResult<Bound<'py, PyDict>> {
    let shared = target.share();
    let (worker, other) = (target.share(), target.share());
    let (end, ended) = channel::<()>();
    let tried = aside::work(py, &shared, move |caller| {
        let _end = end;
        try_out(worker.as_ref(), writes, &|| caller.is_waiting())
    });
    if tried.is_err() {
        wait_for(py, ended)?;
    }
    let mut found = tried?;
    found.extend(aside::work(py, &shared, move |_| Ok(look_around(other.as_ref())))?);
    let report = PyDict::new(py);
    for (name, finding) in found {
        match finding {
            Finding::Is(is) => report.set_item(name, is)?,
            Finding::Number(number) => report.set_item(name, number)?,
            Finding::Seconds(seconds) => report.set_item(name, seconds)?,
            Finding::Text(text) => report.set_item(name, text)?,
            Finding::Words(words) => report.set_item(name, words)?,
            Finding::Unknown => report.set_item(name, py.None())?,
        }
    }
    Ok(report)
}

/// After a signal: waits until the work has come to its end, unless that takes long or another signal comes.
fn wait_for(py: Python<'_>, ended: Receiver<()>) -> PyResult<()> {
    let (ended, deadline) = (Mutex::new(ended), Instant::now() + CLEARING);
    while Instant::now() < deadline {
        match py.detach(|| locked(&ended).recv_timeout(SIGNALS)) {
            Err(RecvTimeoutError::Timeout) => py.check_signals()?,
            Ok(()) | Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    Ok(())
}
