//! The second part of `cargo xtask bench portable`: the reference workload, whose steps run, on all engines.

use std::collections::BTreeSet;
use std::time::Duration;

use super::bed::{Bed, Size, remove, write};
use super::measure::Measured;
use super::table::Table;
use crate::console::{print, say};
use crate::problem::Result;
use crate::program::{Program, find};

/// Who builds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub(super) enum Builder {
    /// Boxwright with no engine
    Embedded,
    /// Boxwright on containerd
    Containerd,
    /// Boxwright on LXD
    Lxd,
    /// Boxwright's own builder on Docker
    Docker,
    /// Boxwright's own builder on Podman
    PodmanPortable,
    /// `docker build` with BuildKit
    Buildkit,
    /// `buildah bud --layers`
    Buildah,
    /// `podman --remote build`
    Podman,
}

const OWN: [Builder; 5] = [
    Builder::Embedded,
    Builder::Containerd,
    Builder::Lxd,
    Builder::Docker,
    Builder::PodmanPortable,
];

const PEERS: [Builder; 3] = [Builder::Buildkit, Builder::Buildah, Builder::Podman];

const COLD: &str = "cold";
const CACHED: &str = "cached";
const CHANGED: &str = "one file changed";
const PUSH: &str = "push";
const ONE_STEP: &str = "RUN true";

impl Builder {
    const fn name(self) -> &'static str {
        match self {
            Self::Embedded => "boxwright embedded",
            Self::Containerd => "boxwright containerd",
            Self::Lxd => "boxwright lxd",
            Self::Docker => "boxwright docker",
            Self::PodmanPortable => "boxwright podman",
            Self::Buildkit => "BuildKit",
            Self::Buildah => "buildah",
            Self::Podman => "podman",
        }
    }

    const fn setup(self) -> Option<&'static str> {
        match self {
            Self::Embedded | Self::Buildah => None,
            Self::Containerd => Some("containerd"),
            Self::Lxd => Some("lxd"),
            Self::Docker | Self::Buildkit => Some("docker"),
            Self::PodmanPortable | Self::Podman => Some("podman/root"),
        }
    }

    /// The options that choose it, for Boxwright's own.
    const fn choice(self) -> Option<&'static [&'static str]> {
        Some(match self {
            Self::Embedded => &["--engine", "embedded"],
            Self::Containerd => &["--engine", "containerd"],
            Self::Lxd => &["--engine", "lxd"],
            Self::Docker => &["--engine", "docker", "--builder", "portable"],
            Self::PodmanPortable => &["--engine", "podman", "--builder", "portable"],
            Self::Buildkit | Self::Buildah | Self::Podman => return None,
        })
    }

    fn row(self, work: &str) -> String {
        format!("{work}: {}", self.name())
    }
}

/// Measures and prints the table.
pub(super) fn run(size: &Size, wanted: &[Builder]) -> Result<()> {
    let mut builders = wanted.to_vec();
    if builders.is_empty() {
        builders.extend(OWN.into_iter().chain(PEERS));
    }
    if builders.contains(&Builder::Buildah) && find("buildah").is_none() {
        say("`buildah` is not installed: it is left out");
        builders.retain(|builder| *builder != Builder::Buildah);
    }
    let mut setups: BTreeSet<&str> = builders.iter().filter_map(|one| one.setup()).collect();
    setups.insert("registry/open");
    let setups: Vec<&str> = setups.into_iter().collect();
    let bed = Bed::set_up(&setups, size)?;
    let measured = measure_all(&bed, size.rounds, &mut builders);
    bed.down()?;
    print(measured?.text());
    Ok(())
}

/// What must hold, as the project's issues have it.
fn limits(table: &mut Table) {
    for work in [COLD, CACHED, CHANGED] {
        for peer in PEERS {
            table.compare(&Builder::Embedded.row(work), &peer.row(work), 1.0);
        }
    }
    table.compare(&Builder::Embedded.row(PUSH), &Builder::Podman.row(PUSH), 0.8);
    table.limit(&Builder::Embedded.row(ONE_STEP), Duration::from_millis(80));
    for builder in [Builder::Containerd, Builder::Lxd] {
        for (work, limit) in [(COLD, 1.3), (CACHED, 1.2)] {
            table.compare(&builder.row(work), &Builder::Embedded.row(work), limit);
        }
    }
    table.limit(&Builder::Containerd.row(ONE_STEP), Duration::from_millis(250));
    table.limit(&Builder::Lxd.row(ONE_STEP), Duration::from_millis(80));
    table.limit(&Builder::Docker.row(ONE_STEP), Duration::from_millis(80));
}

fn measure_all(bed: &Bed, rounds: u32, builders: &mut [Builder]) -> Result<Table> {
    let mut table = Table::default();
    limits(&mut table);
    for builder in &*builders {
        say(format!("{}: pulling the base image", builder.name()));
        warm_up(bed, *builder)?;
    }
    let mut number = 0;
    for round in 0..rounds {
        builders.reverse();
        for builder in &*builders {
            number += 1;
            forget(bed, *builder)?;
            bed.workload.renew(number)?;
            let mut note = |work, measured| table.note(&builder.row(work), measured);
            note(COLD, build(bed, *builder)?);
            note(CACHED, build(bed, *builder)?);
            bed.workload.change(number)?;
            note(CHANGED, build(bed, *builder)?);
            note(PUSH, push(bed, *builder, round)?);
            if builder.choice().is_some() {
                note(ONE_STEP, one_step(bed, *builder, number)?);
            }
        }
        say(format!("round {} of {rounds}", round + 1));
    }
    Ok(table)
}

fn image(builder: Builder) -> String {
    format!("localhost/bench:{builder:?}").to_lowercase()
}

fn build(bed: &Bed, builder: Builder) -> Result<Measured> {
    let context = bed.workload.folder().display().to_string();
    bed.measure(command(bed, builder, &["-q", "-t", &image(builder), &context])?)
}

/// Returns the builder's `build` with `arguments`.
fn command(bed: &Bed, builder: Builder, arguments: &[&str]) -> Result<Program> {
    let with = |first: &[&'static str]| [first, arguments].concat();
    Ok(match builder {
        Builder::Buildkit => bed.docker(&with(&["build"]), true)?,
        Builder::Podman => bed.podman(&with(&["build"])),
        Builder::Buildah => {
            // crun refuses a machine with cgroups of both versions, and CNI's plugins may not be installed.
            let runtime: &[&str] =
                if find("runc").is_some() { &["--runtime", "runc"] } else { &[] };
            let first = [&["bud", "--layers", "--network", "host"], runtime].concat();
            bed.buildah(&[&first, arguments].concat())
        }
        own => {
            let program = bed.boxwright(&image_store(own), &["build"]);
            program.args(own.choice().unwrap_or_default()).args(arguments)
        }
    })
}

/// A step on a base that is there, which nothing remembers.
fn one_step(bed: &Bed, builder: Builder, number: u32) -> Result<Measured> {
    let folder = bed.path("one-step");
    write(&folder.join("Dockerfile"), &format!("FROM {}\nRUN true {number}\n", bed.base()?))?;
    bed.measure(command(bed, builder, &["-q", &folder.display().to_string()])?)
}

/// Pulls the base, unpacks it by a step, and keeps Boxwright's store as it then is.
fn warm_up(bed: &Bed, builder: Builder) -> Result<()> {
    let pull = ["pull", bed.base()?];
    match builder {
        Builder::Buildkit => bed.docker(&pull, true)?.run_or_fail(),
        Builder::Podman => bed.podman(&pull).run_or_fail(),
        Builder::Buildah => {
            remove(&bed.path("buildah"))?;
            let pull = [pull[0], "--tls-verify=false", pull[1]];
            bed.buildah(&pull).run_or_fail()
        }
        own => {
            one_step(bed, own, 0)?;
            let (store, kept) = (bed.path(&image_store(own)), bed.path(&kept_store(own)));
            Program::new("cp").arg("-a").args([store, kept]).run_or_fail()
        }
    }
}

fn image_store(builder: Builder) -> String {
    format!("store-{builder:?}").to_lowercase()
}

fn kept_store(builder: Builder) -> String {
    format!("kept-{builder:?}").to_lowercase()
}

/// Makes the builder forget all builds, but not the base image.
fn forget(bed: &Bed, builder: Builder) -> Result<()> {
    match builder {
        Builder::Buildkit => {
            bed.docker(&["rmi", "-f", &image(builder)], true)?.captured()?;
            bed.docker(&["builder", "prune", "-af"], true)?.captured()?;
        }
        Builder::Podman => {
            bed.podman(&["rmi", "-f", &image(builder)]).captured()?;
            bed.podman(&["image", "prune", "-f"]).captured()?;
        }
        Builder::Buildah => {
            bed.buildah(&["rmi", "-f", &image(builder)]).captured()?;
            bed.buildah(&["rmi", "--prune", "-f"]).captured()?;
        }
        own => {
            let (store, kept) = (bed.path(&image_store(own)), bed.path(&kept_store(own)));
            remove(&store)?;
            Program::new("cp").arg("-a").args([kept, store]).run_or_fail()?;
        }
    }
    Ok(())
}

/// Pushes to a repository of its own each time: nothing is there already.
fn push(bed: &Bed, builder: Builder, round: u32) -> Result<Measured> {
    let image = image(builder);
    let name = bed.fresh_name(&format!("{builder:?}").to_lowercase(), round)?;
    let tag = ["tag", &image, &name];
    match builder {
        Builder::Buildkit => {
            bed.docker(&tag, true)?.run_or_fail()?;
            bed.measure(bed.docker(&["push", &name], true)?)
        }
        Builder::Podman => {
            bed.podman(&tag).run_or_fail()?;
            bed.measure(bed.podman(&["push", "--tls-verify=false", &name]))
        }
        Builder::Buildah => {
            let target = format!("docker://{name}");
            bed.measure(bed.buildah(&["push", "--tls-verify=false", &image, &target]))
        }
        own => {
            let engine = own.choice().unwrap_or_default();
            let engine = engine.get(..2).unwrap_or_default();
            let store = image_store(own);
            bed.boxwright(&store, &tag).args(engine).run_or_fail()?;
            bed.measure(bed.boxwright(&store, &["push", "-q", &name]).args(engine))
        }
    }
}
