//! Times that moved by an hour on a whole side, see [`crate::plan::shift`].

use super::*;
use crate::model::meta::Archive;
use crate::plan::shift;

impl Walk<'_> {
    /// Undoes the shift of a folder, so that its files are judged by the times they had.
    pub(super) fn undo_shift(&mut self, side: Side, entries: &mut [Entry], archive: &Archive) -> Result<()> {
        if !self.run.pools[side].target().caps().is_networked {
            return Ok(());
        }
        let Some(hour) = shift::of_folder(entries, archive, self.shifts[side]) else {
            return Ok(());
        };
        if self.shifts[side].replace(hour) != Some(hour) {
            let direction = if hour > 0 { "later" } else { "earlier" };
            self.note(
                3,
                &format!("The {side} side shows times an hour {direction} than before, as for daylight saving: no change."),
            )?;
        }
        for entry in entries.iter_mut().filter(|entry| shift::of_file(entry, archive) == Some(hour)) {
            entry.mtime =
                entry.mtime.map(|at| Stamp::new(at.seconds() - hour, at.nanos()).with_grain(at.grain()));
        }
        Ok(())
    }
}
