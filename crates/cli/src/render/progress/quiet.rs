//! Nothing but warnings, and what a step that failed wrote.

use std::time::Duration;

use boxwright_core::{Event, StepResult};

use super::Renderer;
use super::plain::{failed_step, warning};
use super::step::{Step, Steps};
use crate::render::Paint;

/// Prints nothing unless something goes wrong.
#[derive(Debug)]
pub(super) struct Quiet {
    paint: Paint,
    steps: Steps,
}

impl Quiet {
    pub(super) fn new(paint: Paint) -> Self {
        Self { paint, steps: Steps::new() }
    }
}

impl Renderer for Quiet {
    fn event(&mut self, event: Event, now: Duration) -> String {
        match event {
            Event::StepStarted { step, name } => {
                self.steps.insert(step, Step::new(&name, now));
            }
            Event::StepLog { step, stream, bytes } => {
                if let Some(step) = self.steps.get_mut(&step) {
                    step.log(stream, &bytes);
                }
            }
            Event::StepFinished { step, result } => {
                let ended = self.steps.remove(&step);
                if let (Some(mut step), StepResult::Failed { .. }) = (ended, result) {
                    step.rest();
                    return failed_step(&step);
                }
            }
            Event::Warning { message, remedy } => {
                return warning(&message, remedy.as_deref(), self.paint);
            }
            _ => {}
        }
        String::new()
    }

    fn interrupted(&mut self, _now: Duration) -> String {
        String::new()
    }
}
