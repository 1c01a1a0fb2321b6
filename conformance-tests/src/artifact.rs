//! The image that an engine made, read from its archive or its registry.

use std::path::Path;
use std::sync::Arc;

use boxwright_core::{BlobStore as _, ImageRef, Manifest, Session};
use boxwright_image::archive;
use boxwright_image::config::ImageConfig;
use boxwright_image::layout::Layout;
use boxwright_image::view::{Node, NodeKind, Tree};
use tokio::io::AsyncReadExt as _;

use crate::case::{CaseResult, Failure};

/// No file that a case reads is larger.
const FILE_LIMIT: u64 = 16 << 20;

/// An image as it is: manifest, config, and the file system that its layers make. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Image(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    layout: Layout,
    manifest: Manifest,
    config: ImageConfig,
    tree: Tree,
    names: Vec<String>,
}

impl Image {
    /// Reads the one image of an archive, keeping its blobs in `folder`.
    ///
    /// # Errors
    ///
    /// [`Failure::Promise`] when the archive cannot be read or does not hold exactly one image.
    pub async fn from_archive(archive: &Path, folder: &Path) -> CaseResult<Self> {
        let broken = |error: boxwright_core::Error| {
            let failure = Failure::from(error);
            Failure::promise(format!("the archive cannot be read: {failure}"))
        };
        let layout = Layout::open(folder)?;
        let mut images = archive::read(archive, &layout).await.map_err(broken)?;
        let (Some(image), true) = (images.pop(), images.is_empty()) else {
            let message = format!("the archive holds {} images, not one", images.len() + 1);
            return Err(Failure::promise(message));
        };
        Self::open(layout, image.manifest, image.names).await
    }

    /// Pulls an image, keeping its blobs in `folder`.
    ///
    /// # Errors
    ///
    /// [`Failure::Engine`] when the registry does not give it.
    pub async fn from_registry(
        name: &ImageRef,
        session: &Session,
        folder: &Path,
    ) -> CaseResult<Self> {
        let layout = Layout::open(folder)?;
        let client = boxwright_registry::Client::new(
            &session.host,
            session.registries.clone(),
            session.credentials.clone(),
        );
        let manifest = client.pull(name, None, &layout).await?;
        Self::open(layout, manifest, Vec::new()).await
    }

    async fn open(layout: Layout, manifest: Manifest, names: Vec<String>) -> CaseResult<Self> {
        let config = layout.config(&manifest).await?;
        let tree = Tree::from_layers(&layout, &manifest).await?;
        Ok(Self(Arc::new(Inner { layout, manifest, config, tree, names })))
    }

    /// Returns digests and sizes.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.0.manifest
    }

    /// Returns the config.
    #[must_use]
    pub fn config(&self) -> &ImageConfig {
        &self.0.config
    }

    /// Returns the file system.
    #[must_use]
    pub fn tree(&self) -> &Tree {
        &self.0.tree
    }

    /// Returns the names that the archive gives the image.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.0.names
    }

    /// Returns the value of an environment variable.
    #[must_use]
    pub fn variable(&self, name: &str) -> Option<&str> {
        let mut all = self.0.config.config.env.iter();
        all.find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
    }

    /// Returns the value of a label.
    #[must_use]
    pub fn label(&self, name: &str) -> Option<&str> {
        self.0.config.config.labels.get(name).map(String::as_str)
    }

    /// Returns whether there is anything at `path`.
    #[must_use]
    pub fn has(&self, path: &str) -> bool {
        self.0.tree.get(path).is_some()
    }

    /// Returns what is at `path`, which must be there. Links are not followed.
    ///
    /// # Errors
    ///
    /// [`Failure::Promise`] when there is nothing.
    #[track_caller]
    pub fn node(&self, path: &str) -> CaseResult<&Node> {
        match self.0.tree.get(path) {
            Some(node) => Ok(node),
            None => Err(self.nothing_at(path)),
        }
    }

    /// Returns the regular file at `path`.
    ///
    /// # Errors
    ///
    /// [`Failure::Promise`] when there is none.
    #[track_caller]
    pub fn file(&self, path: &str) -> CaseResult<&Node> {
        let node = self.node(path)?;
        match node.kind {
            NodeKind::File { .. } => Ok(node),
            ref other => Err(wrong_kind(path, "a file", other)),
        }
    }

    /// Returns the folder at `path`.
    ///
    /// # Errors
    ///
    /// [`Failure::Promise`] when there is none.
    #[track_caller]
    pub fn folder(&self, path: &str) -> CaseResult<&Node> {
        let node = self.node(path)?;
        match node.kind {
            NodeKind::Folder => Ok(node),
            ref other => Err(wrong_kind(path, "a folder", other)),
        }
    }

    /// Returns where the symbolic link at `path` points.
    ///
    /// # Errors
    ///
    /// [`Failure::Promise`] when there is none.
    #[track_caller]
    pub fn link(&self, path: &str) -> CaseResult<String> {
        match &self.node(path)?.kind {
            NodeKind::Symlink { target } => Ok(target.to_string_lossy().into_owned()),
            other => Err(wrong_kind(path, "a symbolic link", other)),
        }
    }

    /// Returns the content of the file at `path`.
    ///
    /// # Errors
    ///
    /// [`Failure::Promise`] when there is no file.
    pub async fn bytes(&self, path: &str) -> CaseResult<Vec<u8>> {
        self.file(path)?;
        let Inner { layout, manifest, tree, .. } = &*self.0;
        Ok(tree.read_file(layout, manifest, path, FILE_LIMIT).await?)
    }

    /// Returns the content of the file that `path` leads to when links are followed, of at most `limit` bytes.
    ///
    /// # Errors
    ///
    /// [`Failure::Engine`] when there is no file, or a larger one.
    pub async fn read_through_links(&self, path: &str, limit: u64) -> CaseResult<Vec<u8>> {
        let Inner { layout, manifest, tree, .. } = &*self.0;
        Ok(tree.read_file(layout, manifest, path, limit).await?)
    }

    /// Returns the bytes of the manifest and of the config.
    ///
    /// # Errors
    ///
    /// [`Failure::Engine`] when one is not there.
    pub async fn documents(&self) -> CaseResult<[Vec<u8>; 2]> {
        let Inner { layout, manifest, .. } = &*self.0;
        let limit = boxwright_image::manifest::DOCUMENT_LIMIT;
        Ok([
            layout.read(&manifest.descriptor.digest, limit).await?,
            layout.read(&manifest.config.digest, limit).await?,
        ])
    }

    /// Returns the content of the file at `path` as text.
    ///
    /// # Errors
    ///
    /// [`Failure::Promise`] when there is no file.
    pub async fn text(&self, path: &str) -> CaseResult<String> {
        Ok(String::from_utf8_lossy(&self.bytes(path).await?).into_owned())
    }

    /// Returns the names in the folder at `path`, sorted.
    #[must_use]
    pub fn names_in(&self, path: &str) -> Vec<String> {
        let names = self.0.tree.names_in(Path::new(path));
        let mut names: Vec<_> = names.map(|name| name.to_string_lossy().into_owned()).collect();
        names.sort_unstable();
        names
    }

    /// Returns all paths, with type, mode, owner and size, one a line.
    #[must_use]
    pub fn file_list(&self) -> String {
        let line = |(path, node): (&Path, &Node)| {
            let what = match &node.kind {
                NodeKind::File { size, digest } => format!("file {size} {}", digest.short()),
                NodeKind::Folder => "folder".to_owned(),
                NodeKind::Symlink { target } => format!("link to {}", target.display()),
                other => format!("{other:?}"),
            };
            format!("{:04o} {}:{} /{} {what}\n", node.mode, node.uid, node.gid, path.display())
        };
        self.0.tree.iter().map(line).collect()
    }

    /// Returns the manifest, the config, and each layer uncompressed, by what they are.
    ///
    /// # Errors
    ///
    /// [`Failure::Engine`] when a blob is not there.
    pub async fn all_bytes(&self) -> CaseResult<Vec<(String, Vec<u8>)>> {
        let Inner { layout, manifest, .. } = &*self.0;
        let mut all = Vec::new();
        for (what, descriptor) in
            [("the manifest", &manifest.descriptor), ("the config", &manifest.config)]
        {
            let bytes = layout.read(&descriptor.digest, boxwright_image::manifest::DOCUMENT_LIMIT);
            all.push((what.to_owned(), bytes.await?));
        }
        for (number, (layer, _)) in manifest.layers.iter().enumerate() {
            let mut bytes = Vec::new();
            layout.open(&layer.digest).await?.read_to_end(&mut bytes).await?;
            let plain = boxwright_testkit::decompress(&bytes)
                .map_err(|error| Failure::promise(format!("layer {number}: {error}")))?;
            all.push((format!("layer {number}"), plain));
        }
        Ok(all)
    }

    #[track_caller]
    fn nothing_at(&self, path: &str) -> Failure {
        let folder = Path::new(path).parent().map(|parent| parent.to_string_lossy().into_owned());
        let beside = self.names_in(&folder.unwrap_or_default()).join(", ");
        Failure::promise(format!("there is no `{path}`; beside it: {beside}"))
    }
}

#[track_caller]
fn wrong_kind(path: &str, wanted: &str, found: &NodeKind) -> Failure {
    Failure::promise(format!("`{path}` is not {wanted}, but {found:?}"))
}
