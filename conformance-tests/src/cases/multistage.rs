//! Stages: what one takes from another, and which are built.

use boxwright_core::{ErrorKind, Feature};

use super::{BUILD, BUILD_ONLY, RUN, expect_mentions};
use crate::case::{Case, CaseResult};
use crate::cx::Cx;
use crate::{expect, expect_eq};

const STAGES: &[Feature] = &[Feature::MultiStage];

pub(super) const CASES: &[Case] = &[
    Case {
        id: "stages/copy-from-a-name",
        promise: "COPY --from=NAME takes files of that stage, and nothing else of it comes along",
        needs: RUN,
        features: STAGES,
        run: |cx| Box::pin(copy_from_a_name(cx)),
    },
    Case {
        id: "stages/copy-from-a-number",
        promise: "COPY --from=0 takes files of the first stage",
        needs: BUILD,
        features: STAGES,
        run: |cx| Box::pin(copy_from_a_number(cx)),
    },
    Case {
        id: "stages/copy-from-an-image",
        promise: "COPY --from=IMAGE takes files of an image that is no stage",
        needs: BUILD,
        features: STAGES,
        run: |cx| Box::pin(copy_from_an_image(cx)),
    },
    Case {
        id: "stages/keeps-modes-and-owners",
        promise: "COPY --from keeps the modes and owners that the files have in the other stage",
        needs: RUN,
        features: STAGES,
        run: |cx| Box::pin(keeps_modes_and_owners(cx)),
    },
    Case {
        id: "stages/from-a-stage",
        promise: "a stage FROM another has its files and its config",
        needs: BUILD,
        features: STAGES,
        run: |cx| Box::pin(from_a_stage(cx)),
    },
    Case {
        id: "stages/target",
        promise: "the target is the stage that is built, and none after it runs",
        needs: RUN,
        features: STAGES,
        run: |cx| Box::pin(target(cx)),
    },
    Case {
        id: "stages/names-in-any-case",
        promise: "names of stages mean the same in upper and lower case, in FROM, --from and the target",
        needs: BUILD,
        features: STAGES,
        run: |cx| Box::pin(names_in_any_case(cx)),
    },
    Case {
        id: "stages/unknown-target",
        promise: "a target that is not there is an error that names it",
        needs: BUILD_ONLY,
        features: STAGES,
        run: |cx| Box::pin(unknown_target(cx)),
    },
];

async fn copy_from_a_name(cx: Cx) -> CaseResult {
    let text = format!(
        "FROM {} AS maker\nENV secret=1\nRUN echo made > /made && echo other > /other\n\
         FROM scratch\nCOPY --from=maker /made /\n",
        cx.base()?
    );
    let image = cx.build(&text).await?;
    expect_eq!(image.text("/made").await?, "made\n");
    expect!(!image.has("/other") && !image.has("/bin/sh"), "more came along");
    expect_eq!(image.variable("secret"), None);
    Ok(())
}

async fn copy_from_a_number(cx: Cx) -> CaseResult {
    cx.write("file", 0o644, "x")?;
    let text = "FROM scratch\nCOPY file /one\nFROM scratch\nCOPY --from=0 /one /two\n";
    let image = cx.build(text).await?;
    expect_eq!(image.text("/two").await?, "x");
    Ok(())
}

async fn copy_from_an_image(cx: Cx) -> CaseResult {
    let text = format!("FROM scratch\nCOPY --from={} /etc/passwd /users\n", cx.base()?);
    let image = cx.build(&text).await?;
    expect!(image.text("/users").await?.contains("www-data"), "it is another file");
    Ok(())
}

async fn keeps_modes_and_owners(cx: Cx) -> CaseResult {
    let text = format!(
        "FROM {} AS maker\nRUN mkdir /d && touch /d/f && chown 7:8 /d/f && chmod 640 /d/f\n\
         FROM scratch\nCOPY --from=maker /d /d\n",
        cx.base()?
    );
    let image = cx.build(&text).await?;
    let file = image.file("/d/f")?;
    expect_eq!((file.mode, file.uid, file.gid), (0o640, 7, 8));
    Ok(())
}

async fn from_a_stage(cx: Cx) -> CaseResult {
    cx.write("file", 0o644, "x")?;
    let text =
        "FROM scratch AS one\nCOPY file /one\nENV a=1\nLABEL b=2\nFROM one\nCOPY file /two\n";
    let image = cx.build(text).await?;
    expect!(image.has("/one") && image.has("/two"), "the files of both are not there");
    expect_eq!((image.variable("a"), image.label("b")), (Some("1"), Some("2")));
    Ok(())
}

async fn target(cx: Cx) -> CaseResult {
    let text = format!(
        "FROM {} AS first\nRUN echo 1 > /first\nFROM first AS second\nRUN exit 9\n",
        cx.base()?
    );
    let mut request = cx.request(&text)?;
    request.target = Some("first".to_owned());
    let image = cx.build_from(&request).await?;
    expect_eq!(image.text("/first").await?, "1\n");
    Ok(())
}

async fn names_in_any_case(cx: Cx) -> CaseResult {
    cx.write("file", 0o644, "x")?;
    let text = "FROM scratch AS First\nCOPY file /one\n\
                FROM first AS Second\nCOPY --from=FIRST /one /two\n\
                FROM second\nCOPY file /three\n";
    let mut request = cx.request(text)?;
    request.target = Some("SECOND".to_owned());
    let image = cx.build_from(&request).await?;
    expect!(
        image.has("/one") && image.has("/two") && !image.has("/three"),
        "another stage was built"
    );
    Ok(())
}

async fn unknown_target(cx: Cx) -> CaseResult {
    let mut request = cx.request("FROM scratch AS one\nLABEL a=1\n")?;
    request.target = Some("two".to_owned());
    let attempt = cx.attempt(&request).await;
    let error = crate::expect_error!(
        attempt.result,
        ErrorKind::NotFound
            | ErrorKind::InvalidDockerfile
            | ErrorKind::InvalidInput
            | ErrorKind::BuildFailed
    );
    expect_mentions(&error, "two")?;
    cx.expect_absent(&request.tags).await
}
