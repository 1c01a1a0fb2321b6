//! The big image: Debian with Python, unpacked by debootstrap from the mirror that this machine uses, and kept in the
//! folder that cargo builds in.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::process::getuid;

use super::super::image::{Files, Layer, TIME};
use crate::console::say;
use crate::packages::{self, Need};
use crate::problem::{Explain, Problem, Result};
use crate::program::Program;
use crate::workspace;

const SUITE: &str = "bookworm";
/// Changes when what is made of the packages changes.
const VERSION: u32 = 1;

/// What packages leave that differs from run to run, or is of no use in an image.
const LEFTOVERS: &str = "rm -rf var/cache/apt/* var/lib/apt/lists/* var/log/* var/cache/ldconfig/* \
    var/cache/debconf/*-old var/lib/dpkg/*-old dev/* run/* tmp/* etc/*- \
    etc/machine-id etc/resolv.conf etc/hostname && \
    sed -i 's/^\\([^:]*:[^:]*\\):[0-9]*:/\\1:19675:/' etc/shadow";

/// An image, by its name and the packages beside those that every Debian has.
#[derive(Debug)]
pub(crate) struct Image {
    name: &'static str,
    packages: &'static str,
}

/// What cases of corpora start from.
pub(crate) const DEBIAN: Image = Image { name: "debian", packages: "python3" };

/// With what installs packages of Python.
pub(crate) const PYTHON: Image =
    Image { name: "python", packages: "python3,python3-pip,ca-certificates" };

impl Image {
    fn file(&self) -> PathBuf {
        workspace::target().join(format!("stand-ins/{}-{SUITE}-{VERSION}.tar.gz", self.name))
    }

    /// Returns the image's one layer, if it was made before.
    pub(crate) fn kept(&self) -> Option<Layer> {
        let file = self.file();
        let diff_id = fs::read_to_string(file.with_extension("diff-id")).ok()?;
        Some(Layer { blob: fs::read(&file).ok()?, diff_id })
    }
}

/// Returns the one layer of `image`, as it was kept or newly made.
pub(crate) fn layer(image: &Image) -> Result<Layer> {
    if let Some(layer) = image.kept() {
        return Ok(layer);
    }
    let kept = image.file();
    let name = kept.with_extension("diff-id");
    let folder = workspace::target().join("stand-ins");
    let message = || format!("cannot write into `{}`", folder.display());
    fs::create_dir_all(&folder).explain(message)?;
    let layer = Layer::of_tar(&make(image, &folder)?)?;
    // The name of the content comes first: without it the layer counts as not there.
    replace(&name, layer.diff_id.as_bytes()).explain(message)?;
    replace(&kept, &layer.blob).explain(message)?;
    Ok(layer)
}

fn replace(path: &Path, content: &[u8]) -> std::io::Result<()> {
    let new = path.with_extension("new");
    fs::write(&new, content)?;
    fs::rename(&new, path)
}

/// Makes sure that the image can be made here, so that nothing else is begun where it cannot.
pub(crate) fn prepare() -> Result<()> {
    if !getuid().is_root() {
        return Err(Problem::new("cannot make the image `debian`")
            .cause("only root can unpack files of other users")
            .help("run the same command as root, or leave out `--full`"));
    }
    let programs = ["debootstrap".to_owned(), "tar".to_owned()];
    packages::ensure(&[Need { programs: &programs, packages: &["debootstrap".to_owned()] }])
}

/// Unpacks the packages and returns the tar of what they come to.
fn make(image: &Image, folder: &Path) -> Result<Vec<u8>> {
    let root = tempfile::Builder::new().prefix("debian-").tempdir_in(folder);
    let root = root.explain(|| format!("cannot make a folder in `{}`", folder.display()))?;
    let mirror = mirror()?;
    say(format!("making the image `{}` from {mirror}", image.name));
    Program::new("debootstrap")
        .arg("--variant=minbase")
        .arg(format!("--include={}", image.packages))
        .arg(SUITE)
        .arg(root.path())
        .arg(&mirror)
        .variable("LC_ALL", "C")
        .output()?;
    Program::new("sh").args(["-ec", LEFTOVERS]).in_folder(root.path()).output()?;
    archive(root.path())
}

/// Returns the tar of a folder: sorted, with one time for all.
fn archive(root: &Path) -> Result<Vec<u8>> {
    let message = || format!("cannot read `{}`", root.display());
    let mut names: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(root).explain(message)? {
        names.push(entry.explain(message)?.file_name().into());
    }
    names.sort();
    let mtime = format!("--mtime=@{TIME}");
    Program::new("tar")
        .args(["--create", "--format=gnu", "--sort=name", "--numeric-owner", &mtime, "--directory"])
        .arg(root)
        .arg("--")
        .args(names)
        .variable("LC_ALL", "C")
        .output()
}

/// Returns where this machine gets Debian's packages from.
fn mirror() -> Result<String> {
    let format = "$(REPO_URI) $(CODENAME)";
    let list = Program::new("apt-get")
        .args(["indextargets", "--format", format, "Created-By: Packages"])
        .text()?;
    choose(&list).ok_or_else(|| {
        Problem::new("cannot make the image `debian`")
            .cause(format!("this machine has no source of packages for {SUITE}"))
            .help("add one to /etc/apt/sources.list, or leave out `--full`")
    })
}

fn choose(list: &str) -> Option<String> {
    let lines = list.lines().filter_map(|line| line.split_once(' '));
    lines.filter(|(_, suite)| *suite == SUITE).map(|(address, _)| address.to_owned()).next()
}

/// Returns the tar of a layer that has `sh` be `bash`.
pub(super) fn bash_as_shell() -> Result<Vec<u8>> {
    let write = || {
        let mut files = Files::new();
        files.folder("usr", 0o755)?;
        files.folder("usr/bin", 0o755)?;
        files.symlink("usr/bin/sh", "bash")?;
        files.finish()
    };
    write().explain(|| "cannot make the image `centos`".to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::super::image::tests::list;
    use super::{archive, choose};

    #[test]
    fn only_a_source_of_the_same_release_is_used() {
        let list = "http://a/security/ bookworm-security\nhttp://a/debian/ bookworm\n";
        assert_eq!(choose(list).as_deref(), Some("http://a/debian/"));
        assert_eq!(choose("http://a/debian/ trixie"), None);
    }

    #[test]
    fn equal_folders_are_equal_archives() {
        let make = |order: [&str; 2]| {
            let folder = tempfile::tempdir().unwrap();
            for name in order {
                std::fs::write(folder.path().join(name), name).unwrap();
            }
            archive(folder.path()).unwrap()
        };
        let first = make(["a", "b"]);
        assert_eq!(first, make(["b", "a"]));
        assert_eq!(list(&first)["a"].text, "a");
    }
}
