//! `cargo xtask bench`: times this program against the engines' own, by turns on one daemon.

mod measure;
mod portable;
mod workload;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};

use crate::console::{print, say};
use crate::environment::Environment;
use crate::environment::start::Images;
use crate::problem::{Explain, Problem, Result};
use crate::program::{Program, find};
use crate::workspace;
use measure::{Measured, measure, median};
use workload::Workload;

/// What to measure.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// `boxwright build` against the engine's own command: cold, cached, and with one file changed
    Native(Options),
    /// Builds with no engine: against hashing the files, and with a push against Buildah and BuildKit
    Portable(portable::Options),
}

/// How to measure.
#[derive(Clone, Debug, Args)]
pub(crate) struct Options {
    /// How often each is measured
    #[arg(long, default_value_t = 5)]
    rounds: u32,
    /// Files in the context
    #[arg(long, default_value_t = 5000)]
    files: u32,
    /// Size of the context
    #[arg(long, default_value_t = 200)]
    megabytes: u32,
    /// Builders to measure; all, if none is named
    #[arg(value_enum)]
    builders: Vec<Builder>,
}

/// A builder that has a command of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
enum Builder {
    Buildkit,
    Classic,
    Podman,
}

/// Whose command builds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Client {
    Own,
    Boxwright,
}

const PHASES: [&str; 3] = ["cold", "cached", "one file changed"];

type Results = BTreeMap<(Builder, &'static str, Client), Vec<Measured>>;

/// Runs `cargo xtask bench`.
pub(crate) fn run(command: &Command) -> Result<()> {
    let options = match command {
        Command::Native(options) => options,
        Command::Portable(options) => return portable::run(options),
    };
    say("== building the program for release");
    let boxwright = workspace::build("boxwright-cli", "boxwright", &["--release"])?;
    let builders = if options.builders.is_empty() {
        vec![Builder::Buildkit, Builder::Classic, Builder::Podman]
    } else {
        options.builders.clone()
    };
    let setup = |builder: &Builder| match builder {
        Builder::Buildkit | Builder::Classic => "docker".to_owned(),
        Builder::Podman => "podman/root".to_owned(),
    };
    let mut setups: Vec<String> = builders.iter().map(setup).collect();
    setups.push("registry/open".to_owned());
    let environment = Environment::up(&setups, Images::Small)?;
    let measured = measure_all(options, &builders, &boxwright, &environment);
    environment.down()?;
    print(table(&builders, &measured?));
    Ok(())
}

fn measure_all(
    options: &Options,
    builders: &[Builder],
    boxwright: &Path,
    environment: &Environment,
) -> Result<Results> {
    let base = environment.variables.get("BOXWRIGHT_TEST_BASE");
    let base = base.ok_or_else(|| Problem::new("the environment has no base image"))?;
    let folder = tempfile::Builder::new()
        .prefix("boxwright-bench-")
        .tempdir_in("/var/tmp")
        .explain(|| "cannot make a folder in /var/tmp".to_owned())?;
    let context = folder.path().join("context");
    say(format!("== writing a context of {} files, {} MB", options.files, options.megabytes));
    let workload = Workload::generate(&context, base, options.files, options.megabytes)?;
    let bench = Bench { boxwright, environment, workload, folder: folder.path().to_owned() };
    let mut results = Results::new();
    let mut changes = 0;
    for builder in builders {
        bench.own(*builder, &["pull", base])?.output()?;
        for round in 0..options.rounds {
            let mut clients = [Client::Own, Client::Boxwright];
            if round % 2 == 1 {
                clients.reverse();
            }
            for client in clients {
                bench.forget(*builder)?;
                for phase in PHASES {
                    if phase == "one file changed" {
                        changes += 1;
                        bench.workload.change(changes)?;
                    }
                    let measured = bench.build(*builder, client)?;
                    results.entry((*builder, phase, client)).or_default().push(measured);
                }
            }
            say(format!("{builder:?}: round {} of {}", round + 1, options.rounds));
        }
    }
    Ok(results)
}

struct Bench<'a> {
    boxwright: &'a Path,
    environment: &'a Environment,
    workload: Workload,
    folder: PathBuf,
}

impl Bench<'_> {
    fn build(&self, builder: Builder, client: Client) -> Result<Measured> {
        let context = self.workload.folder().display().to_string();
        let image = format!("localhost/bench:{builder:?}-{client:?}").to_lowercase();
        let program = match client {
            Client::Own => self.own(builder, &["build", "-q", "-t", &image, &context])?,
            Client::Boxwright => {
                let choice: &[&str] = match builder {
                    Builder::Buildkit => &["--engine", "docker", "--builder", "buildkit"],
                    Builder::Classic => &["--engine", "docker", "--builder", "classic"],
                    Builder::Podman => &["--engine", "podman"],
                };
                let program = Program::new(self.boxwright)
                    .args(["build", "-q", "-t", &image])
                    .args(choice)
                    .arg(&context);
                self.environment.point(program)
            }
        };
        measure(program, &self.folder.join("log"))
    }

    /// Returns the engine's own command with `arguments`.
    fn own(&self, builder: Builder, arguments: &[&str]) -> Result<Program> {
        let program = match builder {
            Builder::Buildkit | Builder::Classic => {
                // Another `docker` may come first on the path, without a builder.
                let packaged = PathBuf::from("/usr/bin/docker");
                let docker = if packaged.exists() { Some(packaged) } else { find("docker") };
                let docker = docker.ok_or_else(|| Problem::new("`docker` is not installed"))?;
                let buildkit = if builder == Builder::Buildkit { "1" } else { "0" };
                // None of the user's plugins and contexts.
                let settings = self.folder.join("docker-settings");
                Program::new(docker)
                    .variable("DOCKER_BUILDKIT", buildkit)
                    .variable("DOCKER_CONFIG", settings)
            }
            Builder::Podman => Program::new("podman").arg("--remote"),
        };
        Ok(self.environment.point(program.args(arguments)))
    }

    /// Makes the daemon forget all builds, but not the base image.
    fn forget(&self, builder: Builder) -> Result<()> {
        let own = |arguments: &[&str]| self.own(builder, arguments)?.captured();
        let reference = "reference=localhost/bench";
        let listed = own(&["images", "-q", "--filter", reference])?;
        let listed = String::from_utf8_lossy(&listed).into_owned();
        let mut remove = vec!["rmi", "-f"];
        remove.extend(listed.split_whitespace());
        if remove.len() > 2 {
            own(&remove)?;
        }
        own(&["image", "prune", "-f"])?;
        if builder != Builder::Podman {
            own(&["builder", "prune", "-af"])?;
        }
        Ok(())
    }
}

fn table(builders: &[Builder], results: &Results) -> String {
    let mut text =
        "builder    phase              own median [min]   boxwright median [min]   ratio   \
                    own MB   boxwright MB\n"
            .to_owned();
    for builder in builders {
        for phase in PHASES {
            let of = |client| {
                let runs = results.get(&(*builder, phase, client)).cloned().unwrap_or_default();
                let walls: Vec<Duration> = runs.iter().map(|run| run.wall).collect();
                let least = walls.iter().min().copied().unwrap_or_default();
                let memory = runs.iter().map(|run| run.memory).max().unwrap_or_default() / 1024;
                (median(walls).as_secs_f64(), least.as_secs_f64(), memory)
            };
            let (own, boxwright) = (of(Client::Own), of(Client::Boxwright));
            let name = format!("{builder:?}").to_lowercase();
            let _ = writeln!(
                text,
                "{name:10} {phase:18} {:8.2} s [{:5.2}] {:14.2} s [{:5.2}] {:9.2} {:8} {:14}",
                own.0,
                own.1,
                boxwright.0,
                boxwright.1,
                boxwright.0 / own.0.max(f64::EPSILON),
                own.2,
                boxwright.2
            );
        }
    }
    text.trim_end().to_owned()
}
