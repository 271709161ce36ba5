//! Single mishaps with an FTP server, each at a moment of its own choosing.

use crate::contract::path;
use crate::every_command::Shared;
use crate::ftp_conversations::{config, open, open_learned};
use crate::ftp_faults::{At, Fault, Gate, Mishap};
use crate::ftp_server::{Node, Quirks, Server};
use crate::tree::{self, Setup};
use ftpsync::error::Retry;
use ftpsync::model::{RelPath, Stamp};
use ftpsync::plan::Mode;
use ftpsync::target::ftp::FtpTarget;
use ftpsync::target::local::{Links, LocalTarget};
use ftpsync::target::{Expect, Put};
use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

fn fault(start: &'static str, nth: usize, mishap: Mishap) -> Fault {
    Fault { at: At::Nth(start, nth), mishap }
}

/// A server and a folder of the disk.
struct Pair {
    server: Server,
    folder: tempfile::TempDir,
}

impl Pair {
    fn new() -> Self {
        Pair { server: Server::start(Quirks::default()), folder: tempfile::tempdir().unwrap() }
    }

    fn put(&self, name: &str, content: &[u8]) {
        fs::write(self.folder.path().join(name), content).unwrap();
    }

    fn content(&self, name: &str) -> Option<Vec<u8>> {
        fs::read(self.folder.path().join(name)).ok()
    }

    fn run(&self) -> tree::Outcome {
        let local = LocalTarget::new(self.folder.path(), Links::Inside).unwrap();
        let remote = Shared(Arc::new(FtpTarget::new(config(&self.server)).unwrap()));
        tree::run(&local, &remote, &Setup::new(Mode::Sync))
    }

    /// Does something while the server holds back this command.
    fn run_and_meanwhile(&self, command: &'static str, act: impl FnOnce()) -> tree::Outcome {
        let gate = Arc::new(Gate::default());
        self.server.faults().plan([fault(command, 0, Mishap::Hold(Arc::clone(&gate)))]);
        std::thread::scope(|scope| {
            let running = scope.spawn(|| self.run());
            let is_reached = gate.is_reached();
            act();
            gate.open();
            assert!(is_reached, "the server never heard {command}");
            running.join().unwrap()
        })
    }

    fn is_in_step(&self) -> bool {
        let idle = self.run();
        idle.result.is_ok() && idle.stats.entries_touched == 0
    }
}

#[test]
fn no_file_is_forgotten_when_a_refused_rename_ends_the_conversation() {
    let (server, mut session) = open_learned(Quirks::default());
    let put = Put {
        expect: Expect::Absent,
        size: Some(1),
        mtime: Some(Stamp::new(1_600_000_000, 0)),
        ..Put::default()
    };
    let names = ["a", "b", "c", "d"];
    // The rename of the second file is refused; the second attempt breaks the conversation.
    server.faults().plan([fault("RNTO", 1, Mishap::Answer("550 not now")), fault("RNFR", 2, Mishap::Reset)]);
    let mut told: Vec<RelPath> = Vec::new();
    let mut ended = None;
    for name in names {
        match session.write_behind(&path(name), &mut &b"x"[..], &put) {
            Ok(Some(_)) => told.push(path(name)),
            Ok(None) => {}
            Err(error) => {
                ended = Some((name, error));
                break;
            }
        }
        told.extend(session.settled(false).unwrap().into_iter().map(|(file, _)| file));
    }
    let (at, error) = ended.expect("the conversation ends");
    assert_eq!(error.retry(), Retry::NewSession, "{error}");
    told.extend(session.unsettled());
    let mut before = names.iter().take_while(|name| **name != at).map(|name| path(name));
    assert!(
        before.all(|file| told.contains(&file)),
        "before {at}, only these are told or still to be told: {told:?}"
    );
}

#[test]
fn a_reply_without_end_is_refused_at_once() {
    let (server, mut session) = open(Quirks::default());
    server.put("/a", b"x");
    server.faults().plan([fault("MLSD", 0, Mishap::Flood)]);
    let begun = Instant::now();
    let error = session.list(&RelPath::root()).unwrap_err();
    assert_eq!(error.retry(), Retry::NewSession, "{error}");
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    assert_eq!(server.faults().happened(), 1);
}

#[test]
fn a_slow_answer_is_waited_for() {
    let (server, mut session) = open(Quirks::default());
    server.put("/a", b"x");
    server.faults().plan([fault("MLSD", 0, Mishap::Delay(Duration::from_millis(300)))]);
    assert_eq!(session.list(&RelPath::root()).unwrap().entries.len(), 1);
}

#[test]
fn a_file_that_grows_while_it_is_sent_is_not_taken_for_synchronised() {
    let pair = Pair::new();
    pair.put("log", b"one");
    let outcome = pair.run_and_meanwhile("STOR", || pair.put("log", b"one, two"));
    assert_eq!(outcome.stats.copy_errors, 1, "{outcome:?}");
    assert_eq!(pair.server.content("/log"), None, "no half of it");
    assert!(pair.run().result.is_ok());
    assert_eq!(pair.server.content("/log").unwrap(), b"one, two");
    assert!(pair.is_in_step());
}

#[test]
fn row_25_a_file_that_vanishes_before_it_is_sent_is_an_error_and_no_deletion() {
    let pair = Pair::new();
    pair.put("a", b"old");
    pair.put("b", b"stays");
    assert!(pair.run().result.is_ok());
    pair.put("a", b"edited");
    pair.put("b", b"edited, too");
    let outcome = pair.run_and_meanwhile("MLSD", || {
        // The disk has long answered when the server may.
        std::thread::sleep(Duration::from_millis(300));
        fs::remove_file(pair.folder.path().join("a")).unwrap();
    });
    assert_eq!(outcome.stats.copy_errors, 1, "{outcome:?}");
    assert!(outcome.failures.iter().any(|text| text.contains('a')), "{outcome:?}");
    assert_eq!(
        pair.server.content("/a").unwrap(),
        b"old",
        "what vanished meanwhile was not removed by anybody yet"
    );
    assert_eq!(pair.server.content("/b").unwrap(), b"edited, too", "the others go on");
    // The next run decides anew, with a listing that does not have it.
    assert!(pair.run().result.is_ok() && pair.is_in_step());
    assert_eq!((pair.server.content("/a"), pair.content("a")), (None, None));
}

#[test]
fn a_file_that_is_replaced_on_the_server_between_listing_and_download_is_fetched_in_the_end() {
    for newer in [&b"fresh"[..], b"something longer"] {
        let pair = Pair::new();
        pair.server.put("/a", b"stale");
        pair.run_and_meanwhile("RETR /a", || {
            let mut tree = pair.server.tree();
            let node = Node::File { content: newer.to_vec(), mtime: "20250102030405".into() };
            tree.insert("/a".into(), node);
            pair.server.restore(tree);
        });
        assert!(pair.run().result.is_ok());
        assert_eq!(pair.content("a").unwrap(), newer);
        assert!(pair.is_in_step());
    }
}
