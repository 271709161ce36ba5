//! What is laid over a target.
