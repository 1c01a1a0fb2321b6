//! Layers to and from the worker: each crosses at most once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use boxwright_core::{BlobStore, Digest, LayerRef, MountSource, Result, Step, StepLayer};
use boxwright_image::decompress::decompress;
use boxwright_image::pipe::read_blocking;
use boxwright_image::tar::Limits;
use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _};
use tokio::sync::{OnceCell, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::io::StreamReader;

use super::WorkerClient;
use crate::chunk::next_chunk;
use crate::protocol::call;
use crate::protocol::failure::from_status;
use crate::protocol::messages::{LayerChunk, LayerRequest, Layers, Nothing};
use crate::protocol::step::digest;

/// How many chunks wait between decompressing and sending.
const WAITING: usize = 2;
/// How many layers are sent at the same time.
const AT_ONCE: usize = 2;

/// Which layers the worker has, and which are on their way: a cell is full once its layer is there.
#[derive(Debug, Default)]
pub(super) struct Sent(Mutex<HashMap<Digest, Arc<OnceCell<()>>>>);

impl Sent {
    fn cell(&self, diff_id: &Digest) -> Arc<OnceCell<()>> {
        let mut cells = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        cells.entry(diff_id.clone()).or_default().clone()
    }

    /// Notes that the worker has a layer.
    pub(super) fn note(&self, diff_id: &Digest) {
        // Two who find it out say the same.
        let _ = self.cell(diff_id).set(());
    }
}

impl WorkerClient {
    /// Sends the worker the layers that `step` needs and it lacks.
    pub(super) async fn provide(&self, step: &Step, blobs: &dyn BlobStore) -> Result<()> {
        let unknown: Vec<LayerRef> = layers_of(step)
            .into_iter()
            .filter(|layer| !self.0.sent.cell(&layer.diff_id).initialized())
            .collect();
        if unknown.is_empty() {
            return Ok(());
        }
        let diff_ids = unknown.iter().map(|layer| layer.diff_id.to_string()).collect();
        let missing: Layers = self.0.calls.unary(call::MISSING, Layers { diff_ids }).await?;
        let missing: Vec<Digest> =
            missing.diff_ids.iter().map(|text| digest(text)).collect::<Result<_>>()?;
        let (missing, there): (Vec<LayerRef>, Vec<LayerRef>) =
            unknown.into_iter().partition(|layer| missing.contains(&layer.diff_id));
        for layer in there {
            self.0.sent.note(&layer.diff_id);
        }
        let sends = missing.into_iter().map(|layer| self.put_once(layer, blobs));
        futures_util::stream::iter(sends).buffer_unordered(AT_ONCE).try_collect().await
    }

    async fn put_once(&self, layer: LayerRef, blobs: &dyn BlobStore) -> Result<()> {
        let cell = self.0.sent.cell(&layer.diff_id);
        // Another run may be sending it; if that one fails or is dropped, we do.
        cell.get_or_try_init(|| self.put_layer(&layer, blobs)).await.map(|_| ())
    }

    /// Sends one layer, decompressing it on the way. The worker verifies the diff id, the store the blob.
    async fn put_layer(&self, layer: &LayerRef, blobs: &dyn BlobStore) -> Result<()> {
        let blob = blobs.open(&layer.blob).await?;
        let (sender, receiver) = mpsc::channel(WAITING);
        let mut diff_id = Some(layer.diff_id.to_string());
        let feed = read_blocking(blob, move |reader| {
            let (_, mut plain) = decompress(reader, &Limits::default())?;
            loop {
                let data = next_chunk(&mut plain).map_err(boxwright_image::read_error)?;
                let last = data.is_empty();
                let chunk = LayerChunk { diff_id: diff_id.take().unwrap_or_default(), data };
                // A worker that wants no more has answered.
                if sender.blocking_send(chunk).is_err() || last {
                    return Ok(());
                }
            }
        });
        let send = self.0.calls.client_streaming(call::PUT_LAYER, ReceiverStream::new(receiver));
        let (fed, sent): (_, Result<Nothing>) = tokio::join!(feed, send);
        // A blob that cannot be read is why the worker got half a layer, not the other way round.
        fed.and(sent)
            .map(|_| ())
            .map_err(|error| error.with_context("layer", layer.diff_id.to_string()))
    }

    /// Fetches the layer that a step left into `blobs`, unless it is there.
    pub(super) async fn fetch(&self, layer: &StepLayer, blobs: &dyn BlobStore) -> Result<()> {
        self.0.sent.note(&layer.diff_id);
        if blobs.size(&layer.diff_id).await?.is_some() {
            return Ok(());
        }
        let request = LayerRequest { diff_id: layer.diff_id.to_string() };
        let chunks = self.0.calls.server_streaming(call::GET_LAYER, request).await?;
        let bytes = chunks.map(|chunk| match chunk {
            Ok(LayerChunk { data, .. }) => Ok::<Bytes, _>(data),
            Err(status) => Err(std::io::Error::other(from_status(&status))),
        });
        blobs.write(Box::new(StreamReader::new(bytes)), Some(&layer.diff_id)).await?;
        Ok(())
    }
}

/// Returns every layer that `step` names, each once.
fn layers_of(step: &Step) -> Vec<LayerRef> {
    let mounted = step.mounts.iter().flat_map(|mount| match &mount.source {
        MountSource::Chain { rootfs, .. } | MountSource::Cache { seed: Some((rootfs, _)), .. } => {
            rootfs.as_slice()
        }
        _ => &[],
    });
    let mut layers: Vec<LayerRef> = Vec::new();
    for layer in step.rootfs.iter().chain(mounted) {
        if !layers.iter().any(|known| known.diff_id == layer.diff_id) {
            layers.push(layer.clone());
        }
    }
    layers
}
