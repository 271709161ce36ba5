//! Rounds of edits and runs in an imagined world, and what must hold between them.
//!
//! I5 both sides agree after a calm run, I6 the next one is idle, I7 a disturbed run and another one end as an undisturbed one,
//! I8 each path is old or new, I9 a rehearsal says what the run does, I13 the order of work does not matter.

use super::dice::Dice;
use super::place::{DAWN, Mishap, State, Weather, World, note_sizes};
use super::rules::{Memory, Wish, is_excluded, is_own};
use crate::effort::{in_parallel, rounds};
use ftpsync::engine::hooks::Answer;
use ftpsync::engine::{self, Clock, Event, Hooks, Observer, Run, Stats};
use ftpsync::error::{Error, Kind, Result};
use ftpsync::model::meta::PeerKey;
use ftpsync::model::{DirMeta, META_FILE_NAME, RelPath, Side, Sides};
use ftpsync::plan::guard::GuardRules;
use ftpsync::plan::{Filter, Mode, Policy, Step, Strategy};
use ftpsync::target::Target;
use ftpsync::target::memory::Node;
use ftpsync::target::pool::Pool;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// Polls without anything happening, after which a run is called stuck.
const PATIENCE: usize = 20_000;

pub(super) type Tree = BTreeMap<String, Node>;
/// What the user sees of both sides.
pub(super) type Contents = [BTreeMap<String, Option<Vec<u8>>>; 2];

/// What a run told.
pub(super) struct Told {
    pub lines: Vec<String>,
    pub failures: Vec<String>,
    pub result: Result<()>,
}

impl Told {
    /// Lines and failures in which an entry is named as not dealt with.
    fn names(&self, path: &str) -> bool {
        let is_meant = |told: &str| {
            told == path || path.starts_with(&format!("{told}/")) || told.starts_with(&format!("{path}/"))
        };
        let skipped = self.lines.iter().filter(|line| line.starts_with("skip "));
        skipped.filter_map(|line| line.rsplit(' ').next()).any(is_meant)
            || self.failures.iter().any(|text| text.contains(path.split('/').next().unwrap_or(path)))
    }

    fn conflicts(&self) -> Vec<&String> {
        let mut conflicts: Vec<&String> =
            self.lines.iter().filter(|line| line.contains("conflict")).collect();
        conflicts.sort();
        conflicts
    }

    pub fn sorted(&self) -> Vec<&String> {
        let mut lines: Vec<&String> = self.lines.iter().collect();
        lines.sort();
        lines
    }
}

struct Imagined<'a>(&'a World);

impl Clock for Imagined<'_> {
    fn now(&self) -> f64 {
        let state = self.0.state();
        (DAWN + state.clock + state.ahead.local) as f64
    }
    fn elapsed(&self) -> f64 {
        0.0
    }
    fn readable(&self, seconds: f64) -> String {
        format!("{seconds}")
    }
    fn pause(&self, _: Duration) -> Duration {
        Duration::ZERO
    }
}

struct Listener<'a> {
    world: &'a World,
    lines: Vec<String>,
    failures: Vec<String>,
    /// Errors that were told, and conflicts that were left.
    errors: usize,
    conflicts: u64,
    polls: usize,
}

impl Observer for Listener<'_> {
    fn event(&mut self, event: Event<'_>, _: &Stats) -> Result<()> {
        match event {
            Event::Action { line, path, .. } => {
                let tag = format!("{} {}", line.action, line.status);
                self.lines.push(format!("{} {} {path}", tag.trim(), line.symbol.trim()));
            }
            Event::Failure(text) | Event::Warning(text) => {
                // Metadata that cannot be read is no error; it is told what becomes of it.
                let is_error = matches!(event, Event::Failure(_)) && !text.starts_with("Could not read meta");
                self.errors += usize::from(is_error);
                self.failures.push(text.to_owned());
            }
            Event::ConflictLeft(_) => self.conflicts += 1,
            _ => {}
        }
        Ok(())
    }
    fn wants(&self, _: u8) -> bool {
        true
    }
    fn poll(&mut self) -> Result<()> {
        self.polls += 1;
        if self.world.state().is_stopped {
            return Err(Error::cancelled());
        }
        if self.polls > PATIENCE { Err(Error::new(Kind::Timeout, "the run is stuck")) } else { Ok(()) }
    }
}

struct NobodyThere;

impl Hooks for NobodyThere {
    fn resolve(&self, _: &RelPath, _: &Step) -> Result<Answer> {
        Ok(Answer { strategy: Strategy::Skip, for_all: false })
    }
}

/// One run in this weather, in the order that `order` picks.
fn run(world: &Arc<World>, weather: Weather, order: u64) -> Told {
    let wish = {
        let mut state = world.state();
        (state.weather, state.steps) = (weather, 0);
        (state.is_down, state.is_stopped, state.was_incomplete) = (false, false, false);
        state.memory.seen = Sides::default();
        (state.deeds, state.removed) = (Vec::new(), 0);
        let line = format!("--- run: {:?}, {weather:?}", state.wish);
        state.trace.push(line);
        world.look(&mut state);
        note_sizes(&mut state, &world.in_step());
        state.wish.clone()
    };
    let mut policy = Policy::new(wish.mode);
    policy.strategy = Some(wish.strategy);
    (policy.force, policy.delete, policy.delete_unmatched) = (wish.force, wish.delete, wish.delete_unmatched);
    let pools = Sides::from_fn(|side| Pool::new(Arc::new(world.place(side)) as Arc<dyn Target>, 3));
    let exclude = ["skip".to_owned(), "*.tmp".to_owned()];
    let run = Run {
        pools: &pools,
        policy,
        filter: Filter::new(&[], &exclude, false).unwrap(),
        guard: GuardRules { limit: None, is_off: !wish.guard_is_on },
        compares_contents: false,
        is_rehearsal: wish.is_rehearsal,
        migrate: false,
        ignore_copy_errors: false,
        inplace: false,
        keeping: engine::Keeping::default(),
        lock: None,
        pretty_meta: false,
        version: "test",
        resolve_all: None,
        asks_at_same_time: false,
        foresees: true,
        threads: 3..=3,
        time_limit: None,
        max_depth: 256,
        clock: &Imagined(world),
    };
    let mut listener =
        Listener { world, lines: Vec::new(), failures: Vec::new(), errors: 0, conflicts: 0, polls: 0 };
    let mut stats = Stats::default();
    let mut dice = Dice::new(order);
    let mut choose = |count: usize| dice.below(count);
    let result = engine::sync_in_turn(&run, &NobodyThere, &mut listener, &mut stats, &mut choose);
    let mut state = world.state();
    if listener.polls > PATIENCE {
        state.broken.push("I18: the run does not end".into());
    }
    if let (Err(error), true) = (&result, state.removed > 0)
        && error.kind() == Kind::Guard
    {
        state.broken.push("I3: the guard stopped the run, and something was removed".into());
    }
    check_exit(&mut state, &listener, &stats, &result);
    check_memory(world, &mut state);
    let ended = format!("ended: {:?}", result.as_ref().err().map(ToString::to_string));
    state.trace.push(ended);
    Told { lines: listener.lines, failures: listener.failures, result }
}

/// The paths of files that the metadata claims both sides to have agreed on.
fn remembered(world: &World) -> BTreeSet<String> {
    let id = world.trees.remote.id().to_owned();
    let peer = PeerKey { legacy: world.trees.remote.legacy_id().to_owned(), id };
    let mut paths = BTreeSet::new();
    for (path, node) in world.tree(Side::Local) {
        let (Some(folder), Node::File(bytes, _)) = (path.strip_suffix(META_FILE_NAME), node) else {
            continue;
        };
        let Ok(meta) = DirMeta::parse(&bytes) else { continue };
        let names = meta.archive(&peer).seen.into_iter().flatten();
        paths
            .extend(names.filter(|(_, seen)| seen.size.is_some()).map(|(name, _)| format!("{folder}{name}")));
    }
    paths
}

/// I14: a run is called a success if and only if no error was told, and every conflict that it left is counted.
fn check_exit(state: &mut State, listener: &Listener<'_>, stats: &Stats, result: &Result<()>) {
    if result.is_ok() && (listener.errors > 0 || stats.errors > 0) {
        state.broken.push(format!("I14: a success with errors: {:?}", listener.failures));
    }
    if listener.conflicts != stats.conflict_files_skipped {
        state.broken.push(format!("I14: {} conflicts left, {:?}", listener.conflicts, stats));
    }
    let told = listener.failures.iter().cloned().chain(result.as_ref().err().map(ToString::to_string));
    if let Some(bug) = told.into_iter().find(|text| text.contains("internal error")) {
        state.broken.push(format!("I11: {bug}"));
    }
}

/// I10: the metadata claims of a file only what both sides have held, and of no other peer.
fn check_memory(world: &World, state: &mut State) {
    note_sizes(state, &world.in_step());
    if state.wish.is_lied_to {
        return;
    }
    let id = world.trees.remote.id().to_owned();
    let peer = PeerKey { legacy: world.trees.remote.legacy_id().to_owned(), id };
    for (path, node) in world.tree(Side::Local) {
        let Some(folder) = path.strip_suffix(META_FILE_NAME) else { continue };
        let Node::File(bytes, _) = node else { continue };
        let Ok(meta) = DirMeta::parse(&bytes) else { continue };
        for (name, seen) in meta.archive(&peer).seen.into_iter().flatten() {
            let path = format!("{folder}{name}");
            let is_true =
                |size: &u64| state.memory.shared_sizes.get(&path).is_some_and(|sizes| sizes.contains(size));
            if seen.size.is_some_and(|size| !is_true(&size)) {
                state.broken.push(format!("I10: {path} is remembered with {:?} bytes", seen.size));
            }
        }
    }
}

pub(super) fn trees(world: &World) -> [Tree; 2] {
    [world.tree(Side::Local), world.tree(Side::Remote)]
}

/// What the user sees: without times, without files of the tool.
pub(super) fn contents(trees: &[Tree; 2]) -> Contents {
    let of = |tree: &Tree| {
        tree.iter()
            .filter(|(path, _)| !is_own(path))
            .map(|(path, node)| match node {
                Node::File(bytes, _) => (path.clone(), Some(bytes.clone())),
                Node::Folder => (path.clone(), None),
            })
            .collect()
    };
    [of(&trees[0]), of(&trees[1])]
}

pub(super) fn restore(world: &World, trees: &[Tree; 2], memory: &Memory) {
    for (side, tree) in [(Side::Local, &trees[0]), (Side::Remote, &trees[1])] {
        let place = &world.trees[side];
        place.tree().keys().for_each(|path| place.take(path));
        for (path, node) in tree {
            match node {
                Node::File(bytes, mtime) => place.put(path, bytes, *mtime),
                Node::Folder => place.put_folder(path),
            }
        }
    }
    world.state().memory = memory.clone();
}

/// What a player knows about its world.
pub(super) struct Player {
    pub world: Arc<World>,
    pub dice: Dice,
    keeps_times: bool,
}

impl Player {
    pub fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let mode = dice.one_of(&[Mode::Sync, Mode::Sync, Mode::Sync, Mode::Upload, Mode::Download]);
        let strategies: &[Strategy] = match mode {
            Mode::Sync => &[
                Strategy::Skip,
                Strategy::Skip,
                Strategy::New,
                Strategy::Old,
                Strategy::Prefer(Side::Local),
                Strategy::Prefer(Side::Remote),
            ],
            Mode::Upload => &[Strategy::Skip, Strategy::Prefer(Side::Local)],
            Mode::Download => &[Strategy::Skip, Strategy::Prefer(Side::Remote)],
        };
        let is_one_way = mode != Mode::Sync;
        let wish = Wish {
            mode,
            strategy: dice.one_of(strategies),
            force: is_one_way && dice.happens(300),
            delete: is_one_way && dice.happens(600),
            delete_unmatched: is_one_way && dice.happens(200),
            is_rehearsal: false,
            guard_is_on: dice.happens(300),
            is_lied_to: false,
        };
        let keeps_times = dice.happens(700);
        let world = World::new(dice.throw(), keeps_times, wish);
        let player = Player { world, dice, keeps_times };
        player.begin();
        player
    }

    /// Two trees that are somewhat alike.
    fn begin(&self) {
        let mut state = self.world.state();
        for _ in 0..12 {
            self.world.edit(&mut state);
        }
        let (local, remote) = (&self.world.trees.local, &self.world.trees.remote);
        for (path, node) in local.tree() {
            let above = path
                .rsplit_once('/')
                .is_none_or(|(above, _)| remote.tree().get(above) == Some(&Node::Folder));
            if let (Node::File(bytes, mtime), true) = (node, state.dice.happens(400) && above)
                && !matches!(remote.tree().get(&path), Some(Node::Folder))
            {
                remote.put(&path, &bytes, mtime);
            }
        }
    }

    pub fn wish(&self, change: impl FnOnce(&mut Wish)) {
        change(&mut self.world.state().wish);
    }

    pub fn broken(&self, what: String) {
        self.world.state().broken.push(what);
    }

    pub fn calm(&mut self) -> Told {
        let order = self.dice.throw();
        let told = run(&self.world, Weather::default(), order);
        let mut state = self.world.state();
        if told.result.is_ok() {
            let written: Vec<String> = state
                .deeds
                .iter()
                .filter_map(|deed| deed.split_once(" write "))
                .map(|(_, path)| path.to_owned())
                .collect();
            state.memory.recorded.extend(written);
            // What a folder remembers lies in it, and goes with it when the run has removed it.
            let local = self.world.trees.local.tree();
            let is_there = |(above, _): (&str, &str)| local.get(above) == Some(&Node::Folder);
            state.memory.recorded.retain(|path| path.rsplit_once('/').is_none_or(is_there));
        }
        drop(state);
        told
    }

    pub fn round(&mut self) {
        let edits = self.dice.below(8);
        for _ in 0..edits {
            let mut state = self.world.state();
            self.world.edit(&mut state);
        }
        if self.dice.happens(60) {
            self.lose_metadata();
        }
        match self.dice.below(6) {
            0 => self.rehearse(),
            1 => self.shuffle(),
            2 | 3 => self.disturb(),
            4 => self.live(),
            _ => {}
        }
        self.settle();
    }

    /// The metadata of a side is lost, or becomes nonsense.
    fn lose_metadata(&mut self) {
        let side = self.dice.one_of(&Side::BOTH);
        let place = &self.world.trees[side];
        let nonsense: [&[u8]; 5] =
            [b"", b"{", b"[1]", b"{\"_file_version\":3,\"mtimes\":5,\"peer_sync\":[]}", b"\xff\xfe"];
        for path in place.tree().into_keys().filter(|path| path.ends_with(".pyftpsync-meta.json")) {
            place.take(&path);
            if self.dice.happens(500) {
                let bytes = self.dice.one_of(&nonsense);
                place.put(&path, bytes, ftpsync::model::Stamp::new(DAWN, 0));
            }
        }
        let mut state = self.world.state();
        state.memory.recorded.clear();
        state.trace.push(format!("the metadata of the {side} side is lost"));
    }

    /// I9
    fn rehearse(&mut self) {
        let (before, memory) = (trees(&self.world), self.world.state().memory.clone());
        self.wish(|wish| wish.is_rehearsal = true);
        let said = self.calm();
        self.wish(|wish| wish.is_rehearsal = false);
        if trees(&self.world) != before {
            self.broken("I9: a rehearsal changed something".into());
        }
        self.world.state().memory = memory;
        let done = self.calm();
        if said.sorted() != done.sorted() {
            self.broken(format!("I9: said {:?}, done {:?}", said.sorted(), done.sorted()));
        }
    }

    /// I13
    fn shuffle(&mut self) {
        let (before, memory) = (trees(&self.world), self.world.state().memory.clone());
        let first = self.calm();
        let end = contents(&trees(&self.world));
        restore(&self.world, &before, &memory);
        let second = self.calm();
        if contents(&trees(&self.world)) != end {
            self.broken("I13: another order, another end".into());
        }
        if first.sorted() != second.sorted() {
            self.broken(format!("I13: told {:?}, then {:?}", first.sorted(), second.sorted()));
        }
    }

    /// I7 and I8
    fn disturb(&mut self) {
        if self.world.state().wish.mode != Mode::Sync {
            // As in `settle`: the second run may do more than the first.
            self.calm();
        }
        let (before, memory) = (trees(&self.world), self.world.state().memory.clone());
        let undisturbed = self.calm();
        let good = contents(&trees(&self.world));
        let known = remembered(&self.world);
        let steps = self.world.state().steps;
        restore(&self.world, &before, &memory);
        let is_stopped = self.dice.happens(250);
        let weather = if is_stopped {
            Weather { at: Some((1 + self.dice.below(steps), Mishap::Stop)), ..Weather::default() }
        } else if self.dice.happens(500) {
            let mishap =
                self.dice.one_of(&[Mishap::Crash, Mishap::Crash, Mishap::LostAfter, Mishap::LostMidway]);
            Weather { at: Some((1 + self.dice.below(steps), mishap)), ..Weather::default() }
        } else {
            let mishaps = self.dice.one_of(&[10, 50, 200]);
            Weather { mishaps, crashes: self.dice.happens(500), ..Weather::default() }
        };
        let disturbed = run(&self.world, weather, self.dice.throw());
        let (old, now) = (contents(&before), contents(&trees(&self.world)));
        // Who knows only some of the names may bring back what was removed, and must tell; nothing is lost by that.
        let knew_all = !self.world.state().was_incomplete;
        let paths = |side: usize| old[side].keys().chain(now[side].keys()).chain(good[side].keys());
        for side in 0..2 {
            for path in paths(side) {
                let is = now[side].get(path);
                if knew_all && is != old[side].get(path) && is != good[side].get(path) {
                    self.broken(format!("I8: {path} on side {side} is neither old nor new"));
                }
            }
        }
        let is_praised = disturbed.result.is_ok() && disturbed.failures.is_empty();
        if is_praised && knew_all && now != good {
            self.broken("I8: a run was called a success, and is none".into());
        }
        let again = self.calm();
        let end = contents(&trees(&self.world));
        let different = difference(&good, &end, |path| is_in_lost_folder(&old, path));
        if undisturbed.result.is_ok() && again.result.is_ok() && knew_all && !different.is_empty() {
            self.broken(format!("I7: ends otherwise: {different:?}"));
        }
        let now_known = remembered(&self.world);
        // What is on neither side, or only on one, may well be forgotten.
        let is_there = |path: &&String| (0..2).all(|side| end[side].contains_key(path.as_str()));
        let forgotten: Vec<&String> = known.difference(&now_known).filter(is_there).collect();
        if is_stopped && undisturbed.result.is_ok() && again.result.is_ok() && !forgotten.is_empty() {
            self.broken(format!("I7: forgets {forgotten:?}"));
        }
        let leaves_conflicts = self.world.state().wish.strategy == Strategy::Skip;
        if undisturbed.result.is_ok()
            && leaves_conflicts
            && self.keeps_times
            && again.conflicts() != undisturbed.conflicts()
        {
            self.broken(format!("I7: conflicts {:?}, then {:?}", undisturbed.conflicts(), again.conflicts()));
        }
    }

    /// I17: the user works on both sides while the tool does.
    fn live(&mut self) {
        let weather = Weather { edits: 150, mishaps: self.dice.one_of(&[0, 0, 30]), ..Weather::default() };
        run(&self.world, weather, self.dice.throw());
    }

    /// I5 and I6
    fn settle(&mut self) {
        let Wish { mode, force, delete, .. } = self.world.state().wish.clone();
        if mode != Mode::Sync {
            // The first run in one direction makes a memory, and folders that it did not copy are new to it.
            self.calm();
        }
        let told = self.calm();
        if told.result.is_ok() {
            let [local, remote] = contents(&trees(&self.world));
            let has_excluded = |path: &str| {
                let below = format!("{path}/");
                local.keys().chain(remote.keys()).any(|inner| inner.starts_with(&below) && is_excluded(inner))
            };
            let is_part = |path: &str| !is_excluded(path) && !told.names(path) && !has_excluded(path);
            let differs = |path: &&String| local.get(*path) != remote.get(*path) && is_part(path);
            let of_source = |mode: Mode| match mode {
                Mode::Download => remote.keys(),
                Mode::Sync | Mode::Upload => local.keys(),
            };
            let wanted: Vec<&String> = match mode {
                Mode::Sync => local.keys().chain(remote.keys()).filter(differs).collect(),
                Mode::Upload | Mode::Download => of_source(mode).filter(differs).collect(),
            };
            if !wanted.is_empty() {
                self.broken(format!("I5: {wanted:?} differ, and nobody was told: {:?}", told.lines));
            }
            if delete {
                let target = if mode == Mode::Upload { &remote } else { &local };
                let left: Vec<&String> = target
                    .iter()
                    .filter(|(_, node)| node.is_some())
                    .map(|(path, _)| path)
                    .filter(differs)
                    .collect();
                if !left.is_empty() {
                    self.broken(format!("I5: {left:?} should be gone: {:?}", told.lines));
                }
            }
        }
        let before = trees(&self.world);
        let idle = self.calm();
        let deeds = self.world.state().deeds.clone();
        if !force && told.result.is_ok() && !deeds.is_empty() {
            self.broken(format!("I6: the second run did {deeds:?}"));
        }
        if !force && told.result.is_ok() && contents(&before) != contents(&trees(&self.world)) {
            self.broken("I6: the second run changed something".into());
        }
        if told.result.is_ok()
            && told.conflicts() != idle.conflicts()
            && !matches!(
                self.world.state().wish.strategy,
                Strategy::Prefer(_) | Strategy::New | Strategy::Old
            )
        {
            self.broken(format!("I6: conflicts {:?}, then {:?}", told.conflicts(), idle.conflicts()));
        }
    }
}

/// The paths that two ends do not have in common. A run that is cut off while it puts the survivors of a lost folder back leaves
/// a folder that is not lost any more: what else was in it comes back, too. Such paths `may_be_back`.
fn difference(good: &Contents, end: &Contents, may_be_back: impl Fn(&str) -> bool) -> Vec<String> {
    let mut different = Vec::new();
    for side in 0..2 {
        for path in good[side].keys().chain(end[side].keys()) {
            let is_back = !good[side].contains_key(path) && may_be_back(path);
            if good[side].get(path) != end[side].get(path) && !is_back {
                different.push(format!("side {side} {path}"));
            }
        }
    }
    different.dedup();
    different
}

/// Whether one side has lost a folder that the path is in.
fn is_in_lost_folder(old: &Contents, path: &str) -> bool {
    let mut folders = path.match_indices('/').map(|(end, _)| &path[..end]);
    folders.any(|folder| old[0].contains_key(folder) != old[1].contains_key(folder))
}

/// Plays one world; what was done, and which promises were broken.
fn play(seed: u64) -> (Vec<String>, Vec<String>) {
    let mut player = Player::new(seed);
    for _ in 0..4 {
        player.round();
        if !player.world.state().broken.is_empty() {
            break;
        }
    }
    let mut state = player.world.state();
    (std::mem::take(&mut state.trace), std::mem::take(&mut state.broken))
}

/// Worlds in which something was wrong once.
const ONCE_WRONG: [u64; 14] = [
    2_006_289, 101_862, 101_930, 103_785, 106_869, 108_276, 303_085, 2_016_624, 2_016_777, 2_018_965,
    2_020_397, 2_024_449, 2_031_322, 31_004_909,
];

#[test]
fn a_world_is_the_same_each_time_it_is_played() {
    for seed in 0..100 {
        assert_eq!(play(seed), play(seed), "seed {seed}");
    }
}

#[test]
fn no_promise_is_broken_in_any_world() {
    let first: u64 = std::env::var("FTPSYNC_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(0);
    let many = match std::env::var("FTPSYNC_WORLDS").ok().and_then(|many| many.parse().ok()) {
        Some(many) => many,
        None => rounds(250, 50_000),
    };
    let seeds: Vec<u64> = ONCE_WRONG.into_iter().chain(first..first + many).collect();
    let broken: Vec<(u64, Vec<String>)> = in_parallel(&seeds, 2, |seed| (*seed, play(*seed).1))
        .into_iter()
        .filter(|(_, broken)| !broken.is_empty())
        .collect();
    if let Some((seed, _)) = broken.iter().min_by_key(|(seed, _)| play(*seed).0.len()) {
        let (trace, _) = play(*seed);
        let summary: Vec<String> =
            broken.iter().take(12).map(|(seed, broken)| format!("{seed}: {}", broken[0])).collect();
        panic!(
            "{} of {} worlds:\n{}\n\nseed {seed}:\n{}\n",
            broken.len(),
            seeds.len(),
            summary.join("\n"),
            trace[trace.len().saturating_sub(400)..].join("\n")
        );
    }
}
