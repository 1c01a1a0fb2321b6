//! Hashes what passes by.

use boxwright_core::Digest;
use sha2::{Digest as _, Sha256, Sha512};

/// Hashes bytes with the algorithm of a digest.
#[derive(Clone, Debug)]
pub(crate) enum Digester {
    Sha256(Sha256),
    Sha512(Sha512),
}

impl Digester {
    /// Returns a digester whose result can be compared with `digest`.
    pub(crate) fn like(digest: &Digest) -> Self {
        match digest.algorithm() {
            "sha512" => Self::Sha512(Sha512::new()),
            _ => Self::Sha256(Sha256::new()),
        }
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(hash) => hash.update(bytes),
            Self::Sha512(hash) => hash.update(bytes),
        }
    }

    /// Returns whether what passed by has `digest`.
    pub(crate) fn is(self, digest: &Digest) -> bool {
        let bytes = match self {
            Self::Sha256(hash) => hash.finalize().to_vec(),
            Self::Sha512(hash) => hash.finalize().to_vec(),
        };
        let hex = digest.hex();
        hex.len() == bytes.len() * 2
            && bytes.iter().enumerate().all(|(at, byte)| {
                hex.get(at * 2..at * 2 + 2) == Some(format!("{byte:02x}").as_str())
            })
    }
}

/// Returns whether `bytes` have `digest`.
pub(crate) fn matches(bytes: &[u8], digest: &Digest) -> bool {
    let mut digester = Digester::like(digest);
    digester.update(bytes);
    digester.is(digest)
}

/// Returns the SHA-256 digest of `bytes`.
pub(crate) fn sha256(bytes: &[u8]) -> Digest {
    Digest::from_sha256(Sha256::digest(bytes).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_algorithms_are_compared() {
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let sha256: Digest = format!("sha256:{empty}").parse().unwrap();
        let sha512: Digest =
            "sha512:cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce\
            47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e"
                .parse()
                .unwrap();
        assert!(matches(b"", &sha256) && matches(b"", &sha512));
        assert!(!matches(b"x", &sha256) && !matches(b"x", &sha512));
        assert_eq!(super::sha256(b""), sha256);
    }
}
