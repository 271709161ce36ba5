//! Listings ahead of their turn.
//!
//! Folders are visited one after another, and a listing takes several round trips. So the folders that come next are listed
//! before anybody has looked at those in front of them: the ones that wait for their visit, and the ones that will most
//! likely be found in these. A guess that turns out wrong costs a listing and is dropped; nothing else comes of it.
//!
//! A link to a folder is another name of a place that may have its own turn before or after. So it is an island: nothing is
//! listed ahead beyond its shores, and everything is done before they are crossed.

use super::*;
use std::cell::LazyCell;

/// Folders that may be under way at a time, for each thread.
const AT_A_TIME: usize = 2;
/// How far ahead, in folders.
const FAR: usize = 256;
/// How many names may wait for the visit of their folder.
const MANY: usize = 20_000;

/// A folder that will probably be visited.
pub(super) struct Foreseen {
    /// Its path, on the sides that have it.
    dirs: Sides<Option<RelPath>>,
    views: Sides<Option<Result<Box<View>>>>,
    is_submitted: bool,
    /// The folders expected in it.
    children: Vec<Ticket>,
    /// It is to be removed, so whatever is in it will be visited.
    is_doomed: bool,
}

impl Foreseen {
    fn new(dirs: Sides<Option<RelPath>>, is_doomed: bool) -> Self {
        Foreseen { dirs, views: Sides::default(), is_submitted: false, children: Vec::new(), is_doomed }
    }

    /// The path under which it is looked up. Names that both sides have are one folder, so it is found by the path of either.
    fn key(&self) -> Option<&RelPath> {
        self.dirs.local.as_ref().or(self.dirs.remote.as_ref())
    }

    /// Whether it lies here, to the byte: names of a server in another encoding are not known before they are listed.
    fn is_at(&self, dirs: &Sides<Option<RelPath>>) -> bool {
        Side::BOTH.into_iter().all(|side| match (&self.dirs[side], &dirs[side]) {
            (Some(one), Some(other)) => one == other && one.bytes() == other.bytes(),
            (one, other) => one == other,
        })
    }

    fn is_listed(&self) -> bool {
        Side::BOTH.into_iter().all(|side| self.dirs[side].is_none() || self.views[side].is_some())
    }
}

/// What is listed before its turn.
#[derive(Default)]
pub(super) struct Foresight {
    /// Folders that will probably be visited, listed before anybody knows.
    foreseen: HashMap<Ticket, Foreseen>,
    /// Where they are.
    guesses: HashMap<RelPath, Ticket>,
    /// Folders that are links.
    links: Sides<HashSet<RelPath>>,
    /// The link whose folders are being visited.
    island: Option<Sides<RelPath>>,
    /// Listings under way.
    listings: usize,
    /// The last look has found less to list than there was room for, and nothing has come since.
    is_exhausted: bool,
}

impl Foresight {
    /// Something new is known: there may be something to list ahead again.
    pub(super) fn look_again(&mut self) {
        self.is_exhausted = false;
    }

    /// Whether a folder of the local side is a link, or below one.
    pub(super) fn is_behind_link(&self, dir: &RelPath) -> bool {
        let links = &self.links.local;
        !links.is_empty()
            && std::iter::successors(Some(dir.clone()), RelPath::parent).any(|above| links.contains(&above))
    }

    /// Whether a folder is a link on one of the sides.
    fn is_link(&self, paths: &Sides<RelPath>) -> bool {
        Side::BOTH.into_iter().any(|side| self.links[side].contains(&paths[side]))
    }

    /// Whether a folder is a link, or lies outside of the one that is being visited.
    fn crosses_shore(&self, paths: &Sides<RelPath>) -> bool {
        match &self.island {
            Some(island) if island == paths => false,
            Some(island) if !paths.local.is_inside(&island.local) => true,
            _ => self.is_link(paths),
        }
    }

    fn remember_links(&mut self, dir: &RelPath, side: Side, view: &View) {
        let links = view.entries.iter().filter(|entry| entry.is_link && entry.is_folder());
        self.links[side].extend(links.map(|link| dir.join(&link.name)));
    }

    fn add(&mut self, ticket: Ticket, folder: Foreseen) {
        self.guesses.extend(folder.key().cloned().map(|dir| (dir, ticket)));
        self.foreseen.insert(ticket, folder);
    }

    fn take(&mut self, ticket: Ticket) -> Option<Foreseen> {
        let foreseen = self.foreseen.remove(&ticket)?;
        if let Some(key) = foreseen.key() {
            self.guesses.remove(key);
        }
        Some(foreseen)
    }

    /// Takes what is foreseen of a folder that is to be visited now.
    fn take_for(&mut self, folder: &Folder) -> Option<(Ticket, Foreseen)> {
        let key = if folder.visit.lists(Side::Local) { &folder.paths.local } else { &folder.paths.remote };
        let ticket = *self.guesses.get(key)?;
        let foreseen = self.foreseen.get(&ticket)?;
        let dirs = Sides::from_fn(|side| {
            if folder.visit.lists(side) {
                Some(folder.paths[side].clone())
            } else {
                foreseen.dirs[side].clone()
            }
        });
        let is_it = foreseen.is_at(&dirs);
        if is_it { Some((ticket, self.take(ticket)?)) } else { None }
    }

    /// Drops guesses that have not come true, with all that was expected in them.
    fn drop_all(&mut self, mut wrong: Vec<Ticket>) {
        while let Some(ticket) = wrong.pop() {
            if let Some(foreseen) = self.take(ticket) {
                wrong.extend(foreseen.children);
            }
        }
    }
}

impl Walk<'_> {
    /// Asks for listings: that of the next folder in any case, then those that come later.
    pub(super) fn list_ahead(&mut self) -> Result<()> {
        let next = self.agenda.last().copied();
        if let Some(next) = next.filter(|next| self.folders.get(next).is_some_and(|next| !next.is_submitted))
        {
            if self.crosses_shore(next) {
                self.wait_for_all()?;
                let paths = self.folders.get(&next).map(|folder| folder.paths.clone());
                self.ahead.island = paths.filter(|paths| self.ahead.is_link(paths));
            }
            self.request(next)?;
        }
        let most = AT_A_TIME * (*self.run.threads.end()).max(1);
        if self.ahead.is_exhausted || self.ahead.listings >= most {
            return Ok(());
        }
        let due = self.due(most - self.ahead.listings);
        // Nothing changes about that until another listing has come, or another folder is on the agenda.
        self.ahead.is_exhausted = due.len() < most - self.ahead.listings;
        due.into_iter().try_for_each(|ticket| self.request(ticket))
    }

    /// The first `count` folders not yet listed, in the order in which they will be visited.
    fn due(&self, count: usize) -> Vec<Ticket> {
        let (mut due, mut names) = (Vec::new(), 0);
        let mut ahead = self.agenda[self.agenda.len().saturating_sub(FAR)..].to_vec();
        for _ in 0..FAR {
            let Some(ticket) = ahead.pop().filter(|_| due.len() < count && names < MANY) else {
                break;
            };
            let (is_submitted, views, children) =
                match (self.folders.get(&ticket), self.ahead.foreseen.get(&ticket)) {
                    (Some(folder), _) => (folder.is_submitted, &folder.views, &folder.children),
                    (None, Some(foreseen)) => (foreseen.is_submitted, &foreseen.views, &foreseen.children),
                    (None, None) => continue,
                };
            if self.crosses_shore(ticket) {
                break;
            }
            if !is_submitted {
                due.push(ticket);
            }
            let listed = [&views.local, &views.remote].into_iter().flatten().flatten();
            names += listed.map(|view| view.entries.len()).sum::<usize>();
            ahead.extend(children.iter().rev());
        }
        due
    }

    /// Asks for the listings of a folder.
    fn request(&mut self, ticket: Ticket) -> Result<()> {
        let (mut jobs, mut is_source_known) = (Vec::with_capacity(2), false);
        if let Some(folder) = self.folders.get_mut(&ticket) {
            folder.is_submitted = true;
            is_source_known = folder.is_made_remotely() && folder.views.local.is_some();
            for side in Side::BOTH {
                let make = match folder.visit {
                    // It has to wait, see `make_remotely`.
                    Visit::Copy { to: Side::Remote, .. } if side == Side::Remote => continue,
                    Visit::Copy { to, has_twin, .. } if to == side => Make::new(has_twin),
                    _ if folder.visit.lists(side) => Make::Nothing,
                    _ => continue,
                };
                if folder.views[side].is_none() && !folder.is_awaited[side] {
                    jobs.push(Job::List { ticket, side, dir: folder.paths[side].clone(), make });
                }
            }
        } else if let Some(foreseen) = self.ahead.foreseen.get_mut(&ticket) {
            foreseen.is_submitted = true;
            for side in Side::BOTH {
                if let Some(dir) = foreseen.dirs[side].clone() {
                    jobs.push(Job::List { ticket, side, dir, make: Make::Nothing });
                }
            }
        }
        self.ahead.listings += jobs.len();
        jobs.into_iter().try_for_each(|job| self.submit(job))?;
        if is_source_known { self.make_remotely(ticket) } else { Ok(()) }
    }

    /// Makes the folder on the remote side, once nothing remembers what a folder of that name has held: should the run end
    /// before all is copied, the rest would look as if it had been removed there.
    fn make_remotely(&mut self, ticket: Ticket) -> Result<()> {
        let Some(folder) = self.folders.get(&ticket) else { return Ok(()) };
        let (dir, opposite) = (folder.paths.local.clone(), folder.paths.remote.clone());
        let is_behind_link = self.ahead.is_behind_link(&dir);
        let Some(folder) = self.folders.get_mut(&ticket) else { return Ok(()) };
        let Some(Ok(source)) = &mut folder.views.local else {
            // What cannot be read is not made either; the visit tells why.
            folder.views.remote = Some(Ok(Box::default()));
            return Ok(());
        };
        if is_behind_link {
            source.meta.replace_memory(&self.peer, None, self.run.clock.now());
        }
        let remembers = source.meta.archive(&self.peer).seen.is_some_and(|seen| !seen.is_empty());
        if !remembers {
            return self.make_at_once(ticket);
        }
        source.meta.forget_all(&self.peer);
        let (meta, file) = (source.meta.clone(), source.meta_file);
        let (text, since) = (self.metadata_text(&meta), self.since(Side::Local, file));
        self.submit(Job::WriteMeta { ticket, side: Side::Local, dir, opposite, text, since })
    }

    fn make_at_once(&mut self, ticket: Ticket) -> Result<()> {
        let Some(folder) = self.folders.get(&ticket) else { return Ok(()) };
        let dir = folder.paths.remote.clone();
        let has_twin = matches!(folder.visit, Visit::Copy { has_twin: true, .. });
        self.ahead.listings += 1;
        self.submit(Job::List { ticket, side: Side::Remote, dir, make: Make::new(has_twin) })
    }

    /// Takes the answer to the metadata that was written first, if that was what it is about.
    pub(super) fn forgot(&mut self, ticket: Ticket, result: Result<()>) -> Result<Option<Result<()>>> {
        let Some(folder) = self.folders.get_mut(&ticket).filter(|folder| folder.is_made_remotely()) else {
            return Ok(Some(result));
        };
        match result {
            Ok(()) => self.make_at_once(ticket)?,
            Err(error) => folder.views.remote = Some(Err(error.during("write the metadata of"))),
        }
        Ok(None)
    }

    /// Takes a listing, and guesses what will be visited inside.
    pub(super) fn take_listing(&mut self, ticket: Ticket, side: Side, view: Result<Box<View>>) -> Result<()> {
        self.ahead.listings -= 1;
        self.ahead.look_again();
        let mut view = view;
        if let Ok(view) = &mut view
            && self.policy.follows
        {
            view.meta.put_aside();
        }
        let dir = match (self.folders.get(&ticket), self.ahead.foreseen.get(&ticket)) {
            (Some(folder), _) => Some(folder.paths[side].clone()),
            (None, Some(foreseen)) => foreseen.dirs[side].clone(),
            (None, None) => None,
        };
        if let (Some(dir), Ok(view)) = (dir, &view) {
            self.ahead.remember_links(&dir, side, view);
        }
        if let (ROOT, Side::Local, Ok(view)) = (ticket, side, &view) {
            self.memory.contents = view.meta.copies(&self.peer);
        }
        if let Some(folder) = self.folders.get_mut(&ticket) {
            folder.views[side] = Some(view);
            folder.is_awaited[side] = false;
            if side == Side::Local && folder.is_submitted && folder.is_made_remotely() {
                self.make_remotely(ticket)?;
            }
        } else if let Some(foreseen) = self.ahead.foreseen.get_mut(&ticket) {
            foreseen.views[side] = Some(view);
        }
        let children = match (self.folders.get(&ticket), self.ahead.foreseen.get(&ticket)) {
            (Some(folder), _) => {
                let is_doomed = matches!(folder.visit, Visit::Remove(_));
                let dirs =
                    Sides::from_fn(|side| folder.visit.lists(side).then(|| folder.paths[side].clone()));
                if folder.is_ready() {
                    self.guess(&dirs, &folder.views, is_doomed)
                } else {
                    self.recall_folders(&dirs, &folder.views)
                }
            }
            (None, Some(foreseen)) => {
                if foreseen.is_listed() {
                    self.guess(&foreseen.dirs, &foreseen.views, foreseen.is_doomed)
                } else {
                    self.recall_folders(&foreseen.dirs, &foreseen.views)
                }
            }
            (None, None) => return Ok(()),
        };
        self.expect(ticket, children);
        Ok(())
    }

    /// Takes these for the folders expected in a folder. What was expected before and still is stays as far as it is listed.
    fn expect(&mut self, parent: Ticket, children: Vec<Foreseen>) {
        let before = match (self.folders.get_mut(&parent), self.ahead.foreseen.get_mut(&parent)) {
            (Some(folder), _) => std::mem::take(&mut folder.children),
            (None, Some(foreseen)) => std::mem::take(&mut foreseen.children),
            (None, None) => return,
        };
        let is_expected = |ticket: &Ticket| {
            let known = self.ahead.foreseen.get(ticket);
            known.is_some_and(|known| children.iter().any(|child| child.is_at(&known.dirs)))
        };
        let (_, wrong): (Vec<Ticket>, Vec<Ticket>) = before.iter().partition(|ticket| is_expected(ticket));
        self.ahead.drop_all(wrong);
        let mut tickets = Vec::with_capacity(children.len());
        for child in children {
            let known = child.key().and_then(|dir| self.ahead.guesses.get(dir).copied());
            let ticket = match known.filter(|ticket| before.contains(ticket)) {
                Some(ticket) => ticket,
                None => {
                    let ticket = self.new_ticket();
                    self.ahead.add(ticket, child);
                    ticket
                }
            };
            tickets.push(ticket);
        }
        match (self.folders.get_mut(&parent), self.ahead.foreseen.get_mut(&parent)) {
            (Some(folder), _) => folder.children = tickets,
            (None, Some(foreseen)) => foreseen.children = tickets,
            (None, None) => {}
        }
    }

    /// The folders in a folder that both sides probably have, as long as only the local side has answered: those that it
    /// remembers.
    fn recall_folders(
        &self,
        dirs: &Sides<Option<RelPath>>,
        views: &Sides<Option<Result<Box<View>>>>,
    ) -> Vec<Foreseen> {
        let (Some(local), Some(remote), Some(Ok(view))) = (&dirs.local, &dirs.remote, &views.local) else {
            return Vec::new();
        };
        let is_wanted =
            |entry: &&Entry| entry.is_folder() && self.filter.matches(entry.name.as_str(), entry.kind);
        let folders: Vec<&Entry> = view.entries.iter().filter(is_wanted).collect();
        let has_link = folders.iter().any(|entry| entry.is_link);
        if folders.is_empty() || has_link || !self.run.foresees || local.depth() >= self.run.max_depth {
            return Vec::new();
        }
        let seen = LazyCell::new(|| view.meta.archive(&self.peer).seen.unwrap_or_default());
        let is_remembered = |entry: &&Entry| {
            let has_copy = self.memory.contents.leads_to(local.join(&entry.name).as_str());
            has_copy || seen.contains_key(entry.name.as_str())
        };
        folders
            .into_iter()
            .filter(is_remembered)
            .map(|entry| Sides {
                local: Some(local.join(&entry.name)),
                remote: Some(remote.join(&entry.name.without_raw())),
            })
            .map(|dirs| Foreseen::new(dirs, false))
            .collect()
    }

    /// Whether a folder that is to be visited is a link, or lies outside of the one that is being visited.
    fn crosses_shore(&self, ticket: Ticket) -> bool {
        self.folders.get(&ticket).is_some_and(|folder| self.ahead.crosses_shore(&folder.paths))
    }

    /// The folders in a folder that will probably be visited.
    fn guess(
        &self,
        dirs: &Sides<Option<RelPath>>,
        views: &Sides<Option<Result<Box<View>>>>,
        is_doomed: bool,
    ) -> Vec<Foreseen> {
        let has_link = |view: &View| view.entries.iter().any(|entry| entry.is_link && entry.is_folder());
        let views_known = || [&views.local, &views.remote].into_iter().flatten().flatten();
        if !self.run.foresees || views_known().any(|view| has_link(view)) {
            return Vec::new();
        }
        let mut order: Vec<&Name> = Vec::new();
        let mut found: HashMap<&str, Sides<Option<RelPath>>> = HashMap::new();
        for side in Side::BOTH {
            let (Some(dir), Some(Ok(view))) = (&dirs[side], &views[side]) else { continue };
            if dir.depth() >= self.run.max_depth {
                continue;
            }
            for entry in view.entries.iter().filter(|entry| entry.is_folder()) {
                if self.filter.matches(entry.name.as_str(), entry.kind) {
                    let paths = found.entry(entry.name.as_str()).or_insert_with(|| {
                        order.push(&entry.name);
                        Sides::default()
                    });
                    paths[side] = Some(dir.join(&entry.name));
                }
            }
        }
        let policy = &self.policy;
        let is_visited_alone = |side: Side| match policy.mode {
            _ if is_doomed => true,
            _ if !self.executor.is_live() => false,
            Mode::Upload => side == Side::Local || policy.delete,
            Mode::Download => side == Side::Remote || policy.delete,
            Mode::Sync => true,
        };
        let is_probable = |dirs: &Sides<Option<RelPath>>| match (&dirs.local, &dirs.remote) {
            (Some(_), Some(_)) => true,
            (Some(_), None) => is_visited_alone(Side::Local),
            (None, Some(_)) => is_visited_alone(Side::Remote),
            (None, None) => false,
        };
        order
            .into_iter()
            .filter_map(|name| found.remove(name.as_str()))
            .filter(is_probable)
            .map(|dirs| Foreseen::new(dirs, is_doomed))
            .collect()
    }

    /// Gives a folder that is to be visited what was listed of it already.
    pub(super) fn schedule_one(&mut self, mut folder: Folder) -> Ticket {
        let Some((ticket, foreseen)) = self.ahead.take_for(&folder) else {
            let ticket = self.new_ticket();
            self.folders.insert(ticket, folder);
            return ticket;
        };
        let Foreseen { mut views, is_submitted, children, .. } = foreseen;
        for side in Side::BOTH {
            if folder.visit.lists(side) {
                folder.views[side] = views[side].take();
                folder.is_awaited[side] = is_submitted && folder.views[side].is_none();
            }
        }
        let makes = matches!(folder.visit, Visit::Copy { .. });
        folder.is_submitted = is_submitted && !makes;
        folder.children = children;
        self.folders.insert(ticket, folder);
        ticket
    }

    /// Drops the guesses about a folder that have not come true.
    pub(super) fn forget_guesses(&mut self, ticket: Ticket) {
        let Some(folder) = self.folders.get_mut(&ticket) else { return };
        let wrong = std::mem::take(&mut folder.children);
        self.ahead.drop_all(wrong);
    }
}
