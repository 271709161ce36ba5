//! Folders by path, for systems without handles of folders.

use super::{Facts, FileKind};
use crate::model::Stamp;
use crate::target::windows::why_not_on_windows;
use filetime::FileTime;
use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

/// A folder.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    pub fn open(path: &Path) -> io::Result<Self> {
        if fs::metadata(path)?.is_dir() { Ok(Folder(path.to_owned())) } else { Err(not_a_folder()) }
    }

    pub fn inside(&self, below: &[u8]) -> io::Result<Self> {
        let mut path = self.0.clone();
        for name in below.split(|&byte| byte == b'/').filter(|name| !name.is_empty()) {
            path.push(plain(&os_string(name))?);
            if !fs::symlink_metadata(&path)?.is_dir() {
                return Err(not_a_folder());
            }
        }
        Ok(Folder(path))
    }

    /// Where something of this name lies, which never is outside this folder.
    fn at(&self, name: &OsStr) -> io::Result<PathBuf> {
        Ok(self.0.join(plain(name)?))
    }

    pub fn names(&self) -> io::Result<Vec<(OsString, io::Result<Facts>)>> {
        let item = |item: io::Result<fs::DirEntry>| {
            let item = item?;
            Ok((item.file_name(), item.metadata().map(|metadata| Facts::from(&metadata))))
        };
        fs::read_dir(&self.0)?.map(item).collect()
    }

    pub fn facts(&self, name: &OsStr, follows: bool) -> io::Result<Facts> {
        let path = self.at(name)?;
        let metadata = if follows { fs::metadata(path) } else { fs::symlink_metadata(path) };
        metadata.map(|metadata| Facts::from(&metadata))
    }

    pub fn read(&self, name: &OsStr) -> io::Result<File> {
        if self.facts(name, false)?.kind == FileKind::Link {
            return Err(not_a_folder());
        }
        File::open(self.at(name)?)
    }

    pub fn create(&self, name: &OsStr) -> io::Result<File> {
        OpenOptions::new().read(true).write(true).create_new(true).open(self.at(name)?)
    }

    pub fn overwrite(&self, name: &OsStr) -> io::Result<File> {
        if self.facts(name, false).is_ok_and(|facts| facts.kind == FileKind::Link) {
            return Err(not_a_folder());
        }
        File::create(self.at(name)?)
    }

    /// Who refuses a name here has the file open: it is not to be written to under his hands.
    pub fn may_be_overwritten(&self, _: &OsStr) -> bool {
        false
    }

    pub fn go_on(&self, name: &OsStr) -> io::Result<File> {
        OpenOptions::new().write(true).create(true).truncate(false).open(self.at(name)?)
    }

    pub fn make_folder(&self, name: &OsStr) -> io::Result<()> {
        fs::create_dir(self.at(name)?)
    }

    pub fn remove_file(&self, name: &OsStr) -> io::Result<()> {
        fs::remove_file(self.at(name)?)
    }

    pub fn remove_folder(&self, name: &OsStr) -> io::Result<()> {
        fs::remove_dir(self.at(name)?)
    }

    pub fn rename(&self, name: &OsStr, to: &Folder, new_name: &OsStr) -> io::Result<()> {
        fs::rename(self.at(name)?, to.at(new_name)?)
    }

    pub fn link(&self, name: &OsStr, to: &Folder, second: &OsStr) -> io::Result<()> {
        fs::hard_link(self.at(name)?, to.at(second)?)
    }

    pub fn set_mtime(&self, name: &OsStr, to: Stamp) -> io::Result<()> {
        filetime::set_file_mtime(self.at(name)?, FileTime::from_unix_time(to.seconds(), to.nanos()))
    }

    /// Never to be relied on: the path may lead elsewhere by now.
    pub fn is_there(&self) -> bool {
        false
    }

    pub fn is_shared_with_group_of(&self, _: &File) -> bool {
        false
    }

    pub fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}

/// A server may send any name: one that Windows takes for something else than a name is refused.
fn plain(name: &OsStr) -> io::Result<&OsStr> {
    let why = match name.to_str() {
        Some(text) => why_not_on_windows(text),
        None => Some("it is no text".to_owned()),
    };
    match why {
        Some(why) => {
            Err(io::Error::new(io::ErrorKind::InvalidInput, format!("not a name on Windows: {why}")))
        }
        None => Ok(name),
    }
}

fn not_a_folder() -> io::Error {
    io::ErrorKind::NotADirectory.into()
}

pub fn is_in_the_way(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotADirectory
}

pub fn default_mode() -> u32 {
    0
}

pub fn set_mode(_: &File, _: u32) -> io::Result<()> {
    Ok(())
}

/// Permissions are those of the folder here.
pub fn hand_on(_: &Folder, _: &OsStr, _: &Facts, _: &File) -> io::Result<()> {
    Ok(())
}

pub fn hand_over(_: &Facts, _: &File) {}

#[cfg(windows)]
/// Who may open a file is told by the folder here.
pub fn is_private(_: &File) -> bool {
    true
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

pub fn os_string(bytes: &[u8]) -> OsString {
    OsString::from(String::from_utf8_lossy(bytes).into_owned())
}

pub fn os_bytes(name: &OsStr) -> Cow<'_, [u8]> {
    Cow::Owned(name.to_string_lossy().into_owned().into_bytes())
}
