//! Where programs are measured: real engines, a folder, and the reference workload.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use tempfile::TempDir;

use super::measure::{Measured, measure};
use super::workload::Workload;
use crate::console::say;
use crate::environment::Environment;
use crate::environment::clear;
use crate::environment::start::Images;
use crate::problem::{Explain, Problem, Result};
use crate::program::{Program, find};
use crate::workspace;

/// How much to measure.
#[derive(Clone, Debug, Args)]
pub(super) struct Size {
    /// How often each is measured
    #[arg(long, default_value_t = 5)]
    pub(super) rounds: u32,
    /// Files in the context
    #[arg(long, default_value_t = 5000)]
    files: u32,
    /// Size of the context
    #[arg(long, default_value_t = 200)]
    megabytes: u32,
}

/// An environment with the program built for release and a context to build.
#[derive(Debug)]
pub(super) struct Bed {
    boxwright: PathBuf,
    environment: Environment,
    folder: TempDir,
    pub(super) workload: Workload,
}

impl Bed {
    /// Builds the program, brings `setups` up and writes the context.
    pub(super) fn set_up(setups: &[&str], size: &Size) -> Result<Self> {
        say("== building the program for release");
        let boxwright = workspace::build("boxwright-cli", "boxwright", &["--release"])?;
        let folder = tempfile::Builder::new()
            .prefix("boxwright-bench-")
            .tempdir_in("/var/tmp")
            .explain(|| "cannot make a folder in /var/tmp".to_owned())?;
        let setups: Vec<String> = setups.iter().map(|&setup| setup.to_owned()).collect();
        let environment = Environment::up(&setups, Images::Small)?;
        say(format!("== writing a context of {} files, {} MB", size.files, size.megabytes));
        let base = variable(&environment, "BOXWRIGHT_TEST_BASE")?;
        let context = folder.path().join("context");
        let workload = Workload::generate(&context, base, size.files, size.megabytes)?;
        Ok(Self { boxwright, environment, folder, workload })
    }

    /// Takes everything down.
    pub(super) fn down(self) -> Result<()> {
        self.environment.down()
    }

    /// Returns a path in the bench's own folder.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(super) fn base(&self) -> Result<&str> {
        variable(&self.environment, "BOXWRIGHT_TEST_BASE")
    }

    /// Returns a name in the registry that nothing was pushed to.
    pub(super) fn fresh_name(&self, of: &str, round: u32) -> Result<String> {
        let registry = variable(&self.environment, "BOXWRIGHT_TEST_REGISTRY_OPEN")?;
        Ok(format!("{registry}/bench/{of}-{round}:1"))
    }

    /// Runs a program to its end.
    pub(super) fn measure(&self, program: Program) -> Result<Measured> {
        measure(program, &self.path("log"))
    }

    /// This program, with the store `store` of this bench's folder.
    pub(super) fn boxwright(&self, store: &str, arguments: &[&str]) -> Program {
        let program = self.environment.point(Program::new(&self.boxwright).args(arguments));
        program.variable("BOXWRIGHT_STORE", self.path(store))
    }

    pub(super) fn podman(&self, arguments: &[&str]) -> Program {
        self.environment.point(Program::new("podman").arg("--remote").args(arguments))
    }

    pub(super) fn docker(&self, arguments: &[&str], buildkit: bool) -> Result<Program> {
        // Another `docker` may come first on the path, without a builder.
        let packaged = PathBuf::from("/usr/bin/docker");
        let docker = if packaged.exists() { Some(packaged) } else { find("docker") };
        let docker = docker.ok_or_else(|| Problem::new("`docker` is not installed"))?;
        let program = Program::new(docker)
            .args(arguments)
            .variable("DOCKER_BUILDKIT", if buildkit { "1" } else { "0" })
            // None of the user's plugins and contexts.
            .variable("DOCKER_CONFIG", self.path("docker-settings"));
        Ok(self.environment.point(program))
    }

    /// Buildah with a store in this bench's folder.
    pub(super) fn buildah(&self, arguments: &[&str]) -> Program {
        let root = self.path("buildah");
        let program = Program::new("buildah").arg("--root").arg(root.join("root"));
        self.environment.point(program.arg("--runroot").arg(root.join("run")).args(arguments))
    }
}

fn variable<'e>(environment: &'e Environment, name: &str) -> Result<&'e str> {
    let value = environment.variables.get(name).map(String::as_str);
    value.ok_or_else(|| Problem::new(format!("the environment has no {name}")))
}

/// Removes a folder that may not be there.
pub(super) fn remove(folder: &Path) -> Result<()> {
    clear::remove(folder).explain(|| format!("cannot remove `{}`", folder.display()))
}

pub(super) fn write(path: &Path, text: &str) -> Result<()> {
    let folder = path.parent().unwrap_or(path);
    let written = fs::create_dir_all(folder).and_then(|()| fs::write(path, text));
    written.explain(|| format!("cannot write `{}`", path.display()))
}
