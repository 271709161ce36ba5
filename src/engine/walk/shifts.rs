//! Times that moved by an hour on a whole side, see [`crate::plan::shift`].

use super::*;
use crate::model::Seen;
use crate::model::meta::Archive;
use crate::plan::contents::Question;
use crate::plan::shift;

impl Walk<'_> {
    /// Undoes the shift of a folder, so that its files are judged by the times they had. From then on they are remembered with
    /// the times that they show now, too.
    pub(super) fn undo_shift(
        &mut self,
        ticket: Ticket,
        side: Side,
        entries: &mut Sides<Vec<Entry>>,
        archive: &Archive,
    ) -> Result<()> {
        if !self.run.pools[side].target().caps().is_networked {
            return Ok(());
        }
        let hour = match shift::of_folder(&entries[side], archive, self.shifts[side]) {
            Some(hour) if hour != 0 && self.is_proven(ticket, side, hour, entries, archive)? => hour,
            Some(_) => {
                self.shifts[side] = Some(0);
                return Ok(());
            }
            None => return Ok(()),
        };
        if self.shifts[side].replace(hour) != Some(hour) {
            let direction = if hour > 0 { "later" } else { "earlier" };
            self.note(
                3,
                &format!("The {side} side shows times an hour {direction} than before, as for daylight saving: no change."),
            )?;
        }
        let now = self.run.clock.now();
        for entry in entries[side].iter_mut().filter(|entry| shift::of_file(entry, archive) == Some(hour)) {
            let (Some(shown), Some(seen)) = (entry.mtime, shift::seen(entry, archive)) else { continue };
            entry.mtime = Some(Stamp::new(shown.seconds() - hour, shown.nanos()).with_grain(shown.grain()));
            if let Some(folder) = self.folders.get_mut(&ticket).filter(|_| seen.is_own) {
                let Seen { mtime, size, exact, .. } = seen;
                let fact = Fact { mtime, size, exact, dated: Some(shown.as_secs_f64()) };
                folder.metas.local.record(&self.peer, entry.name.as_str(), &fact, now);
            }
        }
        Ok(())
    }

    /// Whether one of the files that have moved, the smallest, is the same as on the other side, where nobody has touched it.
    fn is_proven(
        &mut self,
        ticket: Ticket,
        side: Side,
        hour: i64,
        entries: &Sides<Vec<Entry>>,
        archive: &Archive,
    ) -> Result<bool> {
        let others: HashMap<&str, &Entry> = entries[side.other()]
            .iter()
            .filter(|other| shift::of_file(other, archive) == Some(0))
            .map(|other| (other.name.as_str(), other))
            .collect();
        let moved = entries[side].iter().filter(|entry| shift::of_file(entry, archive) == Some(hour));
        let known = moved.filter_map(|entry| Some((entry, *others.get(entry.name.as_str())?)));
        // A file that is empty proves nothing, so it comes last.
        let sample = known.min_by_key(|(entry, _)| entry.size.map_or(u64::MAX, |size| size.wrapping_sub(1)));
        let (Some((entry, other)), Some(folder)) = (sample, self.folders.get(&ticket)) else {
            return Ok(false);
        };
        let names = if side == Side::Local { [entry, other] } else { [other, entry] };
        let paths =
            Sides::new(folder.paths.local.join(&names[0].name), folder.paths.remote.join(&names[1].name));
        let is_same = self.compare_now(entry.name.to_string(), paths, Question::AreSame)?;
        Ok(is_same.unwrap_or(false))
    }
}
