//! The check-up: what it finds out about good and odd servers, and that it leaves nothing behind.

use crate::contract::path;
use crate::ftp_conversations::config;
use crate::ftp_faults::{At, Fault, Mishap};
use crate::ftp_server::{Quirks, Server};
use crate::wrapped::{Overrides, Wrapped};
use ftpsync::error::{Error, Kind, Result};
use ftpsync::target::checkup::{Finding, Findings, check_up, try_out};
use ftpsync::target::ftp::{FtpConfig, FtpTarget};
use ftpsync::target::memory::MemoryTarget;
use ftpsync::target::{Session, Target};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

fn examine(quirks: Quirks, writes: bool) -> (Server, Findings) {
    let server = Server::start(quirks);
    server.put("/.hidden", b"x");
    let before = server.paths();
    let target = FtpTarget::new(config(&server)).unwrap();
    let found = check_up(&target, writes).unwrap();
    assert_eq!(server.paths(), before, "something was left behind");
    (server, found)
}

fn is(found: &Findings, name: &str, expected: impl Into<Finding>) {
    assert_eq!(found.get(name), Some(&expected.into()), "{name} in {found:#?}");
}

#[test]
fn a_good_server_can_do_everything() {
    let (_, found) = examine(Quirks::default(), true);
    for good in
        ["writable", "sets_times", "times_proven", "renames", "rename_replaces", "shows_dot_files", "epsv"]
    {
        is(&found, good, true);
    }
    is(&found, "listing", "MLSD");
    is(&found, "times_set_by", "MFMT");
    is(&found, "entries", 1_i64);
    is(&found, "sessions_opened", 8_i64);
    is(&found, "sessions_refusal", Finding::Unknown);
    is(&found, "case_sensitive", true);
    is(&found, "time_grain_seconds", 1_i64);
}

#[test]
fn nothing_is_sent_that_changes_a_server_that_is_only_to_be_read() {
    let (server, found) = examine(Quirks::default(), false);
    assert!(!found.contains_key("writable"), "{found:#?}");
    let said = server.script().join("\n");
    for verb in ["STOR", "DELE", "RNFR", "MKD", "MFMT", "MDTM 2", "SITE"] {
        assert!(!said.contains(verb), "{verb} in {said}");
    }
}

#[test]
fn a_server_that_refuses_changes_is_one_for_downloads() {
    let quirks = Quirks { answers: vec![("STOR", "550 Permission denied.")], ..Quirks::default() };
    let (_, found) = examine(quirks, true);
    is(&found, "writable", false);
    let refusal = format!("{:?}", found["refusal"]);
    assert!(refusal.contains("Permission denied"), "{refusal}");
    assert!(!found.contains_key("left_behind"));
}

#[test]
fn a_server_that_refuses_names_with_a_dot_is_no_server_for_downloads_only() {
    let server = Server::start(Quirks::default());
    server.put("/pyftpsync-doctor-0123456789abcdef", b"written by pyftpsync doctor\n");
    server.put("/pyftpsync-doctor-x", b"28 bytes of somebody else's.");
    let refusal = Mishap::Answer("553 Prohibited file name");
    server.faults().plan((0..3).map(|_| Fault { at: At::Nth("STOR /.", 0), mishap: refusal.clone() }));
    let found = check_up(&FtpTarget::new(config(&server)).unwrap(), true).unwrap();
    is(&found, "writable", true);
    is(&found, "temporary_names", false);
    is(&found, "left_before", Finding::Words(vec!["pyftpsync-doctor-0123456789abcdef".to_owned()]));
    assert!(!found.contains_key("refusal") && !found.contains_key("left_behind"), "{found:#?}");
    assert_eq!(server.paths(), ["/", "/pyftpsync-doctor-x"]);
}

#[test]
fn a_file_that_cannot_be_removed_again_is_named() {
    let server =
        Server::start(Quirks { answers: vec![("DELE", "550 Permission denied.")], ..Quirks::default() });
    let found = check_up(&FtpTarget::new(config(&server)).unwrap(), true).unwrap();
    let Finding::Words(left) = &found["left_behind"] else { panic!("{found:#?}") };
    assert_eq!(left.len(), 1, "{left:?}");
    assert!(server.content(&format!("/{}", left[0])).is_some(), "{left:?} in {:?}", server.paths());
}

#[test]
fn times_that_are_not_kept_are_not_believed() {
    let (_, found) = examine(Quirks { mfmt_zone: 3_600, ..Quirks::default() }, true);
    is(&found, "sets_times", false);
    let (_, found) = examine(Quirks { hides: vec!["MFMT"], mdtm_sets: true, ..Quirks::default() }, true);
    is(&found, "times_set_by", "MDTM");
    is(&found, "times_proven", true);
}

#[test]
fn what_fails_is_said_of_each_way_on_its_own() {
    let (_, found) = examine(Quirks { answers: vec![("EPSV", "500 unknown")], ..Quirks::default() }, true);
    is(&found, "epsv", false);
    is(&found, "pasv", true);
    is(&found, "data_by", "PASV");
    let answers = vec![("EPSV", "550 Permission denied."), ("PASV", "550 Permission denied.")];
    let (_, found) = examine(Quirks { answers, ..Quirks::default() }, true);
    is(&found, "epsv", false);
    is(&found, "pasv", false);
    is(&found, "data_by", "active");
    // The server takes a moment to notice that the sessions of the other trials are over.
    let quirks = Quirks { most: 2, notices_ends_after: Duration::from_millis(200), ..Quirks::default() };
    let (_, found) = examine(quirks, true);
    is(&found, "sessions_opened", 2_i64);
    assert!(
        matches!(&found["sessions_refusal"], Finding::Text(why) if why.contains("too many")),
        "{found:#?}"
    );
}

#[test]
fn a_way_is_not_at_fault_for_the_conversation_before_it_that_still_counts() {
    let quirks = Quirks { most: 1, notices_ends_after: Duration::from_millis(700), ..Quirks::default() };
    let (_, found) = examine(quirks, true);
    for way in ["epsv", "pasv", "active", "writable"] {
        is(&found, way, true);
    }
}

#[test]
fn names_that_only_one_kind_of_listing_shows_are_counted() {
    let mlsd = b"type=file;size=1;modify=20240102030405; .hidden\r\n";
    let server = Server::start(Quirks { mlsd_sends: Some(mlsd), ..Quirks::default() });
    for name in ["/.hidden", "/a", "/b"] {
        server.put(name, b"x");
    }
    let found = check_up(&FtpTarget::new(config(&server)).unwrap(), false).unwrap();
    is(&found, "hidden_from_mlsd", 2_i64);
}

#[test]
fn a_server_that_replaces_nothing_is_known_as_such() {
    let (_, found) = examine(Quirks { keeps_existing: true, ..Quirks::default() }, true);
    is(&found, "rename_replaces", false);
    is(&found, "writable", true);
}

#[test]
fn other_kinds_are_examined_by_the_same_trials() {
    let tree = MemoryTarget::new("m");
    let found = check_up(&tree, true).unwrap();
    is(&found, "writable", true);
    is(&found, "times_proven", true);
    assert!(tree.open().unwrap().list(&path("")).unwrap().entries.is_empty());
    let folder = tempfile::tempdir().unwrap();
    let local = ftpsync::target::registry::target(folder.path().to_str().unwrap()).unwrap();
    let found = check_up(local.as_ref(), true).unwrap();
    is(&found, "rename_replaces", true);
    is(&found, "time_grain_seconds", 0_i64);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_server_without_the_root_cannot_be_used() {
    let server = Server::start(Quirks::default());
    let target = FtpTarget::new(FtpConfig { root: "/nowhere".into(), ..config(&server) }).unwrap();
    assert_eq!(check_up(&target, true).unwrap_err().kind(), Kind::NotFound);
}

#[test]
fn a_listing_that_is_cut_short_is_doubted_in_the_words_of_the_server_and_not_blamed_on_mlsd() {
    let end = "226-Options: -l\r\n226 Output truncated to 3 matches";
    let server = Server::start(Quirks { listing_ends_with: Some(end), ..Quirks::default() });
    server.put_many("/f", 6);
    let found = check_up(&FtpTarget::new(config(&server)).unwrap(), false).unwrap();
    is(&found, "listing_complete", false);
    let Finding::Text(doubt) = &found["listing_doubt"] else { panic!("{found:#?}") };
    assert!(doubt.contains("226 Output truncated to 3 matches") && !doubt.contains('\n'), "{doubt}");
    assert!(!found.contains_key("hidden_from_mlsd"), "each kind of listing shows another half");
    let (_, good) = examine(Quirks::default(), false);
    is(&good, "listing_doubt", Finding::Unknown);
}

#[test]
#[cfg(feature = "suppaftp")]
fn what_the_other_engine_does_is_not_blamed_on_the_server() {
    use ftpsync::target::ftp::Engine;
    let server = Server::start(Quirks { greets_briefly: true, ..Quirks::default() });
    let found =
        check_up(&FtpTarget::new(FtpConfig { engine: Engine::Suppaftp, ..config(&server) }).unwrap(), true);
    let found = found.unwrap();
    is(&found, "engine", "suppaftp");
    is(&found, "several_commands_at_once", Finding::Unknown);
    is(&found, "writable", true);
}

/// Long enough for an honest answer on a busy computer.
const HASTY: Duration = Duration::from_secs(1);
/// For what is refused, and not waited for.
const PATIENT: Duration = Duration::from_secs(10);

/// What is found on a server that is silent, and is waited for so long.
fn examine_with(patience: Duration, quirks: Quirks) -> (Server, Findings) {
    let server = Server::start(quirks);
    server.put("/a", b"x");
    let config =
        FtpConfig { timeout: patience, connect_timeout: patience, connections: 1, ..config(&server) };
    let found = check_up(&FtpTarget::new(config).unwrap(), true).unwrap();
    assert_eq!(server.paths(), ["/", "/a"], "something was left behind");
    (server, found)
}

#[test]
fn a_server_that_hangs_on_epsv_is_found_out_and_used_by_pasv() {
    let (_, found) = examine_with(HASTY, Quirks { is_silent_at: Some("EPSV"), ..Quirks::default() });
    for (name, expected) in [("epsv", false), ("epsv_stalls", true), ("pasv", true), ("writable", true)] {
        is(&found, name, expected);
    }
    is(&found, "data_by", "PASV");
    is(&found, "entries", 1_i64);
    assert!(!found.contains_key("error"), "{found:#?}");
}

#[test]
fn a_server_that_hangs_in_the_middle_of_mlsd_is_found_out_and_listed_by_list() {
    let (_, found) = examine_with(HASTY, Quirks { mlsd_stalls: true, ..Quirks::default() });
    for (name, expected) in [("mlsd_stalls", true), ("epsv", true), ("active", true), ("writable", true)] {
        is(&found, name, expected);
    }
    is(&found, "epsv_stalls", false);
    is(&found, "listing", "LIST -a");
    let (_, good) = examine(Quirks::default(), false);
    is(&good, "mlsd_stalls", false);
    is(&good, "epsv_stalls", false);
}

#[test]
fn data_connections_that_work_only_to_the_host_that_is_named_are_no_reason_to_give_up() {
    let quirks = Quirks {
        data_at: Some(Ipv4Addr::new(127, 0, 0, 2).into()),
        says_to_pasv: Some("227 Passive mode (127,0,0,2,{high},{low})"),
        answers: vec![("PORT", "500 no")],
        ..Quirks::default()
    };
    let (_, found) = examine_with(PATIENT, quirks);
    for (name, expected) in [("epsv", false), ("pasv", false), ("pasv_as_named", true), ("active", false)] {
        is(&found, name, expected);
    }
    let Some(Finding::Text(error)) = found.get("error") else { panic!("{found:#?}") };
    assert!(error.contains("no data connection to 127.0.0.1"), "{error}");
    assert!(!found.contains_key("entries") && !found.contains_key("writable"), "{found:#?}");
}

#[test]
fn a_conversation_that_ends_in_the_middle_is_no_fault_of_the_rights() {
    for verb in ["MLSD", "STOR", "RNFR", "DELE"] {
        let server = Server::start(Quirks::default());
        server.faults().plan([Fault { at: At::Nth(verb, 0), mishap: Mishap::Reset }]);
        let found = check_up(&FtpTarget::new(config(&server)).unwrap(), true).unwrap();
        is(&found, "writable", true);
        assert_eq!((server.paths(), server.faults().happened()), (vec!["/".to_owned()], 1), "{verb}");
    }
}

#[test]
fn what_earlier_check_ups_have_left_is_removed_and_nothing_else() {
    let ours = [".pyftpsync-tmp-00000000000000aa-doctor", ".pyftpsync-tmp-1-.pyftpsync-tmp-2-doctor"];
    let others = [".pyftpsync-tmp-00000000000000bb-doctor", ".pyftpsync-tmp-00000000000000cc-x", "doctor"];
    let server = Server::start(Quirks::default());
    server.put(&format!("/{}", ours[0]), b"written by pyftpsync doctor\n");
    server.put(&format!("/{}", ours[1]), b"written");
    for other in others {
        server.put(&format!("/{other}"), b"28 bytes of somebody else's.");
    }
    let left = Finding::Words(ours.map(str::to_owned).to_vec());
    let found = check_up(&FtpTarget::new(config(&server)).unwrap(), false).unwrap();
    is(&found, "left_before", left.clone());
    assert_eq!(server.paths().len(), 6, "nothing is changed");
    let found = check_up(&FtpTarget::new(config(&server)).unwrap(), true).unwrap();
    is(&found, "left_before", left);
    assert!(!found.contains_key("left_behind"), "{found:#?}");
    let mut names = others.map(|other| format!("/{other}")).to_vec();
    names.insert(0, "/".to_owned());
    names.sort();
    assert_eq!(server.paths(), names);
}

#[test]
fn downloads_and_uploads_are_continued_each_on_its_own_account() {
    let refusal = Mishap::Answer("451 /x: Append/Restart not permitted, try again");
    let cases = [("", [true, true]), ("STOR", [true, false]), ("RETR", [false, true])];
    for (verb, [down, up]) in cases {
        let server = Server::start(Quirks::default());
        // Two uploads to find other things out, and the piece that is to be continued.
        let nth = if verb == "STOR" { 3 } else { 0 };
        let fault = Fault { at: At::Nth(verb, nth), mishap: refusal.clone() };
        server.faults().plan((!verb.is_empty()).then_some(fault));
        let found = check_up(&FtpTarget::new(config(&server)).unwrap(), true).unwrap();
        is(&found, "resumes_downloads", down);
        is(&found, "resumes_uploads", up);
        is(&found, "writable", true);
        assert_eq!(server.paths(), ["/"], "{verb}: something was left behind");
    }
    let (_, found) = examine(Quirks { ignores_rest: true, ..Quirks::default() }, true);
    is(&found, "resumes_uploads", false);
    let (_, found) = examine(Quirks { hides: vec!["REST"], ..Quirks::default() }, true);
    is(&found, "resumes", false);
    assert!(!found.contains_key("resumes_uploads"), "{found:#?}");
}

/// A server that lets nobody in a second time.
#[derive(Clone, Default)]
struct Once(Arc<AtomicBool>);

impl Overrides for Once {
    fn open(&self, below: &dyn Target) -> Result<Box<dyn Session>> {
        if self.0.swap(true, Ordering::SeqCst) {
            return Err(Error::new(Kind::Login, "not again"));
        }
        below.open()
    }
}

#[test]
fn a_file_that_was_left_because_the_line_is_gone_is_named() {
    let server = Server::start(Quirks::default());
    server.faults().plan([Fault { at: At::Nth("MFMT", 0), mishap: Mishap::Reset }]);
    let target = Wrapped { below: FtpTarget::new(config(&server)).unwrap(), with: Once::default() };
    let found = try_out(&target, true, &|| true).unwrap();
    is(&found, "writable", false);
    let Finding::Words(left) = &found["left_behind"] else { panic!("{found:#?}") };
    assert!(server.paths().contains(&format!("/{}", left[0])), "{left:?} in {:?}", server.paths());
}

#[test]
fn a_check_up_that_nobody_waits_for_removes_what_it_has_written_and_ends() {
    for verb in ["MFMT", "RNFR /.pyftpsync", "SIZE"] {
        let server = Server::start(Quirks::default());
        server.faults().plan([Fault { at: At::Nth(verb, 1), mishap: Mishap::Reset }]);
        let is_wanted = || server.faults().happened() == 0;
        let outcome = try_out(&FtpTarget::new(config(&server)).unwrap(), true, &is_wanted);
        assert_eq!(outcome.unwrap_err().kind(), Kind::Cancelled, "{verb}");
        assert_eq!((server.paths(), server.faults().happened()), (vec!["/".to_owned()], 1), "{verb}");
    }
}
