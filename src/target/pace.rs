//! A connection on which a byte comes now and then may do so for ever: bytes have to come at a certain pace.

use crate::error::{Error, Kind, Retry};
use std::io::{self, Read};
use std::time::{Duration, Instant};

/// What brings less for each time limit, on average, is given up: so many bytes are a few dozen names.
const PACE: u64 = 4 * 1024;

/// The first bytes may take so many time limits.
const SLOWEST: u32 = 3;

/// How much has come, and how long it was waited for. What is done with it meanwhile takes its own time.
pub struct Pace {
    timeout: Duration,
    waited: Duration,
    count: u64,
    is_too_slow: bool,
}

impl Pace {
    /// For a connection on which silence may last as long as `timeout`.
    pub fn new(timeout: Duration) -> Self {
        Pace { timeout, waited: Duration::ZERO, count: 0, is_too_slow: false }
    }

    /// Reads what comes next.
    ///
    /// # Errors
    /// Those of the source, and [`io::ErrorKind::TimedOut`] if too little has come, see [`Pace::is_too_slow`].
    pub fn read(&mut self, source: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
        let begun = Instant::now();
        let count = source.read(buffer)?;
        self.took(begun.elapsed(), count)
    }

    /// Takes that so many bytes have come after this time.
    ///
    /// # Errors
    /// [`io::ErrorKind::TimedOut`] if that is too little.
    pub fn took(&mut self, waited: Duration, count: usize) -> io::Result<usize> {
        self.waited += waited;
        self.count += count as u64;
        let earned = u32::try_from(self.count / PACE).unwrap_or(u32::MAX);
        let limit = self.timeout.saturating_mul(SLOWEST.saturating_add(earned));
        self.is_too_slow = count > 0 && self.waited > limit;
        if self.is_too_slow { Err(io::ErrorKind::TimedOut.into()) } else { Ok(count) }
    }

    /// Whether the connection was given up because it was too slow.
    pub fn is_too_slow(&self) -> bool {
        self.is_too_slow
    }

    /// What to tell about `what` then.
    pub fn error(&self, what: &str) -> Error {
        Error::new(Kind::Timeout, format!("{what} comes too slowly: {} bytes so far", self.count))
            .retrying(Retry::NewSession)
            .advise("if the server is that slow, give it a larger --timeout")
    }
}
