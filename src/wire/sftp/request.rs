//! What a client may ask.

use super::{Attributes, VERSION};

/// What a file is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Open {
    /// Reading.
    Read,
    /// Writing a new file; it must not exist.
    New,
    /// Writing from the start, whether it exists or not.
    Replace,
    /// Writing into what is there.
    GoOn,
}

impl Open {
    fn flags(self) -> u32 {
        const READ: u32 = 0x01;
        const WRITE: u32 = 0x02;
        const CREATE: u32 = 0x08;
        const TRUNCATE: u32 = 0x10;
        const EXCLUSIVE: u32 = 0x20;
        match self {
            Open::Read => READ,
            Open::New => WRITE | CREATE | EXCLUSIVE,
            Open::Replace => WRITE | CREATE | TRUNCATE,
            Open::GoOn => WRITE,
        }
    }
}

/// One request. Paths, handles and names are bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are those of the protocol")]
pub enum Request<'a> {
    Open {
        path: &'a [u8],
        how: Open,
    },
    Close {
        handle: &'a [u8],
    },
    Read {
        handle: &'a [u8],
        offset: u64,
        length: u32,
    },
    Write {
        handle: &'a [u8],
        offset: u64,
        data: &'a [u8],
    },
    Stat {
        path: &'a [u8],
    },
    LinkStat {
        path: &'a [u8],
    },
    HandleStat {
        handle: &'a [u8],
    },
    SetStat {
        path: &'a [u8],
        to: Attributes,
    },
    SetHandleStat {
        handle: &'a [u8],
        to: Attributes,
    },
    OpenFolder {
        path: &'a [u8],
    },
    ReadFolder {
        handle: &'a [u8],
    },
    Remove {
        path: &'a [u8],
    },
    MakeFolder {
        path: &'a [u8],
    },
    RemoveFolder {
        path: &'a [u8],
    },
    RealPath {
        path: &'a [u8],
    },
    Rename {
        from: &'a [u8],
        to: &'a [u8],
    },
    /// `posix-rename@openssh.com`: replaces what has the new name.
    Replace {
        from: &'a [u8],
        to: &'a [u8],
    },
    /// `fsync@openssh.com`: the bytes are on the disk.
    Flush {
        handle: &'a [u8],
    },
    /// `limits@openssh.com`: how long requests may be.
    Limits,
    /// `statvfs@openssh.com`: how much room there is around a path.
    Space {
        path: &'a [u8],
    },
}

impl Request<'_> {
    /// Appends the packet with number `id`.
    pub fn write(&self, id: u32, packets: &mut Vec<u8>) {
        let start = packets.len();
        packets.extend_from_slice(&[0; 4]);
        packets.push(self.code());
        number(packets, id);
        match *self {
            Request::Open { path, how } => {
                text(packets, path);
                number(packets, how.flags());
                Attributes::default().write(packets);
            }
            Request::Close { handle } | Request::HandleStat { handle } | Request::ReadFolder { handle } => {
                text(packets, handle);
            }
            Request::Read { handle, offset, length } => {
                text(packets, handle);
                packets.extend_from_slice(&offset.to_be_bytes());
                number(packets, length);
            }
            Request::Write { handle, offset, data } => {
                text(packets, handle);
                packets.extend_from_slice(&offset.to_be_bytes());
                text(packets, data);
            }
            Request::Stat { path }
            | Request::LinkStat { path }
            | Request::OpenFolder { path }
            | Request::Remove { path }
            | Request::RemoveFolder { path }
            | Request::RealPath { path } => text(packets, path),
            Request::MakeFolder { path } => {
                text(packets, path);
                Attributes::default().write(packets);
            }
            Request::SetStat { path: name, to } | Request::SetHandleStat { handle: name, to } => {
                text(packets, name);
                to.write(packets);
            }
            Request::Rename { from, to } => {
                text(packets, from);
                text(packets, to);
            }
            Request::Replace { from, to } => {
                text(packets, b"posix-rename@openssh.com");
                text(packets, from);
                text(packets, to);
            }
            Request::Flush { handle } => {
                text(packets, b"fsync@openssh.com");
                text(packets, handle);
            }
            Request::Limits => text(packets, b"limits@openssh.com"),
            Request::Space { path } => {
                text(packets, b"statvfs@openssh.com");
                text(packets, path);
            }
        }
        put_length(packets, start);
    }

    fn code(&self) -> u8 {
        match self {
            Request::Open { .. } => 3,
            Request::Close { .. } => 4,
            Request::Read { .. } => 5,
            Request::Write { .. } => 6,
            Request::LinkStat { .. } => 7,
            Request::HandleStat { .. } => 8,
            Request::SetStat { .. } => 9,
            Request::SetHandleStat { .. } => 10,
            Request::OpenFolder { .. } => 11,
            Request::ReadFolder { .. } => 12,
            Request::Remove { .. } => 13,
            Request::MakeFolder { .. } => 14,
            Request::RemoveFolder { .. } => 15,
            Request::RealPath { .. } => 16,
            Request::Stat { .. } => 17,
            Request::Rename { .. } => 18,
            Request::Replace { .. } | Request::Flush { .. } | Request::Limits | Request::Space { .. } => 200,
        }
    }
}

/// The first packet of a conversation; the server answers with its version and extensions.
pub fn init() -> Vec<u8> {
    let mut packet = vec![0, 0, 0, 5, 1];
    number(&mut packet, VERSION);
    packet
}

fn number(packets: &mut Vec<u8>, value: u32) {
    packets.extend_from_slice(&value.to_be_bytes());
}

fn text(packets: &mut Vec<u8>, bytes: &[u8]) {
    number(packets, u32::try_from(bytes.len()).unwrap_or(u32::MAX));
    packets.extend_from_slice(bytes);
}

/// Puts the length in front of the packet that begins at `start`.
fn put_length(packets: &mut [u8], start: usize) {
    let length = u32::try_from(packets.len() - start - 4).unwrap_or(u32::MAX);
    if let Some(place) = packets.get_mut(start..start + 4) {
        place.copy_from_slice(&length.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_look_as_the_draft_says() {
        let mut packets = Vec::new();
        Request::Open { path: b"/\xff", how: Open::New }.write(7, &mut packets);
        assert_eq!(
            packets,
            b"\0\0\0\x13\x03\0\0\0\x07\0\0\0\x02/\xff\0\0\0\x2a\0\0\0\0".as_slice(),
            "length, type, id, path, flags, no attributes"
        );
        packets.clear();
        Request::Limits.write(1, &mut packets);
        assert_eq!(packets, b"\0\0\0\x1b\xc8\0\0\0\x01\0\0\0\x12limits@openssh.com".as_slice());
        assert_eq!(init(), [0, 0, 0, 5, 1, 0, 0, 0, 3]);
    }
}
