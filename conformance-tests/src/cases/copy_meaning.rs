//! `COPY`: which files a source means, and where the destination is.

use boxwright_core::{ErrorKind, Feature};

use super::{BUILD, BUILD_ONLY, RUN, expect_mentions};
use crate::case::{Case, CaseResult};
use crate::cx::Cx;
use crate::{expect, expect_eq};

pub(super) const CASES: &[Case] = &[
    Case {
        id: "copy/wildcards",
        promise: "`*` and `?` in a source match names in one folder",
        needs: BUILD,
        features: &[],
        run: |cx| Box::pin(wildcards(cx)),
    },
    Case {
        id: "copy/source-with-a-slash",
        promise: "a source that begins with a slash is seen from the root of the context",
        needs: BUILD,
        features: &[],
        run: |cx| Box::pin(source_with_a_slash(cx)),
    },
    Case {
        id: "copy/whole-context",
        promise: "`COPY . /` brings the whole context",
        needs: BUILD,
        features: &[],
        run: |cx| Box::pin(whole_context(cx)),
    },
    Case {
        id: "copy/many-files",
        promise: "a context of thousands of small files arrives whole",
        needs: BUILD,
        features: &[],
        run: |cx| Box::pin(many_files(cx)),
    },
    Case {
        id: "copy/relative-destination",
        promise: "a destination without a slash is seen from WORKDIR",
        needs: BUILD,
        features: &[],
        run: |cx| Box::pin(relative_destination(cx)),
    },
    Case {
        id: "copy/replaces-files",
        promise: "COPY over a file of an earlier layer replaces it",
        needs: BUILD,
        features: &[],
        run: |cx| Box::pin(replaces_files(cx)),
    },
    Case {
        id: "copy/merges-folders",
        promise: "COPY of a folder over a folder keeps what else is in it",
        needs: BUILD,
        features: &[],
        run: |cx| Box::pin(merges_folders(cx)),
    },
    Case {
        id: "copy/through-a-link",
        promise: "a destination below a link to a folder lands in that folder, inside the image",
        needs: RUN,
        features: &[],
        run: |cx| Box::pin(through_a_link(cx)),
    },
    Case {
        id: "copy/missing-source",
        promise: "COPY of what is not in the context fails, names it, and tags nothing",
        needs: BUILD_ONLY,
        features: &[],
        run: |cx| Box::pin(missing_source(cx)),
    },
    Case {
        id: "copy/never-outside",
        promise: "a source with `..` never reaches what is outside of the context",
        needs: BUILD,
        features: &[],
        run: |cx| Box::pin(never_outside(cx)),
    },
    Case {
        id: "copy/link-out-of-the-context",
        promise: "a link in the context that points outside never brings what is there (threat 13)",
        needs: BUILD,
        features: &[],
        run: |cx| Box::pin(link_out_of_the_context(cx)),
    },
    Case {
        id: "copy/variables",
        promise: "variables are replaced in sources and destinations",
        needs: BUILD,
        features: &[],
        run: |cx| Box::pin(variables(cx)),
    },
    Case {
        id: "copy/here-document",
        promise: "COPY <<NAME writes a file with that content, with variables replaced",
        needs: BUILD,
        features: &[Feature::Heredoc],
        run: |cx| Box::pin(here_document(cx)),
    },
];

async fn wildcards(cx: Cx) -> CaseResult {
    for name in ["a.txt", "b.txt", "c.md", "d1", "d22", "deep/e.txt"] {
        cx.write(name, 0o644, name)?;
    }
    let image = cx.build("FROM scratch\nCOPY *.txt d? /to/\n").await?;
    expect_eq!(image.names_in("/to"), ["a.txt", "b.txt", "d1"]);
    Ok(())
}

async fn source_with_a_slash(cx: Cx) -> CaseResult {
    cx.write("folder/file", 0o644, "x")?;
    let image = cx.build("FROM scratch\nCOPY /folder/file /file\n").await?;
    expect_eq!(image.text("/file").await?, "x");
    Ok(())
}

async fn whole_context(cx: Cx) -> CaseResult {
    cx.write("a", 0o644, "1")?;
    cx.write("b/c", 0o644, "2")?;
    let image = cx.build("FROM scratch\nCOPY . /\n").await?;
    expect_eq!(image.text("/a").await?, "1");
    expect_eq!(image.text("/b/c").await?, "2");
    expect!(image.has("/Dockerfile"), "the Dockerfile is a file of the context too");
    Ok(())
}

async fn many_files(cx: Cx) -> CaseResult {
    // Words of the case's own, so that no daemon has the files from another case.
    let own = cx.words();
    for number in 0..3000 {
        cx.write(&format!("many/{}/{number}", number % 20), 0o644, format!("{own} {number}"))?;
    }
    let image = cx.build("FROM scratch\nCOPY many /many/\n").await?;
    for folder in 0..20 {
        let path = format!("/many/{folder}");
        expect_eq!(image.names_in(&path).len(), 150, "the number of files in `{path}`");
    }
    expect_eq!(image.text("/many/19/2999").await?, format!("{own} 2999"));
    Ok(())
}

async fn relative_destination(cx: Cx) -> CaseResult {
    cx.write("a", 0o644, "1")?;
    let image = cx.build("FROM scratch\nWORKDIR /work\nCOPY a here/\nCOPY a .\n").await?;
    expect!(image.has("/work/here/a"), "`here/` is not below WORKDIR");
    expect!(image.has("/work/a"), "`.` is not WORKDIR");
    Ok(())
}

async fn replaces_files(cx: Cx) -> CaseResult {
    cx.write("a", 0o644, "first")?;
    cx.write("b", 0o600, "second")?;
    let image = cx.build("FROM scratch\nCOPY a /file\nCOPY b /file\n").await?;
    expect_eq!(image.text("/file").await?, "second");
    expect_eq!(image.file("/file")?.mode, 0o600);
    Ok(())
}

async fn merges_folders(cx: Cx) -> CaseResult {
    cx.write("one/a", 0o644, "1")?;
    cx.write("two/b", 0o644, "2")?;
    let image = cx.build("FROM scratch\nCOPY one /to\nCOPY two /to\n").await?;
    expect_eq!(image.names_in("/to"), ["a", "b"]);
    Ok(())
}

async fn through_a_link(cx: Cx) -> CaseResult {
    cx.write("file", 0o644, "x")?;
    let text =
        format!("FROM {}\nRUN mkdir /real && ln -s /real /link\nCOPY file /link/\n", cx.base()?);
    let image = cx.build(&text).await?;
    expect_eq!(image.link("/link")?, "/real");
    expect_eq!(image.text("/real/file").await?, "x");
    Ok(())
}

async fn missing_source(cx: Cx) -> CaseResult {
    let error = cx.build_error("FROM scratch\nCOPY not-here /x\n").await?;
    let is_right = matches!(error.kind(), ErrorKind::NotFound | ErrorKind::BuildFailed);
    expect!(is_right, "the error is of kind {}: {error}", error.kind());
    expect_mentions(&error, "not-here")
}

async fn never_outside(cx: Cx) -> CaseResult {
    std::fs::write(cx.context().with_file_name("canary"), "canary-outside")?;
    let request = cx.request("FROM scratch\nCOPY ../canary /x\n")?;
    let attempt = cx.attempt(&request).await;
    match attempt.result {
        Err(_) => cx.expect_absent(&request.tags).await,
        Ok(output) => {
            let image = cx.read(output.id).await?;
            for (what, bytes) in image.all_bytes().await? {
                let found = crate::leak::find(b"canary-outside", &bytes);
                expect!(found.is_none(), "the file outside of the context is in {what}");
            }
            Ok(())
        }
    }
}

async fn link_out_of_the_context(cx: Cx) -> CaseResult {
    let outside = cx.context().with_file_name("canary");
    std::fs::write(&outside, "canary-behind-a-link")?;
    cx.symlink(&outside.to_string_lossy(), "link")?;
    cx.symlink("../canary", "relative")?;
    cx.write("file", 0o644, "x")?;
    for source in ["link", "relative", "."] {
        let request = cx.request(&format!("FROM scratch\nCOPY {source} /to/\n"))?;
        let Ok(output) = cx.attempt(&request).await.result else { continue };
        for (what, bytes) in cx.read(output.id).await?.all_bytes().await? {
            let found = crate::leak::find(b"canary-behind-a-link", &bytes);
            expect!(found.is_none(), "`COPY {source}` brought the file outside into {what}");
        }
    }
    Ok(())
}

async fn variables(cx: Cx) -> CaseResult {
    cx.write("file-7", 0o644, "x")?;
    let text = "FROM scratch\nENV number=7 folder=/to\nCOPY file-$number ${folder}/\n";
    let image = cx.build(text).await?;
    expect_eq!(image.text("/to/file-7").await?, "x");
    Ok(())
}

async fn here_document(cx: Cx) -> CaseResult {
    let text = "FROM scratch\nENV who=world\n\
                COPY <<END /greeting\nhello $who\n\tagain\nEND\n\
                COPY <<'END' /literal\nhello $who\nEND\n";
    let image = cx.build(text).await?;
    expect_eq!(image.text("/greeting").await?, "hello world\n\tagain\n");
    expect_eq!(image.text("/literal").await?, "hello $who\n");
    Ok(())
}
