//! Pull: images from a registry into the engine.

use boxwright_core::{Anonymous, Capability, ErrorKind, PullRequest, RemoveRequest};
use std::sync::Arc;

use super::push::{build_as, push};
use super::{expect_explained, expect_mentions};
use crate::case::{Case, CaseResult, Failure};
use crate::cx::Cx;
use crate::environment::RegistryKind;
use crate::{expect, expect_eq, expect_error};

const BOTH: &[Capability] = &[
    Capability::Build,
    Capability::Push,
    Capability::Pull,
    Capability::Remove,
    Capability::Export,
];

pub(super) const CASES: &[Case] = &[
    Case {
        id: "pull/by-tag",
        promise: "an image that is pulled by tag has the id, the config and the files it was pushed with",
        needs: BOTH,
        features: &[],
        run: |cx| Box::pin(by_tag(cx, RegistryKind::Open)),
    },
    Case {
        id: "pull/by-digest",
        promise: "an image is pulled by the digest of its manifest",
        needs: BOTH,
        features: &[],
        run: |cx| Box::pin(by_digest(cx)),
    },
    Case {
        id: "pull/with-password",
        promise: "a pull from a registry that asks for a password uses the session's credentials",
        needs: BOTH,
        features: &[],
        run: |cx| Box::pin(by_tag(cx, RegistryKind::Auth)),
    },
    Case {
        id: "pull/with-token",
        promise: "a pull from a registry with a token server uses the session's credentials",
        needs: BOTH,
        features: &[],
        run: |cx| Box::pin(by_tag(cx, RegistryKind::Token)),
    },
    Case {
        id: "pull/own-authority",
        promise: "a pull over TLS trusts the authority that the user's settings name",
        needs: BOTH,
        features: &[],
        run: |cx| Box::pin(by_tag(cx, RegistryKind::Tls)),
    },
    Case {
        id: "pull/base-with-password",
        promise: "a base image in a registry that asks for a password is pulled with the session's credentials",
        needs: BOTH,
        features: &[],
        run: |cx| Box::pin(base_with_password(cx)),
    },
    Case {
        id: "pull/missing",
        promise: "an image that the registry has not is an error that names it",
        needs: &[Capability::Pull],
        features: &[],
        run: |cx| Box::pin(missing(cx)),
    },
    Case {
        id: "pull/no-password",
        promise: "a registry that asks for a password where there is none is an error that says how to log in",
        needs: &[Capability::Pull],
        features: &[],
        run: |cx| Box::pin(no_password(cx)),
    },
    Case {
        id: "pull/unreachable",
        promise: "a registry that does not answer is an error that names it",
        needs: &[Capability::Pull],
        features: &[],
        run: |cx| Box::pin(unreachable(cx)),
    },
];

/// Pushes an image and removes it here; returns its name and its digests.
async fn pushed(
    cx: &Cx,
    kind: RegistryKind,
) -> CaseResult<(boxwright_core::ImageRef, boxwright_core::Digest, boxwright_core::Digest)> {
    let remote = cx.name_in(kind)?;
    build_as(cx, &remote, "pulled").await?;
    let id = cx.read(remote.clone()).await?.manifest().config.digest.clone();
    let pushed = push(cx, &remote, cx.session()).await.result.map_err(Failure::refused)?;
    let digest = pushed.digest;
    cx.engine().remove(&RemoveRequest::new(remote.clone().into()), &cx.session()).await?;
    cx.expect_absent(std::slice::from_ref(&remote)).await?;
    Ok((remote, id, digest))
}

async fn by_tag(cx: Cx, kind: RegistryKind) -> CaseResult {
    let (remote, id, _) = pushed(&cx, kind).await?;
    let pulled = cx.engine().pull(&PullRequest::new(remote.clone()), &cx.session()).await;
    let pulled = pulled.map_err(Failure::refused)?;
    cx.will_make(pulled.id.clone());
    expect_eq!(pulled.id, id);
    let image = cx.read(remote).await?;
    expect_eq!(image.manifest().config.digest, id);
    expect_eq!(image.text("/file").await?, "pulled");
    Ok(())
}

async fn by_digest(cx: Cx) -> CaseResult {
    let (remote, id, digest) = pushed(&cx, RegistryKind::Open).await?;
    let by_digest = remote.at_digest(digest.clone());
    let pulled = cx.engine().pull(&PullRequest::new(by_digest), &cx.session()).await?;
    cx.will_make(pulled.id.clone());
    expect_eq!(pulled.id, id);
    expect!(pulled.digest.is_none_or(|pulled| pulled == digest), "the digest is another");
    Ok(())
}

async fn base_with_password(cx: Cx) -> CaseResult {
    let (remote, _, _) = pushed(&cx, RegistryKind::Auth).await?;
    let image = cx.build(&format!("FROM {remote}\nLABEL own=yes\n")).await?;
    expect_eq!((image.label("value"), image.label("own")), (Some("pulled"), Some("yes")));
    Ok(())
}

async fn missing(cx: Cx) -> CaseResult {
    let remote = cx.name_in(RegistryKind::Open)?;
    let pulled = cx.engine().pull(&PullRequest::new(remote.clone()), &cx.session()).await;
    let error = expect_error!(pulled, ErrorKind::NotFound);
    expect_mentions(&error, remote.repository())?;
    expect_explained(&error)
}

async fn no_password(cx: Cx) -> CaseResult {
    let remote = cx.name_in(RegistryKind::Auth)?;
    let mut session = cx.session();
    session.credentials = Arc::new(Anonymous);
    let pulled = cx.engine().pull(&PullRequest::new(remote.clone()), &session).await;
    let error = expect_error!(pulled, ErrorKind::Unauthorized);
    expect_mentions(&error, remote.registry())?;
    expect!(error.remedy().is_some(), "it does not say what to do: {error:?}");
    Ok(())
}

async fn unreachable(cx: Cx) -> CaseResult {
    let closed = super::failures::closed_port()?;
    let host = &closed.host;
    let pulled = cx.engine().pull(&PullRequest::new(cx.new_name(host)?), &cx.session()).await;
    let error = expect_error!(pulled, ErrorKind::Unavailable);
    expect_mentions(&error, host)?;
    expect_explained(&error)
}
