//! Where user code may have its say. Every hook has a default, and a run without hooks never enters them.

use crate::error::{Error, Result};
use crate::model::{Entry, RelPath, Side};
use crate::plan::{Step, Strategy};

/// What a hook decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Go on as usual.
    Proceed,
    /// Leave the entry alone (it was dealt with, or is not to be touched).
    Leave,
}

/// How the user wants a conflict settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// The way. Never [`Strategy::Ask`].
    pub strategy: Strategy,
    /// Whether all further conflicts of the run are settled the same way.
    pub for_all: bool,
}

/// Hooks into a run. All calls come from the thread that called [`super::sync`], in the order of the plan.
pub trait Hooks {
    /// Before an entry is looked at.
    ///
    /// # Errors
    /// An exception of user code; it ends the run.
    fn before_sync(&mut self, _side: Side, _dir: &RelPath, _entry: &Entry) -> Result<Verdict> {
        Ok(Verdict::Proceed)
    }

    /// After a pair was classified and the mode had its say; the operation may be changed.
    ///
    /// # Errors
    /// An exception of user code; it ends the run.
    fn reclassify(&mut self, _dir: &RelPath, _step: &mut Step) -> Result<Verdict> {
        Ok(Verdict::Proceed)
    }

    /// Before a pair is dealt with.
    ///
    /// # Errors
    /// An exception of user code; it ends the run.
    fn operate(&mut self, _dir: &RelPath, _step: &mut Step, _is_match: bool) -> Result<Verdict> {
        Ok(Verdict::Proceed)
    }

    /// A conflict has to be settled by the user.
    ///
    /// # Errors
    /// An exception of user code; it ends the run.
    fn resolve(&mut self, dir: &RelPath, step: &Step) -> Result<Answer>;

    /// A pair could not be dealt with: go on with the rest?
    ///
    /// # Errors
    /// An exception of user code; it ends the run.
    fn failed(&mut self, _path: &RelPath, _error: &Error) -> Result<Verdict> {
        Ok(Verdict::Proceed)
    }
}

/// Hooks for a run that cannot ask anybody: conflicts that need an answer are left alone.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoHooks;

impl Hooks for NoHooks {
    fn resolve(&mut self, _dir: &RelPath, _step: &Step) -> Result<Answer> {
        Ok(Answer { strategy: Strategy::Skip, for_all: false })
    }
}
