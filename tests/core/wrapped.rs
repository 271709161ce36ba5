//! A target of which a test overrides single verbs.
//!
//! All others are those of the target below, with one exception: the other roads to the same end (several files in one go, written
//! behind, in parts, from disk to disk) are not offered. They would lead around the verbs that a test overrides.

use ftpsync::error::{Error, Result};
use ftpsync::model::{Listing, RelPath, Stamp};
use ftpsync::target::checkup::Findings;
use ftpsync::target::{Caps, Claim, Expect, Notes, Put, Session, Target, UploadWatch, Written};
use std::io::Read;
use std::time::Duration;

/// Gets the reader over a file.
pub type Lend<'a> = dyn FnMut(&mut dyn Read) -> Result<()> + 'a;

/// What a test overrides: each verb gets the target or the session below.
///
/// Each session works with a clone of its own.
pub trait Overrides: Clone + Send + Sync + 'static {
    fn base_name<'a>(&'a self, below: &'a dyn Target) -> &'a str {
        below.base_name()
    }
    fn caps(&self, below: &dyn Target) -> Caps {
        below.caps()
    }
    fn round_trip(&self, below: &dyn Target) -> Option<Duration> {
        below.round_trip()
    }
    fn interrupt(&self, below: &dyn Target) {
        below.interrupt();
    }
    fn begin_notes(&self, below: &dyn Target, name: &str) -> Option<Box<dyn Notes>> {
        below.begin_notes(name)
    }
    fn left_notes(&self, below: &dyn Target, name: &str) -> Option<Box<dyn Notes>> {
        below.left_notes(name)
    }
    fn open(&self, below: &dyn Target) -> Result<Box<dyn Session>> {
        self.wrap(below.open()?)
    }
    /// Overrides the verbs of a session.
    fn wrap(&self, below: Box<dyn Session>) -> Result<Box<dyn Session>> {
        Ok(Box::new(WrappedSession { below, with: self.clone() }))
    }
    fn list(&mut self, below: &mut dyn Session, dir: &RelPath) -> Result<Listing> {
        below.list(dir)
    }
    fn announce(&mut self, below: &mut dyn Session, files: &[(&RelPath, u64)]) {
        below.announce(files);
    }
    fn read(&mut self, below: &mut dyn Session, file: &RelPath, lend: &mut Lend<'_>) -> Result<()> {
        below.read(file, lend)
    }
    fn can_read_from(&self, below: &dyn Session) -> bool {
        below.can_read_from()
    }
    fn gains_by_parts(&self, below: &dyn Session) -> bool {
        below.gains_by_parts()
    }
    fn read_from(
        &mut self,
        below: &mut dyn Session,
        file: &RelPath,
        start: u64,
        lend: &mut Lend<'_>,
    ) -> Result<()> {
        below.read_from(file, start, lend)
    }
    fn write(
        &mut self,
        below: &mut dyn Session,
        file: &RelPath,
        body: &mut dyn Read,
        put: &Put,
    ) -> Result<Written> {
        below.write(file, body, put)
    }
    fn mkdir(&mut self, below: &mut dyn Session, dir: &RelPath) -> Result<()> {
        below.mkdir(dir)
    }
    fn remove_file(&mut self, below: &mut dyn Session, file: &RelPath) -> Result<()> {
        below.remove_file(file)
    }
    fn remove_dir(&mut self, below: &mut dyn Session, dir: &RelPath) -> Result<()> {
        below.remove_dir(dir)
    }
    fn still(&mut self, below: &mut dyn Session, names: &[(RelPath, Expect)]) -> Vec<Result<Option<bool>>> {
        below.still(names)
    }
}

/// A target, and what is overridden of it.
#[derive(Clone)]
pub struct Wrapped<T, O> {
    pub below: T,
    pub with: O,
}

struct WrappedSession<O> {
    below: Box<dyn Session>,
    with: O,
}

impl<T: Target, O: Overrides> Target for Wrapped<T, O> {
    fn id(&self) -> &str {
        self.below.id()
    }
    fn legacy_id(&self) -> &str {
        self.below.legacy_id()
    }
    fn base_name(&self) -> &str {
        self.with.base_name(&self.below)
    }
    fn caps(&self) -> Caps {
        self.with.caps(&self.below)
    }
    fn open(&self) -> Result<Box<dyn Session>> {
        self.with.open(&self.below)
    }
    fn round_trip(&self) -> Option<Duration> {
        self.with.round_trip(&self.below)
    }
    fn hides_times(&self) -> bool {
        self.below.hides_times()
    }
    fn names_versions(&self) -> bool {
        self.below.names_versions()
    }
    fn makes_do_with(&self, conversations: usize, refusal: &Error) {
        self.below.makes_do_with(conversations, refusal);
    }
    fn interrupt(&self) {
        self.with.interrupt(&self.below);
    }
    fn begin_notes(&self, name: &str) -> Option<Box<dyn Notes>> {
        self.with.begin_notes(&self.below, name)
    }
    fn watch_uploads(&self, watch: Option<UploadWatch>) {
        self.below.watch_uploads(watch);
    }
    fn left_notes(&self, name: &str) -> Option<Box<dyn Notes>> {
        self.with.left_notes(&self.below, name)
    }
    fn news(&self) -> Vec<(u8, String)> {
        self.below.news()
    }
    fn particulars(&self) -> Findings {
        self.below.particulars()
    }
}

impl<O: Overrides> Session for WrappedSession<O> {
    fn list(&mut self, dir: &RelPath) -> Result<Listing> {
        self.with.list(self.below.as_mut(), dir)
    }
    fn read(&mut self, file: &RelPath, lend: &mut Lend<'_>) -> Result<()> {
        self.with.read(self.below.as_mut(), file, lend)
    }
    fn announce(&mut self, files: &[(&RelPath, u64)]) {
        self.with.announce(self.below.as_mut(), files);
    }
    fn can_read_from(&self) -> bool {
        self.with.can_read_from(self.below.as_ref())
    }
    fn can_write_from(&self) -> bool {
        self.below.can_write_from()
    }
    fn gains_by_parts(&self) -> bool {
        self.with.gains_by_parts(self.below.as_ref())
    }
    fn read_from(&mut self, file: &RelPath, start: u64, lend: &mut Lend<'_>) -> Result<()> {
        self.with.read_from(self.below.as_mut(), file, start, lend)
    }
    fn claim(&mut self, file: &RelPath) -> Result<Option<Box<dyn Claim>>> {
        self.below.claim(file)
    }
    fn version(&mut self, file: &RelPath) -> Option<u64> {
        self.below.version(file)
    }
    fn checks_wholes(&self) -> bool {
        self.below.checks_wholes()
    }
    fn held(&mut self, file: &RelPath, put: &Put) -> Result<u64> {
        self.below.held(file, put)
    }
    fn read_held(&mut self, file: &RelPath, put: &Put, start: u64, lend: &mut Lend<'_>) -> Result<()> {
        self.below.read_held(file, put, start, lend)
    }
    fn end_upload(&mut self, file: &RelPath, upload: &str) -> Result<()> {
        self.below.end_upload(file, upload)
    }
    fn write(&mut self, file: &RelPath, body: &mut dyn Read, put: &Put) -> Result<Written> {
        self.with.write(self.below.as_mut(), file, body, put)
    }
    fn secure(&mut self, dir: &RelPath) -> Result<()> {
        self.below.secure(dir)
    }
    fn mkdir(&mut self, dir: &RelPath) -> Result<()> {
        self.with.mkdir(self.below.as_mut(), dir)
    }
    fn remove_file(&mut self, file: &RelPath) -> Result<()> {
        self.with.remove_file(self.below.as_mut(), file)
    }
    fn remove_dir(&mut self, dir: &RelPath) -> Result<()> {
        self.with.remove_dir(self.below.as_mut(), dir)
    }
    fn rename(&mut self, from: &RelPath, to: &RelPath) -> Result<()> {
        self.below.rename(from, to)
    }
    fn redated(&self, file: &RelPath) -> Option<Stamp> {
        self.below.redated(file)
    }
    fn set_mtime(&mut self, file: &RelPath, to: Stamp) -> Result<()> {
        self.below.set_mtime(file, to)
    }
    fn own_times(&mut self, files: &[RelPath]) -> Result<Vec<Option<Stamp>>> {
        self.below.own_times(files)
    }
    fn carried_time(&self, file: &RelPath) -> Option<Stamp> {
        self.below.carried_time(file)
    }
    fn still(&mut self, names: &[(RelPath, Expect)]) -> Vec<Result<Option<bool>>> {
        self.with.still(self.below.as_mut(), names)
    }
    fn look_afresh(&mut self) {
        self.below.look_afresh();
    }
    fn is_alive(&mut self) -> bool {
        self.below.is_alive()
    }
    fn greeting(&self) -> &[(u8, String)] {
        self.below.greeting()
    }
    fn close(self: Box<Self>) {
        self.below.close();
    }
}
