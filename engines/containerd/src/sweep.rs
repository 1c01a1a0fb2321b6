//! Removes what processes left in containerd that were killed.

use std::collections::HashMap;

use boxwright_core::{Result, labels};

use crate::api::{Api, Collection};
use crate::container::Container;
use crate::labels::PROCESS;
use crate::process::Identity;

/// Removes containers and leases of this project whose process has ended. What they held goes with them.
pub(crate) async fn sweep(api: &Api) -> Result<()> {
    let Some(own) = Identity::own() else { return Ok(()) };
    for found in api.list_containers().await? {
        if is_left(&found.labels, &own) {
            Container::existing(api, found.id).remove().await?;
        }
    }
    for snapshot in api.list_snapshots(&format!("labels.\"{PROCESS}\"")).await? {
        if is_left(&snapshot.labels, &own) {
            // One that something is stacked on stays; its lease is what holds it.
            let _ = api.try_remove_snapshot(&snapshot.name).await;
        }
    }
    for lease in api.list_leases().await? {
        if is_left(&lease.labels, &own) {
            api.delete_lease(&lease.id, Collection::Later).await?;
        }
    }
    Ok(())
}

fn is_left(found: &HashMap<String, String>, observer: &Identity) -> bool {
    let process = found.get(PROCESS).and_then(|label| Identity::read(label));
    found.contains_key(labels::OWNER) && process.is_some_and(|process| process.has_ended(observer))
}
