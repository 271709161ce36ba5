//! The hooks that Python overrides, called where a run has them.

use super::conductor::{Conductor, Notices, Wish};
use super::convert;
use super::door::Door;
use super::errors::exception;
use super::settings::Settings;
use super::stage::When;
use super::told::{describe, entry_fields};
use crate::engine::Hooks;
use crate::engine::hooks::{Act, Answer, Deed, Go, Leaf, Notice, Rules, Verdict};
use crate::error::{Error, Kind, Result};
use crate::locked::locked;
use crate::model::{Entry, RelPath, Side, Stamp};
use crate::plan::{Mode, Operation, Policy, Step, Strategy};
use pyo3::prelude::*;
use std::collections::HashSet;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};

/// The hooks that Python overrides, and the prompt at a conflict. What is not overridden is never entered.
pub struct PyHooks {
    door: Door,
    reporter: Arc<Py<PyAny>>,
    /// Names of the overridden methods.
    wanted: HashSet<String>,
    mode: Mode,
    notices: Notices,
    rules: LiveRules,
}

/// The level up to which lines are shown, as user code has left it.
pub type Verbosity = Arc<AtomicU8>;

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
    verbose: u8,
}

/// Looks what user code has changed of the rules, each time it has returned, or waits for the run.
#[derive(Clone)]
pub struct LiveRules {
    reporter: Arc<Py<PyAny>>,
    policy: Policy,
    fold_case: bool,
    changed: Arc<Mutex<Option<Rules>>>,
    verbosity: Verbosity,
}

impl LiveRules {
    /// # Errors
    /// What is not to be changed any more was changed; a pattern is none.
    pub fn look(&self, py: Python<'_>) -> PyResult<()> {
        let Some(changes) = self.reporter.bind(py).call_method0("changes")?.extract::<Option<Changes>>()?
        else {
            return Ok(());
        };
        self.verbosity.store(changes.verbose, Ordering::Relaxed);
        let policy = Policy {
            force: changes.force,
            delete: changes.delete,
            delete_unmatched: changes.delete_unmatched,
            strategy: Strategy::parse(self.policy.mode, &changes.resolve),
            ..self.policy
        };
        let filter = convert::filter(&changes.r#match, &changes.exclude, self.fold_case)?;
        *locked(&self.changed) = Some(Rules { policy, filter });
        Ok(())
    }
}

impl PyHooks {
    /// What the settings name is called, by methods of the reporter.
    pub fn new(
        door: Door,
        reporter: &Py<PyAny>,
        py: Python<'_>,
        settings: &Settings,
        policy: Policy,
    ) -> Self {
        let reporter = Arc::new(reporter.clone_ref(py));
        let rules = LiveRules {
            reporter: Arc::clone(&reporter),
            policy,
            fold_case: settings.fold_case,
            changed: Arc::default(),
            verbosity: Arc::new(AtomicU8::new(settings.verbose)),
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

    /// How much is shown, from now on.
    pub fn verbosity(&self) -> Verbosity {
        Arc::clone(&self.rules.verbosity)
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
                Wish::Time(..)
                | Wish::Operation(_)
                | Wish::Mismatch(_)
                | Wish::CopyTo(_)
                | Wish::RemoveFrom(_) => Err(Error::new(Kind::Usage, "this hook is not about a pair")),
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
        put_right(entry, mtime);
        Ok(Some(if goes_on { Verdict::Proceed } else { Verdict::Leave }))
    }

    fn reclassify(&self, dir: &RelPath, step: &mut Step, policy: &Policy) -> Result<Verdict> {
        if !self.wants("re_classify_pair") {
            step.reclassify(policy);
            return Ok(Verdict::Proceed);
        }
        let default = policy.reclassify(step).map(|(operation, reason)| (operation.as_str(), reason));
        let (goes_on, operation, times): (bool, String, Times) =
            self.ask("re_classify", dir, step, default)?;
        for (side, mtime) in [(Side::Local, times.0), (Side::Remote, times.1)] {
            set_time(step, side, mtime);
        }
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
                    Wish::Time(side, mtime) => {
                        set_time(step, side, Some(mtime));
                        return Ok(());
                    }
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

/// The times that user code has given the local and the remote entry of a pair.
type Times = (Option<f64>, Option<f64>);

fn set_time(step: &mut Step, side: Side, mtime: Option<f64>) {
    if let Some(entry) = step.pair.get_mut(side) {
        put_right(entry, mtime);
    }
}

/// Gives a file the time that user code says it has. What the side has listed stays known: by that it is seen whether the file
/// has changed meanwhile.
fn put_right(entry: &mut Entry, mtime: Option<f64>) {
    if let Some(mtime) = mtime.and_then(Stamp::from_secs_f64).filter(|_| !entry.is_folder()) {
        entry.mtime = Some(mtime);
    }
}

fn operation_named(word: &str) -> Result<Operation> {
    Operation::parse(word).ok_or_else(|| Error::new(Kind::Usage, format!("{word:?} is no operation")))
}
