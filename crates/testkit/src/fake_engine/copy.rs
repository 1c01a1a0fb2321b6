//! `COPY` and `ADD`.

use std::io::Read as _;

use boxwright_core::{Error, ErrorKind, Result};

use super::build::Build;
use super::defect::Defect;
use super::dockerfile::Instruction;
use super::root::{Kind, Node, Root, clean};
use super::stage::Stage;
use super::words::{expand, split};

/// Copies what the instruction says into `root`, and returns what tells it from other content.
pub(super) fn copy(
    build: &Build<'_>,
    instruction: &Instruction,
    stage: &Stage,
    root: &mut Root,
) -> Result<()> {
    let variables = stage.variables();
    let words = instruction.json().unwrap_or_else(|| split(&expand(&instruction.rest, &variables)));
    let Some((destination, sources)) = words.split_last().filter(|(_, rest)| !rest.is_empty())
    else {
        return Err(wrong(instruction, "it needs a source and a destination"));
    };
    let from = build.source(instruction.flag("from"), instruction.line)?;
    let marks = Marks::of(build, instruction, &variables, root)?;
    let into_folder = destination.ends_with('/') || destination == ".";
    let target = root.follow(&clean(&stage.folder(), destination));
    let mut documents = instruction.documents.iter();
    let mut found = Vec::new();
    for source in sources {
        if source.starts_with("<<") {
            if let Some(document) = documents.next() {
                let content = match document.expands {
                    true => expand(&document.content, &variables),
                    false => document.content.clone(),
                };
                let node = Node::file(content.as_bytes(), 0o644);
                found.push((document.name.clone(), node, Vec::new()));
            }
            continue;
        }
        if source.contains("://") {
            return Err(Error::new(ErrorKind::Unsupported, format!("cannot fetch `{source}`"))
                .with_cause("the fake engine fetches nothing")
                .with_remedy("use a real engine"));
        }
        found.extend(matches(&from, source).ok_or_else(|| not_found(source))?);
    }
    if found.len() > 1 && !into_folder && !root.is_folder(&target) {
        return Err(wrong(instruction, "with several sources the destination must end in `/`"));
    }
    for (name, node, below) in found {
        if instruction.name == "ADD"
            && let Kind::File(content) = &node.kind
            && let Some(entries) = unpack(content)
        {
            root.make_folders(&target, marks.owner);
            for (path, node) in entries {
                root.put(&clean(&target, &path), node);
            }
            continue;
        }
        if node.kind == Kind::Folder {
            root.make_folders(&target, marks.owner);
            for (path, node) in below {
                root.put(&clean(&target, &path), marks.apply(node));
            }
        } else {
            let is_folder = into_folder || root.is_folder(&target);
            let path = if is_folder { clean(&target, &name) } else { target.clone() };
            root.make_folders(super::root::parent(&path), marks.owner);
            root.put(&path, marks.apply(node));
        }
    }
    Ok(())
}

fn wrong(instruction: &Instruction, cause: &str) -> Error {
    let message = format!("the Dockerfile is wrong at line {}", instruction.line);
    Error::new(ErrorKind::InvalidDockerfile, message).with_cause(cause)
}

fn not_found(source: &str) -> Error {
    Error::new(ErrorKind::NotFound, format!("cannot copy `{source}`"))
        .with_cause("it is not in the build context")
        .with_remedy("check the path, and that the ignore file does not exclude it")
}

type Found = (String, Node, Vec<(String, Node)>);

/// Returns what a source with wildcards stands for: name, node, and what is below it.
fn matches(from: &Root, source: &str) -> Option<Vec<Found>> {
    let pattern = clean("", source);
    let one = |path: &str| {
        let real = from.follow(path);
        let node =
            if real.is_empty() { Node::new(Kind::Folder, 0o755) } else { from.get(&real)?.clone() };
        let name = path.rsplit('/').next().unwrap_or(path).to_owned();
        Some((name, node, from.below(&real)))
    };
    if !pattern.contains(['*', '?', '[']) {
        return Some(vec![one(&pattern)?]);
    }
    let expression = glob(&pattern)?;
    let paths = from.iter().map(|(path, _)| path).filter(|path| expression.is_match(path));
    let found: Vec<Found> = paths.filter_map(one).collect();
    (!found.is_empty()).then_some(found)
}

/// SPEC: Dockerfile reference, COPY: "matching will be done using Go's filepath.Match rules".
fn glob(pattern: &str) -> Option<regex::Regex> {
    let mut expression = String::from("^");
    for c in pattern.chars() {
        match c {
            '*' => expression.push_str("[^/]*"),
            '?' => expression.push_str("[^/]"),
            '[' | ']' | '^' | '-' => expression.push(c),
            other => expression.push_str(&regex::escape(&other.to_string())),
        }
    }
    regex::Regex::new(&(expression + "$")).ok()
}

/// What the flags say of every file that is copied.
struct Marks {
    owner: (u32, u32),
    mode: Option<u32>,
    keeps_owner: bool,
}

impl Marks {
    fn of(
        build: &Build<'_>,
        instruction: &Instruction,
        variables: &std::collections::BTreeMap<String, String>,
        root: &Root,
    ) -> Result<Self> {
        let owner = instruction.flag("chown").map(|value| expand(value, variables));
        let owner = owner.filter(|_| !build.engine.has(Defect::ForgetsOwners));
        let mode = instruction.flag("chmod").map(|value| expand(value, variables));
        let mode = match mode {
            None => None,
            Some(octal) => Some(
                u32::from_str_radix(&octal, 8)
                    .map_err(|_| wrong(instruction, "`--chmod` takes an octal mode"))?,
            ),
        };
        let mode = if build.engine.has(Defect::ForgetsModes) { Some(0o644) } else { mode };
        Ok(Self {
            owner: owner.as_deref().map_or(Ok((0, 0)), |owner| user(root, owner))?,
            mode,
            keeps_owner: instruction.flag("from").is_some() && owner.is_none(),
        })
    }

    fn apply(&self, mut node: Node) -> Node {
        if !self.keeps_owner {
            node.owner = self.owner;
        }
        if let (Some(mode), false) = (self.mode, matches!(node.kind, Kind::Link(_))) {
            node.mode = mode;
        }
        node
    }
}

/// Returns the numbers of `user`, `user:group`, by name in `/etc/passwd` and `/etc/group` or by number.
pub(super) fn user(root: &Root, text: &str) -> Result<(u32, u32)> {
    let (user, group) = text.split_once(':').map_or((text, None), |(u, g)| (u, Some(g)));
    let line = |file: &str, name: &str| {
        let content = String::from_utf8_lossy(root.read(file)?).into_owned();
        let line = content.lines().find(|line| line.split(':').next() == Some(name))?;
        Some(line.split(':').map(str::to_owned).collect::<Vec<_>>())
    };
    let number = |file: &str, name: &str| {
        name.parse::<u32>().ok().or_else(|| line(file, name)?.get(2)?.parse().ok()).ok_or_else(
            || {
                Error::new(ErrorKind::InvalidDockerfile, format!("unknown user or group `{name}`"))
                    .with_cause(format!("`/{file}` has no such name"))
            },
        )
    };
    let uid = number("etc/passwd", user)?;
    let gid = match group {
        Some(group) => number("etc/group", group)?,
        // SPEC: "Providing a username without groupname … will use the same numeric UID as the GID."
        None => {
            line("etc/passwd", user).and_then(|fields| fields.get(3)?.parse().ok()).unwrap_or(uid)
        }
    };
    Ok((uid, gid))
}

/// Returns the entries of a tar, plain or compressed with gzip, or `None` if it is none.
fn unpack(content: &[u8]) -> Option<Vec<(String, Node)>> {
    let plain = crate::decompress(content).ok()?;
    if plain.get(257..262) != Some(b"ustar") {
        return None;
    }
    let mut archive = tar::Archive::new(&plain[..]);
    let mut nodes = Vec::new();
    for entry in archive.entries().ok()? {
        let mut entry = entry.ok()?;
        let path = clean("", &entry.path().ok()?.to_string_lossy());
        let header = entry.header();
        let kind = match header.entry_type() {
            tar::EntryType::Directory => Kind::Folder,
            tar::EntryType::Symlink => {
                Kind::Link(entry.link_name().ok()??.to_string_lossy().into_owned())
            }
            _ => Kind::File(Vec::new().into()),
        };
        let mut node = Node::new(kind, header.mode().ok()? & 0o7777);
        let id = |number: u64| u32::try_from(number).ok();
        node.owner = (id(header.uid().ok()?)?, id(header.gid().ok()?)?);
        node.modified = i64::try_from(header.mtime().ok()?).ok()?;
        if let Kind::File(into) = &mut node.kind {
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).ok()?;
            *into = bytes.into();
        }
        nodes.push((path, node));
    }
    Some(nodes)
}
