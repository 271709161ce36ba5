//! Active mode: the server opens the data connection (PORT, EPRT).

use super::Server;
use super::control::Control;
use super::data::{About, Attempt, Channel, Failure, Started, secured};
use super::dial::interrupted;
use super::proxy::Host;
use super::stream::Stream;
use crate::error::{Error, Kind, Result, Retry};
use crate::wire::ftp::Command;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Names a port of this computer, sends the command, and waits for the server to connect.
pub fn start_active(
    server: &Arc<Server>,
    control: &mut Control,
    before: &[Command],
    verb: &Command,
) -> Attempt<Started> {
    let listener = TcpListener::bind(control.local_end()).map_err(Error::from)?;
    let mut packet = before.to_vec();
    packet.push(port_command(listener.local_addr().map_err(Error::from)?)?);
    let mut replies = control.burst(&packet)?;
    // Not in one packet with the rest: pyftpdlib opens the connection first and then confirms PORT, behind the reply to
    // the command of the transfer.
    if let Some(refused) = replies.pop().filter(|reply| !reply.is_success()) {
        return Ok(Started { before: replies, outcome: Err(refused), about: About::Connection });
    }
    if let Some(refused) = control.rest()? {
        return Ok(Started { before: replies, outcome: Err(refused), about: About::Offset });
    }
    let reply = control.ask(verb)?;
    if reply.code() >= 300 {
        let about = About::by_code(&reply);
        return Ok(Started { before: replies, outcome: Err(reply), about });
    }
    let early = (!reply.is_preliminary()).then_some(reply);
    let accepted = accept(server, &listener, control.host()).map_err(|error| match error.kind() {
        Kind::Timeout => Failure::NoConnection(error),
        _ => Failure::Other(error),
    });
    let socket = accepted.inspect_err(|_| control.doubt())?;
    let stream = Stream::new(socket, server.config.timeout, &server.sockets)
        .and_then(|stream| secured(server, control, stream))
        .inspect_err(|_| control.doubt())?;
    control.listener = Some(listener);
    let outcome = Ok(Channel::new(stream, early));
    Ok(Started { before: replies, outcome, about: About::Transfer })
}

/// `PORT h1,h2,h3,h4,p1,p2` (RFC 959) or `EPRT |2|address|port|` (RFC 2428).
fn port_command(address: SocketAddr) -> Result<Command> {
    let port = address.port();
    match address.ip() {
        IpAddr::V4(ip) => {
            let [a, b, c, d] = ip.octets();
            Command::text("PORT", &format!("{a},{b},{c},{d},{},{}", port / 256, port % 256))
        }
        IpAddr::V6(ip) => Command::text("EPRT", &format!("|2|{ip}|{port}|")),
    }
}

/// Fails if a second connection from the server's address has come for the transfer under way. One of the two is not what the
/// server opened: a connection of somebody else, meant for one who had the port before, looks like a transfer of nothing.
///
/// # Errors
/// [`Kind::Busy`], for a new session.
pub fn check_is_alone(control: &mut Control) -> Result<()> {
    let Some(listener) = control.listener.take() else { return Ok(()) };
    while let Ok((_, peer)) = listener.accept() {
        if Host::from(peer) == *control.host() {
            control.doubt();
            let text = "two connections came for one transfer";
            return Err(Error::new(Kind::Busy, text).retrying(Retry::NewSession));
        }
    }
    control.listener = Some(listener);
    Ok(())
}

/// Waits for the connection of the server; connections from anywhere else are dropped.
///
/// # Errors
/// [`Kind::Timeout`], or what the system says.
pub fn accept(server: &Server, listener: &TcpListener, from: &Host) -> Result<TcpStream> {
    // There is no accept with a timeout in the standard library, and none that could be interrupted.
    listener.set_nonblocking(true)?;
    let interruptions = server.sockets.interruptions();
    let deadline = Instant::now() + server.config.connect_timeout;
    loop {
        match listener.accept() {
            Ok((socket, peer)) if Host::from(peer) == *from => {
                socket.set_nonblocking(false)?;
                return Ok(socket);
            }
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                std::thread::sleep(Duration::from_millis(5))
            }
            Err(error) => return Err(error.into()),
        }
        if server.sockets.interruptions() != interruptions {
            return Err(interrupted());
        }
        if Instant::now() >= deadline {
            return Err(Error::new(Kind::Timeout, "the server opened no data connection")
                .advise("a firewall may be in the way; try without --ftp-active"));
        }
    }
}
