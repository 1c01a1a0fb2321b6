//! The four kinds of registry that the conformance suite asks for, in this process.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use boxwright_core::ImageRef;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::TlsAcceptor;

use crate::base;
use crate::fake_registry::{Access, FakeRegistry};

/// The user's name and password for every registry of [`Registries`] that asks for one.
pub const USER: (&str, &str) = ("alice", "secret>>>???~~~");

/// An open registry with a base image in it, and three that ask for a password.
#[derive(Debug)]
pub struct Registries {
    /// Everyone may use it. It has the base image.
    pub open: FakeRegistry,
    /// It asks for name and password.
    pub auth: FakeRegistry,
    /// It asks for name and password, over TLS.
    pub tls: FakeRegistry,
    /// It asks for a token.
    pub token: FakeRegistry,
    /// The base image: the files of one, without the programs.
    pub base: ImageRef,
    /// A file with the certificate of the authority that vouches for `tls`.
    pub ca: PathBuf,
    // The file is in it.
    _folder: tempfile::TempDir,
}

impl Registries {
    /// Starts all four.
    ///
    /// # Errors
    ///
    /// When ports or a temporary folder cannot be had.
    pub async fn start() -> io::Result<Self> {
        let (user, password) = (USER.0.to_owned(), USER.1.to_owned());
        let folder = tempfile::Builder::new().prefix("boxwright-registries-").tempdir()?;
        let ca = folder.path().join("ca.pem");
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let (authority, acceptor) = certificates(names)?;
        std::fs::write(&ca, authority)?;
        let by_password = Access::Password { user: user.clone(), password: password.clone() };
        let by_token = Access::Token { user, password };
        let open = FakeRegistry::open().await?;
        base::put_into(&open)?;
        let base = format!("{}/{}:{}", open.host(), base::NAME.0, base::NAME.1);
        Ok(Self {
            auth: FakeRegistry::start(by_password.clone(), Vec::new(), None).await?,
            tls: FakeRegistry::start(by_password, Vec::new(), Some(acceptor)).await?,
            token: FakeRegistry::start(by_token, Vec::new(), None).await?,
            base: base.parse().map_err(io::Error::other)?,
            open,
            ca,
            _folder: folder,
        })
    }
}

/// Makes an authority, and a certificate for `names` by it.
pub(crate) fn certificates(names: Vec<String>) -> io::Result<(String, TlsAcceptor)> {
    use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
    let authority_key = KeyPair::generate().map_err(io::Error::other)?;
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.distinguished_name.push(DnType::CommonName, "authority of the test registries");
    let authority_pem = authority.self_signed(&authority_key).map_err(io::Error::other)?.pem();
    let issuer = Issuer::new(authority, authority_key);
    let key = KeyPair::generate().map_err(io::Error::other)?;
    let certificate = CertificateParams::new(names)
        .and_then(|params| params.signed_by(&key, &issuer))
        .map_err(io::Error::other)?;
    let chain = vec![CertificateDer::from(certificate.der().to_vec())];
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
        .map_err(io::Error::other)?;
    Ok((authority_pem, TlsAcceptor::from(Arc::new(config))))
}
