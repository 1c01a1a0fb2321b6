//! Builds for several platforms.

use std::time::Duration;

use boxwright_core::{
    BlobStore, BuildOutput, BuildRequest, ErrorKind, Event, EventSink, Host, ImageRef, LocalImage,
    Platform, RemoveRequest, Result, Session, Step, StepOutcome, StepRunner, async_trait,
};
use boxwright_image::archive;
use boxwright_portable::{Builder, Pruning, local};

use crate::bench::Bench;

const TWO: &str = "FROM scratch\nARG TARGETARCH\nCOPY $TARGETARCH /for\nCOPY both /both\n";

fn bench(dockerfile: &str) -> Bench {
    Bench::new(dockerfile)
        .file("riscv64", 0o644, "for riscv64\n")
        .file("s390x", 0o644, "for s390x\n")
        .file("both", 0o644, "for both\n")
}

fn platforms() -> Vec<Platform> {
    ["riscv64", "s390x"].map(|architecture| Platform::new("linux", architecture, None)).into()
}

fn request(bench: &Bench, tag: &str) -> BuildRequest {
    let mut request = bench.request();
    request.platforms = platforms();
    request.tags = vec![tag.parse().unwrap()];
    request
}

async fn build(
    bench: &Bench,
    request: &BuildRequest,
    runner: Option<&dyn StepRunner>,
) -> (Result<BuildOutput>, Vec<String>) {
    let mut session = Session::new(Host::with_variables::<String, String>("/", []));
    let (sink, mut receiver) = EventSink::channel();
    session.events = sink;
    let builder = Builder::new(bench.store.clone());
    let builder = match runner {
        Some(runner) => builder.with_steps(runner),
        None => builder,
    };
    let build = async move { builder.build(request, &session).await };
    let listen = async {
        let mut started = Vec::new();
        while let Some(event) = receiver.recv().await {
            if let Event::StepStarted { name, .. } = event {
                started.push(name);
            }
        }
        started
    };
    tokio::join!(build, listen)
}

#[tokio::test]
async fn an_index_lists_an_image_for_each_platform_and_has_one_digest() {
    let bench = bench(TWO);
    let (built, started) = build(&bench, &request(&bench, "localhost/two:1"), None).await;
    let output = built.unwrap();
    assert!(started.contains(&"[linux/s390x 2/3] COPY $TARGETARCH /for".to_owned()), "{started:?}");
    assert_eq!(output.digest, Some(output.id.clone()));
    let layout = bench.store.layout();
    let index = layout.index(&output.id).await.unwrap();
    let listed: Vec<&Platform> = index.images.iter().map(|(platform, _)| platform).collect();
    assert_eq!(listed, platforms().iter().collect::<Vec<_>>());
    for (platform, image) in &index.images {
        assert_eq!(layout.config(image).await.unwrap().platform().as_ref(), Some(platform));
        let tree = boxwright_image::view::Tree::from_layers(layout, image).await.unwrap();
        let text = tree.read_file(layout, image, "/for", 100).await.unwrap();
        assert_eq!(text, format!("for {}\n", platform.architecture()).into_bytes());
    }
    let name: ImageRef = "localhost/two:1".parse().unwrap();
    for platform in platforms() {
        let found = bench.store.find(&name, Some(&platform)).await.unwrap();
        assert_eq!(found.as_ref(), index.image_for(&platform));
    }
    let here = bench.store.find(&name, Some(&Platform::of_this_machine())).await.unwrap();
    assert_eq!(here, None);
    let (again, _) = build(&bench, &request(&bench, "localhost/two:1"), None).await;
    assert_eq!(again.unwrap(), output);
    // From the same files, in another store.
    let other = self::bench(TWO);
    let (other, _) = build(&other, &request(&other, "localhost/two:1"), None).await;
    assert_eq!(other.unwrap().id, output.id);
}

#[tokio::test]
async fn an_index_is_one_image_of_the_store() {
    let bench = bench(TWO);
    let store = &bench.store;
    let (built, _) = build(&bench, &request(&bench, "localhost/two:1"), None).await;
    let output = built.unwrap();
    let list = local::images::list(store).await.unwrap();
    assert_eq!(list.iter().map(|it| &it.id).collect::<Vec<_>>(), [&output.id]);
    let name: LocalImage = "localhost/two:1".parse().unwrap();
    let details = local::images::inspect(store, &name).await.unwrap();
    assert_eq!(details.images, output.images);
    let second: ImageRef = "localhost/two:2".parse().unwrap();
    local::images::tag(store, &name, &second).await.unwrap();
    local::images::remove(store, &RemoveRequest::new(name.clone())).await.unwrap();
    // What has a name stays whole.
    store.prune(&Pruning::default()).await.unwrap();
    for platform in platforms() {
        assert!(store.find(&second, Some(&platform)).await.unwrap().is_some(), "{platform}");
    }
    local::images::remove(store, &RemoveRequest::new(second.into())).await.unwrap();
    assert!(local::images::list(store).await.unwrap().is_empty());
    tokio::time::sleep(Duration::from_millis(1100)).await;
    store.prune(&Pruning::default()).await.unwrap();
    let left = store.layout().index(&output.id).await;
    assert_eq!(left.unwrap_err().kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn an_archive_holds_the_index_with_all_of_its_images() {
    let bench = bench(TWO);
    let (built, _) = build(&bench, &request(&bench, "localhost/two:1"), None).await;
    let output = built.unwrap();
    let file = bench.context.path().join("archive.tar");
    let image = "localhost/two:1".parse().unwrap();
    let request = boxwright_core::ExportRequest::new(image, file.clone());
    let session = Session::new(Host::with_variables::<String, String>("/", []));
    local::archive::export(&bench.store, &request, &session).await.unwrap();
    let other = self::bench(TWO);
    let images = archive::read(&file, other.store.layout()).await.unwrap();
    let found: Vec<_> = images.iter().map(|it| it.platform.clone().unwrap()).collect();
    assert_eq!(found, platforms());
    assert!(images.iter().all(|it| it.names == ["localhost/two:1"]), "{images:?}");
    let index = other.store.layout().index(&output.id).await.unwrap();
    assert_eq!(index, bench.store.layout().index(&output.id).await.unwrap());
}

/// A runner that ends every command with one status.
struct Ends(i32);

#[async_trait]
impl StepRunner for Ends {
    async fn run(
        &self,
        _step: &Step,
        _blobs: &dyn BlobStore,
        _session: &Session,
    ) -> Result<StepOutcome> {
        Ok(StepOutcome::new(self.0, None))
    }
}

#[tokio::test]
async fn a_command_that_no_kernel_here_runs_is_refused_before_anything_is_built() {
    let bench = bench(&format!("{TWO}RUN [\"/both\"]\n"));
    let request = request(&bench, "localhost/two:1");
    let (built, started) = build(&bench, &request, Some(&Ends(126))).await;
    let error = built.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert_eq!(error.to_string(), "cannot run commands for `linux/riscv64`");
    assert!(error.remedy().unwrap().contains("qemu-user-static"), "{error:?}");
    assert_eq!(started, Vec::<String>::new());
    // One that ends well is taken for an emulator.
    let (built, started) = build(&bench, &request, Some(&Ends(0))).await;
    assert_eq!(built.unwrap().images.len(), 2);
    assert_eq!(started.iter().filter(|name| name.contains("RUN")).count(), 2, "{started:?}");
}

#[tokio::test]
async fn a_stage_that_builds_here_runs_for_every_platform() {
    let text = "FROM --platform=$BUILDPLATFORM scratch AS made\nCOPY both /both\nRUN [\"/both\"]\n\
                FROM made AS more\nRUN [\"/both\", \"again\"]\nFROM scratch\nCOPY --from=more /both /\n";
    let bench = bench(text);
    let request = request(&bench, "localhost/two:1");
    let runner = Ends(0);
    let (built, _) = build(&bench, &request, Some(&runner)).await;
    assert_eq!(built.unwrap().images.len(), 2);
    // It is not even tried whether others run.
    let (built, _) = build(&bench, &request, Some(&Ends(126))).await;
    assert!(built.is_ok(), "{built:?}");
}
