//! Layers on their way in and out.

use std::io::{self, Read};

use boxwright_core::{Error, ErrorKind};
use bytes::Bytes;
use futures_util::StreamExt as _;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use super::Steps;
use super::dispatch::Worker;
use crate::chunk::next_chunk;
use crate::protocol::failure::{from_status, to_status};
use crate::protocol::messages::{LayerChunk, LayerRequest, Nothing};
use crate::protocol::step::digest;

/// How many chunks wait between the stream and the disk.
const WAITING: usize = 4;

impl<S: Steps> Worker<S> {
    /// Unpacks the layer that `chunks` give.
    pub(super) async fn put_layer(
        &self,
        mut chunks: Streaming<LayerChunk>,
    ) -> Result<Nothing, Status> {
        let first = chunks.message().await?.unwrap_or_default();
        let diff_id = digest(&first.diff_id).map_err(|error| to_status(&error))?;
        let (sender, receiver) = mpsc::channel(WAITING);
        let feed = async move {
            let mut data = Some(Ok(first.data));
            while let Some(chunk) = data {
                // A reader that wants no more has a result already.
                if sender.send(chunk).await.is_err() {
                    break;
                }
                data = chunks.next().await.map(|chunk| chunk.map(|chunk| chunk.data));
            }
        };
        let unpack = self.blocking(move |steps| {
            steps.unpack(&diff_id, &mut Chunks { receiver, current: Bytes::new() })
        });
        let ((), unpacked) = tokio::join!(feed, unpack);
        unpacked.map(|()| Nothing {})
    }

    /// Returns the layer that a step left, in chunks.
    pub(super) async fn get_layer(
        &self,
        request: LayerRequest,
    ) -> Result<ReceiverStream<Result<LayerChunk, Status>>, Status> {
        let diff_id = digest(&request.diff_id).map_err(|error| to_status(&error))?;
        let mut layer = self.blocking(move |steps| steps.read_layer(&diff_id)).await?;
        let (sender, receiver) = mpsc::channel(WAITING);
        tokio::task::spawn_blocking(move || {
            loop {
                let chunk = match next_chunk(&mut layer) {
                    Ok(data) if data.is_empty() => return,
                    Ok(data) => Ok(LayerChunk { diff_id: String::new(), data }),
                    Err(error) => Err(to_status(&boxwright_image::read_error(error))),
                };
                let last = chunk.is_err();
                // A client that left reads no more.
                if sender.blocking_send(chunk).is_err() || last {
                    return;
                }
            }
        });
        Ok(ReceiverStream::new(receiver))
    }
}

/// Reads chunks as they come.
struct Chunks {
    receiver: mpsc::Receiver<Result<Bytes, Status>>,
    current: Bytes,
}

impl Read for Chunks {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() {
            match self.receiver.blocking_recv() {
                Some(Ok(chunk)) => self.current = chunk,
                Some(Err(status)) => return Err(io::Error::other(broken_off(&status))),
                None => return Ok(0),
            }
        }
        let count = self.current.len().min(buffer.len());
        buffer[..count].copy_from_slice(&self.current.split_to(count));
        Ok(count)
    }
}

fn broken_off(status: &Status) -> Error {
    Error::new(ErrorKind::Cancelled, "the client broke off a layer")
        .with_source(from_status(status))
}
