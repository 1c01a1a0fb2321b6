//! A web server of a few lines: answers as a function says, and remembers what it was asked.

use std::fmt;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt as _, split};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// One request that the server got.
#[derive(Clone, Debug)]
pub struct Seen {
    pub method: String,
    /// The path with its query.
    pub target: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Seen {
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(header, _)| header.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap()
    }

    pub fn is(&self, method: &str, path: &str) -> bool {
        self.method == method && self.path() == path
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.target)
    }
}

/// What the server says.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Hangs up after so many bytes of the body, which it announced in full.
    pub cut: Option<usize>,
}

impl Answer {
    pub fn new(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new(), cut: None }
    }

    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    pub fn cut_after(mut self, bytes: usize) -> Self {
        self.cut = Some(bytes);
        self
    }
}

pub type Handler = Arc<dyn Fn(&Seen) -> Answer + Send + Sync>;

/// Says after how many bytes of a request's body the server hangs up, without an answer.
pub type Interrupt = Arc<dyn Fn(&Seen) -> Option<usize> + Send + Sync>;

/// A server on a port of its own. It ends when it is dropped.
pub struct Server {
    pub address: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    pub async fn start(handler: impl Fn(&Seen) -> Answer + Send + Sync + 'static) -> Self {
        Self::on(listener().await, Arc::new(handler), None, None)
    }

    pub async fn start_interrupting(
        handler: impl Fn(&Seen) -> Answer + Send + Sync + 'static,
        interrupt: impl Fn(&Seen) -> Option<usize> + Send + Sync + 'static,
    ) -> Self {
        Self::on(listener().await, Arc::new(handler), None, Some(Arc::new(interrupt)))
    }

    pub async fn start_tls(
        acceptor: TlsAcceptor,
        handler: impl Fn(&Seen) -> Answer + Send + Sync + 'static,
    ) -> Self {
        Self::on(listener().await, Arc::new(handler), Some(acceptor), None)
    }

    /// Starts a proxy that hands every connection to a server here, whatever host it is for.
    pub async fn start_tunnel(
        acceptor: TlsAcceptor,
        handler: impl Fn(&Seen) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let (listener, handler) = (listener().await, Arc::new(handler) as Handler);
        let address = format!("localhost:{}", listener.local_addr().unwrap().port());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (handler, log) = (Arc::clone(&handler), Arc::clone(&log));
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    let mut stream = BufReader::new(stream);
                    let mut line = String::new();
                    while stream.read_line(&mut line).await.ok()? > 0 && !line.ends_with("\r\n\r\n")
                    {
                    }
                    stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.ok()?;
                    let stream = acceptor.accept(stream).await.ok()?;
                    serve(stream, handler, log, None).await
                });
            }
        });
        Self { address, seen, task }
    }

    pub fn on(
        listener: TcpListener,
        handler: Handler,
        tls: Option<TlsAcceptor>,
        interrupt: Option<Interrupt>,
    ) -> Self {
        let address = format!("localhost:{}", listener.local_addr().unwrap().port());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (handler, log, tls) = (Arc::clone(&handler), Arc::clone(&log), tls.clone());
                let interrupt = interrupt.clone();
                tokio::spawn(async move {
                    match tls {
                        None => serve(stream, handler, log, interrupt).await,
                        Some(tls) => match tls.accept(stream).await {
                            Ok(stream) => serve(stream, handler, log, interrupt).await,
                            Err(_) => None,
                        },
                    }
                });
            }
        });
        Self { address, seen, task }
    }

    /// Returns all requests, in their order.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// Returns how many requests there were of that method and path.
    pub fn count(&self, method: &str, path: &str) -> usize {
        self.seen().iter().filter(|seen| seen.is(method, path)).count()
    }
}

pub async fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}

/// Serves one connection. `None` means that it broke, which is no concern of the server's.
async fn serve<S: AsyncRead + AsyncWrite + Send>(
    stream: S,
    handler: Handler,
    log: Arc<Mutex<Vec<Seen>>>,
    interrupt: Option<Interrupt>,
) -> Option<()> {
    let (reader, mut writer) = split(stream);
    let mut reader = BufReader::new(reader);
    loop {
        let (seen, is_interrupted) = read(&mut reader, interrupt.as_ref()).await?;
        log.lock().unwrap().push(seen.clone());
        let answer = handler(&seen);
        if is_interrupted {
            return None;
        }
        let mut text = format!("HTTP/1.1 {} X\r\n", answer.status);
        for (name, value) in &answer.headers {
            text += &format!("{name}: {value}\r\n");
        }
        let says_length = answer.headers.iter().any(|(name, _)| name == "Content-Length");
        if !says_length {
            text += &format!("Content-Length: {}\r\n", answer.body.len());
        }
        writer.write_all((text + "\r\n").as_bytes()).await.ok()?;
        if seen.method != "HEAD" {
            let end = answer.cut.unwrap_or(answer.body.len());
            writer.write_all(&answer.body[..end]).await.ok()?;
        }
        writer.flush().await.ok()?;
        if answer.cut.is_some() {
            writer.shutdown().await.ok()?;
            return None;
        }
    }
}

async fn read<R: AsyncRead + Unpin + Send>(
    reader: &mut BufReader<R>,
    interrupt: Option<&Interrupt>,
) -> Option<(Seen, bool)> {
    let mut line = String::new();
    reader.read_line(&mut line).await.ok()?;
    let mut words = line.split_whitespace();
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).await.ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        headers.push((name.to_owned(), value.to_owned()));
    }
    let mut seen = Seen { method, target, headers, body: Vec::new() };
    if seen.header("transfer-encoding").is_some_and(|coding| coding == "chunked") {
        read_chunks(reader, &mut seen.body).await?;
        return Some((seen, false));
    }
    let length = seen.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let interrupted = interrupt.and_then(|interrupt| interrupt(&seen));
    let mut body = reader.take(interrupted.map_or(length, |bytes| bytes as u64));
    // A body that ends too early is a broken upload, which the test looks at.
    body.read_to_end(&mut seen.body).await.ok()?;
    Some((seen, interrupted.is_some()))
}

async fn read_chunks<R: AsyncRead + Unpin + Send>(
    reader: &mut BufReader<R>,
    body: &mut Vec<u8>,
) -> Option<()> {
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).await.ok()?;
        let length = u64::from_str_radix(line.trim_end(), 16).ok()?;
        (&mut *reader).take(length).read_to_end(body).await.ok()?;
        reader.read_line(&mut String::new()).await.ok()?;
        if length == 0 {
            return Some(());
        }
    }
}
