//! The one error of the crate: what was attempted, on what, why it failed, whether another attempt can help.
//!
//! Conflicts and skips are values, not errors. Errors say operation, path and cause, and what the user can do.
//! They never contain a password: whoever builds one passes a display form that has none.

use crate::quoted::Quoted;
use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::sync::Arc;

/// The result of everything in this crate that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, in terms of what a caller can do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The file or folder is not there.
    NotFound,
    /// Something is already there.
    Exists,
    /// The system or the server does not allow it.
    Denied,
    /// User name or password were refused (FTP reply 530).
    Login,
    /// The host name does not resolve.
    UnknownHost,
    /// The host could not be reached, or refused the connection.
    Connect,
    /// Nothing arrived for longer than the timeout.
    Timeout,
    /// The conversation ended in the middle.
    Disconnected,
    /// The peer said something that cannot be understood; the conversation is unusable.
    Protocol,
    /// TLS could not be set up, or the certificate could not be verified.
    Tls,
    /// SSH could not be set up: the key of the host, the algorithms, or the SFTP subsystem are in the way.
    Ssh,
    /// No way to log in over SSH was accepted.
    SshLogin,
    /// A key file is encrypted, and its passphrase is missing or wrong.
    Passphrase,
    /// The target cannot do this at all.
    Unsupported,
    /// No room left: disk full, quota exceeded (FTP replies 452 and 552).
    Full,
    /// The server said no for this item (any other 5yz reply).
    Refused,
    /// The server said no for now (4yz replies).
    Busy,
    /// The file changed while it was being read.
    Changed,
    /// Fewer or more bytes arrived than there should be.
    Size,
    /// As many bytes arrived as should, but other ones.
    Corrupt,
    /// A name that cannot be used on this side.
    Name,
    /// A file on one side, a folder of the same name on the other; or names that differ in case only.
    Clash,
    /// A metadata file that this version must not touch.
    Metadata,
    /// Somebody else is at work there: the lock is his.
    Locked,
    /// A guard stopped a mass deletion.
    Guard,
    /// A strategy for conflicts that the mode does not have.
    Strategy,
    /// The options contradict each other or name something unknown.
    Usage,
    /// Any other failure of the local system.
    Io,
    /// The run was cancelled.
    Cancelled,
    /// User code raised; the original is the source.
    Hook,
}

/// Whether another attempt can help.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Retry {
    /// It would fail the same way.
    No,
    /// The conversation is still good: try again after a pause.
    Later,
    /// The conversation must be thrown away first.
    NewSession,
    /// There is no room for one more conversation: a server may take seconds to notice that earlier ones have ended.
    WhenThereIsRoom,
}

/// A failed operation.
pub struct Error(Box<Inner>);

/// What a write in place has done to the old content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Harm {
    Unsaid,
    Done,
    None,
}

struct Inner {
    kind: Kind,
    retry: Retry,
    op: String,
    path: Option<String>,
    detail: String,
    hint: Option<String>,
    reply: Option<(u16, String)>,
    os: Option<i32>,
    was_told: bool,
    is_outage: bool,
    harm: Harm,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

impl Error {
    /// A failure of kind `kind`; `detail` is the cause in words, lower case, without a full stop.
    pub fn new(kind: Kind, detail: impl Into<String>) -> Self {
        let retry = match kind {
            Kind::Disconnected | Kind::Protocol | Kind::Timeout => Retry::NewSession,
            Kind::Busy => Retry::Later,
            Kind::NotFound
            | Kind::Exists
            | Kind::Denied
            | Kind::Login
            | Kind::UnknownHost
            | Kind::Connect
            | Kind::Tls
            | Kind::Ssh
            | Kind::SshLogin
            | Kind::Passphrase
            | Kind::Unsupported
            | Kind::Full
            | Kind::Refused
            | Kind::Changed
            | Kind::Size
            | Kind::Corrupt
            | Kind::Name
            | Kind::Clash
            | Kind::Metadata
            | Kind::Locked
            | Kind::Guard
            | Kind::Strategy
            | Kind::Usage
            | Kind::Io
            | Kind::Cancelled
            | Kind::Hook => Retry::No,
        };
        Error(Box::new(Inner {
            kind,
            retry,
            op: String::new(),
            path: None,
            detail: detail.into(),
            hint: None,
            reply: None,
            os: None,
            was_told: false,
            is_outage: false,
            harm: Harm::Unsaid,
            source: None,
        }))
    }

    /// The run was cancelled by the user.
    pub fn cancelled() -> Self {
        Error::new(Kind::Cancelled, "aborted by user")
    }

    /// An exception of user code; it is carried whole.
    pub fn hook(source: impl StdError + Send + Sync + 'static) -> Self {
        Error::new(Kind::Hook, source.to_string()).caused_by(source)
    }

    /// The same error with the exception of user code that it stands for.
    #[must_use]
    pub fn caused_by(mut self, source: impl StdError + Send + Sync + 'static) -> Self {
        self.0.source = Some(Arc::new(source));
        self
    }

    /// The same error with the words for what was attempted: `could not {op} ...`. The innermost words win.
    #[must_use]
    pub fn during(mut self, op: &str) -> Self {
        if self.0.op.is_empty() {
            self.0.op = op.to_owned();
        }
        self
    }

    /// The same error with the path it is about. The innermost path wins.
    #[must_use]
    pub fn at(mut self, path: impl fmt::Display) -> Self {
        if self.0.path.is_none() {
            self.0.path = Some(path.to_string());
        }
        self
    }

    /// The same error about the same path, as somebody else spells it.
    #[must_use]
    pub fn spelt(mut self, path: impl fmt::Display) -> Self {
        self.0.path = self.0.path.map(|_| path.to_string());
        self
    }

    /// The same error with advice: what the user can do next.
    #[must_use]
    pub fn advise(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// The same error with the reply of the server that caused it: code and full text.
    #[must_use]
    pub fn with_reply(mut self, code: u16, text: impl Into<String>) -> Self {
        self.0.reply = Some((code, text.into()));
        self
    }

    /// The same error with another judgement about trying again.
    #[must_use]
    pub fn retrying(mut self, retry: Retry) -> Self {
        self.0.retry = retry;
        self
    }

    /// The same error, after the user was told about it: whoever reports it next need not repeat it.
    #[must_use]
    pub fn told(mut self) -> Self {
        self.0.was_told = true;
        self
    }

    /// The same error, marked as the failure of a whole side: nothing else on it can succeed either.
    #[must_use]
    pub fn outage(mut self) -> Self {
        self.0.is_outage = true;
        self
    }

    /// Whether a whole side failed.
    pub fn is_outage(&self) -> bool {
        self.0.is_outage
    }

    /// The same error of a write in place, marked: the old content is gone, and what is there now is not to be trusted.
    #[must_use]
    pub fn damaged(mut self) -> Self {
        self.0.harm = Harm::Done;
        self
    }

    /// The same error of a write in place, with proof that the old content is as it was, whatever attempts were made.
    #[must_use]
    pub fn intact(mut self) -> Self {
        self.0.harm = Harm::None;
        self
    }

    /// The same error, of what was not written to its own name.
    #[must_use]
    pub fn of_no_harm(mut self) -> Self {
        self.0.harm = Harm::Unsaid;
        self
    }

    /// Whether it is proven that the old content is as it was.
    pub fn is_intact(&self) -> bool {
        self.0.harm == Harm::None
    }

    /// Whether a write in place has destroyed the old content.
    pub fn has_damaged(&self) -> bool {
        self.0.harm == Harm::Done
    }

    /// Whether the user was told about it when it came up.
    pub fn was_told(&self) -> bool {
        self.0.was_told
    }

    /// What went wrong.
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// Whether another attempt can help.
    pub fn retry(&self) -> Retry {
        self.0.retry
    }

    /// The path it is about, if any, relative to the root of its target.
    pub fn path(&self) -> Option<&str> {
        self.0.path.as_deref()
    }

    /// The cause in words, without operation and path.
    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    /// What the user can do next, if something was advised.
    pub fn hint(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// The cause in words, with the advice.
    pub fn reason(&self) -> String {
        let reason = match &self.0.hint {
            Some(hint) => format!("{}; {hint}", self.0.detail),
            None => self.0.detail.clone(),
        };
        harmless(&reason)
    }

    /// The reply of the server, as code and text.
    pub fn reply(&self) -> Option<(u16, &str)> {
        self.0.reply.as_ref().map(|(code, text)| (*code, text.as_str()))
    }

    /// The error number of the operating system.
    pub fn os(&self) -> Option<i32> {
        self.0.os
    }

    /// The same error with a number of the operating system, by which programs know it.
    #[must_use]
    pub fn with_os(mut self, number: i32) -> Self {
        self.0.os = Some(number);
        self
    }

    /// The same error, of a kind by which the caller knows how to go on.
    #[must_use]
    pub fn understood_as(mut self, kind: Kind) -> Self {
        self.0.kind = kind;
        self
    }

    /// The same error once more: for a second place that has to report it.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        let inner = &self.0;
        Error(Box::new(Inner {
            kind: inner.kind,
            retry: inner.retry,
            op: inner.op.clone(),
            path: inner.path.clone(),
            detail: inner.detail.clone(),
            hint: inner.hint.clone(),
            reply: inner.reply.clone(),
            os: inner.os,
            was_told: inner.was_told,
            is_outage: inner.is_outage,
            harm: inner.harm,
            source: inner.source.clone(),
        }))
    }

    /// The carried exception of user code.
    pub fn carried(&self) -> Option<&(dyn StdError + Send + Sync + 'static)> {
        self.0.source.as_deref()
    }

    /// Passes through a `std::io::Error`-shaped boundary such as `Read::read`, losing nothing; [`Error::from`] unwraps it.
    pub fn into_io(self) -> io::Error {
        io::Error::other(self)
    }
}

impl From<io::Error> for Error {
    /// Classifies an error of the operating system; an [`Error`] that travelled through [`Error::into_io`] comes out as it was.
    fn from(error: io::Error) -> Self {
        if !error.get_ref().is_some_and(|inner| inner.is::<Error>()) {
            return from_system(error);
        }
        match error.downcast::<Error>() {
            Ok(ours) => ours,
            Err(other) => from_system(other),
        }
    }
}

fn from_system(error: io::Error) -> Error {
    use io::ErrorKind as E;
    let kind = match error.kind() {
        E::NotFound | E::NotADirectory => Kind::NotFound,
        E::AlreadyExists => Kind::Exists,
        E::PermissionDenied | E::ReadOnlyFilesystem => Kind::Denied,
        E::ConnectionRefused | E::HostUnreachable | E::NetworkUnreachable | E::AddrNotAvailable => {
            Kind::Connect
        }
        E::ConnectionReset | E::ConnectionAborted | E::NotConnected | E::BrokenPipe | E::UnexpectedEof => {
            Kind::Disconnected
        }
        E::TimedOut | E::WouldBlock => Kind::Timeout,
        E::StorageFull | E::QuotaExceeded | E::FileTooLarge => Kind::Full,
        E::InvalidFilename => Kind::Name,
        _ => Kind::Io,
    };
    let mut ours = Error::new(kind, words(&error));
    ours.0.os = error.raw_os_error();
    ours
}

/// The system's words without Rust's "(os error 13)", lower case.
fn words(error: &io::Error) -> String {
    // What Unix calls a socket whose time is over: "resource temporarily unavailable".
    if error.kind() == io::ErrorKind::WouldBlock {
        return "no answer in time".to_owned();
    }
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or(&text);
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => first.to_lowercase().chain(chars).collect(),
        None => String::new(),
    }
}

/// A text without what would steer a terminal: servers put anything into their replies.
fn harmless(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for char in text.chars() {
        if char.is_control() && !matches!(char, '\n' | '\t') {
            shown += &format!("\\x{:02x}", u32::from(char));
        } else {
            shown.push(char);
        }
    }
    shown
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (inner, reason) = (&self.0, self.reason());
        match (inner.op.is_empty(), &inner.path) {
            (false, Some(path)) => write!(f, "could not {} {}: {reason}", inner.op, Quoted(path)),
            (false, None) => write!(f, "could not {}: {reason}", inner.op),
            (true, Some(path)) => write!(f, "{}: {reason}", Quoted(path)),
            (true, None) => f.write_str(&reason),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Error({:?}, {:?}: {self})", self.0.kind, self.0.retry)
    }
}

impl StdError for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn display_says_operation_path_cause_and_advice() {
        let error = Error::new(Kind::Refused, "550 no such folder")
            .during("list")
            .at("photos")
            .advise("try --create-folder");
        assert_eq!(error.to_string(), "could not list \"photos\": 550 no such folder; try --create-folder");
    }

    #[test]
    fn control_characters_of_a_reply_are_shown_and_not_sent() {
        let error = Error::new(Kind::Refused, "550 no \x1b[2J\u{9b}31m\x07\r\nend").at("a\x1b");
        assert_eq!(error.to_string(), "\"a\\u{1b}\": 550 no \\x1b[2J\\x9b31m\\x07\\x0d\nend");
    }

    #[test]
    fn a_socket_that_waited_too_long_says_so() {
        let error = Error::from(io::Error::from(io::ErrorKind::WouldBlock));
        assert_eq!((error.kind(), error.to_string()), (Kind::Timeout, "no answer in time".to_owned()));
    }

    #[test]
    fn an_error_survives_the_way_through_io() {
        let error = Error::new(Kind::Changed, "changed while being read").at("a");
        let back = Error::from(error.into_io());
        assert_eq!(back.kind(), Kind::Changed);
        assert_eq!(back.path(), Some("a"));
    }

    #[test]
    fn system_errors_are_classified_and_keep_their_number() {
        let error = Error::from(io::Error::from_raw_os_error(libc::ENOSPC));
        assert_eq!((error.kind(), error.os()), (Kind::Full, Some(libc::ENOSPC)));
        assert_eq!(error.to_string(), "no space left on device");
    }
}
