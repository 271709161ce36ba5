//! What was listed of a folder: whether it can be relied on, and what is told of it.

use super::*;
use crate::model::entry::GUESSED;
use crate::model::meta::{FILE_VERSION, MetaError};

/// What is wrong with a listing is told so many times.
const DOUBTS_TOLD: usize = 3;

impl Walk<'_> {
    /// Both views, or why the folder cannot be dealt with. Metadata of another layout ends the run.
    pub(super) fn usable(
        &mut self,
        dir: &RelPath,
        visit: &Visit,
        views: Sides<Option<Result<Box<View>>>>,
    ) -> Result<Result<Sides<View>, Error>> {
        let mut usable = Sides::<View>::default();
        for (side, view) in [(Side::Local, views.local), (Side::Remote, views.remote)] {
            usable[side] = match view {
                Some(Ok(view)) => *view,
                Some(Err(error)) => return Ok(Err(error)),
                None => View::empty(),
            };
            let view = &mut usable[side];
            self.stats.meta_bytes_read += view.meta_chars;
            let lock = view.lock;
            self.report_metadata(dir, side, view)?;
            self.check_lock(side, lock)?;
            let limit = self.run.max_depth;
            if dir.depth() > limit {
                let detail = format!("more than {limit} folders within folders (--max-depth)");
                return Ok(Err(Error::new(Kind::Refused, detail).during("visit").at(dir)));
            }
            self.tell_notes(dir, side, view)?;
            if !view.complete && visit.lists(side) {
                self.tell_incomplete(dir, side, view)?;
            }
        }
        Ok(Ok(usable))
    }

    /// Tells which names were left out, and which are guessed.
    fn tell_notes(&mut self, dir: &RelPath, side: Side, view: &View) -> Result<()> {
        for note in &view.notes {
            let text = format!("{side}: left out {}: {}", Quoted(&dir_join(dir, &note.what)), note.why);
            self.note(4, &text)?;
            if note.is_stuck && view.complete && self.policy.mode.source().is_none_or(|source| source == side)
            {
                let (count, _) = self.told.stuck[side].get_or_insert_with(|| (0, dir_join(dir, &note.what)));
                *count += 1;
            }
        }
        for name in &view.guessed {
            self.note(4, &format!("{side}: {}: {GUESSED}", Quoted(&dir_join(dir, name.as_str()))))?;
        }
        Ok(())
    }

    /// Tells that a listing lacks something, and what follows from that.
    fn tell_incomplete(&mut self, dir: &RelPath, side: Side, view: &View) -> Result<()> {
        let shown = if dir.is_root() { "the root" } else { dir.as_str() };
        // On the side that follows the other one, what is listed may go all the same.
        let so = match self.policy.mode.source() {
            Some(source) if source != side => "what it lacks stays as it is",
            Some(_) | None => "nothing is deleted there",
        };
        let text = format!("The {side} listing of {shown} is incomplete{}: {so}.", doubts(view));
        if view.notes.iter().any(|note| note.is_error) {
            return self.failed(dir, Error::new(Kind::Refused, text));
        }
        self.warn(&text)?;
        if view.notes.iter().any(|note| note.is_loss) && self.has_to_be_whole(side) {
            let text = format!("Not all of {shown} was dealt with: the {side} side does not list all of it.");
            self.failed(dir, Error::new(Kind::Refused, text))?;
        }
        Ok(())
    }

    /// Whether something that a side does not list is missing in what the run was to do: what is only written to, without any
    /// deletion, need not be listed.
    fn has_to_be_whole(&self, side: Side) -> bool {
        let deletes = self.policy.delete || self.policy.delete_unmatched;
        self.policy.mode.source().is_none_or(|source| source == side || deletes)
    }

    fn report_metadata(&mut self, dir: &RelPath, side: Side, view: &View) -> Result<()> {
        let target = self.run.pools[side].target().base_name().to_owned();
        match &view.meta_problem {
            None => Ok(()),
            Some(MetaError::Version(found)) if self.run.migrate => self.note(
                0,
                &format!("Migrating meta data version from {found} to {FILE_VERSION}: {target}/{dir}"),
            ),
            Some(MetaError::Version(found)) => Err(Error::new(
                Kind::Metadata,
                format!("Invalid meta data version: {found} (expected {FILE_VERSION}) in {target}/{dir}"),
            )
            .advise("use --migrate to discard the old data")),
            Some(MetaError::Invalid(why)) => {
                let memory_is_lost = side == Side::Local && self.policy.mode == Mode::Sync;
                let so = if memory_is_lost {
                    "nothing is deleted there, and files that differ are conflicts"
                } else {
                    "it is treated as empty"
                };
                let text = format!("Could not read meta info {target}/{dir}: {why}; {so}.");
                self.event(Event::Failure(&text))
            }
        }
    }
}

/// Why a listing lacks something, in brackets.
fn doubts(view: &View) -> String {
    let there: HashSet<&str> = view.present_but_skipped.iter().map(Name::as_str).collect();
    let is_doubt = |note: &&Note| note.is_error || !there.contains(note.what.as_str());
    let others = view.notes.iter().filter(is_doubt).count().saturating_sub(DOUBTS_TOLD);
    let told = view.notes.iter().filter(is_doubt).take(DOUBTS_TOLD);
    let mut doubts: Vec<String> = told.map(Note::to_string).collect();
    if others > 0 {
        doubts.push(format!("and {others} more"));
    }
    if doubts.is_empty() { String::new() } else { format!(" ({})", doubts.join("; ")) }
}
