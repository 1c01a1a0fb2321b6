//! Commands on images that the engine has.

use insta::assert_snapshot;
use serde_json::Value;

use super::harness::Home;

/// A home whose fake engine has the image `acme/app:1`.
fn home() -> Home {
    let text = "FROM scratch\nCOPY hello /hello\nENV A=b\nLABEL l=v\nENTRYPOINT [\"/bin/echo\", \"a b\"]\n";
    let home = Home::with_dockerfile(text).file("app/hello", "hello\n");
    let context = home.path("app").display().to_string();
    home.variable("FAKE_CONTEXT", context)
}

#[test]
fn images_are_listed() {
    let run = home().fake(&["images"]);
    let lines: Vec<&str> = run.stdout.lines().collect();
    assert!(lines[0].starts_with("NAME ") && lines[0].ends_with("SIZE"), "{run}");
    assert!(lines[1].starts_with("docker.io/acme/app:1  "), "{run}");
    assert_eq!(home().fake(&["images", "acme/other"]).stdout.lines().count(), 1);
    let run = home().fake(&["images", "acme/app", "--format", "json"]);
    let value: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(value[0]["names"][0], "docker.io/acme/app:1");
    let run = home().fake(&["images", "-q"]);
    assert_eq!(run.stdout.trim(), value[0]["id"].as_str().unwrap());
}

#[test]
fn an_image_is_shown() {
    assert_snapshot!(home().fake(&["inspect", "acme/app:1"]), @r#"
exit code 0
--- stdout
id:           [digest]
name:         docker.io/acme/app:1
platform:     linux/amd64
size:         2.0 kB
entrypoint:   ["/bin/echo","a b"]
environment:  A=b
label:        l=v
layer:        [digest]
--- stderr
"#);
    let run = home().fake(&["inspect", "acme/app:1", "--format", "json"]);
    let value: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(value["labels"]["l"], "v");
}

#[test]
fn an_image_that_is_not_there_is_named() {
    assert_snapshot!(home().fake(&["inspect", "acme/nothing"]), @r"
exit code 1
--- stdout
--- stderr
error: there is no image `docker.io/acme/nothing:latest`
  caused by: the engine's store has none of that name
  engine: fake 1.0.0 at memory:

help: pull it with `boxwright pull docker.io/acme/nothing:latest`
");
    assert_snapshot!(home().fake(&["tag", "acme/nothing", "acme/x"]), @r"
exit code 1
--- stdout
--- stderr
error: there is no image `docker.io/acme/nothing:latest`
  caused by: the engine's store has none of that name
  engine: fake 1.0.0 at memory:

help: pull it with `boxwright pull docker.io/acme/nothing:latest`
");
}

#[test]
fn images_get_and_lose_names() {
    assert_snapshot!(home().fake(&["tag", "acme/app:1", "acme/app:2", "localhost:5000/app"]), @r"
exit code 0
--- stdout
--- stderr
");
    assert_snapshot!(home().fake(&["remove", "acme/app:1"]), @r"
exit code 0
--- stdout
untagged docker.io/acme/app:1
deleted [digest]
--- stderr
");
    assert_snapshot!(home().fake(&["rmi", "acme/app:1", "acme/nothing"]), @r"
exit code 1
--- stdout
untagged docker.io/acme/app:1
deleted [digest]
--- stderr
error: there is no image `docker.io/acme/nothing:latest`
  caused by: the engine's store has none of that name
  engine: fake 1.0.0 at memory:

help: pull it with `boxwright pull docker.io/acme/nothing:latest`
");
}

#[test]
fn a_command_keeps_its_streams_and_its_exit_code() {
    let home = home();
    assert_snapshot!(home.fake(&["run", "acme/app:1", "x"]), @r"
exit code 0
--- stdout
a b x
--- stderr
");
    let shell = "echo out; echo err >&2; exit 7";
    assert_snapshot!(home.fake(&["run", "--entrypoint", "/bin/sh", "acme/app:1", "-c", shell]), @r"
exit code 7
--- stdout
out
--- stderr
err
");
    assert_snapshot!(home.fake(&["run", "-e", "=x", "acme/app:1"]), @r"
exit code 2
--- stdout
--- stderr
error: `=x` names no variable

help: write it as NAME=VALUE, or NAME for its value here
");
}
