//! A live tree for a terminal: what ended scrolls up, what runs is drawn again and again below.

use std::fmt::Write as _;
use std::time::Duration;

use boxwright_core::{Event, StepResult};

use super::Renderer;
use super::plain::warning;
use super::step::{Amount, Step, Steps, short};
use crate::render::{Ink, Paint, clean, elapsed};

/// Lines are no wider than this: the eye loses the right end of wider ones.
const WIDEST: usize = 120;

/// How many cells a bar has.
const BAR: usize = 24;

/// The signs of the tree.
#[derive(Debug)]
struct Signs {
    spinner: &'static [&'static str],
    done: &'static str,
    failed: &'static str,
    stopped: &'static str,
    line: &'static str,
    full: &'static str,
    empty: &'static str,
}

const UNICODE: Signs = Signs {
    spinner: &["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"],
    done: "✔",
    failed: "✘",
    stopped: "–",
    line: "│",
    full: "━",
    empty: "─",
};

const ASCII: Signs = Signs {
    spinner: &["|", "/", "-", "\\"],
    done: "+",
    failed: "x",
    stopped: "-",
    line: "|",
    full: "#",
    empty: "-",
};

/// A push, a pull, or a part of one.
#[derive(Debug)]
struct Transfer {
    status: String,
    amount: Option<Amount>,
}

/// The live tree.
#[derive(Debug)]
pub(super) struct Live {
    paint: Paint,
    signs: &'static Signs,
    steps: Steps,
    transfers: Vec<(String, Transfer)>,
    interrupted: bool,
    /// How many lines below the cursor's start are ours to draw over.
    drawn: usize,
    frame: usize,
}

impl Live {
    pub(super) fn new(paint: Paint, unicode: bool) -> Self {
        Self {
            paint,
            signs: if unicode { &UNICODE } else { &ASCII },
            steps: Steps::new(),
            transfers: Vec::new(),
            interrupted: false,
            drawn: 0,
            frame: 0,
        }
    }

    /// Returns what puts `above` for good and the live part below it.
    fn redraw(&mut self, above: &str, lines: &[String], width: usize) -> String {
        let mut out = String::new();
        if self.drawn > 0 {
            let _ = write!(out, "\x1b[{}A", self.drawn);
        }
        // Clears to the end of the screen, so that nothing of an earlier, longer part remains.
        out.push_str("\r\x1b[J");
        out.push_str(above);
        for line in lines {
            out.push_str(&console::truncate_str(line, width, "…"));
            out.push('\n');
        }
        self.drawn = lines.len();
        out
    }

    fn live_lines(&self, now: Duration, width: usize, height: usize) -> Vec<String> {
        let room = height.saturating_sub(2).max(1);
        let spinner = self.signs.spinner[self.frame % self.signs.spinner.len()];
        let spinner = self.paint.ink(Ink::Cyan, spinner);
        // With one step running its output matters; with many, that they all move.
        let logs = match self.steps.len() {
            0 | 1 => 6,
            2 => 3,
            _ => 1,
        };
        let mut lines = Vec::new();
        for step in self.steps.values() {
            let time = elapsed(now.saturating_sub(step.started));
            lines.push(self.headline(&spinner, &step.name, &time, width));
            let margin = self.paint.ink(Ink::Dim, &format!("   {}", self.signs.line));
            for (item, amount) in step.items.iter().filter(|(_, amount)| !amount.is_whole()) {
                lines.push(format!("{margin} {} {}", short(item), self.amount(*amount)));
            }
            for line in step.last_lines(logs) {
                lines.push(format!("{margin} {}", self.paint.ink(Ink::Dim, &line)));
            }
        }
        for (item, transfer) in &self.transfers {
            let whole = transfer.amount.is_some_and(Amount::is_whole);
            let sign = if whole || transfer.amount.is_none() { " " } else { &spinner };
            lines.push(format!(" {sign} {}", self.transfer(item, transfer)));
        }
        if self.interrupted {
            lines.push(self.paint.ink(Ink::Yellow, " cleaning up; Ctrl-C again ends at once"));
        }
        if lines.len() > room {
            let more = lines.len() - room + 1;
            lines.truncate(room - 1);
            lines.push(self.paint.ink(Ink::Dim, &format!("   … {more} more lines")));
        }
        lines
    }

    /// A line with something at its right end.
    fn headline(&self, sign: &str, name: &str, right: &str, width: usize) -> String {
        let width = width.min(WIDEST);
        let room = width.saturating_sub(right.len() + 5);
        let name = console::truncate_str(name, room, "…");
        let gap = room.saturating_sub(console::measure_text_width(&name));
        format!(" {sign} {name}{}{}", " ".repeat(gap + 1), self.paint.ink(Ink::Dim, right))
    }

    fn amount(&self, amount: Amount) -> String {
        match amount.total {
            Some(total) if total > 0 => format!("{} {}", self.bar(amount, total), amount.shown()),
            _ => amount.shown(),
        }
    }

    fn bar(&self, amount: Amount, total: u64) -> String {
        let part = amount.current.min(total) as u128 * BAR as u128 / u128::from(total);
        let full = usize::try_from(part).unwrap_or(BAR);
        let done = self.paint.ink(Ink::Cyan, &self.signs.full.repeat(full));
        done + &self.paint.ink(Ink::Dim, &self.signs.empty.repeat(BAR - full))
    }

    fn transfer(&self, item: &str, transfer: &Transfer) -> String {
        let amount = transfer.amount.map(|amount| format!(" {}", self.amount(amount)));
        let item = format!("{:<20}", short(item));
        format!("{item} {}{}", clean(&transfer.status), amount.unwrap_or_default())
    }

    fn finished(
        &self,
        step: &mut Step,
        result: &StepResult,
        now: Duration,
        width: usize,
    ) -> String {
        let time = elapsed(now.saturating_sub(step.started));
        let (sign, right) = match result {
            StepResult::Done => (self.paint.ink(Ink::Green, self.signs.done), time),
            StepResult::Cached => {
                (self.paint.ink(Ink::Green, self.signs.done), "cached".to_owned())
            }
            StepResult::Failed { .. } => (self.paint.ink(Ink::Red, self.signs.failed), time),
            StepResult::Cancelled => {
                (self.paint.ink(Ink::Yellow, self.signs.stopped), "cancelled".to_owned())
            }
        };
        let mut out = self.headline(&sign, &step.name, &right, width) + "\n";
        if let StepResult::Failed { .. } = result {
            step.rest();
            for line in &step.kept {
                let margin = self.paint.ink(Ink::Red, self.signs.line);
                let _ = writeln!(out, "   {margin} {line}");
            }
        }
        out
    }

    fn take(&mut self, event: Event, now: Duration, width: usize) -> String {
        match event {
            Event::StepStarted { step, name } => {
                self.steps.insert(step, Step::new(&name, now));
            }
            Event::StepLog { step, stream, bytes } => {
                if let Some(step) = self.steps.get_mut(&step) {
                    step.log(stream, &bytes);
                }
            }
            Event::StepProgress { step, item, current, total } => {
                if let Some(step) = self.steps.get_mut(&step) {
                    step.items.insert(item, Amount { current, total });
                }
            }
            Event::StepFinished { step, result } => {
                if let Some(mut step) = self.steps.remove(&step) {
                    return self.finished(&mut step, &result, now, width);
                }
            }
            Event::Transfer { item, status, current, total } => {
                let amount = current.map(|current| Amount { current, total });
                let transfer = Transfer { status, amount };
                match self.transfers.iter_mut().find(|(name, _)| *name == item) {
                    Some((_, known)) => *known = transfer,
                    None => self.transfers.push((item, transfer)),
                }
            }
            Event::Notice { message } => {
                return self.paint.ink(Ink::Dim, &clean(&message)) + "\n";
            }
            Event::Warning { message, remedy } => {
                return warning(&message, remedy.as_deref(), self.paint);
            }
            _ => {}
        }
        String::new()
    }
}

/// Returns columns and rows of the terminal behind standard error.
fn size() -> (usize, usize) {
    let size = rustix::termios::tcgetwinsize(std::io::stderr()).ok();
    let size = size.filter(|size| size.ws_col > 0 && size.ws_row > 0);
    size.map_or((80, 24), |size| (usize::from(size.ws_col), usize::from(size.ws_row)))
}

impl Renderer for Live {
    fn event(&mut self, event: Event, now: Duration) -> String {
        let (width, height) = size();
        let above = self.take(event, now, width);
        // The next tick draws what merely moved on; drawing for each event would flicker.
        if above.is_empty() {
            return above;
        }
        let lines = self.live_lines(now, width, height);
        self.redraw(&above, &lines, width)
    }

    fn tick(&mut self, now: Duration) -> String {
        let (width, height) = size();
        self.frame += 1;
        let lines = self.live_lines(now, width, height);
        if lines.is_empty() && self.drawn == 0 {
            return String::new();
        }
        self.redraw("", &lines, width)
    }

    fn interrupted(&mut self, now: Duration) -> String {
        self.interrupted = true;
        self.tick(now)
    }

    fn end(&mut self, now: Duration) -> String {
        let (width, _) = size();
        let mut above = String::new();
        for (_, mut step) in std::mem::take(&mut self.steps) {
            above += &self.finished(&mut step, &StepResult::Cancelled, now, width);
        }
        for (item, transfer) in &self.transfers {
            let sign = self.paint.ink(Ink::Green, self.signs.done);
            let _ = writeln!(above, " {sign} {}", self.transfer(item, transfer));
        }
        self.transfers.clear();
        if above.is_empty() && self.drawn == 0 { above } else { self.redraw(&above, &[], width) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use boxwright_core::{OutputStream, StepId};

    fn live() -> Live {
        Live::new(Paint::PLAIN, true)
    }

    fn started(step: u32, name: &str) -> Event {
        Event::StepStarted { step: StepId(step), name: name.into() }
    }

    fn log(step: u32, text: &str) -> Event {
        let bytes = text.as_bytes().to_vec();
        Event::StepLog { step: StepId(step), stream: OutputStream::Stdout, bytes }
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_running_step_shows_its_last_lines_and_bars() {
        let mut live = live();
        live.take(started(0, "[2/4] RUN make"), Duration::ZERO, 60);
        live.take(log(0, "one\n\x1b[31mtwo\n"), Duration::ZERO, 60);
        let item = format!("sha256:{}", "cd".repeat(32));
        let progress =
            Event::StepProgress { step: StepId(0), item, current: 500, total: Some(1_000) };
        live.take(progress, Duration::ZERO, 60);
        assert_eq!(
            live.live_lines(SECOND, 60, 24).join("\n"),
            " ⠋ [2/4] RUN make                                      1.0s
   │ sha256:cdcdcdcdcdcd ━━━━━━━━━━━━──────────── 500 B of 1.0 kB
   │ one
   │ two"
        );
    }

    #[test]
    fn never_more_lines_than_the_terminal_has() {
        let mut live = live();
        for step in 0..50 {
            live.take(started(step, "RUN x"), Duration::ZERO, 60);
        }
        let lines = live.live_lines(SECOND, 60, 10);
        assert_eq!((lines.len(), lines[7].as_str()), (8, "   … 43 more lines"));
        assert_eq!(live.live_lines(SECOND, 60, 0).len(), 1);
    }

    #[test]
    fn a_step_that_failed_shows_what_it_wrote() {
        let mut live = live();
        live.take(started(0, "RUN make"), Duration::ZERO, 40);
        live.take(log(0, "no rule\nstop"), Duration::ZERO, 40);
        let result = StepResult::Failed { error: "exit code: 2".into(), exit_code: Some(2) };
        let event = Event::StepFinished { step: StepId(0), result };
        assert_eq!(
            live.take(event, SECOND, 40),
            " ✘ RUN make                        1.0s\n   │ no rule\n   │ stop\n"
        );
    }

    #[test]
    fn a_long_name_leaves_room_for_the_time() {
        let line = live().headline("✔", &"x".repeat(300), "cached", 40);
        assert_eq!(console::measure_text_width(&line), 39);
        assert!(line.ends_with("… cached"), "{line}");
    }

    #[test]
    fn redrawing_goes_back_over_what_was_drawn() {
        let mut live = live();
        assert_eq!(live.redraw("", &["a".into(), "b".into()], 80), "\r\x1b[Ja\nb\n");
        assert_eq!(live.redraw("done\n", &[], 80), "\x1b[2A\r\x1b[Jdone\n");
        assert_eq!(live.drawn, 0);
    }
}
