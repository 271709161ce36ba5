//! Synchronises folders over FTP, FTPS, SFTP, S3 and the local file system.
//!
//! Decide with pure functions over small values; act through one narrow trait. Read the modules in this order:
//!
//! - [`model`]: the values. Names, entries, listings, the two [sides](model::Sides), the metadata file as a value.
//! - [`plan`]: what one folder needs. Pure: no clock, no disk, no network.
//! - [`target`]: places that hold files, behind the traits [`target::Target`] and [`target::Session`].
//! - [`wire`]: FTP, SFTP and S3 on paper. Bytes to values and back, without a socket.
//! - [`engine`]: the one loop that lists, plans, carries out and remembers.
//! - `python` (feature `python`): the extension module `ftpsync._core`; nothing imports it.
//!
//! Who may import whom is a rule that a test enforces: `python -> engine -> {plan -> model, target -> {model, wire}}`;
//! [`error`], `locked` and `quoted` are open to all.

pub mod engine;
pub mod error;
mod locked;
pub mod model;
pub mod plan;
#[cfg(feature = "python")]
mod python;
mod quoted;
pub mod target;
pub mod wire;
