//! Times that objects carry with them: asked for where they decide, all together, and once.

use super::s3_fake::{Answer, FakeS3};
use super::tree::{Setup, TargetBox, at, run};
use ftpsync::model::Stamp;
use ftpsync::plan::Mode;
use ftpsync::target::Target;
use ftpsync::target::memory::{MemoryTarget, Node};
use std::sync::Arc;

impl TargetBox for FakeS3 {
    fn share(&self) -> Arc<dyn Target> {
        Arc::new(self.target())
    }
}

/// A bucket and a folder that hold the same, as rclone would leave them: objects are listed with the time of their upload.
fn alike() -> (MemoryTarget, FakeS3) {
    let (local, bucket) = (MemoryTarget::new("/local"), FakeS3::start());
    for name in ["a", "b", "sub/c"] {
        local.put(name, b"1234", at(0));
        bucket.put(name, b"1234");
    }
    (local, bucket)
}

/// From now on a look at any object tells this time.
fn carry(bucket: &FakeS3, header: &str, value: &str) {
    let etag = format!("\"{:x}\"", md5::compute(b"1234"));
    let answer =
        Answer::new(200, "").header("etag", &etag).header("content-length", "4").header(header, value);
    bucket.answer(|question| question.method == "HEAD", answer, usize::MAX);
}

fn looks(bucket: &FakeS3) -> usize {
    bucket.asked().iter().filter(|question| question.method == "HEAD").count()
}

#[test]
fn what_another_tool_has_put_there_with_its_time_is_alike_and_asked_for_once() {
    for mode in [Mode::Sync, Mode::Upload, Mode::Download] {
        let (local, bucket) = alike();
        carry(&bucket, "x-amz-meta-mtime", "1600000000.25");
        let outcome = run(&local, &bucket, &Setup::new(mode));
        assert!(outcome.result.is_ok(), "{outcome:?}");
        let written = outcome.stats.files_written;
        assert_eq!((written.local, written.remote), (0, 0), "{mode:?}: {:?}", outcome.lines);
        assert_eq!(looks(&bucket), 3, "{mode:?}");

        let again = run(&local, &bucket, &Setup::new(mode));
        assert_eq!(looks(&bucket), 0, "{mode:?}");
        assert_eq!(again.stats.files_written, written, "{mode:?}: {:?}", again.lines);
    }
}

#[test]
fn the_time_that_an_object_carries_decides_which_one_is_newer() {
    let (local, bucket) = alike();
    carry(&bucket, "x-amz-meta-s3cmd-attrs", "uid:0/mtime:1500000000/mode:33188");
    local.put("b", b"newer here", at(5));
    let outcome = run(&local, &bucket, &Setup::new(Mode::Upload));
    // Listed, they are all newer there. "a" and "c" are in truth newer here; of "b" the size decides that nobody asks.
    assert_eq!(outcome.stats.files_written.remote, 2, "{:?}", outcome.lines);
    assert_eq!(bucket.get("b").unwrap(), b"1234");
}

#[test]
fn an_object_that_carries_no_time_or_may_not_be_looked_at_is_as_old_as_listed() {
    let (local, bucket) = alike();
    let outcome = run(&local, &bucket, &Setup::new(Mode::Download));
    assert_eq!(outcome.stats.files_written.local, 3, "{:?}", outcome.lines);

    let (local, bucket) = alike();
    bucket.answer(|question| question.method == "HEAD", Answer::refusal(403, "AccessDenied"), usize::MAX);
    let outcome = run(&local, &bucket, &Setup::new(Mode::Download));
    assert!(outcome.result.is_ok(), "{outcome:?}");
    assert_eq!(outcome.stats.files_written.local, 3, "{:?}", outcome.lines);
}

#[test]
fn the_time_of_another_version_than_the_listed_one_does_not_count() {
    let (local, bucket) = alike();
    let answer = Answer::new(200, "")
        .header("etag", "\"of somebody else\"")
        .header("content-length", "4")
        .header("x-amz-meta-mtime", "1600000000");
    bucket.answer(|question| question.method == "HEAD", answer, usize::MAX);
    let outcome = run(&local, &bucket, &Setup::new(Mode::Download));
    assert_eq!(outcome.stats.files_written.local, 3, "{:?}", outcome.lines);
}

#[test]
fn a_file_that_comes_anew_gets_the_time_that_its_object_carries_without_a_question() {
    let (local, bucket) = (MemoryTarget::new("/local"), FakeS3::start());
    bucket.put("a", b"1234");
    bucket.put("plain", b"12");
    let etag = format!("\"{:x}\"", md5::compute(b"1234"));
    let answer = Answer::new(200, "1234").header("etag", &etag).header("x-amz-meta-mtime", "1500000000.5");
    bucket.answer(|question| question.method == "GET" && question.key == "a", answer, 1);
    for mode in [Mode::Download, Mode::Sync] {
        let outcome = run(&local, &bucket, &Setup::new(mode));
        assert!(outcome.result.is_ok(), "{outcome:?}");
        let time = |name: &str| match &local.tree()[name] {
            Node::File(_, at) => *at,
            Node::Folder => panic!("{name} is a folder"),
        };
        assert_eq!(time("a"), Stamp::new(1_500_000_000, 500_000_000));
        assert_eq!(time("plain"), Stamp::new(1_767_323_045, 0), "as listed");
        assert_eq!(looks(&bucket), 0, "{mode:?}");
        assert_eq!(outcome.stats.files_written.remote, 0, "{:?}", outcome.lines);
        let written = if mode == Mode::Download { 2 } else { 0 };
        assert_eq!(outcome.stats.files_written.local, written, "{:?}", outcome.lines);
    }
}
