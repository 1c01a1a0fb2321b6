//! Build contexts of cases: folders, archives, and lists of what to make.

use std::fs::{File, FileTimes};
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::fields::Fields;
use crate::case::{CaseResult, Failure};

/// Where the files of a build come from.
#[derive(Clone, Debug)]
pub(super) enum Context {
    /// A folder that is there and stays as it is.
    Folder(PathBuf),
    /// A tar with modes, links, attributes and times.
    Archive(PathBuf),
    /// An empty folder.
    Empty,
}

impl Context {
    /// Returns the folder to build, unpacking into `own` what is no folder yet.
    pub(super) fn folder(&self, own: PathBuf) -> CaseResult<PathBuf> {
        match self {
            Self::Folder(folder) => Ok(folder.clone()),
            Self::Archive(archive) => {
                unpack(archive, &own)?;
                Ok(own)
            }
            Self::Empty => Ok(own),
        }
    }
}

fn unpack(path: &Path, folder: &Path) -> CaseResult {
    let mut archive = tar::Archive::new(File::open(path)?);
    archive.set_preserve_permissions(true);
    archive.set_preserve_mtime(true);
    archive.set_unpack_xattrs(true);
    // Owners do not count in a context, and only root could set them.
    archive.set_preserve_ownerships(false);
    archive.unpack(folder)?;
    // What is made in a folder changes its time, so those come last.
    let mut folders = Vec::new();
    for entry in tar::Archive::new(File::open(path)?).entries()? {
        let entry = entry?;
        if entry.header().entry_type().is_dir() {
            folders.push((folder.join(entry.path()?), entry.header().mtime()?));
        }
    }
    for (folder, seconds) in folders.into_iter().rev() {
        let time = UNIX_EPOCH + Duration::from_secs(seconds);
        File::open(folder)?.set_times(FileTimes::new().set_modified(time))?;
    }
    Ok(())
}

/// One thing in a context.
#[derive(Clone, Debug)]
pub(super) enum Entry {
    File { path: String, content: Vec<u8>, mode: u32 },
    Folder { path: String, mode: u32 },
    Link { path: String, target: String },
    Socket { path: String },
}

impl Entry {
    pub(super) fn read(value: Value) -> CaseResult<Self> {
        let mut fields = Fields::of(value, "an entry of a context")?;
        let path = fields.text("path")?;
        if !Path::new(&path).components().all(|part| matches!(part, Component::Normal(_))) {
            return Err(Failure::harness(format!("`{path}` leads out of the context")));
        }
        let op = fields.text("op")?;
        let entry = match op.as_str() {
            "file" => {
                let content = match fields.optional_text("data_b64")? {
                    Some(text) => STANDARD.decode(text).map_err(|error| {
                        Failure::harness(format!("`data_b64` of `{path}`: {error}"))
                    })?,
                    None => fields.text("data")?.into_bytes(),
                };
                Self::File { path, content, mode: mode(&mut fields)? }
            }
            "dir" => Self::Folder { path, mode: mode(&mut fields)? },
            "symlink" => Self::Link { path, target: fields.text("target")? },
            "socket" => {
                mode(&mut fields)?;
                Self::Socket { path }
            }
            other => return Err(Failure::harness(format!("`{other}` is an unknown operation"))),
        };
        fields.finish(&[])?;
        Ok(entry)
    }

    pub(super) fn read_all(values: Vec<Value>) -> CaseResult<Vec<Self>> {
        values.into_iter().map(Self::read).collect()
    }

    /// Returns the entry with `change` applied to what a file holds.
    pub(super) fn with_text(&self, change: impl Fn(&str) -> String) -> Self {
        match self {
            Self::File { path, content, mode } => {
                let content = match std::str::from_utf8(content) {
                    Ok(text) => change(text).into_bytes(),
                    Err(_) => content.clone(),
                };
                Self::File { path: path.clone(), content, mode: *mode }
            }
            other => other.clone(),
        }
    }

    /// Makes it in `folder`.
    pub(super) fn make(&self, folder: &Path) -> CaseResult {
        let (Self::File { path, .. }
        | Self::Folder { path, .. }
        | Self::Link { path, .. }
        | Self::Socket { path }) = self;
        let place = folder.join(path);
        if let Some(parent) = place.parent() {
            std::fs::create_dir_all(parent)?;
        }
        let set_mode = |mode| std::fs::set_permissions(&place, PermissionsExt::from_mode(mode));
        match self {
            Self::File { content, mode, .. } => {
                std::fs::write(&place, content)?;
                set_mode(*mode)?;
            }
            Self::Folder { mode, .. } => {
                std::fs::create_dir_all(&place)?;
                set_mode(*mode)?;
            }
            Self::Link { target, .. } => std::os::unix::fs::symlink(target, &place)?,
            Self::Socket { .. } => drop(std::os::unix::net::UnixListener::bind(&place)?),
        }
        Ok(())
    }
}

fn mode(fields: &mut Fields) -> CaseResult<u32> {
    let text = fields.text("mode")?;
    u32::from_str_radix(&text, 8).map_err(|_| Failure::harness(format!("`{text}` is no mode")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_context_is_made_of_its_entries() {
        let folder = tempfile::tempdir().unwrap();
        let entries = Entry::read_all(vec![
            json!({"op": "file", "path": "a/b", "data": "text", "mode": "0640"}),
            json!({"op": "file", "path": "c", "data_b64": "/w==", "mode": "0600"}),
            json!({"op": "dir", "path": "d", "mode": "0700"}),
            json!({"op": "symlink", "path": "e", "target": "c"}),
            json!({"op": "socket", "path": "f", "mode": "0600"}),
        ])
        .unwrap();
        entries.iter().for_each(|entry| entry.make(folder.path()).unwrap());
        assert_eq!(std::fs::read(folder.path().join("e")).unwrap(), [0xff]);
        let mode = folder.path().join("a/b").metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o640);
        assert!(folder.path().join("f").exists());
    }

    #[test]
    fn unknown_operations_and_paths_that_lead_out_are_noticed() {
        for wrong in [
            json!({"op": "device", "path": "a", "mode": "0600"}),
            json!({"op": "dir", "path": "../a", "mode": "0700"}),
            json!({"op": "dir", "path": "a", "mode": "0700", "owner": 1}),
            json!({"op": "dir", "path": "a", "mode": "rwx"}),
        ] {
            assert!(matches!(Entry::read(wrong), Err(Failure::Harness(_))));
        }
    }
}
