//! Lines of a machine listing (MLSD and MLST, RFC 3659, section 7).

use crate::wire::ftp::{Item, ItemKind, Line, time};

/// Reads one line, without its line end: `fact=value;...; name`.
///
/// The names of facts and the values of `type` are compared without case. Missing `size` and `modify` are `None`; a value
/// that is there but cannot be read, and a line without `type`, are [`Line::Bad`].
pub fn parse(line: &[u8]) -> Line {
    if line.iter().all(u8::is_ascii_whitespace) {
        return Line::Nothing;
    }
    match split(line).and_then(|(facts, name)| read(facts, name)) {
        Some(line) => line,
        None => Line::Bad,
    }
}

/// Facts and name. Values may contain blanks (`UNIX.groupname=domain users`) and names semicolons, so the first
/// semicolon with a blank behind it is the border; a server that forgets the last semicolon gets the first blank.
fn split(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let border = line.windows(2).position(|pair| pair == b"; ");
    let blank = match border {
        Some(semicolon) => semicolon + 1,
        None => line.iter().position(|&byte| byte == b' ')?,
    };
    Some((&line[..blank], &line[blank + 1..]))
}

fn read(facts: &[u8], name: &[u8]) -> Option<Line> {
    let mut item = Item {
        name: name.to_vec(),
        kind: ItemKind::Special,
        size: None,
        mtime: None,
        unique: None,
        mode: None,
    };
    let mut folder_size = None;
    let mut kind = None;
    for fact in facts.split(|&byte| byte == b';').filter(|fact| !fact.is_empty()) {
        let equals = fact.iter().position(|&byte| byte == b'=')?;
        let value = String::from_utf8_lossy(&fact[equals + 1..]);
        match fact[..equals].to_ascii_lowercase().as_slice() {
            b"type" => kind = Some(kind_of(&value)),
            b"size" => item.size = optional(&value, |value| value.parse().ok())?,
            b"sizd" => folder_size = optional(&value, |value| value.parse::<u64>().ok())?,
            b"modify" => item.mtime = optional(&value, time::parse)?,
            b"unix.mode" => item.mode = u16::from_str_radix(&value, 8).ok().map(|mode| mode & 0o777),
            b"unique" => item.unique = (!value.is_empty()).then(|| value.into_owned()),
            _ => {}
        }
    }
    match kind? {
        Role::Surroundings => return Some(Line::Nothing),
        Role::Item(kind) => item.kind = kind,
    }
    if item.kind == ItemKind::Folder {
        item.size = item.size.or(folder_size);
    }
    Some(Line::of(item))
}

/// An empty value counts as missing; any other has to be readable.
fn optional<T>(value: &str, read: impl Fn(&str) -> Option<T>) -> Option<Option<T>> {
    if value.is_empty() { Some(None) } else { read(value).map(Some) }
}

/// What a `type` says.
enum Role {
    /// The folder itself or its parent.
    Surroundings,
    Item(ItemKind),
}

fn kind_of(value: &str) -> Role {
    let value = value.to_ascii_lowercase();
    Role::Item(match value.as_str() {
        "cdir" | "pdir" => return Role::Surroundings,
        "file" => ItemKind::File,
        "dir" => ItemKind::Folder,
        // OS.unix=slink:target (ProFTPD, Pure-FTPd), OS.unix=symlink
        _ if value.contains("=slink") || value.contains("=symlink") => ItemKind::Link,
        _ => ItemKind::Special,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Stamp;

    fn item(line: &str) -> Item {
        match parse(line.as_bytes()) {
            Line::Item(item) => item,
            other => panic!("{line:?} is {other:?}"),
        }
    }

    #[test]
    fn real_lines_of_real_servers() {
        use ItemKind::{File, Folder, Link, Special};
        #[rustfmt::skip]
        let cases = [
            ("modify=20240102030405;perm=adfrw;size=12;type=file;unique=801U2;UNIX.mode=0644; a.txt", "a.txt", File, Some(12)),
            ("type=file;size=1;modify=20240102030405.888;perm=awr; b", "b", File, Some(1)),
            ("Type=file;Size=7;Modify=20240102030405; Upper", "Upper", File, Some(7)),
            ("modify=20240102030405;perm=fle;type=dir;unique=1U2;UNIX.group=0;UNIX.groupname=domain users; d", "d", Folder, None),
            ("type=dir;sizd=4096;modify=20240102030405; pure", "pure", Folder, Some(4096)),
            ("type=OS.unix=slink:/etc/a b;modify=20240102030405; l", "l", Link, None),
            ("type=OS.unix=symlink; l2", "l2", Link, None),
            ("type=OS.unix=chr-5/0; null", "null", Special, None),
            ("type=file; only type", "only type", File, None),
            ("type=file;size=;modify=; empty values", "empty values", File, None),
            ("type=file;size=3;  leading and trailing  ", " leading and trailing  ", File, Some(3)),
            ("type=file;size=3; a; b;c=d; e", "a; b;c=d; e", File, Some(3)),
            ("type=file;size=3 no last semicolon", "no last semicolon", File, Some(3)),
        ];
        for (line, name, kind, size) in cases {
            let item = item(line);
            assert_eq!(
                (String::from_utf8_lossy(&item.name).as_ref(), item.kind, item.size),
                (name, kind, size),
                "{line}"
            );
        }
    }

    #[test]
    fn permissions_are_octal_and_only_nine_bits_count() {
        for (fact, mode) in [
            ("UNIX.mode=0644", Some(0o644)),
            ("unix.mode=4755", Some(0o755)),
            ("UNIX.mode=", None),
            ("UNIX.mode=rw", None),
        ] {
            assert_eq!(item(&format!("type=file;{fact}; x")).mode, mode, "{fact}");
        }
    }

    #[test]
    fn fractions_and_unique_are_kept() {
        let item = item("type=file;modify=20200102030405.25;unique=AAU12; x");
        assert_eq!(item.mtime, Some(Stamp::new(1_577_934_245, 250_000_000)));
        assert_eq!(item.unique.as_deref(), Some("AAU12"));
    }

    #[test]
    fn the_folder_itself_and_its_parent_are_no_items() {
        for line in
            ["type=cdir; /x", "type=pdir; ..", "Type=CDir; .", "type=dir; .", "type=dir; ..", "", "  "]
        {
            assert_eq!(parse(line.as_bytes()), Line::Nothing, "{line}");
        }
    }

    #[test]
    fn broken_lines_are_bad() {
        for line in [
            "type=file;size=x; a",
            "type=file;modify=2024; a",
            "type=file;size=1;",
            "type=file;size=-1; a",
            "size=1; no type",
            "type=file; ",
            "garbage",
            "drwxr-xr-x 2 0 0 4096 Jan 1 2020 a",
            " just a name",
        ] {
            assert_eq!(parse(line.as_bytes()), Line::Bad, "{line}");
        }
    }

    #[test]
    fn bytes_of_names_stay_as_they_are() {
        match parse(b"type=file; \xe4\xff") {
            Line::Item(item) => assert_eq!(item.name, b"\xe4\xff"),
            other => panic!("{other:?}"),
        }
    }
}
