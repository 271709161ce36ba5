//! Names and paths: text to compare and show, plus the bytes a server or a disk really uses.

use crate::quoted::{STRAY_BYTES, stray_byte};
use std::borrow::Cow;
use std::fmt;
use std::hash::{Hash, Hasher};
use unicode_normalization::UnicodeNormalization;

/// Whether a text stands for bytes that are no text, as [`Name::from_utf8_bytes`] makes it.
pub fn is_beyond_text(text: &str) -> bool {
    matches!(utf8_bytes(text), Cow::Owned(_))
}

/// The bytes that a side storing UTF-8 uses for a text of ours; the inverse of [`Name::from_utf8_bytes`].
pub fn utf8_bytes(text: &str) -> Cow<'_, [u8]> {
    if !text.chars().any(|char| stray_byte(char).is_some()) {
        return Cow::Borrowed(text.as_bytes());
    }
    let mut bytes = Vec::with_capacity(text.len());
    for char in text.chars() {
        match stray_byte(char) {
            Some(byte) => bytes.push(byte),
            None => bytes.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    Cow::Owned(bytes)
}

/// What a text has in common with all that some disk takes for the same: those that differ in case, or in the form in which
/// Unicode writes a character. Also for a whole path.
pub fn folded(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    // Some letters are alike only when they are large, as the two small sigmas; and case may undo the form.
    let large: String = text.nfd().flat_map(char::to_uppercase).collect();
    large.nfd().flat_map(char::to_lowercase).nfd().collect()
}

/// One component of a path: never empty, `.`, `..`, and never with `/` or NUL.
///
/// Two names are equal when their text is. `raw` holds the bytes of the side that listed the name where they are not
/// simply the UTF-8 of the text, so that a file with a Latin-1 name on a server can be fetched under the name it has.
#[derive(Clone)]
pub struct Name {
    text: Box<str>,
    raw: Option<Box<[u8]>>,
}

/// Why a string of characters cannot be a [`Name`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadName {
    /// Empty, `.` or `..`.
    Reserved,
    /// Contains `/`: it would lead into another folder.
    Separator,
    /// Contains NUL, which no file system stores.
    Nul,
}

impl fmt::Display for BadName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            BadName::Reserved => "the name is empty, \".\" or \"..\"",
            BadName::Separator => "the name contains \"/\"",
            BadName::Nul => "the name contains NUL",
        })
    }
}

impl Name {
    /// A name whose bytes are the UTF-8 of its text.
    ///
    /// # Errors
    /// [`BadName`] for anything that is not one plain component.
    pub fn new(text: impl Into<Box<str>>) -> Result<Self, BadName> {
        let text = text.into();
        if matches!(&*text, "" | "." | "..") {
            return Err(BadName::Reserved);
        }
        if text.contains('/') {
            return Err(BadName::Separator);
        }
        if text.contains('\0') {
            return Err(BadName::Nul);
        }
        Ok(Name { text, raw: None })
    }

    /// A name with the bytes its side uses for it.
    ///
    /// # Errors
    /// [`BadName`] as in [`Name::new`], for the text or for the bytes.
    pub fn with_raw(text: impl Into<Box<str>>, raw: &[u8]) -> Result<Self, BadName> {
        let mut name = Name::new(text)?;
        if raw.contains(&b'/') {
            return Err(BadName::Separator);
        }
        if raw.contains(&0) {
            return Err(BadName::Nul);
        }
        if raw != name.text.as_bytes() {
            name.raw = Some(raw.into());
        }
        Ok(name)
    }

    /// A name from the bytes of a side that stores UTF-8, or should.
    ///
    /// A byte that is not part of valid UTF-8 becomes a private character that [`utf8_bytes`] turns back into it, so that
    /// the text alone still names the same file, also on another side.
    ///
    /// # Errors
    /// [`BadName`] as in [`Name::new`].
    pub fn from_utf8_bytes(bytes: &[u8]) -> Result<Self, BadName> {
        if let Ok(text) = std::str::from_utf8(bytes) {
            return Name::new(text);
        }
        let mut text = String::with_capacity(bytes.len() + 8);
        for chunk in bytes.utf8_chunks() {
            text.push_str(chunk.valid());
            text.extend(
                chunk.invalid().iter().filter_map(|&byte| char::from_u32(STRAY_BYTES + u32::from(byte))),
            );
        }
        Name::with_raw(text, bytes)
    }

    /// The same name without the bytes of the side that listed it: how the other side is asked for it.
    #[must_use]
    pub fn without_raw(&self) -> Self {
        Name { text: self.text.clone(), raw: None }
    }

    /// What this name and all its twins have in common, see [`folded`].
    pub fn folded(&self) -> String {
        folded(&self.text)
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The bytes of the side that listed it, if they differ from the UTF-8 of the text.
    pub fn raw(&self) -> Option<&[u8]> {
        self.raw.as_deref()
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}
impl Eq for Name {}
impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}
impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Name {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.text.cmp(&other.text)
    }
}
impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.text)
    }
}

/// A path below the root of a target: `/`-joined names, empty for the root itself. It cannot climb out.
#[derive(Clone, Default)]
pub struct RelPath {
    text: String,
    /// The bytes of the whole path, once one of its names has bytes of its own.
    raw: Option<Vec<u8>>,
}

impl RelPath {
    /// The root.
    pub fn root() -> Self {
        RelPath::default()
    }

    /// A path from text with `/` between the names; empty parts and `.` are dropped.
    ///
    /// # Errors
    /// [`BadName`] when a part is `..` or holds NUL: a relative path never leaves its root.
    pub fn parse(text: &str) -> Result<Self, BadName> {
        text.split('/')
            .filter(|part| !matches!(*part, "" | "."))
            .try_fold(RelPath::root(), |path, part| Ok(path.join(&Name::new(part)?)))
    }

    /// Whether this is that folder, or something in it.
    pub fn is_within(&self, folder: &RelPath) -> bool {
        let rest = self.text.strip_prefix(&*folder.text);
        folder.text.is_empty() || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// The entry `name` in the folder that this path names.
    #[must_use]
    pub fn join(&self, name: &Name) -> Self {
        let mut text = String::with_capacity(self.text.len() + 1 + name.as_str().len());
        text.push_str(&self.text);
        if !text.is_empty() {
            text.push('/');
        }
        text.push_str(name.as_str());
        let raw = (self.raw.is_some() || name.raw().is_some()).then(|| {
            let mut raw = self.bytes().into_owned();
            if !raw.is_empty() {
                raw.push(b'/');
            }
            raw.extend_from_slice(name.raw().unwrap_or(name.as_str().as_bytes()));
            raw
        });
        RelPath { text, raw }
    }

    /// The folder that holds this entry; `None` for the root.
    pub fn parent(&self) -> Option<Self> {
        if self.is_root() {
            return None;
        }
        let text = self.text.rsplit_once('/').map_or("", |(parent, _)| parent).to_owned();
        let raw = self.raw.as_ref().map(|raw| {
            let end = raw.iter().rposition(|&byte| byte == b'/').unwrap_or(0);
            raw[..end].to_vec()
        });
        Some(RelPath { text, raw })
    }

    /// Whether this lies in a folder, at any depth.
    pub fn is_inside(&self, dir: &RelPath) -> bool {
        dir.is_root() && !self.is_root()
            || self.bytes().strip_prefix(dir.bytes().as_ref()).is_some_and(|rest| rest.starts_with(b"/"))
    }

    /// The last name, as text; empty for the root.
    pub fn file_name(&self) -> &str {
        self.text.rsplit_once('/').map_or(&self.text, |(_, name)| name)
    }

    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The path as the bytes of its side.
    pub fn bytes(&self) -> Cow<'_, [u8]> {
        match &self.raw {
            None => Cow::Borrowed(self.text.as_bytes()),
            Some(raw) => Cow::Borrowed(raw),
        }
    }

    /// The bytes of its side, if they are not simply the UTF-8 of the text.
    pub fn raw(&self) -> Option<&[u8]> {
        self.raw.as_deref()
    }

    /// The bytes for a side that stores UTF-8: its own for names that it listed, else those of the text.
    pub fn utf8_bytes(&self) -> Cow<'_, [u8]> {
        let Some(raw) = &self.raw else { return utf8_bytes(&self.text) };
        let names = self.names().zip(raw.split(|&byte| byte == b'/'));
        let names = names.map(|(text, raw)| {
            // A name that only its text tells stands in `raw` as its text.
            if raw == text.as_bytes() { utf8_bytes(text) } else { Cow::Borrowed(raw) }
        });
        Cow::Owned(names.collect::<Vec<_>>().join(&b'/'))
    }

    /// Whether this is the root.
    pub fn is_root(&self) -> bool {
        self.text.is_empty()
    }

    /// How many names the path has.
    pub fn depth(&self) -> usize {
        if self.is_root() { 0 } else { 1 + self.text.matches('/').count() }
    }

    /// The names of the path, as text.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.text.split('/').filter(|part| !part.is_empty())
    }
}

impl PartialEq for RelPath {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}
impl Eq for RelPath {}
impl Hash for RelPath {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}
impl PartialOrd for RelPath {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for RelPath {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.text.cmp(&other.text)
    }
}
impl fmt::Display for RelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
impl fmt::Debug for RelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_holds_no_nul_neither_as_text_nor_in_its_bytes() {
        assert_eq!(Name::new("a\0b").unwrap_err(), BadName::Nul);
        assert_eq!(Name::with_raw("ab", b"a\0").unwrap_err(), BadName::Nul);
        assert!(RelPath::parse("a/b\0").is_err());
    }

    #[test]
    fn twins_have_the_same_folded_form() {
        for [one, other] in
            [["A.txt", "a.TXT"], ["\u{e4}", "A\u{308}"], ["\u{3c3}", "\u{3c2}"], ["\u{212b}", "\u{e5}"]]
        {
            assert_eq!(folded(one), folded(other), "{one} {other}");
        }
        assert_ne!(folded("a"), folded("\u{e4}"));
        assert_ne!(folded("\u{6625}.txt"), folded("\u{590f}.txt"));
    }

    #[test]
    fn a_path_cannot_climb_out() {
        assert_eq!(RelPath::parse("a/../b"), Err(BadName::Reserved));
        assert_eq!(Name::new("a/b"), Err(BadName::Separator));
        assert_eq!(Name::new(".."), Err(BadName::Reserved));
        assert_eq!(Name::with_raw("x", b"a/b"), Err(BadName::Separator));
    }

    #[test]
    fn a_path_lies_in_its_folders_and_in_no_namesake() {
        let path = |text| RelPath::parse(text).unwrap();
        assert!(path("a/b/c").is_inside(&path("a")) && path("a").is_inside(&RelPath::root()));
        assert!(!path("ab/c").is_inside(&path("a")) && !path("a").is_inside(&path("a")));
        assert!(!RelPath::root().is_inside(&RelPath::root()));
    }

    #[test]
    fn bytes_that_are_not_utf8_survive_in_the_text_alone() {
        let name = Name::from_utf8_bytes(b"a\xff\xe4b").unwrap();
        assert_eq!(name.raw(), Some(&b"a\xff\xe4b"[..]));
        assert_eq!(&*utf8_bytes(name.without_raw().as_str()), b"a\xff\xe4b");
        assert_eq!(&*utf8_bytes("\u{e4}"), "\u{e4}".as_bytes());
        let below_text = RelPath::root().join(&name.without_raw()).join(&name);
        assert_eq!(&*below_text.utf8_bytes(), b"a\xff\xe4b/a\xff\xe4b");
    }

    #[test]
    fn join_and_parent_are_inverse_and_keep_the_bytes() {
        let folder = RelPath::parse("a/b").unwrap();
        let name = Name::with_raw("ä", b"\xe4").unwrap();
        let file = folder.join(&name);
        assert_eq!((file.as_str(), &*file.bytes()), ("a/b/ä", &b"a/b/\xe4"[..]));
        assert_eq!(file.parent().unwrap(), folder);
        assert_eq!(file.parent().unwrap().raw(), Some(&b"a/b"[..]));
        assert_eq!(file.depth(), 3);
        assert_eq!(RelPath::root().parent(), None);
    }
}
