//! What a folder looks like to the plan (its listing, what its metadata remember, what is nobody's file), and what it is to
//! remember.

use super::{Crew, borrowed};
use crate::engine::job::{Since, View};
use crate::engine::lock::refuse_another;
use crate::error::{Error, Kind, Result, Retry};
use crate::locked::locked;
use crate::model::meta::{MAX_LOCAL_META_SIZE, MAX_META_SIZE, MetaError};
use crate::model::{DirMeta, Entry, EntryKind, LOCK_FILE_NAME, META_FILE_NAME, Name, Note, RelPath, Side};
use crate::plan::filter::is_temporary;
use crate::target::layer::shadow_mtime;
use crate::target::pool::Pool;
use crate::target::{Expect, Put, Session};
use std::io::Read;

impl Crew<'_> {
    /// Lists a folder and reads its metadata.
    pub(super) fn view(&self, session: &mut dyn Session, side: Side, dir: &RelPath) -> Result<Box<View>> {
        let mut listing = session.list(dir)?;
        for name in
            self.hidden.iter().filter(|path| path.parent().as_ref() == Some(dir)).map(RelPath::file_name)
        {
            let is_hidden = |entry: &Entry| entry.name.as_str() == name;
            listing
                .present_but_skipped
                .extend(listing.entries.extract_if(.., |entry| is_hidden(entry)).map(|entry| entry.name));
        }
        let (mut meta_size, mut meta_time, mut lock, mut leftovers) = (None, None, None, Vec::new());
        let mut meta_file = Expect::Absent;
        listing.entries.retain(|entry| {
            let name = entry.name.as_str();
            if name == META_FILE_NAME && entry.kind == EntryKind::File {
                meta_size = Some(entry.size.unwrap_or(0));
                meta_time = entry.mtime_org.map(|at| at.as_secs_f64());
                meta_file = Expect::File(entry.size, entry.mtime_org);
            }
            let is_lock = name == LOCK_FILE_NAME && dir.is_root();
            if is_lock {
                lock = Some((entry.size, entry.mtime_org));
            }
            if is_temporary(name) && entry.is_file() {
                leftovers.push(entry.clone());
            }
            name != META_FILE_NAME && !is_lock && !is_temporary(name)
        });
        // A memory that is there and cannot even be looked at is not absent. Reading it tells why.
        let is_memory = |note: &Note| note.is_error && note.what == META_FILE_NAME;
        if meta_size.is_none() && listing.notes.iter().any(is_memory) {
            meta_size = Some(0);
        }
        // The keepers need it meanwhile.
        let own = locked(&self.locks)[side].clone();
        if let (Some((size, _)), Some(own)) = (lock, own) {
            let place = self.pools[side].target().base_name();
            let refused = refuse_another(session, &own, size, place);
            locked(&self.stumps)[side] = matches!(refused, Ok(true));
            locked(&self.lost_locks)[side] |= matches!(&refused, Err(error) if error.kind() == Kind::Locked);
            refused?;
        }
        let mut view = View { leftovers, lock, meta_time, meta_file, ..View::default() };
        if let Some(size) = meta_size {
            read_meta(session, side, dir, size, &mut view)?;
        }
        if keeps_shadows(&self.pools[side]) {
            shadow_mtime::apply(&mut listing, &mut view.meta);
        }
        view.entries = listing.entries;
        view.complete = listing.complete;
        view.notes = listing.notes;
        view.present_but_skipped = listing.present_but_skipped;
        view.guessed = listing.guessed;
        Ok(Box::new(view))
    }

    /// Writes the metadata of a folder on one side, or removes them if there is no text. `opposite` is the same folder on the
    /// other side.
    pub(super) fn remember(
        &self,
        side: Side,
        dir: &RelPath,
        opposite: &RelPath,
        text: Option<&str>,
        since: &Since,
    ) -> Result<()> {
        self.secure(side.other(), opposite)?;
        self.persist([side], |sessions| write_meta(borrowed(sessions, side)?, dir, text, since))
    }

    /// What the memory of one side claims of a disk on the other must outlast a power cut there as well.
    fn secure(&self, side: Side, dir: &RelPath) -> Result<()> {
        if self.pools[side].target().caps().is_networked {
            return Ok(());
        }
        self.persist([side], |sessions| borrowed(sessions, side)?.secure(dir))
    }
}

/// What another run has written to a metadata file since it was read, if one has and it can be read.
fn written_meanwhile(session: &mut dyn Session, path: &RelPath, since: &Since) -> Option<DirMeta> {
    let is_known = since.file == Expect::Anything
        || !matches!(session.still(&[(path.clone(), since.file)]).pop(), Some(Ok(Some(false))));
    if is_known {
        return None;
    }
    let mut bytes = Vec::new();
    let mut take = |body: &mut dyn Read| {
        bytes.clear();
        Ok(body.take(MAX_LOCAL_META_SIZE).read_to_end(&mut bytes).map(drop)?)
    };
    session.read(path, &mut take).ok()?;
    DirMeta::parse(&bytes).ok()
}

/// Whether the times that metadata remembers count on a side. On a disk the file's own time is always the true one.
fn keeps_shadows(pool: &Pool) -> bool {
    let caps = pool.target().caps();
    caps.is_networked || !caps.sets_mtime
}

fn read_meta(session: &mut dyn Session, side: Side, dir: &RelPath, size: u64, view: &mut View) -> Result<()> {
    let Ok(name) = Name::new(META_FILE_NAME) else {
        return Ok(());
    };
    let most = if side == Side::Local { MAX_LOCAL_META_SIZE } else { MAX_META_SIZE };
    let mut bytes = Vec::new();
    let read = if size > most {
        Err(Error::new(Kind::Size, "too large"))
    } else {
        session.read(&dir.join(&name), &mut |body| {
            bytes.clear();
            body.take(most + 1).read_to_end(&mut bytes).map_err(Error::from)?;
            Ok(())
        })
    };
    let parsed = match read {
        Err(error) if error.retry() != Retry::No => return Err(error),
        // A memory that is there and may not be read says what was deleted, only not to us.
        Err(error) if side == Side::Local && error.kind() == Kind::Denied => {
            let owner = "whoever has synchronised here before can share it with your group";
            return Err(error.advise(format!("{owner}: chgrp and chmod g+rw")));
        }
        Err(error) if side == Side::Local && error.kind() != Kind::Size => return Err(error),
        Err(error) => Err(MetaError::Invalid(error.to_string())),
        Ok(()) => DirMeta::parse(&bytes),
    };
    view.meta_chars = String::from_utf8_lossy(&bytes).chars().count() as u64;
    match parsed {
        Ok(meta) => view.meta = meta,
        Err(problem) => {
            view.meta = DirMeta::replacing(matches!(problem, MetaError::Version(_)));
            view.meta_problem = Some(problem);
        }
    }
    Ok(())
}

/// Writes the metadata file of a folder, or removes it if there is no text. What others have remembered there meanwhile stays.
pub fn write_meta(session: &mut dyn Session, dir: &RelPath, text: Option<&str>, since: &Since) -> Result<()> {
    let Ok(name) = Name::new(META_FILE_NAME) else {
        return Ok(());
    };
    let path = dir.join(&name);
    let merged = written_meanwhile(session, &path, since).map(|others| {
        let ours = text.and_then(|text| DirMeta::parse(text.as_bytes()).ok()).unwrap_or_default();
        ours.beside(others, &since.peer, text.is_some_and(|text| text.contains('\n')))
    });
    match merged.as_ref().map_or(text, Option::as_deref) {
        Some(text) => {
            let put = Put { size: Some(text.len() as u64), ..Put::default() };
            session.write(&path, &mut text.as_bytes(), &put).map(drop)
        }
        None => match session.remove_file(&path) {
            Err(error) if error.kind() == Kind::NotFound => Ok(()),
            result => result,
        },
    }
}
