//! Private keys in files.

use super::short_key;
use crate::error::{Error, Kind};
use crate::target::ftp::Secret;
use russh::keys::{self, Algorithm, Certificate, PrivateKey, PublicKey};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Why a key file is of no use.
#[derive(Debug)]
pub enum Unusable {
    /// There is no such file.
    Missing,
    /// The passphrase is missing or wrong.
    Locked(&'static str),
    /// It holds a public key: its private one is for an agent to have.
    Public,
    /// It only tells which key a security key (FIDO) has, and there it is the agent's to ask for a signature.
    Token,
    /// Anything else, in words.
    Bad(String),
}

impl Unusable {
    /// What is wrong, in words.
    pub fn words(&self, path: &Path) -> String {
        match self {
            Unusable::Missing => "there is no such file".to_owned(),
            Unusable::Locked(why) => (*why).to_owned(),
            Unusable::Public => {
                "it holds only the public key, for an agent that has the private one".to_owned()
            }
            Unusable::Token => {
                "it is that of a security key (FIDO), which signs for the agent only; give it to the agent with ssh-add"
                    .to_owned()
            }
            Unusable::Bad(why) => why.replace("{path}", &path.display().to_string()),
        }
    }

    /// The same as an error, for a file that the user asked for.
    pub fn error(&self, path: &Path) -> Error {
        let error =
            |kind: Kind| Error::new(kind, self.words(path)).during("use the key file").at(path.display());
        match self {
            Unusable::Missing => error(Kind::NotFound).advise("check the path after --identity-file"),
            Unusable::Locked(_) => error(Kind::Passphrase).advise(
                "run it where it may ask for the passphrase, or give the key to the agent with ssh-add",
            ),
            Unusable::Public | Unusable::Token | Unusable::Bad(_) => error(Kind::Denied),
        }
    }
}

/// Reads a private key.
///
/// # Errors
/// Why it is of no use.
pub fn load(path: &Path, passphrase: Option<&Secret>) -> Result<PrivateKey, Unusable> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(Unusable::Missing),
        Err(error) => return Err(Unusable::Bad(Error::from(error).detail().to_owned())),
    };
    if text.lines().next().is_some_and(|line| PublicKey::from_openssh(line).is_ok()) {
        return Err(Unusable::Public);
    }
    refuse_open(path)?;
    let key = decode(&text, passphrase)?;
    match key.algorithm() {
        Algorithm::SkEd25519 | Algorithm::SkEcdsaSha2NistP256 => Err(Unusable::Token),
        _ => Ok(key),
    }
}

/// Others could have read, or exchanged, a key that they can open. One that belongs to somebody else, such as a secret that is
/// mounted into a container, is not ours to close; ssh takes it, too.
#[cfg(unix)]
fn refuse_open(path: &Path) -> Result<(), Unusable> {
    use std::os::unix::fs::MetadataExt;
    let metadata = fs::metadata(path).map_err(|error| Unusable::Bad(error.to_string()))?;
    if metadata.mode() & 0o077 == 0 || metadata.uid() != rustix::process::getuid().as_raw() {
        return Ok(());
    }
    Err(Unusable::Bad(format!(
        "others can read it (mode {:03o}), so it is not used; try chmod 600 {{path}}",
        metadata.mode() & 0o777
    )))
}

#[cfg(not(unix))]
fn refuse_open(_: &Path) -> Result<(), Unusable> {
    Ok(())
}

fn decode(text: &str, passphrase: Option<&Secret>) -> Result<PrivateKey, Unusable> {
    let no_key = || Unusable::Bad("it holds no private key of a kind that is supported".to_owned());
    // The format of OpenSSH tells whether it is encrypted; the older ones fail without passphrase.
    if let Ok(key) = PrivateKey::from_openssh(text) {
        return match (key.is_encrypted(), passphrase) {
            (false, _) => Ok(key),
            (true, None) => Err(Unusable::Locked("it is encrypted, and no passphrase is given")),
            (true, Some(passphrase)) => key
                .decrypt(passphrase.reveal())
                .ok()
                .or_else(|| short_key::read(text, Some(passphrase.reveal())))
                .ok_or(Unusable::Locked("the passphrase does not open it")),
        };
    }
    if let Some(key) = short_key::read(text, None) {
        return Ok(key);
    }
    match keys::decode_secret_key(text, None) {
        Ok(key) => Ok(key),
        Err(keys::Error::KeyIsEncrypted) => match passphrase {
            None => Err(Unusable::Locked("it is encrypted, and no passphrase is given")),
            Some(passphrase) => keys::decode_secret_key(text, Some(passphrase.reveal()))
                .map_err(|_| Unusable::Locked("the passphrase does not open it")),
        },
        Err(_) if text.contains("ENCRYPTED") => match passphrase {
            None => Err(Unusable::Locked("it is encrypted, and no passphrase is given")),
            Some(passphrase) => keys::decode_secret_key(text, Some(passphrase.reveal()))
                .map_err(|_| Unusable::Locked("the passphrase does not open it")),
        },
        Err(_) => Err(no_key()),
    }
}

/// The public half that lies beside a private key, or stands for it, to know which key of an agent is meant.
pub fn public_of(path: &Path) -> Option<PublicKey> {
    let read = |file: &Path| PublicKey::from_openssh(&first_line(file)?).ok();
    read(&with_ending(path, ".pub")).or_else(|| read(path))
}

/// The certificates that belong to a private key: the one that lies beside it, and those among the `named` files.
pub fn certificates_of(path: &Path, key: &PrivateKey, named: &[PathBuf]) -> Vec<Certificate> {
    let files = std::iter::once(with_ending(path, "-cert.pub")).chain(named.iter().cloned());
    let read = |file: PathBuf| Certificate::from_openssh(&first_line(&file)?).ok();
    let mut found: Vec<Certificate> = Vec::new();
    for certificate in files.filter_map(read) {
        if certificate.public_key() == key.public_key().key_data() && !found.contains(&certificate) {
            found.push(certificate);
        }
    }
    found
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

fn first_line(file: &Path) -> Option<String> {
    fs::read_to_string(file).ok()?.lines().next().map(str::to_owned)
}
