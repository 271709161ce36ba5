//! FTP on paper: commands, replies, listings, features (RFC 959, 2228, 2389, 2428, 3659).
