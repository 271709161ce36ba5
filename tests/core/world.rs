//! Every situation that one name can be in, as a vocabulary.

use super::tree::{Setup, at};
use ftpsync::model::{Side, Stamp};
use ftpsync::plan::{Mode, Strategy};
use ftpsync::target::memory::MemoryTarget;

/// What a side has under the name `x`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Here {
    Absent,
    Same,
    Newer,
    Older,
    Resized,
    Folder,
}

impl Here {
    pub const ALL: [Here; 6] =
        [Here::Absent, Here::Same, Here::Newer, Here::Older, Here::Resized, Here::Folder];

    fn put(self, target: &MemoryTarget) {
        let file = |bytes: &[u8], mtime: Stamp| target.put("x", bytes, mtime);
        match self {
            Here::Absent => {}
            Here::Same => file(b"same", at(0)),
            Here::Newer => file(b"newr", at(10)),
            Here::Older => file(b"oldr", at(-10)),
            Here::Resized => file(b"resized", at(0)),
            Here::Folder => target.put("x/in", b"in", at(0)),
        }
    }
}

/// What the last run remembers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Memory {
    None,
    Unlisted,
    File,
    Folder,
}

impl Memory {
    pub const ALL: [Memory; 4] = [Memory::None, Memory::Unlisted, Memory::File, Memory::Folder];

    fn text(self, peer: &str) -> Option<String> {
        let entry = match self {
            Memory::None => return None,
            Memory::Unlisted => String::new(),
            Memory::File => format!(",\"x\":{{\"m\":{},\"s\":4,\"u\":1650000000}}", at(0).seconds()),
            Memory::Folder => ",\"x\":{\"m\":null,\"s\":null,\"u\":1650000000}".to_owned(),
        };
        let record = format!(
            "{{\":last_sync\":1650000000,\"keep\":{{\"m\":{0},\"s\":4,\"u\":1650000000}}{entry}}}",
            at(0).seconds()
        );
        Some(format!("{{\"_file_version\":3,\"mtimes\":{{}},\"peer_sync\":{{\"{peer}\":{record}}}}}"))
    }
}

/// One situation: what is remembered, what each side has, and the rules.
#[derive(Clone)]
pub struct World {
    pub name: String,
    pub memory: Memory,
    pub here: [Here; 2],
    pub setup: Setup,
}

impl World {
    /// The two trees of this world, beside a file `keep` that both sides have.
    pub fn trees(&self) -> (MemoryTarget, MemoryTarget) {
        let (local, remote) = (MemoryTarget::new("/local"), MemoryTarget::new("/remote"));
        for (target, here) in [(&local, self.here[0]), (&remote, self.here[1])] {
            target.put("keep", b"keep", at(0));
            here.put(target);
        }
        if let Some(text) = self.memory.text("/remote") {
            local.put(".pyftpsync-meta.json", text.as_bytes(), at(0));
        }
        (local, remote)
    }

    /// The same world seen in a mirror. The memory lies on the local side, so it goes with it.
    pub fn mirrored(&self) -> World {
        let mut mirrored = self.clone();
        mirrored.here.reverse();
        mirrored.setup.policy = self.setup.policy.swap();
        mirrored
    }
}

/// Every world: memory x local x remote x mode x flags x exclusion x strategy.
pub fn worlds() -> Vec<World> {
    let strategies = [
        Strategy::Skip,
        Strategy::Prefer(Side::Local),
        Strategy::Prefer(Side::Remote),
        Strategy::Old,
        Strategy::New,
    ];
    let flags = |bits: u32, bit: u32| bits & (1 << bit) != 0;
    let mut worlds = Vec::new();
    for memory in Memory::ALL {
        for local in Here::ALL {
            for remote in Here::ALL {
                for mode in [Mode::Sync, Mode::Upload, Mode::Download] {
                    for bits in 0..16 {
                        for strategy in strategies {
                            let is_known = match (mode, strategy) {
                                (Mode::Sync, _) | (_, Strategy::Skip) => true,
                                (Mode::Upload, strategy) => strategy == Strategy::Prefer(Side::Local),
                                (Mode::Download, strategy) => strategy == Strategy::Prefer(Side::Remote),
                            };
                            // Both ways the first three flags have no effect.
                            if !is_known || (mode == Mode::Sync && bits & 7 != 0) {
                                continue;
                            }
                            let mut setup = Setup::new(mode);
                            setup.threads = 1;
                            setup.policy.strategy = Some(strategy);
                            setup.policy.force = flags(bits, 0);
                            setup.policy.delete = flags(bits, 1);
                            setup.policy.delete_unmatched = flags(bits, 2);
                            if flags(bits, 3) {
                                setup.exclude = vec!["x".into()];
                            }
                            let name =
                                format!("{memory:?} {local:?}/{remote:?} {mode:?} {bits:04b} {strategy:?}");
                            worlds.push(World { name, memory, here: [local, remote], setup });
                        }
                    }
                }
            }
        }
    }
    worlds
}
