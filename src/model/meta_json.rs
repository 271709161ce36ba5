//! How the values of metadata look as JSON.

use super::entry::Seen;
use serde_json::{Map, Number, Value};
use std::collections::{HashMap, HashSet};

/// When a folder was synchronised with a peer the last time, among the names of that folder.
pub(super) const LAST_SYNC: &str = ":last_sync";
/// The names that were not dealt with then.
pub(super) const UNFINISHED: &str = ":unfinished";

/// What is remembered of each name in the section of a peer; `is_own` tells what this program has written.
pub(super) fn read_peer(
    entries: &Map<String, Value>,
    is_own: impl Fn(&str) -> bool,
) -> HashMap<String, Seen> {
    entries
        .iter()
        .filter(|(name, _)| *name != UNFINISHED)
        .filter_map(|(name, value)| {
            let fields = value.as_object()?;
            let seconds =
                |key: &str| fields.get(key).and_then(Value::as_f64).filter(|value| value.is_finite());
            let size = fields.get("s").and_then(Value::as_u64);
            let seen = Seen {
                mtime: seconds("m"),
                size,
                dated: seconds("d"),
                exact: None,
                synced: seconds("u"),
                is_own: is_own(name),
            };
            Some((name.clone(), seen))
        })
        .collect()
}

/// The names that were not dealt with.
pub(super) fn read_unfinished(entries: &Map<String, Value>) -> HashSet<String> {
    let names = entries.get(UNFINISHED).and_then(|value| value.get("names")).and_then(Value::as_array);
    names.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// Seconds as a JSON number with all its digits, whole seconds too: `1600000000.0`, as Python prints the double.
pub(super) fn number(seconds: Option<f64>) -> Value {
    seconds.and_then(Number::from_f64).map_or(Value::Null, Value::Number)
}

/// Adds each time as text for people.
pub(super) fn add_readable_times(entries: &mut Map<String, Value>, readable: &dyn Fn(f64) -> String) {
    if let Some(last) = entries.get(LAST_SYNC).and_then(Value::as_f64) {
        entries.insert(":last_sync_str".into(), readable(last).into());
    }
    for (_, value) in entries.iter_mut() {
        let Value::Object(fields) = value else { continue };
        for (key, name) in [("m", "mtime_str"), ("u", "uploaded_str")] {
            let text =
                fields.get(key).and_then(Value::as_f64).map_or_else(|| "(directory)".to_owned(), readable);
            fields.insert(name.to_owned(), text.into());
        }
    }
}

/// The document on many lines, indented by four.
pub(super) fn pretty_print(document: &Value) -> String {
    let mut bytes = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, formatter);
    match serde::Serialize::serialize(document, &mut serializer) {
        Ok(()) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(_) => document.to_string(),
    }
}
