//! One conversation with an FTP server: the verbs of [`Session`].
//!
//! Paths are sent absolute, so that no verb depends on where another one left the conversation. Only servers that refuse those get
//! relative ones; there, every verb leaves the conversation in the root.

use super::Server;
use super::behind::Behind;
use super::by_hand::{Aftermath, ByHand};
use super::control::Control;
use super::data;
use super::early_end;
use super::errors::{refusal, refusal_about};
use super::learned::MtimeBy;
use super::stream::Stream;
use crate::error::{Error, Kind, Result, Retry};
use crate::model::{Listing, RelPath, Stamp};
use crate::target::{Claim, Expect, Put, Session, Settled, Written};
use crate::wire::ftp::{Command, Features, Reply};
use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

/// Bytes moved at a time.
pub const CHUNK: usize = 256 * 1024;

/// The root, where paths are relative.
const HERE: &[u8] = b".";
/// No honest folder lies deeper below the root than this, in levels.
const MOST_LEVELS: usize = 200;

/// A session that is logged in.
pub struct FtpSession {
    pub(super) server: Arc<Server>,
    pub(super) control: Control,
    pub(super) features: Arc<Features>,
    greeting: Vec<(u8, String)>,
    /// The conversation may stand in another folder than the root.
    pub(super) has_strayed: bool,
    /// What PWD says in the root, if the server refuses absolute paths.
    pub(super) home: Option<Vec<u8>>,
    /// Files whose transfer is done, and what became of earlier ones.
    pub(super) behind: Behind,
    /// What the user's own commands have left behind.
    pub(super) by_hand: Aftermath,
}

/// How the data connection of an abandoned transfer ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// As if all had been sent: every server answers that at once. For files that are removed anyway.
    Plain,
    /// With a reset: the server shall not take it for complete.
    Reset,
}

/// What stands at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    File,
    Folder,
    Nothing,
    /// The server has no way to ask.
    Unknown,
}

impl FtpSession {
    /// A session on a conversation that is logged in and in binary mode.
    pub fn new(
        server: Arc<Server>,
        control: Control,
        features: Arc<Features>,
        greeting: Vec<(u8, String)>,
        home: Option<Vec<u8>>,
    ) -> Self {
        FtpSession {
            server,
            control,
            features,
            greeting,
            has_strayed: false,
            home,
            behind: Behind::default(),
            by_hand: Aftermath::default(),
        }
    }

    /// `CWD` to the root. Where a conversation stands must not be removed: Pure-FTPd ends it then, and Windows refuses.
    pub(super) fn homeward(&self) -> Result<Command> {
        Command::path("CWD", &self.path(&RelPath::root())?)
    }

    /// Goes back to the root. A refusal does not matter where all paths are absolute.
    ///
    /// # Errors
    /// What ends the conversation, as does a root that is not found again where paths are relative.
    pub(super) fn go_home(&mut self) -> Result<()> {
        match self.home.clone() {
            None => drop(self.control.ask(&self.homeward()?)?),
            Some(home) => self.climb_to(&home)?,
        }
        self.has_strayed = false;
        Ok(())
    }

    /// As [`FtpSession::go_home`], after entering this folder.
    pub(super) fn come_back(&mut self, from: &[u8]) -> Result<()> {
        if self.home.is_some() && from != HERE {
            let here = self.control.ask(&Command::bare("PWD"))?.quoted_path();
            if here == self.home {
                // PWD says the same everywhere.
                return Err(self.is_astray());
            }
        }
        self.go_home()
    }

    fn is_astray(&mut self) -> Error {
        self.control.doubt();
        let words = "the conversation stands in an unknown folder of the server";
        Error::new(Kind::Disconnected, words).retrying(Retry::NewSession)
    }

    fn climb_to(&mut self, home: &[u8]) -> Result<()> {
        let mut below = None;
        for _ in 0..MOST_LEVELS {
            let here = self.control.ask(&Command::bare("PWD"))?.quoted_path();
            if here.as_deref() == Some(home) {
                return Ok(());
            }
            let is_on_top = here == below;
            below = here;
            if is_on_top || !self.control.ask(&Command::bare("CDUP"))?.is_success() {
                break;
            }
        }
        Err(self.is_astray())
    }

    /// The path on the server, in its bytes.
    pub(super) fn path(&self, path: &RelPath) -> Result<Vec<u8>> {
        if self.home.is_some() {
            return self.relative_path(path);
        }
        let mut full = self.server.names.encode_text(&self.server.root)?;
        if !path.is_root() {
            if full.last() != Some(&b'/') {
                full.push(b'/');
            }
            full.extend_from_slice(&self.server.names.encode(path)?);
        }
        Ok(full)
    }

    fn relative_path(&self, path: &RelPath) -> Result<Vec<u8>> {
        if self.has_strayed {
            let elsewhere = Error::new(Kind::Disconnected, "the conversation stands in another folder");
            return Err(elsewhere.retrying(Retry::NewSession));
        }
        let name = self.server.names.encode(path)?;
        // Neither an option nor somebody's home, nor one blank too many, nor a time in front of a path.
        let is_plain = |first: u8| first.is_ascii_alphabetic() || matches!(first, b'.' | b'_' | 0x80..);
        Ok(match name.first() {
            None => HERE.to_vec(),
            Some(&first) if is_plain(first) => name,
            Some(_) => [b"./", &name[..]].concat(),
        })
    }

    /// Asks questions, then enters a folder and comes back. The replies to all but the last.
    fn ask_and_enter(&mut self, mut packet: Vec<Command>, folder: &[u8]) -> Result<Vec<Reply>> {
        packet.push(Command::path("CWD", folder)?);
        if self.home.is_none() {
            packet.push(self.homeward()?);
        }
        let replies = self.control.burst(&packet)?;
        if self.home.is_some() && replies.last().is_some_and(Reply::is_success) {
            self.come_back(folder)?;
        }
        Ok(replies)
    }

    /// What stands at a path, by SIZE (files have one) and CWD (only folders can be entered).
    pub(super) fn presence(&mut self, path: &[u8]) -> Result<Presence> {
        let file_question = ["SIZE", "MDTM"].into_iter().find(|verb| self.knows(verb));
        let Some(verb) = file_question else {
            let replies = self.ask_and_enter(Vec::new(), path)?;
            let entered = replies.first().is_some_and(Reply::is_success);
            return Ok(if entered { Presence::Folder } else { Presence::Unknown });
        };
        let replies = self.ask_and_enter(vec![Command::path(verb, path)?], path)?;
        // Some servers tell the size and time of folders too, so the second answer counts more.
        Ok(match replies.as_slice() {
            [_, cwd, ..] if cwd.is_success() => Presence::Folder,
            [file, _, ..] if file.is_unsupported() => Presence::Unknown,
            [file, _, ..] if file.is_success() => Presence::File,
            _ => Presence::Nothing,
        })
    }

    /// The error for a refused path. When the words of the server do not tell, it asks whether there is anything at all.
    pub(super) fn refused(&mut self, path: &[u8], reply: &Reply) -> Error {
        let error = refusal_about(reply, path);
        if reply.code() != 550 || error.kind() != Kind::Refused {
            return error;
        }
        let kind = match self.presence(path) {
            Ok(Presence::Nothing) => Kind::NotFound,
            Ok(Presence::File | Presence::Folder | Presence::Unknown) => Kind::Refused,
            Err(error) => return error,
        };
        Error::new(kind, error.detail()).with_reply(reply.code(), reply.text())
    }

    /// Gives up a transfer and brings the conversation back in step.
    ///
    /// Servers answer a broken transfer with no reply (pyftpdlib), with one or with two, and ABOR with one more. PWD has an
    /// answer that no other command has (257), so everything before it belongs to the transfer. It is sent only when the
    /// transfer has ended for the server, since ProFTPD refuses it before. If that fails, the conversation ends.
    pub(super) fn abandon(&mut self, stream: Stream, early: Option<Reply>, ending: Ending) {
        if self.control.is_lent() && ending == Ending::Reset {
            // That engine cannot say in which step it is then.
            stream.reset();
            if !self.start_afresh() {
                self.control.doubt();
            }
            return;
        }
        if self.abort(stream, early, ending).is_err() {
            self.control.doubt();
        }
    }

    fn abort(&mut self, stream: Stream, early: Option<Reply>, ending: Ending) -> Result<()> {
        match ending {
            // Whatever goes wrong here shows in the replies.
            Ending::Plain => drop(stream.finish_sending()),
            Ending::Reset => {
                self.control.send(&[Command::bare("ABOR")])?;
                stream.reset();
            }
        }
        let patience = self.server.config.timeout.min(Duration::from_secs(10));
        self.control.with_patience(patience, |control| match early {
            Some(_) => catch_up_by_pwd(control),
            None => catch_up(control),
        })
    }

    /// Whether the server has a command, and was not seen to lack it or to answer it with nonsense.
    pub(super) fn knows(&self, verb: &str) -> bool {
        self.features.has(verb) && !self.server.learned().lacks.iter().any(|lacking| lacking == verb)
    }

    /// Remembers that a command is of no use.
    pub(super) fn lacks(&self, verb: &str) {
        self.server.learned().lacks.push(verb.to_owned());
    }

    /// Goes on with a new conversation in the place of one that was lost. False if there is none to be had.
    pub(super) fn start_afresh(&mut self) -> bool {
        match super::login::open(&self.server) {
            Ok(fresh) => {
                self.control = fresh.control;
                self.home = fresh.home;
                self.has_strayed = false;
                true
            }
            Err(_) => false,
        }
    }

    /// Asks for the size of a file; `None` if the server does not tell.
    pub(super) fn size_of(&mut self, path: &[u8]) -> Result<Option<u64>> {
        if !self.knows("SIZE") {
            return Ok(None);
        }
        Ok(self.control.ask(&Command::path("SIZE", path)?)?.size())
    }

    fn simple(&mut self, verb: &str, path: &RelPath) -> Result<()> {
        if self.has_strayed && verb == "RMD" {
            self.go_home()?;
        }
        let full = self.path(path)?;
        let reply = self.control.ask(&Command::path(verb, &full)?)?;
        if reply.is_success() {
            return Ok(());
        }
        Err(self.refused(&full, &reply))
    }

    /// What it means that a folder was not made. Servers refuse one that is there with 550, 521 or 450; whether it can be entered
    /// is what counts.
    pub(super) fn judge_unmade(&mut self, path: &[u8], reply: &Reply) -> Result<()> {
        match self.presence(path)? {
            Presence::Folder => Ok(()),
            Presence::File => {
                Err(Error::new(Kind::Exists, "a file has this name").with_reply(reply.code(), reply.text()))
            }
            Presence::Nothing | Presence::Unknown => Err(refusal(reply)),
        }
    }

    /// Sets the time of a file by the way that is known to work, or finds one. `false` if the server cannot.
    pub(super) fn set_time(&mut self, path: &[u8], at: Stamp) -> Result<Option<Reply>> {
        let known = self.server.learned().mtime;
        match known {
            Some(by) => match by.command(path, at)? {
                Some(command) => Ok(Some(self.control.ask(&command)?)),
                None => Ok(None),
            },
            None => self.find_way_to_set_time(path, at),
        }
    }

    /// Tries the ways to set a time, and believes only what comes back: some servers say yes and do nothing, or take the
    /// time for local time.
    fn find_way_to_set_time(&mut self, path: &[u8], at: Stamp) -> Result<Option<Reply>> {
        let mut refused = None;
        for by in MtimeBy::candidates(&self.features) {
            let Some(command) = by.command(path, at)? else {
                continue;
            };
            let reply = self.control.ask(&command)?;
            if !reply.is_success() {
                if by == MtimeBy::Mfmt && !reply.is_unsupported() {
                    // It knows the command, but not for this file.
                    refused = Some(reply);
                }
                continue;
            }
            let told = self.time_of(path)?;
            if self.judge_time(by, &reply, told, at) {
                return Ok(Some(reply));
            }
        }
        if refused.is_none() {
            self.server.learned().mtime = Some(MtimeBy::Nothing);
        }
        Ok(refused)
    }

    /// Whether a time was really set, by what the file shows then. If so, that way is taken from then on.
    pub(super) fn judge_time(&self, by: MtimeBy, reply: &Reply, told: Option<Stamp>, at: Stamp) -> bool {
        let is_kept = match told {
            Some(back) => back.seconds().abs_diff(at.seconds()) <= 2,
            None => by == MtimeBy::Mfmt,
        };
        let is_set = is_kept && reply.is_success() && reply.code() != 202;
        if is_set {
            self.server.learned().mtime = Some(by);
        }
        is_set
    }

    /// The time of a file, if the server tells it.
    pub(super) fn time_of(&mut self, path: &[u8]) -> Result<Option<Stamp>> {
        if !self.knows("MDTM") {
            return Ok(None);
        }
        Ok(self.control.ask(&Command::path("MDTM", path)?)?.mtime())
    }
}

/// Reads all that the server has to say about a transfer that was given up.
///
/// # Errors
/// What ends the conversation, as does a server that does not come to an end.
pub(super) fn catch_up(control: &mut Control) -> Result<()> {
    data::final_reply(control, None)?;
    catch_up_by_pwd(control)
}

fn catch_up_by_pwd(control: &mut Control) -> Result<()> {
    control.send(&[Command::bare("PWD")])?;
    for _ in 0..4 {
        if control.reply()?.code() == 257 {
            return Ok(());
        }
    }
    Err(Error::new(Kind::Protocol, "the server still talks about a transfer that was given up"))
}

/// Whether the conversation has ended, by its silence or in some other way.
pub(super) fn is_lost(error: &Error) -> bool {
    matches!(error.kind(), Kind::Timeout | Kind::Disconnected)
}

/// The error for a question that was not answered any more.
pub(super) fn no_answer() -> Error {
    Error::new(Kind::Disconnected, "the conversation ended before the answer came")
}

impl Session for FtpSession {
    fn list(&mut self, dir: &RelPath) -> Result<Listing> {
        let shown = if dir.is_root() { self.server.root.clone() } else { dir.to_string() };
        let listing = self.list_folder(dir).map_err(|error| error.during("list").at(shown))?;
        if let Some(lock) = early_end::trial(&self.server, dir, &listing) {
            // Whatever comes of it is learned on the way.
            let read = |body: &mut dyn Read| Ok(std::io::copy(body, &mut std::io::sink()).map(drop)?);
            drop(self.download(&lock, 0, &mut { read }));
        }
        Ok(listing)
    }

    fn read(&mut self, file: &RelPath, lend: &mut dyn FnMut(&mut dyn Read) -> Result<()>) -> Result<()> {
        self.download(file, 0, lend)
    }

    fn gains_by_parts(&self) -> bool {
        self.can_read_from()
    }

    fn can_read_from(&self) -> bool {
        // What --verify compares is the whole.
        self.knows("REST") && self.knows("SIZE") && !self.server.config.verify
    }

    fn can_write_from(&self) -> bool {
        self.has_parts()
    }

    fn read_from(
        &mut self,
        file: &RelPath,
        start: u64,
        lend: &mut dyn FnMut(&mut dyn Read) -> Result<()>,
    ) -> Result<()> {
        if !self.knows("REST") {
            let error = Error::new(Kind::Unsupported, "the server sends files from their beginning only");
            return Err(error.during("read").at(file));
        }
        self.download(file, start, lend)
    }

    fn claim(&mut self, file: &RelPath) -> Result<Option<Box<dyn Claim>>> {
        let context = |error: Error| error.during("ask for the checksum of").at(file);
        self.finish_all().map_err(context)?;
        let path = self.path(file).map_err(context)?;
        self.claim_of(&path).map_err(context)
    }

    fn held(&mut self, file: &RelPath, put: &Put) -> Result<u64> {
        self.held_of(file, put)
    }

    fn write(&mut self, file: &RelPath, body: &mut dyn Read, put: &Put) -> Result<Written> {
        self.upload(file, body, put)
    }

    fn write_behind(&mut self, file: &RelPath, body: &mut dyn Read, put: &Put) -> Result<Option<Written>> {
        if self.can_lag(put) {
            return self.upload_behind(file, body, put).map(|()| None);
        }
        self.upload(file, body, put).map(Some)
    }

    fn unsettled(&self) -> Vec<RelPath> {
        self.behind.unsettled()
    }

    fn settled(&mut self, all: bool) -> Result<Vec<Settled>> {
        if all {
            self.finish_all()?;
        }
        Ok(self.behind.take_settled())
    }

    fn mkdir(&mut self, dir: &RelPath) -> Result<()> {
        self.mkdirs(std::slice::from_ref(dir)).pop().unwrap_or_else(|| Err(no_answer()))
    }

    fn make_new(&mut self, dir: &RelPath) -> Result<()> {
        let made = self.check_new_name(dir).and_then(|()| self.simple("MKD", dir));
        made.map_err(|error| error.during("make the folder").at(dir))
    }

    fn mkdirs(&mut self, dirs: &[RelPath]) -> Vec<Result<()>> {
        let made = self.make_folders(dirs);
        made.into_iter()
            .zip(dirs)
            .map(|(result, dir)| result.map_err(|error| error.during("make the folder").at(dir)))
            .collect()
    }

    fn remove_file(&mut self, file: &RelPath) -> Result<()> {
        self.simple("DELE", file).map_err(|error| error.during("remove").at(file))
    }

    fn remove_dir(&mut self, dir: &RelPath) -> Result<()> {
        self.simple("RMD", dir).map_err(|error| error.during("remove the folder").at(dir))
    }

    fn remove_files(&mut self, files: &[RelPath]) -> Vec<Result<()>> {
        let removed = self.remove_each("DELE", files);
        removed
            .into_iter()
            .zip(files)
            .map(|(result, file)| result.map_err(|error| error.during("remove").at(file)))
            .collect()
    }

    fn remove_dirs(&mut self, dirs: &[RelPath]) -> Vec<Result<()>> {
        if self.has_strayed
            && let Err(error) = self.go_home()
        {
            return dirs.iter().map(|_| Err(error.duplicate())).collect();
        }
        let removed = self.remove_each("RMD", dirs);
        removed
            .into_iter()
            .zip(dirs)
            .map(|(result, dir)| result.map_err(|error| error.during("remove the folder").at(dir)))
            .collect()
    }

    fn remove_if_still(&mut self, files: &[(RelPath, Expect)], is_repeated: bool) -> Vec<Result<()>> {
        let removed = self.remove_looked_at(files, is_repeated);
        removed
            .into_iter()
            .zip(files)
            .map(|(result, (file, _))| result.map_err(|error| error.during("delete").at(file)))
            .collect()
    }

    fn rename(&mut self, from: &RelPath, to: &RelPath) -> Result<()> {
        self.rename_file(from, to).map_err(|error| error.during("rename").at(from))
    }

    fn set_mtime(&mut self, file: &RelPath, to: Stamp) -> Result<()> {
        let context = |error: Error| error.during("set the time of").at(file);
        let path = self.path(file).map_err(context)?;
        match self.set_time(&path, to).map_err(context)? {
            Some(reply) if reply.is_success() => Ok(()),
            Some(reply) => Err(context(self.refused(&path, &reply))),
            None => Err(context(Error::new(Kind::Unsupported, "the server cannot set times"))),
        }
    }

    fn still(&mut self, names: &[(RelPath, Expect)]) -> Vec<Result<Option<bool>>> {
        self.look_again(names, false)
    }

    fn still_before_write(&mut self, names: &[(RelPath, Expect)]) -> Vec<Result<Option<bool>>> {
        self.look_again(names, true)
    }

    fn as_ftp(&mut self) -> Option<ByHand<'_>> {
        (!self.control.is_lent()).then(|| ByHand::new(self))
    }

    fn is_alive(&mut self) -> bool {
        let is_lost = self.home.is_some() && self.has_strayed;
        !is_lost && self.control.is_alive()
    }

    fn greeting(&self) -> &[(u8, String)] {
        &self.greeting
    }

    fn close(self: Box<Self>) {
        self.control.quit();
    }

    fn close_removing(self: Box<Self>, file: &RelPath) -> Result<()> {
        let context = |error: Error| error.during("remove").at(file);
        let dele = Command::path("DELE", &self.path(file).map_err(context)?)?;
        let reply = self.control.quit_after(&dele).map_err(context)?;
        if reply.is_success() {
            return Ok(());
        }
        // What there is at this name can be asked for in another conversation only.
        Err(context(refusal(&reply).retrying(Retry::NewSession)))
    }
}
