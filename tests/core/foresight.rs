//! Folders are listed before their turn.

use crate::tree::{Setup, at, run};
use crate::wrapped::{Overrides, Wrapped};
use ftpsync::error::Result;
use ftpsync::model::{Listing, RelPath};
use ftpsync::plan::Mode;
use ftpsync::target::memory::MemoryTarget;
use ftpsync::target::{Session, Target};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

const NEVER: Duration = Duration::from_secs(10);

/// The folders that were asked about.
#[derive(Default)]
struct Asked {
    folders: Mutex<Vec<RelPath>>,
    came: Condvar,
}

impl Asked {
    /// Notes that a folder is asked about, and waits until others were too.
    fn about(&self, dir: &RelPath, are_enough: impl Fn(&[RelPath]) -> bool) {
        let mut folders = self.folders.lock().unwrap();
        folders.push(dir.clone());
        self.came.notify_all();
        let alone = |folders: &mut Vec<RelPath>| !are_enough(folders);
        let (folders, waited) = self.came.wait_timeout_while(folders, NEVER, alone).unwrap();
        drop(folders);
        assert!(!waited.timed_out(), "nobody else was asked about while {dir:?} was being listed");
    }

    fn sorted(&self) -> Vec<String> {
        let mut folders: Vec<String> = self.folders.lock().unwrap().iter().map(RelPath::to_string).collect();
        folders.sort();
        folders
    }
}

/// A side whose deep folders answer only when so many are asked for at the same time.
#[derive(Clone)]
struct Sociable(Arc<Asked>, usize);

impl Overrides for Sociable {
    fn list(&mut self, below: &mut dyn Session, dir: &RelPath) -> Result<Listing> {
        let is_deep = |dir: &RelPath| dir.depth() == 2;
        let deep = |folders: &[RelPath]| folders.iter().filter(|dir| is_deep(dir)).count();
        self.0.about(dir, |folders| !is_deep(dir) || deep(folders) >= self.1);
        below.list(dir)
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
        let asked = Arc::new(Asked::default());
        let remote = Wrapped { below: remote, with: Sociable(Arc::clone(&asked), 4) };
        let outcome = run(&local, &remote, &Setup { threads: 4, ..Setup::new(mode) });
        outcome.result.unwrap();
        let folders = ["", "a", "a/deep", "b", "b/deep", "c", "c/deep", "d", "d/deep"];
        assert_eq!(asked.sorted(), folders, "each folder is listed once");
        assert!(local.tree().contains_key("d/deep/file"));
    }
}

/// A side whose root is listed only once somebody has asked for a folder in it.
#[derive(Clone)]
struct Hesitant(Arc<Asked>);

impl Overrides for Hesitant {
    fn list(&mut self, below: &mut dyn Session, dir: &RelPath) -> Result<Listing> {
        self.0.about(dir, |folders| !dir.is_root() || !folders.iter().all(RelPath::is_root));
        below.list(dir)
    }
}

#[test]
fn folders_that_are_remembered_are_listed_while_the_one_above_is() {
    for mode in [Mode::Sync, Mode::Upload, Mode::Download] {
        let (local, remote) = (MemoryTarget::new("local"), MemoryTarget::new("remote"));
        branches(if mode == Mode::Download { &remote } else { &local });
        let setup = Setup { threads: 4, ..Setup::new(mode) };
        run(&local, &remote, &setup).result.unwrap();
        let asked = Arc::new(Asked::default());
        let slow = Wrapped { below: remote.clone(), with: Hesitant(Arc::clone(&asked)) };
        let before = (local.tree(), remote.tree());
        run(&local, &slow, &setup).result.unwrap();
        let folders = ["", "a", "a/deep", "b", "b/deep", "c", "c/deep", "d", "d/deep"];
        assert_eq!(asked.sorted(), folders, "each folder is listed once");
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
    let slow = Wrapped { below: remote, with: Hesitant(Arc::default()) };
    let outcome = run(&local, &slow, &setup);
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
    let sociable = Wrapped { below: remote.clone(), with: Sociable(Arc::default(), 1) };
    let outcome = run(&local, &sociable, &Setup { threads: 4, ..Setup::new(Mode::Sync) });
    assert!(outcome.result.is_err(), "a file on one side, a folder on the other");
    assert_eq!(outcome.failures.len(), 1, "{:?}", outcome.failures);
    assert_eq!(remote.tree().keys().collect::<Vec<_>>(), before.keys().collect::<Vec<_>>());
    assert!(local.tree().contains_key("a/deep/file") && !local.tree().contains_key("b/deep/file"));
}

#[test]
fn where_nothing_of_the_other_side_is_wanted_nothing_of_it_is_listed() {
    let (local, remote) = (MemoryTarget::new("local"), MemoryTarget::new("remote"));
    branches(&remote);
    let asked = Arc::new(Asked::default());
    let remote = Wrapped { below: remote, with: Sociable(Arc::clone(&asked), 1) };
    run(&local, &remote, &Setup::new(Mode::Upload)).result.unwrap();
    assert_eq!(asked.sorted(), [""]);
}
