//! One conversation for use from Python, one verb at a time.

use super::aside::{self, Caller};
use super::by_hand::ByHand;
use super::convert;
use super::errors::carried;
#[cfg(feature = "sftp")]
use super::sftp::Sftp;
use super::spare::Spares;
use crate::error::{Error, Kind, Result};
use crate::locked::locked;
use crate::model::RelPath;
use crate::model::entry::GUESSED;
use crate::quoted::Quoted;
use crate::target::layer::retry;
use crate::target::pool::Pool;
use crate::target::{Put, Session as CoreSession, Target as CoreTarget};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use std::io::{self, Read};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, TryLockError};

// The description of a method for stubs names its type even where the method is left out.
#[cfg(not(feature = "sftp"))]
type Sftp = Py<PyAny>;

/// Name, whether it is a folder, size (bytes), modification time (seconds UTC), identity.
type EntryFields = (String, bool, Option<u64>, Option<f64>, Option<String>);

/// What a folder holds.
#[pyclass(frozen, get_all, module = "ftpsync._core")]
pub struct Listing {
    /// Tuples of name, whether it is a folder, size (bytes), modification time (seconds UTC), identity.
    entries: Vec<EntryFields>,
    /// Whether these are certainly all.
    complete: bool,
    /// Tuples of what was left out or guessed, and why.
    notes: Vec<(String, String)>,
}

/// One conversation with a target. Paths are relative to its root.
#[pyclass(frozen, module = "ftpsync._core")]
pub struct Session {
    inner: Shared,
    target: Arc<dyn CoreTarget>,
    greeting: Vec<(u8, String)>,
    is_lent: Arc<AtomicBool>,
    /// Where another one comes from while a run has this one.
    spares: Mutex<Option<Spares>>,
}

impl Session {
    /// A conversation that was begun with this target.
    pub fn new(session: Box<dyn CoreSession>, target: Arc<dyn CoreTarget>, spares: Option<Spares>) -> Self {
        Session {
            greeting: session.greeting().to_vec(),
            inner: Arc::new(Mutex::new(Some(session))),
            target,
            is_lent: Arc::default(),
            spares: Mutex::new(spares),
        }
    }

    /// Lends the conversation to a run, fit for its verbs; the Python object is of no use until it is replaced.
    pub fn lend(&self, py: Python<'_>, spares: Option<Spares>) -> Option<Box<dyn CoreSession>> {
        self.is_lent.store(true, Ordering::Relaxed);
        *locked(&self.spares) = spares;
        py.detach(|| {
            let mut session = self.take().ok().flatten()?;
            let settled = session.as_ftp().map_or(Ok(()), |mut ftp| ftp.settle());
            // A conversation that the user has left in disorder ends here; the run begins another.
            settled.is_ok().then_some(session)
        })
    }

    /// Takes the conversation out, unless it is busy.
    fn take(&self) -> Result<Option<Box<dyn CoreSession>>> {
        Ok(exclusive(&self.inner)?.take())
    }

    /// Does something with the conversation, after putting in order what commands of the user's own have left.
    fn with<T: Send + 'static>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&mut dyn CoreSession, &Caller) -> Result<T> + Send + 'static,
    ) -> PyResult<T> {
        let inner = Arc::clone(&self.inner);
        aside::work(py, &self.target, move |caller| {
            let mut session = exclusive(&inner)?;
            let session = session.as_mut().ok_or_else(ended)?;
            session.look_afresh();
            if let Some(mut ftp) = session.as_ftp() {
                ftp.settle()?;
            }
            work(session.as_mut(), caller)
        })
    }
}

/// A conversation in several hands, of which one at a time may use it.
pub type Shared = Arc<Mutex<Option<Box<dyn CoreSession>>>>;

/// Takes a conversation for oneself. Nobody waits for it: a callback of a transfer would wait for itself.
///
/// # Errors
/// A `RuntimeError`, carried.
pub fn exclusive(shared: &Shared) -> Result<MutexGuard<'_, Option<Box<dyn CoreSession>>>> {
    match shared.try_lock() {
        Ok(session) => Ok(session),
        Err(TryLockError::Poisoned(poisoned)) => Ok(poisoned.into_inner()),
        Err(TryLockError::WouldBlock) => Err(carried(PyRuntimeError::new_err(
            "the connection is busy: another thread, or a transfer that is under way, uses it",
        ))),
    }
}

/// The error for a conversation that is over.
pub fn ended() -> Error {
    Error::new(Kind::Disconnected, "the session is closed")
}

#[pymethods]
impl Session {
    /// What the conversation began with: tuples of the verbosity from which a line is shown, and the line.
    #[getter]
    fn greeting(&self) -> Vec<(u8, String)> {
        self.greeting.clone()
    }

    /// Whether a run has taken the conversation over.
    #[getter]
    fn is_lent(&self) -> bool {
        self.is_lent.load(Ordering::Relaxed)
    }

    /// Another conversation, while a run has this one: one more, or else one of the run, which gets it back as soon as the
    /// user code that runs has returned, or waits for the run. Then that is lent, too.
    fn stand_in(&self, py: Python<'_>) -> PyResult<Self> {
        let Some(spares) = locked(&self.spares).clone() else {
            let opened = open_session(py, &self.target)?;
            return Ok(Session::new(opened, Arc::clone(&self.target), None));
        };
        let (session, is_of_run) = spares.take(py)?;
        let session = Session::new(session, Arc::clone(&self.target), Some(spares.clone()));
        if is_of_run {
            let (inner, is_lent) = (Arc::clone(&session.inner), Arc::clone(&session.is_lent));
            spares.afterwards(move |pool| give_back(&inner, &is_lent, pool));
        }
        Ok(session)
    }

    /// The same conversation for FTP commands of the user's own.
    fn by_hand(&self) -> ByHand {
        ByHand::new(Arc::clone(&self.inner), Arc::clone(&self.target))
    }

    /// The same conversation for anything on an SFTP server.
    #[cfg(feature = "sftp")]
    fn sftp(&self) -> Sftp {
        Sftp::of(Arc::clone(&self.inner), Arc::clone(&self.target))
    }

    /// Lists a folder.
    fn list(&self, py: Python<'_>, path: &str) -> PyResult<Listing> {
        let path = convert::path(path)?;
        let listing = self.with(py, move |session, _| session.list(&path))?;
        let entries = listing.entries.into_iter().map(|entry| {
            let is_dir = entry.is_folder();
            let mtime = entry.mtime_org.map(crate::model::Stamp::as_secs_f64);
            (entry.name.to_string(), is_dir, entry.size, mtime, entry.unique.map(String::from))
        });
        let guessed = listing.guessed.iter().map(|name| (name.to_string(), GUESSED.to_owned()));
        let notes = listing.notes.into_iter().map(|note| (note.what, note.why)).chain(guessed).collect();
        Ok(Listing { entries: entries.collect(), complete: listing.complete, notes })
    }

    /// Reads a whole file, passing each chunk (bytes) to ``write``; returns the number of bytes.
    fn read_to(&self, py: Python<'_>, path: &str, write: Py<PyAny>) -> PyResult<u64> {
        let path = convert::path(path)?;
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

    /// Puts a whole file in place, from chunks that ``read(n)`` returns until it returns none; returns the size (bytes).
    #[pyo3(signature = (path, read, mtime = None))]
    fn write_from(&self, py: Python<'_>, path: &str, read: Py<PyAny>, mtime: Option<f64>) -> PyResult<u64> {
        let path = convert::path(path)?;
        let put = Put { mtime: mtime.map(convert::stamp).transpose()?, ..Put::default() };
        let written = self.with(py, move |session, caller| {
            let mut body = PyReader::new(caller, read);
            session.write(&path, &mut body, &put)
        })?;
        Ok(written.size)
    }

    /// Makes a folder that is not there yet; in a bucket it may be.
    fn mkdir(&self, py: Python<'_>, path: &str) -> PyResult<()> {
        let path = convert::path(path)?;
        self.with(py, move |session, _| session.make_new(&path))
    }

    /// Removes a file.
    fn remove_file(&self, py: Python<'_>, path: &str) -> PyResult<()> {
        let path = convert::path(path)?;
        self.with(py, move |session, _| session.remove_file(&path))
    }

    /// Removes an empty folder.
    fn remove_dir(&self, py: Python<'_>, path: &str) -> PyResult<()> {
        let path = convert::path(path)?;
        self.with(py, move |session, _| session.remove_dir(&path))
    }

    /// Removes a folder with everything in it; ``keep_root`` leaves the empty folder.
    #[pyo3(signature = (path, keep_root = false))]
    fn remove_tree(&self, py: Python<'_>, path: &str, keep_root: bool) -> PyResult<()> {
        let path = convert::path(path)?;
        self.with(py, move |session, _| remove_tree(session, &path, keep_root))
    }

    /// Renames a file, replacing what has the new name.
    fn rename(&self, py: Python<'_>, old: &str, new: &str) -> PyResult<()> {
        let (old, new) = (convert::path(old)?, convert::path(new)?);
        self.with(py, move |session, _| session.rename(&old, &new))
    }

    /// Sets the modification time (seconds UTC) of a file; returns whether the target can do that.
    fn set_mtime(&self, py: Python<'_>, path: &str, mtime: f64) -> PyResult<bool> {
        let (path, mtime) = (convert::path(path)?, convert::stamp(mtime)?);
        self.with(py, move |session, _| match session.set_mtime(&path, mtime) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == Kind::Unsupported => Ok(false),
            Err(error) => Err(error),
        })
    }

    /// Ends the conversation, politely unless it is busy; harmless twice.
    fn close(&self, py: Python<'_>) {
        py.detach(|| match self.take() {
            Ok(Some(session)) => session.close(),
            Ok(None) => {}
            // Whoever uses it gets an error, and lets go of it.
            Err(_) => self.target.interrupt(),
        });
    }
}

/// Begins a conversation; where there is no room at first, that is waited for.
pub fn open_session(py: Python<'_>, target: &Arc<dyn CoreTarget>) -> PyResult<Box<dyn CoreSession>> {
    let opening = Arc::clone(target);
    aside::work(py, target, move |caller| {
        retry::open_when_there_is_room(opening.as_ref(), || caller.is_waiting())
    })
}

/// Gives a conversation back to the run, fit for its verbs; false while somebody uses it.
fn give_back(inner: &Shared, is_lent: &AtomicBool, pool: &Pool) -> bool {
    let Ok(mut session) = exclusive(inner) else { return false };
    is_lent.store(true, Ordering::Relaxed);
    let mut session = session.take();
    let ftp = session.as_mut().and_then(|session| session.as_ftp());
    let is_settled = ftp.is_none_or(|mut ftp| ftp.settle().is_ok());
    pool.take_back(session.filter(|_| is_settled));
    true
}

/// Removes a folder and all it holds, deepest first. An incomplete listing stops it before anything is lost in the dark.
fn remove_tree(session: &mut dyn CoreSession, dir: &RelPath, keep_root: bool) -> Result<()> {
    let listing = session.list(dir)?;
    if !listing.complete {
        let error = Error::new(Kind::Refused, "the server may not have listed all of it");
        return Err(error.during("delete the folder").at(dir));
    }
    if let Some(skipped) = listing.present_but_skipped.first() {
        let error = Error::new(
            Kind::Refused,
            format!("it holds {}, which is no plain file", Quoted(skipped.as_str())),
        );
        return Err(error.during("delete the folder").at(dir));
    }
    let (folders, files): (Vec<_>, Vec<_>) = listing.entries.into_iter().partition(|entry| entry.is_folder());
    for folder in folders {
        remove_tree(session, &dir.join(&folder.name), false)?;
    }
    let files: Vec<RelPath> = files.iter().map(|file| dir.join(&file.name)).collect();
    session.remove_files(&files).into_iter().collect::<Result<()>>()?;
    if keep_root || dir.is_root() { Ok(()) } else { session.remove_dir(dir) }
}

/// Reads from a Python callable.
pub struct PyReader<'a> {
    caller: &'a Caller,
    read: Arc<Py<PyAny>>,
    rest: Vec<u8>,
    at: usize,
}

impl<'a> PyReader<'a> {
    /// Reads from ``read(n)``.
    pub fn new(caller: &'a Caller, read: Py<PyAny>) -> Self {
        PyReader { caller, read: Arc::new(read), rest: Vec::new(), at: 0 }
    }
}

impl Read for PyReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at == self.rest.len() {
            let (read, limit) = (Arc::clone(&self.read), buffer.len());
            let block = self.caller.perform(move |py| {
                let block = read.call1(py, (limit,))?;
                Ok(block.extract::<&[u8]>(py).map(<[u8]>::to_vec)?)
            });
            self.rest = block.map_err(Error::into_io)?;
            self.at = 0;
        }
        let count = buffer.len().min(self.rest.len() - self.at);
        buffer[..count].copy_from_slice(&self.rest[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}
