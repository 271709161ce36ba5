//! What is told.

use super::*;

/// What was told, and what is kept to tell it by.
#[derive(Default)]
pub(super) struct Told {
    /// The first problem with a single entry.
    pub(super) failure: Option<Error>,
    /// Pairs that may still fail, by the path they are shown under; only where somebody wants to hear of errors.
    pub(super) judged: HashMap<RelPath, (RelPath, Step)>,
    /// Pairs that are being judged, by the path they are shown under; only where somebody wants to see them in lines.
    pub(super) subjects: HashMap<RelPath, Pair>,
    /// How much was left out of what the run was to bring from each side, and one of it.
    pub(super) stuck: Sides<Option<(u64, String)>>,
    /// Why the memory of an older release deletes nothing.
    pub(super) of_others_memory: bool,
    /// That the source takes no metadata.
    pub(super) of_sealed_source: bool,
}

impl Walk<'_> {
    pub(super) fn event(&mut self, event: Event<'_>) -> Result<()> {
        self.observer.event(event, self.stats)
    }

    pub(super) fn action(&mut self, line: Line, path: &RelPath, is_folder: bool) -> Result<()> {
        if !self.observer.wants(line.level) {
            return Ok(());
        }
        let pair = self.told.subjects.get(path);
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

    /// Tells what cannot be brought to the other side, once for the whole run: it is not in the hands of whoever starts it.
    pub(super) fn tell_stuck(&mut self) -> Result<()> {
        for side in Side::BOTH {
            if let Some((count, one)) = self.told.stuck[side].take() {
                let (keys, such) = match count {
                    1 => ("1 key".to_owned(), "it is"),
                    count => (format!("{count} keys"), "one of them is"),
                };
                let text = format!(
                    "Not everything of the {side} side was dealt with: what {keys} stand for cannot be local files ({such} {}; -v \
                     names all).",
                    Quoted(&one)
                );
                self.warn(&text)?;
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
        // What a dead run has left of it is still to be seen to.
        self.journal.passes_over(path);
        let text = error.to_string();
        self.event(Event::Failure(&text))?;
        if !self.is_forgiven(path, &error)? {
            self.told.failure.get_or_insert(error.told());
        }
        Ok(())
    }

    /// Keeps what was decided about a pair for the case that it fails, if somebody wants to hear of that.
    pub(super) fn note_judged(&mut self, plan: &Plan, step: &Step) {
        if self.hooks.hears_errors() {
            self.told.judged.insert(plan.dir.join(&step.pair.name), (plan.dir.clone(), step.clone()));
        }
    }

    /// What became of a copy or deletion that user code may carry out itself. An error that it is content with leaves all as it is.
    pub(super) fn settled(&mut self, path: &RelPath, verdict: Result<Verdict>) -> Result<Verdict> {
        match verdict {
            Err(error) if self.is_forgiven(path, &error)? => Ok(Verdict::Leave),
            verdict => verdict,
        }
    }

    /// Whether user code is content with an error.
    pub(super) fn is_forgiven(&mut self, path: &RelPath, error: &Error) -> Result<bool> {
        if !self.hooks.hears_errors() {
            return Ok(false);
        }
        let judged = self.told.judged.remove(path);
        self.hooks.forgives(path, judged.as_ref().map(|(dir, step)| (dir, step)), error)
    }
}
