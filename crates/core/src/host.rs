//! The machine: the only way to its environment and its programs.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{Error, ErrorKind, Result};
use crate::program::{Program, ProgramOutput};

/// The environment, the well-known folders, and the programs of a machine.
///
/// [`Host::system`] is the one the process runs on. Tests make their own with [`Host::with_variables`],
/// so that nothing of the real environment leaks in. Cheap to clone.
#[derive(Clone)]
pub struct Host(Arc<Inner>);

struct Inner {
    variables: BTreeMap<OsString, OsString>,
    working_directory: PathBuf,
    user_id: u32,
}

impl Host {
    /// Returns the machine the process runs on, as it is now.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is where the environment is read, once")]
    pub fn system() -> Self {
        Self(Arc::new(Inner {
            variables: std::env::vars_os().collect(),
            // A working directory that was deleted is found out by whoever needs it.
            working_directory: std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/")),
            user_id: rustix::process::geteuid().as_raw(),
        }))
    }

    /// Returns a machine whose environment is exactly `variables`, at `working_directory`.
    pub fn with_variables<K: Into<OsString>, V: Into<OsString>>(
        working_directory: impl Into<PathBuf>,
        variables: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        Self(Arc::new(Inner {
            variables: variables.into_iter().map(|(k, v)| (k.into(), v.into())).collect(),
            working_directory: working_directory.into(),
            user_id: rustix::process::geteuid().as_raw(),
        }))
    }

    /// Returns the same machine with the variable `name` set to `value`, whatever it was.
    #[must_use]
    pub fn with_variable(&self, name: &str, value: impl Into<OsString>) -> Self {
        let mut variables = self.0.variables.clone();
        variables.insert(name.into(), value.into());
        Self(Arc::new(Inner {
            variables,
            working_directory: self.0.working_directory.clone(),
            user_id: self.0.user_id,
        }))
    }

    /// Returns the variable `name`, unless it is unset, empty, or not UTF-8.
    #[must_use]
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.0.variables.get(std::ffi::OsStr::new(name))?.to_str().filter(|value| !value.is_empty())
    }

    /// Returns all variables whose names and values are UTF-8, in the order of their names.
    pub fn variables(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.variables.iter().filter_map(|(name, value)| Some((name.to_str()?, value.to_str()?)))
    }

    /// Returns the variable `name` as a path, unless it is unset or empty.
    #[must_use]
    pub fn path_variable(&self, name: &str) -> Option<PathBuf> {
        let value = self.0.variables.get(std::ffi::OsStr::new(name))?;
        (!value.is_empty()).then(|| PathBuf::from(value))
    }

    /// Returns the working directory.
    #[must_use]
    pub fn working_directory(&self) -> &Path {
        &self.0.working_directory
    }

    /// Returns `path` as an absolute path, seen from the working directory.
    #[must_use]
    pub fn absolute(&self, path: &Path) -> PathBuf {
        self.0.working_directory.join(path)
    }

    /// Returns the effective user id of the process.
    #[must_use]
    pub fn user_id(&self) -> u32 {
        self.0.user_id
    }

    /// Returns the user's home folder: `$HOME`.
    #[must_use]
    pub fn home(&self) -> Option<PathBuf> {
        self.path_variable("HOME")
    }

    /// Returns the folder of the user's settings: `$XDG_CONFIG_HOME`, else `~/.config`.
    #[must_use]
    pub fn config_folder(&self) -> Option<PathBuf> {
        self.absolute_variable("XDG_CONFIG_HOME").or_else(|| Some(self.home()?.join(".config")))
    }

    /// Returns the folder of the user's data: `$XDG_DATA_HOME`, else `~/.local/share`.
    #[must_use]
    pub fn data_folder(&self) -> Option<PathBuf> {
        self.absolute_variable("XDG_DATA_HOME").or_else(|| Some(self.home()?.join(".local/share")))
    }

    /// Returns the folder of the user's sockets: `$XDG_RUNTIME_DIR`, else `/run/user/ID` if it is there.
    #[must_use]
    pub fn runtime_folder(&self) -> Option<PathBuf> {
        self.absolute_variable("XDG_RUNTIME_DIR").or_else(|| {
            let folder = PathBuf::from(format!("/run/user/{}", self.0.user_id));
            folder.is_dir().then_some(folder)
        })
    }

    /// Returns the folder for temporary files: `$TMPDIR`, else `/tmp`.
    #[must_use]
    pub fn temporary_folder(&self) -> PathBuf {
        self.absolute_variable("TMPDIR").unwrap_or_else(|| PathBuf::from("/tmp"))
    }

    // SPEC: XDG base directories: "All paths set in these environment variables must be absolute.
    // If an implementation encounters a relative path … it should consider the path invalid and ignore it."
    fn absolute_variable(&self, name: &str) -> Option<PathBuf> {
        self.path_variable(name).filter(|path| path.is_absolute())
    }

    /// Returns the absolute path of the program `name`, looked up in the absolute folders of `$PATH` only.
    #[must_use]
    pub fn find_program(&self, name: &str) -> Option<PathBuf> {
        use std::os::unix::fs::PermissionsExt as _;
        let path = self.0.variables.get(std::ffi::OsStr::new("PATH"))?;
        std::env::split_paths(path)
            .filter(|folder| folder.is_absolute())
            .map(|folder| folder.join(name))
            .find(|file| {
                file.metadata()
                    .is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
            })
    }

    /// Returns a program to start, by its name in `$PATH`. It gets the host's environment, no
    /// terminal and no input unless it is given some.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`] when no folder of `$PATH` has it.
    pub fn program(&self, name: &str) -> Result<Program> {
        let file = self.find_program(name).ok_or_else(|| {
            Error::new(ErrorKind::NotFound, format!("cannot find the program `{name}`"))
                .with_cause("no folder of `PATH` has it")
                .with_remedy(format!("install `{name}`, or add its folder to `PATH`"))
        })?;
        Ok(Program::new(file, self.0.variables.clone()))
    }

    /// Returns the program in `file` to start, such as one that this one carries. It gets what
    /// [`Host::program`] gives.
    #[must_use]
    pub fn program_in(&self, file: impl Into<PathBuf>) -> Program {
        Program::new(file.into(), self.0.variables.clone())
    }

    /// Starts the program `name` with `arguments` and waits for its end, at most `limit`.
    ///
    /// # Errors
    ///
    /// As [`Host::program`] and [`Program::output`].
    pub async fn output(
        &self,
        name: &str,
        arguments: &[&str],
        limit: std::time::Duration,
    ) -> Result<ProgramOutput> {
        self.program(name)?.arguments(arguments).output(&[], limit).await
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Values of variables may be secrets.
        f.debug_struct("Host")
            .field("working_directory", &self.0.working_directory)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relative_folder_of_path_is_never_searched_threat_33() {
        let folder = std::env::current_dir().unwrap();
        let host = Host::with_variables(folder, [("PATH", ".:bin:")]);
        assert_eq!(host.find_program("Cargo.toml"), None);
        assert_eq!(host.program("sh").unwrap_err().kind(), ErrorKind::NotFound);
    }

    #[test]
    fn an_empty_variable_is_unset() {
        let host = Host::with_variables(
            "/",
            [("DOCKER_HOST", ""), ("XDG_CONFIG_HOME", "rel"), ("HOME", "/h")],
        );
        assert_eq!(host.variable("DOCKER_HOST"), None);
        assert_eq!(host.config_folder(), Some(PathBuf::from("/h/.config")));
    }
}
