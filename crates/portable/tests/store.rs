//! What the store keeps, and what it does not.

#![expect(clippy::unwrap_used, reason = "a panic here is a failed test with its place")]

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use boxwright_core::{
    BuildOutput, BuildRequest, ContextSource, Event, EventSink, Host, Session, StepResult,
};
use boxwright_portable::{Builder, Pruned, Pruning, Scope, Store};
use boxwright_testkit::ContextFolder;

fn context(files: &[(&str, &str)]) -> ContextFolder {
    let folder = ContextFolder::with_dockerfile("FROM scratch\nCOPY in /out\n").unwrap();
    files.iter().fold(folder, |folder, (path, text)| folder.file(path, 0o644, text).unwrap())
}

/// Builds `context` in `store`. Returns the outcome, and how many steps were cached.
async fn build(store: &Store, context: &ContextFolder) -> (BuildOutput, usize) {
    build_as(store, context, None).await
}

async fn build_as(
    store: &Store,
    context: &ContextFolder,
    tag: Option<&str>,
) -> (BuildOutput, usize) {
    let mut request = BuildRequest::new(ContextSource::Folder(context.path().to_owned()));
    request.tags.extend(tag.map(|tag| tag.parse().unwrap()));
    let mut session = Session::new(Host::with_variables::<String, String>("/", []));
    let (sink, mut receiver) = EventSink::channel();
    session.events = sink;
    let output = Builder::new(store.clone()).build(&request, &session).await.unwrap();
    drop(session);
    let mut cached = 0;
    while let Some(event) = receiver.recv().await {
        let is_cached = matches!(event, Event::StepFinished { result: StepResult::Cached, .. });
        cached += usize::from(is_cached);
    }
    (output, cached)
}

fn files_in(folder: &Path) -> Vec<String> {
    let mut all: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    all.sort();
    all
}

#[tokio::test]
async fn a_layer_that_turns_out_to_be_known_is_not_kept() {
    let folder = ContextFolder::new().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let files = [("in/a", "some"), ("in/b/c", "text")];
    let (first, cached) = build(&store, &context(&files)).await;
    assert_eq!(cached, 0);
    let blobs = || files_in(&folder.path().join("blobs/sha256"));
    let before = blobs();
    // Another folder, of whose files nothing is known: they are read, and the layer is written meanwhile.
    let (second, cached) = build(&store, &context(&files)).await;
    assert_eq!((cached, second.id), (1, first.id));
    assert_eq!(blobs(), before);
    assert_eq!(files_in(&folder.path().join("ingest")), [""; 0]);
}

const DAY: Duration = Duration::from_secs(24 * 3600);

/// A store of one named image and one that lost its name, all of it a day old.
struct Old {
    folder: ContextFolder,
    store: Store,
    context: ContextFolder,
}

impl Old {
    async fn new() -> Self {
        let folder = ContextFolder::new().unwrap();
        let store = Store::open(folder.path().join("store")).unwrap();
        let tag = "localhost/api:1";
        let before = context(&[("in/a", "before")]);
        build_as(&store, &before, Some(tag)).await;
        let context = context(&[("in/a", "after")]);
        build_as(&store, &context, Some(tag)).await;
        let old = Self { folder, store, context };
        old.age();
        old
    }

    fn age(&self) {
        for blob in self.blobs() {
            File::open(blob).unwrap().set_modified(SystemTime::now() - DAY).unwrap();
        }
    }

    fn blobs(&self) -> Vec<PathBuf> {
        let folder = self.folder.path().join("store/blobs/sha256");
        files_in(&folder).iter().map(|name| folder.join(name)).collect()
    }

    async fn prune(&self, change: impl FnOnce(&mut Pruning)) -> Pruned {
        let mut pruning = Pruning::default();
        change(&mut pruning);
        self.store.prune(&pruning).await.unwrap()
    }

    async fn has_image(&self) -> bool {
        self.store.find(&"localhost/api:1".parse().unwrap(), None).await.unwrap().is_some()
    }
}

#[tokio::test]
async fn pruning_removes_what_no_name_needs_and_a_build_goes_on() {
    let old = Old::new().await;
    let usage = old.store.usage().await.unwrap();
    // Manifest, config and layer of each.
    assert_eq!((usage.images.count, usage.cache.count), (3, 3));
    let pruned = old.prune(|_| {}).await;
    assert_eq!((pruned.removed, pruned.in_use.count), (usage.cache, 0));
    assert!(old.has_image().await);
    assert_eq!(build(&old.store, &old.context).await.1, 1, "what the image needs is still known");

    old.age();
    let pruned = old.prune(|it| it.scope = Scope::All).await;
    assert_eq!(pruned.names, ["localhost/api:1".parse().unwrap()]);
    assert_eq!((old.blobs(), old.has_image().await), (Vec::new(), false));
    let (again, cached) = build(&old.store, &old.context).await;
    assert_eq!((cached, old.store.built(&again.id).await.unwrap().is_some()), (0, true));
}

#[tokio::test]
async fn pruning_is_bounded_by_age_and_size() {
    let old = Old::new().await;
    assert_eq!(old.prune(|it| it.older_than = Some(2 * DAY)).await.removed.count, 0);
    let total: u64 = old.blobs().iter().map(|blob| blob.metadata().unwrap().len()).sum();
    assert_eq!(old.prune(|it| it.keep_storage = Some(total)).await.removed.count, 0);
    // One byte too much: the blob that was not used for the longest time goes, and no other.
    let first = old.blobs().into_iter().find(|blob| {
        let text = std::fs::read_to_string(blob).unwrap_or_default();
        text.contains("before")
    });
    let first = first.unwrap();
    File::open(&first).unwrap().set_modified(SystemTime::now() - 3 * DAY).unwrap();
    let pruned = old.prune(|it| it.keep_storage = Some(total - 1)).await;
    assert_eq!((pruned.removed.count, first.exists()), (1, false));
    assert_eq!(old.prune(|it| it.older_than = Some(DAY / 2)).await.removed.count, 2);
}

#[tokio::test]
async fn what_nobody_used_in_a_month_goes_by_itself() {
    let old = Old::new().await;
    let month_ago = SystemTime::now() - 31 * DAY;
    for blob in old.blobs() {
        File::open(blob).unwrap().set_modified(month_ago).unwrap();
    }
    let (_, cached) = build(&old.store, &old.context).await;
    assert_eq!((cached, old.blobs().len()), (1, 6), "it was looked after today");
    let stamp = old.folder.path().join("store/pruned");
    File::options()
        .append(true)
        .open(stamp)
        .unwrap()
        .set_modified(SystemTime::now() - 2 * DAY)
        .unwrap();
    build(&old.store, &old.context).await;
    let usage = old.store.usage().await.unwrap();
    assert_eq!((usage.images.count, old.has_image().await), (3, true));
    assert_eq!(usage.cache.count, 0);
}

#[tokio::test]
async fn pruning_takes_nothing_from_a_running_build_threat_40() {
    let old = Old::new().await;
    let user = old.store.enter().await.unwrap();
    // The build relies on the image, and nothing else is used.
    assert!(old.has_image().await);
    let pruned = old.prune(|it| it.scope = Scope::All).await;
    assert_eq!((pruned.removed.count, pruned.names.len()), (3, 0));
    assert!(pruned.in_use.count > 0);
    assert!(old.has_image().await);
    drop(user);
    assert_eq!(old.prune(|it| it.scope = Scope::All).await.names.len(), 1);
}

#[tokio::test]
async fn builds_and_pruning_at_once_all_succeed_threat_40() {
    let folder = ContextFolder::new().unwrap();
    let mut work = tokio::task::JoinSet::new();
    for number in 0..4 {
        // Stores of their own on one folder, as processes have them.
        let store = Store::open(folder.path()).unwrap();
        work.spawn(async move {
            for round in 0..8 {
                let text = (round % 3).to_string();
                let context = context(&[("in/a", &text), ("in/b", "the same")]);
                build(&store, &context).await;
                if number == 0 {
                    let mut pruning = Pruning::default();
                    pruning.scope = Scope::All;
                    store.prune(&pruning).await.unwrap();
                }
            }
        });
    }
    while let Some(done) = work.join_next().await {
        done.unwrap();
    }
}

#[tokio::test]
async fn a_damaged_base_is_fetched_again_and_never_used_threat_29() {
    use std::sync::Arc;

    let registry = boxwright_testkit::FakeRegistry::open().await.unwrap();
    let host = Host::with_variables::<String, String>("/", []);
    let client =
        boxwright_registry::Client::new(&host, Arc::default(), Arc::new(boxwright_core::Anonymous));
    let folder = ContextFolder::new().unwrap();
    let open = |name: &str| Store::open(folder.path().join(name)).unwrap();
    let (base, store) = (open("base"), open("store"));
    let (built, _) = build(&base, &context(&[("in/a", "of the base")])).await;
    let name: boxwright_core::ImageRef = format!("{}/base:1", registry.host()).parse().unwrap();
    let manifest = base.built(&built.id).await.unwrap().unwrap();
    base.push(&client, &name, &manifest, Default::default()).await.unwrap();

    // The folder of the base is needed for the one that is made in it.
    let dockerfile = format!("FROM {name}\nCOPY in /out/deeper\n");
    let above =
        ContextFolder::with_dockerfile(&dockerfile).unwrap().file("in/b", 0o644, "b").unwrap();
    let (first, _) = build(&store, &above).await;
    let layer = store.find(&name, None).await.unwrap().unwrap().layers[0].0.clone();
    let path = folder.path().join("store/blobs/sha256").join(layer.digest.hex());
    let good = std::fs::read(&path).unwrap();
    let mut bad = good.clone();
    // The last bytes: everything before is read well.
    *bad.last_mut().unwrap() ^= 1;
    std::fs::write(&path, &bad).unwrap();
    let above = above.file("in/b", 0o644, "another").unwrap();
    let (second, _) = build(&store, &above).await;
    assert_ne!(second.id, first.id);
    assert!(std::fs::read(&path).unwrap() == good);
}

#[tokio::test]
async fn what_a_killed_build_left_is_counted() {
    let folder = ContextFolder::new().unwrap();
    let store = Store::open(folder.path()).unwrap();
    build(&store, &context(&[("in/a", "some")])).await;
    assert_eq!(store.usage().await.unwrap().partial.count, 0);
    std::fs::write(folder.path().join("ingest/blob-left"), "half").unwrap();
    let usage = store.usage().await.unwrap();
    assert_eq!((usage.partial.count, usage.partial.bytes), (1, 4));
}
