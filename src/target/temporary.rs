//! Names of temporary files: recognisable, and each for one process only.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// A name for a temporary file: recognisable, never synchronised, unlikely to meet another.
///
/// `unique` comes from the caller (a counter, a clock, a process id); the final name is kept visible where it fits into
/// 255 bytes.
pub fn temp_name(file_name: &str, unique: u64) -> String {
    let mut kept = file_name.len().min(200);
    while !file_name.is_char_boundary(kept) {
        kept -= 1;
    }
    format!("{}{unique:016x}-{}", crate::model::TEMP_PREFIX, &file_name[..kept])
}

/// Bits of a temporary name's number that count; the others are the same for all names of a process.
const COUNTING: u32 = 24;

/// A number for a temporary name: two clients of one server do not meet, nor two targets of one process.
pub(crate) fn next_unique() -> u64 {
    numbered(COUNT.fetch_add(1, Ordering::Relaxed))
}

/// How many numbers this process has given away.
static COUNT: AtomicU64 = AtomicU64::new(0);

/// How many numbers this process has given away so far.
pub(crate) fn numbers_given() -> u64 {
    COUNT.load(Ordering::Relaxed)
}

/// Whether hexadecimal digits begin with a number of this process that is one of the first `given`. When the numbers have begun
/// anew, nobody can tell.
pub(crate) fn is_of_first(digits: &str, given: u64) -> bool {
    let number = digits.get(..16).and_then(|digits| u64::from_str_radix(digits, 16).ok());
    let mask = (1 << COUNTING) - 1;
    given <= mask && number.is_some_and(|number| number == numbered(number) && number & mask < given)
}

/// The number that this process makes of another one.
pub(crate) fn numbered(number: u64) -> u64 {
    (process_number() << COUNTING) | (number & ((1 << COUNTING) - 1))
}

/// The digits with which the numbers of this process begin.
pub(crate) fn process_tag() -> String {
    format!("{:010x}", process_number())
}

/// Different for each process; also for one that was split off another.
fn process_number() -> u64 {
    static RANDOM: LazyLock<RandomState> = LazyLock::new(RandomState::new);
    RANDOM.hash_one(std::process::id()) >> COUNTING
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn temporary_names_fit_and_keep_whole_characters() {
        let long = "ä".repeat(127);
        let name = temp_name(&long, 7);
        assert!(name.len() <= 255 && name.starts_with(crate::model::TEMP_PREFIX));
    }

    #[test]
    fn temporary_names_of_a_process_begin_alike_and_differ() {
        let names = [temp_name("file", next_unique()), temp_name("file", next_unique())];
        let beginning = format!("{}{}", crate::model::TEMP_PREFIX, process_tag());
        assert!(names.iter().all(|name| name.starts_with(&beginning)) && names[0] != names[1], "{names:?}");
    }
}
