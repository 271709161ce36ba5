//! The way into Python, for all that a run has to tell or to ask.

use super::errors::carried;
use super::stage::{Stage, When};
use crate::error::Result;
use pyo3::prelude::*;
use std::sync::Arc;

/// The way into Python: at once, or through the stage that the calling thread is.
#[derive(Clone)]
pub enum Door {
    Direct,
    Stage(Arc<Stage>),
}

impl Door {
    /// Does something in Python, and waits for what it returns.
    ///
    /// # Errors
    /// The exception, carried.
    pub fn enter<T: Send + 'static>(
        &self,
        work: impl FnOnce(Python<'_>) -> PyResult<T> + Send + 'static,
    ) -> Result<T> {
        self.enter_when(When::BetweenVerbs, work)
    }

    /// The same, also while a target written in Python waits for bytes if `when` says so.
    ///
    /// # Errors
    /// The exception, carried.
    pub fn enter_when<T: Send + 'static>(
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
