//! What user code may ask the run for, or tell it, while a hook is being called.

use super::errors::raise;
use super::hooks::LiveRules;
use super::stage::Asker;
use crate::engine::hooks::{Notice, Said};
use crate::error::Result;
use crate::locked::locked;
use crate::model::meta::Shadow;
use crate::model::{RelPath, Side};
use pyo3::prelude::*;
use std::sync::{Arc, Mutex};

/// What was said by user code, and not yet heeded.
pub type Notices = Arc<Mutex<Vec<Notice>>>;

/// What a hook can ask the run for.
pub enum Wish {
    /// The operation of this name on the pair of the hook.
    Operation(String),
    /// What is done about names that the filter leaves out, for a pair with the operation of this name.
    Mismatch(String),
    /// A copy of the pair to this side, without a line.
    CopyTo(Side),
    /// A deletion on this side, without a line.
    RemoveFrom(Side),
    /// The entry of this side has this time.
    Time(Side, f64),
    /// What is usually done.
    Go,
}

/// What a hook asks the run for while it is being called. Every method returns when the deed is done.
#[pyclass(frozen, module = "ftpsync._core")]
pub struct Conductor {
    pub asker: Asker<Wish, Result<()>>,
    pub notices: Notices,
    pub rules: LiveRules,
}

impl Conductor {
    fn ask(&self, py: Python<'_>, wish: Wish) -> PyResult<()> {
        self.rules.look(py)?;
        let done = self.asker.ask(py, wish)?;
        raise(py, done)
    }

    /// Keeps what was said for the run. A folder outside the root is not its business.
    fn note(&self, is_local: bool, dir: &str, name: String, said: Said) {
        if let Ok(dir) = RelPath::parse(dir) {
            locked(&self.notices).push(Notice { side: side(is_local), dir, name, said });
        }
    }
}

#[pymethods]
impl Conductor {
    /// Has an operation carried out on the pair of the hook.
    fn operate(&self, py: Python<'_>, operation: String) -> PyResult<()> {
        self.ask(py, Wish::Operation(operation))
    }

    /// Has done what is done about names that the filter leaves out.
    fn mismatch(&self, py: Python<'_>, operation: String) -> PyResult<()> {
        self.ask(py, Wish::Mismatch(operation))
    }

    /// Has the pair of the hook copied to one side, without a line about it.
    fn copy(&self, py: Python<'_>, to_local: bool) -> PyResult<()> {
        self.ask(py, Wish::CopyTo(side(to_local)))
    }

    /// Has the pair of the hook deleted on one side, without a line about it.
    fn remove(&self, py: Python<'_>, on_local: bool) -> PyResult<()> {
        self.ask(py, Wish::RemoveFrom(side(on_local)))
    }

    /// Has an entry of the pair of the hook dealt with as a file of this time.
    fn put_right(&self, py: Python<'_>, is_local: bool, mtime: f64) -> PyResult<()> {
        self.ask(py, Wish::Time(side(is_local), mtime))
    }

    /// Has done what is usually done where the hook was called.
    fn go(&self, py: Python<'_>) -> PyResult<()> {
        self.ask(py, Wish::Go)
    }

    /// Has a local folder remember that both sides agree on a name.
    fn remember(&self, dir: &str, name: String, mtime: Option<f64>, size: Option<u64>) {
        self.note(true, dir, name, Said::Agreed(mtime, size));
    }

    /// Has a folder remember the time that a file should have, and when (by the clock of that side) it was written.
    fn date(&self, is_local: bool, dir: &str, name: String, mtime: f64, size: Option<u64>, written: f64) {
        self.note(is_local, dir, name, Said::Dated(Shadow { mtime, size, written }));
    }

    /// Has a folder forget a name.
    fn forget(&self, is_local: bool, dir: &str, name: String) {
        self.note(is_local, dir, name, Said::Forgotten);
    }
}

fn side(is_local: bool) -> Side {
    if is_local { Side::Local } else { Side::Remote }
}
