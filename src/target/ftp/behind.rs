//! Many files in a row: what follows a transfer travels together with the next one.
//!
//! A file on the server goes through three packets: STOR to a temporary name; SIZE and the time, once the transfer is
//! confirmed; the rename, once the size is right. Each of them is also the packet of another step of its neighbours:
//!
//! ```text
//! RNFR/RNTO of the file before last, SIZE/MFMT of the last file and SIZE/MDTM of what it is to replace, EPSV and STOR of
//! this one                                                                                  ->  229
//! the data connection                                                                      ->  established
//! the bytes, without waiting for 150                                                       ->  226
//! ```
//!
//! So a file costs three round trips, and still nothing is renamed whose size was not seen, nor onto a file that is not as it
//! was listed. This way is only taken where the
//! first files, written one by one, have shown that the server renames, replaces and dates as it says.

use super::data::{self, Begin};
use super::errors::refusal;
use super::learned::{Mode, MtimeBy};
use super::looked_up::Arrival;
use super::rename::Move;
use super::session::FtpSession;
use super::still::{Answers, Questions};
use super::upload::{Cut, Place, check_size, in_words};
use crate::error::{Error, Kind, Result, Retry};
use crate::model::{RelPath, Stamp};
use crate::target::{Expect, Put, Settled, Written};
use crate::wire::ftp::{Command, Reply};
use std::collections::VecDeque;
use std::io::Read;
use std::time::{Duration, Instant};

/// Before a body of this size (bytes) or more, what has been sent is finished first: otherwise minutes could pass between the
/// last look at a file and its replacement.
pub(super) const LARGE: u64 = 8 * 1024 * 1024;

/// How long the last look at a file counts. The next packet comes much sooner, unless something else is done meanwhile.
const LOOK_LASTS: Duration = Duration::from_secs(2);

/// Files whose transfer is done.
#[derive(Default)]
pub struct Behind {
    waiting: VecDeque<File>,
    settled: Vec<Settled>,
}

/// A file under its temporary name.
struct File {
    file: RelPath,
    temp: Vec<u8>,
    target: Vec<u8>,
    sent: u64,
    put: Put,
    /// Sets its time, or asks for it where the server cannot set times.
    time: Option<(MtimeBy, Command)>,
    /// Gives it the permissions of what it replaces.
    chmod: Option<Command>,
    /// The last look at what it replaces.
    look: Questions,
    stage: Stage,
}

impl File {
    fn has_old_look(&self) -> bool {
        matches!(self.stage, Stage::Checked { at, .. } if at.elapsed() >= LOOK_LASTS)
    }
}

/// What is known about a file.
enum Stage {
    /// The server has confirmed the transfer.
    Sent,
    /// The server holds as many bytes as were sent.
    Checked { mtime_kept: bool, dated: Option<Stamp>, at: Instant },
    /// It cannot go the quick way.
    Failed(Failure),
    /// It is in place.
    Done,
}

enum Failure {
    /// It is not to be put in place.
    Lost(Error),
    /// SIZE was not answered by a size.
    Unsized { told: Reply, answers: Answers, mtime_kept: bool, dated: Option<Stamp> },
    /// What it should replace may have changed.
    Changed { answers: Answers, mtime_kept: bool, dated: Option<Stamp> },
    /// The rename was refused.
    NotRenamed { mtime_kept: bool, dated: Option<Stamp> },
}

impl Behind {
    /// What became of files since the last call.
    pub fn take_settled(&mut self) -> Vec<Settled> {
        std::mem::take(&mut self.settled)
    }

    /// The files of whose end nobody was told yet. After a conversation has broken, all of them are begun anew.
    pub fn unsettled(&self) -> Vec<RelPath> {
        let waiting = self.waiting.iter().map(|file| &file.file);
        waiting.chain(self.settled.iter().map(|(file, _)| file)).cloned().collect()
    }
}

impl FtpSession {
    /// Whether a file can be finished together with the next one: nothing about the server is left to be found out.
    pub(super) fn can_lag(&self, put: &Put) -> bool {
        let (mode, has_size) = (self.server.mode(), self.knows("SIZE"));
        let tells_times = self.knows("MDTM");
        let learned = self.server.learned();
        let is_dated = put.mtime.is_none()
            || learned
                .mtime
                .is_some_and(|by| by != MtimeBy::Nothing || tells_times || learned.listings_ahead.is_some());
        let is_proven = learned.renames == Some(true) && (put.expect == Expect::Absent || learned.replaces);
        is_proven
            && is_dated
            && match mode {
                Mode::Passive => learned.passive.is_some(),
                Mode::Active => learned.connects_at_port.is_some(),
            }
            && !learned.refuses_temp_names
            && !learned.one_by_one
            && !put.inplace
            && !self.server.config.verify
            && !put.is_resumable()
            && has_size
    }

    /// Sends a file to its temporary name, after finishing what earlier ones still need.
    pub(super) fn upload_behind(&mut self, file: &RelPath, body: &mut dyn Read, put: &Put) -> Result<()> {
        let mut of_body = None;
        let outcome = self.try_upload_behind(file, body, put, &mut of_body);
        outcome.map_err(|error| in_words(error, of_body, file))
    }

    fn try_upload_behind(
        &mut self,
        file: &RelPath,
        body: &mut dyn Read,
        put: &Put,
        of_body: &mut Option<Error>,
    ) -> Result<()> {
        self.control.check()?;
        self.check_new_name(file)?;
        let target = self.path(file)?;
        let temp = self.temp_path(file, &target);
        let stor = Command::path("STOR", &temp)?;
        if put.size.is_none_or(|size| size >= LARGE) || self.has_old_looks() {
            self.finish_all()?;
        }
        let before = self.next_steps()?;
        let started = data::start(&self.server, &mut self.control, &before, &stor, Begin::AtOnce)?;
        self.take_steps(started.before)?;
        let sent = match started.outcome {
            Err(reply) => Err(self.not_stored(&temp, &reply)),
            Ok(channel) => self.send_body(channel, body, put.size, Place::Aside).map_err(|(cut, told)| {
                self.discard(&temp);
                match cut {
                    Cut::Body(error) => {
                        *of_body = Some(error);
                        Error::cancelled()
                    }
                    Cut::Length(error) => error,
                    Cut::Wire(error) => told.unwrap_or_else(|| super::control::lost(error, &self.server)),
                }
            }),
        };
        if let Ok(sent) = sent {
            let (file, look) = (file.clone(), self.questions(&target, put.expect)?);
            let (time, chmod) = (self.about_time(&temp, put)?, self.hand_on_rights(&file, &temp, put)?);
            let (put, stage) = (*put, Stage::Sent);
            self.behind.waiting.push_back(File { file, temp, target, sent, put, time, chmod, look, stage });
        }
        self.clear_up()?;
        if self.control.may_be_used_up() {
            // The next transfer may be refused, and with it what travels along.
            self.finish_all()?;
        }
        sent.map(drop)
    }

    /// Whether a file waits for its name whose last look is old. With slow transfers each one is when the next begins: then
    /// files are finished one by one.
    fn has_old_looks(&self) -> bool {
        self.behind.waiting.iter().any(File::has_old_look)
    }

    /// Finishes every file.
    pub(super) fn finish_all(&mut self) -> Result<()> {
        while !self.behind.waiting.is_empty() {
            let packet = self.next_steps()?;
            let replies = self.control.burst(&packet)?;
            self.take_steps(replies)?;
            self.clear_up()?;
        }
        Ok(())
    }

    /// The commands by which every file comes one step further.
    fn next_steps(&mut self) -> Result<Vec<Command>> {
        let mut packet = Vec::new();
        for file in &mut self.behind.waiting {
            if file.has_old_look() {
                file.stage = Stage::Sent;
            }
            match file.stage {
                Stage::Sent => {
                    packet.push(Command::path("SIZE", &file.temp)?);
                    packet.extend(file.time.iter().map(|(_, command)| command.clone()));
                    packet.extend(file.chmod.clone());
                    packet.extend(file.look.commands());
                }
                Stage::Checked { .. } => {
                    packet.push(Command::path("RNFR", &file.temp)?);
                    packet.push(Command::path("RNTO", &file.target)?);
                }
                Stage::Failed(_) | Stage::Done => {}
            }
        }
        Ok(packet)
    }

    fn about_time(&self, temp: &[u8], put: &Put) -> Result<Option<(MtimeBy, Command)>> {
        let by = self.server.learned().mtime;
        let command = match (put.mtime, by) {
            (Some(_), Some(MtimeBy::Nothing)) => {
                self.knows("MDTM").then(|| Command::path("MDTM", temp)).transpose()?
            }
            (Some(at), Some(by)) => by.command(temp, at)?,
            (None, _) | (_, None) => None,
        };
        Ok(by.zip(command))
    }

    /// Takes the replies to [`FtpSession::next_steps`].
    fn take_steps(&mut self, replies: Vec<Reply>) -> Result<()> {
        // Whatever happens, no file may be forgotten: somebody waits for word of it.
        let mut waiting = std::mem::take(&mut self.behind.waiting);
        let outcome = self.advance(&mut waiting, replies);
        waiting.retain(|file| !matches!(file.stage, Stage::Done));
        self.behind.waiting = waiting;
        outcome
    }

    fn advance(&mut self, waiting: &mut VecDeque<File>, replies: Vec<Reply>) -> Result<()> {
        let mut replies = replies.into_iter();
        let missing = || Error::new(Kind::Protocol, "a reply is missing");
        let sets_times = self.server.learned().sets_mtime();
        for file in waiting {
            match file.stage {
                Stage::Sent => {
                    let size = replies.next().ok_or_else(missing)?;
                    let time = match &file.time {
                        Some(_) => Some(replies.next().ok_or_else(missing)?),
                        None => None,
                    };
                    if file.chmod.is_some() {
                        self.judge_rights(&file.file, &file.put, &replies.next().ok_or_else(missing)?);
                    }
                    let answers = file.look.take(&mut replies).ok_or_else(missing)?;
                    let sets = file.time.as_ref().is_some_and(|(by, _)| *by != MtimeBy::Nothing);
                    let mtime_kept = sets && time.as_ref().is_some_and(Reply::is_success);
                    let dated = time.filter(|_| !sets).and_then(|reply| reply.mtime());
                    file.stage = match check_size(size.size(), file.sent) {
                        Ok(()) if size.size().is_none() => {
                            Stage::Failed(Failure::Unsized { told: size, answers, mtime_kept, dated })
                        }
                        Ok(()) if answers.object_to(&file.put, sets_times) => {
                            Stage::Failed(Failure::Changed { answers, mtime_kept, dated })
                        }
                        Ok(()) => Stage::Checked { mtime_kept, dated, at: Instant::now() },
                        Err(error) => Stage::Failed(Failure::Lost(error)),
                    };
                }
                Stage::Checked { mtime_kept, dated, .. } => {
                    let rnfr = replies.next().ok_or_else(missing)?;
                    let rnto = replies.next().ok_or_else(missing)?;
                    if rnto.is_success() && !rnfr.is_intermediate() {
                        self.control.doubt();
                        let detail =
                            format!("a rename was confirmed that was refused before: {}", rnfr.text());
                        return Err(Error::new(Kind::Protocol, detail).retrying(Retry::NewSession));
                    }
                    file.stage = if rnto.is_success() {
                        let is_unsaid = self.is_dated_by_listings(&file.put, mtime_kept);
                        let dated = if is_unsaid { self.date_by_clock() } else { dated };
                        let written = Written { size: file.sent, mtime_kept, dated, ..Written::default() };
                        self.behind.settled.push((file.file.clone(), Ok(written)));
                        Stage::Done
                    } else {
                        Stage::Failed(Failure::NotRenamed { mtime_kept, dated })
                    };
                }
                Stage::Failed(_) | Stage::Done => {}
            }
        }
        Ok(())
    }

    /// Deals one by one with files that cannot go the quick way. Not called while a transfer is under way.
    fn clear_up(&mut self) -> Result<()> {
        let has_failed = |file: &File| matches!(file.stage, Stage::Failed(_));
        while let Some(index) = self.behind.waiting.iter().position(has_failed) {
            let Some(file) = self.behind.waiting.remove(index) else { break };
            let outcome = self.finish_failed(&file).inspect_err(|_| self.discard(&file.temp));
            if let Err(ended) = self.control.check() {
                // Nobody can tell what became of it; like those behind it, it is begun anew.
                self.behind.waiting.insert(index, file);
                return Err(ended);
            }
            let outcome = outcome.map_err(|error| error.during("write").at(&file.file));
            self.behind.settled.push((file.file, outcome));
        }
        Ok(())
    }

    fn finish_failed(&mut self, file: &File) -> Result<Written> {
        match &file.stage {
            Stage::Failed(Failure::Unsized { told, answers, mtime_kept, dated }) => {
                let arrival = self.check_arrived(&file.temp, file.sent, Some(told))?;
                if answers.object_to(&file.put, self.server.learned().sets_mtime()) {
                    self.refuse_changed(&file.file, &file.put, answers)?;
                }
                let written = self.rename_again(file, *mtime_kept, *dated)?;
                if arrival == Arrival::Unsaid {
                    self.check_in_place(&file.target, file.sent, &file.put)?;
                }
                Ok(written)
            }
            Stage::Failed(Failure::Changed { answers, mtime_kept, dated }) => {
                self.refuse_changed(&file.file, &file.put, answers)?;
                self.rename_again(file, *mtime_kept, *dated)
            }
            Stage::Failed(Failure::NotRenamed { mtime_kept, dated }) => {
                self.rename_again(file, *mtime_kept, *dated)
            }
            Stage::Failed(Failure::Lost(error)) => Err(error.duplicate()),
            Stage::Sent | Stage::Checked { .. } | Stage::Done => {
                Err(Error::new(Kind::Protocol, "the file has not failed"))
            }
        }
    }

    /// Renames with every care, where the quick way is closed.
    fn rename_again(&mut self, file: &File, mtime_kept: bool, dated: Option<Stamp>) -> Result<Written> {
        let rnfr = self.control.ask(&Command::path("RNFR", &file.temp)?)?;
        if !rnfr.is_intermediate() {
            return Err(refusal(&rnfr));
        }
        self.rename_onto(&Move {
            from: &file.temp,
            to: &file.target,
            file: &file.file,
            is_taken: None,
            size: Some(file.sent),
            mtime: file.put.mtime.filter(|_| mtime_kept),
            must_be_free: file.put.must_be_new(),
        })?;
        Ok(Written { size: file.sent, mtime_kept, dated, ..Written::default() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_in_place_of_which_nobody_was_told_is_still_unsettled() {
        let file = RelPath::parse("a").unwrap();
        let written = Written { size: 1, mtime_kept: true, ..Written::default() };
        let mut behind = Behind { settled: vec![(file.clone(), Ok(written))], ..Behind::default() };
        assert_eq!(behind.unsettled(), [file]);
        behind.take_settled();
        assert!(behind.unsettled().is_empty());
    }
}
