//! Targets and sessions for use from Python, one verb at a time.

use super::aside::{self, Caller};
use super::by_hand::{ByHand, Trace};
use super::convert;
use super::errors::{carried, raise};
#[cfg(feature = "s3")]
use super::s3::Bucket;
#[cfg(feature = "sftp")]
use super::sftp::Sftp;
use super::spare::Spares;
use crate::error::{Error, Kind, Result};
use crate::locked::locked;
use crate::model::RelPath;
use crate::model::entry::GUESSED;
use crate::quoted::Quoted;
use crate::target::ftp::{Engine, FtpConfig, FtpTarget, Identity, Secret, TlsConfig, TlsVersion};
use crate::target::layer::retry;
use crate::target::local::LocalTarget;
use crate::target::memory::MemoryTarget;
use crate::target::pool::Pool;
#[cfg(feature = "s3")]
use crate::target::s3::S3Target;
#[cfg(feature = "sftp")]
use crate::target::sftp::{HostKeys, SftpConfig, SftpTarget};
use crate::target::{Put, Session as CoreSession, Target as CoreTarget};
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, TryLockError};
use std::time::Duration;

// The description of a method for stubs names its type even where the method is left out.
#[cfg(not(feature = "s3"))]
type Bucket = Py<PyAny>;
#[cfg(not(feature = "sftp"))]
type Sftp = Py<PyAny>;

/// A place that holds a tree of files.
#[pyclass(frozen, module = "ftpsync._core")]
pub struct Target {
    inner: Arc<dyn CoreTarget>,
    /// The same, if it is an SFTP server.
    #[cfg(feature = "sftp")]
    sftp: Option<Arc<SftpTarget>>,
    /// The same, if it is a bucket.
    #[cfg(feature = "s3")]
    s3: Option<Arc<S3Target>>,
}

impl Target {
    fn plain(inner: Arc<dyn CoreTarget>) -> Self {
        Target {
            inner,
            #[cfg(feature = "sftp")]
            sftp: None,
            #[cfg(feature = "s3")]
            s3: None,
        }
    }

    /// The target itself.
    pub fn share(&self) -> Arc<dyn CoreTarget> {
        Arc::clone(&self.inner)
    }
}

#[pymethods]
impl Target {
    /// A folder of the local file system, which must exist. ``links``: inside, follow or skip. With ``verify``, files are read
    /// back after they were written.
    #[staticmethod]
    #[pyo3(signature = (root, links = "inside", verify = false))]
    fn local(py: Python<'_>, root: PathBuf, links: &str, verify: bool) -> PyResult<Self> {
        let target = raise(py, LocalTarget::new(root, convert::links(links)?))?;
        Ok(Target::plain(Arc::new(target.verifying(verify))))
    }

    /// An empty folder in the place of one that a dry run does not make. ``id`` is how the other side would remember it.
    #[staticmethod]
    fn unmade(id: &str) -> Self {
        Target::plain(Arc::new(MemoryTarget::new(id).networked()))
    }

    /// A folder on an FTP server; nothing is connected yet. ``options`` are the documented option keys.
    #[staticmethod]
    #[pyo3(signature = (*, host, port, user, password, root, tls, options, trace = None))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments of a constructor")]
    fn ftp(
        py: Python<'_>,
        host: &str,
        port: u16,
        user: Option<String>,
        password: Option<String>,
        root: &str,
        tls: bool,
        options: &Bound<'_, PyDict>,
        trace: Option<Py<Trace>>,
    ) -> PyResult<Self> {
        let mut config = FtpConfig::new(host, root);
        config.port = port;
        config.user = user;
        config.password = password.map(Secret::new);
        config.tls = if tls { Some(tls_config(options)?) } else { None };
        if let Some(timeout) = seconds(options, "timeout")? {
            config.connect_timeout = timeout;
            config.timeout = timeout;
        }
        if let Some(timeout) = seconds(options, "connect_timeout")? {
            config.connect_timeout = timeout;
        }
        config.session_time = seconds(options, "session_time")?;
        config.proxy = option::<String>(options, "proxy")?.map(Secret::new);
        config.no_mlsd = is_set(options, "no_mlsd")?;
        config.trust_pasv_host = is_set(options, "trust_pasv_host")?;
        config.active = is_set(options, "ftp_active")?;
        config.verify = is_set(options, "verify")?;
        config.encoding = option(options, "encoding")?;
        config.create_root = is_set(options, "create_folder")?;
        if let Some(connections) = option(options, "connections")? {
            config.connections = connections;
        }
        config.engine = match option::<String>(options, "ftp_engine")?.as_deref() {
            None | Some("own") => Engine::Own,
            Some("suppaftp") => Engine::Suppaftp,
            Some(other) => {
                return Err(PyValueError::new_err(format!(
                    "invalid option ftp_engine: {other} (own or suppaftp)"
                )));
            }
        };
        config.trace = trace.map(|trace| trace.get().share());
        let target = raise(py, FtpTarget::new(config))?;
        Ok(Target::plain(Arc::new(target)))
    }

    /// A folder on an SFTP server; nothing is connected yet.
    ///
    /// ``options`` are the documented option keys; ``home``, ``login_name``, ``agent`` and ``variables`` tell what ssh
    /// reads from the environment.
    #[cfg(feature = "sftp")]
    #[staticmethod]
    #[pyo3(signature = (*, host, port, user, password, root, options, home, login_name, agent, variables))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments of a constructor")]
    fn sftp(
        py: Python<'_>,
        host: &str,
        port: u16,
        user: Option<String>,
        password: Option<String>,
        root: &str,
        options: &Bound<'_, PyDict>,
        home: Option<PathBuf>,
        login_name: &str,
        agent: Option<PathBuf>,
        variables: std::collections::BTreeMap<String, String>,
    ) -> PyResult<Self> {
        let mut config = SftpConfig::new(host, root);
        config.port = port;
        config.user = user;
        config.password = password.map(Secret::new);
        config.passphrase = option::<String>(options, "passphrase")?.map(Secret::new);
        config.login_name = login_name.to_owned();
        config.agent = agent;
        config.variables = variables;
        if let Some(timeout) = seconds(options, "timeout")? {
            config.connect_timeout = timeout;
            config.timeout = timeout;
        }
        if let Some(timeout) = seconds(options, "connect_timeout")? {
            config.connect_timeout = timeout;
        }
        config.encoding = option(options, "encoding")?;
        config.create_root = is_set(options, "create_folder")?;
        if let Some(connections) = option(options, "connections")? {
            config.connections = connections;
        }
        config.verify = is_set(options, "verify")?;
        if let Some(links) = option::<String>(options, "links")? {
            config.links = convert::links(&links)?;
        }
        config.host_keys =
            match (is_set(options, "no_verify_host_keys")?, is_set(options, "accept_new_host_key")?) {
                (true, _) => HostKeys::Unchecked,
                (false, true) => HostKeys::AcceptNew,
                (false, false) => HostKeys::Known,
            };
        config.key_files = option(options, "identity_file")?.unwrap_or_default();
        config.ssh_config = match option(options, "ssh_config")? {
            Some(file) => vec![file],
            None => {
                let of_user = home.iter().map(|home| home.join(".ssh/config"));
                of_user.chain([PathBuf::from("/etc/ssh/ssh_config")]).collect()
            }
        };
        config.home = home;
        let target = Arc::new(raise(py, SftpTarget::new(config))?);
        let shared: Arc<dyn CoreTarget> = Arc::<SftpTarget>::clone(&target);
        Ok(Target { sftp: Some(target), ..Target::plain(shared) })
    }

    /// A folder of a bucket; nothing is connected yet.
    ///
    /// ``options`` are the documented option keys; ``variables`` and ``home`` tell what the tools of AWS read from the
    /// environment.
    #[cfg(feature = "s3")]
    #[staticmethod]
    #[pyo3(signature = (*, bucket, root, query, user, password, options, variables, home))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments of a constructor")]
    fn s3(
        py: Python<'_>,
        bucket: &str,
        root: &str,
        query: &str,
        user: Option<String>,
        password: Option<String>,
        options: &Bound<'_, PyDict>,
        variables: std::collections::BTreeMap<String, String>,
        home: Option<PathBuf>,
    ) -> PyResult<Self> {
        let config =
            super::s3::config(py, bucket, root, (user, password), query, options, (variables, home))?;
        let target = Arc::new(raise(py, S3Target::new(config))?);
        let shared: Arc<dyn CoreTarget> = Arc::<S3Target>::clone(&target);
        Ok(Target { s3: Some(target), ..Target::plain(shared) })
    }

    /// Who logs in, where that is known beforehand.
    #[cfg(feature = "sftp")]
    #[getter]
    fn user(&self) -> Option<&str> {
        self.sftp.as_ref().map(|sftp| sftp.user())
    }

    /// Opens a session by hand with an SFTP server, on the connection that the others use.
    #[cfg(feature = "sftp")]
    fn by_hand(&self, py: Python<'_>) -> PyResult<Sftp> {
        match &self.sftp {
            Some(sftp) => Sftp::open(py, sftp),
            None => Err(PyValueError::new_err("only an SFTP server has that")),
        }
    }

    /// The bucket by its keys.
    #[cfg(feature = "s3")]
    fn bucket(&self) -> PyResult<Bucket> {
        match &self.s3 {
            Some(s3) => Ok(Bucket::new(Arc::clone(s3))),
            None => Err(PyValueError::new_err("only a target on S3 has that")),
        }
    }

    /// The key under which peers remember this target.
    #[getter]
    fn id(&self) -> &str {
        self.inner.id()
    }

    /// The key that pyftpsync 3.1 and 4.1 use for the same target.
    #[getter]
    fn legacy_id(&self) -> &str {
        self.inner.legacy_id()
    }

    /// The target as a URL or path, without user and password.
    #[getter]
    fn base_name(&self) -> &str {
        self.inner.base_name()
    }

    /// Starts a conversation: connects and logs in.
    fn open(&self, py: Python<'_>) -> PyResult<Session> {
        let session = open_session(py, &self.inner)?;
        Ok(Session::new(session, self.share(), None))
    }

    /// What was found out since the last call: tuples of the verbosity from which a line is shown, and the line.
    fn news(&self) -> Vec<(u8, String)> {
        self.inner.news()
    }

    /// Ends every conversation at once, from any thread.
    fn interrupt(&self) {
        self.inner.interrupt();
    }

    fn __repr__(&self) -> String {
        format!("<_core.Target {}>", self.inner.base_name())
    }
}

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
    fn new(session: Box<dyn CoreSession>, target: Arc<dyn CoreTarget>, spares: Option<Spares>) -> Self {
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

    /// Makes a folder; one that is there already is fine.
    fn mkdir(&self, py: Python<'_>, path: &str) -> PyResult<()> {
        let path = convert::path(path)?;
        self.with(py, move |session, _| session.mkdir(&path))
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

pub(super) fn tls_config(options: &Bound<'_, PyDict>) -> PyResult<TlsConfig> {
    let verify = !is_set(options, "no_verify_tls")? && option::<bool>(options, "tls_verify")?.unwrap_or(true);
    let identity = match (option(options, "tls_cert")?, option(options, "tls_key")?) {
        (Some(certificate), key) => Some(Identity { certificate, key }),
        (None, None) => None,
        (None, Some(_)) => return Err(PyValueError::new_err("the option tls_key needs tls_cert")),
    };
    Ok(TlsConfig {
        implicit: is_set(options, "tls_implicit")?,
        verify,
        ca_file: option(options, "tls_ca")?,
        pin: option(options, "tls_pin")?,
        identity,
        max: tls_version(options)?,
    })
}

/// `tls_max`, which a configuration file may give as a number.
fn tls_version(options: &Bound<'_, PyDict>) -> PyResult<Option<TlsVersion>> {
    let Some(value) = options.get_item("tls_max")?.filter(|value| !value.is_none()) else {
        return Ok(None);
    };
    match value.str()?.to_str()? {
        "1.2" => Ok(Some(TlsVersion::V12)),
        "1.3" => Ok(Some(TlsVersion::V13)),
        other => Err(PyValueError::new_err(format!("invalid option tls_max: {other} (1.2 or 1.3)"))),
    }
}

pub(super) fn option<'py, T>(options: &Bound<'py, PyDict>, key: &str) -> PyResult<Option<T>>
where
    T: for<'a> FromPyObject<'a, 'py>,
{
    match options.get_item(key)?.filter(|value| !value.is_none()) {
        None => Ok(None),
        Some(value) => match value.extract() {
            Ok(value) => Ok(Some(value)),
            Err(_) => Err(PyValueError::new_err(format!("invalid option {key}: {value}"))),
        },
    }
}

pub(super) fn seconds(options: &Bound<'_, PyDict>, key: &str) -> PyResult<Option<Duration>> {
    let Some(seconds) = option::<f64>(options, key)? else {
        return Ok(None);
    };
    match Duration::try_from_secs_f64(seconds).ok().filter(|duration| !duration.is_zero()) {
        Some(duration) => Ok(Some(duration)),
        None => Err(PyValueError::new_err(format!("invalid option {key}: {seconds}"))),
    }
}

pub(super) fn is_set(options: &Bound<'_, PyDict>, key: &str) -> PyResult<bool> {
    options.get_item(key)?.map_or(Ok(false), |value| value.is_truthy())
}
