//! Questions to a bucket: signed, sent to the region it is in, and refusals put into words.

use super::credentials::Wallet;
use super::endpoint::Endpoint;
use super::net::{Answer, Message, Net};
use super::refusal::{Refused, Trouble};
use crate::error::{Error, Kind, Result, Retry};
use crate::locked::locked;
use crate::target::layer::retry;
use crate::wire::s3::sign::{Question, Scope, UNSIGNED, authorization, query_string};
use crate::wire::s3::{encoded, hex, time};
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The longest answer that is read into memory, in bytes: a page of a listing has a thousand keys of a kilobyte each.
pub const LIMIT: usize = 16 * 1024 * 1024;
/// Questions that are asked at the same time for one verb.
const SIDE_BY_SIDE: usize = 8;

/// A bucket that can be asked.
pub struct Client {
    pub net: Net,
    pub endpoint: Endpoint,
    pub bucket: String,
    wallet: Wallet,
    region: Mutex<String>,
    /// Seconds by which the clock of the server is ahead.
    ahead: AtomicI64,
}

/// A question about the bucket or one of its keys.
#[derive(Debug, Default)]
pub struct Ask<'a> {
    pub method: &'static str,
    /// `None` for the bucket itself.
    pub key: Option<&'a str>,
    pub query: Vec<(&'static str, String)>,
    pub headers: Vec<(&'static str, String)>,
    pub body: &'a [u8],
}

impl<'a> Ask<'a> {
    /// A question about the bucket.
    pub fn bucket(method: &'static str) -> Self {
        Ask { method, ..Ask::default() }
    }

    /// A question about a key.
    pub fn key(method: &'static str, key: &'a str) -> Self {
        Ask { method, key: Some(key), ..Ask::default() }
    }

    #[must_use]
    pub fn query(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.query.push((name, value.into()));
        self
    }

    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    #[must_use]
    pub fn body(mut self, body: &'a [u8]) -> Self {
        self.body = body;
        self
    }
}

impl Client {
    pub fn new(net: Net, endpoint: Endpoint, bucket: &str, wallet: Wallet, region: String) -> Self {
        Client {
            net,
            endpoint,
            bucket: bucket.to_owned(),
            wallet,
            region: Mutex::new(region),
            ahead: AtomicI64::new(0),
        }
    }

    /// The region in which the bucket is asked.
    pub fn region(&self) -> String {
        locked(&self.region).clone()
    }

    /// The time by the clock of the server, in seconds since 1970-01-01 UTC.
    pub fn now(&self) -> i64 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        i64::try_from(now).unwrap_or(i64::MAX).saturating_add(self.ahead.load(Ordering::Relaxed))
    }

    /// Asks, and returns the answer if it is a success. A bucket in another region, a clock that is wrong and keys that have
    /// ended are seen to, once each.
    ///
    /// # Errors
    /// What the network or the server says.
    pub fn ask(&self, ask: &Ask<'_>, interruptions: u64) -> Result<Answer<'_>, Trouble> {
        let (mut moved, mut reset, mut renewed) = (false, false, false);
        loop {
            let asked_in = self.region();
            let answer = self.send(ask, &asked_in, interruptions)?;
            if answer.head.status < 300 {
                return Ok(answer);
            }
            let mut refused = Refused::read(answer)?;
            let mut region = refused.region.clone().filter(|region| *region != asked_in);
            if region.is_none() && ask.method == "HEAD" && refused.is_vague() {
                refused = self.spelled_out(ask, &asked_in, interruptions)?.unwrap_or(refused);
                region = refused.region.clone().filter(|region| *region != asked_in);
            }
            if let Some(region) = region.filter(|_| !std::mem::replace(&mut moved, true)) {
                *locked(&self.region) = region;
            } else if refused.is("RequestTimeTooSkewed") && !std::mem::replace(&mut reset, true) {
                let theirs = refused.date.map_or(0, |date| date.seconds() - self.now());
                self.ahead.fetch_add(theirs, Ordering::Relaxed);
            } else if refused.is_about_old_keys() && !std::mem::replace(&mut renewed, true) {
                self.wallet.forget();
            } else {
                return Err(Trouble::Refused(Box::new(refused)));
            }
        }
    }

    /// Why a question for headers is refused, which has no body to tell it: by that for the first byte. `None` if that is
    /// not refused.
    fn spelled_out(&self, ask: &Ask<'_>, region: &str, interruptions: u64) -> Result<Option<Refused>> {
        let Some(key) = ask.key else { return Ok(None) };
        let first = Ask { query: ask.query.clone(), ..Ask::key("GET", key).header("range", "bytes=0-0") };
        let answer = self.send(&first, region, interruptions)?;
        match answer.head.status {
            400 | 401 | 403 => Refused::read(answer).map(Some),
            _ => Ok(None),
        }
    }

    /// As [`Client::ask`], with the whole body.
    pub fn bytes(&self, ask: &Ask<'_>, interruptions: u64) -> Result<Vec<u8>, Trouble> {
        Ok(self.ask(ask, interruptions)?.bytes(LIMIT)?)
    }

    /// Asks until it is answered, as often as [`retry`] allows: for the pieces of a larger task, which would otherwise begin
    /// from the start. What is left in the end is final.
    pub fn patiently<T>(
        &self,
        interruptions: u64,
        mut work: impl FnMut() -> Result<T, Trouble>,
    ) -> Result<T, Trouble> {
        let mut attempt = 1;
        loop {
            let trouble = match work() {
                Ok(value) => return Ok(value),
                Err(trouble) => trouble,
            };
            let pause = retry::pause(&trouble.judged(), attempt, f64::from(attempt) / 4.0);
            let is_over = self.net.sockets.interruptions() != interruptions;
            let Some(pause) = pause.filter(|_| !is_over) else {
                return Err(match trouble {
                    Trouble::Error(error) if !is_over && attempt > 1 => error.retrying(Retry::No).into(),
                    trouble => trouble,
                });
            };
            std::thread::sleep(pause.min(Duration::from_secs(2)));
            attempt += 1;
        }
    }

    /// Whether ETags are no sums, although they may look like one: in buckets of the kind "directory".
    pub fn has_opaque_etags(&self) -> bool {
        self.bucket.ends_with("--x-s3")
    }

    /// The bucket as errors name it.
    pub fn shown(&self) -> String {
        format!("s3://{}", self.bucket)
    }

    fn send(&self, ask: &Ask<'_>, region: &str, interruptions: u64) -> Result<Answer<'_>> {
        let place = self.endpoint.place(region);
        let path = match ask.key {
            Some(key) => format!("{}/{key}", place.path),
            None if place.path.is_empty() => "/".to_owned(),
            None => place.path.clone(),
        };
        let now = self.now();
        // Over TLS nobody can change the body; without, its MD5 is signed instead, which both sides compute anyway.
        let has_sum = ask.headers.iter().any(|(name, _)| *name == "content-md5");
        let digest = if (place.address.is_tls || has_sum) && !ask.body.is_empty() {
            UNSIGNED.to_owned()
        } else {
            hex(ring::digest::digest(&ring::digest::SHA256, ask.body).as_ref())
        };
        let mut headers = vec![
            ("host".to_owned(), place.address.authority()),
            ("x-amz-content-sha256".to_owned(), digest.clone()),
            ("x-amz-date".to_owned(), time::basic(now)),
        ];
        headers.extend(ask.headers.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        if let Some(keys) = self.wallet.keys(&self.net, now, interruptions)? {
            if let Some(token) = &keys.token {
                headers.push(("x-amz-security-token".to_owned(), token.reveal().to_owned()));
            }
            let question = Question {
                method: ask.method,
                path: &path,
                query: &ask.query,
                headers: &headers,
                body: &digest,
            };
            let scope = Scope { region, service: "s3", now };
            let signed = authorization(&question, &keys.id, keys.secret.reveal(), scope);
            headers.push(("authorization".to_owned(), signed));
        }
        let query = query_string(&ask.query);
        let mark = if query.is_empty() { "" } else { "?" };
        let target = format!("{}{mark}{query}", encoded(&path, "/"));
        let message = Message { method: ask.method, target, headers, body: ask.body };
        self.net.ask(&place.address, &message, interruptions)
    }
}

/// Does some work for each item, a few at a time; the results are in order.
pub fn each<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    each_of(items, SIDE_BY_SIDE, work)
}

/// As [`each`], up to `most` at a time.
pub fn each_of<T: Sync, R: Send>(items: &[T], most: usize, work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    if items.len() < 2 {
        return items.iter().map(work).collect();
    }
    let next = AtomicUsize::new(0);
    let mut results: Vec<Option<R>> = Vec::new();
    results.resize_with(items.len(), || None);
    let results = Mutex::new(results);
    std::thread::scope(|scope| {
        for _ in 0..items.len().min(most.max(1)) {
            scope.spawn(|| {
                while let Some((index, item)) = {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    items.get(index).map(|item| (index, item))
                } {
                    let result = work(item);
                    if let Some(slot) = locked(&results).get_mut(index) {
                        *slot = Some(result);
                    }
                }
            });
        }
    });
    let results = results.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    results.into_iter().flatten().collect()
}

/// The error for an answer that should not be.
pub fn nonsense(what: &str) -> Error {
    Error::new(Kind::Protocol, what.to_owned()).with_os(libc::EIO)
}
