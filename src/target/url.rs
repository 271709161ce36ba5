//! Where a target is, as a URL; printing one never shows a password.

use super::ftp::Secret;
use crate::error::{Error, Kind, Result};
use std::fmt;

/// The parts of a target's URL, percent-decoded where RFC 3986 says so.
#[derive(Clone, PartialEq, Eq)]
pub struct TargetUrl {
    /// Lower case; `file` for a plain path.
    pub scheme: String,
    /// User name, if given.
    pub user: Option<String>,
    /// Password, if given.
    pub password: Option<Secret>,
    /// Host, lower case; empty for `file`.
    pub host: String,
    /// Port; 0 if none is given.
    pub port: u16,
    /// Path, not decoded: servers' names may hold percent signs, and the documented API never decoded them.
    pub path: String,
}

impl TargetUrl {
    /// Reads `scheme://user:password@host:port/path`, or a plain path.
    ///
    /// # Errors
    /// [`Kind::Usage`] if the host is missing, the port is none, or user or password hold control characters.
    pub fn parse(text: &str) -> Result<Self> {
        let Some((scheme, rest)) = text.split_once("://") else { return Ok(TargetUrl::file(text)) };
        let scheme = scheme.to_ascii_lowercase();
        if !scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte)) {
            // It may be a password that got to the wrong place.
            return Err(Error::new(Kind::Usage, "not a usable address: what stands before :// is no scheme"));
        }
        if scheme == "file" {
            return Ok(TargetUrl::file(rest));
        }
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (login, address) = match authority.rsplit_once('@') {
            Some((login, address)) => (Some(login), address),
            None => (None, authority),
        };
        let (host, port) =
            host_and_port(address).ok_or_else(|| invalid(&scheme, "the host or the port is missing"))?;
        let (user, password) = match login.map(|login| login.split_once(':').unwrap_or((login, ""))) {
            None => (None, None),
            Some((user, password)) => {
                (Some(user), Some(password).filter(|_| login.is_some_and(|l| l.contains(':'))))
            }
        };
        if host.chars().any(char::is_control) {
            return Err(invalid(&scheme, "the host holds control characters"));
        }
        let decoded = |part: Option<&str>| part.map(|part| percent_decoded(&scheme, part)).transpose();
        Ok(TargetUrl {
            user: decoded(user)?,
            password: decoded(password)?.map(Secret::new),
            // The interface behind a link-local address (RFC 6874) is written with its percent sign encoded.
            host: host.to_ascii_lowercase().replacen("%25", "%", usize::from(host.contains(':'))),
            port,
            path: path.to_owned(),
            scheme,
        })
    }

    fn file(path: &str) -> Self {
        TargetUrl {
            scheme: "file".to_owned(),
            user: None,
            password: None,
            host: String::new(),
            port: 0,
            path: path.to_owned(),
        }
    }
}

fn invalid(scheme: &str, why: &str) -> Error {
    // The text itself may hold a password.
    Error::new(Kind::Usage, format!("not a usable {scheme}:// address: {why}"))
}

/// `host`, `host:21`, `[::1]:21`.
pub(super) fn host_and_port(address: &str) -> Option<(&str, u16)> {
    let (host, port) = match address.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']')?;
            (host, after.strip_prefix(':'))
        }
        None => match address.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (address, None),
        },
    };
    let port = port.filter(|port| !port.is_empty()).map_or(Some(0), |port| port.parse().ok())?;
    (!host.is_empty()).then_some((host, port))
}

fn percent_decoded(scheme: &str, text: &str) -> Result<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let hex = after.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        match hex.filter(|_| byte == b'%').and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(decoded) => {
                bytes.push(decoded);
                rest = &after[2..];
            }
            None => {
                bytes.push(byte);
                rest = after;
            }
        }
    }
    let text = String::from_utf8(bytes).map_err(|_| invalid(scheme, "user or password are not UTF-8"))?;
    if text.chars().any(|char| matches!(char, '\r' | '\n' | '\0')) {
        Err(invalid(scheme, "user or password hold a line end or NUL"))
    } else {
        Ok(text)
    }
}

impl fmt::Display for TargetUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.scheme == "file" {
            return f.write_str(&self.path);
        }
        write!(f, "{}://{}", self.scheme, self.host)?;
        if self.port != 0 {
            write!(f, ":{}", self.port)?;
        }
        f.write_str(&self.path)
    }
}

impl fmt::Debug for TargetUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TargetUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_local_address_is_told_with_its_interface() {
        for text in ["sftp://[fe80::1%25eth0]:7/x", "sftp://[FE80::1%eth0]:7/x"] {
            let url = TargetUrl::parse(text).unwrap();
            assert_eq!((url.host.as_str(), url.port), ("fe80::1%eth0", 7));
        }
    }

    #[test]
    fn a_url_has_its_parts_and_prints_without_secrets() {
        let url = TargetUrl::parse("FTP://joe%40x:pa%3Ass@Host.Example:2121/a%20b").unwrap();
        assert_eq!(
            (url.scheme.as_str(), url.user.as_deref(), url.host.as_str()),
            ("ftp", Some("joe@x"), "host.example")
        );
        assert_eq!(
            (url.password.clone(), url.port, url.path.as_str()),
            (Some(Secret::new("pa:ss")), 2121, "/a%20b")
        );
        assert_eq!(
            format!("{url} {url:?}"),
            "ftp://host.example:2121/a%20b TargetUrl(ftp://host.example:2121/a%20b)"
        );
    }

    #[test]
    fn paths_addresses_and_missing_parts() {
        assert_eq!(TargetUrl::parse("some/folder").unwrap().path, "some/folder");
        let url = TargetUrl::parse("ftps://[::1]:990/").unwrap();
        assert_eq!((url.host.as_str(), url.port, url.user), ("::1", 990, None));
        let user_only = TargetUrl::parse("ftp://joe@h/").unwrap();
        assert_eq!((user_only.user.as_deref(), user_only.password), (Some("joe"), None));
        assert_eq!(TargetUrl::parse("ftp:///x").unwrap_err().kind(), Kind::Usage);
        assert_eq!(TargetUrl::parse("ftp://h:x/").unwrap_err().kind(), Kind::Usage);
    }

    #[test]
    fn line_ends_in_user_or_password_are_refused_without_showing_them() {
        let error = TargetUrl::parse("ftp://joe:se%0D%0Acret@h/").unwrap_err();
        assert!(!error.to_string().contains("cret"), "{error}");
    }

    #[test]
    fn an_address_that_is_of_no_use_is_refused_without_showing_the_password() {
        for bad in [
            "joe:geheim@h://x",
            "ftp://joe:geheim@",
            "ftp://joe:geheim@h:x/",
            "ftp://joe:geheim@h\u{1b}/",
            "ftp://joe:geheim%FF@h/",
            "ftp://joe:geheim%00@h/",
        ] {
            let error = TargetUrl::parse(bad).unwrap_err();
            assert_eq!(error.kind(), Kind::Usage, "{error}");
            assert!(!format!("{error} {error:?}").contains("geheim"), "{error}");
        }
    }
}
