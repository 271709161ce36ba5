//! The check-up of a target, for `pyftpsync doctor`.

use super::aside;
use super::target::Target;
use crate::target::checkup::{Finding, check_up as examine};
use pyo3::prelude::*;
use pyo3::types::PyDict;

/// Finds out what a target can do; with ``writes``, by a small temporary file that is removed again.
///
/// Returns findings by name; None for what could not be found out.
#[pyfunction]
pub fn check_up<'py>(py: Python<'py>, target: &Target, writes: bool) -> PyResult<Bound<'py, PyDict>> {
    let shared = target.share();
    let worker = target.share();
    let found = aside::work(py, &shared, move |_| examine(worker.as_ref(), writes))?;
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
