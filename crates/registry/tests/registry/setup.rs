//! What the tests need: a store in memory, a registry in memory, an image, and a client.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use boxwright_core::{
    BlobStore, ByteStream, Credential, Credentials, Descriptor, Digest, Error, ErrorKind, Host,
    ImageRef, Manifest, RegistrySettings, Result, Secret, async_trait,
};
use boxwright_registry::{Client, Retries};
use sha2::{Digest as _, Sha256};
use tokio::io::AsyncReadExt as _;

use crate::server::{Answer, Seen};

pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";

pub fn digest(bytes: &[u8]) -> Digest {
    Digest::from_sha256(Sha256::digest(bytes).into())
}

/// A store in memory.
#[derive(Default)]
pub struct Store(pub Mutex<BTreeMap<Digest, Vec<u8>>>);

impl Store {
    pub fn put(&self, bytes: &[u8]) -> Digest {
        self.0.lock().unwrap().insert(digest(bytes), bytes.to_vec());
        digest(bytes)
    }

    pub fn has(&self, digest: &Digest) -> bool {
        self.0.lock().unwrap().contains_key(digest)
    }
}

#[async_trait]
impl BlobStore for Store {
    async fn size(&self, digest: &Digest) -> Result<Option<u64>> {
        Ok(self.0.lock().unwrap().get(digest).map(|bytes| bytes.len() as u64))
    }

    async fn open(&self, digest: &Digest) -> Result<ByteStream> {
        let found = self.0.lock().unwrap().get(digest).cloned();
        let found = found.ok_or_else(|| Error::new(ErrorKind::NotFound, "no such blob"))?;
        Ok(Box::new(std::io::Cursor::new(found)))
    }

    async fn write(
        &self,
        mut bytes: ByteStream,
        expected: Option<&Digest>,
    ) -> Result<(Digest, u64)> {
        let mut all = Vec::new();
        bytes.read_to_end(&mut all).await.map_err(|error| {
            Error::new(ErrorKind::Unavailable, "cannot read").with_source(error)
        })?;
        if expected.is_some_and(|expected| *expected != digest(&all)) {
            return Err(Error::new(ErrorKind::Protocol, "the blob has another digest"));
        }
        Ok((self.put(&all), all.len() as u64))
    }
}

/// An image whose blobs are in a store.
pub struct Image {
    pub manifest: Manifest,
    pub bytes: Vec<u8>,
    pub config: Vec<u8>,
    pub layer: Vec<u8>,
}

/// Makes an image of one layer, which has `size` bytes, for `architecture`.
pub fn image(architecture: &str, size: usize) -> Image {
    let layer: Vec<u8> = (0..size).map(|at| u8::try_from(at * 7 % 251).unwrap()).collect();
    let diff_id = digest(b"as if uncompressed");
    let config = format!(
        r#"{{"os":"linux","architecture":"{architecture}","rootfs":{{"type":"layers","diff_ids":["{diff_id}"]}}}}"#
    );
    let part = |media_type: &str, bytes: &[u8]| Descriptor {
        media_type: media_type.into(),
        digest: digest(bytes),
        size: bytes.len() as u64,
    };
    let config_part = part("application/vnd.oci.image.config.v1+json", config.as_bytes());
    let layer_part = part("application/vnd.oci.image.layer.v1.tar+gzip", &layer);
    let bytes = serde_json::to_vec(&serde_json::json!({
        "schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config_part, "layers": [layer_part],
    }))
    .unwrap();
    let manifest = Manifest {
        descriptor: part(OCI_MANIFEST, &bytes),
        config: config_part,
        layers: vec![(layer_part, diff_id)],
    };
    Image { manifest, bytes, config: config.into_bytes(), layer }
}

impl Image {
    pub fn store(&self) -> Store {
        let store = Store::default();
        for bytes in [&self.bytes, &self.config, &self.layer] {
            store.put(bytes);
        }
        store
    }
}

/// A registry in memory, as the specification has it.
#[derive(Default)]
pub struct Registry {
    pub blobs: Mutex<HashMap<String, Vec<u8>>>,
    /// Manifests by tag and by digest, with their media types.
    pub manifests: Mutex<HashMap<String, (String, Vec<u8>)>>,
    uploads: Mutex<Vec<Option<Vec<u8>>>>,
}

impl Registry {
    /// Returns a registry that has `image` under `tag`.
    pub fn with(image: &Image, tag: &str) -> Arc<Self> {
        let registry = Self::default();
        for bytes in [&image.config, &image.layer] {
            registry.add_blob(bytes);
        }
        registry.add_manifest(tag, OCI_MANIFEST, &image.bytes);
        Arc::new(registry)
    }

    pub fn add_blob(&self, bytes: &[u8]) {
        self.blobs.lock().unwrap().insert(digest(bytes).to_string(), bytes.to_vec());
    }

    pub fn add_manifest(&self, tag: &str, media_type: &str, bytes: &[u8]) {
        let mut manifests = self.manifests.lock().unwrap();
        for name in [tag.to_owned(), digest(bytes).to_string()] {
            manifests.insert(name, (media_type.to_owned(), bytes.to_vec()));
        }
    }

    pub fn answer(&self, seen: &Seen) -> Answer {
        let path = seen.path();
        if path == "/v2/" {
            return Answer::new(200).body("{}");
        }
        let (_, rest) = path.split_once("/v2/").unwrap();
        if let Some((_, name)) = rest.split_once("/manifests/") {
            return self.manifest(seen, name);
        }
        if let Some((repository, upload)) = rest.split_once("/blobs/uploads/") {
            return self.upload(seen, repository, upload);
        }
        let (_, name) = rest.split_once("/blobs/").unwrap();
        let blobs = self.blobs.lock().unwrap();
        let Some(bytes) = blobs.get(name) else { return missing("BLOB_UNKNOWN") };
        let range = seen.header("range").and_then(|range| range.strip_prefix("bytes="));
        match range.and_then(|range| range.trim_end_matches('-').parse::<usize>().ok()) {
            None => Answer::new(200).body(bytes.clone()),
            Some(from) => Answer::new(206)
                .with("Content-Range", format!("bytes {from}-{}/{}", bytes.len() - 1, bytes.len()))
                .body(&bytes[from..]),
        }
    }

    fn manifest(&self, seen: &Seen, name: &str) -> Answer {
        if seen.method == "PUT" {
            let media_type = seen.header("content-type").unwrap();
            self.add_manifest(name, media_type, &seen.body);
            return Answer::new(201).with("Docker-Content-Digest", digest(&seen.body).to_string());
        }
        let manifests = self.manifests.lock().unwrap();
        let Some((media_type, bytes)) = manifests.get(name) else {
            return missing("MANIFEST_UNKNOWN");
        };
        Answer::new(200)
            .with("Content-Type", media_type)
            .with("Docker-Content-Digest", digest(bytes).to_string())
            .body(bytes.clone())
    }

    fn upload(&self, seen: &Seen, repository: &str, upload: &str) -> Answer {
        let mut uploads = self.uploads.lock().unwrap();
        let accepted = |number: usize, length: usize, status| {
            Answer::new(status)
                .with("Location", format!("/v2/{repository}/blobs/uploads/{number}?_state=a%2Fb"))
                .with("Range", format!("0-{}", length.saturating_sub(1)))
        };
        if seen.method == "POST" {
            let mounted = seen.target.split_once("mount=").is_some_and(|(_, rest)| {
                let name = rest.split('&').next().unwrap().replace("%3A", ":");
                self.blobs.lock().unwrap().contains_key(&name)
            });
            if mounted {
                return Answer::new(201);
            }
            uploads.push(Some(Vec::new()));
            return accepted(uploads.len() - 1, 0, 202);
        }
        let number: usize = upload.parse().unwrap();
        let Some(bytes) = uploads.get_mut(number).and_then(Option::as_mut) else {
            return missing("BLOB_UPLOAD_UNKNOWN");
        };
        let range = seen.header("content-range");
        if range.is_some_and(|range| !range.starts_with(&format!("{}-", bytes.len()))) {
            return accepted(number, bytes.len(), 416);
        }
        bytes.extend_from_slice(&seen.body);
        match seen.method.as_str() {
            "GET" => accepted(number, bytes.len(), 204),
            "PATCH" => accepted(number, bytes.len(), 202),
            _ => {
                let bytes = uploads[number].take().unwrap();
                let named = seen.target.split_once("digest=").unwrap().1.replace("%3A", ":");
                if digest(&bytes).as_str() != named {
                    return Answer::new(400).body(
                        r#"{"errors":[{"code":"DIGEST_INVALID","message":"wrong digest"}]}"#,
                    );
                }
                self.add_blob(&bytes);
                Answer::new(201).with("Docker-Content-Digest", named)
            }
        }
    }
}

pub fn missing(code: &str) -> Answer {
    Answer::new(404)
        .with("Content-Type", "application/json")
        .body(format!(r#"{{"errors":[{{"code":"{code}","message":"not here"}}]}}"#))
}

/// Knows one user, and one host that they belong to.
#[derive(Debug)]
pub struct One(pub String, pub Credential);

#[async_trait]
impl Credentials for One {
    async fn for_registry(&self, host: &str) -> Result<Option<Credential>> {
        Ok((host == self.0).then(|| self.1.clone()))
    }
}

pub fn alice(host: &str) -> Arc<One> {
    let password = Credential::Password { user: "alice".into(), password: Secret::from("canary") };
    Arc::new(One(host.into(), password))
}

/// A machine with nothing in its environment.
pub fn host() -> Host {
    Host::with_variables::<&str, &str>("/", [])
}

/// A client that does not wait between its attempts.
pub fn client_with(settings: RegistrySettings, credentials: Arc<dyn Credentials>) -> Client {
    let retries = Retries { first_pause: Duration::ZERO, ..Retries::default() };
    Client::new(&host(), Arc::new(settings), credentials).with_retries(retries)
}

pub fn client() -> Client {
    client_with(RegistrySettings::default(), Arc::new(boxwright_core::Anonymous))
}

pub fn name(address: &str, rest: &str) -> ImageRef {
    format!("{address}/{rest}").parse().unwrap()
}

/// Returns all that an error says, on one line.
pub fn told(error: &Error) -> String {
    let mut text = error.to_string();
    for cause in error.causes() {
        text += &format!(": {cause}");
    }
    for (fact, value) in error.context() {
        text += &format!(" [{fact}: {value}]");
    }
    text + &error.remedy().map(|remedy| format!(" => {remedy}")).unwrap_or_default()
}
