//! Certificates that build steps trust beside those of their image.

use std::fmt;
use std::sync::Arc;

use crate::error::{Error, ErrorKind, Result};

/// The most bytes of a bundle. All authorities that browsers trust are a quarter of it.
const LIMIT: usize = 1 << 20;

/// What to do about bytes that are no certificates.
const FORMAT: &str = "name a file with `-----BEGIN CERTIFICATE-----` and what follows";

/// Certificates of authorities, in the PEM format, that build steps trust beside those of their image: a proxy that
/// looks into TLS has one. They are there while a step runs, and nothing of them is in an image or a cache key.
#[derive(Clone, PartialEq, Eq)]
pub struct CaBundle(Arc<[u8]>);

impl CaBundle {
    /// Takes the bytes of a PEM file.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] when it has no certificate, one that is cut off, or a private key, and when it is
    /// larger than 1 MiB.
    pub fn parse(pem: Vec<u8>) -> Result<Self> {
        if pem.len() > LIMIT {
            return refuse("they are larger than 1 MiB", "leave out authorities that are not used");
        }
        let Ok(text) = std::str::from_utf8(&pem) else {
            return refuse("they are not in the PEM format", FORMAT);
        };
        let (mut open, mut certificates) = (None, 0);
        for line in text.lines().map(str::trim) {
            match (label(line, "BEGIN"), label(line, "END"), open) {
                (Some(name), ..) if name.ends_with("PRIVATE KEY") => {
                    return refuse(
                        "there is a private key among them, which every step could read",
                        "name a file that has certificates alone",
                    );
                }
                (Some(name), _, None) => open = Some(name),
                (None, Some(name), Some(opened)) if name == opened => {
                    certificates += usize::from(name.ends_with("CERTIFICATE"));
                    open = None;
                }
                (None, None, Some(_)) if is_base64(line) => {}
                // Between certificates anything may be written.
                (None, None, None) => {}
                _ => return refuse("one of them is cut off or damaged", FORMAT),
            }
        }
        if open.is_some() {
            return refuse("the last of them is cut off", FORMAT);
        }
        if certificates == 0 {
            return refuse("there is no certificate in the PEM format", FORMAT);
        }
        Ok(Self(pem.into()))
    }

    /// Returns the certificates as they were given.
    #[must_use]
    pub fn pem(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for CaBundle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CaBundle({} bytes)", self.0.len())
    }
}

fn refuse(cause: &'static str, remedy: &'static str) -> Result<CaBundle> {
    Err(Error::new(ErrorKind::InvalidInput, "cannot use the certificates for steps")
        .with_cause(cause)
        .with_remedy(remedy))
}

/// Returns the name in a line that begins or ends something in the PEM format.
fn label<'l>(line: &'l str, word: &str) -> Option<&'l str> {
    line.strip_prefix("-----")?.strip_prefix(word)?.strip_prefix(' ')?.strip_suffix("-----")
}

fn is_base64(line: &str) -> bool {
    line.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'='))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";

    fn cause(text: impl Into<Vec<u8>>) -> String {
        let error = CaBundle::parse(text.into()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.remedy().is_some());
        error.causes().concat()
    }

    #[test]
    fn certificates_with_words_between_them_are_taken_as_they_are() {
        let text = format!("# ours\n{ONE}\r\nand theirs\n{}", ONE.replace('\n', "\r\n"));
        assert_eq!(CaBundle::parse(text.clone().into()).unwrap().pem(), text.as_bytes());
    }

    #[test]
    fn what_is_no_certificate_is_refused_with_its_reason() {
        assert!(cause("").contains("no certificate"));
        assert!(cause(b"0\x82\x03\xff".as_slice()).contains("not in the PEM format"));
        assert!(cause(&ONE[..40]).contains("cut off"));
        assert!(cause(ONE.replace("MIIB", "MI!B")).contains("damaged"));
        assert!(cause(format!("{ONE}{ONE}").replacen("END", "BEGIN", 1)).contains("damaged"));
        assert!(cause(ONE.repeat(20_000)).contains("larger than 1 MiB"));
    }

    #[test]
    fn a_private_key_is_refused_since_every_step_could_read_it() {
        let key = ONE.replace("CERTIFICATE", "EC PRIVATE KEY");
        assert!(cause(format!("{ONE}{key}")).contains("private key"));
    }
}
