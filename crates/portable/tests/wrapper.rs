//! An engine with the portable builder beside its own: what decides, where the image is, and what is pushed.

#![expect(clippy::unwrap_used, reason = "a panic here is a failed test with its place")]

use std::sync::Arc;

use boxwright_core::{
    BuildRequest, Capability, ContextSource, Engine, ErrorKind, Event, EventSink, Feature, Host,
    ImageRef, PushRequest, Session, Support,
};
use boxwright_image::pack::PackFormat;
use boxwright_portable::{Portable, Store, Way};
use boxwright_testkit::{ContextFolder, FakeEngine, FakeRegistry, FileServer, Page};

/// The fake engine's builder is a small one: it does not know `--parents`.
const NEEDS_PORTABLE: &str = "FROM scratch\nCOPY --parents a/file /to/\n";

struct Bench {
    context: ContextFolder,
    engine: Arc<dyn Engine>,
    store: ContextFolder,
}

impl Bench {
    fn new(dockerfile: &str) -> Self {
        let context = ContextFolder::with_dockerfile(dockerfile).unwrap();
        let context = context.file("a/file", 0o644, "x").unwrap();
        let engine = Arc::new(FakeEngine::open().unwrap());
        Self { context, engine, store: ContextFolder::new().unwrap() }
    }

    fn way(&self, way: Way) -> Portable {
        Portable::new(self.engine.clone(), way, Ok(self.store.path().join("store")))
    }

    fn request(&self, tag: &str) -> BuildRequest {
        let mut request = BuildRequest::new(ContextSource::Folder(self.context.path().to_owned()));
        request.tags = vec![tag.parse().unwrap()];
        request
    }
}

fn session() -> Session {
    Session::new(Host::with_variables::<String, String>("/", []))
}

#[tokio::test]
async fn a_feature_that_the_engine_lacks_decides_for_the_portable_builder() {
    let bench = Bench::new(NEEDS_PORTABLE);
    let engine = bench.way(Way::Auto);
    let (sink, mut events) = EventSink::channel();
    let session = session().with_events(sink);
    let output = engine.build(&bench.request("localhost/a:1"), &session).await.unwrap();
    assert_eq!(output.builder, "portable");
    drop(session);
    let mut notices = Vec::new();
    while let Some(event) = events.recv().await {
        if let Event::Notice { message } = event {
            notices.push(message);
        }
    }
    let said = "building with the portable builder because the build needs `copy-parents`: ";
    assert!(notices.iter().any(|notice| notice.starts_with(said)), "{notices:?}");
    let images = bench.engine.list(&self::session()).await.unwrap();
    assert_eq!((&images[0].id, &images[0].names), (&output.id, &output.tags));
}

#[tokio::test]
async fn what_the_engine_refuses_only_when_it_builds_is_built_portably() {
    let page = Page { content: b"x".to_vec(), ..Page::default() };
    let server = FileServer::start([("/file".to_owned(), page)].into()).await.unwrap();
    // What a base image has its heirs do is not known before the build.
    let base = Bench::new(&format!(
        "FROM scratch\nONBUILD ADD {} /\n",
        format_args!("{}/file", server.address())
    ));
    let output = base.way(Way::Native).build(&base.request("localhost/base:1"), &session()).await;
    assert_eq!(output.unwrap().builder, "fake");
    let heir = Bench { engine: base.engine.clone(), ..Bench::new("FROM localhost/base:1\n") };
    let request = heir.request("localhost/heir:1");
    let error = heir.way(Way::Native).build(&request, &session()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    let (sink, mut events) = EventSink::channel();
    let output = heir.way(Way::Auto).build(&request, &session().with_events(sink)).await.unwrap();
    assert_eq!(output.builder, "portable");
    let mut notices = Vec::new();
    while let Some(event) = events.recv().await {
        if let Event::Notice { message } = event {
            notices.push(message);
        }
    }
    let why = "the engine's own builder refused: cannot fetch";
    assert!(notices.iter().any(|notice| notice.contains(why)), "{notices:?}");
}

#[tokio::test]
async fn the_engine_builds_what_it_can_and_no_store_is_made() {
    let bench = Bench::new("FROM scratch\nCOPY a/file /to/\n");
    let output = bench.way(Way::Auto).build(&bench.request("localhost/a:1"), &session()).await;
    assert_eq!(output.unwrap().builder, "fake");
    assert!(!bench.store.path().join("store").exists());
}

#[tokio::test]
async fn a_forced_builder_builds_or_says_why_not() {
    let bench = Bench::new(NEEDS_PORTABLE);
    let request = bench.request("localhost/a:1");
    let output = bench.way(Way::Native).build(&request, &session()).await.unwrap();
    assert_eq!(output.builder, "fake");
    let output = bench.way(Way::Portable).build(&request, &session()).await.unwrap();
    assert_eq!(output.builder, "portable");
    let bench = Bench::new("FROM scratch\nRUN true\n");
    let request = bench.request("localhost/a:1");
    let error = bench.way(Way::Portable).build(&request, &session()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
}

#[tokio::test]
async fn what_was_built_portably_is_pushed_from_its_own_blobs_also_later() {
    let registry = FakeRegistry::open().await.unwrap();
    let name: ImageRef = format!("{}/a:1", registry.host()).parse().unwrap();
    let bench = Bench::new(NEEDS_PORTABLE);
    let request = bench.request(&name.to_string());
    let output = bench.way(Way::Portable).build(&request, &session()).await.unwrap();
    // A later command has another handle, which builds natively.
    let pushed = bench.way(Way::Native).push(&PushRequest::new(name), &session()).await.unwrap();
    let store = Store::open(bench.store.path().join("store")).unwrap();
    let built = store.built(&output.id).await.unwrap().unwrap();
    let packed = store.packed(&built, PackFormat::default()).await.unwrap();
    assert_eq!(pushed.digest, packed.descriptor.digest);
    assert_ne!(pushed.digest, built.descriptor.digest);
}

#[tokio::test]
async fn both_answers_stay_visible() {
    let bench = Bench::new(NEEDS_PORTABLE);
    let answer = |way| bench.way(way).native(Feature::CopyParents);
    assert!(!answer(Way::Native).is_available());
    for way in [Way::Portable, Way::Auto] {
        assert!(matches!(answer(way), Support::Emulated { .. }), "{way:?}");
    }
    let run = |way| bench.way(way).capabilities().get(Capability::BuildRun).clone();
    assert_eq!(run(Way::Auto), Support::Native);
    assert!(!run(Way::Portable).is_available());
}
