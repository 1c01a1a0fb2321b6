//! Which Dockerfile and which ignore file are taken.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use boxwright_context::Context;
use boxwright_core::{DockerfileSource, ErrorKind};

use crate::{at, folder, open};

#[test]
fn dockerfile_comes_before_containerfile() {
    let both = folder(&["Dockerfile", "Containerfile"]);
    assert_eq!(open(&both).dockerfile_text(), "Dockerfile");
    assert_eq!(open(&folder(&["Containerfile"])).dockerfile_name(), "Containerfile");
}

#[test]
fn a_missing_dockerfile_says_what_was_looked_for() {
    let error = Context::open(folder(&["a"]).path(), &DockerfileSource::Default).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!(error.causes(), ["it has neither `Dockerfile` nor `Containerfile`"]);
    let error = Context::open(folder(&["a"]).path(), &at("docker/Dockerfile")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!(error.to_string(), "cannot read `docker/Dockerfile`");
}

#[test]
fn a_missing_context_and_a_file_as_context_are_told_apart() {
    let folder = folder(&["file"]);
    let missing = Context::open(Path::new("/nonexistent"), &DockerfileSource::Default);
    assert_eq!(missing.unwrap_err().kind(), ErrorKind::NotFound);
    let file = Context::open(&folder.path().join("file"), &DockerfileSource::Default);
    assert_eq!(file.unwrap_err().kind(), ErrorKind::InvalidInput);
}

#[test]
fn a_dockerfile_that_links_out_is_not_found_in_the_context_threat_13() {
    let outer = folder(&["secret", "context/"]);
    let context = outer.path().join("context");
    symlink("../secret", context.join("Dockerfile")).unwrap();
    let error = Context::open(&context, &at("Dockerfile")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    let error = Context::open(&context, &at("../secret")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}

#[test]
fn an_ignore_file_that_links_out_is_not_read_threat_13() {
    let outer = folder(&["secret", "context/Dockerfile"]);
    symlink("../secret", outer.path().join("context/.dockerignore")).unwrap();
    let context = Context::open(&outer.path().join("context"), &DockerfileSource::Default).unwrap();
    assert!(context.exclude_patterns().is_empty());
}

#[test]
fn a_linked_dockerfile_inside_the_context_keeps_the_name_it_was_given() {
    let folder = folder(&["docker/real"]);
    symlink("/docker/real", folder.path().join("Dockerfile")).unwrap();
    let context = open(&folder);
    assert_eq!(
        (context.dockerfile_name(), context.dockerfile_text()),
        ("Dockerfile", "docker/real")
    );
}

#[test]
fn an_absolute_path_below_the_context_is_inside_and_another_is_outside() {
    let outer = folder(&["context/docker/Dockerfile", "elsewhere/My.Dockerfile"]);
    let folder = outer.path().join("context");
    let inside = Context::open(&folder, &at(folder.join("docker/Dockerfile"))).unwrap();
    assert!(inside.dockerfile_is_inside());
    assert_eq!(inside.dockerfile_name(), "docker/Dockerfile");
    let outside =
        Context::open(&folder, &at(outer.path().join("elsewhere/My.Dockerfile"))).unwrap();
    assert!(!outside.dockerfile_is_inside());
    assert_eq!(outside.dockerfile_name(), "My.Dockerfile");
}

#[test]
fn the_dockerfiles_own_ignore_file_comes_first() {
    let folder = folder(&["Dockerfile", "docker/x", ".dockerignore"]);
    assert_eq!(open(&folder).exclude_patterns(), [".dockerignore"]);
    fs::write(folder.path().join(".containerignore"), "container").unwrap();
    assert_eq!(open(&folder).exclude_patterns(), ["container"]);
    fs::write(folder.path().join("Dockerfile.dockerignore"), "own").unwrap();
    assert_eq!(open(&folder).exclude_patterns(), ["own"]);
    assert_eq!(open(&folder).ignore_file_name(), Some("Dockerfile.dockerignore"));
    let other = Context::open(folder.path(), &at("docker/x")).unwrap();
    assert_eq!(other.exclude_patterns(), ["container"]);
    fs::write(folder.path().join("docker/x.dockerignore"), "of x").unwrap();
    let other = Context::open(folder.path(), &at("docker/x")).unwrap();
    assert_eq!(other.exclude_patterns(), ["of x"]);
    let text = DockerfileSource::Text("FROM scratch".into());
    assert_eq!(Context::open(folder.path(), &text).unwrap().exclude_patterns(), ["container"]);
}

#[test]
fn a_bad_pattern_is_reported_with_its_file() {
    let folder = folder(&["Dockerfile"]);
    fs::write(folder.path().join(".dockerignore"), "ok\n[").unwrap();
    let error = Context::open(folder.path(), &DockerfileSource::Default).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert_eq!(error.context(), [("file", ".dockerignore".to_owned())]);
}

#[test]
fn a_dockerfile_of_more_than_10_mib_is_refused_threat_24() {
    let folder = folder(&["Dockerfile"]);
    let file = fs::File::create(folder.path().join("Dockerfile")).unwrap();
    file.set_len((10 << 20) + 1).unwrap();
    let error = Context::open(folder.path(), &DockerfileSource::Default).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Exhausted);
}

#[tokio::test]
async fn a_tar_whose_dockerfile_or_folder_is_a_link_leads_nowhere_threat_14() {
    let outer = folder(&["secret/Dockerfile", "context/"]);
    let secret = outer.path().join("secret");
    let mut tar = tar::Builder::new(Vec::new());
    let links = [("Dockerfile", "../secret/Dockerfile"), ("sub", "../secret")];
    let absolute = ("absolute", secret.to_str().unwrap());
    for (name, target) in links.into_iter().chain([absolute]) {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        header.set_mode(0o777);
        tar.append_link(&mut header, name, target).unwrap();
    }
    let bytes = std::io::Cursor::new(tar.into_inner().unwrap());
    let context = outer.path().join("context");
    boxwright_image::unpack::unpack_context(Box::new(bytes), &context).await.unwrap();
    for dockerfile in ["Dockerfile", "sub/Dockerfile", "absolute/Dockerfile"] {
        let error = Context::open(&context, &at(dockerfile)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound, "{dockerfile}");
    }
}
