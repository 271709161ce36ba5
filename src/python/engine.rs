//! A run of the core, with Python listening in.

use super::bridge::PyTarget;
use super::convert;
use super::errors::{carried, exception, raise};
use super::live::Live;
use super::lock::{self, Owner};
use super::spare::Spares;
use super::stage::{Asker, Stage, When};
use super::target::{Session, Target};
use crate::engine::hooks::{Act, Answer, Deed, Go, Leaf, Notice, Rules, Said, Verdict};
use crate::engine::{self, Clock, Event, Finished, Hooks, Keeping, Locking, Observer, Run, Stats};
use crate::error::{Error, Kind, Result};
use crate::locked::locked;
use crate::model::meta::Shadow;
use crate::model::{Entry, EntryKind, RelPath, Side, Sides, Stamp};
use crate::plan::guard::GuardRules;
use crate::plan::{Filter, Mode, Operation, Past, Policy, Step, Strategy};
use crate::target::Target as CoreTarget;
use crate::target::pool::Pool;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How often pending signals (Ctrl+C) are looked for, at most.
const SIGNALS: Duration = Duration::from_millis(50);

/// What Python passes for a run, with the names of the documented options.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub struct Settings {
    mode: String,
    verbose: u8,
    dry_run: bool,
    progress: bool,
    flows: bool,
    r#match: Vec<String>,
    exclude: Vec<String>,
    fold_case: bool,
    force: bool,
    delete: bool,
    delete_unmatched: bool,
    stateless: bool,
    checksum: bool,
    records: bool,
    resolve: String,
    resolve_all: Option<String>,
    asks_at_same_time: bool,
    case: Option<String>,
    deep_conflicts: bool,
    keeps_orphans: bool,
    max_delete: Option<String>,
    allow_mass_delete: bool,
    migrate: bool,
    ignore_copy_errors: bool,
    inplace: bool,
    backup_dir: Option<String>,
    trash: bool,
    run_label: String,
    conflict_mark: String,
    lock_owner: Owner,
    lock_age: f64,
    break_lock: bool,
    pretty_meta: bool,
    version: String,
    /// With a server: in the beginning, and at the most.
    connections: (usize, usize),
    max_time: Option<f64>,
    max_depth: usize,
    /// Names of the hooks that Python overrides.
    hooks: Vec<String>,
}

/// Synchronises two targets.
///
/// A side is a ``Target``, or a ``TargetBridge`` to a target that is written in Python. ``sessions`` are open conversations to
/// begin with, for each side or None. ``reporter`` is told what happens; ``stats`` gets the counters under their documented
/// names, also when the run fails.
#[pyfunction]
#[pyo3(signature = (local, remote, sessions, settings, reporter, stats))]
pub fn run(
    py: Python<'_>,
    local: &Bound<'_, PyAny>,
    remote: &Bound<'_, PyAny>,
    sessions: (Option<Py<Session>>, Option<Py<Session>>),
    settings: Settings,
    reporter: Py<PyAny>,
    stats: &Bound<'_, PyDict>,
) -> PyResult<()> {
    let mode = convert::mode(&settings.mode)?;
    let filter = filter(&settings.r#match, &settings.exclude, settings.fold_case)?;
    let policy = Policy {
        mode,
        force: settings.force,
        delete: settings.delete,
        delete_unmatched: settings.delete_unmatched,
        strategy: Strategy::parse(mode, &settings.resolve),
        case: convert::case_mode(settings.case.as_deref())?,
        deep_conflicts: settings.deep_conflicts,
        keeps_orphans: settings.keeps_orphans,
        follows: settings.stateless,
    };
    let guard = GuardRules {
        limit: convert::limit(settings.max_delete.as_deref())?,
        is_off: settings.allow_mass_delete,
    };
    let listener = settings.hooks.iter().any(|hook| hook == "_inc_stat").then(|| reporter.clone_ref(py));
    let live = Arc::new(Live::new(stats.clone().unbind(), listener));
    let pushed = Arc::clone(&live);
    let stage = Arc::new(Stage::new(move |py| pushed.push(py)));
    let targets = Sides { local: place(local, &stage)?, remote: place(remote, &stage)? };
    let is_plain = settings.hooks.is_empty() && Side::BOTH.into_iter().all(|side| targets[side].is_native);
    let (few, most) = settings.connections;
    let pools = targets.map(|place| Pool::new(place.target, most));
    for (side, session) in [(Side::Local, sessions.0), (Side::Remote, sessions.1)] {
        let spares = (!is_plain).then(|| Spares::new(&pools[side], &stage));
        if let Some(session) = session.and_then(|session| session.get().lend(py, spares)) {
            pools[side].add(session);
        }
    }
    let clock = SystemClock::new();
    let lock_rules = lock::rules(&settings.lock_owner, settings.lock_age, settings.break_lock);
    let run = Run {
        pools: &pools,
        policy,
        filter,
        guard,
        compares_contents: settings.checksum,
        is_rehearsal: settings.dry_run,
        migrate: settings.migrate,
        ignore_copy_errors: settings.ignore_copy_errors,
        inplace: settings.inplace,
        keeping: Keeping {
            backup: settings.backup_dir.as_deref().map(backup_folder).transpose()?,
            has_trash: settings.trash,
            run: settings.run_label.clone(),
            mark: settings.conflict_mark.clone(),
        },
        lock: Some(Locking { rules: &lock_rules, is_running: &lock::is_running }),
        pretty_meta: settings.pretty_meta,
        version: &settings.version,
        resolve_all: settings.resolve_all.as_deref().and_then(|word| Strategy::parse(mode, word)),
        asks_at_same_time: settings.asks_at_same_time,
        // One more than sessions with a server, so that the disk is never waited for by all of them.
        threads: few + 1..=most + 1,
        time_limit: settings.max_time,
        max_depth: settings.max_depth,
        foresees: is_plain,
        clock: &clock,
    };
    let mut counters = Stats::default();
    let outcome = if is_plain {
        let hooks = PyHooks::new(Door::Direct, &reporter, py, &settings, policy);
        let mut listener = Listener::new(Door::Direct, reporter, Arc::clone(&live), &settings);
        py.detach(|| engine::sync(&run, &hooks, &mut listener, &mut counters))
    } else {
        let hooks = PyHooks::new(Door::Stage(Arc::clone(&stage)), &reporter, py, &settings, policy);
        let mut listener =
            Listener::new(Door::Stage(Arc::clone(&stage)), reporter, Arc::clone(&live), &settings);
        std::thread::scope(|scope| {
            let worker = scope.spawn(|| {
                let outcome = engine::sync(&run, &hooks, &mut listener, &mut counters);
                stage.end();
                outcome
            });
            stage.perform_all(py);
            // Between the last cue and the end of the thread nothing needs Python.
            py.detach(|| worker.join())
                .unwrap_or_else(|_| Err(Error::new(Kind::Io, "internal error, please report it")))
        })
    };
    live.note(&counters);
    live.push(py);
    py.detach(|| Side::BOTH.into_iter().for_each(|side| pools[side].close(true)));
    raise(py, outcome)?;
    live.check()
}

fn filter(include: &[String], exclude: &[String], fold_case: bool) -> PyResult<Filter> {
    Filter::new(include, exclude, fold_case)
        .map_err(|bad| PyValueError::new_err(format!("invalid option match or exclude: {}", bad.0)))
}

/// A folder below the roots of both sides.
fn backup_folder(text: &str) -> PyResult<RelPath> {
    match RelPath::parse(text.trim_end_matches('/')) {
        Ok(path) if !path.is_root() && !text.starts_with('/') => Ok(path),
        Ok(_) | Err(_) => {
            let what = format!("invalid option backup_dir: {text:?} (expected a folder below the root)");
            Err(PyValueError::new_err(what))
        }
    }
}

/// One side of a run.
struct Place {
    target: Arc<dyn CoreTarget>,
    is_native: bool,
}

fn place(given: &Bound<'_, PyAny>, stage: &Arc<Stage>) -> PyResult<Place> {
    if let Ok(native) = given.cast::<Target>() {
        return Ok(Place { target: native.get().share(), is_native: true });
    }
    Ok(Place { target: Arc::new(PyTarget::new(given, stage)?), is_native: false })
}

/// The key that releases 3.1 and 4.1 use for the peer with this id; none for a folder.
#[pyfunction]
pub fn old_peer_key(id: &str) -> Option<String> {
    crate::model::meta::legacy_form(id)
}

/// Whether a name takes part, by the patterns of ``match`` and ``exclude`` (shell patterns as in ``fnmatch``).
#[pyfunction]
#[pyo3(signature = (name, is_dir, r#match, exclude, fold_case))]
pub fn matches(
    name: &str,
    is_dir: bool,
    r#match: Vec<String>,
    exclude: Vec<String>,
    fold_case: bool,
) -> PyResult<bool> {
    let filter = Filter::new(&r#match, &exclude, fold_case)
        .map_err(|bad| PyValueError::new_err(format!("invalid pattern: {}", bad.0)))?;
    Ok(filter.matches(name, if is_dir { EntryKind::Folder } else { EntryKind::File }))
}

/// The way into Python: at once, or through the stage that the calling thread is.
#[derive(Clone)]
enum Door {
    Direct,
    Stage(Arc<Stage>),
}

impl Door {
    fn enter<T: Send + 'static>(
        &self,
        work: impl FnOnce(Python<'_>) -> PyResult<T> + Send + 'static,
    ) -> Result<T> {
        self.enter_when(When::BetweenVerbs, work)
    }

    fn enter_when<T: Send + 'static>(
        &self,
        when: When,
        work: impl FnOnce(Python<'_>) -> PyResult<T> + Send + 'static,
    ) -> Result<T> {
        match self {
            Door::Direct => Python::attach(work).map_err(carried),
            Door::Stage(stage) => stage.perform(when, work),
        }
    }
}

/// Passes events on to the reporter. Python is entered only for what is shown.
struct Listener {
    door: Door,
    reporter: Arc<Py<PyAny>>,
    live: Arc<Live>,
    verbose: u8,
    progress: bool,
    flows: bool,
    records: bool,
    last_look: Instant,
    last_flow: Instant,
}

/// How often what has been copied is shown.
const FLOW: Duration = Duration::from_millis(500);

impl Listener {
    fn new(door: Door, reporter: Py<PyAny>, live: Arc<Live>, settings: &Settings) -> Self {
        Listener {
            door,
            reporter: Arc::new(reporter),
            live,
            verbose: settings.verbose,
            progress: settings.progress,
            flows: settings.flows,
            records: settings.records,
            last_look: Instant::now(),
            last_flow: Instant::now(),
        }
    }

    fn tell<A>(&self, method: &'static str, args: A) -> Result<()>
    where
        A: for<'py> pyo3::call::PyCallArgs<'py> + Send + 'static,
    {
        let reporter = Arc::clone(&self.reporter);
        self.door.enter(move |py| reporter.bind(py).call_method1(method, args).map(drop))
    }

    /// Tells how many bytes have passed: no hook hears of it, and it is of use only while they do.
    fn tell_flow(&self, passed: u64, promised: u64) -> Result<()> {
        let reporter = Arc::clone(&self.reporter);
        let tell = move |py: Python<'_>| reporter.bind(py).call_method1("flow", (passed, promised)).map(drop);
        self.door.enter_when(When::Anytime, tell)
    }

    fn look_for_signals(&mut self) -> Result<()> {
        match &self.door {
            Door::Stage(stage) if stage.is_interrupted() => {
                Err(stage.take_interruption().map_or_else(Error::cancelled, carried))
            }
            Door::Stage(_) => Ok(()),
            Door::Direct if self.last_look.elapsed() < SIGNALS => Ok(()),
            Door::Direct => {
                self.last_look = Instant::now();
                Python::attach(|py| {
                    self.live.push(py);
                    py.check_signals()
                })
                .map_err(carried)
            }
        }
    }
}

impl Observer for Listener {
    fn event(&mut self, event: Event<'_>, stats: &Stats) -> Result<()> {
        self.live.note(stats);
        match event {
            Event::Action { line, path, is_folder, pair } => {
                let path = path.as_str().to_owned();
                let fields = |side: Side| pair.and_then(|pair| pair.get(side)).map(entry_fields);
                let told = (fields(Side::Local), fields(Side::Remote));
                self.tell(
                    "action",
                    (line.action, line.status, line.symbol, path, is_folder, line.level, told),
                )
            }
            Event::Note { level, text } => self.tell("note", (level, text.to_owned())),
            Event::Warning(text) => self.tell("warning", (text.to_owned(),)),
            Event::Failure(text) => self.tell("failure", (text.to_owned(),)),
            Event::Conflict { is_asked: true, .. } => Ok(()),
            Event::Conflict { dir, step, .. } if self.verbose >= 5 => {
                let (reporter, dir, step) = (Arc::clone(&self.reporter), dir.clone(), step.clone());
                self.door.enter(move |py| {
                    let pair = describe(py, &dir, &step)?;
                    reporter.bind(py).call_method1("conflict", (pair,)).map(drop)
                })
            }
            Event::Conflict { .. } => Ok(()),
            Event::SameTime { dir, step, strategy } => {
                let word = if strategy == Strategy::Old { "old" } else { "new" };
                let (reporter, dir, step) = (Arc::clone(&self.reporter), dir.clone(), step.clone());
                self.door.enter(move |py| {
                    let pair = describe(py, &dir, &step)?;
                    reporter.bind(py).call_method1("same_time", (pair, word)).map(drop)
                })
            }
            Event::ConflictLeft(path) => self.tell("conflict_left", (path.as_str().to_owned(),)),
            Event::Trashed(place) => self.tell("trashed", (place.as_str().to_owned(),)),
            Event::Lock { side, state } => {
                let (state, text, seconds) = lock::told(state);
                self.tell("lock", (side == Side::Local, state, text, seconds))
            }
            Event::Finished(_) if !self.records => Ok(()),
            Event::Finished(Finished { deed, path, side, bytes, error }) => {
                let (path, error) = (path.as_str().to_owned(), error.map(ToString::to_string));
                self.tell("finished", (deed, path, side == Side::Local, bytes, error))
            }
            Event::Tick => {
                self.look_for_signals()?;
                if !self.progress {
                    return Ok(());
                }
                self.tell("tick", (stats.entries_touched, stats.entries_seen, stats.dirs.local))
            }
            Event::Flow { .. } if !self.flows || self.last_flow.elapsed() < FLOW => Ok(()),
            Event::Flow { passed, promised } => {
                self.last_flow = Instant::now();
                self.tell_flow(passed, promised)
            }
        }
    }

    fn wants(&self, level: u8) -> bool {
        self.verbose >= level
    }

    fn poll(&mut self) -> Result<()> {
        self.look_for_signals()
    }
}

/// The hooks that Python overrides, and the prompt at a conflict. What is not overridden is never entered.
struct PyHooks {
    door: Door,
    reporter: Arc<Py<PyAny>>,
    /// Names of the overridden methods.
    wanted: HashSet<String>,
    mode: Mode,
    notices: Notices,
    rules: LiveRules,
}

/// The options that user code may change while the run goes on.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
struct Changes {
    force: bool,
    delete: bool,
    delete_unmatched: bool,
    resolve: String,
    r#match: Vec<String>,
    exclude: Vec<String>,
}

/// Looks what user code has changed of the rules, each time it has returned, or waits for the run.
#[derive(Clone)]
struct LiveRules {
    reporter: Arc<Py<PyAny>>,
    policy: Policy,
    fold_case: bool,
    changed: Arc<Mutex<Option<Rules>>>,
}

impl LiveRules {
    fn look(&self, py: Python<'_>) -> PyResult<()> {
        let Some(changes) = self.reporter.bind(py).call_method0("changes")?.extract::<Option<Changes>>()?
        else {
            return Ok(());
        };
        let policy = Policy {
            force: changes.force,
            delete: changes.delete,
            delete_unmatched: changes.delete_unmatched,
            strategy: Strategy::parse(self.policy.mode, &changes.resolve),
            ..self.policy
        };
        let filter = filter(&changes.r#match, &changes.exclude, self.fold_case)?;
        *locked(&self.changed) = Some(Rules { policy, filter });
        Ok(())
    }
}

/// What was said by user code, and not yet heeded.
type Notices = Arc<Mutex<Vec<Notice>>>;

/// What a hook can ask the run for.
enum Wish {
    /// The operation of this name on the pair of the hook.
    Operation(String),
    /// What is done about names that the filter leaves out, for a pair with the operation of this name.
    Mismatch(String),
    /// A copy of the pair to this side, without a line.
    CopyTo(Side),
    /// A deletion on this side, without a line.
    RemoveFrom(Side),
    /// What is usually done.
    Go,
}

/// What a hook asks the run for while it is being called. Every method returns when the deed is done.
#[pyclass(frozen, module = "ftpsync._core")]
pub struct Conductor {
    asker: Asker<Wish, Result<()>>,
    notices: Notices,
    rules: LiveRules,
}

impl Conductor {
    fn ask(&self, py: Python<'_>, wish: Wish) -> PyResult<()> {
        self.rules.look(py)?;
        let done = self.asker.ask(py, wish)?;
        raise(py, done)
    }

    /// Keeps what was said for the run. A folder outside the root is not its business.
    fn note(&self, is_local: bool, dir: &str, name: String, said: Said) {
        if let Ok(dir) = RelPath::parse(dir) {
            locked(&self.notices).push(Notice { side: side(is_local), dir, name, said });
        }
    }
}

#[pymethods]
impl Conductor {
    /// Has an operation carried out on the pair of the hook.
    fn operate(&self, py: Python<'_>, operation: String) -> PyResult<()> {
        self.ask(py, Wish::Operation(operation))
    }

    /// Has done what is done about names that the filter leaves out.
    fn mismatch(&self, py: Python<'_>, operation: String) -> PyResult<()> {
        self.ask(py, Wish::Mismatch(operation))
    }

    /// Has the pair of the hook copied to one side, without a line about it.
    fn copy(&self, py: Python<'_>, to_local: bool) -> PyResult<()> {
        self.ask(py, Wish::CopyTo(side(to_local)))
    }

    /// Has the pair of the hook deleted on one side, without a line about it.
    fn remove(&self, py: Python<'_>, on_local: bool) -> PyResult<()> {
        self.ask(py, Wish::RemoveFrom(side(on_local)))
    }

    /// Has done what is usually done where the hook was called.
    fn go(&self, py: Python<'_>) -> PyResult<()> {
        self.ask(py, Wish::Go)
    }

    /// Has a local folder remember that both sides agree on a name.
    fn remember(&self, dir: &str, name: String, mtime: Option<f64>, size: Option<u64>) {
        self.note(true, dir, name, Said::Agreed(mtime, size));
    }

    /// Has a folder remember the time that a file should have, and when (by the clock of that side) it was written.
    fn date(&self, is_local: bool, dir: &str, name: String, mtime: f64, size: Option<u64>, written: f64) {
        self.note(is_local, dir, name, Said::Dated(Shadow { mtime, size, written }));
    }

    /// Has a folder forget a name.
    fn forget(&self, is_local: bool, dir: &str, name: String) {
        self.note(is_local, dir, name, Said::Forgotten);
    }
}

fn side(is_local: bool) -> Side {
    if is_local { Side::Local } else { Side::Remote }
}

impl PyHooks {
    fn new(door: Door, reporter: &Py<PyAny>, py: Python<'_>, settings: &Settings, policy: Policy) -> Self {
        let reporter = Arc::new(reporter.clone_ref(py));
        let rules = LiveRules {
            reporter: Arc::clone(&reporter),
            policy,
            fold_case: settings.fold_case,
            changed: Arc::default(),
        };
        PyHooks {
            door,
            reporter,
            wanted: settings.hooks.iter().cloned().collect(),
            mode: policy.mode,
            notices: Notices::default(),
            rules,
        }
    }

    /// Enters user code.
    fn enter<T: Send + 'static>(
        &self,
        work: impl FnOnce(Python<'_>) -> PyResult<T> + Send + 'static,
    ) -> Result<T> {
        if self.wanted.is_empty() {
            return self.door.enter(work);
        }
        let rules = self.rules.clone();
        self.door.enter(move |py| {
            let answer = work(py)?;
            rules.look(py)?;
            Ok(answer)
        })
    }

    fn wants(&self, name: &str) -> bool {
        self.wanted.contains(name)
    }

    /// Calls a hook, by a method of the reporter, around something that it may have done.
    fn call_around<A>(
        &self,
        hook: &str,
        method: &'static str,
        args: impl FnOnce(Conductor) -> A + Send + 'static,
        go: &mut Go<'_>,
    ) -> Result<Verdict>
    where
        A: for<'py> pyo3::call::PyCallArgs<'py>,
    {
        let Door::Stage(stage) = &self.door else { return Ok(Verdict::Proceed) };
        if !self.wants(hook) {
            return Ok(Verdict::Proceed);
        }
        let (reporter, notices) = (Arc::clone(&self.reporter), Arc::clone(&self.notices));
        let rules = self.rules.clone();
        stage.perform_asking(
            When::BetweenVerbs,
            move |py, asker| {
                let conductor = Conductor { asker, notices, rules: rules.clone() };
                reporter.bind(py).call_method1(method, args(conductor))?;
                rules.look(py)
            },
            |wish| match wish {
                Wish::Go => go(),
                Wish::Operation(_) | Wish::Mismatch(_) | Wish::CopyTo(_) | Wish::RemoveFrom(_) => {
                    Err(Error::new(Kind::Usage, "this hook is not about a pair"))
                }
            },
        )?;
        Ok(Verdict::Leave)
    }

    /// Calls a method of the reporter with a description of the pair, followed by other arguments.
    fn ask<T, A>(&self, method: &'static str, dir: &RelPath, step: &Step, more: A) -> Result<T>
    where
        T: for<'a, 'py> FromPyObject<'a, 'py> + Send + 'static,
        A: for<'py> IntoPyObject<'py> + Send + 'static,
    {
        let (reporter, dir, step) = (Arc::clone(&self.reporter), dir.clone(), step.clone());
        self.enter(move |py| {
            let pair = describe(py, &dir, &step)?;
            let answer = reporter.bind(py).call_method1(method, (pair, more))?;
            answer.extract().map_err(Into::into)
        })
    }
}

impl Hooks for PyHooks {
    fn before_sync(&self, side: Side, dir: &RelPath, entry: &mut Entry) -> Result<Option<Verdict>> {
        if !self.wants("_before_sync") {
            return Ok(None);
        }
        let (reporter, dir, fields) =
            (Arc::clone(&self.reporter), dir.as_str().to_owned(), entry_fields(entry));
        let (goes_on, mtime): (bool, Option<f64>) = self.enter(move |py| {
            let is_local = side == Side::Local;
            reporter.bind(py).call_method1("before_sync", (is_local, dir, fields))?.extract()
        })?;
        // What the side has listed stays known: by that it is seen whether the file has changed meanwhile.
        if let Some(mtime) = mtime.and_then(Stamp::from_secs_f64).filter(|_| !entry.is_folder()) {
            entry.mtime = Some(mtime);
        }
        Ok(Some(if goes_on { Verdict::Proceed } else { Verdict::Leave }))
    }

    fn reclassify(&self, dir: &RelPath, step: &mut Step, policy: &Policy) -> Result<Verdict> {
        if !self.wants("re_classify_pair") {
            step.reclassify(policy);
            return Ok(Verdict::Proceed);
        }
        let default = policy.reclassify(step).map(|(operation, reason)| (operation.as_str(), reason));
        let (goes_on, operation): (bool, String) = self.ask("re_classify", dir, step, default)?;
        let operation = operation_named(&operation)?;
        step.is_wished =
            default.is_none_or(|(word, _)| word != operation.as_str()) && operation != step.operation;
        step.operation = operation;
        Ok(if goes_on { Verdict::Proceed } else { Verdict::Leave })
    }

    fn matches(&self, dir: &RelPath, step: &Step) -> Result<Option<bool>> {
        if !self.wants("_match") {
            return Ok(None);
        }
        self.ask("matches", dir, step, ()).map(Some)
    }

    fn operate(&self, dir: &RelPath, step: &mut Step, deed: Deed, act: &mut Act<'_>) -> Result<Verdict> {
        let is_mismatch = deed == Deed::Mismatch;
        let name =
            if is_mismatch { "on_mismatch".to_owned() } else { format!("on_{}", step.operation.as_str()) };
        let Door::Stage(stage) = &self.door else { return Ok(Verdict::Proceed) };
        if !self.wants(&name) {
            return Ok(Verdict::Proceed);
        }
        let (reporter, told_dir, told) = (Arc::clone(&self.reporter), dir.clone(), step.clone());
        let (notices, rules) = (Arc::clone(&self.notices), self.rules.clone());
        let is_gone: bool = stage.perform_asking(
            When::BetweenVerbs,
            move |py, asker| {
                let pair = describe(py, &told_dir, &told)?;
                let conductor = Conductor { asker, notices, rules: rules.clone() };
                let is_gone =
                    reporter.bind(py).call_method1("operate", (pair, name, conductor))?.extract()?;
                rules.look(py)?;
                Ok(is_gone)
            },
            |wish| {
                let (deed, operation) = match wish {
                    Wish::Operation(word) => (Deed::Operation, operation_named(&word)?),
                    Wish::Mismatch(word) => (Deed::Mismatch, operation_named(&word)?),
                    Wish::CopyTo(side) => (Deed::CopyTo(side), step.operation),
                    Wish::RemoveFrom(side) => (Deed::RemoveFrom(side), step.operation),
                    Wish::Go => (deed, step.operation),
                };
                // A handler that calls another one leaves the pair what it was: a conflict is counted as one.
                let was = std::mem::replace(&mut step.operation, operation);
                step.is_wished |= was != operation;
                let done = act(step, deed);
                if step.operation == operation {
                    step.operation = was;
                }
                done
            },
        )?;
        Ok(if is_gone { Verdict::Gone } else { Verdict::Leave })
    }

    fn leaf(&self, leaf: Leaf, to: Side, dir: &RelPath, entry: &Entry, go: &mut Go<'_>) -> Result<Verdict> {
        let (name, is_copy) = match leaf {
            Leaf::CopyFile => ("_copy_file", true),
            Leaf::CopyFolder => ("_copy_recursive", true),
            Leaf::RemoveFile => ("_remove_file", false),
            Leaf::RemoveFolder => ("_remove_dir", false),
        };
        let home = if is_copy { to.other() } else { to };
        let args = (home == Side::Local, dir.as_str().to_owned(), entry_fields(entry));
        self.call_around(name, "leaf", move |conductor| (name, args, conductor), go)
    }

    fn folder(&self, dir: &RelPath, go: &mut Go<'_>) -> Result<Verdict> {
        let dir = dir.as_str().to_owned();
        self.call_around("_sync_dir", "sync_dir", move |conductor| (dir, conductor), go)
    }

    fn notices(&self) -> Vec<Notice> {
        std::mem::take(&mut *locked(&self.notices))
    }

    fn changed_rules(&self) -> Option<Rules> {
        locked(&self.rules.changed).take()
    }

    fn resolves_all(&self) -> bool {
        self.wants("_interactive_resolve")
    }

    fn resolve(&self, dir: &RelPath, step: &Step) -> Result<Answer> {
        let (word, for_all): (String, bool) = self.ask("resolve", dir, step, ())?;
        let strategy = Strategy::parse(self.mode, &word).filter(|strategy| *strategy != Strategy::Ask);
        let strategy = strategy
            .ok_or_else(|| Error::new(Kind::Usage, format!("{word:?} is no answer to a conflict")))?;
        Ok(Answer { strategy, for_all })
    }

    fn hears_lines(&self) -> bool {
        self.wants("_log_action")
    }

    fn is_any(&self) -> bool {
        !self.wanted.is_empty()
    }

    fn hears_errors(&self) -> bool {
        self.wants("on_error")
    }

    fn forgives(&self, path: &RelPath, judged: Option<(&RelPath, &Step)>, error: &Error) -> Result<bool> {
        let (reporter, path, error) =
            (Arc::clone(&self.reporter), path.as_str().to_owned(), error.duplicate());
        let judged = judged.map(|(dir, step)| (dir.clone(), step.clone()));
        self.door.enter(move |py| {
            let pair = judged.map(|(dir, step)| describe(py, &dir, &step)).transpose()?;
            let raised = exception(py, error);
            reporter.bind(py).call_method1("forgives", (path, pair, raised.value(py)))?.extract()
        })
    }
}

fn operation_named(word: &str) -> Result<Operation> {
    Operation::parse(word).ok_or_else(|| Error::new(Kind::Usage, format!("{word:?} is no operation")))
}

/// A pair as a dictionary of plain values, from which the face builds its objects.
fn describe<'py>(py: Python<'py>, dir: &RelPath, step: &Step) -> PyResult<Bound<'py, PyDict>> {
    let pair = PyDict::new(py);
    pair.set_item("folder", dir.as_str())?;
    pair.set_item("name", step.pair.name.as_str())?;
    pair.set_item("local", step.pair.get(Side::Local).map(entry_fields))?;
    pair.set_item("remote", step.pair.get(Side::Remote).map(entry_fields))?;
    pair.set_item("local_classification", step.changes.local.as_str())?;
    pair.set_item("remote_classification", step.changes.remote.as_str())?;
    pair.set_item("operation", step.operation.as_str())?;
    pair.set_item("re_class_reason", step.reason)?;
    let past = match step.pair.past {
        Past::Listed(seen) => Some((seen.mtime, seen.size, seen.synced)),
        Past::NoArchive | Past::Unlisted => None,
    };
    pair.set_item("past", past)?;
    let grains = Side::BOTH.map(|side| step.pair.get(side)?.mtime).into_iter().flatten().map(Stamp::grain);
    pair.set_item("grain", grains.max().unwrap_or(0))?;
    Ok(pair)
}

type EntryFields = (String, bool, Option<u64>, Option<f64>, Option<f64>, Option<String>);

/// Name, whether it is a folder, size, time, time as listed, identity.
fn entry_fields(entry: &Entry) -> EntryFields {
    (
        entry.name.to_string(),
        entry.is_folder(),
        entry.size,
        entry.mtime.map(Stamp::as_secs_f64),
        entry.mtime_org.map(Stamp::as_secs_f64),
        entry.unique.as_deref().map(str::to_owned),
    )
}

struct SystemClock {
    start: Instant,
    /// The last time that was made readable, in whole seconds, and its text.
    last: Mutex<(i64, String)>,
    zone: f64,
}

impl SystemClock {
    fn new() -> Self {
        SystemClock { start: Instant::now(), last: Mutex::new((i64::MIN, String::new())), zone: local_zone() }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> f64 {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
    }

    fn elapsed(&self) -> f64 {
        self.start.elapsed().as_secs_f64()
    }

    /// Local time needs the system's time zone, which Python knows. It is asked once a second at most, however many folders
    /// are remembered in that time.
    fn readable(&self, seconds: f64) -> String {
        let mut last = locked(&self.last);
        let whole = seconds.floor() as i64;
        if last.0 != whole {
            *last = (whole, local_time(seconds));
        }
        last.1.clone()
    }

    fn zone(&self) -> f64 {
        self.zone
    }
}

fn local_zone() -> f64 {
    Python::attach(|py| py.import("time")?.getattr("timezone")?.extract()).unwrap_or(0.0)
}

fn local_time(seconds: f64) -> String {
    Python::attach(|py| -> PyResult<String> {
        let time = py.import("time")?;
        let local = time.call_method1("localtime", (seconds,))?;
        time.call_method1("strftime", ("%Y-%m-%d %H:%M:%S", local))?.extract()
    })
    .unwrap_or_else(|_| format!("{seconds}"))
}
