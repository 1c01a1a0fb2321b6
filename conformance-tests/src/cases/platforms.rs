//! Builds for several platforms, and the index that they give.

use boxwright_core::{
    BuildRequest, Capability, ErrorKind, ExportRequest, ImageRef, Platform, PushRequest,
};
use boxwright_image::archive;
use boxwright_image::layout::Layout;
use boxwright_registry::{Client, Existence};

use super::{expect_explained, expect_mentions};
use crate::case::{Case, CaseResult, Failure};
use crate::cx::Cx;
use crate::environment::RegistryKind;
use crate::{expect, expect_eq, expect_error};

pub(super) const CASES: &[Case] = &[
    Case {
        id: "platforms/index-in-a-registry",
        promise: "a build for several platforms is pushed as an index with the image of each, and has the same digest when it is built again",
        needs: &[Capability::Build, Capability::BuildForPlatforms, Capability::Push],
        features: &[],
        run: |cx| Box::pin(index(cx)),
    },
    Case {
        id: "platforms/index-in-an-archive",
        promise: "the archive of a build for several platforms holds the index with all of its images",
        needs: &[Capability::Build, Capability::BuildForPlatforms, Capability::Export],
        features: &[],
        run: |cx| Box::pin(archived(cx)),
    },
    Case {
        id: "platforms/a-later-build-is-no-index",
        promise: "a build for one platform under the name of an index is pushed as one image",
        needs: &[Capability::Build, Capability::BuildForPlatforms, Capability::Push],
        features: &[],
        run: |cx| Box::pin(replaced(cx)),
    },
    Case {
        id: "platforms/foreign-command",
        promise: "a command for a platform that the kernel cannot run is refused before anything is built, with what to do",
        needs: &[Capability::Build, Capability::BuildForPlatforms, Capability::BuildRun],
        features: &[],
        run: |cx| Box::pin(foreign(cx)),
    },
    Case {
        id: "platforms/builds-here",
        promise: "a stage from `--platform=$BUILDPLATFORM` runs its commands here, for the image of every platform",
        needs: &[
            Capability::Build,
            Capability::BuildForPlatforms,
            Capability::BuildRun,
            Capability::Push,
        ],
        features: &[],
        run: |cx| Box::pin(builds_here(cx)),
    },
];

/// One that no machine of the suite has.
fn other() -> Platform {
    Platform::new("linux", "s390x", None)
}

fn both() -> [Platform; 2] {
    [other(), Platform::of_this_machine()]
}

const FILES: &str = "FROM scratch\nARG TARGETARCH\nCOPY $TARGETARCH /for\n";

fn request(cx: &Cx, dockerfile: &str, name: &ImageRef) -> CaseResult<BuildRequest> {
    for platform in both() {
        let architecture = platform.architecture();
        cx.write(architecture, 0o644, format!("for {architecture}\n"))?;
    }
    let mut request = cx.request(dockerfile)?;
    request.platforms = both().to_vec();
    request.tags = vec![name.clone()];
    request.build_args.insert("SOURCE_DATE_EPOCH".to_owned(), "1700000000".to_owned());
    Ok(request)
}

/// Builds, pushes, and returns the digest of the index.
async fn pushed(cx: &Cx, request: &BuildRequest) -> CaseResult<boxwright_core::Digest> {
    let output = cx.attempt(request).await.result?;
    let name = &request.tags[0];
    let pushed = cx.engine().push(&PushRequest::new(name.clone()), &cx.session()).await?;
    expect_eq!(output.digest.as_ref(), Some(&pushed.digest), "the digest that the build tells");
    expect_eq!(output.images.len(), 2, "the number of images");
    Ok(pushed.digest)
}

fn client(cx: &Cx) -> Client {
    let credentials = cx.environment().credentials();
    Client::new(cx.host(), cx.session().registries, credentials)
}

/// Reads both images of an index by its platforms, and a file of each.
async fn expect_both(cx: &Cx, name: &ImageRef, digest: &boxwright_core::Digest) -> CaseResult {
    let client = client(cx);
    expect_eq!(client.exists(name).await, Existence::Yes(digest.clone()));
    for platform in both() {
        let resolved = client.resolve(name, Some(&platform)).await?;
        let index = resolved.index.map(|index| index.digest);
        expect_eq!(index.as_ref(), Some(digest), "the index of `{platform}`");
        let image = cx.read_registry(&resolved.image).await?;
        expect_eq!(image.config().platform(), Some(platform.clone()));
        let wanted = format!("for {}\n", platform.architecture());
        expect_eq!(image.text("/for").await?, wanted);
    }
    let missing = Platform::new("linux", "ppc64le", None);
    expect_eq!(client.exists_for(name, &missing).await, Existence::No);
    Ok(())
}

async fn index(cx: Cx) -> CaseResult {
    let name = cx.name_in(RegistryKind::Open)?;
    let request = request(&cx, FILES, &name)?;
    let first = pushed(&cx, &request).await?;
    expect_both(&cx, &name, &first).await?;
    let second = pushed(&cx, &request).await?;
    expect_eq!(second, first, "the digest of a second build");
    let details = cx.engine().inspect(&name.clone().into(), &cx.session()).await?;
    let listed: Vec<Platform> = details.images.into_iter().map(|image| image.platform).collect();
    expect_eq!(listed, both());
    // Another name of it is the index too.
    let second_name = cx.name_in(RegistryKind::Open)?;
    cx.will_make(second_name.clone());
    cx.engine().tag(&name.into(), &second_name, &cx.session()).await?;
    cx.engine().push(&PushRequest::new(second_name.clone()), &cx.session()).await?;
    expect_both(&cx, &second_name, &first).await
}

async fn archived(cx: Cx) -> CaseResult {
    let name = cx.name()?;
    let request = request(&cx, FILES, &name)?;
    let output = cx.attempt(&request).await.result?;
    let file = cx.scratch("index.tar");
    let export = ExportRequest::new(name.clone().into(), file.clone());
    cx.engine().export(&export, &cx.session()).await?;
    let layout = Layout::open(cx.scratch("index"))?;
    let images = archive::read(&file, &layout).await?;
    let found: Vec<Option<Platform>> = images.iter().map(|image| image.platform.clone()).collect();
    expect_eq!(found, both().map(Some));
    let is_named = images.iter().all(|image| image.names == [name.to_string()]);
    expect!(is_named, "the archive has other names: {images:?}");
    let index = layout.index(&output.id).await?;
    expect_eq!(index.images.len(), 2, "the number of images");
    Ok(())
}

async fn replaced(cx: Cx) -> CaseResult {
    let name = cx.name_in(RegistryKind::Open)?;
    let mut request = request(&cx, FILES, &name)?;
    pushed(&cx, &request).await?;
    request.platforms.clear();
    cx.attempt(&request).await.result?;
    cx.engine().push(&PushRequest::new(name.clone()), &cx.session()).await?;
    let resolved = client(&cx).resolve(&name, None).await?;
    expect_eq!(resolved.index, None, "the index of one image");
    Ok(())
}

async fn foreign(cx: Cx) -> CaseResult {
    if std::path::Path::new("/proc/sys/fs/binfmt_misc/qemu-s390x").exists() {
        return Err(Failure::Refused {
            reason: "the kernel runs programs for another processor".to_owned(),
            remedy: "run the suite where no emulator is registered".to_owned(),
        });
    }
    let name = cx.name()?;
    let text = format!("{FILES}RUN [\"/for\"]\n");
    let request = request(&cx, &text, &name)?;
    let attempt = cx.attempt(&request).await;
    let error = expect_error!(attempt.result, ErrorKind::Unsupported);
    expect_mentions(&error, "linux/s390x")?;
    expect_explained(&error)?;
    let started = attempt.log.0.iter();
    let started: Vec<_> = started
        .filter(|event| matches!(event, boxwright_core::Event::StepStarted { .. }))
        .collect();
    expect!(started.is_empty(), "something was built before: {started:?}");
    cx.expect_absent(&[name]).await
}

async fn builds_here(cx: Cx) -> CaseResult {
    let name = cx.name_in(RegistryKind::Open)?;
    let text = format!(
        "FROM --platform=$BUILDPLATFORM {} AS made\nARG TARGETARCH\nRUN echo \"for $TARGETARCH\" > /made\n\
         FROM scratch\nCOPY --from=made /made /for\n",
        cx.base()?
    );
    let request = request(&cx, &text, &name)?;
    let digest = pushed(&cx, &request).await?;
    expect_both(&cx, &name, &digest).await
}
