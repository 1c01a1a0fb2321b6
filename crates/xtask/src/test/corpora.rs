//! The cases of other builders, which are kept outside the repository: run where they are, and said where they are not.

use std::path::PathBuf;

use super::{Phase, engines, plain, read_report};
use crate::console::say;
use crate::environment::Environment;
use crate::problem::{Explain as _, Result};
use crate::program::{Program, variable};
use crate::workspace;

/// The variable that says where the corpora are.
const VARIABLE: &str = "BOXWRIGHT_CORPORA";

/// The engines that they are run on, where they are up: those for which Boxwright builds itself, and cannot do otherwise.
/// The own builders of the others have tests of their own.
const ENGINES: [(&str, &str); 3] = [
    ("embedded", "corpora on embedded"),
    ("containerd", "corpora on containerd"),
    ("lxd", "corpora on lxd"),
];

/// Runs the corpora if they are there. Those that need the image of Debian take part in a full run.
pub(super) fn run(environment: &Environment, full: bool) -> Result<Vec<Phase>> {
    let folder = folder();
    if !folder.is_dir() {
        say(format!(
            "== corpora: left out, there is no folder {}; set {VARIABLE}",
            folder.display()
        ));
        return Ok(Vec::new());
    }
    let program = workspace::build("boxwright-conformance", "boxwright-conformance", &[])?;
    let up = engines(environment);
    let mut phases = Vec::new();
    for (engine, name) in ENGINES.into_iter().filter(|(engine, _)| up.contains(engine)) {
        let reports = workspace::target().join("conformance/corpora").join(engine);
        let run = Program::new(&program)
            .in_folder(&workspace::root())
            .args(["--engine", engine, "--require", engine, "--corpus"])
            .arg(&folder)
            .arg("--report-dir")
            .arg(&reports)
            .args(if full { &[][..] } else { &["--images", "alpine"] });
        // A store of its own: no engine finds steps that another has run.
        let store = tempfile::tempdir_in("/var/tmp")
            .explain(|| "cannot make a folder in /var/tmp".to_owned())?;
        let run = environment.point(run).variable("BOXWRIGHT_STORE", store.path());
        let mut phase = plain(name, run)?;
        phase.count = read_report(&reports.join("report.json"));
        phases.push(phase);
    }
    Ok(phases)
}

/// Returns where the corpora are: as the variable says, else beside the checkout.
fn folder() -> PathBuf {
    match variable(VARIABLE) {
        Some(folder) => workspace::root().join(folder),
        None => workspace::root().join("../shared/corpora"),
    }
}
