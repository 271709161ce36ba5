//! The documented options of targets, out of a dictionary.

#[cfg(feature = "sftp")]
use super::convert;
use crate::target::ftp::{Engine, FtpConfig, Identity, Secret, TlsConfig, TlsVersion};
#[cfg(feature = "sftp")]
use crate::target::sftp::{HostKeys, SftpConfig};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;
#[cfg(feature = "sftp")]
use std::path::PathBuf;
use std::time::Duration;

/// Takes the options of an FTP server over.
///
/// # Errors
/// `ValueError` for one that cannot be used.
pub fn set_ftp(config: &mut FtpConfig, options: &Bound<'_, PyDict>) -> PyResult<()> {
    if let Some(timeout) = seconds(options, "timeout")? {
        config.connect_timeout = timeout;
        config.timeout = timeout;
    }
    if let Some(timeout) = seconds(options, "connect_timeout")? {
        config.connect_timeout = timeout;
    }
    config.session_time = seconds(options, "session_time")?;
    config.proxy = option::<String>(options, "proxy")?.map(Secret::new);
    config.no_mlsd = is_set(options, "no_mlsd")?;
    config.trust_pasv_host = is_set(options, "trust_pasv_host")?;
    config.active = is_set(options, "ftp_active")?;
    config.verify = is_set(options, "verify")?;
    config.encoding = option(options, "encoding")?;
    config.create_root = is_set(options, "create_folder")?;
    if let Some(connections) = option(options, "connections")? {
        config.connections = connections;
    }
    config.engine = match option::<String>(options, "ftp_engine")?.as_deref() {
        None | Some("own") => Engine::Own,
        Some("suppaftp") => Engine::Suppaftp,
        Some(other) => {
            return Err(PyValueError::new_err(format!(
                "invalid option ftp_engine: {other} (own or suppaftp)"
            )));
        }
    };
    Ok(())
}

/// Takes the options of an SFTP server over.
///
/// # Errors
/// `ValueError` for one that cannot be used.
#[cfg(feature = "sftp")]
pub fn set_sftp(config: &mut SftpConfig, options: &Bound<'_, PyDict>) -> PyResult<()> {
    config.passphrase = option::<String>(options, "passphrase")?.map(Secret::new);
    if let Some(timeout) = seconds(options, "timeout")? {
        config.connect_timeout = timeout;
        config.timeout = timeout;
    }
    if let Some(timeout) = seconds(options, "connect_timeout")? {
        config.connect_timeout = timeout;
    }
    config.proxy = option::<String>(options, "proxy")?.map(Secret::new);
    config.encoding = option(options, "encoding")?;
    config.create_root = is_set(options, "create_folder")?;
    if let Some(connections) = option(options, "connections")? {
        config.connections = connections;
    }
    config.verify = is_set(options, "verify")?;
    if let Some(links) = option::<String>(options, "links")? {
        config.links = convert::links(&links)?;
    }
    config.host_keys =
        match (is_set(options, "no_verify_host_keys")?, is_set(options, "accept_new_host_key")?) {
            (true, _) => HostKeys::Unchecked,
            (false, true) => HostKeys::AcceptNew,
            (false, false) => HostKeys::Known,
        };
    config.key_files = option(options, "identity_file")?.unwrap_or_default();
    config.ssh_config = match option(options, "ssh_config")? {
        Some(file) => vec![file],
        None => {
            let of_user = config.home.iter().map(|home| home.join(".ssh/config"));
            of_user.chain([PathBuf::from("/etc/ssh/ssh_config")]).collect()
        }
    };
    Ok(())
}

/// The options about TLS.
///
/// # Errors
/// `ValueError` for one that cannot be used.
pub fn tls_config(options: &Bound<'_, PyDict>) -> PyResult<TlsConfig> {
    let verify = !is_set(options, "no_verify_tls")? && option::<bool>(options, "tls_verify")?.unwrap_or(true);
    let identity = match (option(options, "tls_cert")?, option(options, "tls_key")?) {
        (Some(certificate), key) => Some(Identity { certificate, key }),
        (None, None) => None,
        (None, Some(_)) => return Err(PyValueError::new_err("the option tls_key needs tls_cert")),
    };
    Ok(TlsConfig {
        implicit: is_set(options, "tls_implicit")?,
        verify,
        ca_file: option(options, "tls_ca")?,
        pin: option(options, "tls_pin")?,
        identity,
        max: tls_version(options)?,
    })
}

/// `tls_max`, which a configuration file may give as a number.
fn tls_version(options: &Bound<'_, PyDict>) -> PyResult<Option<TlsVersion>> {
    let Some(value) = options.get_item("tls_max")?.filter(|value| !value.is_none()) else {
        return Ok(None);
    };
    match value.str()?.to_str()? {
        "1.2" => Ok(Some(TlsVersion::V12)),
        "1.3" => Ok(Some(TlsVersion::V13)),
        other => Err(PyValueError::new_err(format!("invalid option tls_max: {other} (1.2 or 1.3)"))),
    }
}

/// One option; none if it is missing or `None`.
///
/// # Errors
/// `ValueError` if it is of another type.
pub fn option<'py, T>(options: &Bound<'py, PyDict>, key: &str) -> PyResult<Option<T>>
where
    T: for<'a> FromPyObject<'a, 'py>,
{
    match options.get_item(key)?.filter(|value| !value.is_none()) {
        None => Ok(None),
        Some(value) => match value.extract() {
            Ok(value) => Ok(Some(value)),
            Err(_) => Err(PyValueError::new_err(format!("invalid option {key}: {value}"))),
        },
    }
}

/// An option that is a number of seconds.
///
/// # Errors
/// `ValueError` if it is none that can be waited.
pub fn seconds(options: &Bound<'_, PyDict>, key: &str) -> PyResult<Option<Duration>> {
    let Some(seconds) = option::<f64>(options, key)? else {
        return Ok(None);
    };
    match Duration::try_from_secs_f64(seconds).ok().filter(|duration| !duration.is_zero()) {
        Some(duration) => Ok(Some(duration)),
        None => Err(PyValueError::new_err(format!("invalid option {key}: {seconds}"))),
    }
}

/// Whether an option is there and true.
///
/// # Errors
/// What its truth raises.
pub fn is_set(options: &Bound<'_, PyDict>, key: &str) -> PyResult<bool> {
    options.get_item(key)?.map_or(Ok(false), |value| value.is_truthy())
}
