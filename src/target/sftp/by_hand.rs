//! The server by hand: verbs for scripts that go beyond a folder to synchronise, on the same connection.

use super::Server;
use super::errors::{nonsense, success};
use super::session::{SftpSession, attributes, real_path};
use crate::error::{Error, Kind, Result};
use crate::model::RelPath;
use crate::target::{Put, Session};
use crate::wire::sftp::{Attributes, FileType, Request};
use russh::ChannelMsg;
use std::io::Read;
use std::sync::Arc;

/// The most that a command may print, in bytes.
const MAX_OUTPUT: usize = 64 * 1024 * 1024;

/// A session that may go anywhere on the server. Paths are absolute.
pub struct ByHand {
    session: SftpSession,
    /// Where it was before, and where that is without links.
    home: Option<(Arc<Server>, Option<Vec<u8>>)>,
}

/// What a command has printed.
#[derive(Debug, Default)]
pub struct Printed {
    /// As its output.
    pub out: Vec<u8>,
    /// As errors.
    pub err: Vec<u8>,
}

impl ByHand {
    pub(super) fn new(session: SftpSession) -> Self {
        ByHand { session, home: None }
    }

    /// Leads a session of a target to the root of its server.
    pub(super) fn lead(mut session: SftpSession) -> Self {
        let top = session.server.at_the_top();
        let home = (std::mem::replace(&mut session.server, top), session.real_root.take());
        session.real_root = Some(b"/".to_vec());
        ByHand { session, home: Some(home) }
    }

    /// The session, back in the root of its target if it comes from there.
    pub fn back(self) -> Box<dyn Session> {
        let mut session = self.session;
        if let Some((server, real_root)) = self.home {
            session.server = server;
            session.real_root = real_root;
        }
        Box::new(session)
    }

    /// What stands at a path; of a link, what it leads to, if it is to be followed.
    ///
    /// # Errors
    /// [`Kind::NotFound`] and the like.
    pub fn attributes(&mut self, path: &str, follow: bool) -> Result<Attributes> {
        let context = |error: Error| error.during("look at").at(path);
        let raw = self.raw(path).map_err(context)?;
        let request = if follow { Request::Stat { path: &raw } } else { Request::LinkStat { path: &raw } };
        self.session.talk.ask(&request).and_then(attributes).map_err(context)
    }

    /// Sets what is given of the attributes of a file.
    ///
    /// # Errors
    /// What the server refuses.
    pub fn set(&mut self, path: &str, to: Attributes) -> Result<()> {
        let context = |error: Error| error.during("change").at(path);
        let raw = self.raw(path).map_err(context)?;
        self.session.talk.ask(&Request::SetStat { path: &raw, to }).and_then(success).map_err(context)
    }

    /// The names in a folder with what they are, links not followed.
    ///
    /// # Errors
    /// What the server refuses.
    pub fn list(&mut self, path: &str) -> Result<Vec<(String, Attributes)>> {
        let context = |error: Error| error.during("list").at(path);
        let raw = self.raw(path).map_err(context)?;
        let items = self.session.items(&raw).map_err(context)?;
        let named = items.into_iter().filter_map(|item| {
            let name = self.session.server.names.decode(&item.name).ok()?;
            Some((name.to_string(), item.attributes))
        });
        Ok(named.collect())
    }

    /// The absolute path of something, without links where the server resolves them.
    ///
    /// # Errors
    /// What the server refuses.
    pub fn real_path(&mut self, path: &str) -> Result<String> {
        let context = |error: Error| error.during("look at").at(path);
        let raw = self.raw(path).map_err(context)?;
        let real = self.session.talk.ask(&Request::RealPath { path: &raw }).and_then(real_path);
        let real = real.map_err(context)?;
        let names = real.split(|&byte| byte == b'/').filter(|name| !name.is_empty());
        let decoded = names.map(|name| self.session.server.names.decode(name).map(|name| name.to_string()));
        let decoded: std::result::Result<Vec<String>, _> = decoded.collect();
        Ok(format!("/{}", decoded.map_err(|_| context(nonsense()))?.join("/")))
    }

    /// Makes one folder, with these permissions if any are given.
    ///
    /// # Errors
    /// What the server refuses; also if it is there already.
    pub fn make_folder(&mut self, path: &str, mode: Option<u32>) -> Result<()> {
        let context = |error: Error| error.during("make the folder").at(path);
        let raw = self.raw(path).map_err(context)?;
        self.session.talk.ask(&Request::MakeFolder { path: &raw }).and_then(success).map_err(context)?;
        match mode {
            Some(_) => self.set(path, Attributes { mode, ..Attributes::default() }),
            None => Ok(()),
        }
    }

    /// Removes an empty folder.
    ///
    /// # Errors
    /// What the server refuses.
    pub fn remove_folder(&mut self, path: &str) -> Result<()> {
        let context = |error: Error| error.during("remove the folder").at(path);
        let raw = self.raw(path).map_err(context)?;
        self.session.talk.ask(&Request::RemoveFolder { path: &raw }).and_then(success).map_err(context)
    }

    /// Removes a file or a link.
    ///
    /// # Errors
    /// What the server refuses.
    pub fn remove(&mut self, path: &str) -> Result<()> {
        let context = |error: Error| error.during("remove").at(path);
        let raw = self.raw(path).map_err(context)?;
        self.session.talk.ask(&Request::Remove { path: &raw }).and_then(success).map_err(context)
    }

    /// Renames a file or folder. If `replace`, a file that has the new name already goes, where the server can do that.
    ///
    /// # Errors
    /// What the server refuses.
    pub fn rename(&mut self, from: &str, to: &str, replace: bool) -> Result<()> {
        let context = |error: Error| error.during("rename").at(from);
        let (old, new) = (self.raw(from).map_err(context)?, self.raw(to).map_err(context)?);
        let request = if replace {
            Request::Replace { from: &old, to: &new }
        } else {
            Request::Rename { from: &old, to: &new }
        };
        self.session.talk.ask(&request).and_then(success).map_err(context)
    }

    /// Lends a reader over the whole file.
    ///
    /// # Errors
    /// As [`Session::read`].
    pub fn read(&mut self, path: &str, lend: &mut dyn FnMut(&mut dyn Read) -> Result<()>) -> Result<()> {
        self.session.read(&relative(path)?, lend).map_err(|error| error.spelt(path))
    }

    /// Puts a whole file at its name, or leaves what was there. A link stays: what it leads to is written. Returns its size.
    ///
    /// # Errors
    /// As [`Session::write`].
    pub fn write(&mut self, path: &str, body: &mut dyn Read) -> Result<u64> {
        if let Ok(found) = self.attributes(path, true)
            && !matches!(found.file_type(), FileType::File | FileType::Unknown)
        {
            return Err(Error::new(Kind::Clash, "something else has this name").during("write").at(path));
        }
        let (end, put) = self.end_of(path);
        let written = self.session.write(&relative(&end)?, body, &put);
        Ok(written.map_err(|error| error.spelt(path))?.size)
    }

    /// Where a file is written whose name may be that of a link, and how.
    fn end_of(&mut self, path: &str) -> (String, Put) {
        let found = self.attributes(path, false);
        if !found.is_ok_and(|found| found.file_type() == FileType::Link) {
            return (path.to_owned(), Put::default());
        }
        match self.real_path(path) {
            Ok(end) if end != path => (end, Put::default()),
            // Where the server does not tell it, only the server finds it.
            Ok(_) | Err(_) => (path.to_owned(), Put { inplace: true, ..Put::default() }),
        }
    }

    /// Runs a command on the server and waits for its end.
    ///
    /// # Errors
    /// If the server does not run commands, or the connection ends before.
    pub fn execute(&mut self, command: &str) -> Result<Printed> {
        self.session.talk.execute(command, MAX_OUTPUT).map_err(|error| error.during("run").at(command))
    }

    /// Ends the session politely.
    pub fn close(self) {
        Box::new(self.session).close();
    }

    fn raw(&self, path: &str) -> Result<Vec<u8>> {
        self.session.server.names.encode_text(path)
    }
}

impl Printed {
    pub(super) fn take(&mut self, message: ChannelMsg) {
        match message {
            ChannelMsg::Data { data } => self.out.extend_from_slice(&data),
            ChannelMsg::ExtendedData { data, .. } => self.err.extend_from_slice(&data),
            _ => {}
        }
    }

    pub(super) fn len(&self) -> usize {
        self.out.len() + self.err.len()
    }
}

impl Server {
    /// The same server from its root, on the same connection.
    pub(super) fn at_the_top(&self) -> Arc<Server> {
        let mut config = self.config.clone();
        config.root = "/".to_owned();
        config.create_root = false;
        Arc::new(Server {
            hops: self.hops.clone(),
            root: "/".to_owned(),
            names: self.names,
            link: Arc::clone(&self.link),
            interruptions: Arc::clone(&self.interruptions),
            learned: Default::default(),
            ahead: Arc::clone(&self.ahead),
            left: self.left.clone(),
            config,
        })
    }
}

fn relative(path: &str) -> Result<RelPath> {
    RelPath::parse(path).map_err(|bad| Error::new(Kind::Name, bad.to_string()).at(path))
}
