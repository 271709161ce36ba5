//! What servers in the field do, beside `servers_rows`: clauses of its rows that take a conversation of their own.

use crate::contract::{get, path, put};
use crate::ftp_conversations::{config, listed_names, open};
use crate::ftp_server::{Quirks, Server};
use crate::tree::{self, Setup, Shared, at};
use ftpsync::error::{Kind, Retry};
use ftpsync::model::{Listing, RelPath, Stamp};
use ftpsync::plan::{CaseMode, Mode};
use ftpsync::target::ftp::{Engine, FtpConfig, FtpTarget};
use ftpsync::target::memory::MemoryTarget;
use ftpsync::target::{Put, Target};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;

/// When the server dates what it gets: 2024-01-02 03:04:05.
const NOW: f64 = 1_704_164_645.0;

fn run(local: &MemoryTarget, server: &Server, mode: Mode) -> tree::Outcome {
    let remote = Shared(Arc::new(FtpTarget::new(config(server)).unwrap()));
    tree::run(local, &remote, &Setup { now: NOW, ..Setup::new(mode) })
}

/// What a server lists that has these lines of LIST only.
fn listed(more_lines: Vec<&'static [u8]>) -> Listing {
    let (_server, mut session) = open(Quirks { hides: vec!["MLST"], more_lines, ..Quirks::default() });
    session.list(&RelPath::root()).unwrap()
}

/// A server that tells times by LIST only, in its own time zone, and sets none.
fn telling_by_list(zone: i64, lists_days: bool) -> Server {
    let server = Server::start(Quirks {
        hides: vec!["MLST", "MDTM", "MFMT"],
        answers: vec![("MDTM", "502 no"), ("MFMT", "502 no"), ("SITE", "502 no")],
        list_zone: zone,
        lists_days,
        ..Quirks::default()
    });
    server.put("/there", b"there");
    server
}

#[test]
fn q09_times_to_the_minute_or_the_day_send_nothing_twice_and_hide_no_edit() {
    for (zone, days) in [(-5 * 3600, false), (0, false), (-5 * 3600, true), (0, true)] {
        let server = telling_by_list(zone, days);
        let local = MemoryTarget::new("/local");
        local.put("here", b"here!", at(0));
        let first = run(&local, &server, Mode::Sync).lines;
        assert_eq!(first, ["copy existing > here", "copy existing < there"]);
        for _ in 0..2 {
            let lines = run(&local, &server, Mode::Sync).lines;
            assert_eq!(lines, ["equal = here", "equal = there"], "{days} {zone}");
        }
        local.put("here", b"HERE!", at(10));
        server.put("/there", b"there and longer");
        let lines = run(&local, &server, Mode::Sync).lines;
        assert_eq!(lines, ["copy modified > here", "copy modified < there"], "{days} {zone}");
        assert_eq!(server.content("/here").unwrap(), b"HERE!");
    }
}

/// Without MDTM only a listing tells what clock the server has.
#[test]
fn q09_where_the_clock_of_list_is_ahead_and_nothing_tells_by_how_much_an_upload_does_not_come_back() {
    for (zone, days) in [(9 * 3600, false), (14 * 3600, true), (-11 * 3600, false), (1800, false)] {
        let server = telling_by_list(zone, days);
        let local = MemoryTarget::new("/local");
        let names = ["a", "b", "c", "folder/d", "folder/e"];
        for name in names {
            local.put(name, b"here!", at(0));
        }
        run(&local, &server, Mode::Sync);
        let listings = server.script().join("\n").matches("LIST").count();
        let before = server.stored();
        // The server has one file of its own.
        let equal =
            ["a", "b", "c", "folder", "there", "folder/d", "folder/e"].map(|name| format!("equal = {name}"));
        for _ in 0..3 {
            let lines = run(&local, &server, Mode::Sync).lines;
            assert_eq!(lines, equal, "{zone}");
        }
        assert_eq!(server.stored(), before, "nothing but the metadata that was there is sent");
        assert!(listings <= 8, "one look is enough for all files: {listings}");
        local.put("a", b"HERE!", at(10));
        server.put("/b", b"edited there");
        let mut lines = run(&local, &server, Mode::Sync).lines;
        lines.retain(|line| !line.starts_with("equal"));
        assert_eq!(lines, ["copy modified > a", "copy modified < b"], "{zone}");
        assert_eq!(run(&local, &server, Mode::Sync).lines, equal, "{zone}");
        assert_eq!(server.content("/a").unwrap(), b"HERE!");
    }
}

#[test]
fn q12_the_longer_form_of_site_utime_is_the_last_that_is_tried_and_is_remembered() {
    let answers =
        vec![("MFMT", "500 unknown command"), ("SITE UTIME 2020", "501 UTIME path time time time UTC")];
    let (server, mut session) = open(Quirks { answers, site_sets_five: true, ..Quirks::default() });
    let wanted = Stamp::new(1_600_000_000, 0);
    for (name, tried) in [("a b", 2), ("c", 1)] {
        let put = Put { mtime: Some(wanted), ..Put::default() };
        let written = session.write(&path(name), &mut &b"x"[..], &put).unwrap();
        assert!(written.mtime_kept, "{name}");
        assert_eq!(server.script().join("\n").matches("SITE UTIME").count(), tried, "{name}");
    }
    let listing = session.list(&RelPath::root()).unwrap();
    let times: Vec<_> = listing.entries.iter().map(|entry| entry.mtime).collect();
    assert_eq!(times, [Some(wanted); 2], "{listing:?}");
}

#[test]
fn q13_a_folder_of_netware_is_listed_and_its_files_come_and_go() {
    let netware: [&'static [u8]; 4] = [
        b"total 0",
        b"- [RWCEAFMS] supervisor                    214059 Jan 20  2020    report 1.txt",
        b"d [R----F--] supervisor                       512 Jan 16 13:53    login",
        b"d [RWCEAFMS] .                                512 Jan 16  2020    it's [new]",
    ];
    let listing = listed(netware.to_vec());
    let entries = listing.entries.iter().map(|entry| (entry.name.as_str(), entry.is_folder(), entry.size));
    let entries: Vec<_> = entries.collect();
    let expected =
        [("report 1.txt", false, Some(214_059)), ("login", true, None), ("it's [new]", true, None)];
    assert!(listing.complete, "{listing:?}");
    assert_eq!(entries, expected);
}

#[test]
fn q13_the_unix_files_of_zos_are_listed_and_its_data_sets_are_called_that() {
    let files: [&'static [u8]; 3] = [
        b"total 16",
        b"-rw-r-----   1 OMVSKERN SYS1        4096 Jan 20  2020 profile",
        b"drwxr-xr-x+  2 OMVSKERN SYS1        8192 Jan 16 13:53 bin",
    ];
    let listing = listed(files.to_vec());
    assert!(listing.complete && listing.entries.len() == 2, "{listing:?}");

    let sets: [&'static [u8]; 4] = [
        b"Volume Unit    Referred Ext Used Recfm Lrecl BlkSz Dsorg Dsname",
        b"WYOSPT 3420   2003/05/21  1  200  FB      80  8053  PS  48-MVS.FILE",
        b"WPTA01 3290   2004/03/04  1    3  FB      80  3125  PO  MVS.FILE",
        b"Migrated                                                OLD.FILE",
    ];
    let members: [&'static [u8]; 2] = [
        b" Name     VV.MM   Created       Changed      Size  Init   Mod   Id",
        b" MEMBER1   01.03 2002/09/12 2002/10/11 09:37    11    11     0 KIL001",
    ];
    for lines in [sets.to_vec(), members.to_vec()] {
        let listing = listed(lines);
        assert!(!listing.complete && listing.entries.is_empty());
        assert!(listing.notes[0].why.contains("z/OS"), "{:?}", listing.notes);
    }
}

#[test]
fn q13_systems_whose_files_are_others_are_called_by_name() {
    let vms: [&'static [u8]; 4] = [
        b"Directory DISK$USER:[JOE.SITE]",
        b"SUB.DIR;1         1  19-NOV-2001 21:41:07  [JOE]  (RWE,RWE,RE,RE)",
        b"INDEX.HTML;12   2/8  15-JAN-2020 10:30:13  [JOE]  (RWED,RWED,RE,)",
        b"Total of 2 files, 3/12 blocks.",
    ];
    let i: [&'static [u8]; 2] = [
        b"JOE             77824 02/23/20 15:09:55 *DIR       SITE/",
        b"JOE             36864 02/23/20 14:02:50 *STMF      SITE/INDEX.HTML",
    ];
    for (system, lines, count) in [("VMS", vms.to_vec(), 3), ("IBM i", i.to_vec(), 2)] {
        let listing = listed(lines);
        assert!(!listing.complete && listing.entries.is_empty(), "{listing:?}");
        assert_eq!(listing.notes.len(), count, "{listing:?}");
        assert!(listing.notes.iter().all(|note| note.why.contains(system)), "{:?}", listing.notes);
    }
}

#[test]
fn q19_names_that_are_not_kept_as_they_are_are_refused_and_leave_no_others() {
    for (end, begins_in) in [("_", None), ("", None), ("_", Some("/")), ("", Some("/"))] {
        let ends_blanks_with = Some(end);
        let quirks = Quirks { ends_blanks_with, begins_in, hides: vec!["MLST"], ..Quirks::default() };
        let (server, mut session) = open(quirks);
        let put = Put { size: Some(1), ..Put::default() };
        for (name, why) in
            [("trailing ", "blank at the end"), ("other  ", "blank at"), ("a\tb", "control characters")]
        {
            let error = session.write(&path(name), &mut &b"x"[..], &put).unwrap_err();
            assert_eq!((error.kind(), error.retry()), (Kind::Name, Retry::No), "{error}");
            assert!(error.to_string().contains(why), "{error}");
            assert!(
                session.mkdir(&path(name)).is_err()
                    && session.write_behind(&path(name), &mut &b"x"[..], &put).is_err()
            );
        }
        session.write(&path(" leading"), &mut &b"x"[..], &put).unwrap();
        assert_eq!(server.paths(), ["/", "/ leading"], "{end:?}");
        assert_eq!(server.script().join("\n").matches("MKD").count(), 2, "each found out once");
    }
    // Where no folder can be made, the server has the last word.
    let (server, mut session) = open(Quirks { answers: vec![("MKD", "550 no")], ..Quirks::default() });
    put(session.as_mut(), "trailing ", b"x");
    assert_eq!(server.paths(), ["/", "/trailing "]);
}

#[test]
fn q20_a_name_with_a_zero_byte_is_neither_believed_nor_sent() {
    let (server, mut session) = open(Quirks {
        more_lines: vec![b"type=file;size=1; a\0b", b"type=file;size=1; fine"],
        ..Quirks::default()
    });
    let listing = session.list(&RelPath::root()).unwrap();
    let names: Vec<&str> = listing.entries.iter().map(|entry| entry.name.as_str()).collect();
    assert_eq!((names, listing.complete), (vec!["fine"], false));
    assert!(RelPath::parse("a\0b").is_err(), "so that there is nothing to send");
    assert!(!server.script().join("\n").contains('\0'));
}

#[test]
fn q22_a_run_names_all_that_windows_cannot_have_sends_nothing_for_it_and_does_the_rest() {
    let server = Server::start(Quirks { system: Some("215 Windows_NT"), ..Quirks::default() });
    let local = MemoryTarget::new("/local");
    let bad = ["a:b", "what?", "dot.", "star*/inside", "fine/in:side", "con", "fine/LPT1.txt"];
    for name in bad {
        local.put(name, b"x", at(0));
    }
    local.put("fine/too", b"x", at(0));
    local.put("plain", b"x", at(0));
    let outcome = run(&local, &server, Mode::Upload);
    let told = outcome.failures.join("\n");
    for name in ["a:b", "what?", "dot.", "star*", "fine/in:side", "con", "fine/LPT1.txt"] {
        assert!(
            outcome.failures.iter().any(|line| line.contains(name) && line.contains("Windows")),
            "{name}: {told}"
        );
    }
    let said = server.script().join("\n");
    assert!(bad.iter().all(|name| !said.contains(name)), "{said}");
    let paths = server.paths();
    assert!(["/plain", "/fine/too"].iter().all(|name| paths.contains(&(*name).to_owned())), "{paths:?}");
}

/// A Windows that calls itself a Unix, as FileZilla Server does.
fn emulated_unix(answers: Vec<(&'static str, &'static str)>) -> Server {
    let system = Some("215 UNIX emulated by FileZilla.");
    Server::start(Quirks { has_windows_names: true, system, answers, ..Quirks::default() })
}

const NO_LOOKS: [(&str, &str); 2] = [("SIZE", "502 unknown"), ("MDTM", "502 unknown")];

#[test]
fn q22_on_a_windows_that_does_not_say_so_each_name_that_it_cannot_have_is_an_error_and_no_other_file() {
    for (answers, mode) in [
        (vec![], Mode::Upload),
        (vec![], Mode::Sync),
        (NO_LOOKS.to_vec(), Mode::Upload),
        (NO_LOOKS.to_vec(), Mode::Sync),
    ] {
        let server = emulated_unix(answers.clone());
        // What the names would become.
        server.put("/dot", b"theirs");
        server.put_folder("/deep");
        let local = MemoryTarget::new("/local");
        let bad = ["a:b", "what?", "dot.", "blank ", "star*", "q\"uote", "deep\\in", "folder./x", "pipe|"];
        for name in bad {
            local.put(name, b"ours", at(0));
        }
        local.put("plain", b"x", at(0));
        let before = local.tree();
        for round in 0..2 {
            let outcome = run(&local, &server, mode);
            let told = outcome.failures.join("\n");
            for name in bad {
                assert!(told.contains(name.trim_end_matches("/x")), "{answers:?} {round} {name}: {told}");
            }
            assert!(!told.contains("plain"), "{told}");
            let mut paths = server.paths();
            paths.retain(|path| !path.contains(".pyftpsync-"));
            assert_eq!(paths, ["/", "/deep", "/dot", "/plain"], "{answers:?} {mode:?} {round}: {outcome:?}");
            assert_eq!(server.content("/dot").unwrap(), b"theirs");
            assert!(!server.paths().iter().any(|path| path.contains("-tmp-")), "{:?}", server.paths());
            for (path, node) in &before {
                assert_eq!(local.tree().get(path), Some(node), "{path}");
            }
        }
    }
}

#[test]
fn q22_a_name_that_differs_in_case_from_one_that_is_there_already_replaces_nothing() {
    for answers in [vec![], NO_LOOKS.to_vec()] {
        let server = emulated_unix(answers.clone());
        let local = MemoryTarget::new("/local");
        local.put("readme", b"first", at(0));
        local.put("Folder/x", b"first", at(0));
        assert!(run(&local, &server, Mode::Sync).result.is_ok());
        local.put("README", b"second", at(0));
        local.put("folder/X", b"second", at(0));
        local.put("folder/y", b"second", at(0));
        let before = tree::user_tree(&local);
        for _ in 0..2 {
            let remote = Shared(Arc::new(FtpTarget::new(config(&server)).unwrap()));
            let mut setup = Setup::new(Mode::Sync);
            setup.policy.case = CaseMode::Strict;
            let outcome = tree::run(&local, &remote, &setup);
            assert_eq!(server.content("/readme").unwrap(), b"first", "{answers:?} {outcome:?}");
            assert_eq!(server.content("/Folder/x").unwrap(), b"first", "{answers:?} {outcome:?}");
            assert!(outcome.failures.iter().any(|line| line.contains("README")), "{answers:?} {outcome:?}");
            assert!(outcome.failures.iter().any(|line| line.contains("folder")), "{answers:?} {outcome:?}");
            assert_eq!(tree::user_tree(&local), before, "{answers:?} {outcome:?}");
        }
    }
}

#[test]
fn q24_nobody_else_is_called_however_the_server_names_him() {
    let engines = [Engine::Own, Engine::Suppaftp];
    for engine in engines.into_iter().filter(|engine| *engine == Engine::Own || cfg!(feature = "suppaftp")) {
        let trap = TcpListener::bind("127.0.0.2:0").unwrap();
        trap.set_nonblocking(true).unwrap();
        let port = trap.local_addr().unwrap().port();
        let says = format!("227 (127,0,0,2,{},{})", port / 256, port % 256);
        let answers = vec![("EPSV", "500 no"), ("PASV", says.leak() as &'static str), ("PORT", "500 no")];
        let server = Server::start(Quirks { answers, greets_briefly: true, ..Quirks::default() });
        let target = FtpTarget::new(FtpConfig { engine, ..config(&server) }).unwrap();
        assert!(target.open().unwrap().list(&RelPath::root()).is_err());
        assert!(trap.accept().is_err(), "{engine:?} has called him");
    }
}

#[test]
fn q25_odd_replies_lead_to_the_data_connection_all_the_same() {
    let extended = [
        "229 Entering Extended Passive Mode (!!!{port}!)",
        "229 Entering Extended Passive Mode (|||{port}|).",
        "229 Extended Passive Mode OK (|||{port})",
        "227 Entering Passive Mode (10,9,8,7,{high},{low})",
    ];
    let classic = [
        "227 Entering Passive Mode 10,9,8,7,{high},{low}.",
        "227 =0,0,0,0,{high},{low}",
        "227 Entering Passive Mode (10, 9, 8, 7, {high}, {low}",
        "229 Entering Extended Passive Mode (|||{port}|)",
    ];
    let no_epsv = vec![("EPSV", "500 no")];
    let quirks = extended
        .map(|says| Quirks { says_to_epsv: Some(says), ..Quirks::default() })
        .into_iter()
        .chain(classic.map(|says| Quirks {
            says_to_pasv: Some(says),
            answers: no_epsv.clone(),
            ..Quirks::default()
        }));
    for quirks in quirks {
        let says = format!("{:?} {:?}", quirks.says_to_epsv, quirks.says_to_pasv);
        let (server, mut session) = open(quirks);
        put(session.as_mut(), "file", b"content");
        assert_eq!(get(session.as_mut(), "file").unwrap(), b"content", "{says}");
        assert_eq!(listed_names(session.as_mut()), ["file"], "{says}");
        assert!(server.script().join("\n").matches("EPSV").count() <= 3);
    }
}

#[test]
fn q33_a_transfer_that_the_server_broke_off_is_done_again() {
    for end in ["426 Failure reading network stream.", "425 no data connection", "451 error", "450 busy"] {
        use crate::ftp_faults::{At, Fault, Mishap};
        let server = Server::start(Quirks::default());
        server.put("/down", b"down");
        let local = MemoryTarget::new("/local");
        local.put("up", b"up", at(0));
        let at = |command| Fault { at: At::Nth(command, 0), mishap: Mishap::Answer(end) };
        server.faults().plan([at("STOR /.pyftpsync-tmp-"), at("RETR /down")]);
        let outcome = run(&local, &server, Mode::Sync);
        assert!(outcome.result.is_ok() && outcome.failures.is_empty(), "{end}: {outcome:?}");
        assert_eq!(server.faults().happened(), 2, "{end}");
        assert_eq!(server.content("/up").unwrap(), b"up");
        assert!(local.tree().contains_key("down"));
    }
}

#[test]
fn q37_a_server_that_tells_wrong_sizes_is_told_once() {
    let server = Server::start(Quirks { sizes_are_0: true, ..Quirks::default() });
    let target = FtpTarget::new(config(&server)).unwrap();
    let mut session = target.open().unwrap();
    for name in ["a", "b", "c"] {
        put(session.as_mut(), name, b"content");
    }
    let told: Vec<_> = target.news().into_iter().filter(|(_, line)| line.contains("wrong sizes")).collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].0 <= 3, "without being asked: {told:?}");
}

#[test]
fn in_active_mode_only_the_server_is_let_in() {
    let stranger = ([127, 0, 0, 2].into(), &b"type=file;size=1; theirs\r\n"[..]);
    let server = Server::start(Quirks { stranger_comes_first: Some(stranger), ..Quirks::default() });
    server.put("/file", b"content");
    let target = FtpTarget::new(FtpConfig { active: true, ..config(&server) }).unwrap();
    let mut session = target.open().unwrap();
    assert_eq!(listed_names(session.as_mut()), ["file"]);
    assert_eq!(get(session.as_mut(), "file").unwrap(), b"content");
    put(session.as_mut(), "new", b"ours");
    assert_eq!(server.content("/new").unwrap(), b"ours");
}

/// A connection to a port that somebody else had before, from the computer of the server: of another client, through the same
/// router. It looks like an empty listing, and what is missing in a listing is deleted on the other side.
#[test]
fn in_active_mode_two_connections_are_one_too_many() {
    for without in [&[][..], &["MLST"]] {
        let stranger = (Ipv4Addr::LOCALHOST, &b""[..]);
        let hides = without.to_vec();
        let quirks = Quirks { stranger_comes_first: Some(stranger), hides, ..Quirks::default() };
        let server = Server::start(quirks);
        server.put("/file", b"content");
        let target = FtpTarget::new(FtpConfig { active: true, ..config(&server) }).unwrap();
        let refused = target.open().unwrap().list(&RelPath::root()).unwrap_err();
        assert_eq!((refused.kind(), refused.retry()), (Kind::Busy, Retry::NewSession), "{refused}");
        assert_eq!(listed_names(target.open().unwrap().as_mut()), ["file"]);
    }
}

#[test]
fn one_file_whose_permissions_cannot_be_set_says_nothing_about_the_next_ones() {
    for (answers, asked) in [
        (vec![("SITE CHMOD 600", "550 not this one"), ("SITE CHMOD", "200 done")], 4),
        (vec![("SITE CHMOD", "500 what?")], 1),
    ] {
        let (server, mut session) = open(Quirks { answers, ..Quirks::default() });
        for (name, mode) in [("a", 0o640), ("b", 0o600), ("c", 0o640), ("d", 0o640)] {
            server.put(&format!("/{name}"), b"old");
            let put = Put { size: Some(3), mode: Some(mode), ..Put::default() };
            session.write(&path(name), &mut &b"new"[..], &put).unwrap();
            assert_eq!(server.content(&format!("/{name}")).unwrap(), b"new");
        }
        assert_eq!(server.script().join("\n").matches("CHMOD").count(), asked);
    }
}
