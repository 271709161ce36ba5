//! Removing: nothing goes without a last look at both sides.

use super::{Crew, borrowed, locked};
use crate::engine::job::Doomed;
use crate::error::{Error, Kind, Result, Retry};
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
        let still: Vec<(usize, (RelPath, Expect))> = files
            .iter()
            .enumerate()
            .map(|(index, doomed)| (index, (doomed.path.clone(), doomed.expect)))
            .collect();
        let mut refusals: HashMap<usize, Error> =
            self.doubts(side.other(), &gone, "the other side has it after all");
        refusals.extend(self.doubts(side, &still, "it was changed since it was listed"));
        let (mut sure, mut results) = (Vec::new(), Vec::new());
        for (index, doomed) in files.into_iter().enumerate() {
            match refusals.remove(&index) {
                Some(error) => results.push((doomed.path, Err(error))),
                None => sure.push(doomed.path),
            }
        }
        let remove = |session: &mut dyn Session, files: &[RelPath]| match &self.keeping.backup {
            None => session.remove_files(files),
            Some(_) => files.iter().map(|file| self.put_away(session, side, file)).collect(),
        };
        results.extend(self.remove_all(side, sure, remove));
        results
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
        let metas: Vec<RelPath> =
            dirs.iter().filter(|(_, has_meta)| *has_meta).filter_map(|(dir, _)| own(dir)).collect();
        // A metadata file that will not go shows in the result for its folder.
        drop(self.remove_all(side, metas, |session, files| session.remove_files(files)));
        let dirs = dirs.into_iter().map(|(dir, _)| dir).collect();
        self.remove_all(side, dirs, |session, dirs| session.remove_dirs(dirs))
    }

    /// Removes everything listed; after a lost conversation it goes on with what has no answer yet.
    fn remove_all(
        &self,
        side: Side,
        paths: Vec<RelPath>,
        remove: impl Fn(&mut dyn Session, &[RelPath]) -> Vec<Result<()>>,
    ) -> Vec<(RelPath, Result<()>)> {
        let mut answers: Vec<Result<()>> = Vec::with_capacity(paths.len());
        while answers.len() < paths.len() {
            let before = answers.len();
            let went_on = self.persist([side], |sessions| {
                let session = borrowed(sessions, side)?;
                for result in remove(session, &paths[answers.len()..]) {
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
                Err(error) => answers.push(Err(error)),
            }
        }
        paths.into_iter().zip(answers).collect()
    }
}
