//! The lock file as a value: who synchronises with a target, and since when. No file access, no clock.
//!
//! The layout is that of pyftpsync 3.1 and 4.1, which name no holder and never read the file.

use serde_json::{Value, json};
use std::hash::{DefaultHasher, Hash, Hasher};

/// A lock file larger than this (bytes) is none.
pub const MAX_LOCK_SIZE: u64 = 4096;
/// How many blanks there may be behind a lock.
const MAX_BLANKS: u64 = 1024;
/// Characters of a text of somebody else that are kept: it is shown to people.
const MAX_TEXT: usize = 100;

/// What a lock file says.
#[derive(Debug, Clone, PartialEq)]
pub struct Lock {
    /// When it was written last, in seconds since 1970-01-01 UTC by the clock of the holder.
    pub time: f64,
    /// Who holds it, if it says so.
    pub holder: Option<Holder>,
}

/// Somebody who holds a lock, as far as told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Holder {
    /// The name of the computer.
    pub host: Option<String>,
    /// Where the process number counts: a started system, and the part of it that sees the same processes.
    pub system: Option<String>,
    /// The process.
    pub process: Option<u32>,
    /// A text that no other run has.
    pub token: Option<String>,
}

impl Lock {
    /// Reads a lock file; `None` if it is none, as while it is being written.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let value: Value = serde_json::from_slice(bytes).ok()?;
        let time = value.get("lock_time")?.as_f64()?;
        let holder = match value.get("lock_holder") {
            Some(Value::String(host)) => Some(Holder { host: Some(shortened(host)), ..Holder::default() }),
            Some(Value::Object(fields)) => {
                let text = |key: &str| fields.get(key).and_then(Value::as_str).map(shortened);
                Some(Holder {
                    host: text("host"),
                    system: text("system"),
                    process: fields.get("process").and_then(Value::as_u64).and_then(|id| id.try_into().ok()),
                    token: text("token"),
                })
            }
            Some(_) | None => None,
        };
        Some(Lock { time, holder })
    }

    /// The text of the file, spaced as Python's `json` does. Blanks at its end give the locks of different runs different lengths,
    /// so that a listing tells them apart.
    pub fn print(&self) -> String {
        let token = self.holder.as_ref().and_then(|holder| holder.token.as_ref());
        let blanks = token.map_or(0, |token| {
            let mut hasher = DefaultHasher::new();
            token.hash(&mut hasher);
            usize::try_from(hasher.finish() % MAX_BLANKS).unwrap_or(0)
        });
        self.print_tightly() + &" ".repeat(blanks)
    }

    fn print_tightly(&self) -> String {
        let holder = match &self.holder {
            None => "null".to_owned(),
            Some(Holder { host, system, process, token }) => {
                let process = process.map_or(Value::Null, Value::from);
                let fields = [
                    ("host", json!(host)),
                    ("process", process),
                    ("system", json!(system)),
                    ("token", json!(token)),
                ];
                let fields: Vec<String> =
                    fields.iter().map(|(key, value)| format!("\"{key}\": {value}")).collect();
                format!("{{{}}}", fields.join(", "))
            }
        };
        format!("{{\"lock_time\": {:?}, \"lock_holder\": {holder}}}", self.time)
    }

    /// Whether this run wrote it.
    pub fn is_of(&self, owner: &Holder) -> bool {
        owner.token.is_some() && self.holder.as_ref().is_some_and(|holder| holder.token == owner.token)
    }
}

/// A text of somebody else, fit to be shown: short and without control characters.
fn shortened(text: &str) -> String {
    text.chars().filter(|char| !char.is_control()).take(MAX_TEXT).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joe() -> Holder {
        Holder {
            host: Some("büro \"1\"".into()),
            system: Some("c0ffee".into()),
            process: Some(4711),
            token: Some("t".into()),
        }
    }

    #[test]
    fn a_lock_is_read_as_it_was_written() {
        for holder in [None, Some(joe())] {
            let lock = Lock { time: 1_700_000_000.25, holder };
            assert_eq!(Lock::parse(lock.print().as_bytes()), Some(lock));
        }
    }

    #[test]
    fn a_lock_looks_as_python_would_print_it() {
        let nobody = Lock { time: 1_700_000_000.0, holder: None };
        assert_eq!(nobody.print(), r#"{"lock_time": 1700000000.0, "lock_holder": null}"#);
        let lock = Lock { time: 1.5, holder: Some(Holder { host: Some("pc".into()), ..joe() }) };
        assert_eq!(
            lock.print().trim_end(),
            r#"{"lock_time": 1.5, "lock_holder": {"host": "pc", "process": 4711, "system": "c0ffee", "token": "t"}}"#
        );
    }

    #[test]
    fn locks_of_different_runs_have_different_lengths() {
        let length = |token: String| {
            let holder = Some(Holder { token: Some(token), ..joe() });
            Lock { time: 1.5, holder }.print().len()
        };
        let lengths: std::collections::BTreeSet<usize> =
            (100..200).map(|run| length(format!("{run}"))).collect();
        assert!(lengths.len() > 90, "{lengths:?}");
        assert!(lengths.iter().all(|length| *length as u64 <= MAX_LOCK_SIZE));
        assert_eq!(length("100".into()), length("100".into()));
    }

    #[test]
    fn what_is_no_lock_is_not_taken_for_one() {
        for text in
            ["", "{", "null", "[]", "{}", r#"{"lock_time": null}"#, r#"{"lock_time": "1"}"#, "\u{fffd}"]
        {
            assert_eq!(Lock::parse(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn holders_of_other_programs_are_shown_without_control_characters() {
        let lock = Lock::parse(b"{\"lock_time\": 1, \"lock_holder\": \"j\\u001b[31moe\"}").unwrap();
        assert_eq!(lock.holder.unwrap().host.as_deref(), Some("j[31moe"));
        let odd = Lock::parse(br#"{"lock_time": 1, "lock_holder": {"process": -5, "host": 7}}"#).unwrap();
        assert_eq!(odd.holder, Some(Holder::default()));
    }

    #[test]
    fn only_the_token_tells_whose_lock_it_is() {
        let ours = Lock { time: 1.0, holder: Some(joe()) };
        assert!(ours.is_of(&joe()));
        assert!(!ours.is_of(&Holder { token: Some("u".into()), ..joe() }));
        assert!(!Lock { time: 1.0, holder: None }.is_of(&Holder::default()), "nobody is nobody");
    }
}
