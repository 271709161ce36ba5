//! Lines of a LIST reply: text for people, in the format of whatever program the server runs.
//!
//! RFC 959 leaves the format open. Read here: `ls -l` in its variants (ACL and SELinux marks, no group, groups with
//! blanks, no link count, devices, ISO dates, months in five languages), MS-DOS (two and four digit years, 12 and 24
//! hours), and EPLF. Times come out as the server shows them, read as UTC; the caller knows the offset, or asks for it.

use crate::model::Stamp;
use crate::wire::ftp::time::Civil;
use crate::wire::ftp::{Item, ItemKind, Line};
use std::ops::RangeInclusive;

const DAY: i64 = 86_400;

/// The seconds of the years that can be written with four digits.
const YEARS_0_TO_9999: RangeInclusive<i64> = -62_167_219_200..=253_402_300_799;

/// Precision of a listing that shows minutes, in seconds.
const MINUTE_GRAIN: u32 = 60;
/// Precision of a listing that shows seconds, in seconds: as long as its time zone is not known, it is not exact.
const UNZONED_GRAIN: u32 = 2;
/// Precision of a listing that shows days, in seconds.
const DAY_GRAIN: u32 = 86_400;

/// Reads one line, without its line end.
///
/// `now`, in seconds since 1970, gives the year to times that are shown without one: the latest year in which the time is
/// not more than a day ahead.
pub fn parse(line: &[u8], now: i64) -> Line {
    if line.iter().all(u8::is_ascii_whitespace) || is_total(line) {
        return Line::Nothing;
    }
    let item = match line[0] {
        b'+' => eplf(line),
        first if first.is_ascii_digit() => dos(line),
        b'-' | b'd' if line.get(1) == Some(&b' ') => netware(line, now),
        _ => unix(line, now),
    };
    item.map_or(Line::Bad, Line::of)
}

/// Why a line cannot be read, if it is in the form of a system whose files are no files as others know them.
pub fn foreign_form(line: &[u8]) -> Option<&'static str> {
    let words: Vec<String> = tokens(line).iter().take(5).map(|token| token.lower(line)).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["volume", "unit", "referred", ..] | ["name", "vv.mm", "created", ..] => Some(
            "these are data sets of z/OS; only its Unix files can be synchronised, below a path such as /u",
        ),
        ["directory", place] if place.contains(":[") => Some(VMS),
        [file, ..] if has_version(file) => Some(VMS),
        [_, .., kind] | [_, kind, _] if is_object_of_i(kind) => Some(IBM_I),
        _ => None,
    }
}

const VMS: &str =
    "this is a listing of VMS, which keeps several versions of each file; such files cannot be synchronised";
const IBM_I: &str = "these are objects of IBM i; its files can be synchronised where the server lists them as Unix does (LISTFMT 1)";

/// `LOGIN.COM;12`
fn has_version(file: &str) -> bool {
    let version = file.rsplit_once(';').map(|(name, version)| (name.is_empty(), version));
    matches!(version, Some((false, digits)) if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()))
}

/// `*STMF`, `*DIR`, `*FILE`, `*MEM`
fn is_object_of_i(kind: &str) -> bool {
    let letters = kind.strip_prefix('*').unwrap_or_default();
    letters.len() >= 2 && letters.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// `total 12`, `Total of 3 files`, `insgesamt 12`: one word and a number, and no permissions in front.
fn is_total(line: &[u8]) -> bool {
    let tokens = tokens(line);
    let word = |index: usize| tokens.get(index).map(|token: &Token| token.lower(line));
    match tokens.len() {
        2 => matches!(
            word(0).as_deref(),
            Some("total" | "totalt" | "insgesamt" | "totale" | "totaal" | "gesamt" | "razem" | "итого")
        ),
        _ => word(0).as_deref() == Some("total") && word(1).as_deref() == Some("of"),
    }
}

/// A run of bytes without blanks.
#[derive(Clone, Copy)]
struct Token {
    start: usize,
    end: usize,
}

impl Token {
    fn of<'a>(&self, line: &'a [u8]) -> &'a [u8] {
        &line[self.start..self.end]
    }
    fn text<'a>(&self, line: &'a [u8]) -> &'a str {
        std::str::from_utf8(self.of(line)).unwrap_or("")
    }
    fn lower(&self, line: &[u8]) -> String {
        self.text(line).to_lowercase()
    }
}

fn tokens(line: &[u8]) -> Vec<Token> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(skip) = line[at..].iter().position(|byte| !byte.is_ascii_whitespace()) {
        let start = at + skip;
        let length = line[start..].iter().take_while(|byte| !byte.is_ascii_whitespace()).count();
        at = start + length;
        found.push(Token { start, end: at });
    }
    found
}

// ---- ls -l ------------------------------------------------------------------------------------------------------

/// `drwxr-xr-x+ 2 owner group 4096 Jan  2 03:04 name`, with anything between permissions and date.
///
/// Owners and groups may be missing or contain blanks, so the date is the landmark: the first place where a number (the
/// size) is followed by a date. The name begins one blank behind it, and may begin with blanks itself.
fn unix(line: &[u8], now: i64) -> Option<Item> {
    let tokens = tokens(line);
    let kind = unix_kind(tokens.first()?.of(line))?;
    let (size_at, shown) = (1..tokens.len()).find_map(|at| {
        let number: u64 = tokens[at].text(line).parse().ok()?;
        let shown = shown_time(line, &tokens[at + 1..], now)?;
        Some((number, shown))
    })?;
    let rest = line.get(shown.end + 1..)?;
    let name = match kind {
        ItemKind::Link => link_name(rest, size_at),
        _ => rest,
    };
    Some(Item {
        name: name.to_vec(),
        kind,
        size: (kind == ItemKind::File).then_some(size_at),
        mtime: Some(shown.at),
        unique: None,
        mode: rights(tokens.first()?.of(line)),
    })
}

/// The bits of the nine letters for the rights; those beyond read, write and execute do not count.
fn rights(permissions: &[u8]) -> Option<u16> {
    let letters = permissions.get(1..10)?;
    letters.iter().zip(b"rwx".iter().cycle()).try_fold(0, |bits, (letter, right)| {
        let is_set = match (letter, right) {
            (b'-', _) | (b'S' | b'T', b'x') => false,
            (b's' | b't', b'x') => true,
            (letter, right) if letter == right => true,
            _ => return None,
        };
        Some(bits << 1 | u16::from(is_set))
    })
}

/// What the permissions say: a letter for the kind, nine for the rights, perhaps a mark of ACL, SELinux or attributes.
fn unix_kind(permissions: &[u8]) -> Option<ItemKind> {
    let (kind, rights) = permissions.split_first()?;
    let kind = match kind {
        b'-' | b'f' => ItemKind::File,
        b'd' => ItemKind::Folder,
        b'l' => ItemKind::Link,
        b'b' | b'c' | b'p' | b's' | b'D' => ItemKind::Special,
        _ => return None,
    };
    let plausible = matches!(rights.len(), 9 | 10)
        && rights[..9].iter().all(|right| b"rwxsStTlL-".contains(right))
        && rights[9..].iter().all(|mark| b"+.@ ".contains(mark));
    plausible.then_some(kind)
}

/// The name in `name -> target`. Both may contain the arrow; the size of a link is the length of its target.
fn link_name(rest: &[u8], size: u64) -> &[u8] {
    const ARROW: &[u8] = b" -> ";
    let arrows = || rest.windows(ARROW.len()).enumerate().filter(|(_, window)| *window == ARROW);
    let fits = |at: usize| (rest.len() - at - ARROW.len()) as u64 == size;
    let border = arrows().find(|(at, _)| fits(*at)).or_else(|| arrows().next()).map(|(at, _)| at);
    &rest[..border.unwrap_or(rest.len())]
}

/// A date in a line, and where it ends.
struct Shown {
    at: Stamp,
    end: usize,
}

/// A date at the beginning of `tokens`, in any of the forms of `ls`.
fn shown_time(line: &[u8], tokens: &[Token], now: i64) -> Option<Shown> {
    let (first, second) = (tokens.first()?, tokens.get(1)?);
    if let Some(day) = iso_date(first.text(line)) {
        return iso_time(line, tokens, day);
    }
    let third = tokens.get(2)?;
    // "Jan 2 ..." and, in several languages, "2 Jan ..."
    let (month, day) = match month(&first.lower_any(line)) {
        Some(month) => (month, day_number(second.text(line))?),
        None => (month(&second.lower_any(line))?, day_number(first.text(line))?),
    };
    let at = match clock(third.text(line)) {
        Some((hour, minute)) => with_year_of(now, month, day, hour, minute)?.with_grain(MINUTE_GRAIN),
        None => {
            let year = third.text(line);
            if year.len() != 4 {
                return None;
            }
            Stamp::new(Civil::date(year.parse().ok()?, month, day).seconds()?, 0).with_grain(DAY_GRAIN)
        }
    };
    Some(Shown { at, end: third.end })
}

impl Token {
    /// Lower-case text; bytes that are not UTF-8 are read as Latin-1, for the months of old servers.
    fn lower_any(&self, line: &[u8]) -> String {
        match std::str::from_utf8(self.of(line)) {
            Ok(text) => text.to_lowercase(),
            Err(_) => self.of(line).iter().map(|&byte| char::from(byte)).collect::<String>().to_lowercase(),
        }
    }
}

/// `2024-01-02 03:04`, `2024-01-02 03:04:05.123456789 +0100` (`ls --full-time`), `2024-01-02` alone.
fn iso_time(line: &[u8], tokens: &[Token], day: Civil) -> Option<Shown> {
    let (date, next) = (tokens.first()?, tokens.get(1)?);
    let whole = next.text(line).split('.').next().unwrap_or("");
    let mut parts = whole.split(':');
    let (Some(hour), Some(minute)) = (parts.next().and_then(two), parts.next().and_then(two)) else {
        let at = Stamp::new(day.seconds()?, 0).with_grain(DAY_GRAIN);
        return Some(Shown { at, end: date.end });
    };
    let second = parts.next().and_then(two);
    let civil = Civil { hour, minute, second: second.unwrap_or(0), ..day };
    let at = Stamp::new(civil.seconds()?, 0);
    // Before a name there is a blank: the last word is never the zone.
    let zone = tokens.get(2).filter(|_| second.is_some() && tokens.len() > 3);
    Some(match zone.and_then(|zone| zone_offset(zone.text(line)).map(|offset| (zone.end, offset))) {
        Some((end, offset)) => Shown { at: Stamp::new(at.seconds() - offset, 0), end },
        None => {
            let grain = if second.is_some() { UNZONED_GRAIN } else { MINUTE_GRAIN };
            Shown { at: at.with_grain(grain), end: next.end }
        }
    })
}

/// `+0100` in seconds.
fn zone_offset(text: &str) -> Option<i64> {
    let (sign, digits) = match text.as_bytes() {
        [b'+', digits @ ..] => (1, digits),
        [b'-', digits @ ..] => (-1, digits),
        _ => return None,
    };
    let [hours, minutes] =
        [digits.get(..2)?, digits.get(2..)?].map(|two_of| std::str::from_utf8(two_of).ok());
    Some(sign * i64::from(two(hours?)? * 3600 + two(minutes?)? * 60))
}

fn iso_date(text: &str) -> Option<Civil> {
    let mut parts = text.split('-');
    let year = parts.next().filter(|year| year.len() == 4)?.parse().ok()?;
    let (month, day) = (two(parts.next()?)?, two(parts.next()?)?);
    parts.next().is_none().then(|| Civil::date(year, month, day))
}

/// Two digits.
fn two(text: &str) -> Option<u32> {
    (text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok())?
}

/// `2`, `02`, `2.` and `2,`.
fn day_number(text: &str) -> Option<u32> {
    let digits = text.trim_end_matches(['.', ',']);
    (digits.len() <= 2).then(|| digits.parse().ok())?
}

/// `03:04` and `3:04`.
fn clock(text: &str) -> Option<(u32, u32)> {
    let (hour, minute) = text.split_once(':')?;
    let hour: u32 = (1..=2).contains(&hour.len()).then(|| hour.parse().ok())??;
    Some((hour, two(minute)?))
}

/// `ls` shows times of the last six months without the year, and a clock may be ahead of ours by a time zone.
fn with_year_of(now: i64, month: u32, day: u32, hour: u32, minute: u32) -> Option<Stamp> {
    let this_year = Civil::of(now).year;
    // Eight years always hold a 29 February.
    (0..=8).find_map(|back| {
        let civil = Civil { year: this_year + 1 - back, month, day, hour, minute, second: 0 };
        let seconds = civil.seconds()?;
        (seconds <= now + DAY).then(|| Stamp::new(seconds, 0))
    })
}

/// Months in English, German, Dutch, the Scandinavian and Romance languages and Russian, as `ls` abbreviates them.
fn month(text: &str) -> Option<u32> {
    let text = text.trim_end_matches('.');
    Some(match text {
        "jan" | "janv" | "ene" | "gen" | "янв" => 1,
        "feb" | "fév" | "févr" | "fev" | "фев" => 2,
        "mar" | "mär" | "mrz" | "mrt" | "mars" | "märz" | "мар" => 3,
        "apr" | "avr" | "avril" | "abr" | "апр" => 4,
        "may" | "mai" | "maj" | "mag" | "mei" | "май" | "мая" => 5,
        "jun" | "juin" | "giu" | "июн" => 6,
        "jul" | "juil" | "juli" | "lug" | "июл" => 7,
        "aug" | "aoû" | "août" | "ago" | "авг" => 8,
        "sep" | "sept" | "set" | "сен" => 9,
        "oct" | "okt" | "ott" | "out" | "окт" => 10,
        "nov" | "ноя" => 11,
        "dec" | "dez" | "déc" | "dic" | "des" | "дек" => 12,
        _ => return None,
    })
}

/// `- [RWCEAFMS] owner   214059 Oct 20 15:27 name`, and the same with blanks within the brackets.
fn netware(line: &[u8], now: i64) -> Option<Item> {
    let rights = line.get(2..)?.strip_prefix(b"[")?;
    let end = rights.iter().position(|&byte| byte == b']')?;
    let permissions: &[u8] = if line[0] == b'd' { b"drwxrwxrwx" } else { b"-rwxrwxrwx" };
    let mut item = unix(&[permissions, &rights[end + 1..]].concat(), now)?;
    // Names are padded, and cannot begin with a blank.
    item.name = item.name.trim_ascii_start().to_vec();
    Some(item)
}

// ---- MS-DOS -----------------------------------------------------------------------------------------------------

/// `07-17-24  02:08PM       <DIR>          name`, and the same with a four digit year or a 24 hour clock.
fn dos(line: &[u8]) -> Option<Item> {
    let tokens = tokens(line);
    let (date, clock, what) = (tokens.first()?, tokens.get(1)?, tokens.get(2)?);
    let day = dos_date(date.text(line))?;
    let (hour, minute) = dos_clock(clock.text(line))?;
    let civil = Civil { hour, minute, ..day };
    let (kind, size) = match what.text(line) {
        "<DIR>" => (ItemKind::Folder, None),
        "<JUNCTION>" | "<SYMLINK>" | "<SYMLINKD>" => (ItemKind::Link, None),
        number => (ItemKind::File, Some(number.replace([',', '.'], "").parse().ok()?)),
    };
    let rest = line.get(what.end..)?;
    // A mark stands in a column of its own, padded to the width of sizes; behind a size there is one blank.
    let padding = if size.is_some() { 1 } else { 10 };
    let blanks = rest.iter().take(padding).take_while(|byte| **byte == b' ').count();
    Some(Item {
        name: rest[blanks..].to_vec(),
        kind,
        size,
        mtime: Some(Stamp::new(civil.seconds()?, 0).with_grain(MINUTE_GRAIN)),
        unique: None,
        mode: None,
    })
}

/// `07-17-24`, `07-17-2024`, `07/17/24` (month first), `2024-07-17`, `17.07.2024` (day first).
fn dos_date(text: &str) -> Option<Civil> {
    let parts: Vec<&str> = text.split(['-', '/', '.']).collect();
    let [first, second, third] = parts.as_slice() else {
        return None;
    };
    if first.len() == 4 {
        return Some(Civil::date(first.parse().ok()?, two(second)?, two(third)?));
    }
    let year = match third.len() {
        4 => third.parse().ok()?,
        // Windows reads two digits as 1950 to 2049.
        _ => match i64::from(two(third)?) {
            old @ 50.. => 1900 + old,
            new => 2000 + new,
        },
    };
    let (first, second) = (two(first)?, two(second)?);
    Some(if text.contains('.') { Civil::date(year, second, first) } else { Civil::date(year, first, second) })
}

/// `02:08PM`, `14:08`.
fn dos_clock(text: &str) -> Option<(u32, u32)> {
    let (hour, minute) = clock(text.get(..5)?)?;
    let hour = match text.get(5..)?.to_ascii_uppercase().as_str() {
        "" => hour,
        "AM" if hour <= 12 => hour % 12,
        "PM" if hour <= 12 => hour % 12 + 12,
        _ => return None,
    };
    Some((hour, minute))
}

// ---- EPLF -------------------------------------------------------------------------------------------------------

/// `+i8388621.48594,m825718503,r,s280,\tname` (Easily Parsed LIST Format).
fn eplf(line: &[u8]) -> Option<Item> {
    let tab = line.iter().position(|&byte| byte == b'\t')?;
    let mut item = Item {
        name: line[tab + 1..].to_vec(),
        kind: ItemKind::Special,
        size: None,
        mtime: None,
        unique: None,
        mode: None,
    };
    let facts = std::str::from_utf8(&line[1..tab]).ok()?;
    for fact in facts.split(',').filter(|fact| !fact.is_empty()) {
        let (letter, value) = fact.split_at_checked(1)?;
        match letter {
            "/" => item.kind = ItemKind::Folder,
            "r" => item.kind = ItemKind::File,
            "s" => item.size = Some(value.parse().ok()?),
            "m" => {
                item.mtime = Some(value.parse().ok().filter(|at| YEARS_0_TO_9999.contains(at))?)
                    .map(|at| Stamp::new(at, 0))
            }
            "i" => item.unique = Some(value.to_owned()),
            _ => {}
        }
    }
    Some(item)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ItemKind::{File, Folder, Link, Special};

    /// 2024-03-01 12:00:00
    const NOW: i64 = 1_709_294_400;

    fn read(line: &str) -> (String, ItemKind, Option<u64>, String, u32) {
        match parse(line.as_bytes(), NOW) {
            Line::Item(item) => {
                let at = item.mtime.map(|at| (crate::wire::ftp::time::digits(at), at.grain()));
                let (digits, grain) = at.unwrap_or_default();
                (String::from_utf8(item.name).unwrap(), item.kind, item.size, digits, grain)
            }
            other => panic!("{line:?} is {other:?}"),
        }
    }

    #[test]
    fn permissions_are_those_of_the_nine_letters() {
        for (letters, mode) in [
            ("-rw-r--r--", Some(0o644)),
            ("-rwx------+", Some(0o700)),
            ("-rwsr-sr-t", Some(0o755)),
            ("-rwSr-Sr-T", Some(0o644)),
            ("----------.", Some(0)),
            ("-rw-rw", None),
            ("-RWCE-----", None),
        ] {
            assert_eq!(rights(letters.as_bytes()), mode, "{letters}");
        }
    }

    #[test]
    #[rustfmt::skip]
    fn real_lines_of_real_servers() {
        let cases = [
            ("-rw-r--r--    1 1000     1000           12 Feb 28 03:04 a.txt", "a.txt", File, Some(12), "20240228030400", 60),
            ("-rw-r--r--    1 1000     1000           12 Mar 02 11:00 ahead", "ahead", File, Some(12), "20240302110000", 60),
            ("-rw-r--r--    1 1000     1000           12 Mar 03 11:00 past", "past", File, Some(12), "20230303110000", 60),
            ("-rw-r--r--    1 1000     1000           12 Dec 31 23:59 last", "last", File, Some(12), "20231231235900", 60),
            ("-rw-r--r--    1 1000     1000           12 Feb 29 23:59 leap", "leap", File, Some(12), "20240229235900", 60),
            ("drwxr-xr-x    2 ftp      ftp          4096 Jan  2  2020 sub dir", "sub dir", Folder, None, "20200102000000", 86400),
            ("drwxrwxr-x+   2 u g 4096 Jan 02 2020 acl", "acl", Folder, None, "20200102000000", 86400),
            ("-rw-r--r--.   1 u g 5 Jan 02 2020 selinux", "selinux", File, Some(5), "20200102000000", 86400),
            ("-rw-r--r--@   1 u g 5 Jan 02 2020 mac", "mac", File, Some(5), "20200102000000", 86400),
            ("-rw-r--r--   1 owner        5 Jan 02 2020 nogroup", "nogroup", File, Some(5), "20200102000000", 86400),
            ("-rw-r--r--   1 owner domain users   5 Jan 02 2020 blank group", "blank group", File, Some(5), "20200102000000", 86400),
            ("-rw-r--r--   u g   5 Jan 02 2020 nolinks", "nolinks", File, Some(5), "20200102000000", 86400),
            ("-rw-r--r--   1 u g   5 Jan 02 2020  leading", " leading", File, Some(5), "20200102000000", 86400),
            ("-rw-r--r--   1 u g   5 Jan 02 2020 trailing ", "trailing ", File, Some(5), "20200102000000", 86400),
            ("-rw-r--r--   1 u g   5 Jan 02 2020 7 Jan 03 2021 x", "7 Jan 03 2021 x", File, Some(5), "20200102000000", 86400),
            ("-rw-r--r--   1 u g   5 Jan 02 2020 a -> b", "a -> b", File, Some(5), "20200102000000", 86400),
            ("lrwxrwxrwx   1 u g   4 Jan 02 2020 link -> /etc", "link", Link, None, "20200102000000", 86400),
            ("lrwxrwxrwx   1 u g   1 Jan 02 2020 a -> b -> c", "a -> b", Link, None, "20200102000000", 86400),
            ("lrwxrwxrwx   1 u g   6 Jan 02 2020 a -> b -> c", "a", Link, None, "20200102000000", 86400),
            ("lrwxrwxrwx   1 u g   6 Jan 02 2020 bare", "bare", Link, None, "20200102000000", 86400),
            ("crw-rw-rw-   1 root root 1,   3 Jan 02 2020 null", "null", Special, None, "20200102000000", 86400),
            ("prw-rw-rw-   1 root root 0 Jan 02 2020 pipe", "pipe", Special, None, "20200102000000", 86400),
            ("-rw-r--r--   1 u g   5 2 Jan 2020 day first", "day first", File, Some(5), "20200102000000", 86400),
            ("-rw-r--r--   1 u g   5 2. Mär 2020 german", "german", File, Some(5), "20200302000000", 86400),
            ("-rw-r--r--   1 u g   5 févr. 2 2020 french", "french", File, Some(5), "20200202000000", 86400),
            ("-rw-r--r--   1 u g   5 2020-01-02 03:04 iso", "iso", File, Some(5), "20200102030400", 60),
            ("-rw-r--r--   1 u g   5 2020-01-02 03:04:05.123456789 +0100 full", "full", File, Some(5), "20200102020405", 0),
            ("-rw-r--r--   1 u g   5 2020-01-02 03:04:05 +0100 busybox", "busybox", File, Some(5), "20200102020405", 0),
            ("-rw-r--r--   1 u g   5 2020-01-02 03:04:05 no zone", "no zone", File, Some(5), "20200102030405", 2),
            ("-rw-r--r--   1 u g   5 2020-01-02 03:04:05 +0100", "+0100", File, Some(5), "20200102030405", 2),
            ("-rw-r--r--   1 u g   5 2020-01-02 03:04 -für", "-für", File, Some(5), "20200102030400", 60),
            ("-rw-r--r--   1 u g   5 2020-01-02 03:04 +€x", "+€x", File, Some(5), "20200102030400", 60),
            ("-rw-r--r--   1 u g   5 2 mei 2020 dutch", "dutch", File, Some(5), "20200502000000", 86400),
            ("-rw-r--r--   1 u g   5 2 maj 2020 swedish", "swedish", File, Some(5), "20200502000000", 86400),
            ("-rwsr-sr-t   1 u g   5 Jan 02  2020 setuid", "setuid", File, Some(5), "20200102000000", 86400),
            ("d---------   1 user group            0 Jan 02  2020 iis-unix", "iis-unix", Folder, None, "20200102000000", 86400),
            ("- [RWCEAFMS] fifi                    214059 Jan 20  2020 netware.txt", "netware.txt", File, Some(214_059), "20200120000000", 86400),
            ("d [R----F--] supervisor              512    Jan 16 2020    login", "login", Folder, None, "20200116000000", 86400),
            ("07-17-00  02:08PM                 1336 dos.txt", "dos.txt", File, Some(1336), "20000717140800", 60),
            ("07-17-99  12:08AM                 1336 midnight", "midnight", File, Some(1336), "19990717000800", 60),
            ("07-17-2024  02:08PM       <DIR>          dos dir", "dos dir", Folder, None, "20240717140800", 60),
            ("07-17-2024  14:08       <DIR>            two", "  two", Folder, None, "20240717140800", 60),
            ("07-17-2024  14:08                 1336  lead", " lead", File, Some(1336), "20240717140800", 60),
            ("2024-07-17  14:08                 1336 iso dos", "iso dos", File, Some(1336), "20240717140800", 60),
            ("17.07.2024  14:08            1.336 german dos", "german dos", File, Some(1336), "20240717140800", 60),
            ("07-17-24  02:08PM       <JUNCTION>     j", "j", Link, None, "20240717140800", 60),
            ("+i8388621.48594,m825718503,r,s280,\tdjb.html", "djb.html", File, Some(280), "19960301221503", 0),
            ("+i8388621.50690,m824255907,/,\t514", "514", Folder, None, "19960213235827", 0),
        ];
        for (line, name, kind, size, at, grain) in cases {
            assert_eq!(read(line), (name.to_owned(), kind, size, at.to_owned(), grain), "{line}");
        }
    }

    #[test]
    fn lines_without_a_name_are_nothing() {
        for line in [
            "",
            "   ",
            "total 12",
            "total 0",
            "insgesamt 4",
            "totalt 12",
            "итого 48",
            "Total of 3 Files, 4/12 Blocks.",
        ] {
            assert_eq!(parse(line.as_bytes(), NOW), Line::Nothing, "{line}");
        }
        for dot in [".", ".."] {
            let line = format!("drwxr-xr-x 2 0 0 4096 Jan 02 2020 {dot}");
            assert_eq!(parse(line.as_bytes(), NOW), Line::Nothing);
        }
    }

    #[test]
    fn lines_that_cannot_be_understood_are_bad() {
        for line in [
            "ls: cannot open directory",
            "-rw-r--r-- 1 u g 5 Jan 02 2020",
            "-rw-r--r-- 1 u g 5 Jan 02 2020 ",
            "-rw-r--r-- 1 u g x Jan 02 2020 a",
            "-rw-r--r-- 1 u g 5 Foo 02 2020 a",
            "-rw-r--r-- 1 u g 5 Feb 31 2020 a",
            "07-17-24  25:08PM  12 a",
            "13-17-2024  14:08  12 a",
            "+r,s12",
            "+m-9223372036854775808,r,s1,\ta",
            "+m253402300800,r,s1,\ta",
            "12 files",
        ] {
            assert_eq!(parse(line.as_bytes(), NOW), Line::Bad, "{line}");
        }
    }

    #[test]
    fn forms_of_systems_with_other_files_are_known_by_name() {
        let cases = [
            ("z/OS", "Volume Unit    Referred Ext Used Recfm Lrecl BlkSz Dsorg Dsname"),
            ("VMS", "Directory DISK$USER:[JOE.SITE]"),
            ("VMS", "vms_dir_1.DIR;1  1 19-NOV-2001 21:41 [root,root] (RWE,RWE,RE,RE)"),
            ("VMS", "vms_file_3;1       155   2-JUL-2003 10:30:13.64"),
            ("VMS", "1_README.TXT;12  2/8 15-JAN-2000 00:00:00 [SYSTEM] (RWED,RWED,RE,)"),
            ("VMS", "A_VERY_LONG_NAME_THAT_TAKES_A_LINE.TXT;2"),
            ("IBM i", "QSYS            77824 02/23/00 15:09:55 *DIR       dir1/"),
            ("IBM i", "QPGMR           36864 18.06.01 14:02:50 *STMF      file3"),
            ("IBM i", "BOB                                     *MEM       QGPL.LIB/A.FILE/B.MBR"),
        ];
        for (system, line) in cases {
            assert_eq!(parse(line.as_bytes(), NOW), Line::Bad, "{line}");
            assert!(foreign_form(line.as_bytes()).is_some_and(|why| why.contains(system)), "{line}");
        }
        for line in ["ls: cannot open directory", "garbage", "a;b 1 2", ";1", "x * y *", "12 files"] {
            assert_eq!(foreign_form(line.as_bytes()), None, "{line}");
        }
    }

    #[test]
    fn bytes_of_names_stay_as_they_are() {
        match parse(b"-rw-r--r-- 1 u g 5 Jan 02 2020 \xe4\xff", NOW) {
            Line::Item(item) => assert_eq!(item.name, b"\xe4\xff"),
            other => panic!("{other:?}"),
        }
    }
}
