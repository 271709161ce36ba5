//! SFTP with servers that are odd: what they do to the contract, and what is said about them.

use super::contract::{assert_names, check, get, path, put};
use super::eventually::eventually;
use super::sftp_server::{Habits, SftpServer};
use super::tree::{self, Shared};
use ftpsync::error::{Error, Kind, Result, Retry};
use ftpsync::model::{RelPath, Stamp};
use ftpsync::target::ftp::Secret;
use ftpsync::target::sftp::{HostKeys, SftpConfig, SftpTarget};
use ftpsync::target::{Expect, Put, Session, Target};
use russh::MethodKind;
use std::fs;
use std::io::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

fn target(server: &SftpServer, password: &str) -> SftpTarget {
    SftpTarget::new(config(server, password)).unwrap()
}

fn config(server: &SftpServer, password: &str) -> SftpConfig {
    let mut config = SftpConfig::new("127.0.0.1", "/");
    config.port = server.port;
    config.user = Some("joe".into());
    config.password = Some(Secret::new(password));
    config.host_keys = HostKeys::Unchecked;
    config
}

fn open(server: &SftpServer) -> Box<dyn Session> {
    target(server, "right").open().unwrap()
}

fn refusal(opened: Result<Box<dyn Session>>) -> Error {
    match opened {
        Ok(_) => panic!("it opened"),
        Err(error) => error,
    }
}

/// A server with other habits than usual.
fn start(change: impl FnOnce(&mut Habits)) -> SftpServer {
    let mut habits = Habits::default();
    change(&mut habits);
    SftpServer::start(habits)
}

#[test]
fn a_server_with_extensions_keeps_the_contract() {
    let server = start(|_| {});
    check(&target(&server, "right"));
}

#[test]
fn a_bare_server_that_gives_little_and_answers_in_disorder_keeps_the_contract() {
    let server = start(|habits| {
        habits.has_extensions = false;
        habits.most = 10_007;
        habits.is_reversed = true;
        habits.lists_names_only = true;
    });
    check(&target(&server, "right"));
}

#[test]
fn questions_are_answered_with_the_password() {
    for asks_twice in [false, true] {
        let server = start(|habits| {
            habits.login = MethodKind::KeyboardInteractive;
            habits.asks_twice = asks_twice;
        });
        assert_names(open(&server).as_mut(), "", &[]);
        let error = refusal(target(&server, "geheim").open());
        assert_eq!(error.kind(), Kind::SshLogin);
        assert!(
            error.to_string().contains("the server refused password; it takes keyboard-interactive"),
            "{error}"
        );
        assert!(!error.to_string().contains("geheim"));
    }
}

#[test]
fn questions_are_answered_where_the_password_itself_is_refused() {
    let server = start(|habits| {
        habits.login = MethodKind::KeyboardInteractive;
        habits.refuses_passwords = true;
    });
    assert_names(open(&server).as_mut(), "", &[]);
    let error = refusal(target(&server, "geheim").open());
    assert!(error.to_string().contains("the server refused password; it takes"), "{error}");
}

#[test]
fn a_server_without_sftp_is_told() {
    let server = start(|habits| habits.has_sftp = false);
    let error = refusal(target(&server, "right").open());
    assert_eq!(error.kind(), Kind::Ssh);
    assert!(error.to_string().contains("the server offers no SFTP"), "{error}");
    assert!(error.to_string().contains("subsystem"), "{error}");
}

#[test]
fn what_is_printed_instead_of_answers_is_told() {
    let server = start(|habits| habits.greets = "Welcome to web\x1b[2J\n");
    let error = refusal(target(&server, "right").open());
    assert_eq!(error.kind(), Kind::Ssh);
    assert!(error.to_string().contains(r#"no SFTP server: "Welcome to web\u{1b}[2J"#), "{error}");
    assert!(error.to_string().contains("prints this at login"), "{error}");
    let server = start(|habits| habits.complains = "sh: 1: sftp-server: not found\n");
    let error = refusal(target(&server, "right").open());
    assert!(error.to_string().contains(r#"ended the session: "sh: 1: sftp-server: not found""#), "{error}");
}

/// Connects to something that treats everybody alike, in a thread of its own.
fn refused_by(mut treat: impl FnMut(std::net::TcpStream) + Send + 'static) -> Error {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || listener.incoming().for_each(|socket| treat(socket.unwrap())));
    let mut config = SftpConfig::new("127.0.0.1", "/");
    config.port = port;
    config.timeout = Duration::from_secs(2);
    config.connect_timeout = config.timeout;
    let error = refusal(SftpTarget::new(config).unwrap().open());
    assert!(
        error.to_string().starts_with(&format!("could not connect to \"127.0.0.1:{port}\": ")),
        "{error}"
    );
    error
}

/// The same, where it says `words`, and then waits as all servers do.
fn refused_where_somebody_says(words: &'static [u8]) -> Error {
    let mut open = Vec::new();
    refused_by(move |mut socket| {
        let _ = socket.write_all(words);
        open.push(socket);
    })
}

#[test]
fn a_port_where_something_else_answers_is_told() {
    refused_by(|mut socket| drop(socket.write_all(b"220 FTP server ready\r\n")));
}

#[test]
fn an_ftp_server_is_told_from_one_that_is_silent() {
    let error = refused_where_somebody_says(b"220 ready\r\n");
    assert_eq!(error.kind(), Kind::Ssh);
    assert!(error.to_string().contains("an FTP server answers there"), "{error}");
    assert!(error.to_string().contains("write ftp:// or ftps://"), "{error}");
}

#[test]
fn other_lines_may_come_before_that_of_ssh() {
    let error = refused_where_somebody_says(b"Please wait\r\n220 of us are here\r\n");
    assert_eq!(error.kind(), Kind::Timeout);
}

#[test]
fn a_server_that_loses_bytes_is_found_out_and_the_old_content_stays() {
    let server = start(|habits| habits.loses_a_byte = true);
    fs::write(server.folder.path().join("old"), b"old content").unwrap();
    let mut session = open(&server);
    let error = session.write(&path("old"), &mut &b"new content"[..], &Put::default()).unwrap_err();
    assert_eq!(error.kind(), Kind::Size);
    assert!(error.to_string().contains("the server holds 10 of 11 bytes"), "{error}");
    session.write_behind(&path("old"), &mut &b"new content"[..], &Put::default()).unwrap();
    let (_, outcome) = session.settled(true).unwrap().remove(0);
    assert_eq!(outcome.unwrap_err().kind(), Kind::Size);
    assert_eq!(fs::read(server.folder.path().join("old")).unwrap(), b"old content");
    assert_names(session.as_mut(), "", &["old"]);
}

#[test]
fn times_that_do_not_come_back_are_said_not_to_be_kept_and_not_tried_again() {
    let server = start(|habits| habits.forgets_times = true);
    let target = target(&server, "right");
    let mut session = target.open().unwrap();
    assert!(target.caps().sets_mtime);
    let timed = Put { mtime: Some(Stamp::new(1_600_000_000, 0)), ..Put::default() };
    let written = session.write(&path("file"), &mut &b"x"[..], &timed).unwrap();
    assert!(!written.mtime_kept && written.dated.is_some());
    assert!(!target.caps().sets_mtime);
}

#[test]
fn times_that_are_refused_are_remembered_and_nothing_is_sent_twice() {
    let server = start(|habits| habits.refuses_times = true);
    let local = ftpsync::target::memory::MemoryTarget::new("/local");
    local.put("file", b"content", tree::at(0));
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
    let sync = || {
        let remote = Shared(Arc::new(target(&server, "right")));
        tree::run(&local, &remote, &tree::Setup { now, ..tree::Setup::new(ftpsync::plan::Mode::Sync) })
    };
    let first = sync();
    assert!(first.result.is_ok() && first.failures.is_empty(), "{first:?}");
    assert_eq!(first.lines, ["copy existing > file"]);
    assert_eq!(fs::read(server.folder.path().join("file")).unwrap(), b"content");
    assert_eq!(sync().lines, ["equal = file"]);
    local.put("file", b"edited!", tree::at(50));
    assert_eq!(sync().lines, ["copy modified > file"]);
}

#[test]
fn names_that_would_lead_elsewhere_are_left_out_and_the_listing_is_incomplete() {
    let server = start(|habits| {
        habits.more_names = vec![b".", b"..", b"../up", b"/etc/passwd", b"a/b", b"", b"nul\0"]
    });
    fs::write(server.folder.path().join("file"), b"x").unwrap();
    let listing = open(&server).list(&RelPath::root()).unwrap();
    let names: Vec<&str> = listing.entries.iter().map(|entry| entry.name.as_str()).collect();
    assert_eq!(names, ["file"]);
    assert!(!listing.complete);
    assert_eq!(listing.notes.len(), 5, "{:?}", listing.notes);
}

#[test]
fn a_name_that_is_listed_twice_spoils_the_listing() {
    let server = start(|habits| habits.more_names = vec![b"file"]);
    fs::write(server.folder.path().join("file"), b"x").unwrap();
    let error = open(&server).list(&RelPath::root()).unwrap_err();
    assert!(error.to_string().contains("twice"), "{error}");
}

#[test]
fn q44_files_are_replaced_in_one_step_where_the_server_has_an_extension_for_it() {
    let renames: Arc<Mutex<Vec<String>>> = Arc::default();
    let server = start(|habits| habits.renames = Arc::clone(&renames));
    let mut session = open(&server);
    for content in [b"first", b"again"] {
        put(session.as_mut(), "file", content);
        session.write_behind(&path("other"), &mut &content[..], &Put::default()).unwrap();
        session.settled(true).unwrap();
    }
    assert_eq!(*renames.lock().unwrap(), ["posix-rename@openssh.com"; 4]);

    let renames: Arc<Mutex<Vec<String>>> = Arc::default();
    let server = start(|habits| {
        habits.has_extensions = false;
        habits.renames = Arc::clone(&renames);
    });
    put(open(&server).as_mut(), "file", b"first");
    assert_eq!(*renames.lock().unwrap(), ["rename"]);
}

#[test]
fn q45_what_servers_keep_for_themselves_is_left_out() {
    let server = start(|_| {});
    let root = server.folder.path();
    fs::create_dir_all(root.join("@eaDir")).unwrap();
    fs::write(root.join(".ftpquota"), b"1 2").unwrap();
    fs::write(root.join("file"), b"x").unwrap();
    let listing = open(&server).list(&RelPath::root()).unwrap();
    let mut skipped: Vec<&str> = listing.present_but_skipped.iter().map(|name| name.as_str()).collect();
    skipped.sort_unstable();
    let names: Vec<&str> = listing.entries.iter().map(|entry| entry.name.as_str()).collect();
    assert_eq!(names, ["file"]);
    assert_eq!(skipped, [".ftpquota", "@eaDir"]);
    assert!(listing.complete, "{listing:?}");
}

#[test]
fn where_a_rename_does_not_replace_the_old_file_comes_back_if_the_new_one_is_refused() {
    let server = start(|habits| {
        habits.has_extensions = false;
        habits.refuses_to_place = Some(b"refused");
    });
    let mut session = open(&server);
    put(session.as_mut(), "file", b"first");
    put(session.as_mut(), "file", b"second");
    let error = session.write(&path("file"), &mut &b"refused"[..], &Put::default()).unwrap_err();
    assert_eq!(error.kind(), Kind::Denied, "{error}");
    assert_eq!(get(session.as_mut(), "file").unwrap(), b"second");
    assert_names(session.as_mut(), "", &["file"]);
}

#[test]
fn a_new_file_of_somebody_else_is_not_replaced_where_the_server_refuses_to() {
    for (has_extensions, lags) in [(false, false), (true, false), (true, true)] {
        let server = start(|habits| {
            habits.has_extensions = has_extensions;
            habits.taken_by_others = Some("file");
        });
        let mut session = open(&server);
        let put = Put { expect: Expect::Absent, ..Put::default() };
        let mut body = &b"ours"[..];
        let error = if lags {
            session.write_behind(&path("file"), &mut body, &put).unwrap();
            session.settled(true).unwrap().remove(0).1.unwrap_err()
        } else {
            session.write(&path("file"), &mut body, &put).unwrap_err()
        };
        assert_eq!(error.kind(), Kind::Changed, "{error}");
        assert_eq!(get(session.as_mut(), "file").unwrap(), b"file");
        assert_names(session.as_mut(), "", &["file"]);
        let put = Put { is_repeated: true, ..put };
        session.write(&path("other"), &mut &b"ours"[..], &put).unwrap();
    }
}

#[test]
fn a_file_that_comes_in_drops_is_given_up() {
    let server = start(|habits| {
        (habits.most, habits.pause) = (1, Duration::from_millis(20));
        habits.has_extensions = false;
    });
    fs::write(server.folder.path().join("file"), [b'x'; 40_000]).unwrap();
    let mut config = config(&server, "right");
    config.timeout = Duration::from_millis(400);
    let mut session = SftpTarget::new(config).unwrap().open().unwrap();
    let begun = std::time::Instant::now();
    let error = get(session.as_mut(), "file").unwrap_err();
    assert_eq!((error.kind(), error.retry()), (Kind::Timeout, Retry::NewSession), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
}

#[test]
fn a_server_that_only_knows_the_rename_that_replaces_gets_new_files_too() {
    let server = start(|habits| habits.refuses_plain_rename = true);
    let mut session = open(&server);
    let put = Put { expect: Expect::Absent, ..Put::default() };
    session.write(&path("one"), &mut &b"ours"[..], &put).unwrap();
    session.write_behind(&path("two"), &mut &b"ours"[..], &put).unwrap();
    session.settled(true).unwrap().remove(0).1.unwrap();
    assert_names(session.as_mut(), "", &["one", "two"]);
}

#[test]
fn where_not_even_the_old_file_comes_back_the_error_says_where_it_is() {
    let server = start(|habits| {
        habits.has_extensions = false;
        habits.refuses_to_place = Some(b"");
    });
    let mut session = open(&server);
    fs::write(server.folder.path().join("file"), b"old content").unwrap();
    let error = session.write(&path("file"), &mut &b"new"[..], &Put::default()).unwrap_err();
    let text = error.to_string();
    let (_, kept) = text.split_once("the old content is kept as \"/").unwrap_or_else(|| panic!("{text}"));
    let kept = kept.trim_end_matches('"');
    assert_eq!(fs::read(server.folder.path().join(kept)).unwrap(), b"old content");
}

#[test]
fn where_a_level_of_the_root_cannot_be_made_that_one_is_told_and_not_what_lies_below() {
    let server = start(|habits| habits.closed = Some("closed"));
    open(&server).mkdir(&path("closed")).unwrap();
    open(&server).mkdir(&path("closed/there")).unwrap_err();
    let made = |root: &str| {
        let mut config = config(&server, "right");
        config.root = format!("{}/{root}", config.root.trim_end_matches('/'));
        config.create_root = true;
        SftpTarget::new(config).unwrap().open().map(drop)
    };
    for root in ["closed/new", "closed/new/deep/er"] {
        let error = made(root).unwrap_err();
        assert_eq!(error.kind(), Kind::Denied, "{error}");
        assert!(error.to_string().ends_with("/closed/new\": permission denied"), "{error}");
    }
    made("open/new/deep").unwrap();
}

#[test]
fn where_nothing_may_be_renamed_it_is_said_what_to_do() {
    for has_extensions in [true, false] {
        let server = start(|habits| (habits.denies_renames, habits.has_extensions) = (true, has_extensions));
        let mut session = open(&server);
        let put = Put { size: Some(1), ..Put::default() };
        let told = |error: &Error| {
            assert!(error.kind() == Kind::Denied && error.to_string().ends_with("try --inplace"), "{error}");
        };
        told(&session.write(&path("a"), &mut &b"1"[..], &put).unwrap_err());
        if session.write_behind(&path("a"), &mut &b"1"[..], &put).is_ok_and(|written| written.is_none()) {
            told(session.settled(true).unwrap()[0].1.as_ref().unwrap_err());
        }
        assert_names(session.as_mut(), "", &[]);
        let inplace = Put { inplace: true, ..put };
        session.write(&path("a"), &mut &b"1"[..], &inplace).unwrap();
        told(&session.write(&path("a"), &mut &b"2"[..], &put).unwrap_err());
        assert_eq!(get(session.as_mut(), "a").unwrap(), b"1");
    }
}

/// The request that opens a file under its own name empties it, also if nobody hears of it any more.
#[test]
fn what_was_emptied_in_place_is_marked_although_the_answer_is_lost() {
    let server = start(|habits| habits.ends_at_open = true);
    let mut session = open(&server);
    for inplace in [true, false] {
        let put = Put { size: Some(1), inplace, ..Put::default() };
        let error = open(&server).write(&path("a"), &mut &b"1"[..], &put).unwrap_err();
        assert_eq!((error.retry(), error.has_damaged()), (Retry::NewSession, inplace), "{error}");
    }
    let listing = session.list(&RelPath::root()).unwrap();
    assert!(listing.entries.iter().any(|entry| entry.name.as_str() == "a" && entry.size == Some(0)));
}

#[test]
fn a_disk_that_is_full_is_told_although_the_server_gives_no_reason() {
    let server = start(|habits| habits.room = 100);
    let mut session = open(&server);
    let put = Put { size: Some(101), ..Put::default() };
    let error = session.write(&path("a"), &mut &[7; 101][..], &put).unwrap_err();
    assert_eq!(error.kind(), Kind::Full, "{error}");
    assert!(error.to_string().contains("no room left on the server"), "{error}");
    assert!(session.write_behind(&path("b"), &mut &[7; 101][..], &put).unwrap().is_none());
    let settled = session.settled(true).unwrap();
    assert!(matches!(&settled[..], [(_, Err(error))] if error.kind() == Kind::Full), "{settled:?}");
    assert_names(session.as_mut(), "", &[]);
    // Without the extension, nobody knows.
    let server = start(|habits| (habits.room, habits.has_extensions) = (100, false));
    let error = open(&server).write(&path("a"), &mut &[7; 101][..], &put).unwrap_err();
    assert!(error.to_string().ends_with("; perhaps its disk is full or a quota is used up"), "{error}");
    // A file that was refused although there is room has another reason.
    let server = start(|habits| habits.refuses_writes = true);
    let error = open(&server).write(&path("a"), &mut &[7; 101][..], &put).unwrap_err();
    assert_eq!(error.kind(), Kind::Refused, "{error}");
}

#[test]
fn a_file_that_is_written_over_while_its_pieces_are_read_is_not_passed_on() {
    // The first server gives less than is asked for; the second one reads after everything else that came with it.
    for (most, size) in [(8192, 30_000), (1 << 20, 60_000)] {
        let server = start(|habits| {
            (habits.most, habits.is_overwritten) = (most, true);
            habits.reads_last = true;
        });
        let file = server.folder.path().join("file");
        fs::write(&file, vec![b'x'; size]).unwrap();
        filetime::set_file_mtime(&file, filetime::FileTime::from_unix_time(1_600_000_000, 0)).unwrap();
        let error = get(open(&server).as_mut(), "file").unwrap_err();
        assert_eq!(error.kind(), Kind::Changed, "{error}");
    }
}

#[test]
fn a_file_of_1969_is_an_old_one() {
    let server = start(|_| {});
    let file = server.folder.path().join("file");
    fs::write(&file, b"x").unwrap();
    filetime::set_file_mtime(&file, filetime::FileTime::from_unix_time(-3600, 0)).unwrap();
    let listing = open(&server).list(&RelPath::root()).unwrap();
    assert_eq!(listing.entries[0].mtime, Some(Stamp::new(-3600, 0)));
}

#[test]
fn a_listing_may_end_with_no_names() {
    let server = start(|habits| habits.ends_without_a_word = true);
    fs::write(server.folder.path().join("file"), b"x").unwrap();
    assert_names(open(&server).as_mut(), "", &["file"]);
}

#[test]
fn names_that_come_behind_an_answer_without_any_are_not_missing() {
    let server = start(|habits| habits.empty_pages = Arc::new(Mutex::new(6)));
    fs::write(server.folder.path().join("file"), b"x").unwrap();
    assert_names(open(&server).as_mut(), "", &["file"]);
}

#[test]
fn a_listing_that_comes_in_drops_is_given_up() {
    let server = start(|habits| habits.drips = Duration::from_millis(50));
    for letter in ["a", "b", "c"] {
        fs::write(server.folder.path().join(letter.repeat(200)), b"x").unwrap();
    }
    let mut config = config(&server, "right");
    config.timeout = Duration::from_millis(400);
    let mut session = SftpTarget::new(config).unwrap().open().unwrap();
    let begun = std::time::Instant::now();
    let error = session.list(&RelPath::root()).unwrap_err();
    assert_eq!((error.kind(), error.retry()), (Kind::Timeout, Retry::NewSession), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}

#[test]
fn a_line_on_which_one_piece_takes_longer_than_silence_may_last_is_slow_and_not_dead() {
    let server = start(|habits| {
        habits.limit = Some(256 * 1024);
        habits.trickles = Some((8 * 1024, Duration::from_millis(50)));
    });
    let mut config = config(&server, "right");
    config.timeout = Duration::from_secs(1);
    let mut session = SftpTarget::new(config).unwrap().open().unwrap();
    let content = [b'x'; 300_000];
    session.write(&path("file"), &mut &content[..], &Put::default()).unwrap();
    assert!(get(session.as_mut(), "file").unwrap() == content);
}

#[test]
fn a_rename_that_is_confirmed_but_not_done_is_an_error() {
    for (has_extensions, expect) in
        [(true, Expect::Absent), (true, Expect::Anything), (false, Expect::Absent), (false, Expect::Anything)]
    {
        let server = start(|habits| {
            habits.has_extensions = has_extensions;
            habits.forgets_to_place = Some("file");
        });
        let mut session = open(&server);
        let put = Put { expect, ..Put::default() };
        let error = session.write(&path("file"), &mut &b"content"[..], &put).unwrap_err();
        assert_eq!((error.kind(), error.retry()), (Kind::Size, Retry::NewSession), "{error}");
        assert!(error.to_string().contains("nothing has the new name"), "{error}");
        if has_extensions {
            session.write_behind(&path("file"), &mut &b"content"[..], &put).unwrap();
            let error = session.settled(true).unwrap().remove(0).1.unwrap_err();
            assert_eq!((error.kind(), error.retry()), (Kind::Size, Retry::NewSession), "{error}");
        }
        assert_names(session.as_mut(), "", &[]);
        if expect == Expect::Anything && has_extensions {
            fs::write(server.folder.path().join("file"), b"old").unwrap();
            let error = session.write(&path("file"), &mut &b"content"[..], &put).unwrap_err();
            assert!(error.to_string().contains("3 of 7 bytes"), "{error}");
            assert_eq!(get(session.as_mut(), "file").unwrap(), b"old");
        }
    }
}

#[test]
fn a_look_that_a_server_takes_before_it_renames_is_no_proof_against_it() {
    for has_extensions in [true, false] {
        let server = start(|habits| {
            habits.has_extensions = has_extensions;
            habits.renames_last = true;
        });
        let mut session = open(&server);
        for content in [&b"first"[..], b"second"] {
            session.write(&path("file"), &mut &content[..], &Put::default()).unwrap();
            assert_eq!(get(session.as_mut(), "file").unwrap(), content);
        }
        if session.write_behind(&path("file"), &mut &b"the third"[..], &Put::default()).unwrap().is_none() {
            session.settled(true).unwrap().remove(0).1.unwrap();
        }
        assert_eq!(get(session.as_mut(), "file").unwrap(), b"the third");
        assert_names(session.as_mut(), "", &["file"]);
    }
}

#[test]
fn sessions_with_a_server_that_mixes_their_channels_have_a_connection_each() {
    for (introduces, expected) in [("SSH-2.0-OpenSSH_9.2", 1), ("SSH-2.0-mod_sftp/1.1.1", 3)] {
        let connections: Arc<Mutex<usize>> = Arc::default();
        let server = start(|habits| {
            habits.introduces = introduces;
            habits.connections = Arc::clone(&connections);
        });
        let target = target(&server, "right");
        let mut sessions = [(); 3].map(|()| target.open().unwrap());
        assert_eq!(*connections.lock().unwrap(), expected, "{introduces}");
        for session in &mut sessions {
            assert_names(session.as_mut(), "", &[]);
        }
    }
}

#[test]
fn a_session_that_is_dropped_ends_on_the_server() {
    let sessions: Arc<Mutex<usize>> = Arc::default();
    let server = start(|habits| habits.sessions = Arc::clone(&sessions));
    let target = target(&server, "right");
    // The connection stays.
    let _other = target.open().unwrap();
    drop(target.open().unwrap());
    assert!(eventually(|| *sessions.lock().unwrap() <= 1), "it is still there");
}

#[test]
fn a_file_that_is_taken_out_of_an_inbox_at_once_has_arrived() {
    for has_extensions in [true, false] {
        let server = start(|habits| {
            habits.has_extensions = has_extensions;
            habits.takes_away = Some("file");
        });
        let mut session = open(&server);
        session.write(&path("file"), &mut &b"content"[..], &Put::default()).unwrap();
        if session.write_behind(&path("file"), &mut &b"content"[..], &Put::default()).unwrap().is_none() {
            session.settled(true).unwrap().remove(0).1.unwrap();
        }
        assert_names(session.as_mut(), "", &[]);
    }
}
