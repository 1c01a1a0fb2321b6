//! `df` and `prune` on a store that builds filled.

use serde_json::Value;

use super::harness::{Home, Run, base};

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
    assert!(run.stdout.starts_with("WHAT ") && run.stdout.contains("\nimages     3 "), "{run}");

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

#[test]
fn what_steps_used_is_counted_and_pruned_too() {
    let dockerfile = "FROM scratch\nADD base.tar /\n\
                      RUN --mount=type=cache,target=/cache [\"/bin/busybox\", \"touch\", \"/cache/a\", \"/made\"]\n";
    let home = home().file("app/Dockerfile", dockerfile).file("app/base.tar", base());
    build(&home, "api:1");
    let count = |usage: &Value, what: &str| usage["steps"][what]["count"].as_u64().unwrap();
    let usage = json(&home.real(&["df", "--format", "json"]));
    // What is added, and what the step made.
    let counts = ["layers", "caches", "leftovers"].map(|what| count(&usage, what));
    assert_eq!(counts, [2, 1, 0], "{usage}");
    let run = home.real(&["df"]);
    assert!(run.stdout.contains("\nunpacked   2 ") && run.stdout.contains("\nmounts "), "{run}");

    let run = home.real(&["prune", "--older-than", "1h"]);
    assert!(run.code == 0 && !run.stdout.contains("unpacked"), "{run}");
    let old = home.path("store/worker/boxwright-worker-0123");
    std::fs::write(&old, "an older one").unwrap();
    let run = home.real(&["prune", "--keep-storage", "1"]);
    for removed in ["2 unpacked layers, ", "1 cache of steps, ", "1 leftover of steps, 12 B"] {
        assert!(run.stdout.contains(&format!("\nremoved {removed}")), "{run}");
    }
    assert!(!old.exists());
    let usage = json(&home.real(&["df", "--format", "json"]));
    assert_eq!(["layers", "caches", "leftovers"].map(|what| count(&usage, what)), [0; 3]);
    // What was removed is made again.
    let home = home.file("app/more", "");
    let home =
        home.file("app/Dockerfile", format!("{dockerfile}RUN [\"/bin/busybox\", \"true\"]\n"));
    build(&home, "api:2");
}
