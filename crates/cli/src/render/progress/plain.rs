//! Plain lines, each of which says which step it belongs to.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use boxwright_core::{Event, StepId, StepResult};

use super::Renderer;
use super::step::{Amount, Step, Steps, short};
use crate::render::{Ink, Paint, bytes, clean, elapsed};

/// Prints a line for everything that begins, ends, or is written.
#[derive(Debug)]
pub(super) struct Plain {
    paint: Paint,
    steps: Steps,
    transfers: BTreeMap<String, String>,
    last: Option<StepId>,
}

impl Plain {
    pub(super) fn new(paint: Paint) -> Self {
        Self { paint, steps: Steps::new(), transfers: BTreeMap::new(), last: None }
    }

    /// Lines of another step stand apart.
    fn turn_to(&mut self, step: StepId) -> &'static str {
        let apart = self.last.is_some_and(|last| last != step);
        self.last = Some(step);
        if apart { "\n" } else { "" }
    }

    fn lines(&mut self, id: StepId, lines: &[String], now: Duration) -> String {
        let Some(since) = self.steps.get(&id).map(|step| now.saturating_sub(step.started)) else {
            return String::new();
        };
        if lines.is_empty() {
            return String::new();
        }
        let mut out = self.turn_to(id).to_owned();
        for line in lines {
            let number = number(id);
            let line = format!("{number} {:.3} {line}", since.as_secs_f64());
            let _ = writeln!(out, "{}", line.trim_end());
        }
        out
    }

    fn finished(&mut self, id: StepId, result: &StepResult, now: Duration) -> String {
        let rest = self.steps.get_mut(&id).map(Step::rest).unwrap_or_default();
        let mut out = self.lines(id, &rest, now);
        let Some(step) = self.steps.remove(&id) else { return out };
        out += self.turn_to(id);
        for (item, amount) in step.items.iter().filter(|(_, amount)| amount.current > 0) {
            let _ = writeln!(out, "{} {} {}", number(id), short(item), bytes(amount.current));
        }
        let time = elapsed(now.saturating_sub(step.started));
        let ending = match result {
            StepResult::Done => format!("DONE {time}"),
            StepResult::Cached => "CACHED".to_owned(),
            StepResult::Failed { error, .. } => format!("ERROR {}", clean(error)),
            StepResult::Cancelled => "CANCELLED".to_owned(),
        };
        let _ = writeln!(out, "{} {ending}", number(id));
        out
    }

    fn transfer(&mut self, item: &str, status: &str, amount: Option<Amount>) -> String {
        // A line for each turn a transfer takes, not for each of its bytes.
        let whole = amount.is_some_and(Amount::is_whole);
        let turn = if whole { format!("{status} (all)") } else { status.to_owned() };
        if self.transfers.get(item) == Some(&turn) {
            return String::new();
        }
        self.transfers.insert(item.to_owned(), turn);
        let size = amount.and_then(|amount| amount.total).filter(|&total| total > 0);
        let size = size.map(|total| format!(" ({})", bytes(total))).unwrap_or_default();
        let done = if whole { " done" } else { "" };
        format!("{} {}{size}{done}\n", short(item), clean(status))
    }
}

fn number(StepId(id): StepId) -> String {
    format!("#{}", u64::from(id) + 1)
}

impl Renderer for Plain {
    fn event(&mut self, event: Event, now: Duration) -> String {
        match event {
            Event::StepStarted { step, name } => {
                let apart = self.turn_to(step);
                let state = Step::new(&name, now);
                let line = format!("{apart}{} {}\n", number(step), state.name);
                self.steps.insert(step, state);
                line
            }
            Event::StepLog { step, stream, bytes } => {
                let lines = self.steps.get_mut(&step).map(|it| it.log(stream, &bytes));
                self.lines(step, &lines.unwrap_or_default(), now)
            }
            Event::StepProgress { step, item, current, total } => {
                if let Some(step) = self.steps.get_mut(&step) {
                    step.items.insert(item, Amount { current, total });
                }
                String::new()
            }
            Event::StepFinished { step, result } => self.finished(step, &result, now),
            Event::Transfer { item, status, current, total } => {
                let amount = current.map(|current| Amount { current, total });
                self.transfer(&item, &status, amount)
            }
            Event::Notice { message } => format!("{}\n", clean(&message)),
            Event::Warning { message, remedy } => warning(&message, remedy.as_deref(), self.paint),
            _ => String::new(),
        }
    }

    fn interrupted(&mut self, _now: Duration) -> String {
        "interrupted: cleaning up; Ctrl-C again ends at once\n".to_owned()
    }
}

/// Returns a warning with what to do about it.
pub(super) fn warning(message: &str, remedy: Option<&str>, paint: Paint) -> String {
    let mut out = format!("{} {}\n", paint.ink(Ink::Yellow, "warning:"), clean(message));
    if let Some(remedy) = remedy {
        let _ = writeln!(out, "{} {}", paint.ink(Ink::Green, "help:"), clean(remedy));
    }
    out
}

/// Returns what a step that failed wrote last.
pub(super) fn failed_step(step: &Step) -> String {
    let mut out = format!("{}\n", step.name);
    for line in &step.kept {
        let _ = writeln!(out, "  {line}");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use boxwright_core::OutputStream;

    fn ms(number: u64) -> Duration {
        Duration::from_millis(number)
    }

    fn log(step: u32, text: &str) -> Event {
        let bytes = text.as_bytes().to_vec();
        Event::StepLog { step: StepId(step), stream: OutputStream::Stdout, bytes }
    }

    fn started(step: u32, name: &str) -> Event {
        Event::StepStarted { step: StepId(step), name: name.into() }
    }

    fn finished(step: u32, result: StepResult) -> Event {
        Event::StepFinished { step: StepId(step), result }
    }

    fn shown(events: Vec<(u64, Event)>) -> String {
        let mut plain = Plain::new(Paint::PLAIN);
        events.into_iter().map(|(at, event)| plain.event(event, ms(at))).collect()
    }

    #[test]
    fn steps_are_told_apart_when_they_interleave() {
        let failed = StepResult::Failed { error: "exit code: 2".into(), exit_code: Some(2) };
        let text = shown(vec![
            (0, Event::Notice { message: "using fake 1.0".into() }),
            (0, started(0, "[1/3] FROM a")),
            (0, finished(0, StepResult::Cached)),
            (100, started(1, "[2/3] RUN make")),
            (512, log(1, "one\ntw")),
            (600, started(2, "[a 1/1] COPY . /")),
            (
                600,
                Event::StepProgress {
                    step: StepId(2),
                    item: "context".into(),
                    current: 12_345,
                    total: None,
                },
            ),
            (700, finished(2, StepResult::Done)),
            (800, log(1, "o\n\x1b[31mthree")),
            (1300, finished(1, failed)),
        ]);
        assert_eq!(
            text,
            "using fake 1.0
#1 [1/3] FROM a
#1 CACHED

#2 [2/3] RUN make
#2 0.412 one

#3 [a 1/1] COPY . /
#3 context 12.3 kB
#3 DONE 0.1s

#2 0.700 two
#2 1.200 three
#2 ERROR exit code: 2
"
        );
    }

    #[test]
    fn a_transfer_says_its_turns_and_not_its_bytes() {
        let layer = format!("sha256:{}", "ab".repeat(32));
        let transfer = |status: &str, current| Event::Transfer {
            item: layer.clone(),
            status: status.into(),
            current,
            total: current.map(|_| 2_000),
        };
        let text = shown(vec![
            (0, transfer("waiting", None)),
            (1, transfer("pushing", Some(0))),
            (2, transfer("pushing", Some(1_000))),
            (3, transfer("pushing", Some(2_000))),
            (4, transfer("pushing", Some(2_000))),
        ]);
        assert_eq!(
            text,
            "sha256:abababababab waiting
sha256:abababababab pushing (2.0 kB)
sha256:abababababab pushing (2.0 kB) done
"
        );
    }

    #[test]
    fn output_of_a_step_nobody_announced_is_left_out() {
        assert_eq!(shown(vec![(0, log(9, "x\n")), (0, finished(9, StepResult::Done))]), "");
    }
}
