//! What a target can do, found out by trying: the check-up behind `pyftpsync doctor`.
//!
//! The trials are those of any target, by the verbs of [`Session`]; what only one kind can tell comes from
//! [`Target::particulars`]. Whatever a trial writes is a temporary file, and is removed again.

use super::layer::retry::{Attempts, open_when_there_is_room};
use super::{Expect, Put, Session, Target, next_unique, temp_name};
use crate::error::{Error, Kind, Result, Retry};
use crate::model::{Entry, Listing, RelPath, Stamp, TEMP_PREFIX};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
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
/// What the temporary files hold, and what their names end with.
const BODY: &[u8] = b"written by pyftpsync doctor\n";
const NAME: &str = "doctor";
/// What their names begin with where those with a dot are refused.
const PLAIN: &str = "pyftpsync-doctor-";
/// So many bytes come before what is continued.
const PIECE: usize = 10;

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
    let mut found = try_out(target, writes, &|| true)?;
    found.extend(look_around(target));
    Ok(found)
}

/// The first half of [`check_up`]: by the verbs of a session. Once it is not wanted any more, it only removes what it has written.
///
/// # Errors
/// As [`check_up`]; a cancellation when it is not wanted any more.
pub fn try_out(target: &dyn Target, writes: bool, is_wanted: &dyn Fn() -> bool) -> Result<Findings> {
    let mut found = Findings::new();
    let begun = Instant::now();
    let session = Some(open_when_there_is_room(target, is_wanted)?);
    found.insert("login_seconds", begun.elapsed().as_secs_f64().into());
    let mut visit = Visit { target, session, begun, is_wanted };
    match visit.patiently(|session, _| session.list(&RelPath::root())) {
        Ok(listing) => {
            describe(&listing, &mut found);
            let mut earlier = left_by_earlier(&listing);
            earlier.retain(|file| is_ours(&mut visit, file));
            found.insert("left_before", words(&earlier).into());
            if writes {
                try_changes(&mut visit, earlier, &mut found);
            }
        }
        Err(error) if target.caps().is_networked && error.retry() != Retry::No => {
            found.insert("error", error.to_string().into());
        }
        Err(error) => return Err(error),
    }
    visit.end();
    if is_wanted() { Ok(found) } else { Err(Error::cancelled()) }
}

/// The second half of [`check_up`]: what only this kind of target can tell, and how many sessions it grants.
pub fn look_around(target: &dyn Target) -> Findings {
    let mut found = target.particulars();
    if target.caps().is_networked {
        count_sessions(target, &mut found);
    }
    found
}

/// A session that is replaced, and a trial that is repeated, where a run would do so.
struct Visit<'t> {
    target: &'t dyn Target,
    session: Option<Box<dyn Session>>,
    begun: Instant,
    is_wanted: &'t dyn Fn() -> bool,
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
                Some(pause) if self.begun.elapsed() < LONG && (self.is_wanted)() => std::thread::sleep(pause),
                _ => return Err(error),
            }
            is_repeated = true;
        }
    }

    /// Acts, and leaves the session if the action has spoilt it.
    fn once<T>(&mut self, act: impl FnOnce(&mut dyn Session) -> Result<T>) -> Result<T> {
        let outcome = self.session().and_then(act);
        if matches!(&outcome, Err(error) if error.retry() == Retry::NewSession) {
            self.session = None;
        }
        outcome
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

/// The temporary files of earlier check-ups, which were interrupted before they could remove them.
fn left_by_earlier(listing: &Listing) -> Vec<RelPath> {
    let is_one = |entry: &&Entry| {
        let rest = entry.name.as_str().strip_prefix(TEMP_PREFIX).filter(|rest| rest.ends_with(NAME));
        // One on its way to its name; no file of the user is called that.
        let is_on_its_way = |rest: &str| rest.contains(TEMP_PREFIX);
        let is_plain = entry.name.as_str().starts_with(PLAIN);
        let is_whole = entry.size == Some(BODY.len() as u64) && (is_plain || rest.is_some());
        entry.is_file() && (is_whole || rest.is_some_and(is_on_its_way))
    };
    listing.entries.iter().filter(is_one).map(|entry| RelPath::root().join(&entry.name)).collect()
}

/// Tries everything that changes the target.
fn try_changes(visit: &mut Visit<'_>, earlier: Vec<RelPath>, found: &mut Findings) {
    let Some(mut files) = Files::new() else { return };
    let mut outcome = files.try_all(visit, found);
    let was_written = found.contains_key("case_sensitive");
    if matches!(&outcome, Err(error) if !was_written && matches!(error.reply(), Some((501 | 550 | 553, _)))) {
        // Perhaps it is only the name that the server does not like.
        files.rename_plainly();
        outcome = files.try_all(visit, found).or(outcome);
    }
    found.insert("writable", outcome.is_ok().into());
    if let Err(error) = outcome {
        found.insert("refusal", error.to_string().into());
    }
    // Only now: those of somebody who has made the same trials meanwhile are gone.
    files.there.extend(earlier);
    let left = files.remove_all(visit);
    if !left.is_empty() {
        found.insert("left_behind", words(&left).into());
    }
}

/// Whether a file holds no more than what a check-up writes.
fn is_ours(visit: &mut Visit<'_>, file: &RelPath) -> bool {
    let mut held = Vec::new();
    let read = visit.patiently(|session, _| {
        held.clear();
        session.read(file, &mut |body| {
            body.take(BODY.len() as u64 + 1).read_to_end(&mut held)?;
            Ok(())
        })
    });
    read.is_ok() && BODY.starts_with(&held)
}

fn words(paths: &[RelPath]) -> Vec<String> {
    paths.iter().map(ToString::to_string).collect()
}

/// The files of the trials.
struct Files {
    first: RelPath,
    second: RelPath,
    /// Those that may be there.
    there: Vec<RelPath>,
}

impl Files {
    fn new() -> Option<Self> {
        Some(Files { first: new_path()?, second: new_path()?, there: Vec::new() })
    }

    /// Takes names without a dot at their beginning.
    fn rename_plainly(&mut self) {
        let plain = || RelPath::parse(&format!("{PLAIN}{:016x}", next_unique())).ok();
        if let (Some(first), Some(second)) = (plain(), plain()) {
            (self.first, self.second) = (first, second);
        }
    }

    fn try_all(&mut self, visit: &mut Visit<'_>, found: &mut Findings) -> Result<()> {
        let put = Put { expect: Expect::Absent, size: Some(BODY.len() as u64), ..Put::default() };
        let first = self.first.clone();
        let write = |visit: &mut Visit<'_>, put: Put| {
            visit.patiently(|session, is_repeated| {
                session.write(&first, &mut &BODY[..], &Put { is_repeated, ..put })
            })
        };
        self.there.push(self.first.clone());
        let before = now();
        write(visit, put)?;
        let after = now();
        let listed = self.look(visit)?;
        if self.first.file_name().starts_with('.') {
            found.insert("shows_dot_files", listed.is_some().into());
        }
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

        self.there.push(self.second.clone());
        let renamed = visit.patiently(|session, _| session.rename(&self.first, &self.second));
        found.insert("renames", renamed.is_ok().into());
        let left = match renamed {
            Ok(()) => &self.second,
            Err(error) if error.retry() == Retry::NewSession => return Err(error),
            Err(_) => {
                self.there.pop();
                &self.first
            }
        };
        visit.patiently(|session, _| session.remove_file(left))?;
        self.there.clear();
        // Where nothing can be removed, no further file is left behind.
        if visit.session().is_ok_and(|session| session.can_write_from()) {
            self.try_to_go_on(visit, found);
        }
        Ok(())
    }

    /// Fetches a file from the middle on, then continues it. Servers that announce the one may refuse the other.
    fn try_to_go_on(&mut self, visit: &mut Visit<'_>, found: &mut Findings) {
        let put =
            Put { size: Some(BODY.len() as u64), mtime: Some(Stamp::new(LONG_AGO, 0)), ..Put::default() };
        let Some(whole) = new_path() else { return };
        let Ok(part) = RelPath::parse(&put.part_name(whole.file_name())) else { return };
        self.there.extend([whole.clone(), part.clone()]);
        let (piece, rest) = BODY.split_at(PIECE);
        let begun = Put { size: Some(PIECE as u64), inplace: true, ..Put::default() };
        if visit.once(|session| session.write(&part, &mut &piece[..], &begun)).is_err() {
            return;
        }
        let mut read = Vec::new();
        let fetched = visit.once(|session| {
            session.read_from(&part, 1, &mut |body| Ok(body.read_to_end(&mut read).map(drop)?))
        });
        let is_right = fetched.map_or_else(|error| refuses_middle(&error), |()| Some(read == piece[1..]));
        found.insert("resumes_downloads", is_right.into());
        let put = Put { from: PIECE as u64, ..put };
        let continued = visit.once(|session| session.write(&whole, &mut &rest[..], &put));
        let is_whole = continued.map_or_else(|error| refuses_middle(&error), |_| Some(true));
        found.insert("resumes_uploads", is_whole.into());
    }

    /// The entry of the first file, if it is listed.
    fn look(&self, visit: &mut Visit<'_>) -> Result<Option<Entry>> {
        let listing = visit.patiently(|session, _| session.list(&RelPath::root()))?;
        Ok(listing.entries.into_iter().find(|entry| entry.name.as_str() == self.first.file_name()))
    }

    /// Removes what is left; the names of what could not be removed.
    fn remove_all(&self, visit: &mut Visit<'_>) -> Vec<RelPath> {
        if self.there.is_empty() {
            return Vec::new();
        }
        // What was on its way to one of the names has another one before it.
        let is_one = |name: &str| self.there.iter().any(|file| name.ends_with(file.file_name()));
        let listing = visit.patiently(|session, _| session.list(&RelPath::root()));
        let names = listing.map(|listing| listing.entries).unwrap_or_default().into_iter();
        let names = names.filter(|entry| is_one(entry.name.as_str()));
        let mut files: BTreeSet<RelPath> = names.map(|entry| RelPath::root().join(&entry.name)).collect();
        files.extend(self.there.iter().cloned());
        let mut left = Vec::new();
        for file in files {
            let removed = visit.patiently(|session, _| {
                let gone = session.still(&[(file.clone(), Expect::Absent)]).pop();
                match session.remove_file(&file) {
                    Err(error) if error.kind() != Kind::NotFound && !matches!(gone, Some(Ok(Some(true)))) => {
                        Err(error)
                    }
                    Ok(()) | Err(_) => Ok(()),
                }
            });
            if removed.is_err() {
                left.push(file);
            }
        }
        left
    }
}

fn new_path() -> Option<RelPath> {
    RelPath::parse(&temp_name(NAME, next_unique())).ok()
}

/// Whether an error says that a transfer cannot begin in the middle; `None` if it is about something else.
fn refuses_middle(error: &Error) -> Option<bool> {
    matches!(error.kind(), Kind::Unsupported | Kind::Size | Kind::Corrupt).then_some(false)
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
