//! AWS Signature Version 4: who asks, and that nobody has changed the question on its way.

use super::time::basic;
use super::{encoded, hex};
use ring::{digest, hmac};
use std::fmt::Write as _;

/// What stands for the digest of a body that is not signed.
pub const UNSIGNED: &str = "UNSIGNED-PAYLOAD";

/// The question, as far as it is signed.
#[derive(Debug)]
pub struct Question<'a> {
    /// GET, PUT, ...
    pub method: &'a str,
    /// The path, not encoded, from the first slash.
    pub path: &'a str,
    /// The query, not encoded.
    pub query: &'a [(&'a str, String)],
    /// The headers that are signed: names in lower case, `host` among them.
    pub headers: &'a [(String, String)],
    /// SHA-256 of the body in digits, or [`UNSIGNED`].
    pub body: &'a str,
}

/// For which service, where and when a signature is good.
#[derive(Debug, Clone, Copy)]
pub struct Scope<'a> {
    /// `us-east-1`, ...
    pub region: &'a str,
    /// `s3`, `sts`.
    pub service: &'a str,
    /// Seconds since 1970-01-01 UTC.
    pub now: i64,
}

/// The header `Authorization` for a question.
pub fn authorization(question: &Question<'_>, key_id: &str, secret: &str, scope: Scope<'_>) -> String {
    let mut headers: Vec<(&str, &str)> =
        question.headers.iter().map(|(name, value)| (name.as_str(), value.trim())).collect();
    headers.sort_unstable();
    let names = headers.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";");
    let mut canonical =
        format!("{}\n{}\n{}\n", question.method, encoded(question.path, "/"), query_string(question.query));
    for (name, value) in &headers {
        // Writing to a string cannot fail.
        let _ = writeln!(canonical, "{name}:{value}");
    }
    let _ = write!(canonical, "\n{names}\n{}", question.body);
    let time = basic(scope.now);
    let day = &time[..8];
    let place = format!("{day}/{}/{}/aws4_request", scope.region, scope.service);
    let digest = hex(digest::digest(&digest::SHA256, canonical.as_bytes()).as_ref());
    let text = format!("AWS4-HMAC-SHA256\n{time}\n{place}\n{digest}");
    let mut key = keyed(format!("AWS4{secret}").as_bytes(), day.as_bytes());
    for part in [scope.region, scope.service, "aws4_request", &text] {
        key = keyed(key.as_ref(), part.as_bytes());
    }
    let signature = hex(key.as_ref());
    format!("AWS4-HMAC-SHA256 Credential={key_id}/{place}, SignedHeaders={names}, Signature={signature}")
}

/// The query as it is sent and signed: encoded and in order.
pub fn query_string(query: &[(&str, String)]) -> String {
    let mut parts: Vec<String> =
        query.iter().map(|(name, value)| format!("{}={}", encoded(name, ""), encoded(value, ""))).collect();
    parts.sort_unstable();
    parts.join("&")
}

fn keyed(key: &[u8], text: &[u8]) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_documentation_comes_out() {
        // "Example: GET Object" of the chapter on signatures in the documentation of Amazon S3.
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let headers = [
            ("host", "examplebucket.s3.amazonaws.com"),
            ("range", "bytes=0-9"),
            ("x-amz-content-sha256", empty),
            ("x-amz-date", "20130524T000000Z"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let question =
            Question { method: "GET", path: "/test.txt", query: &[], headers: &headers, body: empty };
        let scope = Scope { region: "us-east-1", service: "s3", now: 1_369_353_600 };
        let signed = authorization(
            &question,
            "AKIAIOSFODNN7EXAMPLE",
            "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
            scope,
        );
        assert!(
            signed.ends_with("Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"),
            "{signed}"
        );
    }

    #[test]
    fn queries_are_sorted_and_encoded() {
        let query =
            [("prefix", "a b/".to_owned()), ("list-type", "2".to_owned()), ("uploads", String::new())];
        assert_eq!(query_string(&query), "list-type=2&prefix=a%20b%2F&uploads=");
    }
}
