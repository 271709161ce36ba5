//! The open sockets of a target, so that all of them can be shut at once from any thread.

use crate::error::Result;
use crate::locked::locked;
use std::collections::BTreeMap;
use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
#[cfg(unix)]
use {
    rustix::event::{PollFd, PollFlags, Timespec, poll},
    socket2::{Domain, Protocol, Socket, Type},
    std::os::fd::AsFd,
};

/// How often who waits for a connection looks whether it was interrupted.
const LOOK: Duration = Duration::from_millis(200);

/// Every socket in use.
#[derive(Debug, Default)]
pub struct Sockets {
    open: Mutex<BTreeMap<u64, TcpStream>>,
    next: AtomicU64,
    interruptions: AtomicU64,
}

/// The entry of one socket; dropping it takes the socket off the list.
#[derive(Debug)]
pub struct Lease {
    sockets: Arc<Sockets>,
    number: u64,
}

impl Sockets {
    /// Puts a socket on the list.
    ///
    /// # Errors
    /// If the system has no handle left.
    pub fn register(self: &Arc<Self>, socket: &TcpStream) -> Result<Lease> {
        let handle = socket.try_clone()?;
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        locked(&self.open).insert(number, handle);
        Ok(Lease { sockets: Arc::clone(self), number })
    }

    /// Connects, and gives up soon after all sockets were shut since `interruptions`.
    ///
    /// # Errors
    /// What the system says; `Interrupted` after an interruption, `TimedOut` after `timeout`.
    #[cfg(unix)]
    pub fn dial(&self, to: SocketAddr, timeout: Duration, interruptions: u64) -> io::Result<TcpStream> {
        let socket = Socket::new(Domain::for_address(to), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        let is_connected = match socket.connect(&to.into()) {
            Ok(()) => true,
            Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => false,
            Err(error) => return Err(error),
        };
        if !is_connected {
            self.wait_for(&socket, PollFlags::OUT, timeout, interruptions)?;
        }
        if let Some(error) = socket.take_error()? {
            return Err(error);
        }
        socket.set_nonblocking(false)?;
        Ok(socket.into())
    }

    /// As on Unix, where it needs no thread: there is no portable way to end a connection attempt from outside, so it is made
    /// by a thread of its own. After an interruption that is left to end alone, which it does after `timeout` at the latest.
    #[cfg(not(unix))]
    pub fn dial(&self, to: SocketAddr, timeout: Duration, interruptions: u64) -> io::Result<TcpStream> {
        use std::sync::mpsc::{self, RecvTimeoutError};
        let (outcome, news) = mpsc::channel();
        std::thread::Builder::new().name("ftp-dial".to_owned()).spawn(move || {
            // Nobody listens any more after an interruption; then the connection is closed at once.
            let _ = outcome.send(TcpStream::connect_timeout(&to, timeout));
        })?;
        loop {
            if self.interruptions() != interruptions {
                return Err(io::ErrorKind::Interrupted.into());
            }
            match news.recv_timeout(LOOK) {
                Ok(outcome) => return outcome,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Err(io::ErrorKind::ConnectionAborted.into()),
            }
        }
    }

    /// Takes the next connection to a port, as [`Sockets::dial`] makes one. The listener does not block afterwards.
    ///
    /// # Errors
    /// What the system says; `Interrupted` after an interruption, `TimedOut` after `timeout`.
    pub fn accept(
        &self,
        listener: &TcpListener,
        timeout: Duration,
        interruptions: u64,
    ) -> io::Result<(TcpStream, SocketAddr)> {
        listener.set_nonblocking(true)?;
        let deadline = Instant::now() + timeout;
        loop {
            // First, so that a flood of connections does not outlast the time.
            let left = self.left_until(deadline, interruptions)?;
            match listener.accept() {
                Ok((socket, peer)) => {
                    socket.set_nonblocking(false)?;
                    return Ok((socket, peer));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
            #[cfg(unix)]
            self.wait_for(listener, PollFlags::IN, left, interruptions)?;
            #[cfg(not(unix))]
            self.wait_a_little(left, interruptions)?;
        }
    }

    /// Waits until something can be done with a socket.
    #[cfg(unix)]
    fn wait_for(
        &self,
        socket: &impl AsFd,
        what: PollFlags,
        timeout: Duration,
        interruptions: u64,
    ) -> io::Result<()> {
        let deadline = Instant::now() + timeout;
        loop {
            let left = self.left_until(deadline, interruptions)?;
            let wait = Timespec::try_from(left.min(LOOK)).map_err(io::Error::other)?;
            match poll(&mut [PollFd::new(socket, what)], Some(&wait)) {
                Ok(0) | Err(rustix::io::Errno::INTR) => {}
                Ok(_) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// As on Unix: the standard library cannot wait for a listener and something else.
    #[cfg(not(unix))]
    fn wait_a_little(&self, timeout: Duration, interruptions: u64) -> io::Result<()> {
        let left = self.left_until(Instant::now() + timeout, interruptions)?;
        std::thread::sleep(left.min(Duration::from_millis(1)));
        Ok(())
    }

    fn left_until(&self, deadline: Instant, interruptions: u64) -> io::Result<Duration> {
        let left = deadline.saturating_duration_since(Instant::now());
        if self.interruptions() != interruptions {
            return Err(io::ErrorKind::Interrupted.into());
        }
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        Ok(left)
    }

    /// How often all sockets were shut; who opens several in a row looks whether that happened in between.
    pub fn interruptions(&self) -> u64 {
        self.interruptions.load(Ordering::SeqCst)
    }

    /// Shuts every socket: whoever is blocked on one gets an error.
    pub fn shut_all(&self) {
        self.interruptions.fetch_add(1, Ordering::SeqCst);
        for socket in locked(&self.open).values() {
            // An error means that it is shut already.
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        locked(&self.sockets.open).remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    #[test]
    fn who_waits_for_a_connection_stops_in_time_however_many_come() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let (sockets, second) = (Sockets::default(), Duration::from_secs(1));
        let accept = |timeout, interruptions| sockets.accept(&listener, timeout, interruptions);
        let _waiting: Vec<_> =
            (0..3).map(|_| TcpStream::connect(listener.local_addr().unwrap()).unwrap()).collect();
        assert!(accept(second, 0).is_ok());
        assert_eq!(accept(Duration::ZERO, 0).unwrap_err().kind(), io::ErrorKind::TimedOut);
        sockets.shut_all();
        assert_eq!(accept(second, 0).unwrap_err().kind(), io::ErrorKind::Interrupted);
        assert!(accept(second, 1).is_ok());
    }

    #[test]
    fn who_waits_for_a_connection_that_does_not_come_stops() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let sockets = Sockets::default();
        let short = Duration::from_millis(50);
        assert_eq!(sockets.accept(&listener, short, 0).unwrap_err().kind(), io::ErrorKind::TimedOut);
        let interrupted = std::thread::scope(|scope| {
            let waiting = scope.spawn(|| sockets.accept(&listener, Duration::from_secs(600), 0));
            std::thread::sleep(short);
            sockets.shut_all();
            waiting.join().unwrap()
        });
        assert_eq!(interrupted.unwrap_err().kind(), io::ErrorKind::Interrupted);
    }
}
