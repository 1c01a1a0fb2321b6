//! Which names containerd has for which image.

use boxwright_core::{Descriptor, Digest, Error, ErrorKind, ImageRef, LocalImage, Result};
use containerd_client::services::v1 as services;

use crate::api::Api;
use crate::documents::{Facts, facts};

/// One name and what it points at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    /// The name, as containerd has it.
    pub(crate) name: String,
    /// A manifest or a list of manifests.
    pub(crate) target: Descriptor,
}

/// All names of one image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) facts: Facts,
    /// At least one.
    pub(crate) records: Vec<Record>,
}

impl Record {
    /// Reads a record, unless what it points at has no proper digest.
    pub(crate) fn read(image: services::Image) -> Option<Self> {
        let target = image.target?;
        let digest = target.digest.parse().ok()?;
        let size = target.size.unsigned_abs();
        let target = Descriptor { media_type: target.media_type, digest, size };
        Some(Self { name: image.name, target })
    }

    /// Returns the name, if it is one that images are built, pulled and pushed by. A kubelet has others too.
    pub(crate) fn reference(&self) -> Option<ImageRef> {
        let reference: ImageRef = self.name.parse().ok()?;
        (reference.to_string() == self.name).then_some(reference)
    }
}

impl Named {
    /// Returns the names that images are built, pulled and pushed by.
    pub(crate) fn references(&self) -> Vec<ImageRef> {
        let mut names: Vec<ImageRef> = self.records.iter().filter_map(Record::reference).collect();
        names.sort();
        names
    }

    /// Returns what the first of its names points at.
    pub(crate) fn target(&self) -> &Descriptor {
        &self.records[0].target
    }
}

/// Returns the name that holds an image which has no other: its id, as a kubelet has it too.
pub(crate) fn name_of_id(id: &Digest) -> String {
    id.to_string()
}

/// Returns every image with its names. What is not all there, or is no image, is left out.
pub(crate) async fn all(api: &Api) -> Result<Vec<Named>> {
    let mut found: Vec<Named> = Vec::new();
    for record in api.list_images().await?.into_iter().filter_map(Record::read) {
        let facts = match facts(api, &record.target).await {
            Ok(facts) => facts,
            Err(error) if error.kind() == ErrorKind::Unavailable => return Err(error),
            // Others keep what is no image of this platform, or half of one, in the same namespace.
            Err(_) => continue,
        };
        match found.iter_mut().find(|named| named.facts.id == facts.id) {
            Some(named) => named.records.push(record),
            None => found.push(Named { facts, records: vec![record] }),
        }
    }
    Ok(found)
}

/// Returns the image `wanted`, with all of its names.
///
/// # Errors
///
/// [`ErrorKind::NotFound`] when there is none, [`ErrorKind::InvalidInput`] for a beginning that several ids have.
pub(crate) async fn named(api: &Api, wanted: &LocalImage, what: &str) -> Result<Named> {
    let id = match wanted {
        LocalImage::Reference(name) => {
            let record = record(api, name, what).await?;
            let facts = facts(api, &record.target).await.map_err(|error| not_whole(error, what))?;
            facts.id
        }
        LocalImage::Id(id) => id.clone(),
        LocalImage::IdPrefix(prefix) => return by_prefix(api, prefix, wanted, what).await,
    };
    let found = all(api).await?.into_iter().find(|named| named.facts.id == id);
    found.ok_or_else(|| missing(wanted, what))
}

async fn by_prefix(api: &Api, prefix: &str, wanted: &LocalImage, what: &str) -> Result<Named> {
    let mut found = all(api).await?;
    found.retain(|named| named.facts.id.hex().starts_with(prefix));
    match (found.pop(), found.pop()) {
        (None, _) => Err(missing(wanted, what)),
        (Some(named), None) => Ok(named),
        (Some(one), Some(other)) => Err(Error::new(ErrorKind::InvalidInput, what)
            .with_cause(format!("`{}` and `{}` begin with it", one.facts.id, other.facts.id))
            .with_remedy("write more digits of the id")),
    }
}

/// Returns what `image` points at.
pub(crate) async fn target(api: &Api, image: &LocalImage, what: &str) -> Result<Descriptor> {
    match image {
        LocalImage::Reference(name) => Ok(record(api, name, what).await?.target),
        other => Ok(named(api, other, what).await?.target().clone()),
    }
}

/// Returns the record of the name `name`.
pub(crate) async fn record(api: &Api, name: &ImageRef, what: &str) -> Result<Record> {
    let found = api.image_record(&name.to_string()).await?.and_then(Record::read);
    if let Some(record) = found {
        return Ok(record);
    }
    // By a digest, an image is known whatever tag it was named by.
    if let Some(digest) = name.digest() {
        for record in api.list_images().await?.into_iter().filter_map(Record::read) {
            let is_named = record.reference().is_some_and(|other| other.name() == name.name());
            if is_named && record.target.digest == *digest {
                return Ok(record);
            }
        }
    }
    Err(missing(&LocalImage::Reference(name.clone()), what))
}

fn missing(image: &LocalImage, what: &str) -> Error {
    let error = Error::new(ErrorKind::NotFound, what)
        .with_cause(format!("containerd has no image `{image}`"));
    error.with_remedy(match image {
        LocalImage::Reference(name) => format!("build it, or `boxwright pull {name}`"),
        _ => "see `boxwright images` for what there is".to_owned(),
    })
}

fn not_whole(error: Error, what: &str) -> Error {
    Error::new(error.kind(), what).with_source(error).or_remedy("pull the image again")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(name: &str) -> Record {
        let digest = format!("sha256:{}", "a".repeat(64)).parse().unwrap();
        let target = Descriptor { media_type: String::new(), digest, size: 1 };
        Record { name: name.to_owned(), target }
    }

    #[test]
    fn only_whole_names_are_names() {
        assert!(record("docker.io/library/alpine:3").reference().is_some());
        // A kubelet's, ctr's, and one that would become another by being parsed.
        for name in [&format!("sha256:{}", "a".repeat(64)), "alpine", "UPPER", "alpine:3"] {
            assert_eq!(record(name).reference(), None, "{name}");
        }
    }
}
