//! The planner alone: one name, two listings and a memory, drawn so that they have much in common; and what no decision may be.
//!
//! What changed is known from how the world was drawn, not from looking at it.

use super::dice::Dice;
use crate::effort::rounds;
use ftpsync::model::meta::{Archive, Fact, PeerKey};
use ftpsync::model::{DirMeta, Entry, Name, Side, Sides, Stamp};
use ftpsync::plan::{CaseMode, Effect, Mode, Policy, Resolution, Step, Strategy, compare, pair_up, resolve};

/// What became of the file on a side since both agreed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Gone,
    Kept,
    /// Another content: this number, the size and time of which no other content has.
    Edited(u64),
}

/// One name in one world.
#[derive(Debug, Clone)]
struct World {
    /// Whether the memory tells what both agreed on.
    is_remembered: bool,
    /// Whether the folder remembers anything at all.
    has_memory: bool,
    /// Whether the memory is about this very peer.
    is_own: bool,
    fates: Sides<Fate>,
    /// How coarse the times of each side are, in seconds.
    grains: Sides<u32>,
    policy: Policy,
}

const SIZE: u64 = 100;
const AGREED: i64 = 1_600_000_000;

fn draw(dice: &mut Dice) -> World {
    let mode = dice.one_of(&[Mode::Sync, Mode::Sync, Mode::Upload, Mode::Download]);
    let strategies: &[Strategy] = match mode {
        Mode::Sync => &[
            Strategy::Skip,
            Strategy::New,
            Strategy::Old,
            Strategy::Prefer(Side::Local),
            Strategy::Prefer(Side::Remote),
        ],
        Mode::Upload => &[Strategy::Skip, Strategy::Prefer(Side::Local)],
        Mode::Download => &[Strategy::Skip, Strategy::Prefer(Side::Remote)],
    };
    let mut policy = Policy::new(mode);
    policy.strategy = Some(dice.one_of(strategies));
    policy.force = mode != Mode::Sync && dice.happens(300);
    policy.delete = mode != Mode::Sync && dice.happens(500);
    let has_memory = dice.happens(800);
    let fate = |dice: &mut Dice| match dice.below(4) {
        0 => Fate::Gone,
        1 => Fate::Edited(1 + dice.throw() % 1_000_000),
        _ => Fate::Kept,
    };
    let grains = [0, 1, 2, 60];
    World {
        has_memory,
        is_remembered: has_memory && dice.happens(800),
        is_own: dice.happens(900),
        fates: Sides::new(fate(dice), fate(dice)),
        grains: Sides::new(dice.one_of(&grains), dice.one_of(&grains)),
        policy,
    }
}

impl World {
    /// The file of a side. Edits are minutes from each other and from what was agreed on, never whole hours.
    fn entry(&self, side: Side) -> Option<Entry> {
        let (size, time) = match self.fates[side] {
            Fate::Gone => return None,
            Fate::Kept => (SIZE, AGREED),
            Fate::Edited(number) => {
                let distance = 307 * (1 + (number % 2_000) as i64);
                let is_backdated = number.is_multiple_of(3);
                (SIZE + number % 7, AGREED + if is_backdated { -distance } else { distance })
            }
        };
        let grain = self.grains[side];
        let shown = time - time.rem_euclid(i64::from(grain.max(1)));
        Some(Entry::file(Name::new("x").unwrap(), Some(size), Some(Stamp::new(shown, 0).with_grain(grain))))
    }

    fn archive(&self, shift: i64) -> Archive {
        let peer = PeerKey { id: "ftp://joe@h:21/".into(), legacy: "h/".into() };
        // Somebody else who was there under the old key has recorded it, or we have.
        let writer =
            if self.is_own { peer.clone() } else { PeerKey { id: peer.legacy.clone(), ..peer.clone() } };
        let mut meta = DirMeta::default();
        if self.has_memory {
            let name = if self.is_remembered { "x" } else { "other" };
            let mtime = Some((AGREED + shift) as f64);
            meta.record(&writer, name, &Fact { mtime, size: Some(SIZE), ..Fact::default() }, 0.0);
        }
        meta.archive(&peer)
    }

    fn decide(&self) -> Option<(Step, Effect, Option<Resolution>)> {
        let listings = Sides::from_fn(|side| self.entry(side).into_iter().collect());
        let pair = pair_up(listings, &self.archive(0), CaseMode::Refuse).unwrap().pop()?;
        let mut step = Step::new(pair);
        step.reclassify(&self.policy);
        let mut effect = self.policy.effect(&step.pair, step.operation);
        if effect == Effect::Compare {
            (step.changes, step.operation) = compare(&step.pair, step.changes);
            effect = self.policy.effect(&step.pair, step.operation);
        }
        let resolution = (effect == Effect::Conflict)
            .then(|| resolve(&step.pair, self.policy.strategy.unwrap(), Sides::default()));
        Some((step, effect, resolution))
    }

    fn is_edited(&self, side: Side) -> bool {
        matches!(self.fates[side], Fate::Edited(_))
    }

    /// Whether the content of a side is known to be nobody's update: both had it when they were last in step.
    fn is_expendable(&self, side: Side) -> bool {
        self.fates[side] == Fate::Kept && self.is_remembered
    }

    fn is_newer(&self, side: Side) -> bool {
        let time = |side: Side| self.entry(side).and_then(|entry| entry.mtime).map(Stamp::seconds);
        time(side) > time(side.other())
    }

    /// What is wrong with the decision, if something is.
    fn judge(&self) -> Result<(), String> {
        let Some((step, effect, resolution)) = self.decide() else { return Ok(()) };
        let changes = match (effect, resolution) {
            (_, Some(Resolution::Copy { to })) => Some((to, true)),
            (_, Some(Resolution::Delete { on })) => Some((on, false)),
            (Effect::Copy { to }, _) => Some((to, true)),
            (Effect::Delete { on } | Effect::DeleteUnmatched { on }, _) => Some((on, false)),
            _ => None,
        };
        let Policy { mode, force, delete, strategy, .. } = self.policy;
        let Some((side, is_copy)) = changes else { return self.judge_rest(&step, effect) };
        let other = side.other();
        if mode.source() == Some(side) && resolution.is_none() {
            return Err("I4: the source is changed".into());
        }
        let is_asked = match strategy {
            Some(Strategy::Prefer(winner)) => winner == other,
            Some(Strategy::New) => self.is_newer(other),
            Some(Strategy::Old) => self.is_newer(side),
            _ => false,
        };
        if is_copy {
            if self.fates[other] == Fate::Gone {
                return Err("I1: a copy of nothing".into());
            }
            let first_contact = !self.has_memory && self.is_newer(other);
            let is_fine = self.fates[side] == Fate::Gone
                || self.is_expendable(side)
                || (force && mode != Mode::Sync)
                || (resolution.is_some() && is_asked)
                || first_contact
                || self.fates[side] == self.fates[other];
            return if is_fine { Ok(()) } else { Err(format!("I2: the {side} side is overwritten")) };
        }
        if self.fates[other] != Fate::Gone {
            return Err(format!("I3: removed from the {side} side, and the other side has it"));
        }
        let is_fine = match mode {
            Mode::Sync => (self.is_expendable(side) && self.is_own) || (resolution.is_some() && is_asked),
            Mode::Upload | Mode::Download => delete || (resolution.is_some() && is_asked),
        };
        if is_fine { Ok(()) } else { Err(format!("I3: nobody asked to remove it from the {side} side")) }
    }

    /// A pair that is left alone.
    fn judge_rest(&self, step: &Step, effect: Effect) -> Result<(), String> {
        let is_silent = matches!(effect, Effect::Equal | Effect::Compare);
        // Times within the grain of a listing cannot be told apart, so only the sizes count here.
        let sizes = Sides::from_fn(|side| self.entry(side).and_then(|entry| entry.size));
        if is_silent && sizes.local != sizes.remote {
            return Err(format!("I5: {:?} is called equal", step.changes));
        }
        let is_alone = |side: Side| self.fates[side] == Fate::Gone && self.is_edited(side.other());
        if self.policy.mode == Mode::Sync && !self.is_remembered && effect != Effect::Conflict {
            for side in Side::BOTH {
                if is_alone(side) {
                    return Err(format!("I5: a new file is not brought to the {side} side"));
                }
            }
        }
        Ok(())
    }
}

#[test]
fn no_decision_breaks_a_promise() {
    let mut dice = Dice::new(rounds(1, 2));
    let mut broken = Vec::new();
    for _ in 0..rounds(10_000, 1_000_000) {
        let world = draw(&mut dice);
        if let Err(why) = world.judge() {
            broken.push(format!("{why}: {world:?}"));
        }
    }
    assert!(broken.is_empty(), "{}:\n{}", broken.len(), broken[..broken.len().min(10)].join("\n"));
}

#[test]
fn a_mirrored_world_is_decided_in_the_mirror() {
    let mut dice = Dice::new(rounds(3, 4));
    for _ in 0..rounds(10_000, 1_000_000) {
        let world = draw(&mut dice);
        let mut mirrored = world.clone();
        (mirrored.fates, mirrored.grains) = (world.fates.swap(), world.grains.swap());
        mirrored.policy = world.policy.swap();
        let effects = [&world, &mirrored].map(|world| world.decide().map(|(_, effect, _)| effect));
        assert_eq!(effects[0], effects[1].map(Effect::swap), "{world:?}");
    }
}

#[test]
fn shifting_all_clocks_changes_no_decision() {
    // I16: what counts are differences. The drawn times are shifted together by moving what was agreed on.
    let mut dice = Dice::new(5);
    for _ in 0..rounds(2_000, 200_000) {
        let world = draw(&mut dice);
        let effect = world.decide().map(|(_, effect, _)| effect);
        let shift = 86_400 * (1 + dice.below(1_000) as i64);
        let shifted = |entry: Entry| {
            let mtime = entry.mtime.map(|at| Stamp::new(at.seconds() + shift, 0).with_grain(at.grain()));
            Entry { mtime, ..entry }
        };
        let archive = world.archive(shift);
        let listings = Sides::from_fn(|side| world.entry(side).map(shifted).into_iter().collect());
        let pair = pair_up(listings, &archive, CaseMode::Refuse).unwrap().pop();
        let again = pair.map(|pair| {
            let mut step = Step::new(pair);
            step.reclassify(&world.policy);
            let mut effect = world.policy.effect(&step.pair, step.operation);
            if effect == Effect::Compare {
                (step.changes, step.operation) = compare(&step.pair, step.changes);
                effect = world.policy.effect(&step.pair, step.operation);
            }
            effect
        });
        assert_eq!(effect, again, "{world:?}");
    }
}
