//! Small files that are read in a row: their source knows the next ones.

use crate::contract::path;
use crate::sftp_server::{Habits, SftpServer};
use crate::tree::{self, Setup, Shared, at};
use crate::wrapped::{Lend, Overrides, Wrapped};
use ftpsync::error::{Error, Kind, Result, Retry};
use ftpsync::model::RelPath;
use ftpsync::plan::Mode;
use ftpsync::target::ftp::Secret;
use ftpsync::target::local::{Links, LocalTarget};
use ftpsync::target::memory::MemoryTarget;
use ftpsync::target::sftp::{HostKeys, SftpConfig, SftpTarget};
use ftpsync::target::{Session, Target};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

fn content(number: usize) -> Vec<u8> {
    (0..number * 1_000).map(|at| (at + number) as u8).collect()
}

fn fill(folder: &Path, count: usize) -> Vec<(RelPath, u64)> {
    let one = |number| {
        let name = format!("f{number:03}");
        std::fs::write(folder.join(&name), content(number)).unwrap();
        (path(&name), content(number).len() as u64)
    };
    (0..count).map(one).collect()
}

fn sftp(server: &SftpServer) -> SftpTarget {
    let mut config = SftpConfig::new("127.0.0.1", "/");
    config.port = server.port;
    config.user = Some("joe".to_owned());
    config.password = Some(Secret::new("right"));
    config.host_keys = HostKeys::Unchecked;
    SftpTarget::new(config).unwrap()
}

fn read(session: &mut dyn Session, file: &RelPath) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    session.read(file, &mut |body| Ok(body.read_to_end(&mut bytes).map(drop)?))?;
    Ok(bytes)
}

fn announce(session: &mut dyn Session, files: &[(RelPath, u64)]) {
    let files: Vec<_> = files.iter().map(|(file, size)| (file, *size)).collect();
    session.announce(&files);
}

#[test]
fn files_that_are_announced_take_two_round_trips_together() {
    let habits = Habits::default();
    let server = SftpServer::start(habits.clone());
    let files = fill(server.folder.path(), 30);
    let mut session = sftp(&server).open().unwrap();
    for is_announced in [false, true] {
        habits.bursts.lock().unwrap().clear();
        if is_announced {
            announce(session.as_mut(), &files);
        }
        for (number, (file, _)) in files.iter().enumerate() {
            assert!(read(session.as_mut(), file).unwrap() == content(number), "{file}");
        }
        // Whatever comes next: the files were closed before.
        session.list(&RelPath::root()).unwrap();
        let bursts = habits.bursts.lock().unwrap().clone();
        let listing = 2 + 30_usize.div_ceil(3);
        if is_announced {
            assert!(bursts.len() <= 3 + listing, "{bursts:?}")
        } else {
            assert!(bursts.len() >= 2 * 30, "{bursts:?}")
        }
    }
}

#[test]
fn an_announcement_is_no_promise() {
    let server = SftpServer::start(Habits { most_open: 33, ..Habits::default() });
    let mut files = fill(server.folder.path(), 32);
    // One that is larger than it was said to be, one that is smaller, one that is not there, a folder, a strange name.
    (files[31].1, files[30].1) = (3, 1 << 20);
    std::fs::remove_file(server.folder.path().join("f007")).unwrap();
    std::fs::remove_file(server.folder.path().join("f008")).unwrap();
    std::fs::create_dir(server.folder.path().join("f008")).unwrap();
    let mut session = sftp(&server).open().unwrap();
    for _ in 0..3 {
        // What nobody reads is closed again.
        announce(session.as_mut(), &files);
    }
    for (number, (file, _)) in files.iter().enumerate() {
        match (number, read(session.as_mut(), file)) {
            (7, Err(error)) => assert_eq!(error.kind(), Kind::NotFound),
            (8, Err(error)) => assert_eq!(error.retry(), Retry::No, "{error}"),
            (_, bytes) => assert!(bytes.unwrap() == content(number), "{file}"),
        }
    }
    announce(session.as_mut(), &files);
    session.close();
}

fn download(server: &SftpServer, count: usize) {
    fill(server.folder.path(), count);
    let here = tempfile::tempdir().unwrap();
    let local = LocalTarget::new(here.path(), Links::Inside).unwrap();
    let outcome = tree::run(&local, &Shared(Arc::new(sftp(server))), &Setup::new(Mode::Download));
    outcome.result.unwrap();
    assert_eq!(outcome.failures, [] as [&str; 0]);
    for number in 0..count {
        assert!(std::fs::read(here.path().join(format!("f{number:03}"))).unwrap() == content(number));
    }
}

#[test]
fn a_server_that_opens_few_files_at_a_time_gives_all_of_them() {
    for most_open in [1, 2, 7] {
        download(&SftpServer::start(Habits { most_open, ..Habits::default() }), 80);
    }
}

#[test]
fn answers_in_disorder_and_in_small_pieces_are_put_together() {
    download(&SftpServer::start(Habits { most: 10_007, is_reversed: true, ..Habits::default() }), 80);
}

#[test]
fn what_an_interrupted_row_has_left_is_fetched_by_another_session() {
    let habits = Habits::default();
    habits.cuts.lock().unwrap().extend([40_000, 500_000, 3_000_000]);
    let server = SftpServer::start(habits.clone());
    download(&server, 120);
    assert_eq!(habits.cuts.lock().unwrap().len(), 0);
}

/// The files of an announcement, and those that were read after it.
type Row = (Vec<String>, Vec<String>);

/// A side that notes what is announced and what is read.
#[derive(Clone)]
struct Noting {
    rows: Arc<Mutex<Vec<Row>>>,
    /// The number of reads after which a session is lost, or a panic comes; once.
    mishap: Arc<Mutex<Option<(usize, bool)>>>,
    /// Which row the session is reading.
    row: Option<usize>,
}

impl Overrides for Noting {
    fn announce(&mut self, _: &mut dyn Session, files: &[(&RelPath, u64)]) {
        let mut rows = self.rows.lock().unwrap();
        self.row = Some(rows.len());
        rows.push((files.iter().map(|(file, _)| file.to_string()).collect(), Vec::new()));
    }
    fn read(&mut self, below: &mut dyn Session, file: &RelPath, lend: &mut Lend<'_>) -> Result<()> {
        let count = {
            let mut rows = self.rows.lock().unwrap();
            if let Some((_, read)) = self.row.and_then(|row| rows.get_mut(row)) {
                read.push(file.to_string());
            }
            rows.iter().map(|(_, read)| read.len()).sum::<usize>()
        };
        let mishap = self.mishap.lock().unwrap().take_if(|(after, _)| count == *after);
        match mishap {
            Some((_, true)) => panic!("a bug"),
            Some((_, false)) => Err(Error::new(Kind::Disconnected, "lost").retrying(Retry::NewSession)),
            None => {
                // Slower than the walk, so that others wait.
                std::thread::sleep(std::time::Duration::from_millis(1));
                below.read(file, lend)
            }
        }
    }
}

/// A folder of 200 files, of which two cannot be read; the run, and its rows.
fn fetch(mishap: Option<(usize, bool)>) -> (MemoryTarget, tree::Outcome, Vec<Row>) {
    let there = MemoryTarget::new("there").networked().reading_ahead();
    for number in 0..200 {
        there.put(&format!("f{number:03}"), &content(number % 9), at(1));
    }
    there.put("large", &vec![7; 1 << 20], at(1));
    there.break_reading("f042");
    there.break_reading("f043");
    let noting = Noting { rows: Arc::default(), mishap: Arc::new(Mutex::new(mishap)), row: None };
    let here = MemoryTarget::new("here");
    let setup = Setup { instead_of_pauses: Some(Arc::new(|_| Duration::ZERO)), ..Setup::new(Mode::Download) };
    let outcome = tree::run(&here, &Wrapped { below: there, with: noting.clone() }, &setup);
    let rows = noting.rows.lock().unwrap().clone();
    (here, outcome, rows)
}

fn arrived(here: &MemoryTarget) -> usize {
    here.tree().keys().filter(|name| name.starts_with('f')).count()
}

#[test]
fn small_files_are_announced_and_read_in_this_order_and_refusals_are_those_of_their_file() {
    let (here, outcome, rows) = fetch(None);
    assert!(outcome.result.is_err());
    assert_eq!(arrived(&here), 198);
    assert_eq!(outcome.failures.len(), 2, "{:?}", outcome.failures);
    let most = rows.iter().map(|(row, _)| row.len()).max().unwrap();
    assert!((8..=32).contains(&most), "{most}");
    let are_small = |row: &[String]| row.iter().all(|file| file != "large");
    assert!(rows.iter().all(|(row, read)| are_small(row) && read.starts_with(row)), "{rows:?}");
}

#[test]
fn a_session_that_is_lost_in_a_row_costs_nothing_but_time() {
    for after in [1, 2, 60] {
        let (here, outcome, _) = fetch(Some((after, false)));
        assert_eq!((arrived(&here), outcome.failures.len()), (198, 2), "{after}: {:?}", outcome.failures);
    }
}

#[test]
fn a_panic_in_a_row_costs_one_file_at_the_most() {
    let (here, outcome, _) = fetch(Some((60, true)));
    assert!(arrived(&here) >= 197 && outcome.failures.len() <= 3, "{:?}", outcome.failures);
}

#[test]
fn a_server_that_limits_open_files_over_all_sessions_gives_all_of_them() {
    for most_shared in [8, 16, 40] {
        let server = SftpServer::start(Habits { most_shared, ..Habits::default() });
        fill(server.folder.path(), 200);
        let here = tempfile::tempdir().unwrap();
        let local = LocalTarget::new(here.path(), Links::Inside).unwrap();
        let setup = Setup { threads: 5, ..Setup::new(Mode::Download) };
        let outcome = tree::run(&local, &Shared(Arc::new(sftp(&server))), &setup);
        assert!(
            outcome.result.is_ok() && outcome.failures.is_empty(),
            "{most_shared}: {:?}",
            outcome.failures
        );
        assert_eq!(outcome.stats.files_written.local, 200);
    }
}

#[test]
fn answers_that_nobody_has_asked_for_end_the_conversation() {
    let server = SftpServer::start(Habits { flood: (4 * 1024 * 1024 - 64, 3), ..Habits::default() });
    fill(server.folder.path(), 2);
    let mut session = sftp(&server).open().unwrap();
    let error = read(session.as_mut(), &path("f001")).unwrap_err();
    assert!(error.to_string().contains("answers what nobody has asked"), "{error}");
    assert_eq!((error.kind(), error.retry()), (Kind::Protocol, Retry::NewSession));
}

/// A side that is gone for good after so many files.
#[derive(Clone)]
struct Dying {
    reads: Arc<AtomicUsize>,
    opens: Arc<AtomicUsize>,
    after: usize,
}

impl Overrides for Dying {
    fn open(&self, below: &dyn Target) -> Result<Box<dyn Session>> {
        if self.reads.load(Ordering::SeqCst) > self.after {
            self.opens.fetch_add(1, Ordering::SeqCst);
            return Err(Error::new(Kind::Connect, "refused").retrying(Retry::NewSession));
        }
        self.wrap(below.open()?)
    }
    fn read(&mut self, below: &mut dyn Session, file: &RelPath, lend: &mut Lend<'_>) -> Result<()> {
        if file.as_str().starts_with('f') && self.reads.fetch_add(1, Ordering::SeqCst) >= self.after {
            return Err(Error::new(Kind::Disconnected, "lost").retrying(Retry::NewSession));
        }
        below.read(file, lend)
    }
}

#[test]
fn an_outage_in_a_row_is_told_as_soon_as_one_without() {
    let more_attempts = [false, true].map(|is_in_row| {
        let tree = MemoryTarget::new("there").networked();
        let tree = if is_in_row { tree.reading_ahead() } else { tree };
        (0..200).for_each(|number| tree.put(&format!("f{number:03}"), &content(number % 9), at(1)));
        let dying = Dying { reads: Arc::default(), opens: Arc::default(), after: 20 };
        // A file is attempted four times, for the first time with the session that is lost, or in the row.
        let told_after = if is_in_row { 4 } else { 3 };
        let opens = Arc::clone(&dying.opens);
        // Once it has been given up, nobody goes on before the run has had the time to end over it.
        let until_told =
            move |_| Duration::from_secs(if opens.load(Ordering::SeqCst) < told_after { 0 } else { 5 });
        let instead_of_pauses = Some(Arc::new(until_told) as Arc<_>);
        let setup = Setup { threads: 1, sessions: 1, instead_of_pauses, ..Setup::new(Mode::Download) };
        let there = Wrapped { below: tree, with: dying.clone() };
        let outcome = tree::run(&MemoryTarget::new("here"), &there, &setup);
        assert!(outcome.result.unwrap_err().is_outage());
        dying.opens.load(Ordering::SeqCst) - told_after
    });
    // Another file may have been begun by then; where it begins a row of its own, that and the file are an attempt each.
    let [one_by_one, in_row] = more_attempts;
    assert!(one_by_one <= 1 && in_row <= 2, "{more_attempts:?}");
}
