//! TLS to an engine, by rustls with ring.

use std::io;
use std::path::Path;
use std::sync::Arc;

use boxwright_core::{Error, ErrorKind, Result};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::endpoint::Endpoint;

/// Reads the certificate files of an endpoint.
pub(crate) async fn configuration(
    ca: Option<&Path>,
    identity: Option<(&Path, &Path)>,
) -> Result<Arc<ClientConfig>> {
    let ca = ca.map(Path::to_owned);
    let identity = identity.map(|(certificate, key)| (certificate.to_owned(), key.to_owned()));
    let read = move || {
        let identity = identity.as_ref().map(|(certificate, key)| (&**certificate, &**key));
        read_configuration(ca.as_deref(), identity)
    };
    tokio::task::spawn_blocking(read).await.map_err(|error| {
        Error::new(ErrorKind::Bug, "cannot read certificates").with_source(error)
    })?
}

fn read_configuration(
    ca: Option<&Path>,
    identity: Option<(&Path, &Path)>,
) -> Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    match ca {
        Some(file) => {
            for certificate in certificates(file)? {
                roots.add(certificate).map_err(|error| unusable(file, error))?;
            }
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder
        .map_err(|error| Error::new(ErrorKind::Bug, "cannot set TLS up").with_source(error))?
        .with_root_certificates(roots);
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
            "name the authority that signed the server's certificate"
        }
        Some(rustls::Error::AlertReceived(_)) => {
            "show a client certificate that the server accepts"
        }
        _ => "see whether the server speaks TLS on this port",
    };
    failure.with_source(error).with_remedy(remedy)
}
