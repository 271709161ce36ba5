//! Something goes wrong at one command of a run, for every command; then another run. Together they end as one that was not
//! disturbed, and at no time is a file half, lost, or gone without anybody having asked for it.

use crate::effort::{in_parallel, points};
use crate::ftp_conversations::{config, trusting};
use crate::ftp_faults::{At, Fault, Mishap};
use crate::ftp_server::{Node as Remote, Quirks, Server, Tls, Tree};
use crate::tree::{self, Setup, Shared, at, user_tree};
use crate::wrapped::{Overrides, Wrapped};
use ftpsync::plan::{Mode, Strategy};
use ftpsync::target::ftp::{FtpConfig, FtpTarget};
use ftpsync::target::memory::{MemoryTarget, Node};
use ftpsync::target::{Notes, Target};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Days after the server has dated its files: what an interrupted run has left behind is nobody's work any more.
const MUCH_LATER: f64 = 1_704_164_645.0 + 3.0 * 86_400.0;

/// A server and a local tree that were in step once and were both worked on since.
struct Stage {
    server: Server,
    local: MemoryTarget,
    /// Both sides, as they are before every run that is looked at.
    before: (BTreeMap<String, Node>, Tree),
    way: Way,
}

/// What kind of server it is, who opens the data connections, and whether files are written under their own names.
#[derive(Debug, Clone, Default)]
struct Way {
    quirks: Quirks,
    is_active: bool,
    inplace: bool,
    /// It happens to each command that follows, too: the server does not come back in this run.
    is_for_good: bool,
}

impl From<Quirks> for Way {
    fn from(quirks: Quirks) -> Self {
        Way { quirks, ..Way::default() }
    }
}

/// The journals of runs are kept in a tree in memory, as those of a disk are in its root.
#[derive(Clone)]
struct Noting(MemoryTarget);

/// One of them.
struct Journal {
    tree: MemoryTarget,
    name: String,
}

impl Notes for Journal {
    fn add(&mut self, text: &str) -> bool {
        let text = self.text() + text;
        self.tree.put(&self.name, text.as_bytes(), at(0));
        true
    }

    fn text(&mut self) -> String {
        match self.tree.tree().remove(&self.name) {
            Some(Node::File(bytes, _)) => String::from_utf8(bytes).unwrap(),
            Some(Node::Folder) | None => String::new(),
        }
    }

    fn remove(self: Box<Self>) {
        self.tree.take(&self.name);
    }
}

impl Overrides for Noting {
    fn begin_notes(&self, below: &dyn Target, name: &str) -> Option<Box<dyn Notes>> {
        self.left_notes(below, name)
    }

    fn left_notes(&self, _below: &dyn Target, name: &str) -> Option<Box<dyn Notes>> {
        Some(Box::new(Journal { tree: self.0.clone(), name: name.to_owned() }))
    }
}

/// What the user sees of both sides: contents, without times and without our own files.
type Contents = [BTreeMap<String, Option<Vec<u8>>>; 2];

/// How a run ended: both sides, and which conflicts were told.
#[derive(Debug, PartialEq)]
struct End {
    contents: Contents,
    conflicts: Vec<String>,
}

impl Stage {
    fn new(way: Way) -> Self {
        let server = Server::start(way.quirks.clone());
        let local = MemoryTarget::new("/local");
        for file in ["same", "mine", "theirs", "both", "gone-here", "gone-there", "keep1", "keep2", "keep3"] {
            local.put(file, format!("old {file}").as_bytes(), at(0));
        }
        for file in ["deep/er/mine", "deep/er/theirs", "lost-there/a", "lost-there/sub/b", "lost-here/c"] {
            local.put(file, format!("old {file}").as_bytes(), at(0));
        }
        let mut stage = Stage { server, local, before: Default::default(), way };
        let first = stage.run(None);
        assert!(first.result.is_ok(), "{first:?}");
        stage.edit();
        stage.before = (stage.local.tree(), stage.server.tree());
        stage
    }

    /// Both sides are worked on: files are edited, added and removed, folders too.
    fn edit(&self) {
        self.local.put("mine", b"edited here", at(100));
        self.local.put("deep/er/mine", b"edited here, too", at(100));
        self.local.put("both", b"edited here and there", at(100));
        self.local.put("new-here/in/file", b"new here", at(100));
        self.local.put("new-here/large", &vec![b'x'; 300_000], at(100));
        self.local.take("gone-here");
        self.local.take("lost-here");
        self.server.put("/theirs", b"edited there");
        self.server.put("/deep/er/theirs", b"edited there, too");
        self.server.put("/both", b"edited there and here, longer");
        self.server.put_folder("/new-there");
        self.server.put("/new-there/file", b"new there");
        self.server.put("/new-there/large", &vec![b'y'; 300_000]);
        let mut tree = self.server.tree();
        tree.retain(|path, _| path != "/gone-there" && !path.starts_with("/lost-there"));
        self.server.restore(tree);
    }

    fn config(&self) -> FtpConfig {
        let mut config =
            if self.way.quirks.tls.is_some() { trusting(&self.server) } else { config(&self.server) };
        config.active = self.way.is_active;
        config.timeout = Duration::from_secs(1);
        config.connect_timeout = Duration::from_secs(5);
        config
    }

    /// One run, with a fault or without.
    fn run(&self, faults: impl IntoIterator<Item = Fault>) -> tree::Outcome {
        self.server.faults().plan(faults);
        self.run_at(Setup::new(Mode::Sync).now)
    }

    /// A run at another time.
    fn run_at(&self, now: f64) -> tree::Outcome {
        let mut setup = Setup::new(Mode::Sync);
        setup.policy.strategy = Some(Strategy::Skip);
        setup.now = now;
        setup.inplace = self.way.inplace;
        let target = Shared(Arc::new(FtpTarget::new(self.config()).unwrap()));
        let local = Wrapped { below: self.local.clone(), with: Noting(self.local.clone()) };
        tree::run(&local, &target, &setup)
    }

    /// Both sides as before the first run.
    fn rewind(&self) {
        assert!(self.server.is_quiet(), "conversations of the run before go on");
        for path in self.local.tree().keys() {
            self.local.take(path);
        }
        for (path, node) in &self.before.0 {
            match node {
                Node::File(bytes, mtime) => self.local.put(path, bytes, *mtime),
                Node::Folder => self.local.put_folder(path),
            }
        }
        self.server.restore(self.before.1.clone());
    }

    fn contents(&self) -> Contents {
        let local = user_tree(&self.local).into_iter().map(|(path, node)| match node {
            Node::File(bytes, _) => (path, Some(bytes)),
            Node::Folder => (path, None),
        });
        let remote = self.server.tree().into_iter().filter_map(|(path, node)| {
            let path = path.trim_start_matches('/').to_owned();
            let is_own = path.split('/').next_back().is_some_and(|name| name.starts_with(".pyftpsync-"));
            let bytes = match node {
                Remote::File { content, .. } => Some(content),
                Remote::Folder => None,
            };
            (!is_own && !path.is_empty()).then_some((path, bytes))
        });
        [local.collect(), remote.collect()]
    }

    /// Our own temporary files that are left on either side.
    fn litter(&self) -> Vec<String> {
        let is_litter = |path: &String| path.contains(ftpsync::model::TEMP_PREFIX);
        let local = self.local.tree().into_keys().filter(is_litter);
        local.chain(self.server.paths().into_iter().filter(is_litter)).collect()
    }

    fn end(&self, outcome: &tree::Outcome) -> End {
        let is_conflict = |line: &&String| line.contains("conflict");
        let mut conflicts: Vec<String> = outcome.lines.iter().filter(is_conflict).cloned().collect();
        conflicts.sort();
        End { contents: self.contents(), conflicts }
    }
}

/// Whether each file is as it was before, or as it should be in the end.
fn each_is_old_or_new(before: &Contents, now: &Contents, after: &Contents) -> Result<(), String> {
    for side in 0..2 {
        let (before, now, after) = (&before[side], &now[side], &after[side]);
        let paths = before.keys().chain(now.keys()).chain(after.keys());
        for path in paths {
            if now.get(path) != before.get(path) && now.get(path) != after.get(path) {
                let is = now.get(path).map(|bytes| bytes.as_ref().map(|bytes| bytes.len()));
                return Err(format!("side {side}: {path} is neither old nor new: {is:?}"));
            }
        }
    }
    Ok(())
}

/// Tries a mishap at commands of a run, each followed by a run without any.
fn at_every_command(way: impl Into<Way>, mishap: &Mishap, usual: usize) {
    let way = way.into();
    let stage = Stage::new(way.clone());
    let before = stage.contents();
    let undisturbed = stage.run(None);
    assert!(undisturbed.result.is_ok(), "{undisturbed:?}");
    let (good, count) = (stage.end(&undisturbed), stage.server.faults().commands());
    assert!(count > 60, "only {count} commands");
    let numbers = points(count, usual);
    let shares: Vec<Vec<usize>> =
        (0..4).map(|hand| numbers.iter().skip(hand).step_by(4).copied().collect()).collect();
    let broken: Vec<String> = in_parallel(&shares, 4, |numbers| {
        let stage = Stage::new(way.clone());
        let try_at = |number: usize| -> Result<(), String> {
            stage.rewind();
            let last = if way.is_for_good { number + 1_000 } else { number };
            let faults = (number..=last).map(|at| Fault { at: At::Command(at), mishap: mishap.clone() });
            let disturbed = stage.run(faults);
            if !(way.inplace && way.is_for_good) {
                each_is_old_or_new(&before, &stage.contents(), &good.contents)?;
            }
            let end = stage.end(&disturbed);
            let is_praised =
                disturbed.result.is_ok() && disturbed.stats.errors == 0 && disturbed.warnings.is_empty();
            // Without TLS nobody can tell a listing that ends at once from that of an empty folder.
            let can_tell = !matches!(mishap, Mishap::EndData(0));
            if is_praised && can_tell && end.contents != good.contents {
                return Err("it was called a success, and is none".into());
            }
            let again = stage.run(None);
            let end = stage.end(&again);
            match again.result {
                Err(error) => Err(format!("the next run fails: {error}")),
                Ok(()) if end.contents != good.contents => Err(format!("ends otherwise: {:?}", again.lines)),
                Ok(()) if end.conflicts != good.conflicts => Err(format!("conflicts: {:?}", end.conflicts)),
                Ok(()) => {
                    let idle = stage.run_at(MUCH_LATER);
                    let litter = stage.litter();
                    if idle.stats.entries_touched > 0 || stage.end(&idle) != good {
                        Err(format!("the third run is not idle: {:?}", idle.lines))
                    } else if !litter.is_empty() {
                        Err(format!("something is left behind: {litter:?}"))
                    } else {
                        Ok(())
                    }
                }
            }
        };
        let tried = numbers.iter().map(|number| (number, try_at(*number)));
        tried
            .filter_map(|(number, tried)| tried.err().map(|why| format!("at {number}: {why}")))
            .collect::<Vec<_>>()
    })
    .concat();
    assert!(
        broken.is_empty(),
        "{mishap:?}, active: {}, in place: {}, {} of {count} commands:\n{}",
        way.is_active,
        way.inplace,
        broken.len(),
        broken.join("\n")
    );
}

#[test]
fn a_reset_at_any_command_does_no_harm() {
    at_every_command(Quirks::default(), &Mishap::Reset, 12);
}

#[test]
fn a_reset_in_place_of_any_reply_does_no_harm() {
    at_every_command(Quirks::default(), &Mishap::ResetAfter, 12);
}

#[test]
fn a_farewell_at_any_command_does_no_harm() {
    at_every_command(Quirks::default(), &Mishap::Leave, 12);
}

#[test]
fn silence_at_any_command_does_no_harm() {
    at_every_command(Quirks::default(), &Mishap::Withhold, 8);
}

#[test]
fn a_data_connection_that_breaks_at_any_command_does_no_harm() {
    at_every_command(Quirks::default(), &Mishap::CutData(100), 12);
}

#[test]
fn a_data_connection_that_breaks_and_is_called_complete_does_no_harm() {
    at_every_command(Quirks::default(), &Mishap::CutDataAndLie(3), 12);
}

#[test]
fn a_data_connection_that_ends_early_and_is_called_complete_does_no_harm() {
    at_every_command(Quirks::default(), &Mishap::EndData(3), 12);
    at_every_command(Quirks::default(), &Mishap::EndData(0), 12);
}

#[test]
fn a_reset_at_any_command_under_tls_does_no_harm() {
    at_every_command(Quirks { tls: Some(Tls::Old), ..Quirks::default() }, &Mishap::ResetAfter, 12);
    at_every_command(Quirks { tls: Some(Tls::New), ..Quirks::default() }, &Mishap::Reset, 6);
}

#[test]
fn a_refusal_of_any_command_does_no_harm() {
    at_every_command(Quirks::default(), &Mishap::Answer("450 not now"), 12);
    at_every_command(Quirks::default(), &Mishap::Answer("550 no"), 12);
}

#[test]
fn a_reply_too_many_at_any_command_does_no_harm() {
    at_every_command(Quirks::default(), &Mishap::Twice, 12);
    at_every_command(Quirks::default(), &Mishap::Chatter("226 by the way"), 12);
}

#[test]
fn in_active_mode_nothing_that_happens_at_any_command_does_harm() {
    for (mishap, usual) in [
        (Mishap::Reset, 8),
        (Mishap::ResetAfter, 8),
        (Mishap::Leave, 6),
        (Mishap::CutData(100), 8),
        (Mishap::EndData(3), 8),
        (Mishap::Answer("450 not now"), 12),
        (Mishap::Answer("550 no"), 12),
        (Mishap::Twice, 8),
    ] {
        at_every_command(Way { is_active: true, ..Way::default() }, &mishap, usual);
    }
}

#[test]
fn in_active_mode_nothing_does_harm_where_port_opens_the_connection() {
    for (says, mishap) in [("125 open", Mishap::CutData(100)), ("150 here it comes", Mishap::ResetAfter)] {
        let quirks = Quirks { connects_at_port: Some(says), ..Quirks::default() };
        at_every_command(Way { quirks, is_active: true, ..Way::default() }, &mishap, 8);
    }
}

/// Under its own name a file is destroyed by the command that writes it. Within the run the next attempt makes it whole, and does
/// not take what it finds for somebody's edit.
#[test]
fn in_place_nothing_that_happens_at_any_command_does_harm() {
    for (mishap, usual) in [
        (Mishap::Reset, 12),
        (Mishap::ResetAfter, 12),
        (Mishap::Leave, 6),
        (Mishap::CutData(1), 12),
        (Mishap::CutDataAndLie(3), 8),
        (Mishap::Withhold, 6),
        (Mishap::Answer("425 no data connection"), 12),
        (Mishap::Answer("451 not now"), 12),
        (Mishap::Answer("550 no"), 8),
    ] {
        for is_active in [false, true] {
            let quirks = Quirks { empties_at_stor: true, ..Quirks::default() };
            at_every_command(Way { quirks, is_active, inplace: true, ..Way::default() }, &mishap, usual);
        }
    }
}

#[test]
fn a_server_that_goes_away_at_any_command_and_stays_away_does_no_harm() {
    for inplace in [false, true] {
        let quirks = Quirks { empties_at_stor: true, ..Quirks::default() };
        let way = Way { quirks, inplace, is_for_good: true, ..Way::default() };
        at_every_command(way.clone(), &Mishap::Reset, 8);
        at_every_command(way, &Mishap::Answer("421 going down"), 5);
    }
}
