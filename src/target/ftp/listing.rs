//! Listing one folder: MLSD where the server has it, else LIST with its guesses.

use super::control::Progress;
use super::data::{self, About, Begin};
use super::errors::refusal;
use super::learned::Lister;
use super::session::FtpSession;
use crate::error::{Error, Kind, Result, Retry};
use crate::model::{Entry, EntryKind, Listing, Name, Note, RelPath, Stamp};
use crate::target::litter;
use crate::target::names::Names;
use crate::target::pace::Pace;
use crate::wire::ftp::{Command, Item, ItemKind, Line, Reply, list, mlsd};
use std::collections::HashSet;
use std::io::{self, Read};
use std::time::{SystemTime, UNIX_EPOCH};

/// Questions about single files in one packet: short commands, short replies.
const QUESTIONS: usize = 200;
/// No honest line of a listing is longer, in bytes.
const MAX_LINE: usize = 64 * 1024;
/// Most listings are shorter, in bytes.
const USUAL_LISTING: usize = 16 * 1024;
/// No honest listing is longer, in bytes: half a million names and more. It has to fit into memory.
const MAX_LISTING: u64 = 64 * 1024 * 1024;
/// So many notes are kept on what a listing leaves out, and as many again on what is wrong with it.
const MOST_NOTES: usize = 1_000;
/// Known limits at which servers end a LIST without a word, in lines.
const SILENT_LIMITS: [usize; 3] = [1_000, 2_000, 10_000];
/// The same for MLSD. The servers that end it at a thousand, which is the number of many an honest folder, say so.
const SILENT_LIMITS_OF_MLSD: [usize; 2] = [2_000, 10_000];
/// Limits that operators choose are multiples of this.
const ROUND: usize = 500;
/// Lines that are no names of the folder: its own and that of its parent.
const DOTS: usize = 2;
/// Time zones differ by multiples of this, in seconds.
const ZONE_STEP: i64 = 15 * 60;

/// What to say of a listing that the server itself does not call whole.
const MAY_LACK: &str = "the listing may lack names";

/// What came over the data connection, and how it ended.
struct Raw {
    bytes: Vec<u8>,
    /// Why names may be missing although the server calls the listing complete.
    doubt: Option<Note>,
}

/// The format of the lines.
#[derive(Clone, Copy)]
enum Format {
    Machine,
    People { now: i64 },
}

impl FtpSession {
    /// See [`Session::list`](crate::target::Session::list).
    pub(super) fn list_folder(&mut self, dir: &RelPath) -> Result<Listing> {
        let path = self.path(dir)?;
        self.list_at(&path)
    }

    pub(super) fn list_at(&mut self, path: &[u8]) -> Result<Listing> {
        let lister = self.server.learned().lister;
        match lister {
            Some(Lister::Mlsd) => self.list_by_mlsd(path),
            None if self.features.has_mlsd() && !self.server.config.no_mlsd => self.list_by_mlsd(path),
            Some(Lister::List | Lister::ListAll) | None => self.list_by_list(path),
        }
    }

    fn list_by_mlsd(&mut self, path: &[u8]) -> Result<Listing> {
        self.try_mlsd(path).inspect_err(|error| {
            // What hung before was the request for the connection.
            if error.kind() == Kind::Timeout && self.control.progress() >= Progress::Connected {
                self.mlsd_has_stalled();
            }
        })
    }

    /// Some servers hang in the middle of MLSD. Where it has worked before, it may also have been the network, once.
    fn mlsd_has_stalled(&self) {
        let mut learned = self.server.learned();
        learned.mlsd_stalls += 1;
        if learned.mlsd_proven && learned.mlsd_stalls == 1 {
            return;
        }
        if learned.lister.replace(Lister::List) != Some(Lister::List) {
            let address = self.server.address();
            self.server.tell(3, format!("{address} hangs on MLSD; LIST is used from now on (--no-mlsd)"));
        }
    }

    fn try_mlsd(&mut self, path: &[u8]) -> Result<Listing> {
        let raw = match self.fetch_mlsd(path)? {
            Ok(raw) => raw,
            Err(reply) if is_no_such_command(&reply) => {
                self.server.learned().lister = Some(Lister::List);
                return self.list_by_list(path);
            }
            Err(reply) => return self.list_without_mlsd(path, &reply),
        };
        let mut listing = collect(&raw, Format::Machine, self.server.names);
        let is_garbage = listing.entries.is_empty() && !listing.complete;
        if (raw.bytes.is_empty() || is_garbage) && !self.server.learned().mlsd_proven {
            // Some servers offer MLSD and answer it with nothing, or with something else.
            let by_list = self.list_by_list(path)?;
            let is_left_out = |note: &Note| note.is_loss || note.is_error;
            if !by_list.entries.is_empty()
                || !by_list.present_but_skipped.is_empty()
                || by_list.notes.iter().any(is_left_out)
            {
                return Ok(by_list);
            }
            self.server.learned().lister = None;
        }
        if !raw.bytes.is_empty() && !is_garbage {
            let mut learned = self.server.learned();
            learned.mlsd_proven = true;
            learned.mlsd_names_folders |= names_the_folder(&raw.bytes);
            learned.lister = Some(Lister::Mlsd);
        }
        if raw.bytes.is_empty() && self.server.learned().mlsd_names_folders {
            let why = "this server lists at least the folder itself; the listing was cut";
            doubt(&mut listing, Note::lost("nothing at all", why));
        }
        // The other engine keeps the words to itself with which a server says that it has cut a listing short.
        let is_unheard = self.control.is_lent();
        distrust_numbers(&mut listing, |lines| {
            SILENT_LIMITS_OF_MLSD.contains(&lines) || is_unheard && lines.is_multiple_of(ROUND)
        });
        self.fill_in(path, &mut listing)?;
        Ok(listing)
    }

    /// MLSD was refused for a folder that may well be there. Some servers announce it and refuse it for every folder, in words
    /// that are about one; where it has never worked and LIST shows something, LIST is used from then on.
    fn list_without_mlsd(&mut self, path: &[u8], reply: &Reply) -> Result<Listing> {
        self.check_folder(path)?;
        let is_about_connection = matches!(reply.code(), 425 | 426 | 522);
        if !is_about_connection && !self.server.learned().mlsd_proven {
            match self.list_by_list(path) {
                Ok(listing) if !listing.entries.is_empty() => return Ok(listing),
                Err(error) if error.retry() == Retry::NewSession => return Err(error),
                Ok(_) | Err(_) => {}
            }
        }
        suspect_empty(reply)
    }

    /// MLSD with the path as argument; in the folder itself where the path may be taken for a pattern, or is refused.
    fn fetch_mlsd(&mut self, path: &[u8]) -> Result<std::result::Result<Raw, Reply>> {
        let is_pattern = path.iter().any(|byte| b"*?[]{}\\~".contains(byte));
        if !is_pattern {
            let (_, outcome) = self.fetch(&[], &Command::path("MLSD", path)?)?;
            match outcome {
                Err(reply) if reply.code() != 425 => {}
                outcome => return Ok(outcome),
            }
        }
        let mut outcome = self.fetch_inside(path, &Command::bare("MLSD"))?;
        if is_pattern && matches!(&outcome, Err(reply) if matches!(reply.code(), 500 | 501 | 504)) {
            // Synology insists on an argument.
            outcome = self.fetch_inside(path, &Command::text("MLSD", ".")?)?;
        }
        self.go_home()?;
        Ok(outcome)
    }

    fn list_by_list(&mut self, path: &[u8]) -> Result<Listing> {
        let known = self.server.learned().lister;
        let raw = match known {
            Some(Lister::ListAll) => self.fetch_inside(path, &list_all()?)?,
            Some(Lister::List | Lister::Mlsd) | None => self.fetch_by_better_list(path)?,
        };
        let raw = match raw {
            Ok(raw) => raw,
            Err(reply) => return self.unlisted(path, &reply),
        };
        let format = Format::People { now: now() };
        let mut listing = collect(&raw, format, self.server.names);
        let is_unheard = self.control.is_lent();
        distrust_numbers(&mut listing, |lines| {
            SILENT_LIMITS.contains(&lines) || is_unheard && lines.is_multiple_of(ROUND)
        });
        self.fill_in(path, &mut listing)?;
        self.shift_times(&mut listing);
        Ok(listing)
    }

    /// Plain LIST, and once `LIST -a` beside it: servers hide names with a dot from the first, or take the option of the
    /// second for a name. Whichever shows more wins, and is remembered once it has shown anything. One that may lack something
    /// says nothing of the other.
    fn fetch_by_better_list(&mut self, path: &[u8]) -> Result<std::result::Result<Raw, Reply>> {
        let plain = self.fetch_inside(path, &Command::bare("LIST"))?;
        if self.server.learned().list_is_plain {
            return Ok(plain);
        }
        let all = self.fetch_inside(path, &list_all()?)?;
        let (mut plain, all) = match (plain, all) {
            (Ok(plain), Ok(all)) => (plain, all),
            (Ok(plain), Err(refused)) => {
                // 450: "no such file", where the option is taken for one. Others may be of this moment.
                if !plain.bytes.is_empty() && (refused.code() >= 500 || refused.code() == 450) {
                    self.learn_plain_list();
                }
                return Ok(Ok(plain));
            }
            (Err(_), Ok(all)) if !all.bytes.is_empty() => return Ok(Ok(all)),
            (Err(refused), _) => return Ok(Err(refused)),
        };
        let format = Format::People { now: now() };
        let (shown, shown_by_all) =
            (collect(&plain, format, self.server.names), collect(&all, format, self.server.names));
        let count = |listing: &Listing| listing.entries.len() + listing.present_but_skipped.len();
        let has_more = !all.bytes.is_empty()
            && (count(&shown_by_all), all.bytes.len()) >= (count(&shown), plain.bytes.len());
        match (shown.complete, shown_by_all.complete) {
            (true, true) if has_more => {
                self.server.learned().lister = Some(Lister::ListAll);
                Ok(Ok(all))
            }
            (true, true) if !plain.bytes.is_empty() => {
                self.learn_plain_list();
                Ok(Ok(plain))
            }
            // Without a name in it, it is the complaint about an option.
            (true, false) if count(&shown_by_all) == 0 && !plain.bytes.is_empty() => {
                self.learn_plain_list();
                Ok(Ok(plain))
            }
            (true, false) if count(&shown_by_all) > count(&shown) => Ok(Ok(all)),
            (true, false) if count(&shown_by_all) > 0 && has_others(&shown_by_all, &shown) => {
                plain.doubt = Some(Note::new("names that begin with a dot", MAY_LACK));
                Ok(Ok(plain))
            }
            (false, _) if has_more && count(&shown_by_all) >= count(&shown) => Ok(Ok(all)),
            _ => Ok(Ok(plain)),
        }
    }

    fn learn_plain_list(&self) {
        let mut learned = self.server.learned();
        learned.lister = Some(Lister::List);
        learned.list_is_plain = true;
    }

    /// Enters the folder and lists it without an argument. A folder that cannot be entered is the refusal.
    fn fetch_inside(&mut self, path: &[u8], verb: &Command) -> Result<std::result::Result<Raw, Reply>> {
        let cwd = Command::path("CWD", path)?;
        if self.home.is_some() {
            // Not along with the transfer, which may be tried twice: there might be a folder of that name inside, too.
            let entered = self.control.ask(&cwd)?;
            if !entered.is_success() {
                return Ok(Err(entered));
            }
            self.has_strayed = true;
            let fetched = self.fetch(&[], verb);
            // Whatever became of the listing: the next path counts from the root.
            if self.control.check().is_ok() {
                self.come_back(path)?;
            }
            return fetched.map(|(_, outcome)| outcome);
        }
        self.has_strayed = true;
        let (before, outcome) = self.fetch(&[cwd], verb)?;
        match before.into_iter().next() {
            Some(entered) if !entered.is_success() => Ok(Err(entered)),
            _ => Ok(outcome),
        }
    }

    /// Runs a transfer and collects what it brings.
    fn fetch(
        &mut self,
        before: &[Command],
        verb: &Command,
    ) -> Result<(Vec<Reply>, std::result::Result<Raw, Reply>)> {
        let started = data::start(&self.server, &mut self.control, before, verb, Begin::WhenAgreed)?;
        let channel = match started.outcome {
            Ok(channel) => channel,
            // Not about the folder, which would be taken for an empty one.
            Err(reply)
                if started.about == About::Connection
                    && matches!(reply.code(), 450 | 550)
                    && started.before.iter().all(|reply| reply.code() < 400) =>
            {
                let advice =
                    "this is about the data connection; \"pyftpsync doctor URL\" tries all ways to make one";
                return Err(refusal(&reply).advise(advice));
            }
            Err(reply) => return Ok((started.before, Err(reply))),
        };
        let (mut stream, early) = channel.into_parts();
        let mut bytes = Vec::with_capacity(USUAL_LISTING);
        let mut paced = Paced { source: &mut stream, pace: Pace::new(self.server.config.timeout) };
        let ended = (&mut paced).take(MAX_LISTING + 1).read_to_end(&mut bytes);
        let pace = paced.pace;
        if pace.is_too_slow() || bytes.len() as u64 > MAX_LISTING {
            self.control.doubt();
            stream.reset();
            return Err(if pace.is_too_slow() {
                pace.error("the listing of this folder")
            } else {
                has_no_end()
            });
        }
        let reply = data::confirmation(&mut self.control, stream, early)?;
        if !reply.is_success() {
            // 450 and 550 after an empty listing: some servers say so when there is nothing to list.
            if bytes.is_empty() && matches!(reply.code(), 450 | 550) {
                return Ok((started.before, Err(reply)));
            }
            return Err(refusal(&reply));
        }
        let doubt = match ended {
            Ok(_) => doubt_of(&reply),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Some(Note::new("the encrypted connection of the listing was cut", MAY_LACK))
            }
            Err(error) => {
                self.control.doubt();
                return Err(super::control::lost(error, &self.server));
            }
        };
        Ok((started.before, Ok(Raw { bytes, doubt })))
    }

    /// The listing was refused. If the folder can be entered, it is probably empty, but nothing may be deleted for that.
    fn unlisted(&mut self, path: &[u8], reply: &Reply) -> Result<Listing> {
        self.check_folder(path)?;
        suspect_empty(reply)
    }

    /// Makes sure that a folder is there: it can be entered.
    fn check_folder(&mut self, path: &[u8]) -> Result<()> {
        let entered = self.control.ask(&Command::path("CWD", path)?)?;
        if entered.is_success() {
            return self.come_back(path);
        }
        let error = refusal(&entered);
        Err(match (entered.code(), error.kind()) {
            (550, Kind::Refused) => {
                Error::new(Kind::NotFound, error.detail()).with_reply(550, entered.text())
            }
            _ => error,
        })
    }

    /// Moves the times of LIST from the time zone of the server to UTC, as far as MDTM (which is UTC) has shown the
    /// difference for some file. Without MDTM they are taken for UTC.
    fn shift_times(&self, listing: &mut Listing) {
        let offset = self.server.learned().list_offset.unwrap_or(0);
        for entry in &mut listing.entries {
            if let Some(at) = entry.mtime.filter(|at| at.grain() > 1) {
                entry.mtime = Some(Stamp::new(at.seconds() + offset, at.nanos()).with_grain(at.grain()));
                entry.mtime_org = entry.mtime;
            }
        }
    }

    /// Asks for sizes and times of files that the listing does not tell, or only to the minute or the day, in bursts.
    ///
    /// A coarse time would make every edit within its grain invisible, and give a downloaded file a wrong one.
    fn fill_in(&mut self, path: &[u8], listing: &mut Listing) -> Result<()> {
        let (has_size, has_time) = (self.knows("SIZE"), self.knows("MDTM"));
        let mut questions = Vec::new();
        for (index, entry) in listing.entries.iter().enumerate() {
            let wants_size = has_size && entry.is_file() && entry.size.is_none();
            let is_exact = entry.mtime.is_some_and(|at| at.grain() <= 1);
            let wants_time = has_time && entry.is_file() && !is_exact;
            if !wants_size && !wants_time {
                continue;
            }
            let full = self.below(path, &entry.name)?;
            if wants_size {
                questions.push((index, Command::path("SIZE", &full)?));
            }
            if wants_time {
                questions.push((index, Command::path("MDTM", &full)?));
            }
        }
        for some in questions.chunks(QUESTIONS) {
            let commands: Vec<Command> = some.iter().map(|(_, command)| command.clone()).collect();
            let replies = self.control.burst(&commands)?;
            for ((index, command), reply) in some.iter().zip(replies) {
                let verb = &command.shown()[..4];
                let was_right = verb == "SIZE" && self.server.learned().sizes_are_right;
                if reply.is_unsupported() && self.knows(verb) && !was_right {
                    self.lacks(verb);
                }
                let entry = &mut listing.entries[*index];
                if verb == "SIZE" {
                    entry.size = reply.size();
                } else if let Some(exact) = reply.mtime() {
                    let listed = entry.mtime.filter(|at| (2..=60).contains(&at.grain()));
                    if let Some(offset) = listed.and_then(|listed| zone_offset(exact, listed)) {
                        self.server.learned().list_offset.get_or_insert(offset);
                    }
                    entry.mtime = Some(exact);
                    entry.mtime_org = entry.mtime;
                }
            }
        }
        Ok(())
    }

    /// The path of a name in a folder.
    fn below(&self, folder: &[u8], name: &Name) -> Result<Vec<u8>> {
        let mut path = folder.to_vec();
        if path.last() != Some(&b'/') {
            path.push(b'/');
        }
        path.extend(self.server.names.encode(&RelPath::root().join(name))?);
        Ok(path)
    }
}

/// Bytes that have to come at a certain pace.
pub(super) struct Paced<'a, R> {
    pub source: &'a mut R,
    pub pace: Pace,
}

impl<R: Read> Read for Paced<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.pace.read(self.source, buffer)
    }
}

/// Whether a listing by MLSD has a line for the folder that is listed (RFC 3659, section 7.5.1). It is the first one, if any.
fn names_the_folder(bytes: &[u8]) -> bool {
    let first = bytes.split(|&byte| byte == b'\n').next().unwrap_or_default();
    first.to_ascii_lowercase().windows(9).any(|part| part == b"type=cdir")
}

/// What a folder holds that is there and that the server does not list.
fn suspect_empty(reply: &Reply) -> Result<Listing> {
    if !matches!(reply.code(), 450 | 550) {
        return Err(refusal(reply));
    }
    let (mut listing, text) = (Listing::default(), reply.text());
    let why = "the server lists nothing, but the folder is there";
    let is_closed = says(&text, &["denied", "permission", "not allowed", "forbidden", "open directory"]);
    doubt(&mut listing, if is_closed { Note::lost(text, why) } else { Note::new(text, why) });
    Ok(listing)
}

fn has_no_end() -> Error {
    let limit = MAX_LISTING / (1024 * 1024);
    Error::new(
        Kind::Protocol,
        format!("the listing of this folder is larger than {limit} MiB, or has no end"),
    )
}

/// How many seconds UTC is ahead of a time that LIST shows to the minute: a whole number of quarters of an hour.
fn zone_offset(exact: Stamp, listed: Stamp) -> Option<i64> {
    let offset = (exact.seconds() - listed.seconds() + ZONE_STEP / 2).div_euclid(ZONE_STEP) * ZONE_STEP;
    (offset.abs() <= 26 * 3600).then_some(offset)
}

/// Whether a listing has names that another one lacks.
fn has_others(listing: &Listing, known: &Listing) -> bool {
    let names = |listing: &Listing| -> HashSet<Name> {
        let entries = listing.entries.iter().map(|entry| entry.name.clone());
        entries.chain(listing.present_but_skipped.iter().cloned()).collect()
    };
    !names(listing).is_subset(&names(known))
}

fn list_all() -> Result<Command> {
    Command::text("LIST", "-a")
}

/// Seconds since 1970, for listings that leave out the year.
pub(super) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(0)
}

fn is_no_such_command(reply: &Reply) -> bool {
    matches!(reply.code(), 202 | 500 | 501 | 502 | 504)
}

/// Pure-FTPd: "226-Output truncated to 10000 matches", "226-Sorry, we were unable to read [folder]"; vsftpd: "226 Transfer done (but
/// failed to open directory)." A limit may also be one of speed.
fn doubt_of(reply: &Reply) -> Option<Note> {
    let text = without_paths(&reply.text());
    let losses =
        ["truncated", "too many", "incomplete", "failed to open", "unable to read", "permission denied"];
    if says(&text, &losses) {
        return Some(Note::lost(text, MAY_LACK));
    }
    says(&text, &["limit"]).then(|| Note::new(text, MAY_LACK))
}

/// A text without what it quotes and without paths: folders may have any name.
fn without_paths(text: &str) -> String {
    let parts: Vec<&str> = text.split('"').collect();
    let is_quoted = |number: usize| number % 2 == 1 && number + 1 < parts.len();
    let parts = parts.iter().enumerate().filter(|(number, _)| !is_quoted(*number)).map(|(_, part)| part);
    let words = parts.flat_map(|part| part.split(' ')).filter(|word| !word.contains('/'));
    words.collect::<Vec<_>>().join(" ")
}

/// Whether a server says one of these, in small letters or large ones.
fn says(text: &str, parts: &[&str]) -> bool {
    let text = text.to_lowercase();
    parts.iter().any(|part| text.contains(part))
}

fn doubt(listing: &mut Listing, why: Note) {
    listing.complete = false;
    note(listing, why, 2 * MOST_NOTES);
}

fn refuse(listing: &mut Listing, name: &[u8], why: &str) {
    doubt(listing, Note::refused(shown(name), why));
}

/// Keeps a note, if there are not too many already. Nobody reads thousands, and a server may send millions.
fn note(listing: &mut Listing, note: Note, most: usize) {
    if listing.notes.len() < most {
        listing.notes.push(note);
    }
}

/// Doubts a listing of so many lines that it may be one that was cut short. The lines of the dots may be among them.
fn distrust_numbers(listing: &mut Listing, is_suspicious: impl Fn(usize) -> bool) {
    let count = listing.entries.len() + listing.present_but_skipped.len();
    if count > 0 && (count..=count + DOTS).any(is_suspicious) {
        let why = "some servers end a listing at this number without saying so";
        doubt(listing, Note::new(format!("{count} names"), why));
    }
}

/// Reads every line and puts the listing together.
fn collect(raw: &Raw, format: Format, names: Names) -> Listing {
    let mut listing = Listing::default();
    if let Some(why) = &raw.doubt {
        doubt(&mut listing, why.clone());
    }
    if raw.bytes.last().is_some_and(|&byte| byte != b'\n') {
        let last = raw.bytes.rsplit(|&byte| byte == b'\n').next().unwrap_or_default();
        doubt(&mut listing, Note::new(shown(last), "the listing ends in the middle of this line"));
    }
    let mut seen = HashSet::new();
    for line in raw.bytes.split(|&byte| byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let parsed = match format {
            _ if line.len() > MAX_LINE => Line::Bad,
            Format::Machine => mlsd::parse(line),
            Format::People { now } => list::parse(line, now),
        };
        match parsed {
            Line::Nothing => {}
            Line::Bad => {
                let foreign = (line.len() <= MAX_LINE).then(|| list::foreign_form(line)).flatten();
                let why = foreign.unwrap_or("the line cannot be understood");
                // Without a name it stands for nothing.
                let note = if line.ends_with(b" ") {
                    Note::new(shown(line), why)
                } else {
                    Note::lost(shown(line), why)
                };
                doubt(&mut listing, note);
            }
            Line::Item(item) => add(&mut listing, &mut seen, item, names),
        }
    }
    listing
}

fn add(listing: &mut Listing, seen: &mut HashSet<Name>, item: Item, names: Names) {
    if item.name.contains(&b'\r') {
        return refuse(listing, &item.name, "a name with a line end cannot be sent over FTP");
    }
    let name = match names.decode(&item.name) {
        Ok(name) => name,
        Err(bad) => return refuse(listing, &item.name, &bad.to_string()),
    };
    if !seen.insert(name.clone()) {
        return doubt(listing, Note::new(name.as_str(), "the name is listed twice"));
    }
    if names.guesses(&item.name) {
        listing.guessed.push(name.clone());
    }
    if litter::is_litter(name.as_str()) {
        return skip(listing, name, litter::WHY);
    }
    let kind = match item.kind {
        ItemKind::File => EntryKind::File,
        ItemKind::Folder => EntryKind::Folder,
        ItemKind::Link => return skip(listing, name, "a link"),
        ItemKind::Special => return skip(listing, name, "neither a file nor a folder"),
    };
    listing.entries.push(Entry {
        name,
        kind,
        size: item.size.filter(|_| kind == EntryKind::File),
        mtime: item.mtime,
        mtime_org: item.mtime,
        unique: item.unique.map(String::into_boxed_str),
        mode: item.mode,
        changed: None,
        is_link: false,
    });
}

fn skip(listing: &mut Listing, name: Name, why: &str) {
    note(listing, Note::new(name.as_str(), why), MOST_NOTES);
    listing.present_but_skipped.push(name);
}

/// Bytes for the user's eyes, not too many.
fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).chars().take(200).collect()
}
