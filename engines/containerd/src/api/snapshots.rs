//! Snapshots: unpacked chains of layers, and what is stacked on them.

use std::collections::HashMap;

use boxwright_core::Result;
use containerd_client::services::v1::snapshots as services;
use containerd_client::types::Mount;
use tonic::{Code, Status};

use super::Api;
use crate::errors::failed;

impl Api {
    /// Returns whether a snapshot is there. The lease holds it from then on.
    pub(crate) async fn has_snapshot(&self, key: &str) -> Result<bool> {
        let what = || failed(format!("cannot look for the snapshot `{key}`"));
        let request = services::StatSnapshotRequest {
            snapshotter: self.snapshotter().to_owned(),
            key: key.to_owned(),
        };
        match self.snapshots().stat(request).await {
            Ok(_) => {}
            Err(status) if status.code() == Code::NotFound => return Ok(false),
            Err(status) => return Err(what()(status)),
        }
        match self.hold(key, &format!("snapshots/{}", self.snapshotter())).await {
            Err(status) if status.code() == Code::NotFound => Ok(false),
            held => held.map(|()| true).map_err(what()),
        }
    }

    /// Makes a snapshot that can be written, on `parent`; on nothing, if that is empty.
    pub(crate) async fn prepare(
        &self,
        key: &str,
        parent: &str,
        labels: HashMap<String, String>,
    ) -> Result<Vec<Mount>> {
        let request = services::PrepareSnapshotRequest {
            snapshotter: self.snapshotter().to_owned(),
            key: key.to_owned(),
            parent: parent.to_owned(),
            labels,
        };
        let prepared = self.snapshots().prepare(request).await;
        Ok(prepared
            .map_err(failed(format!("cannot make a snapshot on `{parent}`")))?
            .into_inner()
            .mounts)
    }

    /// Returns the snapshot `key`, which can be written and stays, and makes it if there is none.
    pub(crate) async fn keep(
        &self,
        key: &str,
        labels: HashMap<String, String>,
    ) -> Result<Vec<Mount>> {
        let what = || failed(format!("cannot make the snapshot `{key}`"));
        let snapshotter = self.snapshotter().to_owned();
        let request = services::PrepareSnapshotRequest {
            snapshotter: snapshotter.clone(),
            key: key.to_owned(),
            labels,
            ..Default::default()
        };
        match self.snapshots().prepare(request).await {
            Err(status) if status.code() == Code::AlreadyExists => {}
            other => return Ok(other.map_err(what())?.into_inner().mounts),
        }
        let request = services::MountsRequest { snapshotter, key: key.to_owned() };
        Ok(self.snapshots().mounts(request).await.map_err(what())?.into_inner().mounts)
    }

    /// Keeps the snapshot `key` as `name`. Returns `false` if someone else did so first; it is then removed.
    pub(crate) async fn commit(
        &self,
        key: &str,
        name: &str,
        labels: HashMap<String, String>,
    ) -> Result<bool> {
        let request = services::CommitSnapshotRequest {
            snapshotter: self.snapshotter().to_owned(),
            key: key.to_owned(),
            name: name.to_owned(),
            labels,
        };
        match self.snapshots().commit(request).await {
            Ok(_) => Ok(true),
            Err(status) if status.code() == Code::AlreadyExists => {
                self.remove_snapshot(key).await?;
                Ok(false)
            }
            Err(status) => Err(failed(format!("cannot keep the snapshot `{name}`"))(status)),
        }
    }

    /// Removes a snapshot. One that is not there is no error.
    pub(crate) async fn remove_snapshot(&self, key: &str) -> Result<()> {
        let removed = self.try_remove_snapshot(key).await;
        removed.map_err(failed(format!("cannot remove the snapshot `{key}`")))
    }

    /// As [`Api::remove_snapshot`], with containerd's own answer.
    pub(crate) async fn try_remove_snapshot(&self, key: &str) -> Result<(), Status> {
        let request = services::RemoveSnapshotRequest {
            snapshotter: self.snapshotter().to_owned(),
            key: key.to_owned(),
        };
        match self.snapshots().remove(request).await {
            Err(status) if status.code() == Code::NotFound => Ok(()),
            other => other.map(drop),
        }
    }

    /// Returns the snapshots that this project made.
    pub(crate) async fn list_snapshots(&self, filter: &str) -> Result<Vec<services::Info>> {
        let request = services::ListSnapshotsRequest {
            snapshotter: self.snapshotter().to_owned(),
            filters: vec![filter.to_owned()],
        };
        let what = || failed("cannot list the snapshots");
        let mut pages = self.snapshots().list(request).await.map_err(what())?.into_inner();
        let mut found = Vec::new();
        while let Some(page) = pages.message().await.map_err(what())? {
            found.extend(page.info);
        }
        Ok(found)
    }
}
