//! The file system that a worker starts on: its one program, and folders to mount on.

use boxwright_core::{BlobStore as _, Descriptor, Error, ErrorKind, Result};
use boxwright_image::manifest::media_type;
use boxwright_image::pipe::PipeStream;
use boxwright_image::tar::{Header, Kind, Writer};
use boxwright_worker_program::WorkerProgram;

use super::PURPOSE;
use crate::api::Api;
use crate::blobs::Blobs;
use crate::labels;
use crate::lease::unique;

/// Where the program is.
pub(super) const PROGRAM: &str = "/boxwright-worker";

/// Where it finds what it keeps between builds.
pub(super) const STORE: &str = "/store";

/// What is mounted on, and what programs take to be there.
const FOLDERS: &[&str] = &["dev", "etc", "proc", "store", "sys", "tmp"];

/// Returns the snapshot that holds `program`, made by the first build that needs it.
pub(super) async fn snapshot(api: &Api, program: &WorkerProgram) -> Result<String> {
    let name = format!("boxwright-{PURPOSE}-{}", program.digest().short());
    if api.has_snapshot(&name).await? {
        return Ok(name);
    }
    let bytes = {
        let program = program.clone();
        PipeStream::new(move |out| {
            let written = write(&program, out);
            written.map_err(|error| {
                Error::new(ErrorKind::Cancelled, "cannot write the worker's layer")
                    .with_source(error)
            })
        })
    };
    let (digest, size) = Blobs::new(api).write(Box::new(bytes), None).await?;
    let layer = Descriptor { media_type: media_type::OCI_LAYER.to_owned(), digest, size };
    // Held by the lease until it is kept.
    let key = format!("boxwright-unpack-{}", unique());
    let mounts = api.prepare(&key, "", labels::own("unpack")).await?;
    api.apply(&layer, mounts).await?;
    if !api.commit(&key, &name, labels::kept(PURPOSE)).await? {
        api.has_snapshot(&name).await?;
    }
    Ok(name)
}

fn write(program: &WorkerProgram, out: &mut impl std::io::Write) -> std::io::Result<()> {
    let mut tar = Writer::new(out);
    for folder in FOLDERS {
        let mode = if *folder == "tmp" { 0o1777 } else { 0o755 };
        tar.header(&Header::new(*folder, Kind::Folder, mode))?;
    }
    let bytes = program.bytes();
    let kind = Kind::File { size: bytes.len() as u64 };
    tar.file(&Header::new(PROGRAM.trim_start_matches('/'), kind, 0o755), &mut &bytes[..])?;
    tar.finish().map(drop)
}
