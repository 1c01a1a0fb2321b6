//! `push`, `pull` and `build --push` against registries in this process.

use boxwright_testkit::{Access, Answer, FakeRegistry, Moment};
use insta::assert_snapshot;
use serde_json::Value;

use super::harness::Home;

fn app() -> Home {
    Home::with_dockerfile("FROM scratch\nCOPY hello /hello\n").file("app/hello", "hello\n")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pushed_build_prints_where_it_is() {
    let registry = FakeRegistry::open().await.unwrap();
    let (one, two) =
        (format!("{}/acme/app:1", registry.host()), format!("{}/acme/app:2", registry.host()));
    let home = app();
    let run =
        home.fake(&["build", "app", "-t", &one, "-t", &two, "--push", "--metadata-file", "meta"]);
    assert_eq!(run.code, 0, "{run}");
    let digest = registry.manifest("acme/app", "1").unwrap();
    assert_eq!(registry.manifest("acme/app", "2").as_ref(), Some(&digest));
    let line = format!("{}/acme/app@{digest}\n", registry.host());
    assert_eq!(run.stdout, format!("{line}{line}"));
    let metadata = std::fs::read_to_string(home.path("meta")).unwrap();
    let metadata: Value = serde_json::from_str(&metadata).unwrap();
    assert_eq!(metadata["containerimage.digest"], digest.as_str());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_pushed_can_be_pulled() {
    let registry = FakeRegistry::open().await.unwrap();
    let image = format!("{}/acme/app:1", registry.host());
    let home = app();
    assert_eq!(home.fake(&["build", "app", "-q", "-t", &image, "--push"]).code, 0);
    let digest = registry.manifest("acme/app", "1").unwrap();
    let run = home.fake(&["pull", &image]);
    assert_eq!(run.stdout, format!("{}/acme/app@{digest}\n", registry.host()), "{run}");
    let run = home.fake(&["pull", &image, "--format", "json"]);
    let value: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(value[0]["digest"], digest.as_str());
    let missing = format!("{}/acme/nothing:1", registry.host());
    let run = home.fake(&["pull", &missing]);
    assert_eq!((run.code, run.stdout.as_str()), (1, ""), "{run}");
    assert!(run.stderr.contains("error: "), "{run}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_push_says_how_to_log_in() {
    let access = Access::Password { user: "ann".into(), password: "secret".into() };
    let registry = FakeRegistry::start(access, Vec::new(), None).await.unwrap();
    let image = format!("{}/acme/app:1", registry.host());
    let run = app().fake(&["build", "app", "-q", "-t", &image, "--push"]);
    assert_eq!((run.code, run.stdout.as_str()), (1, ""), "{run}");
    assert!(run.stderr.contains("boxwright login"), "{run}");
    let home = app()
        .variable("BOXWRIGHT_REGISTRY_USER", "ann")
        .variable("BOXWRIGHT_REGISTRY_PASSWORD", "secret");
    let run = home.fake(&["build", "app", "-q", "-t", &image, "--push"]);
    assert_eq!(run.code, 0, "{run}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_is_verified_kept_and_used() {
    let access = Access::Token { user: "ann".into(), password: "s3cret".into() };
    let registry = FakeRegistry::start(access, Vec::new(), None).await.unwrap();
    let host = registry.host();
    let home = app();
    let login = ["login", host.as_str(), "-u", "ann", "--password-stdin"];
    let run = home.fake_with_input(&login, b"wrong\n");
    assert_eq!((run.code, home.names("")), (1, vec!["app".to_owned()]), "{run}");
    let run = home.fake_with_input(&login, b"s3cret\n");
    assert_eq!((run.code, run.stdout.as_str()), (0, ""), "{run}");
    assert!(!run.stderr.contains("s3cret"), "{run}");
    let image = format!("{host}/acme/app:1");
    let run = home.fake(&["build", "app", "-q", "-t", &image, "--push"]);
    assert_eq!(run.code, 0, "{run}");
    assert_eq!(home.fake(&["logout", &host]).code, 0);
    let run = home.fake(&["build", "app", "-q", "-t", &image, "--push"]);
    assert_eq!(run.code, 1, "{run}");
}

#[test]
fn a_login_needs_a_name_and_a_password() {
    let home = Home::new();
    assert_snapshot!(home.fake_with_input(&["login", "ghcr.io"], b""), @r"
exit code 2
--- stdout
--- stderr
error: cannot ask for a password: standard input is no terminal

help: pipe the password in, and add `--username NAME --password-stdin`
");
    assert_snapshot!(home.fake_with_input(&["login", "ghcr.io", "--password-stdin"], b"x"), @r"
exit code 2
--- stdout
--- stderr
error: `--password-stdin` needs a user's name

help: add `--username NAME`
");
    assert_snapshot!(home.fake_with_input(&["login", "ghcr.io", "-u", "a", "--password-stdin"], b"\n"), @r"
exit code 2
--- stdout
--- stderr
error: the password on standard input is empty
");
    assert_snapshot!(home.fake(&["logout", "ghcr.io"]), @r"
exit code 0
--- stdout
--- stderr
there was no credential for `ghcr.io`
");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registry_that_fails_is_an_error_with_exit_code_1() {
    let refusals =
        [401, 403, 404, 413, 429, 500].map(|status| (Answer::Status(status), status.to_string()));
    let broken = (Answer::Cut(64), "the connection".to_owned());
    for (answer, says) in refusals.into_iter().chain([broken]) {
        let registry = FakeRegistry::faulty(Moment::BlobUpload, answer).await.unwrap();
        let image = format!("{}/acme/app:1", registry.host());
        let home = app();
        let run = home.fake(&["build", "app", "-q", "-t", &image, "--push"]);
        assert_eq!((run.code, run.stdout.as_str()), (1, ""), "{says}: {run}");
        assert!(run.stderr.contains(&says), "{says}: {run}");
        assert!(run.stderr.contains("caused by: "), "{says}: {run}");
        assert_eq!(registry.manifest("acme/app", "1"), None);
        assert_eq!(home.names(""), ["app"], "{says}");
    }
}

#[test]
fn an_unreachable_registry_is_not_a_missing_engine() {
    let run = app().fake(&["build", "app", "-q", "-t", "localhost:1/acme/app:1", "--push"]);
    assert_eq!((run.code, run.stdout.as_str()), (1, ""), "{run}");
    assert!(run.stderr.contains("localhost:1"), "{run}");
}
