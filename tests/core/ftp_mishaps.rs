//! Single mishaps with an FTP server, each at a moment of its own choosing.

use crate::contract::path;
use crate::ftp_conversations::{config, open, open_learned, write, write_behind};
use crate::ftp_faults::{At, Fault, Gate, Mishap};
use crate::ftp_server::{Node, Quirks, Server};
use crate::tree::{self, Setup, Shared};
use crate::wrapped::{Overrides, Wrapped};
use ftpsync::error::{Kind, Result, Retry};
use ftpsync::model::{Listing, RelPath, Stamp};
use ftpsync::plan::{Mode, Strategy};
use ftpsync::target::ftp::{FtpConfig, FtpTarget};
use ftpsync::target::local::{Links, LocalTarget};
use ftpsync::target::{Expect, Put, Session, Target};
use std::fs;
use std::sync::Arc;
use std::sync::mpsc::{self, Sender};
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
        Pair::with(Quirks::default())
    }

    fn with(quirks: Quirks) -> Self {
        Pair { server: Server::start(quirks), folder: tempfile::tempdir().unwrap() }
    }

    fn put(&self, name: &str, content: &[u8]) {
        fs::write(self.folder.path().join(name), content).unwrap();
    }

    fn content(&self, name: &str) -> Option<Vec<u8>> {
        fs::read(self.folder.path().join(name)).ok()
    }

    fn disk(&self) -> LocalTarget {
        LocalTarget::new(self.folder.path(), Links::Inside).unwrap()
    }

    fn run(&self) -> tree::Outcome {
        self.run_from(self.disk())
    }

    fn run_from(&self, local: impl Target + 'static) -> tree::Outcome {
        let remote = Shared(Arc::new(FtpTarget::new(config(&self.server)).unwrap()));
        tree::run(&Shared(Arc::new(local)), &remote, &Setup::new(Mode::Sync))
    }

    /// Does something while the server holds back this command.
    fn run_and_meanwhile(&self, command: &'static str, act: impl FnOnce()) -> tree::Outcome {
        self.run_from_and_meanwhile(self.disk(), command, act)
    }

    fn run_from_and_meanwhile(
        &self,
        local: impl Target + 'static,
        command: &'static str,
        act: impl FnOnce(),
    ) -> tree::Outcome {
        let gate = Arc::new(Gate::default());
        self.server.faults().plan([fault(command, 0, Mishap::Hold(Arc::clone(&gate)))]);
        std::thread::scope(|scope| {
            let running = scope.spawn(|| self.run_from(local));
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
    assert!(outcome.failures.iter().any(|text| text.contains("it has grown since")), "{outcome:?}");
    assert_eq!(pair.server.content("/log"), None, "no half of it");
    assert!(pair.run().result.is_ok());
    assert_eq!(pair.server.content("/log").unwrap(), b"one, two");
    assert!(pair.is_in_step());
}

/// A disk that tells when it has been listed.
#[derive(Clone)]
struct Telling(Sender<()>);

impl Overrides for Telling {
    fn list(&mut self, below: &mut dyn Session, dir: &RelPath) -> Result<Listing> {
        let listing = below.list(dir);
        self.0.send(()).unwrap();
        listing
    }
}

#[test]
fn row_25_a_file_that_vanishes_before_it_is_sent_is_an_error_and_no_deletion() {
    let pair = Pair::new();
    pair.put("a", b"old");
    pair.put("b", b"stays");
    assert!(pair.run().result.is_ok());
    pair.put("a", b"edited");
    pair.put("b", b"edited, too");
    let (told, listed) = mpsc::channel();
    let disk = Wrapped { below: pair.disk(), with: Telling(told) };
    let outcome = pair.run_from_and_meanwhile(disk, "MLSD", || {
        listed.recv_timeout(Duration::from_secs(10)).unwrap();
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

/// Servers on which SIZE does not tell whether an upload has arrived.
fn without_size() -> Vec<(&'static str, Quirks)> {
    let hides = |hides: &[&'static str]| Quirks { hides: hides.to_vec(), ..Quirks::default() };
    vec![
        ("by MLST", hides(&["SIZE"])),
        ("by MLSD", Quirks { answers: vec![("MLST", "502 no")], ..hides(&["SIZE"]) }),
        ("by LIST", hides(&["SIZE", "MLST", "MLSD"])),
        ("behind the rename", Quirks { hides_dots: true, ..hides(&["SIZE", "MLST", "MLSD"]) }),
        ("refused", Quirks { answers: vec![("SIZE", "550 no")], ..Quirks::default() }),
    ]
}

#[test]
fn an_upload_that_is_cut_and_confirmed_is_seen_without_size_as_well() {
    for (what, quirks) in without_size() {
        for is_new in [true, false] {
            let pair = Pair::with(quirks.clone());
            pair.put("first", b"1");
            pair.put("file", b"the old one");
            if is_new {
                fs::remove_file(pair.folder.path().join("file")).unwrap();
            }
            assert!(pair.run().result.is_ok(), "{what}");
            pair.put("file", &[b'x'; 5000]);
            pair.server.faults().plan([fault("STOR /", 0, Mishap::EndData(1000))]);
            // The attempt after it is a whole one.
            let outcome = pair.run();
            assert!(outcome.result.is_ok(), "{what}: {outcome:?}");
            for _ in 0..2 {
                assert_eq!(pair.content("file").unwrap().len(), 5000, "{what}, {is_new}");
                assert_eq!(pair.server.content("/file").unwrap().len(), 5000, "{what}, {is_new}");
                assert!(pair.run().result.is_ok());
            }
        }
    }
}

#[test]
fn whole_uploads_are_believed_without_size() {
    for (what, quirks) in without_size() {
        let pair = Pair::with(quirks);
        for name in ["a", "b", ".hidden"] {
            pair.put(name, name.as_bytes());
        }
        let outcome = pair.run();
        assert!(outcome.result.is_ok() && outcome.failures.is_empty(), "{what}: {outcome:?}");
        assert_eq!(pair.server.content("/.hidden").unwrap(), b".hidden", "{what}");
    }
}

#[test]
fn one_odd_answer_to_size_does_not_end_the_checks() {
    let (server, mut session) = open_learned(Quirks::default());
    server.faults().plan([fault("SIZE /.pyftpsync-tmp", 0, Mishap::Answer("500 internal error"))]);
    write(session.as_mut(), "one", b"whole").unwrap();
    server.faults().plan([fault("STOR", 0, Mishap::EndData(3))]);
    // The end of the data connection may be seen before the size is asked for.
    let error = write(session.as_mut(), "two", b"content").unwrap_err();
    assert!(matches!(error.kind(), Kind::Size | Kind::Disconnected), "{error}");
    assert_eq!(server.content("/two"), None);
}

#[test]
fn a_rename_that_was_refused_and_then_confirmed_is_out_of_step() {
    let (server, mut session) = open_learned(Quirks::default());
    server.faults().plan([
        fault("RNFR", 0, Mishap::Answer("450 the file is locked")),
        fault("RNTO", 0, Mishap::Answer("250 fine")),
    ]);
    let mut written = Vec::new();
    let ended = ["a", "b", "c", "d"].iter().find_map(|name| {
        let outcome = write_behind(session.as_mut(), name, name).err();
        if outcome.is_none() {
            written.extend(session.settled(false).unwrap().into_iter().map(|(file, _)| file.to_string()));
        }
        outcome
    });
    let error = ended.expect("the conversation ends");
    assert_eq!((error.kind(), error.retry()), (Kind::Protocol, Retry::NewSession), "{error}");
    assert!(written.is_empty() && session.unsettled().contains(&path("a")), "{written:?}");
}

#[test]
fn a_rename_is_not_confirmed_by_what_answers_another_command() {
    for answer in ["229 (|||6446|)", "213 5", "257 \"/\" is here", "220 hello", "350 go on"] {
        let (server, mut session) = open_learned(Quirks::default());
        server.faults().plan([fault("RNTO", 0, Mishap::Answer(answer))]);
        let error = write(session.as_mut(), "file", b"new").unwrap_err();
        assert_eq!((error.kind(), error.retry()), (Kind::Protocol, Retry::NewSession), "{answer}: {error}");
        assert!(session.list(&RelPath::root()).is_err(), "{answer}: the conversation is over");
    }
}

#[test]
fn of_a_packet_in_which_a_command_was_lost_nothing_counts_as_deleted() {
    for is_looked_at in [false, true] {
        let server = Server::start(Quirks::default());
        let names: Vec<String> = (0..40).map(|number| format!("f{number:02}")).collect();
        for name in &names {
            server.put(&format!("/{name}"), b"x");
        }
        let patience = Duration::from_secs(1);
        let target = FtpTarget::new(FtpConfig { timeout: patience, ..config(&server) }).unwrap();
        let mut session = target.open().unwrap();
        session.list(&RelPath::root()).unwrap();
        // An empty line is no reply.
        server.faults().plan([fault("DELE", 20, Mishap::Answer(""))]);
        let results = if is_looked_at {
            let expect = Expect::File(Some(1), None);
            let files: Vec<_> = names.iter().map(|name| (path(name), expect)).collect();
            session.remove_if_still(&files, false)
        } else {
            session.remove_files(&names.iter().map(|name| path(name)).collect::<Vec<_>>())
        };
        assert!(server.content("/f20").is_some());
        assert_eq!(results.len(), names.len());
        for (name, result) in names.iter().zip(results) {
            let error = result.expect_err(name);
            assert_eq!(error.retry(), Retry::NewSession, "{name}: {error}");
        }
    }
}

#[test]
fn a_listing_that_ends_within_a_line_is_not_complete() {
    let listing =
        b"type=file;size=1;modify=20240102030405; a\r\ntype=file;size=1;modify=20240102030405; long-na";
    let (_server, mut session) = open(Quirks { mlsd_sends: Some(listing), ..Quirks::default() });
    let listing = session.list(&RelPath::root()).unwrap();
    assert!(!listing.complete && listing.entries.len() == 2, "{listing:?}");
    assert!(listing.notes.iter().any(|note| note.to_string().contains("in the middle of this line")));
}

#[test]
fn an_upload_that_the_server_never_began_is_begun_anew() {
    for mishap in [Mishap::Leave, Mishap::Reset] {
        let pair = Pair::new();
        for number in 0..8 {
            pair.put(&format!("f{number}"), b"content");
        }
        pair.server.faults().plan([fault("STOR", 5, mishap.clone())]);
        let outcome = pair.run();
        assert!(outcome.result.is_ok() && outcome.stats.copy_errors == 0, "{mishap:?}: {outcome:?}");
        assert!((0..8).all(|number| pair.server.content(&format!("/f{number}")).is_some()));
    }
}

#[test]
fn a_login_that_the_server_forgets_is_made_anew() {
    let pair = Pair::new();
    for number in 0..8 {
        pair.put(&format!("f{number}"), b"content");
    }
    pair.server.faults().plan([fault("STOR", 4, Mishap::Answer("530 Not logged in."))]);
    let outcome = pair.run();
    assert!(outcome.result.is_ok() && outcome.stats.copy_errors == 0, "{outcome:?}");
}

#[test]
fn a_wrong_password_is_said_once_whatever_the_refusal_speaks_of() {
    let refusal = "530 Login incorrect. The account is locked after a maximum of 5 attempts.";
    let server = Server::start(Quirks { answers: vec![("PASS", refusal)], ..Quirks::default() });
    let error = FtpTarget::new(config(&server)).unwrap().open().err().expect("no login");
    assert_eq!((error.kind(), error.retry()), (Kind::Login, Retry::No), "{error}");
}

#[test]
fn a_passive_request_that_hangs_is_not_blamed_on_mlsd() {
    let server = Server::start(Quirks { is_silent_at: Some("EPSV"), ..Quirks::default() });
    server.put("/a", b"x");
    let patience = Duration::from_secs(1);
    let target = FtpTarget::new(FtpConfig { timeout: patience, ..config(&server) }).unwrap();
    target.open().unwrap().list(&RelPath::root()).unwrap_err();
    server.packets();
    assert_eq!(target.open().unwrap().list(&RelPath::root()).unwrap().entries.len(), 1);
    let script = server.script().join(" | ");
    assert!(script.contains("PASV") && script.contains("MLSD") && !script.contains("LIST"), "{script}");
}

#[test]
fn features_that_end_with_another_code_do_not_swallow_what_follows() {
    let answers = vec![("FEAT", "211-Features:\r\n SIZE\r\n MDTM\r\n REST STREAM\r\n200 End")];
    let server = Server::start(Quirks { answers, ..Quirks::default() });
    server.put("/a", b"x");
    let target = FtpTarget::new(config(&server)).unwrap();
    let mut session = target.open().unwrap();
    assert_eq!(server.script().len(), 2, "nothing is said twice");
    assert_eq!(session.list(&RelPath::root()).unwrap().entries.len(), 1);
}

#[test]
fn reading_back_ends_where_the_file_should() {
    let server = Server::start(Quirks::default());
    let target = FtpTarget::new(FtpConfig { verify: true, ..config(&server) }).unwrap();
    let mut session = target.open().unwrap();
    write(session.as_mut(), "first", b"12345").unwrap();
    // Somebody appends to it at the wrong moment.
    let gate = Arc::new(Gate::default());
    server.faults().plan([fault("RETR", 0, Mishap::Hold(Arc::clone(&gate)))]);
    let error = std::thread::scope(|scope| {
        let writing = scope.spawn(|| write(session.as_mut(), "file", b"12345").unwrap_err());
        assert!(gate.is_reached());
        let mut tree = server.tree();
        for (path, node) in &mut tree {
            if let (true, Node::File { content, .. }) = (path.contains("-file"), node) {
                content.resize(64 << 20, b'x');
            }
        }
        server.restore(tree);
        gate.open();
        writing.join().unwrap()
    });
    assert_eq!(error.kind(), Kind::Corrupt, "{error}");
    assert!(error.to_string().contains("holds more than what was transferred"), "{error}");
}

#[test]
fn a_server_that_begins_transfers_twice_gets_and_gives_files() {
    let pair = Pair::with(Quirks { announces_twice: true, ..Quirks::default() });
    for number in 0..8 {
        pair.put(&format!("f{number}"), b"content");
    }
    pair.server.put("/theirs", b"theirs");
    let outcome = pair.run();
    assert!(outcome.result.is_ok() && outcome.failures.is_empty(), "{outcome:?}");
    assert!((0..8).all(|number| pair.server.content(&format!("/f{number}")).is_some()));
    assert_eq!(pair.content("theirs").unwrap(), b"theirs");
}

#[test]
fn active_mode_in_which_nothing_comes_is_given_up_again() {
    let server = Server::start(Quirks::default());
    server.put("/a", b"x");
    let patience = Duration::from_secs(1);
    let target = FtpTarget::new(FtpConfig { timeout: patience, ..config(&server) }).unwrap();
    server.faults().plan([
        fault("EPSV", 0, Mishap::Answer("425 not now")),
        fault("PASV", 0, Mishap::Answer("425 not now")),
        fault("MLSD", 0, Mishap::Answer("")),
    ]);
    target.open().unwrap().list(&RelPath::root()).unwrap_err();
    assert_eq!(server.faults().happened(), 3);
    server.packets();
    assert_eq!(target.open().unwrap().list(&RelPath::root()).unwrap().entries.len(), 1);
    let script = server.script().join(" | ");
    assert!(script.contains("EPSV") && script.contains("MLSD") && !script.contains("PORT"), "{script}");
}

#[test]
fn a_refused_data_connection_is_told_although_the_server_waits_for_one() {
    let server = Server::start(Quirks::default());
    server.put("/a", b"x");
    let patience = Duration::from_secs(1);
    let target = FtpTarget::new(FtpConfig { timeout: patience, ..config(&server) }).unwrap();
    let mut session = target.open().unwrap();
    session.list(&RelPath::root()).unwrap();
    server.faults().plan([
        fault("EPSV", 0, Mishap::Answer("425 address already in use")),
        fault("RETR", 0, Mishap::Answer("")),
    ]);
    let error = session.read(&path("a"), &mut |_| Ok(())).unwrap_err();
    assert_eq!(server.faults().happened(), 2);
    assert_eq!((error.kind(), error.reply().map(|(code, _)| code)), (Kind::Busy, Some(425)), "{error}");
    assert!(!session.is_alive(), "what the server says to the transfer may still come");
    assert!(target.open().unwrap().list(&RelPath::root()).is_ok());
}

/// From server to server: files wait for their end in the session with the one, while the other is not to be had.
#[test]
fn files_that_a_session_has_to_finish_are_not_forgotten_while_the_other_side_is_away() {
    let (from, to) = (Server::start(Quirks::default()), Server::start(Quirks::default()));
    let names = ["a", "b", "c", "d", "e", "f"];
    for name in names {
        from.put(&format!("/{name}"), name.as_bytes());
    }
    // The conversation ends, and nobody can log in for a moment.
    from.faults().plan([
        fault("RETR", 4, Mishap::Chatter("421 that was the last one")),
        fault("USER", 1, Mishap::Reset),
        fault("USER", 1, Mishap::Reset),
    ]);
    let (sender, receiver) = mpsc::channel();
    let target = |server: &Server| Shared(Arc::new(FtpTarget::new(config(server)).unwrap()));
    let (local, remote) = (target(&to), target(&from));
    let running = std::thread::spawn(move || {
        let setup = Setup { sessions: 1, threads: 1, ..Setup::new(Mode::Download) };
        sender.send(tree::run(&local, &remote, &setup)).unwrap();
    });
    let outcome = receiver.recv_timeout(Duration::from_secs(60)).expect("the run ends");
    running.join().unwrap();
    assert_eq!(from.faults().happened(), 3);
    assert!(outcome.result.is_ok() && outcome.stats.errors == 0, "{outcome:?}");
    for name in names {
        assert_eq!(to.content(&format!("/{name}")).unwrap(), name.as_bytes());
    }
}

/// What the first attempt has destroyed is not forgotten over the harmless failure of the last one.
#[test]
fn what_an_earlier_attempt_in_place_has_destroyed_is_made_whole_by_the_next_run() {
    for expects_old in [false, true] {
        let pair = Pair::with(Quirks { empties_at_stor: true, ..Quirks::default() });
        let run = || {
            let remote = Shared(Arc::new(FtpTarget::new(config(&pair.server)).unwrap()));
            let mut setup = Setup { inplace: true, ..Setup::new(Mode::Sync) };
            setup.policy.strategy = Some(Strategy::Skip);
            tree::run(&Shared(Arc::new(pair.disk())), &remote, &setup)
        };
        pair.put("other", b"other");
        if expects_old {
            pair.put("file", b"old");
        }
        assert!(run().result.is_ok());
        pair.put("file", b"new content");
        let refused = (1..10).map(|_| fault("STOR /file", 1, Mishap::Answer("553 not now")));
        pair.server.faults().plan([fault("STOR /file", 0, Mishap::Reset)].into_iter().chain(refused));
        let failed = run();
        assert_eq!(failed.stats.errors, 1, "{failed:?}");
        assert_eq!(pair.server.content("/file").unwrap(), b"", "nobody could remove it");
        // Nor is it forgotten over what the next run fails with.
        pair.server.faults().plan((0..10).map(|_| fault("STOR /file", 0, Mishap::Answer("553 not now"))));
        assert_eq!(run().stats.errors, 1);
        pair.server.faults().plan([]);
        let next = run();
        assert!(next.result.is_ok() && next.stats.conflict_files == 0, "{expects_old}: {next:?}");
        assert_eq!(pair.server.content("/file").unwrap(), b"new content", "{expects_old}");
        assert_eq!(pair.content("file").unwrap(), b"new content");
    }
}

/// Where times are only remembered, the metadata on the server is the memory.
#[test]
fn metadata_that_is_busy_for_a_moment_is_not_taken_for_damaged() {
    let answers = vec![("MFMT", "500 unknown"), ("SITE", "500 unknown")];
    let pair = Pair::with(Quirks { answers, hides: vec!["MFMT"], ..Quirks::default() });
    pair.put("file", b"content");
    assert!(pair.run().result.is_ok());
    let busy = Mishap::Answer("450 busy, try again");
    pair.server.faults().plan([fault("RETR /.pyftpsync-meta.json", 0, busy)]);
    let outcome = pair.run();
    assert_eq!(pair.server.faults().happened(), 1);
    assert!(outcome.result.is_ok() && outcome.failures.is_empty(), "{outcome:?}");
    assert_eq!(outcome.lines, ["equal = file"]);
}
