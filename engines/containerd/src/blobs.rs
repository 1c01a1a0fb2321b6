//! containerd's content store as a [`BlobStore`].

use std::io;

use async_trait::async_trait;
use boxwright_core::{BlobStore, ByteStream, Digest, Error, ErrorKind, Result};
use bytes::Bytes;
use containerd_client::services::v1::{WriteAction, WriteContentRequest};
use futures_util::{StreamExt as _, TryStreamExt as _};
use sha2::{Digest as _, Sha256};
use tokio::io::AsyncReadExt as _;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::io::StreamReader;
use tonic::Code;

use crate::api::Api;
use crate::errors::{failed, incomplete};
use crate::lease::unique;

/// How many bytes of a blob one message has.
const CHUNK: usize = 1 << 20;

/// The blobs of a namespace. What is written or found here is held by the lease of its handle.
#[derive(Clone, Debug)]
pub(crate) struct Blobs {
    api: Api,
}

/// What became of the bytes that were to be sent.
enum Sent {
    /// All went out, with the request to keep them.
    All(Digest, u64),
    /// containerd stopped listening, and its answer says why.
    Part,
}

impl Blobs {
    /// Returns the blobs that are seen through `api`.
    pub(crate) fn new(api: &Api) -> Self {
        Self { api: api.clone() }
    }

    /// Reads a whole blob of at most `limit` bytes, verified.
    pub(crate) async fn read(&self, digest: &Digest, limit: u64) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let blob = self.open(digest).await?;
        blob.take(limit + 1).read_to_end(&mut bytes).await.map_err(boxwright_image::read_error)?;
        if bytes.len() as u64 > limit {
            let error =
                Error::new(ErrorKind::Exhausted, format!("cannot read the blob `{digest}`"));
            return Err(error.with_cause(format!("it has more than {limit} bytes")));
        }
        Ok(bytes)
    }

    /// Sends `bytes` in messages, and at their end the request to keep them.
    async fn send(
        &self,
        mut bytes: ByteStream,
        expected: Option<&Digest>,
        reference: &str,
        messages: mpsc::Sender<WriteContentRequest>,
    ) -> Result<Sent> {
        let mut hasher = expected.is_none().then(Sha256::new);
        let mut size = 0_u64;
        let message = |action: WriteAction, offset: u64, data: Vec<u8>| WriteContentRequest {
            action: action.into(),
            r#ref: reference.to_owned(),
            expected: expected.map(ToString::to_string).unwrap_or_default(),
            offset: i64::try_from(offset).unwrap_or(i64::MAX),
            data,
            ..Default::default()
        };
        loop {
            let mut chunk = Vec::with_capacity(CHUNK);
            while chunk.len() < CHUNK {
                if bytes.read_buf(&mut chunk).await.map_err(boxwright_image::read_error)? == 0 {
                    break;
                }
            }
            if chunk.is_empty() {
                break;
            }
            if let Some(hasher) = &mut hasher {
                hasher.update(&chunk);
            }
            let (offset, ends) = (size, chunk.len() < CHUNK);
            size += chunk.len() as u64;
            if messages.send(message(WriteAction::Write, offset, chunk)).await.is_err() {
                return Ok(Sent::Part);
            }
            if ends {
                break;
            }
        }
        let digest = match (expected, hasher) {
            (Some(expected), _) => expected.clone(),
            (None, hasher) => Digest::from_sha256(hasher.unwrap_or_default().finalize().into()),
        };
        let commit = WriteContentRequest {
            total: i64::try_from(size).unwrap_or(i64::MAX),
            expected: digest.to_string(),
            ..message(WriteAction::Commit, size, Vec::new())
        };
        Ok(if messages.send(commit).await.is_ok() { Sent::All(digest, size) } else { Sent::Part })
    }
}

#[async_trait]
impl BlobStore for Blobs {
    async fn size(&self, digest: &Digest) -> Result<Option<u64>> {
        Ok(self.api.blob(digest).await?.map(|info| info.size.unsigned_abs()))
    }

    async fn open(&self, digest: &Digest) -> Result<ByteStream> {
        if self.api.blob(digest).await?.is_none() {
            return Err(Error::new(ErrorKind::NotFound, format!("cannot read the blob `{digest}`"))
                .with_cause("it is not in containerd's content store")
                .with_remedy("pull the image again; containerd may be told to throw layers away once they are unpacked"));
        }
        let messages = self.api.read_blob(digest).await?;
        let what = format!("cannot read the blob `{digest}`");
        let chunks = messages.map(move |message| match message {
            Ok(message) => Ok(Bytes::from(message.data)),
            Err(status) => Err(io::Error::other(failed(what.as_str())(status))),
        });
        let bytes: ByteStream = Box::new(StreamReader::new(chunks.map_err(io::Error::other)));
        Ok(boxwright_image::verified(bytes, digest))
    }

    async fn write(&self, bytes: ByteStream, expected: Option<&Digest>) -> Result<(Digest, u64)> {
        let reference = format!("boxwright-{}", unique());
        // A full message on its way while the next one is read.
        let (sender, receiver) = mpsc::channel(1);
        let (sent, answered) = tokio::join!(
            self.send(bytes, expected, &reference, sender),
            self.api.write_blob(ReceiverStream::new(receiver)),
        );
        let sent = match sent {
            Ok(sent) => sent,
            Err(error) => {
                self.api.abort_blob(&reference).await;
                return Err(error);
            }
        };
        let digest = match (&sent, expected) {
            (Sent::All(digest, _), _) => Some(digest),
            (Sent::Part, expected) => expected,
        };
        match (answered, &sent) {
            (Ok(Some(_)), Sent::All(digest, size)) => Ok((digest.clone(), *size)),
            (Ok(_), _) => {
                self.api.abort_blob(&reference).await;
                Err(incomplete("word on whether it kept the blob"))
            }
            (Err(status), _) => {
                // Someone else wrote it meanwhile, or it was there before.
                if status.code() == Code::AlreadyExists
                    && let Some(digest) = digest
                    && let Some(info) = self.api.blob(digest).await?
                {
                    return Ok((digest.clone(), info.size.unsigned_abs()));
                }
                self.api.abort_blob(&reference).await;
                Err(cannot_write(status, digest))
            }
        }
    }
}

fn cannot_write(status: tonic::Status, digest: Option<&Digest>) -> Error {
    let Some(digest) = digest else { return failed("cannot write a blob")(status) };
    let what = format!("cannot write the blob `{digest}`");
    if status.code() == Code::FailedPrecondition && status.message().contains("unexpected commit") {
        return Error::new(ErrorKind::Protocol, what)
            .with_cause("its bytes have another digest or size");
    }
    failed(what)(status)
}
