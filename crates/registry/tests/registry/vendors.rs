//! The registries that people use, as each of them refuses: what is told, and what to do there.
//!
//! The client believes that it speaks with them: a proxy hands every connection to a server here, whose certificate has
//! their names. Status, challenge, token service and words are those that they answer with.

use std::sync::Arc;

use boxwright_core::{
    Anonymous, Credential, Credentials, Error, ErrorKind, Host, ImageRef, RegistrySetting,
    RegistrySettings, Result, Secret,
};
use boxwright_registry::{Client, Retries};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tempfile::TempDir;
use tokio_rustls::TlsAcceptor;

use crate::server::{Answer, Seen, Server};
use crate::setup::{One, Registry, image, told};
use crate::tls::Authority;

/// A registry as one vendor runs it.
#[derive(Clone, Copy)]
struct Vendor {
    /// An image there.
    image: &'static str,
    /// The hosts that are spoken with: the registry's, and its token service's.
    hosts: &'static [&'static str],
    /// What it answers who shows nothing.
    challenge: &'static str,
    /// Where it gives tokens, and what it gives who may not pull: a token all the same, or a refusal.
    token: Option<(&'static str, Option<Refusal>)>,
}

/// A refusal: status, code and words.
type Refusal = (u16, &'static str, &'static str);

const GITHUB: Vendor = Vendor {
    image: "ghcr.io/acme/api:1",
    hosts: &["ghcr.io"],
    challenge: "Bearer realm=\"https://ghcr.io/token\",service=\"ghcr.io\",scope=\"repository:acme/api:pull\"",
    token: Some(("/token", Some((403, "DENIED", "requested access to the resource is denied")))),
};
const DOCKER_HUB: Vendor = Vendor {
    image: "docker.io/acme/api:1",
    hosts: &["registry-1.docker.io", "auth.docker.io", "docker.io"],
    challenge: "Bearer realm=\"https://auth.docker.io/token\",service=\"registry.docker.io\",scope=\"repository:acme/api:pull\"",
    token: Some(("/token", None)),
};
const ECR: Vendor = Vendor {
    image: "1.dkr.ecr.eu-west-1.amazonaws.com/team/api:1",
    hosts: &["1.dkr.ecr.eu-west-1.amazonaws.com"],
    challenge: "Basic realm=\"https://1.dkr.ecr.eu-west-1.amazonaws.com/\",service=\"ecr.amazonaws.com\"",
    token: None,
};
const GOOGLE: Vendor = Vendor {
    image: "europe-docker.pkg.dev/proj/repo/api:1",
    hosts: &["europe-docker.pkg.dev"],
    challenge: "Bearer realm=\"https://europe-docker.pkg.dev/v2/token\",service=\"europe-docker.pkg.dev\"",
    token: Some(("/v2/token", None)),
};
const AZURE: Vendor = Vendor {
    image: "acme.azurecr.io/api:1",
    hosts: &["acme.azurecr.io"],
    challenge: "Bearer realm=\"https://acme.azurecr.io/oauth2/token\",service=\"acme.azurecr.io\",scope=\"repository:api:pull\"",
    token: Some((
        "/oauth2/token",
        Some((
            401,
            "UNAUTHORIZED",
            "authentication required, visit https://aka.ms/acr/authorization",
        )),
    )),
};
const HARBOR: Vendor = Vendor {
    image: "harbor.example/acme/api:1",
    hosts: &["harbor.example"],
    challenge: "Bearer realm=\"https://harbor.example/service/token\",service=\"harbor-registry\",scope=\"repository:acme/api:pull\"",
    token: Some(("/service/token", None)),
};

impl Vendor {
    /// Starts it. Who has shown a token, or a password where there are none, gets `refusal`, or what is asked for.
    async fn start(self, refusal: Option<Refusal>, gives_tokens: bool) -> Running {
        let authority = Authority::new();
        let folder = tempfile::tempdir().unwrap();
        let ca = folder.path().join("ca.pem");
        authority.write(&ca);
        let (certificate, key) = authority.issue_for(self.hosts);
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config =
            ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_no_client_auth()
                .with_single_cert(vec![certificate.der().clone()], key)
                .unwrap();
        let registry = Registry::with(&image("amd64", 10), "1");
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let server = Server::start_tunnel(acceptor, move |seen| {
            self.answer(seen, refusal, gives_tokens).unwrap_or_else(|| registry.answer(seen))
        })
        .await;
        Running { vendor: self, server, ca: ca.display().to_string(), _folder: folder }
    }

    fn answer(self, seen: &Seen, refusal: Option<Refusal>, gives_tokens: bool) -> Option<Answer> {
        if let Some((path, refused)) = self.token
            && seen.path() == path
        {
            return Some(match refused.filter(|_| !gives_tokens) {
                Some(refused) => refuse(refused),
                None => {
                    Answer::new(200).body(r#"{"token":"t","access_token":"t","expires_in":300}"#)
                }
            });
        }
        if seen.header("Authorization").is_none() {
            let refused = refuse((401, "UNAUTHORIZED", "authentication required"));
            return Some(refused.with("WWW-Authenticate", self.challenge));
        }
        refusal.map(refuse)
    }
}

fn refuse((status, code, message): Refusal) -> Answer {
    let body = serde_json::json!({ "errors": [{ "code": code, "message": message }] });
    Answer::new(status).with("Content-Type", "application/json").body(body.to_string())
}

struct Running {
    vendor: Vendor,
    server: Server,
    ca: String,
    _folder: TempDir,
}

impl Running {
    fn client(&self, credentials: Arc<dyn Credentials>) -> Client {
        let mut setting = RegistrySetting::default();
        setting.ca = Some(self.ca.clone().into());
        let hosts = self.vendor.hosts.iter();
        let settings =
            RegistrySettings(hosts.map(|it| ((*it).to_owned(), setting.clone())).collect());
        let proxy = format!("http://{}", self.server.address.replace("localhost", "127.0.0.1"));
        let host = Host::with_variables("/", [("HTTPS_PROXY", proxy)]);
        Client::new(&host, Arc::new(settings), credentials)
    }

    async fn pull(&self, credentials: Arc<dyn Credentials>) -> Result<()> {
        let image = self.vendor.image.parse().unwrap();
        let platform = "linux/amd64".parse().unwrap();
        self.client(credentials).check(&image, Some(&platform)).await.map(|_| ())
    }

    async fn push(&self, credentials: Arc<dyn Credentials>) -> Result<()> {
        self.client(credentials).check_push(&self.vendor.image.parse().unwrap()).await
    }
}

fn anonymous() -> Arc<dyn Credentials> {
    Arc::new(Anonymous)
}

/// Somebody whom the registry knows.
fn user(vendor: Vendor) -> Arc<dyn Credentials> {
    let password = Credential::Password { user: "ann".into(), password: Secret::from("secret") };
    let image: ImageRef = vendor.image.parse().unwrap();
    Arc::new(One(image.registry().to_owned(), password))
}

fn says(error: &Error, kind: ErrorKind, remedy: &str) {
    assert_eq!(error.kind(), kind, "{}", told(error));
    let found = error.remedy().unwrap_or_default();
    assert!(found.contains(remedy), "{}\n{found}", told(error));
}

#[tokio::test]
async fn who_may_pull_is_told_so_by_every_one_of_them() {
    for vendor in [GITHUB, DOCKER_HUB, ECR, GOOGLE, AZURE, HARBOR] {
        vendor.start(None, true).await.pull(user(vendor)).await.unwrap();
        if vendor.token.is_some() {
            vendor.start(None, true).await.pull(anonymous()).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_package_that_is_private_can_be_made_public_after_its_first_push() {
    let error = GITHUB.start(None, false).await.pull(anonymous()).await.unwrap_err();
    says(&error, ErrorKind::Unauthorized, "packages are private after their first push");
    says(&error, ErrorKind::Unauthorized, "users/acme/packages/container/api/settings");
    let refusal = (403, "DENIED", "permission_denied: write_package");
    let error = GITHUB.start(Some(refusal), true).await.push(user(GITHUB)).await.unwrap_err();
    says(&error, ErrorKind::Unauthorized, "`write:packages`");
    assert!(told(&error).contains("write_package"), "{}", told(&error));
}

#[tokio::test]
async fn docker_hub_hides_what_is_private_and_counts_pulls() {
    let hidden = (401, "UNAUTHORIZED", "authentication required");
    let error = DOCKER_HUB.start(Some(hidden), true).await.pull(anonymous()).await.unwrap_err();
    says(&error, ErrorKind::Unauthorized, "hub.docker.com/repository/docker/acme/api/settings");
    let limit = (429, "TOOMANYREQUESTS", "You have reached your unauthenticated pull rate limit.");
    let running = DOCKER_HUB.start(Some(limit), true).await;
    let once = Retries { attempts: 1, ..Retries::default() };
    let client = running.client(anonymous()).with_retries(once);
    let error = client.check(&DOCKER_HUB.image.parse().unwrap(), None).await.unwrap_err();
    assert!(error.remedy().unwrap().contains("boxwright login docker.io"), "{}", told(&error));
}

#[tokio::test]
async fn ecr_tells_an_old_login_from_a_missing_repository_and_from_another_account() {
    let expired =
        (403, "DENIED", "Your authorization token has expired. Reauthenticate and try again.");
    let error = ECR.start(Some(expired), true).await.pull(user(ECR)).await.unwrap_err();
    says(&error, ErrorKind::Unauthorized, "get-login-password --region eu-west-1");
    assert!(told(&error).contains("has expired"), "{}", told(&error));
    let missing = (
        404,
        "NAME_UNKNOWN",
        "The repository with name 'team/api' does not exist in the registry with id '1'",
    );
    let error = ECR.start(Some(missing), true).await.push(user(ECR)).await.unwrap_err();
    says(
        &error,
        ErrorKind::NotFound,
        "aws ecr create-repository --repository-name team/api --region eu-west-1",
    );
    let other = (
        403,
        "DENIED",
        "User: arn:aws:iam::2:role/node is not authorized to perform: ecr:BatchGetImage",
    );
    let error = ECR.start(Some(other), true).await.pull(user(ECR)).await.unwrap_err();
    says(&error, ErrorKind::Unauthorized, "a cluster of another account needs `ecr:BatchGetImage`");
    let error = ECR.start(None, true).await.pull(anonymous()).await.unwrap_err();
    says(&error, ErrorKind::Unauthorized, "a login lasts 12 hours");
}

#[tokio::test]
async fn google_names_the_role_and_the_repository() {
    let denied = (
        403,
        "DENIED",
        "Unauthenticated requests do not have permission \"artifactregistry.repositories.downloadArtifacts\"",
    );
    let error = GOOGLE.start(Some(denied), true).await.pull(anonymous()).await.unwrap_err();
    says(&error, ErrorKind::Unauthorized, "roles/artifactregistry.reader");
    let error = GOOGLE.start(Some(denied), true).await.push(user(GOOGLE)).await.unwrap_err();
    says(&error, ErrorKind::Unauthorized, "roles/artifactregistry.writer");
    let missing = (404, "NAME_UNKNOWN", "Repository \"repo\" not found");
    let error = GOOGLE.start(Some(missing), true).await.push(user(GOOGLE)).await.unwrap_err();
    says(&error, ErrorKind::NotFound, "gcloud artifacts repositories create repo");
}

#[tokio::test]
async fn azure_refuses_at_its_token_service_and_names_the_role() {
    let error = AZURE.start(None, false).await.pull(anonymous()).await.unwrap_err();
    says(&error, ErrorKind::Unauthorized, "`AcrPull`");
    says(&error, ErrorKind::Unauthorized, "--anonymous-pull-enabled");
    let error = AZURE.start(None, false).await.push(user(AZURE)).await.unwrap_err();
    says(&error, ErrorKind::Unauthorized, "`AcrPush`");
}

#[tokio::test]
async fn harbor_wants_a_project_and_that_it_is_public() {
    let private =
        (401, "UNAUTHORIZED", "unauthorized to access repository: acme/api, action: pull");
    let error = HARBOR.start(Some(private), true).await.pull(anonymous()).await.unwrap_err();
    says(&error, ErrorKind::Unauthorized, "(on Harbor its project) public");
    let missing = (404, "NOT_FOUND", "project acme not found");
    let error = HARBOR.start(Some(missing), true).await.push(user(HARBOR)).await.unwrap_err();
    says(&error, ErrorKind::NotFound, "(on Harbor its project)");
}
