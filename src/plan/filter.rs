//! Which names take part: shell patterns exactly as Python's `fnmatch` reads them.

use crate::model::{CONFIG_FILE_NAMES, EntryKind, LOCK_FILE_NAME, META_FILE_NAME, TEMP_PREFIX, TRASH_NAME};
use regex::RegexSet;
use std::fmt::Write as _;

/// The rules of `match` and `exclude`.
#[derive(Debug, Clone)]
pub struct Filter {
    include: Option<RegexSet>,
    exclude: RegexSet,
}

/// A pattern that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadPattern(pub String);

impl Filter {
    /// `match` patterns (files only; none means all) and `exclude` patterns (files and folders; they win).
    ///
    /// `fold_case` as on platforms whose file names ignore case.
    ///
    /// # Errors
    /// [`BadPattern`] if a pattern is too large to compile; every text is a valid pattern otherwise.
    pub fn new(include: &[String], exclude: &[String], fold_case: bool) -> Result<Self, BadPattern> {
        let set = |patterns: &[String]| {
            let flags = if fold_case { "(?si)" } else { "(?s)" };
            RegexSet::new(patterns.iter().map(|pattern| format!("{flags}{}", translate(pattern))))
                .map_err(|error| BadPattern(error.to_string()))
        };
        Ok(Filter {
            include: (!include.is_empty()).then(|| set(include)).transpose()?,
            exclude: set(exclude)?,
        })
    }

    /// A filter that lets everything through but our own files.
    pub fn all() -> Self {
        Filter { include: None, exclude: RegexSet::empty() }
    }

    /// Whether an entry of this base name takes part.
    pub fn matches(&self, name: &str, kind: EntryKind) -> bool {
        let is_included = match (&self.include, kind) {
            (Some(include), EntryKind::File) => include.is_match(name),
            (Some(_), EntryKind::Folder) | (None, _) => true,
        };
        is_included && !is_always_omitted(name) && !self.exclude.is_match(name)
    }
}

/// Whether the name belongs to the tool itself: metadata, lock, trash, task files. They are never synchronised.
pub fn is_always_omitted(name: &str) -> bool {
    name == META_FILE_NAME
        || name == LOCK_FILE_NAME
        || name == TRASH_NAME
        || CONFIG_FILE_NAMES.contains(&name)
        || is_temporary(name)
}

/// Whether the name is one of our temporary files. Servers may hide one until it is complete, with something of their own in
/// front (ProFTPD with HiddenStores: `.in.`); then the number tells that it is ours.
pub fn is_temporary(name: &str) -> bool {
    let has_number =
        |rest: &str| rest.len() >= 16 && rest.bytes().take(16).all(|byte| byte.is_ascii_hexdigit());
    match name.split_once(TEMP_PREFIX) {
        Some(("", _)) => true,
        Some((front, rest)) => front.starts_with('.') && has_number(rest),
        None => false,
    }
}

/// A shell pattern as a regular expression, with the rules of Python's `fnmatch`: `*` and `?` match any character, also
/// dots and line ends; `[!...]` negates, `[^...]` does not; an unclosed `[` is a plain character; there are no escapes.
fn translate(pattern: &str) -> String {
    let chars: Vec<char> = pattern.chars().collect();
    let mut regex = String::from(r"\A(?:");
    let mut at = 0;
    while at < chars.len() {
        let char = chars[at];
        at += 1;
        match char {
            '*' => regex.push_str(".*"),
            '?' => regex.push('.'),
            '[' => match class_end(&chars, at) {
                Some(end) => {
                    push_class(&mut regex, &chars[at..end]);
                    at = end + 1;
                }
                None => push_literal(&mut regex, '['),
            },
            other => push_literal(&mut regex, other),
        }
    }
    regex.push_str(r")\z");
    regex
}

/// Where the class that begins at `start` ends, if it does: a `]` right at its beginning is a member.
fn class_end(chars: &[char], start: usize) -> Option<usize> {
    let mut at = start;
    if chars.get(at) == Some(&'!') {
        at += 1;
    }
    if chars.get(at) == Some(&']') {
        at += 1;
    }
    (at..chars.len()).find(|&index| chars[index] == ']')
}

fn push_class(regex: &mut String, body: &[char]) {
    let (negated, members) = match body {
        ['!', members @ ..] => (true, members),
        members => (false, members),
    };
    let ranges = class_ranges(members);
    if ranges.is_empty() {
        // A class without members, such as [c-a], matches nothing; negated, it matches any character.
        regex.push_str(if negated { "." } else { r"[^\x{0}-\x{10FFFF}]" });
        return;
    }
    regex.push_str(if negated { "[^" } else { "[" });
    for (low, high) in ranges {
        let _ = write!(regex, r"\x{{{:x}}}-\x{{{:x}}}", u32::from(low), u32::from(high));
    }
    regex.push(']');
}

/// The ranges of a class. A hyphen makes a range only between two members; after a range it is one itself.
fn class_ranges(members: &[char]) -> Vec<(char, char)> {
    let mut ranges = Vec::new();
    let mut at = 0;
    while at < members.len() {
        match members[at..] {
            [low, '-', high, ..] => {
                if low <= high {
                    ranges.push((low, high));
                }
                at += 3;
            }
            [single, ..] => {
                ranges.push((single, single));
                at += 1;
            }
            [] => break,
        }
    }
    ranges
}

fn push_literal(regex: &mut String, char: char) {
    let mut buffer = [0; 4];
    regex.push_str(&regex::escape(char.encode_utf8(&mut buffer)));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_match(pattern: &str, name: &str) -> bool {
        let filter = Filter::new(&[], &[pattern.to_owned()], false).unwrap();
        !filter.matches(name, EntryKind::File)
    }

    #[test]
    fn temporary_files_are_ours_and_nobody_elses() {
        for (name, expected) in [
            (".pyftpsync-tmp-notes", true),
            (".in..pyftpsync-tmp-826f1dc6f1000004-page.html.", true),
            (".in..pyftpsync-tmp-notes", false),
            ("about.pyftpsync-tmp-826f1dc6f1000004", false),
            ("my.pyftpsync-tmp-notes", false),
            (".in.page.html.", false),
        ] {
            assert_eq!(is_temporary(name), expected, "{name}");
        }
    }

    #[test]
    fn patterns_read_as_in_python() {
        for (pattern, name, expected) in [
            ("*.txt", "a.txt", true),
            ("*.txt", ".txt", true),
            ("?", "é", true),
            ("*", ".hidden", true),
            ("[!a]", "b", true),
            ("[!a]", "a", false),
            ("[^a]", "^", true),
            ("[^a]", "b", false),
            ("[a", "[a", true),
            ("[]]", "]", true),
            ("[]", "[]", true),
            ("[c-a]", "b", false),
            ("[!c-a]", "b", true),
            ("{a,b}", "a", false),
            ("{a,b}", "{a,b}", true),
            ("a\\*", "a\\x", true),
            ("[a-c-e]", "-", true),
            ("[a-c-e]", "d", false),
            ("A", "a", false),
            ("a*", "a\n", true),
            ("[à-ü]", "é", true),
        ] {
            assert_eq!(is_match(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn match_is_for_files_and_exclude_wins() {
        let filter = Filter::new(&["*.txt".into()], &["b*".into(), ".git".into()], false).unwrap();
        assert!(filter.matches("a.txt", EntryKind::File));
        assert!(!filter.matches("a.jpg", EntryKind::File));
        assert!(filter.matches("folder", EntryKind::Folder));
        assert!(!filter.matches("b.txt", EntryKind::File));
        assert!(!filter.matches(".git", EntryKind::Folder));
    }

    #[test]
    fn our_own_files_never_take_part() {
        let filter = Filter::all();
        for name in
            [META_FILE_NAME, LOCK_FILE_NAME, "pyftpsync.yaml", ".pyftpsync.yaml", ".pyftpsync-tmp-1-a"]
        {
            assert!(!filter.matches(name, EntryKind::File), "{name}");
        }
    }
}
