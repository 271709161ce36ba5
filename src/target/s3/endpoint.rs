//! Where a bucket is: which host is asked, and what the path begins with.

use super::config::S3Config;
use crate::error::{Error, Kind, Result};
use crate::target::url::host_and_port;
use std::fmt;

/// A host that is asked, by http or https.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// https.
    pub is_tls: bool,
    /// Name or address, without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl Address {
    /// Reads `https://host:port`; what comes after it is returned as it is.
    ///
    /// # Errors
    /// [`Kind::Usage`] for something else.
    pub fn parse(url: &str) -> Result<(Self, String)> {
        let wrong = || {
            // It may hold a password.
            let shown = url.rsplit_once('@').map_or(url, |(_, rest)| rest);
            Error::new(
                Kind::Usage,
                format!("the endpoint {shown:?} is not http://host:port or https://host:port"),
            )
        };
        let (scheme, rest) = url.split_once("://").ok_or_else(wrong)?;
        let is_tls = match scheme.to_ascii_lowercase().as_str() {
            "https" => true,
            "http" => false,
            _ => return Err(wrong()),
        };
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        if authority.contains(['@', '?', '#']) || path.contains(['?', '#']) {
            return Err(wrong());
        }
        let (host, port) = host_and_port(authority).ok_or_else(wrong)?;
        let port = match (port, is_tls) {
            (0, true) => 443,
            (0, false) => 80,
            (port, _) => port,
        };
        Ok((Address { is_tls, host: host.to_ascii_lowercase(), port }, path.to_owned()))
    }

    /// What the header `Host` says: the port only where it is not the usual one.
    pub fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        match (self.is_tls, self.port) {
            (true, 443) | (false, 80) => host,
            (_, port) => format!("{host}:{port}"),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", if self.is_tls { "https" } else { "http" }, self.authority())
    }
}

/// The way to a bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Who is asked.
    pub address: Address,
    /// What the path begins with; no slash at its end.
    pub path: String,
}

/// The servers that have a bucket: those of AWS in each region, or one of somebody else.
#[derive(Debug, Clone)]
pub struct Endpoint {
    custom: Option<(Address, String)>,
    bucket: String,
    is_path_style: bool,
}

impl Endpoint {
    /// Reads what the configuration says.
    ///
    /// # Errors
    /// [`Kind::Usage`] for an unusable URL or name of a bucket.
    pub fn new(config: &S3Config, url: Option<&str>) -> Result<Self> {
        let bucket = config.bucket.clone();
        let is_fine = |char: char| char.is_ascii_alphanumeric() || "-._".contains(char);
        if bucket.is_empty() || bucket.starts_with('.') || !bucket.chars().all(is_fine) {
            return Err(Error::new(Kind::Usage, format!("{bucket:?} is not the name of a bucket"))
                .advise("expected s3://bucket/folder"));
        }
        let custom = url.map(Address::parse).transpose()?;
        let custom = custom.map(|(address, path)| (address, path.trim_end_matches('/').to_owned()));
        // A dot would not fit the certificate, and a capital letter no host name.
        let fits_host = !bucket.contains(['.', '_']) && !bucket.chars().any(|char| char.is_ascii_uppercase());
        let is_path_style = config.path_style.unwrap_or(custom.is_some() || !fits_host);
        Ok(Endpoint { custom, bucket, is_path_style })
    }

    /// Whether it is not AWS.
    pub fn is_custom(&self) -> bool {
        self.custom.is_some()
    }

    /// How it is told to people.
    pub fn shown(&self, region: &str) -> String {
        self.place(region).address.to_string()
    }

    /// The way to the bucket, if it is in this region.
    pub fn place(&self, region: &str) -> Place {
        let (mut address, mut path) = self.custom.clone().unwrap_or_else(|| {
            let host = format!("s3.{region}.{}", domain(region));
            (Address { is_tls: true, host, port: 443 }, String::new())
        });
        if self.is_path_style {
            path = format!("{path}/{}", self.bucket);
        } else {
            address.host = format!("{}.{}", self.bucket, address.host);
        }
        Place { address, path }
    }
}

/// What the hosts of AWS in a region end with.
pub fn domain(region: &str) -> &'static str {
    if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(bucket: &str, url: Option<&str>, region: &str) -> String {
        let place = Endpoint::new(&S3Config::new(bucket, ""), url).unwrap().place(region);
        format!("{}{}", place.address, place.path)
    }

    #[test]
    fn a_bucket_is_a_host_or_a_path() {
        assert_eq!(place("photos", None, "eu-west-1"), "https://photos.s3.eu-west-1.amazonaws.com");
        assert_eq!(place("a.b", None, "cn-north-1"), "https://s3.cn-north-1.amazonaws.com.cn/a.b");
        assert_eq!(place("photos", Some("http://[::1]:9000/x/"), "r"), "http://[::1]:9000/x/photos");
    }

    #[test]
    fn unusable_names_and_urls_are_refused() {
        for bucket in ["", ".", "..", "a b", "a/b", "a@b"] {
            assert_eq!(Endpoint::new(&S3Config::new(bucket, ""), None).unwrap_err().kind(), Kind::Usage);
        }
        for url in
            ["localhost:9000", "ftp://x", "http://", "http://joe:secret@h", "http://h/?x=1", "http://h:x"]
        {
            let error = Endpoint::new(&S3Config::new("b", ""), Some(url)).unwrap_err();
            assert!(error.kind() == Kind::Usage && !error.to_string().contains("secret"), "{error}");
        }
    }
}
