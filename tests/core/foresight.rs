//! Folders are listed before their turn.

use crate::tree::{Setup, at, run};
use ftpsync::error::Result;
use ftpsync::model::{Listing, RelPath};
use ftpsync::plan::Mode;
use ftpsync::target::memory::MemoryTarget;
use ftpsync::target::{Caps, Put, Session, Target, Written};
use std::io::Read;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

const NEVER: Duration = Duration::from_secs(10);

/// The folders that were asked about.
#[derive(Default)]
struct Asked {
    folders: Mutex<Vec<RelPath>>,
    came: Condvar,
}

/// A tree whose deep folders answer only when several are asked for at the same time.
#[derive(Clone)]
struct Sociable {
    tree: MemoryTarget,
    asked: Arc<Asked>,
    wanted: usize,
}

impl Sociable {
    fn over(tree: MemoryTarget, wanted: usize) -> Self {
        Sociable { tree, asked: Arc::default(), wanted }
    }

    fn listed(&self) -> Vec<String> {
        let mut listed: Vec<String> =
            self.asked.folders.lock().unwrap().iter().map(RelPath::to_string).collect();
        listed.sort();
        listed
    }

    fn meet(&self, dir: &RelPath) {
        let mut folders = self.asked.folders.lock().unwrap();
        folders.push(dir.clone());
        if dir.depth() == 2 {
            self.asked.came.notify_all();
            let alone = |folders: &mut Vec<RelPath>| {
                folders.iter().filter(|dir| dir.depth() == 2).count() < self.wanted
            };
            let answer = self.asked.came.wait_timeout_while(folders, NEVER, alone).unwrap();
            assert!(!answer.1.timed_out(), "nobody else was asked about while {dir} was being listed");
        }
    }
}

impl Target for Sociable {
    fn id(&self) -> &str {
        self.tree.id()
    }
    fn base_name(&self) -> &str {
        self.tree.base_name()
    }
    fn caps(&self) -> Caps {
        self.tree.caps()
    }
    fn open(&self) -> Result<Box<dyn Session>> {
        Ok(Box::new(Conversation { place: self.clone(), inner: self.tree.open()? }))
    }
}

struct Conversation {
    place: Sociable,
    inner: Box<dyn Session>,
}

impl Session for Conversation {
    fn list(&mut self, dir: &RelPath) -> Result<Listing> {
        self.place.meet(dir);
        self.inner.list(dir)
    }
    fn read(&mut self, file: &RelPath, lend: &mut dyn FnMut(&mut dyn Read) -> Result<()>) -> Result<()> {
        self.inner.read(file, lend)
    }
    fn write(&mut self, file: &RelPath, body: &mut dyn Read, put: &Put) -> Result<Written> {
        self.inner.write(file, body, put)
    }
    fn mkdir(&mut self, dir: &RelPath) -> Result<()> {
        self.inner.mkdir(dir)
    }
    fn remove_file(&mut self, file: &RelPath) -> Result<()> {
        self.inner.remove_file(file)
    }
    fn remove_dir(&mut self, dir: &RelPath) -> Result<()> {
        self.inner.remove_dir(dir)
    }
}

/// Four branches, each with a folder in a folder.
fn branches(tree: &MemoryTarget) {
    for branch in ["a", "b", "c", "d"] {
        tree.put(&format!("{branch}/deep/file"), b"x", at(0));
    }
}

#[test]
fn what_lies_below_later_branches_is_listed_while_the_first_is_still_being_visited() {
    for (mode, local_has_it) in [(Mode::Sync, true), (Mode::Sync, false), (Mode::Download, false)] {
        let (local, remote) = (MemoryTarget::new("local"), MemoryTarget::new("remote"));
        branches(&remote);
        if local_has_it {
            branches(&local);
        }
        let remote = Sociable::over(remote, 4);
        let outcome = run(&local, &remote, &Setup { threads: 4, ..Setup::new(mode) });
        outcome.result.unwrap();
        let folders = ["", "a", "a/deep", "b", "b/deep", "c", "c/deep", "d", "d/deep"];
        assert_eq!(remote.listed(), folders, "each folder is listed once");
        assert!(local.tree().contains_key("d/deep/file"));
    }
}

/// A tree whose root is listed only once somebody has asked for a folder in it.
#[derive(Clone)]
struct Hesitant(Sociable);

impl Target for Hesitant {
    fn id(&self) -> &str {
        self.0.id()
    }
    fn base_name(&self) -> &str {
        self.0.base_name()
    }
    fn caps(&self) -> Caps {
        self.0.caps()
    }
    fn open(&self) -> Result<Box<dyn Session>> {
        let place = self.clone();
        Ok(Box::new(Hesitation { place, inner: self.0.tree.open()? }))
    }
}

struct Hesitation {
    place: Hesitant,
    inner: Box<dyn Session>,
}

impl Session for Hesitation {
    fn list(&mut self, dir: &RelPath) -> Result<Listing> {
        let asked = &self.place.0.asked;
        let mut folders = asked.folders.lock().unwrap();
        folders.push(dir.clone());
        asked.came.notify_all();
        if dir.is_root() {
            let alone = |folders: &mut Vec<RelPath>| folders.iter().all(RelPath::is_root);
            let (folders, waited) = asked.came.wait_timeout_while(folders, NEVER, alone).unwrap();
            drop(folders);
            assert!(!waited.timed_out(), "nothing else was asked about while the root was being listed");
        }
        self.inner.list(dir)
    }
    fn read(&mut self, file: &RelPath, lend: &mut dyn FnMut(&mut dyn Read) -> Result<()>) -> Result<()> {
        self.inner.read(file, lend)
    }
    fn write(&mut self, file: &RelPath, body: &mut dyn Read, put: &Put) -> Result<Written> {
        self.inner.write(file, body, put)
    }
    fn mkdir(&mut self, dir: &RelPath) -> Result<()> {
        self.inner.mkdir(dir)
    }
    fn remove_file(&mut self, file: &RelPath) -> Result<()> {
        self.inner.remove_file(file)
    }
    fn remove_dir(&mut self, dir: &RelPath) -> Result<()> {
        self.inner.remove_dir(dir)
    }
}

#[test]
fn folders_that_are_remembered_are_listed_while_the_one_above_is() {
    for mode in [Mode::Sync, Mode::Upload, Mode::Download] {
        let (local, remote) = (MemoryTarget::new("local"), MemoryTarget::new("remote"));
        branches(if mode == Mode::Download { &remote } else { &local });
        let setup = Setup { threads: 4, ..Setup::new(mode) };
        run(&local, &remote, &setup).result.unwrap();
        let slow = Hesitant(Sociable::over(remote.clone(), 1));
        let before = (local.tree(), remote.tree());
        run(&local, &slow, &setup).result.unwrap();
        let folders = ["", "a", "a/deep", "b", "b/deep", "c", "c/deep", "d", "d/deep"];
        assert_eq!(slow.0.listed(), folders, "each folder is listed once");
        assert_eq!((local.tree(), remote.tree()), before);
    }
}

#[test]
fn a_folder_that_is_remembered_in_vain_is_gone_all_the_same() {
    let (local, remote) = (MemoryTarget::new("local"), MemoryTarget::new("remote"));
    branches(&local);
    let setup = Setup { threads: 4, ..Setup::new(Mode::Sync) };
    run(&local, &remote, &setup).result.unwrap();
    let mut session = remote.open().unwrap();
    let path = |text: &str| RelPath::parse(text).unwrap();
    session.remove_file(&path("b/deep/file")).unwrap();
    for own in ["b/deep", "b"] {
        drop(session.remove_file(&path(&format!("{own}/.pyftpsync-meta.json"))));
        session.remove_dir(&path(own)).unwrap();
    }
    let outcome = run(&local, &Hesitant(Sociable::over(remote.clone(), 1)), &setup);
    outcome.result.unwrap();
    assert!(outcome.failures.is_empty(), "{:?}", outcome.failures);
    assert!(!local.tree().contains_key("b") && local.tree().contains_key("c/deep/file"));
}

#[test]
fn a_wrong_guess_changes_nothing() {
    // The local "b" is a file: what the remote one holds is not visited.
    let (local, remote) = (MemoryTarget::new("local"), MemoryTarget::new("remote"));
    branches(&remote);
    local.put("b", b"a file", at(0));
    let before = remote.tree();
    let outcome =
        run(&local, &Sociable::over(remote.clone(), 1), &Setup { threads: 4, ..Setup::new(Mode::Sync) });
    assert!(outcome.result.is_err(), "a file on one side, a folder on the other");
    assert_eq!(outcome.failures.len(), 1, "{:?}", outcome.failures);
    assert_eq!(remote.tree().keys().collect::<Vec<_>>(), before.keys().collect::<Vec<_>>());
    assert!(local.tree().contains_key("a/deep/file") && !local.tree().contains_key("b/deep/file"));
}

#[test]
fn where_nothing_of_the_other_side_is_wanted_nothing_of_it_is_listed() {
    let (local, remote) = (MemoryTarget::new("local"), MemoryTarget::new("remote"));
    branches(&remote);
    let remote = Sociable::over(remote, 1);
    run(&local, &remote, &Setup::new(Mode::Upload)).result.unwrap();
    assert_eq!(remote.listed(), [""]);
}
