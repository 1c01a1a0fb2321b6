//! Writes a file whole or not at all.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use boxwright_core::{Error, ErrorKind, Result};

use crate::layout::cannot_write;

/// Checks that `destination` can become a file, before anything is done for it: its folder is there and can be
/// written, and it is nothing yet or a regular file.
///
/// # Errors
///
/// [`ErrorKind::InvalidInput`] when it cannot, with the reason.
pub fn check_file(destination: &Path) -> Result<()> {
    temporary_beside(destination).map(drop)
}

/// Writes a file beside `destination`, and renames it when `write` is done.
pub(crate) fn replace_file(
    destination: &Path,
    write: impl FnOnce(&mut io::BufWriter<&File>) -> Result<()>,
) -> Result<()> {
    let temporary = temporary_beside(destination)?;
    let mut out = io::BufWriter::with_capacity(256 << 10, temporary.as_file());
    write(&mut out).map_err(|error| {
        let error = error.with_context("file", destination.display().to_string());
        match error.kind() {
            ErrorKind::Exhausted => {
                error.or_remedy("free some space there, or choose another place")
            }
            _ => error,
        }
    })?;
    out.into_inner().map_err(|error| cannot_write(destination, error.into_error()))?;
    let kept = temporary.persist(destination);
    kept.map_err(|error| cannot_write(destination, error.error))?;
    Ok(())
}

fn temporary_beside(destination: &Path) -> Result<tempfile::NamedTempFile> {
    let wrong = |cause: &str| {
        let message = format!("cannot write to `{}`", destination.display());
        Error::new(ErrorKind::InvalidInput, message).with_cause(cause)
    };
    // A link is not followed: it may lead to what nobody meant to replace (threat 46).
    match fs::symlink_metadata(destination) {
        Ok(data) if data.is_dir() => {
            return Err(wrong("it is a folder").with_remedy("name a file in it"));
        }
        Ok(data) if data.is_symlink() => {
            return Err(
                wrong("it is a symbolic link").with_remedy("name the file that it leads to")
            );
        }
        Ok(data) if !data.is_file() => {
            return Err(wrong("it is no regular file").with_remedy("name a regular file"));
        }
        _ => {}
    }
    let folder = match destination.parent() {
        Some(folder) if folder.as_os_str().is_empty() => Path::new("."),
        Some(folder) => folder,
        None => return Err(wrong("it is no file name")),
    };
    let permissions = std::os::unix::fs::PermissionsExt::from_mode(0o666);
    let made =
        tempfile::Builder::new().prefix(".boxwright-").permissions(permissions).tempfile_in(folder);
    made.map_err(|error| match error.kind() {
        io::ErrorKind::StorageFull => cannot_write(destination, error),
        io::ErrorKind::NotFound => {
            wrong("its folder is not there").with_remedy("make the folder first")
        }
        _ => {
            let message = format!("cannot write to `{}`", destination.display());
            Error::new(ErrorKind::InvalidInput, message)
                .with_source(error)
                .with_remedy("name a place that this user may write to")
        }
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn a_file_is_there_whole_or_not_at_all_threat_46() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.tar");
        fs::write(&path, "old").unwrap();
        let half = replace_file(&path, |out| {
            out.write_all(b"half").unwrap();
            Err(Error::new(ErrorKind::Exhausted, "no more"))
        });
        assert_eq!(half.unwrap_err().kind(), ErrorKind::Exhausted);
        assert_eq!(fs::read_to_string(&path).unwrap(), "old");
        replace_file(&path, |out| out.write_all(b"new").map_err(crate::read_error)).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn folders_links_and_pipes_are_refused_threat_46() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("canary"), "untouched").unwrap();
        std::os::unix::fs::symlink("canary", at("link")).unwrap();
        let mode = rustix::fs::Mode::RUSR;
        rustix::fs::mknodat(rustix::fs::CWD, at("pipe"), rustix::fs::FileType::Fifo, mode, 0)
            .unwrap();
        for (name, cause) in [
            ("link", "it is a symbolic link"),
            ("pipe", "it is no regular file"),
            (".", "it is a folder"),
            ("missing/out", "its folder is not there"),
        ] {
            let error = check_file(&at(name)).unwrap_err();
            assert_eq!(
                (error.kind(), error.causes()[0].as_str()),
                (ErrorKind::InvalidInput, cause)
            );
        }
        check_file(&at("new")).unwrap();
        assert!(!at("new").exists());
        assert_eq!(fs::read_to_string(at("canary")).unwrap(), "untouched");
    }
}
