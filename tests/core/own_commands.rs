//! Commands of the user's own, between the verbs of a session.

use crate::contract::{get, path};
use crate::ftp_conversations::{open, open_learned, write};
use crate::ftp_server::Quirks;
use ftpsync::error::{Error, Kind};
use ftpsync::target::ftp::Way;
use ftpsync::target::{Expect, Put, Session};

/// Sends commands as the user does, and reads a reply to each.
fn say(session: &mut dyn Session, lines: &[&str]) -> Vec<u16> {
    let mut ftp = session.as_ftp().unwrap();
    let mut codes = Vec::new();
    for line in lines {
        ftp.send(line.as_bytes()).unwrap();
        codes.push(ftp.reply().unwrap().code());
    }
    codes
}

fn put_in_order(session: &mut dyn Session) -> Result<(), Error> {
    session.as_ftp().unwrap().settle()
}

#[test]
fn what_the_user_changes_is_put_back_once() {
    let (server, mut session) = open(Quirks::default());
    assert_eq!(say(session.as_mut(), &["TYPE A", "NOOP", "type a"])[0], 200);
    put_in_order(session.as_mut()).unwrap();
    put_in_order(session.as_mut()).unwrap();
    say(session.as_mut(), &["TYPE A", "TYPE I"]);
    put_in_order(session.as_mut()).unwrap();
    assert_eq!(server.script(), ["TYPE A", "NOOP", "type a", "TYPE I", "TYPE A", "TYPE I"]);
}

#[test]
fn a_reply_that_nobody_has_read_is_not_taken_for_another() {
    let (_server, mut session) = open(Quirks::default());
    session.as_ftp().unwrap().send(b"NOOP").unwrap();
    assert_eq!(say(session.as_mut(), &["PWD"]), [257]);
    session.as_ftp().unwrap().send(b"PWD").unwrap();
    put_in_order(session.as_mut()).unwrap();
    write(session.as_mut(), "a", b"a").unwrap();
    assert_eq!(get(session.as_mut(), "a").unwrap(), b"a");
}

#[test]
fn a_command_line_of_the_user_cannot_start_another() {
    let (server, mut session) = open(Quirks::default());
    for bad in [&b"NOOP\r\nDELE a"[..], b"NOOP\n", b"NOOP\0"] {
        assert_eq!(session.as_ftp().unwrap().send(bad).unwrap_err().kind(), Kind::Name);
    }
    assert_eq!(server.script(), [""; 0]);
}

#[test]
fn files_written_behind_are_finished_before_the_user_speaks() {
    let (server, mut session) = open_learned(Quirks::default());
    let put = Put { size: Some(1), expect: Expect::Absent, ..Put::default() };
    let outcome = session.write_behind(&path("late"), &mut &b"x"[..], &put).unwrap();
    assert!(outcome.is_none() && server.content("/late").is_none());
    assert_eq!(say(session.as_mut(), &["NOOP"]), [200]);
    assert_eq!(server.content("/late").unwrap(), b"x");
    let settled = session.settled(false).unwrap();
    assert!(matches!(&settled[..], [(file, Ok(_))] if *file == path("late")), "{settled:?}");
}

#[test]
fn a_verb_waits_for_the_end_of_a_transfer_of_the_user() {
    let (server, mut session) = open(Quirks::default());
    server.put("/a", b"content");
    let mut ftp = session.as_ftp().unwrap();
    ftp.send(b"EPSV").unwrap();
    let port = ftp.reply().unwrap().passive_port().unwrap();
    let mut hands = ftp.dial(port, None).unwrap();
    ftp.send(b"RETR /a").unwrap();
    assert_eq!(ftp.reply().unwrap().code() / 100, 1);
    hands.begin(Way::Here).unwrap();
    assert_eq!(ftp.settle().unwrap_err().kind(), Kind::Busy);
    let mut content = [0; 100];
    assert_eq!(hands.read(&mut content).unwrap(), 7);
    hands.close().unwrap();
    put_in_order(session.as_mut()).unwrap();
    assert_eq!(get(session.as_mut(), "a").unwrap(), b"content");
}
