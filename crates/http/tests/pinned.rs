//! Servers that are known by the one certificate that somebody accepted.
#![expect(clippy::unwrap_used, reason = "a panic in a test is a failed test with its place")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use boxwright_core::{ErrorKind, Host};
use boxwright_http::Endpoint;
use rcgen::{CertifiedKey, KeyPair};
use rustls::ServerConfig;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// Makes a certificate for a name that nobody uses.
fn certificate(file: &Path) -> CertifiedKey<KeyPair> {
    let made = rcgen::generate_simple_self_signed(["elsewhere.example".to_owned()]).unwrap();
    std::fs::write(file, made.cert.pem()).unwrap();
    made
}

fn acceptor(made: &CertifiedKey<KeyPair>) -> TlsAcceptor {
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], PrivateKeyDer::from(key))
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

fn endpoint(port: u16, pinned: Option<PathBuf>) -> Endpoint {
    let host = "127.0.0.1".to_owned();
    Endpoint::Tls { host, port, ca: None, pinned, certificate: None, key: None }
}

#[tokio::test]
async fn the_accepted_certificate_counts_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let (own, other) = (folder.path().join("own.crt"), folder.path().join("other.crt"));
    let made = certificate(&own);
    certificate(&other);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let acceptor = acceptor(&made);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            // Whoever knows another certificate ends the handshake.
            if let Ok(mut stream) = acceptor.accept(stream).await {
                stream.write_all(b"it is me").await.unwrap();
                stream.shutdown().await.unwrap();
            }
        }
    });
    let host = Host::with_variables("/", [("A", "b")]);
    let mut connection = endpoint(port, Some(own)).connect(&host).await.unwrap();
    let mut text = String::new();
    connection.read_to_string(&mut text).await.unwrap();
    assert_eq!(text, "it is me");
    for pinned in [Some(other), None] {
        let error = endpoint(port, pinned).connect(&host).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(error.remedy().unwrap().contains("accept its certificate again"), "{error:?}");
    }
}
