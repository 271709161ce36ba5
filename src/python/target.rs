//! Targets for use from Python: places that conversations are begun with.

use super::by_hand::Trace;
use super::convert;
use super::errors::raise;
use super::options;
#[cfg(feature = "s3")]
use super::s3::Bucket;
use super::session::{Session, open_session};
#[cfg(feature = "sftp")]
use super::sftp::Sftp;
use crate::target::Target as CoreTarget;
use crate::target::ftp::{FtpConfig, FtpTarget, Secret};
use crate::target::local::LocalTarget;
use crate::target::memory::MemoryTarget;
#[cfg(feature = "s3")]
use crate::target::s3::S3Target;
#[cfg(feature = "sftp")]
use crate::target::sftp::{SftpConfig, SftpTarget};
#[cfg(any(feature = "s3", feature = "sftp"))]
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::path::PathBuf;
use std::sync::Arc;

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
        config.tls = if tls { Some(options::tls_config(options)?) } else { None };
        options::set_ftp(&mut config, options)?;
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
        config.login_name = login_name.to_owned();
        config.agent = agent;
        config.variables = variables;
        config.home = home;
        options::set_sftp(&mut config, options)?;
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

    /// The names of the host that an SFTP server is reached by from here, as given and as they are: its own, or those of the
    /// first jump host. None where a program makes the connection.
    #[cfg(feature = "sftp")]
    #[getter]
    fn first_host(&self) -> Option<(&str, &str)> {
        self.sftp.as_ref().and_then(|sftp| sftp.first_host())
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
