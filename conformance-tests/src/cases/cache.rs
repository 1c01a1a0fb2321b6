//! The cache: what is taken from earlier builds, and what is not.

use boxwright_core::{CacheUse, StepResult};

use super::{BUILD, RUN};
use crate::case::{Case, CaseResult};
use crate::cx::Cx;
use crate::{expect, expect_eq};

pub(super) const CASES: &[Case] = &[
    Case {
        id: "cache/second-build",
        promise: "a second build of the same context takes every step from the first, and says so",
        needs: RUN,
        features: &[],
        run: |cx| Box::pin(second_build(cx)),
    },
    Case {
        id: "cache/not-used",
        promise: "without the cache every step runs again",
        needs: RUN,
        features: &[],
        run: |cx| Box::pin(not_used(cx)),
    },
    Case {
        id: "cache/changed-file",
        promise: "a changed file makes COPY and what follows run again, and keeps what is before it",
        needs: RUN,
        features: &[],
        run: |cx| Box::pin(changed_file(cx)),
    },
    Case {
        id: "cache/changed-mode",
        promise: "a file whose mode alone changed is copied again",
        needs: BUILD,
        features: &[],
        run: |cx| Box::pin(changed_mode(cx)),
    },
    Case {
        id: "cache/changed-argument",
        promise: "another value of a build argument makes the steps that see it run again",
        needs: RUN,
        features: &[],
        run: |cx| Box::pin(changed_argument(cx)),
    },
];

/// Different each time it runs.
const RANDOM: &str = "cat /proc/sys/kernel/random/uuid";

async fn second_build(cx: Cx) -> CaseResult {
    cx.write("file", 0o644, "x")?;
    let text = format!("FROM {}\nCOPY file /file\nRUN {RANDOM} > /out\n", cx.base()?);
    let first = cx.build(&text).await?;
    let attempt = cx.attempt(&cx.request(&text)?).await;
    let second = cx.read(attempt.result?.id).await?;
    expect_eq!(second.text("/out").await?, first.text("/out").await?);
    expect_eq!(attempt.log.result_of("RUN"), Some(&StepResult::Cached), "the step RUN");
    expect_eq!(attempt.log.result_of("COPY"), Some(&StepResult::Cached), "the step COPY");
    Ok(())
}

async fn not_used(cx: Cx) -> CaseResult {
    let text = format!("FROM {}\nRUN {RANDOM} > /out\n", cx.base()?);
    let first = cx.build(&text).await?.text("/out").await?;
    let mut request = cx.request(&text)?;
    request.cache = CacheUse::Ignore;
    let second = cx.build_from(&request).await?.text("/out").await?;
    expect!(first != second, "the step did not run again");
    Ok(())
}

async fn changed_file(cx: Cx) -> CaseResult {
    let text = format!(
        "FROM {}\nRUN {RANDOM} > /before\nCOPY file /file\nRUN {RANDOM} > /after\n",
        cx.base()?
    );
    cx.write("file", 0o644, "one")?;
    let first = cx.build(&text).await?;
    cx.write("file", 0o644, "two")?;
    let second = cx.build(&text).await?;
    expect_eq!(second.text("/file").await?, "two");
    expect_eq!(second.text("/before").await?, first.text("/before").await?);
    let is_new = second.text("/after").await? != first.text("/after").await?;
    expect!(is_new, "the step after COPY did not run again");
    Ok(())
}

async fn changed_mode(cx: Cx) -> CaseResult {
    let text = "FROM scratch\nCOPY file /file\n";
    cx.write("file", 0o644, "one")?;
    expect_eq!(cx.build(text).await?.file("/file")?.mode, 0o644);
    cx.write("file", 0o755, "one")?;
    expect_eq!(cx.build(text).await?.file("/file")?.mode, 0o755);
    Ok(())
}

async fn changed_argument(cx: Cx) -> CaseResult {
    let text = format!("FROM {}\nARG value\nRUN echo $value > /out\n", cx.base()?);
    for value in ["one", "two"] {
        let mut request = cx.request(&text)?;
        request.build_args.insert("value".to_owned(), value.to_owned());
        let image = cx.build_from(&request).await?;
        expect_eq!(image.text("/out").await?, format!("{value}\n"));
    }
    Ok(())
}
