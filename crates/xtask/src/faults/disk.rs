//! The disk of the daemon is full.

use super::stage::{Stage, until};
use super::{Fault, expect};
use crate::problem::Result;

/// How much space a daemon has, in MB.
const DISK: Option<u32> = Some(48);

/// The size of a file that does not fit, in bytes.
const TOO_LARGE: usize = 64 << 20;

pub(super) const FAULTS: &[Fault] = &[
    Fault {
        name: "docker/buildkit/the-disk-is-full",
        setups: &["docker", "registry/open"],
        disk: DISK,
        check: |stage| full(stage, "docker", &["--builder", "buildkit"], "DOCKER_HOST"),
    },
    Fault {
        name: "docker/classic/the-disk-is-full",
        setups: &["docker", "registry/open"],
        disk: DISK,
        check: |stage| full(stage, "docker", &["--builder", "classic"], "DOCKER_HOST"),
    },
    Fault {
        name: "podman/the-disk-is-full",
        setups: &["podman/root", "registry/open"],
        disk: DISK,
        check: |stage| full(stage, "podman", &[], "CONTAINER_HOST"),
    },
];

fn full(stage: &Stage, engine: &str, choice: &[&str], socket: &str) -> Result<()> {
    stage.context("COPY large /large\n")?;
    stage.write("app/large", vec![7; TOO_LARGE])?;
    let arguments =
        [&["build", "--progress", "plain", "--engine", engine, "-t", "fault:1", "app"], choice]
            .concat();
    stage.run(&arguments)?.failed_with(&["no space left on device"])?;
    let images = stage.succeed(&["images", "--engine", engine])?;
    expect(!images.contains("fault"), || format!("the image has its name:\n{images}"))?;
    let containers = stage.ask(socket, "/v1.40/containers/json?all=true")?;
    expect(containers.as_array().is_some_and(Vec::is_empty), || {
        format!("containers were left: {containers}")
    })?;
    stage.nothing_temporary()?;
    // What fits is built as before, once the daemon has cleared up: BuildKit does so behind the answer.
    stage.context("RUN echo small > /file\n")?;
    stage.write("app/large", "")?;
    let small = ["build", "-q", "--engine", engine, "-t", "fault:1", "app"];
    let is_built = until(|| stage.run(&small).is_ok_and(|ended| ended.code == Some(0)));
    if is_built { Ok(()) } else { stage.succeed(&small).map(drop) }
}
