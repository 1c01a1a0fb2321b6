//! What extended headers say, and what they may not say.

use std::collections::BTreeMap;

use boxwright_core::{Error, ErrorKind, Result};

use super::pax;

/// What extended headers said about the next entry.
#[derive(Default)]
pub(super) struct Extended {
    pub(super) records: Option<BTreeMap<String, Vec<u8>>>,
    pub(super) name: Option<Vec<u8>>,
    pub(super) link: Option<Vec<u8>>,
}

impl Extended {
    pub(super) fn is_empty(&self) -> bool {
        self.records.is_none() && self.name.is_none() && self.link.is_none()
    }
}

pub(super) fn records(bytes: &[u8]) -> Result<BTreeMap<String, Vec<u8>>> {
    pax::parse(bytes).map_err(|cause| broken(&format!("a PAX record is malformed: {cause}")))
}

// Programs differ in whether a global header changes what follows, so it may say nothing that matters.
pub(super) fn check_global(records: &BTreeMap<String, Vec<u8>>) -> Result<()> {
    let matters = |key: &&String| {
        matches!(key.as_str(), "path" | "linkpath" | "size" | "uid" | "gid")
            || key.starts_with("GNU.sparse.")
            || key.starts_with(pax::XATTR)
    };
    match records.keys().find(matters) {
        Some(key) => Err(broken(&format!("a global header sets `{key}` for all entries"))),
        None => Ok(()),
    }
}

pub(super) fn set_once<T>(slot: &mut Option<T>, value: T) -> Result<()> {
    match slot.replace(value) {
        Some(_) => Err(broken("an entry has two extended headers of one kind")),
        None => Ok(()),
    }
}

pub(super) fn one_of(
    pax: Option<&Vec<u8>>,
    gnu: Option<Vec<u8>>,
    plain: impl FnOnce() -> Vec<u8>,
) -> Result<Vec<u8>> {
    match (pax, gnu) {
        (Some(_), Some(_)) => Err(broken("an entry has a PAX name and a GNU name")),
        (Some(name), None) => Ok(name.clone()),
        (None, Some(name)) => Ok(name),
        (None, None) => Ok(plain()),
    }
}

pub(super) fn xattrs(
    records: BTreeMap<String, Vec<u8>>,
) -> Result<BTreeMap<String, Vec<u8>>, String> {
    let mut found = BTreeMap::new();
    for (key, value) in records {
        let Some(name) = key.strip_prefix(pax::XATTR) else { continue };
        let namespace = name.split_once('.').map(|(namespace, _)| namespace);
        if !matches!(namespace, Some("user" | "security" | "trusted" | "system")) {
            return Err(format!("its extended attribute `{name}` has an unknown namespace"));
        }
        found.insert(name.to_owned(), value);
    }
    Ok(found)
}

pub(super) fn broken(cause: &str) -> Error {
    Error::new(ErrorKind::Protocol, "cannot read the archive").with_cause(cause)
}
