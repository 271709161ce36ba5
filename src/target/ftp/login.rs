//! From a socket to a session: banner, TLS, user and password, features, the root folder.

use super::Server;
use super::control::Control;
use super::dial::interrupted;
use super::errors::refusal;
use super::handshake::{explain, is_version_refusal};
use super::session::{FtpSession, no_answer};
use super::tls::Versions;
use crate::error::{Error, Kind, Result, Retry};
use crate::locked::locked;
use crate::wire::ftp::{Command, Features, Reply};
use std::sync::Arc;

/// No honest server announces more often that it will be ready soon.
const MAX_DELAYS: usize = 10;
const ANONYMOUS: &str = "anonymous";

/// Opens a session that stands in the root folder.
///
/// # Errors
/// See [`Target::open`](crate::target::Target::open).
pub fn open(server: &Arc<Server>) -> Result<FtpSession> {
    let was_one_by_one = server.learned().one_by_one;
    match attempt(server) {
        // The server seems to lose commands when several arrive at once.
        Err(_) if !was_one_by_one && server.learned().one_by_one => attempt(server),
        opened => opened,
    }
    .map_err(|error| if means_no_room(&error) { error.retrying(Retry::WhenThereIsRoom) } else { error })
}

/// Whether the server has as many conversations as it wants, perhaps counting some that are over.
fn means_no_room(error: &Error) -> bool {
    error
        .reply()
        .is_some_and(|(code, text)| code == 421 || error.kind() == Kind::Busy && is_about_limits(text))
}

fn attempt(server: &Arc<Server>) -> Result<FtpSession> {
    let interruptions = server.sockets.interruptions();
    let mut greeting = Vec::new();
    let mut control = connect(server, interruptions)?;
    if let Some(words) = control.tls_words() {
        greeting.push((4, format!("TLS: {words}")));
    }
    let (features, home) = match introduce(server, &mut control, &mut greeting) {
        Ok(introduced) => introduced,
        Err(error) => {
            locked(&server.news).append(&mut greeting);
            return Err(error);
        }
    };
    server.learned().features = Some(Arc::clone(&features));
    // A socket that was not yet on the list when all were shut would go on as if nothing had happened.
    if server.sockets.interruptions() != interruptions {
        return Err(interrupted());
    }
    Ok(FtpSession::new(Arc::clone(server), control, features, greeting, home))
}

/// Connects, reads the banner, and starts TLS where it is asked for.
fn connect(server: &Arc<Server>, interruptions: u64) -> Result<Control> {
    if server.trust.is_none() {
        return greeted(server, interruptions);
    }
    let known = server.learned().versions;
    let max = server.config.tls.as_ref().and_then(|tls| tls.max);
    let candidates = known.as_ref().map_or_else(|| Versions::to_offer(max), std::slice::from_ref);
    let mut failure = None;
    for &versions in candidates {
        match secured(server, versions, interruptions)? {
            Ok(control) => {
                server.learned().versions = Some(versions);
                return Ok(control);
            }
            // What the first attempt met says more than what the second does.
            Err(error) if is_version_refusal(&error) => drop(failure.get_or_insert(error)),
            Err(error) => return Err(explain(server, &error)),
        }
    }
    Err(explain(server, &failure.unwrap_or_else(|| std::io::ErrorKind::Other.into())))
}

fn greeted(server: &Arc<Server>, interruptions: u64) -> Result<Control> {
    let mut control = Control::connect(server, interruptions)?;
    read_banner(server, &mut control).map_err(|error| match error.kind() {
        Kind::Timeout if server.trust.is_some() => {
            error.advise("if the server expects TLS from the first byte, try --tls-implicit")
        }
        Kind::Timeout => error.advise("if the server expects TLS, use ftps:// with --tls-implicit"),
        _ => error,
    })?;
    Ok(control)
}

fn read_banner(server: &Server, control: &mut Control) -> Result<()> {
    let mut banner = control.reply()?;
    // 120: "ready in a few minutes"; the real banner follows.
    for _ in 0..MAX_DELAYS {
        if !banner.is_preliminary() {
            break;
        }
        banner = control.reply()?;
    }
    if !banner.is_success() {
        return Err(refusal(&banner).during("connect to").at(server.address()));
    }
    Ok(())
}

/// AUTH TLS before anything else is said (RFC 4217), or TLS before anything at all. A server without TLS is an error, never
/// a reason to go on in clear.
fn secured(server: &Arc<Server>, versions: Versions, interruptions: u64) -> Result<std::io::Result<Control>> {
    if server.is_implicit {
        let mut secured = Control::connect(server, interruptions)?.secure(versions)?;
        if let Ok(control) = &mut secured {
            read_banner(server, control)?;
        }
        return Ok(secured);
    }
    let mut control = greeted(server, interruptions)?;
    let reply = control.ask(&Command::text("AUTH", "TLS")?)?;
    if !reply.is_success() {
        return Err(no_tls(server, &reply));
    }
    control.secure(versions)
}

pub(super) fn no_tls(server: &Server, reply: &Reply) -> Error {
    let text = reply.text();
    let address = server.address();
    Error::new(
        Kind::Tls,
        format!("{address} refuses to encrypt the connection: {}", text.replace('\n', " / ")),
    )
    .with_reply(reply.code(), text)
    .advise(
        "it may expect TLS on another port (--tls-implicit); with ftp:// anybody on the way can read along",
    )
}

/// The error for a server that has encrypted the conversation, and does not want to encrypt files and listings.
fn no_protection(server: &Server, reply: &Reply) -> Error {
    let (text, address) = (reply.text(), server.address());
    let shown = text.replace('\n', " / ");
    Error::new(Kind::Tls, format!("{address} refuses to encrypt data connections (PROT P): {shown}"))
        .with_reply(reply.code(), text)
        .advise("its operator has to permit that; files and listings are not sent in clear text instead")
}

/// USER and PASS.
fn credentials(server: &Server) -> Result<(Command, Command)> {
    let config = &server.config;
    let password = match &config.password {
        Some(password) if !password.reveal().is_empty() => password.reveal(),
        // Some servers insist on what looks like an address.
        Some(_) | None if user_name(server).eq_ignore_ascii_case(ANONYMOUS) => "anonymous@",
        Some(_) | None => "",
    };
    let user = Command::path("USER", &server.names.encode_text(user_name(server))?)?;
    Ok((user, Command::secret("PASS", &server.names.encode_text(password)?)?))
}

fn user_name(server: &Server) -> &str {
    server.config.user.as_deref().unwrap_or(ANONYMOUS)
}

fn has_password(server: &Server) -> bool {
    server.config.password.as_ref().is_some_and(|password| !password.reveal().is_empty())
}

/// Whether the answer to USER wants a password: 331, or what else means "go on" and does not want an account.
fn asks_for_password(reply: &Reply) -> bool {
    reply.is_intermediate() && reply.code() != 332
}

/// The error for a refused USER or PASS.
fn not_logged_in(reply: &Reply) -> Error {
    let text = reply.text();
    let (kind, detail) = match reply.code() {
        332 => (Kind::Login, "the server asks for an account (ACCT), which is not supported".to_owned()),
        // ProFTPD says 530 to one connection too many as well.
        _ if is_about_limits(&text) => (Kind::Busy, text.replace('\n', " / ")),
        430 | 500.. => (Kind::Login, text.replace('\n', " / ")),
        _ => (Kind::Busy, text.replace('\n', " / ")),
    };
    Error::new(kind, detail).with_reply(reply.code(), text)
}

/// Whether a refused login is about the number of connections and not about the password.
fn is_about_limits(text: &str) -> bool {
    let text = text.to_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
    says(&["too many", "maximum", "limit"])
        && !says(&["incorrect", "password", "invalid", "locked", "failed"])
}

/// Says who we are, protects data connections, asks who the server is and what it can do, and enters the root folder.
///
/// The first session waits for the answer to USER, which may not want a password; all else is one packet. Later sessions know
/// the server, and say everything at once. What PWD says in the root comes with the features where paths have to be relative.
fn introduce(
    server: &Server,
    control: &mut Control,
    greeting: &mut Vec<(u8, String)>,
) -> Result<(Arc<Features>, Option<Vec<u8>>)> {
    let context = |error: Error| error.during("log in to").at(server.address());
    let known = server.learned().features.clone();
    let (user, password) = credentials(server).map_err(context)?;
    let root = server.names.encode_text(&server.root)?;
    let cwd = Command::path("CWD", &root)?;
    let answered = if known.is_some() { None } else { Some(control.ask(&user).map_err(context)?) };
    let wants_password = answered.as_ref().is_none_or(asks_for_password);
    if let Some(refused) = answered.as_ref().filter(|reply| !wants_password && !reply.is_success()) {
        return Err(context(not_logged_in(refused)));
    }
    let (is_tls, is_new, is_utf8) = (control.tls().is_some(), known.is_none(), server.names.is_utf8());
    if is_new && wants_password && !is_tls && has_password(server) && !control.is_at_home() {
        let place = server.address();
        let line = format!(
            "The password for {place} travels in clear text, where everybody on the way can read it (see ftps://)"
        );
        greeting.push((3, line));
    }
    let mut packet = Vec::new();
    packet.extend((!is_new).then_some(user));
    packet.extend(wants_password.then_some(password));
    if is_tls {
        packet.extend([Command::text("PBSZ", "0")?, Command::text("PROT", "P")?]);
    }
    if is_new {
        packet.extend([Command::bare("SYST"), Command::bare("FEAT")]);
    }
    packet.push(Command::text("TYPE", "I")?);
    if is_utf8 {
        // The reply does not matter: servers that are always UTF-8 refuse to be told (RFC 2640 has no such option).
        packet.push(Command::text("OPTS", "UTF8 ON")?);
    }
    packet.push(cwd.clone());

    let mut replies = Vec::with_capacity(packet.len());
    // A server that closes the connection behind a refusal has still said why.
    let mut failure = control.burst_into(&packet, &mut replies).err();
    if wants_password && let Some(refused) = late_refusal(&replies, usize::from(!is_new)) {
        return Err(context(not_logged_in(refused)));
    }
    let mut replies = replies.into_iter();
    let mut next = || replies.next().ok_or_else(|| failure.take().unwrap_or_else(no_answer));
    let to_user = if is_new { None } else { Some(next().map_err(context)?) };
    let to_password = if wants_password { Some(next().map_err(context)?) } else { None };
    let is_in = to_user.as_ref().is_some_and(Reply::is_success);
    if let Some(refused) = to_user.filter(|reply| !reply.is_success() && !asks_for_password(reply)) {
        return Err(context(not_logged_in(&refused)));
    }
    if let Some(refused) = to_password.filter(|reply| !is_in && !reply.is_success()) {
        return Err(context(not_logged_in(&refused)));
    }
    greeting.push((4, format!("Login as '{}'.", user_name(server))));
    if is_tls {
        let (_, protection) = (next()?, next()?);
        if !protection.is_success() {
            return Err(no_protection(server, &protection));
        }
        greeting.push((6, "PROT P".to_owned()));
    }
    let features = match known {
        Some(features) => features,
        None => {
            let (syst, feat) = (next()?, next()?);
            greeting.push((5, format!("SYST: '{}'.", syst.text())));
            greeting.push((5, format!("FEAT: '{}'.", feat.text().replace('\n', " "))));
            server.learned().is_windows = syst.is_success() && syst.text().to_lowercase().contains("windows");
            server.learned().system = syst.is_success().then(|| words_of(&syst));
            let features = Features::parse(&feat);
            Arc::new(if features.is_empty() { Features::assumed() } else { features })
        }
    };
    let binary = next()?;
    if !binary.is_success() {
        // Without it, servers rewrite line ends in files.
        return Err(refusal(&binary).during("switch to binary transfers on").at(server.address()));
    }
    if is_utf8 {
        next()?;
        greeting.push((4, "Sent 'OPTS UTF8 ON'.".to_owned()));
    }
    let entered = next()?;
    if entered.is_success() {
        return Ok((features, None));
    }
    if let Some(home) = enter_relatively(control, &root, &entered)? {
        let address = server.address();
        greeting.push((4, format!("{address} refuses absolute paths; relative ones are used")));
        return Ok((features, Some(home)));
    }
    if !server.config.create_root {
        return Err(no_root(server, control, &entered));
    }
    make_root(server, control, &root, &cwd, &entered)?;
    Ok((features, None))
}

/// Enters the root from the folder in which the server begins, if it is below that: some servers know no absolute paths. What PWD
/// says there.
///
/// # Errors
/// What ends the conversation.
fn enter_relatively(control: &mut Control, root: &[u8], refusal: &Reply) -> Result<Option<Vec<u8>>> {
    if refusal.code() < 500 {
        return Ok(None);
    }
    let start = control.ask(&Command::bare("PWD"))?.quoted_path().filter(|start| start.starts_with(b"/"));
    let Some(start) = start else { return Ok(None) };
    let above = start.strip_suffix(b"/").unwrap_or(&start);
    match root.strip_prefix(above) {
        Some(b"" | b"/") => Ok(Some(start)),
        Some([b'/', below @ ..]) if control.ask(&Command::path("CWD", below)?)?.is_success() => {
            // One that says the same everywhere does not tell the way back.
            Ok(control.ask(&Command::bare("PWD"))?.quoted_path().filter(|home| *home != start))
        }
        _ => Ok(None),
    }
}

/// What a reply says, without its code.
fn words_of(reply: &Reply) -> String {
    reply.text().get(4..).unwrap_or_default().trim().to_owned()
}

/// The refusal of a password that comes behind the replies to what was said after it: pyftpdlib keeps it back for some
/// seconds. The reply in its place is then to another command.
fn late_refusal(replies: &[Reply], place: usize) -> Option<&Reply> {
    let is_other = replies.get(place).is_some_and(|reply| reply.is_success() && reply.code() / 10 != 23);
    replies.last().filter(|last| is_other && last.code() == 530)
}

/// Makes every level of the root that is missing. Refusals do not matter as long as the root can be entered in the end:
/// levels above it may exist and yet be closed to this user.
fn make_root(
    server: &Server,
    control: &mut Control,
    root: &[u8],
    cwd: &Command,
    first: &Reply,
) -> Result<()> {
    let mut refused = None;
    let ends = (1..root.len()).filter(|&at| root[at] == b'/').chain([root.len()]);
    for end in ends {
        let reply = control.ask(&Command::path("MKD", &root[..end])?)?;
        refused = (!reply.is_success()).then_some(reply);
    }
    if control.ask(cwd)?.is_success() {
        return Ok(());
    }
    Err(match refused {
        Some(reply) => refusal(&reply).during("make the folder").at(&server.root),
        None => no_root(server, control, first),
    })
}

/// The error for a root that cannot be entered. It names the folder in which the server begins: what is above it may be closed.
fn no_root(server: &Server, control: &mut Control, reply: &Reply) -> Error {
    let home = control.ask(&Command::bare("PWD")).ok().and_then(|reply| reply.quoted_path());
    let home =
        home.map(|path| String::from_utf8_lossy(&path).into_owned()).filter(|path| *path != server.root);
    let begins = home.map_or(String::new(), |path| format!(" (the server begins in {path:?})"));
    let text = reply.text();
    let kind = if reply.code() == 550 { Kind::NotFound } else { refusal(reply).kind() };
    Error::new(kind, text.replace('\n', " / "))
        .with_reply(reply.code(), text)
        .during("change to the folder")
        .at(&server.root)
        .advise(format!("check the path{begins}, or let --create-folder make it"))
}
