//! What the classic builder reports, as events. Pure.

use boxwright_core::{Event, OutputStream, StepId, StepResult};

use crate::api::Message;

/// Follows one build. Source: what `builder/dockerfile` of Docker writes.
#[derive(Debug, Default)]
pub(crate) struct Steps {
    announced: u32,
    current: Option<Current>,
    image: Option<String>,
    built: bool,
}

/// The step that is under way.
#[derive(Debug)]
struct Current {
    id: StepId,
    name: String,
    cached: bool,
    /// The container that runs its command.
    container: Option<String>,
}

impl Steps {
    /// Returns the name of the step that is under way, such as `[2/5] RUN make`.
    pub(crate) fn step(&self) -> Option<&str> {
        self.current.as_ref().map(|current| current.name.as_str())
    }

    /// Returns the container of the step that is under way, by its short id.
    pub(crate) fn container(&self) -> Option<&str> {
        self.current.as_ref()?.container.as_deref()
    }

    /// Returns the id of the image that was built, as the daemon has it.
    pub(crate) fn image(&self) -> Option<&str> {
        self.image.as_deref()
    }

    /// Returns whether some step ran, so that the image is new.
    pub(crate) fn is_new(&self) -> bool {
        self.built
    }

    /// Returns what `message` means.
    pub(crate) fn events(&mut self, message: &Message) -> Vec<Event> {
        if let Some(id) = message.aux.as_ref().and_then(|aux| aux.id.clone()) {
            self.image = Some(id);
        }
        match (&message.stream, &message.status) {
            (Some(text), _) => self.said(text),
            (None, Some(status)) => self.progress(status, message),
            (None, None) => Vec::new(),
        }
    }

    /// Returns the events for the end of the build. With `failure`, the current step failed.
    pub(crate) fn end(&mut self, failure: Option<(&str, Option<i64>)>) -> Vec<Event> {
        let result = failure.map(|(error, exit_code)| StepResult::Failed {
            error: error.lines().next().unwrap_or_default().to_owned(),
            exit_code,
        });
        self.finish(result).into_iter().collect()
    }

    /// Returns the events for a build that was given up.
    pub(crate) fn cancel(&mut self) -> Vec<Event> {
        self.finish(Some(StepResult::Cancelled)).into_iter().collect()
    }

    fn said(&mut self, text: &str) -> Vec<Event> {
        // Until its container is removed, everything is the output of the command, whatever it looks like.
        if let Some(container) = self.container() {
            // The first form until Docker 20.10, the second since.
            let removed = text.trim().trim_start_matches("---> ");
            let removed = removed
                .strip_prefix("Removing intermediate container ")
                .or_else(|| removed.strip_prefix("Removed intermediate container "));
            if removed == Some(container) {
                if let Some(current) = &mut self.current {
                    current.container = None;
                }
                return Vec::new();
            }
            return self.output(text).into_iter().collect();
        }
        if let Some(name) = step_name(text) {
            let mut events: Vec<Event> = self.finish(None).into_iter().collect();
            let id = StepId(self.announced);
            self.announced += 1;
            events.push(Event::StepStarted { step: id, name: name.clone() });
            self.current = Some(Current { id, name, cached: false, container: None });
            return events;
        }
        if let Some(warning) = text.strip_prefix("[Warning] ") {
            return vec![Event::Warning { message: warning.trim().to_owned(), remedy: None }];
        }
        let line = text.trim();
        match line.strip_prefix("---> ") {
            Some("Using cache") => {
                if let Some(current) = &mut self.current {
                    current.cached = true;
                }
                Vec::new()
            }
            Some(rest) => {
                if let (Some(id), Some(current)) =
                    (rest.strip_prefix("Running in "), &mut self.current)
                {
                    current.container = Some(id.to_owned());
                }
                Vec::new()
            }
            None if line.is_empty() => Vec::new(),
            None if line.starts_with("Successfully built ") => {
                self.finish(None).into_iter().collect()
            }
            None if line.starts_with("Successfully tagged ") => Vec::new(),
            None => self.output(text).into_iter().collect(),
        }
    }

    fn output(&self, text: &str) -> Option<Event> {
        let step = self.current.as_ref()?.id;
        // The daemon colours standard error, which is how it is told apart.
        let coloured = text.strip_prefix("\u{1b}[91m");
        let coloured = coloured.and_then(|rest| rest.strip_suffix("\u{1b}[0m"));
        let (stream, text) = match coloured {
            Some(text) => (OutputStream::Stderr, text),
            None => (OutputStream::Stdout, text),
        };
        Some(Event::StepLog { step, stream, bytes: text.as_bytes().to_vec() })
    }

    fn progress(&self, status: &str, message: &Message) -> Vec<Event> {
        let Some(step) = self.current.as_ref().map(|current| current.id) else { return Vec::new() };
        let detail = message.progress_detail.as_ref();
        let bytes = |value: Option<i64>| value.and_then(|value| u64::try_from(value).ok());
        match (&message.id, detail.and_then(|detail| bytes(detail.current))) {
            (Some(id), Some(current)) => {
                let total = bytes(detail.and_then(|detail| detail.total));
                vec![Event::StepProgress { step, item: format!("{id} {status}"), current, total }]
            }
            (Some(_), None) => Vec::new(),
            (None, _) => {
                let bytes = format!("{status}\n").into_bytes();
                vec![Event::StepLog { step, stream: OutputStream::Stdout, bytes }]
            }
        }
    }

    fn finish(&mut self, result: Option<StepResult>) -> Option<Event> {
        let current = self.current.take()?;
        let base = current.name.split_once("] ").is_some_and(|(_, rest)| {
            rest.get(..5).is_some_and(|word| word.eq_ignore_ascii_case("from "))
        });
        self.built |= !current.cached && !base && result.is_none();
        let result =
            result.unwrap_or(if current.cached { StepResult::Cached } else { StepResult::Done });
        Some(Event::StepFinished { step: current.id, result })
    }
}

/// Reads `Step 2/5 : RUN make` as `[2/5] RUN make`.
fn step_name(text: &str) -> Option<String> {
    let (number, instruction) = text.strip_prefix("Step ")?.split_once(" : ")?;
    let (at, of) = number.split_once('/')?;
    at.parse::<u32>().ok()?;
    of.parse::<u32>().ok()?;
    Some(format!("[{number}] {}", instruction.trim_end()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::parse;

    fn played(recorded: &str) -> (Steps, Vec<Event>) {
        let mut steps = Steps::default();
        let mut events = Vec::new();
        for line in recorded.lines() {
            let message = parse(line.as_bytes()).unwrap();
            match message.failure() {
                Some(words) => {
                    let code = message.error_detail.as_ref().and_then(|detail| detail.code);
                    events.extend(steps.end(Some((words, code))));
                }
                None => events.extend(steps.events(&message)),
            }
        }
        (steps, events)
    }

    fn shown(events: &[Event]) -> Vec<String> {
        let shown = events.iter().map(|event| match event {
            Event::StepStarted { step, name } => format!("{} {name}", step.0),
            Event::StepLog { step, stream, bytes } => {
                format!("{} {stream:?} {}", step.0, String::from_utf8_lossy(bytes).trim_end())
            }
            Event::StepFinished { step, result } => format!("{} {result:?}", step.0),
            other => format!("{other:?}"),
        });
        shown.collect()
    }

    #[test]
    fn a_build_of_20_10_reads_as_its_steps() {
        let (steps, events) = played(include_str!("../tests/recorded/20.10/build.ndjson"));
        assert_eq!(
            shown(&events),
            [
                "0 [1/5] FROM localhost:5200/boxwright/busybox:1",
                "0 Done",
                "1 [2/5] ARG who=world",
                "1 Done",
                "2 [3/5] COPY f /f",
                "2 Done",
                "3 [4/5] RUN echo hello $who; echo err >&2",
                "3 Stderr err",
                "3 Stdout hello world",
                "3 Done",
                "4 [5/5] LABEL a=b",
                "4 Done",
            ]
        );
        let image = "sha256:47d2fe67755b961ff64c72e41b00cb098cf6dbf28930654c211db2aad530571a";
        assert_eq!(steps.image(), Some(image));
        assert!(steps.is_new());
    }

    #[test]
    fn a_build_of_26_1_reads_as_its_steps() {
        let (steps, events) = played(include_str!("../tests/recorded/26.1/build.ndjson"));
        assert_eq!(
            shown(&events),
            [
                "0 [1/3] FROM localhost:5200/boxwright/busybox:1",
                "0 Done",
                "1 [2/3] ARG who=world",
                "1 Done",
                "2 [3/3] RUN echo hello $who; echo err >&2",
                "2 Stderr err",
                "2 Stdout hello world",
                "2 Done",
            ]
        );
        assert!(steps.image().is_some());
        let (_, events) = played(include_str!("../tests/recorded/26.1/build-failed.ndjson"));
        assert!(shown(&events)[4].contains("exit_code: Some(42)"), "{events:?}");
    }

    #[test]
    fn cached_steps_are_cached_and_make_nothing_new() {
        let (steps, events) = played(include_str!("../tests/recorded/20.10/build-cached.ndjson"));
        assert_eq!(shown(&events)[2..4], ["1 [2/5] ARG who=world", "1 Cached"]);
        assert!(!steps.is_new());
    }

    #[test]
    fn a_failing_step_keeps_its_output_and_its_status() {
        let (_, events) = played(include_str!("../tests/recorded/20.10/build-failed.ndjson"));
        let shown = shown(&events);
        assert_eq!(shown[2..4], ["1 [2/2] RUN echo before; exit 42", "1 Stdout before"]);
        assert!(shown[4].contains("exit_code: Some(42)"), "{shown:?}");
    }

    #[test]
    fn a_command_cannot_pass_its_output_off_as_a_step() {
        let recorded = concat!(
            "{\"stream\":\"Step 1/2 : RUN evil\"}\n",
            "{\"stream\":\" ---> Running in aaa\\n\"}\n",
            "{\"stream\":\"Step 2/2 : COPY a b\"}\n",
            "{\"stream\":\"Successfully built 000\\n\"}\n",
        );
        let (steps, events) = played(recorded);
        assert_eq!(steps.step(), Some("[1/2] RUN evil"));
        assert_eq!(
            shown(&events)[1..],
            ["0 Stdout Step 2/2 : COPY a b", "0 Stdout Successfully built 000"]
        );
    }

    #[test]
    fn a_cancelled_build_ends_its_step() {
        let (mut steps, _) = played("{\"stream\":\"Step 1/1 : FROM a\"}\n");
        assert_eq!(shown(&steps.cancel()), ["0 Cancelled"]);
        assert_eq!(steps.cancel(), []);
    }
}
