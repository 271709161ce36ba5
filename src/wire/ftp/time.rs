//! Times as FTP writes them: `YYYYMMDDHHMMSS[.fraction]` in UTC (RFC 3659, section 2.3), and the calendar behind it.

use crate::model::Stamp;

const DAY: i64 = 86_400;

/// A moment as a calendar and a clock show it; no time zone of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Civil {
    /// Year of the Gregorian calendar.
    pub year: i64,
    /// 1 to 12.
    pub month: u32,
    /// 1 to 31.
    pub day: u32,
    /// 0 to 23.
    pub hour: u32,
    /// 0 to 59.
    pub minute: u32,
    /// 0 to 60; 60 is a leap second.
    pub second: u32,
}

impl Civil {
    /// Midnight of a day.
    pub fn date(year: i64, month: u32, day: u32) -> Self {
        Civil { year, month, day, hour: 0, minute: 0, second: 0 }
    }

    /// Seconds since 1970-01-01 when read as UTC; `None` for a date or time that does not exist.
    pub fn seconds(self) -> Option<i64> {
        let exists = (1..=12).contains(&self.month)
            && (1..=days_in(self.year, self.month)).contains(&self.day)
            && self.hour < 24
            && self.minute < 60
            && self.second <= 60
            && (0..=9999).contains(&self.year);
        exists.then(|| {
            days_before(self.year, self.month, self.day) * DAY
                + i64::from(self.hour * 3600 + self.minute * 60 + self.second)
        })
    }

    /// What calendar and clock show in UTC, `seconds` after 1970-01-01.
    pub fn of(seconds: i64) -> Self {
        let (days, rest) = (seconds.div_euclid(DAY), seconds.rem_euclid(DAY) as u32);
        // Count years from 1 March, so that the leap day is the last of a year; 719,468 days lie before 1970.
        let shifted = days + 719_468;
        let era = shifted.div_euclid(146_097);
        let day_of_era = shifted.rem_euclid(146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let march_month = (5 * day_of_year + 2) / 153;
        let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
        Civil {
            year: year_of_era + era * 400 + i64::from(month <= 2),
            month: month as u32,
            day: (day_of_year - (153 * march_month + 2) / 5 + 1) as u32,
            hour: rest / 3600,
            minute: rest / 60 % 60,
            second: rest % 60,
        }
    }
}

fn days_in(year: i64, month: u32) -> u32 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Days from 1970-01-01 to a date.
fn days_before(year: i64, month: u32, day: u32) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let march_month = i64::from((month + 9) % 12);
    let day_of_year = (153 * march_month + 2) / 5 + i64::from(day) - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// Reads `YYYYMMDDHHMMSS` with an optional fraction of a second; `None` for anything else.
pub fn parse(text: &str) -> Option<Stamp> {
    let (digits, fraction) = text.split_once('.').unwrap_or((text, ""));
    if digits.len() != 14 || !digits.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number = |from: usize, to: usize| digits[from..to].parse::<u32>().ok();
    let civil = Civil {
        year: i64::from(number(0, 4)?),
        month: number(4, 6)?,
        day: number(6, 8)?,
        hour: number(8, 10)?,
        minute: number(10, 12)?,
        second: number(12, 14)?,
    };
    let nanos = fraction
        .bytes()
        .chain(std::iter::repeat(b'0'))
        .take(9)
        .fold(0, |sum, digit| sum * 10 + u32::from(digit - b'0'));
    Some(Stamp::new(civil.seconds()?, nanos))
}

/// Prints a time as `YYYYMMDDHHMMSS`, rounded down to the second: the form that `MFMT` and `MDTM` understand everywhere.
pub fn digits(at: Stamp) -> String {
    let civil = Civil::of(at.seconds());
    format!(
        "{:04}{:02}{:02}{:02}{:02}{:02}",
        civil.year, civil.month, civil.day, civil.hour, civil.minute, civil.second
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calendar_and_seconds_are_inverse() {
        for day in (-200_000..200_000).step_by(17) {
            let seconds = day * DAY + 12_345;
            assert_eq!(Civil::of(seconds).seconds(), Some(seconds), "{seconds}");
        }
    }

    #[test]
    fn times_with_and_without_fraction() {
        assert_eq!(parse("19700101000000"), Some(Stamp::new(0, 0)));
        assert_eq!(parse("20200229120000.888"), Some(Stamp::new(1_582_977_600, 888_000_000)));
        assert_eq!(parse("19691231235959"), Some(Stamp::new(-1, 0)));
        assert_eq!(digits(Stamp::new(1_582_977_600, 5)), "20200229120000");
        for bad in ["", "2020", "20200230120000", "20201301000000", "2020010100000x", "20200101000000.x"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
