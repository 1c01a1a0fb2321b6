//! Layers in the worker's store.
#![expect(clippy::unwrap_used, reason = "a panic in a test is a failed test with its place")]

use std::io::Read as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use boxwright_core::{Digest, ErrorKind};
use boxwright_image::manifest::digest_of;
use boxwright_image::tar::{Header, Kind, Writer};
use boxwright_worker::WorkerStore;

fn tar(entries: &[(Header, &[u8])]) -> (Digest, Vec<u8>) {
    let mut tar = Writer::new(Vec::new());
    for (header, content) in entries {
        tar.file(header, &mut &content[..]).unwrap();
    }
    let bytes = tar.finish().unwrap();
    (digest_of(&bytes), bytes)
}

fn file(path: &str, content: &'static [u8]) -> (Header, &'static [u8]) {
    (Header::new(path, Kind::File { size: content.len() as u64 }, 0o644), content)
}

fn folder(path: &str) -> (Header, &'static [u8]) {
    (Header::new(path, Kind::Folder, 0o755), b"")
}

fn link(path: &str, target: &str) -> (Header, &'static [u8]) {
    (Header::new(path, Kind::Symlink { target: target.into() }, 0o777), b"")
}

/// The part of the store for the way in which layers are stacked up here.
fn kind(store: &Path) -> PathBuf {
    let kinds = ["overlay", "userxattr", "copying"].map(|kind| store.join(kind));
    kinds.into_iter().find(|kind| kind.exists()).unwrap()
}

/// The folder that the layer is in.
fn files(store: &Path, layer: &Digest) -> PathBuf {
    kind(store).join("layers").join(layer.hex()).join("fs")
}

fn left(store: &Path) -> usize {
    std::fs::read_dir(kind(store).join("work")).unwrap().count()
}

#[test]
fn a_layer_is_unpacked_once_with_modes_times_links_and_attributes() {
    let place = tempfile::tempdir().unwrap();
    let store = WorkerStore::open(place.path()).unwrap();
    let mut noted = file("d/a", b"content");
    noted.0.modified = (-5, 500_000_000);
    noted.0.mode = 0o4751;
    noted.0.xattrs.insert("user.note".to_owned(), b"kept".to_vec());
    noted.0.xattrs.insert("user.overlay.redirect".to_owned(), b"/etc".to_vec());
    let hard = (Header::new("d/b", Kind::HardLink { target: "d/a".into() }, 0o644), &b""[..]);
    let (id, bytes) = tar(&[folder("d"), noted, hard, link("l", "/d/a")]);
    let twice = vec![id.clone(); 2];
    assert_eq!(store.missing(&twice).unwrap(), twice[..1]);
    store.unpack(&id, &mut &bytes[..]).unwrap();
    assert!(store.missing(std::slice::from_ref(&id)).unwrap().is_empty());

    let files = files(place.path(), &id);
    let found = std::fs::metadata(files.join("d/a")).unwrap();
    assert_eq!((found.mode() & 0o7777, found.mtime(), found.nlink()), (0o4751, -5, 2));
    assert_eq!(found.ino(), std::fs::metadata(files.join("d/b")).unwrap().ino());
    assert_eq!(std::fs::read_link(files.join("l")).unwrap(), Path::new("/d/a"));
    let mut names = vec![0; 4096];
    let count = rustix::fs::listxattr(files.join("d/a"), &mut names[..]).unwrap();
    assert_eq!(&names[..count], b"user.note\0");
    assert_eq!(std::fs::metadata(files.join("d")).unwrap().mtime(), 0);

    // Of a layer that is there, nothing is read.
    let mut unread = &b"no tar"[..];
    store.unpack(&id, &mut unread).unwrap();
    assert_eq!(unread.len(), 6);
    assert!(store.read_layer(&id).is_err_and(|error| error.kind() == ErrorKind::NotFound));
}

#[test]
fn marks_of_a_layer_become_marks_of_the_file_system_threat_8() {
    let place = tempfile::tempdir().unwrap();
    let store = WorkerStore::open(place.path()).unwrap();
    let entries = [
        folder("a"),
        file("a/.wh.gone", b""),
        folder("b"),
        file("b/.wh..wh..opq", b""),
        file("b/new", b"1"),
        // A name that is hidden and there again: what is there counts, in whichever order.
        file("back", b"2"),
        file(".wh.back", b""),
        file(".wh.c", b""),
        folder("c"),
        file("deep/below/.wh.x", b""),
        file(".wh..wh.plnk", b""),
    ];
    let (id, bytes) = tar(&entries);
    store.unpack(&id, &mut &bytes[..]).unwrap();
    let files = files(place.path(), &id);
    let names = std::fs::read_dir(&files).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<_> = names.collect();
    names.sort();
    assert_eq!(names, ["a", "b", "back", "c", "deep"]);
    if store.stacking() != "copying" {
        for gone in ["a/gone", "deep/below/x"] {
            let found = std::fs::symlink_metadata(files.join(gone)).unwrap();
            assert!(found.file_type().is_char_device() && found.rdev() == 0, "{gone}");
        }
        let namespace = if store.stacking() == "overlay" { "trusted" } else { "user" };
        for opaque in ["b", "c"] {
            let mut value = [0; 8];
            let name = format!("{namespace}.overlay.opaque");
            let count =
                rustix::fs::lgetxattr(files.join(opaque), name.as_str(), &mut value[..]).unwrap();
            assert_eq!(&value[..count], b"y", "{opaque}");
        }
    }
    for escape in [".wh.", ".wh...", "a/.wh..", ".wh..."] {
        let (id, bytes) = tar(&[file(escape, b"")]);
        let error = store.unpack(&id, &mut &bytes[..]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{escape}");
        assert!(error.to_string().contains(escape), "{error}");
    }
    assert_eq!(left(place.path()), 0);
}

#[test]
fn nothing_is_written_through_a_link_threat_2() {
    let outside = tempfile::tempdir().unwrap();
    let place = tempfile::tempdir().unwrap();
    let store = WorkerStore::open(place.path()).unwrap();
    let target = outside.path().to_str().unwrap();
    let (id, bytes) = tar(&[
        link("out", target),
        file("out/canary", b"x"),
        link("up", "../../.."),
        file("up/canary", b"x"),
    ]);
    store.unpack(&id, &mut &bytes[..]).unwrap();
    assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 0);
    // The links lead somewhere inside the layer's own root.
    let files = files(place.path(), &id);
    assert!(files.join(target.trim_start_matches('/')).join("canary").is_file());
    assert!(files.join("canary").is_file());
    // A link that is replaced by a folder, and a folder by a link (threat 4).
    let mut replaced = folder("l");
    replaced.0.mode = 0o700;
    let (id, bytes) =
        tar(&[link("l", target), replaced, folder("m"), file("m/f", b"x"), link("m", target)]);
    let before = std::fs::metadata(outside.path()).unwrap().mode();
    store.unpack(&id, &mut &bytes[..]).unwrap();
    assert_eq!(std::fs::metadata(outside.path()).unwrap().mode(), before);
}

#[test]
fn hard_links_stay_inside_threat_6() {
    let place = tempfile::tempdir().unwrap();
    let store = WorkerStore::open(place.path()).unwrap();
    let hard = |path: &str, target: &str| {
        (Header::new(path, Kind::HardLink { target: target.into() }, 0o644), &b""[..])
    };
    for entries in [
        vec![hard("a", "a")],
        vec![folder("d"), hard("a", "d")],
        vec![link("x", "y"), link("y", "x"), hard("a", "x/b")],
    ] {
        let (id, bytes) = tar(&entries);
        let error = store.unpack(&id, &mut &bytes[..]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert_eq!(store.missing(std::slice::from_ref(&id)).unwrap(), [id]);
    }
}

#[test]
fn a_broken_or_another_layer_leaves_nothing() {
    let place = tempfile::tempdir().unwrap();
    let store = WorkerStore::open(place.path()).unwrap();
    let (id, bytes) = tar(&[file("a", b"content")]);
    let (other, _) = tar(&[]);
    for (id, bytes) in [(&other, &bytes[..]), (&id, &bytes[..700]), (&id, &bytes[..1024])] {
        let error = store.unpack(id, &mut &bytes[..]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Protocol, "{error:?}");
    }
    assert_eq!(store.missing(&[id.clone(), other.clone()]).unwrap(), [id, other]);
    assert_eq!(left(place.path()), 0);
}

#[test]
fn what_a_killed_process_left_is_swept_and_what_is_held_stays_threat_39() {
    struct Stops<'s>(&'s Path);
    impl std::io::Read for Stops<'_> {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            // While a layer is being unpacked, its folder is not swept by another process.
            WorkerStore::open(self.0).unwrap();
            assert_eq!(left(self.0), 1);
            Err(std::io::Error::other("cut"))
        }
    }
    let place = tempfile::tempdir().unwrap();
    let store = WorkerStore::open(place.path()).unwrap();
    let (id, _) = tar(&[]);
    store.unpack(&id, &mut Stops(place.path())).unwrap_err();
    assert_eq!(left(place.path()), 0);
    let kind = kind(place.path());
    let stale = kind.join("work/1-0-0/layer");
    std::fs::create_dir_all(stale.join("fs")).unwrap();
    std::fs::write(kind.join("work/1-0-0/lock"), "").unwrap();
    std::fs::create_dir_all(kind.join("trash/old")).unwrap();
    WorkerStore::open(place.path()).unwrap();
    assert_eq!(left(place.path()), 0);
    assert_eq!(std::fs::read_dir(kind.join("trash")).unwrap().count(), 0);
}

#[test]
fn many_at_once_unpack_one_layer_threat_40() {
    let place = tempfile::tempdir().unwrap();
    let (id, bytes) = tar(&[file("a", b"content")]);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let store = WorkerStore::open(place.path()).unwrap();
                store.unpack(&id, &mut &bytes[..]).unwrap();
            });
        }
    });
    let mut content = String::new();
    let file = std::fs::File::open(files(place.path(), &id).join("a"));
    file.unwrap().read_to_string(&mut content).unwrap();
    assert_eq!(content, "content");
    assert_eq!(left(place.path()), 0);
}
