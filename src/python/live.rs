//! The counters of a run, as the face shows them while it goes on.

use crate::engine::Stats;
use crate::engine::stats::Value;
use crate::locked::locked;
use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::sync::Mutex;

/// What was counted, and who is told.
pub struct Live {
    state: Mutex<State>,
    /// The documented counters: they accumulate over repeated runs.
    shown: Py<PyDict>,
    /// Is told instead, if given: by its method ``count``.
    listener: Option<Py<PyAny>>,
}

#[derive(Default)]
struct State {
    /// What the last event knew.
    known: Stats,
    /// What of that the face knows.
    told: Stats,
    /// What the listener has raised. Then it is told no more.
    raised: Option<PyErr>,
}

impl Live {
    /// Counts into this dictionary, by way of a listener if there is one.
    pub fn new(shown: Py<PyDict>, listener: Option<Py<PyAny>>) -> Self {
        Live { state: Mutex::default(), shown, listener }
    }

    /// Takes what was counted until now.
    pub fn note(&self, stats: &Stats) {
        locked(&self.state).known.clone_from(stats);
    }

    /// Tells what was counted since the last time.
    pub fn push(&self, py: Python<'_>) {
        let (known, told) = {
            let mut state = locked(&self.state);
            if state.known == state.told || state.raised.is_some() {
                return;
            }
            let known = state.known.clone();
            (known.clone(), std::mem::replace(&mut state.told, known))
        };
        if let Err(error) = self.tell(py, &known, &told) {
            locked(&self.state).raised.get_or_insert(error);
        }
    }

    /// # Errors
    /// What the listener has raised.
    pub fn check(&self) -> PyResult<()> {
        locked(&self.state).raised.take().map_or(Ok(()), Err)
    }

    fn tell(&self, py: Python<'_>, known: &Stats, told: &Stats) -> PyResult<()> {
        let told = told.named();
        for (name, value) in known.named() {
            let before = told.iter().find(|(other, _)| *other == name).map(|(_, value)| *value);
            if before == Some(value) {
                continue;
            }
            let more = match (value, before) {
                (Value::Count(count), Some(Value::Count(before))) => {
                    // Less than before, where a run that was cut short could not do what was counted.
                    (count.wrapping_sub(before) as i64).into_bound_py_any(py)
                }
                (Value::Count(count), _) => count.into_bound_py_any(py),
                (Value::Seconds(time), Some(Value::Seconds(before))) => (time - before).into_bound_py_any(py),
                (Value::Seconds(time), _) => time.into_bound_py_any(py),
            };
            self.add(py, name, more?)?;
        }
        Ok(())
    }

    fn add(&self, py: Python<'_>, name: &str, more: Bound<'_, PyAny>) -> PyResult<()> {
        if let Some(listener) = &self.listener {
            return listener.bind(py).call_method1("count", (name, more)).map(drop);
        }
        let shown = self.shown.bind(py);
        match shown.get_item(name)?.filter(|old| !old.is_none()) {
            Some(old) => shown.set_item(name, old.add(more)?),
            None => shown.set_item(name, more),
        }
    }
}
