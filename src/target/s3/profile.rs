//! The shared files of AWS: sections with keys and values.

use std::collections::BTreeMap;

/// A section: its values by key, both as written; keys in lower case.
pub type Section = BTreeMap<String, String>;

/// Reads a file into its sections. In the file `config` they are called `profile x`; here both are `x`.
///
/// Lines that are indented belong to the key above them: `endpoint_url` below `s3 =` is `s3.endpoint_url`.
pub fn sections(text: &str) -> BTreeMap<String, Section> {
    let mut found: BTreeMap<String, Section> = BTreeMap::new();
    let (mut current, mut above) = (None, None::<String>);
    for line in text.lines() {
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.starts_with(['#', ';']) {
            continue;
        }
        let is_inner = line.starts_with([' ', '\t']);
        if let Some(name) = trimmed.strip_prefix('[').and_then(|rest| rest.split(']').next()) {
            let name = name.trim();
            let name =
                name.strip_prefix("profile").filter(|rest| rest.starts_with([' ', '\t'])).unwrap_or(name);
            let name = name.trim().trim_matches(['"', '\'']).to_owned();
            found.entry(name.clone()).or_default();
            (current, above) = (Some(name), None);
        } else if let (Some(section), Some((key, value))) = (&current, trimmed.split_once('=')) {
            let value = value.split(" #").next().unwrap_or(value).split(" ;").next().unwrap_or(value);
            let section = found.entry(section.clone()).or_default();
            let key = key.trim().to_ascii_lowercase();
            let full = match &above {
                Some(above) if is_inner => format!("{above}.{key}"),
                _ if is_inner => continue,
                _ => key.clone(),
            };
            section.insert(full, value.trim().to_owned());
            if !is_inner {
                above = Some(key);
            }
        }
    }
    found
}

/// The words of a command line: blanks separate, quotes keep together.
pub fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for char in line.chars() {
        match (char, quote) {
            (char, Some(open)) if char == open => quote = None,
            (char, Some(_)) => word.get_or_insert_default().push(char),
            ('"' | '\'', None) => {
                quote = Some(char);
                word.get_or_insert_default();
            }
            (char, None) if char.is_whitespace() => words.extend(word.take()),
            (char, None) => word.get_or_insert_default().push(char),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_are_read_from_both_files() {
        let text = "[default]\nregion = eu-west-1 # home\n[profile two words]\nS3 =\n  addressing_style = path\n\
                    aws_access_key_id=AK\n; comment\nbroken line\n[x]\naws_secret_access_key = a=b#c\n";
        let found = sections(text);
        assert_eq!(found["default"]["region"], "eu-west-1");
        assert_eq!(found["two words"]["aws_access_key_id"], "AK");
        assert_eq!(found["two words"]["s3.addressing_style"], "path");
        assert_eq!(found["x"]["aws_secret_access_key"], "a=b#c");
        assert_eq!(found.len(), 3);
    }

    #[test]
    fn indented_lines_belong_to_the_key_above() {
        let text = "  stray = 1\n[services loc]\n  stray = 2\ns3 =\n  endpoint_url = http://a\n\tx=y\nsts=\n  endpoint_url = http://b\n";
        let found = sections(text);
        let expected = [("s3", ""), ("s3.endpoint_url", "http://a"), ("s3.x", "y"), ("sts", "")];
        let found: Vec<(&str, &str)> =
            found["services loc"].iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        assert_eq!(found[..4], expected);
        assert_eq!(found[4..], [("sts.endpoint_url", "http://b")]);
    }

    #[test]
    fn command_lines_have_words() {
        assert_eq!(words(r#"/opt/a "b c" '' d'e'"#), ["/opt/a", "b c", "", "de"]);
    }
}
