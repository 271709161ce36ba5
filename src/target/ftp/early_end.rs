//! Ending our direction of a data connection before the server has sent anything.
//!
//! Some servers (ProFTPD) confirm a download only after this side has ended the connection too, which costs each file a round
//! trip. There it helps to end our direction as soon as the connection is open: nothing is ever sent that way. Others might
//! take that for an abort, so it is tried once, and only on a server that is seen to wait; a failure is repeated without.
//! Only for what is small: routers forget connections that are half open for long. A run that only lists would never try it:
//! so after some listings that were confirmed late, the lock file is read for nothing but that. No other file is: which of them
//! may be read is not known here. In active mode nothing could be saved: the connection opens together with the first bytes.

use super::Server;
use super::learned::Mode;
use super::stream::Stream;
use crate::model::{LOCK_FILE_NAME, Listing, RelPath};
use crate::wire::ftp::{Command, Reply};
use std::time::Duration;

/// So many confirmations in a row have to come late before it is tried.
const ENOUGH: u32 = 4;
/// So many, before the lock file is read: it costs as much as some listings.
const PLENTY: u32 = 6;
/// The largest file (bytes) that is read so.
const TINY: u64 = 16 * 1024;
/// What is larger (bytes) takes longer than a round trip anyway.
const SMALL: u64 = 256 * 1024;
/// A shorter wait is not worth anything.
const LEAST: Duration = Duration::from_millis(4);

/// What is known about a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EarlyEnd {
    /// So many confirmations in a row came late, the quickest of them after this time.
    Untried(u32, Duration),
    /// One connection is ended early, to see whether its confirmation comes in less than half of this time.
    OnTrial(Duration),
    /// It saves a round trip.
    Helps,
    /// It makes no difference, or does harm.
    Never,
}

impl Default for EarlyEnd {
    fn default() -> Self {
        EarlyEnd::Untried(0, Duration::MAX)
    }
}

/// Ends our direction of a fresh connection, if that is of use.
pub fn end_if_of_use(server: &Server, stream: &mut Stream, before: &[Reply], verb: &Command) {
    let is_fit = match verb.words().0.as_str() {
        "RETR" => before.first().and_then(Reply::size).is_some_and(|size| size <= SMALL),
        // Nothing tells how long a listing should be, so none is cut by a trial.
        "MLSD" | "LIST" => server.learned().early_end == EarlyEnd::Helps,
        _ => false,
    };
    if !is_fit || server.proxy.is_some() {
        return;
    }
    let known = &mut server.learned().early_end;
    match known {
        EarlyEnd::Helps => {}
        EarlyEnd::Untried(ENOUGH.., wait) => *known = EarlyEnd::OnTrial(*wait),
        _ => return,
    }
    stream.end_early();
}

/// The lock file, if it should be tried by that now: this is said once for each server. `listing` is the one of `dir`.
pub fn trial(server: &Server, dir: &RelPath, listing: &Listing) -> Option<RelPath> {
    if server.mode() == Mode::Active {
        return None;
    }
    let mut learned = server.learned();
    if dir.is_root() {
        let is_lock = |size: Option<u64>| size.is_some_and(|size| (1..=TINY).contains(&size));
        let mut locks = listing.entries.iter().filter(|entry| entry.name.as_str() == LOCK_FILE_NAME);
        learned.has_lock = locks.any(|entry| entry.is_file() && is_lock(entry.size));
    }
    let is_due = matches!(learned.early_end, EarlyEnd::Untried(PLENTY.., _)) && server.trust.is_none();
    let may_be = is_due && learned.has_lock && server.proxy.is_none();
    let is_first = may_be && !std::mem::replace(&mut learned.had_trial, true);
    is_first.then(|| RelPath::parse(LOCK_FILE_NAME).ok())?
}

/// Learns from the confirmation of a transfer towards us, for which we `waited` after its last byte.
pub fn learn(server: &Server, was_early: bool, is_confirmed: bool, waited: Duration) {
    let mut learned = server.learned();
    let trip = learned.round_trip.unwrap_or_default();
    let is_late = waited > LEAST.max(trip.mul_f64(0.6));
    let now = match learned.early_end {
        EarlyEnd::Untried(count, wait) if is_late && is_confirmed => {
            EarlyEnd::Untried(count.saturating_add(1), wait.min(waited))
        }
        EarlyEnd::Untried(..) => EarlyEnd::default(),
        EarlyEnd::OnTrial(wait) if was_early && is_confirmed && waited < wait / 2 => EarlyEnd::Helps,
        EarlyEnd::OnTrial(_) if was_early => EarlyEnd::Never,
        EarlyEnd::Helps if was_early && !is_confirmed => EarlyEnd::Never,
        known => known,
    };
    learned.early_end = now;
}
