//! Names that Windows does not have. As names of files it would take them for something else: another folder, a drive, a device.

/// Characters that no name on Windows has.
pub const NOT_ON_WINDOWS: &str = "<>:\"|?*\\";

/// Devices of Windows: a file that is called so, whatever comes behind a dot, is the device.
const DEVICES: [&str; 4] = ["CON", "PRN", "AUX", "NUL"];

/// Why there can be no file or folder of this name on Windows, as a clause.
pub fn why_not_on_windows(name: &str) -> Option<String> {
    let bad = name.chars().find(|c| NOT_ON_WINDOWS.contains(*c) || c.is_ascii_control());
    if let Some(bad) = bad.or_else(|| name.chars().next_back().filter(|last| matches!(last, '.' | ' '))) {
        return Some(format!("no name can have {bad:?} at this place"));
    }
    let stem = name.split('.').next().unwrap_or_default().trim_end().to_uppercase();
    is_device(&stem).then(|| format!("{stem} is no file but a device"))
}

/// `CON`, `COM1`, `LPT9` and so on.
fn is_device(stem: &str) -> bool {
    let numbered = stem.strip_prefix("COM").or_else(|| stem.strip_prefix("LPT"));
    let is_number = |rest: &str| {
        let mut digits = rest.chars();
        matches!((digits.next(), digits.next()), (Some('1'..='9' | '¹' | '²' | '³'), None))
    };
    DEVICES.contains(&stem) || numbered.is_some_and(is_number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_windows_cannot_have_are_known() {
        for bad in [
            "a:b",
            "..\\b",
            "C:\\b",
            "\\\\host\\b",
            "a?",
            "tab\there",
            "dot.",
            "blank ",
            "...",
            "con",
            "Nul.txt",
            "aux.tar.gz",
            "COM1",
            "lpt9.x",
            "COM²",
        ] {
            assert!(why_not_on_windows(bad).is_some(), "{bad}");
        }
        for fine in ["console", "com", "COM0", "COM10", "lpt", "auxiliary.c", "a con", ".con", "nul-", "it's"]
        {
            assert_eq!(why_not_on_windows(fine), None, "{fine}");
        }
        assert!(why_not_on_windows("prn.log").unwrap().contains("PRN is no file but a device"));
    }
}
