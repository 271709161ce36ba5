//! A large file that comes over several connections at a time.
//!
//! Whoever takes part reads one range after another and writes it at its place. Who has nothing left takes over half of
//! the largest rest of somebody else, unless that would take longer to begin than it can save. A range whose reader fails is
//! anybody's. What arrives is one temporary file, which gets its name when every byte is there. If it does not come to that, what
//! lies before the first gap is the part that another attempt goes on with.

use super::flow::Flow;
use super::job::CopyJob;
use crate::error::{Error, Kind, Result};
use crate::locked::locked;
use crate::model::{RelPath, Side};
use crate::target::{Parts, Session, Written};
use std::io::Read;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

/// What is worth another connection, in bytes.
const WORTHWHILE: u64 = 8 << 20;
/// Files from this size on, in bytes.
pub const SPLIT: u64 = 2 * WORTHWHILE;
const CHUNK: usize = 256 << 10;
/// Ranges may fail so often, with little between, before the file does.
const PATIENCE: usize = 8;
/// A rest is worth dividing if it lasts so many times as long as the first bytes of a range let wait for themselves: two of these
/// times go by until one reader has let go of it and the other has begun, and the pace of a new connection has still to grow.
const PAYS: u32 = 8;

/// A file on its way in ranges.
pub struct Segments {
    from: Side,
    source: RelPath,
    size: u64,
    parts: Box<dyn Parts>,
    state: Mutex<State>,
    changed: Condvar,
    /// Nothing is written any more. Whoever writes holds it.
    is_shut: RwLock<bool>,
    /// What was there before, in bytes.
    held: u64,
}

struct State {
    ranges: Vec<Range>,
    failures: usize,
    /// When the last of them was.
    failed_at: Option<Instant>,
    /// The side does not begin where it should: nothing that came from the middle of the file can be trusted.
    is_misled: Option<Error>,
    /// The longest time that the first bytes of a range let wait for themselves.
    delay: Duration,
    /// Nobody shall read any more: the file has failed, or is finished.
    is_over: bool,
}

struct Range {
    at: u64,
    end: u64,
    has_reader: bool,
    /// When its reader began, and from where.
    claimed: Instant,
    from: u64,
    /// When the first bytes came.
    begun: Option<Instant>,
}

impl Range {
    fn new(at: u64, end: u64, has_reader: bool) -> Self {
        Range { at, end, has_reader, claimed: Instant::now(), from: at, begun: None }
    }

    fn rest(&self) -> u64 {
        self.end - self.at
    }

    /// Gives it to a reader, and says from where that has to read.
    fn give(&mut self) -> u64 {
        *self = Range::new(self.at, self.end, true);
        self.at
    }

    /// How long the rest will take at the pace so far; `None` as long as too little has come to tell.
    fn remaining(&self, delay: Duration) -> Option<Duration> {
        let (time, read) = (self.begun?.elapsed(), self.at - self.from);
        #[allow(clippy::cast_precision_loss, reason = "an estimate")]
        let times = self.rest() as f64 / read.max(1) as f64;
        if time < delay { None } else { Duration::try_from_secs_f64(time.as_secs_f64() * times).ok() }
    }
}

impl State {
    fn arrived(&mut self, range: usize, count: usize) {
        let range = &mut self.ranges[range];
        range.at += count as u64;
        if range.begun.is_none() {
            let now = Instant::now();
            range.begun = Some(now);
            self.delay = self.delay.max(now - range.claimed);
        }
    }

    fn failed(&mut self, range: usize, error: &Error) {
        let range = &mut self.ranges[range];
        if range.at >= range.end {
            // All bytes are there, and were not confirmed.
            range.at = range.from;
        }
        if range.at - range.from >= WORTHWHILE {
            // Connections that bring so much before they are lost bring the file, too.
            self.failures = 0;
        }
        // What was under way when another one failed has failed along with it.
        if self.failed_at.is_none_or(|at| range.claimed >= at) {
            self.failures += 1;
            self.failed_at = Some(Instant::now());
        }
        if error.kind() == Kind::Unsupported {
            self.is_misled.get_or_insert(error.duplicate());
            self.is_over = true;
        }
    }
}

impl Segments {
    /// The parts of a file, of which only the first `held` bytes are there.
    pub fn new(job: &CopyJob, held: u64, size: u64, parts: Box<dyn Parts>) -> Self {
        Segments::of(job.to.other(), job.source.clone(), held, size, parts)
    }

    fn of(from: Side, source: RelPath, held: u64, size: u64, parts: Box<dyn Parts>) -> Self {
        let ranges = vec![Range::new(held, size, false)];
        Segments {
            from,
            source,
            size,
            parts,
            state: Mutex::new(State {
                ranges,
                failures: 0,
                failed_at: None,
                is_misled: None,
                delay: Duration::ZERO,
                is_over: false,
            }),
            changed: Condvar::new(),
            is_shut: RwLock::new(false),
            held,
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
            if let Err(error) = &outcome {
                state.failed(range, error);
            }
            self.changed.notify_all();
            drop(state);
            outcome?;
        }
        Ok(())
    }

    /// Waits for the other readers. True if everything has arrived; false if there is something left to read.
    ///
    /// # Errors
    /// If one of them has found out that the side does not begin where it should.
    pub fn is_complete(&self, flow: &Flow) -> Result<bool> {
        // Whoever reads the end of the file knows only behind it whether that was all, and the right bytes.
        let is_read = |range: &Range| range.at >= range.end && !(range.has_reader && range.end == self.size);
        let mut state = self.state();
        loop {
            flow.check()?;
            if let Some(error) = &state.is_misled {
                return Err(error.duplicate());
            }
            if state.ranges.iter().all(is_read) {
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

    /// Ends the reading of others. What has arrived goes, unless it is [finished](Segments::finish); if `leaves_part`, only what lies
    /// behind the first gap.
    pub fn give_up(&self, leaves_part: bool) {
        self.state().is_over = true;
        *self.is_shut.write().unwrap_or_else(PoisonError::into_inner) = true;
        if leaves_part {
            self.parts.keep(self.first_gap());
        } else {
            self.parts.discard();
        }
    }

    fn first_gap(&self) -> u64 {
        let state = self.state();
        let gaps = state.ranges.iter().filter(|range| range.at < range.end).map(|range| range.at);
        gaps.min().unwrap_or(self.size)
    }

    /// The bytes that have arrived.
    pub fn arrived(&self) -> u64 {
        let missing: u64 = self.state().ranges.iter().map(Range::rest).sum();
        self.size - self.held - missing
    }

    /// Puts the file at its name.
    ///
    /// # Errors
    /// See [`Parts::finish`].
    pub fn finish(&self) -> Result<Written> {
        self.parts.finish()
    }

    /// What is copied.
    pub fn source(&self) -> &RelPath {
        &self.source
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
            return Some((index, state.ranges[index].give()));
        }
        let delay = state.delay;
        let largest = state.ranges.iter_mut().max_by_key(|range| range.rest())?;
        if largest.rest() < 2 * WORTHWHILE || largest.remaining(delay).is_some_and(|time| time < delay * PAYS)
        {
            return None;
        }
        let (end, middle) = (largest.end, largest.end - largest.rest() / 2);
        largest.end = middle;
        state.ranges.push(Range::new(middle, end, true));
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
            let is_shut = self.is_shut.read().unwrap_or_else(PoisonError::into_inner);
            if *is_shut {
                return Ok(());
            }
            self.parts.write_at(at, &buffer[..count])?;
            self.state().arrived(range, count);
            drop(is_shut);
            flow.pass(count);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        locked(&self.state)
    }
}

impl std::fmt::Debug for Segments {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Segments({}, {} of {} bytes)", self.source, self.arrived(), self.size)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    struct Nowhere;

    /// A file of which nothing has come yet.
    pub fn file(name: &str) -> Segments {
        Segments::of(Side::Remote, RelPath::parse(name).unwrap(), 0, 100 << 20, Box::new(Nowhere))
    }

    impl Parts for Nowhere {
        fn write_at(&self, _: u64, _: &[u8]) -> Result<()> {
            Ok(())
        }

        fn finish(&self) -> Result<Written> {
            Ok(Written::default())
        }

        fn discard(&self) {}
    }

    /// A file of 100 MiB of which a reader has got so many, for so many times as long as it had to wait for the first bytes.
    fn under_way(mebibytes: u64, delays: u32) -> Segments {
        let segments = file("large");
        let delay = Duration::from_millis(100);
        segments.claim().unwrap();
        let mut state = segments.state();
        state.delay = delay;
        state.ranges[0].begun = Instant::now().checked_sub(delay * delays);
        state.ranges[0].at = mebibytes << 20;
        drop(state);
        segments
    }

    #[test]
    fn a_rest_is_divided_only_where_that_saves_time() {
        // The rest takes 4 times as long as a new reader has to wait.
        assert_eq!(under_way(50, 4).claim(), None);
        assert_eq!(under_way(20, 4).claim(), Some((1, 60 << 20)));
        // Little is left, but it comes slowly.
        assert_eq!(under_way(80, 100).claim(), Some((1, 90 << 20)));
        assert_eq!(under_way(90, 1000).claim(), None);
        // The reader has just begun: nothing is known about its pace.
        assert_eq!(under_way(1, 0).claim().map(|(range, _)| range), Some(1));
    }

    #[test]
    fn a_range_that_was_given_up_is_measured_anew() {
        let segments = under_way(50, 4);
        segments.state().ranges[0].has_reader = false;
        assert_eq!(segments.claim(), Some((0, 50 << 20)));
        assert_eq!(segments.state().ranges[0].begun, None);
    }

    /// Two readers of which each has got all bytes of its range; the second one has met an error behind them.
    fn ended_by(error: &Error) -> Segments {
        let segments = file("large");
        for _ in 0..2 {
            segments.claim().unwrap();
        }
        let mut state = segments.state();
        for range in &mut state.ranges {
            (range.at, range.has_reader) = (range.end, false);
        }
        state.failed(1, error);
        drop(state);
        segments
    }

    #[test]
    fn as_many_bytes_as_there_should_be_are_not_all_if_they_come_from_elsewhere() {
        let misled = ended_by(&Error::new(Kind::Unsupported, "more than the rest comes"));
        assert_eq!(misled.is_complete(&Flow::default()).unwrap_err().kind(), Kind::Unsupported);
        assert_eq!(misled.claim(), None);
        let refused = ended_by(&Error::new(Kind::Busy, "not confirmed"));
        assert!(!refused.is_complete(&Flow::default()).unwrap());
        assert_eq!(refused.claim(), Some((1, 50 << 20)), "it is read again");
    }

    /// Reads a range, and fails after so many bytes.
    fn fails_after(segments: &Segments, (range, _): (usize, u64), count: u64) {
        let mut state = segments.state();
        state.ranges[range].at += count;
        state.ranges[range].has_reader = false;
        state.failed(range, &Error::new(Kind::Disconnected, "lost"));
    }

    #[test]
    fn connections_that_are_lost_together_are_lost_once() {
        let source = RelPath::parse("large").unwrap();
        let segments = Segments::of(Side::Remote, source, 0, 400 << 20, Box::new(Nowhere));
        let readers: Vec<_> = (0..2 * PATIENCE).map(|_| segments.claim().unwrap()).collect();
        for reader in readers {
            fails_after(&segments, reader, 1);
        }
        assert!(!segments.is_hopeless());
        for _ in 1..PATIENCE {
            assert!(!segments.is_hopeless());
            fails_after(&segments, segments.claim().unwrap(), 1);
        }
        assert!(segments.is_hopeless(), "one after the other");
    }

    #[test]
    fn connections_that_bring_a_lot_before_they_are_lost_are_no_reason_to_give_up() {
        let source = RelPath::parse("large").unwrap();
        let segments = Segments::of(Side::Remote, source, 0, 400 << 20, Box::new(Nowhere));
        for _ in 0..2 * PATIENCE {
            fails_after(&segments, segments.claim().unwrap(), WORTHWHILE);
        }
        assert!(!segments.is_hopeless());
    }

    #[test]
    fn a_part_ends_at_the_first_gap() {
        let segments = under_way(50, 4);
        assert_eq!(segments.first_gap(), 50 << 20);
        segments.state().ranges.push(Range::new(20 << 20, 30 << 20, false));
        assert_eq!(segments.first_gap(), 20 << 20);
    }
}
