//! A run has its time, and so has a session.

use crate::contract::{get, path};
use crate::ftp_conversations::{config, trusting};
use crate::ftp_faults::{At, Fault, Mishap};
use crate::ftp_server::{Quirks, Server, Tls};
use crate::tree::{self, Setup, Shared};
use ftpsync::error::Kind;
use ftpsync::model::{META_FILE_NAME, RelPath};
use ftpsync::plan::Mode;
use ftpsync::target::ftp::{FtpConfig, FtpTarget};
use ftpsync::target::memory::{MemoryTarget, Node};
use ftpsync::target::pool::Pool;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A server that never answers this command.
fn silent_at(command: &'static str) -> Arc<Server> {
    let server = Server::start(Quirks::default());
    server.faults().plan([Fault { at: At::Nth(command, 0), mishap: Mishap::Withhold }]);
    Arc::new(server)
}

/// A run whose time is over when something is so.
fn until(is_over: impl Fn() -> bool + Send + Sync + 'static, setup: Setup) -> Setup {
    let elapsed = move || if is_over() { 2.0 } else { 0.0 };
    Setup { time_limit: Some(1.0), elapsed: Some(Arc::new(elapsed)), ..setup }
}

#[test]
fn a_run_that_takes_too_long_ends_although_the_server_is_silent() {
    let server = silent_at("RETR /b");
    server.put("/a", b"a");
    server.put("/b", b"b");
    let local = MemoryTarget::new("local");
    let remote = Shared(Arc::new(FtpTarget::new(config(&server)).unwrap()));
    let (here, there) = (local.clone(), Arc::clone(&server));
    let is_over = move || here.tree().contains_key("a") && there.faults().happened() > 0;
    let setup = until(is_over, Setup::new(Mode::Download));
    let begun = Instant::now();
    let error = tree::run(&local, &remote, &setup).result.unwrap_err();
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    assert_eq!(error.kind(), Kind::Timeout);
    assert!(error.to_string().contains("--max-time"), "{error}");
    assert!(local.tree().contains_key("a"), "what was finished is gone: {:?}", local.tree());
}

#[test]
fn folders_that_were_complete_when_a_run_was_stopped_are_remembered() {
    let server = silent_at("RETR /f30/b");
    for folder in 0..60 {
        server.put_folder(&format!("/f{folder:02}"));
        ["a", "b"].iter().for_each(|name| server.put(&format!("/f{folder:02}/{name}"), b"content"));
    }
    let local = MemoryTarget::new("local");
    let remote = Shared(Arc::new(FtpTarget::new(config(&server)).unwrap()));
    let there = Arc::clone(&server);
    let is_over = move || there.faults().happened() > 0;
    let setup = until(is_over, Setup { threads: 1, ..Setup::new(Mode::Sync) });
    tree::run(&local, &remote, &setup).result.unwrap_err();
    let tree = local.tree();
    let (mut come, mut unknown) = (0, Vec::new());
    for file in tree.keys().filter(|file| file.ends_with("/a") || file.ends_with("/b")) {
        let (folder, name) = file.split_once('/').unwrap();
        let memory = match tree.get(&format!("{folder}/{META_FILE_NAME}")) {
            Some(Node::File(text, _)) => String::from_utf8_lossy(text).into_owned(),
            _ => String::new(),
        };
        come += 1;
        if !memory.contains(&format!("\"{name}\"")) {
            unknown.push(file);
        }
    }
    assert!(come > 40, "{come}");
    assert_eq!(unknown, [&""; 0]);
}

#[test]
fn a_session_that_has_had_its_time_is_replaced() {
    std::thread::scope(|scope| {
        let cases = [None, Some(Tls::New)].map(|tls| scope.spawn(move || session_is_replaced(tls)));
        assert!(cases.into_iter().all(|case| case.join().is_ok()));
    });
}

fn session_is_replaced(tls: Option<Tls>) {
    let server = Server::start(Quirks { tls, ..Quirks::default() });
    server.put("/a", b"x");
    // One has an hour; the time of the other one is over at once.
    for (session_time, again) in [(Duration::from_secs(3600), 0), (Duration::ZERO, 1)] {
        let config = if tls.is_some() { trusting(&server) } else { config(&server) };
        let target = FtpTarget::new(FtpConfig { session_time: Some(session_time), ..config }).unwrap();
        let pool = Pool::new(Arc::new(target), 1);
        let logins = || {
            let mut loan = pool.take().unwrap();
            get(loan.session(), "a").unwrap();
            loan.session().list(&RelPath::root()).unwrap();
            loan.session().remove_file(&path("b")).unwrap_err();
            loan.keep();
            server.script().iter().filter(|line| line.contains("USER")).count()
        };
        assert_eq!((logins(), logins()), (1, again), "{tls:?} {session_time:?}");
    }
}
