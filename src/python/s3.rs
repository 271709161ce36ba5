//! What Python says about a bucket.

use super::errors::raise;
use super::target::{is_set, option, seconds, tls_config};
use crate::target::ftp::Secret;
use crate::target::s3::{Environment, S3Config};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The configuration of a target, from its URL, the documented options and the environment.
///
/// # Errors
/// A `ValueError` for what cannot be.
pub fn config(
    py: Python<'_>,
    bucket: &str,
    root: &str,
    login: (Option<String>, Option<String>),
    query: &str,
    options: &Bound<'_, PyDict>,
    environment: (BTreeMap<String, String>, Option<PathBuf>),
) -> PyResult<S3Config> {
    let mut config = S3Config::new(bucket, root);
    config.endpoint = option(options, "endpoint_url")?;
    config.region = option(options, "region")?;
    config.profile = option(options, "profile")?;
    raise(py, config.take_query(query))?;
    config.keys = match login {
        (Some(id), Some(secret)) => Some((id, Secret::new(secret))),
        (None, None) => None,
        _ => return Err(PyValueError::new_err("an access key and a secret key belong together")),
    };
    config.anonymous = is_set(options, "no_sign_request")?;
    config.environment = Environment { variables: environment.0, home: environment.1 };
    config.tls = tls_config(options)?;
    if let Some(timeout) = seconds(options, "timeout")? {
        config.connect_timeout = timeout;
        config.timeout = timeout;
    }
    if let Some(timeout) = seconds(options, "connect_timeout")? {
        config.connect_timeout = timeout;
    }
    config.proxy = option::<String>(options, "proxy")?.map(Secret::new);
    if let Some(connections) = option(options, "connections")? {
        config.connections = connections;
    }
    config.create_root = is_set(options, "create_folder")?;
    Ok(config)
}
