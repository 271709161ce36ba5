//! The jobs that wait for a thread, and how many threads may take them.
//!
//! Listings go first, because everything else waits for them; then large files, so that none of them is left to the end,
//! but never so many that small ones have no thread; then the rest in order. Who finds nothing of that reads a part of a large
//! file that somebody else copies. A few threads work from the beginning, one more than there are sessions. More join when so
//! many small jobs wait that the round trips of a far server, and not the line, decide how long it takes.
//!
//! Folders of a far side are made as many at a time as wait for it, which takes no longer than one.

use super::job::{CopyJob, Job, Ticket};
use super::segments::Segments;
use crate::locked::locked;
use crate::model::{RelPath, Side, Sides};
use std::collections::{BinaryHeap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A file from this size on (bytes) takes longer by its content than by its round trips.
pub const LARGE: u64 = 4 << 20;
/// Files up to this size (bytes) are copied in a row where their source wants to know the next ones.
pub const SMALL: u64 = 256 << 10;
/// The most files in such a row, and the most bytes: they are kept in memory, once for each session.
const ROW: (usize, u64) = (32, 2 << 20);

/// Jobs, and the threads that wait for them.
pub struct Queue {
    state: Mutex<State>,
    /// Told when there is a job, or the end.
    changed: Condvar,
    /// Told when one more thread may work.
    grown: Condvar,
    /// Told when no more jobs will come.
    ended: Condvar,
}

struct State {
    listings: VecDeque<Job>,
    makes: Sides<Vec<(Ticket, RelPath)>>,
    large: BinaryHeap<Large>,
    others: VecDeque<Work>,
    /// Large files under way that come in parts.
    shared: Vec<Shared>,
    /// Large files that have been taken and are not finished.
    large_under_way: usize,
    /// How many large files there were.
    large_seen: u64,
    /// Threads with a number below this may work.
    active: usize,
    most: usize,
    is_closed: bool,
    is_dropped: bool,
}

/// A large file that several threads read.
struct Shared {
    segments: Arc<Segments>,
    readers: usize,
    /// How often one more may still join. Whoever finds nothing worth reading does not come back.
    invitations: usize,
}

impl State {
    fn is_empty(&self) -> bool {
        self.listings.is_empty()
            && self.makes.local.is_empty()
            && self.makes.remote.is_empty()
            && self.large.is_empty()
            && self.others.is_empty()
            && self.file_to_join().is_none()
    }

    fn side_to_make(&self) -> Option<Side> {
        Side::BOTH.into_iter().find(|side| !self.makes[*side].is_empty())
    }

    /// The file of which one more thread shall read a part: that with the fewest readers. Files under way share the sessions
    /// evenly, also those whose first reader is about to begin: each transfer that begins anew and ends early costs round trips.
    fn file_to_join(&self) -> Option<usize> {
        let sessions = self.active.saturating_sub(1);
        let files = self.large_under_way.max(self.shared.len()).max(1);
        let helpers: usize = self.shared.iter().map(|file| file.readers - 1).sum();
        if files + helpers >= sessions {
            return None;
        }
        let is_open = |file: &Shared| file.invitations > 0 && file.readers < sessions.div_ceil(files);
        let open = self.shared.iter().enumerate().filter(|(_, file)| is_open(file));
        open.min_by_key(|(_, file)| file.readers).map(|(index, _)| index)
    }

    fn join(&mut self, index: usize) -> Work {
        let file = &mut self.shared[index];
        file.invitations -= 1;
        file.readers += 1;
        Work::Part(Arc::clone(&file.segments))
    }

    /// Whether more small jobs wait than the threads can have under way twice over.
    fn is_crowded(&self) -> bool {
        let enough = self.active * 2;
        let is_small = |work: &&Work| matches!(work, Work::Job(_));
        self.listings.len() + self.others.iter().rev().take(enough).filter(is_small).count() >= enough
    }
}

/// What a thread does.
pub enum Work {
    /// A job of the walk.
    Job(Job),
    /// Reading a part of a large file that another thread copies.
    Part(Arc<Segments>),
    /// Making folders of a side, in this order.
    Makes(Side, Vec<(Ticket, RelPath)>),
    /// Opening a session before there is a job for it.
    Session(Side),
}

/// A large file that waits.
struct Large {
    size: u64,
    /// The older one of two that are equal goes first.
    age: u64,
    job: Job,
}

impl Ord for Large {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.size.cmp(&other.size).then(other.age.cmp(&self.age))
    }
}

impl PartialOrd for Large {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Large {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Large {}

/// What a thread finds.
pub enum Next {
    /// Something to do.
    Work(Work),
    /// Nothing yet.
    Nothing,
    /// Nothing any more.
    End,
}

impl Queue {
    /// A queue for `few` threads in the beginning, and for `most` at the most.
    pub fn new(few: usize, most: usize) -> Self {
        let few = few.max(1);
        let state = State {
            listings: VecDeque::new(),
            makes: Sides::default(),
            large: BinaryHeap::new(),
            others: VecDeque::new(),
            shared: Vec::new(),
            large_under_way: 0,
            large_seen: 0,
            active: few,
            most: most.max(few),
            is_closed: false,
            is_dropped: false,
        };
        Queue {
            state: Mutex::new(state),
            changed: Condvar::new(),
            grown: Condvar::new(),
            ended: Condvar::new(),
        }
    }

    /// How many threads may work at the moment.
    pub fn active(&self) -> usize {
        self.state().active
    }

    /// How many threads there may be.
    pub fn most(&self) -> usize {
        self.state().most
    }

    /// Adds a job. Another thread joins if there is one left, there is too much for the others, and `is_far` is true.
    pub fn add(&self, job: Job, is_far: impl FnOnce() -> bool) {
        let mut state = self.state();
        match job {
            Job::List { .. } | Job::AskTimes { .. } => state.listings.push_back(job),
            Job::Copy(ref copy) if copy.put.size.is_some_and(|size| size >= LARGE) => {
                state.large_seen += 1;
                let large = Large { size: copy.put.size.unwrap_or(0), age: state.large_seen, job };
                state.large.push(large);
            }
            job => state.others.push_back(Work::Job(job)),
        }
        if state.active < state.most && state.is_crowded() && is_far() {
            state.active += 1;
            self.grown.notify_all();
        }
        self.changed.notify_one();
    }

    /// Adds a folder of a far side that is to be made.
    pub fn add_make(&self, side: Side, ticket: Ticket, dir: RelPath) {
        self.state().makes[side].push((ticket, dir));
        self.changed.notify_one();
    }

    /// Asks for readers of a file in parts, besides the one who asks: threads that have nothing else to do.
    pub fn share(&self, segments: &Arc<Segments>) {
        let mut state = self.state();
        let invitations = state.active.saturating_sub(1);
        state.shared.push(Shared { segments: Arc::clone(segments), readers: 1, invitations });
        self.changed.notify_all();
    }

    /// Nobody needs to join in reading this file any more.
    pub fn unshare(&self, segments: &Arc<Segments>) {
        self.state().shared.retain(|file| !Arc::ptr_eq(&file.segments, segments));
        self.changed.notify_all();
    }

    /// Somebody who joined in reading this file has left.
    pub fn left(&self, segments: &Arc<Segments>) {
        let mut state = self.state();
        if let Some(file) = state.shared.iter_mut().find(|file| Arc::ptr_eq(&file.segments, segments)) {
            file.readers -= 1;
        }
        self.changed.notify_all();
    }

    /// Asks for sessions that will be needed.
    pub fn add_sessions(&self, side: Side, count: usize) {
        self.state().others.extend((0..count).map(|_| Work::Session(side)));
        self.changed.notify_all();
    }

    /// Whether more jobs may come.
    pub fn is_open(&self) -> bool {
        !self.state().is_closed
    }

    /// Adds a job that is to be done before all others. It is lost if no more jobs are taken.
    pub fn add_first(&self, job: Job) {
        let mut state = self.state();
        if !state.is_closed {
            state.others.push_front(Work::Job(job));
        }
        self.changed.notify_one();
    }

    /// Waits until the thread with this number may work. False if it never will.
    pub fn admits(&self, thread: usize) -> bool {
        let idle = |state: &mut State| thread >= state.active && !state.is_closed;
        let state = self.grown.wait_while(self.state(), idle).unwrap_or_else(PoisonError::into_inner);
        thread < state.active
    }

    /// Takes a job.
    pub fn take(&self) -> Next {
        let mut state = self.state();
        if let Some(job) = state.listings.pop_front() {
            return Next::Work(Work::Job(job));
        }
        if let Some(side) = state.side_to_make() {
            return Next::Work(Work::Makes(side, std::mem::take(&mut state.makes[side])));
        }
        let may_be_large = state.others.is_empty() || state.large_under_way < (state.active / 2).max(1);
        if may_be_large && let Some(large) = state.large.pop() {
            state.large_under_way += 1;
            return Next::Work(Work::Job(large.job));
        }
        if let Some(work) = state.others.pop_front() {
            return Next::Work(work);
        }
        match state.file_to_join() {
            Some(index) => Next::Work(state.join(index)),
            None if state.is_closed => Next::End,
            None => Next::Nothing,
        }
    }

    /// Takes the small copies that wait next and have the same direction as this one. The other threads get as many.
    pub fn take_row(&self, first: Box<CopyJob>) -> VecDeque<Box<CopyJob>> {
        let to = first.to;
        let small = |job: &CopyJob| job.put.size.filter(|&size| size <= SMALL && job.to == to);
        let mut bytes = small(&first);
        let mut row = VecDeque::from([first]);
        let mut state = self.state();
        let most = (state.others.len() / state.active).min(ROW.0 - 1);
        while row.len() <= most && state.listings.is_empty() {
            let Some(Work::Job(Job::Copy(next))) = state.others.front() else { break };
            let sum = bytes.zip(small(next)).map(|(bytes, size)| bytes + size);
            if sum.is_none_or(|sum| sum > ROW.1) {
                break;
            }
            bytes = sum;
            if let Some(Work::Job(Job::Copy(next))) = state.others.pop_front() {
                row.push_back(next);
            }
        }
        row
    }

    /// Takes any of the jobs: `choose` says which one of so many. The largest of the large files stands for all of them, and so do
    /// the folders to make, of which it says how many are made.
    pub fn pick(&self, choose: &mut super::Choice<'_>) -> Option<Work> {
        let mut state = self.state();
        let (listings, others) = (state.listings.len(), state.others.len());
        let makes = state.side_to_make();
        let all = listings + others + usize::from(!state.large.is_empty()) + usize::from(makes.is_some());
        let index = if all == 0 { return None } else { choose(all) };
        if index < listings {
            return state.listings.remove(index).map(Work::Job);
        }
        if index < listings + others {
            return state.others.remove(index - listings);
        }
        if let Some(side) = makes.filter(|_| index == all - 1) {
            let count = 1 + choose(state.makes[side].len());
            return Some(Work::Makes(side, state.makes[side].drain(..count).collect()));
        }
        state.large_under_way += 1;
        state.large.pop().map(|large| Work::Job(large.job))
    }

    /// A large file that was taken is not under way any more.
    pub fn finished_large(&self) {
        let mut state = self.state();
        state.large_under_way = state.large_under_way.saturating_sub(1);
        // What it leaves free is for the others.
        self.changed.notify_all();
    }

    /// Waits until there may be a job.
    pub fn wait(&self) {
        let idle = |state: &mut State| state.is_empty() && !state.is_closed;
        drop(self.changed.wait_while(self.state(), idle));
    }

    /// No more jobs will come; those that wait are dropped if so wanted.
    pub fn close(&self, drops: bool) {
        let mut state = self.state();
        state.is_closed = true;
        if drops {
            state.is_dropped = true;
            state.listings.clear();
            state.makes = Sides::default();
            state.large.clear();
            state.others.clear();
            state.shared.clear();
        }
        self.changed.notify_all();
        self.grown.notify_all();
        self.ended.notify_all();
    }

    /// Waits for some time, but not longer than until no more jobs come; tells whether more may come.
    pub fn lasts(&self, time: Duration) -> bool {
        let is_open = |state: &mut State| !state.is_closed;
        let waited = self.ended.wait_timeout_while(self.state(), time, is_open);
        !waited.unwrap_or_else(PoisonError::into_inner).0.is_closed
    }

    /// Waits for some time, but not longer than until waiting jobs are dropped.
    pub fn rest(&self, time: Duration) {
        if !time.is_zero() {
            drop(self.ended.wait_timeout_while(self.state(), time, |state| !state.is_dropped));
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        locked(&self.state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::job::{Make, Ticket};
    use crate::engine::segments;
    use crate::model::RelPath;
    use crate::target::{Expect, Put};

    fn copy(name: &str, size: u64) -> Job {
        Job::Copy(Box::new(CopyJob {
            ticket: Ticket(0),
            name: name.to_owned(),
            to: Side::Local,
            source: RelPath::default(),
            listed: Expect::Anything,
            target: RelPath::default(),
            put: Put { size: Some(size), ..Put::default() },
            keep: None,
            needs_folders: false,
            may_lag: false,
            has_twin: false,
        }))
    }

    fn listing() -> Job {
        Job::List { ticket: Ticket(0), side: Side::Local, dir: RelPath::default(), make: Make::Nothing }
    }

    fn taken(queue: &Queue) -> String {
        match queue.take() {
            Next::Work(Work::Job(Job::Copy(job))) => job.name,
            Next::Work(_) => "listing".to_owned(),
            Next::Nothing => "nothing".to_owned(),
            Next::End => "end".to_owned(),
        }
    }

    #[test]
    fn listings_go_first_then_the_largest_but_never_only_those() {
        let queue = Queue::new(4, 4);
        for (name, size) in
            [("small", 1), ("large", LARGE), ("larger", LARGE + 1), ("little", 2), ("as large", LARGE)]
        {
            queue.add(copy(name, size), || true);
        }
        queue.add(listing(), || true);
        let first: Vec<_> = (0..4).map(|_| taken(&queue)).collect();
        assert_eq!(first, ["listing", "larger", "large", "small"], "two of four threads are enough");
        queue.finished_large();
        assert_eq!(taken(&queue), "as large");
        assert_eq!([taken(&queue), taken(&queue)], ["little", "nothing"]);
        queue.add(copy("last", LARGE), || true);
        assert_eq!(taken(&queue), "last", "there is nothing else to do");
        queue.close(false);
        assert_eq!(taken(&queue), "end");
    }

    #[test]
    fn folders_that_wait_to_be_made_on_a_side_are_taken_together_before_anything_is_copied() {
        let queue = Queue::new(4, 4);
        let make = |side, name| queue.add_make(side, Ticket(0), RelPath::parse(name).unwrap());
        let made = || match queue.take() {
            Next::Work(Work::Makes(side, row)) => {
                (side, row.iter().map(|(_, dir)| dir.to_string()).collect::<Vec<_>>().join(" "))
            }
            _ => panic!("something else"),
        };
        queue.add(copy("file", 1), || false);
        make(Side::Remote, "a");
        make(Side::Local, "b");
        make(Side::Remote, "c");
        assert_eq!(made(), (Side::Local, "b".to_owned()));
        assert_eq!(made(), (Side::Remote, "a c".to_owned()));
        make(Side::Remote, "d");
        queue.close(false);
        assert_eq!(made(), (Side::Remote, "d".to_owned()), "what was asked for is done");
        make(Side::Remote, "e");
        queue.close(true);
        assert_eq!(taken(&queue), "end");
    }

    /// The name of the file that a thread without anything else to do helps with.
    fn joined(queue: &Queue) -> String {
        match queue.take() {
            Next::Work(Work::Part(segments)) => segments.source().to_string(),
            Next::Work(_) => "something else".to_owned(),
            Next::Nothing => "nothing".to_owned(),
            Next::End => "end".to_owned(),
        }
    }

    fn row(queue: &Queue) -> Vec<String> {
        match queue.take() {
            Next::Work(Work::Job(Job::Copy(first))) => {
                queue.take_row(first).into_iter().map(|job| job.name).collect()
            }
            _ => Vec::new(),
        }
    }

    #[test]
    fn a_row_is_small_files_and_leaves_as_many_for_each_of_the_others() {
        let queue = Queue::new(2, 2);
        for number in 0..9 {
            queue.add(copy(&number.to_string(), SMALL), || false);
        }
        assert_eq!(row(&queue), ["0", "1", "2", "3", "4"]);
        queue.add(copy("larger", SMALL + 1), || false);
        queue.add(copy("last", 1), || false);
        assert_eq!(row(&queue), ["5", "6", "7"], "of five that wait, two more");
        assert_eq!([row(&queue), row(&queue), row(&queue)], [vec!["8"], vec!["larger"], vec!["last"]]);
        for number in 0..90 {
            queue.add(copy(&number.to_string(), SMALL), || false);
        }
        assert_eq!(row(&queue).len() as u64, ROW.1 / SMALL, "not more than fits into memory");
        let queue = Queue::new(2, 2);
        for number in 0..200 {
            queue.add(copy(&number.to_string(), 1), || false);
        }
        assert_eq!(row(&queue).len(), ROW.0);
    }

    #[test]
    fn large_files_under_way_share_the_sessions_evenly() {
        // One thread more than sessions.
        let queue = Queue::new(5, 5);
        let [first, second] = ["first", "second"].map(|name| Arc::new(segments::tests::file(name)));
        queue.add(copy("first", LARGE), || true);
        queue.add(copy("second", LARGE), || true);
        queue.share(&first);
        assert_eq!(
            [taken(&queue), taken(&queue)],
            ["first", "second"],
            "who copies it goes before who helps"
        );
        assert_eq!(joined(&queue), "first");
        assert_eq!(joined(&queue), "nothing", "the last session is for a reader of the second file");
        queue.share(&second);
        assert_eq!([joined(&queue), joined(&queue)], ["second", "nothing"]);
        queue.unshare(&first);
        queue.finished_large();
        assert_eq!([joined(&queue), joined(&queue), joined(&queue)], ["second", "second", "nothing"]);
        queue.left(&first);
        assert_eq!(joined(&queue), "nothing", "it helped with another file");
        queue.left(&second);
        assert_eq!([joined(&queue), joined(&queue)], ["second", "nothing"]);
        queue.left(&second);
        assert_eq!(joined(&queue), "nothing", "it was asked often enough");
        queue.close(false);
        assert_eq!(joined(&queue), "end");
    }

    #[test]
    fn threads_join_while_more_waits_than_the_others_can_do_soon_and_it_is_far() {
        let queue = Queue::new(2, 4);
        let admitted = || {
            let state = queue.state();
            state.active
        };
        for _ in 0..20 {
            queue.add(copy("large", LARGE), || true);
        }
        (0..10).for_each(|_| queue.add(copy("near", 1), || false));
        assert_eq!(admitted(), 2);
        queue.add(copy("far", 1), || true);
        assert_eq!(admitted(), 3);
        (0..20).for_each(|_| queue.add(copy("far", 1), || true));
        assert_eq!(admitted(), 4);
        assert!(queue.admits(3));
        queue.close(false);
        assert!(!queue.admits(4));
    }

    #[test]
    fn what_was_dropped_is_not_waited_for() {
        let queue = Queue::new(1, 1);
        queue.add(copy("lost", 1), || true);
        queue.close(true);
        assert_eq!(taken(&queue), "end");
        queue.add_first(copy("too late", 1));
        assert_eq!(taken(&queue), "end");
        queue.wait();
        queue.rest(Duration::from_secs(3600));
        assert!(!queue.lasts(Duration::from_secs(3600)));
    }
}
