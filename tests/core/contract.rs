//! What every target promises, as claims that are checked on a real one.
//!
//! `check` runs on an empty, writable target and leaves it empty. A new kind of target adds one line that calls it.

use ftpsync::error::{Error, Kind, Result};
use ftpsync::model::{Entry, Listing, RelPath, Stamp};
use ftpsync::target::{Expect, Put, Session, Target};
use std::io::{self, Read};

/// Checks every promise of [`Target`] and [`Session`].
pub fn check(target: &dyn Target) {
    let mut session = target.open().expect("the target opens");
    let session = session.as_mut();
    assert!(target.caps().sessions >= 1);
    assert!(!target.id().is_empty() && !target.base_name().is_empty());
    assert_names(session, "", &[]);
    assert!(session.is_alive());

    what_is_written_is_listed_and_read(session);
    times_are_kept_if_claimed(target, session);
    a_failed_write_leaves_the_old_content(session);
    a_wrong_size_is_an_error(session);
    readers_that_stop_early_do_no_harm(session);
    files_are_read_from_the_middle_if_claimed(session);
    files_are_written_in_parts_where_that_can_be(session);
    missing_things_are_not_found(session);
    folders_nest_and_are_removed_only_when_empty(session);
    odd_names_are_kept(session);
    files_are_removed_in_bursts(session);
    files_written_behind_are_there_once_settled(session);
    renaming_replaces(target, session);
    looking_again_tells_the_truth_or_nothing(session);
    what_was_changed_meanwhile_is_not_replaced(session);
    sessions_work_side_by_side(target);
    an_interrupt_ends_conversations(target);
    assert_names(session_again(target).as_mut(), "", &[]);
}

fn files_written_behind_are_there_once_settled(session: &mut dyn Session) {
    put(session, "old", b"old");
    put(session, "old", b"older");
    let mut missing = std::collections::BTreeSet::new();
    for (file, content) in [("old", "new"), ("one", "1"), ("two", ""), ("three", "3")] {
        let mtime = Some(Stamp::new(1_600_000_000, 0));
        let put = Put { size: Some(content.len() as u64), mtime, ..Put::default() };
        match session.write_behind(&path(file), &mut content.as_bytes(), &put).expect("writes") {
            Some(written) => assert_eq!(written.size, content.len() as u64),
            None => assert!(missing.insert(path(file))),
        }
        for (file, written) in session.settled(false).expect("settles") {
            written.expect("is in place");
            assert!(missing.remove(&file));
        }
    }
    for (file, written) in session.settled(true).expect("settles") {
        assert_eq!(
            written.expect("is in place").size,
            get(session, file.as_str()).expect("reads").len() as u64
        );
        assert!(missing.remove(&file));
    }
    assert!(missing.is_empty(), "{missing:?}");
    assert_names(session, "", &["old", "one", "three", "two"]);
    for (file, content) in [("old", "new"), ("one", "1"), ("two", ""), ("three", "3")] {
        assert_eq!(get(session, file).expect("reads"), content.as_bytes());
        remove(session, file);
    }
}

fn session_again(target: &dyn Target) -> Box<dyn Session> {
    target.open().expect("the target opens again")
}

/// A path from text.
pub fn path(text: &str) -> RelPath {
    RelPath::parse(text).expect("a plain path")
}

/// Puts a file with this content.
pub fn put(session: &mut dyn Session, file: &str, content: &[u8]) {
    let put = Put { size: Some(content.len() as u64), ..Put::default() };
    let written = session.write(&path(file), &mut &*content, &put).expect("writes");
    assert_eq!(written.size, content.len() as u64);
}

/// The content of a file.
pub fn get(session: &mut dyn Session, file: &str) -> Result<Vec<u8>> {
    let mut content = Vec::new();
    session.read(&path(file), &mut |body| {
        content.clear();
        body.read_to_end(&mut content)?;
        Ok(())
    })?;
    Ok(content)
}

fn listing(session: &mut dyn Session, dir: &str) -> Listing {
    session.list(&path(dir)).expect("lists")
}

fn entry(session: &mut dyn Session, file: &str) -> Entry {
    let file = path(file);
    let listing = session.list(&file.parent().unwrap()).expect("lists");
    let found = listing.entries.into_iter().find(|entry| entry.name.as_str() == file.file_name());
    found.unwrap_or_else(|| panic!("{file} is listed"))
}

/// Claims that a folder holds exactly these names.
pub fn assert_names(session: &mut dyn Session, dir: &str, names: &[&str]) {
    let listing = listing(session, dir);
    let mut found: Vec<&str> = listing.entries.iter().map(|entry| entry.name.as_str()).collect();
    let mut names = names.to_vec();
    found.sort_unstable();
    names.sort_unstable();
    assert_eq!(found, names, "{:?}", listing.notes);
}

fn remove(session: &mut dyn Session, file: &str) {
    session.remove_file(&path(file)).expect("removes");
}

fn what_is_written_is_listed_and_read(session: &mut dyn Session) {
    let large: Vec<u8> =
        (0..5 * 1024 * 1024_u32).map(|index| (index.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let line_ends = b"a\r\nb\nc\r\n\xff\xf4\0".to_vec();
    for (name, content) in [("empty", Vec::new()), ("small", line_ends), ("large", large)] {
        put(session, name, &content);
        let entry = entry(session, name);
        assert!(entry.is_file());
        assert_eq!(entry.size, Some(content.len() as u64), "{name}");
        assert!(get(session, name).unwrap() == content, "{name}");
        remove(session, name);
    }
    put(session, "again", b"old content");
    put(session, "again", b"new");
    assert_eq!(get(session, "again").unwrap(), b"new");
    assert_names(session, "", &["again"]);
    remove(session, "again");
}

fn times_are_kept_if_claimed(target: &dyn Target, session: &mut dyn Session) {
    let at = Stamp::new(1_600_000_000, 0);
    let with_time = Put { mtime: Some(at), ..Put::default() };
    let written = session.write(&path("timed"), &mut &b"x"[..], &with_time).unwrap();
    let listed = entry(session, "timed").mtime;
    if written.mtime_kept {
        let listed = listed.expect("a time");
        let allowed = 2.max(i64::from(listed.grain()));
        assert!((listed.seconds() - at.seconds()).abs() <= allowed, "{listed:?}");
    }
    if target.caps().sets_mtime {
        assert!(written.mtime_kept);
        let later = Stamp::new(1_650_000_000, 0);
        session.set_mtime(&path("timed"), later).unwrap();
        let listed = entry(session, "timed").mtime.expect("a time");
        let allowed = 2.max(i64::from(listed.grain()));
        assert!((listed.seconds() - later.seconds()).abs() <= allowed, "{listed:?}");
    } else {
        let error = session.set_mtime(&path("timed"), at).unwrap_err();
        assert_eq!(error.kind(), Kind::Unsupported);
    }
    remove(session, "timed");
}

/// Gives some bytes, then fails.
struct Failing(usize);

impl Read for Failing {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.0 == 0 {
            return Err(Error::new(Kind::Changed, "changed while being read").at("elsewhere").into_io());
        }
        let count = self.0.min(buffer.len());
        buffer[..count].fill(b'n');
        self.0 -= count;
        Ok(count)
    }
}

fn a_failed_write_leaves_the_old_content(session: &mut dyn Session) {
    put(session, "kept", b"old content");
    for length in [0, 10, 1_000_000] {
        let error = session.write(&path("kept"), &mut Failing(length), &Put::default()).unwrap_err();
        assert_eq!(error.kind(), Kind::Changed, "{error}");
        assert_eq!(error.path(), Some("elsewhere"));
        assert_eq!(error.to_string(), "\"elsewhere\": changed while being read");
        assert_eq!(get(session, "kept").unwrap(), b"old content");
        assert_names(session, "", &["kept"]);
        session.write(&path("new"), &mut Failing(length), &Put::default()).unwrap_err();
        assert_names(session, "", &["kept"]);
    }
    remove(session, "kept");
}

fn a_wrong_size_is_an_error(session: &mut dyn Session) {
    put(session, "sized", b"old");
    for size in [0, 3, 5, 1_000_000] {
        let put = Put { size: Some(size), ..Put::default() };
        let error = session.write(&path("sized"), &mut &b"1234"[..], &put).unwrap_err();
        assert_eq!(error.kind(), Kind::Size, "{error}");
        assert_eq!(get(session, "sized").unwrap(), b"old");
    }
    assert_names(session, "", &["sized"]);
    remove(session, "sized");
}

fn readers_that_stop_early_do_no_harm(session: &mut dyn Session) {
    let content = vec![7; 3 * 1024 * 1024];
    put(session, "long", &content);
    for length in [0, 1, 100_000, content.len()] {
        let mut start = vec![0; length];
        session.read(&path("long"), &mut |body| Ok(body.read_exact(&mut start)?)).unwrap();
        assert!(start == content[..length]);
        let error = session
            .read(&path("long"), &mut |body| {
                body.read_exact(&mut start)?;
                Err(Error::new(Kind::Full, "no room here"))
            })
            .unwrap_err();
        assert_eq!(error.to_string(), "no room here");
    }
    assert!(get(session, "long").unwrap() == content);
    remove(session, "long");
}

fn files_are_read_from_the_middle_if_claimed(session: &mut dyn Session) {
    if !session.can_read_from() {
        return;
    }
    let content: Vec<u8> = (0..2_000_000_u32).map(|at| (at / 7) as u8).collect();
    put(session, "long", &content);
    for start in [0, 1, 1_234_567, content.len()] {
        let mut rest = Vec::new();
        let read = session.read_from(&path("long"), start as u64, &mut |body| {
            rest.clear();
            body.read_to_end(&mut rest)?;
            Ok(())
        });
        read.expect("reads the rest");
        assert!(rest == content[start..], "from {start}");
        let mut some = vec![0; 300_000.min(content.len() - start)];
        session.read_from(&path("long"), start as u64, &mut |body| Ok(body.read_exact(&mut some)?)).unwrap();
        assert!(some == content[start..start + some.len()], "from {start}, not to the end");
    }
    assert!(get(session, "long").unwrap() == content);
    remove(session, "long");
}

fn files_are_written_in_parts_where_that_can_be(session: &mut dyn Session) {
    put(session, "parted", b"old");
    let mtime = Some(Stamp::new(1_600_000_000, 0));
    let wanted = Put { size: Some(8), mtime, ..Put::default() };
    let Some(parts) = session.write_parts(&path("parted"), &wanted).expect("begins") else {
        return remove(session, "parted");
    };
    parts.write_at(4, b"5678").unwrap();
    assert_eq!(get(session, "parted").unwrap(), b"old");
    parts.write_at(0, b"1234").unwrap();
    assert_eq!(parts.finish().expect("is in place").size, 8);
    parts.discard();
    drop(parts);
    assert_eq!(get(session, "parted").unwrap(), b"12345678");
    assert_eq!(entry(session, "parted").mtime, mtime);

    let changed = Put { expect: Expect::File(Some(3), None), ..wanted };
    for (put, is_short, kind) in [(wanted, true, Kind::Size), (changed, false, Kind::Changed)] {
        let parts = session.write_parts(&path("parted"), &put).expect("begins").expect("again");
        parts.write_at(0, if is_short { b"short" } else { b"complete" }).unwrap();
        let error = parts.finish().unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        drop(parts);
        assert_eq!(get(session, "parted").unwrap(), b"12345678");
    }
    let dropped = session.write_parts(&path("parted"), &wanted).expect("begins").expect("again");
    dropped.write_at(0, b"nobody").unwrap();
    drop(dropped);
    assert_names(session, "", &["parted"]);
    remove(session, "parted");
}

fn missing_things_are_not_found(session: &mut dyn Session) {
    let nothing = path("nothing here");
    let mut lent = false;
    let read = session.read(&nothing, &mut |_| {
        lent = true;
        Ok(())
    });
    assert!(!lent);
    let outcomes = [
        read,
        session.list(&nothing).map(|_| ()),
        session.remove_file(&nothing),
        session.remove_dir(&nothing),
    ];
    for (index, outcome) in outcomes.into_iter().enumerate() {
        let error = outcome.unwrap_err();
        assert_eq!(error.kind(), Kind::NotFound, "{index}: {error}");
        assert_eq!(error.path(), Some("nothing here"));
    }
    let orphan = session.write(&path("nowhere/file"), &mut &b"x"[..], &Put::default());
    assert!(orphan.is_err());
}

fn folders_nest_and_are_removed_only_when_empty(session: &mut dyn Session) {
    for dir in ["a", "a/b", "a/b/c d", "a"] {
        session.mkdir(&path(dir)).unwrap();
    }
    put(session, "a/b/c d/file", b"deep");
    assert_names(session, "", &["a"]);
    assert_names(session, "a/b", &["c d"]);
    assert_names(session, "a/b/c d", &["file"]);
    assert!(entry(session, "a/b").is_folder());
    assert_eq!(get(session, "a/b/c d/file").unwrap(), b"deep");
    assert!(session.remove_dir(&path("a/b")).is_err());
    let error = session.mkdir(&path("a/b/c d/file")).unwrap_err();
    assert_eq!(error.kind(), Kind::Exists, "{error}");
    remove(session, "a/b/c d/file");
    for dir in ["a/b/c d", "a/b", "a"] {
        session.remove_dir(&path(dir)).unwrap();
    }
}

fn odd_names_are_kept(session: &mut dyn Session) {
    let names = [
        "a b",
        "[x]",
        "{y}",
        "a;b",
        "a; b=c; d",
        "it's \"quoted\"",
        "über",
        "日本",
        "~tilde",
        "-rf",
        "100%",
        "a -> b",
        "#hash",
        "a&b",
        "x=y",
        ".dot",
        "a*b?",
    ];
    for name in names {
        put(session, name, name.as_bytes());
    }
    assert_names(session, "", &names);
    for name in names {
        assert_eq!(get(session, name).unwrap(), name.as_bytes(), "{name}");
        remove(session, name);
    }
    // ProFTPD takes a star in the name of a file, but not in that of a folder.
    let names = names.map(|name| name.trim_end_matches("*b?"));
    for name in names {
        session.mkdir(&path(name)).unwrap();
        put(session, &format!("{name}/{name}"), b"inside");
    }
    for name in names {
        assert_names(session, name, &[name]);
        remove(session, &format!("{name}/{name}"));
        session.remove_dir(&path(name)).unwrap();
    }
}

fn files_are_removed_in_bursts(session: &mut dyn Session) {
    let names: Vec<String> = (0..100).map(|number| format!("file {number}")).collect();
    for name in &names {
        put(session, name, b"");
    }
    let mut files: Vec<RelPath> = names.iter().map(|name| path(name)).collect();
    files.insert(50, path("not there"));
    let results = session.remove_files(&files);
    assert_eq!(results.len(), files.len());
    for (file, result) in files.iter().zip(results) {
        match result {
            Ok(()) => assert_ne!(file.as_str(), "not there"),
            Err(error) => assert_eq!((error.kind(), file.as_str()), (Kind::NotFound, "not there")),
        }
    }
    assert_names(session, "", &[]);
}

fn renaming_replaces(target: &dyn Target, session: &mut dyn Session) {
    put(session, "from", b"new");
    put(session, "to", b"old");
    let renamed = session.rename(&path("from"), &path("to"));
    if target.caps().renames {
        renamed.unwrap();
        assert_names(session, "", &["to"]);
        assert_eq!(get(session, "to").unwrap(), b"new");
    } else {
        assert_eq!(renamed.unwrap_err().kind(), Kind::Unsupported);
        remove(session, "from");
    }
    remove(session, "to");
}

fn looking_again_tells_the_truth_or_nothing(session: &mut dyn Session) {
    put(session, ".kept", b"1234");
    let listed = entry(session, ".kept");
    let claims = [
        (".kept", Expect::File(listed.size, listed.mtime), true),
        (".kept", Expect::File(Some(5), listed.mtime), false),
        (".kept", Expect::Absent, false),
        ("free", Expect::File(Some(4), None), false),
        ("free", Expect::Absent, true),
    ];
    let names = claims.map(|(name, expect, _)| (path(name), expect));
    let answers = session.still(&names);
    assert_eq!(answers.len(), claims.len());
    for ((name, expect, truth), answer) in claims.into_iter().zip(answers) {
        let answer = answer.expect("an answer");
        assert!(answer.is_none_or(|answer| answer == truth), "{name} {expect:?}: {answer:?}");
    }
    remove(session, ".kept");
}

fn what_was_changed_meanwhile_is_not_replaced(session: &mut dyn Session) {
    put(session, "edited", b"1234");
    for expect in [Expect::Absent, Expect::File(Some(5), None)] {
        let told = session.still(&[(path("edited"), expect)]).remove(0).expect("an answer");
        let put_over = Put { expect, size: Some(3), ..Put::default() };
        let written = session.write(&path("edited"), &mut &b"new"[..], &put_over);
        if told == Some(false) {
            assert_eq!(written.unwrap_err().kind(), Kind::Changed);
            assert_eq!(get(session, "edited").unwrap(), b"1234");
            continue;
        }
        written.expect("a side that cannot tell writes");
        put(session, "edited", b"1234");
    }
    remove(session, "edited");
}

fn sessions_work_side_by_side(target: &dyn Target) {
    std::thread::scope(|scope| {
        for worker in 0..target.caps().sessions.min(4) {
            scope.spawn(move || {
                let mut session = session_again(target);
                let dir = format!("worker {worker}");
                session.mkdir(&path(&dir)).unwrap();
                for round in 0..10 {
                    let file = format!("{dir}/{round}");
                    let content = format!("{worker} {round}").into_bytes();
                    put(session.as_mut(), &file, &content);
                    assert_eq!(get(session.as_mut(), &file).unwrap(), content);
                }
                assert_eq!(listing(session.as_mut(), &dir).entries.len(), 10);
                for round in 0..10 {
                    remove(session.as_mut(), &format!("{dir}/{round}"));
                }
                session.remove_dir(&path(&dir)).unwrap();
                session.close();
            });
        }
    });
}

fn an_interrupt_ends_conversations(target: &dyn Target) {
    if !target.caps().is_networked {
        return;
    }
    let mut session = session_again(target);
    target.interrupt();
    assert!(session.list(&RelPath::root()).is_err());
    assert!(session.list(&RelPath::root()).is_err());
}
