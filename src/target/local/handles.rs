//! Folders by handle: what is done in one cannot end up in another, whatever becomes of its path meanwhile.

use super::{Facts, FileKind};
use crate::locked::locked;
use crate::model::Stamp;
use rustix::fs::{self as system, AtFlags, Dir, FileType, Mode, OFlags, Stat, Timespec, Timestamps};
use rustix::io::Errno;
#[cfg(target_os = "linux")]
use rustix::{buffer::spare_capacity, fs::XattrFlags};
use std::ffi::{OsStr, OsString};
use std::fs::{File, Permissions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{PermissionsExt, fchown};
use std::path::Path;
use std::sync::Mutex;

/// An open folder.
#[derive(Debug)]
pub struct Folder(OwnedFd);

impl Folder {
    /// Opens a folder by its path, links followed: the user has named it.
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Folder(system::open(path, directory(), Mode::empty())?))
    }

    /// Opens a folder below this one. No link is followed on the way.
    pub fn inside(&self, below: &[u8]) -> io::Result<Self> {
        let mut names = below.split(|&byte| byte == b'/').filter(|name| !name.is_empty());
        let step = |folder: &OwnedFd, name: &[u8]| {
            system::openat(folder, OsStr::from_bytes(name), directory() | OFlags::NOFOLLOW, Mode::empty())
        };
        let Some(first) = names.next() else { return Ok(Folder(self.0.try_clone()?)) };
        let mut folder = step(&self.0, first)?;
        for name in names {
            folder = step(&folder, name)?;
        }
        Ok(Folder(folder))
    }

    /// The names in the folder, each with what it is; a link is a link.
    pub fn names(&self) -> io::Result<Vec<(OsString, io::Result<Facts>)>> {
        let mut names = Vec::new();
        for item in Dir::read_from(&self.0)? {
            let item = item?;
            let name = item.file_name().to_bytes();
            if !matches!(name, b"." | b"..") {
                let name = OsString::from_vec(name.to_vec());
                let facts = self.facts(&name, false);
                names.push((name, facts));
            }
        }
        Ok(names)
    }

    /// What a name is; what a link leads to, if it `follows`.
    pub fn facts(&self, name: &OsStr, follows: bool) -> io::Result<Facts> {
        let flags = if follows { AtFlags::empty() } else { AtFlags::SYMLINK_NOFOLLOW };
        Ok(facts(&system::statat(&self.0, name, flags)?))
    }

    /// Opens a file to read it; never a link, and without waiting for a pipe.
    pub fn read(&self, name: &OsStr) -> io::Result<File> {
        let how = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        Ok(File::from(system::openat(&self.0, name, how, Mode::empty())?))
    }

    /// Opens a file that is there, to read it and to write to it; never through a link.
    pub fn edit(&self, name: &OsStr) -> io::Result<File> {
        let how = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        Ok(File::from(system::openat(&self.0, name, how, Mode::empty())?))
    }

    /// Makes a file that nobody else can read yet, and that nobody has made before.
    pub fn create(&self, name: &OsStr) -> io::Result<File> {
        let how = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(File::from(system::openat(&self.0, name, how, Mode::RUSR | Mode::WUSR)?))
    }

    /// Empties a file, or makes it, to write into it; never through a link.
    pub fn overwrite(&self, name: &OsStr) -> io::Result<File> {
        let how = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(File::from(system::openat(&self.0, name, how, Mode::from_raw_mode(0o666))?))
    }

    /// Whether a name is that of a file which we may write to, and whose time we may set.
    pub fn may_be_overwritten(&self, name: &OsStr) -> bool {
        let Ok(found) = self.facts(name, false) else { return false };
        let how = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        found.kind == FileKind::File
            && system::openat(&self.0, name, how, Mode::empty()).is_ok()
            // Whoever is not the owner finds out by setting the time that it has.
            && (found.owner == Some(rustix::process::geteuid().as_raw())
                || self.set_mtime(name, found.mtime).is_ok())
    }

    /// Opens a file to go on writing it, or makes one that is private; never through a link.
    pub fn go_on(&self, name: &OsStr) -> io::Result<File> {
        let how = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        Ok(File::from(system::openat(&self.0, name, how, Mode::RUSR | Mode::WUSR)?))
    }

    pub fn make_folder(&self, name: &OsStr) -> io::Result<()> {
        Ok(system::mkdirat(&self.0, name, Mode::from_raw_mode(0o777))?)
    }

    pub fn remove_file(&self, name: &OsStr) -> io::Result<()> {
        Ok(system::unlinkat(&self.0, name, AtFlags::empty())?)
    }

    pub fn remove_folder(&self, name: &OsStr) -> io::Result<()> {
        Ok(system::unlinkat(&self.0, name, AtFlags::REMOVEDIR)?)
    }

    pub fn rename(&self, name: &OsStr, to: &Folder, new_name: &OsStr) -> io::Result<()> {
        Ok(system::renameat(&self.0, name, &to.0, new_name)?)
    }

    /// Gives a file a second name.
    pub fn link(&self, name: &OsStr, to: &Folder, second: &OsStr) -> io::Result<()> {
        Ok(system::linkat(&self.0, name, &to.0, second, AtFlags::empty())?)
    }

    pub fn set_mtime(&self, name: &OsStr, to: Stamp) -> io::Result<()> {
        let last_modification = Timespec { tv_sec: to.seconds(), tv_nsec: to.nanos().into() };
        let last_access = Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_OMIT };
        let times = Timestamps { last_access, last_modification };
        Ok(system::utimensat(&self.0, name, &times, AtFlags::empty())?)
    }

    /// Whether it still has a name, here or elsewhere.
    pub fn is_there(&self) -> bool {
        system::fstat(&self.0).is_ok_and(|found| found.st_nlink > 0)
    }

    /// Whether the group of this folder works in it together, and a file made here is one of that group.
    pub fn is_shared_with_group_of(&self, file: &File) -> bool {
        let (Ok(folder), Ok(file)) = (system::fstat(&self.0), system::fstat(file)) else { return false };
        folder.st_mode & 0o020 != 0 && folder.st_gid == file.st_gid
    }

    /// Waits until new names are on the disk.
    pub fn sync(&self) -> io::Result<()> {
        match system::fsync(&self.0) {
            // Not every kind of disk can say that of a folder.
            Err(Errno::INVAL | Errno::ROFS) => Ok(()),
            synced => Ok(synced?),
        }
    }
}

fn directory() -> OFlags {
    OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC
}

#[allow(clippy::unnecessary_cast, reason = "the types differ from system to system")]
fn facts(stat: &Stat) -> Facts {
    let kind = match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => FileKind::File,
        FileType::Directory => FileKind::Folder,
        FileType::Symlink => FileKind::Link,
        _ => FileKind::Other,
    };
    Facts {
        kind,
        size: stat.st_size as u64,
        mtime: Stamp::new(stat.st_mtime as i64, stat.st_mtime_nsec as u32),
        // Not what would let content from elsewhere run with the rights of the owner (setuid).
        mode: Some(stat.st_mode as u32 & 0o777),
        owner: Some(stat.st_uid),
        group: Some(stat.st_gid),
        unique: Some(stat.st_ino as u64),
        changed: Some(Stamp::new(stat.st_ctime as i64, stat.st_ctime_nsec as u32)),
    }
}

/// Whether a step failed because a link, or something else than a folder, stood in the way.
pub fn is_in_the_way(error: &io::Error) -> bool {
    let errno = Errno::from_io_error(error);
    matches!(errno, Some(Errno::LOOP | Errno::NOTDIR | Errno::MLINK))
}

/// What a new file gets: everything that the umask of the process leaves.
pub fn default_mode() -> u32 {
    // It can only be read by setting it. Meanwhile other files come out more private than they should, never less, and
    // nobody else here does the same.
    static READING: Mutex<()> = Mutex::new(());
    let _alone = locked(&READING);
    let umask = rustix::process::umask(Mode::from_raw_mode(0o077));
    rustix::process::umask(umask);
    0o666 & !u32::from(umask.as_raw_mode() as u16)
}

/// Gives a file its mode.
pub fn set_mode(file: &File, mode: u32) -> io::Result<()> {
    file.set_permissions(Permissions::from_mode(mode))
}

/// Hands the permissions of `old`, which has the name now, on to the file that takes its place: the group and the access list as far
/// as the system allows, the mode, and what users have attached. The owner comes last, by [`hand_over`].
///
/// # Errors
/// If the mode cannot be set.
pub fn hand_on(folder: &Folder, name: &OsStr, old: &Facts, file: &File) -> io::Result<()> {
    let Some(mode) = old.mode else { return Ok(()) };
    let has_same_group = old.group.is_some_and(|group| has_group(file, group));
    let has_same_list = folder.read(name).is_ok_and(|old| {
        hand_on_attributes(&old, file);
        has_same_group && hand_on_list(&old, file)
    });
    set_mode(file, if has_same_list { mode } else { common_rights(mode) })
}

/// Hands a finished file over to the owner of the one that it replaces, where that is allowed: to the superuser. What follows might
/// be refused to us then.
pub fn hand_over(old: &Facts, file: &File) {
    let Ok(found) = system::fstat(file) else { return };
    if let Some(owner) = old.owner.filter(|owner| *owner != found.st_uid) {
        // Nobody promises that it can be kept, and we have the content right.
        let _ = fchown(file, Some(owner), None);
    }
}

/// Gives a file to a group, unless it has it; false if that is refused.
fn has_group(file: &File, group: u32) -> bool {
    system::fstat(file).is_ok_and(|found| found.st_gid == group) || fchown(file, None, Some(group)).is_ok()
}

/// The rights where the group of a file is another one than that of the file which it replaces, or its access list is lost. Whoever is
/// in the new group was one of the others before, and whoever was in the old one is one of the others now: both get what both had. This
/// may be too little for somebody (the error is seen, and `chgrp` helps), but tells nobody what he could not read before.
fn common_rights(mode: u32) -> u32 {
    let both = (mode >> 3) & mode & 0o007;
    (mode & 0o700) | (both << 3) | both
}

/// Copies what users have attached to a file.
#[cfg(target_os = "linux")]
fn hand_on_attributes(old: &File, new: &File) {
    let mut names = Vec::with_capacity(system::flistxattr_query(old).unwrap_or(0));
    if names.capacity() > 0 && system::flistxattr(old, spare_capacity(&mut names)).is_err() {
        names.clear();
    }
    for name in names.split(|&byte| byte == 0).filter(|name| name.starts_with(b"user.")) {
        if let Ok(value) = attribute(old, OsStr::from_bytes(name)) {
            // Disks differ in how much they take.
            let _ = system::fsetxattr(new, name, &value, XattrFlags::empty());
        }
    }
}

/// Copies the access list. False if the system refuses it.
#[cfg(target_os = "linux")]
fn hand_on_list(old: &File, new: &File) -> bool {
    const LIST: &str = "system.posix_acl_access";
    match attribute(old, OsStr::new(LIST)) {
        Ok(list) => system::fsetxattr(new, LIST, &list, XattrFlags::empty()).is_ok(),
        Err(_) => {
            // The folder may have given the new file a list that the old one does not have; most often there is none.
            let _ = system::fremovexattr(new, LIST);
            true
        }
    }
}

#[cfg(target_os = "linux")]
fn attribute(file: &File, name: &OsStr) -> rustix::io::Result<Vec<u8>> {
    let mut value = Vec::with_capacity(system::fgetxattr_query(file, name)?);
    if value.capacity() > 0 {
        system::fgetxattr(file, name, spare_capacity(&mut value))?;
    }
    Ok(value)
}

#[cfg(not(target_os = "linux"))]
fn hand_on_attributes(_: &File, _: &File) {}

#[cfg(not(target_os = "linux"))]
fn hand_on_list(_: &File, _: &File) -> bool {
    true
}

/// Whether a file is ours alone: nobody else has made it, may write it, or has it under another name.
pub fn is_private(file: &File) -> bool {
    let Ok(found) = system::fstat(file) else { return false };
    found.st_uid == rustix::process::geteuid().as_raw() && found.st_nlink == 1 && found.st_mode & 0o022 == 0
}

pub fn write_all_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, offset)
}

pub fn os_string(bytes: &[u8]) -> OsString {
    OsString::from_vec(bytes.to_vec())
}

pub fn os_bytes(name: &OsStr) -> std::borrow::Cow<'_, [u8]> {
    std::borrow::Cow::Borrowed(name.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn where_the_group_is_lost_nobody_gets_more_than_before() {
        let common = |mode| common_rights(mode);
        assert_eq!([0o664, 0o640, 0o660, 0o644].map(common), [0o644, 0o600, 0o600, 0o644]);
        // The group was shut out, and is one of the others now.
        assert_eq!([0o604, 0o757].map(common), [0o600, 0o755]);
    }

    #[test]
    fn a_new_file_takes_no_name_that_is_taken_and_no_link_is_opened() {
        let (root, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let secret = elsewhere.path().join("secret");
        fs::write(&secret, "secret").unwrap();
        fs::write(root.path().join("taken"), "theirs").unwrap();
        symlink(&secret, root.path().join("link")).unwrap();
        symlink(elsewhere.path().join("new"), root.path().join("trap")).unwrap();
        let folder = Folder::open(root.path()).unwrap();
        for name in ["taken", "link", "trap"].map(OsStr::new) {
            assert_eq!(folder.create(name).unwrap_err().kind(), io::ErrorKind::AlreadyExists, "{name:?}");
        }
        type Open = fn(&Folder, &OsStr) -> io::Result<File>;
        for open in [Folder::read as Open, Folder::overwrite, Folder::go_on] {
            for name in ["link", "trap"].map(OsStr::new) {
                assert!(is_in_the_way(&open(&folder, name).unwrap_err()), "{name:?}");
            }
        }
        assert_eq!(fs::read(&secret).unwrap(), b"secret");
        assert!(!elsewhere.path().join("new").exists());
        assert_eq!(fs::read(root.path().join("taken")).unwrap(), b"theirs");
    }
}
