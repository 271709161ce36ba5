//! What is laid over any target: remembered times, and patience.

pub mod retry;
pub mod shadow_mtime;
