//! `login`: verifies a user's name and password with a registry, then stores them.

use std::sync::Arc;

use boxwright_core::{
    Credential, Credentials, ErrorKind, Host, RegistrySettings, Result, async_trait,
};

use crate::client::Client;
use crate::credentials::registry_of_user;

pub use crate::credentials::{LoginOutput, store};

/// Asks the registry `registry` whether it accepts `credential`.
///
/// # Errors
///
/// [`ErrorKind::Unauthorized`] when it does not, [`ErrorKind::Unavailable`] when it cannot be reached.
pub async fn verify(
    host: &Host,
    settings: Arc<RegistrySettings>,
    registry: &str,
    credential: &Credential,
) -> Result<()> {
    let key = registry_of_user(registry)?;
    let registry = key.split_once('/').map_or(key.as_str(), |(registry, _)| registry);
    let client = Client::new(host, settings, Arc::new(Only(credential.clone())));
    client.ping(registry).await.map_err(|failure| {
        let error = failure.during(format!("cannot log in to `{registry}`"));
        match error.kind() {
            ErrorKind::Unauthorized => error.with_remedy(
                "check the name and the password; some registries want an access token instead of the password",
            ),
            _ => error,
        }
    })
}

/// The credential that is tried out.
#[derive(Debug)]
struct Only(Credential);

#[async_trait]
impl Credentials for Only {
    async fn for_registry(&self, _host: &str) -> Result<Option<Credential>> {
        Ok(Some(self.0.clone()))
    }
}
