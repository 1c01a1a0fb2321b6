//! The engine against a daemon that is a script: what is sent, what is made of each answer, and what is left behind.

#![expect(clippy::unwrap_used, reason = "a panic in a test is a failed test with its place")]

mod builds;
mod daemon;
mod detection;
mod transfers;

use std::sync::Arc;

use boxwright_core::{Detection, Engine, EngineProvider as _, Host, Instance, Session};
use boxwright_engine_docker::{DockerConfig, DockerProvider};

use daemon::FakeDaemon;

/// The host of a test, with nothing of the real environment.
fn host() -> Host {
    Host::with_variables("/", [("TMPDIR", "/tmp")])
}

fn provider(daemon: &FakeDaemon) -> DockerProvider {
    let host = Some(daemon.endpoint());
    DockerProvider::new(DockerConfig { host, ..DockerConfig::default() })
}

/// The only answer of a detection.
async fn detected(provider: &DockerProvider, host: &Host) -> Detection {
    let mut found = provider.detect(host).await;
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

async fn instance(daemon: &FakeDaemon) -> Instance {
    match detected(&provider(daemon), &host()).await {
        Detection::Ready(instance) => instance,
        other => panic!("{other:?}"),
    }
}

/// Opens the daemon to build by `builder`.
async fn open(daemon: &FakeDaemon, builder: &str) -> Arc<dyn Engine> {
    let instance = instance(daemon).await;
    provider(daemon).open(&host(), &instance, Some(builder)).await.unwrap()
}

fn session() -> Session {
    Session::new(host())
}
