//! Many small files in a row on their way here: those that will be read next are asked for together.
//!
//! All of them are opened at once, and whatever a small file has is asked for as soon as it is open:
//!
//! ```text
//! OPEN  ->  attributes, the bytes, the attributes once more  ->  (the file is read)  ->  close
//! ```
//!
//! So the two round trips of many files are the same ones. Each is checked as one that is read alone.

use super::conversation::Conversation;
use super::read::Begun;
use super::session::{SftpSession, handle};
use crate::error::{Kind, Result};
use crate::model::RelPath;
use crate::wire::sftp::{Open, Request};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

/// Files that may be open at a time for this.
const MOST: usize = 32;

/// Pieces of each that may be under way, from a server that gives little at a time.
const MOST_PIECES: u64 = 16;

/// So many stay open once a server has refused to open more.
const FEW: usize = 2;

/// Files that were begun, and that nobody has read yet.
pub struct Ahead {
    begun: HashMap<RelPath, Begun>,
    /// How many there are in all sessions with the server, with those that are being opened.
    count: Arc<AtomicUsize>,
}

/// One more of them for as long as this lives.
struct Opening(Arc<AtomicUsize>);

impl Opening {
    fn of(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Relaxed);
        Opening(Arc::clone(count))
    }
}

impl Drop for Opening {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

impl Ahead {
    /// None yet, in a session with a server at which there are so many in all.
    pub(super) fn new(count: &Arc<AtomicUsize>) -> Self {
        Ahead { begun: HashMap::new(), count: Arc::clone(count) }
    }

    /// Takes out what was begun of a file.
    pub(super) fn take(&mut self, file: &RelPath) -> Option<Begun> {
        let begun = self.begun.remove(file)?;
        self.count.fetch_sub(1, Relaxed);
        Some(begun)
    }

    fn add(&mut self, file: &RelPath, begun: Begun) -> Option<Begun> {
        let other = self.begun.insert(file.clone(), begun);
        if other.is_none() {
            self.count.fetch_add(1, Relaxed);
        }
        other
    }

    /// Whether none is left.
    pub(super) fn is_empty(&self) -> bool {
        self.begun.is_empty()
    }

    /// Gives up all but so many.
    fn shrink(&mut self, most: usize, talk: &mut Conversation) {
        let surplus: Vec<RelPath> = self.begun.keys().skip(most).cloned().collect();
        for file in surplus {
            if let Some(begun) = self.take(&file) {
                begun.give_up(talk);
            }
        }
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        self.count.fetch_sub(self.begun.len(), Relaxed);
    }
}

impl SftpSession {
    /// See [`Session::announce`](crate::target::Session::announce).
    pub(super) fn begin_all(&mut self, files: &[(&RelPath, u64)]) {
        self.ahead.shrink(0, &mut self.talk);
        if !self.server.learned().opens_few {
            // What ends the conversation here is met again by the next request.
            drop(self.open_all(files));
        }
        drop(self.talk.flush());
    }

    fn open_all(&mut self, files: &[(&RelPath, u64)]) -> Result<()> {
        let mut opening = Vec::new();
        for &(file, size) in files.iter().take(MOST) {
            // What cannot be written in the encoding of the server is refused when it is its turn.
            if let Ok(path) = self.path(file) {
                let counted = Opening::of(&self.ahead.count);
                let asked = self.talk.send(&Request::Open { path: &path, how: Open::Read })?;
                opening.push((file, size, asked, counted));
            }
        }
        let chunk = u64::from(self.talk.read_chunk.max(1));
        for (file, size, asked, _counted) in opening {
            match handle(self.talk.answer(asked)?) {
                // One more piece than it has bytes for: where it ends is to be seen.
                Ok(handle) => {
                    let pieces = (size / chunk + 1).min(MOST_PIECES);
                    let begun = Begun::ask(&mut self.talk, handle, 0, pieces)?;
                    if let Some(twice) = self.ahead.add(file, begun) {
                        twice.give_up(&mut self.talk);
                    }
                }
                // Tells why when it is its turn.
                Err(error) if matches!(error.kind(), Kind::NotFound | Kind::Denied) => {}
                // There may be too many open files.
                Err(_) => self.server.learned().opens_few = true,
            }
        }
        if self.server.learned().opens_few {
            self.ahead.shrink(FEW, &mut self.talk);
        }
        Ok(())
    }
}
