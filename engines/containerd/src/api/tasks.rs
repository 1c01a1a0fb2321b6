//! Containers and their tasks.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use boxwright_core::Result;
use containerd_client::services::v1 as services;
use containerd_client::types::Mount;
use prost_types::Any;
use tonic::{Code, Status};

use super::Api;
use crate::errors::{failed, incomplete};

/// The runtime whose shim runs containers.
const RUNTIME: &str = "io.containerd.runc.v2";

/// What an OCI runtime specification is called.
const SPEC: &str = "types.containerd.io/opencontainers/runtime-spec/1/Spec";

/// The named pipes of a task. One that is not there is `/dev/null`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TaskPipes {
    pub(crate) stdin: Option<PathBuf>,
    pub(crate) stdout: Option<PathBuf>,
    pub(crate) stderr: Option<PathBuf>,
}

impl Api {
    /// Makes the container `id`, which runs nothing yet.
    pub(crate) async fn create_container(
        &self,
        id: &str,
        image: &str,
        labels: HashMap<String, String>,
        spec: &serde_json::Value,
    ) -> Result<()> {
        let spec = Any { type_url: SPEC.to_owned(), value: spec.to_string().into_bytes() };
        let container = services::Container {
            id: id.to_owned(),
            labels,
            image: image.to_owned(),
            runtime: Some(services::container::Runtime { name: RUNTIME.to_owned(), options: None }),
            spec: Some(spec),
            snapshotter: self.snapshotter().to_owned(),
            snapshot_key: id.to_owned(),
            ..Default::default()
        };
        let request = services::CreateContainerRequest { container: Some(container) };
        let made = self.containers().create(request).await;
        made.map(drop).map_err(failed("cannot make a container"))
    }

    /// Makes the task of a container, on the file system that `rootfs` mounts.
    pub(crate) async fn create_task(
        &self,
        id: &str,
        rootfs: Vec<Mount>,
        pipes: &TaskPipes,
    ) -> Result<(), Status> {
        let text = |path: &Option<PathBuf>| {
            path.as_deref().map(Path::display).map(|it| it.to_string()).unwrap_or_default()
        };
        let request = services::CreateTaskRequest {
            container_id: id.to_owned(),
            rootfs,
            stdin: text(&pipes.stdin),
            stdout: text(&pipes.stdout),
            stderr: text(&pipes.stderr),
            ..Default::default()
        };
        self.tasks().create(request).await.map(drop)
    }

    /// Starts the task of a container.
    pub(crate) async fn start_task(&self, id: &str) -> Result<(), Status> {
        let request =
            services::StartRequest { container_id: id.to_owned(), exec_id: String::new() };
        self.tasks().start(request).await.map(drop)
    }

    /// Waits until the task of a container ends, and returns its exit status.
    pub(crate) async fn wait_task(&self, id: &str) -> Result<u32, Status> {
        let request = services::WaitRequest { container_id: id.to_owned(), exec_id: String::new() };
        self.tasks().wait(request).await.map(|answer| answer.into_inner().exit_status)
    }

    /// Kills all processes of a container's task. One that is not there is no error.
    pub(crate) async fn kill_task(&self, id: &str) -> Result<(), Status> {
        let request = services::KillRequest {
            container_id: id.to_owned(),
            signal: 9,
            all: true,
            ..Default::default()
        };
        match self.tasks().kill(request).await {
            Err(status) if status.code() == Code::NotFound => Ok(()),
            other => other.map(drop),
        }
    }

    /// Removes a task that has ended, when all it wrote has gone through its pipes. One that is not there is no error.
    pub(crate) async fn delete_task(&self, id: &str) -> Result<(), Status> {
        match self.tasks().delete(services::DeleteTaskRequest { container_id: id.to_owned() }).await
        {
            Err(status) if status.code() == Code::NotFound => Ok(()),
            other => other.map(drop),
        }
    }

    /// Removes a container. One that is not there is no error.
    pub(crate) async fn delete_container(&self, id: &str) -> Result<(), Status> {
        match self.containers().delete(services::DeleteContainerRequest { id: id.to_owned() }).await
        {
            Err(status) if status.code() == Code::NotFound => Ok(()),
            other => other.map(drop),
        }
    }

    /// Returns the containers of the namespace.
    pub(crate) async fn list_containers(&self) -> Result<Vec<services::Container>> {
        let listed = self.containers().list(services::ListContainersRequest::default()).await;
        Ok(listed.map_err(failed("cannot list the containers"))?.into_inner().containers)
    }

    /// Returns the state of a container's task, or `None` if it has none.
    pub(crate) async fn task_state(&self, id: &str) -> Result<Option<i32>> {
        let request = services::GetRequest { container_id: id.to_owned(), exec_id: String::new() };
        match self.tasks().get(request).await {
            Ok(answer) => {
                let process = answer.into_inner().process;
                Ok(Some(process.ok_or_else(|| incomplete("process"))?.status))
            }
            Err(status) if status.code() == Code::NotFound => Ok(None),
            Err(status) => Err(failed(format!("cannot look at the task of `{id}`"))(status)),
        }
    }
}
