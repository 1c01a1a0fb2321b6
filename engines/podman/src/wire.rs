//! What the service answers, as far as `podman-api-stubs` has no model of it that fits every version.

use serde::Deserialize;

/// One line of a build, a pull, or a push.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Line {
    /// Text of a build or a pull.
    pub(crate) stream: Option<String>,
    /// What failed. The only line that says so.
    pub(crate) error: Option<String>,
    /// The image that a pull gave.
    pub(crate) id: Option<String>,
    /// What happens to a layer in a push.
    pub(crate) status: Option<String>,
    #[serde(rename = "progressDetail", alias = "progress_detail")]
    pub(crate) progress: Option<Progress>,
    /// Facts at the end of a push, in newer versions.
    pub(crate) aux: Option<Aux>,
    #[serde(rename = "errorDetail")]
    pub(crate) error_detail: Option<ErrorDetail>,
}

impl Line {
    /// Returns what failed, if this line says so.
    pub(crate) fn failure(&self) -> Option<&str> {
        let detail = self.error_detail.as_ref().map(|detail| detail.message.as_str());
        self.error.as_deref().or(detail).filter(|text| !text.is_empty())
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ErrorDetail {
    pub(crate) message: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Progress {
    pub(crate) current: Option<i64>,
    pub(crate) total: Option<i64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Aux {
    #[serde(rename = "Digest")]
    pub(crate) digest: Option<String>,
}

/// The body of an answer that is an error.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Failure {
    pub(crate) cause: String,
    pub(crate) message: String,
}

/// An image in a list. The generated model lacks `IsManifestList`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ListedImage {
    #[serde(rename = "IsManifestList")]
    pub(crate) is_manifest_list: Option<bool>,
    #[serde(flatten)]
    pub(crate) summary: Option<podman_api_stubs::models::LibpodImageSummary>,
}

/// What was created, or is listed, by its id.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Created {
    pub(crate) id: String,
}

/// What a loaded archive was named.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(crate) struct Loaded {
    pub(crate) names: Vec<String>,
}

/// A container in a list.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(crate) struct ListedContainer {
    pub(crate) id: String,
}
