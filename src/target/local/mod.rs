//! A folder of the local file system.
//!
//! Files are replaced by a temporary file in the same folder (mode 0600 until it is complete), flushed to the disk, and
//! renamed. Links are followed as [`Links`] says; sockets, devices and pipes are named in a note and left alone.
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

#[cfg(unix)]
use handles as system;
#[cfg(not(unix))]
use paths as system;

use super::checkup::Findings;
use super::digest::{Algorithm, Digest, Digesting};
use super::{Caps, Expect, Notes, Parts, Put, Session, Target, Written, is_good_so_far};
use crate::error::{Error, Kind, Result};
use crate::model::{Entry, Listing, META_FILE_NAME, Name, Note, RelPath, Stamp, TEMP_PREFIX};
use filetime::FileTime;
use notes::LocalNotes;
use part::Part;
use std::collections::hash_map::RandomState;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Metadata};
use std::hash::{BuildHasher, Hasher};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use system::{Folder, default_mode, is_in_the_way, os_bytes, os_string, set_mode, write_all_at};

/// Bytes moved at once.
const CHUNK: usize = 256 * 1024;

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
        Caps { sets_mtime: true, renames: true, sessions: 64, is_networked: false, excludes_others: false }
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
        Ok(Box::new(LocalSession { shared: Arc::clone(&self.shared), root, buffer: Vec::new() }))
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
}

/// A name in an open folder.
struct Place {
    folder: Arc<Folder>,
    name: OsString,
}

impl LocalSession {
    /// Writes into the file itself. What a failure leaves behind is no content of anybody, and goes.
    fn overwrite(&mut self, place: &Place, body: &mut dyn Read, put: &Put) -> Result<Written> {
        let mut target =
            place.folder.overwrite(&place.name).map_err(|error| Error::from(error).during("write"))?;
        let mut body = self.shared.digesting(body);
        let poured = pour(&mut body, &mut target, &mut self.buffer, put.size);
        let finished = poured.and_then(|size| Ok((size, finish(&target, put.mtime)?)));
        let digest = body.digest;
        let compared = finished.and_then(|finished| {
            let mut held = place.folder.read(&place.name)?;
            compare(&mut held, digest).map(|()| finished)
        });
        match compared {
            Ok((size, shown)) => Ok(Written { size, mtime_kept: true, dated: None, shown }),
            Err(error) => {
                // The failure itself is what has to be told.
                let _ = place.folder.remove_file(&place.name);
                Err(error)
            }
        }
    }

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

    fn open_to_read(&self, path: &RelPath) -> Result<File> {
        let place = self.place(path)?;
        match place.folder.read(&place.name) {
            Err(error) if is_in_the_way(&error) => {
                let real = self.behind_link(path)?;
                Ok(real.folder.read(&real.name)?)
            }
            opened => Ok(opened?),
        }
    }

    fn lend_from(
        &self,
        file: &RelPath,
        start: u64,
        lend: &mut dyn FnMut(&mut dyn Read) -> Result<()>,
    ) -> Result<()> {
        let failed = |error: Error| error.during("read").at(file);
        let mut opened = self.open_to_read(file).map_err(failed)?;
        let before = opened.metadata().map_err(|error| failed(error.into()))?;
        if !before.is_file() {
            return Err(failed(Error::new(Kind::Refused, "not a regular file")));
        }
        opened.seek(SeekFrom::Start(start)).map_err(|error| failed(error.into()))?;
        lend(&mut SteadyFile { file: opened, before, path: file })
    }

    /// Writes a large file, whose part stays for the next attempt if this one is interrupted.
    fn write_part(
        &mut self,
        mut part: Part,
        place: &Place,
        body: &mut dyn Read,
        put: &Put,
    ) -> Result<Written> {
        let rest = put.size.map(|size| size.saturating_sub(put.from));
        let finished = pour(body, part.file_mut(), &mut self.buffer, rest).and_then(|poured| {
            let shown = self.shared.settle(place, part.file(), put)?;
            // The last moment to see that somebody has worked on the file since it was listed.
            if is_as_expected(place, put.expect) { Ok((poured, shown)) } else { Err(changed()) }
        });
        match finished {
            Ok((poured, shown)) => {
                part.place(&place.name).map_err(|error| Error::from(error).during("write"))?;
                Ok(Written { size: put.from + poured, mtime_kept: true, dated: None, shown })
            }
            Err(error) => {
                // What is there is good as far as it goes, unless the trouble lies with this file.
                if !is_good_so_far(&error) {
                    part.discard();
                }
                Err(error)
            }
        }
    }

    fn put_in_place(&mut self, place: &Place, body: &mut dyn Read, put: &Put) -> Result<Written> {
        let failed = |error: io::Error| Error::from(error).during("write");
        let mut temporary = Temporary::make(&place.folder).map_err(failed)?;
        let mut body = self.shared.digesting(body);
        let size = pour(&mut body, &mut temporary.file, &mut self.buffer, put.size)?;
        let digest = body.digest;
        let shown = self.shared.settle(place, &temporary.file, put)?;
        compare(&mut temporary.file, digest)?;
        give_name(temporary, place, put)?;
        Ok(Written { size, mtime_kept: true, dated: None, shown })
    }
}

fn last_name(path: &RelPath) -> OsString {
    let bytes = path.utf8_bytes();
    os_string(bytes.rsplit(|&byte| byte == b'/').next().unwrap_or_default())
}

/// A file under a name that nobody can guess; removed unless it is renamed.
struct Temporary {
    folder: Arc<Folder>,
    name: OsString,
    file: File,
    is_renamed: bool,
}

impl Temporary {
    fn make(folder: &Arc<Folder>) -> io::Result<Self> {
        for _ in 0..8 {
            let number = super::numbered(RandomState::new().build_hasher().finish());
            let name = OsString::from(format!("{TEMP_PREFIX}{number:016x}"));
            match folder.create(&name) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                made => {
                    return made.map(|file| Temporary {
                        folder: Arc::clone(folder),
                        name,
                        file,
                        is_renamed: false,
                    });
                }
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    fn rename(mut self, name: &OsStr) -> io::Result<()> {
        self.folder.rename(&self.name, &self.folder, name)?;
        self.is_renamed = true;
        Ok(())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.is_renamed {
            // The failure that led here is the one to report.
            let _ = self.folder.remove_file(&self.name);
        }
    }
}

impl Session for LocalSession {
    fn list(&mut self, dir: &RelPath) -> Result<Listing> {
        let failed = |error: Error| error.during("list").at(dir);
        let folder = self.folder(dir).map_err(failed)?;
        let mut listing = Listing::default();
        let mut above = None;
        for (file_name, facts) in folder.names().map_err(|error| failed(error.into()))? {
            let name = match Name::from_utf8_bytes(&os_bytes(&file_name)) {
                Ok(name) => name,
                Err(why) => {
                    listing.complete = false;
                    listing.notes.push(Note::new(file_name.to_string_lossy(), why.to_string()));
                    continue;
                }
            };
            let is_link = facts.as_ref().is_ok_and(|facts| facts.kind == FileKind::Link);
            let judged = match facts {
                Ok(_) if is_link => {
                    let above = above.get_or_insert_with(|| self.shared.real_folders(dir));
                    self.shared.follow(&self.shared.path(&dir.join(&name)), above)
                }
                facts => facts.map_err(|error| words(&error)),
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
        let failed = |error: Error| error.during("write").at(file);
        let place = self.place(file).map_err(failed)?;
        let old = place.folder.facts(&place.name, false).ok();
        if old.is_some_and(|old| old.kind == FileKind::Folder) {
            return Err(failed(Error::new(Kind::Clash, "a folder has this name")));
        }
        if put.is_resumable()
            && !self.shared.verify
            && let Some(part) = Part::open(&place, put).map_err(|error| failed(error.into()))?
        {
            return self.write_part(part, &place, body, put).map_err(|error| in_place(error, file));
        }
        if !put.inplace {
            return self.put_in_place(&place, body, put).map_err(|error| in_place(error, file));
        }
        if !is_as_expected(&place, put.expect) {
            return Err(failed(changed()));
        }
        let place = match old {
            Some(old) if old.kind == FileKind::Link => self.behind_link(file).map_err(failed)?,
            Some(_) | None => place,
        };
        self.overwrite(&place, body, put).map_err(|error| error.at(file).damaged())
    }

    fn write_parts(&mut self, file: &RelPath, put: &Put) -> Result<Option<Box<dyn Parts>>> {
        let Some(size) = put.size.filter(|_| !put.inplace && !self.shared.verify) else {
            return Ok(None);
        };
        let failed = |error: Error| error.during("write").at(file);
        let place = self.place(file).map_err(failed)?;
        let temporary = Temporary::make(&place.folder).map_err(|error| failed(error.into()))?;
        let handle = temporary.file.try_clone().map_err(|error| failed(error.into()))?;
        let (shared, temporary) = (Arc::clone(&self.shared), Mutex::new(Some(temporary)));
        Ok(Some(Box::new(LocalParts {
            shared,
            file: file.clone(),
            place,
            size,
            put: *put,
            handle,
            temporary,
        })))
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
    /// Gives a whole file the mode of the one that it replaces, and its time; then it is on the disk.
    fn settle(&self, place: &Place, file: &File, put: &Put) -> Result<Option<Stamp>> {
        let old = place.folder.facts(&place.name, false).ok();
        if old.is_some_and(|old| old.kind == FileKind::Folder) {
            return Err(Error::new(Kind::Clash, "a folder has this name"));
        }
        let mode = old.filter(|old| old.kind == FileKind::File).and_then(|old| old.mode);
        // Metadata tells names and servers, which is nobody else's business.
        let usual = self.default_mode & if place.name == META_FILE_NAME { 0o600 } else { 0o666 };
        set_mode(file, mode.unwrap_or(usual))?;
        Ok(finish(file, put.mtime)?)
    }

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

    /// A body, with its checksum if what is written is to be compared.
    fn digesting<'a>(&self, body: &'a mut dyn Read) -> Digesting<'a> {
        Digesting { body, digest: self.verify.then(|| Digest::new(Algorithm::Sha256)) }
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

/// Gives a finished file its name, if there is still what was listed: the last moment to see that somebody has worked on it.
fn give_name(temporary: Temporary, place: &Place, put: &Put) -> Result<()> {
    if !is_as_expected(place, put.expect) {
        return Err(changed());
    }
    // What the metadata claims must have its name on the disk before the metadata has.
    let is_memory = place.name == META_FILE_NAME;
    if is_memory {
        place.folder.sync()?;
    }
    temporary.rename(&place.name)?;
    if is_memory {
        place.folder.sync()?;
    }
    Ok(())
}

/// A file that several threads write.
struct LocalParts {
    shared: Arc<Shared>,
    file: RelPath,
    place: Place,
    size: u64,
    put: Put,
    handle: File,
    /// `None` once it has its name, or is gone.
    temporary: Mutex<Option<Temporary>>,
}

impl LocalParts {
    fn take(&self) -> Option<Temporary> {
        self.temporary.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn try_finish(&self) -> Result<Written> {
        let temporary = self.take().ok_or_else(|| Error::from(io::Error::from(io::ErrorKind::NotFound)))?;
        let shown = self.shared.settle(&self.place, &temporary.file, &self.put)?;
        let size = temporary.file.metadata()?.len();
        if size != self.size {
            let words = format!("{size} bytes arrived instead of {}", self.size);
            return Err(Error::new(Kind::Size, words));
        }
        give_name(temporary, &self.place, &self.put)?;
        Ok(Written { size, mtime_kept: true, dated: None, shown })
    }
}

impl Parts for LocalParts {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        let written = write_all_at(&self.handle, bytes, offset);
        written.map_err(|error| Error::from(error).during("write").at(&self.file))
    }

    fn finish(&self) -> Result<Written> {
        self.try_finish().map_err(|error| error.during("write").at(&self.file))
    }

    fn discard(&self) {
        drop(self.take());
    }
}

/// A file that must stay the same while it is read: a changed one must not count as synchronised.
struct SteadyFile<'a> {
    file: File,
    before: Metadata,
    path: &'a RelPath,
}

impl Read for SteadyFile<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        if count == 0 && !buffer.is_empty() {
            let after = self.file.metadata()?;
            if after.len() != self.before.len() || after.modified().ok() != self.before.modified().ok() {
                let changed = Error::new(Kind::Changed, "the file changed while it was being read");
                return Err(changed.during("read").at(self.path).into_io());
            }
        }
        Ok(count)
    }
}

/// Copies all of `body`, and checks its length. An error of the body comes out as it is.
fn pour(body: &mut dyn Read, target: &mut File, buffer: &mut Vec<u8>, expected: Option<u64>) -> Result<u64> {
    buffer.resize(CHUNK, 0);
    let mut total = 0;
    loop {
        let count = match body.read(buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(Error::from(error)),
        };
        target.write_all(&buffer[..count]).map_err(|error| Error::from(error).during("write"))?;
        total += count as u64;
    }
    match expected {
        Some(expected) if expected != total => {
            Err(Error::new(Kind::Size, format!("{total} bytes arrived instead of {expected}"))
                .during("write"))
        }
        Some(_) | None => Ok(total),
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

/// An error of the body keeps the path that it names.
fn in_place(error: Error, file: &RelPath) -> Error {
    if error.path().is_some() { error } else { error.during("write").at(file) }
}

/// Reads a file back and compares it with what has passed.
fn compare(file: &mut File, passed: Option<Digest>) -> Result<()> {
    let Some(passed) = passed else { return Ok(()) };
    let held = file.rewind().and_then(|()| Digest::of(passed.algorithm(), file));
    if held.map_err(|error| Error::from(error).during("read back"))? == passed.finish() {
        return Ok(());
    }
    let error = Error::new(Kind::Corrupt, "what was read back is not what was written");
    Err(error.during("write").advise("the disk may be failing"))
}

/// Sets the time and makes sure that the bytes are on the disk before the file gets its name. Returns the time that it shows:
/// some disks keep only every other second.
fn finish(file: &File, mtime: Option<Stamp>) -> io::Result<Option<Stamp>> {
    if let Some(mtime) = mtime {
        filetime::set_file_handle_times(file, None, Some(file_time(mtime)))?;
    }
    file.sync_data()?;
    Ok(file.metadata().ok().map(|metadata| stamp(&metadata)))
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
    Ok(entry)
}

fn words(error: &io::Error) -> String {
    error.to_string()
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;
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
    fn an_edit_made_meanwhile_is_not_overwritten() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("a");
        fs::write(&path, "edited meanwhile").unwrap();
        let mut session = LocalTarget::new(root.path(), Links::Inside).unwrap().open().unwrap();
        let file = RelPath::parse("a").unwrap();
        for expect in [Expect::Absent, Expect::File(Some(3), None)] {
            let put = Put { expect, ..Put::default() };
            assert_eq!(session.write(&file, &mut &b"new"[..], &put).unwrap_err().kind(), Kind::Changed);
        }
        assert_eq!(fs::read(&path).unwrap(), b"edited meanwhile");
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
        for name in ["old", "new", "program"] {
            session.write(&RelPath::parse(name).unwrap(), &mut &b"y"[..], &Put::default()).unwrap();
        }
        let mode = |name: &str| fs::metadata(root.path().join(name)).unwrap().permissions().mode() & 0o7777;
        assert_eq!((mode("old"), mode("new")), (0o640, target.shared.default_mode));
        assert_eq!(mode("program"), 0o755, "what comes from elsewhere does not run with other rights");
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
}
