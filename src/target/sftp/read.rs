//! Reading a file with many requests under way, whose answers are put in order.

use super::conversation::{Asked, Conversation, pieces_ahead};
use super::errors::{nonsense, refusal};
use super::session::{SftpSession, attributes, handle, stamp};
use crate::error::{Error, Kind, Result, Retry};
use crate::model::RelPath;
use crate::target::digest::Digest;
use crate::target::pace::Pace;
use crate::wire::sftp::{Attributes, FileType, Open, Reply, Request};
use std::collections::VecDeque;
use std::io::{self, Read};
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

impl SftpSession {
    /// See [`Session::read`](crate::target::Session::read). The reader begins at byte `start`.
    pub(super) fn download(
        &mut self,
        file: &RelPath,
        start: u64,
        lend: &mut dyn FnMut(&mut dyn Read) -> Result<()>,
    ) -> Result<()> {
        let context = |error: Error| error.during("read").at(file);
        let begun = if start == 0 { self.ahead.take(file) } else { None };
        let begun = match begun {
            Some(begun) => begun,
            None => self.path(file).and_then(|path| self.open_file(&path, start)).map_err(context)?,
        };
        let mut body = Download::go_on(self, begun, file.to_string()).map_err(context)?;
        let outcome = lend(&mut body);
        body.close();
        if self.ahead.is_empty() {
            // Nothing else may follow for long.
            drop(self.talk.flush());
        }
        outcome
    }

    /// Opens a file. Its attributes and first pieces are asked for together: a small file takes two round trips.
    fn open_file(&mut self, path: &[u8], start: u64) -> Result<Begun> {
        let is_crowded = || self.server.ahead.load(Relaxed) > 0 || self.server.learned().opens_few;
        let was_crowded = is_crowded();
        let opened = handle(self.talk.ask(&Request::Open { path, how: Open::Read })?);
        let handle = opened.map_err(|error| match error.kind() {
            // There may be too many open files, which is the doing of all sessions, and will not last.
            Kind::Refused if was_crowded || is_crowded() => {
                self.server.learned().opens_few = true;
                error.retrying(Retry::Later)
            }
            _ => error,
        })?;
        Begun::ask(&mut self.talk, handle, start, 2)
    }

    /// Reads a file back and compares it with what has passed.
    ///
    /// # Errors
    /// [`Kind::Corrupt`] if they differ, and whatever prevents reading.
    pub(super) fn compare(&mut self, path: &[u8], passed: Digest) -> Result<()> {
        let name = String::from_utf8_lossy(path).into_owned();
        let begun = self.open_file(path, 0)?;
        let mut body = Download::go_on(self, begun, name)?;
        let held = Digest::of(passed.algorithm(), &mut body);
        body.close();
        drop(self.talk.flush());
        if held? == passed.finish() {
            return Ok(());
        }
        Err(Error::new(Kind::Corrupt, "what was read back is not what was written"))
    }
}

/// A part of the file that was asked for.
struct Piece {
    asked: Asked,
    offset: u64,
    length: u32,
}

impl Piece {
    fn ask(talk: &mut Conversation, handle: &[u8], offset: u64) -> Result<Piece> {
        let length = talk.read_chunk;
        let asked = talk.send(&Request::Read { handle, offset, length })?;
        Ok(Piece { asked, offset, length })
    }

    fn end(&self) -> u64 {
        self.offset + u64::from(self.length)
    }
}

/// A file that is open on the server, its attributes and first pieces being on their way.
pub(super) struct Begun {
    handle: Vec<u8>,
    start: u64,
    before: Asked,
    pieces: VecDeque<Piece>,
    /// The attributes once more. If the file does not come in one piece, that was asked too early.
    early: Asked,
}

impl Begun {
    /// Asks for the attributes of an open file, and for so many pieces of it.
    ///
    /// # Errors
    /// What ends the conversation.
    pub(super) fn ask(talk: &mut Conversation, handle: Vec<u8>, start: u64, pieces: u64) -> Result<Begun> {
        let before = talk.send(&Request::HandleStat { handle: &handle })?;
        let chunk = u64::from(talk.read_chunk);
        let pieces = (0..pieces)
            .map(|piece| Piece::ask(talk, &handle, start + piece * chunk))
            .collect::<Result<_>>()?;
        let early = talk.send(&Request::HandleStat { handle: &handle })?;
        Ok(Begun { handle, start, before, pieces, early })
    }

    /// Closes the file without having read it.
    pub(super) fn give_up(self, talk: &mut Conversation) {
        talk.forget(self.before);
        close(talk, &self.handle, self.pieces, Some(self.early));
    }
}

/// Closes a file. Answers that are still on the way are dropped when they come.
fn close(
    talk: &mut Conversation,
    handle: &[u8],
    pieces: impl IntoIterator<Item = Piece>,
    after: Option<Asked>,
) {
    let unwanted = pieces.into_iter().map(|piece| piece.asked).chain(after);
    unwanted.for_each(|asked| talk.forget(asked));
    // A conversation that has ended has closed it already.
    if let Ok(closed) = talk.send(&Request::Close { handle }) {
        talk.forget(closed);
    }
}

/// The body of a file on its way here.
struct Download<'a> {
    session: &'a mut SftpSession,
    name: String,
    handle: Vec<u8>,
    before: Attributes,
    /// What the file is like after the last byte, if that was asked together with its only piece.
    after: Option<Asked>,
    pieces: VecDeque<Piece>,
    /// Where the next piece begins.
    next: u64,
    /// Bytes that have arrived, in order, and those before the first one.
    count: u64,
    waiting: Vec<u8>,
    at: usize,
    has_ended: bool,
    /// The server has confirmed that this is all.
    is_complete: bool,
    pace: Pace,
}

impl<'a> Download<'a> {
    /// Waits for the attributes of a file that was begun.
    fn go_on(session: &'a mut SftpSession, begun: Begun, name: String) -> Result<Self> {
        let Begun { handle, start, before, pieces, early } = begun;
        let next = pieces.back().map_or(start, Piece::end);
        let first_end = pieces.front().map_or(start, Piece::end);
        let answer = session.talk.answer(before)?;
        let pace = Pace::new(session.server.config.timeout);
        let mut download = Download {
            session,
            name,
            handle,
            before: Attributes::default(),
            after: Some(early),
            pieces,
            next,
            count: start,
            waiting: Vec::new(),
            at: 0,
            has_ended: false,
            is_complete: false,
            pace,
        };
        download.before = attributes(answer).inspect_err(|_| download.close())?;
        match download.before.file_type() {
            FileType::File | FileType::Unknown | FileType::Link => {}
            FileType::Folder | FileType::Special => {
                download.close();
                return Err(Error::new(Kind::Refused, "not a regular file"));
            }
        }
        if download.before.size.is_none_or(|size| size > first_end) {
            download.drop_early();
        }
        Ok(download)
    }

    /// Has the attributes asked for anew after the last byte. What was asked before it is no proof: a server may answer that
    /// before it reads.
    fn drop_early(&mut self) {
        if let Some(early) = self.after.take() {
            self.session.talk.forget(early);
        }
    }

    fn ask_piece(&mut self) -> Result<()> {
        let piece = Piece::ask(&mut self.session.talk, &self.handle, self.next)?;
        self.next += u64::from(piece.length);
        self.pieces.push_back(piece);
        Ok(())
    }

    /// Keeps requests under way, up to one that begins at the end of the file or behind it.
    fn ask_ahead(&mut self) -> Result<()> {
        let most = if self.before.size.is_some() { pieces_ahead(self.session.talk.read_chunk) } else { 4 };
        let end = self.before.size.unwrap_or(u64::MAX);
        while !self.has_ended && self.pieces.len() < most && self.next <= end {
            self.ask_piece()?;
        }
        Ok(())
    }

    /// Takes the next piece.
    fn advance(&mut self) -> Result<()> {
        self.ask_ahead()?;
        let Some(piece) = self.pieces.pop_front() else {
            self.has_ended = true;
            return Ok(());
        };
        let begun = Instant::now();
        let data = match self.session.talk.answer(piece.asked)? {
            Reply::Data(data) => data,
            Reply::Status(status) if status.is_end() => Vec::new(),
            Reply::Status(status) => return Err(refusal(&status)),
            _ => return Err(nonsense()),
        };
        self.pace.took(begun.elapsed(), data.len()).map_err(|_| self.pace.error("this file"))?;
        let length = u32::try_from(data.len()).unwrap_or(u32::MAX);
        if length > piece.length {
            return Err(nonsense());
        }
        self.count += u64::from(length);
        if length == 0 || (length < piece.length && self.before.size == Some(self.count)) {
            self.has_ended = true;
        } else if length < piece.length {
            // A server may give less than it was asked for; the rest comes before everything else.
            self.drop_early();
            let (offset, length) = (piece.offset + u64::from(length), piece.length - length);
            let asked = self.session.talk.send(&Request::Read { handle: &self.handle, offset, length })?;
            self.pieces.push_front(Piece { asked, offset, length });
        }
        self.waiting = data;
        self.at = 0;
        Ok(())
    }

    /// Makes sure that the whole file has arrived, and that nobody has worked on it meanwhile.
    fn confirm(&mut self) -> Result<()> {
        let asked = match self.after.take() {
            Some(asked) => asked,
            None => self.session.talk.send(&Request::HandleStat { handle: &self.handle })?,
        };
        let after = attributes(self.session.talk.answer(asked)?)?;
        if after.size != self.before.size || stamp(&after) != stamp(&self.before) {
            return Err(Error::new(Kind::Changed, "the file changed while it was being read"));
        }
        match after.size {
            Some(size) if self.count < size => Err(Error::new(
                Kind::Size,
                format!("the server sent {} of {size} bytes and called it complete", self.count),
            )
            .retrying(Retry::NewSession)),
            Some(_) | None => Ok(()),
        }
    }

    fn close(&mut self) {
        let pieces = std::mem::take(&mut self.pieces);
        close(&mut self.session.talk, &self.handle, pieces, self.after.take());
    }

    fn fill(&mut self) -> Result<()> {
        while self.at == self.waiting.len() && !self.has_ended {
            self.advance()?;
        }
        if self.at == self.waiting.len() && !self.is_complete {
            self.confirm()?;
            self.is_complete = true;
        }
        Ok(())
    }
}

impl Read for Download<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            if self.at == self.waiting.len() {
                // With something in hand, only what is here already is added.
                let is_here =
                    self.pieces.front().is_some_and(|piece| self.session.talk.has_answer(piece.asked));
                if filled > 0 && (self.has_ended || !is_here) {
                    break;
                }
                self.fill().map_err(|error| error.during("read").at(&self.name).into_io())?;
            }
            let rest = self.waiting.get(self.at..).unwrap_or_default();
            let count = rest.len().min(buffer.len() - filled);
            if count == 0 {
                break;
            }
            buffer[filled..filled + count].copy_from_slice(&rest[..count]);
            filled += count;
            self.at += count;
        }
        Ok(filled)
    }
}
