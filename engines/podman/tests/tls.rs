//! A service behind TLS: Podman's own since 5.7, or a proxy before an older one.
#![expect(clippy::unwrap_used, reason = "a panic in a test is a failed test with its place")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use boxwright_core::{Detection, EngineProvider as _, Host};
use boxwright_engine_podman::{PodmanConfig, PodmanProvider};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// What a service of Podman's answers to a ping.
const PONG: &[u8] = b"HTTP/1.1 200 OK\r\nLibpod-API-Version: 4.3.1\r\nLibpod-Buildah-Version: 1.28.2\r\nContent-Length: 2\r\nConnection: close\r\n\r\nOK";

/// A service that wants a certificate of its clients, and the files that reach it.
struct Service {
    folder: tempfile::TempDir,
    address: String,
}

impl Service {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: String| {
            std::fs::write(folder.path().join(name), text).unwrap();
        };
        let authority_key = KeyPair::generate().unwrap();
        let mut authority = CertificateParams::new(Vec::new()).unwrap();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority_certificate = authority.self_signed(&authority_key).unwrap();
        write("ca.pem", authority_certificate.pem());
        let issuer = Issuer::new(authority, authority_key);
        let issue = |name: &str| {
            let key = KeyPair::generate().unwrap();
            let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
            (params.signed_by(&key, &issuer).unwrap(), key)
        };
        let (client, client_key) = issue("client.example");
        write("cert.pem", client.pem());
        write("key.pem", client_key.serialize_pem());
        let (server, server_key) = issue("localhost");
        let mut roots = RootCertStore::empty();
        roots.add(authority_certificate.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(server_key.serialize_der()));
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier.build().unwrap())
            .with_single_cert(vec![server.der().clone()], key)
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(serve(listener, TlsAcceptor::from(Arc::new(config))));
        Self { folder, address: format!("tcp://localhost:{port}") }
    }

    fn file(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// Detects with these variables, where no other setting of this machine counts.
    async fn detect(&self, variables: &[(&str, &str)]) -> Vec<Detection> {
        let home = self.file("");
        let mut all = vec![("HOME", home.as_str()), ("CONTAINERS_CONF", "/nonexistent")];
        all.extend_from_slice(variables);
        let host = Host::with_variables("/", all);
        PodmanProvider::new(PodmanConfig::default()).detect(&host).await
    }

    fn https(&self) -> String {
        self.address.replace("tcp://", "https://")
    }
}

async fn serve(listener: TcpListener, acceptor: TlsAcceptor) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            // Whoever shows no certificate ends here.
            let Ok(mut stream) = acceptor.accept(stream).await else { return };
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                let Ok(byte) = stream.read_u8().await else { return };
                request.push(byte);
            }
            // A client may be gone by now.
            let _ = stream.write_all(PONG).await;
            let _ = stream.shutdown().await;
        });
    }
}

/// Returns the endpoint and the version of the one that is ready.
fn ready(found: &[Detection]) -> Option<(String, String)> {
    found.iter().find_map(|detection| match detection {
        Detection::Ready(it) => Some((it.endpoint.clone(), it.version.clone())),
        Detection::Unusable { .. } | Detection::Absent { .. } => None,
    })
}

#[tokio::test]
async fn a_service_behind_tls_is_reached_by_podmans_variables() {
    let service = Service::start().await;
    let (ca, cert, key) =
        (service.file("ca.pem"), service.file("cert.pem"), service.file("key.pem"));
    let host = ("CONTAINER_HOST", service.address.as_str());
    let tls = [("CONTAINER_TLS_CERT", cert.as_str()), ("CONTAINER_TLS_KEY", key.as_str())];
    let found = service.detect(&[host, ("CONTAINER_TLS_CA", &ca), tls[0], tls[1]]).await;
    assert_eq!(ready(&found), Some((service.https(), "4.3.1".to_owned())), "{found:?}");
    // Without TLS, without a certificate, and with an authority that is not the server's.
    let plain = service.detect(&[host]).await;
    let [Detection::Unusable { error, .. }] = &plain[..] else { panic!("{plain:?}") };
    assert!(error.remedy().unwrap().contains("`CONTAINER_TLS_CA`"), "{error:?}");
    let bare = service.detect(&[host, ("CONTAINER_TLS_CA", &ca)]).await;
    let strange = service.detect(&[host, ("CONTAINER_TLS_CA", &cert), tls[0], tls[1]]).await;
    for (found, remedy) in [(bare, "`CONTAINER_TLS_CERT`"), (strange, "authority")] {
        let [Detection::Unusable { place, error }] = &found[..] else { panic!("{found:?}") };
        assert_eq!(*place, service.https());
        assert!(error.remedy().unwrap().contains(remedy), "{error:?}");
        assert!(error.context().contains(&("set by", "CONTAINER_HOST".to_owned())), "{error:?}");
    }
}

#[tokio::test]
async fn a_service_behind_tls_is_reached_by_a_connection_of_podmans() {
    let service = Service::start().await;
    let connections = service.file("connections.json");
    let connection = serde_json::json!({"Connection": {"Connections": {"far": {
        "URI": service.address,
        "TLSCA": service.file("ca.pem"),
        "TLSCert": service.file("cert.pem"),
        "TLSKey": service.file("key.pem"),
    }}}});
    std::fs::write(Path::new(&connections), connection.to_string()).unwrap();
    let named = ("CONTAINER_CONNECTION", "far");
    let found = service.detect(&[("PODMAN_CONNECTIONS_CONF", &connections), named]).await;
    assert_eq!(ready(&found), Some((service.https(), "4.3.1".to_owned())), "{found:?}");
}

#[tokio::test]
async fn podman_behind_dockers_variables_is_claimed_threat_38() {
    let service = Service::start().await;
    let folder = service.file("");
    let found = service
        .detect(&[
            ("DOCKER_HOST", &service.address),
            ("DOCKER_TLS_VERIFY", "1"),
            ("DOCKER_CERT_PATH", &folder),
        ])
        .await;
    let is_it =
        |it: &Detection| matches!(it, Detection::Ready(it) if it.endpoint == service.https());
    assert!(found.iter().any(is_it), "{found:?}");
}

#[tokio::test]
async fn a_file_that_is_not_there_is_named() {
    let service = Service::start().await;
    let missing: PathBuf = service.folder.path().join("missing.pem");
    let missing = missing.display().to_string();
    let host = ("CONTAINER_HOST", service.address.as_str());
    let found = service.detect(&[host, ("CONTAINER_TLS_CA", &missing)]).await;
    let [Detection::Unusable { error, .. }] = &found[..] else { panic!("{found:?}") };
    assert_eq!(error.to_string(), format!("cannot use the TLS file `{missing}`"));
    assert_eq!(error.remedy(), Some("name a readable PEM file"));
}
