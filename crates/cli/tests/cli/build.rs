//! `boxwright build`: what it prints, and what it refuses before anything starts.

use std::os::unix::fs::PermissionsExt as _;

use insta::assert_snapshot;
use serde_json::Value;

use super::daemons::as_ordinary_user;
use super::harness::Home;

fn app() -> Home {
    Home::with_dockerfile("FROM scratch\nCOPY hello /hello\n").file("app/hello", "hello\n")
}

#[test]
fn a_build_prints_plain_lines_and_the_id() {
    assert_snapshot!(app().fake(&["build", "app", "-t", "acme/app"]), @r"
exit code 0
--- stdout
[digest]
--- stderr
building with fake 1.0.0 (fake; this process), the first ready one of fake
#1 [1/2] FROM scratch
#1 DONE [duration]

#2 [2/2] COPY hello /hello
#2 DONE [duration]
built [id] in [duration]
");
}

#[test]
fn quiet_prints_the_id_alone() {
    assert_snapshot!(app().fake(&["build", "-q", "app"]), @r"
exit code 0
--- stdout
[digest]
--- stderr
");
}

#[test]
fn json_is_one_object_a_line() {
    let run = app().fake(&["build", "app", "--progress", "json"]);
    let events: Vec<Value> =
        run.stderr.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(events[0]["event"], "notice");
    let has = |name: &str| events.iter().any(|event| event["event"] == name);
    assert!(has("step-started") && has("step-finished"), "{run}");
}

#[test]
fn a_step_that_fails_says_which_and_how() {
    let home = Home::with_dockerfile("FROM scratch\nRUN echo out; exit 3\n");
    assert_snapshot!(home.fake(&["build", "app", "-t", "acme/app"]), @r"
exit code 1
--- stdout
--- stderr
building with fake 1.0.0 (fake; this process), the first ready one of fake
#1 [1/2] FROM scratch
#1 DONE [duration]

#2 [2/2] RUN echo out; exit 3
#2 [time] out
#2 ERROR `RUN echo out; exit 3` exited with status 3
error: `RUN echo out; exit 3` exited with status 3
  step: RUN echo out; exit 3
  exit code: 3
  engine: fake 1.0.0 at memory:
");
}

#[test]
fn a_failure_in_quiet_shows_what_the_step_wrote() {
    let home = Home::with_dockerfile("FROM scratch\nRUN echo out; exit 3\n");
    assert_snapshot!(home.fake(&["build", "-q", "app"]), @r"
exit code 1
--- stdout
--- stderr
[2/2] RUN echo out; exit 3
  out
error: `RUN echo out; exit 3` exited with status 3
  step: RUN echo out; exit 3
  exit code: 3
  engine: fake 1.0.0 at memory:
");
}

#[test]
fn a_failure_in_json_has_the_same_facts() {
    let home = Home::with_dockerfile("FROM scratch\nRUN exit 3\n");
    let run = home.fake(&["build", "app", "--progress=json"]);
    let last: Value = serde_json::from_str(run.stderr.lines().last().unwrap()).unwrap();
    assert_eq!((&last["event"], &last["kind"]), (&"error".into(), &"build-failed".into()));
    assert_eq!((&last["exit_code"], &last["engine"]), (&1.into(), &"fake".into()));
    assert_eq!(last["context"]["exit code"], "3");
}

#[test]
fn a_dockerfile_comes_from_standard_input() {
    let home = app();
    let text = b"FROM scratch\nCOPY hello /x\n";
    let run = home.fake_with_input(&["build", "-q", "-f", "-", "app"], text);
    assert_eq!(run.code, 0, "{run}");
    let run = home.fake_with_input(&["build", "-q", "-"], b"FROM scratch\nLABEL a=b\n");
    assert_eq!(run.code, 0, "{run}");
    assert_snapshot!(home.fake_with_input(&["build", "-f", "x", "-"], text), @r"
exit code 2
--- stdout
--- stderr
error: there is no archive to find `x` in
  caused by: standard input is a Dockerfile, and no tar

help: leave `--file` out, or pipe a tar in
");
    assert_snapshot!(home.fake_with_input(&["build", "-f", "-", "-"], text), @r"
exit code 2
--- stdout
--- stderr
error: standard input cannot be both the context and the Dockerfile

help: name a folder as the context: `boxwright build -f - .`
");
    assert_snapshot!(home.fake_with_input(&["build", "-"], b""), @r"
exit code 2
--- stdout
--- stderr
error: standard input is empty

help: pipe a tar in, as in `tar -c . | boxwright build -`
");
}

#[test]
fn a_context_that_is_not_there_is_named() {
    assert_snapshot!(app().fake(&["build", "nowhere"]), @r"
exit code 2
--- stdout
--- stderr
error: cannot read the context `nowhere`
  caused by: No such file or directory

help: name the folder that holds the files, such as `.`
");
    assert_snapshot!(app().fake(&["build", "app/Dockerfile"]), @r"
exit code 2
--- stdout
--- stderr
error: cannot read the context `app/Dockerfile`
  caused by: Not a directory

help: name a folder; the Dockerfile is named with `--file`
");
}

#[test]
fn a_missing_dockerfile_is_named_before_an_engine_is_asked() {
    let home = Home::new().file("full/readme", "").file("app/docker/Dockerfile", "FROM scratch\n");
    std::fs::create_dir(home.path("empty")).unwrap();
    assert_snapshot!(home.real(&["build", "full"]), @r"
exit code 2
--- stdout
--- stderr
error: there is no Dockerfile in `full`
  caused by: the folder has neither `Dockerfile` nor `Containerfile`

help: name it with `--file`, or name the folder that has it
");
    assert_snapshot!(home.real(&["build", "empty"]), @r"
exit code 2
--- stdout
--- stderr
error: there is no Dockerfile in `empty`
  caused by: the folder is empty

help: name it with `--file`, or name the folder that has it
");
    assert_snapshot!(home.real(&["build", "app", "-f", "Other"]), @r"
exit code 2
--- stdout
--- stderr
error: cannot read the Dockerfile `Other`
  caused by: there is no file `[folder]/Other`
");
    assert_snapshot!(home.real(&["build", "app", "-f", "app/docker"]), @r"
exit code 2
--- stdout
--- stderr
error: cannot read the Dockerfile `app/docker`
  caused by: it is a folder

help: name the file: `--file app/docker/Dockerfile`
");
}

#[test]
fn what_this_user_may_not_read_is_named_and_nothing_is_left_behind() {
    let store = tempfile::tempdir().unwrap();
    std::fs::set_permissions(store.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    let home = Home::new()
        .variable("BOXWRIGHT_ENGINE", "embedded")
        .variable("BOXWRIGHT_STORE", store.path().display().to_string())
        .file("file/Dockerfile", "FROM scratch\n")
        .file("folder/Dockerfile", "FROM scratch\n");
    let close = |name: &str| {
        std::fs::set_permissions(home.path(name), std::fs::Permissions::from_mode(0o000)).unwrap();
    };
    close("file/Dockerfile");
    close("folder");
    for (context, says) in [("file", "Dockerfile`"), ("folder", "`folder`")] {
        let run = as_ordinary_user(&home, &["build", context, "-t", "x"]);
        assert_eq!((run.code, run.stdout.as_str()), (2, ""), "{run}");
        assert!(run.stderr.contains(says), "{run}");
        assert!(run.stderr.contains("Permission denied"), "{run}");
    }
    assert_eq!(home.names(""), ["file", "folder"]);
}

#[test]
fn names_that_are_none_are_refused() {
    assert_snapshot!(app().fake(&["build", "app", "-t", "ghcr.io/Acme/api"]), @r"
exit code 2
--- stdout
--- stderr
error: `ghcr.io/Acme/api` is not an image reference
  caused by: `Acme` is not a path component: lower-case letters and digits, joined by `.`, `_`, `__` or `-`

help: write it in lower case: `ghcr.io/acme/api`
");
    assert_snapshot!(app().fake(&["build", "app", "--push"]), @r"
exit code 2
--- stdout
--- stderr
error: `--push` has nowhere to push to
  caused by: the image has no name

help: name it with `--tag HOST/REPOSITORY:TAG`
");
}

#[test]
fn values_that_are_none_are_refused() {
    for (flag, value, message) in [
        ("--build-arg", "=x", "`=x` is no value for `--build-arg`"),
        ("--build-arg", "A B=x", "`A B=x` is no value for `--build-arg`"),
        ("--label", "=x", "`=x` is no value for `--label`"),
        ("--add-host", "db", "`db` is no value for `--add-host`"),
        ("--shm-size", "much", "`much` is not a size"),
        ("--platform", "linux/amd 64", "`linux/amd 64` is not a platform"),
        ("--secret", "id=a,src=nothing", "cannot read the secret `a`"),
        ("--secret", "id=a,env=NOTHING", "cannot read the secret `a`"),
        ("--ssh", "default", "there is no ssh agent for `--ssh default`"),
        ("--cache-from", "type=registry", "`--cache-from type=registry` names no image"),
        ("--ca-bundle", "nothing", "cannot read the certificates for steps"),
        ("--ca-bundle", "app", "cannot read the certificates for steps"),
        ("--ca-bundle", "app/Dockerfile", "cannot use the certificates for steps"),
        ("--iidfile", "no/such/iid", "cannot write the id file"),
        ("--metadata-file", ".", "cannot write the metadata file"),
        ("--output", "type=oci", "`--output type=oci` says not where to"),
        ("--builder", "klassic", "the fake engine has no builder `klassic`"),
    ] {
        let run = app().fake(&["build", "app", flag, value]);
        assert_eq!((run.code, run.stdout.as_str()), (2, ""), "{run}");
        assert!(run.stderr.starts_with(&format!("error: {message}")), "{run}");
    }
}

#[test]
fn an_engine_without_indexes_refuses_several_platforms() {
    for flags in [
        &["--platform", "linux/amd64,linux/arm64"][..],
        &["--platform", "linux/amd64", "--platform", "linux/arm64"],
    ] {
        let run = app().fake(&[&["build", "app"], flags].concat());
        assert_eq!((run.code, run.stdout.as_str()), (4, ""), "{run}");
        assert!(run.stderr.contains("`build-for-platforms` is not supported here"), "{run}");
        assert!(run.stderr.contains("the fake engine keeps no indexes"), "{run}");
    }
    // One platform by two names is one.
    let run = app().fake(&["build", "app", "--platform", "linux/amd64,linux/x86_64"]);
    assert_eq!(run.code, 0, "{run}");
}

#[test]
fn an_output_without_room_for_an_index_is_refused_before_the_build() {
    for kind in ["docker", "tar"] {
        let output = format!("type={kind},dest=out");
        let run = app().fake(&["build", "app", "--platform", "amd64,arm64", "-o", &output]);
        assert_eq!((run.code, run.stdout.as_str()), (2, ""), "{run}");
        let message = format!("error: `type={kind}` cannot hold the images of several platforms");
        assert!(run.stderr.starts_with(&message), "{run}");
        assert!(run.stderr.contains("help: write `type=oci` or `type=local`"), "{run}");
    }
}

#[test]
fn build_arguments_take_their_value_from_the_environment() {
    let home = Home::with_dockerfile("FROM scratch\nARG A\nARG B\nRUN echo \"<$A|$B>\"\n");
    let home = home.variable("A", "from here");
    let run = home.fake(&["build", "app", "--build-arg", "A", "--build-arg", "B", "-t", "x"]);
    assert!(run.stderr.contains("<from here|>"), "{run}");
}

#[test]
fn a_secret_is_never_printed_threat_37() {
    let text = "FROM scratch\nRUN --mount=type=secret,id=token echo done\nRUN exit 1\n";
    let home = Home::with_dockerfile(text).file("token", "canary-4711");
    for progress in ["plain", "json", "tty"] {
        let run =
            home.fake(&["build", "app", "--secret", "id=token,src=token", "--progress", progress]);
        assert_eq!(run.code, 1, "{run}");
        assert!(!run.stderr.contains("canary") && !run.stdout.contains("canary"), "{run}");
    }
}

#[test]
fn a_live_tree_ends_as_plain_text_does() {
    let run = app().fake(&["build", "app", "--progress", "tty"]);
    assert_eq!(run.code, 0);
    // The live part is gone at the end: after the last clearing there are only finished steps.
    let last = run.stderr.rsplit("\x1b[J").next().unwrap();
    assert!(!last.contains('⠋'), "{run}");
    assert!(run.stderr.contains("✔"), "{run}");
}
