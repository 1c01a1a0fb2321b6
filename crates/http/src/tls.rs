//! TLS to an engine, by rustls with ring.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use boxwright_core::{Error, ErrorKind, Result};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::endpoint::Endpoint;

/// What a server is known by. The files are PEM.
#[derive(Clone, Debug)]
pub(crate) enum Trust<F> {
    /// The authorities of this system.
    System,
    /// The authorities in this file.
    Authorities(F),
    /// This one certificate.
    One(F),
}

/// Reads the certificate files of an endpoint.
pub(crate) async fn configuration(
    trust: Trust<&PathBuf>,
    identity: Option<(&Path, &Path)>,
) -> Result<Arc<ClientConfig>> {
    let trust = match trust {
        Trust::System => Trust::System,
        Trust::Authorities(file) => Trust::Authorities(file.clone()),
        Trust::One(file) => Trust::One(file.clone()),
    };
    let identity = identity.map(|(certificate, key)| (certificate.to_owned(), key.to_owned()));
    let read = move || {
        let identity = identity.as_ref().map(|(certificate, key)| (&**certificate, &**key));
        read_configuration(&trust, identity)
    };
    tokio::task::spawn_blocking(read).await.map_err(|error| {
        Error::new(ErrorKind::Bug, "cannot read certificates").with_source(error)
    })?
}

fn read_configuration(
    trust: &Trust<PathBuf>,
    identity: Option<(&Path, &Path)>,
) -> Result<Arc<ClientConfig>> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions();
    let builder = builder
        .map_err(|error| Error::new(ErrorKind::Bug, "cannot set TLS up").with_source(error))?;
    let mut roots = RootCertStore::empty();
    let builder = match trust {
        Trust::One(file) => {
            let certificate = certificates(file)?.swap_remove(0);
            let verifier = Arc::new(Pinned { certificate, provider });
            builder.dangerous().with_custom_certificate_verifier(verifier)
        }
        Trust::Authorities(file) => {
            for certificate in certificates(file)? {
                roots.add(certificate).map_err(|error| unusable(file, error))?;
            }
            builder.with_root_certificates(roots)
        }
        Trust::System => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            builder.with_root_certificates(roots)
        }
    };
    let config = match identity {
        Some((certificate, key)) => {
            let chain = certificates(certificate)?;
            let key_der =
                PrivateKeyDer::from_pem_file(key).map_err(|error| unusable(key, error))?;
            builder
                .with_client_auth_cert(chain, key_der)
                .map_err(|error| unusable(certificate, error))?
        }
        None => builder.with_no_client_auth(),
    };
    Ok(Arc::new(config))
}

/// Accepts one certificate alone, as whoever accepted it once wants it: its names, its time and its authority do not count.
/// That the server has its key is verified as ever.
#[derive(Debug)]
struct Pinned {
    certificate: CertificateDer<'static>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> std::result::Result<ServerCertVerified, rustls::Error> {
        if *end_entity == self.certificate {
            return Ok(ServerCertVerified::assertion());
        }
        Err(rustls::Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let read = CertificateDer::pem_file_iter(file).map_err(|error| unusable(file, error))?;
    let read: Vec<_> = read.collect::<Result<_, _>>().map_err(|error| unusable(file, error))?;
    if read.is_empty() {
        return Err(unusable(file, "it holds no certificate"));
    }
    Ok(read)
}

fn unusable(file: &Path, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    let shown = file.display();
    Error::new(ErrorKind::InvalidInput, format!("cannot use the TLS file `{shown}`"))
        .with_source(cause)
        .with_remedy("name a readable PEM file")
}

/// Makes a TLS stream of `stream`, whose certificate must be for `host`.
pub(crate) async fn handshake(
    config: Arc<ClientConfig>,
    host: &str,
    stream: TcpStream,
) -> io::Result<TlsStream<TcpStream>> {
    let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
    TlsConnector::from(config).connect(name, stream).await
}

/// Says why a handshake came to nothing.
pub(crate) fn refused(endpoint: &Endpoint, error: io::Error) -> Error {
    let failure = Error::new(ErrorKind::Unavailable, format!("no TLS with `{endpoint}`"));
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    let remedy = match inner {
        Some(rustls::Error::InvalidCertificate(_)) => {
            "name the authority that signed the server's certificate, or accept its certificate again"
        }
        Some(rustls::Error::AlertReceived(_)) => {
            "show a client certificate that the server accepts"
        }
        _ => "see whether the server speaks TLS on this port",
    };
    failure.with_source(error).with_remedy(remedy)
}
