//! Puts the listings of the two sides together, name by name.

use super::classify::Past;
use crate::model::meta::Archive;
use crate::model::{Entry, Name, Side, Sides};
use crate::quoted::Quoted;
use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

/// What to do with names that differ in case only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CaseMode {
    /// Refuse them.
    #[default]
    Refuse,
    /// They are different names.
    Strict,
    /// They are one name, spelled as on the given side.
    As(Side),
}

impl CaseMode {
    /// What two spellings of one name have in common.
    pub fn fold(self, name: &str) -> String {
        if self == CaseMode::Strict { name.to_owned() } else { name.to_lowercase() }
    }

    /// A name as it is compared where one spelling stands for the other, and is not only refused beside it.
    pub fn joined(self, name: &str) -> Cow<'_, str> {
        match self {
            CaseMode::As(_) => Cow::Owned(self.fold(name)),
            CaseMode::Refuse | CaseMode::Strict => Cow::Borrowed(name),
        }
    }
}

/// A name that is on at least one side, with what is remembered about it.
#[derive(Debug, Clone)]
pub struct Pair {
    /// The name under which the pair is known, shown and remembered.
    pub name: Name,
    /// What each side has. Never both `None`; see [`Pair::new`].
    sides: Sides<Option<Entry>>,
    /// What the last synchronisation remembers.
    pub past: Past,
}

/// Names that cannot be told apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AmbiguousName {
    /// The side that holds both, or `None` when each side holds one.
    pub side: Option<Side>,
    /// The two spellings.
    pub names: [String; 2],
}

impl fmt::Display for AmbiguousName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [one, other] = self.names.each_ref().map(|name| Quoted(name));
        match self.side {
            Some(side) => write!(
                f,
                "{} target contains file names that only differ in case: {one}, {other}; use --case strict, or rename one of them",
                match side {
                    Side::Local => "Local",
                    Side::Remote => "Remote",
                }
            ),
            None => write!(
                f,
                "Found ambigiuos name (differs only in case): local {one}, remote {other}; use --case strict, local or \
                 remote"
            ),
        }
    }
}

impl Pair {
    /// A pair of entries; `None` when there is none on either side.
    pub fn new(sides: Sides<Option<Entry>>, past: Past) -> Option<Self> {
        let entry = sides.local.as_ref().or(sides.remote.as_ref())?;
        let (name, past) = (entry.name.clone(), past.of_kind(entry.kind));
        Some(Pair { name, sides, past })
    }

    /// The entry of one side.
    pub fn get(&self, side: Side) -> Option<&Entry> {
        self.sides[side].as_ref()
    }

    /// The entry of one side, to be put right.
    pub fn get_mut(&mut self, side: Side) -> Option<&mut Entry> {
        self.sides[side].as_mut()
    }

    /// The entries of both sides, where both have one.
    pub fn both(&self) -> Option<Sides<&Entry>> {
        Some(Sides::new(self.sides.local.as_ref()?, self.sides.remote.as_ref()?))
    }

    /// The entry of the local side, else of the remote side.
    pub fn any(&self) -> &Entry {
        match (&self.sides.local, &self.sides.remote) {
            (Some(entry), _) | (None, Some(entry)) => entry,
            (None, None) => unreachable!("a pair is never empty: the only constructor refuses it"),
        }
    }

    /// Whether one side has a file where the other has a folder.
    pub fn is_clash(&self) -> bool {
        self.both().is_some_and(|entries| entries.local.kind != entries.remote.kind)
    }

    /// Whether the pair is about folders.
    pub fn is_folder(&self) -> bool {
        self.any().is_folder()
    }

    /// The same pair with the sides exchanged.
    #[must_use]
    pub fn swap(self) -> Self {
        Pair { name: self.name, sides: self.sides.swap(), past: self.past }
    }
}

/// Pairs the entries of two listings. Order: local entries as listed, then remote-only ones as listed.
///
/// # Errors
/// [`AmbiguousName`] when names differ in case only and `case` is [`CaseMode::Refuse`], or when one side holds both
/// spellings and `case` makes them one.
pub fn pair_up(
    listings: Sides<Vec<Entry>>,
    archive: &Archive,
    case: CaseMode,
) -> Result<Vec<Pair>, AmbiguousName> {
    if case != CaseMode::Strict {
        for side in Side::BOTH {
            refuse_twins(&listings[side], side)?;
        }
    }
    // Of two spellings only one is remembered. After the side that has it lost the file, the other one is all that is left.
    let seen = archive.seen.as_ref().filter(|_| matches!(case, CaseMode::As(_)));
    let spellings: HashMap<String, &str> =
        seen.into_iter().flatten().map(|(name, _)| (case.fold(name), name.as_str())).collect();
    let past_of = |name: &Name| match Past::of(archive, name.as_str()) {
        Past::Unlisted => spellings
            .get(&case.fold(name.as_str()))
            .map_or(Past::Unlisted, |spelling| Past::of(archive, spelling)),
        past => past,
    };
    let mut remote: HashMap<String, usize> = HashMap::with_capacity(listings.remote.len());
    for (index, entry) in listings.remote.iter().enumerate() {
        remote.insert(case.fold(entry.name.as_str()), index);
    }
    let mut remote_entries: Vec<Option<Entry>> = listings.remote.into_iter().map(Some).collect();
    let mut pairs = Vec::with_capacity(listings.local.len());
    for local in listings.local {
        let partner =
            remote.get(&case.fold(local.name.as_str())).and_then(|&index| remote_entries[index].take());
        let mut name = local.name.clone();
        if let Some(partner) = &partner
            && partner.name != local.name
        {
            match case {
                CaseMode::As(Side::Remote) => name = partner.name.clone(),
                CaseMode::As(Side::Local) => {}
                CaseMode::Refuse | CaseMode::Strict => {
                    let names = [local.name.to_string(), partner.name.to_string()];
                    return Err(AmbiguousName { side: None, names });
                }
            }
        }
        let past = past_of(&name).of_kind(local.kind);
        pairs.push(Pair { name, sides: Sides::new(Some(local), partner), past });
    }
    for entry in remote_entries.into_iter().flatten() {
        let (name, past) = (entry.name.clone(), past_of(&entry.name).of_kind(entry.kind));
        pairs.push(Pair { name, sides: Sides::new(None, Some(entry)), past });
    }
    Ok(pairs)
}

/// Refuses names of one side that differ in case only.
///
/// # Errors
/// [`AmbiguousName`] with the first two.
pub fn refuse_twins(entries: &[Entry], side: Side) -> Result<(), AmbiguousName> {
    let mut seen: HashMap<String, &Name> = HashMap::with_capacity(entries.len());
    for entry in entries {
        if let Some(twin) = seen.insert(entry.name.as_str().to_lowercase(), &entry.name) {
            let names = [twin.to_string(), entry.name.to_string()];
            return Err(AmbiguousName { side: Some(side), names });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Seen;

    fn file(name: &str) -> Entry {
        Entry::file(Name::new(name).unwrap(), Some(1), None)
    }

    fn up(local: &[&str], remote: &[&str], case: CaseMode) -> Result<Vec<String>, AmbiguousName> {
        let entries = |names: &[&str]| names.iter().map(|name| file(name)).collect();
        let pairs = pair_up(Sides::new(entries(local), entries(remote)), &Archive::default(), case)?;
        Ok(pairs
            .iter()
            .map(|pair| {
                let mark = |side| if pair.get(side).is_some() { "x" } else { "-" };
                format!("{}:{}{}", pair.name, mark(Side::Local), mark(Side::Remote))
            })
            .collect())
    }

    #[test]
    fn local_entries_come_first_in_their_order() {
        assert_eq!(up(&["b", "a"], &["c", "a"], CaseMode::Refuse).unwrap(), ["b:x-", "a:xx", "c:-x"]);
    }

    #[test]
    fn a_name_is_remembered_by_its_other_spelling_too() {
        let seen = Seen { mtime: None, size: Some(1), dated: None, exact: None, synced: None, is_own: true };
        let archive = Archive { seen: Some(HashMap::from([("A".to_owned(), seen)])), ..Archive::default() };
        for (case, past) in [
            (CaseMode::As(Side::Remote), Past::Listed(seen)),
            (CaseMode::As(Side::Local), Past::Listed(seen)),
            (CaseMode::Refuse, Past::Unlisted),
            (CaseMode::Strict, Past::Unlisted),
        ] {
            for side in Side::BOTH {
                let mut entries = Sides::<Vec<Entry>>::default();
                entries[side].push(file("a"));
                assert_eq!(pair_up(entries, &archive, case).unwrap()[0].past, past, "{case:?} {side}");
            }
        }
    }

    #[test]
    fn names_that_differ_in_case_are_refused_told_apart_or_joined() {
        assert_eq!(up(&["A"], &["a"], CaseMode::Refuse).unwrap_err().side, None);
        let twins = up(&["A", "a"], &[], CaseMode::As(Side::Local)).unwrap_err();
        assert_eq!(twins.side, Some(Side::Local));
        assert!(twins.to_string().ends_with("; use --case strict, or rename one of them"), "{twins}");
        assert_eq!(up(&["A"], &["a"], CaseMode::Strict).unwrap(), ["A:x-", "a:-x"]);
        assert_eq!(up(&["A"], &["a"], CaseMode::As(Side::Remote)).unwrap(), ["a:xx"]);
        assert_eq!(up(&["A"], &["a"], CaseMode::As(Side::Local)).unwrap(), ["A:xx"]);
    }
}
