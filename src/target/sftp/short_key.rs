//! ECDSA keys whose secret number is short.
//!
//! OpenSSH writes that number without leading zeros, and the library that reads keys wants all 32 bytes of it: of some hundred
//! keys it refuses one.

use data_encoding::BASE64;
use russh::keys::PrivateKey;

const MAGIC: &[u8] = b"openssh-key-v1\0";
const BEGIN: &str = "-----BEGIN OPENSSH PRIVATE KEY-----";
const END: &str = "-----END OPENSSH PRIVATE KEY-----";
const KIND: &[u8] = b"ecdsa-sha2-nistp256";
/// Bytes of the secret number.
const WHOLE: usize = 32;

/// The key in a file of OpenSSH, if it is one of these, and not encrypted or opened by the passphrase.
pub fn read(text: &str, passphrase: Option<&str>) -> Option<PrivateKey> {
    let armored = text.split_once(BEGIN)?.1.split_once(END)?.0;
    let letters: Vec<u8> = armored.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let bytes = BASE64.decode(&letters).ok()?;
    let mut rest = bytes.strip_prefix(MAGIC)?;
    let (cipher, _kdf, _options) = (string(&mut rest)?, string(&mut rest)?, string(&mut rest)?);
    let count = rest.split_off(..4)?;
    let public = string(&mut rest)?;
    let mut secret = string(&mut rest)?.to_vec();
    if string(&mut &*public)? != KIND {
        return None;
    }
    if cipher != b"none" {
        // The library knows how it is locked, and finds fault only with what is inside.
        let locked = PrivateKey::from_bytes(&bytes).ok()?;
        let (key, start) = locked.kdf().derive_key_and_iv(locked.cipher(), passphrase?).ok()?;
        let tag = if locked.cipher().has_tag() { Some(rest.try_into().ok()?) } else { None };
        locked.cipher().decrypt(&key, &start, &mut secret, tag).ok()?;
    }
    let mut again = MAGIC.to_vec();
    [&b"none"[..], b"none", b""].iter().for_each(|part| put(&mut again, part));
    again.extend_from_slice(count);
    [public, &lengthened(&secret)?].iter().for_each(|part| put(&mut again, part));
    PrivateKey::from_bytes(&again).ok()
}

/// The secret part of a key with all bytes of its number, if it has too few.
fn lengthened(secret: &[u8]) -> Option<Vec<u8>> {
    let mut rest = secret;
    let check = rest.split_off(..8)?;
    let (kind, curve, point) = (string(&mut rest)?, string(&mut rest)?, string(&mut rest)?);
    let (number, comment) = (string(&mut rest)?, string(&mut rest)?);
    if kind != KIND || number.len() >= WHOLE {
        return None;
    }
    let whole = [vec![0; WHOLE - number.len()], number.to_vec()].concat();
    let mut padded = check.to_vec();
    [kind, curve, point, &whole, comment].iter().for_each(|part| put(&mut padded, part));
    padded.extend((1..=u8::MAX).take(padded.len().next_multiple_of(8) - padded.len()));
    Some(padded)
}

/// Takes a string with its length in front (RFC 4251, section 5).
fn string<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = rest.split_off(..4)?.try_into().ok().map(u32::from_be_bytes)?;
    rest.split_off(..usize::try_from(length).ok()?)
}

fn put(bytes: &mut Vec<u8>, part: &[u8]) {
    bytes.extend_from_slice(&u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
    bytes.extend_from_slice(part);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by ssh-keygen for this test, and used nowhere.
    const SHORT: &str = "-----BEGIN OPENSSH PRIVATE KEY-----
b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAaAAAABNlY2RzYS
1zaGEyLW5pc3RwMjU2AAAACG5pc3RwMjU2AAAAQQTn5ncKeC1Fh2bAJ1laPnwBR3CgjcbT
Gf3cCAkUpX7i1JELimsZDCSObIR1FBd65l9i07zQNe5/MrnjKhcuw04aAAAAoGe553tnue
d7AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBOfmdwp4LUWHZsAn
WVo+fAFHcKCNxtMZ/dwICRSlfuLUkQuKaxkMJI5shHUUF3rmX2LTvNA17n8yueMqFy7DTh
oAAAAfYwnHBQA3mh9UZ5ykWvt1wBK29wtHE33bhVwkwOju/QAAAAVzaG9ydAECAwQ=
-----END OPENSSH PRIVATE KEY-----
";
    /// The same key, locked in the ways that ssh-keygen has.
    const LOCKED: [&str; 3] = [
        "-----BEGIN OPENSSH PRIVATE KEY-----
b3BlbnNzaC1rZXktdjEAAAAACmFlczI1Ni1jdHIAAAAGYmNyeXB0AAAAGAAAABD5vR4r4Q
iJ5cf6w2JSw1LyAAAAAQAAAAEAAABoAAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlz
dHAyNTYAAABBBOfmdwp4LUWHZsAnWVo+fAFHcKCNxtMZ/dwICRSlfuLUkQuKaxkMJI5shH
UUF3rmX2LTvNA17n8yueMqFy7DThoAAACgFWa3p1Mi7idP4sI5Uk8YeSDLKbEt5MDDxDei
9bG6GmHny6Nk4PEFbNvpSF3xNr052nTORVYQl3kPJ2yOm5uZWdCevah/Q/54EVMVb5rCQ8
vneUzg7cQVY/mf9y+RL3O36tpiTyT+dQ30LZmED4DFPrFX9wcZT2/yTNotKs9Z9NX8RJ63
1thuAPXmqYf0r0Qt0qTasBFH/53Hb1qSouPdIQ==
-----END OPENSSH PRIVATE KEY-----
",
        "-----BEGIN OPENSSH PRIVATE KEY-----
b3BlbnNzaC1rZXktdjEAAAAAFmFlczI1Ni1nY21Ab3BlbnNzaC5jb20AAAAGYmNyeXB0AA
AAGAAAABDi0S/WskAkwG/L2PdMqVx2AAAAAQAAAAEAAABoAAAAE2VjZHNhLXNoYTItbmlz
dHAyNTYAAAAIbmlzdHAyNTYAAABBBOfmdwp4LUWHZsAnWVo+fAFHcKCNxtMZ/dwICRSlfu
LUkQuKaxkMJI5shHUUF3rmX2LTvNA17n8yueMqFy7DThoAAACgKQZmQ7ZO7DOCdL5bFW5Z
oUEgg+kR1cswUC5t+zQdmr1iOKu2L1lMjPbswsv5U5VLLXwvaJSp0bM06+1L6opKnN6Ziu
SpG6W1BOyDt4rWM9kybofiWZhjfofF0Vx13oFozHlMyl5YBemVggU9n9Qv+Uivl9ooXLK7
qS9ZLxV9Kc6hvaeFkDP9P+OFmYLwA05luyqt5WaLlYH61aryNueQ2mxO3xCSDnfrKEaBIB
G3GyQ=
-----END OPENSSH PRIVATE KEY-----
",
        "-----BEGIN OPENSSH PRIVATE KEY-----
b3BlbnNzaC1rZXktdjEAAAAAHWNoYWNoYTIwLXBvbHkxMzA1QG9wZW5zc2guY29tAAAABm
JjcnlwdAAAABgAAAAQ1gbI1k2h4QIeC8wreTrJQwAAAAEAAAABAAAAaAAAABNlY2RzYS1z
aGEyLW5pc3RwMjU2AAAACG5pc3RwMjU2AAAAQQTn5ncKeC1Fh2bAJ1laPnwBR3CgjcbTGf
3cCAkUpX7i1JELimsZDCSObIR1FBd65l9i07zQNe5/MrnjKhcuw04aAAAAoPyTxcgBwKDf
dY/fNAOoD6u4Q3JvAFDJHqDw3DXgVC2I+4W7Hnd8WU64XPDHLBllm/xeXNJMlqrdPQhfQu
ucKGCACIhlIcnTKDGtq10LB8de8IEp9s75oE/eljUIKtx3veZiQXhL2cyo5BqnuM/71gAK
h+IySemJCcCAA3qmVjB0GtoSV243D0CYi0Nn+FsoL3ayIOIsY4jqrp/wZ45c3pDxL62v9h
/3q4LGPM3LzLYF
-----END OPENSSH PRIVATE KEY-----
",
    ];
    const FINGERPRINT: &str = "SHA256:pTfGhGyAmTZEOPnr3DSWrfJnRAcChQTnR/tUU9s0Uig";

    #[test]
    fn a_key_with_a_short_number_is_read() {
        assert!(
            PrivateKey::from_openssh(SHORT).is_err(),
            "the library reads it by now, and this module can go"
        );
        assert_is_the_key(&read(SHORT, None).unwrap());
    }

    #[test]
    fn a_locked_key_with_a_short_number_is_read_with_its_passphrase() {
        for text in LOCKED {
            let locked = PrivateKey::from_openssh(text).unwrap();
            assert!(locked.decrypt("open sesame").is_err(), "the library reads it by now");
            assert_is_the_key(&read(text, Some("open sesame")).unwrap());
            assert!(read(text, Some("open barley")).is_none());
            assert!(read(text, None).is_none());
        }
    }

    fn assert_is_the_key(key: &PrivateKey) {
        assert_eq!(key.comment().as_bytes(), b"short");
        let fingerprint = key.public_key().fingerprint(russh::keys::HashAlg::Sha256).to_string();
        assert_eq!(fingerprint, FINGERPRINT);
    }

    #[test]
    fn what_is_no_such_key_is_left_to_others() {
        let cut = SHORT.replace("b3BlbnNzaC1rZXktdjEAAAAABG5vbmU", "b3BlbnNzaC1rZXktdjEAAAAA");
        for text in ["", BEGIN, &format!("{BEGIN}{END}"), &format!("{BEGIN}????{END}"), &cut] {
            assert!(read(text, None).is_none(), "{text}");
        }
    }
}
