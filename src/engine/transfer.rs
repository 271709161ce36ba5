//! One file from one session to another: lend the reader, count, stop when told to.

use super::flow::Flow;
use crate::error::{Error, Kind, Result, Retry};
use crate::model::RelPath;
use crate::target::fill::fill;
use crate::target::{Claim, Expect, Put, Session, Written};
use std::io::{self, Read};

/// Bytes that are compared at a time.
const COMPARED: usize = 64 << 10;
/// So much of what is here already is read from the source again, in bytes, where nothing else tells one content from another.
const OVERLAP: u64 = 64 << 10;

/// What moved, and what became of it.
#[derive(Debug)]
pub struct Transfer {
    /// Bytes read from the source, also of a copy that failed.
    pub bytes: u64,
    /// Whether the source, and on a disk of this computer the target, could be opened at all.
    pub was_opened: bool,
    /// The outcome; `None` if the target has left the rest for later.
    pub result: Result<Option<Written>>,
}

/// Where a copy comes from.
pub struct Origin<'s> {
    /// The side that has it.
    pub session: &'s mut dyn Session,
    /// Its path there.
    pub path: &'s RelPath,
    /// What it was when it was listed.
    pub listed: Expect,
}

/// Copies one file. The target session keeps the old content unless everything went well. If it `may_lag`, the target may
/// leave what follows the transfer for later.
pub fn transfer(
    mut source: Origin<'_>,
    target: (&mut dyn Session, &RelPath),
    put: &Put,
    may_lag: bool,
    flow: &Flow,
) -> Transfer {
    let (to, target_path) = target;
    let (mut bytes, mut was_opened, mut written) = (0, false, None);
    let start = match goes_on_at(&mut source, (&mut *to, target_path), put) {
        Ok(start) => start,
        Err(error) => return Transfer { bytes, was_opened, result: Err(error) },
    };
    let mut claim = match claim_behind(start, &mut source, (&mut *to, target_path), put, flow) {
        Ok(claim) => claim,
        Err(error) => return Transfer { bytes, was_opened, result: Err(error) },
    };
    let mut overlap = match overlap_before(start, (&mut *to, target_path), put, claim.is_some()) {
        Ok(overlap) => overlap,
        Err(error) => return Transfer { bytes, was_opened, result: Err(error) },
    };
    let begin = start - overlap.len() as u64;
    let put = &Put { from: start, ..*put };
    if start == 0
        && to.copies_on_disk()
        && let Some(transfer) = copy_on_disk(&mut source, (&mut *to, target_path), put, flow)
    {
        return transfer;
    }
    let mut lend = |body: &mut dyn Read| {
        was_opened = !to.opens_first();
        let body = &mut Fitting { body, overlap: std::mem::take(&mut overlap) };
        let mut body =
            Counted { body, bytes: &mut bytes, was_read: &mut was_opened, flow, claim: claim.take() };
        written = Some(if may_lag {
            to.write_behind(target_path, &mut body, put)?
        } else {
            Some(to.write(target_path, &mut body, put)?)
        });
        Ok(())
    };
    let Origin { session: from, path: source_path, .. } = source;
    let lent = match start {
        0 => from.read(source_path, &mut lend),
        _ => from.read_from(source_path, begin, &mut lend),
    };
    let result = lent.and_then(|()| {
        written
            .ok_or_else(|| Error::new(Kind::Io, "the source was never read").during("copy").at(source_path))
    });
    Transfer { bytes, was_opened, result }
}

/// Has the system copy a file from disk to disk. `None` if it comes from elsewhere.
fn copy_on_disk(
    source: &mut Origin<'_>,
    target: (&mut dyn Session, &RelPath),
    put: &Put,
    flow: &Flow,
) -> Option<Transfer> {
    let (mut bytes, mut was_opened) = (0, false);
    let result = match source.session.open_on_disk(source.path) {
        Ok(None) => return None,
        Ok(Some(mut file)) => {
            let mut pass = |count: u64| {
                was_opened = true;
                bytes += count;
                flow.pass(usize::try_from(count).unwrap_or(usize::MAX));
                flow.check()
            };
            target.0.write_on_disk(target.1, &mut file, &mut pass, put).map(Some)
        }
        Err(error) => Err(error),
    };
    Some(Transfer { bytes, was_opened, result })
}

/// Where a transfer that was interrupted goes on: only behind what is surely a part of this very file, as it is now.
fn goes_on_at(source: &mut Origin<'_>, target: (&mut dyn Session, &RelPath), put: &Put) -> Result<u64> {
    if !put.is_resumable() || !source.session.can_read_from() {
        return Ok(0);
    }
    let held = target.0.held(target.1, put)?;
    if held == 0 || source.session.version(source.path).is_some_and(|now| now != put.version) {
        return Ok(0);
    }
    match source.session.still(&[(source.path.clone(), source.listed)]).pop() {
        Some(Ok(Some(true))) => Ok(held),
        Some(Err(error)) if error.retry() != Retry::No => Err(error),
        _ => Ok(0),
    }
}

/// How much of a file is here already and surely a part of what the source has, so that readers of any ranges may fetch the rest.
/// `None` if only the reader of the whole rest can tell.
pub fn held_by_any(
    mut source: Origin<'_>,
    target: (&mut dyn Session, &RelPath),
    put: &Put,
) -> Result<Option<u64>> {
    let (to, path) = target;
    let start = goes_on_at(&mut source, (&mut *to, path), put)?;
    if start == 0 {
        return Ok(Some(0));
    }
    if source.session.checks_wholes() {
        return Ok(None);
    }
    let overlap = overlap_before(start, (to, path), put, false)?;
    let length = overlap.len() as u64;
    let mut fits = length == 0 && put.version != 0;
    if length > 0 {
        source.session.read_from(source.path, start - length, &mut |body| {
            let mut again = Vec::new();
            body.take(length).read_to_end(&mut again)?;
            fits = again == overlap;
            Ok(())
        })?;
    }
    Ok(fits.then_some(start))
}

/// What the source says that the whole content adds up to, after the `start` bytes that are here already. The reader of the
/// rest alone cannot compare it.
fn claim_behind(
    start: u64,
    source: &mut Origin<'_>,
    target: (&mut dyn Session, &RelPath),
    put: &Put,
    flow: &Flow,
) -> Result<Option<Box<dyn Claim>>> {
    if start == 0 || !source.session.checks_wholes() {
        return Ok(None);
    }
    let Some(mut claim) = source.session.claim(source.path)? else { return Ok(None) };
    let mut take = |body: &mut dyn Read| add_all(&mut body.take(start), claim.as_mut(), flow);
    match target.0.read_held(target.1, put, 0, &mut take) {
        Err(error) if error.kind() == Kind::Unsupported => Ok(None),
        read => read.map(|()| Some(claim)),
    }
}

/// The last bytes of what is here already, if they have to show that the source still has the same content: size and time
/// may be the same, and neither a version nor a checksum tell more. Empty where that would mean to fetch them again.
fn overlap_before(
    start: u64,
    target: (&mut dyn Session, &RelPath),
    put: &Put,
    has_claim: bool,
) -> Result<Vec<u8>> {
    let mut overlap = Vec::new();
    if start == 0 || put.version != 0 || has_claim {
        return Ok(overlap);
    }
    let length = start.min(OVERLAP);
    let mut take = |body: &mut dyn Read| Ok(body.take(length).read_to_end(&mut overlap).map(drop)?);
    match target.0.read_held(target.1, put, start - length, &mut take) {
        Err(error) if error.kind() == Kind::Unsupported => Ok(Vec::new()),
        read => read.map(|()| overlap),
    }
}

/// Whether two files have the same content. What one side says that its file adds up to spares reading it; else both are read.
pub fn is_same(
    one: (&mut dyn Session, &RelPath),
    other: (&mut dyn Session, &RelPath),
    flow: &Flow,
) -> Result<bool> {
    if let Some(claim) = one.0.claim(one.1)? {
        return is_claimed(claim, other, flow);
    }
    if let Some(claim) = other.0.claim(other.1)? {
        return is_claimed(claim, one, flow);
    }
    read_both(one, other, <[u8]>::eq, flow)
}

/// Whether a file holds the first bytes of the other, and nothing else.
pub fn is_beginning(
    stump: (&mut dyn Session, &RelPath),
    whole: (&mut dyn Session, &RelPath),
    flow: &Flow,
) -> Result<bool> {
    read_both(whole, stump, <[u8]>::starts_with, flow)
}

/// Reads two files at the same time. Whether all their blocks are alike, by `is_alike`.
fn read_both(
    one: (&mut dyn Session, &RelPath),
    other: (&mut dyn Session, &RelPath),
    is_alike: fn(&[u8], &[u8]) -> bool,
    flow: &Flow,
) -> Result<bool> {
    let mut answer = None;
    one.0.read(one.1, &mut |left| {
        other.0.read(other.1, &mut |right| {
            answer = Some(are_alike(left, right, is_alike, flow)?);
            Ok(())
        })
    })?;
    answer.ok_or_else(|| Error::new(Kind::Io, "the files were never read").during("compare").at(one.1))
}

/// Whether the content of a file is what the other side says.
fn is_claimed(mut claim: Box<dyn Claim>, file: (&mut dyn Session, &RelPath), flow: &Flow) -> Result<bool> {
    file.0.read(file.1, &mut |body| add_all(body, claim.as_mut(), flow))?;
    Ok(claim.is_met())
}

fn add_all(body: &mut dyn Read, claim: &mut dyn Claim, flow: &Flow) -> Result<()> {
    let mut block = vec![0; COMPARED];
    loop {
        flow.check()?;
        match body.read(&mut block)? {
            0 => return Ok(()),
            count => claim.add(&block[..count]),
        }
    }
}

fn are_alike(
    left: &mut dyn Read,
    right: &mut dyn Read,
    is_alike: fn(&[u8], &[u8]) -> bool,
    flow: &Flow,
) -> Result<bool> {
    let mut blocks = [vec![0; COMPARED], vec![0; COMPARED]];
    let mut all_are = true;
    loop {
        flow.check()?;
        let (from_left, from_right) = (fill(left, &mut blocks[0])?, fill(right, &mut blocks[1])?);
        all_are &= is_alike(&blocks[0][..from_left], &blocks[1][..from_right]);
        if from_left == 0 && from_right == 0 {
            return Ok(all_are);
        }
    }
}

/// What follows the bytes that are here already, if the source begins with the last of them.
struct Fitting<'a> {
    body: &'a mut dyn Read,
    overlap: Vec<u8>,
}

impl Read for Fitting<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let overlap = std::mem::take(&mut self.overlap);
        if !overlap.is_empty() {
            let mut again = Vec::with_capacity(overlap.len());
            (&mut *self.body).take(overlap.len() as u64).read_to_end(&mut again)?;
            if again != overlap {
                let why = "the source is not what has arrived in part; it is fetched anew";
                return Err(Error::new(Kind::Corrupt, why).retrying(Retry::Later).during("read").into_io());
            }
        }
        self.body.read(buffer)
    }
}

/// Counts what passes, and fails once the run is cancelled, or if it adds up to something else than it should.
struct Counted<'a> {
    body: &'a mut dyn Read,
    bytes: &'a mut u64,
    /// Set as soon as somebody wants its bytes.
    was_read: &'a mut bool,
    flow: &'a Flow,
    claim: Option<Box<dyn Claim>>,
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        *self.was_read = true;
        self.flow.check().map_err(Error::into_io)?;
        let count = self.body.read(buffer)?;
        self.flow.pass(count);
        *self.bytes += count as u64;
        if let Some(claim) = &mut self.claim {
            claim.add(&buffer[..count]);
        }
        if count == 0
            && !buffer.is_empty()
            && let Some(claim) = self.claim.take()
            && !claim.is_met()
        {
            let why = "what arrived in two pieces does not have the checksum that the source tells";
            return Err(Error::new(Kind::Corrupt, why).retrying(Retry::Later).during("read").into_io());
        }
        Ok(count)
    }
}
