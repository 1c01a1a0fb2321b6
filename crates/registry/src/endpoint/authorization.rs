//! What goes with a request, so that the registry takes it.

use std::sync::PoisonError;
use std::time::Instant;

use boxwright_core::{Credential, ErrorKind};
use reqwest::header::{HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use reqwest::{Response, StatusCode, Url};

use super::Endpoint;
use crate::auth::{Access, Challenge, TokenRequest, basic, fetch};
use crate::failure::{Failure, Outcome};
use crate::http::{Answerer, is_same_origin, refusal};

/// What was sent as authorization.
#[derive(Clone, Debug)]
pub(super) struct Authorization {
    pub(super) header: Option<HeaderValue>,
    had_credentials: bool,
    /// Whether it was made for this very request, so that there is nothing better to try.
    is_new: bool,
}

impl Endpoint {
    pub(super) fn remember(&self, headers: &HeaderMap) -> Option<Challenge> {
        let challenge = Challenge::of(headers)?;
        let mut known = self.state.challenge.lock().unwrap_or_else(PoisonError::into_inner);
        *known = Some(challenge.clone());
        Some(challenge)
    }

    fn remembered(&self) -> Option<Challenge> {
        self.state.challenge.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the authorization that the registry has wanted so far.
    pub(super) async fn prepared(
        &self,
        access: Option<&Access>,
        url: &Url,
    ) -> Outcome<Authorization> {
        let none = Authorization { header: None, had_credentials: false, is_new: false };
        // An upload may have been sent to another host, which the credentials do not belong to.
        if !is_same_origin(url, self.base().await?) {
            return Ok(Authorization { is_new: true, ..none });
        }
        match self.remembered() {
            None => Ok(none),
            Some(challenge) => self.authorization(&challenge, access, None).await,
        }
    }

    /// Returns what to send after a refusal, or `None` if there is nothing better.
    pub(super) async fn better(
        &self,
        access: Option<&Access>,
        url: &Url,
        answer: &Response,
        sent: &Authorization,
    ) -> Outcome<Option<Authorization>> {
        // A challenge counts only when it comes from the registry itself and not from where it sent us.
        if answer.status() != StatusCode::UNAUTHORIZED
            || sent.is_new
            || !is_same_origin(answer.url(), url)
        {
            return Ok(None);
        }
        let Some(challenge) = self.remember(answer.headers()) else { return Ok(None) };
        let next = self.authorization(&challenge, access, sent.header.as_ref()).await?;
        Ok(next.header.is_some().then_some(Authorization { is_new: true, ..next }))
    }

    pub(super) async fn refused(&self, answer: Response, sent: &Authorization) -> Failure {
        let lacks_rights = answer
            .headers()
            .get_all(WWW_AUTHENTICATE)
            .iter()
            .any(|value| value.to_str().is_ok_and(|text| text.contains("insufficient_scope")));
        let by = Answerer { registry: &self.state.name, had_credentials: sent.had_credentials };
        let status = answer.status();
        let failure = refusal(answer, by, self.state.transport.silence()).await;
        // SPEC: RFC 6750, 3.1: "insufficient_scope": the token is good and the user may not.
        if status == StatusCode::UNAUTHORIZED && lacks_rights && sent.had_credentials {
            return Failure::new(
                ErrorKind::Unauthorized,
                format!("`{}` does not allow it to this user ({status})", self.state.name),
            )
            .with_status(status)
            .with_remedy(
                "use a repository that you have the rights to, or log in as another user",
            );
        }
        failure
    }

    async fn authorization(
        &self,
        challenge: &Challenge,
        access: Option<&Access>,
        refused: Option<&HeaderValue>,
    ) -> Outcome<Authorization> {
        let credential = self.credential(access).await?;
        let had_credentials = credential.is_some();
        match challenge {
            Challenge::Basic => {
                let header = match &credential {
                    None => None,
                    Some(Credential::Password { user, password }) => Some(basic(user, password)?),
                    Some(Credential::IdentityToken(_) | Credential::BearerToken(_)) => {
                        return Err(self.wants_password());
                    }
                };
                Ok(Authorization { header, had_credentials, is_new: true })
            }
            Challenge::Bearer { realm, service, scope } => {
                let key = access.map(Access::scopes).unwrap_or_default();
                let mut tokens = self.state.tokens.lock().await;
                if let Some(token) = tokens.get(&key)
                    && token.is_fresh(Instant::now())
                    && Some(&token.header) != refused
                {
                    let header = Some(token.header.clone());
                    return Ok(Authorization { header, had_credentials, is_new: false });
                }
                let mut scopes = key.clone();
                // Some registries know a repository by another name than its path.
                scopes.extend(scope.iter().filter(|scope| !scope.is_empty()).cloned());
                let wanted = TokenRequest {
                    registry: &self.state.name,
                    base: self.base().await?,
                    realm,
                    service: service.as_deref(),
                    scopes: &scopes,
                    credential: credential.as_ref(),
                };
                let token = fetch(&self.state.transport, wanted).await?;
                tokens.insert(key, token.clone());
                Ok(Authorization { header: Some(token.header), had_credentials, is_new: true })
            }
        }
    }

    async fn credential(&self, access: Option<&Access>) -> Outcome<Option<Credential>> {
        let repository = access.map(|access| access.repository.clone());
        let mut known = self.state.known.lock().await;
        if let Some(credential) = known.get(&repository) {
            return Ok(credential.clone());
        }
        let found = match &repository {
            Some(repository) => {
                self.state.credentials.for_repository(&self.state.name, repository).await?
            }
            None => self.state.credentials.for_registry(&self.state.name).await?,
        };
        known.insert(repository, found.clone());
        Ok(found)
    }

    fn wants_password(&self) -> Failure {
        Failure::new(
            ErrorKind::Unauthorized,
            format!("`{}` wants a name and a password, and a token is stored", self.state.name),
        )
        .with_remedy(format!("log in again with `boxwright login {}`", self.state.name))
    }
}
