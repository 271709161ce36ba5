//! What a run counts, under the documented names.

use crate::model::{Side, Sides};

/// Counters of one run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Stats {
    /// Entries that were looked at.
    pub entries_seen: u64,
    /// Entries that were copied or deleted, a whole folder counting once when deleted.
    pub entries_touched: u64,
    /// Files listed, by side.
    pub files: Sides<u64>,
    /// Folders listed, by side.
    pub dirs: Sides<u64>,
    /// File copies begun, by the side that gets the file.
    pub files_written: Sides<u64>,
    /// Bytes copied, by the side that gets them.
    pub bytes_written: Sides<u64>,
    /// Seconds spent copying, by the side that gets the files; `None` before the first copy.
    pub write_time: Sides<Option<f64>>,
    /// Folders made.
    pub dirs_created: u64,
    /// Folders deleted, with everything in them.
    pub dirs_deleted: u64,
    /// Files deleted, not counting those in deleted folders.
    pub files_deleted: u64,
    /// Conflicts, settled or not.
    pub conflict_files: u64,
    /// Conflicts that were left alone.
    pub conflict_files_skipped: u64,
    /// Conflicts that the user was asked about.
    pub interactive_ask: u64,
    /// Things that went wrong.
    pub errors: u64,
    /// Files that could not be copied.
    pub copy_errors: u64,
    /// Characters of metadata read.
    pub meta_bytes_read: u64,
    /// Characters of metadata written.
    pub meta_bytes_written: u64,
}

/// One counter as the face shows it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value {
    /// A count, or bytes.
    Count(u64),
    /// Seconds.
    Seconds(f64),
}

impl Stats {
    /// Adds the time of one copy, in seconds.
    pub fn add_write_time(&mut self, to: Side, seconds: f64) {
        *self.write_time[to].get_or_insert(0.0) += seconds;
    }

    /// Every counter under its documented name.
    pub fn named(&self) -> Vec<(&'static str, Value)> {
        let up = Side::Remote;
        let down = Side::Local;
        let mut named: Vec<(&'static str, Value)> = [
            ("bytes_written", self.bytes_written[up] + self.bytes_written[down]),
            ("conflict_files", self.conflict_files),
            ("conflict_files_skipped", self.conflict_files_skipped),
            ("copy_errors", self.copy_errors),
            ("dirs_created", self.dirs_created),
            ("dirs_deleted", self.dirs_deleted),
            ("download_bytes_written", self.bytes_written[down]),
            ("download_files_written", self.files_written[down]),
            ("entries_seen", self.entries_seen),
            ("entries_touched", self.entries_touched),
            ("errors", self.errors),
            ("files_deleted", self.files_deleted),
            ("files_written", self.files_written[up] + self.files_written[down]),
            ("interactive_ask", self.interactive_ask),
            ("local_dirs", self.dirs.local),
            ("local_files", self.files.local),
            ("meta_bytes_read", self.meta_bytes_read),
            ("meta_bytes_written", self.meta_bytes_written),
            ("remote_dirs", self.dirs.remote),
            ("remote_files", self.files.remote),
            ("upload_bytes_written", self.bytes_written[up]),
            ("upload_files_written", self.files_written[up]),
        ]
        .map(|(name, count)| (name, Value::Count(count)))
        .to_vec();
        let times =
            [("upload_write_time", self.write_time[up]), ("download_write_time", self.write_time[down])];
        named.extend(times.into_iter().filter_map(|(name, time)| Some((name, Value::Seconds(time?)))));
        if times.iter().any(|(_, time)| time.is_some()) {
            let total = times.iter().filter_map(|(_, time)| *time).sum();
            named.push(("write_time", Value::Seconds(total)));
        }
        named
    }
}
