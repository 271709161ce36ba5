//! Downloads: in one question if the file is small or the server near, else in ranges that are fetched side by side, all of the
//! same version.

use super::client::{Ask, nonsense};
use super::parts::{Sum, is_sum};
use super::refusal::Trouble;
use super::session::S3Session;
use super::write::{MD5, PART_SIZE};
use crate::error::{Error, Kind, Result, Retry};
use crate::model::RelPath;
use crate::wire::s3::answer::unquoted;
use crate::wire::s3::http::Head;
use std::collections::VecDeque;
use std::io::{self, Read};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Scope, ScopedJoinHandle};

/// Ranges of one file that are fetched ahead.
const AHEAD: usize = 4;

impl S3Session {
    pub(super) fn download(
        &self,
        file: &RelPath,
        lend: &mut dyn FnMut(&mut dyn Read) -> Result<()>,
    ) -> Result<()> {
        let context = |trouble: Trouble| Error::from(trouble).during("read").at(file);
        let key = self.key(file).map_err(|error| context(error.into()))?;
        self.fetch(&key, true, &mut |body, _| lend(body)).map_err(|failure| match failure {
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
        let piece = self.server.config.usual_part() as u64;
        let seen = self.server.known().seen(key).cloned();
        // A server near by is not faster on several connections, but has to open the object for each range.
        let in_ranges = self.server.config.in_ranges.unwrap_or_else(|| !self.server.client.net.is_near());
        let at_once = !in_ranges || seen.as_ref().is_some_and(|seen| seen.size <= piece);
        let mut ask = Ask::key("GET", key);
        if let Some(seen) = seen.filter(|seen| !seen.etag.is_empty()) {
            ask = ask.header("if-match", format!("\"{}\"", seen.etag));
        }
        let answer = match at_once {
            true => self.ask(&ask),
            false => {
                let ranged = Ask { headers: ask.headers.clone(), ..Ask::key("GET", key) };
                match self.ask(&ranged.header("range", format!("bytes=0-{}", piece - 1))) {
                    // Of an empty object there is no first byte.
                    Err(Trouble::Refused(refused)) if refused.status == 416 => self.ask(&ask),
                    outcome => outcome,
                }
            }
        };
        let answer = answer.inspect_err(|_| self.server.known().unsee(key))?;
        let head = answer.head.clone();
        let etag = head.get("etag").map(unquoted).unwrap_or_default();
        let (total, next) = match head.status {
            206 => {
                let total = whole_size(&head);
                let total = total.ok_or_else(|| nonsense("a part of an object does not say of how much"))?;
                (total, piece)
            }
            _ => {
                let total = head.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
                (total, total)
            }
        };
        let check = if must_match { self.check(&head, &etag) } else { None };
        let stop = AtomicBool::new(false);
        let outcome = std::thread::scope(|scope| {
            let mut reader = Ranged {
                session: self,
                scope,
                key,
                etag: &etag,
                stop: &stop,
                first: answer.body,
                ahead: VecDeque::new(),
                current: io::Cursor::default(),
                next,
                piece,
                total,
                check,
                is_first: true,
                of_first: 0,
            };
            let outcome = lend(&mut reader, &head);
            stop.store(true, Ordering::Relaxed);
            outcome
        });
        outcome.map_err(Unread::Lent)
    }

    /// How the content can be compared with what the server says about it.
    fn check(&self, head: &Head, etag: &str) -> Option<Check> {
        if let Some(expected) =
            head.get(MD5).and_then(|sum| data_encoding::BASE64.decode(sum.as_bytes()).ok())
            && expected.len() == 16
        {
            return Some(Check { sum: Sum::whole(), expected: crate::wire::s3::hex(&expected) });
        }
        // With keys that the server does not tell, an ETag is no sum.
        let is_locked = head.get("x-amz-server-side-encryption").is_some_and(|how| how.starts_with("aws:"))
            || head.get("x-amz-server-side-encryption-customer-algorithm").is_some();
        if is_locked || !is_sum(etag) || self.server.client.has_opaque_etags() {
            return None;
        }
        let expected = etag.to_owned();
        if !etag.contains('-') {
            return Some(Check { sum: Sum::whole(), expected });
        }
        // Of parts whose size nobody tells, nothing can be said.
        let size = head.get(PART_SIZE)?.parse::<usize>().ok().filter(|size| *size > 0)?;
        Some(Check { sum: Sum::parts(size), expected })
    }

    /// Some bytes of an object, if it still is the one with this ETag.
    fn range(
        &self,
        key: &str,
        etag: &str,
        from: u64,
        to: u64,
        stop: &AtomicBool,
    ) -> Result<Vec<u8>, Trouble> {
        self.patiently(|| {
            let mut ask = Ask::key("GET", key).header("range", format!("bytes={from}-{}", to - 1));
            if !etag.is_empty() {
                ask = ask.header("if-match", format!("\"{etag}\""));
            }
            let mut body = self.ask(&ask)?.body;
            let length = usize::try_from(to - from).unwrap_or(usize::MAX);
            let mut bytes = vec![0; length];
            let mut filled = 0;
            while filled < length && !stop.load(Ordering::Relaxed) {
                match body.read(&mut bytes[filled..]).map_err(Error::from)? {
                    0 => {
                        return Err(Error::new(Kind::Disconnected, "a part of an object is too short").into());
                    }
                    count => filled += count,
                }
            }
            Ok(bytes)
        })
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

/// `bytes 0-99/1234`.
fn whole_size(head: &Head) -> Option<u64> {
    head.get("content-range")?.rsplit_once('/')?.1.trim().parse().ok()
}

/// What the content should add up to.
struct Check {
    sum: Sum,
    expected: String,
}

type Fetching<'scope> = ScopedJoinHandle<'scope, Result<Vec<u8>, Trouble>>;

/// An object from its first byte to its last. The first answer comes as it arrives, the pieces behind it are fetched ahead.
struct Ranged<'scope, 'env> {
    session: &'env S3Session,
    scope: &'scope Scope<'scope, 'env>,
    key: &'env str,
    etag: &'env str,
    stop: &'env AtomicBool,
    first: super::net::Body<'env>,
    ahead: VecDeque<Fetching<'scope>>,
    current: io::Cursor<Vec<u8>>,
    /// Where the next piece to fetch begins.
    next: u64,
    piece: u64,
    total: u64,
    check: Option<Check>,
    is_first: bool,
    /// Bytes of the first answer.
    of_first: u64,
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

    /// Reads from the first answer. If that is all and is cut short, the rest comes in pieces.
    fn read_first(&mut self, out: &mut [u8]) -> Result<usize> {
        let error = match self.first.read(out) {
            Ok(count) => {
                self.of_first += count as u64;
                return Ok(count);
            }
            Err(error) => Error::from(error),
        };
        let is_all = self.next == self.total && self.of_first < self.total;
        if !is_all || self.etag.is_empty() || error.retry() == Retry::No || !self.session.is_on() {
            return Err(error);
        }
        self.next = self.of_first;
        self.is_first = false;
        Ok(0)
    }

    fn fill(&mut self, out: &mut [u8]) -> Result<usize> {
        loop {
            let count = match self.is_first {
                true => self.read_first(out)?,
                false => self.current.read(out)?,
            };
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
