//! What a server says it can do (FEAT, RFC 2389), read as tolerantly as servers write it.

use crate::wire::ftp::Reply;

/// The features of a server: upper-case words, each with the rest of its line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Features {
    words: Vec<(String, String)>,
    /// The server has not said anything.
    is_assumed: bool,
}

impl Features {
    /// Reads the reply to FEAT. A refusal means that no feature is known.
    ///
    /// RFC 2389 wants one blank before each feature; servers also send none, several, or repeat the code.
    pub fn parse(reply: &Reply) -> Self {
        if !reply.is_success() {
            return Features::default();
        }
        let lines = reply.lines();
        let inner = lines.get(1..lines.len().saturating_sub(1)).unwrap_or_default();
        let words = inner.iter().filter_map(|line| feature(line, reply.code())).collect();
        Features { words, is_assumed: false }
    }

    /// What can be asked of a server that knows no FEAT: commands that are older. Its refusals tell the rest.
    pub fn assumed() -> Self {
        let words = ["SIZE", "MDTM"].map(|word| (word.to_owned(), String::new())).to_vec();
        Features { words, is_assumed: true }
    }

    /// Whether the word (upper case) is among the features.
    pub fn has(&self, word: &str) -> bool {
        self.words.iter().any(|(feature, _)| feature == word)
    }

    /// The rest of the line of a feature: `STREAM` for `REST STREAM`.
    pub fn argument(&self, word: &str) -> Option<&str> {
        let found = self.words.iter().find(|(feature, _)| feature == word);
        found.map(|(_, rest)| rest.as_str())
    }

    /// The words that the server has said.
    pub fn words(&self) -> Vec<String> {
        if self.is_assumed {
            return Vec::new();
        }
        let mut words: Vec<String> = Vec::new();
        for (word, _) in &self.words {
            // AUTH SSL and AUTH TLS are one.
            if !words.contains(word) {
                words.push(word.clone());
            }
        }
        words
    }

    /// Whether machine listings exist. RFC 3659 announces MLSD by the word MLST; some servers use the other word.
    pub fn has_mlsd(&self) -> bool {
        self.has("MLST") || self.has("MLSD")
    }

    /// Whether names are UTF-8.
    pub fn has_utf8(&self) -> bool {
        self.has("UTF8") || self.has("UTF-8")
    }

    /// Whether the server said anything at all.
    pub fn is_empty(&self) -> bool {
        self.is_assumed || self.words.is_empty()
    }
}

fn feature(line: &[u8], code: u16) -> Option<(String, String)> {
    let text = String::from_utf8_lossy(line);
    let text = text.strip_prefix(&format!("{code}-")).unwrap_or(&text).trim();
    let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    (!word.is_empty()).then(|| (word.to_ascii_uppercase(), rest.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn features(text: &str) -> Features {
        Features::parse(&Reply::from_text(text))
    }

    #[test]
    fn features_are_read_however_they_are_indented_and_spelled() {
        let found = features(
            "211-Features:\r\n MLST type*;size*;\r\nmfmt\r\n211- SIZE\r\n   rest STREAM\r\n211-Utf8\r\n211 End\r\n",
        );
        for word in ["MLST", "MFMT", "SIZE", "REST", "UTF8"] {
            assert!(found.has(word), "{word}");
        }
        assert_eq!(found.argument("REST"), Some("STREAM"));
        let twice = features("211-Features:\r\n AUTH TLS\r\n SIZE\r\n AUTH SSL\r\n211 End\r\n");
        assert_eq!(twice.words(), ["AUTH", "SIZE"]);
        assert!(found.has_mlsd() && found.has_utf8() && !found.has("EPSV"));
    }

    #[test]
    fn a_refusal_or_an_empty_list_means_no_features() {
        assert!(features("500 what?\r\n").is_empty());
        assert!(features("211 no features\r\n").is_empty());
        assert!(features("211-Features\r\n211 End\r\n").is_empty());
    }
}
