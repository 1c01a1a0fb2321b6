//! Removes containers whose process was killed before it could.

use std::time::Duration;

use boxwright_core::{Maker, PruneOutput, Result, is_left};
use boxwright_http::Client;
use serde_json::Value;

use crate::api::Api;

/// Containers with the label of a maker, as a filter: `{"label":["dev.boxwright.maker"]}`.
const MADE: &str =
    "/containers/json?all=true&filters=%7B%22label%22%3A%5B%22dev.boxwright.maker%22%5D%7D";

/// How long an engine that is opened may take to have its leftovers removed.
const LIMIT: Duration = Duration::from_secs(2);

/// Removes, from the engine that `client` reaches, the containers of this project whose process has ended.
///
/// # Errors
///
/// [`ErrorKind::Unavailable`](boxwright_core::ErrorKind::Unavailable) when the engine is gone or cannot remove one.
pub async fn sweep(client: &Client) -> Result<PruneOutput> {
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

/// As [`sweep`], when an engine is opened: what cannot be removed now keeps nobody from working.
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
    }

    #[test]
    fn a_container_of_a_living_process_is_not_left() {
        let own = Maker::own().unwrap();
        assert!(!left(&json!({ "Id": "a", "Labels": own_labels("run") }), &own));
        assert!(!left(&json!({ "Id": "a", "Labels": null }), &own));
    }
}
