//! Folders that are swapped for links while a run is at work lead nobody out of the root.

use crate::contract::path;
use crate::tree::{Setup, at, run, user_tree};
use ftpsync::error::Kind;
use ftpsync::model::{RelPath, Side, Stamp};
use ftpsync::plan::{CaseMode, Mode};
use ftpsync::target::local::{Links, LocalTarget};
use ftpsync::target::memory::MemoryTarget;
use ftpsync::target::{Expect, Put, Session, Target};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

fn session(root: &Path, links: Links) -> Box<dyn Session> {
    LocalTarget::new(root, links).unwrap().open().unwrap()
}

fn text(session: &mut dyn Session, file: &str) -> Option<Vec<u8>> {
    crate::contract::get(session, file).ok()
}

/// As long as `work` goes on, `swapped` is a folder, then a link to `outside`, then a folder again.
fn while_swapping(root: &Path, outside: &Path, work: impl FnOnce()) {
    let (folder, aside, link) = (root.join("swapped"), root.join("aside"), root.join("link"));
    fs::create_dir(&folder).unwrap();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                let _ = symlink(outside, &link);
                fs::rename(&folder, &aside).unwrap();
                fs::rename(&link, &folder).unwrap();
                std::thread::yield_now();
                fs::remove_file(&folder).unwrap();
                fs::rename(&aside, &folder).unwrap();
                std::thread::yield_now();
            }
        });
        work();
        is_over.store(true, Ordering::Relaxed);
    });
}

#[test]
fn row_26_a_folder_swapped_for_a_link_leads_nobody_out_of_the_root() {
    let (root, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::write(outside.path().join("precious"), "theirs").unwrap();
    fs::create_dir(outside.path().join("folder")).unwrap();
    let mut session = session(root.path(), Links::Inside);
    let session = session.as_mut();
    while_swapping(root.path(), outside.path(), || {
        for number in 0..3000 {
            let file = path(&format!("swapped/{}", number % 7));
            let inplace = number % 2 == 0;
            let put = Put { inplace, ..Put::default() };
            drop(session.write(&file, &mut &b"ours"[..], &put));
            let precious = path("swapped/precious");
            assert_ne!(text(session, "swapped/precious").as_deref(), Some(&b"theirs"[..]));
            drop(session.remove_file(&precious));
            drop(session.remove_dir(&path("swapped/folder")));
            drop(session.mkdir(&path("swapped/made")));
            drop(session.set_mtime(&precious, Stamp::new(1, 0)));
            drop(session.rename(&precious, &path("stolen")));
            drop(session.keep(&precious, &path("stolen")));
            drop(session.rename(&file, &path("swapped/precious2")));
            if let Ok(listing) = session.list(&path("swapped")) {
                let names = listing.entries.iter().map(|entry| entry.name.as_str());
                assert!(!names.into_iter().any(|name| name == "precious"));
            }
        }
    });
    let left: Vec<_> = fs::read_dir(outside.path()).unwrap().map(|item| item.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "{left:?}");
    assert_eq!(fs::read(outside.path().join("precious")).unwrap(), b"theirs");
    assert!(!root.path().join("stolen").exists());
    // What the race may have met or not: a folder is written into, a link is not.
    let file = path("swapped/file");
    session.write(&file, &mut &b"ours"[..], &Put::default()).unwrap();
    fs::rename(root.path().join("swapped"), root.path().join("aside")).unwrap();
    symlink(outside.path(), root.path().join("swapped")).unwrap();
    // For a moment the handle of the folder is kept: what is written meanwhile goes where the folder went.
    let mut refused = None;
    let deadline = Instant::now() + Duration::from_secs(10);
    while refused.is_none() && Instant::now() < deadline {
        refused = session.write(&file, &mut &b"still ours"[..], &Put::default()).err();
        assert!(!outside.path().join("file").exists());
    }
    assert_eq!(refused.unwrap().kind(), Kind::Refused);
}

#[test]
fn row_27_links_inside_the_root_are_gone_through_and_others_only_if_wanted() {
    let (root, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::create_dir(root.path().join("real")).unwrap();
    symlink("real", root.path().join("inside")).unwrap();
    symlink(outside.path(), root.path().join("outside")).unwrap();
    let put = Put::default();
    for links in [Links::Inside, Links::Follow, Links::Skip] {
        let mut session = session(root.path(), links);
        let inside = session.write(&path("inside/a"), &mut &b"a"[..], &put);
        let beyond = session.write(&path("outside/b"), &mut &b"b"[..], &put);
        assert_eq!(inside.is_ok(), links != Links::Skip);
        assert_eq!(beyond.is_ok(), links == Links::Follow);
        if let Err(error) = beyond {
            assert_eq!(error.kind(), Kind::Refused, "{error}");
        }
        assert_eq!(text(session.as_mut(), "inside/a").is_some(), links != Links::Skip);
        assert_eq!(text(session.as_mut(), "outside/b").is_some(), links == Links::Follow);
    }
    assert_eq!(fs::read(root.path().join("real/a")).unwrap(), b"a");
    assert_eq!(fs::read(outside.path().join("b")).unwrap(), b"b");
}

#[test]
fn row_30_a_file_on_its_way_is_private_and_has_a_name_of_its_own() {
    struct Looking<'a>(&'a Path, Vec<(String, u32)>);
    impl std::io::Read for Looking<'_> {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            for item in fs::read_dir(self.0)? {
                let item = item?;
                let name = item.file_name().to_string_lossy().into_owned();
                self.1.push((name, item.metadata()?.permissions().mode() & 0o777));
            }
            Ok(0)
        }
    }
    let root = tempfile::tempdir().unwrap();
    let mut session = session(root.path(), Links::Inside);
    let mut names = Vec::new();
    for _ in 0..3 {
        let mut body = Looking(root.path(), Vec::new());
        session.write(&path("file"), &mut body, &Put::default()).unwrap();
        body.1.retain(|(name, _)| name != "file");
        assert_eq!(body.1.len(), 1);
        assert_eq!(body.1[0].1, 0o600);
        names.push(body.1.remove(0).0);
    }
    names.sort();
    names.dedup();
    assert_eq!(names.len(), 3);
    let listed = session.list(&RelPath::root()).unwrap();
    assert_eq!(listed.entries.len(), 1, "nothing else is left");
}

#[test]
fn what_cannot_be_looked_at_does_not_count_as_gone() {
    let (root, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    std::os::unix::fs::symlink(elsewhere.path(), root.path().join("link")).unwrap();
    let mut session = session(root.path(), Links::Inside);
    let claims = [(path("link/file"), Expect::Absent), (path("none/file"), Expect::Absent)];
    let answers: Vec<_> = session.still(&claims).into_iter().map(Result::unwrap).collect();
    assert_eq!(answers, [Some(false), Some(true)]);
}

#[test]
fn a_file_behind_a_folder_that_is_none_is_neither_there_nor_written() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("file"), "x").unwrap();
    let mut session = session(root.path(), Links::Inside);
    let below = path("file/below");
    assert!(session.write(&below, &mut &b"x"[..], &Put::default()).is_err());
    let claims = [(below.clone(), Expect::Absent), (below, Expect::File(None, None))];
    let answers: Vec<_> = session.still(&claims).into_iter().map(Result::unwrap).collect();
    assert_eq!(answers, [Some(true), Some(false)]);
}

#[test]
fn what_is_kept_has_two_names_and_never_takes_one_that_something_has() {
    let root = tempfile::tempdir().unwrap();
    for (name, text) in [("file", "old"), ("taken", "precious")] {
        std::fs::write(root.path().join(name), text).unwrap();
    }
    let target = LocalTarget::new(root.path(), Links::Inside).unwrap();
    let mut session = target.open().unwrap();
    assert_eq!(session.keep(&path("file"), &path("taken")).unwrap_err().kind(), Kind::Exists);
    session.keep(&path("file"), &path("kept")).unwrap();
    for (name, text) in [("file", "old"), ("kept", "old"), ("taken", "precious")] {
        assert_eq!(std::fs::read_to_string(root.path().join(name)).unwrap(), text, "{name}");
    }
}

#[test]
fn what_is_left_out_under_one_spelling_keeps_the_other_one_where_they_are_one_name() {
    for spelling in Side::BOTH {
        let root = tempfile::tempdir().unwrap();
        let (local, remote) =
            (LocalTarget::new(root.path(), Links::Inside).unwrap(), MemoryTarget::new("/remote"));
        for name in ["keep", "more", "Photo"] {
            fs::write(root.path().join(name), name).unwrap();
        }
        remote.put("photo", b"remote", at(-100));
        let mut setup = Setup::new(Mode::Sync);
        setup.policy.case = CaseMode::As(spelling);
        let outcome = run(&local, &remote, &setup);
        assert!(outcome.result.is_ok() && outcome.stats.files_written.remote == 3, "{outcome:?}");
        // Whoever has moved it to another disk has left a link.
        fs::remove_file(root.path().join("Photo")).unwrap();
        symlink("/elsewhere/photo", root.path().join("Photo")).unwrap();
        for mode in [Mode::Sync, Mode::Upload, Mode::Download] {
            setup.policy.mode = mode;
            setup.policy.delete = mode != Mode::Sync;
            let outcome = run(&local, &remote, &setup);
            assert!(user_tree(&remote).contains_key("photo"), "{mode:?}: {outcome:?}");
            assert!(!root.path().join("photo").exists(), "{mode:?}: {outcome:?}");
        }
    }
}
