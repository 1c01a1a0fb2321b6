//! Further contexts.

use boxwright_core::{ErrorKind, ImageRef, MountSource, NamedContext, Platform};
use boxwright_image::manifest::{ImageIndex, IndexEntry, PlatformFields};
use boxwright_testkit::ContextFolder;

use crate::bench::{Bench, Built};
use crate::run::Noting;

async fn build(bench: &Bench, contexts: &[(&str, NamedContext)]) -> boxwright_core::Result<Built> {
    let mut request = bench.request();
    let contexts = contexts.iter().map(|(name, context)| ((*name).to_owned(), context.clone()));
    request.contexts = contexts.collect();
    bench.build_with(&request, &[], Some(&Noting::default())).await.0
}

#[tokio::test]
async fn a_folder_is_copied_from_mounted_and_built_on() {
    let further = ContextFolder::new().unwrap().file("in/f", 0o640, "further").unwrap();
    let further = further.file("left-out", 0o644, "").unwrap();
    let further = further.file(".dockerignore", 0o644, "left-out\n").unwrap();
    let bench = Bench::new(
        "FROM further AS base\nFROM replaced AS other\nRUN never\nFROM base\nCOPY --from=further in/f /copied\n\
         COPY --from=other in/f /again\nRUN --mount=from=further,source=in,target=/in ran=1\n",
    );
    let folder = NamedContext::Folder(further.path().to_owned());
    let mut request = bench.request();
    request.contexts = [("further", folder.clone()), ("other", folder)]
        .map(|(name, context)| (name.to_owned(), context))
        .into();
    let runner = Noting::default();
    let built = bench.build_with(&request, &[], Some(&runner)).await.0.unwrap();
    assert_eq!(
        built.listing(),
        [
            ".dockerignore 644 0:0",
            "again 640 0:0",
            "copied 640 0:0",
            "in/ 755 0:0",
            "in/f 640 0:0",
            "ran 644 0:0",
        ]
    );
    let steps = runner.steps();
    assert_eq!(steps.len(), 1);
    let MountSource::Chain { path, rootfs, .. } = &steps[0].mounts[0].source else { panic!() };
    assert_eq!((path.as_str(), rootfs.len()), ("/in", 1));
}

#[tokio::test]
async fn an_image_takes_the_place_of_another() {
    let bench = Bench::new("FROM scratch\nCOPY f /\nENV a=b\n").file("f", 0o644, "1");
    let mut request = bench.request();
    let name: ImageRef = "example.com/real:1".parse().unwrap();
    request.tags = vec![name.clone()];
    bench.build_with(&request, &[], None).await.0.unwrap();

    request.tags.clear();
    request.dockerfile = boxwright_core::DockerfileSource::Text(
        "FROM alpine\nCOPY --from=docker.io/library/alpine /f /g\n".into(),
    );
    // By the name as it is written, and by what it stands for.
    request.contexts =
        [("docker.io/library/alpine:latest".to_owned(), NamedContext::Image(name))].into();
    let built = bench.build_with(&request, &[], None).await.0.unwrap();
    assert_eq!(built.listing(), ["f 644 0:0", "g 644 0:0"]);
    assert!(built.config.config.env.contains(&"a=b".to_owned()));
}

#[tokio::test]
async fn an_image_of_an_oci_layout() {
    let other = Bench::new("FROM scratch\nCOPY f /\nENV a=b\n").file("f", 0o644, "1");
    let image = other.build().await.unwrap();
    let layout = other.store.layout();
    let here = Platform::of_this_machine();
    let platform = |architecture: &str| {
        Some(PlatformFields {
            architecture: architecture.into(),
            os: "linux".into(),
            variant: None,
        })
    };
    let entry = |platform, tag: Option<&str>| IndexEntry {
        descriptor: image.manifest.descriptor.clone(),
        platform,
        annotations: tag
            .map(|tag| ("org.opencontainers.image.ref.name".to_owned(), tag.to_owned()))
            .into_iter()
            .collect(),
    };
    let index = |manifests| ImageIndex {
        schema_version: 2,
        media_type: None,
        manifests,
        annotations: std::collections::BTreeMap::new(),
    };
    let inner =
        index(vec![entry(platform("s390x"), None), entry(platform(here.architecture()), None)]);
    let inner = serde_json::to_vec(&inner).unwrap();
    let inner = layout.put(&inner, "application/vnd.oci.image.index.v1+json").await.unwrap();
    let list = IndexEntry {
        descriptor: inner,
        platform: None,
        annotations: [("org.opencontainers.image.ref.name".to_owned(), "many".to_owned())].into(),
    };
    let outer = index(vec![entry(None, Some("1")), list]);
    std::fs::write(layout.folder().join("index.json"), serde_json::to_vec(&outer).unwrap())
        .unwrap();

    let bench = Bench::new("FROM base\nCOPY --from=base /f /g\n");
    let context = |reference: Option<&str>| NamedContext::Layout {
        folder: layout.folder().to_owned(),
        reference: reference.map(str::to_owned),
    };
    let digest = image.manifest.descriptor.digest.to_string();
    for reference in ["1", "many", &digest] {
        let built = build(&bench, &[("base", context(Some(reference)))]).await.expect(reference);
        assert_eq!(built.listing(), ["f 644 0:0", "g 644 0:0"]);
        assert!(built.config.config.env.contains(&"a=b".to_owned()));
    }
    for reference in [None, Some("2")] {
        let error = build(&bench, &[("base", context(reference))]).await.err().unwrap();
        assert_eq!(error.kind(), ErrorKind::NotFound, "{reference:?}");
        assert!(error.remedy().unwrap().contains("--build-context base=oci-layout://"));
    }
    // Bytes that are not what they say are never used.
    let layer = &image.manifest.layers[0].0.digest;
    std::fs::write(layout.folder().join("blobs/sha256").join(layer.hex()), "other").unwrap();
    let bench = Bench::new("FROM base\n");
    let error = build(&bench, &[("base", context(Some("1")))]).await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Protocol);
}

#[tokio::test]
async fn a_format_that_is_asked_for_is_used() {
    use boxwright_core::ImageFormat;
    use boxwright_image::manifest::media_type;
    let bench = Bench::new("FROM scratch\nCOPY f /\n").file("f", 0o644, "1");
    let mut request = bench.request();
    request.format = Some(ImageFormat::Docker);
    let docker = bench.build_with(&request, &[], None).await.0.unwrap();
    assert_eq!(docker.manifest.descriptor.media_type, media_type::DOCKER_MANIFEST);
    assert_eq!(docker.manifest.layers[0].0.media_type, media_type::DOCKER_LAYER);
    request.format = Some(ImageFormat::Oci);
    let text = "FROM scratch\nCOPY f /\nHEALTHCHECK NONE\n";
    request.dockerfile = boxwright_core::DockerfileSource::Text(text.into());
    let oci = bench.build_with(&request, &[], None).await.0.unwrap();
    assert_eq!(oci.manifest.descriptor.media_type, media_type::OCI_MANIFEST);
    assert!(oci.config.config.healthcheck.is_some());
}

#[tokio::test]
async fn a_program_for_another_processor_is_told_threat_44() {
    let program = |machine: u8| {
        let mut head = vec![0; 64];
        head[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
        (head[16], head[18]) = (2, machine);
        head
    };
    let bench = Bench::new("FROM scratch\nCOPY arm amd /bin/\nARG name=arm\nCMD [\"/bin/arm\"]\n");
    let bench = bench.file("arm", 0o755, program(0xb7)).file("amd", 0o755, program(0x3e));
    for (architecture, warns) in [("amd64", true), ("arm64", false)] {
        let mut request = bench.request();
        request.platforms = vec![Platform::new("linux", architecture, None)];
        let built = bench.build_with(&request, &[], None).await.0.unwrap();
        let warned = built.events.iter().any(|event| {
            matches!(event, boxwright_core::Event::Warning { message, .. } if message.contains("`/bin/arm` is for arm64"))
        });
        assert_eq!(warned, warns, "{architecture}: {:?}", built.events);
    }
}

#[tokio::test]
async fn steps_of_other_images_are_refused_and_not_forgotten() {
    let bench = Bench::new("FROM scratch\nLABEL a=b\n");
    let mut request = bench.request();
    request.cache_from = vec!["example.com/cache:1".parse().unwrap()];
    let error = bench.build_with(&request, &[], None).await.0.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.remedy().is_some());
}
