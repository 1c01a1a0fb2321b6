//! A container of this process: made, run, and gone afterwards.

use std::path::Path;
use std::time::Duration;

use boxwright_core::confinement::{MASKED_PATHS, READ_ONLY_PATHS};
use boxwright_core::{Error, NetworkMode, Result};
use containerd_client::types::Mount;
use serde_json::{Value, json};

use crate::api::{Api, TaskPipes};
use crate::errors::{failed, is_gone};
use crate::labels;
use crate::lease::unique;
use crate::users::User;

/// How long a containerd that went away may take to come back before a container is left to the next sweep.
const PATIENCE: Duration = Duration::from_secs(15);

/// Between two looks at it.
const PAUSE: Duration = Duration::from_millis(50);

/// The capabilities of a process, as Docker gives them.
const CAPABILITIES: &[&str] = &[
    "CAP_AUDIT_WRITE",
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_MKNOD",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_RAW",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYS_CHROOT",
];

/// What runs in a container.
#[derive(Clone, Debug)]
pub(crate) struct Process<'a> {
    pub(crate) arguments: &'a [String],
    /// The whole environment, each as `NAME=value`.
    pub(crate) environment: &'a [String],
    pub(crate) working_directory: &'a str,
    pub(crate) user: &'a User,
    pub(crate) network: NetworkMode,
    /// Files of this machine that are seen at a path in the container, for reading alone.
    pub(crate) files: &'a [(&'a Path, &'a str)],
    /// Capabilities beside the usual ones.
    pub(crate) rights: &'a [&'a str],
    /// What else is mounted, and where.
    pub(crate) mounts: &'a [(&'a Mount, &'a str)],
}

/// Returns the runtime specification of a container that runs `process`.
/// Source: OCI runtime specification 1.0.2, `config.md`.
pub(crate) fn specification(id: &str, process: &Process<'_>) -> Value {
    let User { uid, gid, groups, .. } = process.user;
    let mount = |target: &str, kind: &str, source: &str, options: &[&str]| json!({"destination": target, "type": kind, "source": source, "options": options});
    let mut mounts = vec![
        mount("/proc", "proc", "proc", &["nosuid", "noexec", "nodev"]),
        mount("/dev", "tmpfs", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
        mount(
            "/dev/pts",
            "devpts",
            "devpts",
            &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
        ),
        mount(
            "/dev/shm",
            "tmpfs",
            "shm",
            &["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"],
        ),
        mount("/dev/mqueue", "mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
        mount("/sys", "sysfs", "sysfs", &["nosuid", "noexec", "nodev", "ro"]),
    ];
    for (file, target) in process.files {
        mounts.push(mount(target, "bind", &file.display().to_string(), &["rbind", "ro"]));
    }
    for (what, target) in process.mounts {
        let options: Vec<&str> = what.options.iter().map(String::as_str).collect();
        mounts.push(mount(target, &what.r#type, &what.source, &options));
    }
    let capabilities: Vec<&&str> = CAPABILITIES.iter().chain(process.rights).collect();
    let mut namespaces = vec!["pid", "ipc", "uts", "mount"];
    if process.network != NetworkMode::Host {
        namespaces.push("network");
    }
    let namespaces: Vec<Value> = namespaces.iter().map(|kind| json!({"type": kind})).collect();
    json!({
        "ociVersion": "1.0.2",
        "process": {
            "terminal": false,
            "user": {"uid": uid, "gid": gid, "additionalGids": groups},
            "args": process.arguments,
            "env": process.environment,
            "cwd": process.working_directory,
            "capabilities": {
                "bounding": capabilities,
                "effective": capabilities,
                "permitted": capabilities,
            },
            "noNewPrivileges": false,
        },
        "root": {"path": "rootfs"},
        "hostname": id.rsplit('-').next().map(|name| &name[..name.len().min(12)]),
        "mounts": mounts,
        "linux": {
            "cgroupsPath": format!("/{id}"),
            "resources": {"devices": [{"allow": false, "access": "rwm"}]},
            "namespaces": namespaces,
            "maskedPaths": MASKED_PATHS,
            "readonlyPaths": READ_ONLY_PATHS,
        },
    })
}

/// Returns whether a task in this state has a process.
pub(crate) fn is_running(state: Option<i32>) -> bool {
    use containerd_client::types::v1::Status;
    let state = state.and_then(|state| Status::try_from(state).ok());
    matches!(state, Some(Status::Created | Status::Running | Status::Paused | Status::Pausing))
}

/// A container, its task, and its snapshot, all of one name. [`Container::remove`] ends and removes them; so does
/// dropping it, as far as there is time.
#[derive(Debug)]
pub(crate) struct Container {
    api: Api,
    id: String,
    is_there: bool,
}

impl Container {
    /// Returns the container of a new name for `purpose`, such as `run`. Nothing is made yet.
    pub(crate) fn new(api: &Api, purpose: &str) -> Self {
        Self::existing(api, format!("boxwright-{purpose}-{}", unique()))
    }

    /// Returns the container `id`, which someone made.
    pub(crate) fn existing(api: &Api, id: String) -> Self {
        Self { api: api.clone(), id, is_there: true }
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Makes it, with a task that is ready to start, on the file system that `rootfs` mounts.
    ///
    /// # Errors
    ///
    /// containerd's, as its own words.
    pub(crate) async fn create(
        &self,
        purpose: &str,
        image: &str,
        specification: &Value,
        rootfs: Vec<Mount>,
        pipes: &TaskPipes,
    ) -> Result<Result<(), tonic::Status>> {
        let labels = labels::own(purpose);
        self.api.create_container(&self.id, image, labels, specification).await?;
        Ok(self.api.create_task(&self.id, rootfs, pipes).await)
    }

    /// Ends the process, and waits until it has ended.
    pub(crate) async fn end(&self) -> Result<(), tonic::Status> {
        self.api.kill_task(&self.id).await?;
        match self.api.wait_task(&self.id).await {
            Err(status) if status.code() == tonic::Code::NotFound => Ok(()),
            other => other.map(drop),
        }
    }

    /// Removes it and all that belongs to it, ending it first. A containerd that is away is waited for.
    ///
    /// # Errors
    ///
    /// [`boxwright_core::ErrorKind::Unavailable`] when it does not come back, or cannot remove it; the next sweep will.
    pub(crate) async fn remove(mut self) -> Result<()> {
        let removed = remove(&self.api, &self.id).await;
        self.is_there = false;
        removed
    }
}

async fn remove(api: &Api, id: &str) -> Result<()> {
    let start = tokio::time::Instant::now();
    loop {
        let Err(status) = try_remove(api, id).await else { return Ok(()) };
        // A process that is being killed, a mount that is being taken away, or a containerd that starts again.
        if start.elapsed() > PATIENCE {
            let error: Error = failed(format!("cannot remove the container `{id}`"))(status);
            return Err(error.with_remedy("it is removed when Boxwright next uses this containerd"));
        }
        let pause = if is_gone(&status) { PAUSE * 4 } else { PAUSE };
        tokio::time::sleep(pause).await;
    }
}

async fn try_remove(api: &Api, id: &str) -> Result<(), tonic::Status> {
    if let Err(status) = api.delete_task(id).await {
        // It runs. Whatever the answer is, deleting it says whether it ended.
        if api.kill_task(id).await.is_ok() {
            let wait = api.wait_task(id);
            let _ = tokio::time::timeout(Duration::from_secs(5), wait).await;
        }
        if is_gone(&status) {
            return Err(status);
        }
        api.delete_task(id).await?;
    }
    api.delete_container(id).await?;
    api.try_remove_snapshot(id).await
}

impl Drop for Container {
    fn drop(&mut self) {
        let (true, Ok(runtime)) = (self.is_there, tokio::runtime::Handle::try_current()) else {
            return;
        };
        let (api, id) = (self.api.clone(), self.id.clone());
        runtime.spawn(async move { remove(&api, &id).await });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_hosts_network_is_shared() {
        let user = User { uid: 1, gid: 2, groups: vec![3], home: "/".into() };
        let of = |network| {
            let process = Process {
                arguments: &["/bin/true".to_owned()],
                environment: &[],
                working_directory: "/",
                user: &user,
                network,
                files: &[],
                rights: &[],
                mounts: &[],
            };
            specification("boxwright-run-0123456789abcdef", &process)
        };
        let has_own = |spec: &Value| spec["linux"]["namespaces"].to_string().contains("network");
        assert!(has_own(&of(NetworkMode::Default)) && has_own(&of(NetworkMode::None)));
        assert!(!has_own(&of(NetworkMode::Host)));
        let spec = of(NetworkMode::None);
        assert_eq!(spec["hostname"], "0123456789ab");
        assert_eq!(spec["process"]["user"]["additionalGids"], json!([3]));
        assert!(!spec["process"]["capabilities"].to_string().contains("SYS_ADMIN"));
    }
}
