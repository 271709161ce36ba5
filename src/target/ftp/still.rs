//! Looking again, before something is deleted or replaced, whether the plan still fits: SIZE and MDTM for single names, in
//! bursts or in packets that are sent anyway.

use super::data;
use super::errors::refusal_about;
use super::removal::packets;
use super::session::{FtpSession, no_answer};
use crate::error::{Error, Kind, Result};
use crate::model::stamp::compare_times;
use crate::model::{Entry, RelPath, Stamp};
use crate::target::{Expect, Put};
use crate::wire::ftp::{Command, Reply};
use std::cmp::Ordering;

/// The commands about one name; each may be missing.
#[derive(Debug, Default)]
pub(super) struct Questions {
    size: Option<Command>,
    time: Option<Command>,
    path: Vec<u8>,
}

/// What came back.
#[derive(Debug, Default)]
pub(super) struct Answers {
    size: Option<Reply>,
    time: Option<Reply>,
    /// What was asked about.
    path: Vec<u8>,
}

impl Questions {
    /// The commands, for a packet.
    pub fn commands(&self) -> impl Iterator<Item = Command> + '_ {
        self.size.iter().chain(&self.time).cloned()
    }

    /// Takes as many replies as were asked for; `None` if one is missing.
    pub fn take(&self, replies: &mut impl Iterator<Item = Reply>) -> Option<Answers> {
        let mut next = |question: &Option<Command>| match question {
            None => Some(None),
            Some(_) => replies.next().map(Some),
        };
        Some(Answers { size: next(&self.size)?, time: next(&self.time)?, path: self.path.clone() })
    }
}

impl Answers {
    /// Whether the name holds what the plan knows of it; `None` if the server does not tell.
    pub fn fit(&self, expect: Expect) -> Option<bool> {
        match expect {
            Expect::Anything => None,
            Expect::Absent => is_nothing(self.size.as_ref().or(self.time.as_ref()), &self.path),
            Expect::File(bytes, at) => is_same(self.size.as_ref(), bytes, self.time.as_ref(), at),
        }
    }

    /// Whether a file is there, where SIZE was asked for.
    pub fn has_file(&self) -> Option<bool> {
        self.size.as_ref().and_then(super::rename::is_there)
    }

    /// Its size.
    pub fn bytes(&self) -> Option<u64> {
        self.size.as_ref().and_then(Reply::size)
    }

    /// Whether a time was told.
    pub fn has_time(&self) -> bool {
        self.time.as_ref().is_some_and(|reply| reply.mtime().is_some())
    }

    /// Whether the name certainly holds something else than what is to be replaced. What an earlier attempt has put there,
    /// whose answer was lost, is no work of somebody else; on a server that `sets_times` it has the time it should have. Nor is
    /// it if nothing is there any more: the attempt may have put the old file aside, and nothing can be overwritten.
    pub fn object_to(&self, put: &Put, sets_times: bool) -> bool {
        let mtime = put.mtime.filter(|_| sets_times && self.time.is_some());
        let has_ours = put.size.is_some() && self.fit(Expect::File(put.size, mtime)) == Some(true);
        let is_ours = put.is_repeated && (has_ours || self.fit(Expect::Absent) == Some(true));
        self.fit(put.expect) == Some(false) && !is_ours
    }
}

/// The error for a file that is not what was listed.
pub(super) fn changed() -> Error {
    Error::new(Kind::Changed, "it was changed since it was listed; the next run decides anew")
}

impl FtpSession {
    /// See [`Session::still`](crate::target::Session::still).
    pub(super) fn look_again(
        &mut self,
        names: &[(RelPath, Expect)],
        is_before_write: bool,
    ) -> Vec<Result<Option<bool>>> {
        let questions: Vec<Result<Questions>> = names
            .iter()
            .map(|(name, expect)| self.path(name).and_then(|path| self.questions(&path, *expect)))
            .collect();
        let commands: Vec<Command> = questions.iter().flatten().flat_map(Questions::commands).collect();
        let mut replies = Vec::with_capacity(commands.len());
        let mut failure = if is_before_write {
            let asked = data::ask_ahead(&self.server, &mut self.control, &commands);
            asked.map(|answers| replies = answers).err()
        } else {
            packets(&commands).iter().find_map(|packet| self.control.burst_into(packet, &mut replies).err())
        };
        let mut replies = replies.into_iter();
        names
            .iter()
            .zip(questions)
            .map(|((name, expect), questions)| {
                let answers = questions.and_then(|questions| {
                    questions.take(&mut replies).ok_or_else(|| failure.take().unwrap_or_else(no_answer))
                });
                let answers = answers.map_err(|error: Error| error.during("look again at").at(name))?;
                match answers.fit(*expect) {
                    Some(false) => self.is_listed_so(name, *expect, &answers).map(Some),
                    fit => Ok(fit),
                }
            })
            .collect()
    }

    /// What to ask about a name. Either command tells whether a file is there, SIZE is the more common one.
    pub(super) fn questions(&self, path: &[u8], expect: Expect) -> Result<Questions> {
        let (wants_size, wants_time) = match expect {
            Expect::Anything => (false, false),
            Expect::Absent => (true, !self.knows("SIZE")),
            Expect::File(_, at) => {
                (true, at.is_some() && !(self.server.learned().times_differ && self.knows("SIZE")))
            }
        };
        let ask = |verb: &str, wanted: bool| {
            (wanted && self.knows(verb)).then(|| Command::path(verb, path)).transpose()
        };
        Ok(Questions { size: ask("SIZE", wants_size)?, time: ask("MDTM", wants_time)?, path: path.to_vec() })
    }

    /// Refuses to replace what the answers do not fit. Servers that tell another size or time of a single file than in a
    /// listing have the last word there: it is how the file was looked at first.
    pub(super) fn refuse_changed(&mut self, file: &RelPath, put: &Put, answers: &Answers) -> Result<()> {
        let sets_times = self.server.learned().sets_mtime();
        if !answers.object_to(put, sets_times) || self.is_listed_so(file, put.expect, answers)? {
            return Ok(());
        }
        Err(changed())
    }

    /// Whether the listing of its folder still shows a file as it did.
    pub(super) fn is_listed_so(&mut self, file: &RelPath, expect: Expect, answers: &Answers) -> Result<bool> {
        let Expect::File(bytes, at) = expect else {
            // A listing may hide a name; an answer about it may not be doubted.
            return Ok(false);
        };
        let listing = match self.list_folder(&file.parent().unwrap_or_default()) {
            Ok(listing) => listing,
            Err(error) if error.retry() == crate::error::Retry::NewSession => return Err(error),
            Err(_) => return Ok(false),
        };
        let is_so = |entry: &Entry| {
            let same_size = bytes.is_none() || entry.size == bytes;
            entry.is_file() && same_size && (at.is_none() || entry.mtime_org == at)
        };
        let is_same =
            listing.entries.iter().find(|entry| entry.name.as_str() == file.file_name()).is_some_and(is_so);
        // Not asked for in vain again. A size that differs is asked for nevertheless: it tells that a file is there at all.
        self.server.learned().times_differ |= is_same && bytes.is_some() && answers.bytes() == bytes;
        Ok(is_same)
    }
}

/// Whether nothing is there. A refusal that speaks of rights tells nothing.
fn is_nothing(answer: Option<&Reply>, path: &[u8]) -> Option<bool> {
    let reply = answer?;
    match reply.code() {
        213 => Some(false),
        550 if refusal_about(reply, path).kind() != Kind::Denied => Some(true),
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
            // Both times are those of the server: where it shows seconds, an edit in the next one counts.
            Some(match grain {
                0 => held.seconds() == at.seconds(),
                _ => compare_times(held.as_secs_f64(), at.as_secs_f64(), grain) == Ordering::Equal,
            })
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
