//! What a target can do, found out by trying: the check-up behind `pyftpsync doctor`.
//!
//! The trials are those of any target, by the verbs of [`Session`]; what only one kind can tell comes from
//! [`Target::particulars`]. Whatever a trial writes is a temporary file, and is removed again.

use super::layer::retry::{Attempts, open_when_there_is_room};
use super::{Expect, Put, Session, Target, next_unique, temp_name};
use crate::error::{Error, Kind, Result, Retry};
use crate::model::{Entry, Listing, RelPath, Stamp};
use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A time that no clock shows any more: 2001-02-03 04:05:06 UTC.
const LONG_AGO: i64 = 981_173_106;
/// More sessions than this are not tried, however many a user allows.
const MOST_SESSIONS: usize = 32;
/// How long a server may take to notice that a session has ended.
const MOMENT: Duration = Duration::from_millis(300);
/// No further attempt begins so long after the check-up did.
const LONG: Duration = Duration::from_secs(120);
/// Times this close count as the same, in seconds.
const CLOSE: i64 = 2;

/// What a check-up has found out.
#[derive(Debug, Clone, PartialEq)]
pub enum Finding {
    /// Yes or no.
    Is(bool),
    /// A count, or whole seconds.
    Number(i64),
    /// Seconds.
    Seconds(f64),
    /// A word or a sentence.
    Text(String),
    /// Several words.
    Words(Vec<String>),
    /// It could not be found out.
    Unknown,
}

/// Findings by name. The names are those of the report that programs read; they stay.
pub type Findings = BTreeMap<&'static str, Finding>;

impl From<bool> for Finding {
    fn from(is: bool) -> Self {
        Finding::Is(is)
    }
}

impl From<usize> for Finding {
    fn from(count: usize) -> Self {
        Finding::Number(i64::try_from(count).unwrap_or(i64::MAX))
    }
}

impl From<i64> for Finding {
    fn from(number: i64) -> Self {
        Finding::Number(number)
    }
}

impl From<f64> for Finding {
    fn from(seconds: f64) -> Self {
        Finding::Seconds(seconds)
    }
}

impl From<&str> for Finding {
    fn from(text: &str) -> Self {
        Finding::Text(text.to_owned())
    }
}

impl From<String> for Finding {
    fn from(text: String) -> Self {
        Finding::Text(text)
    }
}

impl From<Vec<String>> for Finding {
    fn from(words: Vec<String>) -> Self {
        Finding::Words(words)
    }
}

impl<T: Into<Finding>> From<Option<T>> for Finding {
    fn from(value: Option<T>) -> Self {
        value.map_or(Finding::Unknown, Into::into)
    }
}

/// Finds out what a target can do. With `writes`, a small temporary file is written to its root, and removed.
///
/// A root that cannot be listed although another attempt might help is a finding, `error`: what else was found may show the
/// way out.
///
/// # Errors
/// What makes the target unusable: connecting, logging in, entering or listing the root fails.
pub fn check_up(target: &dyn Target, writes: bool) -> Result<Findings> {
    let mut found = Findings::new();
    let begun = Instant::now();
    let session = Some(open_when_there_is_room(target, || true)?);
    found.insert("login_seconds", begun.elapsed().as_secs_f64().into());
    let mut visit = Visit { target, session, begun };
    match visit.patiently(|session, _| session.list(&RelPath::root())) {
        Ok(listing) => {
            describe(&listing, &mut found);
            if writes {
                try_changes(&mut visit, &mut found);
            }
        }
        Err(error) if target.caps().is_networked && error.retry() != Retry::No => {
            found.insert("error", error.to_string().into());
        }
        Err(error) => return Err(error),
    }
    visit.end();
    found.extend(target.particulars());
    if target.caps().is_networked {
        count_sessions(target, &mut found);
    }
    Ok(found)
}

/// A session that is replaced, and a trial that is repeated, where a run would do so.
struct Visit<'t> {
    target: &'t dyn Target,
    session: Option<Box<dyn Session>>,
    begun: Instant,
}

impl Visit<'_> {
    /// Acts, again if that can help; the action is told whether it was begun before.
    fn patiently<T>(&mut self, mut act: impl FnMut(&mut dyn Session, bool) -> Result<T>) -> Result<T> {
        let (mut attempts, mut is_repeated) = (Attempts::default(), false);
        loop {
            let error = match self.session().and_then(|session| act(session, is_repeated)) {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            if error.retry() == Retry::NewSession {
                self.session = None;
            }
            match attempts.pause_after(&error, 0.0) {
                Some(pause) if self.begun.elapsed() < LONG => std::thread::sleep(pause),
                _ => return Err(error),
            }
            is_repeated = true;
        }
    }

    /// The session, or another one if that cannot go on.
    fn session(&mut self) -> Result<&mut dyn Session> {
        let kept = self.session.take().and_then(|mut session| session.is_alive().then_some(session));
        let session = kept.map_or_else(|| self.target.open(), Ok)?;
        Ok(self.session.insert(session).as_mut())
    }

    fn end(self) {
        if let Some(session) = self.session {
            session.close();
        }
    }
}

fn describe(listing: &Listing, found: &mut Findings) {
    found.insert("entries", listing.entries.len().into());
    found.insert("listing_complete", listing.complete.into());
    let doubts = listing.notes.iter().filter(|_| !listing.complete);
    let doubt = doubts.map(|note| format!("{}: {}", note.why, note.what.replace('\n', " / "))).next();
    found.insert("listing_doubt", doubt.into());
    found.insert("names_guessed", listing.guessed.len().into());
}

/// Tries everything that changes the target.
fn try_changes(visit: &mut Visit<'_>, found: &mut Findings) {
    let Some(files) = Files::new() else { return };
    let outcome = files.try_all(visit, found);
    found.insert("writable", outcome.is_ok().into());
    if let Err(error) = outcome {
        found.insert("refusal", error.to_string().into());
        let left = visit.session().map(|session| files.remove_all(session)).unwrap_or_default();
        if !left.is_empty() {
            found.insert("left_behind", left.into());
        }
    }
}

/// The files of the trials.
struct Files {
    first: RelPath,
    second: RelPath,
}

impl Files {
    fn new() -> Option<Self> {
        let path = || RelPath::parse(&temp_name("doctor", next_unique())).ok();
        Some(Files { first: path()?, second: path()? })
    }

    fn try_all(&self, visit: &mut Visit<'_>, found: &mut Findings) -> Result<()> {
        let body = b"written by pyftpsync doctor\n";
        let put = Put { expect: Expect::Absent, size: Some(body.len() as u64), ..Put::default() };
        let write = |visit: &mut Visit<'_>, put: Put| {
            visit.patiently(|session, is_repeated| {
                session.write(&self.first, &mut &body[..], &Put { is_repeated, ..put })
            })
        };
        let before = now();
        write(visit, put)?;
        let after = now();
        let listed = self.look(visit)?;
        found.insert("shows_dot_files", listed.is_some().into());
        let other_case = RelPath::parse(&self.first.to_string().to_uppercase()).ok();
        let is_free = other_case.map(|name| {
            visit.patiently(|session, _| session.still(&[(name.clone(), Expect::Absent)]).pop().transpose())
        });
        found.insert("case_sensitive", is_free.transpose()?.flatten().flatten().into());
        let dated = listed.and_then(|entry| entry.mtime_org);
        let offset = dated.map(|told| ahead(told, before, after));
        found.insert("clock_offset_seconds", offset.into());

        let wanted = Stamp::new(LONG_AGO, 0);
        let written = write(visit, Put { expect: Expect::File(put.size, None), mtime: Some(wanted), ..put })?;
        let told = self.look(visit)?.and_then(|entry| entry.mtime_org);
        let is_close = told.map(|told| told.seconds().abs_diff(LONG_AGO) <= close_to(told).unsigned_abs());
        found.insert("sets_times", (written.mtime_kept && is_close != Some(false)).into());
        found.insert("times_proven", (written.mtime_kept && is_close == Some(true)).into());
        let is_whole = dated.is_none_or(|dated| dated.nanos() == 0);
        let grain = told.map(|told| i64::from(told.grain().max(u32::from(is_whole))));
        found.insert("time_grain_seconds", grain.into());

        let renamed = visit.patiently(|session, _| session.rename(&self.first, &self.second));
        found.insert("renames", renamed.is_ok().into());
        let left = match renamed {
            Ok(()) => &self.second,
            Err(error) if error.retry() == Retry::NewSession => return Err(error),
            Err(_) => &self.first,
        };
        visit.patiently(|session, _| session.remove_file(left))
    }

    /// The entry of the first file, if it is listed.
    fn look(&self, visit: &mut Visit<'_>) -> Result<Option<Entry>> {
        let listing = visit.patiently(|session, _| session.list(&RelPath::root()))?;
        Ok(listing.entries.into_iter().find(|entry| entry.name.as_str() == self.first.file_name()))
    }

    /// Removes what is left after a failure; the names of what could not be removed.
    fn remove_all(&self, session: &mut dyn Session) -> Vec<String> {
        let mut left = Vec::new();
        for file in [&self.first, &self.second] {
            let gone = session.still(&[(file.clone(), Expect::Absent)]).pop();
            match session.remove_file(file) {
                Err(error) if error.kind() != Kind::NotFound && !matches!(gone, Some(Ok(Some(true)))) => {
                    left.push(file.to_string());
                }
                Ok(()) | Err(_) => {}
            }
        }
        left
    }
}

/// By how many seconds the time of a file is outside the span in which it was written.
fn ahead(told: Stamp, before: i64, after: i64) -> i64 {
    let slack = close_to(told);
    if told.seconds() > after + slack {
        told.seconds() - after
    } else if told.seconds() < before - slack {
        told.seconds() - before
    } else {
        0
    }
}

fn close_to(told: Stamp) -> i64 {
    CLOSE.max(i64::from(told.grain()))
}

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64)
}

/// Opens as many sessions as may be used, all at once. Servers notice only after a moment that the sessions of the trials
/// before have ended, so a refusal counts when it is repeated.
fn count_sessions(target: &dyn Target, found: &mut Findings) {
    let wanted = target.caps().sessions.min(MOST_SESSIONS);
    let mut open = Vec::new();
    let mut refusal: Option<Error> = None;
    let mut pauses = [MOMENT; 2].into_iter();
    while open.len() < wanted && refusal.is_none() {
        match target.open() {
            Ok(session) => open.push(session),
            Err(error) => match pauses.next() {
                Some(pause) => std::thread::sleep(pause),
                None => refusal = Some(error),
            },
        }
    }
    found.insert("sessions_wanted", wanted.into());
    found.insert("sessions_opened", open.len().into());
    found.insert("sessions_refusal", refusal.map(|error| error.to_string()).into());
    open.into_iter().for_each(Session::close);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_right_within_what_can_be_seen_of_it() {
        let told = |seconds, grain| Stamp::new(seconds, 0).with_grain(grain);
        assert_eq!(ahead(told(1_000, 1), 999, 1_001), 0);
        assert_eq!(ahead(told(4_601, 1), 999, 1_001), 3_600);
        assert_eq!(ahead(told(399, 1), 999, 1_001), -600);
        assert_eq!(ahead(told(960, 60), 999, 1_001), 0, "the minute has begun before");
    }
}
