//! containerd ends, and comes back or not, in the middle of a build.

use super::stage::Stage;
use super::{Fault, expect};
use crate::problem::Result;
use crate::program::Program;

const SETUPS: &[&str] = &["containerd", "registry/open"];

pub(super) const FAULTS: &[Fault] = &[
    Fault { name: "containerd/it-dies-in-a-build", setups: SETUPS, disk: None, check: dies },
    Fault {
        name: "containerd/it-starts-again-in-a-build",
        setups: SETUPS,
        disk: None,
        check: starts_again,
    },
    Fault { name: "containerd/no-such-namespace", setups: SETUPS, disk: None, check: namespaces },
    Fault { name: "containerd/prune-takes-the-workers", setups: SETUPS, disk: None, check: prune },
    Fault {
        name: "containerd/ctr-starts-what-was-built",
        setups: SETUPS,
        disk: None,
        check: ctr_run,
    },
];

const BUILD: &[&str] =
    &["build", "--progress", "plain", "--engine", "containerd", "-t", "fault:1", "app"];

fn dies(stage: &Stage) -> Result<()> {
    // Tasks live on without it; what is missed is whom to give the image to.
    stage.context("RUN echo be\"\"gun && sleep 3 && echo done > /file\n")?;
    let mut build = stage.start(stage.boxwright(BUILD))?;
    build.wait_for("begun")?;
    stage.kill("containerd")?;
    build.end()?.failed_with(&["containerd went away"])?;
    stage.nothing_temporary()
}

/// Tasks outlive containerd: a build that goes on while it starts again succeeds, or fails and leaves nothing.
fn starts_again(stage: &Stage) -> Result<()> {
    stage.context("RUN echo be\"\"gun && sleep 3 && echo done > /file\n")?;
    let mut build = stage.start(stage.boxwright(BUILD))?;
    build.wait_for("begun")?;
    let again = stage.restart("containerd")?;
    let outcome = (|| {
        let ended = build.end()?;
        expect(ended.code == Some(0) || ended.text.contains("\nhelp: "), || format!("{ended:?}"))?;
        stage.nothing_temporary()?;
        stage.succeed(&["build", "-q", "--engine", "containerd", "-t", "fault:1", "app"])?;
        let said = stage.succeed(&["run", "--engine", "containerd", "fault:1", "cat", "/file"])?;
        expect(said.contains("done"), || format!("the image is not as built: {said}"))?;
        let left = stage.ctr(&["tasks", "list", "--quiet"])?
            + &stage.ctr(&["leases", "list", "--quiet"])?;
        expect(left.trim().is_empty(), || format!("something was left: {left}"))
    })();
    again.kill()?;
    outcome
}

/// A namespace that is not there is refused with the command that makes it, and used once it is.
fn namespaces(stage: &Stage) -> Result<()> {
    stage.context("RUN echo done > /file\n")?;
    let run = |namespace: &str, arguments: &[&str]| {
        stage.start(stage.boxwright(arguments).variable("CONTAINERD_NAMESPACE", namespace))?.end()
    };
    let refused = run("never-seen", BUILD)?;
    let remedy = "`ctr namespaces create never-seen`";
    expect(refused.code == Some(3) && refused.text.contains(remedy), || format!("{refused:?}"))?;
    stage.ctr(&["namespaces", "create", "never-seen"])?;
    let built = run("never-seen", BUILD)?;
    expect(built.code == Some(0), || format!("{built:?}"))?;
    let elsewhere = run("default", &["images", "--engine", "containerd"])?;
    expect(!elsewhere.text.contains("fault"), || format!("{elsewhere:?}"))?;
    let refused = run("no/such", &["images", "--engine", "containerd"])?;
    expect(refused.code != Some(0) && refused.text.contains("no/such"), || format!("{refused:?}"))
}

fn prune(stage: &Stage) -> Result<()> {
    stage.context("RUN echo be\"\"gun && sleep 600\n")?;
    let mut build = stage.start(stage.boxwright(BUILD))?;
    build.wait_for("begun")?;
    let pruned = stage.succeed(&["prune"])?;
    expect(pruned.contains("left the snapshot `boxwright-worker-store`"), || {
        format!("`prune` does not leave what a build uses:\n{pruned}")
    })?;
    build.interrupt()?;
    let pruned = stage.succeed(&["prune"])?;
    expect(pruned.contains("removed the snapshot `boxwright-worker-store`"), || pruned.clone())?;
    let left = stage.ctr(&["snapshots", "list"])?;
    expect(!left.contains("boxwright"), || format!("`prune` left snapshots:\n{left}"))?;
    stage.context("RUN echo done > /file\n")?;
    stage.succeed(BUILD).map(drop)
}

/// What was built is unpacked and ready for containerd's own client, with its entry point, environment and user.
fn ctr_run(stage: &Stage) -> Result<()> {
    stage.context("ENV GREETING=hello\nUSER 1000:1000\nENTRYPOINT [\"sh\", \"-c\", \"echo $GREETING from $(id -u)\"]\n")?;
    stage.succeed(BUILD)?;
    // It mounts the image itself, where containerd sees its mounts.
    let pid = stage.daemon("containerd")?.pid.to_string();
    let address = stage.variable("CONTAINERD_ADDRESS")?;
    let run = Program::new("nsenter").args([
        "--mount",
        "--target",
        &pid,
        "--",
        "ctr",
        "--address",
        address,
    ]);
    let said = run.args(["run", "--rm", "docker.io/library/fault:1", "started"]).text()?;
    expect(said == "hello from 1000", || format!("`ctr run` said: {said}"))
}
