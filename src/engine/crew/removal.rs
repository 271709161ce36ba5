//! Removing: nothing goes without a last look at both sides.

use super::{Crew, borrowed};
use crate::engine::job::Doomed;
use crate::engine::removal::DoomedTree;
use crate::error::{Error, Kind, Result, Retry};
use crate::locked::locked;
use crate::model::{META_FILE_NAME, Name, RelPath, Side};
use crate::plan::filter::is_temporary;
use crate::target::{Expect, Session};
use std::collections::HashMap;

impl Crew<'_> {
    /// Deletes files, after a last look at both sides: the other one must really not have them (a listing may hide names),
    /// and nobody may have worked on them since they were listed.
    pub(super) fn remove_files(&self, side: Side, files: Vec<Doomed>) -> Vec<(RelPath, Result<()>)> {
        let gone: Vec<(usize, (RelPath, Expect))> = files
            .iter()
            .enumerate()
            .filter_map(|(index, doomed)| Some((index, (doomed.gone_from.clone()?, Expect::Absent))))
            .collect();
        let mut refusals = self.doubts(side.other(), &gone, "the other side has it after all");
        if self.keeping.backup.is_some() {
            let still: Vec<(usize, (RelPath, Expect))> = files
                .iter()
                .enumerate()
                .map(|(index, doomed)| (index, (doomed.path.clone(), doomed.expect)))
                .collect();
            refusals.extend(self.doubts(side, &still, "it was changed since it was listed"));
        }
        let (mut sure, mut results) = (Vec::new(), Vec::new());
        for (index, doomed) in files.into_iter().enumerate() {
            match refusals.remove(&index) {
                Some(error) => results.push((doomed.path, Err(error))),
                None => sure.push((doomed.path, doomed.expect)),
            }
        }
        let removed =
            self.remove_all(side, sure.len(), |session, done, is_repeated| match self.keeping.backup {
                None => session.remove_if_still(&sure[done..], is_repeated),
                Some(_) => sure[done..].iter().map(|(file, _)| self.put_away(session, side, file)).collect(),
            });
        results.extend(sure.iter().map(|(file, _)| file.clone()).zip(removed));
        results
    }

    /// Deletes a folder with everything in it, after a last look at both sides. False, and nothing done, if anything is in doubt.
    pub(super) fn remove_tree(&self, side: Side, tree: &DoomedTree) -> Result<bool> {
        let gone: Vec<(usize, (RelPath, Expect))> = tree
            .files
            .iter()
            .enumerate()
            .filter_map(|(index, doomed)| Some((index, (doomed.gone_from.clone()?, Expect::Absent))))
            .collect();
        if !self.doubts(side.other(), &gone, "the other side has it after all").is_empty() {
            return Ok(false);
        }
        let files: Vec<(RelPath, Expect)> =
            tree.files.iter().map(|file| (file.path.clone(), file.expect)).collect();
        self.persist([side], |sessions| {
            borrowed(sessions, side)?.remove_tree(&tree.root, &files, &tree.folders)
        })
    }

    /// Moves a file to the backup folder instead of removing it. What an interrupted run has left behind is nobody's content.
    fn put_away(&self, session: &mut dyn Session, side: Side, file: &RelPath) -> Result<()> {
        let backup = self.keeping.backup_of(file).filter(|_| !is_temporary(file.file_name()));
        let Some(backup) = backup else {
            return session.remove_file(file);
        };
        locked(&self.made).above(side, session, &backup)?;
        session.rename(file, &backup)
    }

    /// Which names are not as they should be; what a side cannot tell is taken for granted.
    fn doubts(&self, side: Side, names: &[(usize, (RelPath, Expect))], why: &str) -> HashMap<usize, Error> {
        let questions: Vec<(RelPath, Expect)> = names.iter().map(|(_, name)| name.clone()).collect();
        if questions.is_empty() {
            return HashMap::new();
        }
        let answers = self.persist([side], |sessions| {
            borrowed(sessions, side)?.still(&questions).into_iter().collect::<Result<Vec<_>>>()
        });
        let doubt = |path: &RelPath, why: &str| Error::new(Kind::Changed, why).during("delete").at(path);
        match answers {
            Ok(answers) => names
                .iter()
                .zip(answers)
                .filter(|(_, answer)| *answer == Some(false))
                .map(|((index, (path, _)), _)| (*index, doubt(path, why)))
                .collect(),
            Err(error) => names.iter().map(|(index, _)| (*index, error.duplicate())).collect(),
        }
    }

    pub(super) fn remove_dirs(&self, side: Side, dirs: Vec<(RelPath, bool)>) -> Vec<(RelPath, Result<()>)> {
        let own = |dir: &RelPath| Name::new(META_FILE_NAME).map(|name| dir.join(&name)).ok();
        // A folder that somebody has put something into stays, and with it what it remembers of all its peers.
        let goes = |(dir, has_meta): &&(RelPath, bool)| *has_meta && !self.is_in_use(side, dir);
        let metas: Vec<RelPath> = dirs.iter().filter(goes).filter_map(|(dir, _)| own(dir)).collect();
        // A metadata file that will not go shows in the result for its folder.
        drop(self.remove_all(side, metas.len(), |session, done, _| session.remove_files(&metas[done..])));
        let dirs: Vec<RelPath> = dirs.into_iter().map(|(dir, _)| dir).collect();
        let removed =
            self.remove_all(side, dirs.len(), |session, done, _| session.remove_dirs(&dirs[done..]));
        dirs.into_iter().zip(removed).collect()
    }

    /// Whether a folder of a disk holds more than our metadata. Elsewhere a look would cost round trips, and no folder remembers
    /// peers.
    fn is_in_use(&self, side: Side, dir: &RelPath) -> bool {
        if self.pools[side].target().caps().is_networked {
            return false;
        }
        let listed = self.persist([side], |sessions| borrowed(sessions, side)?.list(dir));
        listed.is_ok_and(|listing| {
            let others = listing.entries.iter().any(|entry| entry.name.as_str() != META_FILE_NAME);
            others || !listing.complete || !listing.present_but_skipped.is_empty()
        })
    }

    /// Removes so many items, an answer for each. After a lost conversation `remove` goes on with what has no answer yet: it is
    /// told how many have one, and whether some of the others may have been carried out nevertheless.
    fn remove_all(
        &self,
        side: Side,
        count: usize,
        remove: impl Fn(&mut dyn Session, usize, bool) -> Vec<Result<()>>,
    ) -> Vec<Result<()>> {
        let mut answers: Vec<Result<()>> = Vec::with_capacity(count);
        let mut is_repeated = false;
        while answers.len() < count {
            let before = answers.len();
            let went_on = self.persist([side], |sessions| {
                let session = borrowed(sessions, side)?;
                let was_tried = std::mem::replace(&mut is_repeated, true);
                for result in remove(session, answers.len(), was_tried) {
                    match result {
                        Err(error) if error.retry() != Retry::No => return Err(error),
                        // What is gone already is as it should be.
                        Err(error) if error.kind() == Kind::NotFound => answers.push(Ok(())),
                        result => answers.push(result),
                    }
                }
                Ok(())
            });
            match went_on {
                Ok(()) if answers.len() > before => {}
                Ok(()) => answers.push(Err(Error::new(Kind::Protocol, "no answer").during("delete"))),
                Err(error) if error.is_outage() => answers.resize_with(count, || Err(error.duplicate())),
                Err(error) => answers.push(Err(error)),
            }
        }
        answers
    }
}
