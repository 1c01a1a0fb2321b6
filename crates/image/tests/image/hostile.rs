//! Tars that were made to be understood in two ways, or to do harm.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Component, PathBuf};

use boxwright_core::{Error, ErrorKind};
use boxwright_image::tar::{Header, Kind};
use boxwright_image::unpack::{Limits, Reader};

use crate::{entry, file, tar};

fn read(bytes: &[u8]) -> Result<Vec<(Header, Vec<u8>)>, Error> {
    read_within(bytes, Limits::default())
}

fn read_within(bytes: &[u8], limits: Limits) -> Result<Vec<(Header, Vec<u8>)>, Error> {
    let mut reader = Reader::new(bytes, limits);
    let mut entries = Vec::new();
    while let Some(header) = reader.next_entry()? {
        let mut content = Vec::new();
        reader.read_to_end(&mut content).map_err(boxwright_image::read_error)?;
        entries.push((header, content));
    }
    reader.finish()?;
    if let Some(theirs) = second_opinion(bytes) {
        let ours = entries.iter().map(|(header, content)| (header.path.clone(), content.clone()));
        assert_eq!(ours.collect::<Vec<_>>(), theirs);
    }
    Ok(entries)
}

/// What another implementation takes the tar for, unless it refuses it (threat 5).
fn second_opinion(bytes: &[u8]) -> Option<Vec<(PathBuf, Vec<u8>)>> {
    let mut found = Vec::new();
    for entry in tar::Archive::new(bytes).entries().ok()? {
        let mut entry = entry.ok()?;
        // It gives global headers out as entries.
        if entry.header().entry_type().is_pax_global_extensions() {
            continue;
        }
        let path = entry.path().ok()?.into_owned();
        let path = path.components().filter(|part| matches!(part, Component::Normal(_))).collect();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).ok()?;
        found.push((path, content));
    }
    Some(found)
}

/// One header block made by another implementation, and its content.
fn raw(name: &[u8], kind: u8, content: &[u8], change: impl FnOnce(&mut tar::Header)) -> Vec<u8> {
    let mut header = tar::Header::new_ustar();
    header.as_mut_bytes()[..name.len()].copy_from_slice(name);
    header.set_entry_type(tar::EntryType::new(kind));
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(content.len() as u64);
    change(&mut header);
    header.set_cksum();
    let mut bytes = header.as_bytes().to_vec();
    bytes.extend_from_slice(content);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

fn plain(name: &[u8], kind: u8, content: &[u8]) -> Vec<u8> {
    raw(name, kind, content, |_| {})
}

fn ended(parts: &[Vec<u8>]) -> Vec<u8> {
    [parts.concat(), vec![0; 1024]].concat()
}

fn kind_of(parts: &[Vec<u8>]) -> Option<ErrorKind> {
    read(&ended(parts)).err().map(|error| error.kind())
}

fn record(key: &str, value: &str) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let length = (rest + 1..).find(|length| rest + length.to_string().len() == *length).unwrap();
    format!("{length} {key}={value}\n").into_bytes()
}

#[test]
fn names_that_climb_are_refused_threat_1() {
    for name in [&b"../a"[..], b"a/../../b", b"/../etc/passwd", b".."] {
        assert_eq!(kind_of(&[plain(name, b'0', b"x")]), Some(ErrorKind::InvalidInput), "{name:?}");
    }
    let nul = plain(b"x", b'x', &record("path", "a\0b"));
    assert_eq!(kind_of(&[nul, plain(b"a", b'0', b"")]), Some(ErrorKind::InvalidInput));
    let entries = read(&ended(&[plain(b"/./a//b", b'0', b"x")])).unwrap();
    assert_eq!(entries[0].0.path.to_str(), Some("a/b"));
}

#[test]
fn the_root_is_a_folder_or_nothing_threat_3() {
    assert_eq!(kind_of(&[plain(b"./", b'5', b"")]), None);
    let link = raw(b".", b'2', b"", |header| header.set_link_name("/etc").unwrap());
    assert_eq!(kind_of(&[link]), Some(ErrorKind::InvalidInput));
    assert_eq!(kind_of(&[plain(b".", b'0', b"x")]), Some(ErrorKind::InvalidInput));
}

#[test]
fn pax_says_where_the_next_entry_begins_threat_5() {
    // A reader that believes the header sees the smuggled entry inside.
    let smuggled = plain(b"smuggled", b'0', b"");
    let inner = [smuggled.clone(), b"rest".to_vec()].concat();
    let mut outer = raw(b"outer", b'0', &inner, |header| header.set_size(0));
    outer.resize(outer.len().next_multiple_of(512), 0);
    let size = record("size", &inner.len().to_string());
    let bytes = ended(&[plain(b"x", b'x', &size), outer, plain(b"after", b'0', b"")]);
    let entries = read(&bytes).unwrap();
    let names: Vec<_> = entries.iter().map(|(header, _)| header.path.to_str().unwrap()).collect();
    assert_eq!(names, ["outer", "after"]);
    assert_eq!(entries[0].1, inner);
}

#[test]
fn what_two_readers_would_take_differently_is_refused_threat_5() {
    let file = || plain(b"a", b'0', b"");
    let pax = |key: &str, value: &str| plain(b"x", b'x', &record(key, value));
    let protocol = Some(ErrorKind::Protocol);
    assert_eq!(kind_of(&[plain(b"x", b'x', b"9 path=ab\n"), file()]), protocol);
    assert_eq!(kind_of(&[pax("path", "b"), pax("path", "c"), file()]), protocol);
    assert_eq!(kind_of(&[pax("path", "b"), plain(b"L", b'L', b"c\0"), file()]), protocol);
    assert_eq!(kind_of(&[plain(b"g", b'g', &record("size", "5")), file()]), protocol);
    assert_eq!(kind_of(&[pax("path", "b")]), protocol);
    assert_eq!(kind_of(&[plain(b"g", b'g', &record("comment", "fine")), file()]), None);
    assert_eq!(kind_of(&[pax("size", "-1"), file()]), Some(ErrorKind::InvalidInput));
    // A link with content: some skip it, some take it for the next header.
    let link = raw(b"l", b'1', &plain(b"in", b'0', b""), |h| h.set_link_name("a").unwrap());
    assert_eq!(kind_of(&[file(), link]), Some(ErrorKind::InvalidInput));
    let second = [ended(&[file()]), ended(&[plain(b"hidden", b'0', b"")])].concat();
    assert_eq!(read(&second).unwrap_err().kind(), ErrorKind::InvalidInput);
}

#[test]
fn sparse_files_and_unknown_types_are_unsupported_and_named() {
    let unsupported = Some(ErrorKind::Unsupported);
    assert_eq!(kind_of(&[plain(b"s", b'S', b"")]), unsupported);
    assert_eq!(kind_of(&[plain(b"v", b'V', b"")]), unsupported);
    let sparse = plain(b"x", b'x', &record("GNU.sparse.major", "1"));
    assert_eq!(kind_of(&[sparse, plain(b"s", b'0', b"")]), unsupported);
}

#[test]
fn owners_out_of_range_are_refused_threat_12() {
    let owned = |id: &str| [plain(b"x", b'x', &record("uid", id)), plain(b"a", b'0', b"")];
    for id in ["4294967295", "4294967296", "-1", "99999999999999999999", "1e3", ""] {
        let expected = if id.is_empty() { None } else { Some(ErrorKind::InvalidInput) };
        assert_eq!(kind_of(&owned(id)), expected, "{id}");
    }
    assert_eq!(read(&ended(&owned("4294967294"))).unwrap()[0].0.uid, 4_294_967_294);
}

#[test]
fn attributes_of_unknown_namespaces_are_refused_threat_8() {
    let with = |key: &str| [plain(b"x", b'x', &record(key, "v")), plain(b"a", b'0', b"")];
    for name in ["evil.x", "user", "", "osx.x"] {
        let kind = kind_of(&with(&format!("SCHILY.xattr.{name}")));
        assert_eq!(kind, Some(ErrorKind::InvalidInput), "{name}");
    }
    let entries = read(&ended(&with("SCHILY.xattr.security.capability"))).unwrap();
    assert_eq!(entries[0].0.xattrs["security.capability"], b"v");
}

#[test]
fn every_limit_is_named_threat_10() {
    let bytes = tar(&[file("a", "12345"), file("b", "12345")]);
    let mut limits = Limits::default();
    limits.entries = 1;
    let error = read_within(&bytes, limits).unwrap_err();
    assert_eq!(
        (error.kind(), error.causes()),
        (ErrorKind::Exhausted, vec!["it has more than 1 entries".into()])
    );
    let mut limits = Limits::default();
    limits.content_bytes = 9;
    let error = read_within(&bytes, limits).unwrap_err();
    assert_eq!(error.causes(), ["its files have more than 9 bytes together"]);
    let long = tar(&[file(&"a/".repeat(40_000), "")]);
    assert_eq!(read(&long).unwrap_err().kind(), ErrorKind::InvalidInput);
    // The header alone promises 8 EiB: nothing of that size is reserved.
    let huge = raw(b"x", b'x', b"", |header| {
        header.as_mut_bytes()[124..136]
            .copy_from_slice(&[0x80, 0, 0, 0, 0x7f, 255, 255, 255, 255, 255, 255, 255]);
    });
    assert_eq!(read(&ended(&[huge])).unwrap_err().kind(), ErrorKind::Exhausted);
}

#[test]
fn any_byte_may_be_wrong_without_a_panic_threat_10() {
    let bytes = tar(&[
        file("a", "content"),
        entry("l", Kind::Symlink { target: "a".into() }, 0o777),
        file(&"long/".repeat(60), "x"),
    ]);
    for position in 0..bytes.len() {
        for value in [0, 0xff, b'x', bytes[position] ^ 0x80] {
            let mut wrong = bytes.clone();
            wrong[position] = value;
            if let Ok(entries) = read(&wrong) {
                assert!(entries.len() <= 3, "at {position}");
            }
        }
    }
}

#[test]
fn another_implementation_reads_the_same() {
    let long = format!("{}{}", "a/".repeat(90), "ü".repeat(100));
    let (mut owned, content) = file(&long, "some content");
    owned.uid = 3_000_000;
    owned.gid = 4_000_000_000;
    owned.modified = (-5, 250_000_000);
    // No newline in it: the other implementation takes that for the end of the record.
    owned.xattrs.insert("user.binary".into(), vec![0, 11, 255, b'=']);
    let entries = [
        entry("dir", Kind::Folder, 0o1777),
        (owned, content),
        entry("dir/l", Kind::Symlink { target: format!("/{long}").into() }, 0o777),
        entry("h", Kind::HardLink { target: (&long).into() }, 0o644),
        entry("c", Kind::CharacterDevice { major: 5, minor: 1 }, 0o600),
    ];
    let bytes = tar(&entries);
    let ours = read(&bytes).unwrap();
    let headers: Vec<_> = ours.iter().map(|(header, _)| header.clone()).collect();
    assert_eq!(headers, entries.clone().map(|(header, _)| header));
    let mut archive = tar::Archive::new(&bytes[..]);
    let mut count = 0;
    for (theirs, (header, content)) in archive.entries().unwrap().zip(&ours) {
        let mut theirs = theirs.unwrap();
        assert_eq!(theirs.path().unwrap().components().as_path(), header.path);
        assert_eq!(theirs.header().mode().unwrap(), header.mode);
        let extensions: BTreeMap<String, Vec<u8>> = theirs
            .pax_extensions()
            .unwrap()
            .into_iter()
            .flatten()
            .map(Result::unwrap)
            .map(|record| (record.key().unwrap().to_owned(), record.value_bytes().to_vec()))
            .collect();
        for (name, value) in &header.xattrs {
            assert_eq!(&extensions[&format!("SCHILY.xattr.{name}")], value);
        }
        let mut bytes = Vec::new();
        theirs.read_to_end(&mut bytes).unwrap();
        assert_eq!(&bytes, content);
        count += 1;
    }
    assert_eq!(count, ours.len());
}

#[test]
fn whatever_is_written_is_read_again() {
    use proptest::prelude::*;
    let kind = prop_oneof![
        Just(Kind::Folder),
        Just(Kind::Fifo),
        "[a-zé/.]{1,300}".prop_map(|target| Kind::Symlink { target: target.into() }),
        (0..2_000_000_u32, 0..2_000_000_u32)
            .prop_map(|(major, minor)| Kind::BlockDevice { major, minor }),
        (0..2000_u64).prop_map(|size| Kind::File { size }),
    ];
    let name = prop::collection::vec("[a-zé]{1,120}", 1..6).prop_map(|parts| parts.join("/"));
    let xattrs = prop::collection::btree_map("user\\.[a-z]{1,9}", any::<Vec<u8>>(), 0..3);
    let numbers = (0..0o10000_u32, 0..u32::MAX, 0..u32::MAX);
    let time = (any::<i32>().prop_map(|time| i64::from(time) * 3), 0..1_000_000_000_u32);
    let header = (name, kind, numbers, time, xattrs).prop_map(
        |(path, kind, (mode, uid, gid), modified, xattrs)| Header {
            path: path.into(),
            kind,
            mode,
            uid,
            gid,
            modified,
            xattrs,
        },
    );
    proptest!(|(headers in prop::collection::vec(header, 0..5))| {
        let contents: Vec<_> = headers.iter().map(|header| vec![7; header.size() as usize]).collect();
        let entries: Vec<_> =
            headers.iter().cloned().zip(contents.iter().map(Vec::as_slice)).collect();
        let read = read(&tar(&entries)).unwrap();
        prop_assert_eq!(read, headers.into_iter().zip(contents).collect::<Vec<_>>());
    });
}

#[test]
fn long_names_of_gnu_tar_are_read() {
    let long = "n".repeat(200);
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(2);
    header.set_mode(0o600);
    builder.append_data(&mut header, &long, &b"hi"[..]).unwrap();
    let entries = read(&builder.into_inner().unwrap()).unwrap();
    assert_eq!(entries[0].0.path.to_str(), Some(long.as_str()));
    assert_eq!(entries[0].1, b"hi");
}
