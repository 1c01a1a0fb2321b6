//! `ARG`: values, defaults, and where they are seen.

use boxwright_core::{Feature, Platform};

use super::{BUILD, RUN};
use crate::case::{Case, CaseResult};
use crate::cx::Cx;
use crate::{expect, expect_eq};

pub(super) const CASES: &[Case] = &[
    Case {
        id: "args/default",
        promise: "an ARG that is not given has its default",
        needs: RUN,
        features: &[],
        run: |cx| Box::pin(value(cx, &[], "default")),
    },
    Case {
        id: "args/given",
        promise: "an ARG that is given has that value, with spaces and quotes unchanged",
        needs: RUN,
        features: &[],
        run: |cx| {
            Box::pin(value(cx, &[("argument", "it's \"given\"  $HOME")], "it's \"given\"  $HOME"))
        },
    },
    Case {
        id: "args/not-in-the-image",
        promise: "an ARG is not among the variables of the image",
        needs: RUN,
        features: &[],
        run: |cx| Box::pin(not_in_the_image(cx)),
    },
    Case {
        id: "args/of-one-stage",
        promise: "an ARG ends with its stage",
        needs: RUN,
        features: &[],
        run: |cx| Box::pin(of_one_stage(cx)),
    },
    Case {
        id: "args/before-from",
        promise: "an ARG before the first FROM counts in FROM, and in a stage that names it again",
        needs: RUN,
        features: &[],
        run: |cx| Box::pin(before_from(cx)),
    },
    Case {
        id: "args/env-wins",
        promise: "an ENV hides an earlier ARG of the same name",
        needs: RUN,
        features: &[],
        run: |cx| Box::pin(env_wins(cx)),
    },
    Case {
        id: "args/not-declared",
        promise: "an argument that no ARG declares does not fail the build, and has no effect",
        needs: RUN,
        features: &[],
        run: |cx| Box::pin(not_declared(cx)),
    },
    Case {
        id: "args/platform",
        promise: "TARGETARCH and TARGETOS are those of the platform that is built for",
        needs: RUN,
        features: &[Feature::FromPlatform],
        run: |cx| Box::pin(platform(cx)),
    },
    Case {
        id: "args/defaults-in-place",
        promise: "${name:-default} and ${name:+other} are replaced in instructions",
        needs: BUILD,
        features: &[],
        run: |cx| Box::pin(defaults_in_place(cx)),
    },
    Case {
        id: "args/patterns",
        promise: "${name#prefix} and ${name%suffix} are replaced in instructions",
        needs: BUILD,
        features: &[Feature::ExpansionPatterns],
        run: |cx| Box::pin(patterns(cx)),
    },
];

async fn value(cx: Cx, given: &[(&str, &str)], wanted: &str) -> CaseResult {
    let text = format!(
        "FROM {}\nARG argument=default\nRUN printf '%s' \"$argument\" > /out\n",
        cx.base()?
    );
    let mut request = cx.request(&text)?;
    request.build_args = given.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    let image = cx.build_from(&request).await?;
    expect_eq!(image.text("/out").await?, wanted);
    Ok(())
}

async fn not_in_the_image(cx: Cx) -> CaseResult {
    let text = format!("FROM {}\nARG argument=1\nENV kept=$argument\nRUN true\n", cx.base()?);
    let image = cx.build(&text).await?;
    expect_eq!(image.variable("kept"), Some("1"));
    expect_eq!(image.variable("argument"), None);
    Ok(())
}

async fn of_one_stage(cx: Cx) -> CaseResult {
    let base = cx.base()?;
    let text = format!(
        "FROM {base} AS one\nARG argument=1\nRUN echo \"[$argument]\" > /one\n\
         FROM {base}\nCOPY --from=one /one /one\nRUN echo \"[$argument]\" > /two\n"
    );
    let mut request = cx.request(&text)?;
    request.build_args.insert("argument".to_owned(), "2".to_owned());
    let image = cx.build_from(&request).await?;
    expect_eq!(image.text("/one").await?, "[2]\n");
    expect_eq!(image.text("/two").await?, "[]\n");
    Ok(())
}

async fn before_from(cx: Cx) -> CaseResult {
    let base = cx.base()?;
    let text = "ARG base=scratch\nARG number=1\nFROM $base\n\
         RUN echo \"[$number]\" > /one\nARG number\nRUN echo \"[$number]\" > /two\n";
    let mut request = cx.request(text)?;
    request.build_args.insert("base".to_owned(), base.to_string());
    let image = cx.build_from(&request).await?;
    expect_eq!(image.text("/one").await?, "[]\n");
    expect_eq!(image.text("/two").await?, "[1]\n");
    Ok(())
}

async fn env_wins(cx: Cx) -> CaseResult {
    let text = format!("FROM {}\nARG name=arg\nENV name=env\nRUN echo $name > /out\n", cx.base()?);
    let mut request = cx.request(&text)?;
    request.build_args.insert("name".to_owned(), "given".to_owned());
    let image = cx.build_from(&request).await?;
    expect_eq!(image.text("/out").await?, "env\n");
    Ok(())
}

async fn not_declared(cx: Cx) -> CaseResult {
    let mut request =
        cx.request(&format!("FROM {}\nRUN echo \"[$unknown]\" > /out\n", cx.base()?))?;
    request.build_args.insert("unknown".to_owned(), "value".to_owned());
    let image = cx.build_from(&request).await?;
    expect_eq!(image.text("/out").await?, "[]\n");
    expect!(image.variable("unknown").is_none(), "the argument is a variable of the image");
    Ok(())
}

async fn platform(cx: Cx) -> CaseResult {
    let text = format!(
        "FROM {}\nARG TARGETOS\nARG TARGETARCH\nRUN echo $TARGETOS $TARGETARCH > /out\n",
        cx.base()?
    );
    let image = cx.build(&text).await?;
    let machine = Platform::of_this_machine();
    let wanted = format!("{} {}\n", machine.os(), machine.architecture());
    expect_eq!(image.text("/out").await?, wanted);
    Ok(())
}

async fn defaults_in_place(cx: Cx) -> CaseResult {
    let text = "FROM scratch\nWORKDIR /w\nARG set=1\nARG unset\n\
                LABEL a=${unset:-default} b=${set:-default} c=${set:+other} d=x${unset:+other}\n";
    let image = cx.build(text).await?;
    for (label, wanted) in [("a", "default"), ("b", "1"), ("c", "other"), ("d", "x")] {
        expect_eq!(image.label(label), Some(wanted), "label `{label}`");
    }
    Ok(())
}

async fn patterns(cx: Cx) -> CaseResult {
    let text = "FROM scratch\nWORKDIR /w\nARG path=a/b/c.txt\n\
                LABEL a=${path#a/} b=${path##*/} c=${path%.txt} d=${path/b/x}\n";
    let image = cx.build(text).await?;
    for (label, wanted) in [("a", "b/c.txt"), ("b", "c.txt"), ("c", "a/b/c"), ("d", "a/x/c.txt")] {
        expect_eq!(image.label(label), Some(wanted), "label `{label}`");
    }
    Ok(())
}
