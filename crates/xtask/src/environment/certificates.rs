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
        request("boxwright test authority", &folder.join("authority.key"), &made.authority())
            .args(["-x509", "-days", "3650"])
            .args(["-addext", "basicConstraints=critical,CA:TRUE"])
            .args(["-addext", "keyUsage=critical,keyCertSign,cRLSign"])
            .output()?;
        let names = "subjectAltName=DNS:localhost,DNS:registry.test,IP:127.0.0.1,IP:::1\n\
                     extendedKeyUsage=serverAuth\n";
        made.issue("localhost", "server", names)?;
        made.issue("boxwright test client", "client", "extendedKeyUsage=clientAuth\n")?;
        request("boxwright token signer", &made.signer_key(), &made.signer())
            .args(["-x509", "-days", "3650"])
            .output()?;
        Ok(made)
    }

    /// Makes the certificate and the key in `FILE.pem` and `FILE.key`, by the authority.
    fn issue(&self, name: &str, file: &str, extensions: &str) -> Result<()> {
        let path = |kind: &str| self.folder.join(format!("{file}.{kind}"));
        let text = format!("{extensions}basicConstraints=CA:FALSE\n");
        let message = || format!("cannot write into `{}`", self.folder.display());
        fs::write(path("ext"), text).explain(message)?;
        request(name, &path("key"), &path("csr")).output()?;
        let issued = Program::new("openssl")
            .args(["x509", "-req", "-days", "800", "-set_serial", "1"])
            .arg("-in")
            .arg(path("csr"))
            .arg("-CA")
            .arg(self.authority())
            .arg("-CAkey")
            .arg(self.folder.join("authority.key"))
            .arg("-extfile")
            .arg(path("ext"))
            .arg("-out")
            .arg(path("pem"))
            .output();
        issued.map(drop)
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

    /// What a client shows to a server that wants a certificate.
    pub(crate) fn client(&self) -> PathBuf {
        self.folder.join("client.pem")
    }

    pub(crate) fn client_key(&self) -> PathBuf {
        self.folder.join("client.key")
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
