//! The daemon ends in the middle of a build or a push.

use super::Fault;
use super::stage::Stage;
use crate::problem::Result;

pub(super) const FAULTS: &[Fault] = &[
    Fault {
        name: "docker/buildkit/the-daemon-dies-in-a-build",
        setups: &["docker", "registry/open"],
        disk: None,
        check: |stage| build(stage, "dockerd", &["--engine", "docker", "--builder", "buildkit"]),
    },
    Fault {
        name: "docker/classic/the-daemon-dies-in-a-build",
        setups: &["docker", "registry/open"],
        disk: None,
        check: |stage| build(stage, "dockerd", &["--engine", "docker", "--builder", "classic"]),
    },
    Fault {
        name: "podman/the-service-dies-in-a-build",
        setups: &["podman/root", "registry/open"],
        disk: None,
        check: |stage| build(stage, "podman", &["--engine", "podman"]),
    },
    Fault {
        name: "docker/the-daemon-dies-in-a-push",
        setups: &["docker", "registry/open"],
        disk: None,
        check: |stage| push(stage, "dockerd", "docker"),
    },
    Fault {
        name: "podman/the-service-dies-in-a-push",
        setups: &["podman/root", "registry/open"],
        disk: None,
        check: |stage| push(stage, "podman", "podman"),
    },
];

fn build(stage: &Stage, daemon: &str, choice: &[&str]) -> Result<()> {
    stage.context("RUN echo be\"\"gun && sleep 600\n")?;
    let arguments = [&["build", "--progress", "plain", "-t", "fault:1", "app"], choice].concat();
    let mut build = stage.start(stage.boxwright(&arguments))?;
    build.wait_for("begun")?;
    stage.kill(daemon)?;
    build.end()?.failed_with(&["broke"])?;
    stage.nothing_temporary()
}

fn push(stage: &Stage, daemon: &str, engine: &str) -> Result<()> {
    let open = stage.variable("BOXWRIGHT_TEST_REGISTRY_OPEN")?;
    let image = format!("{open}/fault/push:1");
    // Compressing this much takes the daemon some seconds.
    stage.context("RUN dd if=/dev/urandom of=/file bs=1M count=150\n")?;
    stage.succeed(&["build", "-q", "--engine", engine, "-t", &image, "app"])?;
    let arguments = ["push", "--progress", "plain", "--engine", engine, &image];
    let mut push = stage.start(stage.boxwright(&arguments))?;
    push.wait_for("ush")?;
    stage.kill(daemon)?;
    push.end()?.failed_with(&["broke"])?;
    stage.nothing_temporary()
}
