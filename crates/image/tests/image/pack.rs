//! Plain layers become compressed ones: once, and the same bytes every time.

use std::path::PathBuf;

use boxwright_core::{BlobStore as _, Descriptor, Digest, ErrorKind, Manifest};
use boxwright_image::config::ImageConfig;
use boxwright_image::layout::Layout;
use boxwright_image::manifest::{ImageManifest, media_type};
use boxwright_image::pack::{PackFormat, Packer};
use boxwright_image::view::Tree;

use crate::{Store, file, tar};

/// An image of one plain layer and one that is compressed already.
async fn image(layout: &Layout) -> Manifest {
    let plain = tar(&[file("name", &"api ".repeat(700_000))]);
    let lower = tar(&[file("base", "x")]);
    let plain = layout.put(&plain, media_type::OCI_LAYER).await.unwrap();
    let diff_id = layout.put(&lower, media_type::OCI_LAYER).await.unwrap().digest;
    let zstd = zstd::encode_all(&lower[..], 3).unwrap();
    let lower = layout.put(&zstd, media_type::OCI_LAYER_ZSTD).await.unwrap();
    let layers = vec![(lower, diff_id), (plain.clone(), plain.digest)];
    let mut config = ImageConfig::default();
    config.rootfs.diff_ids = layers.iter().map(|(_, diff_id)| diff_id.clone()).collect();
    let config = serde_json::to_vec(&config).unwrap();
    let config = layout.put(&config, media_type::OCI_CONFIG).await.unwrap();
    let document = ImageManifest {
        schema_version: 2,
        media_type: Some(media_type::OCI_MANIFEST.into()),
        config: config.clone(),
        layers: layers.iter().map(|(layer, _)| layer.clone()).collect(),
        annotations: Default::default(),
    };
    let document = serde_json::to_vec(&document).unwrap();
    let descriptor = layout.put(&document, media_type::OCI_MANIFEST).await.unwrap();
    Manifest { descriptor, config, layers }
}

fn blob(layout: &Layout, digest: &Digest) -> PathBuf {
    layout.folder().join("blobs/sha256").join(digest.hex())
}

#[tokio::test]
async fn a_packed_image_is_the_same_image_with_compressed_layers() {
    for (format, media_type) in [
        (PackFormat::Gzip, media_type::OCI_LAYER_GZIP),
        (PackFormat::Zstd, media_type::OCI_LAYER_ZSTD),
    ] {
        let store = Store::new();
        let layout = &store.layout;
        let plain = image(layout).await;
        let packer = Packer::new(layout.clone());
        assert_eq!(packer.known(&plain, format).await.unwrap(), None);
        let packed = packer.manifest(&plain, format).await.unwrap();
        assert_eq!((&packed.config, &packed.layers[0]), (&plain.config, &plain.layers[0]));
        let (layer, diff_id) = &packed.layers[1];
        assert_eq!((layer.media_type.as_str(), diff_id), (media_type, &plain.layers[1].1));
        assert!(layer.size < plain.layers[1].0.size / 20, "{format}: {}", layer.size);
        assert_eq!(layout.manifest(&packed.descriptor.digest).await.unwrap(), packed);
        assert_eq!(packer.known(&plain, format).await.unwrap(), Some(packed.descriptor.clone()));
        let trees = [&plain, &packed].map(|manifest| Tree::from_layers(layout, manifest));
        let trees = futures_util::future::join_all(trees).await;
        let listed = |tree: &Tree| tree.iter().map(|(path, _)| path.to_owned()).collect::<Vec<_>>();
        assert_eq!(listed(trees[0].as_ref().unwrap()), listed(trees[1].as_ref().unwrap()));
    }
}

#[tokio::test]
async fn what_was_collected_is_made_again_and_what_is_there_is_not() {
    let store = Store::new();
    let layout = &store.layout;
    let plain = image(layout).await;
    let first = Packer::new(layout.clone()).manifest(&plain, PackFormat::Gzip).await.unwrap();
    let path = blob(layout, &first.layers[1].0.digest);
    let bytes = std::fs::read(&path).unwrap();

    // Nothing is compressed twice, by another packer neither: a blob that is there is not even read.
    let inode = || std::os::unix::fs::MetadataExt::ino(&std::fs::metadata(&path).unwrap());
    let kept = inode();
    let again = Packer::new(layout.clone()).manifest(&plain, PackFormat::Gzip).await.unwrap();
    assert_eq!(again, first);
    assert_eq!(inode(), kept);

    std::fs::remove_file(&path).unwrap();
    let again = Packer::new(layout.clone()).manifest(&plain, PackFormat::Gzip).await.unwrap();
    assert_eq!(again, first);
    assert!(std::fs::read(&path).unwrap() == bytes);
}

#[tokio::test]
async fn many_who_ask_at_once_get_one_answer() {
    let store = Store::new();
    let plain = image(&store.layout).await;
    let packer = Packer::new(store.layout.clone());
    packer.begin(&plain.layers[1], PackFormat::Gzip);
    let all = (0..5).map(|_| packer.layer(&plain.layers[1], PackFormat::Gzip));
    let all = futures_util::future::try_join_all(all).await.unwrap();
    assert!(all.iter().all(|layer: &Descriptor| *layer == all[0]));
}

#[tokio::test]
async fn a_damaged_layer_is_never_compressed_threat_29() {
    let store = Store::new();
    let layout = &store.layout;
    let plain = image(layout).await;
    let path = blob(layout, &plain.layers[1].1);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[1000] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let packer = Packer::new(layout.clone());
    let error = packer.manifest(&plain, PackFormat::Gzip).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol);
    assert_eq!(packer.known(&plain, PackFormat::Gzip).await.unwrap(), None);
    // It is gone, so that it is made again.
    let error = packer.layer(&plain.layers[1], PackFormat::Gzip).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!(layout.size(&plain.layers[1].1).await.unwrap(), None);
}
