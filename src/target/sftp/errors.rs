//! What the numbers and words of a server mean.

use crate::error::{Error, Kind, Result};
use crate::wire::sftp::{Reply, Status};

/// The error for a request that did not succeed.
pub fn refusal(status: &Status) -> Error {
    let (kind, words) = match status.code {
        1 => (Kind::Protocol, "the end came where none was expected"),
        2 => (Kind::NotFound, "no such file or folder"),
        3 => (Kind::Denied, "permission denied"),
        5 => (Kind::Protocol, "the server did not understand a request"),
        6 | 7 => (Kind::Disconnected, "the server has lost the connection"),
        8 => (Kind::Unsupported, "the server cannot do that"),
        // From here on, numbers of later versions of the protocol.
        10 => (Kind::NotFound, "no such folder"),
        11 => (Kind::Exists, "something with this name exists already"),
        12 => (Kind::Denied, "the file system can only be read"),
        14 => (Kind::Full, "no room left on the server"),
        15 => (Kind::Full, "the quota is used up"),
        17 => (Kind::Busy, "the file is locked by somebody else"),
        20 => (Kind::Name, "the server does not take this name"),
        _ => (Kind::Refused, UNEXPLAINED),
    };
    // "Failure" and the like say less than we do.
    let told = status.text.trim();
    let is_telling = kind == Kind::Refused && !told.is_empty() && !told.eq_ignore_ascii_case("failure");
    let error =
        Error::new(kind, if is_telling { format!("the server refused: {told}") } else { words.to_owned() });
    // Programs know failures of files by their numbers.
    let error = if let Kind::Refused | Kind::Busy = kind { error.with_os(libc::EIO) } else { error };
    match kind {
        Kind::Full => error.advise(FULL),
        _ => error,
    }
}

const UNEXPLAINED: &str = "the server refused, without a reason";

/// Whether a server has refused something and said nothing about why.
pub fn is_unexplained(error: &Error) -> bool {
    error.kind() == Kind::Refused && error.reason() == UNEXPLAINED
}

const FULL: &str = "the disk is full or the quota is used up";

/// The error for a disk that is full.
pub fn no_room() -> Error {
    Error::new(Kind::Full, "no room left on the server").advise(FULL).with_os(libc::ENOSPC)
}

/// An answer of a kind that the request cannot have.
pub fn nonsense() -> Error {
    Error::new(Kind::Protocol, "the server answered with something else than was asked for")
        .with_os(libc::EIO)
}

/// Success, or why not.
pub fn success(reply: Reply) -> Result<()> {
    match reply {
        Reply::Status(status) if status.code == Status::OK => Ok(()),
        Reply::Status(status) => Err(refusal(&status)),
        _ => Err(nonsense()),
    }
}

/// The one thing that was asked for, or why not.
pub fn expected<T>(reply: Reply, wanted: impl FnOnce(Reply) -> Option<T>) -> Result<T> {
    match reply {
        Reply::Status(status) => Err(if status.code == Status::OK { nonsense() } else { refusal(&status) }),
        reply => wanted(reply).ok_or_else(nonsense),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_become_kinds_and_telling_words_are_passed_on() {
        let error = |code, text: &str| refusal(&Status { code, text: text.into() });
        assert_eq!(error(2, "No such file").kind(), Kind::NotFound);
        assert_eq!(error(3, "").kind(), Kind::Denied);
        assert_eq!(error(4, "Failure").to_string(), "the server refused, without a reason");
        assert_eq!(error(4, "no inodes").to_string(), "the server refused: no inodes");
        assert_eq!(error(14, "").kind(), Kind::Full);
        assert_eq!(error(99, "").kind(), Kind::Refused);
    }
}
