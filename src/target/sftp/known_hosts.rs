//! The files in which ssh keeps the keys of the hosts it knows.

use super::wildcard::matches_any;
use crate::error::{Error, Kind, Result};
use data_encoding::BASE64;
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use russh::keys::ssh_key::certificate::CertType;
use russh::keys::ssh_key::public::KeyData;
use russh::keys::{Algorithm, Certificate, HashAlg, PublicKey};
use std::fs::{self, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// How a list of revoked keys begins that `ssh-keygen -k` has made.
const BINARY_LIST: &[u8] = b"SSHKRL\n\0";

/// What the files say about a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The host has this key.
    Known,
    /// The host is not in any file.
    Unknown,
    /// The host has another key, or is known by keys of other kinds.
    Changed(Place),
    /// The key must not be trusted any more.
    Revoked(Place),
}

/// A line of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub file: PathBuf,
    /// The number of the line, from 1.
    pub line: usize,
}

/// The lines about one host.
#[derive(Debug, Default)]
pub struct KnownHost {
    lines: Vec<Line>,
    /// Those about the host without its port, which count where no others do.
    without_port: Vec<Line>,
    /// Authorities whose certificates the host may have.
    authorities: Vec<Line>,
    /// How the host is called in certificates.
    host: String,
}

#[derive(Debug)]
struct Line {
    place: Place,
    key: PublicKey,
    is_revoked: bool,
}

impl KnownHost {
    /// Reads what files say about a host. Files that do not exist say nothing; lines that make no sense are passed over,
    /// as ssh does.
    ///
    /// # Errors
    /// If a file exists and cannot be read: it may hold the key that matters.
    pub fn read(files: &[PathBuf], host: &str, port: u16) -> Result<Self> {
        let name = name_of(host, port);
        let plain = name_of(host, 22);
        let (mut lines, mut authorities, mut without_port) = (Vec::new(), Vec::new(), Vec::new());
        for file in files {
            let text = match fs::read(file) {
                Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(Error::from(error).during("read").at(file.display())),
            };
            for (index, line) in text.lines().enumerate() {
                let found = parse(line, &name).map(|found| (found, true));
                let Some(((key, means), has_port)) =
                    found.or_else(|| parse(line, &plain).map(|found| (found, false)))
                else {
                    continue;
                };
                let place = Place { file: file.clone(), line: index + 1 };
                let line = Line { place, key, is_revoked: means == Means::Revoked };
                match means {
                    Means::Authority => authorities.push(line),
                    Means::Known | Means::Revoked if has_port => lines.push(line),
                    Means::Known | Means::Revoked => without_port.push(line),
                }
            }
        }
        Ok(KnownHost { lines, without_port, authorities, host: host.to_ascii_lowercase() })
    }

    /// Adds the keys of a file with one on each line, which no host may have any more.
    ///
    /// # Errors
    /// If it cannot be read, or is not such a file: what is revoked would be trusted.
    pub fn revoke(&mut self, file: &Path) -> Result<()> {
        let failed = |error: Error| error.during("read the revoked keys in").at(file.display());
        let bytes = fs::read(file).map_err(|error| failed(error.into()))?;
        if bytes.starts_with(BINARY_LIST) {
            let error = Error::new(Kind::Usage, "it is a binary list of ssh-keygen -k, which cannot be read");
            return Err(failed(error).advise("let RevokedHostKeys name a file with one key on each line"));
        }
        for (index, line) in String::from_utf8_lossy(&bytes).lines().enumerate() {
            let mut words = line.split_whitespace();
            let Some(kind) = words.next().filter(|word| !word.starts_with('#')) else { continue };
            let key = PublicKey::from_openssh(&format!("{kind} {}", words.next().unwrap_or_default()));
            let why = || failed(Error::new(Kind::Usage, format!("line {} is no key", index + 1)));
            let key = key.map_err(|_| why())?;
            let place = Place { file: file.to_owned(), line: index + 1 };
            self.lines.push(Line { place, key, is_revoked: true });
        }
        Ok(())
    }

    /// Where the authority of a certificate or its key is revoked. Then nothing else makes the host a known one.
    pub fn revoked(&self, certificate: &Certificate) -> Option<Place> {
        let keys = [certificate.signature_key(), certificate.public_key()];
        let mut lines = self.lines.iter().chain(&self.without_port).filter(|line| line.is_revoked);
        lines.find(|line| keys.contains(&line.key.key_data())).map(|line| line.place.clone())
    }

    /// Whether a certificate of the host, which is not revoked, is good at a time (seconds since 1970-01-01 UTC); else why not.
    ///
    /// # Errors
    /// Why it is not good, in words.
    pub fn judge_certificate(&self, certificate: &Certificate, now: u64) -> Result<(), String> {
        let is = |key: &PublicKey, data: &KeyData| key.key_data() == data;
        if !self.authorities.iter().any(|line| is(&line.key, certificate.signature_key())) {
            return Err("another authority has signed it".to_owned());
        }
        if certificate.cert_type() != CertType::Host {
            return Err("it is not one of a host".to_owned());
        }
        let names = certificate.valid_principals();
        if !names.is_empty() && !matches_any(names.iter().map(String::as_str), &self.host) {
            return Err(format!("it is for {}", names.join(", ")));
        }
        if now < certificate.valid_after() || now >= certificate.valid_before() {
            return Err("it is not valid today".to_owned());
        }
        let signer = certificate.signature_key().fingerprint(HashAlg::Sha256);
        certificate.validate_at(now, [&signer]).map_err(|error| error.to_string())
    }

    /// What they say about a key of this host.
    pub fn judge(&self, key: &PublicKey) -> Verdict {
        let same = |line: &&Line| line.key.key_data() == key.key_data();
        let mut revoked = self.lines.iter().chain(&self.without_port).filter(|line| line.is_revoked);
        if let Some(line) = revoked.find(same) {
            return Verdict::Revoked(line.place.clone());
        }
        let mut valid = self.lines.iter().filter(|line| !line.is_revoked);
        if valid.clone().any(|line| same(&line)) {
            return Verdict::Known;
        }
        let of_kind = valid.clone().find(|line| is_same_kind(&line.key.algorithm(), &key.algorithm()));
        match of_kind.or_else(|| valid.next()) {
            Some(line) => Verdict::Changed(line.place.clone()),
            // Without a port, only the very same key means anything.
            None if self.without_port.iter().any(|line| same(&line)) => Verdict::Known,
            None => Verdict::Unknown,
        }
    }

    /// Whether the host is asked for a certificate.
    pub fn has_authority(&self) -> bool {
        !self.authorities.is_empty()
    }

    /// Whether a key of this kind is known: then the server is asked for that one first.
    pub fn has_kind(&self, kind: &Algorithm) -> bool {
        let lines =
            if self.lines.iter().any(|line| !line.is_revoked) { &self.lines } else { &self.without_port };
        lines.iter().any(|line| !line.is_revoked && is_same_kind(&line.key.algorithm(), kind))
    }
}

/// Writes the key of a host down, under its name and port or under a hash of both.
///
/// # Errors
/// If the file cannot be written.
pub fn learn(file: &Path, (host, port): (&str, u16), is_hashed: bool, key: &PublicKey) -> Result<()> {
    let mut key = key.clone();
    key.set_comment("");
    let failed = |error: io::Error| Error::from(error).during("write").at(file.display());
    let key = key.to_openssh().map_err(|error| failed(io::Error::other(error.to_string())))?;
    let name = name_of(host, port);
    let name = if is_hashed { hashed(&name).map_err(failed)? } else { name };
    write_line(file, &format!("{name} {}\n", key.trim())).map_err(failed)
}

/// A name so that nobody reads it who does not know it.
fn hashed(name: &str) -> io::Result<String> {
    let mut salt = [0; 20];
    SystemRandom::new().fill(&mut salt).map_err(|_| io::Error::other("the system has no random numbers"))?;
    let hash = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &salt), name.as_bytes());
    Ok(format!("|1|{}|{}", BASE64.encode(&salt), BASE64.encode(hash.as_ref())))
}

fn write_line(file: &Path, line: &str) -> io::Result<()> {
    if let Some(folder) = file.parent() {
        private_folder(folder)?;
    }
    let mut options = OpenOptions::new();
    options.read(true).append(true).create(true);
    private(&mut options);
    let mut opened = options.open(file)?;
    let mut last = [b'\n'];
    if opened.seek(SeekFrom::End(0))? > 0 {
        opened.seek(SeekFrom::End(-1))?;
        opened.read_exact(&mut last)?;
    }
    // A last line without end would swallow ours.
    let gap = if last == *b"\n" { "" } else { "\n" };
    opened.write_all(format!("{gap}{line}").as_bytes())
}

#[cfg(unix)]
fn private(options: &mut OpenOptions) {
    use std::os::unix::fs::OpenOptionsExt;
    options.mode(0o600);
}

#[cfg(not(unix))]
fn private(_: &mut OpenOptions) {}

#[cfg(unix)]
fn private_folder(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

#[cfg(not(unix))]
fn private_folder(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)
}

/// How a host is called in the files.
fn name_of(host: &str, port: u16) -> String {
    let host = host.to_ascii_lowercase();
    if port == 22 { host } else { format!("[{host}]:{port}") }
}

/// What a line says with a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Means {
    Known,
    Revoked,
    Authority,
}

/// The key of a line, if the line is about the host, and what it says with it.
fn parse(line: &str, name: &str) -> Option<(PublicKey, Means)> {
    let mut words = line.split_whitespace();
    let mut hosts = words.next().filter(|word| !word.starts_with('#'))?;
    let means = match hosts {
        "@revoked" => Means::Revoked,
        "@cert-authority" => Means::Authority,
        marked if marked.starts_with('@') => return None,
        _ => Means::Known,
    };
    if means != Means::Known {
        hosts = words.next()?;
    }
    // Authorities vouch for hosts, whatever the port.
    let host = name.strip_prefix('[').and_then(|name| name.split_once("]:")).map(|(host, _)| host);
    let is_of_host = means == Means::Authority && host.is_some_and(|host| names(hosts, host));
    if !names(hosts, name) && !is_of_host {
        return None;
    }
    let (kind, blob) = (words.next()?, words.next()?);
    Some((PublicKey::from_openssh(&format!("{kind} {blob}")).ok()?, means))
}

/// Whether the first field of a line is about a host.
fn names(field: &str, name: &str) -> bool {
    let Some(hashed) = field.strip_prefix("|1|") else {
        return matches_any(field.to_ascii_lowercase().split(','), name);
    };
    let parts = hashed.split_once('|').and_then(|(salt, hash)| {
        Some((BASE64.decode(salt.as_bytes()).ok()?, BASE64.decode(hash.as_bytes()).ok()?))
    });
    parts.is_some_and(|(salt, hash)| {
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &salt);
        hmac::verify(&key, name.as_bytes(), &hash).is_ok()
    })
}

/// RSA keys are of one kind, whatever hash is used with them.
fn is_same_kind(one: &Algorithm, other: &Algorithm) -> bool {
    match (one, other) {
        (Algorithm::Rsa { .. }, Algorithm::Rsa { .. }) => true,
        _ => one == other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";
    const TWO: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA6rWI3G2sz07DnfFlrouTcysQlj2P+jpNSOEWD9OJ3X";
    const OTHER: &str = "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBMEFDXcXKjVXQAkgdcPHPOEu2rVP6E0JxbRHaXTpH9IeHCUVAFmVsdyTHKBqsSkWJYfHaSCpU0wk9qHlsvCuEQ4=";

    fn judge(text: &str, host: &str, port: u16, key: &str) -> Verdict {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("known_hosts");
        fs::write(&file, text).unwrap();
        let known = KnownHost::read(&[file, folder.path().join("missing")], host, port).unwrap();
        known.judge(&PublicKey::from_openssh(key).unwrap())
    }

    fn line_of(verdict: Verdict) -> usize {
        match verdict {
            Verdict::Changed(place) | Verdict::Revoked(place) => place.line,
            verdict => panic!("{verdict:?}"),
        }
    }

    #[test]
    fn hosts_are_found_by_name_port_pattern_and_hash() {
        let text = format!(
            "# ours\nweb,10.0.0.1 {ONE} comment\n[web]:2222 {TWO}\n*.example.com,!x.example.com {ONE}"
        );
        assert_eq!(judge(&text, "WEB", 22, ONE), Verdict::Known);
        assert_eq!(judge(&text, "10.0.0.1", 22, ONE), Verdict::Known);
        assert_eq!(judge(&text, "web", 2222, TWO), Verdict::Known);
        assert_eq!(line_of(judge(&text, "web", 2222, ONE)), 3);
        // A line without the port counts for the same key, as long as there is none with it.
        assert_eq!(judge(&text, "web", 2223, ONE), Verdict::Known);
        assert_eq!(judge(&text, "web", 2223, TWO), Verdict::Unknown);
        assert_eq!(line_of(judge(&format!("web {ONE}\n@revoked web {ONE}"), "web", 2223, ONE)), 2);
        assert_eq!(judge(&text, "a.example.com", 22, ONE), Verdict::Known);
        assert_eq!(judge(&text, "x.example.com", 22, ONE), Verdict::Unknown);
        assert_eq!(judge(&text, "elsewhere", 22, ONE), Verdict::Unknown);
        // Made by `ssh-keygen -H` for "web".
        let salt = BASE64.encode(b"0123456789abcdefghij");
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, b"0123456789abcdefghij");
        let hash = BASE64.encode(hmac::sign(&key, b"web").as_ref());
        let hashed = format!("|1|{salt}|{hash} {ONE}");
        assert_eq!(judge(&hashed, "web", 22, ONE), Verdict::Known);
        assert_eq!(judge(&hashed, "wab", 22, ONE), Verdict::Unknown);
        assert_eq!(line_of(judge(&hashed, "web", 22, TWO)), 1);
    }

    #[test]
    fn changed_and_revoked_keys_are_told_with_their_place() {
        let text = format!("other {ONE}\nweb {ONE}\n");
        assert_eq!(line_of(judge(&text, "web", 22, TWO)), 2);
        assert_eq!(line_of(judge(&text, "web", 22, OTHER)), 2, "a key of another kind is no new host");
        let revoked = format!("web {ONE}\n@revoked * {ONE}\n");
        assert!(matches!(judge(&revoked, "web", 22, ONE), Verdict::Revoked(Place { line: 2, .. })));
        assert_eq!(judge(&format!("@cert-authority * {ONE}"), "web", 22, TWO), Verdict::Unknown);
        let is_authority = |line: &str, name: &str| {
            parse(&format!("@cert-authority {line} {ONE}"), name)
                .is_some_and(|(_, means)| means == Means::Authority)
        };
        assert!(is_authority("*.org,web", "web") && is_authority("web", "[web]:2222"));
        assert!(!is_authority("*.org", "web") && !is_authority("[web]:2222", "web"));
    }

    #[test]
    fn keys_of_a_list_are_revoked_for_every_host_and_a_list_that_cannot_be_read_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let (hosts, list) = (folder.path().join("known_hosts"), folder.path().join("revoked"));
        fs::write(&hosts, format!("web {ONE}\nweb {TWO}")).unwrap();
        let revoking = |list: &Path| {
            let mut known = KnownHost::read(std::slice::from_ref(&hosts), "web", 22).unwrap();
            known.revoke(list).map(|()| known)
        };
        fs::write(&list, format!("# old\n\n{ONE} of web\n")).unwrap();
        let known = revoking(&list).unwrap();
        let judge = |key| known.judge(&PublicKey::from_openssh(key).unwrap());
        assert!(matches!(judge(ONE), Verdict::Revoked(Place { line: 3, .. })));
        assert_eq!(judge(TWO), Verdict::Known);
        for bad in [&b"SSHKRL\n\0\0\0\0\x01"[..], b"ssh-ed25519 nonsense"] {
            fs::write(&list, bad).unwrap();
            assert_eq!(revoking(&list).unwrap_err().kind(), Kind::Usage);
        }
        assert_eq!(revoking(&folder.path().join("missing")).unwrap_err().kind(), Kind::NotFound);
    }

    #[test]
    fn a_new_host_is_written_down_behind_a_last_line_without_end() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(".ssh/known_hosts");
        let key = PublicKey::from_openssh(&format!("{ONE} from@somewhere")).unwrap();
        learn(&file, ("web", 2222), false, &key).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), format!("[web]:2222 {ONE}\n"));
        fs::write(&file, format!("old {TWO}")).unwrap();
        learn(&file, ("web", 22), false, &key).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), format!("old {TWO}\nweb {ONE}\n"));
    }

    #[test]
    fn a_new_host_is_written_down_by_a_hash_if_that_is_wanted() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("known_hosts");
        let key = PublicKey::from_openssh(ONE).unwrap();
        for _ in 0..2 {
            learn(&file, ("web", 2222), true, &key).unwrap();
        }
        let text = fs::read_to_string(&file).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines.iter().all(|line| line.starts_with("|1|") && line.ends_with(ONE)), "{text}");
        assert_ne!(lines[0], lines[1], "each has a salt of its own");
        assert_eq!(judge(&text, "web", 2222, ONE), Verdict::Known);
        assert_eq!(judge(&text, "web", 2223, ONE), Verdict::Unknown);
    }
}
