//! The distribution protocol: pull, push, mount.
//!
//! Source: OCI distribution specification 1.1.

use std::sync::atomic::Ordering;

use boxwright_core::Digest;
use boxwright_image::manifest::digest_of;
use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;

use super::answer::{self, Cut, Reply};
use super::{Answer, Moment, State, Store};

/// Nothing that tests push is larger.
const BODY_LIMIT: usize = 256 << 20;

/// What a path asks for.
enum Target<'a> {
    Base,
    Token,
    Blob { repository: &'a str, digest: &'a str },
    Upload { repository: &'a str, id: &'a str },
    Manifest { repository: &'a str, name: &'a str },
    Tags { repository: &'a str },
    Unknown,
}

impl<'a> Target<'a> {
    fn of(path: &'a str) -> Self {
        if path == "/token" {
            return Self::Token;
        }
        let Some(rest) = path.strip_prefix("/v2/") else {
            return if path == "/v2" { Self::Base } else { Self::Unknown };
        };
        if rest.is_empty() {
            Self::Base
        } else if let Some((repository, id)) = rest.split_once("/blobs/uploads") {
            Self::Upload { repository, id: id.trim_start_matches('/') }
        } else if let Some((repository, digest)) = rest.rsplit_once("/blobs/") {
            Self::Blob { repository, digest }
        } else if let Some((repository, name)) = rest.rsplit_once("/manifests/") {
            Self::Manifest { repository, name }
        } else if let Some(repository) = rest.strip_suffix("/tags/list") {
            Self::Tags { repository }
        } else {
            Self::Unknown
        }
    }

    fn repository(&self) -> Option<&'a str> {
        match *self {
            Self::Blob { repository, .. }
            | Self::Upload { repository, .. }
            | Self::Manifest { repository, .. }
            | Self::Tags { repository } => Some(repository),
            Self::Base | Self::Token | Self::Unknown => None,
        }
    }

    fn is(&self, moment: Moment, method: &Method) -> bool {
        let reads = matches!(*method, Method::GET | Method::HEAD);
        match moment {
            Moment::Anything => true,
            Moment::BlobUpload => matches!(self, Self::Upload { .. }) && !reads,
            Moment::ManifestWrite => matches!(self, Self::Manifest { .. }) && !reads,
            Moment::ManifestRead => matches!(self, Self::Manifest { .. }) && reads,
        }
    }
}

pub(super) async fn serve(state: &State, request: Request<Incoming>) -> Result<Reply, Cut> {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path().to_owned();
    state.store().requests.push((parts.method.clone(), path.clone()));
    let target = Target::of(&path);
    let fault = state.faults.iter().find(|fault| target.is(fault.moment, &parts.method));
    if let Some(fault) = fault {
        return faulty(&fault.answer, body).await;
    }
    if let Target::Token = target {
        let body = read(body, BODY_LIMIT).await;
        return Ok(state.access.token(&parts.headers, &String::from_utf8_lossy(&body)));
    }
    let reads = matches!(parts.method, Method::GET | Method::HEAD) && target.repository().is_some();
    if !(reads && state.is_public.load(Ordering::SeqCst))
        && let Some(refusal) = state.access.refuse(&parts.headers, target.repository())
    {
        return Ok(refusal);
    }
    if let Some(repository) = target.repository().filter(|it| !state.has(it)) {
        let words = format!("The repository with name '{repository}' does not exist");
        return Ok(unknown(&words));
    }
    let body = read(body, BODY_LIMIT).await;
    let query = parts.uri.query().unwrap_or_default();
    let media_type = parts.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    Ok(answer(&mut state.store(), &parts.method, &target, query, media_type, body))
}

async fn faulty(fault: &Answer, body: Incoming) -> Result<Reply, Cut> {
    let status = |number: u16| StatusCode::from_u16(number).unwrap_or(StatusCode::BAD_REQUEST);
    let words = "the fake registry was told to fail";
    match *fault {
        Answer::Cut(bytes) => {
            read(body, bytes).await;
            Err(Cut)
        }
        Answer::Status(number) => {
            read(body, BODY_LIMIT).await;
            Ok(answer::error(status(number), code(number), words))
        }
        Answer::ComeBack(number, seconds) => {
            read(body, BODY_LIMIT).await;
            let reply = answer::error(status(number), code(number), words);
            Ok(answer::with_header(reply, header::RETRY_AFTER, &seconds.to_string()))
        }
        Answer::Proxy(number, words) => {
            read(body, BODY_LIMIT).await;
            let page = format!(
                "<html>\r\n<head><title>{number} {words}</title></head>\r\n<body>\r\n\
                 <center><h1>{number} {words}</h1></center>\r\n<hr><center>nginx</center>\r\n"
            );
            Ok(answer::with_type(answer::with_body(status(number), page), "text/html"))
        }
        Answer::Html => {
            let page = "<!doctype html><title>Welcome</title><p>Accept the terms to go on.";
            Ok(answer::with_type(answer::with_body(StatusCode::OK, page), "text/html"))
        }
    }
}

fn code(status: u16) -> &'static str {
    match status {
        401 => "UNAUTHORIZED",
        403 => "DENIED",
        404 => "NAME_UNKNOWN",
        413 => "SIZE_INVALID",
        429 => "TOOMANYREQUESTS",
        _ => "UNKNOWN",
    }
}

/// Reads a body, but no more than `limit` bytes of it.
async fn read(mut body: Incoming, limit: usize) -> Bytes {
    let mut bytes = Vec::new();
    while bytes.len() < limit
        && let Some(Ok(frame)) = body.frame().await
    {
        if let Some(data) = frame.data_ref() {
            bytes.extend_from_slice(data);
        }
    }
    bytes.into()
}

fn answer(
    store: &mut Store,
    method: &Method,
    target: &Target<'_>,
    query: &str,
    media_type: Option<&str>,
    body: Bytes,
) -> Reply {
    match target {
        Target::Base => {
            answer::with_type(answer::with_body(StatusCode::OK, "{}"), "application/json")
        }
        Target::Blob { repository, digest } => blob(store, method, repository, digest),
        Target::Upload { repository, id } => upload(store, method, repository, id, query, &body),
        Target::Manifest { repository, name } => {
            manifest(store, method, repository, name, media_type, body)
        }
        Target::Tags { repository } => tags(store, repository),
        Target::Token | Target::Unknown => unknown("there is no such address"),
    }
}

fn unknown(words: &str) -> Reply {
    answer::error(StatusCode::NOT_FOUND, "NAME_UNKNOWN", words)
}

fn described(reply: Reply, digest: &Digest) -> Reply {
    let name = header::HeaderName::from_static("docker-content-digest");
    answer::with_header(reply, name, digest.as_str())
}

fn blob(store: &Store, method: &Method, repository: &str, digest: &str) -> Reply {
    let found = digest.parse::<Digest>().ok().and_then(|digest| {
        let bytes = store.blobs.get(&digest)?.clone();
        let is_linked = store.links.contains(&(repository.to_owned(), digest.clone()));
        (is_linked || store.everywhere.contains(&digest)).then_some((digest, bytes))
    });
    let Some((digest, bytes)) = found else {
        return answer::error(StatusCode::NOT_FOUND, "BLOB_UNKNOWN", "there is no such blob");
    };
    content(method, &digest, "application/octet-stream", bytes)
}

fn content(method: &Method, digest: &Digest, media_type: &str, bytes: Bytes) -> Reply {
    let length = bytes.len().to_string();
    let body = if method == Method::HEAD { Bytes::new() } else { bytes };
    let reply = answer::with_type(answer::with_body(StatusCode::OK, body), media_type);
    described(answer::with_header(reply, header::CONTENT_LENGTH, &length), digest)
}

fn upload(
    store: &mut Store,
    method: &Method,
    repository: &str,
    id: &str,
    query: &str,
    body: &Bytes,
) -> Reply {
    let parameter = |name: &str| {
        let value = query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
        value.map(|value| value.replace("%3A", ":").replace("%3a", ":"))
    };
    let created = |digest: &Digest| {
        let place = format!("/v2/{repository}/blobs/{digest}");
        let reply = answer::empty(StatusCode::CREATED);
        described(answer::with_header(reply, header::LOCATION, &place), digest)
    };
    if *method == Method::POST {
        let mounted = parameter("mount").and_then(|digest| digest.parse::<Digest>().ok());
        if let Some(digest) = mounted.filter(|digest| store.blobs.contains_key(digest)) {
            store.links.insert((repository.to_owned(), digest.clone()));
            return created(&digest);
        }
        store.counter += 1;
        let id = format!("upload-{}", store.counter);
        store.uploads.insert(id.clone(), Vec::new());
        if parameter("digest").is_none() {
            return accepted(repository, &id, 0);
        }
        return finish(store, repository, &id, parameter("digest"), body, created);
    }
    let Some(sofar) = store.uploads.get_mut(id) else {
        return answer::error(StatusCode::NOT_FOUND, "BLOB_UPLOAD_UNKNOWN", "no such upload");
    };
    match *method {
        Method::PATCH => {
            sofar.extend_from_slice(body);
            let length = sofar.len();
            accepted(repository, id, length)
        }
        Method::PUT => finish(store, repository, id, parameter("digest"), body, created),
        Method::GET => {
            let length = sofar.len();
            let mut reply = accepted(repository, id, length);
            *reply.status_mut() = StatusCode::NO_CONTENT;
            reply
        }
        Method::DELETE => {
            store.uploads.remove(id);
            answer::empty(StatusCode::NO_CONTENT)
        }
        _ => answer::error(StatusCode::METHOD_NOT_ALLOWED, "UNSUPPORTED", "no such method"),
    }
}

fn accepted(repository: &str, id: &str, length: usize) -> Reply {
    let reply = answer::empty(StatusCode::ACCEPTED);
    let place = format!("/v2/{repository}/blobs/uploads/{id}");
    let reply = answer::with_header(reply, header::LOCATION, &place);
    let range = format!("0-{}", length.saturating_sub(1));
    let reply = answer::with_header(reply, header::RANGE, &range);
    answer::with_header(reply, header::HeaderName::from_static("docker-upload-uuid"), id)
}

fn finish(
    store: &mut Store,
    repository: &str,
    id: &str,
    digest: Option<String>,
    body: &Bytes,
    created: impl Fn(&Digest) -> Reply,
) -> Reply {
    let mut bytes = store.uploads.remove(id).unwrap_or_default();
    bytes.extend_from_slice(body);
    let found = digest_of(&bytes);
    if digest.as_deref() != Some(found.as_str()) {
        return answer::error(StatusCode::BAD_REQUEST, "DIGEST_INVALID", "the digest is another");
    }
    store.blobs.insert(found.clone(), bytes.into());
    store.links.insert((repository.to_owned(), found.clone()));
    created(&found)
}

fn manifest(
    store: &mut Store,
    method: &Method,
    repository: &str,
    name: &str,
    media_type: Option<&str>,
    body: Bytes,
) -> Reply {
    let key = (repository.to_owned(), name.to_owned());
    match *method {
        Method::GET | Method::HEAD => match store.manifests.get(&key) {
            Some((media_type, bytes)) => {
                content(method, &digest_of(bytes), media_type, bytes.clone())
            }
            None => answer::error(
                StatusCode::NOT_FOUND,
                "MANIFEST_UNKNOWN",
                "there is no such manifest",
            ),
        },
        Method::PUT => {
            let missing = serde_json::from_slice::<serde_json::Value>(&body)
                .map(|manifest| missing_blob(store, &manifest));
            match missing {
                Ok(None) => {}
                Ok(Some(blob)) => {
                    let words = format!("there is no blob {blob}");
                    let code = "MANIFEST_BLOB_UNKNOWN";
                    return answer::error(StatusCode::BAD_REQUEST, code, &words);
                }
                Err(error) => {
                    let code = "MANIFEST_INVALID";
                    return answer::error(StatusCode::BAD_REQUEST, code, &error.to_string());
                }
            }
            let digest = digest_of(&body);
            store.put_manifest(repository, name, media_type.unwrap_or_default(), body);
            let place = format!("/v2/{repository}/manifests/{digest}");
            let reply = answer::empty(StatusCode::CREATED);
            described(answer::with_header(reply, header::LOCATION, &place), &digest)
        }
        Method::DELETE => match store.manifests.remove(&key) {
            Some(_) => answer::empty(StatusCode::ACCEPTED),
            None => unknown("there is no such manifest"),
        },
        _ => answer::error(StatusCode::METHOD_NOT_ALLOWED, "UNSUPPORTED", "no such method"),
    }
}

fn missing_blob(store: &Store, manifest: &serde_json::Value) -> Option<String> {
    let layers = manifest["layers"].as_array().into_iter().flatten();
    let named = layers.chain(manifest.get("config")).filter_map(|blob| blob["digest"].as_str());
    named
        .filter(|digest| {
            digest.parse::<Digest>().is_ok_and(|digest| !store.blobs.contains_key(&digest))
        })
        .map(str::to_owned)
        .next()
}

fn tags(store: &Store, repository: &str) -> Reply {
    let of_this = store.manifests.keys().filter(|(name, _)| name == repository);
    let mut tags: Vec<&str> =
        of_this.map(|(_, tag)| tag.as_str()).filter(|tag| !tag.contains(':')).collect();
    tags.sort_unstable();
    if tags.is_empty() {
        return unknown("there is no such repository");
    }
    let body = serde_json::json!({ "name": repository, "tags": tags }).to_string();
    answer::with_type(answer::with_body(StatusCode::OK, body), "application/json")
}
