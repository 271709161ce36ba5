//! What is told.

use super::*;

impl Walk<'_> {
    pub(super) fn event(&mut self, event: Event<'_>) -> Result<()> {
        self.observer.event(event, self.stats)
    }

    pub(super) fn action(&mut self, line: Line, path: &RelPath, is_folder: bool) -> Result<()> {
        if !self.observer.wants(line.level) {
            return Ok(());
        }
        let pair = self.subjects.get(path);
        self.observer.event(Event::Action { line, path, is_folder, pair }, self.stats)
    }

    pub(super) fn action_of(&mut self, effect: Effect, path: &RelPath, is_folder: bool) -> Result<()> {
        match Line::of(effect) {
            Some(line) => self.action(line, path, is_folder),
            None => Ok(()),
        }
    }

    pub(super) fn note(&mut self, level: u8, text: &str) -> Result<()> {
        if !self.observer.wants(level) {
            return Ok(());
        }
        self.event(Event::Note { level, text })
    }

    /// Tells what was found out about the targets meanwhile.
    pub(super) fn tell_news(&mut self) -> Result<()> {
        for side in Side::BOTH {
            for (level, text) in self.run.pools[side].target().news() {
                self.note(level, &text)?;
            }
        }
        Ok(())
    }

    pub(super) fn warn(&mut self, text: &str) -> Result<()> {
        self.event(Event::Warning(text))
    }

    pub(super) fn tell_copied(&mut self, job: &CopyJob, bytes: u64, error: Option<&Error>) -> Result<()> {
        let bytes = match error {
            Some(_) => 0,
            None if self.executor.is_live() => bytes,
            None => job.put.size.unwrap_or(0),
        };
        let done = Finished { deed: "copy", path: &job.target, side: job.to, bytes, error };
        self.event(Event::Finished(done))
    }

    /// Reports a problem with one entry that no other report is about.
    pub(super) fn problem(&mut self, path: &RelPath, error: Error) -> Result<()> {
        let side = self.policy.mode.source().map_or(Side::Remote, Side::other);
        self.event(Event::Finished(Finished { deed: "error", path, side, bytes: 0, error: Some(&error) }))?;
        self.failed(path, error)
    }

    /// Reports a problem with one entry; the run goes on, and the first problem is what it ends with.
    pub(super) fn failed(&mut self, path: &RelPath, error: Error) -> Result<()> {
        self.stats.errors += 1;
        let text = error.to_string();
        self.event(Event::Failure(&text))?;
        if !self.is_forgiven(path, &error)? {
            self.failure.get_or_insert(error.told());
        }
        Ok(())
    }

    /// Keeps what was decided about a pair for the case that it fails, if somebody wants to hear of that.
    pub(super) fn note_judged(&mut self, plan: &Plan, step: &Step) {
        if self.hooks.hears_errors() {
            self.judged.insert(plan.dir.join(&step.pair.name), (plan.dir.clone(), step.clone()));
        }
    }

    /// Whether user code is content with an error.
    pub(super) fn is_forgiven(&mut self, path: &RelPath, error: &Error) -> Result<bool> {
        if !self.hooks.hears_errors() {
            return Ok(false);
        }
        let judged = self.judged.remove(path);
        self.hooks.forgives(path, judged.as_ref().map(|(dir, step)| (dir, step)), error)
    }
}
