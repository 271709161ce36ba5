//! The control connection: commands out, replies in, one reply per command and in order.
//!
//! As soon as that order is in doubt (an I/O error, a timeout, a reply that makes no sense) the conversation is over: a late
//! reply would be taken for the answer to another question.

use super::Server;
#[cfg(feature = "suppaftp")]
use super::config::Engine;
use super::config::Speaker;
use super::dial;
use super::errors::refusal;
use super::handshake;
use super::learned::{Mode, Passive, Resumption};
use super::proxy::Host;
use super::stream::Stream;
#[cfg(feature = "suppaftp")]
use super::suppa::{self, Connector, NotSecured, Suppa};
use super::tickets::Tickets;
use super::tls::Versions;
use crate::error::{Error, Kind, Result, Retry};
use crate::wire::ftp::{Command, Reply, ReplyParser};
use rustls::ClientConfig;
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The longest time for one reply, or one handshake, in times of the limit for silence.
pub(super) const SLOWEST: u32 = 3;
/// How long the answer to a passive request that was sent ahead is good: servers give such a port up, and somebody else gets it.
const OFFER_LASTS: Duration = Duration::from_secs(5);
/// How long the answer to QUIT is waited for.
const GOODBYE: Duration = Duration::from_secs(2);
/// How long to wait for more of a reply whose last line has another code than its first.
const ODD_END: Duration = Duration::from_secs(2);

/// How long tickets of TLS 1.3 are surely good.
const TICKETS_LAST: Duration = Duration::from_secs(600);

/// How far the transfer under way has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Progress {
    /// A data connection is asked for.
    Asked,
    /// The data connection is there.
    Connected,
    /// The server has agreed to the command.
    Agreed,
}

/// One control connection.
pub struct Control {
    server: Arc<Server>,
    stream: Stream,
    /// If the other engine leads the conversation: then `stream` is another handle of its socket.
    #[cfg(feature = "suppaftp")]
    lent: Option<Box<Suppa>>,
    parser: ReplyParser,
    host: Host,
    local: SocketAddr,
    tls: Option<Arc<ClientConfig>>,
    tickets: Arc<Tickets>,
    /// The data connection under way resumes nothing.
    is_unresumed: bool,
    in_doubt: bool,
    progress: Progress,
    /// The mode of the transfer under way.
    mode: Option<Mode>,
    /// How many commands that write were sent for the transfer under way.
    writes: usize,
    /// So many replies are to come behind the one that is read.
    behind: usize,
    begun: Instant,
    /// Where the transfer that is being started begins in its file, in bytes.
    pub(super) offset: u64,
    /// The answer to a passive request that was sent ahead of its transfer. Good only for what is said next.
    offer: Option<(Passive, Reply, Instant)>,
    /// Where the server connected to for the transfer under way, in active mode.
    pub(super) listener: Option<TcpListener>,
    /// What the server said first.
    banner: Option<String>,
    /// What it said to user and password.
    login: Option<String>,
}

impl Control {
    /// Connects to the first address of the host that answers. The banner is still to be read.
    ///
    /// # Errors
    /// [`Kind::UnknownHost`], [`Kind::Connect`] or [`Kind::Timeout`]; [`Kind::Disconnected`] if all sockets were shut since
    /// `interruptions`.
    pub fn connect(server: &Arc<Server>, interruptions: u64) -> Result<Self> {
        let (socket, host) = dial::to_server(server, interruptions)?;
        let local = socket.local_addr()?;
        #[cfg(feature = "suppaftp")]
        let handle = socket.try_clone()?;
        let control = Control {
            #[cfg(feature = "suppaftp")]
            lent: None,
            stream: Stream::new(socket, server.config.timeout, &server.sockets)?,
            server: Arc::clone(server),
            parser: ReplyParser::default(),
            host,
            local,
            tls: None,
            tickets: Arc::default(),
            is_unresumed: false,
            in_doubt: false,
            progress: Progress::Asked,
            mode: None,
            writes: 0,
            behind: 0,
            begun: Instant::now(),
            offset: 0,
            offer: None,
            listener: None,
            banner: None,
            login: None,
        };
        #[cfg(feature = "suppaftp")]
        if server.config.engine == Engine::Suppaftp && !server.is_implicit {
            return control.greeted_by_suppa(handle);
        }
        Ok(control)
    }

    /// Whether the server is on this computer, so that nobody can read along.
    pub fn is_at_home(&self) -> bool {
        matches!(&self.host, Host::Ip(address) if address.is_loopback())
    }

    #[cfg(feature = "suppaftp")]
    fn greeted_by_suppa(mut self, socket: TcpStream) -> Result<Self> {
        match Suppa::greet(&self.server, &self.host, socket) {
            Ok(suppa) => self.lent = Some(Box::new(suppa)),
            Err(error) => {
                return Err(match suppa::reply_in(error) {
                    Ok(reply) => refusal(&self.server.without_secrets(reply)),
                    Err(error) => suppa::in_words(error, &self.server),
                }
                .during("connect to")
                .at(self.server.address()));
            }
        }
        Ok(self)
    }

    /// Puts TLS on the connection, after the server agreed to AUTH TLS.
    ///
    /// # Errors
    /// The `io::Error` of the handshake, so that the caller can offer other versions; a protocol error if bytes in clear
    /// arrived behind the agreement, which an attacker may have put there.
    pub fn secure(self, versions: Versions) -> Result<io::Result<Self>> {
        let Some(trust) = &self.server.trust else {
            return Err(Error::new(Kind::Tls, "TLS is not configured"));
        };
        if !self.parser.is_empty() {
            return Err(Error::new(
                Kind::Tls,
                "the server sent more in clear text after it had agreed to TLS; somebody may be tampering",
            ));
        }
        let config = trust.client_config(versions, &self.tickets)?;
        #[cfg(feature = "suppaftp")]
        if self.server.config.engine == Engine::Suppaftp {
            return self.secured_by_suppa(config);
        }
        let handshake = self.stream.begin_tls(&config, trust.name()).and_then(|mut stream| {
            stream.complete_tls()?;
            Ok(stream)
        });
        Ok(handshake.map(|stream| Control {
            stream,
            #[cfg(feature = "suppaftp")]
            lent: None,
            tls: Some(config),
            tickets: self.tickets,
            is_unresumed: false,
            server: self.server,
            parser: self.parser,
            host: self.host,
            local: self.local,
            in_doubt: self.in_doubt,
            progress: Progress::Asked,
            mode: None,
            writes: 0,
            behind: 0,
            begun: self.begun,
            offset: 0,
            offer: None,
            listener: None,
            banner: self.banner,
            login: self.login,
        }))
    }

    #[cfg(feature = "suppaftp")]
    fn secured_by_suppa(mut self, config: Arc<ClientConfig>) -> Result<io::Result<Self>> {
        let Some(trust) = &self.server.trust else {
            return Err(Error::new(Kind::Tls, "TLS is not configured"));
        };
        let connector = Connector::new(&config, trust.name(), self.server.config.timeout);
        let secured = match self.lent.take() {
            Some(suppa) => suppa.secure(connector, &self.server.host),
            None => {
                let address = self.stream.socket().peer_addr()?;
                Suppa::implicit(&self.server, &self.host, address, connector)
            }
        };
        match secured {
            Ok((suppa, socket)) => {
                if let Some(socket) = socket {
                    self.stream = Stream::new(socket, self.server.config.timeout, &self.server.sockets)?;
                }
                self.lent = Some(Box::new(suppa));
                self.tls = Some(config);
                Ok(Ok(self))
            }
            Err(NotSecured::Refused(reply)) => {
                Err(super::login::no_tls(&self.server, &self.server.without_secrets(reply)))
            }
            Err(NotSecured::Failed(error)) => Ok(Err(error)),
        }
    }

    /// Whether the other engine leads the conversation.
    pub fn is_lent(&self) -> bool {
        #[cfg(feature = "suppaftp")]
        return self.lent.is_some();
        #[cfg(not(feature = "suppaftp"))]
        false
    }

    /// The other engine, if it leads the conversation.
    #[cfg(feature = "suppaftp")]
    pub fn lent(&mut self) -> Option<&mut Suppa> {
        self.lent.as_deref_mut()
    }

    /// What is known about the server.
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// The server: the only host that data connections go to.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// Whether the server is known to be reached by an IPv6 address.
    pub fn is_ipv6(&self) -> bool {
        matches!(self.host, Host::Ip(IpAddr::V6(_)) | Host::Zoned(..))
    }

    /// The own address on this connection, with no port chosen yet.
    pub fn local_end(&self) -> SocketAddr {
        let mut end = self.local;
        end.set_port(0);
        end
    }

    /// The TLS configuration with the session store of this connection.
    pub fn tls(&self) -> Option<&Arc<ClientConfig>> {
        self.tls.as_ref()
    }

    /// Whether further data connections have nothing to resume, and the server may refuse them for that.
    pub fn may_be_used_up(&self) -> bool {
        self.server.learned().resumption != Some(Resumption::Optional)
            && self.is_tls13()
            && !self.tickets.are_left()
    }

    fn is_tls13(&self) -> bool {
        #[cfg(feature = "suppaftp")]
        if let Some(suppa) = &self.lent {
            return suppa.is_tls13();
        }
        self.stream.is_tls13()
    }

    /// Whether the server is known to refuse further data connections.
    pub fn is_used_up(&self) -> bool {
        self.server.learned().resumption == Some(Resumption::Required) && self.may_be_used_up()
    }

    /// Says where the transfer begins, if that is not the beginning. It has to be said right before its command (FileZilla
    /// forgets it otherwise). The reply, if it is a refusal.
    ///
    /// # Errors
    /// As [`Control::ask`].
    pub fn rest(&mut self) -> Result<Option<Reply>> {
        let Some(command) = self.rest_command()? else { return Ok(None) };
        let reply = self.ask(&command)?;
        Ok((!reply.is_intermediate()).then_some(reply))
    }

    /// What says so.
    ///
    /// # Errors
    /// None that can be: a number is no bad argument.
    pub fn rest_command(&self) -> Result<Option<Command>> {
        (self.offset > 0).then(|| Command::text("REST", &self.offset.to_string())).transpose()
    }

    /// Keeps the answer to a passive request for the transfer that is said next.
    pub fn keep_offer(&mut self, passive: Passive, answer: Reply) {
        self.offer = Some((passive, answer, Instant::now()));
    }

    /// Whether the answer to a passive request is there already.
    pub fn has_offer(&self) -> bool {
        self.offer.as_ref().is_some_and(|(.., since)| since.elapsed() < OFFER_LASTS)
    }

    /// Takes the answer to a passive request of this kind, if it is there already.
    pub fn take_offer(&mut self, passive: Passive) -> Option<Reply> {
        let offer = self.offer.take_if(|(asked, ..)| *asked == passive);
        offer.filter(|(.., since)| since.elapsed() < OFFER_LASTS).map(|(_, answer, _)| answer)
    }

    /// A transfer went well, so data connections can be made in the mode that is used.
    pub fn mode_works(&self) {
        let mut learned = self.server.learned();
        if !learned.mode_works {
            learned.mode_works = true;
            // Another conversation may have had less luck meanwhile.
            learned.mode = self.mode.filter(|mode| *mode != self.server.configured_mode());
        }
    }

    /// The transfer under way is tried in this mode.
    pub fn in_mode(&mut self, mode: Mode) {
        self.mode = Some(mode);
    }

    /// How far the last transfer has come.
    pub fn progress(&self) -> Progress {
        self.progress
    }

    /// The transfer has come so far.
    pub fn has_come_to(&mut self, progress: Progress) {
        self.progress = progress;
    }

    /// A transfer begins.
    pub fn begins_transfer(&mut self) {
        self.progress = Progress::Asked;
        self.writes = 0;
    }

    /// The command of the transfer under way may be with the server.
    pub fn has_sent_verb(&mut self, verb: &Command) {
        self.writes += usize::from(writes(verb));
    }

    /// How many commands were sent for the transfer under way that destroy what has its name: each mode that was tried has one.
    pub fn writes(&self) -> usize {
        self.writes
    }

    /// A data connection is about to be encrypted.
    pub fn begins_data_tls(&mut self) {
        self.is_unresumed = self.may_be_used_up();
    }

    /// Learns from the end of a transfer whether data connections have to resume a session.
    pub fn judge_resumption(&mut self, end: &Reply) {
        if std::mem::take(&mut self.is_unresumed) {
            let mut learned = self.server.learned();
            if end.is_success() {
                learned.resumption = Some(Resumption::Optional);
            } else if matches!(end.code(), 425 | 426 | 522) {
                learned.resumption.get_or_insert(Resumption::Required);
            }
        }
    }

    /// Version and cipher of TLS.
    pub fn tls_words(&self) -> Option<String> {
        #[cfg(feature = "suppaftp")]
        if let Some(suppa) = &self.lent {
            return suppa.tls_words();
        }
        self.stream.tls_words()
    }

    /// What the server said first.
    pub fn banner(&self) -> Option<&str> {
        self.banner.as_deref()
    }

    /// What the server said when it let the user in.
    pub fn login_reply(&self) -> Option<&str> {
        self.login.as_deref()
    }

    /// The socket of the connection.
    pub fn socket(&self) -> &TcpStream {
        self.stream.socket()
    }

    /// Refuses to go on with a conversation that is in doubt.
    ///
    /// # Errors
    /// [`Kind::Disconnected`], with [`Retry::NewSession`].
    pub fn check(&self) -> Result<()> {
        if self.in_doubt {
            return Err(Error::new(Kind::Disconnected, "the conversation has ended"));
        }
        Ok(())
    }

    /// Ends the conversation: what follows cannot be trusted to belong together.
    pub fn doubt(&mut self) {
        self.in_doubt = true;
    }

    /// Whether it has lasted longer than it should: some servers end sessions after a while, and tickets of TLS 1.3 expire, which
    /// has made uploads arrive empty.
    pub fn is_too_old(&self) -> bool {
        let limit = longest(self.server.config.session_time, self.is_tls13());
        limit.is_some_and(|limit| self.begun.elapsed() > limit)
    }

    /// Whether an idle conversation can go on. Whatever arrived unasked, a 421 or the end, is the end of it.
    pub fn is_alive(&mut self) -> bool {
        !self.in_doubt
            && self.parser.is_empty()
            && !self.is_used_up()
            && !self.is_too_old()
            && self.stream.is_quiet()
    }

    /// Makes sure that nothing arrived unasked: a second reply to an earlier command would be taken for the answer to the next.
    ///
    /// # Errors
    /// What ends the conversation, which may just have been said (421).
    pub fn check_step(&mut self) -> Result<()> {
        self.check()?;
        if self.parser.is_empty() && self.stream.is_quiet() {
            return Ok(());
        }
        let unasked = self.reply()?;
        self.in_doubt = true;
        Err(Error::new(
            Kind::Protocol,
            format!("the server sent a reply that nobody asked for: {}", unasked.text()),
        ))
    }

    /// Whether commands have to be sent one at a time.
    pub fn is_one_by_one(&self) -> bool {
        self.server.learned().one_by_one
    }

    /// Sends one command and reads its reply, whatever it is.
    ///
    /// # Errors
    /// Only what ends the conversation: I/O, protocol, 421.
    pub fn ask(&mut self, command: &Command) -> Result<Reply> {
        self.check_step()?;
        let begun = Instant::now();
        self.send(std::slice::from_ref(command))?;
        let reply = self.answer_to(command)?;
        self.learn_distance(begun);
        Ok(reply)
    }

    /// Sends commands in one packet and reads as many replies.
    ///
    /// # Errors
    /// As [`Control::ask`].
    pub fn burst(&mut self, commands: &[Command]) -> Result<Vec<Reply>> {
        let mut replies = Vec::with_capacity(commands.len());
        self.burst_into(commands, &mut replies).map(|()| replies)
    }

    /// As [`Control::burst`]; the replies that came before a failure are kept.
    ///
    /// # Errors
    /// As [`Control::ask`].
    pub fn burst_into(&mut self, commands: &[Command], replies: &mut Vec<Reply>) -> Result<()> {
        self.check_step()?;
        if self.is_one_by_one() {
            for command in commands {
                replies.push(self.ask(command)?);
            }
            return Ok(());
        }
        let begun = Instant::now();
        self.send(commands)?;
        for (number, command) in commands.iter().enumerate() {
            self.behind = commands.len() - number - 1;
            let reply = self.answer_to(command);
            self.behind = 0;
            if commands.len() > 1 {
                self.learn_from(&reply);
            }
            replies.push(reply?);
            if number == 0 {
                self.learn_distance(begun);
            }
        }
        Ok(())
    }

    /// Behind a proxy only replies tell how far the server is: the proxy itself may be next door. The fastest one counts.
    fn learn_distance(&self, asked: Instant) {
        if self.server.proxy.is_some() {
            self.server.learned().takes_at_most(asked.elapsed());
        }
    }

    /// A server that loses commands when several arrive at once gets one at a time from the next session on.
    pub fn learn_from(&self, reply: &Result<Reply>) {
        if let Err(error) = reply
            && matches!(error.kind(), Kind::Timeout | Kind::Protocol)
        {
            self.server.learned().one_by_one = true;
        }
    }

    /// Sends commands in one packet, without reading.
    ///
    /// # Errors
    /// What ends the conversation.
    pub fn send(&mut self, commands: &[Command]) -> Result<()> {
        self.check()?;
        for command in commands {
            self.trace(Speaker::Client, |server| server.masked(command.shown()));
        }
        self.send_untold(commands)
    }

    /// As [`Control::send`], for commands that whoever sends them shows himself.
    ///
    /// # Errors
    /// What ends the conversation.
    pub fn send_untold(&mut self, commands: &[Command]) -> Result<()> {
        self.check()?;
        if commands.is_empty() {
            return Ok(());
        }
        self.offer = None;
        commands.iter().for_each(|command| self.has_sent_verb(command));
        #[cfg(feature = "suppaftp")]
        if let Some(suppa) = &mut self.lent {
            suppa.send(commands);
            return Ok(());
        }
        let packet: Vec<u8> = commands.iter().flat_map(Command::line).copied().collect();
        let sent = self.stream.write_all(&packet).and_then(|()| self.stream.flush());
        sent.map_err(|error| self.lost(error))
    }

    /// Reads the next reply.
    ///
    /// # Errors
    /// What ends the conversation: I/O, protocol, 421.
    pub fn reply(&mut self) -> Result<Reply> {
        let reply = self.reply_untold()?;
        self.trace(Speaker::Server, |_| reply.text());
        if reply.is_farewell() {
            return Err(refusal(&reply));
        }
        Ok(reply)
    }

    /// Reads the reply to a command. One that can only belong to another is out of step, and nothing that follows counts.
    ///
    /// # Errors
    /// As [`Control::reply`].
    pub fn answer_to(&mut self, command: &Command) -> Result<Reply> {
        let reply = self.reply()?;
        if reply.answers(command) {
            return Ok(reply);
        }
        self.doubt();
        let (verb, text) = (String::from_utf8_lossy(command.verb()).into_owned(), reply.text());
        Err(Error::new(Kind::Protocol, format!("{text:?} is no answer to {verb}"))
            .retrying(Retry::NewSession))
    }

    /// The replies to commands that were sent in one packet, with which more may have been sent.
    ///
    /// # Errors
    /// As [`Control::answer_to`].
    pub fn answers_to(&mut self, commands: &[Command]) -> Result<Vec<Reply>> {
        let mut replies = Vec::with_capacity(commands.len());
        for command in commands {
            let reply = self.answer_to(command);
            self.learn_from(&reply);
            replies.push(reply?);
        }
        Ok(replies)
    }

    /// As [`Control::reply`], for who shows it himself, and reads a 421 as well.
    ///
    /// # Errors
    /// What ends the conversation: I/O, protocol.
    pub fn reply_untold(&mut self) -> Result<Reply> {
        self.reply_within(self.server.config.timeout * SLOWEST)
    }

    /// As [`Control::reply_untold`]; a reply that has not ended by then is as good as none.
    fn reply_within(&mut self, limit: Duration) -> Result<Reply> {
        self.check()?;
        #[cfg(feature = "suppaftp")]
        if let Some(suppa) = &mut self.lent {
            return match suppa.reply() {
                Ok(reply) => {
                    let reply = self.server.without_secrets(reply);
                    self.remember(&reply);
                    Ok(reply)
                }
                Err(error) => {
                    self.in_doubt = true;
                    Err(suppa::in_words(error, &self.server))
                }
            };
        }
        let begun = Instant::now();
        loop {
            match self.parser.take() {
                Ok(Some(reply)) => {
                    let reply = self.server.without_secrets(reply);
                    self.remember(&reply);
                    return Ok(reply);
                }
                // A server that sends a byte now and then is as good as silent.
                Ok(None) if begun.elapsed() > limit => {
                    return Err(self.lost(io::ErrorKind::TimedOut.into()));
                }
                Ok(None) if self.parser.may_have_ended(self.behind) => self.fill_or_end()?,
                Ok(None) => self.fill()?,
                Err(error) => {
                    self.in_doubt = true;
                    return Err(Error::new(error.kind(), self.server.masked(error.detail())));
                }
            }
        }
    }

    /// Does something with another limit for silence.
    ///
    /// # Errors
    /// What `act` returns, or what the system says to the new limit.
    pub fn with_patience<T>(
        &mut self,
        limit: Duration,
        act: impl FnOnce(&mut Self) -> Result<T>,
    ) -> Result<T> {
        self.stream.socket().set_read_timeout(Some(limit))?;
        let outcome = act(self);
        self.stream.socket().set_read_timeout(Some(self.server.config.timeout))?;
        outcome
    }

    /// Says QUIT and waits a moment for the answer.
    pub fn quit(mut self) {
        if self.send(&[Command::bare("QUIT")]).is_ok() {
            self.part();
        }
    }

    /// Sends a last command and QUIT in one packet. The reply to the command.
    ///
    /// # Errors
    /// As [`Control::ask`].
    pub fn quit_after(mut self, command: &Command) -> Result<Reply> {
        if self.is_one_by_one() {
            let reply = self.ask(command)?;
            self.quit();
            return Ok(reply);
        }
        self.check_step()?;
        self.send(&[command.clone(), Command::bare("QUIT")])?;
        let reply = self.answer_to(command)?;
        self.part();
        Ok(reply)
    }

    /// Waits a moment for the answer to QUIT.
    fn part(mut self) {
        let _ = self.stream.socket().set_read_timeout(Some(GOODBYE));
        if let Ok(reply) = self.reply_within(GOODBYE) {
            self.trace(Speaker::Server, |_| reply.text());
        }
        let _ = self.stream.finish_sending();
    }

    fn fill(&mut self) -> Result<()> {
        self.read_some().map_err(|error| self.lost(error))
    }

    /// Waits for more of a reply that looks as if it had ended with a wrong code, but not for long.
    fn fill_or_end(&mut self) -> Result<()> {
        let patience = ODD_END.min(self.server.config.timeout);
        self.stream.socket().set_read_timeout(Some(patience))?;
        let outcome = self.read_some();
        self.stream.socket().set_read_timeout(Some(self.server.config.timeout))?;
        match outcome {
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                self.parser.end_here(self.behind);
                Ok(())
            }
            outcome => outcome.map_err(|error| self.lost(error)),
        }
    }

    fn read_some(&mut self) -> io::Result<()> {
        let mut buffer = [0; 8192];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => {
                    self.parser.push(&buffer[..count]);
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn lost(&mut self, error: io::Error) -> Error {
        self.in_doubt = true;
        lost(error, &self.server)
    }

    fn remember(&mut self, reply: &Reply) {
        self.in_doubt |= reply.is_farewell();
        match reply.code() {
            100..200 => self.progress = Progress::Agreed,
            220 if self.banner.is_none() => self.banner = Some(reply.text()),
            230 | 232 if self.login.is_none() => self.login = Some(reply.text()),
            _ => {}
        }
    }

    /// Tells the listener, if there is one, what was said.
    fn trace(&self, speaker: Speaker, text: impl FnOnce(&Server) -> String) {
        if let Some(trace) = &self.server.config.trace {
            trace.tell(speaker, || text(&self.server));
        }
    }
}

/// How long a conversation may last.
fn longest(configured: Option<Duration>, is_tls13: bool) -> Option<Duration> {
    configured.or(is_tls13.then_some(TICKETS_LAST))
}

/// Whether a command destroys what has its name.
fn writes(verb: &Command) -> bool {
    matches!(verb.line().get(..5), Some(b"STOR " | b"APPE "))
}

/// A connection that broke, in words: which server, and for how long it was silent.
pub fn lost(error: io::Error, server: &Server) -> Error {
    if handshake::is_about_our_certificate(&error) {
        return handshake::explain(server, &error);
    }
    let is_asked_anew = handshake::is_about_renegotiation(&error);
    let (address, seconds) = (server.address(), server.config.timeout.as_secs_f32());
    let ours = match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
            Error::new(Kind::Timeout, format!("no answer from {address} for {seconds} seconds"))
        }
        io::ErrorKind::UnexpectedEof => {
            Error::new(Kind::Disconnected, format!("{address} closed the connection"))
        }
        _ => {
            let cause = Error::from(error);
            let detail = format!("the connection to {address} broke: {}", cause.detail());
            Error::new(Kind::Disconnected, detail)
        }
    };
    let ours = ours.retrying(Retry::NewSession);
    if is_asked_anew { ours.advise(handshake::RENEGOTIATES) } else { ours }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conversations_of_tls_13_end_before_their_tickets_do() {
        let minute = Duration::from_secs(60);
        assert_eq!(longest(None, true), Some(10 * minute));
        assert_eq!(longest(Some(minute), true), Some(minute));
        assert_eq!(longest(Some(30 * minute), true), Some(30 * minute), "the user knows better");
        assert_eq!((longest(None, false), longest(Some(minute), false)), (None, Some(minute)));
    }
}
