//! The workspace's own commands, run as `cargo xtask COMMAND`. It depends on no other crate of the workspace, so that it
//! builds first and fast. Begin to read at [`Command`].

mod bench;
mod ci;
mod console;
mod demo;
mod environment;
mod faults;
mod generate;
mod http;
mod packages;
mod problem;
mod program;
mod test;
mod tidy;
mod token_server;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use problem::Result;

#[derive(Debug, Parser)]
#[command(name = "cargo xtask", about = "The workspace's own commands", max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Build, push, pull and run an example with a real engine, installing what is missing
    Demo,
    /// Bring up real engines and registries, run all tests, and take everything down
    Test(test::Options),
    /// Check the rules of the style guide that a program can check
    Tidy,
    /// Run what continuous integration runs: format, clippy, documentation, licences, tidy, `generate --check`, and `test`
    Ci,
    /// Write the generated parts of the documentation again
    Generate(generate::Options),
    /// Measure
    #[command(subcommand)]
    Bench(bench::Command),
    /// Break real engines on purpose, and see what becomes of builds and pushes
    Faults(faults::Options),
    /// Bring real engines and registries up and down for daily work
    #[command(subcommand)]
    Environment(environment::Command),
    #[command(hide = true)]
    Supervise(environment::supervisor::Options),
    #[command(hide = true)]
    TokenServer(token_server::Options),
}

fn main() -> ExitCode {
    let command = Arguments::parse().command;
    match program::this_program().and_then(|_| run(command)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            console::show(&problem);
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<()> {
    match command {
        Command::Demo => demo::run(),
        Command::Generate(options) => generate::run(&options),
        Command::Bench(command) => bench::run(&command),
        Command::Test(options) => test::run(&options),
        Command::Faults(options) => faults::run(&options),
        Command::Tidy => tidy::run(),
        Command::Ci => ci::run(),
        Command::Environment(command) => environment::run(&command),
        Command::Supervise(options) => environment::supervisor::supervise(&options),
        Command::TokenServer(options) => token_server::serve(options),
    }
}
