//! Where user code may have its say. Every hook has a default, and a run without hooks never enters them.

use crate::error::{Error, Result};
use crate::model::meta::Shadow;
use crate::model::{Entry, RelPath, Side};
use crate::plan::{Filter, Policy, Step, Strategy};

/// What a hook decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Go on as usual.
    Proceed,
    /// Leave the entry alone (it was dealt with, or is not to be touched).
    Leave,
    /// As `Leave`, and the folder is gone: there is nothing to descend into.
    Gone,
}

/// What a hook may have done about its pair, while it is being called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// What the operation of the step calls for, as the mode and the flags allow.
    Operation,
    /// What is done about names that the filter leaves out.
    Mismatch,
    /// A copy to this side, without a line about it.
    CopyTo(Side),
    /// A deletion on this side, without a line about it.
    RemoveFrom(Side),
}

/// Has a deed done, and returns when it is finished.
pub type Act<'a> = dyn FnMut(&mut Step, Deed) -> Result<()> + 'a;

/// The last step of a deed: one file or one folder, copied or deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leaf {
    /// A file is copied, also one in a folder that is copied as a whole.
    CopyFile,
    /// A folder is copied, with everything in it.
    CopyFolder,
    /// A file is deleted.
    RemoveFile,
    /// A folder is deleted, with everything in it.
    RemoveFolder,
}

/// Does what is usually done, and returns when it is finished.
pub type Go<'a> = dyn FnMut() -> Result<()> + 'a;

/// How the user wants a conflict settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// The way. Never [`Strategy::Ask`].
    pub strategy: Strategy,
    /// Whether all further conflicts of the run are settled the same way.
    pub for_all: bool,
}

/// What a folder is to remember because user code says so, which may have done a deed itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Notice {
    /// The side whose metadata it is about.
    pub side: Side,
    /// The folder, on that side.
    pub dir: RelPath,
    /// A name in it.
    pub name: String,
    /// What is known of the name.
    pub said: Said,
}

/// What user code says of a name.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Said {
    /// Both sides agree on it: a file of this time (in seconds since 1970-01-01 UTC) and size (in bytes), or a folder, which has
    /// neither.
    Agreed(Option<f64>, Option<u64>),
    /// It has a time that its side could not set.
    Dated(Shadow),
    /// Nothing any more.
    Forgotten,
}

/// What decides what becomes of an entry.
#[derive(Debug, Clone)]
pub struct Rules {
    /// What is done.
    pub policy: Policy,
    /// To what.
    pub filter: Filter,
}

/// Hooks into a run. All calls come from the thread that called [`super::sync`], in the order of the plan.
///
/// No lock is held while a hook runs, so that it may take its time, and ask for deeds.
pub trait Hooks {
    /// Before an entry is looked at. `None`: nobody is interested, and the entry is counted as seen. User code may know better
    /// than the listing what time a file has.
    ///
    /// # Errors
    /// An exception of user code; it ends the run.
    fn before_sync(&self, _side: Side, _dir: &RelPath, _entry: &mut Entry) -> Result<Option<Verdict>> {
        Ok(None)
    }

    /// After a pair was classified: the mode has its say, and the operation may be changed.
    ///
    /// # Errors
    /// An exception of user code; it ends the run.
    fn reclassify(&self, _dir: &RelPath, step: &mut Step, policy: &Policy) -> Result<Verdict> {
        step.reclassify(policy);
        Ok(Verdict::Proceed)
    }

    /// Whether an entry takes part; `None` leaves it to the filter.
    ///
    /// # Errors
    /// An exception of user code; it ends the run.
    fn matches(&self, _dir: &RelPath, _step: &Step) -> Result<Option<bool>> {
        Ok(None)
    }

    /// Before a pair is dealt with, and again when a closer look gave it another operation.
    ///
    /// # Errors
    /// An exception of user code; it ends the run.
    fn operate(&self, _dir: &RelPath, _step: &mut Step, _deed: Deed, _act: &mut Act<'_>) -> Result<Verdict> {
        Ok(Verdict::Proceed)
    }

    /// Before one file or folder is copied to `side`, or deleted there.
    ///
    /// # Errors
    /// An exception of user code; it ends the run.
    fn leaf(
        &self,
        _leaf: Leaf,
        _side: Side,
        _dir: &RelPath,
        _entry: &Entry,
        _go: &mut Go<'_>,
    ) -> Result<Verdict> {
        Ok(Verdict::Proceed)
    }

    /// Before a folder that both sides have is visited, with everything in it.
    ///
    /// # Errors
    /// An exception of user code; it ends the run.
    fn folder(&self, _dir: &RelPath, _go: &mut Go<'_>) -> Result<Verdict> {
        Ok(Verdict::Proceed)
    }

    /// What user code has said since the last time it was asked, in that order.
    fn notices(&self) -> Vec<Notice> {
        Vec::new()
    }

    /// The rules that are in force from now on, if user code has changed them since the last time it was asked.
    fn changed_rules(&self) -> Option<Rules> {
        None
    }

    /// Whether every conflict is settled by [`Hooks::resolve`], whatever the strategy.
    fn resolves_all(&self) -> bool {
        false
    }

    /// A conflict has to be settled by the user.
    ///
    /// # Errors
    /// An exception of user code; it ends the run.
    fn resolve(&self, dir: &RelPath, step: &Step) -> Result<Answer>;

    /// Whether the lines about entries go to somebody who wants to see the entries.
    fn hears_lines(&self) -> bool {
        false
    }

    /// Whether any user code is called, which may ask for deletions of its own.
    fn is_any(&self) -> bool {
        false
    }

    /// Whether anybody is to be asked about errors.
    fn hears_errors(&self) -> bool {
        false
    }

    /// Something failed: is the user content with that, so that the run counts as a success? With the folder and the pair, where
    /// it is about one that was judged.
    ///
    /// # Errors
    /// An exception of user code; it ends the run.
    fn forgives(&self, _path: &RelPath, _judged: Option<(&RelPath, &Step)>, _error: &Error) -> Result<bool> {
        Ok(false)
    }
}

/// Hooks for a run that cannot ask anybody: conflicts that need an answer are left alone.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoHooks;

impl Hooks for NoHooks {
    fn resolve(&self, _dir: &RelPath, _step: &Step) -> Result<Answer> {
        Ok(Answer { strategy: Strategy::Skip, for_all: false })
    }
}
