//! Removes folders whose modes a step chose.

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// Removes `path` and everything in it. Links are removed, not followed. Nothing there is fine.
pub(crate) fn remove_tree(path: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            // Without the rights of root, folders have to be opened first.
            open_up(path)?;
            std::fs::remove_dir_all(path)
        }
        other => other,
    }
}

fn open_up(folder: &Path) -> io::Result<()> {
    if !std::fs::symlink_metadata(folder)?.is_dir() {
        return Ok(());
    }
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700))?;
    for entry in std::fs::read_dir(folder)? {
        open_up(&entry?.path())?;
    }
    Ok(())
}
