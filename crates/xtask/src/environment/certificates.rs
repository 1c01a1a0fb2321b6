//! Certificates for one environment: an authority, a server's, and the one that tokens are signed with.

use std::fs;
use std::path::{Path, PathBuf};

use crate::problem::{Explain, Result};
use crate::program::Program;

/// A folder of certificates, made by the `openssl` program.
#[derive(Debug)]
pub(crate) struct Certificates {
    folder: PathBuf,
}

impl Certificates {
    /// Makes them all, with new keys.
    pub(crate) fn make(folder: &Path) -> Result<Self> {
        let message = || format!("cannot write into `{}`", folder.display());
        fs::create_dir_all(folder).explain(message)?;
        let made = Self { folder: folder.to_owned() };
        let extensions = folder.join("server.ext");
        let text = "subjectAltName=DNS:localhost,DNS:registry.test,IP:127.0.0.1,IP:::1\n\
                    extendedKeyUsage=serverAuth\nbasicConstraints=CA:FALSE\n";
        fs::write(&extensions, text).explain(message)?;

        request("boxwright test authority", &folder.join("authority.key"), &made.authority())
            .args(["-x509", "-days", "3650"])
            .args(["-addext", "basicConstraints=critical,CA:TRUE"])
            .args(["-addext", "keyUsage=critical,keyCertSign,cRLSign"])
            .output()?;
        let wanted = folder.join("server.csr");
        request("localhost", &made.server_key(), &wanted).output()?;
        Program::new("openssl")
            .args(["x509", "-req", "-days", "800", "-set_serial", "1"])
            .arg("-in")
            .arg(&wanted)
            .arg("-CA")
            .arg(made.authority())
            .arg("-CAkey")
            .arg(folder.join("authority.key"))
            .arg("-extfile")
            .arg(&extensions)
            .arg("-out")
            .arg(made.server())
            .output()?;
        request("boxwright token signer", &made.signer_key(), &made.signer())
            .args(["-x509", "-days", "3650"])
            .output()?;
        Ok(made)
    }

    /// What clients verify the server with.
    pub(crate) fn authority(&self) -> PathBuf {
        self.folder.join("authority.pem")
    }

    pub(crate) fn server(&self) -> PathBuf {
        self.folder.join("server.pem")
    }

    pub(crate) fn server_key(&self) -> PathBuf {
        self.folder.join("server.key")
    }

    /// What a registry verifies tokens with.
    pub(crate) fn signer(&self) -> PathBuf {
        self.folder.join("signer.pem")
    }

    pub(crate) fn signer_key(&self) -> PathBuf {
        self.folder.join("signer.key")
    }
}

fn request(name: &str, key: &Path, out: &Path) -> Program {
    Program::new("openssl")
        .args(["req", "-newkey", "rsa:2048", "-nodes", "-subj", &format!("/CN={name}")])
        .arg("-keyout")
        .arg(key)
        .arg("-out")
        .arg(out)
}
