//! Command lines: a verb, at most one argument, CRLF (RFC 959, section 5.3).

use crate::error::{Error, Kind, Result};
use crate::model::Stamp;
use crate::wire::ftp::time;

/// One command line, ready to be sent, together with a form that may be shown to anybody.
#[derive(Clone, PartialEq, Eq)]
pub struct Command {
    line: Vec<u8>,
    shown: String,
}

impl Command {
    /// A command without argument: `PWD`, `EPSV`, `QUIT`.
    pub fn bare(verb: &'static str) -> Self {
        Command { line: format!("{verb}\r\n").into_bytes(), shown: verb.to_owned() }
    }

    /// A command with an argument of this program's own making, `TYPE I` or `EPRT |1|...|`.
    ///
    /// # Errors
    /// [`Kind::Name`] as in [`Command::path`].
    pub fn text(verb: &str, argument: &str) -> Result<Self> {
        Command::path(verb, argument.as_bytes())
    }

    /// A command whose argument is a path in the bytes of the server.
    ///
    /// # Errors
    /// [`Kind::Name`] if the argument holds CR, LF or NUL: RFC 959 has no way to quote them, and sending them would start
    /// another command.
    pub fn path(verb: &str, argument: &[u8]) -> Result<Self> {
        refuse_line_ends(argument)?;
        let mut line = Vec::with_capacity(verb.len() + argument.len() + 3);
        line.extend_from_slice(verb.as_bytes());
        line.push(b' ');
        line.extend_from_slice(argument);
        let shown = String::from_utf8_lossy(&line).into_owned();
        line.extend_from_slice(b"\r\n");
        Ok(Command { line, shown })
    }

    /// A command whose argument is secret (`PASS`); it is shown as `***`.
    ///
    /// # Errors
    /// [`Kind::Name`] as in [`Command::path`]; the message does not repeat the secret.
    pub fn secret(verb: &str, argument: &[u8]) -> Result<Self> {
        let mut command = Command::path(verb, argument)?;
        command.shown = format!("{verb} ***");
        Ok(command)
    }

    /// A whole command line of the user's own, without its line end.
    ///
    /// # Errors
    /// [`Kind::Name`] as in [`Command::path`].
    pub fn by_hand(line: &[u8]) -> Result<Self> {
        refuse_line_ends(line)?;
        let shown = match line.get(..5) {
            Some(verb) if verb.eq_ignore_ascii_case(b"PASS ") => "PASS ***".to_owned(),
            _ => String::from_utf8_lossy(line).into_owned(),
        };
        Ok(Command { line: [line, b"\r\n"].concat(), shown })
    }

    /// The verb, as it is sent.
    pub fn verb(&self) -> &[u8] {
        let end = self.line.iter().position(|byte| matches!(byte, b' ' | b'\r'));
        &self.line[..end.unwrap_or(self.line.len())]
    }

    /// Verb and argument in capitals, as far as they are text.
    pub fn words(&self) -> (String, String) {
        let line = self.shown.to_uppercase();
        let (verb, argument) = line.split_once(' ').unwrap_or((&line, ""));
        (verb.to_owned(), argument.trim().to_owned())
    }

    /// `MFMT YYYYMMDDHHMMSS path`, and every other verb that takes a time before the path.
    ///
    /// # Errors
    /// [`Kind::Name`] as in [`Command::path`].
    pub fn timed(verb: &str, at: Stamp, path: &[u8]) -> Result<Self> {
        let mut argument = time::digits(at).into_bytes();
        argument.push(b' ');
        argument.extend_from_slice(path);
        Command::path(verb, &argument)
    }

    /// The bytes to send, CRLF included.
    pub fn line(&self) -> &[u8] {
        &self.line
    }

    /// The command as it may be shown and logged: without CRLF, secrets masked.
    pub fn shown(&self) -> &str {
        &self.shown
    }
}

impl std::fmt::Debug for Command {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.shown)
    }
}

fn refuse_line_ends(argument: &[u8]) -> Result<()> {
    let bad = argument.iter().find(|byte| matches!(byte, b'\r' | b'\n' | 0));
    let what = match bad {
        None => return Ok(()),
        Some(b'\r') => "a carriage return",
        Some(b'\n') => "a line feed",
        Some(_) => "NUL",
    };
    Err(Error::new(Kind::Name, format!("it contains {what}, which cannot be sent over FTP")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_argument_cannot_start_another_command() {
        for bad in [&b"a\r\nDELE b"[..], b"a\nb", b"a\rb", b"a\0b"] {
            assert_eq!(Command::path("RETR", bad).unwrap_err().kind(), Kind::Name);
        }
    }

    #[test]
    fn bytes_of_names_are_sent_as_they_are() {
        let command = Command::path("RETR", b" \xff\xe4 ").unwrap();
        assert_eq!(command.line(), b"RETR  \xff\xe4 \r\n");
    }

    #[test]
    fn a_password_is_never_shown() {
        let command = Command::secret("PASS", b"geheim").unwrap();
        assert_eq!(command.line(), b"PASS geheim\r\n");
        assert_eq!((command.shown(), format!("{command:?}").as_str()), ("PASS ***", "PASS ***"));
        let error = Command::secret("PASS", b"geheim\n").unwrap_err();
        assert!(!error.to_string().contains("geheim"));
        for line in ["PASS geheim", "pass geheim", "Pass  geheim"] {
            let by_hand = Command::by_hand(line.as_bytes()).unwrap();
            assert_eq!(by_hand.line(), format!("{line}\r\n").as_bytes());
            assert_eq!((by_hand.shown(), format!("{by_hand:?}").as_str()), ("PASS ***", "PASS ***"));
        }
    }

    #[test]
    fn times_are_sent_in_utc_digits() {
        let command = Command::timed("MFMT", Stamp::new(1_577_934_245, 9), b"/a b").unwrap();
        assert_eq!(command.line(), b"MFMT 20200102030405 /a b\r\n");
    }
}
