//! The locks of a run: until all of them are taken nothing is listed, asked, told or changed.

use super::super::lock::LockNews;
use super::super::observer::LockState;
use super::*;
use crate::plan::lock::duration;

/// A clock that differs by so many seconds is set wrong, or tells the time of another zone.
const FAR: f64 = 890.0;
/// Times that are known less exactly (seconds) tell of a clock only whether it is far off, or not even that.
const EXACT: u32 = 2;
const ROUGH: u32 = 60;

/// How far the locks of a run are.
pub(super) struct Locks {
    /// Those that are not decided yet.
    awaited: usize,
    /// Why a side could not be locked.
    refused: Option<Error>,
    /// Each lock as it was written, until it was compared with what the side lists.
    written: Sides<Option<Lock>>,
    /// By how many seconds the clock of each side is ahead of ours, where it is far off.
    pub(super) ahead: Sides<f64>,
}

impl Locks {
    /// So many are to be taken.
    pub(super) fn awaiting(count: usize) -> Self {
        Locks { awaited: count, refused: None, written: Sides::default(), ahead: Sides::default() }
    }
}

impl Walk<'_> {
    /// Waits for the locks. What is listed afterwards cannot be the half-done work of somebody else.
    pub(super) fn await_locks(&mut self) -> Result<()> {
        while self.locks.awaited > 0 {
            self.wait()?;
        }
        self.locks.refused.take().map_or(Ok(()), Err)
    }

    pub(super) fn locked(&mut self, side: Side, news: Result<LockNews>) -> Result<()> {
        let news = match news {
            // The lock of the other side may be half written; it is waited for, so that it can be removed.
            Err(error) if self.locks.awaited > 0 => {
                self.locks.awaited -= 1;
                self.locks.refused.get_or_insert(error);
                return Ok(());
            }
            news => news?,
        };
        match news {
            LockNews::Taken { lock, instead_of } => {
                self.locks.awaited -= 1;
                self.locks.written[side] = Some(lock.clone());
                if let Some(whom) = instead_of {
                    self.note(3, &format!("Took over the lock of {whom}."))?;
                }
                self.event(Event::Lock { side, state: LockState::Held(&lock) })
            }
            LockNews::Unwritable(error) => {
                self.locks.awaited -= 1;
                let text = format!("Could not write lock file: {}", error.reason());
                self.event(Event::Failure(&text))?;
                self.event(Event::Lock { side, state: LockState::Unwritable })
            }
            LockNews::Renewed { lock, was_gone } => {
                if was_gone {
                    self.note(3, "The lock file was gone; it was written anew.")?;
                }
                self.event(Event::Lock { side, state: LockState::Held(&lock) })
            }
            LockNews::Stuck(error) => {
                let text = format!("Could not renew lock file: {}", error.reason());
                self.event(Event::Failure(&text))
            }
        }
    }

    /// Tells how far the clock of a side is ahead of ours, once the listing of its root shows the lock; and whether all of it
    /// has arrived, which nobody has asked for when it was written.
    pub(super) fn check_lock(
        &mut self,
        side: Side,
        listed: Option<(Option<u64>, Option<Stamp>)>,
    ) -> Result<()> {
        let (Some((held, listed)), Some(written)) = (listed, self.locks.written[side].take()) else {
            return Ok(());
        };
        let length = written.print().len() as u64;
        if let Some(held) = held.filter(|held| *held < length) {
            let text = format!("The lock file is not whole: {side} holds {held} of {length} bytes");
            self.event(Event::Failure(&text))?;
        }
        let Some(listed) = listed.filter(|listed| listed.grain() <= ROUGH) else { return Ok(()) };
        let offset = listed.as_secs_f64() - written.time;
        let is_exact = listed.grain() <= EXACT;
        if is_exact {
            self.note(4, &format!("Server time offset: {offset:.2} seconds."))?;
        }
        if offset.abs() >= FAR {
            self.locks.ahead[side] = offset;
        }
        let strategy = self.resolve_all.or(self.policy.strategy);
        if offset.abs() >= FAR && matches!(strategy, Some(Strategy::New | Strategy::Old)) {
            let (how_far, where_to) = (
                duration((offset.abs() / 60.0).round() * 60.0),
                if offset > 0.0 { "ahead of" } else { "behind" },
            );
            let clock = format!("The clock of {side} is {how_far} {where_to} that of this computer");
            let meaning = "where that may decide which of two files is newer, both are left alone";
            self.note(3, &format!("{clock}: {meaning}."))?;
        }
        if is_exact { self.event(Event::Lock { side, state: LockState::Offset(offset) }) } else { Ok(()) }
    }
}
