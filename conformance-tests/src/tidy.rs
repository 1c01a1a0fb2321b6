//! What the cases of one engine made, removed at the end, and the proof that nothing is left.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use boxwright_core::{Capability, Error, ErrorKind, Host, ImageRef, RemoveRequest, Session};
use tokio::sync::RwLock;

use crate::case::Failure;
use crate::column::Column;
use crate::cx::Cx;
use crate::runner::Outcome;
use crate::verdict::Verdict;

/// The id under which it is told whether anything is left. It is no case: it comes after all of them.
pub(crate) const LEFTOVERS: &str = "suite/nothing-is-left";

/// What [`LEFTOVERS`] promises.
pub(crate) const PROMISE: &str =
    "everything that the cases made can be removed, and nothing of it is left";

/// How long removing everything may take.
const LIMIT: Duration = Duration::from_secs(300);

/// One engine, with what its cases made.
#[derive(Debug)]
pub(crate) struct Tidy<'a> {
    pub(crate) column: &'a Column,
    /// Held by cases: together by most, alone by those that take images away. Columns of one daemon share it.
    pub(crate) gate: Arc<RwLock<()>>,
    made: Mutex<Vec<Cx>>,
    had_base: bool,
}

impl<'a> Tidy<'a> {
    /// Looks at the engine before anything is done to it.
    pub(crate) async fn before(column: &'a Column, gate: Arc<RwLock<()>>, host: &Host) -> Self {
        let had_base = match column.environment.base() {
            Ok(base) => has(column, base, &Session::new(host.clone())).await,
            Err(_) => false,
        };
        Self { column, gate, made: Mutex::default(), had_base }
    }

    /// Has what a case makes removed in the end.
    pub(crate) fn keep(&self, cx: &Cx) {
        self.made.lock().unwrap_or_else(PoisonError::into_inner).push(cx.clone());
    }

    /// Removes everything, and looks whether anything of the run `run` is left.
    pub(crate) async fn after(&self, host: &Host, run: &str) -> Outcome {
        // Podman 4.3 fails to list images while others are removed, and two columns may have one service.
        let _alone = self.gate.write().await;
        let start = Instant::now();
        let verdict = match tokio::time::timeout(LIMIT, self.tidied(host, run)).await {
            Ok(Ok(())) => Verdict::Pass,
            Ok(Err(failure)) => Verdict::Fail { reason: failure.to_string() },
            Err(_) => Verdict::Fail { reason: "removing everything took too long".to_owned() },
        };
        Outcome::since(start, LEFTOVERS, self.column, verdict)
    }

    async fn tidied(&self, host: &Host, run: &str) -> Result<(), Failure> {
        let engine = &self.column.engine;
        let session = Session::new(host.clone());
        let can = |capability| engine.capabilities().get(capability).is_available();
        if !can(Capability::Remove) || !can(Capability::List) {
            return Ok(());
        }
        let made = std::mem::take(&mut *self.made.lock().unwrap_or_else(PoisonError::into_inner));
        let mut first = Ok(());
        for cx in made {
            first = first.and(cx.clean_up().await);
        }
        if let (Ok(base), false) = (self.column.environment.base(), self.had_base) {
            let removed = engine.remove(&RemoveRequest::new(base.clone().into()), &session).await;
            first = first.and(removed.map(drop).or_else(unless_gone));
        }
        first?;
        let ours = crate::cx::slug(run, &self.column.name, "");
        for image in engine.list(&session).await? {
            if let Some(left) = image.names.iter().find(|name| name.repository().contains(&ours)) {
                return Err(Failure::promise(format!("`{left}` is left")));
            }
        }
        Ok(())
    }
}

async fn has(column: &Column, name: &ImageRef, session: &Session) -> bool {
    // An engine that cannot tell keeps its base image.
    column
        .engine
        .list(session)
        .await
        .map_or(true, |images| images.iter().any(|image| image.names.contains(name)))
}

/// An image that is gone already, or that something else needs, is not a failure to clean up.
pub(crate) fn unless_gone(error: Error) -> boxwright_core::Result<()> {
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::Conflict => Ok(()),
        _ => Err(error),
    }
}
