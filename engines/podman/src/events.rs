//! What a build says, in; events, out. Pure.

use boxwright_core::{Event, OutputStream, StepId, StepResult};

/// Follows the text of one build.
#[derive(Debug, Default)]
pub(crate) struct BuildLog {
    current: Option<Current>,
    announced: u32,
    position: Option<Position>,
    /// The beginning of the id of the layer or image that was committed last.
    committed: Option<String>,
    /// The id that was said last, if nothing was said after it.
    image: Option<String>,
    /// What the runtime said when it could not start a command.
    runtime_failure: Option<String>,
}

#[derive(Debug)]
struct Current {
    id: StepId,
    /// The instruction as it was announced, e.g. `RUN make`.
    instruction: Option<String>,
    is_cached: bool,
}

/// Where in the build a step is: `[2/3] STEP 4/5`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Position {
    stage: Option<(u32, u32)>,
    step: u32,
    steps: u32,
}

impl BuildLog {
    /// Takes a piece of text as the service sent it: one or more lines, or part of one.
    pub(crate) fn text(&mut self, text: &str) -> Vec<Event> {
        let mut events = Vec::new();
        for line in text.split_inclusive('\n') {
            // The builder sends each line of its own whole, also after a command's unfinished one.
            if line.ends_with('\n') && self.control(line.trim_end(), &mut events) {
                continue;
            }
            let text = line.trim();
            self.image = is_hex(text, 64).then(|| text.to_owned());
            if let Some(failure) = text.strip_prefix("error running container: ") {
                self.runtime_failure = Some(failure.to_owned());
            }
            let step = self.step(&mut events);
            let bytes = line.as_bytes().to_vec();
            // The service merges both outputs of a command into one.
            events.push(Event::StepLog { step, stream: OutputStream::Stdout, bytes });
        }
        events
    }

    /// Takes the build's failure.
    pub(crate) fn failed(&mut self, error: &str, exit_code: Option<i64>) -> Vec<Event> {
        let result = StepResult::Failed { error: error.to_owned(), exit_code };
        let finished = self.current.take();
        finished
            .map(|current| Event::StepFinished { step: current.id, result })
            .into_iter()
            .collect()
    }

    /// Takes the build's cancel.
    pub(crate) fn cancelled(&mut self) -> Vec<Event> {
        let finished = self.current.take();
        let result = StepResult::Cancelled;
        finished
            .map(|current| Event::StepFinished { step: current.id, result })
            .into_iter()
            .collect()
    }

    /// Takes the build's end, and returns the image it said last.
    pub(crate) fn finished(&mut self) -> (Vec<Event>, Option<String>) {
        let mut events = Vec::new();
        self.finish(&mut events);
        (events, self.image.take())
    }

    /// Returns what the runtime said when it could not start the command of the step under way.
    pub(crate) fn runtime_failure(&self) -> Option<&str> {
        self.runtime_failure.as_deref()
    }

    /// Returns the instruction that is under way.
    pub(crate) fn instruction(&self) -> Option<&str> {
        self.current.as_ref()?.instruction.as_deref()
    }

    /// Handles a line that the builder itself wrote, and returns whether it was one.
    fn control(&mut self, line: &str, events: &mut Vec<Event>) -> bool {
        if let Some((position, instruction)) = announcement(line) {
            // A command may print such a line too. It is the builder's only where the count goes on.
            if self.follows(position) {
                self.finish(events);
                self.position = Some(position);
                let name = match position.stage {
                    Some((stage, stages)) => {
                        format!(
                            "[stage {stage}/{stages}, {}/{}] {instruction}",
                            position.step, position.steps
                        )
                    }
                    None => format!("[{}/{}] {instruction}", position.step, position.steps),
                };
                self.start(name, Some(instruction.to_owned()), events);
                return true;
            }
            return false;
        }
        if is_commit(line) && self.position.is_some_and(|position| position.step == position.steps)
        {
            self.finish(events);
            self.start("commit".to_owned(), None, events);
            return true;
        }
        if let Some(rest) = line.strip_prefix("--> ") {
            if rest.strip_prefix("Using cache ").is_some_and(|id| is_hex(id, 64)) {
                if let Some(current) = &mut self.current {
                    current.is_cached = true;
                }
                return true;
            }
            let is_committed = is_hex(rest, 11) || is_hex(rest, 12);
            if is_committed {
                self.committed = Some(rest.to_owned());
            }
            return is_committed;
        }
        // A command may print such a line too, but not one that begins as the builder's last line did.
        let committed = self.committed.as_deref();
        if is_hex(line, 64) && committed.is_some_and(|committed| line.starts_with(committed)) {
            self.image = Some(line.to_owned());
            return true;
        }
        false
    }

    fn follows(&self, next: Position) -> bool {
        match self.position {
            None => next.step == 1,
            Some(last) if next.step == 1 => {
                // A stage begins where another ended, or, for a single stage, never again.
                last.step == last.steps && next.stage.is_some() && next.stage != last.stage
            }
            Some(last) => {
                next.step == last.step + 1 && next.steps == last.steps && next.stage == last.stage
            }
        }
    }

    fn start(
        &mut self,
        name: String,
        instruction: Option<String>,
        events: &mut Vec<Event>,
    ) -> StepId {
        let id = StepId(self.announced);
        self.announced += 1;
        self.current = Some(Current { id, instruction, is_cached: false });
        events.push(Event::StepStarted { step: id, name });
        id
    }

    fn finish(&mut self, events: &mut Vec<Event>) {
        if let Some(current) = self.current.take() {
            let result = if current.is_cached { StepResult::Cached } else { StepResult::Done };
            events.push(Event::StepFinished { step: current.id, result });
        }
    }

    /// Returns the step under way; what is said before the first belongs to one of its own.
    fn step(&mut self, events: &mut Vec<Event>) -> StepId {
        match &self.current {
            Some(current) => current.id,
            None => self.start("prepare".to_owned(), None, events),
        }
    }
}

/// Reads `STEP 2/5: RUN make` or `[1/3] STEP 2/5: RUN make`.
fn announcement(line: &str) -> Option<(Position, &str)> {
    let (stage, rest) = match line.strip_prefix('[') {
        Some(rest) => {
            let (stage, rest) = rest.split_once("] ")?;
            (Some(fraction(stage)?), rest)
        }
        None => (None, line),
    };
    let (place, instruction) = rest.strip_prefix("STEP ")?.split_once(": ")?;
    let (step, steps) = fraction(place)?;
    Some((Position { stage, step, steps }, instruction))
}

/// Whether this is `COMMIT` or `[1/3] COMMIT`. No name follows, since builds here are given none.
fn is_commit(line: &str) -> bool {
    let stage = line.strip_prefix('[').and_then(|rest| rest.split_once("] "));
    let rest = stage.filter(|(stage, _)| fraction(stage).is_some()).map_or(line, |(_, rest)| rest);
    rest == "COMMIT"
}

fn fraction(text: &str) -> Option<(u32, u32)> {
    let (part, whole) = text.split_once('/')?;
    let (part, whole) = (part.parse().ok()?, whole.parse().ok()?);
    (1 <= part && part <= whole).then_some((part, whole))
}

fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Line;

    /// Follows a recorded build, and shows its events one a line.
    fn follow(recorded: &str) -> (String, Option<String>) {
        let mut log = BuildLog::default();
        let mut shown = String::new();
        let mut show = |events: Vec<Event>| {
            for event in events {
                shown.push_str(&match event {
                    Event::StepStarted { step, name } => format!("{} > {name}\n", step.0),
                    Event::StepLog { step, bytes, .. } => {
                        format!("{} | {:?}\n", step.0, String::from_utf8_lossy(&bytes))
                    }
                    Event::StepFinished { step, result } => format!("{} < {result:?}\n", step.0),
                    other => format!("{other:?}\n"),
                });
            }
        };
        for line in recorded.lines() {
            let line: Line = serde_json::from_str(line).unwrap();
            match line.failure() {
                Some(_) => show(log.failed("no", None)),
                None => show(log.text(line.stream.as_deref().unwrap_or_default())),
            }
        }
        let (events, image) = log.finished();
        show(events);
        (shown, image)
    }

    #[test]
    fn a_build_becomes_steps() {
        let (events, image) = follow(include_str!("../tests/recorded/4.3.1/build.ndjson"));
        insta::assert_snapshot!(events, @r#"
        0 > [1/7] FROM localhost/pmbase:1
        0 < Done
        1 > [2/7] ARG X=1
        1 < Done
        2 > [3/7] LABEL a=b
        2 < Done
        3 > [4/7] RUN echo hi $X; echo err >&2
        3 | "hi 1\n"
        3 | "err\n"
        3 < Done
        4 > [5/7] COPY Dockerfile /d
        4 < Done
        5 > [6/7] RUN ["/bin/sh","-c","echo 'a\"b' && printf nonl"]
        5 | "a\"b\n"
        5 | "nonl"
        5 < Done
        6 > [7/7] LABEL "x"="y"
        6 < Done
        7 > commit
        7 < Done
        "#);
        insta::assert_snapshot!(image.unwrap(), @"8e57da8c1d544f6fa55004f7b7e1edee670b73074b26c2a42209d88532de38ac");
    }

    #[test]
    fn stages_and_cached_steps_are_told() {
        let (events, image) = follow(include_str!("../tests/recorded/4.3.1/build-stages.ndjson"));
        insta::assert_snapshot!(events, @r#"
        0 > [stage 1/3, 1/2] FROM localhost/pmbase:1 AS one
        0 < Done
        1 > [stage 1/3, 2/2] RUN echo one > /one
        1 < Cached
        2 > [stage 3/3, 1/3] FROM localhost/pmbase:1
        2 < Done
        3 > [stage 3/3, 2/3] COPY --from=one /one /one
        3 < Cached
        4 > [stage 3/3, 3/3] RUN cat /one
        4 < Cached
        "#);
        insta::assert_snapshot!(image.unwrap(), @"62b2aee37925b3d7320bfebc332f7805a0b8cf2f78d5300082d824d641622fc1");
    }

    #[test]
    fn a_failed_step_is_the_last() {
        let (events, image) =
            follow(include_str!("../tests/recorded/4.3.1/build-run-failed.ndjson"));
        insta::assert_snapshot!(events, @r#"
        0 > [1/3] FROM localhost/pmbase:1
        0 < Done
        1 > [2/3] RUN echo before
        1 < Cached
        2 > [3/3] RUN echo "no newline"; exit 42
        2 | "no newline\n"
        2 < Failed { error: "no", exit_code: None }
        "#);
        assert_eq!(image, None);
    }

    #[test]
    fn a_base_alone_is_an_image() {
        let (events, image) =
            follow(include_str!("../tests/recorded/4.3.1/build-only-from.ndjson"));
        insta::assert_snapshot!(events, @r#"
        0 > [1/1] FROM localhost/pmbase:1
        0 < Done
        1 > commit
        1 < Done
        "#);
        insta::assert_snapshot!(image.unwrap(), @"7425e9f660dffb3695bed6c28c19dfb05f462264d4ee135c68946f478925f290");
    }

    #[test]
    fn what_a_command_prints_in_the_builders_words_changes_no_outcome() {
        let (events, image) = follow(include_str!("../tests/recorded/4.3.1/build-spoof.ndjson"));
        insta::assert_snapshot!(events, @r#"
        0 > [1/3] FROM localhost/pmbase:1
        0 < Done
        1 > [2/3] RUN echo "STEP 1/9: FROM evil"; echo "STEP 3/3: RUN evil"; echo COMMIT evil; echo 0000000000000000000000000000000000000000000000000000000000000000; printf "no end"
        1 | "STEP 1/9: FROM evil\n"
        1 < Done
        2 > [3/3] RUN evil
        2 | "COMMIT evil\n"
        2 | "0000000000000000000000000000000000000000000000000000000000000000\n"
        2 | "no end"
        2 | "STEP 3/3: RUN true\n"
        2 < Done
        3 > commit
        3 < Done
        "#);
        insta::assert_snapshot!(image.unwrap(), @"46bac0a2611be2c4abb6c3af020d8c498ae61679ea5a60a7aa96c9d231226c1d");
    }
}
