//! The values everything else is said in: names, paths, entries, sides, times, metadata, locks.
//!
//! Nothing here does anything: no file, no socket, no clock, and no import of ours.

pub mod copies;
pub mod entry;
pub mod lock;
pub mod meta;
mod meta_json;
pub mod path;
pub mod sides;
pub mod stamp;

pub use entry::{Entry, EntryKind, Listing, Note, Seen};
pub use meta::DirMeta;
pub use path::{Name, RelPath};
pub use sides::{Side, Sides};
pub use stamp::Stamp;

/// The metadata file, one in each folder; its name and version 3 layout are shared with pyftpsync 3.1 and 4.1.
pub const META_FILE_NAME: &str = ".pyftpsync-meta.json";
/// The lock file in the root of a target on a network, while a run changes it.
pub const LOCK_FILE_NAME: &str = ".pyftpsync-lock.json";
/// Every temporary file begins with this, so that left-overs are recognised and never synchronised.
pub const TEMP_PREFIX: &str = ".pyftpsync-tmp-";
/// The folder in the root of the local side that gets what loses at a first contact; never synchronised.
pub const TRASH_NAME: &str = ".pyftpsync-trash";
/// Names of task files; never synchronised.
pub const CONFIG_FILE_NAMES: [&str; 2] = ["pyftpsync.yaml", ".pyftpsync.yaml"];
