//! What is served for real: the store, and the sandbox on it.

use std::io::Read;

use boxwright_core::{Digest, Result, StepOutcome};

use super::Steps;
use crate::{Cancel, StepEvent, StepInput, WorkerStore, run_step};

impl Steps for WorkerStore {
    fn stacking(&self) -> &'static str {
        self.stacking()
    }

    fn has_owners(&self) -> bool {
        self.has_owners()
    }

    fn missing(&self, diff_ids: &[Digest]) -> Result<Vec<Digest>> {
        self.missing(diff_ids)
    }

    fn unpack(&self, diff_id: &Digest, tar: &mut dyn Read) -> Result<()> {
        self.unpack(diff_id, tar)
    }

    fn read_layer(&self, diff_id: &Digest) -> Result<Box<dyn Read + Send>> {
        Ok(Box::new(self.read_layer(diff_id)?))
    }

    fn run(
        &self,
        input: StepInput,
        events: &mut dyn FnMut(StepEvent<'_>),
        cancel: &Cancel,
    ) -> Result<StepOutcome> {
        run_step(self, input, events, cancel)
    }
}
