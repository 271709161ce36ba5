//! S3 when something goes wrong (row 104): pages that fail, answers that lie, keys that cannot be, uploads that are cut.

use super::contract::{check, get, path, put};
use super::s3_fake::{Answer, FakeS3, Question, Spelling};
use super::tree::{Setup, at, run};
use ftpsync::error::{Error, Kind, Result, Retry};
use ftpsync::model::{LOCK_FILE_NAME, META_FILE_NAME, RelPath};
use ftpsync::plan::Mode;
use ftpsync::target::memory::MemoryTarget;
use ftpsync::target::s3::{S3Config, S3Target};
use ftpsync::target::{Expect, Put, Session, Target};
use std::io::{self, Read};

fn is_listing(question: &Question) -> bool {
    question.has("list-type")
}

fn is_second_page(question: &Question) -> bool {
    question.has("continuation-token")
}

fn list(session: &mut dyn Session) -> Result<Vec<String>> {
    let listing = session.list(&RelPath::root())?;
    Ok(listing.entries.iter().map(|entry| entry.name.to_string()).collect())
}

fn opened(fake: &FakeS3) -> Box<dyn Session> {
    let mut session = fake.target().open().unwrap();
    session.look_afresh();
    fake.asked();
    session
}

#[test]
fn the_fake_keeps_the_contract_too() {
    let fake = FakeS3::start();
    check(&fake.target());
    // Pages of a few keys make every verb go through several.
    fake.page_of(7);
    check(&fake.target());
}

#[test]
fn a_page_that_fails_is_asked_for_again_and_in_the_end_the_listing_fails_as_a_whole() {
    let fake = FakeS3::start();
    (0..25).for_each(|number| fake.put(&format!("file {number:02}"), b"x"));
    fake.page_of(10);
    let mut session = opened(&fake);
    fake.answer(is_second_page, Answer::refusal(503, "SlowDown"), 2);
    assert_eq!(list(session.as_mut()).unwrap().len(), 25);
    session.look_afresh();
    fake.answer(is_second_page, Answer::refusal(503, "SlowDown"), 1000);
    let error = list(session.as_mut()).unwrap_err();
    assert!(error.to_string().contains("SlowDown"), "{error}");
}

#[test]
fn a_listing_that_goes_on_but_does_not_say_where_is_no_listing() {
    let fake = FakeS3::start();
    let mut session = opened(&fake);
    for page in [
        "<ListBucketResult><IsTruncated>true</IsTruncated><Contents><Key>a</Key><Size>1</Size></Contents></ListBucketResult>",
        "<ListBucketResult><Contents><Key>a</Key><Size>1</Size></Contents></ListBucketResult>",
        "<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>a</Key>",
        "<html>Welcome to the hotel</html>",
        "<Error><Code>InternalError</Code><Message>x</Message></Error>",
        "",
    ] {
        fake.answer(is_listing, Answer::new(200, page), 1);
        let error = list(session.as_mut()).unwrap_err();
        assert_eq!(error.kind(), Kind::Protocol, "{page}: {error}");
    }
    for token in ["one", "one", "two", "one"] {
        let page = format!(
            "<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>{token}</NextContinuationToken></ListBucketResult>"
        );
        fake.answer(is_listing, Answer::new(200, &page), 1);
    }
    let error = list(session.as_mut()).unwrap_err();
    assert!(error.to_string().contains("circles"), "{error}");
    let circle = "<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>x</NextContinuationToken></ListBucketResult>";
    fake.answer(is_listing, Answer::new(200, circle), 1000);
    let error = list(session.as_mut()).unwrap_err();
    assert!(error.to_string().contains("circles"), "{error}");
}

#[test]
fn a_listing_that_is_cut_short_is_no_listing() {
    let fake = FakeS3::start();
    (0..100).for_each(|number| fake.put(&format!("{number}"), b"x"));
    let mut session = opened(&fake);
    fake.answer(
        is_listing,
        Answer::new(200, "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>")
            .cut_after(40),
        1,
    );
    let error = list(session.as_mut()).unwrap_err();
    assert_eq!((error.kind(), error.retry()), (Kind::Disconnected, Retry::NewSession), "{error}");
    assert_eq!(list(session.as_mut()).unwrap().len(), 100);
}

#[test]
fn a_thousand_keys_take_one_question_and_folders_are_known_ahead() {
    let fake = FakeS3::start();
    for folder in 0..50 {
        (0..19).for_each(|file| fake.put(&format!("folder {folder}/{file}"), b"x"));
    }
    let mut session = opened(&fake);
    assert_eq!(list(session.as_mut()).unwrap().len(), 50);
    for folder in 0..50 {
        assert_eq!(session.list(&path(&format!("folder {folder}"))).unwrap().entries.len(), 19);
    }
    assert_eq!(fake.asked().len(), 1);
    // The second time somebody may have worked on it.
    session.list(&path("folder 7")).unwrap();
    assert_eq!(fake.asked().len(), 1);
}

#[test]
fn a_large_folder_is_asked_for_alone() {
    let fake = FakeS3::start();
    fake.page_of(100);
    (0..950).for_each(|number| fake.put(&format!("deep/one/{number:03}"), b"x"));
    fake.put("top", b"x");
    let mut session = opened(&fake);
    assert_eq!(list(session.as_mut()).unwrap(), ["deep", "top"]);
    assert_eq!(fake.asked().len(), 2, "a page that shows one folder only, then the root alone");
}

#[test]
fn a_server_that_is_gone_ends_the_run_and_is_named() {
    for mode in [Mode::Upload, Mode::Download] {
        let (local, bucket) = (MemoryTarget::new("/local"), FakeS3::start());
        for number in 0..200 {
            let name = format!("file{number:03}");
            match mode {
                Mode::Upload => local.put(&name, b"1234", at(0)),
                _ => bucket.put(&name, b"1234"),
            }
        }
        bucket.last_for(30);
        let outcome = run(&local, &bucket, &Setup::new(mode));
        let error = outcome.result.unwrap_err();
        assert!(error.is_outage() && error.to_string().contains("127.0.0.1:"), "{error}");
        assert!(outcome.failures.len() < 10, "{:?}", outcome.failures);
    }
}

#[test]
fn what_was_agreed_with_one_server_deletes_nothing_at_another_that_has_a_bucket_of_the_same_name() {
    let (local, one, other) = (MemoryTarget::new("/local"), FakeS3::start(), FakeS3::start());
    ["a", "b", "c"].iter().for_each(|name| local.put(name, b"1234", at(0)));
    other.put("a", b"1234");
    let mut setup = Setup::new(Mode::Sync);
    setup.policy.delete = true;
    run(&local, &one, &setup).result.unwrap();
    for _ in 0..3 {
        let outcome = run(&local, &other, &setup);
        assert_eq!((outcome.stats.files_deleted, local.tree().contains_key("b")), (0, true), "{outcome:?}");
    }
    assert_eq!(other.keys(), [META_FILE_NAME, "a", "b", "c"]);
}

#[test]
fn an_object_whose_key_ends_with_a_slash_is_no_mere_folder_if_it_holds_something() {
    let (local, bucket) = (MemoryTarget::new("/local"), FakeS3::start());
    local.put("kept", b"1234", at(0));
    bucket.put("report/", b"content");
    bucket.put("empty/", b"");
    let mut setup = Setup::new(Mode::Sync);
    setup.policy.delete = true;
    let outcome = run(&local, &bucket, &setup);
    assert!(outcome.result.is_ok(), "{outcome:?}");
    let mut disk = local.open().unwrap();
    for folder in ["report", "empty"] {
        disk.remove_dir(&path(folder)).unwrap();
    }
    let outcome = run(&local, &bucket, &setup);
    assert!(outcome.failures.iter().any(|text| text.contains("report")), "{outcome:?}");
    assert_eq!(bucket.get("report/").unwrap(), b"content");
    assert_eq!(bucket.keys(), [META_FILE_NAME, "kept", "report/"]);
}

#[test]
fn keys_that_cannot_be_names_are_told_and_left_alone() {
    let fake = FakeS3::start();
    for key in ["../x", "/y", "a//b", "a/./c", "a/../d", "good", "nul\u{0}", "folder/", "twice", "twice/x"] {
        fake.put(key, b"hostile");
    }
    let mut session = opened(&fake);
    let listing = session.list(&RelPath::root()).unwrap();
    let mut names: Vec<&str> = listing.entries.iter().map(|entry| entry.name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["a", "folder", "good", "twice"]);
    let told: Vec<&str> = listing.notes.iter().map(|note| note.what.as_str()).collect();
    assert_eq!(told, ["twice", "../", "/", "nul\u{0}"]);
    let inside = session.list(&path("a")).unwrap();
    assert!(inside.entries.is_empty());
    let told: Vec<&str> = inside.notes.iter().map(|note| note.what.as_str()).collect();
    assert_eq!(told, ["../", "./", "/"], "the folder is put in front by whoever tells it");
    let error = session.remove_dir(&path("a")).unwrap_err();
    assert!(error.to_string().contains("not empty"), "{error}");
    assert_eq!(fake.keys().len(), 10);
}

#[test]
fn keys_that_are_left_out_are_told_by_their_path_below_the_root() {
    let fake = FakeS3::start();
    for key in ["w/a//b", "w/d/../e", "w/../f", "w/twice", "w/twice/x", "w/a/twice", "w/a/twice/x"] {
        fake.put(key, b"x");
    }
    let mut session =
        S3Target::new(S3Config { root: "w".to_owned(), ..fake.config() }).unwrap().open().unwrap();
    for (folder, expected) in [("", vec!["twice", "../"]), ("a", vec!["twice", "/"]), ("d", vec!["../"])] {
        let listing = session.list(&path(folder)).unwrap();
        let told: Vec<&str> = listing.notes.iter().map(|note| note.what.as_str()).collect();
        assert_eq!(told, expected, "in {folder:?}");
    }
}

#[test]
fn keys_that_no_file_can_have_are_told_once_where_they_were_wanted_and_delete_nothing() {
    for (mode, is_wanted) in [(Mode::Download, true), (Mode::Sync, true), (Mode::Upload, false)] {
        let (local, bucket) = (MemoryTarget::new("/local"), FakeS3::start());
        let mut setup = Setup::new(mode);
        setup.policy.delete = is_wanted;
        if is_wanted {
            bucket.put("good", b"x")
        } else {
            local.put("good", b"x", at(0))
        }
        let plain = run(&local, &bucket, &setup);
        assert_eq!(plain.warnings, Vec::<String>::new(), "{mode:?}");
        bucket.put("marker/", b"");
        let odd = ["/y", "sub//a", "sub//b", "sub/./c", "content/", "twice", "twice/x"];
        odd.iter().for_each(|key| bucket.put(key, b"x"));
        let outcome = run(&local, &bucket, &setup);
        outcome.result.unwrap();
        // What begins alike is one of them; markers of folders hold nothing.
        let told = "Not everything of the remote side was dealt with: what 5 keys stand for cannot be local files (one of them \
                    is \"twice\"; -v names all).";
        assert_eq!(outcome.warnings, if is_wanted { vec![told] } else { vec![] }, "{mode:?}");
        assert_eq!(outcome.failures, Vec::<String>::new());
        assert_eq!(outcome.stats.files_deleted, 0);
        assert!(odd.iter().all(|key| bucket.get(key).is_some()), "{mode:?}: {:?}", bucket.keys());
        opened(&bucket).remove_file(&path("good")).unwrap();
        let outcome = run(&local, &bucket, &setup);
        outcome.result.unwrap();
        assert_eq!(
            outcome.stats.files_deleted,
            u64::from(is_wanted),
            "{mode:?}: a deletion is one all the same"
        );
    }
}

/// Files whose names a server written in Go cannot list as they are, synchronised with it once.
fn with_odd_names() -> (MemoryTarget, FakeS3, Setup) {
    let (local, bucket) = (MemoryTarget::new("/local"), FakeS3::start());
    for name in ["odd\u{1}", "a", "b", "c", "sub/d", "sub/odd\u{2}+x", "\u{3}/e"] {
        local.put(name, b"1234", at(0));
    }
    let mut setup = Setup::new(Mode::Sync);
    setup.policy.delete = true;
    run(&local, &bucket, &setup).result.unwrap();
    (local, bucket, setup)
}

#[test]
fn keys_whose_characters_a_server_loses_are_asked_for_in_an_encoding() {
    let (local, bucket, setup) = with_odd_names();
    bucket.spell(Spelling::Lost);
    for _ in 0..2 {
        let outcome = run(&local, &bucket, &setup);
        outcome.result.unwrap();
        let stats = &outcome.stats;
        assert_eq!((stats.files_deleted, stats.files_written.remote), (0, 0), "{:?}", outcome.lines);
        for name in ["odd\u{1}", "sub/odd\u{2}+x", "\u{3}/e"] {
            assert!(local.tree().contains_key(name), "{name:?}");
        }
    }
    assert!(
        opened(&bucket).still(&[(path("odd\u{1}"), Expect::File(Some(4), None))])[0]
            .as_ref()
            .unwrap()
            .unwrap()
    );
}

#[test]
fn where_the_characters_of_a_key_stay_lost_nothing_is_taken_for_deleted() {
    let (local, bucket, setup) = with_odd_names();
    bucket.spell(Spelling::LostForGood);
    let before = local.tree();
    let outcome = run(&local, &bucket, &setup);
    outcome.result.unwrap();
    assert_eq!(outcome.stats.files_deleted, 0, "{:?}", outcome.lines);
    assert!(before.keys().all(|name| local.tree().contains_key(name)), "{:?}", local.tree().keys());
    let left_alone = outcome.lines.iter().filter(|line| line.starts_with("skip local del.")).count();
    assert_eq!(left_alone, 3, "{:?}", outcome.lines);
    let error = bucket.target().by_hand().list("", 0).unwrap_err();
    assert!(error.to_string().contains("spell"), "{error}");
}

#[test]
fn a_busy_server_is_a_reason_to_wait() {
    let fake = FakeS3::start();
    let mut session = opened(&fake);
    let is_put = |question: &Question| question.method == "PUT";
    for refusal in
        [Answer::refusal(503, "SlowDown"), Answer::refusal(500, "InternalError"), Answer::new(502, "<html>")]
    {
        fake.answer(is_put, refusal, 1);
        let error = session.write(&path("file"), &mut &b"x"[..], &Put::default()).unwrap_err();
        assert_eq!((error.kind(), error.retry()), (Kind::Busy, Retry::Later), "{error}");
    }
    put(session.as_mut(), "file", b"x");
}

#[test]
fn what_the_server_has_got_wrong_is_told() {
    let fake = FakeS3::start();
    let mut session = opened(&fake);
    let wrong = format!("\"{}\"", "0".repeat(32));
    fake.answer(|question| question.method == "PUT", Answer::new(200, "").header("etag", &wrong), 1);
    let error = session.write(&path("file"), &mut &b"x"[..], &Put::default()).unwrap_err();
    assert!(error.kind() == Kind::Corrupt && error.has_damaged(), "{error}");
    // An ETag that is no sum says nothing.
    fake.answer(|question| question.method == "PUT", Answer::new(200, "").header("etag", "\"opaque\""), 1);
    session.write(&path("file"), &mut &b"x"[..], &Put::default()).unwrap();
}

#[test]
fn what_arrives_damaged_or_short_is_never_whole() {
    let fake = FakeS3::start();
    fake.put("file", b"the content");
    let mut session = opened(&fake);
    let etag = format!("\"{:x}\"", md5::compute(b"the content"));
    let is_get = |question: &Question| question.method == "GET" && question.key == "file";
    fake.answer(is_get, Answer::new(200, "the conTent").header("etag", &etag), 1);
    let error = get(session.as_mut(), "file").unwrap_err();
    assert_eq!((error.kind(), error.retry()), (Kind::Corrupt, Retry::Later), "{error}");
    // What can be told from other versions goes on where it was cut; what cannot is an error.
    fake.answer(is_get, Answer::new(200, "the content").header("etag", &etag).cut_after(5), 1);
    fake.asked();
    assert_eq!(get(session.as_mut(), "file").unwrap(), b"the content");
    let rest = fake.asked().pop().unwrap().headers;
    assert_eq!((rest["range"].as_str(), rest["if-match"].as_str()), ("bytes=5-10", etag.as_str()));
    fake.answer(is_get, Answer::new(200, "the content").cut_after(5), 1);
    let error = get(session.as_mut(), "file").unwrap_err();
    assert_eq!(error.retry(), Retry::NewSession, "{error}");
    // With keys that the server does not tell, an ETag is no sum.
    let locked =
        Answer::new(200, "another").header("etag", &etag).header("x-amz-server-side-encryption", "aws:kms");
    fake.answer(is_get, locked, 1);
    assert_eq!(get(session.as_mut(), "file").unwrap(), b"another");
    assert_eq!(get(session.as_mut(), "file").unwrap(), b"the content");
}

#[test]
fn a_part_that_fails_is_sent_again_and_a_success_that_is_a_refusal_is_seen() {
    let fake = FakeS3::start();
    let mut session = opened(&fake);
    let content = vec![7; 20 << 20];
    fake.answer(|question| question.has("partNumber"), Answer::refusal(503, "SlowDown"), 2);
    fake.answer(
        |question| question.method == "POST" && question.has("uploadId"),
        Answer::refusal(200, "InternalError"),
        1,
    );
    put(session.as_mut(), "large", &content);
    assert!(fake.get("large").unwrap() == content);
    assert_eq!(fake.uploads(), 0);
    fake.answer(
        |question| question.method == "POST" && question.has("uploadId"),
        Answer::refusal(200, "AccessDenied"),
        1,
    );
    let error = session.write(&path("large"), &mut content.as_slice(), &Put::default()).unwrap_err();
    assert_eq!(error.kind(), Kind::Denied, "{error}");
    assert_eq!(fake.uploads(), 0);
}

/// Gives some bytes, then fails.
struct Failing(usize);

impl Read for Failing {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.0 == 0 {
            return Err(Error::new(Kind::Changed, "changed while being read").into_io());
        }
        let count = self.0.min(buffer.len());
        self.0 -= count;
        Ok(count)
    }
}

#[test]
fn an_upload_that_comes_to_nothing_leaves_no_parts() {
    let fake = FakeS3::start();
    let mut session = opened(&fake);
    session.write(&path("large"), &mut Failing(20 << 20), &Put::default()).unwrap_err();
    fake.answer(|question| question.has("partNumber"), Answer::refusal(403, "AccessDenied"), 1);
    let error =
        session.write(&path("large"), &mut io::repeat(1).take(20 << 20), &Put::default()).unwrap_err();
    assert_eq!(error.kind(), Kind::Denied, "{error}");
    assert_eq!((fake.uploads(), fake.get("large")), (0, None));
}

#[test]
fn parts_of_a_run_that_was_killed_are_removed_by_an_upload_of_the_file_a_day_later() {
    let fake = FakeS3::start();
    let mut session = opened(&fake);
    // As a run that is killed leaves it: it cannot say that it gives up.
    fake.answer(|question| question.method == "DELETE" && question.has("uploadId"), Answer::new(500, ""), 1);
    session.write(&path("large"), &mut Failing(20 << 20), &Put::default()).unwrap_err();
    assert_eq!(fake.uploads(), 1);
    let content = vec![3; 9 << 20];
    // They might be those of another program that is at work.
    put(opened(&fake).as_mut(), "large", &content);
    assert_eq!(fake.uploads(), 1);
    fake.let_a_day_pass();
    put(opened(&fake).as_mut(), "large", &content);
    assert_eq!(fake.uploads(), 0);
    assert!(fake.get("large").unwrap() == content);
}

#[test]
fn ranges_of_another_version_are_never_put_together() {
    let fake = FakeS3::start();
    let old = vec![1; 30 << 20];
    fake.put("large", &old);
    let in_ranges = S3Config { in_ranges: Some(true), ..fake.config() };
    let mut session = S3Target::new(in_ranges).unwrap().open().unwrap();
    let mut all = Vec::new();
    let read = session.read(&path("large"), &mut |body| {
        let mut start = vec![0; 1 << 20];
        body.read_exact(&mut start)?;
        fake.put("large", &vec![2; 30 << 20]);
        body.read_to_end(&mut all)?;
        Ok(())
    });
    // Ranges that were fetched ahead may all be of the old version; then it is whole.
    match read {
        Ok(()) => assert!(all.iter().all(|byte| *byte == 1) && all.len() == 29 << 20),
        Err(error) => assert_eq!(error.kind(), Kind::Changed, "{error}"),
    }
}

#[test]
fn a_lost_answer_to_an_upload_is_no_conflict_with_oneself() {
    let fake = FakeS3::start();
    let mut session = opened(&fake);
    let absent = Put { expect: Expect::Absent, ..Put::default() };
    session.write(&path("file"), &mut &b"x"[..], &absent).unwrap();
    // As it is tried again after the answer got lost.
    session.write(&path("file"), &mut &b"x"[..], &absent).unwrap();
    let error = session.write(&path("file"), &mut &b"y"[..], &absent).unwrap_err();
    assert_eq!(error.kind(), Kind::Changed, "{error}");
}

#[test]
fn an_error_that_comes_after_the_work_was_done_is_no_conflict_with_oneself() {
    let is_made = |question: &Question| {
        question.method == "PUT" && !question.has("partNumber")
            || question.method == "POST" && question.has("uploadId")
    };
    let large = vec![5; 9 << 20];
    for knows_conditions in [true, false] {
        for content in [&b"new content"[..], &large] {
            let fake = FakeS3::start();
            if !knows_conditions {
                let is_conditional = |question: &Question| {
                    question.headers.contains_key("if-none-match")
                        || question.headers.contains_key("if-match")
                };
                fake.answer(is_conditional, Answer::refusal(501, "NotImplemented"), 1000);
            }
            for old in [None, Some(&b"old"[..])] {
                let mut session = opened(&fake);
                fake.answer_late(is_made, Answer::new(504, "<html>"), 1);
                let name = if old.is_some() { "file" } else { "new" };
                let expect = match old {
                    None => Expect::Absent,
                    Some(old) => {
                        fake.put(name, old);
                        session.list(&RelPath::root()).unwrap();
                        Expect::File(Some(3), None)
                    }
                };
                let put = Put { expect, ..Put::default() };
                if let Err(error) = session.write(&path(name), &mut &*content, &put) {
                    assert_eq!((error.kind(), error.retry()), (Kind::Busy, Retry::Later), "{error}");
                    session.write(&path(name), &mut &*content, &put).unwrap();
                }
                assert!(fake.get(name).unwrap() == content);
            }
        }
    }
}

#[test]
fn what_a_bucket_encrypts_with_keys_of_its_own_is_not_taken_for_damaged() {
    let fake = FakeS3::start();
    fake.lock_up();
    let mut session = opened(&fake);
    let large = vec![5; 9 << 20];
    let absent = Put { expect: Expect::Absent, ..Put::default() };
    for (name, content) in [("small", &b"content"[..]), ("large", &large)] {
        put(session.as_mut(), name, content);
        assert!(get(session.as_mut(), name).unwrap() == content);
        // As it is tried again after the answer got lost.
        session.write(&path(name), &mut &*content, &absent).unwrap();
        let other = vec![6; content.len()];
        let error = session.write(&path(name), &mut &*other, &absent).unwrap_err();
        assert_eq!(error.kind(), Kind::Changed, "{error}");
    }
}

#[test]
fn etags_in_capitals_and_those_of_parts_that_are_no_sums_are_no_damage() {
    let large = vec![5; 9 << 20];
    for naming in [
        |etag: &str| etag.to_uppercase(),
        |etag: &str| if etag.contains('-') { format!("{}-2", "0".repeat(32)) } else { etag.to_owned() },
    ] {
        let fake = FakeS3::start();
        fake.name_all(naming);
        let mut session = opened(&fake);
        for (name, content) in [("small", &b"content"[..]), ("large", &large)] {
            put(session.as_mut(), name, content);
            assert!(fake.get(name).unwrap() == content);
        }
        assert_eq!(get(session.as_mut(), "small").unwrap(), b"content");
    }
}

#[test]
fn a_copy_that_kept_what_was_written_beside_another_content_can_be_read() {
    let fake = FakeS3::start();
    fake.put("large", &vec![5; 12 << 20]);
    fake.name_version("large", &format!("{}-3", "0".repeat(32)));
    fake.keep_beside("large", "x-amz-meta-part-size", &(8 << 20).to_string());
    fake.put("small", b"another content");
    fake.keep_beside("small", "x-amz-meta-md5chksum", "1B2M2Y8AsgTpgAmY7PhCfg==");
    let mut session = opened(&fake);
    assert_eq!(get(session.as_mut(), "large").unwrap().len(), 12 << 20);
    assert_eq!(get(session.as_mut(), "small").unwrap(), b"another content");
}

/// A run that keeps what it replaces or deletes.
fn keeping(mode: Mode) -> Setup {
    let mut setup = Setup::new(mode);
    setup.policy.delete = true;
    setup.keeping.backup = Some(path("kept"));
    setup.keeping.run = "run".to_owned();
    setup
}

#[test]
fn an_object_that_was_put_together_or_renamed_is_remembered_with_the_time_that_it_has() {
    for is_careless in [false, true] {
        let (local, bucket) = (MemoryTarget::new("/local"), FakeS3::start());
        if is_careless {
            bucket.be_careless();
        }
        for content in [vec![1; 9 << 20], vec![2; 9 << 20], vec![3; 5], vec![4; 6]] {
            local.put("file", &content, at(i64::from(content[0]) * 100));
            let mut setup = keeping(Mode::Sync);
            setup.keeping.run = content[0].to_string();
            let outcome = run(&local, &bucket, &setup);
            assert_eq!(outcome.stats.files_written.remote, 1, "{outcome:?}");
            let outcome = run(&local, &bucket, &setup);
            assert!(outcome.lines.iter().any(|line| line == "equal = file"), "{:?}", outcome.lines);
            assert!(bucket.get("file").unwrap() == content);
        }
    }
}

#[test]
fn what_somebody_writes_while_an_object_is_renamed_stays() {
    let is_copy = |question: &Question| question.headers.contains_key("x-amz-copy-source");
    for is_careless in [false, true] {
        let (local, bucket) = (MemoryTarget::new("/local"), FakeS3::start());
        if is_careless {
            bucket.be_careless();
        }
        ["file", "other"].iter().for_each(|name| local.put(name, b"1234", at(0)));
        let setup = keeping(Mode::Upload);
        run(&local, &bucket, &setup).result.unwrap();
        // While the old object goes aside.
        bucket.then(is_copy, |bucket| bucket.put("file", b"theirs"));
        local.open().unwrap().remove_file(&path("file")).unwrap();
        let outcome = run(&local, &bucket, &setup);
        assert_eq!(bucket.get("file").unwrap(), b"theirs", "{outcome:?}");
        assert!(outcome.warnings.iter().any(|text| text.contains("changed")), "{outcome:?}");
        // When it has gone aside, and before the new one has its name.
        let is_gone = |question: &Question| question.method == "DELETE" && question.key == "other";
        bucket.then(is_gone, |bucket| bucket.put("other", b"theirs"));
        local.put("other", b"of ours", at(100));
        let outcome = run(&local, &bucket, &setup);
        assert_eq!(bucket.get("other").unwrap(), b"theirs", "{outcome:?}");
        assert_eq!(bucket.get("kept/run/other").unwrap(), b"1234", "{outcome:?}");
        assert!(outcome.failures.iter().any(|text| text.contains("changed")), "{outcome:?}");
    }
}

#[test]
fn an_object_that_is_too_large_for_a_copy_is_told_to_be() {
    let fake = FakeS3::start();
    let mut session = opened(&fake);
    let huge = Answer::new(200, "").header("etag", "\"x\"").header("content-length", "6000000000");
    fake.answer(|question| question.method == "HEAD" && question.key == "file", huge, 1);
    fake.answer(|question| question.method == "PUT", Answer::refusal(400, "InvalidRequest"), 1);
    let error = session.rename(&path("file"), &path("second")).unwrap_err();
    assert!(error.to_string().contains("5 GiB"), "{error}");
}

#[test]
fn what_was_deleted_meanwhile_has_changed() {
    let fake = FakeS3::start();
    fake.put("file", b"old");
    let mut session = opened(&fake);
    session.list(&RelPath::root()).unwrap();
    fake.answer(|question| question.method == "PUT", Answer::refusal(404, "NoSuchKey"), 1);
    let listed = Put { expect: Expect::File(Some(3), None), ..Put::default() };
    let error = session.write(&path("file"), &mut &b"new"[..], &listed).unwrap_err();
    assert_eq!(error.kind(), Kind::Changed, "{error}");
}

#[test]
fn a_server_that_knows_no_conditions_is_asked_beforehand() {
    let fake = FakeS3::start();
    let mut session = opened(&fake);
    let is_conditional = |question: &Question| question.headers.contains_key("if-none-match");
    fake.answer(is_conditional, Answer::refusal(501, "NotImplemented"), 1000);
    let absent = Put { expect: Expect::Absent, ..Put::default() };
    session.write(&path("file"), &mut &b"x"[..], &absent).unwrap();
    fake.put("theirs", b"theirs");
    let error = session.write(&path("theirs"), &mut &b"ours"[..], &absent).unwrap_err();
    assert_eq!(error.kind(), Kind::Changed, "{error}");
    assert_eq!(fake.get("theirs").unwrap(), b"theirs");
}

#[test]
fn a_server_that_takes_no_notice_of_conditions_is_found_out_by_the_lock() {
    for is_careless in [false, true] {
        let fake = FakeS3::start();
        if is_careless {
            fake.be_careless();
        }
        let target = fake.target();
        let mut session = target.open().unwrap();
        let absent = Put { expect: Expect::Absent, ..Put::default() };
        session.write(&path(LOCK_FILE_NAME), &mut &b"{}"[..], &absent).unwrap();
        assert_eq!(target.caps().excludes_others, !is_careless);
        session.remove_file(&path(LOCK_FILE_NAME)).unwrap();
        fake.asked();
        session.write(&path(LOCK_FILE_NAME), &mut &b"{}"[..], &absent).unwrap();
        let written = fake.asked().iter().filter(|question| question.method == "PUT").count();
        assert_eq!(written, 1, "it is tried out once");
        fake.put("file", b"theirs");
        let error = session.write(&path("file"), &mut &b"ours"[..], &absent).unwrap_err();
        assert_eq!(error.kind(), Kind::Changed, "{error}");
        assert_eq!(fake.get("file").unwrap(), b"theirs");
    }
}

#[test]
fn a_bucket_in_another_region_is_found_if_the_server_tells() {
    let fake = FakeS3::start();
    let elsewhere = Answer::refusal(301, "PermanentRedirect").header("x-amz-bucket-region", "eu-north-1");
    fake.answer(|question| !question.headers["authorization"].contains("/eu-north-1/"), elsewhere, 1000);
    fake.target().open().unwrap();
    let asked = fake.asked();
    assert!(asked.last().unwrap().headers["authorization"].contains("/eu-north-1/s3/"));

    let silent = FakeS3::start();
    silent.answer(|_| true, Answer::refusal(301, "PermanentRedirect"), 1000);
    let error = refusal(silent.config());
    assert!(error.to_string().contains("--region"), "{error}");

    for status in [301, 307] {
        let elsewhere = FakeS3::start();
        let answer = Answer::new(status, "<html>").header("location", "https://joe:hidden@minio.example/x?y");
        elsewhere.answer(|_| true, answer, 1000);
        let error = refusal(elsewhere.config()).to_string();
        assert!(error.contains("--endpoint-url") && error.contains("(it sends to minio.example)"), "{error}");
    }
}

#[test]
fn a_clock_that_is_wrong_is_set_right() {
    let fake = FakeS3::start();
    fake.answer(
        |question| !question.headers["x-amz-date"].starts_with("20260102T0304"),
        Answer::refusal(403, "RequestTimeTooSkewed"),
        1000,
    );
    fake.target().open().unwrap();
}

#[test]
fn a_wrong_clock_and_another_region_are_seen_in_answers_without_a_body_too() {
    let fake = FakeS3::start();
    fake.put("file", b"x");
    for refusal in [
        Answer::refusal(403, "RequestTimeTooSkewed"),
        Answer::new(
            400,
            "<Error><Code>AuthorizationHeaderMalformed</Code><Region>eu-north-1</Region></Error>",
        ),
    ] {
        let bucket = fake.target().by_hand();
        let is_wrong = |question: &Question| {
            !question.headers["x-amz-date"].starts_with("20260102T0304")
                && !question.headers["authorization"].contains("/eu-north-1/")
        };
        fake.answer(is_wrong, refusal, 2);
        fake.asked();
        assert!(bucket.find("file").unwrap().is_some());
        let asked: Vec<String> = fake.asked().into_iter().map(|question| question.method).collect();
        assert_eq!(asked, ["HEAD", "GET", "HEAD"]);
    }
    fake.answer(|_| true, Answer::refusal(403, "AccessDenied"), 2);
    assert_eq!(fake.target().by_hand().find("file").unwrap_err().kind(), Kind::Denied);
}

/// A bucket that is asked with the keys of a role, which another server lends.
fn with_role() -> (FakeS3, FakeS3, S3Config, tempfile::TempDir) {
    let (fake, lender, home) = (FakeS3::start(), FakeS3::start(), tempfile::tempdir().unwrap());
    std::fs::create_dir(home.path().join(".aws")).unwrap();
    let profile = "[profile mine]\naws_access_key_id = AKMINE\naws_secret_access_key = x\n";
    std::fs::write(home.path().join(".aws/config"), profile).unwrap();
    let token = home.path().join("token");
    std::fs::write(&token, "token").unwrap();
    let mut config = fake.config();
    config.keys = None;
    config.environment.home = Some(home.path().to_owned());
    for (name, value) in [
        ("AWS_ROLE_ARN", "arn:aws:iam::1:role/pod".to_owned()),
        ("AWS_WEB_IDENTITY_TOKEN_FILE", token.to_string_lossy().into_owned()),
        ("AWS_ENDPOINT_URL_STS", lender.config().endpoint.unwrap()),
    ] {
        config.environment.variables.insert(name.to_owned(), value);
    }
    (fake, lender, config, home)
}

#[test]
fn a_profile_that_is_named_counts_more_than_a_role_in_the_environment() {
    let (fake, lender, mut config, _home) = with_role();
    config.profile = Some("mine".to_owned());
    S3Target::new(config).unwrap().open().unwrap();
    assert!(fake.asked().pop().unwrap().headers["authorization"].contains("=AKMINE/"));
    assert!(lender.asked().is_empty());
}

#[test]
fn a_service_of_keys_that_is_busy_is_a_reason_to_wait() {
    let (_fake, lender, config, _home) = with_role();
    lender.answer(|_| true, Answer::new(503, "<html>"), 1000);
    let error = refusal(config);
    assert_eq!((error.kind(), error.retry()), (Kind::Busy, Retry::Later), "{error}");
}

#[test]
fn a_clock_that_is_wrong_is_told_where_roles_are_lent() {
    let (_fake, lender, config, _home) = with_role();
    let told = "<Error><Code>SignatureDoesNotMatch</Code><Message>Signature expired: 1 is now earlier than 2</Message></Error>";
    lender.answer(|_| true, Answer::new(403, told), 1000);
    let error = refusal(config).to_string();
    assert!(
        error.contains("Signature expired") && error.ends_with("set the clock of this computer"),
        "{error}"
    );
}

#[test]
fn keys_never_show() {
    let fake = FakeS3::start();
    fake.answer(|_| true, Answer::refusal(403, "AccessDenied"), 1000);
    let mut config = fake.config();
    config.token = Some(ftpsync::target::ftp::Secret::new("hidden token"));
    let error = refusal(config);
    let shown = format!("{error} {error:?}");
    assert!(!shown.contains("hidden") && !shown.contains("AKFAKE"), "{shown}");
    assert!(shown.contains("policies"), "{shown}");
}

#[test]
fn keys_come_from_files_programs_containers_and_machines() {
    let fake = FakeS3::start();
    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir(home.path().join(".aws")).unwrap();
    std::fs::write(
        home.path().join(".aws/config"),
        format!("[services loc]\ns3 =\n  endpoint_url = {}\n\
         [profile elsewhere]\nservices = loc\naws_access_key_id = AKELSEWHERE\naws_secret_access_key = x\n", fake.config().endpoint.unwrap())
         + "[profile program]\ncredential_process = sh -c 'printf \"{\\\"AccessKeyId\\\":\\\"AKPROGRAM\\\",\\\"SecretAccessKey\\\":\\\"x\\\"}\"'\n\
         [profile plain]\naws_access_key_id = AKPLAIN\naws_secret_access_key = x\nregion = eu-west-1\n\
         [profile sso]\nsso_session = x\n[profile login]\nlogin_session = x\n\
         [profile mfa]\nrole_arn = r\nmfa_serial = m\nsource_profile = plain\n",
    )
    .unwrap();
    let machine = FakeS3::start();
    let told = r#"{"AccessKeyId":"AKMACHINE","SecretAccessKey":"x","Token":"t","Expiration":"2099-01-01T00:00:00Z"}"#;
    machine.answer(|question| question.key.ends_with("api/token"), Answer::new(200, "token"), 1000);
    machine.answer(
        |question| question.key.ends_with("security-credentials/"),
        Answer::new(200, "role\n"),
        1000,
    );
    machine.answer(
        |question| question.key.ends_with("role") || question.key == "creds",
        Answer::new(200, told),
        1000,
    );
    let at = machine.config().endpoint.unwrap();
    let with = |variables: &[(&str, &str)]| {
        let mut config = fake.config();
        config.keys = None;
        config.environment.home = Some(home.path().to_owned());
        config.environment.variables.insert("AWS_EC2_METADATA_SERVICE_ENDPOINT".to_owned(), at.clone());
        for (name, value) in variables {
            config.environment.variables.insert((*name).to_owned(), (*value).to_owned());
        }
        config
    };
    let signed_by = |config: S3Config| {
        S3Target::new(config).unwrap().open().unwrap();
        fake.asked().pop().unwrap().headers["authorization"].clone()
    };
    let own = [("AWS_ACCESS_KEY_ID", "AKOWN"), ("AWS_SECRET_ACCESS_KEY", "x"), ("AWS_PROFILE", "plain")];
    assert!(signed_by(with(&own)).contains("=AKOWN/"));
    assert!(
        signed_by(with(&own[2..])).contains("=AKPLAIN/")
            && signed_by(with(&own[2..])).contains("/eu-west-1/")
    );
    let mut named = with(&own);
    named.profile = Some("plain".to_owned());
    assert!(
        signed_by(named).contains("=AKPLAIN/"),
        "a profile that is named counts more than the environment"
    );
    assert!(signed_by(with(&[("AWS_PROFILE", "program")])).contains("=AKPROGRAM/"));
    let mut elsewhere = with(&[("AWS_PROFILE", "elsewhere")]);
    elsewhere.endpoint = None;
    assert!(
        signed_by(elsewhere).contains("=AKELSEWHERE/"),
        "the endpoint is that of the section of services"
    );
    assert!(
        signed_by(with(&[("AWS_CONTAINER_CREDENTIALS_FULL_URI", &format!("{at}/creds"))]))
            .contains("=AKMACHINE/")
    );
    assert!(signed_by(with(&[])).contains("=AKMACHINE/"));
    assert!(refusal(with(&[("AWS_PROFILE", "sso")])).to_string().contains("credential_process"));
    let login = refusal(with(&[("AWS_PROFILE", "login")])).to_string();
    assert!(login.contains("`aws login`") && login.contains("credential_process"), "{login}");
    let mfa = refusal(with(&[("AWS_PROFILE", "mfa")])).to_string();
    assert!(mfa.contains("\"mfa\"") && mfa.contains("(mfa_serial)") && mfa.contains("--format env"), "{mfa}");
    let variables = [
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", at.as_str()),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "/nowhere/token"),
    ];
    let token = refusal(with(&variables)).to_string();
    assert!(token.contains("could not read \"/nowhere/token\""), "{token}");
    assert!(
        refusal(with(&[("AWS_EC2_METADATA_DISABLED", "true")])).to_string().contains("AWS_ACCESS_KEY_ID")
    );
    let mut anonymous = with(&[]);
    anonymous.anonymous = true;
    S3Target::new(anonymous).unwrap().open().unwrap();
    assert!(!fake.asked().pop().unwrap().headers.contains_key("authorization"));
}

fn refusal(config: S3Config) -> Error {
    let Err(error) = S3Target::new(config).and_then(|target| target.open()) else { panic!("it opened") };
    error
}
