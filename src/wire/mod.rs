//! Protocols on paper: bytes to values and back, without sockets.

pub mod ftp;
#[cfg(feature = "s3")]
pub mod s3;
#[cfg(feature = "sftp")]
pub mod sftp;
