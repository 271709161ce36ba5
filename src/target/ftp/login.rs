//! From a socket to a session: banner, TLS, user and password, features, the root folder.

use super::Server;
use super::control::Control;
use super::dial::interrupted;
use super::errors::refusal;
use super::handshake::{explain, is_version_refusal};
use super::session::FtpSession;
use super::tls::Versions;
use crate::error::{Error, Kind, Result};
use crate::wire::ftp::{Command, Features, Reply};
use std::sync::Arc;

const ANONYMOUS: &str = "anonymous";

/// Opens a session that stands in the root folder.
///
/// # Errors
/// See [`Target::open`](crate::target::Target::open).
pub fn open(server: &Arc<Server>) -> Result<FtpSession> {
    let interruptions = server.sockets.interruptions();
    let mut greeting = Vec::new();
    let mut control = connect(server, interruptions)?;
    if let Some(words) = control.tls_words() {
        greeting.push((4, format!("TLS: {words}")));
    }
    log_in(server, &mut control)?;
    let user = server.config.user.as_deref().unwrap_or(ANONYMOUS);
    greeting.push((4, format!("Login as '{user}'.")));
    let features = introduce(server, &mut control, &mut greeting)?;
    go_to_root(server, &mut control, &features, &mut greeting)?;
    server.learned().features = Some(Arc::clone(&features));
    // A socket that was not yet on the list when all were shut would go on as if nothing had happened.
    if server.sockets.interruptions() != interruptions {
        return Err(interrupted());
    }
    Ok(FtpSession::new(Arc::clone(server), control, features, greeting))
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
        Kind::Timeout => error.advise("if the server expects TLS, use ftps:// or --tls-implicit"),
        _ => error,
    })?;
    Ok(control)
}

fn read_banner(server: &Server, control: &mut Control) -> Result<()> {
    let mut banner = control.reply()?;
    // 120: "ready in a few minutes"; the real banner follows.
    while banner.is_preliminary() {
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

fn no_tls(server: &Server, reply: &Reply) -> Error {
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

fn log_in(server: &Server, control: &mut Control) -> Result<()> {
    let config = &server.config;
    let user = config.user.as_deref().unwrap_or(ANONYMOUS);
    let password = match &config.password {
        Some(password) => password.reveal(),
        None if config.user.is_none() => "anonymous@",
        None => "",
    };
    let context = |error: Error| error.during("log in to").at(server.address());
    let user = Command::path("USER", &server.names.encode_text(user)?).map_err(context)?;
    let mut reply = control.ask(&user)?;
    if reply.code() == 331 {
        let pass = Command::secret("PASS", &server.names.encode_text(password)?).map_err(context)?;
        reply = control.ask(&pass)?;
    }
    match reply.code() {
        332 => Err(context(
            Error::new(Kind::Login, "the server asks for an account (ACCT), which is not supported")
                .with_reply(reply.code(), reply.text()),
        )),
        200..=299 => Ok(()),
        code => {
            let text = reply.text();
            let kind = match code {
                // ProFTPD says 530 to one connection too many as well.
                _ if is_about_limits(&text) => Kind::Busy,
                430 | 500.. => Kind::Login,
                _ => Kind::Busy,
            };
            Err(context(Error::new(kind, text.replace('\n', " / ")).with_reply(code, text)))
        }
    }
}

/// Whether a refused login is about the number of connections and not about the password.
fn is_about_limits(text: &str) -> bool {
    let text = text.to_lowercase();
    ["too many", "maximum", "limit"].iter().any(|word| text.contains(word))
}

/// Protects data connections, and asks who the server is and what it can do; one packet.
fn introduce(
    server: &Server,
    control: &mut Control,
    greeting: &mut Vec<(u8, String)>,
) -> Result<Arc<Features>> {
    let is_tls = control.tls().is_some();
    let mut questions = Vec::new();
    if is_tls {
        questions.extend([Command::text("PBSZ", "0")?, Command::text("PROT", "P")?]);
    }
    questions.extend([Command::bare("SYST"), Command::bare("FEAT"), Command::text("TYPE", "I")?]);
    let replies = control.burst(&questions)?;
    let (protection, rest) = replies.split_at(if is_tls { 2 } else { 0 });
    if let Some(refused) = protection.last().filter(|reply| !reply.is_success()) {
        return Err(no_tls(server, refused));
    }
    let [syst, feat, binary] = rest else {
        return Err(Error::new(Kind::Protocol, "a reply is missing"));
    };
    if !binary.is_success() {
        // Without it, servers rewrite line ends in files.
        return Err(refusal(binary).during("switch to binary transfers on").at(server.address()));
    }
    if is_tls {
        greeting.push((6, "PROT P".to_owned()));
    }
    greeting.push((5, format!("SYST: '{}'.", syst.text())));
    greeting.push((5, format!("FEAT: '{}'.", feat.text().replace('\n', " "))));
    Ok(Arc::new(Features::parse(feat)))
}

/// Switches names to UTF-8 if the server offers it, and enters the root folder.
fn go_to_root(
    server: &Server,
    control: &mut Control,
    features: &Features,
    greeting: &mut Vec<(u8, String)>,
) -> Result<()> {
    let root = server.names.encode_text(&server.root)?;
    let cwd = Command::path("CWD", &root)?;
    let mut commands = Vec::new();
    if server.names.is_utf8() && features.has_utf8() {
        // The reply does not matter: servers that are always UTF-8 refuse to be told (RFC 2640 has no such option).
        commands.push(Command::text("OPTS", "UTF8 ON")?);
        greeting.push((4, "Sent 'OPTS UTF8 ON'.".to_owned()));
    }
    commands.push(cwd.clone());
    let replies = control.burst(&commands)?;
    match replies.last() {
        Some(reply) if reply.is_success() => Ok(()),
        Some(reply) if server.config.create_root => make_root(server, control, &root, &cwd, reply),
        Some(reply) => Err(no_root(server, reply)),
        None => Err(Error::new(Kind::Protocol, "a reply is missing")),
    }
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
        None => no_root(server, first),
    })
}

fn no_root(server: &Server, reply: &Reply) -> Error {
    let text = reply.text();
    let kind = if reply.code() == 550 { Kind::NotFound } else { refusal(reply).kind() };
    Error::new(kind, text.replace('\n', " / "))
        .with_reply(reply.code(), text)
        .during("change to the folder")
        .at(&server.root)
        .advise("check the path, or let --create-folder make it")
}
