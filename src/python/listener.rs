//! What a run tells, passed on to the reporter of the face.

use super::door::Door;
use super::errors::carried;
use super::hooks::Verbosity;
use super::live::Live;
use super::lock;
use super::settings::Settings;
use super::stage::When;
use super::told::{describe, entry_fields};
use crate::engine::{Event, Finished, Observer, Stats};
use crate::error::{Error, Result};
use crate::model::Side;
use crate::plan::Strategy;
use pyo3::prelude::*;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// How often pending signals (Ctrl+C) are looked for, at most.
const SIGNALS: Duration = Duration::from_millis(50);

/// Passes events on to the reporter. Python is entered only for what is shown.
pub struct Listener {
    door: Door,
    reporter: Arc<Py<PyAny>>,
    live: Arc<Live>,
    verbosity: Verbosity,
    progress: bool,
    flows: bool,
    records: bool,
    last_look: Instant,
    last_flow: Instant,
}

/// How often what has been copied is shown.
const FLOW: Duration = Duration::from_millis(500);

impl Listener {
    /// Tells this reporter what the settings say that it wants to know.
    pub fn new(
        door: Door,
        reporter: Py<PyAny>,
        live: Arc<Live>,
        verbosity: Verbosity,
        settings: &Settings,
    ) -> Self {
        Listener {
            door,
            reporter: Arc::new(reporter),
            live,
            verbosity,
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
            Event::Conflict { dir, step, .. } if self.wants(5) => {
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
        self.verbosity.load(Ordering::Relaxed) >= level
    }

    fn poll(&mut self) -> Result<()> {
        self.look_for_signals()
    }
}
