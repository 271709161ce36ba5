//! Who may import whom: read off the `use crate::` lines of the sources.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// The modules that each module may name, besides itself, `error`, `locked` and `quoted`.
const ALLOWED: [(&str, &[&str]); 7] = [
    ("error", &[]),
    ("model", &[]),
    ("plan", &["model"]),
    ("wire", &["model"]),
    ("target", &["model", "wire"]),
    ("engine", &["plan", "target", "model"]),
    ("python", &["engine", "plan", "target", "model", "wire"]),
];

#[test]
fn modules_import_only_what_the_design_allows() {
    let allowed: BTreeMap<&str, &[&str]> = ALLOWED.into_iter().collect();
    let mut crossed = Vec::new();
    let mut seen = 0;
    for (path, text) in sources(Path::new("src")) {
        let Some(module) = module_of(&path) else { continue };
        for named in text.match_indices("crate::").filter_map(|(at, found)| word_at(&text, at + found.len()))
        {
            if !allowed.contains_key(named) {
                continue; // A macro, or a re-export of the crate itself.
            }
            seen += 1;
            let is_fine = named == module || named == "error" || allowed[module.as_str()].contains(&named);
            if !is_fine {
                crossed.push(format!("{path}: {module} -> {named}"));
            }
        }
        if module != "python" && text.contains("pyo3") {
            crossed.push(format!("{path}: names pyo3"));
        }
    }
    assert!(seen > 50, "the test looked at the wrong place: {seen} imports found");
    assert!(crossed.is_empty(), "arrows that the design does not have:\n{}", crossed.join("\n"));
}

fn sources(dir: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for item in fs::read_dir(dir).unwrap() {
        let path = item.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let code: String = text
                .lines()
                .filter(|line| !line.trim_start().starts_with("//"))
                .collect::<Vec<_>>()
                .join("\n");
            found.push((path.to_string_lossy().into_owned(), code));
        }
    }
    found
}

/// `src/plan/pair.rs` belongs to `plan`, `src/error.rs` to `error`; `src/lib.rs` to none.
fn module_of(path: &str) -> Option<String> {
    let below = path.strip_prefix("src/")?;
    let first = below.split(['/', '.']).next()?;
    (first != "lib").then(|| first.to_owned())
}

fn word_at(text: &str, at: usize) -> Option<&str> {
    let rest = &text[at..];
    let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
    (end > 0).then(|| &rest[..end])
}
