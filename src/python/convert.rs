//! What Python passes, as values of the core: option words, paths, times.

use crate::model::{RelPath, Side, Stamp};
use crate::plan::guard::Limit;
use crate::plan::{CaseMode, Filter, Mode};
use crate::target::local::Links;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// A relative path; `..` is refused.
pub fn path(text: &str) -> PyResult<RelPath> {
    RelPath::parse(text).map_err(|why| PyValueError::new_err(format!("invalid path {text:?}: {why}")))
}

/// Seconds since 1970-01-01 UTC.
pub fn stamp(seconds: f64) -> PyResult<Stamp> {
    Stamp::from_secs_f64(seconds).ok_or_else(|| PyValueError::new_err(format!("invalid time: {seconds}")))
}

/// The name of a mode: `sync`, `upload` or `download`.
pub fn mode(word: &str) -> PyResult<Mode> {
    match word {
        "sync" => Ok(Mode::Sync),
        "upload" => Ok(Mode::Upload),
        "download" => Ok(Mode::Download),
        _ => Err(unknown("mode", word, "sync, upload, download")),
    }
}

/// The option `case`.
pub fn case_mode(word: Option<&str>) -> PyResult<CaseMode> {
    match word {
        None => Ok(CaseMode::Refuse),
        Some("strict") => Ok(CaseMode::Strict),
        Some("local") => Ok(CaseMode::As(Side::Local)),
        Some("remote") => Ok(CaseMode::As(Side::Remote)),
        Some(other) => Err(unknown("option case", other, "strict, local, remote")),
    }
}

/// The option `links`.
pub fn links(word: &str) -> PyResult<Links> {
    match word {
        "inside" => Ok(Links::Inside),
        "follow" => Ok(Links::Follow),
        "skip" => Ok(Links::Skip),
        _ => Err(unknown("option links", word, "inside, follow, skip")),
    }
}

/// The option `max_delete`: `N` or `N%`.
pub fn limit(text: Option<&str>) -> PyResult<Option<Limit>> {
    text.map(Limit::parse)
        .transpose()
        .map_err(|why| PyValueError::new_err(format!("invalid option max_delete: {why}")))
}

/// The options `match` and `exclude`.
pub fn filter(include: &[String], exclude: &[String], fold_case: bool) -> PyResult<Filter> {
    Filter::new(include, exclude, fold_case)
        .map_err(|bad| PyValueError::new_err(format!("invalid option match or exclude: {}", bad.0)))
}

/// The option `backup_dir`: a folder below the roots of both sides.
pub fn backup_folder(text: &str) -> PyResult<RelPath> {
    match RelPath::parse(text.trim_end_matches('/')) {
        Ok(path) if !path.is_root() && !text.starts_with('/') => Ok(path),
        Ok(_) | Err(_) => {
            let what = format!("invalid option backup_dir: {text:?} (expected a folder below the root)");
            Err(PyValueError::new_err(what))
        }
    }
}

fn unknown(what: &str, word: &str, known: &str) -> PyErr {
    PyValueError::new_err(format!("invalid {what}: {word:?} (choose from {known})"))
}
