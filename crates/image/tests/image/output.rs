//! The file system of an image on disk.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink as make_link};
use std::path::Path;

use boxwright_core::{ErrorKind, Manifest};
use boxwright_image::output::{self, Ownership};
use boxwright_image::tar::{Header, Kind};

use crate::{Store, entry, file, tar};

async fn image(store: &Store) -> Manifest {
    let (mut tool, content) = file("bin/tool", "#!/bin/sh\n");
    tool.mode = 0o4755;
    tool.modified = (1_500_000_000, 120);
    tool.xattrs.insert("user.note".into(), b"hi".to_vec());
    let mut locked = Header::new("locked", Kind::Folder, 0o555);
    locked.modified = (1_400_000_000, 0);
    let lower = tar(&[
        (tool, content),
        (locked, b""),
        file("locked/inside", "x"),
        file("gone", "x"),
        entry("pipe", Kind::Fifo, 0o600),
        entry("link", Kind::Symlink { target: "/etc/passwd".into() }, 0o777),
    ]);
    let twin = Kind::HardLink { target: "bin/tool".into() };
    let upper = tar(&[file(".wh.gone", ""), entry("bin/twin", twin, 0o755)]);
    store.image(&[lower, upper]).await
}

async fn written(store: &Store, image: &Manifest, to: &Path) -> boxwright_core::Result<()> {
    output::write_folder(&store.layout, image, to, Ownership::Caller).await
}

#[tokio::test]
async fn a_folder_has_what_the_image_has() {
    let store = Store::new();
    let image = image(&store).await;
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("out");
    // The second time everything is there already.
    for _ in 0..2 {
        written(&store, &image, &to).await.unwrap();
        let tool = fs::metadata(to.join("bin/tool")).unwrap();
        assert_eq!(tool.permissions().mode() & 0o7777, 0o4755);
        assert_eq!((tool.mtime(), tool.mtime_nsec()), (1_500_000_000, 120));
        let mut note = [0; 8];
        match rustix::fs::getxattr(to.join("bin/tool"), "user.note", &mut note[..]) {
            Ok(length) => assert_eq!(&note[..length], b"hi"),
            // The file system of the temporary folder knows no such attributes.
            Err(error) => assert_eq!(error, rustix::io::Errno::OPNOTSUPP),
        }
        assert_eq!(tool.ino(), fs::metadata(to.join("bin/twin")).unwrap().ino());
        assert_eq!(fs::read_to_string(to.join("locked/inside")).unwrap(), "x");
        let locked = fs::metadata(to.join("locked")).unwrap();
        assert_eq!((locked.permissions().mode() & 0o777, locked.mtime()), (0o555, 1_400_000_000));
        assert_eq!(fs::read_link(to.join("link")).unwrap(), Path::new("/etc/passwd"));
        assert!(!to.join("gone").exists());
        fs::set_permissions(to.join("locked"), fs::Permissions::from_mode(0o755)).unwrap();
    }
}

#[tokio::test]
async fn links_that_were_there_before_lead_nowhere_threat_4() {
    let store = Store::new();
    let layer = tar(&[
        entry("d", Kind::Folder, 0o777),
        file("d/canary", "overwritten"),
        file("canary", "overwritten"),
    ]);
    let image = store.image(&[layer]).await;
    let outer = tempfile::tempdir().unwrap();
    let outside = outer.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("canary"), "untouched").unwrap();
    fs::set_permissions(&outside, fs::Permissions::from_mode(0o700)).unwrap();
    let to = outer.path().join("out");
    fs::create_dir(&to).unwrap();
    make_link(&outside, to.join("d")).unwrap();
    make_link(outside.join("canary"), to.join("canary")).unwrap();
    written(&store, &image, &to).await.unwrap();
    assert_eq!(fs::read_to_string(outside.join("canary")).unwrap(), "untouched");
    assert_eq!(fs::metadata(&outside).unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(fs::read_to_string(to.join("d/canary")).unwrap(), "overwritten");
    assert!(to.join("d").symlink_metadata().unwrap().is_dir());
}

#[tokio::test]
async fn half_a_file_does_not_stay() {
    let store = Store::new();
    let (mut b, content) = file("b", "x");
    // More than any file system of Linux takes.
    b.xattrs.insert("user.huge".into(), vec![b'x'; 70_000]);
    let image = store.image(&[tar(&[file("a", "whole"), (b, content)])]).await;
    let to = tempfile::tempdir().unwrap();
    let error = written(&store, &image, to.path()).await.unwrap_err();
    assert!(error.to_string().ends_with("/b`"), "{error:?}");
    assert_eq!(fs::read_to_string(to.path().join("a")).unwrap(), "whole");
    assert!(!to.path().join("b").exists());
}

#[tokio::test]
async fn a_destination_that_is_a_link_is_not_followed_threat_46() {
    let store = Store::new();
    let image = store.image(&[tar(&[file("a", "x")])]).await;
    let outer = tempfile::tempdir().unwrap();
    fs::create_dir(outer.path().join("real")).unwrap();
    make_link("real", outer.path().join("link")).unwrap();
    assert!(written(&store, &image, &outer.path().join("link")).await.is_err());
    assert_eq!(fs::read_dir(outer.path().join("real")).unwrap().count(), 0);
}

#[tokio::test]
async fn a_folder_in_the_way_of_a_file_is_not_removed() {
    let store = Store::new();
    let image = store.image(&[tar(&[file("a", "x")])]).await;
    let to = tempfile::tempdir().unwrap();
    fs::create_dir_all(to.path().join("a/kept")).unwrap();
    let error = written(&store, &image, to.path()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(to.path().join("a/kept").exists());
}

#[tokio::test]
async fn a_tar_has_what_the_image_has_and_is_the_same_each_time() {
    let store = Store::new();
    let image = image(&store).await;
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (folder.path().join("1.tar"), folder.path().join("2.tar"));
    output::write_tar(&store.layout, &image, &one).await.unwrap();
    output::write_tar(&store.layout, &image, &two).await.unwrap();
    let bytes = fs::read(&one).unwrap();
    assert!(bytes == fs::read(&two).unwrap());
    let mut found = BTreeMap::new();
    for entry in tar::Archive::new(&bytes[..]).entries().unwrap() {
        let mut entry = entry.unwrap();
        let mut content = String::new();
        entry.read_to_string(&mut content).unwrap();
        let path = entry.path().unwrap().to_str().unwrap().to_owned();
        found.insert(path, (entry.header().entry_type(), entry.header().mode().unwrap(), content));
    }
    let names: Vec<_> = found.keys().map(String::as_str).collect();
    assert_eq!(names, ["bin/", "bin/tool", "bin/twin", "link", "locked/", "locked/inside", "pipe"]);
    assert_eq!(found["bin/tool"], (tar::EntryType::Regular, 0o4755, "#!/bin/sh\n".into()));
    assert_eq!(found["bin/twin"].0, tar::EntryType::Link);
    assert_eq!(found["pipe"].0, tar::EntryType::Fifo);
}
