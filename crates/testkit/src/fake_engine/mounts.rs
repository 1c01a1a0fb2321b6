//! `RUN --mount`: what a step sees at some places, and what of it stays.

use boxwright_core::{Error, ErrorKind, Result, Session};

use super::build::Build;
use super::defect::Defect;
use super::dockerfile::Instruction;
use super::root::{Kind, Node, Root, clean, parent};
use super::stage::Stage;

/// One mount of a step.
#[derive(Debug)]
pub(super) struct Mount {
    target: String,
    node: Node,
    below: Vec<(String, Node)>,
    /// Where its content is kept after the step.
    cache: Option<String>,
    /// Whether it stays in the image. Only a defect does that.
    stays: bool,
    before: Option<Covered>,
}

/// What was at a place before something was mounted over it.
#[derive(Debug)]
struct Covered {
    node: Option<Node>,
    below: Vec<(String, Node)>,
    /// Folders that were made for the mount, innermost first.
    made: Vec<String>,
}

/// Reads the mounts of an instruction.
pub(super) fn of(
    build: &Build<'_>,
    instruction: &Instruction,
    stage: &Stage,
    session: &Session,
) -> Result<Vec<Mount>> {
    let variables = stage.variables();
    let mounts = instruction.flags("mount");
    let read = |value: &str| {
        let value = super::words::expand(value, &variables);
        mount(build, &value, stage, session, instruction.line)
    };
    mounts.filter_map(|value| read(value).transpose()).collect()
}

fn mount(
    build: &Build<'_>,
    value: &str,
    stage: &Stage,
    session: &Session,
    line: usize,
) -> Result<Option<Mount>> {
    let field = |names: &[&str]| {
        let mut pairs = value.split(',').map(|pair| pair.split_once('=').unwrap_or((pair, "true")));
        pairs.find(|(name, _)| names.contains(name)).map(|(_, value)| value)
    };
    let kind = field(&["type"]).unwrap_or("bind");
    let target = field(&["target", "dst", "destination"]);
    let id = field(&["id"]);
    let at = |path: &str| clean(&stage.folder(), path);
    let folder = |target: &str, content: &Root, cache: Option<String>| Mount {
        target: at(target),
        node: Node::new(Kind::Folder, 0o755),
        below: content.below(""),
        cache,
        stays: false,
        before: None,
    };
    let wrong = |cause: String| {
        let message = format!("the Dockerfile is wrong at line {line}");
        Err(Error::new(ErrorKind::InvalidDockerfile, message).with_cause(cause))
    };
    match (kind, target) {
        ("secret", target) => {
            let id = id.unwrap_or_default();
            let secret =
                session.secrets.get(id).filter(|_| build.request.secrets.iter().any(|s| s == id));
            let Some(secret) = secret else {
                if field(&["required"]) == Some("true") {
                    let message = format!("the step needs the secret `{id}`");
                    return Err(Error::new(ErrorKind::InvalidInput, message)
                        .with_cause("the build was given no such secret")
                        .with_remedy(format!("give it with `--secret id={id},src=FILE`")));
                }
                return Ok(None);
            };
            let default = format!("/run/secrets/{id}");
            let mode = field(&["mode"]).and_then(|mode| u32::from_str_radix(mode, 8).ok());
            Ok(Some(Mount {
                target: at(target.unwrap_or(&default)),
                node: Node::file(secret.expose(), mode.unwrap_or(0o400)),
                below: Vec::new(),
                cache: None,
                stays: build.engine.has(Defect::KeepsSecrets),
                before: None,
            }))
        }
        (_, None) => wrong(format!("the `{kind}` mount has no target")),
        ("tmpfs", Some(target)) => Ok(Some(folder(target, &Root::default(), None))),
        ("cache", Some(target)) => {
            let id = id.map_or_else(|| at(target), str::to_owned);
            Ok(Some(folder(target, &build.engine.store.mount(&id), Some(id))))
        }
        ("bind", Some(target)) => {
            let source = build.source(field(&["from"]), line)?;
            let path = clean("", field(&["source", "src"]).unwrap_or("/"));
            let mut mount = folder(target, &Root::default(), None);
            mount.below = source.below(&path);
            if !path.is_empty() {
                let Some(node) = source.get(&path) else {
                    return wrong(format!("there is no `{path}` to mount"));
                };
                mount.node = node.clone();
            }
            Ok(Some(mount))
        }
        (other, _) => wrong(format!("`{other}` is not a type of mount")),
    }
}

impl Mount {
    /// Puts the content over what is there.
    pub(super) fn cover(&mut self, root: &mut Root) {
        let mut made = Vec::new();
        let mut folder = parent(&self.target);
        while !folder.is_empty() && root.get(folder).is_none() {
            made.push(folder.to_owned());
            folder = parent(folder);
        }
        let node = root.get(&self.target).cloned();
        let below = root.below(&self.target);
        root.remove(&self.target);
        root.put(&self.target, self.node.clone());
        for (path, node) in &self.below {
            root.put(&clean(&self.target, path), node.clone());
        }
        self.before = Some(Covered { node, below, made });
    }

    /// Takes the content away again and puts back what it covered.
    pub(super) fn uncover(self, root: &mut Root, build: &Build<'_>) {
        let Some(before) = self.before else { return };
        if self.stays {
            return;
        }
        if let Some(id) = &self.cache {
            let mut content = Root::default();
            let below = root.below(&self.target);
            below.into_iter().for_each(|(path, node)| content.put(&path, node));
            build.engine.store.keep_mount(id, content);
        }
        root.remove(&self.target);
        if let Some(node) = before.node {
            root.put(&self.target, node);
        }
        for (path, node) in before.below {
            root.put(&clean(&self.target, &path), node);
        }
        for folder in before.made {
            if root.below(&folder).is_empty() {
                root.remove(&folder);
            }
        }
    }
}
