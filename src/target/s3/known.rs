//! What was learned about the keys of a bucket: what objects were when they were listed, which folders are there, and what was
//! listed before anybody asked.

use crate::model::{LOCK_FILE_NAME, META_FILE_NAME, Stamp};
use crate::wire::s3::answer::Object;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::{Duration, Instant};

/// Objects that are remembered, at most: what is forgotten is asked about again.
const MOST: usize = 500_000;
/// How long a listing that nobody asked for is good.
const FRESH: Duration = Duration::from_secs(600);

/// An object as it was listed or written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    pub size: u64,
    pub modified: Option<Stamp>,
    pub etag: String,
}

/// What a folder holds.
#[derive(Debug, Default)]
pub struct Folder {
    pub files: Vec<Object>,
    /// Names.
    pub folders: BTreeSet<String>,
    /// Keys, or what they begin with, that cannot be names.
    pub odd: BTreeSet<String>,
    /// The object that keeps it where it is empty.
    pub has_marker: bool,
    /// There are keys of which it is not known which folder they are in.
    pub may_lack: bool,
}

/// What all sessions know together.
#[derive(Default)]
pub struct Known {
    seen: HashMap<String, Seen>,
    /// Prefixes of folders that are there.
    folders: HashSet<String>,
    ahead: HashMap<String, (Instant, Folder)>,
}

impl Known {
    /// Remembers an object. Our own files change hands between runs, so nothing is expected of them.
    pub fn see(&mut self, key: &str, seen: Seen) {
        let name = key.rsplit('/').next().unwrap_or(key);
        if name == META_FILE_NAME || name == LOCK_FILE_NAME {
            return;
        }
        if self.seen.len() >= MOST {
            self.seen.clear();
        }
        self.seen.insert(key.to_owned(), seen);
    }

    /// An object as it was last seen.
    pub fn seen(&self, key: &str) -> Option<&Seen> {
        self.seen.get(key)
    }

    /// An object has gone, or is another.
    pub fn unsee(&mut self, key: &str) {
        self.seen.remove(key);
    }

    /// Remembers that a folder is there.
    pub fn see_folder(&mut self, prefix: &str) {
        self.folders.insert(prefix.to_owned());
    }

    /// Whether a folder is known to be there.
    pub fn has_folder(&self, prefix: &str) -> bool {
        self.folders.contains(prefix)
    }

    /// A folder has gone.
    pub fn unsee_folder(&mut self, prefix: &str) -> bool {
        self.folders.remove(prefix)
    }

    /// Keeps what folders hold until they are listed.
    pub fn keep_ahead(&mut self, folders: HashMap<String, Folder>) {
        let now = Instant::now();
        self.ahead.extend(folders.into_iter().map(|(prefix, folder)| (prefix, (now, folder))));
    }

    /// What a folder holds, if that is known already. It is told once.
    pub fn take_ahead(&mut self, prefix: &str) -> Option<Folder> {
        let (at, folder) = self.ahead.remove(prefix)?;
        (at.elapsed() < FRESH).then_some(folder)
    }

    /// Something at this key changes: what was listed of the folders above it is not true any more.
    pub fn change(&mut self, key: &str) {
        for (slash, _) in key.match_indices('/') {
            self.ahead.remove(&key[..=slash]);
        }
        self.ahead.remove("");
    }

    /// Others may have worked on everything. Folders are taken to be there still: not every server tells of empty ones.
    pub fn forget(&mut self) {
        self.seen.clear();
        self.ahead.clear();
    }
}
