//! Targets written in Python, as the core sees them.
//!
//! The documented protocol of such a target has a current folder and one thread. So there is one session, every verb is
//! performed on the calling thread (see [`super::stage`]), and `ftpsync._bridge.TargetBridge` turns paths into steps from
//! folder to folder. The metadata of a folder is not read as a file but asked for and given back as a text: the target may
//! keep it anywhere.

use super::errors::exception;
use super::stage::{Asker, Stage, When};
use crate::error::{Error, Kind, Result};
use crate::model::{Entry, EntryKind, Listing, META_FILE_NAME, Name, Note, RelPath, Stamp};
use crate::target::{Caps, Expect, Put, Session, Target, Written};
use pyo3::exceptions::{PyFileExistsError, PyFileNotFoundError, PyPermissionError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use std::collections::HashMap;
use std::io::{self, Read};
use std::sync::Arc;

/// A target written in Python.
pub struct PyTarget {
    stage: Arc<Stage>,
    bridge: Arc<Py<PyAny>>,
    id: String,
    legacy_id: String,
    base_name: String,
    sets_mtime: bool,
    removes_trees: bool,
    has_writer: bool,
}

impl PyTarget {
    /// The target behind a `TargetBridge`.
    ///
    /// # Errors
    /// What its attributes raise.
    pub fn new(bridge: &Bound<'_, PyAny>, stage: &Arc<Stage>) -> PyResult<Self> {
        Ok(PyTarget {
            stage: Arc::clone(stage),
            bridge: Arc::new(bridge.clone().unbind()),
            id: bridge.getattr("id")?.extract()?,
            legacy_id: bridge.getattr("legacy_id")?.extract()?,
            base_name: bridge.getattr("base_name")?.extract()?,
            sets_mtime: bridge.getattr("sets_mtime")?.extract()?,
            removes_trees: bridge.getattr("removes_trees")?.extract()?,
            has_writer: bridge.getattr("has_writer")?.extract()?,
        })
    }
}

impl Target for PyTarget {
    fn id(&self) -> &str {
        &self.id
    }

    fn legacy_id(&self) -> &str {
        &self.legacy_id
    }

    fn base_name(&self) -> &str {
        &self.base_name
    }

    fn caps(&self) -> Caps {
        Caps {
            sets_mtime: self.sets_mtime,
            renames: false,
            sessions: 1,
            is_networked: false,
            excludes_others: false,
            reads_ahead: false,
        }
    }

    fn removes_trees(&self) -> bool {
        self.removes_trees
    }

    fn open(&self) -> Result<Box<dyn Session>> {
        Ok(Box::new(PySession {
            stage: Arc::clone(&self.stage),
            bridge: Arc::clone(&self.bridge),
            metas: HashMap::new(),
            has_writer: self.has_writer,
        }))
    }
}

struct PySession {
    stage: Arc<Stage>,
    bridge: Arc<Py<PyAny>>,
    /// Metadata that came with a listing, until it is read.
    metas: HashMap<RelPath, String>,
    /// Whether files are written through `open_writable()`.
    has_writer: bool,
}

/// Name, whether it is a folder, size, time as it counts, time as listed, identity.
type Told = (String, bool, Option<u64>, Option<f64>, Option<f64>, Option<String>);

impl PySession {
    fn call<T, A>(&self, method: &'static str, args: A) -> Result<T>
    where
        T: for<'a, 'py> FromPyObject<'a, 'py> + Send + 'static,
        A: for<'py> pyo3::call::PyCallArgs<'py> + Send + 'static,
    {
        self.perform(method, args, |answer| answer.extract().map_err(Into::into))
    }

    fn tell<A>(&self, method: &'static str, args: A) -> Result<()>
    where
        A: for<'py> pyo3::call::PyCallArgs<'py> + Send + 'static,
    {
        self.perform(method, args, |_| Ok(()))
    }

    fn perform<T, A>(
        &self,
        method: &'static str,
        args: A,
        read: impl FnOnce(&Bound<'_, PyAny>) -> PyResult<T> + Send + 'static,
    ) -> Result<T>
    where
        T: Send + 'static,
        A: for<'py> pyo3::call::PyCallArgs<'py> + Send + 'static,
    {
        let bridge = Arc::clone(&self.bridge);
        let work = move |py: Python<'_>| read(&bridge.bind(py).call_method1(method, args)?);
        self.stage.perform(When::Anytime, work).map_err(understood)
    }
}

impl Session for PySession {
    fn list(&mut self, dir: &RelPath) -> Result<Listing> {
        let (entries, meta): (Vec<Told>, Option<String>) = self.call("list", (dir.as_str().to_owned(),))?;
        let mut listing = Listing::default();
        for told in entries {
            match entry(&told) {
                Ok(entry) => listing.entries.push(entry),
                Err(why) => listing.notes.push(Note::new(told.0, why)),
            }
        }
        if let (Some(meta), Ok(name)) = (meta, Name::new(META_FILE_NAME)) {
            listing.entries.push(Entry::file(name.clone(), Some(meta.len() as u64), None));
            self.metas.insert(dir.join(&name), meta);
        }
        Ok(listing)
    }

    fn read(&mut self, file: &RelPath, lend: &mut dyn FnMut(&mut dyn Read) -> Result<()>) -> Result<()> {
        if let Some(meta) = self.metas.remove(file) {
            return lend(&mut meta.as_bytes());
        }
        let stream: Py<PyAny> = self.call("open_readable", (file.as_str().to_owned(),))?;
        let stream = Arc::new(stream);
        let mut body = Source { stage: &self.stage, stream: Arc::clone(&stream) };
        let outcome = lend(&mut body);
        let close = move |py: Python<'_>| stream.bind(py).call_method0("close").map(drop);
        let closed = self.stage.perform(When::Anytime, close);
        outcome.and(closed)
    }

    fn write(&mut self, file: &RelPath, body: &mut dyn Read, put: &Put) -> Result<Written> {
        if is_meta(file) {
            let mut text = String::new();
            body.read_to_string(&mut text).map_err(Error::from)?;
            let size = text.len() as u64;
            self.tell("store_meta", (parent(file), Some(text)))?;
            return Ok(Written { size, mtime_kept: false, ..Written::default() });
        }
        let bridge = Arc::clone(&self.bridge);
        let path = file.as_str().to_owned();
        let (size, mtime) = (put.size, put.mtime.map(Stamp::as_secs_f64));
        let mut bytes = 0;
        let mut failure = None;
        let outcome = self.stage.perform_asking(
            When::Anytime,
            move |py, asker: Asker<usize, Result<Vec<u8>>>| {
                let body = Py::new(py, Body { asker })?;
                bridge.bind(py).call_method1("write", (path, body, size, mtime))?.extract()
            },
            |limit| {
                let chunk = read_chunk(body, limit);
                match &chunk {
                    Ok(chunk) => bytes += chunk.len() as u64,
                    Err(error) => failure = Some(error.duplicate()),
                }
                chunk
            },
        );
        // A source that failed is the cause of whatever the target made of it.
        if let Some(failure) = failure {
            return Err(failure);
        }
        let mtime_kept: bool = outcome.map_err(understood)?;
        if let Some(size) = size.filter(|size| *size != bytes) {
            let text = format!("{bytes} bytes were sent instead of {size}");
            return Err(Error::new(Kind::Size, text).during("write").at(file));
        }
        Ok(Written { size: bytes, mtime_kept, ..Written::default() })
    }

    fn opens_first(&self) -> bool {
        self.has_writer
    }

    fn mkdir(&mut self, dir: &RelPath) -> Result<()> {
        self.tell("mkdir", (dir.as_str().to_owned(),))
            .map_err(|error| error.during("make the folder").at(dir))
    }

    fn remove_file(&mut self, file: &RelPath) -> Result<()> {
        if is_meta(file) {
            return self.tell("store_meta", (parent(file), None::<String>));
        }
        self.tell("remove_file", (file.as_str().to_owned(),)).map_err(|error| error.during("delete").at(file))
    }

    fn remove_dir(&mut self, dir: &RelPath) -> Result<()> {
        self.tell("remove_dir", (dir.as_str().to_owned(),)).map_err(|error| error.during("delete").at(dir))
    }

    fn remove_tree(
        &mut self,
        root: &RelPath,
        files: &[(RelPath, Expect)],
        folders: &[RelPath],
    ) -> Result<bool> {
        let files: Vec<ToldFile> = files.iter().map(told_file).collect();
        let folders: Vec<String> = folders.iter().map(|folder| folder.as_str().to_owned()).collect();
        self.call("remove_tree", (root.as_str().to_owned(), files, folders))
            .map_err(|error| error.during("delete").at(root))
    }

    fn set_mtime(&mut self, file: &RelPath, to: Stamp) -> Result<()> {
        let was_kept: bool = self.call("set_mtime", (file.as_str().to_owned(), to.as_secs_f64()))?;
        if was_kept {
            return Ok(());
        }
        Err(Error::new(Kind::Unsupported, "this target cannot set times").during("set the time of").at(file))
    }
}

/// A file of a target written in Python, read on the stage.
struct Source<'a> {
    stage: &'a Stage,
    stream: Arc<Py<PyAny>>,
}

impl Read for Source<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let (stream, limit) = (Arc::clone(&self.stream), buffer.len());
        let chunk: Vec<u8> = self
            .stage
            .perform(When::Anytime, move |py| {
                let chunk = stream.bind(py).call_method1("read", (limit,))?;
                Ok(chunk.extract::<&[u8]>()?.to_vec())
            })
            .map_err(Error::into_io)?;
        if chunk.len() > limit {
            return Err(Error::new(Kind::Io, "read() returned more than it was asked for").into_io());
        }
        buffer[..chunk.len()].copy_from_slice(&chunk);
        Ok(chunk.len())
    }
}

/// What a target written in Python reads from while it writes a file.
#[pyclass(frozen, module = "ftpsync._core")]
pub struct Body {
    asker: Asker<usize, Result<Vec<u8>>>,
}

#[pymethods]
impl Body {
    /// Returns up to ``limit`` bytes; none at the end.
    fn read<'py>(&self, py: Python<'py>, limit: usize) -> PyResult<Bound<'py, PyBytes>> {
        let chunk = self.asker.ask(py, limit)?.map_err(|error| exception(py, error))?;
        Ok(PyBytes::new(py, &chunk))
    }
}

fn read_chunk(body: &mut dyn Read, limit: usize) -> Result<Vec<u8>> {
    let mut chunk = vec![0; limit.clamp(1, 1 << 20)];
    let count = body.read(&mut chunk).map_err(Error::from)?;
    chunk.truncate(count);
    Ok(chunk)
}

/// Path, and whether size and time matter; if so, both as they were listed.
type ToldFile = (String, Option<(Option<u64>, Option<f64>)>);

fn told_file((path, expect): &(RelPath, Expect)) -> ToldFile {
    let listed = match expect {
        Expect::File(size, mtime) => Some((*size, mtime.map(Stamp::as_secs_f64))),
        Expect::Anything | Expect::Absent => None,
    };
    (path.as_str().to_owned(), listed)
}

fn is_meta(file: &RelPath) -> bool {
    file.file_name() == META_FILE_NAME
}

fn parent(file: &RelPath) -> String {
    file.parent().unwrap_or_default().as_str().to_owned()
}

fn entry(told: &Told) -> Result<Entry, String> {
    let (name, is_folder, size, mtime, mtime_org, unique) = told;
    let name = Name::new(name.as_str()).map_err(|why| why.to_string())?;
    let stamp = |seconds: &Option<f64>| seconds.and_then(Stamp::from_secs_f64);
    Ok(Entry {
        name,
        kind: if *is_folder { EntryKind::Folder } else { EntryKind::File },
        size: size.filter(|_| !is_folder),
        mtime: stamp(mtime),
        mtime_org: stamp(mtime_org),
        unique: unique.as_deref().map(Into::into),
        changed: None,
        mode: None,
        is_link: false,
    })
}

/// Gives an exception the kind by which the run goes on; it still comes out as it is.
fn understood(error: Error) -> Error {
    let kind = error.carried().and_then(|source| source.downcast_ref::<PyErr>()).and_then(|raised| {
        Python::attach(|py| {
            let is_metadata = || -> PyResult<bool> {
                let class = py.import("ftpsync.metadata")?.getattr("IncompatibleMetadataVersionError")?;
                Ok(raised.matches(py, class)?)
            };
            [
                (raised.is_instance_of::<PyFileNotFoundError>(py), Kind::NotFound),
                (raised.is_instance_of::<PyFileExistsError>(py), Kind::Exists),
                (raised.is_instance_of::<PyPermissionError>(py), Kind::Denied),
                (is_metadata().unwrap_or(false), Kind::Metadata),
            ]
            .into_iter()
            .find(|(holds, _)| *holds)
            .map(|(_, kind)| kind)
        })
    });
    match kind {
        Some(kind) => error.understood_as(kind),
        None => error,
    }
}
