//! The workspace's own commands, run as `cargo xtask COMMAND`. It depends on no other crate of the workspace, so that it
//! builds first and fast. Begin to read at [`Command`].

mod console;
mod environment;
mod http;
mod packages;
mod problem;
mod program;
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
    /// Bring real engines and registries up and down for daily work
    #[command(subcommand)]
    Environment(environment::Command),
    #[command(hide = true)]
    Supervise(environment::supervisor::Options),
    #[command(hide = true)]
    TokenServer(token_server::Options),
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            console::show(&problem);
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<()> {
    match command {
        Command::Environment(command) => environment::run(&command),
        Command::Supervise(options) => environment::supervisor::supervise(&options),
        Command::TokenServer(options) => token_server::serve(options),
    }
}
