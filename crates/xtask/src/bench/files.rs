//! The first part of `cargo xtask bench portable`: copies with no engine, against hashing the files and Buildah.

use std::fs;
use std::path::Path;
use std::time::Duration;

use super::bed::{Bed, Size, remove, write};
use super::measure::Measured;
use super::table::Table;
use crate::console::{print, say};
use crate::problem::{Explain, Result};
use crate::program::{Program, find};

const DOCKERFILE: &str = "FROM scratch\nCOPY data /data\nCOPY app.txt /app.txt\n";

const HASH: &str = "tar | sha256sum";
const COLD: &str = "boxwright build, cold";
const UNCHANGED: &str = "boxwright build, unchanged";
const ONE_FILE: &str = "boxwright build, one file changed";
const PUSH: &str = "boxwright build --push, cold";
const BUILDAH: &str = "buildah bud + push, cold";
const LARGE: &str = "boxwright build, one large file";

/// Measures and prints the table.
pub(super) fn run(size: &Size, gigabytes: u64) -> Result<()> {
    let bed = Bed::set_up(&["registry/open"], size)?;
    let measured = measure_all(&bed, size.rounds, gigabytes);
    bed.down()?;
    print(measured?.text());
    Ok(())
}

fn measure_all(bed: &Bed, rounds: u32, gigabytes: u64) -> Result<Table> {
    write(&bed.workload.folder().join("Dockerfile"), DOCKERFILE)?;
    let mut table = Table::default();
    table.compare(COLD, HASH, 1.5);
    table.limit(UNCHANGED, Duration::from_millis(100));
    table.compare(PUSH, BUILDAH, 0.5);
    let mut works = vec![HASH, COLD, PUSH];
    if find("buildah").is_some() {
        works.push(BUILDAH);
    } else {
        say("`buildah` is not installed: it is left out");
    }
    for round in 0..rounds {
        // By turns, and every other round backwards, so that none always comes first.
        works.reverse();
        for &work in &works {
            table.note(work, measure(bed, work, round)?);
            if work == COLD {
                table.note(UNCHANGED, build(bed, &[])?);
                bed.workload.change(round)?;
                table.note(ONE_FILE, build(bed, &[])?);
            }
        }
        say(format!("round {} of {rounds}", round + 1));
    }
    if gigabytes > 0 {
        remove(&bed.path("store"))?;
        let large = bed.path("large");
        write_large(&large, gigabytes)?;
        table.note(LARGE, build_in(bed, &large, &[])?);
    }
    Ok(table)
}

fn measure(bed: &Bed, work: &str, round: u32) -> Result<Measured> {
    match work {
        HASH => {
            let script = "tar -C \"$1\" -cf - data | sha256sum";
            bed.measure(Program::new("sh").args(["-c", script, "sh"]).arg(bed.workload.folder()))
        }
        BUILDAH => {
            remove(&bed.path("buildah"))?;
            let name = bed.fresh_name("buildah", round)?;
            let context = bed.workload.folder().display().to_string();
            let built = bed.measure(bed.buildah(&["bud", "-q", "-t", &name, &context]))?;
            let push = bed.buildah(&["push", "-q", "--tls-verify=false", &name]);
            Ok(built.then(bed.measure(push)?))
        }
        _ => {
            remove(&bed.path("store"))?;
            let name = bed.fresh_name("boxwright", round)?;
            let push: [&str; 3] = ["--push", "-t", &name];
            build(bed, if work == PUSH { &push } else { &[] })
        }
    }
}

/// Builds with no engine, in a store of its own.
fn build(bed: &Bed, arguments: &[&str]) -> Result<Measured> {
    build_in(bed, bed.workload.folder(), arguments)
}

fn build_in(bed: &Bed, context: &Path, arguments: &[&str]) -> Result<Measured> {
    let program = bed.boxwright("store", &["build", "-q", "--engine", "embedded"]);
    bed.measure(program.args(arguments).arg(context))
}

fn write_large(folder: &Path, gigabytes: u64) -> Result<()> {
    write(&folder.join("Dockerfile"), "FROM scratch\nCOPY large /\n")?;
    let path = folder.join("large");
    let make = || fs::File::create(&path)?.set_len(gigabytes * 1_000_000_000);
    make().explain(|| format!("cannot write `{}`", path.display()))
}
