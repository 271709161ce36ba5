//! What a server answers.

use super::{Attributes, Fields};

/// How a request ended, by the numbers of the draft. Numbers above 8 belong to later versions, but some servers use them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// 0 is success, 1 the end of a file or folder.
    pub code: u32,
    /// The words of the server, as far as it says any.
    pub text: String,
}

/// One name in a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// The name as the server stores it.
    pub name: Vec<u8>,
    /// What it is; links are not followed.
    pub attributes: Attributes,
}

/// One answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// How the request ended.
    Status(Status),
    /// An open file or folder.
    Handle(Vec<u8>),
    /// Bytes of a file.
    Data(Vec<u8>),
    /// Names of a folder, or the one real path.
    Names(Vec<Item>),
    /// Attributes of one file.
    Attributes(Attributes),
    /// The answer to an extension.
    Extended(Vec<u8>),
}

impl Status {
    /// Success.
    pub const OK: u32 = 0;
    /// The end of a file or folder.
    pub const END: u32 = 1;

    /// Whether it is the end of a file or folder.
    pub fn is_end(&self) -> bool {
        self.code == Status::END
    }
}

impl Reply {
    /// Reads a packet without its length: the number of the request that it answers, and the answer.
    ///
    /// `None` if it is none of those a client knows, or too short.
    pub fn parse(packet: &[u8]) -> Option<(u32, Reply)> {
        let mut fields = Fields(packet);
        let code = fields.byte()?;
        let id = fields.number()?;
        let reply = match code {
            101 => {
                let code = fields.number()?;
                // Old servers leave the text out.
                let text = fields.text().unwrap_or_default();
                Reply::Status(Status { code, text: String::from_utf8_lossy(text).into_owned() })
            }
            102 => Reply::Handle(fields.text()?.to_vec()),
            103 => Reply::Data(fields.text()?.to_vec()),
            104 => {
                let mut items = Vec::new();
                for _ in 0..fields.number()? {
                    let name = fields.text()?.to_vec();
                    // The line of `ls -l`, for people.
                    fields.text()?;
                    items.push(Item { name, attributes: Attributes::read(&mut fields)? });
                }
                Reply::Names(items)
            }
            105 => Reply::Attributes(Attributes::read(&mut fields)?),
            201 => Reply::Extended(fields.0.to_vec()),
            _ => return None,
        };
        Some((id, reply))
    }
}

/// What a server can do beyond the draft.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Extensions {
    /// `posix-rename@openssh.com`
    pub replaces: bool,
    /// `fsync@openssh.com`
    pub flushes: bool,
    /// `limits@openssh.com`
    pub limits: bool,
    /// `statvfs@openssh.com`
    pub tells_space: bool,
}

/// Reads the answer to the first packet: version and extensions. `None` if it is none.
pub fn parse_version(packet: &[u8]) -> Option<(u32, Extensions)> {
    let mut fields = Fields(packet);
    if fields.byte()? != 2 {
        return None;
    }
    let version = fields.number()?;
    let mut extensions = Extensions::default();
    while let (Some(name), Some(version)) = (fields.text(), fields.text()) {
        match name {
            b"posix-rename@openssh.com" => extensions.replaces = version == b"1",
            b"fsync@openssh.com" => extensions.flushes = version == b"1",
            b"limits@openssh.com" => extensions.limits = version == b"1",
            b"statvfs@openssh.com" => extensions.tells_space = version == b"2",
            _ => {}
        }
    }
    Some((version, extensions))
}

/// Reads the answer to `limits@openssh.com`: the most bytes of one READ and of one WRITE; 0 for no limit.
pub fn parse_limits(body: &[u8]) -> Option<(u64, u64)> {
    let mut fields = Fields(body);
    let _packet = fields.long()?;
    Some((fields.long()?, fields.long()?))
}

/// Reads the answer to `statvfs@openssh.com`: the bytes that the user may still fill. `None` if it does not tell.
pub fn parse_space(body: &[u8]) -> Option<u64> {
    let mut fields = Fields(body);
    let _block = fields.long()?;
    let unit = fields.long()?;
    let (all, _free, left) = (fields.long()?, fields.long()?, fields.long()?);
    // What stands for a file system elsewhere may be all zeros.
    (all > 0).then(|| left.saturating_mul(unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_read_and_cut_ones_refused() {
        let status = b"\x65\0\0\0\x09\0\0\0\x02\0\0\0\x04gone\0\0\0\0";
        let expected = Reply::Status(Status { code: 2, text: "gone".into() });
        assert_eq!(Reply::parse(status), Some((9, expected)));
        let bare = b"\x65\0\0\0\x09\0\0\0\x04";
        assert_eq!(Reply::parse(bare), Some((9, Reply::Status(Status { code: 4, text: String::new() }))));
        let names = b"\x68\0\0\0\x01\0\0\0\x01\0\0\0\x01\xe4\0\0\0\x02ls\0\0\0\0";
        let item = Item { name: vec![0xe4], attributes: Attributes::default() };
        assert_eq!(Reply::parse(names), Some((1, Reply::Names(vec![item]))));
        assert_eq!(Reply::parse(&names[..names.len() - 1]), None);
        assert_eq!(Reply::parse(b"\x67\0\0\0\x01\0\0\0\xff"), None);
        assert_eq!(Reply::parse(b"\x63\0\0\0\x01"), None);
    }

    #[test]
    fn versions_tell_their_extensions() {
        let packet = b"\x02\0\0\0\x03\0\0\0\x11fsync@openssh.com\0\0\0\x011";
        let expected = Extensions { flushes: true, ..Extensions::default() };
        assert_eq!(parse_version(packet), Some((3, expected)));
        assert_eq!(parse_version(b"\x65\0\0\0\x03"), None);
    }

    #[test]
    fn the_room_that_is_left_is_told_in_units() {
        let body: Vec<u8> =
            [4096_u64, 512, 100, 50, 7].iter().flat_map(|field| field.to_be_bytes()).collect();
        assert_eq!(parse_space(&body), Some(7 * 512));
        assert_eq!(parse_space(&body[..39]), None);
        assert_eq!(parse_space(&[0; 40]), None);
    }
}
