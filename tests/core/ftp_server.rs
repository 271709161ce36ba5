//! A small FTP server over memory, with the faults of real ones as switches.
//!
//! It really speaks FTP over loopback, one thread for each conversation, and keeps a log of what arrived in which packet.

use crate::eventually::eventually;
use crate::ftp_faults::{Faults, Mishap};
use ftpsync::model::path::folded;
use ftpsync::target::digest::{Algorithm, Digest};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::version::{TLS12, TLS13};
use rustls::{ServerConfig, ServerConnection, StreamOwned, SupportedProtocolVersion};
use std::collections::{BTreeMap, VecDeque};
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// What this server does differently from a good one.
#[derive(Debug, Clone, Default)]
pub struct Quirks {
    /// Replies to commands that begin with a text, instead of carrying them out: `("EPSV", "500 unknown")`.
    pub answers: Vec<(&'static str, &'static str)>,
    /// FEAT does not name these.
    pub hides: Vec<&'static str>,
    /// No answer to commands that begin with this, for ever.
    pub is_silent_at: Option<&'static str>,
    /// What MLSD sends instead of the listing.
    pub mlsd_sends: Option<&'static [u8]>,
    /// What LIST -a sends instead of the listing.
    pub list_all_sends: Option<&'static [u8]>,
    /// MLSD sends half and then nothing, for ever.
    pub mlsd_stalls: bool,
    /// Plain LIST leaves out names that begin with a dot.
    pub hides_dots: bool,
    /// `LIST -a` is taken for the listing of a file of that name.
    pub takes_options_for_names: bool,
    /// Times of files come out so many seconds ahead of what they are.
    pub clock_ahead: i64,
    /// Times that are set by MFMT are taken for those of a clock so many seconds ahead.
    pub mfmt_zone: i64,
    /// `MDTM time path` sets times.
    pub mdtm_sets: bool,
    /// `SITE UTIME time path` sets times.
    pub site_sets: bool,
    /// `SITE UTIME path time time time UTC` sets times.
    pub site_sets_five: bool,
    /// LIST tells days and no minutes.
    pub lists_days: bool,
    /// The replies to EPSV and PASV, with `{port}`, `{high}` and `{low}` where they belong.
    pub says_to_epsv: Option<&'static str>,
    pub says_to_pasv: Option<&'static str>,
    /// Where data connections are accepted, if that is another address than the one of the conversation.
    pub data_at: Option<IpAddr>,
    /// In active mode somebody at this address connects before the server does, says this and leaves; the first time.
    pub stranger_comes_first: Option<(Ipv4Addr, &'static [u8])>,
    /// PORT opens the data connection and is confirmed then; a command that is behind it already is carried out meanwhile, and
    /// the transfer never ends (pyftpdlib). This is said to a command that finds the connection open.
    pub connects_at_port: Option<&'static str>,
    /// How many conversations there may be; 0 for any number.
    pub most: usize,
    /// How users are refused of whom there are too many already; without it, they are not even greeted.
    pub turns_away_with: Option<&'static str>,
    /// How long a conversation that has ended still counts.
    pub notices_ends_after: Duration,
    /// Those that have ended count until [`Server::notice_end`].
    pub notices_ends_when_told: bool,
    /// MLSD is refused without an argument.
    pub mlsd_wants_argument: bool,
    /// STOR keeps nothing and calls it complete.
    pub loses_all: bool,
    /// SIZE is 0 for every file.
    pub sizes_are_0: bool,
    /// Transfers are never confirmed.
    pub no_226: bool,
    /// Downloads are confirmed before the data is sent.
    pub early_226: bool,
    /// What is said when something was made, removed or renamed.
    pub says_for_done: Option<&'static str>,
    /// How long it takes to confirm a transfer.
    pub confirms_after: Duration,
    /// What is said when a transfer is complete.
    pub says_for_transferred: Option<&'static str>,
    /// The answer to SYST.
    pub system: Option<&'static str>,
    /// RNFR is agreed to also for a name that nothing has.
    pub renames_anything: bool,
    /// RNTO onto an existing file is refused.
    pub keeps_existing: bool,
    /// RNTO onto an existing file is confirmed, and nothing happens.
    pub pretends_to_replace: bool,
    /// RETR sends half of a file and calls it complete.
    pub halves_downloads: bool,
    /// TYPE I is agreed to, and line feeds are sent as two characters and kept as one all the same.
    pub rewrites_line_ends: bool,
    /// STOR ends with this reply after the first bytes, and keeps nothing.
    pub stor_ends_with: Option<&'static str>,
    /// STOR keeps one byte less and calls it complete.
    pub loses_last_byte: bool,
    /// The same for paths that contain this.
    pub loses_last_byte_of: Option<&'static str>,
    /// STOR of paths that contain this is agreed to only when all bytes are there.
    pub agrees_late_to: Option<&'static str>,
    /// Of the commands in one packet only the first is heard.
    pub hears_one_at_a_time: bool,
    /// A wrong password ends the conversation.
    pub leaves_strangers: bool,
    /// Downloads are confirmed late, or not at all.
    pub lingers: Option<Lingering>,
    /// Listings end in the middle, with this reply.
    pub listing_ends_with: Option<&'static str>,
    /// Listings have no end.
    pub floods: bool,
    /// Further lines of every listing.
    pub more_lines: Vec<&'static [u8]>,
    /// REST is agreed to, and transfers begin at the beginning all the same.
    pub ignores_rest: bool,
    /// The conversation is cut when this command arrives.
    pub cuts_at: Option<&'static str>,
    /// Seconds that the clock of LIST is ahead of UTC.
    pub list_zone: i64,
    /// TLS on both connections, in one version.
    pub tls: Option<Tls>,
    /// Data connections are reset when all has been sent.
    pub resets_at_end: bool,
    /// Data connections with TLS are closed without a goodbye.
    pub closes_rudely: bool,
    /// The first RETR, or STOR, changes a bit of the content.
    pub flips_a_bit: Option<&'static str>,
    /// The line of FEAT about checksums, `HASH SHA-256*;MD5` or `XMD5`.
    pub checksums: Option<&'static str>,
    /// The greeting has one line only.
    pub greets_briefly: bool,
    /// Names that differ in case, or in the form of their characters, are one to the disk of the server.
    pub folds: bool,
    /// Names are those of Windows: any case, no blank or dot at the end, and some characters in none; `\` is another `/`.
    pub has_windows_names: bool,
    /// An upload under TLS whose end is not announced loses its last bytes, and is called complete.
    pub wants_goodbye: bool,
    /// Transfers are agreed to only when all bytes have been sent, or have come.
    pub agrees_afterwards: bool,
    /// Data connections are never secured, although PROT is agreed to.
    pub data_in_clear: bool,
    /// Times are kept in units of so many seconds; 0 for one.
    pub grain: i64,
    /// What has arrived of an upload that `stor_ends_with` an error stays.
    pub keeps_stumps: bool,
    /// What stands in the place of tabs, and of blanks at the end of new names; where it is nothing, at the end of all names.
    pub ends_blanks_with: Option<&'static str>,
    /// Listings come in drops, for ever.
    pub listing_drips: bool,
    /// Each reply waits so long, as if the server were far.
    pub replies_after: Duration,
    /// Each transfer is announced by two preliminary replies.
    pub announces_twice: bool,
    /// Conversations begin in this folder. Paths that begin with a slash are refused, and so are options and homes.
    pub begins_in: Option<&'static str>,
    /// STOR makes the file empty before anything else is known, as vsftpd does; also if it is reset or refused for want of a
    /// data connection or of room.
    pub empties_at_stor: bool,
    /// What has not arrived whole changes nothing, as with HiddenStores of ProFTPD.
    pub stores_hidden: bool,
    /// What idle conversations are told before they are ended by [`Server::say_farewell`].
    pub farewell: Option<&'static str>,
}

/// How much later a lingering server is.
const LATE: Duration = Duration::from_millis(100);

/// What a server does at the end of a download.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lingering {
    /// It waits for the other side to end the connection too, as ProFTPD does.
    ForTheOther,
    /// It is late, whatever the other side does.
    Anyway,
    /// It is late, and takes an end of the other side that comes before its own for an abort.
    UnlessAborted,
}

/// The one version of TLS that a server speaks.
#[derive(Debug, Clone, Copy)]
pub enum Tls {
    /// TLS 1.2
    Old,
    /// TLS 1.3
    New,
}

/// The certificate of the server, for `localhost` and 127.0.0.1, signed by itself.
pub const CERTIFICATE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/core/ftp_server.pem");

impl Tls {
    fn config(self) -> Arc<ServerConfig> {
        let version: &[&SupportedProtocolVersion] = match self {
            Tls::Old => &[&TLS12],
            Tls::New => &[&TLS13],
        };
        let chain = vec![CertificateDer::from_pem_file(CERTIFICATE).expect("a certificate")];
        let key = PrivateKeyDer::from_pem_file(CERTIFICATE).expect("a key");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(version)
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key));
        Arc::new(config.expect("a configuration"))
    }
}

/// A connection of the server that may break after so many bytes.
struct Line {
    stream: Stream,
    left: Option<usize>,
}

/// A connection, with or without TLS.
enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ServerConnection, TcpStream>>),
}

impl Line {
    fn over(socket: TcpStream) -> Self {
        Line { stream: Stream::Plain(socket), left: None }
    }

    fn secured(self, config: &Arc<ServerConfig>) -> std::io::Result<Self> {
        let Stream::Plain(socket) = self.stream else {
            return Ok(self);
        };
        let mut line = StreamOwned::new(
            ServerConnection::new(Arc::clone(config)).map_err(std::io::Error::other)?,
            socket,
        );
        while line.conn.is_handshaking() {
            line.conn.complete_io(&mut line.sock)?;
        }
        Ok(Line { stream: Stream::Tls(Box::new(line)), left: self.left })
    }

    /// From its end the other side learns by a reset, with everything lost that was under way.
    fn break_off(&self) {
        let _ = socket2::SockRef::from(self.socket()).set_linger(Some(Duration::ZERO));
    }

    /// How much of `wanted` still passes; an error once the connection has to end.
    fn passes(&self, wanted: usize) -> std::io::Result<usize> {
        match self.left {
            Some(0) if wanted > 0 => Err(std::io::ErrorKind::ConnectionReset.into()),
            Some(left) => Ok(left.min(wanted)),
            None => Ok(wanted),
        }
    }

    fn passed(&mut self, count: usize) -> usize {
        self.left = self.left.map(|left| left - count);
        count
    }

    fn socket(&self) -> &TcpStream {
        match &self.stream {
            Stream::Plain(socket) => socket,
            Stream::Tls(line) => &line.sock,
        }
    }

    fn say_goodbye(&mut self) {
        if let Stream::Tls(line) = &mut self.stream {
            line.conn.send_close_notify();
            let _ = line.flush();
        }
    }
}

impl Read for Line {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let room = self.passes(buffer.len())?;
        let count = match &mut self.stream {
            Stream::Plain(socket) => socket.read(&mut buffer[..room]),
            Stream::Tls(line) => line.read(&mut buffer[..room]),
        }?;
        Ok(self.passed(count))
    }
}

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let room = self.passes(bytes.len())?;
        let count = match &mut self.stream {
            Stream::Plain(socket) => socket.write(&bytes[..room]),
            Stream::Tls(line) => line.write(&bytes[..room]),
        }?;
        Ok(self.passed(count))
    }
    fn flush(&mut self) -> std::io::Result<()> {
        match &mut self.stream {
            Stream::Plain(socket) => socket.flush(),
            Stream::Tls(line) => line.flush(),
        }
    }
}

/// What has a name on the server. A time is shown as in MLSD.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    Folder,
    File { content: Vec<u8>, mtime: String },
}

/// Everything on the server, by absolute path.
pub type Tree = BTreeMap<String, Node>;

#[derive(Default)]
struct State {
    tree: Mutex<Tree>,
    packets: Mutex<Vec<Vec<String>>>,
    /// Seconds that times of files come out ahead, beside those of the quirk.
    clock_ahead: AtomicI64,
    /// Conversations under way.
    open: AtomicUsize,
    /// Conversations that were begun, or refused.
    arrivals: AtomicUsize,
    /// Those of them that have ended, which the server has not noticed yet.
    unnoticed: AtomicUsize,
    /// Idle conversations are to end.
    is_over: AtomicBool,
    /// The bit was flipped.
    has_flipped: AtomicBool,
    /// The stranger was here.
    stranger_came: AtomicBool,
    /// Bytes that came by STOR.
    stored: AtomicUsize,
    /// Bytes of replies without end that were taken.
    poured: AtomicUsize,
    /// Downloads that the other side has ended before they began.
    early_ends: AtomicUsize,
    faults: Faults,
}

/// A running server. It ends with the process; its port is never used again.
pub struct Server {
    address: SocketAddr,
    state: Arc<State>,
}

/// The user.
pub const USER: &str = "joe";
/// The password; it must never be seen anywhere.
pub const PASSWORD: &str = "s3cret-word";

impl Server {
    /// Starts a server with an empty root.
    pub fn start(quirks: Quirks) -> Self {
        Self::start_at(Ipv4Addr::LOCALHOST.into(), quirks)
    }

    /// As [`Server::start`], at another address.
    pub fn start_at(ip: IpAddr, quirks: Quirks) -> Self {
        let listener = TcpListener::bind((ip, 0)).expect("a port");
        let address = listener.local_addr().expect("an address");
        let state = Arc::new(State::default());
        state.tree.lock().unwrap().insert("/".into(), Node::Folder);
        let (shared, quirks) = (Arc::clone(&state), Arc::new(quirks));
        std::thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                let (state, quirks) = (Arc::clone(&shared), Arc::clone(&quirks));
                std::thread::spawn(move || Conversation::new(socket, state, quirks).run());
            }
        });
        Server { address, state }
    }

    /// The port of the control connection.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Ends the conversations that are idle, from the side of the server.
    pub fn say_farewell(&self) {
        self.state.is_over.store(true, Ordering::SeqCst);
    }

    /// Has the server notice that a conversation has ended; waits for that end, but not for ever.
    pub fn notice_end(&self) {
        eventually(|| {
            let ended = self.state.unnoticed.swap(0, Ordering::SeqCst);
            self.state.open.fetch_sub(ended, Ordering::SeqCst);
            ended > 0
        });
    }

    /// Puts a file.
    pub fn put(&self, path: &str, content: &[u8]) {
        self.put_at(path, content, "20240102030405");
    }

    /// Puts a file of a certain time.
    pub fn put_at(&self, path: &str, content: &[u8], mtime: &str) {
        let node = Node::File { content: content.to_vec(), mtime: mtime.into() };
        self.state.tree.lock().unwrap().insert(path.into(), node);
    }

    /// Shows all times of files so many seconds later from now on.
    pub fn set_clock(&self, ahead: i64) {
        self.state.clock_ahead.store(ahead, Ordering::SeqCst);
    }

    /// Puts a folder.
    pub fn put_folder(&self, path: &str) {
        self.state.tree.lock().unwrap().insert(path.into(), Node::Folder);
    }

    /// Puts many empty files, `prefix0` and so on.
    pub fn put_many(&self, prefix: &str, count: usize) {
        (0..count).for_each(|number| self.put(&format!("{prefix}{number}"), b""));
    }

    /// What is to go wrong.
    pub fn faults(&self) -> &Faults {
        &self.state.faults
    }

    /// Everything that is there.
    pub fn tree(&self) -> Tree {
        self.state.tree.lock().unwrap().clone()
    }

    /// Puts everything back to what it was.
    pub fn restore(&self, tree: Tree) {
        *self.state.tree.lock().unwrap() = tree;
    }

    /// Waits until no conversation is under way; false after ten seconds.
    pub fn is_quiet(&self) -> bool {
        eventually(|| self.state.open.load(Ordering::SeqCst) == 0)
    }

    /// How many have come, to be let in or not.
    pub fn arrivals(&self) -> usize {
        self.state.arrivals.load(Ordering::SeqCst)
    }

    /// How many downloads the other side has ended before they began.
    pub fn early_ends(&self) -> usize {
        self.state.early_ends.load(Ordering::SeqCst)
    }

    /// How many bytes came by STOR, again and again perhaps.
    pub fn stored(&self) -> usize {
        self.state.stored.load(Ordering::SeqCst)
    }

    /// How many bytes of replies without end were taken.
    pub fn poured(&self) -> usize {
        self.state.poured.load(Ordering::SeqCst)
    }

    /// The names in the whole tree.
    pub fn paths(&self) -> Vec<String> {
        self.state.tree.lock().unwrap().keys().cloned().collect()
    }

    /// The content of a file.
    pub fn content(&self, path: &str) -> Option<Vec<u8>> {
        match self.state.tree.lock().unwrap().get(path) {
            Some(Node::File { content, .. }) => Some(content.clone()),
            _ => None,
        }
    }

    /// What arrived since the last call, packet by packet; the numbers in temporary names replaced by `#`.
    pub fn packets(&self) -> Vec<Vec<String>> {
        std::mem::take(&mut *self.state.packets.lock().unwrap())
    }

    /// What arrived since the last call, one line for each packet, its commands joined by ` | `.
    pub fn script(&self) -> Vec<String> {
        self.packets().iter().map(|packet| packet.join(" | ")).collect()
    }
}

/// Replaces the number in a temporary name.
fn without_number(line: &str) -> String {
    let prefix = ftpsync::model::TEMP_PREFIX;
    match line.split_once(prefix) {
        Some((before, after)) => format!("{before}{prefix}#{}", after.get(16..).unwrap_or("")),
        None => line.to_owned(),
    }
}

struct Conversation {
    /// `None` only while TLS is being put on it.
    control: Option<Line>,
    tls: Option<Arc<ServerConfig>>,
    state: Arc<State>,
    quirks: Arc<Quirks>,
    here: String,
    passive: Option<TcpListener>,
    /// Where the client listens.
    active: Option<SocketAddr>,
    /// More commands have come behind the one at hand.
    has_more: bool,
    /// PORT is still to be confirmed.
    owes_port: bool,
    rename_from: Option<String>,
    /// Where the next transfer begins.
    offset: usize,
    /// What OPTS HASH has chosen.
    hash: Option<Algorithm>,
    /// Names that begin with a dot are shown by LIST.
    shows_dots: bool,
    /// There are others enough.
    is_too_many: bool,
    /// What goes wrong with the command at hand.
    mishap: Option<Mishap>,
}

/// Ports that clients were told of and may be connecting to, although the server has given them up. None of them must become
/// the port of somebody else meanwhile, who would take such a connection for his own.
static GIVEN_UP: Mutex<VecDeque<TcpListener>> = Mutex::new(VecDeque::new());
/// How many of them are kept.
const KEPT_PORTS: usize = 64;

/// Whether the conversation goes on.
type Goes = std::io::Result<bool>;

impl Conversation {
    fn new(control: TcpStream, state: Arc<State>, quirks: Arc<Quirks>) -> Self {
        let _ = control.set_nodelay(true);
        let here = quirks.begins_in.unwrap_or("/").to_owned();
        Conversation {
            control: Some(Line::over(control)),
            tls: quirks.tls.map(Tls::config),
            state,
            quirks,
            here,
            passive: None,
            active: None,
            has_more: false,
            owes_port: false,
            rename_from: None,
            offset: 0,
            hash: None,
            shows_dots: true,
            is_too_many: false,
            mishap: None,
        }
    }

    fn run(mut self) {
        let open = self.state.open.fetch_add(1, Ordering::SeqCst) + 1;
        let state = Arc::clone(&self.state);
        state.arrivals.fetch_add(1, Ordering::SeqCst);
        self.is_too_many = self.quirks.most > 0 && open > self.quirks.most;
        if self.is_too_many && self.quirks.turns_away_with.is_none() {
            state.open.fetch_sub(1, Ordering::SeqCst);
            let _ = self.say("421 too many connections");
            return;
        }
        let _ = self.converse();
        self.give_up_port();
        drop(self.control.take());
        if self.quirks.notices_ends_when_told {
            state.unnoticed.fetch_add(1, Ordering::SeqCst);
            return;
        }
        std::thread::sleep(self.quirks.notices_ends_after);
        state.open.fetch_sub(1, Ordering::SeqCst);
    }

    fn converse(&mut self) -> std::io::Result<()> {
        let greeting = if self.quirks.greets_briefly {
            "220 ready"
        } else {
            "220-Welcome\r\n123 users are online\r\n220 ready"
        };
        if self.say(greeting).is_err() {
            return Ok(());
        }
        let mut pending = Vec::new();
        let mut buffer = [0; 65_536];
        while let Ok(count @ 1..) = self.hear(&mut buffer) {
            pending.extend_from_slice(&buffer[..count]);
            let mut packet = Vec::new();
            while let Some(end) = pending.windows(2).position(|pair| pair == b"\r\n") {
                let line: Vec<u8> = pending.drain(..end + 2).collect();
                packet.push(String::from_utf8_lossy(&line[..end]).into_owned());
            }
            let logged = packet.iter().map(|line| without_number(line)).collect();
            self.state.packets.lock().unwrap().push(logged);
            if self.quirks.hears_one_at_a_time {
                packet.truncate(1);
            }
            let count = packet.len();
            for (number, line) in packet.into_iter().enumerate() {
                self.mishap = self.state.faults.strike(&line);
                self.has_more = number + 1 < count;
                let was_owed = self.owes_port;
                let mut goes = self.suffer(&line).or_else(|_| self.say("425 no data connection"));
                if was_owed && self.owes_port && matches!(goes, Ok(true)) {
                    let _ = self.active.take().map(TcpStream::connect);
                    goes = self.confirm_port();
                }
                if !matches!(goes, Ok(true)) {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn control(&mut self) -> std::io::Result<&mut Line> {
        self.control.as_mut().ok_or_else(|| std::io::ErrorKind::NotConnected.into())
    }

    /// Waits for bytes, or for the time of the farewell.
    fn hear(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        loop {
            self.control()?.socket().set_read_timeout(Some(Duration::from_millis(20)))?;
            let heard = self.control()?.read(buffer);
            self.control()?.socket().set_read_timeout(None)?;
            match heard {
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                other => return other,
            }
            if self.state.is_over.load(Ordering::SeqCst) {
                if let Some(farewell) = self.quirks.farewell {
                    self.say(farewell)?;
                }
                return Ok(0);
            }
        }
    }

    /// Carries out a command that something may go wrong with.
    fn suffer(&mut self, line: &str) -> Goes {
        if let Some(path) = line.strip_prefix("STOR ").filter(|_| self.quirks.empties_at_stor) {
            self.empty(path);
        }
        match self.mishap.clone() {
            Some(Mishap::Reset) => {
                self.control()?.break_off();
                Ok(false)
            }
            Some(Mishap::Leave) => self.say("421 closing down").map(|_| false),
            Some(Mishap::Answer(text)) => {
                self.rename_from.take_if(|_| line.starts_with("RNTO"));
                self.say(text)
            }
            Some(Mishap::Delay(time)) => {
                std::thread::sleep(time);
                self.obey(line)
            }
            Some(Mishap::Hold(gate)) => {
                gate.pass();
                self.obey(line)
            }
            _ => self.obey(line),
        }
    }

    /// What becomes of a file that STOR opens.
    fn empty(&mut self, path: &str) {
        let is_refused_before = matches!(self.mishap, Some(Mishap::Answer(text)) if text.starts_with("55")
            || text.starts_with("450"));
        let path = self.absolute(path);
        if !is_refused_before && self.offset == 0 && self.has_folder_above(&path) {
            let empty = Node::File { content: Vec::new(), mtime: "20240102030405".into() };
            self.state.tree.lock().unwrap().insert(path, empty);
        }
    }

    fn say(&mut self, text: &str) -> Goes {
        if text.starts_with("226 ") {
            std::thread::sleep(self.quirks.confirms_after);
        }
        let quirk = self.quirks.says_for_transferred.filter(|_| text.starts_with("226 "));
        let text = quirk.unwrap_or(text);
        let is_final = !text.starts_with('1');
        if text.starts_with("150 ") && self.quirks.announces_twice {
            self.utter("125 soon")?;
        }
        match self.mishap.clone() {
            Some(Mishap::ResetAfter) if is_final => {
                self.control()?.break_off();
                Ok(false)
            }
            Some(Mishap::Withhold) if is_final => Ok(true),
            Some(Mishap::CutDataAndLie(_) | Mishap::EndData(_)) if is_final => self.utter("226 complete"),
            Some(Mishap::Twice) if is_final => {
                self.utter(text)?;
                self.utter(text)
            }
            Some(Mishap::Chatter(more)) if is_final => self.utter(&format!("{text}\r\n{more}")),
            Some(Mishap::Flood) if is_final => {
                self.pour(format!("{}-more\r\n", &text[..3]).repeat(1_000).as_bytes())
            }
            Some(Mishap::EndlessLine) if is_final => {
                self.control()?.write_all(&text.as_bytes()[..3])?;
                self.pour(&[b' '; 10_000])
            }
            Some(Mishap::Drip) if is_final => {
                self.control()?.write_all(&text.as_bytes()[..3])?;
                while self.control()?.write_all(b"-").and_then(|()| self.control()?.flush()).is_ok() {
                    std::thread::sleep(Duration::from_millis(20));
                }
                Ok(false)
            }
            Some(Mishap::Nonsense) if is_final => self.utter("\0\u{1b}[2J of course"),
            _ => self.utter(text),
        }
    }

    /// Sends the same again and again, as long as anybody takes it.
    fn pour(&mut self, bytes: &[u8]) -> Goes {
        while self.control()?.write_all(bytes).is_ok() {
            self.state.poured.fetch_add(bytes.len(), Ordering::SeqCst);
        }
        Ok(false)
    }

    fn utter(&mut self, text: &str) -> Goes {
        std::thread::sleep(self.quirks.replies_after);
        let control = self.control()?;
        control.write_all(format!("{text}\r\n").as_bytes())?;
        control.flush()?;
        Ok(true)
    }

    fn start_tls(&mut self) -> Goes {
        let Some(config) = self.tls.clone() else {
            return self.say("502 unknown command");
        };
        self.say("234 go on")?;
        let control = self.control.take().ok_or(std::io::ErrorKind::NotConnected)?;
        self.control = Some(control.secured(&config)?);
        Ok(true)
    }

    fn absolute(&self, argument: &str) -> String {
        let argument = if argument == "." { "" } else { argument.trim_start_matches("./") };
        let joined = if argument.starts_with('/') {
            argument.to_owned()
        } else {
            format!("{}/{argument}", self.here.trim_end_matches('/'))
        };
        let joined = if self.quirks.has_windows_names { as_on_windows(&joined) } else { joined };
        let trimmed = joined.trim_end_matches('/');
        if trimmed.is_empty() { "/".into() } else { self.spelled(trimmed) }
    }

    fn without_blanks(&self, verb: &str, path: String) -> String {
        let Some(instead) = self.quirks.ends_blanks_with else { return path };
        let path = path.replace('\t', instead);
        if !instead.is_empty() && !matches!(verb, "STOR" | "MKD" | "RNTO") {
            return path;
        }
        let bare = path.trim_end_matches(' ');
        [bare, &instead.repeat(path.len() - bare.len())].concat()
    }

    /// A path as the disk of the server spells it.
    fn spelled(&self, path: &str) -> String {
        let folds = self.quirks.folds || self.quirks.has_windows_names;
        let alike = |other: &&String| folds && folded(other) == folded(path);
        let tree = self.state.tree.lock().unwrap();
        tree.keys().find(alike).cloned().unwrap_or_else(|| path.to_owned())
    }

    fn node(&self, path: &str) -> Option<Node> {
        self.state.tree.lock().unwrap().get(path).cloned()
    }

    fn has_folder_above(&self, path: &str) -> bool {
        let above = path.rsplit_once('/').map_or("", |(above, _)| above);
        let above = if above.is_empty() { "/" } else { above };
        matches!(self.node(above), Some(Node::Folder))
    }

    fn obey(&mut self, line: &str) -> Goes {
        if self.quirks.cuts_at.is_some_and(|at| line.starts_with(at)) {
            return Ok(false);
        }
        if self.quirks.is_silent_at.is_some_and(|at| line.starts_with(at)) {
            return Ok(true);
        }
        let quirks = Arc::clone(&self.quirks);
        if let Some((_, answer)) = quirks.answers.iter().find(|(start, _)| line.starts_with(start)) {
            self.rename_from.take_if(|_| line.starts_with("RNTO"));
            return self.say(answer);
        }
        let (verb, argument) = line.split_once(' ').unwrap_or((line, ""));
        let is_elsewhere = argument.starts_with(['/', '-', '~', ' ']) || argument.contains(" /");
        if quirks.begins_in.is_some() && is_elsewhere && line != "LIST -a" {
            (self.rename_from, self.offset) = (None, 0);
            self.give_up_port();
            return self.say("550 only what is below this folder");
        }
        let path = self.without_blanks(verb, self.absolute(argument));
        let is_new = matches!(verb, "STOR" | "MKD" | "RNTO");
        if is_new && quirks.has_windows_names && path.contains(['<', '>', ':', '"', '|', '?', '*']) {
            self.rename_from = None;
            self.give_up_port();
            return self.say("550 The filename, directory name, or volume label syntax is incorrect.");
        }
        if self.rename_from.is_some() && !matches!(verb, "RNTO" | "NOOP" | "QUIT") {
            // As ProFTPD does.
            return self.say("501 Bad sequence of commands");
        }
        match verb {
            "USER" => self.say("331 password please"),
            "PASS" if self.is_too_many => {
                self.say(quirks.turns_away_with.unwrap_or("530 too many"))?;
                Ok(false)
            }
            "PASS" if argument == PASSWORD => self.say("230 welcome"),
            "PASS" => {
                self.say(&format!("530 {argument:?} is not the password"))?;
                Ok(!self.quirks.leaves_strangers)
            }
            "AUTH" => self.start_tls(),
            "PBSZ" | "PROT" => self.say("200 ok"),
            "SYST" => self.say(quirks.system.unwrap_or("215 UNIX Type: L8")),
            "FEAT" => self.features(),
            "OPTS" if argument.starts_with("HASH ") => {
                let wanted = &argument["HASH ".len()..];
                self.hash = Algorithm::ALL.into_iter().find(|algorithm| algorithm.name() == wanted);
                self.say(if self.hash.is_some() { "200 ok" } else { "501 which one?" })
            }
            "TYPE" | "OPTS" | "NOOP" => self.say("200 ok"),
            "ABOR" => self.say("226 nothing to abort"),
            "PWD" => self.say(&format!("257 \"{}\" is here", self.here.replace('"', "\"\""))),
            "QUIT" => self.say("221 bye").map(|_| false),
            "CWD" => self.enter(path),
            "CDUP" => {
                let above = self.here.rsplit_once('/').map_or("", |(above, _)| above);
                self.enter(if above.is_empty() { "/".into() } else { above.to_owned() })
            }
            "EPSV" if quirks.says_to_epsv.is_some() => self.listen(|port| filled(quirks.says_to_epsv, port)),
            "PASV" if quirks.says_to_pasv.is_some() => self.listen(|port| filled(quirks.says_to_pasv, port)),
            "EPSV" => self.listen(|port| format!("229 Extended passive mode (|||{port}|)")),
            // The wrong host is what servers behind a router say.
            "PASV" => {
                self.listen(|port| format!("227 Passive mode (10,9,8,7,{},{})", port / 256, port % 256))
            }
            "PORT" => self.aim(argument),
            "EPRT" => self.aim_by_name(argument),
            "MLSD" if argument.is_empty() && quirks.mlsd_wants_argument => self.say("500 which one?"),
            "MLSD" => self.list(&path, true),
            "MLST" => self.tell_of(&path),
            "LIST" if argument == "-a" && quirks.takes_options_for_names => self.say("550 no such file"),
            "LIST" => self.list_for_people(argument == "-a"),
            "REST" => {
                self.offset = if quirks.ignores_rest { 0 } else { argument.parse().unwrap_or(0) };
                self.say("350 go on")
            }
            "RETR" => self.retrieve(&path),
            "STOR" => self.store(path),
            "SIZE" => match self.node(&path) {
                Some(Node::File { .. }) if quirks.sizes_are_0 => self.say("213 0"),
                Some(Node::File { content, .. }) => self.say(&format!("213 {}", content.len())),
                _ => self.say("550 no size"),
            },
            "MDTM" if quirks.mdtm_sets && argument.split_once(' ').is_some() => self.set_time(argument),
            "SITE" if quirks.site_sets_five => self.set_time_by_five(argument.trim_start_matches("UTIME ")),
            "SITE" if quirks.site_sets => self.set_time(argument.trim_start_matches("UTIME ")),
            "MDTM" => match self.node(&path) {
                Some(Node::File { mtime, .. }) => self.say(&format!("213 {}", self.shown(&mtime))),
                _ => self.say("550 no time"),
            },
            "MFMT" => self.set_time(argument),
            "HASH" | "XSHA512" | "XSHA256" | "XSHA1" | "XSHA" | "XMD5" | "XCRC" => self.checksum(verb, &path),
            "DELE" => self.remove(&path, false),
            "RMD" => self.remove(&path, true),
            "MKD" => self.make(path),
            "RNFR" if self.node(&path).is_some() || quirks.renames_anything => {
                self.rename_from = Some(path);
                self.say("350 go on")
            }
            "RNFR" => self.say("550 cannot rename"),
            "RNTO" => self.rename(path),
            _ => self.say("502 unknown command"),
        }
    }

    fn features(&mut self) -> Goes {
        let known = ["MLST type*;size*;modify*;", "MFMT", "MDTM", "SIZE", "UTF8", "EPSV", "REST STREAM"];
        let shown: String = known
            .iter()
            .filter(|feature| !self.quirks.hides.iter().any(|hidden| feature.starts_with(hidden)))
            .chain(self.quirks.checksums.as_ref())
            .map(|feature| format!(" {feature}\r\n"))
            .collect();
        self.say(&format!("211-Features\r\n{shown}211 end"))
    }

    fn enter(&mut self, path: String) -> Goes {
        match self.node(&path) {
            Some(Node::Folder) => {
                self.here = path;
                self.say("250 entered")
            }
            _ => self.say("550 cannot enter"),
        }
    }

    fn listen(&mut self, answer: impl Fn(u16) -> String) -> Goes {
        let own = self.control()?.socket().local_addr()?.ip();
        let (listener, port) = loop {
            let listener = TcpListener::bind((self.quirks.data_at.unwrap_or(own), 0))?;
            let port = listener.local_addr()?.port();
            // On an address of its own it must not be the port of somebody else, who would take the connection.
            if self.quirks.data_at.is_none_or(|at| at == own) || TcpListener::bind((own, port)).is_ok() {
                break (listener, port);
            }
        };
        self.give_up_port();
        self.passive = Some(listener);
        self.say(&answer(port))
    }

    fn give_up_port(&mut self) {
        if let Some(listener) = self.passive.take() {
            let mut given_up = GIVEN_UP.lock().unwrap();
            given_up.push_back(listener);
            let surplus = given_up.len().saturating_sub(KEPT_PORTS);
            given_up.drain(..surplus);
        }
    }

    fn aim(&mut self, argument: &str) -> Goes {
        let numbers: Vec<u8> = argument.split(',').filter_map(|number| number.parse().ok()).collect();
        let [a, b, c, d, high, low] = numbers[..] else {
            return self.say("501 no address");
        };
        self.active = Some(([a, b, c, d], u16::from(high) * 256 + u16::from(low)).into());
        self.owes_port = self.quirks.connects_at_port.is_some() && self.has_more;
        if self.owes_port { Ok(true) } else { self.say("200 ok") }
    }

    fn confirm_port(&mut self) -> Goes {
        self.owes_port = false;
        self.say("200 the connection is there")
    }

    /// `|2|address|port|`, where the 2 stands for IPv6.
    fn aim_by_name(&mut self, argument: &str) -> Goes {
        let place = match argument.split('|').collect::<Vec<_>>()[..] {
            ["", family, address, port, ""] => {
                address.parse().ok().zip(port.parse().ok()).filter(|(address, _): &(IpAddr, u16)| {
                    family == if address.is_ipv6() { "2" } else { "1" }
                })
            }
            _ => None,
        };
        self.active = place.map(SocketAddr::from);
        self.say(if place.is_some() { "200 ok" } else { "501 no address" })
    }

    fn data(&mut self) -> std::io::Result<Line> {
        let mut line = self.open_data()?;
        match self.mishap {
            Some(Mishap::CutData(after) | Mishap::CutDataAndLie(after)) => {
                line.left = Some(after);
                line.break_off();
            }
            Some(Mishap::EndData(after)) => line.left = Some(after),
            _ => {}
        }
        Ok(line)
    }

    fn open_data(&mut self) -> std::io::Result<Line> {
        if let Some(address) = self.active.take() {
            let is_open = !self.owes_port;
            self.say(self.quirks.connects_at_port.filter(|_| is_open).unwrap_or("150 here it comes"))?;
            if let Some((stranger, says)) = self.quirks.stranger_comes_first
                && !self.state.stranger_came.swap(true, Ordering::SeqCst)
            {
                let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
                socket.bind(&SocketAddr::from((stranger, 0)).into())?;
                socket.connect(&address.into())?;
                let _ = TcpStream::from(socket).write_all(says);
            }
            let socket = TcpStream::connect(address)?;
            if self.owes_port {
                self.confirm_port()?;
                let _ = std::io::copy(&mut &socket, &mut std::io::sink());
            }
            return self.secured(Line::over(socket));
        }
        let listener = self.passive.take().ok_or(std::io::ErrorKind::NotConnected)?;
        self.say("150 here it comes")?;
        self.accept(&listener)
    }

    fn accept(&self, listener: &TcpListener) -> std::io::Result<Line> {
        self.secured(Line::over(self.meet(listener)?))
    }

    fn secured(&self, line: Line) -> std::io::Result<Line> {
        if let Some(Mishap::CutHandshake) = self.mishap {
            line.break_off();
            return Err(std::io::ErrorKind::ConnectionReset.into());
        }
        match &self.tls {
            Some(config) if !self.quirks.data_in_clear => line.secured(config),
            _ => Ok(line),
        }
    }

    /// Waits for the client at the data port, for some seconds and as long as it listens to the replies.
    fn meet(&self, listener: &TcpListener) -> std::io::Result<TcpStream> {
        let control = self.control.as_ref().ok_or(std::io::ErrorKind::NotConnected)?.socket();
        listener.set_nonblocking(true)?;
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(3) {
            match listener.accept() {
                Ok((socket, _)) => {
                    // What waits to be sent would be lost with a connection that is reset.
                    socket.set_nodelay(true)?;
                    return socket.set_nonblocking(false).map(|()| socket);
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
            control.set_nonblocking(true)?;
            let has_left = matches!(control.peek(&mut [0]), Ok(0)) || control.take_error()?.is_some();
            control.set_nonblocking(false)?;
            if has_left {
                return Err(std::io::ErrorKind::NotConnected.into());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Err(std::io::ErrorKind::TimedOut.into())
    }

    /// A time as this server tells it.
    fn shown(&self, mtime: &str) -> String {
        let ahead = self.quirks.clock_ahead + self.state.clock_ahead.load(Ordering::SeqCst);
        let seconds = ftpsync::wire::ftp::time::parse(mtime).expect("a time").seconds();
        moved(mtime, ahead - seconds.rem_euclid(self.quirks.grain.max(1)))
    }

    fn list_for_people(&mut self, all: bool) -> Goes {
        if let Some(sends) = self.quirks.list_all_sends.filter(|_| all) {
            let mut data = self.data()?;
            data.write_all(sends)?;
            self.hang_up(data);
            return self.say("226 listed");
        }
        self.shows_dots = all || !self.quirks.hides_dots;
        let here = self.here.clone();
        self.list(&here, false)
    }

    fn hang_up(&self, mut data: Line) {
        if !self.quirks.closes_rudely {
            data.say_goodbye();
        }
        if self.quirks.resets_at_end {
            data.break_off();
        }
    }

    fn tell_of(&mut self, path: &str) -> Goes {
        let Some(node) = self.node(path) else { return self.say("550 no such thing") };
        let line = self.machine_line(path, &node);
        let line = String::from_utf8_lossy(&line).into_owned();
        self.say(&format!("250-here it is\r\n {line}\r\n250 that was it"))
    }

    fn list(&mut self, path: &str, is_machine: bool) -> Goes {
        if !matches!(self.node(path), Some(Node::Folder)) {
            self.give_up_port();
            return self.say("550 cannot list");
        }
        let prefix = if path == "/" { "/".to_owned() } else { format!("{path}/") };
        let tree = self.state.tree.lock().unwrap().clone();
        let mut lines: Vec<Vec<u8>> = tree
            .iter()
            .filter_map(|(path, node)| {
                let name =
                    path.strip_prefix(&prefix).filter(|name| !name.is_empty() && !name.contains('/'))?;
                let is_hidden = !is_machine && !self.shows_dots && name.starts_with('.');
                let line = || {
                    if is_machine { self.machine_line(name, node) } else { self.people_line(name, node) }
                };
                (!is_hidden).then(line)
            })
            .collect();
        if is_machine {
            lines.insert(0, b"type=cdir;modify=20240101000000; .".to_vec());
        }
        lines.extend(self.quirks.more_lines.iter().map(|line| line.to_vec()));
        let end = self.quirks.listing_ends_with;
        if end.is_some() {
            lines.truncate(lines.len() / 2);
        }
        let mut data = self.data()?;
        let linger = match self.quirks.lingers {
            Some(lingering) => !self.has_ended_early(&data, LATE)? || lingering == Lingering::Anyway,
            None => false,
        };
        if let Some(sends) = self.quirks.mlsd_sends.filter(|_| is_machine) {
            data.write_all(sends)?;
            self.hang_up(data);
            return self.say("226 listed");
        }
        if self.quirks.mlsd_stalls && is_machine {
            data.write_all(b"type=file;size=1;modify=20240102030405; hal")?;
            return data.read(&mut [0]).map(|_| true);
        }
        for line in lines {
            data.write_all(&[&line, &b"\r\n"[..]].concat())?;
        }
        if self.quirks.listing_drips {
            while data.write_all(b"x").is_ok() {
                std::thread::sleep(Duration::from_millis(20));
            }
            return self.say("426 cut");
        }
        if self.quirks.floods {
            let chaff = b"type=file;size=1; a\r\n".repeat(50_000);
            while data.write_all(&chaff).is_ok() {}
            return self.say("426 cut");
        }
        self.hang_up(data);
        if linger {
            std::thread::sleep(LATE);
        }
        self.say(end.unwrap_or("226 listed"))
    }

    /// A line of `ls -l`, in the zone of this server, always with the year 2024 so that the tests need no clock.
    fn people_line(&self, name: &str, node: &Node) -> Vec<u8> {
        match node {
            Node::Folder => format!("drwxr-xr-x 2 joe users 4096 2024-01-02 03:04 {name}"),
            Node::File { content, mtime } => {
                let utc = ftpsync::wire::ftp::time::parse(mtime).expect("a time").seconds();
                let shown = ftpsync::wire::ftp::time::Civil::of(utc + self.quirks.list_zone);
                if self.quirks.lists_days {
                    let (year, month, day) = (shown.year, shown.month, shown.day);
                    let size = content.len();
                    return format!("-rw-r--r-- 1 joe users {size} {year:04}-{month:02}-{day:02} {name}")
                        .into();
                }
                format!(
                    "-rw-r--r-- 1 joe users {} {:04}-{:02}-{:02} {:02}:{:02} {name}",
                    content.len(),
                    shown.year,
                    shown.month,
                    shown.day,
                    shown.hour,
                    shown.minute,
                )
            }
        }
        .into_bytes()
    }

    fn machine_line(&self, name: &str, node: &Node) -> Vec<u8> {
        match node {
            Node::Folder => format!("type=dir;modify=20240102030405; {name}"),
            Node::File { content, mtime } => {
                format!("type=file;size={};modify={}; {name}", content.len(), self.shown(mtime))
            }
        }
        .into_bytes()
    }

    fn retrieve(&mut self, path: &str) -> Goes {
        let Some(Node::File { content, .. }) = self.node(path) else {
            self.give_up_port();
            return self.say("550 cannot open");
        };
        let mut content = self.perhaps_flipped("RETR", content);
        if self.quirks.rewrites_line_ends {
            content = content
                .iter()
                .flat_map(|byte| if *byte == b'\n' { &b"\r\n"[..] } else { std::slice::from_ref(byte) })
                .copied()
                .collect();
        }
        let content = content[std::mem::take(&mut self.offset).min(content.len())..].to_vec();
        let length = if self.quirks.halves_downloads { content.len() / 2 } else { content.len() };
        let mut data = match self.passive.take() {
            Some(listener) if self.quirks.agrees_afterwards => self.accept(&listener)?,
            listener => {
                self.passive = listener;
                self.data()?
            }
        };
        if let Some(lingering) = self.quirks.lingers {
            return self.retrieve_lingering(lingering, data, &content);
        }
        if self.quirks.early_226 {
            self.say("226 sent")?;
        }
        let sent = data.write_all(&content[..length]);
        self.hang_up(data);
        if self.quirks.agrees_afterwards {
            self.say("150 here it was")?;
        }
        if self.quirks.no_226 || self.quirks.early_226 {
            return Ok(true);
        }
        self.say(if sent.is_ok() { "226 sent" } else { "426 gave up" })
    }

    /// Whether the other side has ended the connection before anything was sent.
    fn has_ended_early(&self, data: &Line, patience: Duration) -> std::io::Result<bool> {
        data.socket().set_read_timeout(Some(patience))?;
        let has_ended = matches!(data.socket().peek(&mut [0]), Ok(0));
        self.state.early_ends.fetch_add(usize::from(has_ended), Ordering::SeqCst);
        Ok(has_ended)
    }

    fn retrieve_lingering(&mut self, lingering: Lingering, mut data: Line, content: &[u8]) -> Goes {
        let has_ended = self.has_ended_early(&data, LATE)?;
        if has_ended && lingering == Lingering::UnlessAborted {
            return self.say("426 aborted");
        }
        data.write_all(content)?;
        self.hang_up(data);
        if !has_ended || lingering == Lingering::Anyway {
            std::thread::sleep(LATE);
        }
        self.say("226 sent")
    }

    fn store(&mut self, path: String) -> Goes {
        if !self.has_folder_above(&path) || matches!(self.node(&path), Some(Node::Folder)) {
            self.give_up_port();
            return self.say("553 cannot create");
        }
        let is_late = self.quirks.agrees_afterwards
            || self.quirks.agrees_late_to.is_some_and(|part| path.contains(part));
        let mut data = match self.passive.take() {
            Some(listener) if is_late => self.accept(&listener)?,
            listener => {
                self.passive = listener;
                self.data()?
            }
        };
        if let Some(end) = self.quirks.stor_ends_with {
            let mut begun = vec![0; 1024];
            let count = data.read(&mut begun).unwrap_or(0);
            drop(data);
            if self.quirks.keeps_stumps {
                begun.truncate(count);
                let stump = Node::File { content: begun, mtime: "20240102030405".into() };
                self.state.tree.lock().unwrap().insert(path, stump);
            }
            return self.say(end);
        }
        let mut content = match self.node(&path) {
            Some(Node::File { mut content, .. }) => {
                content.truncate(std::mem::take(&mut self.offset));
                content
            }
            _ => Vec::new(),
        };
        let held = content.len();
        let is_cut = data.read_to_end(&mut content).is_err();
        match self.mishap {
            Some(Mishap::PourOnData) => while data.write_all(&[b'x'; 65_536]).is_ok() {},
            Some(Mishap::DripOnData) => {
                let mut below = data.socket();
                below.write_all(&[23, 3, 3, 64, 0])?;
                while below.write_all(b"x").is_ok() {
                    std::thread::sleep(Duration::from_millis(20));
                }
            }
            _ => {}
        }
        if is_cut && self.quirks.wants_goodbye {
            content.truncate(content.len().saturating_sub(10));
            self.state
                .tree
                .lock()
                .unwrap()
                .insert(path, Node::File { content, mtime: "20240102030405".into() });
            return self.say("226 stored");
        }
        self.state.stored.fetch_add(content.len() - held, Ordering::SeqCst);
        if is_late {
            self.say("150 here it came")?;
        }
        if self.quirks.loses_last_byte
            || self.quirks.loses_last_byte_of.is_some_and(|part| path.contains(part))
        {
            content.pop();
        }
        if self.quirks.loses_all {
            content.clear();
        }
        let mut content = self.perhaps_flipped("STOR", content);
        if self.quirks.rewrites_line_ends {
            content.retain(|byte| *byte != b'\r');
        }
        let mtime = "20240102030405".to_owned();
        if !(is_cut && self.quirks.stores_hidden) {
            self.state.tree.lock().unwrap().insert(path, Node::File { content, mtime });
        }
        if self.quirks.no_226 {
            return Ok(true);
        }
        self.say(if is_cut { "426 cut" } else { "226 stored" })
    }

    /// What a transfer makes of a content, once.
    fn perhaps_flipped(&self, verb: &str, mut content: Vec<u8>) -> Vec<u8> {
        let flips = self.quirks.flips_a_bit == Some(verb) && !content.is_empty();
        if flips && !self.state.has_flipped.swap(true, Ordering::SeqCst) {
            content[0] ^= 1;
        }
        content
    }

    fn checksum(&mut self, verb: &str, path: &str) -> Goes {
        let Some(Node::File { content, .. }) = self.node(path) else { return self.say("550 no such file") };
        let algorithm = match verb {
            "XMD5" => Algorithm::Md5,
            "XCRC" => Algorithm::Crc32,
            "XSHA" | "XSHA1" => Algorithm::Sha1,
            "XSHA512" => Algorithm::Sha512,
            "HASH" => self.hash.unwrap_or(Algorithm::Sha256),
            _ => Algorithm::Sha256,
        };
        let value = Digest::of(algorithm, &mut content.as_slice()).unwrap().to_uppercase();
        match verb {
            "HASH" => self.say(&format!("213 {} 0-{} {value} {path}", algorithm.name(), content.len())),
            _ => self.say(&format!("250 {value}")),
        }
    }

    fn set_time_by_five(&mut self, argument: &str) -> Goes {
        match argument.rsplitn(5, ' ').collect::<Vec<_>>()[..] {
            ["UTC", digits, _, _, path] => self.set_time(&format!("{digits} {path}")),
            _ => self.say("501 path time time time UTC"),
        }
    }

    fn set_time(&mut self, argument: &str) -> Goes {
        let (digits, path) = argument.split_once(' ').unwrap_or(("", argument));
        let path = self.absolute(path.split(" 2020").next().unwrap_or(path));
        let digits = &moved(digits, -self.quirks.mfmt_zone);
        if let Some(Node::File { mtime, .. }) = self.state.tree.lock().unwrap().get_mut(&path) {
            *mtime = digits.to_owned();
        } else {
            return self.say("550 no such file");
        }
        self.say(&format!("213 Modify={digits}; {path}"))
    }

    fn remove(&mut self, path: &str, wants_folder: bool) -> Goes {
        let prefix = format!("{path}/");
        let is_right = match self.node(path) {
            Some(Node::Folder) => {
                let mut tree = self.state.tree.lock().unwrap().clone().into_keys();
                wants_folder && !tree.any(|path| path.starts_with(&prefix))
            }
            Some(Node::File { .. }) => !wants_folder,
            None => false,
        };
        if !is_right {
            return self.say("550 cannot remove");
        }
        self.state.tree.lock().unwrap().remove(path);
        self.say(self.quirks.says_for_done.unwrap_or("250 removed"))
    }

    fn make(&mut self, path: String) -> Goes {
        if self.node(&path).is_some() || !self.has_folder_above(&path) {
            return self.say("550 cannot make");
        }
        self.state.tree.lock().unwrap().insert(path, Node::Folder);
        self.say(self.quirks.says_for_done.unwrap_or("257 made"))
    }

    fn rename(&mut self, to: String) -> Goes {
        let Some(from) = self.rename_from.take() else {
            return self.say("503 RNFR first");
        };
        let is_free = self.node(&to).is_none();
        if !self.has_folder_above(&to) || (self.quirks.keeps_existing && !is_free) {
            return self.say("550 cannot rename to that");
        }
        if self.quirks.pretends_to_replace && !is_free {
            return self.say("250 renamed");
        }
        let mut tree = self.state.tree.lock().unwrap();
        if let Some(node) = tree.remove(&from) {
            tree.insert(to, node);
        }
        drop(tree);
        self.say(self.quirks.says_for_done.unwrap_or("250 renamed"))
    }
}

/// A path as Windows takes it.
fn as_on_windows(path: &str) -> String {
    let names = path.split(['/', '\\']).map(|name| name.trim_end_matches(['.', ' ']));
    names.collect::<Vec<_>>().join("/")
}

/// A passive reply with its port.
fn filled(says: Option<&str>, port: u16) -> String {
    let (high, low) = (port / 256, port % 256);
    let says = says.unwrap_or_default().replace("{port}", &port.to_string());
    says.replace("{high}", &high.to_string()).replace("{low}", &low.to_string())
}

/// A time some seconds later.
fn moved(digits: &str, seconds: i64) -> String {
    let at = ftpsync::wire::ftp::time::parse(digits).expect("a time").seconds() + seconds;
    ftpsync::wire::ftp::time::digits(ftpsync::model::Stamp::new(at, 0))
}
