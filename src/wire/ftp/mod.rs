//! FTP on paper: commands, replies, listings, features (RFC 959, 2228, 2389, 2428, 3659).
//!
//! Bytes in, values out. No sockets, no clock: what a line means is decided here and nowhere else.

pub mod command;
pub mod feat;
pub mod item;
pub mod list;
pub mod mlsd;
pub mod reply;
pub mod time;

pub use command::Command;
pub use feat::Features;
pub use item::{Item, ItemKind, Line};
pub use reply::{Reply, ReplyParser};
