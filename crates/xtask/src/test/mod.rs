//! `cargo xtask test`: brings everything up, runs all tests, takes everything down.

mod clients;
mod corpora;
mod ordinary_user;
mod python;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::Value;

use crate::console::{print, say};
use crate::environment::Environment;
use crate::environment::clear;
use crate::environment::start::Images;
use crate::environment::user::ORDINARY_USER;
use crate::faults;
use crate::packages::{self, Need};
use crate::problem::{Explain, Problem, Result};
use crate::program::Program;
use crate::workspace;

/// What to run.
#[derive(Clone, Debug, Args)]
pub(crate) struct Options {
    /// Run what takes too long for every run, too
    #[arg(long)]
    full: bool,
    /// Run only what needs no engine: unit tests and those of the command line
    #[arg(long, conflicts_with = "full")]
    without_engines: bool,
    /// Run only this part of the tests; may be given several times
    #[arg(long, value_name = "PART", value_enum, conflicts_with = "without_engines")]
    only: Vec<Part>,
}

impl Options {
    fn wants(&self, part: Part) -> bool {
        self.only.is_empty() || self.only.contains(&part)
    }
}

/// A part of the tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// Unit tests and those of the command line
    Unit,
    /// The wheel with the real SDKs of Flyte
    Python,
    /// The conformance suite, also as an ordinary user
    Conformance,
    /// Real engines that are broken on purpose
    Faults,
    /// Other clients that read what was pushed
    Clients,
    /// The cases of other builders
    Corpora,
}

/// How many tests passed and failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Count {
    passed: u64,
    failed: u64,
}

/// One phase of the run, for the summary.
#[derive(Debug)]
struct Phase {
    name: &'static str,
    time: Duration,
    succeeded: bool,
    count: Option<Count>,
}

/// Runs `cargo xtask test`.
pub(crate) fn run(options: &Options) -> Result<()> {
    let mut phases = Vec::new();
    let environment = if options.without_engines {
        None
    } else {
        let start = Instant::now();
        // Only root can make the image of Debian, which the workflows of Flyte start from.
        let is_root = rustix::process::getuid().is_root();
        let images = if options.full || is_root { Images::All } else { Images::Small };
        let environment = Environment::up(&[], images)?;
        phases.push(Phase { name: "set-up", time: start.elapsed(), succeeded: true, count: None });
        Some(environment)
    };
    let tested = test(options, environment.as_ref(), &mut phases);
    if let Some(environment) = environment {
        let start = Instant::now();
        environment.down()?;
        phases.push(Phase {
            name: "clean-up",
            time: start.elapsed(),
            succeeded: true,
            count: None,
        });
    }
    tested?;
    summarize(&phases)
}

fn test(
    options: &Options,
    environment: Option<&Environment>,
    phases: &mut Vec<Phase>,
) -> Result<()> {
    if options.wants(Part::Unit) {
        if environment.is_some() && rustix::process::getuid().is_root() {
            // A guide names it; without it the tests take a program with the same protocol.
            let programs = ["docker-credential-ecr-login".to_owned()];
            let packages = ["amazon-ecr-credential-helper".to_owned()];
            packages::ensure(&[Need { programs: &programs, packages: &packages }])?;
        }
        let arguments = ["test", "--workspace", "--locked"];
        let build = workspace::cargo().args(arguments).args(["--no-run", "--quiet"]);
        phases.push(plain("build", build)?);
        let mut tests = workspace::cargo().args(arguments).arg("--no-fail-fast");
        if options.full {
            tests = tests.variable("BOXWRIGHT_TEST_FULL", "1");
        }
        if let Some(environment) = environment {
            tests = environment.point(tests);
        }
        phases.push(count_lines("unit and command-line tests", tests)?);
    }
    if options.wants(Part::Python) {
        phases.push(python::run(environment)?);
    }
    let Some(environment) = environment else { return Ok(()) };
    if options.wants(Part::Conformance) {
        let program = workspace::build("boxwright-conformance", "boxwright-conformance", &[])?;
        phases.push(conformance(&program, environment)?);
        // Where this user is one already, the first run was it.
        if let Some(user) = environment.variables.get(ORDINARY_USER) {
            let report = workspace::target().join("conformance/report.json");
            phases.push(ordinary_user::conformance(&program, user, &report, environment)?);
        }
    }
    // Only root can bring the engines up that are broken here.
    if options.wants(Part::Faults) && rustix::process::getuid().is_root() {
        phases.push(count_lines("faults", faults::program()?)?);
    }
    if options.wants(Part::Clients) {
        phases.push(clients::run(environment)?);
    }
    if options.wants(Part::Corpora) {
        phases.extend(corpora::run(environment, options.full)?);
    }
    Ok(())
}

fn plain(name: &'static str, program: Program) -> Result<Phase> {
    say(format!("== {name}: {}", program.line()));
    let start = Instant::now();
    let succeeded = program.run()?;
    Ok(Phase { name, time: start.elapsed(), succeeded, count: None })
}

/// Runs cargo's tests and adds up what each of them says at its end.
fn count_lines(name: &'static str, program: Program) -> Result<Phase> {
    say(format!("== {name}: {}", program.line()));
    let start = Instant::now();
    let mut child = program.start_with_output()?;
    let mut count = Count::default();
    let output = child.stdout.take().map(BufReader::new);
    for line in output.into_iter().flat_map(BufRead::lines).map_while(std::io::Result::ok) {
        if let Some(result) = parse_result(&line) {
            count.passed += result.passed;
            count.failed += result.failed;
        }
        print(line);
    }
    let status = child.wait().explain(|| format!("cannot wait for {name}"))?;
    let succeeded = status.success();
    Ok(Phase { name, time: start.elapsed(), succeeded, count: Some(count) })
}

/// Reads a line like `test result: ok. 3 passed; 1 failed; 0 ignored; …`.
fn parse_result(line: &str) -> Option<Count> {
    let (_, rest) = line.strip_prefix("test result: ")?.split_once(". ")?;
    let number = |what: &str| {
        rest.split("; ").find_map(|part| part.strip_suffix(what)?.trim().parse::<u64>().ok())
    };
    Some(Count { passed: number("passed")?, failed: number("failed")? })
}

fn conformance(program: &Path, environment: &Environment) -> Result<Phase> {
    let name = "conformance";
    let reports = workspace::target().join("conformance");
    // A report of an earlier run must not stand for this one.
    clear::remove(&reports).explain(|| format!("cannot remove `{}`", reports.display()))?;
    let mut run = Program::new(program).in_folder(&workspace::root());
    // Docker and Podman build in more than one way.
    let ways = |engine: &'static str| match engine {
        "docker" => &["docker/buildkit", "docker/classic", "docker/portable"][..],
        "podman" => &["podman/buildah", "podman/portable"],
        _ => &[],
    };
    let engines = engines(environment);
    let ways: Vec<&str> = engines.iter().flat_map(|engine| ways(engine)).copied().collect();
    let required = [engines, ways].concat();
    if let Some(rootless) = environment.variables.get("BOXWRIGHT_TEST_PODMAN_ROOTLESS") {
        run = run.args(["--instance", &format!("podman={rootless}")]);
    }
    run = run.args(["--require", &required.join(",")]);
    run = run.arg("--report-dir").arg(&reports);
    let mut phase = plain(name, environment.point(run))?;
    phase.count = read_report(&reports.join("report.json"));
    Ok(phase)
}

/// The engines that an environment has.
fn engines(environment: &Environment) -> Vec<&'static str> {
    let by_variable = [
        ("containerd", "CONTAINERD_ADDRESS"),
        ("docker", "DOCKER_HOST"),
        ("lxd", "LXD_DIR"),
        ("podman", "CONTAINER_HOST"),
    ];
    let up = by_variable.iter().filter(|(_, it)| environment.variables.contains_key(*it));
    // The embedded one needs nothing, so it is always there.
    ["embedded"].into_iter().chain(up.map(|(engine, _)| *engine)).collect()
}

/// Counts the verdicts in a conformance report, wherever they stand in it.
fn read_report(path: &Path) -> Option<Count> {
    let report: Value = serde_json::from_slice(&std::fs::read(path).ok()?).ok()?;
    let mut count = Count::default();
    count_verdicts(&report, &mut count);
    Some(count)
}

fn count_verdicts(value: &Value, count: &mut Count) {
    match value {
        Value::Object(fields) => {
            match fields.get("verdict").and_then(Value::as_str) {
                Some("pass") => count.passed += 1,
                Some("fail" | "broken") => count.failed += 1,
                _ => {}
            }
            fields.values().for_each(|inner| count_verdicts(inner, count));
        }
        Value::Array(items) => items.iter().for_each(|inner| count_verdicts(inner, count)),
        _ => {}
    }
}

fn summarize(phases: &[Phase]) -> Result<()> {
    say("");
    for Phase { name, time, succeeded, count } in phases {
        let state = if *succeeded { "ok" } else { "failed" };
        let minutes = time.as_secs_f64() / 60.0;
        let count = count.map_or(String::new(), |count| {
            format!("  {} passed, {} failed", count.passed, count.failed)
        });
        say(format!("{minutes:6.1} min  {state:6}  {name}{count}"));
    }
    let failed: Vec<&str> =
        phases.iter().filter(|phase| !phase.succeeded).map(|phase| phase.name).collect();
    if !failed.is_empty() {
        return Err(Problem::new(format!("not all succeeded: {}", failed.join(", "))));
    }
    let total = phases.iter().filter_map(|phase| phase.count);
    let total = total.fold(Count::default(), |sum, count| Count {
        passed: sum.passed + count.passed,
        failed: sum.failed + count.failed,
    });
    print(format!("{} passed, {} failed", total.passed, total.failed));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Count, parse_result, read_report};

    #[test]
    fn results_of_cargo_are_read() {
        let line =
            "test result: FAILED. 12 passed; 3 failed; 0 ignored; 0 measured; finished in 1s";
        assert_eq!(parse_result(line), Some(Count { passed: 12, failed: 3 }));
        assert_eq!(parse_result("test a::b ... ok"), None);
    }

    #[test]
    fn a_broken_case_counts_as_failed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.json");
        let text = r#"{"results": [
            {"case": "a", "verdict": "pass"}, {"case": "b", "verdict": "broken"},
            {"case": "c", "verdict": "diverges"}, {"case": "d", "verdict": "fail"}]}"#;
        std::fs::write(&path, text).unwrap();
        assert_eq!(read_report(&path), Some(Count { passed: 1, failed: 2 }));
        assert_eq!(read_report(&folder.path().join("none")), None);
    }
}
