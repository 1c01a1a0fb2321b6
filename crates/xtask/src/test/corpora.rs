//! The cases of other builders, which are kept outside the repository: run where they are, and said where they are not.

use std::path::PathBuf;

use super::{Phase, plain, read_report};
use crate::console::say;
use crate::environment::Environment;
use crate::problem::Result;
use crate::program::{Program, variable};
use crate::workspace;

/// The variable that says where the corpora are.
const VARIABLE: &str = "BOXWRIGHT_CORPORA";

/// The engine that they are run on: what this project makes itself. The others' own builders have tests of their own.
const ENGINE: &str = "embedded";

/// Runs the corpora if they are there. Those that need the image of Debian take part in a full run.
pub(super) fn run(environment: &Environment, full: bool) -> Result<Option<Phase>> {
    let folder = folder();
    if !folder.is_dir() {
        say(format!(
            "== corpora: left out, there is no folder {}; set {VARIABLE}",
            folder.display()
        ));
        return Ok(None);
    }
    let program = workspace::build("boxwright-conformance", "boxwright-conformance", &[])?;
    let reports = workspace::target().join("conformance/corpora");
    let mut run = Program::new(program)
        .in_folder(&workspace::root())
        .args(["--engine", ENGINE, "--require", ENGINE, "--corpus"])
        .arg(&folder)
        .arg("--report-dir")
        .arg(&reports);
    if !full {
        run = run.args(["--images", "alpine"]);
    }
    let mut phase = plain("corpora", environment.point(run))?;
    phase.count = read_report(&reports.join("report.json"));
    Ok(Some(phase))
}

/// Returns where the corpora are: as the variable says, else beside the checkout.
fn folder() -> PathBuf {
    match variable(VARIABLE) {
        Some(folder) => workspace::root().join(folder),
        None => workspace::root().join("../shared/corpora"),
    }
}
