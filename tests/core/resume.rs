//! Large files go on where an interrupted transfer has ended, and only behind what is surely a part of them.

use crate::ftp_conversations::config;
use crate::ftp_faults::{At, Fault, Gate, Mishap};
use crate::ftp_server::{Quirks, Server};
use crate::tree::{self, Setup, Shared};
use ftpsync::error::Kind;
use ftpsync::model::{RelPath, Stamp, TEMP_PREFIX};
use ftpsync::plan::Mode;
use ftpsync::target::ftp::{Engine, FtpConfig, FtpTarget};
use ftpsync::target::local::{Links, LocalTarget};
use ftpsync::target::{Put, RESUMED, Target};
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const MIB: usize = 1024 * 1024;
const CUT: usize = 5 * MIB;
const SIZE: usize = RESUMED as usize + MIB;
/// 2024-01-02 03:04:05, the time of every file of the server.
const THEN: i64 = 1_704_164_645;

fn content() -> Vec<u8> {
    tree::varied(SIZE)
}

fn put_local(folder: &Path, content: &[u8], at: i64) {
    let path = folder.join("big");
    std::fs::write(&path, content).unwrap();
    filetime::set_file_mtime(&path, filetime::FileTime::from_unix_time(at, 0)).unwrap();
}

/// The session and everything that it has learned are new, as in a new process.
fn sync_by(engine: Engine, folder: &Path, server: &Server, mode: Mode) -> tree::Outcome {
    let local = Shared(Arc::new(LocalTarget::new(folder, Links::Inside).unwrap()));
    let remote = Shared(Arc::new(FtpTarget::new(FtpConfig { engine, ..config(server) }).unwrap()));
    tree::run(&local, &remote, &Setup::new(mode))
}

fn sync(folder: &Path, server: &Server, mode: Mode) -> tree::Outcome {
    sync_by(Engine::Own, folder, server, mode)
}

/// The data connections of the first `count` transfers by a command are cut, those after the first one soon.
fn cut(server: &Server, command: &'static str, count: usize) {
    let after = |number| Mishap::CutData(if number == 0 { CUT } else { MIB / 4 });
    let faults = (0..count).map(|number| Fault { at: At::Nth(command, number), mishap: after(number) });
    server.faults().plan(faults);
}

const UPLOAD: &str = "STOR /.pyftpsync-tmp-";

/// A file, and a server with a part of it: its upload was cut, and the run has failed to go on with it.
fn with_part() -> (Server, tempfile::TempDir) {
    let server = Server::start(Quirks::default());
    let folder = tempfile::tempdir().unwrap();
    put_local(folder.path(), &content(), THEN);
    let cut = Fault { at: At::Nth(UPLOAD, 0), mishap: Mishap::CutData(CUT) };
    let refused = |number| Fault { at: At::Nth("REST", number), mishap: Mishap::Reset };
    server.faults().plan(std::iter::once(cut).chain((0..3).map(refused)));
    assert!(sync(folder.path(), &server, Mode::Upload).result.is_err());
    assert_eq!(server.content("/big"), None);
    (server, folder)
}

/// Most often nothing is there to go on with: the data connection is asked for together with it, and the command goes ahead of the
/// connection.
#[test]
fn asking_for_what_an_attempt_before_has_left_costs_a_large_file_no_round_trip() {
    let (server, folder) = (Server::start(Quirks::default()), tempfile::tempdir().unwrap());
    for (size, at) in [(SIZE, THEN), (SIZE + 1, THEN + 100)] {
        put_local(folder.path(), &tree::varied(size), at);
        server.packets();
        let outcome = sync(folder.path(), &server, Mode::Upload);
        assert!(outcome.result.is_ok() && outcome.failures.is_empty(), "{outcome:?}");
        let script = server.script();
        let begun: Vec<_> = script.windows(2).filter(|pair| pair[1].contains(UPLOAD)).collect();
        let [[asked, stored]] = begun[..] else { panic!("{script:#?}") };
        assert!(asked.starts_with("SIZE /.pyftpsync-tmp-") && asked.ends_with(" | EPSV"), "{script:#?}");
        assert!(stored.starts_with("RNFR") && !stored.contains("EPSV"), "{script:#?}");
        assert_eq!(server.content("/big").unwrap(), tree::varied(size));
    }
}

fn offsets(server: &Server) -> Vec<usize> {
    let script = server.script().join(" | ");
    script.split(" | ").filter_map(|line| line.strip_prefix("REST ")?.parse().ok()).collect()
}

fn leftovers(folder: &Path) -> usize {
    let names = std::fs::read_dir(folder).unwrap().flatten().map(|item| item.file_name());
    names.filter(|name| name.to_string_lossy().starts_with(TEMP_PREFIX)).count()
}

#[test]
fn an_upload_goes_on_where_it_was_cut() {
    for engine in [Engine::Own, Engine::Suppaftp] {
        if engine == Engine::Suppaftp && !cfg!(feature = "suppaftp") {
            continue;
        }
        let server = Server::start(Quirks { greets_briefly: true, ..Quirks::default() });
        let folder = tempfile::tempdir().unwrap();
        put_local(folder.path(), &content(), THEN);
        cut(&server, UPLOAD, 1);
        sync_by(engine, folder.path(), &server, Mode::Upload).result.unwrap();
        assert_eq!(server.faults().happened(), 1);
        assert!(server.content("/big") == Some(content()), "{engine:?}: another content");
        assert_eq!(offsets(&server), [CUT]);
        assert!(server.stored() < SIZE + MIB / 16, "{} bytes were sent", server.stored());
        assert!(!server.paths().iter().any(|path| path.contains(TEMP_PREFIX)), "{:?}", server.paths());
    }
}

#[test]
fn a_part_that_the_server_holds_for_a_lost_session_is_not_waited_for() {
    let server = Server::start(Quirks::default());
    let folder = tempfile::tempdir().unwrap();
    put_local(folder.path(), &content(), THEN);
    // vsftpd locks what a session writes, also if nobody writes there any more.
    let gate = Arc::new(Gate::default());
    server.faults().plan([
        Fault { at: At::Nth(UPLOAD, 0), mishap: Mishap::CutData(CUT) },
        Fault { at: At::Nth(UPLOAD, 1), mishap: Mishap::Hold(Arc::clone(&gate)) },
    ]);
    let local = Shared(Arc::new(LocalTarget::new(folder.path(), Links::Inside).unwrap()));
    let config = FtpConfig { timeout: Duration::from_millis(800), ..config(&server) };
    let remote = Shared(Arc::new(FtpTarget::new(config).unwrap()));
    tree::run(&local, &remote, &Setup::new(Mode::Upload)).result.unwrap();
    assert_eq!((server.faults().happened(), offsets(&server)), (2, vec![CUT]));
    assert!(server.content("/big") == Some(content()));
    assert!(!server.paths().iter().any(|path| path.contains(TEMP_PREFIX)), "{:?}", server.paths());
    gate.open();
}

#[test]
fn a_part_whose_name_is_refused_for_what_a_lost_session_has_left_gets_another_one() {
    let server = Server::start(Quirks::default());
    let folder = tempfile::tempdir().unwrap();
    put_local(folder.path(), &content(), THEN);
    // ProFTPD with HiddenStores.
    let refusal = Mishap::Answer("550 /x: Temporary hidden file /.in.x. already exists");
    server.faults().plan([Fault { at: At::Nth(UPLOAD, 0), mishap: refusal }]);
    let outcome = sync(folder.path(), &server, Mode::Upload);
    outcome.result.unwrap();
    assert!(!outcome.lines.iter().any(|line| line.contains("temporary names")), "{:?}", outcome.lines);
    assert_eq!(server.faults().happened(), 1);
    assert!(server.content("/big") == Some(content()));
    let said = server.script().join(" | ");
    assert!(!said.contains("STOR /big"), "{said}");
}

#[test]
fn an_upload_goes_on_in_another_run() {
    let (server, folder) = with_part();
    offsets(&server);
    sync(folder.path(), &server, Mode::Upload).result.unwrap();
    assert_eq!(offsets(&server), [CUT]);
    assert!(server.content("/big") == Some(content()));
    assert!(server.stored() < SIZE + MIB / 16, "{} bytes were sent", server.stored());
}

#[test]
fn another_source_begins_anew() {
    let (server, folder) = with_part();
    let other: Vec<u8> = content().iter().map(|byte| byte ^ 0xFF).collect();
    put_local(folder.path(), &other, THEN + 10);
    offsets(&server);
    sync(folder.path(), &server, Mode::Upload).result.unwrap();
    assert_eq!(offsets(&server), [] as [usize; 0]);
    assert!(server.content("/big") == Some(other));
}

/// Other bytes, as many.
fn other_content() -> Vec<u8> {
    content().iter().map(|byte| byte ^ 0xFF).collect()
}

#[test]
#[cfg(unix)]
fn a_source_of_which_only_the_content_is_another_begins_anew() {
    let (server, folder) = with_part();
    assert!(server.paths().iter().any(|path| path.contains(TEMP_PREFIX)), "there is a part");
    put_local(folder.path(), &other_content(), THEN);
    offsets(&server);
    sync(folder.path(), &server, Mode::Upload).result.unwrap();
    assert_eq!(offsets(&server), [] as [usize; 0]);
    assert!(server.content("/big") == Some(other_content()));
}

#[test]
#[cfg(unix)]
fn a_source_that_becomes_another_between_two_attempts_begins_anew() {
    let server = Server::start(Quirks::default());
    let folder = tempfile::tempdir().unwrap();
    put_local(folder.path(), &content(), THEN);
    let gate = Arc::new(Gate::default());
    // The first attempt looks for a part as well.
    let look = At::Nth("SIZE /.pyftpsync-tmp-", 1);
    server.faults().plan([
        Fault { at: At::Nth(UPLOAD, 0), mishap: Mishap::CutData(CUT) },
        Fault { at: look, mishap: Mishap::Hold(Arc::clone(&gate)) },
    ]);
    std::thread::scope(|scope| {
        let running = scope.spawn(|| sync(folder.path(), &server, Mode::Upload));
        let is_reached = gate.is_reached();
        put_local(folder.path(), &other_content(), THEN);
        gate.open();
        assert!(is_reached, "nobody looked for the part");
        running.join().unwrap().result.unwrap();
    });
    assert_eq!(offsets(&server), [] as [usize; 0]);
    assert!(server.content("/big") == Some(other_content()), "two contents became one file");
}

#[test]
fn a_source_on_a_server_of_which_only_the_content_is_another_begins_anew() {
    let server = Server::start(Quirks::default());
    server.put("/big", &content());
    let folder = tempfile::tempdir().unwrap();
    cut(&server, "RETR /big", 4);
    assert!(sync(folder.path(), &server, Mode::Download).result.is_err());
    assert_eq!(leftovers(folder.path()), 1);
    server.put("/big", &other_content());
    offsets(&server);
    sync(folder.path(), &server, Mode::Download).result.unwrap();
    assert_eq!(offsets(&server).len(), 1, "the end of the part is compared, and the rest of it thrown away");
    assert!(std::fs::read(folder.path().join("big")).unwrap() == other_content());
    assert_eq!(leftovers(folder.path()), 0);
}

#[test]
fn a_server_that_cannot_go_on_gets_all_of_it_again() {
    let answers = vec![("REST", "502 not here")];
    let server = Server::start(Quirks { answers, ..Quirks::default() });
    let folder = tempfile::tempdir().unwrap();
    put_local(folder.path(), &content(), THEN);
    cut(&server, UPLOAD, 1);
    sync(folder.path(), &server, Mode::Upload).result.unwrap();
    assert!(server.content("/big") == Some(content()));
    assert_eq!(offsets(&server).len(), 1, "it is asked once");
    assert!(!server.paths().iter().any(|path| path.contains(TEMP_PREFIX)), "{:?}", server.paths());
}

/// Two contents: one of which each part is another, and one of which only the last byte is.
fn contents() -> [Vec<u8>; 2] {
    let mut dull = vec![0; SIZE];
    dull[SIZE - 1] = 1;
    [content(), dull]
}

#[test]
fn a_server_that_agrees_to_begin_in_the_middle_and_does_not_gets_all_of_it_again() {
    for content in contents() {
        let server = Server::start(Quirks { ignores_rest: true, ..Quirks::default() });
        let folder = tempfile::tempdir().unwrap();
        put_local(folder.path(), &content, THEN);
        cut(&server, UPLOAD, 1);
        sync(folder.path(), &server, Mode::Upload).result.unwrap();
        assert!(server.content("/big").unwrap() == content);
        assert_eq!(offsets(&server), [CUT], "it is believed once");
        assert!(!server.paths().iter().any(|path| path.contains(TEMP_PREFIX)), "{:?}", server.paths());
    }
}

#[test]
fn a_server_that_begins_downloads_at_the_beginning_all_the_same_sends_all_of_it_again() {
    for content in contents() {
        let server = Server::start(Quirks { ignores_rest: true, ..Quirks::default() });
        server.put("/big", &content);
        let folder = tempfile::tempdir().unwrap();
        cut(&server, "RETR /big", 1);
        sync(folder.path(), &server, Mode::Download).result.unwrap();
        assert!(std::fs::read(folder.path().join("big")).unwrap() == content);
        assert_eq!(offsets(&server).len(), 1, "it is believed once");
        assert_eq!(leftovers(folder.path()), 0);
    }
}

#[test]
fn a_refusal_to_begin_in_the_middle_of_a_download_fetches_all_of_it_again() {
    for refusal in ["502 not here", "451 not now"] {
        let server = Server::start(Quirks { answers: vec![("REST", refusal)], ..Quirks::default() });
        server.put("/big", &content());
        let folder = tempfile::tempdir().unwrap();
        cut(&server, "RETR /big", 1);
        sync(folder.path(), &server, Mode::Download).result.unwrap();
        assert!(std::fs::read(folder.path().join("big")).unwrap() == content(), "{refusal}");
        assert_eq!(offsets(&server).len(), 1, "{refusal}: it is asked once");
    }
}

#[test]
fn nothing_is_said_between_rest_and_its_transfer() {
    for (answers, passive) in [(vec![], "EPSV"), (vec![("EPSV", "500 no")], "PASV")] {
        let server = Server::start(Quirks { answers, ..Quirks::default() });
        for (mode, command) in [(Mode::Upload, UPLOAD), (Mode::Download, "RETR /big")] {
            let folder = tempfile::tempdir().unwrap();
            match mode {
                Mode::Upload => put_local(folder.path(), &content(), THEN),
                _ => server.put("/big", &content()),
            }
            cut(&server, command, 1);
            server.packets();
            sync(folder.path(), &server, mode).result.unwrap();
            let said = server.script().join(" | ");
            let around: Vec<&str> = said.split(" | ").collect();
            let rest = around.iter().position(|line| line.starts_with("REST ")).unwrap();
            assert_eq!(around[rest - 1], passive, "{said}");
            assert!(around[rest + 1].starts_with(command.split('-').next().unwrap()), "{said}");
        }
    }
}

#[test]
fn a_download_goes_on_where_it_was_cut() {
    let server = Server::start(Quirks::default());
    server.put("/big", &content());
    let folder = tempfile::tempdir().unwrap();
    cut(&server, "RETR /big", 1);
    sync(folder.path(), &server, Mode::Download).result.unwrap();
    assert_eq!(server.faults().happened(), 1);
    assert!(std::fs::read(folder.path().join("big")).unwrap() == content());
    let [offset] = offsets(&server)[..] else { panic!("it was not continued once") };
    assert!(offset > 0 && offset <= CUT, "{offset}");
    assert_eq!(leftovers(folder.path()), 0);
}

#[test]
fn a_download_goes_on_in_another_run_unless_the_part_is_older_than_the_system() {
    for is_old in [false, true] {
        let server = Server::start(Quirks::default());
        server.put("/big", &content());
        let folder = tempfile::tempdir().unwrap();
        cut(&server, "RETR /big", 4);
        assert!(sync(folder.path(), &server, Mode::Download).result.is_err());
        assert_eq!(leftovers(folder.path()), 1);
        let part = std::fs::read_dir(folder.path()).unwrap().flatten().map(|item| item.path());
        let part = part.into_iter().find(|path| path.to_string_lossy().contains(TEMP_PREFIX)).unwrap();
        if is_old {
            filetime::set_file_mtime(&part, filetime::FileTime::from_unix_time(1_000_000_000, 0)).unwrap();
        }
        offsets(&server);
        sync(folder.path(), &server, Mode::Download).result.unwrap();
        assert_eq!(offsets(&server).len(), usize::from(!is_old));
        assert!(std::fs::read(folder.path().join("big")).unwrap() == content());
        assert_eq!(leftovers(folder.path()), 0);
    }
}

#[test]
fn a_source_that_has_changed_on_the_server_is_not_continued() {
    let server = Server::start(Quirks::default());
    server.put("/big", &content());
    let folder = tempfile::tempdir().unwrap();
    cut(&server, "RETR /big", 4);
    assert!(sync(folder.path(), &server, Mode::Download).result.is_err());
    let other: Vec<u8> = content().iter().map(|byte| byte ^ 0xFF).collect();
    server.put("/big", &other);
    server.set_clock(10);
    offsets(&server);
    sync(folder.path(), &server, Mode::Download).result.unwrap();
    assert_eq!(offsets(&server), [] as [usize; 0]);
    assert!(std::fs::read(folder.path().join("big")).unwrap() == other);
}

#[test]
fn two_runs_do_not_write_the_same_part() {
    struct Meddled<'a>(&'a mut dyn FnMut(), &'a [u8]);
    impl Read for Meddled<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            if self.1.len() > CUT && self.1.len() - buffer.len() <= CUT {
                (self.0)();
            }
            self.1.read(buffer)
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let target = LocalTarget::new(folder.path(), Links::Inside).unwrap();
    let file = RelPath::parse("big").unwrap();
    let put = Put { size: Some(SIZE as u64), mtime: Some(Stamp::new(THEN, 0)), ..Put::default() };
    let content = content();
    let mut times = 0;
    let mut write_as_well = || {
        times += 1;
        let mut session = target.open().unwrap();
        session.write(&file, &mut content.as_slice(), &put).unwrap();
        assert!(std::fs::read(folder.path().join("big")).unwrap() == content);
    };
    let mut body = Meddled(&mut write_as_well, &content);
    target.open().unwrap().write(&file, &mut body, &put).unwrap();
    assert_eq!(times, 1);
    assert!(std::fs::read(folder.path().join("big")).unwrap() == content);
    assert_eq!(leftovers(folder.path()), 0);
}

/// Refusals that are about something else than where a transfer begins.
const FOR_NOW: [&str; 4] = ["425 no connection", "426 closed", "450 busy", "451 local error"];

#[test]
fn a_refusal_for_another_reason_takes_nothing_from_what_has_arrived() {
    for refusal in FOR_NOW {
        let server = Server::start(Quirks::default());
        server.put("/big", &content());
        let folder = tempfile::tempdir().unwrap();
        server.faults().plan([
            Fault { at: At::Nth("RETR /big", 0), mishap: Mishap::CutData(CUT) },
            Fault { at: At::Nth("RETR /big", 1), mishap: Mishap::Answer(refusal) },
        ]);
        sync(folder.path(), &server, Mode::Download).result.unwrap();
        assert!(std::fs::read(folder.path().join("big")).unwrap() == content(), "{refusal}");
        let [first, second] = offsets(&server)[..] else { panic!("{refusal}: it was not continued") };
        assert!(first > 0 && first == second, "{refusal}: {first} {second}");
        assert_eq!(leftovers(folder.path()), 0);
    }
    for refusal in FOR_NOW {
        let server = Server::start(Quirks::default());
        let folder = tempfile::tempdir().unwrap();
        put_local(folder.path(), &content(), THEN);
        server.faults().plan([
            Fault { at: At::Nth(UPLOAD, 0), mishap: Mishap::CutData(CUT) },
            Fault { at: At::Nth(UPLOAD, 1), mishap: Mishap::Answer(refusal) },
        ]);
        sync(folder.path(), &server, Mode::Upload).result.unwrap();
        assert!(server.content("/big") == Some(content()), "{refusal}");
        assert_eq!(offsets(&server), [CUT, CUT], "{refusal}");
        assert!(!server.paths().iter().any(|path| path.contains(TEMP_PREFIX)), "{:?}", server.paths());
    }
}

#[test]
fn a_server_without_room_for_the_rest_is_not_sent_all_of_it() {
    let server = Server::start(Quirks::default());
    let folder = tempfile::tempdir().unwrap();
    put_local(folder.path(), &content(), THEN);
    server.faults().plan([
        Fault { at: At::Nth(UPLOAD, 0), mishap: Mishap::CutData(CUT) },
        Fault { at: At::Nth(UPLOAD, 1), mishap: Mishap::Answer("452 disk full") },
    ]);
    let error = sync(folder.path(), &server, Mode::Upload).result.unwrap_err();
    assert_eq!(error.kind(), Kind::Full, "{error}");
    sync(folder.path(), &server, Mode::Upload).result.unwrap();
    assert_eq!(offsets(&server), [CUT, CUT], "once there is room, it goes on");
    assert!(server.content("/big") == Some(content()));
}

#[test]
fn what_cannot_be_continued_does_not_stay_on_the_server() {
    // As ProFTPD says it, and others.
    for refusal in ["451 big: Append/Restart not permitted, try again", "550 not here", "450 busy"] {
        let server = Server::start(Quirks::default());
        let folder = tempfile::tempdir().unwrap();
        put_local(folder.path(), &content(), THEN);
        let refused = |nth| Fault { at: At::Nth(UPLOAD, nth), mishap: Mishap::Answer(refusal) };
        let count = if refusal.starts_with("450") { 2 } else { 1 };
        let cut = Fault { at: At::Nth(UPLOAD, 0), mishap: Mishap::CutData(CUT) };
        server.faults().plan(std::iter::once(cut).chain((1..=count).map(refused)));
        sync(folder.path(), &server, Mode::Upload).result.unwrap();
        assert!(server.content("/big") == Some(content()), "{refusal}");
        assert_eq!(offsets(&server).len(), count, "{refusal}");
        assert!(!server.paths().iter().any(|path| path.contains(TEMP_PREFIX)), "{:?}", server.paths());
    }
}

#[test]
fn parts_of_an_earlier_run_go_where_no_file_can_be_continued() {
    let (server, folder) = with_part();
    assert!(server.paths().iter().any(|path| path.contains(TEMP_PREFIX)), "there is a part");
    // With --verify everything is sent anew.
    let local = Shared(Arc::new(LocalTarget::new(folder.path(), Links::Inside).unwrap()));
    let remote = Shared(Arc::new(FtpTarget::new(FtpConfig { verify: true, ..config(&server) }).unwrap()));
    tree::run(&local, &remote, &Setup::new(Mode::Upload)).result.unwrap();
    assert!(server.content("/big") == Some(content()));
    assert!(!server.paths().iter().any(|path| path.contains(TEMP_PREFIX)), "{:?}", server.paths());
}

#[test]
fn the_part_of_a_file_that_has_arrived_in_another_way_does_not_stay() {
    for has_arrived in [false, true] {
        let (server, folder) = with_part();
        if has_arrived {
            server.put("/big", &content());
        }
        offsets(&server);
        let local = Shared(Arc::new(LocalTarget::new(folder.path(), Links::Inside).unwrap()));
        let remote = Shared(Arc::new(FtpTarget::new(config(&server)).unwrap()));
        let days_later = Setup { now: THEN as f64 + 1e6, ..Setup::new(Mode::Upload) };
        tree::run(&local, &remote, &days_later).result.unwrap();
        assert!(!server.paths().iter().any(|path| path.contains(TEMP_PREFIX)), "{:?}", server.paths());
        assert_eq!(offsets(&server).len(), usize::from(!has_arrived), "else it is continued, however old");
    }
}
