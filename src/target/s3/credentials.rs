//! Where the keys come from, in the order in which the tools of AWS look: what the user gives, the environment, a web
//! identity, the shared files (keys, a role, a program), the container, the machine.

use super::config::{Environment, S3Config};
use super::endpoint::{Address, domain};
use super::net::{Message, Net};
use super::profile::{self, Section};
use crate::error::{Error, Kind, Result, Retry};
use crate::locked::locked;
use crate::target::ftp::{PASSWORD_VARIABLE, Secret};
use crate::wire::s3::sign::{Question, Scope, authorization, query_string};
use crate::wire::s3::time::{basic, listed};
use crate::wire::s3::xml::Element;
use crate::wire::s3::{encoded, hex};
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

/// Keys are renewed this long before they end, in seconds.
const EARLY: i64 = 300;
/// The pause after a renewal that came to nothing, in seconds.
const PAUSE: i64 = 30;
/// The machine's own service answers at once, or is not there.
const NEARBY: Duration = Duration::from_secs(1);
/// The longest answer that is read, in bytes.
const LIMIT: usize = 256 * 1024;
/// Roles that lead to roles, at most.
const MOST_ROLES: usize = 5;

/// What questions are signed with.
#[derive(Clone)]
pub struct Keys {
    pub id: String,
    pub secret: Secret,
    pub token: Option<Secret>,
    /// Seconds since 1970-01-01 UTC.
    until: Option<i64>,
}

/// Keys that were found, and when to look for the next ones, in seconds since 1970-01-01 UTC.
struct Held {
    keys: Keys,
    renew_at: Option<i64>,
}

impl Held {
    fn new(keys: Keys, now: i64) -> Self {
        // Not for each question, if they are lent for a short time only.
        let renew_at = keys.until.map(|until| until.saturating_sub(EARLY).max(now + PAUSE).min(until));
        Held { keys, renew_at }
    }

    fn is_good(&self, now: i64) -> bool {
        self.keys.until.is_some_and(|until| now < until)
    }
}

/// Finds keys, and renews those that end.
pub struct Wallet {
    given: Option<Keys>,
    is_anonymous: bool,
    environment: Environment,
    profile: String,
    /// The user has named it, so the keys of the environment are not meant.
    is_profile_given: bool,
    sections: BTreeMap<String, Section>,
    found: Mutex<Option<Held>>,
    region: Option<String>,
    tls: crate::target::ftp::TlsConfig,
}

impl Wallet {
    /// Reads the shared files.
    ///
    /// # Errors
    /// [`Kind::Usage`] if a profile is named that is in none of them.
    pub fn new(config: &S3Config) -> Result<Self> {
        let environment = config.environment.clone();
        let named = config.profile.as_deref();
        let named = named
            .or_else(|| environment.get("AWS_PROFILE"))
            .or_else(|| environment.get("AWS_DEFAULT_PROFILE"));
        let (profile, is_named) = (named.unwrap_or("default").to_owned(), named.is_some());
        let mut sections: BTreeMap<String, Section> = BTreeMap::new();
        for (variable, usual) in
            [("AWS_CONFIG_FILE", ".aws/config"), ("AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials")]
        {
            let text = environment.file(variable, usual).and_then(|file| std::fs::read_to_string(file).ok());
            for (name, section) in profile::sections(&text.unwrap_or_default()) {
                sections.entry(name).or_default().extend(section);
            }
        }
        if is_named && !sections.contains_key(&profile) && config.keys.is_none() && !config.anonymous {
            let what = format!("there is no profile {profile:?} in ~/.aws/config and ~/.aws/credentials");
            let error = Error::new(Kind::Usage, what);
            return Err(error.advise("check --profile and AWS_PROFILE"));
        }
        let given = config.keys.clone().map(|(id, secret)| Keys {
            id,
            secret,
            token: config.token.clone(),
            until: None,
        });
        Ok(Wallet {
            given,
            is_anonymous: config.anonymous,
            environment,
            profile,
            is_profile_given: config.profile.is_some(),
            sections,
            found: Mutex::default(),
            region: config.region.clone(),
            tls: config.tls.clone(),
        })
    }

    /// A setting of the profile.
    pub fn setting(&self, key: &str) -> Option<&str> {
        self.sections.get(&self.profile)?.get(key).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The endpoint of a service that the profile names: for that one (`services = NAME` leads to a section `services NAME`),
    /// or for all.
    pub fn endpoint_of(&self, service: &str) -> Option<&str> {
        let own = self.setting("services").and_then(|name| self.sections.get(&format!("services {name}")));
        let own = own.and_then(|section| section.get(&format!("{service}.endpoint_url")));
        own.map(String::as_str).filter(|url| !url.is_empty()).or_else(|| self.setting("endpoint_url"))
    }

    /// Keys that are good now; `None` to ask without.
    ///
    /// # Errors
    /// [`Kind::Denied`] if there are none anywhere, and what went wrong on the way to those that are promised.
    pub fn keys(&self, net: &Net, now: i64, interruptions: u64) -> Result<Option<Keys>> {
        if self.is_anonymous {
            return Ok(None);
        }
        if let Some(keys) = &self.given {
            return Ok(Some(keys.clone()));
        }
        // Held while they are fetched: the others wait for the same keys.
        let mut found = locked(&self.found);
        if let Some(held) = found.as_ref().filter(|held| held.renew_at.is_none_or(|at| now < at)) {
            return Ok(Some(held.keys.clone()));
        }
        let finder = Finder { wallet: self, net, now, interruptions };
        match (finder.find(), found.as_mut().filter(|held| held.is_good(now))) {
            (Ok(keys), _) => {
                *found = Some(Held::new(keys.clone(), now));
                Ok(Some(keys))
            }
            // The old ones are good for some minutes still.
            (Err(_), Some(held)) => {
                held.renew_at = Some(now + PAUSE);
                Ok(Some(held.keys.clone()))
            }
            (Err(error), None) => Err(error.during("find credentials for S3")),
        }
    }

    /// Forgets keys that the server has called old.
    pub fn forget(&self) {
        locked(&self.found).take();
    }
}

struct Finder<'a> {
    wallet: &'a Wallet,
    net: &'a Net,
    now: i64,
    interruptions: u64,
}

impl Finder<'_> {
    fn find(&self) -> Result<Keys> {
        let variables = &self.wallet.environment;
        if !self.wallet.is_profile_given
            && let (Some(id), Some(secret)) =
                (variables.get("AWS_ACCESS_KEY_ID"), variables.get("AWS_SECRET_ACCESS_KEY"))
        {
            let token = variables.get("AWS_SESSION_TOKEN").or_else(|| variables.get("AWS_SECURITY_TOKEN"));
            return Ok(keys(id, secret, token));
        }
        if !self.wallet.is_profile_given
            && let (Some(role), Some(file)) =
                (variables.get("AWS_ROLE_ARN"), variables.get("AWS_WEB_IDENTITY_TOKEN_FILE"))
        {
            return self.by_web_identity(role, file, variables.get("AWS_ROLE_SESSION_NAME"));
        }
        if let Some(section) = self.wallet.sections.get(&self.wallet.profile)
            && let Some(keys) = self.of_profile(section, 0)?
        {
            return Ok(keys);
        }
        if let Some(keys) = self.of_container()? {
            return Ok(keys);
        }
        if let Some(keys) = self.of_machine() {
            return Ok(keys);
        }
        Err(Error::new(Kind::Denied, "there are none").advise(
            "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, name a profile of ~/.aws with --profile, \
             or ask without any with --no-sign-request",
        ))
    }

    /// What a section of the shared files leads to; `None` if it says nothing about keys.
    fn of_profile(&self, section: &Section, depth: usize) -> Result<Option<Keys>> {
        let get = |key: &str| section.get(key).map(String::as_str).filter(|value| !value.is_empty());
        if get("role_arn").is_some() && get("mfa_serial").is_some() {
            let error = Error::new(Kind::Unsupported, "its role wants a code of a device (mfa_serial)");
            return Err(error.during("use the profile").at(&self.wallet.profile).advise(
                "let the tool of AWS ask for it before, and leave the profile out: \
                 eval \"$(aws configure export-credentials --profile NAME --format env)\"",
            ));
        }
        if let Some(role) = get("role_arn").filter(|_| depth < MOST_ROLES) {
            if let Some(file) = get("web_identity_token_file") {
                return self.by_web_identity(role, file, get("role_session_name")).map(Some);
            }
            if let Some(source) = get("source_profile") {
                let found = self.wallet.sections.get(source);
                let missing =
                    || Error::new(Kind::Usage, format!("there is no profile {source:?} (source_profile)"));
                let found = found.ok_or_else(missing)?;
                // A profile may name itself: then its own keys lead to the role.
                let mut plain = found.clone();
                if std::ptr::eq(found, section) {
                    plain.remove("role_arn");
                }
                let keys = self.of_profile(&plain, depth + 1)?.ok_or_else(missing)?;
                return self.by_role(role, section, &keys).map(Some);
            }
            let keys = match get("credential_source") {
                Some("Environment") => {
                    let get = |name| self.wallet.environment.get(name).unwrap_or_default();
                    keys(
                        get("AWS_ACCESS_KEY_ID"),
                        get("AWS_SECRET_ACCESS_KEY"),
                        self.wallet.environment.get("AWS_SESSION_TOKEN"),
                    )
                }
                Some("EcsContainer") => self.of_container()?.ok_or_else(|| nothing("the container"))?,
                _ => self.of_machine().ok_or_else(|| nothing("the machine"))?,
            };
            return self.by_role(role, section, &keys).map(Some);
        }
        if let (Some(id), Some(secret)) = (get("aws_access_key_id"), get("aws_secret_access_key")) {
            return Ok(Some(keys(id, secret, get("aws_session_token"))));
        }
        if let Some(command) = get("credential_process") {
            return by_program(command).map(Some);
        }
        if get("sso_session").is_some() || get("sso_start_url").is_some() {
            let error = Error::new(Kind::Unsupported, "the profile logs in by SSO, which is not supported");
            return Err(by_tool_of_aws(error));
        }
        if get("login_session").is_some() {
            let error = Error::new(
                Kind::Unsupported,
                "the profile has logged in by `aws login`, which is not supported",
            );
            return Err(by_tool_of_aws(error));
        }
        Ok(None)
    }

    /// Keys that the container of this program offers.
    fn of_container(&self) -> Result<Option<Keys>> {
        let variables = &self.wallet.environment;
        let url = match variables.get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI") {
            Some(path) => format!("http://169.254.170.2{path}"),
            None => match variables.get("AWS_CONTAINER_CREDENTIALS_FULL_URI") {
                Some(url) => url.to_owned(),
                None => return Ok(None),
            },
        };
        let from_file = variables.get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
        let token = match from_file {
            Some(file) => {
                let token = std::fs::read_to_string(file);
                let token = token.map_err(|error| Error::from(error).during("read").at(file))?;
                Some(token.trim().to_owned())
            }
            None => variables.get("AWS_CONTAINER_AUTHORIZATION_TOKEN").map(str::to_owned),
        };
        let headers = token.into_iter().map(|token| ("authorization".to_owned(), token)).collect();
        let answer = self.nearby("GET", &url, headers)?;
        of_json(&answer).map(Some)
    }

    /// Keys of the role that the machine of this program has (version 2 of its service: a token first).
    fn of_machine(&self) -> Option<Keys> {
        let variables = &self.wallet.environment;
        if variables.get("AWS_EC2_METADATA_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"))
        {
            return None;
        }
        let base = variables.get("AWS_EC2_METADATA_SERVICE_ENDPOINT").unwrap_or("http://169.254.169.254");
        let base = base.trim_end_matches('/');
        let lifetime = ("x-aws-ec2-metadata-token-ttl-seconds".to_owned(), "21600".to_owned());
        let token = self.nearby("PUT", &format!("{base}/latest/api/token"), vec![lifetime]).ok()?;
        let token = String::from_utf8(token).ok()?;
        let headers = || vec![("x-aws-ec2-metadata-token".to_owned(), token.clone())];
        let path = format!("{base}/latest/meta-data/iam/security-credentials/");
        let roles = self.nearby("GET", &path, headers()).ok()?;
        let role = String::from_utf8(roles).ok()?.lines().next()?.trim().to_owned();
        of_json(&self.nearby("GET", &format!("{path}{role}"), headers()).ok()?).ok()
    }

    /// Asks a service of the machine or the container: no proxy, little patience.
    fn nearby(&self, method: &str, url: &str, mut headers: Vec<(String, String)>) -> Result<Vec<u8>> {
        let (address, target) = Address::parse(url)?;
        headers.insert(0, ("host".to_owned(), address.authority()));
        let mut net = Net::new(NEARBY, NEARBY, None, self.wallet.tls.clone());
        net.sockets = std::sync::Arc::clone(&self.net.sockets);
        let message = Message { method, target, headers, body: &[] };
        let answer = net.ask(&address, &message, self.interruptions)?;
        let status = answer.head.status;
        let body = answer.bytes(LIMIT)?;
        match status {
            200 => Ok(body),
            _ => Err(refusal(status, format!("{address} answers with status {status}"))),
        }
    }

    fn by_web_identity(&self, role: &str, file: &str, session: Option<&str>) -> Result<Keys> {
        let token =
            std::fs::read_to_string(file).map_err(|error| Error::from(error).during("read").at(file))?;
        let form = [
            ("Action", "AssumeRoleWithWebIdentity"),
            ("Version", "2011-06-15"),
            ("RoleArn", role),
            ("RoleSessionName", session.unwrap_or("pyftpsync")),
            ("WebIdentityToken", token.trim()),
        ];
        self.ask_sts(&form, None)
    }

    fn by_role(&self, role: &str, section: &Section, with: &Keys) -> Result<Keys> {
        let session = section.get("role_session_name").map_or("pyftpsync", String::as_str);
        let mut form = vec![
            ("Action", "AssumeRole"),
            ("Version", "2011-06-15"),
            ("RoleArn", role),
            ("RoleSessionName", session),
        ];
        form.extend(section.get("external_id").map(|id| ("ExternalId", id.as_str())));
        self.ask_sts(&form, Some(with))
    }

    /// Asks the service that lends roles.
    fn ask_sts(&self, form: &[(&str, &str)], with: Option<&Keys>) -> Result<Keys> {
        let variables = &self.wallet.environment;
        let region = self.wallet.region.as_deref().or_else(|| variables.get("AWS_REGION"));
        let region = region.or_else(|| variables.get("AWS_DEFAULT_REGION"));
        let region = region.or_else(|| self.wallet.setting("region")).unwrap_or("us-east-1").to_owned();
        let url = variables.get("AWS_ENDPOINT_URL_STS").or_else(|| variables.get("AWS_ENDPOINT_URL"));
        let url = url.map_or_else(|| format!("https://sts.{region}.{}", domain(&region)), str::to_owned);
        let (address, _) = Address::parse(&url)?;
        let body: Vec<String> =
            form.iter().map(|(name, value)| format!("{name}={}", encoded(value, ""))).collect();
        let body = body.join("&");
        let mut headers = vec![
            ("host".to_owned(), address.authority()),
            ("content-type".to_owned(), "application/x-www-form-urlencoded".to_owned()),
            ("x-amz-date".to_owned(), basic(self.now)),
        ];
        if let Some(with) = with {
            if let Some(token) = &with.token {
                headers.push(("x-amz-security-token".to_owned(), token.reveal().to_owned()));
            }
            let digest = hex(ring::digest::digest(&ring::digest::SHA256, body.as_bytes()).as_ref());
            let question =
                Question { method: "POST", path: "/", query: &[], headers: &headers, body: &digest };
            let scope = Scope { region: &region, service: "sts", now: self.now };
            let signed = authorization(&question, &with.id, with.secret.reveal(), scope);
            headers.push(("authorization".to_owned(), signed));
        }
        let target = format!("/{}", query_string(&[]));
        let message = Message { method: "POST", target, headers, body: body.as_bytes() };
        let answer = self.net.ask(&address, &message, self.interruptions)?;
        let status = answer.head.status;
        let body = answer.bytes(LIMIT)?;
        if status != 200 {
            let words = crate::wire::s3::answer::Refusal::parse(&body).unwrap_or_default();
            let error =
                refusal(status, format!("the role cannot be assumed: {} {}", words.code, words.message));
            if error.retry() != Retry::No {
                return Err(error);
            }
            let is_about_time = words.message.starts_with("Signature expired")
                || words.message.starts_with("Signature not yet current");
            return Err(error.advise(if is_about_time {
                "set the clock of this computer"
            } else {
                "check role_arn, and whether these keys may take it"
            }));
        }
        let root = Element::parse(&body)?;
        let lent = root.children.iter().find_map(|result| result.child("Credentials"));
        let get = |name: &str| lent.and_then(|lent| lent.get(name)).map(str::to_owned);
        let (Some(id), Some(secret)) = (get("AccessKeyId"), get("SecretAccessKey")) else {
            return Err(nothing("the service for roles (STS)"));
        };
        let until = get("Expiration").and_then(|at| listed(&at)).map(|at| at.seconds());
        Ok(Keys { until, ..keys(&id, &secret, get("SessionToken").as_deref()) })
    }
}

fn keys(id: &str, secret: &str, token: Option<&str>) -> Keys {
    Keys { id: id.to_owned(), secret: Secret::new(secret), token: token.map(Secret::new), until: None }
}

/// The error for a status of a service that gives keys: some are no refusals for good.
fn refusal(status: u16, why: String) -> Error {
    match status {
        429 | 500.. => Error::new(Kind::Busy, why).with_os(libc::EAGAIN).retrying(Retry::Later),
        _ => Error::new(Kind::Denied, why),
    }
}

/// The error for a way to log in that others know.
fn by_tool_of_aws(error: Error) -> Error {
    error.advise(
        "let the tool of AWS do it: credential_process = aws configure export-credentials --profile NAME --format process",
    )
}

fn nothing(of: &str) -> Error {
    Error::new(Kind::Denied, format!("{of} has no credentials to give"))
}

/// Keys that a program of the user's prints.
fn by_program(command: &str) -> Result<Keys> {
    let words = profile::words(command);
    let Some((program, arguments)) = words.split_first() else { return Err(nothing("credential_process")) };
    let context = |error: Error| error.during("run credential_process").at(program);
    let printed = std::process::Command::new(program)
        .args(arguments)
        .env_remove(PASSWORD_VARIABLE)
        .stdin(std::process::Stdio::null())
        .stderr(std::process::Stdio::inherit())
        .output()
        .map_err(|error| context(error.into()))?;
    if !printed.status.success() {
        // What it printed may hold a key.
        return Err(context(Error::new(Kind::Denied, format!("it ended with {}", printed.status))));
    }
    of_json(&printed.stdout).map_err(context)
}

/// Keys as programs, containers and machines tell them.
fn of_json(text: &[u8]) -> Result<Keys> {
    let told: serde_json::Value =
        serde_json::from_slice(text).map_err(|_| Error::new(Kind::Denied, "what it gives is no JSON"))?;
    let get = |name: &str| told.get(name).and_then(serde_json::Value::as_str);
    let (Some(id), Some(secret)) = (get("AccessKeyId"), get("SecretAccessKey")) else {
        return Err(nothing("it"));
    };
    let token = get("SessionToken").or_else(|| get("Token"));
    let until = get("Expiration").and_then(listed).map(|at| at.seconds());
    Ok(Keys { until, ..keys(id, secret, token) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::ftp::TlsConfig;

    #[test]
    fn keys_that_cannot_be_renewed_are_used_as_long_as_they_are_good() {
        let home = tempfile::tempdir().unwrap();
        let told = home.path().join("keys");
        let print = r#"{"AccessKeyId":"AK","SecretAccessKey":"x","Expiration":"1970-01-01T01:00:00Z"}"#;
        std::fs::create_dir(home.path().join(".aws")).unwrap();
        std::fs::write(&told, print).unwrap();
        let program = format!("[default]\ncredential_process = sh -c \"cat {} 2>&-\"\n", told.display());
        std::fs::write(home.path().join(".aws/config"), program).unwrap();
        let mut config = S3Config::new("b", "");
        config.environment.home = Some(home.path().to_owned());
        let wallet = Wallet::new(&config).unwrap();
        let net = Net::new(NEARBY, NEARBY, None, TlsConfig::default());
        let keys = |now| wallet.keys(&net, now, 0).map(|keys| keys.unwrap().id);
        assert_eq!(keys(0).unwrap(), "AK");
        std::fs::remove_file(&told).unwrap();
        assert_eq!(keys(3400).unwrap(), "AK");
        std::fs::write(&told, print.replace("AK", "NEW").replace("01:00", "02:00")).unwrap();
        assert_eq!(keys(3410).unwrap(), "AK", "there is a pause");
        assert_eq!(keys(3440).unwrap(), "NEW");
        std::fs::remove_file(&told).unwrap();
        assert_eq!(keys(7300).unwrap_err().kind(), Kind::Denied);
    }
}
