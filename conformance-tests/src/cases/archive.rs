//! Archives: images out of the engine, and into it.

use boxwright_core::{
    ArchiveFormat, Capability, ErrorKind, ExportRequest, ImportRequest, RemoveRequest,
};

use super::expect_explained;
use crate::case::{Case, CaseResult};
use crate::cx::Cx;
use crate::{expect, expect_eq, expect_error};

const EXPORT: &[Capability] = &[Capability::Build, Capability::Export];
const BOTH: &[Capability] = &[
    Capability::Build,
    Capability::Export,
    Capability::Import,
    Capability::Remove,
    Capability::List,
];

pub(super) const CASES: &[Case] = &[
    Case {
        id: "archive/both-formats",
        promise: "an OCI archive and a docker archive of one image hold the same config and the same files",
        needs: EXPORT,
        features: &[],
        run: |cx| Box::pin(both_formats(cx)),
    },
    Case {
        id: "archive/no-layers",
        promise: "an image without layers is exported as any other",
        needs: EXPORT,
        features: &[],
        run: |cx| Box::pin(no_layers(cx)),
    },
    Case {
        id: "archive/round-trip",
        promise: "an image that is exported, removed and imported has the same id, config and files",
        needs: BOTH,
        features: &[],
        run: |cx| Box::pin(round_trip(cx)),
    },
    Case {
        id: "archive/replaces-a-file",
        promise: "an export replaces a file as a whole, and leaves nothing else beside it",
        needs: EXPORT,
        features: &[],
        run: |cx| Box::pin(replaces_a_file(cx)),
    },
    Case {
        id: "archive/nothing-to-export",
        promise: "an export of what is not there makes no file",
        needs: &[Capability::Export],
        features: &[],
        run: |cx| Box::pin(nothing_to_export(cx)),
    },
    Case {
        id: "archive/names-are-not-applied",
        promise: "an import gives the names of the request, never those in the archive (threat 43)",
        needs: BOTH,
        features: &[],
        run: |cx| Box::pin(names_are_not_applied(cx)),
    },
    Case {
        id: "archive/garbage",
        promise: "an import of what is no image is refused, and names nothing",
        needs: &[Capability::Import, Capability::List],
        features: &[],
        run: |cx| Box::pin(garbage(cx)),
    },
    Case {
        id: "archive/changed-bytes",
        promise: "an import of an archive whose bytes do not match its digests is refused (threat 29)",
        needs: BOTH,
        features: &[],
        run: |cx| Box::pin(changed_bytes(cx)),
    },
];

async fn built(cx: &Cx) -> CaseResult<boxwright_core::BuildOutput> {
    cx.write("file", 0o640, "content that is looked for")?;
    let request = cx.request("FROM scratch\n")?;
    let text = format!("FROM scratch\nCOPY file /file\nLABEL name={}\n", cx.words());
    cx.write("Dockerfile", 0o644, text)?;
    Ok(cx.attempt(&request).await.result?)
}

async fn both_formats(cx: Cx) -> CaseResult {
    let built = built(&cx).await?;
    for format in [ArchiveFormat::Oci, ArchiveFormat::Docker] {
        let mut request =
            ExportRequest::new(built.tags[0].clone().into(), cx.scratch("archive.tar"));
        request.format = format;
        cx.engine().export(&request, &cx.session()).await?;
        let image = cx.read_archive(&request.destination).await?;
        expect_eq!(image.manifest().config.digest, built.id, "the config's digest, {format:?}");
        expect_eq!(image.file("/file")?.mode, 0o640);
        if format == ArchiveFormat::Docker {
            // What `docker load` names it by. An OCI archive has no agreed place for a whole name.
            let name = built.tags[0].to_string();
            expect!(image.names().contains(&name), "the names are {:?}", image.names());
        }
    }
    Ok(())
}

async fn no_layers(cx: Cx) -> CaseResult {
    let image = cx.build("FROM scratch\nLABEL a=no-layers\n").await?;
    expect_eq!(image.label("a"), Some("no-layers"));
    Ok(())
}

async fn exported(cx: &Cx) -> CaseResult<(boxwright_core::BuildOutput, ExportRequest)> {
    let built = built(cx).await?;
    let request = ExportRequest::new(built.tags[0].clone().into(), cx.scratch("archive.tar"));
    cx.engine().export(&request, &cx.session()).await?;
    let mut remove = RemoveRequest::new(built.id.clone().into());
    remove.force = true;
    cx.engine().remove(&remove, &cx.session()).await?;
    Ok((built, request))
}

async fn round_trip(cx: Cx) -> CaseResult {
    for format in [ArchiveFormat::Oci, ArchiveFormat::Docker] {
        let built = built(&cx).await?;
        let mut export = ExportRequest::new(built.id.clone().into(), cx.scratch("archive.tar"));
        export.format = format;
        cx.engine().export(&export, &cx.session()).await?;
        let mut remove = RemoveRequest::new(built.id.clone().into());
        remove.force = true;
        cx.engine().remove(&remove, &cx.session()).await?;
        let name = cx.name()?;
        let import = ImportRequest::new(export.destination, vec![name.clone()]);
        let imported = cx.engine().import(&import, &cx.session()).await?;
        cx.will_make(imported.id.clone());
        expect_eq!(imported.id, built.id, "the id after {format:?}");
        let image = cx.read(name).await?;
        expect_eq!(image.text("/file").await?, "content that is looked for");
        expect_eq!(image.manifest().config.digest, built.id);
    }
    Ok(())
}

async fn replaces_a_file(cx: Cx) -> CaseResult {
    let built = built(&cx).await?;
    let folder = cx.scratch("folder");
    std::fs::create_dir(&folder)?;
    let file = folder.join("archive.tar");
    std::fs::write(&file, "what was there before")?;
    let request = ExportRequest::new(built.id.into(), file.clone());
    cx.engine().export(&request, &cx.session()).await?;
    cx.read_archive(&file).await?;
    let count = std::fs::read_dir(&folder)?.count();
    expect_eq!(count, 1, "the number of files in the folder");
    Ok(())
}

async fn nothing_to_export(cx: Cx) -> CaseResult {
    let file = cx.scratch("archive.tar");
    let request = ExportRequest::new(cx.name()?.into(), file.clone());
    let error =
        expect_error!(cx.engine().export(&request, &cx.session()).await, ErrorKind::NotFound);
    expect!(!file.exists(), "there is a file all the same");
    expect_explained(&error)
}

async fn names_are_not_applied(cx: Cx) -> CaseResult {
    let (built, export) = exported(&cx).await?;
    let name = cx.name()?;
    let import = ImportRequest::new(export.destination, vec![name.clone()]);
    let imported = cx.engine().import(&import, &cx.session()).await?;
    cx.will_make(imported.id.clone());
    cx.expect_absent(&built.tags).await?;
    let images = cx.engine().list(&cx.session()).await?;
    let image = images.iter().find(|image| image.id == imported.id);
    expect_eq!(image.map(|image| image.names.clone()), Some(vec![name]));
    Ok(())
}

async fn garbage(cx: Cx) -> CaseResult {
    let name = cx.name()?;
    for bytes in [&b""[..], b"this is no archive", &[0; 4096]] {
        let archive = cx.scratch("garbage");
        std::fs::write(&archive, bytes)?;
        let request = ImportRequest::new(archive, vec![name.clone()]);
        let refused = cx.engine().import(&request, &cx.session()).await;
        let error = expect_error!(refused, ErrorKind::InvalidInput | ErrorKind::Protocol);
        expect_explained(&error)?;
    }
    cx.expect_absent(&[name]).await
}

async fn changed_bytes(cx: Cx) -> CaseResult {
    let (_, export) = exported(&cx).await?;
    let mut bytes = std::fs::read(&export.destination)?;
    let wanted = b"\"LABEL name=";
    let wanted =
        if bytes.windows(wanted.len()).any(|w| w == wanted) { &wanted[..] } else { b"rootfs" };
    let place = bytes.windows(wanted.len()).position(|window| window == wanted);
    let place = place.ok_or_else(|| crate::Failure::harness("the archive has no config"))?;
    // Still JSON, still as long, and not what its digest says.
    bytes[place + wanted.len() - 1] ^= 1;
    std::fs::write(&export.destination, bytes)?;
    let name = cx.name()?;
    let request = ImportRequest::new(export.destination, vec![name.clone()]);
    let refused = cx.engine().import(&request, &cx.session()).await;
    expect_error!(refused, ErrorKind::InvalidInput | ErrorKind::Protocol);
    cx.expect_absent(&[name]).await
}
