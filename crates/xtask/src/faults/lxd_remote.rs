//! A server that is reached with TLS and a client certificate, and the settings that say where on it things are.

use std::net::TcpListener;

use serde_json::Value;

use super::stage::Stage;
use super::{Fault, expect};
use crate::problem::{Explain as _, Problem, Result};

const SETUPS: &[&str] = &["lxd", "registry/open"];

pub(super) const FAULTS: &[Fault] = &[
    Fault { name: "lxd/a-remote-with-a-certificate", setups: SETUPS, disk: None, check: remote },
    Fault { name: "lxd/the-settings-are-kept-to", setups: SETUPS, disk: None, check: settings },
];

const BUILD: &[&str] = &["build", "--progress", "plain", "--engine", "lxd", "app"];

impl Stage {
    /// Has the server listen with TLS, as a cluster of one, and has `lxc` of this home trust it and be trusted.
    fn add_remote(&self) -> Result<()> {
        let free = TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr());
        let address = free.explain(|| "there is no free port".to_owned())?.to_string();
        self.client(&["config", "set", "core.https_address", &address])?;
        // Its certificate is another one from then on.
        self.client(&["cluster", "enable", "one"])?;
        self.client(&["config", "set", "core.trust_password", "canary"])?;
        let address = format!("https://{address}");
        let add = ["remote", "add", "build", &address, "--accept-certificate", "--password"];
        self.client(&[&add[..], &["canary"]].concat()).map(drop)
    }

    fn set(&self, lines: &str) -> Result<()> {
        let text = format!("[engine.lxd]\nremote = \"build\"\n{lines}");
        self.write(".config/boxwright/config.toml", text).map(drop)
    }
}

fn remote(stage: &Stage) -> Result<()> {
    stage.add_remote()?;
    stage.set("")?;
    stage.context(
        "RUN echo run > /file\nCMD [\"sh\",\"-c\",\"echo from $(cat /file); sleep 600\"]\n",
    )?;
    let build = [BUILD, &["--output", "type=lxd,alias=far"]].concat();
    let said = stage.succeed(&build)?;
    expect(said.contains("`lxc launch build:far build:` starts it"), || said)?;
    let shown = stage.succeed(&["engines"])?;
    expect(shown.contains("(remote `build` of `lxc`)"), || shown)?;
    stage.client(&["launch", "build:far", "build:one"])?;
    stage.says("build:one", "from run")?;
    stage.client(&["delete", "--force", "build:one"])?;
    // A server that is another one now is not spoken to.
    let certificate = ".config/lxc/servercerts/build.crt";
    let other = ".config/lxc/client.crt";
    let other = std::fs::read(stage.path(other)).explain(|| format!("cannot read `{other}`"))?;
    stage.write(certificate, other)?;
    let ended = stage.run(&build)?;
    let good = ended.code == Some(3) && ended.text.contains("\nhelp: ");
    expect(good && ended.text.contains("certificate"), || format!("{ended:?}"))
}

fn settings(stage: &Stage) -> Result<()> {
    stage.add_remote()?;
    stage.client(&["project", "create", "ci"])?;
    stage.client(&["storage", "create", "other", "dir"])?;
    stage.client(&["profile", "create", "small", "--project", "ci"])?;
    stage.client(&["profile", "set", "small", "limits.processes", "500", "--project", "ci"])?;
    stage.set(
        "project = \"ci\"\npool = \"other\"\nprofile = \"small\"\ntarget = \"one\"\n\
         limits-cpu = \"1\"\nlimits-memory = \"256MiB\"\n",
    )?;
    stage.context("RUN true\nCMD [\"true\"]\n")?;
    stage.succeed(&[BUILD, &["--output", "type=lxd,alias=placed"]].concat())?;
    let workers = stage.lxc("GET", "/1.0/instances?recursion=1&project=ci", "")?;
    let worker = &workers["metadata"][0];
    let is = |pointer: &str, wanted: &str| {
        let found = worker.pointer(pointer).and_then(Value::as_str);
        expect(found == Some(wanted), || format!("{pointer} is not `{wanted}`: {workers}"))
    };
    is("/expanded_devices/root/pool", "other")?;
    is("/expanded_devices/store/pool", "other")?;
    is("/expanded_config/limits.memory", "256MiB")?;
    is("/expanded_config/limits.cpu", "1")?;
    is("/expanded_config/limits.processes", "500")?;
    is("/location", "one")?;
    let image = stage.lxc("GET", "/1.0/images/aliases/placed?project=ci", "");
    image.map_err(|problem| Problem::new("the project has no image").cause(problem))?;
    for what in ["instances", "images"] {
        let left = stage.lxc("GET", &format!("/1.0/{what}"), "")?;
        expect(left["metadata"].as_array().is_some_and(Vec::is_empty), || {
            format!("the default project has {what}: {left}")
        })?;
    }
    Ok(())
}
