//! The extension module `ftpsync._core`: the only place that names pyo3. Nothing imports it.
//!
//! By hand: [`target`] wraps a place and reads its [`options`], [`session`] a conversation with it, [`by_hand`] the user's own FTP
//! commands, [`sftp`] an SFTP server, [`s3`] a bucket by its keys, and [`aside`] does their work beside the calling thread.
//! [`checkup`] examines a target.
//!
//! A run: [`engine`] takes its [`settings`] and has it done; [`listener`] passes on what it tells ([`told`]: as which values),
//! [`live`] what it counts, and [`hooks`] calls what Python overrides, which may ask the run for more ([`conductor`]). They enter
//! Python through a [`door`]: at once, or by way of the [`stage`], where the Python of a run with hooks or foreign targets is
//! performed. [`spare`] has conversations for hooks, and [`bridge`] makes a target of a Python object.
//!
//! [`errors`] is the one place that turns an error of the core into an exception, [`convert`] reads option words, paths and
//! times, [`clock`] tells the time, and [`lock`] who this process is.

mod aside;
mod bridge;
mod by_hand;
mod checkup;
mod clock;
mod conductor;
mod convert;
mod door;
mod engine;
mod errors;
mod hooks;
mod listener;
mod live;
mod lock;
mod options;
#[cfg(feature = "s3")]
mod s3;
mod session;
mod settings;
#[cfg(feature = "sftp")]
mod sftp;
mod spare;
mod stage;
mod target;
mod told;

use pyo3::prelude::*;

/// The Rust core of ftpsync. Private: the documented names live in the other modules of the package.
#[pymodule]
mod _core {
    #[pymodule_export]
    use super::bridge::Body;
    #[pymodule_export]
    use super::by_hand::{ByHand, DataConnection, DataListener, Trace};
    #[pymodule_export]
    use super::checkup::check_up;
    #[pymodule_export]
    use super::conductor::Conductor;
    #[pymodule_export]
    use super::engine::matches;
    #[pymodule_export]
    use super::engine::old_peer_key;
    #[pymodule_export]
    use super::engine::run;
    #[cfg(feature = "s3")]
    #[pymodule_export]
    use super::s3::Bucket;
    #[pymodule_export]
    use super::session::{Listing, Session};
    #[cfg(feature = "sftp")]
    #[pymodule_export]
    use super::sftp::Sftp;
    #[pymodule_export]
    use super::target::Target;
}
