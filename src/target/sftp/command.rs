//! A program whose input and output are the connection (`ProxyCommand`), as the user's configuration of ssh names it.

use crate::error::{Error, Result};
use crate::target::ftp::PASSWORD_VARIABLE;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as Pair;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use tokio::net::UnixStream;

/// The running program. It ends with this.
pub struct Running(Child);

impl Running {
    /// Has a shell start the program; returns the connection as well. What the program complains about is shown as it is.
    ///
    /// # Errors
    /// What the system says.
    pub fn start(command: &str) -> Result<(Self, UnixStream)> {
        let (ours, theirs) = Pair::pair()?;
        let output: OwnedFd = theirs.try_clone()?.into();
        let child = Command::new("/bin/sh")
            .args(["-c", &format!("exec {command}")])
            .env_remove(PASSWORD_VARIABLE)
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::from(output))
            // Ctrl+C is for the run, which still has to say goodbye.
            .process_group(0)
            .spawn()?;
        ours.set_nonblocking(true)?;
        Ok((Running(child), UnixStream::from_std(ours)?))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Ok(group) = i32::try_from(self.0.id())
            && let Some(group) = rustix::process::Pid::from_raw(group)
        {
            // It may have ended by itself.
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
        let _ = self.0.wait();
    }
}

/// The error for a connection that came to nothing. The command itself may hold a password, so only its first word is told.
pub fn explained(error: Error, command: &str) -> Error {
    let program = command.split_whitespace().next().unwrap_or_default();
    error.advise(format!(
        "it goes through the ProxyCommand {program:?} of the ssh configuration: try whether that makes a connection"
    ))
}
