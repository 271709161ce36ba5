//! What travels to and from an S3 server, as plain values: no sockets, no clock.
//!
//! [`sign`] says who asks (AWS Signature Version 4), [`http`] reads the head of an answer, [`xml`] its body, [`answer`] what the
//! bodies of S3 mean, and [`time`] the three ways in which they write times.

pub mod answer;
pub mod http;
pub mod sign;
pub mod time;
pub mod xml;

/// A digest as lower-case digits.
pub fn hex(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(bytes)
}

/// Percent-encodes all but the unreserved characters of RFC 3986 and those in `kept`, as signatures want it.
pub fn encoded(text: &str, kept: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for &byte in text.as_bytes() {
        let char = char::from(byte);
        if char.is_ascii_alphanumeric() || "-._~".contains(char) || (byte < 0x80 && kept.contains(char)) {
            out.push(char);
        } else {
            out.push('%');
            out.push_str(&data_encoding::HEXUPPER.encode(&[byte]));
        }
    }
    out
}

/// Undoes the encoding of names in listings, where a plus stands for a blank; `None` if what comes out is no text.
pub fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        let hex = after.get(..2).filter(|_| byte == b'%').and_then(|hex| std::str::from_utf8(hex).ok());
        match (byte, hex.and_then(|hex| u8::from_str_radix(hex, 16).ok())) {
            (_, Some(decoded)) => {
                bytes.push(decoded);
                rest = &after[2..];
            }
            (b'+', None) => bytes.push(b' '),
            (byte, None) => bytes.push(byte),
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_survive_the_encoding() {
        for name in ["a b+c", "ü/日本", "100%", "a\nb\u{1}", "~-._", "%2F"] {
            assert_eq!(decoded(&encoded(name, "/")).as_deref(), Some(name));
        }
        assert_eq!(encoded("a/b c", "/"), "a/b%20c");
        assert_eq!(decoded("a+b%2Bc%").as_deref(), Some("a b+c%"));
        assert_eq!(decoded("%ff"), None);
    }
}
