//! Just as much XML as the answers of S3 are made of: elements, text, entities.
//!
//! Attributes, comments and declarations are passed over; entities of the document's own do not exist, so none can be made to
//! grow.

use crate::error::{Error, Kind, Result};

/// Elements within elements, at most.
const MAX_DEPTH: usize = 32;

/// An element: its name without prefix, the text directly in it, and the elements in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Element {
    /// The name.
    pub name: String,
    /// The text.
    pub text: String,
    /// The elements inside, in order.
    pub children: Vec<Element>,
}

impl Element {
    /// Reads a document.
    ///
    /// # Errors
    /// [`Kind::Protocol`] if it is none, or ends too early.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let text = std::str::from_utf8(bytes).map_err(|_| nonsense())?;
        let mut open: Vec<Element> = Vec::new();
        let mut rest = text.trim_start_matches('\u{feff}');
        loop {
            let start = rest.find('<').ok_or_else(nonsense)?;
            if let Some(element) = open.last_mut() {
                element.text.push_str(&plain(&rest[..start])?);
            }
            rest = &rest[start..];
            if let Some(after) = rest.strip_prefix("<!--") {
                rest = after.split_once("-->").ok_or_else(nonsense)?.1;
                continue;
            }
            if let Some(after) = rest.strip_prefix("<![CDATA[") {
                let (data, after) = after.split_once("]]>").ok_or_else(nonsense)?;
                open.last_mut().ok_or_else(nonsense)?.text.push_str(data);
                rest = after;
                continue;
            }
            let (tag, after) = rest[1..].split_once('>').ok_or_else(nonsense)?;
            rest = after;
            if tag.starts_with(['?', '!']) {
                continue;
            }
            if let Some(name) = tag.strip_prefix('/') {
                let element =
                    open.pop().filter(|element| element.name == local(name)).ok_or_else(nonsense)?;
                match open.last_mut() {
                    Some(parent) => parent.children.push(element),
                    None => return Ok(element),
                }
                continue;
            }
            let is_empty = tag.ends_with('/');
            let element = Element { name: local(tag.trim_end_matches('/')).to_owned(), ..Element::default() };
            if !is_empty && open.len() < MAX_DEPTH {
                open.push(element);
            } else if !is_empty {
                return Err(nonsense());
            } else if let Some(parent) = open.last_mut() {
                parent.children.push(element);
            } else {
                return Ok(element);
            }
        }
    }

    /// The text of the first child of this name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.child(name).map(|child| child.text.as_str())
    }

    /// The first child of this name.
    pub fn child(&self, name: &str) -> Option<&Element> {
        self.children.iter().find(|child| child.name == name)
    }

    /// All children of this name.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Element> {
        self.children.iter().filter(move |child| child.name == name)
    }
}

fn nonsense() -> Error {
    Error::new(Kind::Protocol, "the answer of the server is no complete XML document").with_os(libc::EIO)
}

/// The name in a tag, without its prefix and attributes.
fn local(tag: &str) -> &str {
    let name = tag.split_ascii_whitespace().next().unwrap_or_default();
    name.rsplit(':').next().unwrap_or(name)
}

/// Text with its entities resolved.
fn plain(text: &str) -> Result<String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        let (entity, after) = after.split_once(';').ok_or_else(nonsense)?;
        out.push_str(before);
        out.push(match entity {
            "lt" => '<',
            "gt" => '>',
            "amp" => '&',
            "quot" => '"',
            "apos" => '\'',
            other => numbered(other).ok_or_else(nonsense)?,
        });
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

fn numbered(entity: &str) -> Option<char> {
    let number = entity.strip_prefix('#')?;
    let code = match number.strip_prefix(['x', 'X']) {
        Some(hex) => u32::from_str_radix(hex, 16).ok()?,
        None => number.parse().ok()?,
    };
    char::from_u32(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_hold_text_and_elements() {
        let text = "<?xml version=\"1.0\"?>\n<a xmlns=\"x\"><b>1 &lt; 2 &#x26;&#65;</b><b/><n:c d='e'><![CDATA[<x>]]></n:c></a>";
        let root = Element::parse(text.as_bytes()).unwrap();
        assert_eq!((root.name.as_str(), root.get("b"), root.get("c")), ("a", Some("1 < 2 &A"), Some("<x>")));
        assert_eq!(root.all("b").count(), 2);
    }

    #[test]
    fn what_is_no_document_is_an_error() {
        let deep = "<a>".repeat(1000);
        for bad in
            ["", "<a>", "<a></b>", "<a>&unknown;</a>", "<a>&#xD800;</a>", "<a><b></a></b>", "text", &deep]
        {
            assert!(Element::parse(bad.as_bytes()).is_err(), "{bad:.20}");
        }
        assert!(Element::parse(b"<a>\xff</a>").is_err());
    }
}
