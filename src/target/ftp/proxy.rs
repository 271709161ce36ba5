//! A proxy between this program and the server: SOCKS5 (RFC 1928, 1929), or HTTP with CONNECT (RFC 9110, section 9.3.6).
//!
//! Written here and not taken from a library: it is one page, it has to obey the time limits and interruptions of the other
//! sockets, and nothing may be read beyond the answer of the proxy, because the server speaks first.

use super::config::Secret;
use super::control::SLOWEST;
use super::secrets::Secrets;
use crate::error::{Error, Kind, Result};
use data_encoding::BASE64;
use std::fmt;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6, TcpStream};
use std::time::{Duration, Instant};

/// No honest answer of an HTTP proxy is longer, in bytes.
const MAX_ANSWER: usize = 16 * 1024;

/// A host as the proxy is told about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// An address.
    Ip(IpAddr),
    /// An address that only means something together with the number of an interface of this computer.
    Zoned(Ipv6Addr, u32),
    /// A name that the proxy resolves.
    Name(String),
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Ip(IpAddr::V6(ip)) => write!(f, "[{ip}]"),
            Host::Ip(ip) => write!(f, "{ip}"),
            Host::Zoned(ip, zone) => write!(f, "[{ip}%{zone}]"),
            Host::Name(name) => f.write_str(name),
        }
    }
}

impl From<SocketAddr> for Host {
    fn from(address: SocketAddr) -> Self {
        match address {
            SocketAddr::V6(v6) if v6.scope_id() != 0 && v6.ip().is_unicast_link_local() => {
                Host::Zoned(*v6.ip(), v6.scope_id())
            }
            address => Host::Ip(address.ip()),
        }
    }
}

impl Host {
    /// Where it is connected to without a proxy; `None` for a name.
    pub fn at(&self, port: u16) -> Option<SocketAddr> {
        match self {
            Host::Ip(ip) => Some(SocketAddr::new(*ip, port)),
            Host::Zoned(ip, zone) => Some(SocketAddrV6::new(*ip, port, 0, *zone).into()),
            Host::Name(_) => None,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Protocol {
    Socks5,
    Http,
}

/// A proxy. It is shown without user and password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proxy {
    scheme: &'static str,
    protocol: Protocol,
    resolves_names: bool,
    host: String,
    port: u16,
    credentials: Option<(String, Secret)>,
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}:{}", self.scheme, self.host, self.port)
    }
}

impl Proxy {
    /// Reads `socks5://user:password@host:port`, the same with `socks5h` (the proxy resolves names) or `http`; user and
    /// password may be percent-encoded.
    ///
    /// # Errors
    /// [`Kind::Usage`] for anything else; the message does not repeat the URL, which may hold a password.
    pub fn parse(url: &str) -> Result<Self> {
        let unusable = |why: &str| {
            Error::new(Kind::Usage, format!("the URL of the proxy cannot be used: {why}"))
                .advise("write it as socks5://user:password@host:port, or with socks5h or http")
        };
        let (scheme, rest) = url.split_once("://").ok_or_else(|| unusable("it has no scheme"))?;
        let (scheme, protocol, resolves_names, usual_port) = match scheme.to_ascii_lowercase().as_str() {
            "socks5" => ("socks5", Protocol::Socks5, false, 1080),
            "socks5h" | "socks" => ("socks5h", Protocol::Socks5, true, 1080),
            "http" => ("http", Protocol::Http, true, 8080),
            _ => return Err(unusable("its scheme is none of socks5, socks5h and http")),
        };
        let rest = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let (credentials, place) = match rest.rsplit_once('@') {
            Some((credentials, place)) => (Some(credentials), place),
            None => (None, rest),
        };
        let (host, port) = match place.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
            _ => (place, None),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() {
            return Err(unusable("it names no host"));
        }
        let port = port.filter(|port| !port.is_empty()).map_or(Ok(usual_port), str::parse);
        let port = port.map_err(|_| unusable("its port is not a number up to 65535"))?;
        let credentials = credentials.map(|text| {
            let (user, password) = text.split_once(':').unwrap_or((text, ""));
            (percent_decoded(user), Secret::new(percent_decoded(password)))
        });
        Ok(Proxy { scheme, protocol, resolves_names, host: host.to_owned(), port, credentials })
    }

    /// Where the proxy is.
    pub fn address(&self) -> (&str, u16) {
        (&self.host, self.port)
    }

    /// Whether names are resolved by the proxy.
    pub fn resolves_names(&self) -> bool {
        self.resolves_names
    }

    /// Adds what must not be shown.
    pub fn add_secrets(&self, secrets: &mut Secrets) {
        if let Some((user, password)) = &self.credentials {
            secrets.add_login(user, password.reveal());
        }
    }

    /// Longer than [`Proxy::open`] takes with this patience, whatever the proxy does.
    #[cfg(feature = "sftp")]
    pub fn longest(patience: Duration) -> Duration {
        patience * (SLOWEST + 2)
    }

    /// Asks for a connection to the host over a fresh connection to the proxy. After that, what is read comes from the host.
    /// Each answer has to be there within `patience`, and all of them within some times that.
    ///
    /// # Errors
    /// [`Kind::Timeout`] if the proxy is silent or drips, [`Kind::Connect`] with its reason if it refuses.
    pub fn open(&self, socket: &mut TcpStream, host: &Host, port: u16, patience: Duration) -> Result<()> {
        socket.set_read_timeout(Some(patience))?;
        socket.set_write_timeout(Some(patience))?;
        let asked = self.ask(&mut Hurried(socket, Instant::now() + patience * SLOWEST), host, port);
        asked.map_err(|error| match error.kind() {
            Kind::Timeout => Error::new(Kind::Timeout, format!("the proxy {self} does not answer")),
            Kind::Disconnected => Error::new(Kind::Connect, format!("the proxy {self} hung up")),
            _ => error,
        })
    }

    fn ask(&self, line: &mut (impl Read + Write), host: &Host, port: u16) -> Result<()> {
        match self.protocol {
            Protocol::Socks5 => self.ask_by_socks(line, host, port),
            Protocol::Http => self.ask_by_http(line, host, port),
        }
    }

    /// A text without the password, should the proxy repeat it.
    fn masked(&self, text: &str) -> String {
        let mut secrets = Secrets::default();
        self.add_secrets(&mut secrets);
        secrets.masked(text)
    }

    fn refuses(&self, why: impl fmt::Display) -> Error {
        Error::new(Kind::Connect, format!("the proxy {self} says: {why}"))
    }

    fn ask_by_socks(&self, line: &mut (impl Read + Write), host: &Host, port: u16) -> Result<()> {
        const NO_LOGIN: u8 = 0;
        const LOGIN: u8 = 2;
        let methods =
            if self.credentials.is_some() { &[5, 2, NO_LOGIN, LOGIN][..] } else { &[5, 1, NO_LOGIN] };
        line.write_all(methods)?;
        match read_bytes::<2>(line)? {
            [5, NO_LOGIN] => {}
            [5, LOGIN] => self.log_in_by_socks(line)?,
            [5, _] => {
                return Err(self.refuses("it wants a user and a password, or another kind of login"));
            }
            _ => return Err(self.refuses("something that is not SOCKS5")),
        }
        let mut request = vec![5, 1, 0];
        match host {
            Host::Ip(IpAddr::V4(ip)) => {
                request.push(1);
                request.extend(ip.octets());
            }
            Host::Ip(IpAddr::V6(ip)) | Host::Zoned(ip, _) => {
                request.push(4);
                request.extend(ip.octets());
            }
            Host::Name(name) => {
                request.push(3);
                push_counted(&mut request, name.as_bytes())?;
            }
        }
        request.extend(port.to_be_bytes());
        line.write_all(&request)?;
        let [version, answer, _, kind] = read_bytes::<4>(line)?;
        if version != 5 {
            return Err(self.refuses("something that is not SOCKS5"));
        }
        if answer != 0 {
            return Err(self.refuses(socks_words(answer)));
        }
        let rest = match kind {
            1 => 4,
            4 => 16,
            _ => usize::from(read_bytes::<1>(line)?[0]),
        };
        // The address of the connection at the proxy, and its port.
        let mut bound = vec![0; rest + 2];
        line.read_exact(&mut bound)?;
        Ok(())
    }

    fn log_in_by_socks(&self, line: &mut (impl Read + Write)) -> Result<()> {
        let Some((user, password)) = &self.credentials else {
            return Err(self.refuses("it wants a user and a password"));
        };
        let mut request = vec![1];
        push_counted(&mut request, user.as_bytes())?;
        push_counted(&mut request, password.reveal().as_bytes())?;
        line.write_all(&request)?;
        match read_bytes::<2>(line)? {
            [_, 0] => Ok(()),
            _ => Err(self.refuses("user or password are wrong")),
        }
    }

    fn ask_by_http(&self, line: &mut (impl Read + Write), host: &Host, port: u16) -> Result<()> {
        let mut request = format!("CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n");
        if let Some((user, password)) = &self.credentials {
            let both = BASE64.encode(format!("{user}:{}", password.reveal()).as_bytes());
            request.push_str(&format!("Proxy-Authorization: Basic {both}\r\n"));
        }
        request.push_str("\r\n");
        line.write_all(request.as_bytes())?;
        let mut answer = Vec::new();
        // One at a time: the first byte behind the empty line belongs to the server.
        while !answer.ends_with(b"\r\n\r\n") && !answer.ends_with(b"\n\n") {
            if answer.len() > MAX_ANSWER {
                return Err(self.refuses("an answer without end"));
            }
            answer.extend(read_bytes::<1>(line)?);
        }
        let answer = String::from_utf8_lossy(&answer);
        let status = answer.lines().next().unwrap_or_default().trim();
        let code = status.strip_prefix("HTTP/").and_then(|rest| rest.split(' ').nth(1)).unwrap_or_default();
        let shown = || format!("{:?}", self.masked(status));
        match code.as_bytes() {
            [b'2', _, _] => Ok(()),
            b"407" => Err(self.refuses("user or password are missing or wrong (407)")),
            b"403" | b"405" => Err(self.refuses(shown()).advise(
                "proxies for web pages often connect to port 443 only; ask for one that allows other ports, or for SOCKS5",
            )),
            [_, _, _] => Err(self.refuses(shown())),
            _ => Err(self.refuses("something that is not HTTP")),
        }
    }
}

/// A connection whose answers have to be there at a certain time: one that drips is as good as a silent one.
struct Hurried<'a>(&'a mut TcpStream, Instant);

impl Read for Hurried<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if Instant::now() > self.1 {
            return Err(io::ErrorKind::TimedOut.into());
        }
        self.0.read(buffer)
    }
}

impl Write for Hurried<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

fn read_bytes<const N: usize>(line: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    line.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// Adds a text with its length in front, in one byte.
fn push_counted(request: &mut Vec<u8>, text: &[u8]) -> Result<()> {
    let length = u8::try_from(text.len()).map_err(|_| {
        Error::new(Kind::Usage, "names, users and passwords for SOCKS5 have at most 255 bytes")
    })?;
    request.push(length);
    request.extend_from_slice(text);
    Ok(())
}

fn socks_words(answer: u8) -> &'static str {
    match answer {
        2 => "its rules do not allow the connection",
        3 => "network unreachable",
        4 => "host unreachable, or its name is unknown",
        5 => "connection refused",
        6 => "too many routers on the way",
        7 => "it makes no connections",
        8 => "it does not know this kind of address",
        _ => "general failure",
    }
}

/// `%40` becomes `@`; what is no such code stays.
fn percent_decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let code = text.get(at + 1..at + 3).filter(|_| bytes[at] == b'%');
        match code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
            Some(byte) => {
                decoded.push(byte);
                at += 3;
            }
            None => {
                decoded.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A proxy that has said everything beforehand, and what it heard.
    struct Line(&'static [u8], Vec<u8>);

    impl Read for Line {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.0.read(buffer)
        }
    }

    impl Write for Line {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.1.write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn asked(url: &str, says: &'static [u8]) -> (Result<()>, Line) {
        let mut line = Line(says, Vec::new());
        let outcome = Proxy::parse(url).unwrap().ask(&mut line, &Host::Name("ftp.example".into()), 21);
        (outcome, line)
    }

    #[test]
    fn urls_are_read_and_shown_without_credentials() {
        let proxy = Proxy::parse("SOCKS5://joe:a%40b%3a@[::1]:9050/x").unwrap();
        assert_eq!(proxy.address(), ("::1", 9050));
        assert_eq!(proxy.credentials, Some(("joe".into(), Secret::new("a@b:"))));
        assert!(!proxy.resolves_names());
        let shown = format!("{proxy} {proxy:?}");
        assert!(!shown.contains("a@b"), "{shown}");
        assert_eq!(Proxy::parse("http://proxy").unwrap().address(), ("proxy", 8080));
        assert_eq!(Proxy::parse("socks5h://proxy:").unwrap().address(), ("proxy", 1080));
        assert!(Proxy::parse("socks5h://proxy").unwrap().resolves_names());
        for bad in [
            "proxy:1080",
            "https://joe:geheim@proxy",
            "socks5://",
            "socks5://joe:geheim@:1",
            "joe:geheim@proxy:1080",
            "http://joe:geheim@h:99999",
            "http://h:99999",
        ] {
            let error = Proxy::parse(bad).unwrap_err();
            assert_eq!(error.kind(), Kind::Usage);
            assert!(!error.to_string().contains("geheim"), "{error}");
        }
    }

    #[test]
    fn a_link_local_address_keeps_its_interface_and_no_other_needs_one() {
        let linked = SocketAddrV6::new("fe80::1".parse().unwrap(), 21, 0, 3);
        let host = Host::from(SocketAddr::from(linked));
        assert_eq!(host.at(990), Some(SocketAddrV6::new(*linked.ip(), 990, 0, 3).into()));
        assert_eq!(host.to_string(), "[fe80::1%3]");
        let here = SocketAddrV6::new(Ipv6Addr::LOCALHOST, 21, 0, 1);
        assert_eq!(Host::from(SocketAddr::from(here)), Host::Ip(Ipv6Addr::LOCALHOST.into()));
    }

    #[test]
    fn socks_is_spoken_by_the_book() {
        let says = b"\x05\x02\x01\x00\x05\x00\x00\x01\x7f\x00\x00\x01\x04\x38220 hello";
        let (outcome, line) = asked("socks5h://joe:pw@proxy", says);
        outcome.unwrap();
        assert_eq!(line.0, b"220 hello", "nothing of the server is taken");
        assert_eq!(line.1, b"\x05\x02\x00\x02\x01\x03joe\x02pw\x05\x01\x00\x03\x0bftp.example\x00\x15");
    }

    #[test]
    fn http_is_spoken_by_the_book() {
        let says = b"HTTP/1.1 200 Connection established\r\nX: y\r\n\r\n220 hello";
        let (outcome, line) = asked("http://joe:pw@proxy", says);
        outcome.unwrap();
        assert_eq!(line.0, b"220 hello", "nothing of the server is taken");
        let heard = String::from_utf8(line.1).unwrap();
        assert!(heard.starts_with("CONNECT ftp.example:21 HTTP/1.1\r\nHost: ftp.example:21\r\n"), "{heard}");
        assert!(heard.contains("Proxy-Authorization: Basic am9lOnB3\r\n"), "{heard}");
    }

    #[test]
    fn refusals_say_what_the_proxy_means() {
        let cases: [(&str, &'static [u8], &str); 9] = [
            ("socks5h://p", b"\x05\xff", "user and a password"),
            ("socks5h://j:x@p", b"\x05\x02\x01\x01", "user or password are wrong"),
            ("socks5h://p", b"\x05\x00\x05\x05\x00\x01", "connection refused"),
            ("socks5h://p", b"\x05\x00\x05\x02\x00\x01", "rules do not allow"),
            ("socks5h://p", b"HTTP/1.1 400 Bad", "not SOCKS5"),
            ("http://p", b"HTTP/1.1 407 Who\r\n\r\n", "missing or wrong"),
            ("http://p", b"HTTP/1.0 403 No\r\n\r\n", "port 443"),
            ("http://p", b"HTTP/1.1 502 Bad\r\n\r\n", "502 Bad"),
            ("http://p", b"\x05\xff\r\n\r\n", "not HTTP"),
        ];
        for (url, says, words) in cases {
            let error = asked(url, says).0.unwrap_err();
            assert_eq!(error.kind(), Kind::Connect, "{error}");
            assert!(error.to_string().contains(words), "{error}");
        }
        assert_eq!(asked("http://p", b"HTTP/1.1 200").0.unwrap_err().kind(), Kind::Disconnected);
    }

    #[test]
    fn an_answer_without_end_is_given_up() {
        let mut line = io::Cursor::new(vec![b'x'; 100_000]);
        let proxy = Proxy::parse("http://p").unwrap();
        assert!(proxy.ask(&mut line, &Host::Name("h".into()), 21).is_err());
    }

    #[test]
    fn a_proxy_that_repeats_the_password_does_not_bring_it_into_errors() {
        let says = b"HTTP/1.1 502 no: Basic am9lOnBhOnNzQHg=, pa:ss@x, pa%3Ass%40x, http://joe:pa%3ass%40x@h\r\n\r\n";
        let error = asked("http://joe:pa%3Ass%40x@p", says).0.unwrap_err();
        let shown =
            "the proxy http://p:8080 says: \"HTTP/1.1 502 no: Basic ***=, ***, ***, http://joe:***@h\"";
        assert_eq!(error.to_string(), shown);
        let error = asked("http://joe:%22502%22@p", b"HTTP/1.1 502 \"502\"\r\n\r\n").0.unwrap_err();
        assert!(error.to_string().ends_with("says: \"HTTP/1.1 502 ***\""), "{error}");
    }
}
