//! Image specifications: shown, built, pushed, and left out when the registry has them.

use std::time::{Duration, Instant};

use boxwright_testkit::{Answer, FakeRegistry, Moment};

use super::harness::Home;

/// A specification that the fake engine can build: without Python, and with no step that runs.
fn home(registry: &str) -> Home {
    let spec =
        format!("registry: {registry}\nname: app\nbase_image: scratch-like:1\ncopy: [data]\n");
    Home::new().file("spec.yaml", spec).file("data/a.txt", "hello\n")
}

#[test]
fn a_specification_is_shown_and_named() {
    let home = home("ghcr.io/acme");
    let shown = home.real(&["spec", "render", "spec.yaml"]);
    assert_eq!(shown.code, 0, "{shown}");
    assert!(shown.stdout.starts_with("FROM docker.io/library/scratch-like:1\n"), "{shown}");
    let tag = home.real(&["spec", "tag", "spec.yaml"]);
    assert!(tag.stdout.starts_with("ghcr.io/acme/app:"), "{tag}");
    let written = home.real(&["spec", "render", "spec.yaml", "--output", "out"]);
    assert_eq!(written.code, 0, "{written}");
    assert_eq!(std::fs::read_to_string(home.path("out/copy/data/a.txt")).unwrap(), "hello\n");
    assert_eq!(std::fs::read_to_string(home.path("out/Dockerfile")).unwrap(), shown.stdout);
    let again = home.real(&["spec", "render", "spec.yaml", "--output", "out"]);
    assert_eq!(again.code, 2, "{again}");
    let schema = home.real(&["spec", "schema"]);
    assert!(schema.stdout.contains("\"additionalProperties\": false"), "{schema}");
}

#[test]
fn an_image_of_other_files_may_be_named_by_the_settings() {
    let home = Home::new()
        .file("spec.yaml", "packages: [numpy]\npython_version: '3.11'\n")
        .file("boxwright.toml", "[spec]\npython-image = 'mirror.example/python:{version}'\n");
    let shown = home.real(&["spec", "render", "spec.yaml"]);
    assert!(shown.stdout.starts_with("FROM mirror.example/python:3.11\n"), "{shown}");
}

#[test]
fn what_a_specification_says_no_flag_says() {
    let home = home("ghcr.io/acme");
    for flags in [["--tag", "x"], ["--platform", "linux/arm64"], ["--build-arg", "a=b"]] {
        let run = home.real(&["build", "spec.yaml", flags[0], flags[1]]);
        assert_eq!(run.code, 2, "{run}");
        assert!(run.stderr.contains("is not for image specifications"), "{run}");
    }
    let unnamed = Home::new().file("spec.yaml", "base_image: a\n");
    let run = unnamed.real(&["build", "spec.yaml", "--push"]);
    assert_eq!(run.code, 2, "{run}");
    assert!(run.stderr.contains("names no registry"), "{run}");
    let run = Home::with_dockerfile("FROM scratch\n").real(&["build", "app", "--force"]);
    assert_eq!(run.code, 2, "{run}");
    let gone = home.real(&["build", "gone.yaml"]);
    assert_eq!(gone.code, 2, "{gone}");
}

/// Puts an image under the name that the specification has. What is in it does not matter to who asks for it.
fn put(registry: &FakeRegistry, tag: &str) -> String {
    let config =
        br#"{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}"#;
    let digest = registry.put_blob(&config[..]);
    let manifest = serde_json::json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "layers": [],
        "config": { "mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest, "size": config.len() },
    });
    let media = "application/vnd.oci.image.manifest.v1+json";
    registry.put_manifest("app", tag, media, manifest.to_string().as_bytes());
    registry.manifest("app", tag).unwrap().to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_registry_has_is_not_built_and_no_engine_is_asked() {
    let registry = FakeRegistry::open().await.unwrap();
    let home = home(&registry.host());
    let name = home.real(&["spec", "tag", "spec.yaml"]).stdout.trim().to_owned();
    let digest = put(&registry, name.rsplit_once(':').unwrap().1);
    // An engine that cannot be: asked for, it would fail the build.
    let home =
        home.variable("BOXWRIGHT_ENGINE", "docker").variable("DOCKER_HOST", "unix:///nowhere.sock");
    let arguments = ["build", "spec.yaml", "--push", "--metadata-file", "meta.json"];
    home.real(&arguments);
    let start = Instant::now();
    let run = home.real(&arguments);
    let time = start.elapsed();
    assert_eq!(run.code, 0, "{run}");
    assert!(run.stdout.ends_with(&format!("/app@{digest}\n")), "{run}");
    // What is promised is 200 ms; this is a program that is not optimized, on a machine that does more.
    assert!(time < Duration::from_secs(2), "{time:?}");
    let metadata = std::fs::read_to_string(home.path("meta.json")).unwrap();
    assert!(metadata.contains(&digest), "{metadata}");
    let forced = home.real(&["build", "spec.yaml", "--push", "--force"]);
    assert_eq!(forced.code, 3, "{forced}");
}

/// An image of another platform does not stand for the one that is asked for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_platforms_image_is_not_taken() {
    let registry = FakeRegistry::open().await.unwrap();
    let spec =
        format!("registry: {}\nname: app\nbase_image: a\nplatform: linux/s390x\n", registry.host());
    let home = Home::new().file("spec.yaml", spec).variable("BOXWRIGHT_ENGINE", "docker");
    let home = home.variable("DOCKER_HOST", "unix:///nowhere.sock");
    let name = home.real(&["spec", "tag", "spec.yaml"]).stdout.trim().to_owned();
    put(&registry, name.rsplit_once(':').unwrap().1);
    let run = home.real(&["build", "spec.yaml", "--push"]);
    assert_eq!(run.code, 3, "{run}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registry_that_does_not_say_never_leaves_a_build_out() {
    let registry = FakeRegistry::faulty(Moment::ManifestRead, Answer::Html).await.unwrap();
    let home = home(&registry.host());
    let home =
        home.variable("BOXWRIGHT_ENGINE", "docker").variable("DOCKER_HOST", "unix:///nowhere.sock");
    let run = home.real(&["build", "spec.yaml", "--push"]);
    assert!(run.stderr.contains("is there is unknown, so it is built"), "{run}");
    assert_eq!(run.code, 3, "{run}");
}

/// The fake engine keeps no indexes: that it says so shows what it was asked for.
#[test]
fn all_platforms_of_a_specification_reach_the_builder() {
    let home = Home::new().file("spec.yaml", "base_image: a\nplatform: linux/amd64, linux/arm64\n");
    let run = home.fake(&["build", "spec.yaml"]);
    assert_eq!(run.code, 4, "{run}");
    assert!(run.stderr.contains("`build-for-platforms` is not supported here"), "{run}");
}
