//! Removes what this project keeps in the server for its next builds: worker instances, their images and volumes.

use std::collections::BTreeMap;

use boxwright_core::{PruneOutput, Result, labels};
use boxwright_http::http::Method;
use serde_json::json;

use crate::api::Api;
use crate::api::wire::{Image, Instance, Operations, Pool, Volume};
use crate::worker_image::OWNER;

/// Removes them all, but for instances in which something runs and what those need.
pub(crate) async fn prune(api: &Api) -> Result<PruneOutput> {
    let mut pruned = PruneOutput::default();
    let owner = format!("user.{}", labels::OWNER);
    let own = |config: &BTreeMap<String, String>| config.get(&owner).is_some_and(|it| it == OWNER);
    let running: Operations =
        api.get("/1.0/operations?recursion=1", "cannot list the operations").await?;
    let instances: Vec<Instance> =
        api.get("/1.0/instances?recursion=1", "cannot list the instances").await?;
    for instance in instances.iter().filter(|it| own(&it.config)) {
        let path = format!("/1.0/instances/{}", instance.name);
        let shown = format!("instance `{}`", instance.name);
        if running.concern(&path) {
            pruned.in_use.push(shown);
            continue;
        }
        if instance.status != "Stopped" {
            let stop = json!({ "action": "stop", "force": true, "timeout": 10 });
            let what = format!("cannot stop the worker instance `{}`", instance.name);
            // One that has ended by itself just then is told apart by its removal.
            let _ = api.act(Method::PUT, &format!("{path}/state"), &[], &stop, &what).await;
        }
        api.delete(&path, &format!("cannot remove the worker instance `{}`", instance.name))
            .await?;
        pruned.removed.push(shown);
    }
    let images: Vec<Image> = api.get("/1.0/images?recursion=1", "cannot list the images").await?;
    let is_worker = |it: &&Image| it.properties.get(labels::OWNER).is_some_and(|it| it == OWNER);
    for image in images.iter().filter(is_worker) {
        // An instance that runs needs its image no more.
        let path = format!("/1.0/images/{}", image.fingerprint);
        api.delete(&path, "cannot remove the image of a worker instance").await?;
        pruned
            .removed
            .push(format!("image `{}`", &image.fingerprint[..image.fingerprint.len().min(12)]));
    }
    let pools: Vec<Pool> =
        api.get("/1.0/storage-pools?recursion=1", "cannot list the pools").await?;
    for pool in pools {
        let custom = format!("/1.0/storage-pools/{}/volumes/custom", pool.name);
        let volumes: Vec<Volume> =
            api.get(&format!("{custom}?recursion=1"), "cannot list the volumes").await?;
        for volume in volumes.iter().filter(|it| own(&it.config)) {
            let shown = format!("volume `{}` in the pool `{}`", volume.name, pool.name);
            if !volume.used_by.is_empty() && !pruned.in_use.is_empty() {
                pruned.in_use.push(shown);
                continue;
            }
            let what = format!("cannot remove the volume `{}`", volume.name);
            api.delete(&format!("{custom}/{}", volume.name), &what).await?;
            pruned.removed.push(shown);
        }
    }
    Ok(pruned)
}
