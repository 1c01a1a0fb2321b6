//! A specification as what a builder takes: a Dockerfile, a context, and a name by content.

use std::path::{Path, PathBuf};

use boxwright_core::{Error, ErrorKind, ImageRef, Platform, Result};
use sha2::{Digest as _, Sha256};

use crate::dockerfile::{self, Parts};
use crate::files::{self, ContextFile};
use crate::model::{Base, CopyMode, ImageSpec};
use crate::problem::{self, Problem};
use crate::requirements::{self, Installed};
use crate::{SpecFile, check};

/// How deep specifications may be built on each other.
pub(crate) const MOST_BASES: usize = 8;

/// The folder of the context with what `copy` names, and the one with the source.
const COPIED: &str = "copy";
const SOURCE: &str = "source";

/// Images that are taken where a specification names none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Images {
    /// The base image; `{version}` is the version of Python.
    pub python: String,
    /// Where micromamba is, for packages of conda.
    pub micromamba: String,
}

impl Default for Images {
    fn default() -> Self {
        Self {
            python: "docker.io/library/python:{version}-slim-bookworm".to_owned(),
            micromamba: "docker.io/mambaorg/micromamba:2.0.3-debian12-slim".to_owned(),
        }
    }
}

/// The Python of an image whose specification names neither a base image nor a version.
const PYTHON: &str = "3.12";

/// A specification, ready to be built.
#[derive(Clone, Debug)]
pub struct Rendered {
    /// The Dockerfile.
    pub dockerfile: String,
    /// The files of the context, without the Dockerfile.
    pub files: Vec<ContextFile>,
    /// The image's name, with its tag.
    pub image: ImageRef,
    /// The tag: of the content and nothing else.
    pub tag: String,
    /// Whether it has a registry to be pushed to.
    pub has_registry: bool,
    /// The platforms it is for. There is at least one.
    pub platforms: Vec<Platform>,
    /// Secrets, by id, and the files they are in.
    pub secrets: Vec<(String, PathBuf)>,
    /// The engine that the specification chooses.
    pub engine: Option<String>,
    /// The builder that it chooses.
    pub builder: Option<String>,
    /// Whether every step is run again.
    pub no_cache: bool,
    /// What the user should know: fields that have no effect.
    pub notes: Vec<String>,
    /// The image that must be built first.
    pub base: Option<Box<Self>>,
}

impl Rendered {
    /// Writes Dockerfile and context into a folder, which is made.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Exhausted`] when it cannot be written.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let dockerfile = ContextFile::text("Dockerfile", self.dockerfile.clone());
        [&dockerfile].into_iter().chain(&self.files).try_for_each(|file| file.write(folder))
    }
}

/// Renders a specification, and those it is built on.
///
/// # Errors
///
/// [`ErrorKind::InvalidInput`] with every problem of the file.
pub fn render(file: &SpecFile, images: &Images) -> Result<Rendered> {
    render_at(file, images, 0)
}

fn render_at(file: &SpecFile, images: &Images, depth: usize) -> Result<Rendered> {
    let base = match &file.spec.base_image {
        Some(_) if depth >= MOST_BASES => {
            let message = format!("`{}` is built on more than {MOST_BASES} others", file.shown);
            return Err(Error::new(ErrorKind::InvalidInput, message)
                .with_cause("specifications may be built on each other, but not in a circle")
                .with_remedy("name an image as the `base_image` of one of them"));
        }
        Some(Base::Name(name)) if SpecFile::is_one(name) => {
            let base = SpecFile::read_at(name, file.folder().join(name))?;
            let base = SpecFile { ignored: file.ignored.clone(), ..base };
            Some(render_at(&base, images, depth + 1)?)
        }
        _ => None,
    };
    let spec = &file.spec;
    let mut problems = file.problems.clone();
    check::fields(spec, "", &mut problems);
    let mut files = Vec::new();
    let installed = requirements::read(spec, file.folder(), &mut files);
    let installed = installed.map_err(|it| problems.push(it)).unwrap_or(Installed::Nothing);
    let copied = copied(file, &mut files, &mut problems);
    let secrets = secrets(spec, file.folder(), &mut problems);
    if !problems.is_empty() {
        return Err(problem::error(&file.shown, problems));
    }
    let base = match &spec.base_image {
        Some(Base::Spec(inner)) => {
            let base = SpecFile { spec: (**inner).clone(), ..file.clone() };
            Some(render_at(&base, images, depth + 1)?)
        }
        _ => base,
    };
    let config = spec.builder_config.clone().unwrap_or_default();
    let micromamba = full(config.micromamba_image.as_deref().unwrap_or(&images.micromamba))?;
    let (named, hashed) = match &base {
        // The same base under another registry's name is the same content.
        Some(base) => (base.image.to_string(), format!("specification/{}", base.tag)),
        None => {
            let version = spec.python_version.as_deref().unwrap_or(PYTHON);
            let usual = images.python.replace("{version}", version);
            let name = full(check::base_name(spec).unwrap_or(&usual))?;
            (name.clone(), name)
        }
    };
    let with_base = |base: &str| {
        let parts = Parts { base, micromamba: &micromamba, installed, copied: &copied };
        dockerfile::write(spec, &parts)
    };
    let platforms = platforms(spec)?;
    let tag = tag(&with_base(&hashed), &mut files, &platforms)?;
    let tag = spec.tag_format.as_deref().map_or(tag.clone(), |it| it.replace("{spec_hash}", &tag));
    let name = spec.name.as_deref().unwrap_or("flytekit").to_lowercase();
    let image = match &spec.registry {
        Some(registry) => format!("{}/{name}:{tag}", registry.to_lowercase()),
        None => format!("{name}:{tag}"),
    };
    let options = spec.builder_options.clone().unwrap_or_default();
    Ok(Rendered {
        dockerfile: with_base(&named),
        files,
        image: image.parse()?,
        tag,
        has_registry: spec.registry.is_some(),
        platforms,
        secrets,
        engine: options.engine,
        builder: options.builder,
        no_cache: options.no_cache.as_deref() == Some("true"),
        notes: notes(spec, if depth == 0 { &file.ignored.notes } else { &[] }),
        base: base.map(Box::new),
    })
}

/// A name in full, so that no engine completes it in a way of its own.
fn full(name: &str) -> Result<String> {
    Ok(name.parse::<ImageRef>()?.to_string())
}

fn copied<'a>(
    file: &SpecFile,
    files: &mut Vec<ContextFile>,
    problems: &mut Vec<Problem>,
) -> Vec<&'a str> {
    let (spec, folder) = (&file.spec, file.folder());
    let mut folders = Vec::new();
    if let Some(root) = &spec.source_root {
        let mode = spec.source_copy_mode.unwrap_or(CopyMode::Auto);
        if mode != CopyMode::None {
            let found = files::inside(folder, "source_root", root);
            let listed = found.and_then(|it| {
                let ignored = file.ignored.files.get(&it);
                files::source(&it, SOURCE, mode, ignored, files)
            });
            problems.extend(listed.err());
            folders.push(SOURCE);
        }
    }
    for (at, path) in spec.copy.iter().flatten().enumerate() {
        let copied = files::copied(folder, path, COPIED, &format!("copy[{at}]"), files);
        problems.extend(copied.err());
        if at == 0 {
            folders.push(COPIED);
        }
    }
    folders
}

fn secrets(spec: &ImageSpec, folder: &Path, problems: &mut Vec<Problem>) -> Vec<(String, PathBuf)> {
    let mut secrets = Vec::new();
    for (at, (source, _)) in spec.pip_secret_mounts.iter().flatten().enumerate() {
        let path = folder.join(source);
        if path.is_file() {
            secrets.push((format!("secret_{at}"), path));
        } else {
            let what = format!("`pip_secret_mounts[{at}]` names no file: `{source}`");
            let remedy = "correct the path; it is relative to the folder of the specification";
            problems.push(Problem::new(what, remedy));
        }
    }
    secrets
}

fn platforms(spec: &ImageSpec) -> Result<Vec<Platform>> {
    if let Some(listed) = &spec.platform {
        let mut platforms: Vec<Platform> = Vec::new();
        for platform in listed.split(',') {
            let platform = platform.trim().parse()?;
            if !platforms.contains(&platform) {
                platforms.push(platform);
            }
        }
        return Ok(platforms);
    }
    let here = Platform::of_this_machine();
    let registry = spec.registry.as_deref().unwrap_or_default().to_lowercase();
    let is_local = registry.starts_with("localhost:") && here.architecture() == "arm64";
    Ok(vec![if is_local { here } else { Platform::new("linux", "amd64", None) }])
}

/// Returns the digest of what the image is made of.
fn tag(dockerfile: &str, files: &mut Vec<ContextFile>, platforms: &[Platform]) -> Result<String> {
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files.dedup_by(|a, b| a.path == b.path);
    let mut hash = Sha256::new();
    hash.update("boxwright image specification 1\n");
    for platform in platforms {
        hash.update(format!("{platform}\n"));
    }
    hash.update(format!("{}\n{dockerfile}", dockerfile.len()));
    files.iter().try_for_each(|file| file.hash(&mut hash))?;
    let digest = hash.finalize();
    Ok(digest.iter().take(16).fold(String::new(), |text, byte| format!("{text}{byte:02x}")))
}

fn notes(spec: &ImageSpec, of_git: &[String]) -> Vec<String> {
    let mut notes = of_git.to_vec();
    if spec.registry_config.is_some() {
        notes.push("`registry_config` is not read: log in with `boxwright login`".to_owned());
    }
    if spec.runtime_packages.as_ref().is_some_and(|it| !it.is_empty()) {
        notes.push("`runtime_packages` are installed by Flyte when a task starts".to_owned());
    }
    if spec.builder_config.as_ref().is_some_and(|it| it.uv_image.is_some()) {
        notes.push("`builder_config.uv_image` is not read: uv comes from its package".to_owned());
    }
    notes
}
