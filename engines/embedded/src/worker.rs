//! Where commands run: a worker of this machine, with its store beside the images.

use std::path::Path;

use boxwright_core::{Host, Platform, Result, Support};
use boxwright_worker_program::{LocalWorker, WorkerProgram};

use crate::config::EmbeddedConfig;
use crate::tried::Circumstances;

/// The folder of the worker, in the one of the images.
const FOLDER: &str = "worker";

const NO_PROGRAM: Support = Support::Unsupported {
    reason: "commands run in namespaces of Linux alone",
    remedy: "use `--engine docker` or `--engine podman`",
};

const NO_NAMESPACES: Support = Support::Unsupported {
    reason: "this machine lets the user make no namespaces, or mount nothing in them",
    remedy: "let users make them, with `sysctl kernel.unprivileged_userns_clone=1 user.max_user_namespaces=15000` and, where \
             there is AppArmor, `sysctl kernel.apparmor_restrict_unprivileged_userns=0`; or use another engine",
};

/// What runs commands here, if anything can.
#[derive(Debug)]
pub(crate) struct Worker {
    local: Option<LocalWorker>,
    support: Support,
}

impl Worker {
    /// Finds out by trying whether commands can be run, with a store in `images`, by the program in the file `named`
    /// or else by the one that is carried along.
    pub(crate) async fn find_out(host: &Host, images: &Path, named: Option<&Path>) -> Result<Self> {
        let Some(program) = program(host, named)? else {
            return Ok(Self { local: None, support: NO_PROGRAM });
        };
        let folder = images.join(FOLDER);
        let circumstances = Circumstances::now(host, &program.digest().to_string());
        let local = LocalWorker::new(host.clone(), program, folder.clone());
        // With all rights there is nothing to find out.
        if !has_all_rights(host) && !circumstances.are_known(&folder) {
            if local.probe().await.is_err() {
                return Ok(Self { local: None, support: NO_NAMESPACES });
            }
            circumstances.remember(&folder);
        }
        Ok(Self { local: Some(local), support: Support::Native })
    }

    /// Returns whether commands can be run.
    pub(crate) fn support(&self) -> &Support {
        &self.support
    }

    /// Returns what runs them.
    pub(crate) fn local(&self) -> Option<&LocalWorker> {
        self.local.as_ref()
    }
}

/// Returns the worker with a store in `images`, to look after that store; whether it can run steps is not asked. `None`
/// where no program can be had.
///
/// # Errors
///
/// [`ErrorKind::InvalidInput`](boxwright_core::ErrorKind::InvalidInput) when the file that the settings name is no
/// program.
pub fn keeper(host: &Host, images: &Path, config: &EmbeddedConfig) -> Result<Option<LocalWorker>> {
    let program = program(host, config.worker.as_deref().map(Path::new))?;
    Ok(program.map(|program| LocalWorker::new(host.clone(), program, images.join(FOLDER))))
}

/// Returns the program in the file `named`, or else the one that is carried along, if there is one.
fn program(host: &Host, named: Option<&Path>) -> Result<Option<WorkerProgram>> {
    let Some(file) = named else { return Ok(WorkerProgram::carried().ok()) };
    let program = WorkerProgram::read(&host.absolute(file))?;
    program.require(Platform::of_this_machine().architecture())?;
    Ok(Some(program))
}

/// Whether this process may make namespaces and mount: it is root, and was left the right `CAP_SYS_ADMIN`.
fn has_all_rights(host: &Host) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let rights = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let rights = rights.and_then(|rights| u64::from_str_radix(rights.trim(), 16).ok());
    host.user_id() == 0 && rights.is_some_and(|rights| rights & (1 << 21) != 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use boxwright_core::ErrorKind;

    #[tokio::test]
    async fn a_named_worker_that_is_no_program_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("worker");
        std::fs::write(&file, "#!/bin/sh\n").unwrap();
        let host = Host::with_variables(folder.path(), [("PATH", "/bin")]);
        let found = Worker::find_out(&host, folder.path(), Some(Path::new("worker"))).await;
        let error = found.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains(&file.display().to_string()), "{error}");
    }
}
