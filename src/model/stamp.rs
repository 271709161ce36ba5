//! A point in time as a file carries it, with the precision of whoever said so.

use std::cmp::Ordering;

/// Two modification times within this many seconds count as equal (FAT stores two-second steps).
pub const EPS_TIME: f64 = 2.01;

/// A modification time: seconds since 1970-01-01 UTC, and how coarse the source of the value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    seconds: i64,
    nanos: u32,
    grain: u32,
}

impl Stamp {
    /// `seconds` and `nanos` (0 to 999,999,999) since 1970-01-01 UTC, exact.
    pub fn new(seconds: i64, nanos: u32) -> Self {
        Stamp { seconds, nanos: nanos.min(999_999_999), grain: 0 }
    }

    /// Seconds since 1970-01-01 UTC, from a float; values that are not finite are refused.
    pub fn from_secs_f64(seconds: f64) -> Option<Self> {
        if !seconds.is_finite() || seconds.abs() > 1e15 {
            return None;
        }
        let whole = seconds.floor();
        let nanos = ((seconds - whole) * 1e9).round() as u32;
        Some(if nanos >= 1_000_000_000 {
            Stamp::new(whole as i64 + 1, 0)
        } else {
            Stamp::new(whole as i64, nanos)
        })
    }

    /// The same time, known only to `grain` seconds (60 for a listing that shows minutes, 86,400 for one that shows days).
    #[must_use]
    pub fn with_grain(mut self, grain: u32) -> Self {
        self.grain = grain;
        self
    }

    /// Whole seconds since 1970-01-01 UTC, rounded down.
    pub fn seconds(self) -> i64 {
        self.seconds
    }

    /// Nanoseconds past [`Stamp::seconds`].
    pub fn nanos(self) -> u32 {
        self.nanos
    }

    /// How coarse the value is, in seconds; 0 means as exact as it looks.
    pub fn grain(self) -> u32 {
        self.grain
    }

    /// Seconds as a float, computed the way Python computes `st_mtime`, so that both write the same number.
    pub fn as_secs_f64(self) -> f64 {
        self.seconds as f64 + 1e-9 * f64::from(self.nanos)
    }
}

/// Compares two times of files, in seconds: equal within [`EPS_TIME`], or within `grain` where a listing is coarser.
pub fn compare_times(one: f64, other: f64, grain: u32) -> Ordering {
    if (one - other).abs() <= EPS_TIME.max(f64::from(grain)) {
        Ordering::Equal
    } else if one < other {
        Ordering::Less
    } else {
        Ordering::Greater
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_round_trip_to_the_microsecond() {
        let stamp = Stamp::from_secs_f64(1_662_725_529.25).unwrap();
        assert_eq!((stamp.seconds(), stamp.nanos()), (1_662_725_529, 250_000_000));
        assert_eq!(Stamp::from_secs_f64(-1.5).unwrap().as_secs_f64(), -1.5);
        assert!(Stamp::from_secs_f64(f64::NAN).is_none());
    }

    #[test]
    fn times_are_equal_within_two_seconds_or_the_grain() {
        assert_eq!(compare_times(10.0, 12.01, 0), Ordering::Equal);
        assert_eq!(compare_times(10.0, 12.02, 0), Ordering::Less);
        assert_eq!(compare_times(60.0, 10.0, 0), Ordering::Greater);
        assert_eq!(compare_times(60.0, 10.0, 60), Ordering::Equal);
    }
}
