//! Images in the daemon's store: what they are, their names, their removal.

use bollard::models::{ImageInspect, ImageSummary as DaemonSummary};
use boxwright_core::{
    Digest, Error, ErrorKind, ImageDetails, ImageRef, ImageSummary, LocalImage, Platform,
    RemoveOutput, RemoveRequest, Result,
};
use boxwright_image::timestamp;

use crate::daemon::Daemon;

/// Returns what an image is.
pub(crate) async fn inspect(daemon: &Daemon, image: &LocalImage) -> Result<ImageDetails> {
    let name = daemon.name_of(image).await?;
    let found = daemon.api.inspect(&name).await?;
    let id = daemon.id_of(daemon_id(&found)?).await?;
    details(found, id)
}

/// Returns the images that are not intermediate, newest first.
pub(crate) async fn list(daemon: &Daemon) -> Result<Vec<ImageSummary>> {
    let mut images = Vec::new();
    for found in daemon.api.list().await? {
        let id = daemon.id_of(digest(&found.id)?).await?;
        images.push(summary(&found, id));
    }
    images.sort_by(|a, b| b.created.cmp(&a.created).then_with(|| a.id.cmp(&b.id)));
    Ok(images)
}

/// Removes a name or an image.
pub(crate) async fn remove(daemon: &Daemon, request: &RemoveRequest) -> Result<RemoveOutput> {
    let name = daemon.name_of(&request.image).await?;
    let found = daemon.api.inspect(&name).await?;
    let daemons = daemon_id(&found)?;
    // Afterwards nothing tells the config of an image that is gone.
    let id = daemon.id_of(daemons.clone()).await?;
    let mut output = RemoveOutput::default();
    for item in daemon.api.remove(&name, request.force).await? {
        output.untagged.extend(item.untagged.iter().filter_map(|name| reference(name)));
        if let Some(deleted) = item.deleted {
            let deleted = digest(&deleted)?;
            output.deleted.push(if deleted == daemons { id.clone() } else { deleted });
        }
    }
    Ok(output)
}

/// Returns the daemon's own id of an image.
///
/// # Errors
///
/// [`ErrorKind::Protocol`] when it has none.
pub(crate) fn daemon_id(found: &ImageInspect) -> Result<Digest> {
    digest(found.id.as_deref().unwrap_or_default())
}

/// Reads an id.
///
/// # Errors
///
/// [`ErrorKind::Protocol`] for what is no digest.
pub(crate) fn digest(text: &str) -> Result<Digest> {
    text.parse().map_err(|error: Error| {
        Error::new(ErrorKind::Protocol, "cannot read the daemon's id of an image")
            .with_source(error)
    })
}

/// Returns the platform an image is for.
pub(crate) fn platform(found: &ImageInspect) -> Platform {
    let os = found.os.as_deref().filter(|os| !os.is_empty()).unwrap_or("linux");
    let processor = found.architecture.as_deref().unwrap_or_default();
    Platform::new(os, processor, found.variant.as_deref())
}

/// Reads a name, unless it stands for none (`<none>:<none>`).
fn reference(text: &str) -> Option<ImageRef> {
    text.parse().ok()
}

fn summary(found: &DaemonSummary, id: Digest) -> ImageSummary {
    let mut summary = ImageSummary::new(id);
    summary.names = found.repo_tags.iter().filter_map(|name| reference(name)).collect();
    summary.created = Some(found.created).filter(|&seconds| seconds > 0);
    summary.size = u64::try_from(found.size).ok();
    summary
}

fn details(found: ImageInspect, id: Digest) -> Result<ImageDetails> {
    let platform = platform(&found);
    let mut summary = ImageSummary::new(id);
    let names = found.repo_tags.unwrap_or_default();
    summary.names = names.iter().filter_map(|name| reference(name)).collect();
    summary.created = found.created.as_deref().and_then(timestamp::seconds);
    summary.size = found.size.and_then(|size| u64::try_from(size).ok());
    let mut details = ImageDetails::new(summary, platform);
    let digests = found.repo_digests.unwrap_or_default();
    details.digests = digests.iter().filter_map(|name| reference(name)).collect();
    let layers = found.root_fs.and_then(|root| root.layers).unwrap_or_default();
    details.layers = layers.iter().map(|layer| digest(layer)).collect::<Result<_>>()?;
    let config = found.config.unwrap_or_default();
    details.entrypoint = config.entrypoint.unwrap_or_default();
    details.command = config.cmd.unwrap_or_default();
    details.environment = config.env.unwrap_or_default();
    details.user = config.user.unwrap_or_default();
    details.working_directory = config.working_dir.unwrap_or_default();
    details.labels = config.labels.unwrap_or_default().into_iter().collect();
    details.exposed_ports = sorted(config.exposed_ports);
    details.volumes = sorted(config.volumes);
    details.stop_signal = config.stop_signal.filter(|signal| !signal.is_empty());
    Ok(details)
}

fn sorted(names: Option<Vec<String>>) -> Vec<String> {
    let mut names = names.unwrap_or_default();
    names.sort();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "sha256:47d2fe67755b961ff64c72e41b00cb098cf6dbf28930654c211db2aad530571a";

    #[test]
    fn an_inspected_image_of_20_10_has_its_facts() {
        let text = include_str!("../tests/recorded/20.10/inspect.json");
        let found: ImageInspect = serde_json::from_str(text).unwrap();
        assert_eq!(daemon_id(&found).unwrap().as_str(), ID);
        let details = details(found, ID.parse().unwrap()).unwrap();
        assert_eq!(details.summary.created, Some(1_795_412_450));
        assert_eq!(details.summary.size, Some(1_982_350));
        assert_eq!(details.summary.names[0].to_string(), "localhost:5200/rec/one:1");
        assert_eq!(details.platform.to_string(), "linux/amd64");
        assert_eq!(details.command, ["/bin/sh"]);
        assert_eq!(details.labels["a"], "b");
        assert_eq!(details.layers.len(), 2);
        assert!(details.digests[0].digest().is_some());
    }

    #[test]
    fn a_list_of_20_10_leaves_out_names_that_are_none() {
        let text = include_str!("../tests/recorded/20.10/list.json");
        let text = text.replace("nowhere.invalid/a/b:1", "<none>:<none>");
        let found: Vec<DaemonSummary> = serde_json::from_str(&text).unwrap();
        let summary = summary(&found[0], ID.parse().unwrap());
        assert_eq!(summary.names.len(), 5);
        assert_eq!(summary.created, Some(1_795_412_450));
    }

    #[test]
    fn an_id_that_is_none_is_a_fault_of_the_daemon() {
        assert_eq!(digest("").unwrap_err().kind(), ErrorKind::Protocol);
    }
}
