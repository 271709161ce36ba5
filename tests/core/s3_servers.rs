//! S3 against moto and s3s-fs, two independent servers.

use super::contract::{assert_names, check, get, path, put};
use super::real_servers::RealServer;
use ftpsync::error::{Error, Kind};
use ftpsync::model::{RelPath, Stamp};
use ftpsync::target::ftp::Secret;
use ftpsync::target::s3::{S3Config, S3Target};
use ftpsync::target::{Expect, Put, Target};

/// A running server with the bucket `test`.
struct S3Server(RealServer);

impl S3Server {
    fn start(kind: &str) -> Option<Self> {
        RealServer::start(kind).map(S3Server)
    }

    fn config(&self, root: &str) -> S3Config {
        let mut config = S3Config::new("test", root);
        config.endpoint = Some(format!("http://127.0.0.1:{}", self.0.port));
        config.keys = Some((self.0.user.clone(), Secret::new(self.0.password.as_str())));
        config
    }

    fn target(&self, root: &str) -> S3Target {
        let mut config = self.config(root);
        config.create_root = true;
        S3Target::new(config).unwrap()
    }
}

#[test]
fn moto_keeps_the_contract() {
    let Some(server) = S3Server::start("moto") else { return };
    check(&server.target("deep/below"));
    names_that_xml_cannot_hold_are_kept(&server);
    large_files_travel_in_parts_and_come_back(&server);
    what_somebody_has_changed_meanwhile_is_not_replaced(&server);
    problems_are_told_with_advice(&server);
}

#[test]
fn s3s_fs_keeps_the_contract() {
    let Some(server) = S3Server::start("s3s-fs") else { return };
    check(&server.target(""));
    large_files_travel_in_parts_and_come_back(&server);
    let mut config = server.config("");
    config.keys = Some((server.0.user.clone(), Secret::new("not the right one")));
    let error = refusal(config);
    assert_eq!(error.kind(), Kind::Denied, "{error}");
    assert!(
        error.to_string().contains("AWS_SECRET_ACCESS_KEY") && !error.to_string().contains("not the right"),
        "{error}"
    );
}

fn refusal(config: S3Config) -> Error {
    let Err(error) = S3Target::new(config).and_then(|target| target.open()) else { panic!("it opened") };
    error
}

fn names_that_xml_cannot_hold_are_kept(server: &S3Server) {
    let target = server.target("odd");
    let mut session = target.open().unwrap();
    let names = ["a+b", "bell\u{7}", "tab\t", "<&>\"'", "%2B"];
    names.iter().for_each(|name| put(session.as_mut(), name, name.as_bytes()));
    session.look_afresh();
    assert_names(session.as_mut(), "", &names);
    for name in names {
        assert_eq!(get(session.as_mut(), name).unwrap(), name.as_bytes());
    }
    let files = names.map(path);
    session.remove_files(&files).into_iter().for_each(|removed| removed.unwrap());
    assert_names(session.as_mut(), "", &[]);
}

fn large_files_travel_in_parts_and_come_back(server: &S3Server) {
    let target = server.target("large");
    let mut session = target.open().unwrap();
    assert!(target.round_trip().is_some());
    let size = 21_u32 << 20;
    let content: Vec<u8> =
        (0..size + 7).map(|index| (index.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let at =
        Put { size: Some(content.len() as u64), mtime: Some(Stamp::new(1_600_000_000, 0)), ..Put::default() };
    let written = session.write(&path("three parts"), &mut content.as_slice(), &at).unwrap();
    assert_eq!(written.size, content.len() as u64);
    let in_ranges = S3Config { in_ranges: Some(true), ..server.config("large") };
    let mut again = S3Target::new(in_ranges).unwrap().open().unwrap();
    for session in [session.as_mut(), again.as_mut()] {
        assert!(get(session, "three parts").unwrap() == content);
        session.list(&RelPath::root()).unwrap();
        assert!(get(session, "three parts").unwrap() == content);
    }
    // Of unknown length, and exactly as long as two parts.
    let even = &content[..16 << 20];
    session.write(&path("even"), &mut &*even, &Put::default()).unwrap();
    assert!(get(session.as_mut(), "even").unwrap() == even);
    let wrong = Put { size: Some(1 + (20 << 20)), ..Put::default() };
    let error = session.write(&path("even"), &mut content.as_slice(), &wrong).unwrap_err();
    assert_eq!(error.kind(), Kind::Size);
    let mut start = [0; 10];
    session.read(&path("three parts"), &mut |body| Ok(body.read_exact(&mut start)?)).unwrap();
    assert_eq!(start, content[..10]);
    for file in ["three parts", "even"] {
        session.remove_file(&path(file)).unwrap();
    }
    assert_names(again.as_mut(), "", &[]);
}

fn what_somebody_has_changed_meanwhile_is_not_replaced(server: &S3Server) {
    let (ours, theirs) = (server.target("shared"), server.target("shared"));
    let (mut ours, mut theirs) = (ours.open().unwrap(), theirs.open().unwrap());
    put(ours.as_mut(), "file", b"as listed");
    let listed = ours.list(&RelPath::root()).unwrap().entries.remove(0);
    let expected = Put { expect: Expect::File(listed.size, listed.mtime), ..Put::default() };
    put(theirs.as_mut(), "file", b"of others");
    let large = vec![1; 9 << 20];
    for content in [&b"ours"[..], &large] {
        for expect in [expected.expect, Expect::Absent] {
            let put = Put { expect, ..Put::default() };
            let error = ours.write(&path("file"), &mut &*content, &put).unwrap_err();
            assert_eq!(error.kind(), Kind::Changed, "{error}");
            assert_eq!(get(theirs.as_mut(), "file").unwrap(), b"of others");
        }
    }
    let error = get(ours.as_mut(), "file").unwrap_err();
    assert_eq!(error.kind(), Kind::Changed, "what was listed is another version: {error}");
    ours.look_afresh();
    assert_eq!(get(ours.as_mut(), "file").unwrap(), b"of others");
    ours.remove_file(&path("file")).unwrap();
}

fn problems_are_told_with_advice(server: &S3Server) {
    let mut config = server.config("nothing/here");
    let error = refusal(config.clone());
    assert_eq!(error.kind(), Kind::NotFound);
    assert!(error.to_string().contains("--create-folder"), "{error}");
    config.bucket = "no-such-bucket".to_owned();
    let error = refusal(config.clone());
    assert!(error.to_string().contains("check its name"), "{error}");
    config.endpoint = Some("http://127.0.0.1:1".to_owned());
    let error = refusal(config.clone());
    assert_eq!(error.kind(), Kind::Connect, "{error}");
    assert!(error.to_string().contains("127.0.0.1:1"), "{error}");
    config.keys = None;
    config.environment.variables.insert("AWS_EC2_METADATA_DISABLED".to_owned(), "true".to_owned());
    let error = refusal(config);
    assert!(error.to_string().contains("--no-sign-request"), "{error}");
}
