//! `df` and `prune` on a store that builds filled.

use serde_json::Value;

use super::harness::{Home, Run};

fn home() -> Home {
    let home =
        Home::with_dockerfile("FROM scratch\nCOPY hello /hello\n").file("app/hello", "hello\n");
    let store = home.path("store").display().to_string();
    // The machine's own engines are left alone.
    let none = format!("unix://{}", home.path("no.sock").display());
    let home = home.variable("PATH", "/nonexistent").variable("LXD_SOCKET", "/nonexistent");
    let home = home.variable("DOCKER_HOST", &none).variable("CONTAINER_HOST", &none);
    home.variable("CONTAINERD_ADDRESS", &none).variable("BOXWRIGHT_STORE", store)
}

fn json(run: &Run) -> Value {
    assert_eq!(run.code, 0, "{run}");
    serde_json::from_str(&run.stdout).unwrap()
}

fn build(home: &Home, tag: &str) {
    let run = home.real(&["build", "--engine", "embedded", "-q", "-t", tag, "app"]);
    assert_eq!(run.code, 0, "{run}");
}

#[test]
fn the_store_is_counted_and_pruned() {
    let home = home();
    let usage = json(&home.real(&["df", "--format", "json"]));
    assert_eq!((&usage["images"]["count"], &usage["cache"]["count"]), (&0.into(), &0.into()));
    build(&home, "api:1");
    let home = home.file("app/hello", "hello again\n");
    build(&home, "api:1");
    let usage = json(&home.real(&["df", "--format", "json"]));
    assert_eq!((&usage["images"]["count"], &usage["cache"]["count"]), (&3.into(), &3.into()));
    let run = home.real(&["df"]);
    assert!(run.stdout.starts_with("WHAT ") && run.stdout.contains("\nimages  3 "), "{run}");

    let none = json(&home.real(&["prune", "--older-than", "1h", "--format", "json"]));
    assert_eq!(none["removed"]["count"], 0);
    let run = home.real(&["prune"]);
    assert!(run.code == 0 && run.stdout.starts_with("removed 3 blobs, "), "{run}");
    let pruned = json(&home.real(&["prune", "--format", "json"]));
    assert_eq!(
        (&pruned["names"], &pruned["engines"][0]["engine"]),
        (&Value::Array(vec![]), &"embedded".into())
    );
    let run = home.real(&["prune", "--all"]);
    assert!(run.stdout.starts_with("untagged docker.io/library/api:1\nremoved 3 blobs, "), "{run}");
    let run = home.real(&["prune", "--keep-storage", "much"]);
    assert!(run.code == 2 && run.stderr.contains("`much` is not a size"), "{run}");
    build(&home, "api:2");
}
