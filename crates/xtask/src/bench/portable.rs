//! `cargo xtask bench portable`: times builds with no engine against hashing the files, Buildah and BuildKit.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;

use super::measure::{Measured, measure, median};
use super::workload::Workload;
use crate::console::{print, say};
use crate::environment::Environment;
use crate::environment::start::Images;
use crate::problem::{Explain, Problem, Result};
use crate::program::{Program, find};
use crate::workspace;

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
    /// Size of one more file that is built alone, for its peak memory; 0 leaves it out
    #[arg(long, default_value_t = 0)]
    gigabytes: u64,
    /// Leave Docker out
    #[arg(long)]
    no_docker: bool,
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Work {
    /// `tar | sha256sum` over the files
    Hash,
    Cold,
    Unchanged,
    OneFile,
    BuildAndPush,
    Buildah,
    Buildkit,
    Large,
}

impl Work {
    /// The name, and what it is compared with: at most so many times as long.
    fn row(self) -> (&'static str, Option<(Self, f64)>) {
        match self {
            Self::Hash => ("tar | sha256sum", None),
            Self::Cold => ("boxwright build, cold", Some((Self::Hash, 1.5))),
            Self::Unchanged => ("boxwright build, unchanged", None),
            Self::OneFile => ("boxwright build, one file changed", Some((Self::Hash, 1.5))),
            Self::BuildAndPush => ("boxwright build --push, cold", Some((Self::Buildah, 0.5))),
            Self::Buildah => ("buildah bud + push, cold", None),
            Self::Buildkit => ("BuildKit build + push, cold", None),
            Self::Large => ("boxwright build, one large file", None),
        }
    }
}

type Results = BTreeMap<Work, Vec<Measured>>;

/// The Dockerfile of the reference workload.
const DOCKERFILE: &str = "FROM scratch\nCOPY data /data\nCOPY app.txt /app.txt\n";

/// Runs `cargo xtask bench portable`.
pub(super) fn run(options: &Options) -> Result<()> {
    say("== building the program for release");
    let boxwright = workspace::build("boxwright-cli", "boxwright", &["--release"])?;
    let mut setups = vec!["registry/open".to_owned()];
    if !options.no_docker {
        setups.push("docker".to_owned());
    }
    let environment = Environment::up(&setups, Images::Small)?;
    let measured = measure_all(options, &boxwright, &environment);
    environment.down()?;
    print(table(&measured?));
    Ok(())
}

fn measure_all(options: &Options, boxwright: &Path, environment: &Environment) -> Result<Results> {
    let registry = environment.variables.get("BOXWRIGHT_TEST_REGISTRY_OPEN");
    let registry = registry.ok_or_else(|| Problem::new("the environment has no registry"))?;
    let folder = tempfile::Builder::new()
        .prefix("boxwright-bench-")
        .tempdir_in("/var/tmp")
        .explain(|| "cannot make a folder in /var/tmp".to_owned())?;
    let context = folder.path().join("context");
    say(format!("== writing a context of {} files, {} MB", options.files, options.megabytes));
    let workload = Workload::generate(&context, "scratch", options.files, options.megabytes)?;
    write(&context.join("Dockerfile"), DOCKERFILE)?;
    let bench =
        Bench { boxwright, environment, registry, folder: folder.path(), context: &context };
    let buildah = find("buildah");
    if buildah.is_none() {
        say("`buildah` is not installed: it is left out");
    }
    let mut results = Results::new();
    let mut works = vec![Work::Hash, Work::Cold, Work::BuildAndPush];
    works.extend(buildah.map(|_| Work::Buildah));
    if !options.no_docker {
        works.push(Work::Buildkit);
    }
    for round in 0..options.rounds {
        // By turns, and every other round backwards, so that none always comes first.
        if round % 2 == 1 {
            works.reverse();
        }
        for work in &works {
            let mut note = |work, measured| results.entry(work).or_default().push(measured);
            note(*work, bench.work(*work, round)?);
            if *work == Work::Cold {
                note(Work::Unchanged, bench.build(&[])?);
                workload.change(round)?;
                note(Work::OneFile, bench.build(&[])?);
            }
        }
        if round % 2 == 1 {
            works.reverse();
        }
        say(format!("round {} of {}", round + 1, options.rounds));
    }
    if options.gigabytes > 0 {
        let large = folder.path().join("large");
        bench.write_large(&large, options.gigabytes)?;
        bench.forget("store")?;
        let measured = bench.build_in(&large, &[])?;
        results.entry(Work::Large).or_default().push(measured);
    }
    Ok(results)
}

struct Bench<'b> {
    boxwright: &'b Path,
    environment: &'b Environment,
    registry: &'b str,
    folder: &'b Path,
    context: &'b Path,
}

impl Bench<'_> {
    fn work(&self, work: Work, round: u32) -> Result<Measured> {
        match work {
            Work::Hash => {
                let script = "tar -C \"$1\" -cf - data | sha256sum";
                self.measure(Program::new("sh").args(["-c", script, "sh"]).arg(self.context))
            }
            Work::BuildAndPush => {
                self.forget("store")?;
                let name = self.name("boxwright", round);
                self.build(&["--push", "-t", &name])
            }
            Work::Buildah => {
                self.forget("buildah")?;
                let root = self.folder.join("buildah");
                let script = "r=$1; c=$2; n=$3; \
                              buildah --root \"$r/root\" --runroot \"$r/run\" bud -q -t \"$n\" \"$c\" && \
                              buildah --root \"$r/root\" --runroot \"$r/run\" push -q --tls-verify=false \"$n\"";
                let program = Program::new("sh").args(["-c", script, "sh"]).arg(root);
                self.measure(program.arg(self.context).arg(self.name("buildah", round)))
            }
            Work::Buildkit => {
                self.docker(&["builder", "prune", "-af"])?.captured()?;
                let name = self.name("buildkit", round);
                let script = "\"$1\" build -q -t \"$2\" \"$3\" && \"$1\" push \"$2\"";
                let program = Program::new("sh")
                    .args(["-c", script, "sh"])
                    .arg(packaged_docker()?)
                    .arg(&name)
                    .arg(self.context)
                    .variable("DOCKER_BUILDKIT", "1")
                    .variable("DOCKER_CONFIG", self.folder.join("docker-settings"));
                let measured = self.measure(self.environment.point(program))?;
                self.docker(&["rmi", "-f", &name])?.captured()?;
                Ok(measured)
            }
            _ => {
                self.forget("store")?;
                self.build(&[])
            }
        }
    }

    /// Builds with no engine, in a store of its own.
    fn build(&self, arguments: &[&str]) -> Result<Measured> {
        self.build_in(self.context, arguments)
    }

    fn build_in(&self, context: &Path, arguments: &[&str]) -> Result<Measured> {
        let program = Program::new(self.boxwright)
            .args(["build", "-q", "--engine", "embedded"])
            .args(arguments)
            .arg(context)
            .variable("BOXWRIGHT_STORE", self.folder.join("store"));
        self.measure(program)
    }

    fn measure(&self, program: Program) -> Result<Measured> {
        measure(program, &self.folder.join("log"))
    }

    fn name(&self, builder: &str, round: u32) -> String {
        // A repository of its own each time: nothing is there already.
        format!("{}/bench/{builder}-{round}:1", self.registry)
    }

    fn docker(&self, arguments: &[&str]) -> Result<Program> {
        let settings = self.folder.join("docker-settings");
        let program =
            Program::new(packaged_docker()?).args(arguments).variable("DOCKER_CONFIG", settings);
        Ok(self.environment.point(program))
    }

    fn forget(&self, store: &str) -> Result<()> {
        let store = self.folder.join(store);
        if store.exists() {
            fs::remove_dir_all(&store)
                .explain(|| format!("cannot remove `{}`", store.display()))?;
        }
        Ok(())
    }

    fn write_large(&self, folder: &Path, gigabytes: u64) -> Result<()> {
        fs::create_dir_all(folder).explain(|| format!("cannot make `{}`", folder.display()))?;
        write(&folder.join("Dockerfile"), "FROM scratch\nCOPY large /\n")?;
        let path = folder.join("large");
        let make = || fs::File::create(&path)?.set_len(gigabytes * 1_000_000_000);
        make().explain(|| format!("cannot write `{}`", path.display()))
    }
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).explain(|| format!("cannot write `{}`", path.display()))
}

/// Another `docker` may come first on the path, without a builder.
fn packaged_docker() -> Result<PathBuf> {
    let packaged = PathBuf::from("/usr/bin/docker");
    let docker = if packaged.exists() { Some(packaged) } else { find("docker") };
    docker.ok_or_else(|| Problem::new("`docker` is not installed"))
}

fn table(results: &Results) -> String {
    let seconds = |work: Work| {
        let walls: Vec<Duration> =
            results.get(&work).into_iter().flatten().map(|run| run.wall).collect();
        let least = walls.iter().min().copied().unwrap_or_default();
        (median(walls).as_secs_f64(), least.as_secs_f64())
    };
    let mut text = format!(
        "{:36} {:>8} {:>8} {:>7}  {:30} {:>7}\n",
        "work", "median", "least", "MB", "against", "ratio"
    );
    for (work, runs) in results {
        let (name, against) = work.row();
        let (middle, least) = seconds(*work);
        let memory = runs.iter().map(|run| run.memory).max().unwrap_or_default() / 1024;
        let _ = write!(text, "{name:36} {middle:6.2} s {least:6.2} s {memory:7}");
        if let Some((other, limit)) = against.filter(|(other, _)| results.contains_key(other)) {
            let ratio = middle / seconds(other).0.max(f64::EPSILON);
            let _ = write!(text, "  {:30} {ratio:7.2} (at most {limit})", other.row().0);
        }
        text.push('\n');
    }
    text.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_compares_with_what_was_measured() {
        let run = |millis| Measured { wall: Duration::from_millis(millis), memory: 20 << 10 };
        let results = Results::from([
            (Work::Hash, vec![run(400), run(600), run(500)]),
            (Work::Cold, vec![run(600)]),
            (Work::BuildAndPush, vec![run(900)]),
        ]);
        let text = table(&results);
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[1].starts_with("tar | sha256sum") && lines[1].contains("0.50 s   0.40 s"));
        assert!(lines[2].ends_with("1.20 (at most 1.5)"), "{text}");
        assert!(lines[3].trim_end().ends_with("20"), "{text}");
    }
}
