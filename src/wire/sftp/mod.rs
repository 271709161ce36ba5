//! SFTP version 3 on paper (draft-ietf-secsh-filexfer-02, and the extensions of OpenSSH): requests to bytes, bytes to replies.
//!
//! Names and handles are bytes, as they are on the wire. No channel, no clock.

pub mod attributes;
pub mod reply;
pub mod request;

pub use attributes::{Attributes, FileType};
pub use reply::{Item, Reply, Status};
pub use request::{Open, Request};

/// The version that is spoken; nearly every server offers nothing else.
pub const VERSION: u32 = 3;

/// Takes values off the front of a packet; `None` once it is too short.
#[derive(Debug, Clone, Copy)]
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1).and_then(|bytes| bytes.first().copied())
    }

    fn number(&mut self) -> Option<u32> {
        self.take(4)?.try_into().ok().map(u32::from_be_bytes)
    }

    fn long(&mut self) -> Option<u64> {
        self.take(8)?.try_into().ok().map(u64::from_be_bytes)
    }

    fn text(&mut self) -> Option<&'a [u8]> {
        let length = self.number()?;
        self.take(usize::try_from(length).ok()?)
    }
}
