//! How often, and after which pause, another attempt is made. The only place where anything is retried is who asks here.

use crate::error::{Error, Retry};
use std::time::Duration;

/// Attempts in all.
const ATTEMPTS: u32 = 4;

/// The pause before attempt number `attempt + 1` (the first is 1), or `None` when `error` is final.
///
/// The pauses double, and `spread` (0 to 1) keeps several connections from knocking at the same instant.
pub fn pause(error: &Error, attempt: u32, spread: f64) -> Option<Duration> {
    if attempt >= ATTEMPTS {
        return None;
    }
    let base = match error.retry() {
        Retry::No => return None,
        Retry::NewSession if attempt == 1 => return Some(Duration::ZERO),
        Retry::NewSession | Retry::Later => Duration::from_millis(200) * 2u32.pow(attempt - 1),
    };
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
}
