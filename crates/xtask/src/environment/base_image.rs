//! The stand-in base image: Debian's static busybox and a few users, made here and sent to the open registry.

use std::fs;
use std::io::Write;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tar::{Builder, EntryType, Header};

use crate::http::{self, Answer, Request};
use crate::problem::{Explain, Problem, Result};
use crate::program::{Program, find};

const REPOSITORY: &str = "boxwright/busybox";
const TAG: &str = "1";
/// When everything in the image was last changed, so that equal programs are equal images.
const TIME: u64 = 1_700_000_000;

const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\n\
    www-data:x:33:33:www-data:/var/www:/bin/false\n\
    nobody:x:65534:65534:nobody:/nonexistent:/bin/false\n";
const GROUP: &str = "root:x:0:\nwww-data:x:33:\nusers:x:100:\nnogroup:x:65534:\n";

/// Makes the image, sends it to the registry at `address` and returns its reference.
pub(crate) fn push(address: &str) -> Result<String> {
    let layer = layer()?;
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    let compressed = gzip.write_all(&layer).and_then(|()| gzip.finish());
    let compressed = compressed.explain(|| "cannot compress the base image".to_owned())?;
    let config = json!({
        "architecture": architecture(),
        "os": "linux",
        "created": "2023-11-14T22:13:20Z",
        "config": {
            "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
            "Cmd": ["sh"],
        },
        "rootfs": { "type": "layers", "diff_ids": [digest(&layer)] },
        "history": [{ "created": "2023-11-14T22:13:20Z", "created_by": "busybox-static" }],
    })
    .to_string();
    let manifest_type = "application/vnd.oci.image.manifest.v1+json";
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": manifest_type,
        "config": descriptor("application/vnd.oci.image.config.v1+json", config.as_bytes()),
        "layers": [descriptor("application/vnd.oci.image.layer.v1.tar+gzip", &compressed)],
    })
    .to_string();
    upload(address, &compressed)?;
    upload(address, config.as_bytes())?;
    let target = format!("/v2/{REPOSITORY}/manifests/{TAG}");
    let request = Request {
        method: "PUT",
        target: &target,
        content_type: Some(manifest_type),
        body: manifest.as_bytes(),
    };
    send(address, &request, 201)?;
    Ok(format!("{address}/{REPOSITORY}:{TAG}"))
}

fn descriptor(media_type: &str, bytes: &[u8]) -> Value {
    json!({ "mediaType": media_type, "digest": digest(bytes), "size": bytes.len() })
}

fn digest(bytes: &[u8]) -> String {
    let hash = Sha256::digest(bytes);
    hash.iter().fold("sha256:".to_owned(), |text, byte| format!("{text}{byte:02x}"))
}

/// Returns this machine's architecture in the words of images.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn layer() -> Result<Vec<u8>> {
    let busybox = busybox()?;
    let applets = Program::new(&busybox).arg("--list").text()?;
    let content = fs::read(&busybox).explain(|| format!("cannot read `{}`", busybox.display()))?;
    write_layer(&content, applets.lines()).explain(|| "cannot make the base image".to_owned())
}

/// Returns the path of a busybox that runs without the libraries of this machine.
pub(crate) fn busybox() -> Result<std::path::PathBuf> {
    let remedy = "install a static one, on Debian with `apt-get install busybox-static`";
    let path =
        find("busybox").ok_or_else(|| Problem::new("`busybox` is not installed").help(remedy))?;
    let content = fs::read(&path).explain(|| format!("cannot read `{}`", path.display()))?;
    if is_dynamic(&content) {
        let problem = Problem::new(format!("cannot use `{}` in an image", path.display()));
        return Err(problem.cause("it is linked to libraries of this machine").help(remedy));
    }
    Ok(path)
}

/// Returns whether a program names a dynamic linker; that stands near the beginning.
fn is_dynamic(program: &[u8]) -> bool {
    let start = &program[..program.len().min(4096)];
    start.windows(4).any(|window| window == b"/ld-")
}

fn write_layer<'a>(
    busybox: &[u8],
    applets: impl Iterator<Item = &'a str>,
) -> std::io::Result<Vec<u8>> {
    let mut tar = Builder::new(Vec::new());
    for (folder, mode) in [
        ("bin", 0o755),
        ("dev", 0o755),
        ("etc", 0o755),
        ("home", 0o755),
        ("proc", 0o755),
        ("root", 0o700),
        ("sys", 0o755),
        ("tmp", 0o1777),
        ("usr", 0o755),
        ("usr/bin", 0o755),
        ("var", 0o755),
        ("var/www", 0o755),
    ] {
        append(&mut tar, folder, EntryType::Directory, mode, b"")?;
    }
    append(&mut tar, "bin/busybox", EntryType::Regular, 0o755, busybox)?;
    for applet in applets.filter(|applet| *applet != "busybox" && !applet.is_empty()) {
        let mut header = header(EntryType::Symlink, 0o777, 0);
        tar.append_link(&mut header, Path::new("bin").join(applet), "busybox")?;
    }
    append(&mut tar, "etc/passwd", EntryType::Regular, 0o644, PASSWD.as_bytes())?;
    append(&mut tar, "etc/group", EntryType::Regular, 0o644, GROUP.as_bytes())?;
    tar.into_inner()
}

fn append(
    tar: &mut Builder<Vec<u8>>,
    path: &str,
    kind: EntryType,
    mode: u32,
    content: &[u8],
) -> std::io::Result<()> {
    let mut header = header(kind, mode, content.len() as u64);
    tar.append_data(&mut header, path, content)
}

fn header(kind: EntryType, mode: u32, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(TIME);
    header.set_size(size);
    header
}

fn upload(address: &str, blob: &[u8]) -> Result<()> {
    let target = format!("/v2/{REPOSITORY}/blobs/uploads/");
    let start = Request { method: "POST", target: &target, content_type: None, body: b"" };
    let answer = send(address, &start, 202)?;
    let place = answer.header("location").unwrap_or_default();
    // It may come with scheme and host.
    let place = place.find("/v2/").map_or(place, |start| &place[start..]);
    let separator = if place.contains('?') { '&' } else { '?' };
    let target = format!("{place}{separator}digest={}", digest(blob));
    let content_type = Some("application/octet-stream");
    send(address, &Request { method: "PUT", target: &target, content_type, body: blob }, 201)?;
    Ok(())
}

fn send(address: &str, request: &Request<'_>, expected: u16) -> Result<Answer> {
    let message = || format!("cannot push the base image to {address}");
    let answer = http::over_tcp(address, request).explain(message)?;
    if answer.status == expected {
        return Ok(answer);
    }
    Err(Problem::new(message())
        .cause(format!("{} {} answered {}", request.method, request.target, answer.status))
        .cause(String::from_utf8_lossy(&answer.body)))
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::{digest, is_dynamic, write_layer};

    #[test]
    fn the_layer_has_the_program_its_links_and_users() {
        let bytes = write_layer(b"program", ["busybox", "sh", "ls"].into_iter()).unwrap();
        let mut archive = tar::Archive::new(bytes.as_slice());
        let mut seen = Vec::new();
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            let link = entry.link_name().unwrap().map(|link| link.display().to_string());
            let mode = entry.header().mode().unwrap();
            seen.push((entry.path().unwrap().display().to_string(), mode, link, text));
        }
        let find = |path: &str| seen.iter().find(|entry| entry.0 == path).unwrap();
        assert_eq!(find("tmp").1, 0o1777);
        assert_eq!(find("bin/busybox").3, "program");
        assert_eq!(find("bin/sh").2.as_deref(), Some("busybox"));
        assert!(find("etc/passwd").3.contains("www-data:x:33:33:"));
        let again = write_layer(b"program", ["busybox", "sh", "ls"].into_iter()).unwrap();
        assert_eq!(digest(&bytes), digest(&again));
    }

    #[test]
    fn a_program_that_names_a_linker_is_dynamic() {
        assert!(is_dynamic(b"\x7fELF....../lib64/ld-linux-x86-64.so.2"));
        assert!(!is_dynamic(b"\x7fELF......"));
    }
}
