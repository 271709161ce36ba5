//! Names as people see them.

use std::fmt::{self, Write as _};

/// Where the 128 private characters for bytes that are not UTF-8 begin: 0x80 is U+F780, 0xFF is U+F7FF.
pub const STRAY_BYTES: u32 = 0xF700;

/// The byte that a character stands for, if it is one of those that do.
pub fn stray_byte(char: char) -> Option<u8> {
    u8::try_from(u32::from(char).checked_sub(STRAY_BYTES)?).ok().filter(|byte| *byte >= 0x80)
}

/// A name or a path in quotes: control characters are escaped, and bytes that are no text are shown as bytes (`\xff`).
pub struct Quoted<'a>(pub &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for char in self.0.chars() {
            match stray_byte(char) {
                Some(byte) => write!(f, "\\x{byte:02x}")?,
                None if char == '\'' => f.write_char(char)?,
                None => write!(f, "{}", char.escape_debug())?,
            }
        }
        f.write_char('"')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_should_not_get_is_escaped() {
        let shown = |text: &str| Quoted(text).to_string();
        assert_eq!(shown("a 'b' é/c"), "\"a 'b' é/c\"");
        assert_eq!(shown("a\"\u{1b}[2J\n"), r#""a\"\u{1b}[2J\n""#);
        assert_eq!(shown("d\u{f7ff}\u{f780}"), r#""d\xff\x80""#);
    }
}
