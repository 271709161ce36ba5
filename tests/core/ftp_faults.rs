//! Mishaps for the FTP server of the tests: what goes wrong, and at which command.
//!
//! Commands are counted over all conversations, from 0, in the order in which they arrive; or one waits for the n-th of those
//! that begin with a text.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// When it happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    /// At the n-th command of all.
    Command(usize),
    /// At the n-th command that begins with this.
    Nth(&'static str, usize),
}

/// What happens.
#[derive(Debug, Clone)]
pub enum Mishap {
    /// The control connection is reset; the command is not carried out.
    Reset,
    /// The command is carried out, and the connection reset in place of the final reply.
    ResetAfter,
    /// The data connection of this command is reset after so many bytes.
    CutData(usize),
    /// The same, and the server calls the transfer complete.
    CutDataAndLie(usize),
    /// The data connection of this command ends after so many bytes as if that were all, and is called complete.
    EndData(usize),
    /// The data connection of this command is reset before it is encrypted.
    CutHandshake,
    /// The command is carried out, and its final reply never comes.
    Withhold,
    /// `421`, and the end; the command is not carried out.
    Leave,
    /// This is answered; the command is not carried out.
    Answer(&'static str),
    /// The final reply comes, and comes again.
    Twice,
    /// The final reply comes, and the beginning of one that nobody asked for.
    Chatter(&'static str),
    /// The reply has lines without end.
    Flood,
    /// The reply is a line without end.
    EndlessLine,
    /// The reply comes a byte at a time, for ever.
    Drip,
    /// What comes is no reply.
    Nonsense,
    /// After the upload has arrived, the server sends on its data connection, for ever.
    PourOnData,
    /// The same, a byte at a time, of what looks like one piece of TLS.
    DripOnData,
    /// The command is carried out later.
    Delay(Duration),
    /// The command is carried out when the gate opens.
    Hold(Arc<Gate>),
}

/// A mishap with its time.
#[derive(Debug, Clone)]
pub struct Fault {
    pub at: At,
    pub mishap: Mishap,
}

/// The mishaps of a server. Each happens once.
#[derive(Debug, Default)]
pub struct Faults {
    planned: Mutex<Vec<(Fault, usize)>>,
    commands: AtomicUsize,
    happened: AtomicUsize,
}

impl Faults {
    /// Forgets what was planned, counts commands from 0 again, and plans these.
    pub fn plan(&self, faults: impl IntoIterator<Item = Fault>) {
        let mut planned = self.planned.lock().unwrap();
        *planned = faults.into_iter().map(|fault| (fault, 0)).collect();
        self.commands.store(0, Ordering::SeqCst);
        self.happened.store(0, Ordering::SeqCst);
    }

    /// How many commands have arrived since the last plan.
    pub fn commands(&self) -> usize {
        self.commands.load(Ordering::SeqCst)
    }

    /// How many of the planned mishaps have happened.
    pub fn happened(&self) -> usize {
        self.happened.load(Ordering::SeqCst)
    }

    /// Counts a command, and says what goes wrong with it.
    pub fn strike(&self, line: &str) -> Option<Mishap> {
        let mut planned = self.planned.lock().unwrap();
        let number = self.commands.fetch_add(1, Ordering::SeqCst);
        let mut struck = None;
        for (index, (fault, seen)) in planned.iter_mut().enumerate() {
            let is_due = match fault.at {
                At::Command(at) => at == number,
                At::Nth(start, nth) if line.starts_with(start) => {
                    *seen += 1;
                    *seen > nth
                }
                At::Nth(..) => false,
            };
            if is_due && struck.is_none() {
                struck = Some(index);
            }
        }
        let fault = planned.remove(struck?).0;
        self.happened.fetch_add(1, Ordering::SeqCst);
        Some(fault.mishap)
    }
}

/// A gate that somebody comes to, and somebody opens.
#[derive(Debug, Default)]
pub struct Gate {
    /// Whether somebody is there, and whether it is open.
    state: Mutex<(bool, bool)>,
    changed: Condvar,
}

impl Gate {
    /// Waits until it is open.
    pub fn pass(&self) {
        let mut state = self.state.lock().unwrap();
        state.0 = true;
        self.changed.notify_all();
        while !state.1 {
            state = self.changed.wait(state).unwrap();
        }
    }

    /// Waits until somebody stands before it; false after ten seconds.
    pub fn is_reached(&self) -> bool {
        let waits = |state: &mut (bool, bool)| !state.0;
        let limit = Duration::from_secs(10);
        !self.changed.wait_timeout_while(self.state.lock().unwrap(), limit, waits).unwrap().1.timed_out()
    }

    /// Opens it for good.
    pub fn open(&self) {
        self.state.lock().unwrap().1 = true;
        self.changed.notify_all();
    }
}
