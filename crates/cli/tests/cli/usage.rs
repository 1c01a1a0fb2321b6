//! The command line itself: help, slips, and values that are none.

use insta::assert_snapshot;

use super::harness::Home;

#[test]
fn an_unknown_command_suggests_the_nearest() {
    assert_snapshot!(Home::new().real(&["biuld", "."]), @r"
exit code 2
--- stdout
--- stderr
error: unknown command `biuld`

help: use `build`
");
}

#[test]
fn an_unknown_flag_suggests_the_nearest() {
    assert_snapshot!(Home::new().real(&["build", "--tga", "x", "."]), @r"
exit code 2
--- stdout
--- stderr
error: unknown flag `--tga`

help: use `--tag`
");
}

#[test]
fn a_value_that_is_none_suggests_the_nearest() {
    assert_snapshot!(Home::new().real(&["build", "--network", "hsot", "."]), @r"
exit code 2
--- stdout
--- stderr
error: `hsot` is no value for `--network <MODE>`

help: use `host`
");
}

#[test]
fn a_missing_argument_is_named() {
    assert_snapshot!(Home::new().real(&["push"]), @r"
exit code 2
--- stdout
--- stderr
error: `<IMAGE>...` is missing

help: `boxwright push --help` shows what there is
");
}

#[test]
fn the_version_is_data() {
    let run = Home::new().real(&["version"]);
    assert_eq!(run.code, 0);
    assert!(run.stdout.starts_with(concat!("boxwright ", env!("CARGO_PKG_VERSION"))), "{run}");
    let run = Home::new().real(&["version", "--format", "json"]);
    let value: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(value["version"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn help_is_data_and_its_lack_is_a_wrong_request() {
    let run = Home::new().real(&["help", "build"]);
    assert_eq!((run.code, run.stderr.as_str()), (0, ""));
    for flag in ["--tag", "--push", "--secret", "--ssh", "--output", "--iidfile", "--metadata-file"]
    {
        assert!(run.stdout.contains(flag), "{flag}");
    }
    let run = Home::new().real(&[]);
    assert_eq!((run.code, run.stdout.as_str()), (2, ""));
}

#[test]
fn every_shell_gets_a_completion_script() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let run = Home::new().real(&["completions", shell]);
        assert!(run.code == 0 && run.stdout.contains("boxwright"), "{shell}");
    }
}

#[test]
fn colour_is_only_for_those_who_want_it() {
    let plain = Home::new().real(&["build"]);
    assert!(!plain.stderr.contains('\x1b'), "{plain}");
    let forced = Home::new().variable("CLICOLOR_FORCE", "1");
    assert!(forced.real(&["build"]).stderr.contains('\x1b'));
    let refused = forced.variable("NO_COLOR", "1");
    assert!(!refused.real(&["build"]).stderr.contains('\x1b'));
}

#[test]
fn the_conformance_suite_is_a_command_of_the_program() {
    let run = Home::new().real(&["conformance", "--list"]);
    assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{run}");
    assert!(run.stdout.lines().count() >= 60, "{run}");
    let run = Home::new().real(&["conformance", "--engine", "dokcer"]);
    assert_eq!((run.code, run.stdout.as_str()), (2, ""), "{run}");
    assert!(run.stderr.contains("use `docker`"), "{run}");
}
