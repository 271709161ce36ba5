//! Another conversation for user code, while a run has that of its target.

use super::aside;
use super::errors::raise;
use super::session::open_session;
use super::stage::Stage;
use crate::error::Retry;
use crate::target::Session;
use crate::target::pool::Pool;
use pyo3::prelude::*;
use std::sync::Arc;

/// Where user code gets conversations from while a run goes on.
#[derive(Clone)]
pub struct Spares {
    pool: Pool,
    stage: Arc<Stage>,
}

/// A conversation, and whether it has to go back to the run.
pub type Spare = (Box<dyn Session>, bool);

impl Spares {
    /// Those of one side.
    pub fn new(pool: &Pool, stage: &Arc<Stage>) -> Self {
        Spares { pool: pool.clone(), stage: Arc::clone(stage) }
    }

    /// Begins another conversation. Where the server grants no more, one of the run is waited for, which goes on meanwhile.
    ///
    /// # Errors
    /// What beginning a conversation fails with; what the handler of a signal raises.
    pub fn take(&self, py: Python<'_>) -> PyResult<Spare> {
        if self.stage.is_here() {
            // Who waited here and kept what a thread of the run waits for would wait for ever.
            self.stage.tidy(py);
            let mut may_be_had = !self.pool.is_limited();
            while self.pool.has_any() {
                if may_be_had {
                    let target = Arc::clone(self.pool.target());
                    match aside::work(py, self.pool.target(), move |_| Ok(target.open()))? {
                        Ok(session) => return Ok((session, false)),
                        Err(error) => match self.pool.makes_do(error) {
                            Ok(()) => may_be_had = false,
                            Err(error) if error.retry() == Retry::WhenThereIsRoom => break,
                            Err(error) => return raise(py, Err(error)),
                        },
                    }
                }
                if let Some(session) = self.pool.spare() {
                    return Ok((session, true));
                }
                self.stage.lend_a_hand(py)?;
            }
        }
        Ok((open_session(py, self.pool.target())?, false))
    }

    /// Has something done as soon as user code has returned, or waits for the run; again later if it is not done then.
    pub fn afterwards(&self, work: impl Fn(&Pool) -> bool + Send + 'static) {
        let pool = self.pool.clone();
        self.stage.afterwards(move || work(&pool));
    }
}
