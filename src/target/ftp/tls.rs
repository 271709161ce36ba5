//! TLS for both connections: who is trusted, and which versions are offered.
//!
//! TLS 1.2 comes first because its sessions can be resumed any number of times, which servers demand of data connections;
//! tickets of TLS 1.3 are single use. Each control connection has a session store of its own, since ProFTPD accepts only
//! sessions of the very control connection a transfer belongs to.

use super::config::{Identity, TlsConfig, TlsVersion};
use super::tickets::Tickets;
use crate::error::{Error, Kind, Result};
use crate::locked::locked;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ClientSessionStore, Resumption, WebPkiServerVerifier, verify_server_name};
use rustls::crypto::ring::cipher_suite::TLS13_AES_128_GCM_SHA256;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::version::{TLS12, TLS13};
use rustls::{
    CertificateError, CipherSuite, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    SupportedCipherSuite,
};
use std::sync::{Arc, Mutex};

/// Which versions of TLS are offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Versions {
    /// 1.2 only: the first attempt.
    Resumable,
    /// 1.3 and 1.2: for servers that refuse the first attempt.
    Any,
}

impl Versions {
    /// What to offer first, and what after a refusal.
    pub fn to_offer(max: Option<TlsVersion>) -> &'static [Versions] {
        match max {
            None => &[Versions::Resumable, Versions::Any],
            Some(TlsVersion::V12) => &[Versions::Resumable],
            Some(TlsVersion::V13) => &[Versions::Any],
        }
    }
}

/// Who is trusted, prepared once for a target.
#[derive(Debug)]
pub struct Trust {
    verifier: Arc<Verifier>,
    name: ServerName<'static>,
    identity: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
    /// Whether a refusal of the first offer is answered with another one.
    has_second_offer: bool,
}

impl Trust {
    /// Reads certificates, the key and the pin.
    ///
    /// # Errors
    /// [`Kind::Usage`] for a pin, a file of certificates or keys, or a host name that cannot be read.
    pub fn new(config: &TlsConfig, host: &str) -> Result<Self> {
        let provider = Arc::new(ring::default_provider());
        let policy = match (&config.pin, config.verify) {
            (Some(pin), _) => Policy::Pinned(normal_pin(pin)?),
            (None, false) => Policy::Anyone,
            (None, true) => Policy::Chain(Chain::load(config, &provider)?),
        };
        // No certificate knows the interfaces of this computer.
        let named = if host.contains(':') { host.split('%').next().unwrap_or(host) } else { host };
        let name = ServerName::try_from(named.to_owned())
            .map_err(|_| Error::new(Kind::Usage, format!("{host:?} is not a host name")))?;
        let verifier = Arc::new(Verifier { policy, provider, shown: Mutex::new(None) });
        let identity = config.identity.as_ref().map(read_identity).transpose()?;
        let has_second_offer = Versions::to_offer(config.max).len() > 1;
        let trust = Trust { verifier, name, identity, has_second_offer };
        // A key that does not fit shows here and not in the middle of a handshake.
        trust.client_config(Versions::Any, &Arc::default())?;
        Ok(trust)
    }

    /// The name that certificates have to carry.
    pub fn name(&self) -> ServerName<'static> {
        self.name.clone()
    }

    /// A configuration for one control connection and its data connections, with the sessions they share.
    ///
    /// # Errors
    /// [`Kind::Tls`] if the library refuses the versions, [`Kind::Usage`] if it refuses the user's own certificate.
    pub fn client_config(&self, versions: Versions, tickets: &Arc<Tickets>) -> Result<Arc<ClientConfig>> {
        let offered = match versions {
            Versions::Resumable => &[&TLS12][..],
            Versions::Any => &[&TLS13, &TLS12][..],
        };
        let mut provider = CryptoProvider::clone(&self.verifier.provider);
        prefer_quick_ciphers(&mut provider.cipher_suites, aes_is_quick());
        if aes_is_quick() && versions == Versions::Resumable && self.has_second_offer {
            // Pure-FTPd takes ChaCha20 of all that TLS 1.2 offers, which costs both sides twice as much.
            provider.cipher_suites.retain(|suite| !is_chacha(suite));
        }
        let builder = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(offered)
            .map_err(|error| Error::new(Kind::Tls, error.to_string()))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::clone(&self.verifier) as Arc<dyn ServerCertVerifier>);
        let mut config = match &self.identity {
            None => builder.with_no_client_auth(),
            Some((chain, key)) => {
                builder.with_client_auth_cert(chain.clone(), key.clone_key()).map_err(|error| {
                    let why = match error {
                        rustls::Error::InconsistentKeys(_) => "the key is that of another one".to_owned(),
                        other => other.to_string(),
                    };
                    Error::new(Kind::Usage, format!("the certificate of --tls-cert is of no use: {why}"))
                })?
            }
        };
        config.resumption = Resumption::store(Arc::clone(tickets) as Arc<dyn ClientSessionStore>);
        Ok(Arc::new(config))
    }

    /// The fingerprint of the certificate that was seen last.
    pub fn shown(&self) -> Option<String> {
        locked(&self.verifier.shown).clone()
    }
}

/// Whether this computer has instructions for AES. Without them ChaCha20 takes a fraction of the time.
fn aes_is_quick() -> bool {
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    return std::arch::is_x86_feature_detected!("aes") && std::arch::is_x86_feature_detected!("pclmulqdq");
    #[cfg(target_arch = "aarch64")]
    return std::arch::is_aarch64_feature_detected!("aes");
    #[cfg(not(any(target_arch = "x86", target_arch = "x86_64", target_arch = "aarch64")))]
    return false;
}

fn prefer_quick_ciphers(suites: &mut [SupportedCipherSuite], aes_is_quick: bool) {
    suites.sort_by_key(|suite| is_chacha(suite) == aes_is_quick);
}

fn is_chacha(suite: &SupportedCipherSuite) -> bool {
    matches!(
        suite.suite(),
        CipherSuite::TLS13_CHACHA20_POLY1305_SHA256
            | CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256
            | CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256
    )
}

/// `sha256:` and 64 lower-case digits, from what the user wrote (colons between bytes are fine).
fn normal_pin(pin: &str) -> Result<String> {
    let (method, digits) = pin.split_once(':').unwrap_or(("", pin));
    let digits: String = digits.chars().filter(|c| *c != ':').map(|c| c.to_ascii_lowercase()).collect();
    let is_digest = digits.len() == 64 && digits.chars().all(|c| c.is_ascii_hexdigit());
    if !method.eq_ignore_ascii_case("sha256") || !is_digest {
        return Err(Error::new(
            Kind::Usage,
            format!("the pin {pin:?} is not \"sha256:\" and 64 hexadecimal digits"),
        ));
    }
    Ok(format!("sha256:{digits}"))
}

/// The fingerprint of a certificate as users see and pin it: SHA-256 of its DER form.
fn fingerprint(certificate: &CertificateDer<'_>) -> Option<String> {
    let suite = TLS13_AES_128_GCM_SHA256.tls13()?;
    let digest = suite.common.hash_provider.hash(certificate);
    let digits: String = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    Some(format!("sha256:{digits}"))
}

#[derive(Debug)]
enum Policy {
    Chain(Chain),
    Pinned(String),
    Anyone,
}

/// Trust by issuer.
#[derive(Debug)]
struct Chain {
    /// `None` when there is no root at all: then nothing can be verified.
    verifier: Option<Arc<WebPkiServerVerifier>>,
    /// Every trusted certificate: those of the user's own file, and those of the system (`SSL_CERT_FILE`). A server that
    /// shows one of these very certificates is trusted, although it calls itself an authority, which the library does not
    /// accept of a server: it is what `openssl req -x509` makes. Its dates are not looked at, as with a pin.
    trusted: Vec<CertificateDer<'static>>,
}

impl Chain {
    fn load(config: &TlsConfig, provider: &Arc<CryptoProvider>) -> Result<Self> {
        let mut trusted = match &config.ca_file {
            None => Vec::new(),
            Some(file) => read_certificates(file)?,
        };
        // Certificates of the system that cannot be read are left out; others may do.
        trusted.extend(rustls_native_certs::load_native_certs().certs);
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(trusted.iter().cloned());
        let verifier = if roots.is_empty() {
            None
        } else {
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
                .build()
                .map(Some)
                .map_err(|error| Error::new(Kind::Tls, error.to_string()))?
        };
        Ok(Chain { verifier, trusted })
    }
}

fn read_certificates(file: &std::path::Path) -> Result<Vec<CertificateDer<'static>>> {
    let unreadable = |why: String| {
        let shown = file.display();
        Error::new(Kind::Usage, format!("cannot read certificates from {shown}: {why}"))
    };
    let certificates = CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect::<std::result::Result<Vec<_>, _>>)
        .map_err(|error| unreadable(error.to_string()))?;
    if certificates.is_empty() {
        return Err(unreadable("there is none in it".to_owned()));
    }
    Ok(certificates)
}

fn read_identity(identity: &Identity) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)> {
    let chain = read_certificates(&identity.certificate)?;
    let file = identity.key.as_ref().unwrap_or(&identity.certificate);
    let key = PrivateKeyDer::from_pem_file(file).map_err(|error| {
        let shown = file.display();
        let failed = |why: &str| {
            Error::new(Kind::Usage, format!("cannot read the key of your certificate from {shown}: {why}"))
        };
        match error {
            _ if is_locked(file) => failed("it is locked by a password")
                .advise(format!("\"openssl pkey -in {shown} -out FILE\" makes one that is not")),
            pem::Error::NoItemsFound => failed("there is none in it"),
            other => failed(&other.to_string()),
        }
    })?;
    Ok((chain, key))
}

/// Whether a key wants a password: `BEGIN ENCRYPTED PRIVATE KEY`, or `Proc-Type: 4,ENCRYPTED` in the older form.
fn is_locked(file: &std::path::Path) -> bool {
    std::fs::read(file).is_ok_and(|bytes| bytes.windows(9).any(|part| part == b"ENCRYPTED"))
}

/// Decides by [`Policy`], and remembers the fingerprint of what it was shown, for error messages.
#[derive(Debug)]
struct Verifier {
    policy: Policy,
    provider: Arc<CryptoProvider>,
    shown: Mutex<Option<String>>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> std::result::Result<ServerCertVerified, rustls::Error> {
        let seen = fingerprint(end_entity);
        locked(&self.shown).clone_from(&seen);
        match &self.policy {
            Policy::Anyone => Ok(ServerCertVerified::assertion()),
            Policy::Pinned(pin) if seen.as_ref() == Some(pin) => Ok(ServerCertVerified::assertion()),
            Policy::Pinned(_) => Err(CertificateError::ApplicationVerificationFailure.into()),
            Policy::Chain(chain) if chain.trusted.iter().any(|trusted| trusted == end_entity) => {
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
                Ok(ServerCertVerified::assertion())
            }
            Policy::Chain(chain) => match &chain.verifier {
                Some(verifier) => {
                    verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
                }
                None => Err(CertificateError::UnknownIssuer.into()),
            },
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pins_are_read_with_and_without_colons() {
        let digits = "AB".repeat(32);
        let spaced = ["AB"; 32].join(":");
        let normal = format!("sha256:{}", "ab".repeat(32));
        assert_eq!(normal_pin(&format!("sha256:{digits}")).unwrap(), normal);
        assert_eq!(normal_pin(&format!("SHA256:{spaced}")).unwrap(), normal);
        for bad in ["", "sha256:12", "md5:00"] {
            assert_eq!(normal_pin(bad).unwrap_err().kind(), Kind::Usage);
        }
    }

    #[test]
    fn ciphers_that_this_computer_is_quick_at_come_first_and_chacha_waits_only_where_a_second_offer_follows()
    {
        for quick in [true, false] {
            let mut provider = ring::default_provider();
            let all = provider.cipher_suites.len();
            prefer_quick_ciphers(&mut provider.cipher_suites, quick);
            let order: Vec<bool> = provider.cipher_suites.iter().map(is_chacha).collect();
            assert!(order.is_sorted_by_key(|is_chacha| *is_chacha == quick), "{order:?}");
            assert_eq!((order.len(), order.iter().filter(|is_chacha| **is_chacha).count()), (all, 3));
        }
        let offers_chacha = |max, versions| {
            let trust =
                Trust::new(&TlsConfig { verify: false, max, ..TlsConfig::default() }, "localhost").unwrap();
            let config = trust.client_config(versions, &Arc::default()).unwrap();
            config.crypto_provider().cipher_suites.iter().any(is_chacha)
        };
        assert_eq!(offers_chacha(None, Versions::Resumable), !aes_is_quick());
        assert!(offers_chacha(None, Versions::Any));
        assert!(offers_chacha(Some(TlsVersion::V12), Versions::Resumable));
    }

    #[test]
    fn fingerprints_are_sha256() {
        let empty = fingerprint(&CertificateDer::from(Vec::new())).unwrap();
        assert!(empty.starts_with("sha256:e3b0c44298fc1c149afbf4c8996fb924"));
    }
}
