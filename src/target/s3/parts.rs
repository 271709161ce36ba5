//! Contents cut into parts, and how many of them are under way.

use crate::error::{Error, Result};
use crate::locked::locked;
use std::io::Read;
use std::sync::Mutex;

/// S3 takes no more parts for one object.
pub const MOST_PARTS: u64 = 10_000;
/// One mebibyte.
const MIB: u64 = 1 << 20;

/// How many parts may travel beside those that every session sends itself: each is held in memory.
#[derive(Debug)]
pub struct Slots(Mutex<usize>);

/// The right to one more; given back when dropped.
pub struct Slot<'s>(&'s Slots);

impl Slots {
    pub fn new(count: usize) -> Self {
        Slots(Mutex::new(count))
    }

    /// Takes one, if one is free.
    pub fn take(&self) -> Option<Slot<'_>> {
        let mut free = locked(&self.0);
        *free = free.checked_sub(1)?;
        Some(Slot(self))
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        *locked(&self.0.0) += 1;
    }
}

/// How large the parts of a file are: as usual, but no more than S3 takes.
pub fn part_size(usual: usize, size: Option<u64>) -> usize {
    let least = size.unwrap_or(0).div_ceil(MOST_PARTS).div_ceil(MIB) * MIB;
    usual.max(usize::try_from(least).unwrap_or(usize::MAX))
}

/// A body, cut into parts.
pub struct Parts<'b> {
    body: &'b mut dyn Read,
    size: usize,
    /// The first byte of the next part: it was read to find out whether there is one.
    carry: Option<u8>,
    is_over: bool,
    /// Bytes so far.
    pub total: u64,
}

impl<'b> Parts<'b> {
    pub fn new(body: &'b mut dyn Read, size: usize) -> Self {
        Parts { body, size, carry: None, is_over: false, total: 0 }
    }

    /// Bytes in each of them.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Whether the last part was returned.
    pub fn is_over(&self) -> bool {
        self.is_over
    }

    /// The next part. Only the last one is shorter than the others; only that of an empty body is empty.
    ///
    /// # Errors
    /// That of the body, as it is.
    pub fn next(&mut self, guess: usize) -> Result<Vec<u8>> {
        let mut part = Vec::with_capacity(guess.min(self.size) + 1);
        part.extend(self.carry.take());
        let room = (self.size + 1 - part.len()) as u64;
        (&mut *self.body).take(room).read_to_end(&mut part).map_err(Error::from)?;
        if part.len() > self.size {
            self.carry = part.pop();
        }
        self.is_over = self.carry.is_none();
        self.total += part.len() as u64;
        Ok(part)
    }
}

/// The MD5 of contents that may have been put together from parts, as S3 tells it.
pub enum Sum {
    /// Of the whole.
    Whole(md5::Context),
    /// Of parts of this size: the sums of those that are complete, and that of the one that is not.
    Parts { size: usize, done: Vec<u8>, part: md5::Context, filled: usize },
}

impl Sum {
    /// For contents that are one.
    pub fn whole() -> Self {
        Sum::Whole(md5::Context::new())
    }

    /// For contents in parts of this size.
    pub fn parts(size: usize) -> Self {
        Sum::Parts { size, done: Vec::new(), part: md5::Context::new(), filled: 0 }
    }

    /// Takes more of the contents.
    pub fn add(&mut self, mut bytes: &[u8]) {
        match self {
            Sum::Whole(sum) => sum.consume(bytes),
            Sum::Parts { size, done, part, filled } => {
                while !bytes.is_empty() {
                    let (now, later) = bytes.split_at(bytes.len().min(*size - *filled));
                    part.consume(now);
                    *filled += now.len();
                    bytes = later;
                    if *filled == *size {
                        done.extend_from_slice(&std::mem::replace(part, md5::Context::new()).finalize().0);
                        *filled = 0;
                    }
                }
            }
        }
    }

    /// As the ETag tells it.
    pub fn etag(self) -> String {
        match self {
            Sum::Whole(sum) => format!("{:x}", sum.finalize()),
            Sum::Parts { mut done, part, filled, .. } => {
                if filled > 0 || done.is_empty() {
                    done.extend_from_slice(&part.finalize().0);
                }
                composite(&done)
            }
        }
    }
}

/// The ETag of an object that was put together, from the sums of its parts.
pub fn composite(sums: &[u8]) -> String {
    format!("{:x}-{}", md5::compute(sums), sums.len() / 16)
}

/// Whether an ETag looks like a sum: 32 digits, or those and a number of parts.
pub fn is_sum(etag: &str) -> bool {
    let (digits, parts) = etag.split_once('-').unwrap_or((etag, "1"));
    digits.len() == 32
        && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
        && parts.parse::<u64>().is_ok_and(|parts| parts > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_cut_into_parts_of_which_only_the_last_is_shorter() {
        for (length, expected) in [(0, vec![0]), (1, vec![1]), (4, vec![4]), (5, vec![4, 1]), (8, vec![4, 4])]
        {
            let content = vec![7; length];
            let mut body = content.as_slice();
            let mut parts = Parts::new(&mut body, 4);
            let mut found = Vec::new();
            while !parts.is_over() {
                found.push(parts.next(0).unwrap().len());
            }
            assert_eq!(found, expected);
            assert_eq!(parts.total, length as u64);
        }
    }

    #[test]
    fn large_files_have_larger_parts() {
        assert_eq!(part_size(8 << 20, Some(1 << 30)), 8 << 20);
        assert_eq!(part_size(8 << 20, None), 8 << 20);
        let size = 5_u64 << 40;
        assert!(size.div_ceil(part_size(8 << 20, Some(size)) as u64) <= MOST_PARTS);
    }

    #[test]
    fn sums_of_parts_are_those_of_s3() {
        let content = b"abcdefghij";
        let mut sums = Vec::new();
        for part in content.chunks(4) {
            sums.extend_from_slice(&md5::compute(part).0);
        }
        let mut sum = Sum::parts(4);
        content.chunks(3).for_each(|bytes| sum.add(bytes));
        assert_eq!(sum.etag(), composite(&sums));
        assert!(composite(&sums).ends_with("-3"));
        assert!(is_sum(&composite(&sums)) && is_sum(&"a".repeat(32)));
        assert!(!is_sum("abc") && !is_sum(&"g".repeat(32)) && !is_sum(&format!("{}-x", "a".repeat(32))));
    }
}
