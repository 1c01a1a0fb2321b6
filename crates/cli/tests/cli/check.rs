//! `exists` and `check` against registries in this process.

use std::io::BufReader;

use boxwright_testkit::{Access, FakeRegistry};
use rustix::process::Signal;
use serde_json::Value;

use super::harness::{Home, Run};
use super::signals::{signal, skip_to};

/// Pushes an image to a registry, and returns its name.
fn pushed(home: &Home, registry: &FakeRegistry) -> String {
    let image = format!("{}/acme/app:1", registry.host());
    let run = home.fake(&["build", "app", "-q", "-t", &image, "--push"]);
    assert_eq!(run.code, 0, "{run}");
    image
}

fn home() -> Home {
    Home::with_dockerfile("FROM scratch\nCOPY hello /hello\n").file("app/hello", "hello\n")
}

/// What a run answers, with the host that changes from run to run taken out.
fn told(run: &Run, registry: &FakeRegistry) -> (u8, String, String) {
    let clean = |text: &str| text.replace(&registry.host(), "HOST");
    (u8::try_from(run.code).unwrap(), clean(&run.stdout), clean(&run.stderr))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn existence_has_three_answers() {
    let registry = FakeRegistry::open().await.unwrap();
    let home = home();
    let image = pushed(&home, &registry);
    let digest = registry.manifest("acme/app", "1").unwrap();
    let (code, out, _) = told(&home.real(&["exists", &image]), &registry);
    assert_eq!((code, out), (0, format!("HOST/acme/app@{digest}\n")));
    let absent = format!("{}/acme/app:2", registry.host());
    let (code, out, says) = told(&home.real(&["exists", &absent]), &registry);
    assert_eq!((code, out.as_str()), (1, ""));
    assert_eq!(says, "`HOST/acme/app:2` is not there\n");
    let run = home.real(&["exists", &image, "--platform", "linux/s390x"]);
    let (code, _, says) = told(&run, &registry);
    assert_eq!((code, says.as_str()), (1, "`HOST/acme/app:1` for `linux/s390x` is not there\n"));
    let run = home.real(&["exists", "localhost:1/acme/app:1", "--format", "json"]);
    assert_eq!(run.code, 5, "{run}");
    let answer: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(answer["exists"], "unknown");
    assert!(answer["why"].as_str().unwrap().contains("localhost:1"), "{run}");
}

#[test]
fn a_registry_that_never_answers_is_said_to_be_waited_for() {
    // Connections are taken by the kernel and never answered.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let image = format!("{address}/acme/app:1");
    let home = home();
    let build = ["build", "app", "-t", &image, "--push", "--check-as", "anonymous"];
    for arguments in [&["check", "--push", &image][..], &["exists", &image], &build] {
        let mut child = home.start_fake(arguments);
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        skip_to(&mut stderr, &format!("waiting for `{address}` to answer"));
        signal(&child, Signal::INT);
        assert_eq!(home.ended(child).code, 130, "{arguments:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_pulls_decides_whether_it_can_be_pulled() {
    let access = Access::Password { user: "ann".into(), password: "secret".into() };
    let registry = FakeRegistry::start(access, Vec::new(), None).await.unwrap();
    // `ann:secret`, as a pull secret has it.
    let auths = serde_json::json!({"auths": {registry.host(): {"auth": "YW5uOnNlY3JldA=="}}});
    let home = home().file("pull.json", auths.to_string());
    let secret = home.path("pull.json").display().to_string();
    let login = |home: Home| home.variable("BOXWRIGHT_REGISTRY_USER", "ann");
    let user = login(self::home()).variable("BOXWRIGHT_REGISTRY_PASSWORD", "secret");
    let image = pushed(&user, &registry);
    let digest = registry.manifest("acme/app", "1").unwrap();

    let (code, out, says) = told(&home.real(&["check", &image, "--as", &secret]), &registry);
    assert_eq!((code, out), (0, format!("HOST/acme/app@{digest}\n")), "{says}");
    assert!(says.contains("can pull `HOST/acme/app:1` for `linux/"), "{says}");
    assert!(says.contains(": 1 layer, "), "{says}");

    let run = home.real(&["check", &image, "--as", "anonymous"]);
    let (code, out, says) = told(&run, &registry);
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(says.contains("error: `HOST/acme/app:1` cannot be pulled"), "{says}");
    assert!(says.contains("help: make the repository"), "{says}");
    assert!(!says.contains("secret\""), "{says}");

    let run = home.real(&["check", &image, "--push", "--as", &secret, "--format", "json"]);
    let answer: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!((run.code, &answer["pushable"]), (0, &Value::Bool(true)));
    let (code, _, says) = told(&home.real(&["check", &image, "--push"]), &registry);
    assert_eq!(code, 1);
    assert!(says.contains("help: log in with `boxwright login HOST`"), "{says}");
    assert_eq!(registry.manifest("acme/app", "1"), Some(digest), "nothing was changed");
}

/// Three requests and one for each blob, whatever the registry wants to know before it answers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_question_takes_few_requests() {
    let (user, password) = ("ann".to_owned(), "secret".to_owned());
    let by_token = Access::Token { user: user.clone(), password: password.clone() };
    for access in [Access::Open, Access::Password { user, password }, by_token] {
        let registry = FakeRegistry::start(access.clone(), Vec::new(), None).await.unwrap();
        let home = home().variable("BOXWRIGHT_REGISTRY_USER", "ann");
        let home = home.variable("BOXWRIGHT_REGISTRY_PASSWORD", "secret");
        let image = pushed(&home, &registry);
        // A config and a layer.
        let blobs = 2;
        let platform = boxwright_core::Platform::of_this_machine().to_string();
        for (question, most) in [
            (vec!["exists", &image], 3),
            (vec!["exists", &image, "--platform", &platform], 3 + blobs),
            (vec!["check", &image], 3 + blobs),
        ] {
            let before = registry.requests().len();
            let run = tokio::task::block_in_place(|| home.real(&question));
            assert_eq!(run.code, 0, "{run}");
            let asked = registry.requests().split_off(before);
            assert!(asked.len() <= most, "{access:?}, {question:?}: {asked:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn credentials_that_cannot_be_had_are_the_requests_fault() {
    let registry = FakeRegistry::open().await.unwrap();
    let image = format!("{}/acme/app:1", registry.host());
    let run = home().real(&["check", &image, "--as", "nowhere.json"]);
    assert_eq!(run.code, 1, "{run}");
    assert!(run.stderr.contains("there is no credentials file `"), "{run}");
    let run = home().real(&["check", &image, "--as", "helper:../evil"]);
    assert_eq!(run.code, 2, "{run}");
}

/// `--check-as` asks before the build, when nothing has been done, and after the push, as whoever pulls.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_build_asks_before_it_and_after_it() {
    let open = FakeRegistry::open().await.unwrap();
    let home = home();
    let image = format!("{}/acme/app:1", open.host());
    let arguments = ["build", "app", "-t", &image, "--push", "--check-as", "anonymous"];
    let run = home.fake(&arguments);
    assert_eq!(run.code, 0, "{run}");
    assert!(run.stderr.contains("everyone can pull"), "{run}");
    let access = Access::Password { user: "ann".into(), password: "secret".into() };
    let closed = FakeRegistry::start(access, Vec::new(), None).await.unwrap();
    let image = format!("{}/acme/app:1", closed.host());
    let arguments = ["build", "app", "-t", &image, "--push", "--check-as", "anonymous"];
    let refused = home.fake(&arguments);
    assert_eq!(refused.code, 1, "{refused}");
    assert!(refused.stderr.contains("cannot be pushed to"), "{refused}");
    assert!(!refused.stderr.contains("built"), "{refused}");
    let user = home.variable("BOXWRIGHT_REGISTRY_USER", "ann");
    let user = user.variable("BOXWRIGHT_REGISTRY_PASSWORD", "secret");
    let private = user.fake(&arguments);
    assert_eq!(private.code, 1, "{private}");
    assert!(private.stderr.contains("cannot be pulled"), "{private}");
    // It was pushed all the same, and that is told.
    assert!(private.stdout.contains("@sha256:"), "{private}");
    let alone = user.fake(&["build", "app", "--check-as", "anonymous"]);
    assert_eq!(alone.code, 2, "{alone}");
}
