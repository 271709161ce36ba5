//! Data connections: one for each transfer.
//!
//! The passive request and the command of the transfer leave in one packet, once it is known which passive request the
//! server understands; the data connection is opened when the reply to the first arrives. The next passive request is never
//! sent before the final reply of the transfer: several servers break if it is.

use super::Server;
use super::control::{Control, interrupted, lost};
use super::errors::refusal;
use super::learned::Passive;
use super::stream::Stream;
use crate::error::{Error, Kind, Result, Retry};
use crate::wire::ftp::{Command, Reply};
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long to wait for the reply to a transfer that cannot be.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the server made of the commands of a transfer.
pub struct Started {
    /// The replies to the commands that were sent in front.
    pub before: Vec<Reply>,
    /// The open data connection, or the refusing reply.
    pub outcome: std::result::Result<Channel, Reply>,
}

/// An open data connection. After its end the final reply is still to be read, by [`final_reply`].
pub struct Channel {
    /// The connection itself.
    pub stream: Stream,
    /// A final reply that came instead of the preliminary one: some servers say 226 at once when there is nothing to send.
    early: Option<Reply>,
}

/// When the data connection is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begin {
    /// Only after the server has agreed to the command.
    WhenAgreed,
    /// At once: many servers agree only when they see the connection, and what is sent meanwhile saves a round trip. A refusal
    /// then shows in the final reply.
    AtOnce,
}

/// Sends `before`, the request for a data connection and `verb`, and opens the data connection.
///
/// # Errors
/// What ends the conversation, and [`Kind::Busy`] or [`Kind::Timeout`] with [`Retry::NewSession`] when the data connection
/// cannot be made.
pub fn start(
    server: &Arc<Server>,
    control: &mut Control,
    before: &[Command],
    verb: &Command,
    how: Begin,
) -> Result<Started> {
    if control.is_used_up() {
        let error = Error::new(Kind::Disconnected, "the TLS session of the conversation is used up");
        return Err(error.retrying(Retry::NewSession));
    }
    control.begins_data_tls();
    if server.config.active {
        return start_active(server, control, before, verb);
    }
    let known = server.learned().passive;
    match known {
        Some(passive) if !control.is_one_by_one() => {
            start_in_one_packet(server, control, before, passive, verb, how)
        }
        _ => start_step_by_step(server, control, before, verb),
    }
}

/// Reads the reply that ends a transfer, after the one that begins it if that was not read yet.
///
/// # Errors
/// What ends the conversation. The reply itself may be a refusal.
pub fn final_reply(control: &mut Control, early: Option<Reply>) -> Result<Reply> {
    let reply = match early {
        Some(reply) => reply,
        None => match control.reply()? {
            reply if reply.is_preliminary() => control.reply()?,
            reply => reply,
        },
    };
    control.judge_resumption(&reply);
    Ok(reply)
}

impl Channel {
    /// The connection, and the final reply if it has come already.
    pub fn into_parts(self) -> (Stream, Option<Reply>) {
        (self.stream, self.early)
    }
}

fn start_in_one_packet(
    server: &Arc<Server>,
    control: &mut Control,
    before: &[Command],
    passive: Passive,
    verb: &Command,
    how: Begin,
) -> Result<Started> {
    let mut packet = before.to_vec();
    packet.extend([passive.command(), verb.clone()]);
    control.send(&packet)?;
    let mut replies = Vec::with_capacity(before.len());
    for _ in before {
        let reply = control.reply();
        control.learn_from(&reply);
        replies.push(reply?);
    }
    let answer = control.reply();
    control.learn_from(&answer);
    let answer = answer?;
    let Some(port) = answer.passive_port() else {
        return without_connection(control, replies, answer);
    };
    let outcome = match connect(server, control, port) {
        Ok(stream) if how == Begin::AtOnce => begin_at_once(server, control, stream)?,
        Ok(stream) => begin(server, control, stream)?,
        Err(error) => Err(refused_before_connection(control, error)?),
    };
    Ok(Started { before: replies, outcome })
}

/// The data connection could not be made, and the command of the transfer is on its way already. ProFTPD closes the port at
/// once when it refuses the command; then the refusal is what counts.
fn refused_before_connection(control: &mut Control, error: Error) -> Result<Reply> {
    match control.with_patience(PATIENCE, Control::reply) {
        Ok(reply) if reply.code() >= 400 && reply.code() != 425 => Ok(reply),
        outcome => {
            if let Ok(reply) = outcome {
                control.judge_resumption(&reply);
            }
            control.doubt();
            Err(error)
        }
    }
}

/// The server refused the passive connection, and has the command of the transfer already.
fn without_connection(control: &mut Control, before: Vec<Reply>, answer: Reply) -> Result<Started> {
    let reply = control.reply()?;
    if reply.is_preliminary() {
        // It waits for a connection that will never be; nobody knows for how long.
        control.doubt();
    }
    if answer.code() < 400 {
        control.doubt();
        return Err(Error::new(
            Kind::Protocol,
            format!("the reply to the passive request names no port: {}", answer.text()),
        ));
    }
    Ok(Started { before, outcome: Err(answer) })
}

fn start_step_by_step(
    server: &Arc<Server>,
    control: &mut Control,
    before: &[Command],
    verb: &Command,
) -> Result<Started> {
    let replies = control.burst(before)?;
    let stream = match ask_for_connection(server, control)? {
        Ok(stream) => stream,
        Err(refused) => {
            return Ok(Started { before: replies, outcome: Err(refused) });
        }
    };
    control.send(std::slice::from_ref(verb))?;
    let outcome = begin(server, control, stream)?;
    Ok(Started { before: replies, outcome })
}

/// Asks by EPSV, then by PASV, and remembers what worked.
fn ask_for_connection(
    server: &Arc<Server>,
    control: &mut Control,
) -> Result<std::result::Result<Stream, Reply>> {
    let known = server.learned().passive;
    let candidates: &[Passive] = match known {
        Some(Passive::Extended) => &[Passive::Extended],
        Some(Passive::Classic) => &[Passive::Classic],
        // PASV cannot name the port of an IPv6 address.
        None if control.peer().is_ipv6() => &[Passive::Extended],
        None => &[Passive::Extended, Passive::Classic],
    };
    let mut failure = None;
    for &passive in candidates {
        let reply = control.ask(&passive.command());
        if known.is_none()
            && control.peer().is_ipv4()
            && matches!(&reply, Err(error) if error.kind() == Kind::Timeout)
        {
            // A server that hangs on EPSV: the next session asks by PASV.
            server.learned().passive = (passive == Passive::Extended).then_some(Passive::Classic);
        }
        let reply = reply?;
        let Some(port) = reply.passive_port() else {
            failure.get_or_insert(Ok(reply));
            continue;
        };
        match connect(server, control, port) {
            Ok(stream) => {
                server.learned().passive = Some(passive);
                return Ok(Ok(stream));
            }
            Err(error) => failure = Some(Err(error)),
        }
    }
    match failure {
        Some(Ok(reply)) if reply.code() >= 400 => Ok(Err(reply)),
        Some(Err(error)) => Err(error),
        Some(Ok(_)) | None => {
            control.doubt();
            Err(Error::new(Kind::Protocol, "the server names no port for the data connection"))
        }
    }
}

/// Connects to a port of the server. The host is always the one of the control connection: servers behind a router name
/// addresses that do not exist outside, and an evil one could make this program talk to others.
fn connect(server: &Arc<Server>, control: &Control, port: u16) -> Result<Stream> {
    let address = SocketAddr::new(control.peer().ip(), port);
    let interruptions = server.sockets.interruptions();
    let connected = match server.sockets.dial(address, server.config.connect_timeout, interruptions) {
        Ok(socket) => Stream::new(socket, server.config.timeout, &server.sockets),
        Err(error) if error.kind() == io::ErrorKind::Interrupted => return Err(interrupted()),
        Err(error) => Err(Error::from(error)),
    };
    connected.map_err(|error| {
        let kind = if error.kind() == Kind::Timeout { Kind::Timeout } else { Kind::Busy };
        Error::new(kind, format!("no data connection to {address}: {}", error.detail()))
            .retrying(Retry::NewSession)
            .advise("a firewall may be in the way; try --ftp-active")
    })
}

/// Starts TLS, reads the reply to the command of the transfer, and finishes TLS.
///
/// The first message of the handshake does not wait for the reply, which saves a round trip; the rest does, so that a
/// refusal is reported in the words of the server and not as a broken handshake.
fn begin(
    server: &Arc<Server>,
    control: &mut Control,
    stream: Stream,
) -> Result<std::result::Result<Channel, Reply>> {
    let stream = match (control.tls(), &server.trust) {
        (Some(config), Some(trust)) => {
            stream.begin_tls(config, trust.name()).map_err(|error| lost(error, server))
        }
        _ => Ok(stream),
    };
    let reply = control.reply()?;
    if reply.code() >= 300 {
        control.judge_resumption(&reply);
        return Ok(Err(reply));
    }
    let early = (!reply.is_preliminary()).then_some(reply);
    let mut stream = stream.inspect_err(|_| control.doubt())?;
    if let Err(error) = stream.complete_tls() {
        return broken_handshake(server, control, early, &error);
    }
    tell_tls(server, &stream);
    Ok(Ok(Channel { stream, early }))
}

/// Completes TLS without waiting for the server to agree to the command.
fn begin_at_once(
    server: &Arc<Server>,
    control: &mut Control,
    stream: Stream,
) -> Result<std::result::Result<Channel, Reply>> {
    match secured(server, control, stream) {
        Ok(stream) => Ok(Ok(Channel { stream, early: None })),
        // Perhaps the server has refused the command, and therefore the handshake.
        Err(error) => refused_before_connection(control, error).map(Err),
    }
}

/// The handshake of a data connection failed. The server says why in its final reply.
fn broken_handshake(
    server: &Server,
    control: &mut Control,
    early: Option<Reply>,
    error: &io::Error,
) -> Result<std::result::Result<Channel, Reply>> {
    let reply = final_reply(control, early)?;
    control.doubt();
    if !reply.is_success() {
        return Err(refusal(&reply).retrying(Retry::NewSession));
    }
    let address = server.address();
    Err(Error::new(
        Kind::Tls,
        format!("the TLS handshake of a data connection with {address} failed: {error}"),
    )
    .retrying(Retry::NewSession))
}

fn start_active(
    server: &Arc<Server>,
    control: &mut Control,
    before: &[Command],
    verb: &Command,
) -> Result<Started> {
    let listener = TcpListener::bind((control.local_ip(), 0))?;
    let mut packet = before.to_vec();
    packet.push(port_command(listener.local_addr()?)?);
    let mut replies = control.burst(&packet)?;
    // Not in one packet with the rest: pyftpdlib opens the connection first and then confirms PORT, behind the reply to
    // the command of the transfer.
    if let Some(refused) = replies.pop().filter(|reply| !reply.is_success()) {
        return Ok(Started { before: replies, outcome: Err(refused) });
    }
    let reply = control.ask(verb)?;
    if reply.code() >= 300 {
        return Ok(Started { before: replies, outcome: Err(reply) });
    }
    let early = (!reply.is_preliminary()).then_some(reply);
    let accepted = accept(&listener, control.peer().ip(), server.config.connect_timeout);
    let channel = accepted
        .and_then(|socket| Stream::new(socket, server.config.timeout, &server.sockets))
        .and_then(|stream| secured(server, control, stream))
        .inspect_err(|_| control.doubt())?;
    Ok(Started { before: replies, outcome: Ok(Channel { stream: channel, early }) })
}

fn secured(server: &Server, control: &Control, stream: Stream) -> Result<Stream> {
    let (Some(config), Some(trust)) = (control.tls(), &server.trust) else {
        return Ok(stream);
    };
    let mut stream = stream.begin_tls(config, trust.name()).map_err(|error| lost(error, server))?;
    stream.complete_tls().map_err(|error| lost(error, server))?;
    tell_tls(server, &stream);
    Ok(stream)
}

/// Says once how data connections are encrypted, and of each one to whom listens.
fn tell_tls(server: &Server, stream: &Stream) {
    let Some(words) = stream.tls_words() else {
        return;
    };
    let line = format!("TLS of data connections: {words}");
    if let Some(trace) = &server.config.trace {
        trace(&line);
    }
    if !std::mem::replace(&mut server.learned().data_tls_is_told, true) {
        server.tell(4, line);
    }
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

/// Waits for the connection of the server; connections from anywhere else are dropped.
fn accept(listener: &TcpListener, server: IpAddr, timeout: Duration) -> Result<TcpStream> {
    // There is no accept with a timeout in the standard library.
    listener.set_nonblocking(true)?;
    let deadline = Instant::now() + timeout;
    loop {
        match listener.accept() {
            Ok((socket, from)) if from.ip() == server => {
                socket.set_nonblocking(false)?;
                return Ok(socket);
            }
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                std::thread::sleep(Duration::from_millis(5))
            }
            Err(error) => return Err(error.into()),
        }
        if Instant::now() >= deadline {
            return Err(Error::new(Kind::Timeout, "the server opened no data connection")
                .advise("a firewall may be in the way; try without --ftp-active"));
        }
    }
}
