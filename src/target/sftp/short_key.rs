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

/// The key in a file of OpenSSH, if it is one of these, and not encrypted.
pub fn read(text: &str) -> Option<PrivateKey> {
    let armored = text.split_once(BEGIN)?.1.split_once(END)?.0;
    let letters: Vec<u8> = armored.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let bytes = BASE64.decode(&letters).ok()?;
    let mut rest = bytes.strip_prefix(MAGIC)?;
    let (cipher, kdf, options) = (string(&mut rest)?, string(&mut rest)?, string(&mut rest)?);
    let count = rest.split_off(..4)?;
    let public = string(&mut rest)?;
    let mut secret = string(&mut rest)?;
    let check = secret.split_off(..8)?;
    let (kind, curve, point) = (string(&mut secret)?, string(&mut secret)?, string(&mut secret)?);
    let number = string(&mut secret)?;
    let comment = string(&mut secret)?;
    if cipher != b"none" || kind != KIND || number.len() >= WHOLE {
        return None;
    }
    let whole = [vec![0; WHOLE - number.len()], number.to_vec()].concat();
    let mut padded = check.to_vec();
    [kind, curve, point, &whole, comment].iter().for_each(|part| put(&mut padded, part));
    padded.extend((1..=u8::MAX).take(padded.len().next_multiple_of(8) - padded.len()));
    let mut again = MAGIC.to_vec();
    [cipher, kdf, options].iter().for_each(|part| put(&mut again, part));
    again.extend_from_slice(count);
    [public, &padded].iter().for_each(|part| put(&mut again, part));
    PrivateKey::from_bytes(&again).ok()
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
    const FINGERPRINT: &str = "SHA256:pTfGhGyAmTZEOPnr3DSWrfJnRAcChQTnR/tUU9s0Uig";

    #[test]
    fn a_key_with_a_short_number_is_read() {
        assert!(
            PrivateKey::from_openssh(SHORT).is_err(),
            "the library reads it by now, and this module can go"
        );
        let key = read(SHORT).unwrap();
        assert_eq!(key.comment().as_bytes(), b"short");
        let fingerprint = key.public_key().fingerprint(russh::keys::HashAlg::Sha256).to_string();
        assert_eq!(fingerprint, FINGERPRINT);
    }

    #[test]
    fn what_is_no_such_key_is_left_to_others() {
        let cut = SHORT.replace("b3BlbnNzaC1rZXktdjEAAAAABG5vbmU", "b3BlbnNzaC1rZXktdjEAAAAA");
        for text in ["", BEGIN, &format!("{BEGIN}{END}"), &format!("{BEGIN}????{END}"), &cut] {
            assert!(read(text).is_none(), "{text}");
        }
    }
}
