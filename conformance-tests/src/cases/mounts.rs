//! `RUN --mount`: what is there during a step, and gone afterwards.

use boxwright_core::Feature;

use super::RUN;
use crate::case::{Case, CaseResult};
use crate::cx::Cx;
use crate::{expect, expect_eq};

pub(super) const CASES: &[Case] = &[
    Case {
        id: "mount/bind",
        promise: "a bind mount shows a file of the context to a step, and leaves nothing",
        needs: RUN,
        features: &[Feature::MountBind],
        run: |cx| Box::pin(bind(cx)),
    },
    Case {
        id: "mount/bind-relative",
        promise: "the target of a bind mount may be relative to WORKDIR",
        needs: RUN,
        features: &[Feature::MountBindRelative],
        run: |cx| Box::pin(bind_relative(cx)),
    },
    Case {
        id: "mount/from-a-stage",
        promise: "a bind mount with from= shows the files of another stage",
        needs: RUN,
        features: &[Feature::MountBind],
        run: |cx| Box::pin(from_a_stage(cx)),
    },
    Case {
        id: "mount/from-a-cached-stage",
        promise: "a bind mount with from= works as well when that stage comes from the cache",
        needs: RUN,
        features: &[Feature::MountBind],
        run: |cx| Box::pin(from_a_cached_stage(cx)),
    },
    Case {
        id: "mount/cache",
        promise: "a cache mount keeps its files for the next step, and not in the image",
        needs: RUN,
        features: &[Feature::MountCache],
        run: |cx| Box::pin(cache(cx)),
    },
    Case {
        id: "mount/tmpfs",
        promise: "what is written to a tmpfs mount is gone after the step",
        needs: RUN,
        features: &[Feature::MountTmpfs],
        run: |cx| Box::pin(tmpfs(cx)),
    },
    Case {
        id: "mount/network-none",
        promise: "RUN --network=none has no interface but the loopback one",
        needs: RUN,
        features: &[Feature::RunNetwork],
        run: |cx| Box::pin(network_none(cx)),
    },
];

async fn bind(cx: Cx) -> CaseResult {
    cx.write("folder/file", 0o644, "from the context")?;
    let text = format!(
        "FROM {}\nRUN --mount=type=bind,source=folder,target=/mnt/deep cat /mnt/deep/file > /out\n",
        cx.base()?
    );
    let image = cx.build(&text).await?;
    expect_eq!(image.text("/out").await?, "from the context");
    expect!(!image.has("/mnt/deep/file"), "the mounted file is in the image");
    Ok(())
}

async fn bind_relative(cx: Cx) -> CaseResult {
    cx.write("file", 0o644, "from the context")?;
    let text = format!(
        "FROM {}\nWORKDIR /work\nRUN --mount=type=bind,source=file,target=seen cat /work/seen > /out\n",
        cx.base()?
    );
    let image = cx.build(&text).await?;
    expect_eq!(image.text("/out").await?, "from the context");
    Ok(())
}

/// A stage that no other case left in the cache, and one that mounts it.
fn two_stages(cx: &Cx, word: &str) -> CaseResult<String> {
    let (base, name) = (cx.base()?, cx.words());
    Ok(format!(
        "FROM {base} AS other\nRUN mkdir /made && echo {name} > /made/file\nFROM {base}\nENV word={word}\n\
         RUN --mount=type=bind,from=other,source=/made,target=/mnt cat /mnt/file > /out\n"
    ))
}

async fn from_a_stage(cx: Cx) -> CaseResult {
    let image = cx.build(&two_stages(&cx, "once")?).await?;
    expect!(image.text("/out").await?.contains("mount/from-a-stage"), "it is another file");
    Ok(())
}

async fn from_a_cached_stage(cx: Cx) -> CaseResult {
    let text = two_stages(&cx, "first")?;
    cx.build(&text).await?;
    let image = cx.build(&text.replace("word=first", "word=second")).await?;
    expect!(image.text("/out").await?.contains("mount/from-a-cached"), "it is another file");
    Ok(())
}

async fn cache(cx: Cx) -> CaseResult {
    // Its own id and namespace, so that no other case and no earlier run has written to it.
    let id = cx.words().replace('/', "-");
    let mount = format!("--mount=type=cache,id={id},target=/cached");
    let text = format!(
        "FROM {}\nRUN {mount} echo kept > /cached/file\nRUN {mount} cat /cached/file > /out\n",
        cx.base()?
    );
    let mut request = cx.request(&text)?;
    let namespace = ("BUILDKIT_CACHE_MOUNT_NS".to_owned(), cx.slug().to_owned());
    request.build_args.extend([namespace]);
    let image = cx.build_from(&request).await?;
    expect_eq!(image.text("/out").await?, "kept\n");
    expect!(!image.has("/cached/file"), "the cache is in the image");
    Ok(())
}

async fn tmpfs(cx: Cx) -> CaseResult {
    let text = format!(
        "FROM {}\nRUN --mount=type=tmpfs,target=/scratch echo x > /scratch/file && \
         cat /scratch/file > /out\n",
        cx.base()?
    );
    let image = cx.build(&text).await?;
    expect_eq!(image.text("/out").await?, "x\n");
    expect!(!image.has("/scratch/file"), "the tmpfs is in the image");
    Ok(())
}

async fn network_none(cx: Cx) -> CaseResult {
    let text = format!(
        "FROM {}\nRUN --network=none ! grep -q eth0: /proc/net/dev && echo none > /out\n",
        cx.base()?
    );
    let image = cx.build(&text).await?;
    expect_eq!(image.text("/out").await?, "none\n");
    Ok(())
}
