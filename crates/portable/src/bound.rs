//! Files of a context that are mounted: a layer of their own, made when a command needs it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use boxwright_core::{CacheUse, Descriptor, Digest, Result};
use boxwright_image::tar::{Header, Kind};

use crate::arrange::arranger;
use crate::blocking;
use crate::build::Build;
use crate::draft::{Content, Draft, Entry};
use crate::files::Files;
use crate::key::Key;
use crate::select::{self, Chosen, Picked};
use crate::store::Record;

/// A file of a context, or a folder with all that is in it.
pub(crate) struct Bound {
    path: PathBuf,
    /// With their paths in the context.
    chosen: Picked,
}

impl Bound {
    /// Returns where it is in the context, and so in the layer.
    pub(crate) fn path(&self) -> PathBuf {
        self.path.clone()
    }

    pub(crate) fn add_to_key(&self, key: &mut Key) {
        key.add(self.path.as_os_str().as_encoded_bytes());
        select::add_to_key(std::slice::from_ref(&self.chosen), key);
    }

    fn into_files(self) -> Vec<Chosen> {
        match self.chosen {
            Picked::Parents(files) => files,
            _ => Vec::new(),
        }
    }
}

/// Finds what is at `path`, where links lead it inside the context. Blocks.
pub(crate) fn list(files: &Files, path: &str) -> Result<Bound> {
    let (path, chosen) = select::whole(files, path)?;
    let mut all = [Picked::Parents(chosen)];
    select::complete(&mut all, files)?;
    let [chosen] = all;
    Ok(Bound { path, chosen })
}

/// Makes the layer, unless it is there from an earlier build. An empty folder has none.
pub(crate) async fn layer(
    build: &Build<'_>,
    files: Arc<Files>,
    bound: Bound,
) -> Result<Vec<(Descriptor, Digest)>> {
    let around = &build.around;
    let mut key = Key::after("bound").with(format!("{:?}", around.epoch));
    bound.add_to_key(&mut key);
    let key = key.finish();
    if around.cache == CacheUse::Use
        && let Some(record) = around.store.step(&key).await?
    {
        return Ok(record.layer.into_iter().collect());
    }
    let (layout, epoch) = (around.store.layout().clone(), around.epoch);
    let cancel = build.session.cancel.clone();
    let layer = blocking(move || {
        let tree = Arc::default();
        let mut arranger = arranger(&tree, Some((0, 0)), epoch.unwrap_or_default());
        arranger.place(bound.into_files(), &layout)?;
        let mut draft = arranger.draft;
        if draft.is_empty() {
            return Ok(None);
        }
        if let Some(epoch) = epoch {
            draft.set_time(epoch);
        }
        let layer = draft.write(&layout, &files, &cancel)?.keep()?;
        Ok(Some((layer.descriptor, layer.diff_id)))
    })
    .await?;
    // When it was made is nobody's business: the layer is in no image.
    let record = around.store.remember(&key, Record { created: 0, layer }, around.cache).await?;
    Ok(record.layer.into_iter().collect())
}

/// Makes the layer of one program with this text.
pub(crate) async fn text(
    build: &Build<'_>,
    name: &str,
    content: &str,
) -> Result<(Descriptor, Digest)> {
    let kind = Kind::File { size: content.len() as u64 };
    let modified = (build.around.epoch.unwrap_or_default(), 0);
    let header = Header { modified, ..Header::new("", kind, 0o755) };
    let content = Content::Text(content.into());
    let mut draft = Draft::default();
    let entry = Entry { header, content, link: None, is_given: false };
    draft.entries.insert(Path::new(name).to_owned(), entry);
    let (layout, cancel) = (build.around.store.layout().clone(), build.session.cancel.clone());
    let layer = blocking(move || draft.write(&layout, &Files::nothing(), &cancel)?.keep()).await?;
    Ok((layer.descriptor, layer.diff_id))
}
