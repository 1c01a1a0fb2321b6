//! What the store keeps, and what it does not.

#![expect(clippy::unwrap_used, reason = "a panic here is a failed test with its place")]

use std::path::Path;

use boxwright_core::{
    BuildOutput, BuildRequest, ContextSource, Event, EventSink, Host, Session, StepResult,
};
use boxwright_portable::{Builder, Store};
use boxwright_testkit::ContextFolder;

fn context(files: &[(&str, &str)]) -> ContextFolder {
    let folder = ContextFolder::with_dockerfile("FROM scratch\nCOPY in /out\n").unwrap();
    files.iter().fold(folder, |folder, (path, text)| folder.file(path, 0o644, text).unwrap())
}

/// Builds `context` in `store`. Returns the outcome, and how many steps were cached.
async fn build(store: &Store, context: &ContextFolder) -> (BuildOutput, usize) {
    let request = BuildRequest::new(ContextSource::Folder(context.path().to_owned()));
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
