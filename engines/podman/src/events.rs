//! What a build says, in; events, out. Pure.

use boxwright_core::{Event, OutputStream, StepId, StepResult};

/// Follows the text of one build.
#[derive(Debug, Default)]
pub(crate) struct BuildLog {
    current: Option<Current>,
    announced: u32,
    position: Option<Position>,
    /// The image, once the build said it.
    image: Option<String>,
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
            self.image = None;
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
        if let Some(name) = commit(line) {
            if self.position.is_some_and(|position| position.step == position.steps) {
                self.finish(events);
                let name =
                    if name.is_empty() { "commit".to_owned() } else { format!("commit {name}") };
                self.start(name, None, events);
                return true;
            }
            return false;
        }
        if let Some(rest) = line.strip_prefix("--> ") {
            if rest.strip_prefix("Using cache ").is_some_and(|id| is_hex(id, 64)) {
                if let Some(current) = &mut self.current {
                    current.is_cached = true;
                }
                return true;
            }
            return is_hex(rest, 11) || is_hex(rest, 12);
        }
        if is_hex(line, 64) {
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

/// Reads `COMMIT`, `COMMIT name`, or `[1/3] COMMIT name`.
fn commit(line: &str) -> Option<&str> {
    let line = match line.strip_prefix('[').and_then(|rest| rest.split_once("] ")) {
        Some((stage, rest)) if fraction(stage).is_some() => rest,
        _ => line,
    };
    let name = line.strip_prefix("COMMIT")?;
    if name.is_empty() { Some(name) } else { name.strip_prefix(' ') }
}

fn fraction(text: &str) -> Option<(u32, u32)> {
    let (part, whole) = text.split_once('/')?;
    let (part, whole) = (part.parse().ok()?, whole.parse().ok()?);
    (1 <= part && part <= whole).then_some((part, whole))
}

fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}
