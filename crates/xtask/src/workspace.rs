//! Where things are in the workspace.

use std::path::{Path, PathBuf};

use crate::problem::Result;
use crate::program::{Program, variable};

/// Returns the folder that holds the workspace's `Cargo.toml`.
pub(crate) fn root() -> PathBuf {
    let this = Path::new(env!("CARGO_MANIFEST_DIR"));
    this.ancestors().nth(2).unwrap_or(this).to_owned()
}

/// Returns the folder that says how each engine comes up.
pub(crate) fn environments() -> PathBuf {
    root().join("conformance-tests/environments")
}

/// Returns the `cargo` that runs this program, in the workspace's folder.
pub(crate) fn cargo() -> Program {
    Program::new(variable("CARGO").unwrap_or_else(|| "cargo".to_owned())).in_folder(&root())
}

/// Builds the program `name` of `package` and returns where it is.
pub(crate) fn build(package: &str, name: &str, arguments: &[&str]) -> Result<PathBuf> {
    let profile = if arguments.contains(&"--release") { "release" } else { "debug" };
    cargo()
        .args(["build", "--quiet", "--locked", "--package", package, "--bin", name])
        .args(arguments)
        .run_or_fail()?;
    Ok(target().join(profile).join(name))
}

/// Returns the folder that cargo builds in.
pub(crate) fn target() -> PathBuf {
    variable("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |path| root().join(path))
}

/// Returns the paths of all tracked files, relative to [`root`].
pub(crate) fn tracked_files() -> Result<Vec<String>> {
    let listed = Program::new("git").args(["ls-files", "-z"]).in_folder(&root()).text()?;
    Ok(listed.split('\0').filter(|path| !path.is_empty()).map(str::to_owned).collect())
}
