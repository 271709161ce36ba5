//! Data connections: one for each transfer.
//!
//! The passive request and the command of the transfer leave in one packet, once it is known which passive request the
//! server understands; the data connection is opened when the reply to the first arrives. The next passive request is never
//! sent before the final reply of the transfer: several servers break if it is.

use super::Server;
use super::active::{check_is_alone, start_active};
use super::config::Speaker;
use super::control::{Control, Progress, lost};
use super::dial;
use super::early_end;
use super::errors::refusal;
use super::learned::{Mode, Passive};
use super::proxy::Host;
use super::stream::Stream;
use crate::error::{Error, Kind, Result, Retry};
use crate::wire::ftp::{Command, Reply};
use std::io;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long to wait for the reply to a transfer that cannot be.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// So many preliminary replies may come before the final one.
const MOST_PRELIMINARY: usize = 5;

/// What the server made of the commands of a transfer.
pub struct Started {
    /// The replies to the commands that were sent in front.
    pub before: Vec<Reply>,
    /// The open data connection, or the refusing reply.
    pub outcome: std::result::Result<Channel, Reply>,
    /// What was refused, if something was.
    pub about: About,
}

/// What a refusing reply is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum About {
    /// The data connection.
    Connection,
    /// Where the transfer begins.
    Offset,
    /// What is to be transferred, or anything else.
    Transfer,
}

impl About {
    /// What the reply to the command of a transfer is about, where that comes before the connection does.
    pub fn by_code(reply: &Reply) -> Self {
        if reply.code() == 425 { About::Connection } else { About::Transfer }
    }
}

impl Started {
    /// The reply, if data connections are refused in the mode that was tried.
    fn refuses_mode(&self) -> Option<&Reply> {
        let reply = self.outcome.as_ref().err().filter(|_| self.about == About::Connection)?;
        // 550: vsftpd, where passive or active mode is switched off.
        matches!(reply.code(), 425 | 500 | 501 | 502 | 504 | 522 | 550).then_some(reply)
    }
}

/// Why a transfer could not be started.
pub(super) enum Failure {
    /// The data connection could not be made.
    NoConnection(Error),
    /// Anything else.
    Other(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::Other(error)
    }
}

impl Failure {
    fn into_error(self) -> Error {
        match self {
            Failure::NoConnection(error) | Failure::Other(error) => error,
        }
    }
}

/// What became of an attempt in one mode.
pub(super) type Attempt<T> = std::result::Result<T, Failure>;

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
    /// As before, and the command is sent only once the connection is there: it destroys what has the name, also where no
    /// connection comes about.
    WhenConnected,
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
    control.begins_transfer();
    if control.is_used_up() {
        let error = Error::new(Kind::Disconnected, "the TLS session of the conversation is used up");
        return Err(error.retrying(Retry::NewSession));
    }
    control.check_step()?;
    control.begins_data_tls();
    let mode = server.mode();
    let outcome = start_in(mode, server, control, before, verb, how);
    if server.learned().mode_works {
        return outcome.map_err(Failure::into_error);
    }
    let (first, why) = match outcome {
        Ok(started) => match started.refuses_mode().map(Reply::text) {
            Some(why) => (Ok(started), why),
            None => return Ok(started),
        },
        Err(Failure::NoConnection(error)) => {
            let why = error.detail().to_owned();
            (Err(error), why)
        }
        Err(Failure::Other(error)) => {
            if error.kind() == Kind::Timeout {
                give_up(server, mode);
            }
            return Err(error);
        }
    };
    match other_mode(server, &why) {
        Some(other) => otherwise(other, server, control, before, verb, how, first),
        None => {
            give_up(server, mode);
            first
        }
    }
}

/// Neither mode works: then it stays as the user wants it.
fn give_up(server: &Server, tried: Mode) {
    let mut learned = server.learned();
    learned.mode.take_if(|mode| *mode == tried);
}

/// As [`start`], for a transfer that begins at a byte of its file. A refusal of that is the outcome.
///
/// # Errors
/// As [`start`].
pub fn start_at(
    offset: u64,
    server: &Arc<Server>,
    control: &mut Control,
    before: &[Command],
    verb: &Command,
) -> Result<Started> {
    control.offset = offset;
    let started = start(server, control, before, verb, Begin::WhenAgreed);
    control.offset = 0;
    if let Ok(started) = &started
        && offset > 0
    {
        match started.outcome {
            Ok(_) => server.learned().doubts_rest = false,
            // The offset may still stand, and the next transfer would begin there.
            Err(_) => control.doubt(),
        }
    }
    started
}

fn start_in(
    mode: Mode,
    server: &Arc<Server>,
    control: &mut Control,
    before: &[Command],
    verb: &Command,
    how: Begin,
) -> Attempt<Started> {
    control.in_mode(mode);
    #[cfg(feature = "suppaftp")]
    if control.is_lent() {
        return start_lent(mode, server, control, before, verb);
    }
    if mode == Mode::Active {
        return start_active(server, control, before, verb, how);
    }
    let known = server.learned().passive;
    match known {
        // A file that is written from the middle must not be lost because a server takes it for the beginning.
        Some(passive)
            if how != Begin::WhenConnected
                && !control.is_one_by_one()
                && !control.has_offer()
                && (control.offset == 0 || verb.words().0 == "RETR") =>
        {
            start_in_one_packet(server, control, before, passive, verb, how)
        }
        _ => start_step_by_step(server, control, before, verb, how),
    }
}

/// As the other engine does it: one command at a time, and the data connection before the command.
#[cfg(feature = "suppaftp")]
fn start_lent(
    mode: Mode,
    server: &Arc<Server>,
    control: &mut Control,
    before: &[Command],
    verb: &Command,
) -> Attempt<Started> {
    use super::suppa::{self, NoTransfer};
    let replies = control.burst(before)?;
    let passive = if mode == Mode::Passive { Some(choose_passive(server, control)?) } else { None };
    let offset = control.offset;
    let begun = match control.lent() {
        Some(suppa) => suppa.transfer(server, verb, passive, offset),
        None => return Err(Error::cancelled().into()),
    };
    // The connection comes before the command.
    if mode == Mode::Active || control.lent().is_some_and(|suppa| suppa.has_connected()) {
        control.has_sent_verb(verb);
    }
    let (outcome, about) = match begun {
        Ok(stream) => {
            tell_tls(server, &stream);
            control.has_come_to(Progress::Agreed);
            (Ok(Channel { stream, early: None }), About::Transfer)
        }
        Err(NoTransfer::Refused(reply)) => {
            control.judge_resumption(&reply);
            let about = About::by_code(&reply);
            (Err(server.without_secrets(reply)), about)
        }
        Err(NoTransfer::NoConnection(error)) => return Err(Failure::NoConnection(error)),
        Err(NoTransfer::Lost(error)) => {
            control.doubt();
            return Err(suppa::in_words(error, server).into());
        }
        Err(NoTransfer::Unusable(error)) => {
            control.doubt();
            return Err(error.into());
        }
    };
    Ok(Started { before: replies, outcome, about })
}

/// Finds out once whether the server knows EPSV as the other engine reads it; that does not fall back by itself.
#[cfg(feature = "suppaftp")]
fn choose_passive(server: &Arc<Server>, control: &mut Control) -> Result<Passive> {
    let known = server.learned().passive;
    if let Some(passive) = known {
        return Ok(passive);
    }
    let passive = if server.config.trust_pasv_host {
        Passive::Classic
    } else if control.is_ipv6() {
        Passive::Extended
    } else {
        let reply = control.ask(&Passive::Extended.command());
        if matches!(&reply, Err(error) if error.kind() == Kind::Timeout) {
            // The next session asks by PASV.
            server.learned().passive = Some(Passive::Classic);
        }
        let reply = reply?;
        let is_plain = reply.code() == 229 && reply.text().contains("(|||");
        if is_plain { Passive::Extended } else { Passive::Classic }
    };
    server.learned().passive = Some(passive);
    Ok(passive)
}

/// Tries the other mode: at once if the conversation is in step, else the next one will. If that fails as well, the first
/// outcome counts.
fn otherwise(
    mode: Mode,
    server: &Arc<Server>,
    control: &mut Control,
    before: &[Command],
    verb: &Command,
    how: Begin,
    first: Result<Started>,
) -> Result<Started> {
    if control.check().is_err() {
        return first;
    }
    match start_in(mode, server, control, before, verb, how) {
        Ok(started) if started.refuses_mode().is_none() => Ok(started),
        Ok(_) | Err(Failure::NoConnection(_)) => {
            server.learned().mode = None;
            first
        }
        Err(Failure::Other(error)) => {
            if error.kind() == Kind::Timeout {
                // What never comes is no better than what was refused.
                server.learned().mode = None;
            }
            Err(error)
        }
    }
}

/// Switches to the other mode, once for each server, and tells so. `None` if that was tried or cannot be.
fn other_mode(server: &Server, why: &str) -> Option<Mode> {
    let is_first = !std::mem::replace(&mut server.learned().mode_was_changed, true);
    if !is_first || server.proxy.is_some() {
        return None;
    }
    let (mode, words) = match server.mode() {
        Mode::Passive => {
            (Mode::Active, "passive mode fails, so the server is asked to connect (--ftp-active)")
        }
        Mode::Active => {
            (Mode::Passive, "active mode fails, so this computer connects (without --ftp-active)")
        }
    };
    server.learned().mode = Some(mode);
    server.tell(
        3,
        format!("Data connections with {}: {words}: {}", server.address(), why.replace('\n', " / ")),
    );
    Some(mode)
}

/// Reads the reply that ends a transfer, after the one that begins it if that was not read yet.
///
/// # Errors
/// What ends the conversation, also if it was not the server alone that connected. The reply itself may be a refusal.
pub fn final_reply(control: &mut Control, early: Option<Reply>) -> Result<Reply> {
    check_is_alone(control)?;
    let reply = match early {
        Some(reply) => reply,
        None => reply_in_the_end(control)?,
    };
    check_is_alone(control)?;
    control.listener = None;
    control.judge_resumption(&reply);
    if reply.is_success() {
        control.mode_works();
    }
    Ok(reply)
}

/// The next reply that is not a preliminary one. Some servers say 125 and then 150.
fn reply_in_the_end(control: &mut Control) -> Result<Reply> {
    for _ in 0..MOST_PRELIMINARY {
        let reply = control.reply()?;
        if !reply.is_preliminary() {
            return Ok(reply);
        }
    }
    control.doubt();
    Err(Error::new(Kind::Protocol, "the server begins a transfer again and again")
        .retrying(Retry::NewSession))
}

/// How long a server may take to confirm a transfer of so many bytes: some look for viruses first, or pass it on to where it is
/// kept. A second for each MiB is added to the usual limit, up to three times of it.
pub fn patience_for(count: u64, timeout: Duration) -> Duration {
    (timeout + Duration::from_secs(count / (1024 * 1024))).min(timeout * 3)
}

/// As [`final_reply`], for a transfer towards us whose data have ended.
///
/// # Errors
/// As [`final_reply`]; what a server refuses because our direction was ended early is worth another attempt.
pub fn confirmation(control: &mut Control, stream: Stream, early: Option<Reply>) -> Result<Reply> {
    let (is_clear, was_early) = (control.tls().is_none(), stream.is_ended_early());
    stream.close_after_reading();
    let begun = Instant::now();
    let reply = final_reply(control, early);
    if is_clear {
        let is_confirmed = reply.as_ref().is_ok_and(Reply::is_success);
        early_end::learn(control.server(), was_early, is_confirmed, begun.elapsed());
    }
    match reply {
        Ok(reply) if was_early && !reply.is_success() => {
            control.doubt();
            Err(refusal(&reply).retrying(Retry::NewSession))
        }
        reply => reply,
    }
}

impl Channel {
    /// An open connection; `early` is a final reply that came instead of the preliminary one.
    pub fn new(stream: Stream, early: Option<Reply>) -> Self {
        Channel { stream, early }
    }

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
) -> Attempt<Started> {
    let mut packet = before.to_vec();
    packet.push(passive.command());
    packet.extend(control.rest_command()?);
    packet.push(verb.clone());
    control.send(&packet)?;
    let replies = control.answers_to(before)?;
    let answer = control.reply();
    control.learn_from(&answer);
    let answer = answer?;
    if answer.passive_port().is_none() {
        return Ok(without_connection(server, control, replies, answer)?);
    }
    if control.offset > 0 {
        let reply = control.reply()?;
        if !reply.is_intermediate() {
            // The transfer begins nevertheless, with what is not wanted.
            control.doubt();
            return Ok(Started { before: replies, outcome: Err(reply), about: About::Offset });
        }
    }
    let connected = connect(server, control, &answer);
    let outcome = begun(server, control, connected, &replies, verb, how)?;
    Ok(Started { before: replies, outcome, about: About::Transfer })
}

/// Sends the command of a transfer, and only then opens the data connection, to a port that was asked for before. So the bytes
/// may follow at once, and the command is a round trip ahead of them nevertheless: pyftpdlib closes a connection on which they
/// come first.
fn start_with_offer(
    server: &Arc<Server>,
    control: &mut Control,
    before: &[Command],
    (passive, answer): (Passive, &Reply),
    verb: &Command,
    how: Begin,
) -> Attempt<Started> {
    control.send(&[before, std::slice::from_ref(verb)].concat())?;
    let connected = connect(server, control, answer);
    let replies = control.answers_to(before)?;
    let has_another_way = connected.is_err() && candidates(server, control).len() > 1;
    if connected.is_ok() {
        server.learned().passive = Some(passive);
    }
    match begun(server, control, connected, &replies, verb, how) {
        Err(Failure::NoConnection(error)) if has_another_way => {
            // Some firewalls open the ports of PASV only. The conversation is out of step, so the next one tries.
            server.learned().passive = Some(Passive::Classic);
            Err(Failure::Other(error))
        }
        outcome => Ok(Started { before: replies, outcome: outcome?, about: About::Transfer }),
    }
}

/// What becomes of a transfer whose command the server has already.
fn begun(
    server: &Arc<Server>,
    control: &mut Control,
    connected: Result<Stream>,
    before: &[Reply],
    verb: &Command,
    how: Begin,
) -> Attempt<std::result::Result<Channel, Reply>> {
    Ok(match connected {
        Ok(stream) if how == Begin::AtOnce => begin_at_once(server, control, stream)?,
        Ok(mut stream) => {
            if control.tls().is_none() {
                early_end::end_if_of_use(server, &mut stream, before, verb);
            }
            begin(server, control, stream)?
        }
        Err(error) => Err(refused_before_connection(control, error).map_err(Failure::NoConnection)?),
    })
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
fn without_connection(
    server: &Server,
    control: &mut Control,
    before: Vec<Reply>,
    answer: Reply,
) -> Result<Started> {
    let patience = PATIENCE.min(server.config.timeout);
    let answered = control.with_patience(patience, |control| {
        if control.offset > 0 {
            control.reply()?;
        }
        control.reply()
    });
    let reply = match answered {
        // ProFTPD, which has no port left, waits for a connection all the same. What it has refused is what counts.
        Err(error) if error.kind() == Kind::Timeout && answer.code() >= 400 => {
            control.doubt();
            return Ok(Started { before, outcome: Err(answer), about: About::Connection });
        }
        answered => answered?,
    };
    // A preliminary one waits for a connection that will never be; the answer to a passive request is out of step.
    if reply.is_preliminary() || matches!(reply.code(), 227 | 229) {
        control.doubt();
    }
    if answer.code() < 400 {
        control.doubt();
        return Err(Error::new(
            Kind::Protocol,
            format!("the reply to the passive request names no port: {}", answer.text()),
        ));
    }
    Ok(Started { before, outcome: Err(answer), about: About::Connection })
}

fn start_step_by_step(
    server: &Arc<Server>,
    control: &mut Control,
    before: &[Command],
    verb: &Command,
    how: Begin,
) -> Attempt<Started> {
    // Through a proxy the bytes may overtake the command nevertheless.
    let may_hurry = match how {
        Begin::WhenAgreed => true,
        Begin::WhenConnected => false,
        Begin::AtOnce => server.proxy.is_none(),
    };
    if may_hurry
        && control.offset == 0
        && (before.is_empty() || !control.is_one_by_one())
        && let Some(&passive) = candidates(server, control).first()
        && let Some(answer) = control.take_offer(passive)
    {
        return start_with_offer(server, control, before, (passive, &answer), verb, how);
    }
    let replies = control.burst(before)?;
    let stream = match ask_for_connection(server, control)? {
        Ok(stream) => stream,
        Err(refused) => {
            return Ok(Started { before: replies, outcome: Err(refused), about: About::Connection });
        }
    };
    if let Some(refused) = control.rest()? {
        return Ok(Started { before: replies, outcome: Err(refused), about: About::Offset });
    }
    control.send(std::slice::from_ref(verb))?;
    let outcome = begin(server, control, stream)?;
    Ok(Started { before: replies, outcome, about: About::Transfer })
}

/// Asks questions, and in the same packet for the data connection of a transfer that may follow at once.
///
/// # Errors
/// As [`Control::ask`].
pub fn ask_ahead(server: &Server, control: &mut Control, questions: &[Command]) -> Result<Vec<Reply>> {
    let is_passive = server.mode() == Mode::Passive;
    if !is_passive || control.is_lent() || control.is_one_by_one() || control.is_used_up() {
        return control.burst(questions);
    }
    let passive = candidates(server, control)[0];
    control.check_step()?;
    control.send(&[questions, &[passive.command()]].concat())?;
    let replies = control.answers_to(questions)?;
    let answer = control.reply();
    learn_from_passive(server, control, passive, &answer);
    let answer = answer?;
    if answer.passive_port().is_some() {
        control.keep_offer(passive, answer);
    }
    Ok(replies)
}

/// The passive requests to try, best first.
fn candidates(server: &Server, control: &Control) -> &'static [Passive] {
    match server.learned().passive {
        Some(Passive::Extended) => &[Passive::Extended],
        Some(Passive::Classic) => &[Passive::Classic],
        // EPSV names no host.
        None if server.config.trust_pasv_host => &[Passive::Classic],
        // PASV cannot name the port of an IPv6 address.
        None if control.is_ipv6() => &[Passive::Extended],
        None => &[Passive::Extended, Passive::Classic],
    }
}

/// A server that hangs on EPSV: the next session asks by PASV.
fn learn_from_passive(server: &Server, control: &Control, passive: Passive, answer: &Result<Reply>) {
    let may_change = candidates(server, control).len() > 1;
    let has_hung = matches!(answer, Err(error) if error.kind() == Kind::Timeout);
    if may_change && has_hung && passive == Passive::Extended {
        server.learned().passive = Some(Passive::Classic);
    }
}

/// Asks by EPSV, then by PASV, and remembers what worked.
fn ask_for_connection(
    server: &Arc<Server>,
    control: &mut Control,
) -> Attempt<std::result::Result<Stream, Reply>> {
    let mut failure = None;
    for &passive in candidates(server, control) {
        let reply = match control.take_offer(passive) {
            Some(answer) => answer,
            None => {
                let answer = control.ask(&passive.command());
                learn_from_passive(server, control, passive, &answer);
                answer?
            }
        };
        if reply.passive_port().is_none() {
            failure.get_or_insert(Ok(reply));
            continue;
        }
        match connect(server, control, &reply) {
            Ok(stream) => {
                server.learned().passive = Some(passive);
                return Ok(Ok(stream));
            }
            Err(error) => failure = Some(Err(error)),
        }
    }
    match failure {
        Some(Ok(reply)) if reply.code() >= 400 => Ok(Err(reply)),
        Some(Err(error)) => Err(Failure::NoConnection(error)),
        Some(Ok(_)) | None => {
            control.doubt();
            Err(Error::new(Kind::Protocol, "the server names no port for the data connection").into())
        }
    }
}

/// Connects to the port that the server names. The host is that of the control connection: servers behind a router name
/// addresses that do not exist outside, and an evil one could make this program talk to others. The user may decide
/// otherwise, for servers that are several computers.
fn connect(server: &Arc<Server>, control: &mut Control, answer: &Reply) -> Result<Stream> {
    let named = answer.passive_host().filter(|_| server.config.trust_pasv_host);
    let host = named.map_or_else(|| control.host().clone(), |ip| Host::Ip(ip.into()));
    let stream = connect_to(server, &host, answer.passive_port().unwrap_or_default())?;
    control.has_come_to(Progress::Connected);
    Ok(stream)
}

/// Connects to a port for a transfer.
///
/// # Errors
/// [`Kind::Busy`] or [`Kind::Timeout`], with [`Retry::NewSession`].
pub fn connect_to(server: &Arc<Server>, host: &Host, port: u16) -> Result<Stream> {
    let connected = dial_for_data(server, host, port)?;
    Stream::new(connected, server.config.timeout, &server.sockets)
        .map_err(|error| Error::new(Kind::Busy, error.detail()).retrying(Retry::NewSession))
}

/// A socket for a transfer, with the usual limits.
///
/// # Errors
/// As [`connect_to`].
pub(super) fn dial_for_data(server: &Arc<Server>, host: &Host, port: u16) -> Result<TcpStream> {
    let interruptions = server.sockets.interruptions();
    dial::to(server, host, port, interruptions).map_err(|error| {
        let kind = match error.kind() {
            Kind::Disconnected => return error,
            Kind::Timeout => Kind::Timeout,
            _ => Kind::Busy,
        };
        let hint = match server.proxy {
            None => "a firewall may be in the way; try --ftp-active",
            Some(_) => "the proxy may connect to some ports only",
        };
        Error::new(kind, format!("no data connection to {host}:{port}: {}", error.detail()))
            .retrying(Retry::NewSession)
            .advise(hint)
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

/// Puts TLS on a data connection, if the conversation has it.
pub(super) fn secured(server: &Server, control: &Control, stream: Stream) -> Result<Stream> {
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
        trace.tell(Speaker::Nobody, || line.clone());
    }
    let was_told = server.learned().data_tls.replace(words).is_some();
    if !was_told {
        server.tell(4, line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_files_may_take_their_time_to_be_confirmed() {
        let (second, minute) = (Duration::from_secs(1), Duration::from_secs(60));
        assert_eq!(patience_for(10_000, minute), minute);
        assert_eq!(patience_for(50 << 20, minute), minute + 50 * second);
        assert_eq!(patience_for(9 << 30, minute), 3 * minute);
    }
}
