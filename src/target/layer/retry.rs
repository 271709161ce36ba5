//! How often, and after which pause, another attempt is made. The only place where anything is retried is who asks here.

use crate::error::{Error, Result, Retry};
use crate::target::{Session, Target};
use std::time::Duration;

/// Attempts in all.
const ATTEMPTS: u32 = 4;
/// Attempts to get in where there is no room. The pauses between them are seven seconds and a half, or up to twice as long:
/// servers take two to five to notice that a session has ended.
const KNOCKS: u32 = 5;

/// What was attempted so far for one piece of work. To be turned away for want of room is no failed attempt.
#[derive(Debug, Default)]
pub struct Attempts {
    failed: u32,
    turned_away: u32,
}

impl Attempts {
    /// The pause before the next attempt, or `None` when `error` is final; see [`pause`].
    pub fn pause_after(&mut self, error: &Error, spread: f64) -> Option<Duration> {
        let count = match error.retry() {
            Retry::WhenThereIsRoom => &mut self.turned_away,
            Retry::No | Retry::Later | Retry::NewSession => &mut self.failed,
        };
        *count += 1;
        pause(error, *count, spread)
    }
}

/// Opens a session, and waits for it if there is no room at first, unless it is not wanted any more.
///
/// # Errors
/// As [`Target::open`].
pub fn open_when_there_is_room(
    target: &dyn Target,
    is_wanted: impl Fn() -> bool,
) -> Result<Box<dyn Session>> {
    when_there_is_room(|| target.open(), is_wanted)
}

/// As [`open_when_there_is_room`], for what is opened in another way.
///
/// # Errors
/// What `open` fails with.
pub fn when_there_is_room<T>(open: impl Fn() -> Result<T>, is_wanted: impl Fn() -> bool) -> Result<T> {
    let mut attempts = Attempts::default();
    loop {
        let error = match open() {
            Err(error) if error.retry() == Retry::WhenThereIsRoom => error,
            opened => return opened,
        };
        let pause = attempts.pause_after(&error, 0.0).filter(|_| is_wanted()).ok_or(error)?;
        std::thread::sleep(pause);
    }
}

/// The pause before attempt number `attempt + 1` (the first is 1), or `None` when `error` is final.
///
/// The pauses double, and `spread` (0 to 1) keeps several connections from knocking at the same instant.
pub fn pause(error: &Error, attempt: u32, spread: f64) -> Option<Duration> {
    let (most, first) = match error.retry() {
        Retry::No => return None,
        Retry::NewSession if attempt == 1 => return Some(Duration::ZERO),
        Retry::NewSession | Retry::Later => (ATTEMPTS, Duration::from_millis(200)),
        Retry::WhenThereIsRoom => (KNOCKS, Duration::from_millis(500)),
    };
    if attempt >= most {
        return None;
    }
    let base = first * 2u32.pow(attempt - 1);
    Some(base.mul_f64(1.0 + spread.clamp(0.0, 1.0)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    #[test]
    fn only_what_may_pass_is_tried_again_and_not_for_ever() {
        let lost = Error::new(Kind::Disconnected, "x");
        assert_eq!(pause(&lost, 1, 0.5), Some(Duration::ZERO));
        assert_eq!(pause(&lost, 2, 0.0), Some(Duration::from_millis(400)));
        assert_eq!(pause(&lost, 2, 1.0), Some(Duration::from_millis(800)), "others may knock earlier");
        assert_eq!(pause(&lost, 4, 0.0), None);
        assert_eq!(pause(&Error::new(Kind::Refused, "x"), 1, 0.0), None);
    }

    #[test]
    fn who_is_turned_away_waits_longer_but_not_for_ever_and_has_lost_no_attempt() {
        let (lost, full) =
            (Error::new(Kind::Disconnected, "x"), Error::new(Kind::Disconnected, "421 too many"));
        let full = full.retrying(Retry::WhenThereIsRoom);
        let mut attempts = Attempts::default();
        assert_eq!(attempts.pause_after(&lost, 0.0), Some(Duration::ZERO));
        let pauses: Vec<Duration> = std::iter::from_fn(|| attempts.pause_after(&full, 0.0)).collect();
        assert_eq!(pauses, [500, 1000, 2000, 4000].map(Duration::from_millis));
        assert_eq!(attempts.pause_after(&lost, 0.0), Some(Duration::from_millis(400)));
    }
}
