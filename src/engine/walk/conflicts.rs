//! Conflicts: settled by the strategy, or by the user.

use super::copies::{expected, paths_of};
use super::removal::Reason;
use super::*;
use crate::model::path::folded;

impl Walk<'_> {
    pub(super) fn settle_conflict(&mut self, plan: &mut Plan, step: &Step, path: &RelPath) -> Result<()> {
        match self.decide(&plan.dir, step)? {
            Resolution::Copy { to } => {
                let line = Line::conflict_copy(to, step.pair.both().is_some());
                self.copy(plan, step, path, to, line)
            }
            Resolution::Delete { on } => {
                self.action(Line::conflict_delete(on), path, step.pair.is_folder())?;
                self.remove(plan, step, on, Reason::Decided)
            }
            Resolution::Both { loser } => self.keep_both(plan, step, path, loser),
            Resolution::Skip | Resolution::SameTime | Resolution::Ask => {
                self.stats.conflict_files_skipped += 1;
                self.event(Event::ConflictLeft(path))?;
                self.action(Line::SKIP_CONFLICT, path, step.pair.is_folder())
            }
        }
    }

    /// The file of one side gives way under a second name, which both sides have in the end.
    fn keep_both(&mut self, plan: &mut Plan, step: &Step, path: &RelPath, loser: Side) -> Result<()> {
        let (Some(entry), Some(winner)) = (step.pair.get(loser), step.pair.get(loser.other())) else {
            return Ok(());
        };
        let taken = |name: &str| plan.names.contains(&folded(name));
        let Some(name) = self.run.keeping.second_name(&step.pair.name, &taken) else {
            let error = Error::new(Kind::Exists, "every second name that could be given is taken");
            return self.problem(path, error.during("keep both versions of").at(path));
        };
        plan.names.insert(name.folded());
        self.action(Line::conflict_copy(loser, true), path, false)?;
        let second = Entry { name: name.clone(), unique: None, changed: None, ..entry.clone() };
        let keep = Keep {
            on: loser,
            to: plan.paths[loser].join(&name),
            entry: Some(Box::new(second)),
            is_trashed: false,
        };
        let landing = Landing::Over(expected(Some(entry)), entry.mode, keep);
        let paths = paths_of(&plan.paths, &step.pair, loser);
        self.copy_file(plan.ticket, step.pair.name.as_str(), winner, loser, &paths, landing)
    }

    /// How a conflict is settled, by the strategy or by the user.
    pub(super) fn decide(&mut self, dir: &RelPath, step: &Step) -> Result<Resolution> {
        self.heed_rules();
        let Some(strategy) = self.resolve_all.or(self.policy.strategy) else {
            let error = Error::new(Kind::Strategy, "this mode cannot resolve conflicts that way");
            return Err(error.during("resolve the conflict of").at(dir.join(&step.pair.name)));
        };
        self.event(Event::Conflict { dir, step, is_asked: strategy == Strategy::Ask })?;
        let resolution = resolve(&step.pair, strategy, self.locks.ahead);
        let needs_answer = match resolution {
            Resolution::Ask => true,
            Resolution::SameTime => self.run.asks_at_same_time,
            Resolution::Copy { .. }
            | Resolution::Delete { .. }
            | Resolution::Both { .. }
            | Resolution::Skip => false,
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
        let resolution = resolve(&step.pair, answer.strategy, self.locks.ahead);
        if resolution == Resolution::SameTime {
            self.event(Event::SameTime { dir, step, strategy: answer.strategy })?;
        }
        Ok(resolution)
    }
}
