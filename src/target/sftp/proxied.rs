//! A connection through a proxy (SOCKS5, HTTP), which is spoken with as for FTP.

use super::link::dial;
use super::route::Hop;
use super::runtime::Patience;
use crate::error::{Error, Kind, Result};
use crate::target::ftp::proxy::{Host, Proxy};
use std::net::{IpAddr, Shutdown};
use std::time::Duration;
use tokio::net::{TcpStream, lookup_host};

/// Connects to the host by the first of its addresses that the proxy gets to. Where the proxy resolves names, it is told the name.
///
/// # Errors
/// [`Kind::Connect`], [`Kind::Timeout`] or [`Kind::UnknownHost`], naming the proxy where that is in the way;
/// [`Kind::Disconnected`] after an interruption.
pub async fn connect(
    proxy: &Proxy,
    hop: &Hop,
    timeout: Duration,
    patience: &mut Patience,
) -> Result<TcpStream> {
    let at = hop.address();
    let context = |error: Error| error.during("connect to").at(&at);
    let mut failure = unknown(&hop.host);
    for host in hosts(proxy, hop, timeout, patience).await.map_err(context)? {
        let socket = reach(proxy, timeout, patience).await.map_err(context)?;
        match ask(proxy, socket, (&host, hop.port), timeout, patience).await {
            Ok(socket) => return Ok(socket),
            Err(error) if error.kind() == Kind::Disconnected => return Err(context(error)),
            Err(error) => failure = error,
        }
    }
    Err(context(failure))
}

/// The addresses of the host, or its name where the proxy resolves it.
async fn hosts(proxy: &Proxy, hop: &Hop, timeout: Duration, patience: &mut Patience) -> Result<Vec<Host>> {
    if let Ok(ip) = hop.host.parse::<IpAddr>() {
        return Ok(vec![Host::Ip(ip)]);
    }
    if proxy.resolves_names() {
        return Ok(vec![Host::Name(hop.host.clone())]);
    }
    let found = patience.within(timeout, lookup_host((hop.host.as_str(), hop.port))).await?;
    let found = found.map_err(|_| unknown(&hop.host))?;
    Ok(found.map(Host::from).collect())
}

fn unknown(host: &str) -> Error {
    Error::new(Kind::UnknownHost, format!("unknown host {host:?}"))
}

/// A connection to the proxy itself.
async fn reach(proxy: &Proxy, timeout: Duration, patience: &mut Patience) -> Result<TcpStream> {
    let (name, port) = proxy.address();
    let dialled = patience.within(timeout, dial(name, port, timeout)).await.and_then(|dialled| dialled);
    dialled.map_err(|error| match error.kind() {
        Kind::Disconnected => error,
        kind => Error::new(kind, format!("the proxy {proxy} cannot be reached: {}", error.detail())),
    })
}

/// Asks the proxy for the connection, on a thread of its own: what it is asked with waits as FTP does.
async fn ask(
    proxy: &Proxy,
    socket: TcpStream,
    (host, port): (&Host, u16),
    timeout: Duration,
    patience: &mut Patience,
) -> Result<TcpStream> {
    let mut socket = socket.into_std()?;
    socket.set_nonblocking(false)?;
    let end = socket.try_clone()?;
    let (proxy, host) = (proxy.clone(), host.clone());
    let asking =
        tokio::task::spawn_blocking(move || proxy.open(&mut socket, &host, port, timeout).map(|()| socket));
    let asked = patience.within(Proxy::longest(timeout), asking).await.inspect_err(|_| {
        // The thread ends with the connection, which may have ended already.
        let _ = end.shutdown(Shutdown::Both);
    })?;
    let socket = asked.map_err(std::io::Error::other)??;
    socket.set_nonblocking(true)?;
    Ok(TcpStream::from_std(socket)?)
}
