//! Deleting many files or folders, and making many folders: as many commands in a packet as servers take, and the last look at
//! the next files together with the deletion of those before.

use super::errors::refusal;
use super::session::{FtpSession, no_answer};
use super::still::Questions;
use crate::error::{Error, Kind, Result, Retry};
use crate::model::RelPath;
use crate::target::{Expect, changed_since_listed};
use crate::wire::ftp::{Command, Reply};

/// Bytes of commands sent at a time: a little less than TCP sends after a pause without waiting for the other side. What a
/// server has not read yet waits in the buffers of the system, which are larger.
const PACKET: usize = 13_500;
/// So many commands at most: their answers have to wait in such buffers, too.
const MOST: usize = 400;

/// A packet that is being filled.
#[derive(Default)]
struct Packet {
    commands: Vec<Command>,
    bytes: usize,
}

impl Packet {
    fn add(&mut self, commands: impl IntoIterator<Item = Command>) {
        for command in commands {
            self.bytes += command.line().len();
            self.commands.push(command);
        }
    }

    fn is_full(&self) -> bool {
        self.bytes >= PACKET || self.commands.len() >= MOST
    }
}

/// A file that is to be deleted, on its way through two packets: looked at, then deleted.
struct Doomed {
    index: usize,
    path: Vec<u8>,
}

/// Commands, in packets.
pub(super) fn packets(commands: &[Command]) -> Vec<Vec<Command>> {
    let mut packets = vec![Packet::default()];
    for command in commands {
        if packets.last().is_some_and(Packet::is_full) {
            packets.push(Packet::default());
        }
        if let Some(packet) = packets.last_mut() {
            packet.add([command.clone()]);
        }
    }
    packets.into_iter().map(|packet| packet.commands).collect()
}

/// A path on the server and what was said of it, or why it was not asked for.
type Told = Result<(Vec<u8>, Option<Reply>)>;

impl FtpSession {
    /// `DELE` or `RMD` for each of these, in order.
    pub(super) fn remove_each(&mut self, verb: &str, paths: &[RelPath]) -> Vec<Result<()>> {
        let paths = paths.iter().map(|path| self.path(path)).collect();
        let (told, mut failure) = self.ask_each(verb, paths);
        told.into_iter()
            .map(|told| told.and_then(|(full, reply)| self.judge_removal(&full, reply, &mut failure)))
            .collect()
    }

    /// See [`Session::mkdirs`](crate::target::Session::mkdirs).
    pub(super) fn make_folders(&mut self, dirs: &[RelPath]) -> Vec<Result<()>> {
        let paths = dirs.iter().map(|dir| self.check_new_name(dir).and_then(|()| self.path(dir))).collect();
        let (told, mut failure) = self.ask_each("MKD", paths);
        told.into_iter()
            .map(|told| match told? {
                (_, Some(reply)) if reply.is_success() => Ok(()),
                // Among many, what may go well another time is left to that.
                (_, Some(reply)) if dirs.len() > 1 && refusal(&reply).retry() != Retry::No => {
                    Err(refusal(&reply))
                }
                (full, Some(reply)) => self.judge_unmade(&full, &reply),
                (_, None) => Err(failure.take().unwrap_or_else(no_answer)),
            })
            .collect()
    }

    /// One command for each of these paths, in order and as many in a packet as may be: the replies that came, and why not all did.
    fn ask_each(&mut self, verb: &str, paths: Vec<Result<Vec<u8>>>) -> (Vec<Told>, Option<Error>) {
        let prepared: Vec<Result<(Vec<u8>, Command)>> = paths
            .into_iter()
            .map(|full| full.and_then(|full| Command::path(verb, &full).map(|command| (full, command))))
            .collect();
        let commands: Vec<Command> = prepared.iter().flatten().map(|(_, command)| command.clone()).collect();
        let mut replies = Vec::with_capacity(commands.len());
        let failure =
            packets(&commands).iter().find_map(|packet| self.burst_in_step(packet, &mut replies).err());
        let mut replies = replies.into_iter();
        let told = prepared.into_iter().map(|prepared| prepared.map(|(full, _)| (full, replies.next())));
        (told.collect(), failure)
    }

    /// Adds the replies to a packet. Where a server has lost one of the commands, each reply tells of another one: then none counts.
    fn burst_in_step(&mut self, packet: &[Command], replies: &mut Vec<Reply>) -> Result<()> {
        let before = replies.len();
        self.control.burst_into(packet, replies).inspect_err(|error| {
            if matches!(error.kind(), Kind::Timeout | Kind::Protocol) {
                replies.truncate(before);
            }
        })
    }

    fn judge_removal(
        &mut self,
        full: &[u8],
        reply: Option<Reply>,
        failure: &mut Option<Error>,
    ) -> Result<()> {
        match reply {
            Some(reply) if reply.is_success() => Ok(()),
            Some(reply) => Err(self.refused(full, &reply)),
            None => Err(failure.take().unwrap_or_else(no_answer)),
        }
    }

    /// See [`Session::remove_if_still`](crate::target::Session::remove_if_still).
    pub(super) fn remove_looked_at(
        &mut self,
        files: &[(RelPath, Expect)],
        is_repeated: bool,
    ) -> Vec<Result<()>> {
        let mut results: Vec<Option<Result<()>>> = files.iter().map(|_| None).collect();
        let (mut sure, mut next, mut failure, mut is_lost) = (Vec::<Doomed>::new(), 0, None, false);
        while !is_lost && (!sure.is_empty() || next < files.len()) {
            let (mut packet, mut looked_at) = (Packet::default(), Vec::new());
            let mut going = Vec::with_capacity(sure.len());
            for doomed in std::mem::take(&mut sure) {
                match Command::path("DELE", &doomed.path) {
                    Ok(command) => {
                        packet.add([command]);
                        going.push(doomed);
                    }
                    Err(error) => results[doomed.index] = Some(Err(error)),
                }
            }
            while next < files.len() && !packet.is_full() {
                match self.look_at(&files[next]) {
                    Ok((path, questions)) => {
                        packet.add(questions.commands());
                        looked_at.push((Doomed { index: next, path }, questions));
                    }
                    Err(error) => results[next] = Some(Err(error)),
                }
                next += 1;
            }
            let mut replies = Vec::with_capacity(packet.commands.len());
            failure = self.burst_in_step(&packet.commands, &mut replies).err();
            is_lost = failure.is_some();
            let mut replies = replies.into_iter();
            // All answers are taken before anything else is asked.
            let of_going: Vec<Option<Reply>> = going.iter().map(|_| replies.next()).collect();
            let of_looks: Vec<_> = looked_at
                .into_iter()
                .map(|(doomed, questions)| (doomed, questions.take(&mut replies)))
                .collect();
            for (doomed, reply) in going.into_iter().zip(of_going) {
                results[doomed.index] = Some(self.judge_removal(&doomed.path, reply, &mut failure));
            }
            for (doomed, answers) in of_looks {
                let Some(answers) = answers else { continue };
                let (file, expect) = &files[doomed.index];
                let judged = match answers.fit(*expect) {
                    Some(false) if is_repeated && answers.fit(Expect::Absent) == Some(true) => {
                        Err(Error::new(Kind::NotFound, "it is gone already"))
                    }
                    Some(false) => self.is_listed_so(file, *expect, &answers),
                    Some(true) | None => Ok(true),
                };
                match judged {
                    Ok(true) => sure.push(doomed),
                    Ok(false) => results[doomed.index] = Some(Err(changed_since_listed())),
                    Err(error) => results[doomed.index] = Some(Err(error)),
                }
            }
        }
        results
            .into_iter()
            .map(|result| result.unwrap_or_else(|| Err(failure.take().unwrap_or_else(no_answer))))
            .collect()
    }

    fn look_at(&self, (file, expect): &(RelPath, Expect)) -> Result<(Vec<u8>, Questions)> {
        let path = self.path(file)?;
        let questions = self.questions(&path, *expect)?;
        Ok((path, questions))
    }
}
