//! The decision table as text, reviewed by eye: what each situation calls for, and what each mode does about it.
//!
//! `UPDATE_GOLDEN=1 cargo test decision_table` writes it anew.

use ftpsync::model::{Entry, Name, Side, Sides, Stamp};
use ftpsync::plan::{Change, Effect, Mode, Pair, Past, Policy, Skip, Step};
use std::fmt::Write as _;
use std::fs;

const GOLDEN: &str = "tests/golden/decision_table.txt";

#[test]
fn decisions_are_as_reviewed() {
    let table = table();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(GOLDEN, &table).unwrap();
    }
    let golden = fs::read_to_string(GOLDEN).unwrap();
    assert!(table == golden, "{GOLDEN} differs; this is what the code decides:\n{table}");
}

fn table() -> String {
    let modes: [(&str, Policy); 6] = [
        ("sync", Policy::new(Mode::Sync)),
        ("upload", Policy::new(Mode::Upload)),
        ("upload --delete", Policy { delete: true, ..Policy::new(Mode::Upload) }),
        ("upload --force", Policy { force: true, ..Policy::new(Mode::Upload) }),
        ("download --delete", Policy { delete: true, ..Policy::new(Mode::Download) }),
        ("download --force", Policy { force: true, ..Policy::new(Mode::Download) }),
    ];
    let mut table = format!("{:<24}{:<14}", "local/remote", "operation");
    for (name, _) in &modes {
        let _ = write!(table, "{name:<19}");
    }
    trim_end(&mut table);
    for (local, remote) in situations() {
        let Some(step) = step(local, remote) else { continue };
        let _ = write!(
            table,
            "{:<24}{:<14}",
            format!("{}/{}", local.as_str(), remote.as_str()),
            step.operation.as_str()
        );
        for (_, policy) in &modes {
            let mut step = step.clone();
            step.reclassify(policy);
            let _ = write!(table, "{:<19}", word(policy.effect(&step.pair, step.operation)));
        }
        trim_end(&mut table);
    }
    table
}

fn trim_end(table: &mut String) {
    table.truncate(table.trim_end_matches(' ').len());
    table.push('\n');
}

fn situations() -> Vec<(Change, Change)> {
    Change::ALL
        .into_iter()
        .flat_map(|local| Change::ALL.into_iter().map(move |remote| (local, remote)))
        .collect()
}

/// A pair of files in which the sides changed as given, if one memory can judge them so.
fn step(local: Change, remote: Change) -> Option<Step> {
    let seen = ftpsync::model::Seen {
        mtime: Some(0.0),
        size: Some(1),
        dated: None,
        exact: None,
        synced: Some(0.0),
        is_own: true,
    };
    let past = match (local, remote) {
        (Change::New, _) | (_, Change::New) => Past::Unlisted,
        (Change::Existing, _) | (_, Change::Existing) => Past::NoArchive,
        (Change::Missing, Change::Missing) => return None,
        _ => Past::Listed(seen),
    };
    let file =
        |size: u64, time: i64| Entry::file(Name::new("x").unwrap(), Some(size), Some(Stamp::new(time, 0)));
    let entry = |change: Change, size: u64| match change {
        Change::Missing | Change::Deleted => None,
        Change::Unmodified => Some(file(1, 0)),
        Change::New | Change::Existing | Change::Modified => Some(file(size, 100)),
    };
    let pair = Pair::new(Sides::new(entry(local, 2), entry(remote, 3)), past)?;
    let step = Step::new(pair);
    (step.changes == Sides::new(local, remote)).then_some(step)
}

fn word(effect: Effect) -> String {
    let side = |side: Side| if side == Side::Local { "local" } else { "remote" };
    match effect {
        Effect::Copy { to } => format!("copy to {}", side(to)),
        Effect::Delete { on } => format!("delete {}", side(on)),
        Effect::DeleteUnmatched { on } => format!("delete unmatched {}", side(on)),
        Effect::Equal => "-".into(),
        Effect::Compare => "compare".into(),
        Effect::Conflict => "conflict".into(),
        Effect::Skip(Skip::Copy { to }) => format!("skip copy {}", side(to)),
        Effect::Skip(Skip::Deletion { on }) => format!("keep {}", side(on)),
        Effect::Skip(Skip::Mismatch | Skip::Unmatched) => "skip".into(),
    }
}
