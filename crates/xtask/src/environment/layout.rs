//! Where an environment keeps its files, and what its traces outside them are called.

use std::fs;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::problem::{Explain, Problem, Result};

/// The longest folder whose sockets still fit into a socket address (108 bytes).
const LONGEST: usize = 70;

/// The folder of one environment. All names are derived from it, so that a later run finds what an earlier one left.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    folder: PathBuf,
    /// 64 hexadecimal digits.
    hash: String,
}

impl Layout {
    /// Describes the environment in `folder`, which has an absolute path.
    pub(crate) fn new(folder: &Path) -> Result<Self> {
        let text = folder.to_str().unwrap_or_default();
        let plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
        if !folder.is_absolute() || !text.chars().all(plain) || text.len() > LONGEST {
            return Err(Problem::new(format!("cannot keep an environment in `{}`", folder.display()))
                .cause(format!(
                    "its path must be absolute, of letters, digits, `.`, `_` and `-`, and at most {LONGEST} bytes long"
                ))
                .help("choose another folder with `--dir`, such as `--dir /var/tmp/boxwright`"));
        }
        let hash = Sha256::digest(text.as_bytes());
        let hash = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { folder: folder.to_owned(), hash })
    }

    /// Returns where an environment is when nobody says otherwise: one for each user.
    pub(crate) fn usual_folder() -> PathBuf {
        format!("/var/tmp/boxwright-environment-{}", rustix::process::getuid().as_raw()).into()
    }

    /// Makes the folder, which must be this user's own: others could else swap what root runs.
    pub(crate) fn create(&self) -> Result<()> {
        let folder = &self.folder;
        let message = || format!("cannot make the folder `{}`", folder.display());
        if !folder.exists() {
            fs::DirBuilder::new().recursive(true).mode(0o755).create(folder).explain(message)?;
        }
        let found = fs::symlink_metadata(folder).explain(message)?;
        if !found.is_dir() || found.uid() != rustix::process::getuid().as_raw() {
            return Err(Problem::new(message())
                .cause("it exists and is not a folder of this user")
                .help("remove it, or choose another one with `--dir`"));
        }
        // Whatever the umask is, the rootless user passes through these.
        for part in ["", "run", "log"] {
            let path = folder.join(part);
            fs::create_dir_all(&path).explain(message)?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).explain(message)?;
        }
        Ok(())
    }

    /// Returns 64 hexadecimal digits that are this environment's.
    pub(crate) fn hash(&self) -> &str {
        &self.hash
    }

    fn id(&self) -> &str {
        &self.hash[..8]
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns a path in the folder.
    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.folder.join(relative)
    }

    /// Returns where the daemon called `name` writes.
    pub(crate) fn log(&self, name: &str) -> PathBuf {
        self.folder.join("log").join(format!("{}.log", name.replace('/', "-")))
    }

    pub(crate) fn socket(&self, name: &str) -> PathBuf {
        self.folder.join("run").join(format!("{name}.sock"))
    }

    pub(crate) fn state_file(&self) -> PathBuf {
        self.folder.join("state.json")
    }

    /// Returns the name of the bridge of an engine; interfaces have at most 15 bytes.
    pub(crate) fn bridge(&self, suffix: char) -> String {
        format!("bw{}{suffix}", self.id())
    }

    /// Returns the name of the user who runs rootless engines, where root makes one.
    pub(crate) fn user(&self) -> String {
        format!("bw{}", self.id())
    }

    /// Returns the cgroup of the containers of this environment, below each hierarchy.
    pub(crate) fn cgroup(&self) -> String {
        format!("boxwright-{}", self.id())
    }

    /// Returns a number that is the same for the same folder, to begin a search for a free subnet.
    pub(crate) fn seed(&self) -> u8 {
        u8::from_str_radix(&self.hash[..2], 16).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::Layout;

    #[test]
    fn names_fit_and_depend_on_the_folder() {
        let one = Layout::new(Path::new("/var/tmp/one")).unwrap();
        let two = Layout::new(Path::new("/var/tmp/two")).unwrap();
        assert_ne!(one.bridge('d'), two.bridge('d'));
        assert!(one.bridge('d').len() <= 15);
        assert_eq!(one.user(), Layout::new(Path::new("/var/tmp/one")).unwrap().user());
    }

    #[test]
    fn a_path_too_long_for_sockets_is_refused_with_a_remedy() {
        let long = format!("/var/tmp/{}", "x".repeat(80));
        let problem = Layout::new(Path::new(&long)).unwrap_err().to_string();
        assert!(problem.contains("--dir"), "{problem}");
        assert!(Layout::new(Path::new("relative")).is_err());
        assert!(Layout::new(Path::new("/var/tmp/with space")).is_err());
    }

    #[test]
    fn a_folder_of_someone_else_is_not_taken() {
        let own = tempfile::tempdir().unwrap();
        let link = own.path().join("link");
        std::os::unix::fs::symlink(own.path(), &link).unwrap();
        assert!(Layout::new(&link).unwrap().create().is_err());
    }
}
