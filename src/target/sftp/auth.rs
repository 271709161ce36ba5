//! Logging in, in the order of ssh: keys of the agent, key files, password.

use super::keys::{self, Unusable};
use super::link::{Client, words};
use super::route::{Hop, KeyFile};
use super::runtime::Patience;
use crate::error::{Error, Kind, Result};
use russh::client::{AuthResult, Handle, KeyboardInteractiveAuthResponse};
use russh::keys::agent::AgentIdentity;
use russh::keys::agent::client::AgentClient;
use russh::keys::{Algorithm, HashAlg, PrivateKeyWithHashAlg, PublicKey};
use russh::{MethodKind, MethodSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How often a server may ask again within one keyboard-interactive login.
const MAX_ROUNDS: usize = 5;

/// How the password is called among what was tried.
const PASSWORD: &str = "password";

/// What a login needs to know.
pub struct Login<'a> {
    pub hop: &'a Hop,
    pub timeout: Duration,
    /// The password was sent.
    pub password_was_tried: AtomicBool,
}

/// What was tried, and what the server says to it.
struct Attempts {
    /// The ways in that are left, as the server says.
    open: MethodSet,
    tried: Vec<String>,
    /// Key files that could not be used, and why.
    unusable: Vec<String>,
    is_locked: bool,
    /// The server does not say that it knows RSA with anything but SHA-1.
    is_doubtful: bool,
}

/// What came of one attempt.
enum Answer {
    LoggedIn,
    Refused,
}

/// Logs in; returns by what.
///
/// # Errors
/// [`Kind::SshLogin`] with everything that was tried, [`Kind::Passphrase`] if a passphrase could help; and what is wrong with a
/// key file that the user asked for.
pub async fn log_in(
    handle: &mut Handle<Client>,
    login: &Login<'_>,
    patience: &mut Patience,
) -> Result<String> {
    let at = login.hop.address();
    let within = |error: Error| error.during("log in to").at(&at);
    let trying = Attempts {
        open: MethodSet::empty(),
        tried: Vec::new(),
        unusable: Vec::new(),
        is_locked: false,
        is_doubtful: false,
    };
    // An agent may ask the user for a confirmation, so there is more time than for an answer of the server.
    patience.within(login.timeout * 2, trying.all(handle, login)).await.map_err(within)?.map_err(within)
}

impl Attempts {
    async fn all(mut self, handle: &mut Handle<Client>, login: &Login<'_>) -> Result<String> {
        let hop = login.hop;
        let none = handle.authenticate_none(hop.user.as_str()).await.map_err(broken)?;
        if let Answer::LoggedIn = self.take(none) {
            return Ok("without proof".to_owned());
        }
        // A server may want more than one proof; each may open the next.
        let mut by = Vec::new();
        loop {
            let before = self.open.clone();
            if let Some(way) = self.keys(handle, hop).await? {
                by.push(way);
            } else if let Some(way) = self.password(handle, login).await? {
                by.push(way);
            } else if self.open == before || self.is_exhausted() {
                break;
            } else {
                continue;
            }
            if self.open.is_empty() {
                return Ok(by.join(", "));
            }
        }
        if handle.is_closed() {
            return Err(Error::new(Kind::Disconnected, "the server has ended the connection"));
        }
        Err(self.failure(hop))
    }

    fn is_exhausted(&self) -> bool {
        !self.has(MethodKind::PublicKey)
            && !self.has(MethodKind::Password)
            && !self.has(MethodKind::KeyboardInteractive)
    }

    fn has(&self, method: MethodKind) -> bool {
        self.open.contains(&method)
    }

    /// Takes an answer. `open` is empty after a login that is complete.
    fn take(&mut self, answer: AuthResult) -> Answer {
        match answer {
            AuthResult::Success => {
                self.open = MethodSet::empty();
                Answer::LoggedIn
            }
            AuthResult::Failure { remaining_methods, partial_success } => {
                self.open = remaining_methods;
                // Accepted, and more is wanted.
                if partial_success { Answer::LoggedIn } else { Answer::Refused }
            }
        }
    }

    /// Tries keys: those of the agent, then files.
    async fn keys(&mut self, handle: &mut Handle<Client>, hop: &Hop) -> Result<Option<String>> {
        if !self.has(MethodKind::PublicKey) {
            return Ok(None);
        }
        if let Some(way) = self.agent(handle, hop).await? {
            return Ok(Some(way));
        }
        for file in &hop.keys {
            if handle.is_closed() || !self.has(MethodKind::PublicKey) {
                break;
            }
            let shown = file.path.display().to_string();
            if self.tried.contains(&shown) {
                continue;
            }
            if let Some(key) = self.load(file, hop)? {
                let (key, user) = (Arc::new(key), hop.user.as_str());
                self.tried.push(shown.clone());
                for certificate in keys::certificates_of(&file.path, &key, &hop.certificates) {
                    if handle.is_closed() || !self.has(MethodKind::PublicKey) {
                        break;
                    }
                    let answer = handle.authenticate_openssh_cert(user, Arc::clone(&key), certificate).await;
                    self.tried.push(format!("the certificate of {shown}"));
                    if let Answer::LoggedIn = self.take(answer.map_err(broken)?) {
                        return Ok(Some(format!("certificate of the key file {shown}")));
                    }
                }
                if handle.is_closed() || !self.has(MethodKind::PublicKey) {
                    break;
                }
                let hash = self.rsa_hash(handle, &key.algorithm(), hop).await?;
                let key = PrivateKeyWithHashAlg::new(key, hash);
                let answer = handle.authenticate_publickey(user, key).await.map_err(broken)?;
                if let Answer::LoggedIn = self.take(answer) {
                    return Ok(Some(format!("key file {shown}")));
                }
            }
        }
        Ok(None)
    }

    fn load(&mut self, file: &KeyFile, hop: &Hop) -> Result<Option<russh::keys::PrivateKey>> {
        match keys::load(&file.path, hop.passphrase.as_ref()) {
            Ok(key) => Ok(Some(key)),
            // With a password at hand, an encrypted key need not be in the way.
            Err(Unusable::Locked(why)) if !file.is_wanted || hop.password.is_some() => {
                self.is_locked |= !file.is_usual || hop.password.is_none();
                self.unusable.push(format!("{} ({why})", file.path.display()));
                Ok(None)
            }
            Err(unusable) if file.is_wanted && !matches!(unusable, Unusable::Public | Unusable::Token) => {
                Err(unusable.error(&file.path))
            }
            Err(Unusable::Missing) if file.is_usual => Ok(None),
            Err(unusable) => {
                self.unusable.push(format!("{} ({})", file.path.display(), unusable.words(&file.path)));
                Ok(None)
            }
        }
    }

    /// Tries the keys of the agent. One that does not answer is no failure: there are other ways.
    #[cfg(unix)]
    async fn agent(&mut self, handle: &mut Handle<Client>, hop: &Hop) -> Result<Option<String>> {
        const AGENT: &str = "agent";
        let Some(socket) =
            hop.agent.as_ref().filter(|_| !self.tried.iter().any(|way| way.starts_with(AGENT)))
        else {
            return Ok(None);
        };
        let connected = AgentClient::connect_uds(socket).await;
        let Ok(mut agent) = connected else {
            self.unusable.push(format!("the agent at {} (it does not answer)", socket.display()));
            return Ok(None);
        };
        let Ok(identities) = agent.request_identities().await else {
            self.unusable.push(format!("the agent at {} (it does not tell its keys)", socket.display()));
            return Ok(None);
        };
        let chosen = chosen(identities, hop);
        self.tried.push(match chosen.len() {
            1 => format!("{AGENT} (1 key)"),
            count => format!("{AGENT} ({count} keys)"),
        });
        for identity in chosen {
            if handle.is_closed() || !self.has(MethodKind::PublicKey) {
                break;
            }
            let user = hop.user.as_str();
            let (answer, way) = match identity {
                AgentIdentity::PublicKey { key, comment } => {
                    let hash = self.rsa_hash(handle, &key.algorithm(), hop).await?;
                    let answer = handle.authenticate_publickey_with(user, key, hash, &mut agent).await;
                    (answer, format!("key of the agent, {comment}"))
                }
                AgentIdentity::Certificate { certificate, comment } => {
                    let hash = self.rsa_hash(handle, &certificate.algorithm(), hop).await?;
                    let answer =
                        handle.authenticate_certificate_with(user, certificate, hash, &mut agent).await;
                    (answer, format!("certificate of the agent, {comment}"))
                }
            };
            // An agent that will not sign with this key may with another.
            if let Ok(answer) = answer
                && let Answer::LoggedIn = self.take(answer)
            {
                return Ok(Some(way));
            }
        }
        Ok(None)
    }

    #[cfg(not(unix))]
    async fn agent(&mut self, _: &mut Handle<Client>, _: &Hop) -> Result<Option<String>> {
        Ok(None)
    }

    /// Tries the password: as such where the server takes it, else, or if it is refused, as the answer to its questions.
    async fn password(&mut self, handle: &mut Handle<Client>, login: &Login<'_>) -> Result<Option<String>> {
        let hop = login.hop;
        let Some(password) = &hop.password else { return Ok(None) };
        // What was accepted once is not the answer to what is asked behind it.
        if self.tried.iter().any(|way| way == PASSWORD) {
            return Ok(None);
        }
        for method in [MethodKind::Password, MethodKind::KeyboardInteractive] {
            if handle.is_closed() || !self.has(method) {
                continue;
            }
            login.password_was_tried.store(true, Ordering::Relaxed);
            let answer = match method {
                MethodKind::Password => handle
                    .authenticate_password(hop.user.as_str(), password.reveal())
                    .await
                    .map_err(broken)?,
                _ => answer_questions(handle, hop, password.reveal()).await?,
            };
            if self.tried.last().is_none_or(|way| way != PASSWORD) {
                self.tried.push(PASSWORD.to_owned());
            }
            if let Answer::LoggedIn = self.take(answer) {
                return Ok(Some(PASSWORD.to_owned()));
            }
        }
        Ok(None)
    }

    /// The hash to sign with, which only RSA keys have: the best that the server takes. SHA-1 only where the user allows it.
    async fn rsa_hash(
        &mut self,
        handle: &Handle<Client>,
        kind: &Algorithm,
        hop: &Hop,
    ) -> Result<Option<HashAlg>> {
        if !matches!(kind, Algorithm::Rsa { .. }) {
            return Ok(None);
        }
        let told = handle.best_supported_rsa_hash().await.map_err(broken)?.flatten();
        let hash = hop.algorithms.rsa_hash(told);
        self.is_doubtful |= told.is_none() && hash.is_some();
        Ok(hash)
    }

    fn failure(&self, hop: &Hop) -> Error {
        let tried = match self.tried.as_slice() {
            [] => "there is nothing to log in with".to_owned(),
            tried => format!("the server refused {}", tried.join(", ")),
        };
        let unusable = match self.unusable.as_slice() {
            [] => String::new(),
            unusable => format!("; not used: {}", unusable.join(", ")),
        };
        let offers = match self.open.as_ref() {
            [] => String::new(),
            open => {
                let names: Vec<&str> = open.iter().map(<&str>::from).collect();
                format!("; it takes {}", names.join(", "))
            }
        };
        let kind = if self.is_locked { Kind::Passphrase } else { Kind::SshLogin };
        let user = &hop.user;
        let error = Error::new(kind, format!("user {user:?}: {tried}{unusable}{offers}"));
        error.advise(if self.is_doubtful {
            "check the user name, the password or the key (--identity-file); an old server may know RSA keys with SHA-1 only, \
             which has to be allowed in ~/.ssh/config: PubkeyAcceptedAlgorithms +ssh-rsa"
        } else {
            "check the user name, the password or the key (--identity-file)"
        })
    }
}

/// The keys and certificates of an agent to try: first those that are also named as files; with `IdentitiesOnly` no others.
#[cfg(unix)]
fn chosen(identities: Vec<AgentIdentity>, hop: &Hop) -> Vec<AgentIdentity> {
    let named: Vec<PublicKey> = hop
        .keys
        .iter()
        .filter(|file| !file.is_usual)
        .filter_map(|file| keys::public_of(&file.path))
        .collect();
    let is_named = |identity: &AgentIdentity| {
        let key = match identity {
            AgentIdentity::PublicKey { key, .. } => key.key_data(),
            AgentIdentity::Certificate { certificate, .. } => certificate.public_key(),
        };
        named.iter().any(|named| named.key_data() == key)
    };
    let mut chosen: Vec<AgentIdentity> =
        identities.into_iter().filter(|identity| !hop.identities_only || is_named(identity)).collect();
    chosen.sort_by_key(|identity| !is_named(identity));
    chosen
}

/// Answers every hidden question with the password, and every other one with the user name.
async fn answer_questions(handle: &mut Handle<Client>, hop: &Hop, password: &str) -> Result<AuthResult> {
    let mut response =
        handle.authenticate_keyboard_interactive_start(hop.user.as_str(), None).await.map_err(broken)?;
    for _ in 0..MAX_ROUNDS {
        match response {
            KeyboardInteractiveAuthResponse::Success => return Ok(AuthResult::Success),
            KeyboardInteractiveAuthResponse::Failure { remaining_methods, partial_success } => {
                return Ok(AuthResult::Failure { remaining_methods, partial_success });
            }
            KeyboardInteractiveAuthResponse::InfoRequest { prompts, .. } => {
                let answers = prompts
                    .iter()
                    .map(|prompt| if prompt.echo { hop.user.clone() } else { password.to_owned() });
                response = handle
                    .authenticate_keyboard_interactive_respond(answers.collect())
                    .await
                    .map_err(broken)?;
            }
        }
    }
    Err(Error::new(Kind::SshLogin, "the server asks questions without end"))
}

fn broken(error: russh::Error) -> Error {
    Error::new(Kind::Disconnected, words(&error))
}
