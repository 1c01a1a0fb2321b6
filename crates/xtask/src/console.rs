//! The one place of this program that prints.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "this file is where printing is")]

use crate::problem::Problem;

/// Says what is happening, on standard error.
pub(crate) fn say(text: impl AsRef<str>) {
    eprintln!("{}", text.as_ref());
}

/// Prints a line of data, on standard output.
pub(crate) fn print(line: impl AsRef<str>) {
    println!("{}", line.as_ref());
}

/// Shows a failure, on standard error.
pub(crate) fn show(problem: &Problem) {
    eprintln!("{problem}");
}
