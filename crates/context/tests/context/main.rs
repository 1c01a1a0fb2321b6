//! Contexts on a real file system.

#![expect(clippy::unwrap_used, reason = "a panic is a failed test, with its place")]

mod open;
mod tar;
mod walk;

use std::fs;
use std::path::Path;

use boxwright_context::Context;
use boxwright_core::DockerfileSource;
use tempfile::TempDir;

/// A folder with files of these paths, each with its path as content. A path that ends in `/` is a folder.
fn folder(paths: &[&str]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for path in paths {
        let at = folder.path().join(path);
        if path.ends_with('/') {
            fs::create_dir_all(at).unwrap();
        } else {
            fs::create_dir_all(at.parent().unwrap()).unwrap();
            fs::write(at, path).unwrap();
        }
    }
    folder
}

fn open(folder: &TempDir) -> Context {
    Context::open(folder.path(), &DockerfileSource::Default).unwrap()
}

fn at(path: impl AsRef<Path>) -> DockerfileSource {
    DockerfileSource::Path(path.as_ref().to_owned())
}
