//! Passwords that somebody repeats: they are in no error and in no trace.

use crate::contract::path;
use crate::ftp_conversations::{config, watching};
use crate::ftp_server::{PASSWORD, Quirks, Server};
use ftpsync::error::Error;
use ftpsync::target::Target;
use ftpsync::target::ftp::{FtpConfig, FtpTarget, Secret};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

fn failure<T>(outcome: ftpsync::error::Result<T>) -> Error {
    match outcome {
        Ok(_) => panic!("it went well"),
        Err(error) => error,
    }
}

#[test]
fn commands_that_hold_the_password_are_traced_without_it() {
    let heard = Arc::new(Mutex::new(String::new()));
    let listener = Arc::clone(&heard);
    let server = Server::start(Quirks::default());
    let trace = watching(move |line| listener.lock().unwrap().push_str(line));
    let target = FtpTarget::new(FtpConfig { trace: Some(trace), ..config(&server) }).unwrap();
    let _ = target.open().unwrap().remove_file(&path(PASSWORD));
    let heard = heard.lock().unwrap();
    assert!(heard.contains("DELE /***") && !heard.contains(PASSWORD), "{heard}");
}

/// A proxy that refuses everything with the login that it was given. The port.
fn repeating_proxy() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut socket in listener.incoming().flatten() {
            let mut login = String::new();
            for line in BufReader::new(socket.try_clone().unwrap()).lines().map_while(Result::ok) {
                if let Some(("Proxy-Authorization", value)) = line.split_once(": ") {
                    value.clone_into(&mut login);
                }
                if line.is_empty() {
                    break;
                }
            }
            let _ = write!(socket, "HTTP/1.1 502 bad gateway ({login})\r\n\r\n");
        }
    });
    port
}

const LOGIN_IN_BASE64: &str = "am9lOmdlaGVpbTk5";

#[test]
fn what_a_proxy_repeats_of_the_login_is_in_no_error_of_an_ftp_server() {
    let proxy = Some(Secret::new(format!("http://joe:geheim99@127.0.0.1:{}", repeating_proxy())));
    let config = FtpConfig { proxy, ..FtpConfig::new("ftp.example", "/") };
    let error = failure(FtpTarget::new(config).unwrap().open());
    assert!(error.to_string().contains("502 bad gateway (Basic ***)"), "{error}");
    assert!(!format!("{error:?}").contains(LOGIN_IN_BASE64), "{error:?}");
}

#[cfg(feature = "s3")]
#[test]
fn what_a_proxy_repeats_of_the_login_is_in_no_error_of_a_bucket() {
    let mut config = ftpsync::target::s3::S3Config::new("test", "");
    config.endpoint = Some("http://s3.example".to_owned());
    config.keys = Some(("AKFAKE".to_owned(), Secret::new("hidden")));
    config.proxy = Some(Secret::new(format!("http://joe:geheim99@127.0.0.1:{}", repeating_proxy())));
    let error = failure(ftpsync::target::s3::S3Target::new(config).and_then(|target| target.open()));
    assert!(error.to_string().contains("502 bad gateway (Basic ***)"), "{error}");
    assert!(!format!("{error:?}").contains(LOGIN_IN_BASE64), "{error:?}");
}

#[cfg(feature = "sftp")]
#[test]
fn what_a_proxy_repeats_of_the_login_is_in_no_error_of_an_sftp_server() {
    use ftpsync::target::sftp::{SftpConfig, SftpTarget};
    let mut config = SftpConfig::new("ssh.example", "/");
    config.proxy = Some(Secret::new(format!("http://joe:geheim99@127.0.0.1:{}", repeating_proxy())));
    assert!(!format!("{config:?}").contains("geheim"));
    let error = failure(SftpTarget::new(config).unwrap().open());
    assert!(error.to_string().contains("502 bad gateway (Basic ***)"), "{error}");
    assert!(!format!("{error:?}").contains(LOGIN_IN_BASE64), "{error:?}");
}

#[test]
fn a_server_that_repeats_the_password_of_the_proxy_does_not_bring_it_into_errors() {
    let says = vec![("DELE", "550 not for http://joe:ge%40heim@proxy, that is am9lOmdlQGhlaW0= and ge@heim")];
    let server = Server::start(Quirks { answers: says, ..Quirks::default() });
    let through = through_proxy(server.port());
    let proxy = Some(Secret::new(format!("http://joe:ge%40heim@127.0.0.1:{through}")));
    let target = FtpTarget::new(FtpConfig { proxy, ..config(&server) }).unwrap();
    let error = target.open().unwrap().remove_file(&path("a")).unwrap_err();
    assert_eq!(error.reply().unwrap().1, "550 not for http://joe:***@proxy, that is ***= and ***");
    assert!(!error.to_string().contains("heim"), "{error}");
}

/// A proxy that lets everybody through to a port of this computer. The port of the proxy.
fn through_proxy(to: u16) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            // The client says no more until it is answered.
            let mut lines = BufReader::new(client.try_clone().unwrap()).lines().map_while(Result::ok);
            while lines.next().is_some_and(|line| !line.is_empty()) {}
            client.write_all(b"HTTP/1.1 200 ok\r\n\r\n").unwrap();
            let mut server = std::net::TcpStream::connect(("127.0.0.1", to)).unwrap();
            let (mut from, mut back) = (server.try_clone().unwrap(), client.try_clone().unwrap());
            std::thread::spawn(move || std::io::copy(&mut from, &mut back));
            std::thread::spawn(move || std::io::copy(&mut client, &mut server));
        }
    });
    port
}
