//! Active mode: the server opens the data connection (PORT, EPRT).

use super::Server;
use super::control::Control;
use super::data::{About, Attempt, Begin, Channel, Failure, PATIENCE, Started, secured};
use super::dial::interrupted;
use super::proxy::Host;
use super::stream::Stream;
use crate::error::{Error, Kind, Result, Retry};
use crate::wire::ftp::{Command, Reply};
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Instant;

/// "Data connection already open; transfer starting" (RFC 959): so PORT has opened it, as with pyftpdlib, and what comes behind
/// PORT must wait for that.
const ALREADY_OPEN: u16 = 125;

/// What the server made of the command of a transfer, and of those in front of it.
struct Asked {
    before: Vec<Reply>,
    /// The reply that agrees, or the one that refuses.
    outcome: std::result::Result<Reply, (Reply, About)>,
}

/// Names a port of this computer, sends the command, and waits for the server to connect.
///
/// Once that has worked, all of it leaves in one packet. So a download or a listing takes two round trips instead of the three
/// of passive mode, since nobody waits for the connection before something is sent on it; an upload takes three as there.
pub fn start_active(
    server: &Arc<Server>,
    control: &mut Control,
    before: &[Command],
    verb: &Command,
    how: Begin,
) -> Attempt<Started> {
    let listener = TcpListener::bind(control.local_end()).map_err(Error::from)?;
    let port = port_command(listener.local_addr().map_err(Error::from)?)?;
    let is_quick = server.learned().connects_at_port == Some(false);
    let may_hurry = how != Begin::WhenConnected && control.offset == 0 && !control.is_one_by_one();
    let asked = if is_quick && may_hurry {
        ask_in_one_packet(server, control, before, port, verb)?
    } else {
        ask_step_by_step(server, control, before, port, verb)?
    };
    let before = asked.before;
    let reply = match asked.outcome {
        Ok(reply) => reply,
        Err((refused, about)) => return Ok(Started { before, outcome: Err(refused), about }),
    };
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
    server.learned().connects_at_port.get_or_insert(false);
    let outcome = Ok(Channel::new(stream, early));
    Ok(Started { before, outcome, about: About::Transfer })
}

/// As long as it is not known whether the server takes the port, and when it connects.
fn ask_step_by_step(
    server: &Server,
    control: &mut Control,
    before: &[Command],
    port: Command,
    verb: &Command,
) -> Result<Asked> {
    let mut before = control.burst(&[before, &[port]].concat())?;
    if let Some(refused) = before.pop().filter(|reply| !reply.is_success()) {
        return Ok(Asked { before, outcome: Err((refused, About::Connection)) });
    }
    if let Some(refused) = control.rest()? {
        return Ok(Asked { before, outcome: Err((refused, About::Offset)) });
    }
    let reply = control.ask(verb)?;
    if reply.code() == ALREADY_OPEN {
        server.learned().connects_at_port = Some(true);
    }
    Ok(Asked { before, outcome: judged(reply) })
}

fn ask_in_one_packet(
    server: &Server,
    control: &mut Control,
    before: &[Command],
    port: Command,
    verb: &Command,
) -> Result<Asked> {
    control.send(&[before, &[port, verb.clone()]].concat())?;
    let before = control.answers_to(before)?;
    let of_port = control.reply();
    control.learn_from(&of_port);
    let of_port = of_port?;
    if of_port.is_success() {
        return Ok(Asked { before, outcome: judged(control.reply()?) });
    }
    if of_port.code() < 400 {
        // That is about what followed PORT, which is confirmed behind it. Such a transfer never ends with pyftpdlib.
        server.learned().connects_at_port = Some(true);
    }
    let patience = PATIENCE.min(server.config.timeout);
    let next = match control.with_patience(patience, Control::reply) {
        // It waits for a connection that will never be. What it has refused is what counts.
        Err(error) if error.kind() == Kind::Timeout && of_port.code() >= 400 => {
            control.doubt();
            return Ok(Asked { before, outcome: Err((of_port, About::Connection)) });
        }
        next => next?,
    };
    if next.is_success() {
        control.doubt();
        server.learned().connects_at_port = Some(true);
        let text = format!("the server connects before it goes on: {}", of_port.text());
        return Err(Error::new(Kind::Busy, text).retrying(Retry::NewSession));
    }
    if next.is_preliminary() || of_port.code() < 400 {
        control.doubt();
    }
    let refused = if of_port.code() < 400 { next } else { of_port };
    Ok(Asked { before, outcome: Err((refused, About::Connection)) })
}

fn judged(reply: Reply) -> std::result::Result<Reply, (Reply, About)> {
    if reply.code() < 300 {
        return Ok(reply);
    }
    let about = About::by_code(&reply);
    Err((reply, about))
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
    let interruptions = server.sockets.interruptions();
    let deadline = Instant::now() + server.config.connect_timeout;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match server.sockets.accept(listener, left, interruptions) {
            Ok((socket, peer)) if Host::from(peer) == *from => return Ok(socket),
            Ok(_) => {}
            Err(error) => {
                return Err(match error.kind() {
                    io::ErrorKind::Interrupted => interrupted(),
                    io::ErrorKind::TimedOut => {
                        Error::new(Kind::Timeout, "the server opened no data connection")
                            .advise("a firewall may be in the way; try without --ftp-active")
                    }
                    _ => error.into(),
                });
            }
        }
    }
}
