//! Large objects of S3 go on where a download has ended, and only behind what is surely a part of this very version.

use crate::s3_fake::{Answer, FakeS3, Question};
use crate::tree::{self, Setup, Shared, varied};
use ftpsync::model::TEMP_PREFIX;
use ftpsync::plan::Mode;
use ftpsync::target::RESUMED;
use ftpsync::target::local::{Links, LocalTarget};
use ftpsync::target::s3::{S3Config, S3Target};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

const MIB: usize = 1024 * 1024;
const CUT: usize = 5 * MIB;
const SIZE: usize = RESUMED as usize + MIB;

/// A run with the bucket as it looks from near by, or from far away.
fn sync_from(is_far: bool, folder: &Path, bucket: &FakeS3) -> tree::Outcome {
    sync_with(S3Config { in_ranges: Some(is_far), ..bucket.config() }, folder)
}

fn sync_with(config: S3Config, folder: &Path) -> tree::Outcome {
    let local = LocalTarget::new(folder, Links::Inside).unwrap();
    tree::run(&local, &Shared(Arc::new(S3Target::new(config).unwrap())), &Setup::new(Mode::Download))
}

fn sync(folder: &Path, bucket: &FakeS3) -> tree::Outcome {
    sync_from(false, folder, bucket)
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
    let rest = (format!("bytes={CUT}-{}", SIZE - 1), etag(&varied(SIZE)));
    assert_eq!(asked[1..], vec![rest; 4], "within the run");
}

#[test]
fn a_download_goes_on_in_another_run() {
    let bucket = FakeS3::start();
    bucket.put("big", &varied(SIZE));
    let folder = tempfile::tempdir().unwrap();
    interrupted(&bucket, folder.path());
    sync(folder.path(), &bucket).result.unwrap();
    assert_eq!(ranges(&bucket), [(format!("bytes={CUT}-"), etag(&varied(SIZE)))]);
    assert!(std::fs::read(folder.path().join("big")).unwrap() == varied(SIZE));
    assert_eq!(parts(folder.path()), [] as [PathBuf; 0]);
}

#[test]
fn another_version_of_the_same_size_and_time_begins_anew() {
    let bucket = FakeS3::start();
    bucket.put("big", &varied(SIZE));
    let folder = tempfile::tempdir().unwrap();
    interrupted(&bucket, folder.path());
    let other: Vec<u8> = varied(SIZE).iter().map(|byte| byte ^ 0xFF).collect();
    bucket.put("big", &other);
    sync(folder.path(), &bucket).result.unwrap();
    assert_eq!(ranges(&bucket), [(String::new(), etag(&other))]);
    assert!(std::fs::read(folder.path().join("big")).unwrap() == other);
}

#[test]
fn a_part_that_was_damaged_meanwhile_is_found_out_and_fetched_again() {
    let bucket = FakeS3::start();
    bucket.put("big", &varied(SIZE));
    let folder = tempfile::tempdir().unwrap();
    interrupted(&bucket, folder.path());
    let part = parts(folder.path()).remove(0);
    let mut bytes = std::fs::read(&part).unwrap();
    bytes[MIB] ^= 1;
    std::fs::write(&part, bytes).unwrap();
    sync(folder.path(), &bucket).result.unwrap();
    let starts: Vec<_> = ranges(&bucket).into_iter().map(|(range, _)| range).collect();
    assert_eq!(starts, [format!("bytes={CUT}-"), String::new()]);
    assert!(std::fs::read(folder.path().join("big")).unwrap() == varied(SIZE));
}

#[test]
fn a_part_that_is_complete_is_put_in_place_without_fetching_anything() {
    let bucket = FakeS3::start();
    bucket.put("big", &varied(SIZE));
    let folder = tempfile::tempdir().unwrap();
    interrupted(&bucket, folder.path());
    std::fs::write(parts(folder.path()).remove(0), varied(SIZE)).unwrap();
    sync(folder.path(), &bucket).result.unwrap();
    assert!(std::fs::read(folder.path().join("big")).unwrap() == varied(SIZE));
    assert_eq!(ranges(&bucket).len(), 1, "there is no byte behind the last one");
}

#[test]
fn far_away_several_ranges_come_at_the_same_time_all_of_one_version() {
    let bucket = FakeS3::start();
    let content = varied(24 * MIB + 5);
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
    let content = varied(44 * MIB);
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
    let content = varied(24 * MIB);
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

fn upload(folder: &Path, bucket: &FakeS3) -> tree::Outcome {
    let local = LocalTarget::new(folder, Links::Inside).unwrap();
    tree::run(&local, &Shared(Arc::new(bucket.target())), &Setup::new(Mode::Upload))
}

fn is_end(question: &Question) -> bool {
    question.method == "DELETE" && question.has("uploadId")
}

#[test]
fn uploads_that_a_run_could_not_end_are_ended_by_the_next_one_and_no_others() {
    let bucket = FakeS3::start();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("big"), varied(SIZE)).unwrap();
    bucket.answer(|question| question.has("partNumber"), Answer::refusal(403, "AccessDenied"), 1000);
    // As with a run that is killed: it cannot say that it gives up.
    bucket.answer(is_end, Answer::refusal(403, "AccessDenied"), 2);
    assert!(upload(folder.path(), &bucket).result.is_err());
    bucket.begin_upload("big");
    assert_eq!((bucket.uploads(), parts(folder.path()).len()), (2, 1));
    // The file never comes again.
    std::fs::remove_file(folder.path().join("big")).unwrap();
    upload(folder.path(), &bucket).result.unwrap();
    assert_eq!((bucket.uploads(), parts(folder.path()).len()), (2, 1), "once more it could not be ended");
    let lines = upload(folder.path(), &bucket).lines;
    assert_eq!(bucket.uploads(), 1, "that of another program: {lines:?}");
    assert_eq!(parts(folder.path()), [] as [PathBuf; 0]);
    bucket.asked();
    upload(folder.path(), &bucket).result.unwrap();
    assert!(!bucket.asked().iter().any(is_end));
}

#[test]
fn a_run_that_is_killed_has_noted_which_uploads_it_has_begun_and_ended() {
    let bucket = FakeS3::start();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a"), varied(SIZE)).unwrap();
    std::fs::write(folder.path().join("b"), varied(SIZE)).unwrap();
    let notes: Arc<Mutex<Vec<String>>> = Arc::default();
    for key in ["a", "b"] {
        let (notes, folder) = (Arc::clone(&notes), folder.path().to_owned());
        let is_part = move |question: &Question| question.has("partNumber") && question.key == key;
        bucket.then(is_part, move |_| {
            let read = |path: PathBuf| std::fs::read_to_string(path).unwrap();
            notes.lock().unwrap().extend(parts(&folder).into_iter().map(read));
        });
    }
    let local = LocalTarget::new(folder.path(), Links::Inside).unwrap();
    let setup = Setup { threads: 1, ..Setup::new(Mode::Upload) };
    tree::run(&local, &Shared(Arc::new(bucket.target())), &setup).result.unwrap();
    let notes = notes.lock().unwrap();
    let has = |at: usize, text: &str| notes[at].contains(text);
    assert!(has(0, r#""upload":"upload-1""#) && !has(0, r#""ended""#), "{}", notes[0]);
    assert!(has(1, r#""ended":"upload-1""#) && has(1, r#""upload":"upload-2""#), "{}", notes[1]);
    assert_eq!(parts(folder.path()), [] as [PathBuf; 0], "a run that ends in good order leaves none");
}
