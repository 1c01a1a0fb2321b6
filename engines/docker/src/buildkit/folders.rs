//! The two folders that a build shows the daemon: `context`, and `dockerfile` with the Dockerfile and its
//! ignore file, which may be text that is on no disk.

use std::collections::HashMap;
use std::io::{Cursor, Read};
use std::path::Path;

use bollard_buildkit_proto::fsutil::types::Stat;
use boxwright_context::ignore::Rules;
use boxwright_context::{Context, Entry, EntryKind, HardLink};
use boxwright_core::{
    BuildRequest, ContextSource, DockerfileSource, Error, ErrorKind, Result, Session,
};
use boxwright_dockerfile::diagnostic::to_error;
use boxwright_dockerfile::{Dockerfile, parser};
use sha2::{Digest as _, Sha256};

use super::attributes::DOCKERFILE;
use super::files::file_stat;
use super::follow::{self, Links};

/// What one build shows the daemon.
#[derive(Debug)]
pub(super) struct Folders {
    context: Option<Context>,
    dockerfile: Vec<(String, String)>,
    /// What the daemon keeps this folder's files under between builds.
    pub(super) shared_key: String,
    /// Where the Dockerfile is: in our folder, or at this path of an address that the daemon fetches.
    pub(super) filename: String,
    notices: Vec<String>,
    /// Where a context that came as a stream was unpacked.
    _unpacked: Option<tempfile::TempDir>,
}

/// One thing in a folder, and where its content is if it is a file.
#[derive(Debug)]
pub(super) struct Listed {
    pub(super) stat: Stat,
    pub(super) content: Option<Content>,
}

/// Where the content of a file is.
#[derive(Clone, Debug)]
pub(super) enum Content {
    /// In the context.
    File(Context, Entry),
    /// Here.
    Text(String, String),
}

impl Content {
    /// Opens it.
    pub(super) fn open(&self) -> Result<Box<dyn Read + Send>> {
        Ok(match self {
            Self::File(context, entry) => {
                Box::new(context.open_file(entry)?) as Box<dyn Read + Send>
            }
            Self::Text(_, text) => Box::new(Cursor::new(text.clone())),
        })
    }

    /// Returns its path in its folder.
    pub(super) fn path(&self) -> &str {
        match self {
            Self::File(_, entry) => &entry.path,
            Self::Text(path, _) => path,
        }
    }
}

impl Folders {
    /// Reads what `request` builds from.
    pub(super) async fn of(request: &BuildRequest, session: &Session) -> Result<Self> {
        let mut unpacked = None;
        let folder = match &request.context {
            ContextSource::Folder(folder) => Some(folder.clone()),
            ContextSource::Tar => {
                let folder = unpack(session).await?;
                let path = folder.path().to_owned();
                unpacked = Some(folder);
                Some(path)
            }
            ContextSource::Address(_) => return Self::elsewhere(request),
            ContextSource::Empty => None,
        };
        let (context, text) = match folder {
            Some(folder) => {
                let source = request.dockerfile.clone();
                let open = move || Context::open(&folder, &source);
                let opened = tokio::task::spawn_blocking(open).await;
                let context = opened.map_err(|error| {
                    Error::new(ErrorKind::Bug, "reading the context panicked").with_source(error)
                })??;
                let text = context.dockerfile_text().to_owned();
                (Some(context), text)
            }
            None => match &request.dockerfile {
                DockerfileSource::Text(text) => (None, text.clone()),
                DockerfileSource::Default | DockerfileSource::Path(_) => {
                    return Err(Error::new(
                        ErrorKind::InvalidInput,
                        "there is no context to read the Dockerfile from",
                    ));
                }
            },
        };
        check_stages(&text, context.as_ref().map_or(DOCKERFILE, Context::dockerfile_name))?;
        let shared_key = shared_key(context.as_ref(), unpacked.is_some(), session);
        let mut notices = Vec::new();
        if let Some(syntax) = boxwright_dockerfile::directive::syntax(&text) {
            notices.push(format!(
                "the line `# syntax={}` is ignored: the daemon's own frontend is used, none is fetched",
                syntax.reference
            ));
        }
        let text = boxwright_dockerfile::directive::without_syntax(&text).into_owned();
        let mut dockerfile = vec![(DOCKERFILE.to_owned(), text)];
        if let Some(context) = &context
            && !context.exclude_patterns().is_empty()
        {
            let patterns = context.exclude_patterns().join("\n");
            dockerfile.push((format!("{DOCKERFILE}.dockerignore"), patterns));
        }
        let filename = DOCKERFILE.to_owned();
        Ok(Self { context, dockerfile, shared_key, filename, notices, _unpacked: unpacked })
    }

    /// Returns no folders: the daemon fetches the context, and the Dockerfile in it.
    fn elsewhere(request: &BuildRequest) -> Result<Self> {
        let filename = match &request.dockerfile {
            DockerfileSource::Default => DOCKERFILE.to_owned(),
            DockerfileSource::Path(path) => path.display().to_string(),
            DockerfileSource::Text(_) => {
                return Err(Error::new(
                    ErrorKind::Unsupported,
                    "cannot use another Dockerfile with a context at an address",
                )
                .with_cause(
                    "the daemon fetches such a context by itself, with the Dockerfile in it",
                )
                .with_remedy("fetch the context first, and build from its folder"));
            }
        };
        Ok(Self {
            context: None,
            dockerfile: Vec::new(),
            shared_key: String::new(),
            filename,
            notices: Vec::new(),
            _unpacked: None,
        })
    }

    /// Returns what the user may want to know of how the context was read.
    pub(super) fn notices(&self) -> &[String] {
        &self.notices
    }

    /// Lists the folder `name`, only what `wanted` covers if it is not empty. `None` for an unknown folder.
    pub(super) fn listing(
        &self,
        name: &str,
        wanted: Vec<String>,
    ) -> Option<Box<dyn Iterator<Item = Result<Listed>> + Send>> {
        match (name, &self.context) {
            ("dockerfile", _) => {
                let files = self.dockerfile.clone().into_iter();
                Some(Box::new(files.map(|(path, text)| Ok(text_file(path, text)))))
            }
            ("context", None) => Some(Box::new(std::iter::empty())),
            ("context", Some(context)) => match Wanted::new(context, wanted) {
                Ok(wanted) => Some(Box::new(list(context.clone(), wanted))),
                Err(error) => Some(Box::new(std::iter::once(Err(error)))),
            },
            _ => None,
        }
    }
}

/// Refuses a file that has no stage.
fn check_stages(text: &str, name: &str) -> Result<()> {
    // QUIRK(docker < 27.1): the frontend in the daemon panics on such a file, and the daemon ends with it.
    // https://github.com/moby/buildkit/pull/5150
    match Dockerfile::parse(text) {
        Err(problems) if !has_stage(text) => Err(to_error(&problems, name, text)),
        _ => Ok(()),
    }
}

fn has_stage(text: &str) -> bool {
    let statements = parser::parse(text).statements;
    statements.iter().any(|statement| statement.keyword.text.eq_ignore_ascii_case("FROM"))
}

/// Unpacks the session's tar stream into a temporary folder.
async fn unpack(session: &Session) -> Result<tempfile::TempDir> {
    let input = session.take_input()?;
    let folder = tempfile::Builder::new()
        .prefix("boxwright-context-")
        .tempdir_in(session.host.temporary_folder())
        .map_err(|error| {
            Error::new(ErrorKind::Exhausted, "cannot make a temporary folder for the context")
                .with_source(error)
        })?;
    session.cancellable(boxwright_image::unpack::unpack_context(input, folder.path())).await?;
    Ok(folder)
}

/// Returns a key that is the same for every build of this folder by this user on this machine.
fn shared_key(context: Option<&Context>, is_temporary: bool, session: &Session) -> String {
    let folder = context.filter(|_| !is_temporary).map(|context| {
        let folder = session.host.absolute(context.folder());
        std::fs::canonicalize(&folder).unwrap_or(folder)
    });
    let Some(folder) = folder else { return String::new() };
    let machine = std::fs::read_to_string("/etc/machine-id").unwrap_or_default();
    let text =
        format!("boxwright {} {} {}", machine.trim(), session.host.user_id(), folder.display());
    boxwright_core::Digest::from_sha256(Sha256::digest(text).into()).hex().to_owned()
}

fn text_file(path: String, text: String) -> Listed {
    // The daemon asks for a file again when its size or time changed: text has no time, so its digest is one.
    let digest: [u8; 32] = Sha256::digest(&text).into();
    let time = digest.iter().take(7).fold(0_i64, |time, &byte| time << 8 | i64::from(byte));
    let stat = file_stat(&path, 0o644, text.len() as u64, time);
    Listed { stat, content: Some(Content::Text(path, text)) }
}

/// Which paths of the context are to be listed.
struct Wanted(Option<(Rules, Vec<String>)>);

impl Wanted {
    fn new(context: &Context, patterns: Vec<String>) -> Result<Self> {
        let patterns = match patterns.as_slice() {
            [] => Vec::new(),
            patterns => follow::follow(&Folder(context.folder()), patterns),
        };
        if patterns.is_empty() {
            return Ok(Self(None));
        }
        Ok(Self(Some((Rules::new(&patterns)?, patterns))))
    }

    fn covers(&self, path: &str) -> bool {
        self.0.as_ref().is_none_or(|(rules, _)| rules.excludes(path))
    }
}

/// Lists the context; of a folder that is not wanted itself only what leads to something that is.
fn list(context: Context, wanted: Wanted) -> impl Iterator<Item = Result<Listed>> + Send {
    let mut first_names: HashMap<HardLink, String> = HashMap::new();
    let mut held: Vec<Entry> = Vec::new();
    context.walk().flat_map(move |entry| {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => return vec![Err(error)],
        };
        while held.last().is_some_and(|folder| !is_below(&entry.path, &folder.path)) {
            held.pop();
        }
        if !wanted.covers(&entry.path) {
            if entry.kind == EntryKind::Folder {
                held.push(entry);
            }
            return Vec::new();
        }
        let listed = held.drain(..).chain(std::iter::once(entry));
        listed.map(|entry| Ok(listed_of(&context, entry, &mut first_names))).collect()
    })
}

fn is_below(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
}

fn listed_of(
    context: &Context,
    entry: Entry,
    first_names: &mut HashMap<HardLink, String>,
) -> Listed {
    let (seconds, nanoseconds) = entry.modified;
    let time = seconds.saturating_mul(1_000_000_000).saturating_add(i64::from(nanoseconds));
    let size = if let EntryKind::File { size } = entry.kind { size } else { 0 };
    let mut stat = file_stat(&entry.path, go_mode(&entry), size, time);
    match &entry.kind {
        EntryKind::Symlink { target } => {
            stat.linkname.clone_from(target);
            stat.size = i64::try_from(target.len()).unwrap_or(0);
        }
        EntryKind::CharacterDevice { major, minor } | EntryKind::BlockDevice { major, minor } => {
            stat.devmajor = i64::from(*major);
            stat.devminor = i64::from(*minor);
        }
        EntryKind::File { .. } | EntryKind::Folder | EntryKind::Fifo => {}
    }
    if let Some(link) = entry.hard_link {
        match first_names.get(&link) {
            Some(first) => stat.linkname.clone_from(first),
            None => drop(first_names.insert(link, entry.path.clone())),
        }
    }
    let is_file = matches!(entry.kind, EntryKind::File { .. });
    Listed { stat, content: is_file.then(|| Content::File(context.clone(), entry)) }
}

/// Returns the mode in the bits of Go's `os.FileMode`, which are not those of `stat`.
fn go_mode(entry: &Entry) -> u32 {
    let kind = match entry.kind {
        EntryKind::File { .. } => 0,
        EntryKind::Folder => 1 << 31,
        EntryKind::Symlink { .. } => 1 << 27,
        EntryKind::Fifo => 1 << 25,
        EntryKind::CharacterDevice { .. } => 1 << 26 | 1 << 21,
        EntryKind::BlockDevice { .. } => 1 << 26,
    };
    let special = [(0o4000, 1 << 23), (0o2000, 1 << 22), (0o1000, 1 << 20)];
    let set = special.iter().filter(|(bit, _)| entry.mode & bit != 0);
    kind | entry.mode & 0o777 | set.fold(0, |bits, (_, bit)| bits | bit)
}

/// The context's folder as it is on disk. Only names and links are read, each from a folder that was
/// reached through no link.
struct Folder<'a>(&'a Path);

impl Links for Folder<'_> {
    fn link(&self, path: &str) -> Option<String> {
        let target = std::fs::read_link(self.0.join(path)).ok()?;
        target.to_str().map(str::to_owned)
    }

    fn names(&self, path: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.0.join(path)).into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context() -> (tempfile::TempDir, Context) {
        let folder = tempfile::tempdir().unwrap();
        let write = |path: &str| std::fs::write(folder.path().join(path), path).unwrap();
        std::fs::create_dir_all(folder.path().join("a/deep")).unwrap();
        std::fs::create_dir_all(folder.path().join("b")).unwrap();
        ["Dockerfile", "a/one", "a/deep/two", "a-b", "b/three"].into_iter().for_each(write);
        std::fs::hard_link(folder.path().join("a/one"), folder.path().join("b/again")).unwrap();
        std::os::unix::fs::symlink("../b/three", folder.path().join("a/link")).unwrap();
        let context = Context::open(folder.path(), &DockerfileSource::Default).unwrap();
        (folder, context)
    }

    fn paths(context: &Context, wanted: &[&str]) -> Vec<String> {
        let wanted = wanted.iter().map(|&path| path.to_owned()).collect();
        let listed = list(context.clone(), Wanted::new(context, wanted).unwrap());
        listed.map(|listed| listed.unwrap().stat.path).collect()
    }

    #[test]
    fn a_folder_comes_before_what_is_in_it_and_names_in_order_of_bytes() {
        let (_folder, context) = context();
        assert_eq!(
            paths(&context, &[]),
            [
                "Dockerfile",
                "a",
                "a/deep",
                "a/deep/two",
                "a/link",
                "a/one",
                "a-b",
                "b",
                "b/again",
                "b/three"
            ]
        );
    }

    #[test]
    fn only_what_is_wanted_is_listed_with_the_folders_above_it() {
        let (_folder, context) = context();
        assert_eq!(paths(&context, &["a/deep/two"]), ["a", "a/deep", "a/deep/two"]);
        assert_eq!(paths(&context, &["a/link"]), ["a", "a/link", "b", "b/three"]);
        assert_eq!(paths(&context, &["/b/t*"]), ["b", "b/three"]);
    }

    #[test]
    fn the_second_name_of_a_file_is_a_link_to_the_first() {
        let (_folder, context) = context();
        let listed = list(context.clone(), Wanted(None)).map(Result::unwrap);
        let again = listed.map(|listed| listed.stat).find(|stat| stat.path == "b/again").unwrap();
        assert_eq!(again.linkname, "a/one");
    }

    #[test]
    fn a_file_without_a_stage_does_not_reach_the_daemon() {
        for text in ["", "# nothing\n", "ARG a=1\n", "ARG a=1\nRUN true\n"] {
            let error = check_stages(text, "Dockerfile").unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidDockerfile, "{text}");
        }
        // What else is wrong is the daemon's to say.
        check_stages("from scratch\nCOPPY a b\n", "Dockerfile").unwrap();
    }

    #[test]
    fn text_with_another_content_has_another_time() {
        let time = |text: &str| text_file("f".to_owned(), text.to_owned()).stat.mod_time;
        assert_eq!(time("FROM a"), time("FROM a"));
        assert_ne!(time("FROM a"), time("FROM b"));
    }
}
