//! Whether commands for another processor can be run: found out by running one, before anything is built.

use std::collections::BTreeMap;

use boxwright_core::{
    Error, ErrorKind, EventSink, LayerRef, NetworkMode, Platform, Result, Session, Step, StepId,
    StepRunner,
};
use boxwright_dockerfile::plan::Plan;
use boxwright_image::manifest::media_type::OCI_LAYER;
use boxwright_image::tar::{Header, Kind, Writer};

use crate::probe;
use crate::store::Store;

/// Where the program is that is tried.
const PROGRAM: &str = "probe";

/// Fails if a plan runs a command for a platform whose programs `runner` cannot run. Only commands of the Dockerfile
/// itself are known now; what a base triggers fails when it runs.
///
/// A stage that starts from `--platform=$BUILDPLATFORM` runs here, whatever the image is for.
pub(crate) async fn check(
    plans: &[Plan],
    runner: Option<&dyn StepRunner>,
    store: &Store,
    session: &Session,
) -> Result<()> {
    // Without one, the first `RUN` says so.
    let Some(runner) = runner else { return Ok(()) };
    let here = Platform::of_this_machine();
    let mut wanted: BTreeMap<&Platform, &str> = BTreeMap::new();
    for plan in plans {
        for stage in plan.needed() {
            let platform = plan.platform_of(stage);
            let is_here =
                platform.os() == here.os() && platform.architecture() == here.architecture();
            if !is_here && let Some(command) = plan.first_command(stage.id) {
                wanted.entry(platform).or_insert(command);
            }
        }
    }
    for (platform, command) in wanted {
        if !runs(platform, runner, store, session).await? {
            return Err(refusal(platform, &here, command));
        }
    }
    Ok(())
}

/// Runs a program that does nothing but end. It is in a root file system of its own, as the programs of a step are: an
/// emulator that only the host's file system has does not help there.
async fn runs(
    platform: &Platform,
    runner: &dyn StepRunner,
    store: &Store,
    session: &Session,
) -> Result<bool> {
    if platform.os() != "linux" {
        return Ok(false);
    }
    // For a processor that is not known here, the command itself shows it.
    let Some(program) = probe::program(platform.architecture()) else { return Ok(true) };
    let layer = layer(&program).map_err(|error| {
        Error::new(ErrorKind::Bug, "cannot write a program to try").with_source(error)
    })?;
    let layer = store.layout().put(&layer, OCI_LAYER).await?;
    let mut step = Step::new(StepId(0), vec![format!("/{PROGRAM}")]);
    step.rootfs = vec![LayerRef { diff_id: layer.digest.clone(), blob: layer.digest }];
    step.network = NetworkMode::None;
    // What it says of itself is no news of the build.
    let quiet = session.clone().with_events(EventSink::discard());
    let outcome = runner.run(&step, store.layout(), &quiet).await?;
    Ok(outcome.exit_code == 0)
}

fn layer(program: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut writer = Writer::new(Vec::new());
    let kind = Kind::File { size: program.len() as u64 };
    writer.file(&Header::new(PROGRAM, kind, 0o755), &mut &program[..])?;
    writer.finish()
}

fn refusal(platform: &Platform, here: &Platform, command: &str) -> Error {
    let line = command.lines().next().unwrap_or_default();
    Error::new(ErrorKind::Unsupported, format!("cannot run commands for `{platform}`"))
        .with_cause(format!(
            "steps run on a machine for `{here}`, whose kernel was given no emulator for `{}`",
            platform.architecture()
        ))
        .with_remedy(format!(
            "install `qemu-user-static` and `binfmt-support` there, build on a machine for `{platform}`, or have the \
             step in a stage with `FROM --platform=$BUILDPLATFORM`"
        ))
        .with_context("step", line)
}
