//! Names on the wire: from the bytes of the server to text and back, losing nothing.

use crate::error::{Error, Kind, Result};
use crate::model::path::BadName;
use crate::model::{Name, RelPath};
use encoding_rs::{Encoding, UTF_8, WINDOWS_1252};

/// How one server encodes names.
#[derive(Debug, Clone, Copy)]
pub struct Names {
    encoding: &'static Encoding,
}

impl Names {
    /// The encoding with this label; `None` is UTF-8.
    ///
    /// # Errors
    /// [`Kind::Usage`] for an unknown label.
    pub fn new(label: Option<&str>) -> Result<Self> {
        let label = label.unwrap_or("utf-8");
        let squeezed: String = label.chars().filter(|c| !matches!(c, '-' | '_')).collect();
        let encoding = Encoding::for_label(label.as_bytes())
            .or_else(|| Encoding::for_label(squeezed.as_bytes()))
            .ok_or_else(|| Error::new(Kind::Usage, format!("unknown encoding {label:?}")))?;
        Ok(Names { encoding })
    }

    /// Whether names are UTF-8.
    pub fn is_utf8(self) -> bool {
        self.encoding == UTF_8
    }

    /// The name that `bytes` stand for. Bytes that are no valid text become Windows-1252 text and are kept beside it.
    ///
    /// # Errors
    /// [`BadName`] for what is not one plain name.
    pub fn decode(self, bytes: &[u8]) -> Result<Name, BadName> {
        Name::with_raw(self.decode_text(bytes), bytes)
    }

    /// The text that `bytes` stand for.
    pub fn decode_text(self, bytes: &[u8]) -> String {
        self.encoding
            .decode_without_bom_handling_and_without_replacement(bytes)
            .unwrap_or_else(|| WINDOWS_1252.decode_without_bom_handling(bytes).0)
            .into_owned()
    }

    /// Whether `bytes` are no valid text, so that [`Names::decode`] has to guess.
    pub fn guesses(self, bytes: &[u8]) -> bool {
        self.encoding.decode_without_bom_handling_and_without_replacement(bytes).is_none()
    }

    /// The bytes of a path: those the server listed where they are known, else its text in the encoding of the server.
    ///
    /// # Errors
    /// [`Kind::Name`] for a character that the encoding does not have.
    pub fn encode(self, path: &RelPath) -> Result<Vec<u8>> {
        if self.is_utf8() {
            return Ok(path.bytes().into_owned());
        }
        let raw = path.bytes();
        let mut encoded = Vec::new();
        for (text, raw) in path.names().zip(raw.split(|&byte| byte == b'/')) {
            if !encoded.is_empty() {
                encoded.push(b'/');
            }
            if raw == text.as_bytes() {
                encoded.extend_from_slice(&self.encode_text(text)?);
            } else {
                encoded.extend_from_slice(raw);
            }
        }
        Ok(encoded)
    }

    /// The bytes of a text.
    ///
    /// # Errors
    /// [`Kind::Name`] for a character that the encoding does not have.
    pub fn encode_text(self, text: &str) -> Result<Vec<u8>> {
        let (bytes, _, unmappable) = self.encoding.encode(text);
        if unmappable {
            let encoding = self.encoding.name();
            return Err(Error::new(
                Kind::Name,
                format!("the name cannot be written in the encoding {encoding} of the server"),
            ));
        }
        Ok(bytes.into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_not_utf8_go_back_as_they_came() {
        let names = Names::new(None).unwrap();
        let name = names.decode(b"\xe4\x80.txt").unwrap();
        assert_eq!(name.as_str(), "ä€.txt");
        assert_eq!(names.encode(&RelPath::root().join(&name)).unwrap(), b"\xe4\x80.txt");
    }

    #[test]
    fn local_names_are_written_in_the_encoding_of_the_server() {
        let names = Names::new(Some("latin-1")).unwrap();
        let folder = RelPath::root().join(&names.decode(b"\xe9").unwrap());
        let file = folder.join(&Name::new("ä").unwrap());
        assert_eq!(names.encode(&file).unwrap(), b"\xe9/\xe4");
        let foreign = RelPath::parse("日本").unwrap();
        assert_eq!(names.encode(&foreign).unwrap_err().kind(), Kind::Name);
        assert_eq!(Names::new(Some("klingon")).unwrap_err().kind(), Kind::Usage);
    }
}
