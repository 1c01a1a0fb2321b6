//! Removes what this project keeps in containerd for its next builds.

use boxwright_core::{PruneOutput, Result, labels};

use crate::api::Api;
use crate::sweep;
use crate::worker::PURPOSE;

/// Removes what processes left that were killed, and the snapshots of workers unless one runs.
pub(crate) async fn prune(api: &Api) -> Result<PruneOutput> {
    let mut pruned = PruneOutput::default();
    pruned.removed = sweep::sweep(api).await?;
    let containers = api.list_containers().await?;
    let is_worker = |owner: Option<&String>| owner.is_some_and(|owner| owner == PURPOSE);
    let runs = containers.iter().any(|it| is_worker(it.labels.get(labels::OWNER)));
    for snapshot in api.list_snapshots(&format!("labels.\"{}\"=={PURPOSE}", labels::OWNER)).await? {
        let shown = format!("snapshot `{}`", snapshot.name);
        // One that something is stacked on cannot be removed.
        match !runs && api.try_remove_snapshot(&snapshot.name).await.is_ok() {
            true => pruned.removed.push(shown),
            false => pruned.in_use.push(shown),
        }
    }
    Ok(pruned)
}
