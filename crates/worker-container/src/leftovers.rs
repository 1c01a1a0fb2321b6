//! Removes what this project has in an engine: containers whose process was killed before it could, and the worker's.

use std::time::Duration;

use boxwright_core::{Maker, PruneOutput, Result, is_left};
use boxwright_http::Client;
use serde_json::Value;

use crate::api::Api;
use crate::image::REPOSITORY;
use crate::worker::VOLUME;

/// Containers of workers, as a filter: `{"label":["dev.boxwright.owner=worker"]}`.
const WORKERS: &str = "/containers/json?all=true&filters=%7B%22label%22%3A%5B%22dev.boxwright.owner%3Dworker%22%5D%7D";

/// Images of workers, as the same filter.
const IMAGES: &str =
    "/images/json?filters=%7B%22label%22%3A%5B%22dev.boxwright.owner%3Dworker%22%5D%7D";

/// Containers with the label of a maker, as a filter: `{"label":["dev.boxwright.maker"]}`.
const MADE: &str =
    "/containers/json?all=true&filters=%7B%22label%22%3A%5B%22dev.boxwright.maker%22%5D%7D";

/// How long an engine that is opened may take to have its leftovers removed.
const LIMIT: Duration = Duration::from_secs(2);

/// Removes the containers of this project whose process has ended.
async fn sweep(client: &Client) -> Result<PruneOutput> {
    let mut swept = PruneOutput::default();
    let Some(own) = Maker::own() else { return Ok(swept) };
    let api = Api(client.clone());
    let found = api.find(MADE, "list the containers").await?.unwrap_or_default();
    for container in found.as_array().into_iter().flatten().filter(|found| left(found, &own)) {
        let Some(id) = container["Id"].as_str() else { continue };
        api.remove(&format!("/containers/{id}?force=true&v=true"), "remove a container").await?;
        swept.removed.push(format!("container `{}`", id.get(..12).unwrap_or(id)));
    }
    Ok(swept)
}

/// Removes, from the engine that `client` reaches, the containers of this project whose process has ended, and what is
/// kept for the next builds: the worker's containers, images and volume. A container in which a build runs stays, with
/// what it needs.
///
/// # Errors
///
/// [`ErrorKind::Unavailable`](boxwright_core::ErrorKind::Unavailable) when the engine is gone or cannot remove one.
pub async fn prune(client: &Client) -> Result<PruneOutput> {
    let mut pruned = sweep(client).await?;
    let api = Api(client.clone());
    let found = api.find(WORKERS, "list the containers").await?.unwrap_or_default();
    for container in found.as_array().into_iter().flatten() {
        let Some(id) = container["Id"].as_str() else { continue };
        let shown = format!("container `{}`", id.get(..12).unwrap_or(id));
        if is_busy(&api, id).await? {
            pruned.in_use.push(shown);
            continue;
        }
        api.remove(&format!("/containers/{id}?force=true"), "remove the worker's container")
            .await?;
        pruned.removed.push(shown);
    }
    // What is left is needed by the builds that run.
    if !pruned.in_use.is_empty() {
        return Ok(pruned);
    }
    let found = api.find(IMAGES, "list the images").await?.unwrap_or_default();
    let names = found.as_array().into_iter().flatten().flat_map(|image| {
        image["RepoTags"].as_array().into_iter().flatten().filter_map(Value::as_str)
    });
    for name in names.filter(|name| name.starts_with(REPOSITORY)) {
        api.remove(&format!("/images/{name}"), "remove the worker's image").await?;
        pruned.removed.push(format!("image `{name}`"));
    }
    let volume = format!("/volumes/{VOLUME}");
    if api.find(&volume, "look for the worker's volume").await?.is_some() {
        api.remove(&volume, "remove the worker's volume").await?;
        pruned.removed.push(format!("volume `{VOLUME}`"));
    }
    Ok(pruned)
}

/// Whether a build has a session in the worker's container.
async fn is_busy(api: &Api, id: &str) -> Result<bool> {
    let path = format!("/containers/{id}/json");
    let container = api.find(&path, "look at the worker's container").await?.unwrap_or_default();
    for exec in container["ExecIDs"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        let exec = api.find(&format!("/exec/{exec}/json"), "look at a session").await?;
        if exec.is_some_and(|exec| exec["Running"] == Value::Bool(true)) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Removes the containers whose process has ended, when an engine is opened: what cannot be removed now keeps nobody from
/// working.
pub async fn sweep_at_start(client: &Client) {
    let _ = tokio::time::timeout(LIMIT, sweep(client)).await;
}

/// Whether its process has ended, as `own` sees it.
fn left(container: &Value, own: &Maker) -> bool {
    is_left(|name| container["Labels"][name].as_str(), own)
}

#[cfg(test)]
mod tests {
    use boxwright_core::{labels, own_labels};
    use serde_json::json;

    use super::*;

    #[test]
    fn the_filter_asks_for_the_label() {
        let label = labels::MAKER;
        assert!(MADE.ends_with(&format!("%7B%22label%22%3A%5B%22{label}%22%5D%7D")));
        let label = format!("{}%3Dworker", labels::OWNER);
        for filter in [WORKERS, IMAGES] {
            assert!(filter.ends_with(&format!("%7B%22label%22%3A%5B%22{label}%22%5D%7D")));
        }
    }

    #[test]
    fn a_container_of_a_living_process_is_not_left() {
        let own = Maker::own().unwrap();
        assert!(!left(&json!({ "Id": "a", "Labels": own_labels("run") }), &own));
        assert!(!left(&json!({ "Id": "a", "Labels": null }), &own));
    }
}
