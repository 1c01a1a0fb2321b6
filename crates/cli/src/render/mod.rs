//! All that the program prints. Data goes to standard output, everything else to standard error.
//!
//! Nothing outside this folder prints. Whatever an image, a Dockerfile or a registry can influence is
//! cleaned of control characters before it reaches a terminal.

mod error;
mod output;
mod paint;
pub(crate) mod progress;
mod table;
mod text;
mod units;
mod usage;

use std::io::{self, IsTerminal as _, Write as _};

use boxwright_core::{EngineInfo, Error, ErrorKind, Host, Result};
use serde::Serialize;

pub(crate) use error::{render_error, render_remark};
pub(crate) use output::Output;
pub(crate) use paint::{Ink, Paint};
pub(crate) use table::Table;
pub(crate) use text::clean;
pub(crate) use units::{age, bytes, elapsed, short_id};
pub(crate) use usage::print_usage;

/// Where output goes and how it may look there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Console {
    stdout: Look,
    stderr: Look,
    unicode: bool,
}

/// What one stream is.
#[derive(Clone, Copy, Debug)]
struct Look {
    terminal: bool,
    paint: Paint,
}

impl Console {
    /// Looks at what the streams of the process are, and at `NO_COLOR`, `CLICOLOR`, `CLICOLOR_FORCE` and `TERM`.
    pub(crate) fn new(host: &Host) -> Self {
        let stream = |terminal| Look { terminal, paint: Paint::choose(host, terminal) };
        Self {
            stdout: stream(io::stdout().is_terminal()),
            stderr: stream(io::stderr().is_terminal()),
            unicode: speaks_unicode(host),
        }
    }

    pub(crate) fn paint_out(self) -> Paint {
        self.stdout.paint
    }

    pub(crate) fn paint_err(self) -> Paint {
        self.stderr.paint
    }

    pub(crate) fn stdout_is_terminal(self) -> bool {
        self.stdout.terminal
    }

    /// Returns whether a live tree can be drawn on standard error.
    pub(crate) fn can_draw(self, host: &Host) -> bool {
        self.stderr.terminal && host.variable("TERM").is_some_and(|term| term != "dumb")
    }

    pub(crate) fn unicode(self) -> bool {
        self.unicode
    }

    /// Writes a line of data to standard output. A reader that left is no error.
    pub(crate) fn data(self, text: &str) -> Result<()> {
        let mut line = text.to_owned();
        if !line.ends_with('\n') {
            line.push('\n');
        }
        self.data_bytes(line.as_bytes())
    }

    /// Writes a value as indented JSON to standard output.
    pub(crate) fn json<T: Serialize>(self, value: &T) -> Result<()> {
        let text = serde_json::to_string_pretty(value).map_err(|error| {
            Error::new(ErrorKind::Bug, "cannot write the answer as JSON").with_source(error)
        })?;
        self.data(&text)
    }

    /// Writes bytes as they are to standard output. A reader that left is no error.
    pub(crate) fn data_bytes(self, bytes: &[u8]) -> Result<()> {
        let mut stdout = io::stdout().lock();
        match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                Err(Error::new(ErrorKind::Exhausted, "cannot write to standard output")
                    .with_source(error))
            }
            _ => Ok(()),
        }
    }

    /// Returns both streams, for a report that is written while it is made.
    pub(crate) fn streams(self) -> (io::Stdout, io::Stderr) {
        (io::stdout(), io::stderr())
    }

    /// Writes bytes as they are to standard error.
    pub(crate) fn side_bytes(self, bytes: &[u8]) {
        let mut stderr = io::stderr().lock();
        // There is no other place to complain to.
        let _ = stderr.write_all(bytes).and_then(|()| stderr.flush());
    }

    /// Writes a line for people to standard error.
    pub(crate) fn say(self, text: &str) {
        self.side_bytes(format!("{text}\n").as_bytes());
    }

    /// Writes a warning to standard error.
    pub(crate) fn warn(self, message: &str) {
        let label = self.paint_err().ink(Ink::Yellow, "warning:");
        self.say(&format!("{label} {}", clean(message)));
    }

    /// Writes an error to standard error: for people, or as JSON with the exit code that it leads to.
    pub(crate) fn error(self, error: &Error, engine: Option<&EngineInfo>, json: Option<u8>) {
        let text = match json {
            Some(code) => error::render_error_json(error, engine, code),
            None => render_error(error, engine, self.paint_err()),
        };
        self.say(text.trim_end());
    }

    /// Writes a question to standard error, without a line's end.
    pub(crate) fn ask(self, question: &str) {
        self.side_bytes(question.as_bytes());
    }
}

/// Says of a panic that it is a bug of this program, and where.
pub(crate) fn report_panics(console: Console) {
    std::panic::set_hook(Box::new(move |info| {
        let payload = info.payload();
        let text = payload.downcast_ref::<&str>().copied();
        let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
        let text = text.unwrap_or("no message");
        let place = info.location().map(|it| format!("{}:{}", it.file(), it.line()));
        let error = Error::new(ErrorKind::Bug, "this is a bug in `boxwright`")
            .with_cause(text)
            .with_context("place", place.unwrap_or_default())
            .with_context("version", env!("CARGO_PKG_VERSION"));
        console.say(render_error(&error, None, console.paint_err()).trim_end());
    }));
}

/// Signs beyond ASCII need a locale that has them; where none is set, terminals are nearly always UTF-8.
fn speaks_unicode(host: &Host) -> bool {
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].iter().find_map(|name| host.variable(name));
    let plain = locale.is_some_and(|name| matches!(name, "C" | "POSIX"));
    !plain && host.variable("TERM") != Some("linux")
}
