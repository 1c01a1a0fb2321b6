//! Images that LXD's own program launches: what an instance of one does, and what is left of one that is not published.

use std::fs;

use serde_json::Value;

use super::stage::{Stage, until};
use super::{Fault, expect};
use crate::problem::{Explain as _, Problem, Result};
use crate::program::Program;

const SETUPS: &[&str] = &["lxd", "registry/open"];

pub(super) const FAULTS: &[Fault] = &[
    Fault { name: "lxd/lxc-launches-what-was-built", setups: SETUPS, disk: None, check: launch },
    Fault { name: "lxd/a-program-that-ends", setups: SETUPS, disk: None, check: ends },
    Fault { name: "lxd/an-alias-moves", setups: SETUPS, disk: None, check: alias_moves },
    Fault {
        name: "lxd/a-cancelled-publish-leaves-nothing",
        setups: SETUPS,
        disk: None,
        check: cancelled,
    },
];

/// A user, a variable, a folder, arguments and a stop signal, all of which the program tells.
const SERVICE: &str = r#"
RUN echo 'app:x:1234:100:App:/home/app:/bin/sh' >> /etc/passwd
ENV GREETING=hello
USER app
WORKDIR /srv/app
STOPSIGNAL SIGUSR1
ENTRYPOINT ["sh","-c","echo said $GREETING $(id -u) $PWD $0 $1 $HOME; trap 'echo stopping; exit 0' USR1; while :; do sleep 1; done"]
CMD ["one","two"]
"#;

impl Stage {
    /// Runs LXD's own program.
    pub(super) fn client(&self, arguments: &[&str]) -> Result<String> {
        let program = Program::new("lxc").args(arguments).variable("HOME", self.path(""));
        let program = program.variable("LXD_DIR", self.variable("LXD_DIR")?);
        let ended = self.start(program)?.end()?;
        expect(ended.code == Some(0), || {
            format!("`lxc {}` ended with {ended:?}", arguments.join(" "))
        })?;
        Ok(ended.text)
    }

    fn build_for_lxd(&self, aliases: &[&str]) -> Result<String> {
        let mut arguments = vec!["build", "--progress", "plain", "--engine", "lxd", "app"];
        let outputs: Vec<String> =
            aliases.iter().map(|alias| format!("type=lxd,alias={alias}")).collect();
        for output in &outputs {
            arguments.extend(["--output", output]);
        }
        self.succeed(&arguments)
    }

    /// Waits until an instance has written `text`.
    pub(super) fn says(&self, instance: &str, text: &str) -> Result<()> {
        expect(until(|| self.console(instance).is_ok_and(|log| log.contains(text))), || {
            format!("`{instance}` does not say `{text}`: {:?}", self.console(instance))
        })
    }

    fn console(&self, instance: &str) -> Result<String> {
        self.client(&["console", instance, "--show-log"])
    }

    /// Returns the aliases of the server with the images that they point at, sorted.
    fn aliases(&self) -> Result<Vec<(String, String)>> {
        let all = self.lxc("GET", "/1.0/images/aliases?recursion=1", "")?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let all = all["metadata"].as_array().into_iter().flatten();
        let mut all: Vec<_> = all.map(|it| (text(&it["name"]), text(&it["target"]))).collect();
        all.sort();
        Ok(all)
    }

    /// Returns what the server keeps of images: files of those that are there, and of those that are on their way.
    fn image_files(&self) -> Result<Vec<String>> {
        let folder = std::path::Path::new(self.variable("LXD_DIR")?).join("images");
        let read =
            fs::read_dir(&folder).explain(|| format!("cannot list `{}`", folder.display()))?;
        let mut names: Vec<_> =
            read.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        Ok(names)
    }
}

fn launch(stage: &Stage) -> Result<()> {
    stage.context(SERVICE)?;
    let said = stage.build_for_lxd(&["service/1"])?;
    expect(said.contains("`lxc launch service/1` starts it"), || said.clone())?;
    stage.client(&["launch", "service/1", "one", "-c", "environment.MORE=1"])?;
    let wanted = "said hello 1234 /srv/app one two /home/app";
    stage.says("one", wanted)?;
    // It has begun, so it has its address, and names are answered.
    let state = stage.lxc("GET", "/1.0/instances/one/state", "")?;
    let addresses = state["metadata"]["network"]["eth0"]["addresses"].as_array().cloned();
    let global = |it: &Value| it["family"] == "inet" && it["scope"] == "global";
    let addresses = addresses.unwrap_or_default();
    let address = addresses.iter().find(|it| global(it)).and_then(|it| it["address"].as_str());
    let address =
        address.ok_or_else(|| Problem::new("there is no address").cause(state.clone()))?;
    let found = stage.client(&["exec", "one", "--", "nslookup", "one.lxd"])?;
    expect(found.contains(address), || format!("its own name is not {address}:\n{found}"))?;
    let all = "cat /proc/[0-9]*/environ | tr '\\0' '\\n'";
    let variables = stage.client(&["exec", "one", "--", "sh", "-c", all])?;
    for line in ["GREETING=hello", "MORE=1", "HOME=/home/app", "HOSTNAME=one"] {
        expect(variables.lines().any(|found| found == line), || variables.clone())?;
    }
    // By the image's own signal, and started again with an address again.
    stage.client(&["stop", "one", "--timeout", "9"])?;
    let log = stage.console("one")?;
    expect(log.contains("stopping") && !log.contains("error:"), || log)?;
    stage.client(&["start", "one"])?;
    stage.says("one", wanted)?;
    stage.client(&["delete", "--force", "one"])?;
    stage.nothing_temporary()
}

fn ends(stage: &Stage) -> Result<()> {
    stage.context("ENTRYPOINT [\"sh\",\"-c\",\"echo ending; exit 3\"]\n")?;
    stage.build_for_lxd(&["ends"])?;
    stage.client(&["launch", "ends", "it"])?;
    let stopped = || {
        let state = stage.lxc("GET", "/1.0/instances/it", "");
        state.is_ok_and(|it| it["metadata"]["status"] == "Stopped")
    };
    expect(until(stopped), || "the instance does not end with its program".to_owned())?;
    let log = stage.console("it")?;
    let told = log.contains("ending") && log.contains("ended with exit code 3");
    expect(told, || format!("the console does not say how it ended:\n{log}"))?;
    // What starts nothing is refused, and so is an engine without instances, before anything is built.
    stage.write("app/Dockerfile", "FROM scratch\nLABEL a=1\n")?;
    let build = ["build", "app", "--output", "type=lxd,alias=none", "--engine"];
    let refused = stage.run(&[&build[..], &["lxd"]].concat())?;
    expect(refused.code == Some(2) && refused.text.contains("ENTRYPOINT"), || {
        format!("{refused:?}")
    })?;
    let refused = stage.run(&[&build[..], &["embedded"]].concat())?;
    expect(refused.code == Some(4) && refused.text.contains("--engine lxd"), || {
        format!("{refused:?}")
    })?;
    expect(stage.aliases()?.len() == 1, || format!("{:?}", stage.aliases()))
}

fn alias_moves(stage: &Stage) -> Result<()> {
    stage.context("CMD [\"true\"]\n")?;
    stage.build_for_lxd(&["a", "b"])?;
    let first = stage.aliases()?;
    expect(first.len() == 2 && first[0].1 == first[1].1, || format!("{first:?}"))?;
    let files = stage.image_files()?;
    // The same is the same image.
    stage.build_for_lxd(&["a", "b"])?;
    expect(stage.aliases()? == first && stage.image_files()? == files, || {
        format!("{first:?} became {:?}, {files:?} {:?}", stage.aliases(), stage.image_files())
    })?;
    stage.context("CMD [\"false\"]\n")?;
    stage.build_for_lxd(&["b"])?;
    let second = stage.aliases()?;
    expect(second[0] == first[0] && second[1].1 != first[1].1, || format!("{second:?}"))?;
    // The setting makes aliases of names.
    stage.write(".config/boxwright/config.toml", "[engine.lxd]\npublish = true\n")?;
    stage.succeed(&["build", "--engine", "lxd", "-t", "localhost/acme/api:1.4", "app"])?;
    let third = stage.aliases()?;
    expect(third.contains(&("api/1.4".to_owned(), second[1].1.clone())), || format!("{third:?}"))
}

fn cancelled(stage: &Stage) -> Result<()> {
    stage.context("CMD [\"true\"]\n")?;
    stage.build_for_lxd(&["a"])?;
    let (aliases, files) = (stage.aliases()?, stage.image_files()?);
    stage.context("COPY large /large\nCMD [\"true\"]\n")?;
    stage.write("app/large", vec![7; 512 << 20])?;
    let build = ["build", "--progress", "plain", "--engine", "lxd", "app"];
    let outputs = ["--output", "type=lxd,alias=a", "--output", "type=lxd,alias=b"];
    let mut build = stage.start(stage.boxwright(&[&build[..], &outputs].concat()))?;
    build.wait_for("sending the image to LXD")?;
    build.interrupt()?;
    let same = || {
        let now = stage.aliases().ok().zip(stage.image_files().ok());
        now.is_some_and(|now| now == (aliases.clone(), files.clone()))
    };
    expect(until(same), || {
        format!("{aliases:?} became {:?}, {files:?} {:?}", stage.aliases(), stage.image_files())
    })?;
    stage.nothing_temporary()?;
    // It can be published after that.
    stage.build_for_lxd(&["a", "b"])?;
    let after = stage.aliases()?;
    expect(after.len() == 2 && after[0].1 != aliases[0].1, || format!("{after:?}"))
}
