//! What is to be deleted, collected while walking and carried out at the end, once the guard has seen all of it.

use super::job::{Doomed, Ticket};
use crate::model::{RelPath, Side};
use std::collections::{BTreeMap, HashSet};

/// The place of a folder among those to remove.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DoomedDir(usize);

/// A file or folder whose removal has to be remembered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    /// The folder that remembers it.
    pub ticket: Ticket,
    /// Its name there.
    pub name: String,
    /// The folder to remove that it is in, if any. What is in one that really goes is not counted by itself.
    pub within: Option<DoomedDir>,
    /// Its version, see [`version`](crate::target::version); 0 if the side does not tell versions.
    pub version: u64,
}

/// A folder of which nothing stays.
#[derive(Debug, Clone)]
pub struct DoomedTree {
    /// The folder.
    pub root: RelPath,
    /// All files in it.
    pub files: Vec<Doomed>,
    /// All folders in it, itself among them.
    pub folders: Vec<RelPath>,
}

#[derive(Debug)]
struct Dir {
    side: Side,
    path: RelPath,
    parent: Option<DoomedDir>,
    has_meta: bool,
    is_kept: bool,
    is_back: bool,
    /// It went, or was to go, with everything in it at once.
    is_taken: bool,
    trace: Option<Trace>,
}

/// Everything that is to be deleted.
#[derive(Debug, Default)]
pub struct Removals {
    files: Vec<(Side, Doomed)>,
    dirs: Vec<Dir>,
    folders: HashSet<(Side, String)>,
    traces: BTreeMap<(Side, String), Trace>,
}

impl Removals {
    /// Adds a file; `None` for one that nobody remembers.
    pub fn add_file(&mut self, side: Side, file: Doomed, trace: Option<Trace>) {
        if let Some(trace) = trace {
            self.traces.insert((side, file.path.as_str().to_owned()), trace);
        }
        self.files.push((side, file));
    }

    /// Adds a folder.
    pub fn add_dir(&mut self, side: Side, path: RelPath, trace: Trace) -> DoomedDir {
        self.folders.insert((side, path.as_str().to_owned()));
        let parent = trace.within;
        let trace = Some(trace);
        let (has_meta, is_kept, is_back, is_taken) = (false, false, false, false);
        self.dirs.push(Dir { side, path, parent, has_meta, is_kept, is_back, is_taken, trace });
        DoomedDir(self.dirs.len() - 1)
    }

    /// Notes that a folder holds a metadata file of ours, which goes with it.
    pub fn has_meta(&mut self, dir: DoomedDir) {
        self.dirs[dir.0].has_meta = true;
    }

    /// Something in a folder stays: so does the folder, and those above it.
    pub fn keep(&mut self, dir: DoomedDir) {
        let mut next = Some(dir);
        while let Some(DoomedDir(index)) = next {
            self.dirs[index].is_kept = true;
            next = self.dirs[index].parent;
        }
    }

    /// Whether a folder stays because something in it does.
    pub fn is_kept(&self, dir: DoomedDir) -> bool {
        self.dirs[dir.0].is_kept
    }

    /// Notes that the other side has a folder again, as it got something out of it: so it has those above it.
    pub fn comes_back(&mut self, dir: DoomedDir) {
        let mut next = Some(dir);
        while let Some(DoomedDir(index)) = next {
            self.dirs[index].is_back = true;
            next = self.dirs[index].parent;
        }
    }

    /// Whether the other side has a folder again.
    pub fn is_back(&self, dir: DoomedDir) -> bool {
        self.dirs[dir.0].is_back
    }

    /// A folder that stays in one that is back, and is not back itself: the first one whose place comes after `last`.
    pub fn left_behind(&self, last: Option<DoomedDir>) -> Option<(DoomedDir, Side, RelPath, Trace)> {
        let first = last.map_or(0, |last| last.0 + 1);
        self.dirs.iter().enumerate().skip(first).find_map(|(index, dir)| {
            let is_left = dir.is_kept && !dir.is_back && dir.parent.is_some_and(|above| self.is_back(above));
            let trace = dir.trace.clone().filter(|_| is_left)?;
            Some((DoomedDir(index), dir.side, dir.path.clone(), trace))
        })
    }

    /// Whether the removal that left a trace is counted by itself.
    pub fn is_counted(&self, trace: &Trace) -> bool {
        trace.within.is_none_or(|dir| self.is_kept(dir))
    }

    /// What a path leaves behind once it is gone.
    pub fn take_trace(&mut self, side: Side, path: &RelPath) -> Option<Trace> {
        self.traces.remove(&(side, path.as_str().to_owned()))
    }

    /// What these files and folders of a side leave behind once they are gone.
    pub fn traces_of<'p>(
        &self,
        side: Side,
        paths: impl Iterator<Item = &'p RelPath>,
    ) -> Vec<(RelPath, Trace)> {
        let trace = |path: &RelPath| self.traces.get(&(side, path.as_str().to_owned())).cloned();
        paths.filter_map(|path| Some((path.clone(), trace(path)?))).collect()
    }

    /// The same, for a folder with everything in it.
    pub fn traces_in(&self, side: Side, tree: &DoomedTree) -> Vec<(RelPath, Trace)> {
        let mut traces = self.traces_of(side, tree.files.iter().map(|file| &file.path));
        let dirs = self.dirs.iter().filter(|dir| dir.side == side && dir.path.is_within(&tree.root));
        traces.extend(dirs.filter_map(|dir| Some((dir.path.clone(), dir.trace.clone()?))));
        traces
    }

    /// The folders of a side of which nothing stays, each without those inside another one.
    pub fn whole_trees(&self, side: Side) -> Vec<DoomedTree> {
        let is_top = |dir: &&Dir| {
            dir.side == side && !dir.is_kept && dir.parent.is_none_or(|above| self.is_kept(above))
        };
        self.dirs.iter().filter(is_top).map(|top| self.tree(side, &top.path)).collect()
    }

    fn tree(&self, side: Side, root: &RelPath) -> DoomedTree {
        let files = self.files.iter().filter(|(on, file)| *on == side && file.path.is_within(root));
        let folders = self.dirs.iter().filter(|dir| dir.side == side && dir.path.is_within(root));
        DoomedTree {
            root: root.clone(),
            files: files.map(|(_, file)| file.clone()).collect(),
            folders: folders.map(|dir| dir.path.clone()).collect(),
        }
    }

    /// Takes everything in a folder from what is to be removed: files first, then folders, the deepest first.
    pub fn take_tree(&mut self, side: Side, root: &RelPath) -> Vec<RelPath> {
        let DoomedTree { files, mut folders, .. } = self.tree(side, root);
        self.files.retain(|(on, file)| *on != side || !file.path.is_within(root));
        for dir in self.dirs.iter_mut().filter(|dir| dir.side == side && dir.path.is_within(root)) {
            dir.is_taken = true;
            if let Some(trace) = dir.trace.take() {
                self.traces.insert((side, dir.path.as_str().to_owned()), trace);
            }
        }
        folders.sort_by_key(|path| std::cmp::Reverse(path.depth()));
        files.into_iter().map(|file| file.path).chain(folders).collect()
    }

    /// What has not been carried out: every trace left.
    pub fn take_traces(&mut self) -> Vec<Trace> {
        let from_dirs: Vec<Trace> = self.dirs.iter_mut().filter_map(|dir| dir.trace.take()).collect();
        std::mem::take(&mut self.traces).into_values().chain(from_dirs).collect()
    }

    /// Takes files from what is to be removed.
    pub fn take_files(&mut self, is_meant: impl Fn(Side, &Doomed) -> bool) -> Vec<(Side, Doomed)> {
        let (taken, left) =
            std::mem::take(&mut self.files).into_iter().partition(|(side, file)| is_meant(*side, file));
        self.files = left;
        taken
    }

    /// The files of one side, in bursts of at most `burst`.
    pub fn file_bursts(&self, side: Side, burst: usize) -> Vec<Vec<Doomed>> {
        let files: Vec<Doomed> =
            self.files.iter().filter(|(on, _)| *on == side).map(|(_, file)| file.clone()).collect();
        files.chunks(burst).map(<[Doomed]>::to_vec).collect()
    }

    /// How many files of one side there are.
    pub fn count_files(&self, side: Side) -> usize {
        self.files.iter().filter(|(on, _)| *on == side).count()
    }

    /// How deep the deepest folder of a side lies.
    pub fn depth(&self, side: Side) -> usize {
        self.dirs.iter().filter(|dir| dir.side == side).map(|dir| dir.path.depth()).max().unwrap_or(0)
    }

    /// The folders of one side at one depth that nothing keeps. To be asked deepest first, each depth after the one below
    /// is done: what could not be removed there keeps what is above.
    pub fn dirs_at(&mut self, side: Side, depth: usize) -> Vec<(RelPath, bool)> {
        let mut found = Vec::new();
        for dir in self.dirs.iter_mut().filter(|dir| dir.side == side && !dir.is_kept && !dir.is_taken) {
            if dir.path.depth() != depth {
                continue;
            }
            found.push((dir.path.clone(), dir.has_meta));
            if let Some(trace) = dir.trace.take() {
                self.traces.insert((side, dir.path.as_str().to_owned()), trace);
            }
        }
        found
    }

    /// Whether a path is that of a folder to remove.
    pub fn is_folder(&self, side: Side, path: &RelPath) -> bool {
        self.folders.contains(&(side, path.as_str().to_owned()))
    }
}
