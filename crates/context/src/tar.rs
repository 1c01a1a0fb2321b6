//! A context as a tar stream.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};

use boxwright_core::{Error, ErrorKind, Result};
use boxwright_image::manifest::digest_of;
use boxwright_image::pipe::{PipeStream, PipeWriter};
use boxwright_image::tar::{Header, Kind, Writer};
use tokio::io::{AsyncRead, ReadBuf};

use crate::context::unreadable;
use crate::ignore::Rules;
use crate::{Context, Entry, EntryKind, Walk, xattr};

/// How a context is made a tar.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TarOptions {
    /// The text that the builder is to read in place of the Dockerfile's own. The context's own
    /// file stays as it is; the text goes under a name of its own.
    pub dockerfile_text: Option<String>,
    /// Which extended attributes go along.
    pub xattrs: Xattrs,
}

/// Which extended attributes go along.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Xattrs {
    /// `security.capability` alone, as Docker's own client has it.
    #[default]
    Capability,
    /// All that can be read.
    All,
    /// None, which saves a look at every file.
    None,
}

/// A context as a tar stream: read it to its end, or drop it. Its work is done in a thread of its own,
/// which begins with the first read, a few chunks of 1 MiB ahead at most.
#[derive(Debug)]
pub struct ContextTar {
    dockerfile_name: String,
    stream: PipeStream,
}

impl ContextTar {
    pub(crate) fn new(context: Context, options: TarOptions) -> Self {
        let mut replaced = BTreeMap::new();
        let mut dockerfile_name = context.dockerfile_name().to_owned();
        if options.dockerfile_text.is_some() || !context.dockerfile_is_inside() {
            let text = options.dockerfile_text.as_deref().unwrap_or(context.dockerfile_text());
            let hex = digest_of(text.as_bytes()).short().to_owned();
            dockerfile_name = format!(".boxwright.{hex}.Dockerfile");
            replaced = injected(&context, &dockerfile_name, text);
        }
        let stream = PipeStream::new(move |out| write(&context, options.xattrs, replaced, out));
        Self { dockerfile_name, stream }
    }

    /// Returns the name that the Dockerfile has in the tar.
    #[must_use]
    pub fn dockerfile_name(&self) -> &str {
        &self.dockerfile_name
    }
}

impl AsyncRead for ContextTar {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut TaskContext<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

/// The names that a builder looks for ignore rules under, at the root of the context.
const IGNORE_FILES: [&str; 2] = [".containerignore", ".dockerignore"];

/// Returns the files that go in place of the context's own, or beside them: the Dockerfile under `name`, and
/// ignore files that keep it out of `COPY .`, as Docker's own client does.
fn injected(context: &Context, name: &str, text: &str) -> BTreeMap<String, Vec<u8>> {
    let has = |file: &str| context.0.root.open_resolved(file.as_ref()).is_ok();
    let mut patterns = context.exclude_patterns().to_vec();
    if !IGNORE_FILES.iter().any(|file| has(file)) {
        patterns.push(".dockerignore".into());
    }
    patterns.push(name.to_owned());
    let rules = (patterns.join("\n") + "\n").into_bytes();
    let mut files = BTreeMap::from([(name.to_owned(), text.as_bytes().to_vec())]);
    files.insert(".dockerignore".into(), rules.clone());
    if has(".containerignore") {
        files.insert(".containerignore".into(), rules);
    }
    files
}

/// Returns the context's rules, but for the files that the builder itself needs.
fn builder_rules(context: &Context) -> Result<Rules> {
    let mut patterns = context.exclude_patterns().to_vec();
    let needed = [Some(context.dockerfile_name()), context.ignore_file_name()];
    for file in needed.into_iter().flatten().chain(IGNORE_FILES) {
        if context.0.rules.excludes(file) {
            patterns.push(format!("!{}", escaped(file)));
        }
    }
    Rules::new(&patterns)
}

/// Returns the pattern that matches just `path`.
fn escaped(path: &str) -> String {
    let mut pattern = String::with_capacity(path.len());
    for c in path.chars() {
        if matches!(c, '*' | '?' | '[' | ']' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern
}

fn write(
    context: &Context,
    xattrs: Xattrs,
    mut replaced: BTreeMap<String, Vec<u8>>,
    out: &mut PipeWriter,
) -> Result<()> {
    let mut writer = Writer::new(out);
    let mut seen: HashMap<(u64, u64), String> = HashMap::new();
    let walk = Walk::new(context.0.clone(), Arc::new(builder_rules(context)?));
    for entry in walk {
        let entry = entry?;
        if let Some(text) = replaced.remove(&entry.path) {
            write_text(&mut writer, &entry.path, &text)?;
            continue;
        }
        let first = entry.hard_link.and_then(|link| {
            let key = (link.device, link.inode);
            let first = seen.get(&key).cloned();
            if first.is_none() {
                seen.insert(key, entry.path.clone());
            }
            first
        });
        write_entry(context, &entry, first, xattrs, &mut writer)?;
    }
    for (path, text) in replaced {
        write_text(&mut writer, &path, &text)?;
    }
    writer.finish().map_err(boxwright_image::read_error)?;
    Ok(())
}

fn write_text(writer: &mut Writer<impl io::Write>, path: &str, text: &[u8]) -> Result<()> {
    let header = Header::new(path, Kind::File { size: text.len() as u64 }, 0o644);
    writer.file(&header, &mut &text[..]).map_err(boxwright_image::read_error)
}

fn write_entry(
    context: &Context,
    entry: &Entry,
    first: Option<String>,
    xattrs: Xattrs,
    writer: &mut Writer<impl io::Write>,
) -> Result<()> {
    let kind = match (&entry.kind, first) {
        (_, Some(target)) => Kind::HardLink { target: target.into() },
        (EntryKind::File { size }, None) => Kind::File { size: *size },
        (EntryKind::Folder, _) => Kind::Folder,
        (EntryKind::Symlink { target }, _) => Kind::Symlink { target: target.into() },
        (EntryKind::Fifo, _) => Kind::Fifo,
        (&EntryKind::CharacterDevice { major, minor }, _) => Kind::CharacterDevice { major, minor },
        (&EntryKind::BlockDevice { major, minor }, _) => Kind::BlockDevice { major, minor },
    };
    let is_file = matches!(kind, Kind::File { .. });
    let mut header = Header::new(&entry.path, kind, entry.mode);
    // Whole seconds, as Docker's own client sends them: a fraction would take two more blocks.
    header.modified = (entry.modified.0, 0);
    if xattrs == Xattrs::All {
        header.xattrs = context.xattrs(entry)?.into_iter().collect();
    }
    if !is_file {
        return writer.header(&header).map_err(boxwright_image::read_error);
    }
    let mut file = context.open_file(entry)?;
    if xattrs == Xattrs::Capability {
        let name = "security.capability";
        let value = xattr::one(&file, name).map_err(|error| unreadable(&entry.path, error))?;
        header.xattrs.extend(value.map(|value| (name.to_owned(), value)));
    }
    writer.file(&header, &mut file).map_err(|error| match error.kind() {
        // Nobody reads any more; the reason is with the reader.
        io::ErrorKind::BrokenPipe => Error::new(ErrorKind::Cancelled, "interrupted"),
        _ => unreadable(&entry.path, error),
    })
}

#[cfg(test)]
mod tests {
    use boxwright_core::DockerfileSource;

    use super::*;

    #[test]
    fn a_file_that_grows_or_shrinks_is_named_and_never_a_broken_tar() {
        for (size, cause) in [(1, "shrank"), (3, "grew")] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("sized");
            std::fs::write(&path, "ab").unwrap();
            let text = DockerfileSource::Text(String::new());
            let context = Context::open(folder.path(), &text).unwrap();
            let entry = context.walk().next().unwrap().unwrap();
            std::fs::File::options().write(true).open(&path).unwrap().set_len(size).unwrap();
            let mut writer = Writer::new(Vec::new());
            let error =
                write_entry(&context, &entry, None, Xattrs::default(), &mut writer).unwrap_err();
            assert_eq!(error.to_string(), "cannot read `sized` in the context");
            assert!(error.causes()[0].contains(cause), "{error:?}");
        }
    }
}
