//! `--output`, `--iidfile` and `--metadata-file`.

use insta::assert_snapshot;
use serde_json::Value;

use super::harness::Home;

fn app() -> Home {
    Home::with_dockerfile("FROM scratch\nCOPY hello /greeting/hello\n").file("app/hello", "hello\n")
}

/// Lists the names in a tar with the system's own program.
fn list(home: &Home, archive: &str) -> String {
    let archive = home.path(archive);
    let tar = std::path::Path::new("/usr/bin/tar");
    let run = home.finish(home.command(tar, &["-tf", archive.to_str().unwrap()]), b"");
    assert_eq!(run.code, 0, "{run}");
    run.stdout
}

#[test]
fn archives_and_folders_are_written_whole() {
    let home = app();
    let run = home.fake(&[
        "build",
        "-q",
        "app",
        "-t",
        "acme/app:1",
        "-o",
        "type=oci,dest=oci.tar",
        "-o",
        "type=docker,dest=docker.tar",
        "-o",
        "type=tar,dest=files.tar",
        "-o",
        "type=local,dest=out",
    ]);
    assert_eq!(run.code, 0, "{run}");
    assert!(list(&home, "oci.tar").contains("index.json"));
    assert!(list(&home, "docker.tar").contains("manifest.json"));
    assert!(
        list(&home, "files.tar")
            .lines()
            .any(|line| line.trim_start_matches("./") == "greeting/hello")
    );
    assert_eq!(std::fs::read(home.path("out/greeting/hello")).unwrap(), b"hello\n");
    assert_eq!(home.names(""), ["app", "docker.tar", "files.tar", "oci.tar", "out"]);
}

#[test]
fn an_archive_may_go_to_standard_output() {
    let home = app();
    let mut command = home.command(std::path::Path::new("/bin/true"), &[]);
    command.stdout(std::process::Stdio::null());
    let run = home.fake(&["build", "app", "-t", "acme/app:1", "-o", "type=tar,dest=-"]);
    assert_eq!(run.code, 0, "{run}");
    // Nothing but the archive: the id would be appended to it.
    assert!(run.stdout.contains("greeting/hello") && !run.stdout.contains("sha256:"), "{run}");
}

#[test]
fn an_image_that_only_served_an_output_is_removed_again() {
    let home = app();
    let run = home.fake(&["build", "app", "-o", "type=oci,dest=oci.tar"]);
    assert_eq!((run.code, run.stdout.as_str()), (0, ""), "{run}");
    assert!(home.path("oci.tar").is_file());
}

#[test]
fn a_place_that_cannot_be_written_is_found_out_before_the_build_threat_46() {
    let home = app().file("file", "kept");
    std::os::unix::fs::symlink(home.path("file"), home.path("link")).unwrap();
    assert_snapshot!(home.real(&["build", "app", "-o", "type=oci,dest=link"]), @r"
exit code 2
--- stdout
--- stderr
error: cannot write the output `[folder]/link`
  caused by: it is a symbolic link, which is not followed

help: name the file that it points at
");
    assert_snapshot!(home.real(&["build", "app", "-o", "type=oci,dest=app"]), @r"
exit code 2
--- stdout
--- stderr
error: cannot write the output `[folder]/app`
  caused by: it is a folder

help: name a file in it
");
    assert_snapshot!(home.real(&["build", "app", "-o", "type=tar,dest=no/where/x.tar"]), @r"
exit code 2
--- stdout
--- stderr
error: cannot write the output `[folder]/no/where/x.tar`
  caused by: `[folder]/no/where` is not a folder

help: make it with `mkdir -p [folder]/no/where`
");
    assert_snapshot!(home.real(&["build", "app", "-o", "type=local,dest=file"]), @r"
exit code 2
--- stdout
--- stderr
error: cannot write the output `[folder]/file`
  caused by: it exists, and is no folder
");
    assert_eq!(std::fs::read(home.path("file")).unwrap(), b"kept");
}

#[test]
fn a_failed_build_writes_nothing() {
    let home = Home::with_dockerfile("FROM scratch\nRUN exit 1\n");
    let run = home.fake(&[
        "build",
        "app",
        "-o",
        "type=oci,dest=x.tar",
        "--iidfile",
        "iid",
        "--metadata-file",
        "meta",
    ]);
    assert_eq!((run.code, run.stdout.as_str()), (1, ""), "{run}");
    assert_eq!(home.names(""), ["app"]);
}

#[test]
fn files_tell_id_and_metadata_as_buildx_does() {
    let home = app();
    let run = home.fake(&[
        "build",
        "app",
        "-t",
        "acme/app:1",
        "-t",
        "acme/app:2",
        "--iidfile",
        "iid",
        "--metadata-file",
        "meta",
    ]);
    assert_eq!(run.code, 0, "{run}");
    let id = std::fs::read_to_string(home.path("iid")).unwrap();
    assert_eq!(id, run.stdout.trim());
    let text = std::fs::read_to_string(home.path("meta")).unwrap();
    let metadata: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(metadata["containerimage.config.digest"], id);
    assert!(metadata["containerimage.digest"].as_str().unwrap().starts_with("sha256:"));
    assert_eq!(metadata["image.name"], "docker.io/acme/app:1,docker.io/acme/app:2");
}
