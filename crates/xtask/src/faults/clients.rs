//! This program is killed, and cannot clean up; and what it keeps in Docker and Podman is asked back.

use serde_json::Value;

use super::stage::{Stage, until};
use super::{Fault, expect};
use crate::problem::Result;

pub(super) const FAULTS: &[Fault] = &[
    Fault {
        name: "docker/a-killed-run-is-swept",
        setups: &["docker", "registry/open"],
        disk: None,
        check: |stage| swept(stage, "docker", "DOCKER_HOST"),
    },
    Fault {
        name: "podman/a-killed-run-is-swept",
        setups: &["podman/root", "registry/open"],
        disk: None,
        check: |stage| swept(stage, "podman", "CONTAINER_HOST"),
    },
    Fault {
        name: "docker/prune",
        setups: &["docker", "registry/open"],
        disk: None,
        check: |stage| prune(stage, "docker", "DOCKER_HOST"),
    },
    Fault {
        name: "podman/prune",
        setups: &["podman/root", "registry/open"],
        disk: None,
        check: |stage| prune(stage, "podman", "CONTAINER_HOST"),
    },
];

/// A worker stays while a build has it; after that `prune` takes its container, image and volume.
fn prune(stage: &Stage, engine: &str, socket: &str) -> Result<()> {
    let arguments = ["build", "--progress", "plain", "--builder", "portable", "app"];
    let arguments = [&arguments[..], &["--engine", engine]].concat();
    stage.context("RUN echo be\"\"gun && sleep 600\n")?;
    let mut build = stage.start(stage.boxwright(&arguments))?;
    build.wait_for("begun")?;
    let pruned = stage.succeed(&["prune"])?;
    expect(pruned.contains("left the container `"), || pruned.clone())?;
    build.interrupt()?;
    let pruned = stage.succeed(&["prune"])?;
    for what in ["container `", "image `localhost/boxwright-worker:", "volume `boxwright-worker-"] {
        expect(pruned.contains(&format!("removed the {what}")), || pruned.clone())?;
    }
    let volumes = stage.ask(socket, "/v1.40/volumes")?;
    expect(!volumes.to_string().contains("boxwright-worker"), || {
        format!("`prune` left a volume: {volumes}")
    })?;
    stage.context("RUN echo done > /file\n")?;
    stage.succeed(&arguments).map(drop)
}

/// What a killed `run` leaves is gone after the next start and after `prune`; what a living one has stays.
fn swept(stage: &Stage, engine: &str, socket: &str) -> Result<()> {
    let base = stage.variable("BOXWRIGHT_TEST_BASE")?;
    stage.succeed(&["pull", "--engine", engine, base])?;
    let sleep = ["run", "--engine", engine, base, "sleep", "600"];
    let count = || containers(stage, socket).map_or(99, |all| all.len());

    let killed = stage.start(stage.boxwright(&sleep))?;
    expect(until(|| count() == 1), || "the container does not come".to_owned())?;
    let left = ids(stage, socket);
    killed.kill()?;
    let living = stage.start(stage.boxwright(&sleep))?;
    // The start of the second one has swept what the first one left.
    let is_swept = || count() == 1 && is_running(stage, socket) && ids(stage, socket) != left;
    expect(until(is_swept), || "a start does not sweep".to_owned())?;
    let pruned = stage.succeed(&["prune"])?;
    expect(count() == 1 && !pruned.contains("container"), || {
        format!("`prune` took the container of a process that lives:\n{pruned}")
    })?;
    living.kill()?;
    let pruned = stage.succeed(&["prune"])?;
    expect(count() == 0, || format!("`prune` left a container:\n{pruned}"))?;
    stage.nothing_temporary()
}

fn containers(stage: &Stage, socket: &str) -> Option<Vec<Value>> {
    let all = stage.ask(socket, "/v1.40/containers/json?all=true").ok()?;
    all.as_array().cloned()
}

fn ids(stage: &Stage, socket: &str) -> Vec<Value> {
    containers(stage, socket).into_iter().flatten().map(|it| it["Id"].clone()).collect()
}

fn is_running(stage: &Stage, socket: &str) -> bool {
    containers(stage, socket).is_some_and(|all| all.iter().all(|it| it["State"] == "running"))
}
