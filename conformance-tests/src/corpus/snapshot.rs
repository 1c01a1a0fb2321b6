//! What of an image is compared with what another engine made of the same case.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use boxwright_image::view::{Node, NodeKind};
use serde_json::{Value, json};

use crate::artifact::Image;

/// How many differences are told.
const SHOWN: usize = 8;

/// Where every step has something mounted. Some builders leave the folder behind, some take it away.
const MOUNT_POINTS: [&str; 3] = ["dev", "proc", "sys"];

/// The facts of an image that two builders should agree on.
#[derive(Clone, Debug, Default)]
pub(super) struct Snapshot {
    config: BTreeMap<&'static str, Value>,
    files: BTreeMap<PathBuf, Facts>,
}

/// The facts of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Facts {
    kind: String,
    mode: u32,
    owner: (u32, u32),
    /// `None` if it was changed after the run had begun, which no two builds have alike.
    modified: Option<i64>,
    xattrs: String,
    is_folder: bool,
}

/// What is not compared.
#[derive(Clone, Debug, Default)]
pub(super) struct Leave {
    /// Paths whose times are not compared.
    pub(super) times: Vec<PathBuf>,
    /// Paths that are not compared at all.
    pub(super) paths: Vec<PathBuf>,
    /// Whether the time of any folder is compared.
    pub(super) folder_times: bool,
}

impl Leave {
    /// Reads what is left out, written as `(dir):a:(dir):b:mtime`, or without the last part for all of the file.
    /// Gives the first that leaves out something else.
    pub(super) fn read(all: &[String]) -> Result<Self, String> {
        let mut leave = Self { folder_times: true, ..Self::default() };
        for text in all {
            let path = |text: &str| text.split(':').filter(|part| *part != "(dir)").collect();
            match text.rsplit_once(':') {
                Some((before, "mtime")) => leave.times.push(path(before)),
                Some((_, "mode" | "uid" | "gid" | "size" | "xattrs")) => return Err(text.clone()),
                _ => leave.paths.push(path(text)),
            }
        }
        Ok(leave)
    }
}

impl Snapshot {
    /// Takes the facts of an image. `begin` is when the run began, in seconds since 1970.
    pub(super) fn of(image: &Image, begin: i64) -> Self {
        let files = image.tree().iter().map(|(path, node)| (path.to_owned(), facts(node, begin)));
        Self { config: config(image), files: files.collect() }
    }

    /// Says how `self` differs from `other`, or `None`.
    pub(super) fn difference(&self, other: &Self, leave: &Leave) -> Option<String> {
        let mut found = Vec::new();
        for (field, value) in &self.config {
            let theirs = other.config.get(field).unwrap_or(&Value::Null);
            if value != theirs {
                found.push(format!("config `{field}`: {value}, not {theirs}"));
            }
        }
        let paths =
            self.files.keys().chain(other.files.keys().filter(|it| !self.files.contains_key(*it)));
        for path in paths.filter(|path| !leave.paths.contains(path)) {
            let shown = path.display();
            match (self.files.get(path), other.files.get(path)) {
                (Some(ours), Some(theirs)) => {
                    found.extend(differences(path, ours, theirs, leave));
                }
                _ if MOUNT_POINTS.iter().any(|it| path == Path::new(it)) => {}
                (Some(_), None) => found.push(format!("`/{shown}` is there")),
                (None, _) => found.push(format!("`/{shown}` is missing")),
            }
        }
        let count = found.len();
        found.truncate(SHOWN);
        let more =
            if count > SHOWN { format!("; and {} more", count - SHOWN) } else { String::new() };
        (count > 0).then(|| found.join("; ") + &more)
    }
}

fn differences(path: &Path, ours: &Facts, theirs: &Facts, leave: &Leave) -> Vec<String> {
    let mut found = Vec::new();
    let mut differ = |what: &str, ours: String, theirs: String| {
        if ours != theirs {
            found.push(format!("`/{}` {what}: {ours}, not {theirs}", path.display()));
        }
    };
    differ("is", ours.kind.clone(), theirs.kind.clone());
    differ("mode", format!("{:04o}", ours.mode), format!("{:04o}", theirs.mode));
    differ("owner", format!("{:?}", ours.owner), format!("{:?}", theirs.owner));
    differ("attributes", ours.xattrs.clone(), theirs.xattrs.clone());
    let leaves_time =
        leave.times.iter().any(|it| it == path) || (ours.is_folder && !leave.folder_times);
    if !leaves_time {
        let shown = |time: Option<i64>| time.map_or("the build's".to_owned(), |it| it.to_string());
        differ("time", shown(ours.modified), shown(theirs.modified));
    }
    found
}

fn facts(node: &Node, begin: i64) -> Facts {
    let kind = match &node.kind {
        NodeKind::File { size, digest } => format!("file of {size} bytes, {}", digest.short()),
        NodeKind::Folder => "folder".to_owned(),
        NodeKind::Symlink { target } => format!("link to {}", target.display()),
        NodeKind::Fifo => "pipe".to_owned(),
        NodeKind::CharacterDevice { major, minor } => format!("character device {major}:{minor}"),
        NodeKind::BlockDevice { major, minor } => format!("block device {major}:{minor}"),
    };
    let xattrs = node.xattrs.iter().map(|(name, value)| format!("{name}={}", value.escape_ascii()));
    // No tool of the systems that images are for sets the mode of a link.
    let is_link = matches!(node.kind, NodeKind::Symlink { .. });
    Facts {
        kind,
        mode: if is_link { 0o777 } else { node.mode },
        owner: (node.uid, node.gid),
        modified: Some(node.modified.0).filter(|time| *time < begin),
        xattrs: xattrs.collect::<Vec<_>>().join(", "),
        is_folder: node.is_folder(),
    }
}

/// The fields that any builder writes; lists as sets, and what is empty is absent.
fn config(image: &Image) -> BTreeMap<&'static str, Value> {
    let whole = image.config();
    let config = &whole.config;
    let mut labels = config.labels.clone();
    labels.retain(|name, _| name != crate::cx::LABEL && name != "io.buildah.version");
    let set = |all: &[String]| {
        let mut all = all.to_vec();
        all.sort();
        json!(all)
    };
    // The classic builder writes nothing where BuildKit writes the root.
    let working_dir = if config.working_dir.is_empty() { "/" } else { &config.working_dir };
    let shell = |value: &Option<Vec<String>>| json!(value.clone().unwrap_or_default());
    [
        ("architecture", json!(whole.architecture)),
        ("os", json!(whole.os)),
        ("User", json!(config.user)),
        ("ExposedPorts", json!(config.exposed_ports.keys().collect::<Vec<_>>())),
        ("Env", set(&config.env)),
        ("Entrypoint", shell(&config.entrypoint)),
        ("Cmd", shell(&config.cmd)),
        ("Volumes", json!(config.volumes.keys().collect::<Vec<_>>())),
        ("WorkingDir", json!(working_dir)),
        ("Labels", json!(labels)),
        ("StopSignal", json!(config.stop_signal.clone().unwrap_or_default())),
        ("Healthcheck", config.healthcheck.clone().unwrap_or_default()),
        ("OnBuild", shell(&config.on_build)),
        ("Shell", shell(&config.shell)),
    ]
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(mode: u32, modified: Option<i64>) -> Facts {
        let (kind, xattrs) = ("file of 1 bytes".to_owned(), String::new());
        Facts { kind, mode, owner: (0, 0), modified, xattrs, is_folder: false }
    }

    fn snapshot(facts: Facts) -> Snapshot {
        Snapshot { config: BTreeMap::new(), files: [(PathBuf::from("a/b"), facts)].into() }
    }

    #[test]
    fn modes_differ_and_times_only_where_they_count() {
        let ours = snapshot(file(0o4755, Some(1)));
        let theirs = snapshot(file(0o755, None));
        let leave = Leave::read(&["(dir):a:b:mtime".to_owned()]).unwrap();
        let found = ours.difference(&theirs, &leave).unwrap();
        assert_eq!(found, "`/a/b` mode: 4755, not 0755");
        let found = ours.difference(&theirs, &Leave::default()).unwrap();
        assert!(found.ends_with("time: 1, not the build's"), "{found}");
        assert_eq!(ours.difference(&ours.clone(), &Leave::default()), None);
        let found = ours.difference(&Snapshot::default(), &Leave::default()).unwrap();
        assert_eq!(found, "`/a/b` is there");
        let left = Snapshot {
            config: BTreeMap::new(),
            files: [(PathBuf::from("proc"), file(0o555, None))].into(),
        };
        assert_eq!(left.difference(&Snapshot::default(), &Leave::default()), None);
    }

    #[test]
    fn what_is_left_out_in_an_unknown_way_is_noticed() {
        assert_eq!(Leave::read(&["(dir):a:size".to_owned()]).unwrap_err(), "(dir):a:size");
    }
}
