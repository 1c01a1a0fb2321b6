//! The content store: blobs by digest, with labels.

use std::collections::HashMap;

use boxwright_core::{Descriptor, Digest, Result};
use containerd_client::services::v1 as services;
use tonic::{Code, Status, Streaming};

use super::Api;
use crate::errors::{failed, incomplete};

impl Api {
    /// Returns size and labels of a blob, or `None` if it is not there. The lease holds it from then on.
    pub(crate) async fn blob(&self, digest: &Digest) -> Result<Option<services::Info>> {
        let what = || failed(format!("cannot look for the blob `{digest}`"));
        let asked =
            self.contents().info(services::InfoRequest { digest: digest.to_string() }).await;
        let info = match asked {
            Ok(answer) => answer.into_inner().info.ok_or_else(|| incomplete("blob"))?,
            Err(status) if status.code() == Code::NotFound => return Ok(None),
            Err(status) => return Err(what()(status)),
        };
        match self.hold(digest.as_str(), "content").await {
            // Gone between the two calls.
            Err(status) if status.code() == Code::NotFound => Ok(None),
            held => held.map(|()| Some(info)).map_err(what()),
        }
    }

    /// Opens a blob for reading, unverified.
    pub(crate) async fn read_blob(
        &self,
        digest: &Digest,
    ) -> Result<Streaming<services::ReadContentResponse>> {
        let request =
            services::ReadContentRequest { digest: digest.to_string(), offset: 0, size: 0 };
        let opened = self.contents().read(request).await;
        Ok(opened.map_err(failed(format!("cannot read the blob `{digest}`")))?.into_inner())
    }

    /// Writes a blob by the requests that `stream` gives, and returns the last answer.
    pub(crate) async fn write_blob(
        &self,
        stream: impl futures_util::Stream<Item = services::WriteContentRequest> + Send + 'static,
    ) -> Result<Option<services::WriteContentResponse>, Status> {
        let mut answers = self.contents().write(stream).await?.into_inner();
        let mut last = None;
        while let Some(answer) = answers.message().await? {
            last = Some(answer);
        }
        Ok(last)
    }

    /// Throws away what was written of a blob that is not finished.
    pub(crate) async fn abort_blob(&self, reference: &str) {
        // What cannot be thrown away now goes with the lease.
        let _ = self.contents().abort(services::AbortRequest { r#ref: reference.to_owned() }).await;
    }

    /// Adds labels to a blob, or changes them.
    pub(crate) async fn label_blob(
        &self,
        digest: &Digest,
        labels: HashMap<String, String>,
    ) -> Result<()> {
        // Naming each keeps the others, which may be someone else's.
        let paths = labels.keys().map(|name| format!("labels.{name}")).collect();
        let info = services::Info { digest: digest.to_string(), labels, ..Default::default() };
        let request = services::UpdateRequest {
            info: Some(info),
            update_mask: Some(prost_types::FieldMask { paths }),
        };
        let updated = self.contents().update(request).await;
        updated.map(drop).map_err(failed(format!("cannot label the blob `{digest}`")))
    }

    /// Unpacks the layer `layer` over `mounts`, and returns the digest of its uncompressed tar.
    pub(crate) async fn apply(
        &self,
        layer: &Descriptor,
        mounts: Vec<containerd_client::types::Mount>,
    ) -> Result<String> {
        let request =
            services::ApplyRequest { diff: Some(descriptor(layer)), mounts, ..Default::default() };
        let applied = self.diffs().apply(request).await;
        let applied =
            applied.map_err(failed(format!("cannot unpack the layer `{}`", layer.digest)))?;
        Ok(applied.into_inner().applied.ok_or_else(|| incomplete("descriptor"))?.digest)
    }
}

/// Returns a descriptor as containerd has it.
pub(crate) fn descriptor(of: &Descriptor) -> containerd_client::types::Descriptor {
    containerd_client::types::Descriptor {
        media_type: of.media_type.clone(),
        digest: of.digest.to_string(),
        size: i64::try_from(of.size).unwrap_or(i64::MAX),
        ..Default::default()
    }
}
