//! Where the store is, and whether it can be used.

use std::path::{Path, PathBuf};

use boxwright_core::{Error, ErrorKind, Host, Result};
use rustix::fs::Access;

/// The variable that names the store.
const VARIABLE: &str = "BOXWRIGHT_STORE";

/// The store of root.
const OF_ROOT: &str = "/var/lib/boxwright";

/// A folder, and what named it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The folder.
    pub folder: PathBuf,
    /// What named it.
    pub source: &'static str,
}

/// Returns where the store is, there or not. `setting` comes before everything else.
///
/// # Errors
///
/// [`ErrorKind::Unavailable`] when nothing says where the user keeps data.
pub fn place(host: &Host, setting: Option<&str>) -> Result<Place> {
    if let Some(folder) = setting {
        return Ok(Place { folder: host.absolute(Path::new(folder)), source: "setting `store`" });
    }
    if let Some(folder) = host.path_variable(VARIABLE) {
        return Ok(Place { folder: host.absolute(&folder), source: VARIABLE });
    }
    if host.user_id() == 0 {
        return Ok(Place { folder: OF_ROOT.into(), source: "default folder" });
    }
    match host.data_folder() {
        Some(folder) => Ok(Place { folder: folder.join("boxwright"), source: "default folder" }),
        None => Err(Error::new(ErrorKind::Unavailable, "there is no place to keep images in")
            .with_cause("neither `HOME` nor `XDG_DATA_HOME` is set")
            .with_remedy(format!("name a folder by `{VARIABLE}`"))),
    }
}

/// Fails unless the store can be written, or made. Changes nothing.
///
/// # Errors
///
/// [`ErrorKind::Unavailable`] with what is wrong with the folder.
pub fn check(folder: &Path) -> Result<()> {
    let cannot = |cause: String| {
        let message = format!("cannot keep images in `{}`", folder.display());
        Err(Error::new(ErrorKind::Unavailable, message)
            .with_cause(cause)
            .with_remedy(format!("name another folder by `{VARIABLE}`")))
    };
    let Some(there) = folder.ancestors().find(|folder| folder.symlink_metadata().is_ok()) else {
        return cannot("no folder above it is there".to_owned());
    };
    let shown = there.display();
    if !there.is_dir() {
        return cannot(format!("`{shown}` is not a folder"));
    }
    match rustix::fs::access(there, Access::WRITE_OK | Access::EXEC_OK) {
        Ok(()) => Ok(()),
        Err(error) => cannot(format!("`{shown}`: {}", std::io::Error::from(error))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_setting_comes_before_the_variable_and_that_before_the_default() {
        let host = Host::with_variables("/w", [(VARIABLE, "/v"), ("HOME", "/h")]);
        let of_setting = Place { folder: "/w/own".into(), source: "setting `store`" };
        assert_eq!(place(&host, Some("own")).unwrap(), of_setting);
        let of_variable = Place { folder: "/v".into(), source: VARIABLE };
        assert_eq!(place(&host, None).unwrap(), of_variable);
        let host = Host::with_variables("/w", [("HOME", "/h")]);
        let usual = match host.user_id() {
            0 => OF_ROOT,
            _ => "/h/.local/share/boxwright",
        };
        assert_eq!(place(&host, None).unwrap().folder, Path::new(usual));
    }

    #[test]
    fn a_folder_that_can_be_made_is_not_made() {
        let folder = tempfile::tempdir().unwrap();
        let store = folder.path().join("a/b");
        check(&store).unwrap();
        assert!(!folder.path().join("a").exists());
        std::fs::write(folder.path().join("a"), "").unwrap();
        let error = check(&store).unwrap_err();
        assert!(error.causes()[0].ends_with("/a` is not a folder"), "{error:?}");
        assert!(check(Path::new("/dev/null/store")).is_err());
    }
}
