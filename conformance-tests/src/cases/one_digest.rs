//! One digest: what is built portably has the same manifest digest on every engine.

use boxwright_core::{CacheUse, Capability, Digest, Engine, ImageRef, PushRequest, RemoveRequest};

use crate::artifact::Image;
use crate::case::{Case, CaseResult, Failure};
use crate::cx::Cx;
use crate::environment::RegistryKind;
use crate::{expect, expect_eq};

const FILES: &[Capability] = &[Capability::Build, Capability::Push];
const STEPS: &[Capability] = &[Capability::Build, Capability::BuildRun, Capability::Push];

pub(super) const CASES: &[Case] = &[
    Case {
        id: "one-digest/files",
        promise: "files, links, modes and owners of COPY, ADD and WORKDIR give one digest on every engine",
        needs: FILES,
        features: &[],
        run: |cx| Box::pin(files(cx)),
    },
    Case {
        id: "one-digest/steps",
        promise: "what steps write, change and remove gives one digest on every engine",
        needs: STEPS,
        features: &[],
        run: |cx| Box::pin(steps(cx)),
    },
    Case {
        id: "one-digest/stages",
        promise: "stages, mounts and users give one digest on every engine",
        needs: STEPS,
        features: &[],
        run: |cx| Box::pin(stages(cx)),
    },
    Case {
        id: "one-digest/docker-schema",
        promise: "an image that needs Docker's schema has one digest on every engine",
        needs: STEPS,
        features: &[],
        run: |cx| Box::pin(docker_schema(cx)),
    },
    Case {
        id: "one-digest/names-what-differs",
        promise: "a step that is not deterministic gives another digest, and the file that differs is named",
        needs: STEPS,
        features: &[],
        run: |cx| Box::pin(names_what_differs(cx)),
    },
];

/// Seconds since 1970, as `SOURCE_DATE_EPOCH` has them.
const EPOCH: &str = "1700000000";

/// Builds `dockerfile` on `engine` with every step run again, pushes it, and returns the digest in the registry.
async fn pushed(
    cx: &Cx,
    engine: &dyn Engine,
    dockerfile: &str,
    cache: CacheUse,
) -> CaseResult<(Digest, ImageRef)> {
    let name = cx.name_in(RegistryKind::Open)?;
    let mut request = cx.request(dockerfile)?;
    // Nothing that another column or engine would say otherwise.
    request.labels.clear();
    request.tags = vec![name.clone()];
    request.build_args.insert("SOURCE_DATE_EPOCH".to_owned(), EPOCH.to_owned());
    request.cache = cache;
    let call = |session| async move { engine.build(&request, &session).await };
    cx.record(cx.session(), call).await.result?;
    let digest = engine.push(&PushRequest::new(name.clone()), &cx.session()).await?.digest;
    Ok((digest, name))
}

fn reference(cx: &Cx) -> CaseResult<&dyn Engine> {
    cx.reference().ok_or_else(|| Failure::Refused {
        reason: "one digest is promised for the portable builder".to_owned(),
        remedy: "build with `--builder portable`".to_owned(),
    })
}

/// Builds on the engine, cold and cached, and on the one that it is compared with.
async fn same(cx: &Cx, dockerfile: &str) -> CaseResult {
    let reference = reference(cx)?;
    let (cold, own) = pushed(cx, cx.engine(), dockerfile, CacheUse::Ignore).await?;
    let (cached, _) = pushed(cx, cx.engine(), dockerfile, CacheUse::Use).await?;
    expect_eq!(cached, cold, "a cached build against a cold one");
    let (wanted, theirs) = pushed(cx, reference, dockerfile, CacheUse::Ignore).await?;
    // What is left on its own engine goes when all cases are done: a removal is in the way of builds beside it.
    let image = theirs.clone().into();
    reference.remove(&RemoveRequest::new(image), &cx.session()).await?;
    cx.note(cold.as_str());
    if cold != wanted {
        let (own, theirs) = (cx.read_registry(&own).await?, cx.read_registry(&theirs).await?);
        let what = difference(&own, &theirs).await?;
        return Err(Failure::promise(format!("the digest is {cold} and not {wanted}: {what}")));
    }
    Ok(())
}

/// Says what differs first between two images.
async fn difference(one: &Image, other: &Image) -> CaseResult<String> {
    let first = |one: &str, other: &str| {
        let differs = one.lines().zip(other.lines()).find(|(one, other)| one != other);
        differs.map(|(one, other)| format!("`{one}` against `{other}`"))
    };
    if let Some(file) = first(&one.file_list(), &other.file_list()) {
        return Ok(format!("the files: {file}"));
    }
    let mut contents = one.all_bytes().await?.into_iter().zip(other.all_bytes().await?);
    if let Some(((name, _), _)) = contents.find(|(one, other)| one != other) {
        return Ok(format!("the bytes of `{name}`"));
    }
    Ok("nothing that is seen in files: the config, or how layers are written".to_owned())
}

async fn files(cx: Cx) -> CaseResult {
    cx.write("a/tool", 0o755, "#!/bin/sh\n")?;
    cx.write("a/.hidden", 0o600, "x")?;
    cx.folder("a/empty", 0o711)?;
    cx.symlink("tool", "a/link")?;
    same(
        &cx,
        "FROM scratch\nWORKDIR /deep/er\nCOPY a /a/\nCOPY --chown=5:6 --chmod=640 a/tool /owned\nADD a/tool ./\nENV A=b\nLABEL c=d\nCMD [\"/a/tool\"]\n",
    )
    .await
}

async fn steps(cx: Cx) -> CaseResult {
    let text = format!(
        "FROM {}\nRUN mkdir -p /d/full && echo a > /d/a && echo b > /d/full/b && ln -s a /d/link && chmod 4755 /d/a\n\
         RUN rm /d/full/b && ln /d/a /d/hard && chown 33:44 /d/full && mkfifo /d/pipe\n\
         RUN rm -r /d/full && mkdir /d/full && touch /d/a && echo c > /d/full/c && rm /etc/passwd\n",
        cx.base()?
    );
    same(&cx, &text).await
}

async fn stages(cx: Cx) -> CaseResult {
    let base = cx.base()?;
    cx.write("file", 0o644, "of the context\n")?;
    let text = format!(
        "FROM {base} AS tools\nRUN mkdir /t && echo tool > /t/tool\n\
         FROM {base}\nWORKDIR /w\nCOPY --from=tools /t /t\n\
         RUN --mount=from=tools,source=/t/tool,target=tool --mount=type=bind,source=file,target=file cat tool file > out\n\
         RUN --mount=type=cache,target=/cache --mount=type=tmpfs,target=/fast touch /cache/x /fast/x\n\
         RUN chmod 777 /w\nUSER 1000:1001\nRUN id -u > mine && umask >> mine && hostname >> mine && env | sort >> mine\n"
    );
    same(&cx, &text).await
}

async fn docker_schema(cx: Cx) -> CaseResult {
    let text = format!(
        "FROM {}\nSHELL [\"/bin/sh\", \"-e\", \"-c\"]\nHEALTHCHECK CMD true\nONBUILD RUN true\nRUN echo x > /x\nCMD echo hi\n",
        cx.base()?
    );
    same(&cx, &text).await
}

async fn names_what_differs(cx: Cx) -> CaseResult {
    reference(&cx)?;
    let text = format!("FROM {}\nRUN cat /proc/sys/kernel/random/uuid > /by-chance\n", cx.base()?);
    let (one, first) = pushed(&cx, cx.engine(), &text, CacheUse::Ignore).await?;
    let (two, second) = pushed(&cx, cx.engine(), &text, CacheUse::Ignore).await?;
    expect!(one != two, "both have the digest {one}");
    let (first, second) = (cx.read_registry(&first).await?, cx.read_registry(&second).await?);
    let what = difference(&first, &second).await?;
    expect!(what.contains("by-chance"), "it is not named: {what}");
    Ok(())
}
