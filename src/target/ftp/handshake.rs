//! What a failed TLS handshake means, and what can be done about it.

use super::Server;
use super::config::TlsVersion;
use crate::error::{Error, Kind};
use rustls::{AlertDescription as Alert, CertificateError, InvalidMessage};
use std::io;

/// Whether a failed handshake may succeed with other versions of TLS. Some servers hang up instead of saying why.
pub fn is_version_refusal(error: &io::Error) -> bool {
    match tls_error(error) {
        Some(cause) => is_about_versions(cause),
        None => matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset),
    }
}

/// Whether the server has refused the certificate of this side. In TLS 1.3 that comes when the handshake is over for us.
pub fn is_about_our_certificate(error: &io::Error) -> bool {
    match tls_error(error) {
        Some(rustls::Error::AlertReceived(alert)) => {
            *alert == Alert::CertificateRequired || is_about_us(*alert)
        }
        _ => false,
    }
}

/// Whether the server has asked again and again to negotiate anew on a connection of TLS 1.2.
pub fn is_about_renegotiation(error: &io::Error) -> bool {
    use rustls::PeerMisbehaved::TooManyRenegotiationRequests;
    matches!(tls_error(error), Some(rustls::Error::PeerMisbehaved(TooManyRenegotiationRequests)))
}

/// What to do about a server that does.
pub const RENEGOTIATES: &str = "the server demands to negotiate TLS anew in the middle of a transfer, which is not done here: \
     try --tls-max 1.3, or have its operator switch that off (ProFTPD: TLSRenegotiate none)";

/// The cause that TLS itself reports, if it was not the network.
fn tls_error(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

/// Puts a failed handshake into words, with the fingerprint of a certificate that was not trusted.
pub fn explain(server: &Server, error: &io::Error) -> Error {
    let address = server.address();
    let Some(cause) = tls_error(error) else {
        return without_words(server, error);
    };
    if let rustls::Error::InvalidCertificate(why) = cause {
        return distrusted(server, why);
    }
    let failed = |why: &str| Error::new(Kind::Tls, format!("the TLS handshake with {address} failed: {why}"));
    match cause {
        rustls::Error::AlertReceived(Alert::CertificateRequired) => {
            failed("the server wants a certificate of yours").advise(GIVE_YOURS)
        }
        rustls::Error::AlertReceived(alert) if is_about_us(*alert) => {
            failed(&format!("the server does not accept your certificate ({alert:?})"))
                .advise("check the files of --tls-cert and --tls-key")
        }
        rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType) if server.is_implicit => {
            failed("the server does not begin with TLS").advise("try it without --tls-implicit, on port 21")
        }
        _ if is_about_versions(cause) => match server.config.tls.as_ref().and_then(|tls| tls.max) {
            Some(TlsVersion::V12) => failed("the server does not speak TLS 1.2, or no safe cipher of it")
                .advise("try it without --tls-max 1.2"),
            Some(TlsVersion::V13) | None => failed(
                "the server has only versions or ciphers that are not safe any more (before TLS 1.2, or without ECDHE)",
            )
            .advise(format!("its operator has to enable newer ones; if it wants a certificate of yours, {GIVE_YOURS}")),
        },
        _ => failed(&cause.to_string()),
    }
}

const GIVE_YOURS: &str = "give it with --tls-cert FILE and --tls-key FILE";

/// The connection ended, or fell silent, in the middle.
fn without_words(server: &Server, error: &io::Error) -> Error {
    let address = server.address();
    let (kind, cause) = match error.kind() {
        io::ErrorKind::UnexpectedEof => (Kind::Tls, "the server hung up".to_owned()),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
            let seconds = server.config.timeout.as_secs_f32();
            (Kind::Timeout, format!("no answer for {seconds} seconds"))
        }
        _ => (Kind::Tls, error.to_string()),
    };
    let error = Error::new(kind, format!("the TLS handshake with {address} failed: {cause}"));
    if server.is_implicit {
        return error.advise("if the port does not begin with TLS, try it without --tls-implicit");
    }
    error.advise("the server may know only versions of TLS that are not safe any more")
}

fn distrusted(server: &Server, why: &CertificateError) -> Error {
    let (address, host) = (server.address(), &server.host);
    let words = certificate_words(why);
    let shown = server.trust.as_ref().and_then(super::tls::Trust::shown);
    let Some(fingerprint) = shown else {
        return Error::new(Kind::Tls, format!("the certificate of {address} cannot be read ({words})"));
    };
    let error = Error::new(
        Kind::Tls,
        format!("the certificate of {address} cannot be trusted ({words}): {fingerprint}"),
    );
    let pin = format!("trust exactly this certificate with --tls-pin {fingerprint}");
    error.advise(match why {
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            format!("use a name that it is for instead of {host}, or {pin}")
        }
        CertificateError::Expired
        | CertificateError::ExpiredContext { .. }
        | CertificateError::NotValidYet
        | CertificateError::NotValidYetContext { .. } => {
            format!("its operator has to renew it (is the clock of this computer right?); until then, {pin}")
        }
        CertificateError::ApplicationVerificationFailure => {
            "ask the operator of the server whether it was replaced, before you change --tls-pin".to_owned()
        }
        _ => {
            format!("trust its issuer with --tls-ca FILE, {pin}, or turn the check off with --no-verify-tls")
        }
    })
}

fn certificate_words(why: &CertificateError) -> String {
    match why {
        CertificateError::UnknownIssuer => {
            "its issuer is unknown, or the server does not show the certificates in between".to_owned()
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "it has expired".to_owned(),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "it is not valid yet".to_owned()
        }
        CertificateError::NotValidForNameContext { presented, .. } if !presented.is_empty() => {
            format!("it is for {}", names_in(presented))
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "it is for another host, or names none as servers have to".to_owned()
        }
        CertificateError::ApplicationVerificationFailure => "it is not the pinned one".to_owned(),
        // The library has no variant of its own for it.
        other if other.to_string().contains("CaUsedAsEndEntity") => {
            "it is that of an authority, or signs itself".to_owned()
        }
        other => other.to_string(),
    }
}

/// `DnsName("a.example")` and the like, as people write them, not too many. An address that is given as a name is none.
fn names_in(presented: &[String]) -> String {
    let plain = |name: &String| match name.split_once('"').and_then(|(_, rest)| rest.rsplit_once('"')) {
        Some((inside, _)) if inside.parse::<std::net::IpAddr>().is_ok() => {
            format!("a host of the name {inside} and for no address")
        }
        Some((inside, _)) => inside.to_owned(),
        None => name.trim_start_matches("IpAddress(").trim_end_matches(')').to_owned(),
    };
    let mut shown: Vec<String> = presented.iter().take(3).map(plain).collect();
    if presented.len() > shown.len() {
        shown.push("others".to_owned());
    }
    shown.join(", ")
}

fn is_about_versions(cause: &rustls::Error) -> bool {
    matches!(
        cause,
        rustls::Error::AlertReceived(
            Alert::ProtocolVersion | Alert::HandshakeFailure | Alert::InsufficientSecurity
        ) | rustls::Error::PeerIncompatible(_)
    )
}

/// Whether an alert is about the certificate that this side has shown.
fn is_about_us(alert: Alert) -> bool {
    matches!(
        alert,
        Alert::BadCertificate
            | Alert::UnsupportedCertificate
            | Alert::CertificateRevoked
            | Alert::CertificateExpired
            | Alert::CertificateUnknown
            | Alert::UnknownCA
            | Alert::AccessDenied
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_a_certificate_has_as_a_name_is_told_apart() {
        let names =
            |presented: &[&str]| names_in(&presented.iter().map(|&name| name.to_owned()).collect::<Vec<_>>());
        assert_eq!(names(&["DnsName(\"a.example\")", "IpAddress(10.0.0.1)"]), "a.example, 10.0.0.1");
        assert_eq!(names(&["DnsName(\"10.0.0.1\")"]), "a host of the name 10.0.0.1 and for no address");
    }
}
