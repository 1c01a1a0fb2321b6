//! Which files a `COPY` or `ADD` takes.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use boxwright_context::ignore::Rules;
use boxwright_core::{Digest, Error, ErrorKind, Result, nearest};
use boxwright_dockerfile::instruction::Kind as Instruction;
use boxwright_dockerfile::plan::{CopyItem, CopyStep};
use boxwright_image::tar::{Header, Kind};

use crate::archive;
use crate::fetch::{AllFetched, Fetched};
use crate::files::{Files, Origin};
use crate::glob;
use crate::key::Key;
use crate::read;

/// What one source of a copy comes to.
#[derive(Clone, Debug)]
pub(crate) enum Picked {
    /// What is in a folder.
    Folder(Vec<Chosen>),
    /// One file, with the name that it has in a folder.
    File { name: String, file: Chosen },
    /// Files with the folders above them.
    Parents(Vec<Chosen>),
    /// What is in an archive.
    Archive(Chosen),
    /// What was fetched: a file, or what is in a folder.
    Fetched(Arc<Fetched>, Box<Self>),
    /// A file whose content is in the Dockerfile.
    Inline { name: String, content: String },
}

/// A file of the source.
#[derive(Clone, Debug)]
pub(crate) struct Chosen {
    /// Where it goes, relative to the destination. Empty for a file that is named later.
    pub(crate) path: PathBuf,
    /// Where it is in the source.
    pub(crate) source: PathBuf,
    pub(crate) header: Header,
    /// Of a regular file's content; `None` until it was read.
    pub(crate) digest: Option<Digest>,
    pub(crate) link: Option<(u64, u64)>,
}

/// Picks all files of a copy. Blocks.
pub(crate) fn select(step: &CopyStep, files: &Files, fetched: &AllFetched) -> Result<Vec<Picked>> {
    let rules = Rules::new(&step.exclude)?;
    let unpacks = step.unpack.unwrap_or(step.kind == Instruction::Add);
    let mut all = Vec::new();
    for (number, item) in step.items.iter().enumerate() {
        match item {
            CopyItem::Inline { name, content } => {
                all.push(Picked::Inline { name: name.clone(), content: content.clone() });
            }
            CopyItem::Path { path, below: None } => {
                for path in found(files, path)? {
                    all.push(pick(unpacks, files, &rules, &path)?);
                }
            }
            CopyItem::Path { path, below: Some(below) } => {
                let mut any = false;
                let roots = found(files, path)?;
                for root in &roots {
                    let picked = with_parents(files, &rules, root, below)?;
                    any |= picked.is_some();
                    all.extend(picked);
                }
                match roots.first() {
                    Some(root) if !any && !glob::is_pattern(path) && !glob::is_pattern(below) => {
                        return Err(missing(files, "copy", &root.join(below)));
                    }
                    // The destination is made all the same.
                    _ if !any => all.push(Picked::Parents(Vec::new())),
                    _ => {}
                }
            }
            CopyItem::Url { .. } | CopyItem::Git(_) => {
                let fetched = fetched
                    .get(&number)
                    .cloned()
                    .ok_or_else(|| Error::new(ErrorKind::Bug, "a source was not fetched"))?;
                // Archives from elsewhere are unpacked where that is asked for.
                let unpacks = step.unpack == Some(true);
                let mut picked = [pick(unpacks, &fetched.files, &rules, &fetched.path)?];
                complete(&mut picked, &fetched.files)?;
                let [picked] = picked;
                all.push(Picked::Fetched(fetched, Box::new(picked)));
            }
        }
    }
    Ok(all)
}

/// What of a selection was not read yet.
#[derive(Debug, Default)]
pub(crate) struct Unread {
    /// The files, in the source.
    pub(crate) files: Vec<PathBuf>,
    /// Their bytes.
    bytes: u64,
    /// The bytes of all regular files of the selection.
    all: u64,
}

impl Unread {
    pub(crate) fn of(selection: &mut [Picked]) -> Self {
        let mut unread = Self::default();
        each(selection, |file| {
            let Kind::File { size } = file.header.kind else { return };
            unread.all += size;
            if file.digest.is_none() {
                unread.bytes += size;
                unread.files.push(file.source.clone());
            }
        });
        unread
    }

    /// Whether it is so much that the step was hardly done before with it: then the layer is written while
    /// the files are read, and thrown away if the step turns out to be known.
    pub(crate) fn is_most(&self) -> bool {
        self.bytes * 2 > self.all
    }
}

/// Completes a selection by what is known of its files, and reads those that nobody read yet. Blocks.
pub(crate) fn complete(selection: &mut [Picked], files: &Files) -> Result<()> {
    read::read_all(&Unread::of(selection).files, files)?;
    let mut failed = Ok(());
    each(selection, |file| {
        if let Some(found) = files.get(&file.source).filter(|_| file.digest.is_none()) {
            match files.describe(found) {
                Ok((header, digest)) => {
                    (file.header.xattrs, file.digest) = (header.xattrs, digest);
                }
                Err(error) => failed = Err(error),
            }
        }
    });
    failed
}

/// Calls `change` with every file of a selection.
fn each(selection: &mut [Picked], mut change: impl FnMut(&mut Chosen)) {
    for picked in selection {
        match picked {
            Picked::Folder(inside) | Picked::Parents(inside) => {
                inside.iter_mut().for_each(&mut change);
            }
            Picked::File { file, .. } | Picked::Archive(file) => change(file),
            // What was fetched is complete.
            Picked::Fetched(..) | Picked::Inline { .. } => {}
        }
    }
}

/// Lists the file at `path`, or the folder and all that is in it, with their paths in the source. Returns where links
/// lead `path` too. Blocks.
pub(crate) fn whole(files: &Files, path: &str) -> Result<(PathBuf, Vec<Chosen>)> {
    let written = Path::new(path.trim_start_matches('/'));
    let at =
        files.follow(written).filter(|at| at.as_os_str().is_empty() || files.get(at).is_some());
    let at = at.ok_or_else(|| missing(files, "mount", written))?;
    let mut all = Vec::new();
    if !at.as_os_str().is_empty() {
        all.push(choose(files, at.clone(), &at)?);
    }
    for source in files.below(&at) {
        all.push(choose(files, source.to_owned(), source)?);
    }
    Ok((at, all))
}

/// Adds everything that a selection says, but times, to a key.
pub(crate) fn add_to_key(selection: &[Picked], key: &mut Key) {
    let mut links = HashMap::new();
    selection.iter().for_each(|picked| add_one(picked, key, &mut links));
}

type Links = HashMap<(u64, u64), usize>;

fn add_one(picked: &Picked, key: &mut Key, links: &mut Links) {
    match picked {
        Picked::Folder(inside) => {
            key.add(format!("folder {}", inside.len()));
            inside.iter().for_each(|file| add_file(file, key, links));
        }
        Picked::Parents(inside) => {
            key.add(format!("parents {}", inside.len()));
            inside.iter().for_each(|file| add_file(file, key, links));
        }
        Picked::File { name, file } => {
            key.add(format!("file {name:?}"));
            add_file(file, key, links);
        }
        Picked::Archive(file) => {
            key.add("archive");
            add_file(file, key, links);
        }
        Picked::Fetched(_, picked) => {
            key.add("fetched");
            // Which of its files are one has nothing to do with other sources.
            add_one(picked, key, &mut HashMap::new());
        }
        Picked::Inline { name, content } => key.add(format!("inline {name:?} {content:?}")),
    }
}

fn add_file(file: &Chosen, key: &mut Key, links: &mut Links) {
    let header = Header { modified: (0, 0), ..file.header.clone() };
    // Which files are one is a fact; the numbers that say so are not.
    let next = links.len();
    let link = file.link.map(|link| *links.entry(link).or_insert(next));
    key.add(format!("{:?} {header:?} {:?} {link:?}", file.path, file.digest));
}

fn pick(unpacks: bool, files: &Files, rules: &Rules, path: &Path) -> Result<Picked> {
    let at = files.follow(path).filter(|at| at.as_os_str().is_empty() || files.get(at).is_some());
    let at = at.ok_or_else(|| missing(files, "copy", path))?;
    let Some(file) = files.get(&at).filter(|file| file.header.kind != Kind::Folder) else {
        let mut inside = Vec::new();
        for source in files.below(&at) {
            let below = source.strip_prefix(&at).unwrap_or(source);
            if !excludes(rules, below) {
                inside.push(choose(files, below.to_owned(), source)?);
            }
        }
        return Ok(Picked::Folder(with_folders(files, &at, inside)?));
    };
    let is_file = matches!(file.header.kind, Kind::File { .. });
    let chosen = choose(files, PathBuf::new(), &at)?;
    if unpacks
        && is_file
        && matches!(files.origin, Origin::Context(..))
        && archive::is(files.open(&at)?)
    {
        return Ok(Picked::Archive(chosen));
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok(Picked::File { name, file: chosen })
}

/// Puts back the folders above what is included again in a folder that is excluded.
fn with_folders(files: &Files, root: &Path, inside: Vec<Chosen>) -> Result<Vec<Chosen>> {
    let mut all: Vec<Chosen> = Vec::with_capacity(inside.len());
    let mut known = std::collections::BTreeSet::new();
    for file in inside {
        let above: Vec<&Path> = file.path.ancestors().skip(1).collect();
        for folder in above.into_iter().rev().filter(|folder| !folder.as_os_str().is_empty()) {
            if known.insert(folder.to_owned()) {
                all.push(choose(files, folder.to_owned(), &root.join(folder))?);
            }
        }
        if known.insert(file.path.clone()) {
            all.push(file);
        }
    }
    Ok(all)
}

/// Picks what matches `below` in `root`, or all of it if `below` is empty. `None` if that is nothing.
fn with_parents(files: &Files, rules: &Rules, root: &Path, below: &str) -> Result<Option<Picked>> {
    let root = files.follow(root).ok_or_else(|| missing(files, "copy", root))?;
    let is_folder = |path: &Path| {
        path.as_os_str().is_empty()
            || files.get(path).is_some_and(|file| file.header.kind == Kind::Folder)
    };
    let mut inside = Vec::new();
    let mut taken: Option<PathBuf> = None;
    let takes_all = below.is_empty() && is_folder(&root);
    let mut any = takes_all;
    for source in files.below(&root) {
        let path = source.strip_prefix(&root).unwrap_or(source);
        let is_below = takes_all || taken.as_deref().is_some_and(|it| path.starts_with(it));
        if !is_below && !glob::matches(below, &path.to_string_lossy())? {
            continue;
        }
        any = true;
        if !is_below {
            taken = Some(path.to_owned());
        }
        if !excludes(rules, path) {
            inside.push(choose(files, path.to_owned(), source)?);
        }
    }
    if !any {
        return Ok(None);
    }
    Ok(Some(Picked::Parents(with_folders(files, &root, inside)?)))
}

/// Returns the paths that a source stands for: itself, or what matches it.
fn found(files: &Files, path: &str) -> Result<Vec<PathBuf>> {
    let relative = path.trim_start_matches('/');
    if !glob::is_pattern(relative) {
        return Ok(vec![PathBuf::from(relative)]);
    }
    let mut all = Vec::new();
    for path in files.paths() {
        if glob::matches(relative, &path.to_string_lossy())? {
            all.push(path.to_owned());
        }
    }
    Ok(all)
}

fn choose(files: &Files, path: PathBuf, source: &Path) -> Result<Chosen> {
    let file = files.get(source).ok_or_else(|| missing(files, "copy", source))?;
    let (header, digest) = files.describe(file)?;
    Ok(Chosen { path, source: source.to_owned(), header, digest, link: file.link })
}

fn excludes(rules: &Rules, path: &Path) -> bool {
    rules.excludes(&path.to_string_lossy())
}

fn missing(files: &Files, verb: &str, path: &Path) -> Error {
    let error = Error::new(ErrorKind::NotFound, format!("cannot {verb} `/{}`", path.display()));
    let (place, ignored) = match (&files.origin, files.ignore_file()) {
        (Origin::Context(..), Some(name)) => (
            format!("the context, or `{name}` excludes it"),
            format!(", or include it in `{name}`"),
        ),
        (Origin::Context(..), None) => ("the context".to_owned(), String::new()),
        _ => ("the stage or image that it is taken from".to_owned(), String::new()),
    };
    let correct = match meant(files, path) {
        Some(meant) => format!("write `/{}`, if that is meant", meant.display()),
        None => "correct the path".to_owned(),
    };
    error.with_cause(format!("it is not in {place}")).with_remedy(format!("{correct}{ignored}"))
}

/// Returns the path that `path` is most probably a slip for: a name beside it, or the same name elsewhere.
fn meant<'f>(files: &'f Files, path: &Path) -> Option<&'f Path> {
    let name = path.file_name()?.to_str()?;
    let siblings: Vec<&Path> = files.paths().filter(|it| it.parent() == path.parent()).collect();
    let names: Vec<&str> =
        siblings.iter().filter_map(|it| it.file_name().and_then(OsStr::to_str)).collect();
    if let Some(near) = nearest(name, &names) {
        return siblings.into_iter().find(|it| it.file_name() == Some(OsStr::new(near)));
    }
    let mut same = files.paths().filter(|it| it.file_name() == path.file_name());
    same.next().filter(|_| same.next().is_none())
}
