//! Where things are in the workspace.

use std::path::{Path, PathBuf};

use crate::problem::{Explain, Result};
use crate::program::{Program, variable};

/// Returns the folder that holds the workspace's `Cargo.toml`.
pub(crate) fn root() -> PathBuf {
    // Cargo says where the workspace is now; it may have been moved since this program was built.
    let now = variable("CARGO_PKG_NAME").filter(|name| name == env!("CARGO_PKG_NAME"));
    let now = now.and_then(|_| variable("CARGO_MANIFEST_DIR"));
    let this = PathBuf::from(now.unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").to_owned()));
    this.ancestors().nth(2).unwrap_or(&this).to_owned()
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
///
/// Without git, or where the workspace is no clone, those are all files but what is built.
pub(crate) fn tracked_files() -> Result<Vec<String>> {
    let listed = Program::new("git").args(["ls-files", "-z"]).in_folder(&root()).text();
    if let Ok(listed) = listed {
        return Ok(listed.split('\0').filter(|path| !path.is_empty()).map(str::to_owned).collect());
    }
    let mut found = Vec::new();
    walk(&root(), &root(), &mut found).explain(|| "cannot list the workspace".to_owned())?;
    found.sort();
    Ok(found)
}

fn walk(root: &Path, folder: &Path, found: &mut Vec<String>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
        if name == "target" || name == ".git" {
            continue;
        }
        if path.is_dir() && !path.is_symlink() {
            walk(root, &path, found)?;
        } else {
            found.push(name);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{root, tracked_files, walk};

    #[test]
    fn listing_with_and_without_git_finds_this_file() {
        let this = "crates/xtask/src/workspace.rs".to_owned();
        assert!(tracked_files().unwrap().contains(&this));
        let mut found = Vec::new();
        walk(&root(), &root(), &mut found).unwrap();
        assert!(found.contains(&this));
        assert!(!found.iter().any(|path| path.starts_with("target/")));
    }
}
