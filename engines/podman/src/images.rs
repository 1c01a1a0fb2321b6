//! Images in the service's store: inspect, list, tag, remove.

use std::collections::BTreeMap;
use std::time::Duration;

use boxwright_core::{
    Digest, Error, ErrorKind, ImageDetails, ImageRef, ImageSummary, LocalImage, Platform,
    RemoveOutput, RemoveRequest, Result,
};
use boxwright_http::Body;
use boxwright_http::http::Method;
use podman_api_stubs::models::{ImageData, LibpodImageSummary, LibpodImagesRemoveReport};

use crate::api::{Api, request};
use crate::query::Address;
use crate::wire::{ListedContainer, ListedImage};

/// How often images are listed that others remove at the same time.
const LISTINGS: u32 = 8;
/// How long to wait before the second time; before each further one, twice as long.
const LISTING_PAUSE: Duration = Duration::from_millis(10);

/// Returns what the service knows `image` by.
pub(crate) fn name_of(image: &LocalImage) -> String {
    match image {
        LocalImage::Reference(reference) => reference_name(reference),
        LocalImage::Id(id) => id.hex().to_owned(),
        LocalImage::IdPrefix(prefix) => prefix.clone(),
    }
}

/// Returns a reference as the service takes it: with a tag or a digest, never both.
pub(crate) fn reference_name(reference: &ImageRef) -> String {
    match reference.digest() {
        Some(digest) => format!("{}@{digest}", reference.name()),
        None => reference.to_string(),
    }
}

/// Reads the id of an image as the service writes it: the digits, with or without the algorithm.
pub(crate) fn id(text: &str) -> Result<Digest> {
    let digits = text.strip_prefix("sha256:").unwrap_or(text);
    format!("sha256:{digits}").parse().map_err(|error: Error| {
        Error::new(ErrorKind::Protocol, "cannot read the service's answer").with_source(error)
    })
}

pub(crate) async fn inspect(api: &Api, image: &LocalImage) -> Result<ImageDetails> {
    details(data(api, image).await?)
}

/// Returns the id of `image`, or `None` if there is none of that name.
pub(crate) async fn find(api: &Api, image: &LocalImage) -> Result<Option<Digest>> {
    match data(api, image).await {
        Ok(data) => id(data.id.as_deref().unwrap_or_default()).map(Some),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Returns whether the store has `image` in OCI's format, not in Docker's.
pub(crate) async fn is_oci(api: &Api, image: &LocalImage) -> Result<bool> {
    let format = data(api, image).await?.manifest_type.unwrap_or_default();
    Ok(format.starts_with("application/vnd.oci."))
}

async fn data(api: &Api, image: &LocalImage) -> Result<ImageData> {
    let address = Address::libpod(&["images/", &name_of(image), "/json"]);
    let answer = api.get(&address, &format!("cannot inspect `{image}`")).await;
    answer.map_err(|error: Error| {
        // Podman 4.3 looks at an image that is removed at that moment, and has nothing to look at.
        let gone = error.causes().iter().any(|cause| cause.contains("nil pointer dereference"));
        let error = if gone {
            Error::new(ErrorKind::NotFound, error.to_string())
                .with_cause("it was removed at that moment")
        } else {
            error
        };
        missing(error, image)
    })
}

/// Says what to do about an image that is not there.
pub(crate) fn missing(error: Error, image: &LocalImage) -> Error {
    match (error.kind(), image) {
        (ErrorKind::NotFound, LocalImage::Reference(name)) => {
            error.or_remedy(format!("build it, or `boxwright pull {name}`"))
        }
        (ErrorKind::NotFound, _) => error.or_remedy("see `boxwright images` for what there is"),
        _ => error,
    }
}

fn details(data: ImageData) -> Result<ImageDetails> {
    let mut summary = ImageSummary::new(id(data.id.as_deref().unwrap_or_default())?);
    summary.names = references(data.repo_tags);
    summary.created = data.created.map(|time| time.timestamp());
    summary.size = data.size.and_then(|size| u64::try_from(size).ok());
    let os = data.os.unwrap_or_default();
    let platform = Platform::new(&os, &data.architecture.unwrap_or_default(), None);
    let mut details = ImageDetails::new(summary, platform);
    details.digests = references(data.repo_digests);
    if let Some(config) = data.config {
        details.entrypoint = config.entrypoint.unwrap_or_default();
        details.command = config.cmd.unwrap_or_default();
        details.environment = config.env.unwrap_or_default();
        details.user = config.user.unwrap_or_default();
        details.working_directory = config.working_dir.unwrap_or_default();
        details.labels = config.labels.unwrap_or_default().into_iter().collect();
        details.exposed_ports = sorted_keys(config.exposed_ports);
        details.volumes = sorted_keys(config.volumes);
        details.stop_signal = config.stop_signal.filter(|signal| !signal.is_empty());
    }
    let layers = data.root_fs.and_then(|root| root.layers).unwrap_or_default();
    details.layers = layers.iter().map(|layer| id(layer)).collect::<Result<_>>()?;
    Ok(details)
}

fn sorted_keys<V>(map: Option<std::collections::HashMap<String, V>>) -> Vec<String> {
    map.unwrap_or_default().into_iter().collect::<BTreeMap<_, _>>().into_keys().collect()
}

/// Reads names, leaving out what is none, such as `<none>:<none>`.
fn references(names: Option<Vec<String>>) -> Vec<ImageRef> {
    let mut names: Vec<ImageRef> =
        names.unwrap_or_default().iter().filter_map(|name| name.parse().ok()).collect();
    names.sort();
    names
}

pub(crate) async fn list(api: &Api) -> Result<Vec<ImageSummary>> {
    let mut tries = 0;
    loop {
        let found = api.get(&Address::libpod(&["images/json"]), "cannot list the images").await;
        tries += 1;
        match found {
            // Podman 4.3 fails when an image is removed while it lists them.
            Err(error) if error.kind() == ErrorKind::NotFound && tries < LISTINGS => {
                tokio::time::sleep(LISTING_PAUSE * (1 << (tries - 1))).await;
            }
            found => return summaries(found?),
        }
    }
}

fn summaries(found: Vec<ListedImage>) -> Result<Vec<ImageSummary>> {
    // A list of manifests is not an image: it has no config.
    let images = found.into_iter().filter(|image| image.is_manifest_list != Some(true));
    let summaries = images.filter_map(|image| image.summary).map(summary);
    let mut summaries = summaries.collect::<Result<Vec<_>>>()?;
    summaries.sort_by_key(|summary| std::cmp::Reverse(summary.created));
    Ok(summaries)
}

fn summary(image: LibpodImageSummary) -> Result<ImageSummary> {
    let mut summary = ImageSummary::new(id(image.id.as_deref().unwrap_or_default())?);
    summary.names = references(image.repo_tags.or(image.names));
    summary.created = image.created;
    summary.size = image.size.and_then(|size| u64::try_from(size).ok());
    Ok(summary)
}

pub(crate) async fn tag(api: &Api, image: &LocalImage, name: &ImageRef) -> Result<()> {
    let address = Address::libpod(&["images/", &name_of(image), "/tag"])
        .with("repo", &name.name())
        .with("tag", name.tag().unwrap_or("latest"));
    let acted = api.act(Method::POST, &address, &format!("cannot name `{image}` `{name}`")).await;
    acted.map_err(|error| missing(error, image))
}

/// Takes the name `name` away, whatever it points at.
pub(crate) async fn untag(api: &Api, name: &ImageRef) -> Result<()> {
    let address = Address::libpod(&["images/", &reference_name(name), "/untag"])
        .with("repo", &name.name())
        .with("tag", name.tag().unwrap_or("latest"));
    api.act(Method::POST, &address, &format!("cannot take the name `{name}` away")).await
}

pub(crate) async fn remove(api: &Api, wanted: &RemoveRequest) -> Result<RemoveOutput> {
    let image = &wanted.image;
    let what = format!("cannot remove `{image}`");
    if wanted.force {
        refuse_running(api, image, &what).await?;
    }
    let address = Address::libpod(&["images/", &name_of(image)])
        .with("force", if wanted.force { "true" } else { "false" });
    let answer = api.ask(request(Method::DELETE, &address, Body::empty())?, &what).await;
    let report: LibpodImagesRemoveReport = answer.map_err(|error| match error.kind() {
        ErrorKind::Conflict => {
            error.or_remedy("remove the containers and other names first, or use `--force`")
        }
        _ => missing(error, image),
    })?;
    let mut output = RemoveOutput::default();
    output.untagged = references(report.untagged);
    let deleted = report.deleted.unwrap_or_default();
    output.deleted = deleted.iter().map(|text| id(text)).collect::<Result<_>>()?;
    Ok(output)
}

/// Fails if a container of `image` runs. The service would kill it, which nobody asked for.
async fn refuse_running(api: &Api, image: &LocalImage, what: &str) -> Result<()> {
    let Some(id) = find(api, image).await? else { return Ok(()) };
    let filters = serde_json::json!({"ancestor": [id.hex()], "status": ["running", "paused"]});
    let address = Address::libpod(&["containers/json"]).with_json("filters", &filters);
    let running: Vec<ListedContainer> = api.get(&address, what).await?;
    match running.first() {
        None => Ok(()),
        Some(container) => {
            let short = container.id.get(..12).unwrap_or(&container.id);
            Err(Error::new(ErrorKind::Conflict, what)
                .with_cause(format!("the container `{short}` runs it"))
                .with_remedy(format!("stop it first: `podman stop {short}`")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_told_whole() {
        let data = include_bytes!("../tests/recorded/4.3.1/image.json");
        let details = details(serde_json::from_slice(data).unwrap()).unwrap();
        assert_eq!(details.summary.id.short(), "6ed7a054b78d");
        assert_eq!(details.summary.created, Some(1_795_415_277));
        let names: Vec<String> = details.summary.names.iter().map(ToString::to_string).collect();
        assert_eq!(names, ["localhost/hc:2", "localhost/hc:3"]);
        assert_eq!(details.platform.to_string(), "linux/amd64");
        assert_eq!(details.command, ["cat", "/hi"]);
        assert_eq!(details.layers.len(), 3);
    }

    #[test]
    fn a_list_leaves_lists_of_manifests_out_and_takes_what_is_null() {
        let listed = r#"[
            {"Id": "aa", "IsManifestList": true},
            {"Id": "7425e9f660dffb3695bed6c28c19dfb05f462264d4ee135c68946f478925f290", "RepoTags": null, "Names": ["<none>:<none>", "localhost/a:1"]}
        ]"#;
        for (text, expected) in [
            (listed, vec!["localhost/a:1"]),
            (
                include_str!("../tests/recorded/4.3.1/images.json"),
                vec![
                    "localhost/f:1",
                    "localhost/pmbase:1",
                    "localhost:5100/rec:1",
                    "localhost:5101/rec:1",
                ],
            ),
        ] {
            let found = summaries(serde_json::from_str(text).unwrap()).unwrap();
            let names = found.iter().flat_map(|image| &image.names).map(ToString::to_string);
            let mut names: Vec<String> = names.collect();
            names.sort();
            assert_eq!(names, expected);
        }
    }

    #[test]
    fn the_service_is_never_asked_by_tag_and_digest_at_once() {
        let digest = format!("sha256:{}", "a".repeat(64));
        let image: ImageRef = format!("r.example/a:1@{digest}").parse().unwrap();
        assert_eq!(reference_name(&image), format!("r.example/a@{digest}"));
    }
}
