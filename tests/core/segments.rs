//! Large files from far away come over several connections, and arrive whole or not at all.

use crate::tree::{Setup, at, run};
use crate::wrapped::{Lend, Overrides, Wrapped};
use ftpsync::engine::Keeping;
use ftpsync::error::{Error, Kind, Result, Retry};
use ftpsync::model::RelPath;
use ftpsync::plan::Mode;
use ftpsync::target::local::{Links, LocalTarget};
use ftpsync::target::memory::{MemoryTarget, Node};
use ftpsync::target::{Caps, Expect, Session, Target};
use std::io::{self, Read};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

const MIB: usize = 1 << 20;
/// Longer than any test takes.
const NEVER: Duration = Duration::from_secs(20);

/// A place whose round trips take long, and that sends files from any byte on. A reader gets no further than its first
/// MiB until `together` readers have come.
#[derive(Clone)]
struct Far {
    tree: MemoryTarget,
    together: usize,
    seen: Arc<Seen>,
    /// After so many bytes of this reader (the first is 0) its connection is lost.
    breaks: Option<(usize, usize)>,
    /// When it breaks, the file becomes this.
    becomes: Option<Vec<u8>>,
    round_trip: Duration,
    /// When all readers have come, no further file is read in ranges.
    has_enough: bool,
    /// It tells whether a file is as it was listed.
    tells: bool,
}

#[derive(Default)]
struct Seen {
    starts: Mutex<Vec<usize>>,
    came: Condvar,
}

impl Far {
    fn with(content: &[u8], together: usize) -> Self {
        let tree = MemoryTarget::new("far");
        tree.put("large", content, at(0));
        Far {
            tree,
            together,
            seen: Arc::default(),
            breaks: None,
            becomes: None,
            round_trip: Duration::from_millis(20),
            has_enough: false,
            tells: true,
        }
    }

    fn target(&self) -> Wrapped<MemoryTarget, Far> {
        Wrapped { below: self.tree.clone(), with: self.clone() }
    }

    fn starts(&self) -> Vec<usize> {
        self.seen.starts.lock().unwrap().clone()
    }
}

impl Overrides for Far {
    fn caps(&self, below: &dyn Target) -> Caps {
        Caps { is_networked: true, ..below.caps() }
    }
    fn round_trip(&self, _: &dyn Target) -> Option<Duration> {
        Some(self.round_trip)
    }
    fn can_read_from(&self, _: &dyn Session) -> bool {
        true
    }
    fn gains_by_parts(&self, _: &dyn Session) -> bool {
        !self.has_enough || self.starts().len() < self.together
    }
    fn read_from(
        &mut self,
        below: &mut dyn Session,
        file: &RelPath,
        start: u64,
        lend: &mut Lend<'_>,
    ) -> Result<()> {
        let start = usize::try_from(start).unwrap();
        let reader = {
            let mut starts = self.seen.starts.lock().unwrap();
            starts.push(start);
            self.seen.came.notify_all();
            starts.len() - 1
        };
        below.read(file, &mut |body| {
            io::copy(&mut body.take(start as u64), &mut io::sink())?;
            lend(&mut Slow { body, place: self, reader, count: 0 })
        })
    }
    fn still(&mut self, below: &mut dyn Session, names: &[(RelPath, Expect)]) -> Vec<Result<Option<bool>>> {
        if self.tells { below.still(names) } else { names.iter().map(|_| Ok(None)).collect() }
    }
}

/// A reader that waits for others, and may break.
struct Slow<'a> {
    body: &'a mut dyn Read,
    place: &'a Far,
    reader: usize,
    count: usize,
}

impl Read for Slow<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.count >= MIB {
            let starts = self.place.seen.starts.lock().unwrap();
            let alone = |starts: &mut Vec<usize>| starts.len() < self.place.together;
            let waited = self.place.seen.came.wait_timeout_while(starts, NEVER, alone).unwrap();
            assert!(!waited.1.timed_out(), "nobody else takes part");
        }
        if self.place.breaks.is_some_and(|(reader, after)| reader == self.reader && self.count >= after) {
            if let Some(content) = &self.place.becomes {
                self.place.tree.put("large", content, at(10));
            }
            let lost = Error::new(Kind::Disconnected, "the connection is lost").retrying(Retry::NewSession);
            return Err(lost.into_io());
        }
        let count = self.body.read(buffer)?;
        self.count += count;
        Ok(count)
    }
}

fn content(size: usize) -> Vec<u8> {
    (0..size).map(|at| (at / 1021) as u8).collect()
}

struct Here(tempfile::TempDir);

impl Here {
    fn new() -> Self {
        Here(tempfile::tempdir().unwrap())
    }

    /// Downloads with four threads.
    fn get(&self, far: &Far) -> crate::tree::Outcome {
        self.get_keeping(far, Keeping::default())
    }

    fn get_keeping(&self, far: &Far, keeping: Keeping) -> crate::tree::Outcome {
        let local = LocalTarget::new(self.0.path(), Links::Inside).unwrap();
        run(&local, &far.target(), &Setup { threads: 4, keeping, ..Setup::new(Mode::Download) })
    }

    /// Puts a file that is older than that of the server.
    fn put_old(&self) {
        let old = self.0.path().join("large");
        std::fs::write(&old, "old").unwrap();
        filetime::set_file_mtime(&old, filetime::FileTime::from_unix_time(1_000_000_000, 0)).unwrap();
    }

    fn names(&self) -> Vec<String> {
        let names = std::fs::read_dir(self.0.path()).unwrap();
        let mut names: Vec<_> = names.map(|item| item.unwrap().file_name().into_string().unwrap()).collect();
        names.retain(|name| name != ".pyftpsync-meta.json");
        names.sort();
        names
    }

    fn large(&self) -> Vec<u8> {
        std::fs::read(self.0.path().join("large")).unwrap()
    }
}

#[test]
fn a_large_file_comes_over_several_connections_at_the_same_time() {
    let (whole, here) = (content(40 * MIB + 13), Here::new());
    let far = Far::with(&whole, 3);
    let outcome = here.get(&far);
    outcome.result.unwrap();
    assert!(here.large() == whole);
    assert_eq!(outcome.stats.bytes_written.local, whole.len() as u64);
    let mut starts = far.starts();
    // Whoever is first.
    starts.sort_unstable();
    assert!(starts.len() >= 3 && starts[0] == 0 && starts[1] > 0, "{starts:?}");
    assert_eq!(here.names(), ["large"]);
}

#[test]
fn what_a_lost_connection_leaves_is_read_by_others() {
    for reader in 0..3 {
        let (whole, here) = (content(40 * MIB), Here::new());
        let far = Far { breaks: Some((reader, 2 * MIB)), ..Far::with(&whole, 3) };
        here.get(&far).result.unwrap();
        assert!(here.large() == whole, "reader {reader}");
        assert!(far.starts().len() >= 4, "somebody went on where it broke: {:?}", far.starts());
        let at_the_beginning = far.starts().into_iter().filter(|&start| start == 0).count();
        assert_eq!(at_the_beginning, 1, "nothing is read twice: {:?}", far.starts());
    }
}

#[test]
fn a_file_has_not_changed_because_others_do_not_come_in_ranges_any_more() {
    let (whole, here) = (content(40 * MIB), Here::new());
    let far = Far { has_enough: true, ..Far::with(&whole, 3) };
    here.get(&far).result.unwrap();
    assert!(here.large() == whole && far.starts().len() >= 3, "{:?}", far.starts());
}

/// What is replaced goes into this folder.
fn backup() -> Keeping {
    let backup = RelPath::parse("backup").ok();
    Keeping { backup, run: "now".into(), ..Keeping::default() }
}

#[test]
fn what_a_large_file_replaces_is_kept_although_it_comes_over_several_connections() {
    let (whole, here) = (content(40 * MIB), Here::new());
    here.put_old();
    let far = Far::with(&whole, 3);
    here.get_keeping(&far, backup()).result.unwrap();
    assert!(far.starts().len() >= 3, "{:?}", far.starts());
    assert!(here.large() == whole);
    assert_eq!(std::fs::read(here.0.path().join("backup/now/large")).unwrap(), b"old");
    assert_eq!(here.names(), ["backup", "large"]);
}

#[test]
fn what_has_to_be_kept_on_the_side_that_a_large_file_comes_from_is_there_first() {
    let (whole, here) = (content(40 * MIB), Here::new());
    here.put_old();
    let far = Far::with(&whole, 1);
    let disk = LocalTarget::new(here.0.path(), Links::Inside).unwrap();
    let keeping = Keeping { has_trash: true, run: "now".into(), ..Keeping::default() };
    run(&far.target(), &disk, &Setup { threads: 4, keeping, ..Setup::new(Mode::Sync) }).result.unwrap();
    assert!(here.large() == whole);
    let kept = far.tree.tree().remove(".pyftpsync-trash/now/large");
    assert!(matches!(&kept, Some(Node::File(bytes, _)) if bytes == b"old"), "{:?}", far.starts());
}

#[test]
fn nothing_is_kept_of_what_is_not_replaced_after_all() {
    let (whole, here) = (content(40 * MIB), Here::new());
    here.put_old();
    let far = Far { breaks: Some((1, 2 * MIB)), becomes: Some(vec![b'x'; 40 * MIB]), ..Far::with(&whole, 3) };
    assert_eq!(here.get_keeping(&far, backup()).result.unwrap_err().kind(), Kind::Changed);
    assert_eq!(here.large(), b"old");
    assert_eq!(here.names(), ["large"]);
}

#[test]
fn ranges_of_different_contents_never_become_one_file() {
    let (whole, here) = (content(40 * MIB), Here::new());
    here.put_old();
    let far = Far { breaks: Some((1, 2 * MIB)), becomes: Some(vec![b'x'; 40 * MIB]), ..Far::with(&whole, 3) };
    let outcome = here.get(&far);
    assert_eq!(outcome.result.unwrap_err().kind(), Kind::Changed);
    assert_eq!(here.large(), b"old");
    assert_eq!(here.names(), ["large"]);
}

#[test]
fn a_file_that_is_not_so_large_or_not_so_far_or_may_change_unseen_comes_over_one() {
    let near = Far { round_trip: Duration::from_micros(100), ..Far::with(&content(40 * MIB), 1) };
    let small = Far::with(&content(15 * MIB), 1);
    let mute = Far { tells: false, ..Far::with(&content(40 * MIB), 1) };
    for far in [near, small, mute] {
        let here = Here::new();
        here.get(&far).result.unwrap();
        assert!(far.starts().is_empty());
        let Node::File(whole, _) = &far.tree.tree()["large"] else { panic!("no file") };
        assert!(here.large() == *whole);
    }
}
