//! What the bodies of S3 mean: pages of listings, refusals, and what became of an upload.

use super::xml::Element;
use super::{decoded, time};
use crate::error::{Error, Kind, Result};
use crate::model::Stamp;

/// One object in a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Its key.
    pub key: String,
    /// Bytes.
    pub size: u64,
    /// When it was put there.
    pub modified: Option<Stamp>,
    /// What identifies its content, without quotes; empty if the server does not list it.
    pub etag: String,
}

/// A page of a listing.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The objects.
    pub objects: Vec<Object>,
    /// What stands for the objects further down, up to the delimiter.
    pub prefixes: Vec<String>,
    /// Keys that are no text.
    pub unreadable: Vec<String>,
    /// How to ask for the next page; `None` on the last one.
    pub next: Option<String>,
    /// The names were percent-encoded, so that they could be told whatever they hold.
    pub is_encoded: bool,
}

/// What encoders write that have no form for a character: that of Go for control characters, which keys may hold.
const LOST: char = '\u{fffd}';

impl Page {
    /// Reads a page.
    ///
    /// # Errors
    /// [`Kind::Protocol`] if it is none, or does not say how to go on although it is not the last one: nothing may be
    /// concluded from what such a listing does not show.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let root = document(bytes, "ListBucketResult")?;
        let is_encoded = root.get("EncodingType").is_some_and(|kind| kind.eq_ignore_ascii_case("url"));
        let mut page = Page { is_encoded, ..Page::default() };
        let read = |text: &str| if is_encoded { decoded(text) } else { Some(text.to_owned()) };
        for item in root.all("Contents") {
            let key = item.get("Key").ok_or_else(|| broken("an object has no key"))?;
            let Some(key) = read(key) else {
                page.unreadable.push(key.to_owned());
                continue;
            };
            let size = item.get("Size").and_then(|size| size.trim().parse().ok());
            page.objects.push(Object {
                key,
                size: size.ok_or_else(|| broken("an object has no size"))?,
                modified: item.get("LastModified").and_then(time::listed),
                etag: item.get("ETag").map(unquoted).unwrap_or_default(),
            });
        }
        for item in root.all("CommonPrefixes") {
            let prefix = item.get("Prefix").ok_or_else(|| broken("a prefix has no name"))?;
            match read(prefix) {
                Some(prefix) => page.prefixes.push(prefix),
                None => page.unreadable.push(prefix.to_owned()),
            }
        }
        let token = root.get("NextContinuationToken").filter(|token| !token.is_empty()).map(str::to_owned);
        let goes_on = root.get("IsTruncated").map(|told| told.trim().to_ascii_lowercase());
        page.next = match goes_on.as_deref() {
            Some("true" | "1") => Some(token.ok_or_else(|| broken("it goes on, but does not say where"))?),
            Some("false" | "0") => None,
            _ => return Err(broken("it does not say whether it is complete")),
        };
        Ok(page)
    }

    /// Whether characters of some names may be lost, so that it has to be asked for in an encoding.
    pub fn is_garbled(&self) -> bool {
        let names = self.objects.iter().map(|object| &object.key).chain(&self.prefixes);
        !self.is_encoded && names.into_iter().any(|name| name.contains(LOST))
    }

    /// Puts in the names whose characters are lost, as the same page tells them in an encoding. What it does not tell counts
    /// as no text. The other names stay: servers disagree about what a plus means in the encoding.
    pub fn mend(&mut self, told: &Page) {
        let Page { objects, prefixes, unreadable, .. } = self;
        let is_same =
            told.is_encoded && (told.objects.len(), told.prefixes.len()) == (objects.len(), prefixes.len());
        let mut keys = told.objects.iter().map(|object| &object.key).filter(|_| is_same);
        objects.retain_mut(|object| is_mended(&mut object.key, keys.next(), unreadable));
        let mut names = told.prefixes.iter().filter(|_| is_same);
        prefixes.retain_mut(|prefix| is_mended(prefix, names.next(), unreadable));
    }
}

fn is_mended(name: &mut String, told: Option<&String>, unreadable: &mut Vec<String>) -> bool {
    if !name.contains(LOST) {
        return true;
    }
    let fits = |told: &&String| {
        told.chars().count() == name.chars().count()
            && told.chars().zip(name.chars()).all(|(told, shown)| shown == LOST || shown == told)
    };
    match told.filter(fits) {
        Some(told) => {
            name.clone_from(told);
            true
        }
        None => {
            unreadable.push(std::mem::take(name));
            false
        }
    }
}

fn broken(why: &str) -> Error {
    Error::new(Kind::Protocol, format!("the listing of the server is broken: {why}")).with_os(libc::EIO)
}

/// What a server says when it refuses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Refusal {
    /// `NoSuchBucket`, `AccessDenied`, ...
    pub code: String,
    /// Its words.
    pub message: String,
    /// The region it would like to be asked in.
    pub region: Option<String>,
}

impl Refusal {
    /// Reads a refusal; `None` if the body is something else.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let root = Element::parse(bytes).ok()?;
        // Services other than S3 wrap it.
        let error = if root.name == "Error" { &root } else { root.child("Error")? };
        Some(Refusal {
            code: error.get("Code").unwrap_or_default().to_owned(),
            message: error.get("Message").unwrap_or_default().trim().trim_end_matches('.').to_owned(),
            region: error.get("Region").map(str::to_owned),
        })
    }
}

/// The number of an upload that has begun.
///
/// # Errors
/// [`Kind::Protocol`] if the body does not say it.
pub fn upload_id(bytes: &[u8]) -> Result<String> {
    let root = document(bytes, "InitiateMultipartUploadResult")?;
    let id = root.get("UploadId").filter(|id| !id.is_empty());
    id.map(str::to_owned)
        .ok_or_else(|| Error::new(Kind::Protocol, "the upload has no number").with_os(libc::EIO))
}

/// An object that was put together from parts, or copied.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Made {
    /// Its ETag, without quotes.
    pub etag: String,
    /// When that was. Told of copies only.
    pub modified: Option<Stamp>,
}

/// What became of parts, or of a copy. Such an answer can be a refusal although its status is 200.
///
/// # Errors
/// The refusal, in the first `Err`; [`Kind::Protocol`] in the second.
pub fn made(bytes: &[u8], name: &str) -> Result<Result<Made, Refusal>> {
    if let Some(refusal) = Refusal::parse(bytes) {
        return Ok(Err(refusal));
    }
    // Some servers call it a response.
    let root = document(bytes, name).or_else(|_| document(bytes, &name.replace("Result", "Response")))?;
    Ok(Ok(Made {
        etag: root.get("ETag").map(unquoted).unwrap_or_default(),
        modified: root.get("LastModified").and_then(time::listed),
    }))
}

/// The refusals in the answer to a deletion of many, by key.
///
/// # Errors
/// [`Kind::Protocol`] if it is something else.
pub fn not_deleted(bytes: &[u8]) -> Result<Vec<(String, Refusal)>> {
    let root = document(bytes, "DeleteResult")?;
    let refusal = |error: &Element| {
        let said = |name| error.get(name).unwrap_or_default().to_owned();
        (said("Key"), Refusal { code: said("Code"), message: said("Message"), region: None })
    };
    Ok(root.all("Error").map(refusal).collect())
}

/// An upload that has begun and not ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfinished {
    /// The key.
    pub key: String,
    /// Its number.
    pub id: String,
    /// When that was.
    pub begun: Option<Stamp>,
}

/// The uploads that have begun and not ended.
///
/// # Errors
/// [`Kind::Protocol`] if it is something else.
pub fn unfinished(bytes: &[u8]) -> Result<Vec<Unfinished>> {
    let root = document(bytes, "ListMultipartUploadsResult")?;
    let upload = |item: &Element| {
        let begun = item.get("Initiated").and_then(time::listed);
        Some(Unfinished { key: item.get("Key")?.to_owned(), id: item.get("UploadId")?.to_owned(), begun })
    };
    Ok(root.all("Upload").filter_map(upload).collect())
}

fn document(bytes: &[u8], name: &str) -> Result<Element> {
    let root = Element::parse(bytes)?;
    if root.name == name {
        return Ok(root);
    }
    let why = match Refusal::parse(bytes) {
        Some(refusal) => format!("the server says {}: {}", refusal.code, refusal.message),
        None => format!("the server answers with <{}> where <{name}> should be", root.name),
    };
    Err(Error::new(Kind::Protocol, why).with_os(libc::EIO))
}

/// An ETag without its quotes.
pub fn unquoted(etag: &str) -> String {
    etag.trim().trim_start_matches("W/").trim_matches('"').to_owned()
}

/// The text with the characters that XML keeps for itself escaped, and those it cannot hold as they are.
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '\r' | '\n' | '\t' => out.push_str(&format!("&#{};", u32::from(char))),
            char => out.push(char),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(inner: &str) -> Result<Page> {
        Page::parse(format!("<ListBucketResult>{inner}</ListBucketResult>").as_bytes())
    }

    #[test]
    fn a_page_tells_objects_prefixes_and_how_to_go_on() {
        let found = page(
            "<EncodingType>url</EncodingType><IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken>\
             <Contents><Key>a%20b</Key><Size>3</Size><ETag>&quot;e&quot;</ETag>\
             <LastModified>2026-01-02T03:04:05.000Z</LastModified></Contents>\
             <CommonPrefixes><Prefix>d/</Prefix></CommonPrefixes>",
        )
        .unwrap();
        assert_eq!(found.objects[0].key, "a b");
        assert_eq!((found.objects[0].size, found.objects[0].etag.as_str()), (3, "e"));
        assert_eq!((found.prefixes, found.next), (vec!["d/".to_owned()], Some("t".to_owned())));
    }

    #[test]
    fn names_that_were_lost_are_taken_from_the_same_page_in_an_encoding() {
        let names = |first: &str, second: &str| {
            format!(
                "<IsTruncated>false</IsTruncated><Contents><Key>{first}</Key><Size>1</Size></Contents>\
                 <Contents><Key>{second}</Key><Size>1</Size></Contents>"
            )
        };
        let shown = names("a+b", "a\u{fffd}b");
        let told = |inner: &str| {
            let mut found = page(&shown).unwrap();
            assert!(found.is_garbled());
            found.mend(&page(inner).unwrap());
            let keys: Vec<String> = found.objects.into_iter().map(|object| object.key).collect();
            (keys.join(" "), found.unreadable.join(" "))
        };
        let encoded = |second: &str| format!("<EncodingType>url</EncodingType>{}", names("a+b", second));
        assert_eq!(told(&encoded("a%01b")), ("a+b a\u{1}b".to_owned(), String::new()));
        assert_eq!(told(&encoded("a%EF%BF%BDb")), ("a+b a\u{fffd}b".to_owned(), String::new()));
        for useless in [&shown, &encoded("another"), "<IsTruncated>false</IsTruncated>"] {
            assert_eq!(told(useless), ("a+b".to_owned(), "a\u{fffd}b".to_owned()), "{useless}");
        }
        assert!(!page(&encoded("a\u{fffd}b")).unwrap().is_garbled());
    }

    #[test]
    fn a_page_that_may_lack_something_is_an_error() {
        for bad in [
            "<IsTruncated>true</IsTruncated>",
            "",
            "<IsTruncated></IsTruncated>",
            "<IsTruncated>yes</IsTruncated>",
            "<IsTruncated> True </IsTruncated>",
            "<IsTruncated>false</IsTruncated><Contents><Key>a</Key></Contents>",
            "<IsTruncated>false</IsTruncated><Contents><Size>1</Size></Contents>",
        ] {
            assert_eq!(page(bad).unwrap_err().kind(), Kind::Protocol, "{bad}");
        }
        for (goes_on, next) in [("True", Some("t".to_owned())), ("1", Some("t".to_owned())), ("False", None)]
        {
            let told = format!(
                "<IsTruncated>{goes_on}</IsTruncated><NextContinuationToken>t</NextContinuationToken>"
            );
            assert_eq!(page(&told).unwrap().next, next, "{goes_on}");
        }
        let refused = Page::parse(b"<Error><Code>SlowDown</Code><Message>x.</Message></Error>").unwrap_err();
        assert!(refused.to_string().contains("SlowDown"), "{refused}");
    }

    #[test]
    fn a_success_can_be_a_refusal() {
        let refusal = made(b"<Error><Code>InternalError</Code></Error>", "CompleteMultipartUploadResult");
        assert_eq!(refusal.unwrap().unwrap_err().code, "InternalError");
        let made = made(b"<CopyObjectResult><ETag>\"e-2\"</ETag></CopyObjectResult>", "CopyObjectResult");
        assert_eq!(made.unwrap().unwrap(), Made { etag: "e-2".to_owned(), modified: None });
    }
}
