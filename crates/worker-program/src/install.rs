//! The program as a file, for starting it.

use std::fs::{self, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use boxwright_core::{Error, ErrorKind, Result};

use crate::WorkerProgram;

/// What the names of the files begin with.
const PREFIX: &str = "boxwright-worker-";

impl WorkerProgram {
    /// Returns the file that it is installed as in `folder`.
    pub(crate) fn file(&self, folder: &Path) -> PathBuf {
        folder.join(format!("{PREFIX}{}", self.digest().short()))
    }

    /// Writes the program into `folder`, unless it is there, and returns the file. It is named after its digest, so
    /// that versions do not get in each other's way; it is there whole or not at all.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unavailable`] when the folder cannot be written, [`ErrorKind::Exhausted`] when the disk is full.
    pub fn install(&self, folder: &Path) -> Result<PathBuf> {
        let file = self.file(folder);
        // Compared, since a machine that lost power may have left a file with a name and no content.
        if fs::read(&file).is_ok_and(|there| there == self.bytes()) {
            return Ok(file);
        }
        let write = || -> io::Result<()> {
            fs::create_dir_all(folder)?;
            let mut temporary = tempfile::Builder::new()
                .prefix("worker-")
                .permissions(Permissions::from_mode(0o755))
                .tempfile_in(folder)?;
            temporary.write_all(self.bytes())?;
            // Closed before it is started: a program that is open for writing cannot be.
            temporary.into_temp_path().persist(&file).map_err(|error| error.error)
        };
        write().map_err(|error| {
            let full = [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded];
            let kind = if full.contains(&error.kind()) {
                ErrorKind::Exhausted
            } else {
                ErrorKind::Unavailable
            };
            let message = format!("cannot write the worker's program to `{}`", folder.display());
            Error::new(kind, message).with_source(error)
        })?;
        Ok(file)
    }
}

/// Lists the programs of other versions in `folder`, with what they take. One that still runs needs its file no more.
pub(crate) fn others(folder: &Path, own: &Path) -> Vec<(PathBuf, u64)> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let others = entries.filter(|entry| {
        entry.file_name().as_encoded_bytes().starts_with(PREFIX.as_bytes()) && entry.path() != own
    });
    others.filter_map(|entry| Some((entry.path(), entry.metadata().ok()?.len()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_installed_program_is_mended_and_otherwise_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let program = WorkerProgram::carried().unwrap();
        let file = program.install(&folder.path().join("a/b")).unwrap();
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o755);
        let made = file.metadata().unwrap().modified().unwrap();
        assert_eq!(program.install(file.parent().unwrap()).unwrap(), file);
        assert_eq!(file.metadata().unwrap().modified().unwrap(), made);
        fs::write(&file, "").unwrap();
        program.install(file.parent().unwrap()).unwrap();
        assert!(fs::read(&file).unwrap() == program.bytes());
        assert_eq!(fs::read_dir(file.parent().unwrap()).unwrap().count(), 1);
    }
}
