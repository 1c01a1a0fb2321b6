//! Builds with the portable builder.

use boxwright_core::{BuildOutput, BuildRequest, Result, Session};
use boxwright_portable::{Builder, Store};

/// Builds an image into `store`.
pub(crate) async fn build(
    store: &Store,
    request: &BuildRequest,
    session: &Session,
) -> Result<BuildOutput> {
    Builder::new(store.clone()).build(request, session).await
}
