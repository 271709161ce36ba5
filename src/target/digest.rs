//! Checksums of contents, by the algorithms that servers know.

use std::io::{self, Read};

/// A checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// SHA-512
    Sha512,
    /// SHA-256: the one for our own comparisons.
    Sha256,
    /// SHA-1
    Sha1,
    /// MD5
    Md5,
    /// CRC-32 as in Ethernet and zip.
    Crc32,
}

impl Algorithm {
    /// All, best first.
    pub const ALL: [Algorithm; 5] =
        [Algorithm::Sha512, Algorithm::Sha256, Algorithm::Sha1, Algorithm::Md5, Algorithm::Crc32];

    /// The name in the registry of hash functions, as the command HASH uses it.
    pub fn name(self) -> &'static str {
        match self {
            Algorithm::Sha512 => "SHA-512",
            Algorithm::Sha256 => "SHA-256",
            Algorithm::Sha1 => "SHA-1",
            Algorithm::Md5 => "MD5",
            Algorithm::Crc32 => "CRC32",
        }
    }

    /// Hexadecimal digits of its value.
    pub fn digits(self) -> usize {
        match self {
            Algorithm::Sha512 => 128,
            Algorithm::Sha256 => 64,
            Algorithm::Sha1 => 40,
            Algorithm::Md5 => 32,
            Algorithm::Crc32 => 8,
        }
    }
}

/// A checksum in the making.
pub struct Digest {
    algorithm: Algorithm,
    count: u64,
    state: State,
}

enum State {
    Sha(ring::digest::Context),
    Md5(md5::Context),
    Crc32(u32),
}

impl Digest {
    /// The checksum of nothing so far.
    pub fn new(algorithm: Algorithm) -> Self {
        use ring::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY, SHA256, SHA512};
        let state = match algorithm {
            Algorithm::Sha512 => State::Sha(Context::new(&SHA512)),
            Algorithm::Sha256 => State::Sha(Context::new(&SHA256)),
            Algorithm::Sha1 => State::Sha(Context::new(&SHA1_FOR_LEGACY_USE_ONLY)),
            Algorithm::Md5 => State::Md5(md5::Context::new()),
            Algorithm::Crc32 => State::Crc32(!0),
        };
        Digest { algorithm, count: 0, state }
    }

    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.count += bytes.len() as u64;
        match &mut self.state {
            State::Sha(context) => context.update(bytes),
            State::Md5(context) => context.consume(bytes),
            State::Crc32(crc) => *crc = bytes.iter().fold(*crc, |crc, byte| crc_step(crc, *byte)),
        }
    }

    /// How many bytes were added.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Which checksum it is.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The value in lower-case hexadecimal digits.
    pub fn finish(self) -> String {
        match self.state {
            State::Sha(context) => data_encoding::HEXLOWER.encode(context.finish().as_ref()),
            State::Md5(context) => format!("{:x}", context.finalize()),
            State::Crc32(crc) => format!("{:08x}", !crc),
        }
    }

    /// The checksum of all that a reader has.
    ///
    /// # Errors
    /// What reading fails with.
    pub fn of(algorithm: Algorithm, body: &mut dyn Read) -> io::Result<String> {
        let mut digest = Digest::new(algorithm);
        let mut buffer = vec![0; 64 * 1024];
        loop {
            match body.read(&mut buffer) {
                Ok(0) => return Ok(digest.finish()),
                Ok(count) => digest.update(&buffer[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// The sums of each byte.
const CRC_TABLE: [u32; 256] = crc_table();

const fn crc_table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut sum = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            sum = if sum & 1 == 1 { (sum >> 1) ^ 0xEDB8_8320 } else { sum >> 1 };
            bit += 1;
        }
        table[byte] = sum;
        byte += 1;
    }
    table
}

fn crc_step(crc: u32, byte: u8) -> u32 {
    (crc >> 8) ^ CRC_TABLE[usize::from(crc.to_le_bytes()[0] ^ byte)]
}

/// Passes a body on, and adds what passes to a checksum, if one is wanted.
pub struct Digesting<'a> {
    /// The body.
    pub body: &'a mut dyn Read,
    /// The checksum of what has passed.
    pub digest: Option<Digest>,
}

impl Read for Digesting<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.body.read(buffer)?;
        if let Some(digest) = &mut self.digest {
            digest.update(&buffer[..count]);
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_those_of_the_standards() {
        let of = |algorithm| Digest::of(algorithm, &mut &b"123456789"[..]).unwrap();
        assert_eq!(of(Algorithm::Crc32), "cbf43926");
        assert_eq!(of(Algorithm::Md5), "25f9e794323b453885f5181f1b624d0b");
        assert_eq!(of(Algorithm::Sha1), "f7c3bc1d808e04732adf679965ccc34ca7ae3441");
        assert!(of(Algorithm::Sha256).starts_with("15e2b0d3c33891ebb0f1ef609ec41942"));
        assert!(of(Algorithm::Sha512).starts_with("d9e6762dd1c8eaf6d61b3c6192fc408d"));
        for algorithm in Algorithm::ALL {
            assert_eq!(of(algorithm).len(), algorithm.digits());
        }
    }

    #[test]
    fn what_passes_is_added() {
        let mut body = &b"123456789"[..];
        let mut passing = Digesting { body: &mut body, digest: Some(Digest::new(Algorithm::Crc32)) };
        io::copy(&mut passing, &mut io::sink()).unwrap();
        assert_eq!(passing.digest.unwrap().finish(), "cbf43926");
    }
}
