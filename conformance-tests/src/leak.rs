//! Searches for a secret in everything an image is made of, in the forms that programs write it in.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// Returns the forms of `secret` that are searched for: as it is, hexadecimal, percent-encoded, and base64 at
/// each of the three places where it may begin in a group of three bytes.
#[must_use]
pub fn forms(secret: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let hex = |upper: bool| -> Vec<u8> {
        let digits = secret
            .iter()
            .map(|byte| if upper { format!("{byte:02X}") } else { format!("{byte:02x}") });
        digits.collect::<String>().into_bytes()
    };
    let percent: String = secret
        .iter()
        .map(|&byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect();
    let mut forms = vec![
        ("plain", secret.to_vec()),
        ("hexadecimal", hex(false)),
        ("hexadecimal", hex(true)),
        ("percent-encoded", percent.into_bytes()),
    ];
    for shift in 0..3 {
        let shifted = [&vec![0; shift], secret].concat();
        for engine in [&STANDARD_NO_PAD, &URL_SAFE_NO_PAD] {
            let text = engine.encode(&shifted);
            // The characters at both ends also hold bits of what stands beside the secret.
            let start = (shift * 8).div_ceil(6);
            let end = shifted.len() * 8 / 6;
            forms.push(("base64", text.as_bytes()[start..end].to_vec()));
        }
    }
    forms
}

/// Returns in which form `secret` is in `bytes`, if it is.
#[must_use]
pub fn find(secret: &[u8], bytes: &[u8]) -> Option<&'static str> {
    let is_in = |form: &[u8]| bytes.windows(form.len().max(1)).any(|window| window == form);
    forms(secret).into_iter().find(|(_, form)| is_in(form)).map(|(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_a_secret_in_every_form_and_at_every_place() {
        let secret = b"s3cr3t/value+with?odd&bytes";
        for before in ["", "a", "ab", "abc"] {
            for after in ["", "z", "zy"] {
                let plain = [before.as_bytes(), secret, after.as_bytes()].concat();
                let hex: String = plain.iter().map(|byte| format!("{byte:02x}")).collect();
                assert_eq!(find(secret, &plain), Some("plain"));
                assert_eq!(find(secret, hex.as_bytes()), Some("hexadecimal"));
                for engine in [&STANDARD_NO_PAD, &URL_SAFE_NO_PAD] {
                    let text = engine.encode(&plain);
                    assert_eq!(find(secret, text.as_bytes()), Some("base64"), "{before} {after}");
                }
            }
        }
        assert_eq!(find(secret, b"s3cr3t%2Fvalue%2Bwith%3Fodd%26bytes"), Some("percent-encoded"));
        assert_eq!(find(secret, b"s3cr3t and value"), None);
    }
}
