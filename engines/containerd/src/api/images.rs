//! The image store: names that point at manifests.

use boxwright_core::{Descriptor, Result};
use containerd_client::services::v1 as services;
use tonic::Code;

use super::content::descriptor;
use super::{Api, Collection};
use crate::errors::failed;

impl Api {
    /// Returns the record of a name, or `None` if there is none.
    pub(crate) async fn image_record(&self, name: &str) -> Result<Option<services::Image>> {
        let request = services::GetImageRequest { name: name.to_owned() };
        match self.image_records().get(request).await {
            Ok(answer) => Ok(answer.into_inner().image),
            Err(status) if status.code() == Code::NotFound => Ok(None),
            Err(status) => Err(failed(format!("cannot look for the image `{name}`"))(status)),
        }
    }

    /// Returns the records of all names.
    pub(crate) async fn list_images(&self) -> Result<Vec<services::Image>> {
        let listed = self.image_records().list(services::ListImagesRequest::default()).await;
        Ok(listed.map_err(failed("cannot list the images"))?.into_inner().images)
    }

    /// Makes a name point at `target`, whatever it pointed at.
    pub(crate) async fn name_image(&self, name: &str, target: &Descriptor) -> Result<()> {
        let image = services::Image {
            name: name.to_owned(),
            target: Some(descriptor(target)),
            ..Default::default()
        };
        let what = || failed(format!("cannot name an image `{name}`"));
        let request =
            services::CreateImageRequest { image: Some(image.clone()), ..Default::default() };
        match self.image_records().create(request).await {
            Err(status) if status.code() == Code::AlreadyExists => {}
            other => return other.map(drop).map_err(what()),
        }
        let request = services::UpdateImageRequest {
            image: Some(image),
            // Labels of others stay.
            update_mask: Some(prost_types::FieldMask { paths: vec!["target".to_owned()] }),
            ..Default::default()
        };
        self.image_records().update(request).await.map(drop).map_err(what())
    }

    /// Takes a name away. Returns whether it was there.
    pub(crate) async fn unname_image(&self, name: &str, collection: Collection) -> Result<bool> {
        let request = services::DeleteImageRequest {
            name: name.to_owned(),
            sync: collection == Collection::Now,
            ..Default::default()
        };
        match self.image_records().delete(request).await {
            Ok(_) => Ok(true),
            Err(status) if status.code() == Code::NotFound => Ok(false),
            Err(status) => Err(failed(format!("cannot take the name `{name}` away"))(status)),
        }
    }
}
