//! Contents compared after transfers: a bit that flips on the way is seen, and nothing wrong is put in place.

use crate::contract::{get, path};
use crate::ftp_conversations::config;
use crate::ftp_server::{Quirks, Server};
use ftpsync::error::{Error, Kind, Result, Retry};
use ftpsync::target::ftp::{FtpConfig, FtpTarget};
use ftpsync::target::local::{Links, LocalTarget};
use ftpsync::target::{Put, Session, Target, Written};
use std::io::Read;

const OLD: &[u8] = b"old";
const NEW: &[u8] = b"new content";

fn open(server: &Server) -> Box<dyn Session> {
    FtpTarget::new(FtpConfig { verify: true, ..config(server) }).unwrap().open().unwrap()
}

fn write(session: &mut dyn Session) -> Result<Written> {
    let put = Put { size: Some(NEW.len() as u64), ..Put::default() };
    session.write(&path("a"), &mut &*NEW, &put)
}

/// Each way in which a server can tell: what FEAT says, and the command that must be seen then.
const WAYS: [(Option<&str>, &str); 10] = [
    (Some("HASH SHA-256*;MD5"), "HASH /"),
    (Some("HASH MD5*;SHA-1;SHA-512"), "OPTS HASH SHA-512"),
    (Some("HASH CRC32;md5"), "OPTS HASH MD5"),
    (Some("XSHA512"), "XSHA512 /"),
    (Some("XSHA256"), "XSHA256 /"),
    (Some("XSHA1"), "XSHA1 /"),
    (Some("XSHA"), "XSHA /"),
    (Some("XMD5"), "XMD5 /"),
    (Some("XCRC"), "XCRC /"),
    (None, "RETR /"),
];

#[test]
fn an_upload_in_which_a_bit_flipped_leaves_the_old_file() {
    for (checksums, command) in WAYS {
        let server = Server::start(Quirks { flips_a_bit: Some("STOR"), checksums, ..Quirks::default() });
        server.put("/a", OLD);
        let mut session = open(&server);
        let error = write(session.as_mut()).unwrap_err();
        assert_eq!((error.kind(), error.retry()), (Kind::Corrupt, Retry::No), "{checksums:?}: {error}");
        assert_eq!(server.content("/a").as_deref(), Some(OLD));
        assert_eq!(server.paths(), ["/", "/a"], "the temporary file stays");
        assert!(server.script().iter().any(|line| line.contains(command)), "{checksums:?}");
        // The next one is not disturbed.
        write(session.as_mut()).unwrap();
        assert_eq!(server.content("/a").as_deref(), Some(NEW));
    }
}

#[test]
fn a_download_in_which_a_bit_flipped_is_never_complete() {
    for (checksums, command) in WAYS {
        let server = Server::start(Quirks { flips_a_bit: Some("RETR"), checksums, ..Quirks::default() });
        server.put("/a", NEW);
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a"), OLD).unwrap();
        let mut local = LocalTarget::new(folder.path(), Links::Inside).unwrap().open().unwrap();
        let mut session = open(&server);
        let mut copy = || {
            let mut written = Ok(());
            let read = session.read(&path("a"), &mut |body| {
                written = local.write(&path("a"), body, &Put::default()).map(drop);
                Ok(())
            });
            read.and(written)
        };
        assert_eq!(copy().unwrap_err().kind(), Kind::Corrupt, "{checksums:?}");
        assert_eq!(std::fs::read(folder.path().join("a")).unwrap(), OLD);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        assert!(server.script().iter().any(|line| line.contains(command)), "{checksums:?}");
        copy().unwrap();
        assert_eq!(std::fs::read(folder.path().join("a")).unwrap(), NEW);
    }
}

#[test]
fn a_checksum_that_is_refused_is_replaced_by_reading_back() {
    let answers = vec![("XMD5", "550 not today")];
    let server = Server::start(Quirks { checksums: Some("XMD5"), answers, ..Quirks::default() });
    let mut session = open(&server);
    write(session.as_mut()).unwrap();
    write(session.as_mut()).unwrap();
    let said = server.script().join("\n");
    assert_eq!((said.matches("XMD5 ").count(), said.matches("RETR ").count()), (1, 2), "{said}");
}

#[test]
fn without_the_wish_nothing_is_compared() {
    let server =
        Server::start(Quirks { flips_a_bit: Some("STOR"), checksums: Some("XMD5"), ..Quirks::default() });
    let mut session = FtpTarget::new(config(&server)).unwrap().open().unwrap();
    write(session.as_mut()).unwrap();
    assert!(!server.script().iter().any(|line| line.contains("XMD5")));
    assert_eq!(get(session.as_mut(), "a").unwrap().len(), NEW.len());
}

#[test]
fn in_place_a_wrong_content_does_not_stay() {
    let server = Server::start(Quirks { flips_a_bit: Some("STOR"), ..Quirks::default() });
    server.put("/a", OLD);
    let put = Put { inplace: true, ..Put::default() };
    let error = open(&server).write(&path("a"), &mut &*NEW, &put).unwrap_err();
    assert!(error.kind() == Kind::Corrupt && error.has_damaged(), "{error}");
    assert_eq!(server.content("/a"), None);
}

/// A body after whose last byte somebody writes into the temporary file.
struct Meddled<'a> {
    folder: &'a std::path::Path,
    body: &'a [u8],
}

impl Read for Meddled<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.body.read(buffer)?;
        if count == 0 {
            let temporary = std::fs::read_dir(self.folder)?.flatten().find(|item| item.file_name() != "a");
            let Some(temporary) = temporary else { return Err(Error::cancelled().into_io()) };
            std::fs::write(temporary.path(), vec![b'?'; NEW.len()])?;
        }
        Ok(count)
    }
}

#[test]
fn a_disk_that_keeps_something_else_is_noticed() {
    for verify in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a"), OLD).unwrap();
        let target = LocalTarget::new(folder.path(), Links::Inside).unwrap().verifying(verify);
        let mut body = Meddled { folder: folder.path(), body: NEW };
        let outcome = target.open().unwrap().write(&path("a"), &mut body, &Put::default());
        let held = std::fs::read(folder.path().join("a")).unwrap();
        if verify {
            assert_eq!(outcome.unwrap_err().kind(), Kind::Corrupt);
            assert_eq!(held, OLD);
        } else {
            assert_ne!(held, NEW, "the test meddles with nothing")
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
