//! The second engine keeps the same promises, and does not do what it is known to do wrong.

#![cfg(feature = "suppaftp")]

use crate::contract::{check, get, path};
use crate::ftp_conversations::{config, trusting};
use crate::ftp_server::{Quirks, Server, Tls};
use ftpsync::error::{Error, Kind, Retry};
use ftpsync::target::ftp::{Engine, FtpConfig, FtpTarget, Secret, TlsConfig};
use ftpsync::target::{Put, Target};
use std::io::Read;
use std::time::Duration;

fn start(quirks: Quirks) -> (Server, FtpTarget) {
    let server = Server::start(Quirks { greets_briefly: true, ..quirks });
    let target = target(&server);
    (server, target)
}

fn target(server: &Server) -> FtpTarget {
    let timeout = Duration::from_secs(3);
    FtpTarget::new(FtpConfig { engine: Engine::Suppaftp, timeout, ..config(server) }).unwrap()
}

#[test]
fn it_keeps_the_contract() {
    check(&start(Quirks::default()).1);
}

#[test]
fn it_keeps_the_contract_where_there_is_only_list() {
    let quirks =
        Quirks { hides: vec!["MLST", "EPSV"], answers: vec![("EPSV", "500 unknown")], ..Quirks::default() };
    check(&start(quirks).1);
}

#[test]
fn it_keeps_the_contract_with_tls() {
    for tls in [Tls::Old, Tls::New] {
        let server = Server::start(Quirks { greets_briefly: true, tls: Some(tls), ..Quirks::default() });
        let config = FtpConfig { engine: Engine::Suppaftp, ..trusting(&server) };
        check(&FtpTarget::new(config).unwrap());
    }
}

#[test]
fn commands_go_one_by_one() {
    let (server, target) = start(Quirks::default());
    let mut session = target.open().unwrap();
    for name in ["a", "b", "c"] {
        let written = session.write_behind(&path(name), &mut &b"x"[..], &Put::default()).unwrap();
        assert!(written.is_some(), "something is left for later");
    }
    assert!(server.packets().iter().all(|packet| packet.len() == 1));
}

#[test]
fn a_body_that_fails_leaves_nothing_and_the_conversation_goes_on() {
    struct Broken(usize);
    impl Read for Broken {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            if self.0 == 0 {
                return Err(std::io::Error::other("the disk is gone"));
            }
            self.0 -= 1;
            buffer.fill(7);
            Ok(buffer.len())
        }
    }
    let (server, target) = start(Quirks::default());
    server.put("/a", b"old");
    let mut session = target.open().unwrap();
    assert!(session.write(&path("a"), &mut Broken(3), &Put::default()).is_err());
    assert_eq!(server.paths(), ["/", "/a"]);
    assert_eq!(get(session.as_mut(), "a").unwrap(), b"old");
}

#[test]
fn the_reason_of_the_server_is_told() {
    let (server, target) = start(Quirks { stor_ends_with: Some("552 quota exceeded"), ..Quirks::default() });
    let error =
        target.open().unwrap().write(&path("a"), &mut &[7; 500_000][..], &Put::default()).unwrap_err();
    assert_eq!((error.kind(), error.reply().map(|(code, _)| code)), (Kind::Full, Some(552)), "{error}");
    assert_eq!(server.content("/a"), None);
}

#[test]
fn a_download_that_is_cut_short_is_no_download() {
    let (server, target) = start(Quirks { halves_downloads: true, ..Quirks::default() });
    server.put("/a", &[7; 10_000]);
    let error = get(target.open().unwrap().as_mut(), "a").unwrap_err();
    assert_eq!((error.kind(), error.retry()), (Kind::Size, Retry::NewSession), "{error}");
}

#[test]
fn a_reply_that_does_not_come_ends_the_conversation() {
    let server =
        Server::start(Quirks { greets_briefly: true, is_silent_at: Some("DELE"), ..Quirks::default() });
    server.put("/a", b"x");
    let timeout = Duration::from_millis(200);
    let target = FtpTarget::new(FtpConfig { engine: Engine::Suppaftp, timeout, ..config(&server) }).unwrap();
    let mut session = target.open().unwrap();
    let error = session.remove_file(&path("a")).unwrap_err();
    assert_eq!((error.kind(), error.retry()), (Kind::Timeout, Retry::NewSession));
    assert!(!session.is_alive());
    // A late reply would be taken for the answer to this.
    assert!(session.list(&path("")).is_err());
}

#[test]
fn a_wrong_password_is_told_and_not_shown() {
    let server = Server::start(Quirks { greets_briefly: true, ..Quirks::default() });
    let password = Some(Secret::new("wrong-word"));
    let config = FtpConfig { engine: Engine::Suppaftp, password, ..config(&server) };
    let Err(error) = FtpTarget::new(config).unwrap().open() else { panic!("it was let in") };
    assert_eq!(error.kind(), Kind::Login);
    assert!(!error.to_string().contains("wrong-word"), "{error}");
}

#[test]
fn a_server_that_repeats_the_password_does_not_bring_it_into_errors() {
    const SAYS: &str = "550 you said geheim99";
    let failing = |verb: &'static str, act: fn(&FtpTarget) -> Option<Error>| {
        let quirks = Quirks { answers: vec![("PASS", "230 welcome"), (verb, SAYS)], ..Quirks::default() };
        let server = Server::start(Quirks { greets_briefly: true, ..quirks });
        server.put("/a", b"x");
        let password = Some(Secret::new("geheim99"));
        let tls = (verb == "AUTH").then(TlsConfig::default);
        let config = FtpConfig { engine: Engine::Suppaftp, password, tls, ..config(&server) };
        let error = act(&FtpTarget::new(config).unwrap()).expect(verb);
        let shown = format!("{error} {error:?}");
        assert!(shown.contains("you said ***") && !shown.contains("geheim99"), "{verb}: {shown}");
    };
    failing("AUTH", |target| target.open().err());
    failing("DELE", |target| target.open().unwrap().remove_file(&path("a")).err());
    failing("RETR", |target| get(target.open().unwrap().as_mut(), "a").err());
    failing("STOR", |target| target.open().unwrap().write(&path("b"), &mut &b"x"[..], &Put::default()).err());
}

#[test]
fn a_greeting_that_repeats_the_password_does_not_bring_it_into_errors() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut socket in listener.incoming().flatten() {
            let _ =
                std::io::Write::write_all(&mut socket, b"530 geheim99 was your password the last time\r\n");
        }
    });
    let mut config = FtpConfig { engine: Engine::Suppaftp, port, ..FtpConfig::new("127.0.0.1", "/") };
    config.password = Some(Secret::new("geheim99"));
    let Err(error) = FtpTarget::new(config).unwrap().open() else { panic!("it was let in") };
    let shown = format!("{error} {error:?}");
    assert!(shown.contains("*** was your password") && !shown.contains("geheim99"), "{shown}");
}

#[test]
fn a_greeting_that_it_cannot_read_is_one_error_with_advice() {
    let server = Server::start(Quirks::default());
    let Err(error) = target(&server).open() else {
        panic!("the library has learned to read it: drop the advice")
    };
    assert!(error.to_string().contains("--ftp-engine"), "{error}");
}

#[test]
fn listings_that_may_have_been_cut_short_are_not_believed_where_the_words_for_it_are_not_heard() {
    let ends = Some("226-Options: -l\r\n226 Output truncated to 1000 matches");
    for (shown, is_doubted) in
        [(498, true), (499, true), (500, true), (501, false), (998, true), (1_001, false)]
    {
        for hides in [vec![], vec!["MLST"]] {
            let (server, target) =
                start(Quirks { listing_ends_with: ends, hides: hides.clone(), ..Quirks::default() });
            // Such a listing shows half of the lines, the one of the folder itself included.
            server.put_many("/f", shown * 2 + usize::from(hides.is_empty()));
            let listing = target.open().unwrap().list(&path("")).unwrap();
            assert_eq!(listing.entries.len(), shown, "{hides:?}");
            assert_eq!(listing.complete, !is_doubted, "{shown} {hides:?}");
        }
    }
}
