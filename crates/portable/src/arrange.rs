//! Where the files of a step go in the image.

use std::io::{self, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use boxwright_core::{Error, ErrorKind, Result};
use boxwright_dockerfile::plan::{CopyStep, Mode};
use boxwright_image::layout::Layout;
use boxwright_image::tar::{Header, Kind};
use boxwright_image::view::{self, NodeKind, Tree};

use crate::archive;
use crate::draft::{Content, Draft, Entry, spool_file};
use crate::fetch::Fetched;
use crate::files::{self, Files};
use crate::mode;
use crate::select::{Chosen, Picked};

/// The image below a step, and how the step writes.
#[derive(Debug)]
pub(crate) struct Arranger<'t> {
    pub(crate) tree: &'t Tree,
    pub(crate) draft: Draft,
    /// `--chown`
    pub(crate) owner: Option<(u32, u32)>,
    /// The mode of folders that are made on the way.
    folder_mode: u32,
    /// How many archives were unpacked.
    archives: u64,
    /// What files are taken from, where that is not the source of the step.
    fetched: Option<Arc<Fetched>>,
    /// The time of what the step makes itself.
    pub(crate) time: i64,
}

impl Arranger<'_> {
    /// Makes the folder `path`, and those above it. Returns where links lead it.
    pub(crate) fn folder(&mut self, path: &str) -> Result<PathBuf> {
        let path = self.follow(Path::new(path))?;
        self.ensure(&path)?;
        Ok(path)
    }

    /// Places all that a copy takes. Blocks.
    pub(crate) fn copy(
        &mut self,
        step: &CopyStep,
        selection: Vec<Picked>,
        files: &Files,
        layout: &Layout,
    ) -> Result<()> {
        let written = Path::new(&step.destination);
        // A layer that does not depend on those below cannot know of their links.
        let base = if step.link {
            written.strip_prefix("/").unwrap_or(written).to_owned()
        } else {
            self.follow(written)?
        };
        // As in BuildKit, `--chmod` counts for folders on the way too, and for the destination where a slash says that
        // it is a folder.
        if let Some(Mode::Bits(bits)) = step.mode {
            let folder = if step.into_folder { Some(base.as_path()) } else { base.parent() };
            let usual = std::mem::replace(&mut self.folder_mode, bits);
            self.ensure(folder.unwrap_or(Path::new("")))?;
            self.folder_mode = usual;
        }
        for picked in selection {
            // Several files that match a pattern do not make the destination a folder: the last one stays, as in BuildKit.
            let into_folder = step.into_folder || step.items.len() > 1 || self.is_folder(&base);
            match picked {
                Picked::Fetched(fetched, picked) => {
                    self.fetched = Some(fetched.clone());
                    let placed =
                        self.one_source(&base, into_folder, step, *picked, &fetched.files, layout);
                    self.fetched = None;
                    placed?;
                }
                picked => self.one_source(&base, into_folder, step, picked, files, layout)?,
            }
        }
        Ok(())
    }

    fn one_source(
        &mut self,
        base: &Path,
        into_folder: bool,
        step: &CopyStep,
        picked: Picked,
        files: &Files,
        layout: &Layout,
    ) -> Result<()> {
        let mode = step.mode.as_ref();
        let place = |name: String| if into_folder { base.join(name) } else { base.to_owned() };
        match picked {
            // A folder that is new has the mode of any folder that is made on the way, as in BuildKit.
            Picked::Folder(inside) | Picked::Parents(inside) => {
                self.ensure(base)?;
                self.all(base, inside, mode, layout)
            }
            Picked::File { name, file } => self.one(place(name), file, mode, layout),
            Picked::Inline { name, content } => {
                let kind = Kind::File { size: content.len() as u64 };
                let header = Header { modified: (self.time, 0), ..Header::new("", kind, 0o644) };
                let header = self.changed(header, mode);
                self.put(place(name), header, Content::Text(content.into()), None)
            }
            Picked::Archive(file) => self.unpack(base, &file, files, layout),
            Picked::Fetched(..) => Err(Error::new(ErrorKind::Bug, "a source was fetched twice")),
        }
    }

    /// Places files where they are in their source. Blocks.
    pub(crate) fn place(&mut self, files: Vec<Chosen>, layout: &Layout) -> Result<()> {
        self.all(Path::new(""), files, None, layout)
    }

    fn all(
        &mut self,
        base: &Path,
        inside: Vec<Chosen>,
        mode: Option<&Mode>,
        layout: &Layout,
    ) -> Result<()> {
        for file in inside {
            self.one(base.join(&file.path), file, mode, layout)?;
        }
        Ok(())
    }

    fn one(
        &mut self,
        path: PathBuf,
        file: Chosen,
        mode: Option<&Mode>,
        layout: &Layout,
    ) -> Result<()> {
        let content = match file.header.kind {
            Kind::File { .. } => match self.fetched.clone() {
                Some(fetched) => self.spooled(&fetched, &file.source, layout)?,
                None => Content::Source(file.source, file.digest),
            },
            _ => Content::Nothing,
        };
        // Of what was fetched, links mean nothing beside.
        let link = file.link.filter(|_| self.fetched.is_none());
        let is_folder = file.header.kind == Kind::Folder;
        let there = self.kind(&path);
        let fits = match &there {
            Some(there) => is_folder == (*there == Kind::Folder),
            None => true,
        };
        if !fits {
            let what = if is_folder {
                "a folder cannot replace a file"
            } else {
                "a file cannot replace a folder"
            };
            return Err(blocked(&path, what));
        }
        self.put(path, self.changed(file.header, mode), content, link)
    }

    /// Keeps the content of a file that is gone before the layer is written.
    fn spooled(&mut self, fetched: &Fetched, source: &Path, layout: &Layout) -> Result<Content> {
        let mut spool = match self.draft.spool.take() {
            Some(spool) => spool,
            None => spool_file(layout)?,
        };
        let start = spool.seek(SeekFrom::End(0)).map_err(boxwright_image::read_error)?;
        let copied = io::copy(&mut fetched.files.open(source)?, &mut spool);
        let length = copied.map_err(boxwright_image::read_error)?;
        self.draft.spool = Some(spool);
        Ok(Content::Spool(start, length))
    }

    fn unpack(&mut self, base: &Path, file: &Chosen, files: &Files, layout: &Layout) -> Result<()> {
        let mut spool = match self.draft.spool.take() {
            Some(spool) => spool,
            None => spool_file(layout)?,
        };
        let mut length = spool.metadata().map_err(boxwright_image::read_error)?.len();
        let unpacked =
            archive::unpack(files.open(&file.source)?, self.archives, &mut spool, &mut length)?;
        self.draft.spool = Some(spool);
        self.archives += 1;
        self.ensure(base)?;
        for entry in unpacked {
            let Some(name) = entry.header.path.file_name() else { continue };
            // The folders on the way may be links in the image, or in the archive itself (threat 2). None leads out of
            // the destination, which is the root for all that is unpacked.
            let parent = entry.header.path.parent().unwrap_or(Path::new(""));
            let path = self.follow_below(base, parent)?.join(name);
            let is_folder = entry.header.kind == Kind::Folder;
            if !is_folder
                && self.draft.entries.get(&path).is_some_and(|it| it.header.kind == Kind::Folder)
            {
                self.draft.entries.retain(|below, _| !below.starts_with(&path));
            }
            let content = match entry.header.kind {
                Kind::File { .. } => Content::Spool(entry.content.0, entry.content.1),
                _ => Content::Nothing,
            };
            self.put(path, self.changed(entry.header, None), content, entry.link)?;
        }
        Ok(())
    }

    fn changed(&self, mut header: Header, mode: Option<&Mode>) -> Header {
        if let Some(owner) = self.owner {
            (header.uid, header.gid) = owner;
        }
        if let Some(mode) = mode {
            header.mode = mode::apply(mode, header.mode, header.kind == Kind::Folder);
        }
        header
    }

    fn put(
        &mut self,
        path: PathBuf,
        header: Header,
        content: Content,
        link: Option<(u64, u64)>,
    ) -> Result<()> {
        self.ensure(path.parent().unwrap_or(Path::new("")))?;
        self.draft.entries.insert(path, Entry { header, content, link, is_given: false });
        Ok(())
    }

    /// Makes sure that a folder, and each one above it, is an entry of the layer.
    fn ensure(&mut self, path: &Path) -> Result<()> {
        let above: Vec<&Path> = path.ancestors().collect();
        for folder in above.into_iter().rev().filter(|folder| !folder.as_os_str().is_empty()) {
            match self.draft.entries.get(folder) {
                Some(entry) if entry.header.kind == Kind::Folder => continue,
                Some(_) => {
                    return Err(blocked(folder, "it is a file, and a folder is needed there"));
                }
                None => {}
            }
            let entry = match self.tree.get(folder) {
                Some(node) if node.is_folder() => {
                    let header = files::of_node(node).header;
                    Entry { header, content: Content::Nothing, link: None, is_given: true }
                }
                Some(_) => {
                    return Err(blocked(folder, "it is a file, and a folder is needed there"));
                }
                None => {
                    let (uid, gid) = self.owner.unwrap_or_default();
                    let header = Header::new("", Kind::Folder, self.folder_mode);
                    let header = Header { uid, gid, modified: (self.time, 0), ..header };
                    Entry { header, content: Content::Nothing, link: None, is_given: false }
                }
            };
            self.draft.entries.insert(folder.to_owned(), entry);
        }
        Ok(())
    }

    fn kind(&self, path: &Path) -> Option<Kind> {
        match self.draft.entries.get(path) {
            Some(entry) => Some(entry.header.kind.clone()),
            None => self.tree.get(path).map(|node| files::of_node(node).header.kind),
        }
    }

    fn is_folder(&self, path: &Path) -> bool {
        path.as_os_str().is_empty() || self.kind(path) == Some(Kind::Folder)
    }

    fn follow(&self, path: &Path) -> Result<PathBuf> {
        self.follow_below(Path::new(""), path)
    }

    /// Follows links as if `root` were the root of the image.
    fn follow_below(&self, root: &Path, path: &Path) -> Result<PathBuf> {
        let link = |path: &Path| {
            let path = root.join(path);
            match self.draft.entries.get(&path) {
                Some(Entry { header: Header { kind: Kind::Symlink { target }, .. }, .. }) => {
                    Some(target.clone())
                }
                Some(_) => None,
                None => match &self.tree.get(path)?.kind {
                    NodeKind::Symlink { target } => Some(target.clone()),
                    _ => None,
                },
            }
        };
        let followed = view::follow(path, link);
        let followed = followed.ok_or_else(|| blocked(path, "its links are a circle"))?;
        // Joined components, so that no slash is left at the end where nothing follows.
        Ok(root.components().chain(followed.components()).collect())
    }
}

fn blocked(path: &Path, cause: &str) -> Error {
    let path = path.strip_prefix("/").unwrap_or(path);
    Error::new(ErrorKind::BuildFailed, format!("cannot write `/{}`", path.display()))
        .with_cause(cause)
        .with_remedy("choose another destination")
}

/// Returns an arranger of a step on `tree`.
pub(crate) fn arranger(tree: &Arc<Tree>, owner: Option<(u32, u32)>, time: i64) -> Arranger<'_> {
    let draft = Draft::default();
    Arranger { tree, draft, owner, folder_mode: 0o755, archives: 0, fetched: None, time }
}
