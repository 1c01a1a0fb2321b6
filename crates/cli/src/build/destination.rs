//! Places that results are written to: checked before the build, written beside and renamed (threat 46).

use std::fs::Metadata;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use boxwright_core::{Error, ErrorKind, Result};

/// Fails unless a regular file can be written at `path`. `what` names it, e.g. "the metadata file".
pub(super) fn check_file(what: &str, path: &Path) -> Result<()> {
    match found(path) {
        Ok(Some(data)) if data.is_symlink() => {
            return Err(cannot(what, path, "it is a symbolic link, which is not followed")
                .with_remedy("name the file that it points at"));
        }
        Ok(Some(data)) if data.is_dir() => {
            return Err(cannot(what, path, "it is a folder").with_remedy("name a file in it"));
        }
        Ok(Some(data)) if !data.is_file() => {
            return Err(cannot(what, path, "it is not a regular file"));
        }
        Ok(_) => {}
        Err(error) => return Err(cannot(what, path, &error.to_string())),
    }
    check_parent(what, path)
}

/// Fails unless a folder can be made at `path`, or is there and can be written to.
pub(super) fn check_folder(what: &str, path: &Path) -> Result<()> {
    match found(path) {
        Ok(Some(data)) if data.is_symlink() => {
            Err(cannot(what, path, "it is a symbolic link, which is not followed")
                .with_remedy("name the folder that it points at"))
        }
        Ok(Some(data)) if data.is_dir() => try_writing(what, path, path),
        Ok(Some(_)) => Err(cannot(what, path, "it exists, and is no folder")),
        Ok(None) => check_parent(what, path),
        Err(error) => Err(cannot(what, path, &error.to_string())),
    }
}

fn found(path: &Path) -> std::io::Result<Option<Metadata>> {
    match path.symlink_metadata() {
        Ok(data) => Ok(Some(data)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Makes the folder `path` if it is missing; its parent is there.
pub(super) fn make_folder(what: &str, path: &Path) -> Result<()> {
    match std::fs::create_dir(path) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            Err(cannot(what, path, &error.to_string()))
        }
        _ => Ok(()),
    }
}

fn check_parent(what: &str, path: &Path) -> Result<()> {
    let parent = parent(path);
    if !parent.is_dir() {
        let shown = parent.display();
        return Err(cannot(what, path, &format!("`{shown}` is not a folder"))
            .with_remedy(format!("make it with `mkdir -p {shown}`")));
    }
    try_writing(what, path, &parent)
}

/// Only trying tells: rights, read-only file systems and quotas all have their say.
fn try_writing(what: &str, path: &Path, folder: &Path) -> Result<()> {
    tempfile::tempfile_in(folder)
        .map(drop)
        .map_err(|error| cannot(what, path, &format!("`{}`: {error}", folder.display())))
}

fn parent(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// Writes `bytes` to the file `path`: beside it first, then renamed, so that it is there whole or not at all.
pub(super) fn write(what: &str, path: &Path, bytes: &[u8]) -> Result<()> {
    let write = || -> std::io::Result<()> {
        use std::os::unix::fs::PermissionsExt as _;
        let mut file = tempfile::Builder::new()
            .prefix(".boxwright-")
            .permissions(std::fs::Permissions::from_mode(0o644))
            .tempfile_in(parent(path))?;
        file.write_all(bytes)?;
        file.persist(path).map_err(|error| error.error)?;
        Ok(())
    };
    write().map_err(|error| {
        let cannot = cannot(what, path, &error.to_string());
        match error.kind() {
            std::io::ErrorKind::StorageFull => {
                Error::new(ErrorKind::Exhausted, cannot.to_string()).with_source(error)
            }
            _ => cannot,
        }
    })
}

fn cannot(what: &str, path: &Path, cause: &str) -> Error {
    Error::new(ErrorKind::InvalidInput, format!("cannot write {what} `{}`", path.display()))
        .with_cause(cause)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_regular_file_is_written_over_threat_46() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("file"), "old").unwrap();
        std::os::unix::fs::symlink(at("file"), at("link")).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            at("fifo"),
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR,
            0,
        )
        .unwrap();
        assert!(check_file("x", &at("file")).is_ok() && check_file("x", &at("new")).is_ok());
        for (name, cause) in [
            ("link", "it is a symbolic link, which is not followed"),
            ("", "it is a folder"),
            ("fifo", "it is not a regular file"),
        ] {
            assert_eq!(check_file("x", &at(name)).unwrap_err().causes(), [cause], "{name}");
        }
        assert!(check_file("x", &at("no/such/file")).is_err());
        assert!(check_file("x", Path::new("/proc/new")).is_err());
        assert!(check_folder("x", &at("link")).is_err() && check_folder("x", &at("file")).is_err());
        assert!(check_folder("x", folder.path()).is_ok() && check_folder("x", &at("new")).is_ok());
    }

    #[test]
    fn a_file_is_replaced_whole() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("iid");
        write("x", &file, b"one").unwrap();
        write("x", &file, b"two").unwrap();
        assert_eq!(std::fs::read(&file).unwrap(), b"two");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
