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

/// Files that may be open at a time for this.
const MOST: usize = 32;

/// Pieces of each that may be under way, from a server that gives little at a time.
const MOST_PIECES: u64 = 16;

/// Files that were begun, and that nobody has read yet.
#[derive(Default)]
pub struct Ahead(HashMap<RelPath, Begun>);

impl Ahead {
    /// Takes out what was begun of a file.
    pub(super) fn take(&mut self, file: &RelPath) -> Option<Begun> {
        self.0.remove(file)
    }

    /// Whether none is left.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn forget(&mut self, talk: &mut Conversation) {
        for (_, begun) in self.0.drain() {
            begun.give_up(talk);
        }
    }
}

impl SftpSession {
    /// See [`Session::announce`](crate::target::Session::announce).
    pub(super) fn begin_all(&mut self, files: &[(&RelPath, u64)]) {
        self.ahead.forget(&mut self.talk);
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
                opening.push((file, size, self.talk.send(&Request::Open { path: &path, how: Open::Read })?));
            }
        }
        let chunk = u64::from(self.talk.read_chunk.max(1));
        for (file, size, asked) in opening {
            match handle(self.talk.answer(asked)?) {
                // One more piece than it has bytes for: where it ends is to be seen.
                Ok(handle) => {
                    let pieces = (size / chunk + 1).min(MOST_PIECES);
                    let begun = Begun::ask(&mut self.talk, handle, 0, pieces)?;
                    self.ahead.0.insert(file.clone(), begun);
                }
                // Tells why when it is its turn.
                Err(error) if matches!(error.kind(), Kind::NotFound | Kind::Denied) => {}
                // There may be too many open files.
                Err(_) => self.server.learned().opens_few = true,
            }
        }
        Ok(())
    }
}
