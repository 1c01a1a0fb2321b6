//! Just enough HTTP for daemons and registries on this machine: one request on one connection.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// How long a daemon on this machine may take to answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// One request.
#[derive(Debug)]
pub(crate) struct Request<'a> {
    pub(crate) method: &'a str,
    /// Path and query.
    pub(crate) target: &'a str,
    pub(crate) content_type: Option<&'a str>,
    pub(crate) body: &'a [u8],
}

impl<'a> Request<'a> {
    pub(crate) const fn get(target: &'a str) -> Self {
        Self { method: "GET", target, content_type: None, body: b"" }
    }
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// Returns the first header called `name`, in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }
}

/// Sends `request` to `address`, such as `127.0.0.1:5000`.
pub(crate) fn over_tcp(address: &str, request: &Request<'_>) -> io::Result<Answer> {
    let stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    exchange(stream, address, request)
}

/// Sends `request` to the daemon that listens on `socket`.
pub(crate) fn over_unix(socket: &Path, request: &Request<'_>) -> io::Result<Answer> {
    let stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    exchange(stream, "localhost", request)
}

fn exchange(
    mut stream: impl Read + Write,
    host: &str,
    request: &Request<'_>,
) -> io::Result<Answer> {
    let Request { method, target, content_type, body } = request;
    // HTTP/1.0 has no chunks: the answer ends with the connection.
    let mut head = format!("{method} {target} HTTP/1.0\r\nHost: {host}\r\n");
    if let Some(content_type) = content_type {
        head.push_str(&format!("Content-Type: {content_type}\r\n"));
    }
    head.push_str(&format!("Content-Length: {}\r\n\r\n", body.len()));
    stream.write_all(head.as_bytes())?;
    stream.write_all(body)?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes)?;
    parse(&bytes).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "not an HTTP answer"))
}

fn parse(bytes: &[u8]) -> Option<Answer> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = str::from_utf8(&bytes[..end]).ok()?;
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let headers = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    Some(Answer { status, headers, body: bytes[end + 4..].to_vec() })
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn status_headers_and_body_are_told_apart() {
        let answer = parse(b"HTTP/1.1 202 Accepted\r\nLocation: /v2/x?a=b:c\r\n\r\nbody").unwrap();
        assert_eq!(answer.status, 202);
        assert_eq!(answer.header("location"), Some("/v2/x?a=b:c"));
        assert_eq!(answer.body, b"body");
    }

    #[test]
    fn what_is_not_http_is_refused() {
        assert!(parse(b"hello\r\n\r\n").is_none());
        assert!(parse(b"HTTP/1.1 200 OK\r\n").is_none());
    }
}
