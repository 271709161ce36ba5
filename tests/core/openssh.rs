//! SFTP against the real OpenSSH.

use super::contract::{assert_names, check, get, path, put};
use super::eventually::eventually;
use super::real_servers::RealServer;
use ftpsync::error::{Error, Kind, Result, Retry};
use ftpsync::model::{Name, RelPath, Stamp};
use ftpsync::target::ftp::Secret;
use ftpsync::target::local::Links;
use ftpsync::target::sftp::{HostKeys, SftpConfig, SftpTarget};
use ftpsync::target::{Expect, Put, Session, Target};
use russh::keys::PrivateKey;
use russh::keys::ssh_key::private::{KeypairData, SkEd25519};
use russh::keys::ssh_key::{LineEnding, public};
use std::ffi::OsStr;
use std::fs;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::ops::Deref;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A running OpenSSH.
struct OpenSsh {
    server: RealServer,
    secrets: PathBuf,
}

impl Deref for OpenSsh {
    type Target = RealServer;

    fn deref(&self) -> &RealServer {
        &self.server
    }
}

impl OpenSsh {
    fn start() -> Option<Self> {
        OpenSsh::start_kind("openssh")
    }

    fn start_kind(kind: &str) -> Option<Self> {
        let server = RealServer::start(kind)?;
        Some(OpenSsh { secrets: server.secrets(), server })
    }

    fn root(&self) -> &Path {
        self.folder.path()
    }

    /// A login with the ed25519 key of the user.
    fn config(&self) -> SftpConfig {
        let mut config = SftpConfig::new("127.0.0.1", self.root().to_str().unwrap());
        config.port = self.port;
        config.user = Some(self.user.clone());
        config.known_hosts = vec![self.secrets.join("known_hosts")];
        config.key_files = vec![self.secrets.join("user_ed25519")];
        config
    }

    fn target(&self) -> SftpTarget {
        SftpTarget::new(self.config()).unwrap()
    }

    fn open_with(&self, change: impl FnOnce(&mut SftpConfig)) -> Result<Box<dyn Session>> {
        let mut config = self.config();
        change(&mut config);
        SftpTarget::new(config).and_then(|target| target.open())
    }

    /// Gives a key a certificate, which alone opens the server from now on.
    fn certify(&self, name: &str) {
        let keygen = |words: &[&str]| {
            let done = Command::new("ssh-keygen").args(words).current_dir(&self.secrets).status().unwrap();
            assert!(done.success());
        };
        keygen(&["-q", "-t", "ed25519", "-N", "", "-f", "authority"]);
        let authority = fs::read_to_string(self.secrets.join("authority.pub")).unwrap();
        fs::write(self.secrets.join("authorized_keys"), format!("cert-authority {authority}")).unwrap();
        keygen(&["-q", "-s", "authority", "-I", "joe", "-n", &self.user, &format!("{name}.pub")]);
    }

    fn refusal(&self, change: impl FnOnce(&mut SftpConfig)) -> Error {
        let Err(error) = self.open_with(change) else { panic!("it opened") };
        error
    }
}

/// A running agent.
struct Agent<'a> {
    server: &'a OpenSsh,
    socket: PathBuf,
    process: Child,
}

impl<'a> Agent<'a> {
    fn start(server: &'a OpenSsh) -> Self {
        let socket = server.secrets.join("agent");
        let process =
            Command::new("ssh-agent").arg("-D").arg("-a").arg(&socket).stdout(Stdio::null()).spawn();
        let Ok(process) = process else { panic!("ssh-agent is not installed") };
        let agent = Agent { server, socket, process };
        assert!(eventually(|| agent.socket.exists()));
        agent
    }

    /// Gives it a key, and the certificate beside that.
    fn add(&self, name: &str) {
        let key = self.server.secrets.join(name);
        let added = Command::new("ssh-add").arg("-q").arg(key).env("SSH_AUTH_SOCK", &self.socket).status();
        assert!(added.unwrap().success());
    }
}

impl Drop for Agent<'_> {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

/// What a file tells of a key that only a security key has.
fn key_of_a_token() -> PrivateKey {
    let public = public::SkEd25519::new(public::Ed25519PublicKey([7; 32]), "ssh:");
    let private = SkEd25519::new(public, 1, vec![1; 64]).unwrap();
    PrivateKey::new(KeypairData::SkEd25519(private), "token").unwrap()
}

#[test]
fn openssh_keeps_the_contract() {
    let Some(server) = OpenSsh::start() else { return };
    let target = server.target();
    assert_eq!(target.round_trip(), None);
    check(&target);
    // Known, so that a far server gets more sessions.
    assert!(target.round_trip().is_some());
}

#[test]
fn keys_and_passwords_log_in() {
    let Some(server) = OpenSsh::start() else { return };
    let no_keys = |config: &mut SftpConfig| config.key_files.clear();
    for kind in ["ed25519", "ecdsa", "rsa"] {
        let session = server
            .open_with(|config| config.key_files = vec![server.secrets.join(format!("user_{kind}"))])
            .unwrap_or_else(|error| panic!("{kind}: {error}"));
        assert!(session.greeting().iter().any(|(_, line)| line.contains(&format!("user_{kind}"))));
        server
            .open_with(|config| {
                config.key_files = vec![server.secrets.join(format!("locked_{kind}"))];
                config.passphrase = Some(Secret::new("open sesame"));
            })
            .unwrap_or_else(|error| panic!("locked {kind}: {error}"));
    }
    server
        .open_with(|config| {
            no_keys(config);
            config.password = Some(Secret::new(server.password.clone()));
        })
        .unwrap();

    let wrong = server.refusal(|config| {
        no_keys(config);
        config.password = Some(Secret::new("geheim"));
    });
    assert_eq!(wrong.kind(), Kind::SshLogin);
    assert!(wrong.to_string().contains("the server refused password"), "{wrong}");
    assert!(!wrong.to_string().contains("geheim"), "{wrong}");
    let nothing = server.refusal(no_keys);
    assert_eq!(nothing.kind(), Kind::SshLogin);
    assert!(nothing.to_string().contains("there is nothing to log in with"), "{nothing}");
    assert!(nothing.to_string().contains("it takes publickey, password"), "{nothing}");
}

#[test]
fn a_server_that_is_old_is_spoken_with_as_ssh_does() {
    let Some(server) = OpenSsh::start_kind("openssh-aged") else { return };
    check(&server.target());
}

#[test]
fn a_server_that_is_too_old_is_spoken_with_where_the_configuration_allows_it() {
    let Some(server) = OpenSsh::start_kind("openssh-ancient") else { return };
    let file = server.secrets.join("config");
    let with = |settings: &str| {
        fs::write(&file, settings).unwrap();
        server.open_with(|config| {
            config.key_files = vec![server.secrets.join("user_rsa")];
            config.ssh_config = vec![file.clone()];
        })
    };
    let refusal = |settings: &str| {
        let Err(error) = with(settings) else { panic!("it opened") };
        error.to_string()
    };
    let mut settings = String::new();
    // Each answer names the setting that is wanted next.
    for wanted in ["KexAlgorithms +diffie-hellman-group14-sha1", "Ciphers +aes128-cbc"] {
        let error = refusal(&settings);
        assert!(error.contains("could not connect to") && error.contains("algorithm in common"), "{error}");
        assert!(error.ends_with(&format!("in ~/.ssh/config: {wanted}")), "{error}");
        settings.push_str(&format!("{wanted}\n"));
    }
    let error = refusal(&settings);
    assert!(error.contains("the server refused /") && error.contains("user_rsa"), "{error}");
    settings.push_str("PubkeyAcceptedAlgorithms ssh-rsa\n");
    put(with(&settings).unwrap().as_mut(), "file", b"x");
    assert_eq!(fs::read(server.root().join("file")).unwrap(), b"x");
}

#[test]
fn the_key_of_a_security_key_is_left_to_the_agent() {
    let Some(server) = OpenSsh::start() else { return };
    let key = server.secrets.join("token");
    let made = key_of_a_token();
    fs::write(&key, made.to_openssh(LineEnding::LF).unwrap()).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    let authorized = server.secrets.join("authorized_keys");
    let known = fs::read_to_string(&authorized).unwrap();
    fs::write(&authorized, format!("{known}{}\n", made.public_key().to_openssh().unwrap())).unwrap();
    // Other ways in stay open, and if there are none it is said why.
    let first = vec![key.clone(), server.secrets.join("user_ed25519")];
    server.open_with(|config| config.key_files = first).unwrap();
    let error = server.refusal(|config| config.key_files = vec![key]);
    assert_eq!(error.kind(), Kind::SshLogin, "{error}");
    assert!(error.to_string().contains("security key (FIDO)"), "{error}");
    assert!(error.to_string().contains("ssh-add"), "{error}");
}

#[test]
fn unusable_key_files_say_what_to_do() {
    let Some(server) = OpenSsh::start() else { return };
    let with = |name: &str| {
        let file = server.secrets.join(name);
        server.refusal(|config| config.key_files = vec![file])
    };
    let stranger = with("stranger");
    assert_eq!(stranger.kind(), Kind::SshLogin);
    assert!(stranger.to_string().contains("the server refused") && stranger.to_string().contains("stranger"));
    let missing = with("nothing");
    assert_eq!(missing.kind(), Kind::NotFound, "{missing}");
    assert!(missing.to_string().contains("there is no such file; check the path"), "{missing}");
    let locked = with("locked_ed25519");
    assert_eq!(locked.kind(), Kind::Passphrase, "{locked}");
    assert!(locked.to_string().contains("it is encrypted, and no passphrase is given"), "{locked}");
    let no_key = with("known_hosts");
    assert!(no_key.to_string().contains("others can read it"), "{no_key}");
    fs::write(server.secrets.join("text"), "no key\n").unwrap();
    fs::set_permissions(server.secrets.join("text"), fs::Permissions::from_mode(0o600)).unwrap();
    assert!(with("text").to_string().contains("no private key of a kind"), "{}", with("text"));
    fs::set_permissions(server.secrets.join("user_ed25519"), fs::Permissions::from_mode(0o644)).unwrap();
    let open = with("user_ed25519");
    assert_eq!(open.kind(), Kind::Denied);
    assert!(open.to_string().contains("mode 644") && open.to_string().contains("chmod 600 /"), "{open}");
}

#[test]
fn a_wrong_passphrase_is_told() {
    let Some(server) = OpenSsh::start() else { return };
    for kind in ["ed25519", "rsa"] {
        let error = server.refusal(|config| {
            config.key_files = vec![server.secrets.join(format!("locked_{kind}"))];
            config.passphrase = Some(Secret::new("close sesame"));
        });
        assert_eq!(error.kind(), Kind::Passphrase);
        assert!(error.to_string().contains("the passphrase does not open it"), "{error}");
        assert!(!error.to_string().contains("close sesame"));
    }
}

#[test]
fn a_certificate_beside_the_key_logs_in() {
    let Some(server) = OpenSsh::start() else { return };
    let keygen = |words: &[&str]| {
        let done = Command::new("ssh-keygen").args(words).current_dir(&server.secrets).status().unwrap();
        assert!(done.success());
    };
    keygen(&["-q", "-t", "ed25519", "-N", "", "-f", "authority"]);
    let authority = fs::read_to_string(server.secrets.join("authority.pub")).unwrap();
    fs::write(server.secrets.join("authorized_keys"), format!("cert-authority {authority}")).unwrap();
    let with_key = || server.open_with(|config| config.key_files = vec![server.secrets.join("stranger")]);

    let Err(without) = with_key() else { panic!("a stranger was let in") };
    assert_eq!(without.kind(), Kind::SshLogin, "{without}");
    keygen(&["-q", "-s", "authority", "-I", "joe", "-n", &server.user, "stranger.pub"]);
    let session = with_key().unwrap();
    let greeting = session.greeting();
    assert!(greeting.iter().any(|(_, line)| line.contains("certificate of the key file")), "{greeting:?}");

    keygen(&["-q", "-s", "authority", "-I", "joe", "-n", "somebody-else", "stranger.pub"]);
    let Err(refused) = with_key() else { panic!("the certificate of somebody else was taken") };
    assert!(refused.to_string().contains("stranger, the certificate of /"), "{refused}");
}

#[test]
fn an_agent_logs_in() {
    let Some(server) = OpenSsh::start() else { return };
    let agent = Agent::start(&server);
    let socket = agent.socket.clone();
    ["stranger", "user_rsa", "user_ecdsa"].iter().for_each(|name| agent.add(name));
    let with_agent = |config: &mut SftpConfig| {
        config.agent = Some(socket.clone());
        config.key_files.clear();
    };
    let by_agent = server.open_with(with_agent).map(|session| session.greeting().to_vec());
    let only = |name: &str| {
        let text = format!("IdentityFile {}\nIdentitiesOnly yes\n", server.secrets.join(name).display());
        fs::write(server.secrets.join("config"), text).unwrap();
        server.open_with(|config| {
            with_agent(config);
            config.ssh_config = vec![server.secrets.join("config")];
        })
    };
    let only_stranger = only("stranger");
    // The private key may be known to the agent alone.
    fs::rename(server.secrets.join("user_ecdsa"), server.secrets.join("elsewhere")).unwrap();
    only("user_ecdsa.pub").unwrap();
    drop(agent);
    let greeting = by_agent.unwrap();
    assert!(greeting.iter().any(|(_, line)| line.contains("key of the agent, user_")), "{greeting:?}");
    let Err(error) = only_stranger else { panic!("IdentitiesOnly was ignored") };
    assert!(error.to_string().contains("agent (1 key)"), "{error}");
    let Err(error) = only("stranger.pub") else { panic!("there is no agent") };
    assert!(error.to_string().contains("stranger.pub (it holds only the public key"), "{error}");
    // One that does not answer is in nobody's way.
    server.open_with(|config| config.agent = Some(socket.clone())).unwrap();
}

#[test]
fn an_agent_with_more_keys_than_the_server_looks_at_does_not_keep_the_password_out() {
    let Some(server) = OpenSsh::start_kind("openssh-strict") else { return };
    let agent = Agent::start(&server);
    ["stranger", "host_rsa", "host_ecdsa"].iter().for_each(|name| agent.add(name));
    let with = |password: Option<&str>| {
        server.open_with(|config| {
            config.agent = Some(agent.socket.clone());
            config.key_files.clear();
            config.password = password.map(Secret::new);
        })
    };
    let session = with(Some(&server.password)).unwrap();
    assert!(
        session.greeting().iter().any(|(_, line)| line.contains("(password)")),
        "{:?}",
        session.greeting()
    );
    let Err(wrong) = with(Some("geheim")) else { panic!("it opened") };
    assert_eq!(wrong.kind(), Kind::SshLogin, "{wrong}");
    assert!(wrong.to_string().contains("the server refused password"), "{wrong}");
    let Err(without) = with(None) else { panic!("it opened") };
    assert!(without.to_string().contains("Too many authentication failures"), "{without}");
    assert!(without.to_string().contains("IdentitiesOnly yes"), "{without}");
    // As ssh does it, keys can be left out from the start.
    let file = server.secrets.join("config");
    fs::write(&file, "PubkeyAuthentication no\n").unwrap();
    let nothing = server.refusal(|config| {
        config.agent = Some(agent.socket.clone());
        config.key_files.clear();
        config.ssh_config = vec![file];
    });
    assert!(nothing.to_string().contains("there is nothing to log in with"), "{nothing}");
}

#[test]
fn a_certificate_of_the_agent_logs_in() {
    let Some(server) = OpenSsh::start() else { return };
    server.certify("stranger");
    let agent = Agent::start(&server);
    agent.add("stranger");
    let session = server.open_with(|config| {
        config.agent = Some(agent.socket.clone());
        config.key_files.clear();
    });
    let greeting = session.unwrap().greeting().to_vec();
    assert!(greeting.iter().any(|(_, line)| line.contains("certificate of the agent")), "{greeting:?}");
}

#[test]
fn a_key_file_of_somebody_else_may_be_open_to_a_group() {
    let Some(server) = OpenSsh::start() else { return };
    let key = server.secrets.join("user_ed25519");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o440)).unwrap();
    assert!(server.refusal(|_| {}).to_string().contains("mode 440"));
    // Only root can give files away.
    if std::os::unix::fs::chown(&key, Some(12345), None).is_ok() {
        server.open_with(|_| {}).unwrap();
    }
}

#[test]
fn the_key_of_the_host_is_checked() {
    let Some(server) = OpenSsh::start() else { return };
    let known = server.secrets.join("known_hosts");
    let mine = server.secrets.join("my_hosts");
    let with = |text: &str, host_keys: HostKeys| {
        fs::write(&mine, text).unwrap();
        server.open_with(|config| {
            config.known_hosts = vec![mine.clone()];
            config.host_keys = host_keys;
        })
    };
    let all = fs::read_to_string(&known).unwrap();
    for line in all.lines() {
        // Whichever kind is known is asked for.
        with(line, HostKeys::Known).unwrap_or_else(|error| panic!("{line}: {error}"));
    }
    let refused = |result: Result<Box<dyn Session>>| {
        let Err(error) = result else { panic!("accepted") };
        assert_eq!(error.kind(), Kind::Ssh, "{error}");
        error.to_string()
    };
    let unknown = refused(with("", HostKeys::Known));
    assert!(unknown.contains("is not known: ssh-ed25519 SHA256:"), "{unknown}");
    assert!(
        unknown.contains("--accept-new-host-key") && unknown.contains("--no-verify-host-keys"),
        "{unknown}"
    );

    let stranger = fs::read_to_string(server.secrets.join("stranger.pub")).unwrap();
    let without = refused(with(&format!("@cert-authority * {stranger}"), HostKeys::Known));
    assert!(without.contains("is not known"), "{without}");
    let changed = format!("# one line before\n[127.0.0.1]:{} {stranger}", server.port);
    for host_keys in [HostKeys::Known, HostKeys::AcceptNew] {
        let changed = refused(with(&changed, host_keys));
        assert!(changed.contains("has changed") && changed.contains("my_hosts, line 2"), "{changed}");
    }
    with(&changed, HostKeys::Unchecked).unwrap();
    let revoked = format!("{all}@revoked * {}", all.split_once(' ').unwrap().1.lines().next().unwrap());
    assert!(refused(with(&revoked, HostKeys::AcceptNew)).contains("is revoked in"));

    with("", HostKeys::AcceptNew).unwrap();
    let learned = fs::read_to_string(&mine).unwrap();
    assert_eq!(learned.lines().count(), 1);
    assert!(all.contains(learned.trim().rsplit_once(' ').unwrap().1), "{learned}");
    with(&learned, HostKeys::Known).unwrap();
}

#[test]
fn a_key_of_the_host_that_the_configuration_calls_revoked_is_refused() {
    let Some(server) = OpenSsh::start() else { return };
    let (config, list) = (server.secrets.join("config"), server.secrets.join("revoked"));
    fs::write(&config, format!("RevokedHostKeys {}\n", list.display())).unwrap();
    let known = fs::read_to_string(server.secrets.join("known_hosts")).unwrap();
    let keys = known.lines().filter_map(|line| line.split_once(' ')).map(|(_, key)| format!("{key}\n"));
    fs::write(&list, keys.collect::<String>()).unwrap();
    let error = server.refusal(|ours| ours.ssh_config = vec![config.clone()]);
    assert_eq!(error.kind(), Kind::Ssh);
    assert!(error.to_string().contains(&format!("is revoked in {}", list.display())), "{error}");
}

#[test]
fn a_certificate_of_the_host_is_as_good_as_its_key() {
    let Some(server) = OpenSsh::start_kind("openssh-certified") else { return };
    let public = |name: &str| fs::read_to_string(server.secrets.join(name)).unwrap();
    let known = server.secrets.join("my_hosts");
    let with_all = |text: String, host_keys: HostKeys| {
        fs::write(&known, text).unwrap();
        server.open_with(|config| {
            config.known_hosts = vec![known.clone()];
            config.host_keys = host_keys;
        })
    };
    let with = |text: String| with_all(text, HostKeys::Known);
    let (authority, stranger) = (public("authority.pub"), public("stranger.pub"));
    for hosts in ["*".to_owned(), "127.0.0.1".to_owned(), format!("[127.0.0.1]:{}", server.port)] {
        let session = with(format!("@cert-authority {hosts} {authority}")).unwrap();
        let greeting = session.greeting();
        assert!(greeting.iter().any(|(_, line)| line.contains("by its certificate")), "{greeting:?}");
    }
    let refused = |text: String, why: &str| {
        let Err(error) = with(text) else { panic!("accepted, although {why}") };
        assert!(error.kind() == Kind::Ssh && error.to_string().contains(why), "{error}");
    };
    refused(format!("@cert-authority * {stranger}"), "another authority has signed it");
    refused(format!("@cert-authority other.example.com {authority}"), "is not known");
    refused(format!("@cert-authority * {authority}@revoked * {authority}"), "it is revoked in");
    // What is revoked is no new host, and no known one either; a line without the port counts.
    let revoked = format!("@cert-authority 127.0.0.1 {authority}@revoked 127.0.0.1 {authority}");
    for text in [revoked.clone(), format!("{revoked}{}", public("known_hosts"))] {
        let Err(error) = with_all(text.clone(), HostKeys::AcceptNew) else { panic!("accepted: {text}") };
        assert!(error.to_string().contains("it is revoked in"), "{error}");
        with_all(text, HostKeys::Unchecked).unwrap();
    }
    // Without a good certificate the key itself counts.
    with(format!("@cert-authority * {stranger}{}", public("known_hosts"))).unwrap();
}

#[test]
fn the_command_of_the_ssh_configuration_makes_the_connection() {
    let Some(server) = OpenSsh::start() else { return };
    let relay = "import os, socket, sys, threading\n\
        s = socket.create_connection((sys.argv[1], int(sys.argv[2])))\n\
        def up():\n    while data := os.read(0, 65536): s.sendall(data)\n\
        threading.Thread(target=up, daemon=True).start()\n\
        while data := s.recv(65536): os.write(1, data)\n";
    let script = server.secrets.join("relay.py");
    fs::write(&script, relay).unwrap();
    let file = server.secrets.join("config");
    let with = |command: &str| {
        let text = format!(
            "Host behind\n  HostName 127.0.0.1\n  Port {}\n  ProxyCommand {command}\n  UserKnownHostsFile {}\n",
            server.port,
            server.secrets.join("known_hosts").display(),
        );
        fs::write(&file, text).unwrap();
        let mut config = SftpConfig { host: "behind".to_owned(), ..server.config() };
        (config.port, config.known_hosts) = (0, Vec::new());
        config.ssh_config = vec![file.clone()];
        SftpTarget::new(config).and_then(|target| target.open())
    };
    let mut session = with(&format!("python3 {} %h %p", script.display())).unwrap();
    put(session.as_mut(), "through", b"a program");
    assert_eq!(fs::read(server.root().join("through")).unwrap(), b"a program");
    session.close();
    let is_running = || {
        let processes = fs::read_dir("/proc").unwrap().flatten();
        let mut commands = processes.filter_map(|process| fs::read(process.path().join("cmdline")).ok());
        commands.any(|command| String::from_utf8_lossy(&command).contains(&*script.to_string_lossy()))
    };
    assert!(eventually(|| !is_running()));

    let Err(error) = with("no-such-program --password secret") else { panic!("it opened") };
    let text = error.to_string();
    assert!(text.contains("ProxyCommand \"no-such-program\"") && !text.contains("secret"), "{text}");
}

#[test]
fn a_certificate_that_the_configuration_names_logs_in() {
    let Some(server) = OpenSsh::start() else { return };
    server.certify("stranger");
    fs::rename(server.secrets.join("stranger-cert.pub"), server.secrets.join("elsewhere")).unwrap();
    let folder = server.secrets.display();
    let with = |more: &str| {
        fs::write(server.secrets.join("config"), format!("IdentityFile {folder}/stranger\n{more}")).unwrap();
        server.open_with(|config| {
            config.key_files.clear();
            config.ssh_config = vec![server.secrets.join("config")];
        })
    };
    assert!(with("").is_err());
    with(&format!("CertificateFile {folder}/elsewhere\n")).unwrap();
}

#[test]
fn the_ssh_configuration_is_followed_through_a_jump_host() {
    let Some(server) = OpenSsh::start() else { return };
    let Some(jump) = OpenSsh::start() else { return };
    let known =
        [&server, &jump].map(|server| fs::read_to_string(server.secrets.join("known_hosts")).unwrap());
    let folder = server.secrets.display();
    fs::write(server.secrets.join("both_hosts"), known.concat()).unwrap();
    let text = format!(
        "Host aliased\n  HostName 127.0.0.1\n  Port {}\n  User {}\n  IdentityFile {folder}/user_ecdsa\n  ProxyJump jump\n\
         Host jump\n  HostName 127.0.0.1\n  Port {}\n  User {}\n  IdentityFile {}/user_ed25519\n\
         Host *\n  UserKnownHostsFile {folder}/both_hosts\n",
        server.port,
        server.user,
        jump.port,
        jump.user,
        jump.secrets.display(),
    );
    fs::write(server.secrets.join("config"), text).unwrap();
    let mut config = SftpConfig::new("aliased", server.root().to_str().unwrap());
    config.ssh_config = vec![server.secrets.join("config")];
    let target = SftpTarget::new(config).unwrap();
    assert!(target.id().starts_with(&format!("sftp://tester@aliased:{}/", server.port)), "{}", target.id());
    let mut session = target.open().unwrap();
    put(session.as_mut(), "through", b"the jump host");
    assert_eq!(fs::read(server.root().join("through")).unwrap(), b"the jump host");
    session.close();
    let log = fs::read_to_string(jump.secrets.join("server.log")).unwrap();
    assert!(log.contains("Accepted publickey"), "{log}");
}

#[test]
fn a_missing_root_is_told_or_made() {
    let Some(server) = OpenSsh::start() else { return };
    let below = server.root().join("a/b c");
    let error = server.refusal(|config| config.root = below.to_str().unwrap().into());
    assert_eq!(error.kind(), Kind::NotFound);
    assert!(error.to_string().contains("--create-folder"), "{error}");
    let home = fs::canonicalize(server.root()).unwrap();
    assert!(error.to_string().contains(&format!(", and the login leads to {}; ", home.display())), "{error}");
    let mut session = server
        .open_with(|config| {
            config.root = below.to_str().unwrap().into();
            config.create_root = true;
        })
        .unwrap();
    put(session.as_mut(), "x", b"1");
    assert!(below.join("x").exists());
    let file = server.refusal(|config| config.root = below.join("x").to_str().unwrap().into());
    assert!(file.to_string().contains("it is a file"), "{file}");
}

#[test]
fn names_are_bytes() {
    let Some(server) = OpenSsh::start() else { return };
    let mut session = server.target().open().unwrap();
    let names: [&[u8]; 9] = [
        b" leading and trailing ",
        b"new\nline\r",
        b"latin-\xe4\xff",
        "ü".as_bytes(),
        "u\u{308}".as_bytes(),
        b"back\\slash",
        b"\x1b[31mred",
        b"'\"$HOME`x`",
        &[b'n'; 255],
    ];
    for name in names {
        // As a local folder tells it, and as the text alone tells it.
        let path = RelPath::root().join(&Name::from_utf8_bytes(name).unwrap().without_raw());
        session.write(&path, &mut &b"content"[..], &Put::default()).unwrap();
        assert_eq!(fs::read(server.root().join(OsStr::from_bytes(name))).unwrap(), b"content");
    }
    let listing = session.list(&RelPath::root()).unwrap();
    assert_eq!(listing.entries.len(), names.len());
    for entry in listing.entries {
        let path = RelPath::root().join(&entry.name);
        assert!(names.iter().any(|name| *name == &*path.utf8_bytes()), "{entry:?}");
        session.remove_file(&path).unwrap();
    }
    assert_names(session.as_mut(), "", &[]);
}

#[test]
fn another_encoding_is_kept_to() {
    let Some(server) = OpenSsh::start() else { return };
    let mut session = server.open_with(|config| config.encoding = Some("cp1252".into())).unwrap();
    put(session.as_mut(), "gr\u{fc}n", b"1");
    assert!(server.root().join(OsStr::from_bytes(b"gr\xfcn")).exists());
    assert_names(session.as_mut(), "", &["grün"]);
    let error = session.write(&path("日本"), &mut &b""[..], &Put::default()).unwrap_err();
    assert_eq!(error.kind(), Kind::Name, "{error}");
}

#[test]
fn links_are_followed_inside_the_root_and_never_removed_through() {
    let Some(server) = OpenSsh::start() else { return };
    let root = server.root();
    let outside = tempfile::tempdir().unwrap();
    fs::create_dir_all(root.join("folder/deep")).unwrap();
    fs::write(root.join("folder/file"), b"1234").unwrap();
    fs::write(outside.path().join("secret"), b"x").unwrap();
    for (link, to) in [
        ("to_file", Path::new("folder/file")),
        ("to_folder", Path::new("folder")),
        ("nowhere", Path::new("missing")),
        ("out", outside.path()),
        ("folder/deep/loop", Path::new("../..")),
    ] {
        symlink(to, root.join(link)).unwrap();
    }
    let mut session = server.target().open().unwrap();
    assert_names(session.as_mut(), "", &["folder", "to_file", "to_folder"]);
    assert_names(session.as_mut(), "folder/deep", &[]);
    assert_names(session.as_mut(), "to_folder/deep", &[]);
    let listing = session.list(&RelPath::root()).unwrap();
    let linked = listing.entries.iter().find(|entry| entry.name.as_str() == "to_file").unwrap();
    assert!(linked.is_link && linked.size == Some(4));
    let skipped: Vec<&str> = listing.present_but_skipped.iter().map(Name::as_str).collect();
    assert!(skipped.contains(&"nowhere") && skipped.contains(&"out"), "{skipped:?}");

    let error = session.remove_file(&path("to_folder/file")).unwrap_err();
    assert!(error.to_string().contains("reached through the link to_folder"), "{error}");
    session.remove_dir(&path("to_folder")).unwrap();
    session.remove_file(&path("to_file")).unwrap();
    assert_eq!(get(session.as_mut(), "folder/file").unwrap(), b"1234");

    let mut follow = server.open_with(|config| config.links = Links::Follow).unwrap();
    assert_names(follow.as_mut(), "out", &["secret"]);
    let mut skip = server.open_with(|config| config.links = Links::Skip).unwrap();
    assert_names(skip.as_mut(), "", &["folder"]);
}

#[test]
fn a_replaced_file_keeps_its_permissions() {
    let Some(server) = OpenSsh::start() else { return };
    let mode = |name: &str| fs::metadata(server.root().join(name)).unwrap().permissions().mode() & 0o7777;
    let mut session = server.target().open().unwrap();
    put(session.as_mut(), "script", b"old");
    assert_eq!(mode("script"), 0o644);
    fs::set_permissions(server.root().join("script"), fs::Permissions::from_mode(0o750)).unwrap();
    put(session.as_mut(), "script", b"new");
    assert_eq!(mode("script"), 0o750);
}

#[test]
fn what_somebody_has_changed_meanwhile_is_not_replaced() {
    let Some(server) = OpenSsh::start() else { return };
    let mut session = server.target().open().unwrap();
    put(session.as_mut(), "file", b"as listed");
    let listed = session.list(&RelPath::root()).unwrap().entries.remove(0);
    let expected = Put { expect: Expect::File(listed.size, listed.mtime), ..Put::default() };
    for (wanted, is_behind) in
        [(expected, false), (expected, true), (Put { expect: Expect::Absent, ..Put::default() }, false)]
    {
        fs::write(server.root().join("file"), b"of somebody else").unwrap();
        let outcome = if is_behind {
            session.write_behind(&path("file"), &mut &b"ours"[..], &wanted).unwrap();
            session.settled(true).unwrap().remove(0).1
        } else {
            session.write(&path("file"), &mut &b"ours"[..], &wanted)
        };
        assert_eq!(outcome.unwrap_err().kind(), Kind::Changed);
        assert_eq!(fs::read(server.root().join("file")).unwrap(), b"of somebody else");
    }
    assert_names(session.as_mut(), "", &["file"]);
}

#[test]
fn files_written_behind_fail_one_by_one() {
    let Some(server) = OpenSsh::start() else { return };
    let mut session = server.target().open().unwrap();
    fs::create_dir(server.root().join("taken")).unwrap();
    let at = Some(Stamp::new(1_600_000_000, 0));
    let mut settled = Vec::new();
    for number in 0..200 {
        let name = match number {
            50 => "taken".to_owned(),
            100 => "missing/folder".to_owned(),
            number => format!("{number}"),
        };
        let put = Put { mtime: at, ..Put::default() };
        let now = session.write_behind(&path(&name), &mut name.as_bytes(), &put).unwrap();
        assert!(now.is_none());
        settled.extend(session.settled(false).unwrap());
    }
    settled.extend(session.settled(true).unwrap());
    assert!(session.unsettled().is_empty());
    assert_eq!(settled.len(), 200);
    for (file, outcome) in settled {
        match file.as_str() {
            "taken" => assert_eq!(outcome.unwrap_err().kind(), Kind::Clash),
            "missing/folder" => assert_eq!(outcome.unwrap_err().kind(), Kind::NotFound),
            name => {
                assert!(outcome.unwrap().mtime_kept);
                assert_eq!(fs::read(server.root().join(name)).unwrap(), name.as_bytes());
            }
        }
    }
    assert_eq!(session.list(&RelPath::root()).unwrap().entries.len(), 199, "no temporary file is left");
}

#[test]
fn times_that_sftp_cannot_hold_are_said_not_to_be_kept() {
    let Some(server) = OpenSsh::start() else { return };
    let mut session = server.target().open().unwrap();
    // The server cuts times: one of 2106 would be one of 1969.
    for (seconds, is_kept) in [(-1, false), (0, true), (2_147_483_647, true), (4_294_967_295, false)] {
        let put = Put { mtime: Some(Stamp::new(seconds, 500)), ..Put::default() };
        let written = session.write(&path("old"), &mut &b"x"[..], &put).unwrap();
        assert_eq!(written.mtime_kept, is_kept, "{seconds}");
        assert_eq!(written.dated.is_some(), !is_kept);
    }
}

#[test]
fn an_interrupt_ends_a_transfer_soon() {
    let Some(server) = OpenSsh::start() else { return };
    let target = server.target();
    let mut session = target.open().unwrap();
    let begun = Instant::now();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(300));
            target.interrupt();
        });
        let written = session.write(&path("endless"), &mut std::io::repeat(7), &Put::default());
        assert!(written.is_err());
    });
    assert!(begun.elapsed() < Duration::from_secs(15));
    assert!(!session.is_alive());
    drop(session);
    let mut again = target.open().unwrap();
    let listing = again.list(&RelPath::root()).unwrap();
    assert!(listing.entries.iter().all(|entry| entry.name.as_str() != "endless"));
}

#[test]
fn a_lost_connection_is_an_error_that_a_new_session_cures() {
    let Some(server) = OpenSsh::start() else { return };
    let relay = Relay::start(server.port);
    let mut config = server.config();
    config.port = relay.port;
    config.host_keys = HostKeys::Unchecked;
    config.timeout = Duration::from_secs(5);
    let target = SftpTarget::new(config).unwrap();
    let mut session = target.open().unwrap();
    put(session.as_mut(), "old", b"old");
    let mut body = CutAfter { relay: &relay, count: 0 };
    let error = session.write(&path("old"), &mut body, &Put::default()).unwrap_err();
    assert_eq!(error.retry(), Retry::NewSession, "{error}");
    assert!(error.to_string().starts_with("could not write \"old\": "), "{error}");
    assert!(eventually(|| !session.is_alive()));
    let mut again = target.open().unwrap();
    assert_eq!(get(again.as_mut(), "old").unwrap(), b"old");
    let error = session.list(&RelPath::root()).unwrap_err();
    assert_eq!(error.retry(), Retry::NewSession, "{error}");
}

#[test]
fn an_upload_that_waits_for_the_server_notices_that_the_connection_is_gone() {
    let Some(server) = OpenSsh::start() else { return };
    let relay = Relay::start(server.port);
    let mut config = server.config();
    config.port = relay.port;
    config.host_keys = HostKeys::Unchecked;
    let mut session = SftpTarget::new(config).unwrap().open().unwrap();
    // Nothing gets through any more, so that the window of the channel fills up.
    relay.mute();
    let begun = Instant::now();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(500));
            relay.cut();
        });
        let error = session.write(&path("file"), &mut io::repeat(7), &Put::default()).unwrap_err();
        assert_eq!(error.retry(), Retry::NewSession, "{error}");
    });
    assert!(begun.elapsed() < Duration::from_secs(15));
}

#[test]
fn a_server_that_falls_silent_is_given_up() {
    let Some(server) = OpenSsh::start() else { return };
    let relay = Relay::start(server.port);
    let mut config = server.config();
    config.port = relay.port;
    config.host_keys = HostKeys::Unchecked;
    config.timeout = Duration::from_secs(1);
    let mut session = SftpTarget::new(config).unwrap().open().unwrap();
    relay.mute();
    let begun = Instant::now();
    let error = session.list(&RelPath::root()).unwrap_err();
    assert!(matches!(error.kind(), Kind::Timeout | Kind::Disconnected), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(15));
}

/// Passes bytes on, until it is told to cut or to hold all connections.
struct Relay {
    port: u16,
    sockets: Arc<Mutex<Vec<TcpStream>>>,
    is_mute: Arc<AtomicBool>,
}

impl Relay {
    fn start(to: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let sockets: Arc<Mutex<Vec<TcpStream>>> = Arc::default();
        let is_mute = Arc::new(AtomicBool::new(false));
        let (all, mute) = (Arc::clone(&sockets), Arc::clone(&is_mute));
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let (Ok(client), Ok(server)) = (client, TcpStream::connect(("127.0.0.1", to))) else {
                    return;
                };
                for (mut from, mut to) in [
                    (client.try_clone().unwrap(), server.try_clone().unwrap()),
                    (server.try_clone().unwrap(), client.try_clone().unwrap()),
                ] {
                    let mute = Arc::clone(&mute);
                    std::thread::spawn(move || {
                        let mut buffer = [0; 16 * 1024];
                        while let Ok(count @ 1..) = from.read(&mut buffer) {
                            if mute.load(Ordering::SeqCst) {
                                continue;
                            }
                            if to.write_all(&buffer[..count]).is_err() {
                                break;
                            }
                        }
                        let _ = to.shutdown(Shutdown::Both);
                    });
                }
                all.lock().unwrap().extend([client, server]);
            }
        });
        Relay { port, sockets, is_mute }
    }

    fn cut(&self) {
        for socket in self.sockets.lock().unwrap().drain(..) {
            let _ = socket.shutdown(Shutdown::Both);
        }
    }

    fn mute(&self) {
        self.is_mute.store(true, Ordering::SeqCst);
    }
}

/// A body that never ends, and in whose middle the connection is cut.
struct CutAfter<'a> {
    relay: &'a Relay,
    count: usize,
}

impl Read for CutAfter<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.count += buffer.len();
        if self.count > 1 << 20 {
            self.relay.cut();
        }
        buffer.fill(b'n');
        Ok(buffer.len())
    }
}
