//! Runs a step: namespaces, mounts, rights, and what it leaves.

use boxwright_core::{Error, ErrorKind, Result, StepOutcome};

use crate::cancel::Cancel;
use crate::input::{StepEvent, StepInput};
use crate::store::WorkerStore;

/// Runs a step on the layers in `store`, tells `events` what it writes, and keeps what it changed as a layer of
/// the store. Blocks until everything of the step is gone: its processes, its mounts, its scratch files.
///
/// # Errors
///
/// [`ErrorKind::Cancelled`] after `cancel` was fired; [`ErrorKind::InvalidInput`] when the step asks for what
/// cannot be, such as an unknown user; [`ErrorKind::Unavailable`] when the machine does not let it run;
/// [`ErrorKind::Exhausted`] when the disk is full. A command that fails is an outcome.
pub fn run_step(
    store: &WorkerStore,
    input: StepInput,
    events: &mut dyn FnMut(StepEvent<'_>),
    cancel: &Cancel,
) -> Result<StepOutcome> {
    let _ = (store, input, events, cancel);
    Err(Error::new(ErrorKind::Unsupported, "cannot run the step")
        .with_cause("this worker runs no steps"))
}
