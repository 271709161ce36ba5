//! Bytes that nobody would send, for everything that reads bytes of others: they come from a small corpus and are changed at
//! random. Nothing may panic, take long, or let through what must not get in.

use crate::effort::rounds;
use crate::simulation::dice::Dice;
use crate::tree::{self, Setup, at, user_tree};
use ftpsync::error::Kind;
use ftpsync::model::lock::Lock;
use ftpsync::model::meta::{Fact, PeerKey};
use ftpsync::model::{DirMeta, EntryKind, Name, RelPath};
use ftpsync::plan::{Filter, Mode};
use ftpsync::target::local::{Links, LocalTarget};
use ftpsync::target::memory::MemoryTarget;
use ftpsync::target::url::TargetUrl;
use ftpsync::wire::ftp::{Features, Reply, ReplyParser, item, list, mlsd, time};
#[cfg(feature = "sftp")]
use ftpsync::wire::sftp;
use std::time::{Duration, Instant};

/// Longest input (bytes).
const LONGEST: usize = 4_096;

/// Changes bytes of the corpus at random.
struct Mutator {
    corpus: Vec<Vec<u8>>,
    dice: Dice,
}

impl Mutator {
    fn new(corpus: &str, seed: u64) -> Self {
        let corpus: Vec<Vec<u8>> = corpus.lines().map(|line| line.as_bytes().to_vec()).collect();
        assert!(!corpus.is_empty());
        Mutator { corpus, dice: Dice::new(seed) }
    }

    fn next(&mut self) -> Vec<u8> {
        let mut bytes = self.dice.one_of(&self.corpus);
        for _ in 0..self.dice.below(6) {
            self.change(&mut bytes);
        }
        bytes.truncate(LONGEST);
        bytes
    }

    fn change(&mut self, bytes: &mut Vec<u8>) {
        const TELLING: [&[u8]; 14] = [
            b"\0",
            b"\r\n",
            b"\n",
            b"\"",
            b"/",
            b"..",
            b";",
            b"%",
            b" ",
            b"\xff",
            b"9999999999999999999999",
            b"-1",
            b"(",
            b"|",
        ];
        let at = self.dice.below(bytes.len() + 1);
        match self.dice.below(7) {
            0 => bytes.insert(at, self.dice.throw() as u8),
            1 if at < bytes.len() => bytes[at] ^= 1 << self.dice.below(8),
            2 if at < bytes.len() => {
                let end = (at + 1 + self.dice.below(8)).min(bytes.len());
                bytes.drain(at..end);
            }
            3 => {
                let piece = self.dice.one_of(&TELLING);
                bytes.splice(at..at, piece.iter().copied());
            }
            4 => {
                let piece = bytes[at..].to_vec();
                bytes.extend(piece);
            }
            5 => {
                let other = self.dice.one_of(&self.corpus);
                let from = self.dice.below(other.len() + 1);
                bytes.truncate(at);
                bytes.extend(&other[from..]);
            }
            _ => {
                let times = 1 << self.dice.below(10);
                let byte = self.dice.one_of(bytes.get(at..).filter(|rest| !rest.is_empty()).unwrap_or(b"A"));
                bytes.splice(at..at, std::iter::repeat_n(byte, times));
            }
        }
    }
}

/// Feeds a reader, for a number of rounds.
fn feed(corpus: &str, mut read: impl FnMut(&[u8])) {
    let seeds = rounds(1, 8);
    for seed in 0..seeds {
        let mut mutator = Mutator::new(corpus, seed);
        for line in mutator.corpus.clone() {
            read(&line);
        }
        for _ in 0..rounds(6_000, 2_000_000) {
            let bytes = mutator.next();
            let mut is_quick = || {
                let begun = Instant::now();
                read(&bytes);
                begun.elapsed() < Duration::from_secs(2)
            };
            // Other programs may hold it up once, but not again and again.
            assert!((0..3).any(|_| is_quick()), "slow: {:?}", String::from_utf8_lossy(&bytes));
        }
    }
}

/// Whatever a line lists, it becomes a name in one folder, or none.
fn is_contained(line: item::Line) {
    let item::Line::Item(item) = line else { return };
    if let Ok(name) = Name::from_utf8_bytes(&item.name) {
        let text = name.as_str();
        assert!(!text.is_empty() && text != "." && text != "..", "{text:?}");
        assert!(!text.contains(['/', '\0']), "{text:?}");
        assert_eq!(RelPath::root().join(&name).depth(), 1, "{text:?}");
    }
}

#[test]
fn lines_of_mlsd() {
    feed(include_str!("corpus/mlsd.txt"), |bytes| is_contained(mlsd::parse(bytes)));
}

#[test]
fn lines_of_list() {
    feed(include_str!("corpus/list.txt"), |bytes| is_contained(list::parse(bytes, 1_700_000_000)));
}

#[test]
fn replies_in_pieces() {
    let mut dice = Dice::new(7);
    feed(include_str!("corpus/reply.txt"), |bytes| {
        let mut parser = ReplyParser::default();
        let lines = [bytes, b"\r\n226 done\r\n"].concat();
        let mut taken = 0;
        for piece in lines.chunks(1 + dice.below(64)) {
            parser.push(piece);
            while let Ok(Some(reply)) = parser.take() {
                look_at(&reply);
                taken += 1;
            }
        }
        assert!(taken <= lines.len());
    });
}

fn look_at(reply: &Reply) {
    assert!((100..=699).contains(&reply.code()), "{}", reply.code());
    let _ = (reply.passive_port(), reply.passive_host(), reply.quoted_path(), reply.size(), reply.mtime());
    let features = Features::parse(reply);
    let _ = (features.words(), features.has_mlsd(), features.argument("MLST"));
    assert!(!reply.clone().masked(|text| text.replace("secret", "***")).text().contains("secret"));
}

#[test]
fn a_reply_that_never_ends_is_refused_before_it_fills_the_memory() {
    let mut parser = ReplyParser::default();
    let mut pushed = 0_usize;
    let refused = loop {
        let piece = b"220-more and more\r\n".repeat(100);
        parser.push(&piece);
        pushed += piece.len();
        match parser.take() {
            Err(error) => break error,
            Ok(None) => assert!(pushed < 4 << 20, "{pushed} bytes were kept"),
            Ok(Some(reply)) => panic!("{reply:?}"),
        }
    };
    assert_eq!(refused.kind(), Kind::Protocol, "{refused}");
}

#[test]
fn times() {
    feed(include_str!("corpus/reply.txt"), |bytes| {
        if let Some(stamp) = std::str::from_utf8(bytes).ok().and_then(time::parse) {
            assert_eq!(time::parse(&time::digits(stamp)).map(|at| at.seconds()), Some(stamp.seconds()));
        }
    });
}

#[test]
fn metadata() {
    let peer = PeerKey { id: "ftp://joe@h:21/".into(), legacy: "h/".into() };
    let print = |meta: &DirMeta| meta.print("test", 1.7e9, 0.0, &|at| at.to_string(), false);
    feed(include_str!("corpus/meta.txt"), |bytes| {
        let Ok(mut meta) = DirMeta::parse(bytes) else { return };
        let (archive, tree) = (meta.archive(&peer), meta.copies(&peer));
        // What was read is written and read again as the same.
        let text = print(&meta);
        let again = DirMeta::parse(text.as_bytes()).unwrap_or_else(|error| panic!("{error:?}: {text}"));
        assert_eq!((again.archive(&peer), again.copies(&peer)), (archive, tree), "{text}");
        let fact = Fact { mtime: Some(1.5), size: Some(5), exact: Some(1.5), ..Fact::default() };
        meta.record(&peer, "new", &fact, 1.7e9);
        meta.adopt(&peer);
        meta.forget_all(&peer);
        assert!(meta.archive(&peer).seen.is_none_or(|seen| seen.is_empty()));
    });
}

#[test]
fn urls() {
    feed(include_str!("corpus/url.txt"), |bytes| {
        let text = String::from_utf8_lossy(bytes);
        let shown = match TargetUrl::parse(&text) {
            Ok(url) => {
                let control = |text: &str| text.contains(['\r', '\n', '\0']);
                let is_file = url.scheme == "file";
                assert!(is_file || !url.user.as_deref().is_some_and(control));
                assert!(is_file || !url.password.as_ref().is_some_and(|secret| control(secret.reveal())));
                assert!(is_file || !control(&url.host), "{text:?}");
                return;
            }
            Err(error) => format!("{error} {error:?}"),
        };
        // What stands before the address is shown, so that a mistyped scheme can be seen.
        let scheme = text.split_once("://").map_or("", |(scheme, _)| scheme);
        let is_shown = scheme.contains("hunter") && !scheme.contains('@');
        assert!(is_shown || !shown.contains("hunter"), "{shown}");
    });
}

#[test]
fn patterns() {
    feed(include_str!("corpus/pattern.txt"), |bytes| {
        let pattern = String::from_utf8_lossy(bytes).into_owned();
        if let Ok(filter) = Filter::new(&[], std::slice::from_ref(&pattern), true) {
            for name in ["a", "abc.txt", "[", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab"] {
                filter.matches(name, EntryKind::File);
            }
        }
    });
}

#[cfg(feature = "sftp")]
#[test]
fn packets_of_sftp() {
    let mut dice = Dice::new(9);
    for _ in 0..rounds(6_000, 2_000_000) {
        let packet: Vec<u8> = (0..dice.below(80)).map(|_| dice.throw() as u8 >> dice.below(8)).collect();
        let _ = sftp::Reply::parse(&packet);
        let _ = (sftp::reply::parse_version(&packet), sftp::reply::parse_limits(&packet));
    }
}

#[test]
fn names() {
    feed(include_str!("corpus/mlsd.txt"), |bytes| {
        let Ok(name) = Name::from_utf8_bytes(bytes) else { return };
        assert_eq!(name.raw().map_or_else(|| name.as_str().as_bytes().to_vec(), <[u8]>::to_vec), bytes);
        let path = RelPath::parse(name.as_str()).unwrap_or_else(|error| panic!("{error}: {name:?}"));
        assert_eq!(path.file_name(), name.as_str());
    });
}

#[test]
fn locks() {
    feed(include_str!("corpus/lock.txt"), |bytes| {
        let Some(lock) = Lock::parse(bytes) else { return };
        let again = Lock::parse(lock.print().as_bytes()).expect("what is written can be read");
        assert_eq!(again, lock);
        for shown in lock.holder.into_iter().flat_map(|holder| [holder.host, holder.system]).flatten() {
            assert!(!shown.contains(char::is_control) && shown.chars().count() <= 101, "{shown:?}");
        }
    });
}

/// A journal is on the disk of the user, but may be damaged, or somebody else's. It never removes or hides a file.
#[test]
fn journals() {
    let corpus = include_str!("corpus/journal.txt");
    let (head, rest) = corpus.split_once('\n').expect("a head and lines");
    let mut mutator = Mutator::new(rest, 11);
    for round in 0..rounds(60, 20_000) {
        let above = tempfile::tempdir().unwrap();
        let root = above.path().join("root");
        std::fs::create_dir(&root).unwrap();
        for file in [root.join("same"), root.join("new"), above.path().join("outside")] {
            std::fs::write(file, "file").unwrap();
        }
        let local = LocalTarget::new(&root, Links::Inside).unwrap();
        let remote = MemoryTarget::new("mem://u@h:1/");
        remote.put("theirs", b"theirs", at(0));
        remote.put("deep/theirs", b"theirs", at(0));
        let mut journal = head.as_bytes().to_vec();
        for _ in 0..1 + round % 4 {
            journal.push(b'\n');
            journal.extend(mutator.next());
        }
        std::fs::write(root.join(".pyftpsync-tmp-0123456789abcdef.journal"), &journal).unwrap();
        let outcome = tree::run(&local, &remote, &Setup::new(Mode::Sync));
        let shown = String::from_utf8_lossy(&journal);
        assert!(outcome.result.is_ok(), "{outcome:?} {shown}");
        // What it claims to have copied may look like a conflict, never like a deletion.
        let there: Vec<String> = user_tree(&remote).into_keys().collect();
        assert!(there.contains(&"theirs".to_owned()) && there.contains(&"deep/theirs".to_owned()), "{shown}");
        for file in ["same", "new", "theirs", "deep/theirs"] {
            assert!(root.join(file).is_file(), "{file}: {outcome:?} {shown}");
        }
        assert!(above.path().join("outside").is_file(), "{shown}");
    }
}

#[cfg(feature = "s3")]
#[test]
fn answers_of_s3() {
    use ftpsync::wire::s3::answer::{Page, Refusal, made, not_deleted, unfinished, upload_id};
    use ftpsync::wire::s3::http::Head;
    use ftpsync::wire::s3::xml::Element;
    feed(include_str!("corpus/s3.txt"), |bytes| {
        if let Ok(page) = Page::parse(bytes) {
            assert!(page.next.as_ref().is_none_or(|token| !token.is_empty()), "{page:?}");
            let held: usize = page.objects.iter().map(|object| object.key.len()).sum();
            assert!(held <= bytes.len(), "nothing grows");
        }
        let _ = (Element::parse(bytes), Refusal::parse(bytes), upload_id(bytes), unfinished(bytes));
        let _ = (made(bytes, "CompleteMultipartUploadResult"), not_deleted(bytes));
        let head: Vec<u8> = bytes
            .iter()
            .flat_map(|byte| if *byte == b'~' { b"\r\n".to_vec() } else { vec![*byte] })
            .collect();
        if let Ok(head) = Head::parse(&head) {
            let _ = (head.framing("GET"), head.keeps_alive(), head.get("etag"));
        }
    });
}
