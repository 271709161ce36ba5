//! What a whole run says to a server: nothing that could be left out, and nothing alone that could travel with something else.
//!
//! Each packet is a round trip, each data connection two more.

use crate::ftp_conversations::config;
use crate::ftp_faults::{At, Fault, Gate, Mishap};
use crate::ftp_server::{Quirks, Server};
use crate::tree::{Outcome, Setup, TargetBox, at, run};
use ftpsync::error::Result;
use ftpsync::model::{META_FILE_NAME, RelPath};
use ftpsync::plan::Mode;
use ftpsync::target::ftp::FtpTarget;
use ftpsync::target::memory::MemoryTarget;
use ftpsync::target::{Caps, Session, Target};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const LOCK: &str = "/.pyftpsync-lock.json";
const LOGIN: [&str; 2] = ["USER joe", "PASS s3cret-word | SYST | FEAT | TYPE I | OPTS UTF8 ON | CWD /"];

struct Shared(Arc<dyn Target>);

impl TargetBox for Shared {
    fn share(&self) -> Arc<dyn Target> {
        Arc::clone(&self.0)
    }
}

/// One run by one session, which locks the server, as in a new process.
fn alone(local: &MemoryTarget, server: &Server, mode: Mode) -> Outcome {
    let remote = Shared(Arc::new(FtpTarget::new(config(server)).unwrap()));
    let mut setup = Setup { threads: 1, sessions: 1, locks: true, ..Setup::new(mode) };
    setup.policy.delete = true;
    run(local, &remote, &setup)
}

/// A tree that server and disk have in common, so many files in each of two folders.
fn in_common(count: usize) -> (MemoryTarget, Server) {
    let (local, server) = (MemoryTarget::new("/local"), Server::start(Quirks::default()));
    for folder in ["a", "b"] {
        for number in 0..count {
            local.put(&format!("{folder}/file{number:03}"), b"content", at(1_600_000_000));
        }
    }
    alone(&local, &server, Mode::Upload).result.unwrap();
    server.packets();
    (local, server)
}

fn taking_the_lock() -> Vec<String> {
    let lock = [format!("SIZE {LOCK} | EPSV"), format!("STOR {LOCK}")];
    LOGIN.into_iter().map(str::to_owned).chain(lock).collect()
}

#[test]
fn a_run_in_which_nothing_changed_is_login_lock_and_one_listing_for_each_folder() {
    let (local, server) = in_common(3);
    alone(&local, &server, Mode::Upload).result.unwrap();
    let mut script = server.script();
    // Which of the folders comes first is up to the threads.
    script[4..7].sort();
    let listings = ["EPSV | MLSD /", "EPSV | MLSD /a", "EPSV | MLSD /b"].map(str::to_owned);
    let farewell = format!("DELE {LOCK} | QUIT");
    assert_eq!(script, [taking_the_lock(), listings.into(), vec![farewell]].concat());
}

#[test]
fn deletions_are_a_look_and_a_farewell_for_many_files_at_a_time() {
    let (local, server) = in_common(40);
    let mut disk = local.open().unwrap();
    for folder in ["a", "b"] {
        for number in 0..20 {
            disk.remove_file(&RelPath::parse(&format!("{folder}/file{number:03}")).unwrap()).unwrap();
        }
    }
    alone(&local, &server, Mode::Upload).result.unwrap();
    assert_eq!(server.paths().iter().filter(|path| path.contains("file")).count(), 40);
    let script = server.script();
    let [looks, deletions, farewell] = &script[7..] else { panic!("{script:#?}") };
    assert_eq!((looks.matches("SIZE").count(), looks.matches("MDTM").count()), (40, 40));
    assert_eq!(deletions.matches("DELE").count(), 40);
    assert_eq!(*farewell, format!("DELE {LOCK} | QUIT"));
}

#[test]
fn a_lock_that_is_not_whole_is_told() {
    let (local, server) = (MemoryTarget::new("/local"), Quirks::default());
    let server = Server::start(Quirks { loses_last_byte_of: Some("lock"), ..server });
    let outcome = alone(&local, &server, Mode::Upload);
    outcome.result.unwrap();
    let [told] = &outcome.failures[..] else { panic!("{:?}", outcome.failures) };
    assert!(told.starts_with("The lock file is not whole: remote holds"), "{told}");
    assert_eq!(server.content(LOCK), None);
}

#[test]
fn a_lock_that_may_not_be_written_is_neither_removed_nor_asked_for() {
    let (local, server) = (MemoryTarget::new("/local"), Quirks::default());
    let server = Server::start(Quirks { answers: vec![("STOR", "550 read only")], ..server });
    let outcome = alone(&local, &server, Mode::Upload);
    outcome.result.unwrap();
    assert_eq!(outcome.failures, ["Could not write lock file: 550 read only"]);
    let script = server.script().join(" | ");
    assert_eq!(script.matches(LOCK).count(), 2, "the question and the attempt: {script}");
}

#[test]
fn a_lock_whose_removal_is_not_answered_is_removed_in_another_conversation() {
    let (local, server) = in_common(1);
    for mishap in [Mishap::Reset, Mishap::ResetAfter, Mishap::Answer("550 not now")] {
        server.faults().plan([Fault { at: At::Nth("DELE", 0), mishap }]);
        let outcome = alone(&local, &server, Mode::Upload);
        outcome.result.unwrap();
        assert!(outcome.failures.is_empty(), "{:?}", outcome.failures);
        assert_eq!((server.content(LOCK), server.faults().happened()), (None, 1));
    }
}

/// A server that is far away, and how many sessions it has.
struct Far {
    server: FtpTarget,
    sessions: AtomicUsize,
}

impl Target for Far {
    fn id(&self) -> &str {
        self.server.id()
    }
    fn base_name(&self) -> &str {
        self.server.base_name()
    }
    fn caps(&self) -> Caps {
        self.server.caps()
    }
    fn open(&self) -> Result<Box<dyn Session>> {
        let session = self.server.open()?;
        self.sessions.fetch_add(1, Ordering::SeqCst);
        Ok(session)
    }
    fn round_trip(&self) -> Option<Duration> {
        Some(Duration::from_millis(20))
    }
}

#[test]
fn the_other_sessions_log_in_while_the_first_one_takes_the_lock() {
    // As many as the disk has folders, or files that are all new, and not more than are used from the beginning.
    for (folders, files, is_new, wanted) in
        [(6, 0, true, 4), (2, 0, true, 3), (1, 1, true, 3), (0, 9, true, 4), (1, 9, false, 2)]
    {
        let (local, server) = (MemoryTarget::new("/local"), Server::start(Quirks::default()));
        for folder in 0..folders {
            local.put(&format!("folder{folder}/file"), b"content", at(1_600_000_000));
        }
        for file in 0..files {
            local.put(&format!("{file}.file"), b"content", at(1_600_000_000));
        }
        if !is_new {
            let meta = br#"{"_file_version":3,"mtimes":{},"peer_sync":{}}"#;
            local.put(META_FILE_NAME, meta, at(1_600_000_000));
        }
        let gate = Arc::new(Gate::default());
        server.faults().plan([Fault { at: At::Nth("STOR", 0), mishap: Mishap::Hold(Arc::clone(&gate)) }]);
        let target = FtpTarget::new(config(&server)).unwrap();
        let far = Far { server: target, sessions: AtomicUsize::new(0) };
        let far = Arc::new(far);
        let setup = Setup { threads: 5, sessions: 8, locks: true, is_open: true, ..Setup::new(Mode::Upload) };
        std::thread::scope(|scope| {
            let run = scope.spawn(|| run(&local, &Shared(Arc::clone(&far) as Arc<dyn Target>), &setup));
            let deadline = std::time::Instant::now() + Duration::from_secs(10);
            while far.sessions.load(Ordering::SeqCst) < wanted && std::time::Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(5));
            }
            let there = far.sessions.load(Ordering::SeqCst);
            gate.open();
            run.join().unwrap().result.unwrap();
            assert_eq!(there, wanted);
        });
        assert_eq!(server.paths().iter().filter(|path| path.ends_with("file")).count(), folders + files);
    }
}
