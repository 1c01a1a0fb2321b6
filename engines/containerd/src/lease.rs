//! A lease: while it lasts, containerd's collector takes nothing that was made or looked up under it.

use boxwright_core::Result;

use crate::api::{Api, Collection};
use crate::labels;

/// A lease of containerd. What only it holds is gone when it ends: blobs, snapshots, and half-written blobs.
#[derive(Debug)]
pub(crate) struct Lease {
    api: Api,
    id: Option<String>,
}

impl Lease {
    /// Takes a lease for `purpose`, such as `pull`.
    pub(crate) async fn take(api: &Api, purpose: &str) -> Result<Self> {
        let id = format!("boxwright-{purpose}-{}", unique());
        let scoped = api.under(&id)?;
        // Held from here on, so that a call that is dropped while containerd answers leaves none.
        let lease = Self { api: scoped, id: Some(id.clone()) };
        api.create_lease(&id, labels::of_lease(purpose)).await?;
        Ok(lease)
    }

    /// Returns what makes calls under it.
    pub(crate) fn api(&self) -> &Api {
        &self.api
    }

    /// Ends it, and returns `result`. After a failure, what was made under it is gone when this returns.
    pub(crate) async fn finish<T>(mut self, result: Result<T>) -> Result<T> {
        let collection = if result.is_ok() { Collection::Later } else { Collection::Now };
        if let Some(id) = self.id.clone() {
            // One that cannot be ended ends by itself, and by the next sweep.
            let _ = self.api.delete_lease(&id, collection).await;
        }
        // Only now, so that one that is dropped meanwhile is ended all the same.
        self.id = None;
        result
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let (Some(id), Ok(runtime)) = (self.id.take(), tokio::runtime::Handle::try_current())
        else {
            return;
        };
        let api = self.api.clone();
        runtime.spawn(async move { api.delete_lease(&id, Collection::Now).await });
    }
}

/// Returns 16 hexadecimal digits that nobody else has.
pub(crate) fn unique() -> String {
    use std::hash::{BuildHasher as _, Hasher as _};
    // Each `RandomState` has keys of its own, from the system's random numbers.
    let number = std::collections::hash_map::RandomState::new().build_hasher().finish();
    let clock = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let clock = clock.unwrap_or_default().as_nanos();
    #[expect(clippy::cast_possible_truncation, reason = "the low bits are those that differ")]
    let clock = clock as u64;
    format!("{:016x}", number ^ clock.rotate_left(32))
}

#[cfg(test)]
mod tests {
    #[test]
    fn names_differ() {
        let names: std::collections::BTreeSet<String> =
            (0..1000).map(|_| super::unique()).collect();
        assert_eq!(names.len(), 1000);
        assert!(names.iter().all(|name| name.len() == 16));
    }
}
