//! `cargo xtask ci`: what continuous integration runs, here.

use crate::problem::{Problem, Result};
use crate::program::Program;
use crate::workspace;

/// Runs `.ci/run`, the one list of the steps.
pub(crate) fn run() -> Result<()> {
    if Program::new(workspace::root().join(".ci/run")).run()? {
        return Ok(());
    }
    Err(Problem::new("not all checks succeeded").help("the end of the output names them"))
}
