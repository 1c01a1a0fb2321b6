//! `--iidfile` and `--metadata-file`: what a build came to, for programs.

use std::path::{Path, PathBuf};

use boxwright_core::{BuildOutput, Digest, Host, ImageRef, PlatformImage, Result};
use serde_json::{Map, Value};

use super::destination;
use crate::args::BuildArgs;

/// The files that a result is written to.
#[derive(Debug)]
pub(crate) struct ResultFiles {
    id: Option<PathBuf>,
    metadata: Option<PathBuf>,
}

const ID: &str = "the id file";
const METADATA: &str = "the metadata file";

impl ResultFiles {
    /// Checks that they can be written.
    pub(crate) fn new(args: &BuildArgs, host: &Host) -> Result<Self> {
        let path = |flag: &Option<String>| flag.as_deref().map(|it| host.absolute(Path::new(it)));
        let files = Self { id: path(&args.iidfile), metadata: path(&args.metadata_file) };
        files.id.as_deref().map_or(Ok(()), |file| destination::check_file(ID, file))?;
        files.metadata.as_deref().map_or(Ok(()), |file| destination::check_file(METADATA, file))?;
        Ok(files)
    }

    /// Returns whether the image's id is kept in a file.
    pub(crate) fn keep_id(&self) -> bool {
        self.id.is_some()
    }

    /// Writes the metadata of an image that was not built, since its registry has it.
    pub(crate) fn write_found(&self, image: &ImageRef, digest: &Digest) -> Result<()> {
        let Some(file) = &self.metadata else { return Ok(()) };
        let metadata = serde_json::json!({
            "containerimage.digest": digest, "image.name": image.to_string(),
        });
        destination::write(METADATA, file, format!("{metadata:#}\n").as_bytes())
    }

    /// Writes them. `pushed` is the digest that a registry gave.
    pub(crate) fn write(&self, output: &BuildOutput, pushed: Option<&Digest>) -> Result<()> {
        if let Some(file) = &self.id {
            // Without a line's end, as `docker` writes it.
            destination::write(ID, file, output.id.as_str().as_bytes())?;
        }
        if let Some(file) = &self.metadata {
            let metadata = Value::from(metadata(output, pushed));
            let text = format!("{metadata:#}\n");
            destination::write(METADATA, file, text.as_bytes())?;
        }
        Ok(())
    }
}

/// Returns the metadata under the names that `docker buildx build --metadata-file` has for them.
fn metadata(output: &BuildOutput, pushed: Option<&Digest>) -> Map<String, Value> {
    let mut map = Map::new();
    if output.images.is_empty() {
        map.insert("containerimage.config.digest".into(), output.id.as_str().into());
    } else {
        // An index has no config of its own.
        let images = output.images.iter();
        let images: Map<String, Value> = images
            .map(|image| {
                let PlatformImage { platform, id, digest } = image;
                let value = serde_json::json!({
                    "containerimage.config.digest": id, "containerimage.digest": digest,
                });
                (platform.to_string(), value)
            })
            .collect();
        map.insert("boxwright.images".into(), images.into());
    }
    if let Some(digest) = pushed.or(output.digest.as_ref()) {
        map.insert("containerimage.digest".into(), digest.as_str().into());
    }
    if !output.bases.is_empty() {
        let digests = output.bases.iter();
        let bases: Map<String, Value> =
            digests.map(|(name, digest)| (name.clone(), digest.as_str().into())).collect();
        map.insert("boxwright.bases".into(), bases.into());
    }
    if let Some(image) = &output.instance_image {
        map.insert("boxwright.instance-image".into(), image.as_str().into());
    }
    if !output.tags.is_empty() {
        let names: Vec<String> = output.tags.iter().map(ToString::to_string).collect();
        map.insert("image.name".into(), names.join(",").into());
    }
    map
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_those_of_buildx() {
        let digest = |fill: &str| format!("sha256:{}", fill.repeat(64)).parse::<Digest>().unwrap();
        let tags = vec!["a.b/c:1".parse().unwrap(), "a.b/c:2".parse().unwrap()];
        let output = BuildOutput::new(digest("a"), tags, "fake");
        let map = metadata(&output, Some(&digest("b")));
        assert_eq!(map["containerimage.config.digest"], digest("a").as_str());
        assert_eq!(map["containerimage.digest"], digest("b").as_str());
        assert_eq!(map["image.name"], "a.b/c:1,a.b/c:2");
        let mut based = output.clone();
        based.bases.insert("alpine".into(), digest("c"));
        let bases = &metadata(&based, None)["boxwright.bases"];
        assert_eq!(bases["alpine"], digest("c").as_str());
        let mut launched = output.clone();
        launched.instance_image = Some("5f1a".to_owned());
        assert_eq!(metadata(&launched, None)["boxwright.instance-image"], "5f1a");
        let mut index = output.clone();
        let arm = "linux/arm64".parse().unwrap();
        index.images = vec![PlatformImage { platform: arm, id: digest("d"), digest: digest("e") }];
        let map = metadata(&index, Some(&digest("b")));
        assert_eq!(map.get("containerimage.config.digest"), None);
        let arm = &map["boxwright.images"]["linux/arm64"];
        assert_eq!(arm["containerimage.digest"], digest("e").as_str());
        let unnamed = BuildOutput::new(digest("a"), Vec::new(), "fake");
        assert_eq!(metadata(&unnamed, None).len(), 1);
    }
}
