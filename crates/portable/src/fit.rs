//! Whether the image can run where it says it can.

use boxwright_core::{Manifest, Platform, Result, Session};
use boxwright_image::config::ImageConfig;
use boxwright_image::program::other_processor;

use crate::stage::Stage;
use crate::store::Store;

/// Layers that are larger together are read for this only if the image is for another machine: reading them again
/// takes time, and what this machine built mostly fits it.
const LARGEST: u64 = 64 << 20;

/// Warns if the program that a container starts is for another processor than the config says (threat 44).
pub(crate) async fn warn(
    stage: &mut Stage,
    manifest: &Manifest,
    store: &Store,
    session: &Session,
) -> Result<()> {
    if !starts_something(&stage.config) {
        return Ok(());
    }
    let size: u64 = manifest.layers.iter().map(|(layer, _)| layer.size).sum();
    if size > LARGEST && stage.config.platform() == Some(Platform::of_this_machine()) {
        return Ok(());
    }
    let tree = stage.tree(store).await?;
    let Some(other) = other_processor(&tree, store.layout(), manifest).await? else {
        return Ok(());
    };
    let message = format!(
        "the image is for {}, and its program `/{}` is for {}",
        other.config_says,
        other.program.display(),
        other.program_is_for
    );
    let remedy =
        format!("build with `--platform linux/{}`, or take another program", other.program_is_for);
    session.events.warn(message, Some(&remedy)).await;
    Ok(())
}

fn starts_something(config: &ImageConfig) -> bool {
    let words = [&config.config.entrypoint, &config.config.cmd];
    words.into_iter().flatten().any(|words| !words.is_empty())
}
