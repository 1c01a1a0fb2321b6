//! Registries that answer wrongly, or not at all.

use std::time::{Duration, Instant};

use boxwright_core::{Capability, ErrorKind, PullRequest};
use boxwright_testkit::{Answer, FakeRegistry, Moment};

use super::push::{build_as, push};
use super::{PUSH, expect_explained, expect_mentions};
use crate::case::{Case, CaseResult};
use crate::cx::Cx;
use crate::{expect, expect_error};

const PULL: &[Capability] = &[Capability::Pull];

/// How long a user waits for an answer that will not come. Engines try several times before they give up.
const PATIENCE: Duration = Duration::from_secs(100);

macro_rules! on_push {
    ($id:literal, $promise:literal, $moment:ident, $answer:expr, $($kind:ident)|+) => {
        Case {
            id: $id,
            promise: $promise,
            needs: PUSH,
            features: &[],
            run: |cx| Box::pin(async move {
                pushes_to(cx, Moment::$moment, $answer, &[$(ErrorKind::$kind),+]).await
            }),
        }
    };
}

pub(super) const CASES: &[Case] = &[
    on_push!(
        "faults/push-401",
        "a registry that goes on asking for credentials is an error of credentials",
        BlobUpload,
        Answer::Status(401),
        Unauthorized
    ),
    on_push!(
        "faults/push-403",
        "a registry that forbids the repository is an error of credentials",
        BlobUpload,
        Answer::Status(403),
        Unauthorized
    ),
    on_push!(
        "faults/push-404",
        "a registry that has no place for the repository is an error that says so",
        BlobUpload,
        Answer::Status(404),
        NotFound
    ),
    on_push!(
        "faults/push-413",
        "a layer that is too large for the registry is an error that says so",
        BlobUpload,
        Answer::Proxy(413, "Request Entity Too Large"),
        Exhausted
    ),
    on_push!(
        "faults/push-429",
        "a registry that has had too many requests is an error that says so",
        BlobUpload,
        Answer::ComeBack(429, 1),
        Exhausted | Unavailable
    ),
    on_push!(
        "faults/push-500",
        "a registry that fails by itself is an error that says so",
        BlobUpload,
        Answer::Status(500),
        Unavailable | Protocol
    ),
    on_push!(
        "faults/push-cut",
        "a registry that hangs up in mid-upload is an error that says so",
        BlobUpload,
        Answer::Cut(64),
        Unavailable | Protocol
    ),
    on_push!(
        "faults/push-manifest-refused",
        "a registry that takes the layers and refuses the manifest is an error that says so",
        ManifestWrite,
        Answer::Status(403),
        Unauthorized
    ),
    Case {
        id: "faults/pull-html",
        promise: "a page of HTML instead of a manifest is an error that says so",
        needs: PULL,
        features: &[],
        run: |cx| Box::pin(pulls_from(cx, Moment::Anything, Answer::Html)),
    },
    Case {
        id: "faults/pull-500",
        promise: "a registry that fails by itself while it is pulled from is an error that says so",
        needs: PULL,
        features: &[],
        run: |cx| Box::pin(pulls_from(cx, Moment::ManifestRead, Answer::Status(500))),
    },
    Case {
        id: "faults/pull-cut",
        promise: "a registry that hangs up while it is pulled from is an error that says so",
        needs: PULL,
        features: &[],
        run: |cx| Box::pin(pulls_from(cx, Moment::ManifestRead, Answer::Cut(0))),
    },
];

async fn pushes_to(cx: Cx, moment: Moment, answer: Answer, kinds: &[ErrorKind]) -> CaseResult {
    let registry = FakeRegistry::faulty(moment, answer).await?;
    let remote = cx.new_name(&registry.host())?;
    build_as(&cx, &remote, "fault").await?;
    let start = Instant::now();
    let result = push(&cx, &remote, cx.session()).await.result;
    expect!(start.elapsed() < PATIENCE, "it took {} seconds", start.elapsed().as_secs());
    let Err(error) = result else {
        return Err(crate::Failure::promise("the push should fail, and succeeds"));
    };
    let is_right = kinds.contains(&error.kind());
    let found = crate::Failure::from(error);
    expect!(is_right, "the error should be of kind {kinds:?}, and is: {found}");
    let crate::Failure::Engine(error) = found else { return Ok(()) };
    expect_mentions(&error, &registry.host())?;
    expect_explained(&error)?;
    let tag = remote.tag().unwrap_or_default();
    let there = registry.manifest(remote.repository(), tag);
    expect!(there.is_none(), "the registry has the image all the same");
    Ok(())
}

async fn pulls_from(cx: Cx, moment: Moment, answer: Answer) -> CaseResult {
    let registry = FakeRegistry::faulty(moment, answer).await?;
    let remote = cx.new_name(&registry.host())?;
    let request = PullRequest::new(remote.clone());
    let start = Instant::now();
    let error = expect_error!(
        cx.engine().pull(&request, &cx.session()).await,
        ErrorKind::Unavailable | ErrorKind::Protocol
    );
    expect!(start.elapsed() < PATIENCE, "it took {} seconds", start.elapsed().as_secs());
    expect_mentions(&error, &registry.host())?;
    expect_explained(&error)?;
    cx.expect_absent(&[remote]).await
}
