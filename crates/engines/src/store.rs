//! Boxwright's own store, which is there whatever engine is used.

use boxwright_core::{Host, Result};

use boxwright_engine_embedded::keeper;
pub use boxwright_engine_embedded::{
    LocalWorker, StorePart, StorePruned, StorePruning, StoreUsage,
};
use boxwright_portable::local::place;
pub use boxwright_portable::{Part, Pruned, Pruning, Scope, Store, Usage};

use crate::Settings;

/// Opens Boxwright's store where the settings say it is, and makes it if there is none.
///
/// # Errors
///
/// [`ErrorKind::Unavailable`](boxwright_core::ErrorKind::Unavailable) when there is no place for it, or it cannot
/// be written.
pub fn open(settings: &Settings, host: &Host) -> Result<Store> {
    let place = place::place(host, settings.engines().embedded.store.as_deref())?;
    Store::open(place.folder)
}

/// Returns the worker whose layers and caches are in `store`, to count and to prune those, or `None` where no program
/// of it can be had.
///
/// # Errors
///
/// [`ErrorKind::InvalidInput`](boxwright_core::ErrorKind::InvalidInput) when the file that the settings name is no
/// program.
pub fn worker(settings: &Settings, host: &Host, store: &Store) -> Result<Option<LocalWorker>> {
    keeper(host, store.layout().folder(), &settings.engines().embedded)
}
