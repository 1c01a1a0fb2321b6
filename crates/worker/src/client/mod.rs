//! The client's side: has a worker run steps, over any stream of bytes.

mod agents;
mod calls;
mod layers;
mod run;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use boxwright_core::{Error, ErrorKind, Result};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::protocol::messages::{HelloAnswer, HelloRequest};
use crate::protocol::{PROTOCOL, call};
use calls::Calls;
use layers::Sent;

/// How long a worker has to say who it is.
const HELLO: Duration = Duration::from_secs(30);

/// A worker at the other end of a stream. Implements [`StepRunner`](boxwright_core::StepRunner). Clones share the
/// worker, which ends with the last of them.
#[derive(Clone)]
pub struct WorkerClient(Arc<Inner>);

struct Inner {
    calls: Calls,
    facts: WorkerFacts,
    sent: Sent,
    next_run: AtomicU64,
}

/// What a worker says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WorkerFacts {
    /// Its version.
    pub version: String,
    /// The architecture it was built for, as Rust names it, e.g. `x86_64`.
    pub architecture: String,
    /// How it stacks layers: `overlay`, `userxattr` (overlayfs in a user namespace) or `copying`, which is slow.
    pub stacking: String,
    /// Whether files can belong to other users than the one that it runs as.
    pub owners: bool,
}

impl WorkerClient {
    /// Greets the worker at the other end of `stream`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Protocol`] when it speaks another version of the protocol or something else altogether,
    /// [`ErrorKind::Unavailable`] when it ends, [`ErrorKind::Exhausted`] when it says nothing for half a minute.
    pub async fn connect(
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    ) -> Result<Self> {
        let greet = async {
            let calls = Calls::open(stream).await?;
            let version = env!("CARGO_PKG_VERSION").to_owned();
            let request = HelloRequest { protocol: PROTOCOL, version };
            let answer = calls.unary(call::HELLO, request).await?;
            Ok((calls, answer))
        };
        let greeted = tokio::time::timeout(HELLO, greet).await.map_err(|_| {
            Error::new(ErrorKind::Exhausted, "cannot start the worker")
                .with_cause(format!("it did not say who it is within {} seconds", HELLO.as_secs()))
        })?;
        let (calls, answer): (_, HelloAnswer) = greeted?;
        if answer.protocol != PROTOCOL {
            return Err(Error::new(ErrorKind::Protocol, "cannot use this worker").with_cause(
                format!(
                    "it is of version {} and speaks version {} of the protocol, not {PROTOCOL}",
                    answer.version, answer.protocol
                ),
            ));
        }
        let facts = WorkerFacts {
            version: answer.version,
            architecture: answer.architecture,
            stacking: answer.stacking,
            owners: answer.owners,
        };
        let (sent, next_run) = (Sent::default(), AtomicU64::new(1));
        Ok(Self(Arc::new(Inner { calls, facts, sent, next_run })))
    }

    /// Waits until the connection to the worker has ended, from whichever side.
    pub async fn ended(&self) {
        self.0.calls.ended().await;
    }

    /// Returns what the worker says of itself.
    #[must_use]
    pub fn facts(&self) -> &WorkerFacts {
        &self.0.facts
    }
}

impl fmt::Debug for WorkerClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkerClient").field("facts", &self.0.facts).finish_non_exhaustive()
    }
}
