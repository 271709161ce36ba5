//! Deleting many files or folders: as many commands in a packet as servers take, and the last look at the next files
//! together with the deletion of those before.

use super::session::{FtpSession, no_answer};
use super::still::Questions;
use crate::error::{Error, Kind, Result};
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

impl FtpSession {
    /// `DELE` or `RMD` for each of these, in order.
    pub(super) fn remove_each(&mut self, verb: &str, paths: &[RelPath]) -> Vec<Result<()>> {
        let prepared: Vec<Result<(Vec<u8>, Command)>> = paths
            .iter()
            .map(|path| {
                let full = self.path(path)?;
                let command = Command::path(verb, &full)?;
                Ok((full, command))
            })
            .collect();
        let commands: Vec<Command> = prepared.iter().flatten().map(|(_, command)| command.clone()).collect();
        let mut replies = Vec::with_capacity(commands.len());
        let mut failure =
            packets(&commands).iter().find_map(|packet| self.control.burst_into(packet, &mut replies).err());
        let mut replies = replies.into_iter();
        let mut answer = |prepared: Result<(Vec<u8>, Command)>| {
            let (full, _) = prepared?;
            self.judge_removal(&full, replies.next(), &mut failure)
        };
        prepared.into_iter().map(&mut answer).collect()
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
            failure = self.control.burst_into(&packet.commands, &mut replies).err();
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
