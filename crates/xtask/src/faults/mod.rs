//! `cargo xtask faults`: what goes wrong around this program, on real engines that are broken on purpose. Each fault has an
//! environment of its own.

mod beside;
mod clients;
mod containerd;
mod disk;
mod lxd;
mod lxd_images;
mod lxd_remote;
mod reach;
mod services;
mod stage;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use clap::Args;

use crate::console::{print, say};
use crate::problem::{Problem, Result};
use crate::program::Program;
use crate::workspace;
use stage::Stage;

/// Which faults.
#[derive(Clone, Debug, Args)]
pub(crate) struct Options {
    /// Faults to try; all whose names begin so, and all of them if none is named
    faults: Vec<String>,
}

/// Something that goes wrong, and what must become of it.
struct Fault {
    /// A subject and a clause, such as `docker/the-disk-is-full`.
    name: &'static str,
    /// What has to be up, and how much space its data has, in MB.
    setups: &'static [&'static str],
    disk: Option<u32>,
    check: fn(&Stage) -> Result<()>,
}

/// Runs `cargo xtask faults`.
pub(crate) fn run(options: &Options) -> Result<()> {
    let tables = [
        clients::FAULTS,
        services::FAULTS,
        disk::FAULTS,
        reach::FAULTS,
        containerd::FAULTS,
        lxd::FAULTS,
        lxd_images::FAULTS,
        lxd_remote::FAULTS,
    ];
    let wanted = |fault: &&Fault| {
        options.faults.is_empty()
            || options.faults.iter().any(|name| fault.name.starts_with(name.as_str()))
    };
    let chosen: Vec<&Fault> = tables.into_iter().flatten().filter(wanted).collect();
    if chosen.is_empty() {
        let names: Vec<&str> = tables.into_iter().flatten().map(|fault| fault.name).collect();
        return Err(
            Problem::new("there is no such fault").help(format!("use one of {}", names.join(", ")))
        );
    }
    workspace::cargo()
        .args(["build", "--workspace", "--locked", "--quiet", "--bin", "boxwright"])
        .run_or_fail()?;
    let boxwright = workspace::target().join("debug/boxwright");
    let mut failed = 0;
    for fault in &chosen {
        let start = Instant::now();
        let result = one(fault, &boxwright);
        let seconds = start.elapsed().as_secs_f64();
        match result {
            Ok(()) => say(format!("ok      {seconds:5.1} s  {}", fault.name)),
            Err(problem) => {
                failed += 1;
                say(format!("FAILED  {seconds:5.1} s  {}\n{problem}", fault.name));
            }
        }
    }
    // As cargo's tests end, so that both are counted alike.
    let (passed, word) = (chosen.len() - failed, if failed == 0 { "ok" } else { "FAILED" });
    print(format!("test result: {word}. {passed} passed; {failed} failed"));
    if failed > 0 {
        return Err(Problem::new(format!(
            "{failed} of {} faults did not end as they must",
            chosen.len()
        )));
    }
    Ok(())
}

fn one(fault: &Fault, boxwright: &std::path::Path) -> Result<()> {
    let stage = Stage::open(fault.setups, fault.disk, boxwright)?;
    // The environment goes down whatever happens.
    let checked = catch_unwind(AssertUnwindSafe(|| (fault.check)(&stage)))
        .unwrap_or_else(|_| Err(Problem::new("the check itself broke")));
    stage.close()?;
    checked
}

/// Fails with `message` unless `holds`.
fn expect(holds: bool, message: impl FnOnce() -> String) -> Result<()> {
    if holds { Ok(()) } else { Err(Problem::new(message())) }
}

/// Returns the command that runs all of them, for the tests.
pub(crate) fn program() -> Result<Program> {
    Ok(Program::new(crate::program::this_program()?).arg("faults"))
}
