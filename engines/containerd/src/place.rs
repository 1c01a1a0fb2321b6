//! Where the portable builder keeps what it makes before it is containerd's.

use std::path::PathBuf;

use boxwright_core::{Error, ErrorKind, Host, Result};

/// The variable that names the folder, for every engine.
const VARIABLE: &str = "BOXWRIGHT_STORE";

/// The folder of root.
const OF_ROOT: &str = "/var/lib/boxwright";

/// Returns the folder of Boxwright's own store.
///
/// # Errors
///
/// [`ErrorKind::Unavailable`] when nothing says where this user's is.
pub(crate) fn store(host: &Host) -> Result<PathBuf> {
    if let Some(folder) = host.path_variable(VARIABLE) {
        return Ok(host.absolute(&folder));
    }
    if host.user_id() == 0 {
        return Ok(OF_ROOT.into());
    }
    let folder = host.data_folder().map(|folder| folder.join("boxwright"));
    folder.ok_or_else(|| {
        Error::new(ErrorKind::Unavailable, "there is no place to keep built layers in")
            .with_cause("neither `HOME` nor `XDG_DATA_HOME` is set")
            .with_remedy(format!("name a folder by `{VARIABLE}`"))
    })
}
