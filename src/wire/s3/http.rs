//! The head of an HTTP answer (RFC 9112), and how long its body is.

use crate::error::{Error, Kind, Result};

/// No honest head is longer, in bytes.
pub const MAX_HEAD: usize = 64 * 1024;

/// Status and headers of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// 200, 404, ...
    pub status: u16,
    /// Names in lower case.
    headers: Vec<(String, String)>,
    is_old: bool,
}

/// Where the body of an answer ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// After so many bytes.
    Length(u64),
    /// After a chunk of length zero.
    Chunked,
    /// With the connection.
    UntilClose,
}

impl Head {
    /// Reads a head, which ends with an empty line.
    ///
    /// # Errors
    /// [`Kind::Protocol`] if it is none.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let text = String::from_utf8_lossy(bytes);
        let mut lines = text.split("\r\n");
        let first = lines.next().unwrap_or_default();
        let status = first.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5)?.parse().ok());
        let status = status.ok_or_else(|| {
            Error::new(Kind::Protocol, "what answered does not speak HTTP/1.1")
                .advise("check the endpoint URL, also whether it is http or https")
        })?;
        let headers = lines.take_while(|line| !line.is_empty()).filter_map(|line| {
            let (name, value) = line.split_once(':')?;
            Some((name.trim().to_ascii_lowercase(), value.trim().to_owned()))
        });
        Ok(Head { status, headers: headers.collect(), is_old: first.starts_with("HTTP/1.0") })
    }

    /// A header, by its name in lower case.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Where the body ends.
    ///
    /// # Errors
    /// [`Kind::Protocol`] for a length that is no number, or for two.
    pub fn framing(&self, method: &str) -> Result<Framing> {
        if method == "HEAD" || matches!(self.status, 100..=199 | 204 | 304) {
            return Ok(Framing::Length(0));
        }
        if self.get("transfer-encoding").is_some_and(|value| value.to_ascii_lowercase().ends_with("chunked"))
        {
            return Ok(Framing::Chunked);
        }
        let mut lengths = self.headers.iter().filter(|(name, _)| name == "content-length");
        let Some((_, length)) = lengths.next() else { return Ok(Framing::UntilClose) };
        match length.parse() {
            Ok(number) if lengths.all(|(_, other)| other == length) => Ok(Framing::Length(number)),
            _ => Err(Error::new(Kind::Protocol, "the length of an answer cannot be read")),
        }
    }

    /// Whether the connection can be used again after this answer.
    pub fn keeps_alive(&self) -> bool {
        let said = self.get("connection").unwrap_or_default().to_ascii_lowercase();
        !said.contains("close") && (!self.is_old || said.contains("keep-alive"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_tell_status_headers_and_the_end_of_the_body() {
        let head = Head::parse(b"HTTP/1.1 200 OK\r\nETag: \"x\"\r\ncontent-Length:  5\r\n\r\n").unwrap();
        assert_eq!((head.status, head.get("etag"), head.keeps_alive()), (200, Some("\"x\""), true));
        assert_eq!(head.framing("GET").unwrap(), Framing::Length(5));
        assert_eq!(head.framing("HEAD").unwrap(), Framing::Length(0));
        let head = Head::parse(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n")
            .unwrap();
        assert_eq!((head.framing("GET").unwrap(), head.keeps_alive()), (Framing::Chunked, false));
        let twice =
            Head::parse(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n").unwrap();
        assert!(twice.framing("GET").is_err());
        for bad in [&b"220 ftp server"[..], b"", b"HTTP/1.1 xyz", b"\x15\x03\x01"] {
            assert!(Head::parse(bad).is_err());
        }
    }
}
