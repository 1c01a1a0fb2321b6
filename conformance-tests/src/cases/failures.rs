//! Builds that fail: with which error, and with nothing left behind.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use boxwright_core::{ErrorKind, PullPolicy};

use super::{BUILD_ONLY, RUN_ONLY, expect_explained, expect_mentions};
use crate::case::{Case, CaseResult};
use crate::cx::Cx;
use crate::environment::RegistryKind;
use crate::{expect, expect_error};

pub(super) const CASES: &[Case] = &[
    Case {
        id: "failures/unknown-instruction",
        promise: "an unknown instruction is an error of the Dockerfile that names it",
        needs: BUILD_ONLY,
        features: &[],
        run: |cx| Box::pin(unknown_instruction(cx)),
    },
    Case {
        id: "failures/instruction-before-from",
        promise: "an instruction before FROM is an error of the Dockerfile",
        needs: BUILD_ONLY,
        features: &[],
        run: |cx| Box::pin(instruction_before_from(cx)),
    },
    Case {
        id: "failures/missing-base",
        promise: "a base image that its registry has not is an error that names it",
        needs: BUILD_ONLY,
        features: &[],
        run: |cx| Box::pin(missing_base(cx)),
    },
    Case {
        id: "failures/base-never-pulled",
        promise: "with pull policy `never` a base image that is not here is an error, and nobody is asked",
        needs: BUILD_ONLY,
        features: &[],
        run: |cx| Box::pin(base_never_pulled(cx)),
    },
    Case {
        id: "failures/unreachable-registry",
        promise: "a base image in a registry that does not answer is an error that names the registry",
        needs: BUILD_ONLY,
        features: &[],
        run: |cx| Box::pin(unreachable_registry(cx)),
    },
    Case {
        id: "failures/keeps-the-old-image",
        promise: "a build that fails leaves its tag at the image that had it",
        needs: super::BUILD,
        features: &[],
        run: |cx| Box::pin(keeps_the_old_image(cx)),
    },
    Case {
        id: "failures/steps-end",
        promise: "every step that began also ends, in a build that fails too",
        needs: RUN_ONLY,
        features: &[],
        run: |cx| Box::pin(steps_end(cx)),
    },
];

async fn unknown_instruction(cx: Cx) -> CaseResult {
    cx.write("file", 0o644, "x")?;
    let error = cx.build_error("FROM scratch\nCOPPY file /x\n").await?;
    let is_right = error.kind() == ErrorKind::InvalidDockerfile;
    expect!(is_right, "the error is of kind {}: {error}", error.kind());
    expect_mentions(&error, "COPPY")
}

async fn instruction_before_from(cx: Cx) -> CaseResult {
    let error = cx.build_error("RUN true\nFROM scratch\n").await?;
    let is_right = error.kind() == ErrorKind::InvalidDockerfile;
    expect!(is_right, "the error is of kind {}: {error}", error.kind());
    expect_explained(&error)
}

async fn missing_base(cx: Cx) -> CaseResult {
    let missing = cx.name_in(RegistryKind::Open)?;
    let error = cx.build_error(&format!("FROM {missing}\nLABEL a=1\n")).await?;
    let is_right = matches!(error.kind(), ErrorKind::NotFound);
    expect!(is_right, "the error is of kind {}: {error}", error.kind());
    expect_mentions(&error, missing.repository())
}

async fn base_never_pulled(cx: Cx) -> CaseResult {
    let registry = boxwright_testkit::FakeRegistry::open().await?;
    let missing = cx.new_name(&registry.host())?;
    let mut request = cx.request(&format!("FROM {missing}\nLABEL a=1\n"))?;
    request.pull = PullPolicy::Never;
    let attempt = cx.attempt(&request).await;
    expect_error!(attempt.result, ErrorKind::NotFound | ErrorKind::Unsupported);
    let requests = registry.requests();
    expect!(requests.is_empty(), "the registry was asked: {requests:?}");
    cx.expect_absent(&request.tags).await
}

async fn unreachable_registry(cx: Cx) -> CaseResult {
    let closed = closed_port()?;
    let host = &closed.host;
    let missing = cx.new_name(host)?;
    let error = cx.build_error(&format!("FROM {missing}\nLABEL a=1\n")).await?;
    let is_right = error.kind() == ErrorKind::Unavailable;
    expect!(is_right, "the error is of kind {}: {error}", error.kind());
    expect_mentions(&error, host)?;
    expect_explained(&error)
}

/// A loopback address where nobody listens, as long as this lives.
pub(super) struct ClosedPort {
    pub(super) host: String,
    _held: OwnedFd,
}

/// Takes a port and does not listen: who connects is refused, and nobody else is given the port meanwhile.
pub(super) fn closed_port() -> std::io::Result<ClosedPort> {
    use rustix::net::{AddressFamily, SocketType, bind, getsockname, socket};
    let held = socket(AddressFamily::INET, SocketType::STREAM, None)?;
    bind(&held, &SocketAddr::from(([127, 0, 0, 1], 0)))?;
    let address = SocketAddr::try_from(getsockname(&held)?)?;
    Ok(ClosedPort { host: format!("localhost:{}", address.port()), _held: held })
}

async fn keeps_the_old_image(cx: Cx) -> CaseResult {
    let request = cx.request("FROM scratch\nWORKDIR /w\nLABEL a=old\n")?;
    let old = cx.attempt(&request).await.result?;
    cx.write("Dockerfile", 0o644, "FROM scratch\nWORKDIR /w\nLABEL a=new\nCOPY not-here /x\n")?;
    let attempt = cx.attempt(&request).await;
    expect!(attempt.result.is_err(), "the second build should fail");
    let image = cx.read(request.tags[0].clone()).await?;
    crate::expect_eq!(image.manifest().config.digest, old.id);
    Ok(())
}

async fn steps_end(cx: Cx) -> CaseResult {
    let request =
        cx.request(&format!("FROM {}\nRUN echo 1\nRUN exit 3\nRUN echo 2\n", cx.base()?))?;
    let attempt = cx.attempt(&request).await;
    expect_error!(attempt.result, ErrorKind::BuildFailed);
    let unfinished = attempt.log.unfinished();
    expect!(unfinished.is_empty(), "these steps never ended: {unfinished:?}");
    Ok(())
}
