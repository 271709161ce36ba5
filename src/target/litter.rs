//! What servers keep for themselves among the files of their users, whichever way one comes to them: quotas, thumbnails.

const LITTER: [&str; 2] = [".ftpquota", "@eaDir"];

/// Why it is left out.
pub(super) const WHY: &str = "the server keeps it for itself";

/// Whether a name is one of those.
pub(super) fn is_litter(name: &str) -> bool {
    LITTER.contains(&name)
}
