//! What each subcommand does: one file for each.

mod build;
mod build_spec;
mod check;
mod compare;
mod completions;
mod config;
mod conformance;
mod df;
mod engines;
mod exists;
mod explain;
mod images;
mod inspect;
mod login;
mod logout;
mod preflight;
mod prune;
mod pull;
mod push;
mod remove;
mod run;
mod spec;
mod tag;
mod version;

use crate::app::App;
use crate::args::Command;
use crate::exit_code::Outcome;

/// Does what the command line asks for.
pub(crate) async fn run(command: Command, app: &App) -> Outcome {
    match command {
        Command::Build(args) => build::run(&args, app).await,
        Command::Spec(args) => spec::run(&args, app).await,
        Command::Push(args) => push::run(&args, app).await,
        Command::Pull(args) => pull::run(&args, app).await,
        Command::Exists(args) => exists::run(&args, app).await,
        Command::Check(args) => check::run(&args, app).await,
        Command::Tag(args) => tag::run(&args, app).await,
        Command::Images(args) => images::run(&args, app).await,
        Command::Inspect(args) => inspect::run(&args, app).await,
        Command::Compare(args) => compare::run(&args, app).await,
        Command::Remove(args) => remove::run(&args, app).await,
        Command::Run(args) => run::run(&args, app).await,
        Command::Df(args) => df::run(&args, app).await,
        Command::Prune(args) => prune::run(&args, app).await,
        Command::Engines(args) => engines::run(&args, app).await,
        Command::Login(args) => login::run(&args, app).await,
        Command::Logout(args) => logout::run(&args, app).await,
        Command::Config(args) => config::run(&args, app),
        Command::Conformance(args) => conformance::run(&args, app).await,
        Command::Completions(args) => completions::run(&args, app),
        Command::Version(args) => version::run(&args, app),
    }
}
