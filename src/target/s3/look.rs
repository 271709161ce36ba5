//! What is at some keys right now: by listings where many of them lie together, else by one question for each.

use super::client::each;
use super::listing::{Wanted, common_start, folders_of};
use super::refusal::Trouble;
use super::session::S3Session;
use crate::error::Result;
use crate::model::RelPath;
use crate::target::Expect;
use crate::wire::s3::answer::Object;
use std::collections::HashMap;

/// Keys of one folder that make listing it cheaper than asking for each.
const MANY: usize = 4;

/// What is at a key.
#[derive(Debug, Clone, Default)]
pub struct There {
    pub file: Option<Object>,
    /// Other keys continue this one with a slash.
    pub is_folder: bool,
}

impl S3Session {
    /// What is at each of these keys.
    pub(super) fn look(&self, keys: &[&str]) -> Result<HashMap<String, There>, Trouble> {
        let mut found: HashMap<String, There> = HashMap::new();
        let mut single: Vec<&str> = Vec::new();
        for folder in folders_of(keys.iter().copied()) {
            let inside = |key: &&str| key.strip_prefix(folder).is_some_and(|rest| !rest.contains('/'));
            let group: Vec<&str> = keys.iter().copied().filter(inside).collect();
            if group.len() < MANY || !self.look_together(&group, &mut found)? {
                single.extend(group);
            }
        }
        let answers = each(&single, |key| self.patiently(|| self.look_at(key)));
        for (key, answer) in single.iter().zip(answers) {
            found.insert((*key).to_owned(), answer?);
        }
        Ok(found)
    }

    /// Looks at keys of one folder by listing it; false if that takes more answers than it is worth.
    fn look_together(&self, keys: &[&str], found: &mut HashMap<String, There>) -> Result<bool, Trouble> {
        let prefix = common_start(keys);
        let wanted = Wanted { prefix: &prefix, shallow: true, most: 0 };
        let most = 1 + keys.len() / MANY;
        let (mut count, mut is_too_much) = (0, false);
        let mut listed: HashMap<String, There> =
            keys.iter().map(|key| ((*key).to_owned(), There::default())).collect();
        self.pages(wanted, |page, is_last| {
            count += 1;
            for object in page.objects {
                if let Some(there) = listed.get_mut(&object.key) {
                    there.file = Some(object);
                }
            }
            for prefix in &page.prefixes {
                if let Some(there) = prefix.strip_suffix('/').and_then(|key| listed.get_mut(key)) {
                    there.is_folder = true;
                }
            }
            is_too_much = !is_last && count >= most || !page.unreadable.is_empty();
            !is_too_much
        })?;
        if !is_too_much {
            found.extend(listed);
        }
        Ok(!is_too_much)
    }

    /// What is at a key.
    pub(super) fn look_at(&self, key: &str) -> Result<There, Trouble> {
        // Both that key and what continues it with a slash are among the first that begin with it, unless many others are.
        let page = self.page(Wanted { prefix: key, shallow: true, most: 100 }, None)?;
        let is_complete = page.next.is_none() && page.unreadable.is_empty();
        let below = format!("{key}/");
        let mut there = There {
            is_folder: page.prefixes.contains(&below),
            file: page.objects.into_iter().find(|object| object.key == key),
        };
        if !there.is_folder && !is_complete {
            let page = self.page(Wanted { prefix: &below, shallow: false, most: 1 }, None)?;
            there.is_folder = !page.objects.is_empty();
        }
        if there.file.is_none() && !is_complete {
            there.file = self.head(key)?;
        }
        Ok(there)
    }

    pub(super) fn look_again(&mut self, names: &[(RelPath, Expect)]) -> Vec<Result<Option<bool>>> {
        let keys: Vec<Result<String>> = names.iter().map(|(path, _)| self.key(path)).collect();
        let plain: Vec<&str> = keys.iter().flatten().map(String::as_str).collect();
        let found = self.look(&plain);
        let answer = |key: Result<String>, path: &RelPath, expect: &Expect| {
            let there = match &found {
                Ok(found) => found.get(&key?).cloned().unwrap_or_default(),
                Err(trouble) => return Err(trouble.judged().during("look at").at(path)),
            };
            Ok(Some(is_as(&there, expect)))
        };
        keys.into_iter().zip(names).map(|(key, (path, expect))| answer(key, path, expect)).collect()
    }
}

/// Whether what is there is what should be.
pub fn is_as(there: &There, expect: &Expect) -> bool {
    match (expect, &there.file) {
        (Expect::Anything, _) => true,
        (Expect::Absent, file) => file.is_none() && !there.is_folder,
        (Expect::File(..), None) => false,
        (Expect::File(size, mtime), Some(file)) => {
            let same_time = match (mtime, file.modified) {
                // The answers to some questions tell whole seconds only.
                (Some(listed), Some(now)) => listed.seconds() == now.seconds(),
                _ => true,
            };
            size.is_none_or(|size| size == file.size) && same_time
        }
    }
}
