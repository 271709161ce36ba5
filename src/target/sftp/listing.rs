//! Listing a folder, and finding out where links lead.

use super::conversation::Asked;
use super::errors::{expected, nonsense, refusal};
use super::session::{SftpSession, attributes, handle, real_path, stamp};
use crate::error::{Error, Kind, Result};
use crate::model::{Entry, Listing, Name, Note, RelPath};
use crate::quoted::Quoted;
use crate::target::litter;
use crate::target::local::Links;
use crate::wire::sftp::{Attributes, FileType, Item, Reply, Request};
use std::collections::{HashSet, VecDeque};

/// READDIR requests that are under way; each brings about a hundred names.
const AHEAD: usize = 4;
/// After so many answers without a name in a row there are no more names.
const MOST_EMPTY: usize = 16;
/// No folder has as many entries as this.
const MAX_ENTRIES: usize = 10_000_000;

impl SftpSession {
    /// See [`Session::list`](crate::target::Session::list).
    pub(super) fn list_folder(&mut self, dir: &RelPath) -> Result<Listing> {
        let path = self.path(dir)?;
        let items = self.items(&path)?;
        let mut listing = Listing::default();
        let (mut links, mut unclear) = (Vec::new(), Vec::new());
        let mut known = HashSet::new();
        for item in items {
            if matches!(item.name.as_slice(), b"." | b"..") {
                continue;
            }
            let name = match self.server.names.decode(&item.name) {
                Ok(name) => name,
                Err(why) => {
                    listing.complete = false;
                    let what = String::from_utf8_lossy(&item.name).into_owned();
                    listing.notes.push(Note::refused(what, why.to_string()));
                    continue;
                }
            };
            if !known.insert(name.clone()) {
                return Err(Error::new(
                    Kind::Protocol,
                    format!("the server lists {} twice", Quoted(name.as_str())),
                ));
            }
            if litter::is_litter(name.as_str()) {
                skip(&mut listing, name, litter::WHY);
                continue;
            }
            match item.attributes.file_type() {
                FileType::Link => links.push(name),
                FileType::Unknown => unclear.push(name),
                FileType::File | FileType::Folder | FileType::Special => {
                    take(&mut listing, name, &item.attributes, false);
                }
            }
        }
        self.clear_up(dir, unclear, &mut links, &mut listing)?;
        self.follow(dir, links, &mut listing)?;
        Ok(listing)
    }

    /// Everything that the server lists, several requests at a time.
    pub(super) fn items(&mut self, path: &[u8]) -> Result<Vec<Item>> {
        let handle = handle(self.talk.ask(&Request::OpenFolder { path })?)?;
        let mut asked: VecDeque<Asked> = VecDeque::new();
        let mut items = Vec::new();
        let mut empty = 0;
        let outcome = loop {
            while asked.len() < AHEAD {
                asked.push_back(self.talk.send(&Request::ReadFolder { handle: &handle })?);
            }
            let Some(first) = asked.pop_front() else { break Err(nonsense()) };
            match self.talk.answer(first)? {
                // Some servers end a listing with no names instead of saying that it ends. But there may also be more to come,
                // if all that was to be told at once is left out.
                Reply::Names(more) if more.is_empty() => {
                    empty += 1;
                    if empty == MOST_EMPTY {
                        break Ok(items);
                    }
                }
                Reply::Names(more) if items.len() < MAX_ENTRIES => {
                    empty = 0;
                    items.extend(more);
                }
                Reply::Names(_) => break Err(Error::new(Kind::Protocol, "the listing does not end")),
                Reply::Status(status) if status.is_end() => break Ok(items),
                Reply::Status(status) => break Err(refusal(&status)),
                _ => break Err(nonsense()),
            }
        };
        asked.into_iter().for_each(|asked| self.talk.forget(asked));
        let closed = self.talk.send(&Request::Close { handle: &handle })?;
        self.talk.forget(closed);
        self.talk.flush()?;
        outcome
    }

    /// Asks what names are whose kind the listing does not tell.
    fn clear_up(
        &mut self,
        dir: &RelPath,
        unclear: Vec<Name>,
        links: &mut Vec<Name>,
        listing: &mut Listing,
    ) -> Result<()> {
        let paths: Vec<Vec<u8>> =
            unclear.iter().map(|name| self.path(&dir.join(name))).collect::<Result<_>>()?;
        let replies = self.talk.ask_all(paths.iter().map(|path| Request::LinkStat { path }))?;
        for (name, reply) in unclear.into_iter().zip(replies) {
            match attributes(reply) {
                Ok(found) if found.file_type() == FileType::Link => links.push(name),
                Ok(found) => take(listing, name, &found, false),
                Err(error) => skip(listing, name, error.detail()),
            }
        }
        Ok(())
    }

    /// Takes links for what they lead to, as far as they are to be followed. All are asked about at once.
    fn follow(&mut self, dir: &RelPath, links: Vec<Name>, listing: &mut Listing) -> Result<()> {
        if links.is_empty() {
            return Ok(());
        }
        if self.server.config.links == Links::Skip {
            links.into_iter().for_each(|name| skip(listing, name, "a link (--links skip)"));
            return Ok(());
        }
        let mut folders = vec![dir.clone()];
        while let Some(above) = folders.last().and_then(RelPath::parent) {
            folders.push(above);
        }
        let above: Vec<Vec<u8>> = folders.iter().map(|dir| self.path(dir)).collect::<Result<_>>()?;
        let paths: Vec<Vec<u8>> =
            links.iter().map(|name| self.path(&dir.join(name))).collect::<Result<_>>()?;
        let about_links = paths.iter().flat_map(|path| [Request::Stat { path }, Request::RealPath { path }]);
        let about_folders = above.iter().map(|path| Request::RealPath { path });
        let mut replies = self.talk.ask_all(about_folders.chain(about_links))?.into_iter();
        let above: Vec<Vec<u8>> =
            replies.by_ref().take(above.len()).filter_map(|reply| real_path(reply).ok()).collect();
        for (name, path) in links.into_iter().zip(paths) {
            let (Some(found), Some(real)) = (replies.next(), replies.next()) else { return Err(nonsense()) };
            match self.leads_to(found, real, &path, &above) {
                Ok(found) => take(listing, name, &found, true),
                Err(why) => skip(listing, name, &why),
            }
        }
        Ok(())
    }

    /// What a link leads to, if it is to be followed; else why not.
    fn leads_to(
        &self,
        found: Reply,
        real: Reply,
        path: &[u8],
        above: &[Vec<u8>],
    ) -> Result<Attributes, String> {
        let found = expected(found, |reply| match reply {
            Reply::Attributes(found) => Some(found),
            _ => None,
        })
        .map_err(|_| "a link that leads nowhere".to_owned())?;
        let real = real_path(real).map_err(|_| "a link whose end the server does not tell".to_owned())?;
        let is_told = real != path;
        if self.server.config.links == Links::Inside {
            let is_inside = is_told && self.real_root.as_deref().is_some_and(|root| is_below(&real, root));
            if !is_inside {
                return Err("a link that leads out of the root (see --links)".to_owned());
            }
        }
        if found.file_type() == FileType::Folder && (!is_told || above.iter().any(|dir| is_below(dir, &real)))
        {
            return Err("a link to a folder that holds it".to_owned());
        }
        Ok(found)
    }
}

/// Whether a path is another one or below it.
fn is_below(path: &[u8], root: &[u8]) -> bool {
    let root = root.strip_suffix(b"/").unwrap_or(root);
    path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
}

fn take(listing: &mut Listing, name: Name, found: &Attributes, is_link: bool) {
    let mut entry = match found.file_type() {
        FileType::Folder => Entry::folder(name, stamp(found)),
        FileType::File => Entry::file(name, found.size, stamp(found)),
        FileType::Link | FileType::Special | FileType::Unknown => {
            skip(listing, name, "neither a file nor a folder");
            return;
        }
    };
    entry.is_link = is_link;
    entry.mode = found.permissions().and_then(|mode| u16::try_from(mode & 0o777).ok());
    listing.entries.push(entry);
}

fn skip(listing: &mut Listing, name: Name, why: &str) {
    listing.notes.push(Note::new(name.to_string(), why));
    listing.present_but_skipped.push(name);
}

#[cfg(test)]
mod tests {
    use super::is_below;

    #[test]
    fn below_is_judged_by_whole_names() {
        assert!(is_below(b"/a/b", b"/a") && is_below(b"/a", b"/a") && is_below(b"/a", b"/"));
        assert!(!is_below(b"/a-b", b"/a") && !is_below(b"/", b"/a"));
    }
}
