//! What is mounted while a command runs: from plan to runner.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use boxwright_core::{
    Error, ErrorKind, LayerChain, MountAccess, MountSource, Result, Step as RunnerStep,
    StepMount as RunnerMount,
};
use boxwright_dockerfile::instruction::{Mount, MountKind, Owner};
use boxwright_dockerfile::plan::{RunStep, Script, Source};

use crate::blocking;
use crate::bound::{self, Bound};
use crate::build::Build;
use crate::files::Files;
use crate::key::Key;
use crate::named::Named;
use crate::stage::chain;

/// A mount whose files are found, but not yet in layers.
pub(crate) struct Prepared {
    mount: Mount,
    content: Content,
}

enum Content {
    /// It has no files of its own.
    None,
    /// Layers, and what of them is mounted if that is not all.
    Chain(LayerChain, Option<Box<Bound>>),
    Context(Arc<Files>, Box<Bound>),
}

/// Finds the files of all mounts of a command, and leaves out what is optional and not there.
pub(crate) async fn prepare(build: &Build<'_>, run: &RunStep) -> Result<Vec<Prepared>> {
    let mut all = Vec::new();
    for planned in &run.mounts {
        let mount = planned.mount.clone();
        let content = match &mount.kind {
            MountKind::Bind { source, .. } => content(build, &planned.source, source).await?,
            MountKind::Cache { from: Some(_), source, .. } => {
                content(build, &planned.source, source).await?
            }
            MountKind::Secret { id, required, .. } => {
                if !build.secrets.contains_key(id) {
                    if *required {
                        return Err(missing("secret", id, "--secret id=ID,src=FILE"));
                    }
                    continue;
                }
                Content::None
            }
            MountKind::Ssh { id, required, .. } => {
                if !build.request.ssh.contains(id) {
                    if *required {
                        return Err(missing("ssh agent", id, "--ssh ID"));
                    }
                    continue;
                }
                Content::None
            }
            MountKind::Cache { .. } | MountKind::Tmpfs { .. } => Content::None,
        };
        all.push(Prepared { mount, content });
    }
    Ok(all)
}

async fn content(build: &Build<'_>, source: &Source, path: &str) -> Result<Content> {
    let chain = match source {
        Source::Context => None,
        Source::Stage(id) => Some(build.built(*id)?.stage.chain()),
        Source::Image(name) => Some(build.image(name, &build.platform).await?.stage.chain()),
        Source::NamedContext(name) => match build.named(name).await? {
            Named::Files(_) => None,
            Named::Image(image) => Some(image.stage.chain()),
        },
        Source::Scratch => Some(LayerChain::new()),
    };
    if let Some(chain) = chain.as_ref().filter(|_| path.trim_matches('/').is_empty()) {
        return Ok(Content::Chain(chain.clone(), None));
    }
    let files = build.files_of(source).await?;
    let (listed, path) = (files.clone(), path.to_owned());
    let bound = Box::new(blocking(move || bound::list(&listed, &path)).await?);
    Ok(match chain {
        Some(chain) => Content::Chain(chain, Some(bound)),
        None => Content::Context(files, bound),
    })
}

/// Adds what is in the mounted files to a key. How they are mounted is in the step itself.
pub(crate) fn add_to_key(all: &[Prepared], key: &mut Key) {
    for Prepared { mount, content } in all {
        key.add(&mount.target);
        match content {
            Content::None => key.add("nothing"),
            // What else is in the layers does not matter to the command.
            Content::Chain(_, Some(bound)) => bound.add_to_key(key),
            Content::Chain(layers, None) => {
                for layer in layers {
                    key.add(layer.diff_id.as_str());
                }
                key.add("layers");
            }
            Content::Context(_, bound) => bound.add_to_key(key),
        }
    }
}

/// Gives a step its mounts.
pub(crate) async fn place(
    build: &Build<'_>,
    all: Vec<Prepared>,
    work: &mut RunnerStep,
) -> Result<()> {
    for Prepared { mount, content } in all {
        let access = access(mount.read_only);
        let (rootfs, inside) = match content {
            Content::None => (LayerChain::new(), None),
            Content::Chain(rootfs, _) => (rootfs, None),
            Content::Context(files, bound) => {
                let path = bound.path();
                (chain(bound::layer(build, files, *bound).await?.as_slice()), Some(path))
            }
        };
        let path = |written: &str| {
            let path = Path::new("/").join(inside.as_deref().unwrap_or(Path::new(written)));
            path.to_string_lossy().into_owned()
        };
        let source = match mount.kind {
            MountKind::Bind { source, .. } => {
                MountSource::Chain { rootfs, path: path(&source), access }
            }
            MountKind::Cache { id, from, source, sharing, owner } => {
                let seed = from.map(|_| (rootfs, path(&source)));
                MountSource::Cache {
                    id: cache_id(&build.request.build_args, &id, owner, seed.as_ref()),
                    mode: owner.mode.unwrap_or(0o755),
                    owner: ids(owner),
                    sharing,
                    access,
                    seed,
                }
            }
            // A folder in memory that cannot be written is an empty one.
            MountKind::Tmpfs { .. } if mount.read_only => {
                MountSource::Chain { rootfs, path: "/".to_owned(), access }
            }
            MountKind::Tmpfs { size } => MountSource::Tmpfs { size },
            MountKind::Secret { id, env, file, owner, .. } => {
                if let Some(variable) = env {
                    work.secret_environment.insert(variable, id.clone());
                }
                if !file {
                    continue;
                }
                MountSource::Secret { id, mode: owner.mode.unwrap_or(0o400), owner: ids(owner) }
            }
            MountKind::Ssh { id, owner, .. } => {
                let variable = work.environment.entry("SSH_AUTH_SOCK".to_owned());
                variable.or_insert_with(|| mount.target.clone());
                MountSource::Ssh { id, mode: owner.mode.unwrap_or(0o600), owner: ids(owner) }
            }
        };
        work.mounts.push(RunnerMount { target: mount.target, source });
    }
    Ok(())
}

/// The build argument that keeps the caches of builds apart which would otherwise share them, as in BuildKit.
const CACHE_NAMESPACE: &str = "BUILDKIT_CACHE_MOUNT_NS";

/// Returns the name of a cache. Caches that begin otherwise are not the same one, as in BuildKit, where an owner, a mode
/// and a `from` are part of the name: else a user could not write to the cache that another one's step began.
fn cache_id(
    arguments: &BTreeMap<String, String>,
    id: &str,
    owner: Owner,
    seed: Option<&(LayerChain, String)>,
) -> String {
    let namespace = arguments.get(CACHE_NAMESPACE).filter(|namespace| !namespace.is_empty());
    let mut name = namespace.map(|namespace| format!("{namespace}/")).unwrap_or_default();
    name.push_str(id);
    if owner != Owner::default() {
        let (uid, gid) = ids(owner);
        name.push_str(&format!(" of {uid}:{gid} {:o}", owner.mode.unwrap_or(0o755)));
    }
    if let Some((rootfs, path)) = seed {
        let layers = rootfs.iter().map(|layer| layer.diff_id.as_str());
        name.push_str(&format!(" from {} {path}", layers.collect::<Vec<_>>().join(" ")));
    }
    name
}

/// Returns the mount of a here-document that is a program.
pub(crate) async fn script(build: &Build<'_>, script: &Script) -> Result<RunnerMount> {
    let layer = bound::text(build, "script", &script.content).await?;
    let (rootfs, path) = (chain(&[layer]), "/script".to_owned());
    let source = MountSource::Chain { rootfs, path, access: MountAccess::ReadOnly };
    Ok(RunnerMount { target: script.path.clone(), source })
}

fn access(read_only: bool) -> MountAccess {
    if read_only { MountAccess::ReadOnly } else { MountAccess::ReadWrite }
}

fn ids(owner: Owner) -> (u32, u32) {
    (owner.uid.unwrap_or_default(), owner.gid.unwrap_or_default())
}

fn missing(what: &str, id: &str, flag: &str) -> Error {
    let flag = flag.replace("ID", id);
    Error::new(ErrorKind::BuildFailed, format!("the {what} `{id}` is not there"))
        .with_cause("a step requires it, and the build was not given it")
        .with_remedy(format!("build with `{flag}`"))
}
