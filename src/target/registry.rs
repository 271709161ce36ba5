//! Which scheme names which kind of target: one line per kind.

use super::Target;
use super::ftp::{FtpConfig, FtpTarget, TlsConfig};
use super::local::{Links, LocalTarget};
#[cfg(feature = "s3")]
use super::s3::{S3Config, S3Target};
#[cfg(feature = "sftp")]
use super::sftp::{SftpConfig, SftpTarget};
use super::url::TargetUrl;
use crate::error::{Error, Kind, Result};
use std::sync::Arc;

type Maker = fn(&TargetUrl) -> Result<Arc<dyn Target>>;

/// Every kind of target, by scheme.
const KINDS: &[(&str, Maker)] = &[
    ("file", |url| Ok(Arc::new(LocalTarget::new(&url.path, Links::Inside)?))),
    ("ftp", |url| Ok(Arc::new(FtpTarget::new(ftp_config(url, None))?))),
    ("ftps", |url| Ok(Arc::new(FtpTarget::new(ftp_config(url, Some(TlsConfig::default())))?))),
    #[cfg(feature = "s3")]
    ("s3", |url| Ok(Arc::new(S3Target::new(s3_config(url)?)?))),
    #[cfg(feature = "sftp")]
    ("sftp", |url| Ok(Arc::new(SftpTarget::new(sftp_config(url))?))),
];

/// The target that a URL names, with every option at its default; nothing is connected yet.
///
/// # Errors
/// [`Kind::Usage`] for an unusable URL or an unknown scheme, and what the kind refuses.
pub fn target(url: &str) -> Result<Arc<dyn Target>> {
    let url = TargetUrl::parse(url)?;
    let kind = KINDS.iter().find(|(scheme, _)| *scheme == url.scheme);
    let (_, make) = kind.ok_or_else(|| {
        let known = KINDS.iter().map(|(scheme, _)| *scheme).collect::<Vec<_>>().join(", ");
        Error::new(Kind::Usage, format!("unknown scheme {:?} (known: {known})", url.scheme))
    })?;
    make(&url)
}

fn ftp_config(url: &TargetUrl, tls: Option<TlsConfig>) -> FtpConfig {
    let root = if url.path.is_empty() { "/" } else { url.path.as_str() };
    let mut config = FtpConfig::new(url.host.as_str(), root);
    config.port = url.port;
    config.user = url.user.clone();
    config.password = url.password.clone();
    config.tls = tls;
    config
}

#[cfg(feature = "sftp")]
fn sftp_config(url: &TargetUrl) -> SftpConfig {
    let root = if url.path.is_empty() { "/" } else { url.path.as_str() };
    let mut config = SftpConfig::new(url.host.as_str(), root);
    config.port = url.port;
    config.user = url.user.clone();
    config.password = url.password.clone();
    config
}

/// Keys may stand in the place of a user, and `?endpoint_url=...` behind the path.
#[cfg(feature = "s3")]
fn s3_config(url: &TargetUrl) -> Result<S3Config> {
    let (root, query) = url.path.split_once('?').unwrap_or((&url.path, ""));
    let mut config = S3Config::new(url.host.as_str(), root);
    config.take_query(query)?;
    config.keys = url.user.clone().zip(url.password.clone());
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemes_name_their_kinds() {
        assert_eq!(target("ftp://joe@h/dir").unwrap().id(), "ftp://joe@h:21/dir");
        assert_eq!(target("ftps://h/").unwrap().base_name(), "ftps://h/");
        assert_eq!(target("sftp://joe@h/dir").unwrap().id(), "sftp://joe@h:22/dir");
        let bucket = target("s3://AK:secret@photos/may?region=eu-west-1").unwrap();
        assert_eq!(bucket.id(), "s3://photos/may");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_str().unwrap();
        assert_eq!(target(path).unwrap().id(), path);
        let Err(error) = target("gopher://h/") else { panic!("an unknown scheme was accepted") };
        assert_eq!(error.to_string(), "unknown scheme \"gopher\" (known: file, ftp, ftps, s3, sftp)");
    }
}
