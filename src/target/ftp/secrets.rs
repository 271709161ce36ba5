//! What must not be shown, in every form in which somebody may repeat it.

use data_encoding::{BASE64, HEXLOWER};

/// From this length on, in characters, a secret is not a part of other words by chance.
const LONG: usize = 4;
/// What a user name or a password in a URL may hold as it is, besides letters, digits and `-._~` (RFC 3986, section 3.2.1).
const PLAIN_IN_LOGINS: &str = "!$&'()*+,;=";

/// Texts that are shown as `***`.
#[derive(Default)]
pub struct Secrets(Vec<String>);

impl Secrets {
    /// Adds a password: as it is, as it stands in URLs, and as logins by base64 send it.
    pub fn add_login(&mut self, user: &str, password: &str) {
        for kept in ["", "/", PLAIN_IN_LOGINS] {
            let in_url = percent_encoded(password, kept);
            self.add(in_url.to_lowercase());
            self.add(in_url);
        }
        for text in [format!("{user}:{password}"), format!("\0{user}\0{password}"), password.to_owned()] {
            self.add(BASE64.encode(text.as_bytes()).trim_end_matches('=').to_owned());
        }
        self.add(HEXLOWER.encode(password.as_bytes()));
        self.add(password.to_owned());
    }

    /// Adds a text as it is.
    pub fn add(&mut self, secret: String) {
        if !secret.is_empty() && !self.0.contains(&secret) {
            self.0.push(secret);
            // One that begins with another one would be shown in part.
            self.0.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        }
    }

    /// `text` with `***` for each secret. A short one is masked only where it stands as a whole word: it is part of others.
    pub fn masked(&self, text: &str) -> String {
        self.0.iter().fold(
            text.to_owned(),
            |text, secret| {
                if text.contains(secret) { without(&text, secret) } else { text }
            },
        )
    }
}

fn percent_encoded(text: &str, kept: &str) -> String {
    let is_plain =
        |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || kept.as_bytes().contains(&byte);
    text.bytes()
        .map(|byte| if is_plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

fn without(text: &str, secret: &str) -> String {
    if secret.chars().count() >= LONG {
        return text.replace(secret, "***");
    }
    let mut masked = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(secret) {
        let (before, found) = rest.split_at(at);
        let after = &found[secret.len()..];
        let last = before.chars().next_back().or(masked.chars().next_back());
        let is_word = !last.is_some_and(char::is_alphanumeric)
            && !after.chars().next().is_some_and(char::is_alphanumeric);
        masked.push_str(before);
        masked.push_str(if is_word { "***" } else { secret });
        rest = after;
    }
    masked + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets(user: &str, password: &str) -> Secrets {
        let mut secrets = Secrets::default();
        secrets.add_login(user, password);
        secrets
    }

    #[test]
    fn a_password_is_found_in_each_form_in_which_it_travels() {
        let secrets = secrets("joe", "g/h:e!m+");
        let forms = [
            ("as it is", "g/h:e!m+"),
            ("in a URL, all encoded", "g%2Fh%3Ae%21m%2B"),
            ("in a URL, in small letters", "g%2fh%3ae%21m%2b"),
            ("in a URL, slashes left", "g/h%3Ae%21m%2B"),
            ("in a URL, only what has to be", "g%2Fh%3Ae!m+"),
            ("in Proxy-Authorization", "am9lOmcvaDplIW0r"),
            ("in AUTH PLAIN", "AGpvZQBnL2g6ZSFtKw=="),
            ("in base64", "Zy9oOmUhbSs="),
            ("in hexadecimal digits", "672f683a65216d2b"),
        ];
        for (what, form) in forms {
            let masked = secrets.masked(&format!("<{form}>"));
            assert_eq!(masked.trim_end_matches(['=', '>']), "<***", "{what}: {masked}");
        }
    }

    #[test]
    fn short_secrets_are_masked_as_words_and_long_ones_anywhere() {
        assert_eq!(secrets("", "geheim99").masked("530 geheim99 and xgeheim99"), "530 *** and x***");
        let text = "a bad b (a), \"a\" aa a";
        assert_eq!(secrets("", "a").masked(text), "*** bad b (***), \"***\" aa ***");
        assert_eq!(secrets("", "%").masked("5% is %"), "5% is ***");
        assert_eq!(secrets("joe", "").masked(text), text);
    }

    #[test]
    fn of_two_secrets_the_longer_one_is_masked_as_a_whole() {
        for passwords in [["geheim", "geheimnis"], ["geheimnis", "geheim"]] {
            let mut both = Secrets::default();
            passwords.iter().for_each(|password| both.add((*password).to_owned()));
            assert_eq!(both.masked("geheimnis geheim"), "*** ***");
        }
    }
}
