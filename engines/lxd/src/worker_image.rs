//! The image of a worker instance: nothing but the static program, as the first process of the instance. Pure.

use std::collections::BTreeMap;
use std::io::Read as _;

use boxwright_core::{Error, ErrorKind, Result, labels};
use boxwright_image::manifest::digest_of;
use boxwright_image::tar::{Header, Kind, Writer};
use serde_json::json;

/// What the label on a worker's instance, image and volume says.
pub(crate) const OWNER: &str = "worker";

/// The folder of the worker's store, where its volume is mounted.
pub(crate) const STORE: &str = "/var/lib/boxwright";

/// The program's place: what LXC starts as the first process where nothing else is said.
pub(crate) const PROGRAM: &str = "/sbin/init";

/// Folders that something is mounted on or written to.
const FOLDERS: &[&str] = &[
    "dev",
    "etc",
    "proc",
    "root",
    "run",
    "sbin",
    "sys",
    "tmp",
    "var",
    "var/lib",
    "var/lib/boxwright",
];

/// A unified image, as the server takes it.
#[derive(Clone, Debug)]
pub(crate) struct WorkerImage {
    pub(crate) tar: Vec<u8>,
    /// The server's name for it: the digits of the digest of `tar`.
    pub(crate) fingerprint: String,
}

/// Makes the image of `program`, for an architecture in the words of the kernel. The same program gives the same bytes.
pub(crate) fn make(program: &[u8], architecture: &str) -> Result<WorkerImage> {
    // JSON is YAML, too.
    let metadata = json!({
        "architecture": architecture,
        "creation_date": 1,
        "properties": { "description": "Boxwright worker", labels::OWNER: OWNER },
    });
    let metadata = metadata.to_string();
    let write = || -> std::io::Result<Vec<u8>> {
        let mut tar = Writer::new(Vec::with_capacity(program.len() + (64 << 10)));
        tar.file(&header("metadata.yaml", file(metadata.len()), 0o644), &mut metadata.as_bytes())?;
        tar.header(&header("rootfs", Kind::Folder, 0o755))?;
        for folder in FOLDERS {
            tar.header(&header(&format!("rootfs/{folder}"), Kind::Folder, 0o755))?;
        }
        let place = format!("rootfs{PROGRAM}");
        tar.file(&header(&place, file(program.len()), 0o755), &mut program.take(u64::MAX))?;
        tar.finish()
    };
    let tar = write().map_err(|error| {
        Error::new(ErrorKind::Bug, "cannot make the image of the worker").with_source(error)
    })?;
    let fingerprint = digest_of(&tar).hex().to_owned();
    Ok(WorkerImage { tar, fingerprint })
}

fn file(size: usize) -> Kind {
    Kind::File { size: size as u64 }
}

fn header(path: &str, kind: Kind, mode: u32) -> Header {
    let (uid, gid, modified, xattrs) = (0, 0, (1, 0), BTreeMap::new());
    Header { path: path.into(), kind, mode, uid, gid, modified, xattrs }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_is_the_first_process_and_nothing_else_is_there() {
        let image = make(b"program", "x86_64").unwrap();
        assert_eq!(image.fingerprint, make(b"program", "x86_64").unwrap().fingerprint);
        assert_ne!(image.fingerprint, make(b"another", "x86_64").unwrap().fingerprint);
        let mut reader = boxwright_image::unpack::Reader::new(
            image.tar.as_slice(),
            boxwright_image::unpack::Limits::default(),
        );
        let mut files = Vec::new();
        while let Some(header) = reader.next_entry().unwrap() {
            // A template could write anywhere when an instance starts, threat 41.
            assert!(!header.path.starts_with("templates"));
            if let Kind::File { .. } = header.kind {
                files.push((header.path.display().to_string(), header.mode));
            } else {
                assert_eq!(header.kind, Kind::Folder);
            }
        }
        let wanted = [("metadata.yaml".to_owned(), 0o644), ("rootfs/sbin/init".to_owned(), 0o755)];
        assert_eq!(files, wanted);
    }
}
