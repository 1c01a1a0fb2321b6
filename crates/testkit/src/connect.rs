//! What a client asks a proxy for before it speaks TLS.

use std::io;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// The longest request to connect.
const LONGEST: usize = 8 << 10;

/// Reads a request to connect and agrees to it if `knows` its host, which is returned.
pub(crate) async fn agree(
    stream: &mut TcpStream,
    knows: impl Fn(&str) -> bool,
) -> io::Result<Option<String>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() > LONGEST {
            return Err(io::ErrorKind::InvalidData.into());
        }
        // What follows the head is TLS, of which nothing may be taken.
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head);
    let host = head.strip_prefix("CONNECT ").and_then(|it| it.split_once(":443 ")).map(|it| it.0);
    let Some(host) = host.filter(|it| knows(it)) else {
        stream.write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n").await?;
        return Ok(None);
    };
    stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?;
    Ok(Some(host.to_owned()))
}
