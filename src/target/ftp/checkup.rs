//! What a check-up finds out about an FTP server beyond the verbs of a session.
//!
//! Each way to a data connection is tried in a conversation of its own, which is told only how folders are listed here: what
//! fails in one says nothing about the others.

use super::config::Engine;
use super::learned::{Lister, Mode, MtimeBy, Passive};
use super::session::FtpSession;
use super::{FtpConfig, FtpTarget, login};
use crate::error::{Error, Kind, Result};
use crate::model::{Listing, RelPath};
use crate::target::Session;
use crate::target::checkup::{Finding, Findings};
use crate::target::layer::retry::when_there_is_room;
use std::sync::Arc;
use std::time::Duration;

/// A way that does not work is not waited for longer than this.
const PATIENCE: Duration = Duration::from_secs(10);
/// Commands that tell a checksum of a file, best first.
const HASHES: [&str; 7] = ["HASH", "XSHA512", "XSHA256", "XSHA1", "XSHA", "XMD5", "XCRC"];

/// A way to a data connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Epsv,
    Pasv,
    /// To the host that the reply to PASV names.
    PasvAsNamed,
    Active,
}

impl FtpTarget {
    /// See [`Target::particulars`](crate::target::Target::particulars).
    pub(super) fn examine(&self) -> Findings {
        let mut found = self.learned_so_far();
        let epsv = self.try_way(Way::Epsv, false, &mut found);
        // By LIST, so that the two kinds of listing can be compared.
        let pasv = self.try_way(Way::Pasv, true, &mut found);
        let stalls = matches!(&epsv, Err(error) if error.kind() == Kind::Timeout) && pasv.is_ok();
        found.insert("epsv_stalls", stalls.into());
        found.insert("epsv", epsv.is_ok().into());
        found.insert("pasv", pasv.is_ok().into());
        if pasv.is_err() && !self.server.config.trust_pasv_host {
            let as_named = self.try_way(Way::PasvAsNamed, true, &mut found);
            found.insert("pasv_as_named", as_named.is_ok().into());
        }
        if self.server.proxy.is_none() {
            let active = self.try_way(Way::Active, false, &mut found);
            found.insert("active", active.is_ok().into());
        }
        let machine = epsv.ok().filter(|_| found.get("listing") == Some(&Finding::from("MLSD")));
        // Of two listings that are cut short each shows something else.
        if let (Some(machine), Ok(list)) = (machine, pasv)
            && machine.complete
            && list.complete
        {
            found.insert("hidden_from_mlsd", hidden(&machine, &list).into());
        }
        found
    }

    fn learned_so_far(&self) -> Findings {
        let learned = self.server.learned();
        let features = learned.features.clone().unwrap_or_default();
        let mut found = Findings::new();
        found.insert("system", learned.system.clone().into());
        found.insert("features", features.words().into());
        found.insert("utf8", features.has_utf8().into());
        found.insert(
            "listing",
            match learned.lister {
                Some(Lister::Mlsd) => Finding::from("MLSD"),
                Some(Lister::ListAll) => "LIST -a".into(),
                Some(Lister::List) => "LIST".into(),
                None => Finding::Unknown,
            },
        );
        found.insert("mlsd_stalls", (learned.mlsd_stalls > 0).into());
        found.insert(
            "times_set_by",
            match learned.mtime {
                Some(MtimeBy::Mfmt) => Finding::from("MFMT"),
                Some(MtimeBy::Mdtm) => "MDTM".into(),
                Some(MtimeBy::SiteUtime | MtimeBy::SiteUtimeFive) => "SITE UTIME".into(),
                Some(MtimeBy::Nothing) | None => Finding::Unknown,
            },
        );
        found.insert("reads_times", features.has("MDTM").into());
        // What is written in place replaces nothing by a rename.
        let was_tried = learned.renames == Some(true) && !learned.refuses_temp_names;
        found.insert("rename_replaces", was_tried.then_some(learned.replaces).into());
        found.insert("temporary_names", (!learned.refuses_temp_names).into());
        // The other engine sends one at a time whatever the server can do.
        let is_own = self.server.config.engine == Engine::Own;
        found.insert("engine", if is_own { "own" } else { "suppaftp" }.into());
        found.insert("several_commands_at_once", is_own.then_some(!learned.one_by_one).into());
        let hashes = HASHES.iter().filter(|word| features.has(word)).map(|word| (*word).to_owned());
        found.insert("checksums", hashes.collect::<Vec<_>>().into());
        found.insert("resumes", features.argument("REST").is_some_and(|how| how.contains("STREAM")).into());
        found.insert("data_tls", learned.data_tls.clone().into());
        let way = match (learned.mode, self.server.config.active, learned.passive) {
            (Some(Mode::Active), ..) | (None, true, _) => "active",
            (_, _, Some(Passive::Classic)) => "PASV",
            _ => "EPSV",
        };
        found.insert("data_by", way.into());
        found
    }

    /// Lists the root over a data connection that is made in one way only.
    fn try_way(&self, way: Way, by_list: bool, found: &mut Findings) -> Result<Listing> {
        let mut session = self.stranger(way, by_list)?;
        found.entry("software").or_insert_with(|| session.control.banner().map(first_line).into());
        found.entry("tls").or_insert_with(|| session.control.tls_words().into());
        let listing = session.list(&RelPath::root())?;
        Box::new(session).close();
        Ok(listing)
    }

    /// A session that knows nothing about the server, except how folders are listed and data connections are to be made.
    fn stranger(&self, way: Way, by_list: bool) -> Result<FtpSession> {
        let given = &self.server.config;
        let config = FtpConfig {
            active: way == Way::Active,
            trust_pasv_host: way == Way::PasvAsNamed || given.trust_pasv_host,
            no_mlsd: by_list || given.no_mlsd,
            timeout: given.timeout.min(PATIENCE),
            connect_timeout: given.connect_timeout.min(PATIENCE),
            ..given.clone()
        };
        let mut target = FtpTarget::new(config)?;
        let server = Arc::get_mut(&mut target.server).ok_or_else(Error::cancelled)?;
        // An interruption of the check-up is one of this conversation too.
        server.sockets = Arc::clone(&self.server.sockets);
        {
            // What hangs, or is empty, is not tried anew: it would be taken for the fault of the way.
            let known = self.server.learned();
            let mut learned = server.learned();
            learned.lister = known.lister.filter(|lister| !by_list || *lister != Lister::Mlsd);
            learned.mlsd_proven = known.mlsd_proven;
            // So that it is known which command hangs: a refusal could be that of the next one.
            learned.one_by_one = true;
            learned.mode_was_changed = true;
            learned.passive = match way {
                Way::Epsv => Some(Passive::Extended),
                Way::Pasv | Way::PasvAsNamed => Some(Passive::Classic),
                Way::Active => None,
            };
        }
        // The conversation before this one may still count.
        when_there_is_room(|| login::open(&target.server), || true)
    }
}

/// How many names LIST shows that MLSD does not.
fn hidden(machine: &Listing, list: &Listing) -> usize {
    let names: std::collections::HashSet<&str> =
        machine.entries.iter().map(|entry| entry.name.as_str()).collect();
    list.entries.iter().filter(|entry| !names.contains(entry.name.as_str())).count()
}

/// The first line of a reply that says something, without its code.
fn first_line(text: &str) -> String {
    let words = |line: &str| {
        line.trim_start_matches(|c: char| c.is_ascii_digit()).trim_matches(['-', ' ']).to_owned()
    };
    text.lines().map(words).find(|line| !line.is_empty()).unwrap_or_default()
}
