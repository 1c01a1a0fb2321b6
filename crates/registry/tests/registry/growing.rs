//! Blobs that are sent while they are made.

use std::sync::Arc;

use boxwright_core::{ByteStream, Descriptor, ErrorKind};

use crate::server::{Answer, Server};
use crate::setup::{Registry, client, digest, missing, name};

async fn server(registry: &Arc<Registry>) -> Server {
    let registry = Arc::clone(registry);
    Server::start(move |seen| match seen.method.as_str() {
        "DELETE" => Answer::new(204),
        _ => registry.answer(seen),
    })
    .await
}

fn described(bytes: &[u8]) -> Descriptor {
    let media_type = "application/octet-stream".to_owned();
    Descriptor { media_type, digest: digest(bytes), size: bytes.len() as u64 }
}

fn stream(bytes: &[u8]) -> ByteStream {
    Box::new(std::io::Cursor::new(bytes.to_vec()))
}

/// The uploads that `server` saw, by method.
fn uploads(server: &Server) -> Vec<String> {
    let seen = server.seen();
    let uploads = seen.iter().filter(|seen| seen.path().contains("/blobs/uploads/"));
    uploads.map(|seen| seen.method.clone()).collect()
}

#[tokio::test]
async fn a_blob_is_sent_in_one_request_and_named_at_its_end() {
    let registry = Arc::new(Registry::default());
    let server = server(&registry).await;
    let bytes = vec![7; 300_000];
    let (plain, blob) = (described(b"what it is made of"), described(&bytes));
    let image = name(&server.address, "acme/api:1");
    let whole = async { Some(blob.clone()) };
    client().send_growing(&image, &plain, stream(&bytes), whole).await.unwrap();
    assert_eq!(uploads(&server), ["POST", "PATCH", "PUT"]);
    assert_eq!(registry.blobs.lock().unwrap().get(blob.digest.as_str()), Some(&bytes));
}

#[tokio::test]
async fn what_is_not_made_to_its_end_is_cancelled() {
    let registry = Arc::new(Registry::default());
    let server = server(&registry).await;
    let bytes = vec![7; 1000];
    let image = name(&server.address, "acme/api:1");
    // Nothing was made, or more than came.
    for whole in [None, Some(described(&[7; 2000]))] {
        let plain = described(b"plain");
        let sent = client().send_growing(&image, &plain, stream(&bytes), async { whole }).await;
        assert_eq!(sent.unwrap_err().kind(), ErrorKind::Protocol);
    }
    assert_eq!(uploads(&server), ["POST", "PATCH", "DELETE"].repeat(2));
    assert!(registry.blobs.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_repository_is_empty_only_if_the_registry_says_so() {
    let json = |status, body: &str| {
        Answer::new(status).with("Content-Type", "application/json").body(body.to_owned())
    };
    let answers = [
        (missing("NAME_UNKNOWN"), true),
        (json(200, r#"{"name":"acme/api","tags":null}"#), true),
        (json(200, r#"{"name":"acme/api","tags":[]}"#), true),
        (json(200, r#"{"name":"acme/api","tags":["1"]}"#), false),
        (json(200, r#"{"errors":[]}x"#), false),
        (json(403, r#"{"errors":[{"code":"DENIED"}]}"#), false),
        (Answer::new(404).with("Content-Type", "text/html").body("<html>no</html>"), false),
    ];
    for (answer, is_empty) in answers {
        let server = Server::start({
            let answer = answer.clone();
            move |seen| match seen.path().ends_with("/tags/list") {
                true => answer.clone(),
                false => Answer::new(200).body("{}"),
            }
        })
        .await;
        let image = name(&server.address, "acme/api:1");
        assert_eq!(client().is_empty(&image).await, is_empty, "{answer:?}");
    }
}
