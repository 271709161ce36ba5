//! What the FTP target says to servers, and what it makes of their answers.

use crate::contract;
use ftpsync::target::ftp::{FtpConfig, FtpTarget, Secret, TlsConfig};
use std::sync::Arc;

/// Runs the contract on a server of your choice: `FTPSYNC_SERVER=host,port,user,password,root[,tls]`.
#[test]
#[ignore = "needs a server"]
fn a_server_of_your_choice_keeps_the_contract() {
    let setting = std::env::var("FTPSYNC_SERVER").expect("FTPSYNC_SERVER is set");
    let parts: Vec<&str> = setting.split(',').collect();
    let mut config = FtpConfig::new(parts[0], parts[4]);
    config.port = parts[1].parse().expect("a port");
    config.user = Some(parts[2].to_owned());
    config.password = Some(Secret::new(parts[3]));
    config.active = std::env::var_os("FTPSYNC_ACTIVE").is_some();
    config.tls = parts.get(5).map(|_| TlsConfig {
        ca_file: std::env::var_os("FTPSYNC_CA").map(Into::into),
        ..TlsConfig::default()
    });
    if std::env::var_os("FTPSYNC_TRACE").is_some() {
        config.trace = Some(Arc::new(|line| println!("{line}")));
    }
    contract::check(&FtpTarget::new(config).expect("a target"));
}
