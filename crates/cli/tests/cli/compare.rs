//! `compare`: images of a registry, and of an engine's store.

use boxwright_testkit::FakeRegistry;
use serde_json::Value;

use super::harness::Home;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_two_images_have_differently_is_listed() {
    let registry = FakeRegistry::open().await.unwrap();
    let home = Home::with_dockerfile("FROM scratch\nARG V\nLABEL v=$V\nCOPY hello /hello\n")
        .file("app/hello", "hello\n");
    let name = |tag: &str| format!("{}/acme/app:{tag}", registry.host());
    let build = |tag: &str, content: &str| {
        std::fs::write(home.path("app/hello"), content).unwrap();
        let value = format!("V={tag}");
        let run =
            home.fake(&["build", "app", "-t", &name(tag), "--build-arg", &value, "--push", "-q"]);
        assert_eq!(run.code, 0, "{run}");
    };
    build("1", "hello\n");
    build("2", "goodbye\n");

    let run = home.fake(&["compare", &name("1"), &name("1")]);
    assert_eq!((run.code, run.stdout.as_str()), (0, "nothing differs\n"), "{run}");

    let run = home.fake(&["compare", &name("1"), &name("2")]);
    assert_eq!(run.code, 1, "{run}");
    for part in ["hello", "first:", "second:", "of the files differ"] {
        assert!(run.stdout.contains(part), "{part} in {run}");
    }
    let run = home.fake(&["compare", &name("1"), &name("2"), "--format", "json"]);
    assert_eq!(run.code, 1, "{run}");
    let value: Value = serde_json::from_str(&run.stdout).unwrap();
    let of = |part: &str| value[part].as_array().unwrap().clone();
    assert_eq!(of("config")[0]["what"], "config.Labels", "{value}");
    assert_eq!(of("files").len(), 1, "{value}");

    let run = home.fake(&["compare", &name("1"), &name("3")]);
    assert_eq!((run.code, run.stdout.as_str()), (1, ""), "{run}");
    assert!(run.stderr.contains("acme/app:3"), "{run}");
}
