//! A worker instance goes away in the middle of a build; a pool is full; a project does not exist.

use super::stage::Stage;
use super::{Fault, expect};
use crate::problem::{Problem, Result};

const SETUPS: &[&str] = &["lxd", "registry/open"];

pub(super) const FAULTS: &[Fault] = &[
    Fault {
        name: "lxd/the-worker-is-stopped",
        setups: SETUPS,
        disk: None,
        check: |stage| worker_ends(stage, "stop"),
    },
    Fault {
        name: "lxd/the-worker-is-deleted",
        setups: SETUPS,
        disk: None,
        check: |stage| worker_ends(stage, "delete"),
    },
    Fault { name: "lxd/the-pool-is-full", setups: SETUPS, disk: Some(48), check: full },
    Fault { name: "lxd/no-such-project", setups: SETUPS, disk: None, check: project },
    Fault { name: "lxd/prune-takes-the-workers", setups: SETUPS, disk: None, check: prune },
];

const BUILD: &[&str] = &["build", "--progress", "plain", "--engine", "lxd", "-t", "fault:1", "app"];

fn worker(stage: &Stage) -> Result<String> {
    let instances = stage.lxc("GET", "/1.0/instances?recursion=1", "")?;
    let names = instances["metadata"].as_array().into_iter().flatten();
    let mut names = names.filter_map(|instance| instance["name"].as_str());
    let found = names.find(|name| name.starts_with("boxwright-worker-")).map(str::to_owned);
    found.ok_or_else(|| Problem::new("there is no worker instance").cause(instances))
}

fn worker_ends(stage: &Stage, how: &str) -> Result<()> {
    stage.context("RUN echo be\"\"gun && sleep 600\n")?;
    let mut build = stage.start(stage.boxwright(BUILD))?;
    build.wait_for("begun")?;
    let path = format!("/1.0/instances/{}", worker(stage)?);
    stage.lxc("PUT", &format!("{path}/state"), r#"{"action":"stop","force":true,"timeout":10}"#)?;
    if how == "delete" {
        stage.lxc("DELETE", &path, "")?;
    }
    build.end()?.failed_with(&["worker"])?;
    stage.nothing_temporary()?;
    // The next build has a worker again.
    stage.context("RUN echo done > /file\n")?;
    stage.succeed(BUILD).map(drop)
}

fn full(stage: &Stage) -> Result<()> {
    stage.context("COPY large /large\nRUN true\n")?;
    stage.write("app/large", vec![7; 64 << 20])?;
    stage.run(BUILD)?.failed_with(&["o space left on device"])?;
    let images = stage.succeed(&["images", "--engine", "lxd"])?;
    expect(!images.contains("fault"), || format!("the image has its name:\n{images}"))?;
    stage.nothing_temporary()?;
    stage.context("RUN echo small > /file\n")?;
    stage.succeed(BUILD).map(drop)
}

fn project(stage: &Stage) -> Result<()> {
    stage.context("RUN true\n")?;
    stage.write(".config/boxwright/config.toml", "[engine.lxd]\nproject = \"no-such\"\n")?;
    let ended = stage.run(BUILD)?;
    let good =
        ended.code != Some(0) && ended.text.contains("no-such") && ended.text.contains("help: ");
    expect(good, || format!("{ended:?}"))
}

fn prune(stage: &Stage) -> Result<()> {
    stage.context("RUN echo be\"\"gun && sleep 600\n")?;
    let mut build = stage.start(stage.boxwright(BUILD))?;
    build.wait_for("begun")?;
    let name = worker(stage)?;
    let pruned = stage.succeed(&["prune"])?;
    expect(pruned.contains(&format!("left the instance `{name}`")), || pruned.clone())?;
    build.interrupt()?;
    let pruned = stage.succeed(&["prune"])?;
    expect(pruned.contains(&format!("removed the instance `{name}`")), || pruned.clone())?;
    for what in ["instances", "images", "storage-pools/default/volumes/custom"] {
        let left = stage.lxc("GET", &format!("/1.0/{what}"), "")?;
        expect(left["metadata"].as_array().is_some_and(Vec::is_empty), || {
            format!("`prune` left {what}: {left}")
        })?;
    }
    stage.context("RUN echo done > /file\n")?;
    stage.succeed(BUILD).map(drop)
}
