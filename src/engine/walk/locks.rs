//! The locks of a run: until all of them are taken nothing is listed, asked, told or changed.

use super::super::lock::LockNews;
use super::super::observer::LockState;
use super::*;

/// Times that are known less exactly (seconds) tell nothing about a clock.
const EXACT: u32 = 2;

impl Walk<'_> {
    /// Waits for the locks. What is listed afterwards cannot be the half-done work of somebody else.
    pub(super) fn await_locks(&mut self) -> Result<()> {
        while self.locks_awaited > 0 {
            self.wait()?;
        }
        self.lock_refused.take().map_or(Ok(()), Err)
    }

    pub(super) fn locked(&mut self, side: Side, news: Result<LockNews>) -> Result<()> {
        let news = match news {
            // The lock of the other side may be half written; it is waited for, so that it can be removed.
            Err(error) if self.locks_awaited > 0 => {
                self.locks_awaited -= 1;
                self.lock_refused.get_or_insert(error);
                return Ok(());
            }
            news => news?,
        };
        match news {
            LockNews::Taken { lock, instead_of } => {
                self.locks_awaited -= 1;
                self.written_locks[side] = Some(lock.clone());
                if let Some(whom) = instead_of {
                    self.note(3, &format!("Took over the lock of {whom}."))?;
                }
                self.event(Event::Lock { side, state: LockState::Held(&lock) })
            }
            LockNews::Unwritable(error) => {
                self.locks_awaited -= 1;
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
        let (Some((held, listed)), Some(written)) = (listed, self.written_locks[side].take()) else {
            return Ok(());
        };
        let length = written.print().len() as u64;
        if let Some(held) = held.filter(|held| *held < length) {
            let text = format!("The lock file is not whole: {side} holds {held} of {length} bytes");
            self.event(Event::Failure(&text))?;
        }
        let Some(listed) = listed.filter(|listed| listed.grain() <= EXACT) else { return Ok(()) };
        let offset = listed.as_secs_f64() - written.time;
        self.note(4, &format!("Server time offset: {offset:.2} seconds."))?;
        self.event(Event::Lock { side, state: LockState::Offset(offset) })
    }
}
