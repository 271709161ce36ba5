//! Connections to the server: straight, or through a proxy.

use super::Server;
use super::proxy::{Host, Proxy};
use crate::error::{Error, Kind, Result};
use crate::target::link_local;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs};
use std::time::Instant;

/// Connects to the server by the first of its addresses that answers, and tells which.
///
/// # Errors
/// [`Kind::UnknownHost`], [`Kind::Connect`] or [`Kind::Timeout`]; [`Kind::Disconnected`] if all sockets were shut since
/// `interruptions`.
pub fn to_server(server: &Server, interruptions: u64) -> Result<(TcpStream, Host)> {
    to_any(server, hosts(server)?, interruptions)
}

fn to_any(server: &Server, hosts: Vec<Host>, interruptions: u64) -> Result<(TcpStream, Host)> {
    let address = server.address();
    let mut failure = None;
    for host in hosts {
        match to(server, &host, server.port, interruptions) {
            Ok(socket) => return Ok((socket, host)),
            Err(error) if error.kind() == Kind::Disconnected => return Err(error),
            Err(error) => failure = Some(error),
        }
    }
    let failure = failure.unwrap_or_else(|| unknown_host(&server.host));
    Err(match failure.kind() {
        Kind::Timeout | Kind::UnknownHost => failure,
        _ => failure.understood_as(Kind::Connect),
    }
    .during("connect to")
    .at(address))
}

/// Connects to a host, at any port.
///
/// # Errors
/// What the system or the proxy says; [`Kind::Disconnected`] if all sockets were shut since `interruptions`.
pub fn to(server: &Server, host: &Host, port: u16, interruptions: u64) -> Result<TcpStream> {
    match (&server.proxy, host.at(port)) {
        (Some(proxy), _) => through(server, proxy, host, port, interruptions),
        (None, Some(address)) => {
            let begun = Instant::now();
            let socket = straight(server, address, interruptions)?;
            server.learned().takes_at_most(begun.elapsed());
            Ok(socket)
        }
        (None, None) => Err(unknown_host(&host.to_string())),
    }
}

/// The error for what [`Target::interrupt`](crate::target::Target::interrupt) ended.
pub fn interrupted() -> Error {
    Error::new(Kind::Disconnected, "the conversation was interrupted")
}

/// The addresses of the server, or its name where the proxy resolves it.
fn hosts(server: &Server) -> Result<Vec<Host>> {
    if let Ok(ip) = server.host.parse::<IpAddr>() {
        return Ok(vec![Host::Ip(ip)]);
    }
    if server.proxy.as_ref().is_some_and(Proxy::resolves_names) {
        return Ok(vec![Host::Name(server.host.clone())]);
    }
    let found = resolved(&server.host, server.port);
    let known = &mut server.learned().addresses;
    match found {
        Ok(addresses) => *known = addresses,
        // A resolver that fails for a moment is asked again by the next session.
        Err(error) if known.is_empty() => return Err(error),
        Err(_) => {}
    }
    Ok(known.iter().copied().map(Host::from).collect())
}

fn resolved(host: &str, port: u16) -> Result<Vec<SocketAddr>> {
    Ok((host, port).to_socket_addrs().map_err(|_| unknown_host(host))?.collect())
}

fn unknown_host(host: &str) -> Error {
    Error::new(Kind::UnknownHost, format!("unknown host {host:?}"))
}

fn straight(server: &Server, address: SocketAddr, interruptions: u64) -> Result<TcpStream> {
    let connected = server.sockets.dial(address, server.config.connect_timeout, interruptions);
    connected.map_err(|error| match error.kind() {
        io::ErrorKind::Interrupted => interrupted(),
        _ => link_local::advised(Error::from(error), &address),
    })
}

fn through(server: &Server, proxy: &Proxy, host: &Host, port: u16, interruptions: u64) -> Result<TcpStream> {
    let (name, proxy_port) = proxy.address();
    let unreachable = |error: Error| match error.kind() {
        Kind::Disconnected => error,
        kind => Error::new(kind, format!("the proxy {proxy} cannot be reached: {}", error.detail())),
    };
    let mut failure = unknown_host(name);
    let mut connected = None;
    for address in resolved(name, proxy_port).map_err(unreachable)? {
        match straight(server, address, interruptions) {
            Ok(socket) => {
                connected = Some(socket);
                break;
            }
            Err(error) => failure = error,
        }
    }
    let mut socket = connected.ok_or_else(|| unreachable(failure))?;
    // Listed, so that an interruption ends a proxy that is silent.
    let lease = server.sockets.register(&socket)?;
    let opened = proxy.open(&mut socket, host, port, server.config.connect_timeout);
    drop(lease);
    if server.sockets.interruptions() != interruptions {
        return Err(interrupted());
    }
    opened.map(|()| socket)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::ftp::{FtpConfig, FtpTarget};
    use std::net::{Ipv4Addr, TcpListener};
    use std::time::Duration;

    /// A resolver may fail for a moment, in the middle of a run.
    #[test]
    fn addresses_that_were_found_once_are_good_for_later_sessions() {
        let server = FtpTarget::new(FtpConfig::new("no-such-host.invalid", "/")).unwrap().server;
        assert_eq!(hosts(&server).unwrap_err().kind(), Kind::UnknownHost);
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 21));
        server.learned().addresses = vec![address];
        assert_eq!(hosts(&server).unwrap(), [Host::from(address)]);
    }

    #[test]
    fn where_one_address_of_a_host_refuses_the_next_one_is_taken() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let mut config = FtpConfig::new("two.example", "/");
        config.port = listener.local_addr().unwrap().port();
        config.connect_timeout = Duration::from_secs(10);
        let server = FtpTarget::new(config).unwrap().server;
        let refusing = Host::Ip(Ipv4Addr::new(127, 0, 0, 2).into());
        let open = Host::Ip(Ipv4Addr::LOCALHOST.into());
        for hosts in [vec![refusing.clone(), open.clone()], vec![open.clone(), refusing.clone()]] {
            assert_eq!(to_any(&server, hosts, 0).unwrap().1, open);
        }
        let error = to_any(&server, vec![refusing], 0).unwrap_err();
        assert_eq!(error.kind(), Kind::Connect);
        assert!(error.to_string().contains("two.example"), "{error}");
        assert!(server.learned().round_trip.is_some());
    }
}
