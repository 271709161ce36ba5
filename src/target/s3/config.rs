//! What the user, the environment and the URL say about a bucket.

use crate::error::{Error, Kind, Result};
use crate::target::ftp::{Secret, TlsConfig};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// Where the tools of AWS look for what nobody said, as values: the core reads no environment.
#[derive(Clone, Default)]
pub struct Environment {
    /// The variables, those that begin with `AWS_`.
    pub variables: BTreeMap<String, String>,
    /// The home of the user.
    pub home: Option<PathBuf>,
}

impl Environment {
    /// A variable that is set, and not empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The file that a variable names, or the usual one in the home.
    pub fn file(&self, variable: &str, usual: &str) -> Option<PathBuf> {
        match self.get(variable).map(|path| (path, path.strip_prefix("~/"))) {
            Some((_, Some(below))) => self.home.as_ref().map(|home| home.join(below)),
            Some((path, None)) => Some(path.into()),
            None => self.home.as_ref().map(|home| home.join(usual)),
        }
    }
}

/// Everything about a target on S3. What is `None` is looked up as the tools of AWS do.
#[derive(Clone)]
pub struct S3Config {
    /// The bucket.
    pub bucket: String,
    /// What all keys begin with; slashes at its ends do not matter.
    pub root: String,
    /// The URL of a server other than that of AWS.
    pub endpoint: Option<String>,
    /// `eu-west-1`, ...
    pub region: Option<String>,
    /// The section of the shared files.
    pub profile: Option<String>,
    /// Access key and secret key.
    pub keys: Option<(String, Secret)>,
    /// What belongs to temporary keys.
    pub token: Option<Secret>,
    /// Ask without keys.
    pub anonymous: bool,
    /// Whether the bucket is part of the path (true) or of the host name; `None` for what suits the endpoint.
    pub path_style: Option<bool>,
    /// The rest.
    pub environment: Environment,
    /// How the connection is encrypted, with `https`.
    pub tls: TlsConfig,
    /// How long connecting may take.
    pub connect_timeout: Duration,
    /// How long the server may be silent.
    pub timeout: Duration,
    /// The URL of a proxy.
    pub proxy: Option<Secret>,
    /// How many sessions may be open at once.
    pub connections: usize,
    /// Put a marker at the root if nothing is there.
    pub create_root: bool,
    /// Larger files travel in parts of this size, in bytes.
    pub part_size: usize,
    /// Whether they come in ranges of that size (true) or at once; `None` for what suits the distance.
    pub in_ranges: Option<bool>,
    /// An object that comes in one answer with fewer bytes a second goes on in ranges. `None` for what suits the server.
    pub split_below: Option<u64>,
}

/// What may follow the question mark of a URL.
pub(super) const KNOWN_PARTS: &str =
    "known are endpoint_url, region, region_name, profile and addressing_style";

/// What S3 demands of parts, except for the last one.
const SMALLEST_PART: usize = 5 * 1024 * 1024;

impl S3Config {
    /// A bucket with every option at its default.
    pub fn new(bucket: impl Into<String>, root: impl Into<String>) -> Self {
        S3Config {
            bucket: bucket.into(),
            root: root.into(),
            endpoint: None,
            region: None,
            profile: None,
            keys: None,
            token: None,
            anonymous: false,
            path_style: None,
            environment: Environment::default(),
            tls: TlsConfig::default(),
            connect_timeout: Duration::from_secs(20),
            timeout: Duration::from_secs(60),
            proxy: None,
            connections: 16,
            create_root: false,
            part_size: 8 * 1024 * 1024,
            in_ranges: None,
            split_below: None,
        }
    }

    /// Takes what the query of a URL says: `?endpoint_url=...&region=...&profile=...`.
    ///
    /// # Errors
    /// [`Kind::Usage`] for what is none of that.
    pub fn take_query(&mut self, query: &str) -> Result<()> {
        for part in query.split('&').filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let value = crate::wire::s3::decoded(value).unwrap_or_default();
            match name {
                "endpoint_url" => self.endpoint = Some(value),
                "region" | "region_name" => self.region = Some(value),
                "profile" => self.profile = Some(value),
                "addressing_style" => {
                    self.path_style = match value.as_str() {
                        "path" => Some(true),
                        "virtual" => Some(false),
                        _ => None,
                    };
                }
                other => {
                    let problem = format!("the URL has an unknown part {other:?} after its question mark");
                    return Err(Error::new(Kind::Usage, problem).advise(KNOWN_PARTS));
                }
            }
        }
        Ok(())
    }

    /// Parts as S3 accepts them.
    pub(super) fn usual_part(&self) -> usize {
        self.part_size.max(SMALLEST_PART)
    }
}
