//! The version 3 metadata file as a value: parse, look up, change, print. No file access, no clock.
//!
//! Two memories live in one document. `peer_sync`, on the local side: what each peer and we agreed on, the memory that
//! tells a deletion from an addition. `mtimes`, on targets that cannot set times: the time that a file should have.
//! pyftpsync 3.1 and 4.1 read and write the same file; whatever else it holds is kept.

use super::copies::{Copied, Copies, Held};
use super::entry::Seen;
use super::meta_json::{
    LAST_SYNC, UNFINISHED, add_readable_times, number, pretty_print, read_peer, read_unfinished,
};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::value::RawValue;
use serde_json::{Map, Number, Value, json};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt;

/// The only layout this version reads or writes.
pub const FILE_VERSION: u64 = 3;
/// A metadata file larger than this (bytes) is not read from a server: no folder needs it, and a server may lie.
pub const MAX_META_SIZE: u64 = 16 * 1024 * 1024;
/// The same for the local disk, where the file of the root grows with the tree.
pub const MAX_LOCAL_META_SIZE: u64 = 512 * 1024 * 1024;

const FOLDERS: &str = "folders";
const EXACT: &str = "exact";

/// Why a metadata file cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MetaError {
    /// Not JSON, or not shaped like a metadata file.
    Invalid(String),
    /// Another layout; the version it names, as text.
    Version(String),
}

impl fmt::Display for MetaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MetaError::Invalid(why) => f.write_str(why),
            MetaError::Version(found) => write!(f, "version {found} instead of {FILE_VERSION}"),
        }
    }
}

/// The keys under which a folder remembers one peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerKey {
    /// Scheme, user, host, port and root.
    pub id: String,
    /// Host and root, as pyftpsync 3.1 and 4.1 write it. The same as `id` for local folders.
    pub legacy: String,
}

/// The memory of one folder about one peer.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Archive {
    /// What is remembered, by name; `None` when the two have never been synchronised here.
    pub seen: Option<HashMap<String, Seen>>,
    /// Names that were there when the two first met, and could not be dealt with then: for them it is still the first time.
    pub unfinished: HashSet<String>,
}

impl Archive {
    /// The memory of two that have met before, of which nothing is left.
    pub fn forgotten() -> Self {
        Archive { seen: Some(HashMap::new()), unfinished: HashSet::new() }
    }
}

/// What both sides hold under a name once it is synchronised. Only the defaults for a folder.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Fact {
    /// The time that counts, in seconds since 1970-01-01 UTC.
    pub mtime: Option<f64>,
    /// The size, in bytes.
    pub size: Option<u64>,
    /// The time that the side which got the copy gave it by its own clock. So the file is known again even where the metadata
    /// on that side could not be written.
    pub dated: Option<f64>,
    /// The time that the local disk shows, to the last digit: an edit within the two seconds that count as equal elsewhere
    /// shows here.
    pub exact: Option<f64>,
}

/// The time that a file on a target without settable times should have.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shadow {
    /// The time it should have, in seconds since 1970-01-01 UTC.
    pub mtime: f64,
    /// Its size when it was written, in bytes.
    pub size: Option<u64>,
    /// When it was written, in seconds since 1970-01-01 UTC of the *target's* clock.
    pub written: f64,
}

/// The metadata of one folder.
#[derive(Debug, Clone, Default)]
pub struct DirMeta {
    mtimes: Map<String, Value>,
    peers: Map<String, Value>,
    /// What the folders below held, for each peer. Only in the file of the root.
    copies: BTreeMap<String, Copies>,
    /// Keys of the document that are not ours to interpret.
    others: Map<String, Value>,
    was_read: bool,
    is_damaged: bool,
    changed: bool,
    /// The times of files have changed.
    shadows_changed: bool,
    /// What is remembered of peers, while nobody is to see it.
    aside: Option<(Map<String, Value>, Map<String, Value>)>,
    /// The peer whose two records are known to be alike.
    adopted: Option<String>,
}

impl DirMeta {
    /// Parses a metadata file.
    ///
    /// # Errors
    /// [`MetaError::Version`] for another layout, [`MetaError::Invalid`] for anything that is not a metadata file.
    pub fn parse(bytes: &[u8]) -> Result<Self, MetaError> {
        let invalid = |why: &str| MetaError::Invalid(why.to_owned());
        let not_json = |error: serde_json::Error| MetaError::Invalid(error.to_string());
        let document: &RawValue = serde_json::from_slice(bytes).map_err(not_json)?;
        if !document.get().starts_with('{') {
            return Err(invalid("not a JSON object"));
        }
        let mut sections: BTreeMap<String, &RawValue> =
            serde_json::from_str(document.get()).map_err(not_json)?;
        let copies = sections.remove(FOLDERS).map(read_copies).unwrap_or_default();
        let mut others = Map::new();
        for (key, section) in sections {
            others.insert(key, serde_json::from_str(section.get()).map_err(not_json)?);
        }
        match others.remove("_file_version") {
            Some(Value::Number(version)) if version.as_u64() == Some(FILE_VERSION) => {}
            Some(version) => return Err(MetaError::Version(version.to_string())),
            None => return Err(MetaError::Version("0".to_owned())),
        }
        let mut section = |key: &str| match others.remove(key) {
            None | Some(Value::Null) => Ok(Map::new()),
            Some(Value::Object(section)) => Ok(section),
            Some(_) => Err(MetaError::Invalid(format!("{key:?} is not an object"))),
        };
        let (mtimes, peers) = (section("mtimes")?, section("peer_sync")?);
        if !peers.values().all(Value::is_object) {
            return Err(invalid("a peer in \"peer_sync\" is not an object"));
        }
        let mut meta = DirMeta { mtimes, peers, copies, others, was_read: true, ..DirMeta::default() };
        // A document that remembers nothing is better gone.
        meta.changed = meta.is_empty();
        Ok(meta)
    }

    /// An empty document in place of one that cannot be used. The file stays until there is something to write, unless it
    /// `goes` at once (another layout, with the option to migrate).
    pub fn replacing(goes: bool) -> Self {
        DirMeta { was_read: true, changed: goes, is_damaged: !goes, ..DirMeta::default() }
    }

    /// Whether there was a memory that cannot be read: what it said is unknown, which is less than nothing.
    pub fn is_damaged(&self) -> bool {
        self.is_damaged
    }

    /// Lets a document that cannot be used go, even if there is nothing to put in its place.
    pub fn discard_damaged(&mut self) {
        self.changed |= self.is_damaged;
    }

    /// Whether there is a file behind this value.
    pub fn was_read(&self) -> bool {
        self.was_read
    }

    /// Whether it has to be written.
    pub fn is_changed(&self) -> bool {
        self.changed
    }

    /// Whether nothing is remembered at all.
    pub fn is_empty(&self) -> bool {
        self.mtimes.is_empty() && self.peers.is_empty() && self.copies.values().all(Copies::is_empty)
    }

    /// What this folder remembers about a peer.
    ///
    /// Our own record counts as long as pyftpsync 3.1 or 4.1 have not written since: every write of ours leaves both keys
    /// alike, so a difference is theirs. Then their record tells what changed, and an entry is our own only if our record
    /// lists the name as well. Where another user or port shares the old key, the old key says nothing.
    pub fn archive(&self, peer: &PeerKey) -> Archive {
        let own = self.peer(&peer.id);
        let legacy =
            self.peer(&peer.legacy).filter(|_| peer.id != peer.legacy && !self.shares_legacy_key(peer));
        let seen = match (own, legacy) {
            (None, None) => None,
            (Some(own), None) => Some(read_peer(own, |_| true)),
            (Some(own), Some(legacy)) if own == legacy => Some(read_peer(own, |_| true)),
            (own, Some(legacy)) => {
                Some(read_peer(legacy, |name| own.is_some_and(|own| own.contains_key(name))))
            }
        };
        let seen = seen.map(|mut seen| {
            self.add_exact_times(peer, &mut seen);
            seen
        });
        Archive { seen, unfinished: own.map(read_unfinished).unwrap_or_default() }
    }

    /// Adds the times to the last digit. They are kept apart, as what is to be added to the time that counts: so the records
    /// look as 3.1 and 4.1 write them, and what those have recorded since is taken at its word.
    fn add_exact_times(&self, peer: &PeerKey, seen: &mut HashMap<String, Seen>) {
        let offsets = self.others.get(EXACT).and_then(|exact| exact.get(&peer.id)).and_then(Value::as_object);
        for (name, offset) in offsets.into_iter().flatten() {
            if let (Some(seen), Some(offset)) = (seen.get_mut(name), offset.as_f64()) {
                seen.exact = seen.mtime.map(|mtime| mtime + offset);
            }
        }
    }

    fn set_offset(&mut self, peer: &PeerKey, name: &str, offset: Option<f64>) {
        if offset.is_none() && !self.others.contains_key(EXACT) {
            return;
        }
        let exact = self.others.entry(EXACT).or_insert_with(|| Value::Object(Map::new()));
        let Value::Object(peers) = exact else {
            // Not ours to read, so it is replaced when there is something to say.
            *exact = Value::Object(Map::new());
            return;
        };
        let offsets = peers.entry(peer.id.clone()).or_insert_with(|| Value::Object(Map::new()));
        if let Value::Object(offsets) = offsets {
            match offset {
                Some(offset) => drop(offsets.insert(name.to_owned(), number(Some(offset)))),
                None => drop(offsets.swap_remove(name)),
            }
        }
    }

    /// Remembers that the two have met, and nothing else: no name is there for the first time.
    pub fn record_meeting(&mut self, peer: &PeerKey, now: f64) {
        self.edit(peer, |entries| drop(entries.insert(LAST_SYNC.to_owned(), number(Some(now)))));
        self.changed = true;
    }

    /// Hides what is remembered of peers, until it is [put back](DirMeta::put_back).
    pub fn put_aside(&mut self) {
        self.aside = Some((std::mem::take(&mut self.peers), std::mem::take(&mut self.others)));
        self.is_damaged = false;
    }

    /// Forgets whatever was learned about peers since it was put aside. Times of files stay as they are now.
    pub fn put_back(&mut self) {
        (self.peers, self.others) = self.aside.take().unwrap_or_default();
        self.changed = self.shadows_changed;
    }

    /// Remembers that both sides hold `name`.
    pub fn record(&mut self, peer: &PeerKey, name: &str, fact: &Fact, now: f64) {
        let mut seen = json!({"m": number(fact.mtime), "s": fact.size, "u": number(Some(now))});
        if fact.dated.is_some() {
            seen["d"] = number(fact.dated);
        }
        self.edit(peer, |entries| {
            entries.insert(LAST_SYNC.to_owned(), number(Some(now)));
            entries.insert(name.to_owned(), seen.clone());
        });
        self.set_offset(peer, name, fact.exact.zip(fact.mtime).map(|(exact, mtime)| exact - mtime));
        self.changed = true;
    }

    /// Remembers which names could not be dealt with when the two first met. Nothing if there is no record at all: then it
    /// is the first time for every name.
    pub fn set_unfinished(&mut self, peer: &PeerKey, names: &BTreeSet<String>) {
        let Some(own) = self.peer(&peer.id) else { return };
        let before: BTreeSet<String> = read_unfinished(own).into_iter().collect();
        if before == *names {
            return;
        }
        self.edit(peer, |entries| {
            if names.is_empty() {
                entries.swap_remove(UNFINISHED);
            } else {
                // Shaped like an entry, so that 3.1 and 4.1 can live with it.
                let value = json!({"m": null, "s": null, "u": null, "names": names});
                entries.insert(UNFINISHED.to_owned(), value);
            }
        });
        self.changed = true;
    }

    /// Forgets `name`, for this peer and as a file with a time of its own.
    pub fn forget(&mut self, peer: &PeerKey, name: &str) {
        self.forget_shadow(name);
        let mut found = false;
        for key in [&peer.id, &peer.legacy] {
            if let Some(Value::Object(entries)) = self.peers.get_mut(key) {
                found |= entries.swap_remove(name).is_some();
            }
        }
        self.set_offset(peer, name, None);
        self.changed |= found;
    }

    /// Remembers of a peer what is told here, and nothing else; `None`: that the two have never met.
    pub fn replace_memory(&mut self, peer: &PeerKey, held: Option<&Held>, now: f64) {
        if !self.shares_legacy_key(peer) {
            self.peers.remove(&peer.legacy);
        }
        self.peers.remove(&peer.id);
        self.adopted = Some(peer.id.clone());
        let Some(held) = held else { return };
        self.record_meeting(peer, now);
        for (name, Copied { mtime, size, exact }) in held {
            self.record(peer, name, &Fact { mtime: *mtime, size: *size, exact: *exact, dated: None }, now);
        }
    }

    /// This document as text, with what another one, written meanwhile, remembers of other peers than this one. `None` if
    /// neither remembers anything.
    pub fn beside(mut self, others: DirMeta, peer: &PeerKey, pretty: bool) -> Option<String> {
        let is_ours = |key: &str| key == peer.id || key == peer.legacy;
        self.peers.retain(|key, _| is_ours(key));
        self.peers.extend(others.peers.into_iter().filter(|(key, _)| !is_ours(key)));
        self.copies.retain(|key, _| *key == peer.id);
        self.copies.extend(others.copies.into_iter().filter(|(key, _)| *key != peer.id));
        for (key, theirs) in others.others {
            match (self.others.get_mut(&key), theirs) {
                (Some(Value::Object(ours)), Value::Object(theirs)) if key == EXACT => {
                    ours.retain(|key, _| is_ours(key));
                    ours.extend(theirs.into_iter().filter(|(key, _)| !is_ours(key)));
                }
                (Some(_), _) => {}
                (None, theirs) => drop(self.others.insert(key, theirs)),
            }
        }
        (!self.is_empty()).then(|| {
            let document = self.others.clone();
            self.text_of(document, self.mtimes.clone(), self.peers.clone(), pretty)
        })
    }

    /// The version of the program that has written the file.
    pub fn writer(&self) -> Option<&str> {
        self.others.get("_version").and_then(Value::as_str)
    }

    /// Forgets every entry that both sides had.
    pub fn forget_all(&mut self, peer: &PeerKey) {
        for key in [&peer.id, &peer.legacy] {
            if let Some(Value::Object(entries)) = self.peers.get_mut(key) {
                entries.retain(|name, _| [LAST_SYNC, UNFINISHED].contains(&name.as_str()));
                self.changed = true;
            }
        }
    }

    /// Takes over what 3.1 or 4.1 wrote since, so that from the next run on it counts as our own.
    pub fn adopt(&mut self, peer: &PeerKey) {
        if self.adopted.as_ref() == Some(&peer.id) || peer.id == peer.legacy || self.shares_legacy_key(peer) {
            return;
        }
        self.adopted = Some(peer.id.clone());
        if let Some(legacy) = self.peers.get(&peer.legacy).cloned()
            && self.peers.get(&peer.id) != Some(&legacy)
        {
            self.peers.insert(peer.id.clone(), legacy);
            self.changed = true;
        }
    }

    /// What every folder below this one, the root, held. Empty if nothing is known.
    pub fn copies(&self, peer: &PeerKey) -> Copies {
        self.copies.get(&peer.id).cloned().unwrap_or_default()
    }

    /// Remembers what every folder below this one, the root, held.
    pub fn set_copies(&mut self, peer: &PeerKey, copies: &Copies) {
        let fitting = if copies.fits() { copies.clone() } else { Copies::default() };
        if self.copies(peer) != fitting {
            if fitting.is_empty() {
                self.copies.remove(&peer.id);
            } else {
                self.copies.insert(peer.id.clone(), fitting);
            }
            self.changed = true;
        }
    }

    /// The names that have a time of their own.
    pub fn shadows(&self) -> impl Iterator<Item = (&str, Shadow)> {
        self.mtimes.iter().filter_map(|(name, value)| Some((name.as_str(), read_shadow(value)?)))
    }

    /// The time that `name` should have.
    pub fn shadow(&self, name: &str) -> Option<Shadow> {
        self.mtimes.get(name).and_then(read_shadow)
    }

    /// Remembers the time that `name` should have.
    pub fn set_shadow(&mut self, name: &str, shadow: Shadow) {
        let value = json!({
            "m": number(Some(shadow.mtime)), "s": shadow.size, "u": number(Some(shadow.written)),
        });
        self.mtimes.insert(name.to_owned(), value);
        self.shadows_changed = true;
        self.changed = true;
    }

    /// Forgets the time that `name` should have.
    pub fn forget_shadow(&mut self, name: &str) {
        let found = self.mtimes.swap_remove(name).is_some();
        self.shadows_changed |= found;
        self.changed |= found;
    }

    /// The file, as text: sorted keys, no blanks, no final newline; indented and with readable times if `pretty`.
    ///
    /// `zone` is how many seconds local time is behind UTC: 3.1 and 4.1 write `_time` as if UTC were local time.
    pub fn print(
        &self,
        version: &str,
        now: f64,
        zone: f64,
        readable: &dyn Fn(f64) -> String,
        pretty: bool,
    ) -> String {
        let (mut mtimes, mut peers) = (self.mtimes.clone(), self.peers.clone());
        if pretty {
            add_readable_times(&mut mtimes, readable);
            for (_, peer) in &mut peers {
                if let Value::Object(entries) = peer {
                    add_readable_times(entries, readable);
                }
            }
        }
        let mut document = self.others.clone();
        document.insert("_disclaimer".into(), "Generated by https://github.com/mar10/pyftpsync".into());
        document.insert("_version".into(), version.into());
        document
            .insert("_time".into(), Number::from_f64(now.floor() + zone).map_or(Value::Null, Value::Number));
        document.insert("_time_str".into(), readable(now).into());
        self.text_of(document, mtimes, peers, pretty)
    }

    /// The text of a document whose other keys are these.
    fn text_of(
        &self,
        mut document: Map<String, Value>,
        mtimes: Map<String, Value>,
        peers: Map<String, Value>,
        pretty: bool,
    ) -> String {
        document.insert("_file_version".into(), FILE_VERSION.into());
        document.insert("mtimes".into(), Value::Object(mtimes));
        document.insert("peer_sync".into(), Value::Object(peers));
        if pretty && !self.copies.is_empty() {
            let copies = self.copies.iter().map(|(peer, copies)| (peer.clone(), copies.value()));
            document.insert(FOLDERS.into(), Value::Object(copies.collect()));
        }
        let mut document = Value::Object(document);
        document.sort_all_objects();
        if pretty {
            return pretty_print(&document);
        }
        let document = Document { values: &document, copies: &self.copies };
        serde_json::to_string(&document).unwrap_or_default()
    }

    fn peer(&self, key: &str) -> Option<&Map<String, Value>> {
        self.peers.get(key).and_then(Value::as_object).filter(|entries| !entries.is_empty())
    }

    /// Whether another account or port of the same host and root was synchronised with this folder.
    fn shares_legacy_key(&self, peer: &PeerKey) -> bool {
        self.peers
            .keys()
            .any(|key| *key != peer.id && legacy_form(key).is_some_and(|legacy| legacy == peer.legacy))
    }

    /// Applies one change to the record of a peer, under its own key and, so that 3.1 and 4.1 stay in step, the old one.
    ///
    /// The two are alike afterwards: that is how [`DirMeta::archive`] notices a foreign write.
    fn edit(&mut self, peer: &PeerKey, change: impl Fn(&mut Map<String, Value>)) {
        self.adopt(peer);
        let own = self.peers.entry(peer.id.clone()).or_insert_with(|| Value::Object(Map::new()));
        let Value::Object(entries) = own else { return };
        let was_empty = entries.is_empty();
        change(entries);
        if peer.legacy == peer.id || self.shares_legacy_key(peer) {
            return;
        }
        // Once adopted, the old record is the same one; a new one begins with it.
        match self.peers.get_mut(&peer.legacy) {
            Some(Value::Object(entries)) if !was_empty => change(entries),
            _ => {
                let copy = self.peers.get(&peer.id).cloned().unwrap_or_default();
                self.peers.insert(peer.legacy.clone(), copy);
            }
        }
    }
}

/// The document as it is written, with sorted keys: the copies among the values.
struct Document<'a> {
    values: &'a Value,
    copies: &'a BTreeMap<String, Copies>,
}

impl Serialize for Document<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut document = serializer.serialize_map(None)?;
        let is_before = |key: &str| key < FOLDERS;
        let values = || self.values.as_object().into_iter().flatten();
        for (key, value) in values().filter(|(key, _)| is_before(key)) {
            document.serialize_entry(key, value)?;
        }
        if !self.copies.is_empty() {
            let copies: BTreeMap<_, _> = self.copies.iter().map(|(peer, it)| (peer, it.texts())).collect();
            document.serialize_entry(FOLDERS, &copies)?;
        }
        for (key, value) in values().filter(|(key, _)| !is_before(key)) {
            document.serialize_entry(key, value)?;
        }
        document.end()
    }
}

/// `ftp://user@host:21/dir` as 3.1 and 4.1 would call it: `host/dir`. Nothing for the ids of other targets.
pub fn legacy_form(id: &str) -> Option<String> {
    let (scheme, rest) = id.split_once("://")?;
    if !matches!(scheme, "ftp" | "ftps" | "sftp") {
        return None; // A target of somebody else names itself as it likes.
    }
    let (authority, root) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host_port = authority.rsplit_once('@').map_or(authority, |(_, host_port)| host_port);
    let host = match host_port.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        Some(_) | None => host_port,
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    Some(format!("{host}{root}"))
}

fn read_copies(section: &RawValue) -> BTreeMap<String, Copies> {
    let peers: BTreeMap<String, &RawValue> = serde_json::from_str(section.get()).unwrap_or_default();
    peers.into_iter().map(|(peer, section)| (peer, Copies::parse(section))).collect()
}

fn read_shadow(value: &Value) -> Option<Shadow> {
    let seconds = |key: &str| value.get(key).and_then(Value::as_f64).filter(|value| value.is_finite());
    Some(Shadow {
        mtime: seconds("m")?,
        size: value.get("s").and_then(Value::as_u64),
        written: seconds("u").unwrap_or(0.0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = r#"{"_disclaimer":"...","_file_version":3,"_time":1662999794.0,"_time_str":"2022-09-12 18:29:08","_version":"4.1.0","mtimes":{},"peer_sync":{"h.example/dir":{":last_sync":1662999794.03,"sub":{"m":null,"s":null,"u":1662999791.0},"a.pdf":{"m":1662725529.25,"s":1711816,"u":1662999794.03}}}}"#;

    const FILE: Fact = Fact { mtime: Some(1.0), size: Some(2), dated: None, exact: None };

    fn key(user: &str) -> PeerKey {
        PeerKey { id: format!("ftp://{user}@h.example:21/dir"), legacy: "h.example/dir".into() }
    }

    fn print(meta: &DirMeta) -> String {
        meta.print("5.0.0", 1.0, 0.0, &|_| "T".into(), false)
    }

    #[test]
    fn a_record_of_4_1_is_read_but_is_not_our_own() {
        let meta = DirMeta::parse(SAMPLE.as_bytes()).unwrap();
        let archive = meta.archive(&key("joe")).seen.unwrap();
        assert_eq!(archive.len(), 2);
        let seen = archive["a.pdf"];
        assert_eq!((seen.mtime, seen.size, seen.is_own), (Some(1662725529.25), Some(1711816), false));
        assert_eq!(archive["sub"].mtime, None);
    }

    #[test]
    fn an_adopted_record_is_our_own_from_the_next_run_on() {
        let mut meta = DirMeta::parse(SAMPLE.as_bytes()).unwrap();
        meta.adopt(&key("joe"));
        assert!(meta.is_changed());
        assert!(meta.archive(&key("joe")).seen.unwrap()["a.pdf"].is_own);
    }

    #[test]
    fn a_write_of_ours_leaves_both_keys_alike_and_a_foreign_write_is_noticed() {
        let mut meta = DirMeta::default();
        meta.record(&key("joe"), "a", &FILE, 3.0);
        let printed: Value = serde_json::from_str(&print(&meta)).unwrap();
        assert_eq!(printed["peer_sync"]["h.example/dir"], printed["peer_sync"]["ftp://joe@h.example:21/dir"]);
        let mut foreign = printed.clone();
        foreign["peer_sync"]["h.example/dir"]["b"] = json!({"m": 9, "s": 9, "u": 9});
        let meta = DirMeta::parse(foreign.to_string().as_bytes()).unwrap();
        let archive = meta.archive(&key("joe")).seen.unwrap();
        assert!(archive["a"].is_own && !archive["b"].is_own);
    }

    #[test]
    fn another_account_on_the_same_host_and_root_has_a_memory_of_its_own() {
        let mut meta = DirMeta::default();
        meta.record(&key("joe"), "a", &FILE, 3.0);
        assert!(meta.archive(&key("ann")).seen.is_none());
        meta.record(&key("ann"), "b", &FILE, 3.0);
        assert!(!meta.archive(&key("joe")).seen.unwrap().contains_key("b"));
    }

    #[test]
    fn printing_keeps_foreign_keys_sorts_and_keeps_precision() {
        let text = SAMPLE.replace("\"mtimes\"", "\"zebra\":1,\"mtimes\"");
        let mut meta = DirMeta::parse(text.as_bytes()).unwrap();
        meta.set_shadow("ü", Shadow { mtime: 1795201245.9215336, size: Some(7), written: 2.5 });
        let printed = print(&meta);
        assert!(printed.starts_with("{\"_disclaimer\":") && printed.ends_with("\"zebra\":1}"));
        assert!(printed.contains("\"mtimes\":{\"ü\":{\"m\":1795201245.9215336,\"s\":7,\"u\":2.5}}"));
        assert!(printed.contains("\"m\":1662725529.25"));
    }

    #[test]
    fn foreign_shapes_are_errors_not_panics() {
        for text in [
            "",
            "[]",
            "{",
            "null",
            r#"{"_file_version":3,"mtimes":[]}"#,
            r#"{"_file_version":3,"peer_sync":{"x":1}}"#,
        ] {
            assert!(DirMeta::parse(text.as_bytes()).is_err(), "{text}");
        }
        assert_eq!(DirMeta::parse(b"{}").unwrap_err(), MetaError::Version("0".into()));
        assert_eq!(DirMeta::parse(br#"{"_file_version":99}"#).unwrap_err(), MetaError::Version("99".into()));
        let odd = br#"{"_file_version":3,"mtimes":{"a":7},"peer_sync":{"p":{"a":[],"b":{"m":"x","s":-1}}}}"#;
        let meta = DirMeta::parse(odd).unwrap();
        assert_eq!(meta.shadow("a"), None);
        let peer = PeerKey { id: "p".into(), legacy: "p".into() };
        assert_eq!(meta.archive(&peer).seen.unwrap().get("b").and_then(|seen| seen.size), None);
    }

    #[test]
    fn the_tree_survives_the_file() {
        let mut meta = DirMeta::default();
        meta.record(&key("joe"), "d", &Fact::default(), 3.0);
        let file = Copied { mtime: Some(1.5), size: Some(7), exact: None };
        let held = BTreeMap::from([("a".to_owned(), file), ("sub".to_owned(), Copied::default())]);
        let mut copies = Copies::default();
        copies.insert("d", &held);
        meta.set_copies(&key("joe"), &copies);
        let pretty = meta.print("5.0.0", 1.0, 0.0, &|_| "T".into(), true);
        for text in [print(&meta), pretty] {
            let mut back = DirMeta::parse(text.as_bytes()).unwrap();
            assert_eq!(back.copies(&key("joe")).get("d"), Some(held.clone()));
            assert!(back.copies(&key("ann")).is_empty());
            let sorted =
                text.find("folders") < text.find("mtimes") && text.find("exact") < text.find("folders");
            assert!(sorted, "{text}");
            back.set_copies(&key("joe"), &back.copies(&key("joe")));
            assert!(!back.is_changed());
        }
    }

    #[test]
    fn unfinished_names_are_kept_apart_from_what_was_synchronised() {
        let mut meta = DirMeta::default();
        let names = BTreeSet::from(["late".to_owned()]);
        meta.set_unfinished(&key("joe"), &names);
        assert!(meta.is_empty(), "without a record it is the first time for every name");
        meta.record(&key("joe"), "a", &FILE, 3.0);
        meta.set_unfinished(&key("joe"), &names);
        let archive = DirMeta::parse(print(&meta).as_bytes()).unwrap().archive(&key("joe"));
        assert_eq!(archive.seen.unwrap().len(), 1);
        assert!(archive.unfinished.contains("late"));
        meta.set_unfinished(&key("joe"), &BTreeSet::new());
        assert!(meta.archive(&key("joe")).unfinished.is_empty());
    }

    #[test]
    fn exact_times_go_with_the_record_that_they_belong_to() {
        let mut meta = DirMeta::default();
        let exact = |meta: &DirMeta| {
            meta.archive(&key("joe")).seen.and_then(|seen| seen.get("a").and_then(|seen| seen.exact))
        };
        meta.record(&key("joe"), "a", &Fact { exact: Some(1.25), ..FILE }, 3.0);
        let back = DirMeta::parse(print(&meta).as_bytes()).unwrap();
        assert_eq!((exact(&meta), exact(&back)), (Some(1.25), Some(1.25)));
        meta.record(&key("joe"), "a", &FILE, 3.0);
        assert_eq!(exact(&meta), None);
        meta.record(&key("joe"), "a", &Fact { exact: Some(1.25), ..FILE }, 3.0);
        meta.forget(&key("joe"), "a");
        meta.record(&key("joe"), "a", &FILE, 3.0);
        assert_eq!(exact(&meta), None);
        let odd =
            br#"{"_file_version":3,"exact":[],"peer_sync":{"h.example/dir":{"a":{"m":1,"s":2,"u":3}}}}"#;
        let mut odd = DirMeta::parse(odd).unwrap();
        assert_eq!(exact(&odd), None);
        odd.record(&key("joe"), "a", &Fact { exact: Some(1.25), ..FILE }, 3.0);
    }

    #[test]
    fn forgetting_an_unlisted_name_never_turns_the_mark_off() {
        let mut meta = DirMeta::default();
        meta.record(&key("joe"), "a", &FILE, 3.0);
        meta.forget(&key("joe"), "other");
        assert!(meta.is_changed());
    }
}
