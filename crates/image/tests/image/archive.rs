//! Archives that were written here, by others, and by nobody with good intentions.

use boxwright_core::{BlobStore as _, Error, ErrorKind, Manifest};
use boxwright_image::archive::{self, ArchiveKind, ArchiveOptions, ImageInArchive};
use boxwright_image::manifest::digest_of;
use boxwright_image::tar::Kind;
use tokio::io::AsyncReadExt as _;

use crate::{Store, entry, file, gzip, tar};

async fn written(store: &Store, manifest: &Manifest, options: ArchiveOptions) -> Vec<u8> {
    let mut stream = archive::write(&store.layout, manifest, options).await.unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.unwrap();
    bytes
}

async fn read(bytes: &[u8]) -> Result<(Store, Vec<ImageInArchive>), Error> {
    let store = Store::new();
    let stream = Box::new(std::io::Cursor::new(bytes.to_vec()));
    let images = archive::read_stream(stream, &store.layout).await?;
    Ok((store, images))
}

fn layer(content: &str) -> Vec<u8> {
    tar(&[file("file", content)])
}

fn names() -> Vec<String> {
    vec!["docker.io/library/a:1".into(), "ghcr.io/acme/b:2".into()]
}

#[tokio::test]
async fn every_kind_comes_back_with_its_names_and_its_id() {
    let store = Store::new();
    let image = store.image(&[layer("one"), layer("two")]).await;
    for kind in [ArchiveKind::Oci, ArchiveKind::Docker, ArchiveKind::Combined] {
        let bytes = written(&store, &image, ArchiveOptions::new(kind, names())).await;
        for bytes in [bytes.clone(), gzip(&bytes)] {
            let (_, images) = read(&bytes).await.unwrap();
            assert_eq!(images.len(), 1, "{kind:?}");
            assert_eq!(images[0].names, names(), "{kind:?}");
            assert_eq!(images[0].manifest.config.digest, image.config.digest);
            assert_eq!(images[0].platform.as_ref().unwrap().to_string(), "linux/amd64");
            if kind != ArchiveKind::Docker {
                assert_eq!(images[0].manifest, image);
            }
        }
    }
}

#[tokio::test]
async fn the_same_image_gives_the_same_bytes() {
    let store = Store::new();
    let image = store.image(&[layer("one")]).await;
    let options = || ArchiveOptions::new(ArchiveKind::Combined, names());
    assert!(written(&store, &image, options()).await == written(&store, &image, options()).await);
}

#[tokio::test]
async fn blobs_that_the_reader_has_are_left_out() {
    let store = Store::new();
    let image = store.image(&[layer("one"), layer("two")]).await;
    let mut options = ArchiveOptions::new(ArchiveKind::Combined, names());
    options.without.insert(image.layers[0].0.digest.clone());
    let bytes = written(&store, &image, options).await;
    let error = read(&bytes).await.err().unwrap();
    assert_eq!(error.causes(), [format!("it lacks `{}`", image.layers[0].0.digest)]);
}

#[tokio::test]
async fn an_old_docker_archive_names_equal_layers_by_links() {
    let layer = layer("same");
    let id = digest_of(&layer);
    let config = format!(
        r#"{{"architecture":"arm64","os":"linux","rootfs":{{"type":"layers","diff_ids":["{id}","{id}"]}}}}"#
    );
    let manifest =
        r#"[{"Config":"abc.json","RepoTags":["old:1"],"Layers":["1/layer.tar","2/layer.tar"]}]"#;
    let layer = std::str::from_utf8(&layer).unwrap();
    let link = Kind::Symlink { target: "../1/layer.tar".into() };
    let bytes = tar(&[
        file("1/VERSION", "1.0"),
        file("1/layer.tar", layer),
        entry("2/layer.tar", link, 0o777),
        file("abc.json", &config),
        file("manifest.json", manifest),
        file("repositories", "{}"),
    ]);
    let (store, images) = read(&bytes).await.unwrap();
    assert_eq!(images[0].names, ["old:1"]);
    assert_eq!(images[0].manifest.config.digest, digest_of(config.as_bytes()));
    assert_eq!(images[0].manifest.layers.len(), 2);
    let size = store.layout.size(&images[0].manifest.descriptor.digest).await.unwrap();
    assert_eq!(size, Some(images[0].manifest.descriptor.size));
}

#[tokio::test]
async fn a_layer_that_the_config_does_not_mean_is_refused_threat_29() {
    let other = digest_of(b"other");
    let config = format!(r#"{{"rootfs":{{"type":"layers","diff_ids":["{other}"]}}}}"#);
    let manifest = r#"[{"Config":"c.json","Layers":["l.tar"]}]"#;
    let layer = layer("x");
    let layer = std::str::from_utf8(&layer).unwrap();
    let bytes =
        tar(&[file("l.tar", layer), file("c.json", &config), file("manifest.json", manifest)]);
    assert_eq!(read(&bytes).await.err().unwrap().kind(), ErrorKind::Protocol);
}

#[tokio::test]
async fn a_blob_with_wrong_bytes_is_refused_and_not_kept_threat_29() {
    let store = Store::new();
    let image = store.image(&[layer("one")]).await;
    let options = ArchiveOptions::new(ArchiveKind::Oci, names());
    let mut bytes = written(&store, &image, options).await;
    let needle = b"\"architecture\"";
    let at = bytes.windows(needle.len()).rposition(|window| window == needle).unwrap();
    bytes[at + 1] = b'A';
    let error = read(&bytes).await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Protocol);
    assert!(error.to_string().contains(image.config.digest.as_str()), "{error:?}");
}

#[tokio::test]
async fn an_archive_that_is_cut_short_is_refused_at_every_length() {
    let store = Store::new();
    let image = store.image(&[layer("one")]).await;
    let options = ArchiveOptions::new(ArchiveKind::Combined, names());
    let bytes = written(&store, &image, options).await;
    // The last two blocks are the end mark.
    for length in (0..bytes.len() - 1024).step_by(256) {
        assert!(read(&bytes[..length]).await.is_err(), "{length} of {}", bytes.len());
    }
}

#[tokio::test]
async fn an_attestation_is_no_image_threat_44() {
    let store = Store::new();
    let image = store.image(&[layer("one")]).await;
    let remark = r#"{"mediaType":"application/vnd.oci.image.manifest.v1+json","size":2,
        "digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
        "platform":{"os":"unknown","architecture":"unknown"}}"#;
    let index = format!(
        r#"{{"schemaVersion":2,"manifests":[{remark},{}]}}"#,
        serde_json::to_string(&image.descriptor).unwrap()
    );
    let mut blobs = vec![("index.json".to_owned(), index.into_bytes())];
    let layers = image.layers.iter().map(|(layer, _)| layer);
    for blob in [&image.descriptor, &image.config].into_iter().chain(layers) {
        let bytes = store.layout.read(&blob.digest, 1 << 20).await.unwrap();
        blobs.push((format!("blobs/sha256/{}", blob.digest.hex()), bytes));
    }
    let entries: Vec<_> = blobs
        .iter()
        .map(|(path, bytes)| {
            let size = bytes.len() as u64;
            (boxwright_image::tar::Header::new(path, Kind::File { size }, 0o644), &bytes[..])
        })
        .collect();
    let (_, images) = read(&tar(&entries)).await.unwrap();
    assert_eq!(images.len(), 1);
    assert_eq!(images[0].manifest, image);
}

#[tokio::test]
async fn lists_nested_without_end_are_refused_threat_10() {
    let mut blobs = Vec::new();
    let mut inner = r#"{"schemaVersion":2,"manifests":[]}"#.to_owned();
    for _ in 0..6 {
        let digest = digest_of(inner.as_bytes());
        let outer = format!(
            r#"{{"schemaVersion":2,"manifests":[{{"mediaType":"application/vnd.oci.image.index.v1+json","digest":"{digest}","size":{}}}]}}"#,
            inner.len()
        );
        blobs.push((format!("blobs/sha256/{}", digest.hex()), inner));
        inner = outer;
    }
    let mut entries = vec![file("index.json", &inner)];
    entries.extend(blobs.iter().map(|(path, text)| file(path, text)));
    let error = read(&tar(&entries)).await.err().unwrap();
    assert!(error.causes()[0].contains("nested deeper than 4"), "{error:?}");
}

#[tokio::test]
async fn a_tar_without_images_says_what_it_lacks() {
    let error = read(&layer("x")).await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Protocol);
    assert_eq!(error.causes(), ["it has neither `index.json` nor `manifest.json`"]);
    let text = b"this is no tar at all, whatever its name says".repeat(30);
    assert_eq!(read(&text).await.err().unwrap().kind(), ErrorKind::Protocol);
}

#[tokio::test]
async fn a_file_is_written_whole_and_read_again() {
    let store = Store::new();
    let image = store.image(&[layer("one")]).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("image.tar");
    let options = ArchiveOptions::new(ArchiveKind::Oci, names());
    archive::write_file(&store.layout, &image, options, &path).await.unwrap();
    let other = Store::new();
    assert_eq!(archive::read(&path, &other.layout).await.unwrap()[0].manifest, image);
    let missing = archive::read(&folder.path().join("none"), &other.layout).await;
    assert_eq!(missing.unwrap_err().kind(), ErrorKind::NotFound);
}
