//! How data connections come about: the modes, the forms of the replies, and what is tried when one fails.

use crate::contract::{self, get, path, put};
use crate::ftp_conversations::{config, listed_names, open, trusting};
use crate::ftp_faults::{At, Fault, Mishap};
use crate::ftp_server::{Lingering, Quirks, Server, Tls};
use ftpsync::error::{Kind, Retry};
use ftpsync::model::{RelPath, Stamp};
use ftpsync::target::ftp::{FtpConfig, FtpTarget};
use ftpsync::target::{Expect, Put, RESUMED, Session, Target};
use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};

const NO_PASSIVE: [(&str, &str); 2] = [("EPSV", "500 unknown command"), ("PASV", "502 not here")];

fn without_passive() -> Quirks {
    Quirks { answers: NO_PASSIVE.to_vec(), ..Quirks::default() }
}

fn target(config: FtpConfig) -> FtpTarget {
    FtpTarget::new(config).unwrap()
}

/// The lines for the user about the choice of a mode.
fn told(target: &FtpTarget) -> Vec<String> {
    let news = target.news().into_iter().filter(|(_, line)| line.starts_with("Data connections"));
    news.map(|(level, line)| format!("{level} {line}")).collect()
}

/// A port of this computer that refuses connections, and that nobody else gets.
pub fn closed_port() -> u16 {
    use socket2::{Domain, Socket, Type};
    let taken = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    taken.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    let port = taken.local_addr().unwrap().as_socket_ipv4().unwrap().port();
    std::mem::forget(taken);
    port
}

#[test]
fn where_passive_mode_is_refused_the_server_connects() {
    for tls in [None, Some(Tls::Old), Some(Tls::New)] {
        let server = Server::start(Quirks { tls, ..without_passive() });
        let target = target(if tls.is_some() { trusting(&server) } else { config(&server) });
        let mut session = target.open().unwrap();
        server.packets();
        session.list(&RelPath::root()).unwrap();
        put(session.as_mut(), "file", b"content");
        assert_eq!(get(session.as_mut(), "file").unwrap(), b"content");
        let script = server.script().join("\n");
        assert!(script.starts_with("EPSV\nPASV\nPORT 127,0,0,1,"), "{script}");
        assert_eq!(script.matches("EPSV").count(), 1, "decided once: {script}");
        let told = told(&target);
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].starts_with("3 Data connections with 127.0.0.1:"), "{told:?}");
        assert!(told[0].contains("(--ftp-active): 500 unknown command"), "{told:?}");
    }
}

#[test]
fn passive_mode_that_is_not_permitted_is_refused_as_well() {
    let answers = vec![("EPSV", "550 Permission denied."), ("PASV", "550 Permission denied.")];
    let server = Server::start(Quirks { answers, ..Quirks::default() });
    let target = target(config(&server));
    let mut session = target.open().unwrap();
    put(session.as_mut(), "file", b"content");
    assert_eq!(get(session.as_mut(), "file").unwrap(), b"content");
    assert!(told(&target)[0].contains("(--ftp-active): 550 Permission denied."), "{:?}", told(&target));
}

#[test]
fn where_no_way_to_connect_is_permitted_a_folder_does_not_look_empty() {
    let answers = ["EPSV", "PASV", "PORT"].map(|verb| (verb, "550 Permission denied.")).to_vec();
    let server = Server::start(Quirks { answers, ..Quirks::default() });
    let error = target(config(&server)).open().unwrap().list(&RelPath::root()).unwrap_err();
    assert!(error.to_string().contains("550 Permission denied."), "{error}");
    assert!(error.to_string().contains("this is about the data connection"), "{error}");
}

#[test]
fn the_contract_holds_in_the_mode_that_was_fallen_back_to() {
    contract::check(&target(config(&Server::start(without_passive()))));
}

#[test]
fn where_passive_ports_are_unreachable_the_server_connects() {
    let port = closed_port();
    let (extended, classic) =
        (format!("229 (|||{port}|)"), format!("227 (127,0,0,1,{},{})", port / 256, port % 256));
    let answers = vec![("EPSV", extended.leak() as &str), ("PASV", classic.leak() as &str)];
    let server = Server::start(Quirks { answers, ..Quirks::default() });
    let target = target(config(&server));
    let mut session = target.open().unwrap();
    put(session.as_mut(), "file", b"content");
    assert_eq!(get(session.as_mut(), "file").unwrap(), b"content");
    assert!(told(&target)[0].contains("no data connection to 127.0.0.1:"), "{:?}", told(&target));
}

#[test]
fn where_only_the_ports_of_epsv_are_unreachable_pasv_is_used_and_that_is_decided_once() {
    for tls in [None, Some(Tls::Old), Some(Tls::New)] {
        let answers = vec![("EPSV", format!("229 (|||{}|)", closed_port()).leak() as &str)];
        let server = Server::start(Quirks { answers, tls, ..Quirks::default() });
        let target = target(if tls.is_some() { trusting(&server) } else { config(&server) });
        for name in ["a", "b"] {
            let mut session = target.open().unwrap();
            session.list(&RelPath::root()).unwrap();
            put(session.as_mut(), name, b"content");
            assert_eq!(get(session.as_mut(), name).unwrap(), b"content");
        }
        let script = server.script().join("\n");
        assert_eq!((script.matches("EPSV").count(), script.matches("PORT").count()), (1, 0), "{script}");
        assert!(script.contains("PASV | MLSD /"), "{script}");
        assert!(told(&target).is_empty(), "the mode is the same: {:?}", told(&target));
    }
}

/// ProFTPD closes the port as soon as it refuses the command, perhaps before anybody has connected.
#[test]
fn a_port_that_closes_with_the_refusal_is_no_broken_connection() {
    for tls in [None, Some(Tls::New)] {
        let server = Server::start(Quirks { tls, ..Quirks::default() });
        let target = target(if tls.is_some() { trusting(&server) } else { config(&server) });
        let mut session = target.open().unwrap();
        assert!(session.list(&RelPath::root()).unwrap().entries.is_empty());
        let arrivals = server.arrivals();
        let closed = Mishap::Answer(format!("229 (|||{}|)", closed_port()).leak());
        server.faults().plan([Fault { at: At::Nth("EPSV", 0), mishap: closed }]);
        let error = session.list(&path("nothing")).unwrap_err();
        assert_eq!(error.kind(), Kind::NotFound, "{error} {:?}", server.script());
        assert_eq!(server.faults().happened(), 1);
        put(session.as_mut(), "file", b"content");
        assert_eq!(server.arrivals(), arrivals, "it is still the same conversation");
    }
}

#[test]
fn where_active_mode_is_refused_this_side_connects() {
    let server = Server::start(Quirks { answers: vec![("PORT", "500 no")], ..Quirks::default() });
    let target = target(FtpConfig { active: true, ..config(&server) });
    let mut session = target.open().unwrap();
    put(session.as_mut(), "file", b"content");
    assert_eq!(get(session.as_mut(), "file").unwrap(), b"content");
    assert!(told(&target)[0].contains("without --ftp-active"));
    assert_eq!(server.script().join("\n").matches("PORT").count(), 1);
}

#[test]
fn a_server_that_never_connects_is_met_in_passive_mode_the_next_time() {
    let answers = vec![("PORT", "200 ok"), ("MLSD", "150 I am coming"), ("LIST", "150 I am coming")];
    let server = Server::start(Quirks { answers, ..Quirks::default() });
    let short = Duration::from_millis(800);
    let target = target(FtpConfig { active: true, connect_timeout: short, ..config(&server) });
    let started = Instant::now();
    let error = target.open().unwrap().list(&RelPath::root()).unwrap_err();
    assert_eq!(error.kind(), Kind::Timeout, "{error}");
    assert!(error.to_string().contains("try without --ftp-active"), "{error}");
    assert!(started.elapsed() < Duration::from_secs(15));
    let mut session = target.open().unwrap();
    put(session.as_mut(), "file", b"content");
    assert!(server.script().join("\n").contains("EPSV"));
}

/// The first transfer in active mode, after which all of them are asked for in one packet.
fn proven_in_active_mode(server: &Server) -> (FtpTarget, Box<dyn Session>) {
    server.put("/file", b"content");
    let timeout = Duration::from_secs(1);
    let target = target(FtpConfig { active: true, timeout, ..config(server) });
    let mut session = target.open().unwrap();
    assert_eq!(listed_names(session.as_mut()), ["file"]);
    (target, session)
}

#[test]
fn a_server_whose_connection_is_open_before_the_command_gets_one_at_a_time() {
    let server = Server::start(Quirks { connects_at_port: Some("125 open"), ..Quirks::default() });
    let (_target, mut session) = proven_in_active_mode(&server);
    for _ in 0..2 {
        assert_eq!(get(session.as_mut(), "file").unwrap(), b"content");
        assert_eq!(get(session.as_mut(), "missing").unwrap_err().kind(), Kind::NotFound);
    }
    assert_eq!(server.arrivals(), 1);
    assert!(!server.script().iter().any(|packet| packet.contains("PORT") && packet.contains("RETR")));
}

/// As before, but nothing tells so beforehand.
#[test]
fn a_transfer_that_begins_before_its_port_is_confirmed_is_begun_anew() {
    for (name, outcome) in [("file", None), ("missing", Some(Kind::NotFound))] {
        let server = Server::start(Quirks { connects_at_port: Some("150 soon"), ..Quirks::default() });
        let (target, mut session) = proven_in_active_mode(&server);
        let error = get(session.as_mut(), name).unwrap_err();
        assert_eq!((error.kind(), error.retry()), (Kind::Busy, Retry::NewSession), "{error}");
        assert!(!session.is_alive(), "what was begun would go on");
        let mut session = target.open().unwrap();
        for _ in 0..2 {
            assert_eq!(get(session.as_mut(), name).err().map(|error| error.kind()), outcome);
        }
        assert_eq!(server.arrivals(), 2);
    }
}

/// STOR destroys what has the name, also on a server that finds out only then that there is no connection.
#[test]
fn what_is_written_in_place_has_its_connection_before_its_command() {
    for active in [false, true] {
        let server = Server::start(Quirks::default());
        server.put("/file", b"old");
        let target = target(FtpConfig { active, ..config(&server) });
        let mut session = target.open().unwrap();
        assert_eq!(listed_names(session.as_mut()), ["file"]);
        server.packets();
        for (number, content) in [b"new".as_slice(), b"newer"].into_iter().enumerate() {
            let expect = if number == 0 { Expect::File(Some(3), None) } else { Expect::Anything };
            let put = Put { inplace: true, expect, size: Some(content.len() as u64), ..Put::default() };
            session.write(&path("file"), &mut &*content, &put).unwrap();
            assert_eq!(server.content("/file").unwrap(), content);
        }
        let (request, script) = (if active { "PORT" } else { "EPSV" }, server.script());
        let asked: Vec<_> = script.iter().filter(|packet| packet.contains(request)).collect();
        assert_eq!(asked.len(), 2, "{script:#?}");
        assert!(asked.iter().all(|packet| !packet.contains("STOR")), "{script:#?}");
        assert_eq!(script.iter().filter(|packet| *packet == "STOR /file").count(), 2, "{script:#?}");
        // The look at what is to be replaced takes the request along.
        assert_eq!(asked[0].contains("SIZE /file"), !active, "{script:#?}");
        let verb = if active { "PORT" } else { "EPSV" };
        server.faults().plan([Fault { at: At::Nth(verb, 0), mishap: Mishap::Answer("425 no port") }]);
        let put = Put { inplace: true, size: Some(1), ..Put::default() };
        session.write(&path("file"), &mut &b"x"[..], &put).unwrap_err();
        assert_eq!(server.content("/file").unwrap(), b"newer");
    }
}

#[test]
fn what_the_user_switches_to_is_not_taken_for_proven() {
    let server = Server::start(Quirks { connects_at_port: Some("125 open"), ..Quirks::default() });
    server.put("/file", b"content");
    let target = target(config(&server));
    let mut session = target.open().unwrap();
    assert_eq!(get(session.as_mut(), "file").unwrap(), b"content");
    session.as_ftp().unwrap().set_active(true);
    for _ in 0..2 {
        assert_eq!(get(session.as_mut(), "file").unwrap(), b"content");
    }
    assert_eq!((server.arrivals(), server.script().join(" ").matches("PORT").count()), (1, 2));
}

/// Others get the port after a while.
#[test]
fn a_port_that_was_asked_for_long_ago_is_not_used() {
    let (server, mut session) = open(Quirks::default());
    put(session.as_mut(), "first", b"1");
    let big = Put { size: Some(RESUMED), mtime: Some(Stamp::new(1_600_000_000, 0)), ..Put::default() };
    for (wait, asked) in [(Duration::ZERO, 1), (Duration::from_millis(5_200), 2)] {
        server.packets();
        assert_eq!(session.held(&path("big"), &big).unwrap(), 0);
        std::thread::sleep(wait);
        put(session.as_mut(), "file", b"content");
        let script = server.script().join(" | ");
        assert_eq!(script.matches("EPSV").count(), asked, "{script}");
    }
}

#[test]
fn small_files_are_in_place_before_a_large_one_is_sent() {
    let (server, mut session) = open(Quirks::default());
    put(session.as_mut(), "first", b"1");
    for name in ["a", "b"] {
        let put = Put { size: Some(1), expect: Expect::Absent, ..Put::default() };
        assert!(session.write_behind(&path(name), &mut &b"x"[..], &put).unwrap().is_none());
    }
    let big = Put { size: Some(RESUMED), mtime: Some(Stamp::new(1_600_000_000, 0)), ..Put::default() };
    let content = vec![b'x'; RESUMED as usize];
    server.packets();
    session.write_behind(&path("big"), &mut &*content, &big).unwrap();
    let script = server.script();
    let at = |text: &str| script.iter().position(|packet| packet.contains(text)).unwrap();
    assert!(at("RNTO /b") < at("STOR"), "{script:#?}");
}

#[test]
fn a_port_that_is_refused_later_is_told_whatever_becomes_of_the_command_behind_it() {
    for (behind, is_alive) in [("425 no port", true), ("150 to the port of before", false), ("", false)] {
        let server = Server::start(Quirks::default());
        let (target, mut session) = proven_in_active_mode(&server);
        server.faults().plan([
            Fault { at: At::Nth("PORT", 0), mishap: Mishap::Answer("425 not now") },
            Fault { at: At::Nth("RETR", 0), mishap: Mishap::Answer(behind) },
        ]);
        let error = get(session.as_mut(), "file").unwrap_err();
        assert_eq!(server.faults().happened(), 2, "{behind}");
        assert_eq!(error.reply(), Some((425, "425 not now")), "{behind}: {error}");
        assert_eq!(session.is_alive(), is_alive, "{behind}");
        assert_eq!(get(target.open().unwrap().as_mut(), "file").unwrap(), b"content");
        assert!(told(&target).is_empty(), "the mode has worked: {:?}", told(&target));
    }
}

#[test]
fn an_interrupt_ends_the_wait_for_the_server_to_connect() {
    let answers = vec![("PORT", "200 ok"), ("MLSD", "150 I am coming")];
    let server = Server::start(Quirks { answers, ..Quirks::default() });
    let target = target(FtpConfig { active: true, ..config(&server) });
    let mut session = target.open().unwrap();
    let started = Instant::now();
    let error = std::thread::scope(|scope| {
        let listing = scope.spawn(|| session.list(&RelPath::root()).unwrap_err());
        std::thread::sleep(Duration::from_millis(200));
        target.interrupt();
        listing.join().unwrap()
    });
    assert_eq!(error.kind(), Kind::Disconnected, "{error}");
    assert!(started.elapsed() < Duration::from_secs(15));
}

#[test]
fn where_neither_mode_works_the_first_refusal_is_told_and_nothing_is_tried_for_ever() {
    let answers = [&NO_PASSIVE[..], &[("PORT", "500 neither")]].concat();
    let server = Server::start(Quirks { answers, ..Quirks::default() });
    let mut session = target(config(&server)).open().unwrap();
    for _ in 0..3 {
        let error = session.list(&RelPath::root()).unwrap_err();
        assert!(error.to_string().contains("500 unknown command"), "{error}");
    }
    assert_eq!(server.script().join("\n").matches("PORT").count(), 1);
}

#[test]
fn what_is_refused_for_itself_is_not_blamed_on_the_mode() {
    for answer in ["550 no such file", "500 unknown command", "450 busy"] {
        let server = Server::start(Quirks { answers: vec![("RETR", answer)], ..Quirks::default() });
        let target = target(config(&server));
        assert!(get(target.open().unwrap().as_mut(), "file").is_err());
        assert!(told(&target).is_empty(), "{answer}");
    }
}

#[test]
fn the_host_in_a_reply_to_pasv_counts_only_if_it_is_trusted() {
    // The server of these tests names 10.9.8.7, as servers behind a router do.
    let server = Server::start(Quirks { answers: vec![("EPSV", "500 no")], ..Quirks::default() });
    let mut session = target(config(&server)).open().unwrap();
    session.list(&RelPath::root()).unwrap();

    let listener = TcpListener::bind("127.0.0.2:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let said = format!("227 (127,0,0,2,{},{})", port / 256, port % 256);
    let answers = vec![("PASV", said.leak() as &str), ("MLSD", "150 from there\r\n226 done")];
    let server = Server::start(Quirks { answers, ..Quirks::default() });
    let trusting = FtpConfig { trust_pasv_host: true, ..config(&server) };
    let mut session = target(trusting).open().unwrap();
    let there = std::thread::spawn(move || {
        use std::io::Write;
        listener.accept().unwrap().0.write_all(b"type=file;size=1;modify=20240102030405; there\r\n")
    });
    let names = listed_names(session.as_mut());
    there.join().unwrap().unwrap();
    assert_eq!(names, ["there"]);
    assert!(!server.script().join("\n").contains("EPSV"), "it names no host");
}

#[test]
fn a_host_that_is_no_host_is_not_trusted_either() {
    use ftpsync::wire::ftp::Reply;
    let host = |text: &str| Reply::from_text(text).passive_host();
    assert_eq!(host("227 (0,0,0,0,1,2)\r\n"), None);
    assert_eq!(host("227 =10,1,2,3,4,5 now\r\n"), Some([10, 1, 2, 3].into()));
    assert_eq!(host("229 (10,1,2,3,4,5)\r\n"), None);
    assert_eq!(host("227 here\r\n"), None);
}

#[test]
fn a_port_without_a_host_and_other_odd_replies_are_understood() {
    let port = |text: &str| ftpsync::wire::ftp::Reply::from_text(text).passive_port();
    assert_eq!(port("229 Entering Extended Passive Mode (!!!6446!)\r\n"), Some(6446));
    assert_eq!(port("227 Entering Passive Mode (10,0,0,1,19,136\r\n"), Some(5000));
    assert_eq!(port("227 Entering Passive Mode. 10,0,0,1,19,136.\r\n"), Some(5000));
    assert_eq!(port("227 Entering Passive Mode (10, 0, 0, 1, 19, 136)\r\n"), Some(5000));
    assert_eq!(port("229 Entering Passive Mode (|||5000|\r\n"), Some(5000));
}

/// Fetches nine files from a server that confirms late; returns the files that failed, and how many early ends it saw.
fn fetch_from(lingering: Lingering, size: usize) -> (Vec<usize>, usize) {
    let server = Server::start(Quirks { lingers: Some(lingering), ..Quirks::default() });
    let content = vec![b'x'; size];
    server.put("/file", &content);
    let target = target(config(&server));
    let mut session = target.open().unwrap();
    let mut failed = Vec::new();
    // The first transfer asks for the passive connection step by step.
    for number in 0..9 {
        match get(session.as_mut(), "file") {
            Ok(bytes) => assert_eq!(bytes, content),
            Err(error) => {
                assert_eq!(error.retry(), Retry::NewSession, "{error}");
                failed.push(number);
                session = target.open().unwrap();
            }
        }
    }
    (failed, server.early_ends())
}

#[test]
fn where_the_server_waits_for_our_end_it_gets_that_at_once() {
    assert_eq!(fetch_from(Lingering::ForTheOther, 1000), (vec![], 5));
}

#[test]
fn an_early_end_that_is_of_no_use_is_not_repeated() {
    assert_eq!(fetch_from(Lingering::Anyway, 1000), (vec![], 1));
}

#[test]
fn an_early_end_that_is_taken_for_an_abort_is_not_repeated_and_the_file_is_worth_another_attempt() {
    assert_eq!(fetch_from(Lingering::UnlessAborted, 1000), (vec![4], 1));
}

#[test]
fn the_end_of_what_is_large_comes_at_the_end() {
    assert_eq!(fetch_from(Lingering::ForTheOther, 300 * 1024), (vec![], 0));
}

#[test]
fn listings_end_early_only_once_a_file_has_proven_it() {
    let server = Server::start(Quirks { lingers: Some(Lingering::ForTheOther), ..Quirks::default() });
    server.put("/file", b"content");
    let mut session = target(config(&server)).open().unwrap();
    assert_eq!((listed_names(session.as_mut()), server.early_ends()), (vec!["file".to_owned()], 0));
    for _ in 0..8 {
        assert_eq!(get(session.as_mut(), "file").unwrap(), b"content");
    }
    let before = server.early_ends();
    assert!(before > 0);
    assert_eq!((listed_names(session.as_mut()), server.early_ends()), (vec!["file".to_owned()], before + 1));
}

#[test]
fn no_file_of_the_user_is_read_to_find_that_out() {
    let server = Server::start(Quirks { lingers: Some(Lingering::ForTheOther), ..Quirks::default() });
    server.put("/secret.key", b"private");
    let mut session = target(config(&server)).open().unwrap();
    for _ in 0..10 {
        assert_eq!(listed_names(session.as_mut()), ["secret.key"]);
    }
    assert!(!server.script().join(" ").contains("RETR"));
}

#[test]
fn where_only_listings_come_late_the_lock_file_proves_once_that_they_may_end_early() {
    for (lingering, helps) in
        [(Lingering::ForTheOther, true), (Lingering::Anyway, false), (Lingering::UnlessAborted, false)]
    {
        let server = Server::start(Quirks { lingers: Some(lingering), ..Quirks::default() });
        server.put("/.pyftpsync-lock.json", b"ours");
        server.put("/file", b"x");
        let target = target(config(&server));
        let mut session = target.open().unwrap();
        for number in 0..10 {
            if !session.is_alive() {
                assert_eq!((number, lingering), (6, Lingering::UnlessAborted));
                session = target.open().unwrap();
            }
            assert_eq!(listed_names(session.as_mut()), [".pyftpsync-lock.json", "file"]);
        }
        let read: Vec<String> =
            server.script().into_iter().filter(|packet| packet.contains("RETR")).collect();
        let lock = "SIZE /.pyftpsync-lock.json | EPSV | RETR /.pyftpsync-lock.json";
        assert_eq!(read, [lock], "{lingering:?}");
        // That of the lock, and those of the four listings after it.
        assert_eq!(server.early_ends(), if helps { 5 } else { 1 }, "{lingering:?}");
    }
}

/// The lock is written first, and its command leaves before the connection.
#[test]
fn where_only_the_ports_of_epsv_are_unreachable_a_first_upload_does_not_change_the_mode() {
    let answers = vec![("EPSV", format!("229 (|||{}|)", closed_port()).leak() as &str)];
    let server = Server::start(Quirks { answers, ..Quirks::default() });
    let target = target(config(&server));
    let lock = Put { inplace: true, is_hasty: true, size: Some(4), expect: Expect::Absent, ..Put::default() };
    let mut session = target.open().unwrap();
    session.still_before_write(&[(path("lock"), Expect::Absent)]);
    let error = session.write(&path("lock"), &mut &b"lock"[..], &lock).unwrap_err();
    assert_eq!(error.retry(), Retry::NewSession, "{error}");
    let mut session = target.open().unwrap();
    session.write(&path("lock"), &mut &b"lock"[..], &lock).unwrap();
    assert_eq!(server.content("/lock").unwrap(), b"lock");
    let script = server.script().join("\n");
    assert!(script.contains("PASV") && !script.contains("PORT"), "{script}");
    assert!(told(&target).is_empty(), "{:?}", told(&target));
}

#[test]
fn where_neither_mode_works_it_stays_as_the_user_wants_it() {
    for active in [false, true] {
        let answers = vec![("EPSV", "500 no"), ("PASV", "500 no"), ("PORT", "500 no"), ("EPRT", "500 no")];
        let server = Server::start(Quirks { answers, ..Quirks::default() });
        let target = target(FtpConfig { active, ..config(&server) });
        for _ in 0..3 {
            server.packets();
            let mut session = target.open().unwrap();
            session.list(&RelPath::root()).unwrap_err();
        }
        let script = server.script().join("\n");
        assert_eq!(script.contains("PORT"), active, "{script}");
        assert_eq!(script.contains("PASV"), !active, "{script}");
    }
}
