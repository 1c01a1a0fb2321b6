//! Carries the bytes of a connection to an ssh agent over a call, both ways.

use std::future::Future;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tonic::Streaming;

use crate::protocol::messages::AgentBytes;

/// How many bytes are read at once; what an agent says is much shorter.
const BUFFER: usize = 32 << 10;

/// Writes what `incoming` gives to `stream`, and gives what is read from it to `send`, until both ways have ended.
/// `send` says whether anybody is there to take it.
pub(crate) async fn carry<F: Future<Output = bool> + Send>(
    stream: UnixStream,
    mut incoming: Streaming<AgentBytes>,
    send: impl Fn(Vec<u8>) -> F + Send,
) {
    let (mut reader, mut writer) = stream.into_split();
    let inward = async {
        while let Ok(Some(message)) = incoming.message().await {
            if writer.write_all(&message.bytes).await.is_err() {
                break;
            }
        }
        // The other side sees the end of input; whether it still can is its own affair.
        let _ = writer.shutdown().await;
    };
    let outward = async move {
        let mut buffer = vec![0; BUFFER];
        while let Ok(count @ 1..) = reader.read(&mut buffer).await {
            if !send(buffer[..count].to_vec()).await {
                break;
            }
        }
        // The sender goes with this, which the other side sees as the end.
        drop(send);
    };
    tokio::join!(inward, outward);
}
