//! Writing into a folder of the disk, so that a name shows the old content or the complete new one.

use super::part::{Part, part_name};
use super::system::{Folder, hand_on, hand_over, set_mode, write_all_at};
use super::{Facts, FileKind, LocalSession, Place, Shared, changed, file_time, is_as_expected, stamp};
use crate::error::{Error, Kind, Result};
use crate::locked::locked;
use crate::model::{META_FILE_NAME, RelPath, Stamp, TEMP_PREFIX};
use crate::target::digest::{Algorithm, Digest, Digesting};
use crate::target::on_disk::OnDisk;
use crate::target::{Parts, Put, Written, is_good_so_far, numbered};
use std::collections::hash_map::RandomState;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::hash::{BuildHasher, Hasher};
use std::io::{self, Read, Seek, Write};
use std::sync::{Arc, Mutex};

/// Bytes moved at once.
const CHUNK: usize = 256 * 1024;

/// Where the content of a file comes from.
pub(super) trait Source {
    /// Writes all of it, and returns how many bytes these were.
    fn pour(&mut self, target: &mut File, buffer: &mut Vec<u8>) -> Result<u64>;

    /// The checksum of what has passed, if it is to be compared.
    fn take_digest(&mut self) -> Option<Digest> {
        None
    }
}

/// A stream of bytes.
pub(super) struct Streamed<'a> {
    pub body: Digesting<'a>,
    /// When it has given so many bytes, it has no end.
    pub most: Option<u64>,
}

impl Source for Streamed<'_> {
    fn pour(&mut self, target: &mut File, buffer: &mut Vec<u8>) -> Result<u64> {
        buffer.resize(CHUNK, 0);
        let mut total = 0;
        loop {
            let count = match self.body.read(buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(Error::from(error)),
            };
            target.write_all(&buffer[..count]).map_err(|error| Error::from(error).during("write"))?;
            total += count as u64;
            if self.most.is_some_and(|most| total > most) {
                return Err(Error::new(Kind::Size, format!("{total} bytes arrived, and no end is in sight")));
            }
        }
        Ok(total)
    }

    fn take_digest(&mut self) -> Option<Digest> {
        self.body.digest.take()
    }
}

/// Another file of the disk, which the system copies.
pub(super) struct Copied<'s, 'p> {
    pub source: &'s mut OnDisk<'p>,
    pub pass: &'s mut dyn FnMut(u64) -> Result<()>,
}

impl Source for Copied<'_, '_> {
    fn pour(&mut self, target: &mut File, _: &mut Vec<u8>) -> Result<u64> {
        self.source.copy_to(target, self.pass)
    }
}

impl LocalSession {
    /// See [`Session::write`](crate::target::Session::write).
    pub(super) fn write_from(
        &mut self,
        file: &RelPath,
        source: &mut dyn Source,
        put: &Put,
    ) -> Result<Written> {
        let failed = |error: Error| error.during("write").at(file);
        let place = self.place_of_transfer(file).map_err(failed)?;
        let old = place.replaced().map_err(failed)?;
        if put.is_resumable()
            && !self.shared.verify
            && let Some(part) = Part::open(&place, put).map_err(|error| failed(error.into()))?
        {
            return self.write_part(part, &place, old, source, put).map_err(|error| in_place(error, file));
        }
        if !put.inplace {
            match Temporary::make(&place.folder) {
                Ok(temporary) => {
                    let written = self.put_in_place(temporary, &place, old, source, put);
                    return written.map_err(|error| in_place(error, file));
                }
                // Nothing of the source was read yet.
                Err(refused) if can_only_be_overwritten(&place, &refused) => {}
                Err(error) => return Err(failed(error.into())),
            }
        }
        if !is_as_expected(&place, put.expect) {
            return Err(failed(changed()));
        }
        let place = match old {
            Some(old) if old.kind == FileKind::Link => self.behind_link(file).map_err(failed)?,
            Some(_) | None => place,
        };
        overwrite(&place, source, put, &mut self.buffer).map_err(|error| error.at(file))
    }

    /// Writes a large file, whose part stays for the next attempt if this one is interrupted.
    fn write_part(
        &mut self,
        mut part: Part,
        place: &Place,
        old: Option<Facts>,
        source: &mut dyn Source,
        put: &Put,
    ) -> Result<Written> {
        let rest = put.size.map(|size| size.saturating_sub(put.from));
        let finished = pour(source, part.file_mut(), &mut self.buffer, rest).and_then(|poured| {
            let shown = self.shared.settle(place, old, part.file(), put)?;
            // The last moment to see that somebody has worked on the file since it was listed.
            if is_as_expected(place, put.expect) { Ok((poured, shown)) } else { Err(changed()) }
        });
        match finished {
            Ok((poured, shown)) => match part.place(&place.name) {
                Ok(()) => Ok(Written { size: put.from + poured, mtime_kept: true, dated: None, shown }),
                Err(refused) => {
                    let written = self.shared.write_over(place, part.file(), put, refused);
                    part.discard();
                    written
                }
            },
            Err(error) => {
                // What is there is good as far as it goes, unless the trouble lies with this file.
                if !is_good_so_far(&error) {
                    part.discard();
                }
                Err(error)
            }
        }
    }

    fn put_in_place(
        &mut self,
        mut temporary: Temporary,
        place: &Place,
        old: Option<Facts>,
        source: &mut dyn Source,
        put: &Put,
    ) -> Result<Written> {
        let size = pour(source, &mut temporary.file, &mut self.buffer, put.size)?;
        let shown = self.shared.settle(place, old, &temporary.file, put)?;
        compare(&mut temporary.file, source.take_digest())?;
        let written = Written { size, mtime_kept: true, dated: None, shown };
        self.shared.give_name(temporary, place, put, written)
    }

    /// See [`Session::write_parts`](crate::target::Session::write_parts).
    pub(super) fn parts_of(&self, file: &RelPath, put: &Put) -> Result<Option<Box<dyn Parts>>> {
        let Some(size) = put.size.filter(|_| !put.inplace && !self.shared.verify) else {
            return Ok(None);
        };
        let failed = |error: Error| error.during("write").at(file);
        let place = self.place(file).map_err(failed)?;
        let temporary = match put.from {
            0 => {
                // A part that cannot be continued would stay.
                if put.is_resumable()
                    && let Ok(Some(part)) = Part::open(&place, put)
                {
                    part.discard();
                }
                Temporary::make(&place.folder)
            }
            _ => Temporary::out_of_part(&place, put),
        };
        let temporary = match temporary {
            // One after the other, then.
            Err(refused) if can_only_be_overwritten(&place, &refused) => return Ok(None),
            made => made.map_err(|error| failed(error.into()))?,
        };
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
}

impl Place {
    /// What has the name now, if anything; not a folder.
    fn replaced(&self) -> Result<Option<Facts>> {
        match self.folder.facts(&self.name, false).ok() {
            Some(old) if old.kind == FileKind::Folder => {
                Err(Error::new(Kind::Clash, "a folder has this name"))
            }
            old => Ok(old),
        }
    }
}

impl Shared {
    /// Gives a whole file what belongs to the one that it replaces (mode, owner, group and what else can be handed on), and its time;
    /// then it is on the disk. What it replaces may still have another name, which it is going to get.
    fn settle(&self, place: &Place, old: Option<Facts>, file: &File, put: &Put) -> Result<Option<Stamp>> {
        let old = old.filter(|old| old.kind == FileKind::File);
        match &old {
            Some(old) => hand_on(&place.folder, &place.name, old, file)?,
            None => set_mode(file, put.mode.map_or_else(|| self.usual_mode(place, file), u32::from))?,
        }
        let shown = finish(file, put.mtime)?;
        if let Some(old) = &old {
            hand_over(old, file);
        }
        Ok(shown)
    }
}

impl Shared {
    /// The mode of a file that replaces none. Metadata tells names and servers, which is nobody else's business, but that of those who
    /// work in the same folder: they could not synchronise it without.
    fn usual_mode(&self, place: &Place, file: &File) -> u32 {
        let bits = if place.name != META_FILE_NAME {
            0o666
        } else if place.folder.is_shared_with_group_of(file) {
            0o660
        } else {
            0o600
        };
        self.default_mode & bits
    }
}

/// A file under a name that nobody can guess; removed unless it is renamed.
struct Temporary {
    folder: Arc<Folder>,
    name: OsString,
    file: File,
    is_renamed: bool,
}

impl Temporary {
    /// A name that nobody can guess.
    fn name() -> OsString {
        let number = numbered(RandomState::new().build_hasher().finish());
        OsString::from(format!("{TEMP_PREFIX}{number:016x}"))
    }

    /// What an earlier attempt has left. As long as it has holes, nobody shall take it for a part.
    fn out_of_part(place: &Place, put: &Put) -> io::Result<Self> {
        let part = Part::open(place, put)?.ok_or(io::ErrorKind::ConnectionAborted)?;
        let name = Self::name();
        let file = part.become_other(&name)?;
        Ok(Temporary { folder: Arc::clone(&place.folder), name, file, is_renamed: false })
    }

    /// Leaves the first bytes as a part, unless there is one: somebody else writes that.
    fn leave_part(self, name: &OsStr, length: u64) {
        if self.file.set_len(length).is_ok() {
            let _ = self.folder.link(&self.name, &self.folder, name);
        }
    }

    fn make(folder: &Arc<Folder>) -> io::Result<Self> {
        for _ in 0..8 {
            let name = Self::name();
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

    fn rename(&mut self, name: &OsStr) -> io::Result<()> {
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

impl Shared {
    /// Gives a finished file its name, if there is still what was listed: the last moment to see that somebody has worked on it.
    fn give_name(
        &self,
        mut temporary: Temporary,
        place: &Place,
        put: &Put,
        written: Written,
    ) -> Result<Written> {
        if !is_as_expected(place, put.expect) {
            return Err(changed());
        }
        // What the metadata claims must have its name on the disk before the metadata has.
        let is_memory = place.name == META_FILE_NAME;
        if is_memory {
            place.folder.sync()?;
        }
        if let Err(refused) = temporary.rename(&place.name) {
            return self.write_over(place, &temporary.file, put, refused);
        }
        if is_memory {
            place.folder.sync()?;
        }
        Ok(written)
    }

    /// Writes a finished file over the one whose name it was refused, if that one can only be overwritten.
    fn write_over(&self, place: &Place, whole: &File, put: &Put, refused: io::Error) -> Result<Written> {
        if !can_only_be_overwritten(place, &refused) {
            return Err(Error::from(refused).during("write"));
        }
        let mut whole = whole;
        whole.rewind()?;
        if !is_as_expected(place, put.expect) {
            return Err(changed());
        }
        let digest = self.verify.then(|| Digest::new(Algorithm::Sha256));
        let body = Digesting { body: &mut whole, digest };
        overwrite(place, &mut Streamed { body, most: None }, put, &mut Vec::new())
    }
}

/// Whether a file can be written to although no other can take its place: it is a mount point, its folder is closed to us or on a disk
/// that is read-only, or the folder lets each user rename his own files only.
fn can_only_be_overwritten(place: &Place, refused: &io::Error) -> bool {
    use io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem, ResourceBusy};
    matches!(refused.kind(), PermissionDenied | ReadOnlyFilesystem | ResourceBusy)
        && place.folder.may_be_overwritten(&place.name)
}

/// Writes into the file itself. What a failure leaves behind is no content of anybody, and goes.
fn overwrite(place: &Place, source: &mut dyn Source, put: &Put, buffer: &mut Vec<u8>) -> Result<Written> {
    let mut target =
        place.folder.overwrite(&place.name).map_err(|error| Error::from(error).during("write"))?;
    let poured = pour(source, &mut target, buffer, put.size);
    let finished = poured.and_then(|size| Ok((size, finish(&target, put.mtime)?)));
    let compared = finished.and_then(|finished| {
        let mut held = place.folder.read(&place.name)?;
        compare(&mut held, source.take_digest()).map(|()| finished)
    });
    match compared {
        Ok((size, shown)) => Ok(Written { size, mtime_kept: true, dated: None, shown }),
        Err(error) => {
            // The failure itself is what has to be told.
            let _ = place.folder.remove_file(&place.name);
            Err(error.damaged())
        }
    }
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
        locked(&self.temporary).take()
    }

    fn try_finish(&self) -> Result<Written> {
        let temporary = self.take().ok_or_else(|| Error::from(io::Error::from(io::ErrorKind::NotFound)))?;
        let shown = self.shared.settle(&self.place, self.place.replaced()?, &temporary.file, &self.put)?;
        let size = temporary.file.metadata()?.len();
        if size != self.size {
            let words = format!("{size} bytes arrived instead of {}", self.size);
            return Err(Error::new(Kind::Size, words));
        }
        let written = Written { size, mtime_kept: true, dated: None, shown };
        self.shared.give_name(temporary, &self.place, &self.put, written)
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

    fn keep(&self, length: u64) {
        if let Some(temporary) = self.take().filter(|_| length > 0 && self.put.is_resumable()) {
            temporary.leave_part(&part_name(&self.place, &self.put), length);
        }
    }
}

/// Takes all of a source, and checks its length. An error of the source comes out as it is.
fn pour(
    source: &mut dyn Source,
    target: &mut File,
    buffer: &mut Vec<u8>,
    expected: Option<u64>,
) -> Result<u64> {
    let total = source.pour(target, buffer)?;
    match expected {
        Some(expected) if expected != total => {
            Err(Error::new(Kind::Size, format!("{total} bytes arrived instead of {expected}"))
                .during("write"))
        }
        Some(_) | None => Ok(total),
    }
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

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::super::{Links, LocalTarget};
    use super::*;
    use crate::target::Expect;
    use std::fs;
    use std::os::unix::fs::MetadataExt;
    use std::path::Path;

    fn refused() -> io::Error {
        io::ErrorKind::ResourceBusy.into()
    }

    /// What becomes of `new` where the name of `old`, in `root`, was refused to it.
    fn write_over(root: &Path, put: &Put, refused: io::Error) -> Result<Written> {
        let (old, new) = (root.join("old"), root.join("new"));
        fs::write(&old, "old").unwrap();
        fs::write(&new, "new content").unwrap();
        let place = Place { folder: Arc::new(Folder::open(root).unwrap()), name: "old".into() };
        let target = LocalTarget::new(root, Links::Inside).unwrap().verifying(true);
        target.shared.write_over(&place, &File::open(&new).unwrap(), put, refused)
    }

    #[test]
    fn where_the_name_is_refused_the_file_is_overwritten_unless_somebody_has_worked_on_it() {
        let root = tempfile::tempdir().unwrap();
        let (root, old) = (root.path(), root.path().join("old"));
        let mtime = Some(Stamp::new(1_600_000_000, 0));
        let put = Put { expect: Expect::File(Some(3), None), mtime, size: Some(11), ..Put::default() };
        fs::write(&old, "").unwrap();
        let inode = fs::metadata(&old).unwrap().ino();
        let written = write_over(root, &put, refused()).unwrap();
        assert_eq!((written.size, written.shown), (11, mtime));
        assert_eq!(
            (fs::read(&old).unwrap(), fs::metadata(&old).unwrap().ino()),
            (b"new content".into(), inode)
        );
        for (put, refused, kind) in [
            (Put { expect: Expect::File(Some(4), None), ..put }, refused(), Kind::Changed),
            (Put { expect: Expect::Absent, ..put }, refused(), Kind::Changed),
            (put, io::ErrorKind::StorageFull.into(), Kind::Full),
        ] {
            let error = write_over(root, &put, refused).unwrap_err();
            assert_eq!((error.kind(), error.has_damaged()), (kind, false));
            assert_eq!(fs::read(&old).unwrap(), b"old", "{error}");
        }
        let error = write_over(root, &Put { size: Some(12), ..put }, refused()).unwrap_err();
        assert_eq!((error.kind(), error.has_damaged()), (Kind::Size, true));
    }
}
