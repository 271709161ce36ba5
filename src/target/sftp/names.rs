//! Names on the wire. Servers store bytes; with UTF-8, what is no text keeps its bytes on both sides.

use crate::error::{Error, Result};
use crate::model::path::BadName;
use crate::model::{Name, RelPath};
use crate::target::names::Names as Encoded;

/// How names are read and written.
#[derive(Debug, Clone, Copy)]
pub enum Names {
    /// UTF-8, other bytes as they are: the local side stores names the same way.
    Bytes,
    /// Another encoding, of the user's choice.
    Encoded(Encoded),
}

impl Names {
    /// The encoding with this label; `None` is UTF-8.
    ///
    /// # Errors
    /// [`Kind::Usage`](crate::error::Kind::Usage) for an unknown label.
    pub fn new(label: Option<&str>) -> Result<Self> {
        let encoded = Encoded::new(label)?;
        Ok(if encoded.is_utf8() { Names::Bytes } else { Names::Encoded(encoded) })
    }

    /// The name that `bytes` stand for.
    ///
    /// # Errors
    /// [`BadName`] for what is not one plain name.
    pub fn decode(self, bytes: &[u8]) -> Result<Name, BadName> {
        match self {
            Names::Bytes => Name::from_utf8_bytes(bytes),
            Names::Encoded(encoded) => encoded.decode(bytes),
        }
    }

    /// The bytes of a path.
    ///
    /// # Errors
    /// [`Kind::Name`](crate::error::Kind::Name) for a character that the encoding does not have.
    pub fn encode(self, path: &RelPath) -> Result<Vec<u8>, Error> {
        match self {
            Names::Bytes => Ok(path.utf8_bytes().into_owned()),
            Names::Encoded(encoded) => encoded.encode(path),
        }
    }

    /// The bytes of a text.
    ///
    /// # Errors
    /// As [`Names::encode`].
    pub fn encode_text(self, text: &str) -> Result<Vec<u8>, Error> {
        match self {
            Names::Bytes => Ok(crate::model::path::utf8_bytes(text).into_owned()),
            Names::Encoded(encoded) => encoded.encode_text(text),
        }
    }
}
