//! The tar that a builder gets, read by another implementation.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::os::unix::fs::symlink;

use boxwright_context::{Context, TarOptions, Xattrs};
use boxwright_core::DockerfileSource;
use tempfile::TempDir;
use tokio::io::AsyncReadExt as _;

use crate::{at, folder, open};

type Files = BTreeMap<String, (tar::Header, Vec<u8>)>;

async fn read(context: &Context, options: TarOptions) -> (String, Files) {
    let mut tar = context.tar(options);
    let mut bytes = Vec::new();
    tar.read_to_end(&mut bytes).await.unwrap();
    let mut files = Files::new();
    for entry in tar::Archive::new(&bytes[..]).entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().to_string_lossy().into_owned();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        assert!(files.insert(path.clone(), (entry.header().clone(), content)).is_none(), "{path}");
    }
    (tar.dockerfile_name().to_owned(), files)
}

fn text<'f>(files: &'f Files, path: &str) -> &'f str {
    std::str::from_utf8(&files[path].1).unwrap()
}

fn with_text(text: &str) -> TarOptions {
    let mut options = TarOptions::default();
    options.dockerfile_text = Some(text.into());
    options
}

#[tokio::test]
async fn holds_what_the_folder_holds() {
    let long = format!("{}/{}", "d".repeat(120), "f".repeat(200));
    let folder = folder(&["Dockerfile", "sub/file", "empty/", &long]);
    symlink("sub/file", folder.path().join("link")).unwrap();
    fs::hard_link(folder.path().join("sub/file"), folder.path().join("twin")).unwrap();
    let (name, files) = read(&open(&folder), TarOptions::default()).await;
    assert_eq!(name, "Dockerfile");
    assert_eq!(text(&files, "sub/file"), "sub/file");
    assert_eq!(text(&files, &long), long);
    assert!(files["empty/"].0.entry_type().is_dir());
    assert!(files["link"].0.entry_type().is_symlink());
    assert!(files["twin"].0.entry_type().is_hard_link());
    assert_eq!(files["twin"].0.link_name().unwrap().unwrap().to_str(), Some("sub/file"));
    assert!(files.values().all(|(header, _)| header.uid().unwrap() == 0));
}

#[tokio::test]
async fn the_dockerfile_and_the_ignore_file_are_there_even_when_excluded() {
    let folder = folder(&["Dockerfile", "other"]);
    fs::write(folder.path().join(".dockerignore"), "*").unwrap();
    let (_, files) = read(&open(&folder), TarOptions::default()).await;
    assert_eq!(files.keys().collect::<Vec<_>>(), [".dockerignore", "Dockerfile"]);
    assert_eq!(text(&files, ".dockerignore"), "*");
}

#[tokio::test]
async fn another_text_gets_a_name_of_its_own_that_is_kept_out_of_the_image() {
    let folder = folder(&["Dockerfile", "other"]);
    let (name, files) = read(&open(&folder), with_text("FROM scratch")).await;
    assert!(name.starts_with(".boxwright.") && name.ends_with(".Dockerfile"), "{name}");
    assert_eq!(text(&files, &name), "FROM scratch");
    assert_eq!(text(&files, "Dockerfile"), "Dockerfile");
    assert_eq!(text(&files, ".dockerignore"), format!(".dockerignore\n{name}\n"));
}

#[tokio::test]
async fn a_dockerfile_from_outside_keeps_its_own_ignore_rules() {
    let outer = folder(&["context/a", "context/b", "context/.containerignore", "x/Dockerfile"]);
    fs::write(outer.path().join("x/Dockerfile.dockerignore"), "b").unwrap();
    let dockerfile = at(outer.path().join("x/Dockerfile"));
    let context = Context::open(&outer.path().join("context"), &dockerfile).unwrap();
    let (name, files) = read(&context, TarOptions::default()).await;
    assert_eq!(text(&files, &name), "x/Dockerfile");
    // Whichever of the two the builder reads, it says the same.
    assert_eq!(text(&files, ".dockerignore"), format!("b\n{name}\n"));
    assert_eq!(text(&files, ".containerignore"), format!("b\n{name}\n"));
    assert!(files.contains_key("a") && !files.contains_key("b"));
}

#[tokio::test]
async fn an_empty_context_is_fine() {
    let folder = TempDir::new().unwrap();
    let source = DockerfileSource::Text("FROM scratch".into());
    let context = Context::open(folder.path(), &source).unwrap();
    let (name, files) = read(&context, TarOptions::default()).await;
    assert_eq!(files.keys().collect::<Vec<_>>(), [&name, ".dockerignore"]);
}

#[tokio::test]
async fn extended_attributes_go_along_when_asked_for() {
    let folder = folder(&["Dockerfile", "file"]);
    let file = fs::File::open(folder.path().join("file")).unwrap();
    let value = vec![b'x'; 100];
    let set = rustix::fs::fsetxattr(&file, "user.note", &value, rustix::fs::XattrFlags::empty());
    if set == Err(rustix::io::Errno::OPNOTSUPP) {
        // The file system of the temporary folder knows no such attributes.
        return;
    }
    set.unwrap();
    let mut options = TarOptions::default();
    options.xattrs = Xattrs::All;
    let mut bytes = Vec::new();
    open(&folder).tar(options).read_to_end(&mut bytes).await.unwrap();
    let mut archive = tar::Archive::new(&bytes[..]);
    let mut values = Vec::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        for record in entry.pax_extensions().unwrap().into_iter().flatten() {
            let record = record.unwrap();
            values.push((record.key().unwrap().to_owned(), record.value_bytes().to_vec()));
        }
    }
    assert_eq!(values, [("SCHILY.xattr.user.note".to_owned(), value)]);
}
