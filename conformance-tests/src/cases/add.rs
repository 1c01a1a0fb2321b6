//! `ADD`: archives and addresses.

use boxwright_core::Feature;
use flate2::Compression;
use flate2::write::GzEncoder;

use super::BUILD;
use crate::case::{Case, CaseResult};
use crate::cx::Cx;
use crate::environment::RegistryKind;
use crate::{expect, expect_eq};

pub(super) const CASES: &[Case] = &[
    Case {
        id: "add/copies-files",
        promise: "ADD of a file that is no archive copies it as COPY does",
        needs: BUILD,
        features: &[],
        run: |cx| Box::pin(copies_files(cx)),
    },
    Case {
        id: "add/unpacks-archives",
        promise: "ADD unpacks a tar of the context, with modes, owners and links",
        needs: BUILD,
        features: &[],
        run: |cx| Box::pin(unpacks_archives(cx, None)),
    },
    Case {
        id: "add/unpacks-gzip",
        promise: "ADD unpacks a tar that is compressed with gzip, whatever its name",
        needs: BUILD,
        features: &[],
        run: |cx| Box::pin(unpacks_archives(cx, Some(Compression::default()))),
    },
    Case {
        id: "add/copy-keeps-archives",
        promise: "COPY does not unpack an archive",
        needs: BUILD,
        features: &[],
        run: |cx| Box::pin(copy_keeps_archives(cx)),
    },
    Case {
        id: "add/address",
        promise: "ADD of an HTTP address writes what the server sends",
        needs: BUILD,
        features: &[Feature::AddUrl],
        run: |cx| Box::pin(address(cx)),
    },
];

fn tar() -> std::io::Result<Vec<u8>> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o750);
    header.set_uid(1001);
    header.set_gid(1002);
    header.set_mtime(1_000_000_000);
    header.set_size(5);
    tar.append_data(&mut header, "folder/file", &b"hello"[..])?;
    header.set_size(0);
    header.set_mode(0o777);
    header.set_entry_type(tar::EntryType::Symlink);
    tar.append_link(&mut header, "folder/link", "file")?;
    tar.into_inner()
}

async fn copies_files(cx: Cx) -> CaseResult {
    cx.write("file", 0o640, "plain")?;
    let image = cx.build("FROM scratch\nADD file /to/\n").await?;
    expect_eq!(image.text("/to/file").await?, "plain");
    expect_eq!(image.file("/to/file")?.mode, 0o640);
    Ok(())
}

async fn unpacks_archives(cx: Cx, compression: Option<Compression>) -> CaseResult {
    let mut archive = tar()?;
    if let Some(level) = compression {
        let mut gzip = GzEncoder::new(Vec::new(), level);
        std::io::Write::write_all(&mut gzip, &archive)?;
        archive = gzip.finish()?;
    }
    cx.write("archive.bin", 0o644, archive)?;
    let image = cx.build("FROM scratch\nADD archive.bin /to/\n").await?;
    expect_eq!(image.text("/to/folder/file").await?, "hello");
    let file = image.file("/to/folder/file")?;
    expect_eq!((file.mode, file.uid, file.gid), (0o750, 1001, 1002));
    expect_eq!(image.link("/to/folder/link")?, "file");
    expect!(!image.has("/to/archive.bin"), "the archive itself was copied too");
    Ok(())
}

async fn copy_keeps_archives(cx: Cx) -> CaseResult {
    let archive = tar()?;
    cx.write("archive.tar", 0o644, &archive)?;
    let image = cx.build("FROM scratch\nCOPY archive.tar /to/\n").await?;
    expect!(image.bytes("/to/archive.tar").await? == archive, "the archive has other bytes");
    expect_eq!(image.names_in("/to"), ["archive.tar"]);
    Ok(())
}

async fn address(cx: Cx) -> CaseResult {
    // Every registry answers this address with an empty object.
    let host = cx.environment().registry(RegistryKind::Open)?;
    let image = cx.build(&format!("FROM scratch\nADD http://{host}/v2/ /answer\n")).await?;
    expect_eq!(image.text("/answer").await?.trim(), "{}");
    expect_eq!(image.file("/answer")?.mode, 0o600);
    Ok(())
}
