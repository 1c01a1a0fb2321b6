//! The base image of the conformance suite: Debian's static busybox and a few users, sent to the open registry.

use std::fs;

use super::image::{Files, Image, Layer};
use crate::problem::{Explain, Problem, Result};
use crate::program::{Program, find};

const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\n\
    www-data:x:33:33:www-data:/var/www:/bin/false\n\
    nobody:x:65534:65534:nobody:/nonexistent:/bin/false\n";
const GROUP: &str = "root:x:0:\nwww-data:x:33:\nusers:x:100:\nnogroup:x:65534:\n";

/// Makes the image, sends it to the registry at `address` and returns its reference.
pub(crate) fn push(address: &str) -> Result<String> {
    let busybox = Busybox::find()?;
    let applets = busybox.applets.iter().map(String::as_str);
    let layer = write_layer(&busybox.content, applets);
    let layer = Layer::of_tar(&layer.explain(|| "cannot make the base image".to_owned())?)?;
    let image = Image { source: "busybox-static", command: "sh", layers: vec![layer] };
    image.push(address, "boxwright/busybox", "1")
}

/// The busybox of this machine.
pub(crate) struct Busybox {
    pub(crate) content: Vec<u8>,
    /// The names of its programs, other than its own.
    pub(crate) applets: Vec<String>,
}

impl Busybox {
    /// Reads one that runs without the libraries of this machine.
    pub(crate) fn find() -> Result<Self> {
        let path = busybox()?;
        let content = fs::read(&path).explain(|| format!("cannot read `{}`", path.display()))?;
        let list = Program::new(&path).arg("--list").text()?;
        let names = list.lines().filter(|name| *name != "busybox" && !name.is_empty());
        Ok(Self { content, applets: names.map(str::to_owned).collect() })
    }
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
    let mut files = Files::new();
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
        files.folder(folder, mode)?;
    }
    files.file("bin/busybox", 0o755, busybox)?;
    for applet in applets {
        files.symlink(&format!("bin/{applet}"), "busybox")?;
    }
    files.file("etc/passwd", 0o644, PASSWD)?;
    files.file("etc/group", 0o644, GROUP)?;
    files.finish()
}

#[cfg(test)]
mod tests {
    use super::super::image::digest;
    use super::super::image::tests::list;
    use super::{is_dynamic, write_layer};

    #[test]
    fn the_layer_has_the_program_its_links_and_users() {
        let bytes = write_layer(b"program", ["sh", "ls"].into_iter()).unwrap();
        let seen = list(&bytes);
        assert_eq!(seen["tmp"].mode, 0o1777);
        assert_eq!(seen["bin/busybox"].text, "program");
        assert_eq!(seen["bin/sh"].link.as_deref(), Some("busybox"));
        assert!(seen["etc/passwd"].text.contains("www-data:x:33:33:"));
        let again = write_layer(b"program", ["sh", "ls"].into_iter()).unwrap();
        assert_eq!(digest(&bytes), digest(&again));
    }

    #[test]
    fn a_program_that_names_a_linker_is_dynamic() {
        assert!(is_dynamic(b"\x7fELF....../lib64/ld-linux-x86-64.so.2"));
        assert!(!is_dynamic(b"\x7fELF......"));
    }
}
