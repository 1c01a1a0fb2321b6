//! What generated Dockerfiles use and some builders refuse: `auto` builds it all, with whichever builder can.

use std::collections::BTreeMap;
use std::sync::Arc;

use boxwright_core::{
    BuildOutput, BuildRequest, CacheUse, Capability, Event, ExportRequest, Feature, PushRequest,
    Secret, Session, Support,
};

use super::RUN;
use crate::artifact::Image;
use crate::case::{Case, CaseResult, Failure};
use crate::cx::Cx;
use crate::environment::RegistryKind;
use crate::{expect, expect_eq};

pub(super) const CASES: &[Case] = &[
    Case {
        id: "auto/relative-bind-target",
        promise: "`auto` builds a bind mount with a relative target that is written to",
        needs: RUN,
        features: &[],
        run: |cx| Box::pin(relative_bind_target(cx)),
    },
    Case {
        id: "auto/mounts-and-no-command",
        promise: "`auto` builds a RUN with mounts and no command",
        needs: RUN,
        features: &[],
        run: |cx| Box::pin(mounts_and_no_command(cx)),
    },
    Case {
        id: "auto/secret-as-variable",
        promise: "`auto` hands a secret over as a variable",
        needs: RUN,
        features: &[],
        run: |cx| Box::pin(secret_as_variable(cx)),
    },
    Case {
        id: "auto/shell-stays",
        promise: "`auto` builds a here-document in the shell that SHELL names, and SHELL stays in the image",
        needs: RUN,
        features: &[],
        run: |cx| Box::pin(shell_stays(cx)),
    },
    Case {
        id: "auto/push",
        promise: "what `auto` builds can be pushed, and is in the registry under the digest that push returns",
        needs: &[Capability::Build, Capability::BuildRun, Capability::Push],
        features: &[],
        run: |cx| Box::pin(push(cx)),
    },
    Case {
        id: "auto/reproducible",
        promise: "no time of a reproducible build is in the image, and it gives the same id again",
        needs: RUN,
        features: &[],
        run: |cx| Box::pin(reproducible(cx)),
    },
];

/// Refuses where neither builder of the engine has `feature`.
fn need(cx: &Cx, feature: Feature) -> CaseResult {
    match cx.auto().native(feature) {
        Support::Unsupported { reason, remedy } => {
            Err(Failure::Refused { reason: reason.to_owned(), remedy: remedy.to_owned() })
        }
        Support::Native | Support::Emulated { .. } => Ok(()),
    }
}

/// Builds by whichever builder can. One that is not the engine's own is named by a notice.
async fn build(cx: &Cx, dockerfile: &str, session: Session) -> CaseResult<BuildOutput> {
    let mut request = cx.request(dockerfile)?;
    request.secrets = session.secrets.keys().cloned().collect();
    build_from(cx, request, session).await
}

async fn build_from(cx: &Cx, request: BuildRequest, session: Session) -> CaseResult<BuildOutput> {
    let call = |session| async move { cx.auto().build(&request, &session).await };
    let attempt = cx.record(session, call).await;
    let output = attempt.result?;
    cx.will_make(output.id.clone());
    let info = cx.auto().info();
    let is_said = attempt.log.0.iter().any(
        |event| matches!(event, Event::Notice { message } if message.contains("the build needs `")),
    );
    expect_eq!(is_said, output.builder != info.builder, "whether the notice is there");
    cx.note(format!("built with {}", output.builder));
    Ok(output)
}

async fn image(cx: &Cx, dockerfile: &str) -> CaseResult<Image> {
    let output = build(cx, dockerfile, cx.session()).await?;
    read(cx, output).await
}

async fn read(cx: &Cx, output: BuildOutput) -> CaseResult<Image> {
    let archive = cx.scratch("image.tar");
    let request = ExportRequest::new(output.id.into(), archive.clone());
    cx.auto().export(&request, &cx.session()).await?;
    cx.read_archive(&archive).await
}

async fn relative_bind_target(cx: Cx) -> CaseResult {
    need(&cx, Feature::MountBindRelative)?;
    cx.write("file", 0o644, "of the context\n")?;
    let base = cx.base()?;
    let text = format!(
        "FROM {base}\nWORKDIR /w\nRUN --mount=type=bind,source=file,target=there,rw cat there > /out && echo more >> there\n"
    );
    let image = image(&cx, &text).await?;
    expect_eq!(image.text("/out").await?, "of the context\n");
    expect!(!image.has("/w/there"), "the mount point is in the image");
    Ok(())
}

async fn mounts_and_no_command(cx: Cx) -> CaseResult {
    need(&cx, Feature::RunWithoutCommand)?;
    let text = format!(
        "FROM {}\nRUN --mount=type=cache,target=/cache\nRUN echo after > /out\n",
        cx.base()?
    );
    let image = image(&cx, &text).await?;
    expect_eq!(image.text("/out").await?, "after\n");
    Ok(())
}

async fn secret_as_variable(cx: Cx) -> CaseResult {
    need(&cx, Feature::MountSecretEnv)?;
    let mut session = cx.session();
    let secret = Secret::from("value-of-the-auto-case");
    session.secrets = Arc::new(BTreeMap::from([("-5".to_owned(), secret)]));
    let text = format!(
        "FROM {}\nRUN --mount=type=secret,id=-5,env=TOKEN test \"$TOKEN\" = 'value-of-the-'auto-case && echo seen > /out\n",
        cx.base()?
    );
    let output = build(&cx, &text, session).await?;
    let image = read(&cx, output).await?;
    expect_eq!(image.text("/out").await?, "seen\n");
    Ok(())
}

async fn shell_stays(cx: Cx) -> CaseResult {
    need(&cx, Feature::Shell)?;
    need(&cx, Feature::Heredoc)?;
    let text = format!(
        "FROM {}\nSHELL [\"/bin/sh\", \"-c\"]\nRUN <<EOF\necho one > /out\necho two >> /out\nEOF\n",
        cx.base()?
    );
    let image = image(&cx, &text).await?;
    expect_eq!(image.text("/out").await?, "one\ntwo\n");
    let [_, config] = image.documents().await?;
    let config: serde_json::Value = serde_json::from_slice(&config)
        .map_err(|error| Failure::promise(format!("the config is no JSON: {error}")))?;
    expect_eq!(config["config"]["Shell"], serde_json::json!(["/bin/sh", "-c"]));
    Ok(())
}

async fn push(cx: Cx) -> CaseResult {
    need(&cx, Feature::RunWithoutCommand)?;
    let name = cx.name_in(RegistryKind::Open)?;
    let text = format!(
        "FROM {}\nRUN --mount=type=cache,target=/cache\nRUN echo pushed > /out\n",
        cx.base()?
    );
    let output = build(&cx, &text, cx.session()).await?;
    let image = output.id.clone().into();
    cx.auto().tag(&image, &name, &cx.session()).await?;
    let pushed = cx.auto().push(&PushRequest::new(name.clone()), &cx.session()).await?;
    let there = cx.read_registry(&name).await?;
    expect_eq!(there.manifest().descriptor.digest, pushed.digest);
    expect_eq!(there.text("/out").await?, "pushed\n");
    Ok(())
}

async fn reproducible(cx: Cx) -> CaseResult {
    if let Support::Unsupported { reason, remedy } =
        cx.auto().capabilities().get(Capability::BuildReproducible)
    {
        let (reason, remedy) = ((*reason).to_owned(), (*remedy).to_owned());
        return Err(Failure::Refused { reason, remedy });
    }
    cx.write("file", 0o644, "of the context\n")?;
    let text = format!(
        "FROM {}\nWORKDIR /made\nCOPY file /copied\nRUN mkdir /steps && echo written > /steps/written\n",
        cx.base()?
    );
    let mut request = cx.request(&text)?;
    (request.reproducible, request.cache) = (true, CacheUse::Ignore);
    let first = build_from(&cx, request.clone(), cx.session()).await?;
    let second = build_from(&cx, request, cx.session()).await?;
    expect_eq!(second.id, first.id, "the id of a second build");
    let image = read(&cx, first).await?;
    for path in ["/made", "/copied", "/steps/written", "/steps"] {
        expect_eq!(image.node(path)?.modified, (0, 0), "the time of `{path}`");
    }
    expect_eq!(image.config().created.as_deref(), Some("1970-01-01T00:00:00Z"));
    Ok(())
}
