//! A program in an instance, with its standard streams as a stream of bytes.

use std::collections::BTreeMap;

use boxwright_core::{Error, ErrorKind, Result};
use boxwright_http::Connection;
use futures_util::{SinkExt as _, StreamExt as _};
use serde::Deserialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, ReadHalf, WriteHalf};
use tokio::task::JoinHandle;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

use super::wire::Exec;
use super::{Answer, Api, errors, unexpected, value};
use boxwright_http::http::{Method, StatusCode};

/// How many bytes wait on each side before the other side has to read.
const BUFFER: usize = 256 * 1024;

/// How much of what a program writes to its standard error is kept, for a message.
const ERRORS_KEPT: usize = 4096;

type Socket = WebSocketStream<Connection>;

/// What the server says of a program that waits for its streams.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Started {
    metadata: Streams,
}

/// The secrets of its streams: `0`, `1`, `2` and `control`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Streams {
    fds: BTreeMap<String, String>,
}

/// A program that runs in an instance. Dropping it closes its streams, which ends a program that reads its input.
#[derive(Debug)]
pub(crate) struct Running {
    /// Its standard input and output.
    pub(crate) stream: DuplexStream,
    ending: Ending,
}

/// How a program ends.
#[derive(Debug)]
pub(crate) struct Ending {
    api: Api,
    operation: String,
    errors: JoinHandle<Vec<u8>>,
    pumps: Pumps,
}

/// The tasks that carry its streams. They end with the program, or with this value.
#[derive(Debug)]
struct Pumps(Vec<JoinHandle<()>>);

impl Drop for Pumps {
    fn drop(&mut self) {
        self.0.iter().for_each(JoinHandle::abort);
    }
}

/// What a program came to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    /// Its exit status.
    pub(crate) status: i64,
    /// The end of what it wrote to its standard error.
    pub(crate) errors: String,
}

impl Api {
    /// Starts `command` in an instance, as root, with no terminal.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`] when there is no such instance, [`ErrorKind::Conflict`] when it does not run.
    pub(crate) async fn exec(
        &self,
        instance: &str,
        command: &[&str],
        what: &str,
    ) -> Result<Running> {
        let path = self.address(&format!("/1.0/instances/{instance}/exec"), &[]);
        let body = Exec { command, wait_for_websocket: true, interactive: false };
        let request = super::json_request(Method::POST, &path, &body)?;
        let Answer::Operation { path: operation, metadata } = self.answer(request, what).await?
        else {
            return Err(unexpected(what));
        };
        let started: Started = value(metadata)?;
        let connect = |stream: &'static str| {
            let secret = started.metadata.fds.get(stream);
            let operation = operation.as_str();
            async move {
                let secret = secret.ok_or_else(|| unexpected(what))?;
                self.websocket(operation, secret, what).await
            }
        };
        // The program starts once all of them are there.
        let (input, output, errors, control) =
            tokio::try_join!(connect("0"), connect("1"), connect("2"), connect("control"))?;
        let (stream, other) = tokio::io::duplex(BUFFER);
        let (reader, writer) = tokio::io::split(other);
        let pumps = Pumps(vec![
            tokio::spawn(send(reader, input)),
            tokio::spawn(receive(output, writer)),
            tokio::spawn(hold(control)),
        ]);
        let errors = tokio::spawn(collect(errors));
        Ok(Running { stream, ending: Ending { api: self.clone(), operation, errors, pumps } })
    }

    async fn websocket(&self, operation: &str, secret: &str, what: &str) -> Result<Socket> {
        let connection = self.http.endpoint().connect(&self.host).await?;
        let (path, query) = operation.split_once('?').unwrap_or((operation, ""));
        let host = "server";
        let and = if query.is_empty() { "" } else { "&" };
        let address = format!("ws://{host}{path}/websocket?{query}{and}secret={secret}");
        let opened = tokio_tungstenite::client_async(address, connection).await;
        opened
            .map(|(socket, _)| socket)
            .map_err(|error| Error::new(ErrorKind::Unavailable, what).with_source(error))
    }
}

impl Running {
    /// Takes the stream and what tells of the end apart.
    pub(crate) fn into_parts(self) -> (DuplexStream, Ending) {
        (self.stream, self.ending)
    }
}

impl Ending {
    /// Waits for the program's end.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unavailable`] when the server or the instance is gone before.
    pub(crate) async fn wait(self, what: &str) -> Result<Ended> {
        let Self { api, operation, errors, pumps } = self;
        let ended = api.wait(&operation, what).await;
        let errors = errors.await.unwrap_or_default();
        drop(pumps);
        let errors = String::from_utf8_lossy(&errors).trim().to_owned();
        let ended = ended.map_err(|error| match error.kind() {
            ErrorKind::Protocol | ErrorKind::NotFound => {
                Error::new(ErrorKind::Unavailable, what).with_source(error)
            }
            _ => error,
        })?;
        let status = ended.get("return").and_then(serde_json::Value::as_i64);
        let status = status.ok_or_else(|| {
            errors::of_answer(what, StatusCode::INTERNAL_SERVER_ERROR, "it tells no exit status")
        })?;
        Ok(Ended { status, errors })
    }
}

/// Sends what is read. Its end is the end of the program's input.
async fn send(mut reader: ReadHalf<DuplexStream>, mut socket: Socket) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = tokio::select! {
            read = reader.read(&mut buffer) => read.unwrap_or(0),
            // It says nothing, but its end shows only to who reads.
            message = socket.next() => match message {
                Some(Ok(_)) => continue,
                _ => return,
            },
        };
        if read == 0 {
            break;
        }
        if socket.send(Message::binary(buffer[..read].to_vec())).await.is_err() {
            return;
        }
    }
    // An empty text is the end of the input.
    let _ = socket.send(Message::Text(Utf8Bytes::from_static(""))).await;
    // Closing it now would end the program before it has read all.
    while let Some(Ok(_)) = socket.next().await {}
}

/// Writes what comes, until the program has closed its output.
async fn receive(mut socket: Socket, mut writer: WriteHalf<DuplexStream>) {
    while let Some(Ok(message)) = socket.next().await {
        let bytes = match message {
            Message::Binary(bytes) => bytes,
            // An empty text is the end of the output.
            Message::Text(_) | Message::Close(_) => break,
            _ => continue,
        };
        if writer.write_all(&bytes).await.is_err() {
            break;
        }
    }
    let _ = writer.shutdown().await;
    let _ = socket.close(None).await;
}

/// Keeps the end of what comes.
async fn collect(mut socket: Socket) -> Vec<u8> {
    let mut kept: Vec<u8> = Vec::new();
    while let Some(Ok(message)) = socket.next().await {
        match message {
            Message::Binary(bytes) => kept.extend_from_slice(&bytes),
            Message::Text(_) | Message::Close(_) => break,
            _ => {}
        }
        kept.drain(..kept.len().saturating_sub(ERRORS_KEPT));
    }
    let _ = socket.close(None).await;
    kept
}

/// Holds the socket by which signals are sent: the server kills a program whose one breaks off.
async fn hold(mut socket: Socket) {
    while let Some(Ok(_)) = socket.next().await {}
}
