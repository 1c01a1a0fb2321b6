//! Builds of real folders, judged by the images that come out.

use std::sync::Arc;

use boxwright_core::{Anonymous, CacheUse, ErrorKind, Host, ImageRef, PullPolicy, Session};
use boxwright_image::manifest::media_type;
use boxwright_image::pack::PackFormat;
use boxwright_image::view::NodeKind;
use boxwright_portable::Builder;
use boxwright_registry::Client;
use boxwright_testkit::FakeRegistry;

use crate::bench::Bench;

#[tokio::test]
async fn a_file_becomes_an_image() {
    let bench = Bench::new(
        "FROM scratch\nENV greeting=hello\nCOPY --chmod=0755 tool /bin/\nCMD [\"/bin/tool\"]\n",
    )
    .file("tool", 0o644, "#!/bin/sh\n");
    let built = bench.build().await.unwrap();
    assert_eq!(built.listing(), ["bin/ 755 0:0", "bin/tool 755 0:0"]);
    assert_eq!(bench.read(&built, "/bin/tool").await, "#!/bin/sh\n");
    let config = &built.config;
    assert_eq!(config.config.cmd.as_deref().unwrap(), ["/bin/tool"]);
    assert!(config.config.env.contains(&"greeting=hello".to_owned()), "{:?}", config.config.env);
    assert_eq!(config.created.as_deref(), Some("2023-11-14T22:13:20Z"));
    let history: Vec<_> =
        config.history.iter().map(|it| (it.created_by.as_str(), it.empty_layer)).collect();
    assert_eq!(
        history,
        [
            ("ENV greeting=hello", true),
            ("COPY --chmod=0755 tool /bin/ # buildkit", false),
            ("CMD [\"/bin/tool\"]", true),
        ]
    );
    assert_eq!(built.output.builder, "portable");
}

#[tokio::test]
async fn the_same_files_give_the_same_digest_in_any_store() {
    let bench = || {
        Bench::new("FROM scratch\nWORKDIR /srv\nCOPY . .\nCOPY <<end note\nhello\nend\n")
            .file("b/deep/file", 0o600, "1")
            .file("a", 0o755, vec![7; 300_000])
    };
    let (first, second) = (bench(), bench());
    let (first, second) = (first.build().await.unwrap(), second.build().await.unwrap());
    assert_eq!(first.output.id, second.output.id);
    assert!(first.listing().contains(&"srv/b/deep/file 600 0:0".to_owned()));
    assert!(first.tree.iter().all(|(_, node)| node.modified == (1_700_000_000, 0)));
}

#[tokio::test]
async fn every_field_of_the_config_is_in_the_key_of_what_follows_threat_21() {
    let lines = [
        "HEALTHCHECK CMD a",
        "HEALTHCHECK CMD [\"a\"]",
        "HEALTHCHECK --interval=1s CMD a",
        "HEALTHCHECK --timeout=1s CMD a",
        "HEALTHCHECK --start-period=1s CMD a",
        "HEALTHCHECK --start-interval=1s CMD a",
        "HEALTHCHECK --retries=1 CMD a",
        "HEALTHCHECK NONE",
        "ONBUILD RUN a",
        "ONBUILD COPY a /a",
        "SHELL [\"/a\"]",
        "STOPSIGNAL 9",
        "VOLUME /a",
        "EXPOSE 1",
        "EXPOSE 1/udp",
        "USER 1",
        "USER 1:2",
        "LABEL a=b",
        "ENV a=b",
        "ENV a=c",
        "CMD a",
        "CMD [\"a\"]",
        "ENTRYPOINT a",
        "MAINTAINER a",
    ];
    let bench = Bench::new("").file("f", 0o644, "1");
    let build = async |line: &str| {
        let mut request = bench.request();
        let text = format!("FROM scratch\n{line}\nCOPY f /f\n");
        request.dockerfile = boxwright_core::DockerfileSource::Text(text);
        bench.build_by(&request).await.expect(line)
    };
    let mut ids = std::collections::BTreeSet::new();
    for line in lines {
        let built = build(line).await;
        assert_eq!(built.cached(), 0, "{line}");
        assert!(ids.insert(built.output.id.to_string()), "{line}: the image of another line");
    }
    for line in lines {
        let built = build(line).await;
        assert_eq!(built.cached(), 2, "{line}");
        assert!(ids.contains(built.output.id.as_str()), "{line}: another image than before");
    }
}

#[tokio::test]
async fn a_step_is_done_again_only_when_content_changes() {
    let bench = Bench::new("FROM scratch\nWORKDIR /a\nCOPY file /a/\nLABEL a=b\n");
    let bench = bench.file("file", 0o644, "1");
    let mut request = bench.request();
    request.build_args.clear();
    let first = bench.build_by(&request).await.unwrap();
    assert_eq!(first.cached(), 0);

    // Written again: another time, the same content.
    let bench = bench.file("file", 0o644, "1");
    let second = bench.build_by(&request).await.unwrap();
    assert_eq!((second.cached(), &second.output.id), (3, &first.output.id));

    let bench = bench.file("file", 0o644, "2");
    let third = bench.build_by(&request).await.unwrap();
    assert_eq!((third.cached(), bench.read(&third, "a/file").await), (1, "2".to_owned()));

    request.cache = CacheUse::Ignore;
    assert_eq!(bench.build_by(&request).await.unwrap().cached(), 0);
}

#[tokio::test]
async fn files_of_a_stage_are_copied_with_their_owners_and_links() {
    let bench = Bench::new(
        "FROM scratch AS base\nCOPY passwd group /etc/\nCOPY --chown=api:ops data /srv/data\n\
         FROM scratch AS unused\nRUN [\"/never\"]\n\
         FROM base\nCOPY --from=base /srv/data /copy/\nCOPY --from=base --chown=3 /srv/data/*.txt /only/\n",
    )
    .file("passwd", 0o644, "root:x:0:0::/:\napi:x:7:8::/:\n")
    .file("group", 0o644, "ops:x:9:\n")
    .file("data/a.txt", 0o640, "a")
    .file("data/b", 0o600, "b");
    std::fs::hard_link(
        bench.context.path().join("data/a.txt"),
        bench.context.path().join("data/c"),
    )
    .unwrap();
    std::os::unix::fs::symlink("a.txt", bench.context.path().join("data/link")).unwrap();
    let built = bench.build().await.unwrap();
    let listing = built.listing();
    for line in [
        "copy/ 755 0:0",
        "copy/a.txt 640 7:9",
        "copy/b 600 7:9",
        "copy/link 777 7:9",
        "only/a.txt 640 3:3",
        "srv/data/a.txt 640 7:9",
    ] {
        assert!(listing.contains(&line.to_owned()), "{line} in {listing:#?}");
    }
    assert!(built.tree.same_file("copy/a.txt", "copy/c"));
    assert!(!built.tree.same_file("copy/a.txt", "srv/data/a.txt"));
    assert_eq!(bench.read(&built, "copy/link").await, "a");
}

#[tokio::test]
async fn a_destination_is_followed_inside_the_image_threat_13() {
    let bench = Bench::new("FROM scratch\nCOPY links /\nCOPY file /out/new/\nADD two.tar /\n")
        .file("links/real/keep", 0o644, "")
        .file("file", 0o644, "x");
    std::os::unix::fs::symlink("../../../real", bench.context.path().join("links/out")).unwrap();
    // A tar with a link, and a file through it.
    let mut tar = boxwright_image::tar::Writer::new(Vec::new());
    let kind = boxwright_image::tar::Kind::Symlink { target: "/real".into() };
    tar.header(&boxwright_image::tar::Header::new("way", kind, 0o777)).unwrap();
    let kind = boxwright_image::tar::Kind::File { size: 1 };
    let header = boxwright_image::tar::Header::new("way/through", kind, 0o644);
    tar.file(&header, &mut &b"y"[..]).unwrap();
    let bench = bench.file("two.tar", 0o644, tar.finish().unwrap());
    let built = bench.build().await.unwrap();
    assert_eq!(bench.read(&built, "real/new/file").await, "x");
    assert_eq!(bench.read(&built, "real/through").await, "y");
    assert!(matches!(built.tree.get("out").unwrap().kind, NodeKind::Symlink { .. }));
}

#[tokio::test]
async fn parents_and_excluded_files() {
    let bench = Bench::new(
        "FROM scratch\nCOPY --parents a/*/x /p/\nCOPY --exclude=*.log a /e\nCOPY . /all\n",
    )
    .file("a/b/x", 0o644, "")
    .file("a/b/y.log", 0o644, "")
    .file("a/z.log", 0o644, "")
    .file(".dockerignore", 0o644, "a\n!a/b/x\n");
    let built = bench.build().await.unwrap();
    let paths: Vec<String> =
        built.tree.iter().map(|(path, _)| path.display().to_string()).collect();
    assert_eq!(
        paths,
        [
            "all",
            "all/.dockerignore",
            "all/Dockerfile",
            "all/a",
            "all/a/b",
            "all/a/b/x",
            "e",
            "e/b",
            "e/b/x",
            "p",
            "p/a",
            "p/a/b",
            "p/a/b/x"
        ]
    );
}

#[tokio::test]
async fn a_base_is_pulled_with_its_triggers_and_the_result_is_pushed() {
    let registry = FakeRegistry::open().await.unwrap();
    let client = Client::new(
        &Host::with_variables::<String, String>("/", []),
        Arc::default(),
        Arc::new(Anonymous),
    );
    let base =
        Bench::new("FROM scratch\nWORKDIR /app\nCOPY f /app/old\nONBUILD COPY f /app/triggered\n");
    let base = base.file("f", 0o644, "old");
    let built = base.build().await.unwrap();
    let name: ImageRef = format!("{}/base:1", registry.host()).parse().unwrap();
    base.store.push(&client, &name, &built.manifest, PackFormat::Gzip).await.unwrap();

    let bench = Bench::new(&format!("FROM {name}\nCOPY f new\n")).file("f", 0o644, "new");
    let mut request = bench.request();
    let tag: ImageRef = format!("{}/api:1", registry.host()).parse().unwrap();
    request.tags = vec![tag.clone()];
    let built = bench.build_by(&request).await.unwrap();
    assert_eq!(bench.read(&built, "app/old").await, "old");
    assert_eq!(bench.read(&built, "app/triggered").await, "new");
    assert_eq!(bench.read(&built, "app/new").await, "new");
    assert_eq!(built.config.config.on_build, None);
    assert_eq!(built.output.bases.keys().collect::<Vec<_>>(), [&name.to_string()]);

    let kept = bench.store.find(&tag, None).await.unwrap().unwrap();
    let types: Vec<_> = kept.layers.iter().map(|(layer, _)| layer.media_type.as_str()).collect();
    let gzip = media_type::OCI_LAYER_GZIP;
    assert_eq!(types, [gzip, gzip, media_type::OCI_LAYER, media_type::OCI_LAYER]);
    assert_eq!(built.output.digest, None, "nobody knows before the layers are compressed");
    let pushed = bench.store.push(&client, &tag, &kept, PackFormat::Gzip).await.unwrap();
    // What the registry has is gzip throughout, the base's layers as they came, and the same image.
    let there = Bench::new("");
    let there_manifest = client.pull(&tag, None, there.store.layout()).await.unwrap();
    assert_eq!(there_manifest.descriptor.digest, pushed.digest);
    assert_eq!(there_manifest.config.digest, built.output.id);
    assert_eq!(there_manifest.layers[..2], kept.layers[..2]);
    assert!(there_manifest.layers.iter().all(|(layer, _)| layer.media_type == gzip));

    // The registry is not asked again, and a base that is not there is not pulled where that is forbidden.
    let asked = registry.requests().len();
    request.pull = PullPolicy::Never;
    let again = bench.build_by(&request).await.unwrap();
    assert_eq!(again.output.digest, Some(there_manifest.descriptor.digest), "it is known by now");
    let other = Bench::new(&format!("FROM {name}\n"));
    let mut request = other.request();
    request.pull = PullPolicy::Never;
    let error = other.build_by(&request).await.err().unwrap();
    assert_eq!((error.kind(), registry.requests().len()), (ErrorKind::NotFound, asked));
}

#[tokio::test]
async fn archives_are_unpacked_with_their_owners_and_links() {
    use boxwright_image::tar::{Header, Kind, Writer};
    let archive = |name: &str| {
        let mut tar = Writer::new(Vec::new());
        let file = Header { uid: 5, ..Header::new(name, Kind::File { size: 1 }, 0o600) };
        tar.file(&file, &mut &name.as_bytes()[..1]).unwrap();
        let kind = Kind::HardLink { target: name.into() };
        tar.header(&Header::new(format!("{name}-link"), kind, 0o600)).unwrap();
        tar.finish().unwrap()
    };
    let bench = Bench::new("FROM scratch\nADD *.tar text /all/\nCOPY a.tar /\n")
        .file("a.tar", 0o644, archive("a"))
        .file("b.tar", 0o644, archive("b"))
        .file("text", 0o644, "no archive");
    let built = bench.build().await.unwrap();
    assert_eq!(
        built.listing(),
        [
            "a.tar 644 0:0",
            "all/ 755 0:0",
            "all/a 600 5:0",
            "all/a-link 600 5:0",
            "all/b 600 5:0",
            "all/b-link 600 5:0",
            "all/text 644 0:0",
        ]
    );
    assert!(built.tree.same_file("all/a", "all/a-link"));
    assert!(!built.tree.same_file("all/a", "all/b"));
    assert_eq!(bench.read(&built, "all/b-link").await, "b");
}

#[tokio::test]
async fn a_cancelled_build_keeps_no_image() {
    let bench = Bench::new("FROM scratch\nCOPY f /\n").file("f", 0o644, "x");
    let session = Session::new(Host::with_variables::<String, String>("/", []));
    session.cancel.cancel();
    let mut request = bench.request();
    let tag: ImageRef = "localhost/api:1".parse().unwrap();
    request.tags = vec![tag.clone()];
    let error = Builder::new(bench.store.clone()).build(&request, &session).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
    assert_eq!(bench.store.find(&tag, None).await.unwrap(), None);
}

#[tokio::test]
async fn a_damaged_layer_is_made_again() {
    let bench = Bench::new("FROM scratch\nCOPY f /\n").file("f", 0o644, "x");
    let first = bench.build().await.unwrap();
    let digest = &first.manifest.layers[0].0.digest;
    let blob = bench.store.layout().folder().join("blobs/sha256").join(digest.hex());
    std::fs::write(&blob, "cut").unwrap();
    let second = bench.build().await.unwrap();
    assert_eq!((second.cached(), &second.output.id), (0, &first.output.id));
}

#[tokio::test]
async fn media_types_follow_from_the_config() {
    let plain = Bench::new("FROM scratch\nLABEL a=b\n").build().await.unwrap();
    assert_eq!(plain.manifest.descriptor.media_type, media_type::OCI_MANIFEST);
    let bench = Bench::new("FROM scratch\nCOPY f /\nHEALTHCHECK --retries=2 CMD [\"/f\"]\n");
    let checked = bench.file("f", 0o755, "").build().await.unwrap();
    assert_eq!(checked.manifest.descriptor.media_type, media_type::DOCKER_MANIFEST);
    assert_eq!(checked.manifest.layers[0].0.media_type, media_type::DOCKER_LAYER);
    let check = checked.config.config.healthcheck.unwrap();
    assert_eq!(check.to_string(), r#"{"Retries":2,"Test":["CMD","/f"]}"#);
}

#[tokio::test]
async fn what_cannot_be_done_says_why() {
    for (dockerfile, kind, message) in [
        ("FROM scratch\nRUN make\n", ErrorKind::Unsupported, "cannot run `RUN make`"),
        ("FROM scratch\nCOPY none /\n", ErrorKind::NotFound, "cannot copy `/none`"),
        (
            "FROM scratch\nCOPY --chown=who f /\n",
            ErrorKind::BuildFailed,
            "cannot find the user `who`",
        ),
        ("FROM scratch\nCOPY f /a\nCOPY f /a/b\n", ErrorKind::BuildFailed, "cannot write `/a`"),
        (
            "FROM scratch\nCOPY .wh.f /\n",
            ErrorKind::InvalidInput,
            "cannot put `/.wh.f` into a layer",
        ),
        ("FROM scratch\nCOPPY f /\n", ErrorKind::InvalidDockerfile, "unknown instruction `COPPY`"),
    ] {
        let bench = Bench::new(dockerfile).file("f", 0o644, "").file(".wh.f", 0o644, "");
        let error = bench.build().await.err().expect(dockerfile);
        assert_eq!((error.kind(), error.to_string().as_str()), (kind, message));
        assert!(error.context().iter().any(|(name, _)| *name == "location"), "{dockerfile}");
        assert!(error.remedy().is_some(), "{dockerfile}: {error} without a remedy");
    }
}

#[tokio::test]
async fn a_path_that_is_not_there_is_answered_with_the_one_that_was_meant() {
    for (dockerfile, remedy) in [
        ("FROM scratch\nCOPY src/mian.py /\n", "write `/src/main.py`, if that is meant"),
        ("FROM scratch\nCOPY main.py /\n", "write `/src/main.py`, if that is meant"),
        ("FROM scratch\nCOPY config.toml /\n", "correct the path"),
        (
            "FROM scratch AS a\nCOPY src /app\nFROM scratch\nCOPY --from=a app/Main.py /\n",
            "write `/app/main.py`, if that is meant",
        ),
    ] {
        let error = Bench::new(dockerfile).file("src/main.py", 0o644, "").build().await.err();
        assert_eq!(error.expect(dockerfile).remedy(), Some(remedy), "{dockerfile}");
    }
}
