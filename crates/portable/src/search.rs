//! Looks for secrets in what a build made, so that none leaves with an image.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use aho_corasick::AhoCorasick;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use boxwright_core::{Descriptor, Digest, Error, ErrorKind, Result, Secret};
use boxwright_image::decompress::decompress;
use boxwright_image::layout::Layout;
use boxwright_image::tar::{Kind, Limits, Reader};

/// Secrets that are shorter are not looked for: they would be found where they are not.
const SHORTEST: usize = 8;

/// The values of secrets in their usual encodings.
#[derive(Debug)]
pub(crate) struct Search {
    forms: AhoCorasick,
    /// For each form, the secret and how it is written.
    names: Vec<(String, &'static str)>,
}

/// A secret that was found.
#[derive(Debug, PartialEq, Eq)]
struct Found<'s> {
    id: &'s str,
    form: &'static str,
}

impl Search {
    /// Returns a search for `secrets`, but for those that may be in layers. `None` if there is nothing to look for.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Exhausted`] when they are too much to look for.
    pub(crate) fn new(
        secrets: &BTreeMap<String, Secret>,
        allowed: &[String],
    ) -> Result<Option<Self>> {
        let (mut forms, mut names) = (Vec::new(), Vec::new());
        for (id, secret) in secrets.iter().filter(|(id, _)| !allowed.contains(id)) {
            for (form, bytes) in self::forms(secret.expose().trim_ascii()) {
                forms.push(bytes);
                names.push((id.clone(), form));
            }
        }
        if forms.is_empty() {
            return Ok(None);
        }
        let forms = AhoCorasick::new(&forms).map_err(|error| {
            Error::new(ErrorKind::Exhausted, "cannot look for the secrets").with_source(error)
        })?;
        Ok(Some(Self { forms, names }))
    }

    /// Fails if a secret is in the layer. Blocks.
    pub(crate) fn layer(&self, layout: &Layout, layer: &(Descriptor, Digest)) -> Result<()> {
        let limits = Limits::default();
        let (_, plain) = decompress(layout.open_blocking(&layer.0.digest)?, &limits)?;
        let mut reader = Reader::new(plain, limits);
        while let Some(header) = reader.next_entry()? {
            let mut names = header.path.as_os_str().as_encoded_bytes().to_vec();
            if let Kind::Symlink { target } = &header.kind {
                names.push(0);
                names.extend(target.as_os_str().as_encoded_bytes());
            }
            for (name, value) in &header.xattrs {
                names.push(0);
                names.extend(name.as_bytes());
                names.push(0);
                names.extend(value);
            }
            if let Some(found) = self.bytes(&names) {
                return Err(in_layer(&found, &header.path));
            }
            if let Some(found) = self.stream(&mut reader)? {
                return Err(in_layer(&found, &header.path));
            }
        }
        Ok(())
    }

    /// Fails if a secret is in the config of an image.
    pub(crate) fn config(&self, json: &[u8]) -> Result<()> {
        let Some(Found { id, form }) = self.bytes(json) else { return Ok(()) };
        Err(Error::new(ErrorKind::BuildFailed, format!("the secret `{id}` is in the image"))
            .with_cause(format!("its config or history has the value {form}"))
            .with_remedy(format!(
                "take it from `RUN --mount=type=secret,id={id}`, not from `ARG` or `ENV`; or allow it with `--allow-secret-in-layer={id}`"
            )))
    }

    fn bytes(&self, bytes: &[u8]) -> Option<Found<'_>> {
        self.forms.find(bytes).map(|found| self.found(found.pattern().as_usize()))
    }

    fn stream(&self, content: &mut impl Read) -> Result<Option<Found<'_>>> {
        let mut all = self.forms.stream_find_iter(content);
        match all.next() {
            None => Ok(None),
            Some(Ok(found)) => Ok(Some(self.found(found.pattern().as_usize()))),
            Some(Err(error)) => Err(boxwright_image::read_error(error)),
        }
    }

    fn found(&self, number: usize) -> Found<'_> {
        let (id, form) = &self.names[number];
        Found { id, form }
    }
}

/// Returns the ids of secrets that are too short to be looked for.
pub(crate) fn too_short(secrets: &BTreeMap<String, Secret>) -> Vec<&str> {
    let short = secrets.iter().filter(|(_, it)| {
        let length = it.expose().trim_ascii().len();
        length > 0 && length < SHORTEST
    });
    short.map(|(id, _)| id.as_str()).collect()
}

fn in_layer(found: &Found<'_>, path: &Path) -> Error {
    let Found { id, form } = found;
    Error::new(ErrorKind::BuildFailed, format!("the secret `{id}` is in a layer of the image"))
        .with_cause(format!("`/{}` has its value {form}", path.display()))
        .with_remedy(format!(
            "remove it in the step that writes it, or allow it with `--allow-secret-in-layer={id}`"
        ))
}

/// Returns the ways in which a value is usually written.
fn forms(value: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    if value.len() < SHORTEST {
        return Vec::new();
    }
    let mut all = vec![("as it is", value.to_vec())];
    // As a part of something longer, it begins at one of three places of a group.
    for before in 0..3 {
        let mut shifted = vec![0; before];
        shifted.extend(value);
        // Only digits that nothing beside the value decides.
        let (first, last) = ((before * 8).div_ceil(6), shifted.len() * 8 / 6);
        for engine in [&STANDARD_NO_PAD, &URL_SAFE_NO_PAD] {
            let text = engine.encode(&shifted);
            all.push(("in base64", text.as_bytes()[first..last].to_vec()));
        }
    }
    let base64 = STANDARD.encode(value);
    all.extend([64, 76].map(|width| ("in base64", wrapped(&base64, width))));
    let hex: String = value.iter().map(|byte| format!("{byte:02x}")).collect();
    all.push(("in hexadecimal", wrapped(&hex, 60)));
    all.push(("in hexadecimal", hex.to_uppercase().into_bytes()));
    all.push(("in hexadecimal", hex.into_bytes()));
    for space in ["%20", "+"] {
        all.push(("in URL encoding", url(value, space, true)));
        all.push(("in URL encoding", url(value, space, false)));
    }
    if let Ok(text) = std::str::from_utf8(value) {
        let json = serde_json::Value::from(text).to_string();
        all.push(("in JSON", json.trim_matches('"').as_bytes().to_vec()));
    }
    let mut known: Vec<Vec<u8>> = Vec::new();
    all.retain(|(_, bytes)| {
        let is_new = !known.contains(bytes);
        known.push(bytes.clone());
        is_new
    });
    all
}

fn wrapped(text: &str, width: usize) -> Vec<u8> {
    text.as_bytes().chunks(width).collect::<Vec<_>>().join(&b'\n')
}

fn url(value: &[u8], space: &str, upper: bool) -> Vec<u8> {
    let mut out = String::new();
    for &byte in value {
        match byte {
            b' ' => out.push_str(space),
            b'-' | b'_' | b'.' | b'~' => out.push(byte.into()),
            _ if byte.is_ascii_alphanumeric() => out.push(byte.into()),
            _ if upper => out.push_str(&format!("%{byte:02X}")),
            _ => out.push_str(&format!("%{byte:02x}")),
        }
    }
    out.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn search(value: &str) -> Search {
        let secrets = BTreeMap::from([("token".to_owned(), Secret::from(value))]);
        Search::new(&secrets, &[]).unwrap().unwrap()
    }

    #[test]
    fn a_value_is_found_in_its_usual_encodings_threat_37() {
        let value = "pa ss/word?+\"é-of-the-build-that-is-so-long-that-it-takes-lines\n";
        let search = search(value);
        let value = value.trim_end();
        let hex: String = value.bytes().map(|byte| format!("{byte:02x}")).collect();
        let mut texts = vec![
            format!("x{value}x"),
            hex.to_uppercase(),
            String::from_utf8(wrapped(&hex, 60)).unwrap(),
            serde_json::Value::from(format!("a {value} b")).to_string(),
            form_urlencoded::byte_serialize(value.as_bytes()).collect(),
            String::from_utf8(wrapped(&STANDARD.encode(value), 76)).unwrap(),
        ];
        for before in ["", "a", "ab", "abc"] {
            texts.push(STANDARD.encode(format!("{before}{value}and more")));
            texts.push(URL_SAFE_NO_PAD.encode(format!("{before}{value}")));
        }
        for text in texts {
            let found = search.bytes(text.as_bytes());
            assert_eq!(found.map(|it| it.id), Some("token"), "{text}");
            let mut slow = Slow(text.as_bytes());
            assert!(search.stream(&mut slow).unwrap().is_some(), "{text}");
        }
        assert_eq!(search.bytes(&value.as_bytes()[1..]), None);
    }

    #[test]
    fn short_and_allowed_values_are_not_looked_for() {
        let secrets = BTreeMap::from([
            ("pin".to_owned(), Secret::from("1234567\n")),
            ("long".to_owned(), Secret::from("12345678")),
        ]);
        assert_eq!(too_short(&secrets), ["pin"]);
        assert!(Search::new(&secrets, &["long".to_owned()]).unwrap().is_none());
        let search = Search::new(&secrets, &[]).unwrap().unwrap();
        assert_eq!(search.bytes(b"1234567"), None);
        assert!(search.bytes(b"012345678").is_some());
    }

    /// Gives one byte at a time.
    struct Slow<'b>(&'b [u8]);

    impl Read for Slow<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            self.0.read(&mut buffer[..1])
        }
    }
}
