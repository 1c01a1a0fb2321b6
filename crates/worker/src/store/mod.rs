//! Layers, each unpacked once under its diff id, and caches, for any number of processes at once.

mod about;
mod caches;
mod chain;
mod layers;
mod measure;
mod patch;
mod stacking;
mod upkeep;
mod work;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use boxwright_core::Result;
use boxwright_image::overlay::{Marks, Owners};

pub(crate) use about::About;
pub(crate) use caches::Cache;
pub(crate) use chain::Stack;
use stacking::Stacking;
pub(crate) use upkeep::prune_when_due;
pub use upkeep::{StorePart, StorePruned, StorePruning, StoreUsage, prune_store, store_usage};
pub(crate) use work::WorkFolder;

use crate::failure::on_path;
use crate::sandbox::{Networks, sweep_groups};

/// A folder of unpacked layers and of caches. Clones share it, and so do processes: what is made is made beside
/// and renamed, and what a process that was killed leaves behind is swept when the store is opened next.
#[derive(Clone, Debug)]
pub struct WorkerStore(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    folder: PathBuf,
    stacking: Stacking,
    program: PathBuf,
    networks: Networks,
    /// Whether it was said already that files can belong to one user alone.
    said_one_id: AtomicBool,
    /// Keeps others from removing anything.
    _using: File,
}

impl WorkerStore {
    /// Opens the store in `folder`, and makes it if it is missing. Finds out by trying how layers can be
    /// stacked up there, and removes what killed processes left.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unavailable`](boxwright_core::ErrorKind::Unavailable) when the folder cannot be written.
    pub fn open(folder: &Path) -> Result<Self> {
        Self::open_with_program(folder, Path::new("/proc/self/exe"))
    }

    /// Opens the store in `folder` as [`WorkerStore::open`] does. Steps are started by `program`, which calls
    /// [`sandbox_main`](crate::sandbox_main); otherwise it is the running program itself.
    ///
    /// # Errors
    ///
    /// As [`WorkerStore::open`].
    pub fn open_with_program(folder: &Path, program: &Path) -> Result<Self> {
        make(folder)?;
        let using = upkeep::using(folder)?;
        sweep_groups();
        let folder = folder
            .canonicalize()
            .map_err(|error| on_path("cannot open the folder", folder, error))?;
        let stacking = Stacking::find_out(&folder)?;
        // Each way to stack has its own form of what hides files, so they share no layers.
        let folder = folder.join(stacking.name());
        work::prepare(&folder)?;
        for part in ["layers", "caches", "nothing"] {
            make(&folder.join(part))?;
        }
        Ok(Self(Arc::new(Inner {
            folder,
            stacking,
            program: program.to_owned(),
            networks: Networks::default(),
            said_one_id: AtomicBool::new(false),
            _using: using,
        })))
    }

    /// Returns how layers are stacked up here: `overlay`, `userxattr` (overlayfs in a user namespace), or
    /// `copying`, which is slow.
    #[must_use]
    pub fn stacking(&self) -> &'static str {
        self.0.stacking.name()
    }

    /// Returns whether files can belong to other users than the one that runs the worker.
    #[must_use]
    pub fn has_owners(&self) -> bool {
        self.0.stacking.owners == Owners::Real
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.0.folder
    }

    pub(crate) fn marks(&self) -> Marks {
        self.0.stacking.marks
    }

    pub(crate) fn owners(&self) -> Owners {
        self.0.stacking.owners
    }

    /// Returns whether layers are copied together, since overlayfs is not to be had.
    pub(crate) fn copies(&self) -> bool {
        self.0.stacking.marks == Marks::Names
    }

    pub(crate) fn program(&self) -> &Path {
        &self.0.program
    }

    pub(crate) fn networks(&self) -> &Networks {
        &self.0.networks
    }

    /// Returns whether it is still to be said that files can belong to one user alone: once is enough.
    pub(crate) fn warns_of_owners(&self) -> bool {
        !self.0.said_one_id.swap(true, Ordering::Relaxed)
    }

    /// Makes a folder for work that is in progress.
    pub(crate) fn work_folder(&self) -> Result<WorkFolder> {
        WorkFolder::make(&self.0.folder)
    }
}

fn make(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder)
        .map_err(|error| on_path("cannot make the folder", folder, error))
}
