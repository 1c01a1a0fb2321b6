//! Hands the daemon the credential of the one registry that it asks for.

use bollard_buildkit_proto::moby::filesync::v1::auth_server::Auth;
use bollard_buildkit_proto::moby::filesync::v1::{
    CredentialsRequest, CredentialsResponse, FetchTokenRequest, FetchTokenResponse,
    GetTokenAuthorityRequest, GetTokenAuthorityResponse, VerifyTokenAuthorityRequest,
    VerifyTokenAuthorityResponse,
};
use boxwright_core::{Credential, DOCKER_HUB, Session, async_trait};
use tonic::{Request, Response, Status};

use super::failures::Noted;

/// The `moby.filesync.v1.Auth` service of a session.
#[derive(Debug)]
pub(super) struct CredentialsService {
    pub(super) session: Session,
    pub(super) noted: Noted,
}

#[async_trait]
impl Auth for CredentialsService {
    async fn credentials(
        &self,
        request: Request<CredentialsRequest>,
    ) -> Result<Response<CredentialsResponse>, Status> {
        let host = request.into_inner().host;
        // The daemon names Docker Hub by the host that serves its blobs.
        let host = if host == "registry-1.docker.io" { DOCKER_HUB } else { &host };
        let found = self.session.credentials.for_registry(host).await;
        let (username, secret) = match found.map_err(|error| self.noted.note(error))? {
            None => (String::new(), String::new()),
            Some(Credential::Password { user, password }) => (user, text_of(&password)?),
            // SPEC: BuildKit, `session/auth/auth.proto`: a secret without a user is an identity token.
            Some(Credential::IdentityToken(token) | Credential::BearerToken(token)) => {
                (String::new(), text_of(&token)?)
            }
        };
        Ok(Response::new(CredentialsResponse { username, secret }))
    }

    // The daemon fetches tokens itself where these three are refused.
    async fn fetch_token(
        &self,
        _request: Request<FetchTokenRequest>,
    ) -> Result<Response<FetchTokenResponse>, Status> {
        Err(Status::unimplemented("tokens are fetched by the daemon"))
    }

    async fn get_token_authority(
        &self,
        _request: Request<GetTokenAuthorityRequest>,
    ) -> Result<Response<GetTokenAuthorityResponse>, Status> {
        Err(Status::unimplemented("tokens are fetched by the daemon"))
    }

    async fn verify_token_authority(
        &self,
        _request: Request<VerifyTokenAuthorityRequest>,
    ) -> Result<Response<VerifyTokenAuthorityResponse>, Status> {
        Err(Status::unimplemented("tokens are fetched by the daemon"))
    }
}

fn text_of(secret: &boxwright_core::Secret) -> Result<String, Status> {
    let text = secret.expose_str().map(str::to_owned);
    text.ok_or_else(|| Status::invalid_argument("the registry password is not UTF-8"))
}
