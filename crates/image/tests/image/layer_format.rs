//! Each row of the first table in `docs/reference/layer-format.md`: an entry in, and the bytes that come of it.

use std::io::{Seek as _, Write as _};

use boxwright_core::{ErrorKind, Result};
use boxwright_image::layer::CanonicalWriter;
use boxwright_image::tar::{Header, Kind};

const DOCUMENT: &str = include_str!("../../../../docs/reference/layer-format.md");

const BLOCK: usize = 512;

/// What each row begins with, and what holds it. Sockets are no entries: who reads folders leaves them out, and its tests
/// say so.
const ROWS: [(&str, fn()); 14] = [
    ("Order", order),
    ("Parents", parents),
    ("Path", path),
    ("Header", header),
    ("PAX", pax),
    ("PAX header", pax_header),
    ("Mode", mode),
    ("Time", time),
    ("Hard links", hard_links),
    ("Holes", holes),
    ("Attributes", attributes),
    ("Sockets", || ()),
    ("Device 0:0, names that begin with `.wh.`", refused),
    ("End", end),
];

#[test]
fn every_row_of_the_layer_format_holds() {
    let table = DOCUMENT.split("| What | How |").nth(1).unwrap();
    let rows = table.lines().skip(2).map_while(|line| line.strip_prefix("| "));
    let rows: Vec<&str> = rows.filter_map(|row| row.split(" | ").next()).collect();
    assert_eq!(rows, ROWS.map(|(row, _)| row), "each row has a check here");
    ROWS.iter().for_each(|(_, holds)| holds());
}

fn order() {
    let names = ["a", "a/b", "a-b", "b"];
    let folder = |path: &&str| Header::new(*path, Kind::Folder, 0o755);
    assert!(layer(&names.map(|name| folder(&name))).is_ok());
    let error = layer(&["a-b", "a"].map(|name| folder(&name))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Bug, "by name, not by the bytes of the path");
}

fn parents() {
    let error = layer(&[Header::new("a/b", Kind::Folder, 0o755)]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Bug);
}

fn path() {
    let bytes = layer(&[Header::new("a", Kind::Folder, 0o755), file("a/b")]).unwrap();
    assert_eq!(text(&bytes[..100]), "a/");
    assert_eq!(text(&bytes[BLOCK..][..100]), "a/b");
}

fn header() {
    let bytes = layer(&[Header { uid: 1000, gid: 5, ..file("a") }]).unwrap();
    assert_eq!(&bytes[257..265], b"ustar\x0000");
    assert_eq!((&bytes[108..116], &bytes[116..124]), (&b"0001750\0"[..], &b"0000005\0"[..]));
    assert!(bytes[265..329].iter().all(|&byte| byte == 0), "owner names");
    assert_eq!(&bytes[329..345], b"0000000\x000000000\0", "device numbers");
    let kind = Kind::CharacterDevice { major: 1, minor: 3 };
    let bytes = layer(&[Header::new("null", kind, 0o666)]).unwrap();
    assert_eq!(&bytes[329..345], b"0000001\x000000003\0");
}

fn pax() {
    let flag = |header: Header| layer(&[header]).unwrap()[156];
    assert_eq!(flag(file(&"x".repeat(100))), b'0');
    assert_eq!(flag(file(&"x".repeat(101))), b'x');
    let link = |length| Kind::Symlink { target: "x".repeat(length).into() };
    assert_eq!(flag(Header::new("a", link(100), 0o777)), b'2');
    assert_eq!(flag(Header::new("a", link(101), 0o777)), b'x');
    assert_eq!(flag(Header { uid: (1 << 21) - 1, ..file("a") }), b'0');
    assert_eq!(flag(Header { uid: 1 << 21, ..file("a") }), b'x');
    assert_eq!(flag(Header { modified: (0, 0), ..file("a") }), b'0');
    assert_eq!(flag(Header { modified: (-1, 0), ..file("a") }), b'x');
    assert_eq!(flag(with_attribute(file("a"), "user.note")), b'x');
    let bytes = layer(&[file(&"x".repeat(120))]).unwrap();
    assert!(bytes[2 * BLOCK..][345..500].iter().all(|&byte| byte == 0), "the ustar prefix");
}

fn pax_header() {
    let name = "n".repeat(120);
    let kind = Kind::Symlink { target: "t".repeat(101).into() };
    let all = Header {
        uid: 3_000_000,
        gid: 3_000_001,
        modified: (-1, 0),
        ..Header::new(name.as_str(), kind, 0o777)
    };
    let all = with_attribute(with_attribute(all, "user.b"), "user.a");
    let bytes = layer(&[all]).unwrap();
    assert_eq!(text(&bytes[..100]), format!("PaxHeaders.0/{}", "n".repeat(80)));
    assert_eq!(&bytes[100..124], b"0000644\x000000000\x000000000\0", "mode and owner");
    assert_eq!(&bytes[136..148], b"00000000000\0", "time");
    let records = text(&bytes[BLOCK..]);
    let keys = records.lines().filter_map(|record| record.split([' ', '=']).nth(1));
    assert_eq!(
        keys.collect::<Vec<_>>(),
        ["path", "uid", "gid", "mtime", "linkpath", "SCHILY.xattr.user.a", "SCHILY.xattr.user.b"]
    );
}

fn mode() {
    let shown = |header: Header| text(&layer(&[header]).unwrap()[100..108]);
    let of_type = Header::new("a", Kind::File { size: 0 }, 0o107_755);
    assert_eq!(shown(of_type), "0007755");
    let link = Header::new("a", Kind::Symlink { target: "b".into() }, 0o640);
    assert_eq!(shown(link), "0000777");
}

fn time() {
    let bytes = layer(&[Header { modified: (10, 999_999_999), ..file("a") }]).unwrap();
    assert_eq!((bytes[156], text(&bytes[136..148]).as_str()), (b'0', "00000000012"));
    let bytes = layer(&[Header { modified: (-2, 500_000_000), ..file("a") }]).unwrap();
    assert_eq!(text(&bytes[BLOCK..]), "12 mtime=-2\n", "no `atime`, no `ctime`, no fraction");
}

fn hard_links() {
    let link = |path: &str, target: &str| {
        Header::new(path, Kind::HardLink { target: target.into() }, 0o644)
    };
    let bytes = layer(&[file("a"), link("b", "a"), link("c", "a")]).unwrap();
    for block in [1, 2] {
        let header = &bytes[block * BLOCK..][..BLOCK];
        assert_eq!((header[156], text(&header[157..257]).as_str()), (b'1', "a"));
    }
    assert_eq!(layer(&[link("a", "b"), file("b")]).unwrap_err().kind(), ErrorKind::Bug);
}

fn holes() {
    let mut sparse = tempfile::tempfile().unwrap();
    sparse.set_len(3 * BLOCK as u64 - 1).unwrap();
    sparse.seek(std::io::SeekFrom::End(0)).unwrap();
    sparse.write_all(b"x").unwrap();
    sparse.rewind().unwrap();
    let mut writer = CanonicalWriter::new(Vec::new(), "/");
    let size = 3 * BLOCK as u64;
    writer.add(&Header::new("a", Kind::File { size }, 0o644), &mut sparse).unwrap();
    let bytes = writer.finish().unwrap().0;
    assert_eq!((bytes[156], text(&bytes[124..136]).as_str()), (b'0', "00000003000"));
    assert!(bytes[BLOCK..4 * BLOCK - 1].iter().all(|&byte| byte == 0));
    assert_eq!(bytes[4 * BLOCK - 1], b'x');
}

fn attributes() {
    let names = ["user.note", "user.overlay.opaque", "trusted.x", "security.selinux"];
    let all = names.into_iter().fold(file("a"), with_attribute);
    let bytes = layer(&[all]).unwrap();
    assert_eq!(text(&bytes[BLOCK..]), "28 SCHILY.xattr.user.note=x\n");
    let mut version_3 = vec![1, 0, 0, 3];
    version_3.extend([7; 20]);
    let mut capable = file("a");
    capable.xattrs.insert("security.capability".into(), version_3);
    let bytes = layer(&[capable]).unwrap();
    let record =
        [&b"57 SCHILY.xattr.security.capability=\x01\0\0\x02"[..], &[7; 16], b"\n"].concat();
    assert_eq!(&bytes[BLOCK..][..record.len()], record);
}

fn refused() {
    let device = Header::new("a", Kind::CharacterDevice { major: 0, minor: 0 }, 0o600);
    for header in [device, file(".wh.a"), file(".wh..wh..opq")] {
        assert_eq!(layer(&[header]).unwrap_err().kind(), ErrorKind::InvalidInput);
    }
}

fn end() {
    let bytes = layer(&[file("a")]).unwrap();
    assert_eq!(bytes.len(), 3 * BLOCK);
    assert!(bytes[BLOCK..].iter().all(|&byte| byte == 0));
}

/// The tar of a canonical layer of these entries, all without content.
fn layer(entries: &[Header]) -> Result<Vec<u8>> {
    let mut writer = CanonicalWriter::new(Vec::new(), "/");
    for header in entries {
        writer.add(header, &mut std::io::empty())?;
    }
    Ok(writer.finish()?.0)
}

fn file(path: &str) -> Header {
    Header::new(path, Kind::File { size: 0 }, 0o644)
}

fn with_attribute(mut header: Header, name: &str) -> Header {
    header.xattrs.insert(name.to_owned(), b"x".to_vec());
    header
}

/// What a field has before its first NUL.
fn text(field: &[u8]) -> String {
    let end = field.iter().position(|&byte| byte == 0).unwrap_or(field.len());
    String::from_utf8_lossy(&field[..end]).into_owned()
}
