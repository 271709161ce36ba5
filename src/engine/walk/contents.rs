//! Contents that are compared (`--checksum`, or after a run that was killed), and times that are set where only they differ.

use super::copies::expected;
use super::*;
use crate::plan::contents::{Question, may_be_stump, needs_look};

/// For names whose contents were compared, what was asked about them, and whether it is so.
pub type Comparisons = HashMap<String, (Question, Result<bool>)>;

impl Walk<'_> {
    /// Compares the files of a folder whose contents are to be known, all at the same time.
    pub(super) fn compare_contents(
        &mut self,
        dir: &RelPath,
        paths: &Sides<RelPath>,
        pairs: &[Pair],
    ) -> Result<Comparisons> {
        for pair in pairs {
            let (Some(question), Some(entries)) = (self.question(dir, pair), pair.both()) else { continue };
            if !self.filter.matches(entries.local.name.as_str(), EntryKind::File) {
                continue;
            }
            let name = pair.name.to_string();
            if Side::BOTH.into_iter().any(|side| entries[side].size == Some(0)) {
                self.compared.insert(name, (question, Ok(true)));
                continue;
            }
            let paths = Sides::from_fn(|side| paths[side].join(&entries[side].name));
            self.submit(Job::Compare { name, paths, question })?;
        }
        while self.under_way.comparisons > 0 {
            self.wait()?;
        }
        Ok(std::mem::take(&mut self.compared))
    }

    /// Compares two files at once. An error says nothing about them.
    pub(super) fn compare_now(
        &mut self,
        name: String,
        paths: Sides<RelPath>,
        question: Question,
    ) -> Result<Option<bool>> {
        self.submit(Job::Compare { name: name.clone(), paths, question })?;
        while self.under_way.comparisons > 0 {
            self.wait()?;
        }
        Ok(self.compared.remove(&name).and_then(|(_, result)| result.ok()))
    }

    /// What is to be asked about the contents of a pair.
    fn question(&self, dir: &RelPath, pair: &Pair) -> Option<Question> {
        if self.run.compares_contents && needs_look(pair) {
            return Some(Question::AreSame);
        }
        let side = self.journal.stump_side(dir, pair)?;
        may_be_stump(pair, side).then_some(Question::IsStump(side))
    }

    /// Gives a file the time of the other side's, which has the same content, where one is wrong.
    pub(super) fn set_time(
        &mut self,
        plan: &Plan,
        step: &Step,
        path: &RelPath,
        wrong: Option<(Side, Stamp)>,
    ) -> Result<()> {
        let (Some((side, at)), Some(entries)) = (wrong, step.pair.both()) else {
            return Ok(());
        };
        self.action(Line::set_time(side), path, false)?;
        self.stats.entries_touched += 1;
        let shown = if side == Side::Local { Some(at) } else { entries.local.mtime_org };
        let fact = Fact {
            mtime: Some(at.as_secs_f64()),
            size: entries.local.size,
            exact: self.run.exact_time(shown),
            dated: None,
        };
        self.hold(plan.ticket);
        let target = plan.paths[side].join(&entries[side].name);
        let (name, expect) = (step.pair.name.to_string(), expected(step.pair.get(side)));
        self.submit(Job::Date(Box::new(DateJob {
            ticket: plan.ticket,
            side,
            name,
            path: target,
            expect,
            at,
            listed: entries[side].mtime_org.map(Stamp::as_secs_f64),
            fact,
        })))
    }

    pub(super) fn dated(&mut self, job: &DateJob, result: Result<bool>) -> Result<()> {
        let deed = Finished {
            deed: "time",
            path: &job.path,
            side: job.side,
            bytes: 0,
            error: result.as_ref().err(),
        };
        self.event(Event::Finished(deed))?;
        let now = self.run.clock.now();
        match result {
            Err(error) => self.failed(&job.path, error)?,
            Ok(is_kept) => {
                if let Some(folder) = self.folders.get_mut(&job.ticket) {
                    // It still shows what it did.
                    let dated = job.listed.filter(|_| !is_kept);
                    let fact = Fact { dated, ..job.fact };
                    folder.metas.local.record(&self.peer, &job.name, &fact, now);
                    let meta = &mut folder.metas[job.side];
                    if !is_kept || meta.shadow(&job.name).is_some() {
                        let (mtime, written) = (job.at.as_secs_f64(), dated.unwrap_or(now));
                        meta.set_shadow(&job.name, Shadow { mtime, size: job.fact.size, written });
                    }
                }
            }
        }
        self.release(Some(job.ticket))
    }
}
