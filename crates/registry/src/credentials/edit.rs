//! Changes files with credentials: atomically, with mode 0600, keeping all that they do not know.

use std::fs::DirBuilder;
use std::io::Write as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use boxwright_core::{Credential, Error, ErrorKind, Result};
use serde_json::{Map, Value, json};

use super::{file, helper, key};

/// A file with credentials that is about to be changed.
#[derive(Debug)]
pub(super) struct Edit {
    path: PathBuf,
    root: Map<String, Value>,
    is_changed: bool,
}

impl Edit {
    /// Reads the file; one that is not there is empty.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let origin = format!("`{}`", path.display());
        let bytes = file::read_bytes(path)?.map(|(bytes, _)| bytes).unwrap_or_default();
        let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes).trim_ascii();
        let root = match text {
            b"" => Map::new(),
            text => serde_json::from_slice(text).map_err(|e| file::not_json(&e, &origin))?,
        };
        Ok(Self { path: path.to_owned(), root, is_changed: false })
    }

    /// Writes `credential` into the entry for `key`. Other spellings of the key are removed.
    pub(super) fn insert(&mut self, key: &str, credential: &Credential) -> Result<()> {
        let entry = match credential {
            Credential::Password { user, password } => {
                if user.contains(':') {
                    return Err(Error::new(
                        ErrorKind::InvalidInput,
                        format!("the user's name `{user}` has a `:`"),
                    ));
                }
                json!({ "auth": file::encode(user, password) })
            }
            Credential::IdentityToken(token) => {
                json!({ "identitytoken": token.expose_str().ok_or_else(helper::not_text)? })
            }
            Credential::BearerToken(token) => {
                json!({ "registrytoken": token.expose_str().ok_or_else(helper::not_text)? })
            }
        };
        self.replace(key, entry)
    }

    /// Notes that a helper has the credential for `key`, as Docker does.
    pub(super) fn insert_empty(&mut self, key: &str) -> Result<()> {
        self.replace(key, json!({}))
    }

    /// Removes the entries for `key`, and says whether there was one.
    pub(super) fn remove(&mut self, key: &str) -> Result<bool> {
        let Some(auths) = self.auths(false)? else { return Ok(false) };
        let before = auths.len();
        auths.retain(|name, _| key::normalized(name) != key);
        let is_changed = auths.len() != before;
        self.is_changed |= is_changed;
        Ok(is_changed)
    }

    fn replace(&mut self, key: &str, entry: Value) -> Result<()> {
        self.remove(key)?;
        if let Some(auths) = self.auths(true)? {
            auths.insert(key::stored_as(key).to_owned(), entry);
        }
        self.is_changed = true;
        Ok(())
    }

    fn auths(&mut self, create: bool) -> Result<Option<&mut Map<String, Value>>> {
        let path = &self.path;
        let auths = match self.root.get("auths") {
            None | Some(Value::Null) if !create => return Ok(None),
            None | Some(Value::Null) => {
                self.root.insert("auths".into(), json!({}));
                self.root.get_mut("auths")
            }
            Some(_) => self.root.get_mut("auths"),
        };
        auths.and_then(Value::as_object_mut).map(Some).ok_or_else(|| {
            Error::new(ErrorKind::InvalidInput, format!("cannot change `{}`", path.display()))
                .with_cause("its `auths` is not an object")
        })
    }

    /// Writes the file, if anything was changed.
    pub(super) fn save(self) -> Result<()> {
        if !self.is_changed {
            return Ok(());
        }
        let target = file::target(&self.path);
        write(&target, &self.root).map_err(|error| {
            Error::new(ErrorKind::Unavailable, format!("cannot write `{}`", target.display()))
                .with_source(error)
                .with_remedy("make its folder writable, or set `DOCKER_CONFIG` to another folder")
        })
    }
}

fn write(target: &Path, root: &Map<String, Value>) -> std::io::Result<()> {
    let folder = target.parent().unwrap_or(Path::new("/"));
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let mut text = Vec::new();
    let format = serde_json::ser::PrettyFormatter::with_indent(b"\t");
    let mut serializer = serde_json::Serializer::with_formatter(&mut text, format);
    serde::Serialize::serialize(root, &mut serializer)?;
    text.push(b'\n');
    // Made with mode 0600, beside the file, so that the rename replaces it at once.
    let mut temporary = tempfile::Builder::new().prefix(".config-").tempfile_in(folder)?;
    temporary.write_all(&text)?;
    temporary.as_file().sync_all()?;
    temporary.persist(target)?;
    Ok(())
}
