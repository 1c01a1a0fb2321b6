//! Removes what processes left in containerd that were killed.

use std::collections::HashMap;

use boxwright_core::{Maker, Result, is_left, labels};

use crate::api::{Api, Collection};
use crate::container::Container;

/// Removes containers and leases of this project whose process has ended. What they held goes with them.
/// Returns what they were.
pub(crate) async fn sweep(api: &Api) -> Result<Vec<String>> {
    let mut swept = Vec::new();
    let Some(own) = Maker::own() else { return Ok(swept) };
    for found in api.list_containers().await? {
        if left(&found.labels, &own) {
            let shown = format!("container `{}`", found.id);
            Container::existing(api, found.id).remove().await?;
            swept.push(shown);
        }
    }
    for snapshot in api.list_snapshots(&format!("labels.\"{}\"", labels::MAKER)).await? {
        if left(&snapshot.labels, &own) {
            // One that something is stacked on stays; its lease is what holds it.
            if api.try_remove_snapshot(&snapshot.name).await.is_ok() {
                swept.push(format!("snapshot `{}`", snapshot.name));
            }
        }
    }
    for lease in api.list_leases().await? {
        if left(&lease.labels, &own) {
            api.delete_lease(&lease.id, Collection::Later).await?;
            swept.push(format!("lease `{}`", lease.id));
        }
    }
    Ok(swept)
}

fn left(labels: &HashMap<String, String>, observer: &Maker) -> bool {
    is_left(|name| labels.get(name).map(String::as_str), observer)
}
