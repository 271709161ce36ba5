//! A file on a disk of this computer. The system can copy it without its bytes passing through this program; some disks then
//! only note that both files share them.

use crate::error::{Error, Kind, Result};
use crate::model::RelPath;
use std::fs::{File, Metadata};
use std::io::{self, Read, Seek, SeekFrom};

/// Bytes copied between two looks at whether the run goes on.
const PIECE: u64 = 16 << 20;

/// An open file that must stay the same while it is read: a changed one must not count as synchronised.
pub struct OnDisk<'a> {
    file: File,
    before: Metadata,
    path: &'a RelPath,
}

impl<'a> OnDisk<'a> {
    /// A file that has been opened.
    ///
    /// # Errors
    /// [`Kind::Refused`] for what is no regular file, and what the system says.
    pub fn new(file: File, path: &'a RelPath) -> Result<Self> {
        let before = file.metadata()?;
        if !before.is_file() {
            return Err(Error::new(Kind::Refused, "not a regular file"));
        }
        Ok(OnDisk { file, before, path })
    }

    /// Goes on from this byte.
    ///
    /// # Errors
    /// What the system says.
    pub fn skip_to(&mut self, start: u64) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(start)).map(drop)
    }

    /// Copies the rest to the end of what was written to `target`. Each piece is told to `pass`, which may end it.
    ///
    /// # Errors
    /// [`Kind::Changed`] if the file is not what it was; what `pass` and the system say.
    pub fn copy_to(&mut self, target: &mut File, pass: &mut dyn FnMut(u64) -> Result<()>) -> Result<u64> {
        let mut total = 0;
        loop {
            let count = io::copy(&mut (&self.file).take(PIECE), target)
                .map_err(|error| Error::from(error).during("copy").at(self.path))?;
            pass(count)?;
            total += count;
            if count < PIECE {
                self.check()?;
                return Ok(total);
            }
        }
    }

    fn check(&self) -> Result<()> {
        let after = self.file.metadata()?;
        if after.len() == self.before.len() && after.modified().ok() == self.before.modified().ok() {
            return Ok(());
        }
        let changed = Error::new(Kind::Changed, "the file changed while it was being read");
        Err(changed.during("read").at(self.path))
    }
}

impl Read for OnDisk<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        if count == 0 && !buffer.is_empty() {
            self.check().map_err(Error::into_io)?;
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::io::Write;

    #[test]
    fn a_copy_is_told_piece_by_piece_and_ends_when_it_is_not_wanted_any_more() {
        let folder = tempfile::tempdir().unwrap();
        let (here, there) = (folder.path().join("here"), folder.path().join("there"));
        let content: Vec<u8> = (0..=PIECE).map(|at| at.to_le_bytes()[1]).collect();
        fs::write(&here, &content).unwrap();
        let path = RelPath::parse("here").unwrap();
        let mut told = Vec::new();
        let mut target = File::create(&there).unwrap();
        target.write_all(b"before").unwrap();
        let mut source = OnDisk::new(File::open(&here).unwrap(), &path).unwrap();
        let copied = source.copy_to(&mut target, &mut |count| {
            told.push(count);
            Ok(())
        });
        assert_eq!((copied.unwrap(), told), (PIECE + 1, vec![PIECE, 1]));
        assert!(fs::read(&there).unwrap() == [b"before".as_slice(), &content].concat());
        let mut source = OnDisk::new(File::open(&here).unwrap(), &path).unwrap();
        let ended = source.copy_to(&mut target, &mut |_| Err(Error::cancelled()));
        assert_eq!(ended.unwrap_err().kind(), Kind::Cancelled);
    }

    #[test]
    fn a_file_that_is_changed_while_it_is_copied_is_no_copy() {
        let folder = tempfile::tempdir().unwrap();
        let (here, there) = (folder.path().join("here"), folder.path().join("there"));
        fs::write(&here, "content").unwrap();
        let path = RelPath::parse("here").unwrap();
        let mut source = OnDisk::new(File::open(&here).unwrap(), &path).unwrap();
        fs::write(&here, "more content").unwrap();
        let copied = source.copy_to(&mut File::create(&there).unwrap(), &mut |_| Ok(()));
        assert_eq!(copied.unwrap_err().kind(), Kind::Changed);
    }
}
