//! Names and labels that the request gives.

use boxwright_core::{ContextSource, DockerfileSource, LocalImage};

use super::BUILD;
use crate::case::{Case, CaseResult};
use crate::cx::Cx;
use crate::{expect, expect_eq};

pub(super) const CASES: &[Case] = &[
    Case {
        id: "naming/several-tags",
        promise: "every tag of the request names the new image",
        needs: BUILD,
        features: &[],
        run: |cx| Box::pin(several_tags(cx)),
    },
    Case {
        id: "naming/no-tag",
        promise: "an image without a tag is found by its id",
        needs: BUILD,
        features: &[],
        run: |cx| Box::pin(no_tag(cx)),
    },
    Case {
        id: "naming/moves",
        promise: "a tag of an older image moves to the new one",
        needs: BUILD,
        features: &[],
        run: |cx| Box::pin(moves(cx)),
    },
    Case {
        id: "naming/id-is-the-config",
        promise: "the id that a build returns is the digest of the image's config",
        needs: BUILD,
        features: &[],
        run: |cx| Box::pin(id_is_the_config(cx)),
    },
    Case {
        id: "naming/labels-of-the-request",
        promise: "labels of the request are in the image, over those of the Dockerfile",
        needs: BUILD,
        features: &[],
        run: |cx| Box::pin(labels_of_the_request(cx)),
    },
];

async fn several_tags(cx: Cx) -> CaseResult {
    let mut request = cx.request("FROM scratch\nWORKDIR /w\nLABEL a=several\n")?;
    request.tags = vec![cx.name()?, cx.name()?, cx.name()?];
    let output = cx.attempt(&request).await.result?;
    expect_eq!(output.tags, request.tags);
    for tag in &request.tags {
        let image = cx.read(tag.clone()).await?;
        expect_eq!(image.manifest().config.digest, output.id, "the id of `{tag}`");
    }
    Ok(())
}

async fn no_tag(cx: Cx) -> CaseResult {
    let mut request = cx.request("FROM scratch\nWORKDIR /w\nLABEL a=untagged\n")?;
    request.tags = Vec::new();
    let output = cx.attempt(&request).await.result?;
    expect_eq!(output.tags, []);
    let image = cx.read(LocalImage::Id(output.id)).await?;
    expect_eq!(image.label("a"), Some("untagged"));
    Ok(())
}

async fn moves(cx: Cx) -> CaseResult {
    let (name, words) = (cx.name()?, cx.words());
    for value in ["old", "new"] {
        let mut request = cx.new_request(ContextSource::Empty)?;
        request.dockerfile = DockerfileSource::Text(format!(
            "FROM scratch\nWORKDIR /w\nLABEL name={words} value={value}\n"
        ));
        request.tags = vec![name.clone()];
        cx.attempt(&request).await.result?;
        expect_eq!(cx.read(name.clone()).await?.label("value"), Some(value));
    }
    Ok(())
}

async fn id_is_the_config(cx: Cx) -> CaseResult {
    let request = cx.request("FROM scratch\nWORKDIR /w\nLABEL a=id\n")?;
    let output = cx.attempt(&request).await.result?;
    let image = cx.read(request.tags[0].clone()).await?;
    expect_eq!(image.manifest().config.digest, output.id);
    expect!(!output.builder.is_empty(), "the build does not say what built it");
    Ok(())
}

async fn labels_of_the_request(cx: Cx) -> CaseResult {
    let mut request = cx.request("FROM scratch\nWORKDIR /w\nLABEL a=file b=file\n")?;
    request.labels.insert("b".to_owned(), "request".to_owned());
    request.labels.insert("c".to_owned(), "with \"quotes\" and $HOME".to_owned());
    let image = cx.build_from(&request).await?;
    for (name, wanted) in [("a", "file"), ("b", "request"), ("c", "with \"quotes\" and $HOME")] {
        expect_eq!(image.label(name), Some(wanted), "label `{name}`");
    }
    Ok(())
}
