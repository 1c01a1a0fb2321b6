//! Builds with the portable builder.

use boxwright_core::{BuildOutput, BuildRequest, Result, Session};
use boxwright_portable::{Builder, Store};
use boxwright_worker_program::LocalWorker;

/// Builds an image into `store`. Its commands run on `worker`, which ends with the build.
pub(crate) async fn build(
    store: &Store,
    worker: Option<&LocalWorker>,
    request: &BuildRequest,
    session: &Session,
) -> Result<BuildOutput> {
    let builder = Builder::new(store.clone());
    let Some(worker) = worker else { return builder.build(request, session).await };
    let output = builder.with_steps(worker).build(request, session).await;
    worker.end().await;
    output
}
