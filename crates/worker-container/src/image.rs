//! The worker's image: one program.

use boxwright_core::{Digest, Error, ErrorKind, Result};
use boxwright_image::tar::{Header, Kind, Writer};
use boxwright_worker_program::WorkerProgram;
use serde_json::json;

/// Where the program is in its container.
pub(crate) const PROGRAM: &str = "/boxwright-worker";
/// Where the volume with its store is.
pub(crate) const STORE: &str = "/store";

/// The image's name, without its tag.
pub(crate) const REPOSITORY: &str = "localhost/boxwright-worker";

/// Returns the image's name: by the program's digest, so that it is loaded once for each version.
pub(crate) fn name(program: &WorkerProgram) -> String {
    format!("{REPOSITORY}:{}", program.digest().short())
}

/// Returns the image as an archive of the kind that `docker save` writes, which Docker and Podman load. The same program
/// gives the same bytes.
///
/// # Errors
///
/// [`ErrorKind::Bug`] when it cannot be written to memory.
pub(crate) fn archive(program: &WorkerProgram) -> Result<Vec<u8>> {
    let folder = |name| Header::new(name, Kind::Folder, 0o755);
    let mut layer = Writer::new(Vec::new());
    let mut write = || -> std::io::Result<()> {
        let size = program.bytes().len() as u64;
        let header = Header::new(&PROGRAM[1..], Kind::File { size }, 0o755);
        layer.file(&header, &mut program.bytes())?;
        layer.header(&folder(&STORE[1..]))
    };
    write().map_err(bug)?;
    let layer = layer.finish().map_err(bug)?;
    let config = json!({
        "architecture": program.architecture(),
        "os": "linux",
        "created": "1970-01-01T00:00:00Z",
        "config": {
            "Entrypoint": [PROGRAM],
            "WorkingDir": "/",
            "Labels": { boxwright_core::labels::OWNER: "worker" },
        },
        "rootfs": { "type": "layers", "diff_ids": [digest(&layer)] },
    });
    let list =
        json!([{ "Config": "config.json", "RepoTags": [name(program)], "Layers": ["layer.tar"] }]);
    let mut archive = Writer::new(Vec::new());
    for (name, bytes) in [
        ("manifest.json", list.to_string().into_bytes()),
        ("config.json", config.to_string().into_bytes()),
        ("layer.tar", layer),
    ] {
        let header = Header::new(name, Kind::File { size: bytes.len() as u64 }, 0o644);
        archive.file(&header, &mut &bytes[..]).map_err(bug)?;
    }
    archive.finish().map_err(bug)
}

/// Returns the digest of `bytes`.
pub(crate) fn digest(bytes: &[u8]) -> Digest {
    use sha2::Digest as _;
    Digest::from_sha256(sha2::Sha256::digest(bytes).into())
}

fn bug(error: std::io::Error) -> Error {
    Error::new(ErrorKind::Bug, "cannot make the worker's image").with_source(error)
}

#[cfg(test)]
mod tests {
    use boxwright_image::layout::Layout;

    use super::*;

    #[tokio::test]
    async fn the_image_is_read_by_our_own_reader_and_always_the_same() {
        let program = WorkerProgram::carried().unwrap();
        let bytes = archive(&program).unwrap();
        assert!(bytes == archive(&program).unwrap());
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::open(folder.path()).unwrap();
        let stream = Box::new(std::io::Cursor::new(bytes));
        let images = boxwright_image::archive::read_stream(stream, &layout).await.unwrap();
        let [image] = images.as_slice() else { panic!("{images:?}") };
        assert_eq!(image.names, [name(&program)]);
        let platform = image.platform.as_ref().unwrap();
        assert_eq!(platform.architecture(), program.architecture());
    }
}
