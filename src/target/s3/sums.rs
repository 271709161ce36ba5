//! What the headers of an object tell about its content.

use super::parts::is_sum;
use crate::wire::s3::hex;
use crate::wire::s3::http::Head;

/// The MD5 of the whole content, in Base64, by the name that rclone gave it.
pub const MD5: &str = "x-amz-meta-md5chksum";
/// The size of the parts that an object was put together from, without which its ETag says nothing.
pub const PART_SIZE: &str = "x-amz-meta-part-size";

/// Whether the content is encrypted with keys that the server does not tell. Then the ETag is no sum, although it looks like one.
pub fn is_locked(head: &Head) -> bool {
    head.get("x-amz-server-side-encryption").is_some_and(|how| how.starts_with("aws:"))
        || head.get("x-amz-server-side-encryption-customer-algorithm").is_some()
}

/// The MD5 that was written beside the content, in digits.
pub fn md5_of(head: &Head) -> Option<String> {
    let sum = data_encoding::BASE64.decode(head.get(MD5)?.as_bytes()).ok()?;
    (sum.len() == 16).then(|| hex(&sum))
}

/// What so many bytes have to add up to, in digits; with the size of the parts, if that is told and can be. What was written
/// beside them counts only where the ETag does not tell: tools that copy objects keep it, also beside another content.
pub fn told(head: &Head, etag: &str, size: u64, is_opaque: bool) -> Option<(String, Option<usize>)> {
    let etag = Some(etag.to_ascii_lowercase()).filter(|etag| is_sum(etag) && !is_opaque && !is_locked(head));
    let count = etag.as_deref().and_then(|etag| etag.split_once('-')).map(|(_, count)| count.parse::<u64>());
    match (etag, md5_of(head), count) {
        (Some(etag), _, None) => Some((etag, None)),
        (_, Some(md5), _) => Some((md5, None)),
        (Some(etag), None, Some(count)) => {
            let fits = |part: &usize| *part > 0 && Ok(size.div_ceil(*part as u64)) == count;
            Some((etag, head.get(PART_SIZE).and_then(|part| part.parse().ok()).filter(fits)))
        }
        (None, None, _) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_beside_a_content_counts_where_its_etag_does_not_tell() {
        let (one, parts) = ("A".repeat(32), format!("{}-2", "a".repeat(32)));
        let md5 = "x-amz-meta-md5chksum: 1B2M2Y8AsgTpgAmY7PhCfg==";
        let empty = "d41d8cd98f00b204e9800998ecf8427e";
        let told = |etag: &str, headers: &str| {
            let head = Head::parse(format!("HTTP/1.1 200 OK\r\n{headers}\r\n\r\n").as_bytes()).unwrap();
            told(&head, etag, 12, false)
        };
        let sum = |sum: &str, part| Some((sum.to_owned(), part));
        assert_eq!(told(&one, md5), sum(&one.to_lowercase(), None));
        assert_eq!(told(&parts, md5), sum(empty, None));
        assert_eq!(told(&one, &format!("x-amz-server-side-encryption: aws:kms\r\n{md5}")), sum(empty, None));
        assert_eq!(told(&one, "x-amz-server-side-encryption: aws:kms"), None);
        assert_eq!(told(&parts, "x-amz-meta-part-size: 8"), sum(&parts, Some(8)));
        for unfit in ["5", "12", "0", "x"] {
            assert_eq!(told(&parts, &format!("x-amz-meta-part-size: {unfit}")), sum(&parts, None), "{unfit}");
        }
        assert_eq!(told("opaque", ""), None);
    }
}
