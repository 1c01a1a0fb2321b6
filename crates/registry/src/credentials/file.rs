//! A file with credentials: Docker's `config.json` and Podman's `auth.json`, which have one format.
//!
//! Read and written here rather than by the crate `docker_credential`: that one knows no namespaced
//! keys, looks for Podman's file in the wrong place, takes a helper's "not found" for an error, waits
//! for helpers without limit, and does not write.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use boxwright_core::{Credential, Error, ErrorKind, Result, Secret};
use serde::{Deserialize, Deserializer};

use super::helper::TOKEN_USER;
use super::key;

/// More than any real file with credentials has.
const LIMIT: u64 = 4 << 20;

/// Takes base64 with and without its padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What a file with credentials says.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Content {
    auths: Option<BTreeMap<String, Option<Entry>>>,
    cred_helpers: Option<BTreeMap<String, String>>,
    creds_store: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Entry {
    #[serde(deserialize_with = "secret")]
    auth: Option<Secret>,
    username: Option<String>,
    #[serde(deserialize_with = "secret")]
    password: Option<Secret>,
    #[serde(deserialize_with = "secret")]
    identitytoken: Option<Secret>,
    #[serde(deserialize_with = "secret")]
    registrytoken: Option<Secret>,
}

/// Reads a secret; an empty one is none.
pub(super) fn secret<'de, D: Deserializer<'de>>(value: D) -> Result<Option<Secret>, D::Error> {
    let text = Option::<String>::deserialize(value)?;
    Ok(text.filter(|text| !text.is_empty()).map(Secret::from))
}

/// A file with credentials, as it was when it was read.
#[derive(Clone, Debug)]
pub(super) struct CredentialsFile {
    pub(super) path: PathBuf,
    pub(super) content: Content,
    /// Whether others than its owner may read it.
    pub(super) is_open_to_others: bool,
}

impl CredentialsFile {
    /// Reads the file, or returns `None` if there is none.
    pub(super) fn read(path: &Path) -> Result<Option<Self>> {
        let Some((bytes, mode)) = read_bytes(path)? else { return Ok(None) };
        let content = Content::parse(&bytes, &format!("`{}`", path.display()))?;
        let is_open_to_others = mode & 0o044 != 0;
        Ok(Some(Self { path: path.to_owned(), content, is_open_to_others }))
    }
}

impl Content {
    /// Reads the text of a file, or of a variable; `origin` names it in errors.
    pub(super) fn parse(bytes: &[u8], origin: &str) -> Result<Self> {
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Ok(Self::default());
        }
        serde_json::from_slice(bytes).map_err(|error| not_json(&error, origin))
    }

    /// Returns the helper that the registry or repository has of its own, with the key it is meant by.
    pub(super) fn helper_for(&self, candidates: &[String]) -> Option<(&str, String)> {
        let helpers = self.cred_helpers.as_ref()?;
        let exact = |key: &String| {
            let found = helpers.iter().find(|(name, _)| key::normalized(name) == *key);
            found.map(|(_, helper)| (helper.as_str(), key.clone()))
        };
        candidates.iter().find_map(exact).filter(|(helper, _)| !helper.is_empty())
    }

    /// Returns the helper that keeps all other credentials.
    pub(super) fn store(&self) -> Option<&str> {
        self.creds_store.as_deref().filter(|name| !name.is_empty())
    }

    /// Returns whether there is an entry for the registry, with or without a secret in it.
    pub(super) fn mentions(&self, candidates: &[String]) -> bool {
        self.entries().any(|(name, _)| candidates.contains(&key::normalized(name)))
    }

    /// Returns whether a secret is written in the file itself.
    pub(super) fn has_secrets(&self) -> bool {
        self.entries().any(|(_, entry)| {
            let Entry { auth, password, identitytoken, registrytoken, username: _ } = entry;
            [auth, password, identitytoken, registrytoken].iter().any(|secret| secret.is_some())
        })
    }

    /// Returns the credential written in the file, for the first of `candidates` that has one.
    pub(super) fn credential(
        &self,
        candidates: &[String],
        origin: &str,
    ) -> Result<Option<Credential>> {
        for candidate in candidates {
            // The name that Docker writes comes before other spellings of it.
            let mut named: Vec<_> =
                self.entries().filter(|(name, _)| key::normalized(name) == *candidate).collect();
            named.sort_by_key(|(name, _)| *name != key::stored_as(candidate));
            for (name, entry) in named {
                if let Some(credential) = entry.credential(name, origin)? {
                    return Ok(Some(credential));
                }
            }
        }
        Ok(None)
    }

    fn entries(&self) -> impl Iterator<Item = (&str, &Entry)> {
        let all = self.auths.iter().flatten();
        all.filter_map(|(name, entry)| Some((name.as_str(), entry.as_ref()?)))
    }
}

impl Entry {
    fn credential(&self, name: &str, origin: &str) -> Result<Option<Credential>> {
        if let Some(token) = &self.identitytoken {
            return Ok(Some(Credential::IdentityToken(token.clone())));
        }
        if let Some(token) = &self.registrytoken {
            return Ok(Some(Credential::BearerToken(token.clone())));
        }
        let (user, password) = match (&self.auth, &self.username, &self.password) {
            (Some(auth), _, _) => decode(auth).ok_or_else(|| {
                let message = format!("cannot read the entry `{name}` in {origin}");
                Error::new(ErrorKind::InvalidInput, message)
                    .with_cause("its `auth` is not `USER:PASSWORD` in base64")
                    .with_remedy(format!(
                        "log in again with `boxwright login {}`",
                        key::normalized(name)
                    ))
            })?,
            (None, Some(user), Some(password)) => (user.clone(), password.clone()),
            (None, _, _) => return Ok(None),
        };
        Ok(match (user.as_str(), password.is_empty()) {
            ("", _) | (_, true) => None,
            (TOKEN_USER, false) => Some(Credential::IdentityToken(password)),
            _ => Some(Credential::Password { user, password }),
        })
    }
}

fn decode(auth: &Secret) -> Option<(String, Secret)> {
    let bytes = Secret::new(BASE64.decode(auth.expose().trim_ascii()).ok()?);
    let (user, password) = bytes.expose_str()?.split_once(':')?;
    // QUIRK(docker): very old versions padded the text with NUL.
    Some((user.to_owned(), Secret::from(password.trim_end_matches('\0'))))
}

/// Encodes a name and a password as the field `auth` has them.
pub(super) fn encode(user: &str, password: &Secret) -> String {
    let mut bytes = Vec::from(user.as_bytes());
    bytes.push(b':');
    bytes.extend_from_slice(password.expose());
    BASE64.encode(Secret::new(bytes).expose())
}

/// Reads a file and its mode, or returns `None` if there is none.
pub(super) fn read_bytes(path: &Path) -> Result<Option<(Vec<u8>, u32)>> {
    let cannot = |cause: String| {
        Error::new(ErrorKind::InvalidInput, format!("cannot read `{}`", path.display()))
            .with_cause(cause)
    };
    let mut options = File::options();
    // A FIFO in its place must not be waited for.
    options.read(true).custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed());
    let file = match options.open(path) {
        Ok(file) => file,
        // No such file; or a component of its path is a file.
        Err(error) if matches!(error.raw_os_error(), Some(2 | 20)) => return Ok(None),
        Err(error) => return Err(cannot(error.to_string())),
    };
    let data = file.metadata().map_err(|error| cannot(error.to_string()))?;
    if !data.is_file() {
        return Err(cannot("it is not a regular file".into()));
    }
    let mut bytes = Vec::new();
    file.take(LIMIT + 1).read_to_end(&mut bytes).map_err(|error| cannot(error.to_string()))?;
    if bytes.len() as u64 > LIMIT {
        return Err(cannot(format!("it has more than {} MiB", LIMIT >> 20)));
    }
    Ok(Some((bytes, data.permissions().mode())))
}

/// Says where a text is not JSON. The parser's own words may repeat a secret.
pub(super) fn not_json(error: &serde_json::Error, origin: &str) -> Error {
    let what =
        if error.is_data() { "holds a value of another type than expected" } else { "is not JSON" };
    Error::new(ErrorKind::InvalidInput, format!("cannot read the credentials in {origin}"))
        .with_cause(format!("it {what} at line {} column {}", error.line(), error.column()))
        .with_remedy(format!("correct {origin}, or move it away and log in again"))
}

/// Returns the file that `path` stands for: the target, if it is a link.
pub(super) fn target(path: &Path) -> PathBuf {
    if let Ok(target) = fs::canonicalize(path) {
        return target;
    }
    // A link to a file that is not there yet.
    match (fs::read_link(path), path.parent()) {
        (Ok(link), Some(folder)) => folder.join(link),
        _ => path.to_owned(),
    }
}
