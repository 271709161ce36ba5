//! Folders that one side lost, and what is in them on the other one. Each of these was found by playing many worlds.

use super::tree::{Setup, at, run, trees, user_tree};
use ftpsync::model::{Side, Stamp};
use ftpsync::plan::{Mode, Strategy};
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
