//! A side of the imagined world. Every verb is a step: the clock goes on, the user may edit something, and something may go
//! wrong. What the tool changes is judged at once.

use super::dice::Dice;
use super::rules::{self, Memory, Replaced, Wish, is_own};
use ftpsync::error::{Error, Kind, Result, Retry};
use ftpsync::model::{Listing, RelPath, Side, Sides, Stamp};
use ftpsync::target::memory::{MemoryTarget, Node};
use ftpsync::target::{Caps, Expect, Put, Session, Target, Written};
use std::collections::BTreeMap;
use std::io::Read;
use std::sync::{Arc, Mutex, MutexGuard};

/// What may go wrong with a verb.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mishap {
    /// The conversation is lost before anything is done.
    LostBefore,
    /// It is done, and the conversation is lost before anybody is told.
    LostAfter,
    /// A file is half there, under its temporary name, and the conversation is lost.
    LostMidway,
    /// The side says no for now.
    Busy,
    /// The side says no.
    Refused,
    /// There is no room left.
    Full,
    /// A listing lacks names, and says so.
    Incomplete,
    /// The computer goes down: nothing that the tool tries from now on has any effect.
    Crash,
    /// The user stops the run, which may still do what it does then.
    Stop,
}

impl Mishap {
    const ALL: [Mishap; 8] = [
        Mishap::LostBefore,
        Mishap::LostAfter,
        Mishap::LostMidway,
        Mishap::Busy,
        Mishap::Refused,
        Mishap::Full,
        Mishap::Incomplete,
        Mishap::Crash,
    ];

    fn error(self) -> Error {
        match self {
            Mishap::LostBefore | Mishap::LostAfter | Mishap::LostMidway => {
                Error::new(Kind::Disconnected, "the line is dead")
            }
            Mishap::Busy => Error::new(Kind::Busy, "not now").retrying(Retry::Later),
            Mishap::Refused | Mishap::Incomplete => Error::new(Kind::Refused, "no"),
            Mishap::Full => Error::new(Kind::Full, "no room").with_reply(552, "552 no room"),
            Mishap::Crash | Mishap::Stop => Error::cancelled(),
        }
    }
}

/// How turbulent a run is, in thousandths of its steps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Weather {
    pub mishaps: u64,
    pub crashes: bool,
    pub edits: u64,
    /// Something certain: this mishap at this step.
    pub at: Option<(usize, Mishap)>,
}

/// What both sides and the user share.
pub struct World {
    pub trees: Sides<MemoryTarget>,
    state: Mutex<State>,
}

pub struct State {
    pub dice: Dice,
    pub weather: Weather,
    pub wish: Wish,
    pub memory: Memory,
    pub steps: usize,
    pub is_down: bool,
    /// The user has stopped the run.
    pub is_stopped: bool,
    /// A listing of the run lacked names.
    pub was_incomplete: bool,
    /// Seconds since the world began.
    pub clock: i64,
    /// How many seconds the clock of each side is ahead.
    pub ahead: Sides<i64>,
    /// The only side that the user works on.
    pub only: Option<Side>,
    /// What the user calls files.
    pub names: &'static [&'static str],
    /// What was done, step by step.
    pub trace: Vec<String>,
    /// Which promises were broken.
    pub broken: Vec<String>,
    /// What the tool has changed for the user, as `side verb path`.
    pub deeds: Vec<String>,
    /// How many files of the user were removed.
    pub removed: usize,
    /// Times of files as they were read, by side and path.
    read_at: Sides<BTreeMap<String, Stamp>>,
    next_content: u64,
}

/// The time at which the world began, in seconds since 1970-01-01 UTC.
pub const DAWN: i64 = 1_700_000_000;

impl World {
    pub fn new(seed: u64, keeps_times: bool, wish: Wish) -> Arc<Self> {
        let remote = MemoryTarget::new("ftp://joe@host:21/root").networked();
        let remote = if keeps_times { remote } else { remote.without_times(Stamp::new(DAWN, 0)) };
        let remote = if seed.is_multiple_of(2) { remote } else { remote.reading_ahead() };
        let state = State {
            dice: Dice::new(seed),
            weather: Weather::default(),
            wish,
            memory: Memory::default(),
            steps: 0,
            is_down: false,
            is_stopped: false,
            was_incomplete: false,
            clock: 0,
            ahead: Sides::default(),
            only: None,
            names: &FILES,
            trace: Vec::new(),
            broken: Vec::new(),
            deeds: Vec::new(),
            removed: 0,
            read_at: Sides::default(),
            next_content: 0,
        };
        let trees = Sides::new(MemoryTarget::new("/local"), remote);
        Arc::new(World { trees, state: Mutex::new(state) })
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub fn tree(&self, side: Side) -> BTreeMap<String, Node> {
        self.trees[side].tree()
    }

    /// A side, as a target.
    pub fn place(self: &Arc<Self>, side: Side) -> Place {
        Place { world: Arc::clone(self), side }
    }

    /// The user does something somewhere.
    pub fn edit(&self, state: &mut State) {
        let side = state.dice.one_of(&Side::BOTH);
        let side = state.only.unwrap_or(side);
        let tree = &self.trees[side];
        let paths: Vec<String> = tree.tree().into_keys().filter(|path| !is_own(path)).collect();
        match state.dice.below(10) {
            // A name that may be there or not.
            0..=3 => {
                let path = some_path(state);
                self.put(state, side, &path);
            }
            4..=6 if !paths.is_empty() => {
                let path = state.dice.one_of(&paths);
                if matches!(tree.tree().get(&path), Some(Node::File(..))) {
                    self.put(state, side, &path);
                }
            }
            7 | 8 if !paths.is_empty() => {
                let path = state.dice.one_of(&paths);
                state.trace.push(format!("user removes {side} {path}"));
                if side == Side::Local {
                    // What a folder remembers lies in it.
                    let below = format!("{path}/");
                    state.memory.recorded.retain(|path| !path.starts_with(&below));
                }
                tree.take(&path);
            }
            9 if !paths.is_empty() => self.rename(state, side, &paths),
            _ => {}
        }
        self.look(state);
    }

    /// The user writes a file that nobody has ever written before.
    pub fn put(&self, state: &mut State, side: Side, path: &str) {
        let tree = self.trees[side].tree();
        let is_folder = |path: &str| matches!(tree.get(path), Some(Node::Folder));
        let has_file_above =
            path.match_indices('/').any(|(end, _)| matches!(tree.get(&path[..end]), Some(Node::File(..))));
        if is_folder(path) || has_file_above {
            return;
        }
        state.next_content += 1;
        let number = state.next_content;
        let bytes = format!("{number:05}{}", "x".repeat(state.dice.below(40))).into_bytes();
        // Times that no two contents share, and that are no whole hours apart.
        let distance = 1_009 * number as i64;
        let is_backdated = state.dice.happens(300);
        let seconds = if !self.trees[side].caps().sets_mtime {
            state.clock += 1_009;
            DAWN + state.clock
        } else if is_backdated {
            DAWN - 50_000_000 - distance
        } else {
            DAWN - 40_000_000 + distance
        };
        state.trace.push(format!("user writes {side} {path} {number}"));
        self.trees[side].put(path, &bytes, Stamp::new(seconds + state.ahead[side], 0));
    }

    fn rename(&self, state: &mut State, side: Side, paths: &[String]) {
        let (from, to) = (state.dice.one_of(paths), some_path(state));
        let Some(Node::File(bytes, mtime)) = self.trees[side].tree().get(&from).cloned() else { return };
        // A rename keeps the time: a content under a new name with a new time is another content.
        let is_free = !self.trees[side].tree().contains_key(&to);
        let has_folder = to
            .rsplit_once('/')
            .is_none_or(|(above, _)| matches!(self.trees[side].tree().get(above), Some(Node::Folder)));
        if is_free && has_folder {
            state.trace.push(format!("user renames {side} {from} {to}"));
            self.trees[side].take(&from);
            self.trees[side].put(&to, &bytes, mtime);
        }
    }

    /// Notes what each path holds now.
    pub fn look(&self, state: &mut State) {
        for side in Side::BOTH {
            for (path, node) in self.tree(side) {
                if let Node::File(bytes, _) = node {
                    state.memory.seen[side].entry(path).or_default().insert(bytes);
                }
            }
        }
    }

    /// Notes what is in step now.
    pub fn note_agreement(&self, state: &mut State) {
        let in_step = self.in_step();
        note_sizes(state, &in_step);
        state.memory.agreed.extend(in_step);
    }

    /// The files that are the same on both sides.
    pub fn in_step(&self) -> BTreeMap<String, Vec<u8>> {
        let (local, remote) = (self.tree(Side::Local), self.tree(Side::Remote));
        let same = local.into_iter().filter_map(|(path, node)| match (node, remote.get(&path)) {
            (Node::File(bytes, _), Some(Node::File(other, _))) if bytes == *other => Some((path, bytes)),
            _ => None,
        });
        same.collect()
    }
}

const FILES: [&str; 6] = ["a", "b", "c", "d", "x.tmp", "e"];

/// One of a few names, so that edits meet.
fn some_path(state: &mut State) -> String {
    const FOLDERS: [&str; 7] = ["", "", "d/", "d/e/", "f/", "f/skip/", "d/f/"];
    let folder = state.dice.one_of(&FOLDERS);
    format!("{folder}{}", state.dice.one_of(state.names))
}

/// Notes the sizes of what both sides hold, or have held at the same time.
pub fn note_sizes(state: &mut State, held: &BTreeMap<String, Vec<u8>>) {
    for (path, bytes) in held {
        state.memory.shared_sizes.entry(path.clone()).or_default().insert(bytes.len() as u64);
    }
}

/// One side, as the tool sees it.
#[derive(Clone)]
pub struct Place {
    world: Arc<World>,
    side: Side,
}

impl Target for Place {
    fn id(&self) -> &str {
        self.world.trees[self.side].id()
    }
    fn base_name(&self) -> &str {
        self.id()
    }
    fn caps(&self) -> Caps {
        self.world.trees[self.side].caps()
    }
    fn open(&self) -> Result<Box<dyn Session>> {
        self.step("open", &RelPath::root(), true)?;
        Ok(Box::new(Talk(self.clone())))
    }
}

impl Place {
    /// One step: `Err` if it fails before anything is done, else what else goes wrong with it.
    fn step(&self, verb: &str, path: &RelPath, is_harmless: bool) -> Result<Option<Mishap>> {
        let mut state = self.world.state();
        if state.is_down {
            return Err(Error::cancelled());
        }
        state.steps += 1;
        state.clock += 1;
        let is_inside = |name: &str| !matches!(name, "" | "." | "..") && !name.contains('\0');
        if !path.is_root() && !path.as_str().split('/').all(is_inside) {
            state.broken.push(format!("I15: {verb} {path:?} leads elsewhere"));
        }
        let line = format!("{} {} {verb} {path}", state.steps, self.side);
        state.trace.push(line);
        let edits = state.weather.edits;
        // A deletion follows its last look at once; between the two there is no time for an edit.
        if is_harmless && state.dice.happens(edits) {
            self.world.edit(&mut state);
        }
        let (mishaps, at) = (state.weather.mishaps, state.weather.at);
        let by_chance =
            if state.dice.happens(mishaps) { Some(state.dice.one_of(&Mishap::ALL)) } else { None };
        let certain = at.filter(|(step, _)| *step == state.steps).map(|(_, mishap)| mishap);
        let mishap = certain.or(by_chance.filter(|mishap| *mishap != Mishap::Crash || state.weather.crashes));
        // Metadata that is there and cannot be read is another story: row 45, in `tests/python/test_reliability.py`.
        let is_about_memory = is_own(path.as_str()) && verb == "read";
        let Some(mishap) = mishap.filter(|mishap| !is_about_memory || *mishap == Mishap::Crash) else {
            return Ok(None);
        };
        state.trace.push(format!("{mishap:?}"));
        match mishap {
            Mishap::Crash => {
                state.is_down = true;
                Err(mishap.error())
            }
            Mishap::Stop => {
                state.is_stopped = true;
                Ok(None)
            }
            Mishap::LostBefore | Mishap::Busy => Err(mishap.error()),
            // A whole side that says no, or is full, is another story.
            Mishap::Refused if verb != "open" => Err(mishap.error()),
            Mishap::Full if verb == "write" => Err(mishap.error()),
            Mishap::LostAfter | Mishap::LostMidway if verb != "open" => Ok(Some(mishap)),
            Mishap::Incomplete if verb == "list" => Ok(Some(mishap)),
            Mishap::Refused | Mishap::Full | Mishap::LostAfter | Mishap::LostMidway | Mishap::Incomplete => {
                Ok(None)
            }
        }
    }

    fn inner(&self) -> Result<Box<dyn Session>> {
        let tree = &self.world.trees[self.side];
        if tree.caps().sets_mtime {
            return tree.open();
        }
        let state = self.world.state();
        let now = Stamp::new(DAWN + state.clock + state.ahead[self.side], 0);
        drop(state);
        tree.clone().without_times(now).open()
    }

    fn node(&self, path: &RelPath) -> Option<Node> {
        self.world.tree(self.side).get(path.as_str()).cloned()
    }

    fn judge(&self, verdict: std::result::Result<(), String>) {
        if let Err(broken) = verdict {
            let mut state = self.world.state();
            let step = state.steps;
            state.broken.push(format!("at step {step}: {broken}"));
        }
    }

    fn noted(&self, verb: &str, path: &RelPath) {
        let mut state = self.world.state();
        if !is_own(path.as_str()) {
            state.deeds.push(format!("{} {verb} {path}", self.side));
        }
        self.world.note_agreement(&mut state);
        self.world.look(&mut state);
    }
}

struct Talk(Place);

fn after(mishap: Option<Mishap>) -> Result<()> {
    match mishap {
        Some(Mishap::LostAfter | Mishap::LostMidway) => Err(Mishap::LostAfter.error()),
        _ => Ok(()),
    }
}

impl Session for Talk {
    fn list(&mut self, dir: &RelPath) -> Result<Listing> {
        let mishap = self.0.step("list", dir, true)?;
        let mut listing = self.0.inner()?.list(dir)?;
        if mishap == Some(Mishap::Incomplete) {
            listing.complete = false;
            let mut state = self.0.world.state();
            state.was_incomplete = true;
            // What the tool itself has put there has a plain name; it is never the one that cannot be read.
            listing.entries.retain(|entry| is_own(entry.name.as_str()) || state.dice.happens(500));
        }
        after(mishap)?;
        Ok(listing)
    }

    fn read(&mut self, file: &RelPath, lend: &mut dyn FnMut(&mut dyn Read) -> Result<()>) -> Result<()> {
        let mishap = self.0.step("read", file, true)?;
        if let Some(Node::File(_, mtime)) = self.0.node(file) {
            self.0.world.state().read_at[self.0.side].insert(file.as_str().to_owned(), mtime);
        }
        if mishap.is_some() {
            // Half of it comes, and no end.
            return lend(&mut Broken);
        }
        self.0.inner()?.read(file, lend)
    }

    fn write(&mut self, file: &RelPath, body: &mut dyn Read, put: &Put) -> Result<Written> {
        let mut bytes = Vec::new();
        let mishap = self.0.step("write", file, true)?;
        body.read_to_end(&mut bytes).map_err(|error| Error::from(error).at(file))?;
        let (side, tree) = (self.0.side, &self.0.world.trees[self.0.side]);
        if mishap == Some(Mishap::LostMidway) {
            let name = ftpsync::target::temp_name(file.file_name(), self.0.world.state().dice.throw());
            let above = file.parent().filter(|above| !above.is_root());
            let temp = above.map_or(name.clone(), |above| format!("{above}/{name}"));
            let now = Stamp::new(DAWN + self.0.world.state().clock, 0);
            tree.put(&temp, &bytes[..bytes.len() / 2], now);
            return Err(Mishap::LostMidway.error());
        }
        let old = self.0.node(file);
        let written = self.0.inner()?.write(file, &mut bytes.as_slice(), put)?;
        if !is_own(file.as_str()) {
            let state = self.0.world.state();
            let old = match &old {
                Some(Node::File(bytes, mtime)) => Some((bytes, *mtime)),
                Some(Node::Folder) | None => None,
            };
            let new_mtime = state.read_at[side.other()].get(file.as_str()).copied();
            let change = Replaced { side, path: file.as_str(), old, new: &bytes, new_mtime };
            let verdict = rules::judge_write(&state.wish, &state.memory, &change);
            drop(state);
            self.0.judge(verdict);
            // Both sides held it, even if the user has meanwhile gone on to something else on the other one.
            let mut state = self.0.world.state();
            let written = BTreeMap::from([(file.as_str().to_owned(), bytes.clone())]);
            note_sizes(&mut state, &written);
            state.memory.agreed.extend(written);
            drop(state);
        } else if self.0.world.state().wish.is_rehearsal {
            self.0.judge(Err(format!("I9: a rehearsal wrote {file}")));
        }
        self.0.noted("write", file);
        after(mishap)?;
        Ok(written)
    }

    fn mkdir(&mut self, dir: &RelPath) -> Result<()> {
        let mishap = self.0.step("mkdir", dir, true)?;
        let was_there = self.0.node(dir).is_some();
        self.0.inner()?.mkdir(dir)?;
        if !was_there {
            let verdict = rules::may_touch(&self.0.world.state().wish, self.0.side, dir.as_str());
            self.0.judge(verdict);
            self.0.noted("mkdir", dir);
        }
        after(mishap)
    }

    fn remove_file(&mut self, file: &RelPath) -> Result<()> {
        let mishap = self.0.step("remove", file, false)?;
        let old = self.0.node(file);
        self.0.inner()?.remove_file(file)?;
        if let (Some(Node::File(bytes, _)), false) = (old, is_own(file.as_str())) {
            let other = self.0.world.tree(self.0.side.other());
            let mut state = self.0.world.state();
            state.removed += 1;
            let other = other.get(file.as_str());
            let verdict =
                rules::judge_removal(&state.wish, &state.memory, self.0.side, file.as_str(), &bytes, other);
            drop(state);
            self.0.judge(verdict);
        }
        self.0.noted("remove", file);
        after(mishap)
    }

    fn remove_dir(&mut self, dir: &RelPath) -> Result<()> {
        let mishap = self.0.step("rmdir", dir, false)?;
        self.0.inner()?.remove_dir(dir)?;
        let verdict = rules::may_touch(&self.0.world.state().wish, self.0.side, dir.as_str());
        self.0.judge(verdict);
        self.0.noted("rmdir", dir);
        after(mishap)
    }

    fn still(&mut self, names: &[(RelPath, Expect)]) -> Vec<Result<Option<bool>>> {
        if let Err(error) = self.0.step("still", &RelPath::root(), false) {
            return vec![Err(error)];
        }
        match self.0.inner() {
            Ok(mut inner) => inner.still(names),
            Err(error) => vec![Err(error)],
        }
    }
}

/// A body that breaks in the middle.
struct Broken;

impl Read for Broken {
    fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
        Err(Mishap::LostBefore.error().into_io())
    }
}
