//! Requests and replies on one channel. Many requests may be under way; each reply is matched by its number.

use super::by_hand::Printed;
use super::errors::nonsense;
use super::link::Link;
use super::runtime::Patience;
use crate::error::{Error, Kind, Result};
use crate::quoted::Quoted;
use crate::target::pace::Pace;
use crate::wire::sftp::reply::{Extensions, parse_limits, parse_version};
use crate::wire::sftp::{Reply, Request, request};
use russh::client::Msg;
use russh::{ChannelMsg, ChannelReadHalf, ChannelWriteHalf};
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::time::Instant;

/// Requests that may be under way. What they bring must fit into the window of the channel.
pub const IN_FLIGHT: usize = 64;
/// Bytes of a file that may be under way: enough for a long line, and no more than the window of the channel.
const AHEAD: u32 = 8 * 1024 * 1024;
/// Bytes of a file in one request, unless the server allows more.
const CHUNK: u32 = 32 * 1024;
/// Never more than this, whatever the server allows.
const MAX_CHUNK: u64 = 255 * 1024;
/// The longest packet that is believed. A folder with long names may come in one.
const MAX_PACKET: usize = 4 * 1024 * 1024;
/// Bytes of answers that may wait to be taken: many small files on their way, or the pieces of a large one.
const MAX_ARRIVED: usize = 64 * 1024 * 1024;
/// Bytes that are shown of what is said instead of an answer.
const MAX_TOLD: usize = 200;
/// Requests are gathered up to this many bytes before they are sent.
const GATHERED: usize = 256 * 1024;
/// Bytes that are handed to the connection at a time: each time may take as long as silence. A server that makes room for more
/// has taken about as many.
const BLOCK: usize = 32 * 1024;

/// How long a goodbye may take.
const PARTING: Duration = Duration::from_secs(2);

/// How many pieces of this size may be under way.
pub fn pieces_ahead(chunk: u32) -> usize {
    (AHEAD / chunk.max(1)).clamp(1, 64) as usize
}

/// The number of a request that is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Asked(u32);

/// A conversation with an SFTP server.
pub struct Conversation {
    runtime: Arc<Runtime>,
    link: Arc<Link>,
    reader: ChannelReadHalf,
    writer: Writer,
    patience: Patience,
    timeout: Duration,
    /// What has arrived of the next packet.
    incoming: Vec<u8>,
    /// Bytes of `incoming` that are taken already.
    taken: usize,
    outgoing: Vec<u8>,
    /// Bytes that were sent and not answered, and of which the server has not said that it has taken them; no more than can be
    /// under way.
    untaken: usize,
    next: u32,
    /// Requests that have no answer yet, and whether anybody wants it.
    under_way: HashMap<u32, bool>,
    /// Answers that nobody has taken yet, with their length, and the sum of these.
    arrived: HashMap<u32, (Reply, usize)>,
    arrived_bytes: usize,
    /// What the server has complained about beside its answers, as far as it is worth telling.
    complaint: Vec<u8>,
    /// What has ended the conversation.
    end: Option<Error>,
    extensions: Extensions,
    /// Bytes of one READ and of one WRITE.
    pub read_chunk: u32,
    pub write_chunk: u32,
}

/// The half of a channel that sends. When it goes, the channel is closed: else the server would keep the session for as long
/// as the connection stands.
struct Writer {
    runtime: Arc<Runtime>,
    half: Option<ChannelWriteHalf<Msg>>,
}

impl Writer {
    async fn send(&self, packets: Vec<u8>) -> Result<(), ()> {
        match &self.half {
            Some(half) => half.data_bytes(packets).await.map_err(drop),
            None => Err(()),
        }
    }

    async fn close(mut self) {
        if let Some(half) = self.half.take() {
            // What is gone already need not be closed.
            let _ = half.close().await;
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if let Some(half) = self.half.take() {
            // In the background: whoever drops it has waited long enough.
            self.runtime.spawn(async move { drop(tokio::time::timeout(PARTING, half.close()).await) });
        }
    }
}

impl Conversation {
    /// Opens a channel, starts the SFTP server behind it and agrees on the version.
    ///
    /// # Errors
    /// [`Kind::Ssh`] if there is no SFTP server behind it.
    pub fn open(
        runtime: &Arc<Runtime>,
        link: &Arc<Link>,
        patience: Patience,
        timeout: Duration,
    ) -> Result<Self> {
        let mut patience = patience;
        let (mut reader, writer) = runtime.block_on(patience.within(timeout, async {
            let channel = link.channel().await?;
            channel.request_subsystem(true, "sftp").await.map_err(|_| ended(link))?;
            Ok::<_, Error>(channel.split())
        }))??;
        runtime.block_on(patience.within(timeout, started(&mut reader, link)))??;
        let mut conversation = Conversation {
            runtime: Arc::clone(runtime),
            link: Arc::clone(link),
            reader,
            writer: Writer { runtime: Arc::clone(runtime), half: Some(writer) },
            patience,
            timeout,
            incoming: Vec::new(),
            taken: 0,
            outgoing: request::init(),
            untaken: 0,
            next: 0,
            under_way: HashMap::new(),
            arrived: HashMap::new(),
            arrived_bytes: 0,
            complaint: Vec::new(),
            end: None,
            extensions: Extensions::default(),
            read_chunk: CHUNK,
            write_chunk: CHUNK,
        };
        conversation.introduce()?;
        Ok(conversation)
    }

    fn introduce(&mut self) -> Result<()> {
        self.flush()?;
        let packet = self.packet()?;
        let packet = self.incoming.get(packet).unwrap_or_default();
        let (_, extensions) = parse_version(packet).ok_or_else(|| no_sftp(packet))?;
        self.extensions = extensions;
        if extensions.limits
            && let Reply::Extended(body) = self.ask(&Request::Limits)?
            && let Some((read, write)) = parse_limits(&body)
        {
            let chunk = |limit: u64| u32::try_from(limit.clamp(1, MAX_CHUNK)).unwrap_or(CHUNK);
            // 0 means that the server does not say.
            self.read_chunk = if read == 0 { CHUNK } else { chunk(read) };
            self.write_chunk = if write == 0 { CHUNK } else { chunk(write) };
        }
        Ok(())
    }

    /// What the server can do beyond the draft.
    pub fn extensions(&self) -> Extensions {
        self.extensions
    }

    /// Sends a request and waits for its answer.
    ///
    /// # Errors
    /// What ends the conversation. A refusal is an answer.
    pub fn ask(&mut self, request: &Request<'_>) -> Result<Reply> {
        let asked = self.send(request)?;
        self.answer(asked)
    }

    /// Sends requests together and waits for the answers.
    ///
    /// # Errors
    /// What ends the conversation.
    pub fn ask_all<'a>(&mut self, requests: impl IntoIterator<Item = Request<'a>>) -> Result<Vec<Reply>> {
        let mut replies = Vec::new();
        let mut asked = std::collections::VecDeque::new();
        for request in requests {
            if asked.len() == IN_FLIGHT
                && let Some(first) = asked.pop_front()
            {
                replies.push(self.answer(first)?);
            }
            asked.push_back(self.send(&request)?);
        }
        for asked in asked {
            replies.push(self.answer(asked)?);
        }
        Ok(replies)
    }

    /// Puts a request under way. It is sent at the latest when an answer is waited for.
    ///
    /// # Errors
    /// What ends the conversation.
    pub fn send(&mut self, request: &Request<'_>) -> Result<Asked> {
        self.check()?;
        let id = self.next;
        self.next = self.next.wrapping_add(1);
        request.write(id, &mut self.outgoing);
        self.under_way.insert(id, true);
        if self.outgoing.len() >= GATHERED {
            self.flush()?;
        }
        Ok(Asked(id))
    }

    /// Declares that nobody wants the answer to a request.
    pub fn forget(&mut self, asked: Asked) {
        if self.take_arrived(asked).is_none()
            && let Some(is_wanted) = self.under_way.get_mut(&asked.0)
        {
            *is_wanted = false;
        }
    }

    fn take_arrived(&mut self, asked: Asked) -> Option<Reply> {
        let (reply, length) = self.arrived.remove(&asked.0)?;
        self.arrived_bytes -= length;
        Some(reply)
    }

    /// Waits for the answer to a request.
    ///
    /// # Errors
    /// What ends the conversation.
    pub fn answer(&mut self, asked: Asked) -> Result<Reply> {
        self.await_answer(asked)?;
        self.take_arrived(asked).ok_or_else(nonsense)
    }

    /// Waits until the answer to a request is here.
    ///
    /// # Errors
    /// What ends the conversation.
    pub fn await_answer(&mut self, asked: Asked) -> Result<()> {
        while !self.has_answer(asked) {
            self.check()?;
            // What is here already is taken first: it may lead to requests that can travel with those that wait.
            let packet = match self.whole_packet()? {
                Some(packet) => packet,
                None => {
                    self.flush()?;
                    self.packet()?
                }
            };
            self.take(packet)?;
        }
        Ok(())
    }

    /// Whether the answer to a request is here already.
    pub fn has_answer(&self, asked: Asked) -> bool {
        self.arrived.contains_key(&asked.0)
    }

    /// Takes in what has arrived, without waiting for more.
    ///
    /// # Errors
    /// What ends the conversation.
    pub fn look(&mut self) -> Result<()> {
        self.check()?;
        self.flush()?;
        loop {
            while let Some(packet) = self.whole_packet()? {
                self.take(packet)?;
            }
            let Conversation { runtime, reader, .. } = self;
            let waiting = runtime.block_on(async {
                tokio::select! {
                    biased;
                    message = reader.wait() => Some(message),
                    () = std::future::ready(()) => None,
                }
            });
            match waiting {
                Some(Some(message)) => {
                    self.message(message)?;
                }
                Some(None) => {
                    let error = ended(&self.link);
                    return Err(self.ending(error));
                }
                None => return Ok(()),
            }
        }
    }

    /// Whether it can go on, as far as can be told without asking.
    pub fn is_alive(&self) -> bool {
        self.end.is_none() && self.link.is_open() && !self.patience.is_over()
    }

    /// Runs a command on a channel of its own, and waits for its end.
    ///
    /// # Errors
    /// If the server does not run commands, the connection ends, or more than `most` bytes are printed.
    pub fn execute(&mut self, command: &str, most: usize) -> Result<Printed> {
        let Conversation { runtime, link, patience, .. } = self;
        // A command may be silent for as long as it works; the connection is watched by other means.
        let for_ever = Duration::from_secs(365 * 24 * 3600);
        runtime.block_on(patience.within(for_ever, async {
            let mut channel = link.channel().await?;
            channel.exec(true, command).await.map_err(|_| ended(link))?;
            let mut printed = Printed::default();
            while let Some(message) = channel.wait().await {
                if matches!(message, ChannelMsg::Failure) {
                    return Err(Error::new(Kind::Unsupported, "the server does not run commands"));
                }
                printed.take(message);
                if printed.len() > most {
                    return Err(Error::new(Kind::Full, format!("it prints more than {most} bytes")));
                }
            }
            Ok(printed)
        }))?
    }

    /// Ends the channel, and the connection if it was the last one on it.
    pub fn close(self) {
        let Conversation { runtime, link, writer, reader, .. } = self;
        let last = Arc::into_inner(link);
        let parting = async {
            writer.close().await;
            drop(reader);
            if let Some(link) = last {
                link.close().await;
            }
        };
        let _ = runtime.block_on(async { tokio::time::timeout(PARTING, parting).await });
    }

    /// # Errors
    /// What has ended the conversation before.
    pub fn check(&self) -> Result<()> {
        match &self.end {
            Some(error) => Err(error.duplicate()),
            None => Ok(()),
        }
    }

    /// Sends what was gathered.
    ///
    /// # Errors
    /// What ends the conversation.
    pub fn flush(&mut self) -> Result<()> {
        if self.outgoing.is_empty() {
            return Ok(());
        }
        let packets = std::mem::take(&mut self.outgoing);
        self.untaken = (self.untaken + packets.len()).min(AHEAD as usize);
        let Conversation { runtime, writer, patience, timeout, link, .. } = self;
        let sent = runtime.block_on(async {
            for block in packets.chunks(BLOCK) {
                let sending = async {
                    tokio::select! {
                        biased;
                        sent = writer.send(block.to_vec()) => sent,
                        // Else a full window would be waited for that nobody opens any more.
                        () = link.ended() => Err(()),
                    }
                };
                patience.within(*timeout, sending).await?.map_err(|()| ended(link))?;
            }
            Ok(())
        });
        sent.map_err(|error| self.ending(error))
    }

    fn take(&mut self, packet: Range<usize>) -> Result<()> {
        let length = packet.len();
        let parsed = self.incoming.get(packet).and_then(Reply::parse);
        let Some((id, reply)) = parsed else { return Err(self.ending(nonsense())) };
        let why = match self.under_way.remove(&id) {
            None => "the server answers what nobody has asked",
            Some(true) if self.arrived_bytes + length > MAX_ARRIVED => {
                "the answers of the server are too long"
            }
            Some(is_wanted) => {
                if is_wanted {
                    self.arrived_bytes += length;
                    self.arrived.insert(id, (reply, length));
                }
                if self.under_way.is_empty() {
                    self.untaken = 0;
                }
                return Ok(());
            }
        };
        Err(self.ending(Error::new(Kind::Protocol, why)))
    }

    /// Waits for the next packet; where it is in `incoming`, without its length.
    ///
    /// As long as the server sends some of it, or takes some of what was sent, a slow line may take its time. Neither bytes that
    /// drip nor messages that are nothing of the kind prolong the wait.
    fn packet(&mut self) -> Result<Range<usize>> {
        let mut pace = Pace::new(self.timeout);
        let mut since = Instant::now();
        loop {
            if let Some(packet) = self.whole_packet()? {
                return Ok(packet);
            }
            let Conversation { runtime, reader, patience, timeout, .. } = self;
            let waited = runtime.block_on(patience.until(since + *timeout, *timeout, reader.wait()));
            let count = match waited {
                Ok(Some(message)) => self.message(message)?,
                Ok(None) => {
                    let error = ended(&self.link);
                    return Err(self.ending(error));
                }
                Err(error) => return Err(self.ending(error)),
            };
            if count > 0 {
                if pace.took(since.elapsed(), count).is_err() {
                    let error = pace.error("an answer");
                    return Err(self.ending(error));
                }
                since = Instant::now();
            }
        }
    }

    /// Takes a message in; how many bytes have come with it, or gone before it.
    fn message(&mut self, message: ChannelMsg) -> Result<usize> {
        match message {
            ChannelMsg::Data { data } => {
                if self.taken > 0 {
                    self.incoming.drain(..self.taken);
                    self.taken = 0;
                }
                self.incoming.extend_from_slice(&data);
                Ok(data.len())
            }
            ChannelMsg::WindowAdjusted { .. } => {
                let taken = self.untaken.min(BLOCK);
                self.untaken -= taken;
                Ok(taken)
            }
            ChannelMsg::ExtendedData { data, .. } => {
                let room = MAX_TOLD.saturating_sub(self.complaint.len());
                self.complaint.extend(data.iter().take(room));
                Ok(0)
            }
            ChannelMsg::Close | ChannelMsg::Eof => {
                let said = told(&self.complaint).map_or_else(String::new, |said| format!(": {said}"));
                let error =
                    Error::new(Kind::Disconnected, format!("the SFTP server has ended the session{said}"));
                Err(self.ending(error))
            }
            _ => Ok(0),
        }
    }

    /// Takes a packet off what has arrived, if there is a whole one.
    fn whole_packet(&mut self) -> Result<Option<Range<usize>>> {
        let waiting = self.incoming.get(self.taken..).unwrap_or_default();
        let Some((length, rest)) = waiting.split_first_chunk::<4>() else { return Ok(None) };
        let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
        if length > MAX_PACKET {
            let error = no_sftp(waiting);
            return Err(self.ending(error));
        }
        if rest.len() < length {
            return Ok(None);
        }
        let start = self.taken + 4;
        self.taken = start + length;
        Ok(Some(start..self.taken))
    }

    fn ending(&mut self, error: Error) -> Error {
        let error = error.retrying(crate::error::Retry::NewSession);
        self.end.get_or_insert_with(|| error.duplicate());
        error
    }
}

/// Waits until the server has said whether it starts an SFTP server.
async fn started(reader: &mut ChannelReadHalf, link: &Link) -> Result<()> {
    loop {
        match reader.wait().await {
            Some(ChannelMsg::Success) => return Ok(()),
            Some(ChannelMsg::Failure | ChannelMsg::Close | ChannelMsg::Eof) => {
                return Err(no_subsystem("the server offers no SFTP"));
            }
            // The channel went with the connection, which says nothing about SFTP.
            None => return Err(ended(link)),
            Some(_) => {}
        }
    }
}

/// The error for something else than the packet of an SFTP server.
fn no_sftp(said: &[u8]) -> Error {
    let said = told(said).map_or_else(String::new, |said| format!(": {said}"));
    Error::new(Kind::Ssh, format!("what answers is no SFTP server{said}")).advise(
        "if something prints this at login (~/.bashrc, for one), let it do so only where there is a terminal",
    )
}

/// The beginning of what was said, on one line and with escapes; `None` for nothing.
fn told(said: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(said.get(..MAX_TOLD).unwrap_or(said));
    let text = text.trim();
    (!text.is_empty()).then(|| Quoted(text).to_string())
}

fn no_subsystem(why: &str) -> Error {
    Error::new(Kind::Ssh, why).advise("its administrator has to switch on the subsystem \"sftp\"")
}

/// Why a connection is not there any more.
fn ended(link: &Link) -> Error {
    Error::new(Kind::Disconnected, link.end().unwrap_or_else(|| "the connection was closed".to_owned()))
}
