//! Places that hold a tree of files, behind one narrow pair of traits.
//!
//! A new kind of place is one file: the required verbs of [`Session`], a [`Target`] that opens sessions, and one line in
//! the registry. Retrying, pooling, dry-run, progress and metadata are not its business.

pub mod checkup;
pub mod digest;
pub mod fill;
pub mod ftp;
pub mod layer;
mod link_local;
mod litter;
pub mod local;
pub mod memory;
mod names;
pub mod on_disk;
mod pace;
pub mod pool;
mod put;
pub mod registry;
#[cfg(feature = "s3")]
pub mod s3;
mod session;
#[cfg(feature = "sftp")]
pub mod sftp;
mod temporary;
pub mod url;
mod windows;

use crate::error::{Error, Result};
use crate::model::RelPath;
use std::sync::Arc;
use std::time::Duration;

pub use put::{Expect, Put, RESUMED, Written};
pub(crate) use put::{version, version_of};
pub use session::{Claim, Parts, Session, Settled};
pub(crate) use session::{changed_since_listed, is_good_so_far};
pub use temporary::temp_name;
pub(crate) use temporary::{is_of_first, next_unique, numbered, numbers_given, process_tag};

/// What a target can do. Claiming a capability is asking the contract suite to test it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caps {
    /// Modification times can be set, and come back in listings.
    pub sets_mtime: bool,
    /// [`Session::rename`] works, also onto an existing file.
    pub renames: bool,
    /// How many sessions may be open at once; at least 1.
    pub sessions: usize,
    /// Talking to it costs round trips on a network: worth several sessions and bursts.
    pub is_networked: bool,
    /// What is written where nothing is expected never replaces what somebody else has put there at the same instant.
    pub excludes_others: bool,
    /// Small files come faster if those that will be read next are [announced](Session::announce).
    pub reads_ahead: bool,
}

/// A place that holds a tree of files. Cheap to share; conversations with it are [`Session`]s.
pub trait Target: Send + Sync {
    /// The key under which peers remember this target: scheme, user, host, port and root; for a local folder its absolute path.
    fn id(&self) -> &str;

    /// The key that pyftpsync 3.1 and 4.1 use for the same target: host and root only.
    fn legacy_id(&self) -> &str {
        self.id()
    }

    /// How the target is shown: a URL or path, never with a password.
    fn base_name(&self) -> &str;

    /// What it can do, as far as known now.
    fn caps(&self) -> Caps;

    /// Whether a folder of which nothing stays is to be deleted by [`Session::remove_tree`].
    fn removes_trees(&self) -> bool {
        false
    }

    /// Starts a conversation, at the root of the target.
    ///
    /// # Errors
    /// Connection, TLS and login failures; [`Kind::NotFound`](crate::error::Kind::NotFound) when the root folder does not exist.
    fn open(&self) -> Result<Box<dyn Session>>;

    /// How long the way to it and back takes at the least, as far as known.
    fn round_trip(&self) -> Option<Duration> {
        None
    }

    /// Whether files may carry a time of their own that listings do not show, see [`Session::own_times`].
    fn hides_times(&self) -> bool {
        false
    }

    /// Whether what listings tell as `unique` is another for each content of a file.
    fn names_versions(&self) -> bool {
        false
    }

    /// The server did not want more conversations at the same time than so many.
    fn makes_do_with(&self, _conversations: usize, _refusal: &Error) {}

    /// Ends every conversation at once, from any thread: blocked reads and writes fail within moments.
    fn interrupt(&self) {}

    /// Begins a file of this name in the root, for notes that outlast the death of the process. It stays locked while the notes
    /// live. `None` where there is no place for it.
    fn begin_notes(&self, _name: &str) -> Option<Box<dyn Notes>> {
        None
    }

    /// Has somebody hear of uploads that stay on this side until they are ended, whoever has begun them: `None` for nobody any more.
    fn watch_uploads(&self, _watch: Option<UploadWatch>) {}

    /// The notes of this name that somebody has left. `None` if he still writes them, or if they cannot be had.
    fn left_notes(&self, _name: &str) -> Option<Box<dyn Notes>> {
        None
    }

    /// What was found out about the target since the last call, for the user's eyes: one line each, with the verbosity from
    /// which it is shown.
    fn news(&self) -> Vec<(u8, String)> {
        Vec::new()
    }

    /// What only this kind of target can tell about itself, for a [check-up](checkup::check_up): what was learned so far, and
    /// what conversations of its own show.
    fn particulars(&self) -> checkup::Findings {
        checkup::Findings::new()
    }
}

/// Hears of such an upload: the file, the name that the side has given to the upload, and whether it has ended.
pub type UploadWatch = Arc<dyn Fn(&RelPath, &str, bool) + Send + Sync>;

/// Notes that outlast the process.
pub trait Notes: Send {
    /// Adds something; whether it worked.
    fn add(&mut self, text: &str) -> bool;

    /// All that they say, as far as it can be read.
    fn text(&mut self) -> String;

    /// Removes them.
    fn remove(self: Box<Self>);
}
