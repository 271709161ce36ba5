//! The tests of the core that need more than one module.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on should say where")]

#[cfg(all(unix, feature = "sftp"))]
mod ahead;
mod checkup;
mod claims;
mod contract;
mod decision_table;
mod effort;
mod eventually;
mod every_command;
mod far_downloads;
mod fault_clauses;
mod fault_rows;
mod foresight;
mod ftp_conversations;
mod ftp_data;
mod ftp_faults;
mod ftp_meanwhile;
mod ftp_mishaps;
mod ftp_server;
mod fuzzing;
mod hostile;
mod imports;
mod laws;
mod limits;
#[cfg(unix)]
mod local_links;
mod locks;
mod lost_folders;
#[cfg(all(unix, feature = "sftp"))]
mod openssh;
mod own_commands;
mod real_servers;
mod resume;
#[cfg(feature = "s3")]
mod resume_s3;
#[cfg(all(unix, feature = "sftp"))]
mod resume_sftp;
mod round_trips;
#[cfg(feature = "s3")]
mod s3_fake;
#[cfg(feature = "s3")]
mod s3_faults;
#[cfg(all(unix, feature = "s3"))]
mod s3_servers;
#[cfg(feature = "s3")]
mod s3_times;
mod second_engine;
mod secrets;
mod segments;
mod servers_details;
mod servers_rows;
#[cfg(all(unix, feature = "sftp"))]
mod sftp_conversations;
#[cfg(all(unix, feature = "sftp"))]
mod sftp_server;
mod simulation;
mod targets;
mod time_limits;
mod tree;
mod verify;
mod ways;
mod world;
mod wrapped;
