//! Runs a step: namespaces, mounts, rights, and what it leaves.
//!
//! The worker may have many threads, and a process with many threads can neither fork nor enter a user's
//! namespaces. So it starts itself again for each step ([`sandbox_main`]), and tells that process what to run
//! over a socket. That one makes the namespaces, waits for the step, and clears up; when either of them is
//! killed, the kernel kills the step.

mod connect;
mod files;
mod groups;
mod inside;
mod network;
mod plan;
mod prepare;
mod pump;
mod rights;
mod start;
mod target;

use boxwright_core::{Error, ErrorKind, Result, StepLayer, StepOutcome};

use crate::cancel::Cancel;
use crate::canonical::{self, Lower, Reduce, Start};
use crate::failure::on_path;
use crate::input::{StepEvent, StepInput};
use crate::store::{About, WorkerStore};

pub(crate) use groups::sweep as sweep_groups;
pub(crate) use network::Networks;
pub use start::sandbox_main;

use prepare::Prepared;

/// The argument by which a program is asked to be [`sandbox_main`].
pub const SANDBOX_ARGUMENT: &str = "sandbox-of-a-step";

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
    cancel.check()?;
    let source_date_epoch = input.step.source_date_epoch;
    let prepared = Prepared::new(store, input, events, cancel)?;
    let status = pump::run(store, &prepared, events, cancel)?;
    cancel.check()?;
    let layer = match status {
        0 => keep(store, &prepared, source_date_epoch)?,
        _ => None,
    };
    prepared.done(store);
    Ok(StepOutcome::new(status, layer))
}

/// Makes what the step left canonical, and keeps it under its diff id. `None` if it changed nothing.
fn keep(
    store: &WorkerStore,
    prepared: &Prepared,
    source_date_epoch: Option<i64>,
) -> Result<Option<StepLayer>> {
    let (marks, owners) = (store.marks(), store.owners());
    let start = if store.copies() { Start::Everything } else { Start::Upper };
    let files = prepared.changed();
    let folders = prepared.stack.layers.iter().map(|layer| store.folder().join(layer)).collect();
    let lower = Lower::new(folders, marks, owners);
    let reduce = Reduce { start, marks, owners, source_date_epoch };
    let left = reduce.run(&files, &prepared.stack.root, &lower)?;
    if !left.inner && !left.root {
        return Ok(None);
    }
    let (diff_id, size) = canonical::digest(&files, left.root, marks, owners)?;
    let layer = prepared.work.folder("layer")?;
    let place = layer.join("fs");
    std::fs::rename(&files, &place).map_err(|error| on_path("cannot write to", &place, error))?;
    About::canonical(left.root, size).write(&layer)?;
    store.keep(&layer, &diff_id)?;
    Ok(Some(StepLayer { diff_id, size }))
}

/// Returns the error of a step that names a mount's secret or agent which nobody gave.
fn not_given(what: &str, id: &str) -> Error {
    Error::new(ErrorKind::InvalidInput, format!("cannot mount the {what} `{id}`"))
        .with_cause("nobody gave it to the build")
}
