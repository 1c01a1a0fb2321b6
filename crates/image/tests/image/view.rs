//! What layers stack up to.

use std::path::{Path, PathBuf};

use boxwright_core::ErrorKind;
use boxwright_image::manifest::digest_of;
use boxwright_image::program::other_processor;
use boxwright_image::tar::Kind;
use boxwright_image::view::{NodeKind, Tree};

use crate::{Store, entry, file, tar};

type Entries<'c> = Vec<(boxwright_image::tar::Header, &'c [u8])>;

fn tree(layers: &[Entries<'_>]) -> impl Future<Output = boxwright_core::Result<Tree>> + use<> {
    let layers: Vec<_> = layers.iter().map(|entries| tar(entries)).collect();
    async move {
        let store = Store::new();
        let image = store.image(&layers).await;
        Tree::from_layers(&store.layout, &image).await
    }
}

fn paths(tree: &Tree) -> Vec<String> {
    tree.iter().map(|(path, _)| path.to_str().unwrap().to_owned()).collect()
}

fn content(tree: &Tree, path: &str) -> Option<String> {
    match &tree.get(path)?.kind {
        NodeKind::File { digest, .. } => Some(digest.to_string()),
        _ => None,
    }
}

fn holds(text: &str) -> Option<String> {
    Some(digest_of(text.as_bytes()).to_string())
}

fn folder(path: &str) -> (boxwright_image::tar::Header, &'static [u8]) {
    entry(path, Kind::Folder, 0o750)
}

fn symlink(path: &str, target: &str) -> (boxwright_image::tar::Header, &'static [u8]) {
    entry(path, Kind::Symlink { target: target.into() }, 0o777)
}

fn hard_link(path: &str, target: &str) -> (boxwright_image::tar::Header, &'static [u8]) {
    entry(path, Kind::HardLink { target: target.into() }, 0o644)
}

#[tokio::test]
async fn upper_layers_replace_and_folders_join() {
    let tree = tree(&[
        vec![folder("etc"), file("etc/a", "1"), file("etc/b", "1")],
        vec![file("etc/b", "22"), file("opt/deep/c", "3")],
    ]);
    let tree = tree.await.unwrap();
    assert_eq!(paths(&tree), ["etc", "etc/a", "etc/b", "opt", "opt/deep", "opt/deep/c"]);
    assert_eq!(content(&tree, "/etc/b"), holds("22"));
    assert_eq!(tree.get("etc").unwrap().mode, 0o750);
    assert_eq!(tree.get("opt/deep").unwrap().mode, 0o755);
    assert_eq!((tree.get("etc/a").unwrap().layer, tree.get("etc/b").unwrap().layer), (0, 1));
    assert_eq!(tree.names_in(Path::new("/etc")).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(tree.names_in(Path::new("/")).collect::<Vec<_>>(), ["etc", "opt"]);
}

#[tokio::test]
async fn marks_hide_what_lower_layers_have_and_nothing_of_their_own() {
    let tree = tree(&[
        vec![
            file("a/x", "1"),
            file("a/y", "1"),
            file("b/x", "1"),
            file("b/s/z", "1"),
            file("c", "1"),
        ],
        vec![
            file("a/.wh.x", ""),
            file("b/new", "2"),
            file("b/.wh..wh..opq", ""),
            file(".wh.c", ""),
        ],
    ]);
    assert_eq!(paths(&tree.await.unwrap()), ["a", "a/y", "b", "b/new"]);
}

#[tokio::test]
async fn a_file_in_place_of_a_folder_takes_its_content_away_and_back() {
    let stack = tree(&[vec![file("a/x", "1")], vec![file("a", "2")]]).await.unwrap();
    assert_eq!(paths(&stack), ["a"]);
    let stack = tree(&[vec![file("a", "1")], vec![file("a/x", "2")]]).await.unwrap();
    assert_eq!(paths(&stack), ["a", "a/x"]);
    let one = tree(&[vec![file("a/x", "1"), file("a", "2")]]).await.unwrap();
    assert_eq!(paths(&one), ["a"]);
}

#[tokio::test]
async fn a_mark_that_names_no_sibling_is_refused_threat_8() {
    for mark in [".wh.", ".wh..", ".wh...", "a/.wh..."] {
        let error = tree(&[vec![file(mark, "")]]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{mark}");
    }
}

#[tokio::test]
async fn an_entry_through_a_link_of_its_own_layer_stays_below_the_root_threat_2() {
    let tree = tree(&[vec![
        symlink("out", "../../../../etc"),
        file("out/passwd", "x"),
        symlink("absolute", "/srv/data"),
        file("absolute/f", "y"),
    ]]);
    let tree = tree.await.unwrap();
    assert_eq!(
        paths(&tree),
        ["absolute", "etc", "etc/passwd", "out", "srv", "srv/data", "srv/data/f"]
    );
    assert_eq!(tree.resolve("/out/passwd").unwrap().0, PathBuf::from("etc/passwd"));
}

#[tokio::test]
async fn an_entry_through_a_link_of_a_lower_layer_replaces_it_threat_2() {
    let tree = tree(&[vec![symlink("d", "/etc"), file("etc/a", "1")], vec![file("d/a", "2")]]);
    let tree = tree.await.unwrap();
    assert_eq!(paths(&tree), ["d", "d/a", "etc", "etc/a"]);
    assert!(tree.get("d").unwrap().is_folder());
    assert_eq!(content(&tree, "etc/a"), holds("1"));
}

#[tokio::test]
async fn a_circle_of_links_ends_threat_2() {
    let error = tree(&[vec![symlink("a", "b"), symlink("b", "a"), file("a/x", "")]]).await;
    assert_eq!(error.unwrap_err().kind(), ErrorKind::InvalidInput);
    let tree = tree(&[vec![symlink("a", "b"), symlink("b", "a")]]).await.unwrap();
    assert!(tree.resolve("a/x").is_none());
}

#[tokio::test]
async fn hard_links_share_a_file_and_part_when_one_is_replaced() {
    let one =
        tree(&[vec![file("a", "1"), hard_link("b", "a"), hard_link("c", "b")]]).await.unwrap();
    assert!(one.same_file("a", "b") && one.same_file("a", "c"));
    let two =
        [vec![file("a", "1"), hard_link("b", "a")], vec![file("a", "2"), hard_link("d", "b")]];
    let two = tree(&two).await.unwrap();
    assert!(two.same_file("b", "d") && !two.same_file("a", "b"));
    assert_eq!((content(&two, "a"), content(&two, "d")), (holds("2"), holds("1")));
    let same = tree(&[vec![file("a", "1"), hard_link("b", "a"), file("a", "2")]]).await.unwrap();
    assert_eq!((content(&same, "a"), content(&same, "b")), (holds("2"), holds("1")));
}

#[tokio::test]
async fn a_hard_link_to_nothing_later_or_a_folder_is_refused_threat_6() {
    for layer in [
        vec![hard_link("a", "missing")],
        vec![hard_link("a", "b"), file("b", "1")],
        vec![hard_link("a", "a")],
        vec![folder("d"), hard_link("a", "d")],
        vec![file("d/x", "1"), hard_link("a", "d")],
    ] {
        assert_eq!(tree(&[layer]).await.unwrap_err().kind(), ErrorKind::InvalidInput);
    }
    let gone = tree(&[vec![file("a", "1")], vec![file(".wh.a", "")], vec![hard_link("b", "a")]]);
    assert_eq!(gone.await.unwrap_err().kind(), ErrorKind::InvalidInput);
}

#[tokio::test]
async fn a_hard_link_to_a_link_is_that_link_threat_6() {
    let tree = tree(&[vec![symlink("s", "/etc/passwd"), hard_link("h", "s")]]).await.unwrap();
    assert_eq!(tree.get("h").unwrap().kind, NodeKind::Symlink { target: "/etc/passwd".into() });
}

#[tokio::test]
async fn marks_of_overlayfs_itself_do_nothing_threat_8() {
    let device = Kind::CharacterDevice { major: 0, minor: 0 };
    let error = tree(&[vec![entry("hidden", device, 0o600)]]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    let (mut shown, _) = folder("shown");
    let names = ["trusted.overlay.redirect", "user.overlay.opaque", "user.note"];
    shown.xattrs = names.map(|name| (name.to_owned(), b"/etc".to_vec())).into();
    shown.xattrs.insert("security.capability".into(), vec![1, 0, 0, 2]);
    let tree = tree(&[vec![(shown, b"")]]).await.unwrap();
    let kept: Vec<_> = tree.get("shown").unwrap().xattrs.keys().cloned().collect();
    assert_eq!(kept, ["security.capability", "user.note"]);
}

#[tokio::test]
async fn names_that_differ_in_case_alone_stay_apart_threat_9() {
    let tree =
        tree(&[vec![file("File", "1"), file("file", "2"), file("ä", "3"), file("a\u{308}", "4")]]);
    assert_eq!(tree.await.unwrap().iter().count(), 4);
}

#[tokio::test]
async fn a_file_is_read_through_links_within_a_limit() {
    let store = Store::new();
    let passwd = "root:x:0:0::/root:/bin/sh\n";
    let lower = tar(&[symlink("etc", "real"), file("real/passwd", passwd), file("z", "z")]);
    let image = store.image(&[lower, tar(&[file("other", "x")])]).await;
    let tree = Tree::from_layers(&store.layout, &image).await.unwrap();
    let read = |path: &'static str, limit| tree.read_file(&store.layout, &image, path, limit);
    assert_eq!(read("/etc/passwd", 4096).await.unwrap(), passwd.as_bytes());
    assert_eq!(read("/etc/passwd", 5).await.unwrap_err().kind(), ErrorKind::Exhausted);
    assert_eq!(read("/real", 4096).await.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(read("/none", 4096).await.unwrap_err().kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn a_pipe_in_place_of_passwd_is_no_file_to_read_threat_7() {
    let store = Store::new();
    let image = store.image(&[tar(&[entry("etc/passwd", Kind::Fifo, 0o644)])]).await;
    let tree = Tree::from_layers(&store.layout, &image).await.unwrap();
    let error = tree.read_file(&store.layout, &image, "etc/passwd", 4096).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn a_blob_that_was_damaged_is_never_used_threat_29() {
    let store = Store::new();
    let image = store.image(&[tar(&[file("a", "1")])]).await;
    let layer = &image.layers[0].0.digest;
    let path = store.layout.folder().join("blobs/sha256").join(layer.hex());
    let mut bytes = std::fs::read(&path).unwrap();
    // The time in gzip's header: what comes out is the same.
    bytes[4] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let error = Tree::from_layers(&store.layout, &image).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol);
    assert!(error.to_string().contains(layer.as_str()), "{error:?}");
}

#[tokio::test]
async fn a_program_for_another_processor_is_noticed_threat_44() {
    let mut program = vec![0x7f, b'E', b'L', b'F', 2, 1];
    program.resize(18, 0);
    // `e_machine` of arm64, in an image that says amd64.
    program.extend(183_u16.to_le_bytes());
    let size = program.len() as u64;
    let header = boxwright_image::tar::Header::new("opt/app", Kind::File { size }, 0o755);
    let layer = tar(&[
        (header, &program),
        symlink("bin/app", "../opt/app"),
        file("bin/script", "#!/bin/app"),
    ]);
    let store = Store::new();
    for (config, noticed) in [
        (r#"{"Entrypoint":["/opt/app"]}"#, true),
        (r#"{"Cmd":["app","--serve"]}"#, true),
        (r#"{"Env":["PATH=/usr/bin:/opt"],"Cmd":["app"]}"#, true),
        (r#"{"WorkingDir":"/opt","Entrypoint":["./app"]}"#, true),
        (r#"{"Env":["PATH=/usr/bin"],"Cmd":["app"]}"#, false),
        (r#"{"Cmd":["script"]}"#, false),
        (r#"{"Cmd":["/missing"]}"#, false),
        ("{}", false),
    ] {
        let image = store.image_with(std::slice::from_ref(&layer), config).await;
        let tree = Tree::from_layers(&store.layout, &image).await.unwrap();
        let found = other_processor(&tree, &store.layout, &image).await.unwrap();
        assert_eq!(found.is_some(), noticed, "{config}");
        if let Some(found) = found {
            assert_eq!(found.program, Path::new("opt/app"));
            assert_eq!((found.program_is_for, found.config_says.as_str()), ("arm64", "amd64"));
        }
    }
}
