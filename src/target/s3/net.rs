//! Questions over HTTP/1.1, on connections that are kept for the next one.
//!
//! Written here and not taken from a library: it takes two pages, and uses the sockets, the TLS and the proxies that the other
//! targets use, with their time limits and interruptions.

use super::endpoint::Address;
use crate::error::{Error, Kind, Result, Retry};
use crate::locked::locked;
use crate::target::ftp::TlsConfig;
use crate::target::ftp::proxy::{Host, Proxy};
use crate::target::ftp::sockets::Sockets;
use crate::target::ftp::stream::Stream;
use crate::target::ftp::tickets::Tickets;
use crate::target::ftp::tls::{Trust, Versions};
use crate::target::pace::Pace;
use crate::wire::s3::http::{Framing, Head, MAX_HEAD};
use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Bytes that are read from the network at a time.
const BLOCK: usize = 64 * 1024;
/// The longest time for a head, and for a body that is wanted as a whole, in times of the limit for silence. Much, because
/// servers send blanks while they copy an object or put its parts together.
const SLOWEST: u32 = 20;
/// A server that answers a new connection this soon is near.
const NEAR: Duration = Duration::from_millis(2);

/// The way to servers, and the connections that are idle.
pub struct Net {
    pub sockets: Arc<Sockets>,
    pub connect_timeout: Duration,
    pub timeout: Duration,
    pub proxy: Option<Proxy>,
    pub tls: TlsConfig,
    trusts: Mutex<HashMap<String, Trusted>>,
    idle: Mutex<Vec<(Address, Connection)>>,
    /// The shortest time that a connection took.
    shortest: Mutex<Option<Duration>>,
}

/// Who is trusted to be a host, and the sessions of TLS with it.
type Trusted = (Arc<Trust>, Arc<Tickets>);

/// A question that is ready to be sent.
#[derive(Debug)]
pub struct Message<'a> {
    pub method: &'a str,
    /// Path and query as they are sent.
    pub target: String,
    /// With `host`, without the length.
    pub headers: Vec<(String, String)>,
    pub body: &'a [u8],
}

/// An answer whose body is still to be read.
pub struct Answer<'n> {
    pub head: Head,
    pub body: Body<'n>,
}

impl Answer<'_> {
    /// The whole body.
    ///
    /// # Errors
    /// If it is cut short, longer than `limit` bytes, or comes so slowly that it may never end.
    pub fn bytes(mut self, limit: usize) -> Result<Vec<u8>> {
        if let Some(connection) = &mut self.body.connection {
            connection.until = Some(Instant::now() + connection.timeout * SLOWEST);
        }
        let mut bytes = Vec::new();
        (&mut self.body).take(limit as u64 + 1).read_to_end(&mut bytes)?;
        if bytes.len() > limit {
            Err(Error::new(Kind::Protocol, "the answer of the server is too long").with_os(libc::EIO))
        } else {
            Ok(bytes)
        }
    }
}

impl Net {
    pub fn new(connect_timeout: Duration, timeout: Duration, proxy: Option<Proxy>, tls: TlsConfig) -> Self {
        Net {
            sockets: Arc::default(),
            connect_timeout,
            timeout,
            proxy,
            tls,
            trusts: Mutex::default(),
            idle: Mutex::default(),
            shortest: Mutex::default(),
        }
    }

    /// How long the way to the server and back takes at the least, if that is known. A proxy answers for itself.
    pub fn round_trip(&self) -> Option<Duration> {
        locked(&self.shortest).filter(|_| self.proxy.is_none())
    }

    /// Whether the server is so near that one connection is as fast as several.
    pub fn is_near(&self) -> bool {
        self.round_trip().is_some_and(|time| time < NEAR)
    }

    /// Sends a question and waits for the head of the answer. One that goes out on a connection which the server has closed
    /// meanwhile is sent once more, on a new one.
    ///
    /// # Errors
    /// Connection and TLS failures; [`Kind::Disconnected`] if all sockets were shut since `interruptions`.
    pub fn ask(&self, address: &Address, message: &Message<'_>, interruptions: u64) -> Result<Answer<'_>> {
        while let Some(mut connection) = self.idle(address) {
            match connection.ask(message) {
                // Silence is no sign that it was closed before.
                Err(error)
                    if connection.received == 0
                        && error.kind() != Kind::Timeout
                        && self.sockets.interruptions() == interruptions => {}
                outcome => return self.answer(address, connection, message, outcome, interruptions),
            }
        }
        let mut connection = self.connect(address, interruptions)?;
        let outcome = connection.ask(message);
        self.answer(address, connection, message, outcome, interruptions)
    }

    fn answer(
        &self,
        address: &Address,
        connection: Connection,
        message: &Message<'_>,
        outcome: Result<Head>,
        interruptions: u64,
    ) -> Result<Answer<'_>> {
        let head = outcome.map_err(|error| {
            if self.sockets.interruptions() == interruptions { error } else { interrupted() }
        })?;
        let left = match head.framing(message.method)? {
            Framing::Length(length) => Left::Bytes(length),
            Framing::Chunked => Left::Chunk(0),
            Framing::UntilClose => Left::All,
        };
        let keeps = head.keeps_alive() && !connection.is_cut && !matches!(left, Left::All);
        let home = keeps.then(|| address.clone());
        let pace = Pace::new(self.timeout);
        let mut body = Body { net: self, home, connection: Some(connection), left, pace };
        body.settle();
        Ok(Answer { head, body })
    }

    /// A connection that was kept, and that the server has not closed.
    fn idle(&self, address: &Address) -> Option<Connection> {
        loop {
            let mut idle = locked(&self.idle);
            let index = idle.iter().rposition(|(known, _)| known == address)?;
            let (_, mut connection) = idle.swap_remove(index);
            drop(idle);
            if connection.at == connection.buffer.len() && connection.stream.is_quiet() {
                connection.received = 0;
                return Some(connection);
            }
        }
    }

    fn connect(&self, address: &Address, interruptions: u64) -> Result<Connection> {
        // If it does not pass, nothing else will go well.
        let context = |error: Error| match error.kind() {
            Kind::Cancelled => error,
            _ => error.during("connect to").at(address).retrying(Retry::Later).outage(),
        };
        if self.sockets.interruptions() != interruptions {
            return Err(interrupted());
        }
        let socket = self.dial(address, interruptions).map_err(context)?;
        let mut stream = Stream::new(socket, self.timeout, &self.sockets)?;
        if address.is_tls {
            let (trust, tickets) = self.trust(&address.host)?;
            let config = trust.client_config(Versions::Any, &tickets)?;
            let begun = stream.begin_tls(&config, trust.name());
            stream = begun.map_err(|error| distrusted(&trust, address, &error))?;
            stream.complete_tls().map_err(|error| distrusted(&trust, address, &error))?;
        }
        if self.sockets.interruptions() != interruptions {
            return Err(interrupted());
        }
        Ok(Connection {
            stream,
            buffer: Vec::new(),
            at: 0,
            received: 0,
            is_cut: false,
            timeout: self.timeout,
            until: None,
        })
    }

    fn dial(&self, address: &Address, interruptions: u64) -> Result<TcpStream> {
        let (host, port) = match &self.proxy {
            Some(proxy) => proxy.address(),
            None => (address.host.as_str(), address.port),
        };
        let unknown = || Error::new(Kind::UnknownHost, format!("unknown host {host:?}"));
        let mut failure = unknown();
        for to in (host, port).to_socket_addrs().map_err(|_| unknown())? {
            let begun = Instant::now();
            match self.sockets.dial(to, self.connect_timeout, interruptions) {
                Ok(mut socket) => {
                    let time = begun.elapsed();
                    let mut shortest = locked(&self.shortest);
                    *shortest = Some(shortest.map_or(time, |known| known.min(time)));
                    drop(shortest);
                    if let Some(proxy) = &self.proxy {
                        let lease = self.sockets.register(&socket)?;
                        let host = match address.host.parse() {
                            Ok(ip) => Host::Ip(ip),
                            Err(_) => Host::Name(address.host.clone()),
                        };
                        let opened = proxy.open(&mut socket, &host, address.port, self.connect_timeout);
                        drop(lease);
                        if self.sockets.interruptions() != interruptions {
                            return Err(interrupted());
                        }
                        opened?;
                    }
                    return Ok(socket);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => return Err(interrupted()),
                Err(error) => {
                    failure = Error::from(error);
                    if failure.kind() != Kind::Timeout {
                        failure = failure.understood_as(Kind::Connect);
                    }
                }
            }
        }
        Err(failure)
    }

    fn trust(&self, host: &str) -> Result<Trusted> {
        let mut trusts = locked(&self.trusts);
        if let Some((trust, tickets)) = trusts.get(host) {
            return Ok((Arc::clone(trust), Arc::clone(tickets)));
        }
        let made = (Arc::new(Trust::new(&self.tls, host)?), Arc::new(Tickets::default()));
        trusts.insert(host.to_owned(), (Arc::clone(&made.0), Arc::clone(&made.1)));
        Ok(made)
    }
}

/// The error for what [`Target::interrupt`](crate::target::Target::interrupt) ended.
pub fn interrupted() -> Error {
    Error::new(Kind::Disconnected, "the conversation was interrupted")
}

fn distrusted(trust: &Trust, address: &Address, error: &io::Error) -> Error {
    let is_about_trust = matches!(
        error.get_ref().and_then(|cause| cause.downcast_ref()),
        Some(rustls::Error::InvalidCertificate(_))
    );
    let error = Error::new(Kind::Tls, format!("the TLS handshake with {address} failed: {error}"));
    match trust.shown().filter(|_| is_about_trust) {
        Some(pin) => error.advise(format!(
            "trust its issuer with --tls-ca FILE, or exactly this certificate with --tls-pin {pin}"
        )),
        None => error.advise("check the endpoint URL, also whether it is http or https"),
    }
}

/// A connection with a server.
struct Connection {
    stream: Stream,
    buffer: Vec<u8>,
    at: usize,
    /// Bytes since the last question.
    received: u64,
    /// The question was not sent to its end.
    is_cut: bool,
    /// The limit for silence.
    timeout: Duration,
    /// Nothing is read after this time, if there is one.
    until: Option<Instant>,
}

impl Connection {
    fn ask(&mut self, message: &Message<'_>) -> Result<Head> {
        let mut bytes = Vec::with_capacity(1024 + message.body.len().min(BLOCK));
        write!(bytes, "{} {} HTTP/1.1\r\n", message.method, message.target)?;
        for (name, value) in &message.headers {
            write!(bytes, "{name}: {value}\r\n")?;
        }
        if !message.body.is_empty() || matches!(message.method, "PUT" | "POST") {
            write!(bytes, "content-length: {}\r\n", message.body.len())?;
        }
        bytes.extend_from_slice(b"\r\n");
        let sent = if message.body.len() <= BLOCK {
            bytes.extend_from_slice(message.body);
            self.stream.write_all(&bytes)
        } else {
            self.stream.write_all(&bytes).and_then(|()| {
                // Bounded, so that the time limit counts for each of them.
                message.body.chunks(4 * BLOCK).try_for_each(|block| self.stream.write_all(block))
            })
        };
        match sent.and_then(|()| self.stream.flush()) {
            Ok(()) => self.head(),
            Err(error) => {
                // A server that refuses need not read all of the body first.
                self.is_cut = true;
                self.head().map_err(|_| Error::from(error))
            }
        }
    }

    /// Reads the head of the answer. What follows it may take any time.
    fn head(&mut self) -> Result<Head> {
        self.until = Some(Instant::now() + self.timeout * SLOWEST);
        let head = self.final_head();
        self.until = None;
        head
    }

    fn final_head(&mut self) -> Result<Head> {
        loop {
            let Some(end) = self.buffer[self.at..].windows(4).position(|four| four == b"\r\n\r\n") else {
                let held = self.buffer.len() - self.at;
                if held > MAX_HEAD {
                    return Err(Error::new(Kind::Protocol, "the answer of the server has no end"));
                }
                if self.fill()? == 0 {
                    // Something that speaks another protocol says so in its first words.
                    return Err(match held {
                        0 => Error::new(Kind::Disconnected, "the server hung up"),
                        _ => Head::parse(&self.buffer).err().unwrap_or_else(|| cut_short().into()),
                    });
                }
                continue;
            };
            let end = self.at + end + 4;
            let head = Head::parse(&self.buffer[self.at..end])?;
            self.at = end;
            if !(100..200).contains(&head.status) {
                if self.at == self.buffer.len() {
                    self.acknowledge();
                }
                return Ok(head);
            }
        }
    }

    /// Tells the server at once that the head has arrived. Some wait for that with the body, and systems like to wait 40 ms
    /// with it.
    fn acknowledge(&self) {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        // It saves time where it works.
        let _ = socket2::SockRef::from(self.stream.socket()).set_tcp_quickack(true);
    }

    /// A server that sends a byte now and then is as good as silent.
    fn check_time(&self) -> io::Result<()> {
        match self.until {
            Some(until) if Instant::now() > until => Err(io::ErrorKind::TimedOut.into()),
            Some(_) | None => Ok(()),
        }
    }

    /// Reads more into the buffer.
    fn fill(&mut self) -> io::Result<usize> {
        self.check_time()?;
        self.buffer.drain(..self.at);
        self.at = 0;
        let held = self.buffer.len();
        self.buffer.resize(held + BLOCK, 0);
        let outcome = loop {
            match self.stream.read(&mut self.buffer[held..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                outcome => break outcome,
            }
        };
        let count = *outcome.as_ref().unwrap_or(&0);
        self.buffer.truncate(held + count);
        self.received += count as u64;
        outcome
    }

    /// Reads what is there, from the buffer first.
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.at < self.buffer.len() {
            let count = out.len().min(self.buffer.len() - self.at);
            out[..count].copy_from_slice(&self.buffer[self.at..self.at + count]);
            self.at += count;
            return Ok(count);
        }
        if out.len() >= BLOCK {
            self.check_time()?;
            return self.stream.read(out);
        }
        match self.fill()? {
            0 => Ok(0),
            _ => self.read(out),
        }
    }

    /// A line of a chunked body, without its end.
    fn line(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = self.buffer[self.at..].windows(2).position(|two| two == b"\r\n") {
                let line = String::from_utf8_lossy(&self.buffer[self.at..self.at + end]).into_owned();
                self.at += end + 2;
                return Ok(line);
            }
            if self.buffer.len() - self.at > 4096 || self.fill()? == 0 {
                return Err(cut_short());
            }
        }
    }
}

fn cut_short() -> io::Error {
    Error::new(Kind::Disconnected, "the connection ended in the middle of an answer").into_io()
}

/// What is left of a body.
enum Left {
    Bytes(u64),
    /// In this chunk; 0 before the next one.
    Chunk(u64),
    All,
    Nothing,
}

/// The body of an answer. Read to its end, the connection is kept; dropped before, it is closed.
pub struct Body<'n> {
    net: &'n Net,
    home: Option<Address>,
    connection: Option<Connection>,
    left: Left,
    pace: Pace,
}

impl Body<'_> {
    /// Gives the connection back when nothing is left.
    fn settle(&mut self) {
        if matches!(self.left, Left::Bytes(0)) {
            self.left = Left::Nothing;
        }
        if matches!(self.left, Left::Nothing)
            && let (Some(home), Some(mut connection)) = (self.home.take(), self.connection.take())
        {
            connection.until = None;
            locked(&self.net.idle).push((home, connection));
        }
    }
}

impl Read for Body<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let begun = Instant::now();
        let count = self.next(out)?;
        self.pace.took(begun.elapsed(), count).map_err(|_| self.pace.error("this object").into_io())
    }
}

impl Body<'_> {
    fn next(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let Some(connection) = self.connection.as_mut().filter(|_| !out.is_empty()) else { return Ok(0) };
        if matches!(self.left, Left::Chunk(0)) {
            let line = connection.line()?;
            let digits = line.split(';').next().unwrap_or_default().trim();
            let length = u64::from_str_radix(digits, 16).map_err(|_| cut_short())?;
            self.left = Left::Chunk(length);
            if length == 0 {
                while !connection.line()?.is_empty() {}
                self.left = Left::Nothing;
            }
        }
        let most = match self.left {
            Left::Nothing => 0,
            Left::Bytes(left) | Left::Chunk(left) => {
                usize::try_from(left).unwrap_or(usize::MAX).min(out.len())
            }
            Left::All => out.len(),
        };
        let count = if most == 0 { 0 } else { connection.read(&mut out[..most])? };
        match &mut self.left {
            Left::Bytes(left) => {
                if count == 0 {
                    return Err(cut_short());
                }
                *left -= count as u64;
            }
            Left::Chunk(left) => {
                if count == 0 {
                    return Err(cut_short());
                }
                *left -= count as u64;
                if *left == 0 && !connection.line()?.is_empty() {
                    return Err(cut_short());
                }
            }
            Left::All if count == 0 => self.left = Left::Nothing,
            Left::All | Left::Nothing => {}
        }
        self.settle();
        Ok(count)
    }
}
