//! The verbs of a session.

use super::Server;
use super::ahead::Ahead;
use super::behind::Behind;
use super::by_hand::ByHand;
use super::conversation::Conversation;
use super::errors::{expected, is_unexplained, refusal, success};
use crate::error::{Error, Kind, Result};
use crate::model::{Listing, RelPath, Stamp};
use crate::target::{Expect, Put, Session, Settled, Written, next_unique, temp_name};
use crate::wire::sftp::{Attributes, FileType, Reply, Request};
use std::collections::BTreeMap;
use std::io::Read;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// One conversation with the server, its root being there.
pub struct SftpSession {
    pub(super) server: Arc<Server>,
    pub(super) talk: Conversation,
    pub(super) behind: Behind,
    pub(super) ahead: Ahead,
    /// The root without any link on the way, where the server tells it.
    pub(super) real_root: Option<Vec<u8>>,
    greeting: Vec<(u8, String)>,
}

impl SftpSession {
    /// Makes sure that the root is there.
    ///
    /// # Errors
    /// [`Kind::NotFound`] if it is not, and what making it fails with.
    pub fn open(server: Arc<Server>, talk: Conversation, greeting: Vec<(u8, String)>) -> Result<Self> {
        let mut session = SftpSession {
            ahead: Ahead::new(&server.ahead),
            behind: Behind::new(&server.left),
            server,
            talk,
            real_root: None,
            greeting,
        };
        let root = session.path(&RelPath::root())?;
        let asked = Instant::now();
        let replies =
            session.talk.ask_all([Request::Stat { path: &root }, Request::RealPath { path: &root }])?;
        session.server.learned().took(asked.elapsed());
        let [found, real] = replies.try_into().map_err(|_| super::errors::nonsense())?;
        match attributes(found) {
            Ok(found) if found.file_type() != FileType::File => session.real_root = real_path(real).ok(),
            Ok(_) => return Err(session.no_root(Error::new(Kind::NotFound, "it is a file"))),
            Err(error) if error.kind() == Kind::NotFound && session.server.config.create_root => {
                session.make_root(&root)?;
            }
            Err(error) => {
                let error = session.with_home(error);
                return Err(session.no_root(error));
            }
        }
        Ok(session)
    }

    /// Tells of a folder that is not there where the login leads to: the path may have been meant from there, or the server shows
    /// the user less than all.
    fn with_home(&mut self, error: Error) -> Error {
        if error.kind() != Kind::NotFound {
            return error;
        }
        let told = self.talk.ask(&Request::RealPath { path: b"." }).and_then(real_path);
        match told.map(String::from_utf8) {
            Ok(Ok(home)) if home.starts_with('/') => {
                Error::new(Kind::NotFound, format!("{}, and the login leads to {home}", error.detail()))
            }
            Ok(_) | Err(_) => error,
        }
    }

    fn no_root(&self, error: Error) -> Error {
        error
            .during("change to the folder")
            .at(&self.server.root)
            .advise("check the path, or let --create-folder make it")
    }

    /// Makes every level of the root that is missing.
    fn make_root(&mut self, root: &[u8]) -> Result<()> {
        let ends = (1..root.len()).filter(|&at| root.get(at) == Some(&b'/')).chain([root.len()]);
        let levels: Vec<&[u8]> = ends.filter_map(|end| root.get(..end)).collect();
        // Refusals of levels that exist do not matter, as long as the root is there in the end.
        let made = self.talk.ask_all(levels.iter().map(|path| Request::MakeFolder { path }))?;
        let replies = self.talk.ask_all([Request::Stat { path: root }, Request::RealPath { path: root }])?;
        let [found, real] = replies.try_into().map_err(|_| super::errors::nonsense())?;
        if attributes(found).is_ok_and(|found| found.file_type() != FileType::File) {
            self.real_root = real_path(real).ok();
            return Ok(());
        }
        let mut made: Vec<Result<()>> = made.into_iter().map(success).collect();
        let is_below = |made: &Result<()>| matches!(made, Err(error) if error.kind() == Kind::NotFound);
        // What lies below a level that could not be made is only missing. A refusal without a reason may mean that it is there.
        let last = made.iter().rposition(|made| !is_below(made));
        let last = last.filter(|at| matches!(made.get(*at), Some(Err(error)) if !is_unexplained(error)));
        let at = last.unwrap_or(levels.len().saturating_sub(1));
        let refused = if at < made.len() { made.swap_remove(at).err() } else { None };
        let error = refused.unwrap_or_else(|| Error::new(Kind::NotFound, "it is not there afterwards"));
        let level = String::from_utf8_lossy(levels.get(at).copied().unwrap_or(root));
        Err(error.during("make the folder").at(level))
    }

    /// The absolute path on the server, in its bytes.
    pub(super) fn path(&self, path: &RelPath) -> Result<Vec<u8>> {
        let mut full = self.server.names.encode_text(&self.server.root)?;
        if !path.is_root() {
            if full.last() != Some(&b'/') {
                full.push(b'/');
            }
            full.extend_from_slice(&self.server.names.encode(path)?);
        }
        Ok(full)
    }

    /// A path for a temporary file beside `target`.
    pub(super) fn temp_path(&self, file: &RelPath, target: &[u8]) -> Vec<u8> {
        self.numbered_path(file, target, next_unique())
    }

    /// A path for the temporary file with this number. What the encoding of the server cannot hold is left out of the name.
    pub(super) fn numbered_path(&self, file: &RelPath, target: &[u8], unique: u64) -> Vec<u8> {
        let folder = target.iter().rposition(|&byte| byte == b'/').map_or(0, |slash| slash + 1);
        let name = self.server.names.encode_text(&temp_name(file.file_name(), unique));
        let name = name.unwrap_or_else(|_| temp_name("", unique).into_bytes());
        [target.get(..folder).unwrap_or_default(), name.as_slice()].concat()
    }

    /// Refuses to remove what is reached through a link: it belongs to another place, where nobody removed it.
    fn refuse_behind_links(&mut self, paths: &[RelPath]) -> Result<BTreeMap<RelPath, RelPath>> {
        let mut above: BTreeMap<RelPath, bool> = BTreeMap::new();
        for path in paths {
            let mut folder = path.parent();
            while let Some(dir) = folder.filter(|dir| !dir.is_root()) {
                folder = dir.parent();
                above.insert(dir, false);
            }
        }
        let folders: Vec<RelPath> = above.keys().cloned().collect();
        let full: Vec<Vec<u8>> = folders.iter().map(|dir| self.path(dir)).collect::<Result<_>>()?;
        let replies = self.talk.ask_all(full.iter().map(|path| Request::LinkStat { path }))?;
        for (dir, reply) in folders.into_iter().zip(replies) {
            let is_link = attributes(reply).is_ok_and(|found| found.file_type() == FileType::Link);
            above.insert(dir, is_link);
        }
        let mut refused = BTreeMap::new();
        for path in paths {
            let mut folder = path.parent();
            while let Some(dir) = folder {
                if above.get(&dir) == Some(&true) {
                    refused.insert(path.clone(), dir.clone());
                }
                folder = dir.parent();
            }
        }
        Ok(refused)
    }

    fn remove_burst(&mut self, files: &[RelPath]) -> Result<Vec<Result<()>>> {
        let refused = self.refuse_behind_links(files)?;
        let mut results = Vec::with_capacity(files.len());
        let paths: Vec<Result<Vec<u8>>> = files
            .iter()
            .map(|file| match refused.get(file) {
                Some(link) => Err(behind_link(link)),
                None => self.path(file),
            })
            .collect();
        let requests = paths.iter().flatten().map(|path| Request::Remove { path });
        let mut replies = self.talk.ask_all(requests)?.into_iter();
        for path in paths {
            results.push(match path {
                Err(error) => Err(error),
                Ok(_) => replies.next().map_or_else(|| Err(super::errors::nonsense()), success),
            });
        }
        Ok(results)
    }

    fn remove_folder(&mut self, dir: &RelPath) -> Result<()> {
        if let Some(link) = self.refuse_behind_links(std::slice::from_ref(dir))?.get(dir) {
            return Err(behind_link(link));
        }
        let path = self.path(dir)?;
        let Err(error) = success(self.talk.ask(&Request::RemoveFolder { path: &path })?) else {
            return Ok(());
        };
        // A link to a folder is removed, never what it leads to.
        let found = attributes(self.talk.ask(&Request::LinkStat { path: &path })?);
        match found {
            Ok(found) if found.file_type() == FileType::Link => {
                success(self.talk.ask(&Request::Remove { path: &path })?)
            }
            Ok(_) | Err(_) => Err(error),
        }
    }

    fn make_folders(&mut self, dirs: &[RelPath]) -> Result<Vec<Result<()>>> {
        let paths: Vec<Result<Vec<u8>>> = dirs.iter().map(|dir| self.path(dir)).collect();
        let requests =
            paths.iter().flatten().flat_map(|path| [Request::MakeFolder { path }, Request::Stat { path }]);
        let mut replies = self.talk.ask_all(requests)?.into_iter();
        let judged = paths.into_iter().map(|path| {
            path.and_then(|_| match (replies.next(), replies.next()) {
                (Some(made), Some(found)) => judge_made(made, found),
                _ => Err(super::errors::nonsense()),
            })
        });
        Ok(judged.collect())
    }

    /// Servers only say that it failed, and not that something is there.
    fn make_new_folder(&mut self, dir: &RelPath) -> Result<()> {
        let path = self.path(dir)?;
        let replies =
            self.talk.ask_all([Request::MakeFolder { path: &path }, Request::Stat { path: &path }])?;
        let [made, found] = replies.try_into().map_err(|_| super::errors::nonsense())?;
        success(made).map_err(|error| match attributes(found) {
            Ok(_) => Error::new(Kind::Exists, "it is there already"),
            Err(_) => error,
        })
    }

    fn set_time(&mut self, file: &RelPath, to: Stamp) -> Result<()> {
        let Some(times) = times(to) else {
            return Err(Error::new(
                Kind::Unsupported,
                "SFTP cannot tell a time before 1970, or so far in the future",
            ));
        };
        let path = self.path(file)?;
        let to = Attributes { times: Some(times), ..Attributes::default() };
        let replies =
            self.talk.ask_all([Request::SetStat { path: &path, to }, Request::Stat { path: &path }])?;
        let [set, found] = replies.try_into().map_err(|_| super::errors::nonsense())?;
        success(set)?;
        if stamp(&attributes(found)?).is_none_or(|found| found.seconds() != i64::from(times.1)) {
            self.server.learned().forgets_times = true;
            return Err(Error::new(Kind::Unsupported, "the server does not keep times"));
        }
        Ok(())
    }
}

fn behind_link(link: &RelPath) -> Error {
    Error::new(Kind::Refused, format!("it is reached through the link {link}"))
}

/// What came of a folder that was to be made, by what is there now.
fn judge_made(made: Reply, found: Reply) -> Result<()> {
    let Err(error) = success(made) else { return Ok(()) };
    match attributes(found).map(|found| found.file_type()) {
        Ok(FileType::Folder) => Ok(()),
        Ok(FileType::File | FileType::Link | FileType::Special) => {
            Err(Error::new(Kind::Exists, "a file has this name"))
        }
        Ok(FileType::Unknown) | Err(_) => Err(error),
    }
}

/// The attributes that an answer holds, or why it holds none.
pub(super) fn attributes(reply: Reply) -> Result<Attributes> {
    expected(reply, |reply| match reply {
        Reply::Attributes(attributes) => Some(attributes),
        _ => None,
    })
}

/// The one path that an answer holds.
pub(super) fn real_path(reply: Reply) -> Result<Vec<u8>> {
    expected(reply, |reply| match reply {
        Reply::Names(mut items) => items.pop().map(|item| item.name),
        _ => None,
    })
}

/// An open file or folder.
pub(super) fn handle(reply: Reply) -> Result<Vec<u8>> {
    expected(reply, |reply| match reply {
        Reply::Handle(handle) => Some(handle),
        _ => None,
    })
}

/// Times of access (now) and modification as the protocol holds them; `None` for one it cannot hold, or that would be
/// understood as another one.
pub(super) fn times(mtime: Stamp) -> Option<(u32, u32)> {
    let told = (u32::try_from(now()).unwrap_or(u32::MAX), u32::try_from(mtime.seconds()).ok()?);
    let heard = stamp(&Attributes { times: Some(told), ..Attributes::default() });
    (heard.map(Stamp::seconds) == Some(mtime.seconds())).then_some(told)
}

/// Seconds since 1970-01-01 UTC.
fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    i64::try_from(now).unwrap_or(i64::MAX)
}

/// The modification time that attributes tell; the protocol knows whole seconds.
pub(super) fn stamp(attributes: &Attributes) -> Option<Stamp> {
    attributes.mtime(now()).map(|seconds| Stamp::new(seconds, 0))
}

/// Whether nothing is there, as an answer to STAT tells it; an error that means neither is passed on.
pub(super) fn found(reply: Reply) -> Result<Option<Attributes>> {
    match reply {
        Reply::Attributes(attributes) => Ok(Some(attributes)),
        Reply::Status(status) if refusal(&status).kind() == Kind::NotFound => Ok(None),
        reply => attributes(reply).map(Some),
    }
}

impl Session for SftpSession {
    fn list(&mut self, dir: &RelPath) -> Result<Listing> {
        let shown = if dir.is_root() { self.server.root.clone() } else { dir.to_string() };
        self.list_folder(dir).map_err(|error| error.during("list").at(shown))
    }

    fn read(&mut self, file: &RelPath, lend: &mut dyn FnMut(&mut dyn Read) -> Result<()>) -> Result<()> {
        self.download(file, 0, lend)
    }

    fn announce(&mut self, files: &[(&RelPath, u64)]) {
        self.begin_all(files);
    }

    fn can_read_from(&self) -> bool {
        true
    }

    fn read_from(
        &mut self,
        file: &RelPath,
        start: u64,
        lend: &mut dyn FnMut(&mut dyn Read) -> Result<()>,
    ) -> Result<()> {
        self.download(file, start, lend)
    }

    fn held(&mut self, file: &RelPath, put: &Put) -> Result<u64> {
        self.held_of(file, put).map_err(|error| error.during("look for a part of").at(file))
    }

    fn write(&mut self, file: &RelPath, body: &mut dyn Read, put: &Put) -> Result<Written> {
        self.upload(file, body, put)
    }

    fn write_behind(&mut self, file: &RelPath, body: &mut dyn Read, put: &Put) -> Result<Option<Written>> {
        self.upload_behind(file, body, put)
    }

    fn settled(&mut self, all: bool) -> Result<Vec<Settled>> {
        self.settle(all)
    }

    fn unsettled(&self) -> Vec<RelPath> {
        self.behind.unsettled()
    }

    fn mkdir(&mut self, dir: &RelPath) -> Result<()> {
        self.mkdirs(std::slice::from_ref(dir)).pop().unwrap_or_else(|| Err(super::errors::nonsense()))
    }

    fn make_new(&mut self, dir: &RelPath) -> Result<()> {
        self.make_new_folder(dir).map_err(|error| error.during("make the folder").at(dir))
    }

    fn mkdirs(&mut self, dirs: &[RelPath]) -> Vec<Result<()>> {
        let context = |error: Error, dir| error.during("make the folder").at(dir);
        match self.make_folders(dirs) {
            Ok(results) => results
                .into_iter()
                .zip(dirs)
                .map(|(result, dir)| result.map_err(|error| context(error, dir)))
                .collect(),
            Err(error) => dirs.iter().map(|dir| Err(context(error.duplicate(), dir))).collect(),
        }
    }

    fn remove_file(&mut self, file: &RelPath) -> Result<()> {
        let results = self.remove_burst(std::slice::from_ref(file));
        let result =
            results.and_then(|mut results| results.pop().unwrap_or_else(|| Err(super::errors::nonsense())));
        result.map_err(|error| error.during("remove").at(file))
    }

    fn remove_dir(&mut self, dir: &RelPath) -> Result<()> {
        self.remove_folder(dir).map_err(|error| error.during("remove the folder").at(dir))
    }

    fn remove_files(&mut self, files: &[RelPath]) -> Vec<Result<()>> {
        match self.remove_burst(files) {
            Ok(results) => results
                .into_iter()
                .zip(files)
                .map(|(result, file)| result.map_err(|error| error.during("remove").at(file)))
                .collect(),
            Err(error) => files.iter().map(|file| Err(error.duplicate().during("remove").at(file))).collect(),
        }
    }

    fn rename(&mut self, from: &RelPath, to: &RelPath) -> Result<()> {
        let context = |error: Error| error.during("rename").at(from);
        let (old, new) = (self.path(from).map_err(context)?, self.path(to).map_err(context)?);
        self.put_in_place(&old, &new, to, None, false).map_err(context)
    }

    fn set_mtime(&mut self, file: &RelPath, to: Stamp) -> Result<()> {
        self.set_time(file, to).map_err(|error| error.during("set the time of").at(file))
    }

    fn still(&mut self, names: &[(RelPath, Expect)]) -> Vec<Result<Option<bool>>> {
        self.look_again(names)
    }

    fn is_alive(&mut self) -> bool {
        self.talk.is_alive()
    }

    fn greeting(&self) -> &[(u8, String)] {
        &self.greeting
    }

    fn into_sftp(self: Box<Self>) -> Option<ByHand> {
        Some(ByHand::lead(*self))
    }

    fn close(self: Box<Self>) {
        self.talk.close();
    }
}
