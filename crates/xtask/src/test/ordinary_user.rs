//! The embedded engine once more, as an ordinary user: what it can do is that user's, so the whole program runs as one.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;

use super::{Phase, plain, read_report};
use crate::environment::Environment;
use crate::environment::processes::MARK;
use crate::problem::{Explain, Problem, Result};
use crate::program::Program;
use crate::workspace;

/// The user's folder, in that of the environment, with which it goes.
const FOLDER: &str = "ordinary-user";

/// Runs the whole suite on the embedded engine as `user`, which is a name and two numbers. Its digests are compared with
/// those in the report `others`.
pub(super) fn conformance(
    program: &Path,
    user: &str,
    others: &Path,
    environment: &Environment,
) -> Result<Phase> {
    let [name, user, group] = user.splitn(3, ':').collect::<Vec<_>>()[..] else {
        return Err(Problem::new(format!("`{user}` is no user with its numbers")));
    };
    let folder = environment.variables.get("BOXWRIGHT_TEST_ENVIRONMENT").map(Path::new);
    let folder = folder.ok_or_else(|| Problem::new("the environment has no folder"))?;
    let home = folder.join(FOLDER);
    let own = home.join(program.file_name().unwrap_or_default());
    let compared = home.join("others.json");
    let prepare = || -> std::io::Result<()> {
        fs::create_dir_all(&home)?;
        fs::copy(others, &compared)?;
        fs::set_permissions(&compared, fs::Permissions::from_mode(0o644))?;
        // What cargo builds may be where nobody else can read.
        fs::copy(program, &own)?;
        fs::set_permissions(&own, fs::Permissions::from_mode(0o755))?;
        chown(&home, user.parse().ok(), group.parse().ok())
    };
    prepare().explain(|| format!("cannot prepare `{}`", home.display()))?;
    let report = home.join("report");
    let run = environment.point(Program::without_environment("setpriv"));
    let run = run
        .args(["--init-groups", "--inh-caps=-all", "--reuid", user, "--regid", group, "--"])
        .arg(&own)
        .args(["--engine", "embedded", "--require", "embedded", "--no-fake", "--report-dir"])
        .arg(&report)
        .arg("--digests-of")
        .arg(&compared)
        .variable("HOME", &home)
        .variable("TMPDIR", &home)
        .variable("USER", name)
        // Whatever it leaves running ends with the environment, whose user could not be removed else.
        .variable(MARK, folder)
        .variable("BOXWRIGHT_STORE", home.join("store"))
        .in_folder(&home);
    let mut phase = plain("conformance as an ordinary user", run)?;
    let text = report.join("report.json");
    phase.count = read_report(&text);
    // The environment takes the folder along when it ends.
    let kept = workspace::target().join("conformance/ordinary-user.json");
    fs::copy(&text, &kept).explain(|| format!("cannot write `{}`", kept.display()))?;
    Ok(phase)
}
