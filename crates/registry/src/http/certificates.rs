//! The certificates that belong to one registry: from its settings, and from where Docker and Podman
//! look for them.

use std::fs;
use std::path::{Path, PathBuf};

use boxwright_core::{Error, ErrorKind, Host, RegistrySetting, Result};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// The certificates of one registry.
#[derive(Debug, Default)]
pub(super) struct Certificates {
    /// Authorities that are trusted beside the system's.
    pub(super) authorities: Vec<CertificateDer<'static>>,
    /// What the client shows, with its key.
    pub(super) client: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
}

impl Certificates {
    /// Reads what `setting` names, and the folders `certs.d/REGISTRY` of Docker and Podman.
    pub(super) fn read(
        host: &Host,
        registry: &str,
        setting: Option<&RegistrySetting>,
    ) -> Result<Self> {
        let mut certificates = Self::default();
        for folder in folders(host) {
            certificates.add_folder(&folder.join(registry))?;
        }
        let Some(setting) = setting else { return Ok(certificates) };
        let named = |error: Error, field: &str| {
            error.with_remedy(format!(
                "correct `{field}` of `[registry.\"{registry}\"]` in your settings"
            ))
        };
        if let Some(file) = &setting.ca {
            let file = host.absolute(file);
            certificates.authorities.extend(read_certificates(&file).map_err(|e| named(e, "ca"))?);
        }
        certificates.client = match (&setting.client_certificate, &setting.client_key) {
            (None, None) => certificates.client,
            (Some(certificate), Some(key)) => {
                let shown = read_certificates(&host.absolute(certificate))
                    .map_err(|error| named(error, "client-certificate"))?;
                let key = read_key(&host.absolute(key)).map_err(|e| named(e, "client-key"))?;
                Some((shown, key))
            }
            (Some(_), None) | (None, Some(_)) => {
                return Err(Error::new(
                    ErrorKind::InvalidInput,
                    format!("the settings of `{registry}` have half of a client certificate"),
                )
                .with_remedy("set both `client-certificate` and `client-key`"));
            }
        };
        Ok(certificates)
    }

    // SPEC: docker and containers-certs.d(5): `*.crt` are authorities, `*.cert` and the `.key` of the
    // same name are what the client shows.
    fn add_folder(&mut self, folder: &Path) -> Result<()> {
        // A folder that is not there, or not ours to read, has no certificates for us.
        let Ok(entries) = fs::read_dir(folder) else { return Ok(()) };
        let mut files: Vec<PathBuf> =
            entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect();
        files.sort();
        for file in files {
            match file.extension().and_then(std::ffi::OsStr::to_str) {
                Some("crt") => self.authorities.extend(read_certificates(&file)?),
                Some("cert") => {
                    let key = file.with_extension("key");
                    self.client = Some((read_certificates(&file)?, read_key(&key)?));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

fn folders(host: &Host) -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> =
        vec!["/etc/docker/certs.d".into(), "/etc/containers/certs.d".into()];
    if let Some(config) = host.config_folder() {
        folders.push(config.join("docker/certs.d"));
        folders.push(config.join("containers/certs.d"));
    }
    folders
}

fn read_certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let bytes = read(file)?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    match certificates {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        Ok(_) => Err(cannot(file, "it has no certificate in the PEM format")),
        Err(error) => Err(cannot(file, &format!("it is not in the PEM format: {error}"))),
    }
}

fn read_key(file: &Path) -> Result<PrivateKeyDer<'static>> {
    // The parser's words never quote the key.
    PrivateKeyDer::from_pem_slice(&read(file)?)
        .map_err(|error| cannot(file, &format!("it has no private key in the PEM format: {error}")))
}

fn read(file: &Path) -> Result<Vec<u8>> {
    fs::read(file).map_err(|error| cannot(file, &error.to_string()))
}

fn cannot(file: &Path, cause: &str) -> Error {
    Error::new(ErrorKind::InvalidInput, format!("cannot read `{}`", file.display()))
        .with_cause(cause)
}
