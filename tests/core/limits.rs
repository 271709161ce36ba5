//! A server that lets in fewer than are wanted: it is asked once, and not again.

use crate::contract::put;
use crate::eventually::eventually;
use crate::ftp_conversations::config;
use crate::ftp_server::{Quirks, Server};
use crate::tree::{Setup, Shared, at, run};
use crate::wrapped::{Overrides, Wrapped};
use ftpsync::error::{Error, Kind, Result};
use ftpsync::plan::Mode;
use ftpsync::target::ftp::FtpTarget;
use ftpsync::target::memory::MemoryTarget;
use ftpsync::target::pool::{Loan, Pool};
use ftpsync::target::{Session, Target};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// The ways in which servers turn somebody away.
const REFUSALS: [Option<&str>; 3] = [
    None,
    Some("530 Sorry, the maximum number of clients (2) for this user are already connected"),
    Some("421 There are too many connections from your internet address"),
];

#[test]
fn who_is_turned_away_does_not_come_again_in_that_run() {
    for turns_away_with in REFUSALS {
        let server = Server::start(Quirks { most: 2, turns_away_with, ..Quirks::default() });
        let local = MemoryTarget::new("/local");
        for folder in 0..8 {
            (0..10).for_each(|file| local.put(&format!("{folder}/{file}"), b"content", at(0)));
        }
        let target: Arc<dyn Target> = Arc::new(FtpTarget::new(config(&server)).unwrap());
        let setup = Setup { threads: 5, sessions: 4, locks: true, ..Setup::new(Mode::Upload) };
        let outcome = run(&local, &Shared(Arc::clone(&target)), &setup);
        outcome.result.unwrap();
        assert!(outcome.failures.is_empty(), "{:?}", outcome.failures);
        assert_eq!(server.paths().iter().filter(|path| path.ends_with("/9")).count(), 8);
        assert!((3..=4).contains(&server.arrivals()), "{} for {turns_away_with:?}", server.arrivals());
    }
}

#[test]
fn the_user_is_told_once_how_many_are_let_in() {
    for turns_away_with in REFUSALS {
        let server = Server::start(Quirks { most: 2, turns_away_with, ..Quirks::default() });
        let target: Arc<dyn Target> = Arc::new(FtpTarget::new(config(&server)).unwrap());
        for _ in 0..2 {
            let pool = Pool::new(Arc::clone(&target), 4);
            let (one, two) = (pool.take().unwrap(), pool.take().unwrap());
            assert!(!pool.is_limited());
            pool.prepare(|| true);
            assert!(pool.is_limited());
            [one, two].into_iter().for_each(|loan| loan.keep());
            pool.close(true);
            assert!(server.is_quiet());
        }
        let told: Vec<String> = target.news().into_iter().map(|(_, line)| line).collect();
        let [line] = &told[..] else { panic!("{told:?}") };
        assert!(line.contains("no more than 2 at a time (--connections 2)"), "{line}");
        assert!(line.contains(turns_away_with.unwrap_or("421 too many")), "{line}");
    }
}

#[test]
fn a_session_that_is_asked_for_in_advance_and_refused_is_waited_for_by_nobody() {
    let server = Server::start(Quirks { most: 1, ..Quirks::default() });
    let pool = Pool::new(Arc::new(FtpTarget::new(config(&server)).unwrap()), 4);
    pool.prepare(|| true);
    assert_eq!(server.arrivals(), 0, "nobody has been let in yet: the password may be wrong");
    let mut first = pool.take().unwrap();
    for _ in 0..3 {
        pool.prepare(|| true);
    }
    assert_eq!(server.arrivals(), 2, "refused once");
    std::thread::scope(|scope| {
        let second = scope.spawn(|| {
            let mut loan = pool.take().unwrap();
            put(loan.session(), "second", b"x");
            loan.keep();
        });
        std::thread::sleep(Duration::from_millis(100));
        put(first.session(), "first", b"x");
        assert!(!second.is_finished() && server.content("/second").is_none());
        first.keep();
        second.join().unwrap();
    });
    assert_eq!((server.arrivals(), server.content("/second").is_some()), (2, true));
}

/// Opens one session, and then meets this.
#[derive(Clone)]
struct OpensOne(Kind, Arc<AtomicUsize>);

impl Overrides for OpensOne {
    fn open(&self, below: &dyn Target) -> Result<Box<dyn Session>> {
        if self.1.fetch_add(1, Ordering::SeqCst) > 0 {
            return Err(Error::new(self.0, "one more is not to be had"));
        }
        self.wrap(below.open()?)
    }
}

#[test]
fn whatever_hinders_one_more_session_those_that_there_are_go_on() {
    for kind in [Kind::Disconnected, Kind::Tls, Kind::UnknownHost, Kind::Timeout] {
        let tries = Arc::new(AtomicUsize::new(0));
        let with = OpensOne(kind, Arc::clone(&tries));
        let pool = Pool::new(Arc::new(Wrapped { below: MemoryTarget::new("there"), with }), 2);
        let one = pool.take().unwrap();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| pool.take().map(Loan::keep));
            assert!(eventually(|| tries.load(Ordering::SeqCst) == 2));
            one.keep();
            assert!(waiting.join().unwrap().is_ok(), "{kind:?}");
        });
    }
}
