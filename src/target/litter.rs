//! What servers keep for themselves among the files of their users, whichever way one comes to them: quotas, thumbnails, what is
//! being uploaded.

const LITTER: [&str; 2] = [".ftpquota", "@eaDir"];
/// Under such a name Pure-FTPd keeps an upload until it is complete. It stays if the server is stopped before.
const UPLOAD: &str = ".pureftpd-upload.";

/// Why it is left out.
pub(super) const WHY: &str = "the server keeps it for itself";

/// Whether a name is one of those.
pub(super) fn is_litter(name: &str) -> bool {
    LITTER.contains(&name) || name.starts_with(UPLOAD)
}
