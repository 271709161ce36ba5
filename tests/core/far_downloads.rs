//! Large files from an FTP server that is far away, over several connections, when something is wrong with it.

use crate::ftp_conversations::config;
use crate::ftp_faults::{At, Fault, Gate, Mishap};
use crate::ftp_server::{Quirks, Server};
use crate::tree::{self, Outcome, Setup, Shared};
use crate::ways::proxy;
use ftpsync::model::TEMP_PREFIX;
use ftpsync::plan::Mode;
use ftpsync::target::ftp::{FtpConfig, FtpTarget, Secret};
use ftpsync::target::local::{Links, LocalTarget};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const MIB: usize = 1 << 20;
const SIZE: usize = 40 * MIB;

fn content() -> Vec<u8> {
    tree::varied(SIZE)
}

/// A server that answers late, behind a proxy: so nobody takes it for one next door.
fn far(quirks: Quirks) -> (Server, FtpConfig) {
    let server = Server::start(Quirks { replies_after: Duration::from_millis(5), ..quirks });
    server.put("/big", &content());
    let through = Secret::new(format!("http://127.0.0.1:{}", proxy()));
    let config = FtpConfig { proxy: Some(through), ..config(&server) };
    (server, config)
}

fn get(folder: &Path, config: &FtpConfig) -> Outcome {
    let local = Shared(Arc::new(LocalTarget::new(folder, Links::Inside).unwrap()));
    let remote = Shared(Arc::new(FtpTarget::new(config.clone()).unwrap()));
    let setup = Setup {
        threads: 3,
        instead_of_pauses: Some(Arc::new(|_| Duration::ZERO)),
        ..Setup::new(Mode::Download)
    };
    tree::run(&local, &remote, &setup)
}

/// The same, where the first transfer begins only when another one has been asked for, and so reads half of the file.
fn get_together(folder: &Path, server: &Server, config: &FtpConfig, more: Vec<Fault>) -> Outcome {
    let (first, second) = (Arc::new(Gate::default()), Arc::new(Gate::default()));
    // Before that it was asked for once, to see whether the file is still as it was listed.
    let held = |nth, gate: &Arc<Gate>| Fault {
        at: At::Nth("SIZE /big", nth),
        mishap: Mishap::Hold(Arc::clone(gate)),
    };
    server.faults().plan([held(1, &first), held(2, &second)].into_iter().chain(more));
    std::thread::scope(|scope| {
        let running = scope.spawn(|| get(folder, config));
        assert!(second.is_reached(), "nobody takes part: {:?}", server.script());
        first.open();
        second.open();
        running.join().unwrap()
    })
}

fn leftovers(folder: &Path) -> Vec<u64> {
    let items = std::fs::read_dir(folder).unwrap().flatten();
    let left = items.filter(|item| item.file_name().to_string_lossy().starts_with(TEMP_PREFIX));
    left.map(|item| item.metadata().unwrap().len()).collect()
}

#[test]
fn a_server_that_begins_each_range_at_the_beginning_sends_the_whole_over_one_connection() {
    let (server, config) = far(Quirks { ignores_rest: true, ..Quirks::default() });
    let folder = tempfile::tempdir().unwrap();
    get_together(folder.path(), &server, &config, vec![]).result.unwrap();
    assert!(std::fs::read(folder.path().join("big")).unwrap() == content(), "another content");
    assert_eq!(leftovers(folder.path()), [] as [u64; 0]);
}

/// Where transfers have begun, in bytes.
fn offsets(server: &Server) -> Vec<u64> {
    let script = server.script().join(" | ");
    script.split(" | ").filter_map(|line| line.strip_prefix("REST ")?.parse().ok()).collect()
}

/// All transfers end after so many bytes.
fn cuts(bytes: usize) -> Vec<Fault> {
    (0..40).map(|nth| Fault { at: At::Nth("RETR", nth), mishap: Mishap::EndData(bytes) }).collect()
}

#[test]
fn what_several_connections_have_fetched_up_to_the_first_gap_is_not_fetched_again_by_the_next_run() {
    let (server, config) = far(Quirks::default());
    let folder = tempfile::tempdir().unwrap();
    assert!(get_together(folder.path(), &server, &config, cuts(5 * MIB / 2)).result.is_err());
    let [part] = leftovers(folder.path())[..] else { panic!("there is no part, or more than one") };
    assert!(part > MIB as u64 && part < SIZE as u64, "{part}");
    server.faults().plan([]);
    offsets(&server);
    get(folder.path(), &config).result.unwrap();
    let [looked, first, ..] = offsets(&server)[..] else { panic!("it was not continued") };
    assert_eq!((looked, first), (part - (64 << 10), part));
    assert!(std::fs::read(folder.path().join("big")).unwrap() == content(), "another content");
    assert_eq!(leftovers(folder.path()), [] as [u64; 0]);
}

#[test]
fn a_part_of_another_content_is_not_continued() {
    let (server, config) = far(Quirks::default());
    let folder = tempfile::tempdir().unwrap();
    assert!(get_together(folder.path(), &server, &config, cuts(5 * MIB / 2)).result.is_err());
    assert_eq!(leftovers(folder.path()).len(), 1);
    let other: Vec<u8> = content().iter().map(|byte| byte ^ 0xFF).collect();
    server.put("/big", &other);
    server.faults().plan([]);
    get(folder.path(), &config).result.unwrap();
    assert!(std::fs::read(folder.path().join("big")).unwrap() == other, "another content");
    assert_eq!(leftovers(folder.path()), [] as [u64; 0]);
}

#[test]
fn a_part_from_before_the_system_was_started_does_not_stay() {
    let (server, config) = far(Quirks::default());
    let folder = tempfile::tempdir().unwrap();
    assert!(get_together(folder.path(), &server, &config, cuts(5 * MIB / 2)).result.is_err());
    for item in std::fs::read_dir(folder.path()).unwrap().flatten() {
        filetime::set_file_mtime(item.path(), filetime::FileTime::from_unix_time(1_000_000_000, 0)).unwrap();
    }
    server.faults().plan([]);
    get(folder.path(), &config).result.unwrap();
    assert!(std::fs::read(folder.path().join("big")).unwrap() == content(), "another content");
    assert_eq!(leftovers(folder.path()), [] as [u64; 0]);
}

#[test]
fn a_server_that_sends_one_file_at_a_time_sends_all_of_it_over_one_connection() {
    let (server, config) = far(Quirks::default());
    let folder = tempfile::tempdir().unwrap();
    let refused = |nth| Fault { at: At::Nth("RETR", nth), mishap: Mishap::Answer("450 one at a time") };
    get_together(folder.path(), &server, &config, (1..4).map(refused).collect()).result.unwrap();
    assert!(std::fs::read(folder.path().join("big")).unwrap() == content(), "another content");
    assert_eq!(leftovers(folder.path()), [] as [u64; 0]);
}
