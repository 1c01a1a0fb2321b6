//! The client against small servers that misbehave as engines do.
#![expect(clippy::unwrap_used, reason = "a panic in a test is a failed test with its place")]

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use boxwright_core::{Error, ErrorKind, Host};
use boxwright_http::http::{Method, Request, StatusCode};
use boxwright_http::{Body, Client, Endpoint, lines, read_to_end};
use futures_util::StreamExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};

/// A server on a socket of its own that handles one connection.
struct Server {
    folder: tempfile::TempDir,
    listener: UnixListener,
}

impl Server {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join("engine.sock")).unwrap();
        Self { folder, listener }
    }

    fn client(&self) -> Client {
        Client::new(Endpoint::unix(self.folder.path().join("engine.sock")), host(&[]))
    }

    /// Accepts a connection and reads the head of its request.
    async fn accept(&self) -> (UnixStream, String) {
        let (mut stream, _) = self.listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        (stream, String::from_utf8(head).unwrap())
    }
}

fn host(variables: &[(&str, String)]) -> Host {
    Host::with_variables("/", variables.iter().cloned())
}

fn get(path: &str) -> Request<Body> {
    Request::get(path).body(Body::empty()).unwrap()
}

fn post(body: Body) -> Request<Body> {
    Request::builder().method(Method::POST).uri("/build").body(body).unwrap()
}

#[tokio::test]
async fn an_absolute_address_becomes_a_path() {
    let server = Server::new();
    let client = server.client();
    let serve = async {
        let (mut stream, head) = server.accept().await;
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK").await.unwrap();
        head
    };
    let ask = async {
        let response = client.request(get("http://2f76/_ping?x=1")).await.unwrap();
        read_to_end(response.into_body(), 10).await.unwrap()
    };
    let (head, answer) = tokio::join!(serve, ask);
    assert!(head.starts_with("GET /_ping?x=1 HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("host: localhost\r\n"), "{head}");
    assert_eq!(&answer[..], b"OK");
}

#[tokio::test]
async fn an_early_answer_to_an_endless_upload_is_heard() {
    let server = Server::new();
    let client = server.client();
    let serve = async {
        let (mut stream, _) = server.accept().await;
        let answer = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 10\r\n\r\nno context";
        stream.write_all(answer).await.unwrap();
        // Closed with most of the upload unread: the client's next write breaks.
        drop(stream);
    };
    let ask = async {
        let response = client.request(post(Body::reader(tokio::io::repeat(7)))).await.unwrap();
        let status = response.status();
        (status, read_to_end(response.into_body(), 100).await.unwrap())
    };
    let ((), (status, answer)) = tokio::join!(serve, ask);
    assert_eq!((status, &answer[..]), (StatusCode::BAD_REQUEST, b"no context".as_slice()));
}

#[tokio::test]
async fn a_server_that_dies_in_mid_upload_is_unavailable() {
    let server = Server::new();
    let client = server.client();
    let serve = async { drop(server.accept().await) };
    let ask = client.request(post(Body::reader(tokio::io::repeat(7))));
    let ((), answer) = tokio::join!(serve, ask);
    let error = answer.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert_eq!(error.causes(), ["it closed the connection before it answered"]);
}

#[tokio::test]
async fn an_error_of_the_body_comes_back_as_it_was() {
    let server = Server::new();
    let client = server.client();
    let own = Error::new(ErrorKind::NotFound, "cannot read `a`").with_remedy("put it there");
    let body = Body::reader(tokio_util::io::StreamReader::new(futures_util::stream::iter([
        Ok(bytes::Bytes::from_static(b"begun")),
        Err(io::Error::other(own)),
    ])));
    let serve = async {
        let (mut stream, _) = server.listener.accept().await.unwrap();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await.unwrap();
    };
    let ((), answer) = tokio::join!(serve, client.request(post(body)));
    let error = answer.unwrap_err();
    assert_eq!((error.kind(), error.to_string()), (ErrorKind::NotFound, "cannot read `a`".into()));
    assert_eq!(error.remedy(), Some("put it there"));
}

#[tokio::test]
async fn lines_arrive_one_by_one_and_the_last_needs_no_end() {
    let server = Server::new();
    let client = server.client();
    let serve = async {
        let (mut stream, _) = server.accept().await;
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n{\"a\":1}\r\n\n{\"b\"").await.unwrap();
        stream.write_all(b":2}\n{\"c\":3}").await.unwrap();
    };
    let ask = async {
        let response = client.hold(get("/events")).await.unwrap();
        lines(response.into_body()).map(|line| line.unwrap()).collect::<Vec<_>>().await
    };
    let ((), answer) = tokio::join!(serve, ask);
    assert_eq!(answer, [b"{\"a\":1}".as_slice(), b"{\"b\":2}", b"{\"c\":3}"]);
}

#[tokio::test]
async fn an_endless_line_and_an_endless_answer_are_refused() {
    for limit_of_body in [true, false] {
        let server = Server::new();
        let client = server.client();
        let serve = async {
            let (mut stream, _) = server.accept().await;
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
            // Ends with an error once the client has had enough.
            while stream.write_all(&[b'x'; 65536]).await.is_ok() {}
        };
        let ask = async {
            let body = client.hold(get("/")).await.unwrap().into_body();
            if limit_of_body {
                read_to_end(body, 1000).await.unwrap_err()
            } else {
                lines(body).next().await.unwrap().unwrap_err()
            }
        };
        let ((), error) = tokio::join!(serve, ask);
        assert_eq!(error.kind(), ErrorKind::Protocol);
    }
}

#[tokio::test]
async fn dropping_a_held_answer_closes_the_connection_at_once() {
    let server = Server::new();
    let client = server.client();
    let serve = async {
        let (mut stream, _) = server.accept().await;
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        let mut rest = Vec::new();
        // The server writes nothing more, and still learns of it.
        stream.read_to_end(&mut rest).await.unwrap();
    };
    let ask = async { drop(client.hold(get("/")).await.unwrap()) };
    tokio::time::timeout(Duration::from_secs(20), async { tokio::join!(serve, ask) })
        .await
        .unwrap();
}

#[tokio::test]
async fn an_upgraded_connection_carries_bytes_both_ways_and_ends_one_way_first() {
    let server = Server::new();
    let client = server.client();
    let serve = async {
        let (mut stream, head) = server.accept().await;
        assert!(head.contains("upgrade: tcp\r\n"), "{head}");
        let switch = b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\nhello ";
        stream.write_all(switch).await.unwrap();
        let mut input = Vec::new();
        stream.read_to_end(&mut input).await.unwrap();
        stream.write_all(&input).await.unwrap();
    };
    let ask = async {
        let mut connection = client.upgrade(post(Body::empty()), "tcp").await.unwrap();
        connection.write_all(b"echo").await.unwrap();
        connection.shutdown().await.unwrap();
        let mut answer = Vec::new();
        connection.read_to_end(&mut answer).await.unwrap();
        answer
    };
    let ((), answer) = tokio::join!(serve, ask);
    assert_eq!(answer, b"hello echo");
}

#[tokio::test]
async fn a_refused_upgrade_says_why() {
    let server = Server::new();
    let client = server.client();
    let serve = async {
        let (mut stream, _) = server.accept().await;
        let answer = b"HTTP/1.1 404 Not Found\r\nContent-Length: 7\r\n\r\nno such";
        stream.write_all(answer).await.unwrap();
    };
    let ((), answer) = tokio::join!(serve, client.upgrade(post(Body::empty()), "tcp"));
    let error = answer.unwrap_err();
    assert_eq!((error.kind(), error.causes()), (ErrorKind::NotFound, vec!["no such".to_owned()]));
}

#[tokio::test]
async fn what_is_not_http_is_told() {
    let server = Server::new();
    let client = server.client();
    let serve = async {
        let (mut stream, _) = server.accept().await;
        stream.write_all(b"SSH-2.0-OpenSSH_9.2\r\n").await.unwrap();
    };
    let ((), answer) = tokio::join!(serve, client.request(get("/")));
    assert_eq!(answer.unwrap_err().kind(), ErrorKind::Protocol);
}

/// A folder for `PATH` with a program `ssh` that is this shell script.
fn fake_ssh(script: &str) -> (tempfile::TempDir, Host) {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let program: PathBuf = folder.path().join("ssh");
    std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:/usr/bin:/bin", folder.path().display());
    (folder, host(&[("PATH", path)]))
}

fn ssh_endpoint() -> Endpoint {
    let mut endpoint: Endpoint = "ssh://dev@build.example:2222".parse().unwrap();
    if let Endpoint::Ssh { command, .. } = &mut endpoint {
        *command = vec!["bridge it".into()];
    }
    endpoint
}

#[tokio::test]
async fn ssh_bridges_to_a_remote_command() {
    let script = r#"
        case "$*" in *"-p 2222 -- dev@build.example 'bridge it'") ;; *) echo "$*" >&2; exit 1;; esac
        while IFS= read -r line; do [ "$line" = "$(printf '\r')" ] && break; done
        printf 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK'"#;
    let (_folder, host) = fake_ssh(script);
    let response = Client::new(ssh_endpoint(), host).request(get("/_ping")).await.unwrap();
    assert_eq!(&read_to_end(response.into_body(), 10).await.unwrap()[..], b"OK");
}

#[tokio::test]
async fn what_ssh_complains_about_is_the_cause() {
    let (_folder, host) = fake_ssh("echo 'Host key verification failed.' >&2; exit 255");
    let error = Client::new(ssh_endpoint(), host).request(get("/_ping")).await.unwrap_err();
    assert_eq!(error.to_string(), "cannot reach `ssh://dev@build.example:2222`");
    assert_eq!(error.causes(), ["Host key verification failed."]);
    assert_eq!(error.remedy(), Some("connect once by hand with `ssh`, and accept the host's key"));
}
