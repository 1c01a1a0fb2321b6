//! Images in containerd's store: inspect, list, tag, remove.

use boxwright_core::{
    Error, ErrorKind, ImageDetails, ImageRef, ImageSummary, LocalImage, Platform, RemoveOutput,
    RemoveRequest, Result,
};

use crate::api::{Api, Collection};
use crate::records::{self, Named, Record};
use crate::{container, documents};

pub(crate) async fn inspect(api: &Api, image: &LocalImage) -> Result<ImageDetails> {
    let what = format!("cannot inspect `{image}`");
    let named = records::named(api, image, &what).await?;
    let found = documents::image(api, named.target()).await?;
    let platform = found.config.platform().unwrap_or_else(Platform::of_this_machine);
    let mut details = ImageDetails::new(summary(&named), platform);
    let digest = &found.manifest.descriptor.digest;
    details.digests =
        named.references().iter().map(|name| name.at_digest(digest.clone())).collect();
    details.digests.dedup();
    details.layers = found.config.rootfs.diff_ids;
    let config = found.config.config;
    details.entrypoint = config.entrypoint.unwrap_or_default();
    details.command = config.cmd.unwrap_or_default();
    details.environment = config.env;
    details.user = config.user;
    details.working_directory = config.working_dir;
    details.labels = config.labels;
    details.exposed_ports = config.exposed_ports.into_keys().collect();
    details.volumes = config.volumes.into_keys().collect();
    details.stop_signal = config.stop_signal.filter(|signal| !signal.is_empty());
    Ok(details)
}

pub(crate) async fn list(api: &Api) -> Result<Vec<ImageSummary>> {
    let mut found: Vec<ImageSummary> = records::all(api).await?.iter().map(summary).collect();
    found.sort_by_key(|summary| std::cmp::Reverse(summary.created));
    Ok(found)
}

fn summary(named: &Named) -> ImageSummary {
    let mut summary = ImageSummary::new(named.facts.id.clone());
    summary.names = named.references();
    summary.created = named.facts.created;
    summary.size = Some(named.facts.size);
    summary
}

pub(crate) async fn tag(api: &Api, image: &LocalImage, name: &ImageRef) -> Result<()> {
    let what = format!("cannot name `{image}` `{name}`");
    let target = records::target(api, image, &what).await?;
    api.name_image(&name.to_string(), &target).await
}

pub(crate) async fn remove(api: &Api, wanted: &RemoveRequest) -> Result<RemoveOutput> {
    let image = &wanted.image;
    let what = format!("cannot remove `{image}`");
    let named = match image {
        // Whatever is wrong with what it points at, a name can be taken away.
        LocalImage::Reference(name) => {
            let record = records::record(api, name, &what).await?;
            match records::named(api, image, &what).await {
                Ok(named) => Some((named, vec![record])),
                Err(_) => {
                    api.unname_image(&record.name, Collection::Now).await?;
                    let mut output = RemoveOutput::default();
                    output.untagged = vec![name.clone()];
                    return Ok(output);
                }
            }
        }
        _ => None,
    };
    let (named, going) = match named {
        Some(found) => found,
        None => {
            let named = records::named(api, image, &what).await?;
            let names = named.references();
            if names.len() > 1 && !wanted.force {
                return Err(several(&what, &names));
            }
            let going = named.records.clone();
            (named, going)
        }
    };
    let stays = |record: &&Record| record.reference().is_some() && !going.contains(record);
    let is_last = !named.records.iter().any(|record| stays(&record));
    if is_last {
        refuse_used(api, &named, wanted.force, &what).await?;
    }
    let mut output = RemoveOutput::default();
    output.untagged = going.iter().filter_map(Record::reference).collect();
    output.untagged.sort();
    // What holds an image by its id alone goes with its last name.
    let going = if is_last { &named.records } else { &going };
    for (number, record) in going.iter().enumerate() {
        let is_end = number + 1 == going.len();
        let collection = if is_end { Collection::Now } else { Collection::Later };
        api.unname_image(&record.name, collection).await?;
    }
    if is_last {
        output.deleted = vec![named.facts.id.clone()];
    }
    Ok(output)
}

fn several(what: &str, names: &[ImageRef]) -> Error {
    let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    Error::new(ErrorKind::Conflict, what)
        .with_cause(format!("it has the names {}", names.join(", ")))
        .with_remedy("remove the names, or use `--force`")
}

/// Fails if a container was made from the image; with `force`, only if it runs.
async fn refuse_used(api: &Api, named: &Named, force: bool, what: &str) -> Result<()> {
    let is_of_it = |image: &str| named.records.iter().any(|record| record.name == image);
    for found in api.list_containers().await?.iter().filter(|found| is_of_it(&found.image)) {
        let runs = container::is_running(api.task_state(&found.id).await?);
        if runs || !force {
            let state = if runs { "runs it" } else { "was made from it" };
            return Err(Error::new(ErrorKind::Conflict, what)
                .with_cause(format!("the container `{}` {state}", found.id))
                .with_remedy(format!(
                    "remove the container first: `ctr containers delete {}`",
                    found.id
                )));
        }
    }
    Ok(())
}
