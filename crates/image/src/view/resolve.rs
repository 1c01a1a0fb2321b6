//! Follows links inside a tree, as if its root were the root of the file system.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};

use super::{Node, NodeKind, Tree};

/// How many links a path may lead through, as on Linux.
const MOST_LINKS: usize = 40;

impl Tree {
    /// Returns where `path` leads when links are followed inside the root, and what is there.
    #[must_use]
    pub fn resolve(&self, path: impl AsRef<Path>) -> Option<(PathBuf, &Node)> {
        let link = |path: &Path| match self.get(path).map(|node| &node.kind) {
            Some(NodeKind::Symlink { target }) => Some(target.as_path()),
            _ => None,
        };
        let path = follow(path.as_ref(), link)?;
        let node = self.get(&path)?;
        Some((path, node))
    }
}

/// Follows every link in `path` inside the root, that of its last part too; what is not there stays as it is
/// written. `link` returns where a path points if it is a link. `None` is a circle.
#[must_use]
pub fn follow<T: AsRef<Path>>(path: &Path, link: impl Fn(&Path) -> Option<T>) -> Option<PathBuf> {
    let mut queue: VecDeque<OsString> = parts(path).collect();
    let mut reached = PathBuf::new();
    let mut links = 0;
    while let Some(part) = queue.pop_front() {
        match part.as_encoded_bytes() {
            b"/" => reached.clear(),
            b".." => drop(reached.pop()),
            _ => {
                reached.push(&part);
                let Some(target) = link(&reached) else { continue };
                links += 1;
                if links > MOST_LINKS {
                    return None;
                }
                reached.pop();
                for part in parts(target.as_ref()).collect::<Vec<_>>().into_iter().rev() {
                    queue.push_front(part);
                }
            }
        }
    }
    Some(reached)
}

fn parts(path: &Path) -> impl Iterator<Item = OsString> {
    path.components().filter_map(|part| match part {
        Component::RootDir => Some(OsString::from("/")),
        Component::ParentDir => Some(OsString::from("..")),
        Component::Normal(name) => Some(name.to_owned()),
        Component::CurDir | Component::Prefix(_) => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_link_leads_out_threat_13() {
        let link = |path: &Path| match path.to_str() {
            Some("up") => Some(PathBuf::from("../../etc")),
            Some("out") => Some(PathBuf::from("/../srv")),
            Some("circle") => Some(PathBuf::from("circle")),
            _ => None,
        };
        let follow = |path: &str| follow(Path::new(path), link);
        assert_eq!(follow("/up/passwd"), Some("etc/passwd".into()));
        assert_eq!(follow("out/new/file"), Some("srv/new/file".into()));
        assert_eq!(follow("circle/a"), None);
    }
}
