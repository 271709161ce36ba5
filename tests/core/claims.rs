//! Contents are compared by what a server says about them, where it says something that is worth it.

use crate::ftp_conversations::config;
use crate::ftp_server::{Quirks, Server};
use crate::tree::{Outcome, Setup, Shared, TargetBox, run};
use ftpsync::model::Stamp;
use ftpsync::plan::Mode;
use ftpsync::target::ftp::FtpTarget;
use ftpsync::target::memory::MemoryTarget;
use std::sync::Arc;

/// A folder of which `b` is another one than that on the server; its files are as old as those.
fn folder(at: i64) -> MemoryTarget {
    let local = MemoryTarget::new("/local");
    for (name, content) in [("a", b"1234"), ("b", b"12x4")] {
        local.put(name, content, Stamp::new(at, 0));
    }
    local
}

fn compare(local: &MemoryTarget, remote: &dyn TargetBox) -> Outcome {
    let outcome = run(local, remote, &Setup { compares_contents: true, ..Setup::new(Mode::Upload) });
    assert!(outcome.result.is_ok(), "{outcome:?}");
    assert_eq!(outcome.stats.files_written.remote, 1, "{:?}", outcome.lines);
    outcome
}

#[test]
fn an_ftp_server_that_tells_checksums_sends_nothing() {
    for (checksums, asks, reads) in [
        (Some("XMD5"), "XMD5 /", 0),
        (Some("HASH SHA-256*;MD5"), "HASH /", 0),
        (Some("XCRC"), "RETR /", 2),
        (None, "RETR /", 2),
    ] {
        let server = Server::start(Quirks { checksums, ..Quirks::default() });
        for name in ["/a", "/b"] {
            server.put(name, b"1234");
        }
        compare(&folder(1_704_164_645), &Shared(Arc::new(FtpTarget::new(config(&server)).unwrap())));
        let script = server.script().join(" | ");
        assert!(script.contains(asks), "{checksums:?}: {script}");
        let sent = ["RETR /a", "RETR /b"].map(|line| script.matches(line).count()).iter().sum::<usize>();
        assert_eq!(sent, reads, "{checksums:?}: {script}");
        assert_eq!(server.content("/b"), Some(b"12x4".to_vec()));
    }
}

#[cfg(feature = "s3")]
mod of_s3 {
    use super::*;
    use crate::s3_fake::{Answer, FakeS3};

    fn bucket() -> FakeS3 {
        let bucket = FakeS3::start();
        for name in ["a", "b"] {
            bucket.put(name, b"1234");
        }
        bucket
    }

    /// How often an object was looked at, and fetched.
    fn asked(bucket: &FakeS3) -> (usize, usize) {
        let asked = bucket.asked();
        let count = |method: &str| {
            let is_of = |key: &str| key == "a" || key == "b";
            asked.iter().filter(|question| question.method == method && is_of(&question.key)).count()
        };
        (count("HEAD"), count("GET"))
    }

    #[test]
    fn the_checksum_of_an_object_spares_fetching_it() {
        let bucket = bucket();
        compare(&folder(1_767_323_045), &bucket);
        let (looks, fetched) = asked(&bucket);
        assert!(looks >= 2 && fetched == 0, "{looks} looks, {fetched} fetched");
        assert_eq!(bucket.get("b").unwrap(), b"12x4");
    }

    /// From now on a look at an object tells this.
    fn tell(bucket: &FakeS3, etag: &str, header: &str, value: &str) {
        let answer =
            Answer::new(200, "").header("etag", etag).header("content-length", "4").header(header, value);
        bucket.answer(|question| question.method == "HEAD", answer, 2);
    }

    #[test]
    fn an_object_that_was_put_together_is_compared_part_by_part() {
        let bucket = bucket();
        let sums = [md5::compute(b"12").0, md5::compute(b"34").0].concat();
        let etag = format!("{:x}-2", md5::compute(sums));
        for name in ["a", "b"] {
            bucket.name_version(name, &etag);
        }
        tell(&bucket, &format!("\"{etag}\""), "x-amz-meta-part-size", "2");
        compare(&folder(1_767_323_045), &bucket);
        assert_eq!(asked(&bucket).1, 0);
    }

    #[test]
    fn an_object_that_is_locked_by_a_key_of_the_server_is_fetched() {
        let bucket = bucket();
        let etag = format!("\"{:x}\"", md5::compute(b"1234"));
        tell(&bucket, &etag, "x-amz-server-side-encryption", "aws:kms");
        compare(&folder(1_767_323_045), &bucket);
        assert_eq!(asked(&bucket).1, 2);
    }
}
