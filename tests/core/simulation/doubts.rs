//! Worlds in which not everything can be trusted: I10 metadata that is gone deletes nothing more, I11 metadata that lies can
//! do no more than metadata that is true, I15 no name leads elsewhere, I16 what a clock says does not matter.

use super::dice::Dice;
use super::place::DAWN;
use super::play::{Player, contents, restore, trees};
use super::rules::Wish;
use crate::effort::{in_parallel, rounds};
use ftpsync::model::{META_FILE_NAME, Side, Sides, Stamp};
use ftpsync::plan::{Mode, Strategy};
use ftpsync::target::memory::Node;
use serde_json::json;

/// Plays worlds from `first` on, and shows what was broken in them.
fn play_all(first: u64, usual: u64, play: impl Fn(u64) -> Player + Sync) {
    let seeds: Vec<u64> = (first..first + rounds(usual, 30 * usual)).collect();
    let broken: Vec<String> = in_parallel(&seeds, 2, |seed| {
        let player = play(*seed);
        let state = player.world.state();
        let trace = &state.trace[state.trace.len().saturating_sub(150)..];
        let what = state.broken.join("\n");
        (!state.broken.is_empty()).then(|| format!("seed {seed}: {what}\n{}", trace.join("\n")))
    })
    .into_iter()
    .flatten()
    .collect();
    let shortest = broken.iter().min_by_key(|text| text.len());
    assert!(shortest.is_none(), "{} of {} worlds, {}", broken.len(), seeds.len(), shortest.unwrap());
}

/// A world with some history, and then some edits.
fn with_history(seed: u64) -> Player {
    let mut player = Player::new(seed);
    for _ in 0..2 {
        player.calm();
        edit(&player, 5);
    }
    player
}

/// From now on both ways, without what only one-way runs know.
fn sync_only(wish: &mut Wish) {
    wish.mode = Mode::Sync;
    (wish.force, wish.delete, wish.delete_unmatched) = (false, false, false);
}

fn edit(player: &Player, times: usize) {
    for _ in 0..times {
        player.world.edit(&mut player.world.state());
    }
}

/// The metadata files of a side.
fn memories(player: &Player, side: Side) -> Vec<(String, Vec<u8>)> {
    let tree = player.world.tree(side).into_iter();
    tree.filter_map(|(path, node)| match node {
        Node::File(bytes, _) if path.ends_with(META_FILE_NAME) => Some((path, bytes)),
        _ => None,
    })
    .collect()
}

fn removals(player: &Player) -> Vec<String> {
    player.world.state().deeds.iter().filter(|deed| deed.contains(" remove ")).cloned().collect()
}

#[test]
fn a_memory_that_is_lost_deletes_nothing_that_it_would_not_have_deleted() {
    play_all(500_000, 60, |seed| {
        let mut player = with_history(seed);
        player.wish(sync_only);
        // Whoever is stopped removes nothing, and has nothing to be compared with.
        player.wish(|wish| wish.guard_is_on = false);
        let (before, memory) = (trees(&player.world), player.world.state().memory.clone());
        player.calm();
        let usual = removals(&player);
        restore(&player.world, &before, &memory);
        let side = player.dice.one_of(&Side::BOTH);
        let kept = player.dice.below(4);
        for (path, _) in memories(&player, side).into_iter().skip(kept) {
            player.world.trees[side].take(&path);
        }
        player.world.state().memory.recorded.clear();
        player.calm();
        let more: Vec<String> = removals(&player).into_iter().filter(|deed| !usual.contains(deed)).collect();
        if !more.is_empty() {
            player.broken(format!("I10: without a memory also {more:?}"));
        }
        player
    });
}

/// Something else in the place of a metadata file.
fn lie(dice: &mut Dice, true_bytes: &[u8], others: &[(String, Vec<u8>)], names: &[String]) -> Vec<u8> {
    let mut bytes = true_bytes.to_vec();
    match dice.below(5) {
        0 => bytes.truncate(dice.below(bytes.len())),
        1 => {
            for _ in 0..1 + dice.below(4) {
                let at = dice.below(bytes.len());
                bytes[at] = (dice.throw() % 256) as u8;
            }
        }
        2 => bytes = dice.one_of(others).1,
        3 => {
            let digits: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at].is_ascii_digit()).collect();
            for _ in 0..3 {
                bytes[dice.one_of(&digits)] = b'0' + (dice.throw() % 10) as u8;
            }
        }
        _ => {
            let number = |dice: &mut Dice| match dice.below(5) {
                0 => json!(-1.0e300),
                1 => json!(null),
                2 => json!(dice.throw()),
                3 => json!(DAWN as u64 + dice.throw() % 10_000),
                _ => json!([[], {"m": "5"}]),
            };
            let entry = |dice: &mut Dice| {
                let (m, s, u) = (number(dice), number(dice), number(dice));
                json!({"m": m, "s": s, "u": u, "d": m, "e": m})
            };
            let mut section = serde_json::Map::new();
            for name in
                names.iter().map(String::as_str).chain(["", "..", "../x", "a/b", ":unfinished", ":last_sync"])
            {
                section.insert(name.to_owned(), entry(dice));
            }
            let section = serde_json::Value::Object(section);
            let document = json!({
                "_file_version": 3,
                "mtimes": section,
                "peer_sync": {"ftp://joe@host:21/root": section, "host/root": section},
                "folders": {"ftp://joe@host:21/root": {"d": section, "../..": section, "": 5}},
            });
            bytes = document.to_string().into_bytes();
        }
    }
    bytes
}

#[test]
fn metadata_that_lies_is_believed_at_most_within_the_rules() {
    play_all(600_000, 120, |seed| {
        let mut player = with_history(seed);
        let side = player.dice.one_of(&Side::BOTH);
        let memories = memories(&player, side);
        for (path, bytes) in &memories {
            let folder = path.trim_end_matches(META_FILE_NAME);
            let tree = player.world.tree(side);
            let names: Vec<String> =
                tree.keys().filter_map(|path| path.strip_prefix(folder)).map(str::to_owned).collect();
            let lie = lie(&mut player.dice, bytes, &memories, &names);
            player.world.trees[side].put(path, &lie, Stamp::new(DAWN, 0));
        }
        player.wish(|wish| wish.is_lied_to = true);
        player.calm();
        player.calm();
        player
    });
}

#[test]
fn nonsense_in_the_place_of_remote_metadata_is_like_none() {
    play_all(700_000, 60, |seed| {
        let mut player = with_history(seed);
        let memories = memories(&player, Side::Remote);
        for (path, _) in &memories {
            player.world.trees.remote.take(path);
        }
        player.world.state().memory.recorded.clear();
        let (before, memory) = (trees(&player.world), player.world.state().memory.clone());
        let without = player.calm();
        let end = contents(&trees(&player.world));
        restore(&player.world, &before, &memory);
        for (path, bytes) in &memories {
            let cut = &bytes[..player.dice.below(bytes.len() - 1)];
            player.world.trees.remote.put(path, cut, Stamp::new(DAWN, 0));
        }
        let with = player.calm();
        if with.sorted() != without.sorted() || contents(&trees(&player.world)) != end {
            player.broken(format!("I11: {:?}, but {:?} without any", with.sorted(), without.sorted()));
        }
        player
    });
}

#[test]
fn names_that_nobody_would_give_are_files_like_others() {
    const ODD: [&str; 10] = ["...", "~", "-rf", "a\nb", "*", "%2e%2e", "CON", "\u{202e}x", "\\", "a\u{308}"];
    play_all(800_000, 40, |seed| {
        let mut player = Player::new(seed);
        player.world.state().names = &ODD;
        for _ in 0..3 {
            player.round();
            if !player.world.state().broken.is_empty() {
                break;
            }
        }
        player
    });
}

/// Takes files away that the other side has, too, from local folders that were removed and made anew: nobody remembers those.
fn take_what_would_meet(player: &Player) {
    let [local, remote] = trees(&player.world);
    let remembered: Vec<String> = memories(player, Side::Local)
        .into_iter()
        .filter_map(|(path, _)| path.strip_suffix(META_FILE_NAME).map(str::to_owned))
        .collect();
    for path in local.keys().filter(|path| remote.contains_key(*path)) {
        let folder = &path[..path.rfind('/').map_or(0, |slash| slash + 1)];
        if matches!(local[path], Node::File(..)) && !remembered.iter().any(|known| known == folder) {
            player.world.trees.local.take(path);
        }
    }
}

/// What the runs of a world tell, and how it ends, if the clocks are so many seconds ahead.
fn told_with_clocks(seed: u64, ahead: Sides<i64>) -> (Vec<Vec<String>>, super::play::Contents, Player) {
    let mut player = Player::new(seed);
    player.world.state().ahead = ahead;
    player.wish(|wish| {
        if wish.mode == Mode::Download {
            sync_only(wish);
        }
        wish.strategy = Strategy::Skip;
    });
    // Where two files meet for the first time, the newer one wins: so they do not meet. The sides are worked on in turn.
    for path in trees(&player.world)[1].keys() {
        player.world.trees.remote.take(path);
    }
    player.calm();
    let mut told = Vec::new();
    for side in [Side::Local, Side::Remote, Side::Local, Side::Remote] {
        player.world.state().only = Some(side);
        edit(&player, 4);
        take_what_would_meet(&player);
        told.push(player.calm().sorted().into_iter().cloned().collect());
    }
    let end = contents(&trees(&player.world));
    (told, end, player)
}

#[test]
fn a_clock_that_is_wrong_changes_no_run() {
    play_all(900_000, 40, |seed| {
        let (told, end, player) = told_with_clocks(seed, Sides::default());
        for ahead in
            [Sides::new(0, 7_213), Sides::new(0, -100_000), Sides::new(50_000, 0), Sides::new(-999, 999)]
        {
            let (again, other_end, _) = told_with_clocks(seed, ahead);
            if (&again, &other_end) != (&told, &end) {
                player.broken(format!("I16: with {ahead:?} {again:?}, else {told:?}"));
            }
        }
        player
    });
}
