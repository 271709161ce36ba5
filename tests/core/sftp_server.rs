//! An SSH server inside the tests that can be told to be odd. It serves a folder of the disk as `/`.

use russh::keys::PrivateKey;
use russh::server::{self, Auth, ChannelOpenHandle, Msg, Response, Session};
use russh::{Channel, ChannelId, MethodKind, MethodSet, SshId};
use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::net::{Shutdown, TcpStream};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::Runtime;

/// A key that only tests use.
const HOST_KEY: &str = "-----BEGIN OPENSSH PRIVATE KEY-----
b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZW
QyNTUxOQAAACCzPq7zfqLffKoBDe/eo04kH2XxtSmk9D7RQyf1xUqrYgAAAJgAIAxdACAM
XQAAAAtzc2gtZWQyNTUxOQAAACCzPq7zfqLffKoBDe/eo04kH2XxtSmk9D7RQyf1xUqrYg
AAAEC2BsIi0QwW2uFscKTUUXNHLsYX4FxlaSDSblbAj7WR7bM+rvN+ot98qgEN796jTiQf
ZfG1KaT0PtFDJ/XFSqtiAAAAEHVzZXJAZXhhbXBsZS5jb20BAgMEBQ==
-----END OPENSSH PRIVATE KEY-----
";

/// How a server behaves.
#[derive(Debug, Clone)]
pub struct Habits {
    /// How it takes the password "right": as such, or as the answer to a question.
    pub login: MethodKind,
    /// It has passwords, too, but none is right.
    pub refuses_passwords: bool,
    /// It also wants the answer to a second question.
    pub asks_twice: bool,
    /// It has an SFTP server at all.
    pub has_sftp: bool,
    /// Something prints this before the SFTP server begins; and this as an error, without an SFTP server.
    pub greets: &'static str,
    pub complains: &'static str,
    /// It knows the extensions of OpenSSH.
    pub has_extensions: bool,
    /// The most bytes that it gives for one READ.
    pub most: usize,
    /// Answers that are under way together come in reverse order.
    pub is_reversed: bool,
    /// It dates files when they are closed, and forgets what it was told.
    pub forgets_times: bool,
    /// It refuses to be told times, as AWS does.
    pub refuses_times: bool,
    /// It loses the last byte of every file, and says nothing.
    pub loses_a_byte: bool,
    /// Names that it lists beside those that are there.
    pub more_names: Vec<&'static [u8]>,
    /// Listings do not tell what names are.
    pub lists_names_only: bool,
    /// After so many bytes of files the connection ends, then after so many more, and so on.
    pub cuts: Arc<Mutex<VecDeque<usize>>>,
    /// The connection ends when a file has been opened.
    pub ends_at_open: bool,
    /// Where the bytes of files began that were read or written, in the order of the requests.
    pub offsets: Arc<Mutex<Vec<u64>>>,
    /// The requests by which names were changed: `rename`, or the name of an extension.
    pub renames: Arc<Mutex<Vec<String>>>,
    /// Temporary files that begin with this content are not given another name.
    pub refuses_to_place: Option<&'static [u8]>,
    /// It waits so long before it answers what came together.
    pub pause: Duration,
    /// It has no rename but the one that replaces.
    pub refuses_plain_rename: bool,
    /// How many files and folders may be open at a time in one session.
    pub most_open: usize,
    /// How many requests came together, each time that some came.
    pub bursts: Arc<Mutex<Vec<usize>>>,
    /// Somebody else makes a file of this name, with this name as its content, just before a file is given it.
    pub taken_by_others: Option<&'static str>,
    /// Open handles of all sessions together, and how many there may be.
    pub shared_open: Arc<Mutex<usize>>,
    pub most_shared: usize,
    /// Answers that nobody has asked for before the first one to READ: of how many bytes each, and how many.
    pub flood: (usize, usize),
    /// Bytes for which there is room: larger pieces are refused, without a reason.
    pub room: u64,
    pub refuses_writes: bool,
    /// It renames nothing.
    pub denies_renames: bool,
    /// Nothing can be made in folders of this name.
    pub closed: Option<&'static str>,
    /// It says that it has given a file this name, and has not.
    pub forgets_to_place: Option<&'static str>,
    /// SFTP sessions that run.
    pub sessions: Arc<Mutex<usize>>,
    /// It takes files of this name away, as soon as they have it.
    pub takes_away: Option<&'static str>,
    /// Of what comes together, it reads files last.
    pub reads_last: bool,
    /// Of what comes together, it renames files last.
    pub renames_last: bool,
    /// Somebody else writes other bytes over a file before a piece from the middle of it is read.
    pub is_overwritten: bool,
    /// It ends listings with no names.
    pub ends_without_a_word: bool,
    /// So many answers to READDIR hold no names before the first one that does.
    pub empty_pages: Arc<Mutex<usize>>,
    /// How long it waits between two bytes of a listing.
    pub drips: Duration,
    /// The most bytes of one READ or WRITE, as it says itself.
    pub limit: Option<u64>,
    /// How it introduces itself, and the connections that were made with it.
    pub introduces: &'static str,
    pub connections: Arc<Mutex<usize>>,
    /// It is at the end of a slow line: bytes come and go so many at a time, with a pause.
    pub trickles: Option<(usize, Duration)>,
}

impl Default for Habits {
    fn default() -> Self {
        Habits {
            login: MethodKind::Password,
            refuses_passwords: false,
            asks_twice: false,
            has_sftp: true,
            greets: "",
            complains: "",
            has_extensions: true,
            most: 1 << 20,
            is_reversed: false,
            forgets_times: false,
            refuses_times: false,
            loses_a_byte: false,
            more_names: Vec::new(),
            lists_names_only: false,
            cuts: Arc::default(),
            ends_at_open: false,
            offsets: Arc::default(),
            renames: Arc::default(),
            refuses_to_place: None,
            pause: Duration::ZERO,
            refuses_plain_rename: false,
            most_open: usize::MAX,
            bursts: Arc::default(),
            taken_by_others: None,
            shared_open: Arc::default(),
            most_shared: usize::MAX,
            flood: (0, 0),
            room: u64::MAX,
            refuses_writes: false,
            denies_renames: false,
            closed: None,
            forgets_to_place: None,
            takes_away: None,
            sessions: Arc::default(),
            reads_last: false,
            renames_last: false,
            is_overwritten: false,
            ends_without_a_word: false,
            empty_pages: Arc::default(),
            drips: Duration::ZERO,
            limit: None,
            introduces: "SSH-2.0-test",
            connections: Arc::default(),
            trickles: None,
        }
    }
}

/// A running server.
pub struct SftpServer {
    pub folder: tempfile::TempDir,
    pub port: u16,
    _runtime: Runtime,
}

impl SftpServer {
    pub fn start(habits: Habits) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let runtime = Runtime::new().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let port = listener.local_addr().unwrap().port();
        let usual = server::Config::default();
        // What has not been read makes the other side wait, as on a line that takes no more.
        let (window_size, channel_buffer_size) = match habits.trickles {
            Some((bytes, _)) => (4 * bytes as u32, 1),
            None => (usual.window_size, usual.channel_buffer_size),
        };
        let config = Arc::new(server::Config {
            server_id: SshId::Standard(Cow::Borrowed(habits.introduces)),
            window_size,
            channel_buffer_size,
            maximum_packet_size: habits.trickles.map_or(usual.maximum_packet_size, |(bytes, _)| bytes as u32),
            keys: vec![PrivateKey::from_openssh(HOST_KEY).unwrap()],
            methods: if habits.refuses_passwords {
                MethodSet::from([MethodKind::Password, habits.login].as_slice())
            } else {
                MethodSet::from([habits.login].as_slice())
            },
            auth_rejection_time: std::time::Duration::ZERO,
            ..usual
        });
        let root = folder.path().to_owned();
        runtime.spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                *habits.connections.lock().unwrap() += 1;
                let socket = socket.into_std().unwrap();
                let line = Arc::new(socket.try_clone().unwrap());
                let socket = tokio::net::TcpStream::from_std(socket).unwrap();
                let client = Client {
                    habits: habits.clone(),
                    root: root.clone(),
                    channels: HashMap::new(),
                    round: 0,
                    line,
                };
                let config = Arc::clone(&config);
                tokio::spawn(async move {
                    if let Ok(session) = server::run_stream(config, socket, client).await {
                        let _ = session.await;
                    }
                });
            }
        });
        SftpServer { folder, port, _runtime: runtime }
    }
}

struct Client {
    habits: Habits,
    root: PathBuf,
    channels: HashMap<ChannelId, Channel<Msg>>,
    round: usize,
    /// The connection, to be broken.
    line: Arc<TcpStream>,
}

impl server::Handler for Client {
    type Error = russh::Error;

    async fn auth_password(&mut self, _: &str, password: &str) -> Result<Auth, russh::Error> {
        let is_right = password == "right" && !self.habits.refuses_passwords;
        Ok(if is_right { Auth::Accept } else { Auth::reject() })
    }

    async fn auth_keyboard_interactive<'a>(
        &'a mut self,
        _: &str,
        _: &str,
        response: Option<Response<'a>>,
    ) -> Result<Auth, russh::Error> {
        let answers: Vec<Vec<u8>> = response.into_iter().flatten().map(|answer| answer.to_vec()).collect();
        let questions = if self.habits.asks_twice { 2 } else { 1 };
        if (1..=questions).contains(&self.round) && answers != [b"right".to_vec()] {
            return Ok(Auth::reject());
        }
        if self.round == questions + 1 {
            return Ok(if answers.is_empty() { Auth::Accept } else { Auth::reject() });
        }
        self.round += 1;
        if self.round == questions + 1 {
            // As OpenSSH with PAM: in the end it asks nothing, and wants no answer to it.
            return Ok(Auth::Partial {
                name: Cow::Borrowed(""),
                instructions: Cow::Borrowed("Welcome"),
                prompts: Cow::Borrowed(&[]),
            });
        }
        Ok(Auth::Partial {
            name: Cow::Borrowed(""),
            instructions: Cow::Borrowed(""),
            prompts: Cow::Borrowed(&[(Cow::Borrowed("Password: "), false)]),
        })
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), russh::Error> {
        self.channels.insert(channel.id(), channel);
        reply.accept().await;
        Ok(())
    }

    async fn subsystem_request(
        &mut self,
        id: ChannelId,
        name: &str,
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        let Some(channel) = self.channels.remove(&id).filter(|_| name == "sftp" && self.habits.has_sftp)
        else {
            return session.channel_failure(id);
        };
        session.channel_success(id)?;
        session.data(id, self.habits.greets.as_bytes().to_vec())?;
        if !self.habits.complains.is_empty() {
            session.extended_data(id, 1, self.habits.complains.as_bytes().to_vec())?;
            return session.close(id);
        }
        let files = Files {
            habits: self.habits.clone(),
            root: self.root.clone(),
            open: HashMap::new(),
            next: 0,
            line: Arc::clone(&self.line),
        };
        let sessions = Arc::clone(&self.habits.sessions);
        *sessions.lock().unwrap() += 1;
        tokio::spawn(async move {
            files.serve(channel.into_stream()).await;
            *sessions.lock().unwrap() -= 1;
        });
        Ok(())
    }
}

enum Opened {
    File(File),
    Folder(Vec<Vec<u8>>, PathBuf),
}

struct Files {
    habits: Habits,
    root: PathBuf,
    open: HashMap<u8, Opened>,
    next: u8,
    line: Arc<TcpStream>,
}

/// Reads a packet field by field.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn number(&mut self) -> u32 {
        let (head, rest) = self.0.split_at(4);
        self.0 = rest;
        u32::from_be_bytes(head.try_into().unwrap())
    }

    fn long(&mut self) -> u64 {
        u64::from(self.number()) << 32 | u64::from(self.number())
    }

    fn text(&mut self) -> &'a [u8] {
        let length = self.number() as usize;
        let (head, rest) = self.0.split_at(length);
        self.0 = rest;
        head
    }
}

fn text(bytes: &[u8]) -> Vec<u8> {
    [&u32::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat()
}

fn status(code: u32) -> (u8, Vec<u8>) {
    (101, [code.to_be_bytes().to_vec(), text(b""), text(b"")].concat())
}

fn refused(error: &io::Error) -> (u8, Vec<u8>) {
    status(match error.kind() {
        ErrorKind::NotFound => 2,
        ErrorKind::PermissionDenied => 3,
        _ => 4,
    })
}

fn attributes(found: &fs::Metadata) -> Vec<u8> {
    // As OpenSSH, which cuts times before 1970, too.
    let mtime = found.mtime() as u32;
    let numbers = [found.mode(), mtime, mtime].map(u32::to_be_bytes).concat();
    [13_u32.to_be_bytes().to_vec(), found.len().to_be_bytes().to_vec(), numbers].concat()
}

/// Writes other bytes over all of a file that is open for reading.
fn overwrite(file: &File) -> io::Result<()> {
    let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(file));
    let length = file.metadata()?.len() as usize;
    OpenOptions::new().write(true).open(path)?.write_all_at(&vec![b'!'; length], 0)
}

impl Files {
    async fn serve<S: AsyncReadExt + AsyncWriteExt + Unpin>(mut self, mut stream: S) {
        let mut waiting = Vec::new();
        let mut buffer = vec![0; 1 << 18];
        while let Ok(count @ 1..) = stream.read(&mut buffer).await {
            waiting.extend_from_slice(&buffer[..count]);
            if let Some((_, pause)) = self.habits.trickles {
                tokio::time::sleep(pause).await;
            }
            let (mut packets, mut replies) = (Vec::new(), Vec::new());
            while waiting.len() >= 4 {
                let length = u32::from_be_bytes(waiting[..4].try_into().unwrap()) as usize;
                if waiting.len() < 4 + length {
                    break;
                }
                packets.push(waiting.drain(..4 + length).skip(4).collect::<Vec<u8>>());
            }
            packets.sort_by_key(|packet| self.habits.reads_last && packet[0] == 5);
            let is_rename = |packet: &[u8]| {
                packet[0] == 18 || packet.get(9..).is_some_and(|rest| rest.starts_with(b"posix-rename"))
            };
            packets.sort_by_key(|packet| self.habits.renames_last && is_rename(packet));
            let drips =
                if packets.iter().any(|packet| packet[0] == 12) { self.habits.drips } else { Duration::ZERO };
            for packet in packets {
                if packet[0] == 5 && self.habits.flood.1 > 0 {
                    let (size, count) = std::mem::take(&mut self.habits.flood);
                    let data = text(&vec![7; size]);
                    for id in (0xF000_0000_u32..).take(count) {
                        let reply = text(&[&[103], id.to_be_bytes().as_slice(), &data].concat());
                        if stream.write_all(&reply).await.is_err() {
                            return;
                        }
                    }
                }
                replies.push(self.reply(&packet));
                if self.is_cut(&packet) {
                    return drop(self.line.shutdown(Shutdown::Both));
                }
            }
            if !replies.is_empty() {
                self.habits.bursts.lock().unwrap().push(replies.len());
            }
            if self.habits.is_reversed {
                replies.reverse();
            }
            tokio::time::sleep(self.habits.pause).await;
            let bytes = replies.concat();
            let (step, pause) = match self.habits.trickles {
                Some(trickle) => trickle,
                None if drips.is_zero() => (bytes.len().max(1), drips),
                None => (1, drips),
            };
            for some in bytes.chunks(step) {
                if stream.write_all(some).await.is_err() {
                    return;
                }
                tokio::time::sleep(pause).await;
            }
        }
    }

    /// Counts the bytes of a READ or WRITE; true if these were too many for this session, or if it ends with this packet.
    fn is_cut(&self, packet: &[u8]) -> bool {
        if packet[0] == 3 && self.habits.ends_at_open {
            return true;
        }
        if !matches!(packet[0], 5 | 6) {
            return false;
        }
        let mut fields = Fields(&packet[5..]);
        let (_, offset, length) = (fields.text(), fields.long(), fields.number() as usize);
        self.habits.offsets.lock().unwrap().push(offset);
        let mut cuts = self.habits.cuts.lock().unwrap();
        let Some(left) = cuts.front_mut() else { return false };
        if *left > length {
            *left -= length;
            return false;
        }
        cuts.pop_front();
        true
    }

    fn reply(&mut self, packet: &[u8]) -> Vec<u8> {
        if packet[0] == 1 {
            let extensions: &[&[u8]] = if self.habits.has_extensions {
                &[b"posix-rename@openssh.com", b"1", b"fsync@openssh.com", b"1", b"statvfs@openssh.com", b"2"]
            } else {
                &[]
            };
            let limits: &[&[u8]] =
                if self.habits.limit.is_some() { &[b"limits@openssh.com", b"1"] } else { &[] };
            let named = extensions.iter().chain(limits).flat_map(|name| text(name));
            return text(&[2, 0, 0, 0, 3].into_iter().chain(named).collect::<Vec<u8>>());
        }
        let mut fields = Fields(&packet[1..]);
        let id = fields.number();
        let (code, body) = self.act(packet[0], fields).unwrap_or_else(|error| refused(&error));
        text(&[&[code], id.to_be_bytes().as_slice(), &body].concat())
    }

    fn act(&mut self, code: u8, mut fields: Fields<'_>) -> io::Result<(u8, Vec<u8>)> {
        let done = Ok(status(0));
        match code {
            3 | 11 if *self.habits.shared_open.lock().unwrap() >= self.habits.most_shared => Ok(status(4)),
            3 | 11 if self.open.len() >= self.habits.most_open => Ok(status(4)),
            3 => {
                let path = self.path(fields.text());
                let flags = fields.number();
                // Who runs the tests may be allowed everything.
                if flags & 2 != 0 && fs::metadata(&path).is_ok_and(|found| found.mode() & 0o200 == 0) {
                    return Ok(status(3));
                }
                let mut options = OpenOptions::new();
                options.read(flags & 1 != 0).write(flags & 2 != 0).truncate(flags & 0x10 != 0);
                let is_new = flags & 0x20 != 0;
                let file = options.create(flags & 8 != 0 && !is_new).create_new(is_new).open(&path)?;
                self.keep(Opened::File(file))
            }
            4 => {
                *self.habits.shared_open.lock().unwrap() -= 1;
                if let Some(Opened::File(file)) = self.open.remove(&fields.text()[1]) {
                    let length = file.metadata()?.len();
                    // A file that is only read cannot be cut.
                    if self.habits.loses_a_byte && length > 0 {
                        let _ = file.set_len(length - 1);
                    }
                }
                done
            }
            5 => {
                let handle = fields.text();
                let (offset, length) = (fields.long(), (fields.number() as usize).min(self.habits.most));
                let Some(Opened::File(file)) = self.open.get(&handle[1]) else { return Ok(status(4)) };
                if self.habits.is_overwritten && (1..file.metadata()?.len()).contains(&offset) {
                    overwrite(file)?;
                }
                let mut data = vec![0; length];
                match file.read_at(&mut data, offset)? {
                    0 => Ok(status(1)),
                    count => Ok((103, text(&data[..count]))),
                }
            }
            6 => {
                let handle = fields.text();
                let (offset, data) = (fields.long(), fields.text());
                let Some(Opened::File(file)) = self.open.get(&handle[1]) else { return Ok(status(4)) };
                if data.len() as u64 > self.habits.room || self.habits.refuses_writes {
                    return Ok(status(4));
                }
                file.write_all_at(data, offset)?;
                done
            }
            7 => Ok((105, attributes(&fs::symlink_metadata(self.path(fields.text()))?))),
            8 => match self.open.get(&fields.text()[1]) {
                Some(Opened::File(file)) => Ok((105, attributes(&file.metadata()?))),
                _ => Ok(status(4)),
            },
            9 => {
                let path = self.path(fields.text());
                let flags = fields.number();
                if flags & 8 != 0 && self.habits.refuses_times {
                    return Ok(status(8));
                }
                if flags == 8 && !self.habits.forgets_times {
                    let (_, mtime) = (fields.number(), fields.number());
                    filetime::set_file_mtime(path, filetime::FileTime::from_unix_time(mtime.into(), 0))?;
                }
                done
            }
            10 if self.habits.refuses_times => Ok(status(8)),
            10 => {
                let handle = fields.text();
                if let (4, Some(Opened::File(file))) = (fields.number(), self.open.get(&handle[1])) {
                    file.set_permissions(fs::Permissions::from_mode(fields.number() & 0o7777))?;
                }
                done
            }
            11 => {
                let path = self.path(fields.text());
                let names = fs::read_dir(&path)?.map(|item| item.map(|item| item.file_name().into_vec()));
                let mut names: Vec<Vec<u8>> = names.collect::<io::Result<_>>()?;
                names.extend(self.habits.more_names.iter().map(|name| name.to_vec()));
                self.keep(Opened::Folder(names, path))
            }
            12 => {
                let lists_names_only = self.habits.lists_names_only;
                let Some(Opened::Folder(names, path)) = self.open.get_mut(&fields.text()[1]) else {
                    return Ok(status(4));
                };
                let mut empty_pages = self.habits.empty_pages.lock().unwrap();
                if *empty_pages > 0 {
                    *empty_pages -= 1;
                    return Ok((104, 0_u32.to_be_bytes().to_vec()));
                }
                // A few at a time, so that a client has to ask again.
                let some: Vec<Vec<u8>> = names.drain(..names.len().min(3)).collect();
                if some.is_empty() && !self.habits.ends_without_a_word {
                    return Ok(status(1));
                }
                let mut body = u32::try_from(some.len()).unwrap().to_be_bytes().to_vec();
                for name in some {
                    let found = fs::symlink_metadata(path.join(std::ffi::OsStr::from_bytes(&name)));
                    body.extend([text(&name), text(b"")].concat());
                    body.extend(match found {
                        Ok(found) if !lists_names_only => attributes(&found),
                        _ => 0_u32.to_be_bytes().to_vec(),
                    });
                }
                Ok((104, body))
            }
            13 => fs::remove_file(self.path(fields.text())).and(done),
            14 => {
                let path = self.path(fields.text());
                let is_closed = self
                    .habits
                    .closed
                    .is_some_and(|name| path.parent().is_some_and(|above| above.ends_with(name)));
                if is_closed && !path.exists() {
                    return Err(ErrorKind::PermissionDenied.into());
                }
                fs::create_dir(path).and(done)
            }
            15 => fs::remove_dir(self.path(fields.text())).and(done),
            16 => {
                let path = fields.text();
                Ok((104, [1_u32.to_be_bytes().to_vec(), text(path), text(b""), vec![0; 4]].concat()))
            }
            17 => Ok((105, attributes(&fs::metadata(self.path(fields.text()))?))),
            18 if self.habits.denies_renames => Ok(status(3)),
            18 => {
                let (from, to) = (self.path(fields.text()), self.path(fields.text()));
                self.habits.renames.lock().unwrap().push("rename".into());
                if let Some(name) = self.habits.taken_by_others.filter(|name| to.ends_with(name)) {
                    fs::write(&to, name)?;
                }
                if to.exists() || self.habits.refuses_plain_rename {
                    Ok(status(4))
                } else {
                    self.rename(&from, &to)
                }
            }
            200 if self.habits.has_extensions => match fields.text() {
                name @ b"posix-rename@openssh.com" => {
                    self.habits.renames.lock().unwrap().push(String::from_utf8_lossy(name).into_owned());
                    let (from, to) = (self.path(fields.text()), self.path(fields.text()));
                    self.rename(&from, &to)
                }
                b"statvfs@openssh.com" => {
                    let units = [4096, 1, 1, 0, self.habits.room];
                    Ok((201, units.iter().flat_map(|unit: &u64| unit.to_be_bytes()).collect()))
                }
                b"limits@openssh.com" => {
                    let limit = self.habits.limit.unwrap_or_default();
                    Ok((201, [limit; 4].iter().flat_map(|limit| limit.to_be_bytes()).collect()))
                }
                _ => done,
            },
            _ => Ok(status(8)),
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<(u8, Vec<u8>)> {
        if self.habits.denies_renames {
            return Ok(status(3));
        }
        if self.habits.forgets_to_place.is_some_and(|name| to.ends_with(name)) {
            return Ok(status(0));
        }
        if self.habits.takes_away.is_some_and(|name| to.ends_with(name)) {
            fs::remove_file(from)?;
            return Ok(status(0));
        }
        let is_temporary = from.to_string_lossy().contains(".pyftpsync-tmp-");
        match self.habits.refuses_to_place {
            Some(start) if is_temporary && fs::read(from)?.starts_with(start) => Ok(status(3)),
            _ => fs::rename(from, to).map(|()| status(0)),
        }
    }

    fn keep(&mut self, opened: Opened) -> io::Result<(u8, Vec<u8>)> {
        self.next = self.next.wrapping_add(1);
        *self.habits.shared_open.lock().unwrap() += 1;
        self.open.insert(self.next, opened);
        // Handles are bytes, not text.
        Ok((102, text(&[0xff, self.next])))
    }

    fn path(&self, path: &[u8]) -> PathBuf {
        let below = path.strip_prefix(b"/").unwrap_or(path);
        self.root.join(std::ffi::OsStr::from_bytes(below))
    }
}
