//! The configuration files of ssh, as far as they matter for a connection. The first value found for a host counts.

use super::wildcard::{matches, matches_any};
use crate::error::{Error, Kind, Result};
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// How deep files may include each other.
const MAX_DEPTH: usize = 16;

/// What the files say about one host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// The real name.
    pub host_name: Option<String>,
    /// The user to log in as.
    pub user: Option<String>,
    /// The port.
    pub port: Option<u16>,
    /// Key files, in the order to try.
    pub identity_files: Vec<String>,
    /// Certificates of the user's keys.
    pub certificate_files: Vec<String>,
    /// Only these keys, not all that the agent has.
    pub identities_only: Option<bool>,
    /// Whether keys are used at all.
    pub offers_keys: Option<bool>,
    /// The socket of the agent, or `none`.
    pub identity_agent: Option<String>,
    /// Hosts to go through, `[user@]host[:port]` with commas between; `none` for none.
    pub proxy_jump: Option<String>,
    /// A program that makes the connection.
    pub proxy_command: Option<String>,
    /// Where known hosts of the user are.
    pub user_known_hosts: Option<Vec<String>>,
    /// Where known hosts of the machine are.
    pub global_known_hosts: Option<Vec<String>>,
    /// Keys that no host may have any more.
    pub revoked_host_keys: Option<String>,
    /// What becomes of a key that is not known.
    pub strict_host_keys: Option<Strictness>,
    /// What else is said about keys of hosts, and has no meaning here.
    pub unheeded: Vec<&'static str>,
    /// New hosts are written down by a hash of their name.
    pub hashes_known_hosts: Option<bool>,
    /// The name under which the host is known.
    pub host_key_alias: Option<String>,
    /// Algorithms for the exchange of keys, with commas between; behind `+`, `-` or `^` a change of the usual ones.
    pub key_exchanges: Option<String>,
    /// Those for encryption.
    pub ciphers: Option<String>,
    /// Those for checksums.
    pub macs: Option<String>,
    /// Those for signatures with keys of the user.
    pub signatures: Option<String>,
}

/// Settings about keys of hosts that are not followed. Whoever has them has to hear of it where a key is not accepted.
const UNHEEDED: [&str; 4] =
    ["CheckHostIP", "KnownHostsCommand", "NoHostAuthenticationForLocalhost", "VerifyHostKeyDNS"];

/// How strictly ssh is told to look at the key of a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strictness {
    /// Only a known one is good, or the user is asked, which is not possible here.
    On,
    /// That of a new host is good, too.
    AcceptNew,
    /// Any is good, with restrictions where it has changed.
    Off,
}

/// Reads what the files say about a host. Files that do not exist say nothing.
///
/// # Errors
/// [`Kind::Usage`] for a line that cannot be understood, with file and line; and what reading fails with.
pub fn read(files: &[PathBuf], about: About<'_>) -> Result<Settings> {
    let mut reader =
        Reader { about, folder: Path::new(""), is_checked: false, settings: Settings::default() };
    let usual = about.home.map(|home| home.join(".ssh/config"));
    for file in files {
        reader.folder = file.parent().unwrap_or(Path::new(""));
        reader.is_checked = usual.as_ref() == Some(file);
        reader.file(file, 0, true)?;
    }
    Ok(reader.settings)
}

/// Which connection is meant, and whose it is.
#[derive(Debug, Clone, Copy)]
pub struct About<'a> {
    /// The host, as it was given.
    pub host: &'a str,
    /// The user to log in as, if one was given.
    pub user: Option<&'a str>,
    /// The name of the user on this machine.
    pub login_name: &'a str,
    /// The home folder of that user.
    pub home: Option<&'a Path>,
    /// The folder of the files `passwd` and `group`, which tell who else is in a group.
    pub accounts: Option<&'a Path>,
}

struct Reader<'a> {
    about: About<'a>,
    /// Where files lie that an `Include` names without a folder, also one in an included file.
    folder: &'a Path,
    /// Files that others can write are refused: they may name commands to run.
    is_checked: bool,
    settings: Settings,
}

impl Reader<'_> {
    /// Reads a file; `applies` is whether the lines before the first `Host` are about our host.
    fn file(&mut self, file: &Path, depth: usize, applies: bool) -> Result<()> {
        let failed = |error: io::Error| Error::from(error).during("read").at(file.display());
        let mut opened = match File::open(file) {
            Ok(opened) => opened,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(failed(error)),
        };
        let found = opened.metadata().map_err(failed)?;
        if found.is_dir() {
            // A star finds folders, too.
            return Ok(());
        }
        if self.is_checked {
            refuse_of_others(file, &found, self.about.accounts)?;
        }
        let mut bytes = Vec::new();
        opened.read_to_end(&mut bytes).map_err(failed)?;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let mut applies = applies;
        for (index, line) in text.lines().enumerate() {
            let words = words(line);
            let Some((keyword, arguments)) = words.split_first() else { continue };
            match keyword.to_ascii_lowercase().as_str() {
                "host" => applies = matches_any(arguments.iter().map(String::as_str), self.about.host),
                "match" => applies = self.match_applies(arguments),
                "include" if applies && depth < MAX_DEPTH => {
                    let named = arguments.iter().flat_map(|pattern| self.included(pattern));
                    for included in named.collect::<Vec<_>>() {
                        self.file(&included, depth + 1, true)?;
                    }
                }
                // The rest of the line is for a shell, quotes and all.
                "proxycommand" if applies => self.take_command(rest_of(line)),
                setting if applies => self.take(setting, arguments).map_err(|why| {
                    Error::new(Kind::Usage, format!("{}, line {}: {why}", file.display(), index + 1))
                })?,
                _ => {}
            }
        }
        Ok(())
    }

    /// `Match` with conditions that can be judged without running a program; with others it does not apply.
    fn match_applies(&self, conditions: &[String]) -> bool {
        let mut words = conditions.iter().map(String::as_str);
        let mut is_match = false;
        while let Some(word) = words.next() {
            let condition = word.strip_prefix('!').unwrap_or(word);
            let Some(is_true) = self.judge(condition, &mut words) else { return false };
            if is_true == word.starts_with('!') {
                return false;
            }
            is_match = true;
        }
        is_match
    }

    /// Whether one condition is true, whose patterns are among the words behind it; `None` if that cannot be told.
    fn judge<'w>(&self, condition: &str, words: &mut impl Iterator<Item = &'w str>) -> Option<bool> {
        let About { host, user, login_name, .. } = self.about;
        let subject = match condition.to_ascii_lowercase().as_str() {
            "all" => return Some(true),
            "host" => self.settings.host_name.as_deref().unwrap_or(host),
            "originalhost" => host,
            "user" => user.or(self.settings.user.as_deref()).unwrap_or(login_name),
            "localuser" => login_name,
            _ => return None,
        };
        words.next().map(|patterns| matches_any(patterns.split(','), subject))
    }

    /// The files that an `Include` names; a star may stand in the last part of the path.
    fn included(&self, pattern: &str) -> Vec<PathBuf> {
        let path = self.folder.join(expand_home(pattern, self.about.home));
        let (Some(folder), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str()))
        else {
            return Vec::new();
        };
        if !name.contains(['*', '?']) {
            return vec![path];
        }
        let Ok(items) = fs::read_dir(folder) else { return Vec::new() };
        let mut found: Vec<PathBuf> = items
            .filter_map(|item| item.ok().map(|item| item.path()))
            .filter(|path| {
                path.file_name().and_then(|name| name.to_str()).is_some_and(|text| {
                    matches(name, text) && (name.starts_with('.') || !text.starts_with('.'))
                })
            })
            .collect();
        found.sort();
        found
    }

    fn take_command(&mut self, command: &str) {
        if self.settings.proxy_jump.is_none() && !command.is_empty() {
            self.settings.proxy_command.get_or_insert_with(|| command.to_owned());
        }
    }

    fn take(&mut self, setting: &str, arguments: &[String]) -> Result<(), String> {
        let known = &mut self.settings;
        let value = || arguments.first().cloned().ok_or_else(|| format!("{setting} without a value"));
        let set = |place: &mut Option<String>, value: String| {
            place.get_or_insert(value);
        };
        match setting {
            "hostname" => set(&mut known.host_name, value()?),
            "user" => set(&mut known.user, value()?),
            "identityagent" => set(&mut known.identity_agent, value()?),
            // Of this and the command, the one that comes first counts.
            "proxyjump" if known.proxy_command.is_none() => set(&mut known.proxy_jump, arguments.join("")),
            "hostkeyalias" => set(&mut known.host_key_alias, value()?),
            "kexalgorithms" => set(&mut known.key_exchanges, value()?),
            "ciphers" => set(&mut known.ciphers, value()?),
            "macs" => set(&mut known.macs, value()?),
            "pubkeyacceptedalgorithms" | "pubkeyacceptedkeytypes" => set(&mut known.signatures, value()?),
            "revokedhostkeys" => set(&mut known.revoked_host_keys, value()?),
            "identityfile" => known.identity_files.push(value()?),
            "certificatefile" => known.certificate_files.push(value()?),
            "port" => {
                let text = value()?;
                let port = text.parse().map_err(|_| format!("{text:?} is no port"))?;
                known.port.get_or_insert(port);
            }
            "identitiesonly" => {
                let is_on = value()?.eq_ignore_ascii_case("yes");
                known.identities_only.get_or_insert(is_on);
            }
            "pubkeyauthentication" => {
                let is_off = value()?.eq_ignore_ascii_case("no");
                known.offers_keys.get_or_insert(!is_off);
            }
            "stricthostkeychecking" => {
                let text = value()?;
                let strictness = match text.to_ascii_lowercase().as_str() {
                    "yes" | "true" | "ask" => Strictness::On,
                    "accept-new" => Strictness::AcceptNew,
                    "no" | "false" | "off" => Strictness::Off,
                    _ => return Err(format!("{text:?} is none of yes, ask, accept-new and no")),
                };
                known.strict_host_keys.get_or_insert(strictness);
            }
            "hashknownhosts" => {
                let is_on = value()?.eq_ignore_ascii_case("yes");
                known.hashes_known_hosts.get_or_insert(is_on);
            }
            "userknownhostsfile" => {
                known.user_known_hosts.get_or_insert_with(|| arguments.to_vec());
            }
            "globalknownhostsfile" => {
                known.global_known_hosts.get_or_insert_with(|| arguments.to_vec());
            }
            other => {
                let name = UNHEEDED.into_iter().find(|name| name.eq_ignore_ascii_case(other));
                let is_off = ["no", "none"].map(Some).contains(&arguments.first().map(String::as_str));
                known.unheeded.extend(name.filter(|name| !is_off && !known.unheeded.contains(name)));
            }
        }
        Ok(())
    }
}

/// Whoever can write the configuration of a user can have commands run as that user. The group may where it is that of the user
/// alone, as with the ssh of Debian: there, and in its kin, such files are made by default.
#[cfg(unix)]
fn refuse_of_others(file: &Path, found: &Metadata, accounts: Option<&Path>) -> Result<()> {
    use std::os::unix::fs::MetadataExt;
    let shown = file.display();
    let user = rustix::process::getuid().as_raw();
    let is_alone = || accounts.is_some_and(|accounts| has_only(found.gid(), user, accounts));
    let (why, hint) = if found.uid() != 0 && found.uid() != user {
        (
            format!("{shown} belongs to somebody else, so it is not obeyed"),
            format!("chown it, or pass --ssh-config {shown}"),
        )
    } else if found.mode() & 0o002 != 0 || found.mode() & 0o020 != 0 && !is_alone() {
        let mode = found.mode() & 0o777;
        (
            format!("others can write {shown} (mode {mode:03o}), so it is not obeyed"),
            format!("chmod go-w {shown}"),
        )
    } else {
        return Ok(());
    };
    Err(Error::new(Kind::Usage, why).advise(format!("try {hint}")))
}

#[cfg(not(unix))]
fn refuse_of_others(_: &Path, _: &Metadata, _: Option<&Path>) -> Result<()> {
    Ok(())
}

/// Whether a group has this user and nobody else in it, as far as the files of the machine tell.
#[cfg(unix)]
fn has_only(group: u32, user: u32, accounts: &Path) -> bool {
    let lines =
        |name| String::from_utf8_lossy(&fs::read(accounts.join(name)).unwrap_or_default()).into_owned();
    let (users, groups) = (lines("passwd"), lines("group"));
    let (group, user) = (group.to_string(), user.to_string());
    let field = |line: &'_ str, index| line.split(':').nth(index).unwrap_or_default().to_owned();
    let Some(found) = groups.lines().find(|line| field(line, 2) == group) else { return false };
    let members = field(found, 3);
    let named = members.split(',').filter(|name| !name.is_empty());
    let others =
        named.filter(|name| !users.lines().any(|line| field(line, 0) == **name && field(line, 2) == user));
    let mut at_home =
        users.lines().filter(|line| field(line, 3) == group).map(|line| field(line, 2)).peekable();
    others.count() == 0 && at_home.peek().is_some() && at_home.all(|id| id == user)
}

/// The words of a line: divided by blanks or one `=`, quotes of both kinds keep blanks together, `#` begins a comment.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = line.trim_start();
    while !rest.is_empty() && !rest.starts_with('#') {
        let (word, after) = first_word(rest, words.is_empty());
        words.push(word);
        rest = after.trim_start();
        if words.len() == 1 {
            rest = rest.strip_prefix('=').unwrap_or(rest).trim_start();
        }
    }
    words
}

/// The first word of a text without its quotes, and what follows it.
fn first_word(text: &str, is_keyword: bool) -> (String, &str) {
    let mut word = String::new();
    let mut open = None;
    let mut chars = text.char_indices().peekable();
    while let Some((at, char)) = chars.next() {
        match (char, open) {
            ('\\', _) => {
                let escaped = chars.next_if(|(_, next)| {
                    matches!(next, '"' | '\'' | '\\') || (open.is_none() && *next == ' ')
                });
                word.push(escaped.map_or(char, |(_, escaped)| escaped));
            }
            ('"' | '\'', None) => open = Some(char),
            (_, Some(quote)) if quote == char => open = None,
            // The keyword may be followed by `=`; in values it is a character like any other.
            (_, None) if char.is_whitespace() || (is_keyword && char == '=') => {
                return (word, text.get(at..).unwrap_or_default());
            }
            _ => word.push(char),
        }
    }
    (word, "")
}

/// What follows the keyword of a line, as it is.
fn rest_of(line: &str) -> &str {
    let is_end = |c: char| c.is_whitespace() || c == '=';
    let (_, rest) = line.trim().split_once(is_end).unwrap_or_default();
    rest.trim_start_matches(is_end)
}

/// `~/x` below the home folder; anything else as it is.
pub fn expand_home(path: &str, home: Option<&Path>) -> PathBuf {
    match (path.strip_prefix('~'), home) {
        (Some(rest), Some(home)) if rest.is_empty() || rest.starts_with('/') => {
            home.join(rest.trim_start_matches('/'))
        }
        _ => PathBuf::from(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of<'a>(host: &'a str, home: Option<&'a Path>) -> About<'a> {
        About { host, user: None, login_name: "joe", home, accounts: None }
    }

    fn about(host: &str, text: &str) -> Settings {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config");
        fs::write(&file, text).unwrap();
        read(&[file], of(host, None)).unwrap()
    }

    const TEXT: &str = "\
# ours
Host web *.example.com !secret.example.com
  HostName = web.internal
  Port 2222
  User \"joe doe\"
  IdentityFile ~/.ssh/one
Host web
  Port 99
  IdentityFile=~/.ssh/two
  IdentitiesOnly yes
  ProxyJump a@one:1, two
Match host web.internal user \"joe doe\"
  HostKeyAlias aliased
Match exec \"true\"
  HostKeyAlias never
Host *
  User everyone
  UserKnownHostsFile /a /b
";

    #[test]
    fn the_first_value_counts_and_key_files_add_up() {
        let settings = about("web", TEXT);
        assert_eq!(settings.host_name.as_deref(), Some("web.internal"));
        assert_eq!((settings.port, settings.user.as_deref()), (Some(2222), Some("joe doe")));
        assert_eq!(settings.identity_files, ["~/.ssh/one", "~/.ssh/two"]);
        assert_eq!(settings.identities_only, Some(true));
        assert_eq!(settings.proxy_jump.as_deref(), Some("a@one:1,two"));
        assert_eq!(settings.host_key_alias.as_deref(), Some("aliased"));
        assert_eq!(settings.user_known_hosts, Some(vec!["/a".to_owned(), "/b".to_owned()]));
    }

    #[test]
    fn conditions_may_be_negated_and_ask_for_the_user_of_this_machine() {
        let port = |conditions: &str| about("web", &format!("Match {conditions}\nPort 7")).port;
        for true_one in
            ["!originalhost other", "localuser joe", "originalhost web !localuser ann", "user joe"]
        {
            assert_eq!(port(true_one), Some(7), "{true_one}");
        }
        for false_one in ["!originalhost web", "localuser ann", "!all", "!exec false", "exec true", "host"] {
            assert_eq!(port(false_one), None, "{false_one}");
        }
    }

    #[test]
    fn both_kinds_of_quotes_and_a_backslash_keep_blanks_together() {
        let text = r#"User = 'joe "x" doe' "a'b" c"d e"f g\ h \"i j\k # no"#;
        assert_eq!(words(text), ["User", r#"joe "x" doe"#, "a'b", "cd ef", "g h", "\"i", r"j\k"]);
        assert_eq!(words("Key=a=b"), ["Key", "a=b"]);
    }

    #[test]
    fn patterns_choose_the_hosts() {
        assert_eq!(about("x.example.com", TEXT).port, Some(2222));
        let secret = about("secret.example.com", TEXT);
        assert_eq!((secret.port, secret.user.as_deref()), (None, Some("everyone")));
    }

    #[test]
    fn other_files_are_included() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config");
        fs::create_dir(folder.path().join("conf.d")).unwrap();
        // A folder is no file, and what an included file names lies where the first one does.
        fs::create_dir(folder.path().join("conf.d/sub.conf")).unwrap();
        fs::write(&file, "Include conf.d/*.conf missing\nPort 1\n").unwrap();
        fs::write(folder.path().join("conf.d/b.conf"), "Include more\n").unwrap();
        fs::write(folder.path().join("more"), "Host c\nPort 8\n").unwrap();
        fs::write(folder.path().join("conf.d/a.conf"), "Host a\nPort 7\n").unwrap();
        let port = |host| read(std::slice::from_ref(&file), of(host, None)).unwrap().port;
        assert_eq!((port("a"), port("b"), port("c")), (Some(7), Some(1), Some(8)));
    }

    #[cfg(unix)]
    #[test]
    fn the_usual_file_and_what_it_includes_must_not_be_open_to_others() {
        use std::os::unix::fs::PermissionsExt;
        let home = tempfile::tempdir().unwrap();
        fs::create_dir(home.path().join(".ssh")).unwrap();
        let (usual, more) = (home.path().join(".ssh/config"), home.path().join(".ssh/more"));
        fs::write(&usual, "Include more\n").unwrap();
        fs::write(&more, "Port 7\n").unwrap();
        let with = |usual_mode, more_mode, home: Option<&Path>| {
            fs::set_permissions(&usual, fs::Permissions::from_mode(usual_mode)).unwrap();
            fs::set_permissions(&more, fs::Permissions::from_mode(more_mode)).unwrap();
            read(std::slice::from_ref(&usual), of("h", home)).map(|settings| settings.port)
        };
        assert_eq!(with(0o644, 0o644, Some(home.path())).unwrap(), Some(7));
        for (usual_mode, more_mode) in [(0o664, 0o644), (0o644, 0o646)] {
            let error = with(usual_mode, more_mode, Some(home.path())).unwrap_err().to_string();
            assert!(error.contains("others can write") && error.contains("chmod go-w"), "{error}");
            // One that the user has named is obeyed.
            assert_eq!(with(usual_mode, more_mode, None).unwrap(), Some(7));
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_group_may_write_the_usual_file_if_it_is_that_of_the_user_alone() {
        use std::os::unix::fs::{MetadataExt, PermissionsExt};
        let home = tempfile::tempdir().unwrap();
        fs::create_dir(home.path().join(".ssh")).unwrap();
        let usual = home.path().join(".ssh/config");
        fs::write(&usual, "Port 7\n").unwrap();
        let found = fs::metadata(&usual).unwrap();
        let (user, group) = (found.uid(), found.gid());
        let with = |mode, more_users: &str, members: &str| {
            fs::set_permissions(&usual, fs::Permissions::from_mode(mode)).unwrap();
            fs::write(home.path().join("passwd"), format!("joe:x:{user}:{group}::/:\n{more_users}")).unwrap();
            fs::write(home.path().join("group"), format!("joe:x:{group}:{members}\n")).unwrap();
            let about = About { accounts: Some(home.path()), ..of("h", Some(home.path())) };
            read(std::slice::from_ref(&usual), about).ok().and_then(|settings| settings.port)
        };
        let other = format!("ann:x:{}:{}::/:\n", user + 1, group + 1);
        assert_eq!((with(0o664, "", ""), with(0o664, &other, "joe")), (Some(7), Some(7)));
        assert_eq!((with(0o664, &other, "joe,ann"), with(0o664, "", "gone")), (None, None));
        assert_eq!(with(0o664, &format!("ann:x:{}:{group}::/:\n", user + 1), ""), None);
        assert_eq!(with(0o666, "", ""), None);
        let about = About { accounts: Some(&home.path().join("none")), ..of("h", Some(home.path())) };
        fs::set_permissions(&usual, fs::Permissions::from_mode(0o664)).unwrap();
        assert!(read(std::slice::from_ref(&usual), about).is_err());
    }

    #[test]
    fn a_line_that_makes_no_sense_is_told_with_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config");
        fs::write(&file, "\nPort no\n").unwrap();
        let error = read(std::slice::from_ref(&file), of("h", None)).unwrap_err();
        assert_eq!(error.to_string(), format!("{}, line 2: \"no\" is no port", file.display()));
    }
}
