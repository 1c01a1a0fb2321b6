//! Boxwright's own store, which is there whatever engine is used.

use boxwright_core::{Host, Result};

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
