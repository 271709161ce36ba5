//! The copy, in the file of the root, of what every folder below it held at the last synchronisation with a peer.
//!
//! A folder's own memory lies inside it and goes with it. This second one still tells afterwards which files of the other
//! side are as they were. It is needed only when a folder was lost, so it stays the text that it is in the file: a tree of a
//! million files costs some 60 MB, and no folder is parsed that nobody asks for.

use super::meta_json::number;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

/// More than this (bytes) is not written: a folder that is lost then counts as one of which nothing is known, and comes back.
const MAX_SIZE: usize = 192 * 1024 * 1024;

/// What a folder held, by name.
pub type Held = BTreeMap<String, Copied>;

/// What was held under a name. Only the defaults for a folder.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Copied {
    /// The time that counts, in seconds since 1970-01-01 UTC.
    pub mtime: Option<f64>,
    /// The size, in bytes.
    pub size: Option<u64>,
    /// The time that the local disk showed, to the last digit, where no other memory tells it.
    pub exact: Option<f64>,
}

/// What folders held, by path. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Copies(BTreeMap<String, Arc<RawValue>>);

impl PartialEq for Copies {
    fn eq(&self, other: &Self) -> bool {
        self.texts().iter().map(text_of).eq(other.texts().iter().map(text_of))
    }
}

impl Copies {
    /// Takes over the section of a peer. What is no folder is left out.
    pub(super) fn parse(section: &RawValue) -> Self {
        let folders: BTreeMap<String, Box<RawValue>> =
            serde_json::from_str(section.get()).unwrap_or_default();
        Copies(folders.into_iter().map(|(path, held)| (path, compact(held))).collect())
    }

    /// Whether nothing is known of any folder.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether it is known what a folder held.
    pub fn contains(&self, path: &str) -> bool {
        self.0.contains_key(path)
    }

    /// Whether it is known what a folder, or one below it, held.
    pub fn leads_to(&self, path: &str) -> bool {
        self.contains(path) || self.below(path).next().is_some()
    }

    /// The known folders inside of one.
    fn below(&self, path: &str) -> impl Iterator<Item = &String> {
        let below = format!("{path}/");
        let from = self.0.range(below.clone()..);
        from.map(|(other, _)| other).take_while(move |other| other.starts_with(&below))
    }

    /// What a folder held.
    pub fn get(&self, path: &str) -> Option<Held> {
        let names: Map<String, Value> = serde_json::from_str(self.0.get(path)?.get()).ok()?;
        let copied = |value: &Value| {
            let (mtime, size) = (value.get(0)?.as_f64(), value.get(1)?.as_u64());
            Some(Copied { mtime, size, exact: value.get(2).and_then(Value::as_f64) })
        };
        Some(names.iter().filter_map(|(name, value)| Some((name.clone(), copied(value)?))).collect())
    }

    /// How many files a folder and those below it held.
    pub fn count_files(&self, path: &str) -> u64 {
        let inside = self.below(path).map(String::as_str).chain([path]);
        let held = inside.filter_map(|path| self.get(path)).flatten();
        held.filter(|(_, copied)| copied.size.is_some()).count() as u64
    }

    /// Remembers what a folder held.
    pub fn insert(&mut self, path: &str, held: &Held) {
        let value = |Copied { mtime, size, exact }: &Copied| match exact {
            None => json!([number(*mtime), size]),
            Some(_) => json!([number(*mtime), size, number(*exact)]),
        };
        let names: Map<String, Value> =
            held.iter().map(|(name, copied)| (name.clone(), value(copied))).collect();
        if let Ok(text) = to_raw_value(&names) {
            self.0.insert(path.to_owned(), Arc::from(text));
        }
    }

    /// Forgets some names in a folder.
    pub fn forget(&mut self, path: &str, names: &HashSet<String>) {
        if let Some(mut held) = self.get(path).filter(|_| !names.is_empty()) {
            held.retain(|name, _| !names.contains(name));
            self.insert(path, &held);
        }
    }

    /// Forgets a folder and all below it.
    pub fn forget_tree(&mut self, path: &str) {
        self.0.remove(path);
        let inside: Vec<String> = self.below(path).cloned().collect();
        inside.iter().for_each(|other| drop(self.0.remove(other)));
    }

    /// Whether it may be written.
    pub(super) fn fits(&self) -> bool {
        self.0.iter().map(|(path, held)| path.len() + held.get().len()).sum::<usize>() < MAX_SIZE
    }

    /// The section of a peer, folder by folder.
    pub(super) fn texts(&self) -> BTreeMap<&str, &RawValue> {
        self.0.iter().map(|(path, held)| (path.as_str(), held.as_ref())).collect()
    }

    /// The section of a peer as a value, for who wants to indent it.
    pub(super) fn value(&self) -> Value {
        let parsed = |held: &RawValue| serde_json::from_str(held.get()).unwrap_or_default();
        Value::Object(self.0.iter().map(|(path, held)| (path.clone(), parsed(held))).collect())
    }
}

fn text_of<'a>((path, held): (&&'a str, &&'a RawValue)) -> (&'a str, &'a str) {
    (path, held.get())
}

/// Text without the blanks that somebody may have put in for the eye.
fn compact(text: Box<RawValue>) -> Arc<RawValue> {
    let parse = |text: &RawValue| to_raw_value(&serde_json::from_str::<Value>(text.get()).ok()?).ok();
    let is_indented = text.get().contains('\n');
    Arc::from(if is_indented { parse(&text).unwrap_or(text) } else { text })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held() -> Held {
        let file = Copied { mtime: Some(1.5), size: Some(7), exact: Some(1.625) };
        Held::from([("a".to_owned(), file), ("sub".to_owned(), Copied::default())])
    }

    #[test]
    fn a_folder_is_known_until_it_is_forgotten_with_all_below_it() {
        let mut copies = Copies::default();
        for path in ["d", "d/e", "d-2"] {
            copies.insert(path, &held());
        }
        assert_eq!(copies.get("d/e"), Some(held()));
        assert_eq!(copies.count_files("d"), 2);
        copies.forget("d/e", &HashSet::from(["a".to_owned()]));
        assert_eq!(copies.get("d/e").unwrap().len(), 1);
        copies.forget_tree("d");
        assert!(!copies.contains("d") && !copies.contains("d/e") && copies.contains("d-2"));
    }

    #[test]
    fn what_is_no_folder_is_unknown() {
        for odd in ["7", "[]", r#"{"d":7}"#, r#"{"d":{"a":7}}"#] {
            let odd = RawValue::from_string(odd.to_owned()).unwrap();
            assert!(Copies::parse(&odd).get("d").is_none_or(|held| held.is_empty()));
        }
    }
}
