//! Downloads: in one question if the file is small or the server near, else in ranges that are fetched side by side, all of the
//! same version.

use super::client::{Ask, nonsense};
use super::own_time::own_time;
use super::parts::Sum;
use super::refusal::Trouble;
use super::session::S3Session;
use super::sums::told;
use crate::error::{Error, Kind, Result, Retry};
use crate::locked::locked;
use crate::model::RelPath;
use crate::target::Claim;
use crate::wire::s3::answer::unquoted;
use crate::wire::s3::http::Head;
use std::collections::VecDeque;
use std::io::{self, Read};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Scope, ScopedJoinHandle};
use std::time::Instant;

/// Ranges of one file that are fetched ahead.
const AHEAD: usize = 4;
/// Bytes of an answer after which it is known how fast they come.
const TRIED: u64 = 8 << 20;
/// A far server that sends fewer bytes a second on one connection may send more on several.
const SLOW: u64 = 16 << 20;

impl S3Session {
    pub(super) fn download(
        &self,
        file: &RelPath,
        start: u64,
        lend: &mut dyn FnMut(&mut dyn Read) -> Result<()>,
    ) -> Result<()> {
        let context = |trouble: Trouble| Error::from(trouble).during("read").at(file);
        let key = self.key(file).map_err(|error| context(error.into()))?;
        self.fetch_from(&key, start, true, &mut |body, _| lend(body)).map_err(|failure| match failure {
            Unread::Before(trouble) => context(trouble),
            Unread::Lent(error) => error,
        })
    }

    /// Lends the content of an object, with its headers. Unless it `must_match`, what the ETag says is not compared.
    pub(super) fn fetch(
        &self,
        key: &str,
        must_match: bool,
        lend: &mut dyn FnMut(&mut dyn Read, &Head) -> Result<()>,
    ) -> Result<(), Unread> {
        self.fetch_from(key, 0, must_match, lend)
    }

    /// As [`S3Session::fetch`], from byte `start` on; then there is nothing to compare.
    fn fetch_from(
        &self,
        key: &str,
        start: u64,
        must_match: bool,
        lend: &mut dyn FnMut(&mut dyn Read, &Head) -> Result<()>,
    ) -> Result<(), Unread> {
        let piece = self.server.config.usual_part() as u64;
        let seen = self.server.known().seen(key).cloned();
        // AWS limits a connection and not a client. Others have to open the object for each range, which some do slowly.
        let client = &self.server.client;
        let in_ranges = self.server.config.in_ranges.unwrap_or(!client.endpoint.is_custom());
        let usual = if client.net.is_near() || in_ranges { 0 } else { SLOW };
        let split_below = self.server.config.split_below.unwrap_or(usual);
        let at_once = !in_ranges || seen.as_ref().is_some_and(|seen| seen.size <= start + piece);
        let mut ask = Ask::key("GET", key);
        let listed = seen.map(|seen| seen.etag).unwrap_or_default();
        if !listed.is_empty() {
            ask = ask.header("if-match", format!("\"{listed}\""));
        }
        let whole = Ask { headers: ask.headers.clone(), ..Ask::key("GET", key) };
        let answer = match (start, at_once) {
            (0, true) => self.ask(&whole),
            (_, true) => self.ask(&ask.header("range", format!("bytes={start}-"))),
            (_, false) => {
                let ranged = ask.header("range", format!("bytes={start}-{}", start + piece - 1));
                match self.ask(&ranged) {
                    // Of an empty object there is no first byte, and what has no version cannot be had in pieces.
                    Err(Trouble::Refused(refused)) if refused.status == 416 && start == 0 => self.ask(&whole),
                    Ok(answer) if answer.head.get("etag").is_none() && start == 0 => self.ask(&whole),
                    outcome => outcome,
                }
            }
        };
        let answer = match answer {
            Err(Trouble::Refused(refused)) if refused.status == 416 => {
                return self.nothing_behind(key, start, &listed, lend);
            }
            answer => answer.inspect_err(|_| self.server.known().unsee(key))?,
        };
        if start > 0 {
            self.is_piece(&answer.head, start, &listed)?;
        }
        let head = answer.head.clone();
        *locked(&self.carried) = own_time(&head).map(|at| (key.to_owned(), at));
        let etag = head.get("etag").map(unquoted).unwrap_or_default();
        let (total, next) = match head.status {
            206 => {
                let range = Piece::of(&head);
                let range = range.ok_or_else(|| {
                    nonsense("the answer to a range of an object does not say which range it is")
                })?;
                (range.total, range.to)
            }
            _ => {
                let total = head.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
                (total, total)
            }
        };
        let check = if must_match && start == 0 { self.check(&head, &etag, total) } else { None };
        let stop = AtomicBool::new(false);
        let outcome = std::thread::scope(|scope| {
            let mut reader = Ranged {
                session: self,
                scope,
                key,
                etag: &etag,
                stop: &stop,
                first: Some(answer.body),
                ahead: VecDeque::new(),
                current: io::Cursor::default(),
                next,
                piece,
                total,
                check,
                is_first: true,
                at: start,
                end_of_first: next,
                begun: Instant::now(),
                start,
                split_below,
            };
            let outcome = lend(&mut reader, &head);
            stop.store(true, Ordering::Relaxed);
            outcome
        });
        outcome.map_err(Unread::Lent)
    }

    /// Lends what follows the last byte of an object that is as it was listed: nothing.
    fn nothing_behind(
        &self,
        key: &str,
        start: u64,
        listed: &str,
        lend: &mut dyn FnMut(&mut dyn Read, &Head) -> Result<()>,
    ) -> Result<(), Unread> {
        let answer = self.ask(&Ask::key("HEAD", key))?;
        let get = |name: &str| answer.head.get(name);
        let is_listed = listed.is_empty() || get("etag").map(unquoted).as_deref() == Some(listed);
        if !is_listed || get("content-length").and_then(|size| size.parse().ok()) != Some(start) {
            self.server.known().unsee(key);
            return Err(changed().into());
        }
        lend(&mut io::empty(), &answer.head).map_err(Unread::Lent)
    }

    /// Makes sure that an answer is of this version, and begins with this byte.
    fn is_piece(&self, head: &Head, from: u64, etag: &str) -> Result<(), Trouble> {
        if head.status != 206 {
            self.server.ignores_ranges.store(true, Ordering::Relaxed);
            let error = Error::new(Kind::Unsupported, "the server sends whole objects only");
            return Err(error.retrying(Retry::Later).into());
        }
        if Piece::of(head).is_some_and(|piece| piece.from != from) {
            return Err(nonsense("the server sent another range of an object than was asked for").into());
        }
        // Not every server heeds the condition that it was given.
        match head.get("etag").map(unquoted) {
            Some(told) if !etag.is_empty() && told != etag => Err(changed().into()),
            _ => Ok(()),
        }
    }

    /// See [`Session::claim`](crate::target::Session::claim). It is about the version that was listed.
    pub(super) fn claim_of(&self, file: &RelPath) -> Result<Option<Box<dyn Claim>>, Trouble> {
        let key = self.key(file)?;
        let listed = self.server.known().seen(&key).map(|seen| seen.etag.clone()).unwrap_or_default();
        let answer = self.patiently(|| self.ask(&Ask::key("HEAD", &key)))?;
        let etag = answer.head.get("etag").map(unquoted).unwrap_or_default();
        if !listed.is_empty() && etag != listed {
            return Err(changed().into());
        }
        let size = answer.head.get("content-length").and_then(|size| size.parse().ok()).unwrap_or(0);
        Ok(self.check(&answer.head, &etag, size).map(|check| Box::new(check) as Box<dyn Claim>))
    }

    /// How so many bytes can be compared with what the server says about them.
    fn check(&self, head: &Head, etag: &str, size: u64) -> Option<Check> {
        let (expected, part) = told(head, etag, size, self.server.client.has_opaque_etags())?;
        let sum = match (expected.contains('-'), part) {
            (false, _) => Sum::whole(),
            (true, Some(part)) => Sum::parts(part),
            // Of parts whose size nobody tells, nothing can be said.
            (true, None) => return None,
        };
        Some(Check { sum, expected })
    }

    /// Some bytes of an object, if it still is the one with this ETag. What has arrived is not asked for again.
    fn range(
        &self,
        key: &str,
        etag: &str,
        from: u64,
        to: u64,
        stop: &AtomicBool,
    ) -> Result<Vec<u8>, Trouble> {
        let length = usize::try_from(to - from).unwrap_or(usize::MAX);
        let mut bytes = vec![0; length];
        let mut filled = 0;
        self.patiently(|| {
            let next = from + filled as u64;
            let mut ask = Ask::key("GET", key).header("range", format!("bytes={next}-{}", to - 1));
            if !etag.is_empty() {
                ask = ask.header("if-match", format!("\"{etag}\""));
            }
            let answer = self.ask(&ask)?;
            self.is_piece(&answer.head, next, etag)?;
            let mut body = answer.body;
            while filled < length && !stop.load(Ordering::Relaxed) {
                match body.read(&mut bytes[filled..]).map_err(Error::from)? {
                    0 => {
                        return Err(Error::new(Kind::Disconnected, "a range of an object ended early").into());
                    }
                    count => filled += count,
                }
            }
            Ok(())
        })?;
        Ok(bytes)
    }
}

/// Why nothing was read, or not all.
pub enum Unread {
    /// It could not be opened.
    Before(Trouble),
    /// What the borrower says.
    Lent(Error),
}

impl From<Trouble> for Unread {
    fn from(trouble: Trouble) -> Self {
        Unread::Before(trouble)
    }
}

impl From<Error> for Unread {
    fn from(error: Error) -> Self {
        Unread::Before(error.into())
    }
}

impl From<Unread> for Error {
    fn from(unread: Unread) -> Self {
        match unread {
            Unread::Before(trouble) => trouble.into(),
            Unread::Lent(error) => error,
        }
    }
}

/// Which bytes an answer holds, up to and without `to`, and of how many.
struct Piece {
    from: u64,
    to: u64,
    total: u64,
}

impl Piece {
    /// `bytes 0-99/1234`.
    fn of(head: &Head) -> Option<Self> {
        let (range, total) = head.get("content-range")?.trim().strip_prefix("bytes ")?.split_once('/')?;
        let (from, last) = range.split_once('-')?;
        let last: u64 = last.trim().parse().ok()?;
        let to = last.checked_add(1)?;
        Some(Piece { from: from.trim().parse().ok()?, to, total: total.trim().parse().ok()? })
    }
}

fn changed() -> Error {
    Error::new(Kind::Changed, "somebody has changed it since it was listed")
}

/// What the content should add up to.
struct Check {
    sum: Sum,
    expected: String,
}

impl Claim for Check {
    fn add(&mut self, bytes: &[u8]) {
        self.sum.add(bytes);
    }

    fn is_met(self: Box<Self>) -> bool {
        self.sum.etag() == self.expected
    }
}

type Fetching<'scope> = ScopedJoinHandle<'scope, Result<Vec<u8>, Trouble>>;

/// An object from its first byte to its last. The first answer comes as it arrives, the pieces behind it are fetched ahead.
struct Ranged<'scope, 'env> {
    session: &'env S3Session,
    scope: &'scope Scope<'scope, 'env>,
    key: &'env str,
    etag: &'env str,
    stop: &'env AtomicBool,
    first: Option<super::net::Body<'env>>,
    ahead: VecDeque<Fetching<'scope>>,
    current: io::Cursor<Vec<u8>>,
    /// Where the next piece to fetch begins.
    next: u64,
    piece: u64,
    total: u64,
    check: Option<Check>,
    is_first: bool,
    /// How far the first answer was read, and how far it shall be.
    at: u64,
    end_of_first: u64,
    /// Where and when it began.
    start: u64,
    begun: Instant,
    /// It is given up for ranges if fewer bytes a second come.
    split_below: u64,
}

impl Ranged<'_, '_> {
    /// Has the pieces that come next fetched, as far as there is room.
    fn look_ahead(&mut self) {
        while self.next < self.total && self.ahead.len() < AHEAD {
            let (session, key, etag, stop) = (self.session, self.key, self.etag, self.stop);
            let Some(slot) = session.server.slots.take() else { return };
            let (from, to) = self.take_piece();
            self.ahead.push_back(self.scope.spawn(move || {
                let fetched = session.range(key, etag, from, to, stop);
                drop(slot);
                fetched
            }));
        }
    }

    fn take_piece(&mut self) -> (u64, u64) {
        let from = self.next;
        self.next = self.total.min(from + self.piece);
        (from, self.next)
    }

    /// Reads from the first answer. If that is cut short, its rest is asked for, and read.
    fn read_first(&mut self, out: &mut [u8]) -> Result<usize> {
        self.split_if_slow();
        let mut room = out.len();
        if self.end_of_first < self.total {
            let rest = usize::try_from(self.end_of_first.saturating_sub(self.at)).unwrap_or(usize::MAX);
            room = room.min(rest);
        }
        let Some(first) = self.first.as_mut().filter(|_| room > 0) else {
            // What is still on its way is nobody's business any more.
            self.first = None;
            return Ok(0);
        };
        let error = match first.read(&mut out[..room]) {
            Ok(count) => {
                self.at += count as u64;
                return Ok(count);
            }
            Err(error) => Error::from(error),
        };
        let is_short = self.at < self.end_of_first;
        if !is_short || self.etag.is_empty() || error.retry() == Retry::No || !self.session.is_on() {
            return Err(error);
        }
        self.is_first = false;
        if self.next == self.end_of_first {
            self.next = self.at;
        } else {
            let rest = self.session.range(self.key, self.etag, self.at, self.end_of_first, self.stop)?;
            self.current = io::Cursor::new(rest);
        }
        Ok(self.current.read(out)?)
    }

    /// Has what lies further on fetched in ranges, if the one answer comes slowly. What is on its way behind its new end is lost.
    fn split_if_slow(&mut self) {
        let come = self.at - self.start;
        let rest = self.total.saturating_sub(self.at);
        let is_whole = self.end_of_first == self.total && self.next == self.total;
        if come < TRIED || rest < 4 * self.piece || !is_whole || self.etag.is_empty() {
            return;
        }
        let rate = come as f64 / self.begun.elapsed().as_secs_f64();
        if rate < self.split_below as f64 {
            self.end_of_first = self.at + 2 * self.piece;
            self.next = self.end_of_first;
        } else {
            // Once more after as many bytes.
            (self.start, self.begun) = (self.at, Instant::now());
        }
    }

    fn fill(&mut self, out: &mut [u8]) -> Result<usize> {
        loop {
            let count = if self.is_first { self.read_first(out)? } else { self.current.read(out)? };
            if count > 0 || out.is_empty() {
                return Ok(count);
            }
            let fetched = match self.ahead.pop_front() {
                Some(helper) => {
                    helper.join().map_err(|_| Error::new(Kind::Io, "internal error, please report it"))??
                }
                None if self.next < self.total => {
                    let (from, to) = self.take_piece();
                    self.session.range(self.key, self.etag, from, to, self.stop)?
                }
                None => return Ok(0),
            };
            self.is_first = false;
            self.current = io::Cursor::new(fetched);
        }
    }
}

impl Read for Ranged<'_, '_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.look_ahead();
        let key = self.key;
        let context = |error: Error| error.during("read").at(key).into_io();
        let count = match self.fill(out) {
            Ok(count) => count,
            Err(error) => return Err(context(error)),
        };
        if let Some(check) = &mut self.check {
            check.sum.add(&out[..count]);
        }
        if count == 0
            && !out.is_empty()
            && let Some(Check { sum, expected }) = self.check.take()
            && sum.etag() != expected
        {
            let error =
                Error::new(Kind::Corrupt, "what arrived does not have the checksum that the server tells");
            return Err(context(error.retrying(Retry::Later)));
        }
        Ok(count)
    }
}
