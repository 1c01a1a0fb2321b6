//! The user's credentials, wherever they are stored.

mod edit;
mod file;
mod helper;
mod key;
mod login;
mod logout;
mod places;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use boxwright_core::{
    Credential, Credentials, Error, ErrorKind, Host, ImageRef, Result, Secret, async_trait,
};

use file::{Content, CredentialsFile};
use helper::Helper;

pub use login::{LoginOutput, registry_of_user, store};
pub use logout::{LogoutOutput, logout};

/// The user's credentials for registries: from variables, files, and credential helpers.
///
/// The first place that has a credential for a registry wins:
///
/// 1. `BOXWRIGHT_REGISTRY_USER` and `BOXWRIGHT_REGISTRY_PASSWORD`, for one registry only: the one that
///    `BOXWRIGHT_REGISTRY` names, else the one of the image in question;
/// 2. `DOCKER_AUTH_CONFIG`, the text of such a file as those below;
/// 3. the file that `REGISTRY_AUTH_FILE` names;
/// 4. `$DOCKER_CONFIG/config.json`, by default `~/.docker/config.json`;
/// 5. `$XDG_RUNTIME_DIR/containers/auth.json`;
/// 6. `~/.config/containers/auth.json`.
///
/// Within a file: `credHelpers`, then `credsStore`, then `auths`; and of several keys the longest that
/// is a prefix of the repository, so `ghcr.io/acme` comes before `ghcr.io`.
///
/// A helper named in `credsStore` that is not installed stops only registries that the file mentions.
#[derive(Clone, Debug)]
pub struct StoredCredentials {
    host: Host,
    variables: Option<Variables>,
    sources: Vec<Source>,
    helper_limit: Duration,
    warnings: Arc<Mutex<Warnings>>,
}

/// `BOXWRIGHT_REGISTRY_USER` and its like.
#[derive(Clone, Debug)]
struct Variables {
    /// The one registry or namespace that they are for; unknown at first.
    key: Option<String>,
    user: String,
    password: Secret,
}

/// A text with credentials, and what it is called in messages.
#[derive(Clone, Debug)]
struct Source {
    origin: String,
    content: Content,
}

#[derive(Debug, Default)]
struct Warnings {
    new: Vec<String>,
    taken: BTreeSet<String>,
}

impl StoredCredentials {
    /// Finds out where credentials are stored on `host`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] when a file or a variable with credentials is broken, by name.
    pub fn open(host: &Host) -> Result<Self> {
        let mut sources = Vec::new();
        if let Some(text) = host.variable("DOCKER_AUTH_CONFIG") {
            let origin = "`DOCKER_AUTH_CONFIG`".to_owned();
            let content = Content::parse(text.as_bytes(), &origin)?;
            sources.push(Source { origin, content });
        }
        let mut warnings = Warnings::default();
        for path in places::files(host) {
            let Some(CredentialsFile { path, content, is_open_to_others }) =
                CredentialsFile::read(&path)?
            else {
                continue;
            };
            let origin = format!("`{}`", path.display());
            if is_open_to_others && content.has_secrets() {
                let path = path.display();
                warnings.add(format!(
                    "other users can read the passwords in {origin}; close it with `chmod 600 {path}`"
                ));
            }
            sources.push(Source { origin, content });
        }
        let variables = Variables::read(host)?;
        let warnings = Arc::new(Mutex::new(warnings));
        let helper_limit = helper::LIMIT;
        Ok(Self { host: host.clone(), variables, sources, helper_limit, warnings })
    }

    /// Returns the credentials of one file, such as the `.dockerconfigjson` of a cluster's pull secret, and no others.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`] when there is no such file, [`ErrorKind::InvalidInput`] when it is broken.
    pub fn of_file(host: &Host, path: &Path) -> Result<Self> {
        let path = host.absolute(path);
        let Some(CredentialsFile { path, content, .. }) = CredentialsFile::read(&path)? else {
            let message = format!("there is no credentials file `{}`", path.display());
            return Err(Error::new(ErrorKind::NotFound, message).with_remedy(
                "name a file as `docker login` writes it, or the `.dockerconfigjson` of a pull secret",
            ));
        };
        let origin = format!("`{}`", path.display());
        Ok(Self::of_source_alone(host, Source { origin, content }))
    }

    /// Returns the credentials that the helper `docker-credential-NAME` has for `registry`, and no others.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] when no helper can have that name.
    pub fn of_helper(host: &Host, name: &str, registry: &str) -> Result<Self> {
        Helper::new(host, name)?;
        let text = serde_json::json!({ "credHelpers": { registry: name } }).to_string();
        let origin = format!("`helper:{name}`");
        let content = Content::parse(text.as_bytes(), &origin)?;
        Ok(Self::of_source_alone(host, Source { origin, content }))
    }

    fn of_source_alone(host: &Host, source: Source) -> Self {
        let (variables, warnings, helper_limit) = (None, Arc::default(), helper::LIMIT);
        Self { host: host.clone(), variables, sources: vec![source], helper_limit, warnings }
    }

    /// Returns the credentials with `BOXWRIGHT_REGISTRY_USER` and `_PASSWORD` going to the registry of
    /// `image`, unless `BOXWRIGHT_REGISTRY` names another one.
    #[must_use]
    pub fn for_image(mut self, image: &ImageRef) -> Self {
        if let Some(variables) = &mut self.variables {
            variables.key.get_or_insert_with(|| key::normalized(image.registry()));
        }
        self
    }

    /// Returns the credentials with another time limit for credential helpers. Default: ten seconds.
    #[must_use]
    pub fn with_helper_limit(self, helper_limit: Duration) -> Self {
        Self { helper_limit, ..self }
    }

    /// Returns, once, what the user should know about their stored credentials, one line each.
    #[must_use]
    pub fn take_warnings(&self) -> Vec<String> {
        let mut warnings = self.warnings.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut warnings.new)
    }

    /// Returns which places have a credential for `candidates`, in the words of messages.
    async fn places_with(&self, candidates: &[String]) -> Result<Vec<String>> {
        let mut places = Vec::new();
        if self.of_variables(candidates).is_some() {
            places.push("`BOXWRIGHT_REGISTRY_USER`".to_owned());
        }
        for source in &self.sources {
            if self.of_source(source, candidates).await?.is_some() {
                places.push(source.origin.clone());
            }
        }
        Ok(places)
    }

    async fn find(&self, candidates: &[String]) -> Result<Option<Credential>> {
        if let Some(credential) = self.of_variables(candidates) {
            return Ok(Some(credential));
        }
        for source in &self.sources {
            if let Some(credential) = self.of_source(source, candidates).await? {
                return Ok(Some(credential));
            }
        }
        Ok(None)
    }

    fn of_variables(&self, candidates: &[String]) -> Option<Credential> {
        let variables = self.variables.as_ref()?;
        if !candidates.contains(variables.key.as_ref()?) {
            return None;
        }
        let Variables { user, password, key: _ } = variables.clone();
        Some(Credential::Password { user, password })
    }

    async fn of_source(
        &self,
        Source { origin, content }: &Source,
        candidates: &[String],
    ) -> Result<Option<Credential>> {
        let named = |error: Error| error.with_context("named in", origin.trim_matches('`'));
        if let Some((name, key)) = content.helper_for(candidates) {
            let helper = self.helper(name).map_err(named)?;
            let found = helper.get(key::stored_as(&key)).await.map_err(named)?;
            if found.is_some() {
                return Ok(found);
            }
        } else if let (Some(name), Some(registry)) = (content.store(), candidates.last()) {
            let helper = self.helper(name).map_err(named)?;
            let written = content.credential(candidates, origin)?;
            // QUIRK(Docker Desktop): it leaves its name in `credsStore` when it is removed. Where nothing
            // was stored for this registry, that must not stop an anonymous pull.
            if !helper.is_installed() && (written.is_some() || !content.mentions(candidates)) {
                self.warn(format!(
                    "{origin} names the credential helper `{}`, which is not in `PATH`",
                    helper.program()
                ));
                return Ok(written);
            }
            let found = helper.get(key::stored_as(registry)).await.map_err(named)?;
            if found.is_some() {
                return Ok(found);
            }
        }
        content.credential(candidates, origin)
    }

    fn helper(&self, name: &str) -> Result<Helper<'_>> {
        Ok(Helper::new(&self.host, name)?.with_limit(self.helper_limit))
    }

    fn warn(&self, warning: String) {
        self.warnings.lock().unwrap_or_else(PoisonError::into_inner).add(warning);
    }
}

impl Warnings {
    fn add(&mut self, warning: String) {
        if self.taken.insert(warning.clone()) {
            self.new.push(warning);
        }
    }
}

impl Variables {
    fn read(host: &Host) -> Result<Option<Self>> {
        let [user, password] = ["BOXWRIGHT_REGISTRY_USER", "BOXWRIGHT_REGISTRY_PASSWORD"];
        let missing = |set: &str, unset: &str| {
            Error::new(ErrorKind::InvalidInput, format!("`{set}` is set and `{unset}` is not"))
                .with_remedy(format!("set `{unset}` too, or unset `{set}`"))
        };
        match (host.variable(user), host.variable(password)) {
            (None, None) => Ok(None),
            (Some(_), None) => Err(missing(user, password)),
            (None, Some(_)) => Err(missing(password, user)),
            (Some(user), Some(password)) => {
                let key = host.variable("BOXWRIGHT_REGISTRY").map(key::of_user).transpose()?;
                Ok(Some(Self { key, user: user.to_owned(), password: Secret::from(password) }))
            }
        }
    }
}

#[async_trait]
impl Credentials for StoredCredentials {
    async fn for_registry(&self, host: &str) -> Result<Option<Credential>> {
        self.find(&key::candidates(host, None)).await
    }

    async fn for_repository(&self, host: &str, repository: &str) -> Result<Option<Credential>> {
        self.find(&key::candidates(host, Some(repository))).await
    }
}
