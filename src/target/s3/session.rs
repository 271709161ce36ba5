//! The verbs, and what they share.

use super::Server;
use super::client::{Ask, LIMIT, each};
use super::known::Seen;
use super::listing::{Wanted, folders_of};
use super::net::{Answer, interrupted};
use super::own_time::own_time;
use super::refusal::{Refused, Trouble};
use super::write::Condition;
use crate::error::{Error, Kind, Result};
use crate::locked::locked;
use crate::model::{Listing, RelPath, Stamp};
use crate::target::{Claim, Expect, Put, Session, Written};
use crate::wire::s3::answer::{self, Object, escaped, unquoted};
use crate::wire::s3::time;
use std::io::Read;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

/// Keys that one question may delete.
const BURST: usize = 1000;
/// No key is longer, in bytes.
const LONGEST_KEY: usize = 1024;

/// A conversation: nothing but the right to ask, until everything is interrupted.
pub struct S3Session {
    pub(super) server: Arc<Server>,
    /// The key that was read last, and the time that the object carries with it.
    pub(super) carried: Mutex<Option<(String, Stamp)>>,
    interruptions: u64,
}

impl S3Session {
    pub(super) fn new(server: Arc<Server>, interruptions: u64) -> Self {
        S3Session { server, carried: Mutex::default(), interruptions }
    }

    /// Looks whether the bucket answers and the root is there. What it learns is the first listing.
    pub(super) fn enter(&mut self) -> Result<()> {
        let prefix = self.server.prefix.clone();
        let context = |error: Error| {
            let error = error
                .during("change to the folder")
                .at(format!("s3://{}/{prefix}", self.server.client.bucket));
            match error.kind() {
                Kind::Connect | Kind::UnknownHost => error.advise("check the endpoint URL and the region"),
                _ => error,
            }
        };
        let found = self.gather(&prefix).map_err(|trouble| context(trouble.into()))?;
        match found {
            Some(folder) => {
                let mut known = self.server.known();
                known.see_folder(&prefix);
                known.keep_ahead([(prefix.clone(), folder)].into());
                Ok(())
            }
            None if prefix.is_empty() => Ok(()),
            None if self.server.config.create_root => {
                self.mark(&prefix).map_err(|trouble| context(trouble.into()))
            }
            None => {
                let error = Error::new(Kind::NotFound, "nothing is there");
                Err(context(error).advise("check the path, or let --create-folder make it"))
            }
        }
    }

    // --- Questions ---

    pub(super) fn ask(&self, ask: &Ask<'_>) -> Result<Answer<'_>, Trouble> {
        if !self.is_on() {
            return Err(interrupted().into());
        }
        self.server.client.ask(ask, self.interruptions)
    }

    pub(super) fn bytes(&self, ask: &Ask<'_>) -> Result<Vec<u8>, Trouble> {
        Ok(self.ask(ask)?.bytes(LIMIT)?)
    }

    pub(super) fn patiently<T>(&self, work: impl FnMut() -> Result<T, Trouble>) -> Result<T, Trouble> {
        self.server.client.patiently(self.interruptions, work)
    }

    pub(super) fn is_on(&self) -> bool {
        self.server.client.net.sockets.interruptions() == self.interruptions
    }

    /// An object by its headers; `None` if there is none.
    pub(super) fn head(&self, key: &str) -> Result<Option<Object>, Trouble> {
        match self.ask(&Ask::key("HEAD", key)) {
            Ok(answer) => {
                let get = |name: &str| answer.head.get(name);
                let size = get("content-length").and_then(|size| size.parse().ok());
                Ok(Some(Object {
                    key: key.to_owned(),
                    size: size.ok_or_else(|| super::client::nonsense("an object has no size"))?,
                    modified: get("last-modified").and_then(time::header),
                    etag: get("etag").map(unquoted).unwrap_or_default(),
                }))
            }
            Err(trouble) if trouble.is_missing() => Ok(None),
            Err(trouble) => Err(trouble),
        }
    }

    /// The time that a file carries with it, if it still is the object that was listed.
    fn own_time(&self, file: &RelPath) -> Result<Option<Stamp>, Trouble> {
        let key = self.key(file)?;
        let listed = self.server.known().seen(&key).map(|seen| seen.etag.clone()).unwrap_or_default();
        match self.patiently(|| self.ask(&Ask::key("HEAD", &key))) {
            Ok(answer) => {
                let etag = answer.head.get("etag").map(unquoted).unwrap_or_default();
                Ok(own_time(&answer.head).filter(|_| listed.is_empty() || etag == listed))
            }
            // It went meanwhile, or may be listed but not looked at: then what was listed counts.
            Err(Trouble::Refused(_)) => Ok(None),
            Err(trouble) => Err(trouble),
        }
    }

    // --- Keys ---

    /// The key of a file.
    pub(super) fn key(&self, file: &RelPath) -> Result<String> {
        let key = format!("{}{file}", self.server.prefix);
        if key.len() > LONGEST_KEY {
            Err(Error::new(Kind::Name, format!("S3 has no keys longer than {LONGEST_KEY} bytes")).at(file))
        } else {
            Ok(key)
        }
    }

    /// What the keys in a folder begin with.
    pub(super) fn prefix(&self, dir: &RelPath) -> Result<String> {
        if dir.is_root() { Ok(self.server.prefix.clone()) } else { Ok(format!("{}/", self.key(dir)?)) }
    }

    /// Puts a marker at a folder.
    fn mark(&self, prefix: &str) -> Result<(), Trouble> {
        self.bytes(&Ask::key("PUT", prefix).header("content-type", "application/x-directory"))?;
        let mut known = self.server.known();
        known.change(prefix);
        known.see_folder(prefix);
        Ok(())
    }

    /// Makes sure that the folder of a file is there: writing into one that somebody has removed would bring it back.
    pub(super) fn look_for_folder_of(&self, file: &RelPath) -> Result<(), Trouble> {
        let dir = file.parent().unwrap_or_default();
        let prefix = self.prefix(&dir)?;
        if dir.is_root() || self.server.known().has_folder(&prefix) {
            return Ok(());
        }
        if !self.look_at(&self.key(&dir)?)?.is_folder {
            return Err(Error::new(Kind::NotFound, "its folder is not there").into());
        }
        self.server.known().see_folder(&prefix);
        Ok(())
    }

    // --- Verbs ---

    fn make_folder(&self, dir: &RelPath) -> Result<(), Trouble> {
        if dir.is_root() {
            return Ok(());
        }
        let prefix = self.prefix(dir)?;
        if self.server.known().has_folder(&prefix) {
            return Ok(());
        }
        let there = self.look_at(&self.key(dir)?)?;
        if there.file.is_some() {
            return Err(Error::new(Kind::Exists, "a file has this name").into());
        }
        if there.is_folder {
            self.server.known().see_folder(&prefix);
            return Ok(());
        }
        self.mark(&prefix)
    }

    fn remove_folder(&self, dir: &RelPath) -> Result<(), Trouble> {
        let prefix = self.prefix(dir)?;
        let page = self.page(Wanted { prefix: &prefix, shallow: false, most: 2 }, None)?;
        // A marker that holds something is no mere marker: there may be no other copy of it.
        let is_more = |object: &Object| object.key != prefix || object.size > 0;
        if page.objects.iter().any(is_more) || !page.unreadable.is_empty() {
            return Err(Error::new(Kind::Refused, "not empty").with_os(libc::ENOTEMPTY).into());
        }
        let is_marked = !page.objects.is_empty();
        if is_marked {
            self.bytes(&Ask::key("DELETE", &prefix))?;
        }
        let mut known = self.server.known();
        known.change(&prefix);
        if known.unsee_folder(&prefix) || is_marked {
            Ok(())
        } else {
            Err(Error::new(Kind::NotFound, "no such file or folder").into())
        }
    }

    /// Removes files, and leaves a marker where a folder would vanish with its last file.
    fn remove_burst(&self, files: &[RelPath]) -> Result<Vec<Result<()>>, Trouble> {
        let keys: Vec<String> = files.iter().map(|file| self.key(file)).collect::<Result<_>>()?;
        let plain: Vec<&str> = keys.iter().map(String::as_str).collect();
        let there = self.look(&plain)?;
        let exists = |key: &str| there.get(key).is_some_and(|there| there.file.is_some());
        let doomed: Vec<&str> = plain.iter().copied().filter(|key| exists(key)).collect();
        let mut refused: Vec<(String, Refused)> = Vec::new();
        for burst in doomed.chunks(BURST) {
            refused.extend(self.patiently(|| self.delete(burst))?);
        }
        let mut known = self.server.known();
        for key in &doomed {
            known.unsee(key);
            known.change(key);
        }
        drop(known);
        let folders: Vec<&str> =
            folders_of(doomed.iter().copied()).into_iter().filter(|dir| !dir.is_empty()).collect();
        let kept = each(&folders, |dir| {
            let page = self.page(Wanted { prefix: dir, shallow: false, most: 1 }, None)?;
            if page.objects.is_empty() && page.unreadable.is_empty() { self.mark(dir) } else { Ok(()) }
        });
        kept.into_iter().collect::<Result<Vec<()>, Trouble>>()?;
        Ok(keys
            .iter()
            .map(|key| match refused.iter().find(|(name, _)| name == key) {
                Some((_, refused)) => Err(refused.error()),
                None if exists(key) => Ok(()),
                None => Err(Error::new(Kind::NotFound, "no such file or folder")),
            })
            .collect())
    }

    /// Deletes objects, and returns those that the server keeps.
    pub(super) fn delete(&self, keys: &[&str]) -> Result<Vec<(String, Refused)>, Trouble> {
        let one_by_one = || {
            let deleted = each(keys, |key| self.bytes(&Ask::key("DELETE", key)));
            deleted.into_iter().try_for_each(|one| one.map(drop)).map(|()| Vec::new())
        };
        // XML has no form for some characters that a key may have.
        if keys.len() == 1
            || keys
                .iter()
                .any(|key| key.contains(|char: char| char < ' ' || char == '\u{fffe}' || char == '\u{ffff}'))
        {
            return one_by_one();
        }
        let mut body = "<Delete><Quiet>true</Quiet>".to_owned();
        for key in keys {
            body.push_str(&format!("<Object><Key>{}</Key></Object>", escaped(key)));
        }
        body.push_str("</Delete>");
        let sum = data_encoding::BASE64.encode(&md5::compute(&body).0);
        let ask = Ask::bucket("POST").query("delete", "").header("content-md5", sum).body(body.as_bytes());
        match self.bytes(&ask) {
            Ok(told) => {
                let told = answer::not_deleted(&told)?;
                Ok(told.into_iter().map(|(key, refusal)| (key, Refused::in_a_success(refusal))).collect())
            }
            // Not every server knows the question.
            Err(trouble) if trouble.is_unsupported() => one_by_one(),
            Err(trouble) => Err(trouble),
        }
    }

    /// Remembers an object that was just written.
    pub(super) fn wrote(&self, key: &str, seen: Seen) {
        let mut known = self.server.known();
        known.change(key);
        known.see(key, seen);
    }
}

impl Session for S3Session {
    fn list(&mut self, dir: &RelPath) -> Result<Listing> {
        let shown = if dir.is_root() { self.server.client.shown() } else { dir.to_string() };
        self.list_folder(dir).map_err(|trouble| Error::from(trouble).during("list").at(shown))
    }

    fn read(&mut self, file: &RelPath, lend: &mut dyn FnMut(&mut dyn Read) -> Result<()>) -> Result<()> {
        self.download(file, 0, lend)
    }

    fn checks_wholes(&self) -> bool {
        true
    }

    fn claim(&mut self, file: &RelPath) -> Result<Option<Box<dyn Claim>>> {
        self.claim_of(file).map_err(|trouble| Error::from(trouble).during("look at").at(file))
    }

    fn can_read_from(&self) -> bool {
        !self.server.ignores_ranges.load(Ordering::Relaxed)
    }

    fn read_from(
        &mut self,
        file: &RelPath,
        start: u64,
        lend: &mut dyn FnMut(&mut dyn Read) -> Result<()>,
    ) -> Result<()> {
        self.download(file, start, lend)
    }

    fn end_upload(&mut self, file: &RelPath, upload: &str) -> Result<()> {
        let ended = self.end_left_upload(file, upload);
        ended.map_err(|trouble| Error::from(trouble).during("end the upload of").at(file))
    }

    fn write(&mut self, file: &RelPath, body: &mut dyn Read, put: &Put) -> Result<Written> {
        self.upload(file, body, put)
    }

    fn mkdir(&mut self, dir: &RelPath) -> Result<()> {
        self.make_folder(dir).map_err(|trouble| Error::from(trouble).during("make the folder").at(dir))
    }

    fn remove_file(&mut self, file: &RelPath) -> Result<()> {
        let result = self.remove_burst(std::slice::from_ref(file)).map_err(Error::from);
        let result = result.and_then(|mut results| results.pop().unwrap_or(Ok(())));
        result.map_err(|error| error.during("remove").at(file))
    }

    fn remove_dir(&mut self, dir: &RelPath) -> Result<()> {
        self.remove_folder(dir).map_err(|trouble| Error::from(trouble).during("remove the folder").at(dir))
    }

    fn remove_files(&mut self, files: &[RelPath]) -> Vec<Result<()>> {
        match self.remove_burst(files) {
            Ok(results) => results
                .into_iter()
                .zip(files)
                .map(|(result, file)| result.map_err(|error| error.during("remove").at(file)))
                .collect(),
            Err(trouble) => {
                files.iter().map(|file| Err(trouble.judged().during("remove").at(file))).collect()
            }
        }
    }

    fn remove_dirs(&mut self, dirs: &[RelPath]) -> Vec<Result<()>> {
        // Those at the same depth do not hold each other; the deeper ones come first.
        let alike = dirs.chunk_by(|one, other| one.depth() == other.depth());
        let remove = |dir: &RelPath| {
            let removed = self.patiently(|| self.remove_folder(dir));
            removed.map_err(|trouble| Error::from(trouble).during("remove the folder").at(dir))
        };
        alike.flat_map(|dirs| each(dirs, remove)).collect()
    }

    fn rename(&mut self, from: &RelPath, to: &RelPath) -> Result<()> {
        self.move_object(from, to).map_err(|trouble| Error::from(trouble).during("rename").at(from))
    }

    fn redated(&self, file: &RelPath) -> Option<Stamp> {
        self.time_of_copy(file)
    }

    fn keep(&mut self, file: &RelPath, second: &RelPath) -> Result<()> {
        let kept = self.move_if(file, second, Condition::Absent);
        kept.map_err(|trouble| Error::from(trouble).during("keep").at(file))
    }

    fn set_mtime(&mut self, file: &RelPath, _to: Stamp) -> Result<()> {
        let error = Error::new(Kind::Unsupported, "S3 dates its objects itself");
        Err(error.during("set the time of").at(file))
    }

    fn own_times(&mut self, files: &[RelPath]) -> Result<Vec<Option<Stamp>>> {
        let told = each(files, |file| self.own_time(file).map_err(|trouble| Error::from(trouble).at(file)));
        told.into_iter().collect()
    }

    fn carried_time(&self, file: &RelPath) -> Option<Stamp> {
        let key = self.key(file).ok()?;
        locked(&self.carried).as_ref().filter(|(read, _)| *read == key).map(|(_, at)| *at)
    }

    fn still(&mut self, names: &[(RelPath, Expect)]) -> Vec<Result<Option<bool>>> {
        self.look_again(names)
    }

    fn is_alive(&mut self) -> bool {
        self.is_on()
    }

    fn look_afresh(&mut self) {
        self.server.known().forget();
    }
}
