//! The part of a large file that an interrupted transfer leaves on the disk, and that the next one continues.
//!
//! Two runs on one folder would find the same part. So it is locked while it is written, and whoever comes second writes
//! elsewhere. What lay there before the system was started is not trusted: it may lack what was never flushed. Nor is a file
//! that somebody else has made, or that has a second name: its own name can be guessed.

use super::system::is_private;
use super::{FileKind, Folder, Place};
use crate::target::Put;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom};
use std::sync::Arc;

/// An open part.
pub struct Part {
    file: File,
    folder: Arc<Folder>,
    name: OsString,
}

/// How much of a file is there, in bytes.
pub fn held(place: &Place, put: &Put) -> u64 {
    if !put.is_resumable() {
        return 0;
    }
    let Ok(found) = place.folder.facts(&part_name(place, put), false) else { return 0 };
    let is_fresh = started().is_some_and(|started| found.mtime.seconds() >= started);
    let is_part = found.kind == FileKind::File && Some(found.size) <= put.size;
    let is_ours = || place.folder.read(&part_name(place, put)).is_ok_and(|file| is_private(&file));
    if is_part && is_fresh && is_ours() { found.size } else { 0 }
}

/// What is there from byte `start` on, for reading.
///
/// # Errors
/// What the system says.
pub fn read(place: &Place, put: &Put, start: u64) -> io::Result<File> {
    let mut file = place.folder.read(&part_name(place, put))?;
    file.seek(SeekFrom::Start(start))?;
    Ok(file)
}

/// The name of the part.
pub fn part_name(place: &Place, put: &Put) -> OsString {
    put.part_name(&place.name.to_string_lossy()).into()
}

/// When this system was started, in seconds since 1970-01-01 UTC; `None` where it does not tell.
fn started() -> Option<i64> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

impl Part {
    /// Opens the part, to go on at `put.from`. `None` if another run writes it.
    ///
    /// # Errors
    /// What the system says, and `WouldBlock` if the part is not there any more to be continued.
    pub fn open(place: &Place, put: &Put) -> io::Result<Option<Self>> {
        let (folder, name) = (Arc::clone(&place.folder), part_name(place, put));
        let mut file = match folder.go_on(&name) {
            Ok(file) => file,
            Err(error) if put.from > 0 => return Err(error),
            Err(_) => return Ok(None),
        };
        let is_ours = file.try_lock().is_ok()
            && is_private(&file)
            && is_at(&file, &folder, &name)?
            && file.metadata()?.len() >= put.from;
        if !is_ours && put.from > 0 {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        if !is_ours {
            return Ok(None);
        }
        file.set_len(put.from)?;
        file.seek(SeekFrom::Start(put.from))?;
        Ok(Some(Part { file, folder, name }))
    }

    /// The file.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// The file, for writing.
    pub fn file_mut(&mut self) -> &mut File {
        &mut self.file
    }

    /// Gives it its name. It stays locked until then.
    ///
    /// # Errors
    /// What the system says.
    pub fn place(&self, name: &OsStr) -> io::Result<()> {
        self.folder.rename(&self.name, &self.folder, name)
    }

    /// Gives it another name, under which nobody looks for it.
    ///
    /// # Errors
    /// What the system says.
    pub fn become_other(self, name: &OsStr) -> io::Result<File> {
        self.folder.rename(&self.name, &self.folder, name)?;
        Ok(self.file)
    }

    /// Removes it.
    pub fn discard(self) {
        // The failure that led here is the one to report.
        let _ = self.folder.remove_file(&self.name);
    }
}

/// Whether the open file still has its name: another run may have finished it meanwhile.
fn is_at(file: &File, folder: &Folder, name: &OsStr) -> io::Result<bool> {
    let named = folder.facts(name, false)?;
    Ok(super::inode(&file.metadata()?) == named.unique)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use crate::target::{RESUMED, Target};

    #[test]
    fn a_part_that_has_a_second_name_is_neither_continued_nor_written_to() {
        let root = tempfile::tempdir().unwrap();
        let precious = root.path().join("precious");
        fs::write(&precious, "what nobody has asked to change").unwrap();
        let put = Put {
            size: Some(RESUMED),
            mtime: Some(crate::model::Stamp::new(1_600_000_000, 0)),
            ..Put::default()
        };
        fs::hard_link(&precious, root.path().join(put.part_name("large"))).unwrap();
        let target = super::super::LocalTarget::new(root.path(), super::super::Links::Inside).unwrap();
        let mut session = target.open().unwrap();
        let large = crate::model::RelPath::parse("large").unwrap();
        assert_eq!(session.held(&large, &put).unwrap(), 0);
        session.write(&large, &mut vec![7; RESUMED as usize].as_slice(), &put).unwrap();
        assert_eq!(fs::read(&precious).unwrap(), b"what nobody has asked to change");
        assert_eq!(fs::metadata(root.path().join("large")).unwrap().len(), RESUMED);
    }
}
