//! One folder on its way through a run: listed, planned, open while anything in it is under way, then remembered.

use super::job::{Ticket, View};
use super::removal::DoomedDir;
use crate::error::Result;
use crate::model::path::folded;
use crate::model::{DirMeta, RelPath, Side, Sides};
use crate::target::Expect;
use std::collections::{BTreeSet, HashSet};

/// What may go with a folder that the other side lost.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Scope {
    /// Everything, whatever the other side has: the filter excludes it, and what it excludes is to go.
    Excluded,
    /// Everything that takes part, whatever the other side has: user code wants it to go.
    Wished,
    /// Everything that takes part: the user said so, or nobody ever synchronised it.
    Everything,
    /// What is as the last synchronisation left it. That was at this time (seconds since 1970-01-01 UTC), if it is known.
    Unchanged(Option<f64>),
}

impl Scope {
    /// Whether something may go only if the other side really does not have it.
    pub fn needs_absence(self) -> bool {
        match self {
            Scope::Everything | Scope::Unchanged(_) => true,
            Scope::Excluded | Scope::Wished => false,
        }
    }
}

/// Why a folder is visited.
#[derive(Debug, Clone, PartialEq)]
pub enum Visit {
    /// Both sides have it.
    Compare,
    /// One side gets it, with everything in it that takes part.
    Copy {
        /// The side that gets it.
        to: Side,
        /// Its name, as its parent remembers it.
        name: String,
        /// The side that gets it may take its name for another one.
        has_twin: bool,
    },
    /// The other side lost it: what is unchanged inside goes, what is not stays.
    Remove(Removal),
}

/// How a folder goes that the other side lost.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Removal {
    /// The side that still has it.
    pub on: Side,
    /// Its place among the folders to remove.
    pub doomed: DoomedDir,
    /// What in it may go.
    pub scope: Scope,
}

impl Visit {
    /// Whether a side has to be listed.
    pub fn lists(&self, side: Side) -> bool {
        match self {
            Visit::Compare => true,
            Visit::Copy { to, .. } => side != *to,
            Visit::Remove(Removal { on, .. }) => side == *on,
        }
    }
}

/// One folder on its way.
#[derive(Debug)]
pub struct Folder {
    /// Its path on each side.
    pub paths: Sides<RelPath>,
    /// Why it is visited.
    pub visit: Visit,
    /// The folder that holds it.
    pub parent: Option<Ticket>,
    /// What its sides hold, as far as listed.
    pub views: Sides<Option<Result<Box<View>>>>,
    /// Its metadata, from the moment it is planned.
    pub metas: Sides<DirMeta>,
    /// The file of that on the local side, as listed.
    pub meta_file: Expect,
    /// Files that both sides had when they first met, and whose copy has not succeeded.
    pub unfinished: BTreeSet<String>,
    /// Names that were deleted, and that the root's copy of what it held still has.
    pub gone: HashSet<String>,
    /// What several of its names have in common, see [`Name::folded`](crate::model::Name::folded).
    pub twins: HashSet<String>,
    /// Whether its listings were asked for.
    pub is_submitted: bool,
    /// Listings that were asked for before it was known that it is visited.
    pub is_awaited: Sides<bool>,
    /// Whether the times that listings do not show were looked after.
    pub has_true_times: bool,
    /// Answers about them that are under way.
    pub times_awaited: usize,
    /// The folders expected in it.
    pub children: Vec<Ticket>,
    /// Whether everything in it was decided.
    pub is_planned: bool,
    /// Copies, deletions and new sub-folders under way.
    pub open: usize,
}

impl Folder {
    /// A folder that is to be visited.
    pub fn new(paths: Sides<RelPath>, visit: Visit, parent: Option<Ticket>) -> Self {
        Folder {
            paths,
            visit,
            parent,
            views: Sides::default(),
            metas: Sides::default(),
            meta_file: Expect::Anything,
            unfinished: BTreeSet::new(),
            gone: HashSet::new(),
            twins: HashSet::new(),
            is_submitted: false,
            is_awaited: Sides::default(),
            has_true_times: false,
            times_awaited: 0,
            children: Vec::new(),
            is_planned: false,
            open: 0,
        }
    }

    /// Whether everything that it needs was listed.
    pub fn is_ready(&self) -> bool {
        let is_listed = Side::BOTH.into_iter().all(|side| match &self.visit {
            Visit::Compare | Visit::Copy { .. } => self.views[side].is_some(),
            Visit::Remove(Removal { on, .. }) => side != *on || self.views[side].is_some(),
        });
        is_listed && self.times_awaited == 0
    }

    /// Whether the remote side is to get it, and it has not been made there yet.
    pub fn is_made_remotely(&self) -> bool {
        matches!(self.visit, Visit::Copy { to: Side::Remote, .. }) && self.views.remote.is_none()
    }

    /// Whether another name in it may be taken for this one.
    pub fn has_twin(&self, name: &str) -> bool {
        !self.twins.is_empty() && self.twins.contains(&folded(name))
    }

    /// The path under which it is shown: that of the local side.
    pub fn shown(&self) -> &RelPath {
        &self.paths.local
    }

    /// Whether nothing more will happen in it.
    pub fn is_settled(&self) -> bool {
        self.is_planned && self.open == 0
    }
}
