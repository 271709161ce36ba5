//! FTP commands of the user's own, for the `ftplib` object of the Python face.

use super::aside;
use super::errors::raise;
use super::session::{Shared, ended, exclusive};
use crate::error::{Error, Kind, Result};
use crate::locked::locked;
use crate::target::Target;
use crate::target::ftp::{self, Hands, Listener, Speaker, Way};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};

/// Shows conversations to a Python callable, while its level is not 0.
#[pyclass(frozen, module = "ftpsync._core")]
pub struct Trace {
    inner: Arc<ftp::Trace>,
}

impl Trace {
    /// The trace itself.
    pub fn share(&self) -> Arc<ftp::Trace> {
        Arc::clone(&self.inner)
    }
}

#[pymethods]
impl Trace {
    /// ``listener`` is called with ``cmd``, ``resp`` or ``note``, and the text.
    #[new]
    fn new(listener: Py<PyAny>) -> Self {
        let inner = ftp::Trace::new(move |speaker, text| {
            let kind = match speaker {
                Speaker::Client => "cmd",
                Speaker::Server => "resp",
                Speaker::Nobody => "note",
            };
            // What it raises is dropped: a log must not change a run.
            Python::attach(|py| drop(listener.call1(py, (kind, text))));
        });
        Trace { inner: Arc::new(inner) }
    }

    /// How much the user wants to see; 0 is nothing.
    #[getter]
    fn level(&self) -> u8 {
        self.inner.level()
    }

    #[setter]
    fn set_level(&self, level: u8) {
        self.inner.set_level(level);
    }
}

/// A conversation, for commands of the user's own.
#[pyclass(frozen, module = "ftpsync._core")]
pub struct ByHand {
    session: Shared,
    target: Arc<dyn Target>,
}

impl ByHand {
    /// Shares a conversation.
    pub fn new(session: Shared, target: Arc<dyn Target>) -> Self {
        ByHand { session, target }
    }

    /// Does something that may have to wait for the server.
    fn with<T: Send + 'static>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&mut ftp::ByHand<'_>) -> Result<T> + Send + 'static,
    ) -> PyResult<T> {
        let session = Arc::clone(&self.session);
        aside::work(py, &self.target, move |_| at_once(&session, work))
    }

    /// Does something that needs no answer.
    fn now<T: Send>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&mut ftp::ByHand<'_>) -> Result<T> + Send,
    ) -> PyResult<T> {
        raise(py, py.detach(|| at_once(&self.session, work)))
    }
}

fn at_once<T>(session: &Shared, work: impl FnOnce(&mut ftp::ByHand<'_>) -> Result<T>) -> Result<T> {
    let mut session = exclusive(session)?;
    let session = session.as_mut().ok_or_else(ended)?;
    match session.as_ftp() {
        Some(mut ftp) => work(&mut ftp),
        None => Err(Error::new(Kind::Unsupported, "this conversation takes no commands by hand")
            .advise("if it is one over FTP, leave out --ftp-engine")),
    }
}

/// Host and port.
type Address = (String, u16);

fn address(of: SocketAddr) -> Address {
    (of.ip().to_string(), of.port())
}

#[pymethods]
impl ByHand {
    /// Sends one command line, without its end.
    fn send(&self, py: Python<'_>, line: &[u8]) -> PyResult<()> {
        let line = line.to_vec();
        self.with(py, move |ftp| ftp.send(&line))
    }

    /// Reads the next reply: its lines, without their ends.
    fn reply<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyBytes>>> {
        let reply = self.with(py, |ftp| ftp.reply())?;
        Ok(reply.lines().iter().map(|line| PyBytes::new(py, line)).collect())
    }

    /// Asks for the current folder.
    fn folder(&self, py: Python<'_>) -> PyResult<String> {
        self.with(py, |ftp| ftp.folder())
    }

    /// Goes to a folder, given by its absolute path.
    fn enter(&self, py: Python<'_>, folder: String) -> PyResult<()> {
        self.with(py, move |ftp| ftp.enter(&folder))
    }

    /// Connects to a port for a transfer: of the server, or of another host that it named and the user trusts.
    #[pyo3(signature = (port, elsewhere=None))]
    fn dial(&self, py: Python<'_>, port: u16, elsewhere: Option<IpAddr>) -> PyResult<DataConnection> {
        let hands = self.with(py, move |ftp| ftp.dial(port, elsewhere))?;
        Ok(DataConnection::new(hands, &self.target))
    }

    /// Prepares for a data connection that the server opens.
    fn listen(&self, py: Python<'_>) -> PyResult<DataListener> {
        let listener = self.now(py, |ftp| ftp.listen())?;
        let at = address(raise(py, listener.address())?);
        Ok(DataListener { listener: Mutex::new(Some(listener)), at, target: Arc::clone(&self.target) })
    }

    /// What the server said first, and what it said when it let the user in.
    #[getter]
    fn greetings(&self, py: Python<'_>) -> PyResult<(Option<String>, Option<String>)> {
        self.now(py, |ftp| Ok((ftp.banner().map(str::to_owned), ftp.login_reply().map(str::to_owned))))
    }

    /// Host and port of both ends: this one, and that of the server.
    #[getter]
    fn ends(&self, py: Python<'_>) -> PyResult<(Address, Address)> {
        let (here, there) = self.now(py, |ftp| ftp.ends())?;
        Ok((address(here), address(there)))
    }

    /// The number of the socket, for settings; it stays the property of the conversation.
    fn fileno(&self, py: Python<'_>) -> PyResult<i64> {
        self.now(py, |ftp| Ok(number(ftp.socket())))
    }

    /// Lets the server open the data connections of this target from now on, or not.
    fn set_active(&self, py: Python<'_>, is_active: bool) -> PyResult<()> {
        self.now(py, |ftp| {
            ftp.set_active(is_active);
            Ok(())
        })
    }

    /// A text without the password.
    fn masked(&self, py: Python<'_>, text: &str) -> PyResult<String> {
        self.now(py, |ftp| Ok(ftp.masked(text)))
    }

    /// Ends the conversation without a word.
    fn hang_up(&self, py: Python<'_>) -> PyResult<()> {
        raise(py, py.detach(|| exclusive(&self.session).map(|mut session| drop(session.take()))))
    }
}

#[cfg(unix)]
fn number(socket: &std::net::TcpStream) -> i64 {
    use std::os::fd::AsRawFd;
    i64::from(socket.as_raw_fd())
}

#[cfg(windows)]
fn number(socket: &std::net::TcpStream) -> i64 {
    use std::os::windows::io::AsRawSocket;
    socket.as_raw_socket() as i64
}

/// Waits for a data connection that the server opens.
#[pyclass(frozen, module = "ftpsync._core")]
pub struct DataListener {
    listener: Mutex<Option<Listener>>,
    /// Host and port.
    #[pyo3(get)]
    at: Address,
    target: Arc<dyn Target>,
}

#[pymethods]
impl DataListener {
    /// Waits for the connection; once.
    fn accept(&self, py: Python<'_>) -> PyResult<DataConnection> {
        let listener = locked(&self.listener).take();
        let hands = aside::work(py, &self.target, move |_| listener.ok_or_else(ended)?.accept())?;
        Ok(DataConnection::new(hands, &self.target))
    }

    /// Does not wait any more.
    fn close(&self) {
        drop(locked(&self.listener).take());
    }
}

/// The connection of one transfer.
#[pyclass(frozen, module = "ftpsync._core")]
pub struct DataConnection {
    hands: Arc<Mutex<Option<Hands>>>,
    target: Arc<dyn Target>,
}

impl DataConnection {
    fn new(hands: Hands, target: &Arc<dyn Target>) -> Self {
        DataConnection { hands: Arc::new(Mutex::new(Some(hands))), target: Arc::clone(target) }
    }

    fn with<T: Send + 'static>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&mut Hands) -> Result<T> + Send + 'static,
    ) -> PyResult<T> {
        let hands = Arc::clone(&self.hands);
        aside::work(py, &self.target, move |_| {
            let mut hands = locked(&hands);
            work(hands.as_mut().ok_or_else(ended)?)
        })
    }

    fn take(&self) -> Option<Hands> {
        locked(&self.hands).take()
    }
}

#[pymethods]
impl DataConnection {
    /// Begins the transfer that the server has agreed to, encrypted where the conversation is.
    fn begin(&self, py: Python<'_>, is_upload: bool) -> PyResult<()> {
        self.with(py, move |hands| hands.begin(if is_upload { Way::There } else { Way::Here }))
    }

    /// Whether it is encrypted.
    #[getter]
    fn is_encrypted(&self, py: Python<'_>) -> PyResult<bool> {
        self.with(py, |hands| Ok(hands.is_encrypted()))
    }

    /// Reads up to ``limit`` bytes, none at the end.
    fn read<'py>(&self, py: Python<'py>, limit: usize) -> PyResult<Bound<'py, PyBytes>> {
        let block = self.with(py, move |hands| {
            let mut buffer = vec![0; limit];
            let count = hands.read(&mut buffer)?;
            buffer.truncate(count);
            Ok(buffer)
        })?;
        Ok(PyBytes::new(py, &block))
    }

    /// Sends all of the bytes.
    fn write(&self, py: Python<'_>, block: &[u8]) -> PyResult<()> {
        let block = block.to_vec();
        self.with(py, move |hands| hands.write(&block))
    }

    /// Ends the connection: what was sent is complete; harmless twice.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        let hands = self.take();
        aside::work(py, &self.target, move |_| hands.map_or(Ok(()), Hands::close))
    }

    /// Gives the transfer up: what was sent is not complete; harmless twice.
    fn give_up(&self) {
        drop(self.take());
    }
}
