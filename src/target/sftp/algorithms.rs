//! Which algorithms a connection may use: those that ssh uses unasked, and what its configuration makes of them.

use super::ssh_config::Settings;
use super::wildcard::matches;
use russh::keys::HashAlg;
use russh::{AlgorithmKind, Preferred, cipher, kex, mac};

/// How RSA keys sign; with SHA-1 only where the configuration says so.
const RSA: [(&str, Option<HashAlg>); 3] =
    [("rsa-sha2-512", Some(HashAlg::Sha512)), ("rsa-sha2-256", Some(HashAlg::Sha256)), ("ssh-rsa", None)];

/// The algorithms of a connection, the best first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Algorithms {
    /// For the exchange of keys.
    pub kex: Vec<kex::Name>,
    /// For encryption.
    pub ciphers: Vec<cipher::Name>,
    /// For checksums of what is sent.
    pub macs: Vec<mac::Name>,
    /// With which hashes RSA keys of the user may sign. `None` is SHA-1, for a server that knows nothing else.
    pub rsa: Vec<Option<HashAlg>>,
}

impl Algorithms {
    /// Those that the configuration allows.
    pub fn new(settings: &Settings) -> Self {
        let usual = Preferred::default();
        // Some of the names tell what we can do, and are no way to exchange keys.
        let (mut kex, told): (Vec<kex::Name>, Vec<kex::Name>) =
            usual.kex.iter().copied().partition(|name| kex::Name::try_from(name.as_ref()).is_ok());
        // The library leaves out what ssh has, behind its best.
        let curves = kex.iter().position(|name| *name == kex::DH_GEX_SHA256).unwrap_or(kex.len());
        kex.splice(
            curves..curves,
            [kex::ECDH_SHA2_NISTP256, kex::ECDH_SHA2_NISTP384, kex::ECDH_SHA2_NISTP521],
        );
        let mut ciphers = usual.cipher.into_owned();
        ciphers.push(cipher::AES_128_GCM);
        // GCM is fastest wherever the processor has AES, which is nearly everywhere.
        ciphers.sort_by_key(|name| !name.as_ref().contains("gcm"));
        let mut macs = usual.mac.into_owned();
        // What is wrong with SHA-1 does no harm here, and old servers have nothing better.
        macs.extend([mac::HMAC_SHA1_ETM, mac::HMAC_SHA1]);
        let mut kex = chosen(&kex, settings.key_exchanges.as_deref(), |name| name.try_into().ok());
        kex.extend(told);
        let named = |name: &str| RSA.iter().map(|(known, _)| *known).find(|known| *known == name);
        let signatures = chosen(&[RSA[0].0, RSA[1].0], settings.signatures.as_deref(), named);
        let hash = |name: &&str| RSA.iter().find(|(known, _)| known == name).and_then(|(_, hash)| *hash);
        Algorithms {
            kex,
            ciphers: chosen(&ciphers, settings.ciphers.as_deref(), |name| name.try_into().ok()),
            macs: chosen(&macs, settings.macs.as_deref(), |name| name.try_into().ok()),
            rsa: signatures.iter().map(hash).collect(),
        }
    }

    /// The hash for a signature with an RSA key, where the server knows this one as the best, or does not say.
    pub fn rsa_hash(&self, told: Option<HashAlg>) -> Option<HashAlg> {
        match told {
            // As ssh has it, that says that it knows no other.
            None if self.rsa.contains(&None) => None,
            Some(_) if self.rsa.contains(&told) => told,
            Some(_) | None => self.rsa.first().copied().flatten(),
        }
    }
}

/// What a setting makes of the usual names: `a,b` are all there are, `+a` comes behind them, `^a` before, `-a*` leaves some out.
/// Names that nobody knows here say nothing, nor does a setting that would leave none.
fn chosen<N: Copy + PartialEq + AsRef<str>>(
    usual: &[N],
    said: Option<&str>,
    known: impl Fn(&str) -> Option<N>,
) -> Vec<N> {
    let Some(said) = said else { return usual.to_vec() };
    let (sign, names) = match said.split_at_checked(1) {
        Some((sign @ ("+" | "-" | "^"), names)) => (sign, names),
        _ => ("", said),
    };
    let is_secure = |name: &&str| !matches!(*name, "none" | "clear");
    let named: Vec<N> = names.split(',').map(str::trim).filter(is_secure).filter_map(known).collect();
    let others = |without: &[N]| usual.iter().copied().filter(|name| !without.contains(name)).collect();
    let chosen: Vec<N> = match sign {
        "+" => [usual, &named].concat(),
        "^" => [named.clone(), others(&named)].concat(),
        "-" => {
            let is_out = |name: &N| names.split(',').any(|pattern| matches(pattern.trim(), name.as_ref()));
            usual.iter().copied().filter(|name| !is_out(name)).collect()
        }
        _ => named,
    };
    if chosen.is_empty() { usual.to_vec() } else { chosen }
}

/// What to do about a server with which there is nothing in common.
pub fn advice(kind: &AlgorithmKind, theirs: &[String]) -> String {
    let (setting, is_known): (_, fn(&str) -> bool) = match kind {
        AlgorithmKind::Kex => ("KexAlgorithms", |name| kex::Name::try_from(name).is_ok()),
        AlgorithmKind::Cipher => ("Ciphers", |name| cipher::Name::try_from(name).is_ok()),
        AlgorithmKind::Mac => ("MACs", |name| mac::Name::try_from(name).is_ok()),
        AlgorithmKind::Key | AlgorithmKind::Compression => ("", |_| false),
    };
    match theirs.iter().find(|name| *name != "none" && is_known(name)) {
        Some(name) => format!(
            "if it is old, have it brought up to date, or allow what it has in ~/.ssh/config: {setting} +{name}"
        ),
        None => "it is too old, and has to be brought up to date".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(change: impl FnOnce(&mut Settings)) -> Algorithms {
        let mut settings = Settings::default();
        change(&mut settings);
        Algorithms::new(&settings)
    }

    fn names<N: AsRef<str>>(all: &[N]) -> Vec<&str> {
        all.iter().map(AsRef::as_ref).collect()
    }

    #[test]
    fn what_ssh_uses_unasked_is_used_and_nothing_weaker() {
        let usual = made(|_| {});
        assert!(usual.kex.contains(&kex::ECDH_SHA2_NISTP256));
        assert!(usual.kex.contains(&kex::EXTENSION_OPENSSH_STRICT_KEX_AS_CLIENT));
        assert_eq!(usual.macs.last(), Some(&mac::HMAC_SHA1));
        assert!(names(&usual.ciphers)[..2].iter().all(|name| name.contains("gcm")));
        let is_weak = |name: &&str| name.contains("cbc") || name.ends_with("group14-sha1") || *name == "none";
        assert!(!names(&usual.ciphers).iter().chain(&names(&usual.kex)).any(is_weak));
        let (best, other) = (Some(HashAlg::Sha512), Some(HashAlg::Sha256));
        assert_eq!([None, best, other].map(|told| usual.rsa_hash(told)), [best, best, other]);
    }

    #[test]
    fn the_configuration_adds_leaves_out_and_chooses() {
        let usual = made(|_| {});
        let ciphers = |said: &str| made(|settings| settings.ciphers = Some(said.to_owned())).ciphers;
        let more = ciphers("+aes128-cbc,unheard-of");
        assert_eq!(more, [usual.ciphers.as_slice(), &[cipher::AES_128_CBC]].concat());
        assert_eq!(names(&ciphers("aes256-cbc,aes128-ctr")), ["aes256-cbc", "aes128-ctr"]);
        assert_eq!(ciphers("^aes256-ctr").len(), usual.ciphers.len());
        assert_eq!(ciphers("^aes256-ctr")[0], cipher::AES_256_CTR);
        assert!(!names(&ciphers("-*gcm*,chacha*")).iter().any(|name| !name.ends_with("ctr")));
        // Nothing is sent in clear text, and a setting of which nothing is known here leaves all as it is.
        for useless in ["none", "unheard-of", "-*", "", "+none"] {
            assert_eq!(ciphers(useless), usual.ciphers, "{useless}");
        }
        let old = made(|settings| {
            settings.key_exchanges = Some("diffie-hellman-group14-sha1".to_owned());
            settings.signatures = Some("+ssh-rsa".to_owned());
        });
        assert_eq!(old.kex[0], kex::DH_G14_SHA1);
        assert!(old.kex.contains(&kex::EXTENSION_OPENSSH_STRICT_KEX_AS_CLIENT));
        let best = Some(HashAlg::Sha512);
        assert_eq!((old.rsa_hash(None), old.rsa_hash(best)), (None, best));
        let hash = |said: &str| made(|settings| settings.signatures = Some(said.to_owned())).rsa_hash(best);
        assert_eq!(hash("ssh-ed25519,ssh-rsa"), None);
        assert_eq!(["-ssh-rsa", "ssh-ed25519", "+ssh-rsa"].map(hash), [best; 3]);
    }

    #[test]
    fn the_advice_names_what_both_sides_know() {
        let theirs = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let found = advice(&AlgorithmKind::Cipher, &theirs(&["none", "arcfour", "aes128-cbc", "3des-cbc"]));
        assert!(found.ends_with("in ~/.ssh/config: Ciphers +aes128-cbc"), "{found}");
        let nothing = advice(&AlgorithmKind::Mac, &theirs(&["hmac-md5"]));
        assert_eq!(nothing, "it is too old, and has to be brought up to date");
    }
}
