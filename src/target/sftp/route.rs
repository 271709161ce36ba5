//! Where a connection goes: what the user said, completed by the configuration of ssh.

use super::algorithms::Algorithms;
use super::config::{HostKeys, SftpConfig};
use super::ssh_config::{self, About, Settings, Strictness, expand_home};
use crate::error::{Error, Kind, Result};
use crate::target::ftp::Secret;
use crate::target::ftp::proxy::Proxy;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// How often the way to a jump host may begin with another one.
const MAX_DEPTH: usize = 16;

/// Key files that are tried when none is named, as ssh does.
const DEFAULT_KEYS: [&str; 3] = [".ssh/id_ed25519", ".ssh/id_ecdsa", ".ssh/id_rsa"];

/// One host on the way, the last one being the server.
#[derive(Clone)]
pub struct Hop {
    /// Name or address, without brackets.
    pub host: String,
    pub port: u16,
    pub user: String,
    pub password: Option<Secret>,
    pub passphrase: Option<Secret>,
    /// The host as the files of known hosts call it.
    pub known_as: String,
    pub known_port: u16,
    pub known_hosts: Vec<PathBuf>,
    /// Where the key of a new host is written down, if anywhere, and whether the host is named by a hash there.
    pub learns_in: Option<PathBuf>,
    pub hashes_names: bool,
    pub host_keys: HostKeys,
    /// The configuration trusts whatever key the host has. That goes too far here.
    pub is_careless: bool,
    /// Settings of the configuration about keys of hosts that are not followed here.
    pub unheeded: Vec<&'static str>,
    /// A file of keys that no host may have any more.
    pub revoked: Option<PathBuf>,
    pub keys: Vec<KeyFile>,
    /// Certificates of such keys.
    pub certificates: Vec<PathBuf>,
    /// A command of the shell whose input and output are the connection.
    pub command: Option<String>,
    /// A proxy through which it is reached from here.
    pub proxy: Option<Proxy>,
    /// The host as the user or the configuration calls it.
    pub given: String,
    /// What the user is to be told of this way, with the verbosity from which it is shown.
    pub news: Vec<(u8, String)>,
    /// Only keys of the agent that are also among `keys`.
    pub identities_only: bool,
    pub agent: Option<PathBuf>,
    pub algorithms: Algorithms,
}

/// A file with a private key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyFile {
    pub path: PathBuf,
    /// The user has named it for this connection: it must be usable.
    pub is_wanted: bool,
    /// It is one of the usual ones, which may be missing without a word.
    pub is_usual: bool,
}

impl Hop {
    /// The names by which somebody may know that it needs no proxy.
    pub fn names(&self) -> (&str, &str) {
        (&self.given, &self.host)
    }

    /// `host:port`, for messages.
    pub fn address(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// The same without keys, if there are any beside a password.
    pub fn with_password_alone(&self) -> Option<Self> {
        let has_keys = self.agent.is_some() || !self.keys.is_empty();
        (has_keys && self.password.is_some()).then(|| Hop { agent: None, keys: Vec::new(), ..self.clone() })
    }
}

/// Every host on the way to the server, which comes last.
///
/// # Errors
/// [`Kind::Usage`] for a configuration that cannot be followed.
pub fn hops(config: &SftpConfig) -> Result<Vec<Hop>> {
    let host = config.host.trim_start_matches('[').trim_end_matches(']');
    let mut hops = way_to(config, host, config.port, config.user.as_deref(), 0)?;
    let wanted = config.key_files.iter().map(|path| KeyFile {
        path: expand_home(&path.to_string_lossy(), config.home.as_deref()),
        is_wanted: true,
        is_usual: false,
    });
    let proxy = config.proxy.as_ref().map(|url| Proxy::parse(url.reveal())).transpose()?;
    if let Some(first) = hops.first_mut()
        && proxy.is_some()
    {
        // What is said beside the configuration wins, as it does with ssh.
        if first.command.take().is_some() {
            first.news.push((
                3,
                "The ProxyCommand of the ssh configuration is not used: --proxy names another way.".into(),
            ));
        }
        first.proxy = proxy;
    }
    if let Some(last) = hops.last_mut() {
        last.password.clone_from(&config.password);
        last.keys.splice(..0, wanted);
    }
    Ok(hops)
}

/// A host, behind those that its configuration says to go through.
fn way_to(config: &SftpConfig, host: &str, port: u16, user: Option<&str>, depth: usize) -> Result<Vec<Hop>> {
    let settings = ssh_config::read(&config.ssh_config, about(config, host, user))?;
    let mut hops: Vec<Hop> = Vec::new();
    for jump in jumps(&settings, host)? {
        if depth == MAX_DEPTH {
            return Err(Error::new(
                Kind::Usage,
                format!("ProxyJump leads on and on, at last to {:?}", jump.host),
            ));
        }
        if hops.is_empty() {
            // Only the first host is reached from here, on a way of its own.
            hops = way_to(config, jump.host, jump.port, jump.user, depth + 1)?;
        } else {
            let settings = ssh_config::read(&config.ssh_config, about(config, jump.host, jump.user))?;
            hops.push(hop(config, &settings, jump.host, jump.port, jump.user));
        }
    }
    let mut last = hop(config, &settings, host, port, user);
    last.command = proxy_command(&settings, host, &last)?;
    hops.push(last);
    Ok(hops)
}

fn about<'a>(config: &'a SftpConfig, host: &'a str, user: Option<&'a str>) -> About<'a> {
    let accounts = Some(Path::new("/etc"));
    About { host, user, login_name: &config.login_name, home: config.home.as_deref(), accounts }
}

/// The hosts to go through. One of them may be the host itself, which then is reached directly: the configuration names it for
/// all hosts.
fn jumps<'a>(settings: &'a Settings, host: &str) -> Result<Vec<Jump<'a>>> {
    let named = settings.proxy_jump.as_deref().filter(|jumps| !jumps.eq_ignore_ascii_case("none"));
    let jumps: Result<Vec<Jump<'a>>> = named.iter().flat_map(|jumps| jumps.split(',')).map(jump).collect();
    Ok(jumps?.into_iter().take_while(|jump| jump.host != host).collect())
}

/// The command that makes the connection, its tokens replaced.
fn proxy_command(settings: &Settings, given: &str, hop: &Hop) -> Result<Option<String>> {
    let Some(command) =
        settings.proxy_command.as_deref().filter(|command| !command.eq_ignore_ascii_case("none"))
    else {
        return Ok(None);
    };
    // A shell reads the command: names from a URL must not be more than names to it.
    if let Some(odd) = [given, &hop.host, &hop.user].into_iter().find(|name| !is_plain(name)) {
        let why = format!("{odd:?} cannot be used with the ProxyCommand of the ssh configuration");
        return Err(Error::new(Kind::Usage, why).advise("such characters mean something to a shell"));
    }
    let port = hop.port.to_string();
    let value = |token| match token {
        'h' => Some(hop.host.as_str()),
        'n' => Some(given),
        'p' => Some(port.as_str()),
        'r' => Some(hop.user.as_str()),
        '%' => Some("%"),
        _ => None,
    };
    Ok(Some(expand_tokens(command, value)))
}

/// Whether a name is nothing but a name, whatever reads it.
fn is_plain(name: &str) -> bool {
    let is_odd =
        |char: char| char.is_whitespace() || char.is_control() || "'`\"$\\;&<>|(){}*?[]!~#".contains(char);
    !name.starts_with('-') && !name.contains(is_odd)
}

fn hop(config: &SftpConfig, settings: &Settings, given: &str, port: u16, user: Option<&str>) -> Hop {
    let port = if port == 0 { settings.port.unwrap_or(22) } else { port };
    let user = user.or(settings.user.as_deref()).unwrap_or(&config.login_name).to_owned();
    let host = settings.host_name.as_deref().unwrap_or("%h").replace("%h", given);
    let home = config.home.as_deref().map(|home| home.to_string_lossy().into_owned()).unwrap_or_default();
    let shown_port = port.to_string();
    let expand = |text: &str| {
        let value = |token| match token {
            'd' => Some(home.as_str()),
            'h' => Some(host.as_str()),
            'n' => Some(given),
            // An alias, or else the name that was given.
            'k' => Some(settings.host_key_alias.as_deref().unwrap_or(given)),
            'r' => Some(user.as_str()),
            'u' => Some(config.login_name.as_str()),
            'p' => Some(shown_port.as_str()),
            '%' => Some("%"),
            _ => None,
        };
        let text = with_variables(text, &config.variables);
        expand_home(&expand_tokens(&text, value), config.home.as_deref())
    };
    let named = |path: &String| KeyFile { path: expand(path), is_wanted: false, is_usual: false };
    let offers_keys = settings.offers_keys.unwrap_or(true);
    let keys = if !offers_keys {
        Vec::new()
    } else if settings.identity_files.is_empty() {
        let home = config.home.iter();
        home.flat_map(|home| DEFAULT_KEYS.map(|name| home.join(name)))
            .map(|path| KeyFile { path, is_wanted: false, is_usual: true })
            .collect()
    } else {
        settings.identity_files.iter().filter(|path| *path != "none").map(named).collect()
    };
    let certificates = settings.certificate_files.iter().filter(|path| *path != "none");
    let certificates = certificates.map(|path| expand(path)).collect();
    let is_reachable = |path: &&String| *path != "none" && (config.home.is_some() || !path.starts_with('~'));
    let (known_hosts, learns_in) = if config.known_hosts.is_empty() {
        let usual = vec!["~/.ssh/known_hosts".to_owned(), "~/.ssh/known_hosts2".to_owned()];
        let of_user = settings.user_known_hosts.clone().unwrap_or(usual);
        let usual = vec!["/etc/ssh/ssh_known_hosts".to_owned(), "/etc/ssh/ssh_known_hosts2".to_owned()];
        let of_machine = settings.global_known_hosts.clone().unwrap_or(usual);
        let mine: Vec<PathBuf> = of_user.iter().filter(is_reachable).map(|path| expand(path)).collect();
        let first = mine.first().cloned();
        (
            mine.into_iter().chain(of_machine.iter().filter(is_reachable).map(|path| expand(path))).collect(),
            first,
        )
    } else {
        (config.known_hosts.clone(), config.known_hosts.first().cloned())
    };
    let is_careless = settings.strict_host_keys == Some(Strictness::Off);
    let host_keys = match (config.host_keys, settings.strict_host_keys) {
        (HostKeys::Known, Some(Strictness::Off | Strictness::AcceptNew)) => HostKeys::AcceptNew,
        (said, _) => said,
    };
    let revoked = settings.revoked_host_keys.as_deref().filter(|path| *path != "none").map(expand);
    let agent = match settings.identity_agent.as_deref() {
        _ if !offers_keys => None,
        Some("none") => None,
        None | Some("SSH_AUTH_SOCK") => config.agent.clone(),
        Some(path) => match path.strip_prefix('$').filter(|name| !name.starts_with('{')) {
            Some(name) => config.variables.get(name).map(PathBuf::from),
            None => Some(expand(path)),
        },
    };
    // An alias stands for the host whatever the port.
    let (known_as, known_port) = match &settings.host_key_alias {
        Some(alias) => (alias.clone(), 22),
        None => (host.clone(), port),
    };
    Hop {
        host,
        port,
        user,
        // That of the server belongs to it alone, not to what lies before it.
        password: None,
        passphrase: config.passphrase.clone(),
        known_as,
        known_port,
        known_hosts,
        learns_in,
        hashes_names: settings.hashes_known_hosts.unwrap_or(false),
        host_keys,
        is_careless,
        unheeded: settings.unheeded.clone(),
        revoked,
        keys,
        certificates,
        command: None,
        proxy: None,
        given: given.to_owned(),
        news: Vec::new(),
        identities_only: settings.identities_only.unwrap_or(false),
        agent,
        algorithms: Algorithms::new(settings),
    }
}

/// A text with the value of each `${VARIABLE}` in it; one that is not set stays as it is. No value is read as a token.
fn with_variables(text: &str, variables: &BTreeMap<String, String>) -> String {
    let mut expanded = String::new();
    let mut rest = text;
    while let Some((before, (name, after))) =
        rest.split_once("${").and_then(|(before, name)| Some((before, name.split_once('}')?)))
    {
        expanded.push_str(before);
        match variables.get(name) {
            Some(value) => expanded.push_str(&value.replace('%', "%%")),
            None => expanded.push_str(&format!("${{{name}}}")),
        }
        rest = after;
    }
    expanded + rest
}

/// A text with the value of each token in it, such as `%h`; one that is not known stays as it is.
fn expand_tokens<'a>(text: &str, value: impl Fn(char) -> Option<&'a str>) -> String {
    let mut expanded = String::new();
    let mut rest = text.chars();
    while let Some(char) = rest.next() {
        let token = if char == '%' { rest.clone().next() } else { None };
        match token.and_then(&value) {
            Some(known) => {
                expanded.push_str(known);
                rest.next();
            }
            None => expanded.push(char),
        }
    }
    expanded
}

/// A host to go through.
struct Jump<'a> {
    user: Option<&'a str>,
    host: &'a str,
    port: u16,
}

/// `[user@]host[:port]`, also as `ssh://...`.
fn jump(text: &str) -> Result<Jump<'_>> {
    let jump = text.trim();
    let jump = jump.strip_prefix("ssh://").unwrap_or(jump).trim_end_matches('/');
    let (user, address) = match jump.rsplit_once('@') {
        Some((user, address)) => (Some(user), address),
        None => (None, jump),
    };
    let Some((host, port)) = crate::target::url::host_and_port(address) else {
        return Err(Error::new(Kind::Usage, format!("ProxyJump {text:?} is no host to go through")));
    };
    Ok(Jump { user, host, port })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn route(text: &str, change: impl FnOnce(&mut SftpConfig)) -> Result<Vec<Hop>> {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir(home.path().join(".ssh")).unwrap();
        let file = home.path().join(".ssh/config");
        fs::write(&file, text).unwrap();
        let mut config = SftpConfig::new("web", "/");
        config.home = Some(PathBuf::from("/home/joe"));
        config.login_name = "joe".into();
        config.ssh_config = vec![file];
        change(&mut config);
        hops(&config)
    }

    #[test]
    fn without_configuration_ssh_has_its_usual_values() {
        let hops = route("", |_| {}).unwrap();
        let [hop] = hops.as_slice() else { panic!("one host") };
        assert_eq!((hop.address().as_str(), hop.user.as_str()), ("web:22", "joe"));
        assert_eq!(hop.keys[0].path, PathBuf::from("/home/joe/.ssh/id_ed25519"));
        assert_eq!(hop.known_hosts[0], PathBuf::from("/home/joe/.ssh/known_hosts"));
    }

    #[test]
    fn the_configuration_completes_what_the_user_said_and_never_overrules_it() {
        let text = "Host web\nHostName %h.internal\nPort 2222\nUser other\nIdentityFile ~/keys/%r@%h\nHostKeyAlias w";
        let hops = route(text, |config| {
            config.user = Some("ann".into());
            config.key_files = vec!["~/mine".into()];
        })
        .unwrap();
        let [hop] = hops.as_slice() else { panic!("one host") };
        assert_eq!((hop.address().as_str(), hop.user.as_str()), ("web.internal:2222", "ann"));
        let paths: Vec<_> = hop.keys.iter().map(|key| key.path.display().to_string()).collect();
        assert_eq!(paths, ["/home/joe/mine", "/home/joe/keys/ann@web.internal"]);
        assert_eq!((hop.known_as.as_str(), hop.known_port), ("w", 22));
        assert_eq!(route(text, |config| config.port = 7).unwrap()[0].port, 7);
    }

    #[test]
    fn tokens_are_replaced_once() {
        let value = |token| match token {
            'h' => Some("%r"),
            '%' => Some("%"),
            _ => None,
        };
        assert_eq!(expand_tokens("a%h-%%h-%x%", value), "a%r-%h-%x%");
    }

    #[test]
    fn variables_stand_in_paths() {
        let text = "Host web\nIdentityAgent ${RUN}/agent\nIdentityFile ${RUN}/${NOT}-%h\nHost *\nIdentityAgent $SOCKET";
        let set = |host: &'static str| {
            let hops = route(text, |config| {
                config.host = host.into();
                let variables = [("RUN", "/run/%h"), ("SOCKET", "/socket")];
                config.variables = variables.map(|(name, value)| (name.into(), value.into())).into();
            });
            hops.unwrap().remove(0)
        };
        assert_eq!(set("web").agent, Some(PathBuf::from("/run/%h/agent")));
        assert_eq!(set("web").keys[0].path, PathBuf::from("/run/%h/${NOT}-web"));
        assert_eq!(set("other").agent, Some(PathBuf::from("/socket")));
    }

    #[test]
    fn jump_hosts_come_first_and_never_get_the_password_of_the_server() {
        let text = "Host web\nProxyJump ann@one:7,two\nHost two\nUser two\nPort 99";
        let hops = route(text, |config| config.password = Some(Secret::new("x"))).unwrap();
        let shown: Vec<_> = hops.iter().map(|hop| format!("{}@{}", hop.user, hop.address())).collect();
        assert_eq!(shown, ["ann@one:7", "two@two:99", "joe@web:22"]);
        let with_password: Vec<_> = hops.iter().map(|hop| hop.password.is_some()).collect();
        assert_eq!(with_password, [false, false, true]);
    }

    #[test]
    fn a_jump_host_is_reached_through_its_own_jump_host() {
        let way = |text: &str| {
            let hops = route(text, |_| {})?;
            Ok::<_, Error>(hops.into_iter().map(|hop| hop.host).collect::<Vec<_>>().join(" "))
        };
        let text = "Host web\nProxyJump inner,third\nHost inner\nHostName in\nProxyJump outer\nHost third\nProxyJump unused";
        assert_eq!(way(text).unwrap(), "outer in third web");
        // What is said for all hosts does not lead a jump host to itself.
        assert_eq!(way("Host *\nProxyJump bastion").unwrap(), "bastion web");
        assert_eq!(way("Host *\nProxyJump one,two").unwrap(), "one two web");
        let circle = way("Host web two\nProxyJump one\nHost one\nProxyJump two").unwrap_err();
        assert!(circle.to_string().contains("leads on and on"), "{circle}");
    }

    #[test]
    fn a_proxy_command_gets_the_names_and_only_names() {
        let text = "Host web\nHostName w.internal\nProxyCommand nc -X 5 %h %p # %r %n %%";
        let command = |text: &str, user: &str| {
            let hops = route(text, |config| config.user = Some(user.to_owned()));
            hops.map(|hops| hops.last().and_then(|hop| hop.command.clone()))
        };
        // Quotes and comments are for the shell.
        assert_eq!(command(text, "ann").unwrap().as_deref(), Some("nc -X 5 w.internal 22 # ann web %"));
        let quoted = "Host web\nProxyCommand = sh -c \"nc '%h' %p\" ";
        assert_eq!(command(quoted, "ann").unwrap().as_deref(), Some("sh -c \"nc 'web' 22\""));
        for none in ["Host web\nProxyCommand none", "Host web\nProxyCommand"] {
            assert_eq!(command(none, "ann").unwrap(), None);
        }
        for user in ["$(reboot)", "a b", "-oX", "a;b", "a'b"] {
            let error = command(text, user).unwrap_err().to_string();
            assert!(error.contains("ProxyCommand"), "{error}");
        }
    }

    #[test]
    fn a_proxy_leads_to_the_first_host_instead_of_its_command() {
        let text = "Host web\nProxyJump one\nHost one\nProxyCommand to-one";
        let hops = route(text, |config| config.proxy = Some(Secret::new("socks5://joe:geheim@p"))).unwrap();
        let ways: Vec<_> = hops.iter().map(|hop| (hop.proxy.is_some(), hop.command.is_some())).collect();
        assert_eq!(ways, [(true, false), (false, false)]);
        assert!(hops[0].news[0].1.contains("ProxyCommand of the ssh configuration is not used"));
        let refused = route("", |config| config.proxy = Some(Secret::new("https://joe:geheim@p")));
        let Err(error) = refused else { panic!("that is no proxy") };
        assert!(error.kind() == Kind::Usage && !error.to_string().contains("geheim"), "{error}");
    }

    #[test]
    fn the_configuration_says_how_strictly_keys_are_looked_at_unless_the_user_does() {
        let judged = |text: &str, said| {
            let hop = route(text, |config| config.host_keys = said).unwrap().remove(0);
            (hop.host_keys, hop.is_careless)
        };
        for (setting, expected) in [
            ("ask", (HostKeys::Known, false)),
            ("YES", (HostKeys::Known, false)),
            ("accept-new", (HostKeys::AcceptNew, false)),
            ("no", (HostKeys::AcceptNew, true)),
            ("off", (HostKeys::AcceptNew, true)),
        ] {
            // The first one counts.
            let text = format!("Host web\nStrictHostKeyChecking {setting}\nHost *\nStrictHostKeyChecking no");
            assert_eq!(judged(&text, HostKeys::Known), expected, "{setting}");
        }
        assert_eq!(judged("", HostKeys::Known), (HostKeys::Known, false));
        assert_eq!(judged("StrictHostKeyChecking yes", HostKeys::AcceptNew), (HostKeys::AcceptNew, false));
        assert_eq!(judged("StrictHostKeyChecking yes", HostKeys::Unchecked), (HostKeys::Unchecked, false));
        assert!(route("StrictHostKeyChecking maybe", |_| {}).is_err());
    }

    #[test]
    fn new_hosts_are_written_down_for_the_user_only() {
        let learns = |text: &str| route(text, |_| {}).unwrap().remove(0).learns_in;
        assert_eq!(learns(""), Some(PathBuf::from("/home/joe/.ssh/known_hosts")));
        let files = "UserKnownHostsFile none /mine/%k /more\nGlobalKnownHostsFile /all";
        assert_eq!(learns(files), Some(PathBuf::from("/mine/web")));
        assert_eq!(learns("UserKnownHostsFile none"), None);
    }

    #[test]
    fn what_is_not_followed_is_known_by_name() {
        let text =
            "KnownHostsCommand /bin/keys\nverifyhostkeydns yes\nCheckHostIP no\nKnownHostsCommand none";
        let hop = route(text, |_| {}).unwrap().remove(0);
        assert_eq!(hop.unheeded, ["KnownHostsCommand", "VerifyHostKeyDNS"]);
    }

    #[test]
    fn only_the_first_jump_host_is_reached_by_its_command() {
        let text =
            "Host web\nProxyJump one,two\nHost one\nProxyCommand to-one\nHost two\nProxyCommand to-two";
        let hops = route(text, |_| {}).unwrap();
        let commands: Vec<_> = hops.iter().map(|hop| hop.command.as_deref()).collect();
        assert_eq!(commands, [Some("to-one"), None, None]);
    }
}
