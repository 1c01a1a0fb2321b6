//! Contexts and Dockerfiles: where they come from, and what is wrong with them.

use boxwright_core::{Capability, ContextSource, DockerfileSource, ErrorKind};

use super::{BUILD, BUILD_ONLY, expect_explained, expect_mentions};
use crate::case::{Case, CaseResult};
use crate::cx::Cx;
use crate::{expect, expect_eq, expect_error};

pub(super) const CASES: &[Case] = &[
    Case {
        id: "input/text",
        promise: "a Dockerfile given as text builds with no context, and with a folder",
        needs: BUILD,
        features: &[],
        run: |cx| Box::pin(text(cx)),
    },
    Case {
        id: "input/containerfile",
        promise: "a Containerfile is used where there is no Dockerfile",
        needs: BUILD,
        features: &[],
        run: |cx| Box::pin(containerfile(cx)),
    },
    Case {
        id: "input/dockerfile-in-a-folder",
        promise: "a Dockerfile in a folder of the context copies from the root of the context",
        needs: BUILD,
        features: &[],
        run: |cx| Box::pin(dockerfile_in_a_folder(cx)),
    },
    Case {
        id: "input/dockerfile-outside",
        promise: "a Dockerfile with an absolute path outside of the context builds the context",
        needs: BUILD,
        features: &[],
        run: |cx| Box::pin(dockerfile_outside(cx)),
    },
    Case {
        id: "input/tar",
        promise: "a context that is a tar stream, compressed or not, builds as a folder does",
        needs: &[Capability::Build, Capability::Export, Capability::BuildFromTar],
        features: &[],
        run: |cx| Box::pin(tar(cx)),
    },
    Case {
        id: "input/missing-dockerfile",
        promise: "a context without a Dockerfile is refused, with where one was looked for",
        needs: BUILD_ONLY,
        features: &[],
        run: |cx| Box::pin(missing_dockerfile(cx)),
    },
    Case {
        id: "input/missing-context",
        promise: "a context that is not there, or is no folder, is refused by name",
        needs: BUILD_ONLY,
        features: &[],
        run: |cx| Box::pin(missing_context(cx)),
    },
    Case {
        id: "input/unreadable-dockerfile",
        promise: "a Dockerfile that cannot be read is refused by name",
        needs: BUILD_ONLY,
        features: &[],
        run: |cx| Box::pin(unreadable_dockerfile(cx)),
    },
    Case {
        id: "input/dockerfile-link-outside",
        promise: "a Dockerfile that is a link out of the context is not read (threat 13)",
        needs: BUILD_ONLY,
        features: &[],
        run: |cx| Box::pin(dockerfile_link_outside(cx)),
    },
    Case {
        id: "input/empty-dockerfile",
        promise: "a Dockerfile without an instruction is refused",
        needs: BUILD_ONLY,
        features: &[],
        run: |cx| Box::pin(empty_dockerfile(cx)),
    },
    Case {
        id: "input/argument-name",
        promise: "a build argument whose name cannot be one is refused before anything is built",
        needs: BUILD_ONLY,
        features: &[],
        run: |cx| Box::pin(argument_name(cx)),
    },
    Case {
        id: "input/fifo-in-the-context",
        promise: "a named pipe in the context does not hang the build",
        needs: BUILD,
        features: &[],
        run: |cx| Box::pin(fifo_in_the_context(cx)),
    },
];

async fn text(cx: Cx) -> CaseResult {
    let text = DockerfileSource::Text("FROM scratch\nWORKDIR /w\nLABEL a=text\n".to_owned());
    let mut request = cx.new_request(ContextSource::Empty)?;
    request.dockerfile = text;
    expect_eq!(cx.build_from(&request).await?.label("a"), Some("text"));
    cx.write("file", 0o644, "x")?;
    cx.write("Dockerfile", 0o644, "FROM scratch\nWORKDIR /w\nLABEL a=the-wrong-one\n")?;
    let mut request = cx.new_request(ContextSource::Folder(cx.context()))?;
    request.dockerfile = DockerfileSource::Text("FROM scratch\nCOPY file /file\n".to_owned());
    let image = cx.build_from(&request).await?;
    expect_eq!((image.label("a"), image.text("/file").await?.as_str()), (None, "x"));
    Ok(())
}

async fn containerfile(cx: Cx) -> CaseResult {
    cx.write("Containerfile", 0o644, "FROM scratch\nWORKDIR /w\nLABEL a=containerfile\n")?;
    let request = cx.new_request(ContextSource::Folder(cx.context()))?;
    expect_eq!(cx.build_from(&request).await?.label("a"), Some("containerfile"));
    Ok(())
}

async fn dockerfile_in_a_folder(cx: Cx) -> CaseResult {
    cx.write("file", 0o644, "x")?;
    cx.write("build/my.Dockerfile", 0o644, "FROM scratch\nCOPY file /file\n")?;
    let mut request = cx.new_request(ContextSource::Folder(cx.context()))?;
    request.dockerfile = DockerfileSource::Path("build/my.Dockerfile".into());
    expect_eq!(cx.build_from(&request).await?.text("/file").await?, "x");
    Ok(())
}

async fn dockerfile_outside(cx: Cx) -> CaseResult {
    cx.write("file", 0o644, "x")?;
    let outside = cx.scratch("outside.Dockerfile");
    std::fs::write(&outside, "FROM scratch\nCOPY . /to/\n")?;
    let mut request = cx.new_request(ContextSource::Folder(cx.context()))?;
    request.dockerfile = DockerfileSource::Path(outside);
    let image = cx.build_from(&request).await?;
    expect_eq!(image.names_in("/to"), ["file"]);
    Ok(())
}

async fn tar(cx: Cx) -> CaseResult {
    let mut tar = tar::Builder::new(Vec::new());
    for (path, content) in [("Dockerfile", "FROM scratch\nCOPY file /file\n"), ("file", "x")] {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o640);
        tar.append_data(&mut header, path, content.as_bytes())?;
    }
    let plain = tar.into_inner()?;
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    std::io::Write::write_all(&mut gzip, &plain)?;
    for bytes in [plain, gzip.finish()?] {
        let request = cx.new_request(ContextSource::Tar)?;
        let session = cx.session().with_input(Box::new(std::io::Cursor::new(bytes)));
        let output = cx.attempt_in(&request, session).await.result?;
        let image = cx.read(output.id).await?;
        expect_eq!(image.text("/file").await?, "x");
        expect_eq!(image.file("/file")?.mode, 0o640);
    }
    Ok(())
}

async fn missing_dockerfile(cx: Cx) -> CaseResult {
    let mut request = cx.new_request(ContextSource::Folder(cx.context()))?;
    let error = expect_error!(cx.attempt(&request).await.result, ErrorKind::NotFound);
    expect_mentions(&error, "Dockerfile")?;
    expect_explained(&error)?;
    request.dockerfile = DockerfileSource::Path("not-here.Dockerfile".into());
    let error = expect_error!(cx.attempt(&request).await.result, ErrorKind::NotFound);
    expect_mentions(&error, "not-here.Dockerfile")?;
    cx.expect_absent(&request.tags).await
}

async fn missing_context(cx: Cx) -> CaseResult {
    let mut request = cx.new_request(ContextSource::Folder(cx.scratch("nothing")))?;
    let error = expect_error!(cx.attempt(&request).await.result, ErrorKind::NotFound);
    expect_mentions(&error, "nothing")?;
    expect_explained(&error)?;
    let file = cx.scratch("file");
    std::fs::write(&file, "x")?;
    request.context = ContextSource::Folder(file);
    let error = expect_error!(cx.attempt(&request).await.result, ErrorKind::InvalidInput);
    expect_explained(&error)
}

async fn unreadable_dockerfile(cx: Cx) -> CaseResult {
    // A folder, since the suite may run as root, whom no mode keeps from reading.
    cx.folder("Dockerfile", 0o755)?;
    let request = cx.new_request(ContextSource::Folder(cx.context()))?;
    let attempt = cx.attempt(&request).await;
    let error = expect_error!(attempt.result, ErrorKind::InvalidInput | ErrorKind::NotFound);
    expect_mentions(&error, "Dockerfile")?;
    expect_explained(&error)?;
    cx.expect_absent(&request.tags).await
}

async fn dockerfile_link_outside(cx: Cx) -> CaseResult {
    let outside = cx.scratch("outside");
    std::fs::write(&outside, "FROM scratch\nWORKDIR /w\nLABEL a=outside\n")?;
    cx.symlink(&outside.to_string_lossy(), "Dockerfile")?;
    let request = cx.new_request(ContextSource::Folder(cx.context()))?;
    let attempt = cx.attempt(&request).await;
    let error = expect_error!(attempt.result, ErrorKind::NotFound | ErrorKind::InvalidInput);
    expect_explained(&error)?;
    cx.expect_absent(&request.tags).await
}

async fn empty_dockerfile(cx: Cx) -> CaseResult {
    let error = cx.build_error("# nothing but a remark\n\n").await?;
    let is_right = matches!(error.kind(), ErrorKind::InvalidDockerfile | ErrorKind::InvalidInput);
    expect!(is_right, "the error is of kind {}: {error}", error.kind());
    expect_explained(&error)
}

async fn argument_name(cx: Cx) -> CaseResult {
    for name in ["", "with space", "a=b"] {
        let mut request = cx.request("FROM scratch\nWORKDIR /w\nLABEL a=1\n")?;
        request.build_args.insert(name.to_owned(), "value".to_owned());
        expect_error!(cx.attempt(&request).await.result, ErrorKind::InvalidInput);
        cx.expect_absent(&request.tags).await?;
    }
    Ok(())
}

async fn fifo_in_the_context(cx: Cx) -> CaseResult {
    cx.write("file", 0o644, "x")?;
    let (pipe, mode) = (cx.context().join("pipe"), rustix::fs::Mode::RUSR);
    rustix::fs::mknodat(rustix::fs::CWD, pipe, rustix::fs::FileType::Fifo, mode, 0)
        .map_err(std::io::Error::from)?;
    let image = cx.build("FROM scratch\nCOPY file /file\n").await?;
    expect_eq!(image.text("/file").await?, "x");
    Ok(())
}
