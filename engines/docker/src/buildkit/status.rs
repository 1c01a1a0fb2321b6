//! BuildKit's status stream in our events. Pure but for the numbers it gives to steps.

use std::collections::HashMap;

use bollard_buildkit_proto::moby::buildkit::v1::{StatusResponse, Vertex};
use boxwright_core::{Event, OutputStream, StepId, StepResult};

use super::failures::exit_code;

/// Follows one build: BuildKit tells of vertices by digest, in any order, and of some several times.
#[derive(Debug, Default)]
pub(super) struct Progress {
    steps: HashMap<String, Step>,
    /// The first vertex that failed by itself.
    failed: Option<FailedStep>,
}

#[derive(Debug)]
struct Step {
    id: StepId,
    name: String,
    started: bool,
    finished: bool,
}

/// The step that made a build fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FailedStep {
    /// The vertex's name, e.g. `[2/3] RUN make`.
    pub(super) name: String,
    /// What BuildKit says of it.
    pub(super) error: String,
}

impl Progress {
    /// Returns what `response` tells, in the order of a step's life.
    pub(super) fn events(&mut self, response: StatusResponse) -> Vec<Event> {
        let mut events = Vec::new();
        let mut finished = Vec::new();
        for vertex in response.vertexes {
            self.update(vertex, &mut events, &mut finished);
        }
        for status in response.statuses {
            let Some(step) = self.steps.get(&status.vertex) else { continue };
            let item = if status.name.is_empty() { status.id } else { status.name };
            let current = u64::try_from(status.current).unwrap_or(0);
            let total = u64::try_from(status.total).ok().filter(|&total| total > 0);
            events.push(Event::StepProgress { step: step.id, item, current, total });
        }
        for log in response.logs {
            let Some(step) = self.steps.get(&log.vertex) else { continue };
            let stream = if log.stream == 2 { OutputStream::Stderr } else { OutputStream::Stdout };
            events.push(Event::StepLog { step: step.id, stream, bytes: log.msg });
        }
        for warning in response.warnings {
            let message = String::from_utf8_lossy(&warning.short).into_owned();
            let remedy = (!warning.url.is_empty()).then(|| format!("see {}", warning.url));
            events.push(Event::Warning { message, remedy });
        }
        // Last words before the end: the log of a step comes with its completion.
        events.extend(finished);
        events
    }

    /// Returns the step that made the build fail, once one has.
    pub(super) fn failed(&self) -> Option<&FailedStep> {
        self.failed.as_ref()
    }

    /// Returns an end for every step that began and was not told to have ended.
    pub(super) fn abandon(&mut self) -> Vec<Event> {
        let mut open: Vec<_> =
            self.steps.values_mut().filter(|step| step.started && !step.finished).collect();
        open.sort_by_key(|step| step.id);
        let ends = open.into_iter().map(|step| {
            step.finished = true;
            Event::StepFinished { step: step.id, result: StepResult::Cancelled }
        });
        ends.collect()
    }

    fn update(&mut self, vertex: Vertex, events: &mut Vec<Event>, finished: &mut Vec<Event>) {
        let completed = vertex.completed.is_some();
        if vertex.started.is_none() && !completed && !vertex.cached {
            return;
        }
        let next = StepId(u32::try_from(self.steps.len()).unwrap_or(u32::MAX));
        let step = self.steps.entry(vertex.digest).or_insert_with(|| Step {
            id: next,
            name: vertex.name,
            started: false,
            finished: false,
        });
        if !step.started {
            step.started = true;
            events.push(Event::StepStarted { step: step.id, name: step.name.clone() });
        }
        if !completed || step.finished {
            return;
        }
        step.finished = true;
        let result = match vertex.error.as_str() {
            "" if vertex.cached => StepResult::Cached,
            "" => StepResult::Done,
            error if is_cancellation(error) => StepResult::Cancelled,
            error => {
                let name = step.name.clone();
                self.failed.get_or_insert_with(|| FailedStep { name, error: error.to_owned() });
                StepResult::Failed { error: error.to_owned(), exit_code: exit_code(error) }
            }
        };
        finished.push(Event::StepFinished { step: step.id, result });
    }
}

/// A step that ends because another one failed says so in these words.
fn is_cancellation(error: &str) -> bool {
    error.ends_with("context canceled")
}

#[cfg(test)]
mod tests {
    use super::*;
    use bollard_buildkit_proto::google::protobuf::Timestamp;
    use bollard_buildkit_proto::moby::buildkit::v1::VertexLog;

    fn vertex(digest: &str, started: bool, completed: bool, cached: bool, error: &str) -> Vertex {
        let time = |is| Option::filter(Some(Timestamp::default()), |_| is);
        Vertex {
            digest: digest.to_owned(),
            name: format!("step {digest}"),
            cached,
            started: time(started),
            completed: time(completed),
            error: error.to_owned(),
            ..Vertex::default()
        }
    }

    fn words(events: &[Event]) -> Vec<String> {
        events.iter().map(|event| serde_json::to_string(event).unwrap()).collect()
    }

    #[test]
    fn a_step_starts_once_speaks_and_ends_once() {
        let mut progress = Progress::default();
        let log = VertexLog {
            vertex: "a".to_owned(),
            msg: b"hi\n".to_vec(),
            stream: 2,
            ..VertexLog::default()
        };
        let events = progress.events(StatusResponse {
            vertexes: vec![
                vertex("a", false, false, false, ""),
                vertex("a", true, false, false, ""),
                vertex("a", true, true, false, ""),
            ],
            logs: vec![log],
            ..StatusResponse::default()
        });
        assert_eq!(
            words(&events),
            [
                r#"{"event":"step-started","step":0,"name":"step a"}"#,
                r#"{"event":"step-log","step":0,"stream":"stderr","bytes":"hi\n"}"#,
                r#"{"event":"step-finished","step":0,"outcome":"done"}"#,
            ]
        );
        let again = StatusResponse {
            vertexes: vec![vertex("a", true, true, false, "")],
            ..StatusResponse::default()
        };
        assert!(progress.events(again).is_empty());
    }

    #[test]
    fn the_first_failure_is_kept_and_its_victims_are_cancelled() {
        let mut progress = Progress::default();
        let error = "process \"/bin/sh -c exit 3\" did not complete successfully: exit code: 3";
        let events = progress.events(StatusResponse {
            vertexes: vec![
                vertex("b", true, true, false, "process: context canceled"),
                vertex("a", true, true, false, error),
                vertex("c", true, false, false, ""),
                vertex("d", true, true, true, ""),
            ],
            ..StatusResponse::default()
        });
        assert_eq!(progress.failed().map(|failed| failed.name.as_str()), Some("step a"));
        let ends: Vec<_> =
            words(&events).into_iter().filter(|event| event.contains("finished")).collect();
        assert!(
            ends[0].contains("cancelled")
                && ends[1].contains(r#""exit_code":3"#)
                && ends[2].contains("cached")
        );
        assert_eq!(
            words(&progress.abandon()),
            [r#"{"event":"step-finished","step":2,"outcome":"cancelled"}"#]
        );
    }
}
