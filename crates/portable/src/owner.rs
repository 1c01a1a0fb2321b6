//! Users and groups, by the names that the image gives them.

use boxwright_core::{Descriptor, Digest, Error, ErrorKind, Result};
use boxwright_image::layer;
use boxwright_image::layout::Layout;
use boxwright_image::view::Tree;

/// The largest `/etc/passwd` or `/etc/group` that is read.
const LIMIT: u64 = 16 << 20;

/// Whose id is known without any file.
const ROOT: &str = "root";

/// Returns the ids that `USER[:GROUP]` means. A number without a group is the group too; a name has the group that
/// `/etc/passwd` gives it.
pub(crate) async fn ids(
    text: &str,
    tree: &Tree,
    layout: &Layout,
    layers: &[(Descriptor, Digest)],
) -> Result<(u32, u32)> {
    let (user, group) = match text.split_once(':') {
        Some((user, group)) => (user, Some(group).filter(|group| !group.is_empty())),
        None => (text, None),
    };
    let (uid, own_group) = match user.parse() {
        Ok(uid) => (uid, uid),
        Err(_) => {
            let all = read(tree, layout, layers, "etc/passwd").await?;
            match find(&all, user) {
                // Also where no file says so, as in BuildKit.
                None if user == ROOT => (0, 0),
                line => line
                    .and_then(|line| number(line, 2).zip(number(line, 3)))
                    .ok_or_else(|| unknown("user", user, "/etc/passwd"))?,
            }
        }
    };
    let gid = match group.map(|group| (group, group.parse())) {
        None => own_group,
        Some((_, Ok(gid))) => gid,
        Some((group, Err(_))) => {
            let all = read(tree, layout, layers, "etc/group").await?;
            match find(&all, group) {
                None if group == ROOT => 0,
                line => line
                    .and_then(|line| number(line, 2))
                    .ok_or_else(|| unknown("group", group, "/etc/group"))?,
            }
        }
    };
    Ok((uid, gid))
}

async fn read(
    tree: &Tree,
    layout: &Layout,
    layers: &[(Descriptor, Digest)],
    path: &str,
) -> Result<String> {
    match tree.read_file(layout, &layer::chain(layers), path, LIMIT).await {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(error),
    }
}

fn find<'l>(lines: &'l str, name: &str) -> Option<&'l str> {
    lines.lines().find(|line| line.split(':').next() == Some(name))
}

fn number(line: &str, field: usize) -> Option<u32> {
    line.split(':').nth(field)?.trim().parse().ok()
}

fn unknown(what: &str, name: &str, file: &str) -> Error {
    Error::new(ErrorKind::BuildFailed, format!("cannot find the {what} `{name}`"))
        .with_cause(format!("`{file}` of the image has no such {what}"))
        .with_remedy(format!("write its number, or add the {what} to the image first"))
}
