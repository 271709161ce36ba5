//! Times as S3 writes them: `20260102T030405Z` in signatures, `2026-01-02T03:04:05.678Z` in listings, and that of RFC 9110 in
//! headers.

use crate::model::Stamp;
use crate::wire::ftp::time::Civil;

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// `20260102T030405Z`.
pub fn basic(seconds: i64) -> String {
    let at = Civil::of(seconds);
    format!("{:04}{:02}{:02}T{:02}{:02}{:02}Z", at.year, at.month, at.day, at.hour, at.minute, at.second)
}

/// Reads `2026-01-02T03:04:05Z`, with or without a fraction; `None` for anything else. Offsets other than `Z` are not used.
pub fn listed(text: &str) -> Option<Stamp> {
    let (date, clock) = text.strip_suffix('Z').or_else(|| text.strip_suffix("+00:00"))?.split_once('T')?;
    let digits: String = date.chars().chain(clock.chars()).filter(|char| !"-:".contains(*char)).collect();
    crate::wire::ftp::time::parse(&digits)
}

/// Reads `Fri, 02 Jan 2026 03:04:05 GMT`.
pub fn header(text: &str) -> Option<Stamp> {
    let words: Vec<&str> = text.split_once(", ")?.1.split([' ', ':']).collect();
    let [day, month, year, hour, minute, second, "GMT"] = words[..] else { return None };
    let month = MONTHS.iter().position(|name| *name == month)?;
    let civil = Civil {
        year: year.parse().ok()?,
        month: u32::try_from(month).ok()? + 1,
        day: day.parse().ok()?,
        hour: hour.parse().ok()?,
        minute: minute.parse().ok()?,
        second: second.parse().ok()?,
    };
    Some(Stamp::new(civil.seconds()?, 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_forms_name_one_moment() {
        assert_eq!(basic(1_767_323_045), "20260102T030405Z");
        assert_eq!(header("Fri, 02 Jan 2026 03:04:05 GMT"), Some(Stamp::new(1_767_323_045, 0)));
        assert_eq!(listed("2026-01-02T03:04:05.678Z"), Some(Stamp::new(1_767_323_045, 678_000_000)));
        assert_eq!(listed("2026-01-02T03:04:05+00:00"), Some(Stamp::new(1_767_323_045, 0)));
        for bad in ["", "2026-01-02", "2026-13-02T03:04:05Z", "yesterday"] {
            assert_eq!((listed(bad), header(bad)), (None, None), "{bad}");
        }
    }
}
