//! Unpacks an image's layers into snapshots, each chain once.

use boxwright_core::{Descriptor, Digest, Error, ErrorKind, Result};
use boxwright_image::manifest::digest_of;

use crate::api::Api;
use crate::labels;
use crate::lease::unique;

/// Returns the names of the snapshots of a stack of layers, lowest first.
/// Source: OCI image specification 1.1, `config.md`, "Layer ChainID".
pub(crate) fn chains(diff_ids: &[Digest]) -> Vec<Digest> {
    let mut chains: Vec<Digest> = Vec::new();
    for diff_id in diff_ids {
        chains.push(match chains.last() {
            None => diff_id.clone(),
            Some(below) => digest_of(format!("{below} {diff_id}").as_bytes()),
        });
    }
    chains
}

/// Unpacks `layers`, and returns the name of their snapshot; `None` where there are none. The lease holds it.
///
/// # Errors
///
/// [`ErrorKind::Protocol`] when a layer is not what the image's config says, [`ErrorKind::Exhausted`] for a full disk.
pub(crate) async fn unpack(api: &Api, layers: &[(Descriptor, Digest)]) -> Result<Option<String>> {
    let diff_ids: Vec<Digest> = layers.iter().map(|(_, diff_id)| diff_id.clone()).collect();
    let chains = chains(&diff_ids);
    let mut done = 0;
    for (number, chain) in chains.iter().enumerate().rev() {
        // Its parents are held by it.
        if api.has_snapshot(chain.as_str()).await? {
            done = number + 1;
            break;
        }
    }
    for number in done..chains.len() {
        let parent = number.checked_sub(1).map(|below| chains[below].as_str());
        let (layer, diff_id) = &layers[number];
        unpack_layer(api, layer, diff_id, parent.unwrap_or_default(), &chains[number]).await?;
    }
    Ok(chains.last().map(ToString::to_string))
}

async fn unpack_layer(
    api: &Api,
    layer: &Descriptor,
    diff_id: &Digest,
    parent: &str,
    chain: &Digest,
) -> Result<()> {
    let key = format!("boxwright-unpack-{}", unique());
    // It is held by the lease, and so gone with it, whenever this is given up.
    let mounts = api.prepare(&key, parent, labels::own("unpack")).await?;
    let applied = match api.apply(layer, mounts).await {
        Ok(applied) if applied == diff_id.as_str() => Ok(()),
        Ok(applied) => Err(Error::new(
            ErrorKind::Protocol,
            format!("cannot unpack the layer `{}`", layer.digest),
        )
        .with_cause(format!("it holds `{applied}`, and the image's config says `{diff_id}`"))),
        Err(error) => Err(error),
    };
    if let Err(error) = applied {
        // Whatever is in the way of it, the lease's end removes it.
        let _ = api.remove_snapshot(&key).await;
        return Err(error);
    }
    api.label_blob(&layer.digest, labels::of_layer(diff_id)).await?;
    if !api.commit(&key, chain.as_str(), Default::default()).await? {
        api.has_snapshot(chain.as_str()).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_is_named_after_all_that_is_below() {
        let diff_ids: Vec<Digest> = ["a", "b"]
            .map(|digit| format!("sha256:{}", digit.repeat(64)).parse().unwrap())
            .to_vec();
        let found = chains(&diff_ids);
        assert_eq!(found[0], diff_ids[0]);
        let both = format!("{} {}", diff_ids[0], diff_ids[1]);
        assert_eq!(found[1], digest_of(both.as_bytes()));
        assert_eq!(chains(&[]), []);
    }
}
