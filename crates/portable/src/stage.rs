//! A stage while it is built: its config, its layers, and what is in them.

use std::sync::Arc;

use boxwright_core::{
    CacheUse, CancellationToken, Descriptor, Digest, ErrorKind, LayerChain, LayerRef, Manifest,
    Result,
};
use boxwright_dockerfile::plan::{Action, CopyStep, Evaluated, Step};
use boxwright_image::config::ImageConfig;
use boxwright_image::layer::EndedLayer;
use boxwright_image::pack::PackFormat;
use boxwright_image::view::Tree;

use crate::arrange::arranger;
use crate::blocking;
use crate::build;
use crate::config;
use crate::fetch::AllFetched;
use crate::files::{self, Files};
use crate::key::Key;
use crate::owner;
use crate::search::Search;
use crate::select::{self, Picked, Unread};
use crate::store::{Record, Store};
use crate::time;

/// What is the same for all steps of a build.
#[derive(Clone, Debug)]
pub(crate) struct Surroundings {
    pub(crate) store: Store,
    pub(crate) cache: CacheUse,
    pub(crate) epoch: Option<i64>,
    pub(crate) cancel: CancellationToken,
    /// How layers are compressed while later steps run. `None`: they are not, as nothing needs it yet.
    pub(crate) pack: Option<PackFormat>,
    /// Looks for the build's secrets in new layers.
    pub(crate) search: Option<Arc<Search>>,
}

/// How a step came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Done,
    Cached,
}

/// What was built so far.
#[derive(Clone, Debug)]
pub(crate) struct Stage {
    pub(crate) config: ImageConfig,
    pub(crate) layers: Vec<(Descriptor, Digest)>,
    key: String,
    /// What the first `stacked` layers come to. It is read when a step needs it.
    tree: Arc<Tree>,
    stacked: usize,
}

impl Stage {
    pub(crate) fn scratch(config: ImageConfig) -> Self {
        let key = format!("scratch {:?}", config.platform());
        Self { config, layers: Vec::new(), key, tree: Arc::default(), stacked: 0 }
    }

    pub(crate) fn of_image(config: ImageConfig, manifest: &Manifest) -> Self {
        let key = format!("image {}", manifest.descriptor.digest);
        Self { key, layers: manifest.layers.clone(), ..Self::scratch(config) }
    }

    pub(crate) fn of_layers(config: ImageConfig, layers: Vec<(Descriptor, Digest)>) -> Self {
        let scratch = Self::scratch(config);
        let mut key = Key::after(&scratch.key);
        layers.iter().for_each(|(_, diff_id)| key.add(diff_id.as_str()));
        Self { key: key.finish(), layers, ..scratch }
    }

    /// Lists the files.
    pub(crate) async fn files(&mut self, store: &Store) -> Result<Files> {
        let tree = self.tree(store).await?;
        Ok(Files::of_image(store.layout(), &self.layers, tree))
    }

    /// Reads what the layers come to.
    pub(crate) async fn tree(&mut self, store: &Store) -> Result<Arc<Tree>> {
        if self.stacked < self.layers.len() {
            let (mut tree, stacked) = (self.tree.clone(), self.stacked);
            let (layout, layers) = (store.layout().clone(), self.layers.clone());
            self.tree = blocking(move || {
                files::stack(&mut tree, stacked, &layout, &layers)?;
                Ok(tree)
            })
            .await?;
            self.stacked = self.layers.len();
        }
        Ok(self.tree.clone())
    }

    /// Does a step, or takes what it came to before. `files` is what a copy takes from.
    pub(crate) async fn step(
        &mut self,
        evaluated: &Evaluated,
        step: &Step,
        files: &Arc<Files>,
        fetched: AllFetched,
        around: &Surroundings,
    ) -> Result<Outcome> {
        let text = evaluated.created_by(step);
        let mut key = Key::after(&self.key)
            .with(format!("{:?}", around.epoch))
            .with(format!("{:?}", step.action));
        let mut selection = Vec::new();
        let mut early = None;
        if let Action::Copy(copy) = &step.action {
            let (copy, source) = (copy.clone(), files.clone());
            let select = move || {
                let mut selection = select::select(&copy, &source, &fetched)?;
                let is_early = Unread::of(&mut selection).is_most();
                if !is_early {
                    select::complete(&mut selection, &source)?;
                }
                Ok((selection, is_early))
            };
            let is_early;
            (selection, is_early) = blocking(select).await?;
            if is_early {
                let created = around.epoch.unwrap_or_else(time::now);
                let chosen = selection.clone();
                let layer = self.layer(&step.action, chosen, files, created, around).await?;
                early = Some((created, layer));
                let source = files.clone();
                selection = blocking(move || {
                    select::complete(&mut selection, &source)?;
                    Ok(selection)
                })
                .await?;
            }
            select::add_to_key(&selection, &mut key);
        }
        let key = key.finish();
        let known = match around.cache {
            CacheUse::Use => around.store.step(&key).await?,
            CacheUse::Ignore => None,
        };
        let outcome = if known.is_some() { Outcome::Cached } else { Outcome::Done };
        let record = match known {
            Some(record) => record,
            None => {
                let (created, layer) = match early {
                    Some(early) => early,
                    None => {
                        let created = around.epoch.unwrap_or_else(time::now);
                        let layer = self.layer(&step.action, selection, files, created, around);
                        (created, layer.await?)
                    }
                };
                let kept = move || layer.map(EndedLayer::keep).transpose();
                let layer = blocking(kept).await?.map(|layer| (layer.descriptor, layer.diff_id));
                build::search(around, layer.as_ref()).await?;
                around.store.remember(&key, Record { created, layer }, around.cache).await?
            }
        };
        self.apply(&step.action, text, key, record, around);
        Ok(outcome)
    }

    /// Returns the key of what was built so far.
    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    /// Returns the layers as a runner takes them.
    pub(crate) fn chain(&self) -> LayerChain {
        chain(&self.layers)
    }

    /// Takes over what a step came to. `text` is for the history.
    pub(crate) fn apply(
        &mut self,
        action: &Action,
        text: Option<String>,
        key: String,
        record: Record,
        around: &Surroundings,
    ) {
        config::apply(&mut self.config, action);
        if let Some(text) = text {
            config::add_history(&mut self.config, text, record.created, record.layer.is_some());
        }
        self.config.created = Some(time::rfc3339(record.created));
        if let (Some(format), Some(layer)) = (around.pack, &record.layer) {
            around.store.packer().begin(layer, format);
        }
        self.layers.extend(record.layer);
        self.key = key;
    }

    /// Makes the layer of a step, if it changes a file.
    async fn layer(
        &mut self,
        action: &Action,
        selection: Vec<Picked>,
        files: &Arc<Files>,
        time: i64,
        around: &Surroundings,
    ) -> Result<Option<EndedLayer>> {
        let owner = match action {
            Action::Copy(copy) => copy.owner.clone(),
            Action::WorkingDirectory { user, .. } => Some(user.clone()).filter(|it| !it.is_empty()),
            _ => return Ok(None),
        };
        let tree = self.tree(&around.store).await?;
        let layout = around.store.layout().clone();
        let owner = match owner {
            None => None,
            Some(owner) => match owner::ids(&owner, &tree, &layout, &self.layers).await {
                // The folder of a user that the image does not know is root's, as in BuildKit: `USER` may stand
                // before what adds the user, and a step that runs as one who is not there says so itself.
                Err(error)
                    if error.kind() == ErrorKind::BuildFailed
                        && matches!(action, Action::WorkingDirectory { .. }) =>
                {
                    None
                }
                owner => Some(owner?),
            },
        };
        let what = match action {
            Action::Copy(copy) => What::Copy(copy.clone(), selection),
            Action::WorkingDirectory { path, .. } => What::Folder(path.clone()),
            _ => return Ok(None),
        };
        let (files, epoch, cancel) = (files.clone(), around.epoch, around.cancel.clone());
        blocking(move || {
            let mut arranger = arranger(&tree, owner, time);
            match what {
                What::Copy(copy, selection) => arranger.copy(&copy, selection, &files, &layout)?,
                What::Folder(path) => drop(arranger.folder(&path)?),
            }
            let mut draft = arranger.draft;
            if draft.is_empty() {
                return Ok(None);
            }
            if let Some(epoch) = epoch {
                draft.set_time(epoch);
            }
            draft.write(&layout, &files, &cancel).map(Some)
        })
        .await
    }
}

enum What {
    Copy(Box<CopyStep>, Vec<Picked>),
    Folder(String),
}

/// Returns layers as a runner takes them.
pub(crate) fn chain(layers: &[(Descriptor, Digest)]) -> LayerChain {
    let layer = |(blob, diff_id): &(Descriptor, Digest)| LayerRef {
        diff_id: diff_id.clone(),
        blob: blob.digest.clone(),
    };
    layers.iter().map(layer).collect()
}
