//! What servers in the field do, row by row, and that this program works with it.
//!
//! Clauses that take a conversation of their own are in `servers_details.rs`.
//!
//! | row | what servers do | test, beside those of this file |
//! |---|---|---|
//! | Q1 | no MLSD | `q01_...`; `test_servers_rows.py`, with GNU inetutils |
//! | Q2 | MLSD that is announced and does not work, or is refused | `q02_...` |
//! | Q3 | MLSD that hangs | `q03_...` |
//! | Q4 | facts that are missing, or in other case | `q04_...`; `wire::ftp::mlsd::real_lines_of_real_servers` |
//! | Q5 | links in two spellings | `q05_...` |
//! | Q6 | the folder itself as an ordinary one | `q06_...` |
//! | Q7 | blanks in facts, semicolons in names | `q07_...` |
//! | Q8 | fractions of seconds | `q08_...` |
//! | Q9 | LIST in an unknown time zone | `q09_...`; `ftp_conversations::times_of_list_are_made_exact_by_mdtm_or_moved_to_utc` |
//! | Q10 | a wrong clock in MLSD and MDTM | `q10_...` |
//! | Q11 | daylight saving time | `q11_...` |
//! | Q12 | five ways to set a time | `q12_...` |
//! | Q13 | forms of LIST | `q13_...`; `wire::ftp::list::real_lines_of_real_servers` |
//! | Q14 | empty folders that are refused | `q14_...` |
//! | Q15 | listings that are cut short | `q15_...`; `test_end_to_end.py`, with Pure-FTPd |
//! | Q16 | hidden names | `q16_...` |
//! | Q17 | patterns in arguments | `q17_...`; `test_servers_rows.py`, with five servers |
//! | Q18 | MLSD that wants an argument | `q18_...` |
//! | Q19 | blanks around names | `q19_...`; `test_servers_rows.py`, with five servers |
//! | Q20 | line ends in names | `q20_...` |
//! | Q21 | names that are not UTF-8 | `q21_...`; `test_servers_rows.py`, with four servers |
//! | Q22 | Windows | `q22_...`; `target::ftp::new_name`; case: `plan::pair` |
//! | Q23 | odd working folders | `q23_...` |
//! | Q24 | wrong addresses for data | `q24_...`; `ftp_data.rs` |
//! | Q25 | odd replies to EPSV and PASV | `q25_...`; `ftp_data.rs` |
//! | Q26 | TLS sessions that have to be resumed | `test_ftps.py`, with four servers |
//! | Q27 | renaming onto a file | `q27_...`; `ftp_conversations.rs`, several |
//! | Q28 | MKD of a folder that is there | `q28_...` |
//! | Q29 | TLS without a goodbye | `q29_...`; `ftp_conversations::data_that_ends_without_a_goodbye_is_judged_by_its_size` |
//! | Q30 | uploads that arrive empty | `q30_...`; `--session-time` in `time_limits.rs`; `--tls-max` in `test_ftps.py` |
//! | Q31 | a confirmation that is lost | `q31_...` |
//! | Q32 | a final reply too early, or twice | `q32_...` |
//! | Q33 | what refusals mean | `q33_...`; `target::ftp::errors` |
//! | Q34 | limits for connections | `q34_...`; `test_servers_rows.py` |
//! | Q35 | REST | `q35_...`; `resume.rs` |
//! | Q36 | SIZE in ASCII mode | `q36_...` |
//! | Q37 | a wrong SIZE | `q37_...` |
//! | Q38 | odd FEAT | `q38_...`; `wire::ftp::feat` |
//! | Q39 | one mode only | `q39_...`; `ftp_data.rs`; `test_modes.py` |
//! | Q40 | odd success codes | `q40_...` |
//! | Q41 | small devices: implicit TLS, one connection | `q41_...`; `test_ftps.py` |
//! | Q42 | SFTP that refuses times | `sftp_conversations::times_that_are_refused_are_remembered_and_nothing_is_sent_twice` |
//! | Q43 | hangs in the middle | `q43_...` |
//! | Q44 | SFTP without a rename that replaces, or with one | `sftp_conversations::q44_...`, `a_bare_server_that_gives_little_and_answers_in_disorder_keeps_the_contract`, `where_a_rename_does_not_replace_the_old_file_comes_back_if_the_new_one_is_refused` |
//! | Q45 | litter | `q45_...`; `sftp_conversations.rs`; `test_servers_rows.py` |
//! | Q46 | old TLS | `test_ftps.py`, `test_old_tls_is_explained`, `test_a_certificate_without_names_for_servers_is_called_that` |

use crate::contract::{self, get, path, put};
#[cfg(target_os = "linux")]
use crate::eventually::eventually;
#[cfg(target_os = "linux")]
use crate::ftp_conversations::{ESTABLISHED, connections_to};
use crate::ftp_conversations::{config, listed_names, trusting};
use crate::ftp_faults::{At, Fault, Mishap};
use crate::ftp_server::{Quirks, Server, Tls};
use crate::tree::{self, Setup, Shared, at};
use ftpsync::error::{Kind, Retry};
use ftpsync::model::{Entry, Listing, RelPath, Stamp};
use ftpsync::plan::Mode;
use ftpsync::target::ftp::{FtpConfig, FtpTarget, TlsConfig};
use ftpsync::target::memory::MemoryTarget;
use ftpsync::target::pool::Pool;
use ftpsync::target::{Expect, Put, Session, Target};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// 2024-01-02 03:04:05, the time of every file of the server.
const THEN: i64 = 1_704_164_645;

fn target(server: &Server) -> FtpTarget {
    FtpTarget::new(config(server)).unwrap()
}

/// A server with quirks, and an open session on it. What was said until then is forgotten.
fn open(quirks: Quirks) -> (Server, Box<dyn Session>) {
    let server = Server::start(quirks);
    let session = target(&server).open().unwrap();
    server.packets();
    (server, session)
}

/// What would last for ever is over before; far more than it takes, for machines that are busy.
const SOON: Duration = Duration::from_secs(30);

/// As [`open`], with little patience.
fn open_impatient(quirks: Quirks) -> (Server, FtpTarget, Box<dyn Session>) {
    let server = Server::start(quirks);
    let target =
        FtpTarget::new(FtpConfig { timeout: Duration::from_millis(800), ..config(&server) }).unwrap();
    let session = target.open().unwrap();
    server.packets();
    (server, target, session)
}

fn listing(session: &mut dyn Session) -> Listing {
    session.list(&RelPath::root()).unwrap()
}

fn listed(more_lines: Vec<&'static [u8]>) -> Listing {
    let (_server, mut session) = open(Quirks { more_lines, ..Quirks::default() });
    listing(session.as_mut())
}

fn only(listing: &Listing) -> &Entry {
    assert_eq!(listing.entries.len(), 1, "{listing:?}");
    &listing.entries[0]
}

fn said(server: &Server) -> String {
    server.script().join("\n")
}

/// Runs the engine over a folder in memory and the server.
fn sync(local: &MemoryTarget, server: &Server, mode: Mode) -> tree::Outcome {
    let remote: Arc<dyn Target> = Arc::new(target(server));
    let mut setup = Setup::new(mode);
    (setup.policy.delete, setup.policy.force) = (mode != Mode::Sync, mode != Mode::Sync);
    tree::run(local, &Shared(remote), &setup)
}

// ---- listings ---------------------------------------------------------------------------------------------------

#[test]
fn q01_without_mlsd_there_is_list_and_it_is_asked_for_once() {
    let hidden = Quirks { hides: vec!["MLST"], ..Quirks::default() };
    let refusals = ["500 unknown", "501 no", "502 not implemented", "504 not with that"];
    let refused = refusals.map(|no| Quirks { answers: vec![("MLSD", no)], ..Quirks::default() });
    for (quirks, asked) in std::iter::once((hidden, 0)).chain(refused.map(|quirks| (quirks, 2))) {
        let (server, mut session) = open(quirks);
        server.put("/file", b"x");
        for _ in 0..3 {
            assert_eq!(listed_names(session.as_mut()), ["file"]);
        }
        let said = said(&server);
        assert!(said.matches("MLSD").count() <= asked, "{said}");
    }
}

#[test]
fn q02_mlsd_that_sends_nothing_or_nonsense_gives_way_to_list() {
    for sends in [&b""[..], b"drwxr-xr-x 2 0 0 4096 Jan 01 2024 file\r\n", b"\x00\x01\x02\r\n"] {
        let (server, mut session) = open(Quirks { mlsd_sends: Some(sends), ..Quirks::default() });
        server.put("/file", b"x");
        let listing = listing(session.as_mut());
        assert!(listing.complete && only(&listing).name.as_str() == "file", "{listing:?}");
        server.packets();
        listed_names(session.as_mut());
        assert!(!said(&server).contains("MLSD"), "remembered");
    }
    let (server, mut session) = open(Quirks::default());
    listed_names(session.as_mut());
    assert!(!said(&server).contains("OPTS MLST"), "not needed");
}

#[test]
fn q02_mlsd_that_is_refused_for_every_folder_gives_way_to_list_and_a_missing_folder_stays_missing() {
    for refusal in ["550 no", "450 not now", "451 local error", "503 bad sequence"] {
        let (server, mut session) = open(Quirks { answers: vec![("MLSD", refusal)], ..Quirks::default() });
        server.put("/folder/file", b"x");
        server.put_folder("/folder");
        assert_eq!(session.list(&path("missing")).unwrap_err().kind(), Kind::NotFound, "{refusal}");
        for folder in ["folder", "folder"] {
            let listing = session.list(&path(folder)).unwrap();
            assert!(listing.complete && only(&listing).name.as_str() == "file", "{refusal}: {listing:?}");
        }
        assert_eq!(session.list(&path("missing")).unwrap_err().kind(), Kind::NotFound, "{refusal}");
        let said = said(&server);
        // With the path and inside the folder: for the one that is missing, and for the first one that is there.
        assert_eq!(said.matches("MLSD").count(), 4, "decided once: {said}");
    }
    // One folder of a server that has answered MLSD before says nothing about the others.
    let (server, mut session) = open(Quirks::default());
    server.put("/file", b"x");
    server.put_folder("/closed");
    let refused = |at| Fault { at, mishap: Mishap::Answer("550 no") };
    server.faults().plan([refused(At::Nth("MLSD /closed", 0)), refused(At::Nth("MLSD", 2))]);
    assert_eq!(listed_names(session.as_mut()), ["closed", "file"]);
    assert!(!session.list(&path("closed")).unwrap().complete);
    assert_eq!(listed_names(session.as_mut()), ["closed", "file"]);
    assert!(!said(&server).contains("LIST"));
}

#[test]
fn q02_a_run_is_complete_where_mlsd_is_refused_and_list_is_not() {
    let server = Server::start(Quirks { answers: vec![("MLSD", "550 no")], ..Quirks::default() });
    server.put("/a", b"x");
    server.put_folder("/folder");
    server.put("/folder/b", b"x");
    let local = MemoryTarget::new("/local");
    local.put("only here", b"x", at(0));
    let run = sync(&local, &server, Mode::Download);
    assert!(run.result.is_ok() && run.warnings.is_empty(), "{run:?}");
    assert!(local.tree().contains_key("folder/b") && !local.tree().contains_key("only here"), "{run:?}");
}

#[test]
fn q03_where_mlsd_hangs_list_is_used_from_then_on() {
    let (server, target, mut session) = open_impatient(Quirks { mlsd_stalls: true, ..Quirks::default() });
    server.put("/file", b"x");
    let begun = Instant::now();
    let error = session.list(&RelPath::root()).unwrap_err();
    assert_eq!((error.kind(), error.retry()), (Kind::Timeout, Retry::NewSession), "{error}");
    assert!(begun.elapsed() < SOON);
    assert_eq!(listed_names(target.open().unwrap().as_mut()), ["file"]);
    let news = target.news();
    assert!(news.iter().any(|(level, line)| *level == 3 && line.contains("--no-mlsd")), "{news:?}");

    let without = FtpTarget::new(FtpConfig { no_mlsd: true, ..config(&server) }).unwrap();
    assert_eq!(listed_names(without.open().unwrap().as_mut()), ["file"]);
}

#[test]
fn q04_what_is_not_told_is_unknown_and_never_1970() {
    let (_server, mut session) = open(Quirks {
        more_lines: vec![b"Type=File; bare"],
        hides: vec!["MDTM", "SIZE"],
        ..Quirks::default()
    });
    let listing = listing(session.as_mut());
    let bare = only(&listing);
    assert_eq!((bare.size, bare.mtime), (None, None));
    let upper = listed(vec![b"TYPE=File;Size=7;MODIFY=20240102030405; file"]);
    assert_eq!((only(&upper).size, only(&upper).mtime), (Some(7), Some(Stamp::new(THEN, 0))));
}

#[test]
fn q05_links_are_there_but_nothing_is_done_to_them() {
    let links: [&'static [u8]; 4] = [
        b"type=OS.unix=slink:/etc/passwd; a",
        b"type=OS.unix=slink; b",
        b"type=OS.unix=symlink; c",
        b"Type=os.UNIX=SLINK:; d",
    ];
    let listing = listed(links.to_vec());
    let skipped: Vec<&str> = listing.present_but_skipped.iter().map(|name| name.as_str()).collect();
    assert!(listing.complete && listing.entries.is_empty());
    assert_eq!(skipped, ["a", "b", "c", "d"]);
}

#[test]
fn q06_the_folder_itself_and_its_parent_are_dropped_by_name_as_well() {
    let listing = listed(vec![b"type=dir; .", b"type=dir; ..", b"type=cdir; /", b"type=pdir; /x"]);
    assert!(listing.complete && listing.entries.is_empty(), "{listing:?}");
}

#[test]
fn q07_facts_end_at_the_first_semicolon_with_a_blank() {
    let line = b"type=file;size=1;modify=20240102030405;UNIX.groupname=domain users; a; b=c;d";
    assert_eq!(only(&listed(vec![line])).name.as_str(), "a; b=c;d");
}

#[test]
fn q08_fractions_of_seconds_are_kept() {
    let listing = listed(vec![b"type=file;size=1;modify=20240102030405.888; file"]);
    assert_eq!(only(&listing).mtime, Some(Stamp::new(THEN, 888_000_000)));
}

#[test]
fn q09_the_time_zone_of_list_is_measured_by_one_file() {
    for zone in [-12 * 3600, -(3 * 3600 + 1800), 0, 5 * 3600 + 45 * 60, 14 * 3600] {
        let (server, mut session) = open(Quirks {
            answers: vec![("MLSD", "500 no"), ("MDTM /other", "550 not now")],
            list_zone: zone,
            ..Quirks::default()
        });
        server.put("/file", b"x");
        server.put("/other", b"x");
        let listing = listing(session.as_mut());
        let times: Vec<(i64, u32)> = listing
            .entries
            .iter()
            .map(|entry| entry.mtime.unwrap())
            .map(|at| (at.seconds(), at.grain()))
            .collect();
        assert_eq!(times, [(THEN, 0), (THEN - 5, 60)], "{zone}");
    }
}

#[test]
fn q10_a_server_with_a_wrong_clock_is_given_nothing_twice() {
    for clock_ahead in [-7 * 3600, 3600, 2 * 3600] {
        let server = Server::start(Quirks { clock_ahead, ..Quirks::default() });
        let local = MemoryTarget::new("/local");
        local.put("a", b"one", at(0));
        let first = sync(&local, &server, Mode::Sync);
        assert_eq!(first.lines, ["copy existing > a"], "{first:?}");
        let again = sync(&local, &server, Mode::Sync);
        assert_eq!(again.lines, ["equal = a"], "{clock_ahead}: {again:?}");
        local.put("a", b"two", at(50));
        let third = sync(&local, &server, Mode::Sync);
        assert_eq!(third.lines, ["copy modified > a"], "{third:?}");
        assert_eq!(server.content("/a").unwrap(), b"two");
    }
}

#[test]
fn q11_an_hour_more_or_less_on_all_files_is_no_change() {
    let server = Server::start(Quirks::default());
    for name in ["/a", "/b", "/c"] {
        server.put(name, b"12345");
    }
    let local = MemoryTarget::new("/local");
    assert_eq!(sync(&local, &server, Mode::Sync).lines.len(), 3);
    for ahead in [3600, 0, -3600, 3600] {
        server.set_clock(ahead);
        let lines = sync(&local, &server, Mode::Sync).lines;
        assert_eq!(lines, ["equal = a", "equal = b", "equal = c"], "{ahead}");
    }
    server.put("/b", b"6 bytes");
    assert_eq!(sync(&local, &server, Mode::Sync).lines, ["equal = a", "copy modified < b", "equal = c"]);
    server.set_clock(10_800);
    let lines = sync(&local, &server, Mode::Sync).lines;
    assert_eq!(lines, ["copy modified < a", "copy modified < b", "copy modified < c"]);
}

#[test]
fn q11_files_that_are_written_anew_each_hour_are_fetched_each_time() {
    let beside: [&[&str]; 3] = [&[], &["/still"], &["/a folder/still"]];
    for others in beside {
        let server = Server::start(Quirks::default());
        server.put_folder("/z");
        server.put_folder("/a folder");
        others.iter().for_each(|name| server.put(name, b"still"));
        let local = MemoryTarget::new("/local");
        for hour in 0..3_u8 {
            // Two files of one size, exactly an hour later than before.
            for (name, first) in [("/z/one", b'a'), ("/z/two", b'k')] {
                server.put_at(name, &[first + hour; 5], &format!("202401020{hour}0405"));
            }
            sync(&local, &server, Mode::Sync);
            let mut session = local.open().unwrap();
            for (name, first) in [("z/one", b'a'), ("z/two", b'k')] {
                assert_eq!(get(session.as_mut(), name).unwrap(), [first + hour; 5], "{others:?}, {hour}");
            }
        }
    }
}

#[test]
fn q11_after_a_shift_old_and_new_files_live_together() {
    let server = Server::start(Quirks::default());
    ["/a", "/b", "/c"].iter().for_each(|name| server.put(name, b"12345"));
    let local = MemoryTarget::new("/local");
    sync(&local, &server, Mode::Sync);
    server.set_clock(3600);
    server.put("/new", b"of the summer");
    let lines = sync(&local, &server, Mode::Sync).lines;
    assert_eq!(lines, ["equal = a", "equal = b", "equal = c", "copy new < new"]);
    for _ in 0..2 {
        let lines = sync(&local, &server, Mode::Sync).lines;
        assert_eq!(lines, ["equal = a", "equal = b", "equal = c", "equal = new"]);
    }
}

#[test]
fn q12_ways_to_set_a_time_are_tried_in_turn_and_the_winner_is_remembered() {
    let refuses_mfmt = || vec![("MFMT", "500 unknown command")];
    let cases = [
        (Quirks::default(), "MFMT 2020"),
        (Quirks { answers: refuses_mfmt(), mdtm_sets: true, ..Quirks::default() }, "MDTM 2020"),
        (Quirks { answers: refuses_mfmt(), site_sets: true, ..Quirks::default() }, "SITE UTIME 2020"),
        // MFMT that takes the time for local time is no way.
        (Quirks { mfmt_zone: 3600, mdtm_sets: false, ..Quirks::default() }, ""),
    ];
    for (quirks, winner) in cases {
        let (server, mut session) = open(quirks);
        let write = |session: &mut dyn Session, name: &str| {
            let put = Put { mtime: Some(Stamp::new(1_600_000_000, 0)), ..Put::default() };
            session.write(&path(name), &mut &b"x"[..], &put).unwrap().mtime_kept
        };
        assert_eq!(write(session.as_mut(), "a"), !winner.is_empty(), "{winner}");
        server.packets();
        assert_eq!(write(session.as_mut(), "b"), !winner.is_empty());
        let said = said(&server);
        let used: Vec<&str> = ["MFMT 2020", "MDTM 2020", "SITE UTIME 2020"]
            .into_iter()
            .filter(|way| said.contains(way))
            .collect();
        assert_eq!(
            used,
            Some(winner).into_iter().filter(|way| !way.is_empty()).collect::<Vec<_>>(),
            "{said}"
        );
        if !winner.is_empty() {
            let times = listing(session.as_mut()).entries.into_iter().map(|entry| entry.mtime);
            assert_eq!(times.collect::<Vec<_>>(), [Some(Stamp::new(1_600_000_000, 0)); 2]);
        }
    }
}

#[test]
fn q13_a_form_that_nobody_knows_makes_a_listing_incomplete() {
    let mvs: [&'static [u8]; 2] = [
        b"Volume Unit    Referred Ext Used Recfm Lrecl BlkSz Dsorg Dsname",
        b"TSO004 3390   VSAM FOO.BAR.BAZ",
    ];
    let (_server, mut session) =
        open(Quirks { hides: vec!["MLST"], more_lines: mvs.to_vec(), ..Quirks::default() });
    let listing = listing(session.as_mut());
    assert!(!listing.complete && listing.entries.is_empty());
    assert_eq!(listing.notes.len(), 2);
}

#[test]
fn q14_a_folder_that_cannot_be_listed_is_empty_at_most_for_reading() {
    for refusal in ["550 No files found", "450 No files found"] {
        for verbs in [vec![("MLSD", refusal)], vec![("MLSD", "500 no"), ("LIST", refusal)]] {
            let (_server, mut session) = open(Quirks { answers: verbs, ..Quirks::default() });
            let listing = listing(session.as_mut());
            assert!(!listing.complete && listing.entries.is_empty());
        }
    }
    let (_server, mut session) = open(Quirks { hides: vec!["MLST"], ..Quirks::default() });
    assert!(listing(session.as_mut()).complete, "226 without any line is an empty folder");
    let (_server, mut session) = open(Quirks { answers: vec![("MLSD", "550 no such")], ..Quirks::default() });
    assert_eq!(session.list(&path("missing")).unwrap_err().kind(), Kind::NotFound);
}

#[test]
fn q15_a_listing_that_was_cut_short_deletes_nothing() {
    for end in
        ["226-Options: -a -l\r\n226 Output truncated to 2000 matches", "226 Transfer done (limit reached)"]
    {
        let server = Server::start(Quirks { listing_ends_with: Some(end), ..Quirks::default() });
        server.put("/a", b"x");
        server.put("/b", b"x");
        let local = MemoryTarget::new("/local");
        local.put("only here", b"x", at(0));
        let run = sync(&local, &server, Mode::Download);
        assert!(local.tree().contains_key("only here"), "{run:?}");
    }
}

#[test]
fn q15_a_listing_without_even_the_folder_itself_was_cut_short_where_others_had_it() {
    let server = Server::start(Quirks::default());
    server.put("/a", b"x");
    server.put_folder("/empty");
    let mut session = target(&server).open().unwrap();
    assert!(listing(session.as_mut()).complete);
    server.faults().plan([Fault { at: At::Nth("MLSD /", 0), mishap: Mishap::EndData(0) }]);
    let cut = listing(session.as_mut());
    assert!(cut.entries.is_empty() && !cut.complete);
    assert!(session.list(&path("empty")).unwrap().complete, "an empty one has that line");
}

#[test]
fn q15_listings_with_a_suspicious_number_of_names_are_not_believed() {
    // 998 and 9998 with the lines of the folder itself and its parent. MLSD says so at a thousand.
    for (count, by_list, by_mlsd) in [
        (997, true, true),
        (998, false, true),
        (1000, false, true),
        (1001, true, true),
        (1997, true, true),
        (2000, false, false),
        (2001, true, true),
        (9998, false, false),
        (10_000, false, false),
        (10_001, true, true),
    ] {
        for (hides, complete) in [(vec!["MLST", "MDTM"], by_list), (vec![], by_mlsd)] {
            let (server, mut session) = open(Quirks { hides, ..Quirks::default() });
            server.put_many("/f", count);
            let listing = listing(session.as_mut());
            assert_eq!((listing.entries.len(), listing.complete), (count, complete));
        }
    }
}

#[test]
fn q15_a_run_deletes_nothing_for_a_listing_by_mlsd_with_such_a_number_of_names() {
    let server = Server::start(Quirks::default());
    server.put_many("/f", 2000);
    let local = MemoryTarget::new("/local");
    local.put("only here", b"x", at(0));
    let run = sync(&local, &server, Mode::Download);
    assert!(run.result.is_ok() && local.tree().contains_key("only here"), "{:?}", run.warnings);
    assert!(run.warnings.iter().any(|text| text.contains("2000 names")), "{:?}", run.warnings);
    server.put("/one more", b"x");
    let run = sync(&local, &server, Mode::Download);
    assert!(run.result.is_ok() && !local.tree().contains_key("only here"), "{:?}", run.warnings);
}

#[test]
fn q16_hidden_names_are_found_where_the_server_allows_it() {
    let quirks = || Quirks { hides: vec!["MLST"], hides_dots: true, ..Quirks::default() };
    for (takes_options_for_names, names) in [(false, vec![".hidden", "plain"]), (true, vec!["plain"])] {
        let (server, mut session) = open(Quirks { takes_options_for_names, ..quirks() });
        server.put("/.hidden", b"x");
        server.put("/plain", b"x");
        assert_eq!(listed_names(session.as_mut()), names);
        server.packets();
        assert_eq!(listed_names(session.as_mut()), names);
        assert_eq!(said(&server).matches("LIST").count(), 1, "decided once");
        let answers = session.still(&[(path(".hidden"), Expect::Absent)]);
        assert!(matches!(answers[..], [Ok(Some(false))]), "it is seen before anything is deleted for it");
    }
}

#[test]
fn q17_names_that_look_like_patterns_are_entered_first() {
    for name in ["a*", "[b]", "c?", "{d}", "~e", "\\f", "-g"] {
        let (server, mut session) = open(Quirks::default());
        session.mkdir(&path(name)).unwrap();
        put(session.as_mut(), &format!("{name}/file"), b"x");
        server.packets();
        let listing = session.list(&path(name)).unwrap();
        assert_eq!(only(&listing).name.as_str(), "file");
        let said = said(&server);
        let bare = said.contains("MLSD\n") || said.ends_with("MLSD") || said.contains("MLSD |");
        assert!(bare || name == "-g", "{said}");
        assert!(!said.contains(" -g"), "a path is absolute, so that it is never taken for an option: {said}");
        session.remove_file(&path(&format!("{name}/file"))).unwrap();
        session.remove_dir(&path(name)).unwrap();
    }
}

#[test]
fn q18_mlsd_gets_an_argument_where_it_wants_one() {
    let answers = vec![("MLSD /", "501 no arguments here")];
    let (server, mut session) = open(Quirks { answers, ..Quirks::default() });
    server.put("/file", b"x");
    assert_eq!(listed_names(session.as_mut()), ["file"], "without one");

    let (server, mut session) = open(Quirks { mlsd_wants_argument: true, ..Quirks::default() });
    session.mkdir(&path("[x]")).unwrap();
    put(session.as_mut(), "[x]/file", b"x");
    let listing = session.list(&path("[x]")).unwrap();
    assert_eq!(only(&listing).name.as_str(), "file");
    assert!(said(&server).contains("MLSD ."));
}

// ---- names ------------------------------------------------------------------------------------------------------

#[test]
fn q19_blanks_around_names_are_part_of_them() {
    for hides in [vec![], vec!["MLST"]] {
        let (server, mut session) = open(Quirks { hides, ..Quirks::default() });
        for name in [" leading", "trailing ", "  both  ", "in  side"] {
            put(session.as_mut(), name, b"x");
            assert_eq!(listed_names(session.as_mut()), [name]);
            assert_eq!(get(session.as_mut(), name).unwrap(), b"x");
            assert_eq!(server.paths(), ["/".to_owned(), format!("/{name}")]);
            session.remove_file(&path(name)).unwrap();
        }
    }
}

#[test]
fn q20_line_ends_in_names_are_neither_sent_nor_believed() {
    let (server, mut session) = open(Quirks::default());
    for name in ["a\nb", "a\rb", "a\r\nDELE x"] {
        let put = Put::default();
        let error = session.write(&path(name), &mut &b"x"[..], &put).unwrap_err();
        assert_eq!((error.kind(), error.retry()), (Kind::Name, Retry::No), "{error}");
        assert!(session.mkdir(&path(name)).is_err() && get(session.as_mut(), name).is_err());
    }
    assert!(!said(&server).contains('a'));
    assert!(!listed(vec![b"type=file;size=1; a\rb"]).complete);
}

#[test]
fn q21_names_that_are_not_utf8_go_back_as_they_came() {
    for refusal in ["202 already", "501 no", "502 no", "504 no"] {
        let server = Server::start(Quirks { answers: vec![("OPTS", refusal)], ..Quirks::default() });
        target(&server).open().unwrap();
    }
    let listing = listed(vec![
        b"type=file;size=1;modify=20240102030405; \xe4",
        b"type=file;size=1;modify=20240102030405; \xc3\xa4\xef\x9e\x80",
    ]);
    let names: Vec<(&str, Option<&[u8]>)> =
        listing.entries.iter().map(|entry| (entry.name.as_str(), entry.name.raw())).collect();
    // A character of the private area is a character like any other.
    assert_eq!(names, [("ä", Some(&b"\xe4"[..])), ("ä\u{f780}", None)]);
}

#[test]
fn q22_windows_is_not_asked_for_names_that_it_cannot_have() {
    let (server, mut session) = open(Quirks { system: Some("215 Windows_NT"), ..Quirks::default() });
    for name in ["a:b", "a?", "*", "a|b", "a<b", "\"a\"", "dot.", "blank ", "folder/a:b"] {
        let error = session.write(&path(name), &mut &b"x"[..], &Put::default()).unwrap_err();
        assert_eq!(error.kind(), Kind::Name, "{error}");
        assert!(error.to_string().contains("Windows"), "{error}");
        assert!(session.mkdir(&path(name)).is_err());
    }
    assert!(server.packets().is_empty());
    put(session.as_mut(), "fine.txt", b"x");
    let (_server, mut session) = open(Quirks::default());
    put(session.as_mut(), "a:b.", b"x");
}

#[test]
fn q23_the_root_is_entered_in_one_step_and_paths_are_absolute() {
    let answers = vec![("CWD /a/b c/", "250 ok"), ("PWD", "257 \"\"")];
    let server = Server::start(Quirks { answers, ..Quirks::default() });
    let deep = FtpTarget::new(FtpConfig { root: "/a/b c/d".into(), ..config(&server) }).unwrap();
    let mut session = deep.open().unwrap();
    let said = said(&server);
    assert!(said.ends_with("CWD /a/b c/d") && said.matches("CWD").count() == 1, "{said}");
    assert!(!said.contains("PWD"), "{said}");
    assert!(session.is_alive());
    let drive = Server::start(Quirks { answers: vec![("CWD /C:", "250 ok")], ..Quirks::default() });
    FtpTarget::new(FtpConfig { root: "/C:/site".into(), ..config(&drive) }).unwrap().open().unwrap();
    let closed = vec![("CWD /", "550 no access"), ("PWD", "257 \"/home/joe\" is here")];
    let server = Server::start(Quirks { answers: closed, ..Quirks::default() });
    let error = target(&server).open().err().expect("a refusal").to_string();
    assert!(error.contains("550 no access") && error.contains("begins in \"/home/joe\""), "{error}");
    let pwd = ftpsync::wire::ftp::Reply::from_text("257 \"/a \"\"b\"\"/\" is here\r\n");
    assert_eq!(pwd.quoted_path().unwrap(), b"/a \"b\"/");
}

#[test]
fn q23_where_paths_have_to_be_relative_they_are() {
    for (begins_in, root) in
        [("/", "/"), ("/", "/www/site"), ("/home/joe", "/home/joe/my site"), ("/home", "/home")]
    {
        for hides in [vec![], vec!["MLST"]] {
            let quirks = Quirks { begins_in: Some(begins_in), hides, ..Quirks::default() };
            let server = Server::start(quirks);
            for (end, _) in
                root.match_indices('/').skip(1).chain([(root.len(), "")]).filter(|&(end, _)| end > 1)
            {
                server.put_folder(&root[..end]);
            }
            let before = server.tree();
            let target = FtpTarget::new(FtpConfig { root: root.into(), ..config(&server) }).unwrap();
            contract::check(&target);
            let mut session = target.open().unwrap();
            for name in ["-a", "~joe", " x", "20240102030405 cam.jpg", "ä"] {
                put(session.as_mut(), name, b"content");
                assert_eq!(get(session.as_mut(), name).unwrap(), b"content");
                session.remove_file(&path(name)).unwrap();
            }
            session.mkdir(&path("sub")).unwrap();
            go_by_hand(session.as_mut(), b"CWD sub").unwrap();
            put(session.as_mut(), "file", b"here");
            assert_eq!(server.content(&format!("{}/file", root.trim_end_matches('/'))).unwrap(), b"here");
            session.remove_file(&path("file")).unwrap();
            session.remove_dir(&path("sub")).unwrap();
            if root != "/" {
                let lost = go_by_hand(session.as_mut(), b"CDUP").unwrap_err();
                assert_eq!((lost.kind(), session.is_alive()), (Kind::Disconnected, false));
            }
            assert_eq!(server.tree(), before, "nothing was done elsewhere");
            assert!(session.greeting().iter().any(|(_, line)| line.contains("refuses absolute paths")));
        }
    }
}

/// What is asked for in the other mode of data connections is asked for from the same folder.
#[test]
fn q23_a_folder_is_entered_once_also_where_the_first_data_connection_fails() {
    let answers = vec![("EPSV", "500 no"), ("PASV", "500 no")];
    let server =
        Server::start(Quirks { begins_in: Some("/"), hides: vec!["MLST"], answers, ..Quirks::default() });
    ["/sub", "/sub/sub"].into_iter().for_each(|folder| server.put_folder(folder));
    server.put("/sub/file", b"x");
    let mut session = target(&server).open().unwrap();
    let listing = session.list(&path("sub")).unwrap();
    let names: Vec<_> = listing.entries.iter().map(|entry| entry.name.as_str()).collect();
    assert_eq!(names, ["file", "sub"]);
}

/// Then it does not tell the way back.
#[test]
fn q23_a_pwd_that_says_the_same_everywhere_is_not_believed() {
    let quirks = || Quirks {
        begins_in: Some("/"),
        hides: vec!["MLST"],
        answers: vec![("PWD", "257 \"/\"")],
        ..Quirks::default()
    };
    let (server, mut session) = open(quirks());
    ["/sub", "/www"].into_iter().for_each(|folder| server.put_folder(folder));
    server.put("/sub/file", b"x");
    assert_eq!(session.list(&path("sub")).unwrap_err().retry(), Retry::NewSession);
    assert!(!session.is_alive());
    let www = FtpTarget::new(FtpConfig { root: "/www".into(), ..config(&server) }).unwrap();
    assert_eq!(www.open().err().expect("a refusal").kind(), Kind::NotFound);
}

#[test]
fn q23_commands_by_hand_find_absolute_folders_too() {
    let server = Server::start(Quirks { begins_in: Some("/home"), ..Quirks::default() });
    ["/home", "/home/joe", "/home/joe/sub"].into_iter().for_each(|folder| server.put_folder(folder));
    let target = FtpTarget::new(FtpConfig { root: "/home/joe".into(), ..config(&server) }).unwrap();
    let mut session = target.open().unwrap();
    for folder in ["/home/joe/sub", "/home/joe", "/home/joe/sub"] {
        session.as_ftp().unwrap().enter(folder).unwrap();
        assert_eq!(session.as_ftp().unwrap().folder().unwrap(), folder);
    }
    assert!(session.as_ftp().unwrap().enter("/home").is_err());
}

fn go_by_hand(session: &mut dyn Session, line: &[u8]) -> ftpsync::error::Result<()> {
    let mut by_hand = session.as_ftp().unwrap();
    by_hand.send(line)?;
    assert!(by_hand.reply()?.is_success());
    by_hand.settle()
}

#[test]
fn q23_relative_paths_count_from_the_root_also_after_a_listing_that_failed() {
    let end = Some("451 not now");
    let quirks =
        Quirks { begins_in: Some("/"), hides: vec!["MLST"], listing_ends_with: end, ..Quirks::default() };
    let (server, mut session) = open(quirks);
    server.put_folder("/sub");
    session.list(&path("sub")).unwrap_err();
    assert!(session.is_alive());
    put(session.as_mut(), "file", b"content");
    assert_eq!(server.paths(), ["/", "/file", "/sub"]);
    // A command of the user's own that nobody has come back from.
    session.as_ftp().unwrap().send(b"CWD sub").unwrap();
    assert!(session.as_ftp().unwrap().reply().unwrap().is_success());
    assert!(!session.is_alive());
    assert_eq!(session.remove_file(&path("file")).unwrap_err().retry(), Retry::NewSession);
}

/// A folder of the same name below the one in which the server begins is another one.
#[test]
fn q23_a_missing_folder_is_not_looked_for_below_the_beginning() {
    let server = Server::start(Quirks { begins_in: Some("/home/joe"), ..Quirks::default() });
    for folder in ["/home", "/home/joe", "/home/joe/www", "/home/joey"] {
        server.put_folder(folder);
    }
    for root in ["/www", "/home/joey", "/home/joe/web"] {
        let target = FtpTarget::new(FtpConfig { root: root.into(), ..config(&server) }).unwrap();
        assert_eq!(target.open().err().expect("a refusal").kind(), Kind::NotFound);
    }
}

// ---- connections ------------------------------------------------------------------------------------------------

#[test]
fn q24_the_address_in_a_reply_is_not_looked_at() {
    // The server of these tests names 10.9.8.7 in its replies to PASV.
    let (server, mut session) = open(Quirks { answers: vec![("EPSV", "500 no")], ..Quirks::default() });
    put(session.as_mut(), "file", b"content");
    assert!(said(&server).contains("PASV"));
}

#[test]
fn q25_epsv_that_is_refused_or_hangs_gives_way_to_pasv_once() {
    let (server, mut session) = open(Quirks { answers: vec![("EPSV", "500 unknown")], ..Quirks::default() });
    put(session.as_mut(), "a", b"x");
    put(session.as_mut(), "b", b"x");
    assert_eq!(said(&server).matches("EPSV").count(), 1);

    let (server, target, mut session) =
        open_impatient(Quirks { is_silent_at: Some("EPSV"), ..Quirks::default() });
    assert_eq!(session.list(&RelPath::root()).unwrap_err().retry(), Retry::NewSession);
    let mut session = target.open().unwrap();
    put(session.as_mut(), "a", b"x");
    assert_eq!(said(&server).matches("EPSV").count(), 1);
}

#[test]
fn q27_files_are_replaced_where_renaming_does_not_replace() {
    for quirks in [
        Quirks { keeps_existing: true, ..Quirks::default() },
        Quirks { pretends_to_replace: true, ..Quirks::default() },
        Quirks { answers: vec![("RNFR", "502 not implemented")], ..Quirks::default() },
    ] {
        let (server, mut session) = open(quirks);
        server.put("/file", b"old");
        put(session.as_mut(), "file", b"newer");
        assert_eq!(server.content("/file").unwrap(), b"newer");
        assert_eq!(server.paths(), ["/", "/file"]);
    }
}

#[test]
fn q27_where_an_account_may_not_rename_files_are_written_in_place() {
    for (verb, refusal) in
        [("RNFR", "550 permission denied"), ("RNTO", "553 no"), ("RNTO", "550 not allowed")]
    {
        for old in [None, Some(b"old".as_slice())] {
            let (server, mut session) = open(Quirks { answers: vec![(verb, refusal)], ..Quirks::default() });
            if let Some(old) = old {
                server.put("/file", old);
            }
            let first = session.write(&path("file"), &mut b"new".as_slice(), &Put::default()).unwrap_err();
            assert_eq!(first.kind(), Kind::Busy, "{first}");
            for file in ["file", "another"] {
                put(session.as_mut(), file, b"new");
                assert_eq!(server.content(&format!("/{file}")).unwrap(), b"new");
            }
            assert_eq!(server.paths(), ["/", "/another", "/file"]);
        }
    }
}

#[test]
fn q28_a_folder_that_is_there_may_be_made() {
    for refusal in ["550 cannot create", "521 exists", "450 later", "553 no"] {
        let (_server, mut session) = open(Quirks::default());
        session.mkdir(&path("folder")).unwrap();
        let (server, mut session) = open(Quirks { answers: vec![("MKD", refusal)], ..Quirks::default() });
        server.put_folder("/folder");
        session.mkdir(&path("folder")).unwrap();
        assert!(session.mkdir(&path("other")).is_err(), "{refusal}");
        let again = session.make_new(&path("folder")).unwrap_err();
        assert_eq!(again.reply().map(|(code, _)| code.to_string()).as_deref(), refusal.get(..3));
    }
}

#[test]
fn q28_many_folders_are_made_in_one_packet_and_each_has_its_own_answer() {
    let (server, mut session) = open(Quirks::default());
    server.put("/file", b"content");
    server.put_folder("/there");
    let dirs = ["new", "file", "there", "new/inner", "nowhere/inner"].map(path);
    let kinds: Vec<Option<Kind>> =
        session.mkdirs(&dirs).into_iter().map(|made| made.err().map(|error| error.kind())).collect();
    assert_eq!(kinds, [None, Some(Kind::Exists), None, None, Some(Kind::Refused)]);
    let packet = dirs.each_ref().map(|dir| format!("MKD /{dir}")).join(" | ");
    assert!(server.script().contains(&packet), "{:#?}", server.script());
    assert_eq!(server.paths(), ["/", "/file", "/new", "/new/inner", "/there"]);
}

#[test]
fn q29_tls_without_a_goodbye_is_judged_by_sizes() {
    let server = Server::start(Quirks { tls: Some(Tls::Old), closes_rudely: true, ..Quirks::default() });
    let mut session = FtpTarget::new(trusting(&server)).unwrap().open().unwrap();
    put(session.as_mut(), "file", b"content");
    assert_eq!(get(session.as_mut(), "file").unwrap(), b"content");
}

#[test]
fn q29_a_connection_that_is_reset_at_its_end_is_judged_by_sizes_and_told_of_once() {
    for (tls, closes_rudely) in [(None, false), (Some(Tls::Old), true), (Some(Tls::New), true)] {
        let quirks = Quirks { tls, closes_rudely, resets_at_end: true, ..Quirks::default() };
        for (halves_downloads, hides) in [(false, vec![]), (true, vec![]), (false, vec!["SIZE"])] {
            let server = Server::start(Quirks { halves_downloads, hides: hides.clone(), ..quirks.clone() });
            server.put("/file", b"content");
            let config = if tls.is_some() { trusting(&server) } else { config(&server) };
            let target = FtpTarget::new(config).unwrap();
            let is_whole = !halves_downloads && hides.is_empty();
            for _ in 0..2 {
                let got = get(target.open().unwrap().as_mut(), "file");
                assert_eq!(got.ok(), is_whole.then(|| b"content".to_vec()), "{tls:?} {hides:?}");
            }
            let told = target.news().iter().filter(|(_, line)| line.contains("at their end")).count();
            assert_eq!(told, usize::from(is_whole), "{tls:?}");
        }
    }
}

#[test]
fn q30_an_upload_that_arrives_empty_is_not_put_in_place() {
    let (server, mut session) = open(Quirks { loses_all: true, ..Quirks::default() });
    server.put("/file", b"old");
    let put = Put { size: Some(3), ..Put::default() };
    let error = session.write(&path("file"), &mut &b"new"[..], &put).unwrap_err();
    assert_eq!((error.kind(), error.retry()), (Kind::Size, Retry::NewSession), "{error}");
    assert_eq!(server.content("/file").unwrap(), b"old");
}

#[test]
fn q30_a_small_file_among_many_that_arrives_short_once_is_sent_again() {
    let server = Server::start(Quirks::default());
    let local = MemoryTarget::new("/local");
    for number in 0..20 {
        local.put(&format!("file{number:02}"), format!("content of file {number}").as_bytes(), at(0));
    }
    // By then each file is finished together with the next one.
    let ends = |nth, count| Fault { at: At::Nth("STOR", nth), mishap: Mishap::EndData(count) };
    server.faults().plan([ends(10, 0), ends(14, 3)]);
    let run = sync(&local, &server, Mode::Sync);
    assert_eq!(server.faults().happened(), 2);
    assert!(run.result.is_ok() && run.failures.is_empty(), "{run:?}");
    for number in 0..20 {
        let content = server.content(&format!("/file{number:02}")).unwrap();
        assert_eq!(content, format!("content of file {number}").as_bytes());
    }
}

#[test]
fn q31_a_download_whose_confirmation_is_lost_counts_if_all_is_there() {
    let (server, _, mut session) = open_impatient(Quirks { no_226: true, ..Quirks::default() });
    server.put("/file", b"12345678");
    assert_eq!(get(session.as_mut(), "file").unwrap(), b"12345678");
    assert!(!session.is_alive(), "the conversation is not used any more");
    let (server, _, mut session) =
        open_impatient(Quirks { no_226: true, halves_downloads: true, ..Quirks::default() });
    server.put("/file", b"12345678");
    assert!(get(session.as_mut(), "file").is_err());
}

#[test]
fn q31_an_upload_whose_confirmation_is_lost_counts_if_the_size_is_right() {
    let (server, _, mut session) = open_impatient(Quirks { no_226: true, ..Quirks::default() });
    server.put("/file", b"old");
    put(session.as_mut(), "file", b"content");
    assert_eq!(server.content("/file").unwrap(), b"content");
    assert_eq!(said(&server).matches("STOR").count(), 1, "it is not sent again");
    let short = Quirks { no_226: true, loses_last_byte: true, ..Quirks::default() };
    let (server, _, mut session) = open_impatient(short);
    server.put("/file", b"old");
    let put = Put { size: Some(7), ..Put::default() };
    assert_eq!(session.write(&path("file"), &mut &b"content"[..], &put).unwrap_err().kind(), Kind::Size);
    assert_eq!(server.content("/file").unwrap(), b"old");
}

#[test]
fn q31_the_confirmation_of_a_large_transfer_may_come_later_than_other_replies() {
    let confirms_after = Duration::from_millis(1500);
    let server = Server::start(Quirks { confirms_after, ..Quirks::default() });
    let target = FtpTarget::new(FtpConfig { timeout: Duration::from_secs(1), ..config(&server) }).unwrap();
    let mut session = target.open().unwrap();
    put(session.as_mut(), "file", &vec![7; 2 << 20]);
    assert_eq!(get(session.as_mut(), "file").unwrap().len(), 2 << 20);
    assert!(session.is_alive(), "it is the same conversation");
    let said = said(&server);
    assert_eq!(["USER", "STOR", "RETR"].map(|verb| said.matches(verb).count()), [1, 1, 1], "{said}");
}

/// What the system says about the end of a connection that goes to this port: which timer is running, and for how long.
#[cfg(target_os = "linux")]
fn timer_of_connection_to(port: u16) -> (String, Duration) {
    // The port may have belonged to another server before.
    let fields = connections_to(port, ESTABLISHED).pop().expect("a connection");
    let (timer, rest) = fields[5].split_once(':').unwrap();
    (timer.to_owned(), Duration::from_millis(u64::from_str_radix(rest, 16).unwrap() * 10))
}

#[test]
#[cfg(target_os = "linux")]
fn q31_the_control_connection_reminds_routers_of_itself_while_it_is_silent() {
    for tls in [None, Some(Tls::Old)] {
        let server = Server::start(Quirks { tls, ..Quirks::default() });
        let config = if tls.is_some() { trusting(&server) } else { config(&server) };
        let session = FtpTarget::new(config).unwrap().open().unwrap();
        // What was sent last is acknowledged first.
        let reminds = eventually(|| timer_of_connection_to(server.port()).0 == "02");
        assert!(reminds, "{:?}", timer_of_connection_to(server.port()));
        let left = timer_of_connection_to(server.port()).1;
        assert!(left > Duration::ZERO && left <= Duration::from_secs(31), "{left:?}");
        drop(session);
    }
}

#[test]
fn q32_a_reply_too_many_ends_the_conversation_instead_of_shifting_answers() {
    let answers = vec![("SIZE", "213 5\r\n226 Transfer complete")];
    let (server, mut session) = open(Quirks { answers, ..Quirks::default() });
    server.put("/file", b"x");
    // Both lines come together.
    let _ = session.still(&[(path("file"), Expect::Absent)]);
    let error = session.remove_file(&path("file")).unwrap_err();
    assert_eq!((error.kind(), error.retry()), (Kind::Protocol, Retry::NewSession), "{error}");
    assert!(error.to_string().contains("226 Transfer complete"), "{error}");
    assert!(server.content("/file").is_some(), "nothing was sent");
}

#[test]
fn q32_data_is_read_to_its_end_although_the_final_reply_was_early() {
    let (server, mut session) = open(Quirks { early_226: true, ..Quirks::default() });
    server.put("/file", &vec![7; 3_000_000]);
    assert_eq!(get(session.as_mut(), "file").unwrap().len(), 3_000_000);
    assert_eq!(get(session.as_mut(), "file").unwrap().len(), 3_000_000);
}

#[test]
fn q33_what_is_refused_for_now_is_tried_again_and_what_is_refused_for_good_is_not() {
    for (refusal, attempts) in
        [("550 no", 1), ("553 no", 1), ("425 no data", 4), ("450 busy", 4), ("451 error", 4)]
    {
        let server = Server::start(Quirks { answers: vec![("DELE", refusal)], ..Quirks::default() });
        server.put("/file", b"x");
        let run = sync(&MemoryTarget::new("/local"), &server, Mode::Upload);
        assert!(run.result.is_err() || !run.failures.is_empty(), "{run:?}");
        assert_eq!(said(&server).matches("DELE").count(), attempts, "{refusal}");
    }
}

#[test]
fn q33_a_transfer_that_is_refused_or_ended_for_now_is_tried_again_after_pauses_and_not_for_ever() {
    let local = || {
        let local = MemoryTarget::new("/local");
        local.put("up", b"content", at(0));
        local
    };
    for (command, at_end) in [("STOR", false), ("STOR", true), ("RETR /down", false)] {
        for refusal in ["425 no data", "426 aborted", "450 busy", "451 local error"] {
            for (times, succeeds) in [(3, true), (4, false)] {
                let stor_ends_with = at_end.then_some(refusal);
                let server = Server::start(Quirks { stor_ends_with, ..Quirks::default() });
                server.put("/down", b"content");
                if !at_end {
                    server.faults().plan((0..times).map(|number| Fault {
                        at: At::Nth(command, number),
                        mishap: Mishap::Answer(refusal),
                    }));
                }
                let pauses = Arc::new(Mutex::new(Vec::new()));
                let told = Arc::clone(&pauses);
                let note = move |length: Duration| {
                    told.lock().unwrap().push(length);
                    Duration::ZERO
                };
                let setup = Setup { instead_of_pauses: Some(Arc::new(note)), ..Setup::new(Mode::Sync) };
                let run = tree::run(&local(), &Shared(Arc::new(target(&server))), &setup);
                let what = format!("{command} {refusal} {times}: {run:?}");
                assert_eq!(run.failures.is_empty(), succeeds && !at_end, "{what}");
                let tried = said(&server).matches(command).count();
                assert_eq!(tried, 4, "{what}");
                let pauses = pauses.lock().unwrap();
                assert_eq!(pauses.len(), 3, "{what}");
                assert!(pauses.windows(2).all(|two| two[0] < two[1]), "they grow: {pauses:?}");
                assert!(pauses.iter().sum::<Duration>() < Duration::from_secs(4), "{pauses:?}");
            }
        }
    }
}

#[test]
fn q33_a_full_disk_or_a_used_up_quota_ends_all_uploads_in_one_line() {
    for end in ["452 disk full", "552 quota exceeded"] {
        let server = Server::start(Quirks { stor_ends_with: Some(end), ..Quirks::default() });
        let local = MemoryTarget::new("/local");
        for number in 0..50 {
            local.put(&format!("file{number}"), b"x", at(0));
        }
        server.put("/down", b"x");
        let run = sync(&local, &server, Mode::Sync);
        let (tried, told) = (said(&server).matches("STOR").count(), run.failures.len());
        // Each of the two threads may be at one when the first is refused.
        assert!((1..=2).contains(&tried) && (1..=2).contains(&told), "{tried} {run:?}");
        assert!(run.failures[0].contains(end) && run.failures[0].contains("quota"), "{run:?}");
        assert_eq!(run.stats.copy_errors, 50);
        assert!(local.tree().contains_key("down"), "what comes this way still comes");
    }
}

#[test]
fn q33_one_file_that_is_too_large_for_the_server_keeps_no_smaller_one() {
    let server = Server::start(Quirks::default());
    let (refusals, local) = (["a large", "a larger", "another"], MemoryTarget::new("/local"));
    for (file, size) in refusals.into_iter().zip([100, 200, 50]) {
        local.put(file, &vec![b'x'; size], at(0));
    }
    for number in 0..50 {
        local.put(&format!("file{number}"), b"x", at(0));
    }
    // One session, so that the order is that of the names.
    let setup = Setup { threads: 1, sessions: 1, ..Setup::new(Mode::Sync) };
    let refused = |nth| Fault { at: At::Nth("STOR", nth), mishap: Mishap::Answer("552 File too large") };
    server.faults().plan([refused(0), refused(1)]);
    let remote = Shared(Arc::new(FtpTarget::new(config(&server)).unwrap()));
    let run = tree::run(&local, &remote, &setup);
    assert_eq!((run.stats.copy_errors, run.failures.len()), (3, 2), "{run:?}");
    let told = run.warnings.iter().filter(|line| line.contains("has no room for that")).count();
    assert!(
        told == 2 && run.warnings.iter().any(|line| line.contains("No file of 50 bytes or more")),
        "{run:?}"
    );
    assert!(run.failures[0].contains("larger than the server takes"), "{run:?}");
    assert_eq!(server.paths().iter().filter(|path| path.contains("/file")).count(), 50);
    assert_eq!(
        server.paths().iter().filter(|path| refusals.iter().any(|name| path.ends_with(name))).count(),
        0
    );
}

#[test]
fn q33_what_a_full_server_has_made_of_a_file_that_it_refuses_is_removed() {
    // Pure-FTPd leaves an empty one.
    let (server, mut session) = open(Quirks::default());
    put(session.as_mut(), "first", b"content");
    server.packets();
    let refusal = Mishap::Answer("552 Quota exceeded: won't be saved");
    server.faults().plan([Fault { at: At::Nth("STOR", 0), mishap: refusal }]);
    let error = session.write(&path("second"), &mut &b"x"[..], &Put::default()).unwrap_err();
    assert_eq!(error.kind(), Kind::Full);
    let said = said(&server);
    assert!(said.contains("DELE /.pyftpsync-tmp-") && said.contains("-second"), "{said}");
}

#[test]
fn q33_the_last_words_of_a_session_that_has_failed_are_no_refusal() {
    for verb in ["EPSV", "STOR", "RNFR", "SIZE", "MFMT", "MLSD"] {
        let server = Server::start(Quirks::default());
        let local = MemoryTarget::new("/local");
        for number in 0..6 {
            local.put(&format!("file{number}"), b"content", at(0));
        }
        // vsftpd, where two sessions want the same port for data.
        let oops = Mishap::Answer("500 OOPS: vsf_sysutil_bind");
        server.faults().plan([1, 3].map(|nth| Fault { at: At::Nth(verb, nth), mishap: oops.clone() }));
        let upload = sync(&local, &server, Mode::Upload);
        assert!(upload.result.is_ok() && upload.stats.copy_errors == 0, "{verb}: {upload:?}");
        assert!(!upload.lines.iter().any(|line| line.contains("cannot rename")), "{verb}: {upload:?}");
        let arrived = (0..6).filter(|number| server.content(&format!("/file{number}")).is_some()).count();
        assert_eq!(arrived, 6, "{verb}: {upload:?}");
    }
}

#[test]
fn q34_a_run_makes_do_with_the_connections_it_gets() {
    for most in [1, 2] {
        let server = Server::start(Quirks { most, ..Quirks::default() });
        let local = MemoryTarget::new("/local");
        for number in 0..20 {
            local.put(&format!("folder{}/file{number}", number % 3), b"x", at(0));
        }
        let run = sync(&local, &server, Mode::Sync);
        assert!(run.result.is_ok() && run.failures.is_empty(), "{run:?}");
        assert_eq!(server.paths().iter().filter(|path| path.contains("/file")).count(), 20);
    }
}

/// Sends files to a server for one session, which is lost at the second file and counts until so much time has gone by in
/// pauses. The outcome, and the pauses.
fn send_where_a_lost_session_counts_for(seconds: f64) -> (Arc<Server>, tree::Outcome, Vec<f64>) {
    let quirks = Quirks { most: 1, notices_ends_when_told: true, ..Quirks::default() };
    let server = Arc::new(Server::start(quirks));
    server.faults().plan([Fault { at: At::Nth("STOR", 1), mishap: Mishap::Reset }]);
    let local = MemoryTarget::new("/local");
    for name in ["a", "b", "c"] {
        local.put(name, b"x", at(0));
    }
    let pauses = Arc::new(Mutex::new(Vec::new()));
    let (told, counting) = (Arc::clone(&pauses), Arc::clone(&server));
    let pause = move |length: Duration| {
        let mut told = told.lock().unwrap();
        let before = told.iter().sum::<f64>();
        told.push(length.as_secs_f64());
        if before < seconds && told.iter().sum::<f64>() >= seconds {
            counting.notice_end();
        }
        Duration::ZERO
    };
    let setup = Setup { threads: 1, instead_of_pauses: Some(Arc::new(pause)), ..Setup::new(Mode::Upload) };
    let outcome = tree::run(&local, &Shared(Arc::new(target(&server))), &setup);
    let pauses = pauses.lock().unwrap().clone();
    (server, outcome, pauses)
}

#[test]
fn q34_a_server_for_one_session_may_take_five_seconds_to_notice_that_the_last_one_is_lost() {
    let (server, run, pauses) = send_where_a_lost_session_counts_for(5.0);
    assert!(run.result.is_ok() && run.failures.is_empty(), "{run:?}");
    assert_eq!(server.paths(), ["/", "/a", "/b", "/c"]);
    assert!(pauses.windows(2).all(|two| two[0] < two[1]), "they grow: {pauses:?}");
}

#[test]
fn q34_a_server_that_never_has_room_again_is_not_waited_for_for_ever() {
    let (server, run, pauses) = send_where_a_lost_session_counts_for(f64::MAX);
    let error = run.result.unwrap_err().to_string();
    assert!(error.contains("421 too many connections"), "{error}");
    assert!((5.0..20.0).contains(&pauses.iter().sum::<f64>()), "{pauses:?}");
    assert_eq!(server.paths().iter().filter(|path| ["/a", "/b", "/c"].contains(&path.as_str())).count(), 1);
}

#[test]
fn q34_every_session_of_a_pool_says_goodbye_in_the_end() {
    for tls in [None, Some(Tls::Old), Some(Tls::New)] {
        let server = Server::start(Quirks { tls, ..Quirks::default() });
        let config = if tls.is_some() { trusting(&server) } else { config(&server) };
        let pool = Pool::new(Arc::new(FtpTarget::new(config).unwrap()), 3);
        let mut loans: Vec<_> = (0..3).map(|_| pool.take().unwrap()).collect();
        put(loans[0].session(), "file", b"x");
        loans.into_iter().for_each(ftpsync::target::pool::Loan::keep);
        pool.close(true);
        assert!(server.is_quiet(), "nobody is left");
        let said = said(&server);
        assert_eq!((said.matches("USER").count(), said.matches("QUIT").count()), (3, 3), "{said}");
    }
}

#[test]
fn q35_rest_comes_right_before_its_transfer_and_only_where_something_is_continued() {
    let (server, mut session) = open(Quirks { halves_downloads: true, ..Quirks::default() });
    server.put("/file", b"12345678");
    for _ in 0..2 {
        assert_eq!(get(session.as_mut(), "file").unwrap_err().kind(), Kind::Size);
    }
    assert!(!said(&server).contains("REST"));
    assert!(session.read_from(&path("file"), 3, &mut |_| Ok(())).is_err());
    assert!(said(&server).contains("EPSV | REST 3 | RETR /file"));
}

#[test]
fn q36_transfers_are_binary_from_the_beginning_or_not_at_all() {
    let server = Server::start(Quirks::default());
    target(&server).open().unwrap();
    assert!(said(&server).contains("TYPE I"));
    let server = Server::start(Quirks { answers: vec![("TYPE", "504 text only")], ..Quirks::default() });
    let error = target(&server).open().err().expect("a refusal");
    assert!(error.to_string().contains("binary") && error.to_string().contains("504 text only"), "{error}");
}

#[test]
fn q37_where_size_tells_nonsense_listings_are_believed() {
    let (server, mut session) = open(Quirks { sizes_are_0: true, ..Quirks::default() });
    put(session.as_mut(), "a", b"content");
    server.packets();
    put(session.as_mut(), "b", b"content");
    assert_eq!(get(session.as_mut(), "b").unwrap(), b"content");
    assert!(!said(&server).contains("SIZE"), "it is not asked any more");
    assert_eq!(server.paths(), ["/", "/a", "/b"]);

    let (server, mut session) = open(Quirks { loses_last_byte: true, ..Quirks::default() });
    let put = Put { size: Some(7), ..Put::default() };
    assert_eq!(session.write(&path("a"), &mut &b"content"[..], &put).unwrap_err().kind(), Kind::Size);
    assert_eq!(server.paths(), ["/"], "where both tell the same it is true");
}

#[test]
fn q38_feat_in_any_form_or_none_is_enough() {
    for answer in [
        "500 unknown command",
        "530 log in first",
        "211 no features",
        "211-Features\r\nSIZE\r\nmdtm\r\n211-MLST type*;\r\n211 end",
    ] {
        let server = Server::start(Quirks { answers: vec![("FEAT", answer)], ..Quirks::default() });
        contract::check(&target(&server));
    }
}

#[test]
fn q39_one_mode_is_enough() {
    let answers = vec![("EPSV", "500 no"), ("PASV", "500 no")];
    let (_server, mut session) = open(Quirks { answers, ..Quirks::default() });
    put(session.as_mut(), "file", b"content");
    assert_eq!(get(session.as_mut(), "file").unwrap(), b"content");
}

#[test]
fn q40_a_reply_may_end_with_another_code() {
    // Among other replies it cannot be told where it ends, so that the login is repeated step by step.
    let answers = vec![("FEAT", "211-Features\r\n SIZE\r\n200 End")];
    let server = Server::start(Quirks { answers, ..Quirks::default() });
    let patience = Duration::from_secs(2);
    let target = FtpTarget::new(FtpConfig { timeout: patience, ..config(&server) }).unwrap();
    let mut session = target.open().unwrap();
    put(session.as_mut(), "file", b"x");
    assert_eq!(get(session.as_mut(), "file").unwrap(), b"x");
}

#[test]
fn q40_the_first_digit_of_a_reply_decides() {
    for code in ["200", "202", "226", "250", "299"] {
        let done = format!("{code} fine");
        let done: &'static str = done.leak();
        let (server, mut session) = open(Quirks { says_for_done: Some(done), ..Quirks::default() });
        put(session.as_mut(), "file", b"x");
        session.mkdir(&path("folder")).unwrap();
        session.rename(&path("file"), &path("other")).unwrap();
        session.remove_file(&path("other")).unwrap();
        session.remove_dir(&path("folder")).unwrap();
        assert_eq!(server.paths(), ["/"]);
    }
}

#[test]
fn q40_a_transfer_may_end_and_a_user_may_be_let_in_with_any_success() {
    for reply in ["200 ok", "202 superfluous", "226 done", "250 fine", "299 whatever"] {
        let answers = vec![("PASS", reply), ("TYPE", reply), ("PBSZ", reply), ("PROT", reply)];
        let says_for_transferred = Some(reply);
        for tls in [None, Some(Tls::Old)] {
            let server = Server::start(Quirks {
                answers: answers.clone(),
                says_for_transferred,
                tls,
                ..Quirks::default()
            });
            let config = if tls.is_some() { trusting(&server) } else { config(&server) };
            let target = FtpTarget::new(config).unwrap();
            // The second session says everything at once, the second file travels with the first.
            for folder in ["a", "b"] {
                let mut session = target.open().unwrap();
                session.mkdir(&path(folder)).unwrap();
                for file in [format!("{folder}/1"), format!("{folder}/2")] {
                    put(session.as_mut(), &file, b"content");
                    assert_eq!(get(session.as_mut(), &file).unwrap(), b"content", "{reply}");
                }
                assert_eq!(session.list(&path(folder)).unwrap().entries.len(), 2, "{reply}");
                assert!(session.is_alive(), "{reply}");
            }
        }
    }
}

#[test]
fn q40_a_user_who_is_let_in_without_a_password_sends_none_and_who_is_asked_in_another_way_sends_it() {
    for (reply, sends_it) in [
        ("230 in", false),
        ("232 in", false),
        ("200 in", false),
        ("330 and your word?", true),
        ("300 go on", true),
    ] {
        let server = Server::start(Quirks { answers: vec![("USER", reply)], ..Quirks::default() });
        let mut session = target(&server).open().unwrap();
        assert!(session.is_alive(), "{reply}");
        assert_eq!(said(&server).contains("PASS"), sends_it, "{reply}");
    }
    let server = Server::start(Quirks { answers: vec![("USER", "332 account?")], ..Quirks::default() });
    let error = target(&server).open().err().expect("a refusal");
    assert!(error.kind() == Kind::Login && error.to_string().contains("ACCT"), "{error}");
}

#[test]
fn q41_one_connection_is_enough_for_everything() {
    let server = Server::start(Quirks { most: 1, tls: Some(Tls::Old), ..Quirks::default() });
    let target = FtpTarget::new(FtpConfig { connections: 1, ..trusting(&server) }).unwrap();
    let pool = Pool::new(Arc::new(target), 4);
    for number in 0..5 {
        let mut loan = pool.take().unwrap();
        put(loan.session(), &format!("file{number}"), b"x");
        loan.keep();
    }
    assert_eq!(server.paths().len(), 6);
}

#[test]
fn q43_silence_at_any_step_is_an_error_in_bounded_time() {
    for step in [
        "USER", "PASS", "SYST", "FEAT", "OPTS", "CWD", "EPSV", "STOR", "RETR", "MLSD", "SIZE", "RNFR",
        "RNTO", "DELE", "MKD",
    ] {
        let server = Server::start(Quirks { is_silent_at: Some(step), ..Quirks::default() });
        server.put("/old", b"x");
        let patience = Duration::from_millis(200);
        let target = FtpTarget::new(FtpConfig { timeout: patience, ..config(&server) }).unwrap();
        let begun = Instant::now();
        let outcome = target.open().and_then(|mut session| {
            session.list(&RelPath::root())?;
            get(session.as_mut(), "old")?;
            session.write(&path("new"), &mut &b"x"[..], &Put::default())?;
            session.mkdir(&path("folder"))?;
            session.remove_file(&path("old"))
        });
        let error = outcome.unwrap_err();
        // The reply to the next command may be seen to be none to this one.
        let is_told = matches!(error.kind(), Kind::Timeout | Kind::Protocol);
        assert!(is_told && error.retry() == Retry::NewSession, "{step}: {error:?}");
        assert!(begun.elapsed() < SOON, "{step}: {:?}", begun.elapsed());
    }
}

#[test]
fn q45_what_servers_keep_for_themselves_is_left_alone() {
    let server = Server::start(Quirks::default());
    server.put("/.ftpquota", b"1 2");
    server.put("/@eaDir", b"x");
    server.put("/.pureftpd-upload.6b0445f4.620b.5bc8.f0960ca9", b"half");
    server.put("/.in..pyftpsync-tmp-0e9cafe26fa1fb84-big.", b"half");
    let local = MemoryTarget::new("/local");
    local.put(".ftpquota", b"mine", at(0));
    sync(&local, &server, Mode::Sync);
    let upload = sync(&local, &server, Mode::Upload);
    assert!(upload.lines.iter().all(|line| !line.contains("ftpquota")), "{upload:?}");
    assert_eq!(server.content("/.ftpquota").unwrap(), b"1 2");
    assert!(server.content("/@eaDir").is_some() && !local.tree().contains_key("@eaDir"));
    let is_half = |name: &String| name.contains("pureftpd") || name.contains(".in.");
    assert!(!local.tree().keys().any(is_half), "half of what is being uploaded");
}

// ---- servers that are broken, or mean harm ----------------------------------------------------------------------

#[test]
fn endless_talk_is_given_up() {
    let banner = "120 soon\r\n".repeat(50) + "220 ready";
    let lines: &'static str = ("220-x\r\n".repeat(2_000) + "220 x").leak();
    for answer in [banner.leak() as &'static str, lines] {
        let server = Server::start(Quirks { answers: vec![("SYST", answer)], ..Quirks::default() });
        let begun = Instant::now();
        let error = target(&server).open().err().expect("no session");
        assert!(begun.elapsed() < SOON, "{error}");
    }
    let long: &'static str = ("550 ".to_owned() + &"x".repeat(1_000_000)).leak();
    let (_server, mut session) = open(Quirks { answers: vec![("DELE", long)], ..Quirks::default() });
    let error = session.remove_file(&path("file")).unwrap_err();
    assert_eq!((error.kind(), error.retry()), (Kind::Protocol, Retry::NewSession), "{error}");
    assert!(error.to_string().len() < 300, "{error}");
}

#[test]
fn nonsense_facts_are_not_believed() {
    let nonsense: [&'static [u8]; 6] = [
        b"type=file;size=99999999999999999999999; a",
        b"type=file;size=-5; a",
        b"type=file;modify=99999999999999; a",
        b"type=file;modify=20241399250000; a",
        b"type=file;size=1;size; a",
        b"type=file;size=1; ../../etc/passwd",
    ];
    for line in nonsense {
        let listing = listed(vec![line]);
        assert!(!listing.complete && listing.entries.is_empty(), "{:?}", String::from_utf8_lossy(line));
    }
}

#[test]
fn silence_before_and_in_the_handshake_is_an_error_with_a_hint() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mute = FtpConfig {
        port: listener.local_addr().unwrap().port(),
        timeout: Duration::from_millis(200),
        ..FtpConfig::new("127.0.0.1", "/")
    };
    let tls = |implicit: bool| Some(TlsConfig { implicit, ..TlsConfig::default() });
    let agrees = Server::start(Quirks { answers: vec![("AUTH", "234 go on")], ..Quirks::default() });
    let stuck = FtpConfig { port: agrees.port(), tls: tls(false), ..mute.clone() };
    let cases = [
        (mute.clone(), "ftps:// with --tls-implicit"),
        (FtpConfig { tls: tls(false), ..mute.clone() }, "try --tls-implicit"),
        (FtpConfig { tls: tls(true), ..mute.clone() }, "try it without --tls-implicit"),
        (stuck, "the TLS handshake with 127.0.0.1"),
    ];
    for (config, hint) in cases {
        let begun = Instant::now();
        let error = FtpTarget::new(config).unwrap().open().err().expect("silence");
        assert_eq!(error.kind(), Kind::Timeout, "{error}");
        assert!(error.to_string().contains(hint), "{error}");
        assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
    }
}

#[test]
fn a_reply_that_trickles_in_is_as_good_as_silence() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let dripping = std::thread::spawn(move || {
        use std::io::Write;
        let mut socket = listener.accept().unwrap().0;
        while socket.write_all(b"2").is_ok() {
            std::thread::sleep(Duration::from_millis(50));
        }
    });
    let config = FtpConfig { port, timeout: Duration::from_millis(200), ..FtpConfig::new("127.0.0.1", "/") };
    let begun = Instant::now();
    let error = FtpTarget::new(config).unwrap().open().err().expect("no reply");
    assert_eq!((error.kind(), error.retry()), (Kind::Timeout, Retry::NewSession), "{error}");
    assert!(begun.elapsed() < SOON);
    dripping.join().unwrap();
}
