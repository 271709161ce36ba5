//! A folder of the local file system.
//!
//! Files are replaced by a temporary file in the same folder (mode 0600 until it is complete), flushed to the disk, and
//! renamed. Links are followed as [`Links`] says; sockets, devices and pipes are named in a note and left alone.

use super::checkup::Findings;
use super::digest::{Algorithm, Digest, Digesting};
use super::part::{self, Part};
use super::{Caps, Expect, Parts, Put, Session, Target, Written};
use crate::error::{Error, Kind, Result, Retry};
use crate::model::{Entry, Listing, Name, Note, RelPath, Stamp, TEMP_PREFIX};
use filetime::FileTime;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Metadata};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use tempfile::NamedTempFile;

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

    fn open(&self) -> Result<Box<dyn Session>> {
        Ok(Box::new(LocalSession { shared: Arc::clone(&self.shared), buffer: Vec::new() }))
    }
}

struct LocalSession {
    shared: Arc<Shared>,
    buffer: Vec<u8>,
}

impl LocalSession {
    /// Writes into the file itself. What a failure leaves behind is no content of anybody, and goes.
    fn overwrite(&mut self, path: &Path, body: &mut dyn Read, put: &Put) -> Result<Written> {
        let mut target = File::create(path).map_err(|error| Error::from(error).during("write"))?;
        let mut body = self.shared.digesting(body);
        let poured = pour(&mut body, &mut target, &mut self.buffer, put.size);
        let finished = poured.and_then(|size| Ok((size, finish(&target, put.mtime)?)));
        let compared = finished.and_then(|finished| compare(path, body.digest).map(|()| finished));
        let (size, shown) = match compared {
            Ok(finished) => finished,
            Err(error) => {
                // The failure itself is what has to be told.
                let _ = fs::remove_file(path);
                return Err(error);
            }
        };
        Ok(Written { size, mtime_kept: true, dated: None, shown })
    }

    fn lend_from(
        &self,
        file: &RelPath,
        start: u64,
        lend: &mut dyn FnMut(&mut dyn Read) -> Result<()>,
    ) -> Result<()> {
        let failed = |error: io::Error| Error::from(error).during("read").at(file);
        let path = self.path(file);
        // A pipe would block the opening itself until somebody writes into it.
        if !fs::metadata(&path).map_err(failed)?.is_file() {
            return Err(Error::new(Kind::Refused, "not a regular file").during("read").at(file));
        }
        let mut opened = File::open(&path).map_err(failed)?;
        let before = opened.metadata().map_err(failed)?;
        opened.seek(SeekFrom::Start(start)).map_err(failed)?;
        lend(&mut SteadyFile { file: opened, before, path: file })
    }

    /// Writes a large file, whose part stays for the next attempt if this one is interrupted.
    fn write_part(
        &mut self,
        mut part: Part,
        file: &RelPath,
        path: &Path,
        old: Option<&Metadata>,
        body: &mut dyn Read,
        put: &Put,
    ) -> Result<Written> {
        let rest = put.size.map(|size| size.saturating_sub(put.from));
        let finished = pour(body, part.file_mut(), &mut self.buffer, rest).and_then(|poured| {
            set_mode(part.file(), old, self.shared.default_mode)?;
            finish(part.file(), put.mtime)?;
            // The last moment to see that somebody has worked on the file since it was listed.
            if is_as_expected(path, put.expect) { Ok(poured) } else { Err(changed("write", file)) }
        });
        match finished {
            Ok(poured) => {
                part.place(path).map_err(|error| Error::from(error).during("write").at(file))?;
                Ok(Written { size: put.from + poured, mtime_kept: true, dated: None })
            }
            Err(error) => {
                // What is there is good as far as it goes, unless the trouble lies with this file.
                if error.retry() == Retry::No && error.kind() != Kind::Cancelled {
                    part.discard();
                }
                Err(error.at(file))
            }
        }
    }

    fn path(&self, path: &RelPath) -> PathBuf {
        self.shared.root.join(os_string(&path.utf8_bytes()))
    }
}

impl Session for LocalSession {
    fn list(&mut self, dir: &RelPath) -> Result<Listing> {
        let path = self.path(dir);
        let failed = |error: io::Error| Error::from(error).during("list").at(dir);
        let mut listing = Listing::default();
        let mut above = None;
        for item in fs::read_dir(&path).map_err(failed)? {
            let item = item.map_err(failed)?;
            let file_name = item.file_name();
            let name = match Name::from_utf8_bytes(&os_bytes(&file_name)) {
                Ok(name) => name,
                Err(why) => {
                    listing.complete = false;
                    listing
                        .notes
                        .push(Note { what: file_name.to_string_lossy().into(), why: why.to_string() });
                    continue;
                }
            };
            let kind = item.file_type().map_err(failed)?;
            let judged = if kind.is_symlink() {
                let above = above.get_or_insert_with(|| self.shared.real_folders(dir));
                self.shared.follow(&item.path(), above)
            } else {
                item.metadata().map_err(|error| words(&error))
            };
            match judged.and_then(|metadata| entry(&name, &metadata)) {
                Ok(mut entry) => {
                    entry.is_link = kind.is_symlink();
                    listing.entries.push(entry);
                }
                Err(why) => {
                    listing.notes.push(Note { what: name.to_string(), why });
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

    fn held(&mut self, file: &RelPath, put: &Put) -> Result<u64> {
        Ok(if self.shared.verify { 0 } else { part::held(&self.path(file), put) })
    }

    fn write(&mut self, file: &RelPath, body: &mut dyn Read, put: &Put) -> Result<Written> {
        let failed = |error: io::Error| Error::from(error).during("write").at(file);
        let path = self.path(file);
        let old = fs::symlink_metadata(&path).ok();
        if old.as_ref().is_some_and(Metadata::is_dir) {
            return Err(Error::new(Kind::Clash, "a folder has this name").during("write").at(file));
        }
        if put.is_resumable()
            && !self.shared.verify
            && let Some(part) = Part::open(&path, put).map_err(failed)?
        {
            return self.write_part(part, file, &path, old.as_ref(), body, put);
        }
        if put.inplace {
            if !is_as_expected(&path, put.expect) {
                return Err(changed("write", file));
            }
            return self.overwrite(&path, body, put).map_err(|error| error.at(file).damaged());
        }
        let folder = path.parent().unwrap_or(&self.shared.root);
        let mut temporary = tempfile::Builder::new()
            .prefix(TEMP_PREFIX)
            .rand_bytes(12)
            .tempfile_in(folder)
            .map_err(failed)?;
        let mut body = self.shared.digesting(body);
        let size = pour(&mut body, temporary.as_file_mut(), &mut self.buffer, put.size)
            .map_err(|error| error.at(file))?;
        let digest = body.digest;
        set_mode(temporary.as_file(), old.as_ref(), self.shared.default_mode).map_err(failed)?;
        let shown = finish(temporary.as_file(), put.mtime).map_err(failed)?;
        compare(temporary.path(), digest).map_err(|error| error.at(file))?;
        place(temporary, &path, file, put)?;
        Ok(Written { size, mtime_kept: true, dated: None, shown })
    }

    fn write_parts(&mut self, file: &RelPath, put: &Put) -> Result<Option<Box<dyn Parts>>> {
        let Some(size) = put.size.filter(|_| !put.inplace && !self.shared.verify) else {
            return Ok(None);
        };
        let failed = |error: io::Error| Error::from(error).during("write").at(file);
        let path = self.path(file);
        let folder = path.parent().unwrap_or(&self.shared.root);
        let temporary = tempfile::Builder::new()
            .prefix(TEMP_PREFIX)
            .rand_bytes(12)
            .tempfile_in(folder)
            .map_err(failed)?;
        let handle = temporary.as_file().try_clone().map_err(failed)?;
        let (shared, temporary) = (Arc::clone(&self.shared), Mutex::new(Some(temporary)));
        Ok(Some(Box::new(LocalParts {
            shared,
            file: file.clone(),
            path,
            size,
            put: *put,
            handle,
            temporary,
        })))
    }

    fn mkdir(&mut self, dir: &RelPath) -> Result<()> {
        let path = self.path(dir);
        match fs::create_dir(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
            result => result.map_err(|error| Error::from(error).during("make the folder").at(dir)),
        }
    }

    fn remove_file(&mut self, file: &RelPath) -> Result<()> {
        self.shared.refuse_behind_link(file)?;
        fs::remove_file(self.path(file)).map_err(|error| Error::from(error).during("delete").at(file))
    }

    fn remove_dir(&mut self, dir: &RelPath) -> Result<()> {
        self.shared.refuse_behind_link(dir)?;
        let path = self.path(dir);
        // A link to a folder is removed, never what it leads to.
        let is_link = fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.is_symlink());
        let removed = if is_link { fs::remove_file(&path) } else { fs::remove_dir(&path) };
        removed.map_err(|error| Error::from(error).during("delete the folder").at(dir))
    }

    fn still(&mut self, names: &[(RelPath, Expect)]) -> Vec<Result<Option<bool>>> {
        names.iter().map(|(name, expect)| Ok(Some(is_as_expected(&self.path(name), *expect)))).collect()
    }

    fn rename(&mut self, from: &RelPath, to: &RelPath) -> Result<()> {
        fs::rename(self.path(from), self.path(to))
            .map_err(|error| Error::from(error).during("rename").at(from))
    }

    fn keep(&mut self, file: &RelPath, second: &RelPath) -> Result<()> {
        self.shared.refuse_behind_link(file)?;
        match fs::hard_link(self.path(file), self.path(second)) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Err(Error::from(error).during("keep").at(second))
            }
            // Not every disk knows second names.
            Err(_) => self.rename(file, second),
            Ok(()) => Ok(()),
        }
    }

    fn set_mtime(&mut self, file: &RelPath, to: Stamp) -> Result<()> {
        filetime::set_file_mtime(self.path(file), file_time(to))
            .map_err(|error| Error::from(error).during("set the time of").at(file))
    }
}

impl Shared {
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

    /// Refuses to remove what is reached through a link: it belongs to another place, where nobody removed it.
    fn refuse_behind_link(&self, path: &RelPath) -> Result<()> {
        let mut folder = path.parent();
        while let Some(dir) = folder.filter(|dir| !dir.is_root()) {
            let full = self.root.join(os_string(&dir.utf8_bytes()));
            if fs::symlink_metadata(full).is_ok_and(|metadata| metadata.is_symlink()) {
                return Err(Error::new(Kind::Refused, format!("it is reached through the link {dir}"))
                    .during("delete")
                    .at(path));
            }
            folder = dir.parent();
        }
        Ok(())
    }

    /// What a link leads to, if it is to be followed; else why not.
    fn follow(&self, link: &Path, above: &[PathBuf]) -> Result<Metadata, String> {
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
        fs::metadata(&real).map_err(|error| words(&error))
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

/// A file that several threads write.
struct LocalParts {
    shared: Arc<Shared>,
    file: RelPath,
    path: PathBuf,
    size: u64,
    put: Put,
    handle: File,
    /// `None` once it has its name, or is gone.
    temporary: Mutex<Option<NamedTempFile>>,
}

impl LocalParts {
    fn take(&self) -> Option<NamedTempFile> {
        self.temporary.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Parts for LocalParts {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        let written = system::write_all_at(&self.handle, bytes, offset);
        written.map_err(|error| Error::from(error).during("write").at(&self.file))
    }

    fn finish(&self) -> Result<Written> {
        let failed = |error: io::Error| Error::from(error).during("write").at(&self.file);
        let temporary = self.take().ok_or_else(|| failed(io::ErrorKind::NotFound.into()))?;
        let old = fs::symlink_metadata(&self.path).ok();
        if old.as_ref().is_some_and(Metadata::is_dir) {
            return Err(Error::new(Kind::Clash, "a folder has this name").during("write").at(&self.file));
        }
        set_mode(temporary.as_file(), old.as_ref(), self.shared.default_mode).map_err(failed)?;
        let shown = finish(temporary.as_file(), self.put.mtime).map_err(failed)?;
        let size = temporary.as_file().metadata().map_err(failed)?.len();
        if size != self.size {
            let words = format!("{size} bytes arrived instead of {}", self.size);
            return Err(Error::new(Kind::Size, words).during("write").at(&self.file));
        }
        place(temporary, &self.path, &self.file, &self.put)?;
        Ok(Written { size, mtime_kept: true, dated: None, shown })
    }

    fn discard(&self) {
        drop(self.take());
    }
}

/// Gives a finished file its name, if there is still what was listed: the last moment to see that somebody has worked on it.
fn place(temporary: NamedTempFile, path: &Path, file: &RelPath, put: &Put) -> Result<()> {
    if !is_as_expected(path, put.expect) {
        return Err(changed("write", file));
    }
    let placed = temporary.persist(path).map_err(|error| Error::from(error.error).during("write").at(file));
    placed.map(drop)
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
fn is_as_expected(path: &Path, expect: Expect) -> bool {
    match (expect, fs::metadata(path)) {
        (Expect::Anything, _) => true,
        (Expect::Absent, _) => fs::symlink_metadata(path).is_err(),
        (Expect::File(..), Err(_)) => false,
        (Expect::File(size, mtime), Ok(found)) => {
            found.is_file()
                && size.is_none_or(|size| size == found.len())
                && mtime.is_none_or(|mtime| mtime == stamp(&found))
        }
    }
}

fn changed(op: &str, path: &RelPath) -> Error {
    Error::new(Kind::Changed, "it was changed since it was listed; the next run decides anew")
        .during(op)
        .at(path)
}

/// Reads a file back and compares it with what has passed.
fn compare(path: &Path, passed: Option<Digest>) -> Result<()> {
    let Some(passed) = passed else { return Ok(()) };
    let held = File::open(path).and_then(|mut file| Digest::of(passed.algorithm(), &mut file));
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
fn entry(name: &Name, metadata: &Metadata) -> Result<Entry, String> {
    let mut entry = if metadata.is_dir() {
        Entry::folder(name.clone(), Some(stamp(metadata)))
    } else if metadata.is_file() {
        Entry::file(name.clone(), Some(metadata.len()), Some(stamp(metadata)))
    } else {
        return Err("neither a file nor a folder".to_owned());
    };
    entry.unique = unique(metadata);
    Ok(entry)
}

fn words(error: &io::Error) -> String {
    error.to_string()
}

#[cfg(unix)]
mod system {
    use super::{Cow, File, Metadata, OsStr, OsString, fs, io};
    use std::os::unix::ffi::{OsStrExt, OsStringExt};
    use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};

    pub fn os_string(bytes: &[u8]) -> OsString {
        OsString::from_vec(bytes.to_vec())
    }

    pub fn os_bytes(name: &OsStr) -> Cow<'_, [u8]> {
        Cow::Borrowed(name.as_bytes())
    }

    pub fn write_all_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
        file.write_all_at(bytes, offset)
    }

    pub fn unique(metadata: &Metadata) -> Option<Box<str>> {
        Some(metadata.ino().to_string().into())
    }

    /// What a new file gets: everything that the umask of the process leaves.
    pub fn default_mode() -> u32 {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let umask = status.lines().find_map(|line| line.strip_prefix("Umask:"));
        let umask = umask.and_then(|text| u32::from_str_radix(text.trim(), 8).ok()).unwrap_or(0o022);
        0o666 & !umask
    }

    /// Gives the file the mode of the one that it replaces, or that of a new file.
    pub fn set_mode(file: &File, old: Option<&Metadata>, default: u32) -> io::Result<()> {
        let mode = old.filter(|old| old.is_file()).map_or(default, |old| old.permissions().mode() & 0o7777);
        file.set_permissions(fs::Permissions::from_mode(mode))
    }
}

#[cfg(not(unix))]
mod system {
    use super::{Cow, File, Metadata, OsStr, OsString, io};

    pub fn os_string(bytes: &[u8]) -> OsString {
        OsString::from(String::from_utf8_lossy(bytes).into_owned())
    }

    pub fn os_bytes(name: &OsStr) -> Cow<'_, [u8]> {
        Cow::Owned(name.to_string_lossy().into_owned().into_bytes())
    }

    pub fn write_all_at(file: &File, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
        use std::os::windows::fs::FileExt;
        while !bytes.is_empty() {
            let count = file.seek_write(bytes, offset)?;
            bytes = &bytes[count..];
            offset += count as u64;
        }
        Ok(())
    }

    pub fn unique(_: &Metadata) -> Option<Box<str>> {
        None
    }

    pub fn default_mode() -> u32 {
        0
    }

    pub fn set_mode(_: &File, _: Option<&Metadata>, _: u32) -> io::Result<()> {
        Ok(())
    }
}

use std::borrow::Cow;
use system::{default_mode, os_bytes, os_string, set_mode, unique};

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
        let target = LocalTarget::new(root.path(), Links::Inside).unwrap();
        let mut session = target.open().unwrap();
        for name in ["old", "new"] {
            session.write(&RelPath::parse(name).unwrap(), &mut &b"y"[..], &Put::default()).unwrap();
        }
        let mode = |name: &str| fs::metadata(root.path().join(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode("old"), mode("new")), (0o640, target.shared.default_mode));
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
