//! What a walk lists, and in which order.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::net::UnixListener;

use boxwright_context::{Context, EntryKind};
use boxwright_core::ErrorKind;
use tempfile::TempDir;

use crate::{folder, open};

fn paths(context: &Context) -> Vec<String> {
    context.walk().map(|entry| entry.unwrap().path).collect()
}

fn ignoring(folder: &TempDir, rules: &str) -> Vec<String> {
    fs::write(folder.path().join(".dockerignore"), rules).unwrap();
    let mut paths = paths(&open(folder));
    paths.retain(|path| path != ".dockerignore" && path != "Dockerfile");
    paths
}

#[test]
fn folders_come_before_what_is_in_them_and_names_in_the_order_of_bytes() {
    let folder = folder(&["a/b", "a.b", "a-b", "B", "Dockerfile", "a/a/z", "ä", "empty/"]);
    let expected = ["B", "Dockerfile", "a", "a/a", "a/a/z", "a/b", "a-b", "a.b", "empty", "ä"];
    // A folder's content follows it at once, so `a/b` comes before `a-b`.
    assert_eq!(paths(&open(&folder)), expected);
}

#[test]
fn a_folder_is_listed_for_what_is_included_below_it() {
    let folder = folder(&["Dockerfile", "docs/a.md", "docs/api/keep.md", "docs/api/b.md", "x"]);
    let kept = ["docs", "docs/api", "docs/api/keep.md"];
    assert_eq!(ignoring(&folder, "*\n!docs/api/keep.md"), kept);
    assert_eq!(ignoring(&folder, "**\n!**/keep.md"), kept);
    assert_eq!(
        ignoring(&folder, "docs\n!docs/api\ndocs/api/b.md"),
        ["docs", "docs/api", "docs/api/keep.md", "x"]
    );
    assert_eq!(ignoring(&folder, "docs"), ["x"]);
    assert_eq!(ignoring(&folder, "docs/*\nx"), ["docs"]);
}

#[test]
fn an_excluded_folder_is_not_even_opened() {
    let folder = folder(&["Dockerfile", "private/key"]);
    fs::set_permissions(folder.path().join("private"), fs::Permissions::from_mode(0o000)).unwrap();
    assert!(ignoring(&folder, "private").is_empty());
}

#[test]
fn links_are_listed_and_never_followed() {
    let folder = folder(&["Dockerfile", "sub/file"]);
    symlink("/etc", folder.path().join("out")).unwrap();
    fs::hard_link(folder.path().join("sub/file"), folder.path().join("twin")).unwrap();
    let entries: Vec<_> = open(&folder).walk().map(Result::unwrap).collect();
    let out = entries.iter().find(|entry| entry.path == "out").unwrap();
    assert_eq!(out.kind, EntryKind::Symlink { target: "/etc".into() });
    assert!(!entries.iter().any(|entry| entry.path.starts_with("out/")));
    let linked: Vec<_> = entries.iter().filter_map(|entry| entry.hard_link).collect();
    assert_eq!(linked.len(), 2);
    assert_eq!((linked[0], linked[0].names), (linked[1], 2));
}

#[test]
fn sockets_are_left_out_and_named() {
    let folder = folder(&["Dockerfile"]);
    let _listener = UnixListener::bind(folder.path().join("s")).unwrap();
    let context = open(&folder);
    let mut walk = context.walk();
    assert_eq!(walk.by_ref().count(), 1);
    assert_eq!(walk.sockets(), ["s"]);
}

#[test]
fn a_name_that_is_not_utf8_is_named_unless_it_is_excluded() {
    let folder = folder(&["Dockerfile"]);
    fs::write(folder.path().join(OsStr::from_bytes(b"bad\xff")), "").unwrap();
    let error = open(&folder).walk().find_map(Result::err).unwrap();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.to_string().contains("bad"));
    assert!(ignoring(&folder, "bad*").is_empty());
}

#[test]
fn nesting_without_end_is_an_error_and_no_crash() {
    let folder = folder(&["Dockerfile"]);
    let mut deep = folder.path().to_owned();
    for _ in 0..520 {
        deep.push("d");
        fs::create_dir(&deep).unwrap();
    }
    let error = open(&folder).walk().find_map(Result::err).unwrap();
    assert_eq!(error.kind(), ErrorKind::Exhausted);
}

#[test]
fn a_file_that_became_a_link_is_not_opened_threat_13() {
    let folder = folder(&["Dockerfile", "a/file"]);
    let context = open(&folder);
    let file = context.walk().map(Result::unwrap).find(|entry| entry.path == "a/file").unwrap();
    assert!(context.open_file(&file).is_ok());
    fs::rename(folder.path().join("a"), folder.path().join("b")).unwrap();
    symlink("b", folder.path().join("a")).unwrap();
    assert!(context.open_file(&file).is_err());
}
