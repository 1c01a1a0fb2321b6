//! Packs the wheel, installs it beside the real SDKs of Flyte, and runs its tests on every engine that is up.

use std::path::{Path, PathBuf};
use std::time::Instant;

use super::{Count, Phase, engines};
use crate::console::{print, say};
use crate::environment::Environment;
use crate::environment::start::MAP;
use crate::packages::{self, Need};
use crate::problem::{Explain, Problem, Result};
use crate::program::Program;
use crate::workspace;

/// What the wheel may be at most, in bytes.
const LARGEST: u64 = 25 * 1000 * 1000;

/// Runs the tests of `crates/python`, those with engines where there is an environment.
pub(super) fn run(environment: Option<&Environment>) -> Result<Phase> {
    let name = "Python package";
    let start = Instant::now();
    let python = install()?;
    let mut tests = Program::new(&python)
        .args(["-m", "pytest", "-q", "--tb=short", "--durations=5", "-p", "no:cacheprovider"])
        .in_folder(&workspace::root().join("crates/python"));
    if let Some(environment) = environment {
        tests = environment.point(tests);
        // Its Debian is what stands in for the images that Flyte starts from.
        if environment.variables.get(MAP).is_some_and(|map| map.contains("/debian=")) {
            tests = tests.variable("BOXWRIGHT_TEST_FLYTE", engines(environment).join(","));
        }
    }
    say(format!("== {name}: {}", tests.line()));
    let (status, text) = tests.heard()?;
    print(text.trim_end());
    let count = text.lines().rev().find_map(parse_result);
    Ok(Phase { name, time: start.elapsed(), succeeded: status == Some(0), count })
}

/// Makes a virtual environment with the wheel and all that its tests need, and returns its Python.
fn install() -> Result<PathBuf> {
    let list = |names: &[&str]| names.iter().map(|&it| it.to_owned()).collect::<Vec<_>>();
    let (programs, of_debian) = (list(&["python3"]), list(&["python3", "python3-venv"]));
    packages::ensure(&[Need { programs: &programs, packages: &of_debian }])?;
    let root = workspace::root().join("crates/python");
    let folder = workspace::target().join("python");
    let python = folder.join("environment/bin/python");
    if !python.exists() {
        Program::new("python3")
            .args(["-m", "venv"])
            .arg(folder.join("environment"))
            .run_or_fail()?;
    }
    let pip = || Program::new(&python).args(["-m", "pip", "install", "--quiet"]);
    pip().arg("--requirement").arg(root.join("tests/requirements.txt")).run_or_fail()?;
    let program = workspace::build("boxwright-cli", "boxwright", &[])?;
    let stripped = folder.join("boxwright");
    Program::new("strip").arg("-o").arg(&stripped).arg(&program).run_or_fail()?;
    let packed = Program::new(&python)
        .arg(root.join("pack.py"))
        .arg(&stripped)
        .arg(folder.join("wheels"))
        .text()?;
    let wheel = Path::new(packed.trim());
    let size = wheel.metadata().explain(|| format!("cannot read `{}`", wheel.display()))?.len();
    if size > LARGEST {
        return Err(Problem::new(format!("the wheel is too large: {size} bytes"))
            .cause(format!("it may have {LARGEST}"))
            .help("look at what the program carries, as with `cargo bloat`"));
    }
    let start = Instant::now();
    pip().args(["--force-reinstall", "--no-deps", "--no-index"]).arg(wheel).run_or_fail()?;
    Program::new(&python).args(["-c", "import boxwright; boxwright.engines"]).run_or_fail()?;
    let took = start.elapsed().as_millis();
    say(format!("the wheel has {size} bytes, and is installed and imported after {took} ms"));
    Ok(python)
}

/// Reads pytest's last line, like `1 failed, 23 passed, 1 skipped in 80.35s`.
fn parse_result(line: &str) -> Option<Count> {
    let (counts, _) = line.rsplit_once(" in ")?;
    let number = |what: &str| {
        let part = counts.split(", ").find_map(|part| part.strip_suffix(what))?;
        part.trim_start_matches(['=', ' ']).trim().parse::<u64>().ok()
    };
    let (passed, failed) = (number(" passed"), number(" failed"));
    let broken = number(" errors").or_else(|| number(" error"));
    passed.or(failed).or(broken)?;
    Some(Count { passed: passed.unwrap_or(0), failed: failed.unwrap_or(0) + broken.unwrap_or(0) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_of_pytest_are_read() {
        let line = "1 failed, 23 passed, 2 skipped, 3 errors in 80.35s (0:01:20)";
        assert_eq!(parse_result(line), Some(Count { passed: 23, failed: 4 }));
        assert_eq!(parse_result("24 passed in 1s"), Some(Count { passed: 24, failed: 0 }));
        assert_eq!(parse_result("collected in a hurry"), None);
    }
}
