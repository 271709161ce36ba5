//! A run has its time, and so has a session.

use crate::contract::{get, path};
use crate::ftp_conversations::{config, trusting};
use crate::ftp_server::{Quirks, Server, Tls};
use crate::tree::{self, Setup};
use ftpsync::error::Kind;
use ftpsync::model::{META_FILE_NAME, RelPath};
use ftpsync::plan::Mode;
use ftpsync::target::Target;
use ftpsync::target::ftp::{FtpConfig, FtpTarget};
use ftpsync::target::memory::{MemoryTarget, Node};
use ftpsync::target::pool::Pool;
use std::sync::Arc;
use std::time::{Duration, Instant};

struct Shared(Arc<dyn Target>);

impl tree::TargetBox for Shared {
    fn share(&self) -> Arc<dyn Target> {
        Arc::clone(&self.0)
    }
}

#[test]
fn a_run_that_takes_too_long_ends_although_the_server_is_silent() {
    let server = Server::start(Quirks { is_silent_at: Some("RETR /b"), ..Quirks::default() });
    server.put("/a", b"a");
    server.put("/b", b"b");
    let local = MemoryTarget::new("local");
    let remote = Shared(Arc::new(FtpTarget::new(config(&server)).unwrap()));
    let setup = Setup { time_limit: Some(0.5), ..Setup::new(Mode::Download) };
    let begun = Instant::now();
    let error = tree::run(&local, &remote, &setup).result.unwrap_err();
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    assert_eq!(error.kind(), Kind::Timeout);
    assert!(error.to_string().contains("--max-time"), "{error}");
    assert!(local.tree().contains_key("a"), "what was finished is gone: {:?}", local.tree());
}

#[test]
fn folders_that_were_complete_when_a_run_was_stopped_are_remembered() {
    let server = Server::start(Quirks { is_silent_at: Some("RETR /f30/b"), ..Quirks::default() });
    for folder in 0..60 {
        server.put_folder(&format!("/f{folder:02}"));
        ["a", "b"].iter().for_each(|name| server.put(&format!("/f{folder:02}/{name}"), b"content"));
    }
    let local = MemoryTarget::new("local");
    let remote = Shared(Arc::new(FtpTarget::new(config(&server)).unwrap()));
    let setup = Setup { time_limit: Some(1.0), threads: 1, ..Setup::new(Mode::Sync) };
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
    let session_time = Some(Duration::from_secs(2));
    let config = if tls.is_some() { trusting(&server) } else { config(&server) };
    let target = FtpTarget::new(FtpConfig { session_time, ..config }).unwrap();
    let pool = Pool::new(Arc::new(target), 1);
    let logins = || {
        let mut loan = pool.take().unwrap();
        get(loan.session(), "a").unwrap();
        loan.session().list(&RelPath::root()).unwrap();
        loan.session().remove_file(&path("b")).unwrap_err();
        loan.keep();
        server.script().iter().filter(|line| line.contains("USER")).count()
    };
    assert_eq!((logins(), logins()), (1, 0));
    std::thread::sleep(Duration::from_millis(2050));
    assert_eq!(logins(), 1);
}
