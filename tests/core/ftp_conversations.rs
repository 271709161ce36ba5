//! What the FTP target says to servers, and what it makes of their answers.

use crate::contract::{self, get, path, put};
use crate::eventually::eventually;
use crate::ftp_faults::{At, Fault, Gate, Mishap};
use crate::ftp_server::{CERTIFICATE, PASSWORD, Quirks, Server, Tls, USER};
use ftpsync::error::{Error, Kind, Retry};
use ftpsync::model::{RelPath, Stamp};
use ftpsync::target::ftp::{FtpConfig, FtpTarget, Secret, TlsConfig, Trace};
use ftpsync::target::{Expect, Put, Session, Target};
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub fn config(server: &Server) -> FtpConfig {
    let mut config = FtpConfig::new("127.0.0.1", "/");
    config.port = server.port();
    config.user = Some(USER.to_owned());
    config.password = Some(Secret::new(PASSWORD));
    config
}

pub fn watching(show: impl Fn(&str) + Send + Sync + 'static) -> Arc<Trace> {
    let trace = Trace::new(move |_, text| show(text));
    trace.set_level(1);
    Arc::new(trace)
}

fn target(server: &Server) -> FtpTarget {
    FtpTarget::new(config(server)).unwrap()
}

/// A server with quirks, and an open session on it. What was said until then is forgotten.
pub fn open(quirks: Quirks) -> (Server, Box<dyn Session>) {
    let server = Server::start(quirks);
    let session = target(&server).open().unwrap();
    server.packets();
    (server, session)
}

/// As [`open`], after one upload: everything there is to learn about the server is known.
pub fn open_learned(quirks: Quirks) -> (Server, Box<dyn Session>) {
    let (server, mut session) = open(quirks);
    write(session.as_mut(), "first", b"1").unwrap();
    server.packets();
    (server, session)
}

/// The names in the root.
pub fn listed_names(session: &mut dyn Session) -> Vec<String> {
    let listing = session.list(&RelPath::root()).unwrap();
    listing.entries.iter().map(|entry| entry.name.to_string()).collect()
}

pub fn write(
    session: &mut dyn Session,
    file: &str,
    content: &[u8],
) -> Result<ftpsync::target::Written, Error> {
    write_over(session, file, content, Expect::Anything)
}

pub fn write_over(
    session: &mut dyn Session,
    file: &str,
    content: &[u8],
    expect: Expect,
) -> Result<ftpsync::target::Written, Error> {
    let put = Put {
        expect,
        size: Some(content.len() as u64),
        mtime: Some(Stamp::new(1_600_000_000, 0)),
        ..Put::default()
    };
    session.write(&path(file), &mut &*content, &put)
}

fn open_error(config: FtpConfig) -> Error {
    FtpTarget::new(config).unwrap().open().err().expect("a refusal")
}

// ---- the contract -----------------------------------------------------------------------------------------------

#[test]
fn the_contract_holds_on_a_good_server() {
    contract::check(&target(&Server::start(Quirks::default())));
}

#[test]
fn the_contract_holds_without_mlsd() {
    contract::check(&target(&Server::start(Quirks {
        answers: vec![("MLSD", "500 unknown command")],
        list_zone: 2 * 3600,
        ..Quirks::default()
    })));
}

#[test]
fn the_contract_holds_without_epsv() {
    contract::check(&target(&Server::start(Quirks {
        answers: vec![("EPSV", "500 unknown command")],
        ..Quirks::default()
    })));
}

#[test]
fn the_contract_holds_where_times_cannot_be_set() {
    contract::check(&target(&Server::start(Quirks {
        answers: vec![("MFMT", "500 unknown command")],
        hides: vec!["MFMT"],
        ..Quirks::default()
    })));
}

#[test]
fn the_contract_holds_where_files_are_not_replaced_by_renaming() {
    contract::check(&target(&Server::start(Quirks { keeps_existing: true, ..Quirks::default() })));
}

#[test]
fn the_contract_holds_over_tls() {
    for version in [Tls::Old, Tls::New] {
        let server = Server::start(Quirks { tls: Some(version), ..Quirks::default() });
        contract::check(&FtpTarget::new(trusting(&server)).unwrap());
    }
}

/// A configuration that trusts the certificate of the server.
pub fn trusting(server: &Server) -> FtpConfig {
    let mut config = config(server);
    config.tls = Some(TlsConfig { ca_file: Some(CERTIFICATE.into()), ..TlsConfig::default() });
    config
}

/// Runs the contract on a server of your choice: `FTPSYNC_SERVER=host,port,user,password,root[,tls]`, `FTPSYNC_CA=file`.
#[test]
#[ignore = "needs a server"]
fn a_server_of_your_choice_keeps_the_contract() {
    let setting = std::env::var("FTPSYNC_SERVER").expect("FTPSYNC_SERVER is set");
    let parts: Vec<&str> = setting.split(',').collect();
    let mut config = FtpConfig::new(parts[0], parts[4]);
    config.port = parts[1].parse().expect("a port");
    config.user = Some(parts[2].to_owned());
    config.password = Some(Secret::new(parts[3]));
    config.active = std::env::var_os("FTPSYNC_ACTIVE").is_some();
    config.tls = parts.get(5).map(|_| TlsConfig {
        ca_file: std::env::var_os("FTPSYNC_CA").map(Into::into),
        ..TlsConfig::default()
    });
    if std::env::var_os("FTPSYNC_TRACE").is_some() {
        config.trace = Some(watching(|line| println!("{line}")));
    }
    contract::check(&FtpTarget::new(config).expect("a target"));
}

// ---- the words --------------------------------------------------------------------------------------------------

#[test]
fn a_guest_has_the_usual_password_also_where_the_user_is_given() {
    for (user, password) in [(None, None), (Some("Anonymous"), None), (Some("anonymous"), Some(""))] {
        let server = Server::start(Quirks { answers: vec![("PASS", "530 no")], ..Quirks::default() });
        let (user_name, password) = (user.map(str::to_owned), password.map(Secret::new));
        let config = FtpConfig { user: user_name, password, ..config(&server) };
        FtpTarget::new(config).unwrap().open().err().expect("no login");
        let script = server.script();
        assert_eq!(script[0], format!("USER {}", user.unwrap_or("anonymous")));
        assert!(script[1].starts_with("PASS anonymous@ | "), "{script:?}");
    }
}

#[test]
fn logging_in_takes_two_packets_and_one_once_the_server_is_known() {
    let server = Server::start(Quirks::default());
    let session = target(&server).open().unwrap();
    let script = server.script();
    assert_eq!(script, ["USER joe", "PASS s3cret-word | SYST | FEAT | TYPE I | OPTS UTF8 ON | CWD /"]);
    let greeting: Vec<&str> = session.greeting().iter().map(|(_, line)| line.as_str()).collect();
    assert_eq!(greeting[0], "Login as 'joe'.");
    assert_eq!(greeting[1], "SYST: '215 UNIX Type: L8'.");
    assert!(greeting[2].starts_with("FEAT: '211-Features"));
    assert_eq!(greeting[3], "Sent 'OPTS UTF8 ON'.");
    let target = target(&server);
    let known = target.open().unwrap();
    server.packets();
    let _second = target.open().unwrap();
    assert_eq!(server.script(), ["USER joe | PASS s3cret-word | TYPE I | OPTS UTF8 ON | CWD /"]);
    drop((known, session));
}

#[test]
fn a_server_that_hears_one_command_at_a_time_is_served_one_at_a_time() {
    let server = Server::start(Quirks { hears_one_at_a_time: true, ..Quirks::default() });
    let mut patient = config(&server);
    patient.timeout = std::time::Duration::from_millis(300);
    let target = FtpTarget::new(patient).unwrap();
    let mut session = target.open().unwrap();
    server.packets();
    write_over(session.as_mut(), "a", b"content", Expect::Absent).unwrap();
    assert!(server.script().iter().all(|packet| !packet.contains(" | ")), "{:?}", server.script());
}

#[test]
fn a_wrong_password_is_told_also_by_a_server_that_hangs_up() {
    let server = Server::start(Quirks { leaves_strangers: true, ..Quirks::default() });
    let mut wrong = config(&server);
    wrong.password = Some(Secret::new("wrong-word"));
    let error = open_error(wrong);
    assert_eq!((error.kind(), error.reply().map(|(code, _)| code)), (Kind::Login, Some(530)));
}

#[test]
fn a_small_upload_takes_three_packets() {
    let (server, mut session) = open_learned(Quirks::default());
    let written = write_over(session.as_mut(), "a b", b"content", Expect::Absent).unwrap();
    assert_eq!((written.size, written.mtime_kept), (7, true));
    assert_eq!(
        server.script(),
        [
            "EPSV | STOR /.pyftpsync-tmp-#-a b",
            "SIZE /.pyftpsync-tmp-#-a b | MFMT 20200913122640 /.pyftpsync-tmp-#-a b | SIZE /a b | \
             RNFR /.pyftpsync-tmp-#-a b",
            "RNTO /a b",
        ]
    );
}

#[test]
fn a_download_and_a_listing_take_one_packet_each() {
    let (server, mut session) = open_learned(Quirks::default());
    get(session.as_mut(), "first").unwrap();
    session.list(&RelPath::root()).unwrap();
    assert_eq!(server.script(), ["SIZE /first | EPSV | RETR /first", "EPSV | MLSD /"]);
}

#[test]
fn files_are_removed_as_many_at_a_time_as_travel_at_once() {
    let (server, mut session) = open(Quirks::default());
    let long = "long ".repeat(20);
    let files: Vec<RelPath> = (0..140).map(|number| path(&format!("{long}{number:03}"))).collect();
    for file in &files {
        server.put(&format!("/{file}"), b"");
    }
    assert!(session.remove_files(&files).iter().all(Result::is_ok));
    // A command has 111 bytes.
    let lengths: Vec<usize> = server.packets().iter().map(Vec::len).collect();
    assert_eq!(lengths, [122, 18]);
    assert_eq!(server.paths(), ["/"]);
}

#[test]
fn folders_are_removed_in_one_packet() {
    let (server, mut session) = open(Quirks::default());
    let folders: Vec<RelPath> = ["a/b", "a", "c"].map(path).into();
    for folder in ["/a", "/a/b", "/c", "/c/full"] {
        server.put_folder(folder);
    }
    let removed: Vec<bool> = session.remove_dirs(&folders).iter().map(Result::is_ok).collect();
    assert_eq!(removed, [true, true, false]);
    assert_eq!(server.script()[0], "RMD /a/b | RMD /a | RMD /c");
    assert_eq!(server.paths(), ["/", "/c", "/c/full"]);
}

#[test]
fn files_are_looked_at_together_with_the_removal_of_those_before() {
    let (server, mut session) = open(Quirks::default());
    let long = "long ".repeat(20);
    let name = |number: usize| format!("{long}{number:03}");
    let files: Vec<(RelPath, Expect)> =
        (0..150).map(|number| (path(&name(number)), Expect::File(Some(1), None))).collect();
    (0..150).for_each(|number| server.put(&format!("/{}", name(number)), b"1"));
    server.put(&format!("/{}", name(7)), b"edited");
    let removed = session.remove_if_still(&files, false);
    for (number, removed) in removed.iter().enumerate() {
        let kind = removed.as_ref().err().map(Error::kind);
        assert_eq!(kind, (number == 7).then_some(Kind::Changed), "{number}");
    }
    assert_eq!(server.content(&format!("/{}", name(7))), Some(b"edited".to_vec()));
    assert_eq!(server.paths().len(), 2);
    let said = |packet: &[String]| {
        ["SIZE", "DELE"].map(|verb| packet.iter().filter(|line| line.starts_with(verb)).count())
    };
    let packets = server.packets();
    let packets: Vec<_> = packets.iter().filter(|packet| said(packet) != [0, 0]).collect();
    assert_eq!(
        packets.iter().map(|packet| said(packet)).collect::<Vec<_>>(),
        [[122, 0], [1, 121], [27, 1], [0, 27]]
    );
}

#[test]
fn what_an_attempt_without_an_answer_has_removed_is_no_work_of_others() {
    let (server, mut session) = open(Quirks::default());
    server.put("/b", b"1");
    let files = ["a", "b"].map(|name| (path(name), Expect::File(Some(1), None)));
    let kinds = |removed: Vec<Result<(), Error>>| -> Vec<Option<Kind>> {
        removed.iter().map(|removed| removed.as_ref().err().map(Error::kind)).collect()
    };
    assert_eq!(kinds(session.remove_if_still(&files, false)), [Some(Kind::Changed), None]);
    server.put("/b", b"1");
    assert_eq!(kinds(session.remove_if_still(&files, true)), [Some(Kind::NotFound), None]);
}

#[test]
fn without_epsv_it_is_asked_for_once() {
    let (server, mut session) =
        open_learned(Quirks { answers: vec![("EPSV", "500 unknown command")], ..Quirks::default() });
    assert_eq!(get(session.as_mut(), "first").unwrap(), b"1");
    assert_eq!(server.script(), ["SIZE /first | PASV | RETR /first"]);
}

#[test]
fn the_password_is_shown_nowhere() {
    let heard = Arc::new(Mutex::new(String::new()));
    let server = Server::start(Quirks::default());
    let mut wrong = config(&server);
    wrong.password = Some(Secret::new("wrong-word"));
    let listener = Arc::clone(&heard);
    wrong.trace = Some(watching(move |line| listener.lock().unwrap().push_str(line)));
    let shown = format!("{wrong:?}");
    let error = open_error(wrong);
    assert_eq!((error.kind(), error.reply().map(|(code, _)| code)), (Kind::Login, Some(530)));
    let said = format!("{shown} {error} {error:?} {:?} {}", error.reply(), heard.lock().unwrap());
    assert!(said.contains("PASS ***") && !said.contains("wrong-word"), "{said}");
}

#[test]
fn a_server_that_repeats_the_password_does_not_bring_it_into_errors() {
    for (password, said, shown) in [
        ("geheim99", "550 not with password geheim99", "550 not with password ***"),
        ("or", "550 neither 'or' nor that word", "550 neither '***' nor that word"),
    ] {
        let server = Server::start(Quirks {
            answers: vec![("PASS", "230 welcome"), ("DELE", said), ("RETR", said), ("CWD /sub", said)],
            ..Quirks::default()
        });
        let mut config = config(&server);
        config.password = Some(Secret::new(password));
        let mut session = FtpTarget::new(config.clone()).unwrap().open().unwrap();
        server.put("/file", b"x");
        let failures = [
            session.remove_file(&path("file")).unwrap_err(),
            session.remove_files(&[path("file")]).pop().unwrap().unwrap_err(),
            get(session.as_mut(), "file").unwrap_err(),
            session.list(&path("sub")).unwrap_err(),
        ];
        for error in failures {
            let words = format!("{error} {error:?}");
            assert!(words.contains(shown) && error.reply().unwrap().1 == shown, "{words}");
        }
        config.root = "/sub".to_owned();
        let error = open_error(config);
        assert!(error.to_string().contains(shown), "{error}");
    }
}

#[test]
fn line_ends_in_names_are_never_sent() {
    let (server, mut session) = open(Quirks::default());
    let error = session.remove_file(&path("a\r\nRMD b")).unwrap_err();
    assert_eq!(error.kind(), Kind::Name);
    assert!(server.packets().is_empty());
    session.list(&RelPath::root()).unwrap();
}

// ---- errors -----------------------------------------------------------------------------------------------------

#[test]
fn hosts_and_ports_that_do_not_answer_are_named() {
    let error = open_error(FtpConfig::new("no-such-host.invalid", "/"));
    assert_eq!(error.kind(), Kind::UnknownHost);
    assert!(error.to_string().contains("unknown host \"no-such-host.invalid\""), "{error}");

    let port = crate::ftp_data::closed_port();
    let mut config = FtpConfig::new("127.0.0.1", "/");
    config.port = port;
    let error = open_error(config);
    assert_eq!(error.kind(), Kind::Connect);
    assert!(error.to_string().contains(&format!("127.0.0.1:{port}")), "{error}");
}

#[test]
fn a_server_without_tls_never_hears_the_user() {
    let server = Server::start(Quirks::default());
    let mut secure = config(&server);
    secure.tls = Some(TlsConfig::default());
    let error = open_error(secure);
    assert_eq!(error.kind(), Kind::Tls);
    assert_eq!(server.script(), ["AUTH TLS"]);
}

#[test]
fn clear_text_behind_the_agreement_to_tls_is_an_attack() {
    let server = Server::start(Quirks {
        answers: vec![("AUTH", "234 go on\r\n230 you are logged in")],
        ..Quirks::default()
    });
    let mut secure = config(&server);
    secure.tls = Some(TlsConfig::default());
    let error = open_error(secure);
    assert_eq!(error.kind(), Kind::Tls, "{error}");
    assert!(error.to_string().contains("clear text"), "{error}");
}

#[test]
fn an_unknown_certificate_is_refused_and_can_be_pinned() {
    let server = Server::start(Quirks { tls: Some(Tls::Old), ..Quirks::default() });
    let mut careful = config(&server);
    careful.tls = Some(TlsConfig::default());
    let error = open_error(careful.clone());
    assert_eq!(error.kind(), Kind::Tls);
    assert_eq!(server.script(), ["AUTH TLS"]);
    let said = error.to_string();
    for word in ["--no-verify-tls", "--tls-ca FILE", "--tls-pin sha256:"] {
        assert!(said.contains(word), "{said}");
    }
    let start = said.find("sha256:").unwrap();
    let pin = said[start..start + 71].to_owned();
    let pinned = |pin: String| {
        let mut config = careful.clone();
        config.tls = Some(TlsConfig { pin: Some(pin), ..TlsConfig::default() });
        FtpTarget::new(config).unwrap()
    };
    assert!(pinned(pin).open().is_ok());
    let wrong = format!("sha256:{}", "0".repeat(64));
    assert_eq!(pinned(wrong).open().err().unwrap().kind(), Kind::Tls);
}

#[test]
fn the_usual_port_depends_on_the_kind_of_tls() {
    let id = |port: u16, tls: Option<TlsConfig>| {
        let mut config = FtpConfig::new("host", "/");
        (config.port, config.tls) = (port, tls);
        FtpTarget::new(config).unwrap().id().to_owned()
    };
    let implicit = TlsConfig { implicit: true, ..TlsConfig::default() };
    assert_eq!(id(0, None), "ftp://anonymous@host:21/");
    assert_eq!(id(0, Some(TlsConfig::default())), "ftps://anonymous@host:21/");
    assert_eq!(id(0, Some(implicit.clone())), "ftps://anonymous@host:990/");
    assert_eq!(id(2121, Some(implicit)), "ftps://anonymous@host:2121/");
}

#[test]
fn data_that_ends_without_a_goodbye_is_judged_by_its_size() {
    let quirks = || Quirks { tls: Some(Tls::Old), closes_rudely: true, ..Quirks::default() };
    let server = Server::start(quirks());
    server.put("/file", b"12345678");
    let mut session = FtpTarget::new(trusting(&server)).unwrap().open().unwrap();
    assert_eq!(get(session.as_mut(), "file").unwrap(), b"12345678");
    assert!(!session.list(&RelPath::root()).unwrap().complete);

    let server = Server::start(Quirks { hides: vec!["SIZE"], ..quirks() });
    server.put("/file", b"12345678");
    let mut session = FtpTarget::new(trusting(&server)).unwrap().open().unwrap();
    assert_eq!(get(session.as_mut(), "file").unwrap_err().kind(), Kind::Disconnected);
}

#[test]
fn too_many_connections_are_no_wrong_password() {
    let server = Server::start(Quirks {
        answers: vec![("PASS", "530 Sorry, the maximum number of clients (4) are connected")],
        ..Quirks::default()
    });
    assert_eq!(open_error(config(&server)).kind(), Kind::Busy);
}

#[test]
fn a_missing_root_is_not_found_or_made() {
    let server = Server::start(Quirks::default());
    let mut deep = config(&server);
    deep.root = "/a/b c/d".to_owned();
    let error = open_error(deep.clone());
    assert_eq!((error.kind(), error.reply().map(|(code, _)| code)), (Kind::NotFound, Some(550)));
    assert!(error.to_string().contains("--create-folder"), "{error}");
    deep.create_root = true;
    let mut session = FtpTarget::new(deep).unwrap().open().unwrap();
    put(session.as_mut(), "file", b"x");
    assert_eq!(server.content("/a/b c/d/file").unwrap(), b"x");
}

#[test]
fn a_short_download_is_an_error_although_the_server_calls_it_complete() {
    let (server, mut session) = open(Quirks { halves_downloads: true, ..Quirks::default() });
    server.put("/file", b"12345678");
    let error = get(session.as_mut(), "file").unwrap_err();
    assert_eq!(error.kind(), Kind::Size, "{error}");
}

#[test]
fn a_full_disk_is_reported_in_the_words_of_the_server() {
    for size in [10, 20_000_000] {
        let (server, mut session) =
            open(Quirks { stor_ends_with: Some("552 quota exceeded"), ..Quirks::default() });
        server.put("/file", b"old");
        let error = write(session.as_mut(), "file", &vec![1; size]).unwrap_err();
        assert_eq!(error.kind(), Kind::Full, "{error}");
        assert!(error.to_string().contains("552 quota exceeded"), "{error}");
        assert_eq!(server.content("/file").unwrap(), b"old");
        assert_eq!(get(session.as_mut(), "file").unwrap(), b"old");
    }
}

#[test]
fn an_upload_that_arrives_short_is_not_put_in_place() {
    let (server, mut session) = open(Quirks { loses_last_byte: true, ..Quirks::default() });
    server.put("/file", b"old");
    let error = write(session.as_mut(), "file", b"new content").unwrap_err();
    assert_eq!(error.kind(), Kind::Size, "{error}");
    assert_eq!(server.content("/file").unwrap(), b"old");
    assert_eq!(server.paths(), ["/", "/file"]);
    assert!(!server.script().iter().any(|line| line.contains("RNTO /file")));
}

#[test]
fn a_server_that_cannot_rename_is_written_in_place() {
    let (server, mut session) =
        open(Quirks { answers: vec![("RNFR", "502 not implemented")], ..Quirks::default() });
    write(session.as_mut(), "file", b"content").unwrap();
    assert_eq!(server.content("/file").unwrap(), b"content");
    assert_eq!(server.paths(), ["/", "/file"]);
}

#[test]
fn a_rename_that_is_only_confirmed_is_noticed() {
    let (server, mut session) = open(Quirks { answers: vec![("RNTO", "250 done")], ..Quirks::default() });
    server.put("/file", b"old");
    let error = write(session.as_mut(), "file", b"new content").unwrap_err();
    assert_eq!((error.kind(), error.retry()), (Kind::Busy, Retry::Later));
    assert_eq!(server.paths(), ["/", "/file"]);
    write(session.as_mut(), "file", b"new content").unwrap();
    assert_eq!(server.content("/file").unwrap(), b"new content");
}

#[test]
fn a_refused_rename_is_about_that_file_only() {
    for refusal in ["450 the file is busy", "550 permission denied", "553 name not allowed"] {
        let answers = vec![("RNFR /.pyftpsync-tmp-", refusal)];
        let (server, mut session) = open(Quirks { answers: answers.clone(), ..Quirks::default() });
        server.put("/file", b"old");
        // As long as none was seen to work, a permanent one may be about renaming itself.
        let is_about_all = !refusal.starts_with('4');
        for attempt in 0..2 {
            let is_written = is_about_all && attempt == 1;
            match write(session.as_mut(), "file", b"new") {
                Ok(_) => assert!(is_written, "{refusal}"),
                Err(error) => {
                    assert!(!is_written && !error.has_damaged() && error.reply().is_some(), "{error}");
                }
            }
            let held: &[u8] = if is_written { b"new" } else { b"old" };
            assert_eq!(server.content("/file").unwrap(), held, "{refusal}");
            assert_eq!(server.paths(), ["/", "/file"]);
        }
    }
}

#[test]
fn a_refused_rename_is_about_one_file_where_others_were_renamed_or_its_name_is_refused_as_well() {
    let answers = vec![("RNTO /bad", "553 name not allowed"), ("STOR /bad", "553 name not allowed")];
    let (server, mut session) = open(Quirks { answers, ..Quirks::default() });
    for _ in 0..2 {
        let error = write(session.as_mut(), "bad", b"new").unwrap_err();
        assert!(!error.has_damaged(), "{error}");
    }
    write(session.as_mut(), "good", b"new").unwrap();
    assert!(server.script().iter().any(|line| line.contains("RNTO /good")));
    let error = write(session.as_mut(), "bad", b"new").unwrap_err();
    assert_eq!(error.reply().map(|(code, _)| code), Some(553), "{error}");
    assert_eq!(server.paths(), ["/", "/good"]);
}

/// Gives some bytes, then fails.
struct Failing(usize);

impl std::io::Read for Failing {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.0 == 0 {
            return Err(Error::new(Kind::Changed, "changed while being read").into_io());
        }
        let count = self.0.min(buffer.len());
        self.0 -= count;
        Ok(count)
    }
}

#[test]
fn a_failed_write_in_place_says_so_and_leaves_no_stump() {
    let in_place = Put { inplace: true, expect: Expect::File(Some(3), None), ..Put::default() };
    for length in [0, 10, 1_000_000] {
        let (server, mut session) = open(Quirks::default());
        server.put("/file", b"old");
        let error = session.write(&path("file"), &mut Failing(length), &in_place).unwrap_err();
        assert!(error.has_damaged() && error.kind() == Kind::Changed, "{error}");
        assert_eq!(server.paths(), ["/"], "{length}");
        let aside = Put { inplace: false, ..in_place };
        let error = session.write(&path("file"), &mut Failing(length), &aside).unwrap_err();
        assert!(!error.has_damaged(), "{error}");
    }
    let (server, mut session) = open(Quirks { loses_last_byte: true, ..Quirks::default() });
    server.put("/file", b"old");
    let error = session.write(&path("file"), &mut &b"new content"[..], &in_place).unwrap_err();
    assert!(error.has_damaged() && error.kind() == Kind::Size, "{error}");
    assert_eq!(server.paths(), ["/"]);
}

#[test]
fn what_a_refused_write_in_place_has_not_touched_is_left() {
    let (server, mut session) =
        open(Quirks { stor_ends_with: Some("552 quota exceeded"), ..Quirks::default() });
    server.put("/file", b"old");
    let in_place = Put { inplace: true, expect: Expect::File(Some(3), None), ..Put::default() };
    let error = session.write(&path("file"), &mut &b"new content"[..], &in_place).unwrap_err();
    assert!(!error.has_damaged() && error.kind() == Kind::Full, "{error}");
    assert_eq!(server.content("/file").unwrap(), b"old");
}

/// From STOR on, a file under its own name may be gone, whatever becomes of the transfer.
#[test]
fn what_stor_has_emptied_in_place_is_marked_and_removed() {
    let plain = [
        Mishap::Reset,
        Mishap::Leave,
        Mishap::Withhold,
        Mishap::Answer("425 no data connection"),
        Mishap::Answer("452 no room"),
    ];
    let secured = [Mishap::CutHandshake, Mishap::Answer("522 no session was resumed")];
    let cases = plain.into_iter().map(|mishap| (None, mishap));
    let cases = cases.chain(
        [Tls::Old, Tls::New]
            .into_iter()
            .flat_map(|tls| secured.iter().map(move |mishap| (Some(tls), mishap.clone()))),
    );
    for (tls, mishap) in cases {
        for active in [false, true] {
            let server = Server::start(Quirks { tls, empties_at_stor: true, ..Quirks::default() });
            server.put("/file", b"old");
            let config = if tls.is_some() { trusting(&server) } else { config(&server) };
            let target =
                FtpTarget::new(FtpConfig { active, timeout: Duration::from_secs(1), ..config }).unwrap();
            let mut session = target.open().unwrap();
            server.faults().plan([Fault { at: At::Nth("STOR", 0), mishap: mishap.clone() }]);
            let put = Put { inplace: true, expect: Expect::File(Some(3), None), ..Put::default() };
            let error = session.write(&path("file"), &mut &b"content"[..], &put).unwrap_err();
            assert!(error.has_damaged(), "{tls:?} {mishap:?} {active}: {error}");
            assert!(!session.is_alive() || server.paths() == ["/"], "{tls:?} {mishap:?} {active}: a stump");
        }
    }
}

#[test]
fn a_refusal_of_stor_in_place_has_destroyed_nothing() {
    for refusal in ["450 busy", "550 no", "553 not this name"] {
        let (server, mut session) = open(Quirks { empties_at_stor: true, ..Quirks::default() });
        server.put("/file", b"old");
        server.faults().plan([Fault { at: At::Nth("STOR", 0), mishap: Mishap::Answer(refusal) }]);
        let put = Put { inplace: true, expect: Expect::File(Some(3), None), ..Put::default() };
        let error = session.write(&path("file"), &mut &b"content"[..], &put).unwrap_err();
        assert!(!error.has_damaged(), "{error}");
        assert_eq!(server.content("/file").unwrap(), b"old");
    }
}

/// Not a byte was sent when STOR is refused: what is not empty was not touched, whoever has written it.
#[test]
fn a_refusal_for_want_of_room_deletes_nothing_that_is_not_empty() {
    let hides_all = vec!["SIZE", "MDTM", "MLST"];
    for (quirks, expect) in [
        (Quirks::default(), Expect::Anything),
        (Quirks::default(), Expect::File(Some(3), None)),
        (Quirks { hides: hides_all.clone(), ..Quirks::default() }, Expect::Anything),
        (Quirks { sizes_are_0: true, ..Quirks::default() }, Expect::Anything),
        (Quirks { sizes_are_0: true, ..Quirks::default() }, Expect::File(Some(3), None)),
        (Quirks { answers: vec![("SIZE", "550 permission denied")], ..Quirks::default() }, Expect::Anything),
    ] {
        for refusal in ["552 quota exceeded", "425 use PASV first", "451 not so fast"] {
            let (server, mut session) = open(quirks.clone());
            server.put("/file", b"old");
            server.faults().plan([Fault { at: At::Nth("STOR", 0), mishap: Mishap::Answer(refusal) }]);
            let put = Put { inplace: true, expect, ..Put::default() };
            let error = session.write(&path("file"), &mut &b"content"[..], &put).unwrap_err();
            assert!(!error.has_damaged(), "{quirks:?} {expect:?}: {error}");
            assert_eq!(server.content("/file").unwrap(), b"old", "{quirks:?} {expect:?}");
        }
    }
}

#[test]
fn a_transfer_that_never_began_is_not_blamed_for_the_command_of_the_one_before() {
    let (server, mut session) = open(Quirks { empties_at_stor: true, ..Quirks::default() });
    server.put("/file", b"old");
    let put = Put { inplace: true, expect: Expect::File(Some(3), None), ..Put::default() };
    session.write(&path("other"), &mut &b"other"[..], &Put { inplace: true, ..Put::default() }).unwrap();
    // The look at what is to be replaced is answered, and the conversation ends.
    server.faults().plan([Fault { at: At::Nth("EPSV", 0), mishap: Mishap::Chatter("421 closing down") }]);
    let error = session.write(&path("file"), &mut &b"content"[..], &put).unwrap_err();
    assert_eq!((error.retry(), error.has_damaged()), (Retry::NewSession, false), "{error}");
    assert_eq!(server.content("/file").unwrap(), b"old");
}

/// Where what arrives is kept aside until it is whole, the old file is there all the time.
#[test]
fn what_no_attempt_in_place_has_touched_is_never_removed() {
    let (server, mut session) = open(Quirks { stores_hidden: true, ..Quirks::default() });
    server.put("/file", b"old");
    let put = Put { inplace: true, expect: Expect::File(Some(3), None), ..Put::default() };
    // That of an attempt before was lost, so that nobody knows what it has done.
    let again = Put { expect: Expect::Anything, destroyed: Some(put.expect), is_repeated: true, ..put };
    for put in [put, again] {
        server.faults().plan([Fault { at: At::Nth("STOR", 0), mishap: Mishap::CutData(1) }]);
        let error = session.write(&path("file"), &mut &b"content"[..], &put).unwrap_err();
        assert!(!error.has_damaged(), "{error}");
        assert_eq!(server.content("/file").unwrap(), b"old");
    }
}

#[test]
fn a_folder_that_takes_no_new_file_tells_nothing_of_temporary_names() {
    let answers = vec![("STOR /closed/.pyftpsync", "553 permission denied")];
    let (server, mut session) = open(Quirks { answers, ..Quirks::default() });
    server.put_folder("/closed");
    server.put("/closed/file", b"old");
    write_over(session.as_mut(), "closed/file", b"new", Expect::File(Some(3), None)).unwrap();
    assert_eq!(server.content("/closed/file").unwrap(), b"new");
    server.packets();
    write(session.as_mut(), "other", b"content").unwrap();
    let script = server.script();
    assert!(script.iter().any(|packet| packet.contains("RNTO /other")), "{script:#?}");
}

/// A body that takes its time.
struct Slow(&'static [u8]);

impl std::io::Read for Slow {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        std::thread::sleep(Duration::from_millis(2_100) / 2);
        self.0.read(buffer)
    }
}

#[test]
fn slow_files_in_a_row_get_their_names_all_the_same() {
    let (server, mut session) = open_learned(Quirks::default());
    let put = Put { expect: Expect::Absent, size: Some(7), ..Put::default() };
    for file in ["a", "b", "c", "d"] {
        assert!(session.write_behind(&path(file), &mut Slow(b"content"), &put).unwrap().is_none());
    }
    assert_eq!(server.content("/b").as_deref(), Some(&b"content"[..]));
    assert_eq!(settle(session.as_mut()).len(), 4);
    let longest = server.script().iter().map(|packet| packet.matches('|').count()).max().unwrap();
    assert!(longest < 8, "{longest} commands in one packet");
}

/// Something else may be done between the packet that looks at a file and the next one, which renames.
#[test]
fn a_file_in_a_row_is_looked_at_again_when_the_last_look_is_old() {
    let (server, mut session) = open_learned(Quirks::default());
    server.put("/first", b"older");
    write_over(session.as_mut(), "first", b"2", Expect::File(Some(5), None)).unwrap();
    server.put("/a", b"old");
    assert!(write_behind_over(session.as_mut(), "a", "content", Expect::File(Some(3), None)).unwrap());
    assert!(write_behind(session.as_mut(), "b", "content").unwrap());
    std::thread::sleep(Duration::from_millis(2_100));
    server.put("/a", b"edited by somebody");
    let mut settled = settle(session.as_mut());
    settled.sort_by(|one, other| one.0.cmp(&other.0));
    assert_eq!(settled, [("a".to_owned(), Err(Kind::Changed)), ("b".to_owned(), Ok(7))]);
    assert_eq!(server.content("/a").unwrap(), b"edited by somebody");
    assert_eq!(server.paths(), ["/", "/a", "/b", "/first"]);
}

#[test]
fn the_first_file_shows_in_the_packets_of_an_upload_what_the_server_can() {
    let (server, mut session) = open(Quirks::default());
    session.list(&RelPath::root()).unwrap();
    server.packets();
    let written = write_over(session.as_mut(), "first", b"1", Expect::Absent).unwrap();
    assert!(written.mtime_kept);
    let temp = "/.pyftpsync-tmp-#-first";
    assert_eq!(
        server.script(),
        [
            format!("RNFR /.pyftpsync-tmp-# | EPSV | STOR {temp}"),
            format!("SIZE {temp} | MFMT 20200913122640 {temp} | MDTM {temp} | SIZE /first | RNFR {temp}"),
            format!("RNTO /first | SIZE /first | SIZE {temp}"),
        ]
    );
}

#[test]
fn a_server_that_begins_to_rename_what_is_not_there_gets_its_files_nevertheless() {
    let (server, mut session) = open(Quirks { renames_anything: true, ..Quirks::default() });
    for _ in 0..2 {
        session.list(&RelPath::root()).unwrap();
        write(session.as_mut(), "file", b"content").unwrap();
    }
    assert_eq!(
        (server.paths(), server.content("/file")),
        (vec!["/".into(), "/file".into()], Some(b"content".to_vec()))
    );
}

#[test]
fn a_time_that_the_first_file_does_not_keep_is_asked_for() {
    for answer in ["502 no such command", "213 Modify=20200913122640; only said"] {
        let (server, mut session) = open(Quirks { answers: vec![("MFMT", answer)], ..Quirks::default() });
        let written = write(session.as_mut(), "file", b"content").unwrap();
        assert!(!written.mtime_kept && written.dated.is_some(), "{answer}");
        assert_eq!(server.content("/file").unwrap(), b"content");
    }
}

#[test]
fn replacing_is_believed_only_after_it_was_seen() {
    let (server, mut session) = open_learned(Quirks::default());
    let expect = Expect::File(Some(1), None);
    write_over(session.as_mut(), "first", b"2", expect).unwrap();
    let temp = "/.pyftpsync-tmp-#-first";
    let finish = format!("SIZE {temp} | MFMT 20200913122640 {temp} | SIZE /first | RNFR {temp}");
    assert_eq!(
        server.script(),
        [
            format!("EPSV | STOR {temp}"),
            finish.clone(),
            format!("RNTO /first | SIZE /first | MDTM /first | SIZE {temp}"),
        ]
    );
    write_over(session.as_mut(), "first", b"3", expect).unwrap();
    assert_eq!(server.script(), [format!("EPSV | STOR {temp}"), finish, "RNTO /first".to_owned()]);
    assert_eq!(server.content("/first").unwrap(), b"3");
}

#[test]
fn a_server_that_only_pretends_to_replace_loses_nothing() {
    for hides in [vec![], vec!["SIZE"], vec!["MDTM", "MFMT"]] {
        let (server, mut session) =
            open_learned(Quirks { pretends_to_replace: true, hides, ..Quirks::default() });
        server.put("/file", b"old");
        for (content, expect) in [
            (&b"longer"[..], Expect::File(Some(3), None)),
            (b"equals", Expect::File(Some(6), None)),
            (b"who knows", Expect::Anything),
            (b"not first", Expect::File(None, None)),
        ] {
            write_over(session.as_mut(), "file", content, expect).unwrap();
            assert_eq!(server.content("/file").unwrap(), content);
            assert_eq!(server.paths(), ["/", "/file", "/first"]);
        }
    }
}

#[test]
fn where_nothing_can_be_asked_a_pretended_replacement_is_written_in_place() {
    let (server, mut session) =
        open_learned(Quirks { pretends_to_replace: true, hides: vec!["SIZE", "MDTM"], ..Quirks::default() });
    server.put("/file", b"old");
    let expect = Expect::File(Some(3), None);
    let error = write_over(session.as_mut(), "file", b"new", expect).unwrap_err();
    assert_eq!((error.kind(), error.retry()), (Kind::Busy, Retry::Later), "{error}");
    assert_eq!(server.content("/file").unwrap(), b"old");
    assert_eq!(server.paths(), ["/", "/file", "/first"]);
    write_over(session.as_mut(), "file", b"new", expect).unwrap();
    assert_eq!(server.content("/file").unwrap(), b"new");
}

#[test]
fn the_contract_holds_where_replacing_is_pretended() {
    contract::check(&target(&Server::start(Quirks { pretends_to_replace: true, ..Quirks::default() })));
}

#[test]
fn temporary_names_that_are_refused_are_not_insisted_on() {
    let (server, mut session) = open(Quirks {
        answers: vec![("STOR /.pyftpsync", "553 hidden files are forbidden")],
        ..Quirks::default()
    });
    write(session.as_mut(), "file", b"content").unwrap();
    assert_eq!(server.content("/file").unwrap(), b"content");
}

#[test]
fn after_a_cut_every_verb_asks_for_a_new_session() {
    for cut in ["RETR", "STOR", "MLSD", "RNTO", "SIZE", "DELE"] {
        let (server, mut session) = open(Quirks { cuts_at: Some(cut), ..Quirks::default() });
        server.put("/file", b"old");
        let failed = match cut {
            "RETR" => get(session.as_mut(), "file").map(|_| ()),
            "MLSD" => session.list(&RelPath::root()).map(|_| ()),
            "DELE" => session.remove_file(&path("file")),
            _ => write(session.as_mut(), "file", b"new").map(|_| ()),
        };
        let error = failed.unwrap_err();
        assert_eq!((error.kind(), error.retry()), (Kind::Disconnected, Retry::NewSession), "{cut}: {error}");
        let error = session.list(&RelPath::root()).unwrap_err();
        assert_eq!((error.kind(), error.retry()), (Kind::Disconnected, Retry::NewSession), "{cut}: {error}");
        assert_eq!(server.content("/file").unwrap(), b"old", "{cut}");
    }
}

#[test]
fn a_conversation_that_the_server_ended_while_idle_is_not_alive() {
    for tls in [None, Some(Tls::Old), Some(Tls::New)] {
        for farewell in [None, Some("421 idle for too long")] {
            let server = Server::start(Quirks { tls, farewell, ..Quirks::default() });
            let config = if tls.is_some() { trusting(&server) } else { config(&server) };
            let mut session = FtpTarget::new(config).unwrap().open().unwrap();
            session.list(&RelPath::root()).unwrap();
            assert!(session.is_alive());
            session.list(&RelPath::root()).unwrap();
            server.say_farewell();
            assert!(eventually(|| !session.is_alive()), "{tls:?} {farewell:?}");
        }
    }
}

#[test]
fn an_interrupted_conversation_is_not_alive() {
    let server = Server::start(Quirks::default());
    let target = target(&server);
    let mut session = target.open().unwrap();
    assert!(session.is_alive());
    target.interrupt();
    assert!(!session.is_alive());
}

#[cfg(target_os = "linux")]
pub const ESTABLISHED: &str = "01";
#[cfg(target_os = "linux")]
const SYN_SENT: &str = "02";

/// What the system says about the connections in this state that go to a port of this computer: rows of `/proc/net/tcp`.
#[cfg(target_os = "linux")]
pub fn connections_to(port: u16, state: &str) -> Vec<Vec<String>> {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let remote = format!("0100007F:{port:04X}");
    let rows = table.lines().map(|line| line.split_whitespace().map(str::to_owned).collect());
    rows.filter(|fields: &Vec<String>| fields[2] == remote && fields[3] == state).collect()
}

/// Linux lets a connection attempt wait while the queue of the listener is full.
#[cfg(target_os = "linux")]
#[test]
fn an_interrupt_ends_a_pending_connection_attempt() {
    use std::time::{Duration, Instant};
    let listener = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    listener.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    listener.listen(0).unwrap();
    let address = listener.local_addr().unwrap().as_socket().unwrap();
    let mut waiting = Vec::new();
    while let Ok(socket) = std::net::TcpStream::connect_timeout(&address, Duration::from_millis(300)) {
        waiting.push(socket);
    }
    let mut config = FtpConfig::new("127.0.0.1", "/");
    config.port = address.port();
    let target = FtpTarget::new(config).unwrap();
    let started = Instant::now();
    let error = std::thread::scope(|scope| {
        let opening = scope.spawn(|| target.open().err().expect("an interruption"));
        assert!(eventually(|| !connections_to(address.port(), SYN_SENT).is_empty()));
        target.interrupt();
        opening.join().unwrap()
    });
    assert_eq!(error.kind(), Kind::Disconnected, "{error}");
    assert!(started.elapsed() < Duration::from_secs(15), "{:?}", started.elapsed());
}

// ---- looking again ----------------------------------------------------------------------------------------------

/// The answers about `/file` (4 bytes, of 2024-01-02 03:04:05), `/.hidden` and `/free`.
fn looked_again(quirks: Quirks) -> (Vec<String>, Vec<Option<bool>>) {
    let (server, mut session) = open(quirks);
    server.put("/file", b"1234");
    server.put("/.hidden", b"x");
    let at = Stamp::new(1_704_164_645, 0);
    let names = [
        ("file", Expect::File(Some(4), Some(at))),
        ("file", Expect::File(Some(5), Some(at))),
        ("file", Expect::File(Some(4), Some(Stamp::new(1_704_164_600, 0)))),
        ("file", Expect::File(Some(4), Some(Stamp::new(1_704_164_600, 0).with_grain(60)))),
        ("file", Expect::File(None, None)),
        ("free", Expect::File(Some(4), None)),
        ("free", Expect::Absent),
        (".hidden", Expect::Absent),
        ("file", Expect::Anything),
    ];
    let names = names.map(|(name, expect)| (path(name), expect));
    let answers = session.still(&names).into_iter().map(Result::unwrap).collect();
    (server.script(), answers)
}

#[test]
fn what_has_changed_or_was_hidden_is_found_by_looking_again() {
    let (script, answers) = looked_again(Quirks::default());
    assert!(script[0].starts_with("SIZE /file | MDTM /file | SIZE /file"), "{script:?}");
    assert!(!script[1..].iter().any(|packet| packet.contains("SIZE")), "{script:?}");
    let (yes, no) = (Some(true), Some(false));
    assert_eq!(answers, [yes, no, no, yes, yes, no, yes, no, None]);
}

#[test]
fn looking_again_makes_do_with_what_the_server_has() {
    let (yes, no) = (Some(true), Some(false));
    let (_, answers) = looked_again(Quirks { hides: vec!["SIZE"], ..Quirks::default() });
    assert_eq!(answers, [yes, yes, no, yes, None, None, yes, no, None]);
    let (_, answers) = looked_again(Quirks { hides: vec!["MDTM"], ..Quirks::default() });
    assert_eq!(answers, [yes, no, yes, yes, yes, no, yes, no, None]);
    let (script, answers) = looked_again(Quirks { hides: vec!["SIZE", "MDTM"], ..Quirks::default() });
    assert!(script.is_empty() && answers.iter().all(Option::is_none));
    let denied = vec![("SIZE", "550 permission denied"), ("MDTM", "550 permission denied")];
    let (_, answers) = looked_again(Quirks { answers: denied, ..Quirks::default() });
    assert_eq!(answers, [yes, no, no, no, yes, no, None, None, None], "the listing tells what it can");
}

#[test]
fn looking_again_asks_many_questions_at_a_time_and_names_what_failed() {
    let (server, mut session) = open(Quirks { cuts_at: Some("SIZE /f60"), ..Quirks::default() });
    let names: Vec<(RelPath, Expect)> =
        (0..90).map(|number| (path(&format!("f{number}")), Expect::Absent)).collect();
    let answers = session.still(&names);
    assert_eq!(answers.len(), 90);
    assert!(answers[..60].iter().all(|answer| matches!(answer, Ok(Some(true)))));
    for answer in &answers[60..] {
        let error = answer.as_ref().unwrap_err();
        assert_eq!(error.retry(), Retry::NewSession, "{error}");
    }
    let lengths: Vec<usize> = server.packets().iter().map(Vec::len).collect();
    assert_eq!(lengths, [90]);
}

// ---- listings ---------------------------------------------------------------------------------------------------

fn listed(more_lines: Vec<&'static [u8]>) -> ftpsync::model::Listing {
    let (_server, mut session) = open(Quirks { more_lines, ..Quirks::default() });
    session.list(&RelPath::root()).unwrap()
}

#[test]
fn a_listing_that_is_cut_is_an_error() {
    let (server, mut session) = open(Quirks { listing_ends_with: Some("426 cut"), ..Quirks::default() });
    server.put("/a", b"");
    let error = session.list(&RelPath::root()).unwrap_err();
    assert_eq!(error.kind(), Kind::Busy);
}

#[test]
fn a_listing_without_end_is_given_up() {
    let (_server, mut session) = open(Quirks { floods: true, ..Quirks::default() });
    let error = session.list(&RelPath::root()).unwrap_err();
    assert_eq!((error.kind(), error.retry()), (Kind::Protocol, Retry::NewSession));
    assert!(error.to_string().contains("larger than 64 MiB"), "{error}");
    assert!(!session.is_alive());
    assert_eq!(session.list(&RelPath::root()).unwrap_err().kind(), Kind::Disconnected);
}

#[test]
fn a_truncated_listing_says_that_it_is_incomplete() {
    let (_server, mut session) = open(Quirks {
        listing_ends_with: Some("226 Output truncated to 10000 matches"),
        ..Quirks::default()
    });
    assert!(!session.list(&RelPath::root()).unwrap().complete);
}

#[test]
fn lines_that_cannot_be_used_make_a_listing_incomplete() {
    let bad: [&'static [u8]; 5] =
        [b"garbage", b"type=file;size=x; a", b"type=file; a/b", b"type=file; a\rb", b"type=file; with\0nul"];
    for line in bad {
        let listing = listed(vec![line]);
        assert!(!listing.complete && listing.entries.is_empty(), "{line:?}");
        assert_eq!(listing.notes.len(), 1);
    }
    let twice = listed(vec![b"type=file;size=1; a", b"type=file;size=2; a"]);
    assert!(!twice.complete && twice.entries.len() == 1);
}

#[test]
fn links_are_present_but_skipped() {
    let listing = listed(vec![b"type=OS.unix=slink:/etc; link", b"type=OS.unix=pipe; pipe"]);
    assert!(listing.complete && listing.entries.is_empty());
    let skipped: Vec<&str> = listing.present_but_skipped.iter().map(|name| name.as_str()).collect();
    assert_eq!(skipped, ["link", "pipe"]);
}

#[test]
fn names_that_are_not_utf8_keep_their_bytes() {
    let listing = listed(vec![b"type=file;size=1;modify=20240102030405; \xe4"]);
    let name = &listing.entries[0].name;
    assert_eq!((name.as_str(), name.raw()), ("ä", Some(&b"\xe4"[..])));
}

#[test]
fn a_folder_that_refuses_to_be_listed_is_empty_but_not_complete() {
    let (_server, mut session) =
        open(Quirks { answers: vec![("MLSD", "550 No files found")], ..Quirks::default() });
    let listing = session.list(&RelPath::root()).unwrap();
    assert!(!listing.complete && listing.entries.is_empty());
}

#[test]
fn times_of_list_are_made_exact_by_mdtm_or_moved_to_utc() {
    let (server, mut session) = open(Quirks {
        answers: vec![("MLSD", "500 unknown command"), ("MDTM /other", "550 not now")],
        list_zone: -5 * 3600,
        ..Quirks::default()
    });
    server.put("/file", b"x");
    server.put("/other", b"x");
    let listing = session.list(&RelPath::root()).unwrap();
    let time = |name: &str| {
        let entry = listing.entries.iter().find(|entry| entry.name.as_str() == name).unwrap();
        entry.mtime.map(|at| (at.seconds(), at.grain())).unwrap()
    };
    assert_eq!(time("file"), (1_704_164_645, 0));
    assert_eq!(time("other"), (1_704_164_640, 60));
}

#[test]
fn files_without_facts_are_completed_by_size_and_mdtm() {
    let (_server, mut session) = open(Quirks {
        more_lines: vec![b"type=file; bare"],
        answers: vec![("SIZE /bare", "213 5"), ("MDTM /bare", "213 20240102030405.5")],
        ..Quirks::default()
    });
    let listing = session.list(&RelPath::root()).unwrap();
    let entry = &listing.entries[0];
    assert_eq!(entry.size, Some(5));
    assert_eq!(entry.mtime, Some(Stamp::new(1_704_164_645, 500_000_000)));
}

// ---- many files in a row ----------------------------------------------------------------------------------------

pub fn write_behind(session: &mut dyn Session, file: &str, content: &str) -> Result<bool, Error> {
    write_behind_over(session, file, content, Expect::Absent)
}

fn write_behind_over(
    session: &mut dyn Session,
    file: &str,
    content: &str,
    expect: Expect,
) -> Result<bool, Error> {
    let put = Put {
        expect,
        size: Some(content.len() as u64),
        mtime: Some(Stamp::new(1_600_000_000, 0)),
        ..Put::default()
    };
    session.write_behind(&path(file), &mut content.as_bytes(), &put).map(|written| written.is_none())
}

/// What became of the files that were written behind, by name.
pub fn settle(session: &mut dyn Session) -> Vec<(String, Result<u64, Kind>)> {
    let settled = session.settled(true).unwrap();
    let outcome = |written: Result<ftpsync::target::Written, Error>| {
        written.map(|written| written.size).map_err(|error| error.kind())
    };
    settled.into_iter().map(|(file, written)| (file.to_string(), outcome(written))).collect()
}

#[test]
fn files_in_a_row_take_one_packet_each() {
    let (server, mut session) = open_learned(Quirks::default());
    for file in ["a", "b", "c", "d"] {
        assert!(write_behind(session.as_mut(), file, file).unwrap(), "is left for later");
    }
    assert_eq!(
        server.script(),
        [
            "EPSV | STOR /.pyftpsync-tmp-#-a",
            "SIZE /.pyftpsync-tmp-#-a | \
             MFMT 20200913122640 /.pyftpsync-tmp-#-a | SIZE /a | \
             EPSV | STOR /.pyftpsync-tmp-#-b",
            "RNFR /.pyftpsync-tmp-#-a | RNTO /a | SIZE /.pyftpsync-tmp-#-b | \
             MFMT 20200913122640 /.pyftpsync-tmp-#-b | SIZE /b | EPSV | STOR /.pyftpsync-tmp-#-c",
            "RNFR /.pyftpsync-tmp-#-b | RNTO /b | SIZE /.pyftpsync-tmp-#-c | \
             MFMT 20200913122640 /.pyftpsync-tmp-#-c | SIZE /c | EPSV | STOR /.pyftpsync-tmp-#-d",
        ]
    );
    assert_eq!(server.content("/c"), None, "not renamed before its size was seen");
    let done: Vec<String> = settle(session.as_mut()).into_iter().map(|(file, _)| file).collect();
    assert_eq!(done, ["a", "b", "c", "d"]);
    assert_eq!(server.script().len(), 2);
    assert_eq!(server.content("/d"), Some(b"d".to_vec()));
}

#[test]
fn in_a_row_the_bytes_do_not_wait_for_the_server_to_agree() {
    for tls in [None, Some(Tls::Old), Some(Tls::New)] {
        let server = Server::start(Quirks { agrees_late_to: Some("-late"), tls, ..Quirks::default() });
        let config = if tls.is_some() { trusting(&server) } else { config(&server) };
        let mut session = FtpTarget::new(config).unwrap().open().unwrap();
        write(session.as_mut(), "first", b"1").unwrap();
        for file in ["a-late", "b-late"] {
            assert!(write_behind(session.as_mut(), file, file).unwrap());
        }
        assert_eq!(settle(session.as_mut()).len(), 2);
        assert_eq!(server.content("/b-late"), Some(b"b-late".to_vec()));
    }
}

#[test]
fn a_file_that_arrived_damaged_does_not_replace_anything() {
    let (server, mut session) =
        open_learned(Quirks { loses_last_byte_of: Some("-bad"), ..Quirks::default() });
    for file in ["a", "bad", "c"] {
        write_behind(session.as_mut(), file, "content").unwrap();
    }
    let mut settled = settle(session.as_mut());
    settled.sort_by(|one, other| one.0.cmp(&other.0));
    assert_eq!(
        settled,
        [("a".to_owned(), Ok(7)), ("bad".to_owned(), Err(Kind::Size)), ("c".to_owned(), Ok(7))]
    );
    assert_eq!(server.paths(), ["/", "/a", "/c", "/first"], "and what arrived is removed");
}

#[test]
fn a_rename_that_is_refused_in_a_row_is_done_with_care() {
    let (server, mut session) = open_learned(Quirks::default());
    server.put("/b", b"somebody else's");
    // Only where it was seen to replace a file, others are left for later.
    write(session.as_mut(), "first", b"2").unwrap();
    server.faults().plan([Fault { at: At::Nth("RNTO /b", 0), mishap: Mishap::Answer("553 not now") }]);
    for file in ["a", "b", "c"] {
        assert!(write_behind_over(session.as_mut(), file, "content", Expect::Anything).unwrap());
    }
    let mut settled = settle(session.as_mut());
    settled.sort_by(|one, other| one.0.cmp(&other.0));
    assert_eq!(settled, ["a", "b", "c"].map(|file| (file.to_owned(), Ok(7))));
    assert_eq!(server.faults().happened(), 1);
    assert_eq!(server.content("/b"), Some(b"content".to_vec()));
    assert_eq!(server.paths(), ["/", "/a", "/b", "/c", "/first"]);
}

#[test]
fn a_file_that_is_refused_in_a_row_harms_no_other() {
    let (server, mut session) = open_learned(Quirks::default());
    write_behind(session.as_mut(), "a", "1").unwrap();
    let error = write_behind(session.as_mut(), "missing/b", "2").unwrap_err();
    assert_eq!(error.reply().map(|(code, _)| code), Some(553));
    write_behind(session.as_mut(), "c", "3").unwrap();
    let mut body = Failing(50);
    let put = Put { expect: Expect::Absent, size: Some(100), ..Put::default() };
    assert_eq!(session.write_behind(&path("d"), &mut body, &put).unwrap_err().kind(), Kind::Changed);
    write_behind(session.as_mut(), "e", "5").unwrap();
    let done: Vec<String> = settle(session.as_mut()).into_iter().map(|(file, _)| file).collect();
    assert_eq!(done, ["a", "c", "e"]);
    assert_eq!(server.paths(), ["/", "/a", "/c", "/e", "/first"]);
}

/// What becomes of a file that arrives short although the server calls it complete, when SIZE is answered like this.
fn arrives_short(answer: &'static str, is_behind: bool, begins_in: Option<&'static str>) -> (Server, Error) {
    let quirks = Quirks { loses_last_byte_of: Some("victim"), begins_in, ..Quirks::default() };
    let (server, mut session) = open_learned(quirks);
    server.faults().plan([Fault { at: At::Nth("SIZE", 0), mishap: Mishap::Answer(answer) }]);
    let outcome = if is_behind {
        write_behind(session.as_mut(), "victim", "12")
            .and_then(|_| session.settled(true))
            .and_then(|mut settled| settled.remove(0).1)
    } else {
        write(session.as_mut(), "victim", b"12")
    };
    assert_eq!(server.faults().happened(), 1);
    (server, outcome.unwrap_err())
}

#[test]
fn what_is_no_answer_to_size_is_no_proof_that_a_file_is_whole() {
    for (is_behind, begins_in) in [(false, None), (true, None), (false, Some("/")), (true, Some("/"))] {
        let (server, error) = arrives_short("226 by the way", is_behind, begins_in);
        // The conversation is out of step, so nothing is believed any more.
        assert_eq!(error.retry(), Retry::NewSession, "{is_behind}: {error}");
        assert!(server.content("/victim").is_none(), "{is_behind}");
        // Its listing tells.
        for answer in ["550 not now", "213 many"] {
            let (server, error) = arrives_short(answer, is_behind, begins_in);
            assert_eq!((error.kind(), error.retry()), (Kind::Size, Retry::NewSession), "{error}");
            assert_eq!(server.paths(), ["/", "/first"], "{is_behind}, {answer}");
        }
    }
}

/// It says so in every conversation, so that none of them is out of step.
#[test]
fn a_server_that_never_answers_size_by_a_size_gets_files_nevertheless() {
    for loses_last_byte in [false, true] {
        let answers = vec![("SIZE", "200 about that much")];
        let server = Server::start(Quirks { answers, loses_last_byte, ..Quirks::default() });
        let target = FtpTarget::new(config(&server)).unwrap();
        let first = write(target.open().unwrap().as_mut(), "file", b"12").unwrap_err();
        assert_eq!((first.kind(), first.retry()), (Kind::Protocol, Retry::NewSession));
        let second = write(target.open().unwrap().as_mut(), "file", b"12");
        if loses_last_byte {
            assert_eq!(second.unwrap_err().kind(), Kind::Size);
        } else {
            assert_eq!((second.is_ok(), server.content("/file").unwrap()), (true, b"12".to_vec()));
        }
    }
}

#[test]
fn a_reply_too_many_at_size_is_no_answer_in_the_second_conversation_either() {
    for answer in ["226 late\r\n213 2", "226 late\r\n550 not now"] {
        let quirks = Quirks { answers: vec![("SIZE", answer)], loses_last_byte: true, ..Quirks::default() };
        let server = Server::start(quirks);
        let target = FtpTarget::new(config(&server)).unwrap();
        for _ in 0..3 {
            let error = write(target.open().unwrap().as_mut(), "file", b"12").unwrap_err();
            assert_eq!(error.retry(), Retry::NewSession, "{error}");
            assert!(server.content("/file").is_none());
        }
    }
}

/// Another client puts a file of this name after the last look at it. A server that does not replace files protects it.
#[test]
fn a_new_file_of_somebody_else_is_not_replaced_where_the_server_refuses_to() {
    for (keeps_existing, is_learned) in [(true, true), (true, false), (false, true), (false, false)] {
        for is_behind in [false, true].into_iter().take(1 + usize::from(is_learned)) {
            let quirks = Quirks { keeps_existing, pretends_to_replace: !keeps_existing, ..Quirks::default() };
            let (server, mut session) = if is_learned { open_learned(quirks) } else { open(quirks) };
            let before = server.paths();
            let gate = Arc::new(Gate::default());
            let mishap = Mishap::Hold(Arc::clone(&gate));
            server.faults().plan([Fault { at: At::Nth("RNTO /victim", 0), mishap }]);
            let put = Put { expect: Expect::Absent, size: Some(2), ..Put::default() };
            let (session, put) = (&mut session, &put);
            let outcome = std::thread::scope(|scope| {
                let running = scope.spawn(move || {
                    if is_behind {
                        session
                            .write_behind(&path("victim"), &mut &b"12"[..], put)
                            .and_then(|_| session.settled(true))
                            .and_then(|mut settled| settled.remove(0).1)
                    } else {
                        session.write(&path("victim"), &mut &b"12"[..], put)
                    }
                });
                assert!(gate.is_reached());
                server.put("/victim", b"theirs");
                gate.open();
                running.join().unwrap()
            });
            let case = format!("{keeps_existing} {is_learned} {is_behind}");
            // Where it pretends and was believed, nobody notices; the file of the other stays all the same.
            assert_eq!(server.content("/victim").unwrap(), b"theirs", "{case} {outcome:?}");
            if keeps_existing || !is_learned {
                assert_eq!(outcome.unwrap_err().kind(), Kind::Changed, "{case}");
                assert_eq!(server.paths().len(), before.len() + 1, "{case}");
            }
        }
    }
}

#[test]
fn a_file_whose_size_only_a_listing_tells_is_put_in_place() {
    for is_behind in [false, true] {
        let (server, mut session) = open_learned(Quirks::default());
        server.faults().plan([Fault { at: At::Nth("SIZE", 0), mishap: Mishap::Answer("550 not now") }]);
        if is_behind {
            write_behind(session.as_mut(), "a", "1").unwrap();
            assert_eq!(settle(session.as_mut()).len(), 1);
        } else {
            write(session.as_mut(), "a", b"1").unwrap();
        }
        assert_eq!(server.faults().happened(), 1);
        assert_eq!(server.content("/a").unwrap(), b"1");
        // The next file is checked as ever.
        server.packets();
        write(session.as_mut(), "b", b"2").unwrap();
        assert!(server.script().iter().any(|line| line.starts_with("SIZE /.pyftpsync-tmp")), "{is_behind}");
    }
}

#[test]
fn where_something_is_still_unknown_files_are_written_one_by_one() {
    let (_server, mut session) = open(Quirks::default());
    assert!(!write_behind(session.as_mut(), "a", "1").unwrap(), "nothing is known about renaming yet");
    assert!(write_behind(session.as_mut(), "b", "2").unwrap());
    let over = Put { expect: Expect::File(Some(1), None), size: Some(1), ..Put::default() };
    session.settled(true).unwrap();
    assert!(
        session.write_behind(&path("a"), &mut &b"3"[..], &over).unwrap().is_some(),
        "nor about replacing"
    );
    assert!(session.write_behind(&path("a"), &mut &b"4"[..], &over).unwrap().is_none());
    let in_place = Put { inplace: true, ..over };
    session.settled(true).unwrap();
    assert!(session.write_behind(&path("a"), &mut &b"5"[..], &in_place).unwrap().is_some());
}

/// The names of the root, and whether these are certainly all.
fn shown(quirks: Quirks) -> (Vec<String>, bool) {
    let (server, mut session) = open(Quirks { hides: vec!["MLST"], ..quirks });
    for name in ["/a", "/b", "/c", "/.hidden"] {
        server.put(name, b"x");
    }
    let listing = session.list(&RelPath::root()).unwrap();
    (listing.entries.into_iter().map(|entry| entry.name.to_string()).collect(), listing.complete)
}

/// What one of the two listings says counts only as far as it is complete.
#[test]
fn a_listing_that_is_in_doubt_does_not_lose_to_an_empty_one() {
    let odd = vec![b"garbage".as_slice()];
    let of =
        |sends: &'static [u8]| Quirks { list_all_sends: Some(sends), hides_dots: true, ..Quirks::default() };
    let without = ["a", "b", "c"].map(str::to_owned).to_vec();
    // It takes the option for a pattern that nothing fits.
    assert_eq!(shown(Quirks { more_lines: odd, ..of(b"") }), (without.clone(), false));
    assert_eq!(shown(of(b"")), (without.clone(), true));
    assert_eq!(shown(of(b"ls: -a: No such file or directory\r\n")), (without.clone(), true));
    // It shows hidden names, and something that nobody can read.
    let line = b"-rw-r--r-- 1 joe joe 1 Jan 01 2024 .hidden\r\ngarbage\r\n";
    assert_eq!(shown(of(line)), (without.clone(), false));
    let lines = b"-rw-r--r-- 1 j j 1 Jan 01 2024 .hidden\r\n-rw-r--r-- 1 j j 1 Jan 01 2024 a\r\n\
        -rw-r--r-- 1 j j 1 Jan 01 2024 b\r\n-rw-r--r-- 1 j j 1 Jan 01 2024 c\r\ngarbage\r\n";
    let with = [".hidden", "a", "b", "c"].map(str::to_owned).to_vec();
    assert_eq!(shown(of(lines)), (with, false));
}

#[test]
fn a_listing_that_fails_for_the_moment_is_asked_for_again() {
    for (refusal, times) in [("451 not now", 2), ("502 no options", 1), ("450 -a: no such file", 1)] {
        let quirks = Quirks { hides: vec!["MLST"], hides_dots: true, ..Quirks::default() };
        let (server, mut session) = open(Quirks { answers: vec![("LIST -a", refusal)], ..quirks });
        server.put("/a", b"x");
        for _ in 0..2 {
            assert_eq!(session.list(&RelPath::root()).unwrap().entries.len(), 1);
        }
        assert_eq!(server.script().join(" ").matches("LIST -a").count(), times, "{refusal}");
    }
}

#[test]
fn what_list_cannot_tell_is_not_called_empty_by_mlsd() {
    for more_lines in [vec![b"garbage".as_slice()], vec![b"lrwxrwxrwx 1 j j 1 Jan 01 2024 link -> x"]] {
        let (_server, mut session) = open(Quirks { mlsd_sends: Some(b""), more_lines, ..Quirks::default() });
        let listing = session.list(&RelPath::root()).unwrap();
        assert!(!listing.complete || !listing.present_but_skipped.is_empty(), "{listing:?}");
    }
}

#[test]
fn a_folder_may_have_any_name() {
    for (says, is_complete) in [
        ("226 Successfully transferred \"/torrents/incomplete\"", true),
        ("226 /unlimited/too many done", true),
        ("226 Transfer of \"limits\" done", true),
        ("226 Output truncated to 10 matches", false),
    ] {
        let (server, mut session) = open(Quirks { says_for_transferred: Some(says), ..Quirks::default() });
        server.put("/a", b"x");
        assert_eq!(session.list(&RelPath::root()).unwrap().complete, is_complete, "{says}");
    }
}

#[test]
fn a_name_that_sounds_like_a_refusal_is_none() {
    let answers = vec![("DELE", "550 /404 not found.html: Permission denied")];
    let (server, mut session) = open(Quirks { answers, ..Quirks::default() });
    server.put("/404 not found.html", b"x");
    let error = session.remove_file(&path("404 not found.html")).unwrap_err();
    assert_eq!(error.kind(), Kind::Denied, "{error}");
}

#[test]
fn a_listing_of_nonsense_is_not_kept_word_for_word() {
    let nonsense: &'static [u8] = "type=OS.unix=slink;size=1; a\r\nx\r\n".repeat(20_000).leak().as_bytes();
    let (_server, mut session) = open(Quirks { mlsd_sends: Some(nonsense), ..Quirks::default() });
    let listing = session.list(&RelPath::root()).unwrap();
    assert!(!listing.complete && listing.notes.len() <= 2_000, "{} notes", listing.notes.len());
}
