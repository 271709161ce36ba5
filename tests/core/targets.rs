//! The contract suite on the targets that need no server.

use super::contract::check;
use super::tree::at;
use ftpsync::target::local::{Links, LocalTarget};
use ftpsync::target::memory::MemoryTarget;

#[test]
fn memory_keeps_the_contract() {
    check(&MemoryTarget::new("memory"));
}

#[test]
fn memory_without_times_keeps_the_contract() {
    check(&MemoryTarget::new("memory").without_times(at(0)));
}

#[test]
fn a_local_folder_keeps_the_contract() {
    let root = tempfile::tempdir().unwrap();
    check(&LocalTarget::new(root.path(), Links::Inside).unwrap());
}
