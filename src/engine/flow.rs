//! The bytes on their way: how many have passed, and whether anybody still wants them.

use crate::error::{Error, Result};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// What all transfers of a run look at while their bytes pass.
#[derive(Debug, Default)]
pub struct Flow {
    is_stopped: AtomicBool,
    passed: AtomicU64,
}

impl Flow {
    /// Ends all transfers as soon as they look here.
    pub fn stop(&self) {
        self.is_stopped.store(true, Ordering::Relaxed);
    }

    /// Whether the run is over.
    pub fn is_stopped(&self) -> bool {
        self.is_stopped.load(Ordering::Relaxed)
    }

    /// Whether to go on.
    ///
    /// # Errors
    /// [`Error::cancelled`] once the run is over.
    pub fn check(&self) -> Result<()> {
        if self.is_stopped() { Err(Error::cancelled()) } else { Ok(()) }
    }

    /// Counts bytes of a copy.
    pub fn pass(&self, bytes: usize) {
        self.passed.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Bytes that have been copied, also of copies that failed later.
    pub fn passed(&self) -> u64 {
        self.passed.load(Ordering::Relaxed)
    }
}
