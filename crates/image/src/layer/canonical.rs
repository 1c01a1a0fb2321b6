//! What an entry is like in a canonical layer.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt as _;

use crate::tar::{Header, Kind};

/// What the names of marks begin with. Source: OCI image specification 1.1, `layer.md`, "Whiteouts".
pub(super) const WHITEOUT: &str = ".wh.";

/// Returns the canonical form of an entry, or why no layer can have it.
///
/// # Errors
///
/// The reason, as a clause.
pub fn canonical_header(header: &Header) -> Result<Header, String> {
    let name = header.path.file_name().unwrap_or_default();
    if name.as_bytes().starts_with(WHITEOUT.as_bytes()) {
        return Err(format!("a name that begins with `{WHITEOUT}` hides files in a layer"));
    }
    let mode = match header.kind {
        Kind::CharacterDevice { major: 0, minor: 0 } => {
            return Err("the device 0:0 hides files in an overlay".into());
        }
        // A link has no rights of its own, and file systems differ in what they show.
        Kind::Symlink { .. } => 0o777,
        _ => header.mode & 0o7777,
    };
    Ok(Header {
        path: header.path.clone(),
        kind: header.kind.clone(),
        mode,
        uid: header.uid,
        gid: header.gid,
        // Time before 1970 counts down from there; the fraction counts up, so leaving it out rounds down.
        modified: (header.modified.0, 0),
        xattrs: kept_xattrs(&header.xattrs),
    })
}

/// Keeps the extended attributes that belong to a file, and leaves out what belongs to a machine.
#[must_use]
pub fn kept_xattrs(all: &BTreeMap<String, Vec<u8>>) -> BTreeMap<String, Vec<u8>> {
    let kept = all.iter().filter_map(|(name, value)| match name.as_str() {
        "security.capability" => Some((name.clone(), capability(value))),
        name if name.starts_with("user.overlay.") || name == crate::overlay::OWNER_ATTRIBUTE => {
            None
        }
        name if name.starts_with("user.") => Some((name.to_owned(), value.clone())),
        _ => None,
    });
    kept.collect()
}

/// Turns version 3 of a capability, which names the user namespace it was made in, into version 2.
/// Source: Linux, `include/uapi/linux/capability.h`.
fn capability(value: &[u8]) -> Vec<u8> {
    match value {
        [flags, 0, 0, 3, rest @ ..] if value.len() == 24 => {
            [&[*flags, 0, 0, 2], &rest[..16]].concat()
        }
        _ => value.to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_of_a_machine_are_left_out() {
        let mut version_3 = vec![1, 0, 0, 3];
        version_3.extend([7; 16]);
        version_3.extend([0, 0, 1, 0]);
        let all = [
            ("security.capability", version_3),
            ("security.selinux", b"x".to_vec()),
            ("system.posix_acl_access", b"x".to_vec()),
            ("trusted.overlay.opaque", b"y".to_vec()),
            ("user.overlay.opaque", b"y".to_vec()),
            ("user.note", b"kept".to_vec()),
        ];
        let all = all.map(|(name, value)| (name.to_owned(), value)).into();
        let kept = kept_xattrs(&all);
        let mut version_2 = vec![1, 0, 0, 2];
        version_2.extend([7; 16]);
        assert_eq!(kept.keys().collect::<Vec<_>>(), ["security.capability", "user.note"]);
        assert_eq!(kept["security.capability"], version_2);
    }

    #[test]
    fn an_entry_that_would_hide_files_is_refused_threat_8() {
        let file = |path: &str| Header::new(path, Kind::File { size: 0 }, 0o644);
        assert!(canonical_header(&file("a/.wh.b")).is_err());
        assert!(canonical_header(&file("a/.whb")).is_ok());
        let device = |minor| Header::new("d", Kind::CharacterDevice { major: 0, minor }, 0o600);
        assert!(canonical_header(&device(0)).is_err());
        assert!(canonical_header(&device(1)).is_ok());
    }
}
