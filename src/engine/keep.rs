//! Keeping what a run replaces or removes: in a backup folder, in the trash of the local side, or under a second name.

use super::flow::Flow;
use super::transfer::{Origin, Transfer, transfer};
use crate::error::{Error, Kind, Result, Retry};
use crate::model::{Entry, Name, RelPath, Side, TRASH_NAME};
use crate::quoted::Quoted;
use crate::target::{Expect, Put, Session, Written, temp_name};
use std::collections::HashSet;

/// What becomes of content that a run replaces or removes.
#[derive(Debug, Clone, Default)]
pub struct Keeping {
    /// The folder, from the root of either side, that gets all of it.
    pub backup: Option<RelPath>,
    /// The trash of the local side gets what loses when two files meet for the first time.
    pub has_trash: bool,
    /// What tells this run from others, as a part of a path: its date and time.
    pub run: String,
    /// What tells a file that lost a conflict: its date and this computer.
    pub mark: String,
}

/// Where the content of a file goes before something else takes its name.
#[derive(Debug, Clone, PartialEq)]
pub struct Keep {
    /// The side that gets it. If it is not that of the file, it is copied there.
    pub on: Side,
    /// Its path there.
    pub to: RelPath,
    /// The file itself, if it is to be a file of its own from now on, on both sides.
    pub entry: Option<Box<Entry>>,
    /// Whether it goes into the trash, since it lost when two files met for the first time. A backup may lie there as well.
    pub is_trashed: bool,
}

impl Keeping {
    /// Folders that hold what was kept; they are never synchronised.
    pub fn hidden(&self) -> Vec<RelPath> {
        let trash = Name::new(TRASH_NAME).map(|name| RelPath::root().join(&name));
        trash.into_iter().chain(self.backup.clone()).collect()
    }

    /// Where a file goes that is replaced or removed on a side.
    pub fn backup_of(&self, file: &RelPath) -> Option<RelPath> {
        self.backup.as_ref().map(|backup| inside(&inside(backup, &self.run), file.as_str()))
    }

    /// Where a file goes that loses at the first contact, by its local path.
    pub fn trash_of(&self, file: &RelPath) -> Option<RelPath> {
        let run = inside(&inside(&RelPath::root(), TRASH_NAME), &self.run);
        self.has_trash.then(|| inside(&run, file.as_str()))
    }

    /// A name beside `file` for the one that lost a conflict, unlike those that are `taken`.
    pub fn second_name(&self, file: &Name, taken: &dyn Fn(&str) -> bool) -> Option<Name> {
        let (stem, ending) = match file.as_str().rsplit_once('.') {
            Some((stem, ending)) if !stem.is_empty() => (stem, format!(".{ending}")),
            _ => (file.as_str(), String::new()),
        };
        (1..1000).find_map(|number| {
            let number = if number == 1 { String::new() } else { format!(" {number}") };
            let name = format!("{} ({}{number}){ending}", fitting(stem, &ending), self.mark);
            Name::new(name).ok().filter(|name| !taken(name.as_str()))
        })
    }
}

/// As much of a name as leaves room for a mark and the ending.
fn fitting<'n>(stem: &'n str, ending: &str) -> &'n str {
    let mut end = stem.len().min(160_usize.saturating_sub(ending.len()));
    while !stem.is_char_boundary(end) {
        end -= 1;
    }
    &stem[..end]
}

fn inside(folder: &RelPath, below: &str) -> RelPath {
    let names = below.split('/').filter_map(|name| Name::new(name).ok());
    names.fold(folder.clone(), |path, name| path.join(&name))
}

/// Folders that were made for what is kept.
#[derive(Debug, Default)]
pub struct Made(HashSet<(Side, RelPath)>);

impl Made {
    /// Makes the folders above a file, once.
    pub fn above(&mut self, side: Side, session: &mut dyn Session, file: &RelPath) -> Result<()> {
        let mut missing = Vec::new();
        let mut folder = file.parent();
        while let Some(path) = folder.filter(|path| !path.is_root()) {
            if self.0.contains(&(side, path.clone())) {
                break;
            }
            folder = path.parent();
            missing.push(path);
        }
        for path in missing.into_iter().rev() {
            let hint =
                || format!("the folder {}, for what is replaced, could not be made", Quoted(path.as_str()));
            session.mkdir(&path).map_err(|error| error.advise(hint()))?;
            self.0.insert((side, path));
        }
        Ok(())
    }
}

/// One file on its way over another one, which is kept.
pub struct Replacement<'a> {
    /// Where the new content comes from.
    pub from: Origin<'a>,
    /// The side that holds both.
    pub to: (&'a mut dyn Session, &'a RelPath),
    /// Where the old content goes.
    pub kept: &'a RelPath,
    /// What is known about the new content.
    pub put: &'a Put,
    /// Tells a temporary name from others.
    pub unique: u64,
}

impl Replacement<'_> {
    /// Brings the new content here under a temporary name; only then the old one goes aside, and the new one takes its name.
    /// After a failure the old content has its name again.
    pub fn carry_out(self, flow: &Flow) -> Transfer {
        let Replacement { from, to: (session, target), kept, put, unique } = self;
        let staging = match sibling(target, unique) {
            Ok(staging) => staging,
            Err(error) => return Transfer { bytes: 0, was_opened: false, result: Err(error) },
        };
        let mut moved = transfer(from, (&mut *session, &staging), &aside(put), false, flow);
        // Whatever became of the new content, the old one has its name.
        moved.result = moved.result.map_err(Error::of_no_harm).and_then(|written| {
            take_name(&mut *session, &staging, target, kept, put)?;
            Ok(written.map(|written| {
                let dated = written.dated.map(|dated| session.redated(target).unwrap_or(dated));
                Written { dated, ..written }
            }))
        });
        moved
    }
}

/// How new content is put beside what it replaces.
pub(super) fn aside(put: &Put) -> Put {
    Put { expect: Expect::Absent, destroyed: None, inplace: false, is_repeated: false, ..*put }
}

/// Gives new content that waits under a temporary name the name of what it replaces, which is kept. After a failure the old
/// content has its name again, and the new one is gone.
pub(super) fn take_name(
    session: &mut dyn Session,
    staging: &RelPath,
    target: &RelPath,
    kept: &RelPath,
    put: &Put,
) -> Result<()> {
    // The failure is what has to be told.
    change_places(session, staging, target, kept, put).inspect_err(|_| drop(session.remove_file(staging)))
}

/// A temporary name beside a file.
pub(super) fn sibling(file: &RelPath, unique: u64) -> Result<RelPath> {
    let name = Name::new(temp_name(file.file_name(), unique))
        .map_err(|bad| Error::new(Kind::Name, bad.to_string()).at(file))?;
    Ok(file.parent().unwrap_or_default().join(&name))
}

fn change_places(
    session: &mut dyn Session,
    staging: &RelPath,
    target: &RelPath,
    kept: &RelPath,
    put: &Put,
) -> Result<()> {
    // An attempt whose answer was lost may have come as far as this.
    let is_kept = put.is_repeated && is_certainly(session, kept, Expect::Absent, false)?;
    if !is_kept {
        if is_certainly(session, target, put.expect, false)? {
            let why = "it was changed since it was listed; the next run decides anew";
            return Err(Error::new(Kind::Changed, why).during("write").at(target));
        }
        if is_certainly(session, kept, Expect::Absent, false)? {
            return Err(Error::new(Kind::Exists, "there is a file of this name already")
                .during("keep")
                .at(kept));
        }
        session.keep(target, kept)?;
    }
    let Err(error) = session.rename(staging, target) else { return Ok(()) };
    if error.retry() != Retry::NewSession && is_certainly(session, target, Expect::Absent, true)? {
        session.rename(kept, target).map_err(|_| error.duplicate().advise(format!("it is now at {kept}")))?;
    }
    Err(error)
}

/// Whether a side says about a name just this: that it is as expected, or that it is not.
pub(super) fn is_certainly(
    session: &mut dyn Session,
    path: &RelPath,
    expect: Expect,
    is_so: bool,
) -> Result<bool> {
    let answer = session.still(&[(path.clone(), expect)]).pop().transpose()?.flatten();
    Ok(answer == Some(is_so))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Listing, Stamp};
    use crate::target::memory::{MemoryTarget, Node};
    use crate::target::{Target, Written};
    use std::io::Read;

    #[test]
    fn a_second_name_can_be_read_and_is_free() {
        let keeping = Keeping { mark: "conflict 2026-11-21 host".into(), ..Keeping::default() };
        let second = |name: &str, taken: &[&str]| {
            let name = keeping.second_name(&Name::new(name).unwrap(), &|other| taken.contains(&other));
            name.unwrap().to_string()
        };
        assert_eq!(second("a.txt", &[]), "a (conflict 2026-11-21 host).txt");
        assert_eq!(
            second("a.txt", &["a (conflict 2026-11-21 host).txt"]),
            "a (conflict 2026-11-21 host 2).txt"
        );
        assert_eq!(second(".profile", &[]), ".profile (conflict 2026-11-21 host)");
        assert_eq!(second("Makefile", &[]), "Makefile (conflict 2026-11-21 host)");
        assert!(second(&"ä".repeat(120), &[]).len() < 255);
    }

    #[test]
    fn what_is_kept_lies_in_a_folder_of_its_run() {
        let backup = RelPath::parse("old/backup").ok();
        let keeping = Keeping { backup, has_trash: true, run: "2026".into(), ..Keeping::default() };
        let file = RelPath::parse("d/a").unwrap();
        assert_eq!(keeping.backup_of(&file).unwrap().as_str(), "old/backup/2026/d/a");
        assert_eq!(keeping.trash_of(&file).unwrap().as_str(), ".pyftpsync-trash/2026/d/a");
    }

    /// A side on which the first rename onto `file` is refused, after something else has happened there.
    struct Stubborn {
        tree: MemoryTarget,
        session: Box<dyn Session>,
        meanwhile: Option<fn(&MemoryTarget)>,
        /// Whatever is written here is cut in the middle, under the name that it was to have.
        is_cutting: bool,
    }

    impl Session for Stubborn {
        fn list(&mut self, dir: &RelPath) -> Result<Listing> {
            self.session.list(dir)
        }
        fn read(&mut self, file: &RelPath, lend: &mut dyn FnMut(&mut dyn Read) -> Result<()>) -> Result<()> {
            self.session.read(file, lend)
        }
        fn write(&mut self, file: &RelPath, body: &mut dyn Read, put: &Put) -> Result<Written> {
            if self.is_cutting {
                return Err(Error::new(Kind::Io, "cut").damaged());
            }
            self.session.write(file, body, put)
        }
        fn mkdir(&mut self, dir: &RelPath) -> Result<()> {
            self.session.mkdir(dir)
        }
        fn remove_file(&mut self, file: &RelPath) -> Result<()> {
            self.session.remove_file(file)
        }
        fn remove_dir(&mut self, dir: &RelPath) -> Result<()> {
            self.session.remove_dir(dir)
        }
        fn still(&mut self, names: &[(RelPath, Expect)]) -> Vec<Result<Option<bool>>> {
            self.session.still(names)
        }
        fn rename(&mut self, from: &RelPath, to: &RelPath) -> Result<()> {
            match self.meanwhile.take_if(|_| to.as_str() == "file") {
                Some(meanwhile) => {
                    meanwhile(&self.tree);
                    Err(Error::new(Kind::Refused, "not now"))
                }
                None => self.session.rename(from, to),
            }
        }
    }

    /// Lets new content take the name of a file, which is kept. What is there afterwards.
    fn taken(tree: MemoryTarget, meanwhile: Option<fn(&MemoryTarget)>, put: &Put) -> (Result<()>, String) {
        tree.put("new", b"new", Stamp::new(1, 0));
        let [new, file, kept] = ["new", "file", "kept"].map(|name| RelPath::parse(name).unwrap());
        let mut session =
            Stubborn { session: tree.open().unwrap(), tree: tree.clone(), meanwhile, is_cutting: false };
        let outcome = take_name(&mut session, &new, &file, &kept, put);
        let words = tree.tree().into_iter().map(|(name, node)| match node {
            Node::File(bytes, _) => format!("{name}={}", String::from_utf8(bytes).unwrap()),
            Node::Folder => name,
        });
        (outcome, words.collect::<Vec<_>>().join(" "))
    }

    fn side(files: &[(&str, &str)]) -> MemoryTarget {
        let tree = MemoryTarget::new("side");
        files.iter().for_each(|(name, text)| tree.put(name, text.as_bytes(), Stamp::new(0, 0)));
        tree
    }

    #[test]
    fn new_content_takes_its_name_and_the_old_one_is_kept() {
        let (outcome, there) = taken(side(&[("file", "old")]), None, &Put::default());
        outcome.unwrap();
        assert_eq!(there, "file=new kept=old");
    }

    #[test]
    fn what_was_kept_before_is_not_replaced_by_what_is_kept_now() {
        let (outcome, there) = taken(side(&[("file", "old"), ("kept", "older")]), None, &Put::default());
        assert_eq!(outcome.unwrap_err().kind(), Kind::Exists);
        assert_eq!(there, "file=old kept=older");
    }

    #[test]
    fn a_repeated_attempt_goes_on_from_what_it_has_kept_already() {
        let put = Put { is_repeated: true, ..Put::default() };
        let (outcome, there) = taken(side(&[("kept", "old")]), None, &put);
        outcome.unwrap();
        assert_eq!(there, "file=new kept=old");
    }

    #[test]
    fn what_is_not_as_it_was_listed_is_neither_kept_nor_replaced() {
        let put = Put { expect: Expect::File(Some(7), None), ..Put::default() };
        let (outcome, there) = taken(side(&[("file", "edited")]), None, &put);
        assert_eq!(outcome.unwrap_err().kind(), Kind::Changed);
        assert_eq!(there, "file=edited");
    }

    #[test]
    fn the_old_content_gets_its_name_back_where_the_new_one_is_refused() {
        let (outcome, there) = taken(side(&[("file", "old")]), Some(|_| ()), &Put::default());
        assert_eq!(outcome.unwrap_err().kind(), Kind::Refused);
        assert_eq!(there, "file=old");
    }

    #[test]
    fn the_old_content_stays_aside_where_somebody_else_has_taken_its_name() {
        let meanwhile: fn(&MemoryTarget) = |tree| tree.put("file", b"theirs", Stamp::new(2, 0));
        let (outcome, there) = taken(side(&[("file", "old")]), Some(meanwhile), &Put::default());
        assert_eq!(outcome.unwrap_err().kind(), Kind::Refused);
        assert_eq!(there, "file=theirs kept=old");
    }

    #[test]
    fn what_is_cut_under_another_name_has_not_harmed_what_it_was_to_replace() {
        let tree = side(&[("file", "old"), ("source", "new")]);
        let [file, source, kept] = ["file", "source", "kept"].map(|name| RelPath::parse(name).unwrap());
        let (mut from, session) = (tree.open().unwrap(), tree.open().unwrap());
        let mut to = Stubborn { session, tree: tree.clone(), meanwhile: None, is_cutting: true };
        let replacement = Replacement {
            from: Origin { session: from.as_mut(), path: &source, listed: Expect::Anything },
            to: (&mut to, &file),
            kept: &kept,
            put: &Put { destroyed: Some(Expect::Absent), ..Put::default() },
            unique: 1,
        };
        let error = replacement.carry_out(&Flow::default()).result.unwrap_err();
        assert!(!error.has_damaged(), "{error}");
    }
}
