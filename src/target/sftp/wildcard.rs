//! The patterns of ssh: `*` for any characters, `?` for one, `!` in front for "not".

/// Whether a text matches one pattern.
pub fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t) = (0, 0);
    // Where to go on when the last star has to swallow one more character.
    let mut retry = None;
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                retry = Some((p + 1, t));
                p += 1;
            }
            Some(&wanted) if wanted == '?' || wanted == text[t] => {
                p += 1;
                t += 1;
            }
            Some(_) | None => {
                let Some((after_star, swallowed)) = retry else { return false };
                retry = Some((after_star, swallowed + 1));
                p = after_star;
                t = swallowed + 1;
            }
        }
    }
    pattern[p..].iter().all(|&rest| rest == '*')
}

/// Whether a text matches a list: at least one pattern, and none of those with `!` in front.
pub fn matches_any<'a>(patterns: impl Iterator<Item = &'a str>, text: &str) -> bool {
    let mut is_match = false;
    for pattern in patterns {
        match pattern.strip_prefix('!') {
            Some(unwanted) if matches(unwanted, text) => return false,
            Some(_) => {}
            None => is_match |= matches(pattern, text),
        }
    }
    is_match
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_ssh() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("*.example.com", "a.b.example.com", true),
            ("*.example.com", "example.com", false),
            ("10.0.?.1", "10.0.7.1", true),
            ("10.0.?.1", "10.0.77.1", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("[host]:22", "[host]:22", true),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
        assert!(matches_any(["*.com", "!evil.com"].into_iter(), "good.com"));
        assert!(!matches_any(["*.com", "!evil.com"].into_iter(), "evil.com"));
        assert!(!matches_any(["!evil.com"].into_iter(), "good.com"));
    }
}
