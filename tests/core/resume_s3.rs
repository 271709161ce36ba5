//! Large objects of S3 go on where a download has ended, and only behind what is surely a part of this very version.

use crate::s3_fake::{FakeS3, Question};
use crate::tree::{self, Setup, TargetBox};
use ftpsync::model::TEMP_PREFIX;
use ftpsync::plan::Mode;
use ftpsync::target::local::{Links, LocalTarget};
use ftpsync::target::s3::{S3Config, S3Target};
use ftpsync::target::{RESUMED, Target};
use std::path::{Path, PathBuf};
use std::sync::Arc;

const MIB: usize = 1024 * 1024;
const CUT: usize = 5 * MIB;
const SIZE: usize = RESUMED as usize + MIB;

/// Bytes of which each part is another.
fn content(size: usize) -> Vec<u8> {
    (0..size).map(|at| (at / 7 + at / 65_521) as u8).collect()
}

/// A run with the bucket as it looks from near by, or from far away.
fn sync_from(is_far: bool, folder: &Path, bucket: &FakeS3) -> tree::Outcome {
    sync_with(S3Config { in_ranges: Some(is_far), ..bucket.config() }, folder)
}

fn sync_with(config: S3Config, folder: &Path) -> tree::Outcome {
    let local = LocalTarget::new(folder, Links::Inside).unwrap();
    tree::run(&local, &Bucket(Arc::new(S3Target::new(config).unwrap())), &Setup::new(Mode::Download))
}

fn sync(folder: &Path, bucket: &FakeS3) -> tree::Outcome {
    sync_from(false, folder, bucket)
}

struct Bucket(Arc<dyn Target>);

impl TargetBox for Bucket {
    fn share(&self) -> Arc<dyn Target> {
        Arc::clone(&self.0)
    }
}

fn is_fetched(question: &Question) -> bool {
    question.method == "GET" && question.key == "big"
}

/// The ranges of the object that were asked for since the last call, and under which condition.
fn ranges(bucket: &FakeS3) -> Vec<(String, String)> {
    let asked = bucket.asked().into_iter().filter(is_fetched);
    let header = |question: &Question, name: &str| question.headers.get(name).cloned().unwrap_or_default();
    asked.map(|question| (header(&question, "range"), header(&question, "if-match"))).collect()
}

fn etag(content: &[u8]) -> String {
    format!("\"{:x}\"", md5::compute(content))
}

fn parts(folder: &Path) -> Vec<PathBuf> {
    let found = std::fs::read_dir(folder).unwrap().flatten().map(|item| item.path());
    found.filter(|path| path.to_string_lossy().contains(TEMP_PREFIX)).collect()
}

/// A run that gets no further than to the middle, however often it tries.
fn interrupted(bucket: &FakeS3, folder: &Path) {
    bucket.cut(is_fetched, CUT, 1);
    bucket.cut(is_fetched, 0, 4);
    assert!(sync(folder, bucket).result.is_err());
    assert_eq!(parts(folder).len(), 1);
    assert!(!folder.join("big").exists());
    let asked = ranges(bucket);
    let rest = (format!("bytes={CUT}-{}", SIZE - 1), etag(&content(SIZE)));
    assert_eq!(asked[1..], vec![rest; 4], "within the run");
}

#[test]
fn a_download_goes_on_in_another_run() {
    let bucket = FakeS3::start();
    bucket.put("big", &content(SIZE));
    let folder = tempfile::tempdir().unwrap();
    interrupted(&bucket, folder.path());
    sync(folder.path(), &bucket).result.unwrap();
    assert_eq!(ranges(&bucket), [(format!("bytes={CUT}-"), etag(&content(SIZE)))]);
    assert!(std::fs::read(folder.path().join("big")).unwrap() == content(SIZE));
    assert_eq!(parts(folder.path()), [] as [PathBuf; 0]);
}

#[test]
fn another_version_of_the_same_size_and_time_begins_anew() {
    let bucket = FakeS3::start();
    bucket.put("big", &content(SIZE));
    let folder = tempfile::tempdir().unwrap();
    interrupted(&bucket, folder.path());
    let other: Vec<u8> = content(SIZE).iter().map(|byte| byte ^ 0xFF).collect();
    bucket.put("big", &other);
    sync(folder.path(), &bucket).result.unwrap();
    assert_eq!(ranges(&bucket), [(String::new(), etag(&other))]);
    assert!(std::fs::read(folder.path().join("big")).unwrap() == other);
}

#[test]
fn a_part_that_was_damaged_meanwhile_is_found_out_and_fetched_again() {
    let bucket = FakeS3::start();
    bucket.put("big", &content(SIZE));
    let folder = tempfile::tempdir().unwrap();
    interrupted(&bucket, folder.path());
    let part = parts(folder.path()).remove(0);
    let mut bytes = std::fs::read(&part).unwrap();
    bytes[MIB] ^= 1;
    std::fs::write(&part, bytes).unwrap();
    sync(folder.path(), &bucket).result.unwrap();
    let starts: Vec<_> = ranges(&bucket).into_iter().map(|(range, _)| range).collect();
    assert_eq!(starts, [format!("bytes={CUT}-"), String::new()]);
    assert!(std::fs::read(folder.path().join("big")).unwrap() == content(SIZE));
}

#[test]
fn a_part_that_is_complete_is_put_in_place_without_fetching_anything() {
    let bucket = FakeS3::start();
    bucket.put("big", &content(SIZE));
    let folder = tempfile::tempdir().unwrap();
    interrupted(&bucket, folder.path());
    std::fs::write(parts(folder.path()).remove(0), content(SIZE)).unwrap();
    sync(folder.path(), &bucket).result.unwrap();
    assert!(std::fs::read(folder.path().join("big")).unwrap() == content(SIZE));
    assert_eq!(ranges(&bucket).len(), 1, "there is no byte behind the last one");
}

#[test]
fn far_away_several_ranges_come_at_the_same_time_all_of_one_version() {
    let bucket = FakeS3::start();
    let content = content(24 * MIB + 5);
    bucket.put("big", &content);
    bucket.answer_together(3);
    let folder = tempfile::tempdir().unwrap();
    sync_from(true, folder.path(), &bucket).result.unwrap();
    assert!(std::fs::read(folder.path().join("big")).unwrap() == content);
    let (asked, etag) = (ranges(&bucket), etag(&content));
    assert!(asked.iter().all(|(_, condition)| *condition == etag), "{asked:?}");
    let mut starts: Vec<String> = asked.into_iter().map(|(range, _)| range).collect();
    starts.sort();
    starts.dedup();
    assert_eq!(starts.len(), 4, "nothing is asked for twice: {starts:?}");
}

#[test]
fn an_answer_that_comes_slowly_goes_on_in_ranges() {
    let bucket = FakeS3::start();
    let content = content(44 * MIB);
    bucket.put("big", &content);
    for (split_below, comes_in_ranges) in [(0, false), (u64::MAX, true)] {
        let folder = tempfile::tempdir().unwrap();
        let config = S3Config { in_ranges: None, split_below: Some(split_below), ..bucket.config() };
        sync_with(config, folder.path()).result.unwrap();
        assert!(std::fs::read(folder.path().join("big")).unwrap() == content);
        let asked = ranges(&bucket);
        assert_eq!(asked.len() > 2, comes_in_ranges, "{asked:?}");
        assert!(
            asked
                .iter()
                .all(|(range, _)| range.is_empty() || range.starts_with("bytes=") && range != "bytes=0-")
        );
    }
}

#[test]
fn a_range_that_is_cut_goes_on_where_it_was_cut() {
    let bucket = FakeS3::start();
    let content = content(24 * MIB);
    bucket.put("big", &content);
    let folder = tempfile::tempdir().unwrap();
    bucket.cut(is_fetched, MIB, 3);
    sync_from(true, folder.path(), &bucket).result.unwrap();
    assert!(std::fs::read(folder.path().join("big")).unwrap() == content);
    let asked = ranges(&bucket);
    let continued =
        |start: usize| asked.iter().any(|(range, _)| range.starts_with(&format!("bytes={start}-")));
    assert!(continued(MIB), "{asked:?}");
    assert_eq!(asked.len(), 3 + 3, "{asked:?}");
}
