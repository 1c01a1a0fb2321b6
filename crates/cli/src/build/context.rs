//! Where the files and the Dockerfile come from: a folder, an address, or standard input.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};

use boxwright_core::{
    ByteStream, CancellationToken, ContextSource, DockerfileSource, Error, ErrorKind, Host,
    NamedContext, Result, Session,
};
use tokio::io::AsyncReadExt as _;

use super::value::wrong;
use crate::app::parse;

/// A Dockerfile larger than this is some other file.
const LARGEST_DOCKERFILE: u64 = 10 * 1024 * 1024;

/// How much of standard input tells an archive from a text: one header of a tar.
const HEADER: usize = 512;

/// Context and Dockerfile of a build, and the rest of standard input if that is the context.
pub(super) struct Source {
    pub(super) context: ContextSource,
    pub(super) dockerfile: DockerfileSource,
    pub(super) input: Option<ByteStream>,
}

/// Finds out what `CONTEXT` and `--file` mean.
pub(super) async fn source(
    context: &str,
    file: Option<&str>,
    host: &Host,
    cancel: &CancellationToken,
) -> Result<Source> {
    match (context, file) {
        ("-", Some("-")) => {
            Err(wrong("standard input cannot be both the context and the Dockerfile")
                .with_remedy("name a folder as the context: `boxwright build -f - .`"))
        }
        ("-", file) => cancellable(cancel, from_input(file)).await,
        (context, file) if is_address(context) => {
            let dockerfile = match file {
                Some("-") => DockerfileSource::Text(cancellable(cancel, text_from_input()).await?),
                Some(file) => DockerfileSource::Path(PathBuf::from(file)),
                None => DockerfileSource::Default,
            };
            let context = ContextSource::Address(context.to_owned());
            Ok(Source { context, dockerfile, input: None })
        }
        (context, file) => {
            let folder = host.absolute(Path::new(context));
            check_folder(&folder, context)?;
            let dockerfile = match file {
                Some("-") => DockerfileSource::Text(cancellable(cancel, text_from_input()).await?),
                Some(file) => DockerfileSource::Path(find_dockerfile(file, &folder, host)?),
                None => {
                    check_default(&folder, context)?;
                    DockerfileSource::Default
                }
            };
            Ok(Source { context: ContextSource::Folder(folder), dockerfile, input: None })
        }
    }
}

/// Reads `--build-context`.
pub(super) fn named(flags: &[String], host: &Host) -> Result<BTreeMap<String, NamedContext>> {
    let mut all = BTreeMap::new();
    for text in flags {
        let Some((name, value)) = text.split_once('=').filter(|(name, _)| !name.is_empty()) else {
            return Err(wrong(format!("`--build-context {text}` has no name"))
                .with_remedy("write it as `NAME=FOLDER`"));
        };
        let context = if let Some(image) = value.strip_prefix("docker-image://") {
            NamedContext::Image(parse(image)?)
        } else if let Some(layout) = value.strip_prefix("oci-layout://") {
            let (folder, reference) = layout_of(layout);
            NamedContext::Layout { folder: host.absolute(Path::new(folder)), reference }
        } else if is_address(value) {
            NamedContext::Address(value.to_owned())
        } else if let Some((scheme, _)) = value.split_once("://") {
            return Err(wrong(format!("`{scheme}` is no kind of a further context"))
                .with_remedy("use a folder, `docker-image://`, `oci-layout://`, or an address"));
        } else {
            let folder = host.absolute(Path::new(value));
            check_folder(&folder, value)?;
            NamedContext::Folder(folder)
        };
        if all.insert(name.to_owned(), context).is_some() {
            return Err(wrong(format!("the context `{name}` is given twice")));
        }
    }
    Ok(all)
}

/// Splits `FOLDER[:TAG][@DIGEST]`. Of both, the digest counts.
fn layout_of(text: &str) -> (&str, Option<String>) {
    let (rest, digest) = match text.split_once("@sha") {
        Some((rest, digest)) => (rest, Some(format!("sha{digest}"))),
        None => (text, None),
    };
    match rest.rsplit_once(':').filter(|(_, tag)| !tag.contains('/')) {
        Some((folder, tag)) => (folder, digest.or_else(|| Some(tag.to_owned()))),
        None => (rest, digest),
    }
}

async fn cancellable<T>(
    cancel: &CancellationToken,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    tokio::select! {
        biased;
        () = cancel.cancelled() => Err(Session::cancelled()),
        result = work => result,
    }
}

// SPEC: `docker build` takes what begins with `http://`, `https://`, `git://`, `git@`, `ssh://` or `github.com/` for an address.
fn is_address(context: &str) -> bool {
    ["http://", "https://", "git://", "git@", "ssh://", "github.com/"]
        .iter()
        .any(|prefix| context.starts_with(prefix))
}

fn check_folder(folder: &Path, shown: &str) -> Result<()> {
    let cannot = |error: std::io::Error| {
        wrong(format!("cannot read the context `{shown}`")).with_source(error)
    };
    match std::fs::read_dir(folder) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Err(cannot(error).with_remedy("name the folder that holds the files, such as `.`"))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotADirectory => {
            Err(cannot(error).with_remedy("name a folder; the Dockerfile is named with `--file`"))
        }
        Err(error) => Err(cannot(error)),
    }
}

fn check_default(folder: &Path, shown: &str) -> Result<()> {
    let there = |name: &str| folder.join(name).symlink_metadata().is_ok();
    if there("Dockerfile") || there("Containerfile") {
        return Ok(());
    }
    let empty = std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none());
    let cause = if empty {
        "the folder is empty"
    } else {
        "the folder has neither `Dockerfile` nor `Containerfile`"
    };
    Err(wrong(format!("there is no Dockerfile in `{shown}`"))
        .with_cause(cause)
        .with_remedy("name it with `--file`, or name the folder that has it"))
}

/// Finds the file that `--file` names: seen from the working directory as `docker` does, else from the
/// context as `podman` does. Inside the context it keeps its path there, so that its ignore file is found.
fn find_dockerfile(file: &str, folder: &Path, host: &Host) -> Result<PathBuf> {
    let here = host.absolute(Path::new(file));
    let path =
        [here.clone(), folder.join(file)].into_iter().find(|it| it.symlink_metadata().is_ok());
    let Some(path) = path else {
        let cause = format!("there is no file `{}`", here.display());
        return Err(wrong(format!("cannot read the Dockerfile `{file}`")).with_cause(cause));
    };
    if path.is_dir() {
        return Err(wrong(format!("cannot read the Dockerfile `{file}`"))
            .with_cause("it is a folder")
            .with_remedy(format!(
                "name the file: `--file {}`",
                Path::new(file).join("Dockerfile").display()
            )));
    }
    let plain = normalized(&path);
    Ok(plain.strip_prefix(normalized(folder)).map(Path::to_owned).unwrap_or(plain))
}

/// Takes `.` and `..` out of an absolute path, as text. Links are for whoever opens it.
fn normalized(path: &Path) -> PathBuf {
    use std::path::Component;
    let mut out = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                out.pop();
            }
            other => out.push(other),
        }
    }
    out
}

/// Tells a tar from a Dockerfile, as `docker build -` does.
async fn from_input(file: Option<&str>) -> Result<Source> {
    refuse_terminal("boxwright build -")?;
    let mut input = tokio::io::stdin();
    let mut header = vec![0; HEADER];
    let mut filled = 0;
    while filled < HEADER {
        let count = input.read(&mut header[filled..]).await.map_err(unreadable)?;
        if count == 0 {
            break;
        }
        filled += count;
    }
    header.truncate(filled);
    if header.is_empty() {
        return Err(wrong("standard input is empty")
            .with_remedy("pipe a tar in, as in `tar -c . | boxwright build -`"));
    }
    let is_archive = is_archive(&header);
    let input = std::io::Cursor::new(header).chain(input);
    if is_archive {
        let dockerfile = file
            .map_or(DockerfileSource::Default, |file| DockerfileSource::Path(PathBuf::from(file)));
        let input: Option<ByteStream> = Some(Box::new(input));
        return Ok(Source { context: ContextSource::Tar, dockerfile, input });
    }
    if let Some(file) = file {
        return Err(wrong(format!("there is no archive to find `{file}` in"))
            .with_cause("standard input is a Dockerfile, and no tar")
            .with_remedy("leave `--file` out, or pipe a tar in"));
    }
    let text = read_text(input).await?;
    let dockerfile = DockerfileSource::Text(text);
    Ok(Source { context: ContextSource::Empty, dockerfile, input: None })
}

async fn text_from_input() -> Result<String> {
    refuse_terminal("boxwright build -f - .")?;
    let text = read_text(tokio::io::stdin()).await?;
    if text.trim().is_empty() {
        return Err(wrong("the Dockerfile on standard input is empty"));
    }
    Ok(text)
}

async fn read_text(input: impl tokio::io::AsyncRead + Unpin) -> Result<String> {
    let mut bytes = Vec::new();
    input.take(LARGEST_DOCKERFILE + 1).read_to_end(&mut bytes).await.map_err(unreadable)?;
    if bytes.len() as u64 > LARGEST_DOCKERFILE {
        return Err(wrong("the Dockerfile on standard input is larger than 10 MiB"));
    }
    String::from_utf8(bytes).map_err(|error| {
        wrong("standard input is neither a tar nor a Dockerfile").with_source(error.utf8_error())
    })
}

fn unreadable(error: std::io::Error) -> Error {
    Error::new(ErrorKind::InvalidInput, "cannot read standard input").with_source(error)
}

fn refuse_terminal(command: &str) -> Result<()> {
    if !std::io::stdin().is_terminal() {
        return Ok(());
    }
    Err(wrong("standard input is a terminal")
        .with_remedy(format!("pipe something in, as in `{command} < FILE`")))
}

/// Returns whether bytes begin a tar, plain or compressed with gzip, bzip2, xz or zstd.
fn is_archive(header: &[u8]) -> bool {
    const MAGIC: [&[u8]; 4] = [b"\x1f\x8b\x08", b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd"];
    MAGIC.iter().any(|magic| header.starts_with(magic)) || is_tar(header)
}

/// A tar's header has the sum of its own bytes in it. An empty tar is two blocks of zeros.
fn is_tar(header: &[u8]) -> bool {
    let Ok(header) = <&[u8; HEADER]>::try_from(header) else { return false };
    if header.iter().all(|&byte| byte == 0) {
        return true;
    }
    let field: String = header[148..156].iter().map(|&byte| char::from(byte)).collect();
    let field = field.trim_matches(|c: char| c == ' ' || c == '\0');
    let Ok(stated) = u32::from_str_radix(field, 8) else { return false };
    // The sum counts its own field as spaces.
    let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
    let own: u32 = header[148..156].iter().map(|&byte| u32::from(byte)).sum();
    sum - own + 8 * u32::from(b' ') == stated
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_is_told_from_a_text() {
        let mut header = [0_u8; HEADER];
        header[..10].copy_from_slice(b"Dockerfile");
        header[124..136].copy_from_slice(b"00000000005 ");
        let sum: u32 = header.iter().map(|&b| u32::from(b)).sum::<u32>() + 8 * 32;
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        assert!(is_archive(&header) && is_archive(&[0; HEADER]));
        header[0] = b'd';
        assert!(!is_archive(&header));
        assert!(is_archive(b"\x1f\x8b\x08\x00") && is_archive(b"\x28\xb5\x2f\xfd..."));
        assert!(!is_archive(b"FROM scratch\n") && !is_archive(&[b'#'; HEADER]) && !is_archive(b""));
    }

    #[test]
    fn a_dockerfile_inside_the_context_keeps_its_path_there() {
        let folder = tempfile::tempdir().unwrap();
        let context = folder.path().join("app");
        std::fs::create_dir_all(context.join("docker")).unwrap();
        std::fs::write(context.join("docker/Dockerfile"), "FROM scratch").unwrap();
        std::fs::write(folder.path().join("Other"), "FROM scratch").unwrap();
        let host = Host::with_variables(folder.path(), [("A", "b")]);
        let find = |file: &str| find_dockerfile(file, &context, &host);
        assert_eq!(find("app/docker/Dockerfile").unwrap(), Path::new("docker/Dockerfile"));
        assert_eq!(
            find("./app/x/../docker/Dockerfile").unwrap_err().kind(),
            ErrorKind::InvalidInput
        );
        assert_eq!(find("docker/Dockerfile").unwrap(), Path::new("docker/Dockerfile"));
        assert_eq!(find("Other").unwrap(), folder.path().join("Other"));
        assert_eq!(find("app/../Other").unwrap(), folder.path().join("Other"));
        assert_eq!(find("app/docker").unwrap_err().causes(), ["it is a folder"]);
        assert!(find("nothing").is_err());
    }

    #[test]
    fn further_contexts_are_told_apart() {
        let host = Host::with_variables("/", [("HOME", "/")]);
        let named = |text: &str| Ok::<_, Error>(named(&[text.to_owned()], &host)?.remove("a"));
        let layout = |folder: &str, reference: Option<&str>| NamedContext::Layout {
            folder: folder.into(),
            reference: reference.map(str::to_owned),
        };
        let digest = format!("sha256:{}", "0".repeat(64));
        for (text, expected) in [
            ("a=tmp", NamedContext::Folder("/tmp".into())),
            ("a=docker-image://e.com/b:1", NamedContext::Image("e.com/b:1".parse().unwrap())),
            ("a=https://e.com/b.git#v", NamedContext::Address("https://e.com/b.git#v".into())),
            ("a=oci-layout://b/c", layout("/b/c", None)),
            ("a=oci-layout:///b:1", layout("/b", Some("1"))),
            (&format!("a=oci-layout://b@{digest}"), layout("/b", Some(&digest))),
        ] {
            assert_eq!(named(text).unwrap(), Some(expected), "{text}");
        }
        for bad in ["a", "=b", "a=/no/such/folder", "a=target:b://c", "a=docker-image://-b"] {
            assert!(named(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn addresses_are_told_from_folders() {
        assert!(is_address("https://github.com/a/b.git#main") && is_address("git@host:a/b"));
        assert!(!is_address("./https") && !is_address("github.com"));
    }
}
