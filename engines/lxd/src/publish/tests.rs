//! What aliases come to, and what becomes of them when something fails: against a small server that answers as LXD does.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use boxwright_core::{ContextSource, Host};
use boxwright_http::Endpoint;
use boxwright_image::manifest::digest_of;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};

use super::*;
use crate::api::Server;
use crate::api::wire::ServerInfo;

#[test]
fn the_setting_gives_each_name_an_alias_without_a_colon() {
    let mut request = BuildRequest::new(ContextSource::Empty);
    request.instance_aliases = vec!["web".to_owned(), "api/1.4".to_owned()];
    let names = ["ghcr.io/acme/api:1.4", "localhost:5000/api", "tool"];
    request.tags = names.iter().map(|name| name.parse().unwrap()).collect();
    assert_eq!(aliases(&request, false), ["api/1.4", "web"]);
    assert_eq!(aliases(&request, true), ["api", "api/1.4", "tool", "web"]);
}

#[test]
fn the_command_names_the_remote_and_the_project() {
    let mut config = LxdConfig::default();
    assert_eq!(command(Flavor::Lxd, &config, "api"), "lxc launch api");
    config.project = Some("ci".to_owned());
    assert_eq!(command(Flavor::Incus, &config, "api"), "incus launch api --project ci");
    config.remote = Some("build".to_owned());
    let wanted = "lxc launch build:api build: --project ci";
    assert_eq!(command(Flavor::Lxd, &config, "api"), wanted);
}

#[tokio::test]
async fn a_stream_breaks_off_and_does_not_end_when_the_build_is_cancelled() {
    let cancel = CancellationToken::new();
    let stopped = Box::pin(cancel.clone().cancelled_owned());
    let stream = Box::new(tokio::io::repeat(7));
    let mut stream = UntilCancelled { stream, stopped };
    stream.read_exact(&mut [0; 9]).await.unwrap();
    cancel.cancel();
    assert!(stream.read(&mut [0; 9]).await.is_err());
}

/// A server with one image and some aliases, by what they point at. It refuses to add an alias called `bad`.
#[derive(Clone, Debug, Default)]
struct Fake(Arc<Mutex<Aliases>>);

#[derive(Debug, Default)]
struct Aliases {
    recipe: String,
    targets: BTreeMap<String, String>,
}

const ALIASES: &str = "/1.0/images/aliases";

impl Fake {
    async fn serve(self, listener: UnixListener) {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(self.clone().answer_all(stream));
        }
    }

    async fn answer_all(self, mut stream: UnixStream) {
        while let Some((line, body)) = read(&mut stream).await {
            let words: Vec<&str> = line.split(' ').collect();
            let (status, answer) = self.answer(words[0], words[1], &body);
            let answer = answer.to_string();
            let head = format!("HTTP/1.1 {status} x\r\nContent-Length: {}\r\n\r\n", answer.len());
            stream.write_all(format!("{head}{answer}").as_bytes()).await.unwrap();
        }
    }

    fn answer(&self, method: &str, path: &str, body: &[u8]) -> (u16, Value) {
        let mut state = self.0.lock().unwrap();
        let good = |value: Value| (200, json!({ "type": "sync", "metadata": value }));
        let bad = |status: u16, text: &str| (status, json!({ "type": "error", "error": text }));
        if path.starts_with("/1.0/images?") {
            let properties = json!({ RECIPE: state.recipe });
            return good(json!([{ "fingerprint": "new", "properties": properties }]));
        }
        let sent: Alias = serde_json::from_slice(body).unwrap_or_default();
        let name = path.strip_prefix(ALIASES).unwrap().trim_start_matches('/').to_owned();
        match (method, state.targets.contains_key(&name)) {
            ("POST", _) if sent.name == "bad" => bad(500, "the database is locked"),
            ("POST", _) => {
                state.targets.insert(sent.name, sent.target);
                good(Value::Null)
            }
            (_, false) => bad(404, "Image alias not found"),
            ("GET", true) => good(json!({ "name": name, "target": state.targets[&name] })),
            ("PUT", true) => {
                state.targets.insert(name, sent.target);
                good(Value::Null)
            }
            _ => {
                state.targets.remove(&name);
                good(Value::Null)
            }
        }
    }

    fn targets(&self) -> Vec<(String, String)> {
        self.0.lock().unwrap().targets.clone().into_iter().collect()
    }
}

/// Reads the first line of a request, and its body.
async fn read(stream: &mut UnixStream) -> Option<(String, Vec<u8>)> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).unwrap();
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("content-length").then(|| value.parse().unwrap())
    });
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body).await.ok()?;
    Some((head.lines().next()?.to_owned(), body))
}

#[tokio::test]
async fn aliases_all_point_at_the_image_or_are_as_they_were() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("unix.socket");
    let fake = Fake::default();
    let program = WorkerProgram::carried().unwrap();
    let id = digest_of(b"image");
    fake.0.lock().unwrap().recipe = recipe(&id, &program);
    fake.0.lock().unwrap().targets = BTreeMap::from([("web".to_owned(), "old".to_owned())]);
    tokio::spawn(fake.clone().serve(UnixListener::bind(&socket).unwrap()));

    let host = Host::with_variables("/", [("A", "b")]);
    let server = Server { flavor: Flavor::Lxd, info: ServerInfo::default() };
    let api = Api::new(Endpoint::unix(socket), host.clone(), server, None);
    let store = Store::open(folder.path().join("store")).unwrap();
    let publisher = Publisher { api: &api, store: &store, program: &program };
    let session = Session::new(host);
    let pair = |name: &str, target: &str| (name.to_owned(), target.to_owned());

    let aliases = ["web", "new", "bad"].map(str::to_owned);
    let error = publisher.publish(&id, &aliases, &session).await.unwrap_err();
    assert_eq!(error.causes(), ["the database is locked"]);
    assert_eq!(fake.targets(), [pair("web", "old")]);

    let found = publisher.publish(&id, &aliases[..2], &session).await.unwrap();
    assert_eq!(found, "new");
    assert_eq!(fake.targets(), [pair("new", "new"), pair("web", "new")]);

    session.cancel.cancel();
    let error = publisher.publish(&digest_of(b"other"), &aliases, &session).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
    assert_eq!(fake.targets(), [pair("new", "new"), pair("web", "new")]);
}
