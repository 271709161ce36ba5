//! Carries out, or only pretends to: a dry-run is another executor, not an `if` in the walk.

use super::Choice;
use super::crew::Crew;
use super::job::{Done, Job};
use crate::model::Side;
use crate::target::Written;
use std::collections::VecDeque;
use std::sync::mpsc::Sender;

/// Takes jobs.
pub trait Executor {
    /// Has a job carried out; what came of it arrives later, or is returned at once.
    fn submit(&mut self, job: Job) -> Option<Done>;

    /// Whether changes are really made.
    fn is_live(&self) -> bool;

    /// Bytes that have been copied so far, also of copies under way.
    fn passed(&self) -> u64 {
        0
    }

    /// Carries out one job that waits, where no thread does.
    fn work(&mut self) {}

    /// Ends what is under way. True if whoever waits for what was done will hear when that is all.
    fn stop(&mut self) -> bool {
        false
    }
}

/// Has everything carried out.
pub struct Live<'a>(pub &'a Crew<'a>);

impl Executor for Live<'_> {
    fn submit(&mut self, job: Job) -> Option<Done> {
        self.0.submit(job);
        None
    }

    fn is_live(&self) -> bool {
        true
    }

    fn passed(&self) -> u64 {
        self.0.passed()
    }

    fn stop(&mut self) -> bool {
        self.0.abandon();
        true
    }
}

/// Has listings carried out, and answers everything that would change a side as if it had gone well.
pub struct Rehearsal<'a>(pub &'a Crew<'a>);

impl Executor for Rehearsal<'_> {
    fn submit(&mut self, job: Job) -> Option<Done> {
        match job {
            Job::List { make: super::job::Make::Folder | super::job::Make::Twin, ticket, side, .. } => {
                let view = super::job::View::empty();
                Some(Done::Listed { ticket, side, result: Ok(Box::new(view)) })
            }
            Job::List { .. } | Job::AskTimes { .. } | Job::Compare { .. } => {
                self.0.submit(job);
                None
            }
            Job::Copy(job) => {
                let written =
                    Written { size: job.put.size.unwrap_or(0), mtime_kept: true, ..Written::default() };
                Some(Done::Copied { job, bytes: 0, was_opened: true, seconds: 0.0, result: Ok(written) })
            }
            Job::Date(job) => Some(Done::Dated { job, result: Ok(true) }),
            Job::RemoveFiles { side, files } => {
                Some(removed(side, files.into_iter().map(|doomed| doomed.path).collect()))
            }
            // What would go is told one by one.
            Job::RemoveTree { side, tree } => {
                Some(Done::TreeRemoved { side, root: tree.root, result: Ok(false) })
            }
            Job::RemoveDirs { side, dirs } => {
                Some(removed(side, dirs.into_iter().map(|(dir, _)| dir).collect()))
            }
            Job::WriteMeta { ticket, side, dir, .. } => {
                Some(Done::MetaWritten { ticket, side, dir, result: Ok(()) })
            }
        }
    }

    fn is_live(&self) -> bool {
        false
    }
}

/// Carries out one job at a time, on the thread of the walk.
pub struct InTurn<'a, 'c> {
    /// Decides what is carried out at all.
    pub inner: &'a mut dyn Executor,
    /// Where jobs wait.
    pub crew: &'a Crew<'c>,
    /// Where what was done is told.
    pub report: Sender<Done>,
    /// Says which job comes next.
    pub choose: &'a mut Choice<'a>,
}

impl Executor for InTurn<'_, '_> {
    fn submit(&mut self, job: Job) -> Option<Done> {
        self.inner.submit(job)
    }

    fn is_live(&self) -> bool {
        self.inner.is_live()
    }

    fn passed(&self) -> u64 {
        self.inner.passed()
    }

    fn work(&mut self) {
        self.crew.work_once(self.choose, &self.report);
    }
}

fn removed(side: Side, paths: Vec<crate::model::RelPath>) -> Done {
    Done::Removed {
        side,
        results: paths.into_iter().map(|path| (path, Ok(()))).collect::<VecDeque<_>>().into(),
    }
}
