//! How a file is put in place, and what has become of it: values that the callers and the kinds of target share.

use super::Target;
use super::temporary::temp_name;
use crate::model::{Entry, Stamp};

/// What should be at a name at this moment, as the plan knows it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Expect {
    /// Nobody knows, and nobody cares.
    #[default]
    Anything,
    /// Nothing.
    Absent,
    /// A file of this size (bytes) and with this time, as far as each is known.
    File(Option<u64>, Option<Stamp>),
}

/// How a file is to be put in place.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Put {
    /// What the new content replaces. Where something else is found instead, and the side can tell without another round
    /// trip, that is [`Kind::Changed`](crate::error::Kind::Changed): somebody has worked on it since it was listed.
    pub expect: Expect,
    /// What an earlier attempt in place was to replace, and has perhaps destroyed; then anything may be replaced.
    pub destroyed: Option<Expect>,
    /// The size that the body should have, in bytes, if known beforehand.
    pub size: Option<u64>,
    /// The modification time that the file should carry.
    pub mtime: Option<Stamp>,
    /// The permission bits of the file that it replaces, where the side lists them.
    pub mode: Option<u16>,
    /// Overwrite in place instead of by temporary name and rename.
    pub inplace: bool,
    /// A few bytes, written in place, whose folder is listed soon after: what that shows is not asked for beside it.
    pub is_hasty: bool,
    /// The body begins with this byte of the content; what comes before is here already, see [`Session::held`].
    pub from: u64,
    /// An earlier attempt has ended without an answer: what it was to put there may be there already.
    pub is_repeated: bool,
    /// Tells this content of the source from others of the same size and time, see [`version`]; 0 where nothing does.
    pub version: u64,
}

/// From this size on (bytes), an interrupted transfer is continued.
pub const RESUMED: u64 = 8 * 1024 * 1024;

impl Put {
    /// Whether what an interrupted transfer leaves behind can be recognised later, and is worth it: by the name, size and time
    /// of the source.
    pub fn is_resumable(&self) -> bool {
        !self.inplace && self.mtime.is_some() && self.size.is_some_and(|size| size >= RESUMED)
    }

    /// Whether what has the name by now cannot be what this is to replace, nor this itself.
    pub fn must_be_new(&self) -> bool {
        self.expect == Expect::Absent && !self.is_repeated
    }

    /// What had the name before the first attempt, as the plan knows it.
    pub(crate) fn replaced(&self) -> Expect {
        self.destroyed.unwrap_or(self.expect)
    }

    /// An attempt in place has destroyed the old content: what is there now is nobody's work.
    pub(crate) fn has_destroyed(&mut self) {
        self.destroyed = Some(self.replaced());
        self.expect = Expect::Anything;
    }

    /// The old content was seen to be there still: no attempt has touched it.
    pub(crate) fn has_spared(&mut self) {
        self.expect = self.replaced();
        self.destroyed = None;
    }

    /// The temporary name of such a file, the same for each attempt.
    pub(crate) fn part_name(&self, file_name: &str) -> String {
        temp_name(file_name, self.part_number(file_name))
    }

    /// The number in it.
    pub(crate) fn part_number(&self, file_name: &str) -> u64 {
        let at = self.mtime.map(|at| (at.seconds(), at.nanos()));
        let mut text = format!("{:?} {at:?} {file_name}", self.size);
        if self.version != 0 {
            text.push_str(&format!(" {:x}", self.version));
        }
        number_of(&text)
    }
}

/// The number of the version that an entry of this side is, for [`Put::version`].
pub(crate) fn version(side: &dyn Target, entry: &Entry) -> u64 {
    match entry.unique.as_deref() {
        Some(name) if side.names_versions() => number_of(name),
        Some(identity) => entry.changed.map_or(0, |changed| version_of(identity, changed)),
        None => 0,
    }
}

/// The number of the version of a file that a file system knows by this identity, and that was last changed then.
pub(crate) fn version_of(identity: &str, changed: Stamp) -> u64 {
    number_of(&format!("{identity} {} {}", changed.seconds(), changed.nanos()))
}

/// A number that another text hardly has.
fn number_of(text: &str) -> u64 {
    let digest = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
    digest.as_ref().iter().take(8).fold(0, |number, byte| (number << 8) | u64::from(*byte))
}

/// What became of a file that was put in place.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Written {
    /// Bytes now at the name, checked on the side that holds them where it can tell.
    pub size: u64,
    /// Whether the modification time of [`Put`] was set. When not, the caller has to remember it.
    pub mtime_kept: bool,
    /// The time that the side gave the file by its own clock, where the wanted one could not be set and it tells.
    pub dated: Option<Stamp>,
    /// The time that the side shows for the file now, to the last digit, where it was looked at.
    pub shown: Option<Stamp>,
}
