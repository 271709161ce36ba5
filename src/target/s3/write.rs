//! Uploads: small files in one question, large ones in parts that travel side by side. Either way the object appears whole.

use super::client::{Ask, nonsense};
use super::kinds::kind_of;
use super::known::Seen;
use super::look::{There, is_as};
use super::parts::{MOST_PARTS, Parts, Slot, composite, is_sum, part_size};
use super::refusal::{Refused, Trouble};
use super::session::S3Session;
use crate::error::{Error, Kind, Result};
use crate::model::{RelPath, Stamp};
use crate::target::{Expect, Put, Written};
use crate::wire::s3::answer::{self, unquoted};
use crate::wire::s3::time;
use std::fmt::Write as _;
use std::io::Read;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, channel};

/// What S3 offers for the modification time of a file: the metadata of an object, by the name that rclone gave it.
pub const MTIME: &str = "x-amz-meta-mtime";
/// The MD5 of the whole content, in Base64; also as rclone has it.
pub const MD5: &str = "x-amz-meta-md5chksum";
/// The size of the parts that an object was put together from, without which its ETag says nothing.
pub const PART_SIZE: &str = "x-amz-meta-part-size";

/// What an object is to be.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    pub mtime: Option<Stamp>,
    pub kind: String,
    /// MD5 of the whole content, if it is known before.
    pub md5: Option<[u8; 16]>,
    /// Bytes, if that is known before.
    pub size: Option<u64>,
    /// What must hold at the key at that moment.
    pub condition: Condition,
}

/// What must hold at a key so that it is written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Condition {
    #[default]
    None,
    /// Nothing is there.
    Absent,
    /// The object has this ETag.
    Is(String),
}

/// An object that was put in place.
#[derive(Debug)]
pub struct Placed {
    pub size: u64,
    /// By the clock of the server.
    pub date: Option<Stamp>,
}

impl S3Session {
    pub(super) fn upload(&self, file: &RelPath, body: &mut dyn Read, put: &Put) -> Result<Written> {
        let context = |trouble: Trouble| Error::from(trouble).during("write").at(file);
        let key = self.key(file).map_err(|error| context(error.into()))?;
        self.look_for_folder_of(file).map_err(context)?;
        if self.server.known().has_folder(&format!("{key}/")) {
            return Err(context(Error::new(Kind::Clash, "a folder has this name").into()));
        }
        let condition = self.condition(&key, put.expect).map_err(context)?;
        let wanted = Wanted {
            mtime: put.mtime,
            kind: kind_of(file.file_name()).to_owned(),
            md5: None,
            size: put.size,
            condition,
        };
        let mut parts = Parts::new(body, part_size(self.server.config.usual_part(), put.size));
        let placed = self.place(&key, &mut parts, &wanted).map_err(|failure| match failure {
            // What the other side says is told as it is.
            Failure::OfBody(error) => error,
            Failure::Here(trouble) => context(trouble),
        })?;
        Ok(Written { size: placed.size, mtime_kept: false, dated: put.mtime.and(placed.date), shown: None })
    }

    /// The condition under which something may be written where this is expected.
    fn condition(&self, key: &str, expect: Expect) -> Result<Condition, Trouble> {
        let is_heeded = !self.server.ignores_conditions.load(Ordering::Relaxed);
        let seen = self.server.known().seen(key).cloned();
        match expect {
            Expect::Anything => return Ok(Condition::None),
            Expect::Absent if is_heeded => return Ok(Condition::Absent),
            Expect::File(size, mtime) if is_heeded => {
                // It is what was listed if the plan has it from that listing.
                let is_listed = |seen: &Seen| {
                    size.is_none_or(|size| size == seen.size) && (mtime.is_none() || mtime == seen.modified)
                };
                if let Some(seen) = seen.filter(|seen| is_listed(seen) && !seen.etag.is_empty()) {
                    return Ok(Condition::Is(seen.etag));
                }
            }
            Expect::Absent | Expect::File(..) => {}
        }
        let file = self.head(key)?;
        let etag = file.as_ref().map(|file| file.etag.clone()).filter(|etag| is_heeded && !etag.is_empty());
        match is_as(&There { file, is_folder: false }, &expect) {
            true => Ok(etag.map_or(Condition::None, Condition::Is)),
            false => Err(changed().into()),
        }
    }

    /// Puts an object in place.
    pub(super) fn place(&self, key: &str, parts: &mut Parts<'_>, wanted: &Wanted) -> Result<Placed, Failure> {
        let guess = wanted.size.map_or(64 * 1024, |size| usize::try_from(size).unwrap_or(usize::MAX));
        let first = parts.next(guess).map_err(Failure::OfBody)?;
        if parts.is_over() {
            self.check_size(parts.total, wanted)?;
            return Ok(self.place_at_once(key, &first, wanted)?);
        }
        self.end_older_uploads(key);
        let upload = self.begin(key, parts, wanted)?;
        let placed = self.send_parts(key, &upload, first, parts, wanted);
        if placed.is_err() {
            self.abort(key, &upload);
        }
        placed
    }

    fn check_size(&self, total: u64, wanted: &Wanted) -> Result<(), Trouble> {
        match wanted.size {
            Some(expected) if expected != total => {
                Err(Error::new(Kind::Size, format!("{total} bytes arrived, {expected} were expected")).into())
            }
            _ => Ok(()),
        }
    }

    /// The headers of an object that is to be made.
    fn described<'a>(&self, mut ask: Ask<'a>, wanted: &Wanted) -> Ask<'a> {
        ask = ask.header("content-type", wanted.kind.as_str());
        if let Some(mtime) = wanted.mtime {
            ask = ask.header(MTIME, decimal(mtime));
        }
        if let Some(md5) = wanted.md5 {
            ask = ask.header(MD5, data_encoding::BASE64.encode(&md5));
        }
        ask
    }

    fn place_at_once(&self, key: &str, content: &[u8], wanted: &Wanted) -> Result<Placed, Trouble> {
        let sum = md5::compute(content).0;
        let wanted = Wanted { md5: Some(sum), ..wanted.clone() };
        let ask = || self.described(Ask::key("PUT", key), &wanted).body(content);
        let sent = self.under(&wanted.condition, key, false, |condition| {
            let ask = conditional(ask(), condition).header("content-md5", data_encoding::BASE64.encode(&sum));
            let answer = self.ask(&ask)?;
            let etag = answer.head.get("etag").map(unquoted).unwrap_or_default();
            let date = answer.head.get("date").and_then(time::header);
            answer.bytes(super::client::LIMIT)?;
            Ok((etag, date))
        });
        let expected = format!("{:x}", md5::Digest(sum));
        let (etag, date) = self.unless_ours(key, &expected, sent)?;
        self.placed(key, content.len() as u64, etag, &expected, date)
    }

    /// Sends under a condition. A server that does not know such is asked beforehand from then on.
    fn under<T>(
        &self,
        condition: &Condition,
        key: &str,
        is_assembly: bool,
        send: impl Fn(&Condition) -> Result<T, Trouble>,
    ) -> Result<T, Trouble> {
        // Not every server heeds the conditions that it is given, and few do when parts are put together.
        let is_doubtful = is_assembly || self.server.client.endpoint.is_custom();
        if let Condition::Is(etag) = condition
            && is_doubtful
            && self.head(key)?.is_none_or(|file| file.etag != *etag)
        {
            return Err(changed().into());
        }
        if is_assembly && *condition == Condition::Absent && self.head(key)?.is_some() {
            return Err(changed().into());
        }
        match send(condition) {
            Err(trouble) if trouble.is_unsupported() && *condition != Condition::None => {
                self.server.ignores_conditions.store(true, Ordering::Relaxed);
                let found = self.head(key)?.map(|file| file.etag);
                let is_as_expected = match (condition, found) {
                    (Condition::Absent, None) => true,
                    (Condition::Is(etag), Some(found)) => *etag == found,
                    _ => false,
                };
                if is_as_expected { send(&Condition::None) } else { Err(changed().into()) }
            }
            outcome => outcome,
        }
    }

    /// An unmet condition is no failure if what is there is what was sent: an answer may have got lost.
    fn unless_ours<T: From<Sent>>(
        &self,
        key: &str,
        expected: &str,
        sent: Result<T, Trouble>,
    ) -> Result<T, Trouble> {
        match sent {
            Err(trouble) if trouble.is_unmet() => match self.head(key)? {
                Some(object) if object.etag == expected => Ok(Sent(object.etag, object.modified).into()),
                _ => Err(trouble),
            },
            sent => sent,
        }
    }

    /// Compares what the server has with what was sent.
    fn placed(
        &self,
        key: &str,
        size: u64,
        etag: String,
        expected: &str,
        date: Option<Stamp>,
    ) -> Result<Placed, Trouble> {
        if is_sum(&etag) && etag != expected && !self.server.client.has_opaque_etags() {
            self.server.known().unsee(key);
            let error = Error::new(
                Kind::Corrupt,
                "the server has got something else than was sent (its checksum is another one)",
            );
            return Err(error.damaged().into());
        }
        self.wrote(key, Seen { size, modified: date, etag });
        Ok(Placed { size, date })
    }

    // --- In parts ---

    fn begin(&self, key: &str, parts: &Parts<'_>, wanted: &Wanted) -> Result<String, Trouble> {
        let ask = self.described(Ask::key("POST", key).query("uploads", ""), wanted);
        let ask = ask.header(PART_SIZE, parts.size().to_string());
        Ok(answer::upload_id(&self.patiently(|| self.bytes(&ask))?)?)
    }

    fn send_parts(
        &self,
        key: &str,
        upload: &str,
        first: Vec<u8>,
        parts: &mut Parts<'_>,
        wanted: &Wanted,
    ) -> Result<Placed, Failure> {
        let sent = std::thread::scope(|scope| -> Result<Vec<SentPart>, Failure> {
            let (tell, told) = channel();
            let (mut part, mut sent, mut under_way) = (first, Vec::new(), 0);
            loop {
                let index = sent.len();
                let number = index as u64 + 1;
                if number > MOST_PARTS {
                    return Err(
                        Trouble::from(Error::new(Kind::Full, "it needs more parts than S3 takes")).into()
                    );
                }
                sent.push(SentPart::default());
                // While the others travel, the next one is read. It goes from here only if nobody else can take any.
                match self.slot_or(&told, &mut sent, &mut under_way)? {
                    Some(slot) => {
                        under_way += 1;
                        let tell = tell.clone();
                        scope.spawn(move || {
                            let work = AssertUnwindSafe(|| self.send_part(key, upload, number, &part));
                            let outcome = catch_unwind(work).unwrap_or_else(|_| Err(internal().into()));
                            drop(slot);
                            // Nobody listens any more after another one has failed.
                            drop(tell.send((index, outcome)));
                        });
                    }
                    None => take_sent(&mut sent, (index, self.send_part(key, upload, number, &part)))?,
                }
                // A part that has failed ends it before the rest is read.
                for outcome in told.try_iter() {
                    under_way -= 1;
                    take_sent(&mut sent, outcome)?;
                }
                if parts.is_over() {
                    break;
                }
                part = parts.next(parts.size()).map_err(Failure::OfBody)?;
            }
            for _ in 0..under_way {
                take_sent(&mut sent, told.recv().map_err(|_| Trouble::from(internal()))?)?;
            }
            Ok(sent)
        })?;
        let sums: Vec<u8> = sent.iter().flat_map(|part| part.sum).collect();
        self.check_size(parts.total, wanted)?;
        let mut body = "<CompleteMultipartUpload>".to_owned();
        for (index, SentPart { etag, .. }) in sent.iter().enumerate() {
            // Writing to a string cannot fail.
            let _ = write!(
                body,
                "<Part><PartNumber>{}</PartNumber><ETag>&quot;{etag}&quot;</ETag></Part>",
                index + 1
            );
        }
        body.push_str("</CompleteMultipartUpload>");
        let expected = composite(&sums);
        let sent = self.patiently(|| {
            self.under(&wanted.condition, key, true, |condition| {
                let ask = Ask::key("POST", key).query("uploadId", upload).body(body.as_bytes());
                let answer = self.ask(&conditional(ask, condition))?;
                let date = answer.head.get("date").and_then(time::header);
                // The status is that of a success long before the server knows.
                match answer::made(&answer.bytes(super::client::LIMIT)?, "CompleteMultipartUploadResult")? {
                    Ok(etag) => Ok((etag, date)),
                    Err(refusal) => Err(Trouble::Refused(Box::new(Refused::in_a_success(refusal)))),
                }
            })
        });
        let sent = match sent {
            // A lost answer: it is complete already.
            Err(Trouble::Refused(refused)) if refused.is("NoSuchUpload") => match self.head(key)? {
                Some(object) if object.etag == expected => Ok((object.etag, object.modified)),
                _ => Err(Trouble::Refused(refused)),
            },
            sent => sent,
        };
        let (etag, date) = self.unless_ours(key, &expected, sent)?;
        Ok(self.placed(key, parts.total, etag, &expected, date)?)
    }

    fn send_part(&self, key: &str, upload: &str, number: u64, part: &[u8]) -> Result<SentPart, Trouble> {
        let sum = md5::compute(part).0;
        let ask = Ask::key("PUT", key)
            .query("partNumber", number.to_string())
            .query("uploadId", upload)
            .header("content-md5", data_encoding::BASE64.encode(&sum))
            .body(part);
        self.patiently(|| {
            let answer = self.ask(&ask)?;
            let etag = answer.head.get("etag").map(unquoted).unwrap_or_default();
            answer.bytes(super::client::LIMIT)?;
            match etag.is_empty() {
                true => Err(nonsense("the server does not say what it has got").into()),
                false => Ok(SentPart { etag, sum }),
            }
        })
    }

    /// The right to send one more part beside the others. Where there is none, one of ours is waited for; `None` if none of ours
    /// is under way either.
    fn slot_or(
        &self,
        told: &Receiver<(usize, Result<SentPart, Trouble>)>,
        sent: &mut [SentPart],
        under_way: &mut usize,
    ) -> Result<Option<Slot<'_>>, Trouble> {
        loop {
            if let Some(slot) = self.server.slots.take() {
                return Ok(Some(slot));
            }
            if *under_way == 0 {
                return Ok(None);
            }
            let outcome = told.recv().map_err(|_| internal())?;
            *under_way -= 1;
            take_sent(sent, outcome)?;
        }
    }

    /// Tells the server that an upload has come to nothing. It is told also after everything was interrupted.
    fn abort(&self, key: &str, upload: &str) {
        let client = &self.server.client;
        let ask = Ask::key("DELETE", key).query("uploadId", upload);
        // If that fails as well, the next upload of the file looks for it.
        drop(client.bytes(&ask, client.net.sockets.interruptions()));
    }

    /// Ends uploads of the same object that a run has left behind when it was killed. What is put there now is newer.
    fn end_older_uploads(&self, key: &str) {
        let ask = Ask::bucket("GET").query("uploads", "").query("prefix", key);
        // It costs storage, not safety: what goes wrong here is no reason to fail.
        let Ok(Ok(found)) = self.bytes(&ask).map(|told| answer::unfinished(&told)) else { return };
        for (_, upload) in found.iter().filter(|(of, _)| of == key) {
            self.abort(key, upload);
        }
    }
}

/// Why nothing was put in place.
pub enum Failure {
    /// The body could not be read.
    OfBody(Error),
    /// The server, or the way there.
    Here(Trouble),
}

impl From<Trouble> for Failure {
    fn from(trouble: Trouble) -> Self {
        Failure::Here(trouble)
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::OfBody(error) => error,
            Failure::Here(trouble) => trouble.into(),
        }
    }
}

/// ETag and date of what is there.
pub struct Sent(String, Option<Stamp>);

impl From<Sent> for (String, Option<Stamp>) {
    fn from(sent: Sent) -> Self {
        (sent.0, sent.1)
    }
}

/// A part that the server has: what it calls it, and its MD5.
#[derive(Debug, Clone, Default)]
struct SentPart {
    etag: String,
    sum: [u8; 16],
}

/// Puts what became of a part at its place.
fn take_sent(
    sent: &mut [SentPart],
    (index, outcome): (usize, Result<SentPart, Trouble>),
) -> Result<(), Trouble> {
    let part = outcome?;
    if let Some(place) = sent.get_mut(index) {
        *place = part;
    }
    Ok(())
}

fn internal() -> Error {
    Error::new(Kind::Io, "internal error, please report it")
}

fn conditional<'a>(ask: Ask<'a>, condition: &Condition) -> Ask<'a> {
    match condition {
        Condition::None => ask,
        Condition::Absent => ask.header("if-none-match", "*"),
        Condition::Is(etag) => ask.header("if-match", format!("\"{etag}\"")),
    }
}

fn changed() -> Error {
    Error::new(Kind::Changed, "somebody has changed it since it was listed")
}

/// Seconds since 1970 with a fraction, as rclone writes them.
fn decimal(at: Stamp) -> String {
    match at.nanos() {
        0 => at.seconds().to_string(),
        nanos if at.seconds() < 0 => format!("{}", at.seconds() as f64 + f64::from(nanos) / 1e9),
        nanos => format!("{}.{nanos:09}", at.seconds()),
    }
}
