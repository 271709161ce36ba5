//! Errors of the core as exceptions: the one place where that is decided.
//!
//! What scripts catch stays what it was: `ftplib` exceptions with the full reply, `OSError` and its subclasses,
//! `RuntimeError` where the contract says so. An exception of user code comes out as it went in. Every exception made
//! here has the attributes `what`, one clear line for people, and `was_told`, whether they have seen it already; what is
//! not of user code has `is_told_by_core` as well: nobody else needs to tell it.

use crate::error::{Error, Kind};
use pyo3::exceptions::{
    PyAssertionError, PyEOFError, PyFileExistsError, PyFileNotFoundError, PyKeyboardInterrupt, PyOSError,
    PyPermissionError, PyRuntimeError, PyTimeoutError, PyValueError,
};
use pyo3::prelude::*;
use pyo3::types::PyDict;

/// The exception for an error.
pub fn exception(py: Python<'_>, error: Error) -> PyErr {
    let (what, was_told) = (error.to_string(), error.was_told());
    let made = match build(py, &error, &what) {
        Ok(made) | Err(made) => made,
    };
    let value = made.value(py);
    if error.carried().is_none() {
        drop(value.setattr("is_told_by_core", true));
    }
    if !value.hasattr("what").unwrap_or(false) {
        // Some exceptions of user code refuse attributes; they are passed on as they are.
        drop(value.setattr("what", what));
        drop(value.setattr("was_told", was_told));
    }
    made
}

fn build(py: Python<'_>, error: &Error, what: &str) -> PyResult<PyErr> {
    if let Some(original) = error.carried().and_then(|source| source.downcast_ref::<PyErr>()) {
        return Ok(original.clone_ref(py));
    }
    if let Some((code, text)) = error.reply() {
        let name = match code / 100 {
            4 => "error_temp",
            5 => "error_perm",
            _ => "error_reply",
        };
        return imported(py, "ftplib", name, (text.to_owned(),));
    }
    if let Kind::Refused | Kind::Busy | Kind::Protocol = error.kind()
        && let Some(number) = error.os()
    {
        return Ok(PyOSError::new_err((number, what.to_owned())));
    }
    let number = |otherwise: i32| error.os().unwrap_or(otherwise);
    let what = what.to_owned();
    Ok(match error.kind() {
        Kind::Cancelled => PyKeyboardInterrupt::new_err(what),
        Kind::UnknownHost => return imported(py, "socket", "gaierror", (-2, what)),
        // The system's own number makes OSError choose the subclass: ConnectionRefusedError, ...
        Kind::Connect => PyOSError::new_err((number(libc::ECONNREFUSED), what)),
        Kind::Timeout => PyTimeoutError::new_err((number(libc::ETIMEDOUT), what)),
        Kind::Disconnected if error.os().is_some() => PyOSError::new_err((number(libc::ECONNRESET), what)),
        Kind::Disconnected => PyEOFError::new_err(what),
        Kind::Protocol => return imported(py, "ftplib", "error_proto", (what,)),
        Kind::Login | Kind::Refused | Kind::Busy => return imported(py, "ftplib", "error_reply", (what,)),
        Kind::Ssh => return silent(py, what),
        // A function: what it makes is also an exception of paramiko, where a script uses that.
        Kind::SshLogin => return imported(py, "ftpsync.sftp_target", "_login_refused", (what,)),
        Kind::Passphrase => return imported(py, "ftpsync.sftp_target", "_key_locked", (what,)),
        Kind::Tls => return imported(py, "ssl", "SSLError", (1, what)),
        Kind::NotFound => PyFileNotFoundError::new_err((number(libc::ENOENT), what)),
        Kind::Exists => PyFileExistsError::new_err((number(libc::EEXIST), what)),
        Kind::Denied => PyPermissionError::new_err((number(libc::EACCES), what)),
        Kind::Full => PyOSError::new_err((number(libc::ENOSPC), what)),
        Kind::Changed | Kind::Size | Kind::Corrupt | Kind::Io => {
            PyOSError::new_err((number(libc::EIO), what))
        }
        Kind::Unsupported => PyOSError::new_err((libc::ENOTSUP, what)),
        Kind::Name | Kind::Usage => PyValueError::new_err(what),
        Kind::Clash | Kind::Hook => PyRuntimeError::new_err(what),
        Kind::Metadata => {
            return imported(py, "ftpsync.metadata", "IncompatibleMetadataVersionError", (what,));
        }
        Kind::Locked | Kind::Guard => return silent(py, what),
        Kind::Strategy => PyAssertionError::new_err(what),
    })
}

/// An error of which the command line shows the message alone.
fn silent(py: Python<'_>, what: String) -> PyResult<PyErr> {
    let kwargs = PyDict::new(py);
    kwargs.set_item("min_verbosity", 4)?;
    let class = py.import("ftpsync.util")?.getattr("CliSilentRuntimeError")?;
    Ok(PyErr::from_value(class.call((what,), Some(&kwargs))?))
}

fn imported<'py, A>(py: Python<'py>, module: &str, class: &str, args: A) -> PyResult<PyErr>
where
    A: pyo3::call::PyCallArgs<'py>,
{
    let value = py.import(module)?.getattr(class)?.call1(args)?;
    Ok(PyErr::from_value(value))
}

/// A result with its error as an exception.
pub fn raise<T>(py: Python<'_>, result: Result<T, Error>) -> PyResult<T> {
    result.map_err(|error| exception(py, error))
}

/// An exception on its way through the core.
pub fn carried(error: PyErr) -> Error {
    Error::hook(error)
}
