//! What holds in every world, whatever the tables say.

use super::tree::{run, user_tree};
use super::world::{Here, Memory, World, worlds};
use ftpsync::model::Side;
use ftpsync::plan::{Mode, Strategy};

/// Runs `check` over every world, and tells all that break the law at once.
fn for_all(law: &str, check: impl Fn(&World) -> Result<(), String>) {
    let all = worlds();
    assert!(all.len() > 5_000, "{} worlds", all.len());
    let broken: Vec<String> = all
        .iter()
        .filter_map(|world| check(world).err().map(|why| format!("{}: {why}", world.name)))
        .collect();
    assert!(
        broken.is_empty(),
        "{law} is broken in {} worlds:\n{}",
        broken.len(),
        broken[..broken.len().min(20)].join("\n")
    );
}

fn clashes(world: &World) -> bool {
    let [local, remote] = world.here;
    world.setup.exclude.is_empty()
        && local != Here::Absent
        && remote != Here::Absent
        && (local == Here::Folder) != (remote == Here::Folder)
}

#[test]
fn every_world_has_an_outcome_and_only_clashes_are_errors() {
    for_all("totality", |world| {
        let (local, remote) = world.trees();
        let outcome = run(&local, &remote, &world.setup);
        match (outcome.result, clashes(world)) {
            (Ok(()), false) | (Err(_), true) => Ok(()),
            (Ok(()), true) => Err("a clash went unnoticed".into()),
            (Err(error), false) => Err(error.to_string()),
        }
    });
}

#[test]
fn upload_never_changes_local_and_download_never_remote() {
    for_all("one-way purity", |world| {
        let (local, remote) = world.trees();
        let before = (user_tree(&local), remote.tree());
        let _ = run(&local, &remote, &world.setup);
        match world.setup.policy.mode {
            Mode::Upload if user_tree(&local) != before.0 => Err("local changed".into()),
            Mode::Download if remote.tree() != before.1 => Err("remote changed".into()),
            Mode::Upload | Mode::Download | Mode::Sync => Ok(()),
        }
    });
}

#[test]
fn the_mirrored_world_ends_as_the_mirror_of_the_end() {
    for_all("mirror symmetry", |world| {
        // What is remembered of the inside of a folder lies on the local side: lost there, it is lost altogether.
        if world.memory == Memory::Folder && world.here.contains(&Here::Absent) {
            return Ok(());
        }
        let ends = [world.clone(), world.mirrored()].map(|world| {
            let (local, remote) = world.trees();
            let _ = run(&local, &remote, &world.setup);
            (user_tree(&local), user_tree(&remote))
        });
        let [(local, remote), (mirror_local, mirror_remote)] = &ends;
        if (local, remote) == (mirror_remote, mirror_local) { Ok(()) } else { Err(format!("{ends:?}")) }
    });
}

#[test]
fn a_second_run_changes_nothing() {
    for_all("idle second run", |world| {
        let (local, remote) = world.trees();
        let _ = run(&local, &remote, &world.setup);
        let before = (local.tree(), remote.tree());
        let second = run(&local, &remote, &world.setup);
        let mode = world.setup.policy.mode;
        // The first run made a memory: folders that it did not copy are new to it, as in the reference implementation.
        let learns = world.memory == Memory::None && world.here.contains(&Here::Folder) && mode != Mode::Sync;
        // An equal pair without a record is copied by force as often as it is asked for.
        if (local.tree(), remote.tree()) == before || learns || world.setup.policy.force {
            Ok(())
        } else {
            Err(format!("{:?}", second.lines))
        }
    });
}

#[test]
fn preferring_a_side_makes_both_alike() {
    for_all("convergence", |world| {
        let policy = world.setup.policy;
        let converges = policy.mode == Mode::Sync
            && matches!(policy.strategy, Some(Strategy::Prefer(Side::Local | Side::Remote)))
            && world.setup.exclude.is_empty()
            && !clashes(world);
        if !converges {
            return Ok(());
        }
        let (local, remote) = world.trees();
        let outcome = run(&local, &remote, &world.setup);
        let (local, remote) = (user_tree(&local), user_tree(&remote));
        if local == remote { Ok(()) } else { Err(format!("{local:?} {remote:?} {outcome:?}")) }
    });
}

#[test]
fn a_rehearsal_says_what_the_run_says_and_changes_nothing() {
    for_all("rehearsal", |world| {
        let (local, remote) = world.trees();
        let before = (local.tree(), remote.tree());
        let mut rehearsal = world.setup.clone();
        rehearsal.dry_run = true;
        let said = run(&local, &remote, &rehearsal);
        if (local.tree(), remote.tree()) != before {
            return Err("the rehearsal changed something".into());
        }
        let done = run(&local, &remote, &world.setup);
        if said.lines == done.lines { Ok(()) } else { Err(format!("{:?} {:?}", said.lines, done.lines)) }
    });
}

#[test]
fn what_the_filter_excludes_is_only_touched_by_delete_unmatched() {
    for_all("protected exclusions", |world| {
        if world.setup.exclude.is_empty() || world.setup.policy.delete_unmatched {
            return Ok(());
        }
        let (local, remote) = world.trees();
        let only_x = |target: &_| {
            user_tree(target).into_iter().filter(|(path, _)| path.starts_with('x')).collect::<Vec<_>>()
        };
        let before = (only_x(&local), only_x(&remote));
        let _ = run(&local, &remote, &world.setup);
        if (only_x(&local), only_x(&remote)) == before { Ok(()) } else { Err("changed".into()) }
    });
}
