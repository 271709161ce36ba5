//! Real servers, fetched and started by the fixtures of the Python tests.
//!
//! A machine that cannot fetch or run one says why and passes; with `CI=true` that is a failure.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// A running server over a folder of its own.
pub struct RealServer {
    process: Child,
    pub folder: tempfile::TempDir,
    pub port: u16,
    pub user: String,
    pub password: String,
    facts: serde_json::Value,
}

impl RealServer {
    /// Starts a server of this kind, as `tests/python/servers` calls it.
    pub fn start(kind: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        #[expect(clippy::zombie_processes, reason = "dropping the server ends it")]
        let mut process = Command::new("python3")
            .args(["-m", "servers", kind])
            .arg(folder.path())
            .env("PYTHONPATH", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/python"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let facts: serde_json::Value = serde_json::from_str(&line).unwrap();
        if let Some(reason) = facts["unavailable"].as_str() {
            assert!(std::env::var("CI").is_err(), "{kind} cannot run here: {reason}");
            eprintln!("left out, {kind} cannot run here: {reason}");
            return None;
        }
        let port = u16::try_from(facts["port"].as_u64().unwrap()).unwrap();
        let text = |key: &str| facts[key].as_str().unwrap().to_owned();
        let (user, password) = (text("user"), text("password"));
        Some(RealServer { process, folder, port, user, password, facts })
    }

    /// Where its keys and its log are.
    pub fn secrets(&self) -> PathBuf {
        self.facts["secrets"].as_str().unwrap().into()
    }
}

impl Drop for RealServer {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}
