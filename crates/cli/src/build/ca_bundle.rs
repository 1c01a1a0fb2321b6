//! `--ca-bundle`, and the setting of the same name: read and checked before anything starts.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use boxwright_core::{CaBundle, Error, Host, Result};
use boxwright_engines::Settings;

use super::value::wrong;

/// One byte more than a bundle may have.
const LIMIT: u64 = (1 << 20) + 1;

/// Reads the certificates that steps trust, from the file that the flag names, else from that of the user's settings.
pub(super) fn ca_bundle(
    flag: Option<&str>,
    settings: &Settings,
    host: &Host,
) -> Result<Option<CaBundle>> {
    let (file, origin) = match (flag, settings.ca_bundle()) {
        (Some(file), _) => (Path::new(file), "--ca-bundle"),
        (None, Some(set)) => (set.value.as_path(), set.origin.as_str()),
        (None, None) => return Ok(None),
    };
    let file = host.absolute(file);
    let shown = file.display().to_string();
    let read = read(&file).and_then(CaBundle::parse);
    read.map(Some).map_err(|error| {
        error.with_context("file", shown).with_context("set by", origin.to_owned())
    })
}

fn read(file: &Path) -> Result<Vec<u8>> {
    let cannot = |cause: String| -> Error {
        wrong("cannot read the certificates for steps")
            .with_cause(cause)
            .with_remedy("name a readable file in the PEM format with `--ca-bundle`")
    };
    // A pipe of that name would be waited for.
    let about = std::fs::metadata(file).map_err(|error| cannot(error.to_string()))?;
    if !about.is_file() {
        return Err(cannot("it is not a regular file".to_owned()));
    }
    let mut bytes = Vec::new();
    let opened = File::open(file).and_then(|file| file.take(LIMIT).read_to_end(&mut bytes));
    opened.map(|_| bytes).map_err(|error| cannot(error.to_string()))
}
