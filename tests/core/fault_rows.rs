//! Rows of the fault catalogue that need a server, or a side, that behaves badly in its own way.

use crate::contract::path;
use crate::ftp_conversations::{config, open, trusting};
use crate::ftp_faults::{At, Fault, Mishap};
use crate::ftp_server::{Node as Entry, Quirks, Server, Tls};
use crate::tree::{self, Setup, Shared, at, user_tree};
use crate::wrapped::{Lend, Overrides, Wrapped};
use ftpsync::engine::Keeping;
use ftpsync::error::{Kind, Result};
use ftpsync::model::{RelPath, Side, Sides};
use ftpsync::plan::{CaseMode, Mode, Strategy};
use ftpsync::target::ftp::FtpTarget;
use ftpsync::target::local::{Links, LocalTarget};
use ftpsync::target::memory::{MemoryTarget, Node};
use ftpsync::target::{Put, Session, Target};
use std::sync::Arc;

/// A side with a bug: it panics when it is asked for a certain file.
#[derive(Clone)]
struct Buggy;

impl Overrides for Buggy {
    fn read(&mut self, below: &mut dyn Session, file: &RelPath, lend: &mut Lend<'_>) -> Result<()> {
        assert!(!file.as_str().ends_with("bad"), "a bug of the program, as this test wants it");
        below.read(file, lend)
    }
}

#[test]
fn row_16_a_panic_in_a_thread_is_an_error_of_its_file_and_the_others_are_finished() {
    for threads in [1, 4] {
        let (local, remote) = tree::trees();
        for number in 0..20 {
            local.put(&format!("d{}/file{number}", number % 3), b"x", at(0));
        }
        local.put("d1/bad", b"x", at(0));
        remote.put("d1/bad", b"old", at(-100));
        let setup = Setup { threads, ..Setup::new(Mode::Upload) };
        let outcome = tree::run(&Wrapped { below: local.clone(), with: Buggy }, &remote, &setup);
        assert_eq!(outcome.stats.copy_errors, 1, "{outcome:?}");
        assert!(
            outcome.failures.iter().any(|text| text.contains("d1/bad") && text.contains("internal error")),
            "{outcome:?}"
        );
        let arrived = user_tree(&remote).keys().filter(|path| path.contains("file")).count();
        assert_eq!(arrived, 20, "{outcome:?}");
        let old = tree::run(&local, &remote, &setup);
        assert!(old.result.is_ok());
        assert_eq!(user_tree(&remote), user_tree(&local), "the next run finishes it");
    }
}

#[test]
fn row_82_the_old_file_comes_back_where_a_rename_neither_replaces_nor_succeeds() {
    let (server, mut session) = open(Quirks { keeps_existing: true, ..Quirks::default() });
    server.put("/file", b"old content");
    let at_name = |nth| Fault { at: At::Nth("RNTO /file", nth), mishap: Mishap::Answer("553 not that name") };
    // It does not replace; then the name is free, and the new content does not get it either.
    server.faults().plan([at_name(1)]);
    let error = session.write(&path("file"), &mut &b"new"[..], &Put::default()).unwrap_err();
    assert_eq!(server.faults().happened(), 1, "{error}");
    assert_eq!(server.content("/file").unwrap(), b"old content", "{error}");
    assert_eq!(server.paths(), ["/", "/file"], "nothing else is left");
    session.write(&path("file"), &mut &b"new"[..], &Put::default()).unwrap();
    assert_eq!(server.content("/file").unwrap(), b"new");
}

#[test]
fn row_82_the_old_file_comes_back_also_if_the_server_is_busy_then() {
    let at_name = |nth, mishap| Fault { at: At::Nth("RNTO /file", nth), mishap };
    for busy in [Mishap::Answer("450 busy"), Mishap::Leave, Mishap::Reset] {
        let (server, mut session) = open(Quirks { keeps_existing: true, ..Quirks::default() });
        server.put("/file", b"old content");
        server.faults().plan([at_name(1, Mishap::Answer("553 not that name")), at_name(2, busy.clone())]);
        let error = session.write(&path("file"), &mut &b"new"[..], &Put::default()).unwrap_err();
        assert_eq!(server.faults().happened(), 2, "{busy:?}: {error}");
        assert_eq!(server.content("/file").as_deref(), Some(&b"old content"[..]), "{busy:?}: {error}");
        assert_eq!(server.paths(), ["/", "/file"], "{busy:?}: nothing else is left");
    }
}

#[test]
fn row_82_a_line_that_is_lost_while_two_files_change_places_costs_neither() {
    for mishap in [Mishap::Reset, Mishap::ResetAfter] {
        for command in ["RNFR /file", "RNTO /.pyftpsync-tmp", "RNTO /file"] {
            for nth in 0..2 {
                let server = Server::start(Quirks { keeps_existing: true, ..Quirks::default() });
                let remote = Shared(Arc::new(FtpTarget::new(config(&server)).unwrap()));
                let local = MemoryTarget::new("/local");
                let mut setup = Setup::new(Mode::Sync);
                local.put("file", b"old", at(0));
                assert!(tree::run(&local, &remote, &setup).result.is_ok());
                local.put("file", b"edited", at(500));
                server.faults().plan([Fault { at: At::Nth(command, nth), mishap: mishap.clone() }]);
                // Whoever loses this conflict loses the edit.
                setup.policy.strategy = Some(Strategy::Prefer(Side::Remote));
                let outcomes = [tree::run(&local, &remote, &setup), tree::run(&local, &remote, &setup)];
                let edited = Some(Node::File(b"edited".to_vec(), at(500)));
                assert_eq!(user_tree(&local).remove("file"), edited, "{command} {nth}: {outcomes:?}");
                assert_eq!(server.content("/file").unwrap(), b"edited", "{command} {nth}: {outcomes:?}");
            }
        }
    }
}

#[test]
fn row_82_a_run_that_was_killed_while_two_files_changed_places_costs_neither() {
    let root = tempfile::tempdir().unwrap();
    let local = LocalTarget::new(root.path(), Links::Inside).unwrap();
    let remote = MemoryTarget::new("mem://u@h:1/").networked();
    for file in ["cut-off", "finished"] {
        std::fs::write(root.path().join(file), "old").unwrap();
    }
    let mut setup = Setup::new(Mode::Sync);
    setup.now = 4_000_000_000.0;
    assert!(tree::run(&local, &remote, &setup).result.is_ok());
    std::fs::write(root.path().join("cut-off"), "edited").unwrap();
    for file in ["cut-off", "finished"] {
        remote.take(file);
    }
    // The journal of a process that is dead.
    let head = r#"{"peer":"mem://u@h:1/","host":null,"mode":"sync","tag":"0123456789"}"#;
    let begun = |name: &str| format!(r#"{{"dir":"","begun":"{name}","to":"remote","u":4000000001.0}}"#);
    let begun = ["cut-off", "finished"].map(begun).join("\n");
    let finished =
        r#"{"dir":"","name":"finished","to":"remote","m":1.0,"s":3,"d":null,"e":null,"w":null,"u":1.0}"#;
    let journal = root.path().join(".pyftpsync-tmp-0123456789abcdef.journal");
    std::fs::write(&journal, [head, &begun, finished, ""].join("\n")).unwrap();
    setup.policy.strategy = Some(Strategy::Prefer(Side::Remote));
    let outcome = tree::run(&local, &remote, &setup);
    assert!(outcome.result.is_ok(), "{outcome:?}");
    assert_eq!(std::fs::read(root.path().join("cut-off")).unwrap(), b"edited", "{outcome:?}");
    let there = user_tree(&remote);
    assert!(matches!(&there["cut-off"], Node::File(bytes, _) if bytes == b"edited"), "{outcome:?}");
    // What was finished, and is gone, was removed by somebody.
    assert!(!root.path().join("finished").exists() && !there.contains_key("finished"), "{outcome:?}");
    assert!(!journal.exists());
}

/// A folder after a power cut that spared the journal of a run but not the copy of "file" that it notes as finished.
fn after_a_lost_copy(
    old_here: Option<&str>,
    has_met: bool,
) -> (tempfile::TempDir, MemoryTarget, tree::Outcome) {
    let root = tempfile::tempdir().unwrap();
    let local = LocalTarget::new(root.path(), Links::Inside).unwrap();
    let remote = MemoryTarget::new("mem://u@h:1/").networked();
    let mut setup = Setup::new(Mode::Sync);
    setup.now = 4_000_000_000.0;
    setup.policy.strategy = Some(Strategy::Prefer(Side::Local));
    std::fs::write(root.path().join("other"), "other").unwrap();
    if let Some(old) = old_here.filter(|_| has_met) {
        std::fs::write(root.path().join("file"), old).unwrap();
    }
    if has_met {
        assert!(tree::run(&local, &remote, &setup).result.is_ok());
    } else if let Some(old) = old_here {
        std::fs::write(root.path().join("file"), old).unwrap();
        let long_ago = filetime::FileTime::from_unix_time(1_500_000_000, 0);
        filetime::set_file_mtime(root.path().join("file"), long_ago).unwrap();
    }
    remote.put("file", b"their edit", at(100_000_000));
    let head = r#"{"peer":"mem://u@h:1/","host":null,"mode":"sync","tag":"0123456789"}"#;
    let begun = r#"{"dir":"","begun":"file","to":"local","u":4000000001.0}"#;
    let finished = r#"{"dir":"","name":"file","to":"local","m":1700000000.0,"s":10,"d":null,"e":1700000000.0,"w":null,"u":4000000002.0}"#;
    let journal = root.path().join(".pyftpsync-tmp-0123456789abcdef.journal");
    std::fs::write(&journal, [head, begun, finished, ""].join("\n")).unwrap();
    setup.now = 4_000_000_010.0;
    setup.policy.strategy = Some(Strategy::Skip);
    let outcome = tree::run(&local, &remote, &setup);
    assert!(!journal.exists());
    (root, remote, outcome)
}

#[test]
fn row_09_a_copy_that_a_power_cut_took_although_the_journal_notes_it_is_made_again() {
    for old_here in [Some("what it replaced"), None] {
        let (root, remote, outcome) = after_a_lost_copy(old_here, true);
        assert!(outcome.result.is_ok(), "{outcome:?}");
        assert_eq!(std::fs::read(root.path().join("file")).unwrap(), b"their edit", "{outcome:?}");
        assert!(matches!(&user_tree(&remote)["file"], Node::File(bytes, _) if bytes == b"their edit"));
    }
    // Where the two had never met, they meet for the first time once more: by its time, theirs is the newer one.
    let (root, remote, outcome) = after_a_lost_copy(Some("what it replaced"), false);
    assert_eq!(std::fs::read(root.path().join("file")).unwrap(), b"their edit", "{outcome:?}");
    assert!(
        matches!(&user_tree(&remote)["file"], Node::File(bytes, _) if bytes == b"their edit"),
        "{outcome:?}"
    );
}

#[test]
fn row_09_a_file_that_is_not_as_the_journal_notes_it_is_no_reason_to_overwrite_the_other_side() {
    let head = r#"{"peer":"mem://u@h:1/","host":null,"mode":"sync","tag":"0123456789"}"#;
    let noted = |mtime: u64, size: usize, at: f64| {
        format!(
            r#"{{"dir":"","name":"file","to":"local","m":{mtime}.0,"s":{size},"d":null,"e":{mtime}.0,"w":null,"u":{at}}}"#
        )
    };
    let (second, third) = (noted(1_600_000_000, 7, 4e9 + 1.0), noted(1_700_000_000, 8, 4e9 + 5.0));
    // What lies here: an edit that was given up for theirs, what an earlier run had brought, or an edit made after that.
    let edited = "edited since";
    for (here, time, journals) in [
        ("mine, given up", 1_650_000_000, vec![&third]),
        ("second!", 1_600_000_000, vec![&second, &third]),
        (edited, 4_000_000_007, vec![&third]),
    ] {
        let root = tempfile::tempdir().unwrap();
        let local = LocalTarget::new(root.path(), Links::Inside).unwrap();
        let remote = MemoryTarget::new("mem://u@h:1/").networked();
        let mut setup = Setup::new(Mode::Sync);
        setup.now = 4_000_000_000.0;
        setup.policy.strategy = Some(Strategy::Skip);
        let file = root.path().join("file");
        std::fs::write(&file, "first").unwrap();
        assert!(tree::run(&local, &remote, &setup).result.is_ok());
        std::fs::write(&file, here).unwrap();
        filetime::set_file_mtime(&file, filetime::FileTime::from_unix_time(time, 0)).unwrap();
        remote.put("file", b"third!!!", at(100_000_000));
        for (number, line) in journals.iter().enumerate() {
            let journal = root.path().join(format!(".pyftpsync-tmp-0123456789abcde{number}.journal"));
            std::fs::write(&journal, format!("{head}\n{line}\n")).unwrap();
        }
        setup.now = 4_000_000_010.0;
        let outcome = tree::run(&local, &remote, &setup);
        let there = if here == edited { here } else { "third!!!" };
        assert!(
            matches!(&user_tree(&remote)["file"], Node::File(bytes, _) if bytes == there.as_bytes()),
            "{outcome:?}"
        );
        assert_eq!(std::fs::read(&file).unwrap(), here.as_bytes(), "{outcome:?}");
    }
}

#[test]
fn row_01_what_a_failed_upload_has_left_under_the_name_itself_is_no_edit() {
    let answers = vec![("RNFR", "502 not implemented")];
    let server = Server::start(Quirks { answers, ..Quirks::default() });
    let remote = Shared(Arc::new(FtpTarget::new(config(&server)).unwrap()));
    let root = tempfile::tempdir().unwrap();
    let local = LocalTarget::new(root.path(), Links::Inside).unwrap();
    std::fs::write(root.path().join("file"), "old").unwrap();
    let mut setup = Setup::new(Mode::Sync);
    assert!(tree::run(&local, &remote, &setup).result.is_ok());
    std::fs::write(root.path().join("file"), "edited, and longer").unwrap();
    // What has arrived stays there: nobody can remove it.
    let cut = |nth| Fault { at: At::Nth("STOR /file", nth), mishap: Mishap::CutData(6) };
    let kept = |nth| Fault { at: At::Nth("DELE /file", nth), mishap: Mishap::Answer("550 not allowed") };
    server.faults().plan((0..10).flat_map(|nth| [cut(nth), kept(nth)]));
    let outcome = tree::run(&local, &remote, &setup);
    assert!(outcome.result.is_err(), "{outcome:?}");
    assert_eq!(server.content("/file").unwrap(), b"edited", "{outcome:?}");
    server.faults().plan([]);
    // Whoever loses this conflict loses the edit.
    setup.policy.strategy = Some(Strategy::Prefer(Side::Remote));
    let outcome = tree::run(&local, &remote, &setup);
    assert!(outcome.result.is_ok(), "{outcome:?}");
    assert_eq!(std::fs::read(root.path().join("file")).unwrap(), b"edited, and longer", "{outcome:?}");
    assert_eq!(server.content("/file").unwrap(), b"edited, and longer", "{outcome:?}");
    let left = std::fs::read_dir(root.path()).unwrap();
    let journals =
        left.filter(|found| found.as_ref().unwrap().file_name().to_string_lossy().ends_with(".journal"));
    assert_eq!(journals.count(), 0);
}

#[test]
fn row_100_what_loses_stays_in_the_trash_although_the_answer_to_its_replacement_was_lost() {
    let server = Server::start(Quirks::default());
    let remote = Shared(Arc::new(FtpTarget::new(config(&server)).unwrap()));
    let local = MemoryTarget::new("/local");
    server.put_at("/file", b"loses", "20200101000000");
    local.put("file", b"wins!", at(500_000_000));
    server.faults().plan([Fault { at: At::Nth("RNTO /file", 0), mishap: Mishap::ResetAfter }]);
    let keeping = Keeping { has_trash: true, run: "now".into(), ..Keeping::default() };
    let outcome = tree::run(&local, &remote, &Setup { keeping, ..Setup::new(Mode::Sync) });
    assert!(outcome.result.is_ok() && server.faults().happened() == 1, "{outcome:?}");
    assert_eq!(server.content("/file").unwrap(), b"wins!");
    let kept = local.tree().remove(".pyftpsync-trash/now/file");
    assert!(matches!(&kept, Some(Node::File(bytes, _)) if bytes == b"loses"), "{kept:?}: {outcome:?}");
}

#[test]
fn row_83_where_names_with_a_dot_are_refused_files_go_and_the_lack_of_memory_is_told() {
    let answers = vec![
        ("STOR /.", "553 names with a dot are forbidden"),
        ("RNTO /.", "553 names with a dot are forbidden"),
        ("MFMT", "500 unknown"),
        ("SITE UTIME", "500 unknown"),
    ];
    let server = Server::start(Quirks { answers, ..Quirks::default() });
    let remote = Shared(Arc::new(FtpTarget::new(config(&server)).unwrap()));
    let local = MemoryTarget::new("/local");
    for name in ["a", "b"] {
        local.put(name, b"content", at(0));
    }
    server.put("/c", b"theirs");
    let setup = Setup::new(Mode::Sync);
    let first = tree::run(&local, &remote, &setup);
    assert_eq!(server.paths(), ["/", "/a", "/b", "/c"], "{first:?}");
    assert!(local.tree().contains_key("c"), "{first:?}");
    let told = [&first.failures[..], &first.warnings[..]].concat();
    assert!(told.iter().any(|text| text.contains("553")), "{first:?}");
    // The memory of the disk is enough: nothing goes twice, and an edit goes once.
    let again = tree::run(&local, &remote, &setup);
    assert_eq!(again.stats.files_written, Sides::default(), "{again:?}");
    local.put("a", b"content, edited", at(500));
    let third = tree::run(&local, &remote, &setup);
    assert_eq!(server.content("/a").unwrap(), b"content, edited", "{third:?}");
}

#[test]
fn row_84_a_server_that_rewrites_line_ends_replaces_nothing_on_either_side() {
    let (server, mut session) = open(Quirks { rewrites_line_ends: true, ..Quirks::default() });
    server.put("/down", b"one\ntwo\n");
    server.put("/up", b"old");
    let text = b"one\r\ntwo\r\n";
    let put = Put { size: Some(text.len() as u64), ..Put::default() };
    let error = session.write(&path("up"), &mut &text[..], &put).unwrap_err();
    assert_eq!(error.kind(), Kind::Size, "{error}");
    assert_eq!(server.content("/up").unwrap(), b"old");
    assert_eq!(server.paths(), ["/", "/down", "/up"]);
    // The run names the files, and what has no line ends still goes.
    let local = MemoryTarget::new("/local");
    local.put("down", b"kept", at(-1000));
    local.put("plain", b"no line ends", at(0));
    let remote = Shared(Arc::new(FtpTarget::new(config(&server)).unwrap()));
    let mut setup = Setup::new(Mode::Download);
    setup.policy.force = true;
    let outcome = tree::run(&local, &remote, &setup);
    assert!(outcome.failures.iter().any(|text| text.contains("down")), "{outcome:?}");
    assert!(
        user_tree(&local)
            .get("down")
            .is_some_and(|node| format!("{node:?}").contains(&format!("{:?}", b"kept")))
    );
    assert!(user_tree(&local).contains_key("up"), "{outcome:?}");
}

/// A file that the run has sent, and in whose place the server then has an older one of the same size.
#[test]
fn row_36_an_older_backup_counts_also_where_times_are_only_remembered() {
    for (backup, is_noticed) in [("20230102030417", true), ("20240102010405", false)] {
        let answers = vec![("MFMT", "500 unknown"), ("SITE", "500 unknown")];
        let server = Server::start(Quirks { answers, hides: vec!["MFMT"], ..Quirks::default() });
        let remote = Shared(Arc::new(FtpTarget::new(config(&server)).unwrap()));
        let local = MemoryTarget::new("/local");
        local.put("a", b"today", at(0));
        let setup = Setup { now: 1_704_164_645.0, ..Setup::new(Mode::Sync) };
        assert!(tree::run(&local, &remote, &setup).result.is_ok());
        assert_eq!(tree::run(&local, &remote, &setup).lines, ["equal = a"]);
        server.put_at("/a", b"older", backup);
        let outcome = tree::run(&local, &remote, &setup);
        assert!(outcome.result.is_ok() && outcome.stats.conflict_files == 0, "{outcome:?}");
        // Two hours earlier to the second it is the same file, shown in another zone.
        let expected: &[u8] = if is_noticed { b"older" } else { b"today" };
        assert!(matches!(&user_tree(&local)["a"], Node::File(bytes, _) if bytes == expected), "{outcome:?}");
    }
}

#[test]
fn row_36_an_older_backup_of_the_same_size_counts_as_a_change_of_the_server() {
    let server = Server::start(Quirks::default());
    let remote = Shared(Arc::new(FtpTarget::new(config(&server)).unwrap()));
    let local = MemoryTarget::new("/local");
    server.put_at("/a", b"today", "20240202030405");
    let setup = Setup::new(Mode::Sync);
    assert!(tree::run(&local, &remote, &setup).result.is_ok());
    server.put_at("/a", b"older", "20230102030405");
    let outcome = tree::run(&local, &remote, &setup);
    assert!(outcome.result.is_ok() && outcome.stats.conflict_files == 0, "{outcome:?}");
    assert!(matches!(&user_tree(&local)["a"], Node::File(bytes, _) if bytes == b"older"), "{outcome:?}");
    assert_eq!(server.content("/a").unwrap(), b"older");
}

#[test]
fn row_61_folders_within_folders_without_end_are_given_up_and_the_rest_is_done() {
    let server = Server::start(Quirks::default());
    let mut folder = String::new();
    for _ in 0..300 {
        folder.push_str("/d");
        server.put_folder(&folder);
    }
    for file in ["/f", "/d/d/d/f", &format!("{folder}/f")] {
        server.put(file, b"x");
    }
    let remote = Shared(Arc::new(FtpTarget::new(config(&server)).unwrap()));
    let local = MemoryTarget::new("/local");
    local.put("known", b"x", at(0));
    let mut setup = Setup::new(Mode::Download);
    (setup.policy.delete, setup.policy.force) = (true, true);
    let outcome = tree::run(&local, &remote, &setup);
    let told = format!("{:?} {:?}", outcome.failures, outcome.result);
    assert!(told.contains("more than 256 folders within folders (--max-depth)"), "{told}");
    let arrived: Vec<String> = user_tree(&local).into_keys().filter(|path| path.ends_with('f')).collect();
    assert_eq!(arrived, ["d/d/d/f", "f"], "{told}");
}

#[test]
fn row_61_what_lies_deeper_than_wanted_is_neither_copied_nor_deleted_and_it_is_an_error() {
    for mode in [Mode::Upload, Mode::Download, Mode::Sync] {
        let (local, remote) = (MemoryTarget::new("/local"), MemoryTarget::new("/remote"));
        local.put("a/b/c/only-here", b"x", at(0));
        remote.put("a/b/c/only-there", b"x", at(0));
        let (from, to) = if mode == Mode::Download { (&remote, &local) } else { (&local, &remote) };
        from.put("a/b/copied", b"x", at(0));
        from.put("z", b"x", at(0));
        let mut setup = Setup { max_depth: 2, ..Setup::new(mode) };
        (setup.policy.delete, setup.policy.force) = (mode != Mode::Sync, mode != Mode::Sync);
        let outcome = tree::run(&local, &remote, &setup);
        let error = outcome.result.as_ref().expect_err("a folder that is too deep").to_string();
        assert!(error.contains("\"a/b/c\"") && error.contains("more than 2 folders"), "{mode:?}: {error}");
        let arrived = user_tree(to);
        assert!(arrived.contains_key("a/b/copied") && arrived.contains_key("z"), "{mode:?}: {arrived:?}");
        for (side, kept, missing) in
            [(&local, "only-here", "only-there"), (&remote, "only-there", "only-here")]
        {
            let tree = user_tree(side);
            assert!(tree.contains_key(&format!("a/b/c/{kept}")), "{mode:?}: {tree:?}");
            assert!(!tree.contains_key(&format!("a/b/c/{missing}")), "{mode:?}: {tree:?}");
        }
    }
}

#[test]
fn row_61_what_lies_deeper_than_wanted_stays_although_the_other_side_has_lost_it() {
    for lost in ["a/b/c", "a/b", "a"] {
        for mode in [Mode::Upload, Mode::Download, Mode::Sync] {
            let (local, remote) = tree::trees();
            local.put("a/b/c/deep", b"x", at(0));
            local.put("z", b"x", at(0));
            assert!(tree::run(&local, &remote, &Setup::new(Mode::Sync)).result.is_ok());
            let (from, to) = if mode == Mode::Download { (&remote, &local) } else { (&local, &remote) };
            from.take(lost);
            let mut setup = Setup { max_depth: 2, ..Setup::new(mode) };
            setup.policy.delete = mode != Mode::Sync;
            let outcome = tree::run(&local, &remote, &setup);
            let there = user_tree(to);
            assert!(there.contains_key("a/b/c/deep"), "{lost}, {mode:?}: {there:?} {outcome:?}");
        }
    }
}

#[test]
fn row_90_where_data_is_not_protected_nothing_is_sent() {
    let answers = vec![("PROT", "534 not here")];
    let server = Server::start(Quirks { tls: Some(Tls::New), answers, ..Quirks::default() });
    server.put("/file", b"content");
    let error = FtpTarget::new(trusting(&server)).unwrap().open().err().expect("a refusal");
    assert!(
        error.to_string().contains("refuses to encrypt data connections (PROT P): 534 not here"),
        "{error}"
    );
    assert!(!error.to_string().contains("--tls-implicit"), "{error}");
    let said = server.script().join("\n");
    assert!(!said.contains("PASV") && !said.contains("EPSV") && !said.contains("MLSD"), "{said}");
}

/// Pairs of names that some disks take for one.
const TWINS: [[&str; 2]; 4] = [["A.txt", "a.txt"], ["b", "B"], ["\u{e4}", "a\u{308}"], ["d/X", "d/x"]];

/// Uploads all twins, over several connections.
fn upload_twins(server: &Server, is_forced: bool) -> (MemoryTarget, tree::Outcome) {
    let local = MemoryTarget::new("/local");
    for name in TWINS.concat() {
        local.put(name, format!("content of {name}").as_bytes(), at(500_000_000));
    }
    let remote = Shared(Arc::new(FtpTarget::new(config(server)).unwrap()));
    let mut setup = Setup { threads: 4, ..Setup::new(Mode::Upload) };
    (setup.policy.case, setup.policy.force) = (CaseMode::Strict, is_forced);
    let before = user_tree(&local);
    let outcome = tree::run(&local, &remote, &setup);
    assert_eq!(user_tree(&local), before);
    (local, outcome)
}

#[test]
fn rows_37_and_38_twins_never_replace_one_another_over_several_connections() {
    let no_looks = vec![("SIZE", "502 unknown"), ("MDTM", "502 unknown")];
    for (answers, is_forced) in [(vec![], false), (vec![], true), (no_looks, false)] {
        let server = Server::start(Quirks { folds: true, answers, ..Quirks::default() });
        if is_forced {
            server.put("/a.txt", b"older");
        }
        let (_, outcome) = upload_twins(&server, is_forced);
        assert_eq!(outcome.stats.copy_errors, TWINS.len() as u64, "{outcome:?}");
        for twins in TWINS {
            let held: Vec<&str> =
                twins.into_iter().filter(|name| server.paths().contains(&format!("/{name}"))).collect();
            let [kept] = held[..] else { panic!("{twins:?}: {:?}", server.paths()) };
            let content = String::from_utf8(server.content(&format!("/{kept}")).unwrap()).unwrap();
            assert_eq!(content, format!("content of {kept}"), "{outcome:?}");
            let is_told =
                |name: &&str| outcome.failures.iter().any(|text| text.contains(&format!("{name}:")));
            let told: Vec<&str> = twins.into_iter().filter(is_told).collect();
            assert_eq!(
                told,
                twins.into_iter().filter(|name| *name != kept).collect::<Vec<_>>(),
                "{outcome:?}"
            );
        }
        assert!(!server.paths().iter().any(|path| path.contains("-tmp-")), "{:?}", server.paths());
    }
}

#[test]
fn twins_on_a_server_that_tells_them_apart_both_arrive() {
    let no_looks = vec![("SIZE", "502 unknown"), ("MDTM", "502 unknown")];
    for answers in [vec![], no_looks] {
        let server = Server::start(Quirks { answers, ..Quirks::default() });
        let (_, outcome) = upload_twins(&server, false);
        assert!(outcome.result.is_ok(), "{outcome:?}");
        for name in TWINS.concat() {
            let content = String::from_utf8(server.content(&format!("/{name}")).unwrap()).unwrap();
            assert_eq!(content, format!("content of {name}"));
        }
    }
}

#[test]
fn row_11_two_uploads_at_once_leave_each_file_whole_and_the_next_run_has_the_last_word() {
    for round in 0..3 {
        let server = Server::start(Quirks::default());
        let upload = |letter: u8| {
            let local = MemoryTarget::new("/local");
            for number in 0..20 {
                let size = 1_000 * (1 + number % 7);
                local.put(&format!("d{}/file{number}", number % 3), &vec![letter; size], at(round));
            }
            let remote = Shared(Arc::new(FtpTarget::new(config(&server)).unwrap()));
            let setup = Setup { threads: 3, ..Setup::new(Mode::Upload) };
            (tree::run(&local, &remote, &setup), local)
        };
        // Neither of them has a lock: the worst that can be.
        std::thread::scope(|scope| {
            let both = [scope.spawn(|| upload(b'a')), scope.spawn(|| upload(b'b'))];
            for run in both {
                run.join().expect("no panic");
            }
        });
        for (path, node) in server.tree() {
            let Entry::File { content, .. } = node else { continue };
            let number = path.rsplit("file").next().and_then(|number| number.parse::<usize>().ok());
            let Some(number) = number else { continue };
            let is_whole =
                content.len() == 1_000 * (1 + number % 7) && content.windows(2).all(|w| w[0] == w[1]);
            assert!(is_whole, "{path}: {} bytes", content.len());
        }
        let local = MemoryTarget::new("/local");
        let remote = Shared(Arc::new(FtpTarget::new(config(&server)).unwrap()));
        let mut setup = Setup::new(Mode::Download);
        assert!(tree::run(&local, &remote, &setup).result.is_ok());
        let files = user_tree(&local).into_iter().filter(|(_, node)| *node != Node::Folder).count();
        assert_eq!(files, 20, "each of them is there once");
        setup.policy.force = true;
        assert_eq!(tree::run(&local, &remote, &setup).stats.entries_touched, 0);
    }
}

/// A download, with deletions, of a server into a folder of the disk that has a neighbour.
pub fn download(server: &Server) -> (tempfile::TempDir, tree::Outcome) {
    let above = tempfile::tempdir().unwrap();
    let root = above.path().join("root");
    for folder in [root.clone(), above.path().join("root-x")] {
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("mine"), "mine").unwrap();
    }
    let local = LocalTarget::new(&root, Links::Inside).unwrap();
    let remote = Shared(Arc::new(FtpTarget::new(config(server)).unwrap()));
    let mut setup = Setup::new(Mode::Download);
    setup.policy.delete = true;
    let outcome = tree::run(&local, &remote, &setup);
    (above, outcome)
}

/// Everything below a folder, by path, without our own files.
pub fn below(folder: &std::path::Path) -> Vec<String> {
    let mut found = Vec::new();
    for item in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let name = item.file_name().into_string().unwrap();
        if !name.starts_with(".pyftpsync-") {
            let inner = if item.path().is_dir() { below(&item.path()) } else { Vec::new() };
            found.extend(inner.iter().map(|path| format!("{name}/{path}")));
            found.push(name);
        }
    }
    found.sort();
    found
}

#[test]
fn row_58_names_that_come_twice_or_are_none_delete_nothing_and_the_others_come() {
    let odd: [&'static [u8]; 4] = [
        b"type=pdir;modify=20240102030405; ..",
        b"type=cdir;modify=20240102030405; .",
        b"type=file;size=9;modify=20240102030405; ",
        b"type=file;size=9;modify=20240102030405; twice",
    ];
    for (lines, deletes) in [(&odd[..2], true), (&odd[2..3], false), (&odd[3..], false)] {
        let server = Server::start(Quirks { more_lines: lines.to_vec(), ..Quirks::default() });
        server.put("/fine", b"fine");
        server.put("/twice", b"first");
        let (above, outcome) = download(&server);
        assert!(outcome.result.is_ok(), "{outcome:?}");
        let root = above.path().join("root");
        assert_eq!(std::fs::read(root.join("fine")).unwrap(), b"fine");
        assert_eq!(!root.join("mine").exists(), deletes, "{outcome:?}");
        assert_eq!(outcome.warnings.iter().any(|text| text.contains("incomplete")), !deletes, "{outcome:?}");
        let expected = if deletes { vec!["fine", "twice"] } else { vec!["fine", "mine", "twice"] };
        assert_eq!(below(&root), expected, "{outcome:?}");
        assert_eq!(std::fs::read(root.join("twice")).unwrap(), b"first");
    }
}

#[test]
fn row_59_names_that_lead_elsewhere_are_told_and_nothing_outside_is_touched() {
    let lines: Vec<&'static [u8]> = vec![
        b"type=file;size=5;modify=20240102030405; ../evil",
        b"type=file;size=5;modify=20240102030405; /evil",
        b"type=file;size=5;modify=20240102030405; sub/evil",
        b"type=file;size=5;modify=20240102030405; ../root-x/mine",
        b"type=dir;modify=20240102030405; ../root-x",
        b"type=dir;modify=20240102030405; ..",
    ];
    let server = Server::start(Quirks { more_lines: lines.clone(), ..Quirks::default() });
    server.put("/fine", b"fine");
    for file in ["/../evil", "/sub/evil", "/../root-x/mine"] {
        server.put(file, b"evil!");
    }
    let (above, outcome) = download(&server);
    let expected = ["root", "root-x", "root-x/mine", "root/fine", "root/mine"];
    assert_eq!(below(above.path()), expected, "{outcome:?}");
    assert_eq!(std::fs::read(above.path().join("root-x/mine")).unwrap(), b"mine");
    assert!(outcome.result.is_err(), "{outcome:?}");
    assert_eq!(outcome.failures.len(), 1, "{outcome:?}");
    assert!(outcome.failures[0].contains("and 2 more"), "{outcome:?}");
    for name in ["../evil", "/evil", "sub/evil"] {
        assert!(outcome.failures[0].contains(&format!("{name:?}: the name contains")), "{outcome:?}");
    }
}

#[test]
fn row_66_a_download_that_is_refused_leaves_the_local_file_and_the_others_come() {
    for refusal in ["550 no", "550 Permission denied", "450 busy", "551 what"] {
        let answers = vec![("RETR /refused", refusal)];
        let server = Server::start(Quirks { answers, ..Quirks::default() });
        for file in ["/a", "/refused", "/z"] {
            server.put_at(file, b"theirs", "20250102030405");
        }
        let local = MemoryTarget::new("/local");
        local.put("refused", b"mine", at(0));
        let remote = Shared(Arc::new(FtpTarget::new(config(&server)).unwrap()));
        let mut setup = Setup::new(Mode::Download);
        setup.policy.force = true;
        let outcome = tree::run(&local, &remote, &setup);
        let there = user_tree(&local);
        assert_eq!(there["refused"], Node::File(b"mine".to_vec(), at(0)), "{refusal}: {outcome:?}");
        assert!(there.contains_key("a") && there.contains_key("z"), "{refusal}: {outcome:?}");
        assert!(outcome.failures.iter().any(|text| text.contains("refused")), "{refusal}: {outcome:?}");
        assert_eq!(outcome.stats.copy_errors, 1, "{refusal}: {outcome:?}");
    }
}

#[test]
fn row_92_the_end_of_an_upload_is_announced_under_tls() {
    for tls in [Tls::Old, Tls::New] {
        let server = Server::start(Quirks { tls: Some(tls), wants_goodbye: true, ..Quirks::default() });
        let mut session = FtpTarget::new(trusting(&server)).unwrap().open().unwrap();
        let content = vec![b'x'; 300_000];
        session.write(&path("file"), &mut content.as_slice(), &Put::default()).unwrap();
        assert_eq!(server.content("/file").unwrap(), content, "{tls:?}");
    }
}

#[test]
fn row_12_a_lock_whose_writing_was_interrupted_is_written_again_by_the_same_run() {
    for mishap in [Mishap::CutData(3), Mishap::ResetAfter, Mishap::Reset] {
        let server = Server::start(Quirks::default());
        let local = MemoryTarget::new("/local");
        local.put("a", b"content", at(0));
        let remote = Shared(Arc::new(FtpTarget::new(config(&server)).unwrap()));
        server.faults().plan([Fault { at: At::Nth("STOR /.pyftpsync-lock", 0), mishap: mishap.clone() }]);
        let outcome = tree::run(&local, &remote, &Setup { locks: true, ..Setup::new(Mode::Upload) });
        assert!(outcome.result.is_ok() && server.faults().happened() == 1, "{mishap:?}: {outcome:?}");
        assert_eq!(server.paths(), ["/", "/a"], "{mishap:?}: {outcome:?}");
    }
}

#[test]
fn row_44_damaged_metadata_puts_the_deletions_of_a_one_way_run_off() {
    let (local, remote) = tree::trees();
    local.put("a", b"1", at(0));
    local.put(".pyftpsync-meta.json", b"{", at(0));
    remote.put("gone", b"1", at(0));
    let mut setup = Setup::new(Mode::Upload);
    setup.policy.delete = true;
    for is_there in [true, false] {
        let outcome = tree::run(&local, &remote, &setup);
        assert_eq!(remote.tree().contains_key("gone"), is_there, "{outcome:?}");
    }
}

#[test]
fn row_100_a_file_that_failed_at_the_first_contact_is_met_for_the_first_time_again() {
    let (local, remote) = tree::trees();
    for (name, there) in [("a", at(100)), ("b", at(100))] {
        local.put(name, b"older", at(0));
        remote.put(name, b"newer!", there);
    }
    remote.break_reading("b");
    let setup = Setup::new(Mode::Sync);
    assert!(tree::run(&local, &remote, &setup).result.is_err());
    assert!(matches!(&user_tree(&local)["b"], Node::File(bytes, _) if bytes == b"older"));
    remote.mend();
    let outcome = tree::run(&local, &remote, &setup);
    assert!(outcome.result.is_ok() && outcome.stats.conflict_files == 0, "{outcome:?}");
    assert_eq!(user_tree(&local), user_tree(&remote));
}
