//! Protocols on paper: bytes to values and back, without sockets.

pub mod ftp;
pub mod sftp;
