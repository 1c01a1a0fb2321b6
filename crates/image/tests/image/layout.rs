//! Blobs come whole or not at all.

use std::io;
use std::path::Path;

use boxwright_core::{BlobStore as _, Digest, ErrorKind};
use boxwright_image::config::ImageConfig;
use boxwright_image::layout::Layout;
use boxwright_image::manifest::{digest_of, media_type};
use tokio::io::AsyncReadExt as _;

use crate::{Store, file, manifest_json, tar};

fn stream(bytes: &[u8]) -> boxwright_core::ByteStream {
    Box::new(io::Cursor::new(bytes.to_vec()))
}

fn files_in(folder: &Path) -> usize {
    let entries = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
    entries.map(|entry| if entry.path().is_dir() { files_in(&entry.path()) } else { 1 }).sum()
}

/// How many files a layout has that are not its own two.
fn kept(layout: &Layout) -> usize {
    files_in(layout.folder()) - 2
}

#[tokio::test]
async fn a_blob_is_found_by_the_digest_it_has() {
    let store = Store::new();
    let (digest, size) = store.layout.write(stream(b"abc"), None).await.unwrap();
    assert_eq!((&digest, size), (&digest_of(b"abc"), 3));
    assert_eq!(store.layout.size(&digest).await.unwrap(), Some(3));
    let mut bytes = Vec::new();
    store.layout.open(&digest).await.unwrap().read_to_end(&mut bytes).await.unwrap();
    assert_eq!(bytes, b"abc");
    let other = digest_of(b"other");
    assert_eq!(store.layout.size(&other).await.unwrap(), None);
    assert_eq!(store.layout.read(&other, 9).await.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(store.layout.read(&digest, 3).await.unwrap(), b"abc");
    assert_eq!(store.layout.read(&digest, 2).await.unwrap_err().kind(), ErrorKind::Exhausted);
}

#[tokio::test]
async fn a_sha512_digest_is_kept_under_its_own_name() {
    let store = Store::new();
    let digest: Digest = "sha512:ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a\
                          2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"
        .parse()
        .unwrap();
    assert_eq!(store.layout.write(stream(b"abc"), Some(&digest)).await.unwrap().0, digest);
    assert_eq!(store.layout.read(&digest, 9).await.unwrap(), b"abc");
}

#[tokio::test]
async fn bytes_with_another_digest_are_not_kept_threat_29() {
    let store = Store::new();
    let error = store.layout.write(stream(b"abc"), Some(&digest_of(b"abd"))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol);
    assert_eq!(kept(&store.layout), 0);
}

#[tokio::test]
async fn a_stream_that_breaks_or_is_let_go_of_leaves_nothing() {
    let store = Store::new();
    let broken = tokio_util::io::StreamReader::new(futures(vec![
        Ok(bytes(b"half")),
        Err(io::Error::from(io::ErrorKind::ConnectionReset)),
    ]));
    let error = store.layout.write(Box::new(broken), None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    let (_sender, endless) = tokio::io::duplex(64);
    let write = store.layout.write(Box::new(endless), None);
    tokio::select! {
        biased;
        _ = write => panic!("the stream has no end"),
        () = std::future::ready(()) => {}
    }
    assert_eq!(kept(&store.layout), 0);
}

fn bytes(bytes: &'static [u8]) -> io::Cursor<&'static [u8]> {
    io::Cursor::new(bytes)
}

fn futures<T: Unpin>(items: Vec<T>) -> impl futures_util::Stream<Item = T> + Unpin {
    futures_util::stream::iter(items)
}

#[tokio::test]
async fn writers_of_one_blob_do_not_disturb_each_other() {
    let store = Store::new();
    let large = vec![7; 1 << 20];
    let write = || store.layout.write(stream(&large), None);
    let (a, b, c) = tokio::join!(write(), write(), write());
    assert_eq!(a.unwrap(), b.unwrap());
    assert_eq!(store.layout.read(&c.unwrap().0, 1 << 20).await.unwrap(), large);
    assert_eq!(kept(&store.layout), 1);
}

#[tokio::test]
async fn a_damaged_blob_is_refused_and_mended_by_writing_it_again() {
    let store = Store::new();
    let (digest, _) = store.layout.write(stream(b"abc"), None).await.unwrap();
    let path = store.layout.folder().join("blobs/sha256").join(digest.hex());
    for damage in [&b"abd"[..], b"ab", b"", b"abcd"] {
        std::fs::write(&path, damage).unwrap();
        assert_eq!(store.layout.read(&digest, 9).await.unwrap_err().kind(), ErrorKind::Protocol);
        store.layout.write(stream(b"abc"), Some(&digest)).await.unwrap();
        assert_eq!(store.layout.read(&digest, 9).await.unwrap(), b"abc");
    }
}

#[tokio::test]
async fn a_layout_is_opened_again_with_what_it_has() {
    let store = Store::new();
    let (digest, _) = store.layout.write(stream(b"abc"), None).await.unwrap();
    let again = Layout::open(store.layout.folder()).unwrap();
    assert_eq!(again.read(&digest, 9).await.unwrap(), b"abc");
    let file = store.layout.folder().join("oci-layout");
    assert_eq!(std::fs::read_to_string(file).unwrap(), r#"{"imageLayoutVersion":"1.0.0"}"#);
}

#[tokio::test]
async fn a_manifest_and_a_config_that_disagree_are_refused() {
    let store = Store::new();
    let image = store.image(&[tar(&[file("a", "1")])]).await;
    let twice = [image.layers[0].0.clone(), image.layers[0].0.clone()];
    let wrong = manifest_json(&image.config, &twice);
    let wrong = store.layout.put(wrong.as_bytes(), media_type::OCI_MANIFEST).await.unwrap();
    let error = store.layout.manifest(&wrong.digest).await.unwrap_err();
    assert_eq!(error.causes(), ["it has 2 layers and its config has 1"]);
}

#[test]
fn a_config_is_written_with_everything_it_was_read_with() {
    let text = r#"{"created":"2020-01-01T00:00:00Z","architecture":"arm","os":"linux","variant":"v6",
        "config":{"User":"1000","ExposedPorts":{"80/tcp":{}},"Env":["A=b"],"Cmd":["sh"],
        "Healthcheck":{"Test":["NONE"]},"OnBuild":["RUN x"],"Shell":["/bin/bash","-c"],
        "ArgsEscaped":true,"Volumes":{"/v":{}},"Labels":{"a":"b"},"StopSignal":"9"},
        "rootfs":{"type":"layers","diff_ids":[]},
        "history":[{"created_by":"x","empty_layer":true}],"os.version":"1.2","moby.special":[1]}"#;
    let config = ImageConfig::parse(text.as_bytes()).unwrap();
    let expected: serde_json::Value = serde_json::from_str(text).unwrap();
    assert_eq!(serde_json::to_value(&config).unwrap(), expected);
    assert_eq!(config.platform().unwrap().to_string(), "linux/arm/v6");
    assert!(config.needs_docker_format());
}

#[test]
fn a_config_that_go_wrote_with_nulls_is_read() {
    let text = r#"{"architecture":"amd64","os":"linux","config":{"Env":null,"Cmd":null,"Volumes":null,
        "Labels":null,"OnBuild":null},"rootfs":{"type":"layers","diff_ids":null},"history":null}"#;
    let config = ImageConfig::parse(text.as_bytes()).unwrap();
    assert!(!config.needs_docker_format());
    assert!(config.rootfs.diff_ids.is_empty() && config.history.is_empty());
    assert_eq!(ImageConfig::parse(br#"{"config":null}"#).unwrap().config.env, [""; 0]);
    assert_eq!(ImageConfig::parse(b"[]").unwrap_err().kind(), ErrorKind::Protocol);
}
