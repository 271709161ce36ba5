//! The journal of a run: what it has finished, told before the metadata tells it, in a file that outlasts the run's death.
//!
//! A folder's metadata is written once nothing in it is under way. Should the run be killed before, the next one finds the
//! journal and knows all the same which copies were finished, and which temporary files nobody is going to finish. Whether a
//! run is dead is told by its file: it stays locked while the run lives. A run that ends in good order leaves none.

use super::Run;
use super::removal::Trace;
use crate::locked::locked;
use crate::model::meta::Fact;
use crate::model::{RelPath, Side, Sides, TEMP_PREFIX};
use crate::plan::{Mode, Pair, Past};
use crate::target::{Notes, UploadWatch, is_of_first, next_unique, numbers_given, process_tag};
use serde_json::{Value, json};
use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// The end of a journal's name.
const MARK: &str = ".journal";

/// A copy or a folder that was finished.
#[derive(Debug, Clone, PartialEq)]
pub struct Noted {
    /// The name under which it is remembered.
    pub name: String,
    /// The side that got it.
    pub to: Side,
    /// What both sides hold.
    pub fact: Fact,
    /// When it was written there by that side's clock, if the time that it should have is remembered there.
    pub written: Option<f64>,
    /// When it was finished, by our clock.
    pub at: f64,
}

/// What this run writes, and what dead ones have left.
#[derive(Default)]
pub struct Journal {
    open: Arc<Mutex<Open>>,
    was_tried: bool,
    head: Option<Value>,
    /// Files on their way to a server: if the run ends now, each may leave a temporary file there.
    on_their_way: HashSet<(Side, RelPath)>,
    /// What is being deleted: if the run ends now, each may be gone or not.
    going: HashSet<(Side, RelPath)>,
    left: Vec<Left>,
    /// What this run has not looked into, while dead ones may have.
    passed_over: HashSet<RelPath>,
    must_stay: bool,
    life: Life,
}

/// What the threads of a run share of its journal.
#[derive(Default)]
struct Open {
    /// `None` until there is something to tell, and where there is no place for it.
    notes: Option<Box<dyn Notes>>,
    /// Uploads that have begun and not ended, by the names that their sides have given them.
    uploads: HashSet<(Side, String)>,
}

impl Open {
    fn add(&mut self, line: &Value) {
        if let Some(notes) = &mut self.notes
            && !notes.add(&format!("{line}\n"))
        {
            // A journal with a gap would still be true, but the disk is full or gone; the run will hear of it soon enough.
            self.notes = None;
        }
    }
}

/// How many runs are under way in this process.
static ALIVE: AtomicUsize = AtomicUsize::new(0);

/// A run that is under way, as long as this lives.
struct Life {
    /// How many numbers earlier runs of this process may have used for temporary names; none if one of them may go on.
    used_before: u64,
}

impl Default for Life {
    fn default() -> Self {
        let is_alone = ALIVE.fetch_add(1, Ordering::SeqCst) == 0;
        Life { used_before: if is_alone { numbers_given() } else { 0 } }
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        ALIVE.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A copy that a dead run has begun.
struct Begun {
    /// The side that was to get it.
    to: Option<Side>,
    /// When, by our clock.
    at: f64,
    is_finished: bool,
}

/// A name that a dead run was about to delete.
pub struct Going {
    /// The name.
    pub name: String,
    /// The side that was to lose it.
    pub from: Side,
    /// When, by our clock.
    pub at: f64,
    /// The version that was to go, see [`version`](crate::target::version); 0 if the side does not tell versions.
    pub version: u64,
}

/// The journal of a dead run.
struct Left {
    notes: Box<dyn Notes>,
    tag: String,
    mode: String,
    finished: HashMap<String, Vec<Noted>>,
    /// By folder: the names that it has deleted, and when, by our clock.
    gone: HashMap<String, Vec<(String, f64)>>,
    /// By folder: what it was about to delete.
    going: HashMap<String, Vec<Going>>,
    /// By folder and name.
    begun: HashMap<(String, String), Begun>,
    parts: Sides<HashSet<String>>,
    /// Uploads that it has begun and not ended: their names, and the paths of the files.
    uploads: Sides<HashMap<String, RelPath>>,
}

/// Whether a name is that of a journal.
pub fn is_journal(name: &str) -> bool {
    name.starts_with(TEMP_PREFIX) && name.ends_with(MARK)
}

impl Journal {
    /// The journal of this run; nothing is written yet.
    pub fn new(run: &Run<'_>) -> Self {
        let peer = run.pools.remote.target().id();
        let head = json!({
            "peer": peer, "host": host(run), "mode": word(run.policy.mode), "tag": process_tag(),
        });
        Journal {
            head: Some(head).filter(|_| !run.is_rehearsal && !run.policy.follows),
            ..Journal::default()
        }
    }

    /// Notes that a copy into a folder is finished.
    pub fn finished(&mut self, run: &Run<'_>, dir: &RelPath, finished: &Noted) {
        let Noted { name, to, fact, written, at } = finished;
        let line = json!({
            "dir": dir.as_str(), "name": name, "to": to.to_string(), "m": fact.mtime, "s": fact.size, "d": fact.dated,
            "e": fact.exact, "w": written, "u": at,
        });
        self.add(run, &line);
    }

    /// Notes that a copy into a folder of a side begins.
    pub fn begun(&mut self, run: &Run<'_>, dir: &RelPath, name: &str, to: Side) {
        let at = run.clock.now();
        self.add(run, &json!({"dir": dir.as_str(), "begun": name, "to": to.to_string(), "u": at}));
    }

    /// Notes that a file or folder was deleted.
    pub fn removed(&mut self, run: &Run<'_>, dir: &RelPath, name: &str) {
        let at = run.clock.now();
        self.add(run, &json!({"dir": dir.as_str(), "gone": name, "u": at}));
    }

    /// Notes what of a folder is about to be deleted from a side, where it has these paths: a run that ends in the middle of that
    /// does not hear what became of it.
    pub fn removes(&mut self, run: &Run<'_>, dir: &RelPath, side: Side, going: Vec<(RelPath, Trace)>) {
        let names: Vec<&str> = going.iter().map(|(_, trace)| trace.name.as_str()).collect();
        let versions: Vec<u64> = going.iter().map(|(_, trace)| trace.version).collect();
        let (at, from) = (run.clock.now(), side.to_string());
        let line = json!({"dir": dir.as_str(), "going": names, "versions": versions, "from": from, "u": at});
        self.add(run, &line);
        self.going.extend(going.into_iter().map(|(path, _)| (side, path)));
    }

    /// It is known what became of something that was about to be deleted.
    pub fn decided(&mut self, side: Side, path: &RelPath) {
        self.going.remove(&(side, path.clone()));
    }

    /// Notes that a part of a large file is about to be written, under a name that does not tell whose it is.
    pub fn part(&mut self, run: &Run<'_>, side: Side, path: &RelPath) {
        self.add(run, &json!({"part": path.as_str(), "to": side.to_string()}));
    }

    /// Notes uploads of a side as they begin and end, whichever thread they are on: what has begun stays there until somebody ends it.
    pub fn watch(&self, side: Side) -> Option<UploadWatch> {
        self.head.as_ref()?;
        let open = Arc::clone(&self.open);
        Some(Arc::new(move |path, upload, has_ended| {
            let mut open = locked(&open);
            let upload = (side, upload.to_owned());
            open.add(&if has_ended {
                json!({"ended": upload.1, "to": side.to_string()})
            } else {
                json!({"upload": upload.1, "path": path.as_str(), "to": side.to_string()})
            });
            if has_ended {
                open.uploads.remove(&upload);
            } else {
                open.uploads.insert(upload);
            }
        }))
    }

    /// What dead runs have begun to upload to a side, and nobody has ended: names of uploads, and the paths of the files.
    pub fn uploads_left(&self, side: Side) -> Vec<(String, RelPath)> {
        let all = self.left.iter().flat_map(|left| &left.uploads[side]);
        all.map(|(upload, path)| (upload.clone(), path.clone())).collect()
    }

    /// One of them is ended.
    pub fn upload_ended(&mut self, side: Side, upload: &str) {
        for left in &mut self.left {
            left.uploads[side].remove(upload);
        }
    }

    /// A file is on its way to a side.
    pub fn sets_off(&mut self, run: &Run<'_>, side: Side, path: &RelPath) {
        if run.pools[side].target().caps().is_networked {
            self.on_their_way.insert((side, path.clone()));
        }
    }

    /// It has arrived, or failed in good order.
    pub fn arrives(&mut self, side: Side, path: &RelPath) {
        self.on_their_way.remove(&(side, path.clone()));
    }

    /// This run does not look at a file, or into a folder.
    pub fn passes_over(&mut self, path: &RelPath) {
        if self.has_left() {
            self.passed_over.insert(path.clone());
        }
    }

    /// The next run must know what is told here, however this one ends: a copy has failed, and of what was there before nothing
    /// is left, or what was done could not be remembered.
    pub fn must_stay(&mut self) {
        self.must_stay = true;
    }

    fn begin(&mut self, run: &Run<'_>) {
        if self.was_tried {
            return;
        }
        self.was_tried = true;
        let Some(head) = self.head.take() else { return };
        let name = format!("{TEMP_PREFIX}{:016x}{MARK}", next_unique());
        locked(&self.open).notes = run.pools.local.target().begin_notes(&name);
        self.add(run, &head);
    }

    fn add(&mut self, run: &Run<'_>, line: &Value) {
        self.begin(run);
        locked(&self.open).add(line);
    }

    /// Reads what dead runs with this peer have left, from the names in the root. Returns those that are no left-overs: read now,
    /// or still being written.
    pub fn read(&mut self, run: &Run<'_>, names: Vec<String>) -> HashSet<String> {
        let mut kept = HashSet::new();
        for name in names {
            let Some(mut notes) = run.pools.local.target().left_notes(&name) else {
                kept.insert(name);
                continue;
            };
            let text = notes.text();
            // The last line may be torn.
            let mut lines = text.lines().map_while(|line| serde_json::from_str::<Value>(line).ok());
            if let Some(head) = lines.next().filter(|head| is_of(head, run)) {
                self.left.push(Left::new(notes, &head, lines));
                kept.insert(name);
            }
        }
        kept
    }

    /// What dead runs have finished in a folder, whose metadata was written last at this time.
    pub fn finished_in(&self, dir: &RelPath, since: Option<f64>) -> Vec<Noted> {
        let all = self.left.iter().filter_map(|left| left.finished.get(dir.as_str())).flatten();
        // What was written later has taken it into account, and may know better by now.
        let mut news: Vec<Noted> =
            all.filter(|finished| since.is_none_or(|since| finished.at > since)).cloned().collect();
        news.sort_by(|one, other| one.at.total_cmp(&other.at));
        news
    }

    /// What dead runs have deleted from a folder, whose metadata was written last at this time.
    pub fn removed_from(&self, dir: &RelPath, since: Option<f64>) -> Vec<String> {
        let all = self.left.iter().filter_map(|left| left.gone.get(dir.as_str())).flatten();
        let news = all.filter(|(_, at)| since.is_none_or(|since| *at > since));
        news.map(|(name, _)| name.clone()).collect()
    }

    /// What dead runs were about to delete from a folder.
    pub fn going_from(&self, dir: &RelPath) -> impl Iterator<Item = &Going> {
        self.left.iter().filter_map(|left| left.going.get(dir.as_str())).flatten()
    }

    /// Whether a dead run had begun to copy this file.
    pub fn was_begun(&self, dir: &RelPath, name: &str) -> bool {
        let copy = (dir.as_str().to_owned(), name.to_owned());
        self.left.iter().any(|left| left.begun.contains_key(&copy))
    }

    /// Whether a dead run had begun to copy this file, and may have died while the old one and the new one changed places.
    pub fn was_cut_off(&self, dir: &RelPath, pair: &Pair) -> bool {
        self.cut_off(dir, pair).is_some()
    }

    /// The side that a dead run was copying this file to, and may have written only the beginning of it.
    pub fn stump_side(&self, dir: &RelPath, pair: &Pair) -> Option<Side> {
        self.cut_off(dir, pair).flatten()
    }

    fn cut_off(&self, dir: &RelPath, pair: &Pair) -> Option<Option<Side>> {
        let name = pair.name.as_str();
        // A later run may have done what that one could not.
        let was_done_since = |at: f64| matches!(pair.past, Past::Listed(seen) if seen.synced.is_some_and(|synced| synced > at));
        let copy = (dir.as_str().to_owned(), name.to_owned());
        let mut unfinished =
            self.left.iter().filter_map(|left| left.begun.get(&copy)).filter(|begun| !begun.is_finished);
        unfinished.find(|begun| !was_done_since(begun.at)).map(|begun| begun.to)
    }

    /// Whether a temporary file belongs to a run that is certainly dead.
    pub fn is_left(&self, side: Side, path: &RelPath) -> bool {
        // The server may have put something in front, and behind.
        let Some(start) = path.file_name().find(TEMP_PREFIX) else { return false };
        let name = &path.file_name()[start..];
        let number = &name[TEMP_PREFIX.len()..];
        self.left.iter().any(|left| {
            let is_tagged = number.starts_with(&left.tag)
                && (left.tag != process_tag() || is_of_first(number, self.life.used_before));
            let is_in = |part: &String| {
                start > 0 && part.rsplit('/').next().is_some_and(|part| name.starts_with(part))
            };
            is_tagged || left.parts[side].contains(path.as_str()) || left.parts[side].iter().any(is_in)
        })
    }

    /// How many copies dead runs have finished.
    pub fn count(&self) -> usize {
        self.left.iter().flat_map(|left| left.finished.values()).map(Vec::len).sum()
    }

    /// Whether there was a dead run.
    pub fn has_left(&self) -> bool {
        !self.left.is_empty()
    }

    /// Removes the journal: the metadata says it all. It stays if the run was stopped while files were on their way to a server,
    /// for what they may have left there, if an upload could not be ended, if it is not known whether something was deleted, and
    /// if it must stay. Those of dead runs go if this one came to its end, looked at all that they have written to, and had a
    /// say on each side.
    pub fn close(self, run: &Run<'_>, is_complete: bool) {
        let is_at_rest = self.going.is_empty() && (is_complete || self.on_their_way.is_empty());
        let Open { notes, uploads } = std::mem::take(&mut *locked(&self.open));
        let has_left_nothing = !self.must_stay && is_at_rest && uploads.is_empty();
        if let Some(notes) = notes.filter(|_| has_left_nothing) {
            notes.remove();
        }
        let mode = run.policy.mode;
        for left in self.left {
            let has_a_say = mode == Mode::Sync || word(mode) == left.mode;
            let is_seen_to = has_a_say && left.has_no_uploads() && !left.tells_of(&self.passed_over);
            if is_complete && !run.is_rehearsal && is_seen_to {
                left.notes.remove();
            }
        }
    }
}

impl Left {
    fn has_no_uploads(&self) -> bool {
        Side::BOTH.into_iter().all(|side| self.uploads[side].is_empty())
    }

    /// Whether it has begun or done anything with one of these, or inside of it.
    fn tells_of(&self, paths: &HashSet<RelPath>) -> bool {
        let finished =
            self.finished.iter().flat_map(|(dir, all)| all.iter().map(move |one| (dir, &one.name)));
        let gone = self.gone.iter().flat_map(|(dir, all)| all.iter().map(move |(name, _)| (dir, name)));
        let going = self.going.iter().flat_map(|(dir, all)| all.iter().map(move |one| (dir, &one.name)));
        let begun = self.begun.keys().map(|(dir, name)| (dir, name));
        let is_inside = |path: &RelPath| {
            std::iter::successors(Some(path.clone()), RelPath::parent).any(|above| paths.contains(&above))
        };
        !paths.is_empty()
            && finished.chain(gone).chain(going).chain(begun).any(|(dir, name)| {
                let path = if dir.is_empty() { name.clone() } else { format!("{dir}/{name}") };
                RelPath::parse(&path).is_ok_and(|path| is_inside(&path))
            })
    }

    fn new(notes: Box<dyn Notes>, head: &Value, lines: impl Iterator<Item = Value>) -> Self {
        let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
        // A tag of another length would fit names that are none of that run.
        let tag = text(head, "tag").filter(|tag| tag.len() == process_tag().len());
        let mut left = Left {
            notes,
            tag: tag.unwrap_or_else(process_tag),
            mode: text(head, "mode").unwrap_or_default(),
            finished: HashMap::new(),
            gone: HashMap::new(),
            going: HashMap::new(),
            begun: HashMap::new(),
            parts: Sides::default(),
            uploads: Sides::default(),
        };
        for line in lines {
            let to = Side::BOTH.into_iter().find(|side| text(&line, "to") == Some(side.to_string()));
            if let (Some(dir), Some(begun)) = (text(&line, "dir"), text(&line, "begun")) {
                let at = line.get("u").and_then(Value::as_f64).unwrap_or_default();
                let copy = (dir, begun);
                let is_finished = left.begun.get(&copy).is_some_and(|before| before.is_finished);
                left.begun.insert(copy, Begun { to, at, is_finished });
                continue;
            }
            if let (Some(dir), Some(gone)) = (text(&line, "dir"), text(&line, "gone")) {
                let at = line.get("u").and_then(Value::as_f64).unwrap_or_default();
                left.gone.entry(dir).or_default().push((gone, at));
                continue;
            }
            if let (Some(dir), Some(names)) =
                (text(&line, "dir"), line.get("going").and_then(Value::as_array))
            {
                let at = line.get("u").and_then(Value::as_f64).unwrap_or_default();
                let from = Side::BOTH.into_iter().find(|side| text(&line, "from") == Some(side.to_string()));
                let Some(from) = from else { continue };
                let version = |index: usize| line.get("versions")?.get(index)?.as_u64();
                let going = names.iter().enumerate().filter_map(|(index, name)| {
                    let (name, version) = (name.as_str()?.to_owned(), version(index).unwrap_or_default());
                    Some(Going { name, from, at, version })
                });
                left.going.entry(dir).or_default().extend(going);
                continue;
            }
            let Some(to) = to else { continue };
            if let Some(part) = text(&line, "part") {
                left.parts[to].insert(part);
            } else if let (Some(upload), Some(Ok(path))) =
                (text(&line, "upload"), text(&line, "path").map(|path| RelPath::parse(&path)))
            {
                left.uploads[to].insert(upload, path);
            } else if let Some(upload) = text(&line, "ended") {
                left.uploads[to].remove(&upload);
            } else if let (Some(dir), Some(finished)) = (text(&line, "dir"), read_finished(&line, to)) {
                if let Some(begun) = left.begun.get_mut(&(dir.clone(), finished.name.clone())) {
                    begun.is_finished = true;
                }
                left.finished.entry(dir).or_default().push(finished);
            }
        }
        left
    }
}

fn read_finished(line: &Value, to: Side) -> Option<Noted> {
    // What is unknown is null; what is missing tells of a damaged line, which proves nothing.
    let seconds = |key: &str| match line.get(key)? {
        Value::Null => Some(None),
        value => value.as_f64().map(Some),
    };
    let size = match line.get("s")? {
        Value::Null => None,
        value => Some(value.as_u64()?),
    };
    let fact = Fact { mtime: seconds("m")?, size, dated: seconds("d")?, exact: seconds("e")? };
    let name = line.get("name")?.as_str()?.to_owned();
    Some(Noted { name, to, fact, written: seconds("w")?, at: seconds("u")?? })
}

/// A mode, as the journal tells it.
fn word(mode: Mode) -> &'static str {
    match mode {
        Mode::Sync => "sync",
        Mode::Upload => "upload",
        Mode::Download => "download",
    }
}

fn host<'a>(run: &Run<'a>) -> Option<&'a str> {
    run.lock.as_ref().and_then(|lock| lock.rules.owner.host.as_deref())
}

/// Whether a journal tells of this peer, and was written on this computer: elsewhere a lock may not be seen.
fn is_of(head: &Value, run: &Run<'_>) -> bool {
    let text = |key: &str| head.get(key).and_then(Value::as_str);
    text("peer") == Some(run.pools.remote.target().id()) && text("host") == host(run)
}
