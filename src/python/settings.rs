//! What Python passes for a run, and what that means to the core.

use super::convert;
use super::lock::Owner;
use crate::engine::Keeping;
use crate::plan::guard::GuardRules;
use crate::plan::{Filter, Policy, Strategy};
use pyo3::prelude::*;

/// The settings of a run, with the names of the documented options.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub struct Settings {
    pub mode: String,
    pub verbose: u8,
    pub dry_run: bool,
    pub progress: bool,
    pub flows: bool,
    pub r#match: Vec<String>,
    pub exclude: Vec<String>,
    pub fold_case: bool,
    pub force: bool,
    pub delete: bool,
    pub delete_unmatched: bool,
    pub stateless: bool,
    pub checksum: bool,
    pub records: bool,
    pub resolve: String,
    pub resolve_all: Option<String>,
    pub asks_at_same_time: bool,
    pub case: Option<String>,
    pub deep_conflicts: bool,
    pub keeps_orphans: bool,
    pub max_delete: Option<String>,
    pub allow_mass_delete: bool,
    pub migrate: bool,
    pub ignore_copy_errors: bool,
    pub inplace: bool,
    pub backup_dir: Option<String>,
    pub trash: bool,
    pub run_label: String,
    pub conflict_mark: String,
    pub lock_owner: Owner,
    pub lock_age: f64,
    pub break_lock: bool,
    pub pretty_meta: bool,
    pub version: String,
    /// With a server: in the beginning, and at the most.
    pub connections: (usize, usize),
    pub max_time: Option<f64>,
    pub max_depth: usize,
    /// Names of the hooks that Python overrides.
    pub hooks: Vec<String>,
}

/// What decides what a run does.
pub struct Terms {
    pub policy: Policy,
    pub filter: Filter,
    pub guard: GuardRules,
    pub keeping: Keeping,
    /// An answer that the user already gave for all conflicts.
    pub resolve_all: Option<Strategy>,
}

impl Settings {
    /// # Errors
    /// `ValueError` for an option that cannot be used.
    pub fn terms(&self) -> PyResult<Terms> {
        let mode = convert::mode(&self.mode)?;
        Ok(Terms {
            policy: Policy {
                mode,
                force: self.force,
                delete: self.delete,
                delete_unmatched: self.delete_unmatched,
                strategy: Strategy::parse(mode, &self.resolve),
                case: convert::case_mode(self.case.as_deref())?,
                deep_conflicts: self.deep_conflicts,
                keeps_orphans: self.keeps_orphans,
                follows: self.stateless,
            },
            filter: convert::filter(&self.r#match, &self.exclude, self.fold_case)?,
            guard: GuardRules {
                limit: convert::limit(self.max_delete.as_deref())?,
                is_off: self.allow_mass_delete,
            },
            keeping: Keeping {
                backup: self.backup_dir.as_deref().map(convert::backup_folder).transpose()?,
                has_trash: self.trash,
                run: self.run_label.clone(),
                mark: self.conflict_mark.clone(),
            },
            resolve_all: self.resolve_all.as_deref().and_then(|word| Strategy::parse(mode, word)),
        })
    }

    /// Whether Python overrides this hook.
    pub fn overrides(&self, hook: &str) -> bool {
        self.hooks.iter().any(|name| name == hook)
    }
}
