//! What Python says about a bucket, and the bucket by its keys: what objects are made of that are used like files.

use super::aside::{self, Caller};
use super::convert;
use super::errors::{exception, raise};
use super::options::{is_set, option, seconds, tls_config};
use crate::error::{Error, Kind, Result};
use crate::locked::locked;
use crate::model::{RelPath, Stamp};
use crate::target::Target as CoreTarget;
use crate::target::ftp::Secret;
use crate::target::local::{Links, LocalTarget};
use crate::target::s3::{ByHand, Environment, Expected, S3Config, S3Target, adds_up, each_of};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, UNIX_EPOCH};

/// How often Python is told about progress.
const OFTEN: Duration = Duration::from_millis(50);

/// The configuration of a target, from its URL, the documented options and the environment.
///
/// # Errors
/// A `ValueError` for what cannot be.
pub fn config(
    py: Python<'_>,
    bucket: &str,
    root: &str,
    login: (Option<String>, Option<String>),
    query: &str,
    options: &Bound<'_, PyDict>,
    environment: (BTreeMap<String, String>, Option<PathBuf>),
) -> PyResult<S3Config> {
    let mut config = S3Config::new(bucket, root);
    config.endpoint = option(options, "endpoint_url")?;
    config.region = option(options, "region")?;
    config.profile = option(options, "profile")?;
    raise(py, config.take_query(query))?;
    config.keys = match login {
        (Some(id), Some(secret)) => Some((id, Secret::new(secret))),
        (None, None) => None,
        _ => return Err(PyValueError::new_err("an access key and a secret key belong together")),
    };
    config.token = option::<String>(options, "token")?.map(Secret::new);
    config.anonymous = is_set(options, "no_sign_request")?;
    config.environment = Environment { variables: environment.0, home: environment.1 };
    config.tls = tls_config(options)?;
    if let Some(timeout) = seconds(options, "timeout")? {
        config.connect_timeout = timeout;
        config.timeout = timeout;
    }
    if let Some(timeout) = seconds(options, "connect_timeout")? {
        config.connect_timeout = timeout;
    }
    config.proxy = option::<String>(options, "proxy")?.map(Secret::new);
    if let Some(connections) = option(options, "connections")? {
        config.connections = connections;
    }
    config.create_root = is_set(options, "create_folder")?;
    Ok(config)
}

/// Key, size (bytes), modification time (seconds UTC), ETag.
type Listed = (String, u64, Option<f64>, String);

/// Size (bytes), modification time (seconds UTC), ETag, what the content adds up to, and the size of the parts for that.
type Facts = (u64, Option<f64>, String, Option<String>, Option<usize>);

/// What became of a file: ok, missing, corrupt, changed or failed, and the exception.
type Outcome = (&'static str, Option<Py<PyAny>>);

/// A bucket by its keys.
#[pyclass(frozen, module = "ftpsync._core")]
pub struct Bucket {
    inner: Arc<S3Target>,
    target: Arc<dyn CoreTarget>,
}

impl Bucket {
    /// The bucket of a target.
    pub fn new(inner: Arc<S3Target>) -> Self {
        let target: Arc<dyn CoreTarget> = Arc::<S3Target>::clone(&inner);
        Bucket { inner, target }
    }

    fn with<T: Send + 'static>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&ByHand, &Caller) -> Result<T> + Send + 'static,
    ) -> PyResult<T> {
        let bucket = self.inner.by_hand();
        aside::work(py, &self.target, move |caller| work(&bucket, caller))
    }

    /// Does some work with the bucket and a folder of the disk for each job.
    fn for_each<T: Sync + Send + 'static>(
        &self,
        py: Python<'_>,
        root: PathBuf,
        jobs: Vec<T>,
        workers: usize,
        progress: Option<Py<PyAny>>,
        work: impl Fn(&ByHand, &LocalTarget, &T, &(dyn Fn(u64) + Sync)) -> Result<()> + Send + Sync + 'static,
    ) -> PyResult<Vec<Outcome>> {
        let results = self.with(py, move |bucket, caller| {
            let local = LocalTarget::new(&root, Links::Follow)?;
            let meter = Meter { caller, listener: progress.map(Arc::new), state: Mutex::default() };
            let results = each_of(&jobs, workers, |job| work(bucket, &local, job, &|count| meter.add(count)));
            meter.tell(true);
            Ok(results)
        })?;
        Ok(results.into_iter().map(|result| outcome(py, result)).collect())
    }
}

#[pymethods]
impl Bucket {
    /// Every object whose key begins like this: tuples of key, size (bytes), modification time (seconds UTC) and ETag. With
    /// ``most``, the first few of them.
    #[pyo3(signature = (prefix, most = 0))]
    fn list(&self, py: Python<'_>, prefix: String, most: usize) -> PyResult<Vec<Listed>> {
        let objects = self.with(py, move |bucket, _| bucket.list(&prefix, most))?;
        let listed = objects
            .into_iter()
            .map(|object| (object.key, object.size, object.modified.map(Stamp::as_secs_f64), object.etag));
        Ok(listed.collect())
    }

    /// An object: size (bytes), modification time (seconds UTC), ETag, what the content adds up to, and the size of the parts
    /// for that; None if there is no such object.
    fn find(&self, py: Python<'_>, key: String) -> PyResult<Option<Facts>> {
        let found = self.with(py, move |bucket, _| bucket.find(&key))?;
        Ok(found.map(|found| {
            let (sum, part) = found.sum.unzip();
            (found.size, found.mtime.map(Stamp::as_secs_f64), found.etag, sum, part.flatten())
        }))
    }

    /// Puts objects into files below ``root``. ``jobs`` are tuples of key and relative path; the outcomes are in order.
    ///
    /// ``progress`` is called with numbers of bytes that have arrived.
    #[pyo3(signature = (root, jobs, *, check, workers, progress = None))]
    fn fetch(
        &self,
        py: Python<'_>,
        root: PathBuf,
        jobs: Vec<(String, String)>,
        check: bool,
        workers: usize,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<Vec<Outcome>> {
        let jobs: Vec<(String, RelPath)> =
            jobs.into_iter().map(|(key, file)| Ok((key, convert::path(&file)?))).collect::<PyResult<_>>()?;
        self.for_each(py, root, jobs, workers, progress, move |bucket, local, (key, file), progress| {
            bucket.fetch(key, local.open()?.as_mut(), file, check, progress).map(drop)
        })
    }

    /// Puts files below ``root`` at keys. ``jobs`` are tuples of relative path, key, and what must be there: an ETag, an empty
    /// text for nothing, or None for whatever there may be; the outcomes are in order.
    #[pyo3(signature = (root, jobs, *, workers, progress = None))]
    fn store(
        &self,
        py: Python<'_>,
        root: PathBuf,
        jobs: Vec<(String, String, Option<String>)>,
        workers: usize,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<Vec<Outcome>> {
        let jobs: Vec<(RelPath, String, Expected)> = jobs
            .into_iter()
            .map(|(file, key, expected)| {
                let expected = match expected {
                    None => Expected::Anything,
                    Some(nothing) if nothing.is_empty() => Expected::Nothing,
                    Some(etag) => Expected::Etag(etag),
                };
                Ok((convert::path(&file)?, key, expected))
            })
            .collect::<PyResult<_>>()?;
        let folder = root.clone();
        self.for_each(
            py,
            root,
            jobs,
            workers,
            progress,
            move |bucket, local, (file, key, expected), progress| {
                let facts = facts(&folder.join(file.as_str()));
                bucket.store(local.open()?.as_mut(), file, key, facts, expected, progress)
            },
        )
    }

    /// Deletes objects; returns those that are kept, with the exception.
    fn remove(&self, py: Python<'_>, keys: Vec<String>) -> PyResult<Vec<(String, Py<PyAny>)>> {
        let kept = self.with(py, move |bucket, _| bucket.remove(&keys))?;
        Ok(kept
            .into_iter()
            .map(|(key, error)| (key, exception(py, error).into_value(py).into_any()))
            .collect())
    }

    /// Whether a file adds up to what was told of an object; None if that cannot be told.
    #[staticmethod]
    #[pyo3(signature = (file, sum, part_size = None))]
    fn adds_up(
        py: Python<'_>,
        file: PathBuf,
        sum: String,
        part_size: Option<usize>,
    ) -> PyResult<Option<bool>> {
        let compared = py.detach(|| {
            let mut content = File::open(&file)?;
            let size = content.metadata()?.len();
            adds_up(&mut content, size, &(sum, part_size))
        });
        raise(py, compared)
    }
}

/// Size and time of a file, if it can be looked at.
fn facts(file: &Path) -> (Option<u64>, Option<Stamp>) {
    let Ok(found) = file.metadata() else { return (None, None) };
    let since = found.modified().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    let mtime =
        since.and_then(|since| Some(Stamp::new(i64::try_from(since.as_secs()).ok()?, since.subsec_nanos())));
    (Some(found.len()), mtime)
}

fn outcome(py: Python<'_>, result: Result<()>) -> Outcome {
    let Err(error) = result else { return ("ok", None) };
    let word = match error.kind() {
        Kind::NotFound => "missing",
        Kind::Corrupt => "corrupt",
        Kind::Changed => "changed",
        _ => "failed",
    };
    (word, Some(exception(py, error).into_value(py).into_any()))
}

/// Tells Python about progress, but not for every block.
struct Meter<'a> {
    caller: &'a Caller,
    listener: Option<Arc<Py<PyAny>>>,
    state: Mutex<(u64, Option<Instant>)>,
}

impl Meter<'_> {
    fn add(&self, count: u64) {
        locked(&self.state).0 += count;
        self.tell(false);
    }

    fn tell(&self, is_over: bool) {
        let Some(listener) = &self.listener else { return };
        let mut state = locked(&self.state);
        if state.0 == 0 || !is_over && state.1.is_some_and(|last| last.elapsed() < OFTEN) {
            return;
        }
        let count = std::mem::take(&mut state.0);
        state.1 = Some(Instant::now());
        drop(state);
        let listener = Arc::clone(listener);
        // What a display fails with is no reason to stop a transfer.
        let _: Result<(), Error> = self.caller.perform(move |py| listener.call1(py, (count,)).map(drop));
    }
}
