//! Replies of a server: a code of three digits and text, on one line or many (RFC 959, section 4.2).

use crate::error::{Error, Kind, Result};
use crate::model::Stamp;
use crate::wire::ftp::{Command, time};
use std::net::Ipv4Addr;

/// No honest reply is longer, in bytes.
const MAX_BYTES: usize = 64 * 1024;
/// No honest reply has more lines.
const MAX_LINES: usize = 1000;

/// One complete reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    code: u16,
    lines: Vec<Vec<u8>>,
    /// The text that may be shown, where it differs from the lines.
    shown: Option<String>,
}

impl Reply {
    /// Reads one complete reply from text, for tests and scripts; whatever is not a reply has the code 0.
    pub fn from_text(text: &str) -> Self {
        let mut parser = ReplyParser::default();
        parser.push(text.as_bytes());
        match parser.take() {
            Ok(Some(reply)) => reply,
            Ok(None) | Err(_) => Reply { code: 0, lines: vec![text.as_bytes().to_vec()], shown: None },
        }
    }

    /// The three digits.
    pub fn code(&self) -> u16 {
        self.code
    }

    /// Whether it is a 1yz reply: begun, another reply follows.
    pub fn is_preliminary(&self) -> bool {
        self.code / 100 == 1
    }

    /// Whether it is a 2yz reply: done. Servers mix the success codes, so the first digit decides.
    pub fn is_success(&self) -> bool {
        self.code / 100 == 2
    }

    /// Whether it is a 3yz reply: go on.
    pub fn is_intermediate(&self) -> bool {
        self.code / 100 == 3
    }

    /// Whether the server ends the conversation with it: 421, and the last words of a session of vsftpd that has failed, which say
    /// nothing about the command.
    pub fn is_farewell(&self) -> bool {
        self.code == 421 || self.code == 500 && self.raw_text().starts_with("500 OOPS:")
    }

    /// Whether the command is unknown or not implemented: 500, 502, 504, and 202 (superfluous).
    pub fn is_unsupported(&self) -> bool {
        matches!(self.code, 202 | 500 | 502 | 504)
    }

    /// Whether it can be the answer to such a command: what changes names has no answer that belongs to a question, a login or
    /// a transfer. A reply out of step would tell of a deed that was not done.
    pub fn answers(&self, command: &Command) -> bool {
        match command.verb() {
            b"MKD" if self.code == 257 => true,
            b"RNTO" | b"DELE" | b"RMD" | b"MKD" => {
                !matches!(self.code, 100..=199 | 211..=215 | 220..=230 | 257 | 300..=399) || self.code == 226
            }
            b"RNFR" => !matches!(self.code, 100..=199 | 211..=215 | 220..=230 | 257),
            _ => true,
        }
    }

    /// The lines as sent, codes included, line ends not.
    pub fn lines(&self) -> &[Vec<u8>] {
        &self.lines
    }

    /// The same reply with another text to show: `mask` gets each line without its code. What the reply says to this
    /// program (numbers, paths, features) stays as it was sent.
    #[must_use]
    pub fn masked(mut self, mask: impl Fn(&str) -> String) -> Self {
        let text = self.raw_text();
        let lines: Vec<String> = text
            .split('\n')
            .map(|line| {
                let code = if code_of(line.as_bytes()).is_some() { 3 } else { 0 };
                let (code, rest) = line.split_at(code);
                format!("{code}{}", mask(rest))
            })
            .collect();
        self.shown = Some(lines.join("\n")).filter(|shown| *shown != text);
        self
    }

    /// The whole reply as text that may be shown, lines joined by `\n`, bytes that are not UTF-8 replaced.
    pub fn text(&self) -> String {
        self.shown.clone().unwrap_or_else(|| self.raw_text())
    }

    /// The whole reply as it was sent, for what this program reads in it. Not to be shown: servers repeat passwords.
    pub fn raw_text(&self) -> String {
        let lines: Vec<_> = self.lines.iter().map(|line| String::from_utf8_lossy(line)).collect();
        lines.join("\n")
    }

    /// The port of a passive reply, 227 (RFC 959) or 229 (RFC 2428), whichever command was sent.
    ///
    /// Found by its digits, because servers forget parentheses and choose other delimiters. The host of a 227 is
    /// another matter: it is rarely to be trusted.
    pub fn passive_port(&self) -> Option<u16> {
        let text = self.raw_text();
        let text = text.get(3..)?;
        let port = match self.code {
            227 => classic_port(text)?,
            229 => extended_port(text)?,
            _ => return None,
        };
        u16::try_from(port).ok().filter(|&port| port != 0)
    }

    /// The host of a 227 reply, unless it is no host at all: `0.0.0.0`.
    pub fn passive_host(&self) -> Option<Ipv4Addr> {
        let text = self.raw_text();
        let [a, b, c, d, ..] = classic_numbers(text.get(3..)?).filter(|_| self.code == 227)?;
        Some(Ipv4Addr::new(a, b, c, d)).filter(|host| !host.is_unspecified())
    }

    /// The path of a 257 reply: between the first quote and the last that is not doubled (RFC 959, appendix II).
    pub fn quoted_path(&self) -> Option<Vec<u8>> {
        let line = self.lines.first()?;
        let start = line.iter().position(|&byte| byte == b'"')? + 1;
        let mut path = Vec::new();
        let mut rest = line[start..].iter().copied().peekable();
        while let Some(byte) = rest.next() {
            if byte == b'"' && rest.next_if_eq(&b'"').is_none() {
                return Some(path);
            }
            path.push(byte);
        }
        None
    }

    /// The number of a 213 reply to SIZE (RFC 3659, section 4).
    pub fn size(&self) -> Option<u64> {
        self.value()?.parse().ok()
    }

    /// The time of a 213 reply to MDTM (RFC 3659, section 3), fractions included.
    pub fn mtime(&self) -> Option<Stamp> {
        time::parse(&self.value()?)
    }

    /// The one word of a 213 reply.
    fn value(&self) -> Option<String> {
        let line = self.lines.last().filter(|_| self.code == 213)?;
        let text = String::from_utf8_lossy(line.get(4..)?);
        text.split_ascii_whitespace().next().map(str::to_owned)
    }
}

/// The runs of digits in a text, in order, each with the byte that follows it.
fn numbers(text: &str) -> Vec<(u32, Option<u8>)> {
    let mut found = Vec::new();
    let mut rest = text.as_bytes();
    while let Some(start) = rest.iter().position(u8::is_ascii_digit) {
        let length = rest[start..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        let value = rest[start..start + length]
            .iter()
            .fold(0_u32, |sum, digit| sum.saturating_mul(10).saturating_add(u32::from(digit - b'0')));
        rest = &rest[start + length..];
        found.push((value, rest.first().copied()));
    }
    found
}

/// `h1,h2,h3,h4,p1,p2` anywhere in the text.
fn classic_numbers(text: &str) -> Option<[u8; 6]> {
    let numbers = numbers(text);
    let six = numbers.windows(6).find(|six| {
        six[..5].iter().all(|(_, next)| *next == Some(b',')) && six.iter().all(|(value, _)| *value < 256)
    })?;
    let mut found = [0; 6];
    for (place, (value, _)) in found.iter_mut().zip(six) {
        *place = u8::try_from(*value).ok()?;
    }
    Some(found)
}

fn classic_port(text: &str) -> Option<u32> {
    let [.., high, low] = classic_numbers(text)?;
    Some(u32::from(high) * 256 + u32::from(low))
}

/// The number between the same delimiters, three before and one behind: `(|||6446|)`, `(!!!6446!)`, `|||6446|.` Else the last one
/// of the text.
fn extended_port(text: &str) -> Option<u32> {
    let bytes = text.as_bytes();
    let delimited = (0..bytes.len()).find_map(|start| {
        let sign = *bytes.get(start).filter(|byte| byte.is_ascii_punctuation())?;
        let rest =
            text.get(start..)?.strip_prefix([char::from(sign); 3].iter().collect::<String>().as_str())?;
        let length = rest.bytes().take_while(u8::is_ascii_digit).count();
        let is_ended = rest.as_bytes().get(length) == Some(&sign);
        numbers(rest).first().filter(|_| length > 0 && is_ended).map(|(port, _)| *port)
    });
    delimited.or_else(|| numbers(text).last().map(|(port, _)| *port))
}

/// Puts replies together from bytes as they arrive.
#[derive(Debug, Default)]
pub struct ReplyParser {
    buffer: Vec<u8>,
    lines: Vec<Vec<u8>>,
    bytes: usize,
}

impl ReplyParser {
    /// Adds bytes that arrived.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Whether nothing is left over: no byte arrived that does not belong to a reply already returned.
    pub fn is_empty(&self) -> bool {
        self.buffer.is_empty() && self.lines.is_empty()
    }

    /// Whether all that arrived is a reply of several lines with an end that has another code, and `behind` replies of one line
    /// after it. Some servers end `211-` with `200`; for others it is a line of the text, and more will follow.
    pub fn may_have_ended(&self, behind: usize) -> bool {
        let Some(end) = self.lines.len().checked_sub(behind + 1).filter(|&end| end > 0) else {
            return false;
        };
        let is_of_a_kind = self.lines[end].first() == self.lines[0].first();
        let is_last = |line: &Vec<u8>| code_of(line).is_some() && line.get(3) != Some(&b'-');
        self.buffer.is_empty() && is_of_a_kind && self.lines[end..].iter().all(is_last)
    }

    /// Takes that line for the end of the reply, whatever its code, and what follows for `behind` others.
    pub fn end_here(&mut self, behind: usize) {
        let code = self.lines.first().and_then(|first| first.get(..3)).map(<[u8]>::to_vec);
        let (Some(code), Some(end)) = (code, self.lines.len().checked_sub(behind + 1)) else { return };
        let tail = self.lines.split_off(end);
        self.bytes -= tail.iter().map(Vec::len).sum::<usize>().min(self.bytes);
        for (number, line) in tail.into_iter().enumerate() {
            let code = if number == 0 { &code } else { line.get(..3).unwrap_or_default() };
            self.buffer.extend([code, line.get(3..).unwrap_or_default(), b"\n"].concat());
        }
    }

    /// The next complete reply; `None` if more bytes are needed.
    ///
    /// A reply that begins with `220-` ends only at a line that begins with `220` and a blank, or is just `220`: text lines
    /// in between may begin with any digits.
    ///
    /// # Errors
    /// [`Kind::Protocol`] for a first line without a code, and for a reply without end.
    pub fn take(&mut self) -> Result<Option<Reply>> {
        while let Some(line) = self.take_line()? {
            if self.lines.is_empty() && line.is_empty() {
                continue;
            }
            let code = code_of(self.lines.first().unwrap_or(&line)).ok_or_else(|| not_a_reply(&line))?;
            let ends = code_of(&line) == Some(code) && line.get(3) != Some(&b'-');
            self.lines.push(line);
            if ends {
                self.bytes = 0;
                let lines = std::mem::take(&mut self.lines);
                return Ok(Some(Reply { code, lines, shown: None }));
            }
        }
        Ok(None)
    }

    fn take_line(&mut self) -> Result<Option<Vec<u8>>> {
        let end = self.buffer.iter().position(|&byte| byte == b'\n');
        let length = end.map_or(self.buffer.len(), |end| end + 1);
        if self.bytes + length > MAX_BYTES || self.lines.len() >= MAX_LINES {
            return Err(Error::new(Kind::Protocol, "the server sent a reply without end"));
        }
        if end.is_none() {
            return Ok(None);
        }
        self.bytes += length;
        let mut line: Vec<u8> = self.buffer.drain(..length).collect();
        line.pop();
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        Ok(Some(line))
    }
}

/// The code that a line begins with: three digits, then a blank, a minus or nothing.
fn code_of(line: &[u8]) -> Option<u16> {
    let digits = line.get(..3)?;
    let plausible = (b'1'..=b'6').contains(&digits[0])
        && digits[1..].iter().all(u8::is_ascii_digit)
        && matches!(line.get(3), None | Some(b' ' | b'-'));
    plausible.then(|| digits.iter().fold(0, |code, digit| code * 10 + u16::from(digit - b'0')))
}

fn not_a_reply(line: &[u8]) -> Error {
    let mut text = String::from_utf8_lossy(line).into_owned();
    if text.len() > 80 {
        text = text.chars().take(80).chain("...".chars()).collect();
    }
    Error::new(Kind::Protocol, format!("the server sent {text:?}, which is not a reply of the FTP protocol"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(bytes: &[u8]) -> Result<Vec<(u16, usize)>> {
        let mut parser = ReplyParser::default();
        let mut found = Vec::new();
        for byte in bytes {
            parser.push(&[*byte]);
            while let Some(reply) = parser.take()? {
                found.push((reply.code(), reply.lines().len()));
            }
        }
        assert!(parser.is_empty());
        Ok(found)
    }

    #[test]
    fn what_answers_another_command_is_out_of_step() {
        let cases = [
            ("RNTO", &[200, 226, 250, 253, 450, 503, 550][..], &[150, 213, 220, 221, 227, 229, 257, 350][..]),
            ("DELE", &[200, 226, 250, 450, 550], &[125, 211, 213, 227, 230, 257, 350]),
            ("MKD", &[200, 250, 257, 521, 550], &[150, 213, 229, 350]),
            ("RNFR", &[350, 250, 450, 550], &[150, 213, 229, 257]),
            ("SIZE", &[213, 250, 257, 550], &[]),
        ];
        for (verb, right, wrong) in cases {
            let command = Command::path(verb, b"a").unwrap();
            let answers = |code: &u16| Reply::from_text(&format!("{code} x\r\n")).answers(&command);
            assert!(right.iter().all(answers), "{verb}");
            assert!(!wrong.iter().any(answers), "{verb}");
        }
    }

    #[test]
    fn replies_arrive_in_any_pieces() {
        let text = b"220-Welcome\r\n123 users are online\r\n220-x\r\n220 ready\r\n200\r\n\r\n226 done\n";
        assert_eq!(all(text).unwrap(), [(220, 4), (200, 1), (226, 1)]);
    }

    #[test]
    fn a_multi_line_reply_ends_only_with_its_own_code() {
        assert_eq!(all(b"211-Features\r\n 200 a\r\n250 b\r\n211\r\n").unwrap(), [(211, 4)]);
    }

    #[test]
    fn a_reply_may_be_ended_although_its_last_code_is_wrong() {
        let mut parser = ReplyParser::default();
        parser.push(b"211-Features\r\n SIZE\r\n200 end\r\n");
        assert!(!parser.may_have_ended(0), "nothing was read yet");
        assert_eq!(parser.take().unwrap(), None);
        assert!(parser.may_have_ended(0));
        parser.end_here(0);
        let reply = parser.take().unwrap().unwrap();
        assert_eq!((reply.code(), reply.lines().len(), parser.is_empty()), (211, 3, true));
        for unfinished in
            [&b"220-a\r\n123 users\r\n"[..], b"220-a\r\n", b"220-a\r\n226 b\r\n22", b"220-a\r\n226-b\r\n"]
        {
            let mut parser = ReplyParser::default();
            parser.push(unfinished);
            assert_eq!(parser.take().unwrap(), None);
            assert!(!parser.may_have_ended(0), "{unfinished:?}");
        }
    }

    #[test]
    fn replies_behind_one_with_a_wrong_code_at_its_end_are_replies_of_their_own() {
        let mut parser = ReplyParser::default();
        parser.push(b"211-Features\r\n SIZE\r\n200 end\r\n200 Type I\r\n550 no such folder\r\n");
        assert_eq!(parser.take().unwrap(), None);
        assert!(!parser.may_have_ended(3), "the words of the text are no end");
        assert!(parser.may_have_ended(2));
        parser.end_here(2);
        let mut codes = Vec::new();
        while let Some(reply) = parser.take().unwrap() {
            codes.push((reply.code(), reply.lines().len()));
        }
        assert_eq!(codes, [(211, 3), (200, 1), (550, 1)]);
    }

    #[test]
    fn what_is_not_a_reply_is_refused() {
        for bad in [&b"HTTP/1.1 400 Bad\r\n"[..], b"SSH-2.0-x\r\n", b"2200 x\r\n", b"999 x\r\n", b"22\r\n"] {
            assert_eq!(all(bad).unwrap_err().kind(), Kind::Protocol);
        }
    }

    #[test]
    fn a_reply_without_end_is_refused() {
        let mut parser = ReplyParser::default();
        parser.push(&vec![b'2'; MAX_BYTES + 1]);
        assert!(parser.take().is_err());
        let mut parser = ReplyParser::default();
        parser.push(b"220-a\r\n".repeat(MAX_LINES + 1).as_slice());
        assert!(parser.take().is_err());
    }

    #[test]
    fn passive_ports_are_found_by_their_digits() {
        let cases = [
            ("227 Entering Passive Mode (127,0,0,1,200,10).", Some(51210)),
            ("227 Entering Passive Mode 127,0,0,1,200,10", Some(51210)),
            ("227 =127,0,0,1,200,10", Some(51210)),
            ("227 Entering Passive Mode (127,0,0,1,300,10)", None),
            ("227 Entering Passive Mode (127,0,0,1,0,0)", None),
            ("227 no numbers", None),
            ("229 Entering Extended Passive Mode (|||6446|)", Some(6446)),
            ("229 Entering Extended Passive Mode (|||6446|).", Some(6446)),
            ("229 Extended Passive Mode OK (!!!6446!)", Some(6446)),
            ("229 Entering Passive Mode (|||6446)", Some(6446)),
            ("229 Entering Passive Mode (|2|::1|6446|)", Some(6446)),
            ("229 (|||0|)", None),
            ("229 (|||65536|)", None),
            ("229 (|||99999999999|)", None),
            ("200 (|||6446|)", None),
        ];
        for (text, port) in cases {
            assert_eq!(Reply::from_text(&format!("{text}\r\n")).passive_port(), port, "{text}");
        }
    }

    #[test]
    fn quoted_paths_undouble_their_quotes() {
        let path = |text: &str| Reply::from_text(text).quoted_path();
        assert_eq!(path("257 \"/a b\" is current\r\n"), Some(b"/a b".to_vec()));
        assert_eq!(path("257 \"/a\"\"b\"\"\" created\r\n"), Some(b"/a\"b\"".to_vec()));
        assert_eq!(path("257 /a\r\n"), None);
        assert_eq!(path("257 \"/a\r\n"), None);
    }

    #[test]
    fn masks_change_what_is_shown_and_nothing_else() {
        let mask = |text: &str| text.replace("213", "***");
        let reply = Reply::from_text("213 213\r\n").masked(mask);
        assert_eq!((reply.text().as_str(), reply.size()), ("213 ***", Some(213)));
        let passive = Reply::from_text("229 (|||2131|)\r\n").masked(mask);
        assert_eq!((passive.text().as_str(), passive.passive_port()), ("229 (|||***1|)", Some(2131)));
        let several = Reply::from_text("211-a\r\n 213\r\n211 end\r\n").masked(mask);
        assert_eq!(several.text(), "211-a\n ***\n211 end");
    }

    #[test]
    fn sizes_and_times_are_read_from_213() {
        assert_eq!(Reply::from_text("213 12345\r\n").size(), Some(12345));
        assert_eq!(Reply::from_text("213 x\r\n").size(), None);
        assert_eq!(Reply::from_text("250 12345\r\n").size(), None);
        assert_eq!(Reply::from_text("213\r\n").size(), None);
        let time = Reply::from_text("213 20200102030405.5\r\n").mtime();
        assert_eq!(time, Some(Stamp::new(1_577_934_245, 500_000_000)));
    }
}
