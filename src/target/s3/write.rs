//! Uploads: small files in one question, large ones in parts that travel side by side. Either way the object appears whole.

use super::client::{Ask, LIMIT, nonsense};
use super::kinds::kind_of;
use super::known::Seen;
use super::look::{There, is_as};
use super::parts::{MOST_PARTS, Parts, Slot, composite, is_sum, part_size};
use super::refusal::{Refused, Trouble};
use super::session::S3Session;
use super::sums::{MD5, PART_SIZE, is_locked, md5_of};
use crate::error::{Error, Kind, Result};
use crate::model::{LOCK_FILE_NAME, RelPath, Stamp};
use crate::target::{Expect, Put, Written};
use crate::wire::s3::answer::{self, unquoted};
use crate::wire::s3::http::Head;
use crate::wire::s3::{hex, time};
use std::fmt::Write as _;
use std::io::Read;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, channel};

/// What S3 offers for the modification time of a file: the metadata of an object, by the name that rclone gave it.
pub const MTIME: &str = "x-amz-meta-mtime";

/// An upload in parts that began so many seconds ago, and has not ended, was given up.
const LEFT_BEHIND: i64 = 24 * 60 * 60;

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
        let (size, mtime) = match expect {
            Expect::Anything => return Ok(Condition::None),
            Expect::Absent => return Ok(Condition::Absent),
            Expect::File(size, mtime) => (size, mtime),
        };
        // It is what was listed if the plan has it from that listing.
        let is_listed = |seen: &Seen| {
            size.is_none_or(|size| size == seen.size) && (mtime.is_none() || mtime == seen.modified)
        };
        let seen = self.server.known().seen(key).cloned();
        if let Some(seen) = seen.filter(|seen| is_listed(seen) && !seen.etag.is_empty()) {
            return Ok(Condition::Is(seen.etag));
        }
        let file = self.head(key)?;
        let etag = file.as_ref().map(|file| file.etag.clone()).filter(|etag| !etag.is_empty());
        if is_as(&There { file, is_folder: false }, &expect) {
            Ok(etag.map_or(Condition::None, Condition::Is))
        } else {
            Err(changed().into())
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
        self.server.tell_upload(key, &upload.id, false);
        let placed = self.send_parts(key, &upload, first, parts, wanted);
        if placed.is_ok() || self.abort(key, &upload.id) {
            self.server.tell_upload(key, &upload.id, true);
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
            let taken = Taken::of(&answer.head);
            answer.bytes(LIMIT)?;
            Ok(taken)
        });
        let expected = hex(&sum);
        let taken = self.unless_ours(key, &expected, sent)?;
        let placed = self.placed(key, content.len() as u64, taken, Some(&expected))?;
        if wanted.condition == Condition::Absent && key.ends_with(LOCK_FILE_NAME) {
            self.prove_conditions(&conditional(ask(), &wanted.condition));
        }
        Ok(placed)
    }

    /// Finds out once whether the server heeds conditions, by writing a lock that was just written once more: some take no
    /// notice, and do not say so. AWS does.
    fn prove_conditions(&self, again: &Ask<'_>) {
        let server = &self.server;
        if server.client.endpoint.is_custom() && !server.has_proven.swap(true, Ordering::Relaxed) {
            let is_heeded = self.bytes(again).is_err_and(|trouble| trouble.is_unmet());
            server.ignores_conditions.fetch_or(!is_heeded, Ordering::Relaxed);
        }
    }

    /// Sends under a condition. A server that does not know such is asked beforehand from then on.
    pub(super) fn under<T>(
        &self,
        condition: &Condition,
        key: &str,
        is_assembly: bool,
        send: impl Fn(&Condition) -> Result<T, Trouble>,
    ) -> Result<T, Trouble> {
        let is_heeded = !self.server.ignores_conditions.load(Ordering::Relaxed);
        // Not every server heeds the conditions that it is given, and few do when parts are put together.
        let looks = is_assembly
            || !is_heeded
            || matches!(condition, Condition::Is(_)) && self.server.client.endpoint.is_custom();
        if looks && !self.is_met(condition, key)? {
            return Err(unmet());
        }
        match send(if is_heeded { condition } else { &Condition::None }) {
            Err(trouble) if trouble.is_unsupported() && is_heeded && *condition != Condition::None => {
                self.server.ignores_conditions.store(true, Ordering::Relaxed);
                if self.is_met(condition, key)? { send(&Condition::None) } else { Err(unmet()) }
            }
            // It should be another object than this, and is none at all.
            Err(Trouble::Refused(refused))
                if refused.is("NoSuchKey") && matches!(condition, Condition::Is(_)) =>
            {
                Err(unmet())
            }
            outcome => outcome,
        }
    }

    /// Whether a condition is met right now.
    fn is_met(&self, condition: &Condition, key: &str) -> Result<bool, Trouble> {
        Ok(match condition {
            Condition::None => true,
            Condition::Absent => self.head(key)?.is_none(),
            Condition::Is(etag) => self.head(key)?.is_some_and(|file| file.etag == *etag),
        })
    }

    /// An unmet condition is no failure if what is there is what was sent: an answer may have got lost.
    pub(super) fn unless_ours(
        &self,
        key: &str,
        expected: &str,
        sent: Result<Taken, Trouble>,
    ) -> Result<Taken, Trouble> {
        match sent {
            Err(trouble) if trouble.is_unmet() => self.ours(key, expected)?.ok_or(trouble),
            sent => sent,
        }
    }

    /// What is at a key, if it is what was sent. Where the ETag is no sum, the MD5 beside the content tells.
    fn ours(&self, key: &str, expected: &str) -> Result<Option<Taken>, Trouble> {
        let answer = match self.ask(&Ask::key("HEAD", key)) {
            Err(trouble) if trouble.is_missing() => return Ok(None),
            answer => answer?,
        };
        let taken = Taken::of(&answer.head);
        let is_ours = taken.etag.eq_ignore_ascii_case(expected)
            || !self.is_plain(&taken) && md5_of(&answer.head).as_deref() == Some(expected);
        let date = answer.head.get("last-modified").and_then(time::header);
        Ok(is_ours.then_some(Taken { date, ..taken }))
    }

    /// Whether the ETag is a sum.
    fn is_plain(&self, taken: &Taken) -> bool {
        is_sum(&taken.etag) && !taken.is_locked && !self.server.client.has_opaque_etags()
    }

    /// Compares what the server has with what was sent, if that can be told.
    fn placed(&self, key: &str, size: u64, taken: Taken, expected: Option<&str>) -> Result<Placed, Trouble> {
        let is_other = |expected: &str| !taken.etag.eq_ignore_ascii_case(expected);
        if self.is_plain(&taken) && expected.is_some_and(is_other) {
            self.server.known().unsee(key);
            let error = Error::new(
                Kind::Corrupt,
                "what the server received is not what was sent (the checksums differ)",
            );
            return Err(error.damaged().into());
        }
        let Taken { etag, date, .. } = taken;
        self.wrote(key, Seen { size, modified: date, etag });
        Ok(Placed { size, date })
    }

    // --- In parts ---

    fn begin(&self, key: &str, parts: &Parts<'_>, wanted: &Wanted) -> Result<Upload, Trouble> {
        let ask = self.described(Ask::key("POST", key).query("uploads", ""), wanted);
        let ask = ask.header(PART_SIZE, parts.size().to_string());
        self.patiently(|| {
            let answer = self.ask(&ask)?;
            let is_locked = is_locked(&answer.head);
            Ok(Upload { id: answer::upload_id(&answer.bytes(LIMIT)?)?, is_locked })
        })
    }

    fn send_parts(
        &self,
        key: &str,
        upload: &Upload,
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
                            let work = AssertUnwindSafe(|| self.send_part(key, &upload.id, number, &part));
                            let outcome = catch_unwind(work).unwrap_or_else(|_| Err(internal().into()));
                            drop(slot);
                            // Nobody listens any more after another one has failed.
                            drop(tell.send((index, outcome)));
                        });
                    }
                    None => take_sent(&mut sent, (index, self.send_part(key, &upload.id, number, &part)))?,
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
        self.check_size(parts.total, wanted)?;
        Ok(self.complete(key, upload, &sent, parts.total, &wanted.condition)?)
    }

    /// Has the parts put together.
    fn complete(
        &self,
        key: &str,
        upload: &Upload,
        sent: &[SentPart],
        size: u64,
        condition: &Condition,
    ) -> Result<Placed, Trouble> {
        let body = assembly(sent);
        let expected = composite(&sent.iter().flat_map(SentPart::name).collect::<Vec<u8>>());
        let made = self.patiently(|| {
            self.under(condition, key, true, |condition| {
                let ask = Ask::key("POST", key).query("uploadId", &upload.id).body(body.as_bytes());
                let answer = self.ask(&conditional(ask, condition))?;
                let taken = Taken::of(&answer.head);
                // The status is that of a success long before the server knows.
                match answer::made(&answer.bytes(LIMIT)?, "CompleteMultipartUploadResult")? {
                    Ok(made) => {
                        Ok(Taken { etag: made.etag, is_locked: upload.is_locked || taken.is_locked, ..taken })
                    }
                    Err(refusal) => Err(Trouble::Refused(Box::new(Refused::in_a_success(refusal)))),
                }
            })
        });
        let made = match made {
            // A lost answer: it is complete already.
            Err(Trouble::Refused(refused)) if refused.is("NoSuchUpload") => {
                self.ours(key, &expected)?.ok_or(Trouble::Refused(refused))
            }
            made => self.unless_ours(key, &expected, made),
        };
        // What others than AWS call it need not be the sum of what they call the parts, and those need not be sums.
        let is_sum = sent.iter().all(SentPart::is_sum) && !self.server.client.endpoint.is_custom();
        let made = self.as_listed(key, size, made?)?;
        self.placed(key, size, made, Some(expected.as_str()).filter(|_| is_sum))
    }

    /// What was put together, with the time that listings will tell: AWS takes that at which the upload began.
    fn as_listed(&self, key: &str, size: u64, made: Taken) -> Result<Taken, Trouble> {
        // It is in place; where it may not be looked at, the time of the answer has to do.
        let Ok(Some(there)) = self.patiently(|| self.head(key)) else { return Ok(made) };
        if there.etag != made.etag {
            return Ok(made);
        }
        if there.size != size {
            self.server.known().unsee(key);
            let problem = format!("the server holds {} bytes of the {size} that were sent", there.size);
            return Err(Error::new(Kind::Corrupt, problem).damaged().into());
        }
        Ok(Taken { date: there.modified.or(made.date), ..made })
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
            answer.bytes(LIMIT)?;
            if etag.is_empty() {
                Err(nonsense("the server tells no ETag of a part").into())
            } else {
                Ok(SentPart { etag, sum })
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

    /// Tells the server that an upload has come to nothing; whether it has heard that. It is told also after everything was
    /// interrupted.
    fn abort(&self, key: &str, upload: &str) -> bool {
        let client = &self.server.client;
        let ask = Ask::key("DELETE", key).query("uploadId", upload);
        // If that fails as well, the next run does it, or the next upload of the file.
        match client.bytes(&ask, client.net.sockets.interruptions()) {
            Ok(_) => true,
            Err(trouble) => trouble.is_missing(),
        }
    }

    /// Ends an upload that a dead run has begun.
    pub(super) fn end_left_upload(&self, file: &RelPath, upload: &str) -> Result<(), Trouble> {
        let key = self.key(file)?;
        match self.patiently(|| self.bytes(&Ask::key("DELETE", &key).query("uploadId", upload))) {
            Err(trouble) if !trouble.is_missing() => Err(trouble),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// Ends uploads of the same object that a run has left behind when it was killed. What began a short time ago may be the work
    /// of another program, and goes on.
    fn end_older_uploads(&self, key: &str) {
        let ask = Ask::bucket("GET").query("uploads", "").query("prefix", key);
        // It costs storage, not safety: what goes wrong here is no reason to fail.
        let Ok(answer) = self.ask(&ask) else { return };
        let now = answer.head.get("date").and_then(time::header).map(Stamp::seconds);
        let now = now.unwrap_or_else(|| self.server.client.now());
        let Ok(Ok(found)) = answer.bytes(LIMIT).map(|told| answer::unfinished(&told)) else { return };
        let is_old = |begun: Stamp| now.saturating_sub(begun.seconds()) > LEFT_BEHIND;
        for upload in found.iter().filter(|upload| upload.key == key && upload.begun.is_some_and(is_old)) {
            self.abort(key, &upload.id);
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

/// What the server says about what it has taken.
pub struct Taken {
    pub etag: String,
    pub date: Option<Stamp>,
    /// See [`is_locked`].
    pub is_locked: bool,
}

impl Taken {
    fn of(head: &Head) -> Self {
        Taken {
            etag: head.get("etag").map(unquoted).unwrap_or_default(),
            date: head.get("date").and_then(time::header),
            is_locked: is_locked(head),
        }
    }
}

/// An upload in parts.
struct Upload {
    id: String,
    /// See [`is_locked`].
    is_locked: bool,
}

/// A part that the server has: what it calls it, and its MD5.
#[derive(Debug, Clone, Default)]
struct SentPart {
    etag: String,
    sum: [u8; 16],
}

impl SentPart {
    fn is_sum(&self) -> bool {
        self.etag.eq_ignore_ascii_case(&hex(&self.sum))
    }

    /// What it contributes to the ETag of the whole: what the server calls it, if that can be a sum.
    fn name(&self) -> Vec<u8> {
        let named = data_encoding::HEXLOWER_PERMISSIVE.decode(self.etag.as_bytes()).ok();
        named.filter(|name| name.len() == self.sum.len()).unwrap_or_else(|| self.sum.to_vec())
    }
}

/// The list of the parts that an object is put together from.
fn assembly(sent: &[SentPart]) -> String {
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
    body
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

pub(super) fn conditional<'a>(ask: Ask<'a>, condition: &Condition) -> Ask<'a> {
    match condition {
        Condition::None => ask,
        Condition::Absent => ask.header("if-none-match", "*"),
        Condition::Is(etag) => ask.header("if-match", format!("\"{etag}\"")),
    }
}

fn unmet() -> Trouble {
    Trouble::Refused(Box::new(Refused { status: 412, ..Refused::default() }))
}

pub(super) fn changed() -> Error {
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
