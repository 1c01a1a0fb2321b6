//! Where copied files go, as BuildKit has it.

use std::os::unix::fs::PermissionsExt;

use boxwright_core::ErrorKind;
use boxwright_image::tar::{Header, Kind, Writer};

use crate::bench::Bench;

#[tokio::test]
async fn a_folder_that_is_new_does_not_take_the_mode_of_its_source() {
    let bench = Bench::new("FROM scratch\nCOPY tree /new\nCOPY --chmod=700 tree /other\n").file(
        "tree/inner/file",
        0o600,
        "x",
    );
    for (path, mode) in [("tree/inner", 0o711), ("tree", 0o750)] {
        let path = bench.context.path().join(path);
        std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
    }
    let listing = bench.build().await.unwrap().listing();
    for line in ["new/ 755 0:0", "new/inner/ 711 0:0", "other/ 755 0:0", "other/inner/ 700 0:0"] {
        assert!(listing.contains(&line.to_owned()), "{line} in {listing:#?}");
    }
}

#[tokio::test]
async fn folders_on_the_way_to_the_destination_take_the_mode_that_is_asked_for() {
    let dockerfile = "FROM scratch\nCOPY --chmod=711 f /new/file\nCOPY --chmod=700 f /new/sub/\n\
        COPY --chmod=go-rwx f /other/file\n";
    let listing = Bench::new(dockerfile).file("f", 0o644, "x").build().await.unwrap().listing();
    for line in ["new/ 711 0:0", "new/sub/ 700 0:0", "new/sub/f 700 0:0", "other/ 755 0:0"] {
        assert!(listing.contains(&line.to_owned()), "{line} in {listing:#?}");
    }
}

#[tokio::test]
async fn parents_of_a_whole_folder_and_below_a_pattern() {
    let dockerfile = "FROM scratch\nCOPY --parents ./a/./ /one/\nCOPY --parents ./ /all/\n\
        COPY --parents a/*/./z/**/f /two/\nCOPY --parents a/*/./none* /three/\n";
    let bench = Bench::new(dockerfile);
    let bench = bench.file("a/x/z/deep/f", 0o644, "").file("a/y/z/f", 0o644, "");
    let listing = bench.build().await.unwrap().listing();
    for line in ["one/x/z/deep/f", "all/a/y/z/f", "two/z/deep/f", "two/z/f"] {
        let line = format!("{line} 644 0:0");
        assert!(listing.contains(&line), "{line} in {listing:#?}");
    }
    assert!(listing.contains(&"three/ 755 0:0".to_owned()), "{listing:#?}");
    assert!(!listing.iter().any(|line| line.starts_with("two/a")), "{listing:#?}");
    let missing = Bench::new("FROM scratch\nCOPY --parents ./none/./ /\n").build().await;
    assert_eq!(missing.err().unwrap().kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn a_folder_of_a_user_that_the_image_does_not_know_is_of_root() {
    let bench = Bench::new(
        "FROM scratch\nUSER later\nWORKDIR /one\nUSER root:root\nWORKDIR /two\nCOPY --chown=root f /two/\n",
    );
    let built = bench.file("f", 0o644, "x").build().await.unwrap();
    assert_eq!(built.listing(), ["one/ 755 0:0", "two/ 755 0:0", "two/f 644 0:0"]);
    // Files that are to be somebody's are another matter.
    let bench = Bench::new("FROM scratch\nCOPY --chown=later f /\n").file("f", 0o644, "x");
    assert_eq!(bench.build().await.err().unwrap().kind(), ErrorKind::BuildFailed);
}

#[tokio::test]
async fn of_several_matches_the_last_one_has_the_name() {
    let bench = Bench::new("FROM scratch\nCOPY note-* /note\n")
        .file("note-1", 0o644, "first")
        .file("note-2", 0o644, "last");
    let built = bench.build().await.unwrap();
    assert_eq!(built.listing(), ["note 644 0:0"]);
    assert_eq!(bench.read(&built, "note").await, "last");
}

#[tokio::test]
async fn no_link_of_an_archive_leads_out_of_the_destination_threat_2() {
    let mut archive = Writer::new(Vec::new());
    for (link, target) in [("up", ".."), ("out", "/etc")] {
        let kind = Kind::Symlink { target: target.into() };
        archive.header(&Header::new(link, kind, 0o777)).unwrap();
    }
    for (file, content) in [("up/a/file", "1"), ("out/file", "2")] {
        let header = Header::new(file, Kind::File { size: 1 }, 0o644);
        archive.file(&header, &mut content.as_bytes()).unwrap();
    }
    let bench = Bench::new("FROM scratch\nADD files.tar /to/here\n").file(
        "files.tar",
        0o644,
        archive.finish().unwrap(),
    );
    let built = bench.build().await.unwrap();
    assert_eq!(bench.read(&built, "to/here/a/file").await, "1");
    assert_eq!(bench.read(&built, "to/here/etc/file").await, "2");
    assert!(built.tree.get("etc").is_none() && built.tree.get("to/a").is_none());
}
