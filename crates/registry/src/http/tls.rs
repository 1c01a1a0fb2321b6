//! TLS as rustls does it, with ring for the cryptography and the system's certificate authorities.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use boxwright_core::{Error, ErrorKind, Host, Result};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use super::certificates::Certificates;

/// The authorities of the system, read when they are first needed.
#[derive(Debug, Default)]
pub(super) struct SystemAuthorities(OnceLock<RootCertStore>);

/// Whether a server's certificate is verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verification {
    On,
    /// Only for a registry that the user's own settings call insecure.
    Off,
}

impl SystemAuthorities {
    fn get(&self, host: &Host) -> &RootCertStore {
        self.0.get_or_init(|| {
            let file = host.path_variable("SSL_CERT_FILE");
            let folder = host.path_variable("SSL_CERT_DIR");
            let found = if file.is_some() || folder.is_some() {
                let [file, folder] =
                    [file, folder].map(|path| path.map(|path| host.absolute(&path)));
                let folder: Option<PathBuf> = folder;
                rustls_native_certs::load_certs_from_paths(file.as_deref(), folder.as_deref())
            } else {
                rustls_native_certs::load_native_certs()
            };
            let mut store = RootCertStore::empty();
            // One that cannot be parsed trusts nobody; a handshake that needed it says so.
            store.add_parsable_certificates(found.certs);
            store
        })
    }
}

/// Returns the configuration for one registry.
pub(super) fn config(
    host: &Host,
    system: &SystemAuthorities,
    registry: &str,
    certificates: Certificates,
    verification: Verification,
) -> Result<ClientConfig> {
    let unusable = |error: rustls::Error, what: &str| {
        Error::new(ErrorKind::InvalidInput, format!("cannot use the {what} for `{registry}`"))
            .with_source(error)
    };
    // Named here and not taken from the process, so that no library has to set anything first.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(error, "protocol versions"))?;
    let builder = match verification {
        Verification::Off => {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(Unverified(provider)))
        }
        Verification::On => {
            let mut authorities = system.get(host).clone();
            for authority in certificates.authorities {
                authorities
                    .add(authority)
                    .map_err(|error| unusable(error, "certificate authority"))?;
            }
            builder.with_root_certificates(authorities)
        }
    };
    match certificates.client {
        None => Ok(builder.with_no_client_auth()),
        Some((shown, key)) => builder
            .with_client_auth_cert(shown, key)
            .map_err(|error| unusable(error, "client certificate")),
    }
}

/// Takes any certificate, but checks that the server has its key.
#[derive(Debug)]
struct Unverified(Arc<CryptoProvider>);

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
