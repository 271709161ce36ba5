//! A large file that comes over several connections at a time.
//!
//! Whoever takes part reads one range after another and writes it at its place. Who has nothing left takes over half of
//! the largest rest of somebody else. A range whose reader fails is anybody's. What arrives is one temporary file, which
//! gets its name when every byte is there.

use super::flow::Flow;
use super::job::CopyJob;
use crate::error::{Error, Kind, Result};
use crate::model::{RelPath, Side};
use crate::target::{Parts, Session, Written};
use std::io::Read;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// What is worth another connection, in bytes.
const WORTHWHILE: u64 = 8 << 20;
/// Files from this size on, in bytes.
pub const SPLIT: u64 = 2 * WORTHWHILE;
const CHUNK: usize = 256 << 10;
/// Ranges may fail so often before the file does.
const PATIENCE: usize = 8;

/// A file on its way in ranges.
pub struct Segments {
    from: Side,
    source: RelPath,
    size: u64,
    parts: Box<dyn Parts>,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    ranges: Vec<Range>,
    failures: usize,
    /// Nobody shall read any more: the file has failed, or is finished.
    is_over: bool,
}

struct Range {
    at: u64,
    end: u64,
    has_reader: bool,
}

impl Segments {
    /// The parts of a file, none of which has been read.
    pub fn new(from: Side, job: &CopyJob, size: u64, parts: Box<dyn Parts>) -> Self {
        let ranges = vec![Range { at: 0, end: size, has_reader: false }];
        Segments {
            from,
            source: job.source.clone(),
            size,
            parts,
            state: Mutex::new(State { ranges, failures: 0, is_over: false }),
            changed: Condvar::new(),
        }
    }

    /// Reads ranges as long as there is something to read. An error is about this reader alone, unless the file has failed.
    ///
    /// # Errors
    /// What the session or the other side says.
    pub fn read(&self, from: &mut dyn Session, flow: &Flow) -> Result<()> {
        while let Some((range, start)) = self.claim() {
            let outcome = from.read_from(&self.source, start, &mut |body| self.fill(range, body, flow));
            let mut state = self.state();
            state.ranges[range].has_reader = false;
            if outcome.is_err() {
                state.failures += 1;
            }
            self.changed.notify_all();
            drop(state);
            outcome?;
        }
        Ok(())
    }

    /// Waits for the other readers. True if everything has arrived; false if there is something left to read.
    pub fn is_complete(&self, flow: &Flow) -> Result<bool> {
        let mut state = self.state();
        loop {
            flow.check()?;
            if state.ranges.iter().all(|range| range.at >= range.end) {
                return Ok(true);
            }
            if state.ranges.iter().any(|range| range.at < range.end && !range.has_reader) {
                return Ok(false);
            }
            let waited = self.changed.wait_timeout(state, super::POLL);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Whether so many ranges have failed that it makes no sense to go on.
    pub fn is_hopeless(&self) -> bool {
        self.state().failures >= PATIENCE
    }

    /// Ends the reading of others. What has arrived goes, unless it is [finished](Segments::finish).
    pub fn give_up(&self) {
        self.state().is_over = true;
        self.parts.discard();
    }

    /// The bytes that have arrived.
    pub fn arrived(&self) -> u64 {
        let missing: u64 = self.state().ranges.iter().map(|range| range.end - range.at).sum();
        self.size - missing
    }

    /// Puts the file at its name.
    ///
    /// # Errors
    /// See [`Parts::finish`].
    pub fn finish(&self) -> Result<Written> {
        self.parts.finish()
    }

    /// The side it comes from.
    pub fn from(&self) -> Side {
        self.from
    }

    /// The next range to read, and where it begins: one that nobody reads, or half of what another reader has left.
    fn claim(&self) -> Option<(usize, u64)> {
        let mut state = self.state();
        if state.is_over {
            return None;
        }
        let orphan = state.ranges.iter().position(|range| range.at < range.end && !range.has_reader);
        if let Some(index) = orphan {
            state.ranges[index].has_reader = true;
            return Some((index, state.ranges[index].at));
        }
        let rest = |range: &Range| range.end - range.at;
        let largest = (0..state.ranges.len()).max_by_key(|&index| rest(&state.ranges[index]))?;
        if rest(&state.ranges[largest]) < 2 * WORTHWHILE {
            return None;
        }
        let end = state.ranges[largest].end;
        let middle = end - rest(&state.ranges[largest]) / 2;
        state.ranges[largest].end = middle;
        state.ranges.push(Range { at: middle, end, has_reader: true });
        Some((state.ranges.len() - 1, middle))
    }

    /// Writes what arrives at its place, as far as the range goes by then.
    fn fill(&self, range: usize, body: &mut dyn Read, flow: &Flow) -> Result<()> {
        let mut buffer = vec![0; CHUNK];
        loop {
            flow.check()?;
            let (at, end, is_over) = {
                let state = self.state();
                (state.ranges[range].at, state.ranges[range].end, state.is_over)
            };
            if is_over || (at >= end && end < self.size) {
                return Ok(());
            }
            // At the end of the file the server has still to confirm that this is all.
            let room = usize::try_from(end - at).map_or(CHUNK, |rest| rest.clamp(1, CHUNK));
            let count = body.read(&mut buffer[..room])?;
            if count == 0 && at >= end {
                return Ok(());
            }
            if count == 0 || at >= end {
                let words = format!("it is not of {} bytes any more", self.size);
                return Err(Error::new(Kind::Size, words).during("read").at(&self.source));
            }
            self.parts.write_at(at, &buffer[..count])?;
            self.state().ranges[range].at += count as u64;
            flow.pass(count);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Segments {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Segments({}, {} of {} bytes)", self.source, self.arrived(), self.size)
    }
}
