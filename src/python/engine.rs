//! A run of the core, with Python listening in.

use super::convert;
use super::errors::{carried, raise};
use super::target::{Session, Target};
use crate::engine::hooks::Answer;
use crate::engine::stats::Value;
use crate::engine::{self, Clock, Event, Hooks, Observer, Run, Stats};
use crate::error::{Error, Result};
use crate::model::{Entry, EntryKind, RelPath, Side, Sides, Stamp};
use crate::plan::guard::GuardRules;
use crate::plan::{Filter, Mode, Past, Policy, Step, Strategy};
use crate::target::pool::Pool;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;
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
    r#match: Vec<String>,
    exclude: Vec<String>,
    fold_case: bool,
    force: bool,
    delete: bool,
    delete_unmatched: bool,
    resolve: String,
    resolve_all: Option<String>,
    asks_at_same_time: bool,
    case: Option<String>,
    deep_conflicts: bool,
    keeps_orphans: bool,
    max_delete: Option<String>,
    allow_mass_delete: bool,
    migrate: bool,
    inplace: bool,
    pretty_meta: bool,
    version: String,
    connections: usize,
}

/// Synchronises two targets.
///
/// ``sessions`` are open conversations to begin with, for each side or None. ``reporter`` is told what happens; ``stats``
/// gets the counters under their documented names, also when the run fails.
#[pyfunction]
#[pyo3(signature = (local, remote, sessions, settings, reporter, stats))]
pub fn run(
    py: Python<'_>,
    local: &Target,
    remote: &Target,
    sessions: (Option<Py<Session>>, Option<Py<Session>>),
    settings: Settings,
    reporter: Py<PyAny>,
    stats: &Bound<'_, PyDict>,
) -> PyResult<()> {
    let mode = convert::mode(&settings.mode)?;
    let filter = Filter::new(&settings.r#match, &settings.exclude, settings.fold_case)
        .map_err(|bad| PyValueError::new_err(format!("invalid option match or exclude: {}", bad.0)))?;
    let policy = Policy {
        mode,
        force: settings.force,
        delete: settings.delete,
        delete_unmatched: settings.delete_unmatched,
        strategy: Strategy::parse(mode, &settings.resolve),
        case: convert::case_mode(settings.case.as_deref())?,
        deep_conflicts: settings.deep_conflicts,
        keeps_orphans: settings.keeps_orphans,
    };
    let guard = GuardRules {
        limit: convert::limit(settings.max_delete.as_deref())?,
        is_off: settings.allow_mass_delete,
    };
    let pools = Sides::new(local, remote).map(|target| Pool::new(target.share(), settings.connections));
    for (side, session) in [(Side::Local, sessions.0), (Side::Remote, sessions.1)] {
        if let Some(session) = session.and_then(|session| session.get().take()) {
            pools[side].add(session);
        }
    }
    let clock = SystemClock::new();
    let run = Run {
        pools: &pools,
        policy,
        filter,
        guard,
        is_rehearsal: settings.dry_run,
        migrate: settings.migrate,
        inplace: settings.inplace,
        pretty_meta: settings.pretty_meta,
        version: &settings.version,
        resolve_all: settings.resolve_all.as_deref().and_then(|word| Strategy::parse(mode, word)),
        asks_at_same_time: settings.asks_at_same_time,
        // One more than sessions with a server, so that the disk is never waited for by all of them.
        threads: settings.connections.clamp(1, 64) + 1,
        clock: &clock,
    };
    let mut counters = Stats::default();
    let mut listener = Listener::new(reporter.clone_ref(py), &settings);
    let mut asker = Asker { reporter, mode };
    let outcome = py.detach(|| engine::sync(&run, &mut asker, &mut listener, &mut counters));
    add_counters(stats, &counters)?;
    py.detach(|| Side::BOTH.into_iter().for_each(|side| pools[side].close(true)));
    raise(py, outcome)
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

/// Adds the counters of a run to those that are there: they accumulate over repeated runs.
fn add_counters(stats: &Bound<'_, PyDict>, counters: &Stats) -> PyResult<()> {
    for (name, value) in counters.named() {
        let old = stats.get_item(name)?.filter(|old| !old.is_none());
        match value {
            Value::Count(count) => {
                let old: u64 = old.map_or(Ok(0), |old| old.extract())?;
                stats.set_item(name, old + count)?;
            }
            Value::Seconds(seconds) => {
                let old: f64 = old.map_or(Ok(0.0), |old| old.extract())?;
                stats.set_item(name, old + seconds)?;
            }
        }
    }
    Ok(())
}

/// Passes events on to the reporter. Python is entered only for what is shown.
struct Listener {
    reporter: Py<PyAny>,
    verbose: u8,
    progress: bool,
    last_look: Instant,
}

impl Listener {
    fn new(reporter: Py<PyAny>, settings: &Settings) -> Self {
        Listener {
            reporter,
            verbose: settings.verbose,
            progress: settings.progress,
            last_look: Instant::now(),
        }
    }

    fn call<'py, A>(&self, method: &str, args: A) -> Result<()>
    where
        A: for<'a> FnOnce(Python<'a>) -> PyResult<Py<pyo3::types::PyTuple>>,
        A: 'py,
    {
        Python::attach(|py| {
            let args = args(py)?;
            self.reporter.bind(py).call_method1(method, args.bind(py).clone()).map(drop)
        })
        .map_err(carried)
    }

    fn look_for_signals(&mut self) -> Result<()> {
        if self.last_look.elapsed() < SIGNALS {
            return Ok(());
        }
        self.last_look = Instant::now();
        Python::attach(|py| py.check_signals()).map_err(carried)
    }
}

fn tuple<'py, T>(py: Python<'py>, values: T) -> PyResult<Py<pyo3::types::PyTuple>>
where
    T: IntoPyObject<'py, Target = pyo3::types::PyTuple, Output = Bound<'py, pyo3::types::PyTuple>>,
    PyErr: From<T::Error>,
{
    Ok(values.into_pyobject(py)?.unbind())
}

impl Observer for Listener {
    fn event(&mut self, event: Event<'_>, stats: &Stats) -> Result<()> {
        match event {
            Event::Action { line, path, is_folder } => self.call("action", |py| {
                tuple(py, (line.action, line.status, line.symbol, path.as_str(), is_folder, line.level))
            }),
            Event::Note { level, text } => self.call("note", |py| tuple(py, (level, text))),
            Event::Warning(text) => self.call("warning", |py| tuple(py, (text,))),
            Event::Failure(text) => self.call("failure", |py| tuple(py, (text,))),
            Event::Conflict { is_asked: true, .. } => Ok(()),
            Event::Conflict { dir, step, .. } if self.verbose >= 5 => {
                self.call("conflict", |py| tuple(py, (describe(py, dir, step)?,)))
            }
            Event::Conflict { .. } => Ok(()),
            Event::SameTime { dir, step, strategy } => {
                let word = if strategy == Strategy::Old { "old" } else { "new" };
                self.call("same_time", |py| tuple(py, (describe(py, dir, step)?, word)))
            }
            Event::Tick => {
                self.look_for_signals()?;
                if !self.progress {
                    return Ok(());
                }
                let counts = (stats.entries_touched, stats.entries_seen, stats.dirs.local);
                self.call("tick", |py| tuple(py, counts))
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

/// Asks the user, through the reporter.
struct Asker {
    reporter: Py<PyAny>,
    mode: Mode,
}

impl Hooks for Asker {
    fn resolve(&mut self, dir: &RelPath, step: &Step) -> Result<Answer> {
        let (word, for_all): (String, bool) = Python::attach(|py| {
            let pair = describe(py, dir, step)?;
            self.reporter.bind(py).call_method1("resolve", (pair,))?.extract()
        })
        .map_err(carried)?;
        let strategy = Strategy::parse(self.mode, &word).filter(|strategy| *strategy != Strategy::Ask);
        let strategy = strategy.ok_or_else(|| {
            Error::new(crate::error::Kind::Usage, format!("{word:?} is no answer to a conflict"))
        })?;
        Ok(Answer { strategy, for_all })
    }
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
}

impl SystemClock {
    fn new() -> Self {
        SystemClock { start: Instant::now() }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> f64 {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
    }

    fn elapsed(&self) -> f64 {
        self.start.elapsed().as_secs_f64()
    }

    /// Local time needs the system's time zone, which Python knows.
    fn readable(&self, seconds: f64) -> String {
        Python::attach(|py| -> PyResult<String> {
            let time = py.import("time")?;
            let local = time.call_method1("localtime", (seconds,))?;
            time.call_method1("strftime", ("%Y-%m-%d %H:%M:%S", local))?.extract()
        })
        .unwrap_or_else(|_| format!("{seconds}"))
    }
}
