//! What must hold whenever the tool changes something, written from the promises and not from the code.
//!
//! The numbers of the promises: I1 no half file, I2 no lost update, I3 no deletion that nobody asked for, I4 a source is never
//! changed, I12 what the filter leaves out is left alone.

use ftpsync::model::{Side, Sides, Stamp};
use ftpsync::plan::{Mode, Strategy};
use ftpsync::target::memory::Node;
use std::collections::{BTreeMap, BTreeSet};

/// The content of a file.
pub type Bytes = Vec<u8>;

/// What the user has asked for.
#[derive(Debug, Clone)]
pub struct Wish {
    pub mode: Mode,
    pub strategy: Strategy,
    pub force: bool,
    pub delete: bool,
    pub delete_unmatched: bool,
    pub is_rehearsal: bool,
    pub guard_is_on: bool,
    /// The metadata lies: it may bring about whatever it could bring about if it were true.
    pub is_lied_to: bool,
}

/// What the test remembers, independently of any metadata.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    /// What both sides held when a path was last in step.
    pub agreed: BTreeMap<String, Bytes>,
    /// Paths of which the metadata certainly tells what was agreed.
    pub recorded: BTreeSet<String>,
    /// How large the contents were that both sides have ever held of a path at the same time.
    pub shared_sizes: BTreeMap<String, BTreeSet<u64>>,
    /// Contents that each path of each side has had since the run began.
    pub seen: Sides<BTreeMap<String, BTreeSet<Bytes>>>,
}

/// Names that the filter of every simulated run leaves out.
pub fn is_excluded(path: &str) -> bool {
    path.split('/').any(|name| name == "skip" || name.ends_with(".tmp"))
}

/// Files of the tool itself.
pub fn is_own(path: &str) -> bool {
    path.rsplit('/').next().is_some_and(|name| name.starts_with(".pyftpsync-"))
}

/// The tool has put a file in place.
pub struct Replaced<'a> {
    pub side: Side,
    pub path: &'a str,
    pub old: Option<(&'a Bytes, Stamp)>,
    pub new: &'a Bytes,
    /// The time that the new content had on the other side when it was read.
    pub new_mtime: Option<Stamp>,
}

/// Judges a file that was put in place.
pub fn judge_write(wish: &Wish, memory: &Memory, change: &Replaced<'_>) -> Result<(), String> {
    let Replaced { side, path, old, new, new_mtime } = change;
    may_touch(wish, *side, path)?;
    if is_excluded(path) {
        return Err(format!("I12: {path} is excluded, and was written on the {side} side"));
    }
    let is_real = memory.seen[side.other()].get(*path).is_some_and(|contents| contents.contains(*new));
    if !is_real {
        return Err(format!("I1: {path} on the {side} side holds what the other side never had"));
    }
    let Some((old, old_mtime)) = old.as_ref().filter(|_| !wish.is_lied_to) else { return Ok(()) };
    let is_unchanged = memory.agreed.get(*path) == Some(*old);
    let newer_wins = new_mtime.is_some_and(|new| new.seconds() > old_mtime.seconds());
    let is_asked = match wish.strategy {
        _ if wish.force && wish.mode != Mode::Sync => true,
        Strategy::Prefer(winner) => winner == side.other(),
        Strategy::New => newer_wins,
        Strategy::Old => !newer_wins,
        // The older file has a second name then, which the play does not give out.
        Strategy::Both | Strategy::Skip | Strategy::Ask => false,
    };
    // Where nothing is known about a path the newer file wins; that is documented.
    let is_first_contact = !memory.recorded.contains(*path) && newer_wins;
    if old == new || is_unchanged || is_asked || is_first_contact {
        return Ok(());
    }
    Err(format!("I2: an update of {path} on the {side} side was overwritten"))
}

/// Judges the removal of a file. `other` is what the other side has at this moment.
pub fn judge_removal(
    wish: &Wish,
    memory: &Memory,
    side: Side,
    path: &str,
    old: &Bytes,
    other: Option<&Node>,
) -> Result<(), String> {
    may_touch(wish, side, path)?;
    let is_target = wish.mode.source() == Some(side.other());
    if is_excluded(path) {
        return if is_target && wish.delete_unmatched {
            Ok(())
        } else {
            Err(format!("I12: {path} is excluded, and was removed from the {side} side"))
        };
    }
    if matches!(other, Some(Node::File(..))) {
        return Err(format!("I3: {path} was removed from the {side} side, and the other side has it"));
    }
    let is_allowed = match wish.mode {
        _ if wish.is_lied_to => true,
        Mode::Sync => {
            let is_unchanged = memory.agreed.get(path) == Some(old);
            is_unchanged || wish.strategy == Strategy::Prefer(side.other())
        }
        Mode::Upload | Mode::Download => {
            is_target && (wish.delete || wish.strategy == Strategy::Prefer(side.other()))
        }
    };
    if is_allowed { Ok(()) } else { Err(format!("I3: nobody asked to remove {path} from the {side} side")) }
}

/// I4: the source of a one-way run, and everything in a rehearsal, is only read.
pub fn may_touch(wish: &Wish, side: Side, path: &str) -> Result<(), String> {
    if wish.is_rehearsal {
        return Err(format!("I9: a rehearsal changed {path} on the {side} side"));
    }
    if wish.mode.source() == Some(side) {
        return Err(format!("I4: the {side} side is only read, and {path} was changed"));
    }
    Ok(())
}
