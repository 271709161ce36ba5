//! The part of a large file that an interrupted transfer leaves on the disk, and that the next one continues.
//!
//! Two runs on one folder would find the same part. So it is locked while it is written, and whoever comes second writes
//! elsewhere. What lay there before the system was started is not trusted: it may lack what was never flushed.

use super::Put;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// An open part.
pub struct Part {
    file: File,
    path: PathBuf,
}

/// How much of a file is there, in bytes.
pub fn held(path: &Path, put: &Put) -> u64 {
    if !put.is_resumable() {
        return 0;
    }
    let Ok(found) = fs::symlink_metadata(part_path(path, put)) else { return 0 };
    let is_fresh = found.modified().is_ok_and(|at| started().is_some_and(|started| at >= started));
    if found.is_file() && is_fresh && Some(found.len()) <= put.size { found.len() } else { 0 }
}

fn part_path(path: &Path, put: &Put) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(put.part_name(&name))
}

/// When this system was started; `None` where it does not tell.
fn started() -> Option<SystemTime> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    let seconds = stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
    Some(UNIX_EPOCH + Duration::from_secs(seconds))
}

impl Part {
    /// Opens the part, to go on at `put.from`. `None` if another run writes it.
    ///
    /// # Errors
    /// What the system says, and `WouldBlock` if the part is not there any more to be continued.
    pub fn open(path: &Path, put: &Put) -> io::Result<Option<Self>> {
        let path = part_path(path, put);
        let mut file = match options().open(&path) {
            Ok(file) => file,
            Err(error) if put.from > 0 => return Err(error),
            Err(_) => return Ok(None),
        };
        let is_ours = file.try_lock().is_ok() && is_at(&file, &path)? && file.metadata()?.len() >= put.from;
        if !is_ours && put.from > 0 {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        if !is_ours {
            return Ok(None);
        }
        file.set_len(put.from)?;
        file.seek(SeekFrom::Start(put.from))?;
        Ok(Some(Part { file, path }))
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
    pub fn place(self, path: &Path) -> io::Result<()> {
        fs::rename(&self.path, path).inspect_err(|_| drop(fs::remove_file(&self.path)))
    }

    /// Removes it.
    pub fn discard(self) {
        // The failure that led here is the one to report.
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(unix)]
fn options() -> OpenOptions {
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = OpenOptions::new();
    // Never through a link that somebody has put there.
    options.write(true).create(true).mode(0o600).custom_flags(libc::O_NOFOLLOW);
    options
}

#[cfg(not(unix))]
fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create(true);
    options
}

/// Whether the open file still has its name: another run may have finished it meanwhile.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    let (open, named) = (file.metadata()?, fs::symlink_metadata(path)?);
    Ok((open.dev(), open.ino()) == (named.dev(), named.ino()))
}

#[cfg(not(unix))]
fn is_at(_: &File, path: &Path) -> io::Result<bool> {
    path.try_exists()
}
