//! One stage of a build: the file system, the config and the layers so far.

use std::collections::BTreeMap;
use std::sync::Arc;

use boxwright_core::{Descriptor, Digest, Error, ErrorKind, Platform, Result};
use boxwright_image::config::{History, ImageConfig};
use boxwright_image::layout::Layout;
use boxwright_image::manifest::{digest_of, media_type};

use super::root::Root;
use super::store::{CachedStep, Stored};

/// When every image of the fake engine was made, so that equal builds are equal images.
pub(super) const CREATED: (i64, &str) = (1_000_000_000, "2001-09-09T01:46:40Z");

/// One stage of a build.
#[derive(Clone, Debug)]
pub(super) struct Stage {
    pub(super) name: Option<String>,
    pub(super) root: Arc<Root>,
    pub(super) config: ImageConfig,
    pub(super) layers: Vec<(Descriptor, Digest)>,
    /// What tells this state from any other, for the cache.
    pub(super) key: String,
    /// `ARG`s in scope.
    pub(super) arguments: BTreeMap<String, String>,
    /// Whether `CMD` was set in this stage.
    pub(super) has_command: bool,
}

impl Stage {
    /// Begins with an image, or with nothing.
    pub(super) fn from_image(image: Option<&Stored>, platform: &Platform) -> Self {
        let (root, config, layers, key) = match image {
            Some(image) => {
                let layers = image.manifest.layers.clone();
                (image.root.clone(), image.config.clone(), layers, image.id().to_string())
            }
            None => {
                let config = ImageConfig {
                    created: Some(CREATED.1.to_owned()),
                    architecture: platform.architecture().to_owned(),
                    os: platform.os().to_owned(),
                    variant: platform.variant().map(str::to_owned),
                    ..ImageConfig::default()
                };
                (Arc::default(), config, Vec::new(), "scratch".to_owned())
            }
        };
        let arguments = BTreeMap::new();
        Self { name: None, root, config, layers, key, arguments, has_command: false }
    }

    /// Begins with another stage.
    pub(super) fn from_stage(other: &Self) -> Self {
        let (name, arguments, has_command) = (None, BTreeMap::new(), false);
        Self { name, arguments, has_command, ..other.clone() }
    }

    /// Returns the values that `$name` has in instructions: arguments, and variables over them.
    pub(super) fn variables(&self) -> BTreeMap<String, String> {
        let mut variables = self.arguments.clone();
        variables.extend(self.environment());
        variables
    }

    /// Returns the image's variables.
    pub(super) fn environment(&self) -> BTreeMap<String, String> {
        let pairs = self.config.config.env.iter().filter_map(|line| line.split_once('='));
        pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    pub(super) fn set_variable(&mut self, name: &str, value: &str) {
        let env = &mut self.config.config.env;
        let line = format!("{name}={value}");
        let is_it = |old: &&mut String| old.split('=').next() == Some(name);
        match env.iter_mut().find(is_it) {
            Some(old) => *old = line,
            None => env.push(line),
        }
    }

    /// Returns the shell that commands are run by.
    pub(super) fn shell(&self) -> Vec<String> {
        let shell = self.config.config.shell.clone();
        shell.unwrap_or_else(|| vec!["/bin/sh".to_owned(), "-c".to_owned()])
    }

    /// Returns the working directory as a cleaned path.
    pub(super) fn folder(&self) -> String {
        super::root::clean("", &self.config.config.working_dir)
    }

    /// Moves the key on, past a step that is told from others by `what`.
    pub(super) fn step(&mut self, what: &str) {
        self.key = digest_of(format!("{}\n{what}", self.key).as_bytes()).to_string();
    }

    /// Notes a step in the history.
    pub(super) fn note(&mut self, created_by: &str, makes_layer: bool) {
        self.config.history.push(History {
            created: Some(CREATED.1.to_owned()),
            created_by: created_by.to_owned(),
            empty_layer: !makes_layer,
            ..History::default()
        });
    }

    /// Takes over the result of a step that changed files.
    pub(super) fn take(&mut self, step: &CachedStep) {
        self.root = step.root.clone();
        if let Some((descriptor, diff)) = &step.layer {
            self.layers.push((descriptor.clone(), diff.clone()));
            self.config.rootfs.diff_ids.push(diff.clone());
        }
    }

    /// Makes a layer of what changed since the step before.
    pub(super) async fn commit(&self, root: Root, layout: &Layout) -> Result<CachedStep> {
        let layer = root.layer_since(&self.root).map_err(|error| {
            Error::new(ErrorKind::Bug, "cannot write a layer").with_source(error)
        })?;
        let layer = match layer {
            None => None,
            Some(bytes) => {
                let diff = digest_of(&bytes);
                Some((layout.put(&bytes, media_type::OCI_LAYER).await?, diff))
            }
        };
        Ok(CachedStep { root: Arc::new(root), layer })
    }
}
