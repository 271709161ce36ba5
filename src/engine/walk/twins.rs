//! Names that a side may take for one: they differ in case only, or in the form in which Unicode writes a character.
//!
//! Whether a side does cannot be known before one of them is there. So of such copies one goes first, and the next one only
//! when it has arrived: the look that comes before each file gets its name then finds the first one, and nothing is replaced.

use super::*;
use crate::model::path::folded;
use std::collections::VecDeque;
use std::collections::hash_map::Entry as Slot;

/// The names that copies under way go to, [folded], each with the copies that have to wait for it.
#[derive(Default)]
pub(super) struct Twins(HashMap<(Side, String), VecDeque<Box<CopyJob>>>);

impl Twins {
    /// The copy, if it may begin now; else it waits for its twin.
    pub(super) fn admit(&mut self, mut job: Box<CopyJob>) -> Option<Box<CopyJob>> {
        match self.0.entry(key(&job)) {
            Slot::Vacant(slot) => {
                slot.insert(VecDeque::new());
                Some(job)
            }
            Slot::Occupied(mut waiting) => {
                job.has_twin = true;
                waiting.get_mut().push_back(job);
                None
            }
        }
    }

    /// The copy that may begin now that this one has ended.
    pub(super) fn after(&mut self, done: &CopyJob) -> Option<Box<CopyJob>> {
        let Slot::Occupied(mut waiting) = self.0.entry(key(done)) else { return None };
        let next = waiting.get_mut().pop_front();
        if next.is_none() {
            waiting.remove();
        }
        next
    }
}

impl Walk<'_> {
    /// Notes which names of a folder a side may take for one. All of them, [folded].
    pub(super) fn note_twins<'n>(
        &mut self,
        ticket: Ticket,
        present: impl Iterator<Item = &'n Name>,
    ) -> HashSet<String> {
        let (mut names, mut twins) = (HashSet::new(), HashSet::new());
        for name in present.map(Name::folded) {
            if let Some(twice) = names.replace(name) {
                twins.insert(twice);
            }
        }
        if let Some(folder) = self.folders.get_mut(&ticket) {
            folder.twins = twins;
        }
        names
    }

    /// Whether a side may take this name in a folder for another one.
    pub(super) fn has_twin(&self, ticket: Ticket, name: &str) -> bool {
        self.folders.get(&ticket).is_some_and(|folder| folder.has_twin(name))
    }
}

fn key(job: &CopyJob) -> (Side, String) {
    (job.to, folded(job.target.as_str()))
}
