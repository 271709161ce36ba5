//! Many small files in a row: nobody waits for an answer as long as there is a next file.
//!
//! The body of a small file is read into memory, and its opening put under way. Whenever answers have come in, each file
//! goes a step further:
//!
//! ```text
//! OPEN and a look at the old file  ->  the bytes, flush, close, time, a look at both  ->  the rename, a look at it  ->  done
//! ```
//!
//! So nothing is renamed whose size was not seen, and the round trips of many files are the same ones.

use super::conversation::Asked;
use super::errors::success;
use super::session::SftpSession;
use super::write::{Finishing, Opening, Renaming, Upload, check_length};
use crate::error::{Error, Result};
use crate::locked::locked;
use crate::model::RelPath;
use crate::target::fill::fill;
use crate::target::{Put, Settled, Written};
use crate::wire::sftp::Request;
use std::collections::VecDeque;
use std::io::Read;
use std::sync::{Arc, Mutex};

/// Larger files are written one by one.
const SMALL: usize = 256 * 1024;
/// Files that may be on their way, each of them with an open file on the server.
const MOST: usize = 32;
/// Bytes that may wait in memory.
const MOST_BYTES: usize = 4 * 1024 * 1024;

/// Files on their way.
pub struct Behind {
    waiting: VecDeque<Waiting>,
    settled: Vec<Settled>,
    left: Left,
}

/// Temporary files whose session has ended before it could remove them: the next one does.
#[derive(Debug, Clone, Default)]
pub struct Left(Arc<Mutex<Vec<Vec<u8>>>>);

impl Left {
    /// Remembers one.
    pub(super) fn add(&self, path: &[u8]) {
        locked(&self.0).push(path.to_vec());
    }

    fn take(&self) -> Vec<Vec<u8>> {
        std::mem::take(&mut *locked(&self.0))
    }
}

struct Waiting {
    upload: Upload,
    stage: Stage,
}

/// How far a file has come.
enum Stage {
    /// It is being opened.
    Opening(Opening, Vec<u8>),
    /// Its bytes are on their way.
    Sent { pieces: Vec<Asked>, size: u64, finishing: Finishing },
    /// It is getting its final name.
    Renaming(Renaming, Written),
}

impl Stage {
    /// The request whose answer comes last.
    fn last(&self) -> Asked {
        match self {
            Stage::Opening(opening, _) => opening.open,
            Stage::Sent { finishing, .. } => finishing.old,
            Stage::Renaming(renaming, _) => renaming.look,
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Stage::Opening(_, content) => content.len(),
            Stage::Sent { .. } | Stage::Renaming(..) => 0,
        }
    }
}

/// Where a step has led.
enum Step {
    To(Stage),
    Done(Written),
}

impl Drop for Behind {
    fn drop(&mut self) {
        self.waiting.iter().for_each(|waiting| self.left.add(&waiting.upload.place));
    }
}

impl Behind {
    /// None yet; what is not finished by the end is added to `left`.
    pub(super) fn new(left: &Left) -> Self {
        Behind { waiting: VecDeque::new(), settled: Vec::new(), left: left.clone() }
    }

    /// The files whose end nobody was told yet.
    pub fn unsettled(&self) -> Vec<RelPath> {
        let waiting = self.waiting.iter().map(|waiting| &waiting.upload.file);
        waiting.chain(self.settled.iter().map(|(file, _)| file)).cloned().collect()
    }
}

impl SftpSession {
    /// See [`Session::write_behind`](crate::target::Session::write_behind).
    pub(super) fn upload_behind(
        &mut self,
        file: &RelPath,
        body: &mut dyn Read,
        put: &Put,
    ) -> Result<Option<Written>> {
        // Without a rename that replaces, each file needs a look at what the last step has done.
        let is_small = put.size.is_none_or(|size| size <= SMALL as u64);
        if put.inplace || !self.talk.extensions().replaces || !is_small || self.server.config.verify {
            return self.upload(file, body, put).map(Some);
        }
        let mut content = vec![0; put.size.map_or(SMALL, |size| size as usize) + 1];
        let count = fill(body, &mut content).map_err(Error::from)?;
        if count > SMALL {
            let mut whole = content.chain(body);
            return self.upload(file, &mut whole, put).map(Some);
        }
        content.truncate(count);
        let context = |error: Error| error.during("write").at(file);
        check_length(count as u64, put.size).map_err(context)?;
        let upload = self.prepare(file, put).map_err(context)?;
        let opening = self.begin(&upload).map_err(context)?;
        self.behind.waiting.push_back(Waiting { upload, stage: Stage::Opening(opening, content) });
        self.go_on()?;
        while self.is_full() {
            self.wait_for_first()?;
        }
        Ok(None)
    }

    /// See [`Session::settled`](crate::target::Session::settled).
    pub(super) fn settle(&mut self, all: bool) -> Result<Vec<Settled>> {
        if !self.behind.waiting.is_empty() {
            self.go_on()?;
        }
        while all && !self.behind.waiting.is_empty() {
            self.wait_for_first()?;
        }
        Ok(std::mem::take(&mut self.behind.settled))
    }

    /// Removes what sessions that are gone have left.
    pub(super) fn clear_left(&mut self) -> Result<()> {
        let left = self.server.left.take();
        let asked = self.talk.ask_all(left.iter().map(|path| Request::Remove { path }));
        if asked.is_err() {
            // This session was on the lost connection, too, and did not know it yet.
            left.iter().for_each(|path| self.server.left.add(path));
        }
        asked.map(drop)
    }

    fn is_full(&self) -> bool {
        let waiting = &self.behind.waiting;
        waiting.len() >= MOST
            || waiting.iter().map(|waiting| waiting.stage.bytes()).sum::<usize>() > MOST_BYTES
    }

    /// Takes in what has arrived, and lets every file go as far as it can.
    fn go_on(&mut self) -> Result<()> {
        self.talk.look()?;
        self.step_all()?;
        self.talk.flush()
    }

    /// Waits until the first file can go on.
    fn wait_for_first(&mut self) -> Result<()> {
        if let Some(first) = self.behind.waiting.front() {
            let last = first.stage.last();
            self.talk.await_answer(last)?;
        }
        self.go_on()
    }

    fn step_all(&mut self) -> Result<()> {
        for _ in 0..self.behind.waiting.len() {
            let Some(waiting) = self.behind.waiting.pop_front() else { break };
            if !self.talk.has_answer(waiting.stage.last()) {
                self.behind.waiting.push_back(waiting);
                continue;
            }
            let Waiting { upload, stage } = waiting;
            match self.step(&upload, stage) {
                Ok(Step::To(stage)) => self.behind.waiting.push_back(Waiting { upload, stage }),
                Ok(Step::Done(written)) => self.behind.settled.push((upload.file, Ok(written))),
                Err(error) => {
                    let error = self.or_no_room(error, &upload);
                    self.discard(&upload);
                    let error = error.during("write").at(&upload.file);
                    self.behind.settled.push((upload.file, Err(error)));
                    // After the end of the conversation, nobody knows about the others.
                    self.talk.check()?;
                }
            }
        }
        Ok(())
    }

    fn step(&mut self, upload: &Upload, stage: Stage) -> Result<Step> {
        match stage {
            Stage::Opening(opening, content) => {
                let opened = self.opened(upload, &opening)?;
                let mut pieces = Vec::new();
                let mut offset = 0;
                for piece in content.chunks(self.talk.write_chunk.max(1) as usize) {
                    pieces.push(self.send_piece(&opened, offset, piece)?);
                    offset += piece.len() as u64;
                }
                let finishing = self.finish(upload, &opened)?;
                Ok(Step::To(Stage::Sent { pieces, size: offset, finishing }))
            }
            Stage::Sent { pieces, size, finishing } => {
                let mut refused = Ok(());
                for asked in pieces {
                    refused = refused.and(success(self.talk.answer(asked)?));
                }
                let finished = self.finished(upload, size, &finishing);
                refused?;
                let written = finished?;
                let (from, to) = (&upload.place, &upload.target);
                let request = if upload.put.must_be_new() {
                    Request::Rename { from, to }
                } else {
                    Request::Replace { from, to }
                };
                let renaming = self.begin_rename(&request, to)?;
                Ok(Step::To(Stage::Renaming(renaming, written)))
            }
            Stage::Renaming(renaming, written) => {
                let size = Some(written.size);
                let renamed = self.renamed(&renaming, (&upload.place, &upload.target), size);
                if renamed.is_err() && upload.put.must_be_new() {
                    // Tells why, or finds another way.
                    self.put_in_place(&upload.place, &upload.target, &upload.file, size, true)?;
                } else {
                    renamed?;
                }
                Ok(Step::Done(written))
            }
        }
    }
}
