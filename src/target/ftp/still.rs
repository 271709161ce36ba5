//! Looking again, before something is deleted, whether the plan still fits: SIZE and MDTM for single names, in bursts.

use super::errors::refusal;
use super::session::{BURST, FtpSession, no_answer};
use crate::error::{Error, Kind, Result};
use crate::model::stamp::compare_times;
use crate::model::{RelPath, Stamp};
use crate::target::Expect;
use crate::wire::ftp::{Command, Reply};
use std::cmp::Ordering;

/// The commands about one name; each may be missing.
#[derive(Default)]
struct Questions {
    size: Option<Command>,
    time: Option<Command>,
}

impl FtpSession {
    /// See [`Session::still`](crate::target::Session::still).
    pub(super) fn look_again(&mut self, names: &[(RelPath, Expect)]) -> Vec<Result<Option<bool>>> {
        let questions: Vec<Result<Questions>> =
            names.iter().map(|(name, expect)| self.questions(name, *expect)).collect();
        let commands: Vec<Command> = questions
            .iter()
            .flatten()
            .flat_map(|questions| questions.size.iter().chain(&questions.time).cloned())
            .collect();
        let mut replies = Vec::with_capacity(commands.len());
        let mut failure =
            commands.chunks(BURST).find_map(|some| self.control.burst_into(some, &mut replies).err());
        let mut replies = replies.into_iter();
        let mut next = |question: Option<Command>| match question {
            None => Ok(None),
            Some(_) => match replies.next() {
                Some(reply) => Ok(Some(reply)),
                None => Err(failure.take().unwrap_or_else(no_answer)),
            },
        };
        names
            .iter()
            .zip(questions)
            .map(|((name, expect), questions)| {
                let answers = questions.and_then(|Questions { size, time }| Ok((next(size)?, next(time)?)));
                let (size, time) = answers.map_err(|error: Error| error.during("look again at").at(name))?;
                Ok(match *expect {
                    Expect::Anything => None,
                    Expect::Absent => is_nothing(size.or(time).as_ref()),
                    Expect::File(bytes, at) => is_same(size.as_ref(), bytes, time.as_ref(), at),
                })
            })
            .collect()
    }

    /// What to ask about a name. Either command tells whether a file is there, SIZE is the more common one.
    fn questions(&self, name: &RelPath, expect: Expect) -> Result<Questions> {
        let (wants_size, wants_time) = match expect {
            Expect::Anything => (false, false),
            Expect::Absent => (true, !self.knows("SIZE")),
            Expect::File(_, at) => (true, at.is_some()),
        };
        let path = self.path(name)?;
        let ask = |verb: &str, wanted: bool| {
            (wanted && self.knows(verb)).then(|| Command::path(verb, &path)).transpose()
        };
        Ok(Questions { size: ask("SIZE", wants_size)?, time: ask("MDTM", wants_time)? })
    }
}

/// Whether nothing is there. A refusal that speaks of rights tells nothing.
fn is_nothing(answer: Option<&Reply>) -> Option<bool> {
    let reply = answer?;
    match reply.code() {
        213 => Some(false),
        550 if refusal(reply).kind() != Kind::Denied => Some(true),
        _ => None,
    }
}

/// Whether a file is there with this size and time. One difference is enough for a no; for a yes something has to fit.
fn is_same(
    size: Option<&Reply>,
    bytes: Option<u64>,
    time: Option<&Reply>,
    at: Option<Stamp>,
) -> Option<bool> {
    let fits_size = size.and_then(|reply| match (reply.size(), bytes) {
        (Some(held), Some(bytes)) => Some(held == bytes),
        (Some(_), None) => Some(true),
        (None, _) => (reply.code() == 550).then_some(false),
    });
    let fits_time = time.and_then(|reply| match (reply.mtime(), at) {
        (Some(held), Some(at)) => {
            let grain = at.grain().max(held.grain());
            Some(compare_times(held.as_secs_f64(), at.as_secs_f64(), grain) == Ordering::Equal)
        }
        (_, None) => None,
        // Where the size is told, it is known that the file is there.
        (None, Some(_)) => (reply.code() == 550 && fits_size.is_none()).then_some(false),
    });
    match (fits_size, fits_time) {
        (Some(false), _) | (_, Some(false)) => Some(false),
        (None, None) => None,
        _ => Some(true),
    }
}
