//! Entries and pairs as plain values, from which the face builds its objects.

use crate::model::{Entry, RelPath, Side, Stamp};
use crate::plan::{Past, Step};
use pyo3::prelude::*;
use pyo3::types::PyDict;

/// A pair as a dictionary.
pub fn describe<'py>(py: Python<'py>, dir: &RelPath, step: &Step) -> PyResult<Bound<'py, PyDict>> {
    let pair = PyDict::new(py);
    pair.set_item("folder", dir.as_str())?;
    pair.set_item("name", step.pair.name.as_str())?;
    pair.set_item("local", step.pair.get(Side::Local).map(entry_fields))?;
    pair.set_item("remote", step.pair.get(Side::Remote).map(entry_fields))?;
    pair.set_item("local_classification", step.changes.local.as_str())?;
    pair.set_item("remote_classification", step.changes.remote.as_str())?;
    pair.set_item("operation", step.operation.as_str())?;
    pair.set_item("re_class_reason", step.reason)?;
    let past = match step.pair.past {
        Past::Listed(seen) => Some((seen.mtime, seen.size, seen.synced)),
        Past::NoArchive | Past::Unlisted => None,
    };
    pair.set_item("past", past)?;
    let grains = Side::BOTH.map(|side| step.pair.get(side)?.mtime).into_iter().flatten().map(Stamp::grain);
    pair.set_item("grain", grains.max().unwrap_or(0))?;
    Ok(pair)
}

/// What is told of an entry: name, whether it is a folder, size, time, time as listed, identity.
pub type EntryFields = (String, bool, Option<u64>, Option<f64>, Option<f64>, Option<String>);

/// What is told of this entry.
pub fn entry_fields(entry: &Entry) -> EntryFields {
    (
        entry.name.to_string(),
        entry.is_folder(),
        entry.size,
        entry.mtime.map(Stamp::as_secs_f64),
        entry.mtime_org.map(Stamp::as_secs_f64),
        entry.unique.as_deref().map(str::to_owned),
    )
}
