//! S3: the objects of a bucket whose keys begin alike, as a tree of files.
//!
//! - [`S3Target`] knows the bucket; `client` asks it, signed, over the connections of `net`; `endpoint` says where it is,
//!   `credentials` who asks (`profile` reads the shared files), `refusal` what a no means.
//! - `session` has the verbs; `listing`, `read`, `write`, `parts`, `sums`, `moving` and `look` those that take more than a page.
//! - What the bytes mean is decided in [`crate::wire::s3`].
//!
//! A folder is what keys have in common up to a slash. One without files is kept by a marker, an empty object whose key ends
//! with the slash, as the console of AWS does it.

mod by_hand;
mod client;
mod config;
mod credentials;
mod endpoint;
mod kinds;
mod known;
mod listing;
mod look;
mod moving;
mod net;
mod own_time;
mod parts;
mod profile;
mod read;
mod refusal;
mod session;
mod sums;
mod write;

pub use by_hand::{ByHand, Expected, Found, adds_up};
pub use client::each_of;
use config::KNOWN_PARTS;
pub use config::{Environment, S3Config};

use self::client::Client;
use self::credentials::Wallet;
use self::endpoint::Endpoint;
use self::known::Known;
use self::net::Net;
use self::parts::Slots;
use self::session::S3Session;
use crate::error::{Error, Kind, Result};
use crate::locked::locked;
use crate::model::RelPath;
use crate::target::checkup::Findings;
use crate::target::ftp::proxy::Proxy;
use crate::target::{Caps, Session, Target, UploadWatch};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

/// A folder of a bucket.
pub struct S3Target {
    server: Arc<Server>,
    id: String,
    base_name: String,
}

/// What all sessions of a target share.
struct Server {
    client: Client,
    config: S3Config,
    /// What all keys begin with: empty, or with a slash at its end.
    prefix: String,
    known: Mutex<Known>,
    /// Someone has looked whether the root is there.
    is_entered: AtomicBool,
    /// The server takes no notice of conditions.
    ignores_conditions: AtomicBool,
    /// It was tried out whether it does.
    has_proven: AtomicBool,
    /// The server sends whole objects only.
    ignores_ranges: AtomicBool,
    slots: Slots,
    /// Who hears of uploads in parts.
    watch: Mutex<Option<UploadWatch>>,
}

impl S3Target {
    /// Prepares a target; nothing is sent yet.
    ///
    /// # Errors
    /// [`Kind::Usage`] for an unusable bucket, endpoint, profile or proxy.
    pub fn new(config: S3Config) -> Result<Self> {
        let wallet = Wallet::new(&config)?;
        let variables = &config.environment;
        let url = config.endpoint.as_deref().or_else(|| variables.get("AWS_ENDPOINT_URL_S3"));
        let url = url.or_else(|| variables.get("AWS_ENDPOINT_URL")).or_else(|| wallet.endpoint_of("s3"));
        let endpoint = Endpoint::new(&config, url)?;
        let region = config.region.as_deref().or_else(|| variables.get("AWS_REGION"));
        let region =
            region.or_else(|| variables.get("AWS_DEFAULT_REGION")).or_else(|| wallet.setting("region"));
        let region = region.unwrap_or("us-east-1").to_owned();
        if !region.chars().all(|char| char.is_ascii_alphanumeric() || char == '-') {
            return Err(Error::new(Kind::Usage, format!("{region:?} is no name of a region")));
        }
        let root = config.root.trim_matches('/');
        if !root.is_empty() && root.split('/').any(|name| name.is_empty() || name == "." || name == "..") {
            let error = Error::new(Kind::Usage, format!("{root:?} cannot be a folder of a bucket"));
            return Err(if root.contains('?') {
                error.advise(format!("if it should end before the question mark: {KNOWN_PARTS} there"))
            } else {
                error
            });
        }
        let prefix = if root.is_empty() { String::new() } else { format!("{root}/") };
        let slash = if root.is_empty() { "" } else { "/" };
        let place = format!("{}{slash}{root}", config.bucket);
        let proxy = config.proxy.as_ref().map(|proxy| Proxy::parse(proxy.reveal())).transpose()?;
        let mut tls = config.tls.clone();
        if tls.ca_file.is_none() {
            tls.ca_file = variables.get("AWS_CA_BUNDLE").map(PathBuf::from);
        }
        let net = Net::new(config.connect_timeout, config.timeout, proxy, tls);
        let id = if endpoint.is_custom() {
            format!("s3://{place}?endpoint_url={}", endpoint.shown(&region))
        } else {
            format!("s3://{place}")
        };
        Ok(S3Target {
            id,
            base_name: format!("s3://{place}"),
            server: Arc::new(Server {
                client: Client::new(net, endpoint, &config.bucket, wallet, region),
                slots: Slots::new(config.connections.clamp(1, 64)),
                config,
                prefix,
                known: Mutex::default(),
                is_entered: AtomicBool::new(false),
                ignores_conditions: AtomicBool::new(false),
                has_proven: AtomicBool::new(false),
                ignores_ranges: AtomicBool::new(false),
                watch: Mutex::default(),
            }),
        })
    }
}

impl S3Target {
    /// The whole bucket by its keys, from now until everything is interrupted.
    pub fn by_hand(&self) -> ByHand {
        ByHand::new(Arc::clone(&self.server))
    }
}

impl Target for S3Target {
    fn id(&self) -> &str {
        &self.id
    }

    fn base_name(&self) -> &str {
        &self.base_name
    }

    fn caps(&self) -> Caps {
        Caps {
            sets_mtime: false,
            renames: true,
            sessions: self.server.config.connections.max(1),
            is_networked: true,
            excludes_others: !self.server.ignores_conditions.load(Ordering::Relaxed),
            reads_ahead: false,
        }
    }

    fn open(&self) -> Result<Box<dyn Session>> {
        let interruptions = self.server.client.net.sockets.interruptions();
        let mut session = S3Session::new(Arc::clone(&self.server), interruptions);
        if !self.server.is_entered.swap(true, Ordering::SeqCst)
            && let Err(error) = session.enter()
        {
            self.server.is_entered.store(false, Ordering::SeqCst);
            return Err(error);
        }
        Ok(Box::new(session))
    }

    fn round_trip(&self) -> Option<Duration> {
        self.server.client.net.round_trip()
    }

    fn hides_times(&self) -> bool {
        true
    }

    fn names_versions(&self) -> bool {
        true
    }

    fn particulars(&self) -> Findings {
        let client = &self.server.client;
        let region = client.region();
        let is_taken = !self.server.ignores_conditions.load(Ordering::Relaxed);
        Findings::from([
            ("endpoint", client.endpoint.shown(&region).into()),
            ("region", region.into()),
            ("takes_conditions", is_taken.into()),
        ])
    }

    fn watch_uploads(&self, watch: Option<UploadWatch>) {
        *locked(&self.server.watch) = watch;
    }

    fn interrupt(&self) {
        self.server.client.net.sockets.shut_all();
    }
}

impl Server {
    fn known(&self) -> MutexGuard<'_, Known> {
        locked(&self.known)
    }

    /// Tells of an upload in parts that it has begun, or ended.
    fn tell_upload(&self, key: &str, id: &str, has_ended: bool) {
        let watch = locked(&self.watch).clone();
        let file = key.strip_prefix(&self.prefix).and_then(|file| RelPath::parse(file).ok());
        if let (Some(watch), Some(file)) = (watch, file) {
            watch(&file, id, has_ended);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::ftp::Secret;

    #[test]
    fn ids_tell_bucket_folder_and_server_but_never_keys() {
        let mut config = S3Config::new("photos", "/2026/may/");
        config.keys = Some(("AKIDEXAMPLE".to_owned(), Secret::new("hidden")));
        let target = S3Target::new(config.clone()).unwrap();
        assert_eq!(target.id(), "s3://photos/2026/may");
        assert_eq!(target.legacy_id(), target.id(), "older releases know no buckets");
        config.take_query("endpoint_url=http%3A%2F%2Flocalhost:9000&region=eu-west-1").unwrap();
        let target = S3Target::new(config).unwrap();
        assert_eq!(target.id(), "s3://photos/2026/may?endpoint_url=http://localhost:9000");
    }

    #[test]
    fn roots_that_climb_are_refused() {
        for root in ["..", "a/../b", "a//b", "./a"] {
            let Err(error) = S3Target::new(S3Config::new("b", root)) else { panic!("{root} was accepted") };
            assert_eq!(error.kind(), Kind::Usage);
        }
        assert!(S3Config::new("b", "").take_query("colour=red").is_err());
    }
}
