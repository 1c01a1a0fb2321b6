//! Ignore files: what is not part of the context.

use super::BUILD;
use crate::case::{Case, CaseResult};
use crate::cx::Cx;
use crate::{expect, expect_eq};

pub(super) const CASES: &[Case] = &[
    Case {
        id: "ignore/excludes",
        promise: "what .dockerignore names is not in the context, folders with all they hold",
        needs: BUILD,
        features: &[],
        run: |cx| Box::pin(excludes(cx)),
    },
    Case {
        id: "ignore/exceptions",
        promise: "a later line with `!` takes a file back in, also below an excluded folder",
        needs: BUILD,
        features: &[],
        run: |cx| Box::pin(exceptions(cx)),
    },
    Case {
        id: "ignore/any-depth",
        promise: "`**/` matches at any depth, and a pattern without it at the root only",
        needs: BUILD,
        features: &[],
        run: |cx| Box::pin(any_depth(cx)),
    },
    Case {
        id: "ignore/of-one-dockerfile",
        promise: "NAME.dockerignore beside a Dockerfile counts instead of .dockerignore",
        needs: BUILD,
        features: &[],
        run: |cx| Box::pin(of_one_dockerfile(cx)),
    },
    Case {
        id: "ignore/the-dockerfile",
        promise: "a Dockerfile that is ignored still builds, and is not copied",
        needs: BUILD,
        features: &[],
        run: |cx| Box::pin(the_dockerfile(cx)),
    },
];

async fn excludes(cx: Cx) -> CaseResult {
    for name in ["keep", "drop.log", "folder/a", "folder/deep/b", "other/drop.log"] {
        cx.write(name, 0o644, name)?;
    }
    cx.write(".dockerignore", 0o644, "# remark\n\n*.log\n/folder/\n")?;
    let image = cx.build("FROM scratch\nCOPY . /to/\n").await?;
    expect!(image.has("/to/keep") && image.has("/to/other/drop.log"), "too much is excluded");
    expect!(!image.has("/to/drop.log"), "`*.log` is not excluded");
    expect!(!image.has("/to/folder/deep/b"), "`/folder/` is not excluded");
    Ok(())
}

async fn exceptions(cx: Cx) -> CaseResult {
    for name in ["a.md", "README.md", "folder/a", "folder/keep"] {
        cx.write(name, 0o644, name)?;
    }
    cx.write(".dockerignore", 0o644, "*.md\n!README.md\nfolder\n!folder/keep\n")?;
    let image = cx.build("FROM scratch\nCOPY . /to/\n").await?;
    expect!(!image.has("/to/a.md") && image.has("/to/README.md"), "`!README.md` does not count");
    expect_eq!(image.names_in("/to/folder"), ["keep"]);
    Ok(())
}

async fn any_depth(cx: Cx) -> CaseResult {
    for name in ["one/x.tmp", "one/two/x.tmp", "x.tmp", "one/y.bak", "y.bak"] {
        cx.write(name, 0o644, name)?;
    }
    cx.write(".dockerignore", 0o644, "**/*.tmp\n*.bak\n")?;
    let image = cx.build("FROM scratch\nCOPY . /to/\n").await?;
    expect!(
        !image.has("/to/x.tmp") && !image.has("/to/one/two/x.tmp"),
        "`**/*.tmp` is not excluded"
    );
    expect!(
        !image.has("/to/y.bak") && image.has("/to/one/y.bak"),
        "`*.bak` is not of the root only"
    );
    Ok(())
}

async fn of_one_dockerfile(cx: Cx) -> CaseResult {
    for name in ["a", "b"] {
        cx.write(name, 0o644, name)?;
    }
    cx.write("other.Dockerfile", 0o644, "FROM scratch\nCOPY . /to/\n")?;
    cx.write(".dockerignore", 0o644, "a\n")?;
    cx.write("other.Dockerfile.dockerignore", 0o644, "b\n")?;
    let mut request = cx.request("FROM scratch\n")?;
    request.dockerfile = boxwright_core::DockerfileSource::Path("other.Dockerfile".into());
    let image = cx.build_from(&request).await?;
    expect!(image.has("/to/a") && !image.has("/to/b"), "the wrong ignore file counts");
    Ok(())
}

async fn the_dockerfile(cx: Cx) -> CaseResult {
    cx.write("keep", 0o644, "x")?;
    cx.write(".dockerignore", 0o644, "Dockerfile\n.dockerignore\n")?;
    let image = cx.build("FROM scratch\nCOPY . /to/\n").await?;
    expect_eq!(image.names_in("/to"), ["keep"]);
    Ok(())
}
