//! What one line of a listing says, whatever the format.

use crate::model::Stamp;

/// What a listed name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ItemKind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// A symbolic link, junction or the like; what it leads to is unknown.
    Link,
    /// A device, a pipe, a socket, or a kind that this program has no word for.
    Special,
}

/// One listed name with what the server says about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    /// The bytes of the name, unchanged.
    pub name: Vec<u8>,
    /// What it stands for.
    pub kind: ItemKind,
    /// Bytes, where given.
    pub size: Option<u64>,
    /// Modification time, where given. From a LIST line it is in the unknown time zone of the server.
    pub mtime: Option<Stamp>,
    /// The MLSD fact `unique`, where given.
    pub unique: Option<String>,
    /// The permission bits, where given: read, write and execute for owner, group and others.
    pub mode: Option<u16>,
}

/// What became of one line.
#[derive(Debug, Clone, PartialEq)]
pub enum Line {
    /// It lists a name.
    Item(Item),
    /// It lists nothing: a total, an empty line, the folder itself, its parent.
    Nothing,
    /// It cannot be understood, so a name may be missing.
    Bad,
}

impl Line {
    /// The line for an item, unless it is the folder itself or its parent under their plain names.
    pub(super) fn of(item: Item) -> Self {
        match &*item.name {
            b"." | b".." => Line::Nothing,
            b"" => Line::Bad,
            _ => Line::Item(item),
        }
    }
}
