//! The whole bucket by its keys: what Python makes objects of that are used like files.

use super::Server;
use super::client::{Ask, nonsense};
use super::kinds::kind_of;
use super::listing::Wanted as WantedPage;
use super::own_time::own_time;
use super::parts::{Parts, Sum, part_size};
use super::refusal::Trouble;
use super::session::S3Session;
use super::sums::told;
use super::write::{Condition, Wanted};
use crate::error::{Error, Kind, Result};
use crate::model::{RelPath, Stamp};
use crate::target::layer::retry;
use crate::target::{Put, Session};
use crate::wire::s3::answer::{Object, unquoted};
use crate::wire::s3::http::Head;
use crate::wire::s3::time;
use std::io::{self, Read};
use std::sync::Arc;

/// Sizes of parts that tools use, in MiB: tried where an object does not tell.
const USUAL_PARTS: [usize; 13] = [8, 5, 16, 10, 15, 25, 32, 50, 64, 100, 128, 256, 512];

/// A bucket by its keys. As good as its target was when it was made: an interruption ends it.
pub struct ByHand {
    session: S3Session,
}

/// An object by its headers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Bytes.
    pub size: u64,
    /// As the object itself tells, else when it was put there.
    pub mtime: Option<Stamp>,
    /// What identifies the content.
    pub etag: String,
    /// The MD5 of the content in digits, or what parts add up to, with the size of those.
    pub sum: Option<(String, Option<usize>)>,
}

/// What must be at a key that is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected {
    /// Whatever it may be.
    Anything,
    /// Nothing.
    Nothing,
    /// The object with this ETag.
    Etag(String),
}

/// Told how many more bytes have moved.
pub type Progress<'a> = &'a (dyn Fn(u64) + Sync);

impl ByHand {
    pub(super) fn new(server: Arc<Server>) -> Self {
        let interruptions = server.client.net.sockets.interruptions();
        ByHand { session: S3Session::new(server, interruptions) }
    }

    /// Every object whose key begins like this; the first `most` of them, unless that is 0.
    ///
    /// # Errors
    /// Whatever makes the listing unusable.
    pub fn list(&self, prefix: &str, most: usize) -> Result<Vec<Object>> {
        let mut objects = Vec::new();
        self.persist(|| {
            objects.clear();
            let mut odd = None;
            self.session.pages(WantedPage { prefix, most, ..WantedPage::default() }, |page, _| {
                objects.extend(page.objects);
                odd = odd.take().or(page.unreadable.into_iter().next());
                most == 0
            })?;
            // Whoever takes what is not listed for gone would delete it on the other side.
            match odd {
                Some(key) => Err(nonsense(&format!("the server does not spell out the key {key:?}")).into()),
                None => Ok(()),
            }
        })
        .map_err(|error| error.during("list").at(prefix))?;
        Ok(objects)
    }

    /// An object; `None` if there is none.
    ///
    /// # Errors
    /// What the server says otherwise.
    pub fn find(&self, key: &str) -> Result<Option<Found>> {
        let found = self.persist(|| match self.session.ask(&Ask::key("HEAD", key)) {
            Ok(answer) => found(&answer.head, self.session.server.client.has_opaque_etags()).map(Some),
            Err(trouble) if trouble.is_missing() => Ok(None),
            Err(trouble) => Err(trouble),
        });
        found.map_err(|error| error.during("look at").at(key))
    }

    /// Puts the content of an object into a file of `to`. With `is_checked`, content that does not add up to what the server
    /// tells is [`Kind::Corrupt`], and the old file stays.
    ///
    /// # Errors
    /// [`Kind::NotFound`] if there is no such object; else what either side says.
    pub fn fetch(
        &self,
        key: &str,
        to: &mut dyn Session,
        file: &RelPath,
        is_checked: bool,
        progress: Progress<'_>,
    ) -> Result<Found> {
        make_folders(to, file)?;
        let is_opaque = self.session.server.client.has_opaque_etags();
        let fetched = self.persist(|| {
            let mut told = None;
            let read = self.session.fetch(key, is_checked, &mut |body, head| {
                let object = found(head, is_opaque)?;
                let put = Put { mtime: object.mtime, ..Put::default() };
                to.write(file, &mut Counted { body, progress }, &put)?;
                told = Some(object);
                Ok(())
            });
            read.map_err(|unread| Trouble::from(Error::from(unread)))?;
            told.ok_or_else(|| nonsense("the content was not read").into())
        });
        fetched.map_err(|error| error.during("download").at(key))
    }

    /// Puts the content of a file of `from` at a key; returns what is there now.
    ///
    /// # Errors
    /// [`Kind::Changed`] if something else is at the key than expected; else what either side says.
    pub fn store(
        &self,
        from: &mut dyn Session,
        file: &RelPath,
        key: &str,
        facts: (Option<u64>, Option<Stamp>),
        expected: &Expected,
        progress: Progress<'_>,
    ) -> Result<()> {
        let (size, mtime) = facts;
        let condition = match expected {
            Expected::Anything => Condition::None,
            Expected::Nothing => Condition::Absent,
            Expected::Etag(etag) => Condition::Is(etag.clone()),
        };
        let wanted = Wanted { mtime, kind: kind_of(key).to_owned(), md5: None, size, condition };
        let usual = self.session.server.config.usual_part();
        let stored = self.persist(|| {
            from.read(file, &mut |body| {
                let mut body = Counted { body, progress };
                let mut parts = Parts::new(&mut body, part_size(usual, size));
                self.session.place(key, &mut parts, &wanted)?;
                Ok(())
            })
            .map_err(Trouble::from)
        });
        stored.map_err(|error| error.during("upload").at(key))
    }

    /// Deletes objects; returns those that are kept, with the reason.
    ///
    /// # Errors
    /// What ends all of it.
    pub fn remove(&self, keys: &[String]) -> Result<Vec<(String, Error)>> {
        let mut kept = Vec::new();
        for burst in keys.chunks(1000) {
            let burst: Vec<&str> = burst.iter().map(String::as_str).collect();
            let refused =
                self.persist(|| self.session.delete(&burst)).map_err(|error| error.during("delete"))?;
            kept.extend(refused.into_iter().map(|(key, refused)| (key, refused.error())));
        }
        Ok(kept)
    }

    /// Tries again where that can help.
    fn persist<T>(&self, mut work: impl FnMut() -> Result<T, Trouble>) -> Result<T> {
        let mut attempt = 1;
        loop {
            let error = match work() {
                Ok(value) => return Ok(value),
                Err(trouble) => Error::from(trouble),
            };
            let pause = retry::pause(&error, attempt, f64::from(attempt) / 4.0);
            let Some(pause) = pause.filter(|_| self.session.is_on()) else { return Err(error) };
            std::thread::sleep(pause);
            attempt += 1;
        }
    }
}

/// Whether a content adds up to what the server told of an object. `None`: it cannot be told.
///
/// # Errors
/// If the content cannot be read.
pub fn adds_up(content: &mut dyn Read, size: u64, told: &(String, Option<usize>)) -> Result<Option<bool>> {
    let (expected, part) = told;
    let mut sum = match expected.split_once('-').map(|(_, count)| count.parse::<u64>()) {
        None => Sum::whole(),
        Some(Ok(count)) => {
            let fits = |part: &usize| size.div_ceil(*part as u64) == count;
            let part = part
                .filter(|part| *part > 0)
                .or_else(|| USUAL_PARTS.map(|part| part << 20).into_iter().find(fits));
            match part {
                Some(part) => Sum::parts(part),
                None => return Ok(None),
            }
        }
        Some(Err(_)) => return Ok(None),
    };
    let mut buffer = vec![0; 256 * 1024];
    loop {
        match content.read(&mut buffer)? {
            0 => return Ok(Some(sum.etag() == *expected)),
            count => sum.add(&buffer[..count]),
        }
    }
}

/// What the headers of an object tell.
fn found(head: &Head, is_opaque: bool) -> Result<Found, Trouble> {
    let whole = head.get("content-range").and_then(|range| range.rsplit_once('/')).map(|(_, size)| size);
    let size = whole.or_else(|| head.get("content-length")).and_then(|size| size.trim().parse().ok());
    let etag = head.get("etag").map(unquoted).unwrap_or_default();
    let own = own_time(head);
    let size = size.ok_or_else(|| nonsense("an object has no size"))?;
    let sum = told(head, &etag, size, is_opaque);
    Ok(Found { size, mtime: own.or_else(|| head.get("last-modified").and_then(time::header)), etag, sum })
}

/// Makes every folder above a file; those that are there are fine.
fn make_folders(session: &mut dyn Session, file: &RelPath) -> Result<()> {
    let mut missing = Vec::new();
    let mut folder = file.parent();
    while let Some(path) = folder.filter(|path| !path.is_root()) {
        folder = path.parent();
        missing.push(path);
    }
    missing.iter().rev().try_for_each(|path| match session.mkdir(path) {
        Err(error) if error.kind() != Kind::Exists => Err(error),
        _ => Ok(()),
    })
}

/// Tells how much has passed.
struct Counted<'a> {
    body: &'a mut dyn Read,
    progress: Progress<'a>,
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.body.read(buffer)?;
        (self.progress)(count as u64);
        Ok(count)
    }
}
