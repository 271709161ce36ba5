//! What somebody has changed on the server between the listing and the upload is not overwritten, at no cost.

use crate::contract::path;
use crate::ftp_conversations::{open_learned, settle, write_behind, write_over};
use crate::ftp_server::{Quirks, Server};
use ftpsync::error::{Error, Kind};
use ftpsync::model::{RelPath, Stamp};
use ftpsync::target::{Expect, Put, Session};
use std::io::Read;

/// Where a file is put in place: alone, behind others, or under its own name from the start.
fn put_over(session: &mut dyn Session, way: &str, put: Put) -> Result<(), Error> {
    let put = Put { size: Some(4), inplace: way == "in place", ..put };
    if way != "behind" {
        return session.write(&path("file"), &mut &b"ours"[..], &put).map(drop);
    }
    assert!(session.write_behind(&path("file"), &mut &b"ours"[..], &put).unwrap().is_none());
    write_behind(session, "next", "content").unwrap();
    let mut settled = session.settled(true).unwrap();
    settled.retain(|(file, _)| file.as_str() == "file");
    session.remove_file(&path("next")).unwrap();
    settled.remove(0).1.map(drop)
}

/// A server that was seen to replace a file, which holds `/file` as the listing shows it.
fn open_proven(quirks: Quirks) -> (Server, Box<dyn Session>, Expect) {
    let (server, mut session) = open_learned(quirks);
    write_over(session.as_mut(), "first", b"2", Expect::File(Some(1), None)).unwrap();
    session.remove_file(&path("first")).unwrap();
    server.put("/file", b"as listed");
    let listed = session.list(&RelPath::root()).unwrap().entries.remove(0);
    (server, session, Expect::File(listed.size, listed.mtime_org))
}

#[test]
fn what_somebody_has_changed_on_the_server_meanwhile_is_not_replaced() {
    for way in ["alone", "behind", "in place"] {
        let (server, mut session, listed) = open_proven(Quirks::default());
        let mut refused = |expect: Expect| {
            let error = put_over(session.as_mut(), way, Put { expect, ..Put::default() }).unwrap_err();
            assert_eq!((error.kind(), error.path()), (Kind::Changed, Some("file")), "{way}: {error}");
        };
        refused(Expect::Absent);
        server.put("/file", b"of somebody else");
        refused(listed);
        server.put_at("/file", b"as-listed", "20240102030406");
        refused(listed);
        assert_eq!(server.content("/file").unwrap(), b"as-listed", "{way}");
        assert_eq!(server.paths(), ["/", "/file"], "{way}: nothing else is left");
        server.put("/file", b"as listed");
        put_over(session.as_mut(), way, Put { expect: listed, ..Put::default() }).unwrap();
        assert_eq!(server.content("/file").unwrap(), b"ours", "{way}");
    }
}

#[test]
fn a_look_at_what_is_replaced_travels_along() {
    let (server, mut session, expect) = open_proven(Quirks::default());
    server.packets();
    let at = Some(Stamp::new(1_600_000_000, 0));
    let put = Put { size: Some(4), mtime: at, expect, ..Put::default() };
    session.write_behind(&path("file"), &mut &b"ours"[..], &put).unwrap();
    write_behind(session.as_mut(), "a", "1").unwrap();
    write_behind(session.as_mut(), "b", "2").unwrap();
    let script = server.script();
    assert_eq!(script.len(), 3, "one packet for each file: {script:?}");
    assert!(script[1].contains("| SIZE /file | MDTM /file | EPSV | STOR"), "{script:?}");
    assert!(script[2].starts_with("RNFR /.pyftpsync-tmp-#-file | RNTO /file"), "{script:?}");
    settle(session.as_mut());
}

#[test]
fn before_a_large_file_the_others_are_finished() {
    let (server, mut session, _) = open_proven(Quirks::default());
    write_behind(session.as_mut(), "small", "1").unwrap();
    let mut body = std::io::repeat(7).take(9 << 20);
    let put = Put { size: Some(9 << 20), expect: Expect::Absent, ..Put::default() };
    server.packets();
    session.write_behind(&path("large"), &mut body, &put).unwrap();
    let script = server.script();
    let is_renamed = |packet: &String| packet.contains("RNTO /small");
    let is_begun = |packet: &String| packet.contains("-large");
    assert!(script.iter().position(is_renamed) < script.iter().position(is_begun), "{script:?}");
}

#[test]
fn what_an_attempt_without_an_answer_has_put_in_place_is_no_change() {
    for way in ["alone", "behind", "in place"] {
        let (server, mut session, expect) = open_proven(Quirks::default());
        let mtime = Some(Stamp::new(1_600_000_000, 0));
        server.put_at("/file", b"ours", "20200913122640");
        let put = Put { expect, mtime, is_repeated: true, ..Put::default() };
        put_over(session.as_mut(), way, put).unwrap();
        server.put_at("/file", b"else", "20200913122641");
        let error = put_over(session.as_mut(), way, put).unwrap_err();
        assert_eq!((error.kind(), server.content("/file").unwrap()), (Kind::Changed, b"else".to_vec()));
    }
}

#[test]
fn where_single_files_have_other_times_than_listings_the_listing_counts() {
    for way in ["alone", "behind"] {
        let answers = vec![("MDTM /file", "213 20240102050405")];
        let (server, mut session, listed) = open_proven(Quirks { answers, ..Quirks::default() });
        put_over(session.as_mut(), way, Put { expect: listed, ..Put::default() }).unwrap();
        assert_eq!(server.content("/file").unwrap(), b"ours");
        server.put("/file", b"as listed");
        server.packets();
        put_over(session.as_mut(), way, Put { expect: listed, ..Put::default() }).unwrap();
        let script = server.script();
        assert!(
            !script.iter().any(|packet| packet.contains("MDTM") || packet.contains("MLSD")),
            "{script:?}"
        );
        server.put("/file", b"of somebody else");
        put_over(session.as_mut(), way, Put { expect: listed, ..Put::default() }).unwrap_err();
        assert_eq!(server.content("/file").unwrap(), b"of somebody else");
    }
}
