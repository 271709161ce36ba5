//! Conflicts: settled by the strategy, or by the user.

use super::*;

impl Walk<'_> {
    pub(super) fn settle_conflict(&mut self, plan: &mut Plan, step: &Step, path: &RelPath) -> Result<()> {
        match self.decide(&plan.dir, step)? {
            Resolution::Copy { to } => {
                let line = Line::conflict_copy(to, step.pair.both().is_some());
                self.copy(plan, step, path, to, line)
            }
            Resolution::Delete { on } => {
                self.action(Line::conflict_delete(on), path, step.pair.is_folder())?;
                self.remove(plan, step, on, true)
            }
            Resolution::Skip | Resolution::SameTime | Resolution::Ask => {
                self.stats.conflict_files_skipped += 1;
                self.action(Line::SKIP_CONFLICT, path, step.pair.is_folder())
            }
        }
    }

    /// How a conflict is settled, by the strategy or by the user.
    pub(super) fn decide(&mut self, dir: &RelPath, step: &Step) -> Result<Resolution> {
        let Some(strategy) = self.resolve_all.or(self.run.policy.strategy) else {
            let error = Error::new(Kind::Strategy, "this mode cannot resolve conflicts that way");
            return Err(error.during("resolve the conflict of").at(dir.join(&step.pair.name)));
        };
        self.event(Event::Conflict { dir, step, is_asked: strategy == Strategy::Ask })?;
        let resolution = resolve(&step.pair, strategy);
        let needs_answer = match resolution {
            Resolution::Ask => true,
            Resolution::SameTime => self.run.asks_at_same_time,
            Resolution::Copy { .. } | Resolution::Delete { .. } | Resolution::Skip => false,
        };
        if !needs_answer && !self.hooks.resolves_all() {
            if resolution == Resolution::SameTime {
                // Whoever is asked says so, too.
                self.event(Event::SameTime { dir, step, strategy })?;
            }
            return Ok(resolution);
        }
        if needs_answer {
            self.stats.interactive_ask += 1;
        }
        let answer = self.hooks.resolve(dir, step)?;
        if answer.for_all {
            self.resolve_all = Some(answer.strategy);
        }
        Ok(resolve(&step.pair, answer.strategy))
    }
}
