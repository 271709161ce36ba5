//! Decides what one folder needs. Pure: no clock, environment, log, file system or network; imports the model only.
//!
//! In the order of the decision: [`pair`] puts the two listings together, [`classify`] judges each side against what the
//! last synchronisation remembers, [`operation`] says what the situation calls for, [`policy`] what the mode and the flags
//! allow, [`resolve`] settles conflicts. [`filter`] says which names take part, [`guard`] when too much would be deleted,
//! [`lock`] whether somebody else is at work, [`contents`] what is known beyond size and time.

pub mod classify;
pub mod contents;
pub mod filter;
pub mod guard;
pub mod lock;
pub mod operation;
pub mod pair;
pub mod policy;
pub mod resolve;
pub mod shift;
pub mod times;

pub use classify::{Change, Past, classify};
pub use filter::Filter;
pub use operation::{Operation, compare};
pub use pair::{CaseMode, Pair, pair_up};
pub use policy::{Effect, Mode, Policy, Skip};
pub use resolve::{Resolution, Strategy, resolve};

use crate::model::Sides;

/// One pair with what was decided about it.
#[derive(Debug, Clone)]
pub struct Step {
    /// The entry on one or both sides.
    pub pair: Pair,
    /// How each side changed since the last synchronisation.
    pub changes: Sides<Change>,
    /// What the situation calls for; hooks may change it.
    pub operation: Operation,
    /// Why the operation is not the one of the table: `restore` or `force`.
    pub reason: Option<&'static str>,
    /// Whether user code has asked for the operation, where another one was due.
    pub is_wished: bool,
}

impl Step {
    /// Classifies a pair and looks up its operation.
    pub fn new(pair: Pair) -> Self {
        let changes = classify(&pair);
        let mut operation = operation::operation(changes);
        if operation == Operation::Conflict && operation::changed_alike(&pair) {
            operation = Operation::Equal;
        }
        Step { pair, changes, operation, reason: None, is_wished: false }
    }

    /// Applies what the mode makes of the situation (`restore`, `force`) before anything is carried out.
    pub fn reclassify(&mut self, policy: &Policy) {
        if let Some((operation, reason)) = policy.reclassify(self) {
            self.operation = operation;
            self.reason = Some(reason);
        }
    }
}
