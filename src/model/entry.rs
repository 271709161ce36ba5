//! What a listing says: entries of one folder, and whether it can be trusted to be all of them.

use super::path::Name;
use super::stamp::Stamp;
use crate::quoted::Quoted;

/// File or folder. Links are resolved, and other kinds left out, before an entry is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
}

/// One file or folder as its side lists it.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The name in its folder.
    pub name: Name,
    /// File or folder.
    pub kind: EntryKind,
    /// Bytes; `None` when the server does not say. Always `None` for folders.
    pub size: Option<u64>,
    /// Modification time as it counts: the listed one, or the one that the metadata keeps for a target that cannot set times.
    pub mtime: Option<Stamp>,
    /// Modification time as listed.
    pub mtime_org: Option<Stamp>,
    /// An identity that the server or the file system gives (the MLSD fact `unique`, the inode).
    pub unique: Option<Box<str>>,
    /// When anything about it was last changed, its time included, where the file system tells (`ctime`). Nobody can set this.
    pub changed: Option<Stamp>,
    /// Permission bits, where the side lists them.
    pub mode: Option<u16>,
    /// A link, listed as what it leads to. Removing it never removes what it leads to.
    pub is_link: bool,
}

impl Entry {
    /// A file.
    pub fn file(name: Name, size: Option<u64>, mtime: Option<Stamp>) -> Self {
        Entry {
            name,
            kind: EntryKind::File,
            size,
            mtime,
            mtime_org: mtime,
            unique: None,
            changed: None,
            mode: None,
            is_link: false,
        }
    }

    /// A folder.
    pub fn folder(name: Name, mtime: Option<Stamp>) -> Self {
        Entry {
            name,
            kind: EntryKind::Folder,
            size: None,
            mtime,
            mtime_org: mtime,
            unique: None,
            changed: None,
            mode: None,
            is_link: false,
        }
    }

    /// Whether this is a folder.
    pub fn is_folder(&self) -> bool {
        self.kind == EntryKind::Folder
    }

    /// Whether this is a file.
    pub fn is_file(&self) -> bool {
        self.kind == EntryKind::File
    }
}

/// Something in a folder that is not synchronised, worth a line for the user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// The name, or the line of the server, as it can be shown.
    pub what: String,
    /// Why it is left out.
    pub why: String,
    /// It is something that no honest side says, or that could not even be looked at, and the user must hear of it.
    pub is_error: bool,
    /// It stands for something that is there and could not be read: whoever copies what is listed does not get all.
    pub is_loss: bool,
    /// It stands for content of the user that no file of another side can be: whoever wants all of it has to know.
    pub is_stuck: bool,
}

impl Note {
    /// Something that is left out.
    pub fn new(what: impl Into<String>, why: impl Into<String>) -> Self {
        Note { what: what.into(), why: why.into(), is_error: false, is_loss: false, is_stuck: false }
    }

    /// A part of a listing that is there and could not be read.
    pub fn lost(what: impl Into<String>, why: impl Into<String>) -> Self {
        Note { is_loss: true, ..Note::new(what, why) }
    }

    /// Content that can be found here only, for its name.
    pub fn stuck(what: impl Into<String>, why: impl Into<String>) -> Self {
        Note { is_stuck: true, ..Note::new(what, why) }
    }

    /// A name that cannot be that of an entry of this folder, or of which it is not known what it is.
    pub fn refused(what: impl Into<String>, why: impl Into<String>) -> Self {
        Note { is_error: true, ..Note::new(what, why) }
    }
}

impl std::fmt::Display for Note {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", Quoted(&self.what), self.why)
    }
}

/// The entries of one folder.
#[derive(Debug, Clone, PartialEq)]
pub struct Listing {
    /// Files and folders, in the order of the side.
    pub entries: Vec<Entry>,
    /// Whether these are certainly all. When not, nothing may be deleted because a name is missing here.
    pub complete: bool,
    /// What was left out, and why. Names in here are present on the side although they are no entries.
    pub notes: Vec<Note>,
    /// Names that exist on the side but are not synchronised (links that are not followed, devices, refused names).
    pub present_but_skipped: Vec<Name>,
    /// Names that are no text in the encoding of the side, and were read as Windows-1252.
    pub guessed: Vec<Name>,
}

/// What to say of a name in [`Listing::guessed`].
pub const GUESSED: &str = "the name is not in the encoding of the server, and was read as Windows-1252";

impl Default for Listing {
    fn default() -> Self {
        Listing {
            entries: Vec::new(),
            complete: true,
            notes: Vec::new(),
            present_but_skipped: Vec::new(),
            guessed: Vec::new(),
        }
    }
}

/// What the last synchronisation with a peer remembers of a name.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Seen {
    /// Modification time on both sides, in seconds since 1970-01-01 UTC; `None` for folders.
    pub mtime: Option<f64>,
    /// Bytes; `None` for folders.
    pub size: Option<u64>,
    /// The time that the side which got the copy gave it by its own clock, where it could not be dated; seconds as above.
    pub dated: Option<f64>,
    /// The exact time that the file then had on the local disk; seconds as above.
    pub exact: Option<f64>,
    /// When it was synchronised, in seconds since 1970-01-01 UTC of this machine's clock.
    pub synced: Option<f64>,
    /// Whether the memory is certainly about this very target. When not (it was written by pyftpsync 3.1 or 4.1, whose
    /// key names neither user nor port), it tells what changed, but never licenses a deletion.
    pub is_own: bool,
}
