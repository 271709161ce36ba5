//! A tree of files in memory: for tests of everything above the targets, and as the shortest example of one.

use super::{Caps, Expect, Put, Session, Target, Written};
use crate::error::{Error, Kind, Result};
use crate::locked::locked;
use crate::model::{Entry, Listing, Name, RelPath, Stamp};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};
use std::sync::{Arc, Mutex, MutexGuard};

/// One file or folder of a [`MemoryTarget`].
#[derive(Debug, Clone, PartialEq)]
pub enum Node {
    /// A file: its bytes and modification time.
    File(Vec<u8>, Stamp),
    /// A folder.
    Folder,
}

/// A tree of files in memory. Clones share the tree.
#[derive(Clone)]
pub struct MemoryTarget {
    id: String,
    caps: Caps,
    /// What a file gets as its time when none can be set.
    now: Stamp,
    nodes: Arc<Mutex<BTreeMap<String, Node>>>,
    /// Paths whose reading fails.
    broken: Arc<Mutex<BTreeSet<String>>>,
}

impl MemoryTarget {
    /// An empty tree, known to its peers as `id`.
    pub fn new(id: &str) -> Self {
        let caps = Caps {
            sets_mtime: true,
            renames: true,
            sessions: 8,
            is_networked: false,
            excludes_others: false,
            reads_ahead: false,
        };
        MemoryTarget {
            id: id.to_owned(),
            caps,
            now: Stamp::new(0, 0),
            nodes: Arc::default(),
            broken: Arc::default(),
        }
    }

    /// The same tree on a target that cannot set times: every file it writes is dated `now`.
    #[must_use]
    pub fn without_times(mut self, now: Stamp) -> Self {
        self.caps.sets_mtime = false;
        self.now = now;
        self
    }

    /// The same tree, where a file that is given no time is dated `now`.
    #[must_use]
    pub fn dating(mut self, now: Stamp) -> Self {
        self.now = now;
        self
    }

    /// The same tree as if it were reached over a network.
    #[must_use]
    pub fn networked(mut self) -> Self {
        self.caps.is_networked = true;
        self
    }

    /// The same tree, where reading wants to be announced.
    #[must_use]
    pub fn reading_ahead(mut self) -> Self {
        self.caps.reads_ahead = true;
        self
    }

    /// Puts a file into the tree, with the folders above it.
    pub fn put(&self, path: &str, bytes: &[u8], mtime: Stamp) {
        let mut nodes = self.nodes();
        for (end, _) in path.match_indices('/') {
            nodes.entry(path[..end].to_owned()).or_insert(Node::Folder);
        }
        nodes.insert(path.to_owned(), Node::File(bytes.to_vec(), mtime));
    }

    /// Puts a folder into the tree.
    pub fn put_folder(&self, path: &str) {
        self.nodes().insert(path.to_owned(), Node::Folder);
    }

    /// Takes a file or folder, with everything in it, out of the tree.
    pub fn take(&self, path: &str) {
        let below = format!("{path}/");
        self.nodes().retain(|name, _| name != path && !name.starts_with(&below));
    }

    /// Makes reading a file fail half-way.
    pub fn break_reading(&self, path: &str) {
        locked(&self.broken).insert(path.to_owned());
    }

    /// Makes every file readable again.
    pub fn mend(&self) {
        locked(&self.broken).clear();
    }

    /// The whole tree, by path.
    pub fn tree(&self) -> BTreeMap<String, Node> {
        self.nodes().clone()
    }

    fn nodes(&self) -> MutexGuard<'_, BTreeMap<String, Node>> {
        locked(&self.nodes)
    }
}

impl Target for MemoryTarget {
    fn id(&self) -> &str {
        &self.id
    }

    fn base_name(&self) -> &str {
        &self.id
    }

    fn caps(&self) -> Caps {
        self.caps
    }

    fn open(&self) -> Result<Box<dyn Session>> {
        Ok(Box::new(MemorySession(self.clone())))
    }
}

struct MemorySession(MemoryTarget);

impl MemorySession {
    fn refuse_missing_parent(&self, path: &RelPath) -> Result<()> {
        let parent = path.parent().unwrap_or_default();
        if parent.is_root() || self.0.nodes().get(parent.as_str()) == Some(&Node::Folder) {
            Ok(())
        } else {
            Err(not_found("find the folder of", path))
        }
    }
}

impl MemorySession {
    fn is_as_expected(&self, file: &RelPath, expect: Expect) -> bool {
        match (expect, self.0.nodes().get(file.as_str())) {
            (Expect::Anything, _) | (Expect::Absent, None) => true,
            (Expect::File(size, mtime), Some(Node::File(bytes, at))) => {
                size.is_none_or(|size| size == bytes.len() as u64) && mtime.is_none_or(|mtime| mtime == *at)
            }
            (Expect::Absent, Some(_)) | (Expect::File(..), Some(Node::Folder) | None) => false,
        }
    }
}

impl Session for MemorySession {
    fn list(&mut self, dir: &RelPath) -> Result<Listing> {
        let nodes = self.0.nodes();
        if !dir.is_root() && nodes.get(dir.as_str()) != Some(&Node::Folder) {
            return Err(not_found("list", dir));
        }
        let prefix = if dir.is_root() { String::new() } else { format!("{dir}/") };
        let mut listing = Listing::default();
        for (path, node) in nodes.range(prefix.clone()..) {
            let Some(rest) = path.strip_prefix(&prefix) else {
                break;
            };
            let Ok(name) = Name::new(rest) else { continue };
            listing.entries.push(match node {
                Node::Folder => Entry::folder(name, None),
                Node::File(bytes, mtime) => Entry::file(name, Some(bytes.len() as u64), Some(*mtime)),
            });
        }
        Ok(listing)
    }

    fn read(&mut self, file: &RelPath, lend: &mut dyn FnMut(&mut dyn Read) -> Result<()>) -> Result<()> {
        let bytes = match self.0.nodes().get(file.as_str()) {
            Some(Node::File(bytes, _)) => bytes.clone(),
            Some(Node::Folder) | None => return Err(not_found("read", file)),
        };
        let is_broken = locked(&self.0.broken).contains(file.as_str());
        if is_broken {
            let failure = Error::new(Kind::Io, "the disk failed").during("read").at(file);
            return lend(&mut bytes[..bytes.len() / 2].chain(Failing(Some(failure))));
        }
        lend(&mut bytes.as_slice())
    }

    fn write(&mut self, file: &RelPath, body: &mut dyn Read, put: &Put) -> Result<Written> {
        self.refuse_missing_parent(file)?;
        if self.0.nodes().get(file.as_str()) == Some(&Node::Folder) {
            return Err(Error::new(Kind::Clash, "a folder has this name").during("write").at(file));
        }
        let mut bytes = Vec::new();
        body.read_to_end(&mut bytes).map_err(|error| Error::from(error).at(file))?;
        let size = bytes.len() as u64;
        if put.size.is_some_and(|expected| expected != size) {
            return Err(Error::new(Kind::Size, format!("{size} bytes arrived")).during("write").at(file));
        }
        if !self.is_as_expected(file, put.expect) {
            let why = "it was changed since it was listed; the next run decides anew";
            return Err(Error::new(Kind::Changed, why).during("write").at(file));
        }
        let mtime = put.mtime.filter(|_| self.0.caps.sets_mtime);
        self.0.nodes().insert(file.as_str().to_owned(), Node::File(bytes, mtime.unwrap_or(self.0.now)));
        let dated = if mtime.is_some() { None } else { Some(self.0.now) };
        Ok(Written { size, mtime_kept: mtime.is_some(), dated, ..Written::default() })
    }

    fn still(&mut self, names: &[(RelPath, Expect)]) -> Vec<Result<Option<bool>>> {
        names.iter().map(|(name, expect)| Ok(Some(self.is_as_expected(name, *expect)))).collect()
    }

    fn mkdir(&mut self, dir: &RelPath) -> Result<()> {
        self.refuse_missing_parent(dir)?;
        match self.0.nodes().entry(dir.as_str().to_owned()).or_insert(Node::Folder) {
            Node::Folder => Ok(()),
            Node::File(..) => {
                Err(Error::new(Kind::Exists, "a file has this name").during("make the folder").at(dir))
            }
        }
    }

    fn remove_file(&mut self, file: &RelPath) -> Result<()> {
        let mut nodes = self.0.nodes();
        match nodes.get(file.as_str()) {
            Some(Node::File(..)) => nodes.remove(file.as_str()).map_or(Ok(()), |_| Ok(())),
            Some(Node::Folder) | None => Err(not_found("delete", file)),
        }
    }

    fn remove_dir(&mut self, dir: &RelPath) -> Result<()> {
        let mut nodes = self.0.nodes();
        if nodes.get(dir.as_str()) != Some(&Node::Folder) {
            return Err(not_found("delete the folder", dir));
        }
        if nodes.keys().any(|path| path.starts_with(&format!("{dir}/"))) {
            return Err(Error::new(Kind::Refused, "not empty").during("delete the folder").at(dir));
        }
        nodes.remove(dir.as_str());
        Ok(())
    }

    fn rename(&mut self, from: &RelPath, to: &RelPath) -> Result<()> {
        self.refuse_missing_parent(to)?;
        let mut nodes = self.0.nodes();
        let node = nodes.remove(from.as_str()).ok_or_else(|| not_found("rename", from))?;
        nodes.insert(to.as_str().to_owned(), node);
        Ok(())
    }

    fn set_mtime(&mut self, file: &RelPath, to: Stamp) -> Result<()> {
        if !self.0.caps.sets_mtime {
            return Err(Error::new(Kind::Unsupported, "this target cannot set times")
                .during("set the time of")
                .at(file));
        }
        match self.0.nodes().get_mut(file.as_str()) {
            Some(Node::File(_, mtime)) => *mtime = to,
            Some(Node::Folder) | None => return Err(not_found("set the time of", file)),
        }
        Ok(())
    }
}

/// A reader that fails once, with this error.
struct Failing(Option<Error>);

impl Read for Failing {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        self.0.take().map_or(Ok(0), |error| Err(error.into_io()))
    }
}

fn not_found(op: &str, path: &RelPath) -> Error {
    Error::new(Kind::NotFound, "no such file or folder").during(op).at(path)
}
