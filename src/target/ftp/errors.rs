//! Replies that refuse, in the words and kinds of this crate.

use crate::error::{Error, Kind, Retry};
use crate::wire::ftp::Reply;

/// The error that a refusing reply stands for, with the reply attached.
pub fn refusal(reply: &Reply) -> Error {
    judged(reply, &reply.text())
}

/// As [`refusal`], of a command with this path: what the server repeats of it says nothing.
pub fn refusal_about(reply: &Reply, path: &[u8]) -> Error {
    judged(reply, &without_names(&reply.text(), path))
}

/// The error of a reply that says this.
fn judged(reply: &Reply, said: &str) -> Error {
    let text = reply.text();
    let kind = if reply.is_farewell() { Kind::Disconnected } else { kind_of(reply.code(), said) };
    let error = Error::new(kind, text.replace('\n', " / "));
    let error = match reply.code() {
        // vsftpd, whose passive ports are all in use.
        500 if text.contains("vsf_sysutil_bind") => error.retrying(Retry::NewSession).advise(
            "the server has too few ports for data connections: use --connections 1, or have its operator allow more",
        ),
        _ if reply.is_farewell() => error.retrying(Retry::NewSession),
        // Something is wrong with data connections; a new conversation often cures it.
        425 | 426 | 522 => error.retrying(Retry::NewSession),
        // Who was logged in is no longer: servers forget idle users.
        530 if is_about_login(&text) => error.retrying(Retry::NewSession),
        452 | 552 => error.advise("the disk of the server is full, your quota is used up, or the file is larger than the server takes"),
        _ => error,
    };
    error.with_reply(reply.code(), text)
}

/// Whether a 530 asks for the login, and not for other rights.
fn is_about_login(text: &str) -> bool {
    let text = text.to_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
    says(&["login", "log in", "logged in"]) && !says(&["incorrect", "failed", "invalid"])
}

fn kind_of(code: u16, text: &str) -> Kind {
    match code {
        452 | 552 => Kind::Full,
        430 | 530 => Kind::Login,
        500 | 502 | 504 => Kind::Unsupported,
        534 | 536 | 522 => Kind::Tls,
        553 => Kind::Refused,
        450 | 550 => missing_or_denied(text).unwrap_or(if code == 450 { Kind::Busy } else { Kind::Refused }),
        400..=499 => Kind::Busy,
        _ => Kind::Refused,
    }
}

const MISSING: [&str; 8] =
    ["no such", "not found", "not exist", "n't exist", "cannot find", "can't find", "no file", "enoent"];
const DENIED: [&str; 6] = ["permission", "denied", "not allowed", "access is", "forbidden", "not permitted"];

/// What the words of a 550 hint at.
fn missing_or_denied(text: &str) -> Option<Kind> {
    let text = text.to_lowercase();
    let hints = |words: &[&str]| words.iter().any(|word| text.contains(word));
    if hints(&MISSING) {
        Some(Kind::NotFound)
    } else if hints(&DENIED) {
        Some(Kind::Denied)
    } else {
        None
    }
}

/// A text in small letters without the parts of a path in it that would be taken for a hint (`404 not found.html`).
fn without_names(text: &str, path: &[u8]) -> String {
    let (mut text, path) = (text.to_lowercase(), String::from_utf8_lossy(path).to_lowercase());
    let relative = path.trim_start_matches('/');
    for part in [path.as_str(), relative].into_iter().chain(path.split('/')) {
        if missing_or_denied(part).is_some() {
            text = text.replace(part, " ");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_no_hints() {
        let cases = [
            ("550 /site/404 not found.html: Permission denied", "/site/404 not found.html", Kind::Denied),
            ("550 404 Not Found.html: busy", "/site/404 Not Found.html", Kind::Refused),
            ("550 x/no such thing: Directory not empty", "/x/no such thing", Kind::Refused),
            ("550 /permission/a: No such file", "/permission/a", Kind::NotFound),
            ("550 No such file", "/a", Kind::NotFound),
        ];
        for (text, path, kind) in cases {
            let reply = Reply::from_text(&format!("{text}\r\n"));
            assert_eq!(refusal_about(&reply, path.as_bytes()).kind(), kind, "{text}");
        }
    }

    #[test]
    fn codes_and_words_become_kinds() {
        let cases = [
            ("421 bye", Kind::Disconnected, Retry::NewSession),
            ("425 no data connection", Kind::Busy, Retry::NewSession),
            ("426 transfer aborted", Kind::Busy, Retry::NewSession),
            ("522 session reuse required", Kind::Tls, Retry::NewSession),
            ("450 busy", Kind::Busy, Retry::Later),
            ("451 local error", Kind::Busy, Retry::Later),
            ("452 disk full", Kind::Full, Retry::No),
            ("552 quota exceeded", Kind::Full, Retry::No),
            ("530 login incorrect", Kind::Login, Retry::No),
            ("530 not logged in", Kind::Login, Retry::NewSession),
            ("530 anonymous users may not do this", Kind::Login, Retry::No),
            ("500 OOPS: vsf_sysutil_bind", Kind::Disconnected, Retry::NewSession),
            ("500 what?", Kind::Unsupported, Retry::No),
            ("502 what?", Kind::Unsupported, Retry::No),
            ("550 a: No such file or directory", Kind::NotFound, Retry::No),
            ("550 Permission denied.", Kind::Denied, Retry::No),
            ("550 Failed to open file.", Kind::Refused, Retry::No),
            ("553 name not allowed", Kind::Refused, Retry::No),
        ];
        for (text, kind, retry) in cases {
            let error = refusal(&Reply::from_text(&format!("{text}\r\n")));
            assert_eq!((error.kind(), error.retry()), (kind, retry), "{text}");
            assert_eq!(error.reply().map(|(_, text)| text), Some(text));
            assert_eq!(error.to_string().contains("--connections 1"), text.contains("OOPS"), "{error}");
        }
    }
}
