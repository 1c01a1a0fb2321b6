//! Contexts and sources of `ADD` that are elsewhere: tars, files of the web, git repositories.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use boxwright_core::{
    BuildRequest, ContextSource, DockerfileSource, ErrorKind, Host, Program, Session,
};
use boxwright_image::manifest::digest_of;
use boxwright_image::tar::{Header, Kind, Writer};
use boxwright_portable::Builder;
use boxwright_testkit::ContextFolder;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::bench::Bench;

/// A server with files, on a loopback port.
struct Web {
    address: String,
    asked: Arc<Mutex<Vec<String>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Web {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Web {
    /// Answers each path with a status line, further headers, and a body.
    async fn open(answers: &[(&str, &str, &[u8])]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let answers: BTreeMap<String, (String, Vec<u8>)> = answers
            .iter()
            .map(|(path, head, body)| ((*path).to_owned(), ((*head).to_owned(), body.to_vec())))
            .collect();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let heard = asked.clone();
        let task = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") {
                    let mut byte = [0];
                    if stream.read(&mut byte).await.unwrap_or_default() == 0 {
                        break;
                    }
                    request.push(byte[0]);
                }
                let request = String::from_utf8(request).unwrap();
                let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
                let nothing = ("HTTP/1.1 404 Not Found\r\n".to_owned(), Vec::new());
                let (mut head, body) = answers.get(&path).unwrap_or(&nothing).clone();
                if request.contains("if-none-match: \"v1\"") && head.contains("etag: \"v1\"") {
                    head = "HTTP/1.1 304 Not Modified\r\netag: \"v1\"\r\n".to_owned();
                }
                let body: &[u8] = if head.contains(" 304 ") { b"" } else { &body };
                heard.lock().unwrap().push(request);
                let head =
                    format!("{head}connection: close\r\ncontent-length: {}\r\n\r\n", body.len());
                let _ = stream.write_all(head.as_bytes()).await;
                let _ = stream.write_all(body).await;
            }
        });
        Self { address, asked, task }
    }
}

const OK: &str = "HTTP/1.1 200 OK\r\nlast-modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n";

fn tar(entries: &[(Header, &str)]) -> Vec<u8> {
    let mut tar = Writer::new(Vec::new());
    for (header, content) in entries {
        match header.kind {
            Kind::File { .. } => tar.file(header, &mut content.as_bytes()).unwrap(),
            _ => tar.header(header).unwrap(),
        }
    }
    tar.finish().unwrap()
}

fn file(path: &str, content: &'static str) -> (Header, &'static str) {
    (Header::new(path, Kind::File { size: content.len() as u64 }, 0o644), content)
}

fn link(path: &str, target: &str) -> (Header, &'static str) {
    (Header::new(path, Kind::Symlink { target: target.into() }, 0o777), "")
}

/// The programs that are needed, and nothing of the machine's own settings.
fn host() -> Host {
    Host::with_variables("/", [("PATH", "/usr/local/bin:/usr/bin:/bin")])
}

#[tokio::test]
async fn files_of_the_web_are_added() {
    let archive = tar(&[file("in/side", "x")]);
    let web = Web::open(&[("/a/tool", OK, b"tool"), ("/plain.tar", OK, &archive)]).await;
    let address = &web.address;
    let digest = digest_of(b"tool");
    let bench = Bench::new(&format!(
        "FROM scratch\nADD {address}/a/tool /\nADD --chmod=755 --checksum={digest} {address}/a/tool /bin/x\n\
         ADD {address}/plain.tar /as-it-is/\nADD --unpack {address}/plain.tar local {address}/a/tool /unpacked/\n"
    ));
    let bench = bench.file("local", 0o640, "near");
    let mut request = bench.request();
    request.build_args.clear();
    let built = bench.build_by(&request).await.unwrap();
    assert_eq!(
        built.listing(),
        [
            "as-it-is/ 755 0:0",
            "as-it-is/plain.tar 600 0:0",
            "bin/ 755 0:0",
            "bin/x 755 0:0",
            "tool 600 0:0",
            "unpacked/ 755 0:0",
            "unpacked/in/ 755 0:0",
            "unpacked/in/side 644 0:0",
            "unpacked/local 640 0:0",
            "unpacked/tool 600 0:0",
        ]
    );
    assert_eq!(bench.read(&built, "tool").await, "tool");
    assert_eq!(bench.read(&built, "unpacked/local").await, "near");
    assert_eq!(built.tree.get("tool").unwrap().modified.0, 784_111_777);
    assert_eq!(bench.build_by(&request).await.unwrap().cached(), 4);
}

#[tokio::test]
async fn an_unchanged_file_of_the_web_is_not_fetched_again() {
    const VERSION: &str = "HTTP/1.1 200 OK\r\netag: \"v1\"\r\n";
    let web = Web::open(&[("/f", VERSION, b"content"), ("/plain", OK, b"plain")]).await;
    let address = &web.address;
    let digest = digest_of(b"content");
    let asked = || std::mem::take(&mut *web.asked.lock().unwrap());
    let is_conditional = |requests: Vec<String>| -> Vec<bool> {
        requests.iter().map(|it| it.contains("if-none-match: \"v1\"")).collect()
    };
    let bench = Bench::new(&format!("FROM scratch\nADD {address}/f /\n"));
    bench.build().await.unwrap();
    assert_eq!(is_conditional(asked()), [false]);
    assert_eq!(bench.build().await.unwrap().cached(), 1);
    assert_eq!(is_conditional(asked()), [true]);
    // Its content is there where another step needs it, and asked for again where that is wanted or it is damaged.
    let mut request = bench.request();
    let text = |first: &str| format!("FROM scratch\nWORKDIR /{first}\nADD {address}/f /\n");
    request.dockerfile = DockerfileSource::Text(text("a"));
    let built = bench.build_by(&request).await.unwrap();
    assert_eq!((built.cached(), bench.read(&built, "f").await), (0, "content".to_owned()));
    assert_eq!(is_conditional(asked()), [true]);
    request.cache = boxwright_core::CacheUse::Ignore;
    bench.build_by(&request).await.unwrap();
    assert_eq!(is_conditional(asked()), [false]);
    let blob = bench.store.layout().folder().join("blobs/sha256").join(digest.hex());
    std::fs::write(blob, "CONTENT").unwrap();
    request.cache = boxwright_core::CacheUse::Use;
    request.dockerfile = DockerfileSource::Text(text("b"));
    let built = bench.build_by(&request).await.unwrap();
    assert_eq!(bench.read(&built, "f").await, "content");
    assert_eq!(is_conditional(asked()), [true, false]);
    // What is named by its digest needs no question at all.
    let text = format!("FROM scratch\nADD --checksum={digest} {address}/f /by-digest\n");
    request.dockerfile = DockerfileSource::Text(text);
    bench.build_by(&request).await.unwrap();
    assert!(asked().is_empty());
}

#[tokio::test]
async fn a_download_that_goes_wrong_says_what_and_where() {
    let redirect = "HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/latest\r\n";
    let web = Web::open(&[
        ("/file", OK, b"other"),
        ("/secret", "HTTP/1.1 403 Forbidden\r\n", b""),
        ("/metadata", redirect, b""),
    ])
    .await;
    let address = &web.address;
    for (source, kind, message) in [
        (
            format!("--checksum={} {address}/file", digest_of(b"file")),
            ErrorKind::BuildFailed,
            "is another file",
        ),
        (format!("{address}/none"), ErrorKind::NotFound, "cannot download"),
        (format!("{address}/secret"), ErrorKind::Unauthorized, "cannot download"),
        // Threat 35.
        (format!("{address}/metadata"), ErrorKind::InvalidInput, "cannot download"),
        ("http://127.0.0.1:1/x".to_owned(), ErrorKind::Unavailable, "cannot download"),
    ] {
        let bench = Bench::new(&format!("FROM scratch\nADD {source} /\n"));
        let error = bench.build().await.err().expect(&source);
        assert_eq!(error.kind(), kind, "{source}: {error:?}");
        assert!(error.to_string().contains(message), "{error}");
        assert!(error.context().iter().any(|(name, _)| *name == "location"), "{source}");
    }
}

#[tokio::test]
async fn a_password_in_an_address_is_sent_and_told_nowhere_threat_36() {
    let web = Web::open(&[("/file", OK, b"x")]).await;
    let address = web.address.replace("http://", "http://me:canary-pass@");
    let bench = Bench::new(&format!("FROM scratch\nADD {address}/file {address}/none /\n"));
    let (built, events) = bench.build_with(&bench.request(), &[], None).await;
    let error = built.err().unwrap();
    assert!(!format!("{error:?} {events:?}").contains("canary"), "{error:?} {events:?}");
    // `me:canary-pass` in base64.
    let asked = web.asked.lock().unwrap().join("");
    assert!(asked.to_lowercase().contains("authorization: basic bwu6y2fuyxj5lxbhc3m="), "{asked}");

    let bench = Bench::new(&format!("FROM scratch\nADD {address}/file /\n"));
    let built = bench.build().await.unwrap();
    assert!(!format!("{:?} {:?}", built.config, built.events).contains("canary"));
}

async fn build_from(
    bench: &Bench,
    request: &BuildRequest,
    input: Option<Vec<u8>>,
) -> boxwright_core::Result<boxwright_core::BuildOutput> {
    let mut session = Session::new(host());
    if let Some(input) = input {
        session = session.with_input(Box::new(std::io::Cursor::new(input)));
    }
    Builder::new(bench.store.clone()).build(request, &session).await
}

#[tokio::test]
async fn a_tar_is_a_context_and_so_is_its_address() {
    let bench = Bench::new("");
    let content = tar(&[
        file("Dockerfile", "FROM scratch\nCOPY . /\n"),
        file("sub/Other", "FROM scratch\nCOPY sub /\n"),
        file(".dockerignore", "left-out\n"),
        file("left-out", ""),
    ]);
    let web = Web::open(&[
        ("/context.tar", OK, &content),
        ("/Dockerfile", OK, b"FROM scratch\nCOPY <<end file\nx\nend\n"),
    ])
    .await;
    let mut request = bench.request();
    request.context = ContextSource::Tar;
    let tar = build_from(&bench, &request, Some(content)).await.unwrap();
    request.context = ContextSource::Address(format!("{}/context.tar", web.address));
    let address = build_from(&bench, &request, None).await.unwrap();
    assert_eq!(tar.id, address.id);
    request.dockerfile = DockerfileSource::Path("/sub/Other".into());
    let other = build_from(&bench, &request, None).await.unwrap();
    assert_ne!(other.id, tar.id);
    request.dockerfile = DockerfileSource::Default;
    request.context = ContextSource::Address(format!("{}/Dockerfile", web.address));
    build_from(&bench, &request, None).await.unwrap();
    request.context = ContextSource::Address(format!("{}/none", web.address));
    let error = build_from(&bench, &request, None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn a_dockerfile_of_a_tar_is_looked_up_inside_threat_14() {
    let outside =
        ContextFolder::new().unwrap().file("Dockerfile", 0o644, "FROM scratch\nLABEL a=b\n");
    let outside = outside.unwrap();
    let bench = Bench::new("");
    let mut request = bench.request();
    request.context = ContextSource::Tar;
    let path = outside.path().join("Dockerfile");
    let content = tar(&[link("Dockerfile", &path.to_string_lossy())]);
    let error = build_from(&bench, &request, Some(content.clone())).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    request.dockerfile = DockerfileSource::Path(path);
    let error = build_from(&bench, &request, Some(content)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

/// A repository, and git's own server for it.
struct Repository {
    folder: ContextFolder,
    address: String,
    _server: tokio::process::Child,
}

impl Repository {
    async fn open() -> Self {
        let folder = ContextFolder::new().unwrap();
        std::fs::create_dir(folder.path().join("api")).unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let base = format!("--base-path={}", folder.path().display());
        let port_flag = format!("--port={port}");
        let server = Self::program().arguments(&[
            "daemon",
            "--export-all",
            "--reuseaddr",
            "--listen=127.0.0.1",
            &port_flag,
            &base,
        ]);
        let server = server.start_logged(&folder.path().join("log")).unwrap();
        let address = format!("git://127.0.0.1:{port}/api");
        let repository = Self { folder, address, _server: server };
        repository.git(&["init", "--quiet", "--initial-branch=main"]).await;
        for attempt in 0.. {
            if tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
                break;
            }
            assert!(attempt < 200, "git's server does not come up");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        repository
    }

    fn program() -> Program {
        let program = host().program("git").unwrap();
        program.variable("HOME", "/nonexistent").variable("GIT_CONFIG_NOSYSTEM", "1")
    }

    fn work(&self) -> PathBuf {
        self.folder.path().join("api")
    }

    async fn git(&self, arguments: &[&str]) -> String {
        let program = Self::program().arguments(&["-C".as_ref(), self.work().as_os_str()]);
        let user = ["-c", "user.name=a", "-c", "user.email=a@b"];
        let program = program.arguments(&user).arguments(arguments);
        let output = program.output(&[], Duration::from_secs(60)).await.unwrap();
        assert!(output.succeeded(), "{arguments:?} {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    async fn commit(&self, files: &[(&str, &str)]) -> String {
        for (path, content) in files {
            let path = self.work().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        self.git(&["add", "--all"]).await;
        self.git(&["commit", "--quiet", "-m", "x"]).await;
        self.git(&["rev-parse", "HEAD"]).await
    }
}

async fn tree_of(bench: &Bench, output: &boxwright_core::BuildOutput) -> Vec<String> {
    let manifest = bench.store.built(&output.id).await.unwrap().unwrap();
    let layout = bench.store.layout();
    let tree = boxwright_image::view::Tree::from_layers(layout, &manifest).await.unwrap();
    let line = |(path, node): (&Path, &boxwright_image::view::Node)| {
        format!("{} {:o}", path.display(), node.mode)
    };
    tree.iter().map(line).collect()
}

#[tokio::test]
async fn a_repository_is_a_context_and_a_source() {
    let repository = Repository::open().await;
    let first = repository
        .commit(&[
            ("docker/Dockerfile", "FROM scratch\nCOPY . /\n"),
            ("docker/f", "1"),
            ("top", ""),
        ])
        .await;
    repository.git(&["tag", "v1"]).await;
    let second = repository.commit(&[("docker/f", "2"), (".dockerignore", "*\n")]).await;
    std::os::unix::fs::symlink("/etc", repository.work().join("way")).unwrap();
    repository.commit(&[]).await;
    let address = repository.address.clone();
    let bench = Bench::new("");
    let build = async |dockerfile: Option<String>, context: Option<String>| {
        let mut request = bench.request();
        request.context = context.map_or(ContextSource::Empty, ContextSource::Address);
        if let Some(text) = dockerfile {
            request.dockerfile = DockerfileSource::Text(text);
        }
        build_from(&bench, &request, None).await
    };
    let built = build(None, Some(format!("{address}#v1:docker"))).await.unwrap();
    assert_eq!(tree_of(&bench, &built).await, ["Dockerfile 644", "f 644"]);

    let text = format!(
        "FROM scratch\nADD {address}#main /main\nADD --keep-git-dir {address}#{first} /kept/\n\
         ADD --checksum={second} {address}?ref={second}&subdir=docker /sub/\n"
    );
    let built = build(Some(text), None).await.unwrap();
    let tree = tree_of(&bench, &built).await;
    for line in [
        "main/.dockerignore 644",
        "main/docker/f 644",
        "main/way 777",
        "kept/.git 755",
        "kept/top 644",
        "sub/f 644",
    ] {
        assert!(tree.contains(&line.to_owned()), "{line} in {tree:#?}");
    }
    assert!(!tree.iter().any(|it| it.starts_with("main/.git ")), "{tree:#?}");

    for (source, kind) in [
        (format!("{address}#none"), ErrorKind::NotFound),
        (format!("{address}#v1..main"), ErrorKind::InvalidInput),
        (format!("--checksum={second} {address}#v1"), ErrorKind::BuildFailed),
        (format!("{address}-other"), ErrorKind::NotFound),
    ] {
        let error = build(Some(format!("FROM scratch\nADD {source} /\n")), None).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{source}: {error:?}");
    }
}

#[tokio::test]
async fn a_folder_of_a_repository_is_no_way_out_threat_14() {
    let outside = ContextFolder::with_dockerfile("FROM scratch\nLABEL a=b\n").unwrap();
    let repository = Repository::open().await;
    std::os::unix::fs::symlink(outside.path(), repository.work().join("way")).unwrap();
    repository.commit(&[("f", "")]).await;
    let bench = Bench::new("");
    let mut request = bench.request();
    request.context = ContextSource::Address(format!("{}#main:way", repository.address));
    let error = build_from(&bench, &request, None).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.to_string().as_str()),
        (ErrorKind::NotFound, "there is no folder `way`")
    );
}

#[tokio::test]
async fn a_repository_runs_nothing_threat_15() {
    let repository = Repository::open().await;
    let canary = repository.folder.path().join("canary");
    let hook = format!("#!/bin/sh\ntouch {}\n", canary.display());
    repository
        .commit(&[("hooks/post-checkout", &hook), (".gitattributes", "* filter=evil\n")])
        .await;
    let bench = Bench::new("");
    let mut request = bench.request();
    request.context = ContextSource::Empty;
    for address in [
        repository.address.clone(),
        "ext::touch /tmp/canary".to_owned(),
        format!("file://{}", repository.work().display()),
    ] {
        request.dockerfile =
            DockerfileSource::Text(format!("FROM scratch\nADD [\"{address}#main\", \"/\"]\n"));
        // The others are no addresses at all.
        let built = build_from(&bench, &request, None).await;
        assert_eq!(built.is_ok(), address.starts_with("git://"), "{address}");
    }
    assert!(!canary.exists());
}
