//! What the store takes, and how it becomes smaller.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, Metadata};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use boxwright_core::{Digest, Error, ErrorKind, ImageRef, Result};
use boxwright_image::layout::Layout;
use boxwright_image::manifest::{self, DOCUMENT_LIMIT, Document, ImageManifest};
use boxwright_image::pack;
use boxwright_image::upkeep::{Removal, Used};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::blocking;
use crate::fetch::Seen;
use crate::images::{IMAGES, NAMES};
use crate::store::{BUILT, FILES, PUBLISHED, Record, STEPS, Store, WEB, cannot_write};

/// What a note of an index says about a manifest.
#[derive(Debug, Deserialize)]
struct Pointer {
    manifest: Digest,
}

/// What a note of a name says.
#[derive(Debug, Deserialize)]
struct Named {
    name: ImageRef,
    manifest: Digest,
}

/// How much of a store something takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Part {
    /// How many blobs, or files.
    pub count: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// What a store takes, by what it is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Usage {
    /// Images that have a name.
    pub images: Part,
    /// Results of steps, and images without a name.
    pub cache: Part,
    /// Compressed copies of layers, made for registries; they can be made again.
    pub packed: Part,
    /// Notes, such as digests of files that were read.
    pub notes: Part,
    /// What builds write at this moment, and what those left that were killed.
    #[serde(default)]
    pub partial: Part,
}

/// Which of what could be removed is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Pruning {
    /// What may go.
    pub scope: Scope,
    /// Only what was not used for so long.
    pub older_than: Option<Duration>,
    /// Only until the store takes no more bytes than this, what was not used for the longest time first.
    pub keep_storage: Option<u64>,
}

/// What may be removed from a store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    /// All but images that have a name.
    #[default]
    Cache,
    /// Everything.
    All,
}

/// What was removed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Pruned {
    /// Names that are gone.
    pub names: Vec<ImageRef>,
    /// Blobs and files that are gone, and how large they were.
    pub removed: Part,
    /// What could have been removed, but for builds that use it now.
    pub in_use: Part,
}

impl Part {
    fn add(&mut self, bytes: u64) {
        self.count += 1;
        self.bytes += bytes;
    }
}

impl Store {
    /// Tells what the store takes.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unavailable`](boxwright_core::ErrorKind::Unavailable) when it cannot be read.
    pub async fn usage(&self) -> Result<Usage> {
        let store = self.clone();
        blocking(move || {
            let needed = store.needed(&store.named()?);
            let packed = pack::remembered(store.layout());
            let mut usage = Usage::default();
            for blob in store.layout().blobs()? {
                let part = match () {
                    () if needed.contains_key(&blob.digest) => &mut usage.images,
                    () if packed.contains(&blob.digest) => &mut usage.packed,
                    () => &mut usage.cache,
                };
                part.add(blob.size);
            }
            for index in [STEPS, NAMES, IMAGES, BUILT, PUBLISHED, FILES, WEB] {
                for (_, data) in store.notes(index)? {
                    usage.notes.add(data.len());
                }
            }
            store.layout().unfinished()?.into_iter().for_each(|size| usage.partial.add(size));
            Ok(usage)
        })
        .await
    }

    /// Removes what `pruning` says, but nothing that a running build uses. Safe to be killed at any instant:
    /// what then is named by a note and not there is made or fetched again.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Conflict`](boxwright_core::ErrorKind::Conflict) when the store stays locked for a minute,
    /// [`ErrorKind::Unavailable`](boxwright_core::ErrorKind::Unavailable) when something cannot be removed.
    pub async fn prune(&self, pruning: &Pruning) -> Result<Pruned> {
        let (store, pruning) = (self.clone(), pruning.clone());
        blocking(move || store.prune_now(&pruning)).await
    }

    /// Removes what no name needs and nobody used in a month, at most once a day. What keeps it from doing so is no
    /// failure of the build that it follows.
    pub(crate) async fn prune_when_due(&self) {
        let stamp = self.layout().folder().join(STAMP);
        let Ok(data) = fs::metadata(&stamp) else {
            // The first build of a store has nothing to remove.
            let _ = fs::write(&stamp, "");
            return;
        };
        let is_due = data.modified().is_ok_and(|it| it.elapsed().is_ok_and(|age| age > DAY));
        if is_due && fs::write(&stamp, "").is_ok() {
            let pruning = Pruning { older_than: Some(MONTH), ..Pruning::default() };
            let _ = self.prune(&pruning).await;
        }
    }

    fn prune_now(&self, pruning: &Pruning) -> Result<Pruned> {
        let removal = self.layout().lock_for_removal()?;
        let mut pruned = Pruned::default();
        let leftovers = removal.remove_leftovers()?;
        if leftovers > 0 {
            pruned.removed.add(leftovers);
        }
        let blobs = self.layout().blobs()?;
        let mut left: u64 = blobs.iter().map(|blob| blob.size).sum();
        let goes = Goes { pruning, removal: &removal, now: SystemTime::now() };
        let needed = self.needed(&self.named()?);
        let (named, cached): (Vec<Used>, Vec<Used>) =
            blobs.into_iter().partition(|blob| needed.contains_key(&blob.digest));
        for blob in by_age(cached) {
            self.drop_blob(&blob, &goes, &mut left, &mut pruned)?;
        }
        if pruning.scope == Scope::All {
            self.prune_images(named, &needed, &goes, &mut left, &mut pruned)?;
        }
        self.forget_what_is_gone(&goes)?;
        Ok(pruned)
    }

    /// Removes whole images, the one that was not used for the longest time first, each with its names before
    /// its blobs.
    fn prune_images(
        &self,
        named: Vec<Used>,
        needed: &BTreeMap<Digest, BTreeSet<Digest>>,
        goes: &Goes<'_>,
        left: &mut u64,
        pruned: &mut Pruned,
    ) -> Result<()> {
        let mut still: BTreeMap<Digest, BTreeSet<Digest>> = needed.clone();
        let sizes: BTreeMap<Digest, Used> =
            named.iter().map(|blob| (blob.digest.clone(), blob.clone())).collect();
        let manifests: BTreeSet<Digest> = needed.values().flatten().cloned().collect();
        let images = manifests.iter().filter_map(|manifest| sizes.get(manifest).cloned());
        for image in by_age(images.collect()) {
            if !goes.is_asked_for(&image, *left) {
                continue;
            }
            if !goes.removal.allows(image.at) {
                pruned.in_use.add(image.size);
                continue;
            }
            let named = self.named()?.into_iter();
            for (path, named) in named.filter(|(_, named)| named.manifest == image.digest) {
                remove(&path)?;
                pruned.names.push(named.name);
            }
            for users in still.values_mut() {
                users.remove(&image.digest);
            }
            let gone: Vec<Digest> = still
                .iter()
                .filter(|(_, users)| users.is_empty())
                .map(|(digest, _)| digest.clone())
                .collect();
            for digest in gone {
                still.remove(&digest);
                if let Some(blob) = sizes.get(&digest) {
                    self.drop_blob(blob, goes, left, pruned)?;
                }
            }
        }
        Ok(())
    }

    fn drop_blob(
        &self,
        blob: &Used,
        goes: &Goes<'_>,
        left: &mut u64,
        pruned: &mut Pruned,
    ) -> Result<()> {
        if !goes.is_asked_for(blob, *left) {
            return Ok(());
        }
        if !goes.removal.allows(blob.at) {
            pruned.in_use.add(blob.size);
            return Ok(());
        }
        goes.removal.remove(&blob.digest)?;
        *left = left.saturating_sub(blob.size);
        pruned.removed.add(blob.size);
        Ok(())
    }

    /// Removes notes of what is not there any more, and digests of files that nobody asked for in a month.
    fn forget_what_is_gone(&self, goes: &Goes<'_>) -> Result<()> {
        let is_there = |digest: &Digest| self.layout().blob_is_there(digest);
        for (path, _) in self.notes(STEPS)? {
            let record: Option<Record> = read(&path);
            let layer = record.as_ref().and_then(|record| record.layer.as_ref());
            if record.is_none() || layer.is_some_and(|(layer, _)| !is_there(&layer.digest)) {
                remove(&path)?;
            }
        }
        for index in [NAMES, IMAGES, BUILT, PUBLISHED] {
            for (path, _) in self.notes(index)? {
                let pointer: Option<Pointer> = read(&path);
                if pointer.is_none_or(|pointer| !is_there(&pointer.manifest)) {
                    remove(&path)?;
                }
            }
        }
        for (path, _) in self.notes(WEB)? {
            let seen: Option<Seen> = read(&path);
            if seen.is_none_or(|seen| !is_there(&seen.digest)) {
                remove(&path)?;
            }
        }
        for (path, data) in self.notes(FILES)? {
            let used = data.modified().unwrap_or(goes.now);
            if goes.now.duration_since(used).is_ok_and(|age| age > MONTH) {
                remove(&path)?;
            }
        }
        Ok(())
    }

    /// Returns the notes of names, those among them that an engine has.
    fn named(&self) -> Result<Vec<(PathBuf, Named)>> {
        let notes = self.notes(NAMES)?.into_iter().chain(self.notes(PUBLISHED)?);
        Ok(notes.filter_map(|(path, _)| read(&path).map(|named| (path, named))).collect())
    }

    /// Lists the notes of an index. What is being written is none yet.
    fn notes(&self, index: &str) -> Result<Vec<(PathBuf, Metadata)>> {
        let folder = self.layout().folder().join(index);
        let list = match fs::read_dir(&folder) {
            Ok(list) => list,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => {
                let message = format!("cannot read `{}`", folder.display());
                return Err(Error::new(ErrorKind::Unavailable, message).with_source(error));
            }
        };
        // One that goes away meanwhile is none.
        let list = list.filter_map(|entry| entry.ok());
        let list = list.filter(|entry| !entry.file_name().as_encoded_bytes().starts_with(b"."));
        Ok(list
            .filter_map(|entry| entry.metadata().ok().map(|data| (entry.path(), data)))
            .collect())
    }

    /// Returns every blob of an image that has a name, with the manifests that need it. A name by digest, as a
    /// push or a pull leaves one, keeps the manifest of an image that has another name, and nothing alone.
    fn needed(&self, named: &[(PathBuf, Named)]) -> BTreeMap<Digest, BTreeSet<Digest>> {
        let mut needed: BTreeMap<Digest, BTreeSet<Digest>> = BTreeMap::new();
        let mut tagged: BTreeMap<Digest, BTreeSet<Digest>> = BTreeMap::new();
        let mut by_digest = Vec::new();
        for (_, Named { name, manifest }) in named {
            let Some(Parts { id, blobs }) = parts(self.layout(), manifest) else { continue };
            if name.digest().is_some() {
                by_digest.push((manifest, id));
                continue;
            }
            tagged.entry(id).or_default().insert(manifest.clone());
            for digest in blobs {
                needed.entry(digest).or_default().insert(manifest.clone());
            }
        }
        for (manifest, id) in by_digest {
            if let Some(images) = tagged.get(&id) {
                needed.entry(manifest.clone()).or_default().extend(images.iter().cloned());
            }
        }
        needed
    }
}

/// A file whose time is when the store was pruned last by itself.
const STAMP: &str = "pruned";

const DAY: Duration = Duration::from_secs(24 * 3600);
const MONTH: Duration = Duration::from_secs(30 * 24 * 3600);

/// Says what goes.
struct Goes<'g> {
    pruning: &'g Pruning,
    removal: &'g Removal,
    now: SystemTime,
}

impl Goes<'_> {
    fn is_asked_for(&self, blob: &Used, left: u64) -> bool {
        let age = self.now.duration_since(blob.at).unwrap_or_default();
        let is_old = self.pruning.older_than.is_none_or(|older| age >= older);
        is_old && self.pruning.keep_storage.is_none_or(|keep| left > keep)
    }
}

fn by_age(mut blobs: Vec<Used>) -> Vec<Used> {
    blobs.sort_by(|a, b| (a.at, &a.digest).cmp(&(b.at, &b.digest)));
    blobs
}

/// What an image or an index consists of.
struct Parts {
    id: Digest,
    /// All of its blobs, its own document among them.
    blobs: Vec<Digest>,
}

/// Reads a manifest, or an index with the manifests that it lists. What cannot be read needs nothing.
fn parts(layout: &Layout, digest: &Digest) -> Option<Parts> {
    let of_image = |manifest: &Digest, document: ImageManifest| Parts {
        id: document.config.digest.clone(),
        blobs: std::iter::once(document.config)
            .chain(document.layers)
            .map(|blob| blob.digest)
            .chain([manifest.clone()])
            .collect(),
    };
    match document(layout, digest)? {
        Document::Manifest(document) => Some(of_image(digest, document)),
        Document::Index(index) => {
            let mut blobs = vec![digest.clone()];
            for entry in index.manifests {
                let manifest = &entry.descriptor.digest;
                if let Some(Document::Manifest(document)) = document(layout, manifest) {
                    blobs.extend(of_image(manifest, document).blobs);
                }
            }
            Some(Parts { id: digest.clone(), blobs })
        }
    }
}

fn document(layout: &Layout, digest: &Digest) -> Option<Document> {
    let bytes = layout.read_blocking(digest, DOCUMENT_LIMIT).ok()?;
    manifest::parse(&bytes, None).ok()
}

fn read<T: DeserializeOwned>(path: &Path) -> Option<T> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(cannot_write(path, error))
        }
        _ => Ok(()),
    }
}
