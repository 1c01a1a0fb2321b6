//! Finds out, by trying, how layers can be stacked up in a folder.

use std::path::Path;

use boxwright_core::Result;
use boxwright_image::overlay::{Marks, Owners};

use super::work::{self, WorkFolder};
use crate::failure::on_path;
use crate::mount::Overlay;

/// How layers are stacked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stacking {
    /// How a layer's folder says what it hides.
    pub(crate) marks: Marks,
    /// Whether files can belong to others.
    pub(crate) owners: Owners,
}

impl Stacking {
    pub(super) fn find_out(store: &Path) -> Result<Self> {
        let trials = store.join("trials");
        work::prepare(&trials)?;
        let trial = WorkFolder::make(&trials)?;
        Self::try_in(trial.path())
    }

    fn try_in(trial: &Path) -> Result<Self> {
        let make = |name: &str| {
            let path = trial.join(name);
            std::fs::create_dir_all(&path)
                .map_err(|error| on_path("cannot make the folder", &path, error))
        };
        make("owned")?;
        let owners = match std::os::unix::fs::chown(trial.join("owned"), Some(1), Some(1)) {
            Ok(()) => Owners::Real,
            Err(_) => Owners::Noted,
        };
        for marks in [Marks::Trusted, Marks::User] {
            for name in ["lower/folder", "upper", "work", "merged"] {
                make(&format!("{marks:?}/{name}"))?;
            }
            if stacks(&trial.join(format!("{marks:?}")), marks) {
                return Ok(Self { marks, owners });
            }
        }
        Ok(Self { marks: Marks::Names, owners })
    }

    pub(crate) fn name(self) -> &'static str {
        match self.marks {
            Marks::Trusted => "overlay",
            Marks::User => "userxattr",
            Marks::Names => "copying",
        }
    }
}

/// Returns whether an overlay in `folder` can be mounted, and hides a lower folder that is removed or replaced.
/// Without the right kind of marks, the first fails or silently leaves the folder.
fn stacks(folder: &Path, marks: Marks) -> bool {
    let trial = || -> Result<bool> {
        crate::syscalls::unshare(rustix::thread::UnshareFlags::NEWNS)
            .map_err(|error| on_path("cannot make a mount namespace for", folder, error))?;
        crate::mount::make_private()?;
        let merged = folder.join("merged");
        let overlay = Overlay {
            base: folder,
            lower: &["lower".into()],
            upper: Some((Path::new("upper"), Path::new("work"))),
            marks,
            names: Path::new("names"),
        };
        overlay.mount(&merged)?;
        let inner = merged.join("folder");
        let done = std::fs::remove_dir(&inner)
            .and_then(|()| std::fs::create_dir(&inner))
            .and_then(|()| std::fs::rename(&inner, merged.join("renamed")));
        Ok(done.is_ok() && !inner.exists())
    };
    // A mount namespace of one thread, which ends with it and takes the mount along.
    std::thread::scope(|scope| scope.spawn(trial).join()).is_ok_and(|done| done.unwrap_or(false))
}
