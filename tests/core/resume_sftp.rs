//! Large files over SFTP go on where an interrupted transfer has ended.

use crate::sftp_server::{Habits, SftpServer};
use crate::tree::{self, Setup, Shared};
use ftpsync::model::TEMP_PREFIX;
use ftpsync::plan::Mode;
use ftpsync::target::RESUMED;
use ftpsync::target::ftp::Secret;
use ftpsync::target::local::{Links, LocalTarget};
use ftpsync::target::sftp::{HostKeys, SftpConfig, SftpTarget};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const MIB: usize = 1024 * 1024;
const CUT: usize = 5 * MIB;
const SIZE: usize = RESUMED as usize + MIB;
/// What may be under way, and is sent again.
const UNDER_WAY: usize = 64 * 32 * 1024;
const THEN: i64 = 1_704_164_645;

fn content() -> Vec<u8> {
    tree::varied(SIZE)
}

fn put(folder: &Path, content: &[u8], at: i64) {
    let path = folder.join("big");
    std::fs::write(&path, content).unwrap();
    filetime::set_file_mtime(&path, filetime::FileTime::from_unix_time(at, 0)).unwrap();
}

struct World {
    server: SftpServer,
    habits: Habits,
    here: tempfile::TempDir,
    is_verifying: bool,
}

impl World {
    fn new() -> Self {
        let habits = Habits::default();
        let server = SftpServer::start(habits.clone());
        World { server, habits, here: tempfile::tempdir().unwrap(), is_verifying: false }
    }

    fn there(&self) -> &Path {
        self.server.folder.path()
    }

    fn cut(&self, after: &[usize]) {
        self.habits.cuts.lock().unwrap().extend(after);
    }

    /// The connection and all that was learned are new, as in a new process.
    fn sync(&self, mode: Mode) -> tree::Outcome {
        let mut config = SftpConfig::new("127.0.0.1", "/");
        config.port = self.server.port;
        config.user = Some("joe".to_owned());
        config.password = Some(Secret::new("right"));
        config.host_keys = HostKeys::Unchecked;
        config.verify = self.is_verifying;
        let local = LocalTarget::new(self.here.path(), Links::Inside).unwrap();
        tree::run(&local, &Shared(Arc::new(SftpTarget::new(config).unwrap())), &Setup::new(mode))
    }

    /// Where bytes of the file were read or written since the last call; those of small files begin at 0.
    fn offsets(&self) -> Vec<u64> {
        let mut offsets = std::mem::take(&mut *self.habits.offsets.lock().unwrap());
        offsets.retain(|offset| *offset > 0);
        offsets
    }

    /// A run that gets no further than to the middle, however often it tries.
    fn interrupted(&self, mode: Mode) {
        self.cut(&[CUT, 0, 0, 0]);
        let outcome = self.sync(mode);
        assert!(outcome.result.is_err(), "{outcome:?}");
        self.habits.cuts.lock().unwrap().clear();
        self.offsets();
    }
}

fn parts(folder: &Path) -> Vec<PathBuf> {
    let found = std::fs::read_dir(folder).unwrap().flatten().map(|item| item.path());
    found.filter(|path| path.to_string_lossy().contains(TEMP_PREFIX)).collect()
}

#[test]
fn an_upload_goes_on_in_the_same_run_and_in_another_one() {
    for is_other_run in [false, true] {
        let world = World::new();
        put(world.here.path(), &content(), THEN);
        if is_other_run {
            world.interrupted(Mode::Upload);
            assert_eq!((parts(world.there()).len(), world.there().join("big").exists()), (1, false));
        } else {
            world.cut(&[CUT]);
        }
        world.sync(Mode::Upload).result.unwrap();
        assert!(std::fs::read(world.there().join("big")).unwrap() == content());
        assert_eq!(parts(world.there()), [] as [PathBuf; 0]);
        let offsets = world.offsets();
        let again = offsets.len() - offsets.iter().collect::<std::collections::HashSet<_>>().len();
        if is_other_run {
            let first = *offsets.iter().min().unwrap() as usize;
            assert!(first + UNDER_WAY >= CUT - MIB && first <= CUT, "it began at {first}");
        } else {
            assert!(again <= UNDER_WAY / 32768 + 1, "{again} pieces were sent twice");
        }
    }
}

#[test]
fn a_download_goes_on_in_the_same_run_and_in_another_one() {
    for is_other_run in [false, true] {
        let world = World::new();
        put(world.there(), &content(), THEN);
        if is_other_run {
            world.interrupted(Mode::Download);
            assert_eq!((parts(world.here.path()).len(), world.here.path().join("big").exists()), (1, false));
        } else {
            world.cut(&[CUT]);
        }
        world.sync(Mode::Download).result.unwrap();
        assert!(std::fs::read(world.here.path().join("big")).unwrap() == content());
        assert_eq!(parts(world.here.path()), [] as [PathBuf; 0]);
        let offsets = world.offsets();
        let most = (SIZE + UNDER_WAY) / 32768 + 8;
        assert!(offsets.len() <= if is_other_run { most - (CUT - UNDER_WAY) / 32768 } else { most });
    }
}

#[test]
fn a_source_that_has_changed_is_not_continued() {
    let other: Vec<u8> = content().iter().map(|byte| byte ^ 0xFF).collect();
    for mode in [Mode::Upload, Mode::Download] {
        let world = World::new();
        let (source, target) = match mode {
            Mode::Upload => (world.here.path(), world.there()),
            _ => (world.there(), world.here.path()),
        };
        put(source, &content(), THEN);
        world.interrupted(mode);
        put(source, &other, THEN + 10);
        world.sync(mode).result.unwrap();
        assert!(std::fs::read(target.join("big")).unwrap() == other, "{mode:?}");
    }
}

#[test]
fn small_files_whose_connection_is_lost_leave_nothing_behind() {
    let world = World::new();
    for number in 0..60 {
        std::fs::write(world.here.path().join(number.to_string()), content().split_at(5000).0).unwrap();
    }
    world.cut(&[100_000]);
    world.sync(Mode::Upload).result.unwrap();
    assert_eq!(world.habits.cuts.lock().unwrap().len(), 0);
    assert!(std::fs::read_dir(world.there()).unwrap().count() >= 60);
    assert_eq!(parts(world.there()), [] as [PathBuf; 0]);
}

#[test]
fn what_is_compared_afterwards_is_sent_as_a_whole() {
    let mut world = World::new();
    world.is_verifying = true;
    put(world.here.path(), &content(), THEN);
    world.interrupted(Mode::Upload);
    world.sync(Mode::Upload).result.unwrap();
    let offsets = world.offsets();
    assert!(offsets.len() >= 2 * (SIZE / 32768 - 1), "written and read back: {}", offsets.len());
    assert!(std::fs::read(world.there().join("big")).unwrap() == content());
}

#[test]
fn an_upload_over_a_file_that_may_only_be_read_goes_on_and_leaves_it_so() {
    for is_part_closed in [false, true] {
        let world = World::new();
        put(world.there(), b"old", THEN - 100);
        let old = world.there().join("big");
        std::fs::set_permissions(&old, std::fs::Permissions::from_mode(0o444)).unwrap();
        put(world.here.path(), &content(), THEN);
        world.interrupted(Mode::Upload);
        let parts_left = parts(world.there());
        assert_eq!(parts_left.len(), 1);
        if is_part_closed {
            std::fs::set_permissions(&parts_left[0], std::fs::Permissions::from_mode(0o444)).unwrap();
        }
        world.sync(Mode::Upload).result.unwrap();
        assert!(std::fs::read(&old).unwrap() == content());
        assert_eq!(std::fs::metadata(&old).unwrap().permissions().mode() & 0o777, 0o444);
        assert_eq!(parts(world.there()), [] as [PathBuf; 0]);
        let begins_anew = world.offsets().contains(&32768);
        assert_eq!(begins_anew, is_part_closed);
    }
}
