//! TLS: verified, with the user's own authorities, and never given up for plain HTTP.

use std::path::Path;
use std::sync::Arc;

use boxwright_core::{Anonymous, ErrorKind, Host, RegistrySetting, RegistrySettings};
use boxwright_registry::Client;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use tokio_rustls::TlsAcceptor;

use crate::server::{Answer, Server};
use crate::setup::{Registry, client_with, host, image, name, told};

/// An authority of its own, with a certificate for `name` and one for a client.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        Self { issuer: CertifiedIssuer::self_signed(params, key).unwrap() }
    }

    fn issue(&self, name: &str) -> (rcgen::Certificate, KeyPair) {
        self.issue_for(&[name])
    }

    pub fn issue_for(&self, names: &[&str]) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let names: Vec<String> = names.iter().map(|&it| it.to_owned()).collect();
        let params = CertificateParams::new(names).unwrap();
        (params.signed_by(&key, &self.issuer).unwrap(), key)
    }

    /// Starts a registry with a certificate for `name`, which wants one of its clients or not.
    async fn registry(&self, name: &str, wants_certificate: bool) -> Server {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap();
        let builder = if wants_certificate {
            let mut roots = rustls::RootCertStore::empty();
            roots.add(self.issuer.der().clone()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.with_client_cert_verifier(verifier.build().unwrap())
        } else {
            builder.with_no_client_auth()
        };
        let (certificate, key) = self.issue(name);
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = builder.with_single_cert(vec![certificate.der().clone()], key).unwrap();
        let registry = Registry::with(&image("amd64", 10), "1");
        let acceptor = TlsAcceptor::from(Arc::new(config));
        Server::start_tls(acceptor, move |seen| registry.answer(seen)).await
    }

    pub fn write(&self, file: &Path) {
        std::fs::write(file, self.issuer.pem()).unwrap();
    }
}

fn settings(address: &str, setting: RegistrySetting) -> RegistrySettings {
    RegistrySettings([(address.to_owned(), setting)].into())
}

async fn pull(settings: RegistrySettings, address: &str) -> boxwright_core::Result<()> {
    let client = client_with(settings, Arc::new(Anonymous));
    client.resolve(&name(address, "api:1"), None).await.map(|_| ())
}

#[tokio::test]
async fn an_own_authority_is_trusted_where_it_is_set_threat_31() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    let authority = Authority::new();
    authority.write(&file);
    let [server, other] = [
        authority.registry("localhost", false).await,
        authority.registry("localhost", false).await,
    ];
    let mut setting = RegistrySetting::default();
    setting.ca = Some(file);
    let settings = settings(&server.address, setting);
    pull(settings.clone(), &server.address).await.unwrap();
    let error = pull(settings, &other.address).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(
        told(&error).contains("from an authority that is not trusted here"),
        "{}",
        told(&error)
    );
    let remedy = format!("`[registry.\"{}\"]`", other.address);
    assert!(error.remedy().unwrap().contains(&remedy), "{}", told(&error));
}

#[tokio::test]
async fn a_certificate_that_does_not_verify_is_no_reason_for_plain_http_threat_31() {
    let authority = Authority::new();
    let server = authority.registry("localhost", false).await;
    pull(RegistrySettings::default(), &server.address).await.unwrap_err();
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn a_certificate_for_another_host_is_refused_threat_31() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    let authority = Authority::new();
    authority.write(&file);
    let server = authority.registry("registry.example", false).await;
    let mut setting = RegistrySetting::default();
    setting.ca = Some(file);
    let error = pull(settings(&server.address, setting), &server.address).await.unwrap_err();
    assert!(told(&error).contains("is for another host"), "{}", told(&error));
}

#[tokio::test]
async fn insecure_is_a_setting_of_one_registry_threat_31() {
    let authority = Authority::new();
    let [server, other] =
        [authority.registry("x", false).await, authority.registry("localhost", false).await];
    let mut setting = RegistrySetting::default();
    setting.insecure = true;
    let settings = settings(&server.address, setting);
    pull(settings.clone(), &server.address).await.unwrap();
    pull(settings, &other.address).await.unwrap_err();
}

#[tokio::test]
async fn a_certificate_is_shown_to_a_registry_that_wants_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let authority = Authority::new();
    authority.write(&path("ca.pem"));
    let (certificate, key) = authority.issue("client");
    std::fs::write(path("client.pem"), certificate.pem()).unwrap();
    std::fs::write(path("key.pem"), key.serialize_pem()).unwrap();
    let server = authority.registry("localhost", true).await;
    let mut setting = RegistrySetting::default();
    setting.ca = Some(path("ca.pem"));
    pull(settings(&server.address, setting.clone()), &server.address).await.unwrap_err();
    setting.client_certificate = Some(path("client.pem"));
    setting.client_key = Some(path("key.pem"));
    pull(settings(&server.address, setting), &server.address).await.unwrap();
}

#[tokio::test]
async fn the_folders_of_docker_and_podman_are_read() {
    for folder in ["docker", "containers"] {
        let home = tempfile::tempdir().unwrap();
        let authority = Authority::new();
        let server = authority.registry("localhost", false).await;
        let certificates =
            home.path().join(".config").join(folder).join("certs.d").join(&server.address);
        std::fs::create_dir_all(&certificates).unwrap();
        authority.write(&certificates.join("ca.crt"));
        let host = Host::with_variables("/", [("HOME", home.path())]);
        let client = Client::new(&host, Arc::default(), Arc::new(Anonymous));
        client.resolve(&name(&server.address, "api:1"), None).await.unwrap();
    }
}

#[tokio::test]
async fn plain_http_that_is_switched_off_is_not_spoken_threat_31() {
    let server = Server::start(|_| Answer::new(200)).await;
    let mut setting = RegistrySetting::default();
    setting.plain_http = Some(false);
    let error = pull(settings(&server.address, setting), &server.address).await.unwrap_err();
    assert!(told(&error).contains("hung up in the TLS handshake"), "{}", told(&error));
    let remedy = error.remedy().unwrap();
    assert!(remedy.starts_with("set `plain-http = true` in `[registry."), "{remedy}");
}

#[tokio::test]
async fn a_file_that_is_no_certificate_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, "nothing").unwrap();
    let server = Server::start(|_| Answer::new(200)).await;
    let mut setting = RegistrySetting::default();
    setting.ca = Some(file.clone());
    let settings = settings(&server.address, setting);
    let client = Client::new(&host(), Arc::new(settings), Arc::new(Anonymous));
    let error = client.resolve(&name(&server.address, "api:1"), None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(told(&error).contains(&format!("cannot read `{}`", file.display())));
    assert!(error.remedy().unwrap().contains("correct `ca` of"));
}
