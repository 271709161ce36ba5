//! Hostile and broken servers: whatever they do, at whatever step, it ends in a clear error, soon and in little memory.

use crate::contract::{get, path};
use crate::ftp_conversations::{config, trusting};
use crate::ftp_faults::{At, Fault, Mishap};
use crate::ftp_server::{Quirks, Server, Tls};
use ftpsync::error::{Error, Kind, Result, Retry};
use ftpsync::model::RelPath;
use ftpsync::target::ftp::{Engine, FtpConfig, FtpTarget, Secret, TlsConfig};
use ftpsync::target::s3::{S3Config, S3Target};
use ftpsync::target::sftp::{SftpConfig, SftpTarget};
use ftpsync::target::{Put, Target};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

/// How long a server may be silent.
const PATIENCE: Duration = Duration::from_millis(200);
/// Longer than anything may take, also on a machine that is busy.
const SOON: Duration = Duration::from_secs(30);
/// What lies in the buffers of sockets when the reader has long hung up.
const BUFFERS: usize = 32 << 20;

fn impatient(config: FtpConfig) -> FtpTarget {
    FtpTarget::new(FtpConfig { timeout: PATIENCE, connect_timeout: PATIENCE * 2, ..config }).unwrap()
}

/// Does a little of everything.
fn work(target: &FtpTarget) -> Result<()> {
    let mut session = target.open()?;
    session.list(&RelPath::root())?;
    get(session.as_mut(), "old")?;
    session.write(&path("new"), &mut &b"x"[..], &Put { size: Some(1), ..Put::default() })?;
    session.mkdir(&path("folder"))?;
    session.remove_file(&path("old"))
}

/// Something is an error, soon, and short enough to be read.
fn fails(what: &str, act: impl FnOnce() -> Result<()>) -> Error {
    let begun = Instant::now();
    let error = act().expect_err(what);
    let took = begun.elapsed();
    assert!(took < SOON, "{what}: {took:?}");
    let text = error.to_string();
    assert!(text.len() < 500 && !text.contains(|c: char| c.is_control()), "{what}: {text}");
    error
}

const STEPS: [&str; 15] = [
    "USER", "PASS", "SYST", "FEAT", "TYPE", "CWD", "EPSV", "MLSD", "SIZE", "RETR", "STOR", "RNFR", "RNTO",
    "MKD", "DELE",
];

/// Does the work with a server that always does this at a step.
fn suffers(tls: Option<Tls>, step: &'static str, mishap: &Mishap) -> (Error, Server) {
    suffers_with(Engine::Own, tls, step, mishap)
}

fn suffers_with(engine: Engine, tls: Option<Tls>, step: &'static str, mishap: &Mishap) -> (Error, Server) {
    // On a busy machine an impatient client may have given up before this step.
    let mut attempts = (0..5).map(|_| attempt(engine, tls, step, mishap));
    attempts.find(|(_, server)| server.faults().happened() > 0).expect(step)
}

fn attempt(engine: Engine, tls: Option<Tls>, step: &'static str, mishap: &Mishap) -> (Error, Server) {
    let greets_briefly = engine != Engine::Own;
    let server = Server::start(Quirks { tls, greets_briefly, ..Quirks::default() });
    server.put("/old", b"x");
    let always = (0..20).map(|nth| Fault { at: At::Nth(step, nth), mishap: mishap.clone() });
    server.faults().plan(always);
    let config = if tls.is_some() { trusting(&server) } else { config(&server) };
    let error = fails(&format!("{mishap:?} at {step}"), || {
        // Where all has arrived and only its confirmation is lost, the next verb meets the end of the conversation.
        work(&impatient(FtpConfig { engine, ..config }))
            .and_then(|()| Err(Error::new(Kind::Disconnected, "done nevertheless")))
    });
    (error, server)
}

/// What a drip in place of a reply to this step is.
fn kind_of_drip(step: &str) -> Kind {
    if matches!(step, "RETR" | "STOR") { Kind::Disconnected } else { Kind::Timeout }
}

#[test]
fn replies_without_end_are_given_up_at_every_step() {
    for step in STEPS {
        for mishap in [Mishap::Flood, Mishap::EndlessLine] {
            let (error, server) = suffers(None, step, &mishap);
            assert_eq!(error.kind(), Kind::Protocol, "{step}: {error}");
            assert!(server.poured() < BUFFERS, "{step}: {} bytes", server.poured());
        }
    }
}

#[test]
fn replies_that_are_none_are_given_up_at_every_step() {
    for step in STEPS {
        let (error, _) = suffers(None, step, &Mishap::Nonsense);
        assert_eq!((error.kind(), error.retry()), (Kind::Protocol, Retry::NewSession), "{step}: {error}");
    }
}

#[test]
fn replies_that_drip_for_ever_are_given_up_at_every_step() {
    std::thread::scope(|scope| {
        for step in STEPS {
            scope.spawn(move || {
                let (error, _) = suffers(None, step, &Mishap::Drip);
                assert_eq!(error.kind(), kind_of_drip(step), "{step}: {error}");
            });
        }
    });
}

#[test]
fn under_tls_it_is_the_same() {
    let check = |step, mishap: &Mishap, kind| {
        let (error, server) = suffers(Some(Tls::New), step, mishap);
        assert_eq!(error.kind(), kind, "{step}: {error}");
        assert!(server.poured() < BUFFERS, "{step}: {} bytes", server.poured());
    };
    std::thread::scope(|scope| {
        for step in ["AUTH", "USER", "FEAT", "PROT", "EPSV", "MLSD", "RETR"] {
            scope.spawn(move || {
                for mishap in [Mishap::Flood, Mishap::EndlessLine, Mishap::Nonsense] {
                    check(step, &mishap, Kind::Protocol);
                }
                check(step, &Mishap::Drip, kind_of_drip(step));
            });
        }
    });
}

#[test]
fn a_goodbye_without_end_holds_nobody() {
    std::thread::scope(|scope| {
        for tls in [None, Some(Tls::New)] {
            for mishap in [Mishap::Flood, Mishap::EndlessLine, Mishap::Drip, Mishap::Withhold] {
                scope.spawn(move || {
                    let server = Server::start(Quirks { tls, ..Quirks::default() });
                    server.faults().plan([Fault { at: At::Nth("QUIT", 0), mishap: mishap.clone() }]);
                    let config = if tls.is_some() { trusting(&server) } else { config(&server) };
                    let session = FtpTarget::new(config).unwrap().open().unwrap();
                    let begun = Instant::now();
                    session.close();
                    assert!(begun.elapsed() < SOON, "{tls:?}, {mishap:?}: {:?}", begun.elapsed());
                    assert_eq!(server.faults().happened(), 1);
                });
            }
        }
    });
}

#[test]
fn what_comes_back_on_the_connection_of_an_upload_holds_nobody() {
    std::thread::scope(|scope| {
        for (tls, mishap) in [
            (None, Mishap::PourOnData),
            (Some(Tls::New), Mishap::PourOnData),
            (Some(Tls::New), Mishap::DripOnData),
        ] {
            scope.spawn(move || {
                let server = Server::start(Quirks { tls, ..Quirks::default() });
                server.faults().plan([Fault { at: At::Nth("STOR", 0), mishap: mishap.clone() }]);
                let target = impatient(if tls.is_some() { trusting(&server) } else { config(&server) });
                let mut session = target.open().unwrap();
                let begun = Instant::now();
                // Whatever it is called then: it ends.
                let _ = session.write(&path("new"), &mut &b"content"[..], &Put::default());
                assert!(begun.elapsed() < SOON, "{tls:?}, {mishap:?}: {:?}", begun.elapsed());
                assert_eq!(server.faults().happened(), 1);
            });
        }
    });
}

/// What somebody says who has been called.
type Act = fn(TcpStream);

/// Somebody who does the same to everybody who calls; the port.
fn stranger(act: Act) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for socket in listener.incoming().flatten() {
            std::thread::spawn(move || act(socket));
        }
    });
    port
}

fn pour(mut socket: TcpStream, bytes: &[u8]) {
    while socket.write_all(bytes).is_ok() {}
}

fn drip(mut socket: TcpStream, first: &[u8], rest: u8) {
    let _ = socket.write_all(first);
    while socket.write_all(&[rest]).is_ok() {
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn hold(mut socket: TcpStream) {
    let _ = socket.read_to_end(&mut Vec::new());
}

#[test]
fn greetings_of_any_kind_are_an_error_soon() {
    let acts: [(&str, Act, Kind); 7] = [
        ("lines without end", |socket| pour(socket, &b"220-more\r\n".repeat(1000)), Kind::Protocol),
        ("a line without end", |socket| pour(socket, &[b'2'; 65_536]), Kind::Protocol),
        ("zeros without end", |socket| pour(socket, &[0; 65_536]), Kind::Protocol),
        ("soon for ever", |socket| pour(socket, b"120 soon\r\n"), Kind::Protocol),
        (
            "another protocol",
            |mut socket| drop((socket.write_all(b"SSH-2.0-OpenSSH_9\r\n"), hold(socket))),
            Kind::Protocol,
        ),
        ("a drip", |socket| drip(socket, b"220-", b'x'), Kind::Timeout),
        ("silence", hold, Kind::Timeout),
    ];
    for (what, act, kind) in acts {
        let port = stranger(act);
        for tls in [None, Some(TlsConfig::default())] {
            let config = FtpConfig { port, tls, ..FtpConfig::new("127.0.0.1", "/") };
            let error = fails(what, || impatient(config).open().map(drop));
            let is_about_soon = what == "soon for ever" && error.kind() == Kind::Refused;
            assert!(error.kind() == kind || is_about_soon, "{what}: {error:?}");
        }
    }
}

#[test]
fn handshakes_of_any_kind_are_an_error_soon() {
    // The head of a record that is as long as one may be, of which nothing but drops come.
    const HEAD: &[u8] = b"\x16\x03\x03\x40\x00";
    let acts: [(&str, Act); 6] = [
        ("nonsense without end", |socket| pour(socket, &[b'x'; 65_536])),
        ("records without end", |socket| pour(socket, &[HEAD, &[0; 0x4000]].concat())),
        ("a drip", |socket| drip(socket, HEAD, 2)),
        ("an alert", |mut socket| drop(socket.write_all(b"\x15\x03\x03\x00\x02\x02\x28"))),
        ("the end", drop),
        ("silence", hold),
    ];
    for (what, act) in acts {
        let port = stranger(act);
        let tls = Some(TlsConfig { implicit: true, ..TlsConfig::default() });
        let config = FtpConfig { port, tls, ..FtpConfig::new("127.0.0.1", "/") };
        let error = fails(what, || impatient(config).open().map(drop));
        let silent = matches!(what, "a drip" | "silence");
        assert_eq!(error.kind(), if silent { Kind::Timeout } else { Kind::Tls }, "{what}: {error}");
        assert!(error.to_string().contains("the TLS handshake with 127.0.0.1"), "{what}: {error}");
    }
}

/// The work with a server whose data ports are those of a stranger.
fn works_with_data_from(tls: Option<Tls>, act: Act) -> (Server, Result<()>) {
    let port = stranger(act);
    let [extended, classic] =
        [format!("229 (|||{port}|)"), format!("227 (127,0,0,1,{},{})", port / 256, port % 256)];
    let listing = "150 here it comes\r\n226 done";
    let mut answers =
        vec![("EPSV", extended.leak() as &'static str), ("PASV", classic.leak() as &'static str)];
    answers.extend([("MLSD", listing), ("LIST", listing), ("RETR", listing)]);
    let server = Server::start(Quirks { tls, answers, hides: vec!["SIZE"], ..Quirks::default() });
    let target = impatient(if tls.is_some() { trusting(&server) } else { config(&server) });
    let outcome = target.open().and_then(|mut session| {
        let listing = session.list(&RelPath::root())?;
        assert!(listing.entries.is_empty() && !listing.complete, "{listing:?}");
        Ok(())
    });
    (server, outcome)
}

#[test]
fn listings_of_any_kind_are_an_error_soon_or_believed_in_nothing() {
    // The second is more than any listing may have; the last three never end.
    let (_, outcome) = works_with_data_from(None, |mut socket| {
        drop(socket.write_all(&b"\0\xff\x1b[2J;;; \r\n".repeat(1000)))
    });
    outcome.unwrap();
    let acts: [(&str, Act); 3] = [
        ("a line without end", |socket| pour(socket, &[b'x'; 65_536])),
        ("lines without end", |socket| pour(socket, &b"type=file; a\r\n".repeat(5000))),
        ("silence", hold),
    ];
    for (what, act) in acts {
        let error = fails(what, || works_with_data_from(None, act).1);
        assert_eq!(error.retry(), Retry::NewSession, "{what}: {error}");
    }
}

#[test]
fn a_listing_that_drips_is_given_up() {
    for hides in [vec![], vec!["MLST"]] {
        let server = Server::start(Quirks { listing_drips: true, hides, ..Quirks::default() });
        // On a machine that is busy, a drop may come late; that is not what is meant here.
        let target = FtpTarget::new(FtpConfig { timeout: PATIENCE * 5, ..config(&server) }).unwrap();
        let error = fails("a drip", || work(&target));
        assert_eq!((error.kind(), error.retry()), (Kind::Timeout, Retry::NewSession), "{error}");
        assert!(error.to_string().contains("comes too slowly"), "{error}");
    }
}

#[test]
fn a_file_that_has_no_end_or_drips_is_given_up() {
    let acts: [(&str, Act, Kind); 2] = [
        ("more than was told", |socket| pour(socket, &[b'x'; 65_536]), Kind::Size),
        ("too slowly", |socket| drip(socket, b"", b'x'), Kind::Timeout),
    ];
    for (what, act, kind) in acts {
        let extended = format!("229 (|||{}|)", stranger(act));
        let answers = vec![("EPSV", extended.leak() as &'static str), ("RETR", "150 here\r\n226 done")];
        let server = Server::start(Quirks { answers, ..Quirks::default() });
        server.put("/old", b"x");
        let target = impatient(config(&server));
        let mut count = 0;
        let error = fails(what, || {
            target.open()?.read(&path("old"), &mut |body| {
                count = std::io::copy(body, &mut std::io::sink())?;
                Ok(())
            })
        });
        assert_eq!(error.kind(), kind, "{what}: {error}");
        assert_eq!(count, 0, "{what}: it never ended well");
    }
}

#[test]
fn data_connections_on_which_nobody_speaks_tls_are_an_error_soon() {
    let acts: [(&str, Act); 4] = [
        ("nonsense", |socket| pour(socket, &[b'x'; 65_536])),
        ("a drip", |socket| drip(socket, b"\x16\x03\x03\x40\x00", 2)),
        ("the end", drop),
        ("silence", hold),
    ];
    for tls in [Tls::Old, Tls::New] {
        for (what, act) in acts {
            let error = fails(what, || works_with_data_from(Some(tls), act).1);
            assert!(
                matches!(error.kind(), Kind::Tls | Kind::Timeout | Kind::Disconnected),
                "{what}: {error:?}"
            );
            assert_eq!(error.retry(), Retry::NewSession, "{what}: {error}");
        }
    }
}

#[test]
fn ports_that_make_no_sense_are_an_error_soon() {
    let own = |server: &Server| server.port();
    for says in
        ["229 (|||0|)", "229 (|||99999|)", "229 (|||-5|)", "229 ()", "229 here", "200 fine", "999 what"]
    {
        let classic = "227 (127,0,0,1,256,1)";
        let answers = vec![("EPSV", says), ("PASV", classic), ("PORT", "500 no")];
        let server = Server::start(Quirks { answers, ..Quirks::default() });
        let error = fails(says, || work(&impatient(config(&server))));
        // Of `-5` the digits are read, and nobody listens there.
        let kinds = [Kind::Protocol, Kind::Unsupported, Kind::Busy];
        assert!(kinds.contains(&error.kind()), "{says}: {error:?}");
    }
    // The port of the conversation itself: another greeting comes, and is no listing.
    let first = Server::start(Quirks::default());
    let looped = format!("229 (|||{}|)", own(&first));
    let answers = vec![
        ("EPSV", looped.leak() as &'static str),
        ("MLSD", "150 here\r\n226 done"),
        ("LIST", "150 here\r\n226 done"),
    ];
    let server = Server::start(Quirks { answers, ..Quirks::default() });
    let error = fails("a server as data", || work(&impatient(config(&server))));
    assert!(matches!(error.kind(), Kind::Timeout | Kind::Disconnected), "{error:?}");
}

#[test]
fn a_data_connection_that_is_never_answered_is_an_error_soon() {
    for (tls, active) in [(None, false), (Some(Tls::New), false), (None, true), (Some(Tls::New), true)] {
        for step in ["MLSD", "RETR", "STOR"] {
            let quirks = Quirks { tls, is_silent_at: Some(step), ..Quirks::default() };
            let server = Server::start(quirks);
            server.put("/old", b"x");
            let base = if tls.is_some() { trusting(&server) } else { config(&server) };
            let error = fails(step, || work(&impatient(FtpConfig { active, ..base })));
            assert_eq!((error.kind(), error.retry()), (Kind::Timeout, Retry::NewSession), "{step}: {error}");
        }
    }
}

/// What drips is not among it: README says so.
#[cfg(feature = "suppaftp")]
#[test]
fn the_other_engine_ends_soon_and_clearly_as_well() {
    std::thread::scope(|scope| {
        for step in STEPS {
            scope.spawn(move || {
                for mishap in [Mishap::Flood, Mishap::EndlessLine, Mishap::Nonsense] {
                    let (error, server) = suffers_with(Engine::Suppaftp, None, step, &mishap);
                    assert_ne!(error.kind(), Kind::Cancelled, "{step}: {error}");
                    assert!(server.poured() < BUFFERS, "{step}: {} bytes", server.poured());
                }
            });
        }
        for step in ["AUTH", "USER", "FEAT", "PROT", "MLSD", "RETR"] {
            scope.spawn(move || {
                for mishap in [Mishap::Flood, Mishap::Nonsense] {
                    suffers_with(Engine::Suppaftp, Some(Tls::New), step, &mishap);
                }
            });
        }
    });
}

#[cfg(feature = "suppaftp")]
#[test]
fn the_other_engine_is_not_held_up_by_greetings_handshakes_and_data() {
    let engine = Engine::Suppaftp;
    let greetings: [(&str, Act); 4] = [
        ("lines without end", |socket| pour(socket, &b"220-more\r\n".repeat(1000))),
        ("a line without end", |socket| pour(socket, &[b'2'; 65_536])),
        ("another protocol", |mut socket| drop((socket.write_all(b"SSH-2.0-OpenSSH_9\r\n"), hold(socket)))),
        ("silence", hold),
    ];
    for (what, act) in greetings {
        let config = FtpConfig { port: stranger(act), engine, ..FtpConfig::new("127.0.0.1", "/") };
        fails(what, || impatient(config).open().map(drop));
    }
    let handshakes: [(&str, Act); 4] = [
        ("nonsense without end", |socket| pour(socket, &[b'x'; 65_536])),
        ("a drip", |socket| drip(socket, b"\x16\x03\x03\x40\x00", 2)),
        ("the end", drop),
        ("silence", hold),
    ];
    for (what, act) in handshakes {
        let tls = Some(TlsConfig { implicit: true, ..TlsConfig::default() });
        let config = FtpConfig { port: stranger(act), tls, engine, ..FtpConfig::new("127.0.0.1", "/") };
        fails(what, || impatient(config).open().map(drop));
    }
    for quirks in [
        Quirks { listing_drips: true, ..Quirks::default() },
        Quirks { floods: true, ..Quirks::default() },
        Quirks { is_silent_at: Some("MLSD"), ..Quirks::default() },
        Quirks {
            answers: vec![("EPSV", "229 (|||0|)"), ("PASV", "227 (127,0,0,1,256,1)"), ("PORT", "500 no")],
            ..Quirks::default()
        },
        Quirks { answers: vec![("MLSD", "150 here"), ("LIST", "150 here")], ..Quirks::default() },
    ] {
        let server = Server::start(Quirks { greets_briefly: true, ..quirks });
        let target = impatient(FtpConfig { engine, ..config(&server) });
        fails("a listing", || target.open()?.list(&RelPath::root()).map(drop));
    }
}

#[test]
fn a_proxy_that_drips_is_given_up() {
    let drips: [(&str, Act); 2] = [
        ("http", |socket| drip(socket, b"HTTP/1.1 200 ok\r\nX: ", b'x')),
        ("socks5h", |socket| drip(socket, b"\x05\x00\x05\x00\x00\x03\xff", b'x')),
    ];
    for (scheme, act) in drips {
        let proxy = Some(Secret::new(format!("{scheme}://127.0.0.1:{}", stranger(act))));
        let ftp = impatient(FtpConfig { proxy: proxy.clone(), ..FtpConfig::new("ftp.example", "/") });
        let mut s3 = S3Config { proxy: proxy.clone(), anonymous: true, ..S3Config::new("bucket", "") };
        (s3.endpoint, s3.connect_timeout) = (Some("http://s3.example".to_owned()), PATIENCE);
        let s3 = S3Target::new(s3).unwrap();
        let mut ssh = SftpConfig { proxy: proxy.clone(), ..SftpConfig::new("ssh.example", "/") };
        ssh.connect_timeout = PATIENCE;
        let ssh = SftpTarget::new(ssh).unwrap();
        for target in [&ftp as &dyn Target, &s3, &ssh] {
            let error = fails(scheme, || target.open()?.list(&RelPath::root()).map(drop));
            assert_eq!(error.kind(), Kind::Timeout, "{error}");
            assert!(error.to_string().contains("the proxy"), "{error}");
        }
    }
}

#[test]
fn an_interrupt_ends_the_wait_for_a_proxy() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = listener.local_addr().unwrap().port();
    let mut config = SftpConfig::new("ssh.example", "/");
    config.proxy = Some(Secret::new(format!("socks5h://127.0.0.1:{proxy}")));
    let target = SftpTarget::new(config).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (mut socket, _) = listener.accept().unwrap();
            // It was asked, and says nothing.
            socket.read_exact(&mut [0; 3]).unwrap();
            target.interrupt();
            hold(socket);
        });
        let error = fails("a silent proxy", || target.open().map(drop));
        assert_eq!(error.kind(), Kind::Disconnected, "{error}");
    });
}

/// What a server of S3 begins to say, and never ends.
#[cfg(feature = "s3")]
#[test]
fn objects_of_s3_that_drip_are_given_up() {
    use ftpsync::target::s3::{S3Config, S3Target};
    const EMPTY: &str = "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>";
    let port = stranger(|mut socket| {
        let mut question = [0; 4096];
        let count = socket.read(&mut question).unwrap_or(0);
        if String::from_utf8_lossy(&question[..count]).contains("list-type") {
            let head =
                format!("HTTP/1.1 200 ok\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", EMPTY.len());
            drop(socket.write_all((head + EMPTY).as_bytes()));
        } else {
            drip(socket, b"HTTP/1.1 200 ok\r\netag: \"x\"\r\ncontent-length: 100000\r\n\r\n", b'x');
        }
    });
    let mut config = S3Config::new("test", "");
    config.keys = Some(("AKFAKE".to_owned(), Secret::new("hidden")));
    config.endpoint = Some(format!("http://127.0.0.1:{port}"));
    (config.timeout, config.connect_timeout) = (PATIENCE, PATIENCE);
    let mut session = S3Target::new(config).unwrap().open().unwrap();
    let error = fails("an object", || {
        session.read(&RelPath::parse("object").unwrap(), &mut |body| {
            Ok(std::io::copy(body, &mut std::io::sink()).map(drop)?)
        })
    });
    // It was asked for the rest, and sent all of it again.
    assert!(error.to_string().contains("whole objects only"), "{error}");
}

#[cfg(feature = "s3")]
#[test]
fn answers_of_s3_that_drip_are_given_up() {
    use ftpsync::target::s3::{S3Config, S3Target};
    let acts: [(&str, Act); 5] = [
        ("a head", |socket| drip(socket, b"HTTP/1.1 200 ok\r\nx: ", b'x')),
        ("a body", |socket| drip(socket, b"HTTP/1.1 200 ok\r\ncontent-length: 100000\r\n\r\n", b' ')),
        ("a body until the end", |socket| {
            drip(socket, b"HTTP/1.1 200 ok\r\nconnection: close\r\n\r\n", b' ')
        }),
        ("chunks", |socket| {
            drip(socket, b"HTTP/1.1 200 ok\r\ntransfer-encoding: chunked\r\n\r\nffff\r\n", b' ')
        }),
        ("a refusal", |socket| drip(socket, b"HTTP/1.1 403 no\r\ncontent-length: 100000\r\n\r\n", b' ')),
    ];
    let opens = |what: &str, change: &dyn Fn(&mut S3Config)| {
        let mut config = S3Config::new("test", "");
        config.keys = Some(("AKFAKE".to_owned(), Secret::new("hidden")));
        (config.timeout, config.connect_timeout) = (PATIENCE, PATIENCE);
        change(&mut config);
        let error = fails(what, || S3Target::new(config).and_then(|target| target.open()).map(drop));
        assert_eq!(error.kind(), Kind::Timeout, "{what}: {error}");
    };
    std::thread::scope(|scope| {
        for (what, act) in acts {
            let endpoint = format!("http://127.0.0.1:{}", stranger(act));
            scope.spawn(move || opens(what, &|config| config.endpoint = Some(endpoint.clone())));
        }
        let proxy = stranger(|socket| drip(socket, b"HTTP/1.1 200 ok\r\nx: ", b'x'));
        scope.spawn(move || {
            opens("a proxy", &|config| {
                config.endpoint = Some("http://s3.example".to_owned());
                config.proxy = Some(Secret::new(format!("http://127.0.0.1:{proxy}")));
            });
        });
    });
}
