//! Whether a run may go on although there is a lock file.

use crate::model::lock::{Holder, Lock};
use std::fmt;

/// A lock is written in an instant, and nobody waits for an answer for longer than a minute. So what is still no lock after this
/// time (seconds) was left by a run that was killed while it wrote it.
pub const STUMP_AGE: f64 = 120.0;

/// Who this run is, and which locks of others it honours.
#[derive(Debug, Clone, PartialEq)]
pub struct LockRules {
    /// This run.
    pub owner: Holder,
    /// Locks that were written longer ago than this (seconds) are left over.
    pub age: f64,
    /// The user wants any lock to be taken over.
    pub breaks: bool,
}

/// What is found under the name of the lock file.
#[derive(Debug, Clone, PartialEq)]
pub enum Found {
    /// Nothing.
    Nothing,
    /// A lock.
    Lock(Lock),
    /// A file that cannot be read or is no lock; its time as listed, in seconds since 1970-01-01 UTC.
    Unreadable(Option<f64>),
    /// The same, written so many seconds ago by the clock of the side itself.
    Stump(f64),
}

/// What the run may do.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Claim {
    /// Nobody holds the lock, or this run does.
    Free,
    /// It may be taken over, for this reason.
    Over(Leftover),
    /// Somebody else is at work.
    Taken {
        /// Seconds since the lock was written; `None` if that lies in the future, as by another clock.
        age: Option<f64>,
    },
}

/// Why a lock of somebody else does not count.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Leftover {
    /// It was written too many seconds ago.
    Old(f64),
    /// It was written on this computer, by a process that has ended.
    Ended,
    /// It was written by an earlier run of this process, which could not remove it.
    Unremoved,
    /// Its time lies far in the future.
    Future,
    /// It is no lock, and nothing tells when it was written.
    Unreadable,
    /// The user said so.
    Broken,
}

/// Judges what was found. `is_running` tells whether a process of this computer exists.
pub fn judge(found: &Found, rules: &LockRules, now: f64, is_running: &dyn Fn(u32) -> bool) -> Claim {
    let (written, holder) = match found {
        Found::Nothing => return Claim::Free,
        Found::Lock(lock) if lock.is_of(&rules.owner) => return Claim::Free,
        Found::Lock(lock) => (Some(lock.time), lock.holder.as_ref()),
        Found::Unreadable(listed) => (*listed, None),
        Found::Stump(age) => (Some(now - age), None),
    };
    let honoured = if matches!(found, Found::Stump(_)) { rules.age.min(STUMP_AGE) } else { rules.age };
    let Some(written) = written else {
        return Claim::Over(Leftover::Unreadable);
    };
    let age = now - written;
    if holder.is_some_and(|holder| has_ended(holder, &rules.owner, is_running)) {
        Claim::Over(Leftover::Ended)
    } else if age < -rules.age {
        Claim::Over(Leftover::Future)
    } else if age > honoured {
        Claim::Over(Leftover::Old(age))
    } else if rules.breaks {
        Claim::Over(Leftover::Broken)
    } else {
        Claim::Taken { age: (age >= 0.0).then_some(age) }
    }
}

/// Whether a holder is certainly gone. Only where process numbers mean the same can that be told.
fn has_ended(holder: &Holder, owner: &Holder, is_running: &dyn Fn(u32) -> bool) -> bool {
    let is_comparable = owner.system.is_some() && holder.system == owner.system && holder.host == owner.host;
    is_comparable && holder.process.is_some_and(|process| !is_running(process))
}

impl Found {
    /// Whether it is a lock, and not that of this run.
    pub fn is_of_another(&self, owner: &Holder) -> bool {
        matches!(self, Found::Lock(lock) if !lock.is_of(owner))
    }

    /// Who holds it, in words.
    pub fn holder(&self) -> String {
        let Found::Lock(Lock { holder: Some(holder), .. }) = self else {
            return "a program that does not tell its name".to_owned();
        };
        match (&holder.process, &holder.host) {
            (Some(process), Some(host)) => format!("process {process} on {host}"),
            (Some(process), None) => format!("process {process} on another computer"),
            (None, Some(host)) => host.clone(),
            (None, None) => "a program that does not tell its name".to_owned(),
        }
    }
}

impl fmt::Display for Leftover {
    /// The reason as a clause: `it was written 2 hours ago`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Leftover::Old(age) => write!(f, "it was written {} ago", duration(*age)),
            Leftover::Ended => f.write_str("that process has ended"),
            Leftover::Unremoved => f.write_str("that run has ended"),
            Leftover::Future => f.write_str("its time lies in the future"),
            Leftover::Unreadable => f.write_str("it cannot be read"),
            Leftover::Broken => f.write_str("as --break-lock asks"),
        }
    }
}

/// A number of seconds, in words: `35 seconds`, `12 minutes`.
pub fn duration(seconds: f64) -> String {
    let (count, unit) = match seconds {
        seconds if seconds < 120.0 => (seconds, "second"),
        seconds if seconds < 7200.0 => (seconds / 60.0, "minute"),
        seconds if seconds < 172_800.0 => (seconds / 3600.0, "hour"),
        seconds => (seconds / 86_400.0, "day"),
    };
    let count = count.floor();
    format!("{count} {unit}{}", if count == 1.0 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: f64 = 1_700_000_000.0;

    fn holder(host: &str, system: Option<&str>, process: u32, token: &str) -> Holder {
        Holder {
            host: Some(host.into()),
            system: system.map(str::to_owned),
            process: Some(process),
            token: Some(token.into()),
        }
    }

    fn rules(breaks: bool) -> LockRules {
        LockRules { owner: holder("here", Some("boot"), 1, "mine"), age: 900.0, breaks }
    }

    fn lock(age: f64, holder: Option<Holder>) -> Found {
        Found::Lock(Lock { time: NOW - age, holder })
    }

    #[test]
    fn every_lock_is_judged() {
        let elsewhere = |process| Some(holder("there", Some("other"), process, "t"));
        let here = |process| Some(holder("here", Some("boot"), process, "t"));
        let taken = |age| Claim::Taken { age };
        // On every system that is looked at, the processes 1 and 10 run, and no others.
        let table = [
            ("nothing", Found::Nothing, Claim::Free, Claim::Free),
            (
                "our own",
                lock(5000.0, Some(holder("here", Some("boot"), 1, "mine"))),
                Claim::Free,
                Claim::Free,
            ),
            ("fresh, elsewhere", lock(10.0, elsewhere(99)), taken(Some(10.0)), Claim::Over(Leftover::Broken)),
            ("fresh, of 4.1", lock(0.0, None), taken(Some(0.0)), Claim::Over(Leftover::Broken)),
            ("at the limit", lock(900.0, None), taken(Some(900.0)), Claim::Over(Leftover::Broken)),
            (
                "old",
                lock(901.0, elsewhere(10)),
                Claim::Over(Leftover::Old(901.0)),
                Claim::Over(Leftover::Old(901.0)),
            ),
            ("a little ahead", lock(-60.0, None), taken(None), Claim::Over(Leftover::Broken)),
            ("far ahead", lock(-901.0, None), Claim::Over(Leftover::Future), Claim::Over(Leftover::Future)),
            ("here, running", lock(10.0, here(10)), taken(Some(10.0)), Claim::Over(Leftover::Broken)),
            ("here, ended", lock(10.0, here(99)), Claim::Over(Leftover::Ended), Claim::Over(Leftover::Ended)),
            (
                "same name, other system",
                lock(10.0, Some(holder("here", Some("container"), 99, "t"))),
                taken(Some(10.0)),
                Claim::Over(Leftover::Broken),
            ),
            (
                "same name, no system told",
                lock(10.0, Some(holder("here", None, 99, "t"))),
                taken(Some(10.0)),
                Claim::Over(Leftover::Broken),
            ),
            (
                "being written",
                Found::Unreadable(Some(NOW - 1.0)),
                taken(Some(1.0)),
                Claim::Over(Leftover::Broken),
            ),
            (
                "being written, by its own clock",
                Found::Stump(120.0),
                taken(Some(120.0)),
                Claim::Over(Leftover::Broken),
            ),
            (
                "never finished, by its own clock",
                Found::Stump(121.0),
                Claim::Over(Leftover::Old(121.0)),
                Claim::Over(Leftover::Old(121.0)),
            ),
            (
                "broken long ago",
                Found::Unreadable(Some(NOW - 1000.0)),
                Claim::Over(Leftover::Old(1000.0)),
                Claim::Over(Leftover::Old(1000.0)),
            ),
            (
                "broken, undated",
                Found::Unreadable(None),
                Claim::Over(Leftover::Unreadable),
                Claim::Over(Leftover::Unreadable),
            ),
        ];
        for (what, found, plainly, by_force) in table {
            let is_running = |process| process == 1 || process == 10;
            assert_eq!(judge(&found, &rules(false), NOW, &is_running), plainly, "{what}");
            assert_eq!(judge(&found, &rules(true), NOW, &is_running), by_force, "{what}, by force");
        }
    }

    #[test]
    fn without_a_system_of_our_own_no_process_is_known_to_have_ended() {
        let mut rules = rules(false);
        rules.owner.system = None;
        let found = lock(1.0, Some(holder("here", None, 99, "t")));
        assert_eq!(judge(&found, &rules, NOW, &|_| false), Claim::Taken { age: Some(1.0) });
    }

    #[test]
    fn ages_are_said_in_words() {
        let words = [0.4, 1.0, 119.9, 120.0, 7200.0, 200_000.0].map(duration);
        assert_eq!(words, ["0 seconds", "1 second", "119 seconds", "2 minutes", "2 hours", "2 days"]);
    }
}
