//! The extension module `ftpsync._core`: the only place that names pyo3. Nothing imports it.
//!
//! [`target`] wraps targets and sessions for use by hand, [`by_hand`] the user's own FTP commands, and [`aside`] does their
//! work beside the calling thread; [`engine`] runs the synchronisation with Python listening in,
//! [`stage`] is where the Python of a run with hooks or foreign targets is performed, [`spare`] has conversations for hooks, [`bridge`] makes a target of a Python
//! object, [`errors`] is the one place that turns an error of the core into an exception, [`convert`] the one that reads options,
//! [`lock`] says who this process is, [`checkup`] examines a target, [`sftp`] is an SFTP server by hand, and [`s3`] a
//! bucket by its keys.

mod aside;
mod bridge;
mod by_hand;
mod checkup;
mod convert;
mod engine;
mod errors;
mod live;
mod lock;
#[cfg(feature = "s3")]
mod s3;
#[cfg(feature = "sftp")]
mod sftp;
mod spare;
mod stage;
mod target;

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
    use super::engine::Conductor;
    #[pymodule_export]
    use super::engine::matches;
    #[pymodule_export]
    use super::engine::old_peer_key;
    #[pymodule_export]
    use super::engine::run;
    #[cfg(feature = "s3")]
    #[pymodule_export]
    use super::s3::Bucket;
    #[cfg(feature = "sftp")]
    #[pymodule_export]
    use super::sftp::Sftp;
    #[pymodule_export]
    use super::target::{Listing, Session, Target};
}
