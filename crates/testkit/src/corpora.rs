//! Where the cases of other builders are, which are kept outside the repository.

use std::path::{Path, PathBuf};

/// Returns the folder of the corpora: as `BOXWRIGHT_CORPORA` says, else `shared/corpora` beside the checkout. What
/// needs it is skipped where there is none.
///
/// # Errors
///
/// Why there is none.
#[expect(
    clippy::disallowed_methods,
    reason = "a test is told by the environment where the corpora are"
)]
pub fn corpora() -> Result<PathBuf, String> {
    let folder = match std::env::var_os("BOXWRIGHT_CORPORA") {
        Some(folder) => PathBuf::from(folder),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpora"),
    };
    if folder.is_dir() {
        Ok(folder)
    } else {
        Err(format!("no corpus at {}; set BOXWRIGHT_CORPORA", folder.display()))
    }
}
