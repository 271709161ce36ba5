//! A folder of the local file system.
//!
//! Files are replaced by a temporary file in the same folder (mode 0600 until it is complete), flushed to the disk, and
//! renamed; where nothing can be renamed over a file that can be written to, it is written in place. Links are followed as
//! [`Links`] says; sockets, devices and pipes are named in a note and left alone.
//!
//! Everything is done by handles of folders, opened step by step from the root without following a link. Where a link stands
//! in the way, it is judged where it leads to, and that way is gone without following one: so a folder that is swapped for a
//! link while a run is at work leads nobody out of the root.

#[cfg(unix)]
mod handles;
mod notes;
mod part;
#[cfg(not(unix))]
mod paths;
mod writing;

#[cfg(unix)]
use handles as system;
#[cfg(not(unix))]
use paths as system;

use super::checkup::Findings;
use super::digest::{Algorithm, Digest, Digesting};
use super::on_disk::OnDisk;
use super::{Caps, Expect, Notes, Parts, Put, Session, Target, Written};
use crate::error::{Error, Kind, Result};
use crate::model::{Entry, Listing, Name, Note, RelPath, Stamp, TEMP_PREFIX};
use filetime::FileTime;
use notes::LocalNotes;
use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use system::{Folder, default_mode, hand_on, hand_over, is_in_the_way, os_bytes, os_string};
use writing::{Copied, Streamed};

/// What becomes of symbolic links.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Links {
    /// Followed when they lead to something inside the root and form no loop.
    #[default]
    Inside,
    /// Followed wherever they lead, unless they form a loop.
    Follow,
    /// Left alone.
    Skip,
}

/// A folder of the local file system.
#[derive(Debug, Clone)]
pub struct LocalTarget {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    root: PathBuf,
    /// The root without any link on the way: what "inside" means.
    real_root: PathBuf,
    id: String,
    links: Links,
    default_mode: u32,
    verify: bool,
}

impl LocalTarget {
    /// The folder `root`, which must exist. `id` is its absolute path.
    ///
    /// # Errors
    /// [`Kind::NotFound`] if it is no folder.
    pub fn new(root: impl Into<PathBuf>, links: Links) -> Result<Self> {
        let root = root.into();
        let real_root =
            fs::canonicalize(&root).map_err(|error| Error::from(error).during("open").at(root.display()))?;
        if !real_root.is_dir() {
            return Err(Error::new(Kind::NotFound, "not a folder").during("open").at(root.display()));
        }
        let id = root.to_string_lossy().into_owned();
        Ok(LocalTarget {
            shared: Arc::new(Shared {
                root,
                real_root,
                id,
                links,
                default_mode: default_mode(),
                verify: false,
            }),
        })
    }

    /// The same folder, whose files are read back after they were written, and compared.
    #[must_use]
    pub fn verifying(mut self, verify: bool) -> Self {
        if let Some(shared) = Arc::get_mut(&mut self.shared) {
            shared.verify = verify;
        }
        self
    }
}

impl Target for LocalTarget {
    fn id(&self) -> &str {
        &self.shared.id
    }

    fn base_name(&self) -> &str {
        &self.shared.id
    }

    fn caps(&self) -> Caps {
        Caps {
            sets_mtime: true,
            renames: true,
            sessions: 64,
            is_networked: false,
            excludes_others: false,
            reads_ahead: false,
        }
    }

    fn particulars(&self) -> Findings {
        Findings::from([("rename_replaces", true.into())])
    }

    fn begin_notes(&self, name: &str) -> Option<Box<dyn Notes>> {
        let notes = LocalNotes::begin(&self.shared.root, name).ok()?;
        Some(Box::new(notes))
    }

    fn left_notes(&self, name: &str) -> Option<Box<dyn Notes>> {
        let notes = LocalNotes::left(&self.shared.root, name).ok()?;
        Some(Box::new(notes))
    }

    fn open(&self) -> Result<Box<dyn Session>> {
        let failed = |error: io::Error| Error::from(error).during("open").at(self.shared.root.display());
        let root = Folder::open(&self.shared.root).map_err(failed)?;
        Ok(Box::new(LocalSession {
            shared: Arc::clone(&self.shared),
            root,
            buffer: Vec::new(),
            recent: None,
        }))
    }
}

/// What is known about a name.
#[derive(Debug, Clone, Copy)]
struct Facts {
    kind: FileKind,
    size: u64,
    mtime: Stamp,
    /// The permissions, where there are some.
    mode: Option<u32>,
    /// By their numbers, where there are some.
    #[cfg_attr(not(unix), allow(dead_code, reason = "files have none there"))]
    owner: Option<u32>,
    #[cfg_attr(not(unix), allow(dead_code, reason = "files have none there"))]
    group: Option<u32>,
    unique: Option<u64>,
    changed: Option<Stamp>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FileKind {
    File,
    Folder,
    Link,
    /// A socket, a device, a pipe.
    Other,
}

struct LocalSession {
    shared: Arc<Shared>,
    root: Folder,
    buffer: Vec<u8>,
    recent: Option<Recent>,
}

/// The folder of the last file that was read or written: most often the next one lies beside it.
struct Recent {
    dir: RelPath,
    folder: Arc<Folder>,
    opened: Instant,
}

/// A body may be so much longer (bytes) than twice its announced size before it is given up: files grow while they are read.
const GROWTH: u64 = 64 * 1024 * 1024;

/// So long a folder may have been moved without being missed; a transfer of that length would not notice it either.
const RECENT: Duration = Duration::from_millis(50);

/// A name in an open folder.
struct Place {
    folder: Arc<Folder>,
    name: OsString,
}

impl LocalSession {
    /// Opens a folder. Links on the way are followed as the user wants it.
    fn folder(&self, dir: &RelPath) -> Result<Folder> {
        match self.root.inside(&dir.utf8_bytes()) {
            Err(error) if is_in_the_way(&error) => match self.shared.real(dir)? {
                Real::Inside(below) => Ok(self.root.inside(&below)?),
                Real::Outside(path) => Ok(Folder::open(&path)?),
            },
            opened => Ok(opened?),
        }
    }

    fn place(&self, path: &RelPath) -> Result<Place> {
        let folder = Arc::new(self.folder(&path.parent().unwrap_or_default())?);
        Ok(Place { folder, name: last_name(path) })
    }

    /// As [`LocalSession::place`], for the transfer of a file.
    fn place_of_transfer(&mut self, path: &RelPath) -> Result<Place> {
        let dir = path.parent().unwrap_or_default();
        let name = last_name(path);
        let is_recent = |recent: &&Recent| {
            recent.dir == dir && recent.opened.elapsed() < RECENT && recent.folder.is_there()
        };
        if let Some(recent) = self.recent.as_ref().filter(is_recent) {
            return Ok(Place { folder: Arc::clone(&recent.folder), name });
        }
        let folder = Arc::new(self.folder(&dir)?);
        self.recent = Some(Recent { dir, folder: Arc::clone(&folder), opened: Instant::now() });
        Ok(Place { folder, name })
    }

    /// A name that is removed or moved: never one that is reached through a link.
    fn own_place(&self, path: &RelPath) -> Result<Place> {
        let parent = path.parent().unwrap_or_default();
        match self.root.inside(&parent.utf8_bytes()) {
            Ok(folder) => Ok(Place { folder: Arc::new(folder), name: last_name(path) }),
            Err(error) if is_in_the_way(&error) => {
                Err(Error::new(Kind::Refused, format!("it is reached through the link {parent}")))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Where a file really is, if its name is that of a link.
    fn behind_link(&self, path: &RelPath) -> Result<Place> {
        let (folder, name) = match self.shared.real(path)? {
            Real::Inside(below) => {
                let slash = below.iter().rposition(|&byte| byte == b'/').map_or(0, |slash| slash + 1);
                let (parent, name) = below.split_at(slash);
                (self.root.inside(parent)?, os_string(name))
            }
            Real::Outside(path) => {
                let parent = path.parent().unwrap_or(Path::new("/"));
                (Folder::open(parent)?, path.file_name().unwrap_or_default().to_owned())
            }
        };
        Ok(Place { folder: Arc::new(folder), name })
    }

    fn open_to_read(&mut self, path: &RelPath) -> Result<File> {
        let place = self.place_of_transfer(path)?;
        match place.folder.read(&place.name) {
            Err(error) if is_in_the_way(&error) => {
                let real = self.behind_link(path)?;
                Ok(real.folder.read(&real.name)?)
            }
            opened => Ok(opened?),
        }
    }

    fn open_steady<'p>(&mut self, file: &'p RelPath, start: u64) -> Result<OnDisk<'p>> {
        let opened = self.open_to_read(file)?;
        let mut steady = OnDisk::new(opened, file)?;
        if start > 0 {
            steady.skip_to(start)?;
        }
        Ok(steady)
    }

    fn lend_from(
        &mut self,
        file: &RelPath,
        start: u64,
        lend: &mut dyn FnMut(&mut dyn Read) -> Result<()>,
    ) -> Result<()> {
        lend(&mut self.open_steady(file, start).map_err(|error| error.during("read").at(file))?)
    }
}

/// A name in a folder, and what it is.
type Looked = (OsString, io::Result<Facts>);

/// The names in a folder, without those that were removed meanwhile.
fn looked_at(folder: &Folder) -> io::Result<Vec<Looked>> {
    let mut names = folder.names()?;
    let is_gone =
        |(_, facts): &Looked| matches!(facts, Err(error) if error.kind() == io::ErrorKind::NotFound);
    if names.iter().any(is_gone) {
        // Some disks list names under which they find nothing. What was really removed is not listed any more.
        let mut again: HashMap<OsString, io::Result<Facts>> = folder.names()?.into_iter().collect();
        names = names
            .into_iter()
            .filter_map(|found| if is_gone(&found) { again.remove_entry(&found.0) } else { Some(found) })
            .collect();
    }
    Ok(names)
}

fn is_temporary(name: &OsStr) -> bool {
    os_bytes(name).starts_with(TEMP_PREFIX.as_bytes())
}

fn last_name(path: &RelPath) -> OsString {
    let bytes = path.utf8_bytes();
    os_string(bytes.rsplit(|&byte| byte == b'/').next().unwrap_or_default())
}

impl Session for LocalSession {
    fn list(&mut self, dir: &RelPath) -> Result<Listing> {
        let failed = |error: Error| error.during("list").at(dir);
        let folder = self.folder(dir).map_err(failed)?;
        let mut listing = Listing::default();
        let mut above = None;
        for (file_name, facts) in looked_at(&folder).map_err(|error| failed(error.into()))? {
            let name = match Name::from_utf8_bytes(&os_bytes(&file_name)) {
                Ok(name) => name,
                Err(why) => {
                    listing.complete = false;
                    listing.notes.push(Note::new(file_name.to_string_lossy(), why.to_string()));
                    continue;
                }
            };
            let facts = match facts {
                Ok(facts) => facts,
                Err(error) => {
                    // It is there, and nobody knows what it is: perhaps what has another name on the other side.
                    listing.complete = false;
                    listing.notes.push(Note::refused(name.to_string(), words(&error)));
                    listing.present_but_skipped.push(name);
                    continue;
                }
            };
            let is_link = facts.kind == FileKind::Link;
            let judged = if is_link {
                let above = above.get_or_insert_with(|| self.shared.real_folders(dir));
                self.shared.follow(&self.shared.path(&dir.join(&name)), above)
            } else {
                Ok(facts)
            };
            match judged.and_then(|facts| entry(&name, &facts)) {
                Ok(mut entry) => {
                    entry.is_link = is_link;
                    listing.entries.push(entry);
                }
                Err(why) => {
                    listing.notes.push(Note::new(name.to_string(), why));
                    listing.present_but_skipped.push(name);
                }
            }
        }
        Ok(listing)
    }

    fn read(&mut self, file: &RelPath, lend: &mut dyn FnMut(&mut dyn Read) -> Result<()>) -> Result<()> {
        self.lend_from(file, 0, lend)
    }

    fn can_read_from(&self) -> bool {
        true
    }

    fn read_from(
        &mut self,
        file: &RelPath,
        start: u64,
        lend: &mut dyn FnMut(&mut dyn Read) -> Result<()>,
    ) -> Result<()> {
        self.lend_from(file, start, lend)
    }

    fn version(&mut self, file: &RelPath) -> Option<u64> {
        let place = self.place(file).ok()?;
        let found = place.folder.facts(&place.name, true).ok()?;
        Some(super::version_of(&found.unique?.to_string(), found.changed?))
    }

    fn held(&mut self, file: &RelPath, put: &Put) -> Result<u64> {
        if self.shared.verify {
            return Ok(0);
        }
        Ok(self.place(file).map_or(0, |place| part::held(&place, put)))
    }

    fn read_held(
        &mut self,
        file: &RelPath,
        put: &Put,
        start: u64,
        lend: &mut dyn FnMut(&mut dyn Read) -> Result<()>,
    ) -> Result<()> {
        let opened = self.place(file).and_then(|place| Ok(part::read(&place, put, start)?));
        lend(&mut opened.map_err(|error| error.during("read").at(file))?)
    }

    fn write(&mut self, file: &RelPath, body: &mut dyn Read, put: &Put) -> Result<Written> {
        let digest = self.shared.verify.then(|| Digest::new(Algorithm::Sha256));
        let most = put.size.map(|size| size.saturating_mul(2).saturating_add(GROWTH));
        self.write_from(file, &mut Streamed { body: Digesting { body, digest }, most }, put)
    }

    fn copies_on_disk(&self) -> bool {
        // What is compared has to pass by.
        !self.shared.verify
    }

    fn open_on_disk<'p>(&mut self, file: &'p RelPath) -> Result<Option<OnDisk<'p>>> {
        self.open_steady(file, 0).map(Some).map_err(|error| error.during("read").at(file))
    }

    fn write_on_disk(
        &mut self,
        file: &RelPath,
        source: &mut OnDisk<'_>,
        pass: &mut dyn FnMut(u64) -> Result<()>,
        put: &Put,
    ) -> Result<Written> {
        self.write_from(file, &mut Copied { source, pass }, put)
    }

    fn write_parts(&mut self, file: &RelPath, put: &Put) -> Result<Option<Box<dyn Parts>>> {
        self.parts_of(file, put)
    }

    fn secure(&mut self, dir: &RelPath) -> Result<()> {
        let failed = |error: io::Error| Error::from(error).during("flush").at(dir);
        let mut way = Some(dir.clone());
        while let Some(at) = way {
            match self.folder(&at) {
                Ok(folder) => folder.sync().map_err(failed)?,
                // What was removed meanwhile has no names to keep.
                Err(error) if error.kind() == Kind::NotFound => {}
                Err(error) => return Err(error.during("flush").at(dir)),
            }
            way = at.parent();
        }
        Ok(())
    }

    fn mkdir(&mut self, dir: &RelPath) -> Result<()> {
        let failed = |error: Error| error.during("make the folder").at(dir);
        let place = self.place(dir).map_err(failed)?;
        let is_there =
            || place.folder.facts(&place.name, true).is_ok_and(|facts| facts.kind == FileKind::Folder);
        match place.folder.make_folder(&place.name) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && is_there() => Ok(()),
            result => result.map_err(|error| failed(error.into())),
        }
    }

    fn remove_file(&mut self, file: &RelPath) -> Result<()> {
        let removed = self.own_place(file).and_then(|place| Ok(place.folder.remove_file(&place.name)?));
        removed.map_err(|error| error.during("delete").at(file))
    }

    fn remove_dir(&mut self, dir: &RelPath) -> Result<()> {
        let removed = self.own_place(dir).and_then(|place| {
            // A link to a folder is removed, never what it leads to.
            let is_link = place.folder.facts(&place.name, false)?.kind == FileKind::Link;
            let remove = if is_link { Folder::remove_file } else { Folder::remove_folder };
            Ok(remove(&place.folder, &place.name)?)
        });
        removed.map_err(|error| error.during("delete the folder").at(dir))
    }

    fn still(&mut self, names: &[(RelPath, Expect)]) -> Vec<Result<Option<bool>>> {
        names
            .iter()
            .map(|(name, expect)| {
                Ok(Some(match self.place(name) {
                    Ok(place) => is_as_expected(&place, *expect),
                    // Where there is no folder, there is no file.
                    Err(error) => {
                        *expect == Expect::Absent && matches!(error.kind(), Kind::NotFound | Kind::Name)
                    }
                }))
            })
            .collect()
    }

    fn rename(&mut self, from: &RelPath, to: &RelPath) -> Result<()> {
        let (one, other) = (self.own_place(from), self.place(to));
        let renamed = one.and_then(|one| {
            let other = other?;
            if is_temporary(&one.name) {
                hand_on_beforehand(&one, &other);
            }
            Ok(one.folder.rename(&one.name, &other.folder, &other.name)?)
        });
        renamed.map_err(|error| error.during("rename").at(from))
    }

    fn keep(&mut self, file: &RelPath, second: &RelPath) -> Result<()> {
        let (one, other) = (self.own_place(file), self.place(second));
        let linked = one.and_then(|one| {
            let other = other?;
            Ok(one.folder.link(&one.name, &other.folder, &other.name))
        });
        match linked.map_err(|error| error.during("keep").at(file))? {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Err(Error::from(error).during("keep").at(second))
            }
            // Not every disk knows second names.
            Err(_) => self.rename(file, second),
            Ok(()) => Ok(()),
        }
    }

    fn set_mtime(&mut self, file: &RelPath, to: Stamp) -> Result<()> {
        let set = self.place(file).and_then(|place| Ok(place.folder.set_mtime(&place.name, to)?));
        set.map_err(|error| error.during("set the time of").at(file))
    }
}

/// Where a path leads to, links followed.
enum Real {
    /// Below the root, by this way.
    Inside(Vec<u8>),
    /// Elsewhere, as the user wants it.
    Outside(PathBuf),
}

impl Shared {
    fn path(&self, path: &RelPath) -> PathBuf {
        self.root.join(os_string(&path.utf8_bytes()))
    }

    /// Where a path with links in it leads to, if they may be followed.
    fn real(&self, path: &RelPath) -> Result<Real> {
        if self.links == Links::Skip {
            return Err(Error::new(Kind::Refused, "it is reached through a link (--links skip)"));
        }
        let real = fs::canonicalize(self.path(path))?;
        match real.strip_prefix(&self.real_root) {
            Ok(below) => Ok(Real::Inside(os_bytes(below.as_os_str()).into_owned())),
            Err(_) if self.links == Links::Follow => Ok(Real::Outside(real)),
            Err(_) => Err(Error::new(Kind::Refused, "a link leads out of the root (see --links)")),
        }
    }

    /// Where a folder, and every folder above it up to the root, really is. Each may lie behind another link.
    fn real_folders(&self, dir: &RelPath) -> Vec<PathBuf> {
        let mut folders = vec![self.real_root.clone()];
        let mut path = self.root.clone();
        for name in dir.utf8_bytes().split(|&byte| byte == b'/').filter(|name| !name.is_empty()) {
            path.push(os_string(name));
            folders.extend(fs::canonicalize(&path));
        }
        folders
    }

    /// What a link leads to, if it is to be followed; else why not.
    fn follow(&self, link: &Path, above: &[PathBuf]) -> Result<Facts, String> {
        if self.links == Links::Skip {
            return Err("a link (--links skip)".to_owned());
        }
        let real = fs::canonicalize(link).map_err(|_| "a link that leads nowhere".to_owned())?;
        if self.links == Links::Inside && !real.starts_with(&self.real_root) {
            return Err("a link that leads out of the root (see --links)".to_owned());
        }
        if above.iter().any(|folder| folder.starts_with(&real)) {
            return Err("a link to a folder that holds it".to_owned());
        }
        fs::metadata(&real).map(|metadata| Facts::from(&metadata)).map_err(|error| words(&error))
    }
}

impl From<&Metadata> for Facts {
    fn from(metadata: &Metadata) -> Self {
        let kind = match metadata.file_type() {
            kind if kind.is_file() => FileKind::File,
            kind if kind.is_dir() => FileKind::Folder,
            kind if kind.is_symlink() => FileKind::Link,
            _ => FileKind::Other,
        };
        Facts {
            kind,
            size: metadata.len(),
            mtime: stamp(metadata),
            mode: None,
            owner: None,
            group: None,
            unique: inode(metadata),
            changed: changed_at(metadata),
        }
    }
}

#[cfg(unix)]
fn inode(metadata: &Metadata) -> Option<u64> {
    Some(std::os::unix::fs::MetadataExt::ino(metadata))
}

#[cfg(not(unix))]
fn inode(_: &Metadata) -> Option<u64> {
    None
}

#[cfg(unix)]
fn changed_at(metadata: &Metadata) -> Option<Stamp> {
    use std::os::unix::fs::MetadataExt;
    Some(Stamp::new(metadata.ctime(), u32::try_from(metadata.ctime_nsec()).unwrap_or(0)))
}

#[cfg(not(unix))]
fn changed_at(_: &Metadata) -> Option<Stamp> {
    None
}

/// New content that waits under a temporary name gets what belongs to the file that it is about to replace.
fn hand_on_beforehand(new: &Place, old: &Place) {
    if let Ok(facts) = old.folder.facts(&old.name, false)
        && facts.kind == FileKind::File
        && let Ok(file) = new.folder.read(&new.name)
        && hand_on(&old.folder, &old.name, &facts, &file).is_ok()
    {
        hand_over(&facts, &file);
    }
}

/// Whether a name holds what the plan knows of it. What a link leads to counts, as in a listing.
fn is_as_expected(place: &Place, expect: Expect) -> bool {
    let facts = |follows: bool| place.folder.facts(&place.name, follows);
    match expect {
        Expect::Anything => true,
        Expect::Absent => facts(false).is_err_and(|error| is_gone(&error)),
        Expect::File(size, mtime) => facts(true).is_ok_and(|found| {
            found.kind == FileKind::File
                && size.is_none_or(|size| size == found.size)
                && mtime.is_none_or(|mtime| mtime == found.mtime)
        }),
    }
}

/// Whether a name, or a folder on the way to it, is not there, or cannot be. A disk that fails tells nothing about that.
fn is_gone(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidFilename, NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory | InvalidFilename)
}

fn changed() -> Error {
    Error::new(Kind::Changed, "it was changed since it was listed; the next run decides anew")
}

fn file_time(stamp: Stamp) -> FileTime {
    FileTime::from_unix_time(stamp.seconds(), stamp.nanos())
}

fn stamp(metadata: &Metadata) -> Stamp {
    let time = FileTime::from_last_modification_time(metadata);
    Stamp::new(time.unix_seconds(), time.nanoseconds())
}

/// The entry for a name, or why it is none.
fn entry(name: &Name, facts: &Facts) -> Result<Entry, String> {
    let mut entry = match facts.kind {
        FileKind::Folder => Entry::folder(name.clone(), Some(facts.mtime)),
        FileKind::File => Entry::file(name.clone(), Some(facts.size), Some(facts.mtime)),
        FileKind::Link | FileKind::Other => return Err("neither a file nor a folder".to_owned()),
    };
    entry.unique = facts.unique.map(|unique| unique.to_string().into());
    entry.changed = facts.changed;
    entry.mode = facts.mode.and_then(|mode| u16::try_from(mode).ok());
    Ok(entry)
}

fn words(error: &io::Error) -> String {
    error.to_string()
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;
    use crate::model::META_FILE_NAME;
    use crate::target::RESUMED;
    use std::os::unix::fs::symlink;

    fn listing(root: &Path, links: Links) -> Listing {
        LocalTarget::new(root, links).unwrap().open().unwrap().list(&RelPath::root()).unwrap()
    }

    #[test]
    fn links_are_followed_inside_the_root_and_never_in_a_circle() {
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("secret"), "s").unwrap();
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("file"), "12345").unwrap();
        symlink("file", root.path().join("inside")).unwrap();
        symlink(outside.path().join("secret"), root.path().join("outside")).unwrap();
        symlink("nowhere", root.path().join("dangling")).unwrap();
        symlink("..", root.path().join("circle")).unwrap();
        symlink(".", root.path().join("self")).unwrap();
        let names = |links| {
            let mut names: Vec<_> =
                listing(root.path(), links).entries.iter().map(|e| (e.name.to_string(), e.size)).collect();
            names.sort();
            names
        };
        assert_eq!(names(Links::Inside), [("file".into(), Some(5)), ("inside".into(), Some(5))]);
        assert_eq!(names(Links::Skip), [("file".into(), Some(5))]);
        assert_eq!(names(Links::Follow).len(), 3);
        assert_eq!(listing(root.path(), Links::Inside).present_but_skipped.len(), 4);
    }

    #[test]
    fn links_that_lead_into_each_other_end() {
        let root = tempfile::tempdir().unwrap();
        for folder in ["x", "y"] {
            fs::create_dir(root.path().join(folder)).unwrap();
        }
        symlink("../y", root.path().join("x/to-y")).unwrap();
        symlink("../x", root.path().join("y/to-x")).unwrap();
        let mut session = LocalTarget::new(root.path(), Links::Inside).unwrap().open().unwrap();
        let mut names = |dir: &str| {
            let listing = session.list(&RelPath::parse(dir).unwrap()).unwrap();
            listing.entries.iter().map(|entry| (entry.name.to_string(), entry.is_link)).collect::<Vec<_>>()
        };
        assert_eq!(names("x"), [("to-y".to_owned(), true)]);
        assert_eq!(names("x/to-y"), [], "it would lead back to x");
    }

    #[test]
    fn nothing_is_removed_through_a_link() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("real")).unwrap();
        fs::write(root.path().join("real/file"), "x").unwrap();
        symlink("real", root.path().join("link")).unwrap();
        let mut session = LocalTarget::new(root.path(), Links::Inside).unwrap().open().unwrap();
        assert_eq!(
            session.remove_file(&RelPath::parse("link/file").unwrap()).unwrap_err().kind(),
            Kind::Refused
        );
        session.remove_file(&RelPath::parse("link").unwrap()).unwrap();
        assert!(root.path().join("real/file").exists() && !root.path().join("link").exists());
    }

    #[test]
    fn a_folder_that_was_made_anew_is_not_mistaken_for_the_one_before() {
        let root = tempfile::tempdir().unwrap();
        let mut session = LocalTarget::new(root.path(), Links::Inside).unwrap().open().unwrap();
        let folder = root.path().join("folder");
        for content in [b"first", b"again"] {
            fs::create_dir(&folder).unwrap();
            let file = RelPath::parse("folder/file").unwrap();
            session.write(&file, &mut content.as_slice(), &Put::default()).unwrap();
            let mut read = Vec::new();
            session.read(&file, &mut |body| Ok(body.read_to_end(&mut read).map(drop)?)).unwrap();
            assert_eq!(read, content);
            fs::remove_dir_all(&folder).unwrap();
            assert!(session.read(&file, &mut |_| Ok(())).is_err());
        }
    }

    #[test]
    fn an_edit_made_meanwhile_is_not_overwritten() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("a");
        fs::write(&path, "edited meanwhile").unwrap();
        let mut session = LocalTarget::new(root.path(), Links::Inside).unwrap().open().unwrap();
        let file = RelPath::parse("a").unwrap();
        let large = vec![7; usize::try_from(RESUMED).unwrap()];
        let mtime = Some(Stamp::new(1_600_000_000, 0));
        for expect in [Expect::Absent, Expect::File(Some(3), None)] {
            let put = Put { expect, size: Some(3), ..Put::default() };
            let resumable = Put { size: Some(RESUMED), mtime, ..put };
            for (put, mut body) in
                [(put, &b"new"[..]), (Put { inplace: true, ..put }, b"new"), (resumable, &large)]
            {
                assert_eq!(
                    session.write(&file, &mut body, &put).unwrap_err().kind(),
                    Kind::Changed,
                    "{put:?}"
                );
            }
            let parts = session.write_parts(&file, &put).unwrap().unwrap();
            parts.write_at(0, b"new").unwrap();
            assert_eq!(parts.finish().unwrap_err().kind(), Kind::Changed);
        }
        assert_eq!(fs::read(&path).unwrap(), b"edited meanwhile");
    }

    #[test]
    fn a_folder_that_cannot_be_opened_is_not_flushed_and_one_that_is_gone_need_not_be() {
        let (root, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        symlink(outside.path(), root.path().join("swapped")).unwrap();
        let mut session = LocalTarget::new(root.path(), Links::Inside).unwrap().open().unwrap();
        let mut secured = |dir: &str| session.secure(&RelPath::parse(dir).unwrap());
        assert!(secured("gone/with its parent").is_ok());
        let error = secured("swapped").unwrap_err().to_string();
        assert!(error.contains("flush") && error.contains("swapped"), "{error}");
    }

    #[test]
    fn what_has_not_arrived_as_a_whole_has_no_name() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("old"), "old").unwrap();
        let mut session = LocalTarget::new(root.path(), Links::Inside).unwrap().open().unwrap();
        let [parted, old] = ["parted", "old"].map(|name| RelPath::parse(name).unwrap());
        let put = Put { size: Some(9), ..Put::default() };
        let parts = session.write_parts(&parted, &put).unwrap().unwrap();
        parts.write_at(0, b"half").unwrap();
        assert_eq!(parts.finish().unwrap_err().kind(), Kind::Size);
        let inplace = Put { inplace: true, ..put };
        assert_eq!(session.write(&old, &mut &b"half"[..], &inplace).unwrap_err().kind(), Kind::Size);
        // Of what was overwritten in place nothing is left, and a stump is nobody's content.
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_replaced_file_keeps_its_mode_and_a_new_one_follows_the_umask() {
        use std::os::unix::fs::PermissionsExt;
        let root = tempfile::tempdir().unwrap();
        let old = root.path().join("old");
        fs::write(&old, "x").unwrap();
        fs::set_permissions(&old, fs::Permissions::from_mode(0o640)).unwrap();
        let program = root.path().join("program");
        fs::write(&program, "x").unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o6755)).unwrap();
        let target = LocalTarget::new(root.path(), Links::Inside).unwrap();
        let mut session = target.open().unwrap();
        for name in ["old", "new", "program", META_FILE_NAME] {
            session.write(&RelPath::parse(name).unwrap(), &mut &b"y"[..], &Put::default()).unwrap();
        }
        let mode = |name: &str| fs::metadata(root.path().join(name)).unwrap().permissions().mode() & 0o7777;
        assert_eq!((mode("old"), mode("new")), (0o640, target.shared.default_mode));
        assert_eq!(mode(META_FILE_NAME), 0o600, "names and servers are nobody else's business");
        assert_eq!(mode("program"), 0o755, "what comes from elsewhere does not run with other rights");
    }

    /// Owner and group that a file may be given here, others than those of new files if possible.
    fn somebody() -> (Option<u32>, u32) {
        let ours = rustix::process::getegid().as_raw();
        if rustix::process::geteuid().is_root() {
            return (Some(1234), 1234);
        }
        let groups = rustix::process::getgroups().unwrap();
        (None, groups.into_iter().map(|group| group.as_raw()).find(|group| *group != ours).unwrap_or(ours))
    }

    #[test]
    fn a_replaced_file_keeps_its_owner_its_group_and_what_users_have_attached() {
        use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
        let root = tempfile::tempdir().unwrap();
        let (owner, group) = somebody();
        let large = vec![7; usize::try_from(RESUMED).unwrap()];
        let put = Put { size: Some(3), ..Put::default() };
        let resumable = Put { size: Some(RESUMED), mtime: Some(Stamp::new(1_600_000_000, 0)), ..put };
        let mut session = LocalTarget::new(root.path(), Links::Inside).unwrap().open().unwrap();
        for name in ["stream", "copy", "part", "segments", "kept"] {
            let (file, path) = (RelPath::parse(name).unwrap(), root.path().join(name));
            fs::write(&path, "old").unwrap();
            chown(&path, owner, Some(group)).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
            let old = fs::metadata(&path).unwrap();
            let has_attributes = attach(&path);
            match name {
                "stream" => drop(session.write(&file, &mut &b"new"[..], &put).unwrap()),
                "copy" => {
                    fs::write(root.path().join("source"), "new").unwrap();
                    let source = RelPath::parse("source").unwrap();
                    let mut source = session.open_on_disk(&source).unwrap().unwrap();
                    session.write_on_disk(&file, &mut source, &mut |_| Ok(()), &put).map(drop).unwrap();
                }
                "part" => drop(session.write(&file, &mut large.as_slice(), &resumable).unwrap()),
                "segments" => {
                    let parts = session.write_parts(&file, &put).unwrap().unwrap();
                    parts.write_at(0, b"new").unwrap();
                    parts.finish().map(drop).unwrap();
                }
                // As where the old file is kept in a folder of backups.
                _ => {
                    let beside = RelPath::parse(&format!("{TEMP_PREFIX}1-kept")).unwrap();
                    session.write(&beside, &mut &b"new"[..], &Put { mode: Some(0o640), ..put }).unwrap();
                    session.keep(&file, &RelPath::parse("backup").unwrap()).unwrap();
                    session.rename(&beside, &file).unwrap();
                }
            }
            let new = fs::metadata(&path).unwrap();
            let rights = |found: &Metadata| (found.uid(), found.gid(), found.mode() & 0o7777);
            assert_eq!(rights(&new), rights(&old), "{name}");
            assert_ne!(new.ino(), old.ino(), "{name}");
            assert!(!has_attributes || is_attached(&path), "{name}");
        }
    }

    #[test]
    fn metadata_is_shared_with_the_group_that_works_in_the_folder_and_with_nobody_else() {
        use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
        let root = tempfile::tempdir().unwrap();
        let target = LocalTarget::new(root.path(), Links::Inside).unwrap();
        let shared = target.shared.default_mode & 0o660;
        let (_, group) = somebody();
        let ours = rustix::process::getegid().as_raw();
        // The last folder is that of another group, and does not hand it on.
        for (number, (folder_mode, group, expected)) in [
            (0o2775, group, shared),
            (0o2770, group, shared),
            (0o2755, group, 0o600),
            (0o775, group, if group == ours { shared } else { 0o600 }),
        ]
        .into_iter()
        .enumerate()
        {
            let folder = root.path().join(number.to_string());
            fs::create_dir(&folder).unwrap();
            chown(&folder, None, Some(group)).unwrap();
            fs::set_permissions(&folder, fs::Permissions::from_mode(folder_mode)).unwrap();
            let file = RelPath::parse(&format!("{number}/{META_FILE_NAME}")).unwrap();
            let mut session = target.open().unwrap();
            session.write(&file, &mut &b"{}"[..], &Put::default()).unwrap();
            let path = folder.join(META_FILE_NAME);
            let mode = || fs::metadata(&path).unwrap().mode() & 0o7777;
            assert_eq!(mode(), expected, "{folder_mode:o}");
            // What the user has chosen stays.
            fs::set_permissions(&path, fs::Permissions::from_mode(0o604)).unwrap();
            session.write(&file, &mut &b"{ }"[..], &Put::default()).unwrap();
            assert_eq!(mode(), 0o604, "{folder_mode:o}");
        }
    }

    /// The access list that lets user 1001 read, as the system keeps it: owner, user, group, mask, others, each with its rights.
    #[cfg(target_os = "linux")]
    fn access_list() -> Vec<u8> {
        let lines =
            [(1_u16, 6_u16, u32::MAX), (2, 4, 1001), (4, 4, u32::MAX), (16, 4, u32::MAX), (32, 0, u32::MAX)];
        let line = |(what, rights, who): (u16, u16, u32)| {
            [&what.to_le_bytes()[..], &rights.to_le_bytes(), &who.to_le_bytes()].concat()
        };
        [2_u32.to_le_bytes().to_vec(), lines.map(line).concat()].concat()
    }

    /// Attaches something of a user to a file, and an access list; false where the disk of the tests takes neither.
    #[cfg(target_os = "linux")]
    fn attach(path: &Path) -> bool {
        let set = |name: &str, value: &[u8]| {
            rustix::fs::setxattr(path, name, value, rustix::fs::XattrFlags::empty()).is_ok()
        };
        set("user.origin", b"here") && set("system.posix_acl_access", &access_list())
    }

    #[cfg(target_os = "linux")]
    fn is_attached(path: &Path) -> bool {
        let get = |name: &str| {
            let mut value = Vec::with_capacity(64);
            rustix::fs::getxattr(path, name, rustix::buffer::spare_capacity(&mut value)).unwrap();
            value
        };
        get("user.origin") == b"here" && get("system.posix_acl_access") == access_list()
    }

    #[cfg(not(target_os = "linux"))]
    fn attach(_: &Path) -> bool {
        false
    }

    #[cfg(not(target_os = "linux"))]
    fn is_attached(_: &Path) -> bool {
        false
    }

    #[test]
    fn a_file_that_grows_while_it_is_read_is_an_error() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("log");
        fs::write(&path, "one").unwrap();
        let mut session = LocalTarget::new(root.path(), Links::Inside).unwrap().open().unwrap();
        let result = session.read(&RelPath::parse("log").unwrap(), &mut |body| {
            fs::write(&path, "one two").unwrap();
            let mut text = Vec::new();
            body.read_to_end(&mut text).map_err(Error::from)?;
            Ok(())
        });
        assert_eq!(result.unwrap_err().kind(), Kind::Changed);
    }

    #[test]
    fn a_body_without_an_end_does_not_fill_the_disk() {
        let root = tempfile::tempdir().unwrap();
        let mut session = LocalTarget::new(root.path(), Links::Inside).unwrap().open().unwrap();
        let file = RelPath::parse("file").unwrap();
        for inplace in [false, true] {
            let put = Put { size: Some(10), inplace, ..Put::default() };
            let error = session.write(&file, &mut io::repeat(b'x'), &put).unwrap_err();
            assert_eq!(error.kind(), Kind::Size, "{error}");
            assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
        }
    }
}
