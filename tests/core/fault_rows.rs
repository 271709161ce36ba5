//! Rows of the fault catalogue that need a server, or a side, that behaves badly in its own way.

use crate::contract::path;
use crate::every_command::Shared;
use crate::ftp_conversations::{config, open, trusting};
use crate::ftp_faults::{At, Fault, Mishap};
use crate::ftp_server::{Quirks, Server, Tls};
use crate::tree::{self, Setup, at, user_tree};
use ftpsync::error::{Kind, Result};
use ftpsync::model::{Listing, RelPath, Sides};
use ftpsync::plan::Mode;
use ftpsync::target::ftp::FtpTarget;
use ftpsync::target::memory::{MemoryTarget, Node};
use ftpsync::target::{Caps, Put, Session, Target, Written};
use std::io::Read;
use std::sync::Arc;

/// A side with a bug: it panics when it is asked for a certain file.
#[derive(Clone)]
struct Buggy(MemoryTarget);

impl Target for Buggy {
    fn id(&self) -> &str {
        self.0.id()
    }
    fn base_name(&self) -> &str {
        self.0.base_name()
    }
    fn caps(&self) -> Caps {
        self.0.caps()
    }
    fn open(&self) -> Result<Box<dyn Session>> {
        Ok(Box::new(BuggySession(self.0.open()?)))
    }
}

struct BuggySession(Box<dyn Session>);

impl Session for BuggySession {
    fn list(&mut self, dir: &RelPath) -> Result<Listing> {
        self.0.list(dir)
    }
    fn read(&mut self, file: &RelPath, lend: &mut dyn FnMut(&mut dyn Read) -> Result<()>) -> Result<()> {
        assert!(!file.as_str().ends_with("bad"), "a bug of the program, as this test wants it");
        self.0.read(file, lend)
    }
    fn write(&mut self, file: &RelPath, body: &mut dyn Read, put: &Put) -> Result<Written> {
        self.0.write(file, body, put)
    }
    fn mkdir(&mut self, dir: &RelPath) -> Result<()> {
        self.0.mkdir(dir)
    }
    fn remove_file(&mut self, file: &RelPath) -> Result<()> {
        self.0.remove_file(file)
    }
    fn remove_dir(&mut self, dir: &RelPath) -> Result<()> {
        self.0.remove_dir(dir)
    }
}

#[test]
fn row_16_a_panic_in_a_thread_is_an_error_of_its_file_and_the_others_are_finished() {
    for threads in [1, 4] {
        let (local, remote) = tree::trees();
        for number in 0..20 {
            local.put(&format!("d{}/file{number}", number % 3), b"x", at(0));
        }
        local.put("d1/bad", b"x", at(0));
        remote.put("d1/bad", b"old", at(-100));
        let setup = Setup { threads, ..Setup::new(Mode::Upload) };
        let outcome = tree::run(&Buggy(local.clone()), &remote, &setup);
        assert_eq!(outcome.stats.copy_errors, 1, "{outcome:?}");
        assert!(
            outcome.failures.iter().any(|text| text.contains("d1/bad") && text.contains("internal error")),
            "{outcome:?}"
        );
        let arrived = user_tree(&remote).keys().filter(|path| path.contains("file")).count();
        assert_eq!(arrived, 20, "{outcome:?}");
        let old = tree::run(&local, &remote, &setup);
        assert!(old.result.is_ok());
        assert_eq!(user_tree(&remote), user_tree(&local), "the next run finishes it");
    }
}

#[test]
fn row_82_the_old_file_comes_back_where_a_rename_neither_replaces_nor_succeeds() {
    let (server, mut session) = open(Quirks { keeps_existing: true, ..Quirks::default() });
    server.put("/file", b"old content");
    let at_name = |nth| Fault { at: At::Nth("RNTO /file", nth), mishap: Mishap::Answer("553 not that name") };
    // It does not replace; then the name is free, and the new content does not get it either.
    server.faults().plan([at_name(1)]);
    let error = session.write(&path("file"), &mut &b"new"[..], &Put::default()).unwrap_err();
    assert_eq!(server.faults().happened(), 1, "{error}");
    assert_eq!(server.content("/file").unwrap(), b"old content", "{error}");
    assert_eq!(server.paths(), ["/", "/file"], "nothing else is left");
    session.write(&path("file"), &mut &b"new"[..], &Put::default()).unwrap();
    assert_eq!(server.content("/file").unwrap(), b"new");
}

#[test]
fn row_83_where_names_with_a_dot_are_refused_files_go_and_the_lack_of_memory_is_told() {
    let answers = vec![
        ("STOR /.", "553 names with a dot are forbidden"),
        ("RNTO /.", "553 names with a dot are forbidden"),
        ("MFMT", "500 unknown"),
        ("SITE UTIME", "500 unknown"),
    ];
    let server = Server::start(Quirks { answers, ..Quirks::default() });
    let remote = Shared(Arc::new(FtpTarget::new(config(&server)).unwrap()));
    let local = MemoryTarget::new("/local");
    for name in ["a", "b"] {
        local.put(name, b"content", at(0));
    }
    server.put("/c", b"theirs");
    let setup = Setup::new(Mode::Sync);
    let first = tree::run(&local, &remote, &setup);
    assert_eq!(server.paths(), ["/", "/a", "/b", "/c"], "{first:?}");
    assert!(local.tree().contains_key("c"), "{first:?}");
    let told = [&first.failures[..], &first.warnings[..]].concat();
    assert!(told.iter().any(|text| text.contains("553")), "{first:?}");
    // The memory of the disk is enough: nothing goes twice, and an edit goes once.
    let again = tree::run(&local, &remote, &setup);
    assert_eq!(again.stats.files_written, Sides::default(), "{again:?}");
    local.put("a", b"content, edited", at(500));
    let third = tree::run(&local, &remote, &setup);
    assert_eq!(server.content("/a").unwrap(), b"content, edited", "{third:?}");
}

#[test]
fn row_84_a_server_that_rewrites_line_ends_replaces_nothing_on_either_side() {
    let (server, mut session) = open(Quirks { rewrites_line_ends: true, ..Quirks::default() });
    server.put("/down", b"one\ntwo\n");
    server.put("/up", b"old");
    let text = b"one\r\ntwo\r\n";
    let put = Put { size: Some(text.len() as u64), ..Put::default() };
    let error = session.write(&path("up"), &mut &text[..], &put).unwrap_err();
    assert_eq!(error.kind(), Kind::Size, "{error}");
    assert_eq!(server.content("/up").unwrap(), b"old");
    assert_eq!(server.paths(), ["/", "/down", "/up"]);
    // The run names the files, and what has no line ends still goes.
    let local = MemoryTarget::new("/local");
    local.put("down", b"kept", at(-1000));
    local.put("plain", b"no line ends", at(0));
    let remote = Shared(Arc::new(FtpTarget::new(config(&server)).unwrap()));
    let mut setup = Setup::new(Mode::Download);
    setup.policy.force = true;
    let outcome = tree::run(&local, &remote, &setup);
    assert!(outcome.failures.iter().any(|text| text.contains("down")), "{outcome:?}");
    assert!(
        user_tree(&local)
            .get("down")
            .is_some_and(|node| format!("{node:?}").contains(&format!("{:?}", b"kept")))
    );
    assert!(user_tree(&local).contains_key("up"), "{outcome:?}");
}

#[test]
fn row_36_an_older_backup_of_the_same_size_counts_as_a_change_of_the_server() {
    let server = Server::start(Quirks::default());
    let remote = Shared(Arc::new(FtpTarget::new(config(&server)).unwrap()));
    let local = MemoryTarget::new("/local");
    server.put_at("/a", b"today", "20240202030405");
    let setup = Setup::new(Mode::Sync);
    assert!(tree::run(&local, &remote, &setup).result.is_ok());
    server.put_at("/a", b"older", "20230102030405");
    let outcome = tree::run(&local, &remote, &setup);
    assert!(outcome.result.is_ok() && outcome.stats.conflict_files == 0, "{outcome:?}");
    assert!(matches!(&user_tree(&local)["a"], Node::File(bytes, _) if bytes == b"older"), "{outcome:?}");
    assert_eq!(server.content("/a").unwrap(), b"older");
}

#[test]
fn row_61_folders_within_folders_without_end_are_given_up_and_the_rest_is_done() {
    let server = Server::start(Quirks::default());
    let mut folder = String::new();
    for _ in 0..300 {
        folder.push_str("/d");
        server.put_folder(&folder);
    }
    for file in ["/f", "/d/d/d/f", &format!("{folder}/f")] {
        server.put(file, b"x");
    }
    let remote = Shared(Arc::new(FtpTarget::new(config(&server)).unwrap()));
    let local = MemoryTarget::new("/local");
    local.put("known", b"x", at(0));
    let mut setup = Setup::new(Mode::Download);
    (setup.policy.delete, setup.policy.force) = (true, true);
    let outcome = tree::run(&local, &remote, &setup);
    let told = format!("{:?} {:?}", outcome.failures, outcome.result);
    assert!(told.contains("more than 256 folders"), "{told}");
    let arrived: Vec<String> = user_tree(&local).into_keys().filter(|path| path.ends_with('f')).collect();
    assert_eq!(arrived, ["d/d/d/f", "f"], "{told}");
}

#[test]
fn row_90_where_data_is_not_protected_nothing_is_sent() {
    let answers = vec![("PROT", "534 not here")];
    let server = Server::start(Quirks { tls: Some(Tls::New), answers, ..Quirks::default() });
    server.put("/file", b"content");
    let error = FtpTarget::new(trusting(&server)).unwrap().open().err().expect("a refusal");
    assert!(error.to_string().contains("534 not here"), "{error}");
    let said = server.script().join("\n");
    assert!(!said.contains("PASV") && !said.contains("EPSV") && !said.contains("MLSD"), "{said}");
}
