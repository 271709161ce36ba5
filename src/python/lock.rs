//! Locks as Python and the system see them: who this process is, and which others run.

use crate::engine::LockState;
use crate::model::lock::Holder;
use crate::plan::lock::LockRules;
use crate::target::digest::{Algorithm, Digest};

/// Computer, what only the processes of one started system share, process number and token of a run.
pub type Owner = (String, Option<String>, u32, String);

/// The rules that the settings of a run make.
pub fn rules(owner: &Owner, age: f64, breaks: bool) -> LockRules {
    let (host, system, process, token) = owner.clone();
    let system = system.map(|system| hashed(&system));
    let owner = Holder { host: Some(host), system, process: Some(process), token: Some(token) };
    LockRules { owner, age, breaks }
}

/// Anybody may read the lock file, so it identifies the system without telling about it.
fn hashed(system: &str) -> String {
    let mut digest = Digest::new(Algorithm::Sha256);
    digest.update(format!("pyftpsync {system}").as_bytes());
    digest.finish()[..16].to_owned()
}

/// Whether a process of this computer exists. One of somebody else may not be signalled, but is there.
#[cfg(unix)]
pub fn is_running(process: u32) -> bool {
    use rustix::process::{Pid, test_kill_process};
    let process = i32::try_from(process).ok().and_then(Pid::from_raw);
    process.is_some_and(|process| test_kill_process(process) != Err(rustix::io::Errno::SRCH))
}

/// Whether a process of this computer exists: for all that is known here, it does.
#[cfg(not(unix))]
pub fn is_running(_process: u32) -> bool {
    true
}

/// What the reporter is told: a word, the text of the lock file, seconds.
pub fn told(state: LockState<'_>) -> (&'static str, Option<String>, Option<f64>) {
    match state {
        LockState::Held(lock) => ("held", Some(lock.print()), Some(lock.time)),
        LockState::Unwritable => ("unwritable", None, None),
        LockState::Offset(seconds) => ("offset", None, Some(seconds)),
        LockState::Released => ("released", None, None),
    }
}
