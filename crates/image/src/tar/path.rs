//! Cleans the names of entries, or refuses them.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

/// Returns `name` as a path below the root: `/a`, `./a` and `a//b/` have one meaning. A name that climbs, is
/// empty or has a NUL is refused, with the reason.
pub(crate) fn clean(name: &[u8], limit: usize) -> Result<PathBuf, String> {
    if name.is_empty() {
        return Err("its name is empty".into());
    }
    if name.len() > limit {
        return Err(format!("its name has {} bytes, more than {limit}", name.len()));
    }
    if name.contains(&0) {
        return Err("its name has a NUL".into());
    }
    let mut path = PathBuf::new();
    for part in name.split(|&b| b == b'/') {
        match part {
            b"" | b"." => {}
            b".." => return Err("its name climbs out by `..`".into()),
            part if part.len() > 255 => {
                return Err("a part of its name has more than 255 bytes".into());
            }
            part => path.push(OsStr::from_bytes(part)),
        }
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_cleaned_or_refused_threat_1() {
        for (name, expected) in [
            (&b"a"[..], "a"),
            (b"/a", "a"),
            (b"./a", "a"),
            (b"a//b/", "a/b"),
            (b"//a/./b", "a/b"),
            (b".", ""),
            (b"/", ""),
            (b"..a/b..", "..a/b.."),
        ] {
            assert_eq!(clean(name, 4096).unwrap(), PathBuf::from(expected));
        }
        for bad in [&b""[..], b"..", b"../a", b"a/../b", b"/..", b"a/..", b"a\0b"] {
            assert!(clean(bad, 4096).is_err(), "{bad:?}");
        }
        assert!(clean(&[b'a'; 300], 4096).unwrap_err().contains("255"));
        assert!(clean(&b"a/".repeat(32 << 10), 4096).unwrap_err().contains("more than 4096"));
    }
}
