//! Whether the server holds, or has sent, the very bytes of this side (`--verify`).
//!
//! It is asked for a checksum where it has one: by HASH (draft-bryan-ftpext-hash), or by the older commands XSHA512, XSHA256,
//! XSHA1, XMD5 and XCRC. Else the file is read once more. FTP itself has no checksum: what flips a bit on the way, such as a
//! broken router, is seen only so.

use super::control::lost;
use super::data::{self, Begin};
use super::errors::refusal;
use super::listing::Paced;
use super::session::FtpSession;
use crate::error::{Error, Kind, Result};
use crate::target::Claim;
use crate::target::digest::{Algorithm, Digest};
use crate::target::pace::Pace;
use crate::wire::ftp::{Command, Reply};
use std::io::Read;
use std::time::Duration;

/// A server that reads a large file for its checksum is silent for long: how many times the usual limit.
const PATIENCE: u32 = 10;
const LONGEST: Duration = Duration::from_secs(1_800);

/// How contents are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verifier {
    /// HASH, after OPTS HASH has chosen the algorithm in each conversation.
    Hash(Algorithm),
    /// XSHA256 and the like.
    Command(&'static str, Algorithm),
    /// Reading the file once more.
    ReadBack,
}

const COMMANDS: [(&str, Algorithm); 6] = [
    ("XSHA512", Algorithm::Sha512),
    ("XSHA256", Algorithm::Sha256),
    ("XSHA1", Algorithm::Sha1),
    ("XSHA", Algorithm::Sha1),
    ("XMD5", Algorithm::Md5),
    ("XCRC", Algorithm::Crc32),
];

impl Verifier {
    /// The algorithm of the checksum.
    pub fn algorithm(self) -> Algorithm {
        match self {
            Verifier::Hash(algorithm) | Verifier::Command(_, algorithm) => algorithm,
            Verifier::ReadBack => Algorithm::Sha256,
        }
    }
}

impl FtpSession {
    /// A checksum to be made of what is about to be transferred, if contents are to be compared.
    pub(super) fn new_digest(&self) -> Option<Digest> {
        self.server.config.verify.then(|| Digest::new(self.verifier().algorithm()))
    }

    fn verifier(&self) -> Verifier {
        if let Some(hash) = self.best_hash() {
            return Verifier::Hash(hash);
        }
        let known = COMMANDS.iter().find(|(word, _)| self.knows(word));
        known.map_or(Verifier::ReadBack, |(word, algorithm)| Verifier::Command(word, *algorithm))
    }

    /// The best algorithm of `HASH SHA-512;SHA-256*;MD5`.
    fn best_hash(&self) -> Option<Algorithm> {
        let offered = self.knows("HASH").then(|| self.features.argument("HASH")).flatten()?;
        let offers = |name: &str| {
            offered.split(';').any(|word| word.trim().trim_end_matches('*').eq_ignore_ascii_case(name))
        };
        Algorithm::ALL.into_iter().find(|algorithm| offers(algorithm.name()))
    }

    /// Compares what the server holds at a path with what has passed.
    ///
    /// # Errors
    /// [`Kind::Corrupt`] if they differ, and whatever prevents the comparison.
    pub(super) fn verify(&mut self, path: &[u8], passed: Digest) -> Result<()> {
        let (algorithm, count, ours) = (passed.algorithm(), passed.count(), passed.finish());
        let theirs = match self.verifier() {
            Verifier::Hash(hash) if hash == algorithm => self.hash_of(path, algorithm)?,
            Verifier::Command(word, of) if of == algorithm => {
                self.told(&Command::path(word, path)?, word, algorithm)?
            }
            Verifier::Hash(_) | Verifier::Command(..) | Verifier::ReadBack => None,
        };
        let theirs = match theirs {
            Some(theirs) => theirs,
            None => self.digest_of(path, algorithm, count)?,
        };
        if theirs == ours {
            return Ok(());
        }
        let name = algorithm.name();
        let detail = format!("what the server holds is not what was transferred ({name} differs)");
        Err(Error::new(Kind::Corrupt, detail)
            .advise("run again; if it stays so, something on the way is broken"))
    }

    /// See [`Session::claim`](crate::target::Session::claim).
    pub(super) fn claim_of(&mut self, path: &[u8]) -> Result<Option<Box<dyn Claim>>> {
        let verifier = self.verifier();
        // Of 32 bits, two different contents may well have the same.
        if verifier.algorithm() == Algorithm::Crc32 {
            return Ok(None);
        }
        let algorithm = verifier.algorithm();
        let expected = match verifier {
            Verifier::Hash(hash) => self.hash_of(path, hash)?,
            Verifier::Command(word, of) => self.told(&Command::path(word, path)?, word, of)?,
            Verifier::ReadBack => None,
        };
        let claim = |expected| Box::new(Told { digest: Digest::new(algorithm), expected }) as Box<dyn Claim>;
        Ok(expected.map(claim))
    }

    /// HASH, with the algorithm chosen in the same packet: the answer counts only if it names it.
    fn hash_of(&mut self, path: &[u8], algorithm: Algorithm) -> Result<Option<String>> {
        let chosen = self.control.ask(&Command::text("OPTS", &format!("HASH {}", algorithm.name()))?)?;
        if !chosen.is_success() {
            self.lacks("HASH");
            return Ok(None);
        }
        self.told(&Command::path("HASH", path)?, "HASH", algorithm)
    }

    /// Asks for a checksum. A server that cannot tell it is not asked again.
    fn told(&mut self, question: &Command, word: &str, algorithm: Algorithm) -> Result<Option<String>> {
        let patience = (self.server.config.timeout * PATIENCE).min(LONGEST).max(self.server.config.timeout);
        let reply = self.control.with_patience(patience, |control| control.ask(question))?;
        let value = checksum_in(&reply, algorithm);
        if value.is_none() {
            self.lacks(word);
            let address = self.server.address();
            self.server.tell(4, format!("{address} does not tell checksums by {word}; files are read back"));
        }
        Ok(value)
    }

    /// Reads a file of so many bytes once more, for its checksum. What is longer has another one, wherever it ends.
    fn digest_of(&mut self, path: &[u8], algorithm: Algorithm, count: u64) -> Result<String> {
        let retr = Command::path("RETR", path)?;
        let started = data::start(&self.server, &mut self.control, &[], &retr, Begin::WhenAgreed)?;
        let channel = started.outcome.map_err(|reply| refusal(&reply))?;
        let (mut stream, early) = channel.into_parts();
        let mut paced = Paced { source: &mut stream, pace: Pace::new(self.server.config.timeout) };
        let mut file = (&mut paced).take(count);
        let read = Digest::of(algorithm, &mut file).and_then(|digest| {
            // Behind the last byte comes the end.
            let more = paced.read(&mut [0])?;
            Ok((digest, more > 0))
        });
        let pace = paced.pace;
        let (digest, is_longer) = read.map_err(|error| {
            self.control.doubt();
            if pace.is_too_slow() { pace.error("this file") } else { lost(error, &self.server) }
        })?;
        if is_longer {
            self.control.doubt();
            stream.reset();
            return Err(Error::new(Kind::Corrupt, "the server holds more than what was transferred"));
        }
        let reply = data::confirmation(&mut self.control, stream, early)?;
        if reply.is_success() { Ok(digest) } else { Err(refusal(&reply)) }
    }
}

/// A checksum that a server has told.
struct Told {
    digest: Digest,
    expected: String,
}

impl Claim for Told {
    fn add(&mut self, bytes: &[u8]) {
        self.digest.update(bytes);
    }

    fn is_met(self: Box<Self>) -> bool {
        self.digest.finish() == self.expected
    }
}

/// The checksum in a reply, which is the only word of its length with hexadecimal digits. XCRC may lack leading zeros.
fn checksum_in(reply: &Reply, algorithm: Algorithm) -> Option<String> {
    if !reply.is_success() {
        return None;
    }
    // As it was sent: what looks like a password may be a part of the checksum.
    let text = reply.raw_text();
    let is_hex = |word: &&str| word.chars().all(|c| c.is_ascii_hexdigit()) && !word.is_empty();
    let words = text.get(4..)?.split(|c: char| c.is_whitespace() || c == '"');
    let mut found = words.filter(is_hex).filter(|word| match algorithm {
        Algorithm::Crc32 => word.len() <= 8,
        _ => word.len() == algorithm.digits(),
    });
    let word = found.next()?.to_ascii_lowercase();
    Some(format!("{word:0>width$}", width = algorithm.digits()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_found_however_they_are_told() {
        let told = Reply::from_text("250 00ab00cd\r\n").masked(|text| text.replace("ab", "***"));
        assert_eq!(
            checksum_in(&told, Algorithm::Crc32).as_deref(),
            Some("00ab00cd"),
            "hidden, and still of use"
        );
        let read = |text: &str, algorithm| checksum_in(&Reply::from_text(&format!("{text}\r\n")), algorithm);
        let md5 = "25f9e794323b453885f5181f1b624d0b";
        assert_eq!(read(&format!("250 {}", md5.to_uppercase()), Algorithm::Md5).as_deref(), Some(md5));
        assert_eq!(read(&format!("213 MD5 0-9 {md5} a b.txt"), Algorithm::Md5).as_deref(), Some(md5));
        assert_eq!(read("250 CBF43926", Algorithm::Crc32).as_deref(), Some("cbf43926"));
        assert_eq!(read("250 XCRC F43926", Algorithm::Crc32).as_deref(), Some("00f43926"));
        assert_eq!(read("550 no such file", Algorithm::Md5), None);
        assert_eq!(read("250 done", Algorithm::Sha1), None);
    }
}
