//! Runs of the engine over trees in memory.

use ftpsync::engine::hooks::Answer;
use ftpsync::engine::{self, Clock, Event, Hooks, Locking, Observer, Run, Stats};
use ftpsync::error::{Error, Result};
use ftpsync::model::lock::Holder;
use ftpsync::model::{RelPath, Sides, Stamp};
use ftpsync::plan::guard::GuardRules;
use ftpsync::plan::lock::LockRules;
use ftpsync::plan::{Filter, Mode, Policy, Step, Strategy};
use ftpsync::target::Target;
use ftpsync::target::memory::{MemoryTarget, Node};
use ftpsync::target::pool::Pool;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// What one run did.
#[derive(Debug)]
pub struct Outcome {
    pub lines: Vec<String>,
    pub failures: Vec<String>,
    pub warnings: Vec<String>,
    pub stats: Stats,
    pub result: Result<()>,
}

/// How to run.
#[derive(Clone)]
pub struct Setup {
    pub policy: Policy,
    pub exclude: Vec<String>,
    pub guard: GuardRules,
    pub dry_run: bool,
    pub compares_contents: bool,
    pub threads: usize,
    pub time_limit: Option<f64>,
    /// Tells how many seconds the run has taken; without it the time stands still.
    pub elapsed: Option<Arc<dyn Fn() -> f64 + Send + Sync>>,
    pub max_depth: usize,
    /// Sessions with each side, at most.
    pub sessions: usize,
    /// Files are written under their own names.
    pub inplace: bool,
    /// Sides that are changed over a network are locked.
    pub locks: bool,
    /// A session with the remote side is open before the run begins.
    pub is_open: bool,
    /// The time, in seconds since 1970-01-01 UTC.
    pub now: f64,
    pub keeping: engine::Keeping,
    /// Called with each pause between attempts; tells how long it really is, at the longest to the end of the run.
    pub instead_of_pauses: Option<Arc<dyn Fn(Duration) -> Duration + Send + Sync>>,
}

impl Setup {
    pub fn new(mode: Mode) -> Self {
        Setup {
            policy: Policy::new(mode),
            exclude: Vec::new(),
            guard: GuardRules { limit: None, is_off: true },
            dry_run: false,
            compares_contents: false,
            threads: 2,
            time_limit: None,
            elapsed: None,
            max_depth: 256,
            sessions: 4,
            inplace: false,
            locks: false,
            is_open: false,
            now: 1_700_000_000.0,
            keeping: engine::Keeping::default(),
            instead_of_pauses: None,
        }
    }
}

/// The date stands still; so does the time, unless a test tells it.
struct Frozen<'a>(&'a Setup);

impl Clock for Frozen<'_> {
    fn now(&self) -> f64 {
        self.0.now
    }
    fn elapsed(&self) -> f64 {
        self.0.elapsed.as_ref().map_or(0.0, |told| told())
    }
    fn pause(&self, length: Duration) -> Duration {
        match &self.0.instead_of_pauses {
            Some(called) => called(length),
            None => length,
        }
    }
    fn readable(&self, seconds: f64) -> String {
        format!("{seconds}")
    }
}

#[derive(Default)]
struct Collect {
    lines: Vec<String>,
    failures: Vec<String>,
    warnings: Vec<String>,
}

impl Observer for Collect {
    fn event(&mut self, event: Event<'_>, _: &Stats) -> Result<()> {
        match event {
            Event::Action { line, path, .. } => {
                let tag = format!("{} {}", line.action, line.status);
                self.lines.push(format!("{} {} {path}", tag.trim(), line.symbol.trim()));
            }
            Event::Failure(text) => self.failures.push(text.to_owned()),
            Event::Warning(text) => self.warnings.push(text.to_owned()),
            _ => {}
        }
        Ok(())
    }
    fn wants(&self, level: u8) -> bool {
        level <= 4
    }
    fn poll(&mut self) -> Result<()> {
        Ok(())
    }
}

/// Somebody who always gives the same answer.
struct Fixed(Strategy);

impl Hooks for Fixed {
    fn resolve(&self, _: &RelPath, _: &Step) -> Result<Answer> {
        Ok(Answer { strategy: self.0, for_all: false })
    }
}

/// Runs the engine once over two targets.
pub fn run(local: &dyn TargetBox, remote: &dyn TargetBox, setup: &Setup) -> Outcome {
    let pools = Sides::new(local, remote).map(|side| Pool::new(side.share(), setup.sessions));
    if setup.is_open {
        pools.remote.add(pools.remote.target().open().unwrap());
    }
    let rules = LockRules {
        owner: Holder { token: Some("ours".into()), ..Holder::default() },
        age: 900.0,
        breaks: false,
    };
    let run = Run {
        pools: &pools,
        policy: setup.policy,
        filter: Filter::new(&[], &setup.exclude, false).unwrap(),
        guard: setup.guard,
        compares_contents: setup.compares_contents,
        is_rehearsal: setup.dry_run,
        migrate: false,
        ignore_copy_errors: true,
        inplace: setup.inplace,
        keeping: setup.keeping.clone(),
        lock: setup.locks.then_some(Locking { rules: &rules, is_running: &|_| true }),
        pretty_meta: false,
        version: "test",
        resolve_all: None,
        asks_at_same_time: false,
        foresees: true,
        time_limit: setup.time_limit,
        max_depth: setup.max_depth,
        threads: setup.threads..=setup.threads,
        clock: &Frozen(setup),
    };
    let mut observer = Collect::default();
    let mut stats = Stats::default();
    let result = engine::sync(&run, &Fixed(Strategy::Skip), &mut observer, &mut stats);
    let Collect { lines, failures, warnings } = observer;
    Outcome { lines, failures, warnings, stats, result }
}

/// Anything that can be shared as a target.
pub trait TargetBox {
    fn share(&self) -> Arc<dyn Target>;
}

impl<T: Target + Clone + 'static> TargetBox for T {
    fn share(&self) -> Arc<dyn Target> {
        Arc::new(self.clone())
    }
}

/// A target of which the run takes no copy: what its sessions learn stays with it.
pub struct Shared(pub Arc<dyn Target>);

impl TargetBox for Shared {
    fn share(&self) -> Arc<dyn Target> {
        Arc::clone(&self.0)
    }
}

/// A point in time that tests speak of as `at(0)`, `at(10)`.
pub fn at(seconds: i64) -> Stamp {
    Stamp::new(1_600_000_000 + seconds, 0)
}

/// Bytes of which each part is another.
pub fn varied(size: usize) -> Vec<u8> {
    (0..size).map(|at| (at / 7 + at / 65_521) as u8).collect()
}

/// The files and folders of a tree, without our own files.
pub fn user_tree(target: &MemoryTarget) -> BTreeMap<String, Node> {
    let is_own = |path: &str| path.rsplit('/').next().is_some_and(|name| name.starts_with(".pyftpsync-"));
    target.tree().into_iter().filter(|(path, _)| !is_own(path)).collect()
}

/// Two empty trees.
pub fn trees() -> (MemoryTarget, MemoryTarget) {
    (MemoryTarget::new("/local"), MemoryTarget::new("mem://user@host:1/root"))
}

#[test]
fn threads_that_fail_at_the_same_time_try_again_at_different_times() {
    let setup = Setup::new(Mode::Sync);
    let clock = Frozen(&setup);
    let chances: Vec<f64> = (0..8).map(|_| clock.chance()).collect();
    assert!(chances.iter().all(|chance| (0.0..=1.0).contains(chance)), "{chances:?}");
    assert!(chances.iter().any(|chance| (chance - chances[0]).abs() > 0.001), "{chances:?}");
}

fn ok(outcome: Outcome) -> Outcome {
    assert!(outcome.result.is_ok(), "{outcome:?}");
    outcome
}

#[test]
fn sync_copies_both_ways_at_every_depth_and_is_idle_afterwards() {
    let (local, remote) = trees();
    local.put("a", b"1", at(0));
    local.put("x/y/deep", b"22", at(1));
    remote.put("b", b"333", at(2));
    remote.put("p/q", b"4444", at(3));
    let setup = Setup::new(Mode::Sync);
    ok(run(&local, &remote, &setup));
    assert_eq!(user_tree(&local), user_tree(&remote));
    let idle = ok(run(&local, &remote, &setup));
    assert_eq!((idle.stats.entries_touched, idle.stats.meta_bytes_written), (0, 0), "{idle:?}");
}

#[test]
fn a_deletion_is_propagated_only_when_the_past_proves_it() {
    let (local, remote) = trees();
    local.put("known", b"1", at(0));
    let setup = Setup::new(Mode::Sync);
    ok(run(&local, &remote, &setup));
    remote.put("unknown", b"2", at(0));
    local.take("known");
    let outcome = ok(run(&local, &remote, &setup));
    assert!(outcome.lines.contains(&"delete missing >X known".to_owned()), "{outcome:?}");
    assert!(user_tree(&local).contains_key("unknown") && !user_tree(&remote).contains_key("known"));
}

#[test]
fn a_target_without_settable_times_gets_them_remembered() {
    let local = MemoryTarget::new("/local");
    let remote = MemoryTarget::new("mem://u@h:1/").without_times(at(500));
    local.put("a", b"1", at(0));
    let setup = Setup::new(Mode::Sync);
    ok(run(&local, &remote, &setup));
    assert!(remote.tree().contains_key(".pyftpsync-meta.json"));
    let idle = ok(run(&local, &remote, &setup));
    assert_eq!(idle.lines, ["equal = a"]);
}

#[test]
fn a_file_is_known_again_although_the_remote_metadata_is_lost() {
    let local = MemoryTarget::new("/local");
    let remote = MemoryTarget::new("mem://u@h:1/").without_times(at(500));
    local.put("a", b"1", at(0));
    let setup = Setup::new(Mode::Sync);
    ok(run(&local, &remote, &setup));
    remote.take(".pyftpsync-meta.json");
    assert_eq!(ok(run(&local, &remote, &setup)).lines, ["equal = a"]);
}

#[test]
fn a_clock_that_is_years_ahead_does_not_make_files_look_modified() {
    let local = MemoryTarget::new("/local");
    let remote = MemoryTarget::new("mem://u@h:1/").without_times(at(200_000_000));
    local.put("a", b"1", at(0));
    let setup = Setup::new(Mode::Sync);
    ok(run(&local, &remote, &setup));
    assert_eq!(ok(run(&local, &remote, &setup)).lines, ["equal = a"]);
}

#[test]
fn a_folder_lost_on_one_side_is_judged_file_by_file() {
    let (local, remote) = trees();
    for name in ["d/same", "d/edited", "d/sub/same", "keep"] {
        local.put(name, b"1", at(0));
    }
    let setup = Setup::new(Mode::Sync);
    ok(run(&local, &remote, &setup));
    remote.take("d");
    local.put("d/edited", b"22", at(50));
    local.put("d/added", b"3", at(0));
    let outcome = ok(run(&local, &remote, &setup));
    let left: Vec<String> = user_tree(&local).into_keys().collect();
    assert_eq!(left, ["d", "d/added", "d/edited", "keep"], "{outcome:?}");
    assert_eq!((outcome.stats.conflict_files, outcome.stats.conflict_files_skipped), (2, 2));
}

#[test]
fn a_folder_lost_locally_takes_only_what_was_synchronised() {
    let (local, remote) = trees();
    for name in ["d/same", "d/edited", "d/sub/same", "keep", "keep2", "keep3"] {
        local.put(name, b"1", at(0));
    }
    let setup = Setup::new(Mode::Sync);
    ok(run(&local, &remote, &setup));
    local.take("d");
    // All of these carry times long before the last run, as from a client that keeps times.
    remote.put("d/edited", b"22", at(-500));
    remote.put("d/added", b"3", at(-500));
    remote.put("d/sub/added", b"3", at(-500));
    let outcome = ok(run(&local, &remote, &setup));
    let left: Vec<String> = user_tree(&remote).into_keys().collect();
    assert_eq!(
        left,
        ["d", "d/added", "d/edited", "d/sub", "d/sub/added", "keep", "keep2", "keep3"],
        "{outcome:?}"
    );
}

#[test]
fn a_folder_lost_locally_goes_when_nothing_in_it_changed() {
    let (local, remote) = trees();
    for name in ["d/a", "d/sub/b", "keep", "keep2", "keep3"] {
        local.put(name, b"1", at(0));
    }
    let setup = Setup::new(Mode::Sync);
    ok(run(&local, &remote, &setup));
    local.put("d/later", b"1", at(5));
    ok(run(&local, &remote, &setup));
    local.take("d");
    let outcome = ok(run(&local, &remote, &setup));
    assert_eq!(user_tree(&local), user_tree(&remote), "{outcome:?}");
    let idle = ok(run(&local, &remote, &setup));
    assert_eq!((idle.stats.entries_touched, idle.stats.meta_bytes_written), (0, 0));
}

#[test]
fn what_was_deleted_inside_a_folder_that_stays_is_counted_and_forgotten() {
    let (local, remote) = trees();
    for name in ["d/edited", "d/same", "d/sub/same", "keep"] {
        local.put(name, b"1", at(0));
    }
    let setup = Setup::new(Mode::Sync);
    ok(run(&local, &remote, &setup));
    remote.take("d");
    local.put("d/edited", b"22", at(50));
    let outcome = ok(run(&local, &remote, &setup));
    assert_eq!((outcome.stats.files_deleted, outcome.stats.dirs_deleted), (1, 1), "{outcome:?}");
    // Later a folder of the same name comes into being, with an old file in it: it was never synchronised.
    local.put("d/sub/fresh", b"1", at(-1000));
    ok(run(&local, &remote, &setup));
    assert!(user_tree(&local).contains_key("d/sub/fresh"));
}

#[test]
fn a_file_that_failed_at_first_contact_is_not_a_conflict_the_next_time() {
    let (local, remote) = trees();
    local.put("other", b"1", at(0));
    local.put("x", b"old", at(0));
    remote.put("x", b"newer", at(100));
    remote.break_reading("x");
    let setup = Setup::new(Mode::Sync);
    let failed = run(&local, &remote, &setup);
    assert_eq!(failed.stats.copy_errors, 1, "{failed:?}");
    remote.mend();
    let outcome = ok(run(&local, &remote, &setup));
    assert_eq!(user_tree(&local), user_tree(&remote), "{outcome:?}");
    assert_eq!(outcome.stats.conflict_files, 0);
}

#[test]
fn an_excluded_name_cannot_clash() {
    let (local, remote) = trees();
    local.put("x", b"file", at(0));
    remote.put("x/in", b"folder", at(0));
    let mut setup = Setup::new(Mode::Sync);
    setup.exclude = vec!["x".into()];
    ok(run(&local, &remote, &setup));
}

#[test]
fn an_edited_survivor_is_restored_where_its_folder_was_lost() {
    let (local, remote) = trees();
    local.put("d/sub/same", b"1", at(0));
    local.put("d/sub/edited", b"1", at(0));
    let mut setup = Setup::new(Mode::Sync);
    setup.policy.strategy = Some(Strategy::New);
    ok(run(&local, &remote, &setup));
    remote.take("d");
    local.put("d/sub/edited", b"22", at(50));
    setup.policy.strategy = Some(Strategy::Prefer(ftpsync::model::Side::Local));
    let outcome = ok(run(&local, &remote, &setup));
    assert_eq!(user_tree(&local), user_tree(&remote), "{outcome:?}");
    assert!(
        user_tree(&remote).contains_key("d/sub/edited") && !user_tree(&remote).contains_key("d/sub/same")
    );
    let idle = ok(run(&local, &remote, &setup));
    assert_eq!(idle.stats.entries_touched, 0, "{idle:?}");
}

#[test]
fn excluded_files_survive_the_deletion_of_their_folder() {
    let (local, remote) = trees();
    local.put("d/a", b"1", at(0));
    let mut setup = Setup::new(Mode::Upload);
    setup.policy.delete = true;
    setup.exclude = vec!["*.keep".into()];
    ok(run(&local, &remote, &setup));
    remote.put("d/x.keep", b"2", at(0));
    local.take("d");
    local.put("other", b"1", at(0));
    ok(run(&local, &remote, &setup));
    let left: Vec<String> = user_tree(&remote).into_keys().collect();
    assert_eq!(left, ["d", "d/x.keep", "other"]);
}

#[test]
fn excluded_files_are_not_sent_inside_a_new_folder() {
    let (local, remote) = trees();
    local.put("new/a", b"1", at(0));
    local.put("new/.git/config", b"1", at(0));
    let mut setup = Setup::new(Mode::Upload);
    setup.exclude = vec![".git".into()];
    ok(run(&local, &remote, &setup));
    assert_eq!(user_tree(&remote).into_keys().collect::<Vec<_>>(), ["new", "new/a"]);
}

#[test]
fn the_guard_stops_a_mass_deletion_and_deletes_nothing() {
    let (local, remote) = trees();
    for name in ["a", "b", "c", "d/e"] {
        local.put(name, b"1", at(0));
    }
    let mut setup = Setup::new(Mode::Sync);
    ok(run(&local, &remote, &setup));
    let before = user_tree(&local);
    for name in ["a", "b", "c", "d"] {
        remote.take(name);
    }
    setup.guard.is_off = false;
    let stopped = run(&local, &remote, &setup);
    assert_eq!(stopped.result.unwrap_err().kind(), ftpsync::error::Kind::Guard);
    assert_eq!(user_tree(&local), before);
    setup.guard.is_off = true;
    ok(run(&local, &remote, &setup));
    assert!(user_tree(&local).is_empty());
}

#[test]
fn a_clash_of_file_and_folder_changes_neither_and_the_rest_goes_on() {
    let (local, remote) = trees();
    local.put("x", b"file", at(0));
    remote.put("x/in", b"folder", at(0));
    local.put("other", b"1", at(0));
    let outcome = run(&local, &remote, &Setup::new(Mode::Sync));
    let error: Error = outcome.result.unwrap_err();
    assert_eq!((error.kind(), error.path()), (ftpsync::error::Kind::Clash, Some("x")));
    assert_eq!(outcome.failures.len(), 1, "it is told once");
    assert!(user_tree(&remote).contains_key("other") && user_tree(&remote).contains_key("x/in"));
    assert_eq!(user_tree(&local)["x"], Node::File(b"file".to_vec(), at(0)));
}

#[test]
fn two_hundred_folders_with_one_thread_and_with_eight_end_alike() {
    let outcomes = [1, 8].map(|threads| {
        let (local, remote) = trees();
        for folder in 0..200 {
            local.put(&format!("f{}/g{folder}/a", folder % 7), b"1", at(folder));
            remote.put(&format!("f{}/h{folder}", folder % 5), b"22", at(folder));
        }
        let mut setup = Setup::new(Mode::Sync);
        setup.threads = threads;
        let outcome = ok(run(&local, &remote, &setup));
        assert_eq!(user_tree(&local), user_tree(&remote));
        (local.tree(), remote.tree(), outcome.lines)
    });
    assert_eq!(outcomes[0], outcomes[1]);
}
