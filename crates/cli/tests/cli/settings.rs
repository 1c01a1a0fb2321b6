//! Settings, as a user meets them.

use insta::assert_snapshot;

use super::harness::Home;

#[test]
fn every_value_is_shown_with_its_origin() {
    let home = Home::new()
        .file(".config/boxwright/config.toml", "[registry.'localhost:5000']\ninsecure = true\n")
        .file("boxwright.toml", "[engine]\nuse = 'podman'\n")
        .variable("BOXWRIGHT_BUILDER", "buildah");
    assert_snapshot!(home.real(&["config"]), @r#"
exit code 0
--- stdout
SETTING                             VALUE                                      FROM
build.builder                       buildah                                    BOXWRIGHT_BUILDER
build.progress                      auto                                       default
build.pull                          missing                                    default
engine.docker.allow-plain-tcp       false                                      default
engine.lxd.publish                  false                                      default
engine.podman.autostart             true                                       default
engine.prefer                       docker, podman, containerd, lxd, embedded  default
engine.use                          podman                                     [folder]/boxwright.toml
registry."localhost:[port]".insecure  true                                       [folder]/.config/boxwright/config.toml
--- stderr
"#);
    let run = home.real(&["config", "--format", "json"]);
    let value: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    let names: Vec<_> =
        value["settings"].as_array().unwrap().iter().map(|it| &it["name"]).collect();
    assert!(names.contains(&&"engine.use".into()), "{run}");
}

#[test]
fn an_unknown_setting_suggests_the_nearest() {
    let home = Home::new().file("boxwright.toml", "[build]\nprogres = 'plain'\n");
    assert_snapshot!(home.real(&["config"]), @r"
exit code 2
--- stdout
--- stderr
error: unknown setting `progres`
  --> [folder]/boxwright.toml:2:1
 2 | progres = 'plain'
   | ^^^^^^^
help: use `progress`
");
}

#[test]
fn a_project_may_not_say_where_an_engine_is_threat_38() {
    let home = Home::new().file("boxwright.toml", "[engine.docker]\nhost = 'tcp://evil:2375'\n");
    assert_snapshot!(home.real(&["images"]), @r"
exit code 2
--- stdout
--- stderr
error: a project may not set `engine.docker`
  caused by: it decides where an engine is reached, and a checkout is not trusted with that
  file: [folder]/boxwright.toml

help: move it to `[folder]/.config/boxwright/config.toml`
");
}

#[test]
fn an_unknown_engine_says_where_it_was_named() {
    let home = Home::new().variable("BOXWRIGHT_ENGINE", "pdoman");
    assert_snapshot!(home.real(&["images"]), @r"
exit code 2
--- stdout
--- stderr
error: unknown engine `pdoman`
  set by: BOXWRIGHT_ENGINE

help: use `podman`
");
    assert_snapshot!(home.real(&["images", "--engine", "dokcer"]), @r"
exit code 2
--- stdout
--- stderr
error: unknown engine `dokcer`
  set by: --engine

help: use `docker`
");
    assert_snapshot!(home.real(&["images", "--endpoint", "unix:///x"]), @r"
exit code 2
--- stdout
--- stderr
error: `--engine <NAME>` is missing

help: `boxwright images --help` shows what there is
");
}

#[test]
fn the_schema_is_json() {
    for arguments in [&["config", "schema"][..], &["config", "schema", "--project"]] {
        let run = Home::new().real(arguments);
        let value: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
        assert_eq!(value["properties"].get("registry").is_some(), arguments.len() == 2);
    }
}
