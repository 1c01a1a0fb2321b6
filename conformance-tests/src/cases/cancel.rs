//! Cancelling: what runs is ended, and nothing is left behind.

use std::path::Path;
use std::time::{Duration, Instant};

use boxwright_core::{Capability, ErrorKind, RunRequest};

use super::{BUILD_ONLY, RUN_ONLY};
use crate::case::{Case, CaseResult, Failure};
use crate::cx::Cx;
use crate::log::Recorder;
use crate::{expect, expect_error};

pub(super) const CASES: &[Case] = &[
    Case {
        id: "cancel/build",
        promise: "a build that is cancelled during a step ends soon, tags nothing, and leaves no process",
        needs: RUN_ONLY,
        features: &[],
        run: |cx| Box::pin(build(cx)),
    },
    Case {
        id: "cancel/run",
        promise: "a command that is cancelled ends soon and leaves no process",
        needs: &[Capability::Build, Capability::Run],
        features: &[],
        run: |cx| Box::pin(run(cx)),
    },
    Case {
        id: "cancel/before-the-start",
        promise: "a call whose token fired before does nothing",
        needs: BUILD_ONLY,
        features: &[],
        run: |cx| Box::pin(before_the_start(cx)),
    },
];

/// How soon a cancelled call must be over.
const SOON: Duration = Duration::from_secs(20);

/// A number of seconds that no other process sleeps.
fn marker(cx: &Cx) -> CaseResult<String> {
    let digest = boxwright_image::manifest::digest_of(cx.name()?.to_string().as_bytes());
    let number = u32::from_str_radix(&digest.hex()[..6], 16)
        .map_err(|error| Failure::harness(error.to_string()))?;
    Ok((40_000_000 + number).to_string())
}

async fn build(cx: Cx) -> CaseResult {
    let marker = marker(&cx)?;
    // The words are put together by the step, so that they are not those of the command itself.
    let text = format!("FROM {}\nRUN printf 'now-%s\\n' sleeping && sleep {marker}\n", cx.base()?);
    let request = cx.request(&text)?;
    let (recorder, mut session) = (Recorder::start(), cx.session());
    session.events = recorder.sink();
    let token = session.cancel.clone();
    let cancels = async {
        recorder.wait_for(|log| log.step_output().contains("now-sleeping")).await;
        token.cancel();
        Instant::now()
    };
    let (result, cancelled) = tokio::join!(cx.engine().build(&request, &session), cancels);
    let took = cancelled.elapsed();
    expect_error!(result, ErrorKind::Cancelled);
    expect!(took < SOON, "it took {} seconds to end", took.as_secs());
    cx.expect_absent(&request.tags).await?;
    no_process(&cx, &marker).await
}

async fn run(cx: Cx) -> CaseResult {
    let marker = marker(&cx)?;
    let request = cx.request(&format!("FROM {}\nLABEL a=cancel\n", cx.base()?))?;
    let image = cx.attempt(&request).await.result?.id;
    let mut request = RunRequest::new(image.into());
    let script = format!("printf 'now-%s\\n' sleeping && sleep {marker}");
    request.arguments = vec!["/bin/sh".to_owned(), "-c".to_owned(), script];
    let (recorder, mut session) = (Recorder::start(), cx.session());
    session.events = recorder.sink();
    let token = session.cancel.clone();
    let cancels = async {
        let is_there = |log: &crate::Log| {
            log.output(boxwright_core::OutputStream::Stdout).contains("now-sleeping")
        };
        recorder.wait_for(is_there).await;
        token.cancel();
        Instant::now()
    };
    let (result, cancelled) = tokio::join!(cx.engine().run(&request, &session), cancels);
    let took = cancelled.elapsed();
    expect_error!(result, ErrorKind::Cancelled);
    expect!(took < SOON, "it took {} seconds to end", took.as_secs());
    no_process(&cx, &marker).await
}

/// Fails if a process with `marker` among its arguments is still there. Kernels take a moment to end one,
/// so it is looked for again until the time is up.
async fn no_process(cx: &Cx, marker: &str) -> CaseResult {
    if !cx.is_local() {
        return Ok(());
    }
    let start = Instant::now();
    let mut ticks = tokio::time::interval(Duration::from_millis(100));
    loop {
        ticks.tick().await;
        match process_with(marker)? {
            None => return Ok(()),
            Some(left) if start.elapsed() > Duration::from_secs(5) => {
                return Err(Failure::promise(format!("the process {left} is still there")));
            }
            Some(_) => {}
        }
    }
}

fn process_with(marker: &str) -> std::io::Result<Option<String>> {
    for entry in std::fs::read_dir(Path::new("/proc"))? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_process = name.bytes().all(|byte| byte.is_ascii_digit());
        // A process that ends meanwhile is what is hoped for.
        let arguments = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let arguments = String::from_utf8_lossy(&arguments).replace('\0', " ");
        if is_process && arguments.contains(&format!("sleep {marker}")) {
            return Ok(Some(format!("{name} ({})", arguments.trim())));
        }
    }
    Ok(None)
}

async fn before_the_start(cx: Cx) -> CaseResult {
    let request = cx.request("FROM scratch\nLABEL a=1\n")?;
    let session = cx.session();
    session.cancel.cancel();
    expect_error!(cx.attempt_in(&request, session).await.result, ErrorKind::Cancelled);
    cx.expect_absent(&request.tags).await
}
