//! Ways to a server: addresses of both kinds, and a proxy.

use crate::contract;
use crate::ftp_conversations::{config, listed_names, write};
use crate::ftp_server::{Quirks, Server, Tls};
use ftpsync::target::Target;
use ftpsync::target::ftp::{FtpConfig, FtpTarget, Secret, TlsConfig};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, TcpListener, TcpStream};
use std::time::Duration;

/// A server on `::1`, and how to reach it.
fn on_ipv6(quirks: Quirks) -> (Server, FtpConfig) {
    let server = Server::start_at(Ipv6Addr::LOCALHOST.into(), quirks);
    let config = FtpConfig { host: "::1".into(), ..config(&server) };
    (server, config)
}

#[test]
fn the_contract_holds_over_ipv6_in_both_modes() {
    for active in [false, true] {
        let (_server, config) = on_ipv6(Quirks::default());
        contract::check(&FtpTarget::new(FtpConfig { active, ..config }).unwrap());
    }
}

#[test]
fn an_address_may_name_an_interface() {
    let (_server, config) = on_ipv6(Quirks { tls: Some(Tls::New), ..Quirks::default() });
    for active in [false, true] {
        let host = "::1%1".into();
        let tls = Some(TlsConfig { verify: false, ..TlsConfig::default() });
        let target = FtpTarget::new(FtpConfig { host, active, tls, ..config.clone() }).unwrap();
        let mut session = target.open().unwrap();
        write(session.as_mut(), "a", b"content").unwrap();
        assert_eq!(listed_names(session.as_mut()), ["a"]);
    }
}

#[test]
fn over_ipv6_the_server_is_asked_for_a_port_and_told_one_with_its_address() {
    let (server, config) = on_ipv6(Quirks::default());
    let mut session = FtpTarget::new(FtpConfig { active: true, ..config }).unwrap().open().unwrap();
    write(session.as_mut(), "a", b"content").unwrap();
    assert_eq!(listed_names(session.as_mut()), ["a"]);
    let said = server.script().join(" | ");
    assert!(said.contains("EPRT |2|::1|") && !said.contains("PORT"), "{said}");
    assert!(!said.contains("EPSV") && !said.contains("PASV"), "{said}");
}

#[test]
fn over_ipv6_nobody_is_asked_by_pasv_which_cannot_name_such_an_address() {
    let (server, config) = on_ipv6(Quirks { answers: vec![("EPSV", "500 unknown")], ..Quirks::default() });
    let target = FtpTarget::new(config).unwrap();
    let mut session = target.open().unwrap();
    write(session.as_mut(), "a", b"content").unwrap();
    assert_eq!(listed_names(session.as_mut()), ["a"]);
    let said = server.script().join(" | ");
    assert_eq!(said.matches("EPSV").count(), 1, "{said}");
    assert!(said.contains("EPRT |2|::1|") && !said.contains("PASV"), "{said}");
    assert!(target.news().iter().any(|(_, line)| line.contains("--ftp-active")));
}

/// A proxy that speaks HTTP; its port.
pub fn proxy() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            std::thread::spawn(move || pass_on(client).ok());
        }
    });
    port
}

fn pass_on(mut client: TcpStream) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        client.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).map_err(std::io::Error::other)?;
    let server = TcpStream::connect(head.split(' ').nth(1).unwrap_or_default())?;
    client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
    let (mut down, mut up) = ((server.try_clone()?, client.try_clone()?), (client, server));
    let back = std::thread::spawn(move || {
        let _ = std::io::copy(&mut down.0, &mut down.1);
        down.1.shutdown(std::net::Shutdown::Write)
    });
    let _ = std::io::copy(&mut up.0, &mut up.1);
    let _ = up.1.shutdown(std::net::Shutdown::Write);
    drop(back.join());
    Ok(())
}

#[test]
fn a_server_behind_a_proxy_next_door_is_as_far_as_its_replies() {
    let late = Duration::from_millis(20);
    for (replies_after, is_through, is_far) in
        [(late, true, true), (late, false, false), (Duration::ZERO, true, false)]
    {
        let server = Server::start(Quirks { replies_after, ..Quirks::default() });
        let through = is_through.then(|| Secret::new(format!("http://127.0.0.1:{}", proxy())));
        let target = FtpTarget::new(FtpConfig { proxy: through, ..config(&server) }).unwrap();
        // Another program may hold up a reply, but not all of them.
        let mut session = target.open().unwrap();
        (0..3).for_each(|_| drop(listed_names(session.as_mut())));
        (0..3).for_each(|_| drop(session.mkdir(&contract::path("folder"))));
        let told = target.round_trip().unwrap();
        assert_eq!(told >= late, is_far, "{told:?} for {replies_after:?}, through a proxy: {is_through}");
    }
}
