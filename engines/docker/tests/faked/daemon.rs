//! A daemon on a socket of its own that answers from a list.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Notify;

/// What one path answers.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// A status and a body.
    Answer(u16, String),
    /// The beginning of a report; the rest never comes.
    Unfinished(String),
    /// Nothing at all.
    Silence,
}

/// One request that arrived.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    /// Method and path, such as `GET /_ping`.
    pub(crate) call: String,
    /// Everything before the body.
    pub(crate) head: String,
}

impl Received {
    /// Returns the value of the header `name`.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.filter(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value).next()
    }
}

/// A daemon that answers from a list.
#[derive(Debug)]
pub(crate) struct FakeDaemon {
    folder: tempfile::TempDir,
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    replies: Mutex<Vec<(String, VecDeque<Reply>)>>,
    received: Mutex<Vec<Received>>,
    /// Told when a connection with an unfinished answer is closed by the other side.
    closed: Notify,
}

impl FakeDaemon {
    /// Starts one that says of itself what Docker 20.10.24 says.
    pub(crate) fn docker() -> Self {
        let daemon = Self::start();
        daemon.on("GET /_ping", Reply::Answer(200, "OK".into()));
        daemon.on("GET /version", answer(include_str!("../recorded/20.10/version.json")));
        daemon.on("GET /info", answer(include_str!("../recorded/20.10/info.json")));
        daemon
    }

    /// Starts one that knows no path yet.
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join("d.sock")).unwrap();
        let state = Arc::new(State::default());
        let shared = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&shared)));
            }
        });
        Self { folder, state }
    }

    /// Returns where it listens.
    pub(crate) fn endpoint(&self) -> String {
        format!("unix://{}/d.sock", self.folder.path().display())
    }

    /// Lets calls that begin with `call` get `reply`. Several replies come one after the other, the last one for ever.
    pub(crate) fn on(&self, call: &str, reply: Reply) {
        let mut replies = self.state.replies.lock().unwrap();
        match replies.iter_mut().find(|(known, _)| known == call) {
            Some((_, queue)) => queue.push_back(reply),
            None => replies.push((call.to_owned(), VecDeque::from([reply]))),
        }
    }

    /// Returns the requests that begin with `call`.
    pub(crate) fn received(&self, call: &str) -> Vec<Received> {
        let received = self.state.received.lock().unwrap();
        received.iter().filter(|received| received.call.starts_with(call)).cloned().collect()
    }

    /// Waits until the other side has closed a connection whose answer was unfinished.
    pub(crate) async fn closed(&self) {
        self.state.closed.notified().await;
    }
}

/// A success with a body.
pub(crate) fn answer(body: &str) -> Reply {
    Reply::Answer(200, body.to_owned())
}

async fn serve(mut stream: UnixStream, state: Arc<State>) {
    let mut head = Vec::new();
    let mut byte = [0; 1];
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte).await {
            Ok(1) => head.push(byte[0]),
            _ => return,
        }
    }
    let head = String::from_utf8(head).unwrap();
    let call = head.split(" HTTP/1.1").next().unwrap().to_owned();
    state.received.lock().unwrap().push(Received { call: call.clone(), head });
    match reply(&state, &call) {
        Reply::Answer(status, body) => {
            let length = body.len();
            let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\n\r\n");
            let _ = stream.write_all((head + &body).as_bytes()).await;
            drain(&mut stream).await;
        }
        Reply::Unfinished(body) => {
            let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
            let chunk = format!("{head}{:x}\r\n{body}\r\n", body.len());
            let _ = stream.write_all(chunk.as_bytes()).await;
            drain(&mut stream).await;
            state.closed.notify_one();
        }
        Reply::Silence => drain(&mut stream).await,
    }
}

fn reply(state: &State, call: &str) -> Reply {
    let mut replies = state.replies.lock().unwrap();
    let found = replies.iter_mut().find(|(known, _)| call.starts_with(known.as_str()));
    match found {
        Some((_, queue)) if queue.len() > 1 => queue.pop_front().unwrap(),
        Some((_, queue)) => queue[0].clone(),
        None => Reply::Answer(404, format!("{{\"message\":\"no script for {call}\"}}")),
    }
}

/// Reads until the other side closes.
async fn drain(stream: &mut UnixStream) {
    let mut buffer = [0; 4096];
    while matches!(stream.read(&mut buffer).await, Ok(read) if read > 0) {}
}
