//! Forgets what `login` stored.

use boxwright_core::{Host, Result};

use super::edit::Edit;
use super::file::CredentialsFile;
use super::helper::Helper;
use super::{StoredCredentials, key, places};

/// What [`logout`] came to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogoutOutput {
    /// The files and helpers that a credential was removed from. Empty: there was none.
    pub removed_from: Vec<String>,
    /// Where a credential for the registry still is, because Boxwright never writes there.
    pub remaining_in: Vec<String>,
}

/// Removes the credential for `registry` from wherever [`store`](super::store) puts one.
///
/// # Errors
///
/// [`ErrorKind::InvalidInput`](boxwright_core::ErrorKind::InvalidInput) when a file or a helper is broken, by name.
pub async fn logout(host: &Host, registry: &str) -> Result<LogoutOutput> {
    let key = key::of_user(registry)?;
    let candidates = key::candidates(&key, None);
    let mut removed_from = Vec::new();
    for path in places::own(host) {
        let Some(CredentialsFile { content, .. }) = CredentialsFile::read(&path)? else { continue };
        let named =
            content.helper_for(&candidates).map(|(name, _)| name).or_else(|| content.store());
        if let Some(name) = named {
            let helper = Helper::new(host, name)?;
            // One that is gone keeps nothing that could be removed.
            if helper.is_installed() && helper.get(key::stored_as(&key)).await?.is_some() {
                helper.erase(key::stored_as(&key)).await?;
                removed_from.push(helper.program().to_owned());
            }
        }
        let had_secret =
            content.credential(&candidates[..1], "the file").is_ok_and(|c| c.is_some());
        let mut edit = Edit::open(&path)?;
        edit.remove(&key)?;
        edit.save()?;
        if had_secret {
            removed_from.push(path.display().to_string());
        }
    }
    let remaining_in = StoredCredentials::open(host)?.places_with(&candidates).await?;
    let remaining_in = remaining_in.iter().map(|place| place.trim_matches('`').to_owned());
    Ok(LogoutOutput { removed_from, remaining_in: remaining_in.collect() })
}
