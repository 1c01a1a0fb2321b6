//! What a detection makes of a daemon, of its absence, and of others in its place.

use boxwright_core::{Detection, EngineProvider as _, Error, ErrorKind, Host};
use boxwright_engine_docker::{Builder, DockerConfig, DockerProvider};

use crate::daemon::{FakeDaemon, Reply, answer};
use crate::{detected, host, instance, provider};

async fn unusable(provider: &DockerProvider) -> Error {
    match detected(provider, &host()).await {
        Detection::Unusable { error, .. } => error,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_daemon_is_ready_with_what_it_says_of_itself() {
    let daemon = FakeDaemon::docker();
    let found = instance(&daemon).await;
    assert_eq!(found.endpoint, daemon.endpoint());
    assert_eq!(found.source, "the setting `engine.docker.host`");
    assert_eq!((found.version.as_str(), found.rootless), ("20.10.24+dfsg1", Some(false)));
    assert_eq!(found.storage_driver.as_deref(), Some("overlay2"));
    assert_eq!(found.builders, ["buildkit", "classic"]);
}

#[tokio::test]
async fn the_builder_is_chosen_by_setting_then_by_variable() {
    let daemon = FakeDaemon::docker();
    let classic = Host::with_variables("/", [("DOCKER_BUILDKIT", "0")]);
    let mut config = DockerConfig { host: Some(daemon.endpoint()), ..DockerConfig::default() };
    let by_variable = detected(&DockerProvider::new(config.clone()), &classic).await;
    config.builder = Some(Builder::BuildKit);
    let by_setting = detected(&DockerProvider::new(config), &classic).await;
    let builders = |found: Detection| match found {
        Detection::Ready(instance) => instance.builders,
        other => panic!("{other:?}"),
    };
    assert_eq!(builders(by_variable), ["classic", "buildkit"]);
    assert_eq!(builders(by_setting), ["buildkit", "classic"]);
}

#[tokio::test]
async fn an_unknown_builder_shows_the_nearest_one() {
    let daemon = FakeDaemon::docker();
    let instance = instance(&daemon).await;
    let opened = provider(&daemon).open(&host(), &instance, Some("clasic")).await;
    let error = opened.unwrap_err();
    assert_eq!((error.kind(), error.remedy()), (ErrorKind::InvalidInput, Some("use `classic`")));
}

#[tokio::test]
async fn podman_is_left_to_podman_threat_38() {
    let daemon = FakeDaemon::start();
    daemon.on("GET /_ping", Reply::Answer(200, "OK".into()));
    let version = r#"{"Components":[{"Name":"Podman Engine","Version":"4.3.1"}],"Version":"4.3.1","ApiVersion":"1.41"}"#;
    daemon.on("GET /version", answer(version));
    daemon.on("GET /info", answer("{}"));
    let error = unusable(&provider(&daemon)).await;
    assert_eq!(error.remedy(), Some("use it as what it is: `--engine podman`"));
}

#[tokio::test]
async fn what_is_no_daemon_is_said_to_be_none() {
    let daemon = FakeDaemon::start();
    daemon.on("GET /", answer("<html></html>"));
    let error = unusable(&provider(&daemon)).await;
    assert_eq!(error.kind(), ErrorKind::Protocol);
    assert_eq!(error.remedy(), Some("name the socket or the port of a Docker daemon"));
}

#[tokio::test(start_paused = true)]
async fn a_daemon_that_stays_silent_is_given_two_seconds() {
    let daemon = FakeDaemon::start();
    daemon.on("GET /", Reply::Silence);
    let error = unusable(&provider(&daemon)).await;
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().ends_with("within two seconds"), "{error}");
}

#[tokio::test]
async fn a_socket_that_was_left_behind_is_unusable_and_not_absent() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("d.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let host = Some(format!("unix://{}", path.display()));
    let provider = DockerProvider::new(DockerConfig { host, ..DockerConfig::default() });
    let error = unusable(&provider).await;
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.remedy().is_some());
    assert_eq!(error.context(), [("set by", "the setting `engine.docker.host`".to_owned())]);
}

#[tokio::test]
async fn places_without_a_socket_are_absent() {
    let folder = tempfile::tempdir().unwrap();
    let variables = [("HOME", folder.path()), ("XDG_RUNTIME_DIR", folder.path())];
    let host = Host::with_variables("/", variables);
    let found = DockerProvider::new(DockerConfig::default()).detect(&host).await;
    let own = format!("unix://{}/docker.sock", folder.path().display());
    let absent =
        found.iter().any(|found| matches!(found, Detection::Absent { place } if *place == own));
    assert!(absent, "{found:?}");
}
