//! What a server says about a file, and what it is told to set.

use super::Fields;

const SIZE: u32 = 0x1;
const OWNER: u32 = 0x2;
const PERMISSIONS: u32 = 0x4;
const TIMES: u32 = 0x8;
const EXTENDED: u32 = 0x8000_0000;

/// The bits of the permissions that tell the kind of a file, as in POSIX.
const KIND: u32 = 0o170_000;

/// In seconds. No clock is that wrong.
const TEN_YEARS: i64 = 10 * 366 * 24 * 3600;

/// Attributes of a file, each where it is known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Attributes {
    /// Bytes.
    pub size: Option<u64>,
    /// Numbers of user and group.
    pub owner: Option<(u32, u32)>,
    /// Kind and permissions, as in POSIX.
    pub mode: Option<u32>,
    /// Times of the last access and modification, seconds since 1970-01-01 UTC.
    pub times: Option<(u32, u32)>,
}

/// What stands at a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileType {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// A symbolic link.
    Link,
    /// A device, a pipe, a socket.
    Special,
    /// The server does not say.
    Unknown,
}

impl Attributes {
    /// What stands at the name.
    pub fn file_type(&self) -> FileType {
        match self.mode.map(|mode| mode & KIND) {
            Some(0o100_000) => FileType::File,
            Some(0o040_000) => FileType::Folder,
            Some(0o120_000) => FileType::Link,
            Some(0) | None => FileType::Unknown,
            Some(_) => FileType::Special,
        }
    }

    /// The permissions alone.
    pub fn permissions(&self) -> Option<u32> {
        self.mode.map(|mode| mode & 0o7777)
    }

    /// The modification time, as it is understood at the time `now`; both in seconds since 1970-01-01 UTC.
    ///
    /// OpenSSH cuts times to 32 bits: one before 1970 looks like one far in the future, and is believed not to be that.
    pub fn mtime(&self, now: i64) -> Option<i64> {
        self.times.map(|(_, mtime)| match i64::from(mtime) {
            late if late > now.saturating_add(TEN_YEARS) => i64::from(mtime.cast_signed()),
            mtime => mtime,
        })
    }

    pub(super) fn write(&self, packet: &mut Vec<u8>) {
        let flags = [
            (self.size.is_some(), SIZE),
            (self.owner.is_some(), OWNER),
            (self.mode.is_some(), PERMISSIONS),
            (self.times.is_some(), TIMES),
        ];
        let flags = flags.iter().filter(|(is_set, _)| *is_set).fold(0, |flags, (_, flag)| flags | flag);
        packet.extend_from_slice(&flags.to_be_bytes());
        packet.extend(self.size.iter().flat_map(|size| size.to_be_bytes()));
        let numbers = [
            self.owner.map(|owner| owner.0),
            self.owner.map(|owner| owner.1),
            self.mode,
            self.times.map(|times| times.0),
            self.times.map(|times| times.1),
        ];
        packet.extend(numbers.into_iter().flatten().flat_map(u32::to_be_bytes));
    }

    pub(super) fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let flags = fields.number()?;
        let mut attributes = Attributes::default();
        if flags & SIZE != 0 {
            attributes.size = Some(fields.long()?);
        }
        if flags & OWNER != 0 {
            attributes.owner = Some((fields.number()?, fields.number()?));
        }
        if flags & PERMISSIONS != 0 {
            attributes.mode = Some(fields.number()?);
        }
        if flags & TIMES != 0 {
            attributes.times = Some((fields.number()?, fields.number()?));
        }
        if flags & EXTENDED != 0 {
            for _ in 0..fields.number()? {
                fields.text()?;
                fields.text()?;
            }
        }
        Some(attributes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_survive_the_wire() {
        for attributes in [
            Attributes::default(),
            Attributes {
                size: Some(1 << 40),
                owner: Some((1, 2)),
                mode: Some(0o100_644),
                times: Some((3, u32::MAX)),
            },
            Attributes { mode: Some(0o040_755), ..Attributes::default() },
        ] {
            let mut packet = Vec::new();
            attributes.write(&mut packet);
            assert_eq!(Attributes::read(&mut Fields(&packet)), Some(attributes));
            packet.pop();
            assert_eq!(Attributes::read(&mut Fields(&packet)), None);
        }
    }

    #[test]
    fn times_far_in_the_future_are_those_before_1970() {
        let now = 1_800_000_000;
        let mtime =
            |mtime: i64| Attributes { times: Some((0, mtime as u32)), ..Attributes::default() }.mtime(now);
        for told in [-3600, i64::from(i32::MIN), 0, now, now + TEN_YEARS, i64::from(i32::MAX)] {
            assert_eq!(mtime(told), Some(told));
        }
        // Clocks go on: what is far in the future today is not for ever.
        let late = Attributes { times: Some((0, u32::MAX)), ..Attributes::default() };
        assert_eq!((late.mtime(now), late.mtime(4_200_000_000)), (Some(-1), Some(i64::from(u32::MAX))));
        assert_eq!(Attributes::default().mtime(now), None);
    }

    #[test]
    fn kinds_are_read_off_the_permissions() {
        let kind = |mode| Attributes { mode, ..Attributes::default() }.file_type();
        assert_eq!(kind(Some(0o100_644)), FileType::File);
        assert_eq!(kind(Some(0o040_755)), FileType::Folder);
        assert_eq!(kind(Some(0o120_777)), FileType::Link);
        assert_eq!(kind(Some(0o010_644)), FileType::Special);
        assert_eq!(kind(None), FileType::Unknown);
    }
}
