//! An SFTP server by hand, for use from Python: what `SFTPTarget.sftp` is made of.

use super::aside::{self, Caller};
use super::errors::raise;
use super::session::{PyReader, Shared, ended, exclusive};
use crate::error::{Error, Kind, Result};
use crate::locked::locked;
use crate::target::Target as CoreTarget;
use crate::target::sftp::{ByHand, SftpTarget};
use crate::wire::sftp::Attributes;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use std::sync::{Arc, Mutex};

/// Size (bytes), user, group, kind and permissions as in POSIX, times of access and modification (seconds UTC).
type Fields = (Option<u64>, Option<u32>, Option<u32>, Option<u32>, Option<u32>, Option<u32>);

/// A session with an SFTP server that may go anywhere. Paths are absolute.
#[pyclass(frozen, module = "ftpsync._core")]
pub struct Sftp {
    inner: Inner,
    target: Arc<dyn CoreTarget>,
}

#[derive(Clone)]
enum Inner {
    Own(Arc<Mutex<Option<ByHand>>>),
    /// That of a target.
    Of(Shared),
}

impl Sftp {
    /// Opens a session on the connection of a target.
    pub fn open(py: Python<'_>, target: &Arc<SftpTarget>) -> PyResult<Self> {
        let shared: Arc<dyn CoreTarget> = Arc::<SftpTarget>::clone(target);
        let opening = Arc::clone(target);
        let session = aside::work(py, &shared, move |_| opening.by_hand())?;
        Ok(Sftp { inner: Inner::Own(Arc::new(Mutex::new(Some(session)))), target: shared })
    }

    /// Shares a session of a target, and leaves it as it was.
    pub fn of(session: Shared, target: Arc<dyn CoreTarget>) -> Self {
        Sftp { inner: Inner::Of(session), target }
    }

    fn with<T: Send + 'static>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&mut ByHand, &Caller) -> Result<T> + Send + 'static,
    ) -> PyResult<T> {
        let inner = self.inner.clone();
        aside::work(py, &self.target, move |caller| match &inner {
            Inner::Own(own) => match locked(own).as_mut() {
                Some(session) => work(session, caller),
                None => Err(Error::new(Kind::Disconnected, "the connection is closed")),
            },
            Inner::Of(shared) => {
                let mut session = exclusive(shared)?;
                let by_hand = session.take().ok_or_else(ended)?.into_sftp();
                let mut by_hand = by_hand.ok_or_else(|| {
                    Error::new(Kind::Unsupported, "this conversation is none with an SFTP server")
                })?;
                let result = work(&mut by_hand, caller);
                *session = Some(by_hand.back());
                result
            }
        })
    }
}

#[pymethods]
impl Sftp {
    /// What stands at a path: size, user, group, mode, times of access and modification; None if not told.
    #[pyo3(signature = (path, follow = true))]
    fn stat(&self, py: Python<'_>, path: String, follow: bool) -> PyResult<Fields> {
        self.with(py, move |session, _| session.attributes(&path, follow).map(|found| fields(&found)))
    }

    /// The names in a folder, with the same facts about each; links are not followed.
    fn list(&self, py: Python<'_>, path: String) -> PyResult<Vec<(String, Fields)>> {
        self.with(py, move |session, _| {
            let items = session.list(&path)?;
            Ok(items.into_iter().map(|(name, found)| (name, fields(&found))).collect())
        })
    }

    /// Sets what is given: mode, user and group, times of access and modification, size.
    #[pyo3(signature = (path, *, mode = None, owner = None, times = None, size = None))]
    fn set(
        &self,
        py: Python<'_>,
        path: String,
        mode: Option<u32>,
        owner: Option<(u32, u32)>,
        times: Option<(u32, u32)>,
        size: Option<u64>,
    ) -> PyResult<()> {
        self.with(py, move |session, _| session.set(&path, Attributes { size, owner, mode, times }))
    }

    /// The absolute path of something, without links where the server resolves them.
    fn real_path(&self, py: Python<'_>, path: String) -> PyResult<String> {
        self.with(py, move |session, _| session.real_path(&path))
    }

    /// Makes one folder.
    #[pyo3(signature = (path, mode = None))]
    fn mkdir(&self, py: Python<'_>, path: String, mode: Option<u32>) -> PyResult<()> {
        self.with(py, move |session, _| session.make_folder(&path, mode))
    }

    /// Removes an empty folder.
    fn rmdir(&self, py: Python<'_>, path: String) -> PyResult<()> {
        self.with(py, move |session, _| session.remove_folder(&path))
    }

    /// Removes a file or a link.
    fn remove(&self, py: Python<'_>, path: String) -> PyResult<()> {
        self.with(py, move |session, _| session.remove(&path))
    }

    /// Renames a file or folder; with ``replace`` also onto an existing file.
    #[pyo3(signature = (old, new, replace = false))]
    fn rename(&self, py: Python<'_>, old: String, new: String, replace: bool) -> PyResult<()> {
        self.with(py, move |session, _| session.rename(&old, &new, replace))
    }

    /// Reads a whole file, passing each chunk (bytes) to ``write``; returns the number of bytes.
    fn read_to(&self, py: Python<'_>, path: String, write: Py<PyAny>) -> PyResult<u64> {
        self.with(py, move |session, caller| {
            let write = Arc::new(write);
            let mut total = 0;
            session.read(&path, &mut |body| {
                total = caller.pass_on(body, &write)?;
                Ok(())
            })?;
            Ok(total)
        })
    }

    /// Puts a whole file in place, from chunks that ``read(n)`` returns until none is left; returns the size.
    fn write_from(&self, py: Python<'_>, path: String, read: Py<PyAny>) -> PyResult<u64> {
        self.with(py, move |session, caller| session.write(&path, &mut PyReader::new(caller, read)))
    }

    /// Runs a command on the server; returns what it printed as its output, and as errors.
    fn execute<'py>(
        &self,
        py: Python<'py>,
        command: String,
    ) -> PyResult<(Bound<'py, PyBytes>, Bound<'py, PyBytes>)> {
        let printed = self.with(py, move |session, _| session.execute(&command))?;
        Ok((PyBytes::new(py, &printed.out), PyBytes::new(py, &printed.err)))
    }

    /// Ends the session; harmless twice.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        // What belongs to a target is the target's to end.
        if let Inner::Own(own) = &self.inner {
            let session = locked(own).take();
            py.detach(|| session.map(ByHand::close));
        }
        raise(py, Ok(()))
    }
}

fn fields(found: &Attributes) -> Fields {
    (
        found.size,
        found.owner.map(|owner| owner.0),
        found.owner.map(|owner| owner.1),
        found.mode,
        found.times.map(|times| times.0),
        found.times.map(|times| times.1),
    )
}
