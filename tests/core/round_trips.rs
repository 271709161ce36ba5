//! What a whole run says to a server: nothing that could be left out, and nothing alone that could travel with something else.
//!
//! Each packet is a round trip, each data connection two more.

use crate::eventually::eventually;
use crate::ftp_conversations::{config, trusting};
use crate::ftp_faults::{At, Fault, Gate, Mishap};
use crate::ftp_server::{Quirks, Server, Tls};
use crate::tree::{Outcome, Setup, Shared, at, run};
use crate::wrapped::{Overrides, Wrapped};
use ftpsync::error::Result;
use ftpsync::model::{META_FILE_NAME, RelPath, TEMP_PREFIX};
use ftpsync::plan::{Mode, Strategy};
use ftpsync::target::ftp::{FtpConfig, FtpTarget};
use ftpsync::target::memory::MemoryTarget;
use ftpsync::target::{Session, Target};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const LOCK: &str = "/.pyftpsync-lock.json";
const LOGIN: [&str; 2] = ["USER joe", "PASS s3cret-word | SYST | FEAT | TYPE I | OPTS UTF8 ON | CWD /"];

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
    let farewell = vec![format!("SIZE {LOCK}"), format!("DELE {LOCK} | QUIT")];
    assert_eq!(script, [taking_the_lock(), listings.into(), farewell].concat());
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
    let [looks, deletions, _, farewell] = &script[7..] else { panic!("{script:#?}") };
    assert_eq!((looks.matches("SIZE").count(), looks.matches("MDTM").count()), (40, 40));
    assert_eq!(deletions.matches("DELE").count(), 40);
    assert_eq!(*farewell, format!("DELE {LOCK} | QUIT"));
}

#[test]
fn folders_whose_making_was_cut_short_are_made_by_the_next_conversation() {
    for (nth, mishap) in (0..4).flat_map(|nth| [(nth, Mishap::Reset), (nth, Mishap::ResetAfter)]) {
        let (local, server) = (MemoryTarget::new("/local"), Server::start(Quirks::default()));
        for folder in ["a", "b", "c/d"] {
            local.put(&format!("{folder}/file"), b"content", at(1_600_000_000));
        }
        server.faults().plan([Fault { at: At::Nth("MKD", nth), mishap: mishap.clone() }]);
        let outcome = alone(&local, &server, Mode::Upload);
        assert!(outcome.result.is_ok() && outcome.failures.is_empty(), "{nth} {mishap:?}: {outcome:?}");
        assert_eq!(server.faults().happened(), 1);
        // A file whose conversation has ended before it got its name was sent again.
        let mut paths = server.paths();
        paths.retain(|path| !path.contains(TEMP_PREFIX));
        let wanted = ["/", "/a", "/a/file", "/b", "/b/file", "/c", "/c/d", "/c/d/file"];
        assert_eq!(paths, wanted, "{nth} {mishap:?}");
    }
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
#[derive(Clone, Default)]
struct Far(Arc<AtomicUsize>);

impl Overrides for Far {
    fn round_trip(&self, _: &dyn Target) -> Option<Duration> {
        Some(Duration::from_millis(20))
    }
    fn open(&self, below: &dyn Target) -> Result<Box<dyn Session>> {
        let session = below.open()?;
        self.0.fetch_add(1, Ordering::SeqCst);
        Ok(session)
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
        let far = Far::default();
        let target = Wrapped { below: FtpTarget::new(config(&server)).unwrap(), with: far.clone() };
        let remote = Shared(Arc::new(target));
        let setup = Setup { threads: 5, sessions: 8, locks: true, is_open: true, ..Setup::new(Mode::Upload) };
        std::thread::scope(|scope| {
            let run = scope.spawn(|| run(&local, &remote, &setup));
            eventually(|| far.0.load(Ordering::SeqCst) >= wanted);
            let there = far.0.load(Ordering::SeqCst);
            gate.open();
            run.join().unwrap().result.unwrap();
            assert_eq!(there, wanted);
        });
        assert_eq!(server.paths().iter().filter(|path| path.ends_with("file")).count(), folders + files);
    }
}

/// The packets from the first to the last that begins a transfer of one of many files, in a run by one session.
fn steady(server: &Server, local: &MemoryTarget, mode: Mode, config: FtpConfig) -> Vec<String> {
    let remote = Shared(Arc::new(FtpTarget::new(config).unwrap()));
    let setup = Setup { threads: 1, sessions: 1, ..Setup::new(mode) };
    let outcome = run(local, &remote, &setup);
    outcome.result.unwrap();
    assert!(outcome.failures.is_empty(), "{:?}", outcome.failures);
    let script = server.script();
    let begins = |line: &String| {
        let transfer = if mode == Mode::Upload { "STOR " } else { "RETR " };
        line.rsplit(" | ").next().is_some_and(|last| last.starts_with(transfer) && last.contains("many"))
    };
    let first = script.iter().position(begins).unwrap();
    let last = script.iter().rposition(begins).unwrap();
    script[first..=last].to_vec()
}

/// What the server is asked between two files waits for nothing: each of them is one packet, and one data connection. With the
/// end of the data, that makes three round trips (under TLS a fourth one for the handshake of the connection).
fn assert_one_packet_each(packets: &[String], files: usize, request: &str) {
    assert_eq!(packets.len(), files, "{packets:#?}");
    for packet in packets {
        assert_eq!(packet.matches(request).count(), 1, "{packet}");
    }
}

fn fit(server: &Server, tls: Option<Tls>) -> FtpConfig {
    if tls.is_some() { trusting(server) } else { config(server) }
}

#[test]
fn in_a_run_each_small_file_that_is_sent_takes_three_round_trips() {
    for tls in [None, Some(Tls::Old), Some(Tls::New)] {
        let server = Server::start(Quirks { tls, ..Quirks::default() });
        let local = MemoryTarget::new("/local");
        local.put("folder/first", b"content", at(0));
        (0..20).for_each(|number| local.put(&format!("folder/many{number:02}"), b"content", at(0)));
        let packets = steady(&server, &local, Mode::Upload, fit(&server, tls));
        assert_one_packet_each(&packets, 20, "EPSV");
        for packet in &packets[2..] {
            assert_eq!(packet.matches("RNFR").count(), 1, "the file before last is put in place: {packet}");
        }
    }
}

#[test]
fn in_a_run_each_small_file_that_is_fetched_takes_three_round_trips() {
    for tls in [None, Some(Tls::Old), Some(Tls::New)] {
        let server = Server::start(Quirks { tls, ..Quirks::default() });
        server.put_folder("/folder");
        (0..20).for_each(|number| server.put(&format!("/folder/many{number:02}"), b"content"));
        let local = MemoryTarget::new("/local");
        let packets = steady(&server, &local, Mode::Download, fit(&server, tls));
        assert_one_packet_each(&packets, 20, "EPSV");
        assert!(local.tree().contains_key("folder/many19"));
    }
}

/// Where the server connects, the bytes that it sends come together with the connection: two round trips for a download, and three
/// for an upload.
#[test]
fn in_active_mode_a_small_file_takes_one_packet_as_well() {
    for mode in [Mode::Upload, Mode::Download] {
        let (server, local) = (Server::start(Quirks::default()), MemoryTarget::new("/local"));
        server.put_folder("/folder");
        for number in 0..20 {
            match mode {
                Mode::Upload => local.put(&format!("folder/many{number:02}"), b"content", at(0)),
                _ => server.put(&format!("/folder/many{number:02}"), b"content"),
            }
        }
        // So that the first of many is not the first of all.
        local.put("folder/first", b"content", at(0));
        let config = FtpConfig { active: true, ..config(&server) };
        let packets = steady(&server, &local, mode, config);
        assert_one_packet_each(&packets, 20, "PORT");
        let is_whole = |number| match mode {
            Mode::Upload => server.content(&format!("/folder/many{number:02}")).is_some(),
            _ => local.tree().contains_key(&format!("folder/many{number:02}")),
        };
        assert!((0..20).all(is_whole));
    }
}

#[test]
fn files_are_copied_while_a_later_folder_is_still_being_listed() {
    for mode in [Mode::Upload, Mode::Download, Mode::Sync] {
        let (local, server) = (MemoryTarget::new("/local"), Server::start(Quirks::default()));
        server.put_folder("/a");
        server.put_folder("/z");
        server.put("/z/file", b"content");
        local.put("z/file", b"content", at(0));
        if mode == Mode::Download {
            server.put("/a/file", b"content");
            local.put("a/other", b"content", at(0));
        } else {
            local.put("a/file", b"content", at(0));
        }
        let gate = Arc::new(Gate::default());
        let mishap = Mishap::Hold(Arc::clone(&gate));
        server.faults().plan([Fault { at: At::Nth("MLSD /z", 0), mishap }]);
        let remote = Shared(Arc::new(FtpTarget::new(config(&server)).unwrap()));
        let mut setup = Setup { threads: 3, sessions: 2, ..Setup::new(mode) };
        setup.policy.strategy = Some(Strategy::New);
        let has_arrived = || match mode {
            Mode::Download => local.tree().contains_key("a/file"),
            _ => server.content("/a/file").is_some(),
        };
        std::thread::scope(|scope| {
            let run = scope.spawn(|| run(&local, &remote, &setup));
            let is_held = gate.is_reached();
            let was_in_time = eventually(has_arrived);
            gate.open();
            run.join().unwrap().result.unwrap();
            assert!(is_held && was_in_time, "{mode:?}: the listing was held: {is_held}");
        });
    }
}
