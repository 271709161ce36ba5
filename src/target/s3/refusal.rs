//! What the server says when it refuses, in words that help.

use super::net::Answer;
use crate::error::{Error, Kind, Result, Retry};
use crate::model::Stamp;
use crate::wire::s3::answer::Refusal;
use crate::wire::s3::time;

/// A question that was not answered.
#[derive(Debug)]
pub enum Trouble {
    /// The network, or this side.
    Error(Error),
    /// The server.
    Refused(Box<Refused>),
}

/// A refusal of the server.
#[derive(Debug, Default)]
pub struct Refused {
    pub status: u16,
    pub code: String,
    pub message: String,
    /// Where the bucket is.
    pub region: Option<String>,
    /// The host that should be asked instead.
    pub host: Option<String>,
    /// The clock of the server.
    pub date: Option<Stamp>,
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Trouble::Error(error)
    }
}

impl From<Trouble> for Error {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Error(error) => error,
            Trouble::Refused(refused) => refused.error(),
        }
    }
}

impl Trouble {
    /// Whether the server says that there is nothing of this name.
    pub fn is_missing(&self) -> bool {
        matches!(self, Trouble::Refused(refused) if refused.status == 404 && !refused.is("NoSuchBucket"))
    }

    /// Whether a condition was not met.
    pub fn is_unmet(&self) -> bool {
        matches!(self, Trouble::Refused(refused) if refused.status == 412 || refused.is("PreconditionFailed"))
    }

    /// Whether the server does not know what it was asked for.
    pub fn is_unsupported(&self) -> bool {
        matches!(self, Trouble::Refused(refused)
            if refused.status == 501 || refused.status == 405 || refused.is("NotImplemented") || refused.is("MethodNotAllowed"))
    }

    /// The error, for a look at it.
    pub fn judged(&self) -> Error {
        match self {
            Trouble::Error(error) => error.duplicate(),
            Trouble::Refused(refused) => refused.error(),
        }
    }
}

impl Refused {
    /// Reads the refusal that an answer is.
    ///
    /// # Errors
    /// If the connection ends in its middle.
    pub fn read(answer: Answer<'_>) -> Result<Self> {
        let status = answer.head.status;
        let date = answer.head.get("date").and_then(time::header);
        let told = answer.head.get("x-amz-bucket-region").map(str::to_owned);
        let host = answer.head.get("location").and_then(host_of);
        let body = answer.bytes(super::client::LIMIT)?;
        let Refusal { code, message, region } = Refusal::parse(&body).unwrap_or_default();
        let is_elsewhere = matches!(status, 301 | 307 | 400);
        Ok(Refused { status, code, message, region: told.or(region).filter(|_| is_elsewhere), host, date })
    }

    /// A refusal that came with the status of a success.
    pub fn in_a_success(refusal: Refusal) -> Self {
        let Refusal { code, message, region } = refusal;
        Refused { status: 200, code, message, region, ..Refused::default() }
    }

    pub fn is(&self, code: &str) -> bool {
        self.code == code
    }

    /// Whether it does not say why. It may be about the clock, or keys that have ended.
    pub fn is_vague(&self) -> bool {
        matches!(self.status, 400 | 403) && self.code.is_empty()
    }

    /// Whether the keys were good once.
    pub fn is_about_old_keys(&self) -> bool {
        matches!(self.code.as_str(), "ExpiredToken" | "ExpiredTokenException" | "RequestExpired")
    }

    /// The refusal as an error.
    pub fn error(&self) -> Error {
        let said = match (self.code.as_str(), self.message.as_str()) {
            ("", "") => format!("the server says {}", self.status),
            (code, "") => format!("the server says {code}"),
            ("", message) => format!("the server says {}: {message}", self.status),
            (code, message) => format!("the server says {code}: {message}"),
        };
        let error = |kind: Kind| Error::new(kind, said.clone());
        match (self.code.as_str(), self.status) {
            ("NoSuchBucket", _) => {
                error(Kind::NotFound).advise("there is no such bucket: check its name, the endpoint and the region")
            }
            ("NoSuchKey", _) | ("", 404) => Error::new(Kind::NotFound, "no such file or folder"),
            ("InvalidAccessKeyId" | "NotSignedUp", _) => {
                error(Kind::Denied).advise("the server does not know the access key: check AWS_ACCESS_KEY_ID, --profile and the endpoint")
            }
            ("SignatureDoesNotMatch", _) => {
                error(Kind::Denied).advise("the secret key is wrong: check AWS_SECRET_ACCESS_KEY and --profile")
            }
            ("ExpiredToken" | "ExpiredTokenException" | "InvalidToken" | "RequestExpired", _) => {
                error(Kind::Denied).advise("get new temporary keys, or log in again")
            }
            ("RequestTimeTooSkewed", _) => error(Kind::Denied).advise("set the clock of this computer"),
            ("", 300..=399) if self.region.is_none() => {
                let to = self.host.as_ref().map(|host| format!(" (it sends to {host})")).unwrap_or_default();
                error(Kind::Refused).with_os(libc::EIO).advise(format!("that is not where the bucket is{to}: check --endpoint-url"))
            }
            ("PermanentRedirect" | "AuthorizationHeaderMalformed" | "IllegalLocationConstraintException", _) | ("", 301) => {
                let advice = match &self.region {
                    Some(region) => format!("the bucket is in another region: use --region {region}"),
                    None => "the bucket is in another region: name it with --region".to_owned(),
                };
                error(Kind::Refused).with_os(libc::EIO).advise(advice)
            }
            ("InvalidObjectState", _) => {
                error(Kind::Denied).advise("the object is archived and has to be restored before it can be read")
            }
            ("AccessDenied" | "AllAccessDisabled" | "AccountProblem" | "", 401 | 403) | ("AccessDenied", _) => {
                error(Kind::Denied).advise("these keys may not do that: check the policies of user and bucket, or --profile")
            }
            ("PreconditionFailed", _) | ("", 412) => {
                Error::new(Kind::Changed, "somebody has changed it since it was listed")
            }
            ("EntityTooLarge" | "QuotaExceeded" | "XMinioStorageFull" | "ServiceQuotaExceededException", _) | (_, 507) => {
                error(Kind::Full).with_os(libc::ENOSPC)
            }
            ("BadDigest" | "XAmzContentSHA256Mismatch" | "IncompleteBody" | "RequestTimeout" | "SlowDown" | "OperationAborted"
                | "ConditionalRequestConflict" | "InternalError" | "ServiceUnavailable" | "Throttling" | "TooManyRequests", _)
            | (_, 429 | 500 | 502 | 503 | 504) => error(Kind::Busy).with_os(libc::EAGAIN).retrying(Retry::Later),
            ("NotImplemented" | "MethodNotAllowed", _) | (_, 501 | 405) => error(Kind::Unsupported),
            _ => error(Kind::Refused).with_os(libc::EIO),
        }
    }
}

/// The host in a URL, without anything that may be a secret.
fn host_of(url: &str) -> Option<String> {
    let (_, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority.rsplit('@').next().filter(|host| !host.is_empty());
    host.map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_say_what_to_do_and_whether_to_try_again() {
        let refused =
            |status, code: &str| Refused { status, code: code.to_owned(), ..Refused::default() }.error();
        assert_eq!(refused(503, "SlowDown").retry(), Retry::Later);
        assert_eq!(refused(500, "").retry(), Retry::Later);
        assert_eq!(refused(200, "InternalError").retry(), Retry::Later);
        assert_eq!(refused(404, "NoSuchKey").kind(), Kind::NotFound);
        assert_eq!(refused(412, "").kind(), Kind::Changed);
        assert_eq!(refused(403, "").kind(), Kind::Denied);
        assert_eq!(refused(418, "Teapot").kind(), Kind::Refused);
        assert!(refused(403, "SignatureDoesNotMatch").to_string().contains("AWS_SECRET_ACCESS_KEY"));
        assert!(refused(404, "NoSuchBucket").to_string().contains("check its name"));
    }
}
