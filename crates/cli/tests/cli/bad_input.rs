//! What people get wrong when an image is to be built from a specification, pushed and checked: every time the program
//! says what is wrong and what to do, and ends with the documented code. Nothing is built.

use boxwright_testkit::{Access, Answer, FakeRegistry, Moment};

use super::harness::{Home, Run};
use super::vendor::{AMAZON, ECR, World};

/// A project with all that the specifications here name.
fn project(spec: &str) -> Home {
    Home::new()
        .file("project/spec.yaml", spec)
        .file("project/Pipfile.lock", "{}")
        .file("project/uv.lock", "")
        .file("project/more.txt", "-r other.txt\n")
        .file("outside/secret.txt", "hush\n")
}

fn build(spec: &str) -> Run {
    project(spec).fake(&["build", "project/spec.yaml"])
}

/// Every check of a field has a line here: the specification, what is wrong, what to do.
const FIELDS: [(&str, &str, &str); 38] = [
    ("pakages: [a]", "unknown field `pakages`", "use `packages`"),
    ("apt-packages: [a]", "unknown field `apt-packages`", "use `apt_packages`"),
    ("packages: numpy", "`packages` has a wrong value", "a list"),
    ("env: [a]", "`env` has a wrong value", "a table"),
    ("pip_secret_mounts: [token]", "`pip_secret_mounts` has a wrong value", "a pair"),
    ("packages: [null]", "`packages[0]` is empty", "in quotes"),
    ("name: \"a\\0b\"", "has a byte of value zero", "take it out"),
    ("builder_options: {egnine: a}", "unknown field `builder_options.egnine`", "use `engine`"),
    (
        "registry: https://ghcr.io/acme/",
        "`registry` is an address",
        "leave the scheme out: `ghcr.io/acme`",
    ),
    ("registry: 'ghcr.io/acme:1'", "`registry` is no registry", "ghcr.io/acme"),
    ("name: 'app:1'", "`name` is no name of an image", "letters, digits"),
    ("python_version: '3'", "`python_version` is no version", "`3.12`"),
    ("python_version: latest", "`python_version` is no version", "`3.12`"),
    ("python_exec: python3", "`python_exec` is no absolute path", "/usr/bin/python3"),
    ("{python_exec: /a, conda_packages: [b]}", "exclude each other", "leave `python_exec` out"),
    ("platform: linux/", "`platform` is no platform", "`linux/amd64`"),
    ("env: {1A: x}", "`env.1A` is no name of a variable", "letters, digits and `_`"),
    ("env: {A: \"x\\ny\"}", "`env.A` has more than one line", "one line"),
    ("env: {A: \"x\\ry\"}", "`env.A` has more than one line", "one line"),
    ("env: {A: \"x\\ey\"}", "`env.A` has a control character", "take it out"),
    ("apt_packages: ['a b']", "`apt_packages[0]` is no package of Debian", "NAME=VERSION"),
    ("packages: [' ']", "`packages[0]` is empty", "write one"),
    ("conda_packages: ['--a']", "`conda_packages[0]` begins with a dash", "without options"),
    ("pip_extra_args: \"a 'b\"", "`pip_extra_args` has a quote that is not closed", "close it"),
    ("pip_secret_mounts: [[spec.yaml, a]]", "has no plain absolute path", "/etc/pip.conf"),
    ("pip_secret_mounts: [[gone, /etc/a]]", "names no file: `gone`", "relative to the folder"),
    ("source_copy_mode: all", "`source_copy_mode` has no folder", "`source_root`"),
    ("tag_format: latest", "`tag_format` does not depend on the content", "{spec_hash}"),
    ("tag_format: 'a b{spec_hash}'", "`tag_format` makes no tag", "letters, digits"),
    ("builder_options: {no_cache: maybe}", "is neither yes nor no", "`true` or `false`"),
    ("base_image: 'a b'", "`base_image` is no name of an image", "docker.io/library/debian"),
    ("builder_config: {micromamba_image: '@'}", "micromamba_image` is no name", "docker.io"),
    ("cuda: '12'", "`cuda` cannot be installed by itself", "`base_image`"),
    ("requirements: Pipfile.lock", "has an unknown format: `Pipfile.lock`", "`uv.lock`"),
    ("requirements: more.txt", "needs another file", "into this one"),
    ("requirements: uv.lock", "no `pyproject.toml` beside", "put the one"),
    ("requirements: gone.txt", "which cannot be read", "relative to the folder"),
    ("copy: [gone]", "`copy[0]` names `gone`, which cannot be read", "relative to the folder"),
];

#[test]
fn every_wrong_field_is_told_with_what_to_do() {
    for (spec, what, remedy) in FIELDS {
        let run = build(&format!("{spec}\n"));
        assert_eq!((run.code, run.stdout.as_str()), (2, ""), "{spec}\n{run}");
        assert!(run.stderr.contains(what), "{spec}\n{run}");
        let (_, help) = run.stderr.split_once("help: ").unwrap_or_else(|| panic!("{spec}\n{run}"));
        assert!(help.contains(remedy), "{spec}\n{run}");
    }
}

#[test]
fn no_path_leaves_the_project() {
    for spec in [
        "copy: [../outside/secret.txt]",
        "copy: [a/../../outside]",
        "copy: [/etc/hostname]",
        "copy: [link]",
        "source_root: ../outside",
        "source_root: link",
        "requirements: ../outside/secret.txt",
        "requirements: link/secret.txt",
    ] {
        let home = project(&format!("{spec}\n"));
        std::os::unix::fs::symlink("../outside", home.path("project/link")).unwrap();
        let run = home.fake(&["build", "project/spec.yaml"]);
        assert_eq!(run.code, 2, "{spec}\n{run}");
        assert!(run.stderr.contains("leaves the folder of the specification"), "{spec}\n{run}");
        assert!(run.stderr.contains("help: copy the file there"), "{spec}\n{run}");
        assert!(!run.stderr.contains("hush"), "{run}");
    }
}

#[test]
fn a_platform_that_this_engine_cannot_build_for_is_told() {
    let spec = "base_image: a.example/base:1\nplatform: windows/amd64\ncopy: [more.txt]\n";
    let run = build(spec);
    assert_ne!(run.code, 0, "{run}");
    assert!(run.stderr.contains("error: "), "{run}");
    assert!(run.stderr.contains("help: "), "{run}");
}

/// A file with a login, but for another registry: it is nobody's, and its password goes nowhere.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn credentials_for_another_host_are_none() {
    let access = Access::Password { user: "ann".into(), password: "secret".into() };
    let registry = FakeRegistry::start(access, Vec::new(), None).await.unwrap();
    let other = r#"{"auths": {"ghcr.io": {"username": "ann", "password": "secret"}}}"#;
    let home = Home::new().file("other.json", other);
    let image = format!("{}/acme/app:1", registry.host());
    let run = tokio::task::block_in_place(|| home.real(&["check", &image, "--as", "other.json"]));
    assert_eq!(run.code, 1, "{run}");
    assert!(run.stderr.contains("cannot be pulled"), "{run}");
    assert!(run.stderr.contains("help: "), "{run}");
    assert!(!run.stderr.contains("secret\""), "{run}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_helper_that_prints_rubbish_or_hangs_is_named() {
    let world = World::start(AMAZON).await;
    for (script, cause) in [
        ("echo '<html>'", "it did not answer in JSON"),
        ("echo '{\"Username\": \"\", \"Secret\": \"x\"}'", "a password without a user's name"),
        ("echo trouble >&2; exit 7", "ended with status 7"),
        ("exec sleep 60", "cannot ask the credential helper"),
    ] {
        world.install("docker-credential-broken", script);
        let run = world.run(&format!("boxwright check {ECR}/team/api:1 --as helper:broken"));
        assert_eq!(run.code, 2, "{script}\n{run}");
        assert!(run.stderr.contains(cause), "{script}\n{run}");
        let (_, help) = run.stderr.split_once("help: ").unwrap_or_else(|| panic!("{run}"));
        assert!(help.contains("docker-credential-broken"), "{script}\n{run}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_login_that_has_ended_is_told_with_how_to_renew_it() {
    let world = World::start(AMAZON).await;
    let old = format!(
        "{{\"auths\": {{\"{ECR}\": {{\"username\": \"AWS\", \"password\": \"yesterdays\"}}}}}}"
    );
    std::fs::write(world.home.path("project/old.json"), old).unwrap();
    for question in ["", "--push"] {
        let run = world.run(&format!("boxwright check {ECR}/team/api:1 --as old.json {question}"));
        assert_eq!(run.code, 1, "{run}");
        assert!(run.stderr.contains("a login lasts 12 hours"), "{run}");
        assert!(!run.stderr.contains("yesterdays"), "{run}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registry_that_answers_html_is_no_registry_to_any_command() {
    let registry = FakeRegistry::faulty(Moment::Anything, Answer::Html).await.unwrap();
    let host = registry.host();
    let image = format!("{host}/acme/app:1");
    let home = Home::new().file("app/Dockerfile", "FROM scratch\nCOPY Dockerfile /\n");
    for (arguments, code) in [
        (vec!["exists", image.as_str()], 5),
        (vec!["check", &image], 1),
        (vec!["check", &image, "--push"], 1),
        (vec!["build", "app", "-q", "-t", &image, "--push"], 1),
        (vec!["build", "app", "-q", "-t", &image, "--push", "--check-as", "anonymous"], 1),
        (vec!["login", &host, "-u", "ann", "--password-stdin"], 1),
    ] {
        let run = tokio::task::block_in_place(|| home.fake_with_input(&arguments, b"secret\n"));
        assert_eq!(run.code, code, "{arguments:?}\n{run}");
        assert!(run.stderr.contains("help: "), "{arguments:?}\n{run}");
    }
}
