//! Finds and reads the Dockerfile and the ignore file that goes with it.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Component, Path, PathBuf};

use boxwright_core::{DockerfileSource, Error, ErrorKind, Result};

use crate::ignore;
use crate::root::Root;

/// The largest Dockerfile or ignore file that is read: 10 MiB.
const LIMIT: u64 = 10 << 20;

/// Names of a Dockerfile that need not be said, in their order.
const NAMES: [&str; 2] = ["Dockerfile", "Containerfile"];

/// A Dockerfile that was read.
#[derive(Debug)]
pub(crate) struct Dockerfile {
    /// Its path inside the context; of one outside, its file name.
    pub(crate) name: String,
    pub(crate) text: String,
    pub(crate) place: Place,
}

/// Where a Dockerfile is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Inside,
    Outside(PathBuf),
    /// Nowhere: its text was given.
    Text,
}

impl Dockerfile {
    pub(crate) fn find(root: &Root, folder: &Path, source: &DockerfileSource) -> Result<Self> {
        match source {
            DockerfileSource::Text(text) => {
                Ok(Self { name: NAMES[0].into(), text: text.clone(), place: Place::Text })
            }
            DockerfileSource::Default => {
                for name in NAMES {
                    match root.open_resolved(Path::new(name)) {
                        Ok((file, _)) => return Self::read(file, name.into(), Place::Inside),
                        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                        Err(error) => return Err(cannot_read(name, error)),
                    }
                }
                Err(Error::new(
                    ErrorKind::NotFound,
                    format!("cannot find a Dockerfile in `{}`", folder.display()),
                )
                .with_cause(format!("it has neither `{}` nor `{}`", NAMES[0], NAMES[1]))
                .with_remedy("name the file with `--file`"))
            }
            DockerfileSource::Path(path) => Self::at(root, folder, path),
        }
    }

    fn at(root: &Root, folder: &Path, path: &Path) -> Result<Self> {
        let shown = path.display().to_string();
        let inside = if path.is_absolute() { below(folder, path) } else { Some(path.to_owned()) };
        let Some(inside) = inside else {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let file = open_outside(path).map_err(|error| cannot_read(&shown, error))?;
            return Self::read(file, name, Place::Outside(path.to_owned()));
        };
        let name = inside_name(&inside).ok_or_else(|| {
            Error::new(ErrorKind::InvalidInput, format!("cannot read `{shown}`"))
                .with_cause("the path leads out of the context, or is not UTF-8")
                .with_remedy("give its absolute path with `--file`")
        })?;
        match root.open_resolved(&inside) {
            Ok((file, _)) => Self::read(file, name, Place::Inside),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(Error::new(ErrorKind::NotFound, format!("cannot read `{name}`"))
                    .with_cause("there is no such file in the context")
                    .with_context("context", folder.display().to_string())
                    .with_remedy("name the file with `--file`"))
            }
            Err(error) => Err(cannot_read(&name, error)),
        }
    }

    fn read(file: File, name: String, place: Place) -> Result<Self> {
        let text = read_text(file, &name)?;
        Ok(Self { name, text, place })
    }
}

/// The ignore file that applies.
#[derive(Debug)]
pub(crate) struct IgnoreFile {
    pub(crate) name: String,
    pub(crate) patterns: Vec<String>,
}

impl IgnoreFile {
    /// Finds the ignore file: the Dockerfile's own, else the context's.
    pub(crate) fn find(root: &Root, dockerfile: &Dockerfile) -> Result<Option<Self>> {
        let own = format!("{}.dockerignore", dockerfile.name);
        match &dockerfile.place {
            Place::Outside(path) => {
                let beside = path.with_file_name(&own);
                if let Some(found) = Self::read(&own, open_outside(&beside))? {
                    return Ok(Some(found));
                }
            }
            Place::Inside => {
                let opened = root.open_resolved(Path::new(&own)).map(|(file, _)| file);
                if let Some(found) = Self::read(&own, opened)? {
                    return Ok(Some(found));
                }
            }
            Place::Text => {}
        }
        for name in [".containerignore", ".dockerignore"] {
            let opened = root.open_resolved(Path::new(name)).map(|(file, _)| file);
            if let Some(found) = Self::read(name, opened)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    fn read(name: &str, opened: io::Result<File>) -> Result<Option<Self>> {
        match opened {
            Ok(file) => {
                let patterns = ignore::parse(&read_text(file, name)?);
                Ok(Some(Self { name: name.to_owned(), patterns }))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(cannot_read(name, error)),
        }
    }
}

/// Returns `path` relative to `folder`, if it is below it when links to both are followed.
fn below(folder: &Path, path: &Path) -> Option<PathBuf> {
    if let Ok(inside) = path.strip_prefix(folder) {
        return Some(inside.to_owned());
    }
    let parent = path.parent()?.canonicalize().ok()?;
    let inside = parent.strip_prefix(folder.canonicalize().ok()?).ok()?;
    Some(inside.join(path.file_name()?))
}

/// Returns the cleaned name of a path in the context, unless it climbs out.
fn inside_name(path: &Path) -> Option<String> {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => parts.push(name.to_str()?),
            Component::ParentDir => drop(parts.pop()?),
            Component::CurDir => {}
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    (!parts.is_empty()).then(|| parts.join("/"))
}

fn open_outside(path: &Path) -> io::Result<File> {
    use rustix::fs::{FileType, Mode, OFlags};
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = rustix::fs::open(path, flags, Mode::empty())?;
    match FileType::from_raw_mode(rustix::fs::fstat(&file)?.st_mode) {
        FileType::RegularFile => Ok(File::from(file)),
        _ => Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file")),
    }
}

fn read_text(file: File, name: &str) -> Result<String> {
    let mut bytes = Vec::new();
    file.take(LIMIT + 1).read_to_end(&mut bytes).map_err(|error| cannot_read(name, error))?;
    let wrong =
        |kind, cause: &str| Error::new(kind, format!("cannot read `{name}`")).with_cause(cause);
    if bytes.len() as u64 > LIMIT {
        return Err(wrong(ErrorKind::Exhausted, "it has more than 10 MiB"));
    }
    String::from_utf8(bytes).map_err(|_| wrong(ErrorKind::InvalidInput, "it is not UTF-8"))
}

fn cannot_read(name: &str, error: io::Error) -> Error {
    let kind = match error.kind() {
        io::ErrorKind::NotFound => ErrorKind::NotFound,
        _ => ErrorKind::InvalidInput,
    };
    let remedy = match error.kind() {
        io::ErrorKind::PermissionDenied => "make the file readable for this user",
        _ => "name another file with `--file`",
    };
    Error::new(kind, format!("cannot read `{name}`")).with_source(error).with_remedy(remedy)
}
