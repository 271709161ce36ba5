//! Folders that one side lost, and what is in them on the other one. Each of these was found by playing many worlds.

use super::tree::{Setup, at, run, trees, user_tree};
use super::wrapped::{Lend, Overrides, Wrapped};
use ftpsync::error::{Error, Kind, Result};
use ftpsync::model::{Entry, Listing, META_FILE_NAME, Note, RelPath, Side, Stamp};
use ftpsync::plan::{Mode, Strategy};
use ftpsync::target::Session;
use ftpsync::target::memory::{MemoryTarget, Node};

/// Long before any run.
fn long_ago() -> Stamp {
    at(-10_000)
}

fn sync(local: &MemoryTarget, remote: &MemoryTarget) {
    let outcome = run(local, remote, &Setup::new(Mode::Sync));
    assert!(outcome.result.is_ok(), "{outcome:?}");
}

fn has(target: &MemoryTarget, path: &str) -> bool {
    user_tree(target).contains_key(path)
}

#[test]
fn an_old_file_that_came_into_an_empty_folder_is_not_removed_with_it() {
    let (local, remote) = trees();
    remote.put_folder("d");
    remote.put_folder("e/f");
    local.put("keep", b"1", at(0));
    sync(&local, &remote);
    // The local side loses the folders. On the server somebody has put a file with an old date into each.
    for folder in ["d", "e"] {
        local.take(folder);
    }
    remote.put("d/old", b"2", long_ago());
    remote.put("e/f/old", b"3", long_ago());
    sync(&local, &remote);
    assert!(has(&remote, "d/old") && has(&remote, "e/f/old"));
}

#[test]
fn an_old_file_that_came_into_a_folder_that_had_become_empty_is_not_removed_with_it() {
    let (local, remote) = trees();
    for file in ["d/a", "keep"] {
        local.put(file, b"1", at(0));
    }
    sync(&local, &remote);
    local.take("d/a");
    sync(&local, &remote);
    assert!(!has(&remote, "d/a") && has(&remote, "d"));
    local.take("d");
    remote.put("d/old", b"2", long_ago());
    sync(&local, &remote);
    assert!(has(&remote, "d/old"));
}

#[test]
fn a_folder_that_came_into_a_lost_folder_is_not_removed_with_it() {
    let (local, remote) = trees();
    for file in ["d/a", "keep"] {
        local.put(file, b"1", at(0));
    }
    sync(&local, &remote);
    local.take("d");
    remote.put("d/new/old", b"2", long_ago());
    sync(&local, &remote);
    assert!(has(&remote, "d/new/old") && !has(&remote, "d/a"));
}

#[test]
fn a_folder_that_came_anew_into_a_lost_one_is_not_taken_for_the_old_one() {
    let (local, remote) = trees();
    for file in ["d/a", "d/e/a", "keep"] {
        local.put(file, b"1", at(0));
    }
    sync(&local, &remote);
    local.take("d");
    // This one keeps the folder where it is; the rest of it goes.
    remote.put("d/new", b"2", at(100));
    sync(&local, &remote);
    assert!(has(&remote, "d/new") && !has(&remote, "d/e"));
    remote.put("d/e/old", b"3", long_ago());
    sync(&local, &remote);
    assert!(has(&remote, "d/e/old"));
}

#[test]
fn what_could_not_be_copied_back_into_a_lost_folder_does_not_look_removed_there() {
    let (local, remote) = trees();
    for file in ["d/a", "d/b", "keep"] {
        local.put(file, b"1", at(0));
    }
    sync(&local, &remote);
    remote.take("d");
    // An upload puts the folder back; one file of it cannot be read just then.
    local.break_reading("d/a");
    let mut upload = Setup::new(Mode::Upload);
    upload.policy.strategy = Some(Strategy::Prefer(Side::Local));
    upload.policy.force = true;
    let outcome = run(&local, &remote, &upload);
    assert_eq!(outcome.stats.copy_errors, 1, "{outcome:?}");
    assert!(has(&remote, "d/b") && !has(&remote, "d/a"));
    local.mend();
    sync(&local, &remote);
    assert_eq!(user_tree(&local).get("d/a"), Some(&Node::File(b"1".to_vec(), at(0))));
    assert_eq!(user_tree(&local), user_tree(&remote));
}

#[test]
fn a_new_file_in_a_lost_folder_stays_although_the_root_had_lost_its_memory_before() {
    let (local, remote) = trees();
    for file in ["d/e/a", "keep"] {
        local.put(file, b"1", at(0));
    }
    sync(&local, &remote);
    local.take(".pyftpsync-meta.json");
    // The folders inside still know what they held, and the root learns it from them.
    sync(&local, &remote);
    local.take("d/e");
    remote.put("d/e/old", b"2", long_ago());
    sync(&local, &remote);
    assert!(has(&remote, "d/e/old") && !has(&remote, "d/e/a"));
}

#[test]
fn a_backdated_edit_in_a_folder_whose_memory_a_killed_run_did_not_write_is_not_removed_with_it() {
    let (local, remote) = trees();
    remote.put("d/e/a", b"1", at(0));
    remote.put("f/b", b"1", at(0));
    sync(&local, &remote);
    // As if the run had been killed before the memory of the folder, and before that of the root said what was in it.
    local.take("d/e/.pyftpsync-meta.json");
    let Some(Node::File(root, time)) = local.tree().remove(".pyftpsync-meta.json") else { panic!() };
    let mut root: serde_json::Value = serde_json::from_slice(&root).unwrap();
    let copies = root["folders"].as_object_mut().unwrap();
    copies.values_mut().for_each(|folders| drop(folders.as_object_mut().unwrap().remove("d/e")));
    local.put(".pyftpsync-meta.json", root.to_string().as_bytes(), time);
    remote.put("d/e/a", b"edited", long_ago());
    local.take("d/e");
    let outcome = run(&local, &remote, &Setup::new(Mode::Sync));
    assert!(has(&remote, "d/e/a"), "{outcome:?}");
}

/// A both-way run that leaves out `*.tmp`, and in which one side wins.
fn with_filter(winner: Side) -> Setup {
    let mut setup = Setup::new(Mode::Sync);
    setup.policy.strategy = Some(Strategy::Prefer(winner));
    setup.exclude = vec!["*.tmp".into()];
    setup
}

#[test]
fn what_the_filter_keeps_in_a_folder_that_comes_back_stays_removed() {
    let (local, remote) = trees();
    for file in ["d/a", "d/e/a", "d/f/a", "keep"] {
        local.put(file, b"1", at(0));
    }
    let setup = with_filter(Side::Remote);
    assert!(run(&local, &remote, &setup).result.is_ok());
    local.take("d");
    remote.put("d/a", b"edited", at(100));
    remote.put("d/e/x.tmp", b"2", at(100));
    let outcome = run(&local, &remote, &setup);
    assert!(has(&local, "d/a") && has(&remote, "d/e/x.tmp") && !has(&remote, "d/e/a"), "{outcome:?}");
    assert!(!has(&remote, "d/f"), "{outcome:?}");
    let again = run(&local, &remote, &setup);
    assert!(!has(&local, "d/e"), "the user has removed it: {again:?}");
    assert_eq!(again.stats.entries_touched, 0, "{again:?}");
    // Once nothing holds it any more, it goes.
    remote.take("d/e/x.tmp");
    run(&local, &remote, &setup);
    assert_eq!(user_tree(&local), user_tree(&remote));
    assert!(!has(&remote, "d/e"));
}

#[test]
fn new_folders_with_nothing_but_what_is_left_out_come_back_with_the_folder_that_they_are_in() {
    let (local, remote) = trees();
    for file in ["d/a", "keep"] {
        local.put(file, b"1", at(0));
    }
    let setup = with_filter(Side::Local);
    assert!(run(&local, &remote, &setup).result.is_ok());
    remote.take("d");
    local.put("d/e/g/x.tmp", b"2", at(100));
    local.put("d/f/b", b"3", at(100));
    let said = run(&local, &remote, &Setup { dry_run: true, ..setup.clone() });
    let outcome = run(&local, &remote, &setup);
    assert!(has(&remote, "d/f/b") && has(&remote, "d/e/g") && !has(&remote, "d/e/g/x.tmp"), "{outcome:?}");
    assert!(!has(&local, "d/a") && has(&local, "d/e/g/x.tmp"), "{outcome:?}");
    assert_eq!(said.lines, outcome.lines);
    let again = run(&local, &remote, &setup);
    assert_eq!(again.stats.entries_touched, 0, "{again:?}");
}

/// A side whose listing of the root lacks a folder, and says that something is missing.
#[derive(Clone)]
struct Hiding;

impl Overrides for Hiding {
    fn list(&mut self, below: &mut dyn Session, dir: &RelPath) -> Result<Listing> {
        let mut listing = below.list(dir)?;
        if dir.is_root() {
            listing.entries.retain(|entry| entry.name.as_str() != "d");
            listing.complete = false;
        }
        Ok(listing)
    }
}

#[test]
fn a_folder_that_only_a_listing_lacks_keeps_its_memory_and_edits_in_it_are_no_conflicts() {
    let hidden = |tree: &MemoryTarget| Wrapped { below: tree.clone(), with: Hiding };
    // The files lie in the folder, or the folder only leads to them.
    for (hiding, dir) in Side::BOTH.into_iter().flat_map(|side| [(side, "d"), (side, "d/e")]) {
        let (local, remote) = trees();
        // Both sides have the folder before they meet, so that the root does not remember it as copied.
        let (a, b) = (&*format!("{dir}/a"), &*format!("{dir}/b"));
        local.put(a, b"1", at(0));
        remote.put(b, b"1", at(0));
        sync(&local, &remote);
        local.put(a, b"edited here", at(100));
        remote.put(b, b"edited there", at(100));
        let before = (user_tree(&local), user_tree(&remote));
        let outcome = match hiding {
            Side::Local => run(&hidden(&local), &remote, &Setup::new(Mode::Sync)),
            Side::Remote => run(&local, &hidden(&remote), &Setup::new(Mode::Sync)),
        };
        assert_eq!((user_tree(&local), user_tree(&remote)), before, "{outcome:?}");
        assert!(outcome.warnings.iter().any(|text| text.starts_with("Left alone: d: ")), "{outcome:?}");
        assert!(outcome.result.is_err(), "not all was done: {outcome:?}");
        let again = run(&local, &remote, &Setup::new(Mode::Sync));
        assert_eq!(again.stats.conflict_files, 0, "{again:?}");
        assert_eq!(user_tree(&local), user_tree(&remote), "{again:?}");
        assert_eq!(user_tree(&local).get(b), Some(&Node::File(b"edited there".to_vec(), at(100))));
        assert_eq!(user_tree(&local).get(a), Some(&Node::File(b"edited here".to_vec(), at(100))));
    }
}

/// A side on a failing disk: the metadata of a folder can neither be looked at nor read.
#[derive(Clone)]
struct Failing;

impl Overrides for Failing {
    fn list(&mut self, below: &mut dyn Session, dir: &RelPath) -> Result<Listing> {
        let mut listing = below.list(dir)?;
        let unseen = |entry: &mut Entry| dir.as_str() == "d" && entry.name.as_str() == META_FILE_NAME;
        for entry in listing.entries.extract_if(.., unseen) {
            listing.complete = false;
            listing.notes.push(Note::refused(META_FILE_NAME, "Input/output error"));
            listing.present_but_skipped.push(entry.name);
        }
        Ok(listing)
    }
    fn read(&mut self, below: &mut dyn Session, file: &RelPath, lend: &mut Lend<'_>) -> Result<()> {
        if file.as_str() == format!("d/{META_FILE_NAME}") {
            return Err(Error::new(Kind::Io, "Input/output error").during("read").at(file));
        }
        below.read(file, lend)
    }
}

#[test]
fn a_memory_that_cannot_be_looked_at_is_not_absent() {
    let (local, remote) = trees();
    for name in ["d/deleted", "d/stays", "other"] {
        local.put(name, b"1", at(0));
    }
    sync(&local, &remote);
    remote.take("d/deleted");
    local.put("other", b"edited", at(100));
    let outcome = run(&Wrapped { below: local.clone(), with: Failing }, &remote, &Setup::new(Mode::Sync));
    assert!(outcome.failures.iter().any(|text| text.contains(META_FILE_NAME)), "{outcome:?}");
    assert!(outcome.result.is_err() && !has(&remote, "d/deleted"), "it does not come back: {outcome:?}");
    assert_eq!(user_tree(&remote).get("other"), Some(&Node::File(b"edited".to_vec(), at(100))));
    sync(&local, &remote);
    assert!(!has(&local, "d/deleted") && !has(&remote, "d/deleted") && has(&local, "d/stays"));
}
