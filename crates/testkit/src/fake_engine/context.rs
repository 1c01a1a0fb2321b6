//! The build context, as files in memory.

use std::io::Read as _;

use boxwright_context::{Context, EntryKind};
use boxwright_core::{BuildRequest, ContextSource, DockerfileSource, Error, ErrorKind, Result};

use super::FakeEngine;
use super::defect::Defect;
use super::root::{Kind, Node, Root};

/// Reads the Dockerfile's text and the files of the context.
pub(super) fn read(engine: &FakeEngine, request: &BuildRequest) -> Result<(String, Root)> {
    let folder = match &request.context {
        ContextSource::Folder(folder) => folder,
        ContextSource::Empty => {
            let DockerfileSource::Text(text) = &request.dockerfile else {
                let message = "there is no context to take the Dockerfile from";
                return Err(Error::new(ErrorKind::InvalidInput, message));
            };
            return Ok((text.clone(), Root::default()));
        }
        ContextSource::Tar | ContextSource::Address(_) => {
            let message = "the fake engine cannot read this kind of context";
            return Err(Error::new(ErrorKind::Bug, message));
        }
    };
    let context = Context::open(folder, &request.dockerfile)?;
    let mut root = Root::default();
    if engine.has(Defect::IgnoresIgnoreFile) {
        return Ok((context.dockerfile_text().to_owned(), whole_folder(folder)?));
    }
    for entry in context.walk() {
        let entry = entry?;
        let kind = match &entry.kind {
            EntryKind::Folder => Kind::Folder,
            EntryKind::Symlink { target } if engine.has(Defect::FollowsLinks) => {
                let target = folder.join(&entry.path).with_file_name(target);
                Kind::File(std::fs::read(target).unwrap_or_default().into())
            }
            EntryKind::Symlink { target } => Kind::Link(target.clone()),
            EntryKind::File { .. } => {
                let mut content = Vec::new();
                context.open_file(&entry)?.read_to_end(&mut content).map_err(|error| {
                    Error::new(ErrorKind::InvalidInput, format!("cannot read `{}`", entry.path))
                        .with_source(error)
                })?;
                Kind::File(content.into())
            }
            _ => continue,
        };
        let node = Node { modified: entry.modified.0, ..Node::new(kind, entry.mode) };
        root.put(&entry.path, node);
    }
    Ok((context.dockerfile_text().to_owned(), root))
}

/// Reads a folder without any rules, for the defect that does so.
fn whole_folder(folder: &std::path::Path) -> Result<Root> {
    let mut root = Root::default();
    let mut open = vec![folder.to_owned()];
    let cannot = |error| Error::new(ErrorKind::InvalidInput, "cannot read it").with_source(error);
    while let Some(next) = open.pop() {
        for entry in std::fs::read_dir(next).map_err(cannot)? {
            let path = entry.map_err(cannot)?.path();
            let name = path.strip_prefix(folder).unwrap_or(&path).to_string_lossy().into_owned();
            if path.is_dir() {
                root.put(&name, Node::new(Kind::Folder, 0o755));
                open.push(path);
            } else if let Ok(content) = std::fs::read(&path) {
                root.put(&name, Node::file(&content, 0o644));
            }
        }
    }
    Ok(root)
}
