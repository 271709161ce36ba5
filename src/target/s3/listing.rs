//! Listings: a thousand keys for each question, and no question for each file.
//!
//! A folder is asked for with everything below it. Where that comes in one answer, or in few that hold many folders, the
//! folders below are known from then on. Where it is much, the folder alone is asked for, up to the next slash.

use super::client::Ask;
use super::known::{Folder, Seen};
use super::refusal::Trouble;
use super::session::S3Session;
use crate::error::{Error, Kind, Result};
use crate::model::{Entry, Listing, Name, Note, RelPath};
use crate::wire::s3::answer::{Object, Page};
use std::collections::{BTreeSet, HashMap, HashSet};

/// Answers that are collected before a folder is asked for alone.
const MOST_PAGES: usize = 200;
/// Folders in an answer that make it worth while to go on collecting.
const MANY_FOLDERS: usize = 10;

/// A page of a listing that is to be asked for.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wanted<'a> {
    pub prefix: &'a str,
    /// Only up to the next slash.
    pub shallow: bool,
    /// Keys, at most; 0 for as many as the server gives.
    pub most: usize,
}

impl S3Session {
    /// A page of a listing.
    pub(super) fn page(&self, wanted: Wanted<'_>, token: Option<&str>) -> Result<Page, Trouble> {
        // Keys are not asked for in an encoding: servers disagree about what a plus means in it, and our reader takes every
        // character as it comes. Only where the server has lost some it has to be.
        let mut ask = Ask::bucket("GET").query("list-type", "2").query("prefix", wanted.prefix);
        if wanted.shallow {
            ask = ask.query("delimiter", "/");
        }
        if wanted.most > 0 {
            ask = ask.query("max-keys", wanted.most.to_string());
        }
        if let Some(token) = token {
            ask = ask.query("continuation-token", token);
        }
        let mut page = Page::parse(&self.bytes(&ask)?)?;
        if page.is_garbled() {
            let told = match self.bytes(&ask.query("encoding-type", "url")) {
                Ok(told) => Page::parse(&told)?,
                Err(trouble) if trouble.is_unsupported() => Page::default(),
                Err(trouble) => return Err(trouble),
            };
            page.mend(&told);
        }
        Ok(page)
    }

    /// The pages of a listing, each handed to `take` with whether it is the last one, until that says false.
    pub(super) fn pages(
        &self,
        wanted: Wanted<'_>,
        mut take: impl FnMut(Page, bool) -> bool,
    ) -> Result<(), Trouble> {
        let mut token: Option<String> = None;
        let mut passed = HashSet::new();
        loop {
            let mut page = match &token {
                None => self.page(wanted, None)?,
                Some(_) => self.patiently(|| self.page(wanted, token.as_deref()))?,
            };
            let next = page.next.take();
            // Sums of them, since they may be long.
            let is_new = |next: &String| passed.insert(md5::compute(next).0);
            if !next.as_ref().is_none_or(is_new) {
                return Err(super::client::nonsense("the listing of the server goes in circles").into());
            }
            if !take(page, next.is_none()) || next.is_none() {
                return Ok(());
            }
            token = next;
        }
    }

    /// What a folder holds; `None` if there is no such folder.
    pub(super) fn gather(&self, prefix: &str) -> Result<Option<Folder>, Trouble> {
        if let Some(folder) = self.server.known().take_ahead(prefix) {
            return Ok(Some(folder));
        }
        let mut found: HashMap<String, Folder> = HashMap::new();
        let (mut count, mut is_too_much) = (0, false);
        self.pages(Wanted { prefix, ..Wanted::default() }, |page, is_last| {
            count += 1;
            sort_into(&mut found, prefix, page);
            is_too_much = !is_last && (found.len() < MANY_FOLDERS * count || count >= MOST_PAGES);
            !is_too_much
        })?;
        if is_too_much {
            found = self.alone(prefix)?;
        }
        if found.get(prefix).is_some_and(|folder| folder.may_lack) {
            found.values_mut().for_each(|folder| folder.may_lack = true);
        }
        let folder = found.remove(prefix);
        self.server.known().keep_ahead(found);
        Ok(folder.filter(|folder| !folder.is_nothing()))
    }

    /// What a folder holds, asked for without what is below it.
    fn alone(&self, prefix: &str) -> Result<HashMap<String, Folder>, Trouble> {
        let mut found: HashMap<String, Folder> = HashMap::new();
        self.pages(Wanted { prefix, shallow: true, ..Wanted::default() }, |page, _| {
            sort_into(&mut found, prefix, page);
            true
        })?;
        found.retain(|known, _| known == prefix);
        Ok(found)
    }

    /// The listing of a folder.
    pub(super) fn list_folder(&self, dir: &RelPath) -> Result<Listing, Trouble> {
        let prefix = self.prefix(dir)?;
        let folder = match self.gather(&prefix)? {
            Some(folder) => folder,
            // It was there: its last file has gone, and that is no reason to fail.
            None if dir.is_root() || self.server.known().has_folder(&prefix) => Folder::default(),
            None => return Err(Error::new(Kind::NotFound, "no such file or folder").into()),
        };
        Ok(self.told(&prefix, folder))
    }

    fn told(&self, prefix: &str, folder: Folder) -> Listing {
        let mut listing = Listing { complete: !folder.may_lack, ..Listing::default() };
        let mut known = self.server.known();
        known.see_folder(prefix);
        for name in &folder.folders {
            // It was looked at when the keys were sorted.
            let Ok(found) = Name::new(name.as_str()) else { continue };
            known.see_folder(&format!("{prefix}{name}/"));
            listing.entries.push(Entry::folder(found, None));
        }
        for object in folder.files {
            let name = &object.key[prefix.len()..];
            let Ok(found) = Name::new(name) else { continue };
            if folder.folders.contains(name) {
                listing.notes.push(Note::stuck(name, "a folder has the same name"));
                continue;
            }
            let mut entry = Entry::file(found, Some(object.size), object.modified);
            if !object.etag.is_empty() {
                entry.unique = Some(object.etag.as_str().into());
            }
            listing.entries.push(entry);
            let Object { key, size, modified, etag } = object;
            known.see(&key, Seen { size, modified, etag });
        }
        // Whoever tells it puts the folder in front.
        let below = |key: &'_ String| key.strip_prefix(prefix).unwrap_or(key).to_owned();
        let odd = folder
            .odd
            .iter()
            .map(|key| Note::stuck(below(key), "its key cannot be the path of a local file"));
        listing.notes.extend(odd);
        listing
    }
}

impl Folder {
    /// Whether there is not even a marker.
    fn is_nothing(&self) -> bool {
        self.files.is_empty() && self.folders.is_empty() && self.odd.is_empty() && !self.has_marker
    }
}

/// Puts what a page tells into the folders below (and at) `top`.
fn sort_into(found: &mut HashMap<String, Folder>, top: &str, page: Page) {
    let mut unreadable = page.unreadable;
    for prefix in page.prefixes {
        let Some(name) = prefix.strip_prefix(top).and_then(|rest| rest.strip_suffix('/')) else { continue };
        let folder = found.entry(top.to_owned()).or_default();
        match Name::new(name) {
            Ok(_) => drop(folder.folders.insert(name.to_owned())),
            Err(_) => drop(folder.odd.insert(prefix)),
        }
    }
    for object in page.objects {
        sort_object(found, top, object);
    }
    if !unreadable.is_empty() {
        let folder = found.entry(top.to_owned()).or_default();
        folder.odd.extend(unreadable.drain(..));
        folder.may_lack = true;
    }
}

fn sort_object(found: &mut HashMap<String, Folder>, top: &str, object: Object) {
    if !object.key.starts_with(top) {
        return;
    }
    let mut start = top.len();
    loop {
        let rest = &object.key[start..];
        let folder = match found.get_mut(&object.key[..start]) {
            Some(folder) => folder,
            None => found.entry(object.key[..start].to_owned()).or_default(),
        };
        match rest.split_once('/') {
            Some((name, _)) if Name::new(name).is_ok() => {
                if !folder.folders.contains(name) {
                    folder.folders.insert(name.to_owned());
                }
                start += name.len() + 1;
            }
            Some((name, _)) => {
                folder.odd.insert(object.key[..start + name.len() + 1].to_owned());
                return;
            }
            None if rest.is_empty() => {
                folder.has_marker = true;
                if object.size > 0 {
                    folder.odd.insert(object.key);
                }
                return;
            }
            None if Name::new(rest).is_ok() => {
                folder.files.push(object);
                return;
            }
            None => {
                folder.odd.insert(object.key);
                return;
            }
        }
    }
}

/// What several keys begin with, up to the last slash in it or not.
pub fn common_start(keys: &[&str]) -> String {
    let Some((first, others)) = keys.split_first() else { return String::new() };
    let mut start = *first;
    for key in others {
        while !key.starts_with(start) {
            let mut end = start.len() - 1;
            while !start.is_char_boundary(end) {
                end -= 1;
            }
            start = &start[..end];
        }
    }
    start.to_owned()
}

/// The folders of some keys, each once.
pub fn folders_of<'k>(keys: impl Iterator<Item = &'k str>) -> BTreeSet<&'k str> {
    keys.map(|key| &key[..key.rfind('/').map_or(0, |slash| slash + 1)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(key: &str) -> Object {
        Object {
            key: key.to_owned(),
            size: u64::from(!key.ends_with('/')),
            modified: None,
            etag: String::new(),
        }
    }

    #[test]
    fn keys_become_folders_and_what_cannot_be_a_name_is_told() {
        let keys = ["r/", "r/a", "r/d/", "r/d/e/f", "r/d//x", "r/../y", "r/./z", "r/d/.."];
        let page = Page { objects: keys.map(object).into(), ..Page::default() };
        let mut found = HashMap::new();
        sort_into(&mut found, "r/", page);
        let root = &found["r/"];
        assert_eq!(root.files.len(), 1);
        assert!(root.has_marker);
        assert_eq!(root.folders.iter().collect::<Vec<_>>(), ["d"]);
        assert_eq!(root.odd.iter().collect::<Vec<_>>(), ["r/../", "r/./"]);
        assert_eq!(found["r/d/"].odd.iter().collect::<Vec<_>>(), ["r/d/..", "r/d//"]);
        assert_eq!(found["r/d/e/"].files[0].key, "r/d/e/f");
        assert!(!found.contains_key("r/../"));
    }

    #[test]
    fn keys_begin_alike() {
        assert_eq!(common_start(&["a/file 1", "a/file 22", "a/file"]), "a/file");
        assert_eq!(common_start(&["über", "übel"]), "übe");
        assert_eq!(common_start(&["ü", "ä"]), "");
        assert_eq!(common_start(&[]), "");
    }
}
