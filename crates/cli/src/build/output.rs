//! `--output`: the image as an archive or a folder, made of what the engine exports.

use std::path::{Path, PathBuf};

use boxwright_core::{
    BuildOutput, Engine, Error, ErrorKind, ExportRequest, Host, ImageRef, Index, LocalImage,
    Manifest, Result, Session, nearest,
};
use boxwright_image::archive::{self, ArchiveKind, ArchiveOptions};
use boxwright_image::layout::Layout;
use boxwright_image::output::{Ownership, write_folder, write_tar};
use tokio::io::AsyncReadExt as _;

use super::destination;
use super::value::{keys, wrong};
use crate::render::Console;

/// What an output is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Archive(ArchiveKind),
    Tar,
    Folder,
}

/// Where it goes.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    Path(PathBuf),
    Stdout,
}

/// One output.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Output {
    Written(Kind, Place),
    /// An alias that instances are launched by.
    Instances(String),
}

/// All outputs of a build, checked.
#[derive(Debug)]
pub(crate) struct Outputs {
    written: Vec<(Kind, Place)>,
    /// The aliases of the image that instances are launched from.
    pub(crate) aliases: Vec<String>,
}

const KINDS: [(&str, Kind); 4] = [
    ("oci", Kind::Archive(ArchiveKind::Oci)),
    ("docker", Kind::Archive(ArchiveKind::Docker)),
    ("local", Kind::Folder),
    ("tar", Kind::Tar),
];

/// The type of an image that instances are launched from, which the engine makes and not this program.
const INSTANCES: &str = "lxd";

const WHAT: &str = "the output";

impl Outputs {
    /// Parses and checks them: whatever cannot be written is said before the build (threat 46).
    pub(crate) fn new(flags: &[String], host: &Host, stdout_is_terminal: bool) -> Result<Self> {
        let (mut written, mut aliases) = (Vec::new(), Vec::new());
        for text in flags {
            let (kind, place) = match output(text, host)? {
                Output::Written(kind, place) => (kind, place),
                Output::Instances(alias) => {
                    aliases.push(alias);
                    continue;
                }
            };
            match (&kind, &place) {
                (Kind::Folder, Place::Path(path)) => destination::check_folder(WHAT, path)?,
                (_, Place::Path(path)) => destination::check_file(WHAT, path)?,
                (_, Place::Stdout) if stdout_is_terminal => {
                    return Err(wrong("cannot write an archive to a terminal")
                        .with_remedy("send it to a file: `--output type=…,dest=FILE`"));
                }
                (_, Place::Stdout) => {}
            }
            if written.iter().any(|(_, other)| *other == place) {
                return Err(wrong(format!("`--output {text}` goes where another output goes")));
            }
            written.push((kind, place));
        }
        Ok(Self { written, aliases })
    }

    /// Returns whether nothing is written.
    pub(crate) fn is_empty(&self) -> bool {
        self.written.is_empty()
    }

    /// Fails if one of them has no place for the images of several platforms.
    pub(crate) fn check_index(&self) -> Result<()> {
        let cannot = |name: &str, cause: &str| {
            let message = format!("`type={name}` cannot hold the images of several platforms");
            Err(wrong(message).with_cause(cause).with_remedy(
                "write `type=oci` or `type=local`, or build for one platform at a time",
            ))
        };
        self.written.iter().try_for_each(|(kind, _)| match kind {
            Kind::Archive(ArchiveKind::Docker | ArchiveKind::Combined) => {
                cannot("docker", "a docker archive has one image under a name")
            }
            Kind::Tar => cannot("tar", "it is the file system of one image"),
            Kind::Archive(ArchiveKind::Oci) | Kind::Folder => Ok(()),
        })
    }

    /// Returns whether standard output is taken by an archive.
    pub(crate) fn take_stdout(&self) -> bool {
        self.written.iter().any(|(_, place)| *place == Place::Stdout)
    }
}

fn output(text: &str, host: &Host) -> Result<Output> {
    // As `docker` has it: a path alone is a folder, and `-` alone is a tar.
    if text == "-" {
        return Ok(Output::Written(Kind::Tar, Place::Stdout));
    }
    if !text.contains('=') {
        return Ok(Output::Written(Kind::Folder, Place::Path(host.absolute(Path::new(text)))));
    }
    let (mut kind, mut dest, mut alias) = (None, None, None);
    for (key, value) in keys("--output", text, &["type", "dest", "alias"])? {
        match key {
            "type" => kind = Some(value),
            "alias" => alias = Some(value).filter(|alias| !alias.is_empty()),
            _ => dest = Some(value).filter(|dest| !dest.is_empty()),
        }
    }
    let name = kind.ok_or_else(|| {
        wrong(format!("`--output {text}` has no type")).with_remedy(
            "use one of `type=oci`, `type=docker`, `type=local`, `type=tar`, `type=lxd`",
        )
    })?;
    if name == INSTANCES {
        return match (alias, dest) {
            (Some(alias), None) => Ok(Output::Instances(alias.to_owned())),
            (None, _) => Err(wrong(format!("`--output {text}` has no alias"))
                .with_remedy("write it as `--output type=lxd,alias=NAME`")),
            (_, Some(_)) => {
                Err(wrong(format!("`--output {text}` goes to the engine, not to a file"))
                    .with_remedy("leave `dest` out"))
            }
        };
    }
    if alias.is_some() {
        return Err(wrong(format!("`type={name}` in `--output {text}` takes no alias"))
            .with_remedy("leave `alias` out"));
    }
    let known: Vec<&str> = KINDS.iter().map(|(name, _)| *name).chain([INSTANCES]).collect();
    let Some((_, kind)) = KINDS.into_iter().find(|(known, _)| *known == name) else {
        let error = wrong(format!("unknown type `{name}` in `--output {text}`"));
        return Err(match (nearest(name, &known), name) {
            (Some(near), _) => error.with_remedy(format!("use `type={near}`")),
            (None, "image" | "registry") => error.with_remedy(
                "leave it out: the image is kept in the engine, and `--push` pushes it",
            ),
            _ => error.with_remedy(format!("use one of {}", known.join(", "))),
        });
    };
    let dest = dest.ok_or_else(|| {
        wrong(format!("`--output {text}` says not where to"))
            .with_remedy(format!("write it as `--output type={name},dest=PATH`"))
    })?;
    match (kind, dest) {
        (Kind::Folder, "-") => Err(wrong("a folder cannot be written to standard output")
            .with_remedy("use `--output type=tar,dest=-`")),
        (kind, "-") => Ok(Output::Written(kind, Place::Stdout)),
        (kind, dest) => Ok(Output::Written(kind, Place::Path(host.absolute(Path::new(dest))))),
    }
}

/// Exports what was built once, and writes every output of it. Nothing else remains.
pub(crate) async fn write_outputs(
    outputs: &Outputs,
    engine: &dyn Engine,
    built: &BuildOutput,
    session: &Session,
    console: Console,
) -> Result<()> {
    let scratch = tempfile::Builder::new()
        .prefix("boxwright-output-")
        .tempdir_in(session.host.temporary_folder())
        .map_err(|error| {
            let folder = session.host.temporary_folder();
            let message = format!("cannot make a folder in `{}`", folder.display());
            Error::new(ErrorKind::Exhausted, message)
                .with_source(error)
                .with_remedy("set `TMPDIR` to a folder with room")
        })?;
    let exported = scratch.path().join("image.tar");
    let image = LocalImage::Id(built.id.clone());
    engine.export(&ExportRequest::new(image, exported.clone()), session).await?;
    let layout = Layout::open(scratch.path().join("layout"))?;
    let names = &built.tags;
    if !built.images.is_empty() {
        session.cancellable(archive::read(&exported, &layout)).await?;
        let index = layout.index(&built.id).await?;
        let _ = std::fs::remove_file(&exported);
        for (kind, place) in &outputs.written {
            session.cancellable(write_index(*kind, place, &layout, &index, names, console)).await?;
        }
        return Ok(());
    }
    let manifest = session.cancellable(read(&exported, &layout)).await?;
    // The layout has all of it now.
    let _ = std::fs::remove_file(&exported);
    for (kind, place) in &outputs.written {
        let write = write(*kind, place, &layout, &manifest, names, scratch.path(), console);
        session.cancellable(write).await?;
    }
    Ok(())
}

/// Writes an index as an archive, or the file system of each of its images to a folder of its own, as
/// `docker buildx build` does: `linux_arm64`.
async fn write_index(
    kind: Kind,
    place: &Place,
    layout: &Layout,
    index: &Index,
    names: &[ImageRef],
    console: Console,
) -> Result<()> {
    let names = names.iter().map(ToString::to_string).collect();
    match (kind, place) {
        (Kind::Archive(ArchiveKind::Oci), Place::Path(path)) => {
            archive::write_index_file(layout, index, names, path).await
        }
        (Kind::Archive(ArchiveKind::Oci), Place::Stdout) => {
            to_stdout(archive::write_index(layout, index, names).await?, console).await
        }
        (Kind::Folder, Place::Path(path)) => {
            for (platform, manifest) in &index.images {
                let folder = path.join(platform.to_string().replace('/', "_"));
                destination::make_folder(WHAT, path)?;
                write_folder(layout, manifest, &folder, Ownership::Caller).await?;
            }
            Ok(())
        }
        _ => Err(Error::new(ErrorKind::Bug, "an output has no place for an index")),
    }
}

async fn read(exported: &Path, layout: &Layout) -> Result<Manifest> {
    let mut images = archive::read(exported, layout).await?;
    match (images.pop(), images.is_empty()) {
        (Some(image), true) => Ok(image.manifest),
        _ => Err(Error::new(ErrorKind::Protocol, "the engine did not export one image")),
    }
}

async fn write(
    kind: Kind,
    place: &Place,
    layout: &Layout,
    manifest: &Manifest,
    names: &[ImageRef],
    scratch: &Path,
    console: Console,
) -> Result<()> {
    let options = |kind| ArchiveOptions::new(kind, names.iter().map(ToString::to_string).collect());
    match (kind, place) {
        (Kind::Archive(kind), Place::Path(path)) => {
            archive::write_file(layout, manifest, options(kind), path).await
        }
        (Kind::Archive(kind), Place::Stdout) => {
            to_stdout(archive::write(layout, manifest, options(kind)).await?, console).await
        }
        (Kind::Tar, Place::Path(path)) => write_tar(layout, manifest, path).await,
        (Kind::Tar, Place::Stdout) => {
            let file = scratch.join("files.tar");
            write_tar(layout, manifest, &file).await?;
            let opened = tokio::fs::File::open(&file).await.map_err(unreadable)?;
            to_stdout(Box::new(opened), console).await
        }
        (Kind::Folder, Place::Path(path)) => {
            write_folder(layout, manifest, path, Ownership::Caller).await
        }
        (Kind::Folder, Place::Stdout) => {
            Err(Error::new(ErrorKind::Bug, "a folder was to go to standard output"))
        }
    }
}

async fn to_stdout(mut stream: boxwright_core::ByteStream, console: Console) -> Result<()> {
    let mut chunk = vec![0; 256 * 1024];
    loop {
        let count = stream.read(&mut chunk).await.map_err(unreadable)?;
        if count == 0 {
            return Ok(());
        }
        console.data_bytes(&chunk[..count])?;
    }
}

fn unreadable(error: std::io::Error) -> Error {
    Error::new(ErrorKind::Unavailable, "cannot read what the engine exported").with_source(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Output> {
        output(text, &Host::with_variables("/w", [("A", "b")]))
    }

    #[test]
    fn an_output_is_a_type_and_a_place() {
        let path = |text: &str| Place::Path(PathBuf::from(text));
        assert_eq!(
            parsed("type=oci,dest=a.tar").unwrap(),
            Output::Written(Kind::Archive(ArchiveKind::Oci), path("/w/a.tar"))
        );
        let to_stdout = Output::Written(Kind::Tar, Place::Stdout);
        assert_eq!(parsed("type=tar,dest=-").unwrap(), to_stdout);
        assert_eq!(parsed("out").unwrap(), Output::Written(Kind::Folder, path("/w/out")));
        assert_eq!(parsed("-").unwrap(), to_stdout);
        let alias = Output::Instances("api/1".to_owned());
        assert_eq!(parsed("type=lxd,alias=api/1").unwrap(), alias);
    }

    #[test]
    fn what_is_wrong_says_what_to_write() {
        for (text, remedy) in [
            ("type=dokcer,dest=a", "use `type=docker`"),
            ("type=local,dest=-", "use `--output type=tar,dest=-`"),
            ("type=oci", "write it as `--output type=oci,dest=PATH`"),
            ("dst=a", "use `dest`"),
            (
                "dest=a",
                "use one of `type=oci`, `type=docker`, `type=local`, `type=tar`, `type=lxd`",
            ),
            ("type=lxd", "write it as `--output type=lxd,alias=NAME`"),
            ("type=lxd,alias=a,dest=b", "leave `dest` out"),
            ("type=tar,alias=a,dest=b", "leave `alias` out"),
        ] {
            assert_eq!(parsed(text).unwrap_err().remedy(), Some(remedy), "{text}");
        }
        let error = parsed("type=registry").unwrap_err();
        assert!(error.remedy().unwrap().contains("--push"), "{error:?}");
    }

    #[test]
    fn two_outputs_do_not_share_a_place() {
        let host = Host::with_variables("/tmp", [("A", "b")]);
        let flags = ["-", "type=oci,dest=-"].map(str::to_owned);
        assert!(Outputs::new(&flags, &host, false).is_err());
        assert!(Outputs::new(&flags[..1], &host, true).is_err());
        assert!(Outputs::new(&flags[..1], &host, false).unwrap().take_stdout());
    }
}
