//! The files of a context: found, hashed and written.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Component, Path, PathBuf};

use boxwright_context::{Context, Entry, EntryKind};
use boxwright_core::{DockerfileSource, Error, ErrorKind, Result};
use sha2::{Digest as _, Sha256};

use crate::model::CopyMode;
use crate::problem::Problem;

/// A file, folder or link of a context.
#[derive(Clone, Debug)]
pub struct ContextFile {
    /// Where it is in the context.
    pub path: String,
    /// Whether it is a program.
    pub is_executable: bool,
    /// What is in it.
    pub content: FileContent,
}

/// What is in a [`ContextFile`].
#[derive(Clone, Debug)]
pub enum FileContent {
    /// This text.
    Text(String),
    /// What this file has.
    File(PathBuf),
    /// What was listed in a folder.
    Listed(Context, Box<Entry>),
    /// It is a link to this path.
    Link(String),
    /// It is a folder.
    Folder,
}

impl ContextFile {
    pub(crate) fn text(path: &str, text: String) -> Self {
        let content = FileContent::Text(text);
        Self { path: path.to_owned(), is_executable: false, content }
    }

    fn open(&self) -> io::Result<Box<dyn Read + '_>> {
        Ok(match &self.content {
            FileContent::Text(text) => Box::new(text.as_bytes()),
            FileContent::File(path) => Box::new(File::open(path)?),
            FileContent::Listed(context, entry) => {
                Box::new(context.open_file(entry).map_err(io::Error::other)?)
            }
            FileContent::Link(_) | FileContent::Folder => Box::new(io::empty()),
        })
    }

    /// Adds to `hash` all that an image will have of it, and nothing else.
    pub(crate) fn hash(&self, hash: &mut Sha256) -> Result<()> {
        let mut own = Sha256::new();
        io::copy(&mut self.open().map_err(|it| self.unreadable(&it))?, &mut own)
            .map_err(|it| self.unreadable(&it))?;
        let kind = match &self.content {
            FileContent::Link(target) => format!("link {target:?}"),
            FileContent::Folder => "folder".to_owned(),
            _ if self.is_executable => "program".to_owned(),
            _ => "file".to_owned(),
        };
        hash.update(format!("{:?} {kind} ", self.path));
        hash.update(own.finalize());
        Ok(())
    }

    /// Writes it into the folder of a context.
    pub(crate) fn write(&self, folder: &Path) -> Result<()> {
        let target = folder.join(&self.path);
        let written = || {
            if let Some(parent) = target.parent() {
                std::fs::create_dir_all(parent)?;
            }
            match &self.content {
                FileContent::Folder => std::fs::create_dir_all(&target),
                FileContent::Link(to) => std::os::unix::fs::symlink(to, &target),
                _ => {
                    let mode = if self.is_executable { 0o755 } else { 0o644 };
                    let mut options = std::fs::OpenOptions::new();
                    let mut file = options.write(true).create_new(true).mode(mode).open(&target)?;
                    io::copy(&mut self.open()?, &mut file)?;
                    file.flush()
                }
            }
        };
        written().map_err(|error| {
            Error::new(ErrorKind::Exhausted, format!("cannot write `{}`", target.display()))
                .with_source(error)
                .with_remedy("name an empty folder with room, or free some")
        })
    }

    fn unreadable(&self, error: &io::Error) -> Error {
        Error::new(ErrorKind::InvalidInput, format!("cannot read `{}`", self.path))
            .with_cause(error.to_string())
            .with_remedy("make it readable for this user, or leave it out")
    }
}

/// Resolves a path that a field names. It is in `folder`, wherever links lead.
pub(crate) fn inside(folder: &Path, field: &str, path: &str) -> Result<PathBuf, Problem> {
    let leaves = || {
        Problem::new(
            format!("`{field}` leaves the folder of the specification: `{path}`"),
            "copy the file there, and name it by its path from there",
        )
    };
    let named = Path::new(path);
    if named.components().any(|it| !matches!(it, Component::Normal(_) | Component::CurDir)) {
        return Err(leaves());
    }
    let missing = |error: io::Error| {
        Problem::new(
            format!("`{field}` names `{path}`, which cannot be read: {error}"),
            "correct the path; it is relative to the folder of the specification",
        )
    };
    let root = folder.canonicalize().map_err(missing)?;
    let found = folder.join(named).canonicalize().map_err(missing)?;
    if found.starts_with(&root) { Ok(found) } else { Err(leaves()) }
}

/// Lists a file, or all of a folder, as `below/PATH`.
pub(crate) fn copied(
    folder: &Path,
    path: &str,
    below: &str,
    field: &str,
    files: &mut Vec<ContextFile>,
) -> Result<(), Problem> {
    let found = inside(folder, field, path)?;
    let normal: PathBuf =
        Path::new(path).components().filter(|it| *it != Component::CurDir).collect();
    let to = if normal.as_os_str().is_empty() {
        below.to_owned()
    } else {
        format!("{below}/{}", normal.display())
    };
    if found.is_dir() {
        return whole(&found, &to, field, files);
    }
    let data = found.metadata().map_err(|error| unlisted(field, &error))?;
    if !data.is_file() {
        let what = format!("`{field}` names `{path}`, which is no file and no folder");
        return Err(Problem::new(what, "leave it out"));
    }
    let is_executable = data.permissions().mode() & 0o111 != 0;
    files.push(ContextFile { path: to, is_executable, content: FileContent::File(found) });
    Ok(())
}

/// Lists all that a folder has.
fn whole(
    folder: &Path,
    below: &str,
    field: &str,
    files: &mut Vec<ContextFile>,
) -> Result<(), Problem> {
    let context = Context::open_whole(folder).map_err(|error| unlisted(field, &error))?;
    files.push(at_folder(below));
    for entry in context.walk() {
        let entry = entry.map_err(|error| unlisted(field, &error))?;
        files.extend(file(&context, entry, below));
    }
    Ok(())
}

/// Lists a source: without what its `.dockerignore` names, what git ignores, and what Flyte always leaves out. With
/// [`CopyMode::Auto`], files of Python alone. A folder is there for what is in it.
pub(crate) fn source(
    folder: &Path,
    below: &str,
    mode: CopyMode,
    ignored: Option<&BTreeSet<String>>,
    files: &mut Vec<ContextFile>,
) -> Result<(), Problem> {
    let field = "source_root";
    let nothing = DockerfileSource::Text(String::new());
    let context = Context::open(folder, &nothing).map_err(|error| unlisted(field, &error))?;
    let mut folders = Vec::new();
    let mut needed = BTreeSet::new();
    for entry in context.walk() {
        let entry = entry.map_err(|error| unlisted(field, &error))?;
        if is_litter(&entry.path) || ignored.is_some_and(|it| it.contains(&entry.path)) {
            continue;
        }
        let is_file = matches!(entry.kind, EntryKind::File { .. });
        if is_file && mode == CopyMode::Auto && !entry.path.ends_with(".py") {
            continue;
        }
        let Some(found) = file(&context, entry, below) else { continue };
        if let FileContent::Folder = found.content {
            folders.push(found);
        } else {
            needed.extend(Path::new(&found.path).ancestors().skip(1).map(Path::to_owned));
            files.push(found);
        }
    }
    files.push(at_folder(below));
    files.extend(folders.into_iter().filter(|it| needed.contains(Path::new(&it.path))));
    Ok(())
}

fn at_folder(path: &str) -> ContextFile {
    ContextFile { path: path.to_owned(), is_executable: true, content: FileContent::Folder }
}

/// What a listed entry is in the context. `None` for what no image has, such as a socket.
fn file(context: &Context, entry: Entry, below: &str) -> Option<ContextFile> {
    let is_executable = entry.mode & 0o111 != 0;
    let path = format!("{below}/{}", entry.path);
    let content = match &entry.kind {
        EntryKind::Folder => FileContent::Folder,
        EntryKind::Symlink { target } => FileContent::Link(target.clone()),
        EntryKind::File { .. } => FileContent::Listed(context.clone(), Box::new(entry)),
        _ => return None,
    };
    Some(ContextFile { path, is_executable, content })
}

/// What Flyte always leaves out of a source.
// SPEC: flytekit 1.16, `tools/ignore.py`: STANDARD_IGNORE_PATTERNS; `tools/script_mode.py`: EXCLUDE_DIRS.
fn is_litter(path: &str) -> bool {
    let mut names = path.split('/');
    path.ends_with(".pyc")
        || names.clone().next() == Some(".cache")
        || names.any(|name| name == ".git" || name == "__pycache__")
}

fn unlisted(field: &str, error: &dyn std::error::Error) -> Problem {
    Problem::new(
        format!("`{field}` cannot be listed: {error}"),
        "make its files readable for this user, or leave them out",
    )
}
