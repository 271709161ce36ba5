//! Names that a server would not keep as they are: refused before anything is sent for them.

use super::session::{FtpSession, Presence};
use crate::error::{Error, Kind, Result};
use crate::model::RelPath;
use crate::model::path::is_beyond_text;
use crate::target::windows::{NOT_ON_WINDOWS, why_not_on_windows};
use crate::target::{next_unique, temp_name};
use crate::wire::ftp::{Command, Reply};

/// Names of which some servers make other ones, and call that a success: which they are, how to find out, and what to say.
///
/// Pure-FTPd puts `_` in the place of some characters, in new names or in every command. Windows cuts blanks and dots off the end,
/// and takes `\` for `/`; not every server that runs on it says so.
struct Trial {
    concerns: fn(&str) -> bool,
    /// What such a name may end with.
    end: &'static str,
    /// What may become of that.
    others: [&'static str; 2],
    why: &'static str,
}

const TRIALS: [Trial; 5] = [
    Trial {
        concerns: |name| name.ends_with(' '),
        end: " ",
        others: ["", "_"],
        why: "the server does not keep a blank at the end of a name",
    },
    Trial {
        concerns: |name| name.ends_with('.'),
        end: ".",
        others: ["", "_"],
        why: "the server does not keep a dot at the end of a name",
    },
    Trial {
        concerns: has_controls,
        end: "\tx",
        others: ["x", "_x"],
        why: "the server does not keep control characters in a name",
    },
    Trial {
        concerns: |name| name.contains('\\'),
        end: "\\x",
        others: ["/x", "_x"],
        why: "the server does not keep a backslash in a name",
    },
    Trial {
        concerns: |name| name.contains(is_not_on_windows),
        end: "<>:\"|?*x",
        others: ["x", "_______x"],
        why: "the server does not keep the characters <>:\"|?* in a name",
    },
];

impl FtpSession {
    /// Refuses a new name that would come out as another one, or as an error in unclear words.
    pub(super) fn check_new_name(&mut self, path: &RelPath) -> Result<()> {
        let name = path.file_name();
        let why = if is_beyond_text(name) {
            "the bytes of the name are no UTF-8 text, which a listing of the server would show as another name".into()
        } else if let Some(why) = self.why_not_on_windows(name) {
            why
        } else if let Some(why) = self.why_not_kept(path)? {
            why.into()
        } else {
            return Ok(());
        };
        Err(Error::new(Kind::Name, why).advise("rename the file, or leave it out with --exclude"))
    }

    fn why_not_on_windows(&self, name: &str) -> Option<String> {
        let is_windows = self.server.learned().is_windows;
        let why = why_not_on_windows(name).filter(|_| is_windows)?;
        Some(format!("the server runs Windows, where {why}"))
    }

    fn why_not_kept(&mut self, path: &RelPath) -> Result<Option<&'static str>> {
        for trial in &TRIALS {
            if (trial.concerns)(path.file_name()) && !self.keeps(path, trial)? {
                return Ok(Some(trial.why));
            }
        }
        Ok(None)
    }

    /// Whether the server keeps such names, found out once with a folder that is removed again.
    fn keeps(&mut self, path: &RelPath, trial: &Trial) -> Result<bool> {
        let known = self.server.learned().keeps.get(trial.end).copied();
        if let Some(known) = known {
            return Ok(known);
        }
        self.finish_all()?;
        let target = self.path(path)?;
        let folder = target.iter().rposition(|&byte| byte == b'/').map_or(0, |slash| slash + 1);
        let bare = [&target[..folder], temp_name("", next_unique()).as_bytes()].concat();
        let ending = |with: &str| [&bare[..], with.as_bytes()].concat();
        let whole = ending(trial.end);
        let others = trial.others.map(ending);
        // What might be a folder within a folder needs that.
        let above: &[Vec<u8>] =
            if trial.others[0].starts_with('/') { std::slice::from_ref(&bare) } else { &[] };
        let each = |verb: &str, paths: &[Vec<u8>]| {
            paths.iter().map(|path| Command::path(verb, path)).collect::<Result<Vec<_>>>()
        };
        let succeeds: Vec<bool> = if self.home.is_some() {
            self.tried_one_by_one(above, &whole, &others)?
        } else {
            let mut packet = each("MKD", above)?;
            packet.extend([Command::path("MKD", &whole)?, Command::path("CWD", &whole)?]);
            packet.extend(each("CWD", &others)?);
            packet.extend([self.homeward()?, Command::path("RMD", &whole)?]);
            packet.extend(each("RMD", above)?);
            let replies = self.control.burst(&packet)?;
            replies.iter().skip(above.len()).map(Reply::is_success).collect()
        };
        let [true, is_kept, is_cut, is_replaced, ..] = succeeds[..] else {
            // Where no folder can be made, nothing was learned, and the server has the last word.
            return Ok(true);
        };
        let keeps = is_kept && !is_cut && !is_replaced;
        self.server.learned().keeps.insert(trial.end, keeps);
        if !keeps {
            let mut gone = each("RMD", &others)?;
            gone.extend(each("RMD", above)?);
            self.control.burst(&gone)?;
        }
        Ok(keeps)
    }

    /// Makes folders, looks which of them are there, and removes them, where every folder has to be left again: whether the
    /// last was made, and whether there are `whole` and the others.
    fn tried_one_by_one(&mut self, above: &[Vec<u8>], whole: &[u8], others: &[Vec<u8>]) -> Result<Vec<bool>> {
        let mut succeeds = Vec::new();
        for path in above.iter().map(Vec::as_slice).chain([whole]) {
            succeeds = vec![self.control.ask(&Command::path("MKD", path)?)?.is_success()];
        }
        for path in [whole].into_iter().chain(others.iter().map(Vec::as_slice)) {
            succeeds.push(self.presence(path)? == Presence::Folder);
        }
        for path in [whole].into_iter().chain(above.iter().map(Vec::as_slice)) {
            self.control.ask(&Command::path("RMD", path)?)?;
        }
        Ok(succeeds)
    }
}

/// The backslash has a trial of its own.
fn is_not_on_windows(c: char) -> bool {
    c != '\\' && NOT_ON_WINDOWS.contains(c)
}

/// Line ends are refused for every server.
fn has_controls(name: &str) -> bool {
    name.contains(|c: char| c.is_ascii_control()) && !name.contains(['\r', '\n', '\0'])
}
