//! The time that a run may take in all.

use super::{Clock, Event, Observer, Stats};
use crate::error::{Error, Kind, Result};

/// An observer that ends the run when its time is over.
pub struct Limited<'a> {
    inner: &'a mut dyn Observer,
    clock: &'a dyn Clock,
    /// Seconds.
    limit: Option<f64>,
    begun: f64,
}

impl<'a> Limited<'a> {
    /// The time begins now.
    pub fn new(inner: &'a mut dyn Observer, clock: &'a dyn Clock, limit: Option<f64>) -> Self {
        Limited { inner, clock, limit, begun: clock.elapsed() }
    }

    fn check(&self) -> Result<()> {
        match self.limit.filter(|limit| self.clock.elapsed() - self.begun > *limit) {
            None => Ok(()),
            Some(limit) => Err(Error::new(
                Kind::Timeout,
                format!("the run took longer than {limit} seconds (--max-time)"),
            )
            .advise("what was finished is kept; the next run goes on from there")),
        }
    }
}

impl Observer for Limited<'_> {
    fn event(&mut self, event: Event<'_>, stats: &Stats) -> Result<()> {
        let is_tick = matches!(event, Event::Tick);
        self.inner.event(event, stats)?;
        if is_tick { self.check() } else { Ok(()) }
    }

    fn wants(&self, level: u8) -> bool {
        self.inner.wants(level)
    }

    fn poll(&mut self) -> Result<()> {
        self.inner.poll()?;
        self.check()
    }
}
