//! A root file system in memory, and layers as the difference of two.

use std::collections::BTreeMap;
use std::io;

use boxwright_image::view::{NodeKind, Tree};

/// A root file system in memory: what is where, by path without a leading slash. Cheap to clone, as content
/// is shared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Root(BTreeMap<String, Node>);

/// One file, folder or link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) kind: Kind,
    pub(super) mode: u32,
    pub(super) owner: (u32, u32),
    pub(super) modified: i64,
}

/// What a [`Node`] is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    File(std::sync::Arc<[u8]>),
    Folder,
    Link(String),
}

impl Node {
    pub(super) fn new(kind: Kind, mode: u32) -> Self {
        Self { kind, mode, owner: (0, 0), modified: 1_000_000_000 }
    }

    pub(super) fn file(content: &[u8], mode: u32) -> Self {
        Self::new(Kind::File(content.into()), mode)
    }
}

/// Returns `path`, as seen from the folder `from`, without `.`, `..`, and slashes at its ends.
pub(super) fn clean(from: &str, path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    let start = if path.starts_with('/') { "" } else { from };
    for part in start.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            other => parts.push(other),
        }
    }
    parts.join("/")
}

/// Returns the folder that a cleaned path is in.
pub(super) fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

impl Root {
    /// Returns what is at a cleaned path. The last link is not followed, those before it are.
    pub(super) fn get(&self, path: &str) -> Option<&Node> {
        self.0.get(&self.real(path))
    }

    /// Returns where a cleaned path really is: links in its folders are followed.
    pub(super) fn real(&self, path: &str) -> String {
        let Some((folder, name)) = path.rsplit_once('/') else { return path.to_owned() };
        format!("{}/{name}", self.follow(folder)).trim_start_matches('/').to_owned()
    }

    /// Returns where a cleaned path leads: all links are followed, forty at most.
    pub(super) fn follow(&self, path: &str) -> String {
        let mut path = path.to_owned();
        for _ in 0..40 {
            path = self.real(&path);
            match self.0.get(&path).map(|node| &node.kind) {
                Some(Kind::Link(target)) => path = clean(parent(&path), target),
                _ => break,
            }
        }
        path
    }

    pub(super) fn is_folder(&self, path: &str) -> bool {
        let path = self.follow(path);
        path.is_empty() || self.0.get(&path).is_some_and(|node| node.kind == Kind::Folder)
    }

    /// Returns the content of the file that a cleaned path leads to.
    pub(super) fn read(&self, path: &str) -> Option<&[u8]> {
        match &self.0.get(&self.follow(path))?.kind {
            Kind::File(content) => Some(content),
            _ => None,
        }
    }

    /// Puts `node` at a cleaned path, making the folders above it.
    pub(super) fn put(&mut self, path: &str, node: Node) {
        let path = self.real(path);
        if path.is_empty() {
            return;
        }
        self.make_folders(parent(&path), (0, 0));
        if node.kind != Kind::Folder {
            self.remove(&path);
        }
        self.0.insert(path, node);
    }

    /// Makes a folder and those above it, unless they are there.
    pub(super) fn make_folders(&mut self, path: &str, owner: (u32, u32)) {
        let path = self.follow(path);
        let ends = path.match_indices('/').map(|(end, _)| end).chain([path.len()]);
        let folders: Vec<String> = ends.map(|end| path[..end].to_owned()).collect();
        for folder in folders.into_iter().filter(|folder| !folder.is_empty()) {
            let made = Node { owner, ..Node::new(Kind::Folder, 0o755) };
            self.0.entry(folder).or_insert(made);
        }
    }

    /// Removes what is at a cleaned path, and all below it.
    pub(super) fn remove(&mut self, path: &str) -> bool {
        let below = format!("{path}/");
        let before = self.0.len();
        self.0.retain(|name, _| name != path && !name.starts_with(&below));
        before != self.0.len()
    }

    /// Returns the node at a cleaned path to change it.
    pub(super) fn get_mut(&mut self, path: &str) -> Option<&mut Node> {
        let path = self.follow(path);
        self.0.get_mut(&path)
    }

    /// Returns a cleaned path's node and all below it, by their paths relative to it.
    pub(super) fn below(&self, path: &str) -> Vec<(String, Node)> {
        let below = if path.is_empty() { String::new() } else { format!("{path}/") };
        let inside = self
            .0
            .iter()
            .filter_map(|(name, node)| Some((name.strip_prefix(&below)?.to_owned(), node.clone())));
        inside.collect()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &Node)> {
        self.0.iter().map(|(path, node)| (path.as_str(), node))
    }

    /// Reads a file system from the layers of an image.
    pub(super) async fn of_image(
        layout: &boxwright_image::layout::Layout,
        manifest: &boxwright_core::Manifest,
    ) -> boxwright_core::Result<Self> {
        let tree = Tree::from_layers(layout, manifest).await?;
        let mut root = Self::default();
        for (path, node) in tree.iter() {
            let name = path.to_string_lossy().into_owned();
            if name.is_empty() {
                continue;
            }
            let kind = match &node.kind {
                NodeKind::File { size, .. } => {
                    let content = tree.read_file(layout, manifest, path, *size).await?;
                    Kind::File(content.into())
                }
                NodeKind::Folder => Kind::Folder,
                NodeKind::Symlink { target } => Kind::Link(target.to_string_lossy().into_owned()),
                // The programs that a fake has know no devices.
                _ => continue,
            };
            let node = Node {
                kind,
                mode: node.mode,
                owner: (node.uid, node.gid),
                modified: node.modified.0,
            };
            root.0.insert(name, node);
        }
        Ok(root)
    }

    /// Returns the layer that makes `self` of `before`, or `None` if there is nothing to change.
    pub(super) fn layer_since(&self, before: &Self) -> io::Result<Option<Vec<u8>>> {
        let mut tar = tar::Builder::new(Vec::new());
        let mut is_empty = true;
        let gone = before.0.keys().filter(|path| !self.0.contains_key(*path));
        // Below what is gone, everything is gone.
        let tops = gone.filter(|path| parent(path).is_empty() || self.0.contains_key(parent(path)));
        for path in tops {
            let name = path.rsplit('/').next().unwrap_or(path);
            let whiteout = clean(parent(path), &format!(".wh.{name}"));
            append(&mut tar, &whiteout, &Node::file(b"", 0))?;
            is_empty = false;
        }
        for (path, node) in &self.0 {
            if before.0.get(path) != Some(node) {
                append(&mut tar, path, node)?;
                is_empty = false;
            }
        }
        let bytes = tar.into_inner()?;
        Ok((!is_empty).then_some(bytes))
    }
}

fn append(tar: &mut tar::Builder<Vec<u8>>, path: &str, node: &Node) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_mode(node.mode);
    header.set_uid(node.owner.0.into());
    header.set_gid(node.owner.1.into());
    header.set_mtime(node.modified.max(0).unsigned_abs());
    header.set_size(0);
    match &node.kind {
        Kind::File(content) => {
            header.set_entry_type(tar::EntryType::Regular);
            header.set_size(content.len() as u64);
            tar.append_data(&mut header, path, &content[..])
        }
        Kind::Folder => {
            header.set_entry_type(tar::EntryType::Directory);
            tar.append_data(&mut header, path, io::empty())
        }
        Kind::Link(target) => {
            header.set_entry_type(tar::EntryType::Symlink);
            tar.append_link(&mut header, path, target)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_seen_from_a_folder_and_never_leave_the_root() {
        assert_eq!(clean("a/b", "../c"), "a/c");
        assert_eq!(clean("a", "/x//y/"), "x/y");
        assert_eq!(clean("", "../../x"), "x");
    }

    #[test]
    fn links_are_followed_on_the_way() {
        let mut root = Root::default();
        root.put("real/file", Node::file(b"1", 0o644));
        root.put("link", Node::new(Kind::Link("real".into()), 0o777));
        root.put("link/other", Node::file(b"2", 0o644));
        assert_eq!(root.read("link/file"), Some(&b"1"[..]));
        assert_eq!(root.read("real/other"), Some(&b"2"[..]));
    }

    #[test]
    fn a_removed_folder_is_one_whiteout() {
        let mut before = Root::default();
        before.put("a/b/c", Node::file(b"1", 0o644));
        let mut after = before.clone();
        after.remove("a/b");
        let layer = after.layer_since(&before).unwrap().unwrap();
        let mut archive = tar::Archive::new(&layer[..]);
        let names = archive
            .entries()
            .unwrap()
            .map(|entry| entry.unwrap().path().unwrap().to_string_lossy().into_owned());
        assert_eq!(names.collect::<Vec<_>>(), ["a/.wh.b"]);
        assert_eq!(after.layer_since(&after).unwrap(), None);
    }
}
