//! The tests of the core that need more than one module.

mod contract;
mod ftp_conversations;
mod ftp_server;
