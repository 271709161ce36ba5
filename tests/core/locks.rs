//! The lock file in runs over trees in memory: who may go on, what waits, and that it is gone at every exit.

use super::tree::{at, user_tree};
use super::wrapped::{Lend, Overrides, Wrapped};
use ftpsync::engine::{self, Clock, Event, LockState, Locking, NoHooks, Observer, Run, Stats};
use ftpsync::error::{Error, Kind, Result};
use ftpsync::model::lock::{Holder, Lock};
use ftpsync::model::{LOCK_FILE_NAME, Listing, RelPath, Sides, Stamp};
use ftpsync::plan::guard::GuardRules;
use ftpsync::plan::lock::LockRules;
use ftpsync::plan::{Filter, Mode, Policy, Strategy};
use ftpsync::target::memory::{MemoryTarget, Node};
use ftpsync::target::pool::Pool;
use ftpsync::target::{Expect, Put, Session, Target, Written};
use std::io::Read;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

const START: f64 = 1_700_000_000.0;
/// What a test waits for comes at once, or never.
const NEVER: Duration = Duration::from_secs(20);

/// A clock that stands still until it is told otherwise.
struct Virtual(Mutex<f64>);

impl Virtual {
    fn advance(&self, seconds: f64) {
        *self.0.lock().unwrap() += seconds;
    }
}

impl Clock for Virtual {
    fn now(&self) -> f64 {
        *self.0.lock().unwrap()
    }
    fn elapsed(&self) -> f64 {
        self.now() - START
    }
    fn readable(&self, seconds: f64) -> String {
        format!("{seconds}")
    }
}

/// What happens on the remote side, and who waits for it.
#[derive(Default)]
struct Log {
    lines: Mutex<Vec<String>>,
    changed: Condvar,
}

impl Log {
    fn add(&self, line: String) {
        self.lines.lock().unwrap().push(line);
        self.changed.notify_all();
    }

    fn count(&self, line: &str) -> usize {
        self.lines.lock().unwrap().iter().filter(|other| *other == line).count()
    }

    /// Waits until a line is there so many times.
    fn wait_for(&self, line: &str, times: usize) {
        let lines = self.lines.lock().unwrap();
        let missing = |lines: &mut Vec<String>| lines.iter().filter(|other| *other == line).count() < times;
        let (lines, waited) = self.changed.wait_timeout_while(lines, NEVER, missing).unwrap();
        assert!(!waited.timed_out(), "{line} did not come {times} times: {lines:?}");
    }

    fn changes(&self) -> Vec<String> {
        let is_change =
            |line: &&String| ["write", "mkdir", "remove"].iter().any(|verb| line.starts_with(verb));
        self.lines.lock().unwrap().iter().filter(is_change).cloned().collect()
    }
}

type Step = dyn Fn(&str) -> Result<()> + Send + Sync;

/// A tree in memory behind a network, where a test can step in.
#[derive(Clone)]
struct Remote {
    tree: MemoryTarget,
    log: Arc<Log>,
    /// Called with each line before it is carried out; may refuse.
    before: Arc<Step>,
}

impl Remote {
    fn new() -> Self {
        let tree = MemoryTarget::new("mem://u@h:1/").networked().dating(Stamp::new(START as i64, 0));
        Remote { tree, log: Arc::default(), before: Arc::new(|_| Ok(())) }
    }

    fn before(mut self, before: impl Fn(&str) -> Result<()> + Send + Sync + 'static) -> Self {
        self.before = Arc::new(before);
        self
    }

    fn target(&self) -> Wrapped<MemoryTarget, Remote> {
        Wrapped { below: self.tree.clone(), with: self.clone() }
    }

    fn note(&self, verb: &str, path: &RelPath) -> Result<()> {
        let line = format!("{verb} {}", if path.is_root() { "." } else { path.as_str() });
        self.log.add(line.clone());
        (self.before)(&line)
    }

    fn put_lock(&self, text: &str) {
        self.tree.put(LOCK_FILE_NAME, text.as_bytes(), at(0));
    }

    fn lock(&self) -> Option<Lock> {
        match self.tree.tree().get(LOCK_FILE_NAME)? {
            Node::File(bytes, _) => Some(Lock::parse(bytes).unwrap()),
            Node::Folder => None,
        }
    }
}

impl Overrides for Remote {
    fn base_name<'a>(&'a self, _: &'a dyn Target) -> &'a str {
        "mem://h/"
    }
    fn open(&self, below: &dyn Target) -> Result<Box<dyn Session>> {
        self.log.add("open".into());
        (self.before)("open")?;
        self.wrap(below.open()?)
    }
    fn interrupt(&self, _: &dyn Target) {
        self.log.add("interrupt".into());
    }
    fn list(&mut self, below: &mut dyn Session, dir: &RelPath) -> Result<Listing> {
        self.note("list", dir)?;
        below.list(dir)
    }
    fn read(&mut self, below: &mut dyn Session, file: &RelPath, lend: &mut Lend<'_>) -> Result<()> {
        self.note("read", file)?;
        below.read(file, lend)
    }
    fn write(
        &mut self,
        below: &mut dyn Session,
        file: &RelPath,
        body: &mut dyn Read,
        put: &Put,
    ) -> Result<Written> {
        self.note("write", file)?;
        below.write(file, body, put)
    }
    fn mkdir(&mut self, below: &mut dyn Session, dir: &RelPath) -> Result<()> {
        self.note("mkdir", dir)?;
        below.mkdir(dir)
    }
    fn remove_file(&mut self, below: &mut dyn Session, file: &RelPath) -> Result<()> {
        self.note("remove", file)?;
        below.remove_file(file)
    }
    fn remove_dir(&mut self, below: &mut dyn Session, dir: &RelPath) -> Result<()> {
        self.note("remove", dir)?;
        below.remove_dir(dir)
    }
    fn still(&mut self, _: &mut dyn Session, names: &[(RelPath, Expect)]) -> Vec<Result<Option<bool>>> {
        // As a server that tells nothing about a file but by its content.
        names.iter().map(|_| Ok(None)).collect()
    }
}

/// Collects what is told, and ends the run once the log of the remote side has a line.
struct Listener {
    told: Vec<String>,
    states: Vec<String>,
    stop_at: Option<(Arc<Log>, &'static str)>,
}

impl Observer for Listener {
    fn event(&mut self, event: Event<'_>, _: &Stats) -> Result<()> {
        match event {
            Event::Note { level, text } => self.told.push(format!("{level} {text}")),
            Event::Failure(text) => self.told.push(text.to_owned()),
            Event::Lock { side, state } => self.states.push(match state {
                LockState::Held(lock) => format!("{side} held {}", lock.time - START),
                LockState::Unwritable => format!("{side} unwritable"),
                LockState::Offset(seconds) => format!("{side} offset {seconds}"),
                LockState::Released => format!("{side} released"),
            }),
            _ => {}
        }
        Ok(())
    }
    fn wants(&self, level: u8) -> bool {
        level <= 4
    }
    fn poll(&mut self) -> Result<()> {
        match &self.stop_at {
            Some((log, line)) if log.count(line) > 0 => Err(Error::cancelled()),
            _ => Ok(()),
        }
    }
}

struct Outcome {
    told: Vec<String>,
    states: Vec<String>,
    result: Result<()>,
}

struct Setup {
    mode: Mode,
    dry_run: bool,
    breaks: bool,
    clock: Arc<Virtual>,
    stop_at: Option<&'static str>,
    guard_off: bool,
    /// Sessions with the remote side that are open before the run begins.
    open: usize,
    /// What no other run has.
    token: &'static str,
    strategy: Option<Strategy>,
}

impl Setup {
    fn new(mode: Mode) -> Self {
        let clock = Arc::new(Virtual(Mutex::new(START)));
        Setup {
            mode,
            dry_run: false,
            breaks: false,
            clock,
            stop_at: None,
            guard_off: true,
            open: 0,
            token: "ours",
            strategy: None,
        }
    }

    fn run(&self, local: &MemoryTarget, remote: &Remote) -> Outcome {
        let pools =
            Sides::new(Pool::new(Arc::new(local.clone()), 4), Pool::new(Arc::new(remote.target()), 4));
        for _ in 0..self.open {
            pools.remote.add(pools.remote.target().open().unwrap());
        }
        let owner = Holder {
            host: Some("here".into()),
            system: Some("boot".into()),
            process: Some(1),
            token: Some(self.token.into()),
        };
        let rules = LockRules { owner, age: 900.0, breaks: self.breaks };
        let policy = Policy::new(self.mode);
        let run = Run {
            pools: &pools,
            policy: Policy { delete: true, strategy: self.strategy.or(policy.strategy), ..policy },
            filter: Filter::all(),
            guard: GuardRules { limit: None, is_off: self.guard_off },
            compares_contents: false,
            is_rehearsal: self.dry_run,
            migrate: false,
            ignore_copy_errors: true,
            inplace: false,
            keeping: ftpsync::engine::Keeping::default(),
            lock: Some(Locking { rules: &rules, is_running: &|process| process == 1 }),
            pretty_meta: false,
            version: "test",
            resolve_all: None,
            asks_at_same_time: false,
            foresees: true,
            threads: 1..=1,
            time_limit: None,
            max_depth: 256,
            clock: self.clock.as_ref(),
        };
        let stop_at = self.stop_at.map(|line| (Arc::clone(&remote.log), line));
        let mut listener = Listener { told: Vec::new(), states: Vec::new(), stop_at };
        let result = engine::sync(&run, &NoHooks, &mut listener, &mut Stats::default());
        Outcome { told: listener.told, states: listener.states, result }
    }
}

fn local() -> MemoryTarget {
    MemoryTarget::new("/local")
}

/// The lock of somebody at work elsewhere, written so many seconds ago.
fn foreign(age: f64) -> String {
    let holder = Holder { host: Some("web1".into()), process: Some(4711), ..Holder::default() };
    Lock { time: START - age, holder: Some(holder) }.print()
}

const WRITE: &str = "write .pyftpsync-lock.json";
const REMOVE: &str = "remove .pyftpsync-lock.json";

#[test]
fn a_run_holds_the_lock_while_it_changes_a_side_and_removes_it() {
    for mode in [Mode::Sync, Mode::Upload] {
        let (local, remote) = (local(), Remote::new());
        local.put("a", b"1", at(0));
        let tree = remote.tree.clone();
        let remote = remote.before(move |line| {
            let is_locked = tree.tree().contains_key(LOCK_FILE_NAME);
            assert!(is_locked || line != "write a");
            Ok(())
        });
        let outcome = Setup::new(mode).run(&local, &remote);
        assert!(outcome.result.is_ok());
        assert_eq!(remote.log.changes(), [WRITE, "write a", REMOVE]);
        assert_eq!(outcome.states, ["remote held 0", "remote offset 0", "remote released"]);
        assert!(user_tree(&remote.tree).contains_key("a") && remote.lock().is_none());
    }
}

#[test]
fn an_idle_run_costs_one_lock_a_last_look_at_it_and_its_removal() {
    let (local, remote) = (local(), Remote::new());
    let outcome = Setup::new(Mode::Sync).run(&local, &remote);
    assert!(outcome.result.is_ok());
    let lines = remote.log.lines.lock().unwrap().clone();
    let about_lock: Vec<&String> = lines.iter().filter(|line| line.contains("lock")).collect();
    let read = "read .pyftpsync-lock.json";
    assert_eq!(about_lock, [read, WRITE, read, REMOVE], "nothing else tells here whose it is in the end");
    assert_eq!(remote.log.count("list ."), 1);
}

#[test]
fn a_side_that_is_only_read_or_only_looked_at_is_not_locked() {
    for (mode, dry_run) in [(Mode::Download, false), (Mode::Sync, true), (Mode::Upload, true)] {
        let (local, remote) = (local(), Remote::new());
        remote.tree.put("a", b"1", at(0));
        remote.put_lock(&foreign(1.0));
        let mut setup = Setup::new(mode);
        setup.dry_run = dry_run;
        let outcome = setup.run(&local, &remote);
        assert!(outcome.result.is_ok() && outcome.states.is_empty());
        assert!(remote.log.changes().is_empty() && remote.lock().is_some());
    }
}

#[test]
fn a_local_folder_is_not_locked() {
    let (near, far) = (local(), MemoryTarget::new("/other"));
    near.put("a", b"1", at(0));
    let mut remote = Remote::new();
    remote.tree = far;
    assert!(Setup::new(Mode::Sync).run(&near, &remote).states.is_empty());
    assert_eq!(remote.log.count(WRITE), 0);
}

#[test]
fn a_fresh_lock_of_somebody_else_stops_the_run_before_anything_is_changed() {
    let (local, remote) = (local(), Remote::new());
    local.put("a", b"1", at(0));
    remote.tree.put("b", b"2", at(0));
    remote.put_lock(&foreign(35.0));
    let before = (local.tree(), remote.tree.tree());
    let outcome = Setup::new(Mode::Sync).run(&local, &remote);
    let error = outcome.result.unwrap_err();
    assert_eq!(error.kind(), Kind::Locked);
    let text = error.to_string();
    assert_eq!(
        text,
        "could not lock \"mem://h/\": process 4711 on web1 is at work there (its lock file was written 35 seconds \
         ago); wait for its end, or pass --break-lock if it cannot be running any more"
    );
    assert_eq!((local.tree(), remote.tree.tree()), before, "neither side, and not the lock itself");
    assert!(outcome.states.is_empty());
}

#[test]
fn what_is_left_over_is_taken_over_with_a_line() {
    let ended =
        Holder { host: Some("here".into()), system: Some("boot".into()), process: Some(99), token: None };
    let ended = Lock { time: START - 1.0, holder: Some(ended) }.print();
    let table = [
        (foreign(1000.0), false, "process 4711 on web1: it was written 16 minutes ago."),
        (foreign(-1000.0), false, "process 4711 on web1: its time lies in the future."),
        (ended, false, "process 99 on here: that process has ended."),
        (foreign(1.0), true, "process 4711 on web1: as --break-lock asks."),
        // Listed with a time that is long ago.
        ("{\"lock".into(), false, "a program that does not tell its name: it was written 1157 days ago."),
    ];
    for (text, breaks, line) in table {
        let (local, remote) = (local(), Remote::new());
        local.put("a", b"1", at(0));
        remote.put_lock(&text);
        let mut setup = Setup::new(Mode::Upload);
        setup.breaks = breaks;
        let outcome = setup.run(&local, &remote);
        assert!(outcome.result.is_ok(), "{text}");
        assert!(outcome.told.contains(&format!("3 Took over the lock of {line}")), "{:?}", outcome.told);
        assert!(user_tree(&remote.tree).contains_key("a") && remote.lock().is_none());
    }
}

#[test]
fn a_lock_that_is_being_written_counts_as_one() {
    let (local, remote) = (local(), Remote::new());
    local.put("a", b"1", at(0));
    remote.tree.put(LOCK_FILE_NAME, b"", Stamp::from_secs_f64(START - 2.0).unwrap());
    assert_eq!(Setup::new(Mode::Upload).run(&local, &remote).result.unwrap_err().kind(), Kind::Locked);
    assert!(user_tree(&remote.tree).is_empty());
}

/// What a run leaves that is killed while it writes its lock, looked at so many seconds later. The clock of the side is its own.
fn after_a_stump(age: f64, ahead: f64) -> (Remote, Outcome) {
    let (local, mut remote) = (local(), Remote::new());
    local.put("a", b"1", at(0));
    remote.tree = remote.tree.dating(Stamp::from_secs_f64(START + ahead).unwrap());
    remote.tree.put(LOCK_FILE_NAME, b"{\"lock_ti", Stamp::from_secs_f64(START + ahead - age).unwrap());
    let outcome = Setup::new(Mode::Upload).run(&local, &remote);
    (remote, outcome)
}

#[test]
fn a_lock_that_was_never_finished_is_taken_over_after_two_minutes_of_the_sides_own_clock() {
    for ahead in [0.0, 7200.0, -7200.0] {
        let (remote, outcome) = after_a_stump(125.0, ahead);
        assert!(outcome.result.is_ok(), "{:?}", outcome.result);
        let line =
            "3 Took over the lock of a program that does not tell its name: it was written 2 minutes ago.";
        assert!(outcome.told.contains(&line.to_owned()), "{:?}", outcome.told);
        assert!(user_tree(&remote.tree).contains_key("a") && remote.lock().is_none());
        let (remote, outcome) = after_a_stump(115.0, ahead);
        assert_eq!(outcome.result.unwrap_err().kind(), Kind::Locked, "somebody may still be writing it");
        assert_eq!(remote.tree.tree().into_keys().collect::<Vec<_>>(), [LOCK_FILE_NAME]);
    }
}

/// A lock of somebody else whose clock differs by `ahead` from that of the side, where it was written `age` seconds ago.
fn after_a_lock_by_another_clock(age: f64, ahead: f64) -> (Remote, Outcome) {
    let (local, mut remote) = (local(), Remote::new());
    local.put("a", b"1", at(0));
    remote.tree = remote.tree.dating(Stamp::from_secs_f64(START + 5000.0).unwrap());
    let written = Stamp::from_secs_f64(START + 5000.0 - age).unwrap();
    remote.tree.put(LOCK_FILE_NAME, foreign(age - ahead).as_bytes(), written);
    let outcome = Setup::new(Mode::Upload).run(&local, &remote);
    (remote, outcome)
}

#[test]
fn a_living_lock_is_honoured_however_wrong_a_clock_is() {
    for ahead in [0.0, 7200.0, -7200.0, 1e8, -1e8] {
        let (remote, outcome) = after_a_lock_by_another_clock(170.0, ahead);
        assert_eq!(outcome.result.unwrap_err().kind(), Kind::Locked, "{ahead}");
        assert_eq!(remote.tree.tree().into_keys().collect::<Vec<_>>(), [LOCK_FILE_NAME]);
    }
    for ahead in [0.0, 7200.0, -7200.0] {
        let (remote, outcome) = after_a_lock_by_another_clock(901.0, ahead);
        assert!(outcome.result.is_ok(), "{ahead}: {:?}", outcome.result);
        assert!(user_tree(&remote.tree).contains_key("a") && remote.lock().is_none());
    }
}

#[test]
fn of_two_runs_that_begin_at_the_same_moment_one_gives_way_before_it_changes_anything() {
    let (local, remote) = (local(), Remote::new());
    local.put("a", b"1", at(0));
    let (tree, theirs) = (remote.tree.clone(), foreign(0.0));
    let remote = remote.before(move |line| {
        if line == "list ." {
            // The other one has found none, too, and was a little later.
            tree.put(LOCK_FILE_NAME, theirs.as_bytes(), at(0));
        }
        Ok(())
    });
    let outcome = Setup::new(Mode::Sync).run(&local, &remote);
    let text = outcome.result.unwrap_err().to_string();
    assert!(
        text.contains("process 4711 on web1 has begun at the same moment; nothing was changed"),
        "{text}"
    );
    assert!(text.starts_with("could not lock \"mem://h/\""), "{text}");
    assert!(user_tree(&remote.tree).is_empty());
    assert_eq!(remote.lock().unwrap().time, START, "the lock is theirs");
    assert!(!outcome.states.contains(&"remote released".to_owned()), "{:?}", outcome.states);
}

#[test]
fn a_lock_of_somebody_else_that_is_just_being_written_is_waited_for() {
    let (local, remote) = (local(), Remote::new());
    local.put("a", b"1", at(0));
    let (tree, theirs, reads) = (remote.tree.clone(), foreign(0.0), Mutex::new(0));
    let remote = remote.before(move |line| {
        let mut reads = reads.lock().unwrap();
        match line {
            // It is there, and empty: the bytes are on their way.
            "list ." if *reads == 1 => tree.put(LOCK_FILE_NAME, b"", at(0)),
            "read .pyftpsync-lock.json" => {
                *reads += 1;
                if *reads == 4 {
                    tree.put(LOCK_FILE_NAME, theirs.as_bytes(), at(0));
                }
            }
            _ => {}
        }
        Ok(())
    });
    let outcome = Setup::new(Mode::Sync).run(&local, &remote);
    let text = outcome.result.unwrap_err().to_string();
    assert!(
        text.contains("process 4711 on web1 has begun at the same moment; nothing was changed"),
        "{text}"
    );
    assert!(user_tree(&remote.tree).is_empty() && remote.lock().is_some());
}

#[test]
fn a_lock_that_is_listed_with_an_odd_size_is_still_ours() {
    let (local, remote) = (local(), Remote::new());
    local.put("a", b"1", at(0));
    let tree = remote.tree.clone();
    let remote = remote.before(move |line| {
        if line == "list ." {
            let Some(Node::File(mut bytes, at)) = tree.tree().remove(LOCK_FILE_NAME) else {
                panic!("no lock")
            };
            bytes.extend(b"\r\n");
            tree.put(LOCK_FILE_NAME, &bytes, at);
        }
        Ok(())
    });
    let outcome = Setup::new(Mode::Sync).run(&local, &remote);
    assert!(outcome.result.is_ok(), "{:?}", outcome.result);
    assert!(user_tree(&remote.tree).contains_key("a") && remote.lock().is_none());
}

#[test]
fn somebody_who_wrote_his_lock_over_ours_is_noticed_within_seconds() {
    let (local, remote) = (local(), Remote::new());
    for name in ["a", "b", "c"] {
        local.put(name, b"1", at(0));
    }
    let mut setup = Setup::new(Mode::Upload);
    setup.open = 2;
    let (tree, theirs, clock) = (remote.tree.clone(), foreign(0.0), Arc::clone(&setup.clock));
    let log = Arc::clone(&remote.log);
    let remote = remote.before(move |line| {
        if line == "write a" {
            tree.put(LOCK_FILE_NAME, theirs.as_bytes(), at(0));
            clock.advance(1.5);
            // The keeper looks by itself.
            log.wait_for("interrupt", 1);
        }
        Ok(())
    });
    let error = setup.run(&local, &remote).result.unwrap_err();
    assert_eq!(error.kind(), Kind::Locked);
    assert!(error.to_string().contains("has taken the lock over; nothing more is changed"), "{error}");
    assert_eq!(remote.lock().unwrap().time, START, "the lock is theirs");
}

#[test]
fn nothing_is_listed_or_told_before_the_lock_is_taken() {
    let (local, remote) = (local(), Remote::new());
    local.put("a", b"1", at(0));
    assert!(Setup::new(Mode::Sync).run(&local, &remote).result.is_ok());
    let position = |line| remote.log.lines.lock().unwrap().iter().position(|other| other == line);
    assert!(position(WRITE) < position("list ."), "a listing without the lock may show half-done work");
    let (fresh, refused) = (Remote::new(), foreign(1.0));
    fresh.put_lock(&refused);
    let outcome = Setup::new(Mode::Sync).run(&local, &fresh);
    assert!(outcome.result.is_err() && outcome.told.is_empty());
    assert_eq!(fresh.log.count("list ."), 0);
}

#[test]
fn where_it_cannot_be_written_the_run_goes_on() {
    let (local, remote) = (local(), Remote::new());
    local.put("a", b"1", at(0));
    let remote = remote.before(|line| match line {
        WRITE => Err(Error::new(Kind::Refused, "553 no dot files here")),
        _ => Ok(()),
    });
    let outcome = Setup::new(Mode::Upload).run(&local, &remote);
    assert!(outcome.result.is_ok());
    assert_eq!(outcome.told[0], "Could not write lock file: 553 no dot files here");
    assert_eq!(outcome.states, ["remote unwritable"]);
    assert_eq!(remote.log.changes(), [WRITE, "write a"], "and nothing is removed");
}

#[test]
fn a_lost_conversation_does_not_cost_the_lock() {
    let (local, remote) = (local(), Remote::new());
    local.put("a", b"1", at(0));
    let log = Arc::clone(&remote.log);
    let remote = remote.before(move |line| match line {
        WRITE if log.count(WRITE) == 1 => Err(Error::new(Kind::Disconnected, "gone")),
        _ => Ok(()),
    });
    let outcome = Setup::new(Mode::Upload).run(&local, &remote);
    assert!(outcome.result.is_ok());
    assert_eq!(outcome.states[0], "remote held 0");
    assert!(remote.lock().is_none());
}

#[test]
fn a_long_run_renews_its_lock_also_while_every_session_is_busy() {
    let (local, remote) = (local(), Remote::new());
    local.put("slow", b"1", at(0));
    let setup = Setup::new(Mode::Upload);
    let (log, clock) = (Arc::clone(&remote.log), Arc::clone(&setup.clock));
    let remote = remote.before(move |line| {
        if line == "write slow" {
            for round in 2..=4 {
                clock.advance(180.0);
                log.wait_for(WRITE, round);
            }
        }
        Ok(())
    });
    let outcome = setup.run(&local, &remote);
    assert!(outcome.result.is_ok());
    let held: Vec<&String> = outcome.states.iter().filter(|state| state.contains("held")).collect();
    // The last renewal may be told too late for anybody to listen.
    assert_eq!(held[..3], ["remote held 0", "remote held 180", "remote held 360"]);
    assert!(remote.lock().is_none());
}

#[test]
fn where_no_further_session_is_allowed_the_renewal_waits_for_one() {
    let (local, remote) = (local(), Remote::new());
    local.put("slow", b"1", at(0));
    let setup = Setup::new(Mode::Upload);
    let (log, clock) = (Arc::clone(&remote.log), Arc::clone(&setup.clock));
    let remote = remote.before(move |line| {
        match line {
            "open" if log.count("open") > 1 => return Err(Error::new(Kind::Login, "530 too many")),
            "write slow" => {
                clock.advance(180.0);
                log.wait_for("open", 2);
            }
            _ => {}
        }
        Ok(())
    });
    let outcome = setup.run(&local, &remote);
    assert!(outcome.result.is_ok(), "{:?}", outcome.result);
    assert_eq!(remote.log.changes(), [WRITE, "write slow", WRITE, REMOVE]);
    assert!(remote.lock().is_none());
}

#[test]
fn a_lock_that_the_server_calls_busy_counts_by_its_time() {
    let (local, remote) = (local(), Remote::new());
    remote.tree.put(LOCK_FILE_NAME, b"", Stamp::from_secs_f64(START - 2.0).unwrap());
    let remote = remote.before(|line| match line {
        "read .pyftpsync-lock.json" => Err(Error::new(Kind::Busy, "450 in use")),
        _ => Ok(()),
    });
    let error = Setup::new(Mode::Sync).run(&local, &remote).result.unwrap_err();
    assert_eq!(error.kind(), Kind::Locked);
    assert!(error.to_string().contains("written 2 seconds ago"), "{error}");
}

#[test]
fn a_lock_that_was_removed_is_written_anew_and_failures_are_told() {
    let (local, remote) = (local(), Remote::new());
    local.put("slow", b"1", at(0));
    let setup = Setup::new(Mode::Upload);
    let (log, clock, tree) = (Arc::clone(&remote.log), Arc::clone(&setup.clock), remote.tree.clone());
    let remote = remote.before(move |line| {
        match line {
            "write slow" => {
                tree.take(LOCK_FILE_NAME);
                // The last renewal may be told too late for anybody to listen.
                for round in 2..=4 {
                    clock.advance(180.0);
                    log.wait_for(WRITE, round);
                }
            }
            WRITE if log.count(WRITE) == 2 => return Err(Error::new(Kind::Full, "552 quota exceeded")),
            _ => {}
        }
        Ok(())
    });
    let outcome = setup.run(&local, &remote);
    assert!(outcome.result.is_ok());
    assert!(outcome.told.contains(&"Could not renew lock file: 552 quota exceeded".into()));
    assert!(outcome.told.contains(&"3 The lock file was gone; it was written anew.".into()));
    assert!(remote.lock().is_none());
}

#[test]
fn a_lock_that_somebody_took_over_ends_the_run_and_stays() {
    let (local, remote) = (local(), Remote::new());
    local.put("slow", b"1", at(0));
    local.put("z", b"1", at(0));
    let setup = Setup::new(Mode::Upload);
    let (log, clock, tree) = (Arc::clone(&remote.log), Arc::clone(&setup.clock), remote.tree.clone());
    let remote = remote.before(move |line| {
        if line == "write slow" {
            tree.put(LOCK_FILE_NAME, foreign(0.0).as_bytes(), at(0));
            clock.advance(180.0);
            log.wait_for("interrupt", 1);
            return Err(Error::cancelled());
        }
        Ok(())
    });
    let outcome = setup.run(&local, &remote);
    let error = outcome.result.unwrap_err();
    assert_eq!(error.kind(), Kind::Locked);
    assert!(error.to_string().contains("process 4711 on web1 has taken the lock over"), "{error}");
    assert_eq!(remote.log.changes(), [WRITE, "write slow"]);
    assert_eq!(remote.lock().unwrap().print(), foreign(0.0));
}

#[test]
fn a_lock_that_somebody_took_over_unnoticed_is_not_removed_however_short_the_run_is() {
    for seconds in [0.0, 20.0] {
        let (local, remote) = (local(), Remote::new());
        local.put("a", b"1", at(0));
        let setup = Setup::new(Mode::Upload);
        let (clock, tree) = (Arc::clone(&setup.clock), remote.tree.clone());
        let remote = remote.before(move |line| {
            if line == "write a" {
                clock.advance(seconds);
                tree.put(LOCK_FILE_NAME, foreign(0.0).as_bytes(), at(0));
            }
            Ok(())
        });
        assert!(setup.run(&local, &remote).result.is_ok());
        assert_eq!(remote.lock().unwrap().print(), foreign(0.0));
    }
}

#[test]
fn the_lock_is_removed_after_a_guard_and_after_an_error() {
    let (local, remote) = (local(), Remote::new());
    for name in ["a", "b", "c", "d"] {
        local.put(name, b"1", at(0));
    }
    let mut setup = Setup::new(Mode::Sync);
    assert!(setup.run(&local, &remote).result.is_ok());
    for name in ["a", "b", "c", "d"] {
        local.take(name);
    }
    setup.guard_off = false;
    let stopped = setup.run(&local, &remote);
    assert!(stopped.result.unwrap_err().to_string().contains("--allow-mass-delete"));
    assert!(remote.lock().is_none());

    local.put(".pyftpsync-meta.json", b"{\"_file_version\": 99}", at(0));
    let log = Arc::clone(&remote.log);
    let locked = log.count(WRITE) + 1;
    let remote = remote.before(move |line| {
        if line == "list ." {
            log.wait_for(WRITE, locked);
        }
        Ok(())
    });
    let failed = setup.run(&local, &remote);
    assert_eq!(failed.result.unwrap_err().kind(), Kind::Metadata);
    assert!(remote.lock().is_none());
}

#[test]
fn the_lock_is_removed_after_an_interruption_by_a_conversation_of_its_own() {
    let (local, remote) = (local(), Remote::new());
    local.put("slow", b"1", at(0));
    let log = Arc::clone(&remote.log);
    let remote = remote.before(move |line| {
        if line == "write slow" {
            log.wait_for("interrupt", 1);
            return Err(Error::cancelled());
        }
        Ok(())
    });
    let mut setup = Setup::new(Mode::Upload);
    setup.stop_at = Some("write slow");
    let outcome = setup.run(&local, &remote);
    assert_eq!(outcome.result.unwrap_err().kind(), Kind::Cancelled);
    assert_eq!(outcome.states.last().unwrap(), "remote released");
    assert!(remote.lock().is_none());
    let lines = remote.log.lines.lock().unwrap();
    let opened = lines.iter().rposition(|line| line == "open");
    assert!(opened > lines.iter().position(|line| line == "interrupt"), "{lines:?}");
}

#[test]
fn a_server_that_is_dead_in_the_end_holds_nothing_up_and_hides_no_error() {
    let (local, remote) = (local(), Remote::new());
    local.put("slow", b"1", at(0));
    let log = Arc::clone(&remote.log);
    let remote = remote.before(move |line| {
        match line {
            "write slow" => {
                log.wait_for("interrupt", 1);
                return Err(Error::cancelled());
            }
            // The last attempt is interrupted, too.
            "open" if log.count("interrupt") == 1 => log.wait_for("interrupt", 2),
            _ => {}
        }
        Ok(())
    });
    let mut setup = Setup::new(Mode::Upload);
    setup.stop_at = Some("write slow");
    let outcome = setup.run(&local, &remote);
    assert_eq!(outcome.result.unwrap_err().kind(), Kind::Cancelled);
    assert_eq!(outcome.told.last().unwrap(), "Could not remove lock file: no answer");
}

#[test]
fn a_lock_of_somebody_who_was_quicker_after_a_write_that_was_lost_stays() {
    let (local, remote) = (local(), Remote::new());
    local.put("a", b"1", at(0));
    let (tree, theirs, log) = (remote.tree.clone(), foreign(0.0), Arc::clone(&remote.log));
    let remote = remote.before(move |line| match line {
        WRITE if log.count(WRITE) == 1 => {
            // The connection is lost before anything has arrived.
            tree.put(LOCK_FILE_NAME, theirs.as_bytes(), at(0));
            Err(Error::new(Kind::Disconnected, "gone"))
        }
        _ => Ok(()),
    });
    let outcome = Setup::new(Mode::Upload).run(&local, &remote);
    assert_eq!(outcome.result.unwrap_err().kind(), Kind::Locked);
    assert_eq!(remote.lock().unwrap().print(), foreign(0.0));
}

#[test]
fn a_lock_that_is_gone_at_the_second_look_is_written_anew_at_once() {
    let (local, remote) = (local(), Remote::new());
    local.put("slow", b"1", at(0));
    let setup = Setup { open: 2, ..Setup::new(Mode::Upload) };
    let (log, clock, tree) = (Arc::clone(&remote.log), Arc::clone(&setup.clock), remote.tree.clone());
    let remote = remote.before(move |line| {
        if line == "write slow" {
            tree.take(LOCK_FILE_NAME);
            clock.advance(1.5);
            log.wait_for(WRITE, 2);
            // The last renewal may be told too late for anybody to listen.
            clock.advance(180.0);
            log.wait_for(WRITE, 3);
        }
        Ok(())
    });
    let outcome = setup.run(&local, &remote);
    assert!(outcome.result.is_ok());
    assert!(
        outcome.told.contains(&"3 The lock file was gone; it was written anew.".into()),
        "{:?}",
        outcome.told
    );
    assert!(remote.lock().is_none());
}

#[test]
fn a_lock_that_the_side_does_not_let_go_of_keeps_no_later_run_of_the_same_process() {
    let (local, remote) = (local(), Remote::new());
    local.put("a", b"1", at(0));
    let remote = remote.before(|line| match line {
        REMOVE => Err(Error::new(Kind::Refused, "550 not allowed")),
        _ => Ok(()),
    });
    let run = |token| Setup { token, ..Setup::new(Mode::Upload) }.run(&local, &remote);
    assert!(run("refused first").result.is_ok());
    assert!(remote.lock().is_some());
    let second = run("refused second");
    assert!(second.result.is_ok(), "{:?}", second.result);
    assert!(second.told.iter().any(|line| line.contains("that run has ended")), "{:?}", second.told);
    // Another one, which this process knows nothing of, is honoured.
    let theirs =
        Holder { host: Some("here".into()), system: Some("boot".into()), process: Some(1), token: None };
    let theirs = Holder { token: Some("somebody".into()), ..theirs };
    remote.put_lock(&Lock { time: START - 1.0, holder: Some(theirs) }.print());
    assert_eq!(run("refused third").result.unwrap_err().kind(), Kind::Locked);
}

/// A side that lets nobody overwrite a file.
fn keeping_what_is_there() -> Remote {
    let remote = Remote::new();
    let tree = remote.tree.clone();
    remote.before(move |line| match line {
        WRITE if tree.tree().contains_key(LOCK_FILE_NAME) => {
            Err(Error::new(Kind::Denied, "550 Overwrite permission denied"))
        }
        _ => Ok(()),
    })
}

#[test]
fn a_lock_that_is_left_over_is_removed_first_for_sides_that_overwrite_nothing() {
    let (local, remote) = (local(), keeping_what_is_there());
    local.put("a", b"1", at(0));
    remote.put_lock(&foreign(1000.0));
    let outcome = Setup::new(Mode::Upload).run(&local, &remote);
    assert!(outcome.result.is_ok(), "{:?}", outcome.result);
    let about_lock: Vec<String> =
        remote.log.changes().into_iter().filter(|line| [WRITE, REMOVE].contains(&line.as_str())).collect();
    assert_eq!(about_lock, [REMOVE, WRITE, REMOVE], "{:?}", outcome.told);
    assert_eq!(outcome.states[0], "remote held 0");
    assert!(remote.lock().is_none());
}

#[test]
fn a_lock_that_is_left_over_and_may_not_be_removed_is_overwritten() {
    let (local, remote) = (local(), Remote::new());
    local.put("a", b"1", at(0));
    remote.put_lock(&foreign(1000.0));
    let tree = remote.tree.clone();
    let remote = remote.before(move |line| match line {
        REMOVE if tree.tree().contains_key(LOCK_FILE_NAME) => Err(Error::new(Kind::Refused, "550 no DELE")),
        _ => Ok(()),
    });
    let outcome = Setup::new(Mode::Upload).run(&local, &remote);
    assert!(outcome.result.is_ok(), "{:?}", outcome.result);
    assert_eq!(outcome.states[0], "remote held 0");
}

#[test]
fn a_lock_that_is_no_longer_the_one_that_was_left_over_is_not_removed() {
    let (local, remote) = (local(), Remote::new());
    local.put("a", b"1", at(0));
    remote.put_lock(&foreign(1000.0));
    let (tree, log) = (remote.tree.clone(), Arc::clone(&remote.log));
    let remote = remote.before(move |line| {
        // Somebody else takes it over between the two looks.
        if line == "read .pyftpsync-lock.json" && log.count(line) == 2 {
            tree.put(LOCK_FILE_NAME, foreign(0.0).as_bytes(), at(0));
        }
        Ok(())
    });
    let outcome = Setup::new(Mode::Upload).run(&local, &remote);
    assert_eq!(outcome.result.unwrap_err().kind(), Kind::Locked);
    assert!(!remote.log.changes().iter().any(|line| line == WRITE || line == REMOVE));
    assert_eq!(remote.lock().unwrap().print(), foreign(0.0));
}

#[test]
fn who_comes_late_where_nothing_is_overwritten_does_not_go_on_without_a_lock() {
    let (local, remote) = (local(), Remote::new());
    local.put("a", b"1", at(0));
    remote.put_lock(&foreign(1000.0));
    let tree = remote.tree.clone();
    let remote = remote.before(move |line| match line {
        WRITE => {
            tree.put(LOCK_FILE_NAME, foreign(0.0).as_bytes(), at(0));
            Err(Error::new(Kind::Denied, "550 Overwrite permission denied"))
        }
        _ => Ok(()),
    });
    let outcome = Setup::new(Mode::Upload).run(&local, &remote);
    let error = outcome.result.unwrap_err();
    assert_eq!(error.kind(), Kind::Locked);
    assert!(error.to_string().contains("process 4711 on web1 is at work there"), "{error}");
    assert!(user_tree(&remote.tree).is_empty());
}

#[test]
fn a_lock_is_renewed_also_where_nothing_is_overwritten() {
    let (local, remote) = (local(), keeping_what_is_there());
    local.put("slow", b"1", at(0));
    let setup = Setup::new(Mode::Upload);
    let (log, clock, before) =
        (Arc::clone(&remote.log), Arc::clone(&setup.clock), Arc::clone(&remote.before));
    let remote = remote.before(move |line| {
        if line == "write slow" {
            for round in 1..=3 {
                clock.advance(180.0);
                // Refused, and once more.
                log.wait_for(WRITE, 1 + 2 * round);
            }
        }
        before(line)
    });
    let outcome = setup.run(&local, &remote);
    assert!(outcome.result.is_ok(), "{:?}", outcome.result);
    assert!(outcome.states.contains(&"remote held 180".to_owned()), "{:?}", outcome.states);
    assert!(!outcome.told.iter().any(|line| line.contains("renew")), "{:?}", outcome.told);
    assert!(remote.lock().is_none());
}

#[test]
fn a_clock_that_is_hours_off_is_told_where_the_newer_file_wins() {
    for (strategy, ahead, says) in [
        (Strategy::New, 32_398.0, Some("9 hours ahead of")),
        (Strategy::Old, -18_000.0, Some("5 hours behind")),
        (Strategy::New, 30.0, None),
        (Strategy::Skip, 32_400.0, None),
    ] {
        for grain in [0, 60] {
            let (local, mut remote) = (local(), Remote::new());
            let now = Stamp::from_secs_f64(START + ahead).unwrap().with_grain(grain);
            remote.tree = remote.tree.dating(now);
            local.put("a", b"1", at(0));
            let setup = Setup { strategy: Some(strategy), ..Setup::new(Mode::Sync) };
            let told = setup.run(&local, &remote).told;
            let line = says.map(|says| {
            format!(
                "3 The clock of remote is {says} that of this computer: where that may decide which of two files is \
                 newer, both are left alone."
            )
        });
            let warned = told.iter().find(|line| line.starts_with("3 The clock"));
            assert_eq!(warned, line.as_ref(), "{told:?}");
            let tells = told.iter().any(|line| line.contains("Server time offset"));
            assert_eq!(tells, grain == 0, "{told:?}");
        }
    }
}

#[test]
fn where_a_clock_is_hours_off_the_older_of_two_edits_replaces_nothing() {
    let (ahead, hour) = (32_400.0, 3600);
    let (local, mut remote) = (local(), Remote::new());
    for name in ["doubtful", "ours", "theirs"] {
        local.put(name, b"0", at(0));
    }
    assert!(Setup::new(Mode::Sync).run(&local, &remote).result.is_ok());
    remote.tree = remote.tree.dating(Stamp::from_secs_f64(START + ahead).unwrap());
    for (name, here, there) in [("doubtful", 50, 55), ("ours", 55, 50), ("theirs", 50, 60)] {
        local.put(name, b"here", at(here * hour));
        remote.tree.put(name, b"there", at(there * hour));
    }
    let setup = Setup { strategy: Some(Strategy::New), ..Setup::new(Mode::Sync) };
    let outcome = setup.run(&local, &remote);
    assert!(outcome.result.is_ok(), "{:?}", outcome.result);
    let content = |tree: &MemoryTarget, name: &str| match tree.tree().remove(name) {
        Some(Node::File(bytes, _)) => String::from_utf8(bytes).unwrap(),
        other => panic!("{name}: {other:?}"),
    };
    for (name, here, there) in
        [("doubtful", "here", "there"), ("ours", "here", "here"), ("theirs", "there", "there")]
    {
        assert_eq!(
            (content(&local, name), content(&remote.tree, name)),
            (here.into(), there.into()),
            "{name}"
        );
    }
}
