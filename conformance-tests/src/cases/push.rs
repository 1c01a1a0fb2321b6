//! Push: to registries that work as they should.

use boxwright_core::{
    Anonymous, Capability, ErrorKind, ImageRef, PushOutput, PushRequest, Session,
};
use std::sync::Arc;

use super::{PUSH, expect_explained, expect_mentions};
use crate::case::{Case, CaseResult, Failure};
use crate::cx::Cx;
use crate::environment::RegistryKind;
use crate::{expect, expect_eq, expect_error};

pub(super) const CASES: &[Case] = &[
    Case {
        id: "push/new",
        promise: "an image that is pushed is in the registry as it was built, under the digest that push returns",
        needs: PUSH,
        features: &[],
        run: |cx| Box::pin(new(cx)),
    },
    Case {
        id: "push/again",
        promise: "a second push of the same image gives the same digest",
        needs: PUSH,
        features: &[],
        run: |cx| Box::pin(again(cx)),
    },
    Case {
        id: "push/replaces",
        promise: "a push of another image under the same name replaces it",
        needs: PUSH,
        features: &[],
        run: |cx| Box::pin(replaces(cx)),
    },
    Case {
        id: "push/progress",
        promise: "a push reports that it moves something",
        needs: PUSH,
        features: &[],
        run: |cx| Box::pin(progress(cx)),
    },
    Case {
        id: "push/with-password",
        promise: "a push to a registry that asks for a password uses the session's credentials",
        needs: PUSH,
        features: &[],
        run: |cx| Box::pin(to(cx, RegistryKind::Auth)),
    },
    Case {
        id: "push/with-token",
        promise: "a push to a registry with a token server uses the session's credentials",
        needs: PUSH,
        features: &[],
        run: |cx| Box::pin(to(cx, RegistryKind::Token)),
    },
    Case {
        id: "push/own-authority",
        promise: "a push over TLS trusts the authority that the user's settings name",
        needs: PUSH,
        features: &[],
        run: |cx| Box::pin(to(cx, RegistryKind::Tls)),
    },
    Case {
        id: "push/wrong-password",
        promise: "a wrong password is an error that names the registry and what to do",
        needs: PUSH,
        features: &[],
        run: |cx| Box::pin(refused(cx, RegistryKind::Auth, Shown::WrongPassword)),
    },
    Case {
        id: "push/wrong-password-for-a-token",
        promise: "a token server that refuses the password is an error that names the registry",
        needs: PUSH,
        features: &[],
        run: |cx| Box::pin(refused(cx, RegistryKind::Token, Shown::WrongPassword)),
    },
    Case {
        id: "push/no-password",
        promise: "a registry that asks for a password where there is none is an error that says how to log in",
        needs: PUSH,
        features: &[],
        run: |cx| Box::pin(refused(cx, RegistryKind::Auth, Shown::Nothing)),
    },
    Case {
        id: "push/unreachable",
        promise: "a registry that does not answer is an error that names it, within the time a user waits",
        needs: PUSH,
        features: &[],
        run: |cx| Box::pin(unreachable(cx)),
    },
    Case {
        id: "push/no-such-image",
        promise: "a push of what is not there says that it is not there",
        needs: &[Capability::Push],
        features: &[],
        run: |cx| Box::pin(no_such_image(cx)),
    },
];

/// Builds a small image of its own under the name `remote`.
pub(super) async fn build_as(cx: &Cx, remote: &ImageRef, value: &str) -> CaseResult {
    cx.write("file", 0o640, value)?;
    let name = cx.words();
    let text = format!("FROM scratch\nCOPY file /file\nLABEL name={name} value={value}\n");
    let mut request = cx.request(&text)?;
    request.tags = vec![remote.clone()];
    cx.attempt(&request).await.result?;
    Ok(())
}

pub(super) async fn push(
    cx: &Cx,
    remote: &ImageRef,
    session: Session,
) -> crate::cx::Attempt<PushOutput> {
    let request = &PushRequest::new(remote.clone());
    let call = |session| async move { cx.engine().push(request, &session).await };
    cx.record(session, call).await
}

async fn new(cx: Cx) -> CaseResult {
    to(cx, RegistryKind::Open).await
}

async fn to(cx: Cx, kind: RegistryKind) -> CaseResult {
    let remote = cx.name_in(kind)?;
    build_as(&cx, &remote, "pushed").await?;
    // A setting that a daemon cannot keep to makes the transfer direct, or is refused; it is never ignored.
    let pushed = push(&cx, &remote, cx.session()).await.result.map_err(Failure::refused)?;
    expect_eq!(pushed.image.name(), remote.name());
    let image = cx.read_registry(&remote).await?;
    expect_eq!(image.manifest().descriptor.digest, pushed.digest, "the digest in the registry");
    expect_eq!(image.text("/file").await?, "pushed");
    expect_eq!(image.file("/file")?.mode, 0o640);
    expect_eq!(image.label("value"), Some("pushed"));
    Ok(())
}

async fn again(cx: Cx) -> CaseResult {
    let remote = cx.name_in(RegistryKind::Open)?;
    build_as(&cx, &remote, "twice").await?;
    let first = push(&cx, &remote, cx.session()).await.result?;
    let second = push(&cx, &remote, cx.session()).await.result?;
    expect_eq!(second.digest, first.digest);
    Ok(())
}

async fn replaces(cx: Cx) -> CaseResult {
    let remote = cx.name_in(RegistryKind::Open)?;
    for value in ["first", "second"] {
        build_as(&cx, &remote, value).await?;
        push(&cx, &remote, cx.session()).await.result?;
        expect_eq!(cx.read_registry(&remote).await?.text("/file").await?, value);
    }
    Ok(())
}

async fn progress(cx: Cx) -> CaseResult {
    let remote = cx.name_in(RegistryKind::Open)?;
    build_as(&cx, &remote, "progress").await?;
    let attempt = push(&cx, &remote, cx.session()).await;
    attempt.result?;
    let transfers = attempt.log.0.iter();
    let count =
        transfers.filter(|event| matches!(event, boxwright_core::Event::Transfer { .. })).count();
    expect!(count > 0, "nothing was reported");
    Ok(())
}

enum Shown {
    WrongPassword,
    Nothing,
}

async fn refused(cx: Cx, kind: RegistryKind, shown: Shown) -> CaseResult {
    let remote = cx.name_in(kind)?;
    build_as(&cx, &remote, "refused").await?;
    let mut session = cx.session();
    session.credentials = match shown {
        Shown::WrongPassword => cx.environment().wrong_credentials(),
        Shown::Nothing => Arc::new(Anonymous),
    };
    let error = expect_error!(push(&cx, &remote, session).await.result, ErrorKind::Unauthorized);
    expect_mentions(&error, remote.registry())?;
    expect!(error.remedy().is_some(), "it does not say what to do: {error:?}");
    let said = format!("{error:?}");
    expect!(!said.contains("not-the-password"), "the password is in the error");
    let client = boxwright_registry::Client::new(
        cx.host(),
        cx.session().registries,
        cx.environment().credentials(),
    );
    let there = client.exists(&remote).await;
    expect_eq!(there, boxwright_registry::Existence::No, "what the registry has");
    Ok(())
}

async fn unreachable(cx: Cx) -> CaseResult {
    let closed = super::failures::closed_port()?;
    let host = &closed.host;
    let remote = cx.new_name(host)?;
    build_as(&cx, &remote, "unreachable").await?;
    let error =
        expect_error!(push(&cx, &remote, cx.session()).await.result, ErrorKind::Unavailable);
    expect_mentions(&error, host)?;
    expect_explained(&error)
}

async fn no_such_image(cx: Cx) -> CaseResult {
    let remote = cx.name_in(RegistryKind::Open)?;
    let error = expect_error!(push(&cx, &remote, cx.session()).await.result, ErrorKind::NotFound);
    expect_mentions(&error, remote.repository())
}
