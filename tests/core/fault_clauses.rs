//! Single clauses of the rows of the fault catalogue, each at the level of a whole run where that is what counts.

use crate::contract::{self, get, path, put};
use crate::fault_rows::{below, download};
use crate::ftp_conversations::{config, open, trusting};
use crate::ftp_faults::{At, Fault, Gate, Mishap};
use crate::ftp_server::{Quirks, Server, Tls};
use crate::tree::{self, Setup, Shared, at, user_tree};
use ftpsync::error::Kind;
use ftpsync::model::{RelPath, Sides};
use ftpsync::plan::Mode;
use ftpsync::target::ftp::{FtpConfig, FtpTarget, Secret, TlsConfig};
use ftpsync::target::local::{Links, LocalTarget};
use ftpsync::target::memory::{MemoryTarget, Node};
use ftpsync::target::{Put, Target};
use std::fs;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

fn remote(server: &Server) -> Shared {
    Shared(Arc::new(FtpTarget::new(config(server)).unwrap()))
}

fn leaked(text: String) -> &'static str {
    text.leak()
}

fn content(target: &MemoryTarget, name: &str) -> Vec<u8> {
    match user_tree(target).remove(name) {
        Some(Node::File(bytes, _)) => bytes,
        other => panic!("{name}: {other:?}"),
    }
}

// ---- what a server lists ----------------------------------------------------------------------------------------

#[test]
fn row_54_a_listing_that_is_cut_makes_no_plan_and_is_an_error() {
    for end in ["426 cut", "451 disk error", "450 later"] {
        for mode in [Mode::Sync, Mode::Download] {
            let server = Server::start(Quirks { listing_ends_with: Some(end), ..Quirks::default() });
            for name in ["/a", "/b", "/c"] {
                server.put(name, b"x");
            }
            let local = MemoryTarget::new("/local");
            local.put("only here", b"x", at(0));
            let mut setup = Setup::new(mode);
            setup.policy.delete = mode == Mode::Download;
            let before = (user_tree(&local), server.tree());
            let outcome = tree::run(&local, &remote(&server), &setup);
            assert!(outcome.result.is_err(), "{end}: {outcome:?}");
            assert_eq!((user_tree(&local), server.tree()), before, "{end}: {outcome:?}");
        }
    }
}

#[test]
fn row_54_where_one_folder_cannot_be_listed_the_others_are_done() {
    for answer in ["450 later", "550 permission denied"] {
        let ways = ["MLSD /closed", "LIST /closed", "CWD /closed"];
        let answers = ways.map(|way| (way, answer)).to_vec();
        let server = Server::start(Quirks { answers, ..Quirks::default() });
        for name in ["/closed/theirs", "/open/theirs"] {
            server.put_folder(name.rsplit_once('/').unwrap().0);
            server.put(name, b"theirs");
        }
        let local = MemoryTarget::new("/local");
        for name in ["closed/mine", "open/mine"] {
            local.put(name, b"mine", at(0));
        }
        let mut setup = Setup::new(Mode::Download);
        setup.policy.delete = true;
        let outcome = tree::run(&local, &remote(&server), &setup);
        let left: Vec<String> = user_tree(&local).into_keys().collect();
        assert_eq!(left, ["closed", "closed/mine", "open", "open/theirs"], "{answer}: {outcome:?}");
        let told = format!("{:?} {:?} {:?}", outcome.failures, outcome.warnings, outcome.result);
        assert!(told.contains("closed"), "{answer}: {told}");
    }
}

#[test]
fn rows_56_and_57_lines_that_make_no_sense_and_special_files_delete_nothing() {
    let nonsense: [&'static [u8]; 3] = [b"garbage", b"type=file;size=x; a", b"size=5; no type"];
    let special: [&'static [u8]; 3] =
        [b"type=OS.unix=slink:/etc; mine", b"type=OS.unix=chr-1/3; mine", b"type=what-else; mine"];
    for (line, is_warned) in
        nonsense.map(|line| (line, true)).into_iter().chain(special.map(|line| (line, false)))
    {
        let server = Server::start(Quirks { more_lines: vec![line], ..Quirks::default() });
        server.put("/fine", b"fine");
        let (above, outcome) = download(&server);
        let shown = String::from_utf8_lossy(line);
        assert_eq!(below(&above.path().join("root")), ["fine", "mine"], "{shown}: {outcome:?}");
        let has_warned = outcome.warnings.iter().any(|text| text.contains("incomplete"));
        assert_eq!(has_warned, is_warned, "{shown}: {outcome:?}");
    }
}

#[test]
fn what_a_listing_lacks_for_certain_makes_no_run_a_success_that_depends_on_it() {
    let cases = [
        (Quirks { more_lines: vec![b"garbage"], ..Quirks::default() }, true),
        (ends_with("226 Output truncated to 10000 matches"), true),
        (ends_with("226 Transfer done (but failed to open directory)."), true),
        (lists_nothing("550 Permission denied"), true),
        // Here perhaps nothing is missing.
        (ends_with("226 Transfer complete (limit: 100 KB/s)"), false),
        (lists_nothing("550 No files found"), false),
    ];
    for (quirks, lacks) in cases {
        let shown = format!("{:?} {:?} {:?}", quirks.listing_ends_with, quirks.answers, quirks.more_lines);
        for (mode, deletes, depends) in [
            (Mode::Download, false, true),
            (Mode::Sync, false, true),
            (Mode::Upload, true, true),
            (Mode::Upload, false, false),
        ] {
            let local = MemoryTarget::new("/local");
            local.put("ours", b"ours", at(0));
            let server = Server::start(quirks.clone());
            server.put("/theirs", b"theirs");
            let mut setup = Setup::new(mode);
            setup.policy.delete = deletes;
            let outcome = tree::run(&local, &remote(&server), &setup);
            assert_eq!(outcome.result.is_err(), lacks && depends, "{shown} {mode:?} {deletes}: {outcome:?}");
            assert_eq!(outcome.stats.errors > 0, lacks && depends, "{shown}: {outcome:?}");
            assert!(outcome.warnings.iter().any(|text| text.contains("incomplete")), "{shown}: {outcome:?}");
            assert!(user_tree(&local).contains_key("ours"), "{shown} {mode:?}: {outcome:?}");
            assert!(deletes || server.content("/theirs").is_some(), "{shown} {mode:?}: {outcome:?}");
        }
    }
}

fn lists_nothing(reply: &'static str) -> Quirks {
    Quirks { answers: vec![("MLSD", reply), ("LIST", reply)], ..Quirks::default() }
}

fn ends_with(reply: &'static str) -> Quirks {
    Quirks { listing_ends_with: Some(reply), ..Quirks::default() }
}

#[test]
fn row_57_a_file_that_cannot_go_where_a_link_is_is_told_of() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["mine", "fine"] {
        std::fs::write(folder.path().join(name), name).unwrap();
    }
    let line: &[u8] = b"type=OS.unix=slink:/etc; mine";
    let server = Server::start(Quirks {
        more_lines: vec![line, b"type=OS.unix=slink:/x; other"],
        ..Quirks::default()
    });
    for mode in [Mode::Upload, Mode::Sync] {
        let local = LocalTarget::new(folder.path(), Links::Inside).unwrap();
        let outcome = tree::run(&local, &remote(&server), &Setup::new(mode));
        let told: Vec<_> = outcome.warnings.iter().filter(|text| text.contains("is not copied")).collect();
        assert!(told.len() == 1 && told[0].contains("\"mine\""), "{outcome:?}");
        assert_eq!(server.content("/fine").unwrap(), b"fine");
    }
}

#[test]
fn row_62_a_line_without_end_is_given_up() {
    let line = leaked(format!("type=file;size=1; {}", "x".repeat(1 << 20)));
    let (server, mut session) = open(Quirks { more_lines: vec![line.as_bytes()], ..Quirks::default() });
    server.put("/file", b"x");
    let listing = session.list(&RelPath::root()).unwrap();
    assert!(!listing.complete && listing.entries.len() == 1, "{listing:?}");
    assert!(format!("{listing:?}").len() < 2_000, "what is told about it has an end");
}

#[test]
fn row_62_a_listing_with_very_many_names_is_read() {
    let (server, mut session) = open(Quirks::default());
    server.put_many("/file", 100_000);
    let listing = session.list(&RelPath::root()).unwrap();
    assert!(listing.complete);
    assert_eq!(listing.entries.len(), 100_000);
}

// ---- transfers --------------------------------------------------------------------------------------------------

#[test]
fn row_24_whatever_happens_to_a_file_while_it_is_sent_it_is_not_taken_for_synchronised() {
    let before = vec![b'o'; 500_000];
    for after in [&b"short"[..], &[b'n'; 500_000], &[b'n'; 600_000], b""] {
        let server = Server::start(Quirks::default());
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, &before).unwrap();
        std::fs::write(folder.path().join("other"), "other").unwrap();
        let run = || {
            let local = LocalTarget::new(folder.path(), Links::Inside).unwrap();
            tree::run(&local, &remote(&server), &Setup::new(Mode::Sync))
        };
        let gate = Arc::new(Gate::default());
        let hold = Mishap::Hold(Arc::clone(&gate));
        server.faults().plan([Fault { at: At::Nth("SIZE /.pyftpsync-tmp", 0), mishap: hold }]);
        std::thread::scope(|scope| {
            let running = scope.spawn(run);
            assert!(gate.is_reached());
            std::thread::sleep(Duration::from_millis(20));
            std::fs::write(&file, after).unwrap();
            gate.open();
            running.join().unwrap();
        });
        // Whether it was sent before or after the edit: what the server holds is one of both, whole.
        let held = server.content("/file");
        assert!(held.as_ref().is_none_or(|held| *held == before || held == after), "{}", after.len());
        let again = run();
        assert!(again.result.is_ok(), "{again:?}");
        assert_eq!(server.content("/file").unwrap(), after, "{again:?}");
        assert_eq!(server.content("/other").unwrap(), b"other");
        assert_eq!(run().stats.entries_touched, 0);
    }
}

#[test]
fn row_70_what_arrived_of_an_upload_that_ran_out_of_room_is_removed() {
    for size in [10, 3_000_000] {
        let stor_ends_with = Some("552 quota exceeded");
        let (server, mut session) = open(Quirks { stor_ends_with, keeps_stumps: true, ..Quirks::default() });
        server.put("/file", b"old");
        let put = Put { size: Some(size as u64), ..Put::default() };
        let error = session.write(&path("file"), &mut vec![1; size].as_slice(), &put).unwrap_err();
        assert_eq!(error.kind(), Kind::Full, "{error}");
        assert_eq!(server.content("/file").unwrap(), b"old");
        assert_eq!(server.paths(), ["/", "/file"]);
    }
}

#[test]
fn row_72_a_data_connection_that_is_refused_is_asked_for_anew_a_few_times() {
    for command in ["RETR /theirs", "STOR /.pyftpsync-tmp", "MLSD"] {
        let server = Server::start(Quirks::default());
        server.put("/theirs", b"theirs");
        let local = MemoryTarget::new("/local");
        local.put("mine", b"mine", at(0));
        let refusal = Mishap::Answer("425 cannot open data connection");
        server.faults().plan([Fault { at: At::Nth(command, 0), mishap: refusal }]);
        let outcome = tree::run(&local, &remote(&server), &Setup::new(Mode::Sync));
        assert_eq!(server.faults().happened(), 1, "{command}");
        assert!(outcome.result.is_ok() && outcome.failures.is_empty(), "{command}: {outcome:?}");
        assert_eq!(server.content("/mine").unwrap(), b"mine");
        assert_eq!(content(&local, "theirs"), b"theirs");
    }
    let answers = vec![("RETR /theirs", "425 cannot open data connection")];
    let server = Server::start(Quirks { answers, ..Quirks::default() });
    server.put("/theirs", b"theirs");
    server.put("/other", b"other");
    let local = MemoryTarget::new("/local");
    let outcome = tree::run(&local, &remote(&server), &Setup::new(Mode::Sync));
    assert!(outcome.failures.iter().any(|text| text.contains("theirs: 425")), "{outcome:?}");
    assert_eq!(content(&local, "other"), b"other");
    let asked = server.script().join("\n").matches("RETR /theirs").count();
    assert!((2..10).contains(&asked), "{asked}");
}

#[test]
fn row_73_data_may_come_before_it_is_agreed_to() {
    let (server, mut session) = open(Quirks { agrees_afterwards: true, ..Quirks::default() });
    // As much as travels without anybody reading it.
    let large = vec![7; 60_000];
    server.put("/large", &large);
    server.put("/small", b"small");
    for _ in 0..2 {
        assert_eq!(get(session.as_mut(), "large").unwrap(), large);
        assert_eq!(get(session.as_mut(), "small").unwrap(), b"small");
    }
}

// ---- servers that know little -----------------------------------------------------------------------------------

#[test]
fn row_81_a_server_that_knows_only_what_everybody_knows_is_enough() {
    let unknown =
        ["EPSV", "SIZE", "MFMT", "MDTM", "REST", "RNFR", "RNTO", "FEAT", "MLSD", "SITE", "OPTS", "SYST"];
    let answers = unknown.map(|command| (command, "502 not implemented")).to_vec();
    let server = Server::start(Quirks { answers, ..Quirks::default() });
    let target = FtpTarget::new(config(&server)).unwrap();
    let mut session = target.open().unwrap();
    for content in [&b"old"[..], b"newer"] {
        put(session.as_mut(), "file", content);
        assert_eq!(get(session.as_mut(), "file").unwrap(), content);
    }
    let told = target.news();
    assert!(told.iter().any(|(_, line)| line.contains("cannot rename")), "{told:?}");
    session.remove_file(&path("file")).unwrap();
    // And in runs, there and back.
    let local = MemoryTarget::new("/local");
    local.put("d/mine", b"mine", at(0));
    server.put("/theirs", b"theirs");
    let setup = Setup { now: 1_704_164_645.0, ..Setup::new(Mode::Sync) };
    for wrote in [true, false] {
        let outcome = tree::run(&local, &remote(&server), &setup);
        assert!(outcome.result.is_ok() && outcome.failures.is_empty(), "{outcome:?}");
        assert_eq!(outcome.stats.files_written != Sides::default(), wrote, "{outcome:?}");
    }
    assert_eq!(server.content("/d/mine").unwrap(), b"mine");
    assert_eq!(content(&local, "theirs"), b"theirs");
}

#[test]
fn row_81_the_contract_holds_where_no_transfer_can_begin_in_the_middle() {
    let answers = vec![("REST", "502 not implemented")];
    let server = Server::start(Quirks { answers, hides: vec!["REST"], ..Quirks::default() });
    contract::check(&FtpTarget::new(config(&server)).unwrap());
}

#[test]
fn row_33_coarse_times_move_nothing_twice_and_hide_no_edit() {
    let no =
        |commands: &[&'static str]| commands.iter().map(|command| (*command, "500 no")).collect::<Vec<_>>();
    let servers = [
        ("minutes of LIST", Quirks { answers: no(&["MLSD", "MDTM", "MFMT", "SITE"]), ..Quirks::default() }),
        ("two seconds", Quirks { grain: 2, ..Quirks::default() }),
        (
            "two seconds, and none can be set",
            Quirks { grain: 2, answers: no(&["MFMT", "SITE"]), ..Quirks::default() },
        ),
        ("minutes", Quirks { grain: 60, ..Quirks::default() }),
    ];
    for (what, quirks) in servers {
        let server = Server::start(quirks);
        let local = MemoryTarget::new("/local");
        for (number, name) in ["a", "b", "c"].into_iter().enumerate() {
            local.put(name, b"12345", at(17 + number as i64));
        }
        server.put_at("/theirs", b"12345", "20230102030407");
        let mut setup = Setup { now: 1_704_164_645.0, ..Setup::new(Mode::Sync) };
        let mut run = || {
            setup.now += 1_000.0;
            let outcome = tree::run(&local, &remote(&server), &setup);
            assert!(outcome.result.is_ok() && outcome.stats.conflict_files == 0, "{what}: {outcome:?}");
            outcome
        };
        assert_eq!(run().stats.files_written, Sides::new(1, 3), "{what}");
        for _ in 0..2 {
            let idle = run();
            assert_eq!(idle.stats.files_written, Sides::default(), "{what}: {idle:?}");
        }
        // The disk tells exact times: an edit of a second later is one.
        local.put("a", b"54321", at(18));
        local.put("b", b"more than before", at(18));
        run();
        assert_eq!(server.content("/a").unwrap(), b"54321", "{what}");
        assert_eq!(server.content("/b").unwrap(), b"more than before", "{what}");
        server.put_at("/theirs", b"54321", "20230102040933");
        run();
        assert_eq!(content(&local, "theirs"), b"54321", "{what}");
        let idle = run();
        assert_eq!(idle.stats.files_written, Sides::default(), "{what}: {idle:?}");
    }
}

#[test]
fn row_34_times_that_all_shift_on_a_disk_cost_traffic_and_lose_nothing() {
    let server = Server::start(Quirks::default());
    let local = MemoryTarget::new("/local");
    let names = ["a", "b", "c", "d/e", "d/f"];
    let date = |hours: i64| names.map(|name| local.put(name, name.as_bytes(), at(3_600 * hours)));
    date(0);
    let setup = Setup::new(Mode::Sync);
    assert!(tree::run(&local, &remote(&server), &setup).result.is_ok());
    server.put("/b", b"edited there");
    date(1);
    let outcome = tree::run(&local, &remote(&server), &setup);
    assert!(outcome.result.is_ok(), "{outcome:?}");
    assert_eq!((outcome.stats.conflict_files, outcome.stats.files_deleted), (1, 0), "{outcome:?}");
    assert_eq!(server.content("/b").unwrap(), b"edited there");
    for name in names {
        assert_eq!(content(&local, name), name.as_bytes());
    }
    let again = tree::run(&local, &remote(&server), &setup);
    assert_eq!(again.stats.files_written, Sides::default(), "{again:?}");
}

// ---- who talks to whom ------------------------------------------------------------------------------------------

#[test]
fn row_85_ports_that_are_none_and_hosts_of_others_get_no_connection() {
    let trap = TcpListener::bind("127.0.0.2:0").unwrap();
    trap.set_nonblocking(true).unwrap();
    let port = trap.local_addr().unwrap().port();
    let elsewhere = leaked(format!("227 (127,0,0,2,{},{})", port / 256, port % 256));
    let said = [
        ("229 (|||0|)", "227 (127,0,0,1,0,0)"),
        ("229 (|||100000|)", "227 (127,0,0,1,300,10)"),
        ("229 here", "227 somewhere"),
        ("229 (|2|::1|99999999999999|)", "227 (1,2,3)"),
        ("500 no", elsewhere),
    ];
    for (extended, classic) in said {
        let answers = vec![("EPSV", extended), ("PASV", classic), ("PORT", "500 no"), ("EPRT", "500 no")];
        let server = Server::start(Quirks { answers, ..Quirks::default() });
        let patience = Duration::from_millis(500);
        let config = FtpConfig { connect_timeout: patience, timeout: patience, ..config(&server) };
        let error = FtpTarget::new(config).unwrap().open().unwrap().list(&RelPath::root()).unwrap_err();
        assert!(!error.to_string().is_empty(), "{extended} {classic}");
        assert!(trap.accept().is_err(), "{classic}: somebody else's host was called");
    }
}

#[test]
fn row_88_whatever_is_said_instead_of_agreeing_to_tls_no_user_is_named() {
    for answer in
        ["230 you are logged in", "331 your password", "200 ok", "334 go on", "530 log in first", "nonsense"]
    {
        let server = Server::start(Quirks { answers: vec![("AUTH", answer)], ..Quirks::default() });
        let timeout = Duration::from_millis(300);
        let secure = FtpConfig { tls: Some(TlsConfig::default()), timeout, ..config(&server) };
        let error = FtpTarget::new(secure).unwrap().open().err().expect("a refusal");
        let said = server.script().join(" ");
        assert!(!said.contains("USER") && !said.contains("PASS"), "{answer}: {said}");
        assert!(matches!(error.kind(), Kind::Tls | Kind::Protocol | Kind::Timeout), "{answer}: {error}");
    }
}

#[test]
fn row_90_a_data_connection_without_tls_gets_nothing_and_is_not_believed() {
    for tls in [Tls::Old, Tls::New] {
        let server = Server::start(Quirks { tls: Some(tls), data_in_clear: true, ..Quirks::default() });
        server.put("/file", b"a lie");
        let config = FtpConfig { timeout: Duration::from_millis(500), ..trusting(&server) };
        let target = FtpTarget::new(config).unwrap();
        assert!(target.open().unwrap().list(&RelPath::root()).is_err());
        assert!(get(target.open().unwrap().as_mut(), "file").is_err());
        let secret = b"what nobody may read".repeat(100);
        let sent = target.open().unwrap().write(&path("new"), &mut secret.as_slice(), &Put::default());
        assert!(sent.is_err());
        for (name, node) in server.tree() {
            let shown = format!("{node:?}");
            let clear = format!("{:?}", b"nobody");
            assert!(!shown.contains(clear.trim_matches(['[', ']'])), "{name}");
        }
    }
}

#[test]
fn row_86_line_ends_in_what_a_url_says_are_refused_before_anybody_is_called() {
    let server = Server::start(Quirks::default());
    for evil in ["x\r\nDELE y", "x\ny", "x\ry", "x\0y"] {
        let as_user = FtpConfig { user: Some(evil.to_owned()), ..config(&server) };
        let as_password = FtpConfig { password: Some(Secret::new(evil)), ..config(&server) };
        let as_root = FtpConfig { root: format!("/{evil}"), ..config(&server) };
        for config in [as_user, as_password, as_root] {
            let error = FtpTarget::new(config).err().expect("a refusal");
            assert_eq!(error.kind(), Kind::Usage, "{error}");
            assert!(!error.to_string().contains("DELE"), "{error}");
        }
    }
    assert!(server.packets().is_empty());
}

#[test]
fn row_61_what_lies_deeper_than_wanted_does_not_go_because_the_other_side_lost_its_folder() {
    for (gone, is_gone_here) in [("a/b/c", true), ("a/b/c", false), ("a/b", true), ("a/b", false)] {
        for one_way in [false, true] {
            let root = tempfile::tempdir().unwrap();
            let local = LocalTarget::new(root.path(), Links::Inside).unwrap();
            let server = Server::start(Quirks::default());
            let remote = remote(&server);
            fs::create_dir_all(root.path().join("a/b/c")).unwrap();
            for file in ["z", "a/near", "a/b/c/deep"] {
                fs::write(root.path().join(file), "x").unwrap();
            }
            let setup = Setup { now: 4_000_000_000.0, ..Setup::new(Mode::Sync) };
            assert!(tree::run(&local, &remote, &setup).result.is_ok());
            if is_gone_here {
                fs::remove_dir_all(root.path().join(gone)).unwrap();
            } else {
                let mut tree = server.tree();
                tree.retain(|path, _| !path.starts_with(&format!("/{gone}")));
                server.restore(tree);
            }
            let mode = match (one_way, is_gone_here) {
                (false, _) => Mode::Sync,
                (true, true) => Mode::Upload,
                (true, false) => Mode::Download,
            };
            let mut shallow = Setup { max_depth: 2, now: setup.now, ..Setup::new(mode) };
            shallow.policy.delete = one_way;
            let outcome = tree::run(&local, &remote, &shallow);
            let what = format!("{gone} {is_gone_here} {mode:?}: {outcome:?}");
            let is_kept = if is_gone_here {
                server.content("/a/b/c/deep").is_some()
            } else {
                root.path().join("a/b/c/deep").exists()
            };
            assert!(is_kept, "{what}");
            assert!(outcome.result.unwrap_err().to_string().contains("more than 2 folders"));
        }
    }
}
