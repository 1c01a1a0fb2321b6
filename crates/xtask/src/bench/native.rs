//! `cargo xtask bench native`: this program against the engines' own, by turns on one daemon.

use clap::Args;

use super::bed::{Bed, Size};
use super::measure::Measured;
use super::table::Table;
use crate::console::{print, say};
use crate::problem::Result;
use crate::program::Program;

/// How to measure.
#[derive(Clone, Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    size: Size,
    /// Builders to measure; all, if none is named
    #[arg(value_enum)]
    builders: Vec<Builder>,
}

/// A builder that has a command of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Builder {
    Buildkit,
    Classic,
    Podman,
}

impl Builder {
    const fn name(self) -> &'static str {
        match self {
            Self::Buildkit => "buildkit",
            Self::Classic => "classic",
            Self::Podman => "podman",
        }
    }
}

/// Whose command builds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Client {
    Own,
    Boxwright,
}

const PHASES: [&str; 3] = ["cold", "cached", "one file changed"];

/// A longer build than this many times the engine's own command's is too long.
const LIMIT: f64 = 1.05;

/// Runs `cargo xtask bench native`.
pub(super) fn run(options: &Options) -> Result<()> {
    let builders = if options.builders.is_empty() {
        vec![Builder::Buildkit, Builder::Classic, Builder::Podman]
    } else {
        options.builders.clone()
    };
    let mut setups = vec!["registry/open"];
    if builders.contains(&Builder::Podman) {
        setups.push("podman/root");
    }
    if builders.iter().any(|builder| *builder != Builder::Podman) {
        setups.push("docker");
    }
    let bed = Bed::set_up(&setups, &options.size)?;
    let measured = measure_all(&bed, options.size.rounds, &builders);
    bed.down()?;
    print(measured?.text());
    Ok(())
}

fn measure_all(bed: &Bed, rounds: u32, builders: &[Builder]) -> Result<Table> {
    let mut table = Table::default();
    let mut changes = 0;
    for builder in builders {
        own(bed, *builder, &["pull", bed.base()?])?.output()?;
        for phase in PHASES {
            let row = |client| row(*builder, phase, client);
            table.compare(&row(Client::Boxwright), &row(Client::Own), LIMIT);
        }
        for round in 0..rounds {
            let mut clients = [Client::Own, Client::Boxwright];
            if round % 2 == 1 {
                clients.reverse();
            }
            for client in clients {
                forget(bed, *builder)?;
                for phase in PHASES {
                    if phase == "one file changed" {
                        changes += 1;
                        bed.workload.change(changes)?;
                    }
                    table.note(&row(*builder, phase, client), build(bed, *builder, client)?);
                }
            }
            say(format!("{}: round {} of {rounds}", builder.name(), round + 1));
        }
    }
    Ok(table)
}

fn row(builder: Builder, phase: &str, client: Client) -> String {
    let client = match client {
        Client::Own => "own command",
        Client::Boxwright => "boxwright",
    };
    format!("{}, {phase}: {client}", builder.name())
}

fn build(bed: &Bed, builder: Builder, client: Client) -> Result<Measured> {
    let context = bed.workload.folder().display().to_string();
    let image = format!("localhost/bench:{}-{client:?}", builder.name()).to_lowercase();
    let build = ["build", "-q", "-t", &image, &context];
    bed.measure(match client {
        Client::Own => own(bed, builder, &build)?,
        Client::Boxwright => bed.boxwright("store", &build).args(match builder {
            Builder::Buildkit => ["--engine", "docker", "--builder", "buildkit"],
            Builder::Classic => ["--engine", "docker", "--builder", "classic"],
            Builder::Podman => ["--engine", "podman", "--builder", "native"],
        }),
    })
}

/// Returns the engine's own command with `arguments`.
fn own(bed: &Bed, builder: Builder, arguments: &[&str]) -> Result<Program> {
    match builder {
        Builder::Buildkit | Builder::Classic => bed.docker(arguments, builder == Builder::Buildkit),
        Builder::Podman => Ok(bed.podman(arguments)),
    }
}

/// Makes the daemon forget all builds, but not the base image.
fn forget(bed: &Bed, builder: Builder) -> Result<()> {
    let own = |arguments: &[&str]| own(bed, builder, arguments)?.captured();
    let listed = own(&["images", "-q", "--filter", "reference=localhost/bench"])?;
    let listed = String::from_utf8_lossy(&listed).into_owned();
    let mut remove = vec!["rmi", "-f"];
    remove.extend(listed.split_whitespace());
    if remove.len() > 2 {
        own(&remove)?;
    }
    own(&["image", "prune", "-f"])?;
    if builder != Builder::Podman {
        own(&["builder", "prune", "-af"])?;
    }
    Ok(())
}
