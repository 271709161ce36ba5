//! A run of the core, with Python listening in.

use super::bridge::PyTarget;
use super::clock::SystemClock;
use super::door::Door;
use super::errors::raise;
use super::hooks::PyHooks;
use super::listener::Listener;
use super::live::Live;
use super::lock;
use super::session::Session;
use super::settings::{Settings, Terms};
use super::spare::Spares;
use super::stage::Stage;
use super::target::Target;
use crate::engine::{self, Clock, Locking, Run, Stats};
use crate::error::{Error, Kind, Result};
use crate::model::{EntryKind, Side, Sides};
use crate::plan::Filter;
use crate::plan::lock::LockRules;
use crate::target::Target as CoreTarget;
use crate::target::pool::Pool;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::sync::Arc;

/// Open conversations with both sides.
type Sessions = (Option<Py<Session>>, Option<Py<Session>>);

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
    sessions: Sessions,
    settings: Settings,
    reporter: Py<PyAny>,
    stats: &Bound<'_, PyDict>,
) -> PyResult<()> {
    let terms = settings.terms()?;
    let live = live(py, &settings, &reporter, stats);
    let pushed = Arc::clone(&live);
    let stage = Arc::new(Stage::new(move |py| pushed.push(py)));
    let places = Sides { local: place(local, &stage)?, remote: place(remote, &stage)? };
    let is_plain = settings.hooks.is_empty() && places.local.is_native && places.remote.is_native;
    let pools = places.map(|place| Pool::new(place.target, settings.connections.1));
    lend(py, sessions, &pools, (!is_plain).then_some(&stage));

    let door = if is_plain { Door::Direct } else { Door::Stage(Arc::clone(&stage)) };
    let hooks = PyHooks::new(door.clone(), &reporter, py, &settings, terms.policy);
    let mut listener = Listener::new(door, reporter, Arc::clone(&live), hooks.verbosity(), &settings);
    let clock = SystemClock::new();
    let lock_rules = lock::rules(&settings.lock_owner, settings.lock_age, settings.break_lock);
    let run = course(&settings, terms, &pools, &lock_rules, &clock, is_plain);
    let mut counters = Stats::default();
    let synchronise = || engine::sync(&run, &hooks, &mut listener, &mut counters);
    let outcome = if is_plain { py.detach(synchronise) } else { beside_the_stage(py, &stage, synchronise) };

    live.note(&counters);
    live.push(py);
    py.detach(|| Side::BOTH.into_iter().for_each(|side| pools[side].close(true)));
    raise(py, outcome)?;
    live.check()
}

/// The counters, as the face sees them while the run goes on.
fn live(py: Python<'_>, settings: &Settings, reporter: &Py<PyAny>, stats: &Bound<'_, PyDict>) -> Arc<Live> {
    let listener = settings.overrides("_inc_stat").then(|| reporter.clone_ref(py));
    Arc::new(Live::new(stats.clone().unbind(), listener))
}

/// Lends the conversations that are there to the run. Where there is a stage, user code may need others meanwhile.
fn lend(py: Python<'_>, sessions: Sessions, pools: &Sides<Pool>, stage: Option<&Arc<Stage>>) {
    for (side, session) in [(Side::Local, sessions.0), (Side::Remote, sessions.1)] {
        let spares = stage.map(|stage| Spares::new(&pools[side], stage));
        if let Some(session) = session.and_then(|session| session.get().lend(py, spares)) {
            pools[side].add(session);
        }
    }
}

/// What the core is to do.
fn course<'a>(
    settings: &'a Settings,
    terms: Terms,
    pools: &'a Sides<Pool>,
    lock_rules: &'a LockRules,
    clock: &'a dyn Clock,
    is_plain: bool,
) -> Run<'a> {
    let (few, most) = settings.connections;
    Run {
        pools,
        policy: terms.policy,
        filter: terms.filter,
        guard: terms.guard,
        compares_contents: settings.checksum,
        is_rehearsal: settings.dry_run,
        migrate: settings.migrate,
        ignore_copy_errors: settings.ignore_copy_errors,
        inplace: settings.inplace,
        keeping: terms.keeping,
        lock: Some(Locking { rules: lock_rules, is_running: &lock::is_running }),
        pretty_meta: settings.pretty_meta,
        version: &settings.version,
        resolve_all: terms.resolve_all,
        asks_at_same_time: settings.asks_at_same_time,
        // One more than sessions with a server, so that the disk is never waited for by all of them.
        threads: few + 1..=most + 1,
        time_limit: settings.max_time,
        max_depth: settings.max_depth,
        foresees: is_plain,
        clock,
    }
}

/// Has the run on a thread of its own, while the calling thread performs what it needs of Python.
fn beside_the_stage(
    py: Python<'_>,
    stage: &Stage,
    synchronise: impl FnOnce() -> Result<()> + Send,
) -> Result<()> {
    std::thread::scope(|scope| {
        let worker = scope.spawn(|| {
            let outcome = synchronise();
            stage.end();
            outcome
        });
        stage.perform_all(py);
        // Between the last cue and the end of the thread nothing needs Python.
        py.detach(|| worker.join())
            .unwrap_or_else(|_| Err(Error::new(Kind::Io, "internal error, please report it")))
    })
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
