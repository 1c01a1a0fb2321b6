//! A base image for the fake engine: the files of one, without the programs.

use std::io;

use boxwright_image::config::{ImageConfig, RunConfig};
use boxwright_image::manifest::{ImageManifest, digest_of, media_type};

use crate::fake_registry::FakeRegistry;

/// The repository and tag of the base image.
pub(crate) const NAME: (&str, &str) = ("boxwright/busybox", "1");

const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nwww-data:x:33:33:www-data:/var/www:/bin/false\n\
                      nobody:x:65534:65534:nobody:/nonexistent:/bin/false\n";
const GROUP: &str = "root:x:0:\nwww-data:x:33:\nnogroup:x:65534:\n";

/// Puts the base image into a registry.
pub(crate) fn put_into(registry: &FakeRegistry) -> io::Result<()> {
    let layer = layer()?;
    let diff = digest_of(&layer);
    let layer_digest = registry.put_blob(layer.clone());
    let platform = boxwright_core::Platform::of_this_machine();
    let config = ImageConfig {
        architecture: platform.architecture().to_owned(),
        os: platform.os().to_owned(),
        variant: platform.variant().map(str::to_owned),
        config: RunConfig {
            env: vec!["PATH=/usr/sbin:/usr/bin:/sbin:/bin".to_owned()],
            cmd: Some(vec!["/bin/sh".to_owned()]),
            ..RunConfig::default()
        },
        rootfs: boxwright_image::config::RootFs { diff_ids: vec![diff], ..Default::default() },
        ..ImageConfig::default()
    };
    let config = serde_json::to_vec(&config)?;
    let descriptor = |media_type: &str, digest, size: usize| boxwright_core::Descriptor {
        media_type: media_type.to_owned(),
        digest,
        size: size as u64,
    };
    let config_digest = registry.put_blob(config.clone());
    let manifest = ImageManifest {
        schema_version: 2,
        media_type: Some(media_type::OCI_MANIFEST.to_owned()),
        config: descriptor(media_type::OCI_CONFIG, config_digest, config.len()),
        layers: vec![descriptor(media_type::OCI_LAYER, layer_digest, layer.len())],
        annotations: std::collections::BTreeMap::new(),
    };
    let manifest = serde_json::to_vec(&manifest)?;
    registry.put_manifest(NAME.0, NAME.1, media_type::OCI_MANIFEST, &manifest);
    Ok(())
}

fn layer() -> io::Result<Vec<u8>> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut add = |path: &str, kind: tar::EntryType, mode: u32, content: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_size(content.len() as u64);
        header.set_mtime(1_000_000_000);
        tar.append_data(&mut header, path, content)
    };
    for (folder, mode) in [("bin", 0o755), ("etc", 0o755), ("root", 0o700), ("tmp", 0o1777)] {
        add(folder, tar::EntryType::Directory, mode, b"")?;
    }
    add("bin/sh", tar::EntryType::Regular, 0o755, b"the fake engine runs no programs\n")?;
    add("etc/passwd", tar::EntryType::Regular, 0o644, PASSWD.as_bytes())?;
    add("etc/group", tar::EntryType::Regular, 0o644, GROUP.as_bytes())?;
    tar.into_inner()
}
