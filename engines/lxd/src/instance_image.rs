//! The image that instances are launched from: the built image's files, and the static program as the first process. Pure.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use boxwright_core::{Digest, Error, ErrorKind, Result};
use boxwright_image::config::{ImageConfig, RunConfig};
use boxwright_image::manifest::digest_of;
use boxwright_image::output::Frame;
use boxwright_image::tar::{Header, Kind};
use boxwright_image::timestamp;
use boxwright_image::view::{NodeKind, Tree, follow};
use boxwright_worker_program::WorkerProgram;
use serde_json::json;

/// The property that says what an image was made of: the same is published once.
pub(crate) const RECIPE: &str = "dev.boxwright.recipe";

/// The property with the id of the image that it was made from.
const IMAGE: &str = "dev.boxwright.image";

/// Counts changes of what is written here, each of which makes another image.
const VERSION: u32 = 1;

/// The folder of the program and of what it is to start, and the folder that LXC looks for the first process in.
const OWN: &str = ".boxwright";
const SBIN: &str = "sbin";

/// Folders that LXC mounts on, or the program writes to.
const FOLDERS: [&str; 4] = ["dev", "etc", "proc", "sys"];

/// Where the image's files are in the archive.
const ROOT: &str = "rootfs";

/// Returns what tells an image from others, before it is made.
pub(crate) fn recipe(id: &Digest, program: &WorkerProgram) -> String {
    let facts = format!("{VERSION} {id} {}", program.digest());
    digest_of(facts.as_bytes()).hex().to_owned()
}

/// Returns the kernel's name of an architecture, by Go's name.
fn kernel_name(architecture: &str) -> &str {
    match architecture {
        "amd64" => "x86_64",
        "arm64" => "aarch64",
        other => other,
    }
}

/// Returns what is put around the files of an image, so that LXD takes it and its program is started.
///
/// # Errors
///
/// [`ErrorKind::InvalidInput`] when the image names no program, or one whose place the first process needs.
pub(crate) fn frame(
    id: &Digest,
    config: &ImageConfig,
    tree: &Tree,
    program: &WorkerProgram,
) -> Result<Frame> {
    let command = config.config.entrypoint.iter().chain(&config.config.cmd).flatten().next();
    let Some(command) = command else {
        return Err(unfit("it names no program to start", "give it an `ENTRYPOINT` or a `CMD`"));
    };
    let created = config.created.as_deref().and_then(timestamp::seconds).unwrap_or_default();
    // JSON is YAML, too. One without a date is refused.
    let metadata = json!({
        "architecture": kernel_name(&config.architecture),
        "creation_date": created.max(1),
        "properties": {
            "description": format!("Boxwright image {}", id.short()),
            IMAGE: id.as_str(),
            RECIPE: recipe(id, program),
        },
    });
    let metadata = metadata.to_string().into_bytes();
    let mut frame = Frame { folder: ROOT.into(), ..Frame::default() };
    frame.before.push((Header::new("metadata.yaml", file(metadata.len()), 0o644), metadata));
    frame.before.push((Header::new(ROOT, Kind::Folder, 0o755), Vec::new()));

    let mut made = BTreeSet::from([PathBuf::from(OWN)]);
    for name in FOLDERS.into_iter().filter(|name| tree.get(name).is_none()) {
        made.insert(name.into());
    }
    let init = init(tree, &mut made)?;
    if is_at(tree, command, &init) {
        return Err(unfit(
            "it starts `/sbin/init`, whose place is taken in an instance",
            "name the program that it leads to in `ENTRYPOINT` or `CMD`",
        ));
    }
    for folder in made {
        add(&mut frame, &folder, Kind::Folder, 0o755, Cow::Borrowed(&[]));
    }
    let run = run(&config.config)?;
    let own = Path::new(OWN);
    add(&mut frame, &own.join("image.json"), file(run.len()), 0o644, run.into());
    let bytes = program.bytes();
    add(&mut frame, &own.join("init"), file(bytes.len()), 0o755, bytes.to_vec().into());
    let target = Path::new("/").join(OWN).join("init");
    add(&mut frame, &init, Kind::Symlink { target }, 0o777, Cow::Borrowed(&[]));
    // Whatever the image has there: nothing is written through a link of its own.
    frame.without = BTreeSet::from([own.to_owned(), init]);
    Ok(frame)
}

/// Returns where LXC finds the first process, links followed, and adds to `made` the folders that are missing on the way.
fn init(tree: &Tree, made: &mut BTreeSet<PathBuf>) -> Result<PathBuf> {
    let unusable = || unfit("`/sbin` of the image is no folder", "make it one");
    let folder = follow(Path::new(SBIN), |path| link(tree, path)).ok_or_else(unusable)?;
    for part in folder.ancestors().filter(|part| !part.as_os_str().is_empty()) {
        match tree.get(part) {
            Some(node) if node.is_folder() => {}
            Some(_) => return Err(unusable()),
            None => drop(made.insert(part.to_owned())),
        }
    }
    Ok(folder.join("init"))
}

/// Returns whether `command` is the program at `path`, which may be a link itself.
fn is_at(tree: &Tree, command: &str, path: &Path) -> bool {
    let command = Path::new(command);
    let (Some(folder), Some(name)) = (command.parent(), command.file_name()) else { return false };
    let folder = follow(folder, |path| link(tree, path));
    command.is_absolute() && folder.is_some_and(|folder| folder.join(name) == path)
}

fn link<'t>(tree: &'t Tree, path: &Path) -> Option<&'t Path> {
    match tree.get(path).map(|node| &node.kind) {
        Some(NodeKind::Symlink { target }) => Some(target.as_path()),
        _ => None,
    }
}

/// Returns what is started, as the program reads it.
fn run(config: &RunConfig) -> Result<Vec<u8>> {
    let run = RunConfig {
        user: config.user.clone(),
        env: config.env.clone(),
        entrypoint: config.entrypoint.clone(),
        cmd: config.cmd.clone(),
        working_dir: config.working_dir.clone(),
        stop_signal: config.stop_signal.clone(),
        ..RunConfig::default()
    };
    serde_json::to_vec(&run).map_err(|error| {
        Error::new(ErrorKind::Bug, "cannot write what the image starts").with_source(error)
    })
}

fn add(frame: &mut Frame, path: &Path, kind: Kind, mode: u32, content: Cow<'static, [u8]>) {
    frame.after.push((Header::new(Path::new(ROOT).join(path), kind, mode), content));
}

fn file(size: usize) -> Kind {
    Kind::File { size: size as u64 }
}

fn unfit(cause: &str, remedy: &'static str) -> Error {
    Error::new(ErrorKind::InvalidInput, "cannot make an image of LXD's own")
        .with_cause(cause)
        .with_remedy(remedy)
}

#[cfg(test)]
mod tests {
    use boxwright_core::{Descriptor, Manifest};
    use boxwright_image::layout::Layout;
    use boxwright_image::output::tar_stream;
    use boxwright_image::tar::{Limits, Reader, Writer};
    use tokio::io::AsyncReadExt as _;

    use super::*;

    fn id() -> Digest {
        digest_of(b"image")
    }

    fn config(command: &str) -> ImageConfig {
        let text = format!(
            r#"{{"architecture":"amd64","os":"linux","config":{{"Cmd":["{command}"],"User":"app"}}}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    async fn image(entries: &[(&str, Kind)]) -> (tempfile::TempDir, Layout, Manifest) {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::open(folder.path()).unwrap();
        let mut tar = Writer::new(Vec::new());
        for (path, kind) in entries {
            let content = vec![7; Header::new(*path, kind.clone(), 0).size() as usize];
            tar.file(&Header::new(*path, kind.clone(), 0o755), &mut &content[..]).unwrap();
        }
        let tar = tar.finish().unwrap();
        let layer = layout.put(&tar, "application/vnd.oci.image.layer.v1.tar").await.unwrap();
        let about = Descriptor { media_type: String::new(), digest: id(), size: 0 };
        let layers = vec![(layer.clone(), layer.digest)];
        (folder, layout, Manifest { descriptor: about.clone(), config: about, layers })
    }

    async fn written(entries: &[(&str, Kind)]) -> Vec<Header> {
        let (_folder, layout, manifest) = image(entries).await;
        let tree = Tree::from_layers(&layout, &manifest).await.unwrap();
        let program = WorkerProgram::carried().unwrap();
        let frame = frame(&id(), &config("/bin/app"), &tree, &program).unwrap();
        let mut tar = Vec::new();
        let mut stream = tar_stream(tree, &layout, &manifest, frame);
        stream.read_to_end(&mut tar).await.unwrap();
        let mut reader = Reader::new(&tar[..], Limits::default());
        let mut headers = Vec::new();
        while let Some(header) = reader.next_entry().unwrap() {
            headers.push(header);
        }
        headers
    }

    fn at<'h>(headers: &'h [Header], path: &str) -> Vec<&'h Header> {
        headers.iter().filter(|header| header.path == Path::new(path)).collect()
    }

    #[tokio::test]
    async fn the_program_is_what_lxc_starts_whatever_the_image_has_there() {
        let link = |target: &str| Kind::Symlink { target: target.into() };
        let entries = [
            ("usr", Kind::Folder),
            ("usr/sbin", Kind::Folder),
            ("usr/sbin/init", Kind::File { size: 3 }),
            ("usr/sbin/other", Kind::HardLink { target: "usr/sbin/init".into() }),
            ("sbin", link("usr/sbin")),
            (".boxwright", link("/etc")),
        ];
        let headers = written(&entries).await;
        assert_eq!(headers[0].path, Path::new("metadata.yaml"));
        let init = at(&headers, "rootfs/usr/sbin/init");
        assert_eq!(init.len(), 1);
        assert_eq!(init[0].kind, link("/.boxwright/init"));
        assert_eq!(at(&headers, "rootfs/usr/sbin/other")[0].kind, Kind::File { size: 3 });
        assert_eq!(at(&headers, "rootfs/.boxwright").len(), 1);
        assert_eq!(at(&headers, "rootfs/.boxwright")[0].kind, Kind::Folder);
        for folder in ["rootfs", "rootfs/dev", "rootfs/etc", "rootfs/proc", "rootfs/sys"] {
            let found = at(&headers, folder);
            assert_eq!((found.len(), &found[0].kind, found[0].mode), (1, &Kind::Folder, 0o755));
        }
        // Nothing that an instance's start would write anywhere, threat 41.
        assert!(headers.iter().all(|header| !header.path.starts_with("templates")));
    }

    #[tokio::test]
    async fn an_image_of_one_program_gets_the_folders_that_it_lacks() {
        let headers = written(&[("app", Kind::File { size: 1 })]).await;
        assert_eq!(at(&headers, "rootfs/sbin")[0].kind, Kind::Folder);
        assert_eq!(at(&headers, "rootfs/app")[0].mode, 0o755);
    }

    #[tokio::test]
    async fn what_could_not_be_started_is_refused() {
        let link = Kind::Symlink { target: "usr/sbin".into() };
        let entries = [("usr", Kind::Folder), ("usr/sbin", Kind::Folder), ("sbin", link)];
        let (_folder, layout, manifest) = image(&entries).await;
        let tree = Tree::from_layers(&layout, &manifest).await.unwrap();
        let program = WorkerProgram::carried().unwrap();
        for command in ["/sbin/init", "/usr/sbin/init"] {
            let error = frame(&id(), &config(command), &tree, &program).unwrap_err();
            assert!(error.causes()[0].contains("/sbin/init"), "{command}");
        }
        let mut none = config("x");
        none.config.cmd = None;
        let error = frame(&id(), &none, &tree, &program).unwrap_err();
        assert_eq!(error.remedy(), Some("give it an `ENTRYPOINT` or a `CMD`"));
        let (_folder, layout, manifest) = image(&[("sbin", Kind::File { size: 1 })]).await;
        let tree = Tree::from_layers(&layout, &manifest).await.unwrap();
        assert!(frame(&id(), &config("x"), &tree, &program).is_err());
    }

    #[test]
    fn another_image_or_program_is_another_recipe() {
        let program = WorkerProgram::carried().unwrap();
        assert_eq!(recipe(&id(), &program), recipe(&id(), &program));
        assert_ne!(recipe(&id(), &program), recipe(&digest_of(b"other"), &program));
    }
}
