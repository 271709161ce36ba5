//! Notes on the disk. Their file is locked as long as somebody writes or reads them, so a locked one is nobody else's.

use super::Folder;
use crate::target::Notes;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

/// Notes longer than this (bytes) are not read to the end.
const MAX_SIZE: u64 = 64 * 1024 * 1024;

/// An open file of notes.
pub struct LocalNotes {
    folder: Folder,
    name: OsString,
    file: File,
}

impl LocalNotes {
    /// Makes a file that nobody has made before.
    ///
    /// # Errors
    /// What the system says; also where files cannot be locked, since they would be taken for those of a dead process.
    pub fn begin(root: &Path, name: &str) -> io::Result<Self> {
        let (folder, name) = (Folder::open(root)?, OsString::from(name));
        let file = folder.create(&name)?;
        if let Err(error) = file.try_lock() {
            folder.remove_file(&name)?;
            return Err(error.into());
        }
        Ok(LocalNotes { folder, name, file })
    }

    /// Opens what a process has left that does not live any more.
    ///
    /// # Errors
    /// `WouldBlock` if it does; what the system says.
    pub fn left(root: &Path, name: &str) -> io::Result<Self> {
        let (folder, name) = (Folder::open(root)?, OsString::from(name));
        // Over NFS a file can only be locked for oneself by who may write to it.
        let file = folder.edit(&name).or_else(|_| folder.read(&name))?;
        file.try_lock()?;
        Ok(LocalNotes { folder, name, file })
    }
}

impl Notes for LocalNotes {
    fn add(&mut self, text: &str) -> bool {
        self.file.write_all(text.as_bytes()).is_ok()
    }

    fn text(&mut self) -> String {
        let mut bytes = Vec::new();
        // As far as it goes: a part of the notes is better than none.
        let _ = Read::by_ref(&mut self.file).take(MAX_SIZE).read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn remove(self: Box<Self>) {
        // What stays is found by the next run.
        let _ = self.folder.remove_file(&self.name);
    }
}
