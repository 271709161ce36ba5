//! Jobs that have not been answered yet.

use super::*;

/// What the crew has to do still.
#[derive(Default)]
pub(super) struct UnderWay {
    /// Jobs of all kinds.
    pub(super) jobs: usize,
    /// Copies among them.
    pub(super) copies: usize,
    /// Comparisons of contents among them.
    pub(super) comparisons: usize,
    /// Bytes of all copies so far, whether done or not.
    pub(super) promised: u64,
    /// Copies to each side that were counted and of which it is not known what became of them.
    pub(super) unanswered: Sides<u64>,
}

impl UnderWay {
    /// Counts a job that is handed to the crew.
    pub(super) fn begun(&mut self, job: &Job) {
        self.jobs += 1;
        match job {
            Job::Copy(job) => {
                self.copies += 1;
                self.promised += job.put.size.unwrap_or(0);
            }
            Job::Compare { .. } => self.comparisons += 1,
            _ => {}
        }
    }

    /// Counts the answer to a job.
    pub(super) fn answered(&mut self, done: &Done) {
        self.jobs -= 1;
        match done {
            Done::Copied { .. } => self.copies -= 1,
            Done::Compared { .. } => self.comparisons -= 1,
            _ => {}
        }
    }
}
