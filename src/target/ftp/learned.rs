//! What was learned about a server. All sessions of a target share it, so that each trial is made once.

use super::early_end::EarlyEnd;
use super::tls::Versions;
use crate::error::Result;
use crate::model::Stamp;
use crate::wire::ftp::{Command, Features};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// Facts about one server; `None` means not tried yet.
#[derive(Debug, Default)]
pub struct Learned {
    /// The shortest time in which a connection was made, or through a proxy a command was answered.
    pub round_trip: Option<Duration>,
    /// The code of a success that was no answer to SIZE.
    pub odd_size: Option<u16>,
    /// SIZE has told the right size of a file that was just written.
    pub sizes_are_right: bool,
    /// The reply to FEAT.
    pub features: Option<Arc<Features>>,
    /// The addresses of the server, as they were found last.
    pub addresses: Vec<SocketAddr>,
    /// Who opens data connections, where that is not as configured.
    pub mode: Option<Mode>,
    /// A data connection was of use.
    pub mode_works: bool,
    /// Whether PORT opens the data connection, and not the command of the transfer, which may follow PORT at once otherwise.
    pub connects_at_port: Option<bool>,
    /// The other mode was tried.
    pub mode_was_changed: bool,
    /// The user was told how many sessions are allowed.
    pub limit_was_told: bool,
    /// How passive connections are asked for.
    pub passive: Option<Passive>,
    /// Whether it helps to end our direction of a data connection right away.
    pub early_end: EarlyEnd,
    /// A lock was seen in the root.
    pub has_lock: bool,
    /// A file was read to find that out.
    pub had_trial: bool,
    /// How folders are listed.
    pub lister: Option<Lister>,
    /// An empty MLSD is to be believed: one with lines in it was seen.
    pub mlsd_proven: bool,
    /// MLSD lists the folder itself, so that no listing is without a line.
    pub mlsd_names_folders: bool,
    /// How often MLSD has hung.
    pub mlsd_stalls: u32,
    /// Parts of uploads that the server does not let go of, and the numbers of the names that replace theirs.
    pub held_parts: HashMap<u64, u64>,
    /// A transfer from the middle of a file was refused, perhaps for that.
    pub doubts_rest: bool,
    /// Commands that the server seemed to have, and that are of no use.
    pub lacks: Vec<String>,
    /// The reply to SYST, without its code.
    pub system: Option<String>,
    /// The server runs Windows.
    pub is_windows: bool,
    /// Whether names may end so.
    pub keeps: HashMap<&'static str, bool>,
    /// `LIST -a` was tried, and is no better than plain LIST.
    pub list_is_plain: bool,
    /// What has to be added to times of LIST, in seconds.
    pub list_offset: Option<i64>,
    /// By how many seconds times in listings are ahead of our clock, where nothing but a listing tells the time of what was
    /// written; the inner `None` if those do not tell either.
    pub listings_ahead: Option<Option<i64>>,
    /// How modification times are set.
    pub mtime: Option<MtimeBy>,
    /// MDTM tells other times than the listings do.
    pub times_differ: bool,
    /// Whether files can be renamed.
    pub renames: Option<bool>,
    /// That they cannot was concluded from a refusal which may have been about one file.
    pub rename_was_refused: bool,
    /// A rename onto an existing file was seen to replace it. Until then, each one is looked after.
    pub replaces: bool,
    /// Permissions cannot be set: what replaces a file has those of a new one.
    pub refuses_chmod: bool,
    /// SITE CHMOD has worked.
    pub sets_rights: bool,
    /// The user was told of a file that has lost unusual ones.
    pub told_of_lost_rights: bool,
    /// Temporary names are refused; files are written in place.
    pub refuses_temp_names: bool,
    /// Several commands in one packet confuse the server.
    pub one_by_one: bool,
    /// Which versions of TLS to offer.
    pub versions: Option<Versions>,
    /// Whether data connections have to resume the TLS session of their control connection.
    pub resumption: Option<Resumption>,
    /// Data connections were seen to break off at their end.
    pub ends_rudely: bool,
    /// How the first data connection was encrypted, as the user was told.
    pub data_tls: Option<String>,
}

impl Learned {
    /// The way to the server and back was gone in this time.
    pub fn takes_at_most(&mut self, time: Duration) {
        self.round_trip = Some(self.round_trip.map_or(time, |known| known.min(time)));
    }

    /// Whether modification times can be set, as far as known.
    pub fn sets_mtime(&self) -> bool {
        match self.mtime {
            Some(MtimeBy::Nothing) => false,
            Some(_) => true,
            None => self.features.as_ref().is_some_and(|features| features.has("MFMT")),
        }
    }
}

/// Who opens data connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// This side.
    Passive,
    /// The server.
    Active,
}

/// What a server does about data connections that resume no TLS session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resumption {
    /// It refuses them.
    Required,
    /// It accepts them.
    Optional,
}

/// A command for a passive connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passive {
    /// EPSV (RFC 2428).
    Extended,
    /// PASV (RFC 959).
    Classic,
}

impl Passive {
    /// The command itself.
    pub fn command(self) -> Command {
        Command::bare(match self {
            Passive::Extended => "EPSV",
            Passive::Classic => "PASV",
        })
    }
}

/// A command for listings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lister {
    /// MLSD (RFC 3659).
    Mlsd,
    /// `LIST -a`, which shows names that begin with a dot.
    ListAll,
    /// Plain LIST.
    List,
}

/// A way to set modification times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MtimeBy {
    /// `MFMT time path` (draft-somers-ftp-mfxx).
    Mfmt,
    /// `MDTM time path` (vsftpd, IIS).
    Mdtm,
    /// `SITE UTIME time path`.
    SiteUtime,
    /// `SITE UTIME path time time time UTC`.
    SiteUtimeFive,
    /// None: the server cannot.
    Nothing,
}

impl MtimeBy {
    /// What to try, best first.
    pub fn candidates(features: &Features) -> Vec<MtimeBy> {
        let mut candidates = Vec::new();
        if features.has("MFMT") || features.is_empty() {
            candidates.push(MtimeBy::Mfmt);
        }
        if features.has("MDTM") || features.is_empty() {
            candidates.push(MtimeBy::Mdtm);
        }
        candidates.extend([MtimeBy::SiteUtime, MtimeBy::SiteUtimeFive]);
        candidates
    }

    /// The command that sets the time of a file; `None` if there is no way.
    ///
    /// # Errors
    /// [`Kind::Name`](crate::error::Kind::Name) for a path that cannot be sent.
    pub fn command(self, path: &[u8], at: Stamp) -> Result<Option<Command>> {
        Ok(Some(match self {
            MtimeBy::Mfmt => Command::timed("MFMT", at, path)?,
            MtimeBy::Mdtm => Command::timed("MDTM", at, path)?,
            MtimeBy::SiteUtime => Command::timed("SITE UTIME", at, path)?,
            MtimeBy::SiteUtimeFive => {
                let digits = crate::wire::ftp::time::digits(at);
                let times = format!(" {digits} {digits} {digits} UTC");
                Command::path("SITE UTIME", &[path, times.as_bytes()].concat())?
            }
            MtimeBy::Nothing => return Ok(None),
        }))
    }
}
